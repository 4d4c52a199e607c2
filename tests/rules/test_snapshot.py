"""Snapshots: what is written is read back; broken, foreign and huge ones are refused without harm; old ones migrate."""

# Above 400 lines on purpose: every way to break a snapshot stands beside the others.

from __future__ import annotations

import base64
import hashlib
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules import layout, migrate, snapshot
from rules.engine import Engine
from rules.kinds import gap
from rules.migrate import FORMAT, MigrationError, describe, migrated, recast
from rules.pack import default_bundle
from rules.records import SEMANTICS, Kind, LogRecord, StateRecord, Tick
from rules.snapshot import SnapshotError, open_snapshot, sealed, unpacked
from rules.stored import LAYOUTS
from tests.examples import examples
from tests.rules import logs

if TYPE_CHECKING:
    from collections.abc import Callable

BUNDLE = default_bundle()
ENTITY = logs.facility([("T0", "A1", 60), ("T1", "A2", 300)])
QUICK = settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def engine_with_state() -> Engine:
    engine = Engine(BUNDLE)
    rows = [logs.Row("T0", logs.BEGIN + 60_000 * i, 5.0 if i < 4 else 9.0) for i in range(9)]
    for record in logs.records(ENTITY, [(logs.BEGIN + 600_000, rows), (logs.BEGIN + 9_000_000, "gateway")]):
        engine.fold(record)
    return engine


STATE = engine_with_state()
BYTES = STATE.snapshot(0, ENTITY.id)


ZSTD, ZLIB = b"OFS2", b"OFS1"


def packed(body: Any) -> bytes:
    return framed(zstandard.compress(msgspec.msgpack.encode(body)))


def framed(squeezed: bytes, magic: bytes = ZSTD) -> bytes:
    return magic + hashlib.sha256(squeezed).digest() + squeezed


def body_of(data: bytes = BYTES) -> dict[str, Any]:
    return dict(msgspec.msgpack.decode(unpacked(data)))


def restored(data: bytes) -> Engine:
    engine = Engine(BUNDLE)
    engine.restore(0, ENTITY.id, data)
    return engine


def test_a_snapshot_is_read_as_it_was_written() -> None:
    body, was_older = open_snapshot(BYTES)
    assert sealed(body) == BYTES
    assert not was_older
    assert (body.format, body.facility, body.position) == (FORMAT, ENTITY.id, 3)
    assert restored(BYTES).dirty(0) == []


def test_it_holds_the_ticks_behind_the_facilitys_own_records_too() -> None:
    assert open_snapshot(BYTES)[0].position == 3, "the tick at offset 2 is folded"
    again = restored(BYTES)
    again.restore_partition(0, engine_at_the_second_record().partition_state(0))
    tick = logs.records(ENTITY, [(0, []), (logs.BEGIN + 9_000_000, "gateway")])[2]
    assert again.fold(tick) == [], "a tick that the snapshot holds acted twice"
    assert again.snapshot(0, ENTITY.id) == BYTES


def engine_at_the_second_record() -> Engine:
    engine = Engine(BUNDLE)
    for record in logs.records(ENTITY, [(logs.BEGIN + 600_000, [logs.Row("T0", logs.BEGIN, 5.0)])]):
        engine.fold(record)
    return engine


def test_arrays_are_named_with_their_fields() -> None:
    body, _ = open_snapshot(BYTES)
    assert body.keys.keys() == {"limit", "frozen", "gap", "cumulative", "mean_kinetic", "repeat_day", "steadiness"}
    assert [field[0] for field in body.layouts["gap"]] == [field.name for field in gap.STATE.all]
    assert body.arrays.keys() == {
        "series", "rings", "limit_head", "limit_tail", "frozen_head", "frozen_tail", "gap_head",
        "cumulative_head", "cumulative_tail", "mean_kinetic_head", "mean_kinetic_tail", "repeat_day_head",
        "steadiness_head", "steadiness_tail",
    }  # fmt: skip
    assert body.arrays["limit_head"][0] == body.arrays["limit_tail"][0] == "limit"


@QUICK
@given(st.integers(0, len(BYTES) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_seen_wherever_it_is(at: int, change: int) -> None:
    broken = BYTES[:at] + bytes([BYTES[at] ^ change]) + BYTES[at + 1 :]
    with pytest.raises(SnapshotError):
        restored(broken)


@QUICK
@given(st.integers(0, len(BYTES) - 1))
def test_a_snapshot_that_is_cut_off_is_seen(length: int) -> None:
    with pytest.raises(SnapshotError):
        restored(BYTES[:length])
    with pytest.raises(SnapshotError):
        restored(framed(BYTES[36 : max(36, length)]))


OLDER = framed(zlib.compress(unpacked(BYTES), 1), ZLIB)
"""The same snapshot as it was packed before."""


def test_a_snapshot_that_zlib_packed_is_read_and_written_anew_by_zstd() -> None:
    assert OLDER[:4] != BYTES[:4] == ZSTD
    assert restored(OLDER).snapshot(0, ENTITY.id) == BYTES


@QUICK
@given(st.integers(36, len(OLDER) - 1))
def test_of_what_zlib_packed_a_cut_is_seen_too(length: int) -> None:
    with pytest.raises(SnapshotError):
        restored(framed(OLDER[36:length], ZLIB))


@pytest.mark.parametrize(
    ("squeezed", "magic"),
    [(BYTES[36:], ZLIB), (OLDER[36:], ZSTD), (OLDER[36:] + b"x", ZLIB), (BYTES[36:], b"OFS0"), (BYTES[36:], b"OFS3")],
)
def test_what_another_packer_made_or_goes_on_behind_its_end_is_refused(squeezed: bytes, magic: bytes) -> None:
    with pytest.raises(SnapshotError):
        restored(framed(squeezed, magic))


def changed(**members: Any) -> bytes:
    return packed(body_of() | members)


@pytest.mark.parametrize(
    "data",
    [
        packed([]),
        packed("no body"),
        packed({"format": "3"}),
        framed(b"not zstd"),
        framed(zstandard.compress(b"\xc1")),
        framed(zstandard.compress(msgspec.msgpack.encode(body_of())) + b"x"),
        changed(format=FORMAT + 1),
        changed(format=1),
        changed(facility="ELSE-0001"),
        changed(packs="0" * 64),
        changed(seq="118"),
        changed(more=1),
        changed(register='{"id": "TEST-0001"}'),
        changed(register="{"),
        changed(keys={}),
        changed(layouts={}),
        changed(arrays={}),
        changed(groups=[["too short"]]),
        changed(occurrences=[["limit", "r", "T0", [[1]]]]),
        changed(occurrences=[["a new kind", "r", "T0", []]]),
        changed(arrays=body_of()["arrays"] | {"gap_head": ["gap", b""]}),
        changed(arrays=body_of()["arrays"] | {"gap_head": ["limit", body_of()["arrays"]["gap_head"][1]]}),
        packed({name: value for name, value in body_of().items() if name != "clock"}),
    ],
)
def test_whole_bytes_with_a_wrong_content_are_refused_and_change_nothing(data: bytes) -> None:
    engine = engine_with_state()
    with pytest.raises(SnapshotError):
        engine.restore(0, ENTITY.id, data)
    assert engine.snapshot(0, ENTITY.id) == BYTES


def zlib_bomb() -> bytes:
    squeezer = zlib.compressobj(9)
    return framed(b"".join(squeezer.compress(bytes(1 << 20)) for _ in range(32)) + squeezer.flush(), ZLIB)


def zstd_bomb(told: bytes) -> bytes:
    """Return a frame of 32 MiB whose header says another size, or none."""
    frame = zstandard.compress(bytes(32 << 20))
    at, said = frame.index((32 << 20).to_bytes(4, "little")), (32 << 20).to_bytes(4, "little")
    return framed(frame[:at] + told + frame[at + len(said) :])


@pytest.mark.parametrize(
    "bomb",
    [
        zlib_bomb,
        lambda: zstd_bomb((32 << 20).to_bytes(4, "little")),
        lambda: zstd_bomb((1 << 19).to_bytes(4, "little")),
        lambda: framed(zstandard.ZstdCompressor(write_content_size=False).compress(bytes(32 << 20))),
    ],
    ids=["zlib", "zstd", "a false size", "no size"],
)
def test_a_bomb_takes_no_more_memory_than_a_snapshot_may(
    monkeypatch: pytest.MonkeyPatch, bomb: Callable[[], bytes]
) -> None:
    monkeypatch.setattr(snapshot, "MAX_BODY_BYTES", 1 << 20)
    data = bomb()
    tracemalloc.start()
    try:
        with pytest.raises(SnapshotError, match=r"unpacks to more than|cannot be read"):
            open_snapshot(data)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_what_could_not_be_read_again_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "MAX_BODY_BYTES", 1_000)
    with pytest.raises(SnapshotError, match="a snapshot may hold 1000"):
        STATE.snapshot(0, ENTITY.id)


def test_a_door_that_was_closed_is_in_the_next_snapshot_also_of_a_facility_where_nothing_fell_due() -> None:
    engine, begin = Engine(BUNDLE), logs.BEGIN + 60_000
    rows = [logs.Row("T0", logs.BEGIN, 5.0)]
    _, record = logs.records(ENTITY, [(begin, rows)])  # without the register nothing is ever due here
    engine.fold(record)
    for offset, at in enumerate((begin, begin + 15 * 60_000, begin + 30 * 60_000 + 1), start=record.offset + 1):
        assert (engine.dirty(0) == []) is (at > begin)
        engine.clean(0, ENTITY.id)
        engine.fold(LogRecord(0, offset, at, Kind.TICK, "", Tick(by="a", role="gateway", now=at)))
    assert engine.dirty(0) == [ENTITY.id], "its clock moved"


@pytest.mark.parametrize("members", [{"arrays": []}, {"layouts": {}}, {"arrays": {"series": ["series", b"x"]}}])
def test_a_migrator_that_fails_is_a_broken_snapshot(members: dict[str, Any]) -> None:
    with pytest.raises(SnapshotError, match="format 3 cannot be migrated"):
        restored(packed(body_of() | {"format": 3} | members))


def test_there_is_a_migrator_from_every_format_that_is_known() -> None:
    assert sorted(migrate.MIGRATORS) == list(range(migrate.OLDEST, FORMAT))


def test_migrators_run_in_order_and_leave_the_newest_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "FORMAT", 5)
    monkeypatch.setattr(
        migrate, "MIGRATORS", {n: lambda body, n=n: body | {"path": [*body["path"], n]} for n in (2, 3, 4)}
    )
    assert migrated({"format": 2, "path": []}) == {"format": 5, "path": [2, 3, 4]}
    newest = {"format": 5, "path": []}
    assert migrated(newest) is newest
    with pytest.raises(MigrationError, match="format 6 is not known"):
        migrated({"format": 6})


def test_the_layouts_of_the_newest_format_are_those_of_the_engine() -> None:
    own = {
        name: fields
        for name, fields in LAYOUTS.items()
        if name
        not in {"difference", "inputs", "jump", "too_precise", "smooth", "last_digit", "during", "exposure", "absence"}
    }  # it has none
    assert body_of()["layouts"] == {name: [list(field) for field in fields] for name, fields in own.items()}
    assert migrate._LAYOUTS_4 == LAYOUTS, "what format 4 is stands frozen in its migrator"


def test_a_layout_changes_by_the_names_of_its_fields() -> None:
    old = np.dtype([("due", "<i8"), ("gone", "<f8"), ("steps", "<i4", (2,))])
    new = np.dtype([("steps", "<i4", (2,)), ("peak", "<f8"), ("due", "<i8")])
    rows = np.array([(7, 1.5, (1, 2)), (8, 2.5, (3, 4))], old)
    moved = np.frombuffer(recast(rows.tobytes(), describe(old), describe(new), {"peak": -1.0}), new)
    assert moved["due"].tolist() == [7, 8]
    assert moved["steps"].tolist() == [[1, 2], [3, 4]]
    assert moved["peak"].tolist() == [-1.0, -1.0]
    with pytest.raises(KeyError):
        recast(rows.tobytes(), describe(old), describe(new), {})
    with pytest.raises(ValueError, match="buffer size"):
        recast(b"x", describe(old), describe(new), {"peak": 0})


def seed(offset: int, data: bytes = BYTES, **changes: Any) -> LogRecord:
    members: dict[str, Any] = {
        "format": FORMAT, "semantics": SEMANTICS, "packs": BUNDLE.sha256, "clock": logs.BEGIN, "seq": 1,
        "snapshot": base64.b64encode(data).decode(), "checksum": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    return LogRecord(0, offset, logs.BEGIN, Kind.STATE, ENTITY.id, StateRecord.model_validate(members | changes))


def test_a_seed_counts_the_offsets_of_the_log_it_stands_in() -> None:
    engine = Engine(BUNDLE)
    engine.fold(seed(0))
    assert engine.dirty(0) == [ENTITY.id], "no snapshot row of this log holds it yet"
    row = logs.Row("T0", logs.BEGIN + 9_000_000, 5.0)
    record = LogRecord(0, 1, logs.BEGIN + 9_000_100, Kind.READINGS, ENTITY.id, logs.readings([row], "another"))
    engine.fold(record)
    assert engine.counters(0, ENTITY.id)["rows"] == 10, "record 1 of the new log was taken for one that is folded"


def test_a_seed_that_the_state_holds_is_passed_over() -> None:
    engine = Engine(BUNDLE)
    engine.fold(seed(0))
    for record in logs.records(ENTITY, [(logs.BEGIN + 9_000_100, [logs.Row("T0", logs.BEGIN + 9_000_000, 5.0)])])[1:]:
        engine.fold(record)
    before = engine.snapshot(0, ENTITY.id)
    engine.fold(seed(0))
    assert engine.snapshot(0, ENTITY.id) == before


@pytest.mark.parametrize("changes", [{"semantics": SEMANTICS + 1}, {"checksum": "0" * 64}, {"snapshot": "?"}])
def test_a_seed_that_does_not_hold_what_it_promises_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SnapshotError, match="state of"):
        Engine(BUNDLE).fold(seed(0, **changes))


def test_packs_that_come_into_force_are_written_for_a_facility_without_a_register_too() -> None:
    other = BUNDLE.only({BUNDLE.rules[0].id})
    engine = Engine(BUNDLE)
    engine.fold(LogRecord(0, 0, logs.BEGIN, Kind.READINGS, "NEW-0001", logs.readings([logs.Row("T", logs.BEGIN, 1.0)])))
    engine.clean(0, "NEW-0001")
    engine.fold(LogRecord(0, 1, logs.BEGIN + 1, Kind.PACKS, "", other.to_record()))
    assert engine.dirty(0) == ["NEW-0001"]


def test_a_registered_facility_names_the_packs_that_its_plan_was_made_of() -> None:
    other = BUNDLE.only({BUNDLE.rules[0].id})
    engine = Engine(BUNDLE)
    engine.fold(LogRecord(0, 0, logs.BEGIN, Kind.PACKS, "", other.to_record()))
    for record in logs.records(ENTITY, [], begin_offset=1):
        engine.fold(record)
    assert open_snapshot(engine.snapshot(0, ENTITY.id))[0].packs == other.sha256


@pytest.mark.parametrize(
    "aside", [[], [["limit.store", [["a", 1, 1, 2, 1, 1, 1, -1, False, False, None, {}], 1, True, []]]]]
)
def test_rules_put_aside_in_format_2_are_put_aside_still(aside: list[Any]) -> None:
    older = {"format": 2, "register": None, "occurrences": [], "groups": [], **({"aside": aside} if aside else {})}
    newer = [[rule, [[*failed, "", ""], *rest]] for rule, (failed, *rest) in aside]
    assert migrated(older)["aside"] == newer, "it was left out where nothing was put aside"


def spoiled(array: str, field: str, value: int) -> bytes:
    """Return the snapshot with one number of an array replaced, under a checksum that fits."""
    body = body_of()
    name, rows = body["arrays"][array]
    dtype = np.dtype([(field, form, tuple(shape)) for field, form, shape in LAYOUTS[name]])
    changed_rows = np.frombuffer(rows, dtype).copy()
    changed_rows[field][0] = value
    return packed(body | {"arrays": body["arrays"] | {array: [name, changed_rows.tobytes()]}})


@pytest.mark.parametrize(
    ("array", "field", "value"),
    [
        ("series", "ring_len", 1 << 30), ("series", "ring_len", -1), ("series", "ring_head", -1), ("series", "ring_head", 1),
        ("limit_head", "sev", 4), ("limit_tail", "top", 200), ("limit_head", "phase", 4), ("frozen_tail", "phase", -1),
        ("gap_head", "sev", 4), ("gap_head", "active", 2), ("rings", "time", 1 << 60),
    ],
)  # fmt: skip
def test_numbers_that_no_fold_leaves_are_refused_before_compiled_code_trusts_them(
    array: str, field: str, value: int
) -> None:
    with pytest.raises(SnapshotError, match="none that a fold leaves"):
        restored(spoiled(array, field, value))


def occurrence(**members: Any) -> list[Any]:
    row = {
        "alarm": "a" * 24, "first": logs.BEGIN, "start": logs.BEGIN, "end": -1, "sev": 1, "top": 1, "opened": logs.BEGIN,
        "closed": -1, "unknown": False, "retracted": False, "by": None, "children": [], "version": "1.0.0", "packs": "0" * 64,
    } | members  # fmt: skip
    return list(row.values())


@pytest.mark.parametrize(
    "members",
    [
        {"alarm": None},
        {"start": -2},
        {"end": 1 << 62},
        {"sev": 4},
        {"top": -1},
        {"unknown": 1},
        {"children": [["x"]]},
        {"by": 3},
        {"version": None},
        {"packs": 7},
    ],
)
def test_occurrences_and_groups_that_are_none_are_refused(members: dict[str, Any]) -> None:
    key = ["limit", "cold-chain.store-out", "T0"]
    group = ["data-integrity.gap", "A1", occurrence(), logs.BEGIN, 60_000, logs.BEGIN, layout.NEVER, layout.NEVER]
    restored(changed(occurrences=[[*key, [occurrence()]]], groups=[group]))
    bad = occurrence(**members)
    for body in (
        {"occurrences": [[*key, [bad]]]},
        {"groups": [[*group[:2], bad, *group[3:]]]},
        {"groups": [group[:-1]]},
    ):
        with pytest.raises(SnapshotError, match="cannot be read"):
            restored(changed(**body))
    with pytest.raises(SnapshotError, match="cannot be restored"):
        restored(changed(occurrences=[["weather", *key[1:], []]]))
