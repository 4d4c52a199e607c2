"""Bytes of state a byte of log: checkpoints every 5 s, a snapshot a minute against one with every checkpoint.

One partition with 1,000 facilities, which is the worst a partition can be, without a broker: the rows are those that a
worker sends. Rings are full (two hours) before it is measured. Prints JSON. `python -m bench.state [--quick]`.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time

import numpy as np

from bench.engine import BEGIN, values
from rules.engine import Engine
from rules.pack import default_bundle
from rules.records import Kind, LogRecord, Readings, RegisterRecord, Tick
from rules.register import Facility
from streams.checkpoint import Origin
from streams.codec import encode
from streams.restore import Start
from streams.stateledger import StateLedger
from streams.worker_settings import WorkerSettings

HORIZON_S = 7_200
CHECKPOINT_S = 5
MINUTES = 2
EVERY_CHECKPOINT_S = 0.001


def facility(number: int, series: int, interval_s: int) -> Facility:
    """Return a facility with cold rooms."""
    sensors = [
        {
            "tag": f"T{i}", "area": f"A{i % 10}", "quantity": "temperature", "unit": "Cel", "interval": f"{interval_s}s",
            "limits": {"low": 2, "high": 8}, "range": {"low": -40, "high": 60},
            "calibration": {"done": "2026-01-05", "due": "2099-12-31"},
        }
        for i in range(series)
    ]  # fmt: skip
    return Facility.model_validate(
        {
            "id": f"F-{number:04d}",
            "name": {"zh": "基准", "en": "Bench"},
            "jurisdiction": "110000",
            "delivery": "60s",
            "scopes": [{"field": "distribution", "line": "drug"}],
            "areas": [{"id": f"A{i}", "kind": "cold-room"} for i in range(min(10, series))],
            "sensors": sensors,
        }
    )


class Partition:
    """A partition that is fed, and the bytes of its log and of its state rows."""

    def __init__(self, facilities: int, series: int, interval_s: int) -> None:
        """Register everybody and fill the rings."""
        self.engine = Engine(default_bundle())
        self.series, self.interval_s = series, interval_s
        self.tags = tuple(f"T{i}" for i in range(series))
        self.names = [f"F-{number:04d}" for number in range(facilities)]
        self.offset = self.log_bytes = 0
        self._random = np.random.default_rng(7)
        self.now_s = HORIZON_S
        for number, name in enumerate(self.names):
            self.fold(Kind.REGISTER, name, RegisterRecord(version=1, facility=facility(number, series, interval_s)), -1)
        for name in self.names:
            self.fold(Kind.READINGS, name, self.batch(0, HORIZON_S // interval_s), 0)

    def batch(self, begin_s: int, rows: int) -> Readings:
        """Return rows of every series from an instant on."""
        at = BEGIN + 1_000 * (begin_s + self.interval_s * np.arange(rows, dtype=np.int64))
        size = self.series * rows
        return Readings(
            f"b{self.offset}", self.tags, np.full(self.series, rows, np.int32), np.tile(at, self.series),
            values(self._random, size), np.zeros(size, np.uint8),
        )  # fmt: skip

    def fold(self, kind: Kind, name: str, payload: Readings | RegisterRecord | Tick, late_s: float) -> None:
        """Fold one record and count its bytes."""
        received = BEGIN + round(1_000 * (self.now_s + late_s))
        headers, value = encode(payload)
        self.log_bytes += len(value) + len(name) + sum(len(k) + len(v) for k, v in headers)
        self.engine.fold(LogRecord(0, self.offset, received, kind, name, payload))
        self.offset += 1

    def pass_time(self, seconds: int, post_every_s: int) -> None:
        """Feed a stretch: every facility posts at an instant of its own, and ticks come from gateway and worker."""
        for second in range(self.now_s, self.now_s + seconds):
            self.now_s = second
            for number, name in enumerate(self.names):
                if (second + number) % post_every_s == 0:
                    rows = post_every_s // self.interval_s
                    self.fold(Kind.READINGS, name, self.batch(second - post_every_s + 1, rows), 0.5)
            if second % CHECKPOINT_S == 0:
                for role in ("gateway", "worker"):
                    now = BEGIN + 1_000 * second
                    self.fold(Kind.TICK, "", Tick(by="bench", role=role, now=now), 0.6)
        self.now_s += 1


def run(facilities: int, series: int, interval_s: int, post_every_s: int, snapshot_every_s: float) -> dict[str, float]:
    """Measure one cadence on one load."""
    partition = Partition(facilities, series, interval_s)
    engine = partition.engine
    settings = WorkerSettings(snapshot_every_s=snapshot_every_s)
    origin = Origin(offset=0, packs=engine.bundle.sha256)
    start = Start(partition.offset, partition.offset, engine.partition_state(0), marked=False, origin=origin)
    state = StateLedger(0, settings, start, 0.0)
    everybody = engine.facilities(0)
    first = state.rows(engine, everybody, everybody, 0.0, (partition.offset, partition.offset), {})
    snapshot_bytes = sum(row.size for row in first if row.key.startswith(b"F-"))
    state_bytes, snapshots, marker_bytes, taken_s, most = 0, 0, 0, [], 0
    partition.log_bytes = 0
    for i in range(1, MINUTES * 60 // CHECKPOINT_S + 1):
        partition.pass_time(CHECKPOINT_S, post_every_s)
        began = time.process_time()
        dirty = engine.dirty(0)
        due = state.due(dirty, float(i * CHECKPOINT_S))
        position = (partition.offset, partition.offset)
        rows = state.rows(engine, dirty, due, float(i * CHECKPOINT_S), position, {})
        taken_s.append(time.process_time() - began)
        size = sum(row.size for row in rows)
        most = max(most, size)
        state_bytes += size
        snapshots += len(due)
        marker_bytes += rows[-1].size
    return {
        "snapshot_every_s": snapshot_every_s,
        "state_bytes_a_log_byte": round(state_bytes / partition.log_bytes, 2),
        "log_bytes_a_minute": partition.log_bytes // MINUTES,
        "state_bytes_a_minute": state_bytes // MINUTES,
        "marker_bytes_a_minute": marker_bytes // MINUTES,
        "snapshots_a_minute": snapshots // MINUTES,
        "snapshot_bytes_a_series": round(snapshot_bytes / facilities / series),
        "largest_checkpoint_bytes": most,
        "checkpoint_cpu_ms_median": round(statistics.median(taken_s) * 1e3, 1),
        "checkpoint_cpu_ms_max": round(max(taken_s) * 1e3, 1),
    }


def main() -> None:
    """Print the figures."""
    quick = "--quick" in sys.argv
    facilities = 100 if quick else 1_000
    loads = [(10, 60, 60), (10, 10, 10), (10, 5, 5)] if quick else [(10, 60, 60), (10, 10, 10), (100, 60, 60)]
    results = []
    for series, interval_s, post_every_s in loads:
        each = [run(facilities, series, interval_s, post_every_s, every) for every in (EVERY_CHECKPOINT_S, 60.0)]
        results.append(
            {
                "series_each": series,
                "interval_s": interval_s,
                "post_every_s": post_every_s,
                "every_checkpoint": each[0],
                "once_a_minute": each[1],
                "times_fewer_bytes": round(each[0]["state_bytes_a_minute"] / each[1]["state_bytes_a_minute"], 2),
            }
        )
    result = {"bench": "state", "python": platform.python_version(), "facilities": facilities, "partitions": 1,
              "checkpoint_s": CHECKPOINT_S, "rules": len(default_bundle().rules), "loads": results}  # fmt: skip
    json.dump(result, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
