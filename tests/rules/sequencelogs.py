"""Logs of numbered batches and events: lost, late, stored, numbered when made or when sent, clocks set back, counters that begin anew."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import strategies as st

from rules.changes import alarm_id
from rules.pack import Bundle, default_bundle
from rules.records import Decision, Events, Kind, LogRecord, Readings, RegisterRecord, Tick
from rules.register import Facility
from tests.rules.auditlogs import mark
from tests.rules.beatlogs import BEGIN, DAY, FACILITY, HOUR, MINUTE, SECOND

RULE = "data-integrity.sequence"
SETS = (("T1",), ("T2", "T1"), ("T1", "T2"), ("GONE",))
"""Series that are posted together; two of these are one set."""


def variants():
    """Return the shipped rule and one that waits for minutes only."""
    rule = default_bundle().rule(RULE)
    quick = {"id": "test.quick", "wait": 30 * MINUTE, "silent": 10 * MINUTE, "apart": 5 * SECOND}
    return [rule, rule.model_copy(update=quick)]


def bundle():
    """Return the rules, and one that counts events."""
    shipped = default_bundle().only({"data-integrity.audit-disabled"})
    return Bundle.of([*variants(), *shipped.rules], [])


def facility(delivery="60s", field="distribution"):
    """Return a facility with two sensors that no other rule of the bundle looks at."""
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000", "delivery": delivery,
            "scopes": [{"field": field, "line": "drug"}], "areas": [{"id": "A1", "kind": "cold-room"}],
            "sensors": [
                {"tag": tag, "area": "A1", "quantity": "temperature", "unit": "Cel", "interval": "60s"}
                for tag in ("T1", "T2")
            ],
        }
    )  # fmt: skip


class Log(list):
    """Records that are shown in little room: a warning of Hypothesis about a long one would be an error of its own."""

    def __repr__(self):
        return "\n".join(f"{(record.received - BEGIN) / MINUTE:g} {said(record)}" for record in self)


def said(record):
    post = record.payload
    if isinstance(post, Readings):
        return f"{post.seq} {'+'.join(post.tags)} {min(post.time) - BEGIN}-{max(post.time) - BEGIN}"
    if isinstance(post, Events):
        return [(one.source, one.type, one.seq, one.time - BEGIN) for one in post.events]
    return record.kind.value


class Sender:
    """What sends a feed: its counter, its clock, and what it stored."""

    def __init__(self, random, made):
        self.random, self.made = random, made
        self.number, self.off = random.choice([0, 1, 7, 400]), 0
        self.stored = []

    def next(self, now):
        """Return (number, event time) of what it makes now; sometimes its counter or its clock is another one from now on."""
        random = self.random
        self.number += 1
        what = random.random()
        if what < 0.06:  # lost
            self.number += random.choice([1, 1, 2, 30])
        elif what < 0.1:
            self.number = random.choice([0, 1, self.number + 1, max(0, self.number - 3)])
        elif what < 0.16:
            self.off = random.choice([0, 0, 0, MINUTE, 5 * SECOND, 2 * MINUTE, 2 * MINUTE + 1, -4 * MINUTE, HOUR])
        return self.number, now - self.off - random.choice([0, 0, 0, 1, SECOND, MINUTE])


def readings(random, i, number, times):
    """Return a batch."""
    tags = random.choice(SETS)
    rows = [sorted(random.sample(times, random.randint(1, len(times)))) for _ in tags]
    rows[0] = times
    count = sum(len(row) for row in rows)
    return Readings(
        batch=f"r{i}", tags=tags, counts=np.array([len(row) for row in rows], np.int32),
        time=np.array([t for row in rows for t in row], np.int64), value=np.array([5.0 + i % 3] * count),
        quality=np.zeros(count, np.uint8), seq=number,
    )  # fmt: skip


STEPS = [0, SECOND, MINUTE, MINUTE, MINUTE, 2 * MINUTE, 4 * MINUTE, 10 * MINUTE, 10 * MINUTE + 1, 25 * MINUTE, HOUR]
FAR = [3 * HOUR, 47 * HOUR, 48 * HOUR, 3 * DAY]


@st.composite
def logs(draw):
    """Draw a log."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    share, far = draw(st.sampled_from([0.0, 0.5, 1.0])), draw(st.sampled_from([0.0, 0.05, 0.2]))
    away = draw(st.sampled_from([0.0, 0.2, 0.5]))
    senders = {name: Sender(random, made=random.random() < 0.6) for name in ("PLC", "PLC-2", "readings")}
    log = [LogRecord(0, 0, BEGIN, Kind.REGISTER, FACILITY, RegisterRecord(version=1, facility=facility()))]
    now, sent, starts = BEGIN, [], [BEGIN]
    for i in range(draw(st.sampled_from([8, 20, 45]))):
        now += random.choice(FAR) if random.random() < far else random.choice(STEPS)
        what = random.random()
        if what < 0.04:
            version = 2 + sum(record.kind is Kind.REGISTER for record in log)
            entity = facility(random.choice(["10s", "60s", "5m"]))
            payload = RegisterRecord(version=version, facility=entity)
            log.append(LogRecord(0, 0, now, Kind.REGISTER, FACILITY, payload))
        elif what < 0.1:
            log.append(LogRecord(0, 0, now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))
        elif what < 0.16:
            log.append(LogRecord(0, 0, now, Kind.MARK, FACILITY, mark(i, now)))
        elif what < 0.24:
            starts.append(now)
            log += [
                LogRecord(0, 0, now, Kind.DECISION, FACILITY, decision(f"D{i}-{k}", alarm))
                for k, alarm in enumerate(alarms(starts))
            ]
        starts.append(now)
        if random.random() < share:
            sender = senders["readings"]
            number, t = sender.next(now)
            times = sorted({t - k * MINUTE for k in range(random.choice([1, 1, 2, 5]))})
            if random.random() < away:
                sender.stored.append((number if sender.made else None, times))
                if not sender.made:
                    sender.number -= 1
            else:
                given = None if random.random() < 0.05 else number
                log.append(LogRecord(0, 0, now, Kind.READINGS, FACILITY, readings(random, i, given, times)))
                while sender.stored and random.random() < 0.7:
                    number, times = sender.stored.pop(random.choice([0, -1]))
                    if number is None:
                        sender.number += 1
                        number = sender.number
                    stored = readings(random, 1_000 * i + len(sender.stored), number, times)
                    log.append(LogRecord(0, 0, now, Kind.READINGS, FACILITY, stored))
        events = [event(random, senders, now, away) for _ in range(random.choice([0, 1, 1, 2, 4]))]
        if sent and random.random() < 0.1:
            events.append(random.choice(sent))
        events = [one for one in events if one is not None]
        sent += events
        if events:
            payload = Events.model_validate({"batch": f"b{i if what < 0.95 else i // 2}", "events": events})
            log.append(LogRecord(0, 0, now, Kind.EVENTS, FACILITY, payload))
    return Log(LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log))


def event(random, senders, now, away):
    """Return one event, or none where it is stored; sometimes one that was stored."""
    source = random.choice(["PLC", "PLC", "PLC", "PLC-2"])
    sender = senders[source]
    if sender.stored and random.random() < 0.4:
        return sender.stored.pop(random.choice([0, -1]))
    if random.random() < 0.12:
        back = random.choice([0, 0, SECOND, MINUTE, 4 * MINUTE, 20 * MINUTE, HOUR, 47 * HOUR])
        one = {"stream": "device", "type": "restart", "time": now - back, "source": random.choice([source, "GW"])}
        return one | random.choice([{}, {"device": "PLC"}, {"fields": {"device": "PLC"}}, {"seq": sender.next(now)[0]}])
    number, t = sender.next(now)
    one = {"stream": "device", "type": "door", "time": t, "source": source, "fields": {"state": "open"}}
    if random.random() < 0.95:
        one["seq"] = number if random.random() < 0.98 else 1 << 60
    if random.random() < away:
        sender.stored.append(one)
        return None
    return one


def alarms(starts):
    """Return alarms that may stand."""
    subjects = [{"feed": "readings"}, {"feed": "events PLC"}, {"case": "order", "feed": "readings"},
                {"case": "order", "feed": "events PLC"}]  # fmt: skip
    return [
        alarm_id(rule, FACILITY, subject, start)
        for rule in (RULE, "test.quick")
        for subject in subjects
        for start in starts[-8:]
    ]


def decision(name, alarm):
    """Return an officer's decision."""
    said = {"id": name, "version": 1, "subject": {"alarm": alarm}, "code": "close-latched", "officer": "o-1",
            "revision_seen": 0, "reason_sha256": "0" * 64}  # fmt: skip
    return Decision.model_validate(said)
