"""Named places in arrays of 64-bit words: what state, parameters and headers of the compiled fold are made of.

Compiled code reads a field as `words[base + FIELD]`, as whole number or, through a view of the same memory, as float64.
One block of words after another keeps what a reading touches together, and a snapshot still knows every field by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

_BLANKS = {"": 0, "none": -1, "never": 1 << 62, "nan": float("nan"), "inf": float("inf"), "-inf": -float("inf")}


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its place, how many words it takes, whether they hold floats, and what they hold before anything came."""

    name: str
    start: int
    size: int
    real: bool
    blank: float


class Fields:
    """The fields of one kind of block, by name and in order.

    >>> some = Fields("phase low:real=nan step_t*4=none")
    >>> some.starts, some.words
    ((0, 1, 2), 6)
    >>> some.blank().tolist()[2:]
    [-1, -1, -1, -1]
    """

    def __init__(self, text: str) -> None:
        """Read `name`, `name*size`, `name:real`, each with `=blank` behind it if it is not 0."""
        self.all: tuple[Field, ...] = ()
        self.words = 0
        """How many words a block takes."""
        for word in text.split():
            body, _, blank = word.partition("=")
            body, _, real = body.partition(":")
            name, _, size = body.partition("*")
            self.all += (Field(name, self.words, int(size or 1), real == "real", _BLANKS[blank]),)
            self.words += int(size or 1)
        self._named = {field.name: field for field in self.all}
        self._blank = np.zeros(self.words, np.int64)
        for field in self.all:
            self._part(self._blank, field)[:] = field.blank

    @property
    def starts(self) -> tuple[int, ...]:
        """Return the place of each field: what a module unpacks into its constants."""
        return tuple(field.start for field in self.all)

    def __getitem__(self, name: str) -> Field:
        """Return a field by name."""
        return self._named[name]

    def __contains__(self, name: str) -> bool:
        """Say whether there is such a field."""
        return name in self._named

    def blank(self) -> npt.NDArray[np.int64]:
        """Return a block as it is before anything came."""
        return self._blank.copy()

    def block(self, values: Mapping[str, Any]) -> npt.NDArray[np.int64]:
        """Return a block with these values; fields that are not named are blank.

        Raises:
            KeyError: a value has no field.
        """
        strangers = values.keys() - self._named.keys()
        if strangers:
            raise KeyError(sorted(strangers))
        words = self._blank.copy()
        for name, value in values.items():
            self._part(words, self._named[name])[:] = value
        return words

    @staticmethod
    def _part(words: npt.NDArray[np.int64], field: Field) -> npt.NDArray[Any]:
        part = words[field.start : field.start + field.size]
        return part.view(np.float64) if field.real else part

    def text(self, prefix: str) -> str:
        """Return what these fields are read from, each name with `prefix`: so that one block can hold another.

        >>> Fields("phase low:real=nan step_t*4=none").text("a_")
        'a_phase a_low:real=nan a_step_t*4=none'
        """
        words = []
        for field in self.all:
            blank = next(name for name, value in _BLANKS.items() if repr(float(value)) == repr(float(field.blank)))
            size = f"*{field.size}" if field.size > 1 else ""
            words.append(prefix + field.name + size + (":real" if field.real else "") + (f"={blank}" if blank else ""))
        return " ".join(words)

    def layout(self) -> list[tuple[str, str, list[int]]]:
        """Return name, format and shape of each field, as snapshots keep them."""
        return [(f.name, "<f8" if f.real else "<i8", [] if f.size == 1 else [f.size]) for f in self.all]
