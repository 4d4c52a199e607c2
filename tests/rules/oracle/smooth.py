"""Kind `limit` with `smooth`, decided from scratch over all rows of a series: the window of each row is looked up among them, by fractions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from itertools import count

from tests.rules.oracle.limit import Event


@dataclass
class Means:
    """The numbers of a smoothed rule on one series; `early` is (records, of, particles, colour) or None."""

    high: float
    inclusive: bool
    volume: Fraction
    sample: Fraction
    early: tuple[int, int, int, int] | None
    clears: int
    base: int
    interval: int
    delivery: int
    unknown_ms: int

    @cached_property
    def records(self):
        """Return how many records together sample the volume."""
        return next(n for n in count(1) if n * self.sample >= self.volume)

    @cached_property
    def limit(self):
        return Fraction(repr(self.high)) * 10**6

    @cached_property
    def one(self):
        """Return from which concentration on a record counts for the milder colour."""
        return (self.early[2] - Fraction(1, 2)) / self.sample * 10**6

    def outside(self, mean):
        """Say whether a mean, in millionths, lies outside; unknown of none."""
        if mean is None:
            return None
        return mean >= self.limit if self.inclusive else mean > self.limit


@cache
def millionths(value):
    """Return a concentration as it is kept: in whole millionths, halves upward, at most a thousand million."""
    return int((min(Fraction(value), 10**9) * 10**6 + Fraction(1, 2)) // 1)


def decide(rule, rows, clock):
    """Return all transitions of rows (t, m, v or None) ordered by event time."""
    events = []
    rows = [(t, m, None if v is None or v < 0 else millionths(v)) for t, m, v in rows]
    start = decided = before = None
    since = -1  # records up to this time begin no other occurrence
    unknown = False
    colour = peak = mean = None
    run = []  # what the decisions were since the raise, or since the newest interruption: outside, hint or inside

    def tell(kind, at, received, end=None):
        value, highest = (None if one is None else float(one / 10**6) for one in (mean, peak))
        events.append(Event(kind, at, received, start, end, colour, value, highest))

    def clock_to(to):
        nonlocal unknown
        if start is not None and not unknown:
            due = max(decided + rule.interval + rule.unknown_ms + rule.delivery, before)
            if due <= to:
                unknown = True
                tell("unknown", due, due)

    def undecided(t, m):
        nonlocal unknown
        if start is not None and not unknown and t >= decided + rule.interval + rule.unknown_ms:
            unknown = True
            tell("unknown", t, m)

    sampled = []  # (t, v) of the records that nothing interrupts
    for t, m, v in rows:
        if before is not None and m > before:
            clock_to(m)
        before = m
        if v is None:
            sampled, mean, run = [], None, []
            undecided(t, m)
            continue
        if sampled and t - sampled[-1][0] > 2 * rule.interval:
            sampled, run = [], []
        sampled.append((t, v))
        newest = sampled[-rule.records :]
        mean = Fraction(sum(v for _, v in newest), rule.records) if len(newest) == rule.records else None
        outside = rule.outside(mean)
        hits = []
        if rule.early is not None:
            hits = [s for s, v in sampled[-rule.early[1] :] if s > since and v >= rule.one]
        hint = rule.early is not None and len(hits) >= rule.early[0]
        if outside is None and not hint:
            undecided(t, m)
            continue
        if start is None:
            if not outside and not hint:
                continue
            start, decided, run = (hits[0] if hint else t), t, []
            colour = rule.base if outside else rule.early[3]
            peak = mean
            tell("raised", t, m)
            continue
        decided = t
        if mean is not None and (peak is None or mean > peak):
            peak = mean
        if unknown:
            unknown = False
            tell("known", t, m)
        run.append("unknown" if outside is None else "outside" if outside else "hint" if hint else "inside")
        last = run[-rule.clears :]
        calm = len(last) == rule.clears and not {"outside", "unknown"} & set(last)
        was = colour
        if outside:
            colour = rule.base
        elif hint and calm:
            colour = rule.early[3]
        if colour != was:
            tell("stepped", t, m)
        if calm and set(last) == {"inside"}:
            since = sampled[-rule.clears][0]
            tell("cleared", t, m, since)
            start = None
    if before is not None and clock is not None and clock > before:
        clock_to(clock)
    return events
