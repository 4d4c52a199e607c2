"""Kind `limit`, decided from scratch over all rows of a series."""

from __future__ import annotations

from dataclasses import dataclass, field

INFINITY = float("inf")
NOT_DUE = 1 << 62


@dataclass
class Event:
    """One transition: what, when decided (event and receive time), of which occurrence, in what colour."""

    kind: str
    at: int
    received: int
    start: int
    end: int | None
    colour: int
    value: float | None = None
    """The known value that decided, and the one farthest outside so far (limits only)."""
    peak: float | None = None


@dataclass
class Limits:
    """The numbers of a limit rule on one series."""

    low: float
    high: float
    deadband: float
    inclusive: bool
    opens: int
    on_delay: int
    clears: int
    off_delay: int
    base: int
    steps: list[tuple[str, float | int | tuple[float, float], int, int]]  # (after|beyond, what, for, colour)
    interval: int
    delivery: int
    unknown_ms: int
    counted: frozenset[int] | set[int] = frozenset()
    """Steps that want two records: the clock alone, behind the first, does not reach them."""

    def outside(self, v, low=None, high=None):
        low = self.low if low is None else low
        high = self.high if high is None else high
        return (v >= high or v <= low) if self.inclusive else (v > high or v < low)

    def inside(self, v, low=None, high=None):
        low = self.low if low is None else low
        high = self.high if high is None else high
        return not self.outside(v, low, high) and v <= high - self.deadband and v >= low + self.deadband


@dataclass
class Run:
    """A pass over the rows; `known` rows are (t, m, v), others (t, m, None)."""

    limits: Limits
    events: list[Event] = field(default_factory=list)

    def __post_init__(self):
        self.floor = -1  # when its numbers were changed: what they make due is never due before
        self.normal()
        self.last_known = None
        self.newest = None
        self.newest_m = None
        self.value = self.peak = None

    def normal(self):
        self.phase = "normal"
        self.start = self.start_m = self.end = None
        self.count = self.clear_count = 0
        self.unknown = False
        self.reached = set()
        self.running = {}
        self.colour = None

    def paint(self):
        return max([self.limits.base, *(self.limits.steps[k][3] for k in self.reached)])

    def tell(self, kind, at, received, end=None):
        self.events.append(Event(kind, at, received, self.start, end, self.colour, self.value, self.peak))

    def adopt(self, limits, floor=-1):
        """Go on with other numbers."""
        if limits.steps != self.limits.steps or limits.counted != self.limits.counted:
            self.reached, self.running = set(), {}
        self.limits, self.floor = limits, floor

    def farther(self, v):
        """Keep the value that lies farthest outside the limits."""
        numbers = self.limits
        self.peak = max(self.peak, v, key=lambda x: max(x - numbers.high, numbers.low - x))

    def clock_dues(self):
        """Yield (due, what) of everything the clock could decide now."""
        numbers = self.limits
        if self.phase == "normal":
            return
        overdue = self.newest + 2 * numbers.interval + numbers.delivery
        if self.phase == "pending" and numbers.on_delay and self.count >= numbers.opens and self.newest == self.start:
            due = max(self.start_m + numbers.on_delay, self.newest_m)
            if due <= overdue:
                yield due, "open"
        for k, (kind, what, wait, _) in enumerate(numbers.steps):
            if k in self.reached:
                continue
            due = NOT_DUE
            if kind == "after" and self.newest == self.start:
                due = self.start_m + what
            if (
                kind == "beyond"
                and k not in numbers.counted
                and k in self.running
                and self.newest == self.running[k][0]
            ):
                due = self.running[k][1] + wait
            due = max(due, self.newest_m)
            if due <= overdue:
                yield due, k
        if self.phase in ("active", "clearing") and not self.unknown:
            yield (
                max(self.last_known + numbers.interval + numbers.unknown_ms + numbers.delivery, self.newest_m),
                "unknown",
            )

    def clock(self, to):
        while True:
            dues = [(max(due, self.floor), what) for due, what in self.clock_dues()]
            due = min((d for d, _ in dues), default=NOT_DUE)
            if due > to:
                return
            what = {w for d, w in dues if d == due}
            self.reached |= {w for w in what if isinstance(w, int)}
            if "open" in what:
                self.phase = "active"
                self.colour = self.paint()
                self.tell("raised", due, due)
            elif self.phase in ("active", "clearing") and self.paint() != self.colour:
                self.colour = self.paint()
                self.tell("stepped", due, due)
            if "unknown" in what:
                self.unknown = True
                self.tell("unknown", due, due)

    def steps(self, t, m, v):
        numbers = self.limits
        for k, (kind, what, wait, _) in enumerate(numbers.steps):
            if kind == "after":
                if t - self.start >= what:
                    self.reached.add(k)
            elif numbers.outside(v, *what):
                self.running.setdefault(k, (t, m))
                if t - self.running[k][0] >= wait:
                    self.reached.add(k)
            elif k in self.reached:
                if numbers.inside(v, *what):
                    self.reached.discard(k)
                    self.running.pop(k, None)
            else:
                self.running.pop(k, None)

    def row(self, t, m, v):
        numbers = self.limits
        self.newest, self.newest_m = t, m
        if v is None:
            if (
                self.phase in ("active", "clearing")
                and not self.unknown
                and t >= self.last_known + numbers.interval + numbers.unknown_ms
            ):
                self.unknown = True
                self.tell("unknown", t, m)
            return
        if self.last_known is not None and t - self.last_known > 2 * numbers.interval:
            if self.phase == "pending":
                self.normal()
            elif self.phase == "clearing":
                self.phase, self.clear_count = "active", 0
            self.running = {k: r for k, r in self.running.items() if k in self.reached}
        self.last_known, self.value = t, v
        if self.unknown:
            self.unknown = False
            self.tell("known", t, m)
        if self.phase in ("normal", "pending"):
            if not numbers.outside(v):
                if self.phase == "pending":
                    self.normal()
                return
            if self.phase == "normal":
                self.phase, self.start, self.start_m, self.peak = "pending", t, m, v
            self.count += 1
            self.farther(v)
            self.steps(t, m, v)
            if self.count >= numbers.opens and t - self.start >= numbers.on_delay:
                self.phase = "active"
                self.colour = self.paint()
                self.tell("raised", t, m)
            return
        self.steps(t, m, v)
        cleared = False
        if numbers.inside(v):
            if self.phase == "active":
                self.phase, self.end, self.clear_count = "clearing", t, 0
            self.clear_count += 1
            cleared = self.clear_count >= numbers.clears and t - self.end >= numbers.off_delay
        else:
            self.phase, self.clear_count = "active", 0
            self.farther(v)
        if self.paint() != self.colour:
            self.colour = self.paint()
            self.tell("stepped", t, m)
        if cleared:
            self.tell("cleared", t, m, self.end)
            self.normal()


def decide(limits, rows, clock):
    """Return all transitions of rows ordered by event time; clock is the facility's now."""
    return go_on(Run(limits), rows, clock).events


def go_on(run, rows, clock):
    """Let a pass go on over more rows and up to the clock; returns it."""
    before = run.newest_m
    for t, m, v in rows:
        if before is not None and m > before:
            run.clock(m)
        run.row(t, m, v)
        before = m
    if before is not None and clock is not None and clock > before:
        run.clock(clock)
    return run
