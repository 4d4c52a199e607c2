"""Rules of kind `gap` that hold during a trip, and logs of vehicles and boxes that fall silent on the way, with a front door that is closed now and then."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.engine import Engine
from rules.pack import Bundle, default_bundle
from rules.records import Kind, LogRecord, RegisterRecord, Tick
from tests.rules import logs, sums
from tests.rules.logs import BEGIN, Row
from tests.rules.triplogs import BOX, batch, carrier, told

QUIET = {"kind": "gap", "applies_to": BOX, "during": "trip", "groups": [], "overlap": "silence"}
RULES = [
    {"id": "test.transport", **QUIET, "threshold": "5m", "grace": "1m",
     "severity": {"base": "yellow", "steps": [{"after": "15m", "to": "orange"}]}},
    {"id": "test.pace", **QUIET, "applies_to": {**BOX, "area.kind": "box"}, "factor": 3,
     "severity": {"base": "blue", "steps": [{"after_intervals": 5, "to": "yellow"}, {"after": "1h", "to": "red"}]}},
    {"id": "test.hot", "kind": "limit", "applies_to": BOX, "during": "trip", "clear": {"latched": True}, "severity": {"base": "red"},
     "limits": {"from": {"high": 45}}, "when": {"on_delay": "10m"}},
]  # fmt: skip
NAMES = ("test.transport", "test.pace")
MINUTE = 60_000
HOLES = [179_999, 180_001, 360_000, 360_001, 420_000, 900_000, 900_001, 1_500_000, 3 * 3_600_000]
"""Distances between rows: round the limits and the steps of the rules, and one longer than the horizon."""


def bundle():
    """Return the test rules with the plain silence beside them."""
    shipped = default_bundle().only({"data-integrity.physical-range", "data-integrity.gap"})
    return Bundle.of([*shipped.rules, *(sums.rule(entry) for entry in RULES)], shipped.tables.values())


@st.composite
def absences(draw):
    """Draw a log of some hours: of rows as (received, rows), of events as (received, [event]), of ticks as (received, role)."""
    interval = draw(st.sampled_from([20, 60, 60, 300]))
    kinds = draw(st.lists(st.sampled_from([("box", "I"), ("vehicle", None)]), min_size=1, max_size=2))
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    holes, doors = draw(st.sampled_from([0.05, 0.2, 0.4])), draw(st.sampled_from([0.0, 0.3]))
    entries, kept, kept_events, gone = [], [], [], []
    t = clock = BEGIN + draw(st.sampled_from([0, 1, 7_000]))
    entries.append((clock, "gateway"))
    number = 0
    for _ in range(draw(st.integers(3, 14))):
        place = random.randrange(len(kinds))
        rows = []
        for _ in range(random.choice([1, 2, 3, 5, 8])):
            rows.append(Row(f"T{place}", t, random.choice([20.0, 46.0]), random.choice([0, 0, 0, 0, 3, 1])))
            t += interval * 1_000 + random.choice([0, 0, 1, 500])
            if random.random() < holes:
                t = rows[-1].t + random.choice(HOLES)
        found = []
        while random.random() < 0.6:
            near = random.choice(rows).t
            at = near + random.choice([0, 0, 1, -1, -360_000, -360_001, 5 * MINUTE, -20 * MINUTE, 40 * MINUTE])
            if gone and random.random() < 0.5:
                found.append(told("arrived", *gone.pop(random.randrange(len(gone))), at))
                continue
            name = f"W{number if random.random() < 0.8 else random.randrange(number + 1)}"
            gone.append((f"V{place}", name))
            found.append(told("shipped", f"V{place}", name, at))
            number += random.random() < 0.4
        if random.random() < 0.25:
            kept += rows
        elif random.random() < 0.4:
            clock = max(clock, rows[-1].t + random.choice([0, 1_000, 200_000]))
            entries.append((clock, rows))
        else:
            for row in rows:
                clock = max(clock, row.t + random.choice([0, 1_000, 60_000]))
                entries.append((clock, [row]))
                if found and random.random() < 0.2:
                    entries.append((clock, [found.pop()]))
        if random.random() < 0.3:
            kept_events += found
        elif found:
            entries.append((clock + random.choice([0, 0, 1, 1_000]), found))
        if kept and random.random() < 0.5:
            cut = random.randrange(len(kept) + 1)
            entries.append((clock + 1, (kept[::-1] if random.random() < 0.3 else kept)[cut:] or kept))
            kept = kept[:cut] if random.random() < 0.5 else []
        if kept_events and random.random() < 0.5:
            entries.append((clock + random.choice([0, 1]), kept_events))
            kept_events = []
        clock = max(clock, *(entry[0] for entry in entries))
        if random.random() < doors:
            clock += random.choice([0, MINUTE, 14 * MINUTE, 15 * MINUTE + 1, 40 * MINUTE])
            entries.append((clock, random.choice(["gateway", "gateway", "worker"])))
            t = max(t, clock + random.choice([-30 * MINUTE, -MINUTE, 0]))
    return carrier(interval, kinds, delivery=draw(st.sampled_from([10_000, 60_000, 400_000]))), entries


def records(entity, entries):
    """Return the log records of drawn entries."""
    log = [LogRecord(0, 0, BEGIN, Kind.REGISTER, entity.id, RegisterRecord(version=1, facility=entity))]
    for received, what in entries:
        name = f"b{len(log)}"
        if isinstance(what, str):
            log.append(LogRecord(0, len(log), received, Kind.TICK, "", Tick(by="t", role=what, now=received)))
        elif isinstance(what[0], dict):
            log.append(LogRecord(0, len(log), received, Kind.EVENTS, entity.id, batch(name, what)))
        else:
            log.append(LogRecord(0, len(log), received, Kind.READINGS, entity.id, logs.readings(what, name)))
    return log


def folded(log, rules):
    """Return the changes of a log."""
    engine = Engine(rules)
    return [change for record in log for change in engine.fold(record)]
