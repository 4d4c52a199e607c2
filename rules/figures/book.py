"""What the fold keeps of one facility for figures over all: samples that it reports, visits to it, its grades, steps of its grade.

Facts are of the log alone: neither packs nor the clock decide whether a sample, a visit or a grade is kept. Steps are those of rules of
kind `grade`. Nothing here makes a change; the figures are added up elsewhere (`rules.figures.sampling`, `rules.figures.visits`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeAlias

import msgspec

from rules.changes import ChangeKind
from rules.reports.quality import SamplingResult
from rules.reports.reading import fields_of
from rules.rule import GradeRule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.changes import Change
    from rules.pack import Bundle
    from rules.records import Decision, Inspection, Report
    from rules.register import Facility

REPORT: Final = "sampling-result"
MAX_SAMPLES: Final = 10_000
"""Reports of samples that are kept of who sends them; the one that was touched longest ago goes out first. A laboratory of a province
examines a few thousand a year (own)."""
MAX_VISITS: Final = 1_000
MAX_GRADES: Final = 100
MAX_STEPS: Final = 500
MAX_PRODUCTS: Final = 1_000
"""Products that are kept of those that left the register."""
DROPPED: Final = "dropped"
SIGNED: Final = {"grade-signed": "signed", "grade-refused": "refused"}
"""What a decision about a grade makes of a step (settled.md)."""
OPEN, WITHDRAWN = "open", "withdrawn"
_ENDS: Final = frozenset({ChangeKind.CLEARED, ChangeKind.RETRACTED})
"""What no officer has ended, ended with its rule, or did not hold."""
_Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class Sample(NamedTuple):
    """A report of one sample, at its newest revision."""

    report: str
    revision: int
    received: int
    """Of the record as it stands in the log, ms."""
    sample: str
    sampled: str
    """The facility where it was drawn."""
    product: str
    drawn: int
    """Event time, ms."""
    passed: bool
    retest_of: str | None
    """The sample that this one re-tests."""


class Visit(NamedTuple):
    """An inspection, at its newest version."""

    visit: str
    version: int
    done: int
    """Event time, ms."""
    counts: bool
    """On site, and of everything (settled.md)."""


class Step(NamedTuple):
    """A step of the grade that a rule proposed."""

    alarm: str
    raised: int
    """Log time, ms."""
    state: str
    """`open signed refused withdrawn`."""
    decision: str
    """The decision that ended it, empty without one ..."""
    version: int
    """... and its version."""


_Samples: TypeAlias = list[tuple[str, _Number, _Number, str, str, str, int, bool, str | None]]
_Steps: TypeAlias = list[tuple[str, int, str, str, _Number]]
PackedFigures: TypeAlias = tuple[
    _Samples, list[tuple[str, _Number, int, bool]], list[tuple[int, str]], _Steps, list[tuple[str, _Number]],
    list[str], list[tuple[int, list[tuple[str, str]]]], list[tuple[str, str]],
]  # fmt: skip
"""In a snapshot: samples, visits, grades, steps, counters, days, scopes, products; samples in the order in which they were touched."""


@dataclass(slots=True)
class FigureBook:
    """What is kept of one facility."""

    samples: dict[str, Sample] = field(default_factory=dict)
    """By the id of the report."""
    visits: dict[str, Visit] = field(default_factory=dict)
    grades: list[tuple[int, str]] = field(default_factory=list)
    """Since when which grade is registered, log time in ms; empty words: none. Nothing before there ever was one. 0: nobody knows since when."""
    steps: dict[str, Step] = field(default_factory=dict)
    """By alarm, oldest first."""
    counts: dict[str, int] = field(default_factory=dict)
    """`unread`, `stale` and `dropped` reports of samples."""
    days: list[str] = field(default_factory=list)
    """Days of visits that the register named before the one that it names now, oldest first."""
    scopes: list[tuple[int, list[tuple[str, str]]]] = field(default_factory=list)
    """Since when it is supervised in which fields and lines, log time in ms; empty until they change. The first since 0."""
    products: dict[str, str] = field(default_factory=dict)
    """Class of products that left the register, by id."""

    @property
    def is_nothing(self) -> bool:
        """Say whether nothing was ever kept: a snapshot then has no such member."""
        kept = (self.samples, self.visits, self.grades, self.steps, self.counts, self.days, self.scopes, self.products)
        return not any(kept)

    def pack(self) -> PackedFigures:
        """Return the members for a snapshot."""
        return (
            list(self.samples.values()),
            list(self.visits.values()),
            list(self.grades),
            list(self.steps.values()),
            sorted(self.counts.items()),
            list(self.days),
            list(self.scopes),
            list(self.products.items()),
        )

    @classmethod
    def unpack(cls, packed: PackedFigures) -> FigureBook:
        """Return what packed members say."""
        samples, visits, grades, steps, counts, days, scopes, products = packed
        return cls(
            {row[0]: Sample(*row) for row in samples}, {row[0]: Visit(*row) for row in visits}, list(grades),
            {row[0]: Step(*row) for row in steps}, dict(counts), list(days), list(scopes), dict(products),
        )  # fmt: skip

    def count(self, what: str) -> None:
        """Count a report of a sample that is not taken, or kept no more."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def report(self, payload: Report, received: int) -> None:
        """Keep a report of a sample; of its revisions the newest one, each number once (contracts.md §1).

        Args:
            payload: any report.
            received: of its record as it stands in the log, ms.
        """
        if payload.type != REPORT:
            return
        said = fields_of(payload)
        if not isinstance(said, SamplingResult):
            self.count("unread")
            return
        before = self.samples.get(payload.id)
        unreasoned = payload.revision > 1 and not (payload.reason or "").strip()
        if unreasoned or (before is not None and payload.revision <= before.revision):
            self.count("stale")
            return
        self.samples.pop(payload.id, None)
        self.samples[payload.id] = Sample(
            payload.id, payload.revision, received, said.sample_id, said.facility_sampled, said.product, said.drawn_at,
            said.verdict == "pass", said.retest_of,
        )  # fmt: skip
        if len(self.samples) > MAX_SAMPLES:
            self.samples.pop(next(iter(self.samples)))
            self.count(DROPPED)

    def inspection(self, payload: Inspection) -> None:
        """Keep a visit; of its versions the newest one."""
        before = self.visits.get(payload.visit)
        if before is not None and payload.version <= before.version:
            return
        counts = payload.mode == "on-site" and payload.full
        self.visits.pop(payload.visit, None)
        self.visits[payload.visit] = Visit(payload.visit, payload.version, payload.done_at, counts)
        if len(self.visits) > MAX_VISITS:
            self.visits.pop(next(iter(self.visits)))

    def register(self, before: Facility | None, now: Facility, received: int) -> None:
        """Keep from when on a grade is registered, and what a newer register no longer says: days of visits, scopes, products.

        So a year that is over does not change when the register names a later visit, or a firm leaves a field. A day before the one that
        was named corrects it: later ones were none.

        Args:
            before: the facility as it was registered until now, None: it was not.
            now: as it is registered from now on.
            received: of the record as it stands in the log, ms.
        """
        if not self.grades and before is not None and before.risk is not None:
            self.grades.append((0, before.risk.grade))  # by state of an engine that kept no grades
        grade = "" if now.risk is None else now.risk.grade
        if grade != (self.grades[-1][1] if self.grades else ""):
            self.grades = [*self.grades, (received, grade)][-MAX_GRADES:]
        if before is not None:
            self._leave(before, now, received)

    def _leave(self, before: Facility, now: Facility, received: int) -> None:
        told = None if before.risk is None else before.risk.last_visit
        newest = None if now.risk is None else now.risk.last_visit
        if told is not None and told != newest:
            self.days = [*self.days, str(told)][-MAX_VISITS:]
        if newest is not None:
            self.days = [day for day in self.days if day < str(newest)]
        was, scopes = ([(scope.field, scope.line) for scope in one.scopes] for one in (before, now))
        if was != scopes:
            self.scopes = [*(self.scopes or [(0, was)]), (received, scopes)][-MAX_GRADES:]
        left = {one.id: str(one.class_) for one in before.products} | {one.id: "" for one in now.products}
        for name, of in left.items():
            self.products.pop(name, None)
            if of:
                self.products[name] = of
        for name in list(self.products)[:-MAX_PRODUCTS]:
            del self.products[name]

    def hear(self, changes: Iterable[Change], bundle: Bundle) -> None:
        """Keep which steps of the grade rules ask for, and which of them did not hold; what was heard before changes nothing.

        Args:
            changes: of one record or move of the clock, in order.
            bundle: the packs in force.
        """
        for change in changes:
            alarm, is_raised = change.alarm, change.change is ChangeKind.RAISED
            step = self.steps.get(alarm)
            if (
                step is None
                and is_raised
                and change.stage == "live"
                and isinstance(bundle.rule(change.rule), GradeRule)
            ):
                self.steps[alarm] = Step(alarm, change.received, OPEN, "", 0)
                if len(self.steps) > MAX_STEPS:
                    self.steps.pop(next(iter(self.steps)))
            elif step is not None and step.state == OPEN and change.change in _ENDS:
                self.steps[alarm] = step._replace(state=WITHDRAWN)

    def decide(self, payload: Decision) -> None:
        """Keep what an officer decided about the grade: of steps that are open, and of those that an older version of it decided."""
        state = SIGNED.get(payload.code)
        if state is None or "grade" not in payload.subject:
            return
        for alarm, step in self.steps.items():
            again = step.decision == payload.id and step.version < payload.version
            if step.state == OPEN or again:
                self.steps[alarm] = step._replace(state=state, decision=payload.id, version=payload.version)


__all__ = ["FigureBook", "PackedFigures", "Sample", "Step", "Visit"]
