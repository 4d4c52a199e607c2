"""`offsite archive verify` names every fault there can be, `list` shows what is there."""

from __future__ import annotations

import json
import os
import shutil
import time

import pytest
from sqlalchemy import delete, select, update

from monitor.archive import index
from monitor.archive import verify as module
from monitor.archive.chunkfile import ChunkBuilder, ChunkDamagedError, Place, open_chunk, write_files
from monitor.archive.reader import ArchiveReader
from monitor.archive.verify import verify
from monitor.cli import main
from monitor.store.desk_tables import OperatorAlarm
from monitor.store.tables import ArchiveChunk, ArchiveSpan
from streams.topics import LOG
from tests.monitor.archive.making import CLUSTER, Archive, at_hours, story
from tests.monitor.archive.test_archive_property import cut_all

pytestmark = pytest.mark.long


@pytest.fixture
def archive(store, tmp_path):
    made = Archive(store, tmp_path / "archive")
    made.begin(2)
    made.write(1, at_hours(story(1), [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2]), (4,))
    cut_all(made)
    made.write(1, at_hours(story(1, offset=20), [3] * 11), (6,))
    return made


def row_of(archive, hour):
    """The first file of an hour: of the firm, or not cut yet."""
    with archive.store.reading() as session:
        rows = session.scalars(select(ArchiveChunk).order_by(ArchiveChunk.first_offset)).all()
    hours = sorted({row.hour_ms for row in rows})
    return next(row for row in rows if row.hour_ms == hours[hour] and row.facility)


def change(archive, statement):
    with archive.store.writing() as session:
        session.execute(statement)


def of_row(row):
    return update(ArchiveChunk).where(ArchiveChunk.id == row.id)


def test_a_whole_archive_has_no_fault(archive):
    heard = []
    report = verify(archive.store, archive.folder, heard.append)
    assert (report.faults, report.leftovers, report.records) == ([], [], 22)
    assert report.files == len(heard) == heard[-1]
    assert report.bytes == sum(
        p.stat().st_size for p in archive.folder.rglob("*.zst") if str(p).find("_uncut") < 0 or True
    ) - waste(archive)


def waste(archive):
    """Bytes of files that were replaced and wait for their deletion."""
    with archive.store.reading() as session:
        named = set(session.scalars(select(ArchiveChunk.path)))
    paths = [p for p in archive.folder.rglob("*.zst") if str(p.relative_to(archive.folder)) not in named]
    assert paths
    return sum(p.stat().st_size for p in paths)


@pytest.mark.parametrize(
    ("fault", "codes"),
    [
        ("file gone", ["chunk_missing", "records_missing"]),
        ("file flipped", ["chunk_damaged", "records_missing"]),
        ("row gone", ["records_missing"]),
        ("row of another hour", ["chunk_damaged", "records_missing"]),
        ("row of another facility", ["chunk_damaged", "records_missing"]),
        ("offsets lost", ["lost"]),
        ("more records read", ["records_missing"]),
        ("never read", ["not_read"] * 11),
        ("partition never read", ["not_read"]),
    ],
)
@pytest.mark.parametrize("hour", [1, 3])
def test_each_fault_is_named(archive, fault, codes, hour):
    row = row_of(archive, hour)
    path = archive.folder / row.path
    if fault == "file gone":
        path.unlink()
    elif fault == "file flipped":
        blob = bytearray(path.read_bytes())
        blob[-1] ^= 128
        path.write_bytes(blob)
    elif fault == "row gone":
        change(archive, delete(ArchiveChunk).where(ArchiveChunk.id == row.id))
    elif fault == "row of another hour":
        change(archive, of_row(row).values(hour_ms=row.hour_ms + 24 * 3_600_000))
    elif fault == "row of another facility":
        change(archive, of_row(row).values(facility="BJ-TWO"))
    elif fault == "offsets lost":
        later = Archive(archive.store, archive.folder, archive.clock)
        later.begin(2, begins={0: 0, 1: 50})
    elif fault == "more records read":
        change(archive, update(ArchiveSpan).where(ArchiveSpan.partition == 1).values(records=23))
    elif fault == "never read":
        change(archive, update(ArchiveSpan).where(ArchiveSpan.partition == 1).values(begin_offset=15, records=11))
    elif fault == "partition never read":
        change(archive, delete(ArchiveSpan).where(ArchiveSpan.partition == 1))
    report = verify(archive.store, archive.folder)
    assert [found.code for found in report.faults] == codes
    if "chunk" in codes[0]:
        assert report.faults[0].pointer == row.path
    if fault == "row gone":
        named = report.faults[0].detail.rpartition(" at ")[2].split(", ")
        assert any(int(low) <= row.first_offset <= int(high) for low, high in (span.split("-") for span in named))


def test_a_record_that_is_archived_twice_is_named(archive):
    row = row_of(archive, 1)
    # The same records in a file of another path: as if two archivers had both had their way.
    with archive.store.reading() as session:
        unit = next(u for u in index.units(session, LOG, 1, index.Selection()) if u.hour_ms == row.hour_ms)
        chunk = next(c for c in index.chunks(session, unit) if c.path == row.path)
    builder = ChunkBuilder(Place(CLUSTER, LOG, 1, "*", row.hour_ms))
    for record, _ in open_chunk(archive.folder, chunk):
        builder.add(record)
    copy, blob = builder.build()
    write_files(archive.folder, [(copy.path, blob)])
    with archive.store.writing() as session:
        index.add_chunks(session, [copy])
    report = verify(archive.store, archive.folder)
    assert {found.code for found in report.faults} == {"twice"}
    assert len(report.faults) == copy.records


def test_records_in_the_wrong_file_are_named(archive, monkeypatch):
    monkeypatch.setattr("monitor.archive.chunkfile.RawRecord.facility", property(lambda _: "ELSEWHERE"))
    report = verify(archive.store, archive.folder)
    assert {found.code for found in report.faults} == {"misplaced"}


def test_files_cut_while_they_are_checked_are_no_fault(archive, monkeypatch):
    genuine = module._Partition._unit
    done = []

    def unit(self, unit):
        found = genuine(self, unit)
        if not done and unit.hour_ms == row_of(archive, 3).hour_ms:
            done.append(1)

            def later():
                with archive.store.reading() as session:
                    units = index.uncut(session, 1 << 62, 10)
                for one in units:
                    archive.writer.cut(one)
                archive.clock.now_ms += 700_000
                assert archive.writer.clean() > 0
                yield from found

            return later()
        return found

    monkeypatch.setattr(module._Partition, "_unit", unit)
    report = verify(archive.store, archive.folder)
    assert done
    assert report.faults == []


@pytest.fixture
def offsite(archive, store_url, monkeypatch, capsys):
    monkeypatch.setenv("OFFSITE_STORE_URL", store_url)
    monkeypatch.setenv("OFFSITE_ARCHIVER_FOLDER", str(archive.folder))

    def run(*arguments):
        code = 0
        try:
            main(["archive", *arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return run


def test_the_command_says_what_it_found_and_its_exit_code_too(archive, offsite):
    code, out, _ = offsite("verify")
    assert code == 0
    assert "22 records" in out[-1]
    assert "0 faults, 0 leftovers" in out[-1]
    row = row_of(archive, 1)
    (archive.folder / row.path).unlink()
    code, out, _ = offsite("verify")
    assert code == 1
    assert out[0] == f"{row.path}: chunk_missing: the file is not there"
    assert "records_missing" in out[1]


@pytest.mark.usefixtures("archive")
def test_a_folder_that_is_not_there_is_no_archive_without_faults(offsite, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    for name, why in (("nowhere", "no such folder"), ("file", "not a folder")):
        monkeypatch.setenv("OFFSITE_ARCHIVER_FOLDER", str(tmp_path / name))
        code, out, err = offsite("verify")
        assert (code, out) == (3, [])
        assert f"OFFSITE_ARCHIVER_FOLDER {tmp_path / name}: unreadable: {why}" in err


def test_the_alarm_of_a_damaged_file_is_closed_once_it_is_back(archive, offsite):
    def told():
        with archive.store.reading() as session:
            return [(alarm.subject, alarm.closed_ms is None) for alarm in session.scalars(select(OperatorAlarm))]

    row = row_of(archive, 1)
    path = archive.folder / row.path
    blob = path.read_bytes()
    path.unlink()
    with pytest.raises(ChunkDamagedError):
        list(ArchiveReader(archive.store, archive.folder).records())
    assert offsite("verify")[0] == 1
    assert told() == [(row.path[-128:], True)]
    path.write_bytes(blob)
    assert offsite("verify")[0] == 0
    assert told() == [(row.path[-128:], False)]


def test_leftovers_are_removed_only_on_request_and_only_old_ones(archive, offsite):
    row = row_of(archive, 1)
    old, young = archive.folder / LOG / "1" / "old.zst", archive.folder / LOG / "1" / "young.zst"
    for path in (old, young):
        shutil.copy(archive.folder / row.path, path)
    os.utime(old, (time.time() - 90_000,) * 2)
    code, out, _ = offsite("verify")
    assert code == 0
    assert [line.rpartition("/")[2] for line in out[:2]] == ["old.zst: leftover", "young.zst: leftover"]
    _, out, _ = offsite("verify", "--remove-leftovers")
    assert [line.rpartition("/")[2] for line in out[:2]] == ["old.zst: leftover, removed", "young.zst: leftover"]
    assert (old.exists(), young.exists()) == (False, True)
    assert "1 leftovers" in offsite("verify")[1][-1]


def test_the_list_names_spans_and_files(archive, offsite):
    code, out, _ = offsite("list")
    assert code == 0
    assert f"{LOG}/1: offsets 0 to 30, 22 records" in out
    assert any("BJ-COLD-01: offsets 0 to" in line for line in out)
    assert any("(partition)" in line for line in out)
    assert any("(not cut yet)" in line for line in out)
    _, out, _ = offsite("list", "--json", "--facility", "BJ-COLD-01")
    rows = [json.loads(line) for line in out]
    assert {row["facility"] for row in rows} == {"BJ-COLD-01", "*"}
    assert all((archive.folder / row["path"]).stat().st_size == row["size"] for row in rows)
    assert offsite("list", "--facility", "<b>")[0] == 2
    assert offsite("list", "--topic", "nonsense")[0] == 2
