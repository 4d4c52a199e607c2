"""What is listed is what the fold says later: at every instant, for any log, the same colour, and the due instant that it raises with."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rules.changes import ChangeKind
from rules.clocks.listing import DueState, asked, listing, rows, running
from rules.clocks.peek import peek
from rules.engine import Engine
from rules.rare.store import text_of
from rules.register import Facility
from tests.examples import examples, until_met
from tests.rules import duelogs
from tests.rules.duelogs import CLOCKS, DAY, FIRM, HOUR, DueLog

pytestmark = pytest.mark.long

QUICK = settings(
    max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
YEARLY = {rule.id for rule in CLOCKS.rules if rule.yearly is not None}
AHEAD = [1, HOUR, DAY, 10 * DAY, 40 * DAY, 90 * DAY, 200 * DAY]


def copied(engine):
    """Return an engine that goes on from another one's snapshots."""
    other = Engine(CLOCKS)
    other.restore_partition(0, engine.partition_state(0))
    other.restore(0, FIRM, engine.snapshot(0, FIRM))
    return other


def standing(engine):
    """Return rank, start and id of the alarms that stand, by rule and subject."""
    return {
        (rule, subject): (clock.standing.sev, clock.standing.start, clock.standing.alarm)
        for rule, subject, clock in running(engine.state_of(FIRM).clocks)
        if clock.standing is not None
    }


def instants(found, now):
    """Return the instants at which something of these rows changes, and some between and around them."""
    marks = {now + by for by in AHEAD}
    for row in found:
        marks |= {at + by for one in row.colours for at in [one.since] for by in (-1, 0, 1)}
    return sorted(at for at in marks if at > now)


def agrees(log):
    """Compare what is listed now with what the fold says at all instants to come."""
    engine = log.engine()
    found = listing(engine.state_of(FIRM), CLOCKS)
    now = engine.state_of(FIRM).clock
    listed = {(row.rule, text_of(row.subject)): row for row in found}
    assert [row.place for row in found] == sorted(row.place for row in found)
    assert {key: row.alarm for key, row in listed.items() if row.alarm} == {
        key: alarm for key, (_, _, alarm) in standing(engine).items()
    }
    ahead, raised = copied(engine), []
    for at in instants(found, now):
        raised += ahead.advance(0, at)
        stands = standing(ahead)
        for key, row in listed.items():
            held = row.at(at)
            rank = None if held.severity is None else held.severity.rank
            # Where nobody knows the end, what stands is unknown: it has no colour of now.
            assert row.due is None or rank == (stands[key][0] if key in stands else None), (key, at)
            assert held.state is not DueState.LATE or stands[key][1] == row.due
            assert (held.left is None) == (row.due is None)
    for change in raised:
        key = change.rule, text_of(change.subject)
        assert change.rule in YEARLY or key in listed, change
        if change.change is ChangeKind.RAISED and key in listed:
            assert (change.start, change.severity) == (listed[key].due, listed[key].at(change.received + 1).severity)
    return found


@given(duelogs.logs())
@example(DueLog().death(10 * HOUR).tick(15 * DAY + 23 * HOUR).tick(16 * DAY + 2 * HOUR))
@QUICK
def test_the_fold_raises_what_is_listed_when_it_is_listed_for(log):
    agrees(log)


@given(duelogs.logs())
@QUICK
def test_a_snapshot_alone_lists_the_same(log):
    engine = log.engine()
    seen = peek(engine.snapshot(0, FIRM))
    clocks, closed = seen.clocks()
    mine, days = asked(Facility.model_validate_json(seen.register), CLOCKS)
    assert rows(FIRM, clocks, mine, days, closed) == listing(engine.state_of(FIRM), CLOCKS)


@given(duelogs.logs(), st.integers(0, 14))
@QUICK
def test_ticks_between_and_a_restart_change_nothing_of_it(log, at):
    whole, engine = log.engine(), Engine(CLOCKS)
    for i, record in enumerate(log.records):
        engine.fold(record)
        if i == at:
            engine = copied(engine)
    assert listing(engine.state_of(FIRM), CLOCKS) == listing(whole.state_of(FIRM), CLOCKS)


def test_the_logs_meet_every_state_and_every_awaited_rule():
    rules, states = set(), set()
    wanted = {rule.id for rule in CLOCKS.rules if rule.is_awaited}

    def take(log):
        found = agrees(log)
        now = log.engine().state_of(FIRM).clock
        rules.update(row.rule for row in found)
        states.update(row.at(now).state for row in found)

    until_met(duelogs.logs(), take, lambda: rules == wanted and states == set(DueState), most=400)
    assert (rules, states) == (wanted, set(DueState))
