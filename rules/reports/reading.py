"""Read a posted report: the envelope, the fields of its type, and what cannot have happened in that order; every fault at once."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rules.faults import FaultCode, FaultList, model_faults
from rules.instants import parse_instant, start_of_day
from rules.jsontext import read_json
from rules.records import Report
from rules.register import ZONE
from rules.reports.types import TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.reports.parts import Fields

WHAT = "report"
AHEAD_MS = 5 * 60_000
"""How far a sender's clock may be ahead of ours before `sent` lies in the future."""


def read_report(body: bytes, now: int | None = None) -> Report:
    """Return the report of a posted body (UTF-8 JSON, already decompressed).

    Args:
        body: as posted.
        now: the receiver's time, ms; without it nothing is held to lie in the future.

    Raises:
        PostRefusedError: with every fault; `grounds` says whether it is malformed, too large or against the contract.
    """
    value = read_json(body, WHAT)
    report_faults(value, now).refuse(WHAT)
    return Report.model_validate(value)


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
    faults = FaultList()
    try:
        Report.model_validate(value)
    except ValidationError as error:
        faults.extend(model_faults(error))
    if not isinstance(value, dict):
        return faults
    kind, fields = value.get("type"), value.get("fields")
    sent = _instant(value.get("sent"))
    if now is not None and sent is not None and sent > now + AHEAD_MS:
        faults.add(FaultCode.IN_THE_FUTURE, "sent lies ahead of the time at which it came", "sent")
    if not isinstance(kind, str):
        return faults
    known = TYPES.get(kind)
    if known is None:
        faults.add(FaultCode.UNKNOWN_VALUE, f"one of {' '.join(TYPES)}", "type")
        return faults
    if not isinstance(fields, dict):
        return faults
    try:
        known.model.model_validate(fields)
    except ValidationError as error:
        faults.extend(model_faults(error), "fields")
    _out_of_order(known.model, fields, sent, faults)
    return faults


def _out_of_order(model: type[Fields], fields: dict[str, Any], sent: int | None, faults: FaultList) -> None:
    """Add what cannot have happened in the order that it says, as far as both instants can be read."""
    said = set()
    for first, second in model.ORDER:
        ends = [sent] if second == "sent" else [end for _, _, end in _spans(fields, second)]
        for path, begin, _ in _spans(fields, first):
            if path not in said and any(end is not None and begin > end for end in ends):
                said.add(path)
                faults.add(FaultCode.IMPOSSIBLE_TIME, f"lies behind {second}", "fields", *path)


def _spans(fields: dict[str, Any], name: str) -> Iterator[tuple[tuple[str | int, ...], int, int]]:
    """Yield path, first and last ms of each instant under a name; `list/*/member` names one in each entry of a list."""
    head, _, member = name.partition("/*/")
    value = fields.get(head)
    if not member:
        span = _span(value, is_year=head == "year")
        if span is not None:
            yield (head,), *span
        return
    for i, entry in enumerate(value if isinstance(value, list) else []):
        span = _span(entry.get(member), is_year=False) if isinstance(entry, dict) else None
        if span is not None:
            yield (head, i, member), *span


def _span(value: Any, *, is_year: bool) -> tuple[int, int] | None:  # noqa: ANN401 - any JSON value
    """Return the first and last ms of an instant, of a day or of a year; None where it is none."""
    try:
        if is_year:
            begin, behind = date(value, 1, 1), date(value + 1, 1, 1)
        elif isinstance(value, str) and len(value) == len("2026-01-01"):
            begin = date.fromisoformat(value)
            behind = begin + timedelta(days=1)
        else:
            instant = _instant(value)
            return None if instant is None else (instant, instant)
    except (TypeError, ValueError, OverflowError):
        return None
    return start_of_day(begin, ZONE), start_of_day(behind, ZONE) - 1


def _instant(value: Any) -> int | None:  # noqa: ANN401 - any JSON value
    if type(value) is int:
        return value
    try:
        return parse_instant(value) if isinstance(value, str) else None
    except ValueError:
        return None
