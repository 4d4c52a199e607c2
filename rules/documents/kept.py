"""One report as it is kept: its newest revision and the one before it, as JSON text; what follows from the text is made when it is asked for."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rules.documents.figures import numbers_of
from rules.documents.series import place_of

if TYPE_CHECKING:
    from rules.documents.figures import Numbers
    from rules.documents.series import DocumentKey, Place
    from rules.reports.parts import Fields

MAX_ENTRIES: Final = 1_000
"""Entries of a list that are looked at one by one; a list has more only where its model allows that."""


@dataclass(slots=True, eq=False)
class Version:
    """One revision of a report."""

    revision: int
    text: str
    """Its fields as JSON: members sorted, instants in ms, without what it does not say."""
    _fields: dict[str, Any] | None = None
    _numbers: dict[tuple[str, ...], Numbers] = field(default_factory=dict)
    _entries: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Return the bytes of its text."""
        return len(self.text.encode())

    @property
    def fields(self) -> dict[str, Any]:
        """Return what it says, numbers as doubles."""
        if self._fields is None:
            self._fields = json.loads(self.text, parse_int=_double, parse_float=_double)
        return self._fields

    def numbers(self, left_out: tuple[str, ...]) -> Numbers:
        """Return its numbers by path, without those that these words name."""
        if left_out not in self._numbers:
            self._numbers[left_out] = numbers_of(self.fields, left_out)
        return self._numbers[left_out]

    def entries(self, of: str, key: str) -> dict[str, list[dict[str, Any]]]:
        """Return the entries of a list by their key, `MAX_ENTRIES` of them at most; several of one key stand together."""
        if (of, key) not in self._entries:
            found: dict[str, list[dict[str, Any]]] = {}
            for entry in (self.fields.get(of) or [])[:MAX_ENTRIES]:
                found.setdefault(str(entry.get(key)), []).append(entry)
            self._entries[of, key] = found
        return self._entries[of, key]

    def left_out(self, of: str) -> int:
        """Return how many entries of a list are not looked at."""
        return max(0, len(self.fields.get(of) or []) - MAX_ENTRIES)


@dataclass(slots=True, eq=False)
class Kept:
    """The newest revision of a report, and the one before it as far as it came."""

    key: DocumentKey
    newest: Version
    earlier: Version | None = None
    _place: tuple[Version, Place] | None = None

    @property
    def size(self) -> int:
        """Return the bytes of its texts."""
        return self.newest.size + (0 if self.earlier is None else self.earlier.size)

    @property
    def place(self) -> Place:
        """Return where it stands among the reports that follow each other, by its newest revision."""
        if self._place is None or self._place[0] is not self.newest:
            self._place = (self.newest, place_of(self.key, self.newest.fields))
        return self._place[1]

    @property
    def named(self) -> str:
        """Return its id and newest revision, as evidence names it."""
        return f"{self.key[1]}/{self.newest.revision}"


def text_of(model: Fields) -> str:
    """Return the fields of a report as they are kept."""
    said = model.model_dump(by_alias=True, exclude_none=True)
    return json.dumps(said, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _double(digits: str) -> float | None:
    """Return a number as a double; what lies beyond every double is unknown."""
    value = float(digits)
    return value if math.isfinite(value) else None
