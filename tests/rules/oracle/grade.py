"""Alarms that ask for another grade, plainly: what the other rules tell without this one, gone through anew at each step. All times in ms."""

from __future__ import annotations

from rules.changes import alarm_id
from rules.engine import Engine
from rules.records import Decision, RegisterRecord

DAY = 86_400_000
COLOURS = ("blue", "yellow", "orange", "red")
LEFT_OUT = ("false-alarm", "equipment-fault", "marked-state", "duplicate")
LATCHED = ("data-integrity.audit-disabled", "data-integrity.full-rights")


class Oracle:
    """One rule over one log of one facility, beside an engine that has only the others."""

    def __init__(self, rule, others):
        self.rule, self.engine, self.facility = rule, Engine(others), None
        self.alarms, self.standing, self.unknown, self.changes, self.used = {}, None, False, [], {}

    def run(self, log, until):
        for record in log:
            told = self.engine.fold(record)
            for change in told:
                self.hear(change)
            payload, now = record.payload, record.received
            if isinstance(payload, RegisterRecord):
                self.facility = payload.facility
                self.judge(now, now)
            elif isinstance(payload, Decision):
                self.decide(payload, now)
        for change in self.engine.advance(0, until):
            self.hear(change)
        return self.changes

    def hear(self, change):
        if self.facility.risk is None:
            return
        colour = COLOURS.index(change.severity.value)
        kind, one = change.change.value, self.alarms.get(change.alarm)
        if one is None and (colour < 2 or kind in ("cleared", "retracted")):
            return
        if one is None:
            tag = change.subject.get("tag")
            area = next((s.area for s in self.facility.sensors if s.tag == tag), None)
            one = self.alarms[change.alarm] = {"top": 0, "area": area, "out": False, "heard": change.received}
        one["top"] = colour if kind == "amended" else max(one["top"], colour)
        one["start"], one["end"] = change.start, change.end
        if change.rule in LATCHED and change.end is None:
            one["end"] = change.start
        one["out"] = one["out"] or kind == "retracted"
        self.judge(change.at, change.received)

    def decide(self, payload, now):
        code, about = payload.code, payload.subject
        if code in ("grade-signed", "grade-refused") and "grade" in about:
            for one in self.alarms.values():
                one["out"] = True
            if self.standing:
                self.standing["end"] = max(now, self.standing["start"])
                self.say("cleared", now, now)
                self.standing, self.unknown = None, False
        elif code in LEFT_OUT and about.get("alarm") in self.alarms:
            self.alarms[about["alarm"]]["out"] = True
            self.judge(now, now)

    def enough(self, at):
        inside = [
            one for one in self.alarms.values() if one["top"] >= 2 and not one["out"] and at - 30 * DAY <= one["start"] and min(one["start"], one["heard"]) <= at
        ]  # fmt: skip
        groups = []
        for one in inside:
            if one["area"] is None:
                groups.append([one])
                continue
            end = lambda other: float("inf") if other["end"] is None else other["end"]  # noqa: E731
            meets = [
                group
                for group in groups
                if any(o["area"] == one["area"] and o["start"] <= end(one) and one["start"] <= end(o) for o in group)
            ]
            groups = [group for group in groups if group not in meets] + [[one, *(o for group in meets for o in group)]]
        return len(groups) >= 3 or any(one["top"] == 3 for one in inside)

    def judge(self, at, now):
        risk = self.facility.risk
        if self.standing and not self.enough(self.standing["start"]):
            self.say("retracted", at, now)
            self.standing, self.unknown = None, False
        if not self.standing and risk is not None and self.enough(now):
            self.used[now] = self.used.get(now, 0) + 1
            name = alarm_id(self.rule, self.facility.id, {}, now, self.used[now])
            self.standing = {"alarm": name, "start": now, "end": None}
            self.say("raised", at, now)
        elif self.standing and self.unknown != (risk is None):
            self.unknown = risk is None
            self.say("unknown" if self.unknown else "known", at, now)

    def say(self, kind, at, now):
        said = {
            "rule": self.rule,
            "subject": {},
            "change": kind,
            "severity": "blue",
            "at": at,
            "received": now,
            "late": False,
        }
        self.changes.append(said | self.standing)
