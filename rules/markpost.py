"""Read a posted mark (contracts.md §1): a firm's own declaration of a state; every fault at once. What marks do: rules/marks.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from rules.faults import FaultCode
from rules.instants import Instant
from rules.jsontext import read_json
from rules.models import Identifier, Tag, Whole
from rules.records import MAX_SERIES, Mark
from rules.reports.checks import Seen, instant_of
from rules.reports.parts import Choice, Words, meant

if TYPE_CHECKING:
    from rules.faults import FaultList

WHAT = "mark"
TAGS_OR_AREA = Choice(("tags", "area"), 1, 1)


class MarkPost(Mark):
    """What a facility posts to `/v1/marks`: some series, or an area, were or are in a state. An open mark is closed by its next revision."""

    model_config = ConfigDict(populate_by_name=False, json_schema_extra={"allOf": [TAGS_OR_AREA.schema()]})

    id: Identifier = meant("The mark, the same in each revision", "标记编号，各次修订相同", example="M-77")
    revision: Annotated[Whole, Field(ge=1, le=100_000)] = meant("1, then rising", "修订号，自 1 起递增", example=1)
    tags: Annotated[list[Tag], Field(min_length=1, max_length=MAX_SERIES)] | None = meant(
        "Tags of the series, or else `area`", "测点，或填 area", example=["CR1.T1"], optional=True
    )
    area: Identifier | None = meant("The area, all its series", "区域，含其全部测点", example="CR1", optional=True)
    flag: Literal["maintenance", "calibration", "stopped", "fault", "comms", "set_value"] = meant(
        "The state", "标记类别"
    )
    from_: Instant = meant("From when, inside", "开始时间（含）", alias="from")
    to: Instant | None = meant(
        "Until when, inside; null while it lasts", "结束时间（含）；持续中为 null", optional=True
    )
    reason: Words = meant("Why", "原因", example="compressor service")
    author: Identifier = meant("Who declares it", "标记人", example="u-12")
    proof: Identifier | None = meant(
        "The proof: an id, or the SHA-256 of an upload", "证明材料", example="WO-5513", optional=True
    )

    @model_validator(mode="after")
    def _sound(self) -> MarkPost:
        return self  # `mark_faults` says what does not go together, whatever else is wrong


def read_mark(body: bytes) -> Mark:
    """Return the mark of a posted body (UTF-8 JSON, already decompressed).

    A mark may lie ahead: work is planned. Which revision holds, and what a late mark changes, is decided by the fold.

    Raises:
        PostRefusedError: with every fault; `grounds` says whether it is malformed, too large or against the contract.
    """
    value = read_json(body, WHAT)
    mark_faults(value).refuse(WHAT)
    return Mark.model_validate(value)


def mark_faults(value: Any) -> FaultList:  # noqa: ANN401 - any JSON value
    """Return every fault of a decoded JSON value as a mark."""
    seen = Seen(value)
    if seen.too_many:
        return seen.faults
    seen.through(MarkPost, value)
    if isinstance(value, dict):
        seen.choose(TAGS_OR_AREA, value)
        begin, end = instant_of(value.get("from")), instant_of(value.get("to"))
        if begin is not None and end is not None and end < begin:
            seen.add(FaultCode.IMPOSSIBLE_TIME, "lies before from", "to")
    return seen.faults
