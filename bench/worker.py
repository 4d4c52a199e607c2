"""The worker on the embedded Kafka: backlog throughput, latency at a paced load, memory, restart. Checkpoints are on.

Prints JSON with medians. `python -m bench.worker [--quick]`.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.engine import SERIES, facility, values
from bench.figures import end_gently, spreads
from rules.pack import default_bundle
from rules.records import Payload, Readings, RegisterRecord
from streams import admin, topics
from streams.broker import EmbeddedBroker
from streams.codec import encode, home_of
from streams.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PARTITIONS = 4
FACILITIES = 100
REPETITIONS = 5
LOUD = 10
"""Of the paced messages every tenth is a change."""
JIFFIES_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass
class Process:
    """A worker process and what it says of itself."""

    child: subprocess.Popen[bytes]
    log: Path

    def url(self) -> str | None:
        """Return where its probes listen, once it says so."""
        found = [line for line in self.log.read_text().splitlines() if "probes on http" in line]
        return found[-1].rpartition(" ")[2] if found else None

    def figure(self, name: str) -> float:
        """Return one metric; 0 while it does not answer."""
        if self.child.poll() is not None:
            raise SystemExit(self.log.read_text()[-3_000:])
        url = self.url()
        if url is None:
            return 0.0
        try:
            with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:  # noqa: S310 - loopback
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def cpu_s(self) -> float:
        """Return the CPU seconds of the process so far."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / JIFFIES_A_SECOND

    def memory_mb(self) -> float:
        """Return the resident memory."""
        lines = Path(f"/proc/{self.child.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))

    def end(self, number: int = signal.SIGTERM) -> float:
        """Signal it and return how long it took to end."""
        began = time.monotonic()
        self.child.send_signal(number)
        self.child.wait(30)
        return time.monotonic() - began


async def poll(holds: Callable[[], bool], every_s: float = 0.05) -> None:
    """Wait until a condition holds."""
    while not holds():  # noqa: ASYNC110 - another process decides
        await asyncio.sleep(every_s)


def spawn(
    kafka: KafkaSettings, folder: Path, *, chunked: bool = True, more: Mapping[str, str] | None = None
) -> Process:
    """Start `offsite worker`; `more` are settings by their names in the environment."""
    log = folder / f"worker-{time.monotonic_ns()}.log"
    environment = os.environ | {
        "OFFSITE_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "OFFSITE_KAFKA_PARTITIONS": str(kafka.partitions),
        "OFFSITE_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "OFFSITE_WORKER_CHUNKED": str(chunked).lower(),
    } | dict(more or {})  # fmt: skip
    command = [sys.executable, "-m", "monitor", "worker", "--instance", "bench", "--port", "0"]
    with log.open("wb") as out:
        return Process(subprocess.Popen(command, env=environment, stdout=out, stderr=out), log)


async def append(kafka: KafkaSettings, rows: int, messages: int) -> int:
    """Append registers and a backlog of readings, one second apart and ending now; returns the readings.

    It has to begin less than the feed's 20 minutes ago, or every sensor is silent when its first reading is folded.
    """
    per_series = max(1, rows // SERIES)
    rounds = max(1, messages // FACILITIES)
    begin = time.time_ns() // 1_000_000 - rounds * per_series * 1_000
    tags = tuple(f"T{i}" for i in range(min(rows, SERIES)))
    size = len(tags) * per_series
    value = values(np.random.default_rng(7), size)
    log = kafka.topic(topics.LOG)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=20, max_batch_size=256 * 1024) as producer:
        await register(producer, log)
        for turn in range(rounds):
            at = begin + 1_000 * (turn * per_series + np.arange(per_series, dtype=np.int64))
            payload = Readings(
                f"m{turn}", tags, np.full(len(tags), per_series, np.int32), np.tile(at, len(tags)), value,
                np.zeros(size, np.uint8),
            )  # fmt: skip
            headers, encoded = encode(payload)
            for number in range(FACILITIES):
                key = f"F-{number:04d}".encode()
                await producer.send(log, encoded, key, partition=home_of(key.decode(), PARTITIONS), headers=headers)
        await producer.flush()
    return rounds * FACILITIES * size


async def register(producer: AIOKafkaProducer, log: str) -> None:
    """Append the register of every facility."""
    for number in range(FACILITIES):
        await send(producer, log, RegisterRecord(version=1, facility=facility(number)), number)


async def send(producer: AIOKafkaProducer, log: str, payload: Payload, number: int) -> None:
    """Send one record of a facility and wait for the ack."""
    headers, value = encode(payload)
    key = f"F-{number:04d}".encode()
    await producer.send_and_wait(log, value, key, partition=home_of(key.decode(), PARTITIONS), headers=headers)


async def backlog(
    bootstrap: str, folder: Path, rows: int, messages: int, name: str, *, chunked: bool,
    more: Mapping[str, str] | None = None,
) -> dict[str, float]:  # fmt: skip
    """Fold a backlog once, from the first reading seen folded to the last."""
    kafka = KafkaSettings(bootstrap=bootstrap, partitions=PARTITIONS, topic_prefix=name)
    admin.create(kafka)
    readings = await append(kafka, rows, messages)
    worker = spawn(kafka, folder, chunked=chunked, more=more)

    def folded() -> float:
        return worker.figure("offsite_worker_readings_total")

    await poll(lambda: folded() > 0)
    began, cpu, first = time.monotonic(), worker.cpu_s(), folded()
    await poll(lambda: folded() >= readings, 0.2)
    elapsed, used, part = time.monotonic() - began, worker.cpu_s() - cpu, readings - first
    memory, state = worker.memory_mb(), worker.figure("offsite_worker_checkpoint_bytes_total")
    snapshots = worker.figure("offsite_worker_snapshots_total")
    return {
        "readings": readings,
        "readings_per_s": part / elapsed,
        "cpu_us_per_message": used / (part / readings * messages) * 1e6,
        "cpu_us_per_reading": used / part * 1e6,
        "memory_mb": memory,
        "state_bytes_written": state,
        "snapshots_written": snapshots,
        "stop_s": worker.end(),
    }


@dataclass
class Pace:
    """200 messages a second; the loud ones raise or clear an alarm each."""

    producer: AIOKafkaProducer
    log: str
    start_ms: int
    acked: dict[str, float]

    async def one(self, number: int) -> None:
        """Send one message and note when it was acknowledged."""
        turn, loud = number // LOUD, number % LOUD == 0
        name = (turn if loud else number) % FACILITIES
        values_sent = [5.0]
        if loud:
            values_sent = [9.0, 9.0] if turn // FACILITIES % 2 == 0 else [5.0, 5.0, 5.0]
        # A tag's event times never go back: each turn of the loud one has ten seconds of its own.
        at = self.start_ms + (10_000 * (turn // FACILITIES) if loud else number * 10)
        payload = Readings(
            f"p{number}", ("T0" if loud else "T1",), np.array([len(values_sent)], np.int32),
            at + 1_000 * np.arange(len(values_sent), dtype=np.int64), np.array(values_sent),
            np.zeros(len(values_sent), np.uint8),
        )  # fmt: skip
        await send(self.producer, self.log, payload, name)
        if loud:
            self.acked[f"p{number}"] = time.monotonic()

    async def run(self, seconds: float) -> int:
        """Send for a while; returns how many."""
        began, count = time.monotonic(), 0
        running: list[asyncio.Task[None]] = []
        while (passed := time.monotonic() - began) < seconds:
            running += [asyncio.create_task(self.one(number)) for number in range(count, int(passed * 200))]
            count = max(count, int(passed * 200))
            await asyncio.sleep(0.002)
        await asyncio.gather(*running)
        return count


async def paced(bootstrap: str, folder: Path, seconds: float, name: str) -> dict[str, float]:
    """See when the changes of a paced load can be read, from the ack of the message that made them."""
    kafka = KafkaSettings(bootstrap=bootstrap, partitions=PARTITIONS, topic_prefix=name)
    admin.create(kafka)
    seen: dict[str, float] = {}
    async with (
        AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=0) as producer,
        AIOKafkaConsumer(
            kafka.topic(topics.ALARMS),
            bootstrap_servers=bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=20,
        ) as alarms,
    ):
        pace = Pace(producer, kafka.topic(topics.LOG), time.time_ns() // 1_000_000 - 600_000, {})
        await register(producer, pace.log)
        worker = spawn(kafka, folder)
        await poll(lambda: worker.figure('offsite_worker_records_total{kind="register"}') >= FACILITIES)

        async def watch() -> None:
            async for record in alarms:
                for read in json.loads(record.value)["evidence"]["records"]:
                    seen.setdefault(read["id"], time.monotonic())

        watching = asyncio.create_task(watch())
        cpu = worker.cpu_s()
        count = await pace.run(seconds)
        used = worker.cpu_s() - cpu
        await asyncio.sleep(2)
        watching.cancel()
    delays = sorted((seen[name] - at) * 1e3 for name, at in pace.acked.items() if name in seen)
    checkpoint_s = worker.figure("offsite_worker_checkpoint_seconds_sum")
    checkpoints = worker.figure("offsite_worker_checkpoint_seconds_count")
    return {
        "messages_per_s": count / seconds,
        "changes": len(delays),
        "missing": len(pace.acked) - len(delays),
        "ack_to_visible_ms_p50": round(statistics.median(delays), 1),
        "ack_to_visible_ms_p95": round(delays[int(len(delays) * 0.95)], 1),
        "ack_to_visible_ms_p99": round(delays[int(len(delays) * 0.99)], 1),
        "checkpoint_ms_mean": round(checkpoint_s / checkpoints * 1e3, 1),
        "cpu_share": round(used / seconds, 3),
        "kill_to_folding_s": round(await restart(worker, kafka, folder), 2),
    }


async def restart(worker: Process, kafka: KafkaSettings, folder: Path) -> float:
    """Kill the worker and return how long a new one takes from its start until it folds again."""
    worker.end(signal.SIGKILL)
    began = time.monotonic()
    heir = spawn(kafka, folder)
    await poll(lambda: heir.figure("offsite_worker_partitions") >= PARTITIONS, 0.02)
    elapsed = time.monotonic() - began
    heir.end()
    return elapsed


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure."""
    return {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}


async def measure(bootstrap: str, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Run all; quick runs once with a tenth of the messages. The paced rounds give median, least and most."""
    repetitions, share = (1, 10) if quick else (REPETITIONS, 1)
    sizes = []
    for rows, messages, chunked in ((60, 60_000, True), (600, 10_000, True), (60, 30_000, False)):
        runs = [
            await backlog(bootstrap, folder, rows, messages // share, f"b{rows}-{int(chunked)}-{i}.", chunked=chunked)
            for i in range(repetitions)
        ]
        sizes.append({"readings_a_message": rows, "chunked": chunked, "messages": messages // share} | medians(runs))
    seconds = 5 if quick else 30
    rounds = [await paced(bootstrap, folder, seconds, f"paced{i}.") for i in range(repetitions)]
    return {"backlog": sizes, "paced": spreads(rounds)}


def main() -> None:
    """Print the figures."""
    end_gently()
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker(Path(folder) / "broker") as broker:
        figures = asyncio.run(measure(broker.bootstrap, Path(folder), quick="--quick" in sys.argv))
    result = {
        "bench": "worker", "python": platform.python_version(), "partitions": PARTITIONS, "facilities": FACILITIES,
        "series_each": SERIES, "rules": len(default_bundle().rules),
    }  # fmt: skip
    json.dump(result | figures, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
