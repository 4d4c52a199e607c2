"""Readings for charts: all rows when few, the telling ones when many, late ones marked, what is missing named."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from msgspec import structs
from sqlalchemy import select

from monitor.archive.chunkfile import HOUR_MS, RawRecord
from monitor.archive.columns import FUTURE_MS, Reduction
from monitor.archive.reader import ArchiveReader
from monitor.store.desk_tables import OperatorAlarm
from monitor.store.tables import ArchiveChunk
from rules.records import Readings
from streams.codec import encode, home_of
from tests.monitor.archive.making import Archive
from tests.monitor.archive.test_archive_property import cut_all

pytestmark = pytest.mark.long

HOUR_0 = 495_000 * HOUR_MS
FIRM, OTHER = "BJ-ONE", "BJ-TWO"


def batch(offset, received, rows, facility=FIRM, name=None):
    """One record; rows are (tag, time, value or None, quality)."""
    tags = tuple(dict.fromkeys(row[0] for row in rows))
    ordered = [row for tag in tags for row in rows if row[0] == tag]
    payload = Readings(
        name or f"b{offset}",
        tags,
        np.array([sum(row[0] == tag for row in rows) for tag in tags], np.int32),
        np.array([row[1] for row in ordered], np.int64),
        np.array([math.nan if row[2] is None else row[2] for row in ordered], np.float64),
        np.array([row[3] for row in ordered], np.uint8),
    )
    headers, value = encode(payload)
    return RawRecord(offset, received, 1, facility.encode(), [(n.encode(), v) for n, v in headers], value)


def drawn_log(seed, records=120):
    """Hours of two firms; now and then a batch is late, one is ahead of time, one is a repetition."""
    chance = random.Random(seed)  # noqa: S311 - a seed makes the run repeatable
    found, rows_of = [], []
    for offset in range(records):
        received = HOUR_0 + offset * 4 * HOUR_MS // records + chance.randrange(1000)
        late = chance.choice([0, 0, 0, 0, HOUR_MS, 3 * HOUR_MS, -FUTURE_MS - 60_000])
        firm = chance.choice([FIRM, FIRM, OTHER])
        rows = [
            (chance.choice("ab") + "1", max(0, received - late - chance.randrange(60_000)),
             chance.choice([None, round(chance.uniform(-50, 50), 3)]), chance.choice([0, 0, 5]))
            for _ in range(chance.randint(1, 12))
        ]  # fmt: skip
        if chance.random() < 0.3:  # one time twice: neither makes the other late
            rows.append((rows[-1][0], rows[-1][1], 7.0, 0))
        rows = [(tag, at, value, quality or 6 if value is None else quality) for tag, at, value, quality in rows]
        found.append(batch(offset, received, rows, firm))
        rows_of += [(firm, received, tag, at, value, quality)
                    for tag in dict.fromkeys(r[0] for r in rows)
                    for t, at, value, quality in rows if t == tag]  # fmt: skip
    return found, rows_of


def plainly(rows_of, firm, tag, begin, end):
    """The rows of a tag by event time, as the log has them: (time, value, quality, received, late)."""
    newest, found = -1, []
    for who, received, name, at, value, quality in rows_of:
        if (who, name) != (firm, tag):
            continue
        late = at < newest
        if at <= received + FUTURE_MS:
            newest = max(newest, at)
        if begin <= at < end:
            found.append((at, value, quality, received, late))
    return sorted(found, key=lambda row: row[0])


def rows(column):
    return [
        (int(t), None if math.isnan(v) else float(v), int(q), int(r), bool(late))
        for t, v, q, r, late in zip(
            column.time, column.value, column.quality, column.received, column.late, strict=True
        )
    ]


@pytest.fixture
def archive(store, tmp_path):
    made = Archive(store, tmp_path / "archive")
    made.begin(1)
    return made


@pytest.mark.parametrize("cut", ["no hour cut", "some hours cut", "all hours cut"])
@pytest.mark.parametrize("seed", range(4))
def test_few_rows_are_all_given_by_event_time_with_their_lateness(archive, cut, seed):
    log, wanted = drawn_log(seed)
    archive.write(0, log[:70], (7,))
    if cut != "no hour cut":
        cut_all(archive)
    archive.write(0, log[70:], (11, 3))
    if cut == "all hours cut":
        cut_all(archive)
    reader = ArchiveReader(archive.store, archive.folder)
    for begin, end in [(0, 1 << 60), (HOUR_0 + HOUR_MS, HOUR_0 + 2 * HOUR_MS), (HOUR_0 - 3 * HOUR_MS, HOUR_0)]:
        found = reader.readings(FIRM, ["a1", "b1", "none"], begin, end, points=5_000)
        assert found.missing == []
        assert rows(found.tags["none"]) == []
        for tag in ("a1", "b1"):
            plain = plainly(wanted, FIRM, tag, begin, end)
            assert rows(found.tags[tag]) == plain
            assert (found.tags[tag].rows, found.tags[tag].reduced) == (len(plain), False)
    everything = plainly(wanted, FIRM, "a1", 0, 1 << 60)
    assert {late for *_, late in everything} == {True, False}
    assert found.archived_to_ms == log[-1].timestamp


def test_what_a_chart_must_show_survives_the_reduction_however_it_was_fed():
    chance = random.Random(3)  # noqa: S311 - as above
    begin, end, points = 1_000_000, 1_000_000 + 3_600_000, 300
    times = np.sort(np.array([chance.randrange(begin, end) for _ in range(200_000)], np.int64))
    values = np.sin(times / 50_000) * 10
    values[77_777], values[123_456] = 99.0, -99.0
    values[5_000] = math.nan
    quality = np.zeros(len(times), np.uint8)
    quality[[5_000, 150_001]] = 6
    order = np.array(chance.sample(range(len(times)), len(times)))
    whole, pieces = Reduction(begin, end, points), Reduction(begin, end, points)
    whole.add(times, values, quality, end)
    at = 0
    while at < len(times):
        size = chance.choice([1, 100, 5_000, 70_000])
        pieces.add(times[at : at + size], values[at : at + size], quality[at : at + size], end)
        at += size
    column = whole.column()
    assert rows(pieces.column()) == rows(column)
    assert column.rows == len(times)
    assert column.reduced
    assert len(column.time) <= points
    assert {99.0, -99.0} <= set(column.value.tolist())
    assert {int(times[5_000]), int(times[150_001])} <= set(column.time[column.quality != 0].tolist())
    assert column.time[0] == times[0]
    assert column.time[-1] == times[-1]
    assert (np.diff(column.time) >= 0).all()
    width = -(-(end - begin) // (points // 6))
    for stretch in range(points // 6):
        inside = (times - begin) // width == stretch
        kept = (column.time - begin) // width == stretch
        assert column.value[kept & ~np.isnan(column.value)].max() == np.nanmax(values[inside])
        assert column.value[kept & ~np.isnan(column.value)].min() == np.nanmin(values[inside])
    shuffled = Reduction(begin, end, points)
    for part in np.array_split(order, 50):
        shuffled.add(times[part], values[part], quality[part], end)
    late = shuffled.column()
    assert late.late.any()
    assert len(late.time) <= points


def test_a_late_row_is_known_as_late_though_the_newer_one_lies_behind_the_span(archive):
    archive.write(0, [
        batch(0, HOUR_0 + 1, [("a1", HOUR_0, 1.0, 0)]),
        batch(1, HOUR_0 + 5 * HOUR_MS, [("a1", HOUR_0 + 5 * HOUR_MS, 2.0, 0)]),
        batch(2, HOUR_0 + 6 * HOUR_MS, [("a1", HOUR_0 + 60_000, 3.0, 0)]),
    ])  # fmt: skip
    cut_all(archive)
    found = ArchiveReader(archive.store, archive.folder).readings(FIRM, ["a1"], HOUR_0, HOUR_0 + HOUR_MS)
    assert [row[-1] for row in rows(found.tags["a1"])] == [False, True]


def test_a_batch_under_an_id_with_other_content_is_not_drawn(archive):
    first = batch(0, HOUR_0, [("a1", HOUR_0, 20.0, 0)])
    other = structs.replace(batch(0, HOUR_0 + 9, [("a1", HOUR_0 + 5, 77.0, 0)]), offset=1)
    again = structs.replace(batch(0, HOUR_0 + 9, [("a1", HOUR_0, 20.0, 0)]), offset=2)
    archive.write(0, [first, other, again, batch(3, HOUR_0 + 10, [("a1", HOUR_0 + 6, 21.0, 0)])])
    found = ArchiveReader(archive.store, archive.folder).readings(FIRM, ["a1"], HOUR_0, HOUR_0 + HOUR_MS)
    assert [row[1] for row in rows(found.tags["a1"])] == [20.0, 20.0, 21.0]


@pytest.mark.parametrize("cut", [False, True])
def test_readings_in_a_foreign_partition_are_not_drawn(store, tmp_path, cut):
    archive = Archive(store, tmp_path / "archive")
    archive.begin(3)
    home = home_of(FIRM, 3)
    for partition in range(3):
        archive.write(partition, [batch(0, HOUR_0, [("a1", HOUR_0 + partition, float(partition), 0)])])
    if cut:
        cut_all(archive)
    found = ArchiveReader(store, archive.folder).readings(FIRM, ["a1"], HOUR_0, HOUR_0 + HOUR_MS)
    assert [(row[0], row[1]) for row in rows(found.tags["a1"])] == [(HOUR_0 + home, float(home))]


@pytest.mark.parametrize("damage", ["gone", "flipped", "short", "long", "unreadable"])
@pytest.mark.parametrize("cut", [False, True])
def test_a_damaged_file_is_named_told_and_shown_as_missing_never_as_silence(archive, damage, cut):
    archive.write(0, [batch(n, HOUR_0 + n * HOUR_MS, [("a1", HOUR_0 + n * HOUR_MS, float(n), 0)]) for n in range(3)])
    if cut:
        cut_all(archive)
    with archive.store.reading() as session:
        row = session.scalars(select(ArchiveChunk).where(ArchiveChunk.hour_ms == HOUR_0 + HOUR_MS)).one()
    path = archive.folder / row.path
    blob = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "unreadable":
        path.unlink()
        path.mkdir()
    else:
        blob[len(blob) // 2] ^= 1
        path.write_bytes({"flipped": blob, "short": blob[:-1], "long": blob + b"x"}[damage])
    reader = ArchiveReader(archive.store, archive.folder)
    found = reader.readings(FIRM, ["a1"], HOUR_0, HOUR_0 + 3 * HOUR_MS)
    assert [row[1] for row in rows(found.tags["a1"])] == [0.0, 2.0]
    (span,) = found.missing
    assert span.from_ms <= HOUR_0 + HOUR_MS < span.to_ms
    assert span.detail == row.path
    assert span.code == ("chunk_missing" if damage == "gone" else "chunk_damaged")
    with archive.store.reading() as session:
        (alarm,) = session.scalars(select(OperatorAlarm)).all()
        assert (alarm.code, alarm.subject, alarm.count) == ("archive_damaged", row.path[-128:], 1)
    given = []
    with pytest.raises(Exception, match=r"hash|size|not there|read") as caught:
        given.extend(reader.records())
    assert caught.value.code == span.code
    assert [record.offset for record in given] == [0]
    assert "archive verify" in caught.value.report()


def test_what_kafka_dropped_before_it_was_archived_is_missing_too(archive):
    archive.write(0, [batch(0, HOUR_0, [("a1", HOUR_0, 1.0, 0)])])
    again = Archive(archive.store, archive.folder, archive.clock)
    assert sum(again.begin(1, begins=10).values()) == 9
    again.write(0, [batch(10, HOUR_0 + 9000, [("a1", HOUR_0 + 9000, 2.0, 0)])])
    reader = ArchiveReader(archive.store, archive.folder)
    found = reader.readings(FIRM, ["a1"], HOUR_0 - 5, HOUR_0 + 20_000)
    (span,) = found.missing
    assert (span.from_ms, span.to_ms, span.code) == (HOUR_0, HOUR_0 + 9000, "lost_before_archived")
    assert "offsets 1 to 9" in span.detail
    assert reader.gaps() == [(0, 1, 10)]
    assert reader.places == [(0, 0, 11)]
    with archive.store.reading() as session:
        (alarm,) = session.scalars(select(OperatorAlarm)).all()
        assert alarm.code == "archive_gap"
        assert "offsets 1 to 9" in alarm.detail


@pytest.mark.parametrize(
    "wrong",
    [
        {"tags": []},
        {"tags": [str(n) for n in range(201)]},
        {"to_ms": 0},
        {"points": 99},
        {"points": 20_001},
    ],
)
def test_a_question_out_of_bounds_is_refused(archive, wrong):
    asked = {"tags": ["a1"], "from_ms": 0, "to_ms": 10} | wrong
    with pytest.raises(ValueError, match="tags"):
        ArchiveReader(archive.store, archive.folder).readings(FIRM, **asked)


def test_an_empty_archive_answers_nothing(store, tmp_path):
    reader = ArchiveReader(store, tmp_path)
    found = reader.readings(FIRM, ["a1"], 0, 10)
    assert (found.tags["a1"].rows, found.missing, found.archived_to_ms) == (0, [], None)
    assert list(reader.records()) == list(reader.records(FIRM)) == []
