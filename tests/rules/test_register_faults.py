"""What does not go together in a register file is told with its place, whatever else is wrong there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from monitor.register.files import read_register
from rules.errors import BadInputError
from rules.register import Area, Facility, Sensor
from rules.registerfaults import entry_faults

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """facilities:
  - id: BJ-1
    name: {zh: 测试, en: Test}
    jurisdiction: "110115"
"""


def told(tmp_path: Path, text: str) -> list[tuple[int, str, str]]:
    """Return line, code and pointer of every fault of a file of one facility."""
    path = tmp_path / "register.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    with pytest.raises(BadInputError) as refused:
        read_register(path)
    return [(int(f.pointer.split(":")[1]), f.code, f.detail.split(":")[0]) for f in refused.value.faults]


def test_a_fault_of_one_value_hides_none_of_the_whole_sensor_or_area(tmp_path: Path) -> None:
    text = """    areas:
      - {id: R, kind: cold-room, phase: liquid, grade: A, floor_m2: "60"}
      - {id: Q, kind: cleanroom, height_m: 0}
    sensors:
      - {tag: T, area: R, against: Q, quantity: temperature, unit: degC, interval: 0s}
      - {tag: U, area: R, quantity: pressure-difference, unit: Pa, resolution: true}
"""
    assert sorted(told(tmp_path, text)) == sorted([
        (6, "misplaced", "facilities/0/areas/0/phase"),
        (6, "misplaced", "facilities/0/areas/0/grade"),
        (6, "wrong_type", "facilities/0/areas/0/floor_m2"),
        (7, "needed", "facilities/0/areas/1/grade"),
        (7, "needed", "facilities/0/areas/1/standard"),
        (7, "out_of_range", "facilities/0/areas/1/height_m"),
        (9, "wrong_unit", "facilities/0/sensors/0/unit"),
        (9, "misplaced", "facilities/0/sensors/0/against"),
        (9, "wrong_form", "facilities/0/sensors/0/interval"),
        (10, "needed", "facilities/0/sensors/1/against"),
        (10, "wrong_type", "facilities/0/sensors/1/resolution"),
    ])  # fmt: skip


def test_what_the_model_says_of_a_whole_entry_is_told_once(tmp_path: Path) -> None:
    text = """    areas: [{id: R, kind: box, phase: vapour}]
    sensors: [{tag: T, area: R, quantity: temperature, unit: Pa}]
"""
    assert told(tmp_path, text) == [
        (5, "misplaced", "facilities/0/areas/0/phase"),
        (6, "wrong_unit", "facilities/0/sensors/0/unit"),
    ]


def test_models_built_without_a_file_are_held_to_the_same() -> None:
    with pytest.raises(ValidationError, match="only a cryo-tank has a phase"):
        Area.model_validate({"id": "R", "kind": "box", "phase": "liquid"})
    with pytest.raises(ValidationError, match="a cleanroom needs grade and standard"):
        Area.model_validate({"id": "R", "kind": "cleanroom", "grade": "A"})
    with pytest.raises(ValidationError, match="temperature is measured in Cel, not Pa; `against` belongs"):
        Sensor.model_validate({"tag": "T", "area": "R", "against": "Q", "quantity": "temperature", "unit": "Pa"})


@pytest.mark.parametrize(
    "facility",
    [
        None, 3, [], {"areas": 3, "sensors": [None, 7]},
        {"areas": [{"kind": []}, {"kind": "zoo", "phase": 1}, {"kind": None, "grade": {}}]},
        {"sensors": [{"quantity": []}, {"quantity": "zoo", "unit": 1}, {"quantity": "humidity", "unit": 7}]},
    ],
)  # fmt: skip
def test_values_that_are_none_are_passed_over(facility: object) -> None:
    assert entry_faults(facility) == []


CONTRADICTORY = """    licences: [{number: n, kind: online-sale, from: 2026-01-02, to: 2026-01-01}]
    products: [{id: P, name: {zh: 药, en: ""}, class: vaccine, storage: cold}]
    areas: [{id: R, kind: cold-room, name: {zh: " ", en: Room}}, {id: Q, kind: box}]
    sensors:
      - {tag: D, area: R, against: R, quantity: pressure-difference, unit: Pa}
      - {tag: T, area: R, quantity: temperature, unit: Cel, calibration: {done: 2026-01-05, due: 2025-01-05}}
      - {tag: U, area: R, quantity: temperature, unit: Cel, limits: {low: 2, high: 8}, range: {low: 3, high: 7}}
"""


def test_an_import_refuses_what_cannot_be_meant_with_its_place(tmp_path: Path) -> None:
    assert sorted(told(tmp_path, CONTRADICTORY)) == [
        (5, "ends_before", "facilities/0/licences/0/to"),
        (6, "empty", "facilities/0/products/0/name/en"),
        (7, "empty", "facilities/0/areas/0/name/zh"),
        (9, "own_area", "facilities/0/sensors/0/against"),
        (10, "ends_before", "facilities/0/sensors/1/calibration/due"),
        (11, "blind_range", "facilities/0/sensors/2/range"),
    ]


def test_a_record_that_the_log_holds_is_read_whatever_cannot_be_meant_in_it() -> None:
    facility = {
        "id": "AA-1", "name": {"zh": "", "en": ""}, "jurisdiction": "110000", "areas": [{"id": "R", "kind": "box"}],
        "licences": [{"number": "n", "kind": "online-sale", "from": "2026-01-02", "to": "2026-01-01"}],
        "sensors": [
            {"tag": "D", "area": "R", "against": "R", "quantity": "pressure-difference", "unit": "Pa",
             "limits": {"low": 2}, "range": {"low": 3}, "calibration": {"done": "2026-01-05", "due": "2025-01-05"}},
        ],
    }  # fmt: skip
    assert {fault.code for fault in entry_faults(facility)} == {"empty", "own_area", "ends_before", "blind_range"}
    assert Facility.model_validate(facility).sensors[0].against == "R"


@pytest.mark.parametrize(
    ("limits", "span", "blind"),
    [
        ({"low": 2, "high": 8}, {"low": 2, "high": 8}, True),
        ({"low": 2, "high": 8}, {"low": 1.9, "high": 8}, False),
        ({"low": 2, "high": 8}, {"low": 2, "high": 8.1}, False),
        ({"low": 2, "high": 8}, {"low": 3}, False),
        ({"high": 8}, {"high": 8}, True),
        ({"high": 8}, {"low": -40}, False),
        ({}, {"low": 2, "high": 8}, False),
        ({"low": 2}, {}, False),
        ({"low": "2"}, {"low": True}, False),
        (None, {"low": 2}, False),
    ],
)
def test_a_range_is_blind_where_it_shows_nothing_outside_the_limits(
    limits: object, span: object, *, blind: bool
) -> None:
    found = [fault.code for fault in entry_faults({"sensors": [{"limits": limits, "range": span}]})]
    assert found == (["blind_range"] if blind else [])


def test_a_term_of_one_day_and_days_that_are_none_are_no_contradiction() -> None:
    facility = {
        "licences": [
            {"from": "2026-01-01", "to": "2026-01-01"},
            {"from": "2026-01-01", "to": None},
            {"from": 3, "to": "2"},
        ],
        "sensors": [{"calibration": {"done": "2026-01-05", "due": "2026-01-05"}}],
    }
    assert entry_faults(facility) == []
