"""Days and instants as the register writes them: a bare day is the whole of it, in the jurisdiction's zone."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from rules.instants import Instant, start_of_day

ZONE = "Asia/Shanghai"
"""The jurisdiction's zone: a bare date in the register begins at its midnight (settled.md)."""


def _date_text(value: Any) -> Any:  # noqa: ANN401 - whatever the YAML gave
    return value.isoformat() if isinstance(value, date) else value


def _instant_or_date(value: Any) -> Any:  # noqa: ANN401 - whatever the YAML gave
    if isinstance(value, date) and not hasattr(value, "hour"):
        return start_of_day(value, ZONE)
    if isinstance(value, str) and len(value) == len("2026-01-01"):
        return start_of_day(date.fromisoformat(value), ZONE)
    return value


def _real_day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise ValueError("no such day in the calendar") from None
    return text


Day = Annotated[
    str, BeforeValidator(_date_text), Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), AfterValidator(_real_day)
]
SinceInstant = Annotated[Instant, BeforeValidator(_instant_or_date)]
