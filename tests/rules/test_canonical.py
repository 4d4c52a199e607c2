"""Canonical JSON: whatever way is taken, it is what RFC 8785 says."""

from __future__ import annotations

import math

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from rules import canonical
from rules.canonical import EXACT, canonical_bytes, sha256_hex
from rules.models import Severity

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats()
    | st.floats(-1e16, 1e16).map(lambda value: round(value, 3))
    | st.text()
    | st.text(alphabet=st.characters(exclude_categories=()))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
)


def outcome(call, value):
    """What comes out, or that it is refused."""
    try:
        return call(value)
    except (rfc8785.CanonicalizationError, ValueError):
        return "refused"


@given(VALUES)
def test_every_value_is_written_as_the_reference_writes_it(value):
    assert outcome(canonical_bytes, value) == outcome(rfc8785.dumps, value)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (-0.0, b"0"),
        (1.0, b"1"),
        (1e15, b"1000000000000000"),
        (1e21, b"1e+21"),
        (123456789012345680.0, b"123456789012345680"),
        (1e-4, b"0.0001"),
        (1e-5, b"0.00001"),
        (1e-7, b"1e-7"),
        (999999999999999.9, b"999999999999999.9"),
        (EXACT - 1, b"9007199254740991"),
        ('\x00\x08\x1f\x7f"\\/', b'"\\u0000\\b\\u001f\x7f\\"\\\\/"'),
        ("温度\u2028", '"温度\u2028"'.encode()),
        ({"\ue000": 1, "\U0001f600": 2}, '{"\U0001f600":2,"\ue000":1}'.encode()),
        ({"b": (1, 2), "a": {}}, b'{"a":{},"b":[1,2]}'),
        (Severity.RED, b'"red"'),
    ],
)  # fmt: skip
def test_the_corners_are_written_as_ecmascript_does(value, wanted):
    assert canonical_bytes(value) == wanted


@pytest.mark.parametrize("value", [EXACT, -EXACT, math.nan, math.inf, {1: 2}, b"x", "\ud800"])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises((rfc8785.CanonicalizationError, ValueError)):
        canonical_bytes(value)


def test_a_usual_change_never_takes_the_slow_way(monkeypatch):
    monkeypatch.setattr(canonical.rfc8785, "dumps", lambda _: pytest.fail("the slow way"))
    usual = {"seq": 12, "message": {"zh": "温度 9.6 °C，高于上限 8 °C", "en": "9.6 °C"}, "left": [9.6, 8.0, None, True]}
    assert canonical_bytes(usual).decode().startswith('{"left":[9.6,8,null,true],"message":')
    assert len(sha256_hex(usual)) == 64
