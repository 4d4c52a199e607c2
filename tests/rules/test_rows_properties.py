"""Kinds over rows (`conflict`, `clock`), for any log: engine, oracle and leaves agree; splits and restarts change nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.changes import Verdict
from rules.engine import Engine
from rules.explain import explain
from rules.leaves.rowtrace import rows_of
from rules.leaves.watch import leaves_of
from tests.examples import examples
from tests.rules import logs, rowlogs
from tests.rules.oracle.fold import fold
from tests.rules.restarts import restarted
from tests.rules.splits import split
from tests.rules.test_engine_properties import END, plain, proved, without_records

BUNDLE = rowlogs.bundle()
ROWS = rowlogs.names(BUNDLE)
ANY = st.one_of(
    logs.logs().map(lambda drawn: (drawn[0], logs.records(*drawn))), rowlogs.closed(BUNDLE), rowlogs.closed(BUNDLE)
)
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)


def run(log, until=None, engine=None):
    engine = engine or Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)]
    return changes if until is None else changes + engine.advance(0, until)


def until_of(log):
    return max(record.received for record in log) + END


def agree(drawn):
    entity, log = drawn
    changes = run(log, until_of(log))
    got = plain(changes)
    wanted, proofs = fold(log, BUNDLE, until_of(log))[entity.id]
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    for change, proof in zip(changes, proofs, strict=True):
        assert proof is None or proved(change) == proof
    raised = [change.alarm for change in changes if change.change.value == "raised"]
    assert len(raised) == len(set(raised)), "two alarms have one id"


def told(drawn):
    """Return what the rules tell of a log: what random logs reach is asked of the engine alone, which is many times as quick."""
    _, log = drawn
    changes = run(log, until_of(log))
    return Counter((c.rule, "raised late" if c.late else c.change.value) for c in changes if c.rule in ROWS)


@given(ANY)
@QUICK
def test_rows_agree_with_the_oracle(drawn):
    agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(ANY)
@LONG
def test_rows_agree_with_the_oracle_on_many_logs(drawn):
    """Slow: 3,000 logs, each folded by the oracle too."""
    agree(drawn)


@given(ANY, st.randoms(use_true_random=False))
@QUICK
def test_splitting_batches_of_one_instant_changes_nothing(drawn, random):
    """Also the order of changes: what a row that is not folded makes is told in its place."""
    _, log = drawn
    assert without_records(run(log, until_of(log))) == without_records(run(split(log, random), until_of(log)))


@given(ANY, st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    entity, log = drawn
    cut = data.draw(st.integers(1, len(log)))
    restarted(BUNDLE, entity.id, log, cut, until_of(log))


@given(rowlogs.closed(BUNDLE))
@QUICK
def test_explanations_agree_with_the_engine_and_the_leaves_name_only_what_the_rule_has(drawn):
    _, log = drawn
    for name in ROWS:
        known = {leaf.name: leaf.verdicts for leaf in leaves_of(BUNDLE.rule(name), BUNDLE)}
        odds = rows_of(BUNDLE.rule(name), log, BUNDLE)
        assert all(seen.verdict in known[seen.name] for odd in odds for seen in odd.leaves)
        assert all(any(s.verdict is Verdict.TRUE for s in odd.leaves) for odd in odds if odd.occasion)
        found, _ = explain(log, BUNDLE, name, at=log[-1].received)
        assert all(one.agrees for one in found), (name, [one.to_json() for one in found])


def test_the_random_logs_reach_every_transition():
    found = Counter()

    @given(rowlogs.closed(BUNDLE))
    @settings(QUICK, max_examples=200, derandomize=True, database=None)
    def look(drawn):
        found.update(told(drawn))

    look()
    for name in ROWS:
        kinds = {kind for rule, kind in found if rule == name}
        wanted = {"raised", "cleared"} | (set() if name == "data-integrity.event-time" else {"amended", "raised late"})
        wanted |= {"stepped"} if name == "data-integrity.overwritten" else set()
        assert kinds >= wanted, (name, found)
