"""Pairs whose limits, rooms or sensors change while data are late: an instant is judged by what was in force then (ADR 0086)."""

from __future__ import annotations

from tests.rules.oracle import difference, limit
from tests.rules.oracle.late import differences, occurrences


class SplitPair(difference.Pair):
    """A pair that was judged otherwise before: `was` is [(until, floor, the pair as it was)], oldest first; rows stand by tag."""

    def __init__(self, old, new):
        for name, value in vars(new).items():
            setattr(self, name, value)
        self.was = list(getattr(old, "was", ()))
        self.floor, self.seen, self.waits = old.floor, old.seen, None
        self.events, self.said = old.events, old.said
        self.all = old.all if isinstance(old, SplitPair) else dict(zip(old.tags, old.rows, strict=True))
        self.waiting = []

    def behind(self, t, m):
        """Return how many of what it was had ended at an instant."""
        return sum(until <= min(t, m) for until, _, _ in self.was)

    def judge(self, k):
        return self.was[k][2] if k < len(self.was) else self

    def receive(self, tag, t, v, q, received, how, *, late):
        assert how is None, "no marks here"
        k = self.behind(t, received)
        if t > self.floor and tag in self.judge(k).tags:
            self.waits = received
            self.waiting.append((tag, t, received, v, q, late or k < len(self.was)))

    def rows_of(self):
        return sorted((t, m, tag, v, q) for tag, rows in self.all.items() for t, m, v, q in rows)

    def instants(self):
        """Return (t, m, difference or None, by how many of what it was it is not judged) of every event time, oldest first."""
        rows, found, held, had = self.rows_of(), [], {}, 0
        for t in sorted({row[0] for row in rows}):
            m = min(row[1] for row in rows if row[0] >= t)
            k = self.behind(t, m)
            pair = self.judge(k)
            here = [row for row in rows if row[0] == t and row[2] in pair.tags]
            if not here:
                continue
            for j in range(had, k):
                old, new = self.judge(j).tags, self.judge(j + 1).tags
                held = {which: row for which, row in held.items() if old[which : which + 1] == new[which : which + 1]}
            had = k
            fresh = False
            for _, _, tag, v, q in here:
                which = pair.tags.index(tag)
                if pair.known(which, v, q):
                    held[which], fresh = (t, v), True
            wanted = range(len(pair.tags))
            known = fresh and all(
                which in held and (len(wanted) == 1 or t - held[which][0] <= pair.max_age) for which in wanted
            )
            value = pair.value(*(held[which][1] for which in wanted)) if known else None
            came = m if k == len(self.was) else min(m, self.was[k][0] - 1)  # the latter: when that had ended
            found.append((t, came, value, k))
        return found

    def now(self, clock):
        run, had, before = limit.Run(self.judge(0).numbers), 0, None
        for t, m, value, k in self.instants():
            self.turn(run, had, k, before)
            had = k
            if before is not None and m > before:
                run.clock(m)
            run.row(t, m, value)
            before = m
        self.turn(run, had, len(self.was), before)
        if before is not None and clock > before:
            run.clock(clock)
        return run.events

    def turn(self, run, had, to, before):
        """Go on to what followed: first what was due with what ends."""
        for k in range(had, to):
            until, floor, _ = self.was[k]
            if before is not None and until - 1 > before and (k == 0 or until > self.was[k - 1][0]):
                run.clock(until - 1)
            run.adopt(self.judge(k + 1).numbers, floor)

    def decide(self, at, to, facility):
        if self.waits is None:
            super().decide(at, to, facility)
            return
        assert at == self.waits
        first, late = min(row[1] for row in self.waiting), any(row[5] for row in self.waiting)
        for tag, t, m, v, q, _ in self.waiting:
            self.all.setdefault(tag, []).append((t, m, v, q))
        self.waiting, self.waits = [], None
        seen, events, instants = self.seen, self.now(at), self.instants()
        if first > seen and all(k == len(self.was) for t, _, _, k in instants if t > seen):
            for event in events[len(self.events) :]:
                facility.publish(self, event)
        else:
            for found in differences(self.said, occurrences(events)):
                facility.late(self, found, first, at, late=late)
        self.events = events
        self.seen = max([seen, *(row[0] for row in instants)])
        self.leave()

    def leave(self):
        rows = {tag: sorted(row[0] for row in found if row[0] > self.floor) for tag, found in self.all.items()}
        times = sorted({t for found in rows.values() for t in found})
        edge = max([self.floor, *(t for t in times if not self.holds(times, t))])
        for tag, found in rows.items():
            pair = next(one for one in [self, *(one for _, _, one in reversed(self.was))] if tag in one.tags)
            kept = [t for t in found if t > edge][-pair.caps[pair.tags.index(tag)] :]
            self.floor = max([self.floor, *(t for t in found if t not in kept)])


def said_by(pair):
    """Return what decides: equal answers decide equal rows alike."""
    return (pair.tags, pair.sign, pair.caps, pair.reach, pair.steps, pair.max_age, pair.numbers, pair.ranges)


def adopt(of, facility, now, begins):
    """Let the pairs of a register come into force, of which facts may be others.

    Args:
        of: the oracle's facility; nothing of it waits.
        facility: the register, with the sensors that are in force now.
        now: the clock.
        begins: the first instant that these judge.
    """
    pairs = {(pair.rule.id, pair.name): pair for pair in difference.pairs(of.bundle, facility, of.ranges, now)}
    found = {(pair.rule.id, pair.name): pair for pair in of.pairs}
    for key, pair in found.items():
        if key not in pairs:
            end(of, pair, now)
            newest = max(pair.seen, pair.floor)
            if newest >= 0:
                of.ended[key] = newest
    of.pairs = []
    for key, new in pairs.items():
        old = found.get(key)
        if old is None:
            new.floor = max(begins - 1, of.ended.pop(key, -1))
            of.pairs.append(SplitPair(new, new))
        elif said_by(old) == said_by(new):
            of.pairs.append(old)
        else:
            split = SplitPair(old, new)
            split.was.append((begins, now, old))
            of.pairs.append(split)


def end(of, pair, now):
    """Tell that what stands of a pair is no longer watched."""
    for said in pair.said:
        if said.end is None and not said.retracted:
            said.end, said.unknown = max(now, said.start), False
            of.say("cleared", pair.rule, pair.subject, said.name, said.colour, said.start, said.end, now, now)


def area_borders(facility):
    """Return the instants at which facts of areas come into force."""
    return [] if facility is None else [area.from_ for area in facility.areas if area.from_]
