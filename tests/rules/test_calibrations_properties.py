"""Calibrations of registers and events, for any log: engine, oracle and explanation agree; splits, ticks and restarts change nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.alarms import fold_alarms
from rules.engine import Engine
from rules.models import Severity
from rules.pack import Bundle
from rules.records import Events, Kind, LogRecord, RegisterRecord
from tests.examples import examples
from tests.rules import calibrationlogs
from tests.rules.eventproperties import Kinds, sent_once
from tests.rules.failures import by_chance, failing_at
from tests.rules.oracle.calibrations import ignored

pytestmark = pytest.mark.long

BUNDLE = calibrationlogs.bundle()
OWN = tuple(rule.id for rule in calibrationlogs.variants())
QUICK = settings(
    max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)
KINDS = Kinds(BUNDLE, calibrationlogs.FACILITY, OWN, calibrationlogs.BEGIN, 60 * calibrationlogs.DAY)


@given(calibrationlogs.logs())
@QUICK
def test_calibrations_agree_with_the_oracle(log):
    KINDS.agree(log)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(calibrationlogs.logs())
@LONG
def test_calibrations_agree_with_the_oracle_on_many_logs(log):
    """Slow: 3,000 logs, of each sensor every calibration is kept and looked through."""
    KINDS.agree(log)


@given(calibrationlogs.logs(), st.lists(st.integers(1, 40 * calibrationlogs.HOUR), min_size=1, max_size=9))
@QUICK
def test_batches_of_one_event_and_more_ticks_change_nothing(log, distances):
    KINDS.splits_change_nothing(sent_once(log), distances)


@given(calibrationlogs.logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(log, data):
    whole = KINDS.restarted(log, data.draw(st.integers(1, len(log))))
    for name in OWN:
        cases = whole.state_of(calibrationlogs.FACILITY).rare.of(name)
        assert all(len(case.facts) <= 1 for case in cases.values())
        assert cases.held == sum(len(case.facts) for case in cases.values())


@given(calibrationlogs.logs())
@QUICK
def test_explanations_agree_with_the_engine(log):
    KINDS.explained(log)


@given(calibrationlogs.logs())
@QUICK
def test_what_is_not_taken_is_counted_once_an_event_whatever_the_number_of_rules(log):
    engine, wanted, facility = Engine(BUNDLE), Counter(), None
    for record in sent_once(log):
        engine.fold(record)
        payload = record.payload
        if isinstance(payload, RegisterRecord):
            facility = payload.facility
        elif isinstance(payload, Events):
            wanted.update(ignored(facility, event, record.received) for event in payload.events)
    counts = engine.counters(0, calibrationlogs.FACILITY)
    found = {name: number for name, number in counts.items() if name.startswith("calibration_") and number}
    assert found == {name: number for name, number in wanted.items() if name}


def closing():
    """Return the rules as packs bring them that close what stands: with other colours, and the same questions."""
    changed = []
    for rule in calibrationlogs.variants():
        severity = rule.severity.model_copy(update={"base": Severity.RED})
        changed.append(rule.model_copy(update={"version": "1.1.0", "severity": severity, "migration": "close"}))
    return Bundle.of(changed, [])


def standing(log, bundle):
    """Return what stands behind packs that come an hour behind a log: rule, subject and start; what is unknown may have ended with the packs."""
    packs = LogRecord(0, len(log), log[-1].received + calibrationlogs.HOUR, Kind.PACKS, "", bundle.to_record())
    alarms = fold_alarms(KINDS.run([*log, packs]))
    return [(one.rule, one.subject, one.start) for one in alarms if one.status == "active" and one.rule in OWN]


@given(calibrationlogs.logs(), st.builds(by_chance, st.integers(0, 1 << 32), st.sampled_from([1, 2, 5])))
@QUICK
def test_a_check_that_failed_or_was_closed_judges_by_all_that_was_told_once_it_begins_anew(log, chosen):
    wanted = standing(log, BUNDLE)
    assert standing(log, closing()) == wanted
    with failing_at(lambda change: change.received <= log[-1].received and chosen(change)):
        assert standing(log, BUNDLE) == wanted


def test_the_random_logs_reach_every_transition():
    found = Counter()

    @given(calibrationlogs.logs())
    @settings(QUICK, max_examples=150, derandomize=True, database=None)
    def look(log):
        for change in KINDS.agree(log):
            by_event = any(read.kind == "events" for read in change.evidence.records)
            found.update([(change.rule, change.change.value, by_event)])

    look()
    wanted = {calibrationlogs.DUE: {"raised", "cleared"}, calibrationlogs.ERROR: {"raised", "known", "cleared"}}
    for name, kinds in (wanted | {"test.cold": {"raised", "cleared"}}).items():
        assert {kind for rule, kind, by in found if rule == name and by} >= kinds, (name, found)
