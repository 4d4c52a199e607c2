"""Leaves of legal clocks: whether the rule means the case, whether the calendar reaches, whether its time is over, by the engine's books."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rules.calendar import calendar_for
from rules.changes import Verdict
from rules.clocks.due import facts_in, matches, reminded_at, terms_of
from rules.engine import Engine
from rules.instants import format_instant
from rules.layout import NEVER, NONE
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.clocks.store import Clock
    from rules.pack import Bundle
    from rules.records import LogRecord
    from rules.rule import DeadlineRule
    from rules.state import FacilityState


def leaves_of(rule: DeadlineRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    times = ", ".join(dict.fromkeys(str(edition.time) for edition in rule.within))
    found = []
    if rule.only:
        found.append(Leaf("meant", both("the case is one that the rule means", "属于本规则所指情形"), TWO))
    if any(edition.time.unit == "wd" for edition in rule.within):
        reaches = frozenset({Verdict.TRUE, Verdict.UNKNOWN})
        found.append(Leaf("calendar", both("the calendar of working days reaches", "工作日历覆盖该期限"), reaches))
    if rule.reminder is not None:
        found.append(Leaf("reminder", both("it is soon over, and not answered", "即将到期且尚未提交"), TWO))
    found.append(Leaf("over", both(f"not answered within {times}", f"{times} 内未提交"), TWO))
    return found


def seen_of(rule: DeadlineRule, clock: Clock, state: FacilityState, bundle: Bundle, at: int) -> list[Seen]:
    """Return what the leaves of a case are at a log time (ms); those that are not asked are left out."""
    if clock.start == NONE:
        return []
    found = []
    facts = facts_in(clock.said)
    days = calendar_for(state.planned.facility.jurisdiction, bundle.calendars.values())
    terms = terms_of(rule, clock, days, state.clocks.closed)
    if rule.only:
        said = "; ".join(", ".join(f"{name} = {value}" for name, value in one.items()) for one in facts)
        meant = terms is not None or any(matches(where, one) for where in rule.only for one in facts)
        found.append(Seen("meant", verdict(meant), said, "in", "; ".join(json.dumps(where) for where in rule.only)))
    if terms is None:
        return found
    if terms.time.unit == "wd":
        reached = Verdict.UNKNOWN if terms.due is None else Verdict.TRUE
        found.append(Seen("calendar", reached, format_instant(clock.start), "reaches", str(terms.time)))
    if terms.due is None:
        return found
    until = at if clock.answered == NONE else clock.judged
    reminded = reminded_at(rule, clock, terms.due)
    if reminded is not None:
        soon = clock.answered == NONE and at >= reminded
        found.append(Seen("reminder", verdict(soon), format_instant(at), ">=", format_instant(reminded)))
    over = until > terms.due
    found.append(Seen("over", verdict(over), format_instant(until), ">", format_instant(terms.due)))
    return found


def moments_of(rule: DeadlineRule, log: Sequence[LogRecord], bundle: Bundle, end: int) -> Iterator[Moment]:
    """Return what the leaves of each case were behind each record of one facility's log, and behind each decision by the clock."""
    engine, facility = Engine(bundle), next(record.facility for record in log if record.facility)
    for record in [*log, None]:
        to = end if record is None else record.received
        while (due := _due(engine, facility, rule)) <= to:
            engine.advance(0, due)
            yield from _all(engine, facility, rule, bundle, due)
            if _due(engine, facility, rule) == due:  # its instant is not over yet
                break
        if record is not None:
            engine.fold(record)
            yield from _all(engine, facility, rule, bundle, to)


def _due(engine: Engine, facility: str, rule: DeadlineRule) -> int:
    known = facility in engine.facilities(0)
    clocks = engine.state_of(facility).clocks.of(rule.id) if known else {}
    return min((clock.due for clock in clocks.values()), default=NEVER)


def _all(engine: Engine, facility: str, rule: DeadlineRule, bundle: Bundle, at: int) -> Iterator[Moment]:
    state = engine.state_of(facility)
    for clock in state.clocks.of(rule.id).values():
        yield Moment("clock", at, tuple(seen_of(rule, clock, state, bundle, at)))
