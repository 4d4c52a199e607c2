"""The leaves of `cumulative` and `mean_kinetic` never contradict the engine.

Long: a year of rows for each example; make check leaves it to make test.
"""

from __future__ import annotations

import pytest
from hypothesis import given

from rules.changes import Verdict
from rules.leaves.watch import leaves_of
from tests.rules import logs, sums
from tests.rules.leaves.test_leaves_agree import compare, said
from tests.rules.test_sums_properties import KINDS, QUICK

pytestmark = pytest.mark.long

BUNDLE = sums.bundle()
ONLY = BUNDLE.only({*KINDS.own, "test.single", "test.single-by-clock", "data-integrity.physical-range"})
CAUSES = ("total", "mean")


@pytest.mark.parametrize("strategy", [sums.hours(), sums.years()], ids=["sums", "means"])
def test_an_alarm_stands_in_the_leaves_when_it_stands_in_the_engine(strategy):
    @QUICK
    @given(strategy)
    def stands_in_both(drawn):
        log = logs.records(*drawn)
        tracers, alarms = compare(log, ONLY, until=max(r.received for r in log) + KINDS.behind)
        for name in KINDS.own:
            known = {leaf.name: leaf.verdicts for leaf in leaves_of(ONLY.rule(name), ONLY)}
            moments = []
            said(tracers[name], "T0", moments)
            seen = {(leaf.name, leaf.verdict) for moment in moments for leaf in moment.leaves}
            assert all(verdict in known[leaf] for leaf, verdict in seen if leaf in known)
            assert {leaf for leaf, _ in seen} <= {*known, "range"}
            if alarms.standing(name, "T0") is not None:
                assert any((cause, Verdict.TRUE) in seen for cause in CAUSES)

    stands_in_both()
