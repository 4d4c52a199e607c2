"""What was stored is what was measured: it does not matter in which order it comes, nor, within the bounds of the horizon, that it comes late."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.pack import default_bundle
from rules.records import Kind, LogRecord, Tick
from tests.examples import examples
from tests.rules import logs
from tests.rules.logs import BEGIN, Row
from tests.rules.oracle.fold import fold
from tests.rules.test_engine_properties import plain, without_records

BUNDLE = default_bundle()
RULES = {
    rule.id for rule in BUNDLE.rules if rule.kind in ("limit", "cumulative", "gap", "jump", "frozen", "mean_kinetic")
}
QUICK = settings(
    max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
SECOND = 1_000
RANDOM = st.integers(0, 10_000).map(Random)
"""Draws nothing while a test runs: what fails is made smaller soon."""


@st.composite
def recordings(draw):
    """Draw (facility, rows by event time, the first and behind the last that were stored); the silence may be longer than the ring.

    An interval of ten minutes makes two hours of twelve rows, and the ring's 64 rows more than ten hours.
    """
    area, interval = draw(st.sampled_from(["A1", "A1", "A2"])), draw(st.sampled_from([60, 300, 600, 600]))
    long = draw(st.sampled_from([30, 70, 200 if interval == 60 else 90]))
    values, random = {"A1": logs.COLD, "A2": logs.TANK}[area], draw(RANDOM)
    value, rows = values[0], []
    for i in range(long + 30):
        if random.random() < 0.15:
            value = random.choice(values)
        rows.append(Row("T0", BEGIN + i * interval * SECOND, value + random.choice([0, 0, 0.1])))
    first = random.randrange(3, 12)
    last = random.randrange(first + 2, long + 12)
    return logs.facility([("T0", area, interval)]), rows, first, last


def in_time(rows):
    return [(row.t + SECOND, [row]) for row in rows]


def backfilled(rows, first, last, stored, *, live_first):
    """Return the entries of a log in which rows [first, last) were stored: one live row comes ahead of them, or they of all others."""
    back = rows[last].t + (2 * SECOND if live_first else SECOND // 2)
    return sorted([*in_time(rows[:first] + rows[last:]), *((back, part) for part in stored)], key=lambda one: one[0])


def told(log, until):
    """Return what holds at last as (rule, subject, start, end, colour), and all changes.

    A colour that an alarm had meanwhile is history where it has ended: stored rows are decided in parts, and a step that goes up and down again within one,
    or that the clock alone took between two live rows, is not told.
    """
    engine = Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)] + engine.advance(0, until)
    newest = {c.alarm: c for c in changes if c.rule in RULES}
    return {
        (c.rule, str(c.subject), c.start, c.end, None if c.end else c.severity)
        for c in newest.values()
        if c.change.value != "retracted"
    }, changes


@given(recordings(), st.sampled_from(["oldest", "newest", "none"]), st.booleans(), st.integers(1, 4), RANDOM)
@QUICK
def test_rows_that_were_stored_are_decided_as_if_they_had_come_in_time(drawn, order, live_first, records, random):
    """In any order, in one record or in some of one receive instant, with a live row ahead of them; without one, by time forwards or backwards.

    In no order and without one, the newest so far is in order each time, and the holes between these take something of the horizon.
    """
    entity, rows, first, last = drawn
    live_first = live_first or order == "none"
    stored = list(rows[first:last])
    if order == "newest":
        stored.reverse()
    elif order == "none":
        random.shuffle(stored)
    size = -(-len(stored) // records)
    parts = [stored[i : i + size] for i in range(0, len(stored), size)]
    until = rows[-1].t + 2 * SECOND
    wanted, _ = told(logs.records(entity, in_time(rows)), until)
    late = logs.records(entity, backfilled(rows, first, last, parts, live_first=live_first))
    found, changes = told(late, until)
    assert found == wanted
    assert not [c for c in changes if c.rule == "data-integrity.late-evidence"]


def one_record(entity, rows, first, last, stored):
    log = logs.records(entity, backfilled(rows, first, last, [stored], live_first=True))
    received = rows[-1].t + 2 * SECOND
    return [*log, LogRecord(0, len(log), received, Kind.TICK, "", Tick(by="t", role="worker", now=received))]


def gave(log):
    engine = Engine(BUNDLE)
    return [change for record in log for change in engine.fold(record)], engine.snapshot(0, log[0].facility)


@given(recordings(), RANDOM)
@QUICK
def test_any_order_of_the_late_rows_of_one_record_gives_the_same_bytes(drawn, random):
    entity, rows, first, last = drawn
    stored = list(rows[first:last])
    inorder = gave(one_record(entity, rows, first, last, stored))
    random.shuffle(stored)
    assert [c.model_dump_json() for c in gave(one_record(entity, rows, first, last, stored))[0]] == [
        c.model_dump_json() for c in inorder[0]
    ]


@given(recordings(), RANDOM, st.data())
@QUICK
def test_any_order_of_the_late_rows_of_one_instant_is_restored_in_the_midst_of_it(drawn, random, data):
    """Cut behind any record, between which the stored rows come one by one; what is held is written down."""
    entity, rows, first, last = drawn
    stored = list(rows[first:last])
    random.shuffle(stored)
    whole = logs.records(entity, backfilled(rows, first, last, [[row] for row in stored], live_first=True))
    joined = gave(one_record(entity, rows, first, last, rows[first:last]))[0]
    until = rows[-1].t + 2 * SECOND
    cut = data.draw(st.integers(1, len(whole)))
    engine, again = Engine(BUNDLE), Engine(BUNDLE)
    changes = [change for record in whole[:cut] for change in engine.fold(record)]
    again.restore_partition(0, engine.partition_state(0))
    again.restore(0, entity.id, engine.snapshot(0, entity.id))
    assert again.snapshot(0, entity.id) == engine.snapshot(0, entity.id)
    changes += [change for record in whole[cut:] for change in again.fold(record)]
    changes += again.advance(0, until)
    assert without_records(changes) == without_records(joined)


@given(recordings(), RANDOM)
@settings(QUICK, max_examples=examples(12))
def test_the_oracle_says_the_same_of_what_was_stored(drawn, random):
    entity, rows, first, last = drawn
    stored = list(rows[first:last])
    random.shuffle(stored)
    half = len(stored) // 2
    log = logs.records(
        entity, backfilled(rows, first, last, [stored[:half], stored[half:]], live_first=random.random() < 0.5)
    )
    until = rows[-1].t + 2 * SECOND
    engine = Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)] + engine.advance(0, until)
    assert plain(changes) == fold(log, BUNDLE, until)[entity.id][0]


@pytest.mark.slow
@given(recordings(), RANDOM)
@settings(QUICK, max_examples=500)
def test_the_oracle_says_the_same_of_many_recordings(drawn, random):
    test_the_oracle_says_the_same_of_what_was_stored.hypothesis.inner_test(drawn, random)
