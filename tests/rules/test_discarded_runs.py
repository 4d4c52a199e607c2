"""Runs of instruments (kind `runs`, ADR 0079): engine, plain oracle and explanation agree; splits, ticks and restarts change nothing."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.errors import Fault
from rules.ledgersound import ledger_faults
from rules.pack import Bundle, default_bundle
from rules.rare import store
from rules.records import Event, Events, Kind, LogRecord, RegisterRecord, Tick
from rules.register import Facility
from tests.examples import examples
from tests.rules.eventproperties import Kinds
from tests.rules.oracle.discarded import RULE, Oracle
from tests.rules.test_engine_properties import plain

FACILITY, MINUTE, HOUR, DAY = "TEST-0001", 60_000, 3_600_000, 86_400_000
BEGIN = 1_772_294_400_000
BUNDLE = Bundle.of(default_bundle().only({RULE}).rules, ())
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
KINDS = Kinds(BUNDLE, FACILITY, (RULE,), BEGIN, 3 * DAY)


def register(delivery="60s"):
    facts = {
        "id": FACILITY, "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110000", "delivery": delivery,
        "scopes": [{"field": "manufacture", "line": "drug"}], "areas": [], "sensors": [],
    }  # fmt: skip
    return RegisterRecord(version=1, facility=Facility.model_validate(facts))


def run(at, number, state="started", instrument="HPLC-2", **more):
    fields = {"instrument": instrument, "number": number, "state": state} | more
    whole = {"stream": "lab", "type": "run", "time": at, "source": "LIMS", "fields": fields}
    return Event.model_validate(whole)


def log(seed):
    """Return a random log: instruments that count, skip, repeat and count anew; facts that come late, twice, or spoilt."""
    random = Random(seed)  # noqa: S311 - a log, no secret
    now, next_number = BEGIN, {"A": random.choice([0, 1, 9, 40]), "B": random.choice([1, 12])}
    found = [LogRecord(0, 0, now, Kind.REGISTER, FACILITY, register(random.choice(["60s", "1h"])))]
    held, said, open_runs = [], [], []
    for _ in range(random.randint(5, 30)):
        now += random.choice([1, MINUTE, HOUR, 5 * HOUR, 20 * HOUR, 30 * HOUR])
        for _ in range(random.randint(1, 4)):
            at = now - random.choice([0, 0, 1, HOUR, HOUR, 30 * HOUR, 3 * DAY])
            if open_runs and random.random() < 0.6:
                number, name, began = open_runs.pop(random.randrange(len(open_runs)))
                state = random.choice(["reported", "reported", "reported", "aborted", "aborted"])
                more = {"reason": "Pressure lost."} if state == "aborted" and random.random() < 0.7 else {}
                held.append(run(random.choice([at, max(at, began), began]), number, state, name, **more))
                continue
            name = random.choice("AAAB")
            step = random.random()
            number = next_number[name] = (
                random.choice([0, 1]) if step < 0.08
                else max(0, next_number[name] + random.choice([-1, 0, 2, 3])) if step < 0.25 else next_number[name] + 1
            )  # fmt: skip
            if random.random() < 0.9:
                open_runs.append((number, name, at))
            held.append(run(at, number, "started", name))
            if random.random() < 0.04:
                spoilt = random.choice(
                    [{"number": "7"}, {"number": True}, {"state": "done"}, {"instrument": ""}, {"number": -1}]
                )
                held[-1] = held[-1].model_copy(update={"fields": held[-1].fields | spoilt})
        if random.random() < 0.1:
            found.append(LogRecord(0, len(found), now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))
        if random.random() < 0.7:
            random.shuffle(held)
            again = [random.choice(said)] if said and random.random() < 0.2 else []
            said += held
            found.append(LogRecord(0, len(found), now, Kind.EVENTS, FACILITY, Events(batch=f"e{len(found)}", events=held + again)) if held + again
                         else LogRecord(0, len(found), now, Kind.TICK, "", Tick(by="t", role="worker", now=now)))  # fmt: skip
            held = []
    return found


LOGS = st.builds(log, st.integers(0, 2**32))


@given(LOGS)
@QUICK
def test_engine_and_oracle_agree(drawn):
    engine, oracle = Engine(BUNDLE), Oracle()
    changes = KINDS.run(drawn, KINDS.until(drawn), engine)
    got = [{name: value for name, value in one.items() if name not in ("seq", "by")} for one in plain(changes)]
    wanted = oracle.run(drawn, KINDS.until(drawn))
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    assert engine.state_of(FACILITY).rare.counts["ledger_unknown"] == oracle.unknown


@given(LOGS, st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    KINDS.restarted(drawn, data.draw(st.integers(1, len(drawn))))


@given(LOGS, st.lists(st.sampled_from([MINUTE, 7 * MINUTE, DAY]), min_size=1, max_size=5))
@QUICK
def test_splitting_batches_and_more_ticks_change_nothing(drawn, distances):
    KINDS.splits_change_nothing(drawn, distances)


@given(LOGS)
@QUICK
def test_explanations_agree_with_the_engine(drawn):
    KINDS.explained(drawn)


def test_random_logs_reach_what_is_asked_of_them():
    told, late = Counter(), 0
    for seed in range(200):
        changes = KINDS.run(log(seed), None, Engine(BUNDLE))
        told.update(c.change.value for c in changes)
        late += sum(c.late for c in changes)
    assert all(told[kind] > 20 for kind in ("raised", "amended", "cleared")), told
    assert late > 20


def folded(events, until=60 * DAY, each=HOUR):
    """Fold events one a record, received with their event time or so long behind the one before; returns engine and changes."""
    engine = Engine(BUNDLE)
    engine.fold(LogRecord(0, 0, BEGIN, Kind.REGISTER, FACILITY, register()))
    changes, now = [], BEGIN
    for i, event in enumerate(events, 1):
        now = max(event.time, now + each)
        changes += engine.fold(LogRecord(0, i, now, Kind.EVENTS, FACILITY, Events(batch=f"e{i}", events=[event])))
    return engine, changes + engine.advance(0, BEGIN + until)


def test_an_instrument_that_works_on_for_years_is_kept_whole(monkeypatch):
    """Forty facts are room for forty closed runs; those that leave are remembered by the highest number, what is open by itself."""
    monkeypatch.setattr(store, "MAX_FACTS", 40)
    events = []
    for i in range(200):
        at = BEGIN + i * 2 * HOUR
        if i != 100:  # never told of
            events.append(run(at, 1000 + i))
            if i != 50:  # never closed
                events.append(run(at + HOUR, 1000 + i, "reported"))
    engine, changes = folded(events, each=1)
    (case,) = engine.state_of(FACILITY).rare.of(RULE).values()
    assert len(case.facts) <= 40
    assert [(c.change.value, (c.start - BEGIN) // HOUR, (c.received - BEGIN) // HOUR) for c in changes] == [
        ("raised", 100, 148), ("amended", 100, 250)
    ]  # fmt: skip
    later = BEGIN + 70 * DAY
    told = [run(later, 1050, "reported"), run(later + 1, 1100, "reported")]
    more = [
        c
        for i, one in enumerate(told)
        for c in engine.fold(
            LogRecord(0, 1000 + i, later + i, Kind.EVENTS, FACILITY, Events(batch=f"m{i}", events=[one]))
        )
    ] + engine.advance(0, later + 2)
    assert [(c.change.value, (c.start - BEGIN) // HOUR) for c in more] == [("amended", 202), ("cleared", 202)]


def test_what_is_older_than_what_has_left_is_counted(monkeypatch):
    monkeypatch.setattr(store, "MAX_FACTS", 4)
    engine, _ = folded([run(BEGIN + i * HOUR, i + 1) for i in range(8)] + [run(BEGIN, 3, "reported")])
    counts = engine.state_of(FACILITY).rare.counts
    assert (counts["event_stale"], counts["fact_dropped"]) == (1, 4)


@pytest.mark.parametrize("match", [{"stream": "lab", "type": "result"}, {"stream": "trace", "type": "run"}])
def test_only_events_of_runs_tell_of_runs(match):
    rule = BUNDLE.rule(RULE)
    wrong = rule.model_copy(update={"run": rule.run.model_copy(update=match)})
    assert ledger_faults(wrong) == [Fault("/run", "runs", "what is told of runs are events lab run")]
    assert ledger_faults(rule) == []
