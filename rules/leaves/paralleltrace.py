"""What the leaves of a rule over parallel measurements were: at each event, and at each comparison, as the engine makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.engine import Engine
from rules.layout import NEVER
from rules.leaves.model import Moment
from rules.leaves.parallel import first_of, seen_of
from rules.leaves.rare import come

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.pack import Bundle
    from rules.records import LogRecord
    from rules.rule import ParallelRule


def moments_of(rule: ParallelRule, log: Sequence[LogRecord], bundle: Bundle, end: int) -> Iterator[Moment]:
    """Yield what the leaves were in one facility's log, and up to `end` (log time, ms)."""
    for one, facility in come(log):
        seen = first_of(one, facility)
        if seen is not None:
            yield Moment("event", one.t, (seen,))
    engine, name = Engine(bundle), next(record.facility for record in log if record.facility)
    before: set[str] = set()
    for record in [*log, None]:
        to = end if record is None else record.received
        while (due := _due(engine, name, rule)) < to:
            engine.advance(0, due + 1)
            yield from _new(engine, name, rule, due, before)
        if record is not None:
            engine.fold(record)
            yield from _new(engine, name, rule, to, before)
    engine.advance(0, end)
    yield from _new(engine, name, rule, end, before)


def _due(engine: Engine, facility: str, rule: ParallelRule) -> int:
    if facility not in engine.facilities(0):
        return NEVER
    return min((case.due for case in engine.state_of(facility).rare.of(rule.id).values()), default=NEVER)


def _new(engine: Engine, facility: str, rule: ParallelRule, at: int, before: set[str]) -> Iterator[Moment]:
    """Yield what was compared since the last look; `before` is what was compared then."""
    for known in engine.state_of(facility).rare.compared.get(rule.id, {}).values():
        for digest, one in known.items():
            if digest not in before:
                before.add(digest)
                yield Moment("clock", at, seen_of(one))
