"""What the fields of reports and events are made of: bounded texts, amounts, lots, and what must and must not stand together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError, PydanticUndefined

from rules.models import PRINTABLE, Identifier, Number, Strict, Whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

MAX_LOTS = 1_000
MAX_CASES = 1_000
MAX_FIGURES = 2_000
MAX_ENTRIES = 5_000
"""Entries of the longest list or object that anything posted may hold, but for readings ..."""
MAX_MEMBERS = 20
"""... members of an object in a list: no type has more than eight ..."""
MAX_VALUES = 250_000
"""... and values of a whole document. What is above one of these is not looked into: faults of millions would take minutes and gigabytes."""


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("a text that says something is needed")
    return text


def meant(
    en: str,
    zh: str,
    *,
    unit: str | None = None,
    one_of: tuple[str, ...] = (),
    example: object = None,
    alias: str | None = None,
    optional: bool = False,
) -> Any:  # noqa: ANN401 - what pydantic calls a field
    """Say in both languages what a field means, in the schema: its unit (UCUM), an example, and what may be posted of a closed list."""
    more: dict[str, Any] = (
        {} if unit is None else {"json_schema_extra": {"x-unit": unit}}
    )  # None would take a type's own away
    if one_of:
        more["json_schema_extra"] = {"enum": list(one_of)}
    if example is not None:
        more["examples"] = [example]
    return Field(None if optional else PydanticUndefined, alias=alias, description=f"{en} ({zh})", **more)


class Limits(Strict):
    """A low and a high limit; null, or left out: no limit on that side."""

    low: Number | None = meant("Low limit; null: none", "下限；null 为无", optional=True)
    high: Number | None = meant("High limit; null: none", "上限；null 为无", optional=True)


def _number_or_words(value: Any, inner: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return inner(value)
    except ValidationError:
        raise PydanticCustomError("measured", "a number or words are needed") from None


def _number_words_or_limits(value: Any, inner: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return inner(value)
    except ValidationError:
        raise PydanticCustomError("setting", "a number, words, or limits (low, high) are needed") from None


# Lengths stand before the functions: behind them pydantic takes a text for a list.
Words = Annotated[str, Field(min_length=1, max_length=4000), PRINTABLE, AfterValidator(_said)]
"""Free text that is not empty: an empty field is no answer (catalogue, U4)."""
Name = Annotated[str, Field(min_length=1, max_length=200), PRINTABLE, AfterValidator(_said)]
"""Words of one line."""
Short = Annotated[str, Field(min_length=1, max_length=128), PRINTABLE, AfterValidator(_said)]
"""Words that rules compare and keep apart: longer ones they do not read."""
Amount = Annotated[Number, Field(ge=0)]
"""A quantity, a volume or a duration: not below zero."""
Count = Annotated[Whole, Field(ge=0)]
Lots = Annotated[list[Identifier], Field(max_length=MAX_LOTS)]
Cases = Annotated[list[Identifier], Field(min_length=1, max_length=MAX_CASES)]
Figures = Annotated[dict[Name, Number], Field(max_length=MAX_FIGURES)]
"""Name to number."""
Measured = Annotated[Number | Name, WrapValidator(_number_or_words)]
"""A number, or what stands for one, such as `not detected`."""
Setting = Annotated[Number | Words | Limits, WrapValidator(_number_words_or_limits)]
"""What was set before or after a change: a number, words, or limits."""


class Choice(NamedTuple):
    """Members of which at least and at most so many are given; null is not given."""

    names: tuple[str, ...]
    least: int
    most: int

    def given(self, fields: Mapping[str, Any]) -> list[str]:
        """Return which of them are."""
        return [name for name in self.names if fields.get(name) is not None]

    def schema(self) -> JsonSchemaValue:
        """Return what JSON Schema says of it."""
        ways = [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in self.names]
        if self.least == self.most == 1:
            return {"oneOf": ways}
        if self.least == 1:
            return {"anyOf": ways}
        return {"not": {"allOf": ways}}


class Fields(Strict):
    """The `fields` of one type of report or event. A null is as good as left out."""

    model_config = ConfigDict(populate_by_name=False)

    ORDER: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of members of which the first cannot lie behind the second; `sent` is the envelope's. A date is the whole day of it."""
    CHOICES: ClassVar[tuple[Choice, ...]] = ()
    UNIT_MEMBERS: ClassVar[tuple[str, ...]] = ()
    """Members that name the unit of something measured: of what is posted one of `rules.register.UNITS`; the log may hold any."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add what may stand together."""
        schema = handler(core)
        if cls.CHOICES:
            handler.resolve_ref_schema(schema)["allOf"] = [choice.schema() for choice in cls.CHOICES]
        return schema

    @classmethod
    def members(cls) -> dict[str, bool]:
        """Return the names as they are posted, and whether each is needed."""
        return {field.alias or name: field.is_required() for name, field in cls.model_fields.items()}


class Part(Strict):
    """An object inside of fields."""

    model_config = ConfigDict(populate_by_name=False)


class LotShipped(Part):
    """How much of a lot had left."""

    lot: Identifier = meant("The lot", "批号", example="B2601")
    shipped: Amount = meant("Units shipped", "已发货数量")


class LotTotals(Part):
    """Running totals of one lot in a recall: units from the recall's beginning."""

    lot: Identifier = meant("The lot", "批号", example="B2601")
    shipped: Amount = meant("Units shipped", "累计发货数量")
    returned: Amount = meant("Units returned", "累计召回数量")
    destroyed: Amount = meant("Units destroyed on the spot", "就地销毁数量")


class ProductYear(Part):
    """What was made of one product in the year."""

    product: Identifier = meant("The product's id", "产品", example="P-12")
    batches: Count = meant("Batches made", "生产批次数")
    volume: Amount = meant("Amount made, in `unit`", "产量")
    unit: Name = meant("Unit of `volume`", "产量单位", example="vial")


class Tested(Part):
    """One test of a sample."""

    name: Name = meant("The test", "检验项目", example="assay")
    verdict: Literal["pass", "fail"] = meant("Its verdict", "单项结论")
