"""What stands in `offsite.rejected.v1`: one model per writer, told apart by `by`, each kept with its first 4 KiB.

`by: worker` is a record of the log that could not be evaluated, kept by its place. `by: gateway` is a sample of what the
front door refused; what was refused besides is counted in the next sample of the same key. `by: quarantine` says that a
facility is not folded any more, or folded again; the owner of its partition says it anew at each start. `by: clock` says that the
broker's clock jumped.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from rules.instants import Instant
from rules.models import FacilityId, Strict

if TYPE_CHECKING:
    from rules.records import Rejected

SAMPLE_BYTES = 4096
Sample = Annotated[str, Field(max_length=4 * -(-SAMPLE_BYTES // 3))]
"""Base64 of the first 4 KiB."""
Count = Annotated[int, Field(ge=0)]


class UnreadRecord(Strict):
    """A record of the log that the worker could not decode or not apply."""

    by: Literal["worker"] = "worker"
    partition: Count
    offset: Count
    received_ms: int
    """The broker's append time."""
    facility: FacilityId | Literal[""]
    """Empty where the key is no facility id."""
    code: str
    detail: str
    sample: Sample
    of: Literal["log", "lots"] = "log"
    """Which topic it stands in."""


class RefusedPost(Strict):
    """A request that the front door refused, and how many it refused since the last sample of the same key."""

    by: Literal["gateway"] = "gateway"
    gateway: str
    at: Instant
    """The gateway's clock: a refusal has no receive time of the log."""
    facility: FacilityId | Literal[""]
    """Empty where no facility was named that the key is for."""
    principal: str
    """The name of the feed key, never the key."""
    endpoint: str
    status: Annotated[int, Field(ge=400, le=599)]
    code: str
    detail: str
    counts: dict[str, Count]
    """All faults of the body, per code."""
    sample: Sample
    """Of the body after decoding, as far as it was read."""
    size: Count | None
    """Bytes of the decoded body, null where it was not read whole."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    unsampled: dict[str, Count]
    """Refusals of this key that were only counted since its last sample, per code."""


class QuarantineNotice(Strict):
    """A facility whose records are kept in the log and not folded, because one of them ends the worker."""

    by: Literal["quarantine"] = "quarantine"
    state: Literal["held", "refused", "released"]
    """`refused`: a release did not come off, it is still held."""
    facility: FacilityId
    partition: Count
    begin: Count
    """The first offset that was not folded."""
    offset: Count
    """The record that ended the worker."""
    deaths: Count
    since_ms: int
    detail: Annotated[str, Field(max_length=1000)] = ""


ClockState: TypeAlias = Literal["held", "agreed", "reached", "waited", "back"]


class ClockNotice(Strict):
    """The broker's clock jumped in one partition (streams/clock_guard.py): what came of it."""

    by: Literal["clock"] = "clock"
    state: ClockState
    """`held`: the partition waits. `agreed`, `reached`, `waited`: it goes on. `back`: an older time than before."""
    partition: Count
    offset: Count
    received_ms: int
    own_ms: int
    """The worker's clock."""
    worker: str


Entry: TypeAlias = UnreadRecord | RefusedPost | QuarantineNotice | ClockNotice
RejectedEntry: TypeAlias = Annotated[Entry, Field(discriminator="by")]
_ENTRY: TypeAdapter[Entry] = TypeAdapter(RejectedEntry)


def read_rejected(value: bytes) -> Entry:
    """Return an entry of the topic.

    Raises:
        pydantic.ValidationError: it is none.
    """
    return _ENTRY.validate_json(value)


def encode_entry(entry: Entry) -> bytes:
    """Return the JSON of an entry, members sorted."""
    value = entry.model_dump(mode="json")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def encode_rejected(record: Rejected, *, of_lots: bool = False) -> bytes:
    """Return the JSON of a record that the worker could not decode; never raises, whatever stood there.

    Args:
        record: which.
        of_lots: it stands in the topic of lots, not in the log.
    """
    return encode_entry(
        UnreadRecord.model_construct(
            partition=record.partition,
            offset=record.offset,
            received_ms=record.received,
            facility=record.facility,
            code=record.code,
            detail=record.detail.encode("utf-8", "replace").decode(),
            sample=sample_of(record.sample),
            of="lots" if of_lots else "log",
        )
    )


def sample_of(raw: bytes) -> str:
    """Return the base64 of the first 4 KiB."""
    return base64.b64encode(raw[:SAMPLE_BYTES]).decode()
