"""Random logs of posts whose numbers and ids come again, with the same content and with other, of reports, marks, readings and events."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import strategies as st

from rules.changes import alarm_id
from rules.pack import Bundle, default_bundle
from rules.records import Decision, Event, Events, Kind, LogRecord, Readings, RegisterRecord, Report, Tick
from tests.rules.amendmentlogs import amendment
from tests.rules.latenesslogs import BEGIN, DAY, FACILITY, HOUR, MINUTE, Log, facility
from tests.rules.marklogs import mark

RULE = "data-integrity.revision-conflict"
IDS = ["A", "A", "B", "C"]
"""A report, a mark and a batch may have one id, and so one alarm."""
STEPS = [0, 0, 1, MINUTE, HOUR, 12 * HOUR, DAY - 1, DAY, DAY + 1, 3 * DAY]
TAGS = ["T1", "X/9", "NOPE"]


def variants():
    """Return the shipped rule, and one that asks for less."""
    shipped = default_bundle().rule(RULE)
    other = shipped.model_dump(mode="json", by_alias=True) | {
        "id": "test.less", "of": ["reason", "batch"], "severity": {"base": "red"},
    }  # fmt: skip
    return [shipped, type(shipped).model_validate(other)]


def bundle():
    """Return the rules."""
    return Bundle.of(variants(), [])


def review(name, revision, batches, *, sent=BEGIN, reason=None):
    """Return a quality review, or one that its model refuses where `batches` is a text."""
    return Report.model_validate(
        {
            "type": "quality-review", "id": name, "revision": revision, "sent": sent, "reason": reason,
            "fields": {"product": "P-1", "period": "2025", "figures": {"batches": batches}},
        }
    )  # fmt: skip


def readings(name, t, value):
    """Return a batch of one reading."""
    return Readings(
        batch=name, tags=("T1",), counts=np.ones(1, np.int32), time=np.array([t], np.int64),
        value=np.array([value]), quality=np.zeros(1, np.uint8),
    )  # fmt: skip


def events(name, t, state):
    """Return a batch of one event."""
    event = Event(stream="device", type="door", time=t, source="PLC-1", fields={"state": state})
    return Events(batch=name, events=[event])


def _post(random, now):
    name, other = random.choice(IDS), random.random() < 0.4
    what, revision = random.random(), random.choice([1, 1, 2, 3])
    if what < 0.3:
        reason = random.choice([None, " ", "a reason", "a reason"])
        batches = "many" if random.random() < 0.1 else 3 + other
        return Kind.REPORT, review(name, revision, batches, reason=reason)
    if what < 0.5:
        time = random.choice([BEGIN, BEGIN, BEGIN + 1, now - DAY, now, now + 5 * MINUTE, now + 5 * MINUTE + 1])
        found = [(random.choice(TAGS), time, 5.0) for _ in range(random.choice([1, 1, 2]))]
        return Kind.REPORT, amendment(name, revision, found, reason=random.choice([None, "why", "why"]))
    if what < 0.7:
        begin = random.choice([BEGIN, BEGIN, BEGIN - 70 * DAY])
        return Kind.MARK, mark(
            name, revision, begin=begin, to=begin + HOUR, tags=["T1"], flag="fault" if other else "comms"
        )
    if what < 0.85:
        return Kind.READINGS, readings(name, BEGIN, 5.0 + other)
    return Kind.EVENTS, events(name, BEGIN, "open" if other else "closed")


def _decision(random, raised, now):
    rule = random.choice(variants())
    alarm = alarm_id(rule.id, FACILITY, {"report": random.choice(IDS)}, random.choice(raised))
    return Decision.model_validate(
        {
            "id": f"D-{now}", "version": 1, "subject": {"alarm": alarm}, "officer": "o-1", "revision_seen": 0,
            "code": random.choice(["close-latched", "breach", "grade-signed"]), "reason_sha256": "0" * 64,
        }
    )  # fmt: skip


@st.composite
def logs(draw):
    """Draw a log; posts before the register are kept, and not told of."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    now, log, times = BEGIN, [], []
    early = draw(st.sampled_from([0, 0, 3]))
    for i in range(draw(st.sampled_from([8, 20, 50]))):
        now += random.choice(STEPS)
        what = random.random()
        if i == early or (i > early and what < 0.06):
            entry = RegisterRecord(version=i + 1, facility=facility(random))
            log.append(LogRecord(0, 0, now, Kind.REGISTER, FACILITY, entry))
        elif i > early and what < 0.12:
            role = random.choice(["gateway", "worker"])
            log.append(LogRecord(0, 0, now, Kind.TICK, "", Tick(by="t", role=role, now=now)))
        elif what < 0.25 and times:
            log.append(LogRecord(0, 0, now, Kind.DECISION, FACILITY, _decision(random, times, now)))
        else:
            kind, payload = _post(random, now)
            times.append(now)
            log.append(LogRecord(0, 0, now, kind, FACILITY, payload))
    return Log(LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log))
