"""Operators' alarms: something is wrong with the monitor itself. Opened and closed by cause and subject, counted in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from monitor.store.desk_tables import OperatorAlarm

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def opened(session: Session, code: str, subject: str, detail: str, now_ms: int) -> None:
    """Open an alarm, or count it once more if it is open."""
    row = session.get(OperatorAlarm, (code, subject), with_for_update=True)
    if row is None:
        session.add(
            OperatorAlarm(
                code=code,
                subject=subject,
                opened_ms=now_ms,
                last_ms=now_ms,
                closed_ms=None,
                count=1,
                detail=detail[:2000],
            )
        )
        session.flush()
        return
    if row.closed_ms is not None:
        row.opened_ms, row.closed_ms, row.count = now_ms, None, 0
    row.last_ms, row.detail = now_ms, detail[:2000]
    row.count += 1


def closed(session: Session, code: str, subject: str, now_ms: int) -> None:
    """Close an alarm; nothing happens if it is not open."""
    row = session.get(OperatorAlarm, (code, subject), with_for_update=True)
    if row is not None and row.closed_ms is None:
        row.closed_ms = now_ms


def open_alarms(session: Session, limit: int = 200) -> list[OperatorAlarm]:
    """Return what is open, newest first."""
    rows = select(OperatorAlarm).where(OperatorAlarm.closed_ms.is_(None)).order_by(OperatorAlarm.last_ms.desc())
    return list(session.scalars(rows.limit(limit)))


def count_open(session: Session) -> int:
    """Return how many are open."""
    rows = select(func.count()).select_from(OperatorAlarm).where(OperatorAlarm.closed_ms.is_(None))
    return session.scalar(rows) or 0


def mark(session: Session) -> tuple[int, str]:
    """Return how many are open, and a text that changes with every one that is opened, counted or closed."""
    seen = func.coalesce(func.sum(OperatorAlarm.count), 0), func.coalesce(func.max(OperatorAlarm.opened_ms), 0)
    row = session.execute(select(func.count(), *seen).where(OperatorAlarm.closed_ms.is_(None))).one()
    return int(row[0]), f"{row[0]}.{row[1]}.{row[2]}"
