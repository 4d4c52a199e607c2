"""Each private part of Faust and aiokafka that `streams.faust_seams` leans on still does what it did."""

from __future__ import annotations

import asyncio
import inspect
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import faust
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.cluster import ClusterMetadata
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.drivers import TRANSPORTS
from faust.types import TP, Message

from streams import faust_seams
from streams import group as groups
from streams.app import create_app
from streams.faust_seams import Assignor, Consumer, RawSchema, Transport, WorkerApp, highwaters, member_ids, what_died
from tests.streams.lab import Lab
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from streams.broker import EmbeddedBroker


class HaltedError(Exception):
    pass


def halt(reason: str, error: BaseException | None = None) -> NoReturn:
    raise HaltedError(reason) from error


class Spy:
    """Writes down what the seams ask of custody, in order."""

    def __init__(self, app: WorkerApp) -> None:
        self.app = app
        self.calls: list[tuple[str, Any]] = []
        self.takes: list[tuple[int, list[int], int]] = []
        self.lose: set[int] = set()
        """Partitions whose next fetch does not arrive."""
        custody = app.custody
        want, establish, positioned, release, take = (
            custody.want, custody.establish, custody.positioned, custody.release, custody.take,
        )  # fmt: skip

        def spied_want(partitions: Any) -> None:
            wanted = list(partitions)
            self.calls.append(("want", sorted(wanted)))
            want(wanted)

        async def spied_establish(committed: Mapping[int, int | None]) -> dict[int, int]:
            self.calls.append(("establish", dict(committed)))
            return await establish(committed)

        def spied_positioned(partitions: Any) -> None:
            # Faust names offsets, a bridge over missing records names partitions only.
            self.calls.append(("positioned", dict(partitions) if isinstance(partitions, dict) else list(partitions)))
            positioned(partitions)

        async def spied_release() -> None:
            self.calls.append(("release", not self.consumer_stopped()))
            await release()

        async def spied_take(partition: int, records: Sequence[Any], stamp: int) -> None:
            self.takes.append((partition, [r.offset for r in records], stamp))
            if partition in self.lose:
                self.lose.discard(partition)
                return
            await take(partition, records, stamp)

        custody.want, custody.establish, custody.positioned = spied_want, spied_establish, spied_positioned  # type: ignore[method-assign]
        custody.release, custody.take = spied_release, spied_take  # type: ignore[method-assign]

    def consumer_stopped(self) -> bool:
        consumer = self.app._consumer
        return consumer is None or consumer._stopped.is_set()

    def named(self, name: str) -> list[Any]:
        return [value for called, value in self.calls if called == name]


@pytest.fixture
def lab(kafka: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.chdir(tmp_path)
    value = Lab(kafka.bootstrap, tmp_path)
    value.settings["instance"] = "contract"
    value.create_topics()
    yield value
    value.close()


@asynccontextmanager
async def running(lab: Lab) -> AsyncIterator[Spy]:
    app = create_app(lab.base, ToyFold(), halt=halt)
    spy = Spy(app)
    task = asyncio.create_task(app.start())
    try:
        await lab.until("restored", lambda: bool(app.custody.wanted) and spy.named("positioned"))
        yield spy
    finally:
        await app.stop()
        await asyncio.wait([task], timeout=5)


async def seed(lab: Lab, batches: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=lab.bootstrap) as producer:
        await lab.feed(producer, batches)


def folded(spy: Spy) -> int:
    return sum(tenure.next for tenure in spy.app.custody.tenures.values())


async def test_wanted_partitions_are_known_before_faust_starts_its_flow(lab: Lab) -> None:
    async with running(lab) as spy:
        names = [name for name, _ in spy.calls]
        assert names.index("want") < names.index("establish") < names.index("positioned")
        assert spy.named("want") == [list(range(lab.partitions))]
        assert spy.named("establish") == [dict.fromkeys(range(lab.partitions))], "no group offset before the first fold"


async def test_a_graceful_stop_releases_before_the_consumer_stops(lab: Lab) -> None:
    await seed(lab, 16)
    async with running(lab) as spy:
        await lab.until("folded", lambda: folded(spy) >= 16)
        spy.calls.clear()
    assert spy.named("release")[0] is True, "the consumer had stopped before the final checkpoint"
    assert sum(mark["next"] for mark in (await lab.marks()).values()) >= 16


async def test_the_app_creates_no_directories(lab: Lab, tmp_path: Path) -> None:
    async with running(lab):
        pass
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - an async test may not use pathlib


async def test_faust_positions_the_consumer_in_one_place(lab: Lab) -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in Path(faust.__file__).parent.rglob("*.py")}
    callers = [path.name for path, text in sources.items() if "await self.seek_to_committed(" in text]
    assert callers == ["consumer.py"]
    assert "self.seek_to_committed()" in inspect.getsource(FaustConsumer.perform_seek)
    assert "perform_seek()" in inspect.getsource(Recovery._resume_streams)
    assert "perform_seek" not in inspect.getsource(Consumer.getmany), "only a rebalance positions"

    await seed(lab, 40)
    async with running(lab) as spy:
        await lab.until("folded", lambda: folded(spy) >= 40)
        assert spy.named("positioned") == [dict.fromkeys(range(lab.partitions), 0)]
    reached = {partition: mark["next"] for partition, mark in (await lab.marks()).items()}
    async with running(lab) as spy:
        assert spy.named("establish") == [reached]
        assert spy.named("positioned") == [reached]
        await seed(lab, 8)
        await lab.until("folded", lambda: folded(spy) >= sum(reached.values()) + 8)
        assert min(offsets[0] for _, offsets, _ in spy.takes) >= min(reached.values())


@pytest.mark.parametrize("chunked", [True, False])
async def test_messages_carry_the_seeks_their_fetch_began_with(lab: Lab, chunked: bool) -> None:
    lab.settings["chunked"] = chunked
    async with running(lab) as spy:
        await seed(lab, 8)
        await lab.until("folded", lambda: folded(spy) >= 8)
        assert spy.takes[-1][2] == spy.app.custody.stamp == 1
        await spy.app.consumer.seek_log({0: 0})
        spy.app.custody.positioned({0: 0})
        seen = len(spy.takes)

        async def newer() -> bool:
            await seed(lab, 4)
            return any(stamp == 2 for _, _, stamp in spy.takes[seen:])

        await lab.until("a fetch begun behind the seek is seen", newer)
        assert {stamp for _, _, stamp in spy.takes[:seen]} == {1}


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_chunk_is_one_message_with_all_records_of_a_fetch(lab: Lab, chunked: bool) -> None:
    lab.settings["chunked"] = chunked
    await seed(lab, 400)
    async with running(lab) as spy:
        await lab.until("folded", lambda: folded(spy) >= 400)
        sizes = [len(offsets) for _, offsets, _ in spy.takes]
        assert (max(sizes) > 20) is chunked
        assert chunked or set(sizes) == {1}
        assert highwaters(spy.app).keys() == set(range(lab.partitions))


async def test_a_seek_to_zero_is_explicit(lab: Lab) -> None:
    await seed(lab, 40)
    async with running(lab) as spy:
        await lab.until("folded", lambda: folded(spy) >= 40)
        spy.takes.clear()
        await spy.app.consumer.seek_log({0: 0})
        await lab.until("it begins again", lambda: any(p == 0 and o[0] == 0 for p, o, _ in spy.takes))
        assert folded(spy) >= 40, "what was folded stays folded"


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_consumer_beyond_the_end_of_the_log_goes_on_by_itself(lab: Lab, chunked: bool) -> None:
    """Aiokafka then resets to the beginning; Faust dropped what came from there, a chunk even with what was new in it."""
    lab.settings["chunked"] = chunked
    async with running(lab) as spy:
        await seed(lab, 8)
        await lab.until("folded", lambda: folded(spy) >= 8)
        spy.takes.clear()
        await spy.app.consumer.seek_log({0: 30})
        await lab.until("it begins again", lambda: any(p == 0 and o[0] == 0 for p, o, _ in spy.takes))
        await seed(lab, 400)
        await lab.until("all of it", lambda: folded(spy) >= 408)


async def test_records_that_went_missing_on_the_way_are_sought_again(lab: Lab) -> None:
    async with running(lab) as spy:
        await seed(lab, 8)
        await lab.until("folded", lambda: folded(spy) >= 8)
        spy.lose = {0}
        await seed(lab, 40)
        await lab.until("one fetch was lost", lambda: not spy.lose)
        await lab.until("the others", lambda: folded(spy) >= 38)
        assert spy.app.custody.tenures[0].next < 12
        await seed(lab, 4)
        await lab.until("all of it", lambda: folded(spy) >= 52)
        assert spy.app.custody._sensor.reseeks._value.get() == 1


async def test_fetches_are_short(lab: Lab) -> None:
    async with running(lab) as spy:
        fetcher = spy.app.consumer._thread._consumer._fetcher
        assert fetcher._fetch_max_wait_ms == faust_seams.FETCH_WAIT_MS


async def test_what_was_aborted_is_not_read(lab: Lab) -> None:
    """A bundle is published in a transaction: one that was aborted stands in no dump of the log, and may not be folded."""
    async with AIOKafkaProducer(bootstrap_servers=lab.bootstrap, transactional_id=f"{lab.name}-aborts") as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(lab.base.log_topic, b"{", b"FAC-0", partition=0)
        await producer.abort_transaction()
    await seed(lab, 4)
    async with running(lab) as spy:
        await lab.until("what is committed is folded", lambda: folded(spy) >= 4)
        taken = {(partition, offset) for partition, offsets, _ in spy.takes for offset in offsets}
        assert (0, 0) not in taken
        assert (0, 2) in taken  # behind the marker


async def test_the_schema_hands_bytes_through(lab: Lab) -> None:
    app = create_app(lab.base, ToyFold(), halt=halt)
    decode = RawSchema().compile(app)
    message = Message("t", 0, 7, 0.0, 0, [], b"\xff", None, None, tp=TP("t", 0))
    event = await decode(message, propagate=True)
    assert (event.key, event.value, event.message) == (b"\xff", b"", message)
    topic = app.topic("any", schema=RawSchema(key_type=bytes, value_type=bytes), acks=False)
    assert (await topic.decode(message)).value == b""


async def test_the_transport_is_found_by_its_scheme(lab: Lab) -> None:
    assert TRANSPORTS.by_url(f"{faust_seams.SCHEME}://127.0.0.1:9092") is Transport
    app = create_app(lab.base, ToyFold(), halt=halt)
    assert type(app.transport) is Transport
    assert Transport.Consumer is Consumer
    assert {"getmany", "_getmany", "_to_message", "seek_to_committed"} <= set(dir(FaustConsumer))
    for name in ("_on_partitions_assigned", "_stop_consumer", "_create_directories"):
        assert getattr(WorkerApp, name) is not getattr(faust.App, name)


async def test_a_leader_whose_broker_does_not_know_the_topic_yet_shares_the_log_out(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    real = Assignor.assign

    def blind(self: Any, cluster: Any, members: Any) -> Any:
        seen.append(cluster)
        return real(self, ClusterMetadata() if len(seen) == 1 else cluster, members)

    monkeypatch.setattr(Assignor, "assign", blind)
    await seed(lab, 8)
    async with running(lab) as spy:
        assert spy.named("want")[0] == list(range(lab.partitions)), "the first assignment, made without metadata"
        await lab.until("folded", lambda: folded(spy) >= 8)
    assert isinstance(seen[0], ClusterMetadata)


async def test_the_coordinator_knows_the_worker_by_the_id_that_we_read(lab: Lab) -> None:
    app = create_app(lab.base, ToyFold(), halt=halt)
    assert not member_ids(app), "it has not joined"
    async with running(lab) as spy:
        group = await asyncio.to_thread(groups.describe, lab.base)
        (seat,) = group.seats
        assert {seat.member} == member_ids(spy.app) == set(spy.app.member_ids)
        assert (seat.instance, seat.client) == ("contract", groups.client_id(lab.base))
        assert seat.partitions == set(range(lab.partitions))
        assert group.stable
        coordinator = spy.app.consumer._thread._consumer._coordinator
        assert coordinator._max_poll_interval > 365 * 86_400, (
            "aiokafka would leave the group for ever after an idle time"
        )


async def test_a_dead_coordination_task_is_seen(lab: Lab) -> None:
    async with running(lab) as spy:
        assert what_died(spy.app) is None
        thread = spy.app.consumer._thread
        task = thread._consumer._coordinator._coordination_task
        thread.thread_loop.call_soon_threadsafe(task.cancel)
        await lab.until("seen", lambda: "group coordination" in (what_died(spy.app) or ""))
