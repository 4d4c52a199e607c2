"""Follow one rule over the log of one facility: the leaves at every row, every decision of the clock, and at the end.

Above 400 lines on purpose: one pass over a log, and what each of its records does to the series of a rule.

It keeps to docs/engine-semantics.md as the engine does, row by row and without arrays; what the alarms are, the engine says.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from rules.batches import Batches
from rules.batches import Seen as BatchSeen
from rules.changes import ChangeKind
from rules.decisions import closes
from rules.declared import Declared, asked
from rules.engine import DOOR_CLOSED_MS
from rules.exceptions import stands_in
from rules.facts import facts_of, in_force, next_change
from rules.leaves.absence import AbsenceNumbers, AbsenceRun
from rules.leaves.cumulative import CumulativeNumbers
from rules.leaves.difference import PairNumbers, PairRows
from rules.leaves.during import DuringNumbers, DuringRun, Told
from rules.leaves.exposure import ExposureNumbers, ExposureRun
from rules.leaves.gap import Door, GapNumbers, GapRun
from rules.leaves.mean_kinetic import MeanNumbers
from rules.leaves.model import Row, Standing
from rules.leaves.rows import Rows, marked
from rules.leaves.runs import RowNumbers, RowRun, run_of
from rules.leaves.watch import Watch, horizon_key, watch, watch_pairs
from rules.marks import Marks, Part, covering
from rules.migration import migrations
from rules.pack import Bundle
from rules.params import UNREGISTERED_INTERVAL_MS
from rules.predicate import matches
from rules.rare.match import digest_of_batch, time_of
from rules.records import Decision, Events, Kind, Mark, PacksRecord, Readings, RegisterRecord, StateRecord, Tick
from rules.rule import DifferenceRule, RareRule

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from rules.changes import Change
    from rules.engine import Engine
    from rules.leaves.model import Moment, See
    from rules.marks import Declaration
    from rules.records import LogRecord
    from rules.register import Facility, Sensor
    from rules.rule import Migration


@dataclass(slots=True)
class Segment:
    """The rows of a series that were decided with the same numbers (None: not watched), from `begin` to `end` (log time, ms)."""

    numbers: RowNumbers | None
    begin: int
    rows: Rows
    end: int | None = None
    by_clock: bool = False
    """It began by the clock alone: what is due at that instant is decided in it, and before it what was due with the newest row."""
    pair: PairRows = field(default_factory=PairRows)
    told: Told = field(default_factory=Told)
    """What is declared of its area's state."""


@dataclass(slots=True)
class Line:
    """One series under the rule."""

    tag: str
    since: int
    watch: Watch
    key: tuple[object, ...]
    door: Door
    segments: list[Segment]
    gap: GapRun | AbsenceRun | None = None
    refused: dict[str, int] = field(default_factory=dict)
    """Rows that were not folded, by reason."""


class Tracer:
    """The leaves of one rule over the records of one facility, folded in the order of its log."""

    def __init__(self, rule_id: str, bundle: Bundle, facility: str, *, ignore_pack_records: bool = False) -> None:
        self.rule_id, self.bundle, self.name = rule_id, bundle, facility
        self.ignore_packs = ignore_pack_records
        self.facility: Facility | None = None
        self.version = -1
        self.clock = -1
        self.lines: dict[str, Line] = {}
        self.seeded = False
        """The log begins with a saved state: what came before is not in it."""
        self._inputs: dict[str, Line] = {}
        """What is folded of the inputs of pairs, by tag."""
        self._left: dict[str, int] = {}
        self._batches = Batches()
        self._event_batches = Batches()
        self._declared = Declared()
        self._asked: dict[str, str] = {}
        """Areas whose declared states are asked for, and which."""
        self._gateway: int | None = None
        self._partition_clock = -1
        """Newest receive time of ticks and packs: the door is open or closed by it."""
        self._partition: int | None = None
        self._moments: dict[str, list[Moment]] = {}
        self._moved: dict[str, Migration] = {}
        """What becomes of the rules that packs change, while they are taken into force."""
        self.marks = Marks()
        self._areas: dict[str, str] = {}
        """Tag -> where its sensor stands."""
        self.taken: Callable[[str], Container[tuple[int, int]]] = lambda _: ()
        """Tells which rows (which input, event time) an instance takes as they were folded though a mark came behind them: the engine knows
        what had been told of them. It is asked when a mark came, which the engine has then folded."""
        self.keep = 0
        """How many moments of a silence are kept a series; 0: all."""

    def fold(self, record: LogRecord) -> None:
        """Fold a record; those of other facilities are passed over."""
        if record.facility not in {"", self.name}:
            return
        payload = record.payload
        received = max(record.received, self.clock)
        if isinstance(payload, Tick | PacksRecord):
            self._partition_clock = max(record.received, self._partition_clock)
            self._shared(payload, received)
            return
        self.move(received)
        if isinstance(payload, RegisterRecord):
            if payload.version > self.version:
                self.version, self.facility = payload.version, payload.facility
                self._adopt(received, received)
        elif isinstance(payload, Readings):
            self._readings(payload, received)
        elif isinstance(payload, Mark):
            self._mark(payload, received)
        elif isinstance(payload, Events):
            self._events(payload, received)
        elif isinstance(payload, StateRecord):
            self.seeded = True
        elif isinstance(payload, Decision) and closes(payload) is not None:
            self._settle()

    def _settle(self) -> None:
        """Let what waits be decided."""
        for line in [*self.lines.values(), *self._inputs.values()]:
            line.segments[-1].rows.settle()

    def close(self, changes: Iterable[Change]) -> None:
        """Take what an officer closed, as the engine tells it: it is done with what had come."""
        for change in changes:
            by_officer = any(read.kind == Kind.DECISION for read in change.evidence.records)
            line = self.lines.get(change.subject.get("tag", ""))
            if line is None or not by_officer or (change.rule, change.change) != (self.rule_id, ChangeKind.CLEARED):
                continue
            rows = line.segments[-1].rows
            for segment in line.segments:
                segment.told.done = -1 if rows.newest is None else rows.newest

    def move(self, to: int) -> None:
        """Move the clock: facts and exceptions come into force, silences fall due."""
        if to <= self.clock:
            return
        while self.facility is not None:
            tags = {sensor.tag for sensor in self.facility.sensors}
            border = self.bundle.next_border(self.facility.id, tags, self.clock)
            change = min(next_change(self.facility, self.clock), border)
            if change > to:
                break
            self._silences(change - 1)
            self.clock = change
            self._adopt(change, change - 1)
        # Also what is due at an instant at which facts came into force: only a record's own instant is none.
        self._silences(to)
        self.clock = to

    def finish(self, tag: str, see: See) -> Standing:
        """Tell the leaves of a series so far, the last of them as they stand now, and return where the condition stands."""
        line = self.lines.get(tag)
        if line is None:
            return Standing()
        if line.gap is not None:
            for moment in self._moments.get(tag, []):
                see(moment)
            kept, line.gap.see = line.gap.see, see
            line.gap.finish(self.clock)
            line.gap.see = kept
            return line.gap.stands
        run = self._replay(line, see)
        if run is None:
            return Standing()
        run.finish(self.clock)
        return run.stands

    def _replay(self, line: Line, see: See) -> RowRun | None:
        run: RowRun | None = None
        for i, segment in enumerate(line.segments):
            numbers = segment.numbers
            if numbers is None:
                run = None
                continue
            end = self.clock if segment.end is None else segment.end
            # What waits at the newest receive time is not decided yet; a change of register or packs decides it.
            rows = segment.rows.rows if segment.end is not None else segment.rows.decided(end)
            if isinstance(numbers, PairNumbers):
                rows = segment.pair.instants(numbers, end if segment.end is None else end + 1)
            run = run_of(run, numbers, see, segment.begin)
            if isinstance(run, DuringRun | ExposureRun):
                waits = segment.end is None and segment.rows.undecided(end)
                run.told = segment.told.before() if waits else segment.told
            # Nothing is due at an instant that is now already: not of a row, a register or packs; but the clock reaches its own.
            before = segment.begin - segment.by_clock
            for row in rows:
                if row.m > before:
                    run.clock(row.m)
                run.row(row)
                before = row.m
            if end > before - any(after.by_clock for after in line.segments[i + 1 : i + 2]):
                run.clock(end)
        return run

    def _shared(self, payload: Tick | PacksRecord, received: int) -> None:
        gateway = isinstance(payload, Tick) and payload.role == "gateway"
        last, now = self._gateway, self._partition_clock
        closed = gateway and last is not None and now - last > DOOR_CLOSED_MS
        if closed and last is not None:
            for line in self.lines.values():
                line.door.close(last, now)
                if isinstance(line.gap, AbsenceRun):
                    line.gap.close(last, now, line.door.received)
                elif line.gap is not None:
                    line.gap.floor = now
            self.move(received - 1)
            for line in self.lines.values():
                if line.gap is not None:
                    line.gap.reopen(last, now)
        self.move(received)
        self.clock = max(self.clock, received)
        if isinstance(payload, PacksRecord) and not self.ignore_packs:
            bundle = Bundle.from_record(payload)
            self._moved = migrations(self.bundle, bundle)
            self.bundle = bundle
            self._adopt(received, received, packs=True)
            self._moved = {}
        if gateway:
            self._gateway = now

    def _silences(self, to: int) -> None:
        for line in self.lines.values():
            if line.gap is not None:
                line.gap.clock(to)

    def _adopt(self, now: int, old_until: int, *, packs: bool = False) -> None:
        """Take new facts or packs into force at `now`; what was decided with the old ones ends at `old_until`."""
        rule = self.bundle.rule(self.rule_id)
        if self.facility is None:
            return
        self.marks.move(self._areas, self.facility, now)
        self._areas = {sensor.tag: sensor.area for sensor in in_force(self.facility, now)}
        if isinstance(rule, DifferenceRule):
            self._adopt_pairs(rule, self.facility, now, old_until, packs=packs)
            return
        self._inputs = {}
        self._asked = asked(self.bundle, self.facility, now)
        self._declared.keep(self._asked)
        sensors = {s.tag: s for s in in_force(self.facility, now)} if rule is not None else {}
        for tag in set(self.lines) - set(sensors):
            newest = self.lines.pop(tag).segments[-1].rows.newest
            if newest is not None:
                self._left[tag] = newest
        for tag, sensor in sensors.items():
            if rule is None:
                continue
            watched = watch(rule, self.facility, sensor, now, self.bundle)
            key = horizon_key(self.facility, sensor, self.bundle, now)
            interval = sensor.interval or UNREGISTERED_INTERVAL_MS
            numbers = watched.numbers
            judged = None if isinstance(numbers, GapNumbers | AbsenceNumbers) else numbers
            line = self.lines.get(tag)
            if line is not None:
                line.segments[-1].rows.settle()  # what waited is decided before
            if line is None:
                newest = self._left.pop(tag, None)
                rows = Rows(interval, newest=newest, floor=-1 if newest is None else newest)
                line = Line(tag, now, watched, key, Door(now), [Segment(judged, now, rows)])
                self.lines[tag] = line
            elif key != line.key or self._begins_anew(self.facility, sensor, now):
                last = line.segments[-1]
                last.end = old_until
                floor = -1 if last.rows.newest is None else last.rows.newest
                following = Segment(
                    judged, now, Rows(interval, newest=last.rows.newest, floor=floor), by_clock=now > old_until
                )
                if self._moved.get(self.rule_id) == "close":
                    line.segments.append(Segment(None, now, Rows(interval), now))
                    line.gap = None
                elif self._moved.get(self.rule_id) == "re-evaluate" and _differ(judged, last.numbers):
                    _decided_again(last, following)
                following.told.done = last.told.done
                line.segments.append(following)
            ended = key != line.key or line.segments[-1].begin == now
            line.watch, line.key = watched, key
            line.segments[-1].told.spans = self._declared.spans(sensor.area)
            self._watch_silence(line, numbers, now, ended=ended)

    def _begins_anew(self, facility: Facility, sensor: Sensor, now: int) -> bool:
        """Say whether a rule that begins anew watches a series: its horizon ends then, for every rule."""
        closed = (self.bundle.rule(rule) for rule, how in self._moved.items() if how == "close")
        facts = facts_of(facility, sensor, now)
        return any(
            rule is not None
            and not isinstance(rule, DifferenceRule | RareRule)
            and watch(rule, facility, sensor, now, self.bundle).numbers is not None
            and matches(rule, facility, facts)
            for rule in closed
        )

    def _adopt_pairs(self, rule: DifferenceRule, facility: Facility, now: int, old_until: int, *, packs: bool) -> None:
        """Take new facts or packs into force for pairs: their inputs are folded as any series, whatever reads them."""
        before = -1 if packs or not self._inputs else old_until  # a pair that facts make reads what is of its time
        sensors = {sensor.tag: sensor for sensor in in_force(facility, now)}
        self._inputs = {tag: line for tag, line in self._inputs.items() if tag in sensors}
        for tag, sensor in sensors.items():
            key = horizon_key(facility, sensor, self.bundle, now)
            rows = Rows(sensor.interval or UNREGISTERED_INTERVAL_MS)
            watched = Watch(rule, sensor, {})
            line = self._inputs.setdefault(tag, Line(tag, now, watched, key, Door(now), [Segment(None, now, rows)]))
            line.segments[-1].rows.settle()
            if key != line.key or self._begins_anew(facility, sensor, now):
                line.segments[-1].rows.begin_again()
                line.key = key
        found = watch_pairs(rule, facility, now, self.bundle)
        for name in self.lines.keys() - found.keys():
            self._left[name] = self.lines.pop(name).segments[-1].pair.seen
        for name, watched in found.items():
            numbers = watched.numbers if isinstance(watched.numbers, PairNumbers) else None
            key = ("pair", None if numbers is None else numbers.key)
            segment = Segment(numbers, now, Rows(UNREGISTERED_INTERVAL_MS), by_clock=now > old_until)
            if name not in self.lines:
                segment.pair.floor = max(self._left.pop(name, -1), before)
                self.lines[name] = Line(name, now, watched, key, Door(now), [segment])
            elif key != self.lines[name].key or self._moved.get(rule.id) == "close":
                last = self.lines[name].segments[-1]
                last.end = old_until
                again = self._moved.get(rule.id) == "re-evaluate" and last.pair.are_judged_again(last.numbers, numbers)
                if again and isinstance(numbers, PairNumbers) and isinstance(last.numbers, PairNumbers):
                    segment.pair = last.pair.parted(last.numbers, now + 1)
                    segment.pair.decide(now, numbers)
                    last.end = segment.begin = max(
                        (row.m for row in last.pair.instants(last.numbers, now + 1)), default=last.begin
                    )
                else:
                    segment.pair = _behind(last, numbers)
                if self._moved.get(rule.id) == "close":
                    segment.pair = PairRows(floor=segment.pair.floor)
                    self.lines[name].segments.append(Segment(None, now, Rows(UNREGISTERED_INTERVAL_MS), now))
                self.lines[name].segments.append(segment)
            elif numbers is not None:  # what waited is decided before, as it is where the numbers are others
                self.lines[name].segments[-1].pair.decide(now, numbers)
            self.lines[name].watch, self.lines[name].key = watched, key

    def _read_by_pairs(self, tag: str, row: Row) -> None:
        for line in self.lines.values():
            numbers = line.watch.numbers
            for which, own in enumerate(numbers.tags if isinstance(numbers, PairNumbers) else ()):
                if own == tag and isinstance(numbers, PairNumbers):
                    line.segments[-1].pair.put(which, row, numbers)

    def _watch_silence(self, line: Line, numbers: object, now: int, *, ended: bool = False) -> None:
        if isinstance(numbers, AbsenceNumbers):
            self._watch_absence(line, numbers, now, ended=ended)
            return
        if not isinstance(numbers, GapNumbers):
            line.gap = None
            return
        if not isinstance(line.gap, GapRun):
            newest = line.segments[-1].rows.newest
            lo = line.since if newest is None else max(newest, line.since)
            fresh = newest is None or newest <= line.since
            line.gap = GapRun(
                numbers,
                self._keeper(line.tag),
                lo,
                line.door,
                fresh,
                floor=now,
                free_from=partial(self._free_from, line.tag),
            )
        elif numbers.key != line.gap.numbers.key:
            line.gap.numbers, line.gap.floor = numbers, now
        else:
            line.gap.numbers = numbers

    def _watch_absence(self, line: Line, numbers: AbsenceNumbers, now: int, *, ended: bool) -> None:
        if isinstance(line.gap, AbsenceRun):
            line.gap.adopt(numbers, now, ended=ended)
            return
        newest = line.segments[-1].rows.newest
        run = AbsenceRun(
            numbers, self._keeper(line.tag), lambda: line.segments[-1].rows, list, lambda: ([], False),
            line.since if newest is None else max(newest, line.since),
        )  # fmt: skip
        run.spans = lambda: self._declared.spans(run.numbers.area)
        run.off = lambda: (self._declared.off(run.numbers.area), self._declared.is_told_of_monitors(run.numbers.area))
        run.arm(now)
        line.gap = run

    def _keeper(self, tag: str) -> See:
        kept = self._moments.setdefault(tag, [])

        def see(moment: Moment) -> None:
            kept.append(moment)
            if self.keep and len(kept) > self.keep:
                del kept[0]

        return see

    def _readings(self, payload: Readings, received: int) -> None:
        if self._batches.meet(payload, received) is not BatchSeen.NEW:
            return
        begin = 0
        for tag, count in zip(payload.tags, payload.counts.tolist(), strict=True):
            line = self._inputs.get(tag) if self._inputs else self.lines.get(tag)
            for i in range(begin, begin + count) if line is not None else ():
                t, quality = int(payload.time[i]), int(payload.quality[i])
                row = Row(t, received, float(payload.value[i]), quality, payload.batch, received, posted=quality)
                self._row(line, marked(row, self._marks_of(tag)))
            begin += count

    def _free_from(self, tag: str, t: int, flags: Sequence[str]) -> int:
        return self.marks.free_from(tag, self._areas.get(tag, ""), t, flags)

    def _marks_of(self, tag: str) -> list[Part]:
        return self.marks.parts(tag, self._areas.get(tag, "")) if self.marks.by_id else []

    def _about(self, one: Declaration | None, tag: str) -> list[Part]:
        found = [] if one is None else self.marks.about(one, tag, self._areas.get(tag, ""))
        return [Part(one, begin, end) for begin, end in found if one is not None]

    def _mark(self, payload: Mark, received: int) -> None:
        """Take a mark: rows of the horizon are marked, but for those that stand as they were told (`taken`)."""
        met = self.marks.meet(payload, received)
        if met is None or self.facility is None:
            return
        before, one = met
        self._settle()
        for name, line in self.lines.items():
            if isinstance(line.gap, AbsenceRun):
                line.gap.settle(received)
            elif line.gap is not None:
                line.gap.floor = max(line.gap.floor, received) if line.gap.stands.active else line.gap.floor
            segment, numbers = line.segments[-1], line.watch.numbers
            if isinstance(numbers, PairNumbers):
                segment.pair.decide(received, numbers)
                for which, tag in enumerate(numbers.tags):
                    rows = segment.pair.inputs[which]
                    inside = [i for i, row in enumerate(rows) if row.t > segment.pair.floor]
                    self._remark(rows, inside, name, which, tag, one, before)
            elif numbers is not None:
                first = len(segment.rows.parted()[0])
                inside = [i for i, row in enumerate(segment.rows.rows) if i >= first and row.t > segment.rows.floor]
                self._remark(segment.rows.rows, inside, name, 0, line.tag, one, before)
                if isinstance(line.gap, AbsenceRun):
                    line.gap.arm(received)

    def _remark(
        self, rows: list[Row], inside: list[int], name: str, which: int, tag: str, one: Declaration, before: Declaration | None
    ) -> None:  # fmt: skip
        marks, came, were = self._marks_of(tag), self._about(one, tag), self._about(before, tag)
        for i in inside:
            row = rows[i]
            if came and one.is_timely and not row.mark and (which, row.t) not in self.taken(name):
                rows[i] = marked(row, came, later=True)
            elif row.mark and covering(row.t, were) and not covering(row.t, marks):
                rows[i] = replace(row, quality=row.posted, mark="")
                if isinstance(gap := self.lines[name].gap, AbsenceRun) and gap.numbers.counts(rows[i]):
                    gap.good[row.t] = None

    def _events(self, payload: Events, received: int) -> None:
        seen = self._event_batches.meet_digest(payload.batch, digest_of_batch(payload), received)
        if seen is not BatchSeen.NEW or self.facility is None:
            return
        for event in payload.events:
            area = self._declared.take(event, time_of(event, received), self.facility, self._asked)
            for line in self.lines.values() if area is not None else ():
                numbers = line.watch.numbers
                if isinstance(line.gap, AbsenceRun) and line.gap.numbers.area == area:
                    line.gap.arm(received)
                if isinstance(numbers, DuringNumbers | ExposureNumbers) and numbers.area == area:
                    segment = line.segments[-1]
                    waits = segment.rows.undecided(received)
                    segment.told.put(self._declared.spans(area), segment.rows.declare(received), waits=waits)

    def _row(self, line: Line | None, row: Row) -> None:
        if line is None:
            return
        standing = line.segments[-1].rows.admit(row)
        if self._inputs and standing in {"order", "late"}:
            self._read_by_pairs(line.tag, row)
        if standing not in {"order", "late"}:
            line.refused[standing] = line.refused.get(standing, 0) + 1
        elif standing == "late" and isinstance(line.gap, AbsenceRun):
            line.gap.take(row)
        elif standing == "order":
            forgiven = line.door.row(row.t, row.received)
            if line.gap is not None:
                line.gap.row(row, forgiven)


def _differ(one: RowNumbers | None, other: RowNumbers | None) -> bool:
    """Say whether the horizon is decided again: the numbers are others, none of them is an exception's, and what has left was summed alike."""
    if one is None or other is None or any(stands_in(getattr(each, "used", ())) for each in (one, other)):
        return False
    if isinstance(one, CumulativeNumbers | MeanNumbers) and one.summed != getattr(other, "summed", None):
        return False
    return one.key != other.key


def _decided_again(last: Segment, following: Segment) -> None:
    """Move the rows of the horizon from the segment that ends to the one that follows: they are decided with its numbers."""
    before, inside = last.rows.parted()
    last.rows.rows, following.rows.rows = before, inside
    last.end = last.begin
    following.begin = before[-1].m if before else last.begin


def _behind(last: Segment, numbers: PairNumbers | None) -> PairRows:
    """Return room for a pair's rows behind a segment; what is held of an input that is the same sensor stays so."""
    if numbers is None or not isinstance(last.numbers, PairNumbers):
        return PairRows(floor=last.pair.seen)
    found = last.pair.behind(last.numbers, (last.end or 0) + 1)
    same = [which for which, tag in enumerate(numbers.tags) if (tag,) == last.numbers.tags[which : which + 1]]
    found.before = {which: row for which, row in found.before.items() if which in same}
    return found


def taken(engine: Engine, tracer: Tracer, name: str) -> set[tuple[int, int]]:
    """Return the rows that the rule of a tracer takes on a series or pair as they were folded, by what an engine has told of them."""
    standing = engine.state_of(tracer.name).marks.standing
    return {row for (_, rule, own), rows in standing.items() if (rule, own) == (tracer.rule_id, name) for row in rows}
