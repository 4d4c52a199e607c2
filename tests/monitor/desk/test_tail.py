"""What stands where the newest record was read: asked of a consumer that gives it, does not, or never answers."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

from monitor.archive import source as archive
from monitor.archive.source import Source
from monitor.desk import follower as module
from streams.admin import BrokerDownError
from streams.settings import KafkaSettings
from streams.topics import ALARMS, LOG

PLACE = TopicPartition("t", 0)


@dataclass
class Record:
    offset: int
    timestamp: int = 7
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_type: int = 1


class Consumer:
    """Gives batches one by one; behind them its position is `last`. Of `None` the position is not known yet."""

    def __init__(self, batches, last):
        self.batches, self.last, self.at, self.paused, self.assigned = list(batches), last, None, set(), []

    def partitions_for_topic(self, _):
        return {0, 1}

    def assign(self, places):
        self.assigned = places

    def pause(self, *places):
        self.paused |= set(places)

    def resume(self, *places):
        self.paused -= set(places)

    def seek(self, place, offset):
        self.place, self.at = place, offset

    def position(self, place, timeout_ms=None):
        assert place == self.place
        assert timeout_ms is not None
        return self.at

    def poll(self, timeout_ms=None, max_records=None):
        assert timeout_ms is not None
        assert max_records is not None
        batch = self.batches.pop(0) if self.batches else []
        self.at = batch[-1].offset + 1 if batch else self.last
        return {self.place: batch} if batch else {}


def desk(consumer, offset=4, end=9):
    return module._first_from(consumer, PLACE, offset, end)


def archiver(consumer, offset=4, end=9):
    found = Source(KafkaSettings(partitions=2), consumer).first_from((LOG, 0), offset, end)
    assert not consumer.paused
    return None if found is None else (found.offset, found.timestamp)


@pytest.fixture(params=[desk, archiver])
def ask(request, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_MS", 50)
    monkeypatch.setattr(archive, "TIMEOUT_MS", 50)
    return request.param


def test_the_record_asked_for_is_found_and_none_before_it(ask):
    assert ask(Consumer([[Record(3), Record(4)], [Record(5)]], 9)) == (4, 7)


def test_a_later_one_is_told_where_none_stands(ask):
    assert ask(Consumer([[], [Record(6)]], 4)) == (6, 7)


def test_nothing_is_there_where_only_aborted_records_were(ask):
    assert ask(Consumer([], 9)) is None


def test_a_position_that_is_not_known_yet_is_asked_for_again(ask):
    assert ask(Consumer([[], [Record(4)]], None)) == (4, 7)


def test_a_broker_that_gives_nothing_is_waited_for_no_longer_than_said(ask):
    with pytest.raises((KafkaTimeoutError, BrokerDownError), match="Kafka gives nothing from offset 4 on"):
        ask(Consumer([], 4))


def test_one_partition_alone_is_looked_at():
    consumer = Consumer([[Record(4)]], 9)
    assert desk(consumer) == (4, 7)
    assert consumer.assigned == [PLACE]


def row(next_offset, tail_ms):
    return SimpleNamespace(next_offset=next_offset, tail_ms=tail_ms)


@pytest.mark.parametrize(
    ("stand", "span"),
    [(row(5, None), (0, 9)), (row(5, 7), (5, 9)), (row(10, 7), (0, 9)), (row(5, 7), None)],
    ids=["nobody knows it", "retention took it", "the topic ends before", "the partition is gone"],
)
def test_nothing_is_said_of_what_cannot_be_compared(sqlite_store, stand, span):
    follower = module.ChangeFollower(
        sqlite_store, KafkaSettings(partitions=1), clock_ms=lambda: 0, figures=SimpleNamespace()
    )
    spans = {} if span is None else {0: span}
    assert follower._regrown(None, {0: stand}, spans) == {}


def test_what_stands_there_now_is_named(sqlite_store):
    settings = KafkaSettings(partitions=1)
    follower = module.ChangeFollower(sqlite_store, settings, clock_ms=lambda: 0, figures=SimpleNamespace())
    assert follower._topic == settings.topic(ALARMS)

    def told(batch, at=7):
        return follower._regrown(Consumer([batch], 9), {0: row(5, at)}, {0: (0, 9)})

    assert told([Record(4)]) == {}
    assert told([Record(4)], at=8)[0].endswith(
        "was read, and another stands there now, appended at 1970-01-01T00:00:00.007Z"
    )
    assert told([Record(5)])[0].endswith("was read, and none stands there now")
    assert told([])[0].startswith("the record at offset 4, appended at 1970-01-01T00:00:00.007Z")
