"""Changes of condition: what the engine says, and what the desk, evaluate and the archive read (contracts.md §4)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from rules.canonical import sha256_hex
from rules.instants import Instant, format_instant
from rules.models import Bilingual, FacilityId, Identifier, Severity, Strict


class ChangeKind(StrEnum):
    """What happened to an occurrence."""

    RAISED = "raised"
    STEPPED = "stepped"
    SUPPRESSED = "suppressed"
    RELEASED = "released"
    UNKNOWN = "unknown"
    KNOWN = "known"
    CLEARED = "cleared"
    RETRACTED = "retracted"
    AMENDED = "amended"


class Verdict(StrEnum):
    """The three values of a condition."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


class Leaf(Strict):
    """One comparison of a condition, with its operands as they were."""

    expr: str
    left: float | str | None = None
    op: str
    right: float | str | None = None
    unit: str | None = None
    verdict: Verdict


class LimitUsed(Strict):
    """A limit in force, where it came from and in which edition."""

    name: str
    value: float
    unit: str | None = None
    origin: str
    edition: str | None = None


class RecordRead(Strict):
    """A record named by kind and id, never by offset, so that evidence is the same in every copy of the log."""

    kind: str
    id: str


class Evidence(Strict):
    """Why: operands, limits, records read, marks, what this alarm suppresses."""

    leaves: list[Leaf] = Field(default_factory=list)
    limits: list[LimitUsed] = Field(default_factory=list)
    records: list[RecordRead] = Field(default_factory=list)
    marks: list[str] = Field(default_factory=list)
    suppresses: list[str] = Field(default_factory=list)
    into: str | None = None
    peak: float | None = None
    recurrence: int | None = None
    left_out: dict[str, int] = Field(default_factory=dict)
    facilities: list[FacilityId] | None = None
    """Of an alarm of a lot: all whose facts make it hold, sorted; None: it is of one facility, or this change does not say."""


class Source(Strict):
    """Where in the log the deciding record stood: information, not part of any equality."""

    partition: int
    offset: int


Stage = Literal["draft", "shadow", "live", "retired"]


class Change(Strict):
    """One change of one occurrence; (stream, seq) is its identity."""

    stream: Identifier
    seq: int = Field(ge=1)
    facility: FacilityId
    alarm: str = Field(pattern=r"^[0-9a-f]{32}$")
    rule: str
    version: str
    packs: str
    subject: dict[str, str]
    change: ChangeKind
    severity: Severity
    stage: Stage
    start: Instant
    end: Instant | None = None
    at: Instant
    received: Instant
    late: bool = False
    message: Bilingual
    evidence: Evidence = Field(default_factory=Evidence)
    by: str | None = None
    source: Source | None = None

    def to_json(self, *, source: bool = True) -> dict[str, Any]:
        """Return the JSON value of contracts.md §4: empty optional members are left out, `end` stays as null."""
        value = self.model_dump(mode="json", exclude_none=True)
        value["end"] = None if self.end is None else format_instant(self.end)
        if not self.evidence.left_out:
            value["evidence"].pop("left_out", None)
        if not source:
            value.pop("source", None)
        return value


def alarm_id(rule: str, facility: str, subject: dict[str, str], start_ms: int, use: int = 1) -> str:
    """Return the id of an occurrence: 32 hex digits over canonical `[rule, facility, subject, start]`.

    `use` is 2, 3, ... when an occurrence of the same key and start was raised before; it enters the hash input as a
    fifth member `"#2"`, `"#3"`.
    """
    key: list[Any] = [rule, facility, subject, format_instant(start_ms)]
    if use > 1:
        key.append(f"#{use}")
    return sha256_hex(key)[:32]
