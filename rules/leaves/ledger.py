"""Leaves of rules over facts that come in any order, by the engine's books (rules/ledger)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.engine import Engine
from rules.layout import NEVER
from rules.leaves.model import TWO, Leaf, Moment, both
from rules.ledger.kinds import judge
from rules.rare import grade
from rules.rare.store import Case
from rules.rule import AnnualRule, ChangeRule, GradeRule, ReleaseRule, RetestRule, RunsRule, VisitRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.leaves.model import Seen
    from rules.pack import Bundle
    from rules.records import LogRecord
    from rules.rule import LedgerRule
    from rules.state import FacilityState


def leaves_of(rule: LedgerRule | GradeRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    if isinstance(rule, GradeRule):
        return [
            Leaf(
                "grade",
                both("a risk grade is registered", "已登记风险等级"),
                frozenset({Verdict.TRUE, Verdict.UNKNOWN}),
            ),
            Leaf("red", both(f"at least {rule.red} red", f"红色报警至少 {rule.red} 个"), TWO),
            Leaf("orange", both(f"at least {rule.orange} orange or red", f"橙色及以上报警至少 {rule.orange} 个"), TWO),
        ]
    if isinstance(rule, RetestRule):
        return [
            Leaf("after", both("a passing result behind one out of specification", "超标之后出现合格结果"), TWO),
            Leaf("investigated", both("an investigation was opened between the two, and known in time", "两次检验之间已启动调查并按时报告")),
        ]  # fmt: skip
    if isinstance(rule, VisitRule):
        return [
            Leaf("known", both("the risk grade and the last full visit are known", "风险等级与上次全项检查日期已知"), frozenset({Verdict.TRUE, Verdict.UNKNOWN})),
            Leaf("soon", both("a visit is soon due", "即将到期"), TWO),
            Leaf("overdue", both("it is due and was not made", "已到期未检查"), TWO),
        ]  # fmt: skip
    if isinstance(rule, ChangeRule | RunsRule | AnnualRule):
        return _of_told(rule)
    if isinstance(rule, ReleaseRule):
        words = (
            "a deviation that names the lot, or a result out of specification, is open at its release",
            "放行时涉及该批的偏差或超标结果尚未关闭",
        )
        return [Leaf("open", both(*words), TWO)]
    return [
        Leaf("differs", both("the count is not what the last count and the bookings since leave", "盘点数与上次盘点及其后收发记录不符")),
        Leaf("recent", both("the newest count is not too old", "最近一次盘点未过期"), TWO),
    ]  # fmt: skip


def _of_told(rule: ChangeRule | RunsRule | AnnualRule) -> list[Leaf]:
    if isinstance(rule, ChangeRule):
        return [Leaf("filed", both("a change has a filing in force before it", "变更前已有生效的批准或备案"), TWO)]
    return _of_runs() if isinstance(rule, RunsRule) else _of_years(rule)


def _of_runs() -> list[Leaf]:
    closed = both("each run is reported, or aborted with a reason, in time", "每次运行均已按时报告，或说明理由后中止")
    return [Leaf("closed", closed, TWO), Leaf("complete", both("no number of a run is missing", "运行序号无缺失"), TWO)]


def _of_years(rule: AnnualRule) -> list[Leaf]:
    known, more = frozenset({Verdict.TRUE, Verdict.UNKNOWN}), f"{rule.percent:g}"
    return [
        Leaf("connected", both("the facility was heard all year", "该单位全年保持数据接入"), known),
        Leaf(
            "named",
            both(
                "all that was produced names its product, lot and quantity; no quantity or volume is above 1e15 or finer than 1e-9",
                "生产记录均注明产品、批号与数量，数量与产量均不大于 10^15、不细于 10^-9",
            ),
            known,
        ),
        Leaf("differs", both(
            f"batches (by {rule.batches} or more) or volume in the report are more than {more} % off what was told to be produced",
            f"年度报告中的批次数（相差不少于 {rule.batches} 批）或产量与上报的生产记录相差超过 {more} %",
        )),
    ]  # fmt: skip


def seen_of(rule: LedgerRule | GradeRule, state: FacilityState, now: int) -> Iterator[tuple[str, tuple[Seen, ...]]]:
    """Yield each subject (as text) with its leaves at a log time (ms)."""
    if isinstance(rule, GradeRule):
        yield (
            grade.WHOLE,
            grade.seen_of(rule, state.rare.of(rule.id).get(grade.WHOLE, Case()), state.planned.facility, now),
        )
        return
    for subject, case in sorted(state.rare.of(rule.id).items()):
        yield subject, judge(rule, subject, case.facts, now, state.planned.facility, state.rare).seen


def moments_of(rule: LedgerRule | GradeRule, log: Sequence[LogRecord], bundle: Bundle, end: int) -> Iterator[Moment]:
    """Return what the leaves of each subject were behind each record of one facility's log, and behind each decision by the clock."""
    engine, facility = Engine(bundle), next(record.facility for record in log if record.facility)
    for record in [*log, None]:
        to = end if record is None else record.received
        while (due := _due(engine, facility)) <= to:
            engine.advance(0, due)
            if _due(engine, facility) == due:  # what came at this instant is decided when it is over
                engine.advance(0, min(due + 1, to))
            yield from _all(engine, facility, rule, due)
            if _due(engine, facility) == due:  # its instant is not over yet
                break
        if record is not None:
            engine.fold(record)
            yield from _all(engine, facility, rule, to)


def _due(engine: Engine, facility: str) -> int:
    return engine.state_of(facility).rare.due if facility in engine.facilities(0) else NEVER


def _all(engine: Engine, facility: str, rule: LedgerRule | GradeRule, at: int) -> Iterator[Moment]:
    for _, seen in seen_of(rule, engine.state_of(facility), at):
        yield Moment("clock", at, seen)
