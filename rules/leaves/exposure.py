"""The leaves of a `cumulative` rule whose sum is that of a declared state, row by row: its parts are a list here, summed anew for each row."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.instants import format_duration, format_instant
from rules.leaves.during import Told
from rules.leaves.limit import counts, excluding, sides
from rules.leaves.model import ALL, TWO, Leaf, Moment, Seen, Standing, both, verdict
from rules.params import UNREGISTERED_INTERVAL_MS
from rules.records import QUALITY_NAMES
from rules.watching import bounds_of
from rules.wording import sign
from rules.wording_during import STATES

if TYPE_CHECKING:
    from rules.changes import LimitUsed
    from rules.exceptions import SiteException
    from rules.facts import FactValue
    from rules.leaves.model import Row, See
    from rules.pack import Bundle
    from rules.register import Sensor
    from rules.rule import CumulativeRule


def leaves_of(rule: CumulativeRule, bundle: Bundle) -> list[Leaf]:
    """Return the leaves that the rule has, in the order of its condition."""
    state, total = STATES[rule.during or "trip"], format_duration(rule.total)
    low, high = sides(rule, bundle)
    candidates = [
        (True, "under_way", f"the area was {state[0]} at that time, as far as it was declared", f"该时刻该区域处于{state[1]}（据申报）"),
        (True, "reading", "the reading counts: a value of a quality that counts", "读数有效：有数值且质量合格"),
        (excluding(rule, bundle), "range", "the value lies inside the measuring range", "数值在量程之内"),
        (high, "above", "the value lies above the upper limit", "数值高于上限"),
        (low, "below", "the value lies below the lower limit", "数值低于下限"),
        (True, "total", f"beyond the limit for {total} in total {state[0]}", f"{state[1]}累计超限达到 {total}"),
    ]  # fmt: skip
    return [Leaf(name, both(en, zh), TWO if name == "reading" else ALL) for has, name, en, zh in candidates if has]


@dataclass(frozen=True, slots=True)
class ExposureNumbers:
    """What the rule compares with on one series; equal keys decide equal rows alike."""

    rule: CumulativeRule
    low: float
    high: float
    used: tuple[LimitUsed, ...]
    interval: int
    delivery: int
    unit: str
    range: tuple[float, float, bool]
    area: str

    @property
    def key(self) -> tuple[object, ...]:
        """Return what decides."""
        r = self.rule
        own = (r.total, r.during, r.severity.base, r.limits.inclusive, r.marked)
        return (self.area, *self.limits, self.interval, *own)

    @property
    def limits(self) -> tuple[object, ...]:
        """Return what says which rows count: with others the sum begins anew."""
        return (self.low, self.high, self.rule.limits.inclusive, self.rule.marked)


def numbers_of(
    rule: CumulativeRule, sensor: Sensor, facts: dict[str, FactValue], bundle: Bundle, delivery: int,
    span: tuple[float, float, bool], one: SiteException | None = None,
) -> ExposureNumbers | None:  # fmt: skip
    """Return the numbers for a sensor, None where its limits are unknown."""
    found = bounds_of(rule, sensor, facts, bundle, one)
    if found is None:
        return None
    interval = sensor.interval or UNREGISTERED_INTERVAL_MS
    return ExposureNumbers(rule, *found, interval, delivery, sign(sensor.unit), span, sensor.area)


@dataclass(slots=True)
class ExposureRun:
    """The condition as its rows make it; `see` is told the leaves of each moment."""

    numbers: ExposureNumbers
    see: See
    told: Told = field(default_factory=Told)
    stands: Standing = field(default_factory=Standing)
    parts: list[tuple[int, int]] = field(default_factory=list)
    """Begin and end, event time, of what counts of the trip ..."""
    until: int = -1
    """... and up to when it was summed."""
    known: Row | None = None
    beyond: bool = False
    last: tuple[Seen, ...] = ()
    newest: Row | None = None

    def adopt(self, numbers: ExposureNumbers) -> None:
        """Take other numbers."""
        if numbers.limits != self.numbers.limits:
            self.parts, self.beyond = [], False
        self.numbers = numbers

    def row(self, row: Row) -> None:
        """Fold a row in event-time order."""
        n, spans = self.numbers, self.told.at(row.t)
        self.newest = row
        text = ", ".join(f"{format_instant(begin)} – {format_instant(end)}" for begin, end in spans) or None
        inside = any(begin <= row.t <= end for begin, end in spans)
        under = verdict(inside) if spans else Verdict.UNKNOWN
        counted = counts(n.rule, row.quality) and not math.isnan(row.value)
        name = "null" if math.isnan(row.value) else QUALITY_NAMES[row.quality]
        leaves = [
            Seen("under_way", under, format_instant(row.t), "in", text),
            Seen("reading", verdict(counted), name, "counts for", n.rule.id),
        ]
        low, high, watched = n.range
        if counted:
            said = verdict(low <= row.value <= high) if watched else Verdict.UNKNOWN
            leaves.append(Seen("range", said, row.value, "in", f"{low:g} to {high:g}" if watched else None, n.unit))
        if counted and low <= row.value <= high:
            self._known(row, spans, leaves)
        else:
            leaves += self._blind()
        self.last = tuple(leaves)
        self.see(Moment("row", row.t, self.last, row))

    def _known(self, row: Row, spans: list[tuple[int, int]], leaves: list[Seen]) -> None:
        n, s, v = self.numbers, self.stands, row.value
        before, counted = self.known, self.beyond
        over = v >= n.high if n.rule.limits.inclusive else v > n.high
        under = v <= n.low if n.rule.limits.inclusive else v < n.low
        above, below = (">=", "<=") if n.rule.limits.inclusive else (">", "<")
        if math.isfinite(n.high):
            leaves.append(Seen("above", verdict(over), v, above, n.high, n.unit))
        if math.isfinite(n.low):
            leaves.append(Seen("below", verdict(under), v, below, n.low, n.unit))
        self.known, self.beyond = row, over or under
        if before is not None and row.t - before.t <= 2 * n.interval and row.t > self.told.done:
            for begin, end in spans:
                first, last = max(begin, before.t, self.told.done), min(end, row.t)
                if first >= last:
                    continue
                self.parts, self.until = self.parts if begin <= self.until else [], last
                self.parts += [(first, last)] if counted else []
                self._judge(row)
        total = sum(end - begin for begin, end in self.parts)
        s.notes = {"beyond": total}
        leaves.append(Seen("total", verdict(total >= n.rule.total), total, ">=", n.rule.total, "ms"))

    def _judge(self, row: Row) -> None:
        s, rule = self.stands, self.numbers.rule
        if not s.active and sum(end - begin for begin, end in self.parts) >= rule.total:
            s.phase, s.start, s.colour = "active", row.t, rule.severity.base.rank

    def clock(self, to: int) -> None:
        """Take what the clock alone decides up to `to`: nothing."""

    def finish(self, now: int) -> None:
        """Say how the leaves stand at the end: as the newest row left them, or unknown where the series is overdue."""
        n = self.numbers
        if self.newest is not None and now <= self.newest.t + 2 * n.interval + n.delivery:
            self.see(Moment("end", now, self.last, self.newest))
            return
        self.see(Moment("end", now, (Seen("under_way", Verdict.UNKNOWN), *self._blind()), self.newest))

    def _blind(self) -> list[Seen]:
        names = ["above"] if math.isfinite(self.numbers.high) else []
        names += ["below"] if math.isfinite(self.numbers.low) else []
        return [Seen(name, Verdict.UNKNOWN) for name in (*names, "total")]
