"""When snapshots are written, and that no cadence of them changes anything: properties over logs, crashes and cadences."""

# Above 400 lines on purpose: one small world (memory broker, history, crash) serves every property of the cadence.

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.engine import Engine, PartitionState
from rules.fitting import change_bytes, fit
from rules.migrate import FORMAT
from rules.pack import default_bundle
from rules.records import SEMANTICS, Kind, LogRecord, RegisterRecord, StateRecord, Tick
from rules.snapshot import SnapshotError
from streams.cadence import Cadence, phase_of
from streams.checkpoint import decode_marker
from streams.history import concerns
from streams.quarantine import Suspect
from streams.restore import restore_partition
from tests.rules import logs
from tests.streams.test_tenure import SETTINGS, MemoryBroker, checkpoint, crash, settle, tenure_of, toy_record
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.checkpoint import Marker, StateRows
    from streams.fold import Fold
    from streams.tenure import Tenure

pytestmark = pytest.mark.long

BUNDLE = default_bundle()
OTHERS = [BUNDLE.only({BUNDLE.rules[0].id}), BUNDLE.only({rule.id for rule in BUNDLE.rules[1:]}), BUNDLE]
NAMES = ("TEST-0001", "TEST-0002", "LATE-0003", "SEED-0004")
PLAIN = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
QUICK = settings(PLAIN, max_examples=25)
LONG = settings(PLAIN, max_examples=2_000)
STATE = PartitionState()


# --- the cadence by itself ---------------------------------------------------------------------------------------


def cadence(every_s: float = 60.0) -> Cadence:
    value = Cadence(every_s, 0.0)
    value.begin(0, STATE)
    return value


def test_a_thousand_facilities_do_not_fall_due_together() -> None:
    value, names = cadence(), [f"BJ-MFR-{i:04}" for i in range(1_000)]
    counts = []
    for second in range(5, 61, 5):
        due = value.due(names, second)
        counts.append(len(due))
        value.note(second, STATE, names, due, second)
    assert sum(counts) == 1_000
    assert max(counts) < 2 * 1_000 / 12
    assert min(counts) > 1_000 / 12 / 2


@PLAIN
@given(st.lists(st.floats(0.05, 200), min_size=1, max_size=60), st.sampled_from(NAMES))
def test_a_facility_is_written_once_in_its_time_and_never_left_out(steps: list[float], name: str) -> None:
    value, now, written = cadence(), 0.0, []
    for i, step in enumerate(steps):
        now += step
        due = value.due([name], now)
        value.note(i + 1, STATE, [name], due, now)
        written += [now for _ in due]
    turns = [int(at / 60 - phase_of(name) + 1) for at in written]
    assert turns == sorted(set(turns)), "twice in one time of its own"
    longest = 60 + max(steps)
    for before, after in zip([0.0, *written], [*written, now], strict=True):
        assert after - before <= longest + 1e-6


def test_low_stays_behind_the_oldest_record_that_no_snapshot_holds() -> None:
    value = cadence()
    at = {offset: PartitionState(clock=offset) for offset in (10, 20, 30, 40)}
    value.note(10, at[10], ["A"], ["A"], 1)
    value.note(20, at[20], ["A", "B"], ["A"], 2)
    assert (value.low.offset, value.low.state) == (10, at[10]), "B changed somewhere behind 10"
    value.note(30, at[30], ["A", "B"], ["A"], 3)
    assert value.low.offset == 10
    value.note(40, at[40], ["B", "C"], ["B"], 4)
    assert (value.low.offset, value.low.state) == (30, at[30])
    value.note(40, at[40], ["C"], ["C"], 5)
    assert value.low.offset == 40


def test_packs_are_kept_while_low_may_name_them() -> None:
    value = cadence()
    value.note(10, PartitionState(packs="old"), ["A"], [], 1)
    value.note(20, PartitionState(packs="new"), ["A"], [], 2)
    assert value.packs == {"", "old", "new"}
    value.note(30, PartitionState(packs="new"), ["A"], ["A"], 3)
    assert value.packs == {"new"}


# --- any log, any cadence, any crash -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    what: str
    records: int
    seconds: float


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["feed", "publish", "checkpoint", "checkpoint", "checkpoint", "crash", "close"]),
        st.integers(0, 9),
        st.sampled_from([0.0, 1.0, 7.0, 15.0, 20.0, 33.0, 61.0]),
    ),
    max_size=25,
)


def seed_record(offset: int, received: int, snapshot: bytes, facility: str) -> LogRecord:
    payload = StateRecord(
        format=FORMAT, semantics=SEMANTICS, packs=BUNDLE.sha256, clock=received, seq=0,
        snapshot=base64.b64encode(snapshot).decode(), checksum=hashlib.sha256(snapshot).hexdigest(),
    )  # fmt: skip
    return LogRecord(0, offset, received, Kind.STATE, facility, payload)


@st.composite
def partitions(draw: Any) -> list[LogRecord]:
    """Draw a partition's log: facilities that begin at any record, ticks of both roles, packs, and a seed."""
    lines: list[tuple[int, LogRecord]] = []
    for name in NAMES[:3]:
        entity, entries = draw(logs.logs())
        log = logs.records(entity, entries)
        begin = draw(st.integers(0, 6)) * 60_000
        for record in log if draw(st.integers(0, 9)) else log[1:]:  # one in ten was never registered
            payload = record.payload
            if isinstance(payload, RegisterRecord):
                facility = payload.facility.model_copy(update={"id": name})
                payload = RegisterRecord(version=1, facility=facility)
            facility_of = record.facility and name
            lines.append(
                (record.received + begin, LogRecord(0, 0, record.received + begin, record.kind, facility_of, payload))
            )
    lines.sort(key=lambda line: line[0])
    received = [at for at, _ in lines]
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.sampled_from(received))
        packs = draw(st.sampled_from(OTHERS))
        lines.append((at, LogRecord(0, 0, at, Kind.PACKS, "", packs.to_record())))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.sampled_from(received)) + draw(st.sampled_from([0, 1_000, 1_000_000]))
        role = draw(st.sampled_from(["gateway", "worker"]))
        lines.append((at, LogRecord(0, 0, at, Kind.TICK, "", Tick(by="t", role=role, now=at))))
    if draw(st.booleans()):
        entity, entries = draw(logs.logs())
        seeded = logs.records(entity.model_copy(update={"id": NAMES[3]}), entries)
        before, cut = Engine(BUNDLE), draw(st.integers(1, len(seeded)))
        for record in seeded[:cut]:
            before.fold(record)
        at = draw(st.sampled_from(received))
        lines.append((at, seed_record(0, at, before.snapshot(0, NAMES[3]), NAMES[3])))
        lines += [(max(at, r.received) + 1, r) for r in seeded[cut:]]
    lines.sort(key=lambda line: line[0])
    return [LogRecord(0, i, at, r.kind, r.facility, r.payload) for i, (at, r) in enumerate(lines)]


def whole(log: list[LogRecord], fold: Fold) -> dict[tuple[str, int], bytes]:
    return {(c.stream, c.seq): change_bytes(fit(c)) for record in log for c in fold.fold(record)}


def marker_of(broker: MemoryBroker) -> Marker:
    value = broker.state(SETTINGS.state_topic).marker
    assert value is not None
    return decode_marker(value, 0)


def said(broker: MemoryBroker) -> dict[tuple[str, int], bytes]:
    """Return what a consumer keeps; a repeat with other content, or a seq left out, is an error."""
    kept: dict[tuple[str, int], bytes] = {}
    newest: dict[str, int] = {}
    for key, value, _ in broker.rows.get(SETTINGS.alarms_topic, []):
        stream, seq = key.decode(), json.loads(value)["seq"]
        assert kept.get((stream, seq), value) == value, f"{stream} {seq} came again with other content"
        if (stream, seq) not in kept:  # a seeded facility goes on with the seq it had
            assert seq == newest.setdefault(stream, seq - 1) + 1, f"{stream} {seq} came behind {newest[stream]}"
            newest[stream] = seq
        kept[stream, seq] = value
    return kept


@dataclass
class MemoryHistory:
    """The past of a partition, in memory."""

    log: list[LogRecord]
    asked: list[tuple[int, int]] = field(default_factory=list)
    fails: list[Exception] = field(default_factory=list)

    def records(self, partition: int, facilities: frozenset[str], begin: int, end: int) -> Iterator[LogRecord]:
        self.asked.append((begin, end))
        if self.fails:
            raise self.fails.pop(0)
        yield from (r for r in self.log[begin:end] if r.partition == partition and concerns(r, facilities))


def spoil(broker: MemoryBroker, how: int) -> None:
    """Break the newest snapshot of a facility: other bytes, a cut, or no row at all."""
    state = broker.state(SETTINGS.state_topic)
    names = sorted(state.parts)
    if not names:
        return
    name, rows = names[how % len(names)], broker.rows[SETTINGS.state_topic]
    good = b"" if how % 3 == 2 and name not in _whole(state) else _whole(state).get(name, b"")
    broken = [good[:-1], bytes([*good[:-1], (good[-1] if good else 0) ^ 1]), None][how % 3]
    rows.append((name.encode(), broken, [("part", b"0/1")]))


def _whole(state: StateRows) -> dict[str, bytes]:
    found = {}
    for name in state.parts:
        with contextlib.suppress(SnapshotError):
            found[name] = state.snapshot(name)
    return found


async def rebuilt(tenure: Tenure) -> None:
    """Wait until nothing is being folded anew."""
    if tenure._rebuilding is not None:
        await tenure._rebuilding
    assert tenure._rebuild is None


async def run(
    log: list[LogRecord], steps: list[Step], new_fold: Callable[[], Fold], *, begin: int = 0
) -> tuple[MemoryBroker, Tenure, Fold]:
    """Fold a log as the steps say, then to its end; the last tenure is left open."""
    broker, now, history = MemoryBroker(), 0.0, MemoryHistory(log)

    async def start() -> tuple[Tenure, Fold]:
        fold = new_fold()
        tenure = await tenure_of(broker, fold, bounds=(begin, len(log)), now=lambda: now, history=history)
        return tenure, fold

    tenure, fold = await start()
    for step in steps:
        now += step.seconds
        for record in log[tenure.next : tenure.next + step.records]:
            tenure.feed(record)
        if step.what == "publish":
            await settle(tenure)
        elif step.what == "checkpoint":
            await settle(tenure)
            await checkpoint(tenure)
        elif step.what == "rebuilt" and tenure.next >= tenure.published:
            await rebuilt(tenure)
        elif step.what in {"crash", "spoil"}:
            await crash(tenure)
            if step.what == "spoil":
                spoil(broker, step.records + int(step.seconds))
            tenure, fold = await start()
        elif step.what == "close":
            at = tenure.next
            await tenure.close()
            tenure, fold = await start()
            assert broker.offset is None or (tenure.next, marker_of(broker).low) == (at, at)
    for record in log[tenure.next :]:
        tenure.feed(record)
    await rebuilt(tenure)
    await settle(tenure)
    return broker, tenure, fold


async def check(log: list[LogRecord], steps: list[Step], new_fold: Callable[[], Fold]) -> None:
    straight = new_fold()
    expected = whole(log, straight)
    broker, tenure, fold = await run(log, steps, new_fold)
    assert said(broker) == expected
    for bad in map(json.loads, (value for _, value, _ in broker.rows.get(SETTINGS.rejected_topic, []))):
        assert bad["code"] == "bad_state"
    assert fold.facilities(0) == straight.facilities(0)
    assert {n: fold.snapshot(0, n) for n in fold.facilities(0)} == {
        n: straight.snapshot(0, n) for n in fold.facilities(0)
    }
    assert fold.partition_state(0) == straight.partition_state(0)
    await tenure.close()
    # And what the final checkpoint left is the same once more.
    again = new_fold()
    steps: list[int] = []
    start = await restore_partition(
        again, broker.state(SETTINGS.state_topic), broker.offset, (0, len(log)), moved=lambda: steps.append(1)
    )
    assert len(steps) == len(start.parts), "each facility is a step"
    assert (start.low, start.next_offset, start.bad) == (len(log), len(log), ())
    assert {n: again.snapshot(0, n) for n in again.facilities(0)} == {
        n: straight.snapshot(0, n) for n in fold.facilities(0)
    }


@QUICK
@given(log=partitions(), steps=STEPS)
def test_no_cadence_and_no_crash_changes_what_the_engine_says_or_holds(log: list[LogRecord], steps: list[Step]) -> None:
    asyncio.run(check(log, steps, lambda: Engine(BUNDLE)))


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@LONG
@given(log=partitions(), steps=STEPS)
def test_no_cadence_and_no_crash_changes_anything_of_many_logs(log: list[LogRecord], steps: list[Step]) -> None:
    asyncio.run(check(log, steps, lambda: Engine(BUNDLE)))


@st.composite
def toy_logs(draw: Any) -> list[LogRecord]:
    """Draw a log of three toy facilities and ticks."""
    log: list[LogRecord] = []
    now = logs.BEGIN
    for _ in range(draw(st.integers(1, 60))):
        now += draw(st.sampled_from([0, 100, 1_000, 2_000]))
        which = draw(st.integers(0, 3))
        if which == 3:
            tick = Tick(by="t", role="worker", now=now)
            log.append(LogRecord(0, len(log), now, Kind.TICK, "", tick))
            continue
        row = logs.Row("T1", now, float(draw(st.integers(0, 1))))
        log.append(LogRecord(0, len(log), now, Kind.READINGS, f"FAC-{which}", logs.readings([row], f"b{len(log)}")))
    return log


@settings(PLAIN, max_examples=40)
@given(log=toy_logs(), steps=STEPS)
def test_no_cadence_and_no_crash_changes_what_the_toy_says_or_holds(log: list[LogRecord], steps: list[Step]) -> None:
    asyncio.run(check(log, steps, ToyFold))


# --- by hand --------------------------------------------------------------------------------------------------------


def snapshots(broker: MemoryBroker) -> list[str]:
    keys = [key.decode() for key, _, _ in broker.rows.get(SETTINGS.state_topic, [])]
    return [key for key in keys if not key.startswith(("p", "roster"))]


def toy_log(count: int, facilities: int = 3) -> list[LogRecord]:
    return [
        LogRecord(0, i, logs.BEGIN + i, Kind.READINGS, f"FAC-{i % facilities}", toy_record(i).payload)
        for i in range(count)
    ]


async def test_checkpoints_come_often_and_snapshots_once_a_minute() -> None:
    broker, now = MemoryBroker(), 0.0
    log = toy_log(240)
    tenure = await tenure_of(broker, ToyFold(), bounds=(0, len(log)), now=lambda: now)
    for begin in range(0, 240, 10):  # two minutes, a checkpoint every 5 s
        now += 5
        for record in log[begin : begin + 10]:
            tenure.feed(record)
        await settle(tenure)
        await checkpoint(tenure)
    assert sorted(snapshots(broker)) == sorted(["FAC-0", "FAC-1", "FAC-2"] * 2)
    marker = marker_of(broker)
    assert marker.next == 240 == broker.offset
    assert 240 - 12 * 10 <= marker.low < 240
    await tenure.close()
    assert len(snapshots(broker)) == 9
    assert marker_of(broker).low == 240


async def test_what_the_marker_says_is_published_is_not_published_again() -> None:
    log = toy_log(60)
    broker, tenure, _ = await run(log, [Step("checkpoint", 30, 0), Step("checkpoint", 30, 0)], ToyFold)
    await crash(tenure)
    assert marker_of(broker).low == 0, "nothing was due: everything is folded again"
    before = len(broker.rows[SETTINGS.alarms_topic])
    again = await tenure_of(broker, ToyFold(), bounds=(0, 60))
    assert (again.next, again.published) == (0, 60)
    for record in log:
        again.feed(record)
    await settle(again)
    assert len(broker.rows[SETTINGS.alarms_topic]) == before == 30
    await again.close()


async def test_a_checkpoint_in_the_middle_of_folding_again_takes_nothing_back() -> None:
    log = toy_log(60)
    broker, tenure, _ = await run(log, [Step("checkpoint", 60, 0)], ToyFold)
    await crash(tenure)
    now = 0.0
    again = await tenure_of(broker, ToyFold(), bounds=(0, 60), now=lambda: now)
    for record in log[:20]:
        again.feed(record)
    now = 61.0
    await checkpoint(again)
    marker = marker_of(broker)
    assert (marker.low, marker.next, broker.offset) == (20, 60, 60), "the group's offset and the marker never fall"
    await crash(again)
    third = await tenure_of(broker, ToyFold(), bounds=(0, 60))
    assert (third.next, third.published) == (20, 60)
    await third.close()


async def test_a_snapshot_older_than_the_logs_beginning_is_good_while_nothing_came_since() -> None:
    """The log's retention took records that only ticks and other facilities needed."""
    broker, now = MemoryBroker(), 0.0
    log = toy_log(2, 2) + [
        LogRecord(0, i, logs.BEGIN + i, Kind.TICK, "", Tick(by="t", role="worker", now=logs.BEGIN + i))
        for i in range(2, 50)
    ]
    fold = ToyFold()
    tenure = await tenure_of(broker, fold, bounds=(0, 50), now=lambda: now)
    for record in log[:2]:
        tenure.feed(record)
    await settle(tenure)
    now = 61.0
    await checkpoint(tenure)
    for record in log[2:]:
        tenure.feed(record)
    await checkpoint(tenure)
    assert sorted(snapshots(broker)) == ["FAC-0", "FAC-1"], "nothing of theirs has changed"
    await crash(tenure)
    again = ToyFold()
    late = await tenure_of(broker, again, bounds=(50, 50))
    assert late.next == 50
    assert {n: again.snapshot(0, n) for n in ("FAC-0", "FAC-1")} == {n: fold.snapshot(0, n) for n in ("FAC-0", "FAC-1")}
    await late.close()


async def test_packs_that_nothing_names_any_more_are_forgotten() -> None:
    broker = MemoryBroker()
    log = [LogRecord(0, 0, logs.BEGIN, Kind.REGISTER, NAMES[0], register_of(NAMES[0]))]
    log += [
        LogRecord(0, 1 + i, logs.BEGIN + i, Kind.PACKS, "", packs.to_record()) for i, packs in enumerate(OTHERS[:2])
    ]
    tenure = await tenure_of(broker, Engine(BUNDLE), bounds=(0, 9))
    for record in log[:2]:
        tenure.feed(record)
    await settle(tenure)
    await checkpoint(tenure)
    tenure.feed(log[2])
    await checkpoint(tenure)
    shas = [packs.sha256 for packs in OTHERS]
    assert broker.state(SETTINGS.state_topic).packs.keys() == set(shas), "a start from `low` still needs them"
    await tenure.close()
    assert broker.state(SETTINGS.state_topic).packs.keys() == {shas[1], shas[2]}, "the first ones are kept for rebuilds"
    again = await tenure_of(broker, Engine(OTHERS[0]), bounds=(0, 9))
    await again.close()


async def test_packs_stay_while_a_quarantined_facility_may_name_them() -> None:
    broker = MemoryBroker()
    log = [LogRecord(0, 0, logs.BEGIN, Kind.REGISTER, NAMES[0], register_of(NAMES[0]))]
    log += [LogRecord(0, i, logs.BEGIN + i, Kind.PACKS, "", packs.to_record()) for i, packs in enumerate(OTHERS[:2], 1)]
    tenure = await tenure_of(broker, Engine(BUNDLE), bounds=(0, 9))
    tenure.ward.admit(Suspect(0, logs.BEGIN, "HELD-0001"), 0, tenure.fold.partition_state(0))
    for record in log:
        tenure.feed(record)
        await settle(tenure)
        await checkpoint(tenure)
    await tenure.close()
    assert {packs.sha256 for packs in OTHERS[:2]} <= broker.state(SETTINGS.state_topic).packs.keys()


def register_of(name: str) -> RegisterRecord:
    entity = logs.facility([("T0", "A1", 60)], name=name)
    return RegisterRecord(version=1, facility=entity)


async def test_the_parts_of_a_snapshot_that_shrank_are_forgotten() -> None:
    broker = MemoryBroker()
    tenure = await tenure_of(broker, ToyFold(filler_bytes=5_000), bounds=(0, 9), snapshot_part_bytes=1_000)
    tenure.feed(toy_record(0))
    await tenure.close()
    assert broker.state(SETTINGS.state_topic).parts == {"FAC-0": 6}
    small = await tenure_of(broker, ToyFold(), bounds=(0, 9), snapshot_part_bytes=3_000)
    small.feed(toy_record(1))
    await small.close()
    assert broker.state(SETTINGS.state_topic).parts == {"FAC-0": 2}


async def test_a_start_folds_again_under_the_clock_that_was_and_lets_no_tick_act_twice() -> None:
    """The silence of two facilities, one with a snapshot behind the tick that says it, one with a snapshot before."""
    now = 0.0
    log = [LogRecord(0, i, logs.BEGIN + i, Kind.REGISTER, name, register_of(name)) for i, name in enumerate(NAMES[:2])]
    for i in range(2, 8):
        at = logs.BEGIN + (i - 1) * 600_000
        log.append(LogRecord(0, i, at, Kind.TICK, "", Tick(by="t", role="gateway", now=at)))
    straight = Engine(BUNDLE)
    expected = whole(log, straight)
    assert len(expected) >= 2, "both are silent within the hour"
    broker, fold = MemoryBroker(), Engine(BUNDLE)
    tenure = await tenure_of(broker, fold, bounds=(0, 8), now=lambda: now)
    for record in log:
        tenure.feed(record)
    await settle(tenure)
    # A checkpoint in which exactly one of the two is due.
    first, last = sorted(NAMES[:2], key=phase_of)
    now = 60 * (phase_of(first) + phase_of(last)) / 2
    await checkpoint(tenure)
    assert snapshots(broker) == [first]
    assert (marker_of(broker).low, marker_of(broker).next) == (0, 8)
    await crash(tenure)
    again = Engine(BUNDLE)
    tenure = await tenure_of(broker, again, bounds=(0, 8), now=lambda: now)
    assert again.partition_state(0) == Engine(BUNDLE).partition_state(0), "as it was at the beginning"
    for record in log:
        tenure.feed(record)
    assert {n: again.snapshot(0, n) for n in NAMES[:2]} == {n: straight.snapshot(0, n) for n in NAMES[:2]}
    assert tenure.pending == 0
    await tenure.close()
    assert said(broker) == expected
