"""Kind `result_limit`: a posted laboratory result above the limit of its area and method; one decides, and an officer ends it (ADR 0061).

A result is of the room or loop that it names. It is judged once, with the facts of that area in force at its event time. What its area still
lacks in the register leaves it unknown: it is kept, and judged again when a register or packs come. What the result itself lacks (method, unit,
a number) leaves it unknown for good: it is counted, and explained.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from rules import lacks
from rules.changes import Leaf, LimitUsed, Verdict
from rules.facts import METHOD, area_in_force, facts_of_area
from rules.predicate import holds
from rules.rare.count import bound
from rules.rare.match import digest_of, is_meant, text_of_field
from rules.rare.speak import Now, settle
from rules.rare.store import Fact, text_of
from rules.rare.units import factor_of, number_of
from rules.rule import Among

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.emission import Emitter
    from rules.facts import FactValue
    from rules.pack import Bundle
    from rules.records import Event
    from rules.register import Area, Facility
    from rules.rule import ResultLimitRule
    from rules.tables import Table, TableRow

LARGEST = Fraction(sys.float_info.max)
AREA, VALUE, UNIT = "area", "value", "unit"
"""What a result may lack beside a fact: a registered area, a number, a unit that its limit knows."""


class Said(NamedTuple):
    """What a result says of itself, as it is kept."""

    test: str | None
    method: str | None
    value: Any
    unit: str | None

    @property
    def name(self) -> str:
        """Return how people are told of it."""
        return " ".join(part for part in (self.test, self.method) if part) or "result"


@dataclass(frozen=True, slots=True)
class Judged:
    """What a result is against its limit: the value in the limit's unit, the row, and what was lacking if it is unknown."""

    verdict: Verdict
    lack: str = ""
    may_come: bool = False
    """A register may bring what it lacks."""
    value: Fraction | None = None
    row: TableRow | None = None


def place_of(event: Event) -> str | None:
    """Return the area that a result is of: the loop or room that it names, else the event's; one of a lot alone is of none."""
    named = text_of_field(event, "loop") or text_of_field(event, "room")
    return named or (None if text_of_field(event, "lot") else event.area)


def is_asked(rule: ResultLimitRule, event: Event) -> Verdict:
    """Say whether a rule means an event, wherever it is of; a result of a lot is not one of a room or loop."""
    of_lot = text_of_field(event, "lot") is not None and place_of(event) is None
    return Verdict.FALSE if of_lot else is_meant(event, rule.events)


def said_of(event: Event) -> Said:
    """Return what a result says; what is no text, or too long, is as if it were not there."""
    value = event.fields.get(VALUE)
    kept = value if number_of(value) is not None else None
    return Said(text_of_field(event, "test"), text_of_field(event, "method"), kept, text_of_field(event, UNIT))


def judged(rule: ResultLimitRule, event: Event, at: int, facility: Facility, bundle: Bundle) -> Judged | None:
    """Return what an event is to a rule, None of one that it does not mean or whose area it does not look at.

    Args:
        rule: that is asked.
        event: of any stream and type.
        at: its event time, ms.
        facility: as registered.
        bundle: that holds the table.
    """
    asked = is_asked(rule, event)
    found = None if asked is Verdict.FALSE else judge(rule, said_of(event), place_of(event), at, facility, bundle)
    if found is None or asked is Verdict.TRUE:
        return found
    return Judged(Verdict.UNKNOWN, next(name for name in rule.events.where if text_of_field(event, name) is None))


def judge(
    rule: ResultLimitRule, said: Said, area: str | None, at: int, facility: Facility, bundle: Bundle
) -> Judged | None:
    """Return what a result that is meant is against its limit, None where the rule does not look at the area (None: it names none)."""
    entry = None if area is None else area_in_force(facility, area, at)
    looks, lack = _looks_at(rule, facility, entry)
    number, may_come = number_of(said.value), area is not None and said.value is not None and said.unit is not None
    if looks is not Verdict.TRUE:
        return None if looks is Verdict.FALSE else Judged(looks, lack, may_come)
    table = bundle.tables[rule.limits.from_]
    row = table.lookup(facts_of_area(facility, entry) | {METHOD: said.method})
    if row is None:
        lack, may_come = _row_lacks(rule, said, table, facts_of_area(facility, entry))
        return Judged(Verdict.UNKNOWN, lack, may_come and number is not None and said.unit is not None)
    if row.limit.high is None:
        return Judged(Verdict.FALSE, row=row)
    factor = None if said.unit is None else factor_of(row, said.unit)
    if number is None or factor is None:
        return Judged(Verdict.UNKNOWN, VALUE if number is None else UNIT, row=row)
    value, high = number * factor, Fraction(repr(row.limit.high))
    above = value > high or (rule.limits.inclusive and value == high)
    return Judged(Verdict.TRUE if above else Verdict.FALSE, value=value, row=row)


def _row_lacks(rule: ResultLimitRule, said: Said, table: Table, facts: Mapping[str, FactValue]) -> tuple[str, bool]:
    """Return why no row of the table fits, and whether a register may bring it: a fact of the area, the method, or a row."""
    found = [one.fact for one in lacks.of_table(rule, table, {**facts, METHOD: said.method})]
    registered = [name for name in found if name not in {METHOD, lacks.TABLE}]
    return (registered or found)[0], bool(registered)


def _looks_at(rule: ResultLimitRule, facility: Facility, entry: Area | None) -> tuple[Verdict, str]:
    """Say whether a rule looks at an area, and which fact is missing where that is unknown."""
    facts, missing = facts_of_area(facility, entry), ""
    for name, wanted in rule.applies_to.items():
        if holds({name: wanted}, facts):
            continue
        asks_whether = isinstance(wanted, Among) and wanted.registered is not None
        if entry is None and name.startswith("area."):
            missing = missing or AREA
        elif lacks.is_missing(name, facts) and not asks_whether:
            missing = missing or name
        else:
            return Verdict.FALSE, ""
    if entry is None and not missing:
        missing = AREA
    return (Verdict.UNKNOWN, missing) if missing else (Verdict.TRUE, "")


def meet(rule: ResultLimitRule, event: Event, batch: str, now: Now, facility: Facility, emitter: Emitter) -> None:
    """Fold one event; `now.at` is the event time that counts."""
    found, area = judged(rule, event, now.at, facility, emitter.bundle), place_of(event)
    if found is None or found.verdict is Verdict.FALSE:
        return
    rare, above = emitter.state.rare, found.verdict is Verdict.TRUE
    if area is None or not (above or found.may_come):
        rare.counts["result_unknown"] += 1
        return
    subject, digest = text_of({"area": area}), digest_of(event)
    case = rare.case(rule.id, subject)
    if case is not None and case.knows(digest):
        rare.counts["event_duplicate"] += 1
        return
    rare.counts["result_unknown"] += not above
    if case is None:
        return
    new = Fact(now.at, now.received, digest, batch, json.dumps(said_of(event), ensure_ascii=False), above)
    rare.cases[rule.id].keep(case, sorted([*case.facts, new], key=lambda fact: (fact.t, fact.digest)))
    bound(rule.id, case, emitter)
    if above:
        told = replace(now, limits=limits_of(rule, found))
        settle(rule, subject, case, [leaf_of(rule, said_of(event), area, found)], told, emitter)


def adopt(rule: ResultLimitRule, now: Now, emitter: Emitter) -> None:
    """Judge what was unknown by the register and the packs that are in force now."""
    for subject, case in sorted(emitter.state.rare.of(rule.id).items()):
        area, kept, told = json.loads(subject)["area"], list[Fact](), now
        leaf: Leaf | None = None
        for fact in case.facts:
            if fact.counts:
                kept.append(fact)
                continue
            said = Said(*json.loads(fact.text))
            found = judge(rule, said, area, fact.t, emitter.state.planned.facility, emitter.bundle)
            fact.counts = found is not None and found.verdict is Verdict.TRUE
            if found is not None and fact.counts and leaf is None:
                leaf, told = leaf_of(rule, said, area, found), replace(now, limits=limits_of(rule, found))
            if fact.counts or (found is not None and found.may_come):
                kept.append(fact)
        emitter.state.rare.cases[rule.id].keep(case, kept)
        if leaf is not None:
            settle(rule, subject, case, [leaf], told, emitter)


def leaf_of(rule: ResultLimitRule, said: Said, area: str, found: Judged) -> Leaf:
    """Return the comparison of a result that is above its limit."""
    row, op = found.row, op_of(rule)
    high, unit = (None, None) if row is None else (row.limit.high, row.unit)
    name = f"{said.name} of {area}"
    return Leaf(expr=name, left=operand_of(found.value), op=op, right=high, unit=unit, verdict=found.verdict)


def op_of(rule: ResultLimitRule) -> str:
    """Return how a value and its limit are compared."""
    return ">=" if rule.limits.inclusive else ">"


def operand_of(value: Fraction | None) -> float | str | None:
    """Return a value in the limit's unit as a float; in words where none holds it."""
    if value is None:
        return None
    return float(value) if value <= LARGEST else f"above {float(LARGEST):.2g}"


def limits_of(rule: ResultLimitRule, found: Judged) -> list[LimitUsed]:
    """Return the limit that a result was compared with, as evidence holds it."""
    row = found.row
    if row is None or row.limit.high is None:
        return []
    return [LimitUsed(name="high", value=row.limit.high, unit=row.unit, origin=rule.limits.from_, edition=row.edition)]
