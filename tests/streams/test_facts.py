"""Facts of lots are with the broker before the checkpoint that stands for their records, and packs go in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaError, KafkaTimeoutError

from rules.pack import Bundle
from rules.records import Kind, LogRecord
from streams.codec import decode, home_of, lot_key
from streams.facts import FactSender, fact_row, packs_row
from streams.worker_settings import WorkerSettings
from tests.rules.lotlogs import Teller
from tests.streams.test_tenure import HaltedError, Halts, MemoryBroker, checkpoint, settle, tenure_of, toy_record
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from rules.lots.facts import LotFact

SETTINGS = WorkerSettings()


class Telling(ToyFold):
    """A toy that says one thing of a lot in every record of a facility."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.tell = Teller()
        self.said: list[LotFact] = []

    def fold(self, record: LogRecord) -> Any:
        if record.facility:
            self.said.append(self.tell.moved("SHOP-1", 1_000 * record.offset, 1, lot=f"L-{record.offset}"))
        return super().fold(record)

    def take_facts(self, partition: int) -> list[LotFact]:
        assert partition == 0
        said, self.said = self.said, []
        return said


def test_a_fact_goes_to_the_partition_of_its_lot_and_comes_back_as_it_was() -> None:
    fact = Teller().moved("SHOP-1", 0, 2.5, lot="B2601")
    row = fact_row(SETTINGS, fact)
    assert (row.topic, row.key) == ("offsite.lots.v1", lot_key("B2601").encode())
    assert row.partition == home_of(lot_key("B2601"), SETTINGS.kafka.partitions)
    read = decode(row.partition, 0, 5, row.key, row.headers, row.value, of_lots=True)
    assert isinstance(read, LogRecord)
    assert (read.payload, read.facility) == (fact, lot_key("B2601"))


def test_a_fact_stands_in_the_topic_of_lots_only_and_nothing_else_of_the_log_there() -> None:
    row = fact_row(SETTINGS, Teller().moved("SHOP-1", 0, 1))
    here = decode(0, 0, 5, row.key, row.headers, row.value)
    assert getattr(here, "code", None) == "unknown_kind"
    foreign = decode(0, 0, 5, b"LOT-OTHER", row.headers, row.value, of_lots=True)
    assert getattr(foreign, "code", None) == "bad_key"
    packs = packs_row(SETTINGS, 3, Bundle.of([], []).to_record())
    assert (packs.partition, packs.topic) == (3, "offsite.lots.v1")
    read = decode(3, 0, 5, packs.key, packs.headers, packs.value, of_lots=True)
    assert getattr(read, "kind", None) is Kind.PACKS
    readings = decode(0, 0, 5, b"FAC-1", [("kind", b"readings"), ("v", b"1")], b"", of_lots=True)
    assert getattr(readings, "code", None) == "unknown_kind"


async def test_facts_are_sent_at_once_and_before_any_checkpoint() -> None:
    broker = MemoryBroker()
    tenure = await tenure_of(broker, Telling())
    tenure.feed(toy_record(0))
    tenure.feed(toy_record(2))
    await settle(tenure)
    sent = broker.rows[SETTINGS.lots_topic]
    assert [decode(0, 0, 5, *_raw(row), of_lots=True).payload.n for row in sent] == [1, 2]  # type: ignore[union-attr]
    assert broker.offset is None
    await checkpoint(tenure)
    assert broker.offset == 3
    assert len(broker.rows[SETTINGS.lots_topic]) == 2


async def test_no_checkpoint_stands_for_facts_that_nobody_has() -> None:
    broker, halts = MemoryBroker(), Halts()
    tenure = await tenure_of(broker, Telling(), halts=halts)
    broker.fails = KafkaTimeoutError()
    tenure.feed(toy_record(0))
    assert tenure._task is not None
    with pytest.raises(HaltedError):
        await tenure._task
    assert halts.reasons == ["partition 0 cannot publish"]
    assert broker.rows == {}
    assert broker.offset is None


async def test_packs_are_handed_on_in_the_checkpoint_that_comes_at_once() -> None:
    broker = MemoryBroker()
    tenure = await tenure_of(broker, Telling())
    await settle(tenure)
    packs = Bundle.of([], []).to_record()
    tenure.feed(LogRecord(0, 0, 5, Kind.PACKS, "", packs))
    for _ in range(200):  # turns of the loop: nobody asks for a checkpoint, and its time is minutes away
        await asyncio.sleep(0)
    assert broker.offset == 1
    assert [key for key, _, _ in broker.rows[SETTINGS.lots_topic]] == [b""]
    await tenure.close()
    again = await tenure_of(broker, Telling())
    await again.close()
    assert len(broker.rows[SETTINGS.lots_topic]) == 1


class Producer:
    """Stands for aiokafka's producer: counts its starts, and fails when it is told to."""

    started = stopped = 0
    fails = False

    def __init__(self, **arguments: Any) -> None:
        assert arguments["acks"] == "all"

    async def start(self) -> None:
        await asyncio.sleep(0)
        Producer.started += 1

    async def stop(self) -> None:
        Producer.stopped += 1

    async def send(self, *_: Any, **__: Any) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if Producer.fails:
            done.set_exception(KafkaTimeoutError())
        else:
            done.set_result(None)
        return done


async def test_one_producer_serves_all_partitions_and_a_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"started": 0, "stopped": 0, "fails": False}.items():
        monkeypatch.setattr(Producer, name, value)
    sender = FactSender({}, type("Kinds", (), {"producer": Producer})())
    rows = [fact_row(SETTINGS, Teller().moved("SHOP-1", 0, 1))] * 3
    await sender.send([])
    assert Producer.started == 0
    await asyncio.gather(sender.send(rows), sender.send(rows))
    assert Producer.started == 1
    Producer.fails = True
    with pytest.raises(KafkaError):
        await sender.send(rows)
    await sender.stop()
    await sender.stop()
    assert Producer.stopped == 1


def _raw(row: tuple[bytes, Any, list[tuple[str, bytes]]]) -> tuple[bytes, list[tuple[str, bytes]], Any]:
    key, value, headers = row
    return key, headers, value
