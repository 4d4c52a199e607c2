"""Special regimes in the register: what is registered of each, what is refused, and which facts are in force when."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from monitor.register.files import read_register
from rules.errors import BadInputError
from rules.instants import parse_instant
from rules.regimes import TITLES
from rules.register import Facility
from rules.validity import facts_at

BASE = {
    "id": "BJ-1", "name": {"zh": "测试", "en": "Test"}, "jurisdiction": "110115",
    "areas": [{"id": "TK1", "kind": "cryo-tank"}, {"id": "CR1", "kind": "cold-room"}],
    "products": [{"id": "C-01", "name": {"zh": "细胞", "en": "Cells"}, "class": "cell", "storage": "cryogenic"}],
}  # fmt: skip
REGIMES = {
    "stem-cell-licence": {"id": "S20250001", "product": "C-01", "areas": ["TK1"], "monitored_from": "2026-02-01",
                          "donor_lots": [{"donor": "D-7", "lot": "L-1"}]},
    "trial-pilot": {"id": "PILOT-11-3", "group": "trial-11", "duties": ["quarterly figures"]},
    "green-channel-import": {"id": "URG-2026-7", "product": "C-01", "lots": ["B1", "B2"], "port": "首都机场", "areas": ["CR1"]},
    "rare-disease-bonded": {"id": "BZ-1", "zone": "天竺综合保税区", "account": "STK-9", "products": ["C-01"], "areas": ["CR1"]},
    "imported-cosmetics-filing": {"id": "GZ-2026-1", "agent": "某公司", "received": "2026-01-05", "completed": "2026-02-01"},
}  # fmt: skip


def regime(kind, **more):
    return {"kind": kind, **REGIMES[kind], **more}


def facility(*regimes, **more):
    return Facility.model_validate(BASE | {"regimes": list(regimes)} | more)


def file_faults(tmp_path, *regimes):
    path = tmp_path / "register.json"
    path.write_text(json.dumps({"facilities": [BASE | {"regimes": list(regimes)}]}), encoding="utf-8")
    with pytest.raises(BadInputError) as refused:
        read_register(path)
    return sorted((fault.code, fault.detail.split(": ")[-1]) for fault in refused.value.faults)


@pytest.mark.parametrize("kind", REGIMES)
def test_each_regime_is_kept_as_it_was_written(kind):
    given = regime(kind, **{"from": "2026-01-01", "to": "2027-01-01"})
    kept = json.loads(facility(given).model_dump_json(by_alias=True, exclude_none=True))["regimes"]
    assert kept == [given]
    assert Facility.model_validate_json(json.dumps(BASE | {"regimes": kept})).regimes == facility(given).regimes


def test_every_regime_of_the_workflow_has_a_model_and_a_name_in_both_languages():
    assert set(TITLES) == set(REGIMES)
    assert all(zh and en.isascii() for zh, en in TITLES.values())


def test_a_facility_without_any_is_written_as_before():
    text = Facility.model_validate(BASE).model_dump_json(by_alias=True, exclude_none=True)
    assert "regimes" not in text


@pytest.mark.parametrize("kind", REGIMES)
def test_what_no_regime_has_is_refused(kind):
    for wrong in (
        regime(kind, more=1), regime(kind, id=None), regime(kind, id=""), regime(kind, **{"from": "2026-02-30"}), regime(kind, to="soon"),
        {name: value for name, value in regime(kind).items() if name != "kind"}, regime(kind) | {"kind": "other"},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            facility(wrong)


@pytest.mark.parametrize("kind", ["stem-cell-licence", "green-channel-import", "rare-disease-bonded"])
def test_areas_and_products_must_be_registered(kind, tmp_path):
    wrong = regime(kind, areas=["CR1", "NO"]) | (
        {"products": ["C-9"]} if kind == "rare-disease-bonded" else {"product": "C-9"}
    )
    assert file_faults(tmp_path, wrong) == [
        ("unknown_area", "area NO is not registered"), ("unknown_product", "product C-9 is not registered"),
    ]  # fmt: skip
    with pytest.raises(ValidationError, match="area NO is not registered"):
        facility(wrong)


def test_one_of_a_kind_stands_once_but_for_another_beginning(tmp_path):
    assert ("stands_twice", "URG-2026-7 stands twice") in file_faults(tmp_path, *[regime("green-channel-import")] * 2)
    later = regime("green-channel-import", **{"from": "2026-05-01"})
    assert len(facility(regime("green-channel-import"), later).regimes) == 2
    assert len(facility(regime("green-channel-import"), regime("trial-pilot", id="URG-2026-7")).regimes) == 2


def test_no_regime_of_a_file_ends_before_it_begins(tmp_path):
    wrong = regime(
        "imported-cosmetics-filing",
        received="2026-03-02",
        completed="2026-03-01",
        to="2025-01-01",
        **{"from": "2025-01-02"},
    )
    assert file_faults(tmp_path, wrong) == [
        ("ends_before", "completed lies before received"), ("ends_before", "to lies before from"),
    ]  # fmt: skip
    # Of the log it is read as it is.
    assert facility(wrong).regimes[0].to == "2025-01-01"


@pytest.mark.parametrize(
    ("at", "holds"),
    [
        ("2025-12-31T23:59:59.999+08:00", False), ("2026-01-01T00:00:00+08:00", True), ("2025-12-31T16:00:00Z", True),
        ("2026-03-31T23:59:59.999+08:00", True), ("2026-04-01T00:00:00+08:00", False),
    ],
)  # fmt: skip
def test_first_and_last_day_belong_to_it_in_the_zone_of_the_jurisdiction(at, holds):
    days = {"from": "2026-01-01", "to": "2026-03-31"}
    one = facility(regime("trial-pilot", **days), licences=[{"number": "L", "kind": "drug-mah", **days}])
    found = facts_at(one, parse_instant(at))
    assert (len(found.regimes), len(found.licences)) == (holds, holds)


def test_without_days_it_holds_ever():
    assert len(facts_at(facility(regime("trial-pilot")), 0).regimes) == 1
    assert facts_at(Facility.model_validate(BASE), 0).regimes is None


def test_of_sensors_and_areas_one_entry_is_in_force():
    def sensor(high, **more):
        return {"tag": "T", "area": "CR1", "quantity": "temperature", "unit": "Cel", "limits": {"high": high}} | more

    one = Facility.model_validate(BASE | {
        "sensors": [sensor(8), sensor(9, **{"from": "2026-03-01"}), sensor(5, tag="U", **{"from": "2026-05-01"})],
        "areas": [*BASE["areas"], {"id": "CR1", "kind": "cool-store", "from": "2026-04-01"}],
    })  # fmt: skip

    def seen(day):
        found = facts_at(one, parse_instant(f"{day}T00:00:00+08:00"))
        Facility.model_validate_json(found.model_dump_json(by_alias=True, exclude_none=True))
        return [(s.tag, s.limits.high) for s in found.sensors], [(a.id, str(a.kind)) for a in found.areas]

    assert seen("2026-02-28") == ([("T", 8)], [("TK1", "cryo-tank"), ("CR1", "cold-room")])
    assert seen("2026-03-01") == ([("T", 9)], [("TK1", "cryo-tank"), ("CR1", "cold-room")])
    assert seen("2026-05-01") == ([("T", 9), ("U", 5)], [("TK1", "cryo-tank"), ("CR1", "cool-store")])
