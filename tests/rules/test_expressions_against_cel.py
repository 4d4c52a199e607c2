"""Conditions are a part of CEL: what we read and reckon, the CEL of another house reads and reckons alike, and so does plain Python.

The answers of CEL stand in `celanswers.jsonl` (made by `tests.rules.celanswers`). Two things are ours on purpose (ADR 0059): every number
is a double, also one written without a point; what CEL calls an error, and a number that is not finite, is unknown.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings

from rules.documents.kept import Version
from rules.documents.syntax import parse
from rules.documents.values import Scope, evaluator
from tests.examples import examples
from tests.rules.conditions import CONDITIONS, KNOWN, SUMS
from tests.rules.oracle.conditions import asked

QUICK = settings(max_examples=examples(600), deadline=None, suppress_health_check=[HealthCheck.too_slow])
ANSWERS = [json.loads(line) for line in Path(__file__).with_name("celanswers.jsonl").read_text().splitlines()]
NOTHING = {"report": {}}


def by_us(text, known):
    whole = {name: Version(1, json.dumps(value)) for name, value in known.items()}
    inner = {name: whole[name].fields for name in ("entry", "before") if name in whole}
    scope = Scope(whole["report"], previous=whole.get("previous"), **inner)
    return evaluator(parse(text))(scope)


def test_conditions_and_sums_are_worth_what_cel_said():
    wrong = [
        (text, known, answer)
        for text, known, answer in ANSWERS
        if (ours := by_us(text, known)) != answer or type(ours) is not type(answer)
    ]
    assert wrong == []


def test_plain_python_reckons_what_cel_said():
    """The oracle of the property tests is held to the same measure."""
    wrong = [
        (text, known, answer)
        for text, known, answer in ANSWERS
        if (plain := asked(text, known)) != answer or type(plain) is not type(answer)
    ]
    assert wrong == []


def test_the_answers_are_of_all_sorts():
    kinds = [type(answer) for _, _, answer in ANSWERS]
    assert {kind: kinds.count(kind) >= 50 for kind in (bool, float, type(None))} == {
        bool: True,
        float: True,
        type(None): True,
    }
    told = [answer for _, _, answer in ANSWERS if isinstance(answer, bool)]
    assert 30 < sum(told) < len(told) - 30
    text = " ".join(text for text, _, _ in ANSWERS)
    signs = ["&&", "||", "!(", "==", "!=", "<=", ">=", " in [", " in report.list", "+", "*", "/", "-(", "批号"]
    assert [sign for sign in signs if sign not in text] == []


@pytest.mark.long
@given(CONDITIONS, KNOWN)
@example("!report.f", {"report": {"f": False}})
@example("!report.f && report.f == false", {"report": {"f": False}})
@example("1e308 * 10.0 > 1.0 || report.f", {"report": {"f": True}})
@QUICK
def test_a_condition_is_worth_what_plain_python_says(text, known):
    ours, plain = by_us(text, known), asked(text, known)
    assert ours == plain
    assert type(ours) is type(plain)


@pytest.mark.long
@given(SUMS, KNOWN)
@QUICK
def test_a_sum_is_worth_what_plain_python_says(text, known):
    assert by_us(text, known) == asked(text, known)


@pytest.mark.parametrize(
    ("text", "worth"),
    [
        ("1.0 + 1", 2.0),  # CEL adds no whole number and double
        ("1.0 / 0.0 > 1.0", None),  # to CEL infinity, which is more than one
        ("1e308 + 1e308 > 0.0", None),
        ("report.gone == report.gone", None),
        ("2 == 2.0", True),
    ],
)
def test_where_we_part_from_cel(text, worth):
    """The reasons stand in ADR 0059."""
    assert by_us(text, NOTHING) is worth or by_us(text, NOTHING) == worth
    assert asked(text, NOTHING) == worth
