"""Parallel measurements in plain words: every row stays known for ever, in decimals.

One facility's log of one register, ticks, readings, events and decisions, of less than two hours, so that no row leaves a horizon; the bundle
holds only rules of kind `parallel`.
"""

from __future__ import annotations

import json
from decimal import Decimal

from rules.facts import facts_of
from rules.predicate import holds
from rules.records import Decision, Events, Quality, Readings, RegisterRecord
from tests.rules.oracle.lateness import Facility

AHEAD = 5 * 60_000
NONE_OF_IT = {Quality.UNCERTAIN, Quality.SET_VALUE, Quality.COMMS}


class Measuring(Facility):
    """One facility: its rows, and what was measured beside them."""

    def __init__(self, name, bundle):
        super().__init__(name, bundle)
        self.rows = {}  # tag -> {event time: (value, quality)}
        self.waiting = []  # (due, rule, subject, measurement)
        self.seen = set()

    def fold(self, record):
        now, payload = max(self.clock, record.received), record.payload
        if now > self.clock:
            self.pass_time(now)
        self.clock = now
        if isinstance(payload, RegisterRecord):
            self.versions.append((now, payload.facility))
        elif isinstance(payload, Decision):
            self.decide(payload, now)
        elif isinstance(payload, Readings):
            for tag, t, value, quality in zip(
                payload.tags, payload.time.tolist(), payload.value.tolist(), payload.quality.tolist(), strict=True
            ):  # one row a tag
                if t <= now + AHEAD:
                    self.rows.setdefault(tag, {}).setdefault(t, (value, quality))
        elif isinstance(payload, Events):
            for event in payload.events:
                self.measured(event, now)

    def measured(self, event, now):
        fields = event.fields
        sensor = next((one for one in self.entity.sensors if one.tag == fields.get("series")), None)
        whole = all(isinstance(fields.get(name), int | float) for name in ("value", "reference_error"))
        if (event.stream, event.type) != ("lab", "parallel") or sensor is None or not whole or "unit" not in fields:
            return
        if fields["reference_error"] < 0 or fields["measured_at"] > now + AHEAD:
            return
        subject = json.dumps({"tag": sensor.tag})
        due = max(fields["measured_at"] + (sensor.interval or 0), now) + self.entity.delivery
        for rule in self.bundle.rules:
            once = rule.id, event.model_dump_json()
            if once not in self.seen and holds(rule.applies_to, facts_of(self.entity, sensor, now)):
                self.seen.add(once)
                self.waiting.append((due, rule.id, subject, (sensor, fields, now)))

    def pass_time(self, now):
        while over := sorted({one[:3] for one in self.waiting if one[0] <= now}):
            due, name, subject = over[0]
            found = [one for one in self.waiting if one[:3] == over[0]]
            self.waiting = [one for one in self.waiting if one[:3] != over[0]]
            wrong = [fields["measured_at"] for *_, (sensor, fields, _) in found if self.is_wrong(sensor, fields)]
            self.late.setdefault((name, subject), []).extend((t, due, "") for t in wrong)
            if wrong:
                self.settle(self.bundle.rule(name), subject, due)

    def is_wrong(self, sensor, fields):
        t = fields["measured_at"]
        if sensor.error is None or sensor.interval is None or fields["unit"].strip().lower() != sensor.unit.lower():
            return False
        near = [
            (abs(at - t), at, value)
            for at, (value, quality) in self.rows.get(sensor.tag, {}).items()
            if quality not in NONE_OF_IT and value == value and abs(at - t) <= sensor.interval  # noqa: PLR0124 - a value that is none
        ]
        if not near:
            return False
        exact = [Decimal(repr(one)) for one in (fields["value"], min(near)[2], sensor.error, fields["reference_error"])]
        return abs(exact[0] - exact[1]) > exact[2] + exact[3]


def fold(log, bundle, name, until):
    """Return what a facility's log says up to an instant."""
    facility = Measuring(name, bundle)
    for record in log:
        facility.fold(record)
    facility.pass_time(until)
    return facility.changes
