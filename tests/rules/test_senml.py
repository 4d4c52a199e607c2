"""SenML+JSON (RFC 8428): base values are resolved, names become tags, everything else is a fault."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.faults import PostRefusedError
from rules.records import MAX_READINGS, MAX_SERIES, Readings
from rules.senml import read_senml
from tests.anyrecord import readings

BASE = 1_767_225_600.0
GOOD = {"n": "T1", "t": BASE, "v": 4.8}


UNITS = {"T1": "Cel", "H1": "%RH", "P1": "Pa"}


def read(pack: Any, batch: str = "b1") -> Readings:
    return read_senml(json.dumps(pack).encode(), batch, UNITS)


def found(pack: Any, batch: str = "b1") -> set[tuple[str, str]]:
    with pytest.raises(PostRefusedError) as caught:
        read(pack, batch)
    return {(fault.pointer, fault.code) for fault in caught.value.faults}


def test_base_name_and_base_time_hold_until_the_next() -> None:
    batch = read(
        [
            {"bn": "CR1.", "bt": BASE, "bver": 10, "n": "T1", "v": 4.8},
            {"n": "T2", "v": 5},
            {"n": "T1", "t": 60, "v": 4.9},
            {"bn": "CR2.", "bt": BASE + 3600, "n": "T1", "t": -60.5, "v": -1},
        ],
        "0192-7",
    )
    assert (batch.batch, batch.seq) == ("0192-7", None)
    assert batch.tags == ("CR1.T1", "CR1.T2", "CR2.T1")
    assert batch.counts.tolist() == [2, 1, 1]
    base = int(BASE) * 1000
    assert batch.time.tolist() == [base, base + 60_000, base, base + 3_600_000 - 60_500]
    assert batch.value.tolist() == [4.8, 4.9, 5.0, -1.0]
    assert not batch.quality.any()


def test_a_base_name_alone_can_name_the_tag() -> None:
    assert read([{"bn": "CR1.T1", "bt": BASE, "v": 1}, {"t": 1, "v": 2}]).tags == ("CR1.T1",)


@given(readings())
def test_milliseconds_survive_as_fractions_of_a_second(batch: Readings) -> None:
    tags = [tag for tag, count in zip(batch.tags, batch.counts, strict=True) for _ in range(count)]
    rows = [(tag, int(time)) for tag, time in zip(tags, batch.time, strict=True) if time >= (1 << 28) * 1000]
    if rows:
        back = read([{"n": tag, "t": time / 1000, "v": 1} for tag, time in rows])
        assert back.time.tolist() == [
            time for tag in dict.fromkeys(tag for tag, _ in rows) for t, time in rows if t == tag
        ]


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        ({**GOOD, "u": "K"}, ("/0/u", "wrong_unit")),
        ({**GOOD, "u": "cel"}, ("/0/u", "wrong_unit")),
        ({**GOOD, "u": ""}, ("/0/u", "wrong_unit")),
        ({**GOOD, "u": 5}, ("/0/u", "wrong_type")),
        ({**GOOD, "u": None}, ("/0/u", "wrong_type")),
        ({**GOOD, "bu": "K"}, ("/0/bu", "wrong_unit")),
        ({**GOOD, "bu": ["Cel"]}, ("/0/bu", "wrong_type")),
        ({**GOOD, "bv": 1}, ("/0/bv", "unsupported_member")),
        ({**GOOD, "s": 1}, ("/0/s", "unsupported_member")),
        ({**GOOD, "must_": 1}, ("/0/must_", "unsupported_member")),
        ({"n": "T1", "t": BASE}, ("/0/v", "missing")),
        ({**GOOD, "v": "4.8"}, ("/0/v", "wrong_type")),
        ({**GOOD, "v": True}, ("/0/v", "wrong_type")),
        ({**GOOD, "v": None}, ("/0/v", "wrong_type")),
        ({**GOOD, "v": float("nan")}, ("/0/v", "not_finite")),
        ({**GOOD, "v": 10**400}, ("/0/v", "not_finite")),
        ({**GOOD, "t": "now"}, ("/0/t", "wrong_type")),
        ({**GOOD, "t": float("inf")}, ("/0/t", "not_finite")),
        ({**GOOD, "t": -10}, ("/0/t", "time_out_of_range")),
        ({"n": "T1", "v": 1}, ("/0/t", "time_out_of_range")),
        ({**GOOD, "t": BASE * 1000}, ("/0/t", "time_out_of_range")),
        ({**GOOD, "bt": None}, ("/0/bt", "wrong_type")),
        ({**GOOD, "n": "a b"}, ("/0/n", "bad_tag")),
        ({**GOOD, "n": 5}, ("/0/n", "wrong_type")),
        ({**GOOD, "bn": 5}, ("/0/bn", "wrong_type")),
        ({"t": BASE, "v": 1}, ("/0/n", "bad_tag")),
        ({**GOOD, "bver": 11}, ("/0/bver", "unknown_value")),
        (5, ("/0", "wrong_type")),
    ],
)
def test_a_fault_has_its_place_and_its_code(record: Any, fault: tuple[str, str]) -> None:
    assert found([record]) == {fault}


def test_all_faults_of_a_pack_are_named_at_once() -> None:
    assert found([{**GOOD, "vs": "x"}, {"n": "?", "t": BASE, "v": "x"}, GOOD, 7]) == {
        ("/0/vs", "unsupported_member"),
        ("/1/n", "bad_tag"),
        ("/1/v", "wrong_type"),
        ("/3", "wrong_type"),
    }


@pytest.mark.parametrize(
    ("pack", "fault"),
    [
        ({}, ("", "wrong_type")),
        ([], ("", "empty")),
        ([GOOD] * (MAX_READINGS + 1), ("", "too_many_readings")),
        ([{**GOOD, "n": f"T{i}"} for i in range(MAX_SERIES + 1)], ("", "too_many_series")),
    ],
)
def test_a_pack_of_the_wrong_size_is_refused(pack: Any, fault: tuple[str, str]) -> None:
    assert found(pack) == {fault}


def test_a_batch_id_is_needed() -> None:
    assert found([GOOD], batch="a b") == {("/batch", "bad_id")}
    assert found([GOOD], batch="") == {("/batch", "bad_id")}


@given(st.binary(max_size=60))
def test_random_bytes_are_refused_and_raise_nothing_else(body: bytes) -> None:
    with pytest.raises(PostRefusedError):
        read_senml(body, "b1", UNITS)


@pytest.mark.parametrize(
    "pack",
    [
        [{**GOOD, "u": "Cel"}],
        [{**GOOD, "bu": "Cel"}, {"n": "T1", "t": BASE + 60, "v": 5}],
        [{**GOOD, "bu": "K", "u": "Cel"}],
        [{**GOOD, "bu": "Cel"}, {"n": "H1", "u": "%RH", "t": BASE, "v": 60}],
        [{**GOOD, "bu": "Cel"}, {"n": "P1", "bu": "Pa", "t": BASE, "v": 12}],
        [{**GOOD, "n": "not.registered", "u": "V"}],
        [{**GOOD, "n": "not.registered", "bu": "V"}, {**GOOD, "u": "Cel"}],
    ],
)
def test_the_registered_unit_may_be_named(pack: Any) -> None:
    plain = [{name: value for name, value in record.items() if name not in {"u", "bu"}} for record in pack]
    assert read(pack) == read(plain)


def test_a_base_unit_holds_until_the_next() -> None:
    pack = [
        {**GOOD, "bu": "Pa", "u": "Cel"},
        {**GOOD, "t": BASE + 1},
        {**GOOD, "t": BASE + 2},
        {**GOOD, "n": "H1"},
        {**GOOD, "n": "P1"},
        {**GOOD, "bu": "Cel", "t": BASE + 3},
        {**GOOD, "n": "P1", "t": BASE + 4},
    ]
    with pytest.raises(PostRefusedError) as caught:
        read(pack)
    assert [(fault.pointer, fault.detail) for fault in caught.value.faults] == [
        ("/0/bu", "'Pa'; T1 is registered in 'Cel'"),
        ("/0/bu", "'Pa'; H1 is registered in '%RH'"),
        ("/5/bu", "'Cel'; P1 is registered in 'Pa'"),
    ]


def test_every_wrong_unit_is_named_beside_the_other_faults() -> None:
    pack = [{**GOOD, "u": "K"}, {**GOOD, "u": "\u202eF" * 40, "v": None}, {**GOOD, "t": "now"}]
    with pytest.raises(PostRefusedError) as caught:
        read(pack)
    assert caught.value.counts == {"wrong_type": 2, "wrong_unit": 2}
    assert len(caught.value.faults[2].detail) < 200
    assert "\u202e" not in "".join(fault.detail for fault in caught.value.faults)
