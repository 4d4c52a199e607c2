"""Kind `jump` by hand, in minutes: what a change is, what raises and ends it, what is unknown, what a change of register does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rules.engine import Engine
from rules.kinds import jump, limit
from rules.pack import Bundle, default_bundle
from rules.soundness import bundle_faults
from tests.rules import jumplogs
from tests.rules.byhand import HandLog, sensor, since

if TYPE_CHECKING:
    from rules.changes import Change

LEAP = {"id": "test.leap", "limits": {"from": {"low": -3, "high": 3}}, "clear": {"consecutive": 2}}


def watching(**members: Any) -> Bundle:
    shipped = default_bundle().only({"data-integrity.physical-range"})
    return Bundle.of([*shipped.rules, jumplogs.rule({**LEAP, **members})], [])


def log(values: list[Any], **measures: Any) -> HandLog:
    return HandLog().register(-1, sensor(**measures)).live("T1", 0, values)


def changes(hand: HandLog, bundle: Bundle | None = None, until: float | None = None) -> list[Change]:
    found = hand.changes(bundle=bundle or watching(), until=until)
    return [c for c in found if c.rule == "test.leap"]


def told(hand: HandLog, bundle: Bundle | None = None, until: float | None = None) -> list[tuple[Any, ...]]:
    return [(c.change.value, since(c.start), since(c.end), since(c.at)) for c in changes(hand, bundle, until)]


@pytest.mark.parametrize(
    ("values", "inclusive", "fires"),
    [
        ([5, 8], False, False), ([5, 8.000001], False, True), ([5, 2], False, False), ([5, 1.999999], False, True),
        ([5, 8], True, True), ([5, 2], True, True), ([5, 7.999999], True, False),
        ([5.3, 8.3], False, False), ([4.6, 1.6], False, False), ([8.2, 5.2], False, False),
        ([5, 7, 9, 11], False, False),
    ],
)  # fmt: skip
def test_more_than_the_limit_from_one_record_to_the_next_is_a_jump(
    values: list[float], inclusive: bool, fires: bool
) -> None:
    """Three degrees exactly are none, also where binary fractions make 3.0000000000000004 of them; nor is a slow rise."""
    bundle = watching(limits={"from": {"low": -3, "high": 3}, "inclusive": inclusive})
    assert [row[0] for row in told(log(values), bundle)] == ["raised"] * fires


@pytest.mark.parametrize(("span", "rise", "fall"), [({"high": 3}, True, False), ({"low": -3}, False, True)])
def test_one_side_alone(span: dict[str, float], rise: bool, fall: bool) -> None:
    bundle = watching(limits={"from": span})
    assert bool(told(log([5, 9]), bundle)) is rise
    assert bool(told(log([9, 5]), bundle)) is fall


def test_it_starts_at_the_record_that_leapt_and_ends_at_the_first_of_two_calm_ones() -> None:
    assert told(log([5, 5, 9, 9, 5, 5.1, 5.2])) == [("raised", 2, None, 2), ("cleared", 2, 5, 6)]


def test_two_in_a_row_are_asked_for_where_the_rule_says_so() -> None:
    bundle = watching(when={"consecutive": 2})
    assert told(log([5, 9, 9, 5, 5]), bundle) == []
    assert told(log([5, 9, 5, 5]), bundle) == [("raised", 1, None, 2)]


def test_a_change_inside_the_deadband_does_not_end_it() -> None:
    bundle = watching(clear={"consecutive": 2, "deadband": 1})
    assert told(log([5, 9, 11.5, 9.4, 9.4]), bundle) == [("raised", 1, None, 1)]
    assert told(log([5, 9, 11, 9.4, 9.4]), bundle) == [("raised", 1, None, 1), ("cleared", 1, 2, 3)]


@pytest.mark.parametrize(("at", "fires"), [(2, True), (2 + 1 / 60_000, False)])
def test_a_record_is_compared_with_one_at_most_two_intervals_before(at: float, fires: bool) -> None:
    hand = HandLog().register(-1, sensor()).rows(5, ("T1", [0, at], [5, 9]))
    assert bool(told(hand)) is fires


def test_records_that_do_not_count_are_passed_over() -> None:
    """Bad, uncertain and marked rows, and a value outside the measuring range, are neither a jump nor what one is measured from."""
    odd = [(30, "fault"), (30, "uncertain"), (30, "maintenance"), 850]
    for row in odd:
        assert told(log([5, row, 5], range={"low": -40, "high": 60})) == [], row
        assert told(log([5, row, 9], range={"low": -40, "high": 60})) == [("raised", 2, None, 2)], row
    assert told(log([5, (30, "maintenance")]), watching(marked="count")) == [("raised", 1, None, 1)]


def test_without_changes_it_is_unknown_by_the_clock_and_known_again_by_the_second_record() -> None:
    """Unknown at last change + interval + 15 min + delivery; the first record behind the hole has nothing to be compared with."""
    hand = log([5, 9])
    assert told(hand, until=1 + 1 + 15 + 1 - 0.01) == [("raised", 1, None, 1)]
    assert told(hand, until=18) == [("raised", 1, None, 1), ("unknown", 1, None, 18)]
    hand.live("T1", 30, [5, 5, 5])
    assert told(hand)[2:] == [("known", 1, None, 31), ("cleared", 1, 31, 32)]


def test_a_late_record_between_two_takes_the_jump_back() -> None:
    """5, then 9 a minute and a half later; the late one of 7 stands between."""
    hand = HandLog().register(-1, sensor()).rows(2, ("T1", [0, 1.5], [5, 9]))
    hand.rows(3, ("T1", [1], [7]))
    assert [(c.change.value, c.late) for c in changes(hand)] == [("raised", False), ("retracted", False)]


def test_a_late_record_can_make_a_jump_of_its_own() -> None:
    hand = HandLog().register(-1, sensor()).rows(2, ("T1", [0, 1.5], [5, 5])).rows(3, ("T1", [1], [9]))
    assert [(c.change.value, c.late, since(c.start)) for c in changes(hand)] == [("raised", True, 1)]


def test_what_has_left_the_horizon_is_still_what_the_next_record_is_compared_with() -> None:
    """Hourly records; when the ring of 96 is full, 32 leave it, and the next one is that which leapt: a late record decides from there."""
    bundle = watching(clear={"consecutive": 1000})
    hand = HandLog().register(-1, sensor(interval="1h")).live("T1", 0, [5] * 32 + [9] * 65, every=60)
    hand.rows(96 * 60 + 1, ("T1", [96 * 60 - 30], [9]))
    assert told(hand, bundle) == [("raised", 32 * 60, None, 32 * 60)]


def test_words_and_evidence_tell_the_change_and_the_largest_one() -> None:
    raised, cleared = changes(log([5, 8.2, 2.2, 2.2, 2.2]))
    assert raised.message.en == "T1: changed by +3.2 °C from one record to the next (> +3 °C)"
    assert raised.message.zh == "T1：相邻两条记录之间变化 +3.2 °C（> +3 °C）"
    (leaf,) = raised.evidence.leaves
    assert (leaf.expr, leaf.left, leaf.op, leaf.right, leaf.unit) == ("change of T1", 3.2, ">", 3.0, "Cel")
    assert [(u.name, u.value, u.origin) for u in raised.evidence.limits] == [
        ("change low", -3.0, "rule"), ("change high", 3.0, "rule"),
    ]  # fmt: skip
    assert cleared.evidence.peak == -6.0


@pytest.mark.parametrize("value", [1e308, 5e9, -5e9])
def test_values_at_the_ends_of_float_range(value: float) -> None:
    """A change that no number tells is unknown; a large one is told as it is."""
    hand = log([value, -value, -value])
    found = told(hand, watching(limits={"from": {"low": -3, "high": 3}}))
    assert [row[0] for row in found] == ([] if abs(value) > 1e300 else ["raised"])


def test_what_stays_registered_keeps_its_newest_record_and_another_quantity_begins_anew() -> None:
    for quantity, unit, fires in (("temperature", "Cel", True), ("humidity", "%RH", False)):
        hand = HandLog().register(-1, sensor()).live("T1", 0, [5])
        hand.register(0.5, sensor(interval="2m", quantity=quantity, unit=unit), version=2).live("T1", 1, [9])
        bundle = watching(applies_to={"area.kind": "cold-room"})
        assert bool(told(hand, bundle)) is fires, quantity


def test_new_limits_stand_from_the_next_record_on() -> None:
    hand = log([5, 9])
    hand.packs(1.5, watching(limits={"from": {"low": -9, "high": 9}})).live("T1", 2, [14, 24])
    assert told(hand, watching(limits={"from": {"low": -5, "high": 5}})) == [("raised", 3, None, 3)]


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"when": {"on_delay": "1m"}}, "/rules/0/when/on_delay"),
        ({"severity": {"base": "blue", "steps": [{"after": "1m", "to": "red"}]}}, "/rules/0/severity/steps"),
        ({"severity": {"base": "blue", "steps": [{"beyond": {"high": 9}, "to": "red"}]}}, "/rules/0/severity/steps"),
        ({"clear": {"latched": True}}, "/rules/0/clear/latched"),
        ({"clear": {"deadband": "often"}}, "/rules/0/clear/deadband"),
    ],
)
def test_what_a_jump_cannot_have_is_a_fault(members: dict[str, Any], pointer: str) -> None:
    assert pointer in [fault.pointer for fault in bundle_faults([jumplogs.rule({**LEAP, **members})], [])]


@pytest.mark.parametrize("span", [{}, {"low": 0, "high": 3}, {"low": -3, "high": 0}, {"low": 1}, {"high": -1}])
def test_limits_of_a_change_stand_about_zero(span: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"from gives|below zero"):
        jumplogs.rule({**LEAP, "limits": {"from": span}})


def test_a_snapshot_without_the_kind_names_it_not_and_with_it_restores() -> None:
    plain, own = Engine(default_bundle()), Engine(watching())
    for record in log([5, 9]).records():
        plain.fold(record)
        own.fold(record)
    assert b"jump" not in plain.snapshot(0, "HAND-0001")
    snapshot = own.snapshot(0, "HAND-0001")
    again = Engine(watching())
    again.restore(0, "HAND-0001", snapshot)
    assert again.snapshot(0, "HAND-0001") == snapshot


def test_bytes_of_state_are_those_that_the_page_names() -> None:
    assert jump.STATE.words == limit.STATE.words + 2 == 25
