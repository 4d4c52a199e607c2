"""The numbers of a report, each by its path, and how many of them stand alike in another one."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

KEYS = ("product", "lot", "name", "tag")
"""Members that say which entry of a list one is: so that another order of a list, or a new entry, moves no number."""
_WORD = re.compile(r"[a-z0-9]+")
Numbers: TypeAlias = dict[tuple[str, ...], float]


def numbers_of(fields: Mapping[str, Any], left_out: Sequence[str]) -> Numbers:
    """Return the numbers of a report's fields by path, without those that a word of `left_out` names.

    A word in ASCII letters is one of the words of a name, however they are set off; any other is a part of it. The names of all
    members on the path are looked at.

    >>> numbers_of({"year": 2025.0, "figures": {"yield": 97.5, "assay-limit": 95.0}}, ["year", "limit"])
    {('figures', 'yield'): 97.5}
    """
    words = frozenset(word.lower() for word in left_out if word.isascii())
    parts = tuple(word for word in left_out if not word.isascii())
    found: Numbers = {}
    for path, number in _numbers(fields, (), words, parts):
        times = 0
        while (key := path if not times else (*path, f"#{times + 1}")) in found:
            times += 1
        found[key] = number
    return found


def compared(own: Numbers, other: Numbers) -> tuple[int, int]:
    """Return how many of a report's own numbers are compared, and how many of these are equal; what is zero in both is not.

    >>> compared({("a",): 1.0, ("b",): 0.0, ("c",): 0.0}, {("a",): 1.0, ("b",): 0.0})
    (2, 1)
    """
    pairs = [(number, other.get(path)) for path, number in own.items()]
    pairs = [(number, partner) for number, partner in pairs if number != 0 or partner != 0]
    return len(pairs), sum(number == partner for number, partner in pairs)


def alike(own: Numbers, other: Numbers, most: int) -> list[tuple[str, float]]:
    """Return the first numbers, by path, that are equal in both and not zero, with their names."""
    found = (
        (".".join(path), number) for path, number in sorted(own.items()) if number != 0 and number == other.get(path)
    )
    return list(islice(found, most))


def _numbers(
    value: Any,  # noqa: ANN401 - any JSON value
    path: tuple[str, ...],
    words: frozenset[str],
    parts: tuple[str, ...],
) -> Iterator[tuple[tuple[str, ...], float]]:
    if isinstance(value, float):
        yield path, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if words.isdisjoint(_WORD.findall(name.lower())) and not any(part in name for part in parts):
                yield from _numbers(inner, (*path, name), words, parts)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _numbers(inner, (*path, _entry(inner, i)), words, parts)


def _entry(value: Any, place: int) -> str:  # noqa: ANN401 - any JSON value
    named = (value.get(key) for key in KEYS) if isinstance(value, dict) else ()
    return next((f"={name}" for name in named if isinstance(name, str)), f"[{place}]")
