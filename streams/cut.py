"""Cut a log in time, so that what is left still gives the same changes: what precedes is folded into state lines."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.engine import Engine
from rules.records import SEMANTICS, Kind, LogRecord, Rejected, StateRecord, Tick
from rules.snapshot import FORMAT, open_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rules.pack import Bundle


@dataclass(slots=True)
class _Head:
    """What one partition must bring along: the packs in force, its newest gateway tick, its newest tick."""

    engine: Engine
    last: LogRecord
    shared: dict[str, LogRecord] = field(default_factory=dict)

    def fold(self, record: LogRecord) -> None:
        self.engine.fold(record)
        self.last = record
        if record.kind is Kind.PACKS:
            self.shared["packs"] = record
        elif isinstance(record.payload, Tick):
            self.shared["tick"] = record
            self.shared[record.payload.role] = record

    def lines(self) -> Iterator[LogRecord]:
        shared = {record.offset: record for record in self.shared.values()}
        for offset in sorted(shared):
            yield shared[offset]
        for facility in self.engine.facilities(self.last.partition):
            yield _state_line(self.engine, facility, self.last)


def cut_log(
    records: Iterable[LogRecord | Rejected], bundle: Bundle, *, since_ms: int | None, until_ms: int | None
) -> Iterator[LogRecord | Rejected]:
    """Yield what was received in [`since_ms`, `until_ms`), ordered as `records` are: by (partition, offset).

    The records must begin where the log began. With `since_ms` a partition's cut starts with the packs in force and the
    newest ticks before it (at their own offsets), then one `state` line per facility; `bundle` is the set of packs before
    the first `packs` record.

    Raises:
        BadInputError: a `packs` record before the cut that does not hold what it promises.
        ContractError: packs of another engine semantics.
    """
    head: _Head | None = None
    begun: set[int] = set()
    for record in records:
        partition = record.partition
        if head is not None and head.last.partition != partition:
            yield from head.lines()
            head = None
        if since_ms is not None and partition not in begun and record.received < since_ms:
            if isinstance(record, LogRecord):
                head = head or _Head(Engine(bundle), record)
                head.fold(record)
            continue
        if head is not None:
            yield from head.lines()
            head = None
        begun.add(partition)
        if until_ms is None or record.received < until_ms:
            yield record
    if head is not None:
        yield from head.lines()


def _state_line(engine: Engine, facility: str, last: LogRecord) -> LogRecord:
    snapshot = engine.snapshot(last.partition, facility)
    body, _ = open_snapshot(snapshot)
    payload = StateRecord(
        format=FORMAT,
        semantics=SEMANTICS,
        packs=body.packs,
        clock=max(0, body.clock),
        seq=body.seq,
        snapshot=base64.b64encode(snapshot).decode(),
        checksum=hashlib.sha256(snapshot).hexdigest(),
    )
    return LogRecord(last.partition, last.offset, last.received, Kind.STATE, facility, payload)
