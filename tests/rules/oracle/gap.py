"""Kind `gap`: silences of series, areas and the whole feed, in plain words."""

# Above 400 lines on purpose: the plain engine's silences are one matter, kept flat to be obvious.

from __future__ import annotations

import itertools

from rules.facts import facts_of
from rules.params import UNREGISTERED_INTERVAL_MS
from rules.predicate import matches
from rules.rule import GapRule

HORIZON = 2 * 3_600_000


class Door:
    """Closed time of the front door behind the newest row of a series."""

    def __init__(self, since):
        self.ext, self.shut, self.newest = 0, None, since
        self.times = []  # in which it was closed; what is closed again before all of it lies before rows is one with that

    def close(self, begin, now):
        closed = max(0, now - max(begin, self.newest))
        if not self.ext:
            self.shut = now - closed
        if closed and (self.ext == 0 or not self.times):
            self.times = [*self.times, [self.shut, self.shut]][-8:]
        if closed:
            self.times[-1][1] += closed
        self.ext += closed

    def inside(self, a, b):
        """Return how long it was closed between two event times."""
        return sum(max(0, min(b, end) - max(a, begin)) for begin, end in self.times)

    def row(self, t, received):
        """Return what of the closed time lies before a row."""
        forgiven = min(self.ext, max(0, t - self.shut)) if self.ext else 0
        self.ext -= forgiven
        self.shut = t if self.shut is None else max(self.shut, t)
        self.newest = received
        return forgiven


class Silent:
    """One gap rule on one series."""

    def __init__(self, rule, place, sensor, delivery, since):
        self.rule, self.place, self.tag, self.area = rule, place, sensor.tag, sensor.area
        self.interval, self.delivery = sensor.interval or UNREGISTERED_INTERVAL_MS, delivery
        self.limit = int(rule.factor * self.interval) if rule.factor else rule.threshold + rule.grace
        # When the next row was due: by the register, or by the rule's own interval where that is shorter.
        self.pace = min(self.interval, rule.threshold) if rule.threshold else self.interval
        self.steps = steps_of(rule, self.interval)
        self.marks = None
        self.lo = self.since = since
        self.door = Door(since)
        self.fresh = True
        self.floor = since
        self.open = None
        self.past = []

    @property
    def ext(self):
        return self.door.ext

    def due(self):
        if self.open is None:
            return max(self.lo + self.limit + self.delivery + self.ext, self.floor)
        ahead = [
            self.free_from(max(self.lo + a + self.delivery + self.ext, self.floor), flags)
            for a, c, flags in self.steps
            if c > self.open["colour"]
        ]
        return min(ahead, default=None)

    def free_from(self, t, flags):
        return self.marks.free_from(self.tag, t, flags)

    def colour_at(self, due):
        reached = [
            c
            for a, c, flags in self.steps
            if self.lo + a + self.delivery + self.ext <= due and self.free_from(due, flags) == due
        ]
        return max([self.rule.severity.base.rank, *reached])

    def longest(self, due):
        """Return the colour of the silence's length alone."""
        reached = [c for a, c, _ in self.steps if self.lo + a + self.delivery + self.ext <= due]
        return max([self.rule.severity.base.rank, *reached])


def steps_of(rule, interval):
    """Return the steps of a rule: after how long, to which colour, and which marks keep it away."""
    return [
        (s.after if s.after is not None else int(s.after_intervals * interval), s.to.rank, s.unless_marked or ())
        for s in rule.severity.steps
    ]


def lead(rows, low, high, limit, door):
    """Return the newest row up to `high` to which rows lead from `low` in steps that are not too long, without the time in which our door was closed."""
    between = [low, *(r for r in rows if low < r <= high)]
    holes = [a for a, b in itertools.pairwise(between) if b - a - door.inside(a, b) > limit]
    return holes[0] if holes else between[-1]


class Group:
    """A silence of an area, or of the whole feed (place "")."""

    def __init__(self, rule, order, where, start, lo, members, delivery, raised, uses):
        self.rule, self.order, self.where, self.members = rule, order, where, members
        self.steps = steps_of(rule, min(m.interval for m in members))
        self.lo, self.delivery, self.raised, self.floor = lo, delivery, raised, raised
        self.record = {
            "name": (start, uses), "start": start, "end": None, "retracted": False, "by": None,
        }  # fmt: skip
        self.record["colour"] = self.colour_at(raised)
        self.children = []
        self.release = None

    @property
    def live(self):
        return self.record["end"] is None and not self.record["retracted"]

    @property
    def subject(self):
        return {"area": self.where} if self.where else {}

    def free_from(self, t, flags):
        return min(m.free_from(t, flags) for m in self.members)

    def colour_at(self, due):
        reached = [
            c for a, c, flags in self.steps if self.lo + a + self.delivery <= due and self.free_from(due, flags) == due
        ]
        return max([self.rule.severity.base.rank, *reached])

    def longest(self, due):
        reached = [c for a, c, _ in self.steps if self.lo + a + self.delivery <= due]
        return max([self.rule.severity.base.rank, *reached])

    def due(self):
        if not self.live:
            return None
        ahead = [
            self.free_from(max(self.lo + a + self.delivery, self.floor), flags)
            for a, c, flags in self.steps
            if c > self.record["colour"]
        ]
        return min(ahead, default=None)


class Silences:
    """All silences of a facility."""

    def __init__(self, owner, facility, bundle, places, since):
        self.owner = owner
        self.received = {sensor.tag: since for sensor in facility.sensors}
        self.heard = set()
        self.doors = {sensor.tag: Door(since) for sensor in facility.sensors}
        self.areas = {sensor.tag: sensor.area for sensor in facility.sensors}
        self.tags = [
            Silent(rule, places[rule.id], sensor, facility.delivery, since)
            for sensor in sorted(facility.sensors, key=lambda s: s.tag)
            for rule in bundle.rules
            if isinstance(rule, GapRule)
            and not rule.during
            and (sensor.interval or rule.threshold)
            and matches(rule, facility, facts_of(facility, sensor))
        ]
        for silent in self.tags:
            silent.marks = owner.marks
        self.groups = []
        self.delivery = facility.delivery
        self.changed = since  # when a record, facts or the door last changed what is due

    def dues(self, to):
        for silent in self.tags:
            due = silent.due()
            if due is not None and due <= to:
                yield due, silent.place, 2, (silent.tag, 0), silent
        for group in self.groups:
            for due in (group.release, group.due()):
                if due is not None and due <= to:
                    yield due, group.order, 1 if group.where else 0, (group.where, 1), group
        for rule, order, where in self.all_places():
            due = self.falls_silent(rule, where)
            if due is not None and due <= to:
                yield due, order, 1 if where else 0, (where, 0), (rule, order, where)

    def all_places(self):
        seen = {}
        for m in self.tags:
            for level, where in (("facility", ""), ("area", m.area)):
                if level in m.rule.groups and sum(where in ("", area) for area in self.areas.values()) > 1:
                    seen[m.rule.id, where] = (m.rule, m.place, where)
        return list(seen.values())

    def last_rows(self, where):
        """Return when the last row of a place was received."""
        tags = [tag for tag, area in self.areas.items() if where in ("", area)]
        return max(self.received[tag] for tag in [t for t in tags if t in self.heard] or tags)

    def falls_silent(self, rule, where):
        """Return when a place is silent as a whole, if nothing more comes.

        One of the series that sent last has to be overdue, and nothing of the place to have come for a delivery; for half a
        delivery more, if others were still heard after it.
        """
        for group in self.groups:
            over = group.rule.id == rule.id and group.where in ("", where)
            if over and (group.live or (group.where != where and group.release is not None)):
                return None
        last = self.last_rows(where)
        dues = []
        for m in self.members(rule, where):
            mine = self.received[m.tag]
            if last - mine <= self.delivery:
                quiet = last + self.delivery + (self.delivery // 2 if mine < last else 0) + m.ext
                dues.append(quiet if m.open is not None else max(quiet, m.due()))
        return max(min(dues), self.changed) if dues else None

    def decide(self, due, item):
        if isinstance(item, tuple):
            self.rise(*item, due)
            return
        if isinstance(item, Group):
            if item.release == due:
                self.let_go(item, due)
            else:
                item.record["colour"] = max(item.colour_at(due), item.record["colour"])
                item.floor = due
                self.say_group(item, "stepped", due, due)
            return
        if item.open is not None:
            item.open["colour"], item.floor = max(item.colour_at(due), item.open["colour"]), due
            self.say_tag(item, item.open, "stepped", due, due)
            return
        group = self.active(item.rule, "") or self.active(item.rule, item.area)
        self.open(item, item.colour_at(due), due)
        item.open["raised"] = due
        item.floor = due
        self.say_tag(item, item.open, "raised", due, due)
        if group is not None:
            self.suppress(group, item, due)

    def open(self, item, colour, _due):
        start = item.lo + item.pace
        uses = 1 + sum(o["name"][0] == start for o in item.past)
        item.open = {
            "name": (start, uses), "start": start, "end": None, "retracted": False, "by": None, "colour": colour,
            "lo": None if item.fresh else item.lo, "hole": None, "raised": None, "led": None, "fresh": False,
        }  # fmt: skip
        item.past.append(item.open)

    def rise(self, rule, order, where, due):
        members = self.members(rule, where)
        last = self.last_rows(where)
        begun = []
        for m in members:
            if m.open is None and m.due() > due:
                continue
            missed = m.open["start"] if m.open is not None else m.lo + m.pace
            if last - self.received[m.tag] <= self.delivery or missed > last:
                begun.append((missed, m.lo + m.ext))
        start, lo = min(missed for missed, _ in begun), min(lo for _, lo in begun)
        uses = 1 + sum((g.rule.id, g.where, g.record["name"][0]) == (rule.id, where, start) for g in self.groups)
        group = Group(rule, order, where, start, lo, members, self.delivery, due, uses)
        covered = [m for m in members if m.open is not None and not self.is_under(m.rule, m.open["by"])]
        below = [g for g in self.groups if not where and g.where and g.rule.id == rule.id and g.live]
        self.groups.append(group)
        self.say_group(group, "raised", due, due)
        for lower in below:
            lower.record["by"] = group
            group.children.append(lower.record)
            self.say_group(lower, "suppressed", due, due, by=group)
        for m in covered:
            self.suppress(group, m, due)

    def suppress(self, group, item, due):
        item.open["by"] = group
        group.children.append(item.open)
        self.say_tag(item, item.open, "suppressed", due, due, by=group)

    def let_go(self, group, due):
        group.release = None
        still = {}
        for m in self.members(group.rule, group.where):
            if m.open is not None and m.open["by"] is group:
                still.setdefault(m.area, []).append(m)
        for area in sorted(still):
            silent = still[area]
            whole = None
            if not group.where and (group.rule, group.order, area) in self.all_places():
                whole = self.falls_silent(group.rule, area)
            if whole is not None and whole <= due:
                self.rise(group.rule, group.order, area, due)
                continue
            for m in silent:
                self.release(m, due)

    def release(self, m, due):
        """Let another place of the rule cover a tag; else who speaks is settled once the instant is over."""
        over = self.active(m.rule, "") or self.active(m.rule, m.area)
        if over:
            self.suppress(over, m, due)

    def row(self, tag, t, received, standing, _series):
        """Take notice of a row; returns [(rule order, level, act)]."""
        acts = []
        self.received[tag] = received
        self.heard.add(tag)
        for group in self.groups:
            if group.live and group.where in ("", self.areas[tag]):
                acts.append((group.order, 1 if group.where else 0, lambda g=group: self.end(g, t, received)))
        if standing == "order":
            self.doors[tag].row(t, received)
            acts += [(m.place, 2, lambda m=m: self.in_order(m, t, received)) for m in self.tags if m.tag == tag]
        return acts

    def end(self, group, t, received):
        group.record["end"] = max(t, group.record["start"])
        group.release = received + self.delivery if group.children else None
        self.say_group(group, "cleared", t, received)

    def in_order(self, m, t, received):
        distance = t - m.lo - m.door.row(t, received)
        if m.open is not None:
            if m.fresh:
                m.open["fresh"], m.open["hole"] = True, m.lo
            if m.open["hole"] is None and distance > m.limit:
                m.open["hole"] = max(m.lo, 2)
            elif m.open["fresh"] and m.open["hole"] == m.lo and distance <= m.limit:
                m.open["hole"] = t
            if t + m.limit + m.delivery + m.ext > received:
                m.open["end"] = max(t, m.open["start"])
                kind = "retracted" if m.open["hole"] is None else "cleared"
                m.open["led"] = m.open["hole"]
                m.open["retracted"] = kind == "retracted"
                self.say_tag(m, m.open, kind, t, received)
                m.open = None
        elif not m.fresh and distance > m.limit:
            reached = [c for a, c, flags in m.steps if distance > a and m.free_from(m.lo + a, flags) < t]
            colour = max([m.rule.severity.base.rank, *reached])
            self.open(m, colour, t)
            self.say_tag(m, m.open, "raised", t, received)
            m.open["end"] = t
            self.say_tag(m, m.open, "cleared", t, received)
            m.open = None
        m.fresh, m.lo, m.floor = False, t, received

    def filled(self, tag, series, received, front=None):
        """Return the retractions that late rows of `tag` make; each asks for the event time of the newest.

        Of a silence is kept up to which row no distance was too long, by the limit as it was then; rows are seen while they are in the horizon.
        """
        acts = []
        ring = [row[0] for row in series.ring()]
        for m in self.tags:
            if m.tag != tag:
                continue
            rows = [*(front(m.limit) if front else ()), *ring]
            if m.open is not None and m.open["hole"] is not None:
                led = lead(rows, m.open["hole"], m.lo, m.limit, m.door)
                m.open["hole"] = None if led == m.lo and not m.open["fresh"] else led
            for o in m.past:
                if o["retracted"] or o["end"] is None or o.get("found"):
                    continue
                low = o["start"] - m.pace
                before = max(low, o["led"] or low)
                led = lead(rows, before, o["end"], m.limit, m.door)
                if led == before:
                    continue
                o["led"] = led
                if o["end"] - led - m.door.inside(led, o["end"]) <= m.limit:
                    o["found"] = True
                    acts.append((m.place, lambda t, m=m, o=o: self.retract(m, o, t, received)))
        return acts

    def retract(self, m, o, t, received):
        o["retracted"] = True
        self.say_tag(m, o, "retracted", t, received)

    def settle(self, t, received, _owner):
        for group in sorted(self.groups, key=lambda g: (g.order, g.where)):
            o = group.record
            if (
                not o["retracted"]
                and o["end"] is not None
                and group.children
                and all(c["retracted"] for c in group.children)
            ):
                o["retracted"], group.release = True, None
                self.say_group(group, "retracted", t, received)

    def declared(self, mark, received, marks):
        """Tell of every place that stands silent and is marked as a whole that the mark came."""
        for group in sorted(self.groups, key=lambda g: (g.order, g.where)):
            tags = [tag for tag, area in self.areas.items() if group.where in ("", area)]
            marked = all(marks.names(mark, tag) for tag in tags)
            marked = marked and group.record["start"] <= mark.end and mark.begin <= received
            if group.live and group.record["by"] is None and marked:
                self.say_group(group, "amended", mark.begin, received)

    def marked(self, received):
        """Let no step that a mark kept away fall due before a newer one was there."""
        for m in self.tags:
            m.floor = max(m.floor, received) if m.open is not None else m.floor
        for group in self.groups:
            group.floor = max(group.floor, received)

    def close(self, begin, now):
        """Let no silence fall due inside closed time."""
        for door in [m.door for m in self.tags] + list(self.doors.values()):
            door.close(begin, now)
        for m in self.tags:
            m.floor = now
        for group in self.groups:
            if group.live:
                group.lo += now - begin
                group.floor = now

    def reopen(self, begin, now):
        """Take back what was said inside closed time."""
        for m in sorted(self.tags, key=lambda m: (m.place, m.tag)):
            if m.open is not None and m.open["raised"] is not None and begin < m.open["raised"] <= now:
                m.open["end"], m.open["retracted"] = max(now, m.open["start"]), True
                self.say_tag(m, m.open, "retracted", now, now)
                m.open = None
            elif m.open is not None and m.longest(now) < m.open["colour"]:
                m.open["colour"] = m.longest(now)
                self.say_tag(m, m.open, "stepped", now, now)
            m.floor = now
        for group in sorted(self.groups, key=lambda g: (g.order, g.where)):
            if group.live and begin < group.raised <= now:
                group.record["end"], group.record["retracted"] = max(now, group.record["start"]), True
                self.say_group(group, "retracted", now, now)
            elif group.live and group.longest(now) < group.record["colour"]:
                group.record["colour"] = group.longest(now)
                self.say_group(group, "stepped", now, now)
        self.settle(now, now, None)
        self.free(now)
        self.changed = now

    def free(self, now):
        """Let another place cover what is suppressed by one of its rule that does not stand and is not about to release it."""
        for m in sorted(self.tags, key=lambda m: (m.place, m.tag)):
            by = m.open["by"] if m.open is not None else None
            if isinstance(by, Group) and by.rule.id == m.rule.id and not self.is_under(m.rule, by):
                self.release(m, now)

    def is_under(self, rule, by):
        """Say whether an alarm is suppressed by a place's silence of its own rule, which stands or is about to release it."""
        own = isinstance(by, Group) and by.rule.id == rule.id
        return own and (by.live or by.release is not None)

    def members(self, rule, where):
        return sorted((m for m in self.tags if m.rule.id == rule.id and where in ("", m.area)), key=lambda m: m.tag)

    def active(self, rule, where):
        return next((g for g in self.groups if g.rule.id == rule.id and g.where == where and g.live), None)

    def say_tag(self, m, o, kind, at, received, by=None):
        self.say(m.rule, {"tag": m.tag}, o, kind, at, received, by)

    def say_group(self, group, kind, at, received, by=None):
        self.say(group.rule, group.subject, group.record, kind, at, received, by)

    def say(self, rule, subject, o, kind, at, received, by):
        """Tell a change; what is taken back has the highest colour that was told of it, also one that the door took back."""
        if isinstance(o, dict):
            o["top"] = max(o.get("top", 0), o["colour"])
        colour = o["top"] if kind == "retracted" else o["colour"]
        self.owner.say(
            kind, rule, subject, o["name"], colour, o["start"], o["end"], at, received, by=self.name_of(by),
        )  # fmt: skip

    def name_of(self, group):
        if group is None:
            return None
        from rules.changes import alarm_id

        return alarm_id(group.rule.id, self.owner.name, group.subject, *group.record["name"])
