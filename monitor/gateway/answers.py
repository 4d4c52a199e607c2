"""What the gateway answers, as models: the schemas of docs/contracts and of `/openapi.json` come from here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from monitor.proofs.shelf import ProofReceipt, Sha256
from rules.faults import FaultCode
from rules.instants import Instant
from rules.models import Bilingual, FacilityId, Identifier, Severity, Strict, Tag
from rules.posts import QualityName
from rules.records import Kind
from rules.register import Facility

Milliseconds = Annotated[int, Field(json_schema_extra={"x-unit": "ms"})]
Count = Annotated[int, Field(ge=0)]
JsonObject = dict[str, Any]


class Receipt(Strict):
    """202: the record is stored; it survives a crash of anything."""

    id: Identifier
    partition: Count
    offset: Count
    received: Instant
    unknown_tags: list[Tag]
    """Kept, and not judged before they are registered."""
    proof_missing: Sha256 | None = None
    """What `proof` of this mark or amendment names, and this facility has not uploaded: send it to `/v1/proofs`, and nothing else again.
    Left out where it is there, where none is named, and where the disk of proofs did not answer at once."""


class Checked(Strict):
    """200 to `?check=true`: the post would be taken; nothing was stored."""

    id: Identifier
    checked: Literal[True]
    unknown_tags: list[Tag]
    proof_missing: Sha256 | None = None
    """As in the receipt."""


class ProblemFault(Strict):
    """One thing that is wrong with a post, and where."""

    pointer: str
    """JSON pointer into the body."""
    code: FaultCode
    detail: str


class Problem(Strict):
    """A refusal after RFC 9457, with all faults at once: the first 500 and the number of all per code."""

    type: str
    title: str
    title_zh: str
    status: Annotated[int, Field(ge=400, le=599)]
    code: str
    errors: list[ProblemFault]
    detail: str | None = None
    counts: dict[str, Count] | None = None


class SeriesSeen(Strict):
    """The newest reading of a tag."""

    tag: Tag
    time: Instant
    """Event time."""
    value: float | None
    quality: QualityName
    received: Instant
    """When the record that brought it was received."""
    registered: bool
    spacing_ms: Milliseconds | None
    """By how much the newest event time typically moves from post to post; null until two posts were seen."""


class SilentSeries(Strict):
    """A series that was silent for longer than three times its typical spacing at `as_of`."""

    tag: Tag
    since: Instant
    """Event time of its newest reading."""
    spacing_ms: Milliseconds


class OpenFinding(Strict):
    """An alarm of the facility that is not cleared."""

    alarm: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    rule: str
    subject: dict[str, str]
    severity: Severity
    start: Instant
    """Event time."""
    received: Instant
    """Of its newest change."""
    message: Bilingual
    suppressed: bool
    """Covered by a wider alarm that is listed too."""
    unknown: bool
    """It can be judged neither way now: data are missing or bad."""
    silence: bool
    """It is about a series, an area or the feed that is silent."""


class Findings(Strict):
    """The open findings, in the order of colour (worst first) and start."""

    since: Instant | None
    """Alarms whose last change lies before this are not known here."""
    last_change: Instant | None
    open: list[OpenFinding]
    left_out: Count
    """Alarms for which there was no room."""
    changes_missed: Count
    """Numbers missing in the stream of changes: what is open may be incomplete."""


class Arrived(Strict):
    """Records of one kind since `since`."""

    kind: Kind
    records: Count
    last: Instant


class SequenceSeen(Strict):
    """The `seq` numbers of the posts."""

    highest: Count
    missing: Count
    """Numbers below the highest that were not seen, of the last thousand."""
    examples: Annotated[list[Count], Field(max_length=20)]


class ClockOffset(Strict):
    """Receive time minus newest event time of the last records of readings."""

    median_ms: Milliseconds
    """Above zero: readings come so much later than they are stamped. Below zero: the facility's clock is ahead."""
    records: Count


class RefusalSeen(Strict):
    """One refused request."""

    at: Instant
    key: str
    """The name of the key that was used."""
    endpoint: str
    status: Annotated[int, Field(ge=400, le=599)]
    code: str
    detail: str
    errors: Annotated[list[ProblemFault], Field(max_length=5)]
    """The first five."""


class Refusals(Strict):
    """What this gateway refused since it was started; other gateways keep their own list."""

    gateway: str
    since: Instant
    counts: dict[str, Count]
    """Refusals per code."""
    last: list[RefusalSeen]
    """Newest first."""


class LeftOut(Strict):
    """What the answer does not hold for want of room, or because the fold does not judge it."""

    readings: Count
    """Rows of tags beyond the number of tags remembered."""
    future: Count
    """Rows stamped more than five minutes ahead of their receive time: kept, not judged, no newest reading here."""


class ConflictSeen(Strict):
    """A batch that came under an id used before with other content."""

    batch: str
    received: Instant


class Conflicts(Strict):
    """Batches of which nothing counts: their id was used before with other content."""

    count: Count
    newest: list[ConflictSeen]
    """The last twenty, oldest first."""


class Note(Strict):
    """What a reader of the answer should know."""

    code: str
    text: Bilingual


class Feed(Strict):
    """What arrived of one facility, as far as this gateway has looked. An absence is a fact only within `since` and `as_of`."""

    facility: FacilityId
    since: Instant | None
    """The log was read from this receive time on; null until it is known."""
    as_of: Instant | None
    """All that was received up to here is in the answer; null until every partition was heard of."""
    caught_up: bool
    """Whether what stood in the log when the gateway was started has been read."""
    clock_offset: ClockOffset | None
    arrived: list[Arrived]
    sequence: SequenceSeen | None
    series: list[SeriesSeen]
    unknown_tags: list[Tag]
    gaps: list[SilentSeries]
    refusals: Refusals
    findings: Findings
    left_out: LeftOut
    conflicts: Conflicts
    notes: list[Note]


class RegisterAnswer(Strict):
    """The facility's registered facts (contracts.md §2), as the newest register record says."""

    version: Count
    received: Instant | None
    """Receive time of the record in the log; null where it lies before what this gateway has read."""
    since: Instant | None
    """The log was read from this receive time on."""
    as_of: Instant | None
    facility: Facility
    at: Instant | None = None
    """`facility` holds what is in force at this instant; left out: all facts, with their `from`."""


class ReportTypeShown(Strict):
    """One type of report."""

    type: str
    title: Bilingual
    senders: list[Bilingual]
    """Who sends it."""
    schema_: JsonObject = Field(alias="schema")
    """JSON Schema of its `fields`."""
    example: JsonObject
    """A whole report, as it may be posted."""


class ReportTypes(Strict):
    """Every type of report that is taken."""

    types: list[ReportTypeShown]


class EventTypeShown(Strict):
    """One type of event."""

    stream: str
    type: str
    title: Bilingual
    schema_: JsonObject = Field(alias="schema")
    """JSON Schema of its `fields`."""
    example: JsonObject
    """A whole batch with one such event, as it may be posted."""


class EventTypes(Strict):
    """Every type of event that is taken."""

    types: list[EventTypeShown]


class ProofChecked(Strict):
    """200 to `?check=true`: the proof would be taken; nothing was kept."""

    sha256: Sha256
    checked: Literal[True]
    known: bool
    """Whether this facility has sent it before."""


class ProofList(Strict):
    """What a facility has uploaded, newest first, and how much room it has."""

    facility: FacilityId
    files: Count
    bytes: Annotated[int, Field(ge=0, json_schema_extra={"x-unit": "By"})]
    max_files: Count
    max_bytes: Annotated[int, Field(ge=0, json_schema_extra={"x-unit": "By"})]
    proofs: list[ProofReceipt]
    left_out: Count
    """Older ones that the list does not hold; they are kept."""
