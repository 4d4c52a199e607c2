"""The seam into kafka-python: header names of any bytes, the checksum in C, and that both are still needed."""

from __future__ import annotations

import pytest
from kafka.errors import CorruptRecordError
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

from monitor.archive.chunkfile import raw_of
from streams import batches
from streams.dump import open_log
from streams.topics import LOG
from tests.monitor.archive.making import Archive
from tests.monitor.archive.running import archived, archiving, producing, until
from tests.monitor.archive.test_archive_kafka import in_archive
from tests.monitor.archive.test_archive_property import cut_all, read_back

BYTES = b"\xff\xfe\x00kind"


class Foreign(str):
    """A header name that the producer sends as other bytes than any text has."""

    __slots__ = ()

    def encode(self, *_, **__):
        return BYTES


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    monkeypatch.setattr(memory_records, "DefaultRecordBatch", DefaultRecordBatch)


def batch(compression):
    """Three records of one batch, the middle one with a name that is no UTF-8."""
    builder = MemoryRecordsBuilder(magic=2, compression_type=compression, batch_size=10_000)
    for number in range(3):
        headers = [("kind", b"x"), (Foreign("f"), b"\x00"), ("名", None)] if number == 1 else [("kind", b"y")]
        builder.append(timestamp=5, key=b"k", value=b"v%d" % number, headers=headers)
    builder.close()
    return MemoryRecords(builder.buffer()).next_batch


@pytest.mark.parametrize("compression", [0, 1, 4], ids=["plain", "gzip", "zstd"])
def test_every_record_of_the_batch_comes_whole(compression):
    with pytest.raises(CorruptRecordError):  # if this is gone, so may the seam
        list(batch(compression)())
    batches.install()
    batches.install()
    found = [raw_of(record) for record in batch(compression)()]
    assert [record.value for record in found] == [b"v0", b"v1", b"v2"]
    assert found[0].headers == [(b"kind", b"y")]
    assert found[1].headers == [(b"kind", b"x"), (BYTES, b"\x00"), ("名".encode(), None)]


@pytest.mark.parametrize("place", [30, 61, 70, -1])
def test_a_flipped_byte_is_seen_by_the_checksum_in_c_as_by_the_one_in_python(place):
    plain, ours = batch(0)(), batch(0)()
    ours = batches.LenientBatch(bytes(ours._buffer))
    assert plain.validate_crc()
    assert ours.validate_crc()
    broken = bytearray(plain._buffer)
    broken[place] ^= 1
    assert not DefaultRecordBatch(bytes(broken)).validate_crc()
    assert not batches.LenientBatch(bytes(broken)).validate_crc()


def test_the_checksum_in_c_is_still_needed():
    from kafka.record import util

    assert util.crc32c_c is None  # with the package `crc32c`, kafka-python is as fast by itself
    assert batches.calc_crc32c(b"123456789") == 0xE3069283


def test_a_batch_that_is_broken_otherwise_is_still_refused():
    batches.install()
    broken = batch(0)()
    broken._buffer = broken._buffer[:-3]
    with pytest.raises(CorruptRecordError):
        list(broken)


def test_such_a_record_is_archived_and_stops_nobody(store, kafka_settings, tmp_path):
    with producing(kafka_settings) as producer:
        for headers in ([("kind", b"x")], [(Foreign("f"), b"\x00"), ("v", b"1")], []):
            producer.send(kafka_settings.topic(LOG), value=b"v", key=b"BJ-ONE", headers=headers, partition=1)
        producer.flush()
        with archiving(store, kafka_settings, tmp_path / "archive") as worker:
            until("archive of all", lambda: archived(store, kafka_settings), alive=lambda: not worker.failed)
    found = [raw for _, raw in in_archive(store, tmp_path / "archive", LOG)]
    assert [record.headers for record in found] == [[(b"kind", b"x")], [(BYTES, b"\x00"), (b"v", b"1")], []]
    with open_log(kafka_settings, kafka_settings.topic(LOG)) as log:
        assert [raw_of(raw) for raw in log.raw((1, 0, 3))] == found
    archive = Archive(store, tmp_path / "archive", holder="after")
    with store.writing() as session:
        archive.tenancy.take(session)
    cut_all(archive)
    assert read_back(store, tmp_path / "archive", 1) == found
