"""What a firm declares of its series: marks by id and revision, and which of them cover a series at an instant (ADR 0042).

A mark says of a span of event time that a sensor or an area is in maintenance, calibration, faulty, stopped, without a link, or set by
hand. It hides nothing: rows are kept, and rules whose subject is the data themselves go on. What it does to rows: rules/remarking.py.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right, insort
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from rules.canonical import canonical_bytes
from rules.layout import MARKED_ROW, NEVER, NONE, SET_ROW
from rules.stays import Stay, moved, while_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from rules.records import Mark
    from rules.register import Facility

TIMELY_MS = 24 * 3_600_000
"""A mark that comes later than this after the beginning of the state counts only for rows that come after it (settled.md, workflow.md §3.1; own)."""
KEPT_MS = 62 * 24 * 3_600_000
"""A mark is forgotten so long after the end of its state: shares of marked hours are those of a month."""
MAX_MARKS = 2_000
"""Marks of a facility; beyond these the one whose state ended first is forgotten, and counted ..."""
MAX_COVERED = 50_000
"""... and so beyond so many tags named by all of them together."""
MAX_PAST, MAX_PAST_COVERED = 2_000, 50_000
"""Numbers that are known of marks which do not hold any more, and tags that these name together: beyond these the one goes that came first."""
COVERS: Mapping[str, int] = {
    "maintenance": MARKED_ROW,
    "calibration": MARKED_ROW,
    "fault": MARKED_ROW,
    "stopped": MARKED_ROW,
    "set_value": SET_ROW,
}
"""Flag -> the quality that a good row has under it. `comms` is none: what a gateway sends once the link is back was measured."""

SET, MARKED = frozenset({"set_value"}), frozenset(COVERS) - {"set_value"}
"""Flags of rows that were set, and of rows that are marked."""

Spans: TypeAlias = tuple[list[int], list[int]]
_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)]
PackedMark: TypeAlias = tuple[str, Annotated[int, msgspec.Meta(ge=1)], str, list[str], str, str, _At, _At, _At]
PackedMarks: TypeAlias = tuple[
    list[PackedMark],
    list[tuple[str, int]],
    list[tuple[str, str, str, list[tuple[Annotated[int, msgspec.Meta(ge=0, le=1)], _At]]]],
]
"""In a snapshot: marks by id, counters, instances and the rows that they take as they were folded."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """The newest revision of a mark; `begin` and `end` are event times (ms), both inside, `end` NEVER while it is open."""

    id: str
    revision: int
    digest: str
    tags: tuple[str, ...]
    """Empty where it names an area."""
    area: str
    flag: str
    begin: int
    end: int
    received: int

    @property
    def name(self) -> str:
        """Return how evidence names it."""
        return f"{self.id}/{self.revision}"

    @property
    def names_of(self) -> tuple[str, ...]:
        """Return under which names it stands in the book: its tags, or its area behind a space, which no tag has."""
        return self.tags or (f" {self.area}",)

    @property
    def is_timely(self) -> bool:
        """Say whether it came within a day of the beginning of the state."""
        return self.received - self.begin <= TIMELY_MS

    def pack(self) -> PackedMark:
        """Return the members for a snapshot."""
        return (
            self.id, self.revision, self.digest, list(self.tags), self.area, self.flag, self.begin, self.end, self.received,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """A mark, and the span (event times, both inside) in which it is about a series."""

    mark: Declaration
    begin: int
    end: int


@dataclass(slots=True)
class Marks:
    """The marks of a facility."""

    by_id: dict[str, Declaration] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    standing: dict[tuple[int, str, str], set[tuple[int, int]]] = field(default_factory=dict)
    """Instance (kind and key) -> rows of the horizon (which input, event time) that it takes as they were folded: it had told something of them,
    or of what lies behind them, before the mark came, and that stands."""
    stays: dict[str, list[Stay]] = field(default_factory=dict)
    """Tag -> where its sensor stood, of those that moved (rules/stays.py)."""
    past: dict[str, Declaration] = field(default_factory=dict)
    """The newest revision of each mark that is forgotten, or began too long ago to hold: its number is known, and an older one does not
    come into force again. The one that came in last stands last."""
    dropped: bool = False
    """The newest mark pushed others out."""
    _past_covered: int = 0
    """Tags that `past` names together."""
    _named: dict[str, list[Declaration]] | None = None
    """Tag or ` area` -> its marks, by beginning; made where it is asked for first."""
    _spans: dict[tuple[str, str], dict[frozenset[str], Spans]] = field(default_factory=dict)
    """Where marks of some flags cover a series, those that hang together in one; by tag (empty: none names it alone) and area."""
    _asked: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """Tag or ` area` -> which of them hang on its marks."""

    def known(self, name: str) -> Declaration | None:
        """Return the newest revision that is known of a mark, whether it holds or not."""
        return self.by_id.get(name) or self.past.get(name)

    def meet(self, mark: Mark, received: int) -> tuple[Declaration | None, Declaration] | None:
        """Take a mark; returns the revision that held before it and itself, or None where it changes nothing of what holds.

        Revisions count by number, in whatever order they come. The same number with other content is counted, and the first stays.

        Args:
            mark: as posted.
            received: its receive time, ms.
        """
        digest = digest_of(mark)
        before, known = self.by_id.get(mark.id), self.known(mark.id)
        self.counts["marks"] += 1
        if known is not None and mark.revision <= known.revision:
            if mark.revision < known.revision:
                self.counts["mark_superseded"] += 1
            else:
                self.counts["mark_repeated" if digest == known.digest else "mark_conflict"] += 1
            return None
        one = declaration_of(mark, received, digest)
        if before is None and one.begin < received - KEPT_MS:
            self.counts["mark_too_old"] += 1
            self._know([one])
            return None
        self._unknow(mark.id)
        self.by_id[mark.id], self.dropped = one, False
        forgotten = self._forget(received, one)
        self._know(forgotten)
        self._rebook(one, forgotten if before is None else [before, *forgotten])
        return before, one

    def _know(self, found: Iterable[Declaration]) -> None:
        """Note the numbers of marks that do not hold, or do no more."""
        for one in found:
            self._unknow(one.id)
            self.past[one.id] = one
            self._past_covered += len(one.tags)
        while len(self.past) > MAX_PAST or (self._past_covered > MAX_PAST_COVERED and len(self.past) > 1):
            self._unknow(next(iter(self.past)))
            self.counts["mark_number_dropped"] += 1

    def _unknow(self, name: str) -> None:
        gone = self.past.pop(name, None)
        self._past_covered -= 0 if gone is None else len(gone.tags)

    def _rebook(self, one: Declaration, gone: list[Declaration]) -> None:
        """Note one that came in the book of names, and strike out others; what covers the series that they name is looked up anew."""
        if self._named is None or len(gone) + len(one.tags) > len(self.by_id):
            self._named, self._spans, self._asked = None, {}, {}
            return
        for old in gone:
            for name in old.names_of:
                self._named[name].remove(old)
                if not self._named[name]:
                    del self._named[name]
        for name in one.names_of:
            insort(self._named.setdefault(name, []), one, key=_order)
        for name in {name for each in (one, *gone) for name in each.names_of}:
            for key in self._asked.pop(name, ()):
                self._spans.pop(key, None)

    def _forget(self, received: int, newest: Declaration) -> list[Declaration]:
        """Let go of marks whose state ended long ago, and of the oldest where there are too many; never of the one that came. Returns them."""
        gone = [one for one in self.by_id.values() if one.end < received - KEPT_MS and one is not newest]
        for one in gone:
            del self.by_id[one.id]
        covered = sum(len(one.tags) for one in self.by_id.values())
        if len(self.by_id) <= MAX_MARKS and covered <= MAX_COVERED:
            return gone
        for one in sorted(self.by_id.values(), key=lambda one: (one.end, one.begin, one.id)):
            if len(self.by_id) <= MAX_MARKS and covered <= MAX_COVERED:
                break
            if one is not newest:
                covered -= len(one.tags)
                del self.by_id[one.id]
                self.counts["mark_dropped"] += 1
                self.dropped = True
                gone.append(one)
        return gone

    def move(self, areas: Mapping[str, str], facility: Facility, at: int) -> None:
        """Note where sensors stand, now that a register or a fact of it comes into force.

        Args:
            areas: tag -> area of the sensors that were in force until now.
            facility: as it is registered now.
            at: when that comes into force, ms.
        """
        self.stays = moved(self.stays, areas, facility, at, KEPT_MS)
        self._spans, self._asked = {}, {}

    def about(self, one: Declaration, tag: str, area: str) -> list[tuple[int, int]]:
        """Return the parts of a mark that are about a series: of one that names an area those in which the sensor stood there.

        Args:
            one: a mark.
            tag: of the series.
            area: where its sensor stands now.

        Returns:
            Event times, both ends inside, by time and apart; nothing: it is not about it.
        """
        if one.tags:
            return [(one.begin, one.end)] if tag in one.tags else []
        stays = self.stays.get(tag)
        if stays is None:
            return [(one.begin, one.end)] if area == one.area else []
        return while_in(stays, one.area, one.begin, one.end)

    def overlaps(self, one: Declaration, tag: str, area: str, begin: int, end: int) -> bool:
        """Say whether a mark is about a series at an instant of a span, both ends inside."""
        return any(low <= end and begin <= high for low, high in self.about(one, tag, area))

    def parts(self, tag: str, area: str) -> list[Part]:
        """Return what marks are about a series, by the beginning of the marks."""
        return [Part(one, low, high) for one in self.of(tag, area) for low, high in self.about(one, tag, area)]

    def times(self, tag: str, area: str, flags: Collection[str]) -> list[tuple[int, int]]:
        """Return the time that marks with some flags take of a series: one that ends with a move reaches up to it."""
        return [
            (one.begin, one.end if one.end == one.mark.end else one.end + 1)
            for one in self.parts(tag, area)
            if one.mark.flag in flags
        ]

    def of(self, tag: str, area: str) -> list[Declaration]:
        """Return the marks that are about a series or a part of its time, by beginning."""
        book, stays = self._book(), self.stays.get(tag)
        if stays is not None:
            where = dict.fromkeys(stood for _, stood in stays)
            found = [*book.get(tag, []), *(one for stood in where for one in book.get(f" {stood}", []))]
            return sorted((one for one in found if self.about(one, tag, area)), key=_order)
        own, shared = book.get(tag, []), book.get(f" {area}", [])
        return sorted([*own, *shared], key=_order) if own and shared else own or shared

    def _book(self) -> dict[str, list[Declaration]]:
        if self._named is None:
            self._named = {}
            for one in sorted(self.by_id.values(), key=_order):
                for name in one.names_of:
                    self._named.setdefault(name, []).append(one)
        return self._named

    def free_from(self, tag: str, area: str, t: int, flags: Sequence[str]) -> int:
        """Return the first instant from `t` on (ms) that no mark of a series with one of the flags covers, NEVER while one is open."""
        if not flags or not self.by_id:
            return t
        begins, ends = self.spans(tag, area, flags)
        place = bisect_right(begins, t) - 1
        return min(ends[place] + 1, NEVER) if place >= 0 and t <= ends[place] else t

    def spans(self, tag: str, area: str, flags: Collection[str]) -> Spans:
        """Return begins and ends, both inside, of the spans in which marks of some flags cover a series, by time and apart."""
        wanted = frozenset(flags)
        own = tag if tag in self._book() or tag in self.stays else ""
        known = self._spans.get((own, area))
        if known is None:
            known = self._spans[own, area] = {}
            for name in (own, f" {area}", *(f" {stood}" for _, stood in self.stays.get(tag, ()))):
                self._asked.setdefault(name, set()).add((own, area))
        found = known.get(wanted)
        if found is None:
            begins: list[int] = []
            ends: list[int] = []
            parts = sorted((one.begin, one.end) for one in self.parts(tag, area) if one.mark.flag in wanted)
            for begin, end in parts:
                if ends and begin <= ends[-1] + 1:
                    ends[-1] = max(ends[-1], end)
                else:
                    begins.append(begin)
                    ends.append(end)
            found = known[wanted] = begins, ends
        return found

    @property
    def are_nothing(self) -> bool:
        """Say whether nothing was ever declared: a snapshot then has no such member."""
        return not self.by_id and not self.counts

    def pack(self, names: Mapping[int, str]) -> PackedMarks:
        """Return the members for a snapshot; `names` of the kinds, for a code may change."""
        return (
            [self.by_id[name].pack() for name in sorted(self.by_id)],
            sorted(self.counts.items()),
            sorted((names[kind], rule, name, sorted(rows)) for (kind, rule, name), rows in self.standing.items()),
        )

    @classmethod
    def unpack(cls, packed: PackedMarks, codes: Mapping[str, int], past: Sequence[PackedMark] = ()) -> Marks:
        """Return the marks of their packed members; `past`: those that do not hold."""
        found = cls(counts=Counter(dict(packed[1])))
        found.standing = {(codes[kind], rule, name): set(rows) for kind, rule, name, rows in packed[2]}
        found.by_id = {row[0]: _unpacked(row) for row in packed[0]}
        found._know(map(_unpacked, past))
        return found


def digest_of(mark: Mark) -> str:
    """Return the digest of all that a mark says."""
    return hashlib.sha256(canonical_bytes(mark.model_dump(mode="json", by_alias=True))).hexdigest()[:16]


def declaration_of(mark: Mark, received: int, digest: str = "") -> Declaration:
    """Return what a mark declares that came at `received` (ms); `digest` of all its content."""
    end = NEVER if mark.to is None else mark.to
    tags = tuple(sorted(set(mark.tags or ())))
    return Declaration(mark.id, mark.revision, digest, tags, mark.area or "", mark.flag, mark.from_, end, received)


def _unpacked(row: PackedMark) -> Declaration:
    name, revision, digest, tags, area, flag, begin, end, received = row
    return Declaration(name, revision, digest, tuple(tags), area, flag, begin, end, received)


def _order(one: Declaration) -> tuple[int, str]:
    return one.begin, one.id


def covering(t: int, parts: Sequence[Part]) -> list[Declaration]:
    """Return the marks that mark the rows of an instant (event time, ms)."""
    return [one.mark for one in parts if one.mark.flag in COVERS and one.begin <= t <= one.end]
