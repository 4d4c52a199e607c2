"""The leaves of a `gap` rule that holds only during a declared state: was the area under way, and is a record missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from rules.absence import Found, Numbers, closed, held, reach, silences, standing
from rules.changes import Verdict
from rules.instants import NEVER_MS, format_instant
from rules.layout import NEVER, NONE
from rules.leaves.gap import GapNumbers
from rules.leaves.gap import leaves_of as gap_leaves
from rules.leaves.gap import numbers_of as gap_numbers
from rules.leaves.limit import counts
from rules.leaves.model import Leaf, Moment, Seen, Standing, both, verdict
from rules.uncovered import join, touched
from rules.wording_during import STATES

if TYPE_CHECKING:
    from collections.abc import Callable

    from rules.leaves.model import Row, See
    from rules.leaves.rows import Rows
    from rules.occurrence import Folded
    from rules.register import Sensor
    from rules.rule import GapRule

Spans: TypeAlias = list[tuple[int, int]]


def leaves_of(rule: GapRule) -> list[Leaf]:
    """Return the leaves that the rule has: the state, the silence and its steps."""
    en, zh = STATES[rule.during or "trip"]
    under_way = both(f"the area was {en} at that time, as far as it was declared", f"该时刻该区域处于{zh}（据申报）")
    found = [Leaf("under_way", under_way), *gap_leaves(rule)]
    if rule.off is not None:
        off = both(
            "a monitor of the area was off at that time, as far as it was told",
            "该时刻该区域的监测仪处于关闭状态（据申报）",
        )
        found.append(Leaf("off", off))
    return found


@dataclass(frozen=True, slots=True)
class AbsenceNumbers:
    """What the rule compares with on one series, and the area whose state is asked for."""

    silence: GapNumbers
    area: str
    range: tuple[float, float, bool]
    """Measuring range, and whether a rule that excludes watches the sensor."""

    @property
    def rule(self) -> GapRule:
        """Return the rule."""
        return self.silence.rule

    @property
    def judged(self) -> Numbers:
        """Return them as the engine compares with them."""
        n = self.silence
        return Numbers(n.silent, n.pace, n.delivery, n.rule.severity.base.rank, n.steps)

    @property
    def key(self) -> tuple[object, ...]:
        """Return what decides."""
        good = self.rule.marked if self.rule.records == "good" else None
        which = (self.rule.during, good, self.rule.off)
        return ("absence", which, self.area, self.silence.key)

    def counts(self, row: Row) -> bool:
        """Say whether a row ends a silence, by what is known of it now."""
        if self.rule.records is None:
            return True
        low, high, _ = self.range
        return counts(self.rule, row.quality) and low <= row.value <= high


def numbers_of(
    rule: GapRule, sensor: Sensor, delivery: int, span: tuple[float, float, bool]
) -> AbsenceNumbers | None:  # fmt: skip
    """Return the numbers for a sensor, with its measuring range; None where neither the rule nor the register says how often a record is due."""
    found = gap_numbers(rule, sensor, delivery)
    return None if found is None else AbsenceNumbers(found, sensor.area, span)


@dataclass(slots=True)
class AbsenceRun:
    """The silence of one series during a declared state: judged when an instant is over at which something of it came, and by the clock."""

    numbers: AbsenceNumbers
    see: See
    rows: Callable[[], Rows]
    """Gives the rows of its series."""
    spans: Callable[[], Spans]
    """Gives the spans that are known of the state of its area."""
    off: Callable[[], tuple[Spans, bool]]
    """Gives when a monitor of its area was off, and whether anything was told of one."""
    edge: int
    """Rows up to it had left the horizon when it was judged last; at first where counting begins."""
    doors: Spans = field(default_factory=list)
    good: dict[int, None] = field(default_factory=dict)
    """Event times of the rows that count, as they came, or as a mark left them later."""
    told: Spans = field(default_factory=list)
    """Begin and end of the silences of the judgement before."""
    kept: Spans = field(default_factory=list)
    """Distances behind the horizon in an alarm that goes on."""
    waits: int | None = None
    """The instant (log time) that is to be over before it is judged."""
    due: int = NEVER_MS
    stands: Standing = field(default_factory=Standing)
    newest: Row | None = None

    def arm(self, received: int) -> None:
        """Let it be judged once an instant is over."""
        self.waits = received if self.waits is None else min(self.waits, received)

    def close(self, begin: int, now: int, since: int) -> None:
        """Take closed time of the front door into account; `since`: when the newest row came."""
        if max(begin, since) < now:
            self.doors.append((max(begin, since), now))
        self.due = NEVER_MS
        self.arm(now)

    def adopt(self, numbers: AbsenceNumbers, now: int, *, ended: bool) -> None:
        """Take other numbers from an instant on; `ended`: the horizon of the series ended there."""
        if self.numbers.area != numbers.area:
            self.stands = Standing()
        self.numbers = numbers
        if ended:
            self.edge = max(self.edge, min(self._left(), self._lo()))
        self.arm(now)

    def settle(self, now: int) -> None:
        """Judge what waits before something comes at an instant that has to know it."""
        if self.waits is not None and self.waits <= now:
            self._judge(now)

    def clock(self, to: int) -> None:
        """Take what is decided up to `to`."""
        while True:
            at = self.due if self.waits is None else min(self.waits, self.due)
            if at > to:
                return
            self._judge(at)

    def row(self, row: Row, _forgiven: int) -> None:
        """Take a row that came in order: what lies between it and the one before."""
        before, self.newest = self._lo(), row
        if not self.take(row):
            self.see(Moment("row", row.t, (self._under_way(row.t, self.spans()), *self._off(row.t)), row))
            return
        n, spans = self.numbers.judged, self.spans()
        inside = [
            (max(before, begin), min(row.t, end)) for begin, end in spans if max(before, begin) < min(row.t, end)
        ]  # fmt: skip
        longest = max((end - begin - closed(self.doors, begin, end) for begin, end in inside), default=None)
        leaves = [self._under_way(row.t, spans)]
        if longest is not None:
            leaves.append(Seen("silence", verdict(longest > n.silent), longest, ">", n.silent, "ms"))
        if longest is not None and longest > n.silent:
            leaves += [
                Seen(f"step{k}.after", verdict(longest > after), longest, ">", after, "ms")
                for k, (after, _) in enumerate(n.steps, 1)
            ]
        self.see(Moment("row", row.t, (*leaves, *self._off(row.t)), row))

    def take(self, row: Row) -> bool:
        """Take a row that came, in order or late, or that no mark covers any more; says whether it counts."""
        self.arm(row.received)
        if self.numbers.counts(row):
            self.good[row.t] = None
        return row.t in self.good

    def reopen(self, _begin: int, now: int) -> None:
        """Judge it anew behind closed time of the front door."""
        self.arm(now)

    def finish(self, now: int) -> None:
        """Say how the leaves stand at the end."""
        self.stands.notes = {
            "silent": max(0, now - self._lo()),
            "door_closed": closed(self.doors, self._lo(), NEVER_MS),
        }
        self.see(Moment("end", now, self._leaves(now, None), self.newest))

    def _judge(self, now: int) -> None:
        n, s = self.numbers.judged, self.stands
        distances = self._distances()
        found = silences(n, self._lo(), distances, self.spans(), self.doors, now)
        if self.numbers.rule.off is not None:
            join(n, found, self.spans(), self.off()[0], now)
        whole = standing(found, self.edge, [span for span in self.told if span[1] == NONE or span[1] > self.edge])
        joined: list[Folded] = whole if self.numbers.rule.off is not None else []
        last = found.silences[-1] if found.silences and found.silences[-1].end == NONE else None
        if last is None:
            self.stands = Standing()
        elif not held(s.start, found):
            self.stands = Standing("active", last.start, colour=last.sev)
        else:
            s.colour = max(s.colour, last.sev)
        self.told = [(one.start, one.end) for one in found.silences]
        if last is not None:
            self.told[-1] = (self.stands.start or last.start, NONE)
        edge = max(self.edge, min(self._left(), self._lo()))
        self.waits, self.due, self.edge = None, found.due, edge
        self.kept = [one for one in distances if one[1] <= edge and touched(joined, *one, edge)]
        before = max((t for t in self.good if t <= edge), default=edge)
        self.good = {t: None for t in self.good if t >= before}
        self.see(Moment("clock", now, self._leaves(now, found), self.newest))

    def _distances(self) -> Spans:
        before = max((t for t in self.good if t <= self.edge), default=self.edge)
        times = [before, *sorted(t for t in self.good if t > self.edge)]
        silent = self.numbers.judged.silent
        return [*self.kept, *((one, other) for one, other in pairwise(times) if other - one > silent)]

    def _left(self) -> int:
        rows = self.rows()
        gone = rows.parted()[0]
        return max(rows.floor, gone[-1].t if gone else -1)

    def _lo(self) -> int:
        return max([self.edge, *self.good])

    def _under_way(self, t: int, spans: Spans) -> Seen:
        said = verdict(any(begin <= t <= end for begin, end in spans)) if spans else Verdict.UNKNOWN
        text = ", ".join(f"{format_instant(begin)} – {format_instant(end)}" for begin, end in spans) or None
        return Seen("under_way", said, format_instant(t), "in", text)

    def _off(self, t: int) -> tuple[Seen, ...]:
        if self.numbers.rule.off is None:
            return ()
        spans, told = self.off()
        said = verdict(any(begin <= t <= end for begin, end in spans)) if told else Verdict.UNKNOWN
        text = ", ".join(
            f"{format_instant(begin)} – {'' if end == NEVER else format_instant(end)}" for begin, end in spans
        )
        return (Seen("off", said, format_instant(t), "in", text or None),)

    def _leaves(self, now: int, found: Found | None) -> tuple[Seen, ...]:
        """Return the leaves at an instant: between the silence and the delivery behind it a record may be under way (unknown)."""
        n, spans = self.numbers.judged, self.spans()
        last = max((end for begin, end in spans if begin <= now), default=now)
        leaves = [self._under_way(now, spans), *self._off(min(now, last))]
        under = [(max(begin, self._lo()), end) for begin, end in spans if begin <= now <= end]
        if not under and not (found is not None and self.stands.active):
            return tuple(leaves)
        first, end = under[-1] if under else (self._lo(), now)
        quiet = now - first

        def seen(name: str, after: int) -> Seen:
            long = min(quiet, end - first - closed(self.doors, first, end)) > after
            said = (
                Verdict.FALSE
                if not long
                else Verdict.TRUE
                if now >= reach(self.doors, first, after + n.delivery)
                else Verdict.UNKNOWN
            )
            return Seen(name, said, quiet, ">", after, "ms")

        leaves.append(seen("silence", n.silent))
        if self.stands.active:
            leaves += [seen(f"step{k}.after", after) for k, (after, _) in enumerate(n.steps, 1)]
        return tuple(leaves)
