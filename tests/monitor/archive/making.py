"""Records, and an archive of them without Kafka: the writer and the store are the real ones."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from monitor.archive.chunkfile import HOUR_MS, RawRecord
from monitor.archive.lease import Tenancy
from monitor.archive.pending import Pending
from monitor.archive.source import Ends
from monitor.archive.takeover import begin
from monitor.archive.writer import Writer
from streams.codec import encode, key_of
from streams.topics import LOG

if TYPE_CHECKING:
    from rules.records import LogRecord

CLUSTER = "cluster-of-the-tests"


class Clock:
    def __init__(self, now_ms=1_800_000_000_000):
        self.now_ms = now_ms

    def __call__(self):
        return self.now_ms


def raw(record: LogRecord, offset: int | None = None) -> RawRecord:
    """A log record as the broker would hand it out."""
    headers, value = encode(record.payload)
    named = [(name.encode(), content) for name, content in headers]
    return RawRecord(record.offset if offset is None else offset, record.received, 1, key_of(record), named, value)


class Archive:
    """An archive under construction: one archiver's parts, driven by the test."""

    def __init__(self, store, folder, clock=None, holder="a", grace_ms=600_000, topic=LOG):
        self.store, self.folder, self.clock = store, folder, clock or Clock()
        self.tenancy = Tenancy("archiver", holder, 15_000, self.clock)
        self.writer = Writer(store, folder, self.tenancy, self.clock, grace_ms)
        self.pending: dict[int, Pending] = {}
        self.topic = topic

    def begin(self, partitions=3, begins=0, ends=1 << 60):
        """Take the lease; returns what was lost. `begins`: where Kafka's partitions begin now."""
        places = {
            (self.topic, p): Ends(begins if isinstance(begins, int) else begins.get(p, 0), ends)
            for p in range(partitions)
        }
        offsets, lost = begin(self.store, self.tenancy, CLUSTER, places, self.clock())
        self.pending = {p: Pending(CLUSTER, self.topic, p, o, o) for (_, p), o in offsets.items()}
        return lost

    def read(self, partition, records, behind=None):
        for record in records:
            self.pending[partition].add(record, 0.0)
        if behind is not None:
            self.pending[partition].passed(behind)

    def flush(self, partition=None):
        parts = [p for n, p in self.pending.items() if p.next > p.base and partition in {None, n}]
        return self.writer.flush(parts)

    def write(self, partition, records, sizes=(1 << 30,)):
        """Archive records in flushes of these sizes, round and round."""
        waiting = list(records)
        for size in itertools.cycle(sizes):
            if not waiting:
                return
            self.read(partition, waiting[:size])
            self.flush()
            waiting = waiting[size:]


def story(partition=0, offset=0, **more):
    """A small log with a story, all of one hour but for its register record."""
    from tests.coldlog import excursion

    return [raw(record) for record in excursion(partition=partition, offset=offset, **more).records]


def published(changes, offset=0, hour=495_000, step=1):
    """Changes as the broker would hand them out, `step` offsets apart, five of them an hour."""
    return [
        RawRecord(
            offset + number * step, (hour + number // 5) * HOUR_MS + number, 0, change.stream.encode(), [],
            change.model_dump_json().encode(),
        )
        for number, change in enumerate(changes)
    ]  # fmt: skip


def at_hours(records, hours):
    """Move records to hours of receive time: one number per record."""
    base = records[0].timestamp // HOUR_MS * HOUR_MS
    return [
        RawRecord(r.offset, base + hour * HOUR_MS + 1000 * number, r.timestamp_type, r.key, r.headers, r.value)
        for number, (r, hour) in enumerate(zip(records, hours, strict=True))
    ]


def in_partition(records, partition):
    return [replace(record, partition=partition) for record in records]


names = st.binary(max_size=8)
keys = st.one_of(st.none(), st.binary(max_size=12), st.sampled_from([b"BJ-ONE", b"BJ-TWO", b"X9"]))
values = st.one_of(st.none(), st.binary(max_size=200))
headers = st.lists(st.tuples(names, st.one_of(st.none(), st.binary(max_size=8))), max_size=3)
kinds = st.sampled_from([[(b"kind", b"tick"), (b"v", b"1")], [(b"kind", b"report"), (b"v", b"1")], []])


@st.composite
def raw_logs(draw, hours=3):
    """One partition's records: rising offsets with holes, hours that mostly rise, keys and bytes of any kind."""
    found = []
    offset = draw(st.integers(0, 5))
    hour = 495_000
    for _ in range(draw(st.integers(1, 40))):
        hour = max(495_000, min(495_000 + hours - 1, hour + draw(st.sampled_from([0, 0, 0, 0, 1, -1]))))
        timestamp = hour * HOUR_MS + draw(st.integers(0, HOUR_MS - 1))
        found.append(RawRecord(offset, timestamp, 1, draw(keys), [*draw(kinds), *draw(headers)], draw(values)))
        offset += draw(st.sampled_from([1, 1, 1, 2, 7]))
    return found
