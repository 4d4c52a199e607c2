"""Registered limits that leave a rule no room are a fault of the register, never limits turned inside out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitor.register.files import read_register
from rules.engine import Engine
from rules.errors import BadInputError
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, sensor, story

if TYPE_CHECKING:
    from pathlib import Path

REGISTER = """facilities:
  - id: BJ-1
    name: {{zh: 测试, en: Test}}
    jurisdiction: "110115"
    scopes: [{{field: distribution, line: drug}}]
    areas: [{{id: CR1, kind: cold-room}}]
    sensors:
      - {{tag: T1, area: CR1, quantity: temperature, unit: Cel, interval: 60s, limits: {limits}}}
"""


def test_a_value_under_limits_without_room_is_no_excursion_and_is_counted() -> None:
    log = HandLog().register(-1, sensor(limits={"low": 10, "high": 20})).live("T1", 0, [5, 6, 7, 15])
    assert story(log.changes(), "store-out") == []
    engine = Engine(BUNDLE)
    for record in log.records():
        engine.fold(record)
    assert engine.counters(0, FACILITY)["limits_without_room"] == 1


def test_limits_that_leave_room_are_judged_and_not_counted() -> None:
    log = HandLog().register(-1, sensor(limits={"low": 7.9})).live("T1", 0, [7, 7])
    assert [s[1] for s in story(log.changes(), "store-out")] == ["raised"]


@pytest.mark.parametrize(("limits", "faulty"), [("{low: 10}", True), ("{high: 2}", True), ("{low: 3, high: 7}", False)])
def test_an_import_names_limits_without_room_with_their_line(tmp_path: Path, limits: str, faulty: bool) -> None:
    path = tmp_path / "register.yaml"
    path.write_text(REGISTER.format(limits=limits), encoding="utf-8")
    assert read_register(path).facilities[0].id == "BJ-1"
    if not faulty:
        assert read_register(path, BUNDLE).facilities[0].id == "BJ-1"
        return
    with pytest.raises(BadInputError) as caught:
        read_register(path, BUNDLE)
    (fault,) = caught.value.faults
    assert (fault.code, fault.pointer.startswith("register.yaml:8:")) == ("no_room", True)
    assert "cold-chain.store-out" in fault.detail
