"""From changes to one line per alarm: what `offsite evaluate --alarms` prints and the desk's rows are compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rules.canonical import canonical_bytes
from rules.changes import Change, ChangeKind
from rules.instants import format_instant
from rules.models import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(slots=True)
class Alarm:
    """One alarm as its changes leave it; instants in ms."""

    alarm: str
    rule: str
    facility: str
    subject: dict[str, str]
    severity: Severity
    """The highest colour it ever had."""
    stage: str
    start: int
    end: int | None
    status: str = "active"
    suppressed_by: str | None = None
    late: bool = False
    changes: int = 0
    current: Severity = Severity.BLUE
    seqs: list[int] = field(default_factory=list)

    def apply(self, change: Change) -> None:
        """Fold one more change of this alarm."""
        self.changes += 1
        self.seqs.append(change.seq)
        self.start, self.end = change.start, change.end
        self.current = change.severity
        self.severity = max(self.severity, change.severity, key=lambda severity: severity.rank)
        self.late = self.late or change.late
        kind = change.change
        if kind is ChangeKind.SUPPRESSED:
            self.suppressed_by = change.by
        elif kind is ChangeKind.RELEASED:
            self.suppressed_by = None
        if kind is ChangeKind.RETRACTED:
            self.status = "retracted"
        elif change.end is not None:
            self.status = "cleared"
        elif kind is ChangeKind.UNKNOWN or (self.status == "unknown" and kind is not ChangeKind.KNOWN):
            self.status = "unknown"
        else:
            self.status = "active"

    def to_json(self) -> dict[str, Any]:
        """Return the line of contracts.md §5."""
        return {
            "alarm": self.alarm,
            "rule": self.rule,
            "facility": self.facility,
            "subject": self.subject,
            "severity": self.severity.value,
            "stage": self.stage,
            "start": format_instant(self.start),
            "end": None if self.end is None else format_instant(self.end),
            "status": self.status,
            "suppressed_by": self.suppressed_by,
            "late": self.late,
            "changes": self.changes,
        }


def fold_alarms(changes: Iterable[Change]) -> list[Alarm]:
    """Return the alarms of changes (in order of seq per stream), ordered by (start, rule, facility, subject)."""
    alarms: dict[str, Alarm] = {}
    for change in changes:
        alarm = alarms.get(change.alarm)
        if alarm is None:
            alarm = alarms[change.alarm] = Alarm(
                change.alarm, change.rule, change.facility, dict(change.subject), change.severity, change.stage,
                change.start, change.end,
            )  # fmt: skip
        alarm.apply(change)
    return sorted(alarms.values(), key=lambda a: (a.start, a.rule, a.facility, canonical_bytes(a.subject), a.alarm))
