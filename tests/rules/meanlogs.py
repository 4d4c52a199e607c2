"""Smoothed rules of the kind `limit`, and logs of particles that fill their windows, or almost."""

from __future__ import annotations

import math
from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.register import Facility
from tests.rules import sums
from tests.rules.logs import BEGIN, FACILITY, Row

APPLIES = {"sensor.quantity": "particles-5.0", "area.kind": "cleanroom"}
MEAN = {"kind": "limit", "applies_to": APPLIES, "severity": {"base": "red"}}
EARLY = {"records": 2, "of": 3, "count": 1, "to": "yellow"}
RULES = [
    {"id": "test.mean", **MEAN, "limits": {"from": {"high": 20}}, "smooth": {"volume": "1 m3", "early": EARLY}},
    {"id": "test.plain", **MEAN, "limits": {"from": {"high": 20}, "inclusive": True}, "smooth": {"volume": "0.5 m3"},
     "clear": {"consecutive": 1}, "unknown": {"max": "1m"}},
    {"id": "test.quick", **MEAN, "limits": {"from": {"high": 12.5}}, "clear": {"consecutive": 2}, "marked": "count",
     "smooth": {"volume": "0.7 m3", "early": {"records": 3, "of": 4, "count": 2, "to": "blue"}}},
    {"id": "test.hasty", **MEAN, "limits": {"from": {"high": 30}}, "clear": {"consecutive": 1},
     "smooth": {"volume": "2 m3", "early": {"records": 1, "of": 4, "count": 1, "to": "orange"}}},
]  # fmt: skip
NAMES = tuple(entry["id"] for entry in RULES)
SAMPLES = [0.1, 0.1, 0.25, 0.0283, 0.111, 0.02, 1.0, 0.004]


def rule(entry):
    """Return a smoothed rule of its own members and the common ones."""
    return sums.rule(entry)


def bundle():
    """Return the test rules, with the shipped one that excludes values and two more kinds."""
    shipped = default_bundle().only({"data-integrity.physical-range", "data-integrity.gap"})
    return Bundle.of([*shipped.rules, *(rule(entry) for entry in RULES)], shipped.tables.values())


def cleanroom(interval, sample, delivery=60_000):
    """Return a facility with one counter in grade A; `interval` in seconds, `sample` in m3."""
    return Facility.model_validate(
        {
            "id": FACILITY,
            "name": {"zh": "测试", "en": "Test"},
            "jurisdiction": "110000",
            "delivery": f"{delivery}ms",
            "scopes": [{"field": "manufacture", "line": "drug"}],
            "areas": [{"id": "A1", "kind": "cleanroom", "grade": "A", "standard": "cn-gmp-2010"}],
            "sensors": [
                {"tag": "T0", "area": "A1", "quantity": "particles-5.0", "unit": "/m3", "interval": f"{interval}s",
                 "range": {"low": 0, "high": 1_000_000}, **({} if sample is None else {"sample_m3": sample})}
            ],
        }
    )  # fmt: skip


@st.composite
def counts(draw):
    """Draw a log of some hours: clean runs, single particles, bursts, holes round two intervals, bad rows, rows that come late or again."""
    interval = draw(st.sampled_from([20, 60, 60, 300]))
    sample = draw(st.sampled_from(SAMPLES))
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    spoilt = draw(st.sampled_from([0.0, 0.0, 0.02, 0.1]))
    holes = draw(st.sampled_from([0.0, 0.02, 0.08]))
    entries, kept = [], []
    t = clock = BEGIN + draw(st.sampled_from([0, 1, 7_000]))
    for _ in range(draw(st.integers(3, 14))):
        dirty = random.choice([0.0, 0.0, 0.1, 0.3, 0.6, 1.0])
        rows = []
        for _ in range(random.choice([1, 2, 3, 5, 8, 13, 40])):
            particles = random.choice([1, 1, 1, 2, 3, 6]) if random.random() < dirty else 0
            value = random.choice([particles / sample, round(particles / sample), round(particles / sample, 1)])
            if random.random() < 0.01:
                value = random.choice([19.999999, 20.0, 20.0000004, 0.49 / sample, 0.5 / sample, 2e6, 1e9, -1.0])
            q = random.choice([1, 2, 3, 6, 8]) if random.random() < spoilt else 0
            rows.append(Row("T0", t, math.nan if q == 8 else float(value), q))
            t += interval * 1_000 + random.choice([0, 0, 0, 1, 500])
            if random.random() < holes:
                t = rows[-1].t + interval * random.choice([1_999, 2_000, 2_000, 2_001, 5_000, 30_000])
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
        if random.random() < 0.6:
            value, q = random.choice([0.0, 0.0, 1 / sample, 9 / sample]), random.choice([0, 0, 0, 6])
            late = Row("T0", random.choice(rows).t + random.choice([1, 100, -100]), value, q)
            entries.append((clock, [late, random.choice(rows)]))
        if kept and random.random() < 0.7:
            entries.append((clock + 1, kept[::-1] if random.random() < 0.5 else kept))
            kept = []
    return cleanroom(interval, sample, delivery=draw(st.sampled_from([10_000, 60_000]))), entries
