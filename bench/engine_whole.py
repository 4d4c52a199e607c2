"""The whole default pack over 1,000 facilities of 100 series: rows a second, next to a bare decode and to the plain Python oracle.

`make bench-engine` prints JSON (about half an hour): 60 and 600 readings a batch, what each kind costs, what late rows cost, snapshots,
memory, and what a process pays at its start. CPU time, medians of five windows or repetitions; ratios are of one run.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bench.figures import emit, resident_mb, spread
from rules.engine import Engine
from rules.pack import Bundle, default_bundle
from rules.records import Kind, LogRecord, Readings, RegisterRecord
from rules.register import Facility
from streams.codec import decode, encode
from tests.rules.oracle import fold as oracle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BEGIN: Final = 1_772_294_400_000
MINUTE: Final = 60_000
FILLED: Final = 150
"""Minutes that are folded before it is measured: rings reach over the late horizon then."""
WINDOWS: Final = 5
FACILITIES: Final = 1000
FEW: Final = 100
"""Facilities of the parts that are measured again and again: cost by kind, late rows."""
SIZES: Final = (60, 600)
Message = tuple[str, list[tuple[str, bytes]], bytes, int]


@dataclass(frozen=True, slots=True)
class Channel:
    """Sensors of one sort: how many, where, and what they read on a quiet day."""

    count: int
    area: str
    quantity: str
    unit: str
    mean: float
    spread: float
    resolution: float
    span: tuple[float, float]
    limits: tuple[float | None, float | None] = (None, None)


AREAS: Final = [
    *({"id": f"CR{n}", "kind": "cold-room", "floor_m2": 60} for n in range(4)),
    {"id": "FILL", "kind": "cleanroom", "grade": "A", "standard": "cn-gmp-2010"},
    {"id": "CORR", "kind": "cleanroom", "grade": "B", "standard": "cn-gmp-2010"},
    *({"id": f"TK{n}", "kind": "cryo-tank", "phase": "vapour", "stores": ["cell"]} for n in range(4)),
    {"id": "CRYO", "kind": "cryo-room", "floor_m2": 40, "height_m": 3, "stores": ["cell"]},
    {"id": "WFI", "kind": "water-loop", "water": "wfi", "pharmacopoeia": "chp"},
]
CHANNELS: Final = [
    *(Channel(8, f"CR{n}", "temperature", "Cel", 5, 0.4, 0.1, (-40, 60), (2, 8)) for n in range(4)),
    Channel(6, "FILL", "particles-0.5", "/m3", 800, 200, 1, (0, 1e7)),
    Channel(6, "FILL", "particles-5.0", "/m3", 3, 0.5, 1, (0, 1e6)),
    Channel(12, "CORR", "particles-0.5", "/m3", 900, 200, 1, (0, 1e7)),
    Channel(12, "CORR", "particles-5.0", "/m3", 10, 3, 1, (0, 1e6)),
    *(Channel(2, f"TK{n}", "temperature", "Cel", -180, 1, 0.1, (-200, 60), (None, -150)) for n in range(4)),
    *(Channel(2, f"TK{n}", "ln2-level", "%", 70, 1, 0.1, (0, 100), (40, None)) for n in range(4)),
    Channel(6, "CRYO", "oxygen", "%", 20.9, 0.05, 0.1, (0, 25), (19.5, None)),
    Channel(3, "WFI", "temperature", "Cel", 80, 0.3, 0.1, (0, 150), (70, None)),
    Channel(3, "WFI", "conductivity", "uS/cm", 1, 0.05, 0.01, (0, 20)),
    Channel(4, "WFI", "toc", "ug/L", 60, 3, 1, (0, 2000), (None, 500)),
]
SENSORS: Final = [channel for channel in CHANNELS for _ in range(channel.count)]
TAGS: Final = tuple(f"S{number:03d}" for number in range(len(SENSORS)))


def plant(number: int) -> Facility:
    """Return a firm with 100 sensors of eleven sorts, a reading a minute each; it posts rarely, so that no silence falls due."""
    sensors = [
        {
            "tag": tag, "area": each.area, "quantity": each.quantity, "unit": each.unit, "interval": "60s",
            "range": {"low": each.span[0], "high": each.span[1]}, "resolution": each.resolution,
            **({"sample_m3": 0.0283} if each.unit == "/m3" else {}),
            **({"detection_limit": each.span[0]} if each.quantity == "toc" else {}),
            **({"limits": {k: v for k, v in zip(("low", "high"), each.limits, strict=True) if v is not None}}
               if any(v is not None for v in each.limits) else {}),
        }
        for tag, each in zip(TAGS, SENSORS, strict=True)
    ]  # fmt: skip
    value = {
        "id": f"F-{number:04d}", "name": {"zh": "基准", "en": "Bench"}, "jurisdiction": "110000", "delivery": "20m",
        "scopes": [{"field": "manufacture", "line": "drug"}], "labels": ["cell-therapy", "vaccine"], "areas": AREAS, "sensors": sensors,
    }  # fmt: skip
    return Facility.model_validate(value)


MEAN: Final = np.array([each.mean for each in SENSORS])
SPREAD: Final = np.array([each.spread for each in SENSORS])
STEP: Final = np.array([each.resolution for each in SENSORS])


def quiet(random: np.random.Generator, minutes: int) -> np.ndarray:
    """Return readings of a quiet day at the sensors' resolution, shape (minutes, series)."""
    drawn = random.normal(MEAN, SPREAD, (minutes, len(TAGS)))
    return np.asarray(np.round(np.round(np.maximum(drawn, -200) / STEP) * STEP, 3))


def batch(name: str, first_minute: int, values: np.ndarray, begin: int, rows: int) -> Message:
    """Return one encoded batch of `values` (minutes, series): `rows` readings from the one at `begin`, as they were taken.

    Where a batch holds whole minutes, the rows of a tag stand side by side in it.
    """
    taken = np.arange(begin, begin + rows)
    minute, column = np.divmod(taken, len(TAGS))
    order = np.lexsort((minute, column))
    columns, counts = np.unique(column, return_counts=True)
    at = BEGIN + MINUTE * (first_minute + minute)
    payload = Readings(
        batch=f"m{first_minute}-{begin}", tags=tuple(TAGS[each] for each in columns), counts=counts.astype(np.int32), time=at[order],
        value=values[minute, column][order], quality=np.zeros(rows, np.uint8),
    )  # fmt: skip
    return (name, *encode(payload), int(at[-1]) + 1_000)


def window(random: np.random.Generator, facilities: int, rows: int, first_minute: int, minutes: int) -> list[Message]:
    """Return what all facilities post in some minutes, in batches of `rows` readings, in order of time."""
    per_batch = min(rows, minutes * len(TAGS))
    whole = math.lcm(per_batch, len(TAGS))
    made = []
    for minute in range(first_minute, first_minute + minutes, whole // len(TAGS)):
        parts = []
        for number in range(facilities):
            values = quiet(random, whole // len(TAGS))
            parts.append(
                [batch(f"F-{number:04d}", minute, values, begin, per_batch) for begin in range(0, whole, per_batch)]
            )
        made += [one for turn in zip(*parts, strict=True) for one in turn]
    return made


def records(made: Sequence[Message], offset: int) -> Iterator[LogRecord]:
    """Decode, one after the other."""
    for at, (name, headers, value, received) in enumerate(made, offset):
        record = decode(0, at, received, name.encode(), headers, value)
        assert isinstance(record, LogRecord)
        yield record


def filled(bundle: Bundle, facilities: int, random: np.random.Generator) -> Engine:
    """Return an engine with registers and full rings."""
    engine = Engine(bundle)
    for number in range(facilities):
        entity = plant(number)
        register = RegisterRecord(version=1, facility=entity)
        engine.fold(LogRecord(0, number, BEGIN, Kind.REGISTER, entity.id, register))
    made = window(random, facilities, FILLED * len(TAGS), 0, FILLED)
    for record in records(made, facilities):
        engine.fold(record)
    return engine


def spent(engine: Engine, made: Sequence[Message], offset: int) -> tuple[float, float, int]:
    """Return CPU seconds of decoding and folding, of decoding the same bytes alone, and the changes."""
    began = time.process_time()
    for _ in records(made, offset):
        pass
    bare = time.process_time() - began
    began = time.process_time()
    changes = sum(len(engine.fold(record)) for record in records(made, offset))
    return time.process_time() - began, bare, changes


def size(rows: int) -> dict[str, Any]:
    """Measure one size of batch: five windows of six minutes of the whole region, one behind the other."""
    random = np.random.default_rng(7)
    engine = filled(default_bundle(), FACILITIES, random)
    minutes = 6
    readings = FACILITIES * len(TAGS) * minutes
    offset, minute, times, bares, changes = 10**6, FILLED, [], [], 0
    for _ in range(WINDOWS):
        made = window(random, FACILITIES, rows, minute, minutes)
        folded, bare, more = spent(engine, made, offset)
        times.append(folded)
        bares.append(bare)
        changes += more
        offset, minute = offset + len(made), minute + minutes
    return {
        "readings_a_batch": round(readings / len(made), 1),
        "readings": readings * WINDOWS,
        "changes": changes,
        "million_readings_per_cpu_s": spread([readings / each / 1e6 for each in times], 3),
        "cpu_us_per_reading": spread([each / readings * 1e6 for each in times], 3),
        "cpu_us_per_batch": spread([each / len(made) * 1e6 for each in times], 1),
        "times_bare_decode": round(statistics.median(times) / statistics.median(bares), 2),
        "resident_mb": round(resident_mb(os.getpid())),
        **kept(engine),
    }


def kept(engine: Engine) -> dict[str, Any]:
    """Return what a series takes in memory and in a snapshot, and how long a facility's snapshot and restore take."""
    writing, reading, sizes = [], [], []
    for number in range(0, FACILITIES, FACILITIES // 20):
        name = f"F-{number:04d}"
        began = time.process_time()
        snapshot = engine.snapshot(0, name)
        writing.append(time.process_time() - began)
        began = time.process_time()
        engine.restore(0, name, snapshot)
        reading.append(time.process_time() - began)
        sizes.append(len(snapshot) / len(TAGS))
    state = engine._state(0, "F-0000")  # noqa: SLF001 - what is counted is inside
    held = 8 * (state.words.size + state.tails.size + state.rings.size)
    return {
        "memory_bytes_per_series": round(held / len(TAGS)),
        "snapshot_bytes_per_series": spread(sizes, 0),
        "snapshot_ms_per_facility": spread([each * 1e3 for each in writing]),
        "restore_ms_per_facility": spread([each * 1e3 for each in reading]),
    }


def by_kind(rows: int) -> dict[str, Any]:
    """Return what the rules of each kind cost: the same windows with and without them, turn by turn."""
    whole = default_bundle()
    kinds = sorted({rule.kind for rule in whole.rules})
    less: dict[str, Bundle] = {
        kind: whole.only({rule.id for rule in whole.rules if rule.kind != kind}) for kind in kinds
    }
    bundles: dict[str, Bundle] = {"all": whole, **less}
    engines = {name: filled(bundle, FEW, np.random.default_rng(7)) for name, bundle in bundles.items()}
    times: dict[str, list[float]] = {name: [] for name in engines}
    random = np.random.default_rng(8)
    offset, minute, minutes = 10**6, FILLED, 30
    for _ in range(WINDOWS):
        made = window(random, FEW, rows, minute, minutes)
        for name, engine in engines.items():
            folded, bare, _ = spent(engine, made, offset)
            times[name].append(folded - bare)
        offset, minute = offset + len(made), minute + minutes
    readings = FEW * len(TAGS) * minutes
    median = {name: statistics.median(found) / readings * 1e9 for name, found in times.items()}
    return {
        "all_ns_per_reading_without_decode": round(median["all"], 1),
        **{f"{kind}_ns_per_reading": round(median["all"] - median[kind], 1) for kind in kinds},
    }


def late() -> dict[str, Any]:
    """Return what a late row costs that is decided again, next to one in order: one minute of each series comes half an hour late."""
    random = np.random.default_rng(9)
    engine = filled(default_bundle(), FEW, random)
    in_order, behind = [], []
    offset, minute = 10**6, FILLED
    for _ in range(WINDOWS):
        held = []
        for number in range(FEW):
            values = quiet(random, 1)
            held.append(batch(f"F-{number:04d}", minute, values, 0, len(TAGS)))
        made = window(random, FEW, len(TAGS), minute + 1, 30)
        in_order.append(spent(engine, made, offset)[0] / (FEW * len(TAGS) * 30))
        received = made[-1][3]
        held = [(name, headers, value, received) for name, headers, value, _ in held]
        behind.append(spent(engine, held, offset + len(made))[0] / (FEW * len(TAGS)))
        offset, minute = offset + len(made) + len(held), minute + 31
    return {
        "in_order_us_per_row": spread([each * 1e6 for each in in_order], 3),
        "late_us_per_row": spread([each * 1e6 for each in behind], 3),
        "ratio": round(statistics.median(behind) / statistics.median(in_order), 1),
    }


def against_oracle() -> dict[str, Any]:
    """Return how much slower the plain Python version of the same rules is over an hour of one facility, one reading at a time."""
    entity = plant(0)
    first = LogRecord(0, 0, BEGIN, Kind.REGISTER, entity.id, RegisterRecord(version=1, facility=entity))
    made = window(np.random.default_rng(7), 1, len(TAGS), 0, 60)
    log = [first, *records(made, 1)]
    readings = len(TAGS) * 60
    began = time.process_time()
    plain = oracle.fold(log, default_bundle())  # type: ignore[no-untyped-call]
    slow = time.process_time() - began
    fast = []
    for _ in range(WINDOWS):
        engine = Engine(default_bundle())
        registered = engine.fold(first)  # what the register lacks is told at once
        began = time.process_time()
        changes = [*registered, *(change for record in log[1:] for change in engine.fold(record))]
        fast.append(time.process_time() - began)
    assert len(changes) == len(plain[entity.id][0])
    return {
        "oracle_us_per_reading": round(slow / readings * 1e6, 1),
        "engine_us_per_reading": spread([each / readings * 1e6 for each in fast], 3),
        "ratio": round(slow / statistics.median(fast)),
    }


STARTED: Final = (
    "import json, time; c = time.process_time(); from rules import kernels; i = time.process_time(); kernels.warm();"
    "print(json.dumps([i - c, time.process_time() - i]))"
)


def starts() -> dict[str, Any]:
    """Return CPU seconds of compiling everything anew, and of a start that finds it compiled."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "XDG_CACHE_HOME": folder}
        environment.pop("NUMBA_CACHE_DIR", None)
        runs = []
        for _ in range(1 + WINDOWS):
            done = subprocess.run(
                [sys.executable, "-c", STARTED], env=environment, check=True, capture_output=True, cwd=Path.cwd()
            )
            runs.append(json.loads(done.stdout))
    return {
        "cold_compile_s": round(sum(runs[0]), 2),
        "warm_start_s": spread([sum(run) for run in runs[1:]], 3),
        "of_it_import_s": spread([run[0] for run in runs[1:]], 3),
    }


def main() -> None:
    """Print the figures."""
    figures: dict[str, Any] = {"facilities": FACILITIES, "series_each": len(TAGS), "rules": len(default_bundle().rules)}
    for name, part in (("starts", starts), ("against_oracle", against_oracle), ("late", late)):
        figures[name] = part()
    figures["by_kind"] = {str(rows): by_kind(rows) for rows in SIZES}
    figures["sizes"] = [size(rows) for rows in SIZES]
    emit("engine_whole", figures)


if __name__ == "__main__":
    main()
