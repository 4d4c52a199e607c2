"""What is wrong with the register of a rule's test: one that makes no facility says nothing of the rule, however quiet it stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rules.errors import Fault
from rules.models import faults_of
from rules.register import UNITS, Facility, Quantity
from rules.registerfaults import entry_faults
from rules.ruletest import whole_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from rules.rule import Rule, RuleTest
    from rules.tables import Table

_PARTS = {
    "sensor": (dict, "facts of a sensor"),
    "sensors": (list, "a list of sensors"),
    "area": (dict, "facts of an area"),
    "areas": (list, "a list of areas"),
    "facility": (dict, "facts of the facility"),
}
"""What a test may write of a register."""
_ALONE = {"sensors": "sensor", "areas": "area"}
"""Parts of a facility of which a test may write the only entry, or the last one, under a name of its own."""


def register_faults(rule: Rule, test: RuleTest, table: Table | None = None) -> list[Fault]:
    """Return what keeps the registers of a test from making a facility, or its sensors from being judged.

    Args:
        rule: whose test it is.
        test: with a register, and those that come later.
        table: from which the rule takes its limits, None where it takes them from none.

    Returns:
        Faults with pointers into the test: a unit that is not the quantity's, and one in which no row of the table has a limit.
    """
    found = _of_register(rule, test, table, "/register")
    for i, later in enumerate(test.later):
        found += _of_register(
            rule, test.model_copy(update={"register_": later.register_}), table, f"/later/{i}/register"
        )
    return found


def _of_register(rule: Rule, test: RuleTest, table: Table | None, at: str) -> list[Fault]:
    facts = test.register_
    malformed = [
        Fault(f"{at}/{name}", "wrong_type", wanted)
        for name, (kind, wanted) in _PARTS.items()
        if name in facts and not isinstance(facts[name], kind)
    ]
    malformed += [
        Fault(f"{at}/{name}", "unknown_member", f"a test's register has {', '.join(_PARTS)}")
        for name in facts
        if name not in _PARTS
    ]
    malformed += [
        Fault(f"{at}/{name}/{i}", "wrong_type", f"facts of one of the {name}")
        for name in _ALONE
        for i, one in enumerate(facts.get(name, []) if isinstance(facts.get(name, []), list) else [])
        if not isinstance(one, dict)
    ]
    wrong = {fault.pointer for fault in malformed}
    facts = _fitting(facts, wrong, at)
    whole = whole_of(rule, test.model_copy(update={"register_": facts}))
    special = entry_faults(whole)
    found = [*special, *(one for one in _of_model(whole) if not any(_is_below(it, one) for it in special))]
    if table is not None:
        unread = [Fault(fault.pointer.removesuffix("/unit"), "", "") for fault in found]
        rows = [fault for fault in _without_row(rule, whole, table) if not any(_is_below(it, fault) for it in unread)]
        found += rows
    placed = [Fault(at + _place(fault.pointer, facts), fault.code, fault.detail) for fault in found]
    return malformed + [one for one in placed if not any(_is_below(one, Fault(it, "", "")) for it in wrong)]


def _fitting(facts: Mapping[str, Any], wrong: Collection[str], at: str) -> dict[str, Any]:
    """Return the facts without what is none of the parts, and with nothing where an entry of a list is none."""
    return {
        name: [{} if f"{at}/{name}/{i}" in wrong else one for i, one in enumerate(part)] if name in _ALONE else part
        for name, part in facts.items()
        if f"{at}/{name}" not in wrong
    }


def _of_model(whole: Mapping[str, Any]) -> list[Fault]:
    try:
        Facility.model_validate(whole)
    except ValidationError as error:
        return faults_of(error)
    return []


def _is_below(one: Fault, other: Fault) -> bool:
    """Say whether a fault is told of the same part as another, or of one inside it."""
    return f"{one.pointer}/".startswith(f"{other.pointer}/")


def _without_row(rule: Rule, whole: Mapping[str, Any], table: Table) -> Iterator[Fault]:
    """Say which sensors the rule means, and can compare with no limit: no row of its table has one in their unit."""
    meant = rule.applies_to.get("sensor.quantity")
    quantities = meant if isinstance(meant, list) else [meant]
    units = {row.unit for row in table.rows}
    for i, sensor in enumerate(whole["sensors"]):
        quantity = sensor.get("quantity")
        unit = UNITS[Quantity(quantity)] if isinstance(quantity, str) and quantity in set(Quantity) else None
        if unit is not None and quantity in quantities and unit not in units:
            detail = f"{quantity} is measured in {unit}; {table.id} has limits in {', '.join(sorted(units))}"
            yield Fault(f"/sensors/{i}/unit", "unit", detail)


def _place(pointer: str, facts: Mapping[str, Any]) -> str:
    """Return where a test wrote what stands at a place of the whole facility."""
    part, *rest = pointer.split("/")[1:] or [""]
    if part in facts.get("facility", {}):
        return f"/facility{pointer}"
    if part not in _ALONE:
        return pointer
    written = len(facts.get(part, []))
    if rest and rest[0].isdigit() and int(rest[0]) == written and _ALONE[part] in facts:
        return "/".join(["", _ALONE[part], *rest[1:]])
    return pointer


__all__ = ["register_faults"]
