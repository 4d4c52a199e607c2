"""A rule file as a model: common fields, and one class per kind in a union discriminated by `kind` (engine.md).

Kinds of this version: limit, gap, frozen, cumulative, mean_kinetic, difference, jump, last_digit, steadiness; of rare records (rules/rare): count, follow_up, register_check, conflict,
clock, result_limit; stock_balance, retest, release, change, visit, runs, annual of facts that come in any order (rules/ledger); repeat_day, of which both have a part; completeness of a month's records (rules/rare/share.py); lateness of what a firm declares (rules/rare/lateness.py); revision of what it posts without effect (rules/rare/revisions.py);
parallel measurements (rules/rare/parallel.py); deadline of submitted reports (rules/clocks); document and balance of what these say (rules/documents). Of lots, across facilities: lot_count, lot_balance, lot_follow_up, lot_ratio (rules/lots).
A new kind adds a class here, a file in `rules/kinds` or `rules/rare`, and an oracle.

Above 400 lines on purpose: a rule file is one of these models, and a person reads them side by side.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any, Literal, TypeGuard

from pydantic import Field, ValidationInfo, WithJsonSchema, field_validator, model_validator
from pydantic_core import PydanticCustomError

from rules.allowances import Allowances
from rules.calendar import LegalTimeText
from rules.changes import ChangeKind, Stage
from rules.deadlineparts import Document, Edition, Overdue, Reminder, Where, Yearly
from rules.documentparts import Each, LeftOut, ReportType
from rules.excursionparts import Claimed, ClaimedTime, DurationClaim, ExcursionSource, Figure, PeakClaim
from rules.instants import Duration, WorkingDays
from rules.lotparts import Behind, Counted, CountedCases, LinkedTelemetry, LotIn, LotOut, SoldOnline
from rules.models import Bilingual, FacilityId, Flag, Identifier, Number, Severity, Strict, Whole
from rules.rareparts import (
    Amended,
    ErrorBand,
    EventMatch,
    EventStream,
    EventType,
    Notice,
    Occasions,
    Result,
    ResultLimits,
    SensorCount,
    ShareNotice,
    Trace,
    Worse,
)
from rules.refusals import refuse
from rules.register import Day, ProductClass, Scope, SinceInstant, Span

RuleId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}\.[a-z0-9][a-z0-9-]{0,63}$")]
Migration = Literal["carry", "re-evaluate", "close"]
MarkFlag = Literal["maintenance", "calibration", "stopped", "fault", "comms", "set_value"]
PostFault = Literal["number", "reason", "batch", "datum"]
Setting = Literal["limits", "alarm"]
SUM_WINDOW = 24 * 60 * 60_000
"""Length of a sliding window unless a rule says otherwise, ms."""
WINDOW_STEP = 48_000
"""A sliding window is kept in 48 parts of whole seconds, ms."""
UNFROZEN: frozenset[Any] = frozenset({"cleanroom", "cold-room", "cool-store", "room-store", "refrigerator"})
"""Areas that keep no frozen product: only there does a mean kinetic temperature mean anything."""


class Among(Strict):
    """What a rule may want of a fact beside a value: that it is registered or not, or that a number lies in a span.

    Bounds are in the unit of the fact and inside (`min: 300` takes 300). A number that is not registered lies in no span.
    """

    registered: Flag | None = None
    min: Number | None = None
    max: Number | None = None

    def __str__(self) -> str:
        """Return it as `offsite rules explain` names it.

        >>> str(Among(min=300)), str(Among(registered=False))
        ('>= 300', 'not registered')
        """
        parts = [] if self.registered is None else ["registered" if self.registered else "not registered"]
        parts += [f"{op} {bound:g}" for op, bound in ((">=", self.min), ("<=", self.max)) if bound is not None]
        return " and ".join(parts)


Predicate = str | Number | Flag | list[str] | Among


class LimitSource(Strict):
    """Where a limit comes from.

    `from`: `sensor` (registered limits), `range` (registered measuring range), the name of a table of the bundle
    (looked up by area facts), or a literal span. `narrower: sensor` takes the registered limit where it is stricter.
    `side`: of what is registered only this bound counts (a level has a minimum; its maximum is another matter).
    `inclusive`: a value equal to the bound is outside ("less than" in the source).
    """

    from_: str | Span = Field(alias="from")
    narrower: Literal["sensor"] | None = None
    side: Literal["low", "high"] | None = None
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
    consecutive: Whole | None = Field(default=None, ge=2, le=2)
    """`beyond` with a time: at least two records must lie there, also when the clock decides."""
    unless_marked: Annotated[list[MarkFlag], Field(min_length=1, max_length=6)] | None = None
    """Of a silence: not while a mark with one of these flags covers the series (of a place: all its series)."""
    to: Severity


class SeverityPlan(Strict):
    """Base colour and the steps of the same occurrence, mildest first."""

    base: Severity
    steps: Annotated[list[Step], Field(max_length=4)] = Field(default_factory=list)


class TimeToRespond(Strict):
    """Time for triage and for the firm's answer; default by colour."""

    triage: Duration | WorkingDays
    answer: Duration | WorkingDays | None = None


_Date = Annotated[Day, WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"})]


class EffectiveSpan(Strict):
    """Dates between which an edition is in force."""

    from_: _Date = Field(alias="from")
    to: _Date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> EffectiveSpan:
        if self.to is not None and self.to < self.from_:
            raise ValueError("ends before it begins")
        return self


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
    """An event of a test; `at` is its event time, and it is received `after` that (`1s` unless said otherwise); a text `+36h` in its fields as in reports."""

    __test__ = False  # not a pytest class

    at: Duration
    after: Duration = 1_000
    stream: EventStream
    type: EventType
    source: Identifier = "PLC-1"
    area: Identifier | None = None
    device: Identifier | None = None
    batch: Identifier | None = None
    """The id of its batch, one of its own without it."""
    seq: Whole | None = Field(default=None, ge=0)
    facility: FacilityId | None = None
    """Of a rule over lots: who sends it, if not the test's facility."""
    fields: dict[Identifier, Any] = Field(default_factory=dict)


class TestRow(Strict):
    """A row of a test in a batch of its own: event time, when it is received (1 s later unless said otherwise), a sample as in `series`."""

    __test__ = False  # not a pytest class

    tag: Identifier
    at: Duration
    received: Duration | None = None
    batch: Identifier | None = None
    """The id of its batch, one of its own without it."""
    seq: Whole | None = Field(default=None, ge=0)
    """The number of its batch."""
    value: Annotated[str, Field(max_length=32)]


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
    rule: RuleId | None = None
    """Whose alarm it is about, if it is not the tested rule's. A code about grades (`grade-signed`) is about that of the facility."""


class TestMark(Strict):
    """A mark of a test, received at `at`; `from` and `to` (open without it) are durations from the test's beginning."""

    __test__ = False  # not a pytest class

    at: Duration
    id: Identifier = "M-1"
    revision: Annotated[Whole, Field(ge=1)] = 1
    tags: Annotated[list[Identifier], Field(min_length=1, max_length=20)] | None = None
    area: Identifier | None = None
    flag: MarkFlag
    from_: Duration = Field(alias="from")
    to: Duration | None = None


class TestReport(Strict):
    """A report of a test, received at `at` and sent then, unless `sent` says another; a text `+36h` in its fields is so long behind the test's beginning."""

    __test__ = False  # not a pytest class

    at: Duration
    sent: Duration | None = None
    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
    id: Identifier = "R-1"
    revision: Annotated[Whole, Field(ge=1)] = 1
    reason: str | None = None
    facility: FacilityId | None = None
    """Of a rule over lots: who sends it, if not the test's facility."""
    fields: dict[Identifier, Any]


class TestInspection(Strict):
    """A visit of a test, received at `at`, done on site, in full, at the test's beginning unless it says otherwise (`done`, `handed_over`: so long behind it)."""

    __test__ = False  # not a pytest class

    at: Duration
    visit: Identifier = "V-1"
    version: Annotated[Whole, Field(ge=1)] = 1
    mode: Literal["on-site", "off-site", "written"] = "on-site"
    full: Flag = True
    done: Duration = 0
    handed_over: Duration | None = None
    plan_date: Day | None = None


class RuleTest(Strict):
    """A test inside a rule file; `register` holds partial facts that complete a standard facility."""

    name: str = Field(min_length=1)
    begin: SinceInstant | None = None
    """The instant from which its durations count; 2026-03-01, midnight in Beijing, unless it is said."""
    register_: dict[str, Any] = Field(default_factory=dict, alias="register")
    beside: Annotated[list[RuleId], Field(max_length=20)] = Field(default_factory=list)
    """Rules that are in force beside it, by id: of the packs that are tested, else shipped ones."""
    series: dict[str, TestSeries] = Field(default_factory=dict)
    rows: Annotated[list[TestRow], Field(max_length=1_000)] = Field(default_factory=list)
    events: Annotated[list[TestEvent], Field(max_length=1_000)] = Field(default_factory=list)
    later: Annotated[list[TestRegister], Field(max_length=20)] = Field(default_factory=list)
    decisions: Annotated[list[TestDecision], Field(max_length=20)] = Field(default_factory=list)
    marks: Annotated[list[TestMark], Field(max_length=20)] = Field(default_factory=list)
    reports: Annotated[list[TestReport], Field(max_length=100)] = Field(default_factory=list)
    inspections: Annotated[list[TestInspection], Field(max_length=20)] = Field(default_factory=list)
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
    """Rules over silences of one overlap group see the same cause: the highest colour speaks, the others are suppressed by design."""
    override: Override | None = None
    exceptions: Allowances | None = None
    """In which shapes exceptions of single sites are allowed (rules/exceptions.py); in none if nothing is said."""
    migration: Migration | None = None
    """What becomes of what stands where packs bring this file for another version of the rule: `carry` if nothing is said.

    `carry`: alarms and counts go on with the new numbers. `re-evaluate`: the rows of the horizon are decided again with them.
    `close`: its alarms end, and it begins anew. Only where what decides has changed (rules/migration.py)."""
    tests: list[RuleTest] = Field(default_factory=list)


class Early(Strict):
    """A milder colour before the limit speaks: `records` of the newest `of` records counted `count` particles or more."""

    records: Whole = Field(default=2, ge=1, le=4)
    of: Whole = Field(default=3, ge=1, le=4)
    count: Whole = Field(default=1, ge=1, le=1_000)
    to: Severity

    @model_validator(mode="after")
    def _reachable(self) -> Early:
        if self.records > self.of:
            raise ValueError("records is at most of")
        return self


class Smooth(Strict):
    """What is judged is the mean over the newest records that together sampled a volume, by the register's `sample_m3`."""

    volume: Annotated[str, Field(pattern=r"^(0\.[0-9]{1,6}|[1-9][0-9]?(\.[0-9]{1,6})?) m3$")]
    early: Early | None = None

    @property
    def cubic_metres(self) -> Fraction:
        """Return the volume, exactly."""
        return Fraction(self.volume.removesuffix(" m3"))


class LimitRule(RuleBase):
    """A measured value outside its limits (kind `limit`)."""

    kind: Literal["limit"]
    limits: LimitSource
    when: OpenWhen = OpenWhen()
    clear: ClearWhen = ClearWhen()
    excludes: Flag = False
    """Rows outside are excluded from every other limit rule (a broken wire is no excursion)."""
    during: Literal["trip"] | None = None
    """Only rows inside this declared state of the sensor's area count (rules/declared.py); such an alarm is latched."""
    smooth: Smooth | None = None
    """Judge no single record but a mean of the newest ones (of particles: one of them in a minute's sample is above a limit of 20 /m3)."""


class GapRule(RuleBase):
    """A series that falls silent (kind `gap`); area and facility silences group those of their series."""

    kind: Literal["gap"]
    factor: Number | None = Field(default=None, gt=1, le=1_000)
    """Silent when longer than this many registered intervals ..."""
    threshold: Duration | None = None
    """... or than this fixed time (a legal recording interval); exactly one of the two is given."""
    at_least: Duration | None = None
    """With `factor`: and longer than this, however often a record is due."""
    grace: Duration = 0
    during: Literal["trip", "filling"] | None = None
    """Silent only inside this declared state of the sensor's area (rules/absence.py); told series by series: `groups: []`."""
    records: Literal["good"] | None = None
    """During a declared state: only those that limits would judge end a silence, and not records of any quality."""
    off: Literal["monitor"] | None = None
    """During filling: at once where a monitor of the area was told to be off (rules/uncovered.py)."""
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


class CumulativeRule(RuleBase):
    """Time beyond a limit, summed over a sliding window of event time (kind `cumulative`)."""

    kind: Literal["cumulative"]
    limits: LimitSource
    total: Duration = Field(gt=0)
    """Raised when the sum reaches this."""
    clear_below: Duration = 0
    """Cleared when the sum is less than this; not with `during`."""
    window: Duration = SUM_WINDOW
    during: Literal["trip"] | None = None
    """Summed over this declared state of the sensor's area instead of a window (rules/declared.py); such an alarm is latched."""
    idle_while: RuleId | None = None
    """A limit rule, also named in `reads`: what lies inside one of its occurrences on the series does not count."""

    @model_validator(mode="after")
    def _ordered(self, info: ValidationInfo) -> CumulativeRule:
        if self.during is not None:
            return self  # rules/duringfaults.py
        unordered = not 0 < self.clear_below <= self.total <= self.window
        unread = self.idle_while is not None and self.idle_while not in self.reads
        refuse(
            info,
            [
                (unordered, "/clear_below", "clear_below is given and at most total, and total at most window"),
                (self.window % WINDOW_STEP, "/window", "a window is a whole number of 48 s"),
                (unread, "/idle_while", "the rule of idle_while is also named in reads"),
            ],
        )
        return self


class MeanKineticRule(RuleBase):
    """Mean kinetic temperature of the twelve months before a month's end (kind `mean_kinetic`)."""

    kind: Literal["mean_kinetic"]
    above: Number = Field(ge=-100, le=1_000)
    """Raised when the mean lies above this, degrees Celsius."""
    clear_at: Number = Field(ge=-100, le=1_000)
    """Cleared when the mean is at most this."""

    @model_validator(mode="after")
    def _unfrozen(self, info: ValidationInfo) -> MeanKineticRule:
        kinds = self.applies_to.get("area.kind")
        named = set(kinds if isinstance(kinds, list) else [kinds])
        other = self.applies_to.get("sensor.quantity") not in ("temperature", ["temperature"])
        told = f"applies_to names the area.kind, of {', '.join(sorted(UNFROZEN))}: never of frozen product"
        refuse(
            info,
            [
                (self.clear_at > self.above, "/clear_at", "clear_at is at most above"),
                (other, "/applies_to/sensor.quantity", "applies_to names sensor.quantity: temperature"),
                (not named or not named <= UNFROZEN, "/applies_to/area.kind", told),
            ],
        )
        return self


class PairLimits(Strict):
    """Between what a difference must lie, in the unit of its inputs.

    `from`: a literal span, or the name of a table of the bundle. `narrower: register` takes the lower bounds of the cascade
    and of the pressure-difference sensor where they are stricter.
    """

    from_: str | Span = Field(alias="from")
    narrower: Literal["register"] | None = None
    inclusive: Flag = False


class DoorWhen(Strict):
    """How long a run of records lasts before it opens while the doors of the cleaner room are known to be closed; with one open none begins."""

    closed: Duration = Field(gt=0)
    """Shorter than `when.on_delay`, which counts where the doors are not known."""


class DifferenceRule(RuleBase):
    """The difference of two values (kind `difference`): pressure pairs, and sensors that measure the same."""

    kind: Literal["difference"]
    pairs: Literal["cascades", "redundant", "by-temperature"]
    """`cascades`: rooms of which the cleaner must lead; `redundant`: sensors of one quantity in one area; `by-temperature`: a sensor and
    the first temperature of its area, by tag: how far it is above the row of the table that is for that temperature (`at`)."""
    limits: PairLimits
    when: OpenWhen = OpenWhen()
    clear: ClearWhen = ClearWhen()
    doors: DoorWhen | None = None
    """Of `cascades`: events `device door` of the cleaner room say whether its doors are open, closed, or not known."""
    max_age_intervals: Number = Field(default=2.0, ge=1, le=100)
    """A partner's value older than this many intervals of the slower input makes the difference unknown."""

    @property
    def excludes(self) -> bool:
        """Return False: values outside are excluded from no other rule."""
        return False


class ChangeLimits(Strict):
    """Between what the change from one record to the next must lie, in the unit of the sensor: `low` of a fall is below zero."""

    from_: Span = Field(alias="from")
    inclusive: Flag = False

    @model_validator(mode="after")
    def _about_zero(self) -> ChangeLimits:
        low, high = self.from_.low, self.from_.high
        if low is None and high is None:
            raise ValueError("from gives low, high or both")
        if (low is not None and low >= 0) or (high is not None and high <= 0):
            raise ValueError("low lies below zero and high above it: a value that stays has not jumped")
        return self

    @property
    def narrower(self) -> None:
        """Return None: the register says nothing of changes."""
        return


class JumpRule(RuleBase):
    """A value that changes much from one record to the next (kind `jump`)."""

    kind: Literal["jump"]
    limits: ChangeLimits
    when: OpenWhen = OpenWhen()
    """How many such changes in a row; none lasts, so there is no `on_delay`."""
    clear: ClearWhen = ClearWhen()
    """Records in a row that change little."""

    @property
    def excludes(self) -> bool:
        """Return False: values behind a jump are excluded from no other rule."""
        return False


class LastDigitRule(RuleBase):
    """Values whose last digits are not those of the sensor (kind `last_digit`); a sensor without a registered resolution has none."""

    kind: Literal["last_digit"]
    check: Literal["precision", "uniform"]
    """`precision`: values with more decimals than the registered resolution. `uniform`: last digits, in steps of it, that are not evenly spread."""
    number: Whole = Field(default=10, ge=1, le=4_000)
    """precision: raised by so many such values (16 at most) ...; uniform: so many readings are judged together."""
    within: Duration = Field(default=86_400_000, gt=0)
    """... in this time (event time), both ends included."""
    clean: Duration = Field(default=604_800_000, gt=0)
    """Cleared behind so long a time that is covered by records without one."""
    related: Number | None = Field(default=None, gt=0, lt=1)
    """uniform: of readings whose neighbours correlate as much every second one is left out."""
    spread: Whole | None = Field(default=None, ge=10, le=80)
    """uniform: steps of the resolution that lie between the 5th and the 95th percentile at least; unknown with fewer."""
    uneven: Number | None = None
    """uniform: raised where evenly spread digits are as uneven with less than this probability (one that is tabled: rules/params.py) ..."""
    even: Number | None = None
    """... and cleared where they are with more than this."""


class SteadinessRule(RuleBase):
    """Days that move far less than the weeks before them, or not at all from the detection limit (kind `steadiness`); judged behind each local day."""

    kind: Literal["steadiness"]
    check: Literal["spread", "differences", "at-limit"]
    """`spread`: of the values. `differences`: of what each value differs by from the one before it, at most two intervals apart.

    `at-limit`: how many lie within a step of the registered detection limit; without both in the register there is no such series."""
    below: Number | None = Field(default=None, gt=0, lt=1)
    """spread, differences: raised where the standard deviation of seven days is less than so much of the median of the thirteen weeks before ..."""
    clear_above: Number | None = Field(default=None, gt=0, lt=10)
    """... and cleared where it is more than so much of that median, which stays as it was."""
    share: Number | None = Field(default=None, gt=0, le=1)
    """at-limit: raised where at least so much of a day's values lie there ..."""
    before: Number | None = Field(default=None, gt=0, le=1)
    """... and of the thirteen weeks before less than this, on average ..."""
    clear_below: Number | None = Field(default=None, gt=0, le=1)
    """... and cleared by a day with less than this."""
    weeks: Whole = Field(default=10, ge=1, le=13)
    """Unknown where fewer of the thirteen weeks are known: each has three quarters of its records."""


class CountRule(RuleBase):
    """So many events within a time, by subject (kind `count`); latched, but for one that is to be reached again and again."""

    kind: Literal["count"]
    events: EventMatch
    by: Literal["system", "actor", "asset"]
    """The field that names the subject; `system` falls back on the event's source."""
    n: Whole = Field(default=1, ge=1, le=1_000)
    within: Duration = 0
    """Of one event none is needed; `n` above 1 needs one."""
    distinct: Identifier | None = None
    """Count the different texts of this field, not the events."""
    occasions: Occasions | None = None
    """The count must be reached so often; not latched (rules/rare/shared.py)."""


class FollowUpRule(RuleBase):
    """An event A that no event B of the same area follows in time (kind `follow_up`); latched, by area and device of A.

    With `before`, B must be there when A happens: a change of settings that nobody had approved (rules/rare/approval.py), by asset
    and not latched. Then there are `settings` and `approved_by`, and nothing is waited for.
    With `alarm`, A is that another rule raises its alarm of a series (rules/rare/followed.py), and the subject is that alarm's.
    With `excursions`, A is an excursion that other rules told, B a report that names it (rules/excursions), and the subject is the excursion's; not latched.
    With `trace`, A is that a door opens, and B what the sensor nearest to it measures (rules/rare/openings.py), by sensor and not latched:
    a share of the newest openings decides, and `silent` and `allowed` have no meaning.
    """

    kind: Literal["follow_up"]
    before: Literal[True] | None = None
    alarm: RuleId | None = None
    """A rule over series, also named in `reads`."""
    excursions: ExcursionSource | None = None
    """Which alarms are excursions ..."""
    report: Claimed | None = None
    """... the report that is to name them (it names the asset and the time) ..."""
    in_time: LegalTimeText | None = None
    """... within this time of their start."""
    trace: Trace | None = None
    """What shows that A happened: no event, but a change of values within `within`."""
    first: EventMatch | None = Field(default=None, validate_default=True)
    then: EventMatch | None = Field(default=None, validate_default=True)
    within: Duration | None = Field(default=None, ge=1_000, validate_default=True)
    """B stands in [A, A + within], event time."""
    silent: Duration = Field(default=30 * 60_000, ge=60_000)
    """Unknown where the area's devices sent nothing so long before and after A."""
    allowed: Duration = 48 * 3_600_000
    """A B that is received so long after A still takes the alarm back."""
    within_before: Duration | None = None
    """alarm: B may stand so long before A too."""
    lasts_until: EventMatch | None = None
    """alarm: B lasts until its device sends this, and counts while it lasts."""
    result: Result | None = None
    """alarm: B is a result that passes; not latched, a result that comes late ends the alarm (rules/rare/results.py)."""
    settings: Annotated[list[Setting], Field(min_length=1)] | None = None
    """before: what A changes, `limits` of an asset that get wider or an `alarm` that is switched off (audit events, catalogue 12)."""
    approved_by: Annotated[list[Literal["register"]], Field(min_length=1)] | None = None
    """before: where B stands; `register`: limits that it holds for the asset."""

    @field_validator("first", "then", "within")
    @classmethod
    def _needed(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - of three members
        other = {"first": "alarm", "then": "trace"}.get(info.field_name or "", "")
        spared = info.data.get(other) is not None or info.data.get("excursions") is not None
        if value is None and not spared and info.data.get("before") is None:
            raise PydanticCustomError("missing", "what follows an event needs it: only with before there is none")
        return value

    @model_validator(mode="after")
    def _named(self, info: ValidationInfo) -> FollowUpRule:
        unread = self.alarm is not None and self.alarm not in self.reads
        parts = {self.excursions is None, self.report is None, self.in_time is None}
        refuse(
            info,
            [
                (unread, "/alarm", "the rule of alarm is also named in reads"),
                (len(parts) > 1, "/excursions", "excursions, report and in_time go together"),
            ],
        )
        return self

    @property
    def begins(self) -> EventMatch:
        """Return the events A of a rule that waits behind events."""
        assert self.first is not None  # noqa: S101 - validated
        return self.first

    @property
    def awaits(self) -> EventMatch:
        """Return the events B of a rule that waits."""
        assert self.then is not None  # noqa: S101 - validated
        return self.then

    @property
    def time(self) -> int:
        """Return how long a rule waits, ms of event time."""
        assert self.within is not None  # noqa: S101 - validated
        return self.within


class ResultLimitRule(RuleBase):
    """A posted laboratory result above its limit (kind `result_limit`), by area; latched: an officer's decision ends it.

    One result decides (rules/rare/posted.py): what is measured again, or passes later, takes nothing back.
    """

    kind: Literal["result_limit"]
    events: EventMatch
    """The results that are meant, of a room or a loop: `stream: lab`, `type: result`, and their `test`."""
    limits: ResultLimits


class StockBalanceRule(RuleBase):
    """A count of stock that is not what the last count and the bookings since leave (kind `stock_balance`), by place and product.

    By event time, in whatever order they come (rules/ledger/stock.py): a booking that comes later decides again, and a later count that
    agrees ends the alarm. Events name `place`, `product` and `quantity`, and add up exactly as they are written.
    """

    kind: Literal["stock_balance"]
    product_class: ProductClass
    """Products that the register holds with another class are none of the rule's; one that it does not hold is."""
    counted: EventMatch
    """What was counted; the first count of a place and product is compared with nothing."""
    adds: Annotated[list[EventMatch], Field(min_length=1, max_length=8)]
    """Bookings that add to the stock ..."""
    takes: Annotated[list[EventMatch], Field(min_length=1, max_length=8)]
    """... and that take from it."""
    tolerance: Number = Field(default=0.0, ge=0)
    """A count may differ by so much, in units of the product."""
    silent: Duration = Field(default=24 * 3_600_000, ge=60_000)
    """An alarm is unknown so long behind the newest count, event time."""

    @property
    def reports(self) -> frozenset[str]:
        """Return the types of report that it reads: none."""
        return frozenset()


class RetestRule(RuleBase):
    """A lot that passes a test behind a failure without an investigation opened in between (kind `retest`), by lot and test.

    The first passing result behind a failure decides, once time and reports have had `wait` (rules/ledger/retest.py); an investigation
    that comes later, or was opened later, ends the alarm.
    """

    kind: Literal["retest"]
    failed: EventMatch
    """A result out of specification ..."""
    passed: EventMatch
    """... and one that passes; both name a `lot` and a `test`."""
    report: Literal["oos-investigation"]
    wait: Duration = Field(default=24 * 3_600_000, ge=60_000)
    """So long behind the passing result (event time) the investigation has to be known."""

    @property
    def reports(self) -> frozenset[str]:
        """Return the types of report that it reads."""
        return frozenset({self.report})


class RunsRule(RuleBase):
    """Runs of an instrument that were started and not told of again, and numbers that nobody told of (kind `runs`), by instrument.

    A run is reported, or aborted with a reason, in time; numbers rise by one (rules/ledger/runs.py). What is told later ends the alarm.
    """

    kind: Literal["runs"]
    run: EventMatch
    """What is told of a run: it names an `instrument`, a `number` and a `state`, and a `reason` where it was aborted for one."""
    wait: Duration = Field(default=48 * 3_600_000, ge=60_000)
    """So long behind its start (event time) a run has to be closed; a number, behind the first start above it."""
    anew: Whole = Field(default=10, ge=2, le=1_000_000)
    """A start with number 0 or 1, at least so far below the highest, begins a new count."""

    @property
    def reports(self) -> frozenset[str]:
        """Return the types of report that it reads: none."""
        return frozenset()


class AnnualRule(RuleBase):
    """Batches or volume of a product in the annual report that are not what was told to be produced (kind `annual`), by year; not latched.

    Judged when the local year is over, by the newest report, with each fact that comes later (rules/ledger/annual.py). Unknown of a year
    in which the facility was not heard throughout: first before 2 January, and then with no silence above a quarter of the year.
    """

    kind: Literal["annual"]
    made: EventMatch
    """What was produced: it names a `product`, a `lot` and a `quantity`."""
    report: Literal["annual-report"]
    percent: Number = Field(default=2.0, ge=0, le=100)
    """A figure may differ by so many hundredths of what was told ..."""
    batches: Whole = Field(default=1, ge=1, le=1_000)
    """... and a number of batches is told of if it differs by at least so many."""

    @property
    def reports(self) -> frozenset[str]:
        """Return the types of report that it reads."""
        return frozenset({self.report})


class ReleaseRule(RuleBase):
    """A lot that is released while something of it is open (kind `release`), by lot; latched: an officer's decision ends it.

    Open are a `deviation` that names the lot until it says when it was closed, and a result out of specification until an
    `oos-investigation` of its lot and test does (rules/ledger/release.py).
    """

    kind: Literal["release"]
    released: EventMatch
    """The release of a `lot`."""
    failed: EventMatch
    """A result out of specification: it names a `lot` and a `test`."""
    while_open: Annotated[list[Literal["deviation", "oos-investigation"]], Field(min_length=2, max_length=2)]
    """Reports that open or close."""
    allowed: Duration = Field(default=48 * 3_600_000)
    """What closes counts if it is received so long behind the release; what opens, always."""

    @property
    def reports(self) -> frozenset[str]:
        """Return the types of report that it reads."""
        return frozenset(self.while_open)


class ChangeRule(RuleBase):
    """A set-point or a device that was changed without a filing in force before it (kind `change`), by asset; not latched (rules/ledger/filing.py)."""

    kind: Literal["change"]
    set_point: EventMatch
    """What tells a configuration: one whose `fields` hold another `set_point` than the one before is a change."""
    equipment: EventMatch
    """What tells that a device was replaced; it counts of registered devices."""
    report: Literal["change-filing"]
    within: Duration = Field(default=366 * 86_400_000, ge=86_400_000)
    """A filing is about changes up to so long behind the day from which it holds."""

    @property
    def reports(self) -> frozenset[str]:
        """Return the types of report that it reads."""
        return frozenset({self.report})


class VisitMonths(Strict):
    """Calendar months between full on-site visits, by risk grade."""

    A: Whole = Field(ge=1, le=120)
    B: Whole = Field(ge=1, le=120)
    C: Whole = Field(ge=1, le=120)
    D: Whole = Field(ge=1, le=120)

    def __getitem__(self, grade: Literal["A", "B", "C", "D"]) -> int:
        """Return the months of a grade."""
        return int(getattr(self, grade))


class VisitRule(RuleBase):
    """A full on-site visit that is due by the risk grade (kind `visit`), of the facility as a whole; not latched (rules/ledger/visit.py)."""

    kind: Literal["visit"]
    months: VisitMonths
    """Behind the last one, by the grade in force; due at 24:00 local of that day."""
    notice: Notice
    """A milder colour so long before it is due."""

    @property
    def reports(self) -> frozenset[str]:
        """Return the types of report that it reads: none."""
        return frozenset()


class GradeRule(RuleBase):
    """Strong alarms of a facility that ask for another risk grade (kind `grade`), of the facility as a whole (rules/rare/grade.py).

    It hears the live alarms of all other rules but those of some packs. An officer who signs or refuses the step ends it, and counting
    begins anew.
    """

    kind: Literal["grade"]
    window: Duration = Field(ge=86_400_000, le=366 * 86_400_000)
    """Alarms that began within so long before count."""
    red: Whole = Field(ge=1, le=64)
    """Raised with so many red ones ..."""
    orange: Whole = Field(ge=1, le=64)
    """... or with so many orange or red ones; those of one area that overlap are one."""
    without: Annotated[list[Identifier], Field(min_length=1, max_length=16)]
    """Packs whose alarms do not count; its own is one of them."""
    leave_out: Annotated[
        list[Literal["false-alarm", "equipment-fault", "marked-state", "duplicate"]], Field(max_length=4)
    ]
    """An alarm that an officer closes so does not count."""


class RegisterCheckRule(RuleBase):
    """What the register says of itself (kind `register_check`), judged when it changes and when a date passes.

    Two checks look at what devices tell of themselves, against the register in force at the event time (rules/rare/told.py), one at
    readings of tags that it does not hold (rules/rare/strays.py), and one at what all other rules lack in it (rules/rare/incomplete.py).
    """

    kind: Literal["register_check"]
    check: Literal[
        "sensor-count", "sensor-error", "calibration-due", "serial-changed", "config-hash", "unknown-tag", "incomplete"
    ]
    notice: Notice | None = None
    """calibration-due: a milder colour before the date."""
    counts: Annotated[list[SensorCount], Field(max_length=16)] = Field(default_factory=list)
    """sensor-count: what areas need."""
    errors: Annotated[list[ErrorBand], Field(max_length=8)] = Field(default_factory=list)
    """sensor-error: what a certificate may show."""
    within: Duration | None = Field(default=None, ge=60_000)
    """serial-changed: unknown so long behind an event that tells another serial; a replacement stands so long before or after it."""
    grace: Duration | None = Field(default=None, ge=60_000)
    """serial-changed: with a replacement the register has so much longer to name the serial."""
    allowed: Duration | None = Field(default=None, ge=60_000)
    """serial-changed: a replacement that is received so long after its event time counts."""
    silent: Duration | None = Field(default=None, ge=60_000)
    """config-hash: an alarm is unknown when nothing is told for longer."""
    after: Duration | None = Field(default=None, ge=60_000, le=31 * 86_400_000)
    """unknown-tag: raised by readings that are received longer than this after the first of their tag ..."""
    forgotten: Duration | None = Field(default=None, ge=60_000, le=366 * 86_400_000)
    """... and forgotten, with its alarm, when none is received for so long."""
    optional: Annotated[list[Identifier], Field(max_length=64)] = Field(default_factory=list)
    """incomplete: facts that a register may lack, by their names in it (`sensor.config_hash`): who leaves one out has chosen that no rule
    which needs it judges there."""


class ConflictRule(RuleBase):
    """A reading that comes again with another value (kind `conflict`), by sensor; latched: an officer's decision ends it.

    Same sensor and event time, and a value that differs as the sensor shows it (`resolution` of the register, if it has one).
    """

    kind: Literal["conflict"]
    amended: Amended | None = None
    """A second value that an amendment names before it comes is none; one that is named so soon behind its receipt has a milder colour."""


class ClockRule(RuleBase):
    """Times that cannot be, or that come too late to be judged, by sensor and latched; a device's clock that is off (kind `clock`)."""

    kind: Literal["clock"]
    check: Literal["event-time", "late-evidence", "offset", "heartbeat", "sequence"]
    """`event-time`: ahead of the receive time, or long behind it. `late-evidence`: too old for the horizon, and not that old.
    `offset`: the time that a device's heartbeats tell against the receive time. `heartbeat`: audit heartbeats of a system that stay
    away while other records of the facility arrive. `sequence`: numbers of a feed that do not come, or do not rise with time."""
    ahead: Duration | None = Field(default=None, ge=60_000)
    """event-time: farther ahead of the receive time than this."""
    behind: Duration = Field(default=10 * 24 * 3_600_000, ge=2 * 3_600_000)
    """event-time: farther behind it than this; late-evidence: at most so far."""
    beats: Whole = Field(default=5, ge=1, le=25)
    """offset: how many heartbeats are judged together."""
    beyond: Duration | None = Field(default=None, ge=1_000)
    """offset: their median is farther off than this ..."""
    drift: Duration | None = Field(default=None, ge=1_000)
    """... or it moves by more than this a day, fitted over a week."""
    clear_below: Duration | None = Field(default=None, ge=1_000)
    """offset: cleared when each of them is less off than this, and it does not drift."""
    worse: Worse | None = None
    silent: Duration = Field(default=24 * 3_600_000, ge=60_000)
    """offset: an alarm is unknown so long after the newest heartbeat; heartbeat: overdue so long after it; sequence: of a facility that
    sends nothing for longer the time does not count."""
    back: Duration | None = Field(default=None, ge=60_000)
    """heartbeat: where the whole facility was silent, overdue so long after it is heard again."""
    wait: Duration | None = Field(default=None, ge=60_000, le=31 * 86_400_000)
    """sequence: a number is missing so long behind the record that left it out, without time in which nothing came for longer than `silent`."""
    apart: Duration | None = Field(default=None, ge=1_000, le=86_400_000)
    """sequence: numbers and times contradict each other by more than this, event time."""


class RepeatDayRule(RuleBase):
    """A day whose values are those of an earlier day (kind `repeat_day`), by sensor; latched: an officer's decision ends it.

    Of a day at most 48 records are compared, each with the one of the other day that lies at most half an interval from its
    time of day. Values are equal as the sensor shows them (`resolution` of the register, if it has one).
    """

    kind: Literal["repeat_day"]
    lags: Annotated[list[Duration], Field(min_length=1, max_length=2)] = Field(default=[86_400_000, 604_800_000])
    """How far back the other day lies: whole days, at most seven."""
    share: Number = Field(default=0.95, ge=0.5, le=1)
    """At least so much of the pairs is equal, in steps of a thousandth."""
    pairs: Whole = Field(default=24, ge=2, le=48)
    """Unknown with fewer pairs ..."""
    distinct: Whole = Field(default=5, ge=2, le=48)
    """... with fewer different values among them ..."""
    chance: Number = Field(default=0.5, gt=0, le=1)
    """... or where the sum of their squared shares, the agreement by chance, is larger."""

    @model_validator(mode="after")
    def _whole_days(self, info: ValidationInfo) -> RepeatDayRule:
        told = "a lag is a whole number of days, at most seven"
        week = 7
        refuse(
            info,
            [
                (lag % 86_400_000 or not 1 <= lag // 86_400_000 <= week, f"/lags/{i}", told)
                for i, lag in enumerate(self.lags)
            ],
        )
        return self


class CompletenessRule(RuleBase):
    """How much of a local month a series was measured (kind `completeness`), by sensor.

    `mark-share`: the time that the firm marked with one of `flags`, and the time for which rows came that the device flagged so, is a
    share of the whole month's hours; judged behind each local midnight. `effective-rate`: the time for which valid rows came is a
    share of the time for which they were expected; judged at the end of the month.
    """

    kind: Literal["completeness"]
    check: Literal["mark-share", "effective-rate"]
    flags: Annotated[list[Literal["maintenance", "calibration", "fault", "stopped"]], Field(max_length=4)] = Field(
        default_factory=list
    )
    """mark-share: marks, and qualities of rows, that count."""
    invalid: Annotated[list[MarkFlag], Field(max_length=6)] = Field(default_factory=list)
    """effective-rate: rows with these qualities, and the time of these marks, are not valid."""
    exempt: Annotated[list[MarkFlag], Field(max_length=6)] = Field(default_factory=list)
    """effective-rate: in the time of these marks nothing is expected."""
    share: Number = Field(gt=0, lt=1)
    """mark-share: raised when more of the month than this is marked; effective-rate: when less than this of what was expected is valid."""
    notice: ShareNotice | None = None
    """mark-share: a milder colour from a smaller share on."""

    @property
    def looks_at(self) -> frozenset[str]:
        """Return the marks that decide."""
        return frozenset([*self.flags, *self.invalid, *self.exempt])


class LatenessRule(RuleBase):
    """What a firm declares too late (kind `lateness`); latched: an officer's decision ends it.

    `mark`, by sensor: a mark that is received more than `within` behind the beginning of the state that it declares. `amendment`, by
    report: one that is received more than `within` behind a reading that it corrects, and proof of it that does not come.
    """

    kind: Literal["lateness"]
    of: Literal["mark", "amendment"]
    within: LegalTimeText
    """Hours to the millisecond, all else at 24:00 local of the last day; no working days."""
    flags: Annotated[list[MarkFlag], Field(max_length=6)] = Field(default_factory=list)
    """mark: which states."""
    proof_by: Whole | None = Field(default=None, ge=1, le=28)
    """amendment: proof is owed by 24:00 local of this day of the month behind that of the earliest reading; what comes ends the alarm."""


class RevisionRule(RuleBase):
    """What a firm posts so that it has no effect (kind `revision`), by what was posted (rules/rare/revisions.py); latched: an officer's decision ends it."""

    kind: Literal["revision"]
    of: Annotated[list[PostFault], Field(min_length=1, max_length=4)]
    """`number`: a report or a mark whose number came before with other content. `reason`: a revision that does not say why. `batch`: readings
    or events whose batch id came before with other content. `datum`: an amendment none of whose readings can have come."""


class ParallelRule(RuleBase):
    """A value that was measured beside a sensor and that its nearest record does not fit (kind `parallel`), by sensor (rules/rare/parallel.py).

    Latched: an officer's decision ends it. They may differ by the sensor's registered error and that of the reference together.
    """

    kind: Literal["parallel"]
    marked: Literal["skip", "count"] = "count"


class CompareRule(RuleBase):
    """What a report claims against what sensors said (kind `compare`), by report (rules/excursions).

    With `duration` and `peak`, of an excursion: what a deviation says of it. With `figures`, of a time: what the summaries of the series that
    `applies_to` means say of it (rules/sums.py); they are kept from when such a rule is in force, days 532 days long, hours 35.
    """

    kind: Literal["compare"]
    excursions: ExcursionSource | None = None
    """Which alarms are excursions; of figures only where they are counted."""
    report: ReportType
    duration: DurationClaim | None = None
    peak: PeakClaim | None = None
    figures: Annotated[list[Figure], Field(max_length=8)] = Field(default_factory=list)
    time: ClaimedTime | None = None
    """What time the figures are about ..."""
    asset: Identifier | None = None
    """... and the member that names a tag, an area or a device; without it all that `applies_to` means."""
    known: Number = Field(default=0.95, gt=0, le=1)
    """Unknown where less than this share of the time is known, of any of the series."""
    wait: Duration
    """So long behind its receipt (with figures also: behind the end of their time) it is compared: records may be late."""

    @model_validator(mode="after")
    def _one_of_both(self, info: ValidationInfo) -> CompareRule:
        parts = (self.duration, self.peak)
        beside = self.figures and (any(parts) or self.time is None)
        short = not self.figures and (not all(parts) or self.excursions is None or self.time or self.asset)
        counted = any(one.of == "excursions" for one in self.figures)
        apart = self.figures and (self.excursions is not None) != counted
        refuse(
            info,
            [
                (beside, "/figures", "figures stand with time, and without duration and peak"),
                (short, "/figures", "duration, peak and excursions, or figures and time"),
                (apart, "/excursions", "excursions stands here where a figure counts them"),
            ],
        )
        return self

    @property
    def of_hours(self) -> bool:
        """Say whether hours are kept for it: its time need not begin with a day."""
        return self.time is not None and self.time.period is None


class DeadlineRule(RuleBase):
    """A report that the law wants in time (kind `deadline`), by case (rules/clocks).

    A clock runs from the earliest start that any of its documents tells until the first one that answers was received. Without
    something that starts it beforehand (`starts`, `inspections`, `yearly`) it is judged by what answers alone: late, or not.
    """

    kind: Literal["deadline"]
    answer: Document
    """What ends the clock: the first one that is received."""
    starts: Document | None = None
    """What makes it run before it is answered: a report ..."""
    inspections: Flag = False
    """... or findings of a visit that were handed over: the visit names the case ..."""
    yearly: Yearly | None = None
    """... or the register and the calendar."""
    only: Annotated[list[Where], Field(max_length=8)] = Field(default_factory=list)
    """Cases of which one of these holds, by the report that starts it (else the one that answers) with the highest revision; none: all."""
    within: Annotated[list[Edition], Field(min_length=1, max_length=32)]
    """The first that fits counts; a case that none fits has no clock."""
    judged: Identifier | None = None
    """A field of the answer with an instant: the later one of it and receipt decides whether it was in time."""
    plan: Identifier | None = None
    """A field with a day, of the answer or the inspection: where it is known before the clock is over, the end of that day is due instead."""
    again_until: Document | None = None
    """Each answer starts the clock anew, until this comes."""
    reminder: Reminder | None = None
    overdue: Annotated[list[Overdue], Field(max_length=4)] = Field(default_factory=list)
    """Stronger colours behind the due instant, mildest first."""

    @property
    def is_awaited(self) -> bool:
        """Say whether something starts it before it is answered."""
        return self.starts is not None or self.inspections or self.yearly is not None


class _OfReports(RuleBase):
    """A rule over what reports say: types of report, and a list in them whose entries are looked at one by one."""

    reports: Annotated[list[ReportType], Field(min_length=1, max_length=8)]
    each: Each | None = None
    judged: Literal["every", "newest"] = "every"
    """Of alarms about entries: every report of a series speaks, or only the newest (by its number) that has the entry."""

    @property
    def speaks_by_newest(self) -> bool:
        """Say whether only the newest report of a series speaks."""
        return self.judged == "newest" and self.each is not None and self.each.subject != "report"


class DocumentRule(_OfReports):
    """A condition over a report's own fields, its revision before and the report before it (kind `document`; rules/documents)."""

    kind: Literal["document"]
    condition: Annotated[str, Field(min_length=1, max_length=4_000)]
    """A closed part of CEL (ADR 0059): it reads `report`, `earlier`, `previous`, and with `each` `entry` and `before`."""
    leave_out: Annotated[list[LeftOut], Field(max_length=64)] = Field(default_factory=list)
    """Words of names: numbers under such a name are not compared by `share_equal` and `count_compared`."""


class BalanceRule(_OfReports):
    """Parts that come to more than the whole they are parts of (kind `balance`), as far as one report tells it; sums are exact."""

    kind: Literal["balance"]
    parts: Annotated[list[Identifier], Field(min_length=1, max_length=8)]
    whole: Annotated[list[Identifier], Field(min_length=1, max_length=8)]
    """Members with numbers of the entry, or without `each` of the report."""
    tolerance: Number = Field(default=0.0, ge=0)
    """The parts may come to so much more, in the unit of the members."""


LedgerRule = StockBalanceRule | RetestRule | ReleaseRule | ChangeRule | VisitRule | RunsRule | AnnualRule
"""Kinds over facts of one subject that come in any order (rules/ledger)."""


class LotCountRule(RuleBase):
    """So many facts of one lot, whoever tells them (kind `lot_count`; rules/lots), by lot; latched.

    `applies_to` is empty: of a lot the register says nothing. `scopes` say whom it is for: what others tell counts for nothing (ADR 0095). It is decided anew with each fact, from all
    facts of the lot, whatever order they came in.
    """

    kind: Literal["lot_count"]
    counted: Counted
    behind: Behind | None = None
    """Moves: only those at or behind this."""
    distinct: Literal["case_id"] | None = None
    """Cases: counted by their id."""
    n: Whole = Field(default=1, ge=1, le=100)
    within: Duration = 0
    """Cases: so many were known within this time, both ends included."""


class LotBalanceRule(RuleBase):
    """More of a lot leaves a facility than it had (kind `lot_balance`; rules/lots), by lot; sums are exact, at every event time.

    Of a facility of which none of `whole` but returns is known it is unknown what it had.
    """

    kind: Literal["lot_balance"]
    parts: Annotated[list[LotOut], Field(min_length=1, max_length=2)]
    """What leaves it."""
    whole: Annotated[list[LotIn], Field(min_length=1, max_length=4)]
    """What it had; of returns those that come to it."""
    tolerance: Number = Field(default=0.0, ge=0)
    """The parts may come to so much more, in units of the product."""


class LotFollowUpRule(RuleBase):
    """Something of a lot was sold online that must stay cold, and of the shipment or a store nobody had telemetry in time (kind `lot_follow_up`; rules/lots), by lot and trip.

    The facility that sold it says when the time is over and it knows of none; whoever has any says so. It ends with that.
    """

    kind: Literal["lot_follow_up"]
    first: SoldOnline
    then: LinkedTelemetry
    within: Duration
    """Event time; so long behind the sale that is told (`rules.lots.watches.WITHIN_MS`)."""


class LotRatioRule(RuleBase):
    """More serious cases of a lot than its product lets expect (kind `lot_ratio`; rules/lots), by lot; latched.

    At each instant at which a case of the lot was known: at least `n` within `within`, and more than `factor` times the expected ones. These
    are the cases of the product in `over`, divided by its units sold in that time, times the units of the lot sold by then. Where none of the
    lot, or none of the product, is known to be sold, it is unknown.
    """

    kind: Literal["lot_ratio"]
    counted: CountedCases
    distinct: Literal["case_id"]
    """Two reports of one case are one."""
    n: Whole = Field(ge=1, le=100)
    within: Duration = Field(gt=0)
    """So many of the lot were known within this time, both ends included."""
    over: Duration = Field(gt=0)
    """Time of the product's rate, whole local days, the last one that of the case."""
    factor: Number = Field(gt=0, le=1_000)


LotRule = LotCountRule | LotBalanceRule | LotFollowUpRule | LotRatioRule
"""Kinds over facts of lots: the second fold's (rules/lots), the first passes over them."""
ReportRule = DocumentRule | BalanceRule
"""Kinds over what reports say (rules/documents)."""
RowRule = ConflictRule | ClockRule
"""Those of them that look at rows of series (rules/rare/rows.py), but for a check of heartbeats (`looks_at_rows`)."""
RareRule = (
    CountRule
    | FollowUpRule
    | ResultLimitRule
    | RegisterCheckRule
    | RowRule
    | RepeatDayRule
    | CompletenessRule
    | LatenessRule
    | RevisionRule
    | ParallelRule
    | DeadlineRule
    | CompareRule
    | ReportRule
    | LedgerRule
    | GradeRule
)
"""Kinds that plain Python folds (rules/rare)."""
SeriesRule = (
    LimitRule
    | GapRule
    | FrozenRule
    | CumulativeRule
    | MeanKineticRule
    | DifferenceRule
    | JumpRule
    | LastDigitRule
    | SteadinessRule
)
"""Kinds that the compiled pass folds, series by series (rules/kinds)."""
Rule = Annotated[SeriesRule | RareRule | LotRule, Field(discriminator="kind")]


HEARD = frozenset({"offset", "heartbeat"})
"""Checks of kind `clock` that look at heartbeats."""
LATE_EVIDENCE = "late-evidence"
"""The one that looks at rows that came too late to be judged."""
SEQUENCE = "sequence"
"""The one that looks at the numbers of feeds."""
TOLD = frozenset({"serial-changed", "config-hash"})
"""Checks of kind `register_check` that look at what devices tell of themselves."""
CALIBRATED = frozenset({"calibration-due", "sensor-error"})
"""Those that look at calibrations, of the register or of events."""
UNKNOWN_TAG = "unknown-tag"
"""The one that looks at readings of tags that the register does not hold."""
INCOMPLETE = "incomplete"
"""The one that looks at what other rules lack in the register."""


def is_told(rule: object) -> TypeGuard[RegisterCheckRule]:
    """Say whether a rule keeps what events tell of calibrations."""
    return isinstance(rule, RegisterCheckRule) and rule.check in CALIBRATED


def looks_at_rows(rule: object) -> TypeGuard[RowRule]:
    """Say whether a rule is about rows of series that are not as others are; else it is about events, the register or series."""
    return isinstance(rule, RowRule) and not (isinstance(rule, ClockRule) and rule.check in {*HEARD, SEQUENCE})


def hears_excursions(rule: object) -> TypeGuard[FollowUpRule | CompareRule]:
    """Say whether a rule holds reports against excursions or summaries (rules/excursions)."""
    return isinstance(rule, CompareRule) or (isinstance(rule, FollowUpRule) and rule.excursions is not None)


def is_latched(rule: object, subject: dict[str, str]) -> bool:
    """Say whether only an officer's decision ends a rule's alarm on a subject."""
    if isinstance(rule, LimitRule | CumulativeRule):
        return rule.clear.latched if isinstance(rule, LimitRule) else rule.during is not None
    if isinstance(rule, CountRule):
        return rule.occasions is None
    if isinstance(rule, FollowUpRule):
        return rule.before is None and rule.result is None and rule.trace is None and rule.excursions is None
    if isinstance(rule, ClockRule) and rule.check == SEQUENCE:
        return "case" in subject  # numbers against time; what is missing may come
    if isinstance(rule, LatenessRule):
        return "case" not in subject  # proof may come
    latched = RepeatDayRule | ResultLimitRule | RevisionRule | ParallelRule | LotCountRule | LotRatioRule | ReleaseRule
    return looks_at_rows(rule) or isinstance(rule, latched)
