"""What a rule over reports needs beyond its model: types and lists that exist, and a condition that can be true and false of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.documents.checking import check
from rules.documents.condition import entry_of, known_of
from rules.documents.series import SERIES
from rules.documents.syntax import ExpressionError, parse
from rules.errors import Fault
from rules.reports.types import TYPES
from rules.rule import BalanceRule, DocumentRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.documentparts import Each
    from rules.documents.checking import Checked
    from rules.documents.shapes import Shape
    from rules.rule import ReportRule

_NEAR = 24
"""Characters of a condition that a fault shows from its position on."""


def report_faults(rule: ReportRule) -> list[Fault]:
    """Return what is wrong with a rule over reports; pointers are into the rule, positions in a condition count from 1."""
    faults = [
        Fault(f"/reports/{i}", "unknown_value", f"no type of report; known are {', '.join(TYPES)}")
        for i, name in enumerate(rule.reports)
        if name not in TYPES
    ]
    twice = {name for name in rule.reports if rule.reports.count(name) > 1}
    faults += [Fault("/reports", "document", f"{name} stands here more than once") for name in sorted(twice)]
    told = "it looks at reports: it knows facts of the facility"
    strange = [name for name in rule.applies_to if name.split(".")[0] not in {"facility", "products"}]
    faults += [Fault(f"/applies_to/{name}", "predicate", told) for name in strange]
    if rule.judged == "newest" and not rule.speaks_by_newest:
        faults.append(
            Fault("/judged", "document", "newest belongs to alarms about entries: of a report each has its own alarm")
        )
    reports = [name for name in rule.reports if name in TYPES]
    if not reports:
        return faults + ([] if isinstance(rule, BalanceRule) else list(_text_faults(rule)))
    known = known_of(tuple(reports), rule.each)
    if rule.each is not None:
        faults += _each_faults(rule.each, reports, known["report"])
    if isinstance(rule, BalanceRule):
        return faults + list(_balance_faults(rule, known))
    return faults + list(_condition_faults(rule, known))


def _each_faults(each: Each, reports: list[str], whole: Shape) -> Iterator[Fault]:
    entry = entry_of(whole, each)
    if entry is None:
        yield Fault("/each/of", "unknown_member", f"{each.of} is no list of objects in every one of these types")
        return
    member = entry.members.get(each.key)
    if member is None or member.optional or member.shape.kind != "text":
        known = ", ".join(name for name, one in entry.members.items() if one.shape.kind == "text" and not one.optional)
        yield Fault("/each/key", "unknown_member", f"a text that every entry has is needed; there is {known or 'none'}")
    if each.subject not in {"report", each.key}:
        yield Fault("/each/subject", "document", f"the report, or {each.key}, by which entries are told apart")
    if each.before == "previous" and any(name not in SERIES for name in reports):
        yield Fault(
            "/each/before", "document", f"of these types one has no order; those that have: {', '.join(SERIES)}"
        )


def _balance_faults(rule: BalanceRule, known: dict[str, Shape]) -> Iterator[Fault]:
    about = known.get("report" if rule.each is None else "entry")
    if about is None:  # told of the list
        return
    for name in ("parts", "whole"):
        for i, wanted in enumerate(getattr(rule, name)):
            member = about.members.get(wanted)
            if member is None or member.shape.kind != "number":
                numbers = [one for one, found in about.members.items() if found.shape.kind == "number"]
                told = f"{wanted} is no number here; there is {', '.join(numbers) or 'none'}"
                yield Fault(f"/{name}/{i}", "unknown_member", told)
    both = sorted({*rule.parts} & {*rule.whole})
    if both:
        yield Fault("/parts", "document", f"{both[0]} is on both sides")


def _condition_faults(rule: DocumentRule, known: dict[str, Shape]) -> Iterator[Fault]:
    try:
        found = check(parse(rule.condition), known)
    except ExpressionError as error:
        yield _fault(rule, error)
        return
    yield from (_fault(rule, error) for error in found.faults)
    if not found.faults:
        yield from _unused(rule, found)


def _text_faults(rule: DocumentRule) -> Iterator[Fault]:
    """Yield what is wrong with a condition whatever it is about."""
    try:
        parse(rule.condition)
    except ExpressionError as error:
        yield _fault(rule, error)


def _unused(rule: DocumentRule, found: Checked) -> Iterator[Fault]:
    if rule.each is not None and "entry" not in found.variables:
        yield Fault("/each", "document", "the condition does not look at entry")
    if rule.each is not None and rule.each.before is not None and "before" not in found.variables:
        yield Fault("/each/before", "document", "the condition does not look at before")
    if rule.leave_out and not found.calls & {"share_equal", "count_compared"}:
        yield Fault("/leave_out", "document", "the condition compares no numbers of whole reports")


def _fault(rule: DocumentRule, error: ExpressionError) -> Fault:
    near = rule.condition[error.at : error.at + _NEAR].split("\n")[0]
    place = f"at character {error.at + 1}" + (f", {near!r}" if near else ", its end")
    return Fault("/condition", error.code, f"{place}: {error.detail}")
