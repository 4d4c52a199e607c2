"""Draw the small picture of a row's readings: a line, its limits, the newest reading, and the same in words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from monitor.console.formats import local, number
from monitor.console.texts import text
from rules.instants import span
from rules.wording import sign

if TYPE_CHECKING:
    from monitor.alarms.sparks import Spark
    from monitor.store.desk_tables import AlarmRow

WIDTH, HEIGHT, EDGE = 120, 32, 3
BREAK = 4
"""A hole so many times as wide as the readings usually lie apart is not bridged."""


def picture(row: AlarmRow, spark: Spark | None, language: str) -> dict[str, Any] | None:
    """Return lines, limits and words for a template; none without readings. Lengths are units of the view box."""
    if spark is None:
        return None
    found = json.loads(row.evidence).get("limits", ())
    limits = {limit["name"]: float(limit["value"]) for limit in found if limit["name"] in {"low", "high"}}
    unit = next((limit["unit"] for limit in found if limit.get("unit")), None)
    lowest, highest = min(point[1] for point in spark.points), max(point[2] for point in spark.points)
    scale = _Scale(
        spark.wanted.from_ms, spark.wanted.to_ms, min([lowest, *limits.values()]), max([highest, *limits.values()])
    )
    return {
        "lines": _lines(spark.points, scale),
        "limits": sorted({scale.y(value) for value in limits.values()}),
        "start": scale.x(row.start_ms) if spark.wanted.from_ms <= row.start_ms < spark.wanted.to_ms else None,
        "last": (scale.x(spark.points[-1][0]), scale.y(spark.last)),
        "beyond": spark.last > limits.get("high", spark.last) or spark.last < limits.get("low", spark.last),
        "label": _label(row, spark, (lowest, highest), limits, unit, language),
    }


@dataclass(frozen=True, slots=True)
class _Scale:
    """Instants and values to places in the view box."""

    from_ms: int
    to_ms: int
    bottom: float
    top: float

    def x(self, at_ms: int) -> float:
        share = (at_ms - self.from_ms) / (self.to_ms - self.from_ms)
        return round(EDGE + min(max(share, 0.0), 1.0) * (WIDTH - 2 * EDGE), 1)

    def y(self, value: float) -> float:
        if self.top == self.bottom:
            return HEIGHT / 2
        return round(EDGE + (self.top - value) / (self.top - self.bottom) * (HEIGHT - 2 * EDGE), 1)


@lru_cache(maxsize=2_000)
def _lines(points: tuple[tuple[int, float, float], ...], scale: _Scale) -> tuple[str, ...]:
    """Return the corners of the line, anew behind each hole; kept, for a queue is drawn again with every step of it."""
    apart = [after[0] - before[0] for before, after in pairwise(points)]
    widest = BREAK * median(apart) if apart else 0
    runs: list[list[str]] = [[]]
    before = points[0][0]
    for at, low, high in points:
        if at - before > widest:
            runs.append([])
        before, place = at, scale.x(at)
        # One corner where all readings of a stretch are equal, else from the lowest up to the highest.
        runs[-1] += [f"{place},{scale.y(value)}" for value in ((low,) if low == high else (low, high))]
    return tuple(" ".join(run) for run in runs)


def _label(
    row: AlarmRow, spark: Spark, ends: tuple[float, float], limits: dict[str, float], unit: str | None, language: str
) -> str:
    shown = "" if unit is None else f" {sign(unit)}"
    words = text(
        "spark.label", language, tag=json.loads(row.subject)["tag"],
        t=span(spark.wanted.to_ms - spark.wanted.from_ms, language), time=local(spark.wanted.to_ms)[5:16],
        last=number(spark.last) + shown, low=number(ends[0]) + shown, high=number(ends[1]) + shown,
    )  # fmt: skip
    for name, key in (("low", "spark.low"), ("high", "spark.high")):
        if name in limits:
            words += text(key, language, value=number(limits[name]) + shown)
    return words
