"""What a rule's author allows a site to be excepted from, and what one exception takes of it: the same shapes on both sides.

A shape is a number of the rule (`limits.high`, `limits.low`, `when.on_delay`) or the rule as a whole (`mute`). A rule that declares
none allows none.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rules.instants import Duration
from rules.models import Number, Strict

DAY_MS = 86_400_000
LONGEST_MS = 366 * DAY_MS
"""No exception lasts longer than a year, whatever a rule allows: what is needed longer is approved anew (own choice)."""


class Within(Strict):
    """Between which values an exception may put a limit, both ends included, in the unit of the quantity."""

    min: Number
    max: Number

    @model_validator(mode="after")
    def _ordered(self) -> Within:
        if self.min > self.max:
            raise ValueError("no number lies there: min is above max")
        return self


class UpTo(Strict):
    """How long an exception may make a delay."""

    max: Duration = Field(gt=0)


class Allowances(Strict):
    """The shapes in which a rule's author allows exceptions; what is not named here is not allowed."""

    high: Within | None = Field(default=None, alias="limits.high")
    low: Within | None = Field(default=None, alias="limits.low")
    on_delay: UpTo | None = Field(default=None, alias="when.on_delay")
    mute: Literal[True] | None = None
    """The rule may be kept from watching a series altogether."""
    longest: Duration = Field(default=90 * DAY_MS, gt=0, le=LONGEST_MS)
    """How long a window may be."""

    @model_validator(mode="after")
    def _some(self) -> Allowances:
        if not self.shapes:
            raise ValueError("names at least one of limits.high, limits.low, when.on_delay and mute")
        return self

    @property
    def shapes(self) -> tuple[str, ...]:
        """Return the names of the shapes that are allowed."""
        return _named(self)


class Granted(Strict):
    """What one exception takes: numbers that stand instead of the rule's, or `mute` alone."""

    high: Number | None = Field(default=None, alias="limits.high")
    low: Number | None = Field(default=None, alias="limits.low")
    on_delay: Duration | None = Field(default=None, alias="when.on_delay")
    mute: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Granted:
        if not self.shapes:
            raise ValueError("takes at least one of limits.high, limits.low, when.on_delay and mute")
        if self.mute and len(self.shapes) > 1:
            raise ValueError("mute stands alone: a rule that does not watch has no numbers")
        return self

    @property
    def shapes(self) -> tuple[str, ...]:
        """Return the names of the shapes that are taken."""
        return _named(self)


_SHAPES = {"high": "limits.high", "low": "limits.low", "on_delay": "when.on_delay", "mute": "mute"}


def _named(given: Allowances | Granted) -> tuple[str, ...]:
    return tuple(shape for name, shape in _SHAPES.items() if getattr(given, name) is not None)
