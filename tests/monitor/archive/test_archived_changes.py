"""The archive of changes: dense per stream, read back by (stream, seq), compared with the desk and with an evaluation."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, update

from monitor.alarms.incoming import Incoming, read
from monitor.archive.changes import Seqs
from monitor.archive.compare import compare
from monitor.store.desk_tables import ChangeRow, StreamRow
from tests.monitor.alarms.changes import change
from tests.monitor.archive.making import RawRecord
from tests.monitor.archive.streams import LOT, archive_of, at_desk, caller, home, life, line, neighbour, opened, put


@pytest.fixture
def archive(store, tmp_path):
    return archive_of(store, tmp_path / "archive")


@pytest.fixture
def offsite(archive, store_url, monkeypatch, capsys):
    return caller(archive, store_url, monkeypatch, capsys)


@pytest.mark.parametrize("cut", [False, True], ids=["not cut", "cut"])
@pytest.mark.parametrize("stream", ["A1", "BJ-MFR-0007", LOT, "product:P-12"])
def test_a_stream_is_read_back_by_seq_whatever_its_key_and_whether_its_hours_are_cut(archive, stream, cut):
    put(archive, stream, life(stream), cut=cut)
    other = neighbour(stream)
    put(archive, other, life(other), offset=100, cut=cut)
    found = list(opened(archive).stream(stream))
    assert [item.change for item in found] == life(stream)
    assert [item.record.offset for item in found] == list(range(12))
    assert [item.change.seq for item in opened(archive).stream(stream, from_offset=9)] == [10, 11, 12]
    assert list(opened(archive).stream("NOBODY")) == []


def test_what_is_archived_is_what_the_desk_applied(archive):
    put(archive, "A1", life("A1"))
    put(archive, LOT, life(LOT), offset=200, cut=True)
    at_desk(archive.store, life("A1") + life(LOT))
    found = compare(archive.store, "archive", opened(archive).all())
    assert (found.changes, found.repeats, found.ahead, found.faults) == (24, 0, 0, [])


def test_what_was_published_twice_vanishes_and_what_is_not_archived_yet_is_no_fault(archive):
    put(archive, "A1", life("A1", 8))
    put(archive, "A1", life("A1", 3, begin=6), offset=50)
    at_desk(archive.store, life("A1", 12))
    found = compare(archive.store, "archive", opened(archive).all())
    assert (found.changes, found.repeats, found.ahead, found.faults) == (11, 3, 4, [])


def forget(seq):
    return delete(ChangeRow).where(ChangeRow.seq == seq)


FAULTS = {
    "the archive misses one": (lambda made: [c for c in made if c.seq != 5], None, ["gap"]),
    "the archive has other content": (
        lambda made: [c if c.seq != 5 else change(5, "amended", severity="red") for c in made], None, ["differs"],
    ),
    "it came twice with other content": (
        lambda made: [*made, change(5, "amended", severity="red")], None, ["differs"],
    ),
    "the desk misses the newest": (lambda made: made, forget(12), ["desk", "not_at_the_desk"]),
    "the desk misses one": (lambda made: made, forget(5), ["desk", "not_at_the_desk"]),
    "the desk stands still": (
        lambda made: made, update(StreamRow).values(waiting_for=5, last_seq=4), ["waiting"],
    ),
    "the desk applied another number": (lambda made: made, update(StreamRow).values(last_seq=11), ["desk"]),
}  # fmt: skip


@pytest.mark.parametrize(("made", "then", "codes"), FAULTS.values(), ids=FAULTS)
def test_each_difference_is_named(archive, made, then, codes):
    put(archive, "A1", made(life("A1")))
    at_desk(archive.store, life("A1"))
    if then is not None:
        with archive.store.writing() as session:
            session.execute(then)
    found = compare(archive.store, "archive", opened(archive).all())
    assert sorted(fault.code for fault in found.faults) == codes


def test_foreign_records_in_the_archive_are_named_with_their_place(archive):
    put(archive, "A1", life("A1"))
    archive.write(home("A1"), [RawRecord(90, 495_000 * 3_600_000, 0, b"A1", [], b"\xff")])
    at_desk(archive.store, life("A1"))
    (fault,) = compare(archive.store, "archive", opened(archive).all()).faults
    assert (fault.code, fault.pointer) == ("foreign", f"archive {home('A1')}/90")


@given(st.lists(st.integers(1, 30), max_size=40), st.integers(0, 35))
def test_seqs_are_a_set_with_gaps(seqs, up_to):
    found = Seqs()
    for seq in seqs:
        found.add(seq)
    held = {seq for low, high in found.stretches for seq in range(low, high + 1)}
    assert held == set(seqs)
    assert found.newest == max(seqs, default=0)
    missing = {seq for low, high in found.missing(up_to) for seq in range(low, high + 1)}
    assert missing == set(range(1, max([up_to, *seqs]) + 1)) - set(seqs)
    assert all(b[0] > a[1] + 1 for a, b in zip(found.stretches, found.stretches[1:], strict=False))


def test_the_command_prints_what_evaluate_prints(archive, offsite):
    put(archive, "A1", [*life("A1", 6), *life("A1", 8, begin=5)])
    code, out, err = offsite("changes", "A1")
    assert (code, err) == (0, "")
    assert out.encode() == b"".join(line(item) for item in life("A1", 12))


def test_the_command_names_gaps_and_contradictions(archive, offsite):
    put(archive, "A1", [change(1), change(3, "amended"), change(3, "amended", severity="red")])
    code, out, err = offsite("changes", "A1")
    assert code == 1
    assert [json.loads(row)["seq"] for row in out.splitlines()] == [1, 3]
    assert "differs" in err
    assert "A1#2: gap" in err


def test_a_damaged_file_is_a_fault_of_both_commands_and_the_rest_is_still_read(archive, offsite):
    put(archive, "A1", life("A1"))
    at_desk(archive.store, life("A1"))
    (damaged,) = archive.folder.rglob(f"*{4:020d}*.zst")
    damaged.write_bytes(b"x")
    code, out, err = offsite("changes", "A1")
    assert code == 1
    assert [json.loads(row)["seq"] for row in out.splitlines()] == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12]
    assert "damaged" in err
    code, out, _ = offsite("compare")
    assert code == 1
    assert "damaged" in out
    assert "A1: gap: archive has no changes 5 to 5" in out


def test_comparing_with_an_evaluation_finds_what_was_lost_and_what_was_invented(archive, offsite, tmp_path):
    put(archive, "A1", life("A1"))
    at_desk(archive.store, life("A1"))
    told = tmp_path / "changes.jsonl"
    told.write_bytes(b"".join(map(line, life("A1"))))
    code, out, _ = offsite("compare", "--evaluated", told)
    assert code == 0
    assert [row.partition(";")[0] for row in out.splitlines()] == [
        "archive: 12 changes, 0 of them repeats, 0 faults",
        "evaluation: 12 changes, 0 of them repeats, 0 faults",
    ]
    told.write_bytes(b"".join(map(line, [*life("A1", 13), *life("B2", 1)])))
    code, out, _ = offsite("compare", "--evaluated", told)
    assert code == 1
    assert "A1#13: not_at_the_desk" in out
    assert "B2#1: not_at_the_desk" in out
    told.write_bytes(b"{}\n")
    code, out, err = offsite("compare", "--evaluated", told)
    assert (code, out) == (3, "")
    assert "changes.jsonl:1" in err


def test_a_change_of_the_desk_that_the_evaluation_does_not_have_is_ahead(archive):
    at_desk(archive.store, life("A1"))
    lines = [read(Incoming(-1, -1, line(item))) for item in life("A1", 10)]
    assert compare(archive.store, "evaluation", lines).ahead == 2
