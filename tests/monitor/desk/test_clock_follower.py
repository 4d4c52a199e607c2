"""The follower of the state topic on a real Kafka: clocks become rows, through restarts, lost topics, other desks and packs that come late."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.errors import TopicAuthorizationFailedError
from sqlalchemy import select

from monitor.alarms.operators import open_alarms
from monitor.desk import clock_follower
from monitor.desk.clock_follower import UNREAD, ClockFollower
from monitor.desk.figures import Figures
from monitor.desk.follower import ClusterError
from monitor.packs import journal
from monitor.store.desk_tables import DeadlineFacility, DeadlinePartition, DeadlineRow
from monitor.store.tables import ConsumerOffset
from rules.clocks.listing import Running as Clock
from rules.engine import PartitionState
from streams import statetail
from streams.admin import admin_client
from streams.checkpoint import (
    Marker,
    encode_marker,
    encode_roster,
    marker_key,
    packs_key,
    roster_key,
    snapshot_rows,
)
from streams.quarantine import Quarantine, encode_note
from streams.topics import STATE
from tests.monitor.deadlines.listed import snapshot, told
from tests.monitor.desk.threads import InThread
from tests.rules.duelogs import CLOCKS, FIRM, HOUR

pytestmark = pytest.mark.kafka
OTHER = "BJ-DUE-0002"
QUICK = 100


def clock():
    return time.time_ns() // 1_000_000


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return value


class Following(InThread):
    """The follower of legal clocks, as the desk runs it."""

    def __init__(self, store, settings, **more):
        self.figures = Figures()
        super().__init__(ClockFollower(store, settings, clock_ms=clock, figures=self.figures), **more)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(clock_follower, "EVERY_MS", QUICK)
    monkeypatch.setattr(clock_follower, "RETRY_S", 0.1)


class Topic:
    """The state topic of a test, written as a worker does."""

    def __init__(self, settings):
        self.settings = settings

    @contextmanager
    def checkpoint(self, *, abort=False):
        producer = KafkaProducer(
            **self.settings.for_kafka_python(), acks="all", transactional_id=f"{self.settings.topic_prefix}w"
        )
        producer.init_transactions()
        producer.begin_transaction()
        yield producer
        producer.flush()
        producer.abort_transaction() if abort else producer.commit_transaction()
        producer.close()

    def put(self, *rows, partition=0, abort=False):
        """Write rows in one transaction: (key, value) or (key, value, headers)."""
        with self.checkpoint(abort=abort) as producer:
            for key, value, *headers in rows:
                producer.send(
                    self.settings.topic(STATE), key=key, value=value, partition=partition,
                    headers=headers[0] if headers else [],
                )  # fmt: skip


def of(log, bundle=None, part_bytes=900_000):
    found = snapshot_rows("s", 0, log.name, snapshot(log, bundle), part_bytes)
    return [(row.key, row.value, list(row.headers)) for row in found]


def marker(at, partition=0):
    state = PartitionState(clock=at)
    value = Marker(partition=partition, next=1, low=1, state=state, facilities=1, roster="", origin=None)
    return marker_key(partition), encode_marker(value)


def roster(*names, partition=0):
    return roster_key(partition), encode_roster(names)


def cases(store):
    with store.reading() as session:
        found = [Clock.model_validate_json(row.body) for row in session.scalars(select(DeadlineRow))]
    return sorted((row.facility, row.subject["report"]) for row in found)


def facilities(store):
    with store.reading() as session:
        return {row.facility: row for row in session.scalars(select(DeadlineFacility))}


def as_of(store):
    with store.reading() as session:
        return {row.partition: row.as_of_ms for row in session.scalars(select(DeadlinePartition))}


def offsets(store):
    with store.reading() as session:
        mine = select(ConsumerOffset).where(ConsumerOffset.consumer == "desk-clocks")
        return {row.partition: row.next_offset for row in session.scalars(mine)}


@pytest.fixture
def topic(kafka_settings):
    return Topic(kafka_settings)


def test_snapshots_become_rows_with_how_new_they_are(store, topic):
    topic.put(*of(told(FIRM, 3)), *of(told(OTHER, 4, "C-9")), roster(FIRM, OTHER), marker(5_000))
    topic.put(*of(told("BJ-DUE-0003", 5)), marker(7_000, 2), partition=2)
    with Following(store, topic.settings) as following:
        until(lambda: as_of(store) == {0: 5_000, 2: 7_000})
        assert cases(store) == [(FIRM, "C-1"), (OTHER, "C-9"), ("BJ-DUE-0003", "C-1")]
        assert {name: row.partition for name, row in facilities(store).items()} == {FIRM: 0, OTHER: 0, "BJ-DUE-0003": 2}
        answered = told(FIRM, 3).investigation(20 * HOUR, id="R-9").death(21 * HOUR, "C-2")
        topic.put(*of(answered), marker(9_000))
        until(lambda: (FIRM, "C-2") in cases(store) and as_of(store)[0] == 9_000)
        assert (FIRM, "C-1") not in cases(store)
        until(lambda: following.figures.registry.get_sample_value("offsite_desk_deadlines") == 3)
    assert following.error is None


def test_what_was_aborted_is_never_read(sqlite_store, topic):
    topic.put(*of(told(FIRM, 3)), marker(5_000), abort=True)
    topic.put(*of(told(OTHER, 3)), marker(6_000))
    with Following(sqlite_store, topic.settings):
        until(lambda: as_of(sqlite_store) == {0: 6_000})
    assert cases(sqlite_store) == [(OTHER, "C-1")]


def test_a_second_start_goes_on_and_takes_back_nothing(sqlite_store, topic):
    topic.put(*of(told(FIRM, 3)), marker(5_000))
    with Following(sqlite_store, topic.settings):
        until(lambda: as_of(sqlite_store) == {0: 5_000})
    topic.put(*of(told(OTHER, 3)), marker(6_000))
    with Following(sqlite_store, topic.settings):
        until(lambda: as_of(sqlite_store) == {0: 6_000})
        assert cases(sqlite_store) == [(FIRM, "C-1"), (OTHER, "C-1")]


def test_large_snapshots_come_in_parts_and_too_large_ones_are_told(sqlite_store, topic, monkeypatch):
    parts = of(told(FIRM, 3), part_bytes=500)
    assert len(parts) > 2
    topic.put(*parts, marker(5_000))
    with Following(sqlite_store, topic.settings):
        until(lambda: cases(sqlite_store) == [(FIRM, "C-1")])
        monkeypatch.setattr(statetail, "MAX_BYTES", 1_000)
        topic.put(*of(told(FIRM, 4), part_bytes=500), marker(6_000))
        until(lambda: facilities(sqlite_store)[FIRM].fault)
        assert cases(sqlite_store) == [(FIRM, "C-1")]  # as of the older one


def test_what_is_forgotten_vanishes_by_its_row_or_by_the_roster(store, topic):
    topic.put(*of(told(FIRM, 3)), *of(told(OTHER, 3)), *of(told("BJ-DUE-0003", 3)), marker(5_000))
    with Following(store, topic.settings):
        until(lambda: len(cases(store)) == 3)
        topic.put((FIRM.encode(), None), marker(6_000))
        until(lambda: cases(store) == [(OTHER, "C-1"), ("BJ-DUE-0003", "C-1")])
        topic.put(roster(OTHER), marker(7_000))  # the row that forgot the other was compacted before it was read
        until(lambda: cases(store) == [(OTHER, "C-1")])
        topic.put(*of(told(FIRM, 3)), roster(FIRM, OTHER), marker(8_000))
        until(lambda: cases(store) == [(FIRM, "C-1"), (OTHER, "C-1")])


def test_a_quarantined_facility_is_marked_until_it_is_released(sqlite_store, topic):
    note = Quarantine(facility=FIRM, partition=0, begin=1, base=PartitionState(), offset=1, deaths=3, since=0)
    key = f"quarantine-{FIRM}".encode()
    topic.put(*of(told(FIRM, 3)), (key, encode_note(note)), marker(5_000))
    with Following(sqlite_store, topic.settings):
        until(lambda: FIRM in facilities(sqlite_store) and facilities(sqlite_store)[FIRM].held)
        topic.put((key, None), marker(6_000))
        until(lambda: not facilities(sqlite_store)[FIRM].held)


def test_a_bad_snapshot_is_told_and_the_next_good_one_heals_it(sqlite_store, topic):
    topic.put(*of(told(FIRM, 3)), marker(5_000))
    with Following(sqlite_store, topic.settings):
        until(lambda: cases(sqlite_store) == [(FIRM, "C-1")])
        topic.put((FIRM.encode(), b"nonsense", [("part", b"0/1")]), marker(6_000))
        until(lambda: facilities(sqlite_store)[FIRM].fault == "not a facility snapshot")
        topic.put(*of(told(FIRM, 3)), marker(7_000))
        until(lambda: facilities(sqlite_store)[FIRM].fault is None)
        assert cases(sqlite_store) == [(FIRM, "C-1")]


class TestPacks:
    """A checkpoint writes packs behind the snapshots that name them."""

    ROW = (packs_key(CLOCKS.sha256), CLOCKS.to_record().model_dump_json().encode())

    def test_a_snapshot_waits_for_its_packs(self, store, topic):
        topic.put(*of(told(FIRM, 3), CLOCKS), marker(5_000))
        topic.put(*of(told(OTHER, 3)), marker(5_500, 1), partition=1)
        with Following(store, topic.settings):
            until(lambda: as_of(store) == {1: 5_500})
            assert cases(store) == [(OTHER, "C-1")]  # what waits says nothing, and nothing is said of how new it is
            assert 0 not in offsets(store)
            topic.put(self.ROW, marker(6_000))
            until(lambda: as_of(store) == {0: 6_000, 1: 5_500})
            assert cases(store) == [(FIRM, "C-1"), (OTHER, "C-1")]
        with store.reading() as session:
            assert journal.bundle(session, CLOCKS.sha256) is not None

    def test_after_a_restart_it_is_read_again_and_packs_that_were_met_are_known(self, sqlite_store, topic):
        topic.put(*of(told(FIRM, 3), CLOCKS), marker(5_000))
        topic.put(marker(5_500, 1), partition=1)
        with Following(sqlite_store, topic.settings):
            until(lambda: as_of(sqlite_store) == {1: 5_500})
        topic.put(self.ROW, marker(6_000))
        with Following(sqlite_store, topic.settings):
            until(lambda: cases(sqlite_store) == [(FIRM, "C-1")])
        topic.put(*of(told(OTHER, 3), CLOCKS), marker(7_000))
        with Following(sqlite_store, topic.settings):
            until(lambda: (OTHER, "C-1") in cases(sqlite_store))

    def test_packs_that_come_by_another_partition_let_it_go_on(self, sqlite_store, topic):
        topic.put(*of(told(FIRM, 3), CLOCKS), marker(5_000))
        topic.put(marker(5_500, 1), partition=1)
        with Following(sqlite_store, topic.settings):
            until(lambda: as_of(sqlite_store) == {1: 5_500})
            topic.put(self.ROW, marker(6_000, 1), partition=1)
            until(lambda: as_of(sqlite_store) == {0: 5_000, 1: 6_000})
        assert cases(sqlite_store) == [(FIRM, "C-1")]
        assert sorted(offsets(sqlite_store)) == [0, 1]

    def test_more_than_may_wait_is_told(self, sqlite_store, topic, monkeypatch):
        monkeypatch.setattr(clock_follower, "MAX_WAITING", 10)
        topic.put(*of(told(FIRM, 3), CLOCKS), marker(5_000))
        with Following(sqlite_store, topic.settings):
            until(lambda: FIRM in facilities(sqlite_store))
        assert facilities(sqlite_store)[FIRM].fault == f"its packs {CLOCKS.sha256[:12]} are not known"


class TestTopicsThatChange:
    def test_one_that_cannot_be_verified_is_read_again_from_its_beginning(self, sqlite_store, topic):
        topic.put(*of(told(FIRM, 3)), *of(told(OTHER, 3)), marker(5_000))
        with Following(sqlite_store, topic.settings):
            until(lambda: as_of(sqlite_store) == {0: 5_000})
        with sqlite_store.writing() as session:  # another record stood there, or it is compacted by now
            for row in session.scalars(select(ConsumerOffset)):
                row.tail_ms = 1
            session.execute(DeadlineRow.__table__.delete())
            session.execute(DeadlineFacility.__table__.delete())
        with Following(sqlite_store, topic.settings):
            until(lambda: cases(sqlite_store) == [(FIRM, "C-1"), (OTHER, "C-1")])

    def test_one_that_was_made_anew_is_read_from_its_beginning(self, sqlite_store, topic):
        topic.put(*of(told(FIRM, 3)), roster(FIRM), marker(5_000))
        with Following(sqlite_store, topic.settings):
            until(lambda: as_of(sqlite_store) == {0: 5_000})
        name = topic.settings.topic(STATE)
        with admin_client(topic.settings) as client:
            client.delete_topics([name])
            until(lambda: name not in client.list_topics())
            client.create_topics({name: {"num_partitions": topic.settings.partitions, "replication_factor": 1}})
        topic.put(*of(told(OTHER, 3)), roster(OTHER), marker(6_000))
        with Following(sqlite_store, topic.settings):
            until(lambda: cases(sqlite_store) == [(OTHER, "C-1")])

    def test_another_cluster_is_refused(self, sqlite_store, topic):
        with sqlite_store.writing() as session:
            session.add(ConsumerOffset(
                consumer="desk-clocks", topic=STATE, partition=0, next_offset=0, cluster="other", tail_ms=None,
            ))  # fmt: skip
        with Following(sqlite_store, topic.settings, may_die=True) as following:
            until(lambda: following.error is not None)
        assert isinstance(following.error, ClusterError)


def test_two_desks_on_one_store_share_the_work(store, topic):
    names = [f"BJ-DUE-{n:04d}" for n in range(60)]
    with Following(store, topic.settings) as one, Following(store, topic.settings) as other:
        for n, name in enumerate(names):
            topic.put(*of(told(name, 3)), marker(1_000 + n, n % 3), partition=n % 3)
        until(lambda: len(cases(store)) == 60, 120)
        until(lambda: as_of(store) == {0: 1_057, 1: 1_058, 2: 1_059})
        assert (one.error, other.error) == (None, None)
    assert cases(store) == [(name, "C-1") for name in names]


def test_many_facilities_are_written_some_at_a_time(sqlite_store, topic, monkeypatch):
    monkeypatch.setattr(clock_follower, "AT_ONCE", 7)
    names = [f"BJ-DUE-{n:04d}" for n in range(40)]
    topic.put(*(row for name in names for row in of(told(name, 3))), roster(*names), marker(5_000))
    with Following(sqlite_store, topic.settings):
        until(lambda: as_of(sqlite_store) == {0: 5_000})
    assert cases(sqlite_store) == [(name, "C-1") for name in names]


def test_offsets_follow_what_is_written(sqlite_store, topic):
    topic.put(*of(told(FIRM, 3)), marker(5_000))
    with Following(sqlite_store, topic.settings) as following:
        until(lambda: as_of(sqlite_store) == {0: 5_000})
        consumer = following.follower._consumer()
        (end,) = consumer.end_offsets([TopicPartition(topic.settings.topic(STATE), 0)]).values()
        consumer.close()
    assert offsets(sqlite_store) == {0: end - 1}  # behind it stands the transaction's own mark


def test_a_kafka_that_does_not_let_it_read_is_told_to_operators_once(sqlite_store, topic, monkeypatch, caplog):
    topic.put(*of(told(FIRM, 3)), marker(5_000))
    with Following(sqlite_store, topic.settings) as following:
        until(lambda: as_of(sqlite_store) == {0: 5_000})
        follow, refused = following.follower._follow, threading.Event()

        def denied(*arguments):
            if refused.is_set():
                raise TopicAuthorizationFailedError({topic.settings.topic(STATE)})
            follow(*arguments)

        def codes():
            with sqlite_store.reading() as session:
                return [row.code for row in open_alarms(session)]

        monkeypatch.setattr(following.follower, "_follow", denied)
        refused.set()
        monkeypatch.setattr(following.follower, "_store_batch", lambda *_: denied())
        topic.put(marker(6_000))
        until(lambda: codes() == [UNREAD])
        time.sleep(0.5)
        assert sum("trying again" in record.message for record in caplog.records) == 1
        monkeypatch.undo()
        refused.clear()
        until(lambda: codes() == [] and as_of(sqlite_store) == {0: 6_000})
