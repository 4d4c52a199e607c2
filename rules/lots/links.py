"""What is known of a lot's online sales and of telemetry that belongs to its shipments, by trip; and the time in which a sale is dark (ADR 0076).

It is a function of the set of facts within the bounds: of equal ones the earliest receipt counts, whatever order they come in.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec

from rules.changes import Verdict
from rules.layout import NEVER, NONE
from rules.lots.cases import Item
from rules.lots.facts import Dark, Lit
from rules.lots.spell import Spell

if TYPE_CHECKING:
    from rules.lots.facts import LotFact
    from rules.lots.rows import Evidence
    from rules.rule import LotFollowUpRule

MAX_TRIPS: Final = 256
"""Trips of a lot with dark sales: behind it sales of further ones are left out and counted; so are those of one trip behind as many."""
MAX_LIT: Final = 5_000
"""Shipments of a lot that are lit: the one that was sent first goes out."""
_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)]
PackedLink: TypeAlias = tuple[str, str, str, _At, _At, str, str]
"""Kind, trip, facility, when it was sold or sent, receipt (ms), record."""
Told: TypeAlias = "tuple[int, Evidence]"
"""Receipt (ms) and record."""


@dataclass(slots=True)
class Links:
    """The sales and shipments of one lot. Instants in ms; an empty trip: none is named."""

    dark: dict[str, dict[tuple[int, str], Told]] = field(default_factory=dict)
    """Trip -> when it was sold, and by whom -> when that was found to be dark."""
    lit: dict[tuple[str, int, str], Told] = field(default_factory=dict)
    """Trip, when it was sent, by whom -> when telemetry of it was known."""
    sent: list[tuple[int, str, str]] = field(default_factory=list)
    """The same by when it was sent; follows from `lit`, as does the next."""
    by_trip: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    left_out: int = 0
    """Dark sales for which there was no room."""

    def knows(self, fact: LotFact) -> bool:
        """Say whether all that a fact tells is known."""
        told, made = fact.told, (fact.received, (fact.record.kind, fact.record.id))
        if isinstance(told, Dark):
            before = self.dark.get(told.trip or "", {}).get((told.sold_at, fact.facility))
        else:
            before = self.lit.get((_trip_of(fact), fact.at, fact.facility))
        return before is not None and before <= made

    def take(self, fact: LotFact) -> bool:
        """Take a fact that is not known; says whether there was room for it."""
        told, made = fact.told, (fact.received, (fact.record.kind, fact.record.id))
        trip = _trip_of(fact)
        if isinstance(told, Dark):
            sales, key = self.dark.get(trip), (told.sold_at, fact.facility)
            full = len(self.dark) >= MAX_TRIPS if sales is None else len(sales) >= MAX_TRIPS and key not in sales
            if full:
                self.left_out += 1
                return False
            self.dark.setdefault(trip, {})[key] = made
            return True
        self._light(trip, fact.at, fact.facility, made)
        return True

    def _light(self, trip: str, sent: int, facility: str, made: Told) -> None:
        if (trip, sent, facility) not in self.lit:
            insort(self.sent, (sent, trip, facility))
            insort(self.by_trip.setdefault(trip, []), (sent, facility))
        self.lit[trip, sent, facility] = made
        if len(self.lit) > MAX_LIT:
            sent, trip, facility = self.sent.pop(0)
            del self.lit[trip, sent, facility]
            of = self.by_trip[trip]
            del of[0]
            if not of:
                del self.by_trip[trip]

    def facilities(self) -> set[str]:
        """Return who told any of it."""
        return {who for sales in self.dark.values() for _, who in sales} | {who for _, _, who in self.lit}

    def items_of(self, trip: str, rule: LotFollowUpRule) -> list[Item]:
        """Return the dark sales of a trip, by when they were sold, each with its telemetry; TRUE where none was known when it was found.

        `against` is when telemetry was known first (log time, ms), NEVER: it is not.
        """
        items = []
        for (sold, facility), (found, record) in sorted(self.dark.get(trip, {}).items()):
            near = self.by_trip.get(trip, [])
            low, high = bisect_left(near, (sold - rule.within,)), bisect_right(near, (sold + rule.within + 1,))
            lit, by, proof = min(
                ((*self.lit[trip, sent, who][:1], who, self.lit[trip, sent, who][1]) for sent, who in near[low:high]),
                default=(NEVER, "", ("", "")),
            )
            told = [(record, facility), *([(proof, by)] if lit != NEVER else [])]
            records, tellers = tuple(one for one, _ in told), tuple(who for _, who in told)
            verdict = Verdict.FALSE if lit < found else Verdict.TRUE
            items.append(Item(sold, facility, trip, verdict, lit, records, tellers, received=found))
        return items

    def spells_of(self, trip: str, rule: LotFollowUpRule) -> list[Spell]:
        """Return the times in which some sale of a trip is dark, by start; those that overlap or touch are one."""
        spells: list[Spell] = []
        joined: list[Item] = []
        end = NONE
        for item in self.items_of(trip, rule):
            if item.verdict is not Verdict.TRUE:
                continue
            if joined and item.at + rule.within > end:
                spells.append(_spell(trip, joined, end, rule.within))
                joined, end = [], NONE
            joined.append(item)
            end = max(end, item.against, item.at + rule.within)
        if joined:
            spells.append(_spell(trip, joined, end, rule.within))
        return spells

    def pack(self) -> list[PackedLink]:
        """Return the members for a snapshot, by kind, trip and time."""
        dark = [
            ("dark", trip, who, sold, at, *record)
            for trip, sales in sorted(self.dark.items())
            for (sold, who), (at, record) in sorted(sales.items())
        ]
        lit = [("lit", trip, who, sent, at, *record) for (trip, sent, who), (at, record) in sorted(self.lit.items())]
        return [*dark, *lit]

    @classmethod
    def unpack(cls, packed: list[PackedLink], left_out: int) -> Links:
        """Return what packed members say."""
        found = cls(left_out=left_out)
        for kind, trip, who, sent, at, *record in packed:
            made = (at, (record[0], record[1]))
            if kind == "dark":
                found.dark.setdefault(trip, {})[sent, who] = made
            else:
                found._light(trip, sent, who, made)
        return found


def _trip_of(fact: LotFact) -> str:
    return (fact.told.trip if isinstance(fact.told, Dark | Lit) else None) or ""


def _spell(trip: str, joined: list[Item], end: int, within: int) -> Spell:
    start = joined[0].at + within
    who = max(item.facility for item in joined if item.at == joined[0].at)
    everyone = tuple(sorted({item.facility for item in joined}))
    return Spell(start, NONE if end == NEVER else end, who, everyone, tuple(joined), trip=trip)
