"""JSON text from outside: depth before decoding, UTF-8 only, no half characters."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.faults import PostRefusedError
from rules.jsontext import is_finite, read_json, too_deep
from tests.anyrecord import json_values


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(json_values, st.integers(0, 6), st.booleans())
def test_depth_is_that_of_the_decoded_value(value: Any, limit: int, ascii_only: bool) -> None:
    assert too_deep(json.dumps(value, ensure_ascii=ascii_only).encode(), limit) == (depth(value) > limit)


@given(json_values)
def test_json_is_read_as_it_was_written(value: Any) -> None:
    for ascii_only in (True, False):
        raw = json.dumps(value, ensure_ascii=ascii_only).encode()
        assert json.dumps(read_json(raw, "text")) == json.dumps(value)


@pytest.mark.parametrize("text", [b'"' + b'\\"' * 2_000_000, b'["' * 1_000_000, b'"\\', b"[" * 4_000_000])
def test_hostile_text_is_measured_in_linear_time(text: bytes) -> None:
    begin = time.process_time()
    too_deep(text)
    assert time.process_time() - begin < 5  # quadratic would take hours


def test_brackets_inside_texts_are_no_depth() -> None:
    assert not too_deep(json.dumps(["[{" * 50, '\\"[[[' * 50]).encode(), 1)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "malformed"),
        (b"{'a': 1}", "malformed"),
        (b'{"a": 1,}', "malformed"),
        (b'\xef\xbb\xbf{"a": 1}', "malformed"),
        (b'{"a": "\xed\xa0\x80"}', "malformed"),
        (b'{"a": "\\ud800"}', "malformed"),
        (b'{"\\uDFFF": 1}', "malformed"),
        (b'{"a": ["\\udbff"]}', "malformed"),
        (b'{"a": 1, "a": 1}', "malformed"),
        (b'[{"a": 1, "\\u0061": 2}]', "malformed"),
        (b"[[[1]]]", "too_deep"),
    ],
)
def test_text_that_is_no_json_is_refused(raw: bytes, code: str) -> None:
    with pytest.raises(PostRefusedError) as caught:
        read_json(raw, "text", depth=2)
    assert caught.value.counts == {code: 1}
    assert caught.value.what == "text"


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert read_json(b'"\\ud83d\\ude00"', "text") == "\U0001f600"


def test_a_refusal_does_not_carry_control_characters() -> None:
    with pytest.raises(PostRefusedError) as caught:
        read_json(b"\x1b[2J", "text")
    assert "\x1b" not in str(caught.value.report())


@pytest.mark.parametrize(
    ("raw", "value"),
    [(b"1e999", math.inf), (b"-1e999", -math.inf), (b"9" * 5_000, math.inf), (b"-" + b"9" * 5_000, -math.inf)],
)
def test_numbers_beyond_every_float_come_back_as_infinite(raw: bytes, value: float) -> None:
    assert read_json(raw, "number") == value


def test_finite_means_finite_as_a_float() -> None:
    assert is_finite(1e308)
    assert is_finite(10**308)
    assert not is_finite(10**309)
    assert not is_finite(math.nan)
