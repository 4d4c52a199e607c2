"""The four posts: how each body is read, and what the door must know of it: its id, the tags that it names, its record.

Reading and encoding are one step, so that of a large body both are done where it is read (lane.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from monitor.proofs.named import proof_of
from rules.eventtypes.reading import read_events
from rules.markpost import read_mark
from rules.posts import read_readings
from rules.records import Events, Mark, Readings, Report
from rules.reports.reading import read_report
from rules.senml import read_senml
from streams.codec import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streams.codec import Headers

PostEndpoint: TypeAlias = Literal["readings", "reports", "marks", "events"]
POSTS: tuple[PostEndpoint, ...] = ("readings", "reports", "marks", "events")
JSON, SENML = "application/json", "application/senml+json"
MEDIA: Mapping[PostEndpoint, tuple[str, ...]] = {
    "readings": (JSON, SENML), "reports": (JSON,), "marks": (JSON,), "events": (JSON,),
}  # fmt: skip
"""What each takes."""
MEDIUM_BYTES: Mapping[PostEndpoint, int] = {
    "readings": 8 * 1024,
    "reports": 2 * 1024,
    "marks": 2 * 1024,
    "events": 2 * 1024,
}
"""The worst body of this size takes about 3 ms, of the others about 15: their faults cost more."""
TAG_FIELDS = ("point", "series")
"""Fields of events that name a tag."""


@dataclass(frozen=True, slots=True)
class How:
    """How a body is to be read."""

    endpoint: PostEndpoint
    now: int
    """When it came, ms."""
    batch_id: str | None = None
    """With it, readings are SenML."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Of the registered tags, for SenML: JSON names no unit."""


@dataclass(frozen=True, slots=True)
class Post:
    """A body as it was read: nothing in it is against the contract."""

    id: str
    tags: tuple[str, ...]
    """Every tag that it names, once."""
    has_area: bool
    """It declares something of a whole area."""
    readings: int
    record: tuple[Headers, bytes]
    """Headers and value, as the log takes them."""
    proof: str | None = None
    """The SHA-256 of an upload that a mark or an amendment names."""


def read_post(body: bytes, how: How) -> Post:
    """Return what a body holds.

    Raises:
        PostRefusedError: with every fault.
    """
    payload = _read(body, how)
    return Post(
        id=payload.batch if isinstance(payload, Readings | Events) else payload.id,
        tags=tuple(dict.fromkeys(_tags(payload))),
        has_area=isinstance(payload, Mark) and payload.area is not None,
        readings=int(payload.time.size) if isinstance(payload, Readings) else 0,
        record=encode(payload),
        proof=proof_of(payload),
    )


def _read(body: bytes, how: How) -> Readings | Report | Mark | Events:
    match how.endpoint:
        case "reports":
            return read_report(body, how.now)
        case "marks":
            return read_mark(body)
        case "events":
            return read_events(body)
    return read_readings(body) if how.batch_id is None else read_senml(body, how.batch_id, how.units)


def _tags(payload: Readings | Report | Mark | Events) -> Iterator[str]:
    if isinstance(payload, Readings):
        yield from payload.tags
    elif isinstance(payload, Mark):
        yield from payload.tags or ()
    elif isinstance(payload, Events):
        for event in payload.events:
            yield from (str(event.fields[name]) for name in TAG_FIELDS if name in event.fields)
    elif payload.type == "amendment":
        changed = payload.fields["readings"]
        assert isinstance(changed, list)  # noqa: S101 - its model says so
        yield from (str(reading["tag"]) for reading in changed if isinstance(reading, dict))
