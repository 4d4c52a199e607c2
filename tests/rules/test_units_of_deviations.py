"""The unit of a deviation: one of those of readings at the front door; the log holds any, and folds it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from rules.engine import Engine
from rules.faults import PostRefusedError
from rules.register import UNITS
from rules.reports.posts import POSTS, example_of
from rules.reports.reading import fields_of, read_report
from tests.rules.byhand import BUNDLE, FACILITY, ms
from tests.rules.posted import NOW
from tests.rules.test_excursions_by_hand import DAY, NONE, WRONG, outside, report, told

KNOWN = sorted({*UNITS.values()})
SCHEMA = jsonschema.Draft202012Validator(POSTS["deviation"].model_json_schema())


def post(**fields: Any) -> dict[str, Any]:
    value = example_of("deviation")
    return value | {"fields": value["fields"] | fields}


def faults(value: dict[str, Any]) -> list[tuple[str, str]]:
    try:
        read_report(json.dumps(value).encode(), NOW)
    except PostRefusedError as error:
        return [(fault.pointer, fault.code) for fault in error.faults]
    return []


@pytest.mark.parametrize("unit", KNOWN)
def test_units_of_readings_are_taken(unit: str) -> None:
    assert faults(post(unit=unit)) == []
    SCHEMA.validate(post(unit=unit))


@pytest.mark.parametrize("unit", ["℃", "degC", "furlong", "cel", "Cel ", "CEL", "%rh", "µS/cm", "1"])
def test_others_are_refused_where_they_stand_and_the_schema_says_so(unit: str) -> None:
    assert faults(post(unit=unit)) == [("/fields/unit", "wrong_unit")]
    assert not SCHEMA.is_valid(post(unit=unit))


def test_the_fault_lists_what_may_be_posted_and_stands_beside_the_others() -> None:
    with pytest.raises(PostRefusedError) as refused:
        read_report(json.dumps(post(unit="degC", duration_min=-1)).encode(), NOW)
    assert {fault.pointer for fault in refused.value.faults} == {"/fields/unit", "/fields/duration_min"}
    (detail,) = [fault.detail for fault in refused.value.faults if fault.pointer == "/fields/unit"]
    assert all(unit in detail for unit in KNOWN)


@pytest.mark.parametrize("unit", ["", "  ", None, 7])
def test_what_is_no_unit_at_all_is_one_fault(unit: Any) -> None:
    assert [pointer for pointer, _ in faults(post(unit=unit))] == ["/fields/unit"]


def folded(unit: str, **more: Any) -> Engine:
    engine = Engine(BUNDLE)
    for record in report(outside([9.0] * 10), 60, 5, 15, duration_min=60, unit=unit, **more).records():
        engine.fold(record)
    return engine


def test_the_log_may_hold_another_it_is_counted_and_names_its_excursion() -> None:
    engine = folded("degC")
    (record,) = [r for r in report(outside([9.0] * 10), 60, 5, 15, unit="degC").records() if r.kind == "report"]
    assert fields_of(record.payload) is not None, "it can be read"
    assert engine.counters(0, FACILITY)["deviation_unit"] == 1
    changes = engine.advance(0, ms(9 * DAY))
    assert told(changes, NONE) == told(changes, WRONG) == [], "reported in time; of an area nothing is compared"
    again = Engine(BUNDLE)
    again.restore(0, FACILITY, folded("degC").snapshot(0, FACILITY))
    assert again.counters(0, FACILITY)["deviation_unit"] == 1


def test_units_of_readings_are_not_counted() -> None:
    assert "deviation_unit" not in folded("Cel").counters(0, FACILITY)
    assert "deviation_unit" not in folded("%").counters(0, FACILITY)
