"""Check a condition against the models of the reports that it reads: every part has one type, and the whole is true or false."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rules.documents.shapes import ORDERED, Member, Shape
from rules.documents.syntax import ARITHMETIC, ExpressionError, Node

if TYPE_CHECKING:
    from collections.abc import Mapping

EARLIER, PREVIOUS, REPORT, ENTRY, BEFORE = "earlier", "previous", "report", "entry", "before"
VARIABLES: Final = (REPORT, EARLIER, PREVIOUS, ENTRY, BEFORE)
"""What a condition may name: the report itself, its revision before, the report before it, an entry of its list, and the entry of
the same key in what `each.before` says."""
MAY_MISS: Final = frozenset({EARLIER, PREVIOUS, BEFORE})
"""Variables that are unknown where nothing came before."""
COMPARING: Final = frozenset({"share_equal", "count_compared"})
"""Functions of another report: which share of the numbers is equal, and how many were compared (rules/documents/figures.py)."""
FUNCTIONS: Final = frozenset({*COMPARING, "size"})
_NUMBER, _FLAG, _STRANGE = Shape("number"), Shape("flag"), Shape("mixed")


@dataclass(slots=True)
class Checked:
    """What checking found: faults, what the condition reads, and which parts can be unknown."""

    faults: list[ExpressionError] = field(default_factory=list)
    variables: set[str] = field(default_factory=set)
    """Names of variables that stand in it."""
    calls: set[str] = field(default_factory=set)
    uncertain: set[tuple[int, int]] = field(default_factory=set)
    """From where to where in the text a part stands that can be unknown."""


def check(tree: Node, known: Mapping[str, Shape]) -> Checked:
    """Return what is wrong with a condition, and what it reads.

    Args:
        tree: of the condition.
        known: the shape of each variable that there is.
    """
    found = Checked()
    shape = _Checker(known, found).shape(tree)
    if shape.kind != "flag" and not found.faults:
        found.faults.append(ExpressionError(tree.at, "wrong_type", f"a condition is true or false, this is {shape}"))
    if not found.faults and not found.variables & {REPORT, ENTRY} and not found.calls & COMPARING:
        found.faults.append(ExpressionError(tree.at, "constant", "it reads nothing of the report"))
    return found


class _Checker:
    def __init__(self, known: Mapping[str, Shape], found: Checked) -> None:
        self._known, self._found = known, found

    def shape(self, node: Node) -> Shape:
        """Return the type of a part; a strange one is told once, and fits everything."""
        if node.kind == "constant":
            return Shape(
                "flag" if isinstance(node.value, bool) else "text" if isinstance(node.value, str) else "number"
            )
        ways = {"variable": self._variable, "member": self._member, "call": self._call, "list": self._list}
        way = ways.get(node.kind)
        shape = self._operated(node) if way is None else way(node)
        if any((part.at, part.end) in self._found.uncertain for part in node.parts):
            self._found.uncertain.add((node.at, node.end))
        return shape

    def _fault(self, node: Node, code: str, detail: str) -> Shape:
        self._found.faults.append(ExpressionError(node.at, code, detail))
        return _STRANGE

    def _variable(self, node: Node) -> Shape:
        shape = self._known.get(node.name)
        if shape is None:
            told = f"{node.name} is not known here; there is {', '.join(self._known)}"
            if node.name in VARIABLES:
                told = f"there is no {node.name}: {_WHY[node.name]}"
            return self._fault(node, "unknown_name", told)
        self._found.variables.add(node.name)
        if node.name in MAY_MISS:
            self._found.uncertain.add((node.at, node.end))
        return shape

    def _member(self, node: Node) -> Shape:
        of = self.shape(node.parts[0])
        if of is _STRANGE:
            return of
        if of.kind == "map" and of.of is not None:  # whether it is there, only the report says
            self._found.uncertain.add((node.at, node.end))
            return of.of
        member = of.members.get(node.name) if of.kind == "object" else None
        if member is None:
            known = f"; there is {', '.join(of.members)}" if of.kind == "object" else f": it is {of}"
            return self._fault(node, "unknown_member", f"no member {node.name} here{known}")
        if member.optional:
            self._found.uncertain.add((node.at, node.end))
        return member.shape

    def _call(self, node: Node) -> Shape:
        if node.name not in FUNCTIONS:
            told = f"{node.name} is no function of this language; there is {', '.join(sorted(FUNCTIONS))}"
            return self._fault(node, "unknown_function", told)
        self._found.calls.add(node.name)
        if len(node.parts) != 1:
            return self._fault(node, "wrong_type", f"{node.name} takes one thing")
        (of,) = node.parts
        shape = self.shape(of)
        if node.name in COMPARING:
            if shape is not _STRANGE and not (of.kind == "variable" and of.name in {EARLIER, PREVIOUS}):
                return self._fault(of, "wrong_type", f"{node.name} takes {EARLIER} or {PREVIOUS}")
            self._found.uncertain.add((node.at, node.end))
        elif shape is not _STRANGE and shape.kind not in {"list", "map"}:
            return self._fault(of, "wrong_type", f"size takes a list or an object of numbers by name, this is {shape}")
        return _NUMBER

    def _list(self, node: Node) -> Shape:
        shapes = [self.shape(part) for part in node.parts]
        if any(shape.kind != shapes[0].kind for shape in shapes):
            return self._fault(node, "wrong_type", "a list holds values of one type")
        return Shape("list", of=shapes[0])

    def _operated(self, node: Node) -> Shape:
        shapes = [self.shape(part) for part in node.parts]
        if node.kind in {"not", "&&", "||"}:
            for part, shape in zip(node.parts, shapes, strict=True):
                if shape is not _STRANGE and shape.kind != "flag":
                    sign = "!" if node.kind == "not" else node.kind
                    self._fault(part, "wrong_type", f"{sign} takes true or false, this is {shape}")
            return _FLAG
        if node.kind in ARITHMETIC or node.kind == "minus":
            for part, shape in zip(node.parts, shapes, strict=True):
                if shape is not _STRANGE and shape.kind != "number":
                    self._fault(part, "wrong_type", f"numbers are reckoned with, this is {shape}")
            if node.kind == "/":
                self._found.uncertain.add((node.at, node.end))
            return _NUMBER
        self._compared(node, shapes[0], shapes[1])
        return _FLAG

    def _compared(self, node: Node, left: Shape, right: Shape) -> None:
        if left is _STRANGE or right is _STRANGE:
            return
        for part, shape in zip(node.parts, (left, right), strict=True):
            if shape.kind == "mixed":
                self._fault(part, "wrong_type", "it may be a number, words or limits: nothing is compared with it")
                return
        if node.kind == "in":
            inner = right.of if right.kind == "list" else None
            if inner is None or inner.kind != left.kind or inner.kind not in {"number", "text"}:
                self._fault(
                    node, "wrong_type", f"in looks for a number or a text in a list of these, not {left} in {right}"
                )
                return
            parts = node.parts[1].parts if node.parts[1].kind == "list" else ()
            self._choices(left, parts)
            return
        if left.kind != right.kind:
            self._fault(node, "wrong_type", f"{left} is never compared with {right}")
        elif node.kind in {"==", "!="} and left.kind in {"list", "object", "map"}:
            self._fault(node, "wrong_type", f"{left} is not compared as a whole")
        elif node.kind not in {"==", "!="} and left.kind not in ORDERED:
            self._fault(node, "wrong_type", f"{left} is not less or more than another")
        else:
            self._choices(left, node.parts[1:])
            self._choices(right, node.parts[:1])

    def _choices(self, shape: Shape, parts: tuple[Node, ...]) -> None:
        for part in parts:
            if part.kind == "constant" and shape.choices and part.value not in shape.choices:
                known = ", ".join(sorted(map(str, shape.choices)))
                self._fault(part, "unknown_value", f"it is never {part.value!r}: one of {known}")


_WHY: Final = {
    ENTRY: "the rule has no each",
    BEFORE: "each does not say before what",
    PREVIOUS: "reports of this type have no order",
    EARLIER: "it is the revision before",
    REPORT: "it is the report",
}


def intersection(shapes: list[Shape]) -> Shape:
    """Return what objects of several shapes have in common: members of one type; one that is optional in any is."""
    first, *others = shapes
    members = {
        name: Member(member.shape, member.optional or any(other.members[name].optional for other in others))
        for name, member in first.members.items()
        if all(name in other.members and other.members[name].shape == member.shape for other in others)
    }
    return Shape("object", members=members)
