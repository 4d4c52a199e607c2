"""Parts of the models of rules over reports (kinds `document` and `balance`): which list is looked at, entry by entry (see `rules.rule`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rules.models import Identifier, Strict

ReportType = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
LeftOut = Annotated[str, Field(min_length=1, max_length=64)]


class Each(Strict):
    """A list of the report whose entries are looked at one by one; any of them that holds raises."""

    of: Identifier
    """The member with the list: its entries are objects ..."""
    key: Identifier
    """... and this member of them says which entry one is."""
    before: Literal["previous", "earlier"] | None = None
    """What `before` is: the entry of the same key in the nearest report before this one that has it, or in this report's revision before."""
    subject: Literal["report", "lot", "product"] = "report"
    """Who the alarm is about: the report, or the entry by its key, which has this name; then all reports of a series speak of one alarm."""
