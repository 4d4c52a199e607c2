"""The records of the log (contracts.md §3): one frozen value per kind, readings as packed columns.

`LogRecord` is what the fold takes. Nothing here knows how Kafka or JSON lines spell it; that is `streams.codec`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Annotated, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from rules.instants import Instant
from rules.lots.facts import LotFact, SubjectName
from rules.models import FacilityId, Identifier, Strict, Tag, Text, Whole
from rules.register import Facility

MAX_READINGS = 50_000
MAX_SERIES = 5_000
MAX_EVENTS = 1_000
MAX_DEPTH = 16
"""JSON depth of anything posted (contracts.md §1)."""
SEMANTICS = 7
"""The engine's semantics version: raised whenever the same log and packs would give other changes."""
ADOPTS: frozenset[int] = frozenset({1, 2, 3, 4, 5, 6})
"""Semantics whose state this engine can go on from (`offsite state upgrade`). Whoever raises `SEMANTICS` says here whether what
the engine before has left (docs/engine-semantics.md, rules/snapshot.py) means the same to the new one, and tests it."""


class Kind(StrEnum):
    """The kinds of record in `offsite.log.v1`."""

    REGISTER = "register"
    READINGS = "readings"
    REPORT = "report"
    MARK = "mark"
    EVENTS = "events"
    ANSWER = "answer"
    DECISION = "decision"
    INSPECTION = "inspection"
    PACKS = "packs"
    TICK = "tick"
    STATE = "state"


class LotKind(StrEnum):
    """The kind of record that stands in `offsite.lots.v1`, never in the log (ADR 0073); packs and ticks stand in both."""

    FACT = "fact"


class Quality(IntEnum):
    """Quality of a reading, after HJ 212's N, -, T, M, C, S, D, F, B; the number is its code in the columns."""

    GOOD = 0
    UNCERTAIN = 1
    OVER_LIMIT = 2
    MAINTENANCE = 3
    CALIBRATION = 4
    SET_VALUE = 5
    FAULT = 6
    STOPPED = 7
    COMMS = 8


QUALITY_NAMES: tuple[str, ...] = tuple(quality.name.lower() for quality in Quality)


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """One batch of readings in columns: series after series, rows as posted.

    `tags[i]` owns the next `counts[i]` rows of `time` (int64, event time in ms), `value` (float64, NaN where null) and
    `quality` (uint8, see Quality).
    """

    batch: str
    tags: tuple[str, ...]
    counts: npt.NDArray[np.int32]
    time: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    quality: npt.NDArray[np.uint8]
    seq: int | None = None

    def __eq__(self, other: object) -> bool:
        """Compare by content; two nulls are equal."""
        return isinstance(other, Readings) and (
            (self.batch, self.tags, self.seq) == (other.batch, other.tags, other.seq)
            and np.array_equal(self.counts, other.counts)
            and np.array_equal(self.time, other.time)
            and np.array_equal(self.value, other.value, equal_nan=True)
            and np.array_equal(self.quality, other.quality)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash


def _only_json(value: JsonValue) -> JsonValue:
    """Refuse what pydantic lets through inside of lists and objects: numbers that are none, half surrogate pairs."""
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("finite_number", "a number is finite")
    if isinstance(value, str) and not value.isascii():
        value.encode()  # UnicodeEncodeError is a ValueError
    if isinstance(value, list | dict):
        for inner in value:
            _only_json(inner)
    if isinstance(value, dict):
        for inner in value.values():
            _only_json(inner)
    return value


FiniteJson = Annotated[JsonValue, BeforeValidator(_only_json)]
"""Any JSON value as RFC 8259 means it."""


class RegisterRecord(Strict):
    """One facility as registered; a version that is not newer is a no-op."""

    version: Whole = Field(ge=0)
    facility: Facility


class Report(Strict):
    """A submitted report; clocks judge by `received`, `sent` is kept and compared."""

    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
    id: Identifier
    revision: Whole = Field(ge=1, le=100_000)
    sent: Instant
    reason: Text | None = None
    fields: dict[Identifier, FiniteJson]


class Mark(Strict):
    """The firm's own declaration of a state, of some series or of an area; bounds are event times and inside, an open mark has `to` null."""

    id: Identifier
    revision: Whole = Field(ge=1, le=100_000)
    tags: Annotated[list[Tag], Field(min_length=1, max_length=MAX_SERIES)] | None = None
    area: Identifier | None = None
    flag: Literal["maintenance", "calibration", "stopped", "fault", "comms", "set_value"]
    from_: Instant = Field(alias="from")
    to: Instant | None = None
    reason: Text
    author: Identifier
    proof: Identifier | None = None

    @model_validator(mode="after")
    def _sound(self) -> Mark:
        if (self.tags is None) == (self.area is None):
            raise ValueError("a mark names either tags or an area")
        if self.to is not None and self.to < self.from_:
            raise ValueError("a mark does not end before it begins")
        return self


class Event(Strict):
    """One device, audit, laboratory or trace event (catalogue part 2, §12)."""

    stream: Literal["device", "audit", "lab", "trace"]
    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
    time: Instant
    source: Identifier
    seq: int | None = Field(default=None, ge=0)
    area: Identifier | None = None
    device: Identifier | None = None
    fields: dict[Identifier, FiniteJson] = Field(default_factory=dict)


class Events(Strict):
    """A batch of events."""

    batch: Identifier
    events: Annotated[list[Event], Field(min_length=1, max_length=MAX_EVENTS)]


class Answer(Strict):
    """A firm's answer to a question (settled.md)."""

    id: Identifier
    version: int = Field(ge=1)
    case: Identifier
    question: Identifier
    kind: Literal["explain", "mark", "correct"]
    refs: list[Identifier] = Field(default_factory=list, max_length=1_000)
    text_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


DecisionCode = Literal[
    "false-alarm",
    "equipment-fault",
    "marked-state",
    "breach",
    "data-fraud",
    "duplicate",
    "close-latched",
    "grade-signed",
    "grade-refused",
    "amendment-accepted",
]


class Decision(Strict):
    """What an officer decided (settled.md); `subject` holds exactly one of alarm, case, report, grade.

    It stands in the log of the alarm's facility, also of an alarm over a lot, which then is named beside it.
    """

    id: Identifier
    version: int = Field(ge=1)
    subject: Annotated[dict[Literal["alarm", "case", "report", "grade"], Identifier], Field(min_length=1, max_length=1)]
    lot: SubjectName | None = None
    """The lot that the alarm is over (stream `lot:<lot>`), or `product <id>` (stream `product:<id>`): the first fold hands the decision on to the second (ADR 0075)."""
    code: DecisionCode
    officer: Identifier
    second: Identifier | None = None
    revision_seen: int = Field(ge=0)
    reason_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Findings(Strict):
    """Counts of findings by class."""

    critical: int = Field(default=0, ge=0)
    major: int = Field(default=0, ge=0)
    minor: int = Field(default=0, ge=0)


class Inspection(Strict):
    """A visit or an off-site check (settled.md)."""

    visit: Identifier
    version: int = Field(ge=1)
    mode: Literal["on-site", "off-site", "written"]
    done_at: Instant
    full: bool
    findings: Findings
    handed_over_at: Instant | None = None
    plan_date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None


class PacksRecord(Strict):
    """A whole rule bundle as a fact: `bundle` is base64 of its canonical JSON, compressed by zlib."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    semantics: int = Field(ge=1)
    bundle: str


class Tick(Strict):
    """The passing of time; gateway ticks also say that the front door is open."""

    by: Identifier
    role: Literal["gateway", "worker"]
    now: Instant


class StateRecord(Strict):
    """A facility's snapshot as the seed of a cut dump or a new log."""

    format: int = Field(ge=1)
    semantics: int = Field(ge=1)
    packs: str
    clock: Instant
    seq: int = Field(ge=0)
    snapshot: str
    checksum: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


Payload: TypeAlias = (
    Readings
    | RegisterRecord
    | Report
    | Mark
    | Events
    | Answer
    | Decision
    | Inspection
    | PacksRecord
    | Tick
    | StateRecord
    | LotFact
)


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record with its place in the log; `received` is the broker's append time in ms."""

    partition: int
    offset: int
    received: int
    kind: Kind | LotKind
    facility: FacilityId
    """In the topic of lots the key of the lot (`streams.codec.lot_key`), which has the same form."""
    payload: Payload


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that cannot be evaluated: kept by reference, counted, shown; never an exception in an agent."""

    partition: int
    offset: int
    received: int
    facility: str
    code: str
    detail: str
    sample: bytes
    """The first 4 KiB of the value."""


MODELS: dict[Kind, type[Strict]] = {
    Kind.REGISTER: RegisterRecord,
    Kind.REPORT: Report,
    Kind.MARK: Mark,
    Kind.EVENTS: Events,
    Kind.ANSWER: Answer,
    Kind.DECISION: Decision,
    Kind.INSPECTION: Inspection,
    Kind.PACKS: PacksRecord,
    Kind.TICK: Tick,
    Kind.STATE: StateRecord,
}
"""The model of every kind but readings, whose posted form is `rules.posts.ReadingsPost`."""
