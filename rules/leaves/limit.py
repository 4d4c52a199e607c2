"""The leaves of a `limit` rule, row by row.

Above 400 lines on purpose: the words of the leaves, their numbers and the run over the rows are one reading of one kind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.exceptions import delay_used, delayed
from rules.instants import NEVER_MS, format_duration
from rules.leaves.model import ALL, TWO, Leaf, Moment, Seen, Standing, both, verdict
from rules.params import UNREGISTERED_INTERVAL_MS, deadband_width
from rules.records import QUALITY_NAMES, Quality
from rules.register import Span
from rules.rule import LimitSource
from rules.tablerow import Judging, as_on, rows_of
from rules.tablerow import with_row as rule_with_row
from rules.watching import bounds_of
from rules.wording import sign

if TYPE_CHECKING:
    from rules.changes import LimitUsed
    from rules.exceptions import SiteException
    from rules.facts import FactValue
    from rules.leaves.model import Row, See
    from rules.pack import Bundle
    from rules.register import Sensor
    from rules.rule import CumulativeRule, DifferenceRule, JumpRule, LimitRule, Rule, Step

NEVER_COUNTED = frozenset({Quality.UNCERTAIN, Quality.SET_VALUE, Quality.COMMS})
COUNTED = frozenset({Quality.GOOD, Quality.OVER_LIMIT})


def counts(rule: Rule, quality: int) -> bool:
    """Say whether a row of this quality counts for a rule."""
    return quality not in NEVER_COUNTED if rule.marked == "count" else quality in COUNTED


def leaves_of(rule: Judging, bundle: Bundle) -> list[Leaf]:
    """Return the leaves that the rule has, in the order of its condition."""
    clears, unknown = rule.clear.consecutive, format_duration(rule.unknown.max)
    on, off = format_duration(rule.when.on_delay), format_duration(rule.clear.off_delay)
    opens, width = _each(rule, bundle)
    low, high = sides(rule, bundle)
    candidates = [
        (True, "reading", "the reading counts: a value of a quality that counts", "读数有效：有数值且质量合格"),
        (excluding(rule, bundle), "range", "the value lies inside the measuring range", "数值在量程之内"),
        (high, "above", "the value lies above the upper limit", "数值高于上限"),
        (low, "below", "the value lies below the lower limit", "数值低于下限"),
        (opens != "1", "consecutive", f"{opens} records in a row are outside", f"连续 {opens} 条记录超限"),
        (rule.when.on_delay, "on_delay", f"outside for {on}", f"超限持续 {on}"),
        *((True, *words) for k, step in enumerate(rule.severity.steps, 1) for words in _step_words(k, step)),
        (width not in {"0.0", "0%"}, "deadband", f"inside by the deadband ({width})", f"回到限值内并越过回差（{width}）"),
        (clears > 1, "clear_consecutive", f"{clears} records in a row are inside", f"连续 {clears} 条记录恢复正常"),
        (rule.clear.off_delay, "off_delay", f"inside for {off}", f"恢复正常持续 {off}"),
        (
            True, "unknown", f"no reading that counts for longer than {unknown} or 3 intervals",
            f"超过 {unknown} 或 3 个间隔没有有效读数",
        ),
    ]  # fmt: skip
    two = {"reading", "unknown"}
    return [Leaf(name, both(en, zh), TWO if name in two else ALL) for has, name, en, zh in candidates if has]


def _each(rule: Judging, bundle: Bundle) -> tuple[str, str]:
    """Return how many records open it and the deadband, as text: the values of all rows where a table has its own."""
    forms = [rule_with_row(rule, row) for row in rows_of(rule, bundle)] or [rule]
    opens = dict.fromkeys(str(form.when.consecutive) for form in forms)
    widths = dict.fromkeys(str(form.clear.deadband) for form in forms)
    return "/".join(opens), "/".join(widths)


def _step_words(k: int, step: Step) -> list[tuple[str, str, str]]:
    if step.beyond is None:
        if step.after is not None:
            en = zh = format_duration(step.after)
        else:
            en, zh = f"{step.after_intervals:g} intervals", f"{step.after_intervals:g} 个间隔"
        return [(f"step{k}.after", f"{step.to} after {en}", f"持续 {zh} 后升为 {step.to}")]
    found = []
    low, high = step.beyond.low, step.beyond.high
    if high is not None:
        found.append((f"step{k}.above", f"{step.to}: above {high:g}", f"{step.to}：高于 {high:g}"))
    if low is not None:
        found.append((f"step{k}.below", f"{step.to}: below {low:g}", f"{step.to}：低于 {low:g}"))
    if step.for_:
        wait = format_duration(step.for_)
        found.append((f"step{k}.for", f"{step.to}: beyond that for {wait}", f"{step.to}：超出该值持续 {wait}"))
    return found


def excluding(rule: Rule, bundle: Bundle) -> bool:
    """Say whether another rule of the bundle can exclude values from this one."""
    return not getattr(rule, "excludes", False) and any(
        getattr(other, "excludes", False) for other in bundle.rules if other.id != rule.id
    )


def sides(rule: LimitRule | CumulativeRule | DifferenceRule | JumpRule, bundle: Bundle) -> tuple[bool, bool]:
    """Say whether the rule can have a lower and an upper limit."""
    source = rule.limits.from_
    if isinstance(source, Span):
        spans = [source]
    elif isinstance(rule.limits, LimitSource) and rule.limits.side is not None:
        return rule.limits.side == "low", rule.limits.side == "high"
    elif source in bundle.tables:
        spans = [row.limit for row in bundle.tables[source].rows]
    else:
        return True, True
    more = rule.limits.narrower is not None
    return more or any(s.low is not None for s in spans), more or any(s.high is not None for s in spans)


@dataclass(frozen=True, slots=True)
class LimitNumbers:
    """What a limit rule compares with on one series; equal numbers decide equal rows alike."""

    rule: LimitRule | DifferenceRule | JumpRule
    low: float
    high: float
    used: tuple[LimitUsed, ...]
    deadband: float
    interval: int
    delivery: int
    unit: str
    range: tuple[float, float, bool]
    """Low, high of what the excluding rules let through, and whether one of them watches the sensor."""

    @property
    def key(self) -> tuple[object, ...]:
        """Return what decides: equal keys decide equal rows alike."""
        r = self.rule
        own = (r.when, r.clear, r.severity, r.limits.inclusive, r.unknown, r.marked)
        return (self.low, self.high, self.interval, self.delivery, *own)

    def outside(self, value: float, low: float, high: float) -> bool:
        """Say whether a value lies outside."""
        return (value >= high or value <= low) if self.rule.limits.inclusive else (value > high or value < low)

    def inside(self, value: float, low: float, high: float) -> bool:
        """Say whether a value lies inside by the deadband."""
        return not self.outside(value, low, high) and low + self.deadband <= value <= high - self.deadband

    @property
    def unknown_ms(self) -> int:
        """Return how long after an interval without a counting row an alarm becomes unknown."""
        return max(self.rule.unknown.max, 3 * self.interval)


def numbers_of(
    rule: LimitRule,
    sensor: Sensor,
    facts: dict[str, FactValue],
    bundle: Bundle,
    delivery: int,
    span: tuple[float, float, bool],
    one: SiteException | None = None,
) -> LimitNumbers | None:
    """Return the numbers for a sensor, None where its limits are unknown (none registered, or no room left)."""
    found = bounds_of(rule, sensor, facts, bundle, one)
    if found is None:
        return None
    low, high, used = found
    used += delay_used(rule, one)
    rule = delayed(as_on(rule, facts, bundle), one)
    interval = sensor.interval or UNREGISTERED_INTERVAL_MS
    width = deadband_width(rule.clear.deadband, low, high)
    return LimitNumbers(rule, low, high, used, width, interval, delivery, sign(sensor.unit), span)


def _bound(step_bound: float | None, otherwise: float) -> float:
    return otherwise if step_bound is None else step_bound


@dataclass(slots=True)
class LimitRun:
    """The condition as its rows make it; `see` is told the leaves of each moment."""

    numbers: LimitNumbers
    see: See
    floor: int = -1
    stands: Standing = field(default_factory=Standing)
    start_m: int = -1
    end: int | None = None
    count: int = 0
    clears: int = 0
    reached: set[int] = field(default_factory=set)
    running: dict[int, tuple[int, int]] = field(default_factory=dict)
    known: int | None = None
    newest: Row | None = None
    last: tuple[Seen, ...] = ()
    delay: int | None = None
    """The on-delay (ms) of the row that is folded, where it is not the rule's."""

    def row(self, row: Row) -> None:
        """Fold a row in event-time order."""
        n = self.numbers
        self.newest = row
        counted = counts(n.rule, row.quality) and not math.isnan(row.value)
        leaves = [
            Seen(
                "reading",
                verdict(counted),
                QUALITY_NAMES[row.quality] if not math.isnan(row.value) else "null",
                "counts for",
                n.rule.id,
            )
        ]
        inside_range = True
        if counted and not n.rule.excludes:
            low, high, watched = n.range
            inside_range = low <= row.value <= high
            leaves.append(
                Seen(
                    "range",
                    verdict(inside_range) if watched else Verdict.UNKNOWN,
                    row.value,
                    "in",
                    f"{low:g} to {high:g}" if watched else None,
                    n.unit,
                )
            )
        if counted and inside_range:
            self._known(row, leaves)
        else:
            leaves += self._blind()
            silent = self.known is not None and row.t >= self.known + n.interval + n.unknown_ms
            if self.stands.active and not self.stands.unknown and silent:
                self.stands.unknown = True
                leaves.append(self._unknown(row.t, holds=True))
            elif self.stands.active:
                leaves.append(self._unknown(row.t, holds=self.stands.unknown))
        self._note(row.t)
        self._tell("row", row.t, leaves, row)

    def _known(self, row: Row, leaves: list[Seen]) -> None:
        n, s, v = self.numbers, self.stands, row.value
        if self.known is not None and row.t - self.known > 2 * n.interval:
            self._break()
        self.known, s.unknown = row.t, False
        outside = n.outside(v, n.low, n.high)
        above, below = (">=", "<=") if n.rule.limits.inclusive else (">", "<")
        if math.isfinite(n.high):
            leaves.append(Seen("above", verdict(n.outside(v, -math.inf, n.high)), v, above, n.high, n.unit))
        if math.isfinite(n.low):
            leaves.append(Seen("below", verdict(n.outside(v, n.low, math.inf)), v, below, n.low, n.unit))
        if s.active:
            self._steps(row, leaves)
            self._closing(row, leaves, outside=outside)
            return
        if not outside:
            if s.phase == "pending":
                self._normal()
            return
        if s.phase == "normal":
            s.phase, s.start, self.start_m, self.count = "pending", row.t, row.m, 0
        self.count += 1
        start = row.t if s.start is None else s.start
        delay = n.rule.when.on_delay if self.delay is None else self.delay
        enough, long = self.count >= n.rule.when.consecutive, row.t - start >= delay
        leaves.append(Seen("consecutive", verdict(enough), self.count, ">=", n.rule.when.consecutive))
        leaves.append(Seen("on_delay", verdict(long), row.t - start, ">=", delay, "ms"))
        self._steps(row, leaves)
        if enough and long:
            s.phase, s.colour = "active", self._paint()
            leaves.append(self._unknown(row.t, holds=False))

    def _steps(self, row: Row, leaves: list[Seen]) -> None:
        n, start = self.numbers, self.stands.start or 0
        for k, step in enumerate(n.rule.severity.steps):
            name = f"step{k + 1}"
            if step.beyond is None:
                wait = self.wait(k)
                if row.t - start >= wait:
                    self.reached.add(k)
                leaves.append(Seen(f"{name}.after", verdict(k in self.reached), row.t - start, ">=", wait, "ms"))
                continue
            low, high = _bound(step.beyond.low, -math.inf), _bound(step.beyond.high, math.inf)
            if math.isfinite(high):
                leaves.append(
                    Seen(f"{name}.above", verdict(n.outside(row.value, -math.inf, high)), row.value, ">", high, n.unit)
                )
            if math.isfinite(low):
                leaves.append(
                    Seen(f"{name}.below", verdict(n.outside(row.value, low, math.inf)), row.value, "<", low, n.unit)
                )
            if n.outside(row.value, low, high):
                first = self.running.setdefault(k, (row.t, row.m))[0]
                if row.t - first >= step.for_:
                    self.reached.add(k)
                leaves.append(Seen(f"{name}.for", verdict(k in self.reached), row.t - first, ">=", step.for_, "ms"))
            elif k not in self.reached or n.inside(row.value, low, high):
                self.reached.discard(k)
                self.running.pop(k, None)

    def _closing(self, row: Row, leaves: list[Seen], *, outside: bool) -> None:
        n, s, v = self.numbers, self.stands, row.value
        inside = n.inside(v, n.low, n.high)
        if not outside:
            leaves.append(Seen("deadband", verdict(inside), v, "inside by", n.deadband, n.unit))
        done = False
        if inside:
            if s.phase == "active":
                s.phase, self.end, self.clears = "clearing", row.t, 0
            self.clears += 1
            since = row.t - (row.t if self.end is None else self.end)
            many, long = self.clears >= n.rule.clear.consecutive, since >= n.rule.clear.off_delay
            leaves.append(Seen("clear_consecutive", verdict(many), self.clears, ">=", n.rule.clear.consecutive))
            leaves.append(Seen("off_delay", verdict(long), since, ">=", n.rule.clear.off_delay, "ms"))
            done = many and long
        else:
            s.phase, self.clears = "active", 0
        s.colour = self._paint()
        leaves.append(self._unknown(row.t, holds=False))
        if done:
            self._normal()

    def clock(self, to: int) -> None:
        """Take what the clock alone decides up to `to`."""
        while True:
            dues = self._dues()
            due = min((d for d, _ in dues), default=NEVER_MS)
            if due > to:
                return
            leaves = [self._due(due, what) for d, what in dues if d == due]
            if self.stands.active:
                self.stands.colour = self._paint()
            self._tell("clock", due, leaves, self.newest)

    def _due(self, due: int, what: int | str) -> Seen:
        n, s = self.numbers, self.stands
        if what == "open":
            s.phase = "active"
            return Seen("on_delay", Verdict.TRUE, due - self.start_m, ">=", n.rule.when.on_delay, "ms")
        if what == "unknown":
            s.unknown = True
            return self._unknown(due, holds=True)
        k = int(what)
        self.reached.add(k)
        since = self.start_m if n.rule.severity.steps[k].beyond is None else self.running[k][1]
        name = "after" if n.rule.severity.steps[k].beyond is None else "for"
        return Seen(f"step{k + 1}.{name}", Verdict.TRUE, due - since, ">=", self.wait(k), "ms")

    def _dues(self) -> list[tuple[int, int | str]]:
        n, s, newest = self.numbers, self.stands, self.newest
        if newest is None or s.phase == "normal":
            return []
        found: list[tuple[int, int | str]] = []
        at_least = max(newest.m, self.floor)
        overdue = newest.t + 2 * n.interval + n.delivery
        wait = n.rule.when.on_delay
        if s.phase == "pending" and wait and self.count >= n.rule.when.consecutive and newest.t == s.start:
            found.append((max(self.start_m + wait, at_least), "open"))
        for k, step in enumerate(n.rule.severity.steps):
            if k in self.reached:
                continue
            if step.beyond is None and newest.t == s.start:
                found.append((max(self.start_m + self.wait(k), at_least), k))
            elif not step.consecutive and k in self.running and newest.t == self.running[k][0]:
                found.append((max(self.running[k][1] + step.for_, at_least), k))
        found = [(due, what) for due, what in found if due <= overdue]
        if s.active and not s.unknown and self.known is not None:
            found.append((max(self.known + n.interval + n.unknown_ms + n.delivery, at_least), "unknown"))
        return found

    def finish(self, now: int) -> None:
        """Say how the leaves stand at the end: as the newest row left them, or unknown where the series is overdue."""
        n = self.numbers
        if self.newest is not None and now <= self.newest.t + 2 * n.interval + n.delivery:
            self._note(self.newest.t)
            self.see(Moment("end", now, self.last, self.newest))
            return
        leaves = [*self._blind()]
        if self.stands.active:
            leaves.append(self._unknown(now, holds=self.stands.unknown))
        self.see(Moment("end", now, tuple(leaves), self.newest))

    def wait(self, k: int) -> int:
        """Return the duration (ms) of a step."""
        step = self.numbers.rule.severity.steps[k]
        if step.beyond is not None:
            return step.for_
        return step.after if step.after is not None else int((step.after_intervals or 0) * self.numbers.interval)

    def _blind(self) -> list[Seen]:
        """Return the leaves that no value decides now."""
        n, names = self.numbers, []
        names += ["above"] if math.isfinite(n.high) else []
        names += ["below"] if math.isfinite(n.low) else []
        if not self.stands.active:
            names += ["consecutive", "on_delay"]
        for k, step in enumerate(n.rule.severity.steps, 1):
            names += [f"step{k}.after"] if step.beyond is None else [f"step{k}.above", f"step{k}.below", f"step{k}.for"]
        if self.stands.active:
            names += ["deadband", "clear_consecutive", "off_delay"]
        return [Seen(name, Verdict.UNKNOWN) for name in names]

    def _unknown(self, now: int, *, holds: bool) -> Seen:
        n = self.numbers
        return Seen("unknown", verdict(holds), now - (self.known or now), ">=", n.interval + n.unknown_ms, "ms")

    def _note(self, t: int) -> None:
        s = self.stands
        s.notes = {"consecutive": self.count, "clear_consecutive": self.clears}
        if s.start is not None:
            s.notes["lasts"] = t - s.start

    def _tell(self, by: str, at: int, leaves: list[Seen], row: Row | None) -> None:
        self.last = tuple(leaves)
        self.see(Moment(by, at, self.last, row))

    def _paint(self) -> int:
        plan = self.numbers.rule.severity
        return max([plan.base.rank, *(plan.steps[k].to.rank for k in self.reached)])

    def _break(self) -> None:
        """Drop running counts after a distance of more than two intervals."""
        if self.stands.phase == "pending":
            self._normal()
        elif self.stands.phase == "clearing":
            self.stands.phase, self.clears = "active", 0
        self.running = {k: first for k, first in self.running.items() if k in self.reached}

    def _normal(self) -> None:
        self.stands.phase, self.stands.start, self.stands.unknown = "normal", None, False
        self.count = self.clears = 0
        self.end = None
        self.reached, self.running = set(), {}
