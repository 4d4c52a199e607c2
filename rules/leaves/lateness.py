"""Leaves of rules over what a firm declares too late (`rules.rare.lateness`), mark by mark and sensor by sensor through a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.facts import facts_of, in_force
from rules.instants import format_instant
from rules.layout import NEVER
from rules.leaves import amended
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict
from rules.marks import Marks, declaration_of
from rules.predicate import holds
from rules.rare.lateness import due_of, newly
from rules.records import Mark, RegisterRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rules.marks import Declaration
    from rules.records import LogRecord
    from rules.register import Facility
    from rules.rule import LatenessRule


@dataclass(frozen=True, slots=True)
class Declared:
    """A mark as it came, and a sensor that it is about."""

    tag: str
    mark: Declaration
    leaves: tuple[Seen, ...]
    repeated: bool
    """It is known, or a newer revision is: it declares nothing."""

    @property
    def moment(self) -> Moment:
        """Return what the leaves were."""
        return Moment("mark", self.mark.received, self.leaves)

    @property
    def verdicts(self) -> tuple[bool, ...]:
        """Say of each leaf whether it held."""
        return tuple(seen.verdict is Verdict.TRUE for seen in self.leaves)


def leaves_of(rule: LatenessRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    if rule.of == "amendment":
        return amended.leaves_of(rule)
    return [
        Leaf("meant", both("the mark is of a state that the rule means", "标记类别属本规则所指"), TWO),
        Leaf("first", both("it declares time that its revision before did not", "申报了前一修订未申报的时段"), TWO),
        Leaf("late", both(f"received more than {rule.within} behind the beginning of that time", f"晚于该时段开始 {rule.within} 才收到"), TWO),
    ]  # fmt: skip


def told_of(
    rule: LatenessRule, log: Iterable[LogRecord], closed: Sequence[tuple[int, int]] = ()
) -> Iterator[Declared]:  # fmt: skip
    """Yield the marks of one facility's log with each sensor that they are about, as they came.

    Args:
        rule: the rule.
        log: its records.
        closed: times in which the front door was closed, ms.
    """
    marks, facility, version = Marks(), None, -1
    at: int = 0
    for record in log:
        payload, received = record.payload, record.received
        if isinstance(payload, RegisterRecord) and payload.version > version:
            if facility is not None:
                marks.move(_places(facility, at), payload.facility, received)
            version, facility, at = payload.version, payload.facility, received
        elif isinstance(payload, Mark) and facility is not None:
            before = marks.known(payload.id)
            repeated = before is not None and payload.revision <= before.revision
            marks.meet(payload, received)
            one = declaration_of(payload, received)
            for sensor in in_force(facility, received):
                about = marks.about(one, sensor.tag, sensor.area)
                if about and holds(rule.applies_to, facts_of(facility, sensor, received)):
                    begin = newly(rule, before, one, sensor, marks)
                    yield Declared(sensor.tag, one, _seen(rule, one, before, begin, closed), repeated)


def _places(facility: Facility, at: int) -> dict[str, str]:
    return {sensor.tag: sensor.area for sensor in in_force(facility, at)}


def _seen(
    rule: LatenessRule, one: Declaration, before: Declaration | None, begin: int | None, closed: Sequence[tuple[int, int]]
) -> tuple[Seen, ...]:  # fmt: skip
    """Return the leaves of a mark; `begin`: where the time begins that it declares anew."""
    meant = Seen("meant", verdict(one.flag in rule.flags), one.flag, "in", ", ".join(rule.flags))
    if meant.verdict is not Verdict.TRUE:
        return (meant,)
    known = "" if before is None else _span(before)
    new = Seen("first", verdict(begin is not None), _span(one), "beyond", known)
    if begin is None:
        return (meant, new)
    due = due_of(rule, begin, closed)
    return (
        meant,
        new,
        Seen("late", verdict(one.received > due), format_instant(one.received), ">", format_instant(due)),
    )


def _span(one: Declaration) -> str:
    return f"{format_instant(one.begin)} - {'' if one.end == NEVER else format_instant(one.end)}".rstrip()
