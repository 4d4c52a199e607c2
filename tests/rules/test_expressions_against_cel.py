"""Conditions are a part of CEL: what we read and reckon, the CEL of another house reads and reckons alike.

Two things are ours on purpose (ADR 0059): every number is a double, also one written without a point; what CEL calls an error, and a
number that is not finite, is unknown. The test writes numbers with a point, and takes CEL's errors for unknown.
"""

from __future__ import annotations

import json
import math

import cel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.documents.kept import Version
from rules.documents.syntax import parse
from rules.documents.values import Scope, evaluator
from tests.examples import examples

pytestmark = pytest.mark.long

QUICK = settings(max_examples=examples(600), deadline=None, suppress_health_check=[HealthCheck.too_slow])
NUMBERS = [0.0, 0.1, 0.2, 0.3, 1.0, 2.5, 1e308, 4.0]
TEXTS = ["", "B1", "b'2", 'q"', "back\\slash", "批号"]
MEMBERS = {"n": NUMBERS, "m": NUMBERS, "t": TEXTS, "u": TEXTS, "f": [True, False], "g": [True, False]}


@st.composite
def objects(draw):
    """Draw an object of numbers, texts and flags, of which each may be missing."""
    names = [name for name in MEMBERS if draw(st.integers(0, 4))]
    found = {name: draw(st.sampled_from(MEMBERS[name])) for name in names}
    return found | {"list": draw(st.lists(st.sampled_from(TEXTS), max_size=3))}


def written(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def places(*names):
    return st.builds(
        lambda of, name, quoted: f"{of}['{name}']" if quoted else f"{of}.{name}",
        st.sampled_from(["report", "entry", "before", "previous"]), st.sampled_from(names), st.booleans(),
    )  # fmt: skip


NUMBER = st.recursive(
    st.one_of(places("n", "m"), st.sampled_from(NUMBERS).map(repr)),
    lambda inner: st.one_of(
        st.builds(lambda a, op, b: f"{a} {op} {b}", inner, st.sampled_from("+-*/"), inner),
        st.builds("({})".format, inner),
        st.builds("-({})".format, inner),
    ),
    max_leaves=5,
)
TEXT = st.one_of(places("t", "u"), st.sampled_from(TEXTS).map(written))
LISTED = st.lists(st.sampled_from(TEXTS).map(written), min_size=1, max_size=3).map(lambda all_: f"[{', '.join(all_)}]")
COMPARISON = st.one_of(
    st.builds(lambda a, op, b: f"{a} {op} {b}", NUMBER, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBER),
    st.builds(lambda a, op, b: f"{a} {op} {b}", TEXT, st.sampled_from(["==", "!="]), TEXT),
    st.builds(lambda a, b: f"{a} in {b}", TEXT, st.one_of(LISTED, st.just("report.list"))),
    places("f", "g"),
)
CONDITION = st.recursive(
    COMPARISON,
    lambda inner: st.one_of(
        st.builds(lambda a, op, b: f"{a} {op} {b}", inner, st.sampled_from(["&&", "||"]), inner),
        st.builds("({})".format, inner),
        st.builds("!({})".format, inner),
    ),
    max_leaves=6,
)


def by_cel(text, known):
    """Return what CEL says: a value, or None where it has an error of its own."""
    try:
        return cel.evaluate(text, known)
    except (KeyError, TypeError, RuntimeError, ValueError):
        return None


def by_us(text, known):
    whole = {name: Version(1, json.dumps(value)) for name, value in known.items()}
    inner = {name: whole[name].fields for name in ("entry", "before") if name in whole}
    scope = Scope(whole["report"], previous=whole.get("previous"), **inner)
    return evaluator(parse(text))(scope)


@given(
    CONDITION,
    st.fixed_dictionaries(
        {"report": objects(), "entry": objects()}, optional={"before": objects(), "previous": objects()}
    ),
)
@QUICK
def test_a_condition_is_worth_what_cel_says(text, known):
    """What is not finite is unknown to us: where CEL goes on with it, it may know more, never otherwise."""
    ours, theirs = by_us(text, known), by_cel(text, known)
    if ours is None and _is_not_finite(text, known):
        return
    assert ours == theirs
    assert type(ours) is type(theirs)


@given(NUMBER, st.fixed_dictionaries({"report": objects(), "entry": objects()}))
@QUICK
def test_a_sum_is_worth_what_cel_says(text, known):
    ours, theirs = by_us(text, known), by_cel(text, known)
    if theirs is not None and not math.isfinite(theirs):
        assert ours is None
    elif ours is None:
        assert theirs is None or _is_not_finite(text, known)
    else:
        assert ours == theirs


def _is_not_finite(text, known):
    """Say whether some number in it is not finite, or cannot be reckoned by CEL: each sum is asked by itself."""
    found = []

    def look(node):
        if node.kind in {"+", "-", "*", "/", "minus"}:
            found.append(by_cel(text[node.at : node.end], known))
        for part in node.parts:
            look(part)

    look(parse(text))
    return any(isinstance(value, float) and not math.isfinite(value) for value in found)


@pytest.mark.parametrize(
    "text",
    [
        "true || report.gone == 1.0",
        "report.gone == 1.0 || true",
        "false && report.gone == 1.0",
        "report.gone == 1.0 && false",
    ],
)
def test_cel_too_lets_one_side_decide_where_the_other_is_an_error(text):
    assert by_cel(text, {"report": {}}) is by_us(text, {"report": {}})
    assert by_us(text, {"report": {}}) is not None


def test_where_we_part_from_cel():
    """The reasons stand in ADR 0059; a change of the library that takes one away is seen here."""
    with pytest.raises(TypeError):
        cel.evaluate("1.0 + 1", {})
    assert evaluator(parse("1.0 + 1"))(Scope(Version(1, "{}"))) == 2
    assert cel.evaluate("1.0 / 0.0 > 1.0", {}) is True
    assert evaluator(parse("1.0 / 0.0 > 1.0"))(Scope(Version(1, "{}"))) is None
    assert cel.evaluate("size('批')", {}) == 3  # bytes, where the language counts characters: we count no texts
