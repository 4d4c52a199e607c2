"""Tell operators what is wrong with the archive, and that it is over."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from monitor.alarms.operators import closed, opened
from monitor.store.desk_tables import OperatorAlarm
from rules.errors import OffsiteError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from monitor.store.session import Store

log = logging.getLogger(__name__)
GAP = "archive_gap"
"""Kafka dropped offsets before they were archived."""
DAMAGED = "archive_damaged"
"""A file is missing or not what the index says; over when `offsite archive verify` finds none such."""
STOPPED = "archive_stopped"
"""The archiver ended because going on would mix or miss something; over when one works again."""
UNWRITABLE = "archive_unwritable"
"""Files cannot be written: the disk is full, or the folder is not there; over when one is written again."""
SUBJECT_LENGTH = 128


def open_alarm(session: Session, code: str, subject: str, detail: str, now_ms: int) -> None:
    """Raise an operators' alarm in the caller's transaction, or say that it is still so."""
    opened(session, code, subject[-SUBJECT_LENGTH:], detail, now_ms)


def close_all(session: Session, code: str, now_ms: int) -> None:
    """Close all alarms of a code, in the caller's transaction."""
    rows = select(OperatorAlarm.subject).where(OperatorAlarm.code == code, OperatorAlarm.closed_ms.is_(None))
    for subject in session.scalars(rows).all():
        closed(session, code, subject, now_ms)


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
