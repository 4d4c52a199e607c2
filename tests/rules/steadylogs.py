"""Rules of the kind `steadiness` whose baseline a few weeks fill, and logs of some weeks: wide, narrow, with holes, late at midnight."""

from __future__ import annotations

import math
from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from tests.rules import sums
from tests.rules.logs import Row, facility
from tests.rules.oracle.steadiness import local, midnight

DAY, MINUTE = 86_400_000, 60_000
STEADY = {"kind": "steadiness", "applies_to": {"sensor.quantity": "temperature"}, "severity": {"base": "yellow"}}
RULES = [
    {"id": "test.spread", **STEADY, "check": "spread", "below": 0.2, "clear_above": 0.4, "weeks": 2},
    {"id": "test.differences", **STEADY, "check": "differences", "below": 0.2, "clear_above": 0.4, "weeks": 1},
    {"id": "test.odd", **STEADY, "check": "spread", "below": 0.5, "clear_above": 0.5, "weeks": 3, "applies_to": {"area.kind": "cold-room"}},
    {"id": "test.at-limit", **STEADY, "check": "at-limit", "share": 0.95, "before": 0.5, "clear_below": 0.8, "weeks": 1},
    {"id": "test.near", **STEADY, "check": "at-limit", "share": 0.6, "before": 0.7, "clear_below": 0.6, "weeks": 3},
]  # fmt: skip
NAMES = tuple(entry["id"] for entry in RULES)
FIRST = midnight(local(1_770_000_000_000))


def bundle():
    """Return the test rules and some shipped ones."""
    shipped = default_bundle().only({"data-integrity.physical-range", "data-integrity.gap"})
    return Bundle.of([*shipped.rules, *(sums.rule(entry) for entry in RULES)], shipped.tables.values())


FACTORS = [1.0, 1.0, 1.0, 0.0, 0.03, 0.03, 0.1, 0.17, 0.23, 0.37, 0.43, 3.0]
NEAR = [0.0, 0.0, 0.0, 0.5, 0.9, 1.0, 1.0]
STRANGE = [1e308, -1e15, 9e14, 1e-300, 400.0]
WHEEL = [-1.0, -0.7, -0.4, -0.1, 0.2, 0.6, 0.9, 1.3]


AT, STEP = 4.5, 0.1
"""Detection limit and resolution of the sensor ..."""
ROUND_IT = [0.0, 0.0, 0.05, -0.05, 0.1, -0.1, 0.11, -0.11]
"""... and where values lie that lie there."""


def day_of(random, day, interval, level, factor, spoilt, begin, missing, near):
    """Return the rows of a local day, the first of them a while behind midnight."""
    rows = []
    for k in range(DAY // interval):
        if random.random() < missing:
            continue
        t = FIRST + day * DAY + begin + k * interval + random.choice([0, 0, 1, MINUTE])
        value = round(level + factor * random.choice(WHEEL), 3)
        if random.random() < near:
            value = round(AT + random.choice(ROUND_IT[:6] if random.random() < 0.95 else ROUND_IT), 3)
        if random.random() < 0.003:
            value = random.choice(STRANGE)
        q = random.choice([1, 2, 3, 6, 8]) if random.random() < spoilt else 0
        rows.append(Row("T0", t, math.nan if q == 8 else value, q))
    return rows


@st.composite
def weeks(draw):
    """Draw a log of four to ten weeks."""
    hours = draw(st.sampled_from([6, 8, 8, 12, 24]))
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    spoilt = draw(st.sampled_from([0.0, 0.02, 0.15]))
    missing = random.choice([0.02, 0.02, 0.15, 0.25])  # of 28 rows a week 21 make it known
    interval, begin = hours * 3_600_000, random.choice([20 * MINUTE, 70 * MINUTE])
    level, day, clock, entries = random.choice([5.0, -20.0, 0.0, 300.0]), random.randrange(7), FIRST, []
    stretches = [(random.choice([15, 22, 29]), 1.0, random.choice([0.0, 0.0, 0.3, 0.6]))]
    for _ in range(draw(st.integers(1, 4))):
        stretches.append((random.choice([2, 6, 8, 9, 12, 16]), random.choice(FACTORS), random.choice(NEAR)))
    kept = []
    for days, factor, near in stretches:
        if random.random() < 0.15:
            level += random.choice([0.5, -3.0, 40.0])
        for _ in range(days):
            rows = day_of(random, day, interval, level, factor, spoilt, begin, missing, near)
            day += 1
            if random.random() < 0.03:
                day += random.choice([1, 1, 2, 6, 7, 8, 20, 120])
            if not rows:
                continue
            clock = max(clock, rows[-1].t + random.choice([0, 1_000]))
            if random.random() < 0.4:  # near midnight rows come late: behind it, and from before it
                first = rows[0]
                entries.append((max(first.t, clock - DAY), [first]))
                edge = FIRST + DAY * ((first.t - FIRST) // DAY)
                late = random.choice([edge - 2, edge - 10 * MINUTE, edge - 30 * MINUTE, edge, edge + MINUTE])
                value = round(level + random.choice([factor, factor, 5.0, 30.0]) * random.choice(WHEEL), 3)
                if late < first.t:
                    entries.append((max(first.t, clock - DAY) + 1, [Row("T0", late, value)]))
                rows = rows[1:]
            if random.random() < 0.1:
                kept += rows[-1:]
                rows = rows[:-1]
            if rows:
                entries.append((clock, rows))
            if kept and random.random() < 0.5:
                entries.append((clock + 1, kept[::-1]))
                kept = []
    entries.sort(key=lambda entry: entry[0])
    entity = facility([("T0", "A1", interval // 1000)], delivery=draw(st.sampled_from([10_000, 60_000])))
    known = {"detection_limit": AT, "resolution": draw(st.sampled_from([STEP, STEP, STEP, None]))}
    sensors = [each.model_copy(update=known) for each in entity.sensors]
    return entity.model_copy(update={"sensors": sensors}), entries
