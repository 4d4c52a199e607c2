"""Conditions over reports in plain words: rewritten for Python's own reader, and reckoned from its tree."""

from __future__ import annotations

import ast
import math
import operator
import re

_TEXT = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")""")
_SIGNS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.In: lambda left, right: left in right,
}  # fmt: skip


class UnknownError(Exception):
    """A part that is not there, or no finite number."""


def asked(text, known, functions=None):
    """Return what a condition says of what is known, None where that is unknown.

    Args:
        text: the condition.
        known: variable to what it stands for; those that are not there are unknown.
        functions: name to what it does.
    """
    tree = ast.parse(f"({_in_python(text)})", mode="eval").body
    try:
        return worth(tree, known, functions or {"size": lambda value: float(len(value))})
    except UnknownError:
        return None


def _in_python(text):
    """Return it with Python's signs: `~` binds as tightly as `!` does, members are looked up by name, also one named `class`."""
    parts = _TEXT.split(text)
    for i in range(0, len(parts), 2):
        part = re.sub(r"\.\s*([A-Za-z_]\w*)", r'["\1"]', parts[i])
        part = part.replace("&&", " and ").replace("||", " or ")
        part = re.sub(r"!(?!=)", "~", part)
        parts[i] = re.sub(r"\b(true|false)\b", lambda found: found[1].title(), part)
    return "".join(parts)


def worth(node, known, functions):
    """Return the value of a part.

    Raises:
        UnknownError: it has none.
    """
    if isinstance(node, ast.BoolOp):
        return _joined(node, known, functions)
    if isinstance(node, ast.Constant):
        value = node.value
    elif isinstance(node, ast.Name):
        value = known.get(node.id)
    elif isinstance(node, ast.List):
        return [worth(part, known, functions) for part in node.elts]
    elif isinstance(node, ast.Subscript):
        value = worth(node.value, known, functions).get(worth(node.slice, known, functions))
    elif isinstance(node, ast.Call):
        value = functions[node.func.id](*(worth(part, known, functions) for part in node.args))
    elif isinstance(node, ast.UnaryOp):
        inner = worth(node.operand, known, functions)
        value = -inner if isinstance(node.op, ast.USub) else not inner
    elif isinstance(node, ast.BinOp):
        left, right = worth(node.left, known, functions), worth(node.right, known, functions)
        if isinstance(node.op, ast.Div) and right == 0:
            raise UnknownError
        value = _SIGNS[type(node.op)](left, right)
    else:
        value = worth(node.left, known, functions)
        for sign, right in zip(node.ops, node.comparators, strict=True):
            value = _SIGNS[type(sign)](value, worth(right, known, functions))
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        raise UnknownError
    return value


def _joined(node, known, functions):
    decides = isinstance(node.op, ast.Or)
    unknown = False
    for part in node.values:
        try:
            if worth(part, known, functions) is decides:
                return decides
        except UnknownError:
            unknown = True
    if unknown:
        raise UnknownError
    return not decides
