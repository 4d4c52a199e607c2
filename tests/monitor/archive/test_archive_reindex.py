"""The index made anew out of the files: the same as it was, whatever lies beside them, and honest about what is missing."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update

from monitor.archive import index
from monitor.archive.reader import ArchiveReader
from monitor.archive.reindex import ArchiverRunsError, _lost, reindex
from monitor.archive.takeover import OtherClusterError
from monitor.archive.verify import verify
from monitor.cli import main
from monitor.store.schema import METADATA
from monitor.store.session import Store
from monitor.store.tables import ArchiveChunk, ArchiveSpan, ArchiveWaste, ConsumerOffset
from streams.topics import ALARMS, LOG
from tests.monitor.archive import making
from tests.monitor.archive.making import Archive, at_hours, raw_logs, story
from tests.monitor.archive.streams import life, opened, put
from tests.monitor.archive.test_archive_property import cut_all


def let_go(archive):
    with archive.store.writing() as session:
        archive.tenancy.release(session)
    return archive


@pytest.fixture
def archive(store, tmp_path):
    made = Archive(store, tmp_path / "archive")
    made.begin(2)
    made.write(1, at_hours(story(1), [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2]), (4,))
    cut_all(made)
    made.write(1, at_hours(story(1, offset=11), [3] * 11), (6,))
    return let_go(made)


def rows(store, *without):
    """The index, but for numbers of rows."""
    with store.reading() as session:
        chunks = select(*[c for c in ArchiveChunk.__table__.c if c.name != "id"])
        found = {"chunks": sorted(map(tuple, session.execute(chunks)))}
        found["spans"] = sorted(map(tuple, session.execute(select(ArchiveSpan.__table__))))
        found["offsets"] = sorted(map(tuple, session.execute(select(ConsumerOffset.__table__))))
    return {name: value for name, value in found.items() if name not in without}


def read_back(store, folder):
    return list(ArchiveReader(store, folder).records())


def emptied(store):
    with store.writing() as session:
        for table in reversed(METADATA.sorted_tables):
            session.execute(delete(table))


def of_partition(before, partition):
    """What an empty partition has in the index no file can say."""
    return {name: [row for row in value if partition in row[:3]] for name, value in before.items()}


def test_a_lost_index_comes_back_as_it_was(archive):
    before, records = of_partition(rows(archive.store), 1), read_back(archive.store, archive.folder)
    emptied(archive.store)
    heard, told = [], []
    done = reindex(archive.store, archive.folder, hear=lambda *place: heard.append(place), tell=told.append)
    assert rows(archive.store) == before
    assert read_back(archive.store, archive.folder) == records
    assert (done.records, done.faults, done.gaps) == (22, [], [])
    assert done.files == len(before["chunks"]) == told[-1]
    assert sorted(raw.offset for topic, partition, raw in heard if (topic, partition) == (LOG, 1)) == list(range(22))
    assert verify(archive.store, archive.folder).faults == []
    assert rows(archive.store) == before
    reindex(archive.store, archive.folder)
    assert rows(archive.store) == before


def test_an_index_that_counts_what_the_files_hold_keeps_what_it_knows_of_offsets_without_records(store, tmp_path):
    made = Archive(store, tmp_path / "archive", topic=ALARMS)
    made.begin(3)
    put(made, "A1", life("A1"), step=2)
    (partition,) = [p for p, part in made.pending.items() if part.next]
    made.read(partition, [], behind=40)  # markers and aborted records behind the last change
    made.flush()
    let_go(made)
    before = rows(store)
    assert reindex(store, made.folder).gaps == []
    at = {"chunks": 1, "spans": 1, "offsets": 2}
    assert rows(store) == {name: [r for r in value if r[at[name]] == partition] for name, value in before.items()}
    assert verify(store, made.folder).faults == []
    with store.writing() as session:  # it counts another number: then the files alone say it
        session.execute(update(ArchiveSpan).values(records=13))
    reindex(store, made.folder)
    assert rows(store)["offsets"][0][3] == 23


def test_the_archiver_goes_on_behind_the_files(archive):
    emptied(archive.store)
    reindex(archive.store, archive.folder)
    again = Archive(archive.store, archive.folder, holder="b")
    again.begin(2, ends=40)
    assert again.pending[1].next == 22
    again.write(1, at_hours(story(1, offset=22), [4] * 11), (5,))
    cut_all(again)
    assert verify(archive.store, archive.folder).faults == []
    assert len(read_back(archive.store, archive.folder)) == 33


@pytest.mark.parametrize("begun", ["one file of the cut", "all of them", "replaced by a longer one"])
def test_of_files_that_say_the_same_those_are_taken_that_hold_every_offset_once(store, tmp_path, begun):
    made = Archive(store, tmp_path / "archive")
    made.begin(2)
    made.write(1, at_hours(story(1), [0] * 11), (4,))
    uncut = set(made.folder.rglob("*.zst"))
    cut_all(made)
    if begun == "replaced by a longer one":
        made.write(1, at_hours(story(1, offset=11), [0] * 11), (4,))
        cut_all(made)
    let_go(made)
    records = read_back(store, made.folder)
    cut = sorted(set(made.folder.rglob("*.zst")) - uncut)
    if begun == "one file of the cut":  # the process died in the middle of the cut: its files never counted
        cut[0].unlink()
    emptied(store)
    done = reindex(store, made.folder)
    assert read_back(store, made.folder) == records
    assert (done.faults, done.gaps) == ([], [])
    everything = {str(path.relative_to(made.folder)) for path in made.folder.rglob("*.zst")}
    with store.reading() as session:
        indexed = set(session.scalars(select(ArchiveChunk.path)))
        assert set(session.scalars(select(ArchiveWaste.path))) == set(done.waste) == everything - indexed
    assert verify(store, made.folder).faults == []


@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_log_cut_anywhere_comes_back(data, sqlite_template, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reindex")
    shutil.copy(sqlite_template, folder / "store.db")
    with Store(f"sqlite:///{folder}/store.db") as store:
        made = Archive(store, folder / "archive")
        made.begin(1)
        made.write(0, data.draw(raw_logs()), data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)))
        if data.draw(st.booleans()):
            cut_all(made)
        let_go(made)
        before, whole = (
            rows(store, "spans", "offsets"),
            [r.offset for r in ArchiveReader(store, made.folder).raw(0, index.Selection())],
        )
        with store.writing() as session:
            session.execute(delete(ArchiveChunk))
        done = reindex(store, made.folder, kafka=lambda *_: (0, ()))
        if data.draw(st.booleans()):  # what was replaced is deleted: nothing that counts goes with it
            for path in done.waste:
                (made.folder / path).unlink()
        assert [r.offset for r in ArchiveReader(store, made.folder).raw(0, index.Selection())] == whole
        assert sum(chunk[10] for chunk in rows(store)["chunks"]) == sum(chunk[10] for chunk in before["chunks"])
        assert verify(store, made.folder).faults == []


def test_damaged_and_foreign_files_are_named_and_count_for_nothing(archive):
    paths = sorted(archive.folder.rglob("*.zst"))
    raw = bytearray(paths[0].read_bytes())
    raw[len(raw) // 2] ^= 1
    paths[0].write_bytes(raw)
    moved = paths[-1].with_name(paths[-1].name.replace("-0", "-9", 1))
    paths[-1].rename(moved)
    (archive.folder / "notes.zst").write_bytes(b"no file of ours")
    (archive.folder / LOG / "1" / ".part").write_bytes(b"x")
    emptied(archive.store)
    done = reindex(archive.store, archive.folder)
    named = {fault.pointer for fault in done.faults}
    assert named == {str(path.relative_to(archive.folder)) for path in (paths[0], moved)}
    with archive.store.reading() as session:
        assert not named & set(session.scalars(select(ArchiveChunk.path)))
        assert session.scalar(select(func.count()).select_from(ArchiveChunk)) == done.files > 0


def test_offsets_that_no_file_holds_are_lost_unless_kafka_says_that_nothing_stood_there(store, tmp_path):
    made = Archive(store, tmp_path / "archive")
    made.begin(1)
    made.write(0, [record for record in story() if record.offset not in {4, 5}], (3,))
    let_go(made)
    for kafka, gaps in (
        (lambda _t, _p, _b, end: (end, ()), [(LOG, 0, 4, 6)]),  # Kafka has dropped them
        (lambda *_: (5, ()), [(LOG, 0, 4, 6)]),  # half of them
        (lambda *_: (0, {5}), [(LOG, 0, 4, 6)]),  # a record stands there
        (lambda *_: (0, {3, 6}), []),
    ):
        emptied(store)  # else the index knows that nothing stood there
        done = reindex(store, made.folder, kafka=kafka)
        assert done.gaps == gaps
        assert ArchiveReader(store, made.folder).gaps() == [(p, b, e) for _, p, b, e in gaps]
        assert [fault.code for fault in verify(store, made.folder).faults] == ["lost"] * len(gaps)


def test_between_changes_markers_take_offsets_and_their_seqs_say_what_is_missing():
    assert _lost(ALARMS, 0, [(0, 1), (2, 3)], lambda *_: (9, ())) == set()
    assert _lost(ALARMS, 0, [(0, 1), (2, 3)], lambda *_: (0, {1})) == {(1, 2)}
    assert _lost(LOG, 0, [(0, 1), (2, 3)], lambda *_: (9, ())) == {(1, 2)}


def test_the_archive_of_changes_comes_back_too(store, tmp_path):
    made = Archive(store, tmp_path / "archive", topic=ALARMS)
    made.begin(3)
    put(made, "A1", life("A1"), step=2)
    let_go(made)
    emptied(store)
    done = reindex(store, made.folder)
    assert (done.records, done.gaps, done.faults) == (12, [], [])
    assert [item.change for item in opened(made).stream("A1")] == life("A1")
    assert verify(store, made.folder).faults == []


def test_not_beside_an_archiver_and_not_over_two_clusters(archive, monkeypatch):
    import time

    archive.clock.now_ms = time.time_ns() // 1_000_000
    archive.begin(2)
    before = rows(archive.store)
    with pytest.raises(ArchiverRunsError):
        reindex(archive.store, archive.folder)
    assert rows(archive.store) == before
    let_go(archive)
    monkeypatch.setattr(making, "CLUSTER", "another")
    emptied(archive.store)
    other = Archive(archive.store, archive.folder, holder="b")
    other.begin(2)
    other.write(0, story(0), (4,))
    let_go(other)
    with pytest.raises(OtherClusterError):
        reindex(archive.store, archive.folder)


def test_the_command_says_what_it_found(archive, store_url, monkeypatch, capsys):
    monkeypatch.setenv("OFFSITE_STORE_URL", store_url)
    monkeypatch.setenv("OFFSITE_ARCHIVER_FOLDER", str(archive.folder))
    emptied(archive.store)
    for code in (0, 1):
        with pytest.raises(SystemExit) as end:
            main(["archive", "reindex"])
        assert (end.value.code or 0) == code
        out = capsys.readouterr().out
        assert "22 records" in out  # the damaged one is left over of an hour that was cut
        next(iter(sorted(archive.folder.rglob("*.zst")))).write_bytes(b"?")
    assert "chunk_damaged" in out
