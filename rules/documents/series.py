"""Which reports follow each other, and in which order: by what they say themselves, whatever order they arrive in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

DocumentKey: TypeAlias = tuple[str, str]
"""Type and id of a report."""


@dataclass(frozen=True, slots=True)
class Series:
    """Types of report that follow each other: their name, the members that say which reports belong together, and the one that counts them."""

    name: str
    keys: tuple[str, ...]
    order: str


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a report stands: the text of what it follows in, and its number there."""

    group: str
    order: tuple[float, str]
    """A number, or a text whose order is that of time."""


_RECALL: Final = Series("recall", ("recall_id",), "seq")
SERIES: Final[Mapping[str, Series]] = {
    "recall-progress": _RECALL,
    "recall-final": _RECALL,
    "annual-report": Series("annual-report", (), "year"),
    "quality-review": Series("quality-review", ("product",), "period"),
    "dsur": Series("dsur", ("trial_id",), "anniversary"),
}
"""Type of report -> what it follows in. Others stand alone: there is none before them."""


def place_of(key: DocumentKey, fields: Mapping[str, Any]) -> Place:
    """Return where a report stands by its fields.

    Periods of different length (`2025`, `2025-Q4`, `2025-12`) do not follow each other.

    >>> place_of(("annual-report", "R-1"), {"year": 2025.0}).order
    (2025.0, '')
    """
    series = SERIES.get(key[0])
    number = None if series is None else fields.get(series.order)
    if series is None or number is None:
        return Place(_text(["", *key]), (0.0, ""))
    named = [fields.get(member) for member in series.keys]
    if isinstance(number, float):
        return Place(_text([series.name, *named]), (number, ""))
    form = "".join("0" if sign.isdigit() else sign for sign in str(number))
    return Place(_text([series.name, *named, form]), (0.0, str(number)))


def _text(parts: list[Any]) -> str:
    return json.dumps(parts, ensure_ascii=False)
