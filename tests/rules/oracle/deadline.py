"""Legal clocks, plainly: all documents are kept, and at every instant each case is looked at again: of each report the highest revision that came.

What was said of a case is kept beside it, and is compared with what holds now. How a time is counted: deadlines.md §0, settled.md.

Above 400 lines on purpose: the whole of one kind, from counting days to what is said, without a helper that the engine has.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from rules.facts import facts_of_area
from rules.predicate import holds
from rules.reports.types import TYPES
from rules.rule import DeadlineRule

CHINA = ZoneInfo("Asia/Shanghai")
HOUR, DAY = 3_600_000, 86_400_000
FIRST, LAST = 0, 4_102_444_800_000
HOLDING = ("drug-mah", "drug-manufacture")


def instant(day):
    """The local midnight at which a day begins."""
    return round(datetime(day.year, day.month, day.day, tzinfo=CHINA).timestamp() * 1000)


def local(at):
    return datetime.fromtimestamp(at / 1000, CHINA).date()


def told_day(text):
    """A day as a document writes it, None where there is none before 2100; before 1970 is not before the log."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return max(day, date(1970, 1, 1)) if day.year < 2100 else None


def later_months(day, months):
    """The same day so many months later, or the last of that month."""
    index = day.year * 12 + day.month - 1 + months
    found = day.day
    while True:
        try:
            return date(index // 12, index % 12 + 1, found)
        except ValueError:
            found -= 1


@dataclass
class Paper:
    """A report that was taken, or a visit: in the order in which they came."""

    received: int
    kind: str
    revision: int
    fields: dict
    name: str = ""
    """By what its revisions are known."""
    place: int = 0
    takers: set = field(default_factory=set)
    """The rules that were in force, and took it."""


@dataclass
class Alarm:
    start: int
    first: int
    use: int
    colour: int
    top: int
    end: int | None = None
    gone: bool = False
    unknown: bool = False


@dataclass
class Case:
    """What was said of one case."""

    alarms: list = field(default_factory=list)
    judged: int = -1
    """The instant up to which the clock was asked."""
    was_unknown: bool = False
    old: int = 0
    """So many of the alarms were those of a rule that has left since: only the starts that they used count."""

    @property
    def last(self):
        return self.alarms[-1] if len(self.alarms) > self.old else None

    @property
    def standing(self):
        return self.last if self.last is not None and self.last.end is None and not self.last.gone else None


@dataclass
class Story:
    """What the documents of a case say together."""

    start: int | None = None
    facts: list = field(default_factory=list)
    """What each document says; several may differ."""
    sure: bool = False
    """They are of documents that start the clock."""
    answered: int | None = None
    judged: int | None = None
    """By when it was answered: receipt, or the later instant that is named."""
    planned: int | None = None


@dataclass
class Time:
    """When the time of a case is over: by the text or plan, and where the front door was closed then."""

    ends: int | None
    due: int | None


def fits(where, fields):
    """Whether members of a report are as wanted; true is not 1, None is what it does not say."""
    for name, wanted in where.items():
        choice = wanted if isinstance(wanted, list) else [wanted]
        found = fields.get(name)
        if (type(found) is bool, found) not in [(type(w) is bool, w) for w in choice]:
            return False
    return True


def covers(scope, own):
    """Whether a scope of a rule is one of the facility's; `all` is anybody's, also of one without scopes."""
    fields = [one for one in own if scope.field in ("all", one.field)]
    if scope.field != "all" and not fields:
        return False
    return scope.line == "all" or any(one.line == scope.line for one in fields)


class Deadlines:
    """All legal clocks of one facility."""

    def __init__(self, owner, places):
        self.owner, self.places = owner, places
        self.rules, self.papers, self.from_ = [], [], {}
        self.cases, self.closed, self.taken = {}, [], {}
        self.since, self.waited = {}, {}
        self.plans, self.visit_plans = {}, {}  # (rule, key) -> the end of the planned day that counts
        self.counts = {}
        self.read = {}  # stories that were read since the last change: to be quicker, and for nothing else

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    # -- which rules are in force -----------------------------------------------------------------------------------
    def leave(self, bundle, facility, received, closed=()):
        """End what rules say that are no more in force, or begin anew; the papers of before are nothing to them."""
        facts = facts_of_area(facility, None)
        new = [
            rule
            for rule in bundle.rules
            if isinstance(rule, DeadlineRule)
            and rule.stage in ("live", "shadow")
            and holds(rule.applies_to, facts)
            and any(covers(scope, facility.scopes) for scope in rule.scopes)
        ]
        kept = {rule.id for rule in new} - set(closed)
        for rule in self.rules:
            if rule.id in kept:
                continue
            for (rule_id, key), case in sorted(self.cases.items(), key=lambda one: (one[0][0], text(one[0][1]))):
                if rule_id == rule.id and case.standing is not None:
                    self.end(rule, key, case, received, received)
            self.from_.pop(rule.id)
            self.waited.pop(rule.id, None)
            for (rule_id, _), case in self.cases.items():
                if rule_id == rule.id:
                    case.was_unknown, case.judged, case.old = False, -1, len(case.alarms)
            for plans in (self.plans, self.visit_plans):
                for place in [place for place in plans if place[0] == rule.id]:
                    del plans[place]
        for rule in new:
            self.from_.setdefault(rule.id, len(self.papers))
            self.waited.setdefault(rule.id, set())
        self.coming = new, bundle, facility

    def adopt(self, received):
        """Judge what is not answered by the rules, the calendars and the register in force from now on."""
        self.rules, self.bundle, self.facility = self.coming
        self.read = {}
        for rule in self.rules:
            if rule.yearly and rule.id not in self.since and self.concerned(rule):
                self.since[rule.id], self.read = received, {}
            gone = [key for key in self.known(rule) if rule.yearly and self.began(rule, key) is None]
            for key in sorted(gone, key=text):
                case = self.case(rule, key)
                self.waited[rule.id].discard(key)
                self.read = {}
                if case.standing is not None:
                    self.end(rule, key, case, received, received)
            for key in sorted(set(self.known(rule)) - set(gone), key=text):
                case, story = self.case(rule, key), self.story(rule, key)
                if story.answered is None or case.was_unknown or case.standing:
                    self.judge(rule, key, received, received, received)
            self.ask(rule, received)

    def concerned(self, rule):
        if rule.yearly == "trials":
            return bool(self.facility.trials)
        return any(licence.kind in HOLDING for licence in self.facility.licences)

    # -- yearly clocks ----------------------------------------------------------------------------------------------
    def began(self, rule, key):
        """When the clock of a yearly case begins, None where the register does not ask for it."""
        name, _, last = key.rpartition("+")
        since = self.since.get(rule.id)
        if since is None:
            return None
        if rule.yearly == "trials":
            day = told_day(last)
            for trial in self.facility.trials:
                if (
                    trial.id != name
                    or day is None
                    or day.year > 2098
                    or (trial.ended is not None and last > trial.ended)
                ):
                    continue
                first = date.fromisoformat(trial.anniversary)
                years = day.year - first.year
                if years >= 0 and later_months(first, 12 * years) == day and instant(day) >= since:
                    return instant(day)
            return None
        year = int(last)
        if not 1970 <= year <= 2098 or since >= instant(date(year + 1, 1, 1)):
            return None
        new_year = f"{year + 1}-01-01"
        held = [one for one in self.facility.licences if one.kind in HOLDING]
        if not any(one.from_ < new_year and (one.to is None or one.to >= new_year) for one in held):
            return None
        return instant(date(year, 12, 31))

    def candidates(self, rule, now):
        """Chains of cases that follow one another, from the year before on."""
        years = range(local(now).year - 1, 2099)
        if rule.yearly == "holders":
            return [[f"{rule.answer.report}+{year}" for year in years]]
        chains = []
        for trial in self.facility.trials:
            first = date.fromisoformat(trial.anniversary)
            days = [later_months(first, 12 * (year - first.year)) for year in years if year >= first.year]
            chains.append([f"{trial.id}+{day.isoformat()}" for day in days])
        return chains

    def ask(self, rule, now, behind=None):
        """Wait for the first report of each chain, or of that of one case, that is owed and whose time is not over."""
        if not rule.yearly:
            return
        for chain in self.candidates(rule, now):
            if behind is not None and chain and chain[0].rpartition("+")[0] != behind.rpartition("+")[0]:
                continue
            for key in chain:
                start = self.began(rule, key)
                if start is not None and self.over_at(rule, start, {}) > now:
                    if key not in self.waited[rule.id]:
                        fresh = self.story(rule, key).start is None
                        self.waited[rule.id].add(key)
                        self.read = {}
                        if fresh:
                            self.judge(rule, key, now, now, now)
                    break

    # -- papers -----------------------------------------------------------------------------------------------------
    def report(self, payload, received):
        if not self.rules:
            return
        self.count("reports")
        known = TYPES.get(payload.type)
        try:
            model = None if known is None else known.model.model_validate(payload.fields)
        except ValidationError:
            model = None
        if model is None:
            self.count("report_unread")
            return
        if not any(payload.type in [part.report for part in self.parts(rule) if part] for rule in self.rules):
            return
        before = self.taken.setdefault((payload.type, payload.id), {})
        content = payload.model_dump(exclude={"revision"})
        if payload.revision in before:
            self.count("report_repeated" if before[payload.revision] == content else "report_conflict")
            return
        if payload.revision > 1 and not (payload.reason and payload.reason.strip()):
            self.count("report_unreasoned")
            return
        name = f"{payload.type} {payload.id}"
        paper = Paper(
            received, payload.type, payload.revision, model.model_dump(by_alias=True), name, place=len(self.papers)
        )
        newest = payload.revision > max(before, default=0)
        before[payload.revision] = content
        old = {rule.id: [one for one in self.current(rule) if one.name == name] for rule in self.rules}
        self.papers.append(paper)
        for rule in self.rules if newest else []:
            self.come(rule, paper, received, old[rule.id])

    def visit(self, payload, received):
        paper = Paper(received, "visit", payload.version, payload.model_dump(), place=len(self.papers))
        self.papers.append(paper)
        for rule in self.rules:
            own = [p.revision for p in self.visits(rule, payload.visit)]
            if rule.inspections and payload.version > max(own, default=0):
                self.come(rule, paper, received, [])

    def come(self, rule, paper, received, old):
        """Look again at the cases that a paper names, and first at those that its revision before named and it does not."""
        paper.takers.add(rule.id)
        self.read = {}
        now = self.keys(rule, paper)
        left = [key for one in old for key in self.keys(rule, one) if key not in now]
        for key in [*left, *now]:
            self.read = {}
            if key in left and rule.yearly:
                start = self.began(rule, key)
                if start is not None and self.over_at(rule, start, {}) <= received:
                    self.waited[rule.id].add(key)
            if rule.plan is not None:
                self.plan(rule, key, paper)
            self.judge(rule, key, received, received, received)
            if key in left:
                self.ask(rule, received)

    def plan(self, rule, key, paper):
        """Let a planned day count that is known before the text's time is over, and lies behind the beginning; of several the earliest."""
        place = (rule.id, key)
        self.plans.pop(place, None)
        self.read = {}
        story = self.story(rule, key)
        time = self.time(rule, story)
        due = None if time is None else time.due

        def counts(one):
            day = told_day(one.fields[rule.plan]) if isinstance(one.fields.get(rule.plan), str) else None
            end = None if day is None else instant(day + timedelta(days=1))
            good = end is not None and due is not None and story.start < end and one.received <= due
            return [end] if good else []

        if paper.kind == "visit" and counts(paper):
            self.visit_plans[place] = counts(paper)[0]
        found = [self.visit_plans[place]] if place in self.visit_plans else []
        for one in self.current(rule):
            found += counts(one) if key in self.named(rule, rule.answer, one) else []
        if found:
            self.plans[place] = min(found)
        self.read = {}

    def parts(self, rule):
        return (rule.starts, rule.answer, rule.again_until)

    def current(self, rule):
        """Of each report the highest revision, where the rule took it since it is in force."""
        newest = {}
        for paper in self.papers:
            if paper.kind != "visit" and (paper.name not in newest or paper.revision > newest[paper.name].revision):
                newest[paper.name] = paper
        return [p for p in newest.values() if p.place >= self.from_[rule.id] and rule.id in p.takers]

    def visits(self, rule, visit):
        """The versions of a visit that the rule took since it is in force."""
        own = [p for p in self.papers[self.from_[rule.id] :] if rule.id in p.takers and p.kind == "visit"]
        return [p for p in own if p.fields["visit"] == visit]

    def first(self, paper):
        """When the first revision of a report came, whichever it was."""
        return min(p.received for p in self.papers if p.name == paper.name)

    def named(self, rule, part, paper):
        """The cases that a paper is about, as this part of the rule."""
        if part is None or part.report != paper.kind or not fits(part.where, paper.fields):
            return []
        if rule.yearly == "trials":
            return [f"{paper.fields[part.key]}+{paper.fields['anniversary']}"]
        if rule.yearly == "holders":
            return [f"{part.report}+{paper.fields[part.key]}"]
        value = paper.fields[part.key]
        return value if isinstance(value, list) else [value]

    def keys(self, rule, paper):
        if paper.kind == "visit":
            return [paper.fields["visit"]] if rule.inspections else []
        found = []
        for part in self.parts(rule):
            found += [key for key in self.named(rule, part, paper) if key not in found]
        return list(dict.fromkeys(found))

    def known(self, rule):
        """All cases of a rule."""
        visits = [p for p in self.papers[self.from_[rule.id] :] if rule.id in p.takers and p.kind == "visit"]
        found = {key for paper in [*self.current(rule), *visits] for key in self.keys(rule, paper)}
        found |= self.waited[rule.id]
        return sorted(
            found | {key for (rule_id, key), case in self.cases.items() if rule_id == rule.id and case.standing}
        )

    def tells(self, part, paper):
        """When the clock began by a paper."""
        if part.at is None:
            return None
        if part.at == "received":
            return self.first(paper)
        value = paper.fields[part.at]
        if isinstance(value, str):
            day = told_day(value)
            return None if day is None else max(FIRST, instant(day))
        return value if FIRST <= value <= LAST else None

    # -- what holds -------------------------------------------------------------------------------------------------
    def story(self, rule, key):
        if (rule.id, key) not in self.read:
            self.read[rule.id, key] = self.reading(rule, key)
        return replace(self.read[rule.id, key])

    def reading(self, rule, key):
        """What the papers of a case say together that count now."""
        papers, visits = self.current(rule), self.visits(rule, key) if rule.inspections else []
        starting = [p for p in papers if key in self.named(rule, rule.starts, p)]
        answers = [p for p in papers if key in self.named(rule, rule.answer, p)]
        ends = [p for p in papers if key in self.named(rule, rule.again_until, p)]
        found = Story(sure=bool(starting or visits))
        found.facts = [p.fields for p in starting] + [{}] * bool(visits)
        if rule.again_until is not None:
            return self.rounds(rule, found, starting, answers, ends)
        if not found.sure:
            found.facts = [p.fields for p in answers]
        found.answered = min((self.first(p) for p in answers), default=None)
        found.judged = min(
            (max(self.first(p), p.fields[rule.judged] if rule.judged else 0) for p in answers), default=None
        )
        begun = [self.tells(rule.starts, p) for p in starting] if rule.starts else []
        begun += [self.tells(rule.answer, p) for p in answers] + [p.fields["handed_over_at"] for p in visits]
        if rule.yearly:
            begun = [self.began(rule, key)] if key in self.waited[rule.id] or answers else []
        found.start = min((at for at in begun if at is not None), default=None)
        found.planned = self.plans.get((rule.id, key))
        return found

    def rounds(self, rule, found, starting, answers, ends):
        """Each report begins it anew that came behind the first start and before the last one; a revision of one that came is no further report."""
        found.answered = found.judged = min((self.first(p) for p in ends), default=None)
        begun = [self.tells(rule.starts, p) for p in starting]
        begin = min((at for at in begun if at is not None), default=None)
        if begin is not None:
            rounds = [self.first(p) for p in answers]
            rounds = [at for at in rounds if at >= begin and (found.answered is None or at <= found.answered)]
            found.start = max([begin, *rounds])
        return found

    def time(self, rule, story):
        """When the time of a case is over, None where it has no clock: by each document that the rule means, the earliest."""
        if story.start is None:
            return None
        asked = [name for where in rule.only for name in where]
        found = []
        for facts in story.facts or [{}]:
            silent = not story.sure and not all(name in facts for name in asked)
            if rule.only and not silent and not any(fits(where, facts) for where in rule.only):
                continue
            edition = self.edition(rule, story.start, facts)
            if edition is not None:
                ends = story.planned
                if ends is None:
                    ends = self.counted(story.start, edition.time)
                found.append(Time(ends, ends if ends is None else self.opened(ends)))
        return min(found, key=lambda one: (one.due is None, one.due or 0, one.ends or 0), default=None)

    def edition(self, rule, start, facts):
        day = local(start).isoformat()
        for one in rule.within:
            young = one.from_ is None or day >= one.from_
            old = one.before is None or day < one.before
            if young and old and fits(one.where, facts):
                return one
        return None

    def over_at(self, rule, start, facts):
        edition = self.edition(rule, start, facts)
        ends = None if edition is None else self.counted(start, edition.time)
        return start if ends is None else ends

    def counted(self, start, time):
        """When a time is over that began at an instant: day by day, month by month."""
        if time.unit == "h":
            return min(start + time.number * HOUR, LAST)
        day = local(start)
        if time.unit == "mo":
            day = later_months(day, time.number)
        elif time.unit == "d":
            day += timedelta(days=time.number)
        else:
            left = time.number
            while left:
                day += timedelta(days=1)
                worked = self.worked(day)
                if worked is None:
                    return None
                left -= worked
        return min(instant(day + timedelta(days=1)), LAST)

    def worked(self, day):
        """Whether a day is worked, None where no table says so."""
        code = self.facility.jurisdiction
        found = [(len(p), c.id, c) for c in self.bundle.calendars.values() for p in c.prefixes if code[: len(p)] == p]
        table = max(found, key=lambda one: one[:2])[2] if found else None
        year = None if table is None else table.years.get(f"{day.year:04d}")
        if year is None:
            return None
        short = f"{day.month:02d}-{day.day:02d}"
        return short not in year.days_off if day.isoweekday() < 6 else short in year.worked

    def opened(self, ends):
        for begin, end in self.closed:
            if begin < ends < end:
                return end
        return ends

    def colours(self, rule, time):
        """The instants behind which it has a colour, mildest first."""
        found = [(time.due, rule.severity.base.rank)]
        for step in rule.overdue:
            at = self.counted(time.ends - (0 if step.after.unit == "h" else 1), step.after)
            if at is not None:
                found.append((max(at, time.due), step.to.rank))
        return found

    def reminded(self, rule, story, time):
        if rule.reminder is None:
            return None
        if rule.reminder.before is not None:
            return time.due - rule.reminder.before
        length = time.due - story.start
        return story.start + -(-length * round(rule.reminder.share * 1000) // 1000)

    # -- what is said -----------------------------------------------------------------------------------------------
    def case(self, rule, key):
        return self.cases.setdefault((rule.id, key), Case())

    def judge(self, rule, key, at, received, instant_):
        """Compare what was said of a case with what holds at an instant."""
        case, story = self.case(rule, key), self.story(rule, key)
        case.judged = instant_
        time = self.time(rule, story)
        alarm = case.standing
        if time is None or time.due is None:
            if time is not None and not case.was_unknown:
                self.count("clock_unknown")
            case.was_unknown = time is not None
            if alarm is not None and (time is None or story.answered is not None):
                self.over(rule, key, case, time, story, at, received)
            elif alarm is not None and not alarm.unknown:
                alarm.unknown = True
                self.say("unknown", rule, key, alarm, at, received)
            return
        case.was_unknown = False
        if alarm is not None and alarm.unknown:
            alarm.unknown = False
            self.say("known", rule, key, alarm, at, received)
        if story.answered is not None:
            self.was_answered(rule, key, case, story, time, at, received)
        else:
            self.runs(rule, key, case, story, time, at, received, instant_)

    def runs(self, rule, key, case, story, time, at, received, now):
        reminded, colour = self.reminded(rule, story, time), None
        if reminded is not None and now >= reminded:
            colour = rule.reminder.severity.rank
        over = [rank for edge, rank in self.colours(rule, time) if now > edge]
        colour = max(over) if over else colour
        alarm = case.standing
        if alarm is None:
            if colour is not None:
                self.open(rule, key, case, time.due, colour, at, received)
            return
        if colour is None:
            self.end(rule, key, case, at, received)
            return
        if alarm.start != time.due:
            alarm.start = time.due
            self.say("amended", rule, key, alarm, at, received)
        if alarm.colour != colour:
            alarm.colour, alarm.top = colour, max(alarm.top, colour)
            self.say("stepped", rule, key, alarm, at, received)

    def was_answered(self, rule, key, case, story, time, at, received):
        judged = story.judged
        late = judged > time.due
        if case.standing is not None:
            self.over(rule, key, case, time, story, at, received)
            return
        if not late:
            return
        last = case.last
        if last is None or last.gone or last.top < rule.severity.base.rank:
            colour = max(rank for edge, rank in self.colours(rule, time) if judged > edge)
            self.open(rule, key, case, time.due, colour, at, received)
            self.end(rule, key, case, at, received, story.answered)
        elif time.due < last.start:
            last.start = time.due
            self.say("amended", rule, key, last, at, received)

    def open(self, rule, key, case, start, colour, at, received):
        use = 1 + sum(alarm.first == start for alarm in case.alarms)
        case.alarms.append(Alarm(start, start, use, colour, colour))
        self.say("raised", rule, key, case.alarms[-1], at, received)

    def over(self, rule, key, case, time, story, at, received):
        """What was answered ends with the answer; with what tells that it had been in time, where it was said to be late."""
        alarm = case.standing
        known = time is not None and story.answered is not None
        mended = known and story.judged <= alarm.start and alarm.top >= rule.severity.base.rank
        self.end(rule, key, case, at, received, story.answered if known and not mended else received)

    def end(self, rule, key, case, at, received, until=None):
        alarm = case.standing
        alarm.end, alarm.unknown = max(received if until is None else until, alarm.start), False
        self.say("cleared", rule, key, alarm, at, received)

    def say(self, kind, rule, key, alarm, at, received):
        subject, name = {"report": key}, (alarm.first, alarm.use)
        colour = alarm.colour if kind == "cleared" or (alarm.end is None and not alarm.gone) else alarm.top
        self.owner.say(kind, rule, subject, name, colour, alarm.start, alarm.end, at, received)

    # -- the clock --------------------------------------------------------------------------------------------------
    def dues(self, to):
        """What the clock decides up to `to`."""
        for rule in self.rules:
            for key in self.known(rule):
                due = self.due(rule, key)
                if due is not None and due <= to:
                    yield due, self.places[rule.id], 3, text(key), (rule, key)

    def due(self, rule, key):
        case, story = self.case(rule, key), self.story(rule, key)
        time = self.time(rule, story)
        if time is None or time.due is None:
            return None
        if story.answered is not None:
            found = [time.due + 1] if rule.yearly else []
        else:
            found = [edge + 1 for edge, _ in self.colours(rule, time)]
            reminded = self.reminded(rule, story, time)
            found += [reminded] if reminded is not None and case.standing is None else []
        return min((at for at in found if at > case.judged), default=None)

    def decide(self, at, what):
        """A time that is over is told as of its last instant."""
        rule, key = what
        time = self.time(rule, self.story(rule, key))
        over = [edge for edge, _ in self.colours(rule, time)]
        told = at - 1 if at - 1 in over else at
        self.judge(rule, key, told, told, at)
        self.ask(rule, at, behind=key)

    # -- the front door ---------------------------------------------------------------------------------------------
    def close_door(self, begin, now):
        if self.rules:
            self.closed.append((begin, now))

    def reopen_door(self, begin, now):
        """Take back what was said of times that were over while the door was closed."""
        for rule in self.rules:
            for key in sorted((key for rule_id, key in self.cases if rule_id == rule.id), key=text):
                case = self.case(rule, key)
                last = case.last
                if last is None or last.gone or not begin < last.start < now or last.top < rule.severity.base.rank:
                    continue
                last.end = max(now, last.start) if last.end is None else last.end
                last.gone, last.unknown = True, False
                case.judged = max(case.judged, now)
                self.say("retracted", rule, key, last, now, now)
                if self.story(rule, key).answered is not None:
                    self.judge(rule, key, now, now, now)


def text(key):
    """A subject as the engine orders it."""
    return json.dumps({"report": key}, ensure_ascii=False, sort_keys=True)
