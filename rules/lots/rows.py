"""Rows of the books of a lot: what moved, stops, what reports say; how rows of moves are folded together."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec

from rules.layout import NEVER, NONE
from rules.lots.facts import Notice

if TYPE_CHECKING:
    from rules.lots.facts import Case, LotFact, Read

WORDS: Final = ("death", "serious", "other")
"""Seriousness of a case, in the order of `OfReport.heard`."""
UNHEARD: Final = (NEVER, NEVER, NEVER)
At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)]
Some: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
Many: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Exact: TypeAlias = int | Fraction
"""A quantity as it is written in decimals."""
Evidence: TypeAlias = tuple[str, str]
"""Kind and id of a record of the log."""
PackedMove: TypeAlias = tuple[str, str, At, At, str, Some, str, bool, Some, str, At, str, str]
PackedStops: TypeAlias = tuple[str, At, Evidence, At, Evidence, bool]
PackedNotice: TypeAlias = tuple[str, str, Some, bool, str, Many, At, At]
PackedCase: TypeAlias = tuple[str, str, Some, bool, str, str, At, tuple[At, At, At]]
PackedDecision: TypeAlias = tuple[str, str, At, str]


@dataclass(slots=True)
class Move:
    """Something of a lot that a facility made, got or gave; several of them where they were folded together. Instants in ms."""

    facility: str
    type: str
    first: int
    last: int
    quantity: Exact
    count: int
    to: str
    """The facility that it goes to, else nothing."""
    came: bool
    """Of a return: it came to the facility that tells it."""
    n: int
    digest: str
    """Of the event; empty where several are folded together."""
    received: int
    """When the record that told it was received, of several the newest: an officer's decision is done with what had come."""
    record: Evidence

    @property
    def order(self) -> tuple[int, str, str, str, int]:
        """Return where it stands among others, whatever order they came in."""
        return (self.first, self.facility, self.type, self.digest, self.n)

    def pack(self) -> PackedMove:
        """Return the members for a snapshot."""
        return (
            self.facility, self.type, self.first, self.last, str(self.quantity), self.count, self.to, self.came, self.n,
            self.digest, self.received, *self.record,
        )  # fmt: skip

    @classmethod
    def unpack(cls, row: PackedMove) -> Move:
        """Return what packed members say.

        Raises:
            ValueError: its quantity is no number.
        """
        facility, kind, first, last, quantity, count, to, came, n, digest, received, *record = row
        return cls(
            facility, kind, first, last, plain(Fraction(quantity)), count, to, came, n, digest, received,
            (record[0], record[1]),
        )  # fmt: skip


@dataclass(slots=True)
class Stops:
    """When a facility knew that a lot must not move, by its own orders: the earliest that says when, and the earliest that does not. Instants in ms, NEVER: none."""

    known: int = NEVER
    by: Evidence = ("", "")
    told: int = NEVER
    """When one that does not say it happened: it was known by then."""
    told_by: Evidence = ("", "")
    recalled: bool = False
    """One that does not say when is of a recall, or does not say of what: then the holder's notice was known when it was given."""


@dataclass(frozen=True, slots=True)
class OfReport:
    """What a report says of the lot, as its highest revision has it."""

    revision: int
    named: bool
    key: str
    """The recall, or the case."""
    word: str
    """The seriousness of a case, the class of a recall."""
    decided: int
    """Of a recall when it was decided, ms; NONE of a case."""
    at: int
    """When the chain was told, or the case was known, ms."""
    heard: tuple[int, int, int] = UNHEARD
    """Of a case, by `WORDS`: the earliest receipt of a revision that says so (ms; NEVER: none does)."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """A revision that took the place of the one before."""

    facility: str
    report: str
    before: OfReport
    after: OfReport


def order_of(move: Move) -> tuple[int, str, str, str, int]:
    """Return where a move stands among others."""
    return move.order


def plain(quantity: Fraction) -> Exact:
    """Return a whole number as one: most are, and they are added faster."""
    return quantity.numerator if quantity.denominator == 1 else quantity


def evidence_of(read: Read) -> Evidence:
    """Return a record as evidence names it."""
    return (read.kind, read.id)


def heard_of(fact: LotFact, told: Notice | Case, before: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return when each seriousness was said first, by a further revision of a case."""
    if isinstance(told, Notice) or not told.named:
        return before
    death, serious, other = (
        min(at, fact.received) if word == told.seriousness else at for word, at in zip(WORDS, before, strict=True)
    )
    return death, serious, other


def together(sum_of: Move | None, row: Move, to: str) -> Move:
    """Return a row with a further one folded into it, or the first one as such a row."""
    if sum_of is None:
        return Move(
            row.facility, row.type, row.first, row.last, row.quantity, row.count, to, row.came, row.n, "", row.received,
            row.record,
        )  # fmt: skip
    newer = row if (row.last, row.n) > (sum_of.last, sum_of.n) else sum_of
    return Move(
        row.facility, row.type, min(sum_of.first, row.first), max(sum_of.last, row.last), sum_of.quantity + row.quantity,
        sum_of.count + row.count, to, row.came, max(sum_of.n, row.n), "",
        max(sum_of.received, row.received), newer.record,
    )  # fmt: skip
