"""kill -9 of a worker with 100,000 series whose state topic was written for six hours: how long until new alarms flow.

1. A worker folds the registers and two hours of readings of every series, so the rings are full, and stops: real snapshots.
2. Six hours of checkpoints are written with the product's own ledger and cadence, by a clock that runs as fast as the broker
   takes it: as many transactions, snapshots and markers as six hours bring, into the topic as the product configures it. The
   snapshots are those of 1 again and again: compaction goes by keys. Then the cleaner gets its time.
3. A worker folds live readings with every setting as shipped, so that the end of the topic is as old as in real life.
4. It is killed and started again, round by round, under the same load: the time from the start of the process to the first
   new alarm (read_committed, of a record sent after that start), to one from every partition, and to /readyz.

Prints JSON. `python -m bench.sixhours [--quick] [--facilities 1000] [--series 100] [--hours 6] [--live 360] [--rounds 5]`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.engine import values
from bench.figures import emit, end_gently, resident_mb, size_of, spreads, status
from bench.state import facility
from bench.takeover import folds
from bench.worker import Process, poll, spawn
from rules.records import Payload, Readings, RegisterRecord
from streams import admin
from streams.broker import EmbeddedBroker
from streams.codec import encode, home_of
from streams.repair import fenced
from streams.restore import Start, read_state
from streams.settings import KafkaSettings
from streams.stateledger import StateLedger
from streams.worker_settings import WorkerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from rules.apart import Record
    from rules.engine import PartitionState
    from streams.checkpoint import StateRows
    from streams.fold import Fold

PARTITIONS = 8
RESTORED = re.compile(r"restored partitions .* s, (\d+) bytes of state")
"""What a worker's log says of each restore."""
INTERVAL_S = 60
HISTORY_S = 7_200
POST_ROWS = 10
DELIVERY_MS = 3 * 3_600_000
"""What was read two hours ago may come now: nobody is silent when the history is folded."""
LOUD_A_SECOND = 4
BETWEEN_S = 20.0
SETTLED_S, SETTLE_MOST_S = 45.0, 900.0
"""The topic's size is settled when it did not fall for three rounds of the cleaner; after so long it is measured as it is."""


@dataclass(slots=True)
class Shape:
    """How large the installation is, and for how long it is written."""

    facilities: int = 1_000
    series: int = 100
    hours: float = 6.0
    live_s: float = 360.0
    rounds: int = 5
    settle: bool = True


@dataclass(slots=True)
class Frozen:
    """A fold whose snapshots are those that stand in the state topic."""

    rows: StateRows
    state: PartitionState

    def snapshot(self, _: int, name: str) -> bytes:
        """Return a snapshot as it was read."""
        return self.rows.snapshot(name)

    def apart(self, partition: int, name: str) -> tuple[bytes, tuple[Record, ...]]:
        """Return a snapshot as it was read, and nothing apart."""
        return self.snapshot(partition, name), ()

    def clean(self, _: int, name: str) -> None:
        """Do nothing: it is dirty again at once."""

    def partition_state(self, _: int) -> PartitionState:
        """Return the partition as the marker has it."""
        return self.state


@dataclass(slots=True)
class Load:
    """Every facility posts a row of each series but the first a minute; the first raises and clears alarms in turn."""

    producer: AIOKafkaProducer
    log: str
    shape: Shape
    sent: dict[str, float] = field(default_factory=dict)
    """Loud batches that raise -> when they were sent."""
    seen: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Batch -> when the alarm it raised could be read, and in which partition."""
    newest: dict[int, int] = field(default_factory=dict)
    count: int = 0

    async def append(self, number: int, payload: Payload) -> None:
        """Send a record of a facility without waiting for it."""
        headers, value = encode(payload)
        key = f"F-{number:04d}"
        await self.producer.send(self.log, value, key.encode(), partition=home_of(key, PARTITIONS), headers=headers)

    async def past(self) -> int:
        """Append registers and the history; returns the readings."""
        for number in range(self.shape.facilities):
            entry = facility(number, self.shape.series, INTERVAL_S).model_copy(update={"delivery": DELIVERY_MS})
            await self.append(number, RegisterRecord(version=1, facility=entry))
        random, steps = np.random.default_rng(7), HISTORY_S // INTERVAL_S // POST_ROWS
        begin = time.time_ns() // 1_000_000 - HISTORY_S * 1_000
        size = self.shape.series * POST_ROWS
        for step in range(steps):
            at = begin + 1_000 * INTERVAL_S * (step * POST_ROWS + np.arange(POST_ROWS, dtype=np.int64))
            payload = batch(f"h{step}", self.shape.series, 0, np.tile(at, self.shape.series), values(random, size))
            for number in range(self.shape.facilities):
                await self.append(number, payload)
        await self.producer.flush()
        return steps * size * self.shape.facilities

    async def run(self) -> None:
        """Post until cancelled."""
        began, random = time.monotonic(), np.random.default_rng(8)
        quiet = loud = 0
        while True:
            passed = time.monotonic() - began
            while quiet < passed * self.shape.facilities / INTERVAL_S:
                await self.quiet(quiet, values(random, self.shape.series - 1))
                quiet += 1
            while loud < passed * LOUD_A_SECOND:
                await self.loud(loud)
                loud += 1
            await asyncio.sleep(0.02)

    async def quiet(self, number: int, value: np.ndarray) -> None:
        """Post the minute of one facility."""
        at = np.full(self.shape.series - 1, time.time_ns() // 1_000_000, np.int64)
        await self.append(number % self.shape.facilities, batch(f"q{number}", self.shape.series, 1, at, value))

    async def loud(self, number: int) -> None:
        """Raise the alarm of one facility, or clear it the next time round; one raises while its neighbour clears."""
        turn, who = divmod(number, self.shape.facilities)
        raises = (turn + who) % 2 == 0
        value = np.array([9.0, 9.0] if raises else [5.0, 5.0, 5.0])
        begin = max(time.time_ns() // 1_000_000, self.newest.get(who, 0) + 1_000)
        at = begin + 1_000 * np.arange(value.size, dtype=np.int64)
        self.newest[who] = int(at[-1])
        if raises:
            self.sent[f"l{number}"] = time.monotonic()
        await self.append(who, batch(f"l{number}", 1, 0, at, value))

    async def watch(self, alarms: AIOKafkaConsumer) -> None:
        """Note every alarm that is raised."""
        async for record in alarms:
            change = json.loads(record.value)
            if change["change"] == "raised":
                for read in change["evidence"]["records"]:
                    self.seen.setdefault(read["id"], (time.monotonic(), record.partition))

    def new(self, since: float) -> dict[int, float]:
        """Return, by partition, when the first alarm of a record sent after an instant could be read."""
        found: dict[int, float] = {}
        for name, (at, partition) in self.seen.items():
            if self.sent.get(name, 0.0) >= since:
                found[partition] = min(at, found.get(partition, at))
        return found


def batch(name: str, series: int, first: int, at: np.ndarray, value: np.ndarray) -> Readings:
    """Return readings of the series from `first` on, as many of each."""
    tags = tuple(f"T{i}" for i in range(first, series))
    counts = np.full(len(tags), at.size // len(tags), np.int32)
    return Readings(name, tags, counts, at, value, np.zeros(at.size, np.uint8))


async def write_hours(settings: WorkerSettings, shape: Shape) -> dict[str, Any]:
    """Write the checkpoints of so many hours into the state topic; returns what was written."""
    found, _ = await read_state(settings.kafka.for_aiokafka(), settings.state_topic, range(PARTITIONS))
    totals = {"transactions": 0, "snapshots": 0, "bytes": 0}
    began = time.monotonic()
    await asyncio.gather(*(write_partition(settings, shape, found[p], totals) for p in range(PARTITIONS)))
    names = [name for rows in found.values() for name in rows.parts]
    size = sum(len(found[p].snapshot(name)) for p in found for name in found[p].parts)
    return totals | {
        "seconds": round(time.monotonic() - began, 1),
        "bytes_of_all_snapshots_once": size,
        "snapshot_bytes_a_series": round(size / len(names) / shape.series),
    }


async def write_partition(settings: WorkerSettings, shape: Shape, rows: StateRows, totals: dict[str, int]) -> None:
    """Write those of one partition: a transaction every checkpoint, as a worker's."""
    partition = rows.partition
    marker = rows.checked_marker(None)
    if marker is None:
        return  # no facility is at home there, and nothing came
    if marker.low != marker.next:
        raise SystemExit(f"partition {partition}: the worker did not write all snapshots at its stop")
    start = Start(
        marker.low, marker.next, marker.state, marked=True, origin=marker.origin, parts=rows.parts,
        packs=frozenset(rows.packs),
    )  # fmt: skip
    ledger, names = StateLedger(partition, settings, start, 0.0), sorted(rows.parts)
    fold = cast("Fold", Frozen(rows, marker.state))
    place = TopicPartition(settings.log_topic, partition)
    async with fenced(settings, partition) as producer:
        for step in range(1, round(shape.hours * 3_600 / settings.checkpoint_every_s) + 1):
            now = step * settings.checkpoint_every_s
            due = ledger.due(names, now)
            made = ledger.rows(fold, names, due, now, (marker.next, marker.next), {})
            await producer.begin_transaction()
            sent = [
                await producer.send(r.topic, r.value, r.key, partition=partition, headers=list(r.headers)) for r in made
            ]
            await producer.send_offsets_to_transaction({place: marker.next}, settings.group_id)
            for future in sent:
                await future
            await producer.commit_transaction()
            totals["transactions"] += 1
            totals["snapshots"] += len(due)
            totals["bytes"] += sum(row.size for row in made)


async def settle(folder: Path) -> float:
    """Wait until the cleaner has caught up; returns how long that took."""
    began = fell = time.monotonic()
    least = state_bytes(folder)
    while time.monotonic() - fell < SETTLED_S and time.monotonic() - began < SETTLE_MOST_S:
        await asyncio.sleep(2)
        if (size := state_bytes(folder)) < least:
            least, fell = size, time.monotonic()
    return time.monotonic() - began


def state_bytes(folder: Path) -> int:
    """Return what the state topic takes on the broker's disk."""
    return size_of(*folder.glob("broker/**/offsite.state.v1-*/*.log"))  # its indexes are sparse


async def restart(
    worker: Process, load: Load, settings: WorkerSettings, folder: Path
) -> tuple[Process, dict[str, float]]:
    """Kill the worker, start it again, and time what follows."""
    homes = {home_of(f"F-{n:04d}", PARTITIONS) for n in range(load.shape.facilities)}
    worker.end(signal.SIGKILL)
    began = time.monotonic()
    heir = spawn(settings.kafka, folder)
    try:
        ready: list[float] = []

        def all_new() -> bool:
            if not ready and len(folds(heir)) == PARTITIONS:
                ready.append(time.monotonic() - began)
            return bool(ready) and load.new(began).keys() >= homes

        await asyncio.wait_for(poll(all_new), 300)
        new = load.new(began)
        return heir, {
            "first_new_alarm_s": min(new.values()) - began,
            "new_alarm_of_every_partition_s": max(new.values()) - began,
            "ready_s": ready[0],
            "restore_s": heir.figure("offsite_worker_restore_seconds"),
            "state_bytes_read": sum(map(int, RESTORED.findall(heir.log.read_text()))),
            "state_bytes_on_disk": state_bytes(folder),
            "records_folded_again": heir.figure("offsite_worker_records_again_total"),
            "resident_mb": resident_mb(heir.child.pid),
            "resident_most_mb": status(heir.child.pid, "VmHWM") / 1024,
            "cpu_s_until_then": heir.cpu_s(),
        }
    except BaseException:
        heir.child.kill()
        raise


@contextlib.asynccontextmanager
async def loaded(settings: WorkerSettings, shape: Shape) -> AsyncGenerator[Load]:
    """Give what posts and watches; ends both."""
    bootstrap = settings.kafka.bootstrap
    async with (
        AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5, max_batch_size=256 * 1024) as producer,
        AIOKafkaConsumer(
            settings.alarms_topic, bootstrap_servers=bootstrap, isolation_level="read_committed",
            auto_offset_reset="earliest", enable_auto_commit=False, fetch_max_wait_ms=20,
        ) as alarms,
    ):  # fmt: skip
        load = Load(producer, settings.log_topic, shape)
        watching = asyncio.create_task(load.watch(alarms))
        try:
            yield load
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def measure(bootstrap: str, folder: Path, shape: Shape) -> dict[str, Any]:
    """Do all four steps."""
    kafka = KafkaSettings(bootstrap=bootstrap, partitions=PARTITIONS)
    settings = WorkerSettings(instance="bench", kafka=kafka)
    admin.create(kafka)
    async with loaded(settings, shape) as load:
        readings = await load.past()
        worker = spawn(kafka, folder)
        try:
            await poll(lambda: worker.figure("offsite_worker_readings_total") >= readings, 0.5)
            full = {"resident_mb": round(worker.memory_mb()), "cpu_s": worker.cpu_s()}
            # All is dirty now: more than SIGTERM's seconds can write. The cadence writes it.
            await asyncio.sleep(settings.snapshot_every_s + 3 * settings.checkpoint_every_s)
            full["stop_s"] = round(worker.end(), 2)
            written = await write_hours(settings, shape)
            written["settled_after_s"] = round(await settle(folder), 1) if shape.settle else None
            worker = spawn(kafka, folder)
            await poll(lambda: len(folds(worker)) == PARTITIONS)
            posting = asyncio.create_task(load.run())
            try:
                await asyncio.sleep(shape.live_s)
                log, state = (worker.figure(f"offsite_worker_{n}_bytes_total") for n in ("log", "checkpoint"))
                live = {
                    "seconds": shape.live_s, "log_bytes": log, "state_bytes": state,
                    "state_bytes_a_log_byte": round(state / log, 2), "resident_mb": round(worker.memory_mb()),
                    "alarms_raised": len(load.seen),
                }  # fmt: skip
                runs = []
                for _ in range(shape.rounds):
                    worker, run = await restart(worker, load, settings, folder)
                    runs.append(run)
                    await asyncio.sleep(BETWEEN_S if shape.settle else 0)
            finally:
                posting.cancel()
                await asyncio.gather(posting, return_exceptions=True)
        finally:
            if worker.child.poll() is None:
                worker.end(signal.SIGKILL)
    return {"history_readings": readings, "after_history": full, "written": written, "live": live,
            "after_kill": spreads(runs), "load": [round(x, 1) for x in os.getloadavg()]}  # fmt: skip


def main() -> None:
    """Measure and print."""
    end_gently()
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--quick", action="store_true", help="24 facilities of 10 series, three minutes of state, one kill"
    )
    parser.add_argument("--facilities", type=int)
    parser.add_argument("--series", type=int)
    parser.add_argument("--hours", type=float)
    parser.add_argument("--live", type=float)
    parser.add_argument("--rounds", type=int)
    asked = parser.parse_args()
    usual = Shape(24, 10, 0.05, 15.0, 1, settle=False) if asked.quick else Shape()
    shape = Shape(
        asked.facilities or usual.facilities, asked.series or usual.series, asked.hours or usual.hours,
        asked.live or usual.live_s, asked.rounds or usual.rounds, settle=usual.settle,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as place, EmbeddedBroker(Path(place) / "broker") as broker:
        found = asyncio.run(measure(broker.bootstrap, Path(place), shape))
    emit(
        "sixhours",
        {
            "facilities": shape.facilities, "series": shape.facilities * shape.series, "partitions": PARTITIONS,
            "hours": shape.hours, "interval_s": INTERVAL_S, "rounds": shape.rounds,
        } | found,
    )  # fmt: skip


if __name__ == "__main__":
    main()
