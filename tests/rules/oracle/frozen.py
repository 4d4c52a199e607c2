"""Kind `frozen`, decided from scratch over all rows of a series."""

from __future__ import annotations

from dataclasses import dataclass

from tests.rules.oracle.limit import Event

HOUR = 3_600_000


@dataclass
class Stillness:
    """The numbers of a frozen rule on one series."""

    identical: int
    span: int
    distinct: int
    base: int
    width: float | None
    expected: int
    interval: int
    delivery: int
    unknown_ms: int


def flat_since(rows, hour, rule):
    """Return the first known hour of the 24 before `hour` if they are too flat, else None; rows are known ones."""
    if rule.width is None:
        return None
    window = [(t // HOUR, v) for t, v in rows if hour - 24 <= t // HOUR < hour]
    values = [v for _, v in window]
    if len(values) >= rule.expected and max(values) - min(values) < rule.width:
        return min(h for h, _ in window)
    return None


def decide(rule, rows, clock):
    """Return all transitions of rows (t, m, v or None) ordered by event time."""
    events = []
    known = []
    run_start = None
    run = moves = 0
    move_start = None
    start = None
    unknown = by_span = False
    before = None

    def clock_to(to):
        nonlocal unknown
        if start is not None and not unknown:
            due = max(known[-1][0] + rule.interval + rule.unknown_ms + rule.delivery, before)
            if due <= to:
                unknown = True
                events.append(Event("unknown", due, due, start, None, rule.base))

    for t, m, v in rows:
        if before is not None and m > before:
            clock_to(m)
        before = m
        if v is None:
            if start is not None and not unknown and t >= known[-1][0] + rule.interval + rule.unknown_ms:
                unknown = True
                events.append(Event("unknown", t, m, start, None, rule.base))
            continue
        if unknown:
            unknown = False
            events.append(Event("known", t, m, start, None, rule.base))
        if known and known[-1][0] // HOUR != t // HOUR:
            flat = flat_since(known, t // HOUR, rule)
            by_span = flat is not None
            if by_span and start is None:
                start = flat * HOUR
                events.append(Event("raised", t, m, start, None, rule.base))
        if not known or t - known[-1][0] > 2 * rule.interval:
            run_start, run, moves = t, 1, 0
            trail = [v]
        elif v == known[-1][1]:
            run, moves = run + 1, 0
            trail = [v]
        else:
            run_start, run = t, 1
            if moves and v != trail[-2]:
                moves += 1
            else:
                moves, move_start = 1, t
            trail.append(v)
        known.append((t, v))
        if start is None:
            if run >= rule.identical and t - run_start >= rule.span:
                start = run_start
                events.append(Event("raised", t, m, start, None, rule.base))
        elif moves >= rule.distinct and not by_span:
            events.append(Event("cleared", t, m, start, move_start, rule.base))
            start = None
    if before is not None and clock > before:
        clock_to(clock)
    return events
