"""Fold changes into the rows of alarms: one read and one write for each alarm, however many changes it has."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from monitor.alarms.axes import announces, asks_anew
from monitor.store.desk_tables import AlarmRow, NamedRow
from rules.alarms import Alarm
from rules.canonical import canonical_bytes
from rules.changes import ChangeKind
from rules.models import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from rules.changes import Change

VARIABLES = 400
"""SQLite bounds the variables of a statement."""


@dataclass(slots=True)
class _Occurrence:
    """An alarm between its row and the changes that are folded into it; `current` is none before the first."""

    alarm: Alarm
    current: Severity | None
    attention: int
    asked_ms: int
    acknowledged: int
    first: Change | None = None
    last: Change | None = None

    def apply(self, change: Change) -> None:
        # Of a lot what was taken back may hold after all, by a fact that came late (ADR 0072): that is news.
        holds_again = self.alarm.status == "retracted" and change.change is not ChangeKind.RETRACTED
        self.alarm.apply(change)
        if holds_again or asks_anew(change, self.current, acknowledged=self.acknowledged >= self.attention):
            self.asked_ms = change.received
        if holds_again or announces(change, self.current):
            self.attention = change.seq
        self.current, self.last = change.severity, change


def fold(session: Session, changes: Sequence[Change]) -> None:
    """Fold changes, in the order of each stream, into their alarms' rows, in the caller's transaction."""
    found = _load(session, sorted({change.alarm for change in changes}))
    for change in changes:
        occurrence = found.get(change.alarm)
        if occurrence is None:
            occurrence = found[change.alarm] = _Occurrence(_begun(change), None, 0, change.received, 0, first=change)
        occurrence.apply(change)
    touched = [(occurrence, _moved(occurrence)) for occurrence in found.values()]
    new = [moved | _kept(occurrence.first) for occurrence, moved in touched if occurrence.first is not None]
    old = [moved for occurrence, moved in touched if occurrence.first is None]
    if new:
        session.execute(insert(AlarmRow), new)
    if old:
        session.execute(update(AlarmRow), old)
    _name(session, changes)


def _name(session: Session, changes: Sequence[Change]) -> None:
    """Keep which other facilities each alarm names, as the newest change that says so has it."""
    named = {change.alarm: change for change in changes if change.evidence.facilities is not None}
    ids = sorted(named)
    for start in range(0, len(ids), VARIABLES):
        session.execute(delete(NamedRow).where(NamedRow.alarm.in_(ids[start : start + VARIABLES])))
    rows = [
        {"facility": facility, "alarm": alarm}
        for alarm, change in named.items()
        for facility in dict.fromkeys(change.evidence.facilities or ())
        if facility != change.facility
    ]
    if rows:
        session.execute(insert(NamedRow), rows)


def _load(session: Session, ids: list[str]) -> dict[str, _Occurrence]:
    columns = (
        AlarmRow.id, AlarmRow.rule, AlarmRow.facility, AlarmRow.stage, AlarmRow.start_ms, AlarmRow.end_ms,
        AlarmRow.status, AlarmRow.suppressed_by, AlarmRow.late, AlarmRow.changes, AlarmRow.severity, AlarmRow.highest,
        AlarmRow.attention_revision, AlarmRow.asked_ms, AlarmRow.acknowledged_revision,
    )  # fmt: skip
    found: dict[str, _Occurrence] = {}
    for start in range(0, len(ids), VARIABLES):
        part = select(*columns).where(AlarmRow.id.in_(ids[start : start + VARIABLES])).with_for_update()
        for row in session.execute(part):
            alarm = Alarm(
                row.id, row.rule, row.facility, {}, Severity(row.highest), row.stage, row.start_ms, row.end_ms,
                status=row.status, suppressed_by=row.suppressed_by, late=row.late, changes=row.changes,
            )  # fmt: skip
            found[row.id] = _Occurrence(
                alarm, Severity(row.severity), row.attention_revision, row.asked_ms, row.acknowledged_revision
            )
    return found


def _begun(change: Change) -> Alarm:
    return Alarm(
        change.alarm, change.rule, change.facility, {}, change.severity, change.stage, change.start, change.end
    )


def _kept(first: Change) -> dict[str, Any]:
    """What stays as the first change says: an alarm keeps the rule version that it was raised under, whatever is published."""
    return {
        "version": first.version,
        "packs": first.packs,
        "stream": first.stream,
        "facility": first.facility,
        "rule": first.rule,
        "subject": canonical_bytes(first.subject).decode(),
        "raised_ms": first.received,
        "acknowledged_revision": 0,
    }


def _moved(occurrence: _Occurrence) -> dict[str, Any]:
    """What the last change says."""
    alarm, last = occurrence.alarm, occurrence.last
    if last is None:
        raise AssertionError("an alarm was loaded that no change names")
    return {
        "id": alarm.alarm,
        "status": alarm.status,
        "severity": last.severity.value,
        "severity_rank": last.severity.rank,
        "highest": alarm.severity.value,
        "stage": last.stage,
        "start_ms": last.start,
        "end_ms": last.end,
        "changed_ms": last.received,
        "suppressed_by": alarm.suppressed_by,
        "late": alarm.late,
        "changes": alarm.changes,
        "revision": last.seq,
        "attention_revision": occurrence.attention,
        "asked_ms": occurrence.asked_ms,
        "message_en": last.message.en,
        "message_zh": last.message.zh,
        "evidence": json.dumps(last.evidence.model_dump(mode="json", exclude_none=True), ensure_ascii=False),
    }
