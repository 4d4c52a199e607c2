"""One clock as API and `offsite deadlines` show it. Instants are RFC 3339 UTC with three decimals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import RecordRead, Stage
from rules.clocks.listing import Doubt, DueState
from rules.instants import format_instant
from rules.models import Bilingual, Severity, Strict
from rules.reports.types import TYPES

if TYPE_CHECKING:
    from rules.clocks.listing import Running


class Deadline(Strict):
    """A legal clock that runs."""

    facility: str
    rule: str
    version: str
    stage: Stage
    title: Bilingual
    subject: dict[str, str]
    """The case: `{report: key}`."""
    report: str
    """The type of report that is awaited."""
    report_title: Bilingual
    start: str
    """It may lie ahead, where the calendar starts it."""
    due: str | None
    """The last instant that is in time; null: the calendar of working days does not reach."""
    reminder: str | None
    state: DueState
    severity: Severity | None
    """The colour of its alarm at that instant; null before any."""
    time: str
    """As the rule gives it: `15d`, `20wd`."""
    left_ms: int | None
    """Until it is due; below zero once it is late."""
    left: Bilingual
    """The same in words."""
    planned: bool
    """An approved plan has put another day in the place of the text's."""
    verify: list[Doubt]
    """What is not certain: a year of the calendar of working days that was counted, a citation of the rule."""
    documents: list[RecordRead]
    alarm: str | None
    """The alarm that stands."""


def members(row: Running, at: int) -> dict[str, object]:
    """Return the members of `Deadline` for a clock at an instant, ms."""
    held = row.at(at)
    known = TYPES.get(row.report)
    return {
        "facility": row.facility,
        "rule": row.rule,
        "version": row.version,
        "stage": row.stage,
        "title": row.title,
        "subject": row.subject,
        "report": row.report,
        "report_title": Bilingual(zh=row.report, en=row.report) if known is None else known.title,
        "start": format_instant(row.start),
        "due": None if row.due is None else format_instant(row.due),
        "reminder": None if row.reminder is None else format_instant(row.reminder),
        "state": held.state,
        "severity": held.severity,
        "time": row.time,
        "left_ms": held.left,
        "left": held.words,
        "planned": row.planned,
        "verify": row.verify,
        "documents": row.documents,
        "alarm": row.alarm,
    }


def deadline(row: Running, at: int) -> Deadline:
    """Return a clock as it is at an instant, ms."""
    return Deadline.model_validate(members(row, at))
