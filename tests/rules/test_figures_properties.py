"""Figures against a slow plain oracle; however a log is cut by restarts and ticks, the same is kept; a snapshot says what the state does."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.clocks.peek import peek
from rules.engine import Engine
from rules.figures.facts import facts
from rules.figures.sampling import rates
from rules.figures.visits import GRADES, years
from rules.records import Kind, LogRecord, Tick
from tests.rules.duelogs import DAY
from tests.rules.figurelogs import STEP_UP, drawn, facts_in
from tests.rules.oracle import figures as oracle

RANDOM = st.randoms(use_true_random=False)


def folded(records):
    engine = Engine(STEP_UP)
    for record in records:
        engine.fold(record)
    return engine


@settings(max_examples=150, deadline=None)
@given(RANDOM)
def test_rates_are_those_of_the_oracle(random):
    log = drawn(random)
    at = log.records[-1].received
    for rate in rates(log.facts(), at):
        told = oracle.rate(log.records, rate.period.kind, rate.period.name, rate.line)
        assert (rate.samples, rate.passed, rate.unretested) == told, rate


@settings(max_examples=100, deadline=None)
@given(RANDOM)
def test_every_sample_of_the_shown_months_is_counted_once(random):
    log = drawn(random)
    at = log.records[-1].received
    months = [rate for rate in rates(log.facts(), at) if rate.period.kind == "month"]
    told = [one for one in oracle.samples(log.records) if f"{one[0]:%Y-%m}" in oracle.months(at, 13)]
    assert sum(rate.samples for rate in months) == len(told)
    assert list(dict.fromkeys(rate.period.name for rate in months)) == (oracle.months(at, 13) if told else [])


@settings(max_examples=150, deadline=None)
@given(RANDOM)
def test_shares_are_those_of_the_oracle(random):
    log = drawn(random)
    at = log.records[-1].received
    for year in years(log.facts(), at):
        until = min(at + 1, year.period.end)
        for grade in GRADES:
            assert tuple(year.shares[grade]) == oracle.share(log.records, int(year.period.name), grade, until)


@settings(max_examples=80, deadline=None)
@given(RANDOM, st.data())
def test_a_restart_anywhere_keeps_the_same(random, data):
    records = drawn(random, 25).records
    whole, cut = folded(records), data.draw(st.integers(0, len(records)))
    first = folded(records[:cut])
    second = first.alone()
    second.restore_partition(0, first.partition_state(0))
    for name in first.facilities(0):
        second.restore(0, name, first.snapshot(0, name))
    for record in records[cut:]:
        second.fold(record)
    assert facts_in(second) == facts_in(whole)
    assert [second.snapshot(0, n) for n in second.facilities(0)] == [whole.snapshot(0, n) for n in whole.facilities(0)]


@settings(max_examples=60, deadline=None)
@given(RANDOM)
def test_records_that_come_again_and_more_ticks_change_nothing(random):
    records, more = drawn(random, 25).records, []
    for record in records:
        more.append(record)
        if random.random() < 0.3:
            more.append(record)
        if random.random() < 0.3:
            more.append(
                LogRecord(0, 0, record.received, Kind.TICK, "", Tick(by="w", role="worker", now=record.received))
            )
    again = [_at(one, i) for i, one in enumerate(more)]
    kept = [
        (one.facility, {s.report: s for s in one.samples}, one.visits, one.grades, one.days, one.scoped)
        for one in facts_in(folded(records))
    ]
    told = [
        (one.facility, {s.report: s for s in one.samples}, one.visits, one.grades, one.days, one.scoped)
        for one in facts_in(folded(again))
    ]
    assert told == kept
    at = records[-1].received + 30 * DAY
    assert rates(facts_in(folded(again)), at) == rates(facts_in(folded(records)), at)


def _at(record, offset):
    return LogRecord(record.partition, offset, record.received, record.kind, record.facility, record.payload)


@settings(max_examples=60, deadline=None)
@given(RANDOM)
def test_a_snapshot_alone_says_what_the_state_says(random):
    engine = folded(drawn(random, 25).records)
    found = []
    for name in engine.facilities(0):
        seen = peek(engine.snapshot(0, name))
        found.append(facts(name, seen.register, seen.figures()))
    assert found == facts_in(engine)
