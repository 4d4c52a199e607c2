"""The limit of a value by the temperature beside it: rows of a table, looked up downwards; what does not fit together is refused."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from rules.engine import Engine
from rules.pack import default_bundle
from rules.rule import DifferenceRule
from rules.scale import limit_at, scale_faults, scale_of
from rules.tables import Reach, Table
from tests.rules.byhand import HandLog, since

if TYPE_CHECKING:
    from collections.abc import Callable

BUNDLE = default_bundle()
STAGE1 = BUNDLE.rule("water.stage1")
CHP = BUNDLE.rule("water.chp-conductivity")
assert isinstance(STAGE1, DifferenceRule)
assert isinstance(CHP, DifferenceRule)
USP = {
    0: 0.6, 5: 0.8, 10: 0.9, 15: 1.0, 20: 1.1, 25: 1.3, 30: 1.4, 35: 1.5, 40: 1.7, 45: 1.8, 50: 1.9, 55: 2.1, 60: 2.2, 65: 2.4,
    70: 2.5, 75: 2.7, 80: 2.7, 85: 2.7, 90: 2.7, 95: 2.9, 100: 3.1,
}  # fmt: skip
"""USP <645>, stage 1: °C -> µS/cm."""


@pytest.mark.parametrize(("row", "limit"), USP.items())
def test_the_published_table_rounded_down_to_five_degrees(row: int, limit: float) -> None:
    scale = scale_of(STAGE1, {"area.water": "wfi"}, BUNDLE)
    inside = [row, row + 0.1, row + 4.9, math.nextafter(row + 5, 0)] if row < 100 else [row]
    assert {limit_at(scale, t) for t in inside} == {limit}


@pytest.mark.parametrize("t", [-0.1, math.nextafter(100, 101), 100.1, 250, -40, math.nan])
def test_off_the_table_nothing_is_known(t: float) -> None:
    assert math.isnan(limit_at(scale_of(STAGE1, {"area.water": "wfi"}, BUNDLE), t))


@pytest.mark.parametrize(
    ("water", "t", "limit"),
    [
        ("purified", 20, 4.3), ("purified", 24.9, 4.3), ("purified", 25, 5.1), ("purified", 29.9, 5.1), ("purified", 30, math.nan),
        ("purified", 19.9, math.nan), ("wfi", 20, 1.1), ("wfi", 25, 1.3), ("wfi", 70, 2.5), ("wfi", 95, 2.9),
    ],
)  # fmt: skip
def test_the_anchors_of_the_chinese_pharmacopoeia(water: str, t: float, limit: float) -> None:
    found = limit_at(scale_of(CHP, {"area.water": water}, BUNDLE), t)
    assert found == limit or (math.isnan(found) and math.isnan(limit))


@pytest.mark.parametrize(
    "members",
    [
        {"from": 5},
        {"from": 5, "below": 10, "to": 10},
        {"from": 5, "below": 5},
        {"from": 5, "to": 4},
        {"from": math.nan, "to": 4},
    ],
)
def test_a_reach_has_one_end_behind_its_beginning(members: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Reach.model_validate(members)


def test_a_reach_may_be_one_value() -> None:
    one = Reach.model_validate({"from": 100, "to": 100})
    assert one.begin < one.edge == math.nextafter(100, math.inf)


# -- what does not belong together ---------------------------------------------------------------------------------------
def table(change: Callable[[list[dict[str, Any]]], object]) -> dict[str, Table]:
    content = BUNDLE.tables["water-stage1"].model_dump(mode="json", by_alias=True, exclude_none=True)
    change(content["rows"])
    return {"water-stage1": Table.model_validate(content)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[3].pop("at"), "row 3 of water-stage1 has no `at`"),
        (lambda rows: rows[3]["at"].update({"from": 14}), "rows 2 and 3 of water-stage1 overlap"),
        (lambda rows: rows[3]["limit"].update({"low": 0}), "row 3 of water-stage1: a row with `at` gives a high limit and nothing else"),
        (lambda rows: rows[3].update(limit={"low": 1}), "row 3 of water-stage1: a row with `at` gives a high limit and nothing else"),
        (lambda rows: rows[3].update(registered=True), "row 3 of water-stage1: a row with `at` gives a high limit and nothing else"),
        (lambda rows: rows[3].update(deadband=0), "row 3 of water-stage1: a row with `at` gives a high limit and nothing else"),
        (lambda rows: rows.extend([rows[0] | {"at": {"from": 200 + i, "to": 200 + i}} for i in range(4)]),
         "water-stage1 has more than 24 rows for the same facts"),
    ],
)  # fmt: skip
def test_a_table_that_is_no_scale_is_refused(change: Callable[[list[dict[str, Any]]], object], said: str) -> None:
    assert [fault.detail for fault in scale_faults(STAGE1, table(change))] == [said]


def test_rows_for_other_facts_may_be_for_the_same_temperatures() -> None:
    assert scale_faults(CHP, BUNDLE.tables) == []
    assert scale_faults(STAGE1, table(lambda rows: rows.append(rows[0] | {"where": {"area.water": "purified"}}))) == []


def test_a_rule_that_does_not_look_up_takes_no_scale_and_one_that_does_takes_nothing_else() -> None:
    pairs = STAGE1.model_copy(update={"pairs": "redundant"})
    assert (
        scale_faults(pairs, BUNDLE.tables)[0].detail == "row 0 of water-stage1 is for a rule of pairs: by-temperature"
    )
    span = STAGE1.limits.model_copy(update={"from_": BUNDLE.tables["water-stage1"].rows[0].limit})
    (fault,) = scale_faults(STAGE1.model_copy(update={"limits": span}), BUNDLE.tables)
    assert fault.detail == "pairs: by-temperature looks its limit up: name a table"
    narrower = STAGE1.limits.model_copy(update={"narrower": "register"})
    (fault,) = scale_faults(STAGE1.model_copy(update={"limits": narrower}), BUNDLE.tables)
    assert fault.detail == "the register says nothing of such a limit: no narrower"


def test_a_share_of_a_limit_that_is_nothing_is_no_deadband() -> None:
    clear = STAGE1.clear.model_copy(update={"deadband": "10%"})
    (fault,) = scale_faults(STAGE1.model_copy(update={"clear": clear}), BUNDLE.tables)
    assert (fault.pointer, fault.code) == ("/clear/deadband", "deadband")


# -- in the engine -------------------------------------------------------------------------------------------------------
LOOP = {"id": "L1", "kind": "water-loop", "water": "wfi", "pharmacopoeia": "both"}


def loop(*temperatures: str) -> HandLog:
    warm = [
        {"tag": tag, "area": "L1", "quantity": "temperature", "unit": "Cel", "interval": "60s"} for tag in temperatures
    ]
    meter = {
        "tag": "COND", "area": "L1", "quantity": "conductivity", "unit": "uS/cm", "interval": "60s", "compensated": False,
    }  # fmt: skip
    return HandLog().register(-1, meter, *warm, areas=[LOOP])


def raised(hand: HandLog) -> list[tuple[str, float, str]]:
    return [
        (c.rule, since(c.start), c.message.en)
        for c in hand.changes(until=30)
        if c.change.value == "raised" and c.rule.startswith("water.")
    ]


def test_a_loop_under_both_books_is_judged_by_both_and_the_sentence_says_by_how_much() -> None:
    hand = loop("T1").rows(4, ("COND", [0, 1, 2, 3], [1.2, 1.9, 1.9, 1.9]), ("T1", [0, 1, 2, 3], [25, 25, 25, 25]))
    said = "COND: 0.6 µS/cm above the limit for its temperature"
    assert raised(hand) == [("water.chp-conductivity", 1, said), ("water.stage1", 1, said)]


def test_the_first_temperature_of_the_area_by_tag_counts_and_without_one_there_is_no_instance() -> None:
    values = ("COND", [0, 1], [1.25, 1.25])
    hot, cold = ("T2", [0, 1], [25, 25]), ("T1", [0, 1], [20, 20])
    assert len(raised(loop("T1", "T2").rows(2, values, hot, cold))) == 2
    assert raised(loop("T1", "T2").rows(2, values, ("T1", [0, 1], [25, 25]), ("T2", [0, 1], [20, 20]))) == []
    engine = Engine(BUNDLE)
    for record in loop().rows(2, values).records():
        engine.fold(record)
    assert engine.state_of("HAND-0001").planned.pairs == []


def test_a_temperature_that_comes_later_takes_it_back() -> None:
    hand = loop("T1").rows(2, ("COND", [0, 1], [1.25, 1.25]), ("T1", [0], [20])).rows(3, ("COND", [2], [1.25]))
    assert len(raised(hand)) == 2
    late = hand.rows(4, ("T1", [1, 2], [25, 25]))
    told = [c.change.value for c in late.changes(until=30) if c.rule == "water.stage1"]
    assert told == ["raised", "retracted"]


@pytest.mark.parametrize("absurd", [1e302, 1e303, 1e308, -1e308])
def test_an_absurd_value_stops_no_rule(absurd: float) -> None:
    """Its distance to the limit, to the millionth, is no number: unknown. What comes behind it is judged."""
    hand = loop("T1").rows(2, ("COND", [0, 1], [absurd, absurd]), ("T1", [0, 1], [25, 25]))
    hand.rows(8, ("COND", range(3, 9), [1.0, 1.0, 1.0, 9, 9, 9]), ("T1", range(3, 9), [25] * 6))
    changes = hand.changes(until=30)
    assert [c.rule for c in changes if c.rule == "register.rule-failed"] == []
    assert [since(c.start) for c in changes if c.rule == "water.stage1" and c.change.value == "raised"][-1] == 6
