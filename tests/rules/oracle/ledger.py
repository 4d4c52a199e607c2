"""Retests and releases of lots, plainly: the whole history gone through anew with every fact. All times in ms."""

from __future__ import annotations

from dataclasses import dataclass, field

from rules.changes import alarm_id
from rules.instants import parse_instant
from rules.rare.match import digest_of
from rules.records import Decision, Events, RegisterRecord, Report

RETEST, RELEASE = "cross-check.retest-no-investigation", "cross-check.released-while-open"
COLOURS = {RELEASE: "red", RETEST: "orange"}
HOUR = 3_600_000
CLOSING = ("false-alarm", "equipment-fault", "marked-state", "breach", "duplicate", "close-latched")


def text(value):
    return value if isinstance(value, str) and 0 < len(value) <= 128 else None


@dataclass
class Story:
    """Of one rule and subject."""

    told: set = field(default_factory=set)
    done: set = field(default_factory=set)
    counted: set = field(default_factory=set)
    """What held when it was judged last."""
    alarms: list = field(default_factory=list)
    """[id, first start, start, end, retracted]."""

    @property
    def standing(self):
        return self.alarms[-1] if self.alarms and self.alarms[-1][3] is None and not self.alarms[-1][4] else None


class Oracle:
    """Both rules over one log of one facility."""

    def __init__(self):
        self.facility, self.batches, self.numbers, self.seen = None, set(), set(), []
        self.results, self.releases, self.reports = [], [], []
        self.stories, self.changes, self.unknown, self.asked = {}, [], 0, {}
        self.clock, self.pending = 0, {}

    def run(self, log, until):
        for record in log:
            self.move(record.received)
            payload, now = record.payload, record.received
            if isinstance(payload, RegisterRecord):
                self.facility = payload.facility
            elif isinstance(payload, Events) and payload.batch not in self.batches:
                self.batches.add(payload.batch)
                for i, event in enumerate(payload.events):
                    self.event(event, now, digest_of(event, 1 + payload.events[:i].count(event)))
            elif isinstance(payload, Report) and (payload.type, payload.id, payload.revision) not in self.numbers:
                if payload.revision > 1 and payload.reason is None:
                    continue
                self.numbers.add((payload.type, payload.id, payload.revision))
                self.report(payload, now)
            elif isinstance(payload, Decision) and payload.code in CLOSING:
                self.close(payload.subject.get("alarm"), now)
        self.move(until)
        return self.changes

    def wait(self, rule, key, at):
        self.pending[rule, *key] = max(at, self.pending.get((rule, *key), at))

    def event(self, event, received, digest):
        fields, t = event.fields, event.time if event.time <= received + 300_000 else received
        lot, test, verdict = text(fields.get("lot")), text(fields.get("test")), text(fields.get("verdict"))
        kind = (event.stream, event.type)
        if kind == ("trace", "released"):
            if lot is None:
                self.unknown += 1
            elif digest not in self.seen:
                self.seen.append(digest)
                self.releases.append((t, len(self.seen), received, lot))
                self.wait(RELEASE, (lot,), t)
        if kind != ("lab", "result") or lot is None:
            return
        new = digest not in self.seen
        for rule in (RELEASE, RETEST):
            meant = ("oos",) if rule == RELEASE else ("oos", "pass")
            if verdict is not None and verdict not in meant:
                continue
            if verdict is None or test is None:
                self.unknown += 1
                continue
            if new:
                if digest not in self.seen:
                    self.seen.append(digest)
                    self.results.append((t, len(self.seen), received, lot, test, verdict))
                self.wait(rule, (lot,) if rule == RELEASE else (lot, test), t)

    def report(self, payload, received):
        if payload.type not in ("deviation", "oos-investigation"):
            return
        said = payload.fields
        opened, closed = (said.get(name) and parse_instant(said[name]) for name in ("opened_at", "closed_at"))
        lots = list(said["lots"]) if payload.type == "deviation" else [said["lot"]]
        before = {
            lot
            for kind, name, *_, those, _ in self.reports
            if (kind, name) == (payload.type, payload.id)
            for lot in those
        }
        tests = {
            (lot, test)
            for kind, name, *_, those, test in self.reports
            if (kind, name) == (payload.type, payload.id)
            for lot in those
        }
        self.reports.append(
            (payload.type, payload.id, payload.revision, received, opened, closed, lots, said.get("test"))
        )
        for lot in {*before, *lots}:
            self.wait(RELEASE, (lot,), received)
        if payload.type == "oos-investigation":
            for key in {*tests, (said["lot"], said["test"])}:
                self.wait(RETEST, key, received)

    def newest(self, kind, until):
        """Of each report the highest number that had come, else the first that came."""
        found = []
        for name in {one[1] for one in self.reports if one[0] == kind}:
            ones = [one for one in self.reports if one[:2] == (kind, name)]
            come = [one for one in ones if one[3] <= until]
            found.append(max(come, key=lambda one: one[2]) if come else min(ones, key=lambda one: (one[3], one[2])))
        return found

    def held(self, rule, key, now):
        """(start, facts, lasts) of each time in which the rule held."""
        return self.released(*key) if rule == RELEASE else self.retested(*key, now)

    def released(self, lot):
        found = []
        for t, fact, received, of in sorted(self.releases):
            cut = max(received, t + 48 * HOUR)
            is_open = any(
                lot in those and opened <= t and (closed is None or closed > t)
                for *_, opened, closed, those, _ in self.newest("deviation", cut)
            )
            for at, _, _, failed_lot, test, verdict in self.results:
                closings = [
                    one[5]
                    for one in self.newest("oos-investigation", cut)
                    if one[3] <= cut and one[6] == [lot] and one[7] == test and one[5] is not None
                ]
                failed = failed_lot == lot and verdict == "oos" and at <= t
                is_open = is_open or (failed and not any(at <= closed <= t for closed in closings))
            if of == lot and is_open and fact not in self.story(RELEASE, (lot,)).done:
                found.append((t, {fact}, True))
        return found

    def retested(self, lot, test, now):
        results = sorted(
            (t, verdict == "oos", fact, received)
            for t, fact, received, of, of_test, verdict in self.results
            if (of, of_test) == (lot, test)
        )
        groups, failed = [], None
        for t, is_oos, fact, received in results:
            if is_oos and (failed is None or failed[2]):
                failed = (t, received, [])
                groups.append(failed)
            elif not is_oos and failed is not None:
                failed[2].append((t, received, fact))
        found = []
        for t, received, passed in groups:
            if not passed:
                continue
            first, first_received, _ = passed[0]
            decided, whole = first + 24 * HOUR, max(received, first_received)
            told = [one for one in self.newest("oos-investigation", float("inf")) if (one[6], one[7]) == ([lot], test)]
            known = [
                other[3]
                for one in told
                if t <= one[4] <= first
                for other in self.reports
                if other[:2] == one[:2] and (other[6], other[7]) == ([lot], test) and t <= other[4] <= first
            ]
            if any(at < decided or at <= whole for at in known):
                continue
            if now < decided:
                self.asked[RETEST, lot, test] = min(decided, self.asked.get((RETEST, lot, test), decided))
                continue
            found.append((first, {fact for *_, fact in passed}, not any(one[4] >= t for one in told)))
        return sorted(found, key=lambda one: one[0])

    def story(self, rule, key):
        return self.stories.setdefault((rule, key), Story())

    def move(self, to):
        while True:
            dues = [(at, key) for key, at in self.asked.items() if key not in self.pending]
            dues += [(self.clock, key) for key in self.pending if to > self.clock]
            dues = sorted((at, key[0], key[:0:-1], key) for at, key in dues)
            if not dues or dues[0][0] > to:
                break
            at, _, _, (rule, *key) = dues[0]
            self.settle(rule, tuple(key), self.pending.pop((rule, *key), at), at)
        self.clock = to

    def settle(self, rule, key, at, received):
        self.asked.pop((rule, *key), None)
        one, runs = self.story(rule, key), self.held(rule, key, received)
        lasts = next((run for run in runs if run[2]), None)
        if one.standing and lasts is None:
            self.end(rule, key, at, received)
        elif one.standing and (one.standing[2] != lasts[0] or any(run[2] and run[1] - one.told for run in runs)):
            one.standing[2] = lasts[0]
            self.say("amended", rule, key, at, received)
        if one.standing is None:
            for run in runs:
                if not run[2] and not run[1] & one.told:
                    self.rise(rule, key, run, at, received)
                    self.end(rule, key, at, received)
                    one.told |= run[1]
            if lasts:
                self.rise(rule, key, lasts, at, received)
        one.counted = {fact for run in runs if run[2] for fact in run[1]}
        one.told |= one.counted

    def rise(self, rule, key, run, at, received):
        one, start = self.story(rule, key), run[0]
        use = 1 + sum(alarm[1] == start for alarm in one.alarms)
        name = alarm_id(rule, self.facility.id, self.subject(key), start, use)
        one.alarms.append([name, start, start, None, False])
        border = start + (2 if rule == RELEASE else 24) * HOUR
        self.say("raised", rule, key, at, received, late=received > border)

    def end(self, rule, key, at, received):
        one = self.story(rule, key).standing
        if rule == RELEASE:
            one[4] = True
            self.say("retracted", rule, key, at, received)
        else:
            one[3] = max(received, one[2])
            self.say("cleared", rule, key, at, received)

    def close(self, name, at):
        for (rule, key), one in self.stories.items():
            if rule == RELEASE and one.standing and one.standing[0] == name:
                one.done |= one.counted
                one.standing[3] = max(at, one.standing[2])
                self.say("cleared", rule, key, at, at)
                return

    @staticmethod
    def subject(key):
        return {"lot": key[0]} if len(key) == 1 else {"case": key[1], "lot": key[0]}

    def say(self, kind, rule, key, at, received, *, late=False):
        name, _, start, end, _ = self.story(rule, key).alarms[-1]
        self.changes.append(
            {
                "rule": rule, "subject": self.subject(key), "change": kind, "alarm": name, "severity": COLOURS[rule],
                "start": start, "end": end, "at": at, "received": received, "late": late,
            }
        )  # fmt: skip
