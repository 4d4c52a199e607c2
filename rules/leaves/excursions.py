"""Leaves of rules that hold reports against excursions, by the engine's books."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.engine import Engine
from rules.excursions import figures
from rules.excursions.compare import answered, is_meant, measure
from rules.excursions.compare import leaves_of as compared
from rules.layout import NEVER, NONE
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict
from rules.rare.store import text_of
from rules.rule import CompareRule, FollowUpRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.excursions.book import Book
    from rules.pack import Bundle
    from rules.records import LogRecord
    from rules.state import FacilityState


FIGURES = {
    "max": ("the stated greatest value is not the measured one", "所报最大值与实测不符"),
    "min": ("the stated least value is not the measured one", "所报最小值与实测不符"),
    "mean-kinetic": ("the stated mean kinetic temperature is not the measured one", "所报平均动力学温度与实测不符"),
    "outside": ("the stated time outside the limits is not the measured one", "所报超限时长与实测不符"),
    "excursions": ("the stated number of excursions is not that of what was told", "所报超限次数与已判定的不符"),
}


def leaves_of(rule: FollowUpRule | CompareRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    if isinstance(rule, CompareRule) and rule.figures:
        return [Leaf(one.of, both(*FIGURES[one.of])) for one in rule.figures]
    if isinstance(rule, CompareRule):
        return [
            Leaf("duration", both("the stated duration is not the measured one", "所报时长与实测不符")),
            Leaf("peak", both("the stated peak is not the measured one", "所报极值与实测不符")),
        ]
    assert rule.excursions is not None  # noqa: S101 - asked before
    least = rule.excursions.least
    return [
        Leaf("excursion", both(f"an excursion of {least} or stronger", f"存在 {least} 及以上等级的超限"), TWO),
        Leaf("reported", both(f"a {rule.report} report names it", "有偏差报告涉及该超限"), TWO),
    ]


def seen_of(
    rule: FollowUpRule | CompareRule, book: Book, state: FacilityState
) -> Iterator[tuple[str, str, list[Seen]]]:  # fmt: skip
    """Yield name and subject (as text) of each case with its leaves."""
    if isinstance(rule, CompareRule) and rule.figures:
        yield from _of_claims(rule, book, state)
        return
    if isinstance(rule, CompareRule):
        assert rule.duration is not None  # noqa: S101 - validated
        for said in book.deviations.values():
            if said.decided == NONE:
                continue
            _, found = compared(said, measure(said, rule, book, state), rule.duration)
            names = ("duration", "peak")
            yield (
                said.id,
                text_of({"report": said.id}),
                [
                    Seen(name, leaf.verdict, leaf.left, "against", leaf.right, leaf.unit)
                    for name, leaf in zip(names, found, strict=True)
                ],
            )
        return
    assert rule.excursions is not None  # noqa: S101 - asked before
    for one in book.excursions.values():
        meant = is_meant(rule, one)
        seen = [Seen("excursion", verdict(meant), one.alarm, "of", str(rule.excursions.least))]
        if meant:
            said_of = answered(one, book, state.planned.facility)
            there = Verdict.FALSE if said_of is None else Verdict.TRUE
            seen.append(Seen("reported", there, None if said_of is None else said_of.id, "within", str(rule.in_time)))
        yield one.alarm, one.subject, seen


def _of_claims(rule: CompareRule, book: Book, state: FacilityState) -> Iterator[tuple[str, str, list[Seen]]]:
    names = [one.of for one in rule.figures]
    for said in book.claims.values():
        if said.decided == NONE:
            continue
        found = figures.comparisons(rule, said, figures.measured(rule, said, book, state))
        seen = [
            Seen(n, one.verdict, one.left, "against", one.right) for n, one in zip(names, found, strict=True) if one
        ]
        yield said.id, text_of({"report": said.id}), seen


def moments_of(
    rule: FollowUpRule | CompareRule, log: Sequence[LogRecord], bundle: Bundle, end: int
) -> Iterator[Moment]:  # fmt: skip
    """Return what the leaves of each case were behind each record of one facility's log, and behind each decision by the clock."""
    engine, facility = Engine(bundle), next(record.facility for record in log if record.facility)
    for record in [*log, None]:
        to = end if record is None else record.received
        while (due := _due(engine, facility, rule)) <= to:
            engine.advance(0, due)
            yield from _all(engine, facility, rule, due)
            if _due(engine, facility, rule) == due:  # its instant is not over yet
                break
        if record is not None:
            engine.fold(record)
            yield from _all(engine, facility, rule, to)


def _due(engine: Engine, facility: str, rule: FollowUpRule | CompareRule) -> int:
    book = engine.state_of(facility).excursions.get(rule.id) if facility in engine.facilities(0) else None
    return NEVER if book is None else book.due


def _all(engine: Engine, facility: str, rule: FollowUpRule | CompareRule, at: int) -> Iterator[Moment]:
    state = engine.state_of(facility)
    book = state.excursions.get(rule.id)
    for _, _, seen in () if book is None else seen_of(rule, book, state):
        yield Moment("clock", at, tuple(seen))
