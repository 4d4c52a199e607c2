"""Fold a log offline: the same engine as live (contracts.md §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.engine import Engine
from rules.records import Kind, LogRecord, RegisterRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.changes import Change
    from rules.pack import Bundle
    from rules.register import Facility


def evaluate(
    records: Iterable[LogRecord],
    bundle: Bundle,
    *,
    register: Iterable[Facility] = (),
    facility: str | None = None,
    until_ms: int | None = None,
    ignore_pack_records: bool = False,
) -> list[Change]:
    """Return the changes of a log, ordered by (stream, seq).

    `register` stands for version-0 register records before the first line of each facility's partition, received with it
    (a facility that the log never names stands in its lowest partition). `facility` leaves the others
    out; `until_ms` moves every partition's clock past the last record, front door open.
    """
    engine = Engine(bundle, ignore_pack_records=ignore_pack_records)
    log = [record for record in records if facility is None or record.facility in {"", facility}]
    first: dict[int, LogRecord] = {}
    homes: dict[str, int] = {}
    for record in log:
        first.setdefault(record.partition, record)
        homes.setdefault(record.facility, record.partition)
    for entry in register:
        if first and facility in {None, entry.id}:
            begin = first[homes.get(entry.id, min(first))]
            known = RegisterRecord(version=0, facility=entry)
            engine.fold(LogRecord(begin.partition, begin.offset - 1, begin.received, Kind.REGISTER, entry.id, known))
    changes = [change for record in log for change in engine.fold(record)]
    if until_ms is not None:
        for partition in sorted(first):
            changes += engine.advance(partition, until_ms)
    return sorted(changes, key=lambda change: (change.stream, change.seq))
