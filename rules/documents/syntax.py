"""The text of a condition over reports, read to a tree: a closed part of CEL, bounded; anything else is a fault with its position.

Taken are names, members (`report.year`, `report.figures["yield"]`), calls of the few functions of `rules.documents.checking`,
numbers, texts, `true`, `false`, lists of these behind `in`, `+ - * /`, `== != < <= > >= in`, `&& || !` and brackets. So nothing
in it loops, and what it costs is known from its text. Precedence and meaning are those of CEL (ADR 0059).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_TEXT = 1_000
"""Characters of a condition ..."""
MAX_NODES = 200
"""... what it consists of ..."""
MAX_DEPTH = 20
"""... and how deep brackets, members and signs of it are nested."""
COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
ARITHMETIC: Final = frozenset({"+", "-", "*", "/"})
MACROS: Final = frozenset({"all", "exists", "exists_one", "filter", "map", "has"})
_LEVELS: Final = (frozenset({"||"}), frozenset({"&&"}), COMPARISONS, frozenset({"+", "-"}), frozenset({"*", "/"}))
"""Operators of two sides, those that bind least in front; all group from the left."""
_TOKENS: Final = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![0-9A-Za-z_.])"
    r"|(?P<text>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>\|\||&&|==|!=|<=|>=|[<>!+\-*/()\[\],.])",
    re.ASCII,
)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"\\": "\\", '"': '"', "'": "'"}


class ExpressionError(ValueError):
    """A condition that is not one; `at` counts characters from 0, `code` is stable."""

    def __init__(self, at: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.at, self.code, self.detail = at, code, detail


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a condition: what it is, from where to where in the text, its own value and its parts.

    `kind`: `constant` (`value`), `variable` and `call` (`value` is the name), `member` (of its part), `list`, `not`, `minus`, or an
    operator of two sides.
    """

    kind: str
    at: int
    end: int
    value: float | str | bool | None = None
    parts: tuple[Node, ...] = ()

    @property
    def name(self) -> str:
        """Return the name of a variable, a member or a function."""
        return str(self.value)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int

    @property
    def end(self) -> int:
        return self.at + len(self.text)


def parse(text: str) -> Node:
    """Return the tree of a condition.

    >>> parse("entry.a < 2").kind
    '<'

    Raises:
        ExpressionError: at the first thing that is not of this language, or that is too long or too deep.
    """
    if len(text) > MAX_TEXT:
        raise ExpressionError(MAX_TEXT, "too_long", f"a condition has at most {MAX_TEXT} characters")
    return _Parser(text).whole()


def nodes(tree: Node) -> Iterator[Node]:
    """Yield a node and all below it."""
    yield tree
    for part in tree.parts:
        yield from nodes(part)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        match = _TOKENS.match(text, at)
        if match is None:
            raise ExpressionError(at, "syntax", _strange(text[at:]))
        kind, at = str(match.lastgroup), match.end()
        if kind != "space":
            yield _Token(kind, match[0], match.start())
    yield _Token("end", "", len(text))


def _strange(rest: str) -> str:
    if rest[0] in "\"'":
        return "a text that is not closed on its line"
    if rest[0].isdigit():
        return "no number: write 12, 0.8 or 1e3"
    if rest[0] in "?:%{}":
        return f"{rest[0]} is not of this language: a condition has && || ! == != < <= > >= in + - * /"
    return f"{rest[0]!r} means nothing here"


class _Parser:
    def __init__(self, text: str) -> None:
        self._all = list(_tokens(text))
        self._next, self._made, self._depth = 0, 0, 0

    def whole(self) -> Node:
        tree = self._level(0)
        if self._now.kind != "end":
            raise self._unexpected("an operator")
        return tree

    @property
    def _now(self) -> _Token:
        return self._all[self._next]

    def _take(self) -> _Token:
        token = self._all[self._next]
        self._next += token.kind != "end"
        return token

    def _is(self, *signs: str) -> bool:
        return self._now.kind in {"sign", "name"} and self._now.text in signs

    def _need(self, sign: str) -> _Token:
        if not self._is(sign):
            raise self._unexpected(sign)
        return self._take()

    def _unexpected(self, wanted: str) -> ExpressionError:
        token = self._now
        found = "the text ends" if token.kind == "end" else f"{token.text} stands"
        return ExpressionError(token.at, "syntax", f"{found} where {wanted} is needed")

    def _node(self, kind: str, at: int, end: int, value: float | str | bool | None = None, *parts: Node) -> Node:  # noqa: FBT001 - a constant
        self._made += 1
        if self._made > MAX_NODES:
            raise ExpressionError(at, "too_long", f"a condition has at most {MAX_NODES} parts")
        return Node(kind, at, end, value, parts)

    def _deeper(self, at: int) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(at, "too_deep", f"a condition is nested at most {MAX_DEPTH} deep")

    def _level(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._signed()
        left = self._level(level + 1)
        while self._is(*_LEVELS[level]):
            sign = self._take()
            right = self._list() if sign.text == "in" and self._is("[") else self._level(level + 1)
            left = self._node(sign.text, left.at, right.end, None, left, right)
        return left

    def _signed(self) -> Node:
        if not self._is("!", "-"):
            return self._selected()
        sign = self._take()
        self._deeper(sign.at)
        of = self._signed()
        self._depth -= 1
        return self._node("not" if sign.text == "!" else "minus", sign.at, of.end, None, of)

    def _selected(self) -> Node:
        of, depth = self._primary(), self._depth
        while self._is(".", "["):
            sign = self._take()
            self._deeper(sign.at)
            name = self._take()
            if sign.text == ".":
                if name.kind != "name":
                    self._next -= name.kind != "end"
                    raise self._unexpected("the name of a member")
                if self._is("("):
                    raise _method(name)
                of = self._node("member", of.at, name.end, name.text, of)
            else:
                if name.kind != "text":
                    self._next -= name.kind != "end"
                    raise self._unexpected("the name of a member in quotes")
                of = self._node("member", of.at, self._need("]").end, _said(name), of)
        self._depth = depth
        return of

    def _primary(self) -> Node:
        token = self._take()
        if token.text == "(":
            self._deeper(token.at)
            inner = self._level(0)
            end = self._need(")").end
            self._depth -= 1
            return Node(inner.kind, token.at, end, inner.value, inner.parts)
        if token.kind == "name" and token.text not in {"true", "false", "null", "in"}:
            return self._called(token) if self._is("(") else self._node("variable", token.at, token.end, token.text)
        return self._constant(token)

    def _constant(self, token: _Token) -> Node:
        if token.kind == "number":
            value = float(token.text)
            if math.isinf(value):
                raise ExpressionError(token.at, "syntax", "a number beyond every double")
            return self._node("constant", token.at, token.end, value)
        if token.kind == "text":
            return self._node("constant", token.at, token.end, _said(token))
        if token.text in {"true", "false"}:
            return self._node("constant", token.at, token.end, token.text == "true")
        if token.text == "null":
            raise ExpressionError(token.at, "syntax", "there is no null: what a report does not say is unknown")
        if token.text == "[":
            raise ExpressionError(token.at, "syntax", "a list stands only behind in")
        self._next -= token.kind != "end"
        raise self._unexpected("a value")

    def _called(self, name: _Token) -> Node:
        if name.text in MACROS:
            raise _method(name)
        self._deeper(self._take().at)
        arguments: list[Node] = []
        while not self._is(")"):
            if arguments:
                self._need(",")
            arguments.append(self._level(0))
        self._depth -= 1
        return self._node("call", name.at, self._take().end, name.text, *arguments)

    def _list(self) -> Node:
        begin = self._take()
        found = []
        while True:
            sign = self._take() if self._is("-") else None
            value = self._constant(self._take())
            if sign is not None:
                if not isinstance(value.value, float):
                    raise ExpressionError(value.at, "syntax", "a sign stands before a number")
                value = Node("constant", sign.at, value.end, -value.value)
            found.append(value)
            if self._is("]"):
                return self._node("list", begin.at, self._take().end, None, *found)
            self._need(",")


def _method(name: _Token) -> ExpressionError:
    if name.text in MACROS:
        told = f"{name.text} is a comprehension or macro: a condition looks at entries through each"
        return ExpressionError(name.at, "comprehension", told)
    return ExpressionError(name.at, "unknown_function", f"{name.text} is no function of this language")


def _said(token: _Token) -> str:
    for match in _ESCAPE.finditer(token.text):
        if match[1] not in _ESCAPES:
            raise ExpressionError(token.at + match.start(), "syntax", f"\\{match[1]} is no escape of this language")
    return _ESCAPE.sub(lambda match: _ESCAPES[match[1]], token.text[1:-1])
