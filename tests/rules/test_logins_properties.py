"""Kind `count` with occasions, for any log: engine, oracle and explanation agree; order, splits, ticks and restarts change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.layout import NONE
from rules.rare import shared, store
from rules.rareparts import Occasions
from rules.records import Events
from rules.rule import CountRule
from tests.examples import examples, until_met
from tests.rules import loginlogs
from tests.rules.eventproperties import Kinds, sent_once
from tests.rules.test_engine_properties import plain

pytestmark = pytest.mark.long

BUNDLE = loginlogs.bundle()
OWN = tuple(rule.id for rule in loginlogs.variants())
QUICK = settings(
    max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
KINDS = Kinds(BUNDLE, loginlogs.FACILITY, OWN, loginlogs.BEGIN, 40 * loginlogs.DAY)
agree = KINDS.agree


@given(loginlogs.logs())
@QUICK
def test_logins_agree_with_the_oracle(log):
    agree(log)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(loginlogs.logs())
@LONG
def test_logins_agree_with_the_oracle_on_many_logs(log):
    """Slow: 3,000 logs, each judged from scratch at every event."""
    agree(log)


@given(loginlogs.logs(), st.lists(st.integers(1, 40 * loginlogs.HOUR), min_size=1, max_size=9))
@QUICK
def test_splitting_batches_and_more_ticks_change_nothing(log, distances):
    KINDS.splits_change_nothing(sent_once(log), distances)


@given(loginlogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(loginlogs.logs(), st.data())
@QUICK
def test_with_bounds_that_are_always_met_a_restart_changes_nothing_either_and_losses_are_counted(log, data):
    with patch.multiple(store, MAX_CASES=2, MAX_FACTS=3, MAX_ALL_FACTS=5, MAX_SEEN=2):
        engine = KINDS.restarted(log, data.draw(st.integers(1, len(log))))
        rare = engine.state_of(loginlogs.FACILITY).rare
        for rule, cases in rare.cases.items():
            assert len(cases) <= 2
            assert cases.held == sum(len(case.facts) for case in cases.values())
            assert all(sum(bool(f.text) for f in case.facts) <= 3 for case in cases.values()), rule


@given(loginlogs.logs())
@QUICK
def test_events_that_come_again_in_other_batches_change_nothing(log):
    """Whatever order they come in: what is kept are spans, which an event that is inside of one does not change.

    But for events of the future: they count as of when they come, each time. And a batch that the log itself has again does nothing
    under its own id; under another it is judged by the register that came between.
    """
    again = []
    log = [record for record in sent_once(log) if not _of_future(record)]
    for record in log:
        again.append(record)
        if isinstance(record.payload, Events):
            batch = f"again-{len(again)}"
            again.append(replace(record, payload=Events(batch=batch, events=record.payload.events[::-1])))
    again = [replace(record, offset=i) for i, record in enumerate(again)]
    until = KINDS.until(log)
    assert told(KINDS.run(again, until)) == told(KINDS.run(log, until))


def _of_future(record):
    return isinstance(record.payload, Events) and any(
        event.time > record.received + 5 * loginlogs.MINUTE for event in record.payload.events
    )


def told(changes):
    """Return what is told by the rules over logins, without the numbers that other changes count with."""
    return [(c["rule"], c["subject"], c["change"], c["alarm"], c["start"], c["end"], c["at"], c["received"], c["late"])
            for c in plain(changes) if c["rule"] in OWN]  # fmt: skip


@given(loginlogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)


@given(loginlogs.logs())
@QUICK
def test_no_officer_ends_such_an_alarm(log):
    changes = KINDS.run(log)
    for alarm in {c.alarm for c in changes if c.rule in OWN}:
        engine = Engine(BUNDLE)
        KINDS.run(log, engine=engine)
        said = replace(loginlogs.decision(alarm, log[-1].received), offset=len(log))
        assert engine.fold(said) == []


def test_the_random_logs_reach_every_transition():
    found = Counter()

    def look(log):
        found.update((c.rule, c.change.value, c.late) for c in KINDS.changes(log))

    def missing():
        kinds = {name: {kind for rule, kind, _ in found if rule == name} for name in OWN}
        return {name: {"raised", "cleared", "amended"} - told for name, told in kinds.items()}

    until_met(loginlogs.logs(), look, lambda: not any(missing().values()), most=800)
    assert not any(missing().values()), (missing(), found)
    assert {late for _, kind, late in found if kind == "raised"} == {True, False}


@pytest.mark.parametrize("seed", range(200))
def test_spans_say_what_every_instant_says(seed):
    """Small numbers, every instant asked by itself: what counts, how often, and since when."""
    random = Random(seed)  # noqa: S311 - a log, no secret
    n, within, apart, over = random.randint(2, 3), random.randint(0, 4), random.randint(0, 6), random.randint(3, 30)
    often = Occasions.model_construct(times=random.randint(2, 4), apart=apart, over=over, calm=over)
    rule = CountRule.model_construct(n=n, within=within, occasions=often)
    events = [(random.randint(0, 40), random.choice("abc")) for _ in range(random.randint(1, 14))]
    spans = []
    for t, text in events:
        spans = shared.joined(spans, t, text, "b", within)
    newest = max(t for t, _ in events)
    counting = shared.counted(spans, n, within, NONE, newest)
    holds = [at for at in range(newest + 1) if len({x for t, x in events if at - within <= t <= at}) >= n]
    assert [at for begin, end in counting for at in range(begin, end + 1)] == holds

    def most(at):
        chain, before = 0, None
        for one in (x for x in holds if at - over <= x <= at - apart - 1):
            if before is None or one - before > apart:
                chain, before = chain + 1, one
        return chain + 1

    for at in holds:
        assert shared.number(counting, at, often) == min(often.times, most(at))
    assert shared.reached(counting, often) == next((at for at in holds if most(at) >= often.times), None)
    assert rule.occasions is often
