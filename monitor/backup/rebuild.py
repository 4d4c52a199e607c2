"""Take into the store what log, archive and access topic know and the store does not: after a restore, or into an empty store.

What comes back: the archive's index, every version of the register, the published packs, which proofs are named, what amendments correct, the feed keys, the changes and with
them the alarms. What was in the store only does not: acknowledgements and notes, accounts and sessions, who answers for which
facility, contacts, who decided what in the register, who published packs,
which proofs were deleted, operators' alarms. A store that was restored from a backup has those of the backup's day.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import ValidationError
from sqlalchemy import delete, select

from monitor import amendments
from monitor.amendments import amendment_of
from monitor.archive.changes import ArchivedChanges, Seqs
from monitor.archive.chunkfile import raw_of
from monitor.archive.index import next_offsets
from monitor.archive.pending import may_name
from monitor.archive.reindex import reindex
from monitor.desk import healing
from monitor.packs import journal
from monitor.proofs import journal as proofs
from monitor.proofs.named import proof_of
from monitor.register.store import document, newest, tags_entry
from monitor.store.outbox import access_entry, add
from monitor.store.restored import mark_rebuilt
from monitor.store.tables import FacilityVersion, FeedKey, OutboxLane, OutboxRow
from rules.canonical import canonical_bytes
from rules.errors import Fault
from rules.records import Kind, LogRecord, PacksRecord, RegisterRecord
from streams.access import FACILITY_PREFIX, KeyEntry
from streams.codec import placed
from streams.dump import open_log
from streams.topics import ACCESS, ALARMS, LOG

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.orm import Session

    from monitor.archive.chunkfile import RawRecord
    from monitor.archive.reindex import Reindexed
    from monitor.store.session import Store
    from streams.settings import KafkaSettings

ACTOR = "log"
"""Who decided what came back from the log: that is not in it."""
_REGISTER = Kind.REGISTER.value.encode()
_PACKS = Kind.PACKS.value.encode()
Versions = dict[tuple[str, int], tuple[int, RegisterRecord]]
"""Facility and version -> when its first and its newest copy were received, and the record."""


@dataclass(slots=True)
class Rebuilt:
    """What came back, and what is wrong."""

    index: Reindexed
    versions: int = 0
    keys: int = 0
    revoked: int = 0
    """Keys that the store took for live and the access topic does not know any more."""
    queued: int = 0
    """Entries that the access topic lacks and that are sent again."""
    changes: int = 0
    faults: list[Fault] = field(default_factory=list)


@dataclass(slots=True)
class _Heard:
    partitions: int
    versions: Versions = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    """When the newest register record of each facility was received."""
    seqs: dict[str, Seqs] = field(default_factory=dict)
    packs: dict[tuple[int, int], LogRecord] = field(default_factory=dict)
    """Packs records by partition and offset."""
    naming: dict[tuple[int, int], LogRecord] = field(default_factory=dict)
    """Records that name an upload or correct readings, by partition and offset."""

    def hear(self, topic: str, partition: int, raw: RawRecord) -> None:
        if topic == ALARMS:
            try:
                self.seqs.setdefault((raw.key or b"").decode("utf-8", "replace"), Seqs()).add(
                    int(json.loads(raw.value or b"")["seq"])
                )
            except (ValueError, KeyError, TypeError):
                return
        elif topic == LOG and raw.header(b"kind") == _PACKS:
            found = raw.decoded(partition)
            if isinstance(found, LogRecord):
                self.packs[partition, raw.offset] = found
        elif topic == LOG and may_name(raw):
            naming = placed(raw.decoded(partition), self.partitions)
            if isinstance(naming, LogRecord) and (proof_of(naming.payload) or amendment_of(naming.payload)):
                self.naming[partition, raw.offset] = naming
        elif topic == LOG and raw.header(b"kind") == _REGISTER:
            record = placed(raw.decoded(partition), self.partitions)
            if isinstance(record, LogRecord) and isinstance(record.payload, RegisterRecord):
                self.versions.setdefault((record.facility, record.payload.version), (record.received, record.payload))
                self.newest[record.facility] = max(record.received, self.newest.get(record.facility, 0))


def rebuild_store(
    store: Store,
    folder: Path,
    kafka: KafkaSettings,
    now_ms: int,
    tell: Callable[[str], None] = lambda _: None,
) -> Rebuilt:
    """Bring the store up to what log, archive and access topic say. Done again it changes nothing.

    Args:
        store: with its tables in place; desk and archiver do not run.
        folder: of the archive; read whole.
        kafka: where the log and the access topic are.
        now_ms: the wall clock.
        tell: hears how far it is.

    Raises:
        ArchiverRunsError: an archiver is at work.
        BrokerDownError, TopicsError: Kafka does not answer, or a topic is missing.
    """
    heard = _Heard(kafka.partitions)
    tell("the archive's files")
    rebuilt = Rebuilt(reindex(store, folder, kafka=_in_kafka(kafka), hear=heard.hear))
    rebuilt.faults += rebuilt.index.faults
    rebuilt.faults += [
        Fault(f"{topic}/{partition}", "lost", f"offsets {begin} to {end - 1} are in no file")
        for topic, partition, begin, end in rebuilt.index.gaps
    ]
    rebuilt.faults += [
        Fault(stream, "gap", f"no file has the changes {first} to {last}")
        for stream, seqs in sorted(heard.seqs.items())
        for first, last in seqs.missing()
    ]
    tell("the register")
    with store.reading() as session:
        archived = next_offsets(session)
    with open_log(kafka, kafka.topic(LOG)) as log:
        for partition, begin, end in log.places:
            for record in log.raw((partition, max(begin, min(archived.get((LOG, partition), begin), end)), end)):
                heard.hear(LOG, partition, raw_of(record))
    with store.writing() as session:
        rebuilt.versions = _register(session, heard, rebuilt.faults)
        for (partition, offset), record in sorted(heard.packs.items()):
            if isinstance(record.payload, PacksRecord):
                journal.note(session, partition, offset, record.received, record.payload)
        _proofs(session, heard)
    tell("the feed keys")
    entries, times = _access(kafka)
    with store.writing() as session:
        mark_rebuilt(session)  # the register is: what is sent again of the keys is a decision of this store
        _keys(session, entries, times, rebuilt, now_ms)
    tell("the changes")
    rebuilt.changes = healing.rebuild(store, ArchivedChanges(store, folder), now_ms)
    return rebuilt


def _in_kafka(kafka: KafkaSettings) -> Callable[[str, int, int, int], tuple[int, set[int]]]:
    def offsets(topic: str, partition: int, begin: int, end: int) -> tuple[int, set[int]]:
        with open_log(kafka, kafka.topic(topic)) as log:
            first, behind = log.bounds(partition)
            place = (partition, max(begin, first), min(end, behind))
            # What lies behind Kafka's end is of a log that is not this one any more: nobody can say what stood there.
            return (end, set()) if behind < end else (first, {record.offset for record in log.raw(place)})

    return offsets


def _register(session: Session, heard: _Heard, faults: list[Fault]) -> int:
    known = {(row.facility, row.version): row for row in session.scalars(select(FacilityVersion))}
    came = 0
    for (facility, version), (received, record) in sorted(heard.versions.items()):
        data = canonical_bytes(document(record.facility))
        digest = hashlib.sha256(data).hexdigest()
        row = known.get((facility, version))
        if row is None:
            session.add(
                FacilityVersion(
                    facility=facility, version=version, recorded_ms=received, logged_ms=heard.newest[facility],
                    actor=ACTOR, sha256=digest, data=data.decode(),
                )
            )  # fmt: skip
            came += 1
        elif row.sha256 != digest:
            detail = f"version {version} in the log has other facts than in the store: the log's are in force"
            faults.append(Fault(facility, "register_differs", detail))
    return came


def _proofs(session: Session, heard: _Heard) -> None:
    """Note which uploads records name and which readings they correct, in the order of the log: of a revision that came twice the first counts."""
    for _, record in sorted(heard.naming.items(), key=lambda found: found[0]):
        proofs.note(session, record)
        amendments.note(session, record)
    proofs.mark_noted(session)
    amendments.mark_noted(session)


def _access(kafka: KafkaSettings) -> tuple[dict[str, bytes] | None, dict[str, int]]:
    """Return the newest entry under each key and when it was made; None if nothing ever stood there."""
    entries: dict[str, bytes] = {}
    times: dict[str, int] = {}
    with open_log(kafka, kafka.topic(ACCESS)) as log:
        for place in log.places:
            for record in log.raw(place):
                name = (record.key or b"").decode("utf-8", "replace")
                times[name] = record.timestamp
                if record.value is None:
                    entries.pop(name, None)
                else:
                    entries[name] = record.value
        empty = all(end == 0 for _, _, end in log.places)
    return None if empty else entries, times


def _keys(
    session: Session, entries: dict[str, bytes] | None, times: dict[str, int], rebuilt: Rebuilt, now_ms: int
) -> None:
    rows = {row.sha256: row for row in session.scalars(select(FeedKey))}
    if entries is None:
        # A new, empty access topic: the store alone says who may post. What waits is sent anyway.
        _requeue(session, rows, rebuilt, now_ms)
        return
    for sha256, value in sorted(entries.items()):
        if sha256.startswith(FACILITY_PREFIX) or sha256 in rows:
            continue
        try:
            entry = KeyEntry.model_validate_json(value)
        except ValidationError:
            rebuilt.faults.append(Fault(f"access topic {sha256[:12]}", "foreign", "it is no key, and grants nothing"))
            continue
        session.add(_row(sha256, entry, times[sha256]))
        rebuilt.keys += 1
    unsent = {key: row for row in _unsent(session) if not (key := row.key).startswith(FACILITY_PREFIX)}
    for sha256, row in rows.items():
        if row.revoked_ms is None and sha256 not in entries:
            # Never sent, or sent and revoked after the backup: nobody can tell, so it does not open the door again.
            row.revoked_ms = now_ms
            rebuilt.revoked += 1
            if sha256 in unsent:
                _drop(session, unsent[sha256])
        elif row.revoked_ms is not None and sha256 in entries and sha256 not in unsent:
            add(session, [access_entry(sha256, None)], now_ms)
            rebuilt.queued += 1


def _requeue(session: Session, rows: dict[str, FeedKey], rebuilt: Rebuilt, now_ms: int) -> None:
    found = [access_entry(row.sha256, _entry(row)) for row in rows.values() if row.revoked_ms is None]
    found += [tags_entry(row) for row in newest(session).values()]
    for row in _unsent(session):
        _drop(session, row)
    add(session, found, now_ms)
    rebuilt.queued += len(found)


def _unsent(session: Session) -> list[OutboxRow]:
    return list(session.scalars(select(OutboxRow).where(OutboxRow.topic == ACCESS, OutboxRow.sent_ms.is_(None))))


def _drop(session: Session, row: OutboxRow) -> None:
    lane = session.get_one(OutboxLane, row.lane, with_for_update=True)
    lane.unsent -= 1
    session.execute(delete(OutboxRow).where(OutboxRow.id == row.id))


def _row(sha256: str, entry: KeyEntry, made_ms: int) -> FeedKey:
    return FeedKey(
        id=sha256[:8], sha256=sha256, name=entry.name, facilities=json.dumps(entry.facilities),
        endpoints=json.dumps(entry.endpoints), tags=None if entry.tags is None else json.dumps(entry.tags),
        created_ms=made_ms, created_by=ACTOR, expires_ms=entry.expires, revoked_ms=None,
    )  # fmt: skip


def _entry(row: FeedKey) -> bytes:
    entry = KeyEntry(
        name=row.name, facilities=json.loads(row.facilities), endpoints=json.loads(row.endpoints),
        tags=None if row.tags is None else json.loads(row.tags), expires=row.expires_ms,
    )  # fmt: skip
    return entry.model_dump_json(exclude_none=True).encode()
