"""Changes and filings, plainly: the whole history of each asset gone through anew with every fact. All times in ms."""

from __future__ import annotations

from dataclasses import dataclass, field

from rules.changes import alarm_id
from rules.instants import parse_instant
from rules.rare.match import digest_of
from rules.records import Events, RegisterRecord, Report

RULE = "cross-check.change-unfiled"
HOUR, DAY = 3_600_000, 86_400_000


@dataclass
class Asset:
    changes: list = field(default_factory=list)
    """(t, digest, sort, value)."""
    filings: dict = field(default_factory=dict)
    """(report, revision) -> (filing or None, received)."""
    told: set = field(default_factory=set)
    alarms: list = field(default_factory=list)
    """[id, first start, start, end]."""

    @property
    def standing(self):
        return self.alarms[-1] if self.alarms and self.alarms[-1][3] is None else None


class Oracle:
    """The rule over one log of one facility."""

    def __init__(self):
        self.facility, self.assets, self.numbers, self.changes = None, {}, set(), []
        self.clock, self.pending = 0, {}

    def run(self, log):
        for record in log:
            payload, now = record.payload, record.received
            self.move(now)
            if isinstance(payload, RegisterRecord):
                self.facility = payload.facility
            elif isinstance(payload, Events):
                for i, event in enumerate(payload.events):
                    self.event(event, now, digest_of(event, 1 + payload.events[:i].count(event)))
            elif isinstance(payload, Report) and (payload.id, payload.revision) not in self.numbers:
                self.numbers.add((payload.id, payload.revision))
                self.report(payload, now)
        self.move(self.clock + 1)
        return self.changes

    def move(self, to):
        """What came at an instant is judged when it is over."""
        for name in sorted(self.pending) if to > self.clock else ():
            self.settle(name, self.pending.pop(name), self.clock)
        self.clock = to

    def event(self, event, received, digest):
        t = min(event.time, received) if event.time > received + 300_000 else event.time
        fields = event.fields
        if event.type == "config" and isinstance(fields.get("fields"), dict) and "set_point" in fields["fields"]:
            name, sort, value = fields.get("point") or event.device, "set-point", fields["fields"]["set_point"]
        elif event.type == "replacement" and "point" not in fields and fields["old"] != fields["new"]:
            name, sort, value = event.device, "equipment", fields["new"]
            if name not in {one.id for one in self.facility.devices}:
                return
        else:
            return
        one = self.assets.setdefault(name, Asset())
        if digest not in {other for _, other, *_ in one.changes}:
            one.changes.append((t, digest, sort, value))
            self.pending[name] = max(t, self.pending.get(name, t))

    def report(self, payload, received):
        said = payload.fields
        at = parse_instant(f"{said['in_force_from']}T00:00:00+08:00")
        approved = said.get("approved_at")
        filing = {
            "subject": said["subject"], "class": said["class"], "from": at, "filed": parse_instant(said["filed_at"]),
            "approved": None if approved is None else parse_instant(approved), "new": said["new"],
        }  # fmt: skip
        named = {said["asset"]}
        if said["asset"] == "A1":
            named |= {one.tag for one in self.facility.sensors} | {one.id for one in self.facility.devices}
        if said["subject"] not in ("set-point", "equipment"):
            named = set()
        before = {name for name, one in self.assets.items() if any(report == payload.id for report, _ in one.filings)}
        others = {}
        for one in self.assets.values():
            others |= {key: (None, at) for key, (_, at) in one.filings.items() if key[0] == payload.id}
        if not named and not before:
            named = {("nobody", payload.id)}
        for name in sorted(before | named, key=str):
            one = self.assets.setdefault(name, Asset())
            one.filings = {**(others if name not in before else {}), **one.filings}
            one.filings[payload.id, payload.revision] = (
                filing if name in named and isinstance(name, str) else None,
                received,
            )
        for name in (name for name in before | named if isinstance(name, str)):
            self.pending[name] = max(received, self.pending.get(name, received))

    def settle(self, name, at, received):
        one, points, approved, runs = self.assets[name], [], [], []
        newest = {}
        for (report, revision), (filing, _) in one.filings.items():
            if revision > newest.get(report, (0,))[0]:
                newest[report] = (revision, filing)
        for t, digest, sort, value in sorted(one.changes, key=lambda change: change[:2]):
            known = sort == "set-point" and bool(points)
            changed = sort == "equipment" or (known and points[-1] != value)
            back = known and changed and value == approved[-1]
            about = [
                f for _, f in newest.values()
                if f and f["subject"] == sort and t <= f["from"] + 366 * DAY and (f["class"] != "major" or f["approved"])
                and not (isinstance(value, (int, float)) and isinstance(f["new"], (int, float)) and value != f["new"])
            ]  # fmt: skip
            timely = any(
                f["class"] == "minor" or (f["from"] <= t and f["approved" if f["class"] == "major" else "filed"] <= t)
                for f in about
            )
            if back:
                runs = [(at, of, lasts and kind != sort, kind) for at, of, lasts, kind in runs]
            elif changed and not timely:
                runs.append((t, digest, not about, sort))
            if sort == "set-point":
                approved += [value] if not points or (changed and timely and not back) else []
                points.append(value)
        lasts = next((run for run in runs if run[2]), None)
        if one.standing and lasts is None:
            self.clear(name, at, received)
        elif one.standing and (one.standing[2] != lasts[0] or any(run[2] and run[1] not in one.told for run in runs)):
            one.standing[2] = lasts[0]
            self.say("amended", name, at, received)
        if not one.standing:
            for run in runs:
                if not run[2] and run[1] not in one.told:
                    self.rise(name, run, at, received)
                    self.clear(name, at, received)
                    one.told.add(run[1])
            if lasts:
                self.rise(name, lasts, at, received)
        one.told |= {run[1] for run in runs if run[2]}

    def rise(self, name, run, at, received):
        one = self.assets[name]
        use = 1 + sum(alarm[1] == run[0] for alarm in one.alarms)
        one.alarms.append([alarm_id(RULE, self.facility.id, {"asset": name}, run[0], use), run[0], run[0], None])
        self.say("raised", name, at, received, late=received > run[0] + 2 * HOUR)

    def clear(self, name, at, received):
        one = self.assets[name].standing
        one[3] = max(received, one[2])
        self.say("cleared", name, at, received)

    def say(self, kind, name, at, received, *, late=False):
        alarm, _, start, end = self.assets[name].alarms[-1]
        self.changes.append(
            {
                "rule": RULE, "subject": {"asset": name}, "change": kind, "alarm": alarm, "severity": "orange",
                "start": start, "end": end, "at": at, "received": received, "late": late,
            }
        )  # fmt: skip
