"""Leaves of rules that judge how much of a month is marked or was measured: what each judgement found (rules/rare/share.py, rate.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.engine import Engine
from rules.layout import NEVER
from rules.leaves.model import Moment
from rules.leaves.rare import seen_of_share

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from rules.pack import Bundle
    from rules.rare.rate import Rate
    from rules.rare.share import Share
    from rules.records import LogRecord
    from rules.rule import CompletenessRule


def moments_of(rule: CompletenessRule, log: Sequence[LogRecord], bundle: Bundle, end: int) -> Iterator[Moment]:
    """Return what the leaves were at each judgement of one facility's log, up to `end` (log time, ms), series by series."""
    engine, facility = Engine(bundle), next(record.facility for record in log if record.facility)
    before: dict[str, Share | Rate] | None = None
    for record in [*log, None]:
        to = end if record is None else record.received
        while (due := _due(engine, facility, rule)) <= to:
            engine.advance(0, due)
            before = yield from _new(engine, facility, rule, due, before)
        if record is not None:
            engine.fold(record)
            before = yield from _new(engine, facility, rule, to, before)


def _due(engine: Engine, facility: str, rule: CompletenessRule) -> int:
    known = facility in engine.facilities(0)
    return engine.state_of(facility).rare.checked.get(rule.id, NEVER) if known else NEVER


def _new(
    engine: Engine, facility: str, rule: CompletenessRule, at: int, before: dict[str, Share | Rate] | None
) -> Generator[Moment, None, dict[str, Share | Rate] | None]:
    found = engine.state_of(facility).rare.judged.get(rule.id)
    if found is not before:
        for one in (found or {}).values():
            yield Moment("register", at, tuple(seen_of_share(rule, one)))
    return found
