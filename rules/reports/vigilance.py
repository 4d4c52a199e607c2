"""Reports of adverse reactions, of devices, of cosmetics and from trials (catalogue part 2, §11; clocks: deadlines.md §1-4)."""

from __future__ import annotations

from typing import ClassVar, Literal

from rules.instants import Instant
from rules.models import Flag, Identifier
from rules.register import Day
from rules.reports.parts import Cases, Count, Fields, Lots, Name, Words, meant


class AdrCase(Fields):
    """One case of an adverse drug reaction; a follow-up is a higher revision, or the same case in another report."""

    ORDER: ClassVar = (("onset", "known_at"), ("known_at", "sent"))

    case_id: Identifier = meant("The case, the same in every report of it", "病例编号", example="C-118")
    known_at: Instant = meant("When the reporter came to know of it: day 0 of the clock", "获知时间")
    onset: Day = meant("When the reaction began", "不良反应发生日期", example="2026-03-01")
    seriousness: Literal["death", "serious", "other"] = meant("Seriousness", "严重程度")
    is_new: Flag = meant("Not in the instructions for use", "新的不良反应")
    product: Identifier = meant("The product's id", "药品", example="P-12")
    lots: Lots | None = meant("Lots, if they are known", "批号", optional=True)
    outcome: Name = meant("How it ended", "转归", example="recovered")
    source_channel: Name = meant("From whom it is known", "来源", example="hospital")


class AdrDeathInvestigation(Fields):
    """What the holder found about a death (Order 81 of 2011: within 15 days)."""

    ORDER: ClassVar = (("known_at", "sent"),)

    case_id: Identifier = meant("The case", "病例编号", example="C-118")
    known_at: Instant = meant("When the holder came to know of the death", "获知时间")
    conclusion: Words = meant("What was found", "调查结论")
    lots: Lots = meant("Lots that were looked at; may be empty", "涉及批号")


class AdrGroup(Fields):
    """A group event: several patients, one product, one place or time."""

    ORDER: ClassVar = (("known_at", "sent"),)

    event_id: Identifier = meant("The event", "群体事件编号")
    known_at: Instant = meant("When the reporter came to know of it", "获知时间")
    cases: Cases = meant("Its cases", "病例编号")
    lots: Lots = meant("Lots; may be empty", "涉及批号")


class AdrGroupInvestigation(Fields):
    """What the holder found about a group event (Order 81 of 2011, art. 27-29: within 7 days, to be verified)."""

    ORDER: ClassVar = (("known_at", "sent"),)

    event_id: Identifier = meant("The event", "群体事件编号", example="G-3")
    known_at: Instant = meant("When the holder came to know of the event", "获知时间")
    conclusion: Words = meant("What was found", "调查结论")
    lots: Lots = meant("Lots that were looked at; may be empty", "涉及批号")


class Psur(Fields):
    """A periodic safety update: yearly until the first re-registration, then every five years, 60 days behind the data lock."""

    ORDER: ClassVar = (("period_from", "data_lock"), ("data_lock", "sent"))

    psur_id: Identifier = meant("The report: one for each product and data lock", "报告编号", example="P-12-2026")
    product: Identifier = meant("The product's id", "药品", example="P-12")
    data_lock: Day = meant("The last day whose data are in it", "数据锁定日", example="2026-01-31")
    period_from: Day = meant("The first day whose data are in it", "数据起始日", example="2025-02-01")
    cases: Count = meant("Cases of adverse reactions in the period", "期间不良反应病例数", example=17)
    deaths: Count | None = meant("Deaths among them", "其中死亡病例数", example=1, optional=True)
    conclusion: Words | None = meant("What the benefit and the risk come to", "获益风险评估结论", optional=True)


class DeviceEvent(Fields):
    """An adverse event of a device; of a group event a telephone report comes first."""

    ORDER: ClassVar = (("known_at", "sent"),)

    event_id: Identifier = meant("The event", "事件编号")
    class_: Literal["death", "serious", "group", "overseas"] = meant("Class", "事件类别", alias="class")
    known_at: Instant = meant("When the reporter came to know of it", "获知时间")
    channel: Literal["phone", "online"] = meant("How it was reported", "报告途径")
    udi: Identifier = meant("The device's identification", "器械唯一标识")
    lot: Identifier = meant("Its lot", "批号")


class DeviceGroupCase(Fields):
    """One case of a group event of a device: each within 24 hours of being known (2018); the event itself is a `device-event`."""

    ORDER: ClassVar = (("known_at", "sent"),)

    event_id: Identifier = meant("The group event", "群体事件编号", example="D-9")
    case_id: Identifier = meant("The case, the same in every report of it", "病例编号", example="D-9-3")
    known_at: Instant = meant("When the registrant came to know of the case", "获知时间")
    udi: Identifier = meant("The device's identification", "器械唯一标识")
    lot: Identifier = meant("Its lot", "批号")
    outcome: Name | None = meant("How it ended", "转归", example="recovered", optional=True)


class CosmeticReaction(Fields):
    """An adverse reaction to a cosmetic."""

    ORDER: ClassVar = (("known_at", "sent"),)

    case_id: Identifier = meant("The case", "病例编号")
    class_: Literal["ordinary", "serious", "social"] = meant(
        "Class; social: with large social effect", "类别；social 为可能引发较大社会影响", alias="class"
    )
    known_at: Instant = meant("When the reporter came to know of it", "获知时间")
    filing_id: Identifier = meant("The product's registration or filing", "注册或备案编号")
    lot: Identifier | None = meant("Its lot", "批号", optional=True)


class CosmeticSelfCheck(Fields):
    """The self-inspection that follows serious reactions and those with social effect."""

    ORDER: ClassVar = (("known_at", "sent"),)

    cases: Cases = meant("Cases that it answers", "病例编号")
    class_: Literal["ordinary", "serious", "social"] = meant("Class of the cases", "类别", alias="class")
    known_at: Instant = meant("When the registrant came to know of the cases", "获知时间")
    finding: Words = meant("What was found", "自查结论")


class Susar(Fields):
    """A suspected unexpected serious adverse reaction in a trial."""

    ORDER: ClassVar = (("day0", "sent"),)

    trial_id: Identifier = meant("The trial", "临床试验编号")
    case_id: Identifier = meant("The case", "病例编号")
    day0: Day = meant("The day on which the sponsor came to know of it", "首次获知日期")
    fatal_or_life_threatening: Flag = meant("Fatal or life-threatening", "致死或危及生命")
    follow_up: Flag = meant("Whether this is the follow-up of a case reported before", "随访报告")
    lot: Identifier | None = meant("Its lot", "批号", optional=True)


class Dsur(Fields):
    """The yearly safety report of a trial (Order 27 of 2020: within two months of the anniversary)."""

    ORDER: ClassVar = (("anniversary", "sent"),)

    trial_id: Identifier = meant("The trial", "临床试验编号")
    anniversary: Day = meant("The anniversary that it belongs to", "周年日期")
    susar_count: Count = meant("SUSARs of the year", "年度可疑且非预期严重不良反应数")
