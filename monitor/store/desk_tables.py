"""The tables of the desk: what the worker published, one row per alarm, and what people did with it."""

from __future__ import annotations

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from monitor.store.base import AlarmKey, Base, Document, FacilityKey, Ms, Offset, RowId, Sha256Hex, Short

UNSEEN = text("acknowledged_revision < attention_revision")
COVERED = text("suppressed_by IS NOT NULL")
PROPOSED = text("action = 'propose-data-fraud'")


class ChangeRow(Base):
    """One change of condition, as published; (stream, seq) is its identity."""

    __tablename__ = "change"
    __table_args__ = (Index("ix_change_alarm", "alarm", "seq"),)

    stream: Mapped[Short] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    alarm: Mapped[AlarmKey]
    received_ms: Mapped[Ms]
    stored_ms: Mapped[Ms]
    """The desk's clock when the row was written; with the broker's append time it gives the latency."""
    partition: Mapped[int]
    offset: Mapped[Offset]
    """Where it stands in the topic of changes."""
    source: Mapped[Short | None]
    """`partition:offset` of the record of the log that decided it."""
    body: Mapped[Document]
    """The change as canonical JSON (contracts.md §4), without `source`: what must be equal when it comes again."""


class StreamRow(Base):
    """How far a stream of changes has been applied."""

    __tablename__ = "stream"

    stream: Mapped[Short] = mapped_column(primary_key=True)
    last_seq: Mapped[int]
    waiting_for: Mapped[int | None] = mapped_column(index=True)
    """The seq that is missing; while it is, nothing newer of this stream is applied."""


class AlarmRow(Base):
    """One alarm: condition from the engine, attention from people, overlay; the ISA-18.2 name is derived."""

    __tablename__ = "alarm"
    __table_args__ = (
        Index("ix_alarm_queue", "status", "severity_rank", "start_ms"),
        Index("ix_alarm_facility", "facility", "start_ms"),
        # What was never acknowledged is counted on every page, however much was: these rows alone are in it.
        Index("ix_alarm_unseen", "status", "stage", sqlite_where=UNSEEN, postgresql_where=UNSEEN),
        Index("ix_alarm_covered", "suppressed_by", sqlite_where=COVERED, postgresql_where=COVERED),
    )

    id: Mapped[AlarmKey] = mapped_column(primary_key=True)
    stream: Mapped[Short]
    facility: Mapped[FacilityKey]
    rule: Mapped[Short]
    version: Mapped[Short]
    packs: Mapped[Short]
    subject: Mapped[Document]
    status: Mapped[Short]
    """active, unknown, cleared, retracted."""
    severity: Mapped[Short]
    """As it is now."""
    severity_rank: Mapped[int]
    """For ordering: higher is worse."""
    highest: Mapped[Short]
    stage: Mapped[Short]
    start_ms: Mapped[Ms]
    end_ms: Mapped[Ms | None]
    raised_ms: Mapped[Ms]
    """Log time of the first raise."""
    changed_ms: Mapped[Ms]
    """Log time of the newest change."""
    suppressed_by: Mapped[AlarmKey | None]
    late: Mapped[bool]
    changes: Mapped[int]
    """How many changes there were."""
    revision: Mapped[int]
    """seq of the newest change; what an acknowledgement names."""
    attention_revision: Mapped[int]
    """seq of the newest change that asks for a person: a raise, a step up, a release, blindness."""
    asked_ms: Mapped[Ms] = mapped_column(server_default=text("0"))
    """Log time since when somebody must respond: of the raise, the newest step up or release, or the blindness after an
    acknowledgement."""
    acknowledged_revision: Mapped[int] = mapped_column(default=0)
    acknowledged_by: Mapped[Short | None]
    acknowledged_ms: Mapped[Ms | None]
    message_en: Mapped[str]
    message_zh: Mapped[str]
    evidence: Mapped[Document]


class NamedRow(Base):
    """A facility that an alarm of another one names: its facts are among those that make it hold."""

    __tablename__ = "alarm_named"
    __table_args__ = (Index("ix_alarm_named_alarm", "alarm"),)

    facility: Mapped[FacilityKey] = mapped_column(primary_key=True)
    alarm: Mapped[AlarmKey] = mapped_column(primary_key=True)


class ActionRow(Base):
    """What a person did with an alarm, and the revision seen."""

    __tablename__ = "alarm_action"
    __table_args__ = (
        Index("ix_alarm_action_alarm", "alarm", "at_ms"),
        # What waits for a second officer is counted on every page, however much was done: these rows alone are in it.
        Index("ix_alarm_action_proposed", "alarm", sqlite_where=PROPOSED, postgresql_where=PROPOSED),
    )

    id: Mapped[RowId]
    alarm: Mapped[AlarmKey]
    action: Mapped[Short]
    revision: Mapped[int]
    actor: Mapped[Short]
    at_ms: Mapped[Ms]
    note: Mapped[str | None]


class LiveRow(Base):
    """One step of the live stream to browsers and tools; its number is the event id that a client resumes from.

    Numbers come from a locked counter, so that a reader who saw n has seen all that will ever stand below n.
    """

    __tablename__ = "live"

    id: Mapped[Offset] = mapped_column(primary_key=True, autoincrement=False)
    at_ms: Mapped[Ms]
    kind: Mapped[Short]
    alarm: Mapped[AlarmKey]
    facility: Mapped[FacilityKey]
    revision: Mapped[int]


class Counter(Base):
    """Numbers handed out in commit order: the row stays locked until the transaction ends."""

    __tablename__ = "counter"

    name: Mapped[Short] = mapped_column(primary_key=True)
    value: Mapped[Offset]


class OperatorAlarm(Base):
    """Something wrong with the monitor itself, for operators: a gap in a stream, a foreign record, a stalled relay."""

    __tablename__ = "operator_alarm"

    code: Mapped[Short] = mapped_column(primary_key=True)
    subject: Mapped[Short] = mapped_column(primary_key=True)
    opened_ms: Mapped[Ms]
    last_ms: Mapped[Ms]
    closed_ms: Mapped[Ms | None] = mapped_column(index=True)
    count: Mapped[int]
    detail: Mapped[str]


class NoticeRow(Base):
    """What a notification channel was last told of an alarm; the next telling is derived from the difference."""

    __tablename__ = "notice"

    channel: Mapped[Short] = mapped_column(primary_key=True)
    alarm: Mapped[AlarmKey] = mapped_column(primary_key=True)
    revision: Mapped[int]
    firing: Mapped[bool]
    sent_ms: Mapped[Ms]


class DeadlineRow(Base):
    """One legal clock that runs, as the newest snapshot of its facility has it; what holds of it now follows from its instants."""

    __tablename__ = "deadline"
    __table_args__ = (
        Index("ix_deadline_due", "due_ms", "id"),
        Index("ix_deadline_facility", "facility", "due_ms"),
    )

    id: Mapped[AlarmKey] = mapped_column(primary_key=True)
    """Of facility, rule and case."""
    facility: Mapped[FacilityKey]
    due_ms: Mapped[Ms]
    """Where that is not known, behind every instant (`monitor.deadlines.keeping.FAR_MS`) ..."""
    soon_ms: Mapped[Ms]
    """... and when an alarm begins to stand, the reminder's or that of the due instant."""
    body: Mapped[Document]
    """`rules.clocks.listing.Running`."""


class DeadlineFacility(Base):
    """What the newest snapshot of a facility says of its legal clocks besides those that run."""

    __tablename__ = "deadline_facility"

    facility: Mapped[FacilityKey] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(index=True)
    digest: Mapped[Short]
    """Of what the rows were made of: while it stays, they do."""
    left_out: Mapped[int]
    """Clocks beyond those that are kept."""
    aside: Mapped[Document]
    """Rules that raised here, whose clocks are not known; a list."""
    held: Mapped[bool]
    """It is quarantined: the rows are as of then."""
    fault: Mapped[str | None]
    """Why its snapshot cannot be read; the rows are those of an older one."""


class DeadlinePartition(Base):
    """Up to when the rows of a partition's facilities hold everything that was received."""

    __tablename__ = "deadline_partition"

    partition: Mapped[int] = mapped_column(primary_key=True)
    as_of_ms: Mapped[Ms]


class FigureRow(Base):
    """What figures over all facilities need of one, as its newest snapshot has it."""

    __tablename__ = "figure_facility"

    facility: Mapped[FacilityKey] = mapped_column(primary_key=True)
    digest: Mapped[Short]
    """Of the body: what is known of it is not read again."""
    body: Mapped[Document]
    """`rules.figures.facts.FacilityFacts`."""


class AssignmentRow(Base):
    """A person who is responsible for a facility."""

    __tablename__ = "assignment"

    facility: Mapped[FacilityKey] = mapped_column(primary_key=True)
    user: Mapped[Short] = mapped_column(primary_key=True, index=True)
    actor: Mapped[Short]
    """Who said so."""
    at_ms: Mapped[Ms]


class UserRow(Base):
    """A person who may sign in."""

    __tablename__ = "user_account"

    name: Mapped[Short] = mapped_column(primary_key=True)
    display: Mapped[Short]
    role: Mapped[Short]
    """supervisor, lead, operator, reader."""
    language: Mapped[Short]
    password_hash: Mapped[str]
    """argon2id."""
    must_change: Mapped[bool]
    """The password was made by the system for one use."""
    created_ms: Mapped[Ms]
    disabled_ms: Mapped[Ms | None]


class SessionRow(Base):
    """A sign-in; the cookie holds a random token, the store its SHA-256."""

    __tablename__ = "session"

    token_sha256: Mapped[Sha256Hex] = mapped_column(primary_key=True)
    user: Mapped[Short] = mapped_column(index=True)
    csrf: Mapped[Short]
    created_ms: Mapped[Ms]
    last_ms: Mapped[Ms]
    expires_ms: Mapped[Ms]
