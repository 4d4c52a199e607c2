"""What the gateway has seen of every facility in the log and the alarms: bounded, in memory, rebuilt at every start.

It is told in `GET /v1/feed` and decides nothing: the fold decides, the desk keeps.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from monitor.gateway.recent import Recent
from monitor.gateway.series import SeriesTable
from rules.batches import Seen
from rules.changes import ChangeKind
from rules.instants import Instant
from rules.models import Bilingual, FacilityId, Identifier, Severity
from rules.records import Kind, LotKind, Readings, RegisterRecord

if TYPE_CHECKING:
    from collections.abc import Container

    from rules.records import LogRecord

OFFSETS_KEPT = 31
"""Records from whose receive times the clock offset is taken."""
SEQUENCE_KEPT = 1_000
REGISTER_BYTES = 1024 * 1024
"""A registered facility larger than this is not kept."""
SILENCE = ("silence of ", "rows received")
"""How the leaf of a gap rule's change begins (rules/wording.py, rules/silence.py): a test folds a real silence."""


@dataclass(frozen=True, slots=True)
class Caps:
    """How much one gateway remembers; what is above is counted, never kept."""

    facilities: int = 20_000
    series: int = 300_000
    findings: int = 100_000
    findings_per_facility: int = 1_000
    streams: int = 100_000
    register_bytes: int = 64 * 1024 * 1024


class _Leaf(BaseModel):
    model_config = ConfigDict(frozen=True)
    expr: str


class _Evidence(BaseModel):
    model_config = ConfigDict(frozen=True)
    leaves: list[_Leaf] = []


class ChangeSeen(BaseModel):
    """What the feed reads of a change (contracts.md §4); members it does not need are passed over."""

    model_config = ConfigDict(frozen=True)

    stream: Identifier
    seq: int
    facility: FacilityId
    alarm: str
    rule: str
    subject: dict[str, str]
    change: ChangeKind
    severity: Severity
    stage: str
    start: Instant
    end: Instant | None = None
    received: Instant
    message: Bilingual
    evidence: _Evidence = _Evidence()


@dataclass(slots=True)
class Finding:
    """An alarm that is not cleared, as its newest change leaves it."""

    last: ChangeSeen
    suppressed: bool = False
    unknown: bool = False
    silence: bool = False

    def apply(self, change: ChangeSeen) -> None:
        """Fold one more change, as rules/alarms.py does."""
        self.last = change.model_copy(update={"evidence": _Evidence()})
        kind = change.change
        if kind in {ChangeKind.SUPPRESSED, ChangeKind.RELEASED}:
            self.suppressed = kind is ChangeKind.SUPPRESSED
        if kind in {ChangeKind.UNKNOWN, ChangeKind.KNOWN}:
            self.unknown = kind is ChangeKind.UNKNOWN
        self.silence = self.silence or any(leaf.expr.startswith(SILENCE) for leaf in change.evidence.leaves)


@dataclass(slots=True)
class Sequence:
    """The numbers a feed gave its batches: which of them were not seen. Numbers of several sources only hide gaps."""

    highest: int | None = None
    missing: dict[int, None] = field(default_factory=dict)

    def take(self, seq: int) -> None:
        """Take the number of one batch; a jump of more than a thousand begins anew."""
        highest = self.highest
        if highest is None or abs(seq - highest) > SEQUENCE_KEPT:
            self.highest, self.missing = seq, {}
            return
        self.missing.pop(seq, None)
        if seq > highest:
            self.missing.update(dict.fromkeys(range(highest + 1, seq)))
            self.highest = seq
            while len(self.missing) > SEQUENCE_KEPT:
                self.missing.pop(next(iter(self.missing)))


@dataclass(slots=True)
class Registered:
    """The newest register record known."""

    version: int
    received: int | None
    """None where it is known from the access topic alone."""
    facility: bytes
    """Canonical enough to be sent: the facility's members as registered, in JSON."""


@dataclass(slots=True)
class FacilitySeen:
    """What was seen of one facility."""

    series: SeriesTable = field(default_factory=SeriesTable)
    records: dict[Kind | LotKind, tuple[int, int]] = field(default_factory=dict)
    """Kind -> how many, and when the newest was received (ms)."""
    offsets: deque[int] = field(default_factory=lambda: deque(maxlen=OFFSETS_KEPT))
    sequence: Sequence = field(default_factory=Sequence)
    batches: Recent = field(default_factory=Recent)
    findings: dict[str, Finding] = field(default_factory=dict)
    findings_left_out: int = 0
    changes_missed: int = 0
    last_change: int | None = None
    registered: Registered | None = None

    def clock_offset(self) -> int | None:
        """Return the median of receive time minus newest event time of the last records of readings, in ms."""
        return int(statistics.median(self.offsets)) if self.offsets else None


class Ledger:
    """Every facility that was seen. One writer (the follower), read between its steps on the same event loop."""

    def __init__(self, caps: Caps | None = None) -> None:
        self.caps = caps or Caps()
        self.facilities: dict[str, FacilitySeen] = {}
        self.series = self.findings = self.register_bytes = 0
        self.refused_facilities = 0
        """Records and changes of facilities for which there was no room."""
        self.foreign = 0
        """Records that could not be read."""
        self.conflicts = 0
        """Batches under an id that another content has."""
        self._streams: dict[str, int] = {}

    def find(self, facility: str) -> FacilitySeen:
        """Return what was seen of a facility; nothing, if nothing was."""
        return self.facilities.get(facility) or FacilitySeen()

    def count(self, facility: str, kind: Kind | LotKind, received: int) -> None:
        """Count a record of a kind that the feed only counts."""
        seen = self._seen(facility)
        if seen is not None:
            seen.records[kind] = (seen.records.get(kind, (0, 0))[0] + 1, received)

    def take(self, record: LogRecord, registered: Container[str]) -> None:
        """Take a record of the log; `registered` are the facility's known tags."""
        self.count(record.facility, record.kind, record.received)
        seen = self.facilities.get(record.facility)
        if seen is None:
            return
        if isinstance(record.payload, Readings):
            readings = record.payload
            if seen.batches.meet(readings, record.received) is Seen.CONFLICT:
                self.conflicts += 1
                return  # the fold takes nothing of it either
            self.series += seen.series.take(readings, record.received, registered, self.caps.series - self.series)
            seen.offsets.append(record.received - int(readings.time.max()))
            if readings.seq is not None:
                seen.sequence.take(readings.seq)
        elif isinstance(record.payload, RegisterRecord):
            self._register(seen, record.payload, record.received)

    def apply(self, change: ChangeSeen) -> None:
        """Take a change; one that was applied before (same stream, not newer) changes nothing."""
        last = self._streams.get(change.stream)
        if last is not None and change.seq <= last:
            return
        self._streams[change.stream] = change.seq
        if len(self._streams) > self.caps.streams:
            self._streams.pop(next(iter(self._streams)))
        seen = self._seen(change.facility)
        if seen is None:
            return
        if last is not None:
            seen.changes_missed += change.seq - last - 1
        seen.last_change = change.received
        self._fold(seen, change)

    def _fold(self, seen: FacilitySeen, change: ChangeSeen) -> None:
        finding = seen.findings.get(change.alarm)
        # A rule on trial (draft, shadow) is evaluated and recorded, not announced.
        if change.end is not None or change.change is ChangeKind.RETRACTED or change.stage != "live":
            if finding is not None:
                del seen.findings[change.alarm]
                self.findings -= 1
            return
        if finding is None:
            if self.findings >= self.caps.findings or len(seen.findings) >= self.caps.findings_per_facility:
                seen.findings_left_out += 1
                return
            finding = seen.findings[change.alarm] = Finding(change)
            self.findings += 1
        finding.apply(change)

    def _register(self, seen: FacilitySeen, record: RegisterRecord, received: int) -> None:
        old = seen.registered
        if old is not None and record.version <= old.version:
            return
        # As bytes: the parsed model takes ten times the room.
        text = record.facility.model_dump_json(by_alias=True, exclude_none=True).encode()
        kept = self.register_bytes - (len(old.facility) if old else 0)
        if len(text) <= REGISTER_BYTES and kept + len(text) <= self.caps.register_bytes:
            seen.registered = Registered(record.version, received, text)
            self.register_bytes = kept + len(text)
        else:
            seen.registered = None  # rather none than an older one
            self.register_bytes = kept

    def _seen(self, facility: str) -> FacilitySeen | None:
        seen = self.facilities.get(facility)
        if seen is None:
            if len(self.facilities) >= self.caps.facilities:
                self.refused_facilities += 1
                return None
            seen = self.facilities[facility] = FacilitySeen()
        return seen
