"""How two JSON values differ, place by place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Step = tuple[str, Any, Any]
"""A JSON pointer with the value before and after; None where there is none."""


def walk(old: Any, new: Any, at: str = "") -> Iterator[Step]:  # noqa: ANN401 - JSON values
    """Yield where two values differ: objects member by member, lists of one length entry by entry, all else whole.

    >>> list(walk({"low": 2, "rows": [1, 2]}, {"low": 3, "rows": [1]}))
    [('/low', 2, 3), ('/rows', [1, 2], [1])]
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            yield from walk(old.get(name), new.get(name), f"{at}/{_escaped(name)}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from walk(before, after, f"{at}/{i}")
    elif not _same(old, new):
        yield at, old, new


def _same(old: object, new: object) -> bool:
    """Compare as JSON does: 2 and 2.0 are one number, 1 and true are not."""
    return old == new and isinstance(old, bool) is isinstance(new, bool)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
