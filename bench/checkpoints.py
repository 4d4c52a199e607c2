"""Throughput of a worker with checkpoints against one without, in pairs of runs that take turns at who is first.

Without means that none falls due while the backlog is folded; changes are published by their own transactions in both.
Every facility's instant within a snapshot's minute is its own, so a run of any length has its share of snapshots.
Prints JSON; the ratio is of each pair. `python -m bench.checkpoints [--quick] [--pairs 5] [--messages 100000]`.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from bench.engine import SERIES
from bench.figures import emit, end_gently, spread, spreads
from bench.worker import FACILITIES, PARTITIONS, backlog
from streams.broker import EmbeddedBroker
from streams.worker_settings import WorkerSettings

PAIRS = 5
MESSAGES = 100_000
"""Of 60 readings; more would begin before the feed's 20 minutes, since rows are a second apart."""
QUICK = 20_000
NEVER_S = "600"
# The longest that the settings allow, and longer than a run.
OFF = {
    "OFFSITE_WORKER_CHECKPOINT_S": NEVER_S, "OFFSITE_WORKER_SNAPSHOT_S": NEVER_S,
    "OFFSITE_WORKER_STALL_TIMEOUT_S": NEVER_S,  # its watchdog ends a worker that writes none
}  # fmt: skip
Run = dict[str, float]


async def measure(bootstrap: str, folder: Path, messages: int, pairs: int) -> list[tuple[Run, Run]]:
    """Return what was measured of each pair, with checkpoints first."""
    found = []
    for number in range(pairs):
        pair: dict[bool, Run] = {}
        for on in (True, False) if number % 2 == 0 else (False, True):
            name = f"c{number}-{'on' if on else 'off'}."
            pair[on] = await backlog(bootstrap, folder, SERIES, messages, name, chunked=True, more=None if on else OFF)
        if pair[False]["state_bytes_written"] > 0 or pair[True]["state_bytes_written"] == 0:
            raise SystemExit("checkpoints were written where none were to be, or none where some were")
        found.append((pair[True], pair[False]))
    return found


def main() -> None:
    """Measure and print."""
    end_gently()
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help=f"one pair of {QUICK} messages")
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--messages", type=int)
    options = parser.parse_args()
    pairs = options.pairs or (1 if options.quick else PAIRS)
    messages = options.messages or (QUICK if options.quick else MESSAGES)
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker(Path(folder) / "broker") as broker:
        found = asyncio.run(measure(broker.bootstrap, Path(folder), messages, pairs))
    settings = WorkerSettings()
    emit(
        "checkpoints",
        {
            "partitions": PARTITIONS, "facilities": FACILITIES, "series_each": SERIES, "messages": messages, "pairs": pairs,
            "checkpoint_every_s": settings.checkpoint_every_s, "snapshot_every_s": settings.snapshot_every_s,
            "throughput_with_over_without": spread([a["readings_per_s"] / b["readings_per_s"] for a, b in found], 3),
            "cpu_with_over_without": spread([a["cpu_us_per_reading"] / b["cpu_us_per_reading"] for a, b in found], 3),
            "with": spreads([a for a, _ in found]),
            "without": spreads([b for _, b in found]),
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
