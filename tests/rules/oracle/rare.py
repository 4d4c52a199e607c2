"""Rare records, plainly: the whole history is kept, and after every step each condition is asked of all of it again.

The engine keeps a bounded memory per subject and moves it on; here nothing is ever forgotten or moved on.
"""

# Above 400 lines on purpose: one check after another over the same plain history, without a helper that the engine has.

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from rules.changes import alarm_id
from rules.facts import facts_of
from rules.kinds import repeat_day as kind
from rules.predicate import matches
from rules.reports.reading import fields_of
from rules.rule import (
    ClockRule,
    CompletenessRule,
    ConflictRule,
    CountRule,
    FollowUpRule,
    RegisterCheckRule,
    RepeatDayRule,
)
from tests.rules.oracle import repeat_day
from tests.rules.oracle.approval import Settings, approving
from tests.rules.oracle.beats import System
from tests.rules.oracle.calibrations import Told, calibrating
from tests.rules.oracle.devices import device
from tests.rules.oracle.followed import Following, following
from tests.rules.oracle.incomplete import lacking, listing
from tests.rules.oracle.openings import Doors, tracing
from tests.rules.oracle.rate import Rates, judged_month, next_review, rating
from tests.rules.oracle.results import Asking, asking
from tests.rules.oracle.sequence import Numbers, due_of, sequence
from tests.rules.oracle.share import Shares, judged_midnight, month_before, next_judgement, present
from tests.rules.oracle.shared import Login
from tests.rules.oracle.strays import Strays, held, straying
from tests.rules.oracle.told import Point, told

if TYPE_CHECKING:
    from rules.records import Decision, Events

CHINA = timezone(timedelta(hours=8))
HOUR = 3_600_000
ROWS = (ConflictRule, ClockRule, RepeatDayRule)
RARE = (CountRule, FollowUpRule, RegisterCheckRule, CompletenessRule, *ROWS)
CLOSING = ("false-alarm", "equipment-fault", "marked-state", "breach", "duplicate", "close-latched")


@dataclass
class Past:
    """One event as it came: its place in the order, event time that counts, receive time, and what it says.

    Where it belongs is what the register said of it when it came.
    """

    order: int
    t: int
    received: int
    event: object
    area: str | None
    about: dict = field(default_factory=dict)
    """Rule -> the subject that it counts for, or begins with."""
    fits: set = field(default_factory=set)
    """Rules whose predicates its area meets."""
    due: dict = field(default_factory=dict)
    """Rule -> when the clock decides on it."""
    stood: float | None = None
    """Of a second value the first."""
    named: int | None = None
    """... and when an amendment named it, behind its receipt."""


@dataclass(frozen=True)
class RowEvent:
    """A row of a series that a rule is about; two of one time and value are the same."""

    t: int
    value: str
    stream: str = ""
    type: str = ""


@dataclass
class Alarm:
    start: int
    first: int
    use: int
    colour: int
    end: int | None = None
    gone: bool = False
    unknown: bool = False
    raised: int = 0


@dataclass
class Subject:
    alarms: list = field(default_factory=list)
    closed: set = field(default_factory=set)
    """Orders of events that an officer's decision is done with."""

    @property
    def standing(self):
        last = self.alarms[-1] if self.alarms else None
        return last if last is not None and last.end is None and not last.gone else None


def heard(rule):
    """Whether a rule listens to heartbeats."""
    return isinstance(rule, ClockRule) and rule.check == "offset"


def beating(rule):
    """Whether a rule waits for a system's heartbeats."""
    return isinstance(rule, ClockRule) and rule.check == "heartbeat"


def tardy(rule):
    """Whether a rule looks at rows that came too late to be judged."""
    return isinstance(rule, ClockRule) and rule.check == "late-evidence"


def often(rule):
    """Whether a rule counts occasions, not events."""
    return isinstance(rule, CountRule) and rule.occasions is not None


def device_time(event):
    """The time that a heartbeat tells, None where it is none or tells none."""
    value = event.fields.get("device_time")
    if (event.stream, event.type) != ("device", "heartbeat") or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return None if moment is None or moment.tzinfo is None else round(moment.timestamp() * 1000)


def code(value, resolution):
    """The digest of a value: it says which of two records of one sixteenth of an interval is kept, and nothing else here."""
    words = np.zeros(16, np.int64)
    return int(kind.digest(words, words.view(np.float64), 0, value, resolution or 0.0))


def text(subject):
    return json.dumps(subject, sort_keys=True)


def says(match, event):
    """Whether an event is meant; a field that is no text never is."""
    if (event.stream, event.type) != (match.stream, match.type):
        return False
    for name, words in match.where.items():
        if event.fields.get(name) not in ([words] if isinstance(words, str) else words):
            return False
    return True


def local_end(day):
    year, month, number = (int(part) for part in day.split("-"))
    return int((datetime(year, month, number, tzinfo=CHINA) + timedelta(days=1)).timestamp() * 1000)


class Rare:
    """All rules over rare records of one facility."""

    def __init__(self, owner, bundle, places):
        self.owner, self.places = owner, places
        self.live = [rule for rule in bundle.rules if rule.stage in ("live", "shadow") and isinstance(rule, RARE)]
        self.rules, self.past, self.batches = [], [], {}
        self.decided, self.subjects, self.since, self.registered = set(), {}, {}, {}
        self.logins = {}
        self.systems, self.arrivals = {}, []
        self.points, self.settings, self.followed = {}, {}, {}
        self.numbers, self.shares, self.judged = {}, {}, {}
        self.rates, self.told, self.postponed = {}, {}, {}
        self.doors, self.strays, self.newest = {}, {}, {}
        self.amendments, self.numbers_taken = [], set()  # (tag, time, old, new) that came; (id, revision)
        self.tardy = {}  # (rule, tag) of rows that came too late at the instant that is now -> it

    def packs(self, bundle, received):
        """Take packs with rules over rows of unregistered tags only: one that is gone, or begins anew, ends what stands."""
        known = all(straying(rule) or listing(rule) for rule in bundle.rules)
        assert known, "the oracle takes no change of packs with other rules over rare records"
        same = {"version": "1.0.0", "migration": None, "title": None, "tests": []}
        old = {rule.id: rule for rule in self.rules}
        self.places = {rule.id: i for i, rule in enumerate(bundle.rules)}
        self.live = [rule for rule in bundle.rules if rule.stage in ("live", "shadow")]
        new = {rule.id: rule for rule in self.live}
        ours = {(scope.field, scope.line) for scope in self.facility.scopes}
        for name, rule in old.items():
            there = new.get(name)
            there = (
                there if there and any(s.field == "all" or (s.field, s.line) in ours for s in there.scopes) else None
            )
            other = there is not None and rule.model_copy(update=same) != there.model_copy(update=same)
            if there is None or (other and there.migration == "close"):
                self.leave(rule, received)
        self.rules = [new[name] for name in old if name in new]
        self.register(self.facility, received)

    def strange(self, tag, t, received):
        """A row comes of a tag, which may not be in force."""
        if tag in held(self.facility, received):
            self.newest[tag] = max(self.newest.get(tag, -1), t if t <= received + 300_000 else -1)
        else:
            for rule in self.rules:
                if straying(rule):
                    self.strays[rule.id].row(self, rule, tag, t, received)

    def register(self, facility, received):
        """Take a version of the register: rules that are no longer for this facility end what stands."""
        self.tell_all_late()
        ours = {(scope.field, scope.line) for scope in facility.scopes}
        rules = [rule for rule in self.live if any(s.field == "all" or (s.field, s.line) in ours for s in rule.scopes)]
        for rule in self.rules:
            if rule not in rules:
                self.leave(rule, received)
        for rule in rules:
            if rule not in self.rules:  # it says nothing of what came before
                self.since[rule.id] = len(self.past)
        self.owner.clocks.adopt(received)  # it comes between what leaves and what is checked anew
        self.rules, self.facility, self.adopted = rules, facility, received
        self.present = present(facility, received)
        self.registered = {s.tag: self.registered.get(s.tag, received) for s in facility.sensors}
        self.kinds = {area.id: area.kind.value for area in facility.areas}
        self.homes = {one.id: one.area for one in facility.devices}
        for rule in rules:
            if told(rule) or approving(rule):
                self.adopt(rule, received)
            elif tracing(rule):
                self.doors.setdefault(rule.id, Doors()).register(self, rule, facility, received)
            elif listing(rule):
                continue
            elif straying(rule):
                self.strays.setdefault(rule.id, Strays()).register(self, rule, facility, received)
            elif isinstance(rule, RegisterCheckRule):
                if calibrating(rule):
                    self.told.setdefault(rule.id, Told()).register(rule, facility, facts_of)
                self.check(rule, received)
            elif rating(rule):
                self.rates.setdefault(rule.id, Rates()).watch(rule, self.present, received)
                self.judge_rates(rule, received)
            elif isinstance(rule, CompletenessRule):
                self.shares.setdefault(rule.id, Shares())
                self.judge(rule, received)
        self.complete(received)

    def complete(self, at):
        """What rules lack in the register, asked behind all of them."""

        def points(rule, sensor):
            newest = self.told[rule.id].newest(sensor)
            return None if newest is None else newest[3]

        for rule in self.rules:
            if listing(rule):
                found = lacking(rule, self.owner.bundle, self.facility, at, points)
                state = self.subject_of(rule, {})
                alarm = state.standing
                if alarm is None and found:
                    self.open(rule, {}, state, at, rule.severity.base.rank, at, at)
                elif alarm is not None and not found:
                    alarm.end = max(at, alarm.start)
                    self.say("cleared", rule, {}, alarm, at, at)

    def alarms_of(self, rule):
        return self.followed.setdefault(rule.id, Asking() if asking(rule) else Following())

    def hear(self, told_by, change, name):
        """Let the rules that follow up another one's alarms hear what it told."""
        for rule in self.rules:
            if following(rule) and rule.alarm == told_by.id:
                found = self.alarms_of(rule).tell(self, rule, change, name)
                if found is not None:
                    self.settle_alarm(rule, found, change["at"], change["received"])

    def settle_alarm(self, rule, found, at, received):
        """Settle what a rule over alarms says of a subject; where results are asked for, what came too late ends an alarm."""
        subject, late = found if asking(rule) else (found, False)
        alarm = self.subjects.setdefault((rule.id, text(subject)), Subject()).standing
        if late and alarm is not None and not self.occasions(rule, subject):
            alarm.end = max(received, alarm.start)
            self.say("cleared", rule, subject, alarm, at, received)
        else:
            self.settle(rule, subject, at, received)

    def adopt(self, rule, at):
        """What devices told, and what was set, is judged by the register of now."""
        for rule_id, name in sorted(self.settings):
            if rule_id == rule.id:
                self.settings[rule_id, name].step(self, rule, at, at)
        for rule_id, name in sorted(self.points):
            if rule_id == rule.id:
                self.points[rule_id, name].step(self, rule, at, at)

    def judge(self, rule, at):
        """What is marked of the month of the newest midnight, series by series."""
        self.judged[rule.id] = at
        midnight = judged_midnight(at, self.facility.delivery)
        found = {}
        for sensor in self.present.sensors:
            fits = matches(rule, self.present, facts_of(self.present, sensor))
            found[text({"tag": sensor.tag})] = (
                self.shares[rule.id].judge(rule, self, sensor, midnight) if fits else "nothing"
            )
        for name in sorted({*found, *(n for rule_id, n in self.subjects if rule_id == rule.id)}):
            state = self.subjects.setdefault((rule.id, name), Subject())
            alarm, subject, one = state.standing, json.loads(name), found.get(name, "nothing")
            if one is None and alarm is not None and alarm.start == self.month(midnight):
                if not alarm.unknown:
                    alarm.unknown = True
                    self.say("unknown", rule, subject, alarm, at, at)
                continue
            if alarm is not None and alarm.unknown and one is not None:
                alarm.unknown = False
                self.say("known", rule, subject, alarm, at, at)
            if alarm is not None and (one in (None, "nothing") or one[0] != alarm.start):
                alarm.end, alarm.unknown = max(at, alarm.start), False
                self.say("cleared", rule, subject, alarm, at, at)
                alarm = None
            if one in (None, "nothing"):
                continue
            if alarm is None:
                self.open(rule, subject, state, one[0], one[1], at, at)
            elif alarm.colour != one[1]:
                alarm.colour = one[1]
                self.say("stepped", rule, subject, alarm, at, at)

    def judge_rates(self, rule, at):
        """How much of the month that ended last was measured, series by series, in the ten days behind it."""
        self.judged[rule.id] = at
        self.postponed.pop(rule.id, None)
        rates, month = self.rates[rule.id], self.rates[rule.id].month(at, self.facility.delivery)
        looked = {text({"tag": tag}): tag for tag in rates.looked}
        for name in sorted({*looked, *(n for rule_id, n in self.subjects if rule_id == rule.id)}):
            if month is None and name in looked:
                continue
            state = self.subjects.setdefault((rule.id, name), Subject())
            alarm, subject = state.standing, json.loads(name)
            bad = rates.judge(rule, self, looked[name], month) if name in looked else False
            if bad is None:
                if alarm is not None and not alarm.unknown:
                    alarm.unknown = True
                    self.say("unknown", rule, subject, alarm, at, at)
                continue
            if alarm is not None and alarm.unknown:
                alarm.unknown = False
                self.say("known", rule, subject, alarm, at, at)
            if alarm is not None and not bad:
                alarm.end = max(at, alarm.start)
                self.say("cleared", rule, subject, alarm, at, at)
            elif bad and alarm is None:
                self.open(rule, subject, state, month[1], rule.severity.base.rank, at, at)

    def month(self, midnight):
        return month_before(midnight)[0]

    def flag(self, tag, t, value, quality, received):
        """A row comes: the rules that are in force keep what its device flagged, or that there was one."""
        for rule in self.rules:
            if rating(rule):
                self.rates[rule.id].row(rule, tag, t, value, quality, received)
            elif isinstance(rule, CompletenessRule) and tag in self.registered:
                self.shares[rule.id].flag(rule, tag, t, quality, received, self.facility.delivery)

    def leave(self, rule, received):
        self.shares.pop(rule.id, None)
        self.rates.pop(rule.id, None)
        self.told.pop(rule.id, None)
        self.doors.pop(rule.id, None)
        self.strays.pop(rule.id, None)
        for (rule_id, name), state in sorted(self.subjects.items()):
            if rule_id != rule.id:
                continue
            alarm = state.standing
            if alarm is not None:
                alarm.end = max(received, alarm.start)
                self.say("cleared", rule, json.loads(name), alarm, received, received)
            if tracing(rule):
                continue
            if following(rule):
                self.followed.pop(rule_id, None)
            elif told(rule):
                self.points[rule_id, name].leave()
            elif approving(rule):
                self.settings[rule_id, name].leave(spoke=bool(state.alarms))
            elif beating(rule):
                self.systems.pop((rule_id, name), None)
            elif sequence(rule):
                self.numbers = {key: one for key, one in self.numbers.items() if key[0] != rule_id}
            elif often(rule):
                login = self.logins.setdefault((rule_id, name), Login())
                if state.alarms and login.newest >= 0:
                    login.done()
                else:
                    login.forget()
            elif not isinstance(rule, (RegisterCheckRule, CompletenessRule)):
                state.closed |= {past.order for past in self.past if past.about.get(rule.id) == json.loads(name)}

    # -- what an event is about -------------------------------------------------------------------------------------
    def area(self, event):
        return event.area or self.homes.get(device(event))

    def fits(self, rule, event):
        wanted = rule.applies_to.get("area.kind")
        return wanted is None or self.kinds.get(self.area(event)) in wanted

    def about(self, rule, event):
        """The subject of an event that the rule counts, or begins with."""
        if not self.fits(rule, event) or approving(rule) or following(rule) or tracing(rule):
            return None
        if heard(rule):
            return None if device_time(event) is None else {"device": device(event)}
        if isinstance(rule, (RegisterCheckRule, CompletenessRule, *ROWS)):
            return self.beats(event) if beating(rule) else None
        if isinstance(rule, CountRule):
            name = event.fields.get(rule.by)
            name = name if isinstance(name, str) and name else (event.source if rule.by == "system" else None)
            told = event.fields.get(rule.distinct, "")
            told = rule.distinct is None or (isinstance(told, str) and told != "")
            return {rule.by: name} if name and told and says(rule.events, event) else None
        area = self.area(event)
        if area not in self.kinds or not says(rule.first, event):
            return None
        return {"area": area, "device": device(event)}

    def beats(self, event):
        """The system of an audit heartbeat."""
        if (event.stream, event.type) != ("audit", "heartbeat"):
            return None
        named = event.fields.get("system")
        return {"system": named if isinstance(named, str) and named else event.source}

    def ours(self, rule):
        """What came since the rule is in force here."""
        return self.past[self.since[rule.id] :]

    def subject_of(self, rule, subject):
        return self.subjects.setdefault((rule.id, text(subject)), Subject())

    def known(self, rule, subject):
        """The events of a subject, each content once, oldest in the log first; those before the rule only where it spoke."""
        spoke = bool(self.subjects.setdefault((rule.id, text(subject)), Subject()).alarms)
        found, contents = [], []
        for past in self.past if spoke else self.ours(rule):
            if past.about.get(rule.id) == subject and past.event not in contents:
                contents.append(past.event)
                found.append(past)
        return [past for past in found if past.order >= self.since[rule.id]]

    # -- conditions -------------------------------------------------------------------------------------------------
    def occasions(self, rule, subject):
        state = self.subjects.setdefault((rule.id, text(subject)), Subject())
        if following(rule):
            return self.followed[rule.id].occasions(subject)
        mine = [past for past in self.known(rule, subject) if past.order not in state.closed]
        if isinstance(rule, (CountRule, *ROWS)):
            return self.counted(rule, mine)
        return [past for past in mine if (rule.id, past.order) in self.decided and self.missed(rule, past)]

    def counted(self, rule, mine):
        if isinstance(rule, ROWS) or rule.n == 1:
            return mine
        found = {}
        for i in range(1, len(mine) + 1):  # as it was after each event
            edge = max(past.t for past in mine[:i]) - rule.within - 2 * HOUR
            young = [past for past in mine[:i] if past.t > edge]
            for past in young:
                inside = [p for p in young if past.t - rule.within <= p.t <= past.t]
                many = len(inside) if rule.distinct is None else len({p.event.fields[rule.distinct] for p in inside})
                if many >= rule.n:
                    found[past.order] = past
        return list(found.values())

    def missed(self, rule, begun):
        answered, heard, due = False, False, begun.due[rule.id]
        for past in self.ours(rule):
            if past.area != begun.area or rule.id not in past.fits:
                continue
            timely = past.order < begun.order or past.received <= begun.t + rule.allowed
            if timely and begun.t <= past.t <= begun.t + rule.within and says(rule.then, past.event):
                answered = True
            other = past.event.stream == "device" and past.event.type != rule.first.type
            # What is due at the instant at which A came is decided behind all that came at that instant.
            before = past.received < due or past.received == due == begun.received
            before = before or past.received <= begun.t + rule.allowed
            if other and before and abs(past.t - begun.t) <= rule.silent:
                heard = True
        return heard and not answered

    # -- steps ------------------------------------------------------------------------------------------------------
    def dues(self, to):
        """What the clock decides up to `to`: (at, place, level, subject, key)."""
        found = []
        begins = {s.from_ for s in self.facility.sensors if s.from_ is not None and self.adopted < s.from_ <= to}
        found += [(at, -1, 3, "", ("from", at)) for at in begins if ("from", at) not in self.decided]
        for rule in self.rules:
            if told(rule):
                for (rule_id, name), point in self.points.items():
                    due = point.due(self, rule) if rule_id == rule.id else None
                    if due is not None and due <= to:
                        found.append((due, self.places[rule.id], 3, name, (rule, name)))
            elif following(rule):
                found += [
                    (one.due, self.places[rule.id], 3, text(one.subject), (rule, one.subject))
                    for one in self.alarms_of(rule).dues(to)
                ]
            elif approving(rule) or listing(rule):
                continue
            elif tardy(rule):
                found += [
                    (at, self.places[rule.id], 3, text({"tag": tag}), (rule, tag))
                    for (rule_id, tag), at in self.tardy.items()
                    if rule_id == rule.id and at <= to
                ]
            elif straying(rule):
                found += [
                    (due, self.places[rule.id], 3, text({"tag": tag}), (rule, tag))
                    for tag, due in self.strays[rule.id].dues(rule).items()
                    if due <= to
                ]
            elif tracing(rule):
                for tag, door in self.doors[rule.id].by_tag.items():
                    if door.due() <= to:
                        found.append((door.due(), self.places[rule.id], 3, text({"tag": tag}), (rule, tag)))
            elif isinstance(rule, FollowUpRule):
                for past in self.ours(rule):
                    subject = past.about.get(rule.id)
                    fresh = subject and past in self.known(rule, subject) and (rule.id, past.order) not in self.decided
                    if fresh and not self.answered_before_due(rule, past) and past.due[rule.id] <= to:
                        found.append((past.due[rule.id], self.places[rule.id], 3, text(subject), (rule, past)))
            elif often(rule):
                found += self.calm(rule, to)
            elif sequence(rule):
                found += self.overdue(rule, to)
            elif beating(rule):
                for (rule_id, name), system in self.systems.items():
                    due = system.due(self, rule, self.subjects[rule_id, name].standing) if rule_id == rule.id else None
                    if due is not None and due <= to:
                        found.append((due, self.places[rule_id], 3, name, (rule, name)))
            elif heard(rule):
                for (rule_id, name), state in self.subjects.items():
                    alarm = state.standing
                    if rule_id == rule.id and alarm is not None and not alarm.unknown:
                        due = self.known(rule, json.loads(name))[-1].received + rule.silent
                        if due <= to:
                            found.append((due, self.places[rule.id], 3, name, (rule, name)))
            elif isinstance(rule, CompletenessRule):
                due = self.next_look(rule)
                found += [(due, self.places[rule.id], 3, "", (rule, due))] if due <= to else []
            elif isinstance(rule, RegisterCheckRule):
                found += [
                    (at, self.places[rule.id], 3, "", (rule, at))
                    for at in self.instants(rule)
                    if at <= to and (rule.id, at) not in self.decided and at > self.adopted
                ]
        return found

    def next_look(self, rule):
        """When a month is judged next by the clock."""
        behind = next_review if rating(rule) else next_judgement
        due = behind(max(self.adopted, self.judged[rule.id]), self.facility.delivery)
        return max(due, self.postponed.get(rule.id, due))

    def answered_before_due(self, rule, begun):
        return any(
            says(rule.then, past.event)
            and past.area == begun.area
            and rule.id in past.fits
            and begun.t <= past.t <= begun.t + rule.within
            and (past.order < begun.order or past.received <= begun.t + rule.allowed)
            for past in self.ours(rule)
        )

    def decide(self, at, key):
        rule, what = key
        if rule == "from":  # registered facts come into force
            self.decided.add(key)
            self.owner.clocks.leave(self.owner.bundle, self.facility, at)
            self.owner.clocks.adopt(at)
            for each in self.rules:
                if told(each) or approving(each):
                    self.adopt(each, at)
                elif straying(each):
                    self.strays[each.id].register(self, each, self.facility, at)
            self.complete(at)
            return
        if told(rule):
            self.points[rule.id, what].step(self, rule, at, at, clock=True)
        elif following(rule):
            self.followed[rule.id].decide(self, rule, what, at)
            self.settle(rule, what, at, at)
        elif beating(rule):
            self.systems[rule.id, what].decide(self, rule, what, at)
        elif sequence(rule):
            self.miss(rule, what, at)
        elif tracing(rule):
            self.doors[rule.id].decide(self, rule, what, at)
        elif straying(rule):
            self.strays[rule.id].forget(self, rule, what, at)
        elif tardy(rule):
            self.tell_late(rule, what)
        else:
            self.decide_events(at, rule, what)

    def decide_events(self, at, rule, what):
        if often(rule):
            alarm = self.subjects[rule.id, what].standing
            alarm.end = max(at, alarm.start)
            self.logins[rule.id, what].done()
            self.say("cleared", rule, json.loads(what), alarm, at, at)
            return
        if heard(rule):
            alarm = self.subjects[rule.id, what].standing
            alarm.unknown = True
            self.say("unknown", rule, json.loads(what), alarm, at, at)
            return
        if isinstance(rule, (RegisterCheckRule, CompletenessRule)):
            self.decided.add((rule.id, what))
            judge = self.judge_rates if rating(rule) else self.judge
            (judge if isinstance(rule, CompletenessRule) else self.check)(rule, at)
            return
        subject = what.about[rule.id]
        for past in self.known(rule, subject):  # all that is due at this instant is one decision of the case
            if past.due[rule.id] <= at:
                self.decided.add((rule.id, past.order))
        self.settle(rule, subject, at, at)

    def events(self, payload: Events, received):
        if not self.rules:
            return
        content = [event.model_dump() for event in payload.events]
        self.batches = {name: row for name, row in self.batches.items() if row[1] > received - 24 * HOUR}
        if payload.batch in self.batches:
            return
        self.batches[payload.batch] = (content, received)
        for event in payload.events:
            t = event.time if event.time <= received + 300_000 else received
            self.past.append(self.place(Past(len(self.past), t, received, event, self.area(event))))
            for rule in self.rules:
                if told(rule):
                    self.point(rule, event, t, received)
                elif calibrating(rule):
                    if self.told[rule.id].event(rule, self.facility, facts_of, event, received):
                        self.check(rule, received)
                elif approving(rule):
                    self.setting(rule, event, t, received)
                elif tracing(rule):
                    self.doors[rule.id].event(self, rule, event, t, received)
                elif following(rule):
                    for found in self.alarms_of(rule).event(self, rule, self.past[-1]):
                        self.settle_alarm(rule, found, t, received)
                elif isinstance(rule, CountRule):
                    subject = self.past[-1].about.get(rule.id)
                    if subject is not None and often(rule):
                        self.login(rule, subject, event, t, received)
                    elif subject is not None:
                        self.settle(rule, subject, t, received)
                elif beating(rule):
                    self.system(rule, self.past[-1])
                elif sequence(rule):
                    self.numbered(rule, event, t, received)
                elif heard(rule):
                    self.beat(rule, self.past[-1])
                elif isinstance(rule, FollowUpRule):
                    subjects = {text(s): s for p in self.ours(rule) if (s := p.about.get(rule.id)) is not None}
                    for name in sorted(subjects):
                        if subjects[name]["area"] == self.area(event) and self.fits(rule, event):
                            self.settle(rule, subjects[name], t, received)
            self.complete(received)

    def place(self, past):
        """Note what the register of now makes of an event."""
        for rule in self.rules:
            if self.fits(rule, past.event):
                past.fits.add(rule.id)
            subject = self.about(rule, past.event)
            if subject is not None:
                past.about[rule.id] = subject
                if isinstance(rule, FollowUpRule) and not following(rule):
                    past.due[rule.id] = max(past.t + rule.within + self.facility.delivery, past.received)
        return past

    def decision(self, payload: Decision, received):
        two = payload.code == "data-fraud" and payload.second not in (None, payload.officer)
        if payload.code not in CLOSING and not two:
            return
        for (rule_id, name), state in self.subjects.items():
            rule = next((r for r in self.rules if r.id == rule_id), None)
            alarm = state.standing
            checks = isinstance(rule, (RegisterCheckRule, CompletenessRule))
            if alarm is None or rule is None or checks or heard(rule) or approving(rule):
                continue
            if (
                asking(rule)
                or often(rule)
                or beating(rule)
                or tracing(rule)
                or (sequence(rule) and "case" not in json.loads(name))
            ):
                continue
            subject = json.loads(name)
            if payload.subject.get("alarm") == alarm_id(rule_id, self.facility.id, subject, alarm.first, alarm.use):
                if following(rule):
                    self.followed[rule_id].closed(subject)
                done = (
                    self.known(rule, subject) if isinstance(rule, (CountRule, *ROWS)) else self.occasions(rule, subject)
                )
                state.closed |= {past.order for past in done}
                if sequence(rule):
                    numbers = self.numbers[rule_id, subject["feed"]]
                    numbers.forgotten = len(numbers.items)
                    for one in numbers.odd:
                        one.done = True
                alarm.end = max(received, alarm.start)
                self.say("cleared", rule, subject, alarm, received, received)

    # -- heartbeats of audit trails -------------------------------------------------------------------------------------
    def arrive(self, received):
        """A record of the facility came: what stands is known again, and a heartbeat that is overdue could have come."""
        for rule in self.rules:
            for (rule_id, name), system in sorted(self.systems.items()) if beating(rule) else ():
                alarm = self.subjects[rule_id, name].standing
                if rule_id == rule.id and alarm is not None and alarm.unknown:
                    alarm.unknown = False
                    self.say("known", rule, json.loads(name), alarm, received, received)
                elif rule_id == rule.id and alarm is None:
                    system.arrive(self, rule, received)
        self.arrivals.append(received)

    def close_door(self, until):
        """Our door was closed: what is not told yet begins anew."""
        for key, system in self.systems.items():
            if self.subjects[key].standing is None:
                system.told, system.opened = None, until
        for rule in self.rules:
            if rating(rule) and (then := self.waits(self.next_look(rule), until)):
                self.postponed[rule.id] = max(then, self.next_look(rule))

    def waits(self, due, until):
        """When the month that is judged at `due` is judged instead; None: it is not, or no other month's rows are waited for."""
        delivery = self.facility.delivery
        then = next_judgement(until + delivery - 1, delivery)
        month = judged_month(due, delivery)
        return then if month is not None and month == judged_month(then, delivery) else None

    def reopen_door(self, begin, until):
        """What was told while it was closed is taken back."""
        for (rule_id, name), system in sorted(self.systems.items()):
            alarm = self.subjects[rule_id, name].standing
            if alarm is not None and begin < system.raised <= until:
                alarm.gone, alarm.unknown = True, False
                system.told, system.opened = None, until
                rule = next(rule for rule in self.rules if rule.id == rule_id)
                self.say("retracted", rule, json.loads(name), alarm, until, until)
        for rule in self.rules:
            for (rule_id, name), state in sorted(self.subjects.items()):
                alarm = state.standing
                if not rating(rule) or rule_id != rule.id or alarm is None:
                    continue
                if begin < alarm.raised <= until and self.waits(alarm.raised, until):
                    alarm.gone, alarm.unknown = True, False
                    self.say("retracted", rule, json.loads(name), alarm, until, until)

    def system(self, rule, past):
        """What a heartbeat makes of its system."""
        subject = past.about.get(rule.id)
        if subject is None:
            return
        name = text(subject)
        state = self.subjects.setdefault((rule.id, name), Subject())
        current = past.t + rule.silent + self.facility.delivery > past.received
        system = self.systems.get((rule.id, name))
        if system is None:
            if current:
                self.systems[rule.id, name] = System(past.t, len(self.arrivals))
            return
        if past.t > system.newest and system.came(self, rule, past, current) and state.standing is not None:
            alarm = state.standing
            alarm.end = max(past.received, alarm.start)
            self.say("cleared", rule, subject, alarm, past.t, past.received)

    # -- what devices tell of themselves ---------------------------------------------------------------------------------
    def point(self, rule, event, t, received):
        """What an event makes of the sensor or device that it is about."""
        subject = Point.about(rule, event)
        if subject is None:
            return
        name = text(subject)
        self.subjects.setdefault((rule.id, name), Subject())
        self.points.setdefault((rule.id, name), Point(subject)).take(self, rule, event, t, received)

    def setting(self, rule, event, t, received):
        """What an event makes of the asset whose settings it changes."""
        asset = Settings.about(event)
        if asset is not None:
            name = text({"asset": asset})
            self.subjects.setdefault((rule.id, name), Subject())
            self.settings.setdefault((rule.id, name), Settings(asset)).take(self, rule, event, t, received)

    # -- logins -----------------------------------------------------------------------------------------------------
    def login(self, rule, subject, event, t, received):
        """What an event makes of its subject's alarm."""
        name = text(subject)
        state = self.subjects.setdefault((rule.id, name), Subject())
        login = self.logins.setdefault((rule.id, name), Login())
        if not login.put(rule, t, event.fields[rule.distinct]):
            return
        spans = login.spans(rule)
        if not spans:
            return
        start, alarm = login.reached(rule), state.standing
        if start is not None and alarm is None:
            late = start + 2 * HOUR < received
            self.open(rule, subject, state, start, rule.severity.base.rank, t, received, late=late)
        elif start is not None and start < alarm.start:
            alarm.start = start
            self.say("amended", rule, subject, alarm, t, received)
        if state.standing is not None:
            login.last = max(login.last, spans[-1][1] + rule.occasions.calm, received)

    def calm(self, rule, to):
        """Alarms that end because nothing of them came for long."""
        for (rule_id, name), state in self.subjects.items():
            if rule_id == rule.id and state.standing is not None and self.logins[rule_id, name].last <= to:
                yield self.logins[rule_id, name].last, self.places[rule_id], 3, name, (rule, name)

    # -- numbers of feeds ---------------------------------------------------------------------------------------------
    def numbered(self, rule, event, t, received):
        """What an event makes of the numbers of its source, and a restart of those of three feeds."""
        if (event.stream, event.type) == ("device", "restart"):
            for feed in sorted({"readings", f"events {event.source}", f"events {device(event)}"}):
                if (rule.id, feed) in self.numbers:
                    missing, odd = self.numbers[rule.id, feed].restart(t, received, rule)
                    if missing:
                        self.settle_missing(rule, feed, t, received)
                    if odd:
                        self.settle_order(rule, feed, t, received)
        if event.seq is not None and event.seq < 2**53:
            at = min(event.time, received)
            item = SimpleNamespace(number=event.seq, lo=at, hi=at, received=received, series=None, near=None)
            self.number(rule, f"events {event.source}", item, t)

    def posted(self, batch, received):
        """What a batch of readings makes of their numbers."""
        if batch.seq is None:
            return
        times = [min(int(t), received) for t in batch.time]
        item = SimpleNamespace(
            number=batch.seq, lo=min(times), hi=max(times), received=received, series=frozenset(batch.tags),
            near=2 * self.facility.delivery,
        )  # fmt: skip
        for rule in self.rules:
            if sequence(rule):
                self.number(rule, "readings", item, item.lo)

    def number(self, rule, feed, item, at):
        numbers = self.numbers.setdefault((rule.id, feed), Numbers())
        missing, odd = numbers.take(item, rule.apart, len(self.arrivals))
        if missing:
            self.settle_missing(rule, feed, at, item.received)
        if odd:
            self.settle_order(rule, feed, at, item.received)

    def overdue(self, rule, to):
        for (rule_id, feed), numbers in self.numbers.items():
            dues = [due_of(one, rule, self.arrivals) for one in numbers.missing if not one.overdue]
            dues = [due for due in dues if due is not None]
            if rule_id == rule.id and dues and min(dues) <= to:
                yield min(dues), self.places[rule_id], 3, text({"feed": feed}), (rule, feed)

    def miss(self, rule, feed, at):
        for one in self.numbers[rule.id, feed].missing:
            due = due_of(one, rule, self.arrivals)
            one.overdue = one.overdue or (due is not None and due <= at)
        self.settle_missing(rule, feed, at, at)

    def settle_missing(self, rule, feed, at, received):
        subject = {"feed": feed}
        state = self.subjects.setdefault((rule.id, text(subject)), Subject())
        late = [one.seen for one in self.numbers[rule.id, feed].missing if one.overdue]
        alarm = state.standing
        if alarm is None and late:
            self.open(rule, subject, state, min(late), rule.severity.base.rank, at, received)
        elif alarm is not None and not late:
            alarm.end = max(received, alarm.start)
            self.say("cleared", rule, subject, alarm, at, received)
        elif alarm is not None and min(late) != alarm.start:
            alarm.start = min(late)
            self.say("amended", rule, subject, alarm, at, received)

    def settle_order(self, rule, feed, at, received):
        subject = {"case": "order", "feed": feed}
        state = self.subjects.setdefault((rule.id, text(subject)), Subject())
        odd = [one.received for one in self.numbers[rule.id, feed].odd if not one.done]
        alarm = state.standing
        if alarm is None and odd:
            self.open(rule, subject, state, min(odd), rule.severity.base.rank, at, received)
        elif alarm is not None and not odd:
            alarm.gone = True
            self.say("retracted", rule, subject, alarm, at, received)
        elif alarm is not None and min(odd) != alarm.start:
            alarm.start = min(odd)
            self.say("amended", rule, subject, alarm, at, received)

    # -- heartbeats -------------------------------------------------------------------------------------------------
    def beat(self, rule, past):
        """What a heartbeat makes of its device's alarm."""
        subject = past.about.get(rule.id)
        if subject is None or past not in self.known(rule, subject):
            return
        all_ = [(one.received, device_time(one.event) - one.received) for one in self.known(rule, subject)]
        newest = [offset for _, offset in all_[-rule.beats :]]
        median = statistics.median(newest) if len(newest) == rule.beats else None
        fast = rule.drift is not None and self.drifts(rule, all_)
        holds = fast or (median is not None and abs(median) > rule.beyond)
        calm = median is not None and max(abs(offset) for offset in newest) < rule.clear_below and not fast
        colour = rule.severity.base.rank
        if rule.worse is not None and median is not None and abs(median) > rule.worse.beyond:
            colour = rule.worse.severity.rank
        state = self.subjects[rule.id, text(subject)]
        alarm, at, received = state.standing, past.t, past.received
        if alarm is not None and alarm.unknown:
            alarm.unknown = False
            self.say("known", rule, subject, alarm, at, received)
        if alarm is None and holds:
            self.open(rule, subject, state, received, colour, at, received)
        elif alarm is not None and calm:
            alarm.end = max(received, alarm.start)
            self.say("cleared", rule, subject, alarm, at, received)
        elif alarm is not None and alarm.colour != colour:
            alarm.colour = colour
            self.say("stepped", rule, subject, alarm, at, received)

    def drifts(self, rule, all_):
        """Whether the line through the first heartbeat of every six hours of a week is too steep."""
        slot = 6 * HOUR
        first = {}
        for received, offset in all_:
            if received // slot > all_[-1][0] // slot - 28:
                first.setdefault(received // slot, (received, offset))
        points = list(first.values())
        if points[-1][0] - points[0][0] < 126 * HOUR:  # three quarters of a week
            return False
        x0 = Fraction(sum(x for x, _ in points), len(points))
        y0 = Fraction(sum(y for _, y in points), len(points))
        slope = sum((x - x0) * (y - y0) for x, y in points) / sum((x - x0) ** 2 for x, _ in points)
        return abs(slope) * 24 * HOUR > rule.drift

    # -- rows -------------------------------------------------------------------------------------------------------
    def row(self, tag, t, row, received, standing, stood):
        """What the rules over rows say of one: (place, level, order, act); `row` and `stood` are (value, quality)."""
        found = []
        for rule in self.rules:
            other = isinstance(rule, ConflictRule) and standing == "conflict" and self.another(tag, row, stood)
            if other and not self.is_named(tag, t, row[0], stood[0]):
                act = lambda rule=rule: self.odd(rule, tag, t, t, row[0], received, stood[0])  # noqa: E731
                found.append((self.places[rule.id], 3, 0, act))
            if (
                isinstance(rule, ClockRule)
                and not heard(rule)
                and not beating(rule)
                and not sequence(rule)
                and self.odd_time(rule, t, received, standing)
                and not (rule.check == "event-time" and t < received and self.is_named(tag, t, row[0], None))
            ):
                start = t if rule.check == "late-evidence" else received
                act = lambda rule=rule, start=start: self.odd(rule, tag, start, t, row[0], received)  # noqa: E731
                found.append((self.places[rule.id], 3, 0, act))
            if isinstance(rule, RepeatDayRule) and standing == "order":
                found += [(self.places[rule.id], 3, 0, act) for act in self.days(rule, tag, t, received)]
        return found

    def days(self, rule, tag, t, received):
        """What the days that a new row leaves behind make of a sensor's alarm."""
        sensor = next(s for s in self.facility.sensors if s.tag == tag)
        if not matches(rule, self.facility, facts_of(self.facility, sensor)):
            return
        rows = self.owner.series[tag].every()
        for start in repeat_day.copied(rule, sensor, rows, t, lambda v: code(v, sensor.resolution)):
            yield lambda start=start: self.odd(rule, tag, start, t, start, received)

    def odd_time(self, rule, t, received, standing):
        if rule.check == "late-evidence":
            return standing == "stale" and t >= received - rule.behind
        return t > received + rule.ahead or t < received - rule.behind

    def another(self, tag, row, stood):
        """Whether the sensor shows two values, both of a quality that is a record's."""
        if any(math.isnan(v) or q in (1, 5, 8) for v, q in (row, stood)):
            return False
        step = next(s.resolution for s in self.facility.sensors if s.tag == tag)
        if step is None or not all(math.isfinite(v / step) for v, _ in (row, stood)):
            return True
        return round(row[0] / step) != round(stood[0] / step)

    # -- amendments -------------------------------------------------------------------------------------------------
    def report(self, payload, received):
        """Take an amendment whose number is its own, and of which one reading may have come."""
        number = payload.id, payload.revision
        if payload.type != "amendment" or number in self.numbers_taken or (payload.revision > 1 and not payload.reason):
            return
        self.numbers_taken.add(number)
        said = [(one.tag, one.time, one.old, one.new) for one in fields_of(payload).readings]
        tags = {sensor.tag for sensor in self.facility.sensors}
        if not any(tag in tags and t <= received + 300_000 for tag, t, _, _ in said):
            return
        self.amendments += said
        for rule in self.rules:
            for tag in sorted(tags) if isinstance(rule, ConflictRule) and rule.amended else ():
                found = [one for one in said if one[0] == tag]
                for past in self.past:
                    value = float(past.event.value) if past.about.get(rule.id) == {"tag": tag} else None
                    if value is not None and past.named is None and self.is_said(found, past.t, value, past.stood, tag):
                        past.named = received
                self.recolour(rule, {"tag": tag}, received, received)

    def is_named(self, tag, t, value, stood):
        return self.is_said([one for one in self.amendments if one[0] == tag], t, value, stood, tag)

    def is_said(self, said, at, value, stood, tag):
        """Whether one of the readings that amendments of a tag name is this one; `stood` None: whatever stood."""

        def same(number, other):
            if math.isnan(number) or other is None:
                return math.isnan(number) and other is None
            return number == other or not self.another(tag, (number, 0), (other, 0))

        return any(t == at and same(value, new) and (stood is None or same(stood, old)) for _, t, old, new in said)

    def recolour(self, rule, subject, at, received):
        """A standing alarm of second values is milder while each was named in time."""
        alarm = self.subjects.setdefault((rule.id, text(subject)), Subject()).standing
        if alarm is None or rule.amended is None:
            return
        mild = all(
            p.named is not None and p.named - p.received <= rule.amended.within for p in self.occasions(rule, subject)
        )
        colour = (rule.amended.severity if mild else rule.severity.base).rank
        if alarm.colour != colour:
            alarm.colour = colour
            self.say("stepped", rule, subject, alarm, at, received)

    def odd(self, rule, tag, start, at, value, received, stood=None):
        past = Past(
            len(self.past), start, received, RowEvent(at, repr(value)), None, {rule.id: {"tag": tag}}, stood=stood
        )
        self.past.append(past)
        if tardy(rule):  # told once, when the instant is over
            self.tardy[rule.id, tag] = received
            return
        self.settle(rule, {"tag": tag}, at, received)
        if isinstance(rule, ConflictRule):
            self.recolour(rule, {"tag": tag}, at, received)

    def tell_late(self, rule, tag):
        """Tell of the rows of one instant that came too late, by the earliest that there is now."""
        received = self.tardy.pop((rule.id, tag))
        now = self.occasions(rule, {"tag": tag})
        if now:
            self.settle(rule, {"tag": tag}, min(past.t for past in now), received)

    def tell_all_late(self):
        for rule in self.rules:
            for rule_id, tag in sorted(self.tardy):
                if rule_id == rule.id:
                    self.tell_late(rule, tag)

    def settle(self, rule, subject, at, received):
        state = self.subjects.setdefault((rule.id, text(subject)), Subject())
        now = self.occasions(rule, subject)
        alarm = state.standing
        if alarm is None and now:
            first = min(now, key=lambda past: (past.t, past.order))
            late = first.t + 2 * HOUR < first.received and not isinstance(rule, RepeatDayRule)
            self.open(rule, subject, state, first.t, rule.severity.base.rank, at, received, late=late)
        elif alarm is not None and not now:
            alarm.gone = True
            self.say("retracted", rule, subject, alarm, at, received)
        elif alarm is not None and min(past.t for past in now) != alarm.start:
            alarm.start = min(past.t for past in now)
            self.say("amended", rule, subject, alarm, at, received)

    def open(self, rule, subject, state, start, colour, at, received, *, late=False):
        use = 1 + sum(alarm.first == start for alarm in state.alarms)
        alarm = Alarm(start, start, use, colour, raised=received)
        state.alarms.append(alarm)
        self.say("raised", rule, subject, alarm, at, received, late=late)

    def say(self, kind, rule, subject, alarm, at, received, *, late=False):
        name = (alarm.first, alarm.use)
        self.owner.say(kind, rule, subject, name, alarm.colour, alarm.start, alarm.end, at, received, late=late)

    # -- the register -----------------------------------------------------------------------------------------------
    def instants(self, rule):
        """When a date changes what the register says."""
        if rule.check != "calibration-due":
            return []
        ends = {local_end(s.calibration.due) for s in self.facility.sensors if s.calibration is not None}
        early = rule.notice.before if rule.notice is not None else 0
        later = {at for known, end in self.told[rule.id].ends() for at in (end, end - early) if at > known}
        return sorted(ends | {end - early for end in ends} | later)

    def check(self, rule, at):
        found = self.warned(rule, at)
        of_rule = {name: state for (rule_id, name), state in self.subjects.items() if rule_id == rule.id}
        for name in sorted(
            {n for n, state in of_rule.items() if state.standing} | {n for n, one in found.items() if one}
        ):
            state = self.subjects.setdefault((rule.id, name), Subject())
            alarm, subject = state.standing, json.loads(name)
            if name in found and found[name] is None:
                if alarm is not None and not alarm.unknown:
                    alarm.unknown = True
                    self.say("unknown", rule, subject, alarm, at, at)
                continue
            if alarm is not None and alarm.unknown:
                alarm.unknown = False
                self.say("known", rule, subject, alarm, at, at)
            start, colour = found.get(name, (None, None))
            if alarm is not None and (colour is None or start not in (None, alarm.start)):
                alarm.end = max(at, alarm.start)
                self.say("cleared", rule, subject, alarm, at, at)
                alarm = None
            if colour is None:
                continue
            if alarm is None:
                self.open(rule, subject, state, at if start is None else start, colour, at, at)
            elif alarm.colour != colour:
                alarm.colour = colour
                self.say("stepped", rule, subject, alarm, at, at)

    def warned(self, rule, at):
        """Subject -> (start, colour) of what the register says is wrong, None where it does not say."""
        base, found = rule.severity.base.rank, {}
        for sensor in self.facility.sensors:
            name = text({"tag": sensor.tag})
            if rule.check != "sensor-count" and not matches(rule, self.facility, facts_of(self.facility, sensor)):
                continue
            if rule.check == "calibration-due":
                newest = self.told[rule.id].newest(sensor)
                if newest is None:
                    found[name] = (self.registered[sensor.tag], base)
                    continue
                end = newest[2]
                if at >= end:
                    found[name] = (end, base)
                elif rule.notice is not None and at >= end - rule.notice.before:
                    found[name] = (end, rule.notice.severity.rank)
            elif rule.check == "sensor-error" and sensor.quantity.value == "temperature":
                judged, newest = [], self.told[rule.id].newest(sensor)
                for reference, error in newest[3] if newest else []:
                    allowed = [band.error for band in rule.errors if band.low <= reference <= band.high]
                    judged += [abs(error) > min(allowed)] if allowed else []
                if not judged:
                    found[name] = None
                elif any(judged):
                    found[name] = (local_end(newest[0]) - 24 * HOUR, base)
        if rule.check == "sensor-count":
            for area in self.facility.areas:
                sensors = [s for s in self.facility.sensors if s.area == area.id and s.quantity.value == "temperature"]
                if any(area.kind in entry.kinds for entry in rule.counts):
                    need = self.need(rule, area)
                    if need is None or len(sensors) < need:
                        found[text({"area": area.id})] = None if need is None else (None, base)
        return found

    def need(self, rule, area):
        """How many sensors: by adding one after another, not by a formula."""
        entry = next(entry for entry in rule.counts if area.kind in entry.kinds)
        if entry.unit is None:
            return entry.least
        left = area.floor_m2 if entry.of == "floor_m2" else area.volume_m3
        if left is None:
            return None
        tall = [r for r in entry.racks if area.rack_height_m and area.rack_height_m > r.height_m - 1e-9 * r.inclusive]
        many = 0
        if tall:
            while left > 0:
                many, left = many + max(r.per_unit for r in tall), left - entry.unit
            return max(many, entry.least)
        many, left = entry.least, left - entry.unit
        while left > 0:
            many, left = many + 1, left - entry.unit
        return many
