"""State rebuilt and upgraded on a real Kafka: what a worker would start from, nothing published twice, nothing between lost."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from rules.changes import Change
from rules.engine import Engine
from rules.fitting import fit
from rules.pack import default_bundle
from rules.records import Kind, LogRecord
from streams import refold as refold_module
from streams import repair
from streams.checkpoint import encode_marker, marker_key
from streams.codec import encode, home_of, key_of
from streams.dump import open_log
from streams.history import LogHistory
from streams.refold import NotAdoptedError, Refold, RefoldDiffersError
from streams.repair import NotVisibleError, OriginLostError, QuarantinedError, WorkersRunError
from streams.restore import read_state
from streams.upgrade import upgrade
from streams.worker_settings import WorkerSettings
from tests import coldlog
from tests.coldlog import ColdLog, cold_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.records import Rejected
    from streams.settings import KafkaSettings

FIRM = "BJ-COLD-01"


class Past:
    """Log and changes as Kafka has them."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.kafka = kafka
        self.begins = 0

    def first(self, partition: int) -> int:
        with open_log(self.kafka, self.kafka.topic("offsite.log.v1")) as log:
            return max(self.begins, log.bounds(partition)[0])

    def records(self, partition: int, begin: int, end: int) -> Iterator[LogRecord | Rejected]:
        return LogHistory(self.kafka, self.kafka.topic("offsite.log.v1")).records(partition, None, begin, end)

    def published(self, partition: int) -> Iterator[bytes | None]:
        with open_log(self.kafka, self.kafka.topic("offsite.alarms.v1")) as log:
            for record in log.raw((partition, *log.bounds(partition))):
                yield record.value


class Site:
    """One firm's partition."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.kafka, self.past = kafka, Past(kafka)
        self.settings = WorkerSettings(kafka=kafka)
        self.partition = home_of(FIRM, kafka.partitions)

    async def send(self, records: list[LogRecord]) -> None:
        producer = AIOKafkaProducer(**self.kafka.for_aiokafka(), acks="all")
        await producer.start()
        try:
            for record in records:
                headers, value = encode(record.payload)
                await producer.send_and_wait(
                    self.settings.log_topic, value, key_of(record), partition=self.partition, headers=headers
                )
        finally:
            await producer.stop()

    async def put_state(self, key: bytes, value: bytes | None) -> None:
        producer = AIOKafkaProducer(**self.kafka.for_aiokafka(), acks="all")
        await producer.start()
        try:
            await producer.send_and_wait(self.settings.state_topic, value, key, partition=self.partition)
        finally:
            await producer.stop()

    async def standing(self) -> repair.Standing:
        (found,) = await repair.look(self.settings, [self.partition])
        return found

    async def rebuild(self, **more: Any) -> list[Any]:
        done: list[Any] = []
        await repair.rebuild(
            self.settings,
            [await self.standing()],
            lambda: Engine(default_bundle()),
            self.past,
            tell=done.append,
            **more,
        )
        return done

    async def upgrade(self) -> None:
        await upgrade(self.settings, [await self.standing()], lambda: Engine(default_bundle()), self.past)

    def published(self) -> list[Change]:
        return [Change.model_validate_json(value or b"") for value in self.past.published(self.partition)]

    def folded(self, since: int = 0) -> tuple[Engine, list[Change]]:
        with open_log(self.kafka, self.settings.log_topic) as log:
            end = log.bounds(self.partition)[1]
        engine = Engine(default_bundle())
        records = [r for r in self.past.records(self.partition, since, end) if isinstance(r, LogRecord)]
        return engine, [fit(change) for record in records for change in engine.fold(record)]

    async def state_equals(self, engine: Engine) -> None:
        rows = (await self.standing()).rows
        assert {name: rows.snapshot(name) for name in rows.parts} == {
            name: engine.snapshot(self.partition, name) for name in engine.facilities(self.partition)
        }


@pytest.fixture
def site(kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(coldlog, "BEGIN", (time.time_ns() // 1_000_000 // 60_000 - 90) * 60_000)
    return Site(kafka_settings)


def story(begin: int = 0, *, registered: bool = True) -> list[LogRecord]:
    log = ColdLog(0)
    if registered:
        log.register(cold_store(FIRM))
    for minute in range(begin, begin + 20, 5):
        values = [9.5 if begin + 5 <= m < begin + 12 else 5.0 + m % 2 / 10 for m in range(minute, minute + 5)]
        log.rows(minute, values).tick(minute + 5)
    return log.records


async def test_a_lost_state_is_seen_and_rebuilt_and_nothing_is_published_twice(site: Site) -> None:
    assert (await site.standing()).verdict == "new"
    await site.send(story())
    (done,) = await site.rebuild()  # no worker ever was: all of it is published now
    changes = site.published()
    assert changes == site.folded()[1]
    count = len(changes)
    assert count > 1
    assert (done.published, done.compared) == (count, 0)
    standing = await site.standing()
    assert (standing.verdict, standing.committed, standing.end) == ("whole", len(story()), len(story()))
    assert standing.marker is not None
    assert standing.marker.next == standing.marker.low == standing.end
    for key in standing.keys:
        await site.put_state(key.encode(), None)
    lost = await site.standing()
    assert (lost.verdict, lost.keys) == ("lost", frozenset())
    await site.send(story(30, registered=False))
    (done,) = await site.rebuild()
    engine, folded = site.folded()
    assert (done.compared, done.published) == (count, len(folded) - count)
    assert len(folded) > count
    assert site.published() == folded
    assert site.published()[:count] == changes
    await site.state_equals(engine)
    (done,) = await site.rebuild()
    assert (done.compared, done.published) == (len(folded), 0)
    assert site.published() == folded


async def test_a_rebuild_ends_when_its_state_can_be_read_and_says_so_if_it_never_can(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator confirms a transaction before its markers stand: who reads at once sees the state of before."""
    await site.send(story())
    await site.rebuild()
    (early,) = (await read_state(site.kafka.for_aiokafka(), site.settings.state_topic, [site.partition]))[0].values()
    await site.send(story(30, registered=False))
    late = 3

    async def behind(*arguments: Any) -> Any:
        nonlocal late
        late -= 1
        return ({site.partition: early}, {}) if late >= 0 else await read_state(*arguments)

    monkeypatch.setattr(repair, "AGAIN_S", 0.01)
    monkeypatch.setattr(repair, "read_state", behind)
    await site.rebuild()
    assert late < 0
    end = (await site.standing()).end
    assert ((await site.standing()).verdict, (await site.standing()).committed) == ("whole", end)
    late = 1_000
    monkeypatch.setattr(repair, "COORDINATOR_S", 0.0)
    await site.send(story(60, registered=False))
    with pytest.raises(NotVisibleError, match="committed up to"):
        await site.rebuild()


async def put_raw(site: Site, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(**site.kafka.for_aiokafka(), acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, FIRM.encode(), partition=site.partition)
    finally:
        await producer.stop()


def rejected(site: Site) -> list[str]:
    with open_log(site.kafka, site.settings.rejected_topic) as log:
        return [json.loads(r.value or b"")["code"] for place in log.places for r in log.raw(place)]


async def test_in_a_new_kafka_what_cannot_be_folded_is_told(site: Site) -> None:
    """All of Kafka was lost: no group, no rejections. Who was told of the bytes in the log was told in another one, if at all."""
    await site.send(story())
    await put_raw(site, site.settings.log_topic, b"no record")
    await site.rebuild()
    before = rejected(site)
    assert len(before) == 1
    await site.rebuild()
    assert rejected(site) == before, "once"


async def test_where_others_were_told_in_this_kafka_nothing_is_told_twice(site: Site) -> None:
    await site.send(story())
    await put_raw(site, site.settings.log_topic, b"no record")
    await put_raw(site, site.settings.rejected_topic, b'{"code": "told before"}')
    await site.rebuild()
    assert rejected(site) == ["told before"]


async def test_where_log_and_changes_differ_or_the_beginning_is_gone_nothing_is_written(site: Site) -> None:
    await site.send(story())
    await site.rebuild()
    before = (await site.standing()).rows
    for key in (await site.standing()).keys:
        await site.put_state(key.encode(), None)
    site.past.begins = 3
    with pytest.raises(OriginLostError):
        await site.rebuild()
    site.past.begins = 0
    told = site.past.published

    def forged(_: int) -> Iterator[bytes | None]:
        for value in told(site.partition):
            yield (value or b"").replace(b'"raised"', b'"amended"')

    site.past.published = forged  # type: ignore[method-assign]
    with pytest.raises(RefoldDiffersError):
        await site.rebuild()
    site.past.published = told  # type: ignore[method-assign]
    assert (await site.standing()).keys == frozenset()
    assert site.published() == site.folded()[1]
    (done,) = await site.rebuild(saved=lambda _: before)  # the state of before needs no beginning
    assert done.published == 0
    assert (await site.standing()).verdict == "whole"


async def test_nothing_is_done_beside_a_worker_or_over_a_quarantine(site: Site) -> None:
    await site.send(story())
    member = AIOKafkaConsumer(site.settings.log_topic, **site.kafka.for_aiokafka(), group_id=site.settings.group_id)
    await member.start()
    try:
        with pytest.raises(WorkersRunError):
            await site.rebuild()
        with pytest.raises(WorkersRunError):
            await site.upgrade()
    finally:
        await member.stop()
    await site.rebuild()
    await site.put_state(f"quarantine-{FIRM}".encode(), b"{}")
    with pytest.raises(QuarantinedError):
        await site.rebuild()


async def of_another_engine(site: Site, semantics: int = 0) -> None:
    """Let the state be one that an engine of other semantics has left."""
    marker = (await site.standing()).marker
    assert marker is not None
    state = marker.state.model_copy(update={"semantics": semantics})
    await site.put_state(marker_key(site.partition), encode_marker(marker.model_copy(update={"state": state})))


async def test_another_semantics_is_adopted_only_if_the_engine_says_so_and_then_stands_in_the_log(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.send(story())
    await site.rebuild()
    await of_another_engine(site)
    assert (await site.standing()).verdict == "semantics"
    before = (await site.standing()).end
    with pytest.raises(NotAdoptedError, match="does not go on from 0"):
        await site.upgrade()
    assert (await site.standing()).end == before
    monkeypatch.setattr(refold_module, "ADOPTS", frozenset({0}))
    await site.send(story(30, registered=False)[:3])  # what came since is folded by the new engine
    changes = site.published()
    await site.upgrade()
    standing = await site.standing()
    assert standing.verdict == "whole"
    assert standing.marker is not None
    origin = standing.marker.origin
    assert origin is not None
    assert origin.offset == before + 3
    assert origin.state is not None
    assert standing.marker.next == standing.marker.low == origin.offset + 1
    assert site.published()[: len(changes)] == changes
    assert len(site.published()) > len(changes)
    changes = site.published()
    kinds = [r.kind for r in site.past.records(site.partition, 0, origin.offset + 1) if isinstance(r, LogRecord)]
    assert (kinds[-1], kinds.count(Kind.STATE)) == (Kind.STATE, 1)
    # From the seeds on the log says everything: a whole rebuild begins there, and so does whoever evaluates it.
    await site.send(story(30, registered=False)[3:])
    (done,) = await site.rebuild()
    assert done.begin == origin.offset
    assert done.published > 0
    _, since = site.folded(origin.offset)
    assert site.published()[len(changes) :] == since
    assert [change.seq for change in site.published()] == list(range(1, len(site.published()) + 1))


async def test_what_comes_between_is_folded_and_the_seeds_are_tried_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.send(story())
    await site.rebuild()
    await of_another_engine(site)
    monkeypatch.setattr(refold_module, "ADOPTS", frozenset({0}))
    honest, tries = Refold.seeds, []
    coming = story(30, registered=False)

    def seeds(self: Refold) -> Any:
        tries.append(self.done.end)
        if len(tries) <= 2:  # somebody appends behind the look at the log's end
            with ThreadPoolExecutor(1) as pool:
                part = coming[:4] if len(tries) == 1 else coming[4:]
                pool.submit(lambda: asyncio.run(site.send(part))).result(60)
        return honest(self)

    monkeypatch.setattr(Refold, "seeds", seeds)
    await site.upgrade()
    assert len(tries) == 3
    assert site.published() == site.folded()[1]
    standing = await site.standing()
    assert standing.verdict == "whole"
    with open_log(site.kafka, site.settings.log_topic) as log:
        kinds = [dict(r.headers)["kind"] for r in log.raw((site.partition, *log.bounds(site.partition)))]
    assert kinds.count(b"state") == 1
    (done,) = await site.rebuild()
    assert done.published == 0


async def test_a_state_that_was_not_left_by_a_stop_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.send(story())
    await site.rebuild()
    marker = (await site.standing()).marker
    assert marker is not None
    state = marker.state.model_copy(update={"semantics": 0})
    left = marker.model_copy(update={"state": state, "low": marker.low - 1})
    await site.put_state(marker_key(site.partition), encode_marker(left))
    monkeypatch.setattr(refold_module, "ADOPTS", frozenset({0}))
    with pytest.raises(NotAdoptedError, match="graceful stop"):
        await site.upgrade()
