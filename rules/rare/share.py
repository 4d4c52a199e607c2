"""Kind `completeness`, check `mark-share`: how much of a local month a series was marked (ADR 0044).

Judged behind each local midnight, for series with marks or with rows that devices flagged; nothing is due, and nothing is kept, of others.
Of flagged rows stand spans, by event time: they do not depend on the order in which rows came.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rules.changes import Leaf, Verdict
from rules.facts import facts_of
from rules.failing import attempt
from rules.layout import NEVER
from rules.predicate import holds
from rules.rare.match import FUTURE_MS
from rules.rare.months import day_of, midnight, midnight_before, month_of
from rules.rare.register_check import Finding, settle_findings
from rules.rare.store import MAX_CHECKED, MAX_SPANS, Case, Fact, subject_of, text_of
from rules.records import Quality

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from rules.emission import Emitter
    from rules.rare.speak import Now
    from rules.records import Readings
    from rules.rule import CompletenessRule
    from rules.state import FacilityState

ROWS, NO_INTERVAL = "rows", "?"
"""What is kept of flagged rows (the `digest` and `text` of a fact): a span of event times, or a local day with rows of a series without a
registered interval."""


@dataclass(frozen=True, slots=True)
class Share:
    """What is marked of the month of one series, in ms: `marked` of `length`, from `begin` to `until`."""

    subject: str
    begin: int
    until: int
    """The midnight behind which it was judged."""
    length: int
    """Of the whole month."""
    marked: int
    unknown: bool
    """There are flagged rows of which nobody knows what time they stand for."""


UNFLAGGED = bytes(range(Quality.MAINTENANCE))
"""Qualities of rows that no device flagged."""


def flags_of(rule: CompletenessRule) -> list[int]:
    """Return the qualities of rows that a rule counts."""
    return [int(Quality[flag.upper()]) for flag in rule.flags]


def take(state: FacilityState, posted: Readings, index: npt.NDArray[np.int64], received: int, emitter: Emitter) -> None:
    """Keep what devices flagged of the rows of a batch, whatever else becomes of them.

    Args:
        state: of the facility.
        posted: the batch with the qualities that the devices sent.
        index: the slot of each row's series, -1 for an unknown tag.
        received: the receive time, ms.
        emitter: of the record.
    """
    if not posted.quality.tobytes().translate(None, UNFLAGGED):
        return
    floor = month_of(midnight_before(received, state) - 1)[0]
    timely = (index >= 0) & (posted.time >= floor) & (posted.time <= received + FUTURE_MS)
    for rule in state.planned.shares:
        rows = np.flatnonzero(timely & np.isin(posted.quality, flags_of(rule)))
        if rows.size:
            step = partial(_keep, rule, index[rows], posted.time[rows], received, emitter)
            attempt(emitter, rule.id, received, step)
    state.rare.refresh()


def _keep(
    rule: CompletenessRule, slots: npt.NDArray[np.int64], times: npt.NDArray[np.int64], received: int, emitter: Emitter
) -> None:
    state, rare = emitter.state, emitter.state.rare
    by_slot: dict[int, list[int]] = {}
    for slot, t in zip(slots.tolist(), times.tolist(), strict=True):
        by_slot.setdefault(slot, []).append(t)
    for slot, found in by_slot.items():
        sensor = state.planned.sensors[slot]
        case = rare.case(rule.id, text_of({"tag": sensor.tag}), MAX_CHECKED)
        if case is None or _follows(case.facts, found, sensor.interval):
            continue
        cases = rare.cases[rule.id]
        for begin, end in _runs(sorted(found), sensor.interval):
            cases.keep(case, _with_run(case.facts, begin, end, sensor.interval))
            while cases.is_full(case, MAX_SPANS):
                cases.keep(case, case.facts[1:])
                rare.counts["fact_dropped"] += 1
    schedule(rule, received, emitter)


def _follows(facts: list[Fact], times: list[int], interval: int | None) -> bool:
    """Let the newest span go on with a single row behind it, as a live feed sends them; says whether it was one."""
    if not facts or len(times) > 1 or interval is None or facts[-1].text:
        return False
    newest, t = facts[-1], times[0]
    if newest.received <= t <= newest.received + reach_of(interval):
        newest.received = t
        return True
    return False


def _runs(times: list[int], interval: int | None) -> list[tuple[int, int]]:
    """Return the spans of some rows, by event time; of a series without an interval the local days that they lie in."""
    if interval is None:
        return [(day, day) for day in sorted({midnight(t) for t in times})]
    found, reach = [(times[0], times[0])], reach_of(interval)
    for t in times[1:]:
        first, last = found[-1]
        if t - last <= reach:
            found[-1] = first, t
        else:
            found.append((t, t))
    return found


def _with_run(facts: list[Fact], begin: int, end: int, interval: int | None) -> list[Fact]:
    """Return the spans with one more: of those that it is no farther from than one and a half intervals it makes one."""
    if interval is None:
        known = any(fact.text and fact.t == begin for fact in facts)
        return facts if known else _sorted([*facts, Fact(begin, end, ROWS, "", NO_INTERVAL)])
    reach = reach_of(interval)
    near = [fact for fact in facts if not fact.text and fact.t - reach <= end and begin <= fact.received + reach]
    first, last = min([begin, *(fact.t for fact in near)]), max([end, *(fact.received for fact in near)])
    return _sorted([*(fact for fact in facts if fact not in near), Fact(first, last, ROWS, "")])


def _sorted(facts: Iterable[Fact]) -> list[Fact]:
    return sorted(facts, key=lambda fact: (fact.t, fact.text))


def reach_of(interval: int) -> int:
    """Return how far two flagged rows may lie from each other and still stand for all the time between them, ms."""
    return interval * 3 // 2


def schedule(rule: CompletenessRule, now: int, emitter: Emitter) -> None:
    """Note when a rule judges next: behind the next midnight, if there is something to judge by then."""
    state = emitter.state
    rare, facility = state.rare, state.planned.facility
    rare.checked.pop(rule.id, None)
    begin = midnight(midnight(now - facility.delivery) + 36 * 3_600_000)
    month = month_of(begin - 1)[0]
    marked = any(one.flag in rule.flags and one.end >= month for one in state.marks.by_id.values())
    if marked or any(case.facts or case.standing is not None for case in rare.of(rule.id).values()):
        rare.checked[rule.id] = begin + facility.delivery


def declare(state: FacilityState, received: int, emitter: Emitter) -> None:
    """Take note that a mark came: what is marked is judged behind the next midnight."""
    for rule in state.planned.shares:
        attempt(emitter, rule.id, received, partial(schedule, rule, received, emitter))
    state.rare.refresh()


def check(rule: CompletenessRule, now: Now, emitter: Emitter) -> None:
    """Judge the month of the newest midnight, series by series, by the marks and rows that are known now, and tell what changed."""
    state = emitter.state
    if not state.marks.by_id and not state.rare.of(rule.id):
        return
    until = midnight_before(now.received, state)
    _forget(rule, month_of(until - 1)[0], state)
    found = list(shares(rule, state, until))
    state.rare.judged[rule.id] = {one.subject: one for one in found}
    settle_findings(rule, [finding_of(rule, one) for one in found], now, emitter)
    schedule(rule, now.received, emitter)


def _forget(rule: CompletenessRule, begin: int, state: FacilityState) -> None:
    """Let go of flagged rows that reach into no month that is still judged, and of cases without any that never spoke."""
    cases, plan = state.rare.of(rule.id), state.planned
    for subject, case in list(cases.items()):
        slot = plan.slots.get(subject_of(subject)["tag"])
        reach = reach_of(1 if slot is None else plan.sensors[slot].interval or 1)
        kept = [fact for fact in case.facts if fact.received + reach > begin]
        if len(kept) < len(case.facts):
            cases.keep(case, kept)
        if not case.facts and case.last is None and not case.uses:
            del cases[subject]
    if not cases:
        state.rare.cases.pop(rule.id, None)


def shares(rule: CompletenessRule, state: FacilityState, until: int) -> Iterator[Share]:
    """Yield what is marked of the month that ends with a midnight or goes on behind it, of series with marks, rows or an alarm.

    Args:
        rule: the rule.
        state: of the facility.
        until: the midnight, ms.
    """
    plan, cases = state.planned, state.rare.of(rule.id)
    begin, end = month_of(until - 1)
    for sensor in plan.sensors:
        subject = text_of({"tag": sensor.tag})
        case = cases.get(subject)
        spans = state.marks.times(sensor.tag, sensor.area, rule.flags)
        if (not spans and case is None) or not holds(rule.applies_to, facts_of(plan.facility, sensor, plan.at)):
            continue
        facts = (case or Case()).facts
        first = max(begin, state.registered.get(sensor.tag, begin))
        spans += [(fact.t, fact.received + (sensor.interval or 0)) for fact in facts if not fact.text]
        unknown = any(fact.text and begin <= fact.t < until for fact in facts)
        yield Share(subject, begin, until, end - begin, covered(spans, first, until), unknown)


def covered(spans: Sequence[tuple[int, int]], begin: int, end: int) -> int:
    """Return how much of the time from `begin` to `end` lies in some spans, ms.

    >>> covered([(0, 10), (5, 20), (30, 40)], 8, 35)
    17
    """
    total, at = 0, begin
    for low, high in sorted(spans):
        total += max(0, min(high, end) - max(low, at))
        at = max(at, min(high, end))
    return total


def judged(rule: CompletenessRule, one: Share) -> tuple[Verdict, Verdict]:
    """Return whether more is marked than a rule's share, and whether at least that of its notice."""
    marked = Fraction(one.marked, one.length)
    more = marked > Fraction(str(rule.share))
    early = rule.notice is not None and marked >= Fraction(str(rule.notice.share))
    otherwise = Verdict.UNKNOWN if one.unknown else Verdict.FALSE
    return Verdict.TRUE if more else otherwise, Verdict.TRUE if early else otherwise


def finding_of(rule: CompletenessRule, one: Share) -> Finding:
    """Return what a rule says of a share: the colour of the notice where only that holds."""
    more, early = judged(rule, one)
    verdict = Verdict.TRUE if Verdict.TRUE in {more, early} else more
    notice = rule.notice if more is not Verdict.TRUE and early is Verdict.TRUE else None
    wanted = rule.share if notice is None else notice.share
    leaf = Leaf(
        expr=f"marked share of the month from {day_of(one.begin)}", left=round(100 * one.marked / one.length, 4),
        op=">" if notice is None else ">=", right=round(100 * wanted, 4), unit="%", verdict=verdict,
    )  # fmt: skip
    rank = (rule.severity.base if notice is None else notice.severity).rank
    return Finding(one.subject, verdict, leaf, one.begin, rank, NEVER)
