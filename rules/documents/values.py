"""What a checked condition is worth: three values, numbers as doubles, nothing but what the reports themselves say.

A member that is not there, a report that never came, and a number that is not finite (a division by zero, an overflow) are unknown, here
`None`. `&&` and `||` are Kleene's, as CEL's are for errors: `false && unknown` is false, `true || unknown` is true.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rules.documents.figures import compared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rules.documents.kept import Version
    from rules.documents.syntax import Node


@dataclass(slots=True)
class Scope:
    """What the variables of a condition stand for; None: unknown."""

    report: Version
    earlier: Version | None = None
    previous: Version | None = None
    entry: Mapping[str, Any] | None = None
    before: Mapping[str, Any] | None = None


Value: TypeAlias = Any
"""A float, a text, a truth value, a list or a mapping of a report; None: unknown."""
Evaluator: TypeAlias = "Callable[[Scope], Value]"
_RECKON: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "in": lambda left, right: left in right,
}  # fmt: skip
_WHOLE: Final = frozenset({"report", "earlier", "previous"})


def both(left: bool | None, right: bool | None) -> bool | None:  # noqa: FBT001 - operands
    """Return `left && right`."""
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def either(left: bool | None, right: bool | None) -> bool | None:  # noqa: FBT001 - operands
    """Return `left || right`."""
    if left or right:
        return True
    return None if left is None or right is None else False


def evaluator(node: Node, left_out: Sequence[str] = ()) -> Evaluator:  # noqa: PLR0911 - one way out per kind
    """Return what tells the value of a checked part; `left_out`: words of names that the comparing functions leave out."""
    inner = [evaluator(part, left_out) for part in node.parts if not _is_whole_argument(node)]
    if node.kind == "constant":
        return lambda _: node.value
    if node.kind == "variable":
        return _variable(node.name)
    if node.kind == "member":
        return _member(inner[0], node.name)
    if node.kind == "list":
        values = [part.value for part in node.parts]
        return lambda _: values
    if node.kind == "call":
        return _comparing(node, tuple(left_out)) if _is_whole_argument(node) else _size(inner[0])
    if node.kind == "not":
        return negation(inner[0])
    if node.kind == "minus":
        return _minus(inner[0])
    return _operated(node.kind, inner[0], inner[1])


def _is_whole_argument(node: Node) -> bool:
    return node.kind == "call" and node.name != "size"


def _variable(name: str) -> Evaluator:
    get: Evaluator = operator.attrgetter(name)
    if name not in _WHOLE:
        return get

    def fields(scope: Scope) -> Value:
        version = get(scope)
        return None if version is None else version.fields

    return fields


def _member(of: Evaluator, name: str) -> Evaluator:
    def got(scope: Scope) -> Value:
        value = of(scope)
        return None if value is None else value.get(name)

    return got


def _comparing(node: Node, left_out: tuple[str, ...]) -> Evaluator:
    get, share = operator.attrgetter(node.parts[0].name), node.name == "share_equal"

    def told(scope: Scope) -> Value:
        other = get(scope)
        if other is None:
            return None
        number, equal = compared(scope.report.numbers(left_out), other.numbers(left_out))
        if not share:
            return float(number)
        return equal / number if number else None

    return told


def _size(of: Evaluator) -> Evaluator:
    def size(scope: Scope) -> Value:
        value = of(scope)
        return None if value is None else float(len(value))

    return size


def negation(of: Evaluator) -> Evaluator:
    """Return `!of`."""

    def opposite(scope: Scope) -> Value:
        value = of(scope)
        return None if value is None else not value

    return opposite


def _minus(of: Evaluator) -> Evaluator:
    def negative(scope: Scope) -> Value:
        value = of(scope)
        return None if value is None else -value

    return negative


def junction(kind: str, left: Evaluator, right: Evaluator) -> Evaluator:
    """Return `left && right` or `left || right`."""
    join = both if kind == "&&" else either
    return lambda scope: join(left(scope), right(scope))


def _operated(kind: str, left: Evaluator, right: Evaluator) -> Evaluator:
    if kind in {"&&", "||"}:
        return junction(kind, left, right)
    reckon = _RECKON.get(kind)
    if reckon is None:
        return _compared(_COMPARE[kind], left, right)

    def reckoned(scope: Scope) -> Value:
        a, b = left(scope), right(scope)
        if a is None or b is None or (kind == "/" and b == 0):
            return None
        value = reckon(a, b)
        return value if math.isfinite(value) else None

    return reckoned


def _compared(compare: Callable[[Any, Any], bool], left: Evaluator, right: Evaluator) -> Evaluator:
    def told(scope: Scope) -> Value:
        a, b = left(scope), right(scope)
        return None if a is None or b is None else compare(a, b)

    return told
