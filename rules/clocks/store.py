"""The clocks of a facility: bounded, in the snapshot, the same bytes after a restart; the earliest that is due is known at once."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from rules.clocks.book import Book, PackedReport
from rules.layout import NEVER, NONE
from rules.occurrence import Occurrence, Packed
from rules.rare.store import Case, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.calendar import WorkingDays

MAX_CLOCKS = 20_000
"""Cases of one rule that are kept; the one that was touched longest ago goes out first, never one that runs or stands."""
COUNTERS = (
    "reports", "report_repeated", "report_conflict", "report_unreasoned", "report_unread", "clock_dropped",
    "clock_left_out", "clock_unknown",
)  # fmt: skip

_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)]
_Some: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
PackedClock: TypeAlias = tuple[
    str, str, _At, _At, _At, _At, int, str, list[tuple[str, str]], Packed | None, list[tuple[_At, _Some]], _At
]
PackedClocks: TypeAlias = tuple[
    _At, list[PackedReport], list[tuple[str, _Some]], list[PackedClock], list[tuple[_At, _At]]
]


@dataclass(slots=True)
class Clock(Case):
    """One case of one rule. Instants in ms; `due` (of `Case`) is the next decision by the clock, NEVER without."""

    start: int = NONE
    """The earliest start that any of its documents tells (event time), NONE while none does."""
    answered: int = NONE
    """Receive time of the first answer."""
    judged: int = NONE
    """What decides whether it was in time: that, or the later instant that the answer names."""
    planned: int = NONE
    """The due instant that an approved plan puts in place, if it came in time."""
    revision: int = 0
    """Of the report that `said` is of."""
    said: str = ""
    """What `only` and `within` ask of it, as JSON; empty while nothing is known of it."""
    documents: list[tuple[str, str]] = field(default_factory=list)
    """Kind of record and id of those that it was made of: the first start, the answer, the newest revision."""


class Cases(dict[str, Clock]):
    """The clocks of one rule, by subject as text; the one that was touched last stands last."""


@dataclass(slots=True)
class Clocks:
    """Everything that is kept of submitted reports."""

    since: int = NONE
    """When the facility was first registered here, as far as is known: nothing is owed for the time before."""
    book: Book = field(default_factory=Book)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))
    cases: dict[str, Cases] = field(default_factory=dict)
    closed: list[tuple[int, int]] = field(default_factory=list)
    """Times in which the front door was closed, ms; the newest."""
    days: tuple[tuple[str, str], WorkingDays | None] | None = None
    """Working days by packs and jurisdiction, once they were asked for; follows from these."""
    _heap: list[tuple[int, str, str]] = field(default_factory=list)
    """(due, rule, subject), also of what is no longer due then; follows from the rest."""

    @property
    def due(self) -> int:
        """Return the earliest decision by the clock."""
        while self._heap:
            due, rule, subject = self._heap[0]
            clock = self.cases.get(rule, _NONE).get(subject)
            if clock is not None and clock.due == due:
                return due
            heapq.heappop(self._heap)
        return NEVER

    def due_now(self, due: int) -> list[tuple[str, str]]:
        """Return rule and subject of what is due at an instant that nothing is due before, in their order."""
        found: list[tuple[int, str, str]] = []
        while self.due == due:
            found.append(heapq.heappop(self._heap))
        for one in found:
            heapq.heappush(self._heap, one)
        return sorted({(rule, subject) for _, rule, subject in found})

    def put(self, rule: str, subject: str, clock: Clock, due: int) -> None:
        """Let a clock be decided next at `due`."""
        if clock.due != due:
            clock.due = due
            if due != NEVER:
                heapq.heappush(self._heap, (due, rule, subject))

    def of(self, rule: str) -> Cases:
        """Return the clocks of a rule, by subject."""
        return self.cases.get(rule, _NONE)

    def clock(self, rule: str, subject: str) -> Clock | None:
        """Return the clock of a case, touched; a new one if there is room. None: left out, and counted."""
        cases = self.cases.setdefault(rule, Cases())
        clock = cases.pop(subject, None)
        if clock is None:
            if len(cases) >= MAX_CLOCKS:
                idle = next((k for k, c in cases.items() if c.due == NEVER and c.standing is None), None)
                if idle is None:
                    self.counts["clock_left_out"] += 1
                    return None
                del cases[idle]
                self.counts["clock_dropped"] += 1
            clock = Clock()
        cases[subject] = clock
        return clock

    def vacate(self, rule: str) -> None:
        """Forget the clocks of a rule, but what tells a later alarm from an earlier one."""
        kept = Cases()
        for subject, clock in self.cases.pop(rule, Cases()).items():
            if clock.uses:
                kept[subject] = Clock(uses=clock.uses)
        if kept:
            self.cases[rule] = kept

    def running(self) -> Iterator[tuple[str, str, Clock]]:
        """Yield rule, subject and clock of all that are neither answered nor without a start."""
        for rule, cases in sorted(self.cases.items()):
            for subject, clock in cases.items():
                if clock.start != NONE and clock.answered == NONE:
                    yield rule, subject, clock

    def pack(self) -> PackedClocks:
        """Return the members for a snapshot, in the order in which they are kept."""
        clocks = [
            (
                rule, subject, c.start, c.answered, c.judged, c.planned, c.revision, c.said, list(c.documents),
                None if c.last is None else c.last.pack(), list(c.uses.items()), c.due,
            )
            for rule, cases in sorted(self.cases.items())
            for subject, c in cases.items()
        ]  # fmt: skip
        counts = [(name, number) for name, number in self.counts.items() if number]
        return (self.since, self.book.pack(), counts, clocks, list(self.closed))

    @property
    def are_nothing(self) -> bool:
        """Say whether nothing was ever kept: then a snapshot does not hold it."""
        return self.since == NONE and not self.book.reports and not self.cases and not any(self.counts.values())


_NONE = Cases()


def unpack(packed: PackedClocks) -> Clocks:
    """Return what packed members say.

    Raises:
        ValueError: a clock without a subject.
    """
    since, reports, counts, clocks, closed = packed
    found = Clocks(since, Book.unpack(reports), dict.fromkeys(COUNTERS, 0) | dict(counts), closed=[*closed])
    for rule, subject, start, answered, judged, planned, revision, said, documents, last, uses, due in clocks:
        subject_of(subject)  # a snapshot that names no subject is none
        clock = Clock(
            last=None if last is None else Occurrence.unpack(last), uses=dict(uses), start=start, answered=answered,
            judged=judged, planned=planned, revision=revision, said=said, documents=[*documents],
        )  # fmt: skip
        found.cases.setdefault(rule, Cases())[subject] = clock
        found.put(rule, subject, clock, due)
    return found
