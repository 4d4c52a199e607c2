"""What the members of a report can be, read from its model: the types against which a condition is checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel

from rules.instants import Instant
from rules.register import Day

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.reports.parts import Fields

Kind = Literal["number", "text", "flag", "instant", "day", "list", "object", "map", "mixed"]
ORDERED: frozenset[str] = frozenset({"number", "instant", "day"})
"""Kinds of which one value is less than another; days are texts that stand in their order."""
FEW: Final = 10
"""Whole numbers between bounds: with so many or fewer, each is a value of its own, and one beside them is never met."""
_WORDS: dict[str, str] = {
    "number": "a number", "text": "a text", "flag": "true or false", "instant": "an instant", "day": "a day",
    "list": "a list", "object": "an object", "map": "an object of numbers by name", "mixed": "of several types",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """A type: of a text or a number the values it can have, of an object its members, of a list or a map what it holds."""

    kind: Kind
    choices: frozenset[Any] = frozenset()
    members: Mapping[str, Member] = field(default_factory=dict, hash=False)
    of: Shape | None = None

    def __str__(self) -> str:
        """Return it in words."""
        return _WORDS[self.kind]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object; what is `optional` may be left out: then it is unknown."""

    shape: Shape
    optional: bool


@cache
def shape_of(model: type[Fields]) -> Shape:
    """Return the shape of the fields of a type of report."""
    return _object(model)


def _object(model: type[BaseModel]) -> Shape:
    members: dict[str, Member] = {}
    for name, info in model.model_fields.items():
        shape, optional = _shape(info.annotation, tuple(info.metadata))
        members[info.alias or name] = Member(shape, optional)
    return Shape("object", members=members)


def _shape(annotation: Any, metadata: tuple[Any, ...]) -> tuple[Shape, bool]:  # noqa: ANN401 - an annotation
    """Return the shape of an annotation, and whether null is one of its values."""
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata = (*metadata, *more)
    if any(one in metadata for one in _marks(Instant)):
        return Shape("instant"), False
    if any(one in metadata for one in _marks(Day)):
        return Shape("day"), False
    if get_origin(annotation) in {Union, UnionType}:
        others = [one for one in get_args(annotation) if one is not NoneType]
        shape = _shape(others[0], ())[0] if len(others) == 1 else Shape("mixed")
        return shape, len(others) < len(get_args(annotation))
    return (Shape("number", choices=_few(metadata)) if annotation is int else _plain(annotation)), False


def _plain(annotation: Any) -> Shape:  # noqa: ANN401, PLR0911 - an annotation; one way out per kind
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        texts = all(isinstance(one, str) for one in inner)
        numbers = all(isinstance(one, int) and not isinstance(one, bool) for one in inner)
        return Shape("text" if texts else "number" if numbers else "mixed", choices=frozenset(inner))
    if origin is list:
        return Shape("list", of=_shape(inner[0], ())[0])
    if origin is dict:
        return Shape("map", of=_shape(inner[1], ())[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _object(annotation)
    if annotation is bool:
        return Shape("flag")
    if annotation in {int, float}:
        return Shape("number")
    return Shape("text" if isinstance(annotation, type) and issubclass(annotation, str) else "mixed")


def _few(metadata: tuple[Any, ...]) -> frozenset[int]:
    """Return the whole numbers that bounds leave, if they are few: those are classes, and no amounts."""
    lows = [one.ge for one in metadata if isinstance(one, Ge)]
    highs = [one.le for one in metadata if isinstance(one, Le)]
    if len(lows) != 1 or len(highs) != 1:
        return frozenset()
    found = range(int(str(lows[0])), int(str(highs[0])) + 1)
    return frozenset(found) if len(found) <= FEW else frozenset()


def _marks(alias: Any) -> tuple[Any, ...]:  # noqa: ANN401 - an annotated alias
    """Return what tells an alias of another that has the same type."""
    return get_args(alias)[1:2]
