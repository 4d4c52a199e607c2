"""Readings of unregistered tags, for any log: engine, oracle and explanation agree; splits, ticks, packs and restarts change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.rare.store import subject_of
from rules.records import Kind, LogRecord, Readings, Tick
from tests.examples import examples, until_met
from tests.rules import straylogs
from tests.rules.eventproperties import Kinds
from tests.rules.logs import readings
from tests.rules.splits import row_by_row, rows_of, split
from tests.rules.test_engine_properties import without_records

pytestmark = pytest.mark.long

OWN = tuple(rule.id for rule in straylogs.variants())
QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
KINDS = Kinds(straylogs.bundle(), straylogs.FACILITY, OWN, straylogs.BEGIN, 9 * straylogs.DAY)
ANY = st.one_of(straylogs.logs(), straylogs.logs(packs=True))


@given(ANY)
@QUICK
def test_readings_of_unregistered_tags_agree_with_the_oracle(log):
    KINDS.agree(log)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(ANY)
@LONG
def test_readings_of_unregistered_tags_agree_with_the_oracle_on_many_logs(log):
    """Slow: 3,000 logs, half of them with packs that change; of each tag every receipt is kept."""
    KINDS.agree(log)


@given(ANY, st.randoms(use_true_random=False))
@QUICK
def test_splitting_batches_of_one_instant_changes_nothing(log, random):
    """Also the evidence, but for the batches that it names: how many readings came before is counted row by row."""
    log = straylogs.once(log)
    for other in (split(log, random), row_by_row(log)):
        assert without_records(KINDS.run(other, KINDS.until(log))) == without_records(KINDS.run(log, KINDS.until(log)))


@given(ANY)
@QUICK
def test_joining_batches_of_one_instant_changes_nothing(log):
    log = straylogs.once(log)
    other = joined(log)
    assert without_records(KINDS.run(other, KINDS.until(log))) == without_records(KINDS.run(log, KINDS.until(log)))


def joined(log):
    """Return the log with batches that follow each other in one instant as one, if no tag stands in both."""
    found = []
    for record in log:
        before, post = found[-1] if found else None, record.payload
        if (
            isinstance(post, Readings) and before is not None and isinstance(before.payload, Readings)
            and before.received == record.received and not {*post.tags} & {*before.payload.tags}
        ):  # fmt: skip
            rows = [row for one in (before.payload, post) for row in rows_of(one)]
            found[-1] = replace(before, payload=readings(rows, before.payload.batch))
        else:
            found.append(record)
    return [replace(record, offset=i) for i, record in enumerate(found)]


@given(ANY, st.lists(st.integers(1, 60 * straylogs.HOUR), min_size=1, max_size=9))
@QUICK
def test_more_ticks_change_nothing(log, distances):
    other, at = [], straylogs.BEGIN
    for i, record in enumerate(log):
        step = max(distances[i % len(distances)], (record.received - at) // 20)
        while at + step < record.received:
            at += step
            other.append(LogRecord(0, 0, at, Kind.TICK, "", Tick(by="t", role="worker", now=at)))
        at = max(at, record.received)
        other.append(record)
    other = [replace(record, offset=i) for i, record in enumerate(other)]
    assert without_records(KINDS.changes(other)) == without_records(KINDS.changes(log))


@given(ANY, st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    KINDS.restarted(log, data.draw(st.integers(1, len(log))))


@given(ANY)
@QUICK
def test_of_each_tag_one_fact_is_kept_and_of_none_that_is_registered_anything(log):
    engine = Engine(straylogs.bundle())
    for record in log:
        engine.fold(record)
        state = engine.state_of(straylogs.FACILITY)
        for name in OWN:
            cases = state.rare.of(name)
            assert all(len(case.facts) == 1 and not case.uses for case in cases.values())
            assert cases.held == len(cases)
            assert not {subject_of(case)["tag"] for case in cases} & state.planned.slots.keys()


@given(ANY, st.data())
@QUICK
def test_with_room_for_next_to_nothing_nothing_fails_and_a_restart_changes_nothing(log, data):
    with patch("rules.rare.store.MAX_STRAYS", 1):
        engine = KINDS.restarted(log, data.draw(st.integers(1, len(log))))
        assert all(len(engine.state_of(straylogs.FACILITY).rare.of(name)) <= 1 for name in OWN)
        log = straylogs.once(log)
        apart = row_by_row(log)
        assert without_records(KINDS.run(apart, KINDS.until(log))) == without_records(KINDS.run(log, KINDS.until(log)))


@given(straylogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)


def test_the_random_logs_reach_every_transition():
    found = Counter()

    def look(log):
        for change in KINDS.changes(log):
            said = change.evidence.leaves[-1].expr if change.evidence.leaves else "not watched"
            found[change.rule, change.change.value, " ".join(said.split(" ")[-2:])] += 1

    wanted = {
        (name, change, why)
        for name in OWN
        for change, why in (("cleared", "not registered"), ("cleared", "not watched"), ("cleared", "this facility"))
    }
    wanted.remove((straylogs.RULE, "cleared", "this facility"))  # it asks no fact of a facility
    until_met(ANY, look, lambda: wanted <= found.keys(), most=800)
    assert wanted <= found.keys(), (wanted - found.keys(), found)
    for name in OWN:
        assert any((rule, kind) == (name, "raised") for rule, kind, _ in found), found
        assert any((rule, kind) == (name, "cleared") and why.startswith("of ") for rule, kind, why in found), (
            "a tag that is not sent any more"
        )
