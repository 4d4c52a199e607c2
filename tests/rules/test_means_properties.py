"""Kind `limit` with `smooth`, for any log: engine, oracle and leaves agree; splits, restarts and late rows change nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.changes import Verdict
from tests.examples import examples, until_met
from tests.rules import meanlogs
from tests.rules.seriesproperties import Kinds

QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)


def proved(change):
    """Return (mean, whether it lies outside, whether the newest records are named, highest mean) of a change."""
    mean, *early = change.evidence.leaves
    outside = None if mean.verdict is Verdict.UNKNOWN else mean.verdict is Verdict.TRUE
    return mean.left, outside, bool(early), change.evidence.peak


KINDS = Kinds(meanlogs.bundle(), meanlogs.NAMES, proved=proved)


@given(meanlogs.counts())
@QUICK
def test_means_agree_with_the_oracle(drawn):
    KINDS.agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(meanlogs.counts())
@LONG
def test_means_agree_with_the_oracle_on_many_logs(drawn):
    """Slow: 3,000 logs, each folded by the oracle too."""
    KINDS.agree(drawn)


@given(meanlogs.counts(), st.randoms(use_true_random=False))
@QUICK
def test_splitting_batches_of_one_instant_changes_nothing(drawn, random):
    KINDS.splits_change_nothing(drawn, random)


@given(meanlogs.counts(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    KINDS.restarts_change_nothing(drawn, data)


@given(meanlogs.counts())
@QUICK
def test_an_alarm_stands_in_the_leaves_when_it_stands_in_the_engine(drawn):
    KINDS.stands_in_the_leaves(drawn, "above", "early")


def test_the_random_logs_reach_every_transition():
    found, wanted = Counter(), {"raised", "cleared", "unknown", "known", "stepped"}
    late = {"raised late", "retracted", "amended"}

    def missing():
        told = {name: {kind for rule, kind in found if rule == name} for name in KINDS.own}
        told["test.plain"].add("stepped")  # it has one colour
        lacking = {name: wanted - kinds for name, kinds in told.items() if wanted - kinds}
        return lacking or {kind for kind in late if sum(n for (_, other), n in found.items() if other == kind) < 5}

    until_met(meanlogs.counts(), lambda drawn: found.update(KINDS.told(drawn)), lambda: not missing(), most=400)
    assert not missing(), (missing(), found)
