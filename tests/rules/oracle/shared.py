"""A login that is shared, plainly: all events of a subject are kept, and each instant is asked what stood before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

HOUR = 3_600_000


@dataclass
class Login:
    """What came of one subject: (event time, text), and up to when all is done with."""

    events: list = field(default_factory=list)
    floor: int = -1
    last: int = -1
    """The newest instant that ever counted since an alarm stands."""

    @property
    def newest(self):
        return max([self.floor, *(t for t, _ in self.events)])

    def put(self, rule, t, text):
        """Take an event; False: it is too old to be judged."""
        edge = max(self.newest, t) - rule.occasions.over - 2 * HOUR
        if t <= self.floor or t + rule.within <= edge:
            return False
        self.events.append((t, text))
        return True

    def done(self):
        self.floor, self.events, self.last = self.newest, [], -1

    def forget(self):
        self.floor, self.events, self.last = -1, [], -1

    def holds(self, rule, at):
        """Whether enough different texts stand in the time before an instant."""
        edge = self.newest - rule.occasions.over - 2 * HOUR
        texts = {text for t, text in self.events if at - rule.within <= t <= at}
        return edge < at <= self.newest and len(texts) >= rule.n

    def spans(self, rule):
        """The instants at which it holds: it can begin at an event, and end where one is too old or nothing is known."""
        edge = self.newest - rule.occasions.over - 2 * HOUR
        turns = {t for t, _ in self.events} | {t + rule.within + 1 for t, _ in self.events}
        turns = sorted({edge + 1, self.newest + 1} | {t for t in turns if edge < t <= self.newest})
        return [(a, b - 1) for a, b in pairwise(turns) if self.holds(rule, a)]

    def often(self, rule, spans, at):
        """How many of these instants, the earliest first, lie apart, up to one that is the last."""
        often, many = rule.occasions, 0
        wanted = at - often.over
        for begin, end in spans:
            while max(begin, wanted) <= min(end, at - often.apart - 1):
                many, wanted = many + 1, max(begin, wanted) + often.apart + 1
        return many + 1

    def reached(self, rule):
        """The earliest instant with which it was often enough."""
        spans, often = self.spans(rule), rule.occasions
        for at in sorted({a + i * (often.apart + 1) for a, _ in spans for i in range(often.times)}):
            if self.holds(rule, at) and self.often(rule, spans, at) >= often.times:
                return at
        return None
