"""What follows from the facts of one subject: times in which a condition held, and when the clock may say otherwise."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.layout import NEVER

if TYPE_CHECKING:
    from fractions import Fraction

    from rules.changes import Leaf, RecordRead
    from rules.leaves.model import Seen
    from rules.ledger.entry import Entry


@dataclass(frozen=True, slots=True)
class Run:
    """A time in which a condition held."""

    start: int
    """Event time, ms."""
    entries: tuple[Entry, ...]
    """The facts because of which it held: an alarm told because of one of them was told of it."""
    is_open: bool
    """It still holds."""
    leaves: tuple[Leaf, ...]
    timely: int
    """An alarm that is raised after this log time (ms) is raised by what came late."""
    rank: int
    """Of its colour."""
    records: tuple[RecordRead, ...] = ()

    @property
    def was_told(self) -> bool:
        """Say whether an alarm was told of it."""
        return any(entry.told for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Judged:
    """All that follows from the facts of a subject at one log time."""

    runs: tuple[Run, ...] = ()
    """By start; those that are open stand last."""
    leaves: tuple[Leaf, ...] = ()
    """What was compared last, where nothing holds any more."""
    records: tuple[RecordRead, ...] = ()
    again: int = NEVER
    """The log time (ms) at which the clock alone may change the answer."""
    unknown: bool = False
    """What keeps an alarm standing is not known any more."""
    seen: tuple[Seen, ...] = field(default=())
    """The leaves of the rule with their operands, for explanations."""

    @property
    def open(self) -> Run | None:
        """Return the first time that still lasts, or None."""
        return next((run for run in self.runs if run.is_open), None)


def shown(value: Fraction) -> float:
    """Return an exact number as a float, cut to what one holds.

    >>> from fractions import Fraction
    >>> shown(Fraction("0.3")), shown(Fraction(10) ** 400)
    (0.3, 1.7976931348623157e+308)
    """
    most = sys.float_info.max
    return most if value > most else -most if value < -most else float(value)
