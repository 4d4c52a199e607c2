"""Rules of the kinds `cumulative` and `mean_kinetic` with windows that small logs can fill, and logs that fill them."""

from __future__ import annotations

import math
from random import Random

from hypothesis import strategies as st
from pydantic import TypeAdapter

from rules.pack import Bundle, default_bundle
from rules.register import Facility
from rules.rule import Rule
from tests.rules.logs import BEGIN, FACILITY, Row, facility
from tests.rules.oracle.mean_kinetic import begin_of, month_of, shift

DAY = 24 * 3_600_000
COMMON = {
    "schema": "rule/1",
    "version": "1.0.0",
    "title": {"en": "Test", "zh": "测试"},
    "applies_to": {"sensor.quantity": "temperature", "area.kind": ["cold-room", "room-store"]},
    "severity": {"base": "orange"},
    "scopes": [{"field": "manufacture", "line": "drug"}],
    "cites": [{"instrument": "Test (own)", "status": "own"}],
    "rationale": {name: {"en": "Test", "zh": "测试"} for name in ("cause", "consequence", "response")},
}
SUM = {"kind": "cumulative", "total": "4m", "clear_below": "3m", "window": "16m",
       "applies_to": {"sensor.quantity": "temperature", "area.kind": "cold-room"}}  # fmt: skip
RULES = [
    {"id": "test.single", "kind": "limit", "limits": {"from": {"high": 8}}, "when": {"on_delay": "5m"},
     "clear": {"consecutive": 3, "deadband": 0.5}},
    {"id": "test.single-by-clock", "kind": "limit", "limits": {"from": {"low": 2.4}, "inclusive": True},
     "when": {"on_delay": "90s", "consecutive": 1}, "clear": {"consecutive": 2}, "marked": "count"},
    {"id": "test.sum", **SUM, "limits": {"from": {"high": 8}}},
    {"id": "test.sum-idle", **SUM, "limits": {"from": {"high": 8}}, "idle_while": "test.single", "reads": ["test.single"]},
    {"id": "test.sum-low", **SUM, "limits": {"from": {"low": 2.4}, "inclusive": True}, "total": "150s",
     "clear_below": "150s", "idle_while": "test.single-by-clock", "reads": ["test.single-by-clock"], "marked": "count",
     "unknown": {"max": "1m"}},
    {"id": "test.mean", "kind": "mean_kinetic", "above": 25.0, "clear_at": 24.8},
]  # fmt: skip


def rule(entry):
    """Return a rule of its own members and the common ones."""
    return TypeAdapter(Rule).validate_python({**COMMON, **entry})


def bundle():
    """Return the test rules, with the shipped one that excludes values and one more of each other kind."""
    shipped = default_bundle().only({"data-integrity.physical-range", "data-integrity.gap", "cold-chain.store-out"})
    return Bundle.of([*shipped.rules, *(rule(entry) for entry in RULES)], shipped.tables.values())


def store(interval, delivery=60_000):
    """Return a facility with one sensor in a room store, interval in days."""
    return Facility.model_validate(
        {
            "id": FACILITY,
            "name": {"zh": "测试", "en": "Test"},
            "jurisdiction": "110000",
            "delivery": f"{delivery}ms",
            "scopes": [{"field": "manufacture", "line": "drug"}],
            "areas": [{"id": "A1", "kind": "room-store"}],
            "sensors": [
                {"tag": "T0", "area": "A1", "quantity": "temperature", "unit": "Cel", "interval": f"{interval}d",
                 "range": {"low": -40, "high": 60}}
            ],
        }
    )  # fmt: skip


WARM = [20.0, 24.0, 24.7, 24.8, 24.9, 25.0, 25.1, 25.3, 27.0, 30.0, 99.0]
CLIMATES = [
    WARM,
    [24.7, 24.8, 24.9, 25.0, 25.1, 25.2],
    [24.0, 24.5, 25.0, 27.0, 30.0],
    [26.0, 30.0],
    [18.0, 22.0, 24.0],
]


@st.composite
def years(draw):
    """Draw a log of thirteen months or more: few readings, many of them round the ends of months."""
    interval = draw(st.sampled_from([8, 12, 20]))
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    values = random.choice(CLIMATES)
    entries = []
    t = BEGIN + draw(st.sampled_from([0, 1, 3 * DAY]))
    until = BEGIN + draw(st.sampled_from([400, 800, 800])) * DAY
    holes = draw(st.sampled_from([0, 0, 1, 2]))
    value = random.choice(values)
    clock = BEGIN
    while t < until:
        if random.random() < 0.02:
            values = random.choice(CLIMATES)
        if random.random() < 0.3:
            value = random.choice(values)
        rows = [Row("T0", t, value, random.choice([0] * 20 + [2, 6, 1]))]
        if random.random() < 0.2:  # what comes late, or again
            behind = t - random.choice([1, 60_000, 3_600_000, 7_100_000, 7_300_000])
            rows.append(Row("T0", max(BEGIN, behind), random.choice(values), 0))
        if random.random() < 0.1:
            rows.append(rows[0])
        clock = max(clock, t + random.choice([0, 1_000, 1_000, 2 * DAY]))
        if random.random() < 0.5:
            entries.append((clock, rows))
        else:
            entries += [(clock + 1_000 * i, [row]) for i, row in enumerate(rows)]
            clock = entries[-1][0]
        jump = random.choice(["step"] * 6 + ["end"] * 4 + ["short"])
        end = begin_of(shift(month_of(t), 1))
        if holes and random.random() < 0.03:
            holes -= 1
            t += random.choice([2 * interval * DAY + 1, 50 * DAY, 100 * DAY])
        elif jump == "step":
            t += random.choice([interval, interval, 2 * interval]) * DAY
        elif jump == "end":
            t = max(t + 1, min(t + 2 * interval * DAY, end) + random.choice([-60_000, -1, 0, 1, 3_600_000]))
        else:
            t += random.choice([60_000, 3_600_000])
    return store(interval, draw(st.sampled_from([10_000, 3_600_000]))), entries


COLD = [5.0, 7.0, 7.6, 8.0, 8.1, 9.0, 9.0, 12.0, 2.5, 2.4, 2.0, 99.0]


@st.composite
def hours(draw):
    """Draw a log of an hour or a few: long runs at one value near the limits, dips, gaps, late rows."""
    interval = draw(st.sampled_from([20, 60, 60, 120]))
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    values = draw(st.sampled_from([COLD, [5.0, 9.0], [2.0, 5.0], [7.6, 8.1]]))
    spoilt = draw(st.sampled_from([0.0, 0.02, 0.2]))
    entries = []
    t = clock = BEGIN + draw(st.sampled_from([0, 1, 7_000]))
    kept = []
    for _ in range(draw(st.integers(4, 20))):
        rows = []
        value = random.choice(values)
        for _ in range(random.choice([1, 2, 3, 5, 8, 13])):
            q = random.choice([2, 3, 6, 8]) if random.random() < spoilt else 0
            rows.append(Row("T0", t, math.nan if q == 8 else value, q))
            t += interval * 1_000 + random.choice([0, 0, 0, 1, 500])
            if random.random() < 0.03:
                t += random.choice([interval, interval, 4 * interval, 20 * interval]) * 1_000
        if random.random() < 0.15:
            kept += rows
            continue
        if random.random() < 0.5:
            clock = max(clock, rows[-1].t + random.choice([0, 1_000, 200_000]))
            entries.append((clock, rows))
        else:
            for row in rows:
                clock = max(clock, row.t + random.choice([0, 1_000]))
                entries.append((clock, [row]))
        if random.random() < 0.3:  # one between them, of which nobody knew
            entries.append(
                (clock + 2, [Row("T0", random.choice(rows).t - random.choice([1, 1_000]), random.choice(values), 0)])
            )
        if kept and random.random() < 0.7:
            entries.append((clock + 1, kept[::-1] if random.random() < 0.5 else kept))
            kept = []
    return facility([("T0", "A1", interval)], delivery=draw(st.sampled_from([10_000, 60_000]))), entries
