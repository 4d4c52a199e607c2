"""What is posted without effect, in plain words: everything that came is kept, and held against all of it.

One facility's log of registers, ticks, reports, marks, readings, events and decisions; the bundle holds only rules of kind `revision`.
"""

from __future__ import annotations

import json

from rules.records import Decision, Events, Mark, Readings, RegisterRecord, Report
from rules.reports.quality import Amendment
from rules.reports.reading import fields_of
from tests.rules.oracle.lateness import Facility

DAY, AHEAD = 86_400_000, 5 * 60_000


class Posting(Facility):
    """One facility: its posts by what they are and their ids."""

    def __init__(self, name, bundle):
        super().__init__(name, bundle)
        self.reports = {}  # (type, id, revision) -> content
        self.newest = {}  # id of a mark -> (revision, content) of the highest
        self.batches = {}  # (kind, id) -> (content, first receipt)
        self.last = {}  # tag -> its newest reading
        self.told = set()  # (rule, subject, kind, name, fault, content)

    def fold(self, record):
        self.clock = now = max(self.clock, record.received)
        payload = record.payload
        if isinstance(payload, RegisterRecord) and payload.version > self.version:
            self.version = payload.version
            self.versions.append((now, payload.facility))
        elif isinstance(payload, Decision):
            self.decide(payload, now)
        elif isinstance(payload, Mark):
            self.marked(payload, now)
        elif isinstance(payload, Readings):
            columns = (payload.time, payload.value, payload.quality, payload.counts)
            if self.batch("readings", payload, repr((payload.tags, *(one.tolist() for one in columns))), now):
                self.sent(payload, now)
        elif isinstance(payload, Events) and self.versions:
            self.batch("events", payload, payload.model_dump_json(exclude={"batch"}), now)
        elif isinstance(payload, Report) and self.versions:
            self.reported(payload, now)

    def reported(self, payload, now):
        model, key = fields_of(payload), (payload.type, payload.id, payload.revision)
        if model is None:
            return
        content = repr((payload.sent, payload.reason, payload.fields))
        what = "report", payload.id, f"{payload.id}/{payload.revision}"
        if key in self.reports:
            if self.reports[key] != content:
                self.wrong("number", what, content, now)
        elif payload.revision > 1 and not (payload.reason or "").strip():
            self.wrong("reason", what, content, now)
        else:
            self.reports[key] = content
            if isinstance(model, Amendment) and not any(self.may_have_come(one, now) for one in model.readings):
                self.wrong("datum", what, "", now)

    def may_have_come(self, one, now):
        """Of a tag that is registered: unless it lies ahead. Of one that was, and sent: up to what it had sent then."""
        return one.time <= (now + AHEAD if one.tag in self.registered() else self.last.get(one.tag, -1))

    def registered(self):
        return {sensor.tag for sensor in self.entity.sensors} if self.versions else set()

    def sent(self, payload, now):
        for tag, t in zip(payload.tags, payload.time.tolist(), strict=True):  # one reading each
            if tag in self.registered() and t <= now + AHEAD:
                self.last[tag] = max(t, self.last.get(tag, t))

    def marked(self, payload, now):
        content, (revision, before) = payload.model_dump_json(), self.newest.get(payload.id, (0, None))
        if payload.revision > revision:
            self.newest[payload.id] = payload.revision, content
        elif payload.revision == revision and content != before and self.versions:
            self.wrong("number", ("mark", payload.id, f"{payload.id}/{payload.revision}"), content, now)

    def batch(self, kind, payload, content, now):
        known = self.batches.get((kind, payload.batch))
        if known is None or known[1] <= now - DAY:
            self.batches[kind, payload.batch] = content, now
            return True
        if known[0] != content and self.versions:
            self.wrong("batch", (kind, payload.batch, payload.batch), content, now)
        return False

    def wrong(self, fault, what, content, now):
        kind, name, full = what
        subject = json.dumps({"report": name})
        for rule in self.bundle.rules:
            once = rule.id, subject, kind, full, fault, content
            if fault in rule.of and once not in self.told:
                self.told.add(once)
                self.late.setdefault((rule.id, subject), []).append((now, now, full))
                self.settle(rule, subject, now)


def fold(log, bundle, name):
    """Return what a facility's log says."""
    facility = Posting(name, bundle)
    for record in log:
        facility.fold(record)
    return facility.changes
