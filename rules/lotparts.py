"""Parts of the models of rules over lots (kinds `lot_count`, `lot_balance`, `lot_follow_up`, `lot_ratio`): which facts are counted, and behind what (see `rules.rule`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rules.instants import Duration
from rules.models import Flag, Strict

LotOut = Literal["shipped", "sold"]
LotIn = Literal["produced", "imported", "arrived", "returned"]


class CountedMoves(Strict):
    """What of a lot left a facility: trace events of these types with a quantity above zero."""

    fact: Literal["moved"]
    types: Annotated[list[LotOut], Field(min_length=1, max_length=2)]
    back: Flag = False
    """Those that go to a facility that made the lot or recalled it are not counted: they are returns."""


class CountedCases(Strict):
    """Cases after the lot (reports `adr-case`), by case id: each report counts as its highest revision says, two of one case count once."""

    fact: Literal["case"]
    seriousness: Annotated[list[Literal["death", "serious", "other"]], Field(min_length=1, max_length=3)]


class BehindStop(Strict):
    """Behind the instant from which the facility knows that the lot must not move.

    That is the earliest of its own stop orders (`known_at`; one that does not say it: when it happened), of its own decision where it
    is the holder who gave notice, and of any other holder's notice and `notice` behind that; `notice` is nothing where an own order, that is
    not one of an authority, does not say since when it is known.
    """

    fact: Literal["stop"]
    notice: Duration = Field(ge=0)


class BehindExpiry(Strict):
    """Behind 24:00 local of the lot's expiry: the earliest that an event `produced` or `imported` names."""

    fact: Literal["expiry"]


class SoldOnline(Strict):
    """Trace events `sold` with `channel: online`, `cold_chain: true` and a quantity above zero; where `cold_chain` is missing it is unknown."""

    fact: Literal["sold-online"]


class LinkedTelemetry(Strict):
    """Readings of temperature of the shipment or of a store that keeps cold, of the seller or of whoever shipped on the same trip."""

    fact: Literal["telemetry"]


Counted = Annotated[CountedMoves | CountedCases, Field(discriminator="fact")]
Behind = Annotated[BehindStop | BehindExpiry, Field(discriminator="fact")]
