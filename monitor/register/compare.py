"""How two versions of a facility's registered facts differ, fact by fact: lists are compared by what their entries are called.

A sensor that was put first in a file has not changed; one whose limits did is named by its tag, whatever its place.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from rules.faults import json_pointer
from rules.jsondiff import walk
from rules.models import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS: dict[str, tuple[str, ...]] = {
    "areas": ("id",),
    "sensors": ("tag",),
    "products": ("id",),
    "devices": ("id",),
    "trials": ("id",),
    "licences": ("kind", "number"),
    "cascades": ("cleaner", "dirtier"),
    "scopes": ("field", "line"),
    "regimes": ("kind", "id"),
}
"""List of a facility -> what an entry of it is called by. Of several entries of one name each is called by its `from` besides."""
Change = Literal["added", "removed", "changed"]


class FactChange(Strict):
    """One fact that is not the same in both."""

    path: str
    """Where it stands, as a JSON pointer with names for places: `/sensors/CR1.T1/limits/high`."""
    change: Change
    old: Any = None
    new: Any = None
    from_: Annotated[str | None, Field(serialization_alias="from")] = None
    """Since when the new fact (of a removed one: the old) is in force, as the register says; none: since ever."""


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[FactChange]:
    """Return what differs between two facilities (JSON, as `document` writes them), by path.

    >>> one = {"sensors": [{"tag": "T", "limits": {"high": 8}}]}
    >>> two = {"sensors": [{"tag": "U"}, {"tag": "T", "limits": {"high": 9}, "from": "2026-03-01T00:00:00.000Z"}]}
    >>> for found in compare(one, two): print(found.change, found.path, found.old, found.new, found.from_)
    added /sensors/T/from None 2026-03-01T00:00:00.000Z 2026-03-01T00:00:00.000Z
    changed /sensors/T/limits/high 8 9 2026-03-01T00:00:00.000Z
    added /sensors/U None {'tag': 'U'} None
    """
    found: list[FactChange] = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if name in KEYS:
            found += _entries(name, before or [], after or [])
        elif name == "labels":
            found += _labels(before or [], after or [])
        else:
            found += _members(json_pointer(name), before, after, None)
    return found


def _entries(part: str, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[FactChange]:
    several = _several(part, old) | _several(part, new)
    before, after = _named(part, old, several), _named(part, new, several)
    for name in sorted({*before, *after}):
        one, other = before.get(name), after.get(name)
        path = json_pointer(part, *name)
        if one is None or other is None:
            since = (other or one or {}).get("from")
            yield FactChange(path=path, change="added" if one is None else "removed", old=one, new=other, from_=since)
        else:
            yield from _members(path, one, other, other.get("from"))


def _members(path: str, old: Any, new: Any, since: str | None) -> Iterator[FactChange]:  # noqa: ANN401 - JSON values
    for at, before, after in walk(old, new):
        change: Change = "added" if before is None else "removed" if after is None else "changed"
        yield FactChange(path=path + at, change=change, old=before, new=after, from_=since)


def _labels(old: list[str], new: list[str]) -> Iterator[FactChange]:
    for label in sorted({*old} ^ {*new}):
        there = label in new
        yield FactChange(
            path=json_pointer("labels", label), change="added" if there else "removed",
            old=None if there else label, new=label if there else None,
        )  # fmt: skip


def _named(
    part: str, entries: list[dict[str, Any]], several: set[tuple[str, ...]]
) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return entries by name; of those that have no other, the last one counts, as it does for rules."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry in entries:
        name = _name(part, entry)
        found[(*name, str(entry.get("from", "-"))) if name in several else name] = entry
    return found


def _several(part: str, entries: list[dict[str, Any]]) -> set[tuple[str, ...]]:
    counts = Counter(_name(part, entry) for entry in entries)
    return {name for name, count in counts.items() if count > 1}


def _name(part: str, entry: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(entry.get(key)) for key in KEYS[part])
