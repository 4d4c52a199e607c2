"""Rules of the kind `last_digit`, and logs whose values have more decimals now and then."""

from __future__ import annotations

import math
from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from tests.rules import sums
from tests.rules.logs import BEGIN, Row, facility

PRECISE = {"kind": "last_digit", "check": "precision", "applies_to": {"sensor.quantity": "temperature"}}
RULES = [
    {"id": "test.one", **PRECISE, "number": 1, "within": "1m", "clean": "5m"},
    {"id": "test.three", **PRECISE, "number": 3, "within": "10m", "clean": "12m"},
    {"id": "test.many", **PRECISE, "number": 16, "within": "2h", "clean": "1m", "applies_to": {"area.kind": "cold-room"}},
]  # fmt: skip
NAMES = tuple(entry["id"] for entry in RULES)


def rule(entry):
    """Return a rule of its own members and the common ones."""
    return sums.rule(entry)


def bundle():
    """Return the test rules, with the shipped one that excludes values and one more of some other kinds."""
    shipped = default_bundle().only({"data-integrity.physical-range", "data-integrity.gap", "data-integrity.frozen"})
    return Bundle.of([*shipped.rules, *(rule(entry) for entry in RULES)], shipped.tables.values())


PLAIN = [5.0, 5.1, -5.2, 0.3, 8.1, 4.6, 99.9]
FINE = [5.01, 5.123, -0.05, 1 / 3, 5.10001, 5.1000001, 123456.78, 5.3000001907]
STRANGE = [1e308, 5e8 + 0.3, 1e-300]


@st.composite
def digits(draw):
    """Draw a log of an hour or a few: plain runs and fine ones, holes, marks, rows that come late or again."""
    interval = draw(st.sampled_from([20, 60, 60, 300, None]))
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    spoilt = draw(st.sampled_from([0.0, 0.05, 0.3]))
    resolution = draw(st.sampled_from([None, 0.1, 0.1, 0.5, 0.05, 1.0, 0.001]))
    step = (interval or 60) * 1_000
    entries, kept = [], []
    t = clock = BEGIN + draw(st.sampled_from([0, 1, 7_000]))
    for _ in range(draw(st.integers(3, 16))):
        share = random.choice([0, 0, 0, 0.1, 0.5, 1])
        rows = []
        for _ in range(random.choice([1, 2, 3, 5, 8, 13, 40])):
            value = random.choice(FINE) if random.random() < share else random.choice(PLAIN)
            value = random.choice(STRANGE) if random.random() < 0.01 else value
            q = random.choice([1, 2, 3, 6, 8]) if random.random() < spoilt else 0
            rows.append(Row("T0", t, math.nan if q == 8 else value, q))
            t += step + random.choice([0, 0, 0, 1, 500])
            if random.random() < 0.05:
                t = rows[-1].t + step * 2 + random.choice([-1, 0, 0, 1, 900_000])
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
        if random.random() < 0.4:
            late = Row("T0", random.choice(rows).t + random.choice([1, 100, -100]), random.choice(PLAIN[:2] + FINE[:3]))
            entries.append((clock, [late, random.choice(rows)]))
        if random.random() < 0.5:  # a fine one of the last hour or two: between two alarms it makes one of them
            behind = t - random.randrange(step, 6_000_000)
            entries.append((clock + 1, [Row("T0", max(BEGIN, behind), random.choice(FINE[:3]))]))
        if kept and random.random() < 0.7:
            entries.append((clock + 1, kept[::-1] if random.random() < 0.5 else kept))
            kept = []
    entity = facility([("T0", "A1", interval)], delivery=draw(st.sampled_from([10_000, 60_000])))
    sensors = [one.model_copy(update={"resolution": resolution}) for one in entity.sensors]
    return entity.model_copy(update={"sensors": sensors}), entries
