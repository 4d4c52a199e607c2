"""Leaves of a rule of kind `clock`, check `sequence`: number by number, from all that a facility sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.batches import Batches
from rules.batches import Seen as BatchSeen
from rules.changes import Verdict
from rules.instants import format_duration, format_instant
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict
from rules.rare.feeds import READINGS, Feed, Item, Order
from rules.rare.fold import OWN
from rules.rare.match import applies, digest_of_batch, time_of
from rules.rare.sequence import (
    Gap,
    feed_of_source,
    is_restart,
    item_of_batch,
    item_of_event,
    missing_of,
    near_of,
    order_of,
    restarted_feeds,
)
from rules.records import Events, Readings, RegisterRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rules.records import Event, LogRecord
    from rules.register import Facility
    from rules.rule import ClockRule


def leaves_of(rule: ClockRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    wait, apart = format_duration(rule.wait or 0), format_duration(rule.apart or 0)
    known = frozenset({Verdict.TRUE, Verdict.UNKNOWN})
    return [
        Leaf("number", both("it has a number", "带有序号"), known),
        Leaf(
            "order",
            both(f"number and time contradict each other by more than {apart}", f"序号与时间先后矛盾超过 {apart}"),
            TWO,
        ),
        Leaf("gap", both("numbers before it have not come", "其前有序号未到"), TWO),
        Leaf("waited", both(f"for {wait}, in which the facility was heard", f"该单位有数据到达期间已满 {wait}")),
        Leaf("restart", both("a restart explains it", "已由重启事件说明"), TWO),
    ]


@dataclass(slots=True)
class Open:
    """Numbers that have not come, since when, and how much time behind that does not count (ms)."""

    gap: Gap
    seen: int
    silent: int = 0


@dataclass(slots=True)
class Line:
    """One feed: its numbers, what is missing, and spans of event time in which a restart would explain that they began anew."""

    feed: Feed
    gaps: list[Open] = field(default_factory=list)
    anew: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Told:
    """A moment of one feed; `item` is what had a number, `digest` what the engine's books call it where it contradicts time."""

    feed: str | None
    moment: Moment
    item: Item | None = None
    again: bool = False
    what: str = ""

    @property
    def digest(self) -> str:
        """Return what the books call a contradiction."""
        return "" if self.item is None else f"{self.item.number} {self.item.lo} {self.item.hi}"

    @property
    def subjects(self) -> list[str]:
        """Return the cases it is about."""
        return [] if self.feed is None else [missing_of(self.feed), order_of(self.feed)]


class Trace:
    """Follows a log."""

    def __init__(self, rule: ClockRule) -> None:
        self.rule, self.apart = rule, rule.apart or 0
        self.lines: dict[str, Line] = {}

    def number(self, name: str, item: Item, near: int | None) -> tuple[Seen, ...]:
        """Take an item; returns its leaves."""
        said = [Seen("number", Verdict.TRUE, float(item.number), "given")]
        line = self.lines.get(name)
        if line is None:
            self.lines[name] = Line(Feed.of(item, near))
            return tuple(said)
        feed = line.feed
        order, front = feed.order(item, self.apart, near), feed.fronts.get(item.group)
        if front is not None:
            against = f"{front.number} at {format_instant(front.lo)}"
            said.append(Seen("order", verdict(order is not Order.FINE), format_instant(item.lo), "against", against))
        filled = self._fill(line, item)
        if order is Order.ANEW and front is not None:
            window = (front.hi - self.apart, item.lo + self.apart)
            said.append(Seen("restart", verdict(feed.restarted(*window)), None, "within", float(self.apart), "ms"))
            line.anew.append(window)
        left_out = None
        if order is Order.ANEW and not filled:
            for one in line.gaps:
                gap = one.gap
                one.gap = Gap(gap.first, gap.last, gap.before, min(gap.until, item.lo))
            feed.begin_anew(item)
        elif not filled:
            left_out = feed.count(item)
        said.append(Seen("gap", verdict(left_out is not None), float(feed.highest), "before", float(item.number)))
        if left_out is not None:
            explained = feed.restarted(feed.newest - self.apart, item.received + self.apart)
            said.append(Seen("restart", verdict(explained), None, "within", float(self.apart), "ms"))
            if not explained:
                line.gaps.append(Open(Gap(*left_out, feed.newest), item.received))
        feed.advance(item, near)
        return tuple(said)

    def _fill(self, line: Line, item: Item) -> bool:
        holding = [one for one in line.gaps if one.gap.holds(item)]
        if not holding:
            return False
        old = min(holding, key=lambda one: one.gap.until)
        line.gaps.remove(old)
        line.gaps += [Open(gap, old.seen, old.silent) for gap in old.gap.without(item.number)]
        return True

    def restart(self, name: str, at: int) -> Seen | None:
        """Take a restart; returns whether it explains anything of a feed."""
        line = self.lines.get(name)
        if line is None:
            return None
        line.feed.restart(at)
        kept = [one for one in line.gaps if not one.gap.before - self.apart <= at <= one.seen + self.apart]
        anew = any(begin <= at <= end for begin, end in line.anew)
        found = Seen("restart", verdict(anew or len(kept) < len(line.gaps)), format_instant(at), "explains")
        line.gaps = kept
        return found

    def waited(self, now: int, last: int) -> Iterator[Told]:
        """Return for how long numbers are missing, at a record of the facility that came behind the one at `last`, or at the end."""
        hole = now - last > self.rule.silent
        for name, line in self.lines.items():
            for one in line.gaps:
                age = (last if hole else now) - one.seen - one.silent
                late = age >= (self.rule.wait or 0)
                said = Verdict.TRUE if late else Verdict.UNKNOWN if hole else Verdict.FALSE
                leaf = Seen("waited", said, float(age), ">=", float(self.rule.wait or 0), "ms")
                yield Told(name, Moment("end", now, (leaf,)))

    def silence(self, time: int) -> None:
        """Note that nothing came for so long (ms)."""
        for line in self.lines.values():
            for one in line.gaps:
                one.silent += time


def told_of(rule: ClockRule, log: Iterable[LogRecord], end: int) -> Iterator[Told]:
    """Return the leaves at each record of the facility, and at `end` (log time, ms)."""
    trace, facility, version, last = Trace(rule), None, -1, None
    posts, batches = Batches(), Batches()
    for record in log:
        payload, now = record.payload, record.received
        if isinstance(payload, RegisterRecord) and payload.version > version:
            version, facility = payload.version, payload.facility
        if record.kind not in OWN or facility is None:
            continue
        if last is not None:
            yield from trace.waited(now, last)
            if now - last > rule.silent:
                trace.silence(now - last)
        last = now
        if isinstance(payload, Readings):
            item, new = item_of_batch(payload, now), posts.meet(payload, now) is BatchSeen.NEW
            if item is None or applies(rule, facility, None, item.lo):
                yield _post(trace, item, new=new, facility=facility, now=now)
        if isinstance(payload, Events):
            new = batches.meet_digest(payload.batch, digest_of_batch(payload), now) is BatchSeen.NEW
            for event in payload.events:
                if applies(rule, facility, None, time_of(event, now)):
                    yield from _event(trace, event, payload.batch, now, new=new)
    if last is not None:
        yield from trace.waited(end, last)


def _post(trace: Trace, item: Item | None, *, new: bool, facility: Facility, now: int) -> Told:
    if item is None:
        return Told(None, Moment("event", now, (Seen("number", Verdict.UNKNOWN, None, "given"),)))
    leaves = trace.number(READINGS, item, near_of(facility)) if new else ()
    return Told(READINGS, Moment("event", item.lo, leaves), item, again=not new, what="readings")


def _event(trace: Trace, event: Event, batch: str, now: int, *, new: bool) -> Iterator[Told]:
    at = time_of(event, now)
    if new and is_restart(event):
        for name in restarted_feeds(event):
            if (seen := trace.restart(name, at)) is not None:
                yield Told(name, Moment("event", at, (seen,)))
    item = item_of_event(event, batch, now)
    if item is None:
        yield Told(None, Moment("event", at, (Seen("number", Verdict.UNKNOWN, None, "given"),)))
        return
    name = feed_of_source(event.source)
    leaves = trace.number(name, item, None) if new else ()
    yield Told(name, Moment("event", at, leaves), item, again=not new, what=f"{event.stream} {event.type}")
