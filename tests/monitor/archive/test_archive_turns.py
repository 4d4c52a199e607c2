"""When the archiver flushes, cuts and gives up a consumer: turn by turn, with a source that the test fills."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from monitor.archive import archiver as module
from monitor.archive import index
from monitor.archive.archiver import Archiver, ArchiverSettings
from monitor.archive.chunkfile import HOUR_MS, RawRecord
from monitor.archive.lease import LeaseHeldError
from monitor.archive.source import TOPICS, Ends, LogRegrownError
from monitor.archive.writer import MovedError
from monitor.commands.archiver import BEHIND, _not_ready
from monitor.store.desk_tables import OperatorAlarm
from monitor.store.session import StoreDownError
from monitor.store.tables import ArchiveChunk, Lease
from streams.admin import BrokerDownError
from streams.topics import ALARMS, LOG
from tests.monitor.archive.making import CLUSTER, Clock

HOUR = 495_000 * HOUR_MS
TICK, REPORT = [(b"kind", b"tick")], [(b"kind", b"report")]


class Monotonic:
    """Stands for the module `time`."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def time_ns(self):
        return int(self.now * 1e9)


class Source:
    """Kafka as the archiver sees it: what is put comes with the next poll."""

    def __init__(self):
        self.places = [(topic, partition) for topic in TOPICS for partition in range(2)]
        self.next = dict.fromkeys(self.places, 0)
        self.coming = {}
        self.held = {}
        self.more = 0
        self.sought = None

    def put(self, partition, headers, at=HOUR, size=10, topic=LOG, count=1):
        for _ in range(count):
            record = RawRecord(self.next[topic, partition], at, 1, b"BJ-ONE", headers, bytes(size))
            self.coming.setdefault((topic, partition), []).append(record)
            self.held.setdefault((topic, partition), []).append(record)
            self.next[topic, partition] += 1

    def marker(self, partition, topic=LOG):
        self.next[topic, partition] += 1

    def poll(self, _):
        found, self.coming = self.coming, {}
        return found

    def positions(self):
        return dict(self.next)

    def ends(self):
        return {where: Ends(0, offset + self.more) for where, offset in self.next.items()}

    def seek(self, offsets):
        self.sought = dict(offsets)

    def first_from(self, where, offset, end):
        return next((record for record in self.held.get(where, []) if offset <= record.offset < end), None)


@pytest.fixture
def clock():
    return Clock(HOUR + 1000)


@pytest.fixture
def seconds(monkeypatch):
    made = Monotonic()
    monkeypatch.setattr(module, "time", made)
    return made


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def worker(store, tmp_path, clock, seconds, source, monkeypatch):
    monkeypatch.setattr(module, "cluster_id", lambda _: CLUSTER)
    assert seconds.now
    made = Archiver(store, None, ArchiverSettings(tmp_path / "archive", flush_bytes=65_536), "w", clock)
    monkeypatch.setattr(made, "_kafka", type("Kafka", (), {"bootstrap": "nowhere:1"})())
    made._begin(source)
    return made


def turn(worker, seconds, after_s=0.0):
    seconds.now += after_s
    worker._now.now_ms += int(after_s * 1000)
    worker._turn(worker.source)


@pytest.fixture
def go(worker, seconds, source):
    worker.source = source

    def run(after_s=0.0):
        turn(worker, seconds, after_s)

    run()  # the first look
    return run


def stored(store):
    with store.reading() as session:
        return {where: offset for where, offset in index.next_offsets(session).items() if offset}


def owners(store):
    with store.reading() as session:
        return sorted(session.scalars(select(ArchiveChunk.facility)))


def test_what_kafka_has_and_nobody_has_read_is_told_apart_from_what_is_in_hand(source, go, worker):
    source.put(0, REPORT, count=3)
    go()
    assert (worker.behind, worker.lag) == (0, 0)  # as of the last look
    source.more = 70
    go(5.0)
    assert worker.behind == 70 * len(source.places)
    assert worker.lag == worker.behind
    source.more = 0
    source.put(0, REPORT, count=3)
    go(5.0)
    assert worker.behind == 0


def test_a_reading_waits_five_seconds_and_ticks_alone_a_minute(store, source, go):
    source.put(0, REPORT)
    source.put(1, TICK, count=3)
    go()
    go(4.9)
    assert stored(store) == {}
    source.put(0, REPORT)
    go(0.2)
    assert stored(store) == {(LOG, 0): 2}
    go(54)
    assert stored(store) == {(LOG, 0): 2}
    go(1.5)
    assert stored(store) == {(LOG, 0): 2, (LOG, 1): 3}


def test_a_tick_beside_a_reading_does_not_hold_it_up(store, source, go):
    source.put(1, TICK)
    source.put(1, REPORT)
    source.put(1, TICK)
    go()
    go(5.1)
    assert stored(store) == {(LOG, 1): 3}


def test_much_in_hand_is_archived_at_once_of_all_partitions(store, source, go):
    source.put(0, REPORT, size=40_000)
    source.put(1, TICK)
    go()
    assert stored(store) == {}
    source.put(0, REPORT, size=40_000)
    go()
    assert stored(store) == {(LOG, 0): 2, (LOG, 1): 1}


def test_offsets_without_records_are_passed_too(store, source, go):
    source.marker(0)
    source.marker(0, ALARMS)
    go(5.1)
    assert stored(store) == {(LOG, 0): 1, (ALARMS, 0): 1}
    assert owners(store) == []
    source.put(0, REPORT)
    source.marker(0)
    go()
    go(5.1)
    assert stored(store)[LOG, 0] == 3
    with store.reading() as session:
        (span,) = [span for span in index.spans(session, LOG) if span.partition == 0]
    assert (span.begin, span.end, span.records) == (0, 3, 1)


def test_an_hour_is_cut_two_minutes_after_its_end_and_not_before_all_of_it_is_archived(
    store, source, go, clock, worker, monkeypatch
):
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    source.put(0, REPORT)
    go()
    go(6)
    clock.now_ms = HOUR + HOUR_MS + 119_000
    go()  # all there is is archived, and the hour is not over for long enough
    assert owners(store) == ["*"]
    source.more = 10
    clock.now_ms = HOUR + HOUR_MS + 121_000
    go()  # long enough, but there is more to read
    assert owners(store) == ["*"]
    source.put(0, REPORT, at=HOUR + HOUR_MS - 1)
    source.put(0, REPORT, at=HOUR + HOUR_MS)
    go()  # the next hour has begun, but the end of the last one is still in hand
    go(4.9)
    assert owners(store) == ["*"]
    go(0.2)
    assert owners(store) == ["*", "BJ-ONE"]
    assert worker.figures.registry.get_sample_value("offsite_archiver_cuts_total") == 1
    with store.reading() as session:
        (row,) = session.scalars(select(ArchiveChunk).where(ArchiveChunk.facility == "BJ-ONE"))
    assert (row.hour_ms, row.records) == (HOUR, 2)


def test_an_hour_whose_end_nobody_saw_is_cut_when_all_is_read(store, source, go, clock):
    source.put(1, REPORT)
    go()
    go(6)
    clock.now_ms = HOUR + 2 * HOUR_MS
    go(5.1)
    assert owners(store) == ["BJ-ONE"]


def test_many_hours_are_cut_one_after_the_other_without_waiting(store, source, go, clock):
    for hour in range(4):
        source.put(0, REPORT, at=HOUR + hour * HOUR_MS)
    go()
    go(6)
    clock.now_ms = HOUR + 20 * HOUR_MS
    go(5.1)
    for _ in range(4):
        go(0.1)
    assert owners(store) == ["BJ-ONE"] * 4


def test_a_damaged_hour_is_told_holds_nobody_up_and_is_tried_again(store, source, go, clock, worker):
    source.put(0, REPORT)
    source.put(0, REPORT, at=HOUR + HOUR_MS)
    go()
    go(6)
    with store.reading() as session:
        row = session.scalars(select(ArchiveChunk).where(ArchiveChunk.hour_ms == HOUR)).one()
    path = worker._settings.folder / row.path
    blob = path.read_bytes()
    path.write_bytes(b"")
    clock.now_ms = HOUR + 5 * HOUR_MS
    go(5.1)
    go(5.1)
    assert owners(store) == ["*", "BJ-ONE"]
    with store.reading() as session:
        (alarm,) = session.scalars(select(OperatorAlarm)).all()
    assert (alarm.code, alarm.subject, alarm.count) == ("archive_damaged", row.path[-128:], 1)
    path.write_bytes(blob)
    go(300)
    assert owners(store) == ["*", "BJ-ONE"]
    go(301)
    assert owners(store) == ["BJ-ONE", "BJ-ONE"]


def test_a_consumer_that_gives_nothing_is_given_up_only_while_there_is_more(source, go):
    for _ in range(30):
        go(5.1)  # nothing comes, and there is nothing
    source.more = 1
    for _ in range(11):  # 60 s since something last moved
        go(5.1)
    with pytest.raises(BrokerDownError, match="gives no records"):
        go(5.1)


def test_a_consumer_that_gives_something_is_not_given_up(source, go):
    source.more = 1_000
    for _ in range(40):
        source.put(0, REPORT)
        go(5.1)


def test_the_lease_is_renewed_while_nothing_comes(store, go, clock):
    for _ in range(20):
        go(4.0)
        with store.reading() as session:
            assert session.get(Lease, "archiver").until_ms > clock.now_ms


def test_lag_counts_what_is_not_in_the_index(source, go, worker):
    assert worker.lag == 0
    source.put(0, REPORT, count=3)
    source.more = 2
    go()
    go(5.1)
    value = worker.figures.registry.get_sample_value
    assert value("offsite_archiver_lag_records", {"topic": LOG}) == 2 * 2
    assert value("offsite_archiver_lag_records", {"topic": ALARMS}) == 2 * 2
    assert worker.lag == 8
    assert value("offsite_archiver_chunks") == 1


def test_it_goes_on_where_the_store_says(source, go, worker):
    source.put(0, REPORT, count=3)
    source.put(1, REPORT)
    go()
    go(5.1)
    source.put(1, REPORT)
    go()
    worker._wait(BrokerDownError("away"), type("Stop", (), {"wait": lambda _, seconds: seconds})())
    assert worker.waiting == "away"
    assert worker.lag == 0
    worker._begin(source)
    assert source.sought == {(LOG, 0): 3, (LOG, 1): 1, (ALARMS, 0): 0, (ALARMS, 1): 0}
    assert worker.waiting is None
    source.held[LOG, 0].pop()
    with pytest.raises(LogRegrownError, match="Kafka holds none there now"):
        worker._begin(source)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BrokerDownError("x"), "broker"),
        (LeaseHeldError("x"), "lease"),
        (MovedError("x"), "lease"),
        (OSError("x"), "files"),
        (StoreDownError("x", Exception("y")), "store"),
    ],
)
def test_every_wait_has_its_reason(error, reason):
    assert module._reason(error) == reason


def test_settings_of_the_environment_fit_the_archiver(monkeypatch):
    from monitor.settings import ArchiverEnvironment

    monkeypatch.setenv("OFFSITE_ARCHIVER_FLUSH_S", "7")
    environment = ArchiverEnvironment()
    names = {field.name for field in dataclasses.fields(ArchiverSettings)}
    assert names <= set(type(environment).model_fields)
    made = ArchiverSettings(**environment.model_dump(include=names))
    assert made.flush_s == 7
    assert dataclasses.replace(made, flush_s=5.0) == ArchiverSettings(made.folder)  # the same defaults


@pytest.mark.parametrize(("behind", "waiting", "why"), [
    (BEHIND, None, None), (BEHIND + 1, None, f"{BEHIND + 1} records are not read yet"), (0, "no Kafka", "no Kafka"),
])  # fmt: skip
def test_an_archiver_with_a_backlog_is_not_ready(behind, waiting, why):
    assert _not_ready(SimpleNamespace(behind=behind, waiting=waiting)) == why
