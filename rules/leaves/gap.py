"""The leaves of a `gap` rule on a series: is it silent, and for how long; rows are judged in the order in which they came."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from rules.changes import Verdict
from rules.instants import NEVER_MS, format_duration
from rules.leaves.model import TWO, Leaf, Moment, Seen, Standing, both, verdict
from rules.params import UNREGISTERED_INTERVAL_MS, silent_ms
from rules.wording import FLAGS

if TYPE_CHECKING:
    from rules.leaves.model import Row, See
    from rules.register import Sensor
    from rules.rule import GapRule

FreeFrom: TypeAlias = Callable[[int, Sequence[str]], int]


def leaves_of(rule: GapRule) -> list[Leaf]:
    """Return the leaves that the rule has: the silence and its steps."""
    if rule.factor is not None:
        en, zh = f"{rule.factor:g} intervals", f"{rule.factor:g} 个间隔"
    else:
        en = zh = format_duration((rule.threshold or 0) + rule.grace)
    if rule.at_least is not None:
        floor = format_duration(rule.at_least)
        en, zh = f"{en}, and than {floor}", f"{zh}且超过 {floor}"
    good = ("good ", "有效") if rule.records == "good" else ("", "")
    found = [Leaf("silence", both(f"no {good[0]}record for longer than {en}", f"超过 {zh} 没有{good[1]}记录"))]
    for k, step in enumerate(rule.severity.steps, 1):
        if step.after is not None:
            en = zh = format_duration(step.after)
        else:
            en, zh = f"{step.after_intervals:g} intervals", f"{step.after_intervals:g} 个间隔"
        found.append(Leaf(f"step{k}.after", both(f"{step.to}: silent for {en}", f"{step.to}：中断 {zh}")))
        if step.unless_marked:
            flags, marks = ", ".join(step.unless_marked), "、".join(FLAGS[flag][1] for flag in step.unless_marked)
            words = both(f"not {step.to} while marked: {flags}", f"申报标记期间不升为 {step.to}：{marks}")
            found.append(Leaf(f"step{k}.marked", words, TWO))
    return found


@dataclass(frozen=True, slots=True)
class GapNumbers:
    """What a gap rule compares with on one series, in ms."""

    rule: GapRule
    silent: int
    steps: tuple[tuple[int, int], ...]
    """(after, rank of the colour) of each step."""
    pace: int
    """After which the next record is due: where an alarm begins."""
    delivery: int

    def flags(self, k: int) -> Sequence[str]:
        """Return the flags of marks that keep the k-th step away."""
        return self.rule.severity.steps[k].unless_marked or ()

    @property
    def key(self) -> tuple[object, ...]:
        """Return what decides: equal keys decide equal rows alike."""
        return (self.silent, self.steps, self.pace, self.delivery, self.rule.severity.base)


def numbers_of(rule: GapRule, sensor: Sensor, delivery: int) -> GapNumbers | None:
    """Return the numbers for a sensor; None where neither the rule nor the register says how often a record is due."""
    if sensor.interval is None and rule.threshold is None:
        return None
    interval = sensor.interval or UNREGISTERED_INTERVAL_MS
    silent = silent_ms(rule, interval)
    steps = tuple(
        (s.after if s.after is not None else int((s.after_intervals or 0) * interval), s.to.rank)
        for s in rule.severity.steps
    )
    pace = interval if rule.threshold is None else min(interval, rule.threshold)
    return GapNumbers(rule, silent, steps, pace, delivery)


@dataclass(slots=True)
class Door:
    """Closed time of the front door behind the newest row of a series: it is nobody's silence."""

    received: int
    """Of the newest row that was folded, ms; before any: when the series came into force."""
    ext: int = 0
    shut: int = 0

    def close(self, begin: int, now: int) -> None:
        """Take closed time into account."""
        closed = max(0, now - max(begin, self.received))
        if not self.ext:
            self.shut = now - closed
        self.ext += closed

    def row(self, t: int, received: int) -> int:
        """Return what of the closed time lies before a row that came in order; the rest still extends the silence."""
        forgiven = min(self.ext, max(0, t - self.shut)) if self.ext else 0
        self.ext -= forgiven
        self.shut = max(self.shut, t)
        self.received = received
        return forgiven


@dataclass(slots=True)
class GapRun:
    """The silence of one series; `lo` is its newest event time (before any row, `fresh`: when it came into force)."""

    numbers: GapNumbers
    see: See
    lo: int
    door: Door
    fresh: bool = True
    floor: int = -1
    raised: int = 0
    stands: Standing = field(default_factory=Standing)
    newest: Row | None = None
    free_from: FreeFrom = lambda t, _: t
    """Tells the first instant from one on (ms) that no mark of the series with one of some flags covers."""

    def clock(self, to: int) -> None:
        """Take what the clock decides up to `to`."""
        while (due := self._due()) <= to:
            s = self.stands
            s.colour = self._colour(due)
            if not s.active:
                s.phase, s.start, self.raised = "active", self.lo + self.numbers.pace, due
            self.floor = due
            self.see(Moment("clock", due, self._leaves(due), self.newest))

    def row(self, row: Row, forgiven: int) -> None:
        """Take a row that came in order; `forgiven` ms before it the front door was closed."""
        n, s, r = self.numbers, self.stands, row.received
        self.see(Moment("clock", r, self._leaves(r), self.newest))
        distance = row.t - self.lo - forgiven
        hole = not self.fresh and distance > n.silent
        leaves = [Seen("silence", verdict(hole), distance, ">", n.silent, "ms")]
        if hole:
            leaves += [
                Seen(f"step{k}.after", verdict(distance > after), distance, ">", after, "ms")
                for k, (after, _) in enumerate(n.steps, 1)
            ]
        if s.active and row.t + n.silent + n.delivery + self.door.ext > r:
            self._normal()
        self.fresh, self.lo, self.floor, self.newest = False, row.t, r, row
        self.see(Moment("row", row.t, tuple(leaves), row))

    def reopen(self, begin: int, now: int) -> None:
        """Take back what was said inside closed time of the front door."""
        s = self.stands
        if s.active and begin < self.raised <= now:
            self._normal()
        elif s.active:
            s.colour = min(s.colour, self._colour(now, marked=False))
        self.floor = now

    def finish(self, now: int) -> None:
        """Say how the leaves stand at the end."""
        self.stands.notes = {"silent": max(0, now - self.lo), "door_closed": self.door.ext}
        self.see(Moment("end", now, self._leaves(now), self.newest))

    def _normal(self) -> None:
        self.stands.phase, self.stands.start, self.stands.colour = "normal", None, 0

    def _due(self) -> int:
        n, s = self.numbers, self.stands
        if not s.active:
            return max(self.lo + n.silent + n.delivery + self.door.ext, self.floor)
        begin = self.lo + n.delivery + self.door.ext
        ahead = [
            max(self.free_from(max(begin + after, self.floor), n.flags(k)), self.floor)
            for k, (after, rank) in enumerate(n.steps)
            if rank > s.colour
        ]
        return min([NEVER_MS, *ahead])

    def _colour(self, now: int, *, marked: bool = True) -> int:
        """Return the colour that the silence has reached; `marked`: without those that a mark keeps away."""
        n = self.numbers
        reached = [
            rank
            for k, (after, rank) in enumerate(n.steps)
            if self.lo + after + n.delivery + self.door.ext <= now
            and (not marked or self.free_from(now, n.flags(k)) == now)
        ]
        return max([n.rule.severity.base.rank, self.stands.colour if marked else 0, *reached])

    def _leaves(self, now: int) -> tuple[Seen, ...]:
        """Return the leaves by the clock: between the silence and the delivery behind it a record may be under way (unknown)."""
        n = self.numbers

        def seen(name: str, after: int) -> Seen:
            quiet = now - self.lo
            if quiet <= after:
                said = Verdict.FALSE
            else:
                said = Verdict.TRUE if quiet >= after + n.delivery + self.door.ext else Verdict.UNKNOWN
            return Seen(name, said, quiet, ">", after, "ms")

        steps = [seen(f"step{k}.after", after) for k, (after, _) in enumerate(n.steps, 1)]
        steps += [
            Seen(f"step{k}.marked", verdict(self.free_from(now, n.flags(k - 1)) != now), None, "covers", "now")
            for k in range(1, len(n.steps) + 1)
            if n.flags(k - 1)
        ]
        return (seen("silence", n.silent), *(steps if self.stands.active else []))
