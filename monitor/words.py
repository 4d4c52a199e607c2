"""Words that people write: what of them can be seen. Spaces and what no screen shows are no reason and no name."""

from __future__ import annotations

import unicodedata
from typing import Final

NAME_CHARACTERS: Final = 128
"""Of who decided something: the width of the columns."""
_UNSEEN: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Fillers: letters and signs by their category, and blank on every screen."""


def says_something(text: str) -> bool:
    r"""Say whether anything of a text can be seen: spaces, controls, joiners and fillers say nothing.

    >>> says_something("ok"), says_something(" \u3000\u200b\n")
    (True, False)
    """
    return any(unicodedata.category(c)[0] not in "CZM" and c not in _UNSEEN for c in text)


def is_name(text: str, most: int) -> bool:
    """Say whether a text is a name to be written beside an act: printable, seen, at most `most` characters.

    >>> is_name("li.lei", 128), is_name("  ", 128)
    (True, False)
    """
    return len(text) <= most and text.isprintable() and says_something(text)


def one_line(text: str, most: int) -> str:
    r"""Return what a form sent as one line of at most `most` characters, empty where nothing of it can be seen.

    >>> one_line(" a wrong\x00 count ", 100), one_line("\u200b \x00", 100)
    ('a wrong  count', '')
    """
    line = "".join(c if c.isprintable() else " " for c in text).strip()[:most]
    return line if says_something(line) else ""
