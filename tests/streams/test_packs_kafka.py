"""Packs published to a real Kafka: all partitions or none, one publisher at a time, and what is in force afterwards."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from kafka import KafkaProducer

from rules.errors import BadInputError
from rules.models import Bilingual
from rules.pack import Bundle, default_bundle
from rules.records import SEMANTICS, PacksRecord
from streams import packs
from streams.checkpoint import StateLostError
from streams.clients import end_transaction, opened
from streams.dump import open_log
from streams.packs import (
    ChangedMeanwhileError,
    FencedError,
    OtherSemanticsError,
    checked,
    in_force,
    publish,
    since,
)
from streams.topics import LOG
from tests.rules.bundles import changed
from tests.streams.packing import append, checkpoint, tick

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[2]


def hashes(settings):
    return [found.sha256 for found in in_force(settings)]


def lasts(settings):
    """Return the last bundle of each partition, read record by record."""
    with open_log(settings, settings.topic(LOG)) as log:
        found = dict.fromkeys(range(settings.partitions))
        for record in log.records():
            if isinstance(record.payload, PacksRecord):
                found[record.partition] = record.payload.sha256
    return list(found.values())


@pytest.fixture
def patient(monkeypatch):
    """Let no transaction end by its time: who waits for one instead of fencing or aborting it waits in vain."""
    monkeypatch.setattr(packs, "TRANSACTION_TIMEOUT_MS", 120_000)
    monkeypatch.setattr(packs, "SETTLE_S", 8.0)
    return packs.TRANSACTION_TIMEOUT_MS


def test_a_bundle_stands_in_every_partition_where_the_ack_says(kafka_settings):
    seen = in_force(kafka_settings)
    assert [found.bundle for found in seen] == [None] * 3
    places = publish(kafka_settings, checked(changed()), seen)
    assert [place.partition for place in places] == [0, 1, 2]
    now = in_force(kafka_settings)
    assert [found.record for found in now] == places
    assert hashes(kafka_settings) == [changed().sha256] * 3
    assert now[0].bundle == Bundle.from_record(changed().to_record())
    with open_log(kafka_settings, kafka_settings.topic(LOG)) as log:
        records = list(log.records())
    assert [(r.partition, r.offset, r.received) for r in records] == [
        (place.partition, place.offset, place.received) for place in places
    ]


def test_before_the_first_record_the_marker_says_what_is_in_force(kafka_settings):
    for partition in range(3):
        checkpoint(kafka_settings, partition, default_bundle(), tick(kafka_settings, partition) + 1)
    found = in_force(kafka_settings)
    assert {each.sha256 for each in found} == {default_bundle().sha256}
    assert [each.read_from for each in found] == [1, 1, 1]
    assert [since(kafka_settings, each) for each in found] == [None] * 3


def test_a_record_behind_the_marker_counts_and_one_before_it_is_found_again(kafka_settings):
    for partition in range(3):
        checkpoint(kafka_settings, partition, default_bundle(), tick(kafka_settings, partition) + 1)
    first = publish(kafka_settings, checked(changed()), in_force(kafka_settings))
    assert [found.record for found in in_force(kafka_settings)] == first
    for place in first:  # the workers go on, and a checkpoint lies behind the record now
        checkpoint(kafka_settings, place.partition, changed(), tick(kafka_settings, place.partition) + 1)
    found = in_force(kafka_settings)
    assert [each.record for each in found] == [None] * 3
    assert [each.sha256 for each in found] == [changed().sha256] * 3
    assert [since(kafka_settings, each) for each in found] == first


def test_what_a_worker_rejects_is_not_in_force(kafka_settings):
    publish(kafka_settings, checked(changed()), in_force(kafka_settings))
    other = changed(high=6.0).to_record()
    append(kafka_settings, 1, other.model_copy(update={"sha256": "0" * 64}))
    append(kafka_settings, 2, other, raw=b"no JSON")
    assert hashes(kafka_settings) == [changed().sha256] * 3


def test_a_publisher_that_is_overtaken_leaves_nothing(kafka_settings, patient):
    assert patient > packs.SETTLE_S * 1_000
    seen = in_force(kafka_settings)
    done = []

    def overtake():
        done.extend(publish(kafka_settings, checked(changed(high=6.0)), seen))

    def elsewhere():
        other = threading.Thread(target=overtake)
        other.start()
        other.join(60)

    # The first has sent to all three partitions and not committed when the second begins.
    with pytest.raises(FencedError, match="took over"):
        publish(kafka_settings, checked(changed()), seen, between=elsewhere)
    assert [place.partition for place in done] == [0, 1, 2]
    assert lasts(kafka_settings) == hashes(kafka_settings) == [changed(high=6.0).sha256] * 3


STUCK = """
import signal, sys
from streams.packs import checked, in_force, publish
from streams.settings import KafkaSettings
from tests.rules.bundles import changed

settings = KafkaSettings.model_validate_json(sys.argv[1])
publish(settings, checked(changed()), in_force(settings), between=lambda: (print("sent", flush=True), signal.pause()))
"""


def test_a_publisher_that_is_killed_leaves_nothing_and_the_next_one_need_not_wait(kafka_settings, monkeypatch):
    monkeypatch.setattr(packs, "SETTLE_S", 8.0)  # its transaction would end by itself after 15
    seen = in_force(kafka_settings)
    child = subprocess.Popen(
        [sys.executable, "-c", STUCK, kafka_settings.model_dump_json()], stdout=subprocess.PIPE, cwd=ROOT
    )
    try:
        assert child.stdout.readline() == b"sent\n"  # three records stand in an open transaction
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    places = publish(kafka_settings, checked(changed(high=6.0)), seen)
    assert [place.offset for place in places] == [2, 2, 2]  # behind the dead one's record and its abort marker
    assert lasts(kafka_settings) == hashes(kafka_settings) == [changed(high=6.0).sha256] * 3


def test_many_publishers_at_once_end_with_one_last_bundle(kafka_settings):
    seen, outcomes = in_force(kafka_settings), []

    def one(high):
        try:
            publish(kafka_settings, checked(changed(high=high)), seen)
            outcomes.append(high)
        except (FencedError, ChangedMeanwhileError) as error:
            outcomes.append(error)

    threads = [threading.Thread(target=one, args=(5.0 + i / 4,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert len(outcomes) == 4
    won = [each for each in outcomes if isinstance(each, float)]
    assert len(won) == 1, outcomes  # all saw the same log: the second one that is let in sees the first one's record
    assert lasts(kafka_settings) == [changed(high=won[0]).sha256] * 3


def test_what_came_between_the_difference_and_the_append_stops_it(kafka_settings):
    seen = in_force(kafka_settings)
    append(kafka_settings, 2, changed(high=6.0).to_record())
    with pytest.raises(ChangedMeanwhileError, match="partition 2 offset 0"):
        publish(kafka_settings, checked(changed()), seen)
    assert lasts(kafka_settings) == [None, None, changed(high=6.0).sha256]


def test_a_failure_before_the_commit_leaves_nothing_and_no_open_transaction(kafka_settings, patient):
    assert patient > packs.SETTLE_S * 1_000

    def broken_off():
        raise KeyboardInterrupt

    seen = in_force(kafka_settings)
    with pytest.raises(KeyboardInterrupt):
        publish(kafka_settings, checked(changed()), seen, between=broken_off)
    # An open transaction would hold this back: `in_force` waits for it, and gives up.
    assert hashes(kafka_settings) == [None] * 3
    assert lasts(kafka_settings) == [None] * 3


def test_an_open_transaction_that_could_hide_packs_is_waited_for(kafka_settings, monkeypatch):
    monkeypatch.setattr(packs, "SETTLE_S", 0.5)
    producer = opened(KafkaProducer, transactional_id=f"{kafka_settings.topic_prefix}other", acks="all",
                      bootstrap_timeout_ms=10_000, **kafka_settings.for_kafka_python())  # fmt: skip
    try:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(kafka_settings.topic(LOG), value=b"x", partition=1).get(timeout=20)
        with pytest.raises(packs.BrokerDownError, match=r"partition 1 .* stays open"):
            in_force(kafka_settings)
        end_transaction(producer, 10, commit=True)
    finally:
        producer.close(timeout=5)
    assert hashes(kafka_settings) == [None] * 3


def test_a_partition_of_another_semantics_takes_no_packs(kafka_settings):
    for partition in range(3):
        end = tick(kafka_settings, partition) + 1
        checkpoint(kafka_settings, partition, default_bundle(), end, semantics=SEMANTICS + (partition == 1))
    with pytest.raises(OtherSemanticsError, match="partition 1 is folded with"):
        publish(kafka_settings, checked(changed()), in_force(kafka_settings))
    assert lasts(kafka_settings) == [None] * 3


def test_packs_of_another_semantics_in_the_log_are_named(kafka_settings):
    append(kafka_settings, 0, changed().to_record().model_copy(update={"semantics": SEMANTICS + 1}))
    with pytest.raises(OtherSemanticsError, match="partition 0 offset 0"):
        in_force(kafka_settings)


def test_a_marker_whose_packs_are_gone_is_no_answer(kafka_settings):
    checkpoint(kafka_settings, 0, default_bundle(), 0)
    checkpoint(kafka_settings, 0, changed(), 0)
    assert hashes(kafka_settings)[0] == changed().sha256
    record = default_bundle().to_record().model_dump(mode="json") | {"bundle": "bm9uZQ=="}
    broken = PacksRecord.model_validate(record)

    class Broken:
        sha256 = default_bundle().sha256

        @staticmethod
        def to_record():
            return broken

    checkpoint(kafka_settings, 0, Broken, 0)
    with pytest.raises(StateLostError, match="partition 0: packs"):
        in_force(kafka_settings)


def test_too_large_is_told_in_figures():
    shipped = default_bundle()
    rule = shipped.rule("cold-chain.store-out")
    title = Bilingual(zh="冷" * 4_000, en="c" * 4_000)
    many = [rule.model_copy(update={"id": f"cold-chain.large-{i}", "title": title}) for i in range(600)]
    bundle = Bundle.of([*shipped.rules, *many], shipped.tables.values())
    with pytest.raises(BadInputError, match="1 fault") as raised:
        checked(bundle)
    (fault,) = raised.value.faults
    size = len(bundle.content())
    assert size > 600 * 16_000
    assert (fault.code, fault.detail) == (
        "too_large", f"{size} bytes of canonical JSON; a bundle holds at most 8388608"
    )  # fmt: skip


def test_what_does_not_compress_is_measured_as_a_record(monkeypatch):
    size = len(packs.encode(changed().to_record())[1])
    monkeypatch.setattr(packs, "MAX_VALUE_BYTES", size)
    assert checked(changed()) == changed().to_record()
    monkeypatch.setattr(packs, "MAX_VALUE_BYTES", size - 1)
    with pytest.raises(BadInputError) as raised:
        checked(changed())
    (fault,) = raised.value.faults
    assert fault.detail == f"{size} bytes as a record; the log takes at most {size - 1}"


def test_a_bundle_that_a_worker_would_refuse_is_refused_before():
    shipped = default_bundle()
    with pytest.raises(BadInputError) as raised:
        checked(Bundle.of(shipped.rules, []))
    assert {fault.code for fault in raised.value.faults} == {"bad_packs"}
    assert "unknown_table" in raised.value.faults[0].detail
