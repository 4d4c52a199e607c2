"""Files and transactions: a crash at any step counts for nothing, a writer that lost its lease writes nothing."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import struct
from dataclasses import replace

import msgspec
import pytest
import zstandard
from sqlalchemy import func, select, update

from monitor.archive import chunkfile, index, writer
from monitor.archive.chunkfile import (
    ALL,
    HOUR_MS,
    ChunkBuilder,
    ChunkDamagedError,
    Place,
    RawRecord,
    open_chunk,
    path_of,
    write_files,
)
from monitor.archive.lease import LeaseHeldError
from monitor.archive.reader import ArchiveReader
from monitor.archive.verify import verify
from monitor.archive.writer import MovedError
from monitor.store.tables import ArchiveChunk, ArchiveWaste, ConsumerOffset, Lease
from streams.topics import LOG
from tests.monitor.archive.making import CLUSTER, Archive, at_hours, story
from tests.monitor.archive.test_archive_property import cut_all, final_files, read_back

PLACE = Place(CLUSTER, LOG, 3, "BJ-ONE", 495_000 * HOUR_MS)


class CrashError(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "archive"


@pytest.fixture
def log():
    return at_hours(story(), [0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2])


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


STEPS = {
    "before the files are named as waste": (index, "add_waste"),
    "before the files are written": (writer, "write_files"),
    "between writing and renaming": (chunkfile.os, "fsync"),
    "before the folders are synced": (chunkfile, "_sync_folder"),
    "before they are named in the index": (index, "add_chunks"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("work", ["flush", "cut"])
def test_a_crash_at_any_step_leaves_what_was_and_the_next_archiver_ends_the_work(
    store, folder, log, step, work, monkeypatch
):
    archive = Archive(store, folder)
    archive.begin(1)
    archive.write(0, log[:8], (3,))
    if work == "flush":
        archive.read(0, log[8:])
    before = read_back(store, folder)

    def crash(*_, **__):
        raise CrashError

    with monkeypatch.context() as patch:
        patch.setattr(*STEPS[step], crash)
        with pytest.raises(CrashError):
            archive.flush() if work == "flush" else cut_all(archive)
    assert read_back(store, folder) == before
    assert verify(store, folder).faults == []
    assert verify(store, folder).leftovers == []  # what lies there is known as waste

    archive.clock.now_ms += 20_000
    successor = Archive(store, folder, archive.clock, holder="b")
    successor.begin(1)
    successor.write(0, [record for record in log if record.offset >= successor.pending[0].base])
    cut_all(successor)
    successor.clock.now_ms += 700_000
    successor.writer.clean()
    assert read_back(store, folder) == log
    assert files_of(folder) == final_files(store)
    with store.reading() as session:
        assert session.scalar(select(func.count()).select_from(ArchiveWaste)) == 0


@pytest.mark.parametrize("work", ["flush", "cut", "clean", "renew"])
def test_a_writer_that_lost_its_lease_changes_nothing(store, folder, log, work):
    frozen = Archive(store, folder)
    frozen.begin(1)
    frozen.write(0, log[:8], (3,))
    frozen.read(0, log[8:])
    frozen.clock.now_ms += 20_000
    second = Archive(store, folder, frozen.clock, holder="b")
    second.begin(1)
    second.write(0, log[8:])
    second.writer.cut(second_unit(store))
    frozen.clock.now_ms += 700_000
    before, there = final_files(store), files_of(folder)
    tasks = {
        "flush": frozen.flush,
        "cut": lambda: cut_all(frozen),
        "clean": frozen.writer.clean,
        "renew": frozen.writer.renew,
    }
    with pytest.raises(LeaseHeldError, match="taken over by b"):
        tasks[work]()
    assert final_files(store) == before
    assert files_of(folder) == there
    assert read_back(store, folder) == log


@pytest.mark.parametrize("work", ["flush", "cut"])
def test_a_lease_lost_while_files_are_written_keeps_them_out_of_the_index(store, folder, log, work, monkeypatch):
    archive = Archive(store, folder)
    archive.begin(1)
    archive.write(0, log[:8], (3,))
    archive.read(0, log[8:])
    before = final_files(store)

    def stolen(*arguments):
        write_files(*arguments)
        with store.writing() as session:
            session.execute(update(Lease).values(holder="thief"))

    monkeypatch.setattr(writer, "write_files", stolen)
    with pytest.raises(LeaseHeldError, match="thief"):
        archive.flush() if work == "flush" else cut_all(archive)
    assert final_files(store) == before
    assert read_back(store, folder) == log[:8]


@pytest.mark.parametrize("at", [1, 5, 9])
def test_a_reader_goes_on_when_files_are_replaced_and_deleted_under_it(store, folder, log, at):
    archive = Archive(store, folder)
    archive.begin(1)
    archive.write(0, log, (2,))
    reading = ArchiveReader(store, folder).records()
    found = [next(reading).offset for _ in range(at)]
    cut_all(archive)
    archive.clock.now_ms += 700_000
    assert archive.writer.clean() > 0
    found += [record.offset for record in reading]
    assert found == [record.offset for record in log]


def second_unit(store):
    with store.reading() as session:
        return index.uncut(session, 1 << 62, 10)[0]


def test_a_lease_is_taken_only_when_it_is_over_or_released(store, folder):
    first = Archive(store, folder)
    first.begin(1)
    second = Archive(store, folder, first.clock, holder="b")
    with pytest.raises(LeaseHeldError, match="done by a"):
        second.begin(1)
    first.clock.now_ms += 14_000
    assert first.tenancy.fading
    first.writer.renew()
    assert not first.tenancy.fading
    first.clock.now_ms += 14_000
    with pytest.raises(LeaseHeldError):
        second.begin(1)
    with store.writing() as session:
        first.tenancy.release(session)
    second.begin(1)
    with store.writing() as session:  # whose lease is gone cannot give away another's
        first.tenancy.release(session)
    second.writer.renew()


def test_offsets_that_moved_meanwhile_stop_a_flush(store, folder, log):
    archive = Archive(store, folder)
    archive.begin(1)
    archive.read(0, log)
    with store.writing() as session:
        session.execute(update(ConsumerOffset).values(next_offset=1))
    with pytest.raises(MovedError, match="does not stand at offset 0"):
        archive.flush()
    assert final_files(store) == []


def test_a_full_disk_counts_for_nothing(store, folder, log, monkeypatch):
    archive = Archive(store, folder)
    archive.begin(1)
    archive.read(0, log)

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(chunkfile.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            archive.flush()
    assert final_files(store) == []
    assert archive.pending[0].records == len(log)
    archive.flush()
    assert read_back(store, folder) == log


def test_an_hour_larger_than_a_file_or_a_pass_is_cut_into_more_of_them(store, folder, monkeypatch):
    log = [
        RawRecord(n, PLACE.hour_ms + n, 1, b"BJ-%d" % (n % 7), [(b"kind", b"report")], bytes([n % 251]) * 1_000)
        for n in range(300)
    ]
    archive = Archive(store, folder)
    archive.begin(1)
    archive.write(0, log, (40,))
    monkeypatch.setattr(writer, "CUT_BYTES", 15_000)
    monkeypatch.setattr(writer, "PASS_BYTES", 100_000)
    cut_all(archive)
    assert read_back(store, folder) == log
    with store.reading() as session:
        rows = session.execute(select(ArchiveChunk.facility, func.count()).group_by(ArchiveChunk.facility)).all()
    assert {facility: count > 1 for facility, count in rows} == {f"BJ-{n}": True for n in range(7)}
    again = final_files(store)
    with store.reading() as session:
        unit = index.units(session, LOG, 0, index.Selection())[0]
    assert archive.writer.cut(unit) == (0, 0)
    assert final_files(store) == again
    assert [r.offset for r in ArchiveReader(store, folder).records("BJ-3")] == [n for n in range(300) if n % 7 == 3]


def test_what_comes_late_into_a_cut_hour_is_cut_in_as_if_it_had_come_in_time(store, folder):
    log = at_hours(story(), [0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1])  # the broker's clock was set back twice
    archive = Archive(store, folder)
    archive.begin(1)
    for at in range(0, len(log), 4):
        archive.write(0, log[at : at + 4])
        cut_all(archive)
    assert read_back(store, folder) == log
    there = final_files(store)
    assert sum("BJ-COLD-01" in path for path in there) == 2  # one per hour
    assert not any("_uncut" in path for path in there)


@pytest.mark.parametrize(
    ("facility", "hour_ms", "wanted"),
    [
        ("BJ-ONE", 495_000 * HOUR_MS, "offsite.log.v1/3/BJ-ONE/2026/06/21/00-00000000000000000042-"),
        ("", 495_023 * HOUR_MS, "offsite.log.v1/3/_partition/2026/06/21/23-00000000000000000042-"),
        (ALL, 0, "offsite.log.v1/3/_uncut/1970/01/01/00-00000000000000000042-"),
    ],
)
def test_where_a_file_lies(facility, hour_ms, wanted):
    assert path_of(Place(CLUSTER, LOG, 3, facility, hour_ms), 42, "f" * 64) == f"{wanted}{'f' * 64}.zst"


@pytest.mark.parametrize(
    ("key", "headers", "wanted"),
    [
        (b"BJ-ONE", [(b"kind", b"readings")], "BJ-ONE"),
        (b"BJ-ONE", [(b"kind", b"tick")], ""),
        (b"BJ-ONE", [(b"kind", b"packs")], ""),
        (b"BJ-ONE", [(b"kind", b"tick"), (b"kind", b"readings")], "BJ-ONE"),  # the last one counts, as for the codec
        (b"BJ-ONE", [], "BJ-ONE"),
        (None, [(b"kind", b"readings")], ""),
        (b"../../etc", [], ""),
        (b"lot:B2601", [], ""),
        (b"BJ-ONE\n", [], ""),
        (b"*", [], ""),
        (b"\xff\xfe", [], ""),
    ],
)
def test_whose_file_a_record_belongs_to(key, headers, wanted):
    assert RawRecord(0, 0, 1, key, headers, b"").facility == wanted


@pytest.mark.parametrize("timestamp", [-1, -(1 << 62), 1 << 62])
def test_a_record_with_an_impossible_time_is_kept(store, folder, timestamp):
    log = [RawRecord(0, timestamp, 0, b"BJ-ONE", [], b"x")]
    archive = Archive(store, folder)
    archive.begin(1)
    archive.write(0, log)
    assert read_back(store, folder) == log
    cut_all(archive)
    assert read_back(store, folder) == log


def built(log, place=PLACE):
    builder = ChunkBuilder(place)
    for record in log:
        builder.add(record)
    return builder.build()


def test_the_same_records_give_the_same_file_and_others_another(log):
    chunk, blob = built(log)
    assert built(log) == (chunk, blob)
    other = RawRecord(*msgspec.structs.astuple(log[-1])[:-1], b"other")
    assert built([*log[:-1], other])[1] != blob
    assert (chunk.first_offset, chunk.last_offset, chunk.records, chunk.size) == (0, 10, len(log), len(blob))
    spans = [span for record in log if (span := record.event_span())]
    assert (chunk.first_event_ms, chunk.last_event_ms) == (min(a for a, _ in spans), max(b for _, b in spans))
    assert (chunk.first_received_ms, chunk.last_received_ms) == (log[0].timestamp, log[-1].timestamp)


def test_a_file_can_be_read_with_zstd_and_msgpack_alone(log):
    _, blob = built(log)
    content = io.BytesIO(zstandard.ZstdDecompressor().stream_reader(blob).read())
    frames = []
    while head := content.read(4):
        frames.append(content.read(struct.unpack("<I", head)[0]))
    assert json.loads(frames[0]) == {
        "cluster": CLUSTER, "topic": LOG, "partition": 3, "facility": "BJ-ONE", "hour_ms": PLACE.hour_ms,
        "first_offset": 0, "last_offset": 10, "records": 11, "format": "offsite-chunk", "version": 1,
    }  # fmt: skip
    plain = [msgspec.msgpack.decode(frame) for frame in frames[1:]]
    assert plain == [
        [r.offset, r.timestamp, r.timestamp_type, r.key, [list(pair) for pair in r.headers], r.value] for r in log
    ]


def test_offsets_must_rise():
    builder = ChunkBuilder(PLACE)
    builder.add(RawRecord(5, 0, 1, None, [], None))
    with pytest.raises(ValueError, match="offset 5 is not above 5"):
        builder.add(RawRecord(5, 0, 1, None, [], None))


def forged(content, like):
    """A file whose hash the index knows, with a content it should not have."""
    blob = zstandard.ZstdCompressor().compress(content) if isinstance(content, bytes) else bytes(content)
    return replace(like, size=len(blob), sha256=hashlib.sha256(blob).hexdigest(), path="forged.zst"), blob


def frame(body):
    return struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    "fault", ["header", "version", "order", "bounds", "few", "cut", "length", "garbage", "not zstd", "empty"]
)
def test_a_file_that_the_index_vouches_for_is_still_checked(folder, log, fault):
    chunk, blob = built(log)
    plain = zstandard.ZstdDecompressor().decompress(blob)
    size = struct.unpack_from("<I", plain)[0]
    head, body = json.loads(plain[4 : 4 + size]), plain[4 + size :]
    outside = frame(msgspec.msgpack.encode(RawRecord(99, 0, 1, None, [], None)))
    contents = {
        "header": frame(json.dumps(head | {"facility": "BJ-TWO"}).encode()) + body,
        "version": frame(json.dumps(head | {"version": 2}).encode()) + body,
        "order": plain + body[: 4 + struct.unpack_from("<I", body)[0]],
        "bounds": plain + outside,
        "few": plain[: 4 + size + 4 + struct.unpack_from("<I", body)[0]],
        "cut": plain[:-1],
        "length": plain + b"\xff\xff\xff\xff",
        "garbage": plain[: 4 + size] + frame(b"\xc1" * 50),
        "not zstd": bytearray(b"x" * 500),
        "empty": b"",
    }
    forgery, forged_blob = forged(contents[fault], chunk)
    write_files(folder, [(forgery.path, forged_blob)])
    with pytest.raises(ChunkDamagedError) as caught:
        list(open_chunk(folder, forgery))
    assert caught.value.path == "forged.zst"


@pytest.mark.parametrize("value", [None, b"", b"\xc1", b"\x80", msgspec.msgpack.encode({"t": b"abc"}), msgspec.msgpack.encode({"t": b""}),
                                   msgspec.msgpack.encode({"t": b"\xff" * 8})])  # fmt: skip
def test_columns_that_cannot_be_read_have_no_event_times(value):
    assert RawRecord(0, 0, 1, b"BJ-ONE", [(b"kind", b"readings")], value).event_span() is None
