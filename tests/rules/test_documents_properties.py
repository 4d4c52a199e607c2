"""Rules over what reports say, for any log: engine, oracle and explanation agree; order, ticks, restarts and rules that raise change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.documents import store
from rules.documents.condition import condition_of
from rules.engine import Engine
from rules.explain import explain
from rules.records import Kind, LogRecord, PacksRecord, RegisterRecord, Report, Tick
from tests.examples import examples, until_met
from tests.rules import documentlogs
from tests.rules.documentlogs import BEGIN, FACILITY, HOUR
from tests.rules.failures import by_chance, failing_at, hold_against_the_book
from tests.rules.oracle import documents as oracle
from tests.rules.restarts import restarted
from tests.rules.test_engine_properties import plain

pytestmark = pytest.mark.long

BUNDLE = documentlogs.bundle()
OWN = tuple(rule.id for rule in BUNDLE.rules)
QUICK = settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=4000)
TIGHT = {"MAX_BYTES": 1_500, "MAX_REPORT_BYTES": 400, "MAX_DOCUMENTS": 4, "MAX_CASES": 3}
FAILED = "register.rule-failed"


def run(log, engine=None):
    engine = engine or Engine(BUNDLE)
    return [change for record in log for change in engine.fold(record)]


def agree(log):
    changes = run(log)
    got, wanted = plain(changes), oracle.fold(log, BUNDLE, FACILITY)
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted
    names = [change.alarm for change in changes if change.change.value == "raised"]
    assert len(names) == len(set(names)), "two alarms have one id"
    return changes


@given(documentlogs.logs())
@QUICK
def test_what_reports_say_agrees_with_the_oracle(log):
    agree(log)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(documentlogs.logs())
@LONG
def test_what_reports_say_agrees_with_the_oracle_on_many_logs(log):
    """Slow: 4,000 logs, each report judged from all revisions at each of them."""
    agree(log)


@given(documentlogs.logs(), st.lists(st.integers(1, 40 * HOUR), min_size=1, max_size=9))
@QUICK
def test_more_ticks_change_nothing(log, distances):
    other, at = [], BEGIN
    for i, record in enumerate(record for record in log if not isinstance(record.payload, Tick)):
        step = max(distances[i % len(distances)], (record.received - at) // 5)
        while at + step < record.received:
            at += step
            other.append(LogRecord(0, 0, at, Kind.TICK, "", Tick(by="t", role="worker", now=at)))
        at = max(at, record.received)
        other.append(record)
    other = [replace(record, offset=i) for i, record in enumerate(other)]
    assert plain(run(other)) == plain(run(log))


@given(documentlogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    restarted(BUNDLE, FACILITY, log, data.draw(st.integers(1, len(log))), log[-1].received + HOUR)


@given(documentlogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    for name in OWN:
        if _in_force(log, name):
            found, _ = explain(log, BUNDLE, name, at=log[-1].received)
            assert all(one.agrees for one in found), (name, [one.to_json() for one in found])


def _in_force(log, name):
    """Say whether a rule is for the facility at the end of a log."""
    bundle, scopes, version = BUNDLE, [], -1
    for record in log:
        if isinstance(record.payload, PacksRecord):
            bundle = type(BUNDLE).from_record(record.payload)
        elif isinstance(record.payload, RegisterRecord) and record.payload.version > version:
            scopes, version = record.payload.facility.scopes, record.payload.version
    rule = bundle.rule(name)
    return rule is not None and any(scope.field in {"all", own.field} for scope in rule.scopes for own in scopes)


@st.composite
def sets_of_reports(draw):
    """Draw reports of which no number comes twice and each revision says why, in two orders."""
    found = {}
    for report in draw(st.lists(documentlogs.reports(), min_size=1, max_size=14)):
        reasoned = report.model_copy(update={"reason": "typing error"})
        found.setdefault((report.type, report.id, report.revision), reasoned)
    return list(found.values()), draw(st.permutations(list(found.values())))


@given(sets_of_reports())
@QUICK
def test_in_whatever_order_reports_come_the_verdicts_end_the_same(drawn):
    """What holds in the end, holds by any order; what is known not to hold, stands by none."""
    ends = []
    for payloads in drawn:
        engine = Engine(BUNDLE)
        run(documentlogs.of(payloads), engine)
        cases = engine.state_of(FACILITY).documents.cases
        ends.append(
            {
                (rule, subject): sorted((cause.group, cause.key) for cause in case.causes if cause.known)
                for rule, of in cases.items() for subject, case in of.items()
                if case.standing is not None and not case.standing.unknown
            }
        )  # fmt: skip
    assert ends[0] == ends[1]


@given(documentlogs.logs(), st.randoms(use_true_random=False))
@QUICK
def test_a_report_that_comes_again_changes_nothing(log, random):
    told = plain(run(log))
    twice = [*log]
    for i, record in enumerate(log):
        if isinstance(record.payload, Report) and random.random() < 0.5:
            behind = random.randrange(i, len(log))
            twice.insert(twice.index(log[behind]) + 1, replace(record, received=log[behind].received))
    before = {id(record): i for i, record in enumerate(log)}
    watched = [record for record in log if id(record) in before]
    if any(isinstance(record.payload, RegisterRecord | PacksRecord) for record in watched[1:]):
        return  # what came while nothing was asked of reports, was not taken
    assert plain(run([replace(record, offset=i) for i, record in enumerate(twice)])) == told


@given(documentlogs.logs(), st.data())
@QUICK
def test_within_bounds_that_are_always_met_nothing_fails_and_a_restart_changes_nothing(log, data):
    with patch.multiple(store, **TIGHT), patch("rules.documents.kept.MAX_ENTRIES", 2):
        whole, changes = restarted(BUNDLE, FACILITY, log, data.draw(st.integers(1, len(log))), log[-1].received + HOUR)
    books = whole.state_of(FACILITY).documents
    assert books.size == sum(one.size for one in books.kept.values()) <= TIGHT["MAX_BYTES"]
    assert len(books.kept) <= TIGHT["MAX_DOCUMENTS"]
    assert all(len(of) <= TIGHT["MAX_CASES"] for of in books.cases.values())
    assert all(version.size <= TIGHT["MAX_REPORT_BYTES"] for one in books.kept.values() for version in (one.newest,))
    kept = set(books.kept)
    for of in books.cases.values():
        for case in of.values():
            assert {cause.key for cause in case.causes} <= kept, "a report because of which an alarm stands went out"
            assert bool(case.causes) is (case.standing is not None)
    assert FAILED not in {change.rule for change in changes}


@given(documentlogs.logs(), st.integers(0, 1 << 16), st.data())
@QUICK
def test_a_rule_that_raises_is_put_aside_and_the_others_go_on(log, seed, data):
    with failing_at(by_chance(seed, 4)):
        _, changes = restarted(BUNDLE, FACILITY, log, data.draw(st.integers(1, len(log))), log[-1].received + HOUR)
    hold_against_the_book(changes, FACILITY)
    failed = {change.subject["system"] for change in changes if change.rule == FAILED}
    others = [rule for rule in OWN if rule not in failed]

    def told(of):
        return [
            (one["rule"], one["change"], one["alarm"], one["received"]) for one in plain(of) if one["rule"] in others
        ]

    assert told(changes) == told(run(log))


@given(documentlogs.logs())
@QUICK
def test_a_condition_that_raises_stops_no_other_rule(log):
    calls = Counter()

    def broken(rule):
        calls[rule.id] += 1
        if rule.id == documentlogs.FALL:
            raise RuntimeError
        return condition_of(rule)

    wanted = [one for one in plain(run(log)) if one["rule"] != documentlogs.FALL]
    with patch("rules.documents.judge.condition_of", broken):
        changes = plain(run(log))
    got = [one for one in changes if one["rule"] not in {documentlogs.FALL, FAILED}]
    assert [one | {"seq": 0} for one in got] == [one | {"seq": 0} for one in wanted]
    assert (FAILED in {one["rule"] for one in changes}) == (calls[documentlogs.FALL] > 0)


def test_the_random_logs_reach_every_transition():
    found: dict[str, set[str]] = {name: set() for name in OWN}
    often = ("any-lot", "fewer-lots", "newest-fall", "every", "of-report")
    amended = {documentlogs.FALL, documentlogs.OVER, *(f"zz.{name}" for name in often)}
    unknown, rarely = {"zz.newest-fall", documentlogs.FALL}, {"zz.alike", documentlogs.COPIED}

    def take(log):
        for change in run(log):
            found[change.rule].add(change.change.value)

    def met():
        return (
            all(kinds >= {"raised", "cleared"} for name, kinds in found.items() if name not in rarely)
            and all("amended" in found[name] for name in amended)
            and all(found[name] >= {"unknown", "known"} for name in unknown)
        )

    until_met(documentlogs.logs(), take, met, most=4_000)
    assert met(), found
    assert found[documentlogs.COPIED] == set(), "ten figures are more than a drawn report has: by hand"
