"""In-process throughput of the engine with the shipped packs, next to a loop that only decodes the same bytes.

Prints JSON: medians of the repetitions, CPU time. Run with `make bench`.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time

import numpy as np

from rules.engine import Engine
from rules.pack import default_bundle
from rules.records import Kind, LogRecord, Readings, RegisterRecord
from rules.register import Facility
from streams.codec import decode, encode

BEGIN = 1_772_294_400_000
FACILITIES, SERIES = 100, 60
REPETITIONS = 5
TOTAL = 600_000
FILLED = 240
"""Minutes that are folded before it is measured: rings are full then, as they are at work."""


def facility(number: int) -> Facility:
    """Return a facility with 60 temperature sensors; its feed posts rarely, so that no silence is due between batches in ten cold rooms."""
    areas = [{"id": f"A{i}", "kind": "cold-room"} for i in range(10)]
    sensors = [
        {
            "tag": f"T{i}", "area": f"A{i % 10}", "quantity": "temperature", "unit": "Cel", "interval": "60s",
            "limits": {"low": 2, "high": 8}, "range": {"low": -40, "high": 60},
            "calibration": {"done": "2026-01-05", "due": "2099-12-31"},
        }
        for i in range(SERIES)
    ]  # fmt: skip
    scopes = [{"field": "distribution", "line": "drug"}]
    name = {"zh": "基准", "en": "Bench"}
    value = {
        "id": f"F-{number:04d}",
        "name": name,
        "jurisdiction": "110000",
        "delivery": "20m",
        "scopes": scopes,
        "areas": areas,
        "sensors": sensors,
    }
    return Facility.model_validate(value)


def values(random: np.random.Generator, size: int) -> np.ndarray:
    """Return readings round 5 Cel at a resolution of 0.1."""
    return np.round(5 + random.normal(0, 0.4, size), 1)


def messages(rows: int) -> list[tuple[str, list[tuple[str, bytes]], bytes, int]]:
    """Return encoded batches of `rows` readings: the facility's series take turns, minute by minute.

    The first, one for each facility, fill the rings.
    """
    random = np.random.default_rng(7)
    per_series = max(1, rows // SERIES)
    tags_each = min(rows, SERIES)
    made = []
    for number in range(FACILITIES):
        at = BEGIN + 60_000 * np.arange(FILLED, dtype=np.int64)
        count = SERIES * FILLED
        payload = Readings(
            batch="filling", tags=tuple(f"T{i}" for i in range(SERIES)), counts=np.full(SERIES, FILLED, np.int32),
            time=np.tile(at, SERIES), value=values(random, count), quality=np.zeros(count, np.uint8),
        )  # fmt: skip
        made.append((f"F-{number:04d}", *encode(payload), int(at[-1]) + 60_001))
    minute = FILLED
    while (len(made) - FACILITIES) * rows < TOTAL:
        for number in range(FACILITIES):
            for begin in range(0, SERIES, tags_each):
                tags = tuple(f"T{i}" for i in range(begin, min(begin + tags_each, SERIES)))
                count = len(tags) * per_series
                at = BEGIN + 60_000 * (minute + np.arange(per_series, dtype=np.int64))
                payload = Readings(
                    batch=f"m{minute}", tags=tags, counts=np.full(len(tags), per_series, np.int32),
                    time=np.tile(at, len(tags)), value=values(random, count), quality=np.zeros(count, np.uint8),
                )  # fmt: skip
                made.append((f"F-{number:04d}", *encode(payload), int(at[-1]) + 1_000))
        minute += per_series
    return made


def run(rows: int) -> dict[str, float]:
    """Measure one size of message."""
    default_bundle()
    made = messages(rows)
    filling, made = made[:FACILITIES], made[FACILITIES:]
    bare, folded = [], []
    changes = 0
    for _ in range(REPETITIONS):
        began = time.process_time()
        for offset, (name, headers, value, received) in enumerate(made):
            decode(0, offset, received, name.encode(), headers, value)
        bare.append(time.process_time() - began)
        engine = Engine(default_bundle())
        for number in range(FACILITIES):
            entity = facility(number)
            engine.fold(
                LogRecord(
                    0,
                    number,
                    BEGIN + 60_000 * FILLED,
                    Kind.REGISTER,
                    entity.id,
                    RegisterRecord(version=1, facility=entity),
                )
            )
        for offset, (name, headers, value, received) in enumerate(filling, FACILITIES):
            engine.fold(decode(0, offset, received, name.encode(), headers, value))
        began = time.process_time()
        changes = 0
        readings = 0
        for offset, (name, headers, value, received) in enumerate(made):
            record = decode(0, 2 * FACILITIES + offset, received, name.encode(), headers, value)
            changes += len(engine.fold(record))
            readings += record.payload.time.size
        folded.append(time.process_time() - began)
    began = time.process_time()
    snapshot = engine.snapshot(0, "F-0000")
    snapshot_s = time.process_time() - began
    median = statistics.median(folded)
    return {
        "readings_a_message": readings / len(made),
        "readings": readings,
        "changes": changes,
        "readings_per_cpu_s": round(readings / median),
        "cpu_us_per_message": round(median / len(made) * 1e6, 1),
        "cpu_us_per_reading": round(median / readings * 1e6, 3),
        "times_bare_decode": round(median / statistics.median(bare), 2),
        "snapshot_bytes_per_series": round(len(snapshot) / SERIES),
        "snapshot_ms_per_facility": round(snapshot_s * 1e3, 1),
    }


def main() -> None:
    """Print the figures."""
    result = {"bench": "engine", "python": platform.python_version(), "facilities": FACILITIES, "series_each": SERIES,
              "rules": len(default_bundle().rules), "sizes": [run(60), run(600)]}  # fmt: skip
    json.dump(result, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
