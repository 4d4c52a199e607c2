"""Kind `last_digit`, check `precision`, by hand, in minutes: which values count, what late rows, a register and a restart do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rules.engine import Engine
from rules.explain import explain
from rules.kinds import too_precise as kind
from rules.pack import Bundle, default_bundle
from rules.soundness import bundle_faults
from tests.rules import digitlogs
from tests.rules.byhand import FACILITY, HandLog, ms, sensor, since

if TYPE_CHECKING:
    from rules.changes import Change

RULE = "test.fine"
THREE = {**digitlogs.PRECISE, "id": RULE, "number": 3, "within": "10m", "clean": "5m"}


def watching(**members: Any) -> Bundle:
    shipped = default_bundle().only({"data-integrity.physical-range"})
    return Bundle.of([*shipped.rules, digitlogs.rule({**THREE, **members})], [])


def log(values: list[Any], resolution: float | None = 0.1, **measures: Any) -> HandLog:
    return HandLog().register(-1, sensor(resolution=resolution, **measures)).live("T1", 0, values)


def changes(hand: HandLog, bundle: Bundle | None = None, until: float | None = None) -> list[Change]:
    return [c for c in hand.changes(bundle=bundle or watching(), until=until) if c.rule == RULE]


def told(hand: HandLog, bundle: Bundle | None = None, until: float | None = None) -> list[tuple[Any, ...]]:
    return [(c.change.value, since(c.start), since(c.end), since(c.at)) for c in changes(hand, bundle, until)]


FINE = [5.12] * 3


@pytest.mark.parametrize(
    ("value", "resolution", "more"),
    [
        (5.1, 0.1, False), (5.12, 0.1, True), (-5.12, 0.1, True), (5.3, 0.5, False), (5.25, 0.5, True), (5.25, 0.25, False),
        (5.125, 0.25, True), (7.0, 1.0, False), (7.5, 1.0, True), (7.0, 10.0, False), (0.3 - 0.1, 0.1, False),
        (123456.7, 0.1, False), (123456.78, 0.1, True), (5.0999999046, 0.1, False), (5.3000001907, 0.1, True), (1e308, 0.1, False),
        (-1e308, 1e-9, False), (2e8 + 0.25, 0.1, False), (5e-324, 0.1, False), (0.0, 0.1, False),
    ],
)  # fmt: skip
def test_more_decimals_than_the_resolution(value: float, resolution: float, more: bool) -> None:
    """To the millionth of the last decimal: binary fractions are none, single-precision ones mostly are; huge values say nothing."""
    assert kind.beyond(value, 10.0 ** kind.decimals_of(resolution)) is more
    assert bool(told(log([value] * 3, resolution))) is more


def test_it_starts_at_the_first_of_the_three_and_never_ends_by_the_clock() -> None:
    hand = log([5.1, 5.12, 5.1, 5.12, 5.12, 5.1, 5.1])
    assert told(hand, until=10_000) == [("raised", 1, None, 4)]


def test_five_minutes_of_records_without_one_end_it() -> None:
    assert told(log([*FINE, *[5.1] * 5])) == [("raised", 0, None, 2)]
    assert told(log([*FINE, *[5.1] * 6])) == [("raised", 0, None, 2), ("cleared", 0, 3, 8)]
    assert told(log([*FINE, *[5.1] * 5, 5.12, *[5.1] * 5])) == [("raised", 0, None, 2)]


def test_a_hole_is_no_record_and_what_ended_counts_no_more() -> None:
    hand = log([*FINE, 5.1, 5.1]).live("T1", 8, [5.1] * 4)
    assert told(hand) == [("raised", 0, None, 2)], "one minute before the hole, three behind it"
    hand.live("T1", 12, [5.1])
    assert told(hand)[1:] == [("cleared", 0, 3, 12)]
    hand.live("T1", 13, [5.12])
    assert len(told(hand)) == 2, "the three of before are done with"
    hand.live("T1", 14, [5.12, 5.12])
    assert told(hand)[2:] == [("raised", 13, None, 15)]


def test_records_two_intervals_apart_cover_the_time_between() -> None:
    base = [0, 1, 2]
    for step, fires in ((2, True), (2 + 1 / 60_000, False)):
        minutes = [*base, *(3 + i * step for i in range(4))]
        hand = HandLog().register(-1, sensor(resolution=0.1)).rows(20, ("T1", minutes, [*FINE, *[5.1] * 4]))
        assert (len(told(hand)) == 2) is fires


def test_records_that_do_not_count() -> None:
    for quality in ("uncertain", "set_value", "comms"):
        assert told(log([(5.12, quality)] * 5)) == []
    assert told(log([(5.12, "fault")] * 3)) == [("raised", 0, None, 2)]


def test_a_late_value_raises_and_one_between_takes_the_end_back() -> None:
    hand = HandLog().register(-1, sensor(resolution=0.1)).rows(5, ("T1", [0, 1, 3, 4], [5.12, 5.12, 5.1, 5.1]))
    hand.rows(6, ("T1", [2], [5.12]))
    assert [(c.change.value, c.late, since(c.start)) for c in changes(hand)] == [("raised", True, 0)]
    hand = log([*FINE, *[5.1] * 6]).rows(20, ("T1", [5.5], [5.12]))
    assert [c.change.value for c in changes(hand)] == ["raised", "cleared", "amended"]


def test_a_late_value_that_joins_two_alarms_takes_the_second_back() -> None:
    hand = log([*FINE, *[5.1] * 6, *FINE]).rows(20, ("T1", [5.5], [5.12]))
    found = changes(hand)
    assert [(c.change.value, since(c.start)) for c in found][:3] == [("raised", 0), ("cleared", 0), ("raised", 9)]
    assert sorted(c.change.value for c in found[3:]) == ["amended", "retracted"]
    (leaf,) = next(c for c in found if c.change.value == "retracted").evidence.leaves
    assert (leaf.left, leaf.verdict.value) == (None, "false")


def test_what_left_the_horizon_still_counts() -> None:
    """Hourly records; the ring of 96 is full, 32 have left it, and a late record is the third within a week."""
    bundle = watching(within="168h", clean="1000h")
    values = [5.12, 5.12, *[5.1] * 95]
    hand = HandLog().register(-1, sensor(interval="1h", resolution=0.1)).live("T1", 0, values, every=60)
    hand.rows(96 * 60 + 1, ("T1", [96 * 60 - 30], [5.12]))
    assert told(hand, bundle) == [("raised", 0, None, 96 * 60 - 30)]


def test_words_and_evidence() -> None:
    raised, cleared = changes(log([*FINE, *[5.1] * 6]))
    assert raised.message.en == (
        "T1: 3 values within 10m have more decimals than the sensor's resolution of 0.1 °C, the last 5.12"
    )
    assert "分辨率 0.1 °C" in raised.message.zh
    (leaf,) = raised.evidence.leaves
    assert (leaf.expr, leaf.left, leaf.op, leaf.right) == ("decimals of T1", 5.12, ">", 0.1)
    assert [(u.name, u.value, u.origin) for u in raised.evidence.limits] == [("resolution", 0.1, "register")]
    (leaf,) = cleared.evidence.leaves
    assert (leaf.left, leaf.op, leaf.right, leaf.unit) == (300_000.0, ">=", 300_000.0, "ms")


@pytest.mark.parametrize(
    ("change", "fires"),
    [({"resolution": 0.2}, True), ({"resolution": 0.01}, False), ({"resolution": 1}, False), ({"limits": {"low": 0, "high": 9}}, True),
     ({"interval": "2m"}, True), ({"quantity": "humidity", "unit": "%RH"}, False), ({"resolution": None}, False)],
)  # fmt: skip
def test_a_register_that_changes_the_decimals_lets_counting_begin_anew(change: dict[str, Any], fires: bool) -> None:
    bundle = watching(applies_to={"area.kind": "cold-room"})
    hand = log([5.123, 5.123])
    facts = {name: value for name, value in ({"resolution": 0.1} | change).items() if value is not None}
    hand.register(1.5, sensor(**facts), version=2).live("T1", 2, [5.123])
    assert bool(told(hand, bundle)) is fires


def test_an_alarm_stands_over_a_change_of_numbers_and_ends_with_the_resolution() -> None:
    hand = log(FINE).register(2.5, sensor(resolution=0.01), version=2).live("T1", 3, [5.12] * 6)
    assert told(hand) == [("raised", 0, None, 2), ("cleared", 0, 3, 8)]
    hand = log(FINE).register(2.5, sensor(), version=2)
    assert told(hand)[1:] == [("cleared", 0, 2.5, 2.5)]


def test_a_restart_and_a_snapshot_without_the_kind() -> None:
    own, plain, again = Engine(watching()), Engine(default_bundle().only({"data-integrity.gap"})), Engine(watching())
    for record in log([*FINE, 5.1, 5.1]).records():
        own.fold(record)
        plain.fold(record)
    snapshot = own.snapshot(0, FACILITY)
    again.restore(0, FACILITY, snapshot)
    assert again.snapshot(0, FACILITY) == snapshot
    assert b"too_precise" not in plain.snapshot(0, FACILITY)
    assert kind.STATE.words == 26, "the page names the bytes"


def test_an_explanation_agrees_and_names_the_numbers() -> None:
    (one,), _ = explain(log(FINE).records(), watching(), RULE, at=ms(3))
    assert one.agrees
    assert one.standing.active
    assert [number["name"] for number in one.numbers()] == ["resolution", "values", "within", "clean"]
    (idle,), _ = explain(log(FINE, None).records(), watching(), RULE, at=ms(3))
    assert not idle.watched
    assert idle.line is not None
    assert [(c.name, c.verdict.value) for c in idle.line.watch.conditions][-1] == ("resolution", "unknown")


def test_numbers_beyond_the_room_and_steps_are_refused() -> None:
    many = bundle_faults([digitlogs.rule({**THREE, "number": 17})], [])
    assert [f.pointer for f in many] == ["/rules/0/number"]
    steps = {"severity": {"base": "blue", "steps": [{"after": "1m", "to": "red"}]}}
    assert "/rules/0/severity/steps" in [f.pointer for f in bundle_faults([digitlogs.rule({**THREE, **steps})], [])]
