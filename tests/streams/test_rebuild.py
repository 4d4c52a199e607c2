"""Facilities without a good snapshot are folded anew while the others go on; nothing is lost, invented or renumbered."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.errors import PartMissingError
from rules.records import SEMANTICS, Kind, LogRecord, PacksRecord, Rejected, Tick
from streams import rebuild as module
from streams import tenure as tenure_module
from streams.checkpoint import Origin
from streams.history import HistoryLostError
from streams.rebuild import Rebuild
from streams.restore import Bad
from tests.rules import logs
from tests.streams.test_cadence import (
    BUNDLE,
    PLAIN,
    MemoryHistory,
    Step,
    check,
    marker_of,
    partitions,
    rebuilt,
    said,
    spoil,
    toy_log,
    toy_logs,
    whole,
)
from tests.streams.test_tenure import SETTINGS, Halts, MemoryBroker, checkpoint, crash, settle, tenure_of
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.changes import Change
    from streams.tenure import Tenure

pytestmark = pytest.mark.long

STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["feed", "publish", "checkpoint", "checkpoint", "crash", "close", "spoil", "spoil", "rebuilt"]),
        st.integers(0, 9),
        st.sampled_from([0.0, 7.0, 20.0, 61.0]),
    ),
    max_size=20,
)
NEVER = 600.0


# --- any log, any snapshot broken at any time ----------------------------------------------------------------------


@settings(PLAIN, max_examples=25)
@given(log=partitions(), steps=STEPS)
def test_no_broken_snapshot_changes_what_the_engine_says_or_holds(log: list[LogRecord], steps: list[Step]) -> None:
    asyncio.run(check(log, steps, lambda: Engine(BUNDLE)))


@settings(PLAIN, max_examples=40)
@given(log=toy_logs(), steps=STEPS)
def test_no_broken_snapshot_changes_what_the_toy_says_or_holds(log: list[LogRecord], steps: list[Step]) -> None:
    asyncio.run(check(log, steps, ToyFold))


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@settings(PLAIN, max_examples=1_000)
@given(log=partitions(), steps=STEPS)
def test_no_broken_snapshot_changes_anything_of_many_logs(log: list[LogRecord], steps: list[Step]) -> None:
    asyncio.run(check(log, steps, lambda: Engine(BUNDLE)))


@pytest.mark.parametrize("how", [0, 1])
def test_what_waited_for_a_rebuild_that_was_cut_off_is_published_by_the_next_one(how: int) -> None:
    """The partition is behind its marker at a start: a facility that is taken in there had records that nobody published."""
    log: list[LogRecord] = []
    for number, what in enumerate("tt000100|0000t0x0000000000x".replace("|", "T")):
        now = logs.BEGIN + (2_000 if number > 7 or what == "T" else 0)
        if what in "tT":
            log.append(LogRecord(0, number, now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))
            continue
        row = logs.Row("T1", now, float(what == "x"))
        which = "FAC-0" if what == "0" else "FAC-1"
        log.append(LogRecord(0, number, now, Kind.READINGS, which, logs.readings([row], f"b{number}")))
    steps = [
        Step("feed", 5, 7.0), Step("checkpoint", 3, 7.0), Step("spoil", how, 0.0), Step("checkpoint", 7, 7.0),
        Step("checkpoint", 8, 0.0), Step("crash", 0, 0.0), Step("checkpoint", 1, 0.0),
    ]  # fmt: skip
    for _ in range(5):
        asyncio.run(check(log, steps, ToyFold))


# --- by hand ---------------------------------------------------------------------------------------------------------


class Gate(MemoryHistory):
    """A history that waits at its first record until it is let go on."""

    def __init__(self, log: list[LogRecord]) -> None:
        super().__init__(log)
        self.open = threading.Event()
        self.reached = threading.Event()

    def records(self, partition: int, facilities: frozenset[str], begin: int, end: int) -> Iterator[LogRecord]:
        for record in super().records(partition, facilities, begin, end):
            self.reached.set()
            self.open.wait(30)
            yield record


async def spoiled(log: list[LogRecord], folded: int, how: int = 1) -> MemoryBroker:
    """Return a broker whose partition was folded and closed, and in which one snapshot is broken: FAC-1's."""
    broker = MemoryBroker()
    tenure = await tenure_of(broker, ToyFold(), bounds=(0, len(log)))
    for record in log[:folded]:
        tenure.feed(record)
    await tenure.close()
    spoil(broker, how)
    return broker


def told(broker: MemoryBroker) -> list[dict[str, Any]]:
    return [json.loads(value) for _, value, _ in broker.rows.get(SETTINGS.rejected_topic, [])]


async def gated(log: list[LogRecord], folded: int) -> tuple[MemoryBroker, Tenure, Gate, ToyFold]:
    broker, gate, fold = await spoiled(log, folded), Gate(log), ToyFold()
    tenure = await tenure_of(broker, fold, bounds=(0, len(log)), history=gate)
    await asyncio.to_thread(gate.reached.wait, 30)
    return broker, tenure, gate, fold


async def test_the_others_go_on_while_one_is_folded_anew_and_its_changes_keep_their_seq() -> None:
    log = toy_log(90)
    broker, tenure, gate, fold = await gated(log, 60)
    for record in log[60:]:
        tenure.feed(record)
    await settle(tenure)
    streams = [stream for stream, _ in said(broker)]
    assert {name: streams.count(name) for name in ("FAC-0", "FAC-1", "FAC-2")} == {
        "FAC-0": 15,
        "FAC-1": 10,
        "FAC-2": 15,
    }
    assert fold.facilities(0) == ["FAC-0", "FAC-2"]
    gate.open.set()
    await rebuilt(tenure)
    await tenure.close()
    assert said(broker) == whole(log, ToyFold())
    assert [(row["facility"], row["code"]) for row in told(broker)] == [("FAC-1", "bad_state")]
    assert "broken" in told(broker)[0]["detail"]
    assert marker_of(broker).rebuilding == {}


async def test_a_stop_in_the_middle_remembers_who_waits_and_a_good_old_snapshot_is_not_trusted() -> None:
    log = toy_log(120)
    broker = await spoiled(log, 60)
    good = next(row for row in broker.rows[SETTINGS.state_topic] if row[0] == b"FAC-1")
    gate = Gate(log)
    again = await tenure_of(broker, ToyFold(), bounds=(0, 120), history=gate)
    for record in log[60:90]:
        again.feed(record)
    await settle(again)
    await checkpoint(again)
    await again.close()
    gate.open.set()
    marker = marker_of(broker)
    assert (marker.next, marker.rebuilding) == (90, {"FAC-1": 60})
    assert "FAC-1" in broker.state(SETTINGS.state_topic).rostered(marker)
    broker.rows[SETTINGS.state_topic].append(good)
    third = await tenure_of(broker, ToyFold(), bounds=(0, 120), history=MemoryHistory(log))
    assert third.next == 90
    for record in log[90:]:
        third.feed(record)
    await rebuilt(third)
    await third.close()
    assert said(broker) == whole(log, ToyFold())
    assert marker_of(broker).rebuilding == {}


async def test_a_tail_that_overflows_is_read_from_the_log_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAIL_RECORDS", 3)
    log = toy_log(90)
    broker, tenure, gate, _ = await gated(log, 60)
    for record in log[60:]:
        tenure.feed(record)
        assert tenure._rebuild is not None
        assert len(tenure._rebuild._tail) <= 3
    gate.open.set()
    await rebuilt(tenure)
    await tenure.close()
    assert gate.asked[0] == (0, 60)
    assert len(gate.asked) == 2
    assert said(broker) == whole(log, ToyFold())


def test_a_tail_is_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAIL_BYTES", 1_000)
    log = toy_log(30, 1)
    rebuild = Rebuild(0, [Bad("FAC-0", "", 0)], Origin(offset=0, packs=ToyFold().bundle.sha256), MemoryHistory(log), 0)
    rebuild.begin(ToyFold(), 0)
    for record in log:
        assert rebuild.offer(record, 300)
        assert rebuild._tail_bytes <= 1_000
    assert not rebuild.met


async def test_many_changes_are_handed_over_in_pieces_and_wait_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAKE_CHANGES", 2)
    log = toy_log(90)
    broker, tenure, gate, _ = await gated(log, 0 + 3)
    for record in log[3:60]:
        tenure.feed(record)
    assert tenure._rebuild is not None
    tenure._rebuild._target = 60  # as after an overflow: all of it is read in the thread
    tenure._rebuild._tail.clear()
    gate.open.set()
    await rebuilt(tenure)
    for record in log[60:]:
        tenure.feed(record)
    await tenure.close()
    assert said(broker) == whole(log, ToyFold())


async def test_a_history_that_is_gone_leaves_one_facility_unfolded_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tenure_module, "RETRY_S", 0.001)
    log = toy_log(90)
    broker, fold = await spoiled(log, 60), ToyFold()
    gone = HistoryLostError("offsets 0 to 9 are no longer in the log")
    history = MemoryHistory(log, fails=[gone, gone, gone, PartMissingError("no archive answers"), gone])
    tenure = await tenure_of(broker, fold, bounds=(0, 90), history=history)
    for record in log[60:]:
        tenure.feed(record)
        await asyncio.sleep(0)
    await rebuilt(tenure)  # at last it is there again
    await tenure.close()
    assert not history.fails
    details = [row["detail"].splitlines()[0] for row in told(broker)]
    assert len(details) == 4
    assert details[1:] == [
        f"it cannot be folded anew yet: {text}" for text in (str(gone), "no archive answers", str(gone))
    ]
    assert said(broker) == whole(log, ToyFold())


@pytest.mark.parametrize("lost", [Kind.TICK, Kind.READINGS])
async def test_a_history_that_lacks_records_is_refused(monkeypatch: pytest.MonkeyPatch, lost: Kind) -> None:
    monkeypatch.setattr(tenure_module, "RETRY_S", NEVER)
    log = toy_log(60)
    at = logs.BEGIN + 100
    log.append(LogRecord(0, 60, at, Kind.TICK, "", Tick(by="t", role="worker", now=at)))
    broker = await spoiled(log, 61)
    history = MemoryHistory([r if r.kind is not lost else LogRecord(9, *_rest(r)) for r in log])
    fold = ToyFold()
    tenure = await tenure_of(broker, fold, bounds=(0, 62), history=history)
    while len(told(broker)) < 2:  # noqa: ASYNC110 - the tenure has no such event
        await asyncio.sleep(0.01)
    assert "not whole" in told(broker)[1]["detail"] or "holds nothing of FAC-1" in told(broker)[1]["detail"]
    assert fold.facilities(0) == ["FAC-0", "FAC-2"]
    tenure.feed(LogRecord(0, 61, at, Kind.TICK, "", Tick(by="t", role="worker", now=at)))
    await tenure.close()
    assert marker_of(broker).rebuilding == {"FAC-1": 61}


def _rest(record: LogRecord) -> tuple[Any, ...]:
    return (record.offset, record.received, record.kind, record.facility, record.payload)


async def test_without_the_first_packs_nothing_is_folded_anew() -> None:
    rebuild = Rebuild(0, [Bad("FAC-0", "", 0)], None, MemoryHistory([]), 0)
    with pytest.raises(HistoryLostError, match="first folded with are not known"):
        rebuild.begin(ToyFold(), 0)
    rebuild = Rebuild(0, [Bad("FAC-0", "", 0)], Origin(offset=0, packs="0" * 64), MemoryHistory([]), 0)
    with pytest.raises(HistoryLostError, match="are not known here"):
        rebuild.begin(Engine(BUNDLE), 0)


async def test_a_fold_that_raises_there_ends_the_process_as_it_would_in_the_partition() -> None:
    log = toy_log(60)
    broker, halts = await spoiled(log, 60), Halts()
    tenure = await tenure_of(broker, ToyFold(fail_on="b4"), bounds=(0, 60), history=MemoryHistory(log), halts=halts)
    assert tenure._rebuilding is not None
    await asyncio.wait([tenure._rebuilding])
    assert halts.reasons == ["partition 0 cannot fold facilities anew"]
    await crash(tenure)


def test_what_the_partition_rejected_is_passed_over_here_too() -> None:
    bad = LogRecord(0, 1, logs.BEGIN, Kind.PACKS, "", PacksRecord(sha256="0" * 64, semantics=SEMANTICS, bundle="AAAA"))
    log = toy_log(1, 1)
    history = MemoryHistory([*log, bad, Rejected(0, 2, 0, "FAC-0", "undecodable", "", b"")])  # type: ignore[list-item]
    rebuild = Rebuild(0, [Bad("FAC-0", "", 0)], Origin(offset=0, packs=BUNDLE.sha256), history, 3)
    main = Engine(BUNDLE)
    rebuild.begin(main, 3)
    rebuild.read(lambda *_: None)
    assert rebuild.met
    rebuild.graft(main)
    assert main.facilities(0) == ["FAC-0"]


def test_each_record_is_noted_before_it_is_folded_and_one_that_the_partition_passes_over_is_not_folded() -> None:
    log, noted, seen = toy_log(6, 1), [], []

    class Fold(ToyFold):
        def alone(self) -> ToyFold:
            return Fold()

        def fold(self, record: LogRecord) -> list[Change]:
            seen.append((record.offset, noted[-1]))
            return super().fold(record)

    rebuild = Rebuild(
        0,
        [Bad("FAC-0", "", 0)],
        Origin(offset=0, packs=ToyFold().bundle.sha256),
        MemoryHistory(log),
        0,
        {2},
        noted.append,
    )
    rebuild.begin(Fold(), 4)
    rebuild.offer(log[4], 1)
    rebuild.read(lambda *_: None)
    assert noted[-1] == -1, "a death between two records is nobody's"
    rebuild.graft(ToyFold())
    assert seen == [(offset, offset) for offset in (0, 1, 3, 4)]
    assert noted[-1] == -1
    rebuild.stop()
    before = len(noted)
    rebuild._step(log[5])
    assert noted[before:] == [-1], "what a stopped thread still folds is not noted: the process may end with it"
