"""Kind `gap` during filling, for any log: engine, oracle and leaves agree; splits, restarts and what comes late change nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples, until_met
from tests.rules import fillinglogs
from tests.rules.seriesproperties import Kinds
from tests.rules.splits import split
from tests.rules.test_engine_properties import without_records
from tests.rules.test_trips_properties import event_by_event

QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)


class Fillings(Kinds):
    """Silences during filling: their logs have events, marks, and ticks of a front door."""

    def log(self, drawn):
        entity, entries = drawn
        log = fillinglogs.records(entity, entries)
        return entity, log, max(record.received for record in log) + self.behind


KINDS = Fillings(fillinglogs.bundle(), fillinglogs.NAMES)


@given(fillinglogs.fillings())
@QUICK
def test_silences_of_a_filling_agree_with_the_oracle(drawn):
    KINDS.agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(fillinglogs.fillings())
@LONG
def test_silences_of_a_filling_agree_with_the_oracle_on_many_logs(drawn):
    """Slow: 3,000 logs, each folded by the oracle too."""
    KINDS.agree(drawn)


@given(fillinglogs.fillings(), st.randoms(use_true_random=False))
@QUICK
def test_splitting_batches_of_one_instant_changes_nothing(drawn, random):
    _, log, until = KINDS.log(drawn)
    parts = split(event_by_event(log), random)
    assert without_records(KINDS.run(log, until)) == without_records(KINDS.run(parts, until))


@given(fillinglogs.fillings(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    KINDS.restarts_change_nothing(drawn, data)


@given(fillinglogs.fillings())
@QUICK
def test_an_alarm_stands_in_the_leaves_when_it_stands_in_the_engine(drawn):
    KINDS.stands_in_the_leaves(drawn, "silence", "off")


def test_the_random_logs_reach_every_transition():
    found = Counter()
    wanted = {
        "raised": 30,
        "raised late": 10,
        "retracted": 10,
        "amended": 5,
        "cleared": 30,
        "stepped": 10,
        "suppressed": 10,
    }

    def missing():
        told = Counter()
        for (_, kind), n in found.items():
            told[kind] += n
        return {kind for kind, n in wanted.items() if told[kind] < n} | (set(KINDS.own) - {rule for rule, _ in found})

    until_met(fillinglogs.fillings(), lambda drawn: found.update(KINDS.told(drawn)), lambda: not missing(), most=400)
    assert not missing(), (missing(), found)
    assert {kind for _, kind in found} <= {*wanted, "released"}, "nothing else is told: it never becomes unknown"
