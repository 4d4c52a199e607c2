"""The archiver on a real Kafka: what it archives is what the log holds, whatever happens to it meanwhile."""

# Above 400 lines on purpose: one archiver over one log, and all that may happen to both, side by side.

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.structs import TopicPartition
from sqlalchemy import func, select, update

from monitor.archive import archiver as module
from monitor.archive import index
from monitor.archive.chunkfile import ALL, RawRecord, raw_of
from monitor.archive.index import Selection
from monitor.archive.merge import UnitReader
from monitor.archive.reader import ArchiveReader
from monitor.archive.source import LogRegrownError, LogShorterError
from monitor.archive.takeover import OtherClusterError
from monitor.archive.verify import verify
from monitor.store.desk_tables import OperatorAlarm
from monitor.store.tables import ArchiveChunk, ArchiveWaste, ConsumerOffset
from streams import admin
from streams.dump import open_log
from streams.topics import ALARMS, LOG
from tests.coldlog import excursion
from tests.monitor.archive.running import AHEAD_MS, Process, archived, archiving, producing, send, until

pytestmark = pytest.mark.usefixtures("quick_looks")
KILLS = 6


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "archive"


@pytest.fixture
def quick_looks(monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.2)
    monkeypatch.setattr(module, "RETRY_S", 0.1)


def ahead():
    return time.time_ns() // 1_000_000 + AHEAD_MS


def in_kafka(kafka, topic):
    """Every record of a topic as the client gives it, by partition and offset."""
    found = []
    with open_log(kafka, kafka.topic(topic)) as log:
        for place in log.places:
            found += [(place[0], raw_of(raw)) for raw in log.raw(place)]
    return found


def in_archive(store, folder, topic):
    def refuse(_, error):
        raise error

    found = []
    with store.reading() as session:
        partitions = sorted({span.partition for span in index.spans(session, topic)})
    for partition in partitions:
        with store.reading() as session:
            units = index.units(session, topic, partition, Selection())
        found += [(partition, raw) for raw, _ in UnitReader(store, folder, refuse).records(units, Selection())]
    return found


def mixed_log(kafka):
    """Two firms, ticks, foreign bytes, committed and aborted transactions, in three partitions."""
    topic = kafka.topic(LOG)
    one, two = excursion("BJ-SIX", partition=0).records, excursion("BJ-2", partition=2).records
    with producing(kafka) as producer:
        send(producer, topic, one[:4])
        send(producer, topic, two)
        for more in (
            {"value": b"\x00\xff" * 4_000},
            {"value": None, "key": b"BJ-SIX"},
            {"value": b"", "key": b"not an id", "headers": [("kind", b"report"), ("v", b"1"), ("kind", b"z")]},
            {"value": b"x", "key": b"BJ-2", "headers": [("kind", b"readings"), ("v", b"99")]},
            {"value": b"x" * 3_000_000, "key": b"BJ-SIX", "headers": [("kind", b"readings"), ("v", b"1")]},
        ):
            producer.send(topic, partition=0, **more)
            producer.send(topic, partition=1, **more)
        producer.flush()
    client = KafkaProducer(transactional_id=f"{topic}-tx", **kafka.for_kafka_python())
    try:
        client.init_transactions()
        for number, end in enumerate([client.commit_transaction, client.abort_transaction, client.commit_transaction]):
            client.begin_transaction()
            send(client, topic, one[4 + number : 5 + number])
            for partition in range(3):
                client.send(kafka.topic(ALARMS), key=b"BJ-SIX", value=b'{"n":%d}' % number, partition=partition)
            client.flush()
            end()
    finally:
        client.close(timeout=10)
    return len(one)


def test_the_archive_holds_what_the_topics_hold_byte_by_byte_cut_or_not(store, kafka_settings, folder):
    mixed_log(kafka_settings)
    with archiving(store, kafka_settings, folder):
        until("archive of all", lambda: archived(store, kafka_settings))
    log, alarms = in_kafka(kafka_settings, LOG), in_kafka(kafka_settings, ALARMS)
    assert len(alarms) == 2 * 3
    assert in_archive(store, folder, LOG) == log
    assert in_archive(store, folder, ALARMS) == alarms
    with archiving(store, kafka_settings, folder, clock_ms=ahead):
        until("hours cut by facility", lambda: not uncut(store))
        until("old files deleted", lambda: not waste(store))
    assert in_archive(store, folder, LOG) == log
    assert in_archive(store, folder, ALARMS) == alarms
    report = verify(store, folder)
    assert (report.faults, report.leftovers, report.records) == ([], [], len(log) + len(alarms))
    with store.reading() as session:
        owners = set(session.scalars(select(ArchiveChunk.facility).where(ArchiveChunk.topic == LOG)))
    assert owners == {"", "BJ-SIX", "BJ-2"}
    with open_log(kafka_settings, kafka_settings.topic(LOG)) as reader:
        for facility in (None, "BJ-SIX", "BJ-2", "BJ-NOBODY"):
            assert list(ArchiveReader(store, folder).records(facility)) == list(reader.records(facility))
    some = list(ArchiveReader(store, folder).records(partition=0, from_offset=3))
    assert some == [
        r for r in ArchiveReader(store, folder).records() if (r.partition, r.offset) >= (0, 3) and not r.partition
    ]
    middle = log[len(log) // 2][1].timestamp
    assert list(ArchiveReader(store, folder).records(received=(middle, None))) == [
        r for r in ArchiveReader(store, folder).records() if r.received >= middle
    ]
    assert list(ArchiveReader(store, folder).records(received=(None, middle))) == [
        r for r in ArchiveReader(store, folder).records() if r.received < middle
    ]


def uncut(store):
    with store.reading() as session:
        return index.uncut(session, 1 << 62, 10)


def waste(store):
    with store.reading() as session:
        return session.scalar(select(func.count()).select_from(ArchiveWaste))


def delete_before(kafka, topic, partition, offset):
    client = KafkaAdminClient(**kafka.for_kafka_python())
    try:
        client.delete_records({TopicPartition(kafka.topic(topic), partition): offset})
    finally:
        client.close()


def test_what_kafka_drops_is_still_there_and_what_it_dropped_too_early_is_told(store, kafka_settings, folder):
    records = excursion("BJ-SIX", partition=0).records
    topic = kafka_settings.topic(LOG)
    with producing(kafka_settings) as producer:
        send(producer, topic, records[:5])
        with archiving(store, kafka_settings, folder):
            until("archive of all", lambda: archived(store, kafka_settings))
        whole = in_kafka(kafka_settings, LOG)
        send(producer, topic, records[5:])
        rest = in_kafka(kafka_settings, LOG)[5:]
    delete_before(kafka_settings, LOG, 0, 8)
    with archiving(store, kafka_settings, folder) as worker:
        until("archive of all", lambda: archived(store, kafka_settings))
        assert worker.figures.registry.get_sample_value("offsite_archiver_lost_offsets_total", {"topic": LOG}) == 3
    assert in_archive(store, folder, LOG) == whole + rest[3:]
    reader = ArchiveReader(store, folder)
    assert reader.gaps() == [(0, 5, 8)]
    with store.reading() as session:
        (alarm,) = session.scalars(select(OperatorAlarm)).all()
    assert (alarm.code, alarm.count, alarm.closed_ms) == ("archive_gap", 1, None)
    assert "offsets 5 to 7" in alarm.detail
    assert [(fault.code, fault.pointer) for fault in verify(store, folder).faults] == [("lost", f"{LOG}/0")]


def test_records_dropped_under_a_running_archiver_are_told_and_it_goes_on(store, kafka_settings, folder):
    topic = kafka_settings.topic(LOG)
    records = excursion("BJ-SIX", partition=0).records
    # The loop is held while the log grows and loses its beginning.
    gate, held = threading.Event(), threading.Event()
    gate.set()
    genuine = module.Archiver._turn

    def turn(self, source):
        if not gate.is_set():
            held.set()
            gate.wait(60)
        genuine(self, source)

    with producing(kafka_settings) as producer, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.Archiver, "_turn", turn)
        send(producer, topic, records[:2])
        with archiving(store, kafka_settings, folder) as worker:
            until("archive of all", lambda: archived(store, kafka_settings))
            gate.clear()
            assert held.wait(60)
            send(producer, topic, records)
            delete_before(kafka_settings, LOG, 0, len(records))
            gate.set()
            until("archive of the rest", lambda: archived(store, kafka_settings))
            assert worker.failed == []
    # What the client had fetched before Kafka dropped it may be there or not; nothing else may be missing, and no gap untold.
    offsets = [raw.offset for _, raw in in_archive(store, folder, LOG)]
    gaps = {offset for _, begin, end in ArchiveReader(store, folder).gaps() for offset in range(begin, end)}
    assert sorted({*offsets, *gaps}) == list(range(len(records) + 2))
    assert set(offsets).isdisjoint(gaps)


def test_a_second_archiver_waits_and_takes_over(store, kafka_settings, folder):
    topic = kafka_settings.topic(LOG)
    records = excursion("BJ-SIX", partition=0).records
    with producing(kafka_settings) as producer, archiving(store, kafka_settings, folder, holder="second") as spare:
        until("second at work", lambda: spare.waiting is None)
        with archiving(store, kafka_settings, folder, holder="third", lease_s=2.0) as waiting:
            until("third waits", lambda: "second" in (waiting.waiting or ""))
            send(producer, topic, records[:3])
            until("archive of all", lambda: archived(store, kafka_settings))
            with store.writing() as session:  # the second one's lease ends, as if its machine had been frozen
                session.execute(update(module_lease()).values(holder="frozen", until_ms=0))
            until("another at work", lambda: "third" in (spare.waiting or "") or "second" in (waiting.waiting or ""))
            send(producer, topic, records[3:])
            until("archive of all", lambda: archived(store, kafka_settings))
    assert in_archive(store, folder, LOG) == in_kafka(kafka_settings, LOG)
    assert verify(store, folder).faults == []


def module_lease():
    from monitor.store.tables import Lease

    return Lease


def test_offsets_of_another_cluster_and_a_shorter_log_are_refused(store, kafka_settings, folder):
    with producing(kafka_settings) as producer:
        send(producer, kafka_settings.topic(LOG), excursion("BJ-SIX", partition=0).records)
    with archiving(store, kafka_settings, folder):
        until("archive of all", lambda: archived(store, kafka_settings))
    with store.reading() as session:
        (cluster,) = index.clusters(session)
    for change, wanted in (({"cluster": "elsewhere"}, OtherClusterError), ({"next_offset": 10_000}, LogShorterError)):
        with store.writing() as session:
            session.execute(update(ConsumerOffset).where(ConsumerOffset.topic == LOG).values(**change))
        with archiving(store, kafka_settings, folder) as worker:
            (error,) = until("refusal", lambda worker=worker: worker.failed)
        assert isinstance(error, wanted)
        assert error.exit_code == 4
        with store.reading() as session:
            alarm = session.get(OperatorAlarm, ("archive_stopped", error.code))
            assert alarm is not None
            assert str(error) in alarm.detail
        with store.writing() as session:
            session.execute(update(ConsumerOffset).values(cluster=cluster))
    with store.writing() as session:
        for row in session.scalars(select(ConsumerOffset).where(ConsumerOffset.topic == LOG)):
            row.next_offset = next(span.end for span in index.spans(session, LOG) if span.partition == row.partition)
    with archiving(store, kafka_settings, folder):
        until("the alarms are closed", lambda: not open_alarms(store))


def grown_again(kafka, records):
    """Lose the log and let it grow again, over the same offsets and beyond."""
    topic = kafka.topic(LOG)
    with admin.admin_client(kafka) as client:
        client.delete_topics([topic])
        until("the topic is gone", lambda: topic not in client.list_topics())
    admin.create(kafka)
    with producing(kafka) as producer:
        send(producer, topic, records)


def test_a_log_that_lost_its_end_and_grew_again_is_refused_and_nothing_of_it_is_archived(store, kafka_settings, folder):
    records = excursion("BJ-SIX", partition=0).records
    with producing(kafka_settings) as producer:
        send(producer, kafka_settings.topic(LOG), records[:4])
    with archiving(store, kafka_settings, folder):
        until("archive of all", lambda: archived(store, kafka_settings))
    before = in_archive(store, folder, LOG)
    newest = max(raw.offset for _, raw in before)
    grown_again(kafka_settings, [*records[:5], *records])
    for _ in range(2):
        with archiving(store, kafka_settings, folder) as worker:
            (error,) = until("refusal", lambda worker=worker: worker.failed)
        assert isinstance(error, LogRegrownError)
        assert error.exit_code == 4
        assert f"log/0: the record at offset {newest}" in str(error).replace(LOG, "log")
        assert "another one stands there now" in str(error)
        (alarm,) = open_alarms(store)
        assert (alarm.code, alarm.subject, str(error)) == ("archive_stopped", "log_regrown", alarm.detail)
    assert in_archive(store, folder, LOG) == before


def test_the_newest_record_is_compared_at_every_start_and_one_that_cannot_be_read_stops_nothing(
    store, kafka_settings, folder, caplog
):
    records = excursion("BJ-SIX", partition=0).records
    with producing(kafka_settings) as producer:
        send(producer, kafka_settings.topic(LOG), records[:4])
        with archiving(store, kafka_settings, folder):
            until("archive of all", lambda: archived(store, kafka_settings))
        with store.reading() as session:
            chunk = index.newest(session, LOG, 0)
        assert chunk.last_offset == 3
        (folder / chunk.path).write_bytes(b"?")
        send(producer, kafka_settings.topic(LOG), records[4:])
    with archiving(store, kafka_settings, folder) as worker:
        until("archive of the rest", lambda: archived(store, kafka_settings))
    assert worker.failed == []
    assert "cannot be compared with Kafka's" in caplog.text


def open_alarms(store):
    with store.reading() as session:
        return session.scalars(select(OperatorAlarm).where(OperatorAlarm.closed_ms.is_(None))).all()


def test_other_topics_are_refused(store, kafka_settings, folder):
    with archiving(store, kafka_settings.model_copy(update={"partitions": 7}), folder) as worker:
        (error,) = until("refusal", lambda: worker.failed)
    assert error.code == "topics_differ"


def pump(kafka, stop, sent):
    """Append to all partitions until told to stop: plain records, transactions, foreign bytes."""
    chance = random.Random(7)  # noqa: S311 - a seed makes the run repeatable
    topic = kafka.topic(LOG)
    with producing(kafka) as producer:
        client = KafkaProducer(transactional_id=f"{topic}-pump", **kafka.for_kafka_python())
        client.init_transactions()
        number = 0
        while not stop.is_set():
            facility = f"BJ-{chance.randrange(5)}"
            for record in excursion(facility, partition=chance.randrange(3), registered=False).records:
                send(producer, topic, [replace(record)])
            producer.send(topic, partition=chance.randrange(3), value=chance.randbytes(chance.randrange(5_000)))
            client.begin_transaction()
            send(client, topic, excursion(facility, partition=chance.randrange(3)).records[:2])
            client.send(kafka.topic(ALARMS), key=facility.encode(), value=b"{}", partition=chance.randrange(3))
            client.flush()
            client.commit_transaction() if chance.random() < 0.7 else client.abort_transaction()
            number += 1
            sent[0] = number
            stop.wait(0.02)
        client.close(timeout=10)


@pytest.mark.slow  # in `make test`: test_archive_property.py, and the short chaos
def test_kills_at_random_points_lose_nothing_and_double_nothing(store, store_url, kafka_settings, folder, tmp_path):
    chance = random.Random(11)  # noqa: S311 - as above
    stop, sent = threading.Event(), [0]
    thread = threading.Thread(target=pump, args=(kafka_settings, stop, sent))
    thread.start()
    log_file = tmp_path / "archiver.log"
    cuts = 0
    try:
        for _ in range(KILLS):
            process = Process(store_url, kafka_settings, folder, log_file)
            before = progress(store)
            until("progress", lambda before=before: progress(store) > before, alive=process.alive)
            time.sleep(chance.uniform(0, 1.0))  # the point of the kill; nothing is asserted of this time
            process.kill()
            cuts += cut_files(store) > 0
    finally:
        stop.set()
        thread.join(60)
    last = Process(store_url, kafka_settings, folder, log_file)
    until("archive of all", lambda: archived(store, kafka_settings), alive=last.alive)
    until("hours cut by facility", lambda: not uncut(store), alive=last.alive)
    until("old files deleted", lambda: not waste(store), alive=last.alive)
    assert last.terminate() == 0
    assert sent[0] > 10
    assert cuts > 0
    for topic in (LOG, ALARMS):
        assert in_archive(store, folder, topic) == in_kafka(kafka_settings, topic)
    report = verify(store, folder)
    assert (report.faults, report.leftovers) == ([], [])


def progress(store):
    with store.reading() as session:
        return sum(index.next_offsets(session).values())


def cut_files(store):
    with store.reading() as session:
        return session.scalar(select(func.count()).select_from(ArchiveChunk).where(ArchiveChunk.facility != ALL))


def test_a_reader_goes_on_while_the_archiver_cuts_and_deletes_under_it(store, kafka_settings, folder):
    with producing(kafka_settings) as producer, archiving(store, kafka_settings, folder):
        for number in range(8):
            send(producer, kafka_settings.topic(LOG), excursion(f"BJ-{number}", partition=0).records[:6])
            until("archive of all", lambda: archived(store, kafka_settings))
    wanted = in_kafka(kafka_settings, LOG)
    reading = ArchiveReader(store, folder).records()
    found = [next(reading)]
    with archiving(store, kafka_settings, folder, clock_ms=ahead, grace_s=0.001):
        until("hours cut by facility", lambda: not uncut(store))
        until("old files deleted", lambda: not waste(store))
        found += list(reading)
    assert [(r.partition, r.offset) for r in found] == [(p, raw.offset) for p, raw in wanted]


def test_records_and_places_are_of_one_instant(store, kafka_settings, folder):
    topic = kafka_settings.topic(LOG)
    records = excursion("BJ-SIX", partition=0).records
    with producing(kafka_settings) as producer, archiving(store, kafka_settings, folder):
        send(producer, topic, records[:3])
        until("archive of all", lambda: archived(store, kafka_settings))
        reader = ArchiveReader(store, folder)
        send(producer, topic, records[3:])
        until("archive of all", lambda: archived(store, kafka_settings))
    assert reader.places == [(0, 0, 3), (1, 0, 0), (2, 0, 0)]
    assert len(list(reader.records())) == 3
    assert len(list(ArchiveReader(store, folder).records())) == len(records)


def test_a_record_of_the_client_is_kept_whole():
    class Found:
        offset, timestamp, timestamp_type, key, value = 3, 5, 1, None, b"\x00"
        headers = [("kind", b"x"), ("n", None), ("kind", b"y")]  # noqa: RUF012 - as the client gives it

    assert raw_of(Found) == RawRecord(3, 5, 1, None, [(b"kind", b"x"), (b"n", None), (b"kind", b"y")], b"\x00")
