"""What the leaves of a rule over openings of a door were: at each event, and at each decision of the clock, as the engine takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.engine import Engine
from rules.layout import NEVER
from rules.leaves.model import Moment
from rules.leaves.openings import seen_of
from rules.leaves.rare import come, first_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.pack import Bundle
    from rules.rareparts import Trace
    from rules.records import LogRecord
    from rules.rule import FollowUpRule


def moments_of(
    rule: FollowUpRule, trace: Trace, log: Sequence[LogRecord], bundle: Bundle, end: int
) -> Iterator[Moment]:
    """Return what the leaves were in one facility's log, and up to `end` (log time, ms)."""
    for one, _ in come(log):
        yield Moment("event", one.t, tuple(first_of(rule, one)))
    engine, facility = Engine(bundle), next(record.facility for record in log if record.facility)
    before: dict[str, object] = {}
    for record in [*log, None]:
        to = end if record is None else record.received
        while (due := _due(engine, facility, rule)) <= to:
            engine.advance(0, due)
            yield from _new(engine, facility, rule, trace, due, before)
            if _due(engine, facility, rule) == due:  # its instant is not over yet
                break
        if record is not None:
            engine.fold(record)
            yield from _new(engine, facility, rule, trace, to, before)


def _due(engine: Engine, facility: str, rule: FollowUpRule) -> int:
    if facility not in engine.facilities(0):
        return NEVER
    return min((case.due for case in engine.state_of(facility).rare.of(rule.id).values()), default=NEVER)


def _new(
    engine: Engine, facility: str, rule: FollowUpRule, trace: Trace, at: int, before: dict[str, object]
) -> Iterator[Moment]:
    """Yield what was judged since the last look; `before` is what was found then, by subject."""
    for subject, found in engine.state_of(facility).rare.opened.get(rule.id, {}).items():
        if before.get(subject) is not found:
            before[subject] = found
            for leaves in seen_of(trace, found):
                yield Moment("clock", at, leaves)
