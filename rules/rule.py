"""A rule file as a model: common fields, and one class per kind in a union discriminated by `kind` (engine.md).

Kinds of this version: limit, gap, frozen; of rare records (rules/rare): count, follow_up, register_check.
A new kind adds a class here, a file in `rules/kinds` or `rules/rare`, and an oracle.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from rules.changes import ChangeKind, Stage
from rules.instants import Duration, WorkingDays
from rules.models import Bilingual, Flag, Identifier, Number, Severity, Strict, Whole
from rules.register import AreaKind, Scope, Span

RuleId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}\.[a-z0-9][a-z0-9-]{0,63}$")]
Predicate = str | Number | Flag | list[str]
EventStream = Literal["device", "audit", "lab", "trace"]
EventType = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]


class LimitSource(Strict):
    """Where a limit comes from.

    `from`: `sensor` (registered limits), `range` (registered measuring range), the name of a table of the bundle
    (looked up by area facts), or a literal span. `narrower: sensor` takes the registered limit where it is stricter.
    `inclusive`: a value equal to the bound is outside ("less than" in the source).
    """

    from_: str | Span = Field(alias="from")
    narrower: Literal["sensor"] | None = None
    inclusive: Flag = False


class OpenWhen(Strict):
    """What opens an occurrence; where both are given both must hold."""

    consecutive: Whole = Field(default=1, ge=1, le=1_000)
    on_delay: Duration = 0


class ClearWhen(Strict):
    """What closes an occurrence; `latched` stays until an officer closes it."""

    consecutive: Whole = Field(default=3, ge=1, le=1_000)
    off_delay: Duration = 0
    deadband: Number | str = 0.0
    """In the unit of the quantity, or `10%` of the limit."""
    latched: Flag = False


class UnknownAfter(Strict):
    """How long missing data may last before an active alarm says `unknown`: the longer of `max` and 3 intervals."""

    max: Duration = 15 * 60_000


class Step(Strict):
    """A colour above the base: after a duration, or beyond a span (for a time, at that value)."""

    after: Duration | None = None
    after_intervals: Number | None = Field(default=None, gt=0)
    """As `after`, counted in registered intervals."""
    beyond: Span | None = None
    for_: Duration = Field(default=0, alias="for")
    to: Severity


class SeverityPlan(Strict):
    """Base colour and the steps of the same occurrence, mildest first."""

    base: Severity
    steps: Annotated[list[Step], Field(max_length=4)] = Field(default_factory=list)


class TimeToRespond(Strict):
    """Time for triage and for the firm's answer; default by colour."""

    triage: Duration | WorkingDays
    answer: Duration | WorkingDays | None = None


class EffectiveSpan(Strict):
    """Dates between which an edition is in force."""

    from_: Annotated[str, Field(alias="from", pattern=r"^\d{4}-\d{2}-\d{2}$")]
    to: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None


class Citation(Strict):
    """The instrument a number comes from, and how sure we are: cited, verify or own."""

    instrument: str = Field(min_length=1)
    clause: str | None = None
    edition: str | None = None
    effective: EffectiveSpan | None = None
    status: Literal["cited", "verify", "own"]
    of: str | None = None
    """What of the rule this citation covers, where it is not the whole."""


class Rationale(Strict):
    """Cause, consequence and expected response."""

    cause: Bilingual
    consequence: Bilingual
    response: Bilingual


class Expectation(Strict):
    """One change that a test of the file expects; `at` and `start` are durations from the test's beginning."""

    at: Duration
    change: ChangeKind
    severity: Severity | None = None
    start: Duration | None = None
    end: Duration | None = None
    subject: dict[str, str] | None = None


class TestSeries(Strict):
    """Values of a tag in short form.

    `7x5` five samples of 7, `_` none, `!9` the value 9 marked as a fault, `?9` the value 9 that is uncertain.
    """

    __test__ = False  # not a pytest class

    every: Duration
    values: str


class TestEvent(Strict):
    """An event of a test; `at` is its event time, and it is received `after` that (`1s` unless said otherwise)."""

    __test__ = False  # not a pytest class

    at: Duration
    after: Duration = 1_000
    stream: EventStream
    type: EventType
    source: Identifier = "PLC-1"
    area: Identifier | None = None
    device: Identifier | None = None
    fields: dict[Identifier, Any] = Field(default_factory=dict)


class TestRegister(Strict):
    """Another register version that is received at `at`: partial facts as in `register`."""

    __test__ = False  # not a pytest class

    at: Duration
    register_: dict[str, Any] = Field(alias="register")


class TestDecision(Strict):
    """An officer's decision, received at `at`, on the rule's alarm of this subject and start."""

    __test__ = False  # not a pytest class

    at: Duration
    subject: dict[str, str]
    start: Duration
    code: Identifier = "close-latched"


class RuleTest(Strict):
    """A test inside a rule file; `register` holds partial facts that complete a standard facility."""

    name: str = Field(min_length=1)
    register_: dict[str, Any] = Field(default_factory=dict, alias="register")
    series: dict[str, TestSeries] = Field(default_factory=dict)
    events: Annotated[list[TestEvent], Field(max_length=1_000)] = Field(default_factory=list)
    later: Annotated[list[TestRegister], Field(max_length=20)] = Field(default_factory=list)
    decisions: Annotated[list[TestDecision], Field(max_length=20)] = Field(default_factory=list)
    until: Duration | None = None
    """Move the clock to here after the last row (front door open)."""
    expect: list[Expectation]


class Override(Strict):
    """Why this file replaces the rule of the same id of an earlier pack."""

    reason: str = Field(min_length=10)


class RuleBase(Strict):
    """What every rule has, whatever its kind."""

    schema_: Literal["rule/1"] = Field(alias="schema")
    id: RuleId
    version: Annotated[str, Field(pattern=r"^\d{1,4}\.\d{1,4}\.\d{1,4}$")]
    title: Bilingual
    applies_to: dict[str, Predicate]
    severity: SeverityPlan
    time_to_respond: TimeToRespond | None = None
    scopes: Annotated[list[Scope], Field(min_length=1)]
    reads: list[RuleId] = Field(default_factory=list)
    cites: Annotated[list[Citation], Field(min_length=1)]
    rationale: Rationale
    stage: Stage = "live"
    unknown: UnknownAfter = UnknownAfter()
    marked: Literal["skip", "count"] = "skip"
    """Rows that the firm marked (maintenance, calibration, fault, stopped): limit rules skip them, integrity rules count them."""
    overlap: Identifier | None = None
    """Rules of one overlap group see the same cause: the highest colour speaks, the others are suppressed by design."""
    override: Override | None = None
    tests: list[RuleTest] = Field(default_factory=list)


class EventMatch(Strict):
    """Which events are meant: stream, type, and what some of their fields hold (one of the words, or a list of them)."""

    stream: EventStream
    type: EventType
    where: Annotated[dict[Identifier, str | list[str]], Field(max_length=8)] = Field(default_factory=dict)
    """A field that is missing, or holds no text, makes it unknown whether the event is meant."""


class CountRule(RuleBase):
    """So many events within a time, by subject (kind `count`); latched: an officer's decision ends it."""

    kind: Literal["count"]
    events: EventMatch
    by: Literal["system", "actor", "asset"]
    """The field that names the subject; `system` falls back on the event's source."""
    n: Whole = Field(default=1, ge=1, le=1_000)
    within: Duration = 0
    """Of one event none is needed; `n` above 1 needs one."""
    distinct: Identifier | None = None
    """Count the different texts of this field, not the events."""


class FollowUpRule(RuleBase):
    """An event A that no event B of the same area follows in time (kind `follow_up`); latched, by area and device of A."""

    kind: Literal["follow_up"]
    first: EventMatch
    then: EventMatch
    within: Duration = Field(ge=1_000)
    """B stands in [A, A + within], event time."""
    silent: Duration = Field(default=30 * 60_000, ge=60_000)
    """Unknown where the area's devices sent nothing so long before and after A."""
    allowed: Duration = 48 * 3_600_000
    """A B that is received so long after A still takes the alarm back."""


class Notice(Strict):
    """A milder colour that speaks before the instant at which something is due."""

    before: Duration
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


class RegisterCheckRule(RuleBase):
    """What the register says of itself (kind `register_check`), judged when it changes and when a date passes."""

    kind: Literal["register_check"]
    check: Literal["sensor-count", "sensor-error", "calibration-due"]
    notice: Notice | None = None
    """calibration-due: a milder colour before the date."""
    counts: Annotated[list[SensorCount], Field(max_length=16)] = Field(default_factory=list)
    """sensor-count: what areas need."""
    errors: Annotated[list[ErrorBand], Field(max_length=8)] = Field(default_factory=list)
    """sensor-error: what a certificate may show."""


class LimitRule(RuleBase):
    """A measured value outside its limits (kind `limit`)."""

    kind: Literal["limit"]
    limits: LimitSource
    when: OpenWhen = OpenWhen()
    clear: ClearWhen = ClearWhen()
    excludes: Flag = False
    """Rows outside are excluded from every other limit rule (a broken wire is no excursion)."""


class GapRule(RuleBase):
    """A series that falls silent (kind `gap`); area and facility silences group those of their series."""

    kind: Literal["gap"]
    factor: Number | None = Field(default=None, gt=1, le=1_000)
    """Silent when longer than this many registered intervals ..."""
    threshold: Duration | None = None
    """... or than this fixed time (a legal recording interval); exactly one of the two is given."""
    grace: Duration = 0
    groups: list[Literal["area", "facility"]] = Field(default=["area", "facility"])


class FrozenRule(RuleBase):
    """A value that does not move (kind `frozen`): identical values in a row, or a span too small for a day."""

    kind: Literal["frozen"]
    identical: Whole = Field(default=12, ge=2)
    identical_coarse: Whole = Field(default=30, ge=2)
    """Used where the interval is above `coarse_interval`."""
    coarse_interval: Duration = 5 * 60_000
    span: Duration = 60 * 60_000
    """The identical values must also span this long (event time)."""
    window_share: Number = Field(default=0.02, gt=0, lt=1)
    """Span branch: max - min below this share of the registered limits' width over 24 h."""
    clear_distinct: Whole = Field(default=3, ge=1)
    """Clears after this many different values in a row."""


RareRule = CountRule | FollowUpRule | RegisterCheckRule
"""Kinds that plain Python folds (rules/rare)."""
Rule = Annotated[LimitRule | GapRule | FrozenRule | RareRule, Field(discriminator="kind")]
