"""A follower at work: in a thread of the test, or in a process of its own that can be killed. Run: python -m … URL BOOTSTRAP PREFIX."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from kafka import KafkaProducer
from sqlalchemy import select

from monitor.desk import follower as module
from monitor.desk.figures import Figures
from monitor.desk.follower import ChangeFollower
from monitor.store.desk_tables import AlarmRow, ChangeRow, LiveRow, StreamRow
from monitor.store.session import Store
from streams.settings import KafkaSettings
from streams.topics import ALARMS
from tests.monitor.alarms.changes import change
from tests.monitor.desk.threads import InThread

ROOT = Path(__file__).parents[3]


def clock():
    return time.time_ns() // 1_000_000


class Running(InThread):
    """The follower of changes, as the desk runs it."""

    def __init__(self, store, settings):
        self.woken, self.figures = threading.Event(), Figures()
        super().__init__(ChangeFollower(store, settings, clock_ms=clock, figures=self.figures, on_live=self.woken.set))
        self.watch = self.follower.watch


def following(url, settings):
    """Start a follower as a process."""
    command = [sys.executable, "-m", __name__, url, settings.bootstrap, settings.topic_prefix]
    return subprocess.Popen(command, cwd=ROOT)


def publish(settings, changes):
    producer = KafkaProducer(**settings.for_kafka_python(), acks="all", linger_ms=5)
    for item in changes:
        producer.send(settings.topic(ALARMS), key=item.stream.encode(), value=item.model_dump_json().encode())
    producer.flush()
    producer.close()


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return value


def lives(streams, count, begin=1):
    """Changes of several streams, interleaved: each raises an alarm with every tenth change."""
    return [
        change(seq, "raised" if seq % 10 == 1 else "amended", stream=name, start=1_000_000 + (seq - 1) // 10 * 60_000)
        for seq in range(begin, begin + count)
        for name in streams
    ]


def reached(store, streams, seq):
    """Say whether all streams have been applied up to a seq."""
    with store.reading() as session:
        rows = {row.stream: row.last_seq for row in session.scalars(select(StreamRow))}
    return all(rows.get(name) == seq for name in streams)


def whole(store, changes):
    """Fail unless the rows are exactly these changes, each applied once, each told once."""
    with store.reading() as session:
        kept = {
            (r.stream, r.seq): r.alarm
            for r in session.execute(select(ChangeRow.stream, ChangeRow.seq, ChangeRow.alarm))
        }
        told = session.execute(select(LiveRow.id, LiveRow.facility, LiveRow.revision).order_by(LiveRow.id)).all()
        counted = sum(session.scalars(select(AlarmRow.changes)))
    assert kept == {(c.stream, c.seq): c.alarm for c in changes}
    assert [row.id for row in told] == list(range(1, len(changes) + 1))
    assert {(row.facility, row.revision) for row in told} == set(kept)
    assert counted == len(changes)
    for name in {c.stream for c in changes}:
        revisions = [row.revision for row in told if row.facility == name]
        assert revisions == sorted(revisions)


def main():
    url, bootstrap, prefix = sys.argv[1:]
    module.BATCH = 20  # many transactions, so that a kill finds one open
    settings = KafkaSettings(bootstrap=bootstrap, partitions=3, topic_prefix=prefix)
    ChangeFollower(Store(url), settings, clock_ms=clock, figures=Figures()).run(threading.Event())


if __name__ == "__main__":
    main()
