"""Amendments that come too late, in plain words: of each report everything is kept, and proof is asked for at every instant anew."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from rules.records import Report, Tick
from rules.reports.reading import fields_of
from tests.rules.oracle.lateness import CHINA, Facility


def tenth(t, day):
    """24:00 in China of a day of the month behind that of an instant."""
    first = datetime.fromtimestamp(t / 1000, CHINA).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return round(((first + timedelta(days=32)).replace(day=day) + timedelta(days=1)).timestamp() * 1000)


class Amending(Facility):
    """One facility: its amendments with all their revisions."""

    def __init__(self, name, bundle):
        super().__init__(name, bundle)
        self.taken = set()  # (id, revision) that came
        self.numbers = {}  # id -> {revision: payload}
        self.known = {}  # id -> what its revisions corrected, each when it was the highest
        self.proofs = {}  # id -> receipt of the first proof

    def fold(self, record):
        now, payload = max(self.clock, record.received), record.payload
        closes = isinstance(payload, Tick) and payload.role == "gateway" and self.gateway is not None
        closes = closes and now - self.gateway > 15 * 60_000
        if closes:
            begin = self.gateway
            self.closed.append((begin, now))
            self.pass_time(now - 1)
            self.closed.pop()  # the base class notes it
            super().fold(record)
            self.take_back(begin, now)
        self.pass_time(now)
        if not closes:
            super().fold(record)
        if isinstance(payload, Report):
            self.report(payload, now)

    def decide(self, payload, now):
        alarms = {key: alarm for key, alarm in self.alarms.items() if "case" in json.loads(key[1])}
        if not any(alarm["id"] == payload.subject.get("alarm") for alarm in alarms.values()):
            super().decide(payload, now)

    def report(self, payload, now):
        model, number = fields_of(payload), (payload.id, payload.revision)
        if number in self.taken or (payload.revision > 1 and not payload.reason):
            return
        self.taken.add(number)
        if not {one.tag for one in model.readings} & {sensor.tag for sensor in self.entity.sensors}:
            return  # it names no datum, and has no effect but that its number is taken
        known = self.numbers.setdefault(payload.id, {})
        highest, known[payload.revision] = max(known, default=0), payload
        if (model.proof or model.proof_at) and payload.id not in self.proofs:
            self.proofs[payload.id] = now
        said = self.known.setdefault(payload.id, set())
        new = (
            [one for one in model.readings if (one.tag, one.time, one.new) not in said]
            if payload.revision > highest
            else []
        )
        said |= {(one.tag, one.time, one.new) for one in new}
        for rule in self.bundle.rules:
            due = self.due(min(one.time for one in new), rule) if new else None
            if due is not None and now > due:
                key = rule.id, json.dumps({"report": payload.id})
                self.late.setdefault(key, []).append((due, now, f"{payload.id}/{payload.revision}"))
                self.settle(rule, key[1], now)
            self.prove(rule, payload.id, now)

    def proof_due(self, rule, name):
        revisions = self.numbers[name]
        earliest = min(one.time for one in fields_of(revisions[max(revisions)]).readings)
        due = tenth(earliest, rule.proof_by)
        return next((until for since, until in self.closed if since < due < until), due)

    def prove(self, rule, name, now, at=None):
        """Say what holds of the proof of a report now; `at`: the instant of which it is said."""
        key = rule.id, json.dumps({"case": "proof", "report": name})
        due, given, alarm = self.proof_due(rule, name), self.proofs.get(name), self.alarms.get(key)
        at = now if at is None else at
        missing = (now if given is None else given) > due
        if alarm is not None and alarm["stands"]:
            if given is not None or not missing:
                self.end(key, now)
            elif alarm["start"] != due:
                alarm["start"] = due
                self.say(*key, "amended", at)
        elif missing and (given is None or alarm is None or alarm["back"]):
            self.late[key] = [(due, now, "")]
            self.settle(rule, key[1], at)
            del self.late[key]
            self.alarms[key]["back"] = False
            if given is not None:
                self.end(key, now)

    def end(self, key, now):
        self.alarms[key] |= {"stands": False, "end": max(now, self.alarms[key]["start"])}
        self.say(*key, "cleared", now)

    def pass_time(self, now):
        """Say what is missing by an instant, in the order in which it came to be."""
        over = sorted(
            (self.proof_due(rule, name), rule.id, json.dumps({"case": "proof", "report": name}), name)
            for rule in self.bundle.rules for name in self.numbers if name not in self.proofs
        )  # fmt: skip
        for due, rule, subject, name in over:
            alarm = self.alarms.get((rule, subject))
            if due < now and not (alarm is not None and alarm["stands"]):
                self.prove(self.bundle.rule(rule), name, due + 1, due)

    def take_back(self, begin, now):
        for rule in self.bundle.rules:
            for key in sorted(key for key in self.alarms if key[0] == rule.id and "case" in json.loads(key[1])):
                alarm = self.alarms[key]
                if not alarm["back"] and begin < alarm["start"] < now:
                    end = alarm["end"] if alarm["end"] is not None else max(now, alarm["start"])
                    alarm |= {"back": True, "stands": False, "end": end}
                    self.say(*key, "retracted", now)
                    self.prove(rule, json.loads(key[1])["report"], now)  # an earlier reading may have been named since


def fold(log, bundle, name, until):
    """Return what a facility's log says up to an instant."""
    facility = Amending(name, bundle)
    for record in log:
        facility.fold(record)
    facility.pass_time(until)
    return facility.changes
