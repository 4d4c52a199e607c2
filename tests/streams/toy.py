"""A small fold with the engine's interface: enough state that losing, repeating or reordering one record shows."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from rules.changes import Change, ChangeKind, Evidence, RecordRead, Source, alarm_id
from rules.engine import PartitionState
from rules.models import Bilingual, Severity
from rules.pack import Bundle
from rules.records import LogRecord, PacksRecord, Readings, Tick
from rules.snapshot import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rules.apart import Record
    from rules.lots.facts import LotFact

RULE = "toy.odd"
SILENCE_MS = 1_500


@dataclass
class ToyState:
    facility: str
    position: int = 0
    """Every record of the partition before this offset is folded, ticks too."""
    seq: int = 0
    digest: str = ""
    """Hash chain over every record folded: any other history gives another text in every later change."""
    rows: int = 0
    last: int = 0
    silent: bool = False
    filler: str = ""


@dataclass
class ToyPartition:
    clock: int = -1
    next_offset: int = 0
    facilities: dict[str, ToyState] = field(default_factory=dict)


class ToyFold:
    """Every batch with an odd first value is a change; every silence of 1.5 s (by ticks) is another."""

    def __init__(
        self,
        *,
        filler_bytes: int = 0,
        fail_on: str = "",
        die_on: str = "",
        hang_on: str = "",
        evidence_rows: int = 0,
        subject_bytes: int = 0,
    ) -> None:
        self.bundle = Bundle.of([], [])
        self.stepping: Callable[[int, str], None] | None = None
        self._partitions: dict[int, ToyPartition] = {}
        self._dirty: set[tuple[int, str]] = set()
        self._options = {
            "filler_bytes": filler_bytes,
            "fail_on": fail_on,
            "die_on": die_on,
            "hang_on": hang_on,
            "evidence_rows": evidence_rows,
            "subject_bytes": subject_bytes,
        }
        self._filler = "x" * filler_bytes
        self._fail_on = fail_on
        self._die_on = die_on
        self._hang_on = hang_on
        self._evidence_rows = evidence_rows
        self._subject = {"tag": "T1"} | ({"area": "m" * subject_bytes} if subject_bytes else {})

    def not_judged(self, partition: int, facility: str) -> dict[str, int]:
        assert facility in self._part(partition).facilities
        return {}

    def alone(self) -> ToyFold:
        return ToyFold(**self._options)  # type: ignore[arg-type]

    def know(self, bundle: Bundle) -> None:
        assert bundle.sha256

    def sibling(self, packs: str) -> ToyFold:
        assert packs == self.bundle.sha256
        return self.alone()

    def fold(self, record: LogRecord) -> list[Change]:
        part = self._part(record.partition)
        part.next_offset = max(part.next_offset, record.offset + 1)
        received = max(record.received, part.clock)
        if isinstance(record.payload, Tick):
            part.clock = received
            changes = []
            for state in [part.facilities[name] for name in sorted(part.facilities)]:
                if record.offset >= state.position:
                    self._step(record.partition, state.facility)
                    changes += self._silence(state, record, received)
            self._step(record.partition, "")
            return changes
        if isinstance(record.payload, PacksRecord):
            self.know(Bundle.from_record(record.payload))
            return []
        if record.facility not in part.facilities:
            part.facilities[record.facility] = ToyState(record.facility, filler=self._filler)
            self._dirty.add((record.partition, record.facility))
        state = part.facilities[record.facility]
        if record.offset < state.position:
            return []
        payload = record.payload
        if not isinstance(payload, Readings):
            return []
        if self._fail_on and payload.batch == self._fail_on:
            raise RuntimeError(f"the toy fails on {payload.batch}")
        if self._die_on and payload.batch == self._die_on:
            os.kill(os.getpid(), signal.SIGSEGV)
        while self._hang_on and payload.batch == self._hang_on:
            pass
        state.position = record.offset + 1
        state.rows += int(payload.time.size)
        state.last, state.silent = received, False
        state.digest = hashlib.sha256(f"{state.digest}{payload.batch}{payload.value.tolist()}".encode()).hexdigest()
        self._dirty.add((record.partition, record.facility))
        if int(payload.value[0]) % 2 == 0:
            return []
        return [self._change(state, ChangeKind.RAISED, received, record, payload.batch)]

    def _step(self, partition: int, facility: str) -> None:
        if self.stepping is not None:
            self.stepping(partition, facility)

    def _silence(self, state: ToyState, record: LogRecord, now: int) -> list[Change]:
        due = state.last + SILENCE_MS
        if state.silent or not state.rows or due > now:
            return []
        state.silent = True
        self._dirty.add((record.partition, state.facility))
        return [self._change(state, ChangeKind.UNKNOWN, due, record, "silence")]

    def _change(self, state: ToyState, kind: ChangeKind, at: int, record: LogRecord, what: str) -> Change:
        state.seq += 1
        reads = [RecordRead(kind="readings", id=f"{what}-{i}-{'y' * 60}") for i in range(self._evidence_rows)]
        return Change(
            stream=state.facility, seq=state.seq, facility=state.facility, rule=RULE, version="1.0.0", packs="toy",
            alarm=alarm_id(RULE, state.facility, {"tag": "T1"}, at), subject=self._subject, change=kind,
            severity=Severity.ORANGE, stage="live", start=at, at=at, received=at,
            message=Bilingual(en=f"{what} {state.rows} {state.digest}", zh="玩具"),
            evidence=Evidence(records=[RecordRead(kind="readings", id=what), *reads]),
            source=Source(partition=record.partition, offset=record.offset),
        )  # fmt: skip

    def facilities(self, partition: int) -> list[str]:
        return sorted(self._part(partition).facilities)

    def dirty(self, partition: int) -> list[str]:
        return sorted(name for place, name in self._dirty if place == partition)

    def clean(self, partition: int, facility: str) -> None:
        self._dirty.discard((partition, facility))

    def snapshot(self, partition: int, facility: str) -> bytes:
        part = self._part(partition)
        state = part.facilities[facility]
        held = asdict(state) | {"position": max(state.position, part.next_offset)}
        body = json.dumps(held, sort_keys=True).encode()
        return hashlib.sha256(body).digest() + body

    def apart(self, partition: int, facility: str) -> tuple[bytes, tuple[Record, ...]]:
        return self.snapshot(partition, facility), ()

    def restore(self, partition: int, facility: str, snapshot: bytes) -> None:
        if hashlib.sha256(snapshot[32:]).digest() != snapshot[:32]:
            raise SnapshotError(f"the toy snapshot of {facility} is broken")
        self._part(partition).facilities[facility] = ToyState(**json.loads(snapshot[32:]))
        self._dirty.discard((partition, facility))

    def partition_state(self, partition: int) -> PartitionState:
        part = self._part(partition)
        return PartitionState(next_offset=part.next_offset, clock=part.clock, packs=self.bundle.sha256)

    def restore_partition(self, partition: int, state: PartitionState) -> None:
        part = self._part(partition)
        part.clock, part.next_offset = state.clock, state.next_offset

    def take_facts(self, partition: int) -> list[LotFact]:
        assert partition >= 0
        return []

    def drop(self, partition: int) -> None:
        self._partitions.pop(partition, None)
        self._dirty = {(place, name) for place, name in self._dirty if place != partition}

    def _part(self, partition: int) -> ToyPartition:
        return self._partitions.setdefault(partition, ToyPartition())
