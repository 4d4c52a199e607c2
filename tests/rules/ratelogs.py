"""Logs of rows about the end of a month, with holes, late, again and filled behind it; marks, registers that change."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.records import Kind, LogRecord, Readings, RegisterRecord, Tick
from rules.register import Facility
from tests.rules.sharelogs import DAY, FACILITY, HOUR, MINUTE, MONTH_END, SECOND, mark, moves

RULE = "data-integrity.effective-rate"
TAGS = ["T1", "T2", "T3"]


def variants():
    """Return the shipped rule, one of cold rooms that asks for nearly all and takes other flags, and one that looks at no mark."""
    rule = default_bundle().rule(RULE)
    quick = {
        "id": "test.quick", "share": 0.999, "invalid": ["maintenance", "comms"], "exempt": ["fault", "stopped"],
        "applies_to": {"area.kind": ["cold-room"]},
    }  # fmt: skip
    bare = {"id": "test.bare", "share": 0.97, "invalid": [], "exempt": []}
    return [rule, rule.model_copy(update=quick), rule.model_copy(update=bare)]


def bundle():
    """Return the rules."""
    return Bundle.of(variants(), [])


def facility(random, now):
    """Return a facility of which a series may be missing, without an interval, or stand in the other area, also since some time."""
    sensors = []
    for tag in TAGS:
        if random.random() < 0.93:
            entry = {
                "tag": tag,
                "area": random.choice(["A1", "A1", "A1", "A2"]),
                "quantity": "temperature",
                "unit": "Cel",
            }
            interval = random.choice([HOUR, HOUR, HOUR, HOUR, HOUR, 20 * MINUTE, 6 * HOUR, None])
            entry = entry if interval is None else entry | {"interval": f"{interval // SECOND}s"}
            sensors += moves(random, entry, now)
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000",
            "delivery": random.choice(["10s", "60s", "60s", "10m"]),
            "scopes": [{"field": "distribution", "line": "drug"}],
            "areas": [{"id": "A1", "kind": "cold-room"}, {"id": "A2", "kind": "room-store"}], "sensors": sensors,
        }
    )  # fmt: skip


def readings(rows, batch):
    """Return rows (tag, event time, value, quality) as one batch."""
    return Readings(
        batch=batch, tags=tuple(row[0] for row in rows), counts=np.ones(len(rows), np.int32),
        time=np.array([row[1] for row in rows], np.int64), value=np.array([row[2] for row in rows]),
        quality=np.array([row[3] for row in rows], np.uint8),
    )  # fmt: skip


def rows_of(random, now, begin):
    """Return rows of a series: a run with odd steps and odd rows, or all that may be missing since the beginning."""
    tag, found = random.choice([*TAGS, *TAGS, *TAGS, "T9"]), []
    if random.random() < 0.4:
        every, odd = random.choice([HOUR, HOUR, 20 * MINUTE]), random.choice([0, 0, 0, 0.03])
        t = min(now, random.choice([now, now, MONTH_END + random.choice([0, HOUR, -1])]))
        low = max(begin, t - random.choice([12 * HOUR, 2 * DAY, 5 * DAY])) - every
        while t > low:
            if random.random() >= odd:
                found.append((tag, t, 5.0, 0))
            t -= every + random.choice([0, 0, 0, SECOND, -SECOND])
        return found[:140]
    every = random.choice([HOUR, HOUR, 20 * MINUTE])
    t = now - random.choice([0, 0, 0, 0, -4 * MINUTE, -6 * MINUTE, HOUR, 5 * HOUR, DAY, 3 * DAY, 11 * DAY, 33 * DAY])
    for _ in range(random.choice([1, 2, 5, 24])):
        value = float("nan") if random.random() < 0.03 else 5.0
        quality = random.choice([0, 0, 0, 0, 0, 0, 2, 2, *range(9)])
        found.append((tag, max(0, t), value, quality))
        t -= random.choice([every, every, every, every + SECOND, every * 3 // 2, every * 3 // 2 + 1, 2 * every, 1])
    random.shuffle(found)
    return found


def closed(random, now, log):
    """Append ticks between which our door was closed, now and then one of a worker inside; returns when it is open again."""
    until = now + random.choice([10 * MINUTE, 20 * MINUTE, HOUR, 10 * HOUR, DAY, 3 * DAY, 12 * DAY])
    ticks = [("gateway", now), ("gateway", until)]
    if random.random() < 0.6:
        inside = max(now, until - random.choice([0, MINUTE, 5 * MINUTE, HOUR, 9 * HOUR]))
        ticks.insert(1, ("worker", inside))
    log += [LogRecord(0, 0, at, Kind.TICK, "", Tick(by="t", role=role, now=at)) for role, at in ticks]
    return until


STEPS = [0, 0, 1, SECOND, MINUTE, 10 * MINUTE, HOUR, HOUR, 6 * HOUR, DAY, DAY, 2 * DAY]


@st.composite
def logs(draw, *, doors=True):
    """Draw a log of some days before and behind the end of a month; now and then it stands at a judgement's very instant, or our door is closed."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    begin = now = MONTH_END - random.choice([HOUR, 6 * HOUR, DAY, 2 * DAY, 4 * DAY, 4 * DAY, 29 * DAY, 36 * DAY])
    log = [LogRecord(0, 0, now, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=facility(random, now)))]
    made = []
    for i in range(draw(st.sampled_from([4, 10, 25]))):
        now += random.choice(STEPS)
        if random.random() < 0.1:  # the very instant of a judgement
            now += (MONTH_END - now) % DAY + random.choice([0, 10 * SECOND, MINUTE, 10 * MINUTE])
        what = random.random()
        if what < 0.07:
            payload, kind = RegisterRecord(version=len(log) + 1, facility=facility(random, now)), Kind.REGISTER
        elif what < 0.13:
            log.append(LogRecord(0, 0, now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))
            continue
        elif what < 0.18 and doors:
            now = closed(random, now, log)
            continue
        elif what < 0.3:
            payload, kind = mark(random, now, made), Kind.MARK
        else:
            batch = f"b{i if what < 0.95 else i // 2}"
            payload, kind = readings(rows_of(random, now, begin), batch), Kind.READINGS
        log.append(LogRecord(0, 0, now, kind, FACILITY, payload))
    return [LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log)]
