"""The leaves of `difference` never contradict the engine, over random logs and over changes of register and packs."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, note, settings

from rules.changes import ChangeKind, Verdict
from rules.engine import Engine
from rules.leaves.trace import Tracer, taken
from rules.leaves.watch import leaves_of
from rules.models import Severity
from tests.examples import examples
from tests.rules import logs, pairlogs, test_pairs_carried
from tests.rules.byhand import BUNDLE, HandLog
from tests.rules.test_pairs_by_hand import pressure, two
from tests.rules.test_pairs_properties import PAIRS, QUICK, until_of

CAUSES = ("above", "below")


class Alarms:
    """The open alarm of each rule and pair: its start, colour, and whether it is unknown."""

    def __init__(self):
        self.open = {}

    def take(self, changes):
        for change in changes:
            key = (change.rule, " ".join(change.subject.values()), change.alarm)
            if change.change is ChangeKind.RETRACTED or change.end is not None:
                self.open.pop(key, None)
                continue
            unknown = self.open.get(key, (0, 0, False))[2]
            if change.change in {ChangeKind.UNKNOWN, ChangeKind.KNOWN}:
                unknown = change.change is ChangeKind.UNKNOWN
            self.open[key] = (change.start, Severity(change.severity).rank, unknown)

    def standing(self, rule, pair):
        found = [value for key, value in self.open.items() if key[:2] == (rule, pair)]
        assert len(found) <= 1
        return found[0] if found else None


def said(tracer, name):
    moments = []
    standing = tracer.finish(name, moments.append)
    seen = {(leaf.name, leaf.verdict) for moment in moments for leaf in moment.leaves}
    return (standing.start, standing.colour, standing.unknown) if standing.active else None, seen


def compare(log, bundle, rules, until):
    """Fold a log in both; after every record, and at the end, each pair stands alike. Returns how often one stood."""
    engine, alarms, stood = Engine(bundle), Alarms(), 0
    name = next(r.facility for r in log if r.facility)
    tracers = {rule: Tracer(rule, bundle, name) for rule in rules}
    for tracer in tracers.values():
        tracer.taken = partial(taken, engine, tracer)
    for record in [*log, None]:
        alarms.take(engine.advance(0, until) if record is None else engine.fold(record))
        for rule, tracer in tracers.items():
            tracer.move(until) if record is None else tracer.fold(record)
            for pair in tracer.lines:
                wanted, (got, seen) = alarms.standing(rule, pair), said(tracer, pair)
                assert got == wanted, (record, rule, pair)
                if wanted is None:
                    continue
                stood += 1
                assert any((cause, Verdict.TRUE) in seen for cause in CAUSES)
                assert not wanted[2] or ("unknown", Verdict.TRUE) in seen
                known = {leaf.name: leaf.verdicts for leaf in leaves_of(tracer.bundle.rule(rule), tracer.bundle)}
                assert all(verdict in known[leaf] for leaf, verdict in seen if leaf in known)
    return stood


@pytest.mark.long
@given(pairlogs.logs())
@settings(QUICK, max_examples=examples(12))
def test_an_alarm_stands_in_the_leaves_when_it_stands_in_the_engine(drawn):
    """Long: each pair is followed from its first row after every record."""
    log = logs.records(*drawn)
    note([(r.received, r.payload) for r in log])
    compare(log, pairlogs.BUNDLE, PAIRS, until_of(log))


def replaced():
    carried = test_pairs_carried
    log = carried.both(carried.both(two(), range(3), 30), range(3, 6), 15)
    log.register(5.7, pressure("P.B", "B1"), pressure("P.C2", "C1"), version=2, **carried.CASCADE)
    for minute in (6, 7, 8, 9, 10):
        log.rows(minute + 0.5, ("P.B", [minute], [30 if minute < 9 else 15]), ("P.C2", [minute], [20]))
    return log


def same_sensors():
    carried = test_pairs_carried
    log = carried.both(two(), range(3), 30)
    log.register(2.7, pressure("P.B", "B1"), pressure("P.C", "C1"), version=2, **carried.CASCADE)
    return log.rows(3.5, ("P.B", [3], [15])).rows(4.5, ("P.B", [4], [15]))


def other_numbers():
    carried = test_pairs_carried
    log = carried.both(carried.both(two(), range(3), 30), range(3, 6), 15)
    log.packs(5.7, carried.WIDER).rows(6.5, ("P.B", [6], [5])).rows(7.5, ("P.B", [7], [5]))
    return carried.both(log, range(8, 11), 30)


def gone_and_back():
    carried = test_pairs_carried
    log = carried.both(carried.both(two(), range(3), 30), range(3, 6), 15)
    log.register(5.7, pressure("P.B", "B1"), pressure("P.C", "C1"), version=2, areas=carried.AREAS)
    log.register(6.7, pressure("P.B", "B1"), pressure("P.C", "C1"), version=3, **carried.CASCADE)
    log.rows(7.1, ("P.B", [2.5], [10]), ("P.C", [2.5, 2.7], [20, 20]))
    return carried.both(log, range(7, 9), 15)


def neighbours():
    """Two rooms become neighbours at 3.7: what was measured before is no difference of theirs."""
    log = HandLog().register(-1, pressure("P.B", "B1"), pressure("P.C", "C1"), areas=test_pairs_carried.AREAS)
    log.register(3.7, pressure("P.B", "B1"), pressure("P.C", "C1"), version=2, **test_pairs_carried.CASCADE)
    log.rows(4.5, ("P.B", [2, 3, 4], [15, 15, 15]), ("P.C", [2, 3, 4], [20, 20, 20]))
    return test_pairs_carried.both(log, range(5, 8), 15)


@pytest.mark.parametrize("story", [replaced, same_sensors, other_numbers, gone_and_back, neighbours])
def test_so_it_does_over_changes_of_register_and_packs(story):
    log = story().records()
    rules = (test_pairs_carried.LOW, test_pairs_carried.REVERSED)
    assert compare(log, BUNDLE, rules, log[-1].received + 60_000) > 0
