"""Logs of actions under a few logins at a few terminals, hours or weeks of them, some late, again, or without a terminal."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.rareparts import Occasions
from rules.records import Decision, Events, Kind, LogRecord, RegisterRecord, Tick
from tests.rules.beatlogs import BEGIN, DAY, FACILITY, HOUR, MINUTE, facility

RULE = "data-integrity.shared-account"


def variants():
    """Return the shipped rule and two others: one of hours in cold rooms, one of three terminals."""
    rule = default_bundle().rule(RULE)
    quick = Occasions(times=2, apart="6m", over="1h", calm="2h")
    three = Occasions(times=4, apart="5m", over="2d", calm="5d")
    return [
        rule,
        rule.model_copy(update={"id": "test.quick", "occasions": quick, "applies_to": {"area.kind": ["cold-room"]}}),
        rule.model_copy(update={"id": "test.three", "occasions": three, "n": 3}),
    ]


def bundle():
    """Return the rules, and one that counts the same events one by one."""
    shipped = default_bundle().only({"data-integrity.full-rights"})
    return Bundle.of([*variants(), *shipped.rules], [])


STEPS = [0, 0, 1, 999, MINUTE, MINUTE, 2 * MINUTE, 4 * MINUTE, 5 * MINUTE, 5 * MINUTE + 1, 6 * MINUTE, 6 * MINUTE + 1]
FAR = [20 * MINUTE, HOUR, 3 * HOUR, 20 * HOUR, 3 * DAY, 7 * DAY, 31 * DAY]


@st.composite
def logs(draw):
    """Draw a log."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    actors = draw(st.sampled_from([["lab"], ["lab"], ["lab", "u-1"]]))
    terminals = draw(st.sampled_from([["T-1", "T-2"], ["T-1", "T-2", "T-3"]]))
    late, far = draw(st.sampled_from([0.0, 0.1, 0.4])), draw(st.sampled_from([0.05, 0.15, 0.4]))
    now, sent, batches = BEGIN, [], []
    log = [LogRecord(0, 0, BEGIN, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=facility()))]
    for i in range(draw(st.sampled_from([6, 15, 30, 45]))):
        now += random.choice(FAR) if random.random() < far else random.choice(STEPS)
        events = []
        for _ in range(random.choice([1, 1, 1, 2, 3])):
            back = random.choice([HOUR, 3 * HOUR, 8 * HOUR, 2 * DAY, 8 * DAY]) if random.random() < late else 0
            fields = {"actor": random.choice(actors), "terminal": random.choice(terminals), "role": "analyst"}
            if random.random() < 0.05:
                fields[random.choice(["terminal", "actor"])] = random.choice([None, 7, ""])
            events.append(
                {"stream": "audit", "type": "action", "time": now - back - random.choice([0, 0, *STEPS, -9 * MINUTE]),
                 "source": random.choice(["LIMS", "LIMS", "LIMS", "MES"]), "area": random.choice(["A1", "A1", "A1", "A2"]),
                 "fields": {name: value for name, value in fields.items() if value is not None}}
            )  # fmt: skip
        if sent and random.random() < 0.1:
            events.append(random.choice(sent))
        sent += events
        what = random.random()
        if what < 0.04:
            version = 2 + sum(record.kind is Kind.REGISTER for record in log)
            kinds = random.choice([("cold-room", "room-store"), ("room-store", "room-store")])
            scopes = random.choice([None, None, [{"field": "retail", "line": "device"}]])
            entity = facility(kinds) if scopes is None else facility(kinds).model_copy(update={"scopes": []})
            payload = RegisterRecord(version=version, facility=entity)
            log.append(LogRecord(0, 0, now, Kind.REGISTER, FACILITY, payload))
        elif what < 0.1:
            log.append(LogRecord(0, 0, now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))
        payload = Events.model_validate({"batch": f"b{i}", "events": events})
        if batches and what > 0.95:
            payload = random.choice(batches)
        batches.append(payload)
        log.append(LogRecord(0, 0, now, Kind.EVENTS, FACILITY, payload))
    return [LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log)]


def decision(alarm, now):
    """Return an officer's decision on an alarm."""
    said = {"id": "D-1", "version": 1, "subject": {"alarm": alarm}, "code": "close-latched", "officer": "o-1",
            "revision_seen": 0, "reason_sha256": "0" * 64}  # fmt: skip
    return LogRecord(0, 0, now, Kind.DECISION, FACILITY, Decision.model_validate(said))
