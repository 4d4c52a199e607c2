"""What the follower of snapshots makes of what it polled, without Kafka: what is written when, and what is kept back."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from kafka import TopicPartition
from kafka.errors import TopicAuthorizationFailedError
from sqlalchemy import select

from monitor.alarms.operators import open_alarms
from monitor.deadlines.snapshots import Reader
from monitor.desk import clock_follower
from monitor.desk.clock_follower import UNREAD, ClockFollower
from monitor.desk.figures import Figures
from monitor.desk.offsets import MovedError
from monitor.desk.standing import Standing
from monitor.store.session import StoreDownError
from monitor.store.tables import ConsumerOffset
from streams.settings import KafkaSettings
from tests.monitor.deadlines.listed import snapshot, told
from tests.monitor.desk.test_clock_follower import as_of, cases, facilities, marker, of, offsets, roster
from tests.rules.duelogs import CLOCKS, FIRM

OTHER = "BJ-DUE-0002"


class Bench:
    """A follower whose polls the test makes."""

    def __init__(self, store):
        self.store, self.now, self.figures = store, 1_000_000, Figures()
        self.follower = ClockFollower(store, KafkaSettings(), clock_ms=lambda: self.now, figures=self.figures)
        self.next = {}

    def poll(self, *rows, partition=0):
        """Let it take rows (key, value, headers); offsets go on by one."""
        begin = self.next.get(partition, 0)
        records = [
            SimpleNamespace(key=key, value=value, headers=headers[0] if headers else [], offset=begin + i, timestamp=5)
            for i, (key, value, *headers) in enumerate(rows)
        ]
        self.next[partition] = begin + len(records)
        self.follower._store_batch({TopicPartition("t", partition): records}, "c", threading.Event())

    def codes(self):
        with self.store.reading() as session:
            return [row.code for row in open_alarms(session)]

    def refused(self):
        self.follower._wait(Standing.BROKER_AWAY, TopicAuthorizationFailedError({"t"}), threading.Event())


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(clock_follower, "RETRY_S", 0)


@pytest.fixture
def bench(sqlite_store):
    return Bench(sqlite_store)


def test_offsets_alone_are_written_now_and_then_and_a_list_at_once(bench):
    bench.poll(*of(told(FIRM, 3)), marker(5_000))
    assert (cases(bench.store), as_of(bench.store), offsets(bench.store)) == ([(FIRM, "C-1")], {0: 5_000}, {0: 2})
    bench.now += 4_999
    bench.poll(marker(6_000))
    assert (as_of(bench.store), offsets(bench.store)) == ({0: 5_000}, {0: 2})
    bench.now += 1
    bench.poll(marker(7_000))
    assert (as_of(bench.store), offsets(bench.store)) == ({0: 7_000}, {0: 4})


def test_a_snapshot_that_is_not_whole_yet_holds_its_partition_back(bench):
    parts = of(told(FIRM, 3), part_bytes=500)
    bench.poll(marker(4_000), *of(told(OTHER, 3)), parts[0])
    assert cases(bench.store) == [(OTHER, "C-1")]
    assert (as_of(bench.store), offsets(bench.store)) == ({}, {})
    bench.poll(*parts[1:], marker(5_000))
    assert cases(bench.store) == [(FIRM, "C-1"), (OTHER, "C-1")]
    assert (as_of(bench.store), offsets(bench.store)) == ({0: 5_000}, {0: 3 + len(parts)})


@pytest.mark.parametrize("at_once", [1, 2, 25])
def test_a_roster_of_a_checkpoint_before_takes_nobody_away_who_came_behind_it(bench, monkeypatch, at_once):
    monkeypatch.setattr(clock_follower, "AT_ONCE", at_once)
    names = [f"BJ-DUE-{n:04d}" for n in range(5)]
    bench.poll(roster(names[0]), *(row for name in names for row in of(told(name, 3))))
    assert [name for name, _ in cases(bench.store)] == names
    bench.poll(roster(*names[:4]))
    assert [name for name, _ in cases(bench.store)] == names[:4]


def test_of_many_snapshots_of_a_facility_the_newest_is_read(bench, monkeypatch):
    read, seen = Reader.read, []
    monkeypatch.setattr(Reader, "read", lambda self, name, *rest: seen.append(name) or read(self, name, *rest))
    bench.poll(*of(told(FIRM, 3)), *of(told(FIRM, 4, "C-4")), *of(told(FIRM, 5, "C-5")))
    assert (cases(bench.store), seen) == ([(FIRM, "C-5")], [FIRM])


def test_a_stop_leaves_what_was_polled_to_the_next_start(bench):
    stop = threading.Event()
    stop.set()
    record = SimpleNamespace(
        offset=0, timestamp=5, **dict(zip(("key", "value", "headers"), of(told(FIRM, 3))[0], strict=True))
    )
    bench.follower._store_batch({TopicPartition("t", 0): [record]}, "c", stop)
    assert (cases(bench.store), offsets(bench.store)) == ([], {})


def test_another_desk_that_has_read_on_ends_the_turn(bench, monkeypatch):
    bench.poll(*of(told(FIRM, 3)), marker(5_000))
    with bench.store.writing() as session:
        session.scalars(select(ConsumerOffset)).one().next_offset = 9
    for at_once in (25, 1):
        monkeypatch.setattr(clock_follower, "AT_ONCE", at_once)
        with pytest.raises(MovedError):
            bench.poll(*of(told(OTHER, 3)), *of(told("BJ-DUE-0003", 3)), marker(6_000))
    assert cases(bench.store) == [(FIRM, "C-1")]


def test_a_store_that_is_away_says_nothing_of_a_snapshot():
    def away(_):
        raise StoreDownError("sqlite://", RuntimeError("gone"))

    with pytest.raises(StoreDownError):
        Reader(away).read(FIRM, snapshot(told(FIRM, 3), CLOCKS), "")


def test_operators_are_told_once_that_it_may_not_read_and_when_it_may(bench, caplog):
    for _ in range(3):
        bench.refused()
    assert bench.codes() == [UNREAD]
    assert sum("trying again" in record.message for record in caplog.records) == 1
    bench.poll(marker(5_000))
    assert bench.codes() == []
    bench.refused()
    assert bench.codes() == [UNREAD]
    again = Bench(bench.store)  # the desk is started anew, with the rights that it needs
    again.poll(marker(6_000), partition=1)
    assert again.codes() == []


def test_clocks_are_counted_for_operators(bench):
    def counted():
        return bench.figures.registry.get_sample_value("offsite_desk_deadlines")

    bench.poll(*of(told(FIRM, 3)), *of(told(OTHER, 3)))
    assert counted() == 2
    bench.now += 5_000
    bench.poll(marker(5_000))
    assert counted() == 2
    bench.poll((FIRM.encode(), None))
    assert (counted(), list(facilities(bench.store))) == (1, [OTHER])
