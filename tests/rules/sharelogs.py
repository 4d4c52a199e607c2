"""Logs of marks and of rows that devices flagged, about the end of a month: late, revised, again, of areas and series that come and go."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import strategies as st

from rules.instants import parse_instant
from rules.pack import Bundle, default_bundle
from rules.records import Kind, LogRecord, Mark, Readings, RegisterRecord, Tick
from rules.register import Facility

FACILITY, RULE = "TEST-0001", "data-integrity.mark-share"
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
MONTH_END = parse_instant("2026-04-01T00:00:00+08:00")
INTERVALS = {"T1": HOUR, "T2": 10 * MINUTE, "T3": None}
FLAGGED = [3, 4, 6, 7]
NAMES = ["maintenance", "calibration", "fault", "fault", "stopped", "comms", "set_value"]


def variants():
    """Return the shipped rule, one that speaks of hours, of cold rooms and other flags, and one without a notice."""
    rule = default_bundle().rule(RULE)
    quick = {
        "id": "test.quick", "share": 0.004, "notice": rule.notice.model_copy(update={"share": 0.002}),
        "flags": ["stopped", "fault"], "applies_to": {"area.kind": ["cold-room"]},
    }  # fmt: skip
    return [
        rule,
        rule.model_copy(update=quick),
        rule.model_copy(update={"id": "test.one", "share": 0.01, "notice": None}),
    ]


def bundle():
    """Return the rules."""
    return Bundle.of(variants(), [])


def moves(random, entry, now):
    """Return a sensor, or two entries of it: since some time it stands in the other area."""
    if random.random() < 0.75:
        return [entry]
    began = now - random.choice([0, 1, HOUR, 10 * HOUR, 2 * DAY, 9 * DAY])
    return [entry, entry | {"area": "A2" if entry["area"] == "A1" else "A1", "from": began}]


def facility(random, now):
    """Return a facility of which a series may be missing, or stand in the other area, also since some time."""
    sensors = []
    for tag, interval in INTERVALS.items():
        if random.random() < 0.9:
            entry = {"tag": tag, "area": random.choice(["A1", "A1", "A2"]), "quantity": "temperature", "unit": "Cel"}
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
    """Return rows (tag, event time, quality) as one batch."""
    return Readings(
        batch=batch, tags=tuple(tag for tag, _, _ in rows), counts=np.ones(len(rows), np.int32),
        time=np.array([t for _, t, _ in rows], np.int64), value=np.full(len(rows), 5.0),
        quality=np.array([quality for _, _, quality in rows], np.uint8),
    )  # fmt: skip


def rows_of(random, now):
    """Return a run of rows of a series, as a device sends them, with gaps; some far too late, some of the future."""
    tag = random.choice([*INTERVALS, "T1", "T2", "T3", "T3", "T9"])
    step = INTERVALS.get(tag) or random.choice([MINUTE, HOUR])
    t = now - random.choice([0, 0, 0, -4 * MINUTE, -6 * MINUTE, HOUR, 5 * HOUR, DAY, 3 * DAY, 33 * DAY])
    found = []
    for _ in range(random.choice([1, 2, 5, 12])):
        quality = random.choice([0, *FLAGGED, *[random.choice(FLAGGED)] * 4])
        found.append((tag, max(0, t), quality))
        t -= random.choice([step, step, step, step + SECOND, step * 3 // 2, step * 3 // 2 + 1, 2 * step])
    random.shuffle(found)
    return found


def mark(random, now, made):
    """Return a mark, often a revision of an earlier one."""
    if made and random.random() < 0.5:
        old = random.choice(made)
        said = old.model_dump(mode="json", by_alias=True, exclude_none=True)
        end = random.choice([None, old.from_, now, old.from_ + random.choice([HOUR, 3 * HOUR, 60 * HOUR, 75 * HOUR])])
        said |= {"revision": max(1, old.revision + random.choice([1, 1, 1, -1]))}
        said = {k: v for k, v in said.items() if k != "to"} | ({} if end is None else {"to": max(end, old.from_)})
    else:
        begin = now - random.choice([0, 1, HOUR, 12 * HOUR, DAY, 3 * DAY, 20 * DAY, -DAY])
        length = random.choice(
            [0, MINUTE, HOUR, 3 * HOUR, 10 * HOUR, 214_272 * SECOND, 267_840 * SECOND, 267_841 * SECOND]
        )
        named = (
            {"area": random.choice(["A1", "A2"])}
            if random.random() < 0.3
            else {"tags": [random.choice([*INTERVALS, "T3"])]}
        )
        said = {
            "id": f"M-{len(made)}",
            "revision": 1,
            "flag": random.choice(NAMES),
            "from": begin,
            "reason": "r",
            "author": "u",
        }
        said |= named | ({} if random.random() < 0.3 else {"to": begin + length})
    new = Mark.model_validate(said)
    made.append(new)
    return new


STEPS = [0, 0, 1, SECOND, MINUTE, 10 * MINUTE, HOUR, HOUR, 6 * HOUR, DAY, DAY, 2 * DAY]


@st.composite
def logs(draw):
    """Draw a log of some days before and behind the end of a month; now and then it begins or ends on a midnight."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    now = MONTH_END - random.choice([HOUR, DAY, 4 * DAY, 12 * DAY, 28 * DAY, 31 * DAY])
    log = [LogRecord(0, 0, now, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=facility(random, now)))]
    made = []
    for i in range(draw(st.sampled_from([4, 10, 25]))):
        now += random.choice(STEPS)
        if random.random() < 0.05:  # the very instant of a judgement
            now += (MONTH_END - now) % DAY + random.choice([0, 10 * SECOND, MINUTE, 10 * MINUTE])
        what = random.random()
        if what < 0.08:
            payload, kind = RegisterRecord(version=len(log) + 1, facility=facility(random, now)), Kind.REGISTER
        elif what < 0.16:
            log.append(LogRecord(0, 0, now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))
            continue
        elif what < 0.5:
            payload, kind = mark(random, now, made), Kind.MARK
        else:
            payload, kind = readings(rows_of(random, now), f"b{i if what < 0.95 else i // 2}"), Kind.READINGS
        log.append(LogRecord(0, 0, now, kind, FACILITY, payload))
    return [LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log)]
