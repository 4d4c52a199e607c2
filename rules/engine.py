"""The fold: `step(state, record) -> changes` for any number of facilities (docs/engine-semantics.md).

Above 400 lines on purpose: the order of things is the one matter of this file, and it reads from top to bottom.

The output is a function of the log and the packs alone. This file holds the order of things: what is due first, then
the record, rows one by one; kernels decide, `rules.emission` makes changes, `rules.silence` groups silences.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from rules import (
    absence,
    carry,
    closing,
    drafts,
    kernels,
    late,
    layout,
    lookback,
    opengaps,
    overlap,
    paired,
    passedover,
    places,
    remarking,
    silence,
    withheld,
)
from rules.agenda import GROUP, RISES, Agenda, Entry
from rules.apart import split
from rules.batches import Seen, digest_of
from rules.changes import Change, ChangeKind, RecordRead
from rules.clocks import changing
from rules.clocks import fold as clocks
from rules.emission import Emitter, Transition
from rules.errors import ContractError
from rules.exceptions import is_muted
from rules.failing import attempt, resume
from rules.layout import ABSENCE, GAP, NONE
from rules.ledger import fold as ledger
from rules.lots import telling
from rules.lots.sight import Sight
from rules.migration import migrations
from rules.models import Strict
from rules.notjudged import not_judged
from rules.pack import Bundle
from rules.plan import compile_plan
from rules.rare import amendments, beats, days, lateness, rate, revisions, sequence, share, strays
from rules.rare import fold as rare
from rules.rare import rows as odd_rows
from rules.records import (
    SEMANTICS,
    Decision,
    Events,
    Inspection,
    Kind,
    LogRecord,
    Mark,
    PacksRecord,
    Readings,
    RegisterRecord,
    Report,
    StateRecord,
    Tick,
)
from rules.register import Facility
from rules.snapshot import Body, SnapshotError, open_snapshot, sealed, seed_of
from rules.state import FacilityState

if TYPE_CHECKING:
    from collections.abc import Callable

    from rules.apart import Record
    from rules.groups import Group
    from rules.lots.facts import LotFact
    from rules.plan import Instance


DOOR_CLOSED_MS = 15 * 60_000
"""Between two gateway ticks farther apart than this the front door was closed (architecture.md, "Time")."""


class PartitionState(Strict):
    """What belongs to a partition and to no facility; the marker of a checkpoint carries it."""

    next_offset: int = Field(default=0, ge=0)
    clock: int = NONE
    last_gateway: int = NONE
    packs: str = ""
    semantics: int = SEMANTICS


@dataclass(slots=True)
class _Partition:
    bundle: Bundle
    next_offset: int = 0
    clock: int = NONE
    """Newest receive time of ticks and packs: it is every facility's clock."""
    last_gateway: int = NONE
    facilities: dict[str, FacilityState] = field(default_factory=dict)
    facts: list[LotFact] = field(default_factory=list)
    """Of lots, told by what was folded since they were last taken."""


class Engine:
    """The fold over a log; one object serves any number of partitions.

    `bundle` is the set of packs before the first `packs` record; with `ignore_pack_records` it stays throughout.
    `on_failure` hears of a rule that raised: facility, rule, and what it raised. With `keep_facts` what is told of lots waits
    for `take_facts`; without it nobody would take it, and it would fill the memory.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        ignore_pack_records: bool = False,
        on_failure: Callable[[str, str, Exception], None] | None = None,
        keep_facts: bool = False,
    ) -> None:
        self.bundle = bundle
        self.stepping: Callable[[int, str], None] | None = None
        """Hears partition and facility before a record that belongs to all is folded for the facility, if anything of it is due,
        and an empty text after the last one: should the process die there, it is known whose decision it was. It may not raise,
        and costs nothing where nobody listens. `alone` and `sibling` do not hand it on."""
        self._on_failure = on_failure
        self._ignore_packs = ignore_pack_records
        self._keep_facts = keep_facts
        self._bundles = {bundle.sha256: bundle}
        self._partitions: dict[int, _Partition] = {}
        self._room = kernels.Room()

    def fold(self, record: LogRecord) -> list[Change]:
        """Fold one record; returns its changes in publication order, each with its source.

        Raises:
            ContractError: the packs of the log were made for another engine semantics.
            SnapshotError: a `state` record that does not hold what it promises.
        """
        part = self._partition(record.partition)
        part.next_offset = max(part.next_offset, record.offset + 1)
        payload = record.payload
        posted = isinstance(payload, Readings)  # asked first: nearly all are, and it takes a while to tell models apart
        if not posted and isinstance(payload, Tick | PacksRecord):
            return self._shared(part, record, payload)
        if not posted and isinstance(payload, StateRecord):
            return self._seed(part, record, payload)
        state = self._facility(part, record.partition, record.facility)
        if 0 <= record.offset < state.position:  # a registered fact in front of the log stands at -1
            return []
        batch = payload.batch if isinstance(payload, Readings) else None
        emitter = Emitter(state, part.bundle, (record.partition, record.offset), batch=batch)
        received = max(record.received, state.clock, part.clock)
        self._move(state, part, received, emitter)
        state.position, state.clock = record.offset + 1, received
        state.dirty = True
        if record.kind in rare.OWN:
            beats.alive(state, received, emitter)
            sequence.alive(state, received)
            ledger.alive(state, received)
        if isinstance(payload, Readings):
            self._readings(state, part, payload, record.received, emitter)
        elif isinstance(payload, RegisterRecord):
            newer = payload.version > state.version
            self._register(state, part, payload, received, emitter)
            self._keep(part, telling.of_register(state.telling, payload, record.received) if newer else [])
        elif isinstance(payload, Events):
            rare.events(state, payload, received, emitter)
            own = None if state.plan is None else state.plan.facility
            sight = Sight(state, received)
            self._keep(part, telling.of_events(state.telling, record.facility, payload, record.received, own, sight))
        elif isinstance(payload, Decision):
            state.figures.hear(emitter.changes, emitter.bundle)  # what time raised is there to be decided
            state.figures.decide(payload)
            rare.decision(state, payload, received, emitter)
            closing.decision(state, payload, received, emitter, self._room)
            self._keep(part, telling.of_decision(state.telling, record.facility, payload, record.received))
        elif isinstance(payload, Mark):
            self._mark(state, payload, received, emitter)
        elif isinstance(payload, Report):
            clocks.report(state, payload, received, emitter)
            self._keep(part, telling.of_report(state.telling, record.facility, payload, record.received))
            state.figures.report(payload, record.received)
        elif isinstance(payload, Inspection):
            clocks.inspection(state, payload, received, emitter)
            state.figures.inspection(payload)
        overlap.rest(state, emitter)
        places.refresh_due(state)
        self._tell(emitter)
        return emitter.changes

    def take_facts(self, partition: int) -> list[LotFact]:
        """Return, in order, the facts of lots that the records folded since the last call told, and forget them (rules/lots).

        They are no part of any snapshot; their count is part of the facility's. A record that was folded before tells none. An
        engine made without `keep_facts` has none.
        """
        part = self._partition(partition)
        facts, part.facts = part.facts, []
        return facts

    def _keep(self, part: _Partition, facts: list[LotFact]) -> None:
        if self._keep_facts:
            part.facts += facts

    def advance(self, partition: int, until_ms: int) -> list[Change]:
        """Move the clock of a partition with its front door open; decides everything due until then."""
        part = self._partition(partition)
        changes: list[Change] = []
        for state in part.facilities.values():
            emitter = Emitter(state, part.bundle, None, shared=True)
            self._move(state, part, until_ms, emitter)
            self._tell(emitter)
            changes.extend(emitter.changes)
        part.clock = max(part.clock, until_ms)
        return changes

    def settle(self, partition: int) -> list[Change]:
        """Decide what waits for its receive time to be over (late rows, pairs): the log ends here.

        Only for a log that is whole: what comes at the same instant would be decided apart.
        """
        part = self._partition(partition)
        changes: list[Change] = []
        for state in part.facilities.values():
            if state.plan is None:
                continue
            emitter = Emitter(state, part.bundle, None, shared=True)
            self._decide_waiting(state, emitter)
            overlap.settle(state, state.clock, emitter)
            places.refresh_due(state)
            self._tell(emitter)
            changes.extend(emitter.changes)
        return changes

    def state_of(self, facility: str) -> FacilityState:
        """Return the books of a facility, to read; it stands in one partition.

        Raises:
            KeyError: no record of it was folded.
        """
        for part in self._partitions.values():
            if facility in part.facilities:
                return part.facilities[facility]
        raise KeyError(facility)

    def facilities(self, partition: int) -> list[str]:
        """Return the facilities that a partition holds, sorted."""
        return sorted(self._partition(partition).facilities)

    def dirty(self, partition: int) -> list[str]:
        """Return the facilities that changed since `clean` was called for them, sorted."""
        return sorted(name for name, state in self._partition(partition).facilities.items() if state.dirty)

    def clean(self, partition: int, facility: str) -> None:
        """Say that a snapshot holds all of the facility."""
        self._state(partition, facility).dirty = False

    def counters(self, partition: int, facility: str) -> dict[str, int]:
        """Return what happened to the rows and batches of a facility, and how many of its limits leave no room."""
        return self._state(partition, facility).counters()

    def not_judged(self, partition: int, facility: str) -> dict[str, int]:
        """Return what a facility sent that could not be judged or kept, by counter (rules/notjudged.py)."""
        return not_judged(self.counters(partition, facility))

    def drop(self, partition: int) -> None:
        """Forget a partition that was revoked."""
        self._partitions.pop(partition, None)

    def snapshot(self, partition: int, facility: str) -> bytes:
        """Return the whole state of a facility; restoring it gives the same bytes again.

        It holds every record of the partition that was folded, ticks and packs too: where the log is read again from an
        older one, the facility skips what lies before.
        """
        return self._state(partition, facility).snapshot(self._partition(partition).next_offset)

    def apart(self, partition: int, facility: str) -> tuple[bytes, list[Record]]:
        """Return the state of a facility without the hours and days that are over, and these; `rules.apart.joined` gives its snapshot.

        Where no rule compares reports with any, it is the snapshot itself.
        """
        state = self._state(partition, facility)
        if state.plan is None or not (state.plan.numbers("sum_days") > 0).any():
            return self.snapshot(partition, facility), []
        body, records = split(state.body(self._partition(partition).next_offset))
        return sealed(body), records

    def restore(self, partition: int, facility: str, snapshot: bytes) -> None:
        """Put a facility back as its snapshot says; one that had an older format is dirty: it is to be written anew.

        Raises:
            SnapshotError: it is broken, of an unknown format, of another facility, or of packs that are not here.
        """
        body, migrated = open_snapshot(snapshot)
        try:
            state = self._restored(partition, facility, body)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise SnapshotError(f"snapshot of {facility} cannot be restored: {error!r:.300}") from error
        state.dirty = migrated
        self._partition(partition).facilities[facility] = state

    def _restored(self, partition: int, facility: str, body: Body) -> FacilityState:
        if body.facility != facility:
            raise SnapshotError(f"a snapshot of {body.facility} stands under the key {facility}")
        if body.closed:
            raise SnapshotError(f"snapshot of {facility}: hours and days that are over are not with it")
        bundle = self._bundles.get(body.packs)
        if bundle is None:
            raise SnapshotError(f"snapshot of {facility}: packs {body.packs[:12]} are not known here")
        state = FacilityState(partition, facility)
        state.registered, state.left = dict(body.registered), dict(body.left)
        if body.register is not None and body.adopted is not None:
            plan = compile_plan(Facility.model_validate_json(body.register), bundle, body.adopted)
            carry.put_back(state, plan, body.clock)
        state.load(body)
        rate.restore(state, body)
        places.refresh_due(state)
        return state

    def _seed(self, part: _Partition, record: LogRecord, payload: StateRecord) -> list[Change]:
        """Begin a facility with the state that a record carries; the packs in force here come into force for it."""
        state = part.facilities.get(record.facility)
        if state is not None and 0 <= record.offset < state.position:
            return []
        self.restore(record.partition, record.facility, seed_of(record.facility, payload, SEMANTICS))
        state = part.facilities[record.facility]
        # Its offsets are those of the log it came from.
        state.position, state.dirty = record.offset + 1, True
        emitter = Emitter(state, self._bundles[state.packs], (record.partition, record.offset))
        if state.packs != part.bundle.sha256:
            received = max(record.received, state.clock, part.clock)
            self._move(state, part, received, emitter)
            state.clock = received
            self._recompile(state, part.bundle, received, emitter)
            overlap.rest(state, emitter)
        self._tell(emitter)
        return emitter.changes

    def partition_state(self, partition: int) -> PartitionState:
        """Return what the marker of a checkpoint carries."""
        part = self._partition(partition)
        return PartitionState(
            next_offset=part.next_offset, clock=part.clock, last_gateway=part.last_gateway, packs=part.bundle.sha256
        )

    def restore_partition(self, partition: int, state: PartitionState) -> None:
        """Put a partition back as its marker says.

        Raises:
            ContractError: another engine semantics wrote it, or its packs are not here.
        """
        if state.semantics != SEMANTICS:
            raise ContractError(
                f"partition {partition} was folded with engine semantics {state.semantics}, not {SEMANTICS}"
            )
        bundle = self._bundles.get(state.packs or self.bundle.sha256)
        if bundle is None:
            raise ContractError(f"partition {partition} was folded with packs {state.packs[:12]} that are not here")
        part = self._partition(partition)
        part.bundle, part.next_offset = bundle, state.next_offset
        part.clock, part.last_gateway = state.clock, state.last_gateway

    def sibling(self, packs: str) -> Engine:
        """Return an empty fold that begins with packs known here; it keeps facts if this one does: whoever folds with it takes them.

        Raises:
            SnapshotError: they are not known.
        """
        bundle = self._bundles.get(packs)
        if bundle is None:
            raise SnapshotError(f"packs {packs[:12]} are not known here")
        other = Engine(
            bundle, ignore_pack_records=self._ignore_packs, on_failure=self._on_failure, keep_facts=self._keep_facts
        )  # fmt: skip
        other._bundles |= self._bundles
        return other

    def alone(self) -> Engine:
        """Return an empty engine that knows the same packs."""
        return self.sibling(self.bundle.sha256)

    def packs_of(self, partition: int) -> Bundle:
        """Return the packs in force in a partition."""
        return self._partition(partition).bundle

    def know(self, bundle: Bundle) -> None:
        """Make a bundle known, so that snapshots and markers that name it can be restored."""
        self._bundles[bundle.sha256] = bundle

    def _partition(self, partition: int) -> _Partition:
        if partition not in self._partitions:
            self._partitions[partition] = _Partition(self.bundle)
        return self._partitions[partition]

    def _facility(self, part: _Partition, partition: int, facility: str) -> FacilityState:
        state = part.facilities.get(facility)
        if state is None:
            state = part.facilities[facility] = FacilityState(partition, facility, packs=part.bundle.sha256)
        return state

    def _state(self, partition: int, facility: str) -> FacilityState:
        return self._partitions[partition].facilities[facility]

    def _shared(self, part: _Partition, record: LogRecord, payload: Tick | PacksRecord) -> list[Change]:
        """Fold a record that every facility of the partition sees: a tick or packs."""
        received = max(record.received, part.clock)
        changes: list[Change] = []
        gateway = isinstance(payload, Tick) and payload.role == "gateway"
        closed = gateway and part.last_gateway != NONE and received - part.last_gateway > DOOR_CLOSED_MS
        bundle = None
        if isinstance(payload, PacksRecord) and not self._ignore_packs:
            bundle = self._adopt_bundle(payload)
        everybody, stepping = closed or bundle is not None, self.stepping
        for name in sorted(part.facilities):
            state = part.facilities[name]
            if record.offset < state.position:
                continue
            at = max(received, state.clock)
            if not everybody and state.next_due > at and not state.unsettled:
                continue
            if stepping is not None:
                stepping(record.partition, name)
            emitter = Emitter(state, part.bundle, (record.partition, record.offset), shared=True)
            if closed:
                silence.close_door(state, part.last_gateway, received, emitter)
                absence.close_door(state, part.last_gateway, received)
                beats.close_door(state, received)
                rate.close_door(state, received)
                changing.close_door(state, part.last_gateway, received, emitter)
                amendments.close_door(state, part.last_gateway, received)
                state.telling.watches.close_door(part.last_gateway, received, Sight(state, received).delivery)
                places.refresh_due(state)
                self._move(state, part, at - 1, emitter)
                silence.reopen_door(state, part.last_gateway, received, emitter)
                beats.reopen_door(state, part.last_gateway, received, emitter)
                rate.reopen_door(state, part.last_gateway, received, emitter)
                changing.reopen_door(state, part.last_gateway, received, emitter)
                lateness.reopen_door(state, part.last_gateway, received, emitter)
                amendments.reopen_door(state, part.last_gateway, received, emitter)
                places.refresh_due(state)
            self._move(state, part, at, emitter, since=at if closed else NONE)
            if everybody:
                # Also a facility without a plan has another clock now, and names other packs.
                state.clock, state.dirty = at, True
            if bundle is not None:
                self._recompile(state, bundle, at, emitter)
            overlap.rest(state, emitter)
            self._tell(emitter)
            changes.extend(emitter.changes)
        if stepping is not None:
            stepping(record.partition, "")
        if gateway:
            part.last_gateway = received
        part.clock = received
        if bundle is not None:
            part.bundle = bundle
        return changes

    def _tell(self, emitter: Emitter) -> None:
        if emitter.changes:
            emitter.state.figures.hear(emitter.changes, emitter.bundle)
        if self._on_failure is not None:
            for rule, error in emitter.failures:
                self._on_failure(emitter.state.facility, rule, error)

    def _adopt_bundle(self, payload: PacksRecord) -> Bundle:
        if payload.semantics != SEMANTICS:
            raise ContractError(f"packs of engine semantics {payload.semantics}; this engine has {SEMANTICS}")
        # Always opened, also under a hash that is known: else a record would hold or not by what else this process knows,
        # and what a checkpoint keeps of it would stop the next restore.
        bundle = Bundle.from_record(payload)
        return self._bundles.setdefault(bundle.sha256, bundle)

    def _move(self, state: FacilityState, part: _Partition, to: int, emitter: Emitter, *, since: int = NONE) -> None:
        """Take every decision by the clock up to `to`, in order; nothing is due at an instant that is already now.

        `since`: the instant at which something was said already, where the clock has not come to it yet.
        """
        if to <= max(state.clock, part.clock):
            return
        emitter.by_time = True
        instant = max(state.clock, since)
        while True:
            due = state.next_due
            if due > instant and state.unsettled:  # all that is said at this instant is said
                aside, heard = len(emitter.failures), rare.next_due(state)
                overlap.settle(state, instant, emitter)
                # A rule that is put aside makes nothing due any more, and one that heard who speaks may decide before what was due next.
                if len(emitter.failures) > aside or rare.next_due(state) != heard:
                    places.refresh_due(state)
                    due = state.next_due
            if due > to:
                break
            state.dirty, instant = True, max(instant, due)
            plan = state.plan
            if plan is not None and plan.until == due:
                self._adopt(state, plan.facility, emitter.bundle, plan.until, emitter, since=plan.until)
            elif state.telling.watches.due == due:  # what rules decide at this instant comes behind it
                self._keep(part, telling.of_clock(state.telling, state.facility))
            elif waits := late.waiting(state):
                late.decide(state, waits, emitter, self._room)
            elif not passedover.pass_over(state, due):
                self._decide(state, emitter)
            places.refresh_due(state)
        emitter.by_time = False
        if not emitter.shared:
            state.clock = to

    def _decide(self, state: FacilityState, emitter: Emitter) -> None:
        """Take the decisions that are due first: by (due, rule, level, subject)."""
        due, agenda = state.next_due, Agenda(state, state.next_due, emitter)
        entry = agenda.next()
        assert entry is not None  # noqa: S101 - something is due
        while entry is not None:
            self._take(state, agenda, entry, due, emitter)
            agenda.taken(entry)
            entry = agenda.next()

    def _take(self, state: FacilityState, agenda: Agenda, entry: Entry, due: int, emitter: Emitter) -> None:
        """Take one decision by the clock."""
        rule = emitter.bundle.rules[entry.rank].id
        if entry.level == rare.LEVEL:
            rare.decide(state, entry, due, emitter)
        elif entry.kind == RISES:
            attempt(emitter, rule, due, partial(silence.rise, state, rule, entry.name, due, emitter))
        elif entry.kind == GROUP:
            attempt(emitter, rule, due, partial(silence.decide, state, agenda.group(entry), due, emitter))
        elif entry.kind == ABSENCE:
            absence.decide(state, state.planned.by_state[entry.i], due, emitter)
        else:
            self._fire(state, state.planned.by_state[entry.i], due, emitter)

    def _fire(self, state: FacilityState, instance: Instance, due: int, emitter: Emitter) -> None:
        """Take the decision by the clock of an instance."""
        plan, kind = state.planned, instance.kind
        if instance.slots:
            paired.decide(state, instance, emitter, self._room)
            return
        asked = kind == GAP and withheld.is_asked(state, instance)
        before = state.of(instance, "sev") if asked and state.of(instance, "active") else 0
        n = kernels.fire(
            plan.params, plan.where, instance.slot, instance.call, state.words, state.floats, self._room.out
        )  # fmt: skip
        transitions = emitter.read(self._room.out, n)
        if asked:
            transitions = withheld.by_clock(state, instance, before, transitions, due)
        state.refresh(instance.slot)
        for transition in transitions:
            step: Callable[[], object]
            if kind == GAP and transition.kind is ChangeKind.RAISED:
                step = partial(silence.raise_tag, state, instance, transition, emitter)
            else:
                step = partial(emitter.apply, kind, instance, transition, [])
            attempt(emitter, instance.rule.id, due, step)

    def _readings(
        self, state: FacilityState, part: _Partition, payload: Readings, posted: int, emitter: Emitter
    ) -> None:
        received = state.clock
        if not self._is_new(state, payload, received, emitter):
            return
        plan = state.plan
        if plan is None:
            state.unknown_tags += int(payload.time.size)
            return
        if payload.seq is not None and plan.sequences:
            sequence.meet_batch(state, payload, received, emitter)
        index, unknown = plan.index_of(payload.tags, payload.counts)
        state.unknown_tags += unknown
        self._keep(
            part, telling.of_readings(state.telling, state.facility, payload, index, posted, Sight(state, received))
        )
        if plan.shares:
            share.take(state, payload, index, received, emitter)
        if plan.rates:
            rate.take(state, payload, index, received, emitter)
        strange = strays.take(state, plan, payload, received, emitter) if unknown else {}
        payload = remarking.covered(state, plan, payload)
        begin, total = 0, int(payload.time.size)
        folded, first = np.zeros(total, np.uint8), odd_rows.asked(plan, total)
        were_late: list[int] = []
        room = self._room
        while begin < total:
            stopped, why, n, late_rows = kernels.fold_rows(
                begin, received, state.batches.next - 1, index, payload.time, payload.value, payload.quality,
                plan.params, plan.reals, plan.where, state.words, state.floats, state.tails, state.tail_floats,
                state.rings, state.ring_floats, state.due, state.silent,
                room.run, room.value, room.known, room.forgiven, room.behind, room.out, room.scratch, folded, first,
                state.late, state.stands,
                state.held.rows, state.held.values, state.held.table, state.held.size, state.held.of,
            )  # fmt: skip
            if why == kernels.FULL and stopped == begin:  # more rules on one series than the buffer was made for
                room.grow()
                continue
            if late_rows:
                were = np.flatnonzero(folded == layout.ROW_LATE)
                folded[were] = layout.ROW_FOLDED
                were_late.extend(were.tolist())
            odd = odd_rows.steps(plan, payload, index, folded, first, begin, stopped, received, emitter)
            odd = strays.among(odd, strange, begin, stopped)
            if n or odd or state.groups.is_any_lasting:
                ends = silence.first_rows(state, index, folded, begin, stopped)
                told = days.taken(plan, emitter.read(self._room.out, n), odd, payload.batch, emitter)
                self._apply_rows(state, told, ends, odd, payload, received, emitter)
            begin = stopped
            if why != kernels.DONE:
                late.make_way(state, why, int(index[stopped]), emitter, room)
        opengaps.hear(state, payload, index, folded, state.batches.next - 1)
        if plan.pairs:
            paired.receive(state, plan, index, folded, were_late, payload, received)

    def _is_new(self, state: FacilityState, payload: Readings, received: int, emitter: Emitter) -> bool:
        """Take notice of a batch by its id; one that comes again changes nothing."""
        seen = state.batches.meet(payload, received)
        state.repeated += seen is Seen.REPEATED
        state.conflicting += seen is Seen.CONFLICT
        if seen is Seen.CONFLICT:
            kept = state.batches.digest_of(payload.batch)
            revisions.batch(state, Kind.READINGS, payload.batch, digest_of(payload), kept, received, emitter)
        return seen is Seen.NEW

    def _apply_rows(
        self, state: FacilityState, transitions: list[Transition], ends: dict[int, list[Group]], odd: dict[int, list[odd_rows.Step]],
        payload: Readings, received: int, emitter: Emitter,
    ) -> None:  # fmt: skip
        """Apply what the kernel decided, row by row, in the order of rules within a row."""
        by_row: dict[int, list[Transition]] = {}
        for transition in transitions:
            by_row.setdefault(transition.row, []).append(transition)
        if state.marks.by_id:
            by_row = {row: withheld.of_row(state, told) for row, told in by_row.items()}
        for row in sorted(by_row.keys() | ends.keys() | odd.keys()):
            self._emit_row(state, row, by_row.get(row, []), ends, odd.get(row, []), payload, received, emitter)

    def _emit_row(
        self, state: FacilityState, row: int, transitions: list[Transition], ends: dict[int, list[Group]],
        odd: list[odd_rows.Step], payload: Readings, received: int, emitter: Emitter,
    ) -> None:  # fmt: skip
        """Emit the changes of one row: groups end, transitions; by (rule, level)."""
        plan = state.plan
        assert plan is not None  # noqa: S101 - rows are folded with a plan
        at, records = int(payload.time[row]), emitter.reads
        steps: list[tuple[int, int, int]] = []
        groups = ends.get(row, [])
        rank = emitter.bundle.rank
        steps.extend((rank(group.rule), silence.level(group), -1 - i) for i, group in enumerate(groups))
        for i, transition in enumerate(transitions):
            steps.append((plan.by_state[transition.inst].rank, silence.TAG, i))
        steps.extend((entry[0], rare.LEVEL, i) for i, entry in enumerate(odd))
        for _, lvl, i in sorted(steps, key=lambda s: (s[0], s[1], s[2] if s[2] >= 0 else -s[2])):
            step: Callable[[], object]
            if lvl == rare.LEVEL:
                _, rule, step = odd[i]
                attempt(emitter, rule, received, step)
                continue
            if lvl != silence.TAG:
                group = groups[-1 - i]
                kind, rule = GAP, group.rule
                step = partial(silence.end, state, group, at, received, records, emitter)
            else:
                transition = transitions[i]
                instance = plan.by_state[transition.inst]
                kind, rule = transition.of, instance.rule.id
                draft = drafts.of(state, instance)
                step = partial(emitter.apply, kind, instance, transition, records)
                step = step if draft is None else partial(draft.hear, transition)
            attempt(emitter, rule, received, step)
            if kind == GAP:
                attempt(emitter, rule, received, partial(silence.settle, state, rule, at, received, records, emitter))

    def _mark(self, state: FacilityState, payload: Mark, received: int, emitter: Emitter) -> None:
        before = state.marks.known(payload.id)
        taken = state.marks.meet(payload, received)
        if state.plan is None:
            return
        if taken is not None:
            self._decide_waiting(state, emitter)
            remarking.decide(state, *taken, received, emitter, self._room)
            share.declare(state, received, emitter)
        revisions.mark(state, payload, before, received, emitter)
        if before is None or payload.revision > before.revision:  # also one that begins too long ago to hold
            lateness.declare(state, before, payload, received, emitter)

    def _register(
        self, state: FacilityState, part: _Partition, payload: RegisterRecord, received: int, emitter: Emitter
    ) -> None:
        if payload.version <= state.version:
            return
        state.version = payload.version
        state.figures.register(None if state.plan is None else state.plan.facility, payload.facility, received)
        self._adopt(state, payload.facility, part.bundle, received, emitter)

    def _recompile(self, state: FacilityState, bundle: Bundle, received: int, emitter: Emitter) -> None:
        state.packs = bundle.sha256
        if state.plan is None:
            return
        self._decide_waiting(state, emitter)  # before a rule begins anew that was not listened to
        begin = resume(emitter, received, RecordRead(kind=Kind.PACKS, id=bundle.sha256))
        self._adopt(state, state.plan.facility, bundle, received, emitter)
        carry.begin_again(state, begin, received)

    def _decide_waiting(self, state: FacilityState, emitter: Emitter) -> None:
        if state.plan is None:
            return
        late.decide(state, late.waiting(state), emitter, self._room)
        absence.decide_waiting(state, emitter)
        for pair in paired.waiting(state):
            paired.decide(state, pair, emitter, self._room)
        odd_rows.decide_waiting(state, emitter)

    def _adopt(
        self, state: FacilityState, facility: Facility, bundle: Bundle, received: int, emitter: Emitter, *, since: int = NONE
    ) -> None:  # fmt: skip
        """Compile anew; what is no longer watched ends with the record that says so, or when a fact comes into force.

        `since`: the first instant whose rows the new plan judges (event time, ms); without it the one behind that of the record.
        """
        self._decide_waiting(state, emitter)
        plan = compile_plan(facility, bundle, received)
        old = state.plan
        packs = bundle.sha256 != emitter.bundle.sha256
        by_packs = RecordRead(kind=Kind.PACKS, id=bundle.sha256)
        why = by_packs if packs else RecordRead(kind=Kind.REGISTER, id=str(state.version))
        changed = migrations(emitter.bundle, bundle) if packs else {}
        closed = {rule for rule, what in changed.items() if what == "close"}
        if old is not None:
            kept = {absence.known_as(i) for found in plan.by_kind.values() for i in found}
            for kind, found in old.by_kind.items():
                for instance in found:
                    anew = instance.rule.id in closed and absence.known_as(instance) in kept
                    if anew or absence.known_as(instance) not in kept:
                        own = bundle.excepted(facility.id, instance.tag, received)
                        muted = instance.tag in plan.slots and is_muted(own, instance.rule.id)
                        site = own[instance.rule.id] if muted else None
                        by = by_packs if muted else why
                        step = partial(emitter.abandon, kind, instance, received, by, anew=anew, site=site)
                        attempt(emitter, instance.rule.id, received, step)
                        if instance.slots or instance.tag not in plan.slots:
                            # It takes its occurrences along: none of them can come again under the same start.
                            state.occurrences.pop((kind, *instance.key), None)
        silence.abandon_groups(state, plan, received, why, emitter, closed)
        rare.leave(state, plan, received, why, emitter, closed)
        if packs:  # a rule that raised when it left does not come with the next packs
            resume(emitter, received, why, stay={rule.id for rule in bundle.rules})
        edges = lookback.take(state, [rule for rule, what in changed.items() if what == "re-evaluate"], self._room)
        emitter.bundle = bundle
        carry.adopt(state, plan, received, None if packs else bundle, received + 1 if since == NONE else since)
        carry.begin_again(state, closed, received)
        remarking.keep_away(state, range(len(plan.sensors)), received)
        lookback.decide(state, edges, received, why, emitter, self._room)
        silence.regroup(state, received, emitter)
        rare.adopt(state, received, why, emitter)
        places.refresh_due(state)
