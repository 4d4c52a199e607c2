"""Alarms that ask for another grade, for any log: engine, oracle and explanation agree; splits, ticks and restarts change nothing, nor does the rule for others."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.changes import alarm_id
from rules.engine import Engine
from rules.pack import Bundle, default_bundle
from rules.records import Decision, Event, Events, Kind, LogRecord, Readings, RegisterRecord, Tick
from rules.register import Facility
from tests.examples import examples
from tests.rules.eventproperties import Kinds
from tests.rules.oracle.grade import Oracle
from tests.rules.test_engine_properties import plain

pytestmark = pytest.mark.long

RULE, RED, ORANGE, STORE = (
    "risk.step-up", "data-integrity.audit-disabled", "data-integrity.full-rights", "cold-chain.store-out"
)  # fmt: skip
OTHERS = Bundle.of(default_bundle().only({RED, ORANGE, STORE}).rules, ())
BUNDLE = Bundle.of(default_bundle().only({RULE, RED, ORANGE, STORE}).rules, ())
FACILITY, MINUTE, HOUR, DAY = "TEST-0001", 60_000, 3_600_000, 86_400_000
BEGIN = 1_772_294_400_000
KINDS = Kinds(BUNDLE, FACILITY, (RULE,), BEGIN, 2 * DAY)
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def facility(random):
    sensors = [
        {"tag": tag, "area": area, "quantity": "temperature", "unit": "Cel", "interval": "60s", "limits": {"low": 2, "high": 8}}
        for tag, area in (("T1", "A1"), ("T2", "A1"), ("T3", "A2"))
    ]  # fmt: skip
    return Facility.model_validate(
        {
            "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000", "delivery": "60s",
            "scopes": [{"field": "distribution", "line": "drug"}], "sensors": sensors,
            "areas": [{"id": "A1", "kind": "cold-room"}, {"id": "A2", "kind": "cold-room"}],
        } | ({"risk": {"grade": random.choice("ABC"), "since": "2025-01-01"}} if random.random() < 0.8 else {})
    )  # fmt: skip


class Drawn:
    """A log as it grows."""

    def __init__(self, random):
        self.random, self.now, self.log, self.version, self.said = random, BEGIN, [], 0, []
        self.register()

    def add(self, kind, payload):
        self.log.append(LogRecord(0, len(self.log), self.now, kind, "" if kind is Kind.TICK else FACILITY, payload))

    def register(self):
        self.version += 1
        self.add(Kind.REGISTER, RegisterRecord(version=self.version, facility=facility(self.random)))

    def events(self):
        random, found = self.random, []
        for _ in range(random.randint(1, 2)):
            name, time = f"s{random.randint(1, 4)}", self.now - random.choice([0, 0, HOUR, 5 * HOUR, 31 * DAY])
            red = random.random() < 0.25
            fields = {"system": name} if red else {"actor": name, "role": "administrator", "verb": "change"}
            word = "audit-disabled" if red else "action"
            found.append(
                Event.model_validate(
                    {"stream": "audit", "type": word, "time": time, "source": "LIMS", "fields": fields}
                )
            )
            rule, subject = (RED, {"system": name}) if red else (ORANGE, {"actor": name})
            self.said.append((rule, subject, time))
        self.add(Kind.EVENTS, Events(batch=f"e{len(self.log)}", events=found))

    def rows(self):
        random = self.random
        tags = random.sample(["T1", "T2", "T3"], random.randint(1, 3))
        n, late = random.randint(2, 7), random.choice([0, 0, 3, 6]) * MINUTE
        times = [self.now - late - (n - i) * MINUTE for i in range(n)]
        values = [float(random.choice([5, 9, 9, 9])) for _ in range(n * len(tags))]
        self.add(
            Kind.READINGS,
            Readings(
                batch=f"b{len(self.log)}", tags=tuple(tags), counts=np.full(len(tags), n, np.int32),
                time=np.array(times * len(tags), np.int64), value=np.array(values), quality=np.zeros(n * len(tags), np.uint8),
            ),
        )  # fmt: skip
        self.said += [(STORE, {"tag": tag}, time) for tag in tags for time in times]

    def decision(self):
        random = self.random
        about = {"grade": FACILITY}
        code = random.choice(["grade-signed", "grade-refused", "close-latched"])
        if self.said and random.random() < 0.7:
            rule, subject, start = random.choice(self.said[-20:] if random.random() < 0.4 else self.said[-3:])
            about = {"alarm": alarm_id(rule, FACILITY, subject, start)}
            code = random.choice(["false-alarm", "duplicate", "breach", "close-latched", "grade-signed"])
        body = {"id": f"D-{len(self.log)}", "version": 1, "subject": about, "officer": "o-1", "revision_seen": 0}
        self.add(Kind.DECISION, Decision.model_validate(body | {"code": code, "reason_sha256": "0" * 64}))

    def step(self):
        random = self.random
        self.now += random.choice([1, MINUTE, 7 * MINUTE, 7 * MINUTE, HOUR, DAY, 5 * DAY, 20 * DAY])
        what = random.random()
        if what < 0.35:
            self.events()
        elif what < 0.7:
            self.rows()
        elif what < 0.85:
            self.decision()
        elif what < 0.93:
            self.register()
        else:
            self.add(Kind.TICK, Tick(by="t", role="worker", now=self.now))


def log_of(seed):
    drawn = Drawn(Random(seed))  # noqa: S311 - a log, no secret
    for _ in range(drawn.random.randint(5, 40)):
        drawn.step()
    return drawn.log


LOGS = st.builds(log_of, st.integers(0, 2**32))


def stories(changes):
    """All but the place in the sequence."""
    return [{n: v for n, v in one.items() if n not in ("seq", "by")} for one in plain(changes)]


@given(LOGS)
@QUICK
def test_engine_and_oracle_agree_and_others_are_as_without_it(log):
    until = KINDS.until(log)
    changes = KINDS.run(log, until)
    assert stories(c for c in changes if c.rule != RULE) == stories(KINDS.run(log, until, Engine(OTHERS)))
    got, wanted = stories(c for c in changes if c.rule == RULE), Oracle(RULE, OTHERS).run(log, until)
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted


@given(LOGS, st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(LOGS, st.lists(st.sampled_from([HOUR, 7 * HOUR, DAY]), min_size=1, max_size=5))
@QUICK
def test_splitting_batches_and_more_ticks_change_nothing(log, distances):
    KINDS.splits_change_nothing(log, distances)


@given(LOGS)
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)


def test_random_logs_reach_what_is_asked_of_them():
    told = Counter(
        c.change.value for seed in range(300) for c in KINDS.run(log_of(seed), None, Engine(BUNDLE)) if c.rule == RULE
    )
    assert all(told[kind] > 10 for kind in ("raised", "cleared", "retracted", "unknown", "known")), told
