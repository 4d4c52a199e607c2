"""All rows of a tag, and which of them lie inside the horizon, in the words of docs/engine-semantics.md ("Rows of a series")."""

from __future__ import annotations

import math
from collections import Counter

from rules.layout import REACH

HORIZON = 2 * 3_600_000
OPEN = 10 * 24 * 3_600_000
MOST = 65_536
"""Late rows of one receive instant that are decided together, at most."""


def away(times, t, reach):
    """Return how far an instant lies behind the newest of some times, where a hole counts `reach` at most.

    Args:
        times: in order, the newest last.
        t: the instant, not newer than that.
        reach: what a hole counts at most, ms.
    """
    far, before = 0, times[-1]
    for other in reversed(times):
        if other <= t or far >= HORIZON:
            break
        far, before = far + min(before - other, reach), other
    return far + min(before - t, reach)


def inside(times, t, reach):
    """Say whether an instant lies inside the horizon of the newest of some times."""
    return times[-1] - t < HORIZON or (away(times, t, reach) < HORIZON and times[-1] - t < OPEN)


def marked(how, q, stands):
    """Return the quality of a row that is marked so; of one that `stands`, as if no mark had come behind it."""
    if how is None or q not in (0, 2) or (how == "after" and stands):
        return q
    return 5 if how == "set" else 3


class Series:
    """All rows of a tag that were folded, by event time."""

    def __init__(self, interval):
        self.rows = []
        self.floor = -1  # the newest row that has left
        self.reach = REACH * interval
        self.counts = Counter()
        self.how = {}  # event time -> how a good row is marked: it came so, it was set, or marked after it came
        self.held = []  # (t, v, quality, how it is marked) of late rows that are not in their places yet
        self.waits = []  # event times of late rows in their places that are not decided yet
        self.outside = {}  # event time -> (v, quality, how it is marked) of rows that are too old, and may lie in an open gap
        self.extra = {}  # event time -> row that some rule counts in one
        self.gaps, self.passed = (
            [],
            -1,
        )  # those behind the horizon (tests/rules/oracle/opengaps.py), looked for up to here
        self.moved = []  # (where the horizon began, event time) of events that said something new of its state, not decided yet
        rows = -(-HORIZON // interval) * 5 // 4 + 8
        self.cap = max(64, min(1024, rows))

    def admit(self, t, v, received):
        """Say what becomes of a row: future, order, late, duplicate, conflict or stale."""
        if t > received + 300_000:
            return "future"
        if not self.rows or t > self.rows[-1][0]:
            return "order"
        if t <= self.floor or not self.holds(t):
            return "stale"
        kept = self.ring()
        for at, _, before, _ in self.every():
            if at == t:
                same = before == v or (math.isnan(before) and math.isnan(v))
                return "duplicate" if same else "conflict"
        if len(kept) >= self.cap and t < kept[0][0]:
            return "stale"
        return "late"

    def holds(self, t):
        return inside([row[0] for row in self.rows], t, self.reach)

    def ring(self):
        """Return the rows inside the horizon."""
        times = [row[0] for row in self.rows]
        first = next(i for i, t in enumerate(times) if t > self.floor and inside(times, t, self.reach))
        return self.rows[max(first, len(times) - self.cap) :]

    @property
    def is_waiting(self):
        return bool(self.held or self.waits or self.moved or self.outside)

    def every(self):
        """Return all rows, those too that are not in their places yet."""
        like = self.like()
        for t, v, q, _ in self.held:
            like.put(t, None, v, q)
        return like.rows

    def like(self):
        like = Series.__new__(Series)
        like.rows, like.floor, like.reach, like.cap, like.held = list(self.rows), self.floor, self.reach, self.cap, []
        return like

    def order_decides(self, t, received, v, q, *, earlier=False):
        """Say whether what waits is to be decided before a row in order: also if that row would make one stale.

        One that is judged by numbers of before waits itself, as long as none before it would leave the horizon.
        """
        if earlier and not self.moved:
            if self.first_decide(t, received, v, q):
                return True
        elif self.waits or self.moved:
            return True
        if not self.held:
            return False
        like = self.like()
        like.insert(t, received, v, q)
        return any(like.admit(at, value, received) == "stale" for at, value, _, _ in self.held)

    def first_decide(self, t, received, v, q):
        """Say whether the late rows that wait are to be decided first: the horizon would move past the earliest."""
        if not self.waits and not self.moved:
            return False
        like = self.like()
        like.insert(t, received, v, q)
        return like.floor >= min([*self.waits, *(edge for edge, _ in self.moved)])

    def insert(self, t, received, v, q):
        """Put a row into its place, and see which rows leave the horizon by it."""
        if self.rows and t < self.rows[-1][0] and len(self.ring()) >= self.cap:
            self.floor = self.ring()[0][0]
        self.put(t, received, v, q)
        self.floor = max([self.floor, *(row[0] for row in self.rows[: -len(self.ring())])])

    def put(self, t, received, v, q):
        behind = next((i for i, row in enumerate(self.rows) if row[0] > t), None)
        if behind is None:
            self.rows.append((t, received, v, q))
        else:
            self.rows.insert(behind, (t, self.rows[behind][1], v, q))
