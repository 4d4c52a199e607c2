"""Fold the changes that the worker published into the desk's rows, inside the caller's transaction.

Each change is kept first, under its identity (stream, seq); a stream is then applied as far as it is dense. So a change
that comes twice vanishes, one that is missing stops its stream (and shows an operators' alarm) without losing what came
after, and when it arrives the stream goes on by itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import ValidationError
from sqlalchemy import select, tuple_

from monitor.alarms import operators
from monitor.alarms.axes import announces
from monitor.store.counters import numbers
from monitor.store.desk_tables import AlarmRow, ChangeRow, LiveRow, StreamRow
from rules.alarms import Alarm
from rules.canonical import canonical_bytes
from rules.changes import Change, ChangeKind
from rules.fitting import RULE_FAILED
from rules.models import Severity, faults_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session

LIVE = "live"
GAP, FOREIGN, CONFLICT = "stream-gap", "foreign-change", "conflicting-change"
FAILED = "rule-failed"


@dataclass(frozen=True, slots=True)
class Incoming:
    """One record of the topic of changes, as it came."""

    partition: int
    offset: int
    value: bytes | None


@dataclass(slots=True)
class Outcome:
    """What a batch did."""

    applied: int = 0
    duplicates: int = 0
    foreign: int = 0
    waiting: int = 0
    live: list[int] = field(default_factory=list)


def apply_batch(session: Session, records: Iterable[Incoming], now_ms: int) -> Outcome:
    """Keep and apply a batch of records in their order; any split of the same records gives the same rows."""
    outcome = Outcome()
    incoming = _read(session, records, outcome, now_ms)
    streams = _streams(session, {change.stream for _, change in incoming})
    fresh = _keep(session, incoming, outcome, now_ms)
    _apply(session, _ready(session, fresh, streams, now_ms), outcome, now_ms)
    outcome.waiting = sum(row.waiting_for is not None for row in streams.values())
    return outcome


def _read(
    session: Session, records: Iterable[Incoming], outcome: Outcome, now_ms: int
) -> list[tuple[Incoming, Change]]:
    found = []
    for record in records:
        try:
            found.append((record, Change.model_validate_json(record.value or b"")))
        except ValidationError as error:
            outcome.foreign += 1
            detail = "; ".join(str(fault) for fault in faults_of(error)[:3])
            # One for a partition, counted: a stream of foreign records must not bury every other operators' alarm.
            operators.opened(
                session, FOREIGN, f"partition {record.partition}", f"offset {record.offset}: {detail}", now_ms
            )
    return found


def _streams(session: Session, names: set[str]) -> dict[str, StreamRow]:
    rows = {row.stream: row for row in session.scalars(select(StreamRow).where(StreamRow.stream.in_(names)))}
    for name in sorted(names - set(rows)):
        rows[name] = StreamRow(stream=name, last_seq=0)
        session.add(rows[name])
    return rows


def _keep(
    session: Session, incoming: list[tuple[Incoming, Change]], outcome: Outcome, now_ms: int
) -> dict[tuple[str, int], Change]:
    """Store what is new; returns it. What is there already must say the same."""
    keys = [(change.stream, change.seq) for _, change in incoming]
    known: dict[tuple[str, int], str] = {}
    for start in range(0, len(keys), 400):  # SQLite bounds the variables of a statement
        part = tuple_(ChangeRow.stream, ChangeRow.seq).in_(keys[start : start + 400])
        known |= {(row.stream, row.seq): row.body for row in session.scalars(select(ChangeRow).where(part))}
    fresh: dict[tuple[str, int], Change] = {}
    for record, change in incoming:
        key = (change.stream, change.seq)
        body = canonical_bytes(change.to_json(source=False)).decode()
        if key in known:
            outcome.duplicates += 1
            if known[key] != body:
                detail = f"seq {change.seq} was published twice with different content; the first stays"
                operators.opened(session, CONFLICT, change.stream, detail, now_ms)
            continue
        known[key], fresh[key] = body, change
        session.add(
            ChangeRow(
                stream=change.stream,
                seq=change.seq,
                alarm=change.alarm,
                received_ms=change.received,
                stored_ms=now_ms,
                partition=record.partition,
                offset=record.offset,
                source=None if change.source is None else f"{change.source.partition}:{change.source.offset}",
                body=body,
            )
        )
    return fresh


def _ready(
    session: Session, fresh: dict[tuple[str, int], Change], streams: dict[str, StreamRow], now_ms: int
) -> list[Change]:
    """Return what can be applied now, stream by stream in order; mark streams that miss something."""
    ready: list[Change] = []
    for name in dict.fromkeys(stream for stream, _ in fresh):
        row = streams[name]
        newest = max(seq for stream, seq in fresh if stream == name)
        held = _held(session, row) if (name, row.waiting_for or 0) in fresh else {}
        while (change := fresh.get((name, row.last_seq + 1)) or held.get(row.last_seq + 1)) is not None:
            ready.append(change)
            row.last_seq += 1
        newest = max([newest, *held])
        if row.last_seq < newest:
            row.waiting_for = row.last_seq + 1
            detail = f"change {row.waiting_for} is missing, {newest} came: this facility's alarms stand still here"
            operators.opened(session, GAP, name, detail, now_ms)
        elif row.waiting_for is not None:
            row.waiting_for = None
            operators.closed(session, GAP, name, now_ms)
    return ready


def _held(session: Session, row: StreamRow) -> dict[int, Change]:
    session.flush()
    kept = session.scalars(select(ChangeRow).where(ChangeRow.stream == row.stream, ChangeRow.seq > row.last_seq))
    return {kept_row.seq: Change.model_validate_json(kept_row.body) for kept_row in kept}


def _apply(session: Session, changes: list[Change], outcome: Outcome, now_ms: int) -> None:
    wanted = sorted({change.alarm for change in changes})
    rows: dict[str, AlarmRow] = {}
    for start in range(0, len(wanted), 400):
        part = select(AlarmRow).where(AlarmRow.id.in_(wanted[start : start + 400])).with_for_update()
        rows |= {row.id: row for row in session.scalars(part)}
    for change in changes:
        row = rows.get(change.alarm)
        if row is None:
            row = rows[change.alarm] = _first(change)
            session.add(row)
            _fold(row, change, None)
        else:
            _fold(row, change, Severity(row.severity))
        if change.rule == RULE_FAILED:
            _rule_failed(session, change, now_ms)
    outcome.applied = len(changes)
    if not changes:
        return
    ids = numbers(session, LIVE, len(changes))
    outcome.live = list(ids)
    session.add_all(
        LiveRow(
            id=number, at_ms=now_ms, kind=change.change.value, alarm=change.alarm, facility=change.facility,
            revision=change.seq,
        )
        for number, change in zip(ids, changes, strict=True)
    )  # fmt: skip


def _rule_failed(session: Session, change: Change, now_ms: int) -> None:
    subject = " ".join([change.facility, *change.subject.values()])
    if change.change is ChangeKind.CLEARED:
        operators.closed(session, FAILED, subject, now_ms)
    else:
        operators.opened(session, FAILED, subject, change.message.en, now_ms)


def _first(change: Change) -> AlarmRow:
    return AlarmRow(
        id=change.alarm,
        stream=change.stream,
        facility=change.facility,
        rule=change.rule,
        subject=canonical_bytes(change.subject).decode(),
        status="active",
        highest=change.severity.value,
        suppressed_by=None,
        late=False,
        raised_ms=change.received,
        changes=0,
        attention_revision=0,
        acknowledged_revision=0,
    )


def _fold(row: AlarmRow, change: Change, before: Severity | None) -> None:
    alarm = Alarm(
        row.id, row.rule, row.facility, change.subject, Severity(row.highest), change.stage, change.start, change.end,
        status=row.status, suppressed_by=row.suppressed_by, late=row.late, changes=row.changes,
    )  # fmt: skip
    alarm.apply(change)
    row.version, row.packs, row.stage = change.version, change.packs, change.stage
    row.status, row.suppressed_by, row.late, row.changes = alarm.status, alarm.suppressed_by, alarm.late, alarm.changes
    row.severity, row.severity_rank, row.highest = change.severity.value, change.severity.rank, alarm.severity.value
    row.start_ms, row.end_ms, row.changed_ms = change.start, change.end, change.received
    row.revision = change.seq
    row.message_en, row.message_zh = change.message.en, change.message.zh
    row.evidence = json.dumps(change.evidence.model_dump(mode="json", exclude_none=True), ensure_ascii=False)
    if announces(change, before):
        row.attention_revision = change.seq
