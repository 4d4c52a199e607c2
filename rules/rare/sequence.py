"""Kind `clock`, check `sequence`: numbers of a feed that do not come, and numbers whose order is not that of time (ADR 0040).

Two cases a feed: `{feed}` for what is missing, which the missing numbers or a restart end; `{feed, case: order}`, latched, for what
contradicts time. A number is missing `wait` behind the record that left it out, without the time in which nothing at all of the
facility came. What nobody numbers has no feed and costs nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from rules.changes import Leaf, RecordRead, Verdict
from rules.failing import attempt
from rules.instants import format_duration, format_instant
from rules.layout import NEVER
from rules.rare.beats import WHOLE
from rules.rare.count import bound
from rules.rare.feeds import MAX_FEEDS, READINGS, Feed, Item, Order
from rules.rare.match import applies, device_of
from rules.rare.speak import Now, close, settle
from rules.rare.store import MAX_ROWS, Case, Fact, Heard, subject_of, text_of
from rules.readingfaults import MAX_SEQ
from rules.records import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.emission import Emitter
    from rules.rare.store import Rare
    from rules.records import Event, Readings
    from rules.register import Facility
    from rules.rule import ClockRule
    from rules.state import FacilityState

MAX_GAPS = 64
"""Spans of missing numbers that are kept of a feed: the newest of those not yet overdue goes out first."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers from `first` to `last` that had not come when a higher one did.

    `before`: the newest event time told until then. `until`: what comes with one of these numbers and is not older than that
    belongs to a later run of numbers.
    """

    first: int
    last: int
    before: int
    until: int = NEVER

    def text(self) -> str:
        """Return it as a fact keeps it."""
        return f"{self.first} {self.last} {self.before} {self.until}"

    @classmethod
    def of(cls, fact: Fact) -> Gap:
        """Read it."""
        return cls(*(int(word) for word in fact.text.split()))

    def holds(self, item: Item) -> bool:
        """Say whether an item is one of these."""
        return self.first <= item.number <= self.last and item.hi < self.until

    def without(self, number: int) -> list[Gap]:
        """Return what is left when a number has come."""
        spans = ((self.first, number - 1), (number + 1, self.last))
        return [Gap(first, last, self.before, self.until) for first, last in spans if first <= last]


def feed_of_source(source: str) -> str:
    """Return the feed of a source's events; no name of a source holds a space, so none is that of the readings.

    >>> feed_of_source("PLC-2")
    'events PLC-2'
    """
    return f"events {source}"


def missing_of(feed: str) -> str:
    """Return the subject of what is missing of a feed, as text."""
    return text_of({"feed": feed})


def order_of(feed: str) -> str:
    """Return the subject of what contradicts time in a feed, as text."""
    return text_of({"case": "order", "feed": feed})


def near_of(facility: Facility) -> int:
    """Return how far two batches may lie apart in event time that tell of one stretch, ms: twice the time between two posts (own)."""
    return 2 * facility.delivery


@lru_cache(maxsize=1_024)
def group_of(tags: tuple[str, ...]) -> str:
    """Return the digest of the series of a batch, whatever their order."""
    return hashlib.blake2b("\n".join(sorted(tags)).encode(), digest_size=8).hexdigest()


def item_of_batch(payload: Readings, received: int) -> Item | None:
    """Return what a batch of readings is, None without a number."""
    if payload.seq is None:
        return None
    lo, hi = int(payload.time.min()), int(payload.time.max())
    return Item(payload.seq, min(lo, received), min(hi, received), received, payload.batch, group_of(payload.tags))


def item_of_event(event: Event, batch: str, received: int) -> Item | None:
    """Return what an event is, None without a number (or one above 2^53 - 1, which no feed of readings has either)."""
    if event.seq is None or event.seq > MAX_SEQ:
        return None
    at = min(event.time, received)
    return Item(event.seq, at, at, received, batch)


def is_restart(event: Event) -> bool:
    """Say whether an event tells that a device began anew."""
    return (event.stream, event.type) == ("device", "restart")


def restarted_feeds(event: Event) -> list[str]:
    """Return whose numbers a restart may explain: of its source, of the device it names, and the readings, whose sender has no name."""
    return sorted({READINGS, feed_of_source(event.source), feed_of_source(device_of(event))})


def meet_batch(state: FacilityState, payload: Readings, received: int, emitter: Emitter) -> None:
    """Take the number of a batch of readings whose id is new, before its rows."""
    if payload.seq is None or state.plan is None:
        return
    item = item_of_batch(payload, received)
    assert item is not None  # noqa: S101 - it has a number
    facility = state.plan.facility
    now = Now(item.lo, received, [RecordRead(kind=Kind.READINGS, id=payload.batch)])
    for rule in state.plan.sequences:
        if applies(rule, facility, None, item.lo):
            step = partial(_meet, rule, READINGS, item, near_of(facility), now, emitter)
            attempt(emitter, rule.id, received, step)
    state.rare.refresh()


def meet(rule: ClockRule, event: Event, batch: str, now: Now, facility: Facility, emitter: Emitter) -> None:
    """Take one event: whether it is a restart, and its number."""
    if not applies(rule, facility, None, now.at):
        return
    if is_restart(event):
        for name in restarted_feeds(event):
            _restart(rule, name, now, emitter)
    item = item_of_event(event, batch, now.received)
    if item is not None:
        _meet(rule, feed_of_source(event.source), item, None, now, emitter)


def _meet(rule: ClockRule, name: str, item: Item, near: int | None, now: Now, emitter: Emitter) -> None:
    rare, apart = emitter.state.rare, rule.apart or 0
    feed = rare.feeds.pop((rule.id, name), None)
    if feed is None:
        if _has_room(rule, rare):
            rare.feeds[rule.id, name] = Feed.of(item, near)
        return
    rare.feeds[rule.id, name] = feed
    order, front = feed.order(item, apart, near), feed.fronts.get(item.group)
    filled = _fill(rule, name, item, now, emitter)
    if order is Order.OLDER:
        _contradict(rule, name, item, "", now, emitter)
    elif order is Order.ANEW and front is not None:
        begin, end = front.hi - apart, item.lo + apart
        if not feed.restarted(begin, end):
            _contradict(rule, name, item, f"{begin} {end}", now, emitter)
    if order is Order.ANEW and not filled:
        _close_run(rule, name, item, rare)
        feed.begin_anew(item)
    elif not filled:
        left_out = feed.count(item)
        if left_out is not None and not feed.restarted(feed.newest - apart, item.received + apart):
            _leave_out(rule, name, Gap(*left_out, feed.newest), item, emitter)
    for what, times in feed.advance(item, near).items():
        rare.counts[what] += times


def _has_room(rule: ClockRule, rare: Rare) -> bool:
    """Say whether a feed may come; one of which nothing is missing and nothing stands goes out for it."""
    mine = [name for of, name in rare.feeds if of == rule.id]
    if len(mine) < MAX_FEEDS:
        return True
    cases = rare.of(rule.id)
    for name in mine:
        missing, order = cases.get(missing_of(name)), cases.get(order_of(name))
        if not (missing is not None and missing.facts) and (order is None or order.standing is None):
            del rare.feeds[rule.id, name]
            rare.counts["feed_dropped"] += 1
            return True
    rare.counts["feed_left_out"] += 1
    return False


def _case(rule: ClockRule, subject: str, rare: Rare) -> Case:
    case = rare.case(rule.id, subject, 4 * MAX_FEEDS)
    assert case is not None  # noqa: S101 - twice as many as feeds: one that is idle goes out
    return case


def _contradict(rule: ClockRule, name: str, item: Item, window: str, now: Now, emitter: Emitter) -> None:
    """Take an item whose number and time contradict the front: an occasion, since when it came."""
    case = _case(rule, order_of(name), emitter.state.rare)
    digest = f"{item.number} {item.lo} {item.hi}"
    if case.knows(digest):
        return
    fact = Fact(item.received, item.received, digest, item.batch, window, counts=True)
    emitter.state.rare.cases[rule.id].keep(case, [*case.facts, fact])
    bound(rule.id, case, emitter, MAX_ROWS)
    front = emitter.state.rare.feeds[rule.id, name].fronts[item.group]
    told = item.lo if window else item.hi
    leaf = Leaf(
        expr=f"number {item.number} of {name} at {format_instant(told)}", left=float(item.number),
        op="<" if window else ">", right=f"{front.number} at {format_instant(front.lo)}", verdict=Verdict.TRUE,
    )  # fmt: skip
    settle(rule, order_of(name), case, [leaf], now, emitter)


def _leave_out(rule: ClockRule, name: str, gap: Gap, item: Item, emitter: Emitter) -> None:
    """Note numbers that were left out."""
    rare = emitter.state.rare
    case = _case(rule, missing_of(name), rare)
    seen = item.received
    fact = Fact(seen, seen, f"{gap.first} {seen}", item.batch, gap.text(), due=seen + (rule.wait or 0))
    if (rule.id, WHOLE) not in rare.areas:
        rare.areas[rule.id, WHOLE] = Heard(runs=[(seen, seen)])
    _keep(rule, case, [*case.facts, fact], rare)


def _keep(rule: ClockRule, case: Case, facts: Iterable[Fact], rare: Rare) -> None:
    """Keep gaps, oldest first; of too many the newest goes that is not yet overdue, else the newest."""
    kept = sorted(facts, key=lambda fact: (fact.t, Gap.of(fact).first))
    while len(kept) > MAX_GAPS:
        at = next((i for i in range(len(kept) - 1, -1, -1) if not kept[i].counts), len(kept) - 1)
        del kept[at]
        rare.counts["gap_dropped"] += 1
    rare.cases[rule.id].keep(case, kept)
    case.due = min((fact.due for fact in kept), default=NEVER)
    if all(fact.due == NEVER for one in rare.of(rule.id).values() for fact in one.facts):
        rare.areas.pop((rule.id, WHOLE), None)


def _fill(rule: ClockRule, name: str, item: Item, now: Now, emitter: Emitter) -> bool:
    """Take a number that was missing; returns whether it was."""
    rare = emitter.state.rare
    case = rare.of(rule.id).get(missing_of(name))
    if case is None or not case.facts:
        return False
    holding = [(gap.until, i, gap) for i, fact in enumerate(case.facts) if (gap := Gap.of(fact)).holds(item)]
    if not holding:
        return False
    _, at, gap = min(holding, key=lambda one: one[:2])
    old = case.facts[at]
    rest = [
        Fact(old.t, old.received, f"{one.first} {old.t}", old.batch, one.text(), old.counts, old.due)
        for one in gap.without(item.number)
    ]
    _settle_missing(rule, name, case, [*case.facts[:at], *rest, *case.facts[at + 1 :]], now, emitter)
    return True


def _settle_missing(rule: ClockRule, name: str, case: Case, facts: list[Fact], now: Now, emitter: Emitter) -> None:
    """Keep what is still missing, and say what that makes of the alarm: none left ends it, its lateness stays on file."""
    subject = missing_of(name)
    _keep(rule, case, facts, emitter.state.rare)
    overdue = [fact for fact in case.facts if fact.counts]
    if case.standing is None or overdue:
        settle(rule, subject, case, [missing_leaf(rule, name, overdue)], now, emitter)
    else:
        close(rule, subject, case, [missing_leaf(rule, name, overdue)], now, emitter)


def _close_run(rule: ClockRule, name: str, item: Item, rare: Rare) -> None:
    """Numbers begin anew with an item: what is missing of the run before is what is older than it."""
    case = rare.of(rule.id).get(missing_of(name))
    for fact in () if case is None else case.facts:
        gap = Gap.of(fact)
        if gap.until == NEVER:
            fact.text = Gap(gap.first, gap.last, gap.before, item.lo).text()


def _restart(rule: ClockRule, name: str, now: Now, emitter: Emitter) -> None:
    """Take a restart of what sends a feed: it explains what was left out then, and that numbers began anew."""
    rare, apart = emitter.state.rare, rule.apart or 0
    feed = rare.feeds.get((rule.id, name))
    if feed is None:
        return
    rare.counts["restart_dropped"] += feed.restart(now.at)
    missing, order = rare.of(rule.id).get(missing_of(name)), rare.of(rule.id).get(order_of(name))
    if missing is not None and missing.facts:
        kept = [f for f in missing.facts if not Gap.of(f).before - apart <= now.at <= f.t + apart]
        if len(kept) < len(missing.facts):
            _settle_missing(rule, name, missing, kept, now, emitter)
    if order is None:
        return
    explained = [fact for fact in order.facts if _explains(rule, fact, now)]
    if explained:
        for fact in explained:
            order.remember(fact.digest)
        rare.cases[rule.id].keep(order, [fact for fact in order.facts if fact not in explained])
        leaf = Leaf(
            expr=f"restart of what sends {name}", left=format_instant(now.at), op="explains", verdict=Verdict.FALSE
        )
        settle(rule, order_of(name), order, [leaf], now, emitter)


def _explains(rule: ClockRule, fact: Fact, now: Now) -> bool:
    """Say whether a restart explains that numbers began anew: between the two items, and told in time."""
    if not fact.text or now.received > fact.received + (rule.wait or 0):
        return False
    begin, end = (int(word) for word in fact.text.split())
    return begin <= now.at <= end


def alive(state: FacilityState, received: int) -> None:
    """Note that a record of the facility came: time in which nothing came is no time in which a number could have come."""
    if state.plan is None:
        return
    rare = state.rare
    for rule in state.plan.sequences:
        heard = rare.areas.get((rule.id, WHOLE))
        if heard is None:
            continue
        begin, last = heard.runs[0]
        heard.runs = [(begin, received)]
        if received - last <= rule.silent:
            continue
        for case in rare.of(rule.id).values():
            for fact in case.facts:
                fact.due += received - last if fact.due != NEVER else 0
            case.due = min((fact.due for fact in case.facts), default=NEVER)
        rare.refresh()


def fire(rule: ClockRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """Decide what is due: numbers are missing for long enough; not while nothing at all comes."""
    _, last = emitter.state.rare.areas[rule.id, WHOLE].runs[0]
    if now.received - last > rule.silent:
        return
    for fact in case.facts:
        if fact.due <= now.received:
            fact.counts, fact.due = True, NEVER
    _settle_missing(rule, subject_of(subject)["feed"], case, case.facts, now, emitter)


def forget_front(rule: ClockRule, subject: str, rare: Rare) -> None:
    """An officer has closed what contradicted time: what comes is compared with what comes then."""
    feed = rare.feeds.get((rule.id, subject_of(subject)["feed"]))
    if feed is not None:
        feed.fronts = {}


def missing_leaf(rule: ClockRule, name: str, overdue: list[Fact]) -> Leaf:
    """Return what is overdue of a feed: how many numbers, the first of them, and for how long."""
    gaps = [Gap.of(fact) for fact in overdue]
    wait = format_duration(rule.wait or 0)
    if not gaps:
        return Leaf(
            expr=f"numbers missing of {name}", left=0.0, op="for longer than", right=wait, verdict=Verdict.FALSE
        )
    many = sum(gap.last - gap.first + 1 for gap in gaps)
    spans = ", ".join(f"{gap.first}-{gap.last}" if gap.last > gap.first else str(gap.first) for gap in gaps[:4])
    return Leaf(
        expr=f"numbers missing of {name}: {spans}{' ...' if len(gaps) > 4 else ''}", left=float(many),  # noqa: PLR2004
        op="for longer than", right=wait, verdict=Verdict.TRUE,
    )  # fmt: skip


__all__ = [
    "MAX_GAPS", "READINGS", "Gap", "alive", "feed_of_source", "fire", "forget_front", "group_of", "is_restart", "item_of_batch",
    "item_of_event", "meet", "meet_batch", "missing_of", "near_of", "order_of", "restarted_feeds",
]  # fmt: skip
