"""The condition of a rule over reports, ready to be asked: its leaves, what it reads, and what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from rules.canonical import EXACT
from rules.documents.checking import BEFORE, COMPARING, EARLIER, ENTRY, PREVIOUS, REPORT, Checked, check, intersection
from rules.documents.series import SERIES
from rules.documents.shapes import Shape, shape_of
from rules.documents.syntax import COMPARISONS, Node, nodes, parse
from rules.documents.values import evaluator, junction, negation
from rules.reports.types import TYPES
from rules.rule import DocumentRule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.documentparts import Each
    from rules.documents.values import Evaluator, Scope, Value
    from rules.rule import ReportRule

_LOGIC: Final = frozenset({"&&", "||", "not"})
KEPT: Final = 256
"""Conditions that are kept ready; one that went out is made again."""


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf: a comparison, or what is true or false by itself, with its words and its operands."""

    text: str
    left: str
    op: str
    right: str
    verdict: Evaluator
    operands: tuple[Evaluator, Evaluator] | None
    uncertain: bool
    """It can be unknown."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a rule asks of a report."""

    leaves: tuple[Part, ...]
    verdict: Evaluator
    reads: frozenset[str]
    """The variables that stand in it, and `earlier` where `before` is an entry of that; ..."""
    compared: tuple[str, ...] = ()
    """... those of them whose numbers are compared with the report's own ..."""
    left_out: tuple[str, ...] = ()
    """... but for numbers under a name with one of these words."""


def known_of(reports: tuple[str, ...], each: Each | None) -> dict[str, Shape]:
    """Return the variables that a condition over these types may name, with what all the types have in common."""
    whole = intersection([shape_of(TYPES[name].model) for name in reports])
    known = {REPORT: whole, EARLIER: whole}
    if all(name in SERIES for name in reports):
        known[PREVIOUS] = whole
    entry = None if each is None else entry_of(whole, each)
    if each is not None and entry is not None:
        known[ENTRY] = entry
        if each.before is not None:
            known[BEFORE] = entry
    return known


def entry_of(whole: Shape, each: Each) -> Shape | None:
    """Return the shape of the entries of a list, None where it is no list of objects."""
    member = whole.members.get(each.of)
    entry = None if member is None or member.shape.kind != "list" else member.shape.of
    return entry if entry is not None and entry.kind == "object" else None


def condition_of(rule: ReportRule) -> Condition:
    """Return the condition of a rule that lint found sound; made once for all that are written alike."""
    if isinstance(rule, DocumentRule):
        return _written(rule.condition, tuple(rule.reports), rule.each, tuple(rule.leave_out))
    return _balanced(tuple(rule.parts), tuple(rule.whole), rule.tolerance, tuple(rule.reports), rule.each)


@lru_cache(maxsize=KEPT)
def _written(text: str, reports: tuple[str, ...], each: Each | None, left_out: tuple[str, ...]) -> Condition:
    tree = parse(text)
    checked = check(tree, known_of(reports, each))
    leaves = {part.text: part for part in (_part(node, text, checked, left_out) for node in _leaves(tree))}
    verdict = _logic(tree, {words: part.verdict for words, part in leaves.items()}, text)
    compared = sorted({node.parts[0].name for node in nodes(tree) if node.kind == "call" and node.name in COMPARING})
    reads = checked.variables | (
        {EARLIER} if BEFORE in checked.variables and each and each.before == EARLIER else set()
    )
    return Condition(tuple(leaves.values()), verdict, frozenset(reads), tuple(compared), left_out)


def _leaves(node: Node) -> list[Node]:
    """Return the leaves of a tree, in the order of the text."""
    if node.kind not in _LOGIC:
        return [node]
    return [leaf for part in node.parts for leaf in _leaves(part)]


def _part(node: Node, text: str, checked: Checked, left_out: tuple[str, ...]) -> Part:
    words = text[node.at : node.end]
    uncertain = (node.at, node.end) in checked.uncertain
    if node.kind not in COMPARISONS:
        return Part(words, words, "is", "true", evaluator(node, left_out), None, uncertain)
    left, right = node.parts
    operands = (evaluator(left, left_out), evaluator(right, left_out))
    sides = (text[left.at : left.end], text[right.at : right.end])
    return Part(words, sides[0], node.kind, sides[1], evaluator(node, left_out), operands, uncertain)


def _logic(node: Node, leaves: Mapping[str, Evaluator], text: str) -> Evaluator:
    if node.kind not in _LOGIC:
        return leaves[text[node.at : node.end]]
    inner = [_logic(part, leaves, text) for part in node.parts]
    return negation(inner[0]) if node.kind == "not" else junction(node.kind, inner[0], inner[1])


@lru_cache(maxsize=KEPT)
def _balanced(
    parts: tuple[str, ...], whole: tuple[str, ...], tolerance: float, reports: tuple[str, ...], each: Each | None
) -> Condition:
    known = known_of(reports, each)
    about = REPORT if each is None else ENTRY
    sums = (_sum(parts, about), _sum(whole, about))
    slack = Fraction(repr(tolerance))

    def exceeds(scope: Scope) -> Value:
        inside, all_of_it = sums[0](scope), sums[1](scope)
        return None if inside is None or all_of_it is None else inside > all_of_it + slack

    left, right = " + ".join(parts), " + ".join([*whole, *([f"{tolerance:g}"] if tolerance else [])])
    operands = (_shown(sums[0], 0), _shown(sums[1], slack))
    uncertain = any(known[about].members[member].optional for member in (*parts, *whole))
    part = Part(f"{left} > {right}", left, ">", right, exceeds, operands, uncertain)
    return Condition((part,), exceeds, frozenset({about}))


def _sum(members: tuple[str, ...], about: str) -> Evaluator:
    """Return what tells an exact sum: of the decimal figures as they are written, not of their doubles."""

    def summed(scope: Scope) -> Value:
        of = scope.entry if about == ENTRY else scope.report.fields
        total: int | Fraction = 0
        for member in members:
            value = None if of is None else of.get(member)
            if value is None:
                return None
            total += int(value) if value.is_integer() and abs(value) < EXACT else Fraction(repr(value))
        return total

    return summed


def _shown(sum_of: Evaluator, more: int | Fraction) -> Evaluator:
    """Return what tells a sum as a double; one beyond every double is not shown."""

    def number(scope: Scope) -> Value:
        value = sum_of(scope)
        try:
            return None if value is None else float(value + more)
        except OverflowError:
            return None

    return number
