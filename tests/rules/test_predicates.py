"""What `applies_to` may want of a fact, which sensors it then fits, and what lint says of anything else, with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import TypeAdapter

from rules.engine import Engine
from rules.facts import FACTS, facts_of
from rules.lint import lint
from rules.pack import SHIPPED, Bundle, default_bundle
from rules.predicate import faults, holds, in_scope
from rules.register import Facility
from rules.rule import Predicate
from tests.rules.byhand import HandLog, sensor, story

if TYPE_CHECKING:
    from pathlib import Path

WANTED: TypeAdapter[dict[str, Predicate]] = TypeAdapter(dict[str, Predicate])
STORE_OUT = (SHIPPED / "cold-chain" / "store-out.yaml").read_text(encoding="utf-8")
ENTITY = Facility.model_validate({
    "id": "AA-1", "name": {"zh": "甲", "en": "A"}, "jurisdiction": "110115", "labels": ["high-risk"],
    "licences": [{"number": "1", "kind": "drug-retail", "from": "2024-01-01"}],
    "products": [
        {"id": "P1", "name": {"zh": "苗", "en": "V"}, "class": "vaccine", "storage": "cold"},
        {"id": "P2", "name": {"zh": "片", "en": "T"}, "class": "chemical", "storage": "room"},
    ],
    "areas": [
        {"id": "E", "kind": "refrigerator", "stores": []},
        {"id": "R", "kind": "cold-room", "floor_m2": 300, "height_m": 4, "stores": ["biologic"]},
        {"id": "W", "kind": "water-loop", "water": "wfi", "pharmacopoeia": "both"},
        {"id": "V", "kind": "vehicle", "volume_m3": 20, "shipment_type": "II"},
    ],
    "sensors": [
        {"tag": "T", "area": "R", "quantity": "temperature", "unit": "Cel", "interval": "90s", "resolution": 0.1,
         "error": 0.5, "door": "PLC-2", "detection_limit": 0},
        {"tag": "C", "area": "W", "quantity": "conductivity", "unit": "uS/cm", "compensated": False, "temperature_tag": "T"},
        {"tag": "N", "area": "V", "quantity": "temperature", "unit": "Cel", "pinned": True},
        {"tag": "E", "area": "E", "quantity": "temperature", "unit": "Cel"},
    ],
})  # fmt: skip


def fits(tag: str, wanted: dict[str, Any]) -> bool:
    return holds(WANTED.validate_python(wanted), facts_of(ENTITY, next(s for s in ENTITY.sensors if s.tag == tag)))


@pytest.mark.parametrize(
    ("tag", "wanted", "fitting"),
    [
        ("T", {"area.floor_m2": {"min": 300}}, True),
        ("T", {"area.floor_m2": {"min": 300.1}}, False),
        ("T", {"area.floor_m2": {"max": 300}}, True),
        ("T", {"area.floor_m2": {"max": 299.9}}, False),
        ("T", {"area.height_m": {"min": 3, "max": 4}}, True),
        ("T", {"area.height_m": {"min": 4.5, "max": 8}}, False),
        ("T", {"area.rack_height_m": {"max": 100}}, False),  # not registered: in no span
        ("T", {"area.rack_height_m": {"registered": False}}, True),
        ("T", {"area.rack_height_m": {"registered": True}}, False),
        ("T", {"sensor.detection_limit": {"registered": True}}, True),  # nought is a limit
        ("T", {"sensor.detection_limit": {"max": 0}}, True),
        ("T", {"sensor.sample_m3": {"registered": True}}, False),
        ("T", {"sensor.interval_s": {"min": 90, "max": 90}}, True),
        ("T", {"sensor.resolution": {"max": 0.1}, "sensor.error": {"max": 0.5}}, True),
        ("T", {"sensor.door": {"registered": True}}, True),
        ("C", {"sensor.door": {"registered": True}}, False),
        ("T", {"sensor.door": "PLC-2"}, True),
        ("C", {"sensor.temperature_tag": {"registered": True}, "sensor.compensated": False}, True),
        ("T", {"sensor.compensated": False}, False),  # nobody said so
        ("T", {"sensor.compensated": {"registered": False}}, True),
        ("C", {"area.water": "wfi", "area.pharmacopoeia": ["usp", "both"]}, True),
        ("C", {"area.pharmacopoeia": "chp"}, False),
        ("V", {"area.shipment_type": "II", "area.volume_m3": {"max": 20}}, True),
        ("V", {"area.shipment_type": "I"}, False),
        ("N", {"sensor.pinned": True}, True),
        ("T", {"sensor.pinned": False}, True),
        ("T", {"products.class": ["vaccine", "cell"], "products.storage": "room"}, True),
        ("T", {"products.class": "cell"}, False),
        ("T", {"facility.licences": "drug-retail", "facility.labels": {"registered": True}}, True),
        ("T", {"area.stores": ["vaccine", "biologic"]}, True),
        ("C", {"area.stores": "vaccine"}, True),  # the register's default
        ("E", {"area.stores": "vaccine"}, True),  # no class is a class missing, too
    ],
)
def test_which_sensors_a_predicate_fits(tag: str, wanted: dict[str, Any], fitting: bool) -> None:
    assert faults(WANTED.validate_python(wanted)) == []
    assert fits("N" if tag == "V" else tag, wanted) is fitting


def test_every_known_fact_has_a_value_of_its_type_or_none() -> None:
    for one in ENTITY.sensors:
        facts = facts_of(ENTITY, one)
        assert set(facts) == {
            name for name in FACTS if not name.startswith(("place.", "result."))
        }  # of pairs, of results
        for name, value in facts.items():
            assert value is None or isinstance(value, FACTS[name]), name


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("area.colour", "red", "no such fact; known are area.floor_m2,"),
        ("area.floor_m2", "large", "a span of numbers"),
        ("area.floor_m2", 300.0, "a span of numbers"),
        ("area.floor_m2", {"min": 4, "max": 3}, "min is above max"),
        ("area.floor_m2", {}, "a span of numbers"),
        ("area.floor_m2", {"registered": True, "min": 3}, "give the span alone"),
        ("area.kind", {"min": 3}, "a text or a list of texts"),
        ("area.kind", [], "a text or a list of texts"),
        ("area.kind", True, "a text or a list of texts"),
        ("area.stores", 3.0, "a text or a list of texts"),
        ("sensor.pinned", "yes", "true or false"),
        ("sensor.pinned", ["yes"], "true or false"),
        ("sensor.pinned", {"max": 1}, "true or false"),
    ],
)
def test_what_is_no_predicate_is_said(name: str, value: Any, said: str) -> None:
    ((where, text),) = faults(WANTED.validate_python({name: value}))
    assert where == name
    assert said in text


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ("{sensor.quantity: temperature, area.floor_m2: big}", "store-out.yaml:7:44"),
        ("{sensor.quantity: temperature, area.flor_m2: {min: 3}}", "store-out.yaml:7:44"),
        ("\n  sensor.quantity: temperature\n  sensor.door: {min: 3}", "store-out.yaml:9:3"),
    ],
)
def test_lint_names_file_line_and_column(tmp_path: Path, wanted: str, place: str) -> None:
    old = "{sensor.quantity: temperature, area.kind: [cold-room, refrigerator]}"
    assert old in STORE_OUT
    path = tmp_path / "cold-chain" / "store-out.yaml"
    path.parent.mkdir()
    path.write_text(STORE_OUT.replace(old, wanted, 1), encoding="utf-8")
    found = [fault for fault in lint([tmp_path]) if fault.code == "predicate"]
    assert [fault.pointer.split("/")[-1].strip() for fault in found] == [place], found


def test_an_unknown_member_of_a_span_is_a_fault_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "cold-chain" / "store-out.yaml"
    path.parent.mkdir()
    wanted = "{sensor.quantity: temperature, area.floor_m2: {above: 3}}"
    path.write_text(
        STORE_OUT.replace("{sensor.quantity: temperature, area.kind: [cold-room, refrigerator]}", wanted, 1),
        encoding="utf-8",
    )
    found = lint([tmp_path])
    assert found
    assert all(":7:" in fault.pointer for fault in found), found


def test_a_rule_follows_the_facts_in_force() -> None:
    """Of a room that is made larger at minute 10, a rule for large rooms watches what comes from then on."""
    old = default_bundle().rule("cold-chain.store-out")
    assert old is not None
    wanted = WANTED.validate_python({**old.applies_to, "area.floor_m2": {"min": 100}})
    bundle = Bundle.of([old.model_copy(update={"applies_to": wanted})], [])
    small = {"id": "A1", "kind": "cold-room", "floor_m2": 99}
    large = {"id": "A1", "kind": "cold-room", "floor_m2": 100, "from": "2026-03-01T00:10:00+08:00"}
    log = HandLog().register(-1, sensor(), areas=[small, large]).live("T1", 0, [9] * 13)
    assert story(log.changes(bundle=bundle)) == [(11.01667, "raised", "store-out", "T1", "orange", 10.0, None)]
    assert Engine(bundle).bundle.rule("cold-chain.store-out") is not None


def scoped(*pairs: str) -> Facility:
    scopes = [dict(zip(("field", "line"), pair.split("/"), strict=True)) for pair in pairs]
    return Facility.model_validate(
        {
            "id": "TEST-0001",
            "name": {"zh": "测试", "en": "Test"},
            "jurisdiction": "110000",
            "scopes": scopes,
            "areas": [],
            "sensors": [],
        }
    )


@pytest.mark.parametrize(
    ("rule", "own", "fitting"),
    [
        (["manufacture/drug"], ["manufacture/drug"], True), (["manufacture/drug"], ["manufacture/device"], False),
        (["manufacture/drug"], ["distribution/drug"], False), (["manufacture/all"], ["manufacture/device"], True),
        (["manufacture/drug"], ["manufacture/device", "distribution/drug"], False), (["all/drug"], ["retail/drug"], True),
        (["manufacture/drug"], ["manufacture/all"], True), (["manufacture/drug"], ["all/all"], True),
        (["manufacture/drug"], ["all/device"], False), (["all/drug"], ["all/all"], True), (["manufacture/drug"], [], False),
        (["all/all"], [], True), (["all/drug"], [], False), (["manufacture/all"], [], False), (["manufacture/drug", "all/all"], [], True),
    ],
)  # fmt: skip
def test_all_matches_anything_on_either_side(rule: list[str], own: list[str], fitting: bool) -> None:
    """A firm registered for all lines was watched by no rule of a line, and nobody was told."""
    shipped = default_bundle().rule("cleanroom.a-fine")
    scopes = [{"field": pair.partition("/")[0], "line": pair.partition("/")[2]} for pair in rule]
    changed = type(shipped).model_validate(
        shipped.model_dump(mode="json", by_alias=True, exclude_none=True) | {"scopes": scopes}
    )
    assert in_scope(changed, scoped(*own)) is fitting
