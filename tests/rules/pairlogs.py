"""Random facilities with rooms under pressure, rules for their pairs, and logs that they could send."""

from __future__ import annotations

import math
from random import Random

from hypothesis import strategies as st
from pydantic import TypeAdapter

from rules.pack import Bundle, default_bundle
from rules.register import Facility
from rules.rule import Rule
from rules.tables import Table
from tests.rules.logs import BEGIN, Row

WORDS = {"en": "word", "zh": "字"}


def rule(slug, **members):
    """Return a difference rule, its texts filled in."""
    whole = {
        "schema": "rule/1", "id": f"cleanroom.{slug}", "version": "1.0.0", "kind": "difference", "title": WORDS,
        "applies_to": {"area.kind": "cleanroom"}, "cites": [{"instrument": "own", "status": "own"}],
        "scopes": [{"field": "manufacture", "line": "drug"}], "severity": {"base": "orange"},
        "rationale": {"cause": WORDS, "consequence": WORDS, "response": WORDS}, "pairs": "cascades",
        "limits": {"from": {"low": 10}},
    }  # fmt: skip
    return TypeAdapter(Rule).validate_python(whole | members)


LOW = rule(
    "test-low",
    limits={"from": {"low": 10}, "narrower": "register"},
    when={"consecutive": 2, "on_delay": "60s"},
    clear={"consecutive": 3, "deadband": 1},
)
REVERSED = rule(
    "test-reversed",
    limits={"from": {"low": 0}, "inclusive": True},
    when={"consecutive": 2, "on_delay": "10s"},
    clear={"consecutive": 2, "deadband": 1},
    severity={"base": "yellow", "steps": [{"after": "3m", "to": "red"}]},
)
WAITING = rule(
    "test-waiting", when={"on_delay": "90s"}, clear={"consecutive": 1}, unknown={"max": "60s"}, marked="count",
    severity={"base": "blue", "steps": [{"beyond": {"low": 5}, "for": "1m", "to": "orange"}]},
)  # fmt: skip
TWINS = rule("test-twins", pairs="redundant", limits={"from": {"low": -2, "high": 2}}, max_age_intervals=1)
SCALE = Table.model_validate(
    {
        "schema": "table/1", "id": "test-scale", "edition": "1", "title": WORDS, "cites": [{"instrument": "own", "status": "own"}],
        "rows": [
            {"where": {"area.kind": "cleanroom"}, "at": at, "unit": "Pa", "limit": {"high": high}, "edition": "1", "status": "own"}
            for at, high in (({"from": 10, "below": 20}, 31.5), ({"from": 20, "below": 30}, 29), ({"from": 30, "to": 40}, 24.9))
        ],
    }
)  # fmt: skip
SCALED = rule(
    "test-scaled", pairs="by-temperature", limits={"from": "test-scale"}, applies_to={"sensor.quantity": "pressure"},
    when={"consecutive": 2}, clear={"consecutive": 2, "deadband": 0.5}, unknown={"max": "60s"},
)  # fmt: skip
WARMTH = [9.9, 10.0, 15.0, 19.9, 20.0, 25.0, 29.9, 30.0, 40.0, 40.1]
EXCLUDING = [one for one in default_bundle().rules if getattr(one, "excludes", False)]
BUNDLE = Bundle.of([LOW, REVERSED, WAITING, TWINS, SCALED, *EXCLUDING], [SCALE])


def _measured(against):
    if against == "temperature":
        return {"quantity": "temperature", "unit": "Cel"}
    found = {"quantity": "pressure-difference" if against else "pressure", "unit": "Pa"}
    return found | ({"against": against} if against else {})


def facility(sensors, cascades, delivery="60s"):
    """Return a facility with two cleanrooms B1 and C1 and a store; sensors are (tag, area, against or "temperature", interval s)."""
    room = {"kind": "cleanroom", "standard": "cn-gmp-2010"}
    return Facility.model_validate(
        {
            "id": "TEST-0001", "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000", "delivery": delivery,
            "scopes": [{"field": "manufacture", "line": "drug"}],
            "areas": [{"id": "B1", "grade": "B", **room}, {"id": "C1", "grade": "C", **room}, {"id": "S", "kind": "room-store"}],
            "cascades": [{"cleaner": a, "dirtier": b, "low": low} for a, b, low in cascades],
            "sensors": [
                {
                    "tag": tag, "area": area, "range": {"low": -100, "high": 100}, **_measured(against),
                    **({"interval": f"{interval}s"} if interval else {}),
                }
                for tag, area, against, interval in sensors
            ],
        }
    )  # fmt: skip


CLEAN = {
    "good": [31.0, 32.0, 40.0],
    "low": [25.0, 29.0, 29.9, 30.0],
    "reversed": [15.0, 19.0, 20.0],
    "edge": [19.0, 20.0, 20.1, 21.0, 29.9, 30.0, 31.0, 32.0],
    "mixed": [15.0, 20.0, 21.0, 25.0, 30.0, 31.0, 32.0, 40.0, 500.0],
}
"""Pressures of the cleaner room where the other has 20, and pressure differences plus 20."""


def _value(random, against, area, regime):
    if against == "temperature":
        return random.choice(WARMTH)
    if area == "C1" and not against:
        return random.choice([20.0] * 8 + [19.0, 21.0])
    return random.choice(CLEAN[regime]) - (20.0 if against else 0.0)


def _run(random, chosen, heads, now, regime):
    """Return new rows of the chosen sensors, by sensor."""
    found = {}
    count = random.choice([1, 2, 3, 4, 6, 8, 12]) if random.random() < 0.98 else 150
    together = random.random() < 0.7
    begin = max([now - 4 * 60_000, *(heads[sensor[0]] for sensor in chosen)])
    for tag, area, against, interval in chosen:
        step = (interval or 60) * 1000
        t = begin if together else max(heads[tag], now - 4 * step) + random.choice([0, 0, 7_000])
        value = _value(random, against, area, regime)
        rows = []
        for _ in range(count):
            t += step
            if random.random() < 0.3:
                value = _value(random, against, area, regime)
            quality = random.choice([2, 3, 6, 8]) if random.random() < 0.06 else 0
            if random.random() < 0.94:
                rows.append(Row(tag, t, math.nan if quality == 8 and random.random() < 0.5 else value, quality))
        heads[tag] = t
        found[tag] = rows
    return found


def _posted(random, rows, now):
    """Return records of the rows: all at once, one a receive time, or cut in two."""
    how = random.choice(["at once", "at once", "one by one", "cut"])
    rows = sorted(rows, key=lambda row: row.t)
    now = max([now, *(row.t for row in rows)] if how != "one by one" else [now, rows[0].t])
    if how == "at once":
        return [(now + random.choice([0, 500]), sorted(rows, key=lambda row: row.tag))]
    if how == "cut":
        random.shuffle(rows)
        cut, wait = random.randint(0, len(rows)), random.choice([0, 0, 1_000, 90_000])
        return [(at, part) for at, part in ((now, rows[:cut]), (now + wait, rows[cut:])) if part]
    found = []
    for t in sorted({row.t for row in rows}):
        now = max(now, t) + random.choice([0, 500])
        found.append((now, [row for row in rows if row.t == t]))
    return found


@st.composite
def logs(draw):
    """Draw a log of one facility: (facility, [(received, rows or tick role)]).

    Made by a seeded generator: hypothesis' own draws hardly ever hold a condition long enough to raise it.
    """
    return log_of(Random(draw(st.integers(0, 1 << 32))))  # noqa: S311 - a log, no secret


def log_of(random):
    """Return a log as `logs` draws it."""
    each = [60, 60, 60, 30, 120, 300, None]
    common = random.choice(each)
    intervals = [common if random.random() < 0.7 else random.choice(each) for _ in range(4)]
    sensors = [("P.B", "B1", None, intervals[0]), ("P.C", "C1", None, intervals[1])]
    if random.random() < 0.5:
        sensors.append(("P.B2", "B1", None, intervals[2]))
    if random.random() < 0.5:
        sensors.append(("DP", *random.choice([("B1", "S"), ("S", "B1"), ("C1", "S"), ("C1", "B1")]), intervals[3]))
    if random.random() < 0.5:
        sensors.append(("T.B", "B1", "temperature", random.choice([*each, common])))
    cascades = [("B1", "C1", random.choice([5.0, 12.0]))]
    cascades += [("B1", "S", 11.0)] if random.random() < 0.5 else []
    heads = {sensor[0]: BEGIN for sensor in sensors}
    entries, kept, now, regime = [], [], BEGIN, "good"
    for _ in range(random.randint(2, 16)):
        kind = random.choice(["run"] * 8 + ["gap", "tick", "dup"])
        if kind == "run":
            regime = random.choice([regime, *CLEAN])
            chosen = sensors if random.random() < 0.7 else random.sample(sensors, random.randint(1, len(sensors)))
            found = _run(random, chosen, heads, now, regime)
            if random.random() < 0.3 and {"P.B", "P.C"} <= found.keys():  # both rooms fall, and the other is sent later
                clean = {row.t: row.v for row in found["P.B"]}
                kept += [Row("P.C", row.t, clean.get(row.t, row.v + 20.0) - 20.0, 0) for row in found.pop("P.C")]
            elif random.random() < 0.25:  # one of them is sent later
                kept += found.pop(random.choice(sorted(found)))
            rows = [row for part in found.values() for row in part]
            if random.random() < 0.4:  # some rows are
                late = [row for row in rows if random.random() < random.choice([0.1, 0.5])]
                rows, kept = [row for row in rows if row not in late], kept + late
            if rows:
                entries += _posted(random, rows, now)
        elif kind == "gap":
            now += random.choice([90_000, 120_000, 121_000, 600_000, 2_400_000, 7_500_000])
        elif kind == "tick":
            now += random.choice([1000, 60_000, 400_000])
            entries.append((now, random.choice(["gateway", "worker"])))
        elif entries and not isinstance(entries[-1][1], str):
            entries.append((now, random.choice([entry for entry in entries if not isinstance(entry[1], str)])[1]))
        now = max([now, *(entry[0] for entry in entries)])
        if kept and random.random() < 0.4:
            entries.append((now + random.choice([0, 1, 1000]), kept[::-1] if random.random() < 0.5 else kept))
            now, kept = entries[-1][0], []
    entries = entries or [(now, "worker")]
    return facility(sensors, cascades, random.choice(["10s", "60s"])), entries
