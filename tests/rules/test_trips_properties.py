"""Kinds `limit` and `cumulative` during a trip, for any log: engine, oracle and leaves agree; splits, restarts and what comes late change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.records import Events
from tests.examples import examples, until_met
from tests.rules import triplogs
from tests.rules.seriesproperties import Kinds
from tests.rules.splits import split
from tests.rules.test_engine_properties import without_records

QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)


class Trips(Kinds):
    """Rules that hold during a trip: their logs have events and decisions."""

    def log(self, drawn):
        entity, entries = drawn
        log = triplogs.records(entity, entries, self.bundle)
        return entity, log, max(record.received for record in log) + self.behind


KINDS = Trips(triplogs.bundle(), triplogs.NAMES)


@given(triplogs.trips())
@QUICK
def test_trips_agree_with_the_oracle(drawn):
    KINDS.agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(triplogs.trips())
@LONG
def test_trips_agree_with_the_oracle_on_many_logs(drawn):
    """Slow: 3,000 logs, each folded by the oracle too."""
    KINDS.agree(drawn)


@given(triplogs.trips(), st.randoms(use_true_random=False))
@QUICK
def test_splitting_batches_of_one_instant_changes_nothing(drawn, random):
    _, log, until = KINDS.log(drawn)
    parts = split(event_by_event(log), random)
    assert without_records(KINDS.run(log, until)) == without_records(KINDS.run(parts, until))


@given(triplogs.trips(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    KINDS.restarts_change_nothing(drawn, data)


@given(triplogs.trips())
@QUICK
def test_an_alarm_stands_in_the_leaves_when_it_stands_in_the_engine(drawn):
    KINDS.stands_in_the_leaves(drawn, "above", "below")


def event_by_event(log):
    """Return the log with a batch for every event."""
    found = []
    for record in log:
        events = record.payload.events if isinstance(record.payload, Events) else []
        parts = [Events(batch=f"{record.payload.batch}-{i}", events=[event]) for i, event in enumerate(events)]
        for part in parts or [record.payload]:
            found.append(replace(record, offset=len(found), payload=part))
    return found


def test_the_random_logs_reach_every_transition():
    found = Counter()
    wanted = {"raised": 20, "raised late": 10, "retracted": 10, "amended": 5, "cleared": 5}

    def missing():
        told = Counter()
        for (_, kind), n in found.items():
            told[kind] += n
        rules = {rule for rule, what in found if what == "raised late"}
        return {kind for kind, n in wanted.items() if told[kind] < n} | (set(KINDS.own) - rules)

    until_met(triplogs.trips(), lambda drawn: found.update(KINDS.told(drawn)), lambda: not missing(), most=400)
    assert not missing(), (missing(), found)
    assert {kind for _, kind in found} <= set(wanted), (
        "nothing else is told: it never becomes unknown, and no row ends it"
    )
