"""Two `offsite worker` on the embedded Kafka, every setting as shipped: how long a start, a restart and a takeover take.

Prints JSON with medians. `python -m bench.takeover [--quick]`. Each time ends when `/readyz` of whoever folds on says so:
its partitions restored, the log's end known, and the backlog folded.
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
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.engine import SERIES
from bench.worker import FACILITIES, PARTITIONS, Process, append, poll
from streams import admin
from streams.broker import EmbeddedBroker
from streams.settings import KafkaSettings
from streams.worker_settings import WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS = 5
MESSAGES = 1_000
ALL = list(range(PARTITIONS))


def spawn(kafka: KafkaSettings, folder: Path, instance: str) -> Process:
    """Start `offsite worker` under a name."""
    log = folder / f"{instance}-{time.monotonic_ns()}.log"
    environment = os.environ | {
        "OFFSITE_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "OFFSITE_KAFKA_PARTITIONS": str(kafka.partitions),
        "OFFSITE_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
    }
    command = [sys.executable, "-m", "monitor", "worker", "--instance", instance, "--port", "0"]
    with log.open("wb") as out:
        return Process(subprocess.Popen(command, env=environment, stdout=out, stderr=out), log)


def folds(worker: Process) -> list[int]:
    """Return the partitions that a worker folds and is caught up with; none while it is not ready."""
    if worker.child.poll() is not None:
        raise SystemExit(worker.log.read_text()[-3_000:])
    url = worker.url()
    if url is None:
        return []
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:  # noqa: S310 - loopback
            return list(json.loads(answer.read())["partitions"])
    except (urllib.error.HTTPError, OSError):
        return []


def share(*workers: Process) -> bool:
    """Say whether these workers fold all partitions between them, each some."""
    parts = [folds(worker) for worker in workers]
    return all(parts) and sorted(partition for part in parts for partition in part) == ALL


async def back(worker: Process, had: list[int]) -> None:
    """Wait until a worker folds the partitions again that its predecessor had."""
    await poll(lambda: folds(worker) == had)


async def since(began: float, *workers: Process) -> float:
    """Wait until these workers fold all partitions between them, each some; returns the seconds since `began`."""
    await poll(lambda: share(*workers))
    return time.monotonic() - began


async def measure(bootstrap: str, folder: Path, name: str, rounds: int) -> dict[str, list[float]]:
    """Kill and stop one of two workers in turn, and time who folds on."""
    kafka = KafkaSettings(bootstrap=bootstrap, partitions=PARTITIONS, topic_prefix=name)
    admin.create(kafka)
    await append(kafka, SERIES, MESSAGES)
    times: dict[str, list[float]] = {
        key: [] for key in ("start_alone", "join", "restart_after_kill", "takeover_after_kill", "takeover_after_term")
    }
    for _ in range(rounds):
        stays = spawn(kafka, folder, "stays")
        times["start_alone"].append(await since(time.monotonic(), stays))
        goes = spawn(kafka, folder, "goes")
        times["join"].append(await since(time.monotonic(), stays, goes))
        had, killed = folds(goes), time.monotonic()
        goes.end(signal.SIGKILL)
        goes = spawn(kafka, folder, "goes")
        await back(goes, had)
        times["restart_after_kill"].append(time.monotonic() - killed)
        for key, number in (("takeover_after_kill", signal.SIGKILL), ("takeover_after_term", signal.SIGTERM)):
            began = time.monotonic()
            goes.end(number)
            times[key].append(await since(began, stays))
            if number is signal.SIGKILL:
                goes = spawn(kafka, folder, "goes")
                await since(began, stays, goes)
        stays.end()
        # A static member keeps its seat for a session: the next round begins with a group that knows nobody.
        await asyncio.sleep(WorkerSettings().session_timeout_s + WorkerSettings().heartbeat_every_s)
    return times


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return median and worst, in seconds."""
    return {"median_s": round(statistics.median(values), 2), "worst_s": round(max(values), 2)}


def main() -> None:
    """Measure and print."""
    rounds = 1 if "--quick" in sys.argv[1:] else ROUNDS
    with tempfile.TemporaryDirectory() as name, EmbeddedBroker(Path(name) / "kafka") as broker:
        times = asyncio.run(measure(broker.bootstrap, Path(name), "takeover.", rounds))
    load = os.getloadavg()[0]
    settings = WorkerSettings()
    found: dict[str, Any] = {
        "bench": "takeover",
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load_at_end": round(load, 1),
        "rounds": rounds,
        "partitions": PARTITIONS,
        "facilities": FACILITIES,
        "series_each": SERIES,
        "session_timeout_s": settings.session_timeout_s,
        "heartbeat_every_s": settings.heartbeat_every_s,
    }
    print(json.dumps(found | {key: summary(values) for key, values in times.items()}, indent=2))


if __name__ == "__main__":
    main()
