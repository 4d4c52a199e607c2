"""The leaves of a `limit` rule that holds only during a declared state, row by row."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from rules.changes import Verdict
from rules.instants import format_duration, format_instant
from rules.kinds.during import SPANS
from rules.leaves.limit import counts, excluding, sides
from rules.leaves.model import ALL, TWO, Leaf, Moment, Seen, Standing, both, verdict
from rules.records import QUALITY_NAMES
from rules.wording_during import STATES

if TYPE_CHECKING:
    from rules.leaves.limit import LimitNumbers
    from rules.leaves.model import Row, See
    from rules.pack import Bundle
    from rules.register import Sensor
    from rules.rule import LimitRule

Spans: TypeAlias = list[tuple[int, int]]


def leaves_of(rule: LimitRule, bundle: Bundle) -> list[Leaf]:
    """Return the leaves that the rule has, in the order of its condition."""
    state, on, opens = STATES[rule.during or "trip"], format_duration(rule.when.on_delay), rule.when.consecutive
    low, high = sides(rule, bundle)
    candidates = [
        (True, "under_way", f"the area was {state[0]} at that time, as far as it was declared", f"该时刻该区域处于{state[1]}（据申报）"),
        (True, "reading", "the reading counts: a value of a quality that counts", "读数有效：有数值且质量合格"),
        (excluding(rule, bundle), "range", "the value lies inside the measuring range", "数值在量程之内"),
        (high, "above", "the value lies above the upper limit", "数值高于上限"),
        (low, "below", "the value lies below the lower limit", "数值低于下限"),
        (opens > 1, "consecutive", f"{opens} records in a row are outside", f"连续 {opens} 条记录超限"),
        (rule.when.on_delay, "on_delay", f"outside for {on}", f"超限持续 {on}"),
    ]  # fmt: skip
    return [
        Leaf(name, both(en, zh), TWO if name == "reading" else ALL) for has, name, en, zh in candidates if has
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class DuringNumbers:
    """What the rule compares with on one series: a limit's numbers, and the area whose state is asked for."""

    limits: LimitNumbers
    area: str

    @property
    def key(self) -> tuple[object, ...]:
        """Return what decides."""
        rule = self.limits.rule
        return ("during", getattr(rule, "during", None), self.area, self.limits.key)


def numbers_of(sensor: Sensor, limits: LimitNumbers | None) -> DuringNumbers | None:
    """Return the numbers for a sensor, None where those of the limit are unknown."""
    return None if limits is None else DuringNumbers(limits, sensor.area)


@dataclass(slots=True)
class Told:
    """What was known of the declared state of a series when, and up to which row an officer is done."""

    spans: Spans = field(default_factory=list)
    frozen: list[tuple[int, Spans]] = field(default_factory=list)
    """Rows up to a time had left the horizon when other spans came: they stand as these had judged them."""
    done: int = -1
    decided: tuple[Spans, int] = field(default_factory=lambda: ([], 0))
    """The spans that were known when the series was decided last, and how many were frozen by then."""

    def put(self, spans: Spans, floor: int, *, waits: bool) -> None:
        """Take spans that are known now; rows up to `floor` have left the horizon. `waits`: others of this instant are not decided yet."""
        if not waits:
            self.decided = self.spans, len(self.frozen)
        self.frozen.append((floor, self.spans))
        self.spans = spans

    def before(self) -> Told:
        """Return what was known when the series was decided last."""
        spans, many = self.decided
        return Told(spans, self.frozen[:many], self.done)

    def at(self, t: int) -> Spans:
        """Return the spans that judge a row, the newest that are told apart."""
        spans = next((before for floor, before in self.frozen if t <= floor), self.spans)
        return spans[-SPANS:]


@dataclass(slots=True)
class DuringRun:
    """The condition as its rows make it; `see` is told the leaves of each moment."""

    numbers: DuringNumbers
    see: See
    told: Told = field(default_factory=Told)
    stands: Standing = field(default_factory=Standing)
    count: int = 0
    known: int | None = None
    last: tuple[Seen, ...] = ()
    newest: Row | None = None
    floor: int = -1

    def row(self, row: Row) -> None:
        """Fold a row in event-time order."""
        n, s, rule = self.numbers.limits, self.stands, self.numbers.limits.rule
        self.newest = row
        spans = self.told.at(row.t)
        under = [span for span in spans if span[0] <= row.t <= span[1]]
        holds = verdict(bool(under)) if spans else Verdict.UNKNOWN
        text = ", ".join(f"{format_instant(begin)} – {format_instant(end)}" for begin, end in spans) or None
        leaves = [Seen("under_way", holds, format_instant(row.t), "in", text)]
        if row.t <= self.told.done or not under:
            if s.phase == "pending":
                self._normal()
            self._tell("row", row.t, leaves)
            return
        counted = counts(rule, row.quality) and not math.isnan(row.value)
        name = "null" if math.isnan(row.value) else QUALITY_NAMES[row.quality]
        leaves.append(Seen("reading", verdict(counted), name, "counts for", rule.id))
        low, high, watched = n.range
        if counted:
            inside = verdict(low <= row.value <= high) if watched else Verdict.UNKNOWN
            leaves.append(Seen("range", inside, row.value, "in", f"{low:g} to {high:g}" if watched else None, n.unit))
        if counted and low <= row.value <= high:
            self._known(row, leaves)
        else:
            leaves += self._blind()
        self._tell("row", row.t, leaves)

    def _known(self, row: Row, leaves: list[Seen]) -> None:
        n, s, v = self.numbers.limits, self.stands, row.value
        if s.phase == "pending" and self.known is not None and row.t - self.known > 2 * n.interval:
            self._normal()
        above, below = (">=", "<=") if n.rule.limits.inclusive else (">", "<")
        if math.isfinite(n.high):
            leaves.append(Seen("above", verdict(n.outside(v, -math.inf, n.high)), v, above, n.high, n.unit))
        if math.isfinite(n.low):
            leaves.append(Seen("below", verdict(n.outside(v, n.low, math.inf)), v, below, n.low, n.unit))
        if s.active:
            return
        if not n.outside(v, n.low, n.high):
            if s.phase == "pending":
                self._normal()
            return
        if s.phase == "normal":
            s.phase, s.start, self.count = "pending", row.t, 0
        self.known, self.count = row.t, self.count + 1
        lasts = row.t - (row.t if s.start is None else s.start)
        enough, long = self.count >= n.rule.when.consecutive, lasts >= n.rule.when.on_delay
        leaves.append(Seen("consecutive", verdict(enough), self.count, ">=", n.rule.when.consecutive))
        leaves.append(Seen("on_delay", verdict(long), lasts, ">=", n.rule.when.on_delay, "ms"))
        if enough and long:
            s.phase, s.colour = "active", n.rule.severity.base.rank

    def clock(self, to: int) -> None:
        """Take what the clock alone decides up to `to`: nothing."""

    def finish(self, now: int) -> None:
        """Say how the leaves stand at the end: as the newest row left them, or unknown where the series is overdue."""
        n = self.numbers.limits
        if self.newest is not None and now <= self.newest.t + 2 * n.interval + n.delivery:
            self.see(Moment("end", now, self.last, self.newest))
            return
        self.see(Moment("end", now, (Seen("under_way", Verdict.UNKNOWN), *self._blind()), self.newest))

    def _blind(self) -> list[Seen]:
        """Return the leaves that no value decides now."""
        n = self.numbers.limits
        names = ["above"] if math.isfinite(n.high) else []
        names += ["below"] if math.isfinite(n.low) else []
        return [
            Seen(name, Verdict.UNKNOWN)
            for name in (*names, *([] if self.stands.active else ["consecutive", "on_delay"]))
        ]

    def _normal(self) -> None:
        self.stands.phase, self.stands.start, self.count, self.known = "normal", None, 0, None

    def _tell(self, by: str, at: int, leaves: list[Seen]) -> None:
        s = self.stands
        s.notes = {"consecutive": self.count} | ({} if s.start is None else {"lasts": at - s.start})
        self.last = tuple(leaves)
        self.see(Moment(by, at, self.last, self.newest))
