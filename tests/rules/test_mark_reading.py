"""Posted marks are read or refused: tags or an area, from and to, and everything else that a mark says."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.faults import PostRefusedError
from rules.markpost import MarkPost, read_mark
from rules.records import Kind, LogRecord, Mark
from streams.codec import decode, encode
from tests.rules.posted import altered, anything, changed, faults, read_or_refused

MARK = json.loads((Path(__file__).parents[1] / "contracts" / "examples" / "mark.json").read_text(encoding="utf-8"))
AREA = {name: value for name, value in MARK.items() if name != "tags"} | {"area": "CR1"}
SCHEMA = jsonschema.Draft202012Validator(MarkPost.model_json_schema())
AT, AT1 = "2026-03-01T08:00:00+08:00", "2026-03-01T08:00:00.001+08:00"


@settings(max_examples=300)
@given(st.one_of(anything, altered([MARK, AREA])))
def test_whatever_json_comes_is_a_mark_or_refused(value):
    mark = read_or_refused(read_mark, value)
    if mark is None:
        return
    assert type(mark) is Mark
    SCHEMA.validate(value)
    headers, encoded = encode(mark)
    assert decode(0, 0, 1, b"FIRM-1", headers, encoded) == LogRecord(0, 0, 1, Kind.MARK, "FIRM-1", mark)


@given(st.binary(max_size=60))
def test_whatever_bytes_come_are_a_mark_or_refused(body):
    with pytest.raises(PostRefusedError):
        read_mark(body)


def test_the_contracts_example_is_taken():
    mark = read_mark(json.dumps(MARK).encode())
    assert mark == Mark.model_validate(MARK)
    assert mark.to is None


@pytest.mark.parametrize("member", ["id", "revision", "flag", "from", "reason", "author"])
def test_a_needed_member_is_needed(member):
    assert faults(read_mark, changed(MARK, (member,), ...)) == {f"/{member}": "missing"}
    assert set(faults(read_mark, changed(MARK, (member,), None))) == {f"/{member}"}


@pytest.mark.parametrize("member", ["to", "proof", "area"])
def test_an_optional_one_is_not(member):
    assert faults(read_mark, MARK | {member: None}) == {}
    assert faults(read_mark, {name: value for name, value in MARK.items() if name != member}) == {}


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"tags": None}, {"/tags": "missing"}), ({"area": "CR1"}, {"/area": "not_together"}), ({"tags": None, "area": "CR1"}, {}),
        ({"tags": []}, {"/tags": "too_few"}), ({"tags": [f"T{i}" for i in range(5_000)]}, {}), ({"tags": ["T 1", 5]}, {"/tags/0": "wrong_form", "/tags/1": "wrong_type"}),
        ({"tags": [f"T{i}" for i in range(5_001)]}, {"/tags": "too_many"}), ({"tags": "T1"}, {"/tags": "wrong_type"}),
        ({"from": AT, "to": AT}, {}), ({"from": AT1, "to": AT}, {"/to": "impossible_time"}), ({"from": AT, "to": AT1}, {}),
        ({"from": 1_772_323_200_001, "to": AT}, {"/to": "impossible_time"}), ({"from": "2099-01-01T00:00:00Z"}, {}),
        ({"from": "2026-03-01", "to": AT}, {"/from": "wrong_form"}), ({"from": AT, "to": -1}, {"/to": "wrong_form"}),
        ({"flag": "defrost"}, {"/flag": "unknown_value"}), ({"flag": "over_limit"}, {"/flag": "unknown_value"}),
        ({"reason": ""}, {"/reason": "wrong_form"}), ({"reason": " \n"}, {"/reason": "wrong_form"}), ({"reason": "\x1b[2J"}, {"/reason": "wrong_form"}),
        ({"reason": "x" * 4_001}, {"/reason": "wrong_form"}), ({"author": "u 12"}, {"/author": "wrong_form"}), ({"proof": ""}, {"/proof": "wrong_form"}),
        ({"revision": 0}, {"/revision": "out_of_range"}), ({"revision": "1"}, {"/revision": "wrong_type"}), ({"revision": 100_001}, {"/revision": "out_of_range"}),
        ({"from_": AT}, {"/from_": "unknown_member"}), ({"more": 1}, {"/more": "unknown_member"}), ({"id": "x" * 129}, {"/id": "wrong_form"}),
        ({"reason": "压缩机检修", "id": "x" * 128, "revision": 100_000}, {}),
    ],
)  # fmt: skip
def test_what_a_mark_may_say(members, found):
    assert faults(read_mark, MARK | members) == found


def test_from_has_one_name():
    renamed = {name: value for name, value in MARK.items() if name != "from"} | {"from_": MARK["from"]}
    assert faults(read_mark, renamed) == {"/from_": "unknown_member", "/from": "missing"}


def test_all_faults_come_at_once_and_what_does_not_go_together_as_well():
    said = MARK | {"area": "CR1", "flag": "x", "to": "2020-01-01T00:00:00Z", "reason": ""}
    assert faults(read_mark, said) == {
        "/area": "not_together",
        "/flag": "unknown_value",
        "/to": "impossible_time",
        "/reason": "wrong_form",
    }


@pytest.mark.parametrize("tags", [None, ["T1"]])
@pytest.mark.parametrize("area", [None, "CR1"])
def test_the_schema_asks_for_tags_or_an_area_as_well(tags, area):
    said = {name: value for name, value in MARK.items() if name != "tags"} | {"tags": tags, "area": area}
    assert SCHEMA.is_valid(said) is ((tags is None) != (area is None)) is (not faults(read_mark, said))


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"id":"a","id":"b"}', b"[" * 40])
def test_what_is_no_json_is_said_to_be_none(body):
    with pytest.raises(PostRefusedError) as error:
        read_mark(body)
    assert error.value.grounds == ("too_large" if body[:1] == b"[" else "malformed")


def test_more_than_five_thousand_entries_are_not_looked_into():
    assert faults(read_mark, {"tags": [1] * 5_001}) == {"/tags": "too_many"}


def test_every_member_is_explained_in_both_languages():
    for member, said in MarkPost.model_json_schema()["properties"].items():
        assert any("\u4e00" <= c <= "\u9fff" for c in said["description"]), member
