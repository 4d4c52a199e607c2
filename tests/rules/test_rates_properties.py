"""Measured time of a month, for any log: engine, oracle and explanation agree; splits, order, ticks and restarts change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import chain
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.changes import Verdict
from rules.engine import Engine
from rules.rare import missing, rate
from tests.examples import examples
from tests.rules import ratelogs
from tests.rules.eventproperties import Kinds, event_by_event
from tests.rules.splits import split
from tests.rules.test_engine_properties import without_records

pytestmark = pytest.mark.long

BUNDLE = ratelogs.bundle()
OWN = tuple(rule.id for rule in ratelogs.variants())
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
KINDS = Kinds(BUNDLE, ratelogs.FACILITY, OWN, ratelogs.MONTH_END - 40 * ratelogs.DAY, 36 * ratelogs.DAY)


@given(ratelogs.logs())
@QUICK
def test_rates_agree_with_the_oracle(log):
    KINDS.agree(log)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(ratelogs.logs())
@LONG
def test_rates_agree_with_the_oracle_on_many_logs(log):
    """Slow: 3,000 logs, each month judged from all rows and marks at each of its judgements."""
    KINDS.agree(log)


@given(ratelogs.logs(), st.randoms(use_true_random=False))
@QUICK
def test_neither_splits_of_batches_nor_the_order_of_their_rows_change_anything(log, random):
    once = Counter(getattr(record.payload, "batch", "") for record in log)
    log = [
        record for record in log if once[getattr(record.payload, "batch", "")] == 1 or record.kind.value != "readings"
    ]
    until = KINDS.until(log)
    registers = sum(record.kind.value == "register" for record in log)  # another interval is another time for a row
    other = split([_shuffled(record, random) if registers == 1 else record for record in log], random)
    assert without_records(KINDS.run(other, until)) == without_records(KINDS.run(log, until))


def _shuffled(record, random):
    if record.kind.value != "readings":
        return record
    rows, order = record.payload, list(range(record.payload.time.size))
    random.shuffle(order)
    mixed = replace(
        rows, tags=tuple(rows.tags[i] for i in order),
        time=rows.time[order], value=rows.value[order], quality=rows.quality[order],
    )  # fmt: skip
    return replace(record, payload=mixed)


@given(ratelogs.logs(doors=False), st.lists(st.integers(1, 40 * ratelogs.HOUR), min_size=1, max_size=9))
@QUICK
def test_more_ticks_change_nothing(log, distances):
    until = KINDS.until(log)
    ticking = event_by_event(log, distances, KINDS.begin)
    assert without_records(KINDS.run(ticking, until)) == without_records(KINDS.run(log, until))


@given(ratelogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    whole = KINDS.restarted(log, data.draw(st.integers(1, len(log))))
    for kept in chain.from_iterable(whole.state_of(ratelogs.FACILITY).rare.missing.values()):
        assert kept.held == sum(len(holes) // 2 for holes in kept.holes.values())
        assert all(np.all(np.diff(holes) > 0) for holes in kept.holes.values())


@given(ratelogs.logs(), st.data(), st.sampled_from([(1, 50_000), (2, 3), (512, 0)]))
@QUICK
def test_within_bounds_that_are_always_met_nothing_is_said_that_is_not_so(log, data, bounds):
    free = _verdicts(log)
    with patch.object(missing, "MAX_HOLES", bounds[0]), patch.object(missing, "MAX_ALL_HOLES", bounds[1]):
        whole = KINDS.restarted(log, data.draw(st.integers(1, len(log))))
        for kept in chain.from_iterable(whole.state_of(ratelogs.FACILITY).rare.missing.values()):
            assert all(len(holes) <= 2 * bounds[0] for holes in kept.holes.values())
            assert kept.held <= bounds[1]
        bound = _verdicts(log)
    assert free.keys() == bound.keys()
    for key, verdict in bound.items():
        assert verdict in {free[key], Verdict.UNKNOWN}, key


def _verdicts(log):
    """Return what each judgement says of each series."""
    found = {}
    engine = Engine(BUNDLE)
    rules = {rule.id: rule for rule in BUNDLE.rules}

    def judge(rule, state, begin, end):
        for one in rates(rule, state, begin, end):
            found[rule.id, len(found), one.subject, begin] = rate.judged(rules[rule.id], one)
            yield one

    rates = rate.rates
    with patch.object(rate, "rates", judge):
        for record in log:
            engine.fold(record)
        engine.advance(0, KINDS.until(log))
    return found


@given(ratelogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)


def test_the_random_logs_reach_every_transition():
    found = Counter()

    @given(ratelogs.logs())
    @settings(QUICK, max_examples=400, derandomize=True, database=None)
    def look(log):
        found.update(KINDS.told(log))

    look()
    for name in OWN:
        kinds = {kind for rule, kind in found if rule == name}
        assert kinds >= {"raised", "cleared", "unknown", "known", "retracted"}, (name, found)
