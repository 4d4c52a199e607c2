"""Open gaps behind the horizon, from scratch: which rows of them count for which rule, by all rows that ever came (docs/engine-semantics.md, "Open gaps").

Nothing is kept of a state: a watch is asked for what it says of all rows that count for it, with those of a gap and without.
"""

from __future__ import annotations

import itertools

from tests.rules.oracle import jump, limit
from tests.rules.oracle.late import differences, occurrences
from tests.rules.oracle.series import OPEN

GAPS, BEHIND, STORED, WAITING = 4, 128, 1024, 512


class Gap:
    """A distance between two rows of which the later one has left the horizon."""

    def __init__(self, begin, end):
        self.front = begin  # the row before it
        self.begin, self.end = begin, end  # what lies between is open still
        self.rows = []  # what was back-filled of that
        self.off = set()  # rules that could not be decided, and are not any more


def forget(series):
    """Forget what is open: the horizon has ended, or other numbers came."""
    series.gaps, series.passed = [], series.floor


def note(of, tag, series):
    """Note the gaps that the horizon has passed."""
    reach, changed = series.reach, 0
    for watch in of.watches:
        if watch.tag == tag and getattr(watch, "past", ()):
            changed = max(changed, watch.past[-1][0])
    for a, b in itertools.pairwise(series.rows):
        if series.passed < b[0] <= series.floor and b[0] - a[0] > reach and min(a[0], a[1]) >= changed:
            series.gaps = [*series.gaps, Gap(a[0], b[0])][-GAPS:]
    series.passed = max(series.passed, series.floor)


def fill(of, tag, received):
    """Decide the gaps of a series again with the rows that were set aside; returns parts as `decide_late` has them."""
    series = of.series[tag]
    aside, series.outside = series.outside, {}
    note(of, tag, series)
    ring, newest = [row[0] for row in series.rows if row[0] > series.floor], series.rows[-1][0]
    borders = series.floor >= 0 and len(ring) > 1 and ring[0] - series.floor > series.reach
    if borders and any(series.floor < t < ring[0] and newest - t < OPEN for t in aside):
        series.floor = ring[0]
        note(of, tag, series)
    parts, times, latest = [], [], -1
    for gap in list(series.gaps):
        had = [row[0] for row in gap.rows]
        came = [t for t in sorted(aside) if gap.begin < t < gap.end and newest - t < OPEN and t not in had]
        came = taken(series, gap, came)
        if came:
            latest = max(latest, came[-1])
            parts += take(of, tag, gap, {t: aside[t] for t in came}, received, times)
    series.gaps = [gap for gap in series.gaps if gap.end - gap.begin > near(series)]
    if times:
        before = lambda limit: sorted({t for own, run in times for t in own + (run if steps(run) <= limit else [])})  # noqa: E731
        for k, (place, act) in enumerate(of.silences.filled(tag, series, received, before)):
            parts.append((place, tag, k, latest, lambda act=act: act(latest)))
    return [(place, tag, i, at, act) for i, (place, tag, _, at, act) in enumerate(parts)]


def near(series):
    """Return how far apart rows lie between which none is lacking: one interval and a half."""
    return 3 * (series.reach // 2) // 2


def led(series, gap, times):
    """Return how far rows lead from where a gap begins; they wait for a single one that is lacking if few do."""
    for most in (near(series), series.reach):
        to = gap.begin
        for t in sorted(times):
            if t - to > most:
                break
            to = t
        if sum(t > to for t in times) <= WAITING:
            break
    return to


def taken(series, gap, came):
    """Return the rows for which there is room: those that lead on, and of the rest the oldest."""
    had = [row[0] for row in gap.rows]
    to = led(series, gap, had + came)
    spare = max(0, STORED - sum(t > to for t in had))
    return [t for t in came if t <= to] + [t for t in came if t > to][:spare]


def behind(series, gap):
    """Return the event times behind a gap at which states may meet, and whether they are all that have left the horizon."""
    found, times = [], [row[0] for row in series.rows if gap.end <= row[0] <= series.floor]
    for i, t in enumerate(times):
        if (i and t - times[i - 1] > series.reach) or series.how.get(t) == "after" or i == BEHIND:
            return found, False
        found.append(t)
    return found, True


def run_behind(series, gap):
    """Return the event times of the rows behind a gap that hang together and have left the horizon."""
    found = []
    for row in series.rows:
        if gap.end <= row[0] <= series.floor and (not found or row[0] - found[-1] <= series.reach):
            found.append(row[0])
        elif found:
            break
    return found


def steps(times):
    """Return the longest distance between two neighbours of some times."""
    return max((b - a for a, b in itertools.pairwise(times)), default=0)


def take(of, tag, gap, came, received, times):
    """Put rows into a gap and ask each rule whose states meet again."""
    series, begin = of.series[tag], gap.begin
    m = next(row[1] for row in series.rows if row[0] == gap.end)
    for t, (v, q, how) in came.items():
        series.extra[t] = (t, m, v, q)
        if how is not None:
            series.how[t] = how
    rest, whole = behind(series, gap)
    gap.rows = sorted(gap.rows + [series.extra[t] for t in came])
    times.append(([*(row[0] for row in gap.rows), *rest], run_behind(series, gap)))
    parts = []
    for watch in of.watches:
        if (
            watch.tag != tag
            or getattr(watch, "decide", None) not in (limit.decide, jump.decide)
            or watch.rule.id in gap.off
        ):
            continue
        old, new = watch.taken, watch.taken | set(came)
        before = states(watch, series, old, rest)
        after = states(watch, series, new, rest)
        meet = any(a == b for a, b in zip(before, after, strict=True))
        if not meet and not whole:
            gap.off.add(watch.rule.id)
            continue
        told = occurrences(watch.events)
        watch.taken = new
        watch.events = watch.now(series, received)
        now = occurrences(watch.events)
        changed = [one for one in now if one not in told]
        moved = [one[0] for one in told if one not in now]
        said = [one for one in watch.said if one.start in moved]
        for k, found in enumerate(differences(said, changed, begin)):
            act = lambda watch=watch, found=found: of.late(watch, found, max(came), received)  # noqa: E731
            parts.append((watch.place, tag, k, max(came), act))
    gap.begin = led(series, gap, [row[0] for row in gap.rows])
    gap.rows = [row for row in gap.rows if row[0] > gap.begin]
    return parts


def states(watch, series, rows, at):
    """Return what a rule knows behind each of some rows, if those of `rows` count that lie in gaps."""
    kept, watch.taken = watch.taken, rows
    found = {}
    try:
        watch.trace(series, lambda t, run: found.__setitem__(t, known(run)))
        known_rows = [(t, v) for t, _, v in watch.rows(series) if v is not None]
    finally:
        watch.taken = kept
    if watch.decide is not jump.decide:
        return [found[t] for t in at]
    return [(found[t], [row for row in known_rows if row[0] <= t][-1:]) for t in at]


def known(run):
    """Return all that decides what a run says from here on: nothing where it is at rest."""
    if run.phase == "normal":
        return None
    top = max(
        [event.colour for event in run.events if event.start == run.start and event.colour is not None], default=None
    )
    return (
        run.phase, run.start, run.start_m, run.end, run.count, run.clear_count, run.unknown, sorted(run.reached),
        sorted(run.running.items()), run.colour, top, run.last_known, run.value, run.peak,
    )  # fmt: skip
