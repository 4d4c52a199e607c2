"""The tables of the register, the outbox, the feed keys, the published packs, the consumers' offsets and the archive's index."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from monitor.store.base import Base, Document, FacilityKey, Ms, Offset, RowId, Sha256Hex, Short


class FacilityVersion(Base):
    """One version of one facility's registered facts, without contacts; versions rise by one from 1."""

    __tablename__ = "facility_version"

    facility: Mapped[FacilityKey] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    recorded_ms: Mapped[Ms]
    logged_ms: Mapped[Ms]
    """When its record was last queued for the log; it is repeated before the log's retention drops it."""
    actor: Mapped[Short]
    sha256: Mapped[Sha256Hex]
    """Of the canonical JSON in `data`: equal means nothing changed."""
    data: Mapped[Document]


class ContactRow(Base):
    """A person at the firm, as last imported; never in the log, and no history is kept of persons."""

    __tablename__ = "contact"

    facility: Mapped[FacilityKey] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[Short]
    role: Mapped[Short]
    phone: Mapped[Short | None]
    email: Mapped[str | None]
    duty: Mapped[str | None]


class OutboxLane(Base):
    """The rows of one key of one topic, in order. Whoever adds a row locks its lane first, so positions follow commits."""

    __tablename__ = "outbox_lane"

    lane: Mapped[Short] = mapped_column(primary_key=True)
    """`<topic>|<key>`."""
    last_position: Mapped[int] = mapped_column(default=0)
    unsent: Mapped[int] = mapped_column(default=0, index=True)
    """How many rows wait; a relay looks here, never for rows above a mark it has seen."""
    claimed_by: Mapped[Short | None]
    claimed_until_ms: Mapped[Ms] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]
    """Why the last attempt failed; none once it went through."""


class OutboxRow(Base):
    """One record that is to be appended to Kafka; a row without value is a tombstone."""

    __tablename__ = "outbox"
    __table_args__ = (UniqueConstraint("lane", "position"), Index("ix_outbox_waiting", "lane", "sent_ms", "position"))

    id: Mapped[RowId]
    lane: Mapped[Short] = mapped_column(ForeignKey("outbox_lane.lane"))
    position: Mapped[int]
    topic: Mapped[Short]
    key: Mapped[Short]
    to_partition: Mapped[int | None]
    """For records that go to a partition, not to a facility; else the key decides."""
    headers: Mapped[Document]
    """A list of [name, text] pairs."""
    value: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_ms: Mapped[Ms]
    sent_ms: Mapped[Ms | None]
    partition: Mapped[int | None]
    offset: Mapped[Offset | None]


class FeedKey(Base):
    """A feed key that was issued; the key itself is nowhere but with the firm."""

    __tablename__ = "feed_key"

    id: Mapped[Short] = mapped_column(primary_key=True)
    sha256: Mapped[Sha256Hex] = mapped_column(unique=True)
    name: Mapped[Short] = mapped_column(index=True)
    facilities: Mapped[Document]
    endpoints: Mapped[Document]
    tags: Mapped[Document | None]
    created_ms: Mapped[Ms]
    created_by: Mapped[Short]
    expires_ms: Mapped[Ms | None]
    revoked_ms: Mapped[Ms | None]


class PacksBundle(Base):
    """A rule bundle under its hash; alarms name the one they were raised under for as long as they are kept."""

    __tablename__ = "packs_bundle"

    sha256: Mapped[Sha256Hex] = mapped_column(primary_key=True)
    data: Mapped[Document]
    """The `packs` record's value (contracts.md §3)."""
    noted_ms: Mapped[Ms]


class PacksPublication(Base):
    """Somebody published a bundle: written before the records are appended, completed after the broker's ack."""

    __tablename__ = "packs_publication"

    id: Mapped[RowId]
    sha256: Mapped[Sha256Hex]
    actor: Mapped[Short]
    begun_ms: Mapped[Ms]
    done_ms: Mapped[Ms | None]


class PacksPlace(Base):
    """A `packs` record of the log."""

    __tablename__ = "packs_place"

    partition: Mapped[int] = mapped_column(primary_key=True)
    offset: Mapped[Offset] = mapped_column(primary_key=True)
    received_ms: Mapped[Ms]
    sha256: Mapped[Sha256Hex]
    publication: Mapped[int | None] = mapped_column(BigInteger)
    """None for a record that came by other means than `offsite packs publish`."""


class ProofNamed(Base):
    """A record of the log that names an upload by its SHA-256: a revision of a mark, or of an amendment."""

    __tablename__ = "proof_named"
    __table_args__ = (Index("ix_proof_named_sha256", "facility", "sha256"),)

    facility: Mapped[FacilityKey] = mapped_column(primary_key=True)
    kind: Mapped[Short] = mapped_column(primary_key=True)
    """mark, report: as evidence names it."""
    record: Mapped[Short] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[Sha256Hex]
    received_ms: Mapped[Ms]
    """Log time of the record."""


class ProofDeleted(Base):
    """An upload that was deleted when its time was over: written before its files go."""

    __tablename__ = "proof_deleted"

    facility: Mapped[FacilityKey] = mapped_column(primary_key=True)
    sha256: Mapped[Sha256Hex] = mapped_column(primary_key=True)
    received_ms: Mapped[Ms] = mapped_column(primary_key=True)
    """Of the receipt, by the gateway's clock; the same content may be sent again."""
    size: Mapped[int] = mapped_column(BigInteger)
    deleted_ms: Mapped[Ms]
    actor: Mapped[Short]
    keep_days: Mapped[int]
    """The setting of then."""


class AmendedSpan(Base):
    """Readings of a tag that one revision of an amendment corrects: their span of event times, what was sent and what the firm says holds."""

    __tablename__ = "amended_span"
    __table_args__ = (Index("ix_amended_span_tag", "facility", "tag", "last_ms"),)

    facility: Mapped[FacilityKey] = mapped_column(primary_key=True)
    report: Mapped[Short] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    tag: Mapped[Short] = mapped_column(primary_key=True)
    first_ms: Mapped[Ms]
    last_ms: Mapped[Ms]
    readings: Mapped[int]
    old_low: Mapped[float | None]
    old_high: Mapped[float | None]
    new_low: Mapped[float | None]
    new_high: Mapped[float | None]
    author: Mapped[Document]
    received_ms: Mapped[Ms]
    """Log time of the report."""


class ConsumerOffset(Base):
    """Where a consumer goes on; written in the transaction that holds what it made of the records before."""

    __tablename__ = "consumer_offset"

    consumer: Mapped[Short] = mapped_column(primary_key=True)
    topic: Mapped[Short] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True)
    next_offset: Mapped[Offset]
    cluster: Mapped[Short]
    """The cluster these offsets are of; another cluster's offsets mean nothing here."""
    tail_ms: Mapped[Ms | None]
    """When the broker appended the newest record before: another one there means that the topic lost its end and grew again."""


class ArchiveChunk(Base):
    """One immutable file of the archive: records of one partition and one hour of receive time, in offset order.

    While the hour runs a file holds what came in a few seconds, of all facilities; once it is over, one facility's hour.
    """

    __tablename__ = "archive_chunk"
    __table_args__ = (
        UniqueConstraint("topic", "partition", "facility", "first_offset"),
        Index("ix_archive_chunk_received", "facility", "hour_ms"),
        Index("ix_archive_chunk_event", "facility", "last_event_ms"),
        Index("ix_archive_chunk_unit", "topic", "partition", "hour_ms", "facility"),
    )

    id: Mapped[RowId]
    topic: Mapped[Short]
    partition: Mapped[int]
    facility: Mapped[FacilityKey]
    """Empty for ticks, packs and foreign keys, which belong to the partition; `*`: not cut by facility yet."""
    hour_ms: Mapped[Ms]
    """Start of the hour of receive time."""
    first_offset: Mapped[Offset]
    last_offset: Mapped[Offset]
    first_received_ms: Mapped[Ms]
    last_received_ms: Mapped[Ms]
    first_event_ms: Mapped[Ms | None]
    """Span of the event times of the readings inside; none if there is no reading."""
    last_event_ms: Mapped[Ms | None]
    records: Mapped[int]
    size: Mapped[int]
    """Bytes of the file."""
    sha256: Mapped[Sha256Hex]
    """Of the file's bytes; the file's name holds it too."""
    path: Mapped[str] = mapped_column(unique=True)
    """Relative to the archive's folder."""


class ArchiveSpan(Base):
    """A stretch of a partition's offsets that the archiver has read without a break, and how many records it held.

    Offsets that hold no record for readers (transaction markers, aborted records) make the two numbers differ; what lies
    between two spans was dropped by Kafka before it was archived.
    """

    __tablename__ = "archive_span"

    topic: Mapped[Short] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True)
    begin_offset: Mapped[Offset] = mapped_column(primary_key=True)
    end_offset: Mapped[Offset]
    """The offset behind the last one read."""
    records: Mapped[int] = mapped_column(BigInteger)


class ArchiveWaste(Base):
    """A file of the archive that may lie there and count for nothing: begun, or replaced. What the index names by then stays."""

    __tablename__ = "archive_waste"

    path: Mapped[str] = mapped_column(primary_key=True)
    due_ms: Mapped[Ms] = mapped_column(index=True)
    """When it may be deleted."""


class Lease(Base):
    """Who does a work that only one process may do at a time, and until when if it is not heard of again."""

    __tablename__ = "lease"

    name: Mapped[Short] = mapped_column(primary_key=True)
    holder: Mapped[Short]
    until_ms: Mapped[Ms]
