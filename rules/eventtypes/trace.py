"""Events of stream `trace`: lots and where they go, stock, steps of batches, states of rooms (catalogue part 2, §12; settled.md)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from rules.instants import Instant
from rules.models import Flag, Identifier
from rules.register import Day
from rules.reports.parts import MAX_ENTRIES, Amount, Fields, Name, Short, meant


class _OfLot(Fields):
    lot: Identifier = meant("The lot", "批号", example="B2601")
    quantity: Amount = meant("How much, in units of the product", "数量", example=1200)
    product: Identifier | None = meant("The product's id", "产品", example="P-12", optional=True)


class _Held(_OfLot):
    expiry: Day | None = meant("Expiry of the lot", "有效期至", example="2028-01-31", optional=True)


class Produced(_Held):
    """A lot was made."""


class Imported(_Held):
    """A lot was imported."""


class Released(_Held):
    """A lot was released."""


class Destroyed(_Held):
    """Something of a lot was destroyed."""

    place: Identifier | None = meant("Where", "地点", optional=True)


class _Moved(_OfLot):
    place: Identifier | None = meant("Where, as stock is counted there", "地点", optional=True)
    codes: Annotated[list[Short], Field(max_length=MAX_ENTRIES)] | None = meant("Trace codes", "追溯码", optional=True)
    from_: Name = meant("Facility, area, or in words", "发货方", alias="from", example="BJ-MFR-0007")
    to: Name = meant("Facility, area, or in words", "收货方", example="BJ-WHS-0003")
    trip: Short | None = meant("The trip, the same at departure and arrival", "运输批次", example="W-7", optional=True)
    channel: Literal["shop", "online"] | None = meant("How it is sold", "销售渠道", optional=True)
    cold_chain: Flag | None = meant("Whether it must stay cold", "是否冷链", optional=True)


class Shipped(_Moved):
    """Something of a lot left; with `trip` and an `area` the vehicle or box departed."""


class Arrived(_Moved):
    """Something of a lot arrived."""


class Sold(_Moved):
    """Something of a lot was sold."""


class Returned(_Moved):
    """Something of a lot came back."""


class StopOrder(Fields):
    """A lot must not move any more."""

    lot: Identifier = meant("The lot", "批号", example="B2601")
    basis: Literal["recall", "order"] | None = meant("Why", "依据", optional=True)
    known_at: Instant | None = meant("When the sender came to know of it", "获知时间", optional=True)


class StockCount(Fields):
    """What was counted of a product in a place."""

    place: Identifier = meant("The place", "地点", example="NS-1")
    product: Identifier = meant("The product's id", "产品", example="P-40")
    quantity: Amount = meant("How much there is", "数量", example=100)


class Used(Fields):
    """What was used of a product from a place."""

    place: Identifier = meant("The place", "地点", example="NS-1")
    product: Identifier = meant("The product's id", "产品", example="P-40")
    quantity: Amount = meant("How much was used", "数量", example=2)


class BatchStep(Fields):
    """A step of making a batch, from and to; one that goes on has no end yet."""

    ORDER: ClassVar = (("from", "to"),)

    batch: Identifier = meant("The batch", "批号", example="B2601")
    step: Short = meant("The step, such as filling", "工序", example="filling")
    from_: Instant = meant("When it began", "开始时间", alias="from")
    to: Instant | None = meant("When it ended", "结束时间", optional=True)


class RoomState(Fields):
    """What a room is used for now."""

    room: Identifier = meant("The room (an area's id)", "房间", example="FILL")
    state: Literal["in_operation", "at_rest", "stopped"] = meant("Its state", "房间状态")
