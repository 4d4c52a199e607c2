"""Hypothesis strategies: facilities and the logs they could send."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from rules.records import Kind, LogRecord, Mark, Readings, RegisterRecord, Report, Tick
from rules.register import Facility
from tests.calibrated import CALIBRATION
from tests.rules import morerooms

BEGIN = 1_772_294_400_000
FACILITY = "TEST-0001"


@dataclass(frozen=True)
class Row:
    tag: str
    t: int
    v: float
    q: int = 0


def readings(rows, batch="b"):
    """Pack rows of one record, tags in order of first appearance (one run per tag)."""
    tags = list(dict.fromkeys(row.tag for row in rows))
    ordered = [row for tag in tags for row in rows if row.tag == tag]
    return Readings(
        batch=batch,
        tags=tuple(tags),
        counts=np.array([sum(row.tag == tag for row in rows) for tag in tags], np.int32),
        time=np.array([row.t for row in ordered], np.int64),
        value=np.array([row.v for row in ordered], np.float64),
        quality=np.array([row.q for row in ordered], np.uint8),
    )


def facility(sensors, delivery=60_000, name=FACILITY):
    """Return a facility with a cold room A1, a tank A2 and these (tag, area, interval s) sensors; areas of morerooms too."""
    used = {area for _, area, _ in sensors}
    return Facility.model_validate(
        {
            "id": name,
            "name": {"zh": "测试", "en": "Test"},
            "jurisdiction": "110000",
            "delivery": f"{delivery}ms",
            "scopes": [
                {"field": "manufacture", "line": "drug"},
                *([{"field": "distribution", "line": "drug"}] if used & {"CS", "RS"} else []),
            ],
            "areas": [{"id": "A1", "kind": "cold-room"}, {"id": "A2", "kind": "cryo-tank"}, *morerooms.areas(used)],
            "sensors": [
                {
                    "tag": tag,
                    "calibration": CALIBRATION,
                    **(
                        morerooms.measured(area) if area in morerooms.PLACES
                        else {
                            "area": area, "quantity": "temperature", "unit": "Cel",
                            "limits": {"low": 2, "high": 8}, "range": {"low": -200, "high": 60},
                        }
                    ),
                    **({"interval": f"{interval}s"} if interval else {}),
                }
                for tag, area, interval in sensors
            ],
        }
    )  # fmt: skip


COLD = [4.9, 5.0, 5.1, 7.4, 7.5, 7.6, 8.0, 8.1, 9.0, 1.9, 2.4, 2.5, 99.0]
TANK = [-170.0, -157.0, -156.0, -155.0, -154.0, -151.0, -150.0, -149.0, -140.0, -135.0, -134.9, 99.0]
AREAS = ["A1", "A1", "A2"] * 4 + list(morerooms.PLACES)
"""Most sensors stand in the cold room and the tank."""


@st.composite
def logs(draw, *, doors=True, late=True):
    """Draw a log of one facility: (facility, [(received, rows or tick role)])."""
    count = draw(st.integers(1, 3))
    sensors = [
        (f"T{i}", draw(st.sampled_from(AREAS)), draw(st.sampled_from([60, 60, 60, 300, 600, 3600, None])))
        for i in range(count)
    ]
    entries = []
    now = BEGIN
    heads = {tag: BEGIN for tag, _, _ in sensors}
    kept = []
    for _ in range(draw(st.integers(1, 14))):
        kinds = ["run", "run", "run", "gap", "tick", "dup", "future", "unknown"]
        kinds += (["backfill", "hold"] if late else []) + (["door"] if doors else [])
        kind = draw(st.sampled_from(kinds))
        tag, area, interval = draw(st.sampled_from(sensors))
        step = (interval or 60) * 1000
        values = {"A1": COLD, "A2": TANK}.get(area) or morerooms.PLACES[area][2]
        if kind in ("run", "hold"):
            rows = []
            value = draw(st.sampled_from(values))
            steady = draw(st.integers(0, 7)) == 7  # long enough for delays of hours and for values that do not move
            for _ in range(draw(st.sampled_from([14, 62])) if steady else draw(st.integers(1, 12))):
                heads[tag] = max(heads[tag] + step, now - step * 2)
                if steady:
                    rows.append(Row(tag, heads[tag], value))
                    continue
                if draw(st.integers(0, 2)) == 0:
                    value = draw(st.sampled_from(values))
                q = draw(st.sampled_from([0] * 8 + [2, 3, 6, 8]))
                missing = q in (6, 8) and draw(st.booleans())
                rows.append(Row(tag, heads[tag], math.nan if missing else value, q))
            if kind == "hold":
                kept += rows
                continue
            now = max(now, rows[-1].t + draw(st.sampled_from([0, 500, 30_000])))
            if draw(st.booleans()):
                entries.append((now, rows))
            else:
                entries += [(max(row.t, now - 600_000 + i), [row]) for i, row in enumerate(rows)]
        elif kind == "backfill" and kept:
            rows, kept = kept, []
            order = draw(st.sampled_from(["oldest", "newest", "none"]))
            if order == "newest":
                rows = list(reversed(rows))
            elif order == "none":
                draw(st.randoms(use_true_random=False)).shuffle(rows)
            now += draw(st.sampled_from([1, 1000]))
            size = draw(
                st.sampled_from([len(rows), len(rows), 1 + len(rows) // 3])
            )  # in one record or in three of one instant
            entries += [(now, rows[i : i + size]) for i in range(0, len(rows), size)]
        elif kind == "gap":
            now += draw(st.sampled_from([step * 2, step * 3, step * 8, 2_400_000, 7_500_000]))
            heads = {name: max(head, now) if draw(st.booleans()) else head for name, head in heads.items()}
        elif kind == "tick":
            now += draw(st.sampled_from([1000, 60_000, 400_000]))
            entries.append((now, draw(st.sampled_from(["gateway", "worker"]))))
        elif kind == "door":
            entries.append((now, "gateway"))
            now += draw(st.sampled_from([901_000, 4_000_000]))
            entries.append((now, "gateway"))
        elif kind == "dup" and entries:
            old = draw(st.sampled_from(entries))[1]
            if not isinstance(old, str):
                entries.append((now, [replace(row, v=row.v + draw(st.sampled_from([0.0, 1.0]))) for row in old]))
        elif kind == "future":
            entries.append((now, [Row(tag, now + draw(st.sampled_from([300_001, 10_000_000])), 5.0)]))
        elif kind == "unknown":
            entries.append((now, [Row("NOPE", now, 5.0)]))
    return facility(sensors, delivery=draw(st.sampled_from([10_000, 60_000]))), entries


def records(entity, entries, *, partition=0, begin_offset=0):
    """Return the log records of drawn entries, the register first."""
    log = [
        LogRecord(partition, begin_offset, BEGIN, Kind.REGISTER, entity.id, RegisterRecord(version=1, facility=entity))
    ]
    for received, what in entries:
        offset = begin_offset + len(log)
        if isinstance(what, str):
            tick = Tick(by="t", role=what, now=received)
            log.append(LogRecord(partition, offset, received, Kind.TICK, "", tick))
        elif isinstance(what, Report):
            log.append(LogRecord(partition, offset, received, Kind.REPORT, entity.id, what))
        elif isinstance(what, Mark):
            log.append(LogRecord(partition, offset, received, Kind.MARK, entity.id, what))
        else:
            log.append(LogRecord(partition, offset, received, Kind.READINGS, entity.id, readings(what, f"b{offset}")))
    return log
