"""Random logs of rows and of what was measured beside them: early and late, again, without errors, in other units, with decisions."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import strategies as st

from rules.changes import alarm_id
from rules.pack import Bundle, default_bundle
from rules.records import Decision, Event, Events, Kind, LogRecord, Quality, Readings, RegisterRecord, Tick
from rules.register import Facility
from tests.rules.latenesslogs import BEGIN, FACILITY, MINUTE, Log

RULE = "data-integrity.parallel-misfit"
TAGS = ["T1", "T1", "T2", "X/9", "NOPE"]
STEPS = [0, 0, 1, 1_000, 29_000, MINUTE, MINUTE, 3 * MINUTE]
QUALITIES = [*[Quality.GOOD] * 5, Quality.FAULT, Quality.UNCERTAIN, Quality.SET_VALUE, Quality.OVER_LIMIT]


def variants():
    """Return the shipped rule, and one of cold rooms."""
    shipped = default_bundle().rule(RULE)
    other = shipped.model_dump(mode="json", by_alias=True) | {
        "id": "test.cold", "applies_to": {"area.kind": "cold-room"}, "severity": {"base": "red"},
    }  # fmt: skip
    return [shipped, type(shipped).model_validate(other)]


def bundle():
    """Return the rules."""
    return Bundle.of(variants(), [])


def facility(random):
    """Return a facility of sensors with an error and an interval, and of some that lack one of both."""
    sensors = [
        {"tag": tag, "area": area, "quantity": "temperature", "unit": "Cel", **more}
        for tag, area, more in (
            ("T1", "A1", {"interval": "60s", "error": 0.5}),
            ("T2", "A2", {"interval": "60s", "error": random.choice([0.2, None])}),
            ("X/9", "A1", {"interval": random.choice(["60s", None]), "error": 0.0}),
        )
    ]
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000",
            "delivery": random.choice(["60s", "60s", "10s", "300s"]),
            "scopes": [{"field": "distribution", "line": "drug"}], "sensors": sensors,
            "areas": [{"id": "A1", "kind": "cold-room"}, {"id": "A2", "kind": "room-store"}],
        }
    )  # fmt: skip


def _rows(random, now, number):
    tags = sorted(set(random.choices(TAGS, k=2)))
    times = [BEGIN + random.randrange(-2, (now - BEGIN) // MINUTE + 7) * MINUTE for _ in tags]
    quality = np.array([random.choice(QUALITIES) for _ in tags], np.uint8)
    value = np.array([random.choice([5.0, 5.1, 5.5, 5.6, 9.0]) for _ in tags])
    value[(quality == Quality.FAULT) & (value == 9.0)] = np.nan
    return Readings(
        batch=f"b{number}", tags=tuple(tags), counts=np.ones(len(tags), np.int32), time=np.array(times, np.int64),
        value=value, quality=quality,
    )  # fmt: skip


def _event(random, now, made):
    if made and random.random() < 0.2:
        return random.choice(made)
    t = BEGIN + random.randrange(-2, (now - BEGIN) // MINUTE + 7) * MINUTE + random.choice([0, 1, 30_000, 30_001, -1])
    fields = {
        "series": random.choice(TAGS), "value": random.choice([5, 5.0, 5.6, 5.61, 6.1, -5.0]), "measured_at": t, "by": "LAB",
        "unit": random.choice(["Cel", "Cel", "Cel", " cel", "K"]), "reference_error": random.choice([0, 0.1, 0.1, -0.1]),
    }  # fmt: skip
    if random.random() < 0.1:
        del fields[random.choice(["value", "unit", "reference_error"])]
    return Event(
        stream="lab", type=random.choice(["parallel"] * 9 + ["result"]), time=now, source="LIMS", fields=fields
    )


@st.composite
def logs(draw):
    """Draw a log."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    now, made = BEGIN, []
    log = [LogRecord(0, 0, now, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=facility(random)))]
    for i in range(draw(st.sampled_from([10, 30, 50]))):
        now = min(now + random.choice(STEPS), BEGIN + 100 * MINUTE)
        what = random.random()
        if what < 0.1:
            log.append(LogRecord(0, 0, now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))
        elif what < 0.16 and made:
            one = random.choice(made)
            alarm = alarm_id(
                random.choice(variants()).id, FACILITY, {"tag": one.fields["series"]}, one.fields["measured_at"]
            )
            said = Decision.model_validate(
                {
                    "id": f"D-{i}", "version": 1, "subject": {"alarm": alarm}, "officer": "o-1", "revision_seen": 0,
                    "code": random.choice(["close-latched", "breach", "grade-signed"]), "reason_sha256": "0" * 64,
                }
            )  # fmt: skip
            log.append(LogRecord(0, 0, now, Kind.DECISION, FACILITY, said))
        elif what < 0.6:
            log.append(LogRecord(0, 0, now, Kind.READINGS, FACILITY, _rows(random, now, i)))
        else:
            made.append(_event(random, now, made))
            log.append(LogRecord(0, 0, now, Kind.EVENTS, FACILITY, Events(batch=f"e{i}", events=[made[-1]])))
    return Log(LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log))
