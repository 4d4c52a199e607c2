"""Rules of the kind `jump`, and logs whose values leap."""

from __future__ import annotations

import math
from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from tests.rules import sums
from tests.rules.logs import BEGIN, Row, facility

APPLIES = {"sensor.quantity": "temperature", "area.kind": ["cold-room", "room-store"]}
RULES = [
    {"id": "test.leap", "limits": {"from": {"low": -3, "high": 3}}, "clear": {"consecutive": 3}},
    {"id": "test.rise", "limits": {"from": {"high": 0.3}, "inclusive": True}, "when": {"consecutive": 2},
     "clear": {"consecutive": 2, "deadband": 0.1}, "unknown": {"max": "1m"}},
    {"id": "test.fall", "limits": {"from": {"low": -1.5}}, "clear": {"consecutive": 1, "off_delay": "3m"},
     "marked": "count"},
]  # fmt: skip


def rule(entry):
    """Return a jump rule of its own members and the common ones."""
    return sums.rule({"kind": "jump", "applies_to": APPLIES, **entry})


def bundle():
    """Return the test rules, with the shipped one that excludes values and one more of two other kinds."""
    shipped = default_bundle().only({"data-integrity.physical-range", "data-integrity.gap", "cold-chain.store-out"})
    return Bundle.of([*shipped.rules, *(rule(entry) for entry in RULES)], shipped.tables.values())


CALM = [5.0, 5.1, 5.2, 5.3, 5.4]
WALKS = [
    CALM,
    [*CALM, 8.1, 8.2],
    [5.0, 5.3, 5.6, 5.9, 6.2],
    [2.0, 3.4, 3.5, 5.0, 99.0],
    [0.1, 0.4, 0.7],
    [1e9, 5.0, -1e308, 1e308],
]


@st.composite
def leaps(draw):
    """Draw a log of an hour or a few: calm runs, leaps, holes round two intervals, marks, rows that come late or again."""
    interval = draw(st.sampled_from([20, 60, 60, 300]))
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    spoilt = draw(st.sampled_from([0.0, 0.05, 0.3]))
    entries, kept = [], []
    t = clock = BEGIN + draw(st.sampled_from([0, 1, 7_000]))
    value = 5.0
    for _ in range(draw(st.integers(3, 16))):
        values = random.choice([CALM, *WALKS])
        rows = []
        for _ in range(random.choice([1, 2, 3, 5, 8, 13])):
            value = random.choice([value, random.choice(values)])
            q = random.choice([1, 2, 3, 6, 8]) if random.random() < spoilt else 0
            rows.append(Row("T0", t, math.nan if q == 8 else value, q))
            t += interval * 1_000 + random.choice([0, 0, 0, 1, 500])
            if random.random() < 0.08:
                t = rows[-1].t + interval * random.choice([1_999, 2_000, 2_000, 2_001, 5_000, 30_000])
        if random.random() < 0.2:
            kept += rows
            continue
        if random.random() < 0.5:
            clock = max(clock, rows[-1].t + random.choice([0, 1_000, 200_000]))
            entries.append((clock, rows))
        else:
            for row in rows:
                clock = max(clock, row.t + random.choice([0, 1_000]))
                entries.append((clock, [row]))
        if random.random() < 0.2:
            late = Row("T0", rows[0].t + random.choice([1, 100, -100]), random.choice(values))
            entries.append((clock, [late, random.choice(rows)]))
        if kept and random.random() < 0.7:
            entries.append((clock + 1, kept[::-1] if random.random() < 0.5 else kept))
            kept = []
    return facility([("T0", "A1", interval)], delivery=draw(st.sampled_from([10_000, 60_000]))), entries
