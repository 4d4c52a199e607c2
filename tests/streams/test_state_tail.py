"""Rows of the state topic one after the other: snapshots come whole or not at all, whatever compaction has left."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rules.engine import Engine, PartitionState
from rules.pack import default_bundle
from streams import statetail
from streams.checkpoint import (
    PART_HEADER,
    Marker,
    StateRows,
    encode_marker,
    encode_roster,
    marker_key,
    packs_key,
    part_count,
    read_key,
    roster_key,
    snapshot_rows,
)
from streams.quarantine import Quarantine, encode_note
from streams.statetail import HeldRow, MarkerRow, RosterRow, SnapshotRow, StateTail, UnreadRow
from tests.rules.duelogs import FIRM

BASE = PartitionState()


def rows(facility, snapshot, part_bytes=4):
    return [(row.key, row.value, list(row.headers)) for row in snapshot_rows("s", 0, facility, snapshot, part_bytes)]


def taken(found, tail=None, partition=0):
    tail = tail or StateTail()
    return [seen for row in found if (seen := tail.take(partition, *row)) is not None]


def test_a_snapshot_of_one_part_and_of_many_comes_whole():
    for size in (0, 1, 4, 5, 11):
        snapshot = bytes(range(size))
        assert taken(rows(FIRM, snapshot)) == [SnapshotRow(FIRM, snapshot)]


def test_the_newest_of_each_is_what_holds():
    first, second = rows(FIRM, b"aaaabbbb"), rows(FIRM, b"cccc")
    left_over = (f"{FIRM}#1".encode(), None, [])
    assert taken([*first, *second, left_over]) == [SnapshotRow(FIRM, b"aaaabbbb"), SnapshotRow(FIRM, b"cccc")]


def test_it_says_of_which_partitions_a_snapshot_is_not_whole():
    tail, (first, second) = StateTail(), rows(FIRM, b"aaaabbbb")
    assert tail.begun == frozenset()
    tail.take(3, *first)
    assert tail.begun == {3}
    tail.take(3, *second)
    assert tail.begun == frozenset()


def test_parts_of_two_partitions_do_not_mix():
    tail = StateTail()
    one, other = rows(FIRM, b"aaaabbbb"), rows("BJ-DUE-0002", b"ccccdddd")
    found = [
        tail.take(0, *one[0]), tail.take(1, *other[0]), tail.take(0, *one[1]), tail.take(1, *other[1]),
    ]  # fmt: skip
    assert found == [None, None, SnapshotRow(FIRM, b"aaaabbbb"), SnapshotRow("BJ-DUE-0002", b"ccccdddd")]


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5), st.data())
def test_whatever_compaction_takes_of_older_rows_no_snapshot_is_made_of_pieces(versions, data):
    """Kafka's cleaner takes, before some offset, all that has a newer row of its key before that offset."""
    every, parts = [], 0
    for version in versions:
        found = rows(FIRM, version)
        every += [*found, *((f"{FIRM}#{i}".encode(), None, []) for i in range(len(found), parts))]
        parts = len(found)
    cleaned = data.draw(st.integers(0, len(every)))
    newest = {key: i for i, (key, _, _) in enumerate(every[:cleaned])}
    kept = [row for i, row in enumerate(every) if i >= cleaned or newest[row[0]] == i]
    seen = [one.snapshot for one in taken(kept)]
    assert seen == versions[len(versions) - len(seen) :]
    assert seen[-1] == versions[-1]


def test_a_part_that_is_marked_as_another_one_is_none():
    (key, value, _), second = rows(FIRM, b"aaaabbbb")
    assert taken([(key, value, [(PART_HEADER, b"1/2")]), second]) == []
    assert part_count(0, [(PART_HEADER, b"0/2")]) == 2
    assert part_count(0, []) == 1
    assert part_count(0, [(PART_HEADER, b"nonsense")]) == 0


def test_a_snapshot_that_is_too_large_is_told_and_not_kept(monkeypatch):
    monkeypatch.setattr(statetail, "MAX_BYTES", 10)
    assert taken([*rows(FIRM, b"x" * 11), *rows(FIRM, b"x" * 10)]) == [
        UnreadRow(FIRM, 11),
        SnapshotRow(FIRM, b"x" * 10),
    ]


def test_a_facility_that_is_forgotten_and_one_that_is_quarantined():
    note = Quarantine(facility=FIRM, partition=0, begin=1, base=BASE, offset=1, deaths=3, since=0)
    key = f"quarantine-{FIRM}".encode()
    assert taken([(FIRM.encode(), None, []), (key, encode_note(note), []), (key, None, [])]) == [
        SnapshotRow(FIRM, None), HeldRow(FIRM, held=True), HeldRow(FIRM, held=False),
    ]  # fmt: skip
    assert taken([(b"watch-p0", b"{}", []), (f"release-{FIRM}".encode(), b"{}", [])]) == []


def test_marker_roster_and_packs():
    state = BASE.model_copy(update={"clock": 7})
    marker = Marker(partition=3, next=1, low=1, state=state, facilities=0, roster="", origin=None)
    packs = default_bundle().to_record()
    found = [
        (marker_key(3), encode_marker(marker), []),
        (roster_key(3), encode_roster([FIRM]), []),
        (packs_key(packs.sha256), packs.model_dump_json().encode(), []),
    ]
    assert taken(found, partition=3) == [MarkerRow(7), RosterRow(frozenset([FIRM])), packs]
    assert taken(found[:1], partition=4) == []  # of another partition


def test_what_says_nothing_is_passed_over():
    never = Marker(partition=0, next=0, low=0, state=BASE, facilities=0, roster="", origin=None)
    assert taken([
        (marker_key(0), encode_marker(never), []), (marker_key(0), b"no json", []), (marker_key(0), None, []),
        (roster_key(0), b"5", []), (packs_key("0" * 64), b"{}", []), (b"no key", b"", []), (None, b"", []),
    ]) == []  # fmt: skip


def test_rows_of_a_start_are_told_apart_by_the_same_keys():
    engine = Engine(default_bundle())
    packs = engine.bundle.to_record()
    found = [
        *rows(FIRM, b"aaaabbbb"), (packs_key(packs.sha256), packs.model_dump_json().encode(), []),
        (roster_key(0), b"[]", []), (marker_key(0), b"m", []), (f"quarantine-{FIRM}".encode(), b"{}", []),
    ]  # fmt: skip
    state = StateRows(0)
    for row in found:
        state.add(*row)
    assert state.keys() == sorted(key.decode() for key, _, _ in found)
    assert state.snapshot(FIRM) == b"aaaabbbb"
    assert [read_key(key).kind for key, _, _ in found] == [
        "snapshot", "snapshot", "packs", "roster", "marker", "note",
    ]  # fmt: skip
