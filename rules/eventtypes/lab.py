"""Events of stream `lab`: results, runs of instruments, parallel measurements (catalogue part 2, §12)."""

from __future__ import annotations

from typing import ClassVar, Literal

from rules.instants import Instant
from rules.models import Identifier, Number, Tag
from rules.reports.parts import Amount, Choice, Count, Fields, Measured, Name, Short, Words, meant


class LabResult(Fields):
    """One result of one test, of a lot, a room or a loop of water."""

    CHOICES: ClassVar = (Choice(("lot", "room", "loop"), 1, 1),)

    sample_id: Identifier = meant("The sample", "样品编号", example="S-88")
    lot: Identifier | None = meant("The lot, if it is of one", "批号", optional=True)
    room: Identifier | None = meant("The room (an area's id), if it is of one", "房间", optional=True)
    loop: Identifier | None = meant(
        "The loop of water (an area's id), if it is of one", "水系统回路", example="WFI-1", optional=True
    )
    test: Short = meant("The test", "检验项目", example="conductivity-stage-2")
    method: Name = meant(
        "Its method; of a viable count one of air, settle, contact, glove",
        "检验方法；微生物监测为 air、settle、contact、glove 之一",
        example="USP <645>",
    )
    value: Measured = meant("The value: a number in `unit`, or words", "检验结果", example=1.4)
    unit: Name = meant("Its unit; `1` of words", "单位", example="uS/cm")
    verdict: Literal["pass", "oos"] = meant("Passed, or out of specification", "合格或超标")
    sampled_at: Instant = meant("When the sample was drawn", "取样时间")
    retest_of: Identifier | None = meant("The sample that this one re-tests", "复验样品", optional=True)


class LabRun(Fields):
    """A run of an instrument: it was started, and is reported or aborted."""

    instrument: Identifier = meant("The instrument", "仪器", example="HPLC-2")
    number: Count = meant("Number of the run: rises by one per instrument", "运行序号")
    state: Literal["started", "reported", "aborted"] = meant("What became of it", "运行状态")
    reason: Words | None = meant("Why it was aborted", "中止原因", optional=True)


class LabParallel(Fields):
    """What the regulator or a laboratory measured beside a sensor."""

    series: Tag = meant("Tag of the sensor", "测点", example="CR1.T1")
    value: Number = meant("The value, in `unit`", "比对值", example=5.1)
    unit: Name = meant("Unit of the value, as registered", "单位", example="Cel")
    measured_at: Instant = meant("When", "比对时间")
    by: Name = meant("Who measured", "比对单位或人员", example="BJ-LAB")
    reference_error: Amount = meant("Error of the reference, in `unit`", "标准器误差", example=0.1)
