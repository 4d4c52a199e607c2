"""What a firm declares, in plain words: every mark that came is kept, and every row is asked anew what covers it."""

from __future__ import annotations

from itertools import pairwise

from rules.rule import CumulativeRule, MeanKineticRule
from tests.rules.oracle import absence
from tests.rules.oracle.late import differences, occurrences
from tests.rules.oracle.trips import MONTH, standing

DAY = 86_400_000
ROWS = ("maintenance", "calibration", "fault", "stopped", "set_value")
FOREVER = 1 << 62


class Mark:
    def __init__(self, payload, received):
        self.id, self.revision, self.tags, self.area = payload.id, payload.revision, payload.tags, payload.area
        self.flag, self.begin, self.received = payload.flag, payload.from_, received
        self.end = FOREVER if payload.to is None else payload.to
        self.timely = received - self.begin <= DAY

    def covers(self, t):
        return self.begin <= t <= self.end


class Marks:
    """The marks of a facility, and what each row was marked by."""

    def __init__(self, owner):
        self.owner = owner
        self.by_id = {}

    def stood(self, tag, t):
        """Say in which area a sensor stood: an entry of the newest register with `from` says so from then on, one without it from the receipt."""
        area = None
        for received, facility in reversed(self.owner.versions):
            entries = sorted((s for s in facility.sensors if s.tag == tag), key=lambda s: s.from_ or 0)
            dated = [s for s in entries if s.from_ is not None and s.from_ <= t]
            if not entries:
                break
            if dated or t >= received:
                return (dated or entries)[-1].area
            area = entries[0].area
        return area

    def moves(self, tag):
        """Instants at which a sensor may have come to stand elsewhere."""
        dated = {s.from_ for _, facility in self.owner.versions for s in facility.sensors if s.tag == tag and s.from_}
        return dated | {received for received, _ in self.owner.versions}

    def about(self, m, tag, t):
        """Say whether a mark is about a series at an instant."""
        return tag in m.tags if m.tags else m.area == self.stood(tag, t)

    def of(self, tag, flags, t):
        """The marks that cover a series at an instant."""
        return [m for m in self.by_id.values() if m.flag in flags and m.covers(t) and self.about(m, tag, t)]

    def times(self, tag, flags):
        """The spans of a series that marks with some flags take, cut where its sensor may have moved."""
        found = []
        for m in self.by_id.values():
            cuts = sorted({m.begin, m.end, *(t for t in self.moves(tag) if m.begin < t < m.end)})
            pieces = pairwise(cuts)
            found += [(a, b) for a, b in pieces if m.flag in flags and self.about(m, tag, a)]
        return found

    def free_from(self, tag, t, flags):
        """Return the first instant from `t` on that no mark with one of the flags covers."""
        while ends := [m.end for m in self.of(tag, flags, t)]:
            t = max(ends) + 1
        return t

    def came(self, tag, t):
        """Say how a row is marked that comes now."""
        flags = {m.flag for m in self.of(tag, ROWS, t)}
        return ("set" if "set_value" in flags else "came") if flags else None

    def take(self, payload, received):
        owner, before = self.owner, self.by_id.get(payload.id)
        if before is not None and payload.revision <= before.revision:
            return
        mark = self.by_id[payload.id] = Mark(payload, received)
        if owner.silences is None:
            return
        owner.decide_late(owner.waiting(), received)
        for pair in sorted(owner.pairs, key=lambda p: (p.place, p.name)):
            if pair.waits is not None:
                pair.decide(pair.waits, received, owner)
        owner.silences.marked(received)
        for quiet in sorted(owner.quiets, key=lambda q: (q.place, q.tag)):
            if quiet.waits is not None:
                quiet.judge(received)
        owner.rare.tell_all_late()
        if mark.timely:
            self.amend(mark, received)
        self.again(mark, before, received)

    def names(self, mark, tag):
        return mark is not None and self.about(mark, tag, self.owner.clock)

    def amend(self, mark, received):
        """Tell of every alarm that stands in the marked time that the mark came."""
        owner, found = self.owner, []
        for watch in [*owner.watches, *owner.pairs]:
            tags = getattr(watch, "tags", None) or [watch.tag]
            if not self.skips(watch) or not any(self.names(mark, tag) for tag in tags):
                continue
            if isinstance(watch.rule, MeanKineticRule):
                continue
            floor = watch.floor if hasattr(watch, "floor") else owner.series[watch.tag].floor
            ends = {(o[0], o[1]): o[5] for o in occurrences(watch.events)}
            back = 0
            if isinstance(watch.rule, CumulativeRule):
                back = MONTH if watch.rule.during else watch.rule.window
            for said in standing(watch):
                inside = said.end is None or ends.get((said.start, said.end), -1) > floor
                end = received if said.end is None else said.end
                if not said.retracted and inside and said.start - back <= mark.end and mark.begin <= end:
                    found.append((watch.place, watch.name, len(found), watch, said))
        for silent in owner.silences.tags:
            said = silent.open
            if (
                said is not None
                and said["by"] is None
                and self.names(mark, silent.tag)
                and said["start"] <= mark.end
                and mark.begin <= received
            ):
                found.append((silent.place, silent.tag, len(found), silent, said))
        for quiet in owner.quiets:
            for said in quiet.said:
                open_here = said.end is None and not said.retracted and said.by is None
                if open_here and self.names(mark, quiet.tag) and said.start <= mark.end and mark.begin <= received:
                    found.append((quiet.place, quiet.tag, len(found), quiet, said))
        for _, _, _, item, said in sorted(found, key=lambda f: f[:3]):
            if isinstance(said, dict):
                owner.silences.say_tag(item, said, "amended", mark.begin, received)
                continue
            colour = said.colour if said.end is None else said.top
            owner.say("amended", item.rule, item.subject, said.name, colour, said.start, said.end, mark.begin, received)
        owner.silences.declared(mark, received, self)

    def skips(self, watch):
        return watch.skips and watch.rule.marked == "skip"

    def again(self, mark, before, received):
        """Mark the rows of the horizon, and decide again what may count them differently."""
        owner, moved, first = self.owner, {}, {}
        for tag, series in sorted(owner.series.items()):
            turned = [
                t for t, _, _, q in series.rows if t > series.floor and self.turn(series.how, t, q, tag, mark, before)
            ]
            if turned:
                moved[tag] = turned
                absence.arm(owner, received, tag=tag)
                for watch in owner.watches:
                    if watch.tag == tag:
                        watch.stands -= set(turned)
                        self.stand(watch, [t for t in turned if series.how.get(t) == "after"])
        for pair in owner.pairs:
            for which, tag in enumerate(pair.tags):
                how = pair.how[which]
                turned = [
                    t for t, _, _, q in pair.rows[which] if t > pair.floor and self.turn(how, t, q, tag, mark, before)
                ]
                if turned:
                    first[pair] = min([*turned, first.get(pair, turned[0])])
                    pair.stands -= {(which, t) for t in turned}
                    self.stand(pair, [(which, t) for t in turned if how.get(t) == "after"])
        parts = []
        for tag, times in moved.items():
            for watch in owner.watches:
                if watch.tag == tag:
                    events = watch.now(owner.series[tag], received)
                    for k, found in enumerate(
                        differences(standing(watch), occurrences(events), owner.series[tag].floor)
                    ):
                        parts.append((watch.place, tag, k, max(times), watch, found))
                    watch.events = events
        for _, _, _, at, watch, found in sorted(parts, key=lambda part: part[:3]):
            owner.late(watch, found, at, received, late=False)
        for pair, earliest in sorted(first.items(), key=lambda entry: (entry[0].place, entry[0].name)):
            events = pair.now(received)
            for found in differences(pair.said, occurrences(events)):
                owner.late(pair, found, earliest, received, late=False)
            pair.events = events

    def turn(self, how, t, q, tag, mark, before):
        """Mark one row that was folded, or take the mark from it; says whether it counts differently."""
        if q not in (0, 2) or not (self.names(mark, tag) or self.names(before, tag)):
            return False
        if how.get(t) is None and self.names(mark, tag) and mark.flag in ROWS and mark.timely and mark.covers(t):
            how[t] = "after"
            return True
        was = before is not None and self.names(before, tag) and before.flag in ROWS and before.covers(t)
        if how.get(t) is not None and was and not self.of(tag, ROWS, t):
            del how[t]
            return True
        return False

    def stand(self, watch, rows):
        """Let rows count as they were folded of which a rule had told something, or of what lies behind them."""
        if not rows or not self.skips(watch):
            return
        ends = {(o[0], o[1]): o[5] for o in occurrences(watch.events)}
        told = [said for said in standing(watch) if not said.retracted]
        last = max((FOREVER if said.end is None else ends.get((said.start, said.end), -1) for said in told), default=-1)
        watch.stands |= {row for row in rows if (row[1] if isinstance(row, tuple) else row) <= last}
