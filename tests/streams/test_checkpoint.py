"""The rows of a checkpoint: what is written is read back, and what is not whole is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from rules.engine import PartitionState
from rules.pack import Bundle
from streams.checkpoint import (
    Marker,
    StateLostError,
    StateRows,
    decode_marker,
    encode_marker,
    marker_key,
    packs_key,
    roster_of,
    snapshot_rows,
)

PACKS = Bundle.of([], [])


def marker(**changes: Any) -> Marker:
    values = {
        "partition": 3, "next": 40, "low": 40, "facilities": 2, "roster": roster_of(["FAC-1", "FAC-2"]),
        "state": PartitionState(next_offset=40, clock=1_767_225_600_000, packs=PACKS.sha256),
    }  # fmt: skip
    return Marker.model_validate(values | changes)


def rows_of(*facilities: str, with_marker: Marker | None = None) -> StateRows:
    rows = StateRows(3)
    for facility in facilities:
        for row in snapshot_rows("state", 3, facility, b"state of " + facility.encode(), 1_000):
            rows.add(row.key, row.value, row.headers)
    if with_marker is not None:
        rows.add(marker_key(3), encode_marker(with_marker), ())
    return rows


def test_a_marker_is_read_as_it_was_written() -> None:
    assert decode_marker(encode_marker(marker()), 3) == marker()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[]", "cannot be read"),
        (b'{"marker": {}}', "cannot be read"),
        (encode_marker(marker()).replace(b'"next":40', b'"next":41'), "checksum"),
        (encode_marker(marker(partition=4)), "belongs to partition 4"),
        (encode_marker(marker(low=41)), "belongs to"),
        (encode_marker(marker()).replace(b'"version":1', b'"version":2'), "checksum"),
    ],
)
def test_a_marker_that_is_not_whole_is_refused(value: bytes, says: str) -> None:
    with pytest.raises(StateLostError, match=says):
        decode_marker(value, 3)


def test_a_whole_checkpoint_is_accepted() -> None:
    rows = rows_of("FAC-1", "FAC-2", with_marker=marker())
    assert rows.checked_marker(40) == marker()
    assert rows.checked_marker(None) == marker(), "a deleted consumer group changes nothing"
    assert rows.checked_marker(12) == marker(), "the marker rules over the group's offset"
    assert rows.snapshot("FAC-1") == b"state of FAC-1"


def test_a_partition_that_nobody_folded_has_no_marker() -> None:
    assert rows_of().checked_marker(None) is None


def test_a_group_offset_without_a_marker_is_lost_state() -> None:
    with pytest.raises(StateLostError, match="group offset 12 and no marker"):
        rows_of().checked_marker(12)


def test_snapshots_without_a_marker_are_lost_state() -> None:
    with pytest.raises(StateLostError, match="1 snapshots and no marker"):
        rows_of("FAC-1").checked_marker(None)


def test_packs_without_a_marker_are_lost_state() -> None:
    rows = rows_of()
    rows.add(packs_key(PACKS.sha256), PACKS.to_record().model_dump_json().encode(), ())
    with pytest.raises(StateLostError):
        rows.checked_marker(None)


@pytest.mark.parametrize("there", [("FAC-1",), ("FAC-1", "FAC-3"), ("FAC-1", "FAC-2", "FAC-3"), ()])
def test_a_missing_or_a_foreign_snapshot_is_seen(there: tuple[str, ...]) -> None:
    with pytest.raises(StateLostError, match="its marker counts 2"):
        rows_of(*there, with_marker=marker()).checked_marker(40)


def test_a_deleted_row_is_forgotten() -> None:
    rows = rows_of("FAC-1", "FAC-2", with_marker=marker())
    rows.add(b"FAC-2", None, ())
    assert rows.facilities == ["FAC-1"]
    rows.add(marker_key(3), None, ())
    assert rows.marker is None
    rows.add(b"FAC-9", None, ())
    rows.add(packs_key(PACKS.sha256), None, ())
    assert rows.facilities == ["FAC-1"]


@pytest.mark.parametrize("size", [0, 1, 999, 1_000, 1_001, 5_500])
def test_a_large_snapshot_stands_in_parts_and_is_joined(size: int) -> None:
    snapshot = bytes(i % 251 for i in range(size))
    rows = StateRows(3)
    for row in snapshot_rows("state", 3, "FAC-1", snapshot, 1_000):
        assert len(row.value) <= 1_000
        rows.add(row.key, row.value, row.headers)
    assert rows.snapshot("FAC-1") == snapshot
    assert rows.facilities == ["FAC-1"]


def test_a_snapshot_that_shrank_leaves_old_parts_unread() -> None:
    rows = StateRows(3)
    for size in (3_500, 1_500):
        for row in snapshot_rows("state", 3, "FAC-1", b"a" * size, 1_000):
            rows.add(row.key, row.value, row.headers)
    assert rows.snapshot("FAC-1") == b"a" * 1_500


def test_a_missing_part_is_lost_state() -> None:
    rows = StateRows(3)
    for row in snapshot_rows("state", 3, "FAC-1", b"a" * 3_500, 1_000):
        if row.key != b"FAC-1#2":
            rows.add(row.key, row.value, row.headers)
    with pytest.raises(StateLostError, match="a part of it is missing"):
        rows.snapshot("FAC-1")


def test_a_missing_first_part_is_lost_state() -> None:
    rows = StateRows(3)
    for row in snapshot_rows("state", 3, "FAC-1", b"a" * 1_500, 1_000)[1:]:
        rows.add(row.key, row.value, row.headers)
    with pytest.raises(StateLostError, match="a part of it is missing"):
        rows.snapshot("FAC-1")


@pytest.mark.parametrize("key", [None, b"", b"fac-1", b"p", b"packs-12", b"\xff", b"FAC-1#", b"FAC-1#x"])
def test_a_row_under_a_key_that_nobody_writes_is_refused(key: bytes | None) -> None:
    with pytest.raises(StateLostError, match="holds a row under"):
        StateRows(3).add(key, b"", ())


def test_a_marker_of_another_partition_is_refused() -> None:
    with pytest.raises(StateLostError, match=re.escape("holds a marker under 'p4'")):
        StateRows(3).add(b"p4", b"", ())


def test_a_part_that_is_marked_as_another_is_refused() -> None:
    with pytest.raises(StateLostError, match="part 0 is marked"):
        StateRows(3).add(b"FAC-1", b"x", (("part", b"1/2"),))


def test_the_packs_that_state_was_folded_with_are_kept_with_it() -> None:
    rows = rows_of()
    rows.add(packs_key(PACKS.sha256), PACKS.to_record().model_dump_json().encode(), ())
    assert [Bundle.from_record(record) for record in rows.bundles()] == [PACKS]
    rows.add(packs_key("0" * 64), b"{}", ())
    with pytest.raises(StateLostError, match="packs of partition 3"):
        rows.bundles()


def test_a_marker_is_canonical_json() -> None:
    text = encode_marker(marker()).decode()
    assert json.loads(text)["marker"]["next"] == 40
    assert text == json.dumps(json.loads(text), separators=(",", ":"), sort_keys=True)
