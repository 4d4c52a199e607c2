"""Late rows that wait: found by series and time, taken by time, written down and put back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import held
from rules.engine import Engine
from rules.held import Held
from rules.layout import NONE, QUALITY_BITS
from rules.snapshot import SnapshotError, open_snapshot, sealed
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, sensor

SERIES = 3
ROWS = st.dictionaries(
    st.tuples(st.integers(0, SERIES - 1), st.integers(0, 50).map(lambda i: i * 60_000) | st.integers(0, 10**13)),
    st.tuples(st.integers(0, 5), st.floats(-50, 50), st.integers(0, 7)),
    max_size=200,
)


def holding(rows: dict[tuple[int, int], tuple[int, float, int]]) -> Held:
    one = Held(SERIES)
    for (slot, t), (batch, value, quality) in rows.items():
        if one.size[0] == len(one.rows):
            one.grow()
        held.hold(one.rows, one.values, one.table, one.size, one.of, slot, t, batch, value, quality)
    return one


@given(ROWS, st.sets(st.integers(0, SERIES - 1)))
def test_what_is_held_is_found_and_taken_by_time(
    rows: dict[tuple[int, int], tuple[int, float, int]], taken: set[int]
) -> None:
    one = holding(rows)
    for i, (slot, t) in enumerate(rows):
        assert held.find(one.rows, one.table, slot, t) == i
        assert (
            held.find(one.rows, one.table, slot, t + 1) == list(rows).index((slot, t + 1))
            if (slot, t + 1) in rows
            else -1
        )
    for slot in range(SERIES):
        mine = [t for of, t in rows if of == slot]
        assert one.of[slot].tolist() == [min(mine, default=NONE), len(mine)]
    found = one.take(sorted(taken))
    assert [slot for slot, _ in found] == sorted({slot for slot, _ in rows} & taken)
    for slot, part in found:
        wanted = [(t, (b << QUALITY_BITS) | q, v) for (of, t), (b, v, q) in sorted(rows.items()) if of == slot]
        values = part.view(np.float64)[:, held.HELD_V].tolist()
        assert list(zip(part[:, held.HELD_T].tolist(), part[:, held.HELD_BQ].tolist(), values, strict=True)) == wanted
    for slot, t in rows:
        assert (held.find(one.rows, one.table, slot, t) >= 0) is (slot not in taken)
    assert one.slots() == sorted({slot for slot, _ in rows} - taken)
    if not one.slots():
        assert one.rows.size == 0


@given(ROWS)
def test_what_is_held_is_written_down_and_put_back(rows: dict[tuple[int, int], tuple[int, float, int]]) -> None:
    tags = [f"T{i}" for i in range(SERIES)]
    packed = holding(rows).pack(tags)
    assert packed == holding(dict(reversed(rows.items()))).pack(tags), "in whatever order it came"
    other = Held(SERIES)
    for tag, words in packed:
        other.put_back(tags.index(tag), words)
    assert other.pack(tags) == packed
    assert other.of.tolist() == holding(rows).of.tolist()
    for slot, t in rows:
        assert held.find(other.rows, other.table, slot, t) >= 0


def waiting() -> bytes:
    hand = HandLog().register(-1, sensor()).rows(9, ("T1", list(range(10)), [5.0 + i / 10 for i in range(10)]))
    engine = Engine(BUNDLE)
    for record in hand.rows(10, ("T1", [3.5, 2.5], [5.0, 5.1])).records():
        engine.fold(record)
    return engine.snapshot(0, FACILITY)


def row(t: int) -> bytes:
    return np.array([t, 0, 0], np.int64).tobytes()


@pytest.mark.parametrize(
    "rows",
    [
        [("T2", row(1))], [("T1", b"")], [("T1", b"1234567")], [("T1", row(1) + row(1))], [("T1", row(2) + row(1))],
        [("T1", row(1)), ("T1", row(2))],
    ],
)  # fmt: skip
def test_held_rows_of_a_snapshot_are_those_that_a_fold_leaves(rows: list[tuple[str, bytes]]) -> None:
    body, _ = open_snapshot(waiting())
    assert isinstance(body.held, list)
    assert [(tag, len(words)) for tag, words in body.held] == [("T1", 2 * 3 * 8)]
    Engine(BUNDLE).restore(0, FACILITY, sealed(body))
    body.held = rows
    with pytest.raises(SnapshotError):
        Engine(BUNDLE).restore(0, FACILITY, sealed(body))
