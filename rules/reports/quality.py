"""Reports of quality: deviations, results out of specification, changes, samples, yearly figures (catalogue part 2, §11)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from rules.instants import Instant
from rules.models import FacilityId, Identifier, Number, Tag, Whole
from rules.records import MAX_SERIES
from rules.register import UNITS, Day
from rules.reports.parts import (
    Amount,
    Count,
    Fields,
    Figures,
    Lots,
    Name,
    Part,
    ProductYear,
    Setting,
    Short,
    Tested,
    Words,
    meant,
)


class AnnualReport(Fields):
    """The holder's yearly report, by 30 April for the year before (announcement 16 of 2022)."""

    ORDER: ClassVar = (("year", "sent"),)

    year: Annotated[Whole, Field(ge=1970, le=2100)] = meant("The year reported on", "报告年度", example=2025)
    products: Annotated[list[ProductYear], Field(max_length=5_000)] = meant("What was made", "产品生产情况")
    changes: Annotated[list[Identifier], Field(max_length=5_000)] = meant("Ids of change filings", "变更备案编号")
    deviations: Count = meant("Deviations", "偏差数")
    recalls: Count = meant("Recalls", "召回数")
    figures: Figures = meant("All other figures, by name", "其他数据")


class QualityReview(Fields):
    """A maker's review of one product over a period (GMP 2010, art. 266)."""

    product: Identifier = meant("The product", "产品")
    period: Annotated[str, Field(pattern=r"^[0-9]{4}(-Q[1-4]|-(0[1-9]|1[0-2]))?$")] = meant(
        "Year, quarter or month", "回顾周期", example="2025-Q4"
    )
    figures: Figures = meant("Figures, by name", "数据")


class Deviation(Fields):
    """What a maker or a store says of an excursion; compared with what its sensors said."""

    ORDER: ClassVar = (
        ("from", "to"), ("from", "opened_at"), ("opened_at", "closed_at"), ("closed_at", "sent"), ("to", "sent"),
        ("opened_at", "sent"),
    )  # fmt: skip
    UNIT_MEMBERS: ClassVar = ("unit",)

    deviation_id: Identifier = meant("The deviation", "偏差编号", example="DV-26-014")
    asset: Identifier = meant("A tag, an area or a device", "测点、区域或设备", example="CR1")
    from_: Instant = meant("When it began", "开始时间", alias="from")
    to: Instant = meant("When it ended", "结束时间")
    duration_min: Amount = meant("How long it was outside its limits", "超限时长", unit="min")
    peak: Number = meant("The value farthest from its limit, in `unit`", "极值")
    unit: Name = meant(
        "Unit of `peak`, as the sensor is registered",
        "单位，与测点登记一致",
        one_of=tuple(dict.fromkeys(UNITS.values())),
        example="Cel",
    )
    lots: Lots = meant("Lots that were exposed; may be empty", "涉及批号")
    opened_at: Instant = meant("When the deviation was opened", "偏差启动时间")
    closed_at: Instant | None = meant("When it was closed", "偏差关闭时间", optional=True)


class OosInvestigation(Fields):
    """The investigation of a result out of specification; it is open until it says when it was closed."""

    ORDER: ClassVar = (("opened_at", "closed_at"), ("closed_at", "sent"), ("opened_at", "sent"))

    investigation_id: Identifier = meant("The investigation", "调查编号")
    lot: Identifier = meant("The lot", "批号")
    test: Short = meant("The test", "检验项目")
    opened_at: Instant = meant("When it was opened", "启动时间")
    closed_at: Instant | None = meant("When it was closed", "关闭时间", optional=True)
    conclusion: Words | None = meant("What was found", "结论", optional=True)


class ChangeFiling(Fields):
    """A change of what was registered: approved (major), filed (moderate), reported yearly (minor)."""

    ORDER: ClassVar = (("filed_at", "approved_at"), ("approved_at", "sent"), ("filed_at", "sent"))

    filing_id: Identifier = meant("The filing", "变更备案编号")
    class_: Literal["major", "moderate", "minor"] = meant("Class", "变更类别", alias="class")
    subject: Literal["set-point", "equipment", "site", "limit"] = meant("What is changed", "变更事项")
    asset: Identifier = meant("A tag, an area or a device", "测点、区域或设备")
    old: Setting = meant("Before: a number, words or limits", "变更前")
    new: Setting = meant("After", "变更后")
    filed_at: Instant = meant("When it was filed", "备案时间")
    approved_at: Instant | None = meant("When it was approved", "批准时间", optional=True)
    in_force_from: Day = meant("From when it holds", "生效日期")


class Rectification(Fields):
    """What an inspected firm did about the findings (within 20 working days, or by the plan that was approved)."""

    ORDER: ClassVar = (("handed_over_at", "sent"),)

    inspection_id: Identifier = meant("The visit", "检查编号")
    handed_over_at: Instant = meant("When the findings were handed over", "缺陷移交时间")
    plan_date: Day | None = meant("The date of the approved plan", "批准的整改期限", optional=True)
    actions: Annotated[list[Words], Field(min_length=1, max_length=1_000)] = meant("What was done", "整改措施")


class ChangedReading(Part):
    """One reading that is corrected: the old value is named, and stays."""

    tag: Tag = meant("The sensor's tag", "测点", example="CR1.T1")
    time: Instant = meant("Event time of the reading", "数据时间")
    old: Number | None = meant("The value that was sent; null: none", "原值")
    new: Number | None = meant("The value that holds; null: none", "新值")

    @model_validator(mode="after")
    def _changes(self) -> ChangedReading:
        if self.old is None and self.new is None:
            raise ValueError("either old or new is a number")
        return self


class Amendment(Fields):
    """Readings that are corrected: not later than ten days after them, with proof by the tenth of the next month."""

    ORDER: ClassVar = (("readings/*/time", "made_at"), ("made_at", "sent"), ("proof_at", "sent"))

    readings: Annotated[list[ChangedReading], Field(min_length=1, max_length=MAX_SERIES)] = meant(
        "The readings", "补正数据"
    )
    author: Name = meant("Who corrected them", "补正人")
    made_at: Instant = meant("When", "补正时间")
    proof_at: Instant | None = meant("When proof was given", "提交证明时间", optional=True)
    proof: Identifier | None = meant("The proof: an id, or the SHA-256 of an upload", "证明材料", optional=True)


class SamplingResult(Fields):
    """What a laboratory found in a sample that an inspector drew."""

    ORDER: ClassVar = (("drawn_at", "sent"),)

    sample_id: Identifier = meant("The sample", "样品编号")
    facility_sampled: FacilityId = meant("Where it was drawn", "被抽样单位")
    product: Identifier = meant("The product", "产品")
    lot: Identifier = meant("The lot", "批号")
    drawn_at: Instant = meant("When it was drawn", "抽样时间")
    tests: Annotated[list[Tested], Field(min_length=1, max_length=1_000)] = meant("Each test", "检验项目")
    verdict: Literal["pass", "fail"] = meant("Of the whole", "检验结论")
    retest_of: Identifier | None = meant("The sample that this one re-tests", "复验样品", optional=True)


class SignificantChange(Fields):
    """A change that may move the date of the next visit."""

    subject: Literal["key-staff", "equipment", "site", "ownership"] = meant("What is changed", "变更事项")
    description: Words = meant("In words", "说明")
    effective_from: Day = meant("From when it holds", "生效日期")
