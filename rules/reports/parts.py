"""What the fields of reports and events are made of: bounded texts, amounts, lots, and the order in which instants must lie."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field
from pydantic_core import PydanticUndefined

from rules.models import Identifier, Number, Strict, Text
from rules.register import Span

MAX_LOTS = 1_000
MAX_CASES = 1_000
MAX_FIGURES = 2_000


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("a text that says something is needed")
    return text


Words = Annotated[Text, Field(min_length=1), AfterValidator(_said)]
"""Free text that is not empty: an empty field is no answer (catalogue, U4)."""
Name = Annotated[Words, Field(max_length=200)]
"""Words of one line."""
Amount = Annotated[Number, Field(ge=0)]
"""A quantity, a volume or a duration: not below zero."""
Lots = Annotated[list[Identifier], Field(max_length=MAX_LOTS)]
Cases = Annotated[list[Identifier], Field(min_length=1, max_length=MAX_CASES)]
Figures = Annotated[dict[Name, Number], Field(max_length=MAX_FIGURES)]
"""Name to number."""
Setting = Number | Words | Span
"""What was set before or after a change: a number, words, or limits."""


def meant(
    en: str,
    zh: str,
    *,
    unit: str | None = None,
    example: object = None,
    alias: str | None = None,
    optional: bool = False,
) -> Any:  # noqa: ANN401 - what pydantic calls a field
    """Say in both languages what a field means, in the schema: its unit (UCUM) and an example as well."""
    return Field(
        default=None if optional else PydanticUndefined,
        alias=alias,
        description=f"{en} ({zh})",
        json_schema_extra=None if unit is None else {"x-unit": unit},
        examples=None if example is None else [example],
    )


class Fields(Strict):
    """The `fields` of one type of report or event."""

    ORDER: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of members of which the first cannot lie behind the second; `sent` is the envelope's. A date is the whole day of it."""


class LotShipped(Strict):
    """How much of a lot had left."""

    lot: Identifier
    shipped: Amount = meant("Units shipped", "已发货数量")


class LotTotals(Strict):
    """Running totals of one lot in a recall: units from the recall's beginning."""

    lot: Identifier
    shipped: Amount = meant("Units shipped", "累计发货数量")
    returned: Amount = meant("Units returned", "累计召回数量")
    destroyed: Amount = meant("Units destroyed on the spot", "就地销毁数量")


class ProductYear(Strict):
    """What was made of one product in the year."""

    product: Identifier
    batches: Annotated[int, Field(strict=True, ge=0)] = meant("Batches made", "生产批次数")
    volume: Amount = meant("Amount made, in `unit`", "产量")
    unit: Name


class TestVerdict(Strict):
    """One test of a sample."""

    name: Name
    verdict: Annotated[str, Field(pattern="^(pass|fail)$")]
