"""Kind `clock`, check `sequence`, for any log: engine, oracle and explanation agree; splits, ticks and restarts change nothing."""

from __future__ import annotations

from collections import Counter
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.rare import feeds
from rules.rare import sequence as numbers
from rules.records import Readings
from tests.examples import examples, until_met
from tests.rules import sequencelogs
from tests.rules.eventproperties import Kinds, sent_once
from tests.rules.test_engine_properties import plain

pytestmark = pytest.mark.long

BUNDLE = sequencelogs.bundle()
OWN = tuple(rule.id for rule in sequencelogs.variants())
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
KINDS = Kinds(BUNDLE, sequencelogs.FACILITY, OWN, sequencelogs.BEGIN, 60 * sequencelogs.HOUR)
agree = KINDS.agree


@given(sequencelogs.logs())
@QUICK
def test_numbers_agree_with_the_oracle(log):
    agree(log)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(sequencelogs.logs())
@LONG
def test_numbers_agree_with_the_oracle_on_many_logs(log):
    """Slow: 3,000 logs."""
    agree(log)


@given(sequencelogs.logs(), st.lists(st.integers(1, 40 * sequencelogs.HOUR), min_size=1, max_size=9))
@QUICK
def test_splitting_batches_and_more_ticks_change_nothing(log, distances):
    KINDS.splits_change_nothing(sent_once(log), distances)


@given(sequencelogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(sequencelogs.logs(), st.data())
@QUICK
def test_with_room_for_next_to_nothing_nothing_fails_and_a_restart_changes_nothing(log, data):
    tight = {"MAX_FRONTS": 1, "MAX_STRETCHES": 2, "MAX_RESTARTS": 1}
    with patch.multiple(feeds, **tight), patch.multiple(numbers, MAX_FEEDS=1, MAX_GAPS=2, MAX_ROWS=2):
        engine = KINDS.restarted(log, data.draw(st.integers(1, len(log))))
        rare = engine.state_of(sequencelogs.FACILITY).rare
        assert all(sum(rule == name for rule, _ in rare.feeds) <= 1 for name in OWN)
        for feed in rare.feeds.values():
            assert len(feed.fronts) <= 1
            assert len(feed.restarts) <= 1
            assert all(len(front.stretches) <= 2 for front in feed.fronts.values())
        assert all(len(case.facts) <= 2 for name in OWN for case in rare.of(name).values())


@given(sequencelogs.logs())
@QUICK
def test_the_order_of_series_in_a_batch_and_of_its_rows_changes_nothing(log):
    other = [turned(record) for record in log]
    until = KINDS.until(log)
    assert [c for c in plain(KINDS.run(other, until)) if c["rule"] in OWN] == [
        c for c in plain(KINDS.run(log, until)) if c["rule"] in OWN
    ]


def turned(record):
    """Return a record with its series, and the rows of each, in the other order."""
    post = record.payload
    if not isinstance(post, Readings):
        return record
    return record.__class__(
        record.partition, record.offset, record.received, record.kind, record.facility,
        Readings(post.batch, post.tags[::-1], post.counts[::-1], post.time[::-1], post.value[::-1], post.quality[::-1], post.seq),
    )  # fmt: skip


@given(sequencelogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)


def test_the_random_logs_reach_every_transition():
    found = Counter()

    def look(log):
        found.update((c.rule, c.change.value, c.subject.get("case")) for c in KINDS.changes(log))

    def missing():
        wanted = {(name, change, "order") for name in OWN for change in ("raised", "cleared", "retracted")}
        return (wanted | {("test.quick", change, None) for change in ("raised", "cleared", "amended")}) - found.keys()

    until_met(sequencelogs.logs(), look, lambda: not missing(), most=800)
    assert not missing(), (missing(), found)
    # The shipped one waits for 48 hours without a silence of an hour: tests/rules/test_sequence_by_hand.py.
    assert {change for rule, change, case in found if (rule, case) == ("test.quick", None)} >= {
        "raised", "cleared", "amended"
    }, found  # fmt: skip
