"""What inputs at the ends of what is allowed cost the fold: CPU seconds and memory, JSON on stdout.

One batch of 50,000 readings (of one series, of 34, of 420; in order and shuffled; all late inside of the horizon, and behind it; values
at the ends of a double), each also of a quarter: the ratio is the one over the other, so 4 is a cost that grows with the number. 5,000
series at one facility; a series with one reading and 30 days of ticks behind it; 100,000 series in one process, once. Medians of five but
for the last. `tests/bench/test_extremes_bench.py` holds what is told of the same scenes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bench import engine_whole
from bench.figures import emit, resident_mb, spread, status
from bench.many_scenes import BEGIN, ID, MINUTE, Log, Scene
from rules import kernels
from rules.engine import Engine
from rules.pack import default_bundle
from rules.records import Kind, Readings
from rules.register import Facility

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from rules.changes import Change

MOST: Final = 50_000
"""Readings that one batch may hold (contracts.md)."""
SERIES: Final = 5_000
"""Series that one facility, and one batch, may have."""
REGION: Final = 1_000
"""Facilities of 100 series in one process."""
SECOND: Final = 1_000
DAY: Final = 1_440
ENDS: Final = (sys.float_info.max, -sys.float_info.max, 5e-324, -5e-324, 0.0, -0.0, 2.0**53 + 2, 1e-308)
"""Values at the ends of a double, and next to nothing."""


def store(series: int, interval: str = "60s") -> Facility:
    """Return a firm with so many sensors of cold rooms, 25 a room."""
    areas = [{"id": f"A{n:03d}", "kind": "cold-room", "floor_m2": 60} for n in range(-(-series // 25))]
    sensors = [
        {"tag": tag, "area": f"A{n // 25:03d}", "quantity": "temperature", "unit": "Cel", "interval": interval}
        for n, tag in enumerate(tags_of(series))
    ]
    value = {
        "id": ID, "name": {"zh": "极限", "en": "Extremes"}, "jurisdiction": "110000", "delivery": "20m",
        "scopes": [{"field": "distribution", "line": "drug"}], "areas": areas, "sensors": sensors,
    }  # fmt: skip
    return Facility.model_validate(value)


def tags_of(series: int) -> tuple[str, ...]:
    """Return the tags of a store."""
    return tuple(f"T{n:04d}" for n in range(series))


def curve(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the values of readings by their number: 5 degrees and some tenths, and 9.5 for 40 of every 500."""
    return np.where(numbers % 500 >= 460, 9.5, np.round(5 + 0.1 * (numbers % 7), 1))  # noqa: PLR2004 - as said


def batch(name: str, times: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> Readings:
    """Return a batch of a row of times (ms) and values for each series."""
    series, rows = times.shape
    counts = np.full(series, rows, np.int32)
    return Readings(name, tags_of(series), counts, times.ravel(), values.ravel(), np.zeros(times.size, np.uint8))


def posted(series: int, step: int, times: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> Scene:
    """Return a store that posts one batch, received a second behind its newest reading; `step` is the interval in ms.

    A tick stands behind it: what came late in its instant is decided then.
    """
    log = Log(store(series, f"{step // SECOND}s"))
    before, newest = len(log.records), int(times.max()) - BEGIN
    log.put(newest + SECOND, Kind.READINGS, batch("most", times, values))
    log.tick(newest + 2 * SECOND)
    return Scene(log.records[:before], log.records[before:])


def one_series(rows: int, *, by_chance: bool = False) -> Scene:
    """Return one series with all rows of a batch, a second apart: 14 hours; or in an order by chance, so that most lie behind the horizon."""
    numbers = np.random.default_rng(5).permutation(rows) if by_chance else np.arange(rows)
    return posted(1, SECOND, (BEGIN + SECOND * numbers)[None], curve(numbers)[None])


def of_420(rows: int, *, by_chance: bool = False) -> Scene:
    """Return the rows of 420 series, a minute apart: not quite two hours, so that each lies inside the horizon in whatever order it comes."""
    each = rows // 420
    numbers = np.broadcast_to(np.arange(each), (420, each))
    if by_chance:  # behind the first, which begins the series
        numbers = np.random.default_rng(5).permuted(numbers[:, 1:], axis=1)
        numbers = np.concatenate([np.zeros((420, 1), np.int64), numbers], axis=1)
    return posted(420, MINUTE, BEGIN + MINUTE * numbers, curve(numbers + 13 * np.arange(420)[:, None]))


def of_34(rows: int) -> Scene:
    """Return the rows of 34 series, a minute apart: a day and half an hour of each, where there are 50,000."""
    numbers = np.broadcast_to(np.arange(rows // 34), (34, rows // 34))
    return posted(34, MINUTE, BEGIN + MINUTE * numbers, curve(numbers + 13 * np.arange(34)[:, None]))


def ends(rows: int) -> Scene:
    """Return the same rows with values at the ends of a double."""
    numbers = np.broadcast_to(np.arange(rows // 34), (34, rows // 34))
    values = np.array(ENDS)[(numbers // 3 + np.arange(34)[:, None]) % len(ENDS)]
    return posted(34, MINUTE, BEGIN + MINUTE * numbers, values)


def late(rows: int, series: int = 840) -> Scene:
    """Return series of which every other minute came live; the others come in one batch.

    Of 840 series 59 rows each lie inside the horizon, and are decided again; of 70 series 11 of 12 rows lie behind it.
    """
    each = rows // series
    numbers = np.broadcast_to(2 * np.arange(each), (series, each))
    shift = 13 * np.arange(series)[:, None]
    log = Log(store(series))
    for begin in range(0, each, 60):
        part = numbers[:, begin : begin + 60]
        told = batch(f"live{begin}", BEGIN + MINUTE * part, curve(part + shift))
        log.put(MINUTE * int(part.max()) + SECOND, Kind.READINGS, told)
    before = len(log.records)
    told = batch("late", BEGIN + MINUTE * (numbers + 1), curve(numbers + 1 + shift))
    log.put(MINUTE * (2 * each) + SECOND, Kind.READINGS, told)
    log.tick(MINUTE * (2 * each) + 2 * SECOND)
    return Scene(log.records[:before], log.records[before:])


def wide(series: int, minutes: int = 10) -> Scene:
    """Return a facility with so many series that posts a row of each in a batch a minute."""
    log = Log(store(series))
    for minute in range(minutes):
        values = curve(np.full((series, 1), minute) + np.arange(series)[:, None])
        log.put(
            MINUTE * minute + SECOND,
            Kind.READINGS,
            batch(f"m{minute}", np.full((series, 1), BEGIN + MINUTE * minute), values),
        )
    return Scene(log.records[:1], log.records[1:])


def single(ticks: int) -> Scene:
    """Return a series with one reading, and ticks ten minutes apart behind it."""
    log = Log(store(1))
    log.put(SECOND, Kind.READINGS, batch("only", np.array([[BEGIN]]), np.array([[9.5]])))
    before = len(log.records)
    for tick in range(1, ticks + 1):
        log.tick(10 * MINUTE * tick)
    return Scene(log.records[:before], log.records[before:])


BATCHES: Final[dict[str, Callable[[int], Scene]]] = {
    "one_series": one_series, "one_series_shuffled": partial(one_series, by_chance=True), "of_34_series": of_34,
    "of_420_series": of_420, "of_420_series_shuffled": partial(of_420, by_chance=True), "all_late": late,
    "all_behind_the_horizon": partial(late, series=70), "ends_of_a_double": ends,
}  # fmt: skip


def folded(scene: Scene) -> tuple[float, float, list[Change], int]:
    """Return the CPU seconds of what leads to a scene and of the scene, what the scene told, and the bytes of the snapshot behind it."""
    engine = Engine(default_bundle())
    began = time.process_time()
    for record in scene.before:
        engine.fold(record)
    between = time.process_time()
    changes = [change for record in scene.measured for change in engine.fold(record)]
    ended = time.process_time()
    return between - began, ended - between, changes, len(engine.snapshot(0, ID))


def of_batch(make: Callable[[int], Scene], rows: int, repetitions: int) -> dict[str, Any]:
    """Measure a batch and a quarter of it, in turn."""
    times: dict[int, list[float]] = {rows // 4: [], rows: []}
    told: dict[int, int] = {}
    size = 0
    for _ in range(repetitions):
        for count, found in times.items():
            _, spent, changes, size = folded(make(count))
            found.append(spent)
            told[count] = len(changes)
    quarter, whole = times.values()
    return {
        "cpu_s": spread(whole, 4),
        "cpu_s_of_a_quarter": spread(quarter, 4),
        "ratio_of_four_times_as_many": round(statistics.median(b / a for a, b in zip(quarter, whole, strict=True)), 2),
        "changes": told[rows],
        "snapshot_bytes": size,
    }


def of_many_series(series: int, repetitions: int) -> dict[str, Any]:
    """Measure the register of a facility with so many series, and a minute of it."""
    runs = [folded(wide(series)) for _ in range(repetitions)]
    return {
        "series": series,
        "register_cpu_s": spread([before for before, *_ in runs], 3),
        "cpu_ms_a_minute": spread([1e3 * spent / 10 for _, spent, *_ in runs], 2),
        "snapshot_bytes": runs[-1][3],
    }


def of_one_reading(ticks: int, repetitions: int) -> dict[str, Any]:
    """Measure ticks behind a series with one reading: a quarter of them, and all."""
    runs = [(folded(single(ticks // 4)), folded(single(ticks))) for _ in range(repetitions)]
    return {
        "ticks": ticks,
        "cpu_us_a_tick": spread([1e6 * whole[1] / ticks for _, whole in runs], 1),
        "ratio_of_four_times_as_many": round(statistics.median(whole[1] / part[1] for part, whole in runs), 2),
        "changes": [len(part) for part in (runs[-1][0][2], runs[-1][1][2])],
        "snapshot_bytes": [runs[-1][0][3], runs[-1][1][3]],
    }


def of_region(facilities: int) -> dict[str, Any]:
    """Measure facilities of 100 series in this process: registers, two and a half hours of readings in large batches, and memory."""
    before = resident_mb(os.getpid())
    began = time.process_time()
    engine = engine_whole.filled(default_bundle(), facilities, np.random.default_rng(7))
    spent = time.process_time() - began
    readings = facilities * len(engine_whole.TAGS) * engine_whole.FILLED
    now, most = resident_mb(os.getpid()), status(os.getpid(), "VmHWM") / 1024
    return {
        "series": facilities * len(engine_whole.TAGS),
        "readings": readings,
        "cpu_s": round(spent, 1),
        "cpu_us_a_reading": round(1e6 * spent / readings, 2),
        "resident_mb": round(now),
        "most_mb": round(most),
        "kib_a_series": round(1024 * (now - before) / (facilities * len(engine_whole.TAGS)), 1),
        "snapshot_bytes_of_one_facility": len(engine.snapshot(0, "F-0000")),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="shows that it works; the figures mean little")
    given = parser.parse_args()
    rows, series, ticks, facilities, repetitions = (
        (6_800, 100, 400, 5, 1) if given.quick else (MOST, SERIES, 30 * DAY // 10, REGION, given.repetitions)
    )
    kernels.warm()
    folded(of_34(680))
    batches = {name: of_batch(make, rows, repetitions) for name, make in BATCHES.items()}
    emit("extremes", {
        "rules": len(default_bundle().rules), "readings_of_a_batch": rows, "batches": batches,
        "one_facility": of_many_series(series, repetitions), "one_reading": of_one_reading(ticks, repetitions),
        "one_process": of_region(facilities),
    })  # fmt: skip


if __name__ == "__main__":
    main()
