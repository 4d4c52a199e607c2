"""A store that came out of a backup lags behind the log until `offsite store rebuild` has run: until then nobody decides in it.

What it would number next may stand in the log already; the fold ignores what is not newer, and an edit would vanish.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import insert, select

from monitor.store.base import Base
from monitor.store.desk_tables import Counter
from rules.errors import ContractError

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

RESTORED = "restored"
"""The counter's name: 1 from a restore to the end of its rebuild."""


class NotRebuiltError(ContractError):
    """The store was restored, and does not know yet what the log has come to hold since the backup."""

    code: ClassVar[str] = "not_rebuilt"
    action: ClassVar[str] = "Stop desk and archiver, and run `offsite store rebuild` (docs/runbooks/lose-the-store.md)."

    def __init__(self) -> None:
        """Say so."""
        super().__init__("the store came out of a backup and was not rebuilt since: nothing was written")


def mark_restored(connection: Connection) -> None:
    """Note that what stands here is a backup's, in the transaction that put it here."""
    table = Base.metadata.tables[Counter.__tablename__]
    connection.execute(table.delete().where(table.c.name == RESTORED))
    connection.execute(insert(table).values(name=RESTORED, value=1))


def mark_rebuilt(session: Session) -> None:
    """Note that the store knows what the log holds."""
    found = session.get(Counter, RESTORED)
    if found is not None:
        found.value = 0
        session.flush()


def is_restored(session: Session) -> bool:
    """Say whether the store waits for its rebuild."""
    return bool(session.scalar(select(Counter.value).where(Counter.name == RESTORED)))


def ensure_rebuilt(session: Session) -> None:
    """Refuse a decision while the store waits for its rebuild.

    Raises:
        NotRebuiltError: it does.
    """
    if is_restored(session):
        raise NotRebuiltError
