"""Versioned lookup tables of a bundle: limits by register facts, each with its edition and status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from rules.models import Bilingual, Flag, Number, Strict, Whole
from rules.predicate import holds
from rules.register import Span
from rules.rule import Citation, Predicate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.facts import FactValue


class TableRow(Strict):
    """A limit for the sensors whose facts are as in `where`.

    `registered: true`: where the sensor has a registered limit on a side that the row limits, that one stands instead.
    `deadband` (unit of the row) and `consecutive` stand instead of those of the rule that looks up here.
    """

    where: dict[str, Predicate]
    unit: str
    limit: Span
    edition: str
    status: Literal["cited", "verify", "own"]
    registered: Flag | None = None
    deadband: Number | None = Field(default=None, ge=0)
    consecutive: Whole | None = Field(default=None, ge=1, le=1_000)


class Table(Strict):
    """A lookup table; the first row whose facts fit is the limit in force."""

    schema_: Literal["table/1"] = Field(alias="schema")
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
    edition: str = Field(min_length=1)
    title: Bilingual
    cites: Annotated[list[Citation], Field(min_length=1)]
    rows: Annotated[list[TableRow], Field(min_length=1, max_length=1_000)]

    def lookup(self, facts: Mapping[str, FactValue]) -> TableRow | None:
        """Return the row for `facts`, or None where the table says nothing (unknown)."""
        return next((row for row in self.rows if holds(row.where, facts)), None)
