"""Kinds `cumulative` and `mean_kinetic`: engine and oracle agree over random logs; splits, restarts and late rows change nothing.

Long: a year of rows for each example; make check leaves it to make test.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.engine import Engine
from tests.examples import examples
from tests.rules import logs, sums
from tests.rules.oracle.fold import fold
from tests.rules.restarts import restarted
from tests.rules.splits import split
from tests.rules.test_engine_properties import plain, without_records

pytestmark = pytest.mark.long

BUNDLE = sums.bundle()
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
END = 40 * sums.DAY
SUMS = ("test.sum", "test.sum-idle", "test.sum-low", "test.mean")


def run(log, until=None, engine=None):
    engine = engine or Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)]
    if until is not None:
        changes += engine.advance(0, until)
    return changes


def agree(drawn):
    entity, entries = drawn
    log = logs.records(entity, entries)
    until = max(r.received for r in log) + END
    changes = run(log, until)
    got = plain(changes)
    wanted, proofs = fold(log, BUNDLE, until)[entity.id]
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    for change, proof in zip(changes, proofs, strict=True):
        if change.rule in SUMS and proof is not None:
            (leaf,) = change.evidence.leaves
            assert leaf.left == proof
    return Counter((c.rule, c.change.value, c.late) for c in changes if c.rule in SUMS)


@given(st.one_of(logs.logs(), sums.hours(), sums.hours()))
@QUICK
def test_sums_agree_with_the_oracle(drawn):
    agree(drawn)


@given(sums.years())
@QUICK
def test_means_agree_with_the_oracle(drawn):
    agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(st.one_of(logs.logs(), sums.hours(), sums.hours()))
@LONG
def test_sums_agree_with_the_oracle_on_many_logs(drawn):
    """Slow: 3,000 logs, each folded by the oracle too."""
    agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(sums.years())
@LONG
def test_means_agree_with_the_oracle_on_many_logs(drawn):
    """Slow: 3,000 logs of a year and more, each folded by the oracle too."""
    agree(drawn)


@pytest.mark.parametrize("strategy", [sums.hours(), sums.years()], ids=["sums", "means"])
def test_splitting_batches_of_one_instant_changes_nothing(strategy):
    @given(strategy, st.randoms(use_true_random=False))
    @QUICK
    def changes_nothing(drawn, random):
        entity, entries = drawn
        log = logs.records(entity, entries)
        until = max(r.received for r in log) + END
        assert without_records(run(log, until)) == without_records(run(split(log, random), until))

    changes_nothing()


@pytest.mark.parametrize("strategy", [sums.hours(), sums.years()], ids=["sums", "means"])
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(strategy):
    @given(strategy, st.data())
    @QUICK
    def changes_nothing(drawn, data):
        entity, entries = drawn
        log = logs.records(entity, entries)
        cut = data.draw(st.integers(1, len(log)))
        until = max(r.received for r in log) + END
        restarted(BUNDLE, entity.id, log, cut, until)

    changes_nothing()


def seen(strategy, count):
    """Return how often each transition of the kinds occurs in random logs."""
    found = Counter()

    @given(strategy)
    @settings(QUICK, max_examples=count, derandomize=True, database=None)
    def look(drawn):
        entity, entries = drawn
        log = logs.records(entity, entries)
        changes = run(log, max(r.received for r in log) + END)
        found.update((c.rule, c.change.value) for c in changes if c.rule in SUMS)

    look()
    return found


def test_the_random_logs_reach_every_transition():
    found = seen(sums.hours(), 150) + seen(sums.years(), 120)
    for name in SUMS:
        kinds = {kind for rule, kind in found if rule == name}
        assert kinds >= {"raised", "cleared", "unknown", "known"}, (name, found)
    late = {kind for rule, kind in found}
    assert {"retracted", "amended"} <= late, found
