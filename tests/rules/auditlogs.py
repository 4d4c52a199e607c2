"""Logs of audit heartbeats, some stored and sent late, between other records of the facility, with silences of all of it."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.records import Events, Kind, LogRecord, Mark, RegisterRecord, Tick
from tests.rules.beatlogs import BEGIN, DAY, FACILITY, HOUR, MINUTE, SECOND, facility

RULE = "data-integrity.audit-silent"


def variants():
    """Return the shipped rule and one that waits for minutes only, in cold rooms."""
    rule = default_bundle().rule(RULE)
    quick = {"id": "test.quick", "silent": 5 * MINUTE, "back": 40 * MINUTE, "applies_to": {"area.kind": ["cold-room"]}}
    return [rule, rule.model_copy(update=quick)]


def bundle():
    """Return the rules, and one that counts events."""
    shipped = default_bundle().only({"data-integrity.audit-disabled"})
    return Bundle.of([*variants(), *shipped.rules], [])


STEPS = [
    0,
    SECOND,
    MINUTE,
    4 * MINUTE,
    5 * MINUTE,
    5 * MINUTE + 1,
    20 * MINUTE,
    59 * MINUTE,
    HOUR,
    HOUR + 1,
    61 * MINUTE,
]
FAR = [2 * HOUR, 20 * HOUR, 47 * HOUR, 48 * HOUR, 49 * HOUR, 3 * DAY]


def mark(i, now):
    """Return another record of the facility."""
    said = {"id": f"M-{i}", "revision": 1, "area": "A1", "flag": "fault", "from": now, "reason": "x", "author": "u-1"}
    return Mark.model_validate(said)


@st.composite
def logs(draw):
    """Draw a log."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    systems = draw(st.sampled_from([["LIMS"], ["LIMS"], ["LIMS", "MES"]]))
    beat, late = draw(st.sampled_from([0.2, 0.5, 0.8])), draw(st.sampled_from([0.0, 0.3, 0.6]))
    far, now, sent = draw(st.sampled_from([0.0, 0.1, 0.3])), BEGIN, []
    log = [LogRecord(0, 0, BEGIN, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=facility()))]
    for i in range(draw(st.sampled_from([6, 15, 40]))):
        now += random.choice(FAR) if random.random() < far else random.choice(STEPS)
        what = random.random()
        if what < 0.05:
            version = 2 + sum(record.kind is Kind.REGISTER for record in log)
            kinds = random.choice([("cold-room", "room-store"), ("room-store", "room-store")])
            entity = facility(kinds) if what < 0.03 else facility(kinds).model_copy(update={"scopes": []})
            payload = RegisterRecord(version=version, facility=entity)
            log.append(LogRecord(0, 0, now, Kind.REGISTER, FACILITY, payload))
        elif what < 0.12:
            role = random.choice(["worker", "gateway", "gateway"])
            log.append(LogRecord(0, 0, now, Kind.TICK, "", Tick(by="t", role=role, now=now)))
        elif what < 0.2:
            log.append(LogRecord(0, 0, now, Kind.MARK, FACILITY, mark(i, now)))
            continue
        events = []
        for _ in range(random.choice([1, 1, 2, 4])):
            back = (
                random.choice([*STEPS, *FAR, -9 * MINUTE]) if random.random() < late else random.choice([0, 0, SECOND])
            )
            kind = (
                ("audit", "heartbeat")
                if random.random() < beat
                else random.choice([("audit", "action"), ("device", "heartbeat")])
            )
            fields = {} if random.random() < 0.1 else {"system": random.choice(systems)}
            events.append(
                {"stream": kind[0], "type": kind[1], "time": now - back, "source": random.choice(["LIMS", "D1"]),
                 "area": random.choice(["A1", "A1", "A1", "A2"]), "fields": fields}
            )  # fmt: skip
        if sent and random.random() < 0.1:
            events.append(random.choice(sent))
        sent += events
        payload = Events.model_validate({"batch": f"b{i if what < 0.95 else i // 2}", "events": events})
        log.append(LogRecord(0, 0, now, Kind.EVENTS, FACILITY, payload))
    return [LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log)]
