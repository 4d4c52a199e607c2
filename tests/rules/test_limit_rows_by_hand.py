"""Limits of the packs in minutes, from the text of the catalogue: what a row of a table or one side of a limit gives."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rules.pack import Bundle
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, HandLog, sensor, story

HOURS_10 = 600


def area(**facts: Any) -> list[dict[str, Any]]:
    return [{"id": "A1", **facts}]


def log(values: list[Any], areas: list[dict[str, Any]], **measures: Any) -> HandLog:
    return HandLog().register(-1, sensor(**measures), areas=areas).live("T1", 0, values)


def test_a_tank_at_its_first_good_record_and_a_freezer_at_its_second() -> None:
    tank = log([-170, -134.9, -140, -140, -140], area(kind="cryo-tank"))
    assert story(tank.changes(), "glass-transition") == [
        (1.01667, "raised", "glass-transition", "T1", "red", 1.0, None),
        (4.01667, "cleared", "glass-transition", "T1", "red", 1.0, 2.0),
    ]
    freezer = log([-140, -129.9, -129.9], area(kind="freezer"))
    assert story(freezer.changes(), "glass-transition") == [
        (2.01667, "raised", "glass-transition", "T1", "red", 1.0, None),
    ]


@pytest.mark.parametrize(
    ("limits", "value", "fires", "origin"),
    [
        ({"high": -120}, -120, False, None),
        ({"high": -120}, -119.9, True, "register"),
        ({"high": -140}, -139.9, True, "register"),
        ({"low": -150}, -130, False, None),
        ({"low": -150}, -129.9, True, "cryogenic-storage"),
        (None, -129.9, True, "cryogenic-storage"),
    ],
)
def test_the_evidence_says_whose_limit_a_freezer_has(
    limits: dict[str, float] | None, value: float, fires: bool, origin: str | None
) -> None:
    more = {} if limits is None else {"limits": limits}
    changes = [
        c for c in log([value] * 3, area(kind="freezer"), **more).changes() if c.rule == "cell-storage.glass-transition"
    ]
    assert [c.change.value for c in changes] == (["raised"] if fires else [])
    if fires:
        (used,) = changes[0].evidence.limits
        assert (used.name, used.origin) == ("high", origin)
        assert used.edition == ("mechanical freezer" if origin != "register" else None)


@pytest.mark.parametrize(
    ("quantity", "unit", "outside", "held", "back"), [("temperature", "Cel", 20.1, 19.6, 19.5), ("humidity", "%RH", 75.1, 73.1, 73.0)]
)  # fmt: skip
def test_each_row_has_its_own_deadband(quantity: str, unit: str, outside: float, held: float, back: float) -> None:
    made = HandLog().register(
        -1, sensor(quantity=quantity, unit=unit), areas=area(kind="cool-store"),
        scopes=[{"field": "distribution", "line": "cosmetics"}],
    )  # fmt: skip
    made.live("T1", 0, [outside, outside, held, held, held, back, back, back])
    assert story(made.changes(), "ambient-store-out") == [
        (1.01667, "raised", "ambient-store-out", "T1", "yellow", 0.0, None),
        (7.01667, "cleared", "ambient-store-out", "T1", "yellow", 0.0, 5.0),
    ]


def test_ten_hours_of_warmth_are_told_by_the_record_and_by_the_clock() -> None:
    """Records every half hour, the last at 9 h 30 min: nothing newer, so the record at 10 h decides, and not the clock."""
    made = HandLog().register(-1, sensor(interval="30m"), areas=area(kind="cold-room"))
    made.live("T1", 0, [9] * 20, every=30)
    assert story(made.changes(until=HOURS_10 + 1), "warm-10h") == []
    made.live("T1", HOURS_10, [9], every=30)
    assert story(made.changes(), "warm-10h") == [
        (600.01667, "raised", "warm-10h", "T1", "red", 0.0, None),
    ]


def test_cold_that_an_hourly_recorder_reports_once_is_decided_by_the_clock_while_the_next_may_come() -> None:
    made = HandLog().register(-1, sensor(interval="60m"), areas=area(kind="refrigerator"))
    made.live("T1", 0, [-0.5], every=60)
    assert story(made.changes(until=60), "freeze-60min") == []
    assert story(made.changes(until=61), "freeze-60min") == [
        (60.01667, "raised", "freeze-60min", "T1", "red", 0.0, None),
    ]


def test_both_rules_of_a_warm_store_stand_beside_each_other() -> None:
    made = log([9] * 602, area(kind="cold-room"))
    assert story(made.changes(), "store-out", "warm-10h") == [
        (1.01667, "raised", "store-out", "T1", "orange", 0.0, None),
        (600.01667, "raised", "warm-10h", "T1", "red", 0.0, None),
    ]


def test_what_a_store_holds_is_in_force_from_its_instant() -> None:
    """Chemical drugs until minute 30, vaccines from then on: the hour of cold is counted from there."""
    areas = [
        {"id": "A1", "kind": "cold-room", "stores": ["chemical"]},
        {"id": "A1", "kind": "cold-room", "stores": ["vaccine"], "from": "2026-03-01T00:30:00+08:00"},
    ]
    assert story(log([-1] * 92, areas).changes(), "freeze-60min") == [
        (90.01667, "raised", "freeze-60min", "T1", "red", 30.0, None),
    ]


def test_only_the_minimum_of_a_level_counts() -> None:
    level = {"quantity": "ln2-level", "unit": "%", "limits": {"low": 40, "high": 95}}
    made = log([99, 99, 39, 39, 99, 99, 99], area(kind="cryo-tank"), **level)
    changes = [c for c in made.changes() if c.rule == "cell-storage.ln2-low"]
    assert story(changes) == [
        (3.01667, "raised", "ln2-low", "T1", "red", 2.0, None),
        (6.01667, "cleared", "ln2-low", "T1", "red", 2.0, 4.0),
    ]
    assert [(used.name, used.value) for used in changes[0].evidence.limits] == [("low", 40.0)]


def test_a_silent_oxygen_sensor_is_red_and_speaks_for_the_blue_gap() -> None:
    """Two intervals (20 s) and the delivery (60 s) after the last row, whatever else the room sends."""
    oxygen = sensor(interval="10s", quantity="oxygen", unit="%")
    warmth = sensor(tag="T2", interval="10s")
    made = HandLog().register(-1, oxygen, warmth, areas=area(kind="cryo-room")).live("T1", 0, [20.9], delay=0)
    made.live("T2", 0, [20] * 16, every=1 / 6, delay=0)
    assert story(made.changes(), "oxygen-silent", "gap") == [
        (1.33333, "raised", "oxygen-silent", "T1", "red", 0.16667, None),
        (1.33333, "raised", "gap", "T1", "blue", 0.16667, None),
        (1.33333, "suppressed", "gap", "T1", "blue", 0.16667, None),
        (2.0, "stepped", "gap", "T1", "yellow", 0.16667, None),
    ]  # fmt: skip


@pytest.mark.parametrize("standard", ["cn-gmp-2010", "eu-annex1-2022"])
@pytest.mark.parametrize(
    ("grade", "rule", "limit"),
    [("B", "b-particles", {"cn-gmp-2010": 2900, "eu-annex1-2022": 2930}), ("C", "c-particles", {"cn-gmp-2010": 29000, "eu-annex1-2022": 29300})],
)  # fmt: skip
def test_the_standard_of_the_room_gives_the_number(standard: str, grade: str, rule: str, limit: dict[str, int]) -> None:
    count = {"quantity": "particles-5.0", "unit": "/m3"}
    room = area(kind="cleanroom", grade=grade, standard=standard)
    assert story(log([limit[standard]] * 3, room, **count).changes(), rule) == []
    assert len(story(log([limit[standard] + 1] * 2, room, **count).changes(), rule)) == 1


def test_members_that_came_later_change_no_published_bundle() -> None:
    """What a rule or a table does not give is not part of its hash, so records of bundles from before stay what they were."""
    store, warm = BUNDLE.rule("cold-chain.store-out"), BUNDLE.rule("cell-storage.vapour-high")
    assert store is not None
    assert warm is not None
    text = Bundle.of([store], [BUNDLE.tables["cleanroom-particles"]]).content().decode()
    assert [name for name in ("side", "registered") if f'"{name}":' in text] == []
    rows = json.loads(text)["tables"][0]["rows"]
    assert {name for row in rows for name in row} == {"where", "unit", "limit", "edition", "status"}
    step = warm.severity.steps[0].model_copy(update={"consecutive": None})
    assert sorted(step.model_dump(mode="json", by_alias=True, exclude_none=True)) == ["beyond", "for", "to"]
    assert Bundle.from_record(BUNDLE.to_record()).sha256 == BUNDLE.sha256


def test_one_side_of_a_literal_limit_is_a_fault_and_so_is_a_count_without_a_time() -> None:
    level, warm = BUNDLE.rule("cell-storage.ln2-low"), BUNDLE.rule("cell-storage.vapour-high")
    assert level is not None
    assert warm is not None
    sided = level.model_copy(update={"limits": level.limits.model_copy(update={"from_": "range"})})
    assert [f.pointer for f in bundle_faults([sided], [])] == ["/rules/0/limits/side"]
    (step,) = warm.severity.steps
    plan = warm.severity.model_copy(update={"steps": [step.model_copy(update={"for_": 0})]})
    assert [f.pointer for f in bundle_faults([warm.model_copy(update={"severity": plan})], [])] == [
        "/rules/0/severity/steps/0/consecutive"
    ]
