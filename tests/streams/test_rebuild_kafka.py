"""Broken snapshots on a real Kafka: the worker starts, folds those facilities anew, and equals the offline fold."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from rules.engine import Engine
from rules.pack import default_bundle
from streams.history import HistoryLostError, LogHistory
from tests.streams.lab import judge
from tests.streams.test_quarantine_kafka import archive, drop, given
from tests.streams.test_worker_kafka import wait_for_exit
from tests.streams.test_worker_kills import feed_engine, producer_of
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monitor.store.session import Store
    from streams.fold import Fold
    from tests.streams.lab import Lab


async def seeded(lab: Lab, batches: int = 80) -> None:
    async with producer_of(lab) as producer:
        await lab.feed(producer, batches)


async def spoil(lab: Lab, broken: dict[bytes, bytes | None]) -> None:
    """Put other bytes, or none, in the place of snapshots of partition 0."""
    async with producer_of(lab) as producer:
        for key, value in broken.items():
            await producer.send_and_wait(
                lab.base.state_topic, value, key, partition=0, headers=[] if value is None else [("part", b"0/1")]
            )


async def stop(worker: Any) -> None:
    worker.signal(signal.SIGTERM)
    assert await asyncio.to_thread(wait_for_exit, worker) == 0


async def bad_states(lab: Lab) -> list[str]:
    rows = [json.loads(row.value) for row in await lab.read(lab.base.rejected_topic)]
    return sorted(row["facility"] for row in rows if row["code"] == "bad_state")


async def folded_anew(lab: Lab, worker: Any, new_fold: Callable[[], Fold]) -> None:
    await lab.until(
        "nobody waits", lambda: "offsite_worker_rebuilding_facilities 0.0" in worker.probe("/metrics")[1], 120
    )
    await lab.until("they are in", lambda: "partition 0: folded anew" in worker.text(), 120)
    await lab.agree(new_fold)


async def test_broken_and_missing_snapshots_are_folded_anew_and_equal_the_offline_fold(lab: Lab) -> None:
    await seeded(lab)
    worker = lab.spawn()
    await lab.caught_up()
    await stop(worker)
    await spoil(lab, {b"FAC-0": b"no snapshot at all", b"FAC-4": None})
    heir = lab.spawn("w2")
    await seeded(lab)
    await folded_anew(lab, heir, ToyFold)
    assert await bad_states(lab) == ["FAC-0", "FAC-4"]
    await stop(heir)
    marks = await lab.marks()
    assert marks[0]["rebuilding"] == {}
    assert marks[0]["low"] == marks[0]["next"]
    # Their new snapshots are good.
    third = lab.spawn("w3")
    await lab.until("ready", lambda: third.probe("/readyz")[0] == 200)
    await seeded(lab, 16)
    await lab.agree(ToyFold)
    assert "folded anew" not in third.text()
    assert await bad_states(lab) == ["FAC-0", "FAC-4"]


async def test_what_the_log_has_dropped_is_folded_anew_out_of_the_archive(
    lab: Lab, tmp_path: Path, sqlite_store: Store
) -> None:
    lab.settings["tick_every_s"] = 600.0
    await seeded(lab)
    worker = lab.spawn()
    await lab.caught_up()
    await stop(worker)
    held = await archive(lab, sqlite_store, tmp_path / "archive")
    dropped, end = await lab.log(), (await lab.ends())[0]
    await asyncio.to_thread(drop, lab, 0, end)
    await spoil(lab, {b"FAC-0": b"no snapshot at all", b"FAC-4": None})
    heir = lab.spawn("w2", fold=held)
    await seeded(lab, 40)
    await lab.until("they are in", lambda: "partition 0: folded anew" in heir.text(), 120)
    await lab.caught_up()
    assert min(record.offset for record in await lab.log() if record.partition == 0) == end
    assert judge(await lab.changes(), await given(lab, dropped)) == 0
    assert await bad_states(lab) == ["FAC-0", "FAC-4"]


@pytest.mark.slow
async def test_the_engine_folds_a_facility_anew_and_equals_the_offline_fold(lab: Lab) -> None:
    async with producer_of(lab) as producer:
        await feed_engine(lab, producer, 40)
    worker = lab.spawn(fold={"real": True})
    await lab.caught_up(90)
    await stop(worker)
    good = next(row.value for row in reversed(await lab.read(lab.base.state_topic)) if row.key == b"COLD-0")
    await spoil(lab, {b"COLD-0": good[:-1] + bytes([good[-1] ^ 1])})
    heir = lab.spawn("w2", fold={"real": True})
    async with producer_of(lab) as producer:
        await feed_engine(lab, producer, 20)
    await folded_anew(lab, heir, lambda: Engine(default_bundle()))
    assert await bad_states(lab) == ["COLD-0"]
    mine = [row["change"] for row in await lab.changes() if row["stream"] == "COLD-0"]
    assert mine.count("raised") > 4


def test_a_stretch_of_the_log_is_read_for_some_facilities(lab: Lab) -> None:
    asyncio.run(seeded(lab, 24))
    history = LogHistory(lab.kafka, lab.base.log_topic)
    found = list(history.records(0, frozenset({"FAC-4"}), 1, 6))
    assert [(record.offset, record.facility) for record in found] == [(1, "FAC-4"), (3, "FAC-4"), (5, "FAC-4")]
    with pytest.raises(HistoryLostError, match="the log ends at 6, 7 is wanted"):
        list(history.records(0, frozenset({"FAC-4"}), 0, 7))
