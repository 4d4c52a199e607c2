"""Logs of series that were out of reach and send live data first: what they stored comes in parts and in any order, hours later."""

from __future__ import annotations

import math
from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.records import Mark
from tests.rules import logs, sums
from tests.rules.logs import BEGIN, Row

MINUTE = 60_000
WHERE = {"sensor.quantity": "temperature", "area.kind": "cold-room"}
RULES = [
    {"id": "test.out", "kind": "limit", "applies_to": WHERE, "limits": {"from": {"low": 2, "high": 8}},
     "when": {"consecutive": 2}, "clear": {"consecutive": 3, "deadband": 0.5}, "severity": {"base": "orange",
     "steps": [{"after": "20m", "to": "red"}]}},
    {"id": "test.long", "kind": "limit", "applies_to": WHERE, "limits": {"from": {"low": 3, "high": 7}, "inclusive": True},
     "when": {"on_delay": "10m"}, "clear": {"off_delay": "5m"}, "unknown": {"max": "15m"}, "severity": {"base": "yellow",
     "steps": [{"beyond": {"low": 0, "high": 12}, "to": "red"}]}},
    {"id": "test.jump", "kind": "jump", "applies_to": WHERE, "limits": {"from": {"low": -3, "high": 3}},
     "when": {"consecutive": 1}, "clear": {"consecutive": 2, "deadband": 0}, "severity": {"base": "yellow"}},
]  # fmt: skip
NAMES = ("test.out", "test.long", "test.jump", "data-integrity.gap")
HOURS = [3, 6, 6, 12, 30, 250]
"""How long it was out of reach."""
RING = 5
"""Minutes between rows: two hours are 24 of them."""


def bundle(off_delay="5m"):
    """Return the test rules with the plain silence beside them; `off_delay` is that of `test.long`."""
    shipped = default_bundle().only({"data-integrity.physical-range", "data-integrity.gap"})
    rules = [entry | ({"clear": {"off_delay": off_delay}} if entry["id"] == "test.long" else {}) for entry in RULES]
    return Bundle.of([*shipped.rules, *(sums.rule(entry) for entry in rules)], shipped.tables.values())


def values(random, count):
    """Return so many values: mostly inside, with excursions that may begin and end anywhere, and rows that are not known."""
    found, value, left = [], 5.0, 0
    for _ in range(count):
        if left == 0:
            value, left = random.choice(
                [(5.0, 9), (5.0, 30), (5.2, 5), (7.7, 3), (9.0, 2), (9.0, 8), (13.0, 3), (1.0, 4), (9.0, 40)]
            )
            left = random.randint(1, left)
        left -= 1
        q = random.choice([0] * 12 + [3, 6])
        found.append((math.nan if q == 6 else value, q))
    return found


@st.composite
def back_filled(draw):
    """Draw a log of one or two series: of rows as (received, rows), of ticks as (received, role), of marks as they are."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    step = RING * MINUTE
    tags = ["T0", "T1"][: draw(st.sampled_from([1, 1, 2]))]
    marks = draw(st.sampled_from([0.0, 0.0, 0.2]))
    entries, kept, t, clock = [], {tag: [] for tag in tags}, BEGIN, BEGIN
    for number in range(draw(st.integers(2, 5))):
        tag = random.choice(tags)
        count = random.choice([1, 3, 26, 30, 40, 140])
        rows = [Row(tag, t + i * step, v, q) for i, (v, q) in enumerate(values(random, count))]
        clock = max(clock, rows[-1].t + random.choice([0, 1_000]))
        entries += [(clock, rows)] if random.random() < 0.5 else [(max(clock - step, row.t), [row]) for row in rows]
        clock = max(clock, entries[-1][0])
        missing = random.choice(HOURS) * 60 // RING if random.random() < 0.8 else random.choice([1, 2, 3, 10])
        t = rows[-1].t + step
        stored = [Row(tag, t + i * step, v, q) for i, (v, q) in enumerate(values(random, missing))]
        kept[tag] += [row for row in stored if random.random() < 0.97]
        t += missing * step + random.choice([0, 1, -1])
        if random.random() < 0.3:
            entries.append((clock + random.choice([0, 1, 40 * MINUTE]), random.choice(["gateway", "worker"])))
            clock = entries[-1][0]
        if random.random() < marks:
            entries.append((clock + 1, mark(random, number, t, tag)))
        while random.random() < 0.75 and (full := [one for one in tags if kept[one]]):
            clock += random.choice([1, 1, MINUTE])
            entries += parts(random, kept, random.choice(full), clock)
    for tag in tags:
        rows = [Row(tag, t + i * step, 5.0 + i % 3) for i in range(random.choice([1, 26, 30]))]
        clock = max(clock, rows[-1].t)
        entries.append((clock, rows))
    for _ in range(6):
        full = [one for one in tags if kept[one]]
        if full:
            clock += random.choice([1, MINUTE])
            entries += parts(random, kept, random.choice(full), clock)
    return logs.facility([(tag, "A1", RING * 60) for tag in tags], delivery=60_000), entries


def parts(random, kept, tag, clock):
    """Return what comes at an instant of what a series stored; the rest stays."""
    rows, how = kept[tag], random.random()
    if how < 0.3:
        cut = random.randrange(len(rows))
        now, kept[tag] = (rows[:cut], rows[cut:]) if random.random() < 0.4 else (rows[cut:], rows[:cut])
    elif how < 0.5:
        now = [row for row in rows if random.random() < 0.5]
        times = {row.t for row in now}
        kept[tag] = [row for row in rows if row.t not in times]
    else:
        now, kept[tag] = rows, []
    if random.random() < 0.2:
        kept[tag] = kept[tag] + now[-3:]
    if random.random() < 0.3:
        random.shuffle(now)
    size = random.choice([len(now), len(now), 1 + len(now) // 3])
    return [(clock, now[i : i + size]) for i in range(0, len(now), size)] if now else []


def mark(random, number, t, tag):
    """Return a mark near an instant."""
    begin = t - random.choice([0, 10, 60, 200]) * MINUTE
    return Mark.model_validate(
        {
            "id": f"M-{number}", "revision": 1, "tags": [tag], "flag": random.choice(["maintenance", "fault", "set_value"]),
            "from": begin, "to": begin + random.choice([20, 100, 300]) * MINUTE, "reason": "a test", "author": "u-1",
        }
    )  # fmt: skip
