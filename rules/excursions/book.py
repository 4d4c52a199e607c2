"""What the fold keeps of excursions and deviations: bounded, in the snapshot, the same bytes after a restart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import msgspec

from rules.excursions.index import Index
from rules.layout import NEVER, NONE
from rules.occurrence import Occurrence, Packed
from rules.rare.store import AnyCase

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_EXCURSIONS = 2_000
"""Excursions of one rule that are kept; the one that was untouched for longest goes, never one that is open, stands or is due."""
MAX_DEVIATIONS = 2_000
"""Deviations of one rule that are kept, in the same way. Where none may go, what comes new is left out."""
KEPT_MS = 532 * 86_400_000
"""So long behind its end an excursion is kept, and so long behind its receipt a deviation: an annual report of 30 April may count those of
the whole year before (`rules.kinds.summary.DAYS`)."""
COUNTERS = ("excursion_dropped", "excursion_left_out", "deviation_dropped", "deviation_left_out")
"""... and of claims `claim_dropped`, `claim_left_out`, of deviations in a unit that no reading has `deviation_unit`, of judgements
of an excursion for which no calendar says up to when it is to be reported `excursion_unknown`, where there are any."""

_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)]
_Some: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
PackedCase: TypeAlias = tuple[Packed | None, list[tuple[_At, _Some]], _At]
PackedExcursion: TypeAlias = tuple[
    str, str, str, str, str, _At, _At, int, float | None, float | None, bool, bool, PackedCase
]  # fmt: skip
PackedDeviation: TypeAlias = tuple[str, int, str, _At, _At, float, float, str, _At, _At, PackedCase]
PackedClaim: TypeAlias = tuple[
    str, int, str, _At, _At, list[tuple[str, float]], _At, _At, _At, PackedCase
]  # fmt: skip
PackedBook: TypeAlias = tuple[
    str, _At, list[PackedExcursion], list[PackedExcursion], list[PackedDeviation], list[tuple[str, _Some]]
]  # fmt: skip


@dataclass(slots=True)
class Excursion(AnyCase):
    """An alarm of a rule over series. Instants in event time, ms; `due` (of `AnyCase`) in log time."""

    alarm: str = ""
    rule: str = ""
    subject: str = ""
    """As text (rules/rare/store.py)."""
    tag: str = ""
    area: str = ""
    start: int = NONE
    end: int = NONE
    top: int = 0
    """The rank of the highest colour that it had."""
    peak: float | None = None
    """The value farthest from its limit, in the unit of the sensor."""
    beyond: float | None = None
    """How far that lies beyond the limit that was in force."""
    partly: bool = False
    """Not all of it was measured: it was unknown for a time, or it ended because nobody watched it any more."""
    retracted: bool = False

    @property
    def places(self) -> tuple[str, ...]:
        """Return its tag and its area, where it has them."""
        return tuple(name for name in (self.tag, self.area) if name)


@dataclass(slots=True)
class Deviation(AnyCase):
    """What a firm reported of an excursion, by the report's id; times in event time, ms."""

    id: str = ""
    revision: int = 0
    asset: str = ""
    begin: int = NONE
    end: int = NONE
    minutes: float = 0.0
    peak: float = 0.0
    unit: str = ""
    received: int = NONE
    """Of this revision, ms."""
    decided: int = NONE
    """When it was compared last, log time; NONE: not yet."""


@dataclass(slots=True)
class Claim(AnyCase):
    """What a report states of a time, by its id (rules/excursions/figures.py); times in event time, ms."""

    id: str = ""
    revision: int = 0
    asset: str = ""
    begin: int = NONE
    end: int = NONE
    stated: dict[str, float] = field(default_factory=dict)
    """By field; what it does not state is not there."""
    received: int = NONE
    """Of this revision, ms."""
    first: int = NONE
    """When this revision is compared first, log time ..."""
    decided: int = NONE
    """... and when it was last; NONE: not yet."""
    before: int = 0
    """The revision that was compared last, where this one was not yet; 0: it was, or none ever was."""


_Case = TypeVar("_Case", bound=AnyCase)


@dataclass(slots=True)
class Book:
    """Of one rule: the excursions that it heard of, and the deviations that came; both in the order in which they came."""

    since: int = NONE
    """When it began to listen, log time: nothing is known of what was before."""
    excursions: dict[str, Excursion] = field(default_factory=dict)
    """By alarm."""
    silences: dict[str, Excursion] = field(default_factory=dict)
    """Silences of single series, by alarm: of their time not all is known."""
    deviations: dict[str, Deviation] = field(default_factory=dict)
    """By id of the report."""
    claims: dict[str, Claim] = field(default_factory=dict)
    """By id of the report."""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))

    soonest: int = NEVER
    """The earliest instant for which one began to wait since somebody set this back; follows from the rest, as the next two do."""
    touched: bool = True
    """What was due first is not any more."""
    _due: int = NEVER
    _assets: Index = field(default_factory=Index, compare=False)
    """Deviations by what they name ..."""
    _places: Index = field(default_factory=Index, compare=False)
    """... excursions by tag and area ..."""
    _silent: Index = field(default_factory=Index, compare=False)
    """... and silences."""

    @property
    def due(self) -> int:
        """Return the earliest decision by the clock; it is asked behind every record, and looked for only where it has gone."""
        if self.touched:
            self._due, self.touched = min((case.due for case in self.cases()), default=NEVER), False
        return self._due

    def await_until(self, case: AnyCase, due: int) -> None:
        """Let the clock decide a case at `due`, log time, ms; NEVER: not at all."""
        if case.due == self._due and due > case.due:
            self.touched = True
        if due != case.due:
            self.soonest = min(self.soonest, due)
        case.due, self._due = due, min(self._due, due)

    def cases(self) -> Iterator[AnyCase]:
        """Yield what may be due."""
        yield from self.excursions.values()
        yield from self.deviations.values()
        yield from self.claims.values()

    def forget(self, now: int) -> None:
        """Let go what is too old to be compared."""
        old = now - KEPT_MS
        for of in (self.excursions, self.silences):
            for alarm in [a for a, x in of.items() if x.end < old and _may_go(x)]:
                del of[alarm]
                (self._places if of is self.excursions else self._silent).strike(alarm)
        for name in [n for n, d in self.deviations.items() if d.received < old and _may_go(d)]:
            del self.deviations[name]
            self._assets.strike(name)
        self.claims = {name: one for name, one in self.claims.items() if one.received >= old or not _may_go(one)}

    def keep_excursion(self, one: Excursion, *, silent: bool) -> bool:
        """Keep an excursion or a silence as the one that was touched last; False: there is no room for it."""
        of, index = (self.silences, self._silent) if silent else (self.excursions, self._places)
        return self._keep(of, index, one.alarm, one, MAX_EXCURSIONS, "excursion", one.places)

    def keep_deviation(self, said: Deviation) -> bool:
        """Keep a deviation as the one that was touched last; False: there is no room for it."""
        return self._keep(self.deviations, self._assets, said.id, said, MAX_DEVIATIONS, "deviation", (said.asset,))

    def keep_claim(self, said: Claim) -> bool:
        """Keep a claim as the one that was touched last; False: there is no room for it."""
        return self._keep(self.claims, Index(), said.id, said, MAX_DEVIATIONS, "claim", ())

    def _keep(
        self, of: dict[str, _Case], index: Index, name: str, case: _Case, most: int, what: str, names: tuple[str, ...]
    ) -> bool:
        if of.pop(name, None) is None and len(of) >= most:
            idle = next((key for key, each in of.items() if _may_go(each)), None)
            counter = f"{what}_left_out" if idle is None else f"{what}_dropped"
            self.counts[counter] = self.counts.get(counter, 0) + 1
            if idle is None:
                return False
            del of[idle]
            index.strike(idle)
        of[name] = case
        index.put(name, names)
        return True

    @property
    def indexes(self) -> tuple[Index, Index, Index]:
        """Return what excursions, silences and deviations are looked up by; all of it follows from these."""
        return self._places, self._silent, self._assets

    def naming(self, assets: Iterable[str]) -> list[Deviation]:
        """Return the deviations of some assets, in the order in which they came."""
        return [self.deviations[name] for name in self._assets.of(assets)]

    def at(self, places: Iterable[str]) -> list[Excursion]:
        """Return the excursions of some tags and areas, in the order in which they were touched."""
        return [self.excursions[alarm] for alarm in self._places.of(places)]

    def silent_at(self, tags: Iterable[str]) -> list[Excursion]:
        """Return the silences of some tags, and of areas that are named like one."""
        return [self.silences[alarm] for alarm in self._silent.of(tags)]

    def pack(self, rule: str) -> PackedBook:
        """Return the members for a snapshot."""
        excursions, silences = (
            [
                (
                    x.alarm, x.rule, x.subject, x.tag, x.area, x.start, x.end, x.top, x.peak, x.beyond, x.partly, x.retracted,
                    _packed(x),
                )
                for x in of.values()
            ]
            for of in (self.excursions, self.silences)
        )  # fmt: skip
        deviations = [
            (d.id, d.revision, d.asset, d.begin, d.end, d.minutes, d.peak, d.unit, d.received, d.decided, _packed(d))
            for d in self.deviations.values()
        ]
        return (
            rule,
            self.since,
            excursions,
            silences,
            deviations,
            [(n, count) for n, count in self.counts.items() if count],
        )


def unpack(packed: PackedBook) -> tuple[str, Book]:
    """Return the rule and the book of its packed members."""
    rule, since, excursions, silences, deviations, counts = packed
    book = Book(since, counts=dict.fromkeys(COUNTERS, 0) | dict(counts))
    of_excursions, of_silences, of_deviations = book.indexes
    for kept, index, rows in (
        (book.excursions, of_excursions, excursions), (book.silences, of_silences, silences),
    ):  # fmt: skip
        for alarm, of, subject, tag, area, start, end, top, peak, beyond, partly, retracted, case in rows:
            one = Excursion(
                alarm=alarm, rule=of, subject=subject, tag=tag, area=area, start=start, end=end, top=top, peak=peak,
                beyond=beyond, partly=partly, retracted=retracted,
            )  # fmt: skip
            _put_back(one, case)
            kept[alarm] = one
            index.put(alarm, one.places)
    for name, revision, asset, begin, end, minutes, peak, unit, received, decided, case in deviations:
        said = Deviation(
            id=name, revision=revision, asset=asset, begin=begin, end=end, minutes=minutes, peak=peak, unit=unit,
            received=received, decided=decided,
        )  # fmt: skip
        _put_back(said, case)
        book.deviations[name] = said
        of_deviations.put(name, (said.asset,))
    return rule, book


def pack_claims(books: Iterable[tuple[str, Book]]) -> list[tuple[str, list[PackedClaim]]]:
    """Return the claims of some books for a snapshot, by rule; of rules that have any."""
    return [
        (rule, [
            (c.id, c.revision, c.asset, c.begin, c.end, list(c.stated.items()), c.received, c.first, c.decided, _packed(c))
            for c in book.claims.values()
        ])
        for rule, book in books if book.claims
    ]  # fmt: skip


def pack_before(books: Iterable[tuple[str, Book]]) -> list[tuple[str, list[tuple[str, int]]]]:
    """Return the claims of some books that were revised and not compared since, with the revision that was, by rule."""
    found = [(rule, [(c.id, c.before) for c in book.claims.values() if c.before]) for rule, book in books]
    return [(rule, ones) for rule, ones in found if ones]


def unpack_before(packed: Iterable[tuple[str, list[tuple[str, int]]]], books: dict[str, Book]) -> None:
    """Put back which revisions of claims were compared last."""
    for rule, rows in packed:
        for name, before in rows:
            books[rule].claims[name].before = before


def unpack_claims(packed: Iterable[tuple[str, list[PackedClaim]]], books: dict[str, Book]) -> None:
    """Put packed claims into their books."""
    for rule, rows in packed:
        for name, revision, asset, begin, end, stated, received, first, decided, case in rows:
            said = Claim(
                id=name, revision=revision, asset=asset, begin=begin, end=end, stated=dict(stated), received=received,
                first=first, decided=decided,
            )  # fmt: skip
            _put_back(said, case)
            books[rule].claims[name] = said


def _may_go(case: AnyCase) -> bool:
    is_open = isinstance(case, Excursion) and case.end == NONE and not case.retracted
    return case.standing is None and case.due == NEVER and not is_open


def _packed(case: AnyCase) -> PackedCase:
    return (None if case.last is None else case.last.pack(), list(case.uses.items()), case.due)


def _put_back(case: AnyCase, packed: PackedCase) -> None:
    last, uses, case.due = packed
    case.last, case.uses = None if last is None else Occurrence.unpack(last), dict(uses)
