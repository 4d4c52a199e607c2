"""Kind `clock`, check `offset`: how far a device's clock is from ours, by its heartbeats; cleared by heartbeats that agree.

The offset of a heartbeat is the time that the device tells less the receive time of the batch. Heartbeats are read in the order
in which they came: what a clock tells of itself is no order. Kept are the newest `beats`, and the first of every six hours of a week.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Leaf, Verdict
from rules.instants import parse_instant
from rules.layout import NEVER
from rules.rare.match import applies, area_of, device_of, digest_of
from rules.rare.speak import Now, close, open_case, tell
from rules.rare.store import Fact, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.emission import Emitter
    from rules.rare.store import Case
    from rules.records import Event
    from rules.register import Facility
    from rules.rule import ClockRule

SLOT_MS = 6 * 3_600_000
SLOTS = 28
"""A week of slots, the present one included."""
LEAST_MS = 7 * 24 * 3_600_000 * 3 // 4
"""What the first and the last point of a fit must lie apart."""
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Drift:
    """A straight line through (receive time, offset): its rise as a fraction of whole numbers, ms a ms."""

    rise: int
    run: int

    def beyond(self, a_day: int) -> bool:
        """Say whether it rises or falls by more than so many ms a day."""
        return abs(self.rise) * DAY_MS > a_day * self.run

    @property
    def a_day(self) -> float:
        """Return ms a day."""
        return self.rise * DAY_MS / self.run


def offset_of(event: Event, received: int) -> int | None:
    """Return the offset that a heartbeat tells, ms; None: it is no heartbeat, or tells no time that can be read."""
    if (event.stream, event.type) != ("device", "heartbeat"):
        return None
    told = event.fields.get("device_time")
    if isinstance(told, int) and not isinstance(told, bool):
        return told - received
    try:
        return parse_instant(told) - received if isinstance(told, str) else None
    except ValueError:
        return None


def meet(rule: ClockRule, event: Event, batch: str, now: Now, facility: Facility, emitter: Emitter) -> None:
    """Fold one event."""
    offset = offset_of(event, now.received)
    if offset is None or not applies(rule, facility, area_of(event, facility), now.at):
        return
    rare, digest = emitter.state.rare, digest_of(event)
    subject = text_of({"device": device_of(event)})
    case = rare.case(rule.id, subject)
    if case is None:
        return
    if case.knows(digest):
        rare.counts["event_duplicate"] += 1
        return
    before = [*case.facts, Fact(now.received, now.received, digest, batch, str(offset))]
    kept = thinned(before, rule.beats)
    for fact in before:
        if fact not in kept:
            case.remember(fact.digest)
    rare.cases[rule.id].keep(case, kept)
    _judge(rule, subject, case, now, emitter)


def fire(rule: ClockRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """Say that a device of which an alarm stands is not heard of any more."""
    standing = case.standing
    if standing is not None:
        standing.unknown = True
        leaf = Leaf(expr="clock of the device", left=None, op="heard", verdict=Verdict.UNKNOWN)
        tell(rule, subject, case, standing, ChangeKind.UNKNOWN, [leaf], now, emitter)


def thinned(facts: Sequence[Fact], beats: int) -> list[Fact]:
    """Return what is kept of heartbeats in the order in which they came."""
    oldest = facts[-1].t // SLOT_MS - SLOTS
    slots: set[int] = set()
    kept = []
    for i, fact in enumerate(facts):
        slot = fact.t // SLOT_MS
        if i >= len(facts) - beats or (slot > oldest and slot not in slots):
            kept.append(fact)
        slots.add(slot)
    return kept


def drift_of(facts: Sequence[Fact]) -> Drift | None:
    """Return the line through the first heartbeat of every slot of a week; None where it spans too little of it."""
    oldest = facts[-1].t // SLOT_MS - SLOTS
    points: dict[int, tuple[int, int]] = {}
    for fact in facts:
        if fact.t // SLOT_MS > oldest:
            points.setdefault(fact.t // SLOT_MS, (fact.t - facts[-1].t, int(fact.text)))
    times = [x for x, _ in points.values()]
    if max(times) - min(times) < LEAST_MS:
        return None
    n, sx, sy = len(points), sum(times), sum(y for _, y in points.values())
    return Drift(
        n * sum(x * y for x, y in points.values()) - sx * sy, n * sum(x * x for x, _ in points.values()) - sx * sx
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """What the heartbeats of a device say: the median of the newest (None: too few), the drift, and what follows."""

    median: int | None
    drift: Drift | None
    holds: bool
    calm: bool
    worse: bool


def judged(rule: ClockRule, facts: Sequence[Fact]) -> Judged:
    """Judge heartbeats in the order in which they came."""
    newest = [int(fact.text) for fact in facts[-rule.beats :]]
    median = sorted(newest)[rule.beats // 2] if len(newest) == rule.beats else None
    drift = None if rule.drift is None else drift_of(facts)
    fast = drift is not None and drift.beyond(rule.drift or 0)
    far = median is not None and abs(median) > (rule.beyond or 0)
    calm = median is not None and all(abs(one) < (rule.clear_below or 0) for one in newest) and not fast
    worse = rule.worse is not None and median is not None and abs(median) > rule.worse.beyond
    return Judged(median, drift, far or fast, calm, worse)


def _judge(rule: ClockRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    found, standing = judged(rule, case.facts), case.standing
    leaves = _leaves(rule, found)
    rank = rule.worse.severity.rank if rule.worse is not None and found.worse else rule.severity.base.rank
    if standing is not None and standing.unknown:
        standing.unknown = False
        tell(rule, subject, case, standing, ChangeKind.KNOWN, leaves, now, emitter)
    if standing is None and found.holds:
        standing = open_case(rule, subject, case, now.received, rank, leaves, now, emitter)
    elif standing is not None and found.calm:
        close(rule, subject, case, leaves, now, emitter)
        standing = None
    elif standing is not None and standing.sev != rank:
        standing.sev, standing.top = rank, max(standing.top, rank)
        tell(rule, subject, case, standing, ChangeKind.STEPPED, leaves, now, emitter)
    case.due = NEVER if standing is None else now.received + rule.silent


def _leaves(rule: ClockRule, found: Judged) -> list[Leaf]:
    far = found.median is not None and abs(found.median) > (rule.beyond or 0)
    median = None if found.median is None else float(abs(found.median))
    leaves = [
        Leaf(
            expr=f"clock offset, median of {rule.beats}", left=median, op=">", right=float(rule.beyond or 0), unit="ms",
            verdict=Verdict.UNKNOWN if median is None else Verdict.TRUE if far else Verdict.FALSE,
        )
    ]  # fmt: skip
    if rule.drift is not None:
        fast = None if found.drift is None else found.drift.beyond(rule.drift)
        leaves.append(
            Leaf(
                expr="clock drift a day", left=None if found.drift is None else round(found.drift.a_day, 3), op=">",
                right=float(rule.drift), unit="ms",
                verdict=Verdict.UNKNOWN if fast is None else Verdict.TRUE if fast else Verdict.FALSE,
            )
        )  # fmt: skip
    return leaves
