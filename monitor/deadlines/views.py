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


def report_title(row: Running) -> Bilingual:
    """Return the name of the report that a clock awaits; a type without one is named by itself."""
    known = TYPES.get(row.report)
    return Bilingual(zh=row.report, en=row.report) if known is None else known.title


def members(row: Running, at: int) -> dict[str, object]:
    """Return the members of `Deadline` for a clock at an instant, ms."""
    held = row.at(at)
    return {
        "facility": row.facility,
        "rule": row.rule,
        "version": row.version,
        "stage": row.stage,
        "title": row.title,
        "subject": row.subject,
        "report": row.report,
        "report_title": report_title(row),
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


class DeadlineView(Deadline):
    """A clock as the desk has it."""

    facility_name: Bilingual | None
    inspectors: list[str]
    """Accounts that answer for the facility."""


class Counts(Strict):
    """How many clocks are in each state, whatever state was asked for."""

    late: int
    soon: int
    due: int
    unknown: int


class DeadlinePage(Strict):
    """A page of clocks by due instant; `next` goes into `after` of the next request."""

    items: list[DeadlineView]
    next: str | None
    total: int
    counts: Counts
    at: str
    """The instant of which `state` and `left` are."""
    as_of: str | None
    """Everything received before is in the list; null: no snapshot was read yet."""
    left_out: int
    """Clocks beyond the first thousand of a facility."""
    aside: int
    """Rules that raised at a facility: their clocks are not known."""
    quarantined: int
    """Facilities whose clocks are as of when they were quarantined."""
    unread: int
    """Facilities whose newest snapshot cannot be read: theirs are as of an older one."""


def deadline(row: Running, at: int) -> Deadline:
    """Return a clock as it is at an instant, ms."""
    return Deadline.model_validate(members(row, at))
