"""Compile a facility and a bundle into a plan: which rule watches which series, with what numbers.

Done when the register or the packs change, never per reading. Above 400 lines on purpose: what a plan holds and how it is made are read side by side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np

from rules import lacks, layout
from rules.changes import LimitUsed
from rules.clocks.due import names
from rules.clocks.saying import asked_of
from rules.clocks.which import clocks_for
from rules.declared import asked
from rules.excursions.sources import sources_of
from rules.facts import facts_of, facts_of_area, in_force, next_change
from rules.kinds import gap
from rules.kinds.table import KINDS, SPANNED
from rules.layout import ABSENCE, DIFFERENCE, GAP, NONE, STEADINESS
from rules.pairdoors import areas_of, delay_of
from rules.pairs import bounds_of_pair, pairs_of
from rules.params import difference_param
from rules.places import Grouping, grouped, grouping_of
from rules.predicate import holds, in_scope
from rules.rare.match import applies
from rules.rare.points import Points
from rules.records import Quality
from rules.rule import (
    INCOMPLETE,
    SEQUENCE,
    UNKNOWN_TAG,
    AnnualRule,
    ClockRule,
    CompareRule,
    CompletenessRule,
    ConflictRule,
    DeadlineRule,
    DifferenceRule,
    FollowUpRule,
    GradeRule,
    LatenessRule,
    LedgerRule,
    RareRule,
    RegisterCheckRule,
    ReportRule,
    RevisionRule,
    Rule,
    VisitRule,
    hears_excursions,
)
from rules.scale import scale_of
from rules.tablerow import as_on
from rules.watching import Registered, contradictions

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from rules.lacks import Lack
    from rules.layout import Floats, Words
    from rules.pack import Bundle
    from rules.register import Facility, Sensor
    from rules.rule import RowRule
    from rules.watching import Use, Watched

Key = TypeVar("Key")
REMEMBERED_ROWS = 1_024
"""Of a batch with more rows the index is not remembered ..."""
REMEMBERED_SHAPES = 8
"""... and of so many shapes of batches it is, the newest: 64 KiB a facility at most, mostly one of a kilobyte."""


class Instance(msgspec.Struct, frozen=True, gc=False):
    """One rule on one series; made in hundreds for each facility at a start, which is why it is no dataclass."""

    kind: int
    rule: Rule
    rank: int
    """The rule's place in the bundle's order by id."""
    slot: int
    tag: str
    area: str
    unit: str
    quantity: str
    low: float = -math.inf
    high: float = math.inf
    limits: tuple[LimitUsed, ...] = ()
    call: int = 0
    """Its place in the program of its series ..."""
    params: int = 0
    """... its parameters among the plan's ..."""
    state: int = 0
    """... its block in the facility's state ..."""
    tail: int = NONE
    """... and in its tails; NONE where late rows do not decide it again."""
    slots: tuple[int, ...] = ()
    """The series that it reads, where these are not its own alone (a pair) ..."""
    name: str = ""
    """... what tells it from others of its rule then ..."""
    about: tuple[tuple[str, str], ...] = ()
    """... and its subject."""
    place: int = NONE
    """Its place among the pairs of the plan."""

    @property
    def key(self) -> tuple[str, str]:
        """Identity across recompilations."""
        return (self.rule.id, self.name or self.tag)

    @property
    def subject(self) -> dict[str, str]:
        """Return the subject of its alarms."""
        return dict(self.about) or {"tag": self.tag}

    @property
    def label(self) -> str:
        """Return how people are told of it."""
        return " / ".join(value for _, value in self.about) or self.tag

    @property
    def reads(self) -> tuple[int, ...]:
        """Return the slots of the series that it reads."""
        return self.slots or (self.slot,)


@dataclass(slots=True)
class Plan:
    """All instances of a facility, and what compiled code needs to fold them (rules/layout.py)."""

    facility: Facility
    at: int = 0
    """The instant whose registered facts it was made of."""
    until: int = layout.NEVER
    """When the next registered fact comes into force, or a site exception begins or ends: the plan is made anew then."""
    slots: dict[str, int] = field(default_factory=dict)
    sensors: list[Sensor] = field(default_factory=list)
    by_kind: dict[int, list[Instance]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    by_slot: list[list[Instance]] = field(default_factory=list)
    by_state: dict[int, Instance] = field(default_factory=dict)
    """Where its block stands -> the instance."""
    where: Words = field(default_factory=lambda: np.zeros(0, np.int64))
    """PLACE of each series, one after another."""
    series_at: Words = field(default_factory=lambda: np.zeros(0, np.int64))
    """Where the header of each series stands in the state."""
    params: Words = field(default_factory=lambda: np.zeros(0, np.int64))
    """Parameters and programs, each once: sensors that are alike share them. Behind them stand numbers of before (rules/formerly.py)."""
    programs: Words = field(default_factory=lambda: np.zeros(0, np.int64))
    """Where the program of each series stands that follows from register and packs alone."""
    others: int = 0
    """How many words of the parameters, the last ones, are numbers of before and the programs that say where these stand."""
    blank_state: Words = field(default_factory=lambda: np.zeros(0, np.int64))
    blank_tails: Words = field(default_factory=lambda: np.zeros(0, np.int64))
    ring_words: int = 0
    no_room: int = 0
    """Limit rules that the registered limits of a sensor leave no room: unknown (`contradictions` names them)."""
    silent: dict[tuple[str, str], npt.NDArray[np.int64]] = field(default_factory=dict)
    """(rule, area, or empty for the facility) -> its gap instances, by tag."""
    gap_slots: Words = field(default_factory=lambda: np.zeros(0, np.int64))
    """The series of each gap instance ..."""
    gap_at: Words = field(default_factory=lambda: np.zeros(0, np.int64))
    """... where its block stands ..."""
    gap_params: Words = field(default_factory=lambda: np.zeros(0, np.int64))
    """... and its parameters."""
    absent: Words = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    """Of each silence of a declared state its series, which call of it, and its area by its place in ..."""
    absent_in: tuple[str, ...] = ()
    """... the areas that have some ..."""
    absent_as: tuple[tuple[int, str, str], ...] = ()
    """... and under what its occurrences are kept."""
    places: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    """Area, or empty for the facility -> the slots of all its series."""
    grouped: dict[tuple[str, str], None] = field(default_factory=dict)
    """Rule and place of the silences that are grouped ..."""
    grouping: Grouping = field(default_factory=Grouping)
    """... and those of them that can fall silent, for the compiled pass."""
    rare: tuple[RareRule, ...] = ()
    """Rules over rare records whose scope the facility is in, by id (rules/rare)."""
    excursions: tuple[FollowUpRule | CompareRule, ...] = ()
    """Rules that hold reports against excursions, by id (rules/excursions) ..."""
    listeners: dict[str, tuple[FollowUpRule | CompareRule, ...]] = field(default_factory=dict)
    """... and rule -> those of them for which its alarms are excursions."""
    deadlines: tuple[DeadlineRule, ...] = ()
    """Legal clocks that may run for the facility, by id (rules/clocks)."""
    reading: dict[str, tuple[DeadlineRule, ...]] = field(default_factory=dict)
    """Type of report -> those of them that read it, by id ..."""
    asked_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """... and the members of it that they ask for."""
    ledgers: tuple[LedgerRule, ...] = ()
    """Rules over facts that come in any order which read reports, by id (rules/ledger)."""
    graders: tuple[GradeRule, ...] = ()
    """Rules that count what all others tell, by id (rules/rare/grade.py)."""
    years: tuple[AnnualRule, ...] = ()
    """Those of them that ask of every record whether the facility is heard (rules/ledger/annual.py)."""
    visits: tuple[VisitRule, ...] = ()
    """Those of them that hear inspections."""
    documents: tuple[ReportRule, ...] = ()
    """Rules over what its reports say, by id (rules/documents)."""
    readers: dict[str, tuple[FollowUpRule, ...]] = field(default_factory=dict)
    """Rule -> those of them that follow up its alarms, by id (rules/rare/followed.py)."""
    named: Points | None = None
    """Sensors and devices by name; made where `points` is asked for first."""
    doors: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """(rule, door) -> the sensors in force that name it, of rules that look for its openings in their values (rules/rare/openings.py)."""
    beats: tuple[ClockRule, ...] = ()
    """Those of them that ask of every record whether the facility is heard (rules/rare/beats.py)."""
    sequences: tuple[ClockRule, ...] = ()
    """Those of them that look at the numbers of feeds (rules/rare/sequence.py)."""
    asked: dict[str, str] = field(default_factory=dict)
    """Areas of whose declared states something is kept, and which states (rules/declared.py)."""
    strays: tuple[tuple[int, RegisterCheckRule], ...] = ()
    """Those of them that look at rows of tags that are not in force, with their places in the bundle's order (rules/rare/strays.py)."""
    incomplete: tuple[RegisterCheckRule, ...] = ()
    """Those of them that list what other rules lack in the register (rules/rare/incomplete.py); without one nothing of it is noted."""
    lacks: list[tuple[int, tuple[Lack, ...]]] = field(default_factory=list)
    """Slot -> what rules lack of a sensor and its area ..."""
    pair_lacks: list[tuple[tuple[tuple[str, str], ...], Lack]] = field(default_factory=list)
    """... and subject -> of a pair."""
    shares: tuple[CompletenessRule, ...] = ()
    """Those of them that judge how much of a month is marked (rules/rare/share.py) ..."""
    rates: tuple[tuple[CompletenessRule, int], ...] = ()
    """... or was measured, each with a bit for each quality of rows that was (rules/rare/rate.py)."""
    lateness: tuple[LatenessRule, ...] = ()
    """Those of them that ask whether what the firm declares came in time (rules/rare/lateness.py) ..."""
    naming: bool = False
    """A rule asks whether an amendment names a row (rules/rare/named.py)."""
    amendments: tuple[LatenessRule, ...] = ()
    """... and of these such as ask it of amendments (rules/rare/amendments.py)."""
    revisions: tuple[RevisionRule, ...] = ()
    """Those of them that ask what is posted without effect (rules/rare/revisions.py)."""
    odd: dict[int, tuple[tuple[int, RowRule], ...]] = field(default_factory=dict)
    """Slot -> rules of plain Python that look at its rows, with their places in the bundle's order; only where there are some."""
    odd_ahead: int = layout.NEVER
    """A row farther ahead of its receive time than this is asked about, ms ..."""
    odd_behind: int = layout.NEVER
    """... and one farther behind it than this."""
    pairs: list[Instance] = field(default_factory=list)
    """Instances that read more than a row at a time (rules/paired.py); their blocks stand behind those of all series."""
    inputs: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Slot -> (pair, which of its inputs it is)."""
    paired: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(1, np.bool_))
    """Whether a pair reads each series; behind them, for unknown tags, no."""
    door_areas: dict[str, list[int]] = field(default_factory=dict)
    """Area -> the pairs that ask for its doors (rules/pairdoors.py), by their places."""
    _series: dict[tuple[str, str], frozenset[int]] = field(default_factory=dict)
    """Rule and place -> the series whose silence is watched there, of those that were asked for."""
    _posted: dict[tuple[tuple[str, ...], bytes], npt.NDArray[np.int64]] = field(default_factory=dict)
    """(tags, counts) -> index of the newest shapes of batches: feeds post the same series again and again."""

    @property
    def points(self) -> Points:
        """Return the facility's sensors and devices by name."""
        if self.named is None:
            self.named = Points(self.facility)
        return self.named

    @property
    def reals(self) -> Floats:
        """Return the parameters as floats."""
        return self.params.view(np.float64)

    @property
    def gaps(self) -> list[Instance]:
        """Return the gap instances, ordered by series."""
        return self.by_kind[GAP]

    def index_of(self, tags: tuple[str, ...], counts: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int64], int]:
        """Return the slot of each row's series, -1 where its tag is not registered, and how many rows have none.

        Args:
            tags: of the series, as posted.
            counts: rows of each.
        """
        posted = (tags, counts.tobytes())
        known = self._posted.get(posted)
        if known is not None:
            return known, 0
        slots = np.array([self.slots.get(tag, layout.NONE) for tag in tags], np.int64)
        index = np.repeat(slots, counts)
        unknown = int((index < 0).sum())
        if unknown == 0 and index.size <= REMEMBERED_ROWS:
            if len(self._posted) == REMEMBERED_SHAPES:
                del self._posted[next(iter(self._posted))]
            # The sensors' own strings, which are held anyway.
            self._posted[tuple(self.sensors[slot].tag for slot in slots.tolist()), posted[1]] = index
        return index, unknown

    def series_of(self, rule: str, place: str) -> frozenset[int]:
        """Return the series of an area, or of the facility (empty), whose silence a rule watches."""
        found = self._series.get((rule, place))
        if found is None:
            found = self._series[rule, place] = frozenset(self.gap_slots[self.silent[rule, place]].tolist())
        return found

    def place(self, slot: int, part: int) -> int:
        """Return where a part of a series (AT_STATE and so on) stands."""
        return int(self.where[slot * layout.PLACE.words + part])

    def number(self, slot: int, name: str) -> int:
        """Return a whole number of a series' program."""
        return int(self.params[self.place(slot, layout.AT_PROGRAM) + layout.PROGRAM[name].start])

    def numbers(self, name: str) -> Words:
        """Return a whole number of the program of every series."""
        return self.params[self.where[layout.AT_PROGRAM :: layout.PLACE.words] + layout.PROGRAM[name].start]

    def block(self, instance: Instance) -> Words:
        """Return the parameters of an instance."""
        return self.params[instance.params : instance.params + KINDS[instance.kind].params.words]

    def gap_param(self, name: str, members: npt.NDArray[np.int64]) -> Words:
        """Return one parameter of some gap instances."""
        return self.params[self.gap_params[members] + gap.PARAMS[name].start]

    def watch(self, tag: str) -> list[tuple[str, bytes]]:
        """Return what decides a tag again when rows come late, and with what numbers; equal lists decide equal rows alike."""
        slot = self.slots[tag]
        again = [one for one in self.by_slot[slot] if KINDS[one.kind].again or one.kind == ABSENCE]
        found = [(instance.rule.id, self.block(instance).tobytes()) for instance in again]
        where = [(self.sensors[slot].area, b"")] if any(one.kind in {*SPANNED, ABSENCE} for one in again) else []
        where += [(self.identity(slot), b"")] if any(one.kind == STEADINESS for one in again) else []
        return [(self.sensors[slot].quantity, self.span(slot)), *found, *where]

    def identity(self, slot: int) -> str:
        """Return what says that a series is still that of the same sensor at the same place."""
        sensor = self.sensors[slot]
        return f"{sensor.area} {sensor.serial or ''}"

    def span(self, slot: int) -> bytes:
        """Return the measuring range of a series: rows outside of it are not known."""
        program = self.place(slot, layout.AT_PROGRAM)
        return self.params[program + layout.RANGE_LOW : program + layout.RANGE_HIGH + 1].tobytes()

    def tags_of(self, instance: Instance) -> list[str]:
        """Return the tags of the series that an instance reads."""
        return [self.sensors[slot].tag for slot in instance.reads]

    def watch_pair(self, instance: Instance) -> list[tuple[object, bytes]]:
        """Return what decides a pair again, as `watch` does for a series."""
        own = self.block(instance).tobytes() + delay_of(instance.rule).to_bytes(8, "big", signed=True)
        return [
            (sensor, own + self.span(slot))
            for sensor, slot in zip(self.measured(instance), instance.slots, strict=True)
        ]

    def measured(self, instance: Instance) -> list[str]:
        """Return the sensors that an instance reads, each with what it measures."""
        return [f"{self.sensors[slot].tag} {self.sensors[slot].quantity}" for slot in instance.reads]


class _Pool:
    """Words that are kept once."""

    def __init__(self) -> None:
        self.chunks: list[Words] = []
        self._known: dict[bytes, int] = {}
        self._size = 0

    def place(self, chunk: Words, key: bytes = b"") -> int:
        """Return where a chunk stands; `key` are its bytes, where they are at hand."""
        key = key or chunk.tobytes()
        if key not in self._known:
            self._known[key] = self._size
            self.chunks.append(chunk)
            self._size += chunk.size
        return self._known[key]


@dataclass(frozen=True, slots=True)
class _Sorted:
    """What sensors of one sort have in common in one plan."""

    uses: list[tuple[Use, int, int, int]]
    """Each with the place of its parameters, of its block within the series' state, and within its tails (NONE: not there)."""
    program: int
    """The place of the program with its calls."""


def _sorted(watched: Watched, pool: _Pool) -> _Sorted:
    calls: list[int] = []
    uses: list[tuple[Use, int, int, int]] = []
    inside, behind = layout.SERIES.words, 0
    for use in watched.uses:
        spec = KINDS[use.kind]
        at = pool.place(use.params, use.key)
        calls += [use.kind, at, inside, behind, 0]
        uses.append((use, at, inside, behind if spec.again else NONE))
        inside += spec.state.words
        behind += spec.state.words if spec.again else 0
    return _Sorted(uses, pool.place(np.concatenate([watched.program, np.array(calls, np.int64)])))


def _take_rare(plan: Plan, bundle: Bundle, facility: Facility) -> None:
    """Note the rules over rare records whose scope the facility is in, and what of them is asked for where."""
    live = [(rank, rule) for rank, rule in enumerate(bundle.rules) if rule.stage in {"live", "shadow"}]
    ours = [(rank, rule) for rank, rule in live if isinstance(rule, RareRule) and in_scope(rule, facility)]
    found = [rule for _, rule in ours]
    facts = facts_of_area(facility, None)
    reading = [rule for rule in found if hears_excursions(rule)]
    # Predicates of a rule that compares figures are asked of each series (rules/watching.py).
    plan.excursions = tuple(rule for rule in reading if getattr(rule, "figures", ()) or holds(rule.applies_to, facts))
    for reader in plan.excursions:
        for source in sources_of(reader, bundle):
            plan.listeners[source] = (*plan.listeners.get(source, ()), reader)
    plan.rare = tuple(rule for rule in found if not isinstance(rule, DeadlineRule | ReportRule) and rule not in reading)
    plan.deadlines = clocks_for(facility, bundle)
    plan.reading = {kind: tuple(r for r in plan.deadlines if kind in names([r])) for kind in names(plan.deadlines)}
    plan.asked_of = {kind: asked_of(kind, rules) for kind, rules in plan.reading.items()}
    plan.documents = tuple(rule for rule in found if isinstance(rule, ReportRule) and holds(rule.applies_to, facts))
    plan.ledgers = tuple(rule for rule in found if isinstance(rule, LedgerRule) and rule.reports)
    plan.years = tuple(rule for rule in found if isinstance(rule, AnnualRule))
    plan.visits = tuple(rule for rule in found if isinstance(rule, VisitRule))
    plan.graders = tuple(rule for rule in found if isinstance(rule, GradeRule) and holds(rule.applies_to, facts))
    checks = [rule for rule in found if isinstance(rule, RegisterCheckRule)]
    plan.incomplete = tuple(rule for rule in checks if rule.check == INCOMPLETE)
    plan.strays = tuple(
        (rank, rule)
        for rank, rule in ours
        if isinstance(rule, RegisterCheckRule) and rule.check == UNKNOWN_TAG and applies(rule, facility, None, plan.at)
    )
    plan.beats = tuple(rule for rule in plan.rare if isinstance(rule, ClockRule) and rule.check == "heartbeat")
    for rule in plan.rare:
        if isinstance(rule, FollowUpRule) and rule.alarm is not None:
            plan.readers[rule.alarm] = (*plan.readers.get(rule.alarm, ()), rule)
        if isinstance(rule, FollowUpRule) and rule.trace is not None:
            _note_doors(plan, rule)
    months = [rule for rule in plan.rare if isinstance(rule, CompletenessRule)]
    plan.shares = tuple(rule for rule in months if rule.check == "mark-share")
    plan.rates = tuple((rule, valid_of(rule)) for rule in months if rule.check == "effective-rate")
    plan.lateness = tuple(rule for rule in plan.rare if isinstance(rule, LatenessRule))
    plan.naming = any(
        isinstance(rule, ConflictRule) or (isinstance(rule, ClockRule) and rule.check == "event-time")
        for rule in plan.rare
    )
    plan.amendments = tuple(rule for rule in plan.lateness if rule.of == "amendment" and holds(rule.applies_to, facts))
    posted = [rule for rule in plan.rare if isinstance(rule, RevisionRule)]
    plan.revisions = tuple(rule for rule in posted if holds(rule.applies_to, facts))
    plan.sequences = tuple(rule for rule in plan.rare if isinstance(rule, ClockRule) and rule.check == SEQUENCE)


def _note_doors(plan: Plan, rule: FollowUpRule) -> None:
    for sensor in plan.sensors:
        if sensor.door is not None and holds(rule.applies_to, facts_of(plan.facility, sensor, plan.at)):
            plan.doors[rule.id, sensor.door] = (*plan.doors.get((rule.id, sensor.door), ()), sensor.tag)


def valid_of(rule: CompletenessRule) -> int:
    """Return a bit for each quality of rows that a rule takes for measured: not uncertain, nor any that it names as not valid."""
    wrong = {Quality.UNCERTAIN, *(Quality[flag.upper()] for flag in rule.invalid)}
    return sum(1 << quality for quality in Quality if quality not in wrong)


def compile_plan(facility: Facility, bundle: Bundle, received_ms: int) -> Plan:
    """Return the plan of `facility` with the registered facts in force at `received_ms`."""
    border = bundle.next_border(facility.id, {sensor.tag for sensor in facility.sensors}, received_ms)
    until = min(next_change(facility, received_ms), border)
    plan = Plan(facility, received_ms, until, sensors=in_force(facility, received_ms))
    plan.slots = {sensor.tag: slot for slot, sensor in enumerate(plan.sensors)}
    _take_rare(plan, bundle, facility)
    plan.asked = asked(bundle, facility, received_ms)
    _note_times(plan)
    registered = Registered(facility, bundle)
    pool = _Pool()
    blocks: list[Words] = []
    tails: list[Words] = []
    where: list[int] = []
    state = tail = rings = 0
    sorts: dict[int, _Sorted] = {}
    for slot, sensor in enumerate(plan.sensors):
        watched = registered.watched(sensor, received_ms)
        alike = sorts.get(id(watched))
        if alike is None:
            alike = sorts[id(watched)] = _sorted(watched, pool)
        where += [state, tail, rings, alike.program]
        if watched.odd:
            plan.odd[slot] = watched.odd
        if watched.lacks and plan.incomplete:
            plan.lacks.append((slot, watched.lacks))
        blocks.append(watched.blank_state)
        tails.append(watched.blank_tails)
        made: list[Instance] = []
        tag, area, unit, quantity = sensor.tag, sensor.area, sensor.unit, sensor.quantity
        for call, (use, at, inside, behind) in enumerate(alike.uses):
            kind, x = use.kind, state + inside
            placed = Instance(
                kind, use.rule, use.rank, slot, tag, area, unit, quantity, use.low, use.high, use.limits, call, at, x,
                NONE if behind == NONE else tail + behind,
            )  # fmt: skip
            made.append(placed)
            plan.by_kind[kind].append(placed)
            plan.by_state[x] = placed
        plan.by_slot.append(made)
        state, tail = state + watched.blank_state.size, tail + watched.blank_tails.size
        rings += watched.ring_room * layout.ROW_WORDS + watched.sum_words
    active = [(rank, rule) for rank, rule in enumerate(bundle.rules) if rule.stage in {"live", "shadow"}]
    _place_pairs(plan, active, bundle, pool, blocks, tails, state, tail)
    plan.paired = np.isin(np.arange(len(plan.sensors) + 1), list(plan.inputs))
    plan.door_areas = areas_of(plan)
    plan.where, plan.ring_words = np.array(where, np.int64), rings
    plan.series_at, plan.programs = (
        plan.where[at :: layout.PLACE.words].copy() for at in (layout.AT_STATE, layout.AT_PROGRAM)
    )
    plan.params, plan.blank_state, plan.blank_tails = _joined(pool.chunks), _joined(blocks), _joined(tails)
    plan.no_room = len(contradictions(registered))
    _note_silences(plan)
    plan.places = _gathered((place, slot) for slot, s in enumerate(plan.sensors) for place in ("", s.area))
    plan.silent = _gathered(((one.rule.id, place), i) for i, one in enumerate(plan.gaps) for place in ("", one.area))
    plan.grouped = grouped(plan)
    plan.grouping = grouping_of(plan)
    return plan


def _note_silences(plan: Plan) -> None:
    """Note where silences stand, and those of declared states."""
    plan.gap_slots = np.array([one.slot for one in plan.gaps], np.int64)
    plan.gap_at = np.array([one.state for one in plan.gaps], np.int64)
    plan.gap_params = np.array([one.params for one in plan.gaps], np.int64)
    found = plan.by_kind[ABSENCE]
    plan.absent_in, plan.absent_as = (
        tuple(dict.fromkeys(one.area for one in found)),
        tuple((ABSENCE, *one.key) for one in found),
    )
    places = [(one.slot, one.call, plan.absent_in.index(one.area)) for one in found]
    plan.absent = np.array(places, np.int64).reshape(len(places), 3)


def _note_times(plan: Plan) -> None:
    """Note which times of rows a rule asks about."""
    for rule in plan.rare:
        if isinstance(rule, ClockRule) and rule.check == "event-time":
            plan.odd_ahead = min(plan.odd_ahead, layout.NEVER if rule.ahead is None else rule.ahead)
            plan.odd_behind = min(plan.odd_behind, rule.behind)


def _place_pairs(
    plan: Plan, active: list[tuple[int, Rule]], bundle: Bundle, pool: _Pool, blocks: list[Words], tails: list[Words],
    state: int, tail: int,
) -> None:  # fmt: skip
    """Put the pairs' blocks behind those of all series: `state` and `tail` words are taken."""
    for instance, params in _pairs(plan, active, bundle):
        spec = KINDS[DIFFERENCE]
        at = pool.place(params)
        made_pair = msgspec.structs.replace(instance, params=at, state=state, tail=tail, place=len(plan.pairs))
        plan.pairs.append(made_pair)
        plan.by_kind[DIFFERENCE].append(made_pair)
        plan.by_state[state] = made_pair
        for which, slot in enumerate(made_pair.slots):
            plan.inputs.setdefault(slot, []).append((made_pair.place, which))
        blocks.append(spec.state.blank())
        tails.append(spec.state.blank())
        state, tail = state + spec.state.words, tail + spec.state.words


def _pairs(plan: Plan, active: list[tuple[int, Rule]], bundle: Bundle) -> Iterable[tuple[Instance, Words]]:
    """Yield the pairs of a facility with their parameters."""
    for rank, rule in active:
        if not isinstance(rule, DifferenceRule) or not in_scope(rule, plan.facility):
            continue
        for pair in pairs_of(rule, plan.facility, plan.sensors, plan.at):
            bounds = bounds_of_pair(rule, pair, bundle)
            if bounds is None:
                plan.pair_lacks += [(pair.subject, lack) for lack in lacks.of_pair(rule, pair, bundle)]
                continue
            own = as_on(rule, pair.facts, bundle)
            first = pair.inputs[0]
            slots = tuple(plan.slots[sensor.tag] for sensor in pair.inputs)
            yield (
                Instance(
                    DIFFERENCE, rule, rank, slots[0], first.tag, first.area, first.unit, first.quantity, *bounds,
                    slots=slots, name=pair.name, about=pair.subject,
                ),
                difference_param(
                    own, pair, bounds[0], bounds[1], plan.facility.delivery, scale_of(rule, pair.facts, bundle)
                ),
            )  # fmt: skip


def _gathered(pairs: Iterable[tuple[Key, int]]) -> dict[Key, npt.NDArray[np.int64]]:
    found: dict[Key, list[int]] = {}
    for key, i in pairs:
        found.setdefault(key, []).append(i)
    return {key: np.array(members, np.int64) for key, members in found.items()}


def _joined(chunks: list[Words]) -> Words:
    return np.concatenate(chunks) if chunks else np.zeros(0, np.int64)
