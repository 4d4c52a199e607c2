"""Logs of doors and of sensors beside them: minutes of rows with holes, bad ones, late, again and in conflict; events late and again; marks."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import strategies as st

from rules.instants import parse_instant
from rules.pack import Bundle, default_bundle
from rules.records import Event, Events, Kind, LogRecord, Mark, Readings, RegisterRecord, Tick
from rules.register import Facility

FACILITY, RULE = "TEST-0001", "data-integrity.no-door-trace"
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
BEGIN = parse_instant("2026-03-01T00:00:00+08:00")
SENSORS = {
    "T1": ("D1", "A1", MINUTE),
    "T2": ("D1", "A2", 2 * MINUTE),
    "T3": ("D2", "A1", None),
    "T4": (None, "A1", MINUTE),
}
NAN = float("nan")


def variants():
    """Return the shipped rule, one that judges three short openings of cold rooms and skips what is marked, and one of two."""
    rule = default_bundle().rule(RULE)

    def other(name, **more):
        trace = {name: more.pop(name) for name in ("lasts", "change", "last", "absent", "clear") if name in more}
        return rule.model_copy(update={"id": name, "trace": rule.trace.model_copy(update=trace), **more})

    short = other(
        "test.short", lasts=30 * SECOND, change=0.5, last=3, absent=2, clear=1, within=4 * MINUTE, marked="skip",
        applies_to={"area.kind": ["cold-room"]},
    )  # fmt: skip
    return [rule, short, other("test.two", lasts=MINUTE, last=2, absent=2, clear=1, within=5 * MINUTE)]


def bundle():
    """Return the rules."""
    return Bundle.of(variants(), [])


def facility(random):
    """Return a facility of three sensors with doors and one without; interval and delivery may be others."""
    sensors = []
    for tag, (door, area, interval) in SENSORS.items():
        entry = {"tag": tag, "area": area, "quantity": "temperature", "unit": "Cel"}
        every = random.choice([interval] * 6 + [3 * MINUTE, 150 * SECOND])
        entry |= {} if door is None else {"door": door}
        sensors.append(entry if every is None else entry | {"interval": f"{every // SECOND}s"})
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000",
            "delivery": random.choice(["0s", "1s", "60s", "60s", "5m"]),
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


def doors(random, minutes):
    """Return (event time, door, state) of openings, most of them closed again, and (door, event time) of the openings."""
    events, opened = [], []
    for door in ("D1", "D2"):
        t = BEGIN + random.choice([0, 2, 5]) * MINUTE
        while t < BEGIN + minutes * MINUTE:
            t += random.choice([0, 0, 0, 30 * SECOND, SECOND, -1])
            events.append((t, door, "open"))
            opened.append((door, t))
            if random.random() < 0.08:
                events.append(
                    (t + random.choice([0, MINUTE, 3 * MINUTE]), door, random.choice(["open", "open", "ajar"]))
                )
            if random.random() < 0.95:
                short = [30 * SECOND - 1, 30 * SECOND, MINUTE - 1, MINUTE]
                events.append((t + random.choice([2 * MINUTE] * 6 + [*short, 0]), door, "closed"))
            t += random.choice([3, 4, 5, 6, 10, 11, 12, 20]) * MINUTE
    return events, opened


def rows_of(random, minutes, opened):
    """Return rows (tag, event time, value, quality): flat, with changes behind some openings, and few of them odd."""
    found = []
    odd, first, later = (
        random.choice([0, 0, 0.01, 0.05]),
        random.choice([0, 0, 0.1, 0.9]),
        random.choice([0, 0.5, 1, 1]),
    )
    middle = BEGIN + minutes * random.choice([20, 30, 60]) * SECOND
    for tag, (door, _, interval) in SENSORS.items():
        every = random.choice([interval or MINUTE] * 4 + [MINUTE])
        bumps = [
            (
                t + random.choice([0, 1, MINUTE, 4 * MINUTE, 5 * MINUTE, 10 * MINUTE]),
                random.choice([0.2, 0.19, 0.5, -0.2, 0.8]),
            )
            for other, t in opened
            if other == door and random.random() < (first if t < middle else later)
        ]
        t, base = BEGIN - random.choice([0, MINUTE, 10 * MINUTE]), random.choice([5.0, 3.9, -20.0])
        while t < BEGIN + minutes * MINUTE:
            near = [delta for at, delta in bumps if at <= t < at + 2 * every]
            value, quality = round(base + sum(near[:1]), 2), 0
            if random.random() < odd:
                value, quality = random.choice([(NAN, 0), (value, random.choice(range(9))), (value, 1), (value + 1, 0)])
            if random.random() >= odd:
                found.append((tag, t, value, quality))
            t += every + random.choice([0] * 30 + [every // 2, every // 2 + 1, every])
    return found


def mark(random, number, minutes):
    """Return a mark of a series, or of an area."""
    begin = BEGIN + random.randrange(minutes) * MINUTE
    named = {"area": "A1"} if random.random() < 0.3 else {"tags": [random.choice(["T1", "T2", "T3"])]}
    return Mark.model_validate(
        {
            "id": f"M-{number}", "revision": 1, "flag": random.choice(["maintenance", "fault", "set_value", "comms"]),
            "from": begin, "to": begin + random.choice([0, MINUTE, 20 * MINUTE, 5 * HOUR]), "reason": "r", "author": "u",
        }
        | named
    )  # fmt: skip


@st.composite
def logs(draw):
    """Draw a log of half an hour to five hours, most of it in time."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    minutes = draw(st.sampled_from([30, 60, 60, 130, 300]))
    events, opened = doors(random, minutes)
    rows = rows_of(random, minutes, opened)
    away = [
        (BEGIN + random.randrange(minutes) * MINUTE, random.choice([5, 20, 90, 200]) * MINUTE)
        for _ in range(random.choice([0, 0, 1, 2]))
    ]
    delay = random.choice([0, SECOND, SECOND, MINUTE])

    def received(t):
        """When something comes: the link may be away, and then brings all at once, some of it in pieces."""
        held = max((begin + length for begin, length in away if begin <= t < begin + length), default=t)
        slow = (
            random.choice([0] * 40 + [MINUTE, 10 * MINUTE, 40 * MINUTE]) if held == t else random.choice([0, 0, SECOND])
        )
        return held + delay + slow

    sent = []
    for row in rows:
        sent.append((received(row[1]), "rows", row))
        if random.random() < 0.01:
            again = (row[0], row[1], row[2] + random.choice([0, 1]), row[3])
            sent.append((sent[-1][0] + random.choice([0, MINUTE]), "rows", again))
    for t, door, state in events:
        sent.append((received(t), "events", (t, door, state)))
        if random.random() < 0.05:
            sent.append((sent[-1][0] + random.choice([0, MINUTE, 20 * MINUTE]), "events", (t, door, state)))
    sent += [
        (BEGIN + random.randrange(minutes) * MINUTE, "mark", mark(random, i, minutes))
        for i in range(random.choice([0, 0, 0, 1, 3]))
    ]
    sent += [(BEGIN + random.randrange(minutes) * MINUTE, "tick", None) for _ in range(random.choice([0, 3]))]
    sent.sort(key=lambda one: (one[0], random.random() if one[1] != "rows" else 0.5))
    log = [LogRecord(0, 0, BEGIN - HOUR, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=facility(random)))]
    i = 0
    while i < len(sent):
        at, kind, what = sent[i]
        j = i + 1
        while j < len(sent) and sent[j][:2] == (at, kind) and kind in {"rows", "events"} and j - i < 40:
            j += 1
        group, i = [one[2] for one in sent[i:j]], j
        if kind == "rows":
            payload = readings(group, f"b{i}")
        elif kind == "events":
            payload = Events(batch=f"e{i}", events=[event(*one) for one in group])
        else:
            payload = Tick(by="t", role="worker", now=at) if kind == "tick" else what
        of = {"rows": Kind.READINGS, "events": Kind.EVENTS, "mark": Kind.MARK, "tick": Kind.TICK}[kind]
        log.append(LogRecord(0, len(log), at, of, "" if kind == "tick" else FACILITY, payload))
    return log


def event(t, door, state):
    """Return an event of a door."""
    fields = {} if state == "ajar" else {"state": state}
    named = {"device": door}
    if t % 3 == 0:
        named, fields = {}, fields | named
    return Event.model_validate(
        {
            "stream": "device",
            "type": "door",
            "time": t,
            "source": "GW" if t % 2 else door,
            "fields": fields,
            **named,
        }
    )
