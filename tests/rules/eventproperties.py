"""What every kind over events must bear: engine and oracle agree; splits of batches, ticks in between and restarts change nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hypothesis import note

from rules.engine import Engine
from rules.explain import explain
from rules.records import Events, Kind, LogRecord, Tick
from tests.rules.oracle.fold import fold
from tests.rules.restarts import restarted
from tests.rules.test_engine_properties import plain, without_records

if TYPE_CHECKING:
    from rules.pack import Bundle


@dataclass(frozen=True)
class Kinds:
    """Some rules of one kind, and how long behind a log the clock goes on."""

    bundle: Bundle
    facility: str
    own: tuple[str, ...]
    begin: int
    behind: int

    def until(self, log):
        return log[-1].received + self.behind

    def run(self, log, until=None, engine=None):
        engine = engine or Engine(self.bundle)
        changes = [change for record in log for change in engine.fold(record)]
        return changes if until is None else changes + engine.advance(0, until)

    def agree(self, log):
        """Compare with the oracle; returns the changes of the rules."""
        changes = self.run(log, self.until(log))
        got = plain(changes)
        wanted, _ = fold(log, self.bundle, self.until(log))[self.facility]
        for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
            if a != b:
                note(f"change {i}: engine {a}\noracle {b}")
                break
        assert got == wanted
        alarms = [change.alarm for change in changes if change.change.value == "raised"]
        assert len(alarms) == len(set(alarms)), "two alarms have one id"
        return [change for change in changes if change.rule in self.own]

    def changes(self, log):
        """Return the changes of the rules, by the engine alone: what random logs reach is asked of it, many times as quick."""
        return [change for change in self.run(log, self.until(log)) if change.rule in self.own]

    def told(self, log):
        return Counter((change.rule, change.change.value) for change in self.changes(log))

    def splits_change_nothing(self, log, distances):
        other = event_by_event(log, distances, self.begin)
        assert without_records(self.run(other, self.until(log))) == without_records(self.run(log, self.until(log)))

    def restarted(self, log, cut):
        """Restart behind a record; returns the engine that never stopped."""
        whole, _ = restarted(self.bundle, self.facility, log, cut, self.until(log))
        return whole

    def explained(self, log):
        for name in self.own:
            found, _ = explain(log, self.bundle, name, at=log[-1].received)
            assert all(one.agrees for one in found), (name, [one.to_json() for one in found])


def sent_once(log):
    """Return the log without batches whose id comes twice."""
    names = Counter(record.payload.batch for record in log if isinstance(record.payload, Events))
    return [r for r in log if not isinstance(r.payload, Events) or names[r.payload.batch] == 1]


def event_by_event(log, distances, begin):
    """Return the log with a batch for every event (what is equal came twice, and stays together) and other ticks, that far apart, twenty at most between two records."""
    other, at = [], begin
    for i, record in enumerate(r for r in log if not isinstance(r.payload, Tick)):
        step = max(distances[i % len(distances)], (record.received - at) // 20)
        while at + step < record.received:
            at += step
            other.append(LogRecord(0, 0, at, Kind.TICK, "", Tick(by="t", role="worker", now=at)))
        at = max(at, record.received)
        parts = apart(record.payload.events) if isinstance(record.payload, Events) else []
        batches = [Events(batch=f"{record.payload.batch}-{k}", events=events) for k, events in enumerate(parts)]
        other += [replace(record, payload=payload) for payload in batches or [record.payload]]
    return [replace(record, offset=i) for i, record in enumerate(other)]


def apart(events):
    """Return events one by one, those that are equal to each other together."""
    parts = {}
    for event in events:
        parts.setdefault(event.model_dump_json(), []).append(event)
    return list(parts.values())
