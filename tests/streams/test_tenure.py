"""A tenure against a broker in memory: crash it anywhere, restore it, and the changes are those of one run."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from aiokafka.errors import ProducerFenced
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.pack import default_bundle
from rules.records import SEMANTICS, Kind, LogRecord, PacksRecord, Rejected, StateRecord
from streams.checkpoint import StateRows
from streams.ledger import Ledger
from streams.restore import restore_partition
from streams.sensor import Sensor
from streams.tenure import Tenure
from streams.worker_settings import WorkerSettings
from tests.calibrated import unlisted
from tests.rules import logs
from tests.streams.lab import judge, offline
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streams.checkpoint import Row
    from streams.fold import Fold
    from streams.history import History

BUNDLE = unlisted(default_bundle())
QUICK = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
SETTINGS = WorkerSettings(checkpoint_every_s=3_600, placed=False)


class HaltedError(Exception):
    pass


@dataclass
class Halts:
    """Stands for `streams.halt.halt`: remembers why."""

    reasons: list[str] = field(default_factory=list)

    def __call__(self, reason: str, error: BaseException | None = None) -> NoReturn:
        self.reasons.append(reason)
        raise HaltedError(reason) from error


@dataclass
class MemoryBroker:
    """Committed rows by topic, and the group's offset; a transaction is seen whole or not at all."""

    rows: dict[str, list[tuple[bytes, Any, list[tuple[str, bytes]]]]] = field(default_factory=dict)
    offset: int | None = None
    transactions: list[int] = field(default_factory=list)
    fails: Exception | None = None

    def state(self, topic: str) -> StateRows:
        rows = StateRows(0)
        for row in self.rows.get(topic, []):
            rows.add(*row)
        return rows


class MemoryProducer:
    """The part of AIOKafkaProducer that a tenure uses."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.open: list[tuple[str, tuple[bytes, bytes, list[tuple[str, bytes]]]]] | None = None
        self.offset: int | None = None
        self.stopped = False

    async def start(self) -> None:
        await asyncio.sleep(0)

    async def begin_transaction(self) -> None:
        assert self.open is None, "one transaction is in flight at a time"
        self.open, self.offset = [], None

    async def send(
        self, topic: str, value: bytes, key: bytes, *, partition: int | None, headers: list[tuple[str, bytes]]
    ) -> asyncio.Future[None]:
        assert self.open is not None
        assert partition in {0, None}
        await asyncio.sleep(0)
        self.open.append((topic, (key, value, headers)))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.broker.fails is not None:
            done.set_exception(self.broker.fails)
        else:
            done.set_result(None)
        return done

    async def send_offsets_to_transaction(self, offsets: dict[Any, int], group: str) -> None:
        assert group == SETTINGS.group_id
        (self.offset,) = offsets.values()

    async def commit_transaction(self) -> None:
        await asyncio.sleep(0)
        assert self.open is not None
        for topic, row in self.open:
            self.broker.rows.setdefault(topic, []).append(row)
        self.broker.transactions.append(len(self.open))
        if self.offset is not None:
            self.broker.offset = self.offset
        self.open = None

    async def stop(self) -> None:
        self.stopped = True


class MemorySender:
    """Stands for `streams.facts.FactSender`: rows are there at once, outside of transactions."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker

    async def send(self, rows: Iterable[Row]) -> None:
        await asyncio.sleep(0)
        if self.broker.fails is not None and rows:
            raise self.broker.fails
        for row in rows:
            self.broker.rows.setdefault(row.topic, []).append((row.key, row.value, list(row.headers)))


async def tenure_of(
    broker: MemoryBroker,
    fold: Fold,
    ledger: Ledger | None = None,
    halts: Halts | None = None,
    bounds: tuple[int, int] = (0, 1 << 40),
    now: Callable[[], float] | None = None,
    history: History | None = None,
    **changes: Any,
) -> Tenure:
    """Return a tenure that has restored what the broker holds; `now` is the clock of its snapshots."""
    chosen = SETTINGS.model_copy(update=changes)
    tenure = Tenure(0, fold, chosen, {}, ledger or Ledger(1_000, 10_000_000), Sensor(), halts or Halts(), history)
    await tenure._producer.stop()
    tenure._producer = MemoryProducer(broker)
    tenure._sender = MemorySender(broker)
    if now is not None:
        tenure._clock = now
    await tenure.fence()
    tenure.begin(await restore_partition(fold, broker.state(chosen.state_topic), broker.offset, bounds))
    return tenure


def published(broker: MemoryBroker) -> list[dict[str, Any]]:
    return [json.loads(value) | {"_p": 0} for _, value, _ in broker.rows.get(SETTINGS.alarms_topic, [])]


async def crash(tenure: Tenure) -> None:
    """End the publishing task where it stands, as kill -9 would."""
    assert tenure._task is not None
    tenure._task.cancel()
    await asyncio.wait([tenure._task])


async def run_with_crashes(
    log: list[LogRecord], plan: list[tuple[str, int]], new_fold: Callable[[], Fold]
) -> MemoryBroker:
    """Fold a log through tenures that publish, checkpoint and crash as planned; then to its end."""
    broker = MemoryBroker()
    tenure = await tenure_of(broker, new_fold())
    for what, count in plan:
        for record in log[tenure.next : tenure.next + count]:
            tenure.feed(record)
        if what == "publish":
            await asyncio.sleep(0.001)
        elif what == "checkpoint":
            await settle(tenure)
            await checkpoint(tenure)
        elif what == "close":
            await tenure.close()
            tenure = await tenure_of(broker, new_fold())
        else:
            await crash(tenure)
            tenure = await tenure_of(broker, new_fold())
    for record in log[tenure.next :]:
        tenure.feed(record)
    await tenure.close()
    return broker


async def checkpoint(tenure: Tenure) -> None:
    """Let the publishing task write a checkpoint now: it alone may use the producer, also while others add rows."""
    await settle(tenure)
    tenure._due = 0.0
    tenure._wake.set()
    while not tenure._due or tenure.in_flight_since is not None:
        assert tenure._task is not None
        if tenure._task.done():
            tenure._task.result()
        await asyncio.sleep(0)


async def settle(tenure: Tenure) -> None:
    """Wait until the publishing task is idle."""
    while tenure.pending or tenure.in_flight_since is not None:
        assert tenure._task is not None
        if tenure._task.done():
            tenure._task.result()
        await asyncio.sleep(0)


STEPS = st.lists(
    st.tuples(st.sampled_from(["publish", "checkpoint", "crash", "close"]), st.integers(0, 12)), max_size=12
)


@QUICK
@given(drawn=logs.logs(), plan=STEPS)
def test_crashes_anywhere_change_nothing_of_what_the_engine_says(drawn: Any, plan: list[tuple[str, int]]) -> None:
    log = logs.records(*drawn)
    broker = asyncio.run(run_with_crashes(log, plan, lambda: Engine(BUNDLE)))
    judge(published(broker), offline(list(log), Engine(BUNDLE)))
    assert broker.offset == len(log)


async def test_a_failed_send_ends_the_process_and_nothing_becomes_visible() -> None:
    broker, halts = MemoryBroker(fails=ProducerFenced()), Halts()
    tenure = await tenure_of(broker, ToyFold(), halts=halts)
    tenure.feed(toy_record(0))
    tenure.feed(toy_record(1))
    assert tenure._task is not None
    with pytest.raises(HaltedError):
        await tenure._task
    assert halts.reasons == ["partition 0 cannot publish"]
    assert broker.rows == {}
    assert broker.transactions == []


async def test_changes_are_published_before_any_checkpoint() -> None:
    broker = MemoryBroker()
    tenure = await tenure_of(broker, ToyFold())
    tenure.feed(toy_record(1))
    await settle(tenure)
    assert [row["seq"] for row in published(broker)] == [1]
    assert broker.offset is None
    assert SETTINGS.state_topic not in broker.rows
    await tenure.close()
    assert broker.offset == 2


async def test_a_checkpoint_carries_what_is_still_pending_and_cuts_nothing() -> None:
    broker = MemoryBroker()
    tenure = await tenure_of(broker, ToyFold())
    for offset in range(6):
        tenure.feed(toy_record(offset))
    await tenure.close()
    assert len(broker.transactions) == 1
    assert [row["seq"] for row in published(broker)] == [1, 2, 3]
    assert {key for key, _, _ in broker.rows[SETTINGS.state_topic]} >= {b"FAC-0", b"p0"}


async def test_nothing_new_writes_no_checkpoint() -> None:
    broker = MemoryBroker()
    tenure = await tenure_of(broker, ToyFold())
    tenure.feed(toy_record(0))
    await tenure.close()
    again = await tenure_of(broker, ToyFold())
    assert again.next == 1
    await again.close()
    assert len(broker.transactions) == 1


async def test_closing_gives_the_ledger_back_and_stops_the_producer() -> None:
    broker, ledger = MemoryBroker(), Ledger(2, 1_000_000)
    tenure = await tenure_of(broker, ToyFold(), ledger)
    for offset in range(8):
        tenure.feed(toy_record(offset))
    assert ledger.full
    await tenure.close()
    assert (ledger.rows, ledger.bytes, ledger.full) == (0, 0, False)
    assert tenure._producer.stopped
    assert not tenure.accepts


async def test_the_ledger_holds_by_bytes_too_and_lets_go_at_half() -> None:
    broker, ledger = MemoryBroker(), Ledger(1_000, 2_500)
    tenure = await tenure_of(broker, ToyFold(), ledger)
    offset = 0
    while not ledger.full:
        tenure.feed(toy_record(offset))
        offset += 1
    assert ledger.rows < 10
    await asyncio.wait_for(ledger.room(), 5)
    assert ledger.bytes <= 1_250
    await tenure.close()


async def test_the_packs_in_force_are_stored_and_known_after_a_restart() -> None:
    other = BUNDLE.only({BUNDLE.rules[0].id})
    broker = MemoryBroker()
    tenure = await tenure_of(broker, Engine(BUNDLE))
    tenure.feed(LogRecord(0, 0, 1_767_225_600_000, Kind.PACKS, "", other.to_record()))
    await tenure.close()
    later = Engine(BUNDLE.only({BUNDLE.rules[1].id}))
    again = await tenure_of(broker, later)
    assert later.partition_state(0).packs == other.sha256
    await again.close()


@pytest.mark.parametrize("sha256", ["0" * 64, BUNDLE.sha256], ids=["any", "of the packs in force"])
async def test_packs_that_do_not_hold_what_they_promise_are_rejected_and_the_log_goes_on(sha256: str) -> None:
    broker = MemoryBroker()
    tenure = await tenure_of(broker, Engine(BUNDLE))
    bad = PacksRecord(sha256=sha256, semantics=SEMANTICS, bundle="AAAA")
    tenure.feed(LogRecord(0, 0, 1_767_225_600_000, Kind.PACKS, "", bad))
    await tenure.close()
    (row,) = broker.rows[SETTINGS.rejected_topic]
    assert json.loads(row[1])["code"] == "bad_packs"
    assert broker.offset == 1
    again = await tenure_of(broker, Engine(BUNDLE))  # what the checkpoint kept can be restored
    await again.close()


async def test_a_broken_state_line_is_rejected() -> None:
    broker = MemoryBroker()
    tenure = await tenure_of(broker, Engine(BUNDLE))
    bad = StateRecord(
        format=1,
        semantics=SEMANTICS,
        packs=BUNDLE.sha256,
        clock=1_767_225_600_000,
        seq=3,
        snapshot="AAAA",
        checksum="0" * 64,
    )
    tenure.feed(LogRecord(0, 0, 1_767_225_600_000, Kind.STATE, "FAC-0", bad))
    await tenure.close()
    assert json.loads(broker.rows[SETTINGS.rejected_topic][0][1])["code"] == "bad_state"


async def test_an_undecodable_record_is_kept_by_reference_in_the_same_transaction() -> None:
    broker = MemoryBroker()
    tenure = await tenure_of(broker, ToyFold())
    tenure.feed(Rejected(0, 0, 1_767_225_600_000, "FAC-0", "undecodable", "no", b"\xff" * 4096))
    tenure.feed(toy_record(1))
    await tenure.close()
    (key, value, _) = broker.rows[SETTINGS.rejected_topic][0]
    told = json.loads(value)
    assert (key, told["offset"], told["code"], told["by"]) == (b"FAC-0", 0, "undecodable", "worker")
    assert broker.offset == 2


def toy_record(offset: int) -> LogRecord:
    """A batch of FAC-0 whose value is its offset: odd ones are changes."""
    row = logs.Row("T1", 1_767_225_600_000 + offset * 1000, float(offset))
    payload = logs.readings([row], f"b{offset}")
    return LogRecord(0, offset, row.t, Kind.READINGS, "FAC-0", payload)
