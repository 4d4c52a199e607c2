"""`migration: re-evaluate` of kinds that repeat, sum or average: over random logs, what stands is what a facility folded anew would have.

As far as the horizon reaches. Restarts, splits and explanations see the same.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from rules.alarms import fold_alarms
from rules.engine import Engine
from rules.errors import BadInputError
from rules.pack import Bundle, default_bundle
from rules.records import Kind, LogRecord, Readings, Tick
from rules.register import Span
from rules.rule import CumulativeRule, FrozenRule, GapRule, JumpRule, LimitRule, MeanKineticRule
from tests.examples import examples
from tests.rules import jumplogs, logs, sums
from tests.rules.leaves.test_leaves_agree import compare
from tests.rules.restarts import restarted
from tests.rules.splits import row_by_row
from tests.rules.test_engine_properties import END, run, without_records

QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
MINUTE = 60_000
FROZEN = "data-integrity.frozen"
HORIZON = 110 * MINUTE
"""Less than two hours: of a log so long nothing has left the horizon."""


def _packs():
    shipped, jump = default_bundle().only({FROZEN}), jumplogs.rule(jumplogs.RULES[0])
    quick = [rule.model_copy(update={"identical": 4, "span": 2 * MINUTE}) for rule in shipped.rules]
    return Bundle.of([*sums.bundle().rules, *quick, jump], sums.bundle().tables.values())


PACKS = _packs()
OWN = [rule.id for rule in PACKS.rules if not isinstance(rule, GapRule)]


def changed(draw, rule):
    """Return a rule with other numbers, decided again; of what sums only what the sum is held against."""
    members = {}
    if isinstance(rule, CumulativeRule):
        total = draw(st.sampled_from([60_000, 150_000, 240_000, 400_000]))
        members = {"total": total, "clear_below": min(rule.clear_below, total)}
    elif isinstance(rule, MeanKineticRule):
        members = {"above": draw(st.sampled_from([24.9, 25.0, 27.0]))}
    elif isinstance(rule, FrozenRule):
        members = {
            "identical": draw(st.sampled_from([2, 4, 6])), "span": draw(st.sampled_from([0, 2 * MINUTE, 5 * MINUTE])),
            "clear_distinct": draw(st.sampled_from([2, 3])),
        }  # fmt: skip
    elif isinstance(rule, LimitRule) and not rule.excludes:
        members = {"when": rule.when.model_copy(update={"consecutive": draw(st.integers(1, 3))})}
    elif isinstance(rule, JumpRule):
        members = {"limits": rule.limits.model_copy(update={"from_": Span(low=-0.5, high=2.0)})}
    return rule.model_copy(update={**members, "version": "2.0.0", "migration": "re-evaluate"}) if members else rule


@st.composite
def packs(draw):
    rules = [changed(draw, rule) if draw(st.integers(0, 3)) else rule for rule in PACKS.rules]
    # The single event that a sum leaves out has the numbers that the sum was made with.
    singles = {
        rule.idle_while: PACKS.rule(rule.idle_while)
        for rule in PACKS.rules
        if isinstance(rule, CumulativeRule) and rule.idle_while
    }
    return Bundle.of([singles.get(rule.id, rule) for rule in rules], PACKS.tables.values())


class Drawn(tuple):
    __slots__ = ()

    def __repr__(self):
        return f"<{self[0].id}: {len(self[1])} records>"


@st.composite
def changing(draw, source):
    """Draw a facility and its log, packs in the midst of it and more of it behind them."""
    entity, entries = draw(source)
    log = logs.records(entity, entries)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(1, len(log)))
        received = max(record.received for record in log[:at]) + draw(st.sampled_from([0, 1, 90_000]))
        log = [*log[:at], LogRecord(0, 0, received, Kind.PACKS, "", draw(packs()).to_record()), *log[at:]]
    return Drawn((entity, [replace(record, offset=i) for i, record in enumerate(log)]))


SOURCES = [logs.logs(doors=False), sums.hours(), sums.hours()]


def standing(changes):
    """Return what stands or stood of each rule that may be decided again, without what was taken back."""
    alarms = [alarm for alarm in fold_alarms(changes) if alarm.rule in OWN and alarm.status != "retracted"]
    return Counter((a.rule, a.subject["tag"], str(a.status), a.severity, a.start, a.end) for a in alarms)


SEEN = Counter()


@given(st.one_of(SOURCES), packs(), st.sampled_from([0, 1, 30_000, 5 * MINUTE]))
@settings(QUICK, max_examples=examples(120))
def test_inside_the_horizon_it_is_what_a_facility_folded_anew_would_have(drawn, new, later):
    entity, entries = drawn
    log = [record for record in logs.records(entity, entries) if record.received < logs.BEGIN + HORIZON]
    times = [t for record in log if isinstance(record.payload, Readings) for t in record.payload.time.tolist()]
    assume(times and max(times) - min(times) < HORIZON)
    now = max(record.received for record in log) + later
    parts = (
        (Kind.PACKS, new.to_record()),
        (Kind.TICK, Tick(by="t", role="worker", now=now)),
    )
    again, anew = ([*log, LogRecord(0, len(log), now, kind, "", payload)] for kind, payload in parts)
    old, first, second = Engine(PACKS), Engine(PACKS), Engine(new)
    told, wanted = (
        [change for record in one for change in engine.fold(record)] for one, engine in ((again, first), (anew, second))
    )
    wanted += second.settle(0)
    before = [change for record in anew for change in old.fold(record)] + old.settle(0)
    assert standing(told) == standing(wanted)
    if standing(before) != standing(told):
        SEEN.update({rule for rule, *_ in (standing(before) - standing(told)) + (standing(told) - standing(before))})


def test_the_random_packs_change_what_stands_of_each_kind():
    if not SEEN:  # run alone
        test_inside_the_horizon_it_is_what_a_facility_folded_anew_would_have()
    assert {FROZEN, "test.sum"} <= SEEN.keys()


@given(st.one_of(*(changing(one) for one in SOURCES), changing(sums.years())), st.data())
@QUICK
def test_a_restart_at_any_record_changes_nothing(drawn, data):
    entity, log = drawn
    until = max(r.received for r in log) + END
    restarted(PACKS, entity.id, log, data.draw(st.integers(1, len(log))), until)


@given(st.one_of(*(changing(one) for one in SOURCES), changing(sums.years())))
@QUICK
def test_batches_row_by_row_change_nothing(drawn):
    _, log = drawn
    until = max(r.received for r in log) + END
    once, apart = (run(one, until, Engine(PACKS)) for one in (log, row_by_row(log)))
    assert without_records(once) == without_records(apart)


@given(st.one_of(*(changing(one) for one in SOURCES)))
@settings(QUICK, max_examples=examples(30))
def test_the_leaves_say_the_same(drawn):
    _, log = drawn
    compare(log, PACKS, max(r.received for r in log) + END)


def test_a_kind_whose_rows_are_not_kept_is_refused():
    rule = default_bundle().rule("data-integrity.last-digit").model_copy(update={"migration": "re-evaluate"})
    with pytest.raises(BadInputError) as refused:
        Bundle.from_record(Bundle.of([rule], ()).to_record())
    assert [(f.code, f.detail) for f in refused.value.faults] == [
        ("migration", "a last_digit rule is not decided again: carry or close")
    ]


@given(sums.hours(), st.sampled_from([{"low": 4.9}, {"high": 7.4}, {"low": 2.0, "high": 8.5}]))
@settings(QUICK, max_examples=examples(30))
def test_a_sum_that_would_have_been_made_otherwise_goes_on_as_if_carried(drawn, span):
    """What has left the horizon was summed with the old limits, and its rows are not there to sum them anew."""
    entity, entries = drawn
    log = logs.records(entity, entries)
    now = max(record.received for record in log)
    told = []
    for how in ("carry", "re-evaluate"):
        rules = []
        for rule in PACKS.rules:
            if isinstance(rule, CumulativeRule):
                limits = rule.limits.model_copy(update={"from_": Span.model_validate(span)})
                rule = rule.model_copy(update={"limits": limits, "migration": how})  # noqa: PLW2901 - the same rule
            rules.append(rule)
        last = LogRecord(0, len(log), now, Kind.PACKS, "", Bundle.of(rules, PACKS.tables.values()).to_record())
        changes = run([*log, last], now + END, Engine(PACKS))
        told.append([change.to_json() | {"packs": ""} for change in changes])
    assert told[0] == told[1]
