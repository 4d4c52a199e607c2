"""Read a posted report: the envelope, the fields of its type, and what cannot have happened in that order; every fault at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError

from rules.faults import FaultCode
from rules.instants import Instant
from rules.jsontext import read_json
from rules.models import Identifier, Whole
from rules.records import Report
from rules.reports.checks import Seen, instant_of, what_cannot_be
from rules.reports.parts import Words, meant
from rules.reports.types import TYPES

if TYPE_CHECKING:
    from rules.faults import FaultList
    from rules.reports.parts import Fields

WHAT = "report"
AHEAD_MS = 5 * 60_000
"""How far a sender's clock may be ahead of ours before `sent` lies in the future."""


class ReportEnvelope(Report):
    """What stands around the fields of every report that is posted."""

    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")] = meant("Type of report", "报告类型")
    id: Identifier = meant("The report, the same in each revision", "报告编号，各次修订相同", example="R-2026-0031")
    revision: Annotated[Whole, Field(ge=1, le=100_000)] = meant("1, then rising", "修订号，自 1 起递增", example=1)
    sent: Instant = meant("When it was sent; clocks judge by receipt", "发送时间；时限以接收时间为准")
    reason: Words | None = meant(
        "Why it is amended: a revision above 1 needs it", "更正原因，修订时必填", optional=True
    )
    fields: dict[str, Any] = meant("As its type says", "按报告类型")


def read_report(body: bytes, now: int | None = None) -> Report:
    """Return the report of a posted body (UTF-8 JSON, already decompressed), without members of `fields` that are null.

    Whether its revision conflicts with another one is decided by the fold: nothing is known of others here.

    Args:
        body: as posted.
        now: the receiver's time, ms; without it nothing is held to lie in the future.

    Raises:
        PostRefusedError: with every fault; `grounds` says whether it is malformed, too large or against the contract.
    """
    value = read_json(body, WHAT)
    report_faults(value, now).refuse(WHAT)
    return Report.model_validate(value | {"fields": without_nulls(value["fields"])})


def without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields as the log holds them: a null is left out, so that rules know one way of saying nothing."""
    return {name: value for name, value in fields.items() if value is not None}


def fields_of(report: Report) -> Fields | None:
    """Return the fields of a report of the log in their model, None where its type is not known or they do not fit.

    A record of the log may have come through another door: what cannot be read is not judged.
    """
    known = TYPES.get(report.type)
    if known is None:
        return None
    try:
        return known.model.model_validate(report.fields)
    except ValidationError:
        return None


def members_of(fields: Fields) -> dict[str, Any]:
    """Return the members of a report's fields by the names that they were posted with; what lies inside of them stays as it is."""
    return {info.alias or name: getattr(fields, name) for name, info in type(fields).model_fields.items()}


def report_faults(value: Any, now: int | None = None) -> FaultList:  # noqa: ANN401 - any JSON value
    """Return every fault of a decoded JSON value as a report."""
    seen = Seen(value)
    if seen.too_many:
        return seen.faults
    seen.through(ReportEnvelope, value)
    if not isinstance(value, dict):
        return seen.faults
    kind, fields, sent = value.get("type"), value.get("fields"), instant_of(value.get("sent"))
    if now is not None and sent is not None and sent > now + AHEAD_MS:
        seen.add(FaultCode.IN_THE_FUTURE, "sent lies ahead of the time at which it came", "sent")
    if not isinstance(kind, str):
        return seen.faults
    known = TYPES.get(kind)
    if known is None:
        seen.add(FaultCode.UNKNOWN_VALUE, f"one of {', '.join(TYPES)}", "type")
    elif isinstance(fields, dict):
        seen.through(known.model, fields, "fields")
        what_cannot_be(known.model, fields, seen, "fields", sent=sent)
    return seen.faults
