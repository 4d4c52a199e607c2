"""Rule packs as facts of the log: which bundle is in force in each partition, and how a new one is published.

A bundle is published to all partitions in one transaction. All publishers of an installation share one transactional id: the
newer one fences the older, and waits for what that one had already committed, so that no partition ends with another last
bundle than the others. In force is what a worker folds: the newest `packs` record that holds what it promises; before the first
of a partition, what its marker in the state topic names.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import InvalidProducerEpochError, KafkaError, ProducerFencedError
from pydantic import ValidationError

from rules.errors import BadInputError, ContractError, Fault, PartMissingError
from rules.pack import MAX_BUNDLE_BYTES, Bundle
from rules.records import SEMANTICS, Kind, LogRecord, PacksRecord, Rejected
from streams.admin import TIMEOUT_MS, BrokerDownError
from streams.checkpoint import StateLostError, decode_marker, marker_key, packs_key
from streams.clients import end_transaction, let_go, opened
from streams.codec import MAX_VALUE_BYTES, decode, encode
from streams.dump import open_log
from streams.topics import BATCH_OVERHEAD, LOG, RECORD_BYTES, STATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from streams.checkpoint import Marker
    from streams.dump import LogReader
    from streams.settings import KafkaSettings

TRANSACTION_TIMEOUT_MS = 15_000
"""A publisher that dies holds back what comes behind its records for no longer than this."""
SETTLE_S = 20.0
"""Longer than a dead publisher's transaction stays open."""
SEND_S = 15.0
AGAIN_S = 0.1
_PACKS = Kind.PACKS.value.encode()


class FencedError(ContractError):
    """A newer publisher has taken over."""

    code: ClassVar[str] = "publisher_fenced"
    action: ClassVar[str] = (
        "Another `offsite packs publish` began after this one; nothing of this one stands in the log. Look at `offsite packs show`."
    )


class ChangedMeanwhileError(ContractError):
    """Other packs came into force after the difference was shown."""

    code: ClassVar[str] = "packs_changed"
    action: ClassVar[str] = "Nothing was appended. Run it again: the difference is now another one."


class UnknownOutcomeError(PartMissingError):
    """The commit was sent and not answered."""

    code: ClassVar[str] = "outcome_unknown"
    action: ClassVar[str] = (
        "All partitions have the bundle, or none: look at `offsite packs show`, then run it again if it is none."
    )


class OtherSemanticsError(ContractError):
    """A partition cannot take packs of this release."""

    code: ClassVar[str] = "other_semantics"
    action: ClassVar[str] = (
        "Nothing was appended. Run the release that folds the log, or `offsite state upgrade` first."
    )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands, and when the broker took it (ms)."""

    partition: int
    offset: int
    received: int


@dataclass(frozen=True, slots=True)
class Current:
    """What is in force in one partition."""

    partition: int
    bundle: Bundle | None
    """None where nobody has folded the partition and no packs stand in it: a worker begins with those of its release."""
    record: Place | None
    """Of the record that brought it; None where that lies before what was read here, or was never."""
    marker: Marker | None
    begin: int
    """The log's first offset."""
    read_from: int
    """What lies before was not read: the marker says what came of it."""
    end: int

    @property
    def sha256(self) -> str | None:
        """Hash of the bundle."""
        return None if self.bundle is None else self.bundle.sha256


def checked(bundle: Bundle) -> PacksRecord:
    """Return the bundle as the record that will be appended.

    Raises:
        BadInputError: it is too large, or a worker would refuse it.
    """
    size = len(bundle.content())
    if size > MAX_BUNDLE_BYTES:
        raise _too_large(f"{size} bytes of canonical JSON; a bundle holds at most {MAX_BUNDLE_BYTES}")
    record = bundle.to_record()
    headers, value = encode(record)
    if len(value) > MAX_VALUE_BYTES:
        raise _too_large(f"{len(value)} bytes as a record; the log takes at most {MAX_VALUE_BYTES}")
    found = decode(0, 0, 0, None, headers, value)
    if isinstance(found, Rejected):
        raise BadInputError("rule bundle", [Fault("/bundle", found.code, found.detail)])
    return record


def _too_large(detail: str) -> BadInputError:
    return BadInputError("rule bundle", [Fault("/bundle", "too_large", detail)])


def in_force(settings: KafkaSettings) -> list[Current]:
    """Return what is in force in each partition of the log, by partition.

    Read is the state topic for markers and bundles, and of the log what no checkpoint holds yet.

    Raises:
        BrokerDownError, TopicsError: Kafka does not answer, or a topic is missing.
        StateLostError: a marker or a bundle in the state topic cannot be read.
        OtherSemanticsError: packs in the log are of another engine semantics.
    """
    with open_log(settings, settings.topic(STATE)) as state:
        kept = {place[0]: _state(state, place) for place in state.places}
    with open_log(settings, settings.topic(LOG)) as log:
        _settle(settings, log)
        return [_partition(log, partition, *kept[partition]) for partition, _, _ in log.places]


def since(settings: KafkaSettings, found: Current) -> Place | None:
    """Return the record that brought what is in force; read from the log's beginning if it lies that far back.

    None: no such record stands in the log; it was in force when the partition was first folded, or Kafka has dropped it.
    """
    if found.record is not None or found.sha256 is None:
        return found.record
    with open_log(settings, settings.topic(LOG)) as log:
        last = None
        for record in _packs(log, found.partition, found.begin, found.read_from):
            last = record
    return None if last is None or _sha256(last) != found.sha256 else _place(last)


def publish(
    settings: KafkaSettings, record: PacksRecord, seen: Sequence[Current], *, between: Callable[[], None] = lambda: None
) -> list[Place]:
    """Append one `packs` record to every partition, all or none, and return where they stand after the broker's ack.

    Args:
        settings: how to reach Kafka.
        record: what `checked` gave.
        seen: what was in force when the difference was shown.
        between: called between the records and their commit.

    Raises:
        ChangedMeanwhileError: other packs were published since.
        FencedError: a newer publisher has taken over; nothing of this one counts.
        OtherSemanticsError: a partition is folded with another engine semantics.
        UnknownOutcomeError: the broker did not answer the commit.
        BrokerDownError: it does not answer; nothing was appended.
    """
    _same_semantics(seen)
    headers, value = encode(record)
    topic = settings.topic(LOG)
    with _producer(settings) as producer:
        with _told(settings):
            producer.init_transactions()
        # Whoever published before is done or fenced from here on: what stands in the log now is all there is.
        _unchanged(settings, seen)
        with _told(settings), _aborted(producer):
            producer.begin_transaction()
            places = []
            for found in seen:
                sent = producer.send(topic, value=value, headers=headers, partition=found.partition)
                ack = sent.get(timeout=SEND_S)
                places.append(Place(ack.partition, ack.offset, ack.timestamp))
            between()
        with _told(settings, committing=True):
            end_transaction(producer, SEND_S, commit=True)
    return places


def _state(state: LogReader, place: tuple[int, int, int]) -> tuple[Marker | None, dict[str, bytes]]:
    partition = place[0]
    marker: bytes | None = None
    packs: dict[str, bytes] = {}
    prefix = packs_key("")
    for raw in state.raw(place):
        if raw.key == marker_key(partition):
            marker = raw.value
        elif raw.key is not None and raw.key.startswith(prefix):
            name = raw.key[len(prefix) :].decode("ascii", "replace")
            packs.pop(name, None)
            if raw.value is not None:
                packs[name] = raw.value
    return None if marker is None else decode_marker(marker, partition), packs


def _partition(log: LogReader, partition: int, marker: Marker | None, kept: Mapping[str, bytes]) -> Current:
    begin, end = log.bounds(partition)
    read_from = begin if marker is None else min(max(begin, marker.low), end)
    bundle = None if marker is None else _kept(partition, marker, kept)
    last = None
    for last in _packs(log, partition, read_from, end):
        _same_as_ours(last)
    if last is not None and isinstance(last.payload, PacksRecord):
        bundle = Bundle.from_record(last.payload)
    record = None if last is None else _place(last)
    return Current(partition, bundle, record, marker, begin, read_from, end)


def _same_as_ours(record: LogRecord) -> None:
    semantics = record.payload.semantics if isinstance(record.payload, PacksRecord) else SEMANTICS
    if semantics != SEMANTICS:
        raise OtherSemanticsError(
            f"partition {record.partition} offset {record.offset}: packs of engine semantics {semantics},"
            f" this release has {SEMANTICS}"
        )


def _kept(partition: int, marker: Marker, kept: Mapping[str, bytes]) -> Bundle | None:
    sha256 = marker.state.packs
    if marker.state.semantics != SEMANTICS or not sha256:
        return None  # of another release: `publish` refuses, `show` says so
    try:
        return Bundle.from_record(PacksRecord.model_validate_json(kept[sha256]))
    except (KeyError, ValidationError, BadInputError) as error:
        raise StateLostError(f"partition {partition}: packs {sha256[:12]} of its marker cannot be read") from error


def _packs(log: LogReader, partition: int, begin: int, end: int) -> Iterator[LogRecord]:
    """Yield the packs records that a worker takes; only these are decoded."""
    for raw in log.raw((partition, begin, end)):
        if dict(raw.headers).get("kind") == _PACKS:
            record = decode(raw.partition, raw.offset, raw.timestamp, raw.key, raw.headers, raw.value)
            if isinstance(record, LogRecord):
                yield record


def _place(record: LogRecord) -> Place:
    return Place(record.partition, record.offset, record.received)


def _sha256(record: LogRecord) -> str:
    return record.payload.sha256 if isinstance(record.payload, PacksRecord) else ""


def _same_semantics(seen: Sequence[Current]) -> None:
    for found in seen:
        if found.marker is not None and found.marker.state.semantics != SEMANTICS:
            raise OtherSemanticsError(
                f"partition {found.partition} is folded with engine semantics {found.marker.state.semantics},"
                f" this release makes packs for {SEMANTICS}: its worker would stop"
            )


def _unchanged(settings: KafkaSettings, seen: Sequence[Current]) -> None:
    with open_log(settings, settings.topic(LOG)) as log:
        _settle(settings, log)
        for found in seen:
            for record in _packs(log, found.partition, found.end, log.bounds(found.partition)[1]):
                raise ChangedMeanwhileError(
                    f"packs {_sha256(record)[:12]} came into force meanwhile: partition {record.partition} offset {record.offset}"
                )


def _settle(settings: KafkaSettings, log: LogReader) -> None:
    """Wait until no open transaction hides what stands in the log: a packs record could lie behind it.

    Raises:
        BrokerDownError: one stays open longer than a dead publisher's can.
    """
    consumer = opened(
        KafkaConsumer, client_id="offsite-packs", group_id=None, enable_auto_commit=False, bootstrap_timeout_ms=TIMEOUT_MS,
        allow_auto_create_topics=False, **settings.for_kafka_python(),
    )  # fmt: skip
    try:
        ends = consumer.end_offsets([TopicPartition(log.topic, partition) for partition, _, _ in log.places])
    finally:
        consumer.close()
    deadline = time.monotonic() + SETTLE_S
    for place, end in ends.items():
        while log.bounds(place.partition)[1] < end:
            if time.monotonic() > deadline:
                raise BrokerDownError(
                    f"partition {place.partition} of {log.topic}: a transaction stays open before {end}"
                )
            time.sleep(AGAIN_S)


@contextmanager
def _producer(settings: KafkaSettings) -> Iterator[Any]:
    try:
        producer = opened(
            KafkaProducer,
            client_id="offsite-packs",
            transactional_id=f"{settings.topic_prefix}offsite-packs",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            acks="all",
            linger_ms=0,
            max_request_size=RECORD_BYTES + BATCH_OVERHEAD,
            max_block_ms=30_000,
            request_timeout_ms=10_000,
            delivery_timeout_ms=12_000,
            bootstrap_timeout_ms=TIMEOUT_MS,
            allow_auto_create_topics=False,
            **settings.for_kafka_python(),
        )
    except (KafkaError, OSError) as error:
        raise BrokerDownError(f"no Kafka answers at {settings.bootstrap} ({type(error).__name__})") from error
    try:
        yield producer
    finally:
        let_go(producer, 5.0)


@contextmanager
def _aborted(producer: Any) -> Iterator[None]:  # noqa: ANN401 - kafka-python ships no types
    """Abort at once what failed, or was broken off: left open it would hold the partitions back until it times out."""
    try:
        yield
    except BaseException:  # also Ctrl-C
        with suppress(KafkaError, OSError, AssertionError):
            end_transaction(producer, 5.0, commit=False)
        raise


@contextmanager
def _told(settings: KafkaSettings, *, committing: bool = False) -> Iterator[None]:
    """Say what a failure of the producer means."""
    try:
        yield
    except (ProducerFencedError, InvalidProducerEpochError) as error:
        raise FencedError("another publisher took over before this one was done") from error
    except (KafkaError, OSError) as error:
        why = f"{type(error).__name__}: {error}"
        if committing:
            raise UnknownOutcomeError(f"Kafka at {settings.bootstrap} did not answer the commit ({why})") from error
        raise BrokerDownError(f"nothing was published: Kafka at {settings.bootstrap} ({why})") from error
