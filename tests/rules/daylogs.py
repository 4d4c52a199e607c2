"""Rules of the kind `repeat_day`, and logs of days that copy one another, nearly or not at all."""

from __future__ import annotations

import math
from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from tests.rules import logs, rowlogs, sums

HOUR, DAY = 3_600_000, 86_400_000
EVERYWHERE = {"kind": "repeat_day", "applies_to": {}}
RULES = [
    {"id": "test.copied", **EVERYWHERE},
    {"id": "test.copied-some", **EVERYWHERE, "lags": ["24h", "48h"], "share": 0.8, "pairs": 3, "distinct": 2,
     "chance": 0.7, "applies_to": {"area.kind": "cold-room"}},
    {"id": "test.copied-week", **EVERYWHERE, "lags": ["168h"], "share": 1, "pairs": 12, "distinct": 3},
]  # fmt: skip
NAMES = tuple(entry["id"] for entry in RULES)


def rule(entry):
    """Return a repeat_day rule of its own members and the common ones."""
    return sums.rule(entry)


def bundle():
    """Return the test rules, with the shipped one that excludes values and one more of some other kinds."""
    shipped = default_bundle().only(
        {"data-integrity.physical-range", "data-integrity.gap", "data-integrity.overwritten"}
    )
    return Bundle.of([*shipped.rules, *(rule(entry) for entry in RULES)], shipped.tables.values())


WORLDS = [
    [5.0, 5.1, 5.2, 5.3, 5.4, 5.6, 5.9],
    [5.0, 5.04, 5.1, 5.16, -0.0, 0.0, 7.0],
    [5.0, 5.1],
    [4.9, 5.0, 5.1, 5.2, 5.3],
]


@st.composite
def days(draw):
    """Draw a log of two days to ten: new days, copies with some values changed, jitter, holes, marks, rows held back or sent twice."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    interval = draw(st.sampled_from([3600, 3600, 1800, 7200, 1200, 5000, 900, None]))
    step = (interval or 1800) * 1_000
    tags = draw(st.sampled_from([["T0"], ["T0"], ["T0", "T1"]]))
    entity = logs.facility([(tag, "A1" if tag == "T0" else "A2", interval) for tag in tags])
    resolution = draw(st.sampled_from([None, 0.1, 0.5]))
    sensors = [one.model_copy(update={"resolution": resolution}) for one in entity.sensors]
    entity = entity.model_copy(update={"sensors": sensors})
    world = draw(st.sampled_from(WORLDS))
    copies, changed, holes = (draw(st.sampled_from(of)) for of in ([0.3, 0.7, 1.0], [0, 0.03, 0.1], [0, 0, 0.05, 0.6]))
    jitter = draw(st.sampled_from([0, 0, 1_000, step // 2, step]))
    phase = draw(st.sampled_from([0, 0, step // 2, step // 2 - 1, 1]))
    begin = (
        logs.BEGIN - 16 * HOUR + draw(st.sampled_from([0, 0, 13 * HOUR]))
    )  # the first local midnight behind it is at once or late
    found, held, past, clock = [], [], {tag: [] for tag in tags}, logs.BEGIN
    for day in range(draw(st.sampled_from([2, 3, 4, 9, 10]))):
        rows = []
        for tag in tags:
            back = [of for of in (1, 1, 2, 7, 7) if of <= day]
            if back and random.random() < copies:
                values = list(past[tag][day - random.choice(back)])
                values = [random.choice(world) if random.random() < changed else v for v in values]
            else:
                values = [random.choice(world) for _ in range(DAY // step + 1)]
            past[tag].append(values)
            for i, value in enumerate(values):
                t = begin + day * DAY + i * step + phase + (random.randrange(jitter) if jitter else 0)
                q = random.choice([1, 2, 3, 6, 8]) if random.random() < 0.04 else 0
                if random.random() >= holes:
                    rows.append(logs.Row(tag, t, math.nan if q == 8 else value, q))
        if random.random() < 0.05:
            continue
        rows.sort(key=lambda row: row.t)
        while rows:
            part = rows[: random.choice([1, 3, 12, 12, 40])]
            rows = rows[len(part) :]
            clock = max(clock, part[-1].t + random.choice([0, 1_000, 60_000]))
            late = [row for row in part if random.random() < 0.1]
            now = [row for row in part if row not in late]
            if now:
                found.append((clock, now))
            if held and random.random() < 0.8:
                found.append((clock, random.sample(held, len(held))))
                held = []
            held += late
            if random.random() < 0.05:
                found.append((clock + 1, [random.choice(part)]))
    return entity, found


def closed(packs):
    """Return logs in which officers close some of the alarms that stand."""
    return rowlogs.closed(packs, days(), NAMES)
