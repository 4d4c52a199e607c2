"""The closed values of register facts (contracts.md §2): a rule that names another watches nothing."""

from __future__ import annotations

import difflib
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from rules.register import UNITS, Area, LicenceKind, Product, ProductClass, Quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.rule import Predicate


def _closed(annotation: Any) -> tuple[str, ...]:  # noqa: ANN401 - a type as written in a model
    """Return the values of the enum or literal in a member's type, in their order."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if isinstance(annotation, type):
        return tuple(annotation) if issubclass(annotation, StrEnum) else ()
    return tuple(value for part in get_args(annotation) for value in _closed(part))


_NEAR = 0.5
"""How alike a value is that is offered for another (difflib's ratio): `fridge` finds `refrigerator`."""
_AREA_FACTS = ("kind", "grade", "standard", "phase", "stores", "shipment_type", "water", "pharmacopoeia")
VOCABULARY: dict[str, tuple[str, ...]] = {
    **{f"area.{name}": _closed(Area.model_fields[name].annotation) for name in _AREA_FACTS},
    "place.kind": _closed(Area.model_fields["kind"].annotation),
    "place.grade": (*_closed(Area.model_fields["grade"].annotation), "none"),
    "sensor.quantity": tuple(Quantity),
    "sensor.unit": tuple(dict.fromkeys(UNITS.values())),
    "facility.licences": get_args(LicenceKind),
    "products.class": get_args(ProductClass),
    "products.storage": _closed(Product.model_fields["storage"].annotation),
}
"""Fact -> all values that the register can hold."""
_FORMS = {
    "facility.jurisdiction": (re.compile(r"[0-9]{6}"), "a jurisdiction has six digits"),
    "facility.labels": (re.compile(r"[a-z][a-z0-9-]{0,31}"), "a label has small letters, digits and hyphens"),
}
"""Fact -> the form of its values, where the list is open."""


def strangers(wanted: Mapping[str, Predicate]) -> list[tuple[str, str]]:
    """Return (name, what is wrong) for texts that no register can hold, each with the nearest value that one can.

    For lint: it keeps no plan from being made, so packs that the log holds are not refused for it.

    >>> strangers({"area.kind": ["cold-rom", "box"]})
    [('area.kind', 'no register holds cold-rom; nearest is cold-room')]
    """
    return [
        (name, text)
        for name, value in wanted.items()
        for word in (value if isinstance(value, list) else [value])
        if isinstance(word, str) and (text := _strange(name, word))
    ]


def _strange(name: str, word: str) -> str:
    if name in _FORMS:
        form, text = _FORMS[name]
        return "" if form.fullmatch(word) else f"no register holds {word}; {text}"
    known = VOCABULARY.get(name)
    if known is None or word in known:
        return ""
    folded = {value.casefold(): value for value in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=_NEAR)
    said = f"nearest is {folded[near[0]]}" if near else f"known are {', '.join(known)}"
    return f"no register holds {word}; {said}"
