"""Versioned lookup tables of a bundle: limits by register facts, each with its edition and status."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from rules.models import Bilingual, Flag, Number, Strict, Whole
from rules.predicate import holds
from rules.register import Span
from rules.rule import Citation, Override, Predicate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.facts import FactValue


class Reach(Strict):
    """From a value on, and below another or to it."""

    begin: Number = Field(alias="from")
    below: Number | None = None
    to: Number | None = None

    @model_validator(mode="after")
    def _ends(self) -> Reach:
        if (self.below is None) == (self.to is None):
            raise ValueError("gives exactly one of below and to")
        if self.edge <= self.begin:
            raise ValueError("ends behind its beginning")
        return self

    @property
    def edge(self) -> float:
        """Return the first value that lies behind it."""
        return self.below if self.below is not None else math.nextafter(self.to or 0.0, math.inf)


class TableRow(Strict):
    """A limit for the sensors whose facts are as in `where`.

    `at`: for which values of the partner the row is (difference rules of `pairs: by-temperature` alone).

    `registered: true`: where the sensor has a registered limit on a side that the row limits, that one stands instead.
    `units`: other units of a laboratory result, each with what a value in it is multiplied by to be one in `unit` (rules of kind
    `result_limit` alone, which also take `result.method` in `where`, and a limit without a bound: the source sets none).

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
    at: Reach | None = None
    units: Annotated[dict[str, Annotated[Number, Field(gt=0)]], Field(min_length=1, max_length=16)] | None = None


class Table(Strict):
    """A lookup table; the first row whose facts fit is the limit in force."""

    schema_: Literal["table/1"] = Field(alias="schema")
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
    edition: str = Field(min_length=1)
    title: Bilingual
    cites: Annotated[list[Citation], Field(min_length=1)]
    rows: Annotated[list[TableRow], Field(min_length=1, max_length=1_000)]
    override: Override | None = None
    """Why this file replaces the table of the same id of an earlier pack."""

    def lookup(self, facts: Mapping[str, FactValue]) -> TableRow | None:
        """Return the row for `facts`, or None where the table says nothing (unknown)."""
        return next((row for row in self.rows if holds(row.where, facts)), None)
