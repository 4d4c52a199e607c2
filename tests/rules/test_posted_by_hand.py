"""Posted laboratory results, by hand, in minutes: limits to the last digit, what is unknown and why, what ends an alarm, what a register heals."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from rules.changes import alarm_id
from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.rare import store
from rules.rare.units import number_of, spelled
from rules.rule import ResultLimitRule, is_latched
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, since

A, B, CD, MICROBIAL, ENDOTOXIN = (
    "cleanroom.a-growth", "cleanroom.b-viable", "cleanroom.cd-viable", "water.microbial", "water.endotoxin"
)  # fmt: skip
OWN = {A, B, CD, MICROBIAL, ENDOTOXIN}
HOUR, DAY = 60, 1440


def room(name: str = "R1", grade: str = "B", standard: str = "cn-gmp-2010", **more: Any) -> dict[str, Any]:
    return {"id": name, "kind": "cleanroom", "grade": grade, "standard": standard, **more}


def loop(name: str = "L1", water: str | None = "wfi") -> dict[str, Any]:
    return {"id": name, "kind": "water-loop", "water": water}


def site(*areas: dict[str, Any], **facts: Any) -> HandLog:
    return HandLog().register(0, areas=[*(areas or (room(), loop()))], **facts)


def result(
    hand: HandLog, at: float, value: object = 11, *, said: float | None = None, batch: str | None = None,
    envelope: dict[str, Any] | None = None, **fields: Any,
) -> HandLog:  # fmt: skip
    """Append a result: of the air of room R1 unless it says otherwise; a field that is None is left out."""
    event = {"stream": "lab", "type": "result", "time": ms(at if said is None else said), "source": "LIMS"}
    body = {"room": "R1", "test": "viable-count", "method": "air", "value": value, "unit": "CFU/m3"} | fields
    body = {name: one for name, one in body.items() if one is not None}
    posted = event | (envelope or {}) | {"fields": body}
    return hand.line(at, "events", {"batch": batch or f"e{len(hand.lines)}", "events": [posted]})


def water(hand: HandLog, at: float, value: object = 11, unit: str = "CFU/100mL", **fields: Any) -> HandLog:
    body = {"room": None, "loop": "L1", "test": "microbial-count", "method": "membrane filtration", "unit": unit}
    return result(hand, at, value, **(body | fields))


def told(hand: HandLog, *, until: float | None = None) -> list[tuple[Any, ...]]:
    found = [c for c in hand.changes(until=until) if c.rule in OWN]
    return [(c.rule, c.change.value, " ".join(c.subject.values()), since(c.start), since(c.received)) for c in found]


def engine_of(hand: HandLog) -> Engine:
    engine = Engine(BUNDLE)
    for record in hand.records():
        engine.fold(record)
    return engine


def unknown(hand: HandLog) -> int:
    return engine_of(hand).state_of(FACILITY).rare.counts["result_unknown"]


def closed(hand: HandLog, at: float, rule: str, area: str, start: float, use: int = 1) -> HandLog:
    alarm = alarm_id(rule, FACILITY, {"area": area}, ms(start), use)
    said = {"id": f"D-{at}", "version": 1, "subject": {"alarm": alarm}, "code": "breach", "officer": "o-1",
            "revision_seen": 1, "reason_sha256": "0" * 64}  # fmt: skip
    return hand.line(at, "decision", said)


@pytest.mark.parametrize(
    ("grade", "rule", "method", "unit", "most"),
    [
        ("B", B, "air", "CFU/m3", 10), ("B", B, "settle", "CFU/4h", 5), ("B", B, "contact", "CFU/plate", 5),
        ("B", B, "glove", "CFU/glove", 5), ("C", CD, "air", "CFU/m3", 100), ("C", CD, "settle", "CFU/4h", 50),
        ("C", CD, "contact", "CFU/plate", 25), ("D", CD, "air", "CFU/m3", 200), ("D", CD, "settle", "CFU/4h", 100),
        ("D", CD, "contact", "CFU/plate", 50),
    ],
)  # fmt: skip
@pytest.mark.parametrize("standard", ["cn-gmp-2010", "eu-annex1-2022"])
def test_a_maximum_is_within_and_a_ten_thousandth_above_it_is_not(
    grade: str, rule: str, method: str, unit: str, most: float, standard: str
) -> None:
    for value, wanted in ((most, []), (most + 0.0001, [(rule, "raised", "R1", 60, 60)])):
        hand = result(site(room(grade=grade, standard=standard)), HOUR, value, method=method, unit=unit)
        assert told(hand) == wanted, value


@pytest.mark.parametrize(
    ("method", "unit"), [("air", "CFU/m3"), ("settle", "CFU/4h"), ("contact", "CFU"), ("glove", "CFU")]
)
def test_in_grade_a_one_is_growth(method: str, unit: str) -> None:
    for value, wanted in (
        (0, []),
        (0.9999, []),
        (1, [(A, "raised", "R1", 60, 60)]),
        (300, [(A, "raised", "R1", 60, 60)]),
    ):
        assert told(result(site(room(grade="A")), HOUR, value, method=method, unit=unit)) == wanted, value


@pytest.mark.parametrize(
    ("kind", "value", "unit", "wanted"),
    [
        ("wfi", 10, "CFU/100mL", False), ("wfi", 10.01, "CFU/100 ml", True), ("wfi", 0.1, "CFU/mL", False),
        ("wfi", 0.1001, "cfu/ml", True), ("purified", 100, "CFU/mL", False), ("purified", 100.1, "CFU/mL", True),
        ("purified", 10_000, "CFU/100mL", False), ("purified", 10_001, "CFU/100mL", True), ("wfi", 0.07, "CFU/mL", False),
    ],
)  # fmt: skip
def test_volumes_are_converted_exactly(kind: str, value: float, unit: str, wanted: bool) -> None:
    hand = water(site(loop(water=kind)), HOUR, value, unit)
    assert told(hand) == ([(MICROBIAL, "raised", "L1", 60, 60)] if wanted else [])


def test_endotoxin_is_less_than_a_quarter_and_of_water_for_injection_alone() -> None:
    for value, wanted in ((0.2499999, []), (0.25, [(ENDOTOXIN, "raised", "L1", 60, 60)])):
        assert told(water(site(), HOUR, value, "EU/mL", test="endotoxin")) == wanted
    assert told(water(site(loop(water="purified")), HOUR, 9, "EU/mL", test="endotoxin")) == []


NOT_KNOWN: list[dict[str, Any]] = [
    {"value": "too many to count"}, {"value": None}, {"value": True}, {"value": -1}, {"value": -0.001}, {"value": [11]},
    {"unit": None}, {"unit": ""}, {"unit": 5}, {"unit": "CFU"}, {"unit": "CFU/L"}, {"unit": "CFU/mL"},
    {"unit": "x" * 200}, {"method": None}, {"method": "swab"}, {"method": 5}, {"method": "Air"}, {"room": None}, {"room": 7},
    {"room": "R9"}, {"test": None}, {"test": 5}, {"method": "settle"},
]  # fmt: skip


@pytest.mark.parametrize("more", NOT_KNOWN, ids=str)
def test_what_says_too_little_raises_nothing_and_is_counted(more: dict[str, Any]) -> None:
    hand = result(site(room()), HOUR, **({"value": 900} | more))
    assert told(hand, until=40 * DAY) == []
    assert unknown(hand) == (3 if "room" in more else 1), "once for each rule that may mean it"
    found, _ = explain(hand.records(), BUNDLE, B, at=ms(DAY))
    assert [one.fate for each in found for one in each.events] == [
        "unregistered" if more == {"room": "R9"} else "unreadable"
    ]
    assert all(one.agrees for one in found)


@pytest.mark.parametrize(
    "more",
    [
        {"test": "endotoxin"}, {"room": None, "lot": "B1"}, {"room": "S1"}, {"value": 10}, {"value": 0}, {"value": 1e-300},
        {"room": "L1"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_another_matter_or_within_is_not_unknown(more: dict[str, Any]) -> None:
    hand = result(
        site(room(), loop(water="purified"), {"id": "S1", "kind": "room-store"}), HOUR, **({"value": 900} | more)
    )
    assert told(hand) == []
    assert unknown(hand) == 0


@pytest.mark.parametrize("value", [1e308, 10**300, 2**53 + 1, 10.000000000000002])
def test_huge_values_and_those_a_hair_above_are_above(value: float) -> None:
    assert told(result(site(room()), HOUR, value)) == [(B, "raised", "R1", 60, 60)]


def test_a_value_that_no_float_holds_in_the_limits_unit_is_said_in_words() -> None:
    (raised,) = [c for c in water(site(), HOUR, 1e308, "CFU/mL").changes() if c.rule in OWN]
    assert raised.evidence.leaves[0].left == "above 1.8e+308"


def test_where_a_result_is_of() -> None:
    inside = {"area": "R1"}
    assert told(result(site(room()), HOUR, room=None, envelope=inside)) == [(B, "raised", "R1", 60, 60)]
    both = result(site(room(), room("R2", "D")), HOUR, 201, envelope=inside, room="R2")
    assert told(both) == [(CD, "raised", "R2", 60, 60)], "what it names goes before where the envelope says it was"
    assert told(result(site(room()), HOUR, room=None, lot="B1", envelope=inside)) == [], "a lot is of no room"
    device = site(room(), devices=[{"id": "LIMS", "area": "R1"}])
    assert told(result(device, HOUR, room=None)) == [], "where the laboratory's system stands says nothing"


def test_the_grade_in_force_at_the_time_of_the_result_counts() -> None:
    areas = [room(grade="C"), room(grade="B") | {"from": ms(DAY)}]
    assert told(result(site(*areas), 2 * DAY, said=DAY - 1)) == []
    assert told(result(site(*areas), 2 * DAY, said=DAY)) == [(B, "raised", "R1", DAY, 2 * DAY)]


def test_nothing_takes_it_back_but_an_officer() -> None:
    hand = result(result(site(), HOUR), 2 * HOUR, 0, retest_of="S-1")
    raised = (B, "raised", "R1", 60, 60)
    assert told(hand, until=40 * DAY) == [raised], "neither time nor a result that passes"
    assert told(result(hand, 3 * HOUR, 40)) == [raised], "a second one above adds to it"
    closed(hand, 4 * HOUR, B, "R1", HOUR)
    found = [raised, (B, "cleared", "R1", 60, 240)]
    assert told(hand) == found
    assert told(result(hand, 5 * HOUR, said=HOUR, batch="again", value=11)) == found, "the same event is nothing new"
    assert told(result(hand, 6 * HOUR, 12)) == [*found, (B, "raised", "R1", 360, 360)]
    assert all(is_latched(BUNDLE.rule(name), {"area": "R1"}) for name in OWN)


def test_each_room_and_loop_has_its_own_alarm() -> None:
    hand = result(result(site(room(), room("R2", "A"), loop()), HOUR), 70, 3, room="R2")
    water(water(hand, 80), 90, 0.3, "EU/mL", test="endotoxin")
    wanted = [(B, "R1", 60), (A, "R2", 70), (MICROBIAL, "L1", 80), (ENDOTOXIN, "L1", 90)]
    assert told(hand) == [(rule, "raised", area, at, at) for rule, area, at in wanted]


def test_late_results_move_the_start_and_are_called_late() -> None:
    hand = result(result(site(), DAY), DAY + 5, said=DAY - 180)
    found = [c for c in hand.changes() if c.rule == B]
    assert [(c.change.value, since(c.start), c.late) for c in found] == [
        ("raised", DAY, False),
        ("amended", DAY - 180, False),
    ]
    (late,) = [c for c in result(site(), DAY, said=DAY - 121).changes() if c.rule == B]
    (timely,) = [c for c in result(site(), DAY, said=DAY - 120).changes() if c.rule == B]
    assert (late.late, timely.late) == (True, False)
    assert told(result(site(), HOUR, said=DAY)) == [(B, "raised", "R1", 60, 60)], "a wrong clock hides nothing"


def test_a_room_or_the_kind_of_water_that_is_registered_later_is_judged_then_once() -> None:
    hand = water(result(result(site(loop(water=None)), HOUR), 70, 0), 80)
    assert told(hand) == []
    assert unknown(hand) == 7, "two of a room, in three rules each, and one of water"
    hand.register(DAY, version=2, areas=[room(), loop(water=None)])
    found = [(B, "raised", "R1", 60, DAY)]
    assert told(hand) == found
    hand.register(2 * DAY, version=3, areas=[room(grade="A"), loop(water="wfi")])
    found.append((MICROBIAL, "raised", "L1", 80, 2 * DAY))
    assert told(hand) == found, "what was judged stays as it was"
    kept = engine_of(hand).state_of(FACILITY).rare
    assert [len(case.facts) for case in kept.of(A).values()] == [0], "what the register said is none is not kept"
    raised = [c for c in hand.changes() if c.rule in OWN]
    assert [c.late for c in raised] == [False, False], "the results had come in time"
    assert [c.evidence.records[0].id for c in raised] == ["e1", "e3"]


def test_an_unknown_result_outlives_the_officers_decision() -> None:
    hand = water(site(loop()), HOUR)
    water(hand.register(70, version=2, areas=[loop(water=None)]), 80)
    closed(hand, 90, MICROBIAL, "L1", HOUR)
    hand.register(100, version=3, areas=[loop()])
    found = [("raised", 60, 60), ("cleared", 60, 90), ("raised", 80, 100)]
    assert told(hand) == [(MICROBIAL, change, "L1", start, at) for change, start, at in found]


def test_a_firm_of_another_line_is_not_asked() -> None:
    scopes = [{"field": "manufacture", "line": "cosmetics"}]
    hand = water(water(site(scopes=scopes), HOUR), 70, 9, "EU/mL", test="endotoxin")
    assert told(hand) == [(MICROBIAL, "raised", "L1", 60, 60)]
    assert told(water(site(scopes=[{"field": "distribution", "line": "drug"}]), HOUR)) == []


def test_the_evidence_names_what_was_compared_with_what() -> None:
    (raised,) = [c for c in water(site(), HOUR, 0.2, "CFU/mL").changes() if c.rule in OWN]
    (leaf,) = raised.evidence.leaves
    assert (leaf.expr, leaf.left, leaf.op, leaf.right, leaf.unit) == (
        "microbial-count membrane filtration of L1", 20.0, ">", 10.0, "CFU/100mL",
    )  # fmt: skip
    (limit,) = raised.evidence.limits
    assert (limit.name, limit.value, limit.origin, limit.edition) == (
        "high",
        10.0,
        "water-microbial",
        "water for injection",
    )
    assert raised.message.en == "L1: Microbial count of water above the limit"
    assert raised.message.zh == "L1：制药用水微生物超标"
    assert raised.severity == "orange"
    hand = closed(result(site(), HOUR), 70, B, "R1", HOUR)
    assert hand.changes()[-1].message.en.endswith("; closed by an officer's decision")


def test_what_finds_no_room_is_counted_and_what_stands_stays() -> None:
    with patch.multiple(store, MAX_FACTS=3, MAX_CASES=2):
        hand = site(room(), room("R2", "B"))
        for i in range(6):
            result(hand, HOUR + i, 20 + i)
        result(result(hand, 80, room="R8"), 81, room="R9")
        rare = engine_of(hand).state_of(FACILITY).rare
        assert (rare.counts["fact_dropped"], rare.counts["case_dropped"]) == (3, 1), "R8 goes where R1 stands"
        assert [len(case.facts) for case in rare.of(B).values()] == [3, 1]
        assert told(hand) == [(B, "raised", "R1", 60, 60)]


def test_numbers_and_units() -> None:
    assert spelled("ＣＦＵ／㎥") == "cfu/m3"
    assert number_of(float("nan")) is None
    assert number_of(float("inf")) is None
    assert number_of(-0.0) == 0
    assert number_of(10**400) is None


def test_it_is_explained() -> None:
    def of(hand: HandLog, rule: str, at: float = DAY) -> tuple[list[str], dict[str, str | None], str]:
        found, _ = explain(hand.records(), BUNDLE, rule, at=ms(at))
        assert all(one.agrees for one in found)
        one = found[0]
        seen = {leaf.name: None if seen is None else seen.verdict.value for leaf, seen in one.leaves}
        return [told.fate for told in one.events], seen, "\n".join(rare_lines(one, "both"))

    fates, seen, text = of(result(site(), HOUR), B)
    assert (fates, seen) == (["occasion"], {"event": "true", "test": "true", "area": "true", "above": "true"})
    assert "it fired: orange" in text
    assert "it stands until an officer's decision" in text
    assert "limits = cleanroom-viable" in text
    assert "its value is above the limit of cleanroom-viable for its area and method" in text
    assert of(result(site(), HOUR, 3), B)[0] == ["within"]
    assert of(result(site(), HOUR, test="assay"), B)[0] == ["not meant"]
    fates, seen, text = of(result(site(), HOUR, unit=None), B)
    assert (fates, seen["above"]) == (["unreadable"], "unknown")
    assert "no unit" in text
    assert "未知：未写明可识别的区域" in text
    fates, seen, text = of(result(site(), HOUR, room="R9"), B)
    assert (fates, seen["area"], seen["above"]) == (["unregistered"], "unknown", None)
    assert "judged again when it is" in text
    hand = result(result(site(), HOUR), 70, said=HOUR)
    assert of(hand, B)[0] == ["occasion", "again"]
    closed(hand, 80, B, "R1", HOUR)
    assert of(hand, B)[0] == ["done", "again"]
    later = result(site(), HOUR, room="R2").register(DAY, version=2, areas=[room(), room("R2", "B")])
    fates, seen, text = of(later, B)
    assert (fates, seen["above"]) == (["occasion"], "true")
    assert of(later, B, 2 * HOUR)[0] == ["unregistered"]
    (one,), _ = explain(result(site(), HOUR).records(), BUNDLE, B, at=ms(DAY))
    assert one.to_json()["events"][0]["value"] == 11
    (nothing,), _ = explain(site().records(), BUNDLE, B, at=ms(DAY))
    assert "no event came that it means" in "\n".join(rare_lines(nothing, "en"))


def test_the_shipped_rules_are_of_the_kind_and_say_how_sure_their_numbers_are() -> None:
    rules = [BUNDLE.rule(name) for name in sorted(OWN)]
    assert all(isinstance(rule, ResultLimitRule) and rule.stage == "live" for rule in rules)
    assert [rule.severity.base.value for rule in rules if rule is not None] == [
        "red",
        "orange",
        "yellow",
        "red",
        "orange",
    ]
    statuses = {
        (row.where["area.grade"], row.where["area.standard"]): row.status
        for row in BUNDLE.tables["cleanroom-viable"].rows
    }
    assert {key for key, status in statuses.items() if status == "verify"} == {
        ("C", "cn-gmp-2010"),
        ("D", "cn-gmp-2010"),
    }
