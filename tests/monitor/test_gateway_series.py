"""The table of newest readings against a plain one, row by row."""

from __future__ import annotations

import math
from statistics import median_low

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.gateway.series import ADVANCES, SERIES_PER_FACILITY, UNREGISTERED_PER_FACILITY, SeriesTable
from rules.layout import FUTURE_MS
from rules.records import Readings
from tests.rules.logs import Row, readings

NOW = 10_000_000
ROOM = 1_000_000


class Plain:
    """What the table means, one row at a time."""

    def __init__(self):
        self.newest = {}
        self.advances = {}
        self.future = 0

    def take(self, rows, received):
        by_tag = {}
        for row in rows:
            if row.t > received + FUTURE_MS:
                self.future += 1
            else:
                by_tag.setdefault(row.tag, []).append(row)
        for tag, own in by_tag.items():
            top = max(row.t for row in own)
            known = self.newest.get(tag)
            if known is not None and top <= known[0]:
                continue
            step = top - known[0] if known else top - min(row.t for row in own)
            if step > 0:
                self.advances.setdefault(tag, []).append(step)
            candidates = [row for row in own if row.t == top]
            row = candidates[-1] if own[-1].t == top else candidates[0]
            self.newest[tag] = (row.t, row.v, row.q, received)

    def spacing(self, tag):
        kept = self.advances.get(tag, [])[-ADVANCES:]
        return median_low(kept) if kept else -1


rows = st.lists(
    st.builds(
        Row,
        tag=st.sampled_from(["A", "B", "C"]),
        t=st.integers(NOW - 50, NOW + 10) | st.just(NOW + FUTURE_MS + 1_000),
        v=st.floats(-10, 10) | st.just(math.nan),
        q=st.just(6),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: (row.tag, row.t),
)


@given(st.lists(rows, min_size=1, max_size=12))
def test_the_table_holds_what_a_plain_one_holds(batches):
    table, plain = SeriesTable(), Plain()
    for i, batch in enumerate(batches):
        table.take(readings(batch), NOW + i, {"A", "B", "C"}, ROOM)
        plain.take(batch, NOW + i)
    spacing = table.spacing()
    assert table.future == plain.future
    for tag, i in table.slots.items():
        found = (table.time[i], table.value[i], table.quality[i], table.received[i])
        expected = plain.newest.get(tag)
        if expected is None:
            assert found[3] == -1
        else:
            assert np.array_equal(found, expected, equal_nan=True)
        assert spacing[i] == plain.spacing(tag)


def test_a_batch_sent_again_changes_no_newest_reading():
    table = SeriesTable()
    batch = readings([Row("A", 1_000, 1.0), Row("A", 2_000, 2.0)])
    assert table.take(batch, NOW, {"A"}, ROOM) == 1
    assert table.take(batch, NOW + 9, {"A"}, ROOM) == 0
    assert (table.time[0], table.value[0], table.received[0]) == (2_000, 2.0, NOW)


def test_made_up_tags_fill_their_own_share_and_leave_registered_ones_their_place():
    table = SeriesTable()
    made_up = [Row(f"X{i}", 1, 1.0) for i in range(UNREGISTERED_PER_FACILITY + 7)]
    table.take(readings(made_up), NOW, {"A"}, ROOM)
    assert table.unregistered == len(table.slots) == UNREGISTERED_PER_FACILITY
    assert table.left_out == 7
    table.take(readings([Row("A", 1, 5.0)]), NOW, {"A"}, ROOM)
    assert table.value[table.slots["A"]] == 5.0
    assert table.left_out == 7


def test_no_more_series_than_there_is_room_for():
    table = SeriesTable()
    assert table.take(readings([Row(t, 1, 1.0) for t in "ABC"]), NOW, "ABC", 2) == 2
    assert table.left_out == 1
    assert table.take(readings([Row("A", 2, 1.0), Row("C", 2, 1.0)]), NOW, "ABC", 0) == 0
    assert table.left_out == 2
    assert table.time[table.slots["A"]] == 2


def test_one_facility_has_a_bound_of_its_own():
    table = SeriesTable()
    for begin in range(0, SERIES_PER_FACILITY + 5_000, 5_000):
        tags = tuple(f"T{begin + i}" for i in range(5_000))
        ones = np.ones(5_000)
        batch = Readings(
            "b", tags, ones.astype(np.int32), ones.astype(np.int64), ones, np.zeros(5_000, np.uint8)
        )  # fmt: skip
        table.take(batch, NOW, tags, ROOM)
    assert len(table.slots) == SERIES_PER_FACILITY
    assert table.left_out == 5_000


def test_the_first_posts_length_is_the_spacing_until_there_is_a_second():
    table = SeriesTable()
    table.take(readings([Row("A", 0, 1.0), Row("A", 3_000, 1.0)]), NOW, {"A"}, ROOM)
    table.take(readings([Row("B", 0, 1.0)]), NOW, {"B"}, ROOM)
    assert table.spacing().tolist() == [3_000, -1]
