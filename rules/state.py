"""The state of one facility: packed arrays, published occurrences, clock and sequence; what its snapshot holds of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rules import kernels, layout
from rules.aside import Aside
from rules.batches import Batches
from rules.kinds import frozen, gap, limit
from rules.layout import FROZEN, GAP, LIMIT, NEVER, NONE, Array
from rules.migrate import FORMAT, describe
from rules.models import Severity
from rules.occurrence import Occurrence
from rules.snapshot import Body, Kinds, PackedGroup, SnapshotError, load_array, sealed

if TYPE_CHECKING:
    from rules.plan import Plan

MAX_LEFT = 5_000
COLOURS = len(Severity)
PLANNED = (
    "interval", "delivery", "range_low", "range_high", "ring_off", "ring_cap",
    "limit_lo", "limit_hi", "frozen_lo", "frozen_hi", "gap_lo", "gap_hi",
)  # fmt: skip
"""What the plan alone says of a series."""
COUNTERS = ("rows", "duplicate", "conflict", "late", "stale", "future")
KIND_NAMES: dict[int, Kinds] = {LIMIT: "limit", FROZEN: "frozen", GAP: "gap"}
"""How snapshots call the kinds: a number may change, a name may not."""
_KINDS: dict[str, int] = {name: kind for kind, name in KIND_NAMES.items()}
ARRAYS = {
    "series": "series", "ring_t": "instants", "ring_m": "instants", "ring_b": "instants", "ring_v": "values", "ring_q": "qualities",
    "limit_head": "limit", "limit_tail": "limit", "frozen_head": "frozen", "frozen_tail": "frozen", "gaps": "gap",
}  # fmt: skip
"""Array -> its layout, as snapshots call them."""


@dataclass(slots=True)
class Group:
    """A silence of an area (or, with an empty place, of the facility) under one gap rule."""

    rule: str
    place: str
    occurrence: Occurrence
    lo: int
    interval: int
    raised: int
    due: int = NEVER
    """The next step by the clock."""
    release: int = NEVER
    """When, after its end, what is still silent is released."""

    def pack(self) -> PackedGroup:
        """Return the members for a snapshot."""
        times = (self.lo, self.interval, self.raised, self.due, self.release)
        return (self.rule, self.place, self.occurrence.pack(), *times)

    @classmethod
    def unpack(cls, row: PackedGroup) -> Group:
        """Return the group of its packed members."""
        return cls(row[0], row[1], Occurrence.unpack(row[2]), *row[3:])


@dataclass(slots=True)
class FacilityState:
    """Everything the fold knows of one facility."""

    partition: int
    facility: str
    version: int = -1
    clock: int = NONE
    seq: int = 0
    position: int = 0
    """Own records, ticks and packs before this offset are folded; ticks and packs behind it may be too."""
    plan: Plan | None = None
    packs: str = ""
    registered: dict[str, int] = field(default_factory=dict)
    """When each tag came into force: silence is counted from there."""
    left: dict[str, int] = field(default_factory=dict)
    """Newest event time of tags that are no longer registered: should one return, what was folded is not folded again."""
    unknown_tags: int = 0
    batches: Batches = field(default_factory=Batches)
    repeated: int = 0
    """Batches that came again, and changed nothing ..."""
    conflicting: int = 0
    """... and those whose id came again with other content."""
    occurrences: dict[tuple[int, str, str], list[Occurrence]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)
    aside: dict[str, Aside] = field(default_factory=dict)
    """Rules that raised here, by id (rules/failing.py)."""
    series: Array = field(default_factory=lambda: np.zeros(0, layout.SERIES))
    ring_t: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    ring_m: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    ring_b: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """The batch that each row came with."""
    ring_v: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    ring_q: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    limit_head: Array = field(default_factory=lambda: np.zeros(0, layout.LIMIT_STATE))
    limit_tail: Array = field(default_factory=lambda: np.zeros(0, layout.LIMIT_STATE))
    frozen_head: Array = field(default_factory=lambda: np.zeros(0, layout.FROZEN_STATE))
    frozen_tail: Array = field(default_factory=lambda: np.zeros(0, layout.FROZEN_STATE))
    gaps: Array = field(default_factory=lambda: np.zeros(0, layout.GAP_STATE))
    next_due: int = NEVER
    floor: int = NONE
    """When registered facts or the front door last changed what is due; a move of time, so in no snapshot."""
    dirty: bool = True

    def is_muted(self, rule: str) -> bool:
        """Say whether a rule is put aside here because it raised."""
        aside = self.aside.get(rule)
        return aside is not None and aside.muted

    def begin_again(self, rules: set[str], received: int) -> None:
        """Let rules that were put aside begin anew, as if they had just come; the horizon of their series ends."""
        plan = self.plan
        if plan is None or not rules:
            return
        for kind, targets in (
            (LIMIT, (self.limit_head, self.limit_tail)),
            (FROZEN, (self.frozen_head, self.frozen_tail)),
            (GAP, (self.gaps,)),
        ):
            for i, instance in enumerate(plan.instances(kind)):
                if instance.rule.id not in rules:
                    continue
                series = self.series[instance.slot]
                series["ring_len"] = series["ring_head"] = 0
                series["tail_t"], series["tail_m"] = series["last_t"], series["last_m"]
                for target in targets:
                    target[i] = _blank(np.zeros(1, target.dtype))[0]
                if kind == GAP:
                    self._begin_gap(i)
                    self._schedule(kind, self.gaps[i], i, received)
        self._settle()
        self.refresh_due()
        self.dirty = True

    def refresh_due(self) -> bool:
        """Recompute the earliest decision by the clock of series and groups (`rules.places` adds those of places).

        Returns whether a series is silent.
        """
        due, silent = kernels.next_due(self.limit_head, self.frozen_head, self.gaps)
        for group in self.groups:
            due = min(due, group.due, group.release)
        if self.plan is not None:
            due = min(due, self.plan.until)
        self.next_due = due
        return bool(silent)

    def adopt(self, plan: Plan, received: int) -> None:
        """Take a new plan; what stays registered keeps its state, by rule and tag."""
        old = self.plan
        arrays = (self.series, self.ring_t, self.ring_m, self.ring_b, self.ring_v, self.ring_q)
        heads = (self.limit_head, self.limit_tail, self.frozen_head, self.frozen_tail, self.gaps)
        self.plan = plan
        self.series = plan.series.copy()
        _blank_series(self.series)
        self.ring_t = np.zeros(plan.ring_rows, np.int64)
        self.ring_m = np.zeros(plan.ring_rows, np.int64)
        self.ring_b = np.zeros(plan.ring_rows, np.int64)
        self.ring_v = np.zeros(plan.ring_rows, np.float64)
        self.ring_q = np.zeros(plan.ring_rows, np.uint8)
        for tag, slot in plan.slots.items():
            since = self.registered.setdefault(tag, received)
            self.series[slot]["recv"] = since
            self.series[slot]["last_m"] = since
            if old is not None and tag in old.slots:
                self._carry_series(slot, arrays, old.slots[tag], same=old.watch(tag) == plan.watch(tag))
            elif tag in self.left:
                newest = self.left.pop(tag)
                self.series[slot]["last_t"] = self.series[slot]["tail_t"] = newest
        self._remember(old, arrays[0])
        self.registered = {tag: at for tag, at in sorted(self.registered.items()) if tag in plan.slots}
        self._carry_instances(old, heads, received)
        self._settle()
        self.refresh_due()
        self.dirty = True

    def _carry_series(self, slot: int, old: tuple[Any, ...], old_slot: int, *, same: bool) -> None:
        series, rings = old[0], old[1:]
        source, target = series[old_slot], self.series[slot]
        for name in ("last_t", "last_m", "recv", "batch", "ext", "shut", "tail_t", "tail_m", *COUNTERS):
            target[name] = source[name]
        length, cap = int(source["ring_len"]), int(source["ring_cap"])
        if not same or length > target["ring_cap"]:
            # Decided with other rules or numbers: what came before stands as it was decided (`_settle`).
            target["tail_t"], target["tail_m"] = source["last_t"], source["last_m"]
            return
        order = int(source["ring_off"]) + (int(source["ring_head"]) + np.arange(length)) % cap
        begin = int(target["ring_off"])
        self.ring_t[begin : begin + length] = rings[0][order]
        self.ring_m[begin : begin + length] = rings[1][order]
        self.ring_b[begin : begin + length] = rings[2][order]
        self.ring_v[begin : begin + length] = rings[3][order]
        self.ring_q[begin : begin + length] = rings[4][order]
        target["ring_len"] = length
        target["ring_head"] = 0

    def _settle(self) -> None:
        """Where a series' ring was given up, start its tails from its heads."""
        plan = self.plan
        assert plan is not None  # noqa: S101 - called by adopt
        for instances, head, tail in (
            (plan.limits, self.limit_head, self.limit_tail),
            (plan.frozen, self.frozen_head, self.frozen_tail),
        ):
            for i, instance in enumerate(instances):
                if self.series[instance.slot]["ring_len"] == 0:
                    tail[i] = head[i]

    def _remember(self, old: Plan | None, series: Array) -> None:
        """Keep the newest event time of tags that vanish from the register, of the last ones if there are many."""
        assert self.plan is not None  # noqa: S101 - adopt has just set it
        for tag, slot in old.slots.items() if old is not None else ():
            if tag not in self.plan.slots and series[slot]["last_t"] != NONE:
                self.left[tag] = int(series[slot]["last_t"])
        for tag in list(self.left)[: max(0, len(self.left) - MAX_LEFT)]:
            del self.left[tag]

    def _carry_instances(self, old: Plan | None, heads: tuple[Array, ...], now: int) -> None:
        """Let instances that stay keep their state; what new numbers make due is never due before `now`."""
        plan = self.plan
        assert plan is not None  # noqa: S101 - adopt has just set it
        self.limit_head = _blank(np.zeros(len(plan.limits), layout.LIMIT_STATE))
        self.limit_tail = self.limit_head.copy()
        self.frozen_head = _blank(np.zeros(len(plan.frozen), layout.FROZEN_STATE))
        self.frozen_tail = self.frozen_head.copy()
        self.gaps = _blank(np.zeros(len(plan.gaps), layout.GAP_STATE))
        targets = (self.limit_head, self.limit_tail, self.frozen_head, self.frozen_tail, self.gaps)
        for kind, target, source in zip((LIMIT, LIMIT, FROZEN, FROZEN, GAP), targets, heads, strict=True):
            places = {} if old is None else {instance.key: i for i, instance in enumerate(old.instances(kind))}
            for i, instance in enumerate(plan.instances(kind)):
                before = places.get(instance.key)
                if before is not None:
                    target[i] = source[before]
                elif kind == GAP:
                    self._begin_gap(i)
                changed = old is None or before is None or not _same(old.params(kind)[before], plan.params(kind)[i])
                if changed and kind == LIMIT and before is not None and old is not None:
                    _forget_steps(target[i], old.limit_params[before], plan.limit_params[i])
                if changed and (kind == GAP or before is not None):
                    self._schedule(kind, target[i], i, now)

    def _begin_gap(self, i: int) -> None:
        """Count the silence of a new instance from the series' newest row since its registration, or from that."""
        assert self.plan is not None  # noqa: S101 - adopt has just set it
        instance = self.plan.gaps[i]
        newest, since = int(self.series[instance.slot]["last_t"]), self.registered[instance.tag]
        self.gaps[i]["lo"], self.gaps[i]["fresh"] = max(newest, since), newest <= since

    def _schedule(self, kind: int, state: Array, i: int, now: int) -> None:
        plan = self.plan
        assert plan is not None  # noqa: S101 - adopt has just set it
        if kind == GAP:
            gap.schedule(plan.gap_params[i], state, int(self.series[plan.gaps[i].slot]["ext"]), now)
            return
        (limit if kind == LIMIT else frozen).schedule(plan.params(kind)[i], state)
        state["due"] = max(int(state["due"]), now)

    def counters(self) -> dict[str, int]:
        """Return what happened to rows, summed over the series."""
        sums = {name: int(self.series[name].sum()) for name in COUNTERS}
        batches = {"batch_repeated": self.repeated, "batch_conflict": self.conflicting}
        no_room = 0 if self.plan is None else self.plan.no_room
        return {**sums, "unknown_tag": self.unknown_tags, "limits_without_room": no_room, **batches}

    def snapshot(self, through: int) -> bytes:
        """Return the whole state. Equal states give equal bytes.

        Args:
            through: every record of the partition before this offset has been folded.
        """
        plan = self.plan
        arrays = {} if plan is None else {name: getattr(self, name) for name in ARRAYS}
        return sealed(
            Body(
                format=FORMAT,
                facility=self.facility,
                version=self.version,
                clock=self.clock,
                seq=self.seq,
                position=max(self.position, through),
                packs=self.packs,
                register=None if plan is None else plan.facility.model_dump_json(by_alias=True, exclude_none=True),
                adopted=None if plan is None else plan.at,
                registered=list(self.registered.items()),
                left=list(self.left.items()),
                unknown_tags=self.unknown_tags,
                batches=self.batches.pack(),
                repeated=self.repeated,
                conflicting=self.conflicting,
                occurrences=sorted(
                    (KIND_NAMES[kind], rule, tag, [o.pack() for o in rows])
                    for (kind, rule, tag), rows in self.occurrences.items()
                    if rows
                ),
                groups=[group.pack() for group in self.groups],
                aside=[(rule, one.pack()) for rule, one in sorted(self.aside.items())],
                keys=_keys(plan),
                layouts={ARRAYS[name]: describe(array.dtype) for name, array in arrays.items()},
                arrays={name: (ARRAYS[name], array.tobytes()) for name, array in arrays.items()},
            )
        )

    def load(self, body: Body) -> None:
        """Put back what a snapshot holds; a plan made of its register and its packs has been adopted before.

        Raises:
            SnapshotError: it does not fit that plan.
        """
        if body.keys != _keys(self.plan):
            raise SnapshotError(f"snapshot of {self.facility}: its instances do not fit its register and packs")
        if self.plan is not None:
            for name in ARRAYS:
                load_array(body, name, getattr(self, name))
            self._fits(self.plan)
        for name in ("version", "clock", "seq", "position", "packs", "unknown_tags", "repeated", "conflicting"):
            setattr(self, name, getattr(body, name))
        self.batches = Batches.unpack(body.batches)
        for kind, rule, tag, rows in body.occurrences:
            self.occurrences[_KINDS[kind], rule, tag] = [Occurrence.unpack(row) for row in rows]
        self.groups = [Group.unpack(row) for row in body.groups]
        self.aside = {rule: Aside.unpack(row) for rule, row in body.aside}
        self.refresh_due()

    def _fits(self, plan: Plan) -> None:
        """Refuse numbers that no fold leaves: compiled code trusts the places of rings, and colours are looked up."""
        series = self.series
        moved = [name for name in PLANNED if not np.array_equal(series[name], plan.series[name])]
        ring = (series["ring_len"] >= 0) & (series["ring_len"] <= series["ring_cap"])
        ring &= (series["ring_head"] >= 0) & (series["ring_head"] < np.maximum(series["ring_cap"], 1))
        states = (self.limit_head, self.limit_tail, self.frozen_head, self.frozen_tail)
        codes = all(np.all(rows["sev"] < COLOURS) for rows in (*states, self.gaps))
        codes &= all(np.all(rows["phase"] <= layout.CLEARING) for rows in states)
        codes &= all(np.all(rows["top"] < COLOURS) for rows in states[:2])
        if moved or not ring.all() or not codes:
            raise SnapshotError(f"snapshot of {self.facility}: its numbers are none that a fold leaves")


def _keys(plan: Plan | None) -> dict[str, list[tuple[str, str]]]:
    """Return the instances of each kind, in the order of the arrays."""
    return {} if plan is None else {name: [i.key for i in plan.instances(kind)] for kind, name in KIND_NAMES.items()}


def _forget_steps(state: Array, old: Array, new: Array) -> None:
    """Let steps begin anew where a rule's steps are others now: they are known by their place."""
    if any(old[name].tobytes() != new[name].tobytes() for name in ("step_after", "step_low", "step_high", "step_for")):
        state["reached"] = 0
        state["step_t"] = state["step_m"] = NONE


def _same(one: Array, other: Array) -> bool:
    return bool(one.tobytes() == other.tobytes())


def _blank_series(series: Array) -> None:
    for name in ("last_t", "batch", "tail_t", "tail_m"):
        series[name] = NONE


def _blank(states: Array) -> Array:
    names = states.dtype.names or ()
    for name in (
        "start_t",
        "start_m",
        "start_b",
        "known_t",
        "last_t",
        "last_m",
        "end_t",
        "step_t",
        "step_m",
        "run_t",
        "run_b",
        "move_t",
        "hour",
    ):
        if name in names:
            states[name] = NONE
    for name in ("value", "before"):
        if name in names:
            states[name] = np.nan
    states["due"] = NEVER
    return states
