from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from pydantic import ValidationError

from monitor.register.files import read_register
from rules.errors import BadInputError
from rules.facts import facts_of
from rules.instants import format_instant
from rules.register import Facility, cross_faults

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = """\
facilities:
  - id: BJ-MFR-0007
    name: {zh: 京北生物制品有限公司（模拟）, en: Jingbei Biologics (simulated)}
    jurisdiction: "110115"
    scopes: [{field: manufacture, line: drug}, {field: distribution, line: drug}]
    labels: [vaccine, high-risk]
    delivery: 60s
    licences: [{number: 京20240001, kind: drug-manufacture, scope: [vaccine], from: 2024-01-01, to: 2028-12-31}]
    risk: {grade: B, since: 2026-01-10, last_visit: 2025-06-02}
    products: [{id: P-12, name: {zh: 疫苗, en: Vaccine}, class: vaccine, storage: cold}]
    areas:
      - {id: CR1, kind: cold-room, floor_m2: 60, height_m: 3.2}
      - {id: FILL, kind: cleanroom, grade: A, standard: cn-gmp-2010}
      - {id: CORR, kind: cleanroom, grade: B, standard: cn-gmp-2010}
    cascades: [{cleaner: FILL, dirtier: CORR, low: 10}]
    sensors:
      - {tag: CR1.T1, area: CR1, quantity: temperature, unit: Cel, interval: 60s, limits: {low: 2, high: 8},
         range: {low: -40, high: 60}, resolution: 0.1, error: 0.5, serial: TH-1181, calibration: {done: 2026-01-05, due: 2027-01-05}}
      - {tag: FILL.DP, area: FILL, against: CORR, quantity: pressure-difference, unit: Pa, interval: 10s, limits: {low: 10}}
    contacts: [{name: 王五, role: QA, phone: "+86 10 1234", email: qa@example.org}]
"""


@pytest.fixture
def file(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "register.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_contracts_example_is_read(file):
    (entry,) = read_register(file(EXAMPLE)).facilities
    sensor = entry.sensors[0]
    assert (sensor.interval, sensor.limits.high, entry.delivery) == (60_000, 8.0, 60_000)
    assert facts_of(entry, entry.sensors[1])["area.grade"] == "A"
    assert entry.risk.since == "2026-01-10"


def test_contacts_never_reach_the_log(file):
    (entry,) = read_register(file(EXAMPLE)).facilities
    assert entry.contacts[0].name == "王五"
    logged = entry.logged()
    assert type(logged) is Facility
    assert "王五" not in logged.model_dump_json()
    assert Facility.model_validate_json(logged.model_dump_json(by_alias=True)) == logged


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("kind: cold-room", "kind: warm-room", 12),
        ("unit: Cel", "unit: Pa", 17),
        ("area: CR1, quantity", "area: NOPE, quantity", 17),
        ("cleaner: FILL", "cleaner: NOPE", 15),
        ("tag: FILL.DP", "tag: CR1.T1", 19),
        ("id: CORR", "id: FILL", 14),
        ("limits: {low: 2, high: 8}", "limits: {low: 8, high: 2}", 17),
        ("interval: 60s", "interval: 10ms", 17),
        ("grade: A, standard: cn-gmp-2010", "grade: A", 13),
        ("against: CORR, ", "", 19),
        ("delivery: 60s", "delivery: soon", 7),
        ("delivery: 60s", "delivery: 60", 7),
        ("delivery: 60s", "delivery: ６０s", 7),
        ('jurisdiction: "110115"', 'jurisdiction: "１１０１１５"', 4),
        ("from: 2024-01-01", "from: 2024-13-45", 8),
        ("from: 2024-01-01", 'from: "2024-02-30"', 8),
        ("last_visit: 2025-06-02", "last_visit: 2025-06-31", 9),
        ("scope: [vaccine]", 'scope: ["\\e]0;t\\a"]', 8),
        ("scope: [vaccine]", 'scope: ["\\x9b31m"]', 8),
        ("email: qa@example.org", 'email: "a\\e[31m<script>@x"', 20),
        ("delivery: 60s", "surprise: 1", 7),
        ("Jingbei Biologics (simulated)", '"a\\u0007b"', 3),
        ("2026-01-10", "tomorrow", 9),
    ],
)
def test_a_fault_names_its_line(file, old, new, line):
    assert old in EXAMPLE
    with pytest.raises(BadInputError) as refused:
        read_register(file(EXAMPLE.replace(old, new, 1)))
    assert line in {int(fault.pointer.split(":")[1]) for fault in refused.value.faults}, refused.value.faults


def test_every_fault_comes_at_once(file):
    text = (
        EXAMPLE.replace("kind: cold-room", "kind: warm-room")
        .replace("unit: Cel", "unit: Pa")
        .replace("grade: B,", "grade: Z,")
    )
    with pytest.raises(BadInputError) as refused:
        read_register(file(text))
    assert len(refused.value.faults) >= 3
    assert refused.value.exit_code == 3


def test_no_fault_hides_another(file):
    """A day that the calendar has not, what stands twice, what names nothing, and a second facility of the same id."""
    text = (
        EXAMPLE.replace("from: 2024-01-01", "from: 2024-13-45")
        .replace("id: CORR", "id: FILL")
        .replace("area: CR1, quantity", "area: NOPE, quantity")
        .replace("tag: FILL.DP", "tag: CR1.T1")
        .replace("kind: cold-room", "kind: warm-room")
    )
    with pytest.raises(BadInputError) as refused:
        read_register(file(text + EXAMPLE.removeprefix("facilities:\n")))
    found = [(int(fault.pointer.split(":")[1]), fault.code) for fault in refused.value.faults]
    assert {(14, "stands_twice"), (17, "unknown_area"), (19, "stands_twice"), (21, "duplicate_id")} <= set(found)
    assert {8, 12} <= {line for line, _ in found}
    assert [line for line, _ in found] == sorted(line for line, _ in found)
    assert not any("; " in fault.detail for fault in refused.value.faults)


@pytest.mark.parametrize(
    "entry", [None, 3, "x", [], {"sensors": 3, "areas": [None, {"id": None}], "devices": [{"area": 7}]}]
)
def test_entries_that_are_no_entries_are_passed_over_by_the_cross_check(entry):
    assert [fault.code for fault in cross_faults(entry)] == (["unknown_area"] if isinstance(entry, dict) else [])


def test_a_model_built_without_a_file_is_held_to_the_same():
    facility = {
        "id": "AA-1", "name": {"zh": "甲", "en": "A"}, "jurisdiction": "110000",
        "areas": [{"id": "R", "kind": "box"}, {"id": "R", "kind": "box"}],
        "devices": [{"id": "D", "area": "Q"}],
    }  # fmt: skip
    with pytest.raises(ValidationError, match=r"areas/1/id: R stands twice; devices/0/area: area Q is not registered"):
        Facility.model_validate(facility)


def test_a_json_file_is_read_by_jsons_own_reader_with_the_same_faults(file, monkeypatch):
    value = yaml.safe_load(EXAMPLE.replace("2024-01-01", '"2024-01-01"'))
    text = json.dumps(value, ensure_ascii=False, default=str)
    plain = read_register(file(text))
    assert plain == read_register(file(EXAMPLE))
    with pytest.raises(BadInputError) as refused:
        read_register(file(text.replace('"cold-room"', '"warm-room"').replace('"tag": "FILL.DP"', '"tag": "CR1.T1"')))
    assert {fault.code for fault in refused.value.faults} == {"unknown_value", "stands_twice"}
    with pytest.raises(BadInputError) as doubled:
        read_register(file(text.replace('"kind": "cold-room"', '"kind": "cold-room", "kind": "box"')))
    assert "duplicate key" in doubled.value.report()

    def never(*_):
        raise AssertionError("YAML's reader was asked")

    monkeypatch.setattr("monitor.register.files.read_yaml", never)
    assert read_register(file(text)) == plain


def test_a_facility_that_stands_twice_is_a_fault(file):
    doubled = EXAMPLE + EXAMPLE.removeprefix("facilities:\n")
    with pytest.raises(BadInputError, match="fault") as refused:
        read_register(file(doubled))
    assert "stands twice" in refused.value.report()


@pytest.mark.parametrize("text", ["", "just text", "facilities: []", "facilities: {}", "- 1\n- 2\n"])
def test_what_is_no_register_is_said(file, text):
    with pytest.raises(BadInputError):
        read_register(file(text))


def test_a_bare_date_begins_at_midnight_of_the_jurisdiction():
    facility = {
        "id": "AA-1", "name": {"zh": "甲", "en": "A"}, "jurisdiction": "110000",
        "areas": [{"id": "R", "kind": "cold-room"}],
        "sensors": [{"tag": "T", "area": "R", "quantity": "temperature", "unit": "Cel", "from": "2026-03-01"}],
    }  # fmt: skip
    sensor = Facility.model_validate(facility).sensors[0]
    assert format_instant(sensor.from_) == "2026-02-28T16:00:00.000Z"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "x", None])
def test_numbers_are_finite(value):
    with pytest.raises(ValidationError):
        Facility.model_validate(
            {
                "id": "AA-1", "name": {"zh": "甲", "en": "A"}, "jurisdiction": "110000", "areas": [{"id": "R", "kind": "box"}],
                "cascades": [{"cleaner": "R", "dirtier": "R", "low": value}],
            }
        )  # fmt: skip
