"""Fold the changes that the worker published into the desk's rows, inside the caller's transaction.

Each change is kept first, under its identity (stream, seq); a stream is then applied as far as it is dense. So a change
that comes twice vanishes, one that is missing stops its stream (and shows an operators' alarm) without losing what came
after, and when it arrives, from Kafka or from the archive, the stream goes on by itself.

Of a stream that waits for nothing, all kept changes are applied: one above its last seq cannot be known yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from monitor.alarms import operators
from monitor.alarms.fold import VARIABLES, fold
from monitor.alarms.incoming import read
from monitor.store.counters import numbers
from monitor.store.desk_tables import ChangeRow, LiveRow, StreamRow
from rules.changes import Change, ChangeKind
from rules.fitting import RULE_FAILED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy.orm import Session

    from monitor.alarms.incoming import Incoming, Read

    Found = tuple[Incoming, Change, str]
    """A record, the change in it, and the change's body."""
    Step = tuple[str, str, str, int]

LIVE = "live"
GAP, FOREIGN, CONFLICT = "stream-gap", "foreign-change", "conflicting-change"
FAILED = "rule-failed"
PAGE = 500
"""So many held changes of a stream that goes on are in memory at a time."""


@dataclass(slots=True)
class Outcome:
    """What a batch did; `waiting` counts all streams that miss something, also those it did not touch."""

    applied: int = 0
    duplicates: int = 0
    foreign: int = 0
    waiting: int = 0
    live: range = field(default_factory=lambda: range(0))


def apply_batch(session: Session, records: Iterable[Incoming], now_ms: int) -> Outcome:
    """Keep and apply a batch of records in their order; any split of the same records gives the same rows."""
    return apply_read(session, [read(record) for record in records], now_ms)


def apply_read(session: Session, records: Iterable[Read], now_ms: int) -> Outcome:
    """Keep and apply records that were read before."""
    outcome = Outcome()
    incoming = _changes(session, records, outcome, now_ms)
    streams = _streams(session, sorted({change.stream for _, change, _ in incoming}))
    fresh = _keep(session, incoming, streams, outcome, now_ms)
    steps: list[Step] = []
    for ready in _ready(session, fresh, streams, now_ms):
        fold(session, ready)
        for change in ready:
            if change.rule == RULE_FAILED:
                _rule_failed(session, change, now_ms)
        steps += [(change.change.value, change.alarm, change.facility, change.seq) for change in ready]
    outcome.applied = len(steps)
    outcome.live = _tell(session, steps, now_ms)
    waiting = select(func.count()).select_from(StreamRow).where(StreamRow.waiting_for.is_not(None))
    outcome.waiting = session.scalar(waiting) or 0
    return outcome


def _rule_failed(session: Session, change: Change, now_ms: int) -> None:
    subject = " ".join([change.facility, *change.subject.values()])
    if change.change is ChangeKind.CLEARED:
        operators.closed(session, FAILED, subject, now_ms)
    else:
        operators.opened(session, FAILED, subject, change.message.en, now_ms)


def _changes(session: Session, records: Iterable[Read], outcome: Outcome, now_ms: int) -> list[Found]:
    found = []
    for item in records:
        if item.change is None:
            outcome.foreign += 1
            foreign(session, item.record, item.why, now_ms)
        else:
            found.append((item.record, item.change, item.body))
    return found


def foreign(session: Session, record: Incoming, why: str, now_ms: int) -> None:
    """Show a record that is no change, or that cannot be stored; it stays in Kafka at the offset named.

    One alarm for a partition, counted: a stream of foreign records must not bury every other operators' alarm.
    """
    operators.opened(session, FOREIGN, f"partition {record.partition}", f"offset {record.offset}: {why}", now_ms)


def _streams(session: Session, names: list[str]) -> dict[str, StreamRow]:
    """Lock the streams, those that are new too: the archive may heal one while the follower reads on."""
    rows = _locked(session, names)
    new = [{"stream": name, "last_seq": 0} for name in names if name not in rows]
    if new:
        on = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        session.execute(on(StreamRow).on_conflict_do_nothing(), new)
        rows |= _locked(session, [row["stream"] for row in new])  # type: ignore[misc]  # the names are texts
    return rows


def _locked(session: Session, names: list[str]) -> dict[str, StreamRow]:
    found: dict[str, StreamRow] = {}
    for start in range(0, len(names), VARIABLES):
        part = select(StreamRow).where(StreamRow.stream.in_(names[start : start + VARIABLES]))
        found |= {row.stream: row for row in session.scalars(part.order_by(StreamRow.stream).with_for_update())}
    return found


def _keep(
    session: Session, incoming: list[Found], streams: dict[str, StreamRow], outcome: Outcome, now_ms: int
) -> dict[str, dict[int, Change]]:
    """Store what is new; returns it by stream and seq. What is there already must say the same."""
    known = _known(session, [change for _, change, _ in incoming], streams)
    fresh: dict[str, dict[int, Change]] = {}
    rows = []
    for record, change, body in incoming:
        key = (change.stream, change.seq)
        if key in known:
            outcome.duplicates += 1
            if known[key] != body:
                detail = f"seq {change.seq} was published twice with different content; the first stays"
                place = f"partition {record.partition}, offset {record.offset}"
                operators.opened(session, CONFLICT, change.stream, f"{detail} ({place})", now_ms)
            continue
        known[key] = body
        fresh.setdefault(change.stream, {})[change.seq] = change
        rows.append(
            {
                "stream": change.stream,
                "seq": change.seq,
                "alarm": change.alarm,
                "received_ms": change.received,
                "stored_ms": now_ms,
                "partition": record.partition,
                "offset": record.offset,
                "source": _place_of(change),
                "body": body,
            }
        )
    if rows:
        session.execute(insert(ChangeRow), rows)
    return fresh


def _known(session: Session, changes: list[Change], streams: dict[str, StreamRow]) -> dict[tuple[str, int], str]:
    keys = [
        (change.stream, change.seq)
        for change in changes
        if change.seq <= streams[change.stream].last_seq or streams[change.stream].waiting_for is not None
    ]
    known: dict[tuple[str, int], str] = {}
    for start in range(0, len(keys), VARIABLES):
        part = tuple_(ChangeRow.stream, ChangeRow.seq).in_(keys[start : start + VARIABLES])
        rows = session.execute(select(ChangeRow.stream, ChangeRow.seq, ChangeRow.body).where(part))
        known |= {(row.stream, row.seq): row.body for row in rows}
    return known


def _ready(
    session: Session, fresh: dict[str, dict[int, Change]], streams: dict[str, StreamRow], now_ms: int
) -> Iterator[list[Change]]:
    """Give what can be applied now, stream by stream in order; mark streams that miss something."""
    dense: list[Change] = []
    for name, mine in fresh.items():
        row = streams[name]
        while (change := mine.get(row.last_seq + 1)) is not None:
            dense.append(change)
            row.last_seq += 1
        if row.waiting_for is not None and row.last_seq >= row.waiting_for:
            yield dense
            dense = []
            yield from _held(session, row)
        _settle(session, row, max(mine), now_ms)
    if dense:
        yield dense


def _held(session: Session, row: StreamRow) -> Iterator[list[Change]]:
    """Give what was kept behind a gap that is filled now, as far as it is dense."""
    while True:
        page = select(ChangeRow.seq, ChangeRow.body).where(
            ChangeRow.stream == row.stream, ChangeRow.seq > row.last_seq
        ).order_by(ChangeRow.seq).limit(PAGE)  # fmt: skip
        found = []
        for seq, body in session.execute(page).all():
            if seq != row.last_seq + 1:
                break
            found.append(Change.model_validate_json(body))
            row.last_seq = seq
        if not found:
            return
        yield found


def _settle(session: Session, row: StreamRow, newest: int, now_ms: int) -> None:
    if row.waiting_for is None and row.last_seq >= newest:
        return
    if row.waiting_for is not None:
        newest = session.scalar(select(func.max(ChangeRow.seq)).where(ChangeRow.stream == row.stream)) or newest
    if row.last_seq < newest:
        row.waiting_for = row.last_seq + 1
        detail = f"change {row.waiting_for} is missing, {newest} came: this facility's alarms stand still here"
        operators.opened(session, GAP, row.stream, detail, now_ms)
    else:
        row.waiting_for = None
        operators.closed(session, GAP, row.stream, now_ms)


def _tell(session: Session, steps: list[Step], now_ms: int) -> range:
    """Number the steps of the live stream, last of all: the counter stays locked until the transaction ends."""
    if not steps:
        return range(0)
    ids = numbers(session, LIVE, len(steps))
    rows = [
        {"id": number, "at_ms": now_ms, "kind": kind, "alarm": alarm, "facility": facility, "revision": revision}
        for number, (kind, alarm, facility, revision) in zip(ids, steps, strict=True)
    ]
    session.execute(insert(LiveRow), rows)
    return ids


def _place_of(change: Change) -> str | None:
    """Return where the deciding record stands: in the log, or in the topic of lots."""
    if change.source is None:
        return None
    place = f"{change.source.partition}:{change.source.offset}"
    return f"lots {place}" if change.stream.startswith(("lot:", "product:")) else place
