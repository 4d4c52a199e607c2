"""Parts of the models of rules that hold reports against telemetry (see `rules.rule`): what an excursion is, what a report claims."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rules.models import Identifier, Number, Severity, Strict


class ExcursionSource(Strict):
    """Which alarms are excursions: those of the rules that `reads` names (kinds limit and cumulative), of a colour or a stronger one."""

    least: Severity = Severity.BLUE


class DurationClaim(Strict):
    """How far a stated duration may lie from the measured one: both bounds must be passed."""

    share: Number = Field(gt=0, lt=1)
    """Of the measured one."""
    intervals: Number = Field(ge=0)
    """Of the registered interval of the sensor (of several the longest)."""


class PeakClaim(Strict):
    """How far a stated peak may lie from the measured one."""

    degrees: Number = Field(gt=0)
    """Of a temperature, °C."""
    errors: Number = Field(gt=0)
    """Of every other quantity: times the registered error of the instrument; unknown without one."""


Claimed = Literal["deviation"]

FigureOf = Literal["max", "min", "mean-kinetic", "outside", "excursions"]


class Figure(Strict):
    """One figure of a report that is compared with what was measured (rules/excursions/figures.py)."""

    of: FigureOf
    """What it says of the series that `applies_to` means: their greatest or least value, their mean kinetic temperature, how long (minutes) one of
    them was outside its registered limits, how many excursions there were."""
    field: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}(\.[^\s.][^.]{0,199})?$")]
    """The member of the report's fields that states it, or `figures.` and a name."""
    tolerance: Number = Field(ge=0)
    """So far it may lie off: in the unit of the sensors, minutes, or excursions."""


class ClaimedTime(Strict):
    """Which members of a report name the time that its figures are about."""

    period: Identifier | None = None
    """A year, or a text `YYYY`, `YYYY-Qn` or `YYYY-MM`: of the local calendar ..."""
    from_: Identifier | None = Field(default=None, alias="from")
    """... or two instants ..."""
    to: Identifier | None = None
    """... of which the second is no part of it."""

    @model_validator(mode="after")
    def _one_way(self) -> ClaimedTime:
        if (self.from_ is None) != (self.to is None) or (self.period is None) == (self.from_ is None):
            raise ValueError("a period, or from and to")
        return self
