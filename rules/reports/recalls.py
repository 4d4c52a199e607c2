"""Reports of a recall: the notice, its progress, the end (catalogue part 2, §11; clocks: deadlines.md §3 and §5)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from rules.instants import Instant
from rules.models import Identifier, Whole
from rules.register import Day
from rules.reports.parts import MAX_LOTS, Fields, LotShipped, LotTotals, Words, meant


class RecallNotice(Fields):
    """A recall was decided, and the chain was told. Judged by the later of `notified_at` and receipt; `filed_at` is compared."""

    ORDER: ClassVar = (
        ("decided_at", "notified_at"), ("notified_at", "sent"), ("decided_at", "filed_at"), ("filed_at", "sent"),
    )  # fmt: skip

    recall_id: Identifier = meant("The recall", "召回编号", example="RC-7")
    line: Literal["drug", "device", "cosmetics"] = meant("Product line", "产品类别")
    class_: Annotated[Whole, Field(ge=1, le=3)] = meant("Class, 1 the gravest", "召回级别", alias="class")
    decided_at: Instant = meant("When the recall was decided", "作出召回决定的时间")
    notified_at: Instant = meant("When the chain was told", "通知时间")
    filed_at: Instant | None = meant("When it was filed with the authority", "备案时间", optional=True)
    lots: Annotated[list[LotShipped], Field(min_length=1, max_length=MAX_LOTS)] = meant(
        "Each lot and what of it had left", "批号及已发货数量"
    )


class RecallPlan(Fields):
    """The plan of a recall with the assessment behind it (drugs 2007: 1, 3, 7 days by class; devices: 5 days, since 2017 5 working days)."""

    ORDER: ClassVar = (("decided_at", "sent"),)

    recall_id: Identifier = meant("The recall", "召回编号", example="RC-7")
    line: Literal["drug", "device", "cosmetics"] = meant("Product line", "产品类别")
    class_: Annotated[Whole, Field(ge=1, le=3)] = meant("Class, 1 the gravest", "召回级别", alias="class")
    decided_at: Instant = meant("When the recall was decided", "作出召回决定的时间")
    assessment: Words = meant("Investigation and assessment of the defect", "调查评估报告")
    plan: Words = meant("What is recalled, from whom, how, by when", "召回计划")


class Totals(Fields):
    """Running totals, as of a day."""

    ORDER: ClassVar[tuple[tuple[str, str], ...]] = (("as_of", "sent"),)

    recall_id: Identifier = meant("The recall", "召回编号", example="RC-7")
    seq: Annotated[Whole, Field(ge=1)] = meant("Number of the report in this recall", "进展报告序号")
    as_of: Day = meant("The day up to which the totals count", "统计截止日期")
    totals: Annotated[list[LotTotals], Field(min_length=1, max_length=MAX_LOTS)] = meant(
        "Running totals of each lot", "各批号累计数量"
    )


class RecallProgress(Totals):
    """How far a recall has come."""


class RecallFinal(Totals):
    """What a recall came to (drugs 2022: within 10 working days of its end, to be verified)."""

    ORDER: ClassVar[tuple[tuple[str, str], ...]] = (("as_of", "sent"), ("ended_at", "sent"))

    line: Literal["drug", "device", "cosmetics"] | None = meant("Product line", "产品类别", optional=True)
    ended_at: Instant | None = meant("When the recall ended", "召回完成时间", optional=True)
