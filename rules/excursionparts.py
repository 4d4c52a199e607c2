"""Parts of the models of rules that hold reports against telemetry (see `rules.rule`): what an excursion is, what a report claims."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rules.models import Number, Severity, Strict


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
