"""What lint says of a legal clock that its model takes: reports, members and values that do not exist, times that mean nothing."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from rules.clocks.due import matches
from rules.clocksound import clock_faults
from rules.pack import default_bundle
from rules.rule import DeadlineRule, Rule

SHIPPED = {rule.id.split(".")[1]: rule for rule in default_bundle().rules if isinstance(rule, DeadlineRule)}
RULE: TypeAdapter[Rule] = TypeAdapter(Rule)


def changed(name: str, **members: Any) -> DeadlineRule:
    value = SHIPPED[name].model_dump(mode="json", by_alias=True, exclude_none=True) | members
    rule = RULE.validate_python({member: one for member, one in value.items() if one is not None})
    assert isinstance(rule, DeadlineRule)
    return rule


def told(rule: DeadlineRule) -> list[tuple[str, str]]:
    return [(fault.pointer, fault.code) for fault in clock_faults(rule)]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_clocks_have_no_fault(name: str) -> None:
    assert told(SHIPPED[name]) == []


@pytest.mark.parametrize(
    ("name", "members", "wanted"),
    [
        ("adr-death", {"answer": {"report": "adr", "key": "case_id", "at": "known_at"}}, [("/answer/report", "unknown_value")]),
        ("adr-death", {"answer": {"report": "adr-case", "key": "case", "at": "known_at"}}, [("/answer/key", "unknown_member")]),
        ("adr-death", {"answer": {"report": "adr-case", "key": "is_new", "at": "known_at"}}, [("/answer/key", "wrong_type")]),
        ("adr-death", {"answer": {"report": "adr-case", "key": "case_id"}}, [("/answer/at", "deadline")]),
        ("adr-death", {"answer": {"report": "adr-case", "key": "case_id", "at": "known"}}, [("/answer/at", "unknown_member")]),
        ("adr-death", {"answer": {"report": "adr-case", "key": "case_id", "at": "outcome"}}, [("/answer/at", "wrong_type")]),
        ("adr-death", {"only": [{"seriousness": "deadly"}]}, [("/only/0/seriousness", "wrong_type")]),
        ("adr-death", {"only": [{"severity": "death"}]}, [("/only/0/severity", "unknown_member")]),
        ("adr-death", {"only": [{"seriousness": ["death", None]}]}, [("/only/0/seriousness", "wrong_type")]),  # each report says it
        ("adr-death", {"only": [{"is_new": 1}]}, [("/only/0/is_new", "wrong_type")]),
        ("adr-death", {"reminder": {"share": 0.8}}, [("/reminder", "deadline")]),
        ("adr-death", {"applies_to": {"sensor.quantity": "temperature"}}, [("/applies_to/sensor.quantity", "predicate")]),
        ("adr-death", {"within": [{"time": "24h"}, {"time": "15d"}]}, [("/within/1", "deadline")]),
        (
            "adr-death",
            {"within": [{"time": "24h", "from": "2024-01-01", "before": "2024-01-01"}]},
            [("/within/0/before", "deadline")],
        ),
        ("adr-death", {"judged": "outcome"}, [("/judged", "wrong_type")]),
        ("adr-death", {"plan": "known_at"}, [("/plan", "wrong_type")]),
        (
            "adr-death-investigation",
            {"starts": {"report": "adr-case", "key": "case_id"}},
            [("/starts/at", "deadline")],
        ),
        ("adr-death-investigation", {"inspections": True}, [("/inspections", "deadline")]),
        (
            "adr-death-investigation",
            {"reminder": {"share": 0.8, "severity": "red"}},
            [("/reminder/severity", "deadline")],
        ),
        (
            "adr-death-investigation",
            {"severity": {"base": "orange"}, "overdue": [{"after": "5d", "to": "yellow"}]},
            [("/overdue", "step")],
        ),
        ("dsur", {"within": [{"time": "20wd"}]}, [("/yearly", "deadline")]),
        ("dsur", {"within": [{"time": "2mo", "where": {"susar_count": 1}}]}, [("/within/0/where", "deadline")]),
        ("recall-progress", {"overdue": [{"after": "5d", "to": "red"}]}, [("/again_until", "deadline")]),
        ("rectification", {"within": [{"time": "20wd", "where": {"inspection_id": "V-1"}}]}, [("/within/0/where", "deadline")]),
    ],
)  # fmt: skip
def test_what_means_nothing_is_told_where_it_stands(
    name: str, members: dict[str, Any], wanted: list[tuple[str, str]]
) -> None:
    assert told(changed(name, **members)) == wanted


def test_a_list_names_several_cases_and_a_value_of_a_list_of_values_is_checked_one_by_one() -> None:
    assert told(changed("cosmetic-self-check", only=[{"class": ["serious", "social"]}])) == []
    assert told(changed("cosmetic-self-check", only=[{"class": ["serious", "grave"]}])) == [
        ("/only/0/class", "wrong_type")
    ]


@pytest.mark.parametrize(
    ("where", "fields", "fits"),
    [
        ({"line": ["drug", None]}, {}, True), ({"line": ["drug", None]}, {"line": "drug"}, True), ({"line": "drug"}, {}, False),
        ({"line": ["drug", None]}, {"line": "device"}, False), ({"line": ["drug", None]}, {"line": None}, True),
        ({"line": [None]}, {"line": "drug"}, False), ({"class": [1, None]}, {"class": True}, False), ({}, {}, True),
    ],
)  # fmt: skip
def test_null_among_values_stands_for_what_a_report_does_not_say(where: Any, fields: Any, fits: bool) -> None:
    assert matches(where, fields) is fits
