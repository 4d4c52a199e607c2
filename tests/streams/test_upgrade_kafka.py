"""State that another engine left, adopted on a real Kafka while records go on coming."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from rules.records import Kind, LogRecord
from rules.snapshot import open_snapshot
from streams import refold as refold_module
from streams import upgrade as upgrade_module
from streams.checkpoint import encode_marker, marker_key
from streams.codec import home_of
from streams.dump import open_log
from streams.refold import NotAdoptedError, Refold
from streams.repair import fenced
from tests.coldlog import ColdLog, cold_store
from tests.streams.sites import FIRM, Site, of_another_engine, story

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


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


class Slow:
    """A producer whose second seed is sent when the first stands in the log and a post of the gateway behind it: seeds of many
    megabytes come in several batches."""

    def __init__(self, real: Any, site: Site, post: LogRecord) -> None:
        self._real, self._site, self._post = real, site, post
        self._seeds = 0
        self._first: Any = None
        self.receipt = -1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def send(self, topic: str, value: bytes, key: bytes, **more: Any) -> Any:
        if topic == self._site.settings.log_topic:
            self._seeds += 1
            if self._seeds == 2:
                await self._first
                self.receipt = (await self._site.send([self._post]))[-1]
        self._first = await self._real.send(topic, value, key, **more)
        return self._first


async def test_what_lands_between_two_seeds_is_folded_and_the_seeds_are_tried_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (f"SH-COLD-{i:02}" for i in range(1_000))
    other = next(name for name in names if home_of(name, site.kafka.partitions) == site.partition)
    await site.send(story())
    await site.send(ColdLog(0).register(cold_store(other)).rows(0, [5.0, 5.1, 5.0], facility=other).records)
    await site.rebuild()
    await of_another_engine(site)
    monkeypatch.setattr(refold_module, "ADOPTS", frozenset({0}))
    made: list[Slow] = []

    @asynccontextmanager
    async def slow(*arguments: Any) -> AsyncIterator[Any]:
        async with fenced(*arguments) as real:
            made.append(Slow(real, site, story(30, registered=False)[0]))
            yield made[-1]

    monkeypatch.setattr(upgrade_module, "fenced", slow)
    await site.upgrade()
    standing = await site.standing()
    assert standing.marker is not None
    assert standing.marker.origin is not None
    assert 0 < made[0].receipt < standing.marker.origin.offset  # it lies before the seeds, and is in them
    whole, changes = site.folded(0)
    assert site.published() == changes
    for firm in (FIRM, other):
        written, _ = open_snapshot(standing.rows.snapshot(firm))
        folded, _ = open_snapshot(whole.snapshot(site.partition, firm))
        assert (written.batches, written.seq, written.arrays) == (folded.batches, folded.seq, folded.arrays)
    (done,) = await site.rebuild()
    assert (done.begin, done.published) == (standing.marker.origin.offset, 0)
    with open_log(site.kafka, site.settings.log_topic) as log:
        kinds = [dict(r.headers)["kind"] for r in log.raw((site.partition, *log.bounds(site.partition)))]
    assert kinds.count(b"state") == 2
