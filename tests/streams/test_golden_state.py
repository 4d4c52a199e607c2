"""State rows that an older release left behind are restored: golden files, written by the release itself.

`format-2.state.jsonl`, `format-3.state.jsonl`: the rows of the state topic (snapshots of that format, marker of version 1) after the
first 123 records of `log.jsonl`, written by the last commit before the next format. A new format adds its predecessor's here.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from rules.engine import Engine
from rules.errors import ContractError
from rules.fitting import change_bytes, fit
from rules.migrate import _ARRAYS_2, _KINDS_2, _LAYOUTS_2
from rules.pack import Bundle, default_bundle
from rules.snapshot import Body, open_snapshot, unpacked
from streams.checkpoint import Origin, StateRows, decode_marker
from streams.jsonlines import parse_line
from streams.refold import Known, Refold
from tests.streams.test_cadence import MemoryHistory, marker_of, rebuilt, said
from tests.streams.test_tenure import SETTINGS, MemoryBroker, crash, tenure_of

GOLDEN = Path(__file__).parent / "golden"
FORMATS = [2, 3]
CUT = 123


def lines(name: str) -> list[bytes]:
    return (GOLDEN / name).read_bytes().splitlines()


def rows_of(version: int) -> list[tuple[bytes, bytes, list[tuple[str, bytes]]]]:
    rows = [json.loads(line) for line in lines(f"format-{version}.state.jsonl")]
    return [
        (r["key"].encode(), base64.b64decode(r["value"]), [(k, v.encode()) for k, v in r["headers"].items()])
        for r in rows
    ]


def adopted(version: int) -> list[tuple[bytes, bytes, list[tuple[str, bytes]]]]:
    """Return the rows as `offsite state upgrade` leaves them: the releases of these formats had engine semantics 1."""
    marker = StateRows(0)
    for row in rows_of(version):
        marker.add(*row)
    assert marker.marker is not None
    newer = Refold(0, Engine(packs_of(version)), Known(), SETTINGS, CUT).adopt(decode_marker(marker.marker, 0))
    return [(key, newer if key == b"p0" else value, headers) for key, value, headers in rows_of(version)]


def packs_of(version: int) -> Bundle:
    state = StateRows(0)
    for row in rows_of(version):
        state.add(*row)
    (packs,) = state.bundles()
    return Bundle.from_record(packs)


def straight(version: int) -> tuple[Engine, dict[tuple[str, int], bytes]]:
    engine = Engine(packs_of(version))
    log = [parse_line(line) for line in lines("log.jsonl")]
    return engine, {(c.stream, c.seq): change_bytes(fit(c)) for record in log for c in engine.fold(record)}


def old_bodies(version: int) -> dict[str, dict[str, Any]]:
    """Return the golden bodies as they stand, undisturbed by any migrator."""
    state = StateRows(0)
    for row in rows_of(version):
        state.add(*row)
    return {name: msgspec.msgpack.decode(unpacked(state.snapshot(name))) for name in ("OLD-0001", "OLD-0002")}


SAME = ("facility", "version", "clock", "seq", "position", "packs", "register", "adopted", "registered", "left",
        "unknown_tags", "groups")  # fmt: skip


@pytest.mark.parametrize("version", FORMATS)
def test_the_golden_rows_are_what_they_are_called(version: int) -> None:
    (value,) = [value for key, value, _ in rows_of(version) if key == b"OLD-0001"]
    assert msgspec.msgpack.decode(unpacked(value))["format"] == version
    assert open_snapshot(value)[1], "it was migrated"


@pytest.mark.parametrize("version", FORMATS)
def test_whatever_an_older_format_held_is_held_still(version: int) -> None:
    engine = Engine(packs_of(version))
    for name, old in old_bodies(version).items():
        state = StateRows(0)
        for row in rows_of(version):
            state.add(*row)
        engine.restore(0, name, state.snapshot(name))
        body, anew = open_snapshot(engine.snapshot(0, name))
        assert not anew
        found = msgspec.msgpack.decode(msgspec.msgpack.encode(body))
        plain = {member: old[member] for member in SAME}
        plain["groups"] = [[*row[:2], [*row[2], "", ""], *row[3:]] for row in plain["groups"]]
        assert {member: found[member] for member in SAME} == plain
        assert [rows for *_, rows in sorted(found["occurrences"])] == [
            [[*row, "", ""] for row in rows]
            for *_, rows in sorted(
                [_KINDS_2[kind] if isinstance(kind, int) else kind, *rest] for kind, *rest in named(old)
            )
        ]
        held, before = fields_of(arrays_now(body)), fields_of(arrays_then(old))
        assert before.keys() == {"series", "limit_head", "limit_tail", "frozen_head", "frozen_tail", "gap_head"}
        for array, columns in before.items():
            for field in columns.keys() & held[array].keys():
                kept = np.ones(len(columns[field]), bool)
                if array.startswith("limit"):  # a block is blank in the normal phase
                    kept = columns["phase"] != 0
                assert np.array_equal(held[array][field][kept], columns[field][kept], equal_nan=True), (array, field)
        assert rings_now(body) == rings_then(old)


Columns = dict[str, Any]
Arrays = dict[str, tuple[Any, bytes]]
CHANGED = {"ring_head"}
"""A ring is written from its oldest row on since format 4."""


def fields_of(arrays: Arrays) -> dict[str, Columns]:
    found = {}
    for name, (fields, rows) in arrays.items():
        array = np.frombuffer(rows, np.dtype([(n, form, tuple(shape)) for n, form, shape in fields]))
        found[name] = {n: array[n] for n, *_ in fields if n not in CHANGED}
    return found


def arrays_now(body: Body) -> Arrays:
    return {name: (body.layouts[of], rows) for name, (of, rows) in body.arrays.items() if of != "row"}


def arrays_then(old: dict[str, Any]) -> Arrays:
    if isinstance(old["arrays"], list):
        found = {name: (_LAYOUTS_2[of], rows) for (name, of), rows in zip(_ARRAYS_2, old["arrays"], strict=True)}
    else:
        found = {name: (old["layouts"][of], rows) for name, (of, rows) in old["arrays"].items()}
    return {name.replace("gaps", "gap_head"): array for name, array in found.items() if not name.startswith("ring_")}


def rings_now(body: Body) -> list[tuple[int, int, float, int]]:
    rows = np.frombuffer(body.arrays["rings"][1], np.int64).reshape(-1, 4)
    values = rows[:, 3].copy().view(np.float64)
    return [(int(r[0]), int(r[1]), float(v), int(r[2]) & 15) for r, v in zip(rows, values, strict=True)]


def rings_then(old: dict[str, Any]) -> list[tuple[int, int, float, int]]:
    """Return event time, receive time, value and quality of every row of every ring, one by one."""
    arrays = old["arrays"]
    if isinstance(arrays, list):
        arrays = {name: (of, rows) for (name, of), rows in zip(_ARRAYS_2, arrays, strict=True)}
        layouts: Any = _LAYOUTS_2
    else:
        layouts = old["layouts"]
    series = np.frombuffer(
        arrays["series"][1], np.dtype([(n, form, tuple(shape)) for n, form, shape in layouts["series"]])
    )
    time, received = (np.frombuffer(arrays[name][1], "<i8") for name in ("ring_t", "ring_m"))
    value, quality = np.frombuffer(arrays["ring_v"][1], "<f8"), np.frombuffer(arrays["ring_q"][1], "u1")
    found = []
    for one in series:
        for i in range(one["ring_len"]):
            k = one["ring_off"] + (one["ring_head"] + i) % one["ring_cap"]
            found.append((int(time[k]), int(received[k]), float(value[k]), int(quality[k])))
    return found


def named(old: dict[str, Any]) -> list[Any]:
    found: list[Any] = msgspec.to_builtins(old["occurrences"])
    return found


@pytest.mark.parametrize("version", FORMATS)
async def test_a_partition_of_another_semantics_waits_for_its_upgrade(version: int) -> None:
    broker = MemoryBroker(rows={SETTINGS.state_topic: list(rows_of(version))}, offset=CUT)
    with pytest.raises(ContractError, match="semantics 1, not 7"):
        await tenure_of(broker, Engine(default_bundle()), bounds=(0, CUT))


@pytest.mark.parametrize("version", FORMATS)
async def test_a_partition_of_an_older_release_goes_on(version: int) -> None:
    log = [parse_line(line) for line in lines("log.jsonl")]
    broker = MemoryBroker(rows={SETTINGS.state_topic: adopted(version)}, offset=CUT)
    fold = Engine(default_bundle())
    tenure = await tenure_of(broker, fold, bounds=(0, len(log)))
    assert (tenure.next, tenure.published) == (CUT, CUT)
    assert fold.dirty(0) == ["OLD-0001", "OLD-0002", "OLD-0003"], "they are to be written in the newest format"
    before = {name: open_snapshot(fold.snapshot(0, name))[0].seq for name in fold.facilities(0)}
    for record in log[CUT:]:
        tenure.feed(record)
    await tenure.close()
    seqs: dict[str, list[int]] = {}
    for stream, seq in said(broker):
        seqs.setdefault(stream, []).append(seq)
    assert seqs, "something was said"
    for stream, found in seqs.items():
        assert found == list(range(before[stream] + 1, before[stream] + 1 + len(found)))
    assert marker_of(broker).origin == Origin(offset=0, packs=packs_of(version).sha256)
    for name in fold.facilities(0):
        assert not open_snapshot(broker.state(SETTINGS.state_topic).snapshot(name))[1]


@pytest.mark.parametrize("version", FORMATS)
async def test_a_facility_whose_migrator_fails_is_folded_anew_and_the_others_migrate(
    version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rules import migrate

    good = migrate.MIGRATORS[version]

    def fails_for_one(body: dict[str, Any]) -> dict[str, Any]:
        if body["facility"] == "OLD-0001":
            raise KeyError("a member that only this one lacks")
        return good(body)

    monkeypatch.setitem(migrate.MIGRATORS, version, fails_for_one)
    log = [parse_line(line) for line in lines("log.jsonl")]
    engine, _ = straight(version)
    broker = MemoryBroker(rows={SETTINGS.state_topic: adopted(version)}, offset=CUT)
    fold = Engine(default_bundle())
    tenure = await tenure_of(broker, fold, bounds=(0, len(log)), history=MemoryHistory(log))
    assert fold.facilities(0) == ["OLD-0002", "OLD-0003"]
    for record in log[CUT:]:
        tenure.feed(record)
    await rebuilt(tenure)
    assert fold.facilities(0) == engine.facilities(0)
    assert fold.snapshot(0, "OLD-0001") == engine.snapshot(0, "OLD-0001"), "folded anew, it lacks nothing"
    await crash(tenure)
