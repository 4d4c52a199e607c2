"""Much that falls due at the same instants, in many small areas, for any log: what is decided in one look is what each decision alone would be."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules import agenda
from rules.engine import Engine
from rules.groups import Group, Groups
from rules.layout import GAP, NEVER, NONE
from tests.examples import examples, until_met
from tests.rules import manylogs
from tests.rules.failures import by_chance, failing_at
from tests.rules.oracle.fold import fold
from tests.rules.restarts import restarted
from tests.rules.splits import split
from tests.rules.test_engine_properties import plain, without_records

BUNDLE = manylogs.bundle()
BEHIND = 3 * 3_600_000
"""How long the clock goes on behind a log."""
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=1000)


def end_of(log):
    return max(record.received for record in log) + BEHIND


def run(log, until, engine=None):
    engine = engine or Engine(BUNDLE)
    return [change for record in log for change in engine.fold(record)] + engine.advance(0, until)


def agree(drawn):
    """Compare engine and oracle."""
    entity, log = drawn
    got = plain(run(log, end_of(log)))
    wanted, _ = fold(log, BUNDLE, end_of(log))[entity.id]
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted


@given(manylogs.logs())
@QUICK
def test_engine_and_oracle_agree(drawn):
    agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(6_000)
@given(manylogs.logs(most=90))
@LONG
def test_engine_and_oracle_agree_on_many_logs(drawn):
    """Slow: 1,000 logs of up to an hour and a half."""
    agree(drawn)


@given(manylogs.logs(), st.randoms(use_true_random=False))
@QUICK
def test_splitting_batches_changes_nothing(drawn, random):
    _, log = drawn
    assert without_records(run(log, end_of(log))) == without_records(run(split(log, random), end_of(log)))


@given(manylogs.changing_logs(), st.data())
@QUICK
def test_a_restart_from_a_snapshot_at_any_record_changes_nothing(drawn, data):
    entity, log = drawn
    restarted(BUNDLE, entity.id, log, data.draw(st.integers(1, len(log))), end_of(log))


def breaking(seed):
    """Let rules raise here and there, or none."""
    return failing_at(by_chance(seed, 40)) if seed else nullcontext()


def alone(self, _entry):
    """Let every decision be looked up by itself."""
    self._asks_anew = True


@given(manylogs.changing_logs(), st.integers(0, 3))
@QUICK
def test_what_is_decided_in_one_look_is_what_each_decision_by_itself_would_be(drawn, seed):
    """Whatever rules raise in the middle, whoever listens, and whatever registers and packs come: changes and state are the same."""
    entity, log = drawn
    with breaking(seed):
        once, apart = Engine(BUNDLE), Engine(BUNDLE)
        changes = run(log, end_of(log), once)
        with patch.object(agenda.Agenda, "taken", alone):
            assert run(log, end_of(log), apart) == changes
    assert once.snapshot(0, entity.id) == apart.snapshot(0, entity.id)


def books_of(groups, known):
    """Return what is looked up of groups, with the groups by their numbers among all; `known` are the alarms of tags that are kept."""
    number = {group.number: i for i, group in enumerate(groups)}
    named = [(group.rule, group.place) for group in groups]
    alarms = {group.occurrence.alarm for group in groups} | {group.occurrence.by for group in groups} - {None}
    children = {alarm for group in groups for alarm in group.occurrence.children}
    starts = {(*group.key, group.occurrence.first_start) for group in groups}

    def numbers(found):
        return [number[one.number] for one in found if one is not None]

    return {
        "due": groups.next_due(),
        "at": sorted(numbers(groups.due_at(groups.next_due()))) if groups.next_due() != NEVER else [],
        "own": groups.own().tolist(),
        "any": groups.is_any_lasting,
        "standing": [numbers([groups.standing(*key)]) for key in named],
        "lasting": [sorted(numbers(groups.lasting(place))) for _, place in named],
        "had": [numbers(groups.had(*start)) for start in sorted(starts)],
        "alarm": [numbers([groups.by_alarm(alarm)]) for alarm in sorted(alarms)],
        "under": [numbers(groups.under(alarm)) for alarm in sorted(alarms)],
        "whole": [numbers(groups.whole(rule)) for rule in sorted({rule for rule, _ in named})],
        "repeated": sorted(numbers(groups.repeated())),
        "ended": sorted(
            numbers(groups.without_again(groups.ended_until(NEVER - 1), np.array([NONE]), np.array([NONE])))
        ),
        "tags": [groups.tag_of(alarm) for alarm in sorted(children & known)],
    }


@given(manylogs.changing_logs(), st.integers(0, 3))
@QUICK
def test_what_is_looked_up_of_groups_follows_from_them_behind_every_record(drawn, seed):
    _, log = drawn
    with breaking(seed):
        engine = Engine(BUNDLE)
        for record in log:
            engine.fold(record)
            state = engine.state_of(manylogs.FACILITY)
            anew = Groups(Group.unpack(group.pack()) for group in state.groups)
            anew.know(state.occurrences, GAP)
            if state.plan is not None:
                anew.fit(state.plan.grouping)
            known = {one.alarm for rows in state.occurrences.values() for one in rows}
            assert books_of(state.groups, known) == books_of(anew, known)


def test_random_logs_reach_the_silences_the_limits_and_who_listens() -> None:
    """Everything a silence can say, of tags, areas and feeds, for each rule; and more than a handful of decisions at one instant."""
    silences = {"raised", "stepped", "suppressed", "released", "cleared", "retracted"}
    wanted = {(rule, kind) for rule in (manylogs.GAP, manylogs.QUICK, manylogs.WIDE) for kind in silences}
    wanted |= {(rule, "raised") for rule in manylogs.OWN}
    found = Counter()
    most = Counter()

    def take(drawn):
        _, log = drawn
        changes = run(log, end_of(log))
        found.update((c.rule, c.change.value) for c in changes)
        at_once = Counter(c.received for c in changes)
        most.update({"at once": max(0, max(at_once.values(), default=0) - most["at once"])})

    until_met(manylogs.logs(), take, lambda: wanted <= found.keys() and most["at once"] > 20, most=400)
    assert wanted - found.keys() == set()
    assert most["at once"] > 20
