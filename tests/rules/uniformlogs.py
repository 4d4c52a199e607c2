"""Rules of the kind `last_digit`, check `uniform`, with small blocks, and logs of values made by hand and by a sensor."""

from __future__ import annotations

import math
from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from tests.rules import sums
from tests.rules.logs import BEGIN, Row, facility

UNIFORM = {"kind": "last_digit", "check": "uniform", "applies_to": {"sensor.quantity": "temperature"}, "related": 0.2}
RULES = [
    {"id": "test.small", **UNIFORM, "number": 20, "spread": 10, "uneven": 0.1, "even": 0.1},
    {"id": "test.wide", **UNIFORM, "number": 40, "spread": 30, "uneven": 0.001, "even": 0.01, "related": 0.5},
    {"id": "test.odd", **UNIFORM, "number": 26, "spread": 20, "uneven": 0.01, "even": 0.05, "applies_to": {"area.kind": "cold-room"}},
]  # fmt: skip
NAMES = tuple(entry["id"] for entry in RULES)


def bundle():
    """Return the test rules (smaller blocks than lint takes, so that logs stay short), and some shipped ones."""
    shipped = default_bundle().only({"data-integrity.physical-range", "data-integrity.gap", "data-integrity.frozen"})
    return Bundle.of([*shipped.rules, *(sums.rule(entry) for entry in RULES)], shipped.tables.values())


STRANGE = [1e308, 4e8, -4e8, 1e-300, 60_000.0, -60_000.05]


def values(random, resolution):
    """Return a source of values: of a wheel of ten digits, of two digits only, slow, narrow or constant."""
    step, level, slow = resolution or 0.1, random.choice([5.0, -3.0, 0.0, 100.0]), [0.0]
    kind = random.choice(["fair", "fair", "typed", "typed", "slow", "narrow", "same"])

    def one():
        if kind == "same":
            return level
        if kind == "slow":
            slow[0] += random.choice([-7, 7, 20, -20])
            return level + step * slow[0]
        if kind == "narrow":
            return level + step * random.randrange(12)
        if kind == "typed":
            return level + step * random.choice([0, 5, 10, 40, 65, -30])
        return level + step * random.randrange(-40, 40)

    return one


@st.composite
def digits(draw):
    """Draw a log of some blocks: holes, marks, rows that come late or again."""
    interval = draw(st.sampled_from([20, 60, 60, None]))
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    spoilt = draw(st.sampled_from([0.0, 0.05]))
    resolution = draw(st.sampled_from([None, 0.1, 0.1, 0.1, 0.5, 1.0]))
    step = (interval or 60) * 1_000
    entries, kept = [], []
    t = clock = BEGIN + draw(st.sampled_from([0, 1, 7_000]))
    one = values(random, resolution)
    for _ in range(draw(st.integers(2, 14))):
        if random.random() < 0.4:
            one = values(random, resolution)
        rows = []
        for _ in range(random.choice([1, 5, 13, 20, 40])):
            value = random.choice(STRANGE) if random.random() < 0.005 else one()
            q = random.choice([1, 2, 3, 6, 8]) if random.random() < spoilt else 0
            rows.append(Row("T0", t, math.nan if q == 8 else value, q))
            t += step + random.choice([0, 0, 0, 1])
            if random.random() < 0.02:
                t += step * random.choice([2, 900])
        if random.random() < 0.15:
            kept += rows
            continue
        if random.random() < 0.7:
            clock = max(clock, rows[-1].t + random.choice([0, 1_000, 200_000]))
            entries.append((clock, rows))
        else:
            for row in rows:
                clock = max(clock, row.t + random.choice([0, 1_000]))
                entries.append((clock, [row]))
        if random.random() < 0.4:
            late = Row("T0", random.choice(rows).t + random.choice([1, 100, -100]), one())
            entries.append((clock, [late, random.choice(rows)]))
        if kept and random.random() < 0.7:
            entries.append((clock + 1, kept[::-1] if random.random() < 0.5 else kept))
            kept = []
    entity = facility([("T0", "A1", interval)], delivery=draw(st.sampled_from([10_000, 60_000])))
    sensors = [each.model_copy(update={"resolution": resolution}) for each in entity.sensors]
    return entity.model_copy(update={"sensors": sensors}), entries
