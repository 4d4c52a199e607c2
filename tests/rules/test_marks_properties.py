"""Marks, for any log: engine and oracle agree on every kind; splits, restarts, and how rows and marks come change nothing else.

Long: the oracle asks of every row anew what covers it; make check leaves it to make test.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.rules import jumplogs, marklogs, meanlogs, pairlogs, sums, triplogs
from tests.rules import test_means_properties as of_means
from tests.rules.leaves import test_pairs_agree
from tests.rules.leaves.test_leaves_agree import compare
from tests.rules.seriesproperties import Kinds
from tests.rules.test_trips_properties import Trips

pytestmark = pytest.mark.long
QUICK = settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
DAY = 86_400_000
ALL = Kinds(marklogs.bundle(), (), behind=DAY + DAY // 8)
KINDS = {
    "plain": (ALL, marklogs.plain()),
    "pairs": (Kinds(pairlogs.BUNDLE, ()), marklogs.pairs()),
    "means": (Kinds(meanlogs.bundle(), meanlogs.NAMES, proved=of_means.proved), marklogs.means()),
    "totals": (Kinds(sums.bundle(), ()), marklogs.totals()),
    "steps": (Kinds(jumplogs.bundle(), ()), marklogs.steps()),
    "trips": (Trips(triplogs.bundle(), triplogs.NAMES), marklogs.trips()),
}
each = pytest.mark.parametrize("kinds", KINDS)


@each
@given(data=st.data())
@QUICK
def test_engine_and_oracle_agree(kinds, data):
    rules, drawn = KINDS[kinds]
    rules.agree(data.draw(drawn))


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@each
@given(data=st.data())
@LONG
def test_engine_and_oracle_agree_on_many_logs(kinds, data):
    """Slow: 3,000 logs of each family, each folded by the oracle too."""
    rules, drawn = KINDS[kinds]
    rules.agree(data.draw(drawn))


@each
@given(data=st.data(), random=st.randoms(use_true_random=False))
@QUICK
def test_splitting_batches_of_one_instant_changes_nothing(kinds, data, random):
    rules, drawn = KINDS[kinds]
    rules.splits_change_nothing(data.draw(drawn), random)


@each
@given(data=st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(kinds, data):
    rules, drawn = KINDS[kinds]
    rules.restarts_change_nothing(data.draw(drawn), data)


@pytest.mark.parametrize("kinds", ["plain", "means", "totals", "steps", "trips"])
@given(data=st.data())
@settings(QUICK, max_examples=examples(15))
def test_an_alarm_stands_in_the_leaves_when_it_stands_in_the_engine(kinds, data):
    rules, drawn = KINDS[kinds]
    _, log, until = rules.log(data.draw(drawn))
    compare(log, rules.bundle, until=until)


@given(marklogs.pairs())
@settings(QUICK, max_examples=examples(15))
def test_a_pair_stands_in_the_leaves_when_it_stands_in_the_engine(drawn):
    rules, _ = KINDS["pairs"]
    _, log, until = rules.log(drawn)
    test_pairs_agree.compare(log, rules.bundle, test_pairs_agree.PAIRS, until)
