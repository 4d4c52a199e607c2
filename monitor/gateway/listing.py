"""`GET /v1/report-types` and `GET /v1/event-types`: every type with its fields' schema and a post that may be sent as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.gateway.answers import EventTypes, EventTypeShown, ReportTypes, ReportTypeShown
from rules.eventtypes import posts as events
from rules.eventtypes.types import STREAMS
from rules.reports import posts as reports
from rules.reports.types import TYPES

if TYPE_CHECKING:
    from rules.reports.parts import Fields


def report_types() -> ReportTypes:
    """Return every type of report."""
    return ReportTypes(
        types=[
            ReportTypeShown(
                type=name,
                title=known.title,
                senders=list(known.senders),
                schema_=_schema(known.model, f"report:{name}"),
                example=reports.example_of(name),
            )
            for name, known in TYPES.items()
        ]
    )


def event_types() -> EventTypes:
    """Return every type of event, stream by stream."""
    return EventTypes(
        types=[
            EventTypeShown(
                stream=stream,
                type=name,
                title=known.title,
                schema_=_schema(known.model, f"event:{stream}:{name}"),
                example=events.example_of(stream, name),
            )
            for stream, types in STREAMS.items()
            for name, known in types.items()
        ]
    )


def _schema(model: type[Fields], name: str) -> dict[str, Any]:
    """Return the JSON Schema of fields; its own `$id` lets its references hold wherever it stands."""
    return {"$id": f"urn:offsite:{name}:v1", **model.model_json_schema(by_alias=True)}
