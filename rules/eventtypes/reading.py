"""Read a posted batch of events: the envelopes, the fields of their types; every fault at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from rules.eventtypes.types import STREAMS
from rules.faults import FaultCode
from rules.instants import Instant
from rules.jsontext import read_json
from rules.models import Identifier, Strict
from rules.readingfaults import MAX_SEQ
from rules.records import MAX_EVENTS, Event, Events
from rules.reports.checks import Seen, what_cannot_be
from rules.reports.parts import meant
from rules.reports.reading import without_nulls

if TYPE_CHECKING:
    from rules.eventtypes.types import EventType
    from rules.faults import FaultList

WHAT = "events"


class EventEnvelope(Event):
    """What stands around the fields of every event that is posted."""

    stream: Literal["device", "audit", "lab", "trace"] = meant("Stream", "事件流")
    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")] = meant("Type, of the stream", "事件类型")
    time: Instant = meant("When it happened", "事件时间")
    source: Identifier = meant("What told it: a controller, a computer system", "事件来源", example="PLC-2")
    seq: Annotated[int, Field(strict=True, ge=0, le=MAX_SEQ)] | None = meant(
        "Per source, rising by one: lets gaps be seen", "按来源递增的序号", example=911, optional=True
    )
    area: Identifier | None = meant("The area, if it is not the device's", "区域", example="CR1", optional=True)
    device: Identifier | None = meant(
        "The device, as `fields.device`", "设备编号，同 fields.device", example="UPS-1", optional=True
    )
    fields: dict[str, Any] = Field(default_factory=dict, description="As its type says (按事件类型)")


class EventsEnvelope(Strict):
    """What a facility posts to `/v1/events`: a batch of events."""

    batch: Identifier = meant("Makes sending again harmless", "批次号，重复发送不改变结果", example="e-0192")
    events: Annotated[list[Any], Field(min_length=1)]


def read_events(body: bytes) -> Events:
    """Return the events of a posted body (UTF-8 JSON, already decompressed), without members of `fields` that are null.

    An event that is stamped ahead of its receipt is taken: the fold counts it as of when it came.

    Raises:
        PostRefusedError: with every fault; `grounds` says whether it is malformed, too large or against the contract.
    """
    value = read_json(body, WHAT)
    events_faults(value).refuse(WHAT)
    events = [event | {"fields": without_nulls(event.get("fields", {}))} for event in value["events"]]
    return Events.model_validate(value | {"events": events})


def events_faults(value: Any) -> FaultList:  # noqa: ANN401 - any JSON value
    """Return every fault of a decoded JSON value as events; more than a batch may hold are not looked at one by one."""
    events = value.get("events") if isinstance(value, dict) else None
    if isinstance(events, list) and len(events) > MAX_EVENTS:
        seen = Seen({name: member for name, member in value.items() if name != "events"})
        seen.add(FaultCode.TOO_MANY, f"{len(events)}; at most {MAX_EVENTS}", "events")
        return seen.faults
    seen = Seen(value)
    if seen.too_many:
        return seen.faults
    seen.through(EventsEnvelope, value)
    for i, event in enumerate(events if isinstance(events, list) else []):
        _event(event, i, seen)
    return seen.faults


def _event(event: Any, i: int, seen: Seen) -> None:  # noqa: ANN401 - any JSON value
    path = ("events", i)
    seen.through(EventEnvelope, event, *path)
    if not isinstance(event, dict):
        return
    known = _type_of(event, seen, *path)
    fields = event.get("fields", {})
    if known is None or not isinstance(fields, dict):
        return
    if "fields" not in event and any(known.model.members().values()):
        seen.add(FaultCode.MISSING, "this member is needed", *path, "fields")
        return
    seen.through(known.model, fields, *path, "fields")
    what_cannot_be(known.model, fields, seen, *path, "fields")
    _device(event, fields, known, seen, *path, "fields")


def _type_of(event: dict[str, Any], seen: Seen, *path: str | int) -> EventType | None:
    stream, kind = event.get("stream"), event.get("type")
    types = STREAMS.get(stream) if isinstance(stream, str) else None
    if types is None or not isinstance(kind, str):
        return None
    if kind not in types:
        seen.add(FaultCode.UNKNOWN_VALUE, f"one of {', '.join(types)}", *path, "type")
    return types.get(kind)


def _device(event: dict[str, Any], fields: dict[str, Any], known: EventType, seen: Seen, *path: str | int) -> None:
    """Add what contradicts the device of the envelope: another one in the fields, or a point where one of both is meant."""
    device, other = event.get("device"), fields.get("device")
    if device is None:
        return
    if isinstance(other, str) and other != device:
        seen.add(FaultCode.NOT_TOGETHER, "the event names another device", *path, "device")
    one_of_both = any("device" in choice.names for choice in known.model.CHOICES)
    if other is None and fields.get("point") is not None and one_of_both:
        seen.add(FaultCode.NOT_TOGETHER, "not beside the device of the event", *path, "point")
