"""Kind `cumulative`, decided from scratch over all rows of a series: no parts, no sums, spans of time and their overlaps."""

from __future__ import annotations

from dataclasses import dataclass

from tests.rules.oracle import limit
from tests.rules.oracle.limit import Event


@dataclass
class Total:
    """The numbers of a cumulative rule on one series; `single` those of the rule of single events, or None."""

    low: float
    high: float
    inclusive: bool
    total: int
    below: int
    window: int
    base: int
    interval: int
    delivery: int
    unknown_ms: int
    single: limit.Limits | None

    def outside(self, v):
        return (v >= self.high or v <= self.low) if self.inclusive else (v > self.high or v < self.low)


def window_begin(t, window):
    """Return where the window of a row at t begins: with the first 48th part of it that lies inside whole."""
    part = window // 48
    return -((window - t) // part) * part


def overlap(span, begin, end):
    return max(0, min(span[1], end) - max(span[0], begin))


class Singles:
    """The occurrences of the rule of single events: [start, when the row or the clock that ended it came)."""

    def __init__(self, numbers):
        self.run = None if numbers is None else limit.Run(numbers)
        self.found = []

    def clock(self, to):
        if self.run is not None:
            self.run.clock(to)
            self.note()

    def row(self, t, m, v):
        if self.run is not None:
            self.run.row(t, m, v)
            self.note(t)

    def note(self, t=None):
        active = self.run.phase in ("active", "clearing")
        standing = bool(self.found) and self.found[-1][1] is None
        if active and not standing:
            self.found.append([self.run.start, None])
        if standing and not active:
            self.found[-1][1] = t

    def cover(self, t):
        return any(start <= t and (end is None or t < end) for start, end in self.found)


def decide(rule, rows, clock):
    """Return all transitions of rows (t, m, v or None) ordered by event time."""
    events = []
    singles = Singles(rule.single)
    spans = []  # (begin, end, whether the row at its begin lies outside)
    last = None  # newest known row
    before = None
    start = None
    unknown = False
    total = 0

    def tell(kind, at, received, end=None):
        events.append(Event(kind, at, received, start, end, rule.base, total))

    def clock_to(to):
        nonlocal unknown
        if start is not None and not unknown:
            due = max(last[0] + rule.interval + rule.unknown_ms + rule.delivery, before)
            if due <= to:
                unknown = True
                tell("unknown", due, due)

    for t, m, v in rows:
        if before is not None and m > before:
            clock_to(m)
            singles.clock(m)
        before = m
        if v is not None and last is not None and t - last[0] <= 2 * rule.interval:
            spans.append((last[0], t, rule.outside(last[1])))
        singles.row(t, m, v)
        if v is None:
            if start is not None and not unknown and t >= last[0] + rule.interval + rule.unknown_ms:
                unknown = True
                tell("unknown", t, m)
            continue
        last = (t, v)
        begin = window_begin(t, rule.window)
        spans = [span for span in spans if span[1] > begin]
        covered = sum(overlap(span, begin, t) for span in spans)
        total = sum(overlap(span, begin, t) for span in spans if span[2] and not singles.cover(span[0]))
        if covered * 4 < 3 * (t - begin):
            if start is not None and not unknown:
                unknown = True
                tell("unknown", t, m)
            continue
        if start is None:
            if total >= rule.total:
                start = t
                tell("raised", t, m)
            continue
        if unknown:
            unknown = False
            tell("known", t, m)
        if total < rule.below:
            tell("cleared", t, m, t)
            start = None
    if before is not None and clock > before:
        clock_to(clock)
    return events
