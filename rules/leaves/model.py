"""What the leaves of a rule are, and what one of them was at one moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from rules.changes import Verdict
from rules.models import Bilingual

ALL = frozenset(Verdict)
TWO = frozenset({Verdict.TRUE, Verdict.FALSE})


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf that a rule has: its name, what it says, and the verdicts it can take."""

    name: str
    words: Bilingual
    verdicts: frozenset[Verdict] = ALL


@dataclass(frozen=True, slots=True)
class Seen:
    """A leaf at a moment, with its operands as they were (durations in ms where `unit` is `ms`)."""

    name: str
    verdict: Verdict
    left: float | str | None = None
    op: str = ""
    right: float | str | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A reading that was folded: event time, receive time, both ms, its batch; `m` is the instant it counts from (late rows).

    `quality` is what it counts as: where a mark covers it, that of the flag; `mark` names it, and `posted` is the quality it came with.
    """

    t: int
    received: int
    value: float
    quality: int
    batch: str
    m: int = 0
    mark: str = ""
    posted: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """What the leaves were when a row was folded, when the clock decided, or at the end of the log (`by`)."""

    by: str
    at: int
    """Event time of the row; by the clock and at the end: log time, ms."""
    leaves: tuple[Seen, ...]
    row: Row | None = None


@dataclass(slots=True)
class Standing:
    """Where the condition of one rule on one series stands."""

    phase: str = "normal"
    """normal, pending, active or clearing."""
    start: int | None = None
    unknown: bool = False
    colour: int = 0
    """Rank of the colour while active."""
    notes: dict[str, int] = field(default_factory=dict)
    """Counts and elapsed times (ms), by name."""

    @property
    def active(self) -> bool:
        """Say whether an alarm stands."""
        return self.phase in {"active", "clearing"}


See: TypeAlias = Callable[[Moment], None]


def verdict(holds: bool) -> Verdict:  # noqa: FBT001 - the one operand
    """Return a truth value as a verdict."""
    return Verdict.TRUE if holds else Verdict.FALSE


def both(en: str, zh: str) -> Bilingual:
    """Return a text in both languages."""
    return Bilingual(en=en, zh=zh)
