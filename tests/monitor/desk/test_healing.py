"""What the desk missed is filled from the archive or an evaluation, by itself or by command, and alarms of it close."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import delete, select

from monitor.alarms import operators
from monitor.alarms.incoming import Incoming, read
from monitor.alarms.operators import open_alarms
from monitor.alarms.projection import CONFLICT, GAP
from monitor.desk import healing
from monitor.desk.healing import PATIENCE_MS, fill_from_evaluation, heal, healing_job, rebuild
from monitor.desk.offsets import LOST
from monitor.store.desk_tables import AlarmRow, ChangeRow, LiveRow, StreamRow
from streams.topics import ALARMS
from tests.monitor.alarms.changes import change
from tests.monitor.alarms.test_projection import expected, lines
from tests.monitor.archive.making import Clock
from tests.monitor.archive.streams import LOT, archive_of, at_desk, caller, home, life, line, neighbour, opened, put


@pytest.fixture
def archive(store, tmp_path):
    return archive_of(store, tmp_path / "archive")


@pytest.fixture
def offsite(archive, store_url, monkeypatch, capsys):
    return caller(archive, store_url, monkeypatch, capsys)


def codes(store):
    with store.reading() as session:
        return sorted(alarm.code for alarm in open_alarms(session))


def without(changes, *seqs):
    return [item for item in changes if item.seq not in seqs]


@pytest.mark.parametrize("cut", [False, True], ids=["not cut", "cut"])
@pytest.mark.parametrize("stream", ["A1", LOT])
def test_gaps_of_a_stream_are_filled_and_its_alarm_closes(archive, stream, cut):
    put(archive, stream, life(stream), cut=cut)
    at_desk(archive.store, without(life(stream), 4, 5, 9))
    assert codes(archive.store) == [GAP]
    assert heal(archive.store, opened(archive), 2).filled == {stream: 9}
    assert codes(archive.store) == []
    assert lines(archive.store) == expected(life(stream))
    assert heal(archive.store, opened(archive), 3).filled == {}


def test_what_kafka_gives_later_all_the_same_vanishes(archive):
    put(archive, "A1", life())
    at_desk(archive.store, without(life(), 4))
    heal(archive.store, opened(archive), 2)
    at_desk(archive.store, life())
    assert codes(archive.store) == []
    with archive.store.reading() as session:
        assert list(session.scalars(select(LiveRow.revision).order_by(LiveRow.id))) == list(range(1, 13))


def test_what_the_archive_has_not_either_is_left_and_named(archive):
    put(archive, "A1", without(life(), 5))
    at_desk(archive.store, without(life(), 4, 5))
    healed = heal(archive.store, opened(archive), 2)
    assert healed.left == {"A1": "the archive has no change 5 of it"}
    assert codes(archive.store) == [GAP]
    assert lines(archive.store) == expected(life()[:4])


def test_a_stream_whose_first_changes_were_lost_is_filled_too(archive):
    put(archive, "A1", life(), hour=495_010)
    at_desk(archive.store, life()[6:])
    assert lines(archive.store) == []
    assert heal(archive.store, opened(archive), 2).filled == {"A1": 12}


def test_only_a_deep_look_finds_what_lies_before_the_last_change_of_the_desk(archive):
    put(archive, "A1", [*life()[3:5], *life()[:3], *life()[5:]])
    kept = without(life(), 4, 5)
    at_desk(archive.store, kept)
    with archive.store.writing() as session:
        for row in session.scalars(select(ChangeRow)):
            row.offset += 100
    assert heal(archive.store, opened(archive), 2, deep=False).left
    assert heal(archive.store, opened(archive), 2).filled == {"A1": 9}


def test_offsets_that_kafka_dropped_are_applied_though_no_gap_shows_them(archive):
    put(archive, "A1", life())
    at_desk(archive.store, life()[:9])
    with archive.store.writing() as session:
        for subject in (f"{ALARMS}/{home('A1')}@9-11", f"{ALARMS}/{home('A1')}@10-12"):
            operators.opened(session, LOST, subject, "dropped", 1)
    healed = heal(archive.store, opened(archive), 2)
    assert healed.filled == {f"{ALARMS}/{home('A1')}@9-11": 3}
    assert list(healed.left.values()) == ["the archive does not hold all of these offsets"]
    assert lines(archive.store) == expected(life())
    assert codes(archive.store) == [LOST]


def test_a_damaged_file_leaves_the_stream_waiting_and_others_are_healed(archive):
    put(archive, "A1", life())
    (damaged,) = archive.folder.rglob(f"*{0:020d}*.zst")
    other = neighbour("C3" if home("C3") != home("A1") else "D4")
    put(archive, other, life(other), offset=100)
    damaged.write_bytes(b"x")
    at_desk(archive.store, without(life(), 2))
    at_desk(archive.store, without(life(other), 2))
    healed = heal(archive.store, opened(archive), 2)
    assert healed.left == {"A1": "the archive has no change 2 of it"}
    assert healed.filled == {other: 11}
    assert "archive_damaged" in codes(archive.store)


def test_offsets_in_a_damaged_file_stay_lost_until_it_is_back(archive):
    put(archive, "A1", life())
    subject = f"{ALARMS}/{home('A1')}@9-11"
    with archive.store.writing() as session:
        operators.opened(session, LOST, subject, "dropped", 1)
    (damaged,) = archive.folder.rglob(f"*{8:020d}*.zst")
    kept = damaged.read_bytes()
    damaged.write_bytes(b"x")
    at_desk(archive.store, life()[:9])
    assert heal(archive.store, opened(archive), 2).left == {subject: "files of the archive are damaged"}
    assert LOST in codes(archive.store)
    damaged.write_bytes(kept)
    assert subject in heal(archive.store, opened(archive), 2).filled
    assert LOST not in codes(archive.store)
    assert lines(archive.store) == expected(life())


def test_a_desk_that_lost_its_rows_is_rebuilt_from_the_archive(archive):
    put(archive, "A1", life())
    put(archive, LOT, life(LOT), offset=200, cut=True)
    at_desk(archive.store, life()[:5])
    assert rebuild(archive.store, opened(archive), 2) == 19
    before = lines(archive.store)
    assert before == expected(life() + life(LOT))
    with archive.store.writing() as session:
        for table in (AlarmRow, ChangeRow, StreamRow, LiveRow):
            session.execute(delete(table))
    assert rebuild(archive.store, opened(archive), 2) == 24
    assert lines(archive.store) == before


def told(changes):
    return [read(Incoming(-1, -1, line(item))) for item in changes]


def test_an_evaluation_fills_what_neither_kafka_nor_the_archive_has(archive):
    at_desk(archive.store, without(life(), 4))
    at_desk(archive.store, life("B2", 3))
    evaluated = told([*life(), *life("B2", 4), *life("C3", 2)])
    healed = fill_from_evaluation(archive.store, evaluated, 2)
    # What is behind the newest that the desk has comes from the workers: an evaluation may end in what nobody publishes.
    assert healed.filled == {"A1": 9}
    assert healed.left == {
        "B2": "1 changes behind the newest that the desk has (3)", "C3": "2 changes behind the newest that the desk has (0)",
    }  # fmt: skip
    assert lines(archive.store) == expected(life() + life("B2", 3))
    healed = fill_from_evaluation(archive.store, evaluated, 3, newest=True)
    assert (healed.filled, healed.left) == ({"B2": 1, "C3": 2}, {})
    assert codes(archive.store) == []
    assert lines(archive.store) == expected(life() + life("B2", 4) + life("C3", 2))


def test_an_evaluation_of_another_log_fills_nothing_of_a_stream_it_contradicts(archive):
    at_desk(archive.store, without(life(), 4))
    other = [*life()[:5], change(6, "amended", severity="red"), *life()[6:]]
    healed = fill_from_evaluation(archive.store, told(other), 2)
    assert healed.filled == {}
    assert healed.left["A1"].startswith("change 6 differs")
    assert codes(archive.store) == [GAP]


def test_the_command_heals_and_says_what_is_left(archive, offsite, tmp_path):
    put(archive, "A1", without(life(), 5))
    at_desk(archive.store, without(life(), 4, 5))
    assert offsite("heal")[:2] == (1, "A1: left: the archive has no change 5 of it\n")
    evaluation = tmp_path / "changes.jsonl"
    evaluation.write_bytes(b"".join(map(line, life())))
    assert offsite("heal", "--evaluated", evaluation)[:2] == (0, "A1: 8 changes applied\n")
    evaluation.write_bytes(b"".join(map(line, [*life(), *life("B2", 2)])))
    assert offsite("heal", "--evaluated", evaluation)[:2] == (
        1, "B2: left: 2 changes behind the newest that the desk has (0)\n",
    )  # fmt: skip
    assert offsite("heal", "--evaluated", evaluation, "--newest")[:2] == (0, "B2: 2 changes applied\n")
    assert offsite("heal", "--all")[:2] == (0, "archive: 0 changes applied\n")
    assert codes(archive.store) == []


def test_the_job_waits_for_what_may_come_by_itself_and_asks_ever_more_rarely_for_what_is_not_there(
    archive, monkeypatch
):
    clock, asked = Clock(1_000), []
    real = healing.ArchivedChanges

    class Counted(real):
        def stream(self, stream, from_offset=0):
            asked.append(stream)
            return super().stream(stream, from_offset)

    monkeypatch.setattr(healing, "ArchivedChanges", Counted)
    stop = threading.Event()
    job = healing_job(archive.store, archive.folder, clock)
    script = []

    def turn(_seconds):
        if not script:
            return True
        script.pop(0)()
        return False

    monkeypatch.setattr(stop, "wait", turn)

    def goes(ms):
        def step():
            clock.now_ms += ms

        return step

    at_desk(archive.store, without(life(), 4))
    script[:] = [goes(0)]
    job(stop)
    assert asked == []
    script[:] = [goes(PATIENCE_MS), goes(1), goes(30_000), goes(31_000), goes(30_000)]
    job(stop)
    assert asked == ["A1"] * 3
    put(archive, "A1", life())
    script[:] = [goes(3_600_000), goes(0)]
    job(stop)
    assert codes(archive.store) == []
    assert len(asked) == 4


def test_a_conflict_found_while_healing_is_shown(archive):
    at_desk(archive.store, life()[:3])
    put(archive, "A1", [*life()[:2], change(3, "amended", severity="red"), *life()[3:]])
    rebuild(archive.store, opened(archive), 2)
    assert codes(archive.store) == [CONFLICT]
