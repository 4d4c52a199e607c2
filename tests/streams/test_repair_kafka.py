"""State rebuilt on a real Kafka: what a worker would start from, nothing published twice, nothing between lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams import repair
from streams.dump import open_log
from streams.refold import RefoldDiffersError
from streams.repair import NotVisibleError, OriginLostError, QuarantinedError, WorkersRunError
from streams.restore import read_state
from tests.streams.sites import FIRM, Site, story

if TYPE_CHECKING:
    from collections.abc import Iterator


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
