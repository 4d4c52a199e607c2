"""Kind `limit` with `smooth`, for any log: engine, oracle and leaves agree; splits, restarts and late rows change nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.changes import Verdict
from rules.engine import Engine
from rules.leaves.watch import leaves_of
from tests.examples import examples, until_met
from tests.rules import logs, meanlogs
from tests.rules.leaves.test_leaves_agree import compare, said
from tests.rules.oracle.fold import fold
from tests.rules.restarts import restarted
from tests.rules.splits import split
from tests.rules.test_engine_properties import END, plain, without_records

BUNDLE = meanlogs.bundle()
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
MEANS = meanlogs.NAMES


def run(log, until=None, engine=None):
    engine = engine or Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)]
    return changes if until is None else changes + engine.advance(0, until)


def proved(change):
    """Return (mean, whether it lies outside, whether the newest records are named, highest mean) of a change."""
    mean, *early = change.evidence.leaves
    outside = None if mean.verdict is Verdict.UNKNOWN else mean.verdict is Verdict.TRUE
    return mean.left, outside, bool(early), change.evidence.peak


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
        assert change.rule not in MEANS or proof is None or proved(change) == proof
    return Counter((c.rule, "raised late" if c.late else c.change.value) for c in changes if c.rule in MEANS)


@given(meanlogs.counts())
@QUICK
def test_means_agree_with_the_oracle(drawn):
    agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(meanlogs.counts())
@LONG
def test_means_agree_with_the_oracle_on_many_logs(drawn):
    """Slow: 3,000 logs, each folded by the oracle too."""
    agree(drawn)


@given(meanlogs.counts(), st.randoms(use_true_random=False))
@QUICK
def test_splitting_batches_of_one_instant_changes_nothing(drawn, random):
    entity, entries = drawn
    log = logs.records(entity, entries)
    until = max(r.received for r in log) + END
    assert without_records(run(log, until)) == without_records(run(split(log, random), until))


@given(meanlogs.counts(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    entity, entries = drawn
    log = logs.records(entity, entries)
    cut = data.draw(st.integers(1, len(log)))
    until = max(r.received for r in log) + END
    restarted(BUNDLE, entity.id, log, cut, until)


@given(meanlogs.counts())
@QUICK
def test_an_alarm_stands_in_the_leaves_when_it_stands_in_the_engine(drawn):
    log = logs.records(*drawn)
    only = BUNDLE.only({*MEANS, "data-integrity.physical-range"})
    tracers, alarms = compare(log, only, until=max(r.received for r in log) + END)
    for name in MEANS:
        known = {leaf.name: leaf.verdicts for leaf in leaves_of(only.rule(name), only)}
        moments = []
        said(tracers[name], "T0", moments)
        seen = {(leaf.name, leaf.verdict) for moment in moments for leaf in moment.leaves}
        assert all(verdict in known[leaf] for leaf, verdict in seen if leaf in known)
        if alarms.standing(name, "T0") is not None:
            assert {("above", Verdict.TRUE), ("early", Verdict.TRUE)} & seen


def test_the_random_logs_reach_every_transition():
    found, wanted = Counter(), {"raised", "cleared", "unknown", "known", "stepped"}
    late = {"raised late", "retracted", "amended"}

    def missing():
        told = {name: {kind for rule, kind in found if rule == name} for name in MEANS}
        told["test.plain"].add("stepped")  # it has one colour
        lacking = {name: wanted - kinds for name, kinds in told.items() if wanted - kinds}
        return lacking or {kind for kind in late if sum(n for (_, other), n in found.items() if other == kind) < 5}

    until_met(meanlogs.counts(), lambda drawn: found.update(agree(drawn)), lambda: not missing(), most=400)
    assert not missing(), (missing(), found)
