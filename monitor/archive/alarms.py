"""Tell operators what is wrong with the archive: a row that stands until it is closed."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from monitor.store.desk_tables import OperatorAlarm
from rules.errors import OffsiteError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from monitor.store.session import Store

log = logging.getLogger(__name__)
GAP = "archive_gap"
DAMAGED = "archive_damaged"
STOPPED = "archive_stopped"
SUBJECT_LENGTH = 128


def open_alarm(session: Session, code: str, subject: str, detail: str, now_ms: int) -> None:
    """Raise an operators' alarm in the caller's transaction, or say that it is still so."""
    key = (code, subject[-SUBJECT_LENGTH:])
    row = session.get(OperatorAlarm, key, with_for_update=True)
    if row is None:
        session.add(
            OperatorAlarm(
                code=key[0], subject=key[1], opened_ms=now_ms, last_ms=now_ms, closed_ms=None, count=1, detail=detail
            )
        )
        return
    if row.closed_ms is not None:
        row.opened_ms, row.closed_ms, row.count = now_ms, None, 0
    row.last_ms, row.detail = now_ms, detail
    row.count += 1


def tell(store: Store, code: str, subject: str, detail: str) -> None:
    """Raise an operators' alarm in a transaction of its own; a store that does not take it is only logged.

    Two who tell of the same thing at once: one row is enough.
    """
    log.error("%s: %s: %s", code, subject, detail)
    try:
        with store.writing() as session:
            open_alarm(session, code, subject, detail, time.time_ns() // 1_000_000)
    except (OffsiteError, SQLAlchemyError) as error:
        log.warning("the store did not take the operators' alarm %s of %s: %s", code, subject, error)
