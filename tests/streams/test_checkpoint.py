"""The rows of a checkpoint: what is written is read back, and what is not whole is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from rules.canonical import canonical_bytes, sha256_hex
from rules.engine import PartitionState
from rules.pack import Bundle
from rules.snapshot import SnapshotError
from streams.checkpoint import (
    Marker,
    Origin,
    StateLostError,
    StateRows,
    decode_marker,
    encode_marker,
    encode_roster,
    marker_key,
    packs_key,
    roster_key,
    roster_of,
    snapshot_rows,
)

PACKS = Bundle.of([], [])


def marker(**changes: Any) -> Marker:
    values = {
        "partition": 3, "next": 40, "low": 38, "facilities": 2, "roster": roster_of(["FAC-1", "FAC-2"]),
        "origin": Origin(offset=0, packs=PACKS.sha256),
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
        (encode_marker(marker()).replace(b'"version":3', b'"version":2'), "checksum"),
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
        rows_of(*there, with_marker=marker()).rostered(marker())


@pytest.mark.parametrize("there", [("FAC-1",), ("FAC-2",), ()])
def test_the_roster_names_what_is_missing(there: tuple[str, ...]) -> None:
    rows = rows_of(*there, with_marker=marker())
    rows.add(roster_key(3), encode_roster({"FAC-2", "FAC-1"}), ())
    assert rows.rostered(marker()) == ["FAC-1", "FAC-2"]


@pytest.mark.parametrize("value", [b"", b"{", b"[1]", b"{}", encode_roster(["FAC-1"])])
def test_a_roster_that_does_not_fit_the_marker_names_nothing(value: bytes) -> None:
    rows = rows_of("FAC-1", with_marker=marker())
    rows.add(roster_key(3), value, ())
    with pytest.raises(StateLostError, match="its marker counts 2"):
        rows.rostered(marker())


def test_a_snapshot_that_the_roster_does_not_name_is_foreign() -> None:
    rows = rows_of("FAC-1", "FAC-3", with_marker=marker())
    rows.add(roster_key(3), encode_roster(["FAC-1", "FAC-2"]), ())
    with pytest.raises(StateLostError, match="has 2 snapshots"):
        rows.rostered(marker())


def test_a_roster_of_another_partition_is_refused() -> None:
    with pytest.raises(StateLostError, match="holds a roster under 'roster-p4'"):
        StateRows(3).add(roster_key(4), b"[]", ())


def test_a_marker_of_version_2_names_no_record() -> None:
    body = marker(low=40).model_dump(mode="json", exclude={"tail"}) | {"version": 2}
    value = canonical_bytes({"marker": body, "sha256": sha256_hex(body)})
    assert decode_marker(value, 3) == marker(low=40)


def test_a_marker_of_a_version_to_come_is_refused() -> None:
    body = marker().model_dump(mode="json") | {"version": 4}
    with pytest.raises(StateLostError, match="cannot be read"):
        decode_marker(canonical_bytes({"marker": body, "sha256": sha256_hex(body)}), 3)


def test_a_marker_of_version_1_is_brought_forward() -> None:
    body = marker(low=40).model_dump(mode="json", exclude={"origin", "rebuilding", "tail"}) | {"version": 1}
    value = canonical_bytes({"marker": body, "sha256": sha256_hex(body)})
    assert decode_marker(value, 3) == marker(low=40, origin=None)
    rows = rows_of("FAC-1", "FAC-2")
    rows.add(marker_key(3), value, ())
    rows.add(packs_key(PACKS.sha256), b"", ())
    assert rows.checked_marker(40) == marker(low=40), "its one bundle was in force from the beginning"
    rows.add(packs_key("0" * 64), b"", ())
    assert rows.checked_marker(40) == marker(low=40, origin=None), "which of two was first is not known"


def test_a_deleted_row_is_forgotten() -> None:
    rows = rows_of("FAC-1", "FAC-2", with_marker=marker())
    rows.add(b"FAC-2", None, ())
    assert rows.parts == {"FAC-1": 1}
    rows.add(marker_key(3), None, ())
    assert rows.marker is None
    rows.add(b"FAC-9", None, ())
    rows.add(packs_key(PACKS.sha256), None, ())
    assert rows.parts == {"FAC-1": 1}


@pytest.mark.parametrize("size", [0, 1, 999, 1_000, 1_001, 5_500])
def test_a_large_snapshot_stands_in_parts_and_is_joined(size: int) -> None:
    snapshot = bytes(i % 251 for i in range(size))
    rows = StateRows(3)
    for row in snapshot_rows("state", 3, "FAC-1", snapshot, 1_000):
        assert len(row.value or b"") <= 1_000
        rows.add(row.key, row.value, row.headers)
    assert rows.snapshot("FAC-1") == snapshot
    assert rows.parts == {"FAC-1": max(1, -(-size // 1_000))}


def test_a_snapshot_that_shrank_leaves_old_parts_unread() -> None:
    rows = StateRows(3)
    for size in (3_500, 1_500):
        for row in snapshot_rows("state", 3, "FAC-1", b"a" * size, 1_000):
            rows.add(row.key, row.value, row.headers)
    assert rows.snapshot("FAC-1") == b"a" * 1_500


def test_a_missing_part_is_a_bad_snapshot() -> None:
    rows = StateRows(3)
    for row in snapshot_rows("state", 3, "FAC-1", b"a" * 3_500, 1_000):
        if row.key != b"FAC-1#2":
            rows.add(row.key, row.value, row.headers)
    with pytest.raises(SnapshotError, match="a part of it is missing"):
        rows.snapshot("FAC-1")


def test_a_missing_first_part_is_a_bad_snapshot() -> None:
    rows = StateRows(3)
    for row in snapshot_rows("state", 3, "FAC-1", b"a" * 1_500, 1_000)[1:]:
        rows.add(row.key, row.value, row.headers)
    with pytest.raises(SnapshotError, match="a part of it is missing"):
        rows.snapshot("FAC-1")


@pytest.mark.parametrize("key", [None, b"", b"fac-1", b"p", b"packs-12", b"\xff", b"FAC-1#", b"FAC-1#x"])
def test_a_row_under_a_key_that_nobody_writes_is_refused(key: bytes | None) -> None:
    with pytest.raises(StateLostError, match="holds a row under"):
        StateRows(3).add(key, b"", ())


def test_a_marker_of_another_partition_is_refused() -> None:
    with pytest.raises(StateLostError, match=re.escape("holds a marker under 'p4'")):
        StateRows(3).add(b"p4", b"", ())


@pytest.mark.parametrize("header", [b"1/2", b"", b"0", b"\xff", b"0/0"])
def test_a_part_that_is_marked_as_another_spoils_that_snapshot_only(header: bytes) -> None:
    rows = rows_of("FAC-1", "FAC-2")
    rows.add(b"FAC-1", b"x", (("part", header),))
    with pytest.raises(SnapshotError, match="snapshot of FAC-1: a part of it is missing"):
        rows.snapshot("FAC-1")
    assert rows.snapshot("FAC-2") == b"state of FAC-2"


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
