"""Parts of the models of rules over rare records: which events are meant, and what a register must hold (see `rules.rule`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rules.instants import Duration
from rules.models import Flag, Identifier, Number, Severity, Strict, Whole
from rules.register import AreaKind

EventStream = Literal["device", "audit", "lab", "trace"]
EventType = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]


class EventMatch(Strict):
    """Which events are meant: stream, type, and what some of their fields hold (one of the words, or a list of them)."""

    stream: EventStream
    type: EventType
    where: Annotated[dict[Identifier, str | list[str]], Field(max_length=8)] = Field(default_factory=dict)
    """A field that is missing, or holds no text, makes it unknown whether the event is meant."""


class Result(Strict):
    """What a laboratory result must say that is to follow an alarm (kind `follow_up`), and what must follow where it does not."""

    at_most: Number
    unit: str = Field(min_length=1)
    otherwise: EventMatch
    """The event of another test that a value above it asks for ..."""
    within: Duration = Field(ge=60_000)
    """... within this time behind it, event time."""


class ResultLimits(Strict):
    """What a posted laboratory result is compared with (kind `result_limit`)."""

    from_: Identifier = Field(alias="from")
    """A table of the bundle: the first row that fits the facts of the area, and the result's method (`result.method`), holds the limit."""
    inclusive: Flag = False
    """A value equal to the limit is above it ("less than" in the source)."""


class Trace(Strict):
    """What an opening of a door leaves in the sensor nearest to it (kind `follow_up`); that sensor's `door` in the register names the door.

    Without a change within the rule's `within` an opening is *absent*; what is not known is not counted.
    """

    ends: EventMatch
    """The event that closes the door: of the same device."""
    lasts: Duration = Field(ge=1_000)
    """Openings that are closed sooner are none, event time."""
    change: Number = Field(gt=0)
    """The largest value less the smallest, in the unit of the sensor: so much is a trace."""
    last: Whole = Field(default=10, ge=2, le=32)
    """So many of the newest openings are judged together; nothing is said of fewer."""
    absent: Whole = Field(ge=1, le=32)
    """Raised when at least so many of them are absent ..."""
    clear: Whole = Field(ge=0, le=31)
    """... and cleared when at most so many are."""


class Notice(Strict):
    """A milder colour that speaks before the instant at which something is due."""

    before: Duration
    severity: Severity


class Occasions(Strict):
    """A count that is reached again and again (kind `count`): one occasion alone is no alarm.

    Every instant at which the count is reached is one that counts; of these, so many that lie farther than `apart` from each
    other.
    """

    times: Whole = Field(ge=2, le=16)
    apart: Duration
    """Instants that lie no farther from each other are one occasion, event time; at least the rule's `within`."""
    over: Duration = Field(ge=60_000, le=31 * 86_400_000)
    """All of them inside of so much time."""
    calm: Duration = Field(le=366 * 86_400_000)
    """The alarm ends so long after the newest such instant; no officer ends it."""


class Worse(Strict):
    """A stronger colour, from a larger offset on."""

    beyond: Duration
    severity: Severity


class Amended(Strict):
    """A milder colour, where an amendment received within a time behind it names what the alarm is about."""

    within: Duration = Field(ge=60_000)
    severity: Severity


class ShareNotice(Strict):
    """A milder colour from a share on that is smaller than the rule's; the share itself has the colour."""

    share: Number = Field(gt=0, lt=1)
    severity: Severity


class Rack(Strict):
    """From this rack height on, or above it: so many sensors per unit begun."""

    height_m: Number = Field(gt=0)
    inclusive: Flag = False
    per_unit: Whole = Field(ge=1, le=100)


class SensorCount(Strict):
    """How many temperature sensors areas of these kinds need (GSP annex; limits.md §2.2).

    `least` up to the first `unit` (m2 of floor, m3 of a vehicle), one more for each further one that is begun; without a unit
    `least` is all. `racks`: from the first rack height (m) that holds, so many per unit begun, at least `least`.
    """

    kinds: Annotated[list[AreaKind], Field(min_length=1, max_length=16)]
    least: Whole = Field(ge=1, le=100)
    unit: Number | None = Field(default=None, gt=0)
    of: Literal["floor_m2", "volume_m3"] = "floor_m2"
    racks: Annotated[list[Rack], Field(max_length=4)] = Field(default_factory=list)


class ErrorBand(Strict):
    """The largest error of a sensor at reference values from `low` to `high`; where two bands meet the stricter holds."""

    low: Number
    high: Number
    error: Number = Field(gt=0)
