"""Occurrences as published, and the comparison that late data needs: what was said against what now holds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from rules.changes import ChangeKind
from rules.layout import NONE

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

Time: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, lt=1 << 62)]
Colour: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=3)]
Packed: TypeAlias = tuple[
    str, Time, Time, Time, Colour, Colour, Time, Time, bool, bool, str | None, list[tuple[str, bool]], str, str
]
"""An occurrence in a snapshot: the members of `Occurrence`, in their order."""


class Told(IntEnum):
    """What the changes that went out say of an occurrence."""

    NOTHING = 0
    OPEN = 1
    UNKNOWN = 2
    ENDED = 3


@dataclass(slots=True)
class Occurrence:
    """One published occurrence of a rule on a subject; times in ms, `end` NONE while open."""

    alarm: str
    first_start: int
    """The start at its first raise: the id was made of it."""
    start: int
    end: int
    sev: int
    top: int
    opened: int
    """Event time of the newest row when it was raised."""
    closed: int = NONE
    """Event time of the newest row when it was cleared."""
    unknown: bool = False
    retracted: bool = False
    by: str | None = None
    """The alarm that suppresses it."""
    children: dict[str, bool] = field(default_factory=dict)
    """Alarms this one suppressed -> retracted since (groups only)."""
    version: str = ""
    packs: str = ""
    """The version of its rule and the packs that raised it: all its changes name them. Empty: raised before format 4 kept them."""
    filled: int = NONE
    """Of a closed silence: the event time (ms) up to which its rows leave no distance that is too long, where late ones count; NONE: none came."""
    told: Told = Told.NOTHING
    """Between records it follows from the other members; inside of one it lags behind them until the change is made."""
    hidden: str | None = None
    """The alarm that suppresses it by what was told; like `told`, it lags behind `by`."""

    @property
    def active(self) -> bool:
        """Say whether it is open and stands."""
        return self.end == NONE and not self.retracted

    def pack(self) -> Packed:
        """Return the members for a snapshot."""
        return (
            self.alarm, self.first_start, self.start, self.end, self.sev, self.top, self.opened, self.closed,
            self.unknown, self.retracted, self.by, list(self.children.items()), self.version, self.packs,
        )  # fmt: skip

    @classmethod
    def unpack(cls, row: Packed) -> Occurrence:
        """Return the occurrence of its packed members."""
        occurrence = cls(*row[:7])
        occurrence.closed, occurrence.unknown, occurrence.retracted, occurrence.by = row[7:11]
        occurrence.children, occurrence.version, occurrence.packs = dict(row[11]), row[12], row[13]
        if occurrence.active:
            occurrence.told = Told.UNKNOWN if occurrence.unknown else Told.OPEN
        else:
            occurrence.told = Told.ENDED
        occurrence.hidden = occurrence.by
        return occurrence

    def tell(self, kind: ChangeKind, by: str | None = None) -> None:
        """Note that a change of this kind went out, and by which alarm."""
        if kind in {ChangeKind.SUPPRESSED, ChangeKind.RELEASED}:
            self.hidden = by if kind is ChangeKind.SUPPRESSED else None
        if kind in {ChangeKind.CLEARED, ChangeKind.RETRACTED}:
            self.told = Told.ENDED
        elif kind is ChangeKind.UNKNOWN:
            self.told = Told.UNKNOWN
        elif kind in {ChangeKind.RAISED, ChangeKind.KNOWN}:
            self.told = Told.OPEN
        elif kind is ChangeKind.AMENDED:  # late data may open it again
            self.told = (Told.UNKNOWN if self.unknown else Told.OPEN) if self.active else Told.ENDED


@dataclass(slots=True)
class Folded:
    """One occurrence as the refold sees it."""

    start: int
    end: int
    sev: int
    top: int
    opened: int
    closed: int
    unknown: bool
    value: float
    """What raised it."""
    peak: float
    first: int
    """The batch of its first row."""
    closing: float = math.nan
    """What cleared it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One change that late data makes; `old` is None for a raise, `new` None for a retraction."""

    kind: ChangeKind
    old: Occurrence | None
    new: Folded | None
    into: str | None = None


def next_use(had: list[str], alarm_of: Callable[[int], str], most: int) -> int:
    """Return the use of a start that enters the next id: one more than the highest that ids with this start tell.

    Args:
        had: ids with this start that are still known.
        alarm_of: the id of a use.
        most: no use was higher: each was raised with a change of its own.
    """
    left, use = set(had), 0
    while left and use < most:
        use += 1
        left.discard(alarm_of(use))
    return 1 + (len(had) if left else use)


def prune(
    occurrences: list[Occurrence], tail_t: int, starts: Container[int] = (), windows: Sequence[tuple[int, int]] = ()
) -> list[Occurrence]:  # fmt: skip
    """Drop what lies behind the tail: it can neither change nor be raised under the same start again.

    One that was retracted while its condition is still pending is raised again with its start: those of `starts` stay. So do those
    decided in `windows`, behind the first event time of each and up to the last: open gaps (rules/opengaps.py).
    """
    return [
        o
        for o in occurrences
        if o.active
        or max(o.closed, o.opened, o.first_start) > tail_t
        or (o.retracted and o.first_start in starts)
        or any(low < max(o.closed, o.opened, o.first_start) and o.opened <= high for low, high in windows)
    ]


def book(stay: list[tuple[Occurrence, Folded]]) -> None:
    """Let occurrences that stay take the deciding rows of what was folded of each: the next comparison asks for those."""
    for old, new in stay:
        if new.opened != NONE:
            old.opened = new.opened
        old.closed = new.closed


def differences(
    published: list[Occurrence], folded: list[Folded], stay: list[tuple[Occurrence, Folded]] | None = None, *, booked: bool = True
) -> list[Difference]:  # fmt: skip
    """Return the changes that turn `published` into `folded`, ordered by start (docs/engine-semantics.md, "Late rows").

    `stay` takes what stays of `published`, each with what was folded of it, also where nothing is told of it. If `booked`, these take the
    deciding rows of that (`book`).
    """
    stay = [] if stay is None else stay
    left = sorted((o for o in published if not o.retracted), key=lambda o: o.start)
    matched: dict[int, Occurrence] = {}
    for exact in (True, False):
        for i, new in enumerate(folded):
            if i in matched:
                continue
            for old in left:
                if (old.start == new.start) if exact else _overlap(old, new):
                    matched[i] = old
                    left.remove(old)
                    break
    found: list[tuple[int, int, Difference]] = []
    for i, new in enumerate(folded):
        paired = matched.get(i)
        if paired is None:
            found.append((new.start, len(found), Difference(ChangeKind.RAISED, None, new)))
            continue
        stay.append((paired, new))
        found.extend((new.start, len(found) + k, d) for k, d in enumerate(_compare(paired, new)))
    if booked:
        book(stay)
    for old in left:
        into = next((matched[i].alarm for i, new in enumerate(folded) if i in matched and _overlap(old, new)), None)
        found.append((old.start, len(found), Difference(ChangeKind.RETRACTED, old, None, into)))
    return [difference for _, _, difference in sorted(found, key=lambda item: item[:2])]


def _compare(old: Occurrence, new: Folded) -> list[Difference]:
    kinds = []
    was_open, is_open = old.end == NONE, new.end == NONE
    colour_moved = (old.sev != new.sev) if is_open else (old.top != new.top)
    end_moved = was_open != is_open or old.end != new.end
    if old.start != new.start or colour_moved or (end_moved and not (was_open and not is_open)):
        kinds.append(ChangeKind.AMENDED)
    if is_open and old.unknown != new.unknown:
        kinds.append(ChangeKind.UNKNOWN if new.unknown else ChangeKind.KNOWN)
    if was_open and not is_open:
        kinds.append(ChangeKind.CLEARED)
    return [Difference(kind, old, new) for kind in kinds]


def _overlap(old: Occurrence, new: Folded) -> bool:
    old_end = old.end if old.end != NONE else 1 << 62
    new_end = new.end if new.end != NONE else 1 << 62
    return old.start < new_end and new.start < old_end
