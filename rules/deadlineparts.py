"""Parts of the model of a legal clock (kind `deadline`): what starts it, what answers it, and how long it takes (see `rules.rule`)."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from rules.calendar import LegalTimeText
from rules.instants import Duration
from rules.models import Flag, Identifier, Number, Severity, Strict, Whole
from rules.register import Day

FieldValue: TypeAlias = str | Flag | Whole
Where: TypeAlias = Annotated[dict[Identifier, FieldValue | list[FieldValue | None]], Field(max_length=8)]
"""Members of a report's fields, and the value (or the values, one of which) they have; `null` among values: the report does not say it."""
RECEIPT = "received"
"""In place of a field: when the document was received."""


class Document(Strict):
    """Which submitted reports are meant, what names the clock that they belong to, and when the clock began by them."""

    report: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
    where: Where = Field(default_factory=dict)
    """Others of the type are none of these."""
    key: Identifier
    """The field that names the case; of a list each entry is one."""
    at: Identifier | None = None
    """The field with the instant (or the day) at which the clock began, or `received`; of several reports the earliest counts."""


class Edition(Strict):
    """How long a clock takes, for what was so and began then."""

    time: LegalTimeText
    where: Where = Field(default_factory=dict)
    from_: Day | None = Field(default=None, alias="from")
    """For what began on this local day or later ..."""
    before: Day | None = None
    """... and before this one."""


class Reminder(Strict):
    """A milder colour that speaks before the instant at which something is due, once that is known beforehand."""

    share: Number | None = Field(default=None, gt=0, lt=1)
    """So much of the time has gone ..."""
    before: Duration | None = None
    """... or so long before it is over; exactly one of the two."""
    severity: Severity = Severity.BLUE

    @model_validator(mode="after")
    def _one(self) -> Reminder:
        if (self.share is None) == (self.before is None):
            raise ValueError("gives exactly one of share and before")
        return self


class Overdue(Strict):
    """A stronger colour so long behind the due instant."""

    after: LegalTimeText
    to: Severity


Yearly = Literal["trials", "holders"]
"""Clocks that the register starts each year: at the anniversary of each trial, and on 1 January for holders."""
