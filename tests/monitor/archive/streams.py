"""Streams of changes in an archive and at a desk, and the commands that look at both."""

from __future__ import annotations

import pytest
from kafka.partitioner.default import murmur2

from monitor.alarms.incoming import Incoming
from monitor.alarms.projection import apply_batch
from monitor.archive.changes import ArchivedChanges
from monitor.cli import main
from rules.canonical import canonical_bytes
from streams.topics import ALARMS
from tests.monitor.alarms.changes import change
from tests.monitor.archive.making import Archive, published
from tests.monitor.archive.test_archive_property import cut_all

LOT = "lot:B2601"


def home(stream, partitions=3):
    """Where Kafka's partitioner puts a stream."""
    return (murmur2(stream.encode()) & 0x7FFFFFFF) % partitions


def life(stream="A1", count=12, begin=1):
    facility = stream if ":" not in stream else "F1"
    return [
        change(seq, "raised" if seq == 1 else "amended", stream=facility).model_copy(update={"stream": stream})
        for seq in range(begin, begin + count)
    ]


def line(item):
    return canonical_bytes(item.to_json(source=False)) + b"\n"


def archive_of(store, folder):
    """An empty archive of changes, ready to be written."""
    made = Archive(store, folder, topic=ALARMS)
    made.begin(3)
    return made


def neighbour(stream):
    """Another stream of the same partition."""
    return next(f"N{n}" for n in range(1_000) if home(f"N{n}") == home(stream))


def caller(archive, store_url, monkeypatch, capsys):
    """Return what calls `offsite archive`: exit code, standard output and error."""
    monkeypatch.setenv("OFFSITE_STORE_URL", store_url)
    monkeypatch.setenv("OFFSITE_ARCHIVER_FOLDER", str(archive.folder))

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["archive", *map(str, arguments)])
        return end.value.code, *capsys.readouterr()

    return call


def put(archive, stream, changes, offset=0, *, cut=False, **more):
    archive.write(home(stream), published(changes, offset, **more), (4,))
    if cut:
        cut_all(archive)


def at_desk(store, changes):
    records = [Incoming(home(c.stream), n, c.model_dump_json().encode()) for n, c in enumerate(changes)]
    with store.writing() as session:
        apply_batch(session, records, 1)


def opened(archive):
    return ArchivedChanges(archive.store, archive.folder)
