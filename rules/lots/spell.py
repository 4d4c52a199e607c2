"""One occurrence of a rule on a lot: a spell of time, what makes it hold, and the decision that ended it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rules.lots.cases import Item
    from rules.lots.portions import Rated
    from rules.lots.rows import Evidence
    from rules.lots.tally import Sum


@dataclass(frozen=True, slots=True)
class Closed:
    """The decision of an officer that ended a spell."""

    received: int
    """Log time, ms."""
    code: str
    record: Evidence


@dataclass(frozen=True, slots=True)
class Spell:
    """One occurrence; instants in ms, `end` NONE while it lasts."""

    start: int
    end: int
    facility: str
    """Of the newest of the facts by which it holds at its start: by event or known time, then by id."""
    facilities: tuple[str, ...]
    """All whose facts make it hold, sorted."""
    items: tuple[Item | Sum, ...]
    """What makes it hold, in the order of time."""
    use: int = 1
    """Which spell of this start and facility it is: what comes behind a decision may have the start of what it ended."""
    closed: Closed | None = None
    trip: str = ""
    """The trip that it is of; empty: of the lot as a whole, or of sales that name none."""

    lot: str = ""
    """The lot that it is of, where it was found of a product; empty: the lot whose facts are looked at."""
    rated: Rated | None = None
    """What the cases are held against at its start, where that is what the product lets expect."""

    @property
    def key(self) -> tuple[int, str, int, str]:
        """Return what makes its alarm's id; no alarm of a product is of a trip."""
        return (self.start, self.facility, self.use, self.lot or self.trip)
