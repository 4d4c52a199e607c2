"""What is known of a lot's online sales and of telemetry that belongs to its shipments, by trip; and the time in which a sale is dark (ADR 0076).

It is a function of the set of facts within the bounds: of equal ones the earliest receipt counts, whatever order they come in. The first
telemetry of each sale is kept, so that a fact costs a comparison for each sale within 24 hours, and a trip is decided again only where one of
these is another. All is looked at again where the first one goes out (`MAX_LIT`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec

from rules.changes import Verdict
from rules.layout import NEVER, NONE
from rules.lots.cases import Item
from rules.lots.facts import Dark, Lit
from rules.lots.sliding import least
from rules.lots.spell import Spell
from rules.lots.watches import WITHIN_MS

if TYPE_CHECKING:
    from collections.abc import Callable

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
Proof: TypeAlias = "tuple[int, str, Evidence]"
"""Receipt (ms), by whom, and record."""
Sale: TypeAlias = tuple[int, str]
"""When it was sold (ms), and by whom."""
_NONE_KNOWN: Final[Proof] = (NEVER, "", ("", ""))


@dataclass(slots=True)
class Links:
    """The sales and shipments of one lot. Instants in ms; an empty trip: none is named."""

    dark: dict[str, dict[Sale, Told]] = field(default_factory=dict)
    """Trip -> when it was sold, and by whom -> when that was found to be dark."""
    lit: dict[tuple[str, int, str], Told] = field(default_factory=dict)
    """Trip, when it was sent, by whom -> when telemetry of it was known."""
    sent: list[tuple[int, str, str]] = field(default_factory=list)
    """The same by when it was sent; follows from `lit`, as does the next."""
    by_trip: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    sales: dict[str, list[Sale]] = field(default_factory=dict)
    """Trip -> its dark sales, by when they were sold; follows from `dark`."""
    first: dict[str, dict[Sale, Proof]] = field(default_factory=dict)
    """Trip -> of its dark sales the telemetry that was known first, where any is; follows from `dark` and `lit`."""
    left_out: int = 0
    """Dark sales for which there was no room."""
    touched: list[str] = field(default_factory=list)
    """Trips of which the fact that was taken last says something else, its own first."""

    def knows(self, fact: LotFact) -> bool:
        """Say whether all that a fact tells is known."""
        told, made = fact.told, (fact.received, (fact.record.kind, fact.record.id))
        if isinstance(told, Dark):
            before = self.dark.get(told.trip or "", {}).get((told.sold_at, fact.facility))
        else:
            before = self.lit.get((_trip_of(fact), fact.at, fact.facility))
        return before is not None and before <= made

    def take(self, fact: LotFact) -> bool:
        """Take a fact that is not known; says whether any trip has to be decided again (`touched`)."""
        told, made = fact.told, (fact.received, (fact.record.kind, fact.record.id))
        trip, self.touched = _trip_of(fact), []
        if not isinstance(told, Dark):
            self._light(trip, fact.at, fact.facility, made)
            return bool(self.touched)
        sales, sale = self.dark.get(trip), (told.sold_at, fact.facility)
        new = sales is None or sale not in sales
        if new and (len(self.dark) if sales is None else len(sales)) >= MAX_TRIPS:
            self.left_out += 1
            return False
        self.dark.setdefault(trip, {})[sale] = made
        if new:
            insort(self.sales.setdefault(trip, []), sale)
            self._look(trip, [sale])
        self.touched = [trip]
        return True

    def _light(self, trip: str, sent: int, facility: str, made: Told) -> None:
        key, where = (trip, sent, facility), (sent, trip, facility)
        if key not in self.lit:
            if len(self.lit) >= MAX_LIT and where < self.sent[0]:
                return  # it is the one that would go out
            insort(self.sent, where)
            insort(self.by_trip.setdefault(trip, []), (sent, facility))
        self.lit[key] = made
        self._compare(trip, sent, (made[0], facility, made[1]))
        if len(self.lit) > MAX_LIT:
            self._put_out()

    def _compare(self, trip: str, sent: int, proof: Proof) -> None:
        """Hold telemetry against what was known first of the sales that it belongs to."""
        for sale in self._near(trip, sent):
            first = self.first.setdefault(trip, {})
            if sale not in first or proof < first[sale]:
                first[sale] = proof
                self.touched = [trip]

    def _put_out(self) -> None:
        """Let go of the shipment that was sent first; sales that lose their first telemetry are looked at again."""
        sent, trip, facility = self.sent.pop(0)
        gone = self._proof(trip, sent, facility)
        del self.lit[trip, sent, facility]
        of, first = self.by_trip[trip], self.first.get(trip, {})
        del of[0]
        lost = [sale for sale in self._near(trip, sent) if first[sale] == gone]
        if of and self._proof(trip, *of[0]) == gone:  # the next one, often of the same record, says the same
            lost = [sale for sale in lost if sale[0] + WITHIN_MS < of[0][0]]
        if not of:
            del self.by_trip[trip]
        for sale in lost:
            del first[sale]
        self._look(trip, lost)
        if trip not in self.touched and any(first.get(sale) != gone for sale in lost):
            self.touched.append(trip)

    def _look(self, trip: str, sales: list[Sale]) -> None:
        """Find the first telemetry of some sales of a trip, by when they were sold, of which none is kept."""
        of = self.by_trip.get(trip)
        if not sales or of is None:
            return
        begin = bisect_left(of, (sales[0][0] - WITHIN_MS,))
        points = ((sent, self._proof(trip, sent, who)) for sent, who in of[begin:])
        found = least(points, ((sold - WITHIN_MS, sold + WITHIN_MS) for sold, _ in sales))
        proven = {sale: proof for sale, proof in zip(sales, found, strict=True) if proof is not None}
        if proven:
            self.first.setdefault(trip, {}).update(proven)

    def _near(self, trip: str, sent: int) -> list[Sale]:
        """Return the dark sales of a trip to which a shipment belongs."""
        sales = self.sales.get(trip, [])
        return sales[bisect_left(sales, (sent - WITHIN_MS,)) : bisect_left(sales, (sent + WITHIN_MS + 1,))]

    def _proof(self, trip: str, sent: int, facility: str) -> Proof:
        received, record = self.lit[trip, sent, facility]
        return (received, facility, record)

    def facilities(self) -> set[str]:
        """Return who told any of it."""
        return {who for sales in self.dark.values() for _, who in sales} | {who for _, _, who in self.lit}

    def items_of(self, trip: str) -> list[Item]:
        """Return the dark sales of a trip, by when they were sold, each with its telemetry; TRUE where none was known when it was found.

        `against` is when telemetry was known first (log time, ms), NEVER: it is not.
        """
        items = []
        dark, first = self.dark.get(trip, {}), self.first.get(trip, {})
        for sale in self.sales.get(trip, []):
            (sold, facility), (found, record) = sale, dark[sale]
            lit, by, proof = first.get(sale, _NONE_KNOWN)
            told = [(record, facility), *([(proof, by)] if lit != NEVER else [])]
            records, tellers = tuple(one for one, _ in told), tuple(who for _, who in told)
            verdict = Verdict.FALSE if lit < found else Verdict.TRUE
            items.append(Item(sold, facility, trip, verdict, lit, records, tellers, received=found))
        return items

    def spells_of(self, trip: str, rule: LotFollowUpRule, asker: Callable[[str, int], bool]) -> list[Spell]:
        """Return the times in which some sale of a trip is dark, by start; those that overlap or touch are one.

        `asker` says of a seller and when it sold (ms) whether the rule is for it.
        """
        spells: list[Spell] = []
        joined: list[Item] = []
        end = NONE
        for item in self.items_of(trip):
            if item.verdict is not Verdict.TRUE or not asker(item.facility, item.at):
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
        for kind, trip, who, at, received, *record in packed:
            made = (received, (record[0], record[1]))
            if kind == "dark":
                found.dark.setdefault(trip, {})[at, who] = made
            else:
                found.lit[trip, at, who] = made
        found.sent = sorted((sent, trip, who) for trip, sent, who in found.lit)
        for sent, trip, who in found.sent:
            found.by_trip.setdefault(trip, []).append((sent, who))
        for trip, sales in found.dark.items():
            found.sales[trip] = sorted(sales)
            found._look(trip, found.sales[trip])
        return found


def _trip_of(fact: LotFact) -> str:
    return (fact.told.trip if isinstance(fact.told, Dark | Lit) else None) or ""


def _spell(trip: str, joined: list[Item], end: int, within: int) -> Spell:
    start = joined[0].at + within
    who = max(item.facility for item in joined if item.at == joined[0].at)
    everyone = tuple(sorted({item.facility for item in joined}))
    return Spell(start, NONE if end == NEVER else end, who, everyone, tuple(joined), trip=trip)
