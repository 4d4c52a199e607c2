"""What may be posted as events, as one model: the envelope and the fields of each type. Its JSON Schema is the contract.

`rules.eventtypes.reading` reads; a property test holds what it takes against this schema.
"""

from __future__ import annotations

from functools import partial, reduce
from operator import or_
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, create_model

from rules.eventtypes.reading import EventEnvelope, EventsEnvelope
from rules.eventtypes.types import STREAMS
from rules.records import MAX_EVENTS
from rules.reports.parts import meant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.eventtypes.types import EventType


def example_of(stream: str, name: str) -> dict[str, Any]:
    """Return a batch with an event of a type, as it may be posted."""
    said: dict[str, Any] = {"stream": stream, "type": name, "time": "2026-03-01T08:01:00+08:00", "source": "PLC-2"}
    return {"batch": "e-0192", "events": [said | {"fields": dict(STREAMS[stream][name].example)}]}


def _post(stream: str, name: str, known: EventType) -> type[EventEnvelope]:
    is_needed = any(known.model.members().values())
    fields: dict[str, Any] = {
        "stream": (Literal[stream], meant("Stream", "事件流")),
        "type": (Literal[name], meant("Type, of the stream", "事件类型")),
        "fields": (
            known.model,
            meant("As its type says", "按事件类型")
            if is_needed
            else Field(default_factory=dict, description="As its type says (按事件类型)"),
        ),
    }
    named, said = f"{known.model.__name__}Event", f"{known.title.en} ({known.title.zh})"
    return create_model(named, __base__=EventEnvelope, __module__=__name__, __doc__=said, **fields)


POSTS: Mapping[str, Mapping[str, type[EventEnvelope]]] = MappingProxyType(
    {
        stream: MappingProxyType({name: _post(stream, name, known) for name, known in types.items()})
        for stream, types in STREAMS.items()
    }
)
"""By stream and type."""


def _kind_of(event: Any) -> str:  # noqa: ANN401 - any JSON value, or a model
    said = event.get if isinstance(event, dict) else partial(getattr, event)
    return f"{said('stream', None)} {said('type', None)}"


_KINDS = {f"{stream} {name}": post for stream, posts in POSTS.items() for name, post in posts.items()}
_ANY: Any = Annotated[
    reduce(or_, [Annotated[post, Tag(kind)] for kind, post in _KINDS.items()]), Discriminator(_kind_of)
]
EventsPost: type[EventsEnvelope] = create_model(
    "EventsPost",
    __base__=EventsEnvelope,
    __module__=__name__,
    __doc__="What a facility posts to `/v1/events`: one batch; its id makes sending again harmless.",
    events=(Annotated[list[_ANY], Field(min_length=1, max_length=MAX_EVENTS)], meant("The events", "事件")),
)
"""Events of any type."""
