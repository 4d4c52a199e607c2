"""A log that lost its end and grew again over the same offsets: nothing is folded of it (streams/restore.py)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rules.canonical import canonical_bytes, sha256_hex
from streams.checkpoint import (
    LogEndLostError,
    LogLostError,
    LogRegrownError,
    StateRows,
    Tail,
    decode_marker,
    marker_key,
)
from streams.restore import ensure_not_regrown
from streams.testing import MEMORY, simulate
from tests.streams.memory_lab import Scene

if TYPE_CHECKING:
    from streams.checkpoint import Marker
    from streams.testing import MemoryWorker

CONTRACT = 4
"""How a worker ends that must not be started again as it is."""


async def stopped(here: Scene, batches: int = 20) -> MemoryWorker:
    """Return a worker that folded some records and stopped in order."""
    worker = await here.add()
    await here.until("it owns", lambda: worker.owned)
    here.feed(batches)
    await here.caught_up()
    await worker.stop()
    return worker


def cut_tail(here: Scene, count: int) -> None:
    """Lose the newest records of partition 0, as a broker does that lost power."""
    part = here.broker.partition(here.settings.log_topic, 0)
    part.end = part.entries[-count].offset
    del part.entries[-count:]


def marker_of(here: Scene) -> Marker:
    entries = here.broker.partition(here.settings.state_topic, 0).decided()
    return decode_marker([e.value for e in entries if e.key == marker_key(0)][-1] or b"", 0)


async def told_when_started(here: Scene, worker: MemoryWorker) -> tuple[int, str]:
    await worker.start()
    return await here.died(worker.settings.instance), worker.process.told()


def test_the_marker_names_the_newest_record_that_was_folded() -> None:
    async def scene() -> None:
        here = Scene(1, partitions=1)
        await stopped(here)
        newest = here.broker.partition(here.settings.log_topic, 0).entries[-1]
        marker = marker_of(here)
        assert marker.tail == Tail(offset=newest.offset, received=newest.timestamp)
        assert marker.next == newest.offset + 1

    simulate(scene())


@pytest.mark.parametrize("more", [7, 12])
def test_other_records_over_the_lost_ones_stop_the_worker(more: int) -> None:
    async def scene() -> None:
        here = Scene(2, partitions=1)
        worker = await stopped(here)
        cut_tail(here, 6)
        here.sent += 1_000
        here.feed(more)
        assert here.end(0) >= marker_of(here).next
        before = here.changes()
        status, told = await told_when_started(here, worker)
        assert status == CONTRACT
        assert "another one stands there now" in told
        assert here.changes() == before, "nothing was folded"

    simulate(scene())


def test_a_log_that_is_shorter_than_its_marker_stops_it_with_the_same_advice() -> None:
    async def scene() -> None:
        here = Scene(3, partitions=1)
        worker = await stopped(here)
        cut_tail(here, 6)
        here.feed(2)
        status, told = await told_when_started(here, worker)
        assert (status, "the marker wants offset" in told) == (CONTRACT, True)
        assert LogEndLostError.action in told
        assert LogRegrownError.action == LogEndLostError.action != LogLostError.action

    simulate(scene())


def test_a_worker_that_was_killed_sees_it_too_and_so_does_who_takes_over() -> None:
    async def scene() -> None:
        here = Scene(4, partitions=1)
        first = await here.add("w1")
        await here.until("it owns", lambda: first.owned)
        here.feed(20)
        await here.caught_up()
        await first.kill()
        await first.bury()
        cut_tail(here, 4)
        here.sent += 1_000
        here.feed(9)
        second = await here.add("w2")
        assert await here.died("w2") == CONTRACT
        assert "another one stands there now" in second.process.told()

    simulate(scene())


def test_what_retention_took_says_nothing() -> None:
    async def scene() -> None:
        here = Scene(5, partitions=1)
        worker = await stopped(here)
        here.cut(0, here.end(0))
        here.feed(6)
        await worker.start()
        await here.agree()

    simulate(scene())


def test_a_log_that_is_whole_goes_on_after_every_kind_of_stop() -> None:
    async def scene() -> None:
        here = Scene(6, partitions=2, snapshot_every_s=30.0)
        worker = await stopped(here)
        await worker.start()
        await here.pump(8.0)
        await here.killed_within("w1", 40)
        await here.pump(4.0)
        await here.agree()

    simulate(scene())


def test_what_is_folded_again_does_not_take_the_tail_back() -> None:
    """A start reads from the oldest snapshot: until it is where the marker stood, the tail is the marker's."""

    async def scene() -> None:
        here = Scene(7, partitions=1, snapshot_every_s=3_600.0)
        worker = await here.add()
        await here.until("it owns", lambda: worker.owned)
        here.feed(30)
        await here.caught_up()
        await worker.kill()
        await worker.bury()
        before = marker_of(here)
        assert before.low < before.next, "snapshots are older"
        await worker.start()
        await here.until("it owns again", lambda: worker.owned)
        await worker.stop()
        after = marker_of(here)
        assert (after.tail, after.next) == (before.tail, before.next)

    simulate(scene())


def test_a_marker_that_names_no_record_is_believed_until_the_next_checkpoint() -> None:
    async def scene() -> None:
        here = Scene(8, partitions=1)
        worker = await stopped(here)
        part = here.broker.partition(here.settings.state_topic, 0)
        (old,) = [e for e in part.entries if e.key == marker_key(0)][-1:]
        body = json.loads(old.value or b"")["marker"]
        del body["tail"]
        body["version"] = 2
        value = canonical_bytes({"marker": body, "sha256": sha256_hex(body)})
        here.broker.append(here.settings.state_topic, 0, [(marker_key(0), value, (), None)])
        assert marker_of(here).tail is None
        await worker.start()
        await here.until("it owns", lambda: worker.owned)
        here.feed(3)
        await here.caught_up()
        await worker.stop()
        newest = here.broker.partition(here.settings.log_topic, 0).entries[-1]
        assert marker_of(here).tail == Tail(offset=newest.offset, received=newest.timestamp)

    simulate(scene())


def rows_with(tail: dict[str, Any] | None) -> StateRows:
    async def scene() -> bytes:
        here = Scene(9, partitions=1)
        await stopped(here)
        return [e.value for e in here.broker.partition(here.settings.state_topic, 0).decided() if e.key == b"p0"][
            -1
        ] or b""

    body = json.loads(simulate(scene()))["marker"] | {"tail": tail}
    rows = StateRows(0)
    rows.add(b"p0", canonical_bytes({"marker": body, "sha256": sha256_hex(body)}), [])
    return rows


@pytest.mark.parametrize(
    ("offset", "wrong", "why"),
    [(3, 0, None), (3, 1, "another one stands there now"), (9, 0, "holds none there now"), (40, 0, None)],
)
def test_one_record_is_asked_for(offset: int, wrong: int, why: str | None) -> None:
    """At 9 an offset is missing, as of a record that was never there; 40 lies behind the log's end, which bounds tell."""

    async def scene() -> None:
        here = Scene(10, partitions=1)
        here.feed(12)
        part = here.broker.partition(here.settings.log_topic, 0)
        times = {e.offset: e.timestamp for e in part.entries}
        part.entries[:] = [e for e in part.entries if e.offset != 9]
        rows = rows_with_tail[offset]
        tail = decode_marker(rows.marker or b"", 0).tail
        assert tail is not None
        shifted = {"offset": offset, "received": times.get(offset, 0) + wrong}
        body = json.loads(rows.marker or b"")["marker"] | {"tail": shifted}
        rows.marker = canonical_bytes({"marker": body, "sha256": sha256_hex(body)})
        asked = ensure_not_regrown(
            here.settings.kafka.for_aiokafka(), here.settings.log_topic, {0: rows}, {0: (0, 12)}, MEMORY
        )
        if why is None:
            await asked
        else:
            with pytest.raises(LogRegrownError, match=why):
                await asked

    rows_with_tail = {offset: rows_with({"offset": offset, "received": 0})}
    simulate(scene())


def test_a_marker_that_cannot_be_read_is_left_to_who_reads_it() -> None:
    async def scene() -> None:
        here = Scene(11, partitions=1)
        rows = StateRows(0)
        rows.add(b"p0", b"no marker", [])
        await ensure_not_regrown(
            here.settings.kafka.for_aiokafka(), here.settings.log_topic, {0: rows}, {0: (0, 1)}, MEMORY
        )

    simulate(scene())
