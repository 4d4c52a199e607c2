"""What is due of a facility: the legal clocks that run, with their instants, and what holds of each at an instant.

A clock is listed from its start until it is answered. All that is kept of it here are instants: whether it is due, soon due or late
follows from them and from the instant that somebody asks about, without another fold.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from rules.calendar import calendar_for
from rules.changes import RecordRead, Stage
from rules.clocks.due import overdue_at, reminded_at, terms_of
from rules.clocks.which import clocks_for
from rules.instants import span
from rules.layout import NONE
from rules.models import Bilingual, Severity, Strict
from rules.rare.store import subject_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rules.calendar import WorkingDays
    from rules.clocks.due import Terms
    from rules.clocks.store import Clock, Clocks
    from rules.pack import Bundle
    from rules.register import Facility
    from rules.rule import DeadlineRule
    from rules.state import FacilityState

Doubt = Literal["calendar", "citation"]
SECOND_MS = 1_000
_BY_RANK = {severity.rank: severity for severity in Severity}


class DueState(StrEnum):
    """What holds of a clock that runs."""

    LATE = "late"
    """Its due instant has passed."""
    SOON = "soon"
    """The reminder has spoken, or would have by the instant asked about."""
    DUE = "due"
    UNKNOWN = "unknown"
    """The calendar of working days does not reach its end."""


class Holds(NamedTuple):
    """What holds of a clock at an instant."""

    state: DueState
    severity: Severity | None
    """Of the alarm that the fold has raised by then; None before any."""
    left: int | None
    """Until it is due, ms; below zero once it is late, None where that is not known."""
    words: Bilingual
    """The same for people."""


class Colour(Strict):
    """From when on an alarm of this colour stands, unless the report comes."""

    since: int
    """Ms."""
    severity: Severity


class Running(Strict):
    """One clock that runs. Instants in ms."""

    facility: str
    rule: str
    version: str
    stage: Stage
    title: Bilingual
    subject: dict[str, str]
    """The case: `{report: key}` (settled.md)."""
    report: str
    """The type of report that ends it."""
    start: int
    """Event time, or 24:00 of the day before a clock that the calendar starts; it may lie ahead."""
    due: int | None
    """The last instant that is in time; None: the calendar does not reach."""
    reminder: int | None
    """When the milder colour speaks; None where the rule has none."""
    colours: list[Colour]
    """By instant."""
    time: str
    """As the rule gives it: `15d`, `20wd`."""
    planned: bool = False
    """An approved plan has put another day in the place of the text's."""
    verify: list[Doubt] = Field(default_factory=list)
    """What of it is not certain: a year of the calendar that was counted, or a citation of the rule."""
    documents: list[RecordRead] = Field(default_factory=list)
    """What it was made of: the first start, the newest revision; the newest four."""
    alarm: str | None = None
    """The alarm that stands."""

    @property
    def place(self) -> tuple[bool, int, str, str, str]:
        """Return where it stands among others: by due instant, those that have none last."""
        return (self.due is None, self.due or 0, self.facility, self.rule, text_of(self.subject))

    def at(self, instant: int) -> Holds:
        """Return what holds at an instant (ms) if nothing comes until then, the front door open."""
        if self.due is None:
            words = Bilingual(en="the calendar of working days does not reach", zh="工作日历未覆盖")
            return Holds(DueState.UNKNOWN, None, None, words)
        severity = next((one.severity for one in reversed(self.colours) if one.since <= instant), None)
        left = self.due - instant
        if left < 0:
            over = max(-left, SECOND_MS)
            words = Bilingual(en=f"{span(over, 'en')} overdue", zh=f"逾期{span(over, 'zh')}")
            return Holds(DueState.LATE, severity, left, words)
        words = Bilingual(en=f"{span(left, 'en')} left", zh=f"剩余{span(left, 'zh')}")
        return Holds(DueState.DUE if severity is None else DueState.SOON, severity, left, words)


def listing(state: FacilityState, bundle: Bundle) -> list[Running]:
    """Return the clocks of a facility that run, by due instant.

    Args:
        state: of the facility.
        bundle: the packs that it was folded with last.
    """
    if state.plan is None:
        return []
    facility = state.plan.facility
    days = calendar_for(facility.jurisdiction, bundle.calendars.values())
    return rows(state.facility, running(state.clocks), state.plan.deadlines, days, state.clocks.closed)


def running(clocks: Clocks) -> Iterator[tuple[str, str, Clock]]:
    """Yield rule, subject and clock of all that have a start and no answer, by rule."""
    for rule, cases in sorted(clocks.cases.items()):
        for subject, clock in cases.items():
            if clock.start != NONE and clock.answered == NONE:
                yield rule, subject, clock


def asked(facility: Facility, bundle: Bundle) -> tuple[tuple[DeadlineRule, ...], WorkingDays | None]:
    """Return the rules whose clocks may run for a facility, and the working days that they count."""
    return clocks_for(facility, bundle), calendar_for(facility.jurisdiction, bundle.calendars.values())


def rows(
    facility: str,
    clocks: Iterable[tuple[str, str, Clock]],
    rules: Iterable[DeadlineRule],
    days: WorkingDays | None,
    closed: Sequence[tuple[int, int]],
) -> list[Running]:
    """Return the clocks that run, by due instant.

    Args:
        facility: its id.
        clocks: rule, subject and clock of those that neither were answered nor lack a start.
        rules: those in force for the facility.
        days: its working days.
        closed: times in which the front door was closed, ms.
    """
    by_id = {rule.id: rule for rule in rules}
    found = []
    for rule_id, subject, clock in clocks:
        rule = by_id.get(rule_id)
        terms = None if rule is None else terms_of(rule, clock, days, closed)
        if rule is not None and terms is not None:
            found.append(_row(facility, rule, subject, clock, terms, days))
    return sorted(found, key=lambda row: row.place)


def _row(
    facility: str, rule: DeadlineRule, subject: str, clock: Clock, terms: Terms, days: WorkingDays | None
) -> Running:  # fmt: skip
    due = terms.due
    doubts: dict[Doubt, bool] = {
        "calendar": terms.verify,
        "citation": any(cite.status == "verify" for cite in rule.cites),
    }
    standing = clock.standing
    return Running(
        facility=facility,
        rule=rule.id,
        version=rule.version,
        stage=rule.stage,
        title=rule.title,
        subject=subject_of(subject),
        report=rule.answer.report,
        start=clock.start,
        due=due,
        reminder=None if due is None else reminded_at(rule, clock, due),
        colours=_colours(rule, clock, terms, days),
        time=str(terms.time),
        planned=clock.planned != NONE,
        verify=[doubt for doubt, holds in doubts.items() if holds],
        documents=[RecordRead(kind=kind, id=name) for kind, name in clock.documents],
        alarm=None if standing is None else standing.alarm,
    )


def _colours(rule: DeadlineRule, clock: Clock, terms: Terms, days: WorkingDays | None) -> list[Colour]:
    """Return since when which colour stands: the last instant of a time is in time, the millisecond behind it is not."""
    due, rank = terms.due, rule.severity.base.rank
    if due is None:
        return []
    found = [Colour(since=due + 1, severity=rule.severity.base)]
    reminded = reminded_at(rule, clock, due)
    if rule.reminder is not None and reminded is not None and reminded <= due:
        found.insert(0, Colour(since=reminded, severity=rule.reminder.severity))
    for at, stronger in overdue_at(rule, due, days, terms.ends):
        rank = max(rank, stronger)
        found.append(Colour(since=at + 1, severity=_BY_RANK[rank]))
    return found
