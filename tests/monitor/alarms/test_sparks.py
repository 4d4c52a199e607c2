"""The pictures of the queue's rows: which readings, read once, bounded, and never for the page's patience alone."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

import pytest
from sqlalchemy import select

from monitor.alarms import queries, sparks
from monitor.alarms.sparks import AFTER_MS, KEPT, SHOWN_MS, SPAN_MS, STRETCH_MS, Sparks, Wanted, wanted_of
from monitor.archive.chunkfile import HOUR_MS
from monitor.console.drawing import HEIGHT, WIDTH, picture
from monitor.store.tables import ArchiveChunk
from rules.changes import Evidence, LimitUsed
from streams.codec import home_of
from tests.monitor.alarms.changes import change
from tests.monitor.archive.making import Archive
from tests.monitor.archive.test_archive_property import cut_all
from tests.monitor.archive.test_archive_readings import batch
from tests.monitor.desk.lab import NOW, DeskLab

MINUTE = 60_000
FIRM = "A1"
LIMITS = Evidence(limits=[LimitUsed(name=n, value=v, unit="Cel", origin="GSP") for n, v in (("low", 2.0), ("high", 8.0))])  # fmt: skip


@pytest.fixture
def lab(store, tmp_path):
    made = DeskLab(store, tmp_path / "archive")
    made.archive = Archive(store, tmp_path / "archive")
    made.archive.begin(1)
    return made


@pytest.fixture
def files(monkeypatch):
    """The files of the archive that were opened."""
    from monitor.archive import merge

    opened, real = [], merge.open_chunk

    def noting(folder, chunk):
        opened.append(chunk.path)
        return real(folder, chunk)

    monkeypatch.setattr(merge, "open_chunk", noting)
    return opened


def alarm(lab, tag="T1", start=NOW - 30 * MINUTE, name=FIRM, evidence=LIMITS, **more):
    raised = change(1, stream=name, start=start, **more).model_copy(
        update={"subject": {"tag": tag} if tag else {"feed": "main"}, "evidence": evidence}
    )
    lab.apply(raised)
    with lab.store.reading() as session:
        return queries.one(session, raised.alarm)


def write(lab, *rows, offset=0, tag="T1", firm=FIRM, partition=0):
    """One record a row: (minutes before now, value[, quality])."""
    found = []
    for number, (ago, value, *quality) in enumerate(rows):
        at = NOW - int(ago * MINUTE)
        found.append(batch(offset + number, at + 500, [(tag, at, value, *(quality or [0]))], firm))
    lab.archive.write(partition, found, (1,))


def read(lab, *rows):
    lab.desk.sparks.of(rows)
    lab.desk.sparks.turn()
    return lab.desk.sparks.of(rows)


@pytest.mark.parametrize(
    ("start", "end", "until"),
    [
        (NOW - 30 * MINUTE, None, NOW),
        (NOW - 30 * HOUR_MS, None, NOW),
        (NOW - 9 * HOUR_MS, NOW - 8 * HOUR_MS, NOW - 8 * HOUR_MS + AFTER_MS),
        (NOW - 9 * MINUTE, NOW - MINUTE, NOW),
        (NOW + HOUR_MS, None, NOW + HOUR_MS + 1),
    ],
)
def test_two_hours_up_to_now_or_to_a_little_after_its_end_are_drawn(lab, start, end, until):
    row = alarm(lab, start=start, **({} if end is None else {"kind": "cleared", "end": end}))
    if end is None or end + AFTER_MS > NOW:  # what moves on with now, by whole stretches
        until = -(-until // STRETCH_MS) * STRETCH_MS
    assert wanted_of(row, NOW) == Wanted(row.id, FIRM, "T1", until - SPAN_MS, until)


def test_an_alarm_of_a_whole_feed_has_no_picture(lab):
    write(lab, (5, 4.0))
    row = alarm(lab, tag="")
    assert wanted_of(row, NOW) is None
    assert read(lab, row) == {}


def test_the_lowest_and_highest_of_each_stretch_and_the_newest_are_kept(lab):
    ago = (NOW - (NOW - 10 * MINUTE) // STRETCH_MS * STRETCH_MS) / MINUTE  # a stretch begins there
    write(lab, (500, 1.0), (ago, 5.0), (ago - 0.1, 4.0), (ago - 0.2, 6.0), (1, 9.0))
    row = alarm(lab)
    spark = read(lab, row)[row.id]
    assert [point[1:] for point in spark.points] == [(4.0, 6.0), (9.0, 9.0)]
    assert spark.last == 9.0
    assert all(abs(point[0] - NOW) < SPAN_MS for point in spark.points)


def test_values_that_nobody_measured_are_not_drawn(lab):
    write(lab, (9, 5.0), (8, None, 6), (7, 99.0, 6), (6, math.nan, 8), (5, 99.0, 1))
    row = alarm(lab)
    assert [point[1:] for point in read(lab, row)[row.id].points] == [(5.0, 5.0)]


def test_another_tag_and_another_firm_are_not_mixed_in(lab):
    write(lab, (9, 5.0))
    write(lab, (8, 1.0), offset=1, tag="T2")
    write(lab, (7, 2.0), offset=2, firm="B1")
    one, other, empty = alarm(lab), alarm(lab, name="B1"), alarm(lab, name="C1")
    found = read(lab, one, other, empty)
    assert {key: [p[1] for p in spark.points] for key, spark in found.items()} == {one.id: [5.0], other.id: [2.0]}


def test_a_record_in_a_foreign_partition_is_not_drawn(store, tmp_path):
    lab = DeskLab(store, tmp_path / "archive")
    lab.archive = Archive(store, tmp_path / "archive")
    lab.archive.begin(2)
    home = home_of(FIRM, 2)
    write(lab, (9, 5.0), partition=home)
    write(lab, (8, 1.0), partition=1 - home)
    row = alarm(lab)
    assert [point[1] for point in read(lab, row)[row.id].points] == [5.0]


def named(number, batch_id, ago, value):
    at = NOW - ago * MINUTE
    return batch(number, NOW - 90 * MINUTE + number * 1_000, [("T1", at, value, 0)], FIRM, batch_id)


def test_a_batch_that_comes_again_with_other_content_is_not_drawn_whenever_it_is_read(lab):
    lab.archive.write(0, [named(0, "a", 60, 5.0), named(1, "b", 50, 6.0), named(2, "a", 40, 99.0)], (1,))
    row = alarm(lab)
    assert [point[1] for point in read(lab, row)[row.id].points] == [5.0, 6.0]
    lab.archive.write(0, [named(3, "b", 30, 77.0), named(4, "a", 20, 88.0), named(5, "c", 10, 7.0)], (1,))
    assert [point[1] for point in read(lab, row)[row.id].points] == [5.0, 6.0, 7.0]


def test_a_batch_that_was_read_for_one_alarm_is_drawn_for_the_next_too(lab):
    lab.archive.write(0, [named(0, "a", 60, 5.0), named(1, "b", 50, 6.0)], (1,))
    row = alarm(lab)
    assert len(read(lab, row)[row.id].points) == 2
    later = row.id[:-1] + "x"
    wanted = replace(wanted_of(row, NOW), alarm=later)
    with lab.desk.sparks._changed:
        lab.desk.sparks._note(wanted, NOW)
    lab.desk.sparks.turn()
    assert lab.desk.sparks._pictures[later].spark().points == read(lab, row)[row.id].points


def test_what_was_read_is_not_read_again_and_what_comes_is_added(lab, files):
    write(lab, *((minute, 5.0) for minute in range(60, 40, -1)))
    row = alarm(lab)
    assert read(lab, row)[row.id].last == 5.0
    assert len(files) == 20
    files.clear()
    assert lab.desk.sparks.turn() == 0
    write(lab, (2, 9.5), (1, 8.5), offset=20)
    assert read(lab, row)[row.id].last == 8.5
    assert len(files) == 2
    files.clear()
    read(lab, row)
    assert files == []


def test_one_pass_over_a_partitions_files_serves_all_its_alarms(lab, files):
    rows = [alarm(lab, name=f"F{n}") for n in range(6)]
    for n in range(6):
        write(lab, (30 - n, 5.0), (20 - n, 6.0), offset=2 * n, firm=f"F{n}")
    assert len(read(lab, *rows)) == 6
    assert len(files) == 12


def test_hours_between_two_alarms_are_not_opened(lab, files):
    for n in reversed(range(12)):
        write(lab, (n * 60 + 5, 5.0), offset=12 - n)
    old = alarm(lab, name="B1", start=NOW - 11 * HOUR_MS, kind="cleared", end=NOW - 10 * HOUR_MS)
    read(lab, alarm(lab), old)
    assert 4 <= len(files) <= 6


def test_what_is_half_read_for_the_first_time_is_not_shown_as_all_there_is(lab, monkeypatch):
    row = alarm(lab)
    write(lab, (60, 5.0), (30, 9.0), (10, 7.0))
    seen, real = [], sparks._feed

    def looked_at(*record):
        real(*record)
        seen.append(lab.desk.sparks.of([row]))

    monkeypatch.setattr(sparks, "_feed", looked_at)
    whole = read(lab, row)[row.id]
    assert len(whole.points) == 3
    assert seen == [{}, {}, {}]
    write(lab, (5, 6.0), offset=3)
    assert read(lab, row)[row.id].last == 6.0
    assert [len(found[row.id].points) for found in seen[3:]] == [4]  # what is added to a whole one is shown at once


def test_an_open_alarms_window_moves_on_and_forgets_what_is_behind(lab):
    write(lab, (100, 3.0), (1, 5.0))
    row = alarm(lab)
    assert [point[1] for point in read(lab, row)[row.id].points] == [3.0, 5.0]
    lab.clock.ms += HOUR_MS
    assert [point[1] for point in read(lab, row)[row.id].points] == [5.0]


def test_late_data_that_moves_the_end_back_makes_it_read_anew(lab):
    write(lab, (300, 3.0), (1, 5.0))
    row = alarm(lab, start=NOW - 320 * MINUTE)
    assert [point[1] for point in read(lab, row)[row.id].points] == [5.0]
    row.status, row.end_ms = "cleared", NOW - 290 * MINUTE
    assert [point[1] for point in read(lab, row)[row.id].points] == [3.0]


@pytest.mark.parametrize("cut", [False, True])
def test_a_file_that_is_gone_costs_its_own_readings_only(lab, cut):
    write(lab, (70, 3.0))
    write(lab, (5, 5.0), offset=1)
    if cut:
        cut_all(lab.archive)
    row = alarm(lab)
    with lab.store.reading() as session:
        oldest = session.scalars(select(ArchiveChunk.path).order_by(ArchiveChunk.first_event_ms)).first()
    (lab.desk.archive / oldest).unlink()
    found = read(lab, row)
    assert [len(spark.points) for spark in found.values()] == [1]


def test_a_row_that_nobody_shows_any_more_is_not_read(lab, files):
    row = alarm(lab)
    read(lab, row)
    write(lab, (1, 5.0))
    lab.clock.ms += SHOWN_MS + 1
    assert lab.desk.sparks.turn() == 0
    assert files == []


def test_the_pictures_kept_are_bounded_and_the_oldest_goes(lab, monkeypatch):
    monkeypatch.setattr(sparks, "KEPT", 3)
    assert KEPT == 1_000
    write(lab, (5, 5.0))
    rows = [alarm(lab, tag=f"T{n}") for n in range(1, 2)]
    read(lab, *rows)
    store = lab.desk.sparks
    for n in range(5):
        store._note(Wanted(f"{n}", FIRM, "T9", NOW - SPAN_MS, NOW), NOW)
    assert list(store._pictures) == ["2", "3", "4"]
    assert store.of(rows) == {}


def test_a_page_waits_for_a_first_reading_and_no_longer_than_its_patience(lab):
    write(lab, (5, 5.0))
    row, stop = alarm(lab), threading.Event()
    assert lab.desk.sparks.of([row], patience_s=600) == {}  # nobody reads: it does not wait at all
    thread = threading.Thread(target=lab.desk.sparks.job, args=(stop,))
    thread.start()
    try:
        other = Sparks(lab.store, lab.desk.archive, lab.clock)
        other._running = True  # its thread hangs
        assert other.of([row], patience_s=0.01) == {}
        assert lab.desk.sparks.of([row], patience_s=60)[row.id].last == 5.0
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


def test_the_thread_outlives_an_archive_that_is_away(lab, monkeypatch):
    write(lab, (5, 5.0))
    row, stop, tries = alarm(lab), threading.Event(), []
    turn = Sparks.turn

    def fails_first(self):
        tries.append(1)
        if len(tries) == 1:
            raise OSError("the folder is away")
        return turn(self)

    monkeypatch.setattr(Sparks, "turn", fails_first)
    monkeypatch.setattr(sparks, "AGAIN_S", 0.0)
    thread = threading.Thread(target=lab.desk.sparks.job, args=(stop,))
    thread.start()
    try:
        lab.desk.sparks._missing.set()
        while not tries:
            lab.desk.sparks._missing.set()
        assert lab.desk.sparks.of([row], patience_s=60)[row.id].last == 5.0
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_picture_is_drawn_between_its_edges_with_its_limits_and_says_itself(lab, language):
    write(lab, *((minute, 4.0 + (60 - minute) / 10) for minute in range(60, 0, -1)))
    row = alarm(lab)
    drawn = picture(row, read(lab, row)[row.id], language)
    assert drawn["beyond"]
    (line,) = drawn["lines"]
    places = [tuple(map(float, corner.split(","))) for corner in line.split()]
    assert len(places) > 20
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    xs = [x for x, _ in places]
    assert xs == sorted(xs)
    assert min(xs) > WIDTH / 3  # the hour before has none
    assert places[0][1] > places[-1][1]  # it rises
    assert len(drawn["limits"]) == 2
    assert drawn["limits"][0] > places[-1][1]  # beyond the high one
    assert drawn["start"] is not None
    words = ["T1", "9.9 °C", "4 °C", "2 °C", "8 °C", "2 h" if language == "en" else "2小时"]
    assert [word for word in words if word not in drawn["label"]] == []


def test_a_silence_is_a_hole_in_the_line_not_a_bridge(lab):
    write(lab, *((minute, 5.0) for minute in (100, 98, 96, 94, 92, 90, 20, 18, 16)))
    row = alarm(lab)
    drawn = picture(row, read(lab, row)[row.id], "en")
    assert len(drawn["lines"]) == 2
    assert not drawn["beyond"]


def test_rare_readings_are_one_line(lab):
    write(lab, *((minute, 5.0) for minute in (110, 85, 60, 35, 10)))
    row = alarm(lab)
    assert len(picture(row, read(lab, row)[row.id], "en")["lines"]) == 1


def test_a_single_reading_without_limits_is_a_dot_in_the_middle(lab):
    write(lab, (5, 5.0))
    row = alarm(lab, evidence=Evidence())
    drawn = picture(row, read(lab, row)[row.id], "en")
    assert (drawn["limits"], drawn["last"][1], drawn["beyond"]) == ([], HEIGHT / 2, False)
    assert "limit" not in drawn["label"]


def test_without_readings_nothing_is_drawn(lab):
    row = alarm(lab)
    assert picture(row, read(lab, row).get(row.id), "en") is None
