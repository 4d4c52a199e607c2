"""The leaves never contradict the engine: after every record an alarm stands in both or in neither, and the leaves say why."""

from __future__ import annotations

from functools import partial

from hypothesis import given, note

from rules.changes import ChangeKind, Verdict
from rules.engine import Engine
from rules.leaves.trace import Tracer, taken
from rules.leaves.watch import leaves_of
from rules.models import Severity
from rules.pack import default_bundle
from rules.rule import RareRule
from tests.rules import logs
from tests.rules.test_engine_properties import END, QUICK

BUNDLE = default_bundle()
OPENS = {ChangeKind.RAISED, ChangeKind.STEPPED, ChangeKind.KNOWN, ChangeKind.UNKNOWN, ChangeKind.AMENDED}


class Alarms:
    """What the engine says, per rule and tag: the open alarm's colour and whether it is unknown."""

    def __init__(self):
        self.open = {}
        self.last = {}

    def take(self, changes):
        for change in changes:
            if "tag" not in change.subject:
                continue
            key = (change.rule, change.subject["tag"])
            name = (*key, change.alarm)
            if change.change is ChangeKind.RETRACTED or change.end is not None:
                self.open.pop(name, None)
                continue
            unknown = self.open.get(name, (0, 0, False))[2]
            if change.change in {ChangeKind.UNKNOWN, ChangeKind.KNOWN}:
                unknown = change.change is ChangeKind.UNKNOWN
            self.open[name] = (change.start, Severity(change.severity).rank, unknown)

    def standing(self, rule, tag):
        found = [value for (r, t, _), value in self.open.items() if (r, t) == (rule, tag)]
        assert len(found) <= 1
        return found[0] if found else None


def said(tracer, tag, moments=None):
    standing = tracer.finish(tag, (moments if moments is not None else []).append)
    if not standing.active:
        return None
    return standing.start, standing.colour, standing.unknown


def compare(log, bundle=BUNDLE, until=None):
    """Fold a log in both; after every record, and at the end, each rule and tag stands alike.

    Where late rows of an instant were decided in part, what they came to is told when it is over (`rules.drafts`), and compared then.
    """
    engine, alarms = Engine(bundle), Alarms()
    name = next(r.facility for r in log if r.facility)
    tracers = {rule.id: Tracer(rule.id, bundle, name) for rule in bundle.rules if not isinstance(rule, RareRule)}
    for tracer in tracers.values():
        tracer.taken = partial(taken, engine, tracer)
    for i, record in enumerate([*log, None]):
        changes = engine.advance(0, until or log[-1].received) if record is None else engine.fold(record)
        alarms.take(changes)
        in_part = {(rule, tag) for _, rule, tag in engine.state_of(name).drafts}
        assert record is not None or not in_part
        for rule, tracer in tracers.items():
            if record is None:
                tracer.move(until or log[-1].received)
            else:
                tracer.fold(record)
                tracer.close(changes)
            for tag in tracer.lines:
                wanted = alarms.standing(rule, tag)
                assert (rule, tag) in in_part or said(tracer, tag) == wanted, (i, record, rule, tag)
    return tracers, alarms


def explained(tracers, alarms):
    """Each leaf that a moment names is one that its rule has; who stands has a leaf that was true, who is unknown too."""
    for rule_id, tracer in tracers.items():
        names = {leaf.name: leaf.verdicts for leaf in leaves_of(BUNDLE.rule(rule_id), BUNDLE)}
        for tag in tracer.lines:
            moments = []
            said(tracer, tag, moments)
            seen = {(leaf.name, leaf.verdict) for moment in moments for leaf in moment.leaves if leaf.name in names}
            for name, verdict in seen:
                assert verdict in names[name], (rule_id, name, verdict)
            if alarms.standing(rule_id, tag) is not None:
                causes = ("above", "below", "silence", "flat", "identical")
                assert any((name, Verdict.TRUE) in seen for name in causes), (rule_id, tag)
                if alarms.standing(rule_id, tag)[2]:
                    assert ("unknown", Verdict.TRUE) in seen


@QUICK
@given(logs.logs())
def test_an_alarm_stands_in_the_leaves_when_it_stands_in_the_engine(drawn):
    log = logs.records(*drawn)
    note([(r.received, r.payload) for r in log])
    tracers, alarms = compare(log, until=max(r.received for r in log) + END)
    explained(tracers, alarms)
