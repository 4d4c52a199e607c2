"""One archiver at a time: a row that says who works, until when if it is not heard of again.

The clock of a lease is the machines' own. Should two clocks differ by more than a lease, the second one takes over early; the
first one then finds another holder in its next transaction and stops. No transaction commits under another's lease.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from monitor.store.tables import Lease
from rules.errors import PartMissingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session


class LeaseHeldError(PartMissingError):
    """Another process does this work."""

    code: ClassVar[str] = "lease_held"
    action: ClassVar[str] = "Nothing is wrong: this process waits and takes over when the other one ends."


class Tenancy:
    """One holder's claim on a lease."""

    def __init__(self, name: str, holder: str, lease_ms: int, clock_ms: Callable[[], int]) -> None:
        self._name, self.holder, self._lease_ms, self._now = name, holder, lease_ms, clock_ms
        self.until_ms = 0

    @property
    def fading(self) -> bool:
        """Whether more than a third of the lease has passed since it was last renewed."""
        return self.until_ms - self._now() < self._lease_ms * 2 // 3

    def take(self, session: Session) -> None:
        """Take the lease if nobody holds it, in the caller's transaction.

        Raises:
            LeaseHeldError: somebody else holds it.
        """
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        session.execute(insert(Lease).values(name=self._name, holder=self.holder, until_ms=0).on_conflict_do_nothing())
        row = self._row(session)
        if row is None or (row.holder != self.holder and row.until_ms > self._now()):
            raise LeaseHeldError(f"{self._name} is done by {row.holder if row else 'nobody'}")
        row.holder = self.holder
        self._renew(row)

    def keep(self, session: Session) -> None:
        """Hold the lease until the caller's transaction ends, and renew it.

        Raises:
            LeaseHeldError: somebody else has taken it.
        """
        row = self._row(session)
        if row is None or row.holder != self.holder:
            raise LeaseHeldError(f"{self._name} was taken over by {row.holder if row else 'nobody'}")
        self._renew(row)

    def release(self, session: Session) -> None:
        """Let the next one work at once."""
        row = self._row(session)
        if row is not None and row.holder == self.holder:
            row.until_ms = 0
        self.until_ms = 0

    def _renew(self, row: Lease) -> None:
        self.until_ms = row.until_ms = self._now() + self._lease_ms

    def _row(self, session: Session) -> Lease | None:
        return session.execute(
            select(Lease).where(Lease.name == self._name).with_for_update().execution_options(populate_existing=True)
        ).scalar_one_or_none()
