"""Posted readings: three readers of one contract agree, every fault is named, nothing is lost on the way to columns."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rules import posts
from rules.faults import FaultCode, PostRefusedError
from rules.instants import LATEST_MS
from rules.posts import (
    ReadingsPost,
    post_from_readings,
    posted_value,
    read_readings,
    read_readings_slowly,
    readings_from_post,
    readings_of_value,
)
from rules.records import MAX_READINGS, MAX_SERIES, QUALITY_NAMES, Quality, Readings
from tests.anyrecord import identifiers, json_values, readings, tags

if TYPE_CHECKING:
    from collections.abc import Callable

AT = 1_767_225_600_000
EXAMPLE = """
{"batch": "0192f0c2-7a11", "seq": 812, "series": [
  {"tag": "CR1.T1", "time": [1767225600000, 1767225660000], "value": [4.8, 4.9]},
  {"tag": "CR1.T2", "time": [1767225600000, 1767225660000], "value": [5.1, null], "quality": ["good", "fault"]}]}
"""


def post(**changes: Any) -> dict[str, Any]:
    """Return a good post with changes to its only series."""
    return {"batch": "b1", "series": [{"tag": "T1", "time": [AT], "value": [4.8], **changes}]}


def refusal(body: bytes | str | dict[str, Any] | list[Any]) -> PostRefusedError:
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    with pytest.raises(PostRefusedError) as caught:
        read_readings(raw)
    return caught.value


def found(body: bytes | str | dict[str, Any] | list[Any]) -> set[tuple[str, str]]:
    return {(fault.pointer, fault.code) for fault in refusal(body).faults}


def test_the_example_of_the_contract_is_read() -> None:
    batch = read_readings(EXAMPLE.encode())
    assert (batch.batch, batch.seq, batch.tags) == ("0192f0c2-7a11", 812, ("CR1.T1", "CR1.T2"))
    assert batch.counts.tolist() == [2, 2]
    assert batch.time.tolist() == [AT, AT + 60_000] * 2
    assert batch.value[:3].tolist() == [4.8, 4.9, 5.1]
    assert math.isnan(batch.value[3])
    assert batch.quality.tolist() == [0, 0, 0, Quality.FAULT]
    assert posted_value(batch) == json.loads(EXAMPLE)


def test_columns_have_the_types_that_the_kernels_are_compiled_for() -> None:
    batch = read_readings(EXAMPLE.encode())
    types = [column.dtype.name for column in (batch.counts, batch.time, batch.value, batch.quality)]
    assert types == ["int32", "int64", "float64", "uint8"]


@given(readings())
def test_readings_survive_the_way_to_a_post_and_back(batch: Readings) -> None:
    assert readings_from_post(post_from_readings(batch)) == batch
    body = json.dumps(posted_value(batch)).encode()
    again = read_readings(body)
    assert again == batch
    assert again.value.tobytes() == batch.value.tobytes()


def test_a_tag_whose_quality_is_all_good_is_posted_without_it() -> None:
    value = posted_value(read_readings(json.dumps(post(quality=["good"])).encode()))
    assert value == post()


def test_a_quality_that_is_not_good_keeps_its_number() -> None:
    batch = read_readings(json.dumps(post(quality=["calibration"])).encode())
    assert posted_value(batch) == post(quality=["calibration"])


# Values that lie on the borders of the contract: small alphabets make collisions of tags and sizes likely.
_times = st.integers(-2, 2) | st.integers(LATEST_MS - 1, LATEST_MS + 1) | st.just(AT) | st.just(2**63) | st.floats()
_values = st.none() | st.integers() | st.floats() | st.just(10**400) | st.booleans() | st.text(max_size=2)
_qualities = st.sampled_from([*QUALITY_NAMES, "Good", ""]) | st.none() | st.integers(0, 8)
_tags = st.sampled_from(["T1", "T2", "T1\n", "", "x" * 65, "a b", 5, None]) | tags
_few = st.lists


@st.composite
def near_posts(draw: st.DrawFn) -> Any:
    """Draw a value that is a post, or nearly one."""
    series = []
    for _ in range(draw(st.integers(0, 3))):
        size = draw(st.integers(0, 3))
        other = draw(st.sampled_from([size, size, size, size, size + 1]))
        entry: dict[str, Any] = {
            "tag": draw(_tags),
            "time": draw(_few(_times if draw(st.booleans()) else st.just(AT), min_size=size, max_size=size)),
            "value": draw(_few(_values if draw(st.booleans()) else st.floats(-9, 9), min_size=other, max_size=other)),
        }
        if draw(st.booleans()):
            entry["quality"] = draw(st.none() | _few(_qualities, min_size=size, max_size=size))
        series.append(entry)
    value: dict[str, Any] = {"batch": draw(identifiers | st.sampled_from(["", "a b", 5, "é"])), "series": series}
    if draw(st.booleans()):
        value["seq"] = draw(st.none() | st.integers(-2, 2**54) | st.floats(0, 3))
    where = draw(st.sampled_from([value, value, value, *series]))
    twist = draw(st.sampled_from(["none", "none", "none", "drop", "extra", "swap"]))
    if twist == "extra":
        where[draw(st.text(max_size=3))] = draw(json_values)
    elif twist != "none" and where:
        name = draw(st.sampled_from(sorted(where)))
        if twist == "drop":
            del where[name]
        else:
            where[name] = draw(json_values)
    return value


@st.composite
def posts_with_one_twist(draw: st.DrawFn) -> Any:
    """Draw a good post, or one with exactly one thing wrong: what the other faults of a wild post would hide."""
    value = posted_value(draw(readings()))
    series = draw(st.sampled_from(value["series"]))
    row = draw(st.integers(0, len(series["time"]) - 1))
    twist = draw(st.sampled_from(["none", "tag", "time", "seq", "null", "number", "quality", "longer", "shorter"]))
    if twist == "tag":
        value["series"].append(
            {**series, "tag": draw(st.sampled_from([series["tag"], series["tag"] + "\n", "x" * 65]))}
        )
    elif twist == "time":
        series["time"][row] = draw(st.sampled_from([-1, 0, LATEST_MS, LATEST_MS + 1, 2**63, -(2**63) - 1, 1.0, None]))
    elif twist == "seq":
        value["seq"] = draw(st.sampled_from([-1, 0, 2**53 - 1, 2**53, 2**64, 1.0, True, None]))
    elif twist == "null":
        series["value"][row] = None
    elif twist == "number":
        series["value"][row] = draw(st.sampled_from([math.nan, math.inf, 10**308, 10**309, -0.0, True, "1"]))
    elif twist == "quality":
        series["quality"] = draw(st.sampled_from([None, [], ["good"] * len(series["time"]), ["Good"], "good"]))
    elif twist == "longer":
        series[draw(st.sampled_from(["time", "value"]))].append(1)
    elif twist == "shorter":
        series[draw(st.sampled_from(["time", "value"]))].pop()
    return value


def outcome(reader: Callable[[bytes], Readings], body: bytes) -> Readings | None:
    try:
        return reader(body)
    except PostRefusedError:
        return None


@given(near_posts() | posts_with_one_twist() | json_values)
def test_the_fast_the_slow_and_the_model_take_the_same_decision(value: Any) -> None:
    body = json.dumps(value).encode()
    fast, slow = outcome(read_readings, body), outcome(read_readings_slowly, body)
    assert fast == slow
    if fast is not None and slow is not None:
        assert fast.value.tobytes() == slow.value.tobytes()
    try:
        model = ReadingsPost.model_validate(value)
    except ValidationError:
        assert slow is None
    else:
        assert slow == readings_from_post(model)


@given(st.binary(max_size=80) | st.text(max_size=40).map(str.encode))
def test_random_bytes_are_refused_and_raise_nothing_else(body: bytes) -> None:
    with pytest.raises(PostRefusedError):
        read_readings(body)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"tag": "a b"}, ("/series/0/tag", "bad_tag")),
        ({"tag": "T1\n"}, ("/series/0/tag", "bad_tag")),
        ({"tag": "<script>"}, ("/series/0/tag", "bad_tag")),
        ({"tag": 5}, ("/series/0/tag", "bad_tag")),
        ({"time": [-1]}, ("/series/0/time/0", "time_out_of_range")),
        ({"time": [AT * 1000]}, ("/series/0/time/0", "time_out_of_range")),
        ({"time": [LATEST_MS + 1]}, ("/series/0/time/0", "time_out_of_range")),
        ({"time": [2**63]}, ("/series/0/time/0", "time_out_of_range")),
        ({"time": [float(AT)]}, ("/series/0/time/0", "wrong_type")),
        ({"time": ["2026-01-01T00:00:00Z"]}, ("/series/0/time/0", "wrong_type")),
        ({"time": [True]}, ("/series/0/time/0", "wrong_type")),
        ({"time": AT}, ("/series/0/time", "wrong_type")),
        ({"time": []}, ("/series/0", "length_mismatch")),
        ({"time": [], "value": []}, ("/series/0", "empty")),
        ({"value": [None]}, ("/series/0/value/0", "null_with_good_quality")),
        ({"value": [None], "quality": ["good"]}, ("/series/0/value/0", "null_with_good_quality")),
        ({"value": [True]}, ("/series/0/value/0", "wrong_type")),
        ({"value": ["4.8"]}, ("/series/0/value/0", "wrong_type")),
        ({"value": [math.nan]}, ("/series/0/value/0", "not_finite")),
        ({"value": [-math.inf]}, ("/series/0/value/0", "not_finite")),
        ({"value": [10**400]}, ("/series/0/value/0", "not_finite")),
        ({"quality": ["bad"]}, ("/series/0/quality/0", "unknown_quality")),
        ({"quality": ["good", "good"]}, ("/series/0", "length_mismatch")),
        ({"quality": "good"}, ("/series/0/quality", "wrong_type")),
        ({"unit": "Cel"}, ("/series/0/unit", "unknown_member")),
    ],
)
def test_a_fault_has_its_place_and_its_code(changes: dict[str, Any], fault: tuple[str, str]) -> None:
    assert found(post(**changes)) == {fault}


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ("[]", {("", "wrong_type")}),
        ("null", {("", "wrong_type")}),
        ("{}", {("/batch", "missing"), ("/series", "missing")}),
        ('{"batch": "", "series": []}', {("/batch", "bad_id"), ("/series", "empty")}),
        ('{"batch": "b", "series": {}}', {("/series", "wrong_type")}),
        ('{"batch": "b", "series": [1]}', {("/series/0", "wrong_type")}),
        ('{"batch": "b", "seq": 1.5, "series": [1]}', {("/seq", "wrong_type"), ("/series/0", "wrong_type")}),
        ('{"batch": "b", "seq": -1, "series": [1]}', {("/seq", "out_of_range"), ("/series/0", "wrong_type")}),
        ('{"batch": "b", "a/b~": 1, "series": [1]}', {("/a~1b~0", "unknown_member"), ("/series/0", "wrong_type")}),
    ],
)
def test_faults_of_the_whole_are_named(body: str, faults: set[tuple[str, str]]) -> None:
    assert found(body) == faults


def test_a_tag_has_one_series() -> None:
    value = post()
    value["series"] *= 2
    assert found(value) == {("/series/1/tag", "duplicate_tag")}


@pytest.mark.parametrize("seq", [-1, 2**53, 2**64])
def test_seq_lies_in_the_range_that_json_carries(seq: int) -> None:
    assert found({**post(), "seq": seq}) == {("/seq", "out_of_range")}


def test_all_faults_are_named_at_once() -> None:
    value: dict[str, Any] = {
        "batch": "b 1",
        "series": [
            {"tag": "T1", "time": [AT, -5], "value": [1.0, None]},
            {"tag": "T1", "time": [AT], "value": [1.0, 2.0], "quality": ["gut"]},
            {"tag": "!", "value": [math.nan]},
        ],
    }
    assert found(value) == {
        ("/batch", "bad_id"),
        ("/series/0/time/1", "time_out_of_range"),
        ("/series/0/value/1", "null_with_good_quality"),
        ("/series/1/tag", "duplicate_tag"),
        ("/series/1", "length_mismatch"),
        ("/series/1/quality/0", "unknown_quality"),
        ("/series/2/tag", "bad_tag"),
        ("/series/2/time", "missing"),
        ("/series/2/value/0", "not_finite"),
    }


def test_five_hundred_faults_are_listed_and_all_are_counted() -> None:
    error = refusal(post(time=[-1] * 2_000, value=[True] * 2_000))
    assert len(error.faults) == 500
    assert error.counts == {"time_out_of_range": 2_000, "wrong_type": 2_000}
    assert "4000 faults" in str(error)
    assert error.exit_code == 3


@pytest.mark.parametrize(
    ("body", "code", "grounds"),
    [
        (b"", "malformed", "malformed"),
        (b"{", "malformed", "malformed"),
        (b'{"batch": "\xff"}', "malformed", "malformed"),
        (b'{"batch": "\\ud800", "series": []}', "malformed", "malformed"),
        (EXAMPLE.encode("utf-16"), "malformed", "malformed"),
        (b"[" * 3_000_000, "too_deep", "too_large"),
        (b'{"batch":' * 17 + b"1" + b"}" * 17, "too_deep", "too_large"),
        (json.dumps({"batch": "b", "series": [{}] * (MAX_SERIES + 1)}).encode(), "too_many_series", "too_large"),
        (json.dumps(post(time=[AT] * (MAX_READINGS + 1))).encode(), "too_many_readings", "too_large"),
        (json.dumps(post(tag="")).encode(), "bad_tag", "contract"),
    ],
)
def test_the_grounds_of_a_refusal_are_known(body: bytes, code: str, grounds: str) -> None:
    error = refusal(body)
    assert code in error.counts
    assert error.grounds == grounds


def test_the_largest_post_is_taken_and_one_reading_more_is_not() -> None:
    rows = MAX_READINGS // 10
    series = [{"tag": f"T{i}", "time": [AT] * rows, "value": [1.5] * rows} for i in range(10)]
    assert read_readings(json.dumps({"batch": "b", "series": series}).encode()).time.size == MAX_READINGS
    series.append({"tag": "T10", "time": [AT], "value": [1.5]})
    assert refusal({"batch": "b", "series": series}).counts == {"too_many_readings": 1}


def test_as_many_series_as_are_allowed_are_taken_and_one_more_is_not() -> None:
    series = [{"tag": f"T{i}", "time": [AT], "value": [1]} for i in range(MAX_SERIES)]
    assert len(read_readings(json.dumps({"batch": "b", "series": series}).encode()).tags) == MAX_SERIES
    series.append({"tag": "more", "time": [AT], "value": [1]})
    assert refusal({"batch": "b", "series": series}).counts == {"too_many_series": 1}


def test_a_post_that_is_too_large_is_not_looked_at_row_by_row() -> None:
    error = refusal(post(time=[-1] * (MAX_READINGS + 1), value=[None] * (MAX_READINGS + 1)))
    assert error.counts == {"too_many_readings": 1}


def test_a_name_with_control_characters_does_not_reach_a_terminal() -> None:
    error = refusal({"batch": "b", "series": [], "\x1b[2J" + "x" * 5_000: 1})
    assert "\x1b" not in error.report()
    assert len(error.report()) < 1_000


def test_codes_are_of_the_closed_list() -> None:
    wrong: list[Any] = [None, 5, [None], {}]
    bad = [post(**{name: value}) for name in ("tag", "time", "value", "x") for value in wrong]
    codes = {fault.code for body in bad for fault in refusal(body).faults}
    assert codes <= set(FaultCode)
    assert len(codes) == 4


def test_a_decoded_value_is_read_as_its_text_is() -> None:
    assert readings_of_value(json.loads(EXAMPLE)) == read_readings(EXAMPLE.encode())


TWICE = [
    b'{"batch": "a", "batch": "b", "series": [{"tag": "T", "time": [1767225600000], "value": [1.0]}]}',
    b'{"batch": "a", "series": [{"tag": "T", "time": [1767225600000], "value": [1.0], "value": [2.0]}]}',
    b'{"batch": "a", "series": [{"tag": "T", "time": [1767225600000], "value": [1.0], "v\\u0061lue": [2.0]}]}',
    b'{"batch": "a", "series": [], "series": [{"tag": "T", "time": [1767225600000], "value": [1.0]}]}',
    b'{"batch": "a:b", "series": [{"tag": "T\\u003a", "tag": "T:", "time": [1767225600000], "value": [1.0]}]}',
]


@pytest.mark.parametrize("body", TWICE)
def test_a_member_that_stands_twice_is_refused_and_named(body: bytes) -> None:
    with pytest.raises(PostRefusedError) as caught:
        read_readings(body)
    assert [fault.code for fault in caught.value.faults] == ["malformed"]
    assert "twice in one object" in caught.value.faults[0].detail


@pytest.mark.parametrize(
    ("body", "quick"),
    [
        (b'{"batch": "a:b:c", "series": [{"tag": "T", "time": [1767225600000], "value": [1.0]}]}', True),
        (b'{"series":[{"value":[1],"quality":["good"],"tag":"T","time":[1767225600000]}],"seq":3,"batch":"a"}', True),
        (b'{"batch": "\\u0061", "series": [{"tag": "T", "time": [1767225600000], "value": [1.0]}]}', False),
        (b'{"batch": "a", "seq": null, "series": [{"tag": "T", "time": [1767225600000], "value": [1.0]}]}', False),
    ],
)
def test_colons_and_escapes_in_texts_are_no_members(body: bytes, quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    slow: list[bytes] = []
    real = posts.read_readings_slowly
    monkeypatch.setattr(posts, "read_readings_slowly", lambda body: slow.append(body) or real(body))
    assert read_readings(body).tags == ("T",)
    assert slow == ([] if quick else [body])
