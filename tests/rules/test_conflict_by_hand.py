"""Kind `conflict` by hand, in minutes: which second values count, in what order they are told, what a batch and a register do to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rules.changes import Verdict
from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.rare import store
from rules.rare.named import differs
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, place, sensor, since

if TYPE_CHECKING:
    from rules.changes import Change

RULE = "data-integrity.overwritten"


def told(changes: list[Change]) -> list[tuple[Any, ...]]:
    return [
        (c.change.value, place(c.subject), since(c.start), since(c.end), since(c.received))
        for c in changes
        if c.rule == RULE
    ]


def log(**measures: Any) -> HandLog:
    return HandLog().register(-1, sensor(**measures)).rows(10, ("T1", [0, 1, 2], [5, 5.1, 5.2]))


@pytest.mark.parametrize(
    ("value", "first", "resolution", "said"),
    [
        (5.1, 5.0, None, "true"), (5.0, 5.0, None, "false"), (5.04, 5.0, 0.1, "false"), (5.06, 5.0, 0.1, "true"),
        (5.1, 5.0, 0.5, "false"), (5.3, 5.0, 0.5, "true"), (float("nan"), 5.0, 0.1, "unknown"),
        (5.0, float("nan"), None, "unknown"), (1e308, 5.0, 1e-300, "true"), (float("inf"), 5.0, None, "unknown"),
    ],
)  # fmt: skip
def test_values_differ_as_the_sensor_shows_them(
    value: float, first: float, resolution: float | None, said: str
) -> None:
    assert differs(value, first, resolution) is Verdict(said)


def test_the_first_value_stands_and_the_second_is_told_with_both() -> None:
    hand = log().rows(20, ("T1", [1], [9.9]))
    (change,) = [c for c in hand.changes() if c.rule == RULE]
    assert told([change]) == [("raised", "T1", 1, None, 20)]
    (leaf,) = change.evidence.leaves
    assert (leaf.expr, leaf.left, leaf.op, leaf.right, leaf.unit) == ("second value of T1", 9.9, "!=", 5.1, "Cel")
    assert [(read.kind, read.id) for read in change.evidence.records] == [("readings", "b2"), ("register", "1")]
    assert change.message.en == "T1: A reading came again with another value"
    assert change.message.zh.startswith("T1：")
    assert change.severity.value == "red"


def test_a_null_is_no_value_and_a_value_behind_it_overwrites_nothing() -> None:
    hand = HandLog().register(-1, sensor()).rows(10, ("T1", [0, 1], [5, (None, "comms")]))
    hand.rows(20, ("T1", [0, 1], [(None, "comms"), 9]))
    assert told(hand.changes()) == []


@pytest.mark.parametrize("odd", ["uncertain", "set_value", "comms"])
def test_what_is_no_record_overwrites_nothing_and_is_not_overwritten(odd: str) -> None:
    hand = HandLog().register(-1, sensor()).rows(10, ("T1", [0, 1], [5, (5, odd)])).rows(20, ("T1", [0], [(9, odd)]))
    assert told(hand.rows(21, ("T1", [1], [9])).changes()) == []


def test_a_marked_row_is_a_record() -> None:
    hand = HandLog().register(-1, sensor()).rows(10, ("T1", [0, 1], [5, (5, "maintenance")]))
    assert [row[2] for row in told(hand.rows(20, ("T1", [1], [9])).changes())] == [1]


def test_rows_older_than_the_horizon_are_not_compared_here() -> None:
    """At minute 121 the row of minute 1 is two hours old: too old, whatever it says (docs/engine-semantics.md)."""
    for newest, raised in ((120.9, 1), (121, 0)):
        minutes = [*range(3, 121), newest]
        hand = log().rows(130, ("T1", minutes, [5] * len(minutes))).rows(131, ("T1", [1], [9.9]))
        assert len(told(hand.changes())) == raised, newest


def test_what_came_and_left_in_one_batch_is_told_with_the_value_that_stood() -> None:
    """A day in one batch: the row of minute 1 is overwritten at once, and has left the ring long before the batch ends."""
    minutes = [0, 1, 2, 1, *range(3, 1440)]
    hand = HandLog().register(-1, sensor()).rows(1441, ("T1", minutes, [5, 5.1, 5.2, 9.9, *[5.0] * 1437]))
    (change,) = [c for c in hand.changes() if c.rule == RULE]
    assert (change.evidence.leaves[0].left, change.evidence.leaves[0].right) == (9.9, 5.1)


def test_it_is_told_in_the_place_of_its_row() -> None:
    """One batch: an excursion, a second value, the end of the excursion; in this order, not behind the batch."""
    hand = HandLog().register(-1, sensor())
    hand.rows(20, ("T1", [0, 1, 2, 1, 3, 4, 5], [5, 9, 9, 8.5, 5, 5, 5]))
    rules = {RULE, "cold-chain.store-out"}
    assert [(c.rule.split(".")[1], c.change.value) for c in hand.changes() if c.rule in rules] == [
        ("store-out", "raised"), ("overwritten", "raised"), ("store-out", "cleared"),
    ]  # fmt: skip


def test_a_batch_that_comes_again_is_no_second_value() -> None:
    """With the same content it is the same batch; with other content it is counted as a whole, and no row of it is looked at."""
    hand = HandLog().register(-1, sensor()).rows(10, ("T1", [0, 1], [5, 5]), batch="b")
    hand.rows(11, ("T1", [0, 1], [5, 5]), batch="b").rows(12, ("T1", [0, 1], [9, 9]), batch="b")
    assert told(hand.changes()) == []
    engine = Engine(BUNDLE)
    for record in hand.records():
        engine.fold(record)
    assert engine.counters(0, FACILITY)["batch_conflict"] == 1


def test_a_sensor_that_leaves_the_register_does_not_end_it_and_a_rule_that_leaves_does() -> None:
    hand = log().rows(20, ("T1", [1], [9.9])).register(30, sensor(tag="T2"), version=2)
    assert told(hand.changes()) == [("raised", "T1", 1, None, 20)]
    without = BUNDLE.only({rule.id for rule in BUNDLE.rules} - {RULE})
    hand.packs(40, without)
    assert told(hand.changes())[1:] == [("cleared", "T1", 1, 40, 40)]
    hand.packs(50, BUNDLE).register(51, sensor(), version=3).rows(60, ("T1", [55, 56], [5, 5]))
    hand.rows(61, ("T1", [55], [9]))
    assert told(hand.changes())[2:] == [("raised", "T1", 55, None, 61)]


def test_each_sensor_has_its_own_alarm_and_only_sensors_that_the_rule_means_have_one() -> None:
    hand = HandLog().register(-1, sensor(), sensor(tag="T2", area="A2"), areas=[
        {"id": "A1", "kind": "cold-room"}, {"id": "A2", "kind": "room-store"},
    ])  # fmt: skip
    hand.rows(10, ("T1", [0], [5]), ("T2", [0], [5]), ("NOPE", [0], [5]))
    hand.rows(11, ("T2", [0], [6]), ("T1", [0], [6]), ("NOPE", [0], [6]))
    assert [row[:2] for row in told(hand.changes())] == [("raised", "T2"), ("raised", "T1")]
    rule = BUNDLE.rule(RULE)
    assert rule is not None
    cold = rule.model_copy(update={"applies_to": {"area.kind": "cold-room", "sensor.quantity": "temperature"}})
    packs = BUNDLE.of([cold if one.id == RULE else one for one in BUNDLE.rules], BUNDLE.tables.values())
    assert bundle_faults([cold], []) == []
    assert [row[:2] for row in told(hand.changes(bundle=packs))] == [("raised", "T1")]


def test_a_flood_of_second_values_stays_bounded_and_keeps_the_first() -> None:
    hand = HandLog().register(-1, sensor(interval="10s"))
    minutes = [i / 6 for i in range(600)]
    hand.rows(101, ("T1", minutes, [5.0] * 600)).rows(102, ("T1", minutes[::-1], [6.0] * 600))
    engine = Engine(BUNDLE)
    changes = [change for record in hand.records() for change in engine.fold(record)]
    found = told(changes)
    assert (found[0][0], found[-1][:3]) == ("raised", ("amended", "T1", 0))
    (case,) = engine.state_of(FACILITY).rare.of(RULE).values()
    assert len(case.facts) == store.MAX_ROWS
    assert case.facts[0].t == ms(0)
    assert len(case.seen) <= store.MAX_SEEN


def test_a_facility_may_have_as_many_alarms_as_it_has_sensors() -> None:
    """More than rules over events may have: what stands of a sensor never keeps another one's out."""
    tags = [f"T{i}" for i in range(store.MAX_CASES + 5)]
    hand = HandLog().register(-1, *(sensor(tag=tag) for tag in tags))
    hand.rows(10, *((tag, [0], [5]) for tag in tags)).rows(11, *((tag, [0], [6]) for tag in tags))
    assert len(told(hand.changes())) == len(tags)


def test_an_explanation_names_the_rows_both_values_and_what_became_of_them() -> None:
    hand = log().rows(20, ("T1", [1], [9.9])).rows(21, ("T1", [1, 3], [9.9, 5]))
    (told_of,), more = explain(hand.records(), BUNDLE, RULE, at=ms(30))
    assert (told_of.subject, told_of.phase, told_of.agrees, more) == ({"tag": "T1"}, "active", True, 0)
    assert [(one.event["value"], one.event["stood"], one.fate) for one in told_of.events] == [
        (9.9, 5.1, "occasion"), (9.9, 5.1, "again"),
    ]  # fmt: skip
    assert [(leaf.name, seen.verdict.value) for leaf, seen in told_of.leaves if seen] == [
        ("again", "true"),
        ("other", "true"),
        ("unnamed", "true"),
    ]
    assert "readings T1 (value = 9.9, stood = 5.1)" in "\n".join(rare_lines(told_of, "en"))
    (quiet,), _ = explain(hand.records(), BUNDLE, RULE, at=ms(15))
    assert (quiet.phase, quiet.events) == ("normal", [])
