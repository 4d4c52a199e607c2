"""The log through a real Kafka: what is written comes back, a dump is loaded and dumped again, foreign bytes stop nobody."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kafka import KafkaProducer

from rules.errors import BadInputError
from rules.evaluate import evaluate
from rules.pack import default_bundle
from rules.records import Kind, LogRecord, Readings, Rejected
from streams import admin, load
from streams.admin import BrokerDownError, TopicsError
from streams.codec import encode, key_of
from streams.dump import open_log
from streams.jsonlines import format_line, read_lines
from streams.load import ImportTopicError, checked, load_log
from streams.ports import free_port
from streams.settings import KafkaSettings
from streams.topics import LOG
from tests.anyrecord import records
from tests.coldlog import BEGIN, MINUTE, ColdLog, excursion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@pytest.fixture
def producer(kafka_settings: KafkaSettings) -> Iterator[KafkaProducer]:
    client = KafkaProducer(max_request_size=9_000_000, **kafka_settings.for_kafka_python())
    yield client
    client.close(timeout=10)


def append(producer: KafkaProducer, topic: str, found: Iterable[LogRecord]) -> list[tuple[int, int, int]]:
    """Append records to the partition they name; returns their (partition, offset, append time)."""
    sent = []
    for record in found:
        headers, value = encode(record.payload)
        sent.append(
            producer.send(topic, value=value, key=key_of(record), headers=headers, partition=record.partition % 3)
        )
    producer.flush()
    done = [future.get(timeout=30) for future in sent]
    return [(meta.partition, meta.offset, meta.timestamp) for meta in done]


def dump(kafka_settings: KafkaSettings, topic: str, facility: str | None = None) -> list[LogRecord | Rejected]:
    with open_log(kafka_settings, topic) as reader:
        return list(reader.records(facility))


def test_every_kind_of_record_survives_a_real_broker(kafka_settings: KafkaSettings, producer: KafkaProducer) -> None:
    topic = kafka_settings.topic(LOG)
    every_kind: list[LogRecord] = []

    @settings(
        max_examples=8, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(st.lists(records(), min_size=8, max_size=12), st.tuples(*(records(st.just(kind)) for kind in Kind)))
    def draw(drawn: list[LogRecord], kinds: tuple[LogRecord, ...]) -> None:
        every_kind.extend([*drawn, *kinds])

    draw()
    assert {record.kind for record in every_kind} == set(Kind)
    places = append(producer, topic, every_kind)
    wanted = sorted(
        (
            replace(record, partition=partition, offset=offset, received=received)
            for record, (partition, offset, received) in zip(every_kind, places, strict=True)
        ),
        key=lambda record: (record.partition, record.offset),
    )
    found = dump(kafka_settings, topic)
    assert found == wanted
    assert [format_line(record) for record in found if isinstance(record, LogRecord)] == [
        format_line(record) for record in wanted
    ]


def test_the_largest_post_fits_into_one_record(kafka_settings: KafkaSettings, producer: KafkaProducer) -> None:
    import numpy as np

    rows = 50_000
    payload = Readings(
        batch="b" * 128,
        tags=tuple(f"{i:064d}" for i in range(5_000)),
        counts=np.full(5_000, 10, np.int32),
        time=np.arange(rows, dtype=np.int64),
        value=np.linspace(-1e300, 1e300, rows),
        quality=np.full(rows, 3, np.uint8),
    )
    record = LogRecord(0, 0, BEGIN, Kind.READINGS, "BJ-LARGE", payload)
    append(producer, kafka_settings.topic(LOG), [record])
    (found,) = dump(kafka_settings, kafka_settings.topic(LOG))
    assert isinstance(found, LogRecord)
    assert found.payload == payload


def test_a_dump_is_loaded_with_its_partitions_and_times_and_dumped_again(kafka_settings: KafkaSettings) -> None:
    log = [*excursion("BJ-ONE", partition=0).records, *excursion("BJ-TWO", partition=2).records]
    topic = kafka_settings.topic("import.one")
    assert load_log(kafka_settings, topic, log, checked(log)) == len(log)
    again = dump(kafka_settings, topic)
    assert again == log  # offsets too, because each partition of this log begins at 0 without gaps
    until = BEGIN + 300 * MINUTE
    before = [change.to_json(source=False) for change in evaluate(log, default_bundle(), until_ms=until)]
    whole = [record for record in again if isinstance(record, LogRecord)]
    assert [change.to_json(source=False) for change in evaluate(whole, default_bundle(), until_ms=until)] == before
    shape = admin.describe(kafka_settings)
    assert topic not in shape["topics"]  # an import is none of the installation's topics


def test_offsets_of_an_import_are_its_own_and_order_stays(kafka_settings: KafkaSettings) -> None:
    log = [replace(record, offset=record.offset * 7 + 100) for record in excursion(partition=1).records]
    load_log(kafka_settings, kafka_settings.topic("import.two"), log, checked(log))
    again = dump(kafka_settings, kafka_settings.topic("import.two"))
    assert again == [replace(record, offset=offset) for offset, record in enumerate(log)]


def test_old_receive_times_do_not_make_an_import_expire(kafka_settings: KafkaSettings) -> None:
    old = ColdLog(0)
    old.tick(0)
    ancient = [replace(old.records[0], received=1_000), replace(old.records[0], offset=1, received=4_102_444_800_000)]
    load_log(kafka_settings, kafka_settings.topic("import.old"), ancient, checked(ancient))
    found = dump(kafka_settings, kafka_settings.topic("import.old"))
    assert [record.received for record in found] == [1_000, 4_102_444_800_000]


def test_foreign_bytes_are_rejected_with_their_place_and_stop_nobody(
    kafka_settings: KafkaSettings, producer: KafkaProducer
) -> None:
    topic = kafka_settings.topic(LOG)
    good = excursion(partition=1).records
    append(producer, topic, good[:2])
    foreign: list[dict[str, Any]] = [
        {"value": b"\x00\xff" * 4_000},
        {"value": b"{}", "key": b"BJ-COLD-01"},
        {"value": None, "key": b"BJ-COLD-01", "headers": [("kind", b"readings"), ("v", b"1")]},
        {"value": b"{}", "key": b"not an id", "headers": [("kind", b"report"), ("v", b"1")]},
        {"value": b"x", "key": b"BJ-COLD-01", "headers": [("kind", b"readings"), ("v", b"99")]},
        {"value": b"x", "headers": [("kind", b""), ("v", b"1"), ("v", b"1")]},
    ]
    for raw in foreign:
        producer.send(topic, partition=1, **raw).get(timeout=30)
    append(producer, topic, good[2:4])
    found = dump(kafka_settings, topic)
    assert [isinstance(record, Rejected) for record in found] == [False] * 2 + [True] * 6 + [False] * 2
    rejected = [record for record in found if isinstance(record, Rejected)]
    assert [record.code for record in rejected] == [
        "schema_version",
        "schema_version",
        "no_value",
        "bad_key",
        "schema_version",
        "unknown_kind",
    ]
    assert [(record.partition, record.offset) for record in rejected] == [(1, offset) for offset in range(2, 8)]
    assert len(rejected[0].sample) == 4096


def test_one_facility_brings_the_ticks_of_its_partition_and_nothing_of_others(kafka_settings: KafkaSettings) -> None:
    north, south = excursion("BJ-NORTH", partition=0).records, excursion("BJ-SOUTH", partition=0).records
    mixed = [record for pair in zip(north, south, strict=True) for record in pair]
    log = [replace(record, offset=offset) for offset, record in enumerate(mixed)]
    other = excursion("BJ-OTHER", partition=1).records
    topic = kafka_settings.topic("import.three")
    load_log(kafka_settings, topic, [*log, *other], 2)
    assert dump(kafka_settings, topic, "BJ-NORTH") == [r for r in log if r.facility in {"", "BJ-NORTH"}]
    assert dump(kafka_settings, topic, "BJ-OTHER") == other
    assert dump(kafka_settings, topic, "BJ-NOBODY") == []


def test_a_dump_ends_where_the_log_ended_at_its_start(kafka_settings: KafkaSettings, producer: KafkaProducer) -> None:
    topic = kafka_settings.topic(LOG)
    log = excursion(partition=0).records
    append(producer, topic, log[:3])
    with open_log(kafka_settings, topic) as reader:
        assert reader.size == 3
        append(producer, topic, log[3:])
        assert len(list(reader.records())) == 3
    assert len(dump(kafka_settings, topic)) == len(log)


def test_what_a_transaction_has_not_committed_is_not_dumped(kafka_settings: KafkaSettings) -> None:
    topic = kafka_settings.topic(LOG)
    good, aborted = excursion(partition=0).records[:2], excursion(partition=0).records[2:4]
    client = KafkaProducer(transactional_id=f"{topic}-tx", **kafka_settings.for_kafka_python())
    try:
        client.init_transactions()
        client.begin_transaction()
        append(client, topic, good)
        client.commit_transaction()
        client.begin_transaction()
        append(client, topic, aborted)
        client.abort_transaction()
    finally:
        client.close(timeout=10)
    found = dump(kafka_settings, topic)  # ends, although the last offsets hold nothing that is shown
    assert [record.payload for record in found if isinstance(record, LogRecord)] == [record.payload for record in good]


def test_an_empty_log_is_an_empty_dump(kafka_settings: KafkaSettings) -> None:
    assert dump(kafka_settings, kafka_settings.topic(LOG)) == []


def test_a_topic_that_is_not_there_is_named(kafka_settings: KafkaSettings) -> None:
    with pytest.raises(TopicsError, match="does not exist"):
        dump(kafka_settings, "no-such-topic")


def test_an_import_is_never_mixed_with_anything_else(kafka_settings: KafkaSettings) -> None:
    log = excursion(partition=0).records
    topic = kafka_settings.topic("import.four")
    load_log(kafka_settings, topic, log, 1)
    for name in (topic, kafka_settings.topic(LOG), "", "a b", "../x", "x" * 300):
        with pytest.raises(ImportTopicError):
            load_log(kafka_settings, name, log, 1)
    assert len(dump(kafka_settings, topic)) == len(log)


def test_a_load_that_fails_takes_its_topic_away(kafka_settings: KafkaSettings) -> None:
    topic = kafka_settings.topic("import.five")

    def half() -> Iterator[LogRecord]:
        yield from excursion(partition=0).records[:3]
        raise BadInputError("log", [])

    with pytest.raises(BadInputError):
        load_log(kafka_settings, topic, half(), 1)
    with pytest.raises(TopicsError):
        dump(kafka_settings, topic)
    load_log(kafka_settings, topic, excursion(partition=0).records, 1)


def test_a_record_that_the_broker_does_not_take_stops_the_load(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "IMPORT_CONFIGS", {**load.IMPORT_CONFIGS, "max.message.bytes": "200"})
    topic = kafka_settings.topic("import.six")
    with pytest.raises(BrokerDownError, match="the import stopped"):
        load_log(kafka_settings, topic, excursion(partition=0).records, 1)
    with pytest.raises(TopicsError):
        dump(kafka_settings, topic)
    # Its network thread would ask for the topic for ever, and send what was given up when one of that name is made again.
    assert [each.name for each in threading.enumerate() if each.name.startswith("offsite-load")] == []


def test_what_cannot_be_loaded_is_refused_before_anything_is_written() -> None:
    state = replace(
        excursion().records[0],
        kind=Kind.STATE,
        payload=next(
            read_lines(
                [
                    json.dumps(
                        {
                            "partition": 0,
                            "offset": 0,
                            "received": "2026-03-01T00:00:00Z",
                            "kind": "state",
                            "facility": "BJ-COLD-01",
                            "data": {
                                "format": 1,
                                "semantics": 1,
                                "packs": "",
                                "clock": 0,
                                "seq": 0,
                                "snapshot": "",
                                "checksum": "0" * 64,
                            },
                        }
                    )
                ]
            )
        ).payload,
    )
    with pytest.raises(BadInputError) as caught:
        checked([state, *excursion().records[1:]])
    assert caught.value.faults[0].code == "state_lines"
    far = [replace(record, partition=99_999_999) for record in excursion().records]
    with pytest.raises(BadInputError) as caught:
        checked(far)
    assert [(fault.code, fault.detail) for fault in caught.value.faults] == [
        ("out_of_range", "partition 99999999: a topic has at most 1000 partitions")
    ]
    with pytest.raises(BadInputError) as caught:
        checked([])
    assert caught.value.faults[0].code == "empty"


def test_a_broker_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.dump.TIMEOUT_MS", 500)
    nobody = KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}")
    with pytest.raises(BrokerDownError, match=nobody.bootstrap):
        dump(nobody, LOG)
