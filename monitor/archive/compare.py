"""Compare the changes that the desk applied with those in the archive and with what `offsite evaluate` says of the log."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import func, select, tuple_

from monitor.archive.changes import Seqs
from monitor.store.desk_tables import ChangeRow, StreamRow
from rules.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.alarms.incoming import Read
    from monitor.store.session import Store

BATCH = 400
"""Keys of one look into the store; SQLite bounds the variables of a statement."""


@dataclass(slots=True)
class Comparison:
    """What was found. `ahead`: changes that the desk has and the other side does not have yet, behind its newest."""

    changes: int = 0
    repeats: int = 0
    ahead: int = 0
    faults: list[Fault] = field(default_factory=list)


def compare(store: Store, side: str, changes: Iterable[Read]) -> Comparison:
    """Compare a side's changes, in any order, with the desk's rows: identity by identity, body by body.

    Faults: what is no change; an identity that comes twice with different content; one that the desk does not have, or has
    otherwise; a stream with a gap, on the side or at the desk; a change of the desk, not above the side's newest, that the
    side does not have.
    """
    found = Comparison()
    seen: dict[str, Seqs] = {}
    for batch in _batched(changes):
        _compare_batch(store, side, list(batch), seen, found)
    with store.reading() as session:
        streams = {row.stream: row for row in session.scalars(select(StreamRow))}
        kept = select(ChangeRow.stream, func.count(), func.max(ChangeRow.seq)).group_by(ChangeRow.stream)
        counts = {stream: (count, newest) for stream, count, newest in session.execute(kept)}
    for stream in sorted({*streams, *seen}):
        seqs = seen.get(stream, Seqs())
        for first, last in seqs.missing():
            found.faults.append(Fault(stream, "gap", f"{side} has no changes {first} to {last}"))
        row = streams.get(stream)
        if row is not None and row.waiting_for is not None:
            found.faults.append(Fault(stream, "waiting", f"the desk waits for change {row.waiting_for}"))
        count, newest = counts.get(stream, (0, 0))
        if row is not None and row.waiting_for is None and not count == newest == row.last_seq:
            detail = f"the desk applied up to {row.last_seq} and holds {count} changes up to {newest}"
            found.faults.append(Fault(stream, "desk", detail))
        found.ahead += max(0, newest - seqs.newest)
    return found


def _batched(changes: Iterable[Read]) -> Iterable[tuple[Read, ...]]:
    waiting = iter(changes)
    while batch := tuple(itertools.islice(waiting, BATCH)):
        yield batch


def _compare_batch(store: Store, side: str, batch: list[Read], seen: dict[str, Seqs], found: Comparison) -> None:
    keys = [(item.change.stream, item.change.seq) for item in batch if item.change is not None]
    with store.reading() as session:
        columns = select(ChangeRow.stream, ChangeRow.seq, ChangeRow.body)
        rows = session.execute(columns.where(tuple_(ChangeRow.stream, ChangeRow.seq).in_(keys)))
        bodies = {(row.stream, row.seq): row.body for row in rows}
    for item in batch:
        place = f"{side} {item.record.partition}/{item.record.offset}"
        if item.change is None:
            found.faults.append(Fault(place, "foreign", item.why))
            continue
        stream, seq = item.change.stream, item.change.seq
        where = f"{stream}#{seq}"
        seqs = seen.setdefault(stream, Seqs())
        found.repeats += any(low <= seq <= high for low, high in seqs.stretches)
        found.changes += 1
        seqs.add(seq)
        body = bodies.get((stream, seq))
        if body is None:
            found.faults.append(Fault(where, "not_at_the_desk", f"it stands at {place}"))
        elif body != item.body:
            found.faults.append(Fault(where, "differs", f"the desk has another content than {place}"))
