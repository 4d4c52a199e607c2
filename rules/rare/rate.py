"""Kind `completeness`, check `effective-rate`: how much of the time that a month expects of a series was measured (ADR 0047).

Judged at the end of each local month, and again behind the midnights of the ten days in which rows may still come. Time is
counted, not rows: neither their order nor a row that comes again changes anything.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from rules.changes import ChangeKind, Leaf, Verdict
from rules.facts import facts_of
from rules.failing import attempt
from rules.instants import format_instant
from rules.layout import NEVER
from rules.predicate import holds
from rules.rare.match import FUTURE_MS
from rules.rare.missing import WAYS, Missing, past
from rules.rare.months import (
    DAY_MS,
    REVIEWED_MS,
    day_of,
    judged_month,
    midnight_before,
    month_of,
    next_midnight,
    reviewed_month,
)
from rules.rare.register_check import Finding, settle_finding, settle_findings
from rules.rare.share import covered
from rules.rare.speak import Now, tell
from rules.rare.store import subject_of, text_of

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator, Sequence

    from rules.emission import Emitter
    from rules.layout import Words
    from rules.rare.missing import Loss
    from rules.rare.store import Case
    from rules.records import Readings
    from rules.rule import CompletenessRule
    from rules.snapshot import Body
    from rules.state import FacilityState


@dataclass(frozen=True, slots=True)
class Rate:
    """What the month of one series lacks, in ms: `least` to `most` of `expected`, from `begin` to `end`.

    Expected are the hours of the whole month (settled.md), less those that are exempt; what lies before the series was watched
    does not lack: a missing day of a sensor's first three is no share of a month.
    """

    subject: str
    begin: int
    end: int
    expected: int | None
    """None: no interval is registered, so nobody knows what a row stands for; 0: nothing was expected, or it was not watched yet."""
    least: int = 0
    most: int = 0
    """The same as `least`, but where a bound took where the missing time lies, and that matters."""


def take(state: FacilityState, posted: Readings, index: Words, received: int, emitter: Emitter) -> None:
    """Let the rows of a batch cover time, whatever else becomes of them.

    Args:
        state: of the facility.
        posted: the batch with the qualities that the devices sent.
        index: the slot of each row's series, -1 for an unknown tag.
        received: the receive time, ms.
        emitter: of the record.
    """
    for rule, takes in state.planned.rates:
        attempt(emitter, rule.id, received, partial(_take, rule, takes, posted, index, received, state))


def _take(
    rule: CompletenessRule, takes: int, posted: Readings, index: Words, received: int, state: FacilityState
) -> None:
    for missing in state.rare.missing[rule.id]:
        for slot, holes in missing.take(posted, index, takes, received + FUTURE_MS):
            missing.lose(slot, _by_month(missing, slot, holes), holes[0], holes[-1])
            state.rare.counts["hole_dropped"] += len(holes) // 2


def _by_month(missing: Missing, slot: int, holes: array[int]) -> Iterator[tuple[int, int]]:
    """Yield how much of some holes (ms) lies in which month (its begin): a slot belongs to the month in which it ends."""
    first, last = 0, len(holes)
    while first < last:
        month, following = month_of(missing.begin_of(slot, holes[first]) + int(missing.interval[slot]) - 1)
        until = missing.begin_of(slot, following)
        inside = bisect_right(holes, until, first) // 2 * 2
        part = holes[first:inside]
        if inside < last and holes[inside] < until:  # this one goes on in the next month
            part.extend((holes[inside], until))
            holes[inside] = until
        yield month, sum(part[1::2]) - sum(part[::2])
        first = inside


def schedule(rule: CompletenessRule, now: int, emitter: Emitter) -> None:
    """Note when a rule judges next: behind the next of eleven midnights from the end of a month on; behind a twelfth it lets go of it."""
    state = emitter.state
    at, delivery = next_midnight(now, state), state.planned.facility.delivery
    begin, end = month_of(at - delivery)
    late = at - delivery - begin > REVIEWED_MS + DAY_MS
    state.rare.checked[rule.id] = end + delivery if late else at


def adopt(rule: CompletenessRule, now: Now, emitter: Emitter) -> None:
    """Go on with the series of a new plan: what stays watched keeps what it had; a new one counts from here on."""
    state = emitter.state
    before: Sequence[Missing | None] = state.rare.missing.get(rule.id) or [None] * len(WAYS)
    looks = watched(rule, state)
    new = [Missing(state.planned.sensors, looks, way) for way in WAYS]
    for one, old in zip(new, before, strict=True):
        _go_on(one, old, now.received)
    state.rare.missing[rule.id] = tuple(new)
    check(rule, now, emitter)


def _go_on(new: Missing, old: Missing | None, received: int) -> None:
    slots = {} if old is None else {one.tag: slot for slot, one in enumerate(old.sensors)}
    for slot in new.interval.nonzero()[0].tolist():
        before = slots.get(new.sensors[slot].tag)
        if old is not None and before is not None and old.interval[before]:
            new.carry(slot, old, before)
        else:
            new.begin(slot, received)
    if old is not None:
        new.over = old.over


def watched(rule: CompletenessRule, state: FacilityState) -> list[bool]:
    """Return whether a rule looks at each series of a facility."""
    plan = state.planned
    return [holds(rule.applies_to, facts_of(plan.facility, sensor, plan.at)) for sensor in plan.sensors]


def restore(state: FacilityState, body: Body) -> None:
    """Put back what a snapshot holds; the facility's plan, if it has one, is in force.

    Raises:
        ValueError: it is of a rule or of series that are not in force, or holds numbers that no fold leaves.
    """
    rules = {} if state.plan is None else {rule.id: rule for rule, _ in state.plan.rates}
    first = [] if isinstance(body.missing, msgspec.UnsetType) else body.missing
    older = isinstance(body.shifted, msgspec.UnsetType)
    second = {one[0]: one for one in (first if isinstance(body.shifted, msgspec.UnsetType) else body.shifted)}
    if second.keys() != {one[0] for one in first}:
        raise ValueError("missing time by one way alone")
    for one in first:
        if one[0] not in rules:
            raise ValueError(f"missing time of {one[0]}, which is not in force")
        looks = watched(rules[one[0]], state)
        both = tuple(Missing(state.planned.sensors, looks, way) for way in WAYS)
        for missing, packed in zip(both, (one, second[one[0]]), strict=True):
            missing.unpack(packed, older=older)
        state.rare.missing[one[0]] = both


def check(rule: CompletenessRule, now: Now, emitter: Emitter) -> None:
    """Judge the month that ended last, series by series, by what is known now; behind its ten days only let go of it."""
    state = emitter.state
    both = state.rare.missing[rule.id]
    begin, end = judged_month(now.received, state)
    for missing in both:
        missing.forget(begin)
    if begin == both[0].over and end <= midnight_before(now.received, state):
        found = list(rates(rule, state, begin, end))
        state.rare.judged[rule.id] = {one.subject: one for one in found if one.most or not one.expected}
        cases = state.rare.of(rule.id)
        standing = {name for name, case in cases.items() if case.standing is not None}
        concerned = (one for one in found if one.subject in standing or judged(rule, one) is Verdict.TRUE)
        findings = [finding_of(rule, one, stands=one.subject in standing) for one in concerned]
        settle_findings(rule, findings, now, emitter)
    else:
        _leave(rule, both[0], now, emitter)
    schedule(rule, now.received, emitter)


def close_door(state: FacilityState, until: int) -> None:
    """Our front door was closed up to a log time (ms): what a month lacks may still come, so it is judged behind the next midnight.

    But not where the month would be done with by then.
    """
    for rule, _ in () if state.plan is None else state.planned.rates:
        due = state.rare.checked.get(rule.id, NEVER)
        if due < (waits := _waits(state, due, until)):
            state.rare.checked[rule.id] = waits
    state.rare.refresh()


def reopen_door(state: FacilityState, begin: int, until: int, emitter: Emitter) -> None:
    """Take back what was raised while our front door was closed (log times, ms), and is judged again."""
    for rule, _ in () if state.plan is None else state.planned.rates:
        for subject, case in sorted(state.rare.of(rule.id).items()):
            raised = NEVER if case.standing is None else case.standing.opened
            if begin < raised <= until and _waits(state, raised, until):
                attempt(emitter, rule.id, until, partial(_take_back, rule, subject, case, Now(until, until), emitter))


def _waits(state: FacilityState, due: int, until: int) -> int:
    """Return when the month that is judged at an instant is judged instead, our door being open again from another on; 0: no more.

    Behind the first midnight from which on the door was open as long as records of a day have behind any.
    """
    waits = next_midnight(until + state.planned.facility.delivery - 1, state)
    month = None if due == NEVER else reviewed_month(due, state)
    return waits if month is not None and month == reviewed_month(waits, state) else 0


def _take_back(rule: CompletenessRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    standing = case.standing
    assert standing is not None  # noqa: S101 - asked before
    standing.retracted, standing.unknown = True, False
    emitter.state.rare.judged.pop(rule.id, None)  # it was judged too early
    leaf = Leaf(
        expr="front door", left="closed", op="until", right=format_instant(now.received), verdict=Verdict.UNKNOWN
    )
    tell(rule, subject, case, standing, ChangeKind.RETRACTED, [leaf], now, emitter)


def _leave(rule: CompletenessRule, missing: Missing, now: Now, emitter: Emitter) -> None:
    """End the alarms of series that the rule does not look at any more; what was found of them is none of those that return."""
    tags = {sensor.tag for sensor, looks in zip(missing.sensors, missing.watched, strict=True) if looks}
    found = emitter.state.rare.judged.get(rule.id, {})
    for subject in [subject for subject in found if subject_of(subject)["tag"] not in tags]:
        del found[subject]
    for subject, case in sorted(emitter.state.rare.of(rule.id).items()):
        if case.standing is not None and subject_of(subject)["tag"] not in tags:
            settle_finding(rule, subject, case, None, now, emitter)


def rates(rule: CompletenessRule, state: FacilityState, begin: int, end: int) -> Iterator[Rate]:
    """Yield what the month from `begin` to `end` (ms) lacks, of each series that a rule looks at."""
    both = state.rare.missing[rule.id]
    for slot, sensor in enumerate(both[0].sensors):
        if not both[0].watched[slot]:
            continue
        subject, since = text_of({"tag": sensor.tag}), max(begin, int(both[0].since[slot]))
        if not both[0].interval[slot]:
            yield Rate(subject, begin, end, None)
            continue
        marks = state.marks.of(sensor.tag, sensor.area) if state.marks.by_id else []
        if not marks and any(one.is_whole(slot, end) for one in both):
            yield Rate(subject, begin, end, 0 if since >= end else end - begin)
            continue
        free, wrong = (state.marks.times(sensor.tag, sensor.area, flags) for flags in (rule.exempt, rule.invalid))
        expected = 0 if since >= end else end - begin - covered(free, begin, end)
        lacks: list[tuple[int, int]] = []
        for one in both:  # a slot belongs to the month in which it ends
            low, high = one.begin_of(slot, since), one.begin_of(slot, end)
            known = covered([*free, *wrong, *one.of(slot)], low, high) - covered(free, low, high)
            least, most = _bounds(one.losses.get(slot), past([*free, *wrong], low, high), begin, low)
            lacks.append((min(known + least, expected), min(known + most, expected)))
        # The way that measured more counts, whichever it is.
        yield Rate(subject, begin, end, expected, min(low for low, _ in lacks), min(high for _, high in lacks))


def _bounds(loss: Loss | None, marks: list[tuple[int, int]], month: int, begin: int) -> tuple[int, int]:
    """Return how much is missing at least and at most of what a bound took from a month: where it lay nobody knows any more.

    Args:
        loss: of a series.
        marks: that cover a part of the month.
        month: begin of the month.
        begin: of its first slot.
    """
    if loss is None:
        return 0, 0
    lost, marked = loss.months.get(month, 0), covered(marks, max(begin, loss.begin), loss.until)
    return max(0, lost - loss.filled - marked), lost


def judged(rule: CompletenessRule, one: Rate) -> Verdict:
    """Return whether less than a rule's share of a month was measured."""
    if not one.expected:
        return Verdict.UNKNOWN
    wanted = Fraction(str(rule.share))
    if 1 - Fraction(one.least, one.expected) < wanted:
        return Verdict.TRUE
    return Verdict.FALSE if 1 - Fraction(one.most, one.expected) >= wanted else Verdict.UNKNOWN


def percent_of(one: Rate) -> float | None:
    """Return how much of what was expected was measured at most, per cent."""
    return 100 * (1 - one.least / one.expected) if one.expected else None


def finding_of(rule: CompletenessRule, one: Rate, *, stands: bool) -> Finding:
    """Return what a rule says of a series: an alarm that stands goes on through months that are no better."""
    verdict, left = judged(rule, one), percent_of(one)
    leaf = Leaf(
        expr=f"effective rate of the month from {day_of(one.begin)}", left=None if left is None else round(left, 4),
        op="<", right=round(100 * rule.share, 4), unit="%", verdict=verdict,
    )  # fmt: skip
    return Finding(one.subject, verdict, leaf, None if stands else one.end, rule.severity.base.rank, NEVER)
