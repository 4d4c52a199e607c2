"""The clocks of a facility: bounded, in the snapshot, the same bytes after a restart; the earliest that is due is known at once."""

from __future__ import annotations

import heapq
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from rules.clocks.book import Book, PackedReport
from rules.clocks.sums import PackedSum, Sum
from rules.layout import NEVER, NONE
from rules.occurrence import Occurrence, Packed
from rules.rare.store import MAX_SEEN, AnyCase, Fact, subject_of

if TYPE_CHECKING:
    from rules.calendar import WorkingDays

MAX_CLOCKS = 20_000
"""Cases of one rule that are kept; the one that was touched longest ago goes out first, never one that runs or stands."""
MAX_REPORTS = 32
"""Reports of one case that can be taken back; of the one that was added longest ago what it says stays as it was said."""
MAX_DOCUMENTS = 4
"""Documents of one case that evidence names: the first and the newest."""
SPARE = 64
"""Entries of the heap that may be stale beside as many as are not, before it is made anew."""
COUNTERS = (
    "reports", "report_repeated", "report_conflict", "report_unreasoned", "report_unread", "report_dropped",
    "clock_dropped", "clock_left_out", "clock_unknown", "clock_report_left_out",
)  # fmt: skip

_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)]
_Some: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
_Many: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
PackedClock: TypeAlias = tuple[
    str, str, _At, _At, _At, _Many, _At, _Many, str, list[tuple[str, str]], bool, Packed | None, list[tuple[_At, _Some]], _At
]  # fmt: skip
PackedClocks: TypeAlias = tuple[
    list[tuple[str, _At]], list[PackedReport], list[tuple[str, _Some]], list[PackedClock], list[tuple[_At, _At]]
]
"""In a snapshot: since when the register is asked, reports, counters, clocks, times in which the front door was closed."""
PackedSayings: TypeAlias = tuple[list[bytes], list[int | list[int]], list[tuple[str, str, PackedSum]]]
"""In a snapshot: what each report of the book says, which of them each clock is made of (their places in the book; -1: none), and what clocks
were told by reports that have gone out, by rule and subject."""
_NO_FACTS: list[Fact] = []
_NO_SEEN: list[str] = []
_NO_USES: dict[int, int] = {}


@dataclass(slots=True)
class Clock(AnyCase):
    """One case of one rule. Instants in ms; `due` (of `AnyCase`) is the next decision by the clock, NEVER without.

    There may be 100,000 of them: what most do not have is one empty object for all, which nothing writes into.
    """

    facts: list[Fact] = field(default_factory=lambda: _NO_FACTS)
    seen: list[str] = field(default_factory=lambda: _NO_SEEN)
    uses: dict[int, int] = field(default_factory=lambda: _NO_USES)
    start: int = NONE
    """The earliest start that any of its reports tells as it counts now (event time), NONE while none does."""
    answered: int = NONE
    """Receive time of the first report that answers it now: of the first of its revisions."""
    named: int = NONE
    """The instant by which it was answered, where reports name one; NONE without."""
    reply: int = 0
    """The highest revision of an answer."""
    planned: int = NONE
    """The due instant that an approved plan puts in place, if it came in time."""
    revision: int = 0
    """The highest of a document that starts it, whose facts `said` holds; 0: `said` is of answers, if of any."""
    said: str = ""
    """What `only` and `within` ask of it, as JSON; a list where its reports say different things, empty while nothing is known of it."""
    by: str | tuple[str, ...] = ""
    """The reports that it is made of (`type id`, as the book has them); most have one alone."""
    documents: tuple[tuple[str, str], ...] = ()
    """Kind of record and id of those that it was made of, the first one first."""
    is_unknown: bool = False
    """It runs, and no calendar holds the working days that it takes."""

    @property
    def judged(self) -> int:
        """Return what decides whether it was in time: receipt, or the later instant that the answer names; NONE: no answer."""
        return NONE if self.answered == NONE else max(self.answered, self.named)

    @property
    def reports(self) -> tuple[str, ...]:
        """Return the reports that it is made of, the one that was added last behind the others."""
        return self.by if isinstance(self.by, tuple) else (self.by,) if self.by else ()

    @reports.setter
    def reports(self, names: tuple[str, ...]) -> None:
        self.by = names if len(names) > 1 else names[0] if names else ""

    @property
    def is_idle(self) -> bool:
        """Say whether it may go out: it neither runs nor stands, and nothing is due."""
        waits = self.is_unknown and self.answered == NONE
        return self.due == NEVER and not waits and self.standing is None

    def use(self, start: int) -> int:
        """Return how often an alarm was raised with a start, this time included."""
        uses = dict(self.uses)
        times = uses.pop(start, 0) + 1
        self.uses = {**uses, start: times}
        while len(self.uses) > MAX_SEEN:
            del self.uses[next(iter(self.uses))]
        return times

    def note(self, read: tuple[str, str]) -> None:
        """Note a document that it was made of: the first one stays, of the others the newest."""
        if read not in self.documents:
            self.documents = (*self.documents[:1], *(*self.documents[1:], read)[1 - MAX_DOCUMENTS :])


class Cases(dict[str, Clock]):
    """The clocks of one rule, by subject as text; the one that was touched last stands last."""

    def __init__(self) -> None:
        super().__init__()
        self.bases: dict[str, Sum] = {}
        """What clocks were told by visits, and by reports that have gone out."""
        self.idle: dict[str, None] | None = None
        """Those that may go out, first the one that was touched longest ago; made when room is asked for first. Follows from the rest."""

    def touch(self, subject: str, clock: Clock) -> None:
        """Put a clock behind all others."""
        self.pop(subject, None)
        self[subject] = clock
        if self.idle is not None:
            self.idle.pop(subject, None)
            if clock.is_idle:
                self.idle[subject] = None

    def make_room(self) -> bool:
        """Let the clock that is idle and was touched longest ago go out; False: there is none."""
        if self.idle is None:
            self.idle = {subject: None for subject, clock in self.items() if clock.is_idle}
        gone = next(iter(self.idle), None)
        if gone is None:
            return False
        del self[gone], self.idle[gone]
        self.bases.pop(gone, None)
        return True


@dataclass(slots=True)
class Clocks:
    """Everything that is kept of submitted reports."""

    since: dict[str, int] = field(default_factory=dict)
    """Rule that asks for yearly reports -> when the register first held something that it asks of: nothing is owed for the time before."""
    book: Book = field(default_factory=Book)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))
    cases: dict[str, Cases] = field(default_factory=dict)
    closed: list[tuple[int, int]] = field(default_factory=list)
    """Times in which the front door was closed, ms; the newest."""
    days: tuple[tuple[str, str], WorkingDays | None] | None = None
    """Working days by packs and jurisdiction, once they were asked for; follows from these."""
    _heap: list[tuple[int, str, str]] = field(default_factory=list)
    """(due, rule, subject), also of what is no longer due then; follows from the rest."""
    _awaited: int = 0
    """Clocks that have a due instant; follows from the rest."""

    @property
    def due(self) -> int:
        """Return the earliest decision by the clock."""
        first = self.first
        return NEVER if first is None else first[0]

    @property
    def first(self) -> tuple[int, str, str] | None:
        """Return what is decided first by the clock, as (due, rule, subject): of one instant in the order of rule and subject."""
        while self._heap:
            due, rule, subject = self._heap[0]
            clock = self.cases.get(rule, _NONE).get(subject)
            if clock is not None and clock.due == due:
                return self._heap[0]
            heapq.heappop(self._heap)
        return None

    def put(self, rule: str, subject: str, clock: Clock, due: int) -> None:
        """Let a clock be decided next at `due`."""
        if clock.due == due:
            return
        self._awaited += (due != NEVER) - (clock.due != NEVER)
        clock.due = due
        if due != NEVER:
            heapq.heappush(self._heap, (due, rule, subject))
            if len(self._heap) > 2 * self._awaited + SPARE:
                self._tidy()

    def _tidy(self) -> None:
        """Make the heap of what is due alone: what was put off again and again would fill it."""
        self._heap = [
            (c.due, rule, s) for rule, cases in self.cases.items() for s, c in cases.items() if c.due != NEVER
        ]
        self._awaited = len(self._heap)
        heapq.heapify(self._heap)

    def of(self, rule: str) -> Cases:
        """Return the clocks of a rule, by subject."""
        return self.cases.get(rule, _NONE)

    def clock(self, rule: str, subject: str) -> Clock | None:
        """Return the clock of a case; a new one if there is room. None: left out, and counted.

        Whoever asks for it calls `Cases.touch` when it is done with it.
        """
        cases = self.cases.setdefault(rule, Cases())
        clock = cases.get(subject)
        if clock is None:
            if len(cases) >= MAX_CLOCKS:
                if not cases.make_room():
                    self.counts["clock_left_out"] += 1
                    return None
                self.counts["clock_dropped"] += 1
            clock = cases[subject] = Clock()
        return clock

    def vacate(self, rule: str) -> None:
        """Forget the clocks of a rule, but what tells a later alarm from an earlier one."""
        kept = Cases()
        for subject, clock in self.cases.pop(rule, Cases()).items():
            self._awaited -= clock.due != NEVER
            if clock.uses:
                kept[subject] = Clock(uses=clock.uses)
        if kept:
            self.cases[rule] = kept

    def pack(self) -> PackedClocks:
        """Return the members for a snapshot, in the order in which they are kept."""
        clocks: list[PackedClock] = [
            (
                rule, subject, c.start, c.answered, c.named, c.reply, c.planned, c.revision, c.said, list(c.documents),
                c.is_unknown, None if c.last is None else c.last.pack(), list(c.uses.items()), c.due,
            )
            for rule, cases in sorted(self.cases.items())
            for subject, c in cases.items()
        ]  # fmt: skip
        counts = [(name, number) for name, number in self.counts.items() if number]
        return (sorted(self.since.items()), self.book.pack(), counts, clocks, list(self.closed))

    def pack_sayings(self) -> PackedSayings | None:
        """Return what reports say, and which of them each clock is made of, in the order of `pack`; None where nothing is kept of any."""
        places = {name: i for i, name in enumerate(self.book.reports)}
        by: list[int | list[int]] = []
        bases = []
        for rule, cases in sorted(self.cases.items()):
            bases += [(rule, subject, base.pack()) for subject, base in cases.bases.items()]
            for clock in cases.values():
                found = [places[name] for name in clock.reports]
                by.append(found if len(found) > 1 else found[0] if found else -1)
        if not self.book.size and not bases:
            return None
        return (self.book.pack_said(), by, bases)

    @property
    def are_nothing(self) -> bool:
        """Say whether nothing was ever kept: then a snapshot does not hold it."""
        kept = self.since or self.book.reports or self.cases or self.closed
        return not kept and not any(self.counts.values())


_NONE = Cases()


def unpack(packed: PackedClocks, sayings: PackedSayings | None = None) -> Clocks:
    """Return what packed members say.

    Raises:
        ValueError: a clock without a subject, revisions that are cut short, or clocks that are made of reports that are not there.
    """
    since, reports, counts, clocks, closed = packed
    said_of, by, bases = sayings or ([], [], [])
    found = Clocks(
        dict(since), Book.unpack(reports, said_of), dict.fromkeys(COUNTERS, 0) | dict(counts), closed=[*closed]
    )
    if by and len(by) != len(clocks):
        raise ValueError("clocks are made of reports of more or fewer")
    read: dict[tuple[str, str], tuple[str, str]] = {}
    names = list(found.book.reports)
    for place, (
        rule, subject, start, answered, named, reply, planned, revision, said, documents, unknown, last, uses, due
    ) in enumerate(clocks):  # fmt: skip
        subject_of(subject)  # a snapshot that names no subject is none
        subject = sys.intern(subject)  # noqa: PLW2901 - each report is one case of several rules
        clock = Clock(
            last=None if last is None else Occurrence.unpack(last), uses=dict(uses) if uses else _NO_USES, start=start,
            answered=answered, named=named, reply=reply, planned=planned, revision=revision, said=sys.intern(said),
            documents=tuple(read.setdefault(one, one) for one in documents), is_unknown=unknown,
        )  # fmt: skip
        if by:
            clock.reports = _named(by[place], names)
        found.cases.setdefault(rule, Cases())[subject] = clock
        found.put(rule, subject, clock, due)
    for rule, subject, base in bases:
        if subject not in found.of(rule):
            raise ValueError(f"what was told of a clock of {rule} that is not there")
        found.of(rule).bases[subject] = Sum.unpack(base)
    return found


def _named(places: int | list[int], names: list[str]) -> tuple[str, ...]:
    found = places if isinstance(places, list) else [] if places < 0 else [places]
    if not all(0 <= one < len(names) for one in found):
        raise ValueError("a clock is made of a report that is not there")
    return tuple(names[one] for one in found)
