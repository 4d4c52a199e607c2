"""The language a browser asks for: Accept-Language (RFC 9110 section 12.5.4) weighed over the two that there are."""

from __future__ import annotations

import re
from itertools import islice
from typing import NamedTuple

LONGEST = 1000
"""Characters of the header that are read; a range that goes past them is not, lest half a weight is taken for one."""
MOST = 50
"""Ranges that are read."""
PAGES = {"zh": "zh-cn", "en": "en"}
"""The languages of the pages, and the tag each page bears."""
RANGE = re.compile(
    r"(?P<name>\*|[a-z]{1,8}(?:-[a-z0-9]{1,8})*)(?:[ \t]*;[ \t]*q=(?P<q>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)


class Range(NamedTuple):
    """One language range, small letters, with its weight from 0 (not acceptable) to 1 and its place in the header."""

    name: str
    weight: float
    place: int


class Rank(NamedTuple):
    """What a language is sorted by, the best first: its weight below zero, whether only `*` means it, and the place."""

    weight: float
    any: bool
    place: int


UNWANTED = Rank(0.0, any=True, place=MOST)


def preferred(header: str) -> str | None:
    """Return the language that a header asks for, "zh" or "en"; None if for neither, or for both alike.

    A range names a language by its first subtag: `en-GB` is content with plain English (RFC 4647 section 3.4). A
    weight of 0 excludes where the longest range that matches the page's tag (section 3.3.1) bears it. `*` stands for
    what no other range names. The highest weight wins; of equal ones a named language before `*`, then the first.
    What does not keep to the grammar is left out.

    >>> preferred("en-GB;q=0.1, zh;q=0.9"), preferred("en;q=0, *"), preferred("eng"), preferred("*")
    ('zh', 'zh', None, None)
    """
    ranges = _read(header)
    ranks = {language: _rank(ranges, language) for language in PAGES}
    best = min(ranks.values())
    asked = [language for language, rank in ranks.items() if rank == best]
    return asked[0] if best.weight < 0 and len(asked) == 1 else None


def _read(header: str) -> list[Range]:
    cut = header if len(header) <= LONGEST else header[:LONGEST].rpartition(",")[0]
    found = []
    for place, part in enumerate(islice(cut.lower().split(","), MOST)):
        read = RANGE.fullmatch(part.strip(" \t"))
        if read is not None:
            found.append(Range(read["name"], float(read["q"] or 1), place))
    return found


def _rank(ranges: list[Range], language: str) -> Rank:
    named = [each for each in ranges if each.name.partition("-")[0] == language]
    matching = [each for each in named if f"{PAGES[language]}-".startswith(f"{each.name}-")]
    longest = max((len(each.name) for each in matching), default=0)
    if any(each.weight == 0 for each in matching if len(each.name) == longest):
        return UNWANTED
    best = max(named or [each for each in ranges if each.name == "*"], key=lambda each: each.weight, default=None)
    return UNWANTED if best is None else Rank(-best.weight, not named, best.place)
