"""Rows that rules of plain Python ask about: kinds `conflict` and `clock`. What such a row is, the compiled pass and its counters say.

A row is asked about in its place: what it makes is told between the changes of its neighbours, however rows are batched. But rows that are too late
come by the thousand: what those of one receive time make of a series is told once, when it is over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from rules.changes import ChangeKind, Leaf, RecordRead, Verdict
from rules.clocks.due import hours
from rules.failing import attempt
from rules.instants import format_duration, format_instant
from rules.kinds.table import KINDS
from rules.layout import NEVER, REPEAT_DAY, ROW_CONFLICT, ROW_FOLDED, ROW_STALE
from rules.opengap import MEET
from rules.rare.count import bound
from rules.rare.named import differs, pairs_of, says
from rules.rare.speak import Now, settle, tell
from rules.rare.store import MAX_CHECKED, MAX_ROWS, Fact, subject_of, text_of
from rules.records import Kind
from rules.rule import LATE_EVIDENCE, ClockRule, ConflictRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy.typing as npt

    from rules.emission import Emitter
    from rules.layout import Codes, Floats
    from rules.plan import Plan
    from rules.rare.named import Named, Pair
    from rules.rare.store import Case
    from rules.records import Readings
    from rules.register import Sensor
    from rules.reports.quality import Amendment
    from rules.rule import RowRule
    from rules.state import FacilityState

Step: TypeAlias = tuple[int, str, "Callable[[], object]"]
"""A rule's place in the order of rules, its id, and what it does."""


NAMED = "amended"
"""In place of the value that stood: an amendment in time names what came against it."""
FILLS = "gap"
"""Of a row that came too late: it lies in an open gap that was decided with it (rules/opengaps.py). Behind that the rules that could not be."""
NAMES = 12
"""Rules that evidence names at most."""


@dataclass(frozen=True, slots=True)
class OddRow:
    """A row that a rule asks about: event and receive time (ms), value, batch."""

    sensor: Sensor
    t: int
    received: int
    value: float
    batch: str
    fate: int
    """What became of it (rules/layout.py)."""
    stood: float
    """Of a conflict the value that stands, else NaN."""


PLAIN = bytes(range(ROW_FOLDED + 1))
"""What became of rows of which a rule asks nothing but their times."""


def asked(plan: Plan, rows: int) -> Floats:
    """Return room for the values that the rows of a batch come again with; none where no rule asks."""
    return np.empty(rows if plan.odd else 0)


def steps(
    plan: Plan, payload: Readings, index: npt.NDArray[np.int64], folded: Codes, first: Floats, begin: int, stop: int,
    received: int, emitter: Emitter,
) -> dict[int, list[Step]]:  # fmt: skip
    """Return what rules have to say of the rows [begin, stop), by row.

    Args:
        plan: of the facility.
        payload: the batch.
        index: the slot of each row's series, -1 for an unknown tag.
        folded: what became of each row.
        first: of a row that is a conflict, the value that stands; NaN where one of both is no record.
        begin: the first row.
        stop: behind the last.
        received: the receive time, ms.
        emitter: of the record.
    """
    found: dict[int, list[Step]] = {}
    if not plan.odd:
        return found
    if begin == stop:
        return found
    time = payload.time[begin:stop]
    plain = not folded[begin:stop].tobytes().translate(None, PLAIN)
    if plain and received - time.min() <= plan.odd_behind and time.max() - received <= plan.odd_ahead:
        return found
    age = received - time
    which = (folded[begin:stop] > ROW_FOLDED) | (age > plan.odd_behind) | (age < -plan.odd_ahead)
    for row in (begin + np.flatnonzero(which)).tolist():
        slot = int(index[row])
        for rank, rule in plan.odd.get(slot, ()):
            odd = OddRow(
                plan.sensors[slot], int(payload.time[row]), received, float(payload.value[row]), payload.batch,
                int(folded[row]), float(first[row]) if folded[row] == ROW_CONFLICT else math.nan,
            )  # fmt: skip
            if is_occasion(rule, odd, emitter.state.rare.named):
                found.setdefault(row, []).append((rank, rule.id, partial(meet, rule, odd, emitter)))
    return found


def is_occasion(rule: RowRule, odd: OddRow, named: Named) -> bool:
    """Say whether a rule means a row; one that an amendment named before it came is none, but for one of the future."""
    sensor = odd.sensor
    if isinstance(rule, ConflictRule):
        if odd.fate != ROW_CONFLICT or differs(odd.value, odd.stood, sensor.resolution) is not Verdict.TRUE:
            return False
        return not named.names(sensor.tag, odd.t, odd.value, sensor.resolution, odd.stood)
    age = odd.received - odd.t
    if rule.check == LATE_EVIDENCE:
        return odd.fate == ROW_STALE and age <= rule.behind
    if age > rule.behind:
        return not named.names(sensor.tag, odd.t, odd.value, sensor.resolution)
    return -age > (rule.ahead or 0)


def start_of(rule: RowRule, odd: OddRow) -> int:
    """Return since when an alarm of a row stands, ms: of times that cannot be, when it came (settled.md)."""
    return odd.received if isinstance(rule, ClockRule) and rule.check == "event-time" else odd.t


def meet(rule: RowRule, odd: OddRow, emitter: Emitter) -> None:
    """Take a row that is an occasion; of `late-evidence` nothing is told before its receive time is over."""
    rare = emitter.state.rare
    subject = text_of({"tag": odd.sensor.tag})
    case = rare.case(rule.id, subject, MAX_CHECKED)
    text = repr(odd.stood) if isinstance(rule, ConflictRule) else ""
    fact = Fact(start_of(rule, odd), odd.received, digest_of(odd.t, odd.value), odd.batch, text, counts=True)
    if case is None or case.knows(fact.digest):
        return
    rare.cases[rule.id].keep(case, sorted([*case.facts, fact], key=lambda one: (one.t, one.digest)))
    had = case.facts
    bound(rule.id, case, emitter, MAX_ROWS)
    if isinstance(rule, ConflictRule) and any(one.text != NAMED and one not in case.facts for one in had):
        case.facts[0].text = ""  # none of those that go can be amended any more: the colour stays
    if isinstance(rule, ClockRule) and rule.check == LATE_EVIDENCE:
        if case.due == NEVER:
            case.due = odd.received
            rare.refresh()
        return
    records = [RecordRead(kind=Kind.READINGS, id=odd.batch)]
    now = Now(odd.t, odd.received, records)
    settle(rule, subject, case, [_leaf(rule, odd)], now, emitter)
    if isinstance(rule, ConflictRule):
        _step(rule, subject, case, [_leaf(rule, odd)], now, emitter)


def amend(state: FacilityState, model: Amendment, now: Now, emitter: Emitter) -> None:
    """Note which readings an amendment names, and let alarms of second values that are all named in time take their milder colour."""
    if not state.planned.naming:
        return
    state.rare.counts["amended_dropped"] += state.rare.named.note(model)
    pairs = pairs_of(model)
    for rule in state.planned.rare:
        if isinstance(rule, ConflictRule) and rule.amended is not None:
            attempt(emitter, rule.id, now.received, partial(_amend, rule, pairs, now, emitter))


def _amend(rule: ConflictRule, pairs: dict[tuple[str, int], list[Pair]], now: Now, emitter: Emitter) -> None:
    assert rule.amended is not None  # noqa: S101 - asked before
    plan, cases = emitter.state.planned, emitter.state.rare.of(rule.id)
    for tag in sorted({tag for tag, _ in pairs}):
        subject = text_of({"tag": tag})
        case = cases.get(subject)
        if case is None or case.standing is None:
            continue
        slot = plan.slots.get(tag)
        resolution = None if slot is None else plan.sensors[slot].resolution
        found = [
            fact
            for fact in case.facts
            if fact.text not in {"", NAMED}
            and now.received - fact.received <= rule.amended.within
            and says(pairs.get((tag, fact.t), ()), float(fact.digest.split()[1]), resolution, float(fact.text))
        ]
        if not found:
            continue
        taken = round(hours(now.received - min(fact.received for fact in found)), 6)
        for fact in found:
            fact.text = NAMED
        leaf = Leaf(
            expr="time until amendment", left=taken, op="beyond", right=format_duration(rule.amended.within), unit="h",
            verdict=Verdict.FALSE,
        )  # fmt: skip
        _step(rule, subject, case, [leaf], now, emitter)


def _step(rule: ConflictRule, subject: str, case: Case, leaves: list[Leaf], now: Now, emitter: Emitter) -> None:
    """Tell the colour of an alarm where it is another one: milder while all that it is about is named."""
    standing = case.standing
    if standing is None:
        return
    mild = rule.amended is not None and all(fact.text == NAMED for fact in case.facts if fact.counts)
    rank = rule.amended.severity.rank if rule.amended is not None and mild else rule.severity.base.rank
    if standing.sev != rank:
        standing.sev = rank
        tell(rule, subject, case, standing, ChangeKind.STEPPED, leaves, now, emitter)


def fill(state: FacilityState, slot: int, filled: Mapping[int, Iterable[str]]) -> None:
    """Note which rows that came too late were decided in an open gap.

    Args:
        state: of the facility.
        slot: the series.
        filled: event times of the rows, with the rules of kinds that open gaps decide that could not be.
    """
    subject = text_of({"tag": state.planned.sensors[slot].tag})
    for rule in state.planned.rare:
        if not isinstance(rule, ClockRule) or rule.check != LATE_EVIDENCE:
            continue
        case = state.rare.of(rule.id).get(subject)
        for fact in () if case is None else case.facts:
            if fact.received == state.clock and fact.t in filled:
                fact.text = " ".join([FILLS, *sorted(filled[fact.t])])


def unjudged(state: FacilityState, slot: int) -> set[str]:
    """Return the rules of a series that judge nothing of an open gap, pairs among them."""
    plan = state.planned
    own = {
        one.rule.id
        for one in plan.by_slot[slot]
        if one.kind not in MEET and (KINDS[one.kind].again or one.kind == REPEAT_DAY)
    }
    return own | {pair.rule.id for pair in plan.pairs if slot in pair.slots}


def _too_late(state: FacilityState, tag: str, facts: list[Fact]) -> list[Leaf]:
    """Return what is told of rows that came too late: from when until when no rule judged any, and where some did, which did not."""
    found = []
    for expr, some in (
        (f"event time of {tag}", [fact for fact in facts if not fact.text]),
        (f"event time in open gaps of {tag}", [fact for fact in facts if fact.text]),
    ):
        times = [format_instant(t) for t in sorted({some[0].t, some[-1].t})] if some else []
        found += [Leaf(expr=expr, left=when, op="<=", right="horizon", verdict=Verdict.TRUE) for when in times]
    names = {name for fact in facts for name in fact.text.split()[1:]}
    if any(fact.text for fact in facts):
        slot = state.planned.slots.get(tag)
        rest = sorted(names | (set() if slot is None else unjudged(state, slot)))
        more = f" and {len(rest) - NAMES} more" if len(rest) > NAMES else ""
        named = ", ".join(rest[:NAMES]) + more if rest else "none"
        expr = f"rules that judged nothing in open gaps of {tag}"
        found.append(Leaf(expr=expr, op="are", right=named, verdict=Verdict.TRUE))
    return found


def fire(rule: ClockRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """Tell what the rows of one receive time that came too late make of a series: since when there are any, and until when."""
    if not case.facts:  # an officer closed it meanwhile
        return
    first = case.facts[0]
    leaves = _too_late(emitter.state, subject_of(subject)["tag"], case.facts)
    records = [RecordRead(kind=Kind.READINGS, id=first.batch)]
    settle(rule, subject, case, leaves, Now(first.t, now.received, records), emitter)


def decide_waiting(state: FacilityState, emitter: Emitter) -> None:
    """Tell what waits for the instant that is now to be over: something comes that has to know it."""
    now = Now(state.clock, state.clock)
    for rule in state.planned.rare:
        if isinstance(rule, ClockRule) and rule.check == LATE_EVIDENCE:
            for subject, case in sorted(state.rare.of(rule.id).items()):
                if case.due <= state.clock:
                    case.due = NEVER
                    attempt(emitter, rule.id, state.clock, partial(fire, rule, subject, case, now, emitter))
    state.rare.refresh()


def _leaf(rule: RowRule, odd: OddRow) -> Leaf:
    tag, age = odd.sensor.tag, float(odd.received - odd.t)
    if isinstance(rule, ConflictRule):
        unit, expr = odd.sensor.unit, f"second value of {tag}"
        return Leaf(expr=expr, left=odd.value, op="!=", right=odd.stood, unit=unit, verdict=Verdict.TRUE)
    if age < 0:
        expr, ahead = f"time ahead of {tag}", float(rule.ahead or 0)
        return Leaf(expr=expr, left=-age, op=">", right=ahead, unit="ms", verdict=Verdict.TRUE)
    return Leaf(expr=f"age of {tag}", left=age, op=">", right=float(rule.behind), unit="ms", verdict=Verdict.TRUE)


def digest_of(t: int, value: float) -> str:
    """Return what tells a row of a series from others: one that is posted again is the same."""
    return f"{t} {value!r}"
