"""Time outside in summaries goes by the registered limits in force at each row's event time (rules/formerly.py), by hand, in minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from rules import formerly
from rules.engine import Engine
from rules.records import Kind
from rules.snapshot import SnapshotError, open_snapshot, sealed
from tests.rules.byhand import FACILITY, MINUTE, HandLog, sensor
from tests.rules.claimlogs import MONTH, SPAN
from tests.rules.test_claims_by_hand import BUNDLE, SCOPE, dense, folded, register, summed

if TYPE_CHECKING:
    from rules.pack import Bundle

WIDE: dict[str, Any] = {"limits": {"low": 2, "high": 8}}
NARROW: dict[str, Any] = {"limits": {"low": 2, "high": 6}}
NO_LIMIT_RULE = BUNDLE.only({SPAN})
"""Limits concern no rule on rows here: the horizon of a series goes on by itself."""


def outside(hand: HandLog, bundle: Bundle = BUNDLE) -> list[float]:
    """Return the minutes outside of each hour, and hold that days have as many."""
    found = summed(hand, bundle)
    assert sum(p.outside for p in found.hours) == sum(p.outside for p in found.days)
    return [p.outside / MINUTE for p in found.hours]


@pytest.mark.parametrize("bundle", [BUNDLE, NO_LIMIT_RULE], ids=["limit rule", "none"])
def test_rows_that_are_in_the_horizon_when_limits_change_keep_those_of_their_time(bundle: Bundle) -> None:
    """Rows of 400 minutes at 7, narrower limits, and 120 minutes more; the one at 401 was measured by the old ones too."""
    hand = dense(register(HandLog()), 0, [7.0] * 400)
    hand = dense(register(hand, 401, 2, **NARROW), 402, [7.0] * 120)
    assert outside(hand, bundle) == [0, 0, 0, 0, 0, 0, 18, 60, 41]


@pytest.mark.parametrize("bundle", [BUNDLE, NO_LIMIT_RULE], ids=["limit rule", "none"])
def test_wider_limits_take_nothing_back(bundle: Bundle) -> None:
    hand = dense(register(HandLog(), **NARROW), 0, [7.0] * 61)
    hand = dense(register(hand, 61, 2, **WIDE), 62, [7.0] * 200)
    assert outside(hand, bundle) == [60, 2, 0, 0, 0]


def test_a_late_row_of_before_goes_by_the_limits_of_then() -> None:
    hand = dense(register(HandLog()), 0, [5.0] * 20)
    hand = dense(register(hand, 30, 2, **NARROW), 40, [5.0] * 10)
    assert outside(hand.rows(50, ("T1", [25, 26, 35, 36], [7.0] * 4))) == [1], (
        "from 35 to 36; behind each pair nothing is known"
    )


@pytest.mark.parametrize(("t", "minutes"), [(30, 0), (30 + 1 / MINUTE, 1)])
def test_limits_hold_from_the_millisecond_behind_their_receipt(t: float, minutes: float) -> None:
    hand = register(register(HandLog()), 30, 2, **NARROW)
    assert outside(hand.rows(35, ("T1", [t, t + 1], [7.0, 5.0]))) == [minutes]


def test_a_row_of_a_clock_that_runs_ahead_goes_by_its_receipt() -> None:
    """Stamped minute 33, received at 29: the limits of minute 30 were not known to anybody."""
    hand = register(HandLog()).rows(29, ("T1", [33], [7.0]))
    assert outside(register(hand, 30, 2, **NARROW).rows(36, ("T1", [34, 35], [7.0, 7.0]))) == [1]


def test_limits_are_kept_for_rows_that_are_stamped_ahead_of_the_newest_that_left() -> None:
    """Another interval ends the horizon at 33; the row of 34 was received at 29.6, before the limits of 30, and leaves behind them."""
    hand = register(HandLog()).rows(29, ("T1", [33], [7.0]))
    hand = register(hand, 29.2, 2, interval="120s", **WIDE).rows(29.6, ("T1", [34], [7.0]))
    hand = register(hand, 30, 3, interval="120s", **NARROW)
    assert outside(hand.rows(38, ("T1", [36, 38], [5.0, 5.0]))) == [0]


def test_limits_that_change_twice_and_back() -> None:
    hand = dense(register(HandLog()), 0, [7.0] * 10)
    hand = dense(register(hand, 10, 2, **NARROW), 11, [7.0] * 9)
    hand = dense(register(hand, 20, 3, **WIDE), 21, [7.0] * 9)
    assert outside(hand) == [10], "rows 11 to 19; the last of them stands until 21"


def test_facts_with_times_change_limits_at_theirs() -> None:
    at_30: dict[str, Any] = {"from": "2026-03-01T00:30:00+08:00"}
    hand = HandLog().register(-1, sensor(**WIDE), sensor(**NARROW, **at_30), version=1, **SCOPE)
    assert outside(dense(hand, 0, [7.0] * 60)) == [29]


def test_more_changes_than_are_kept_end_the_horizon_and_lose_nothing() -> None:
    hand, wide = dense(register(HandLog()), 0, [7.0] * 5), True
    for i in range(formerly.MOST + 3):
        wide = not wide
        hand = dense(register(hand, 5 + 4 * i, 2 + i, **(WIDE if wide else NARROW)), 6 + 4 * i, [7.0] * 3)
    state = folded(hand, NO_LIMIT_RULE).state_of(FACILITY)
    assert len(state.spans["T1"]) < formerly.MOST
    assert outside(hand, NO_LIMIT_RULE) == [4.0 * 6 - 2], (
        "each narrow time from its first row to the next wide one's, two of them cut"
    )


def test_limits_of_before_are_forgotten_when_no_row_can_be_of_their_time() -> None:
    hand = dense(register(HandLog()), 0, [7.0] * 10)
    hand = dense(register(hand, 10, 2, **NARROW), 11, [7.0] * 400)
    assert "T1" in folded(hand).state_of(FACILITY).spans
    assert (
        not folded(register(hand, 420, 3, **NARROW | {"interval": "60s", "resolution": 0.1})).state_of(FACILITY).spans
    )


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_restart_from_a_snapshot_changes_nothing(cut: int) -> None:
    hand = dense(register(HandLog()), 0, [7.0] * 30)
    hand = dense(register(hand, 30, 2, **NARROW), 31, [7.0] * 30).rows(62, ("T1", [29.5], [9.0]))
    log = dense(register(hand, 63, 3, **WIDE), 64, [7.0] * 200).records()
    whole, again = Engine(BUNDLE), Engine(BUNDLE)
    for record in log[:cut]:
        whole.fold(record)
    again.restore(0, FACILITY, whole.snapshot(0, FACILITY))
    again.restore_partition(0, whole.partition_state(0))
    for record in log[cut:]:
        assert whole.fold(record) == again.fold(record)
    assert whole.snapshot(0, FACILITY) == again.snapshot(0, FACILITY)


def test_a_snapshot_says_nothing_of_them_where_no_rule_asks() -> None:
    hand = dense(register(dense(register(HandLog()), 0, [7.0] * 10), 10, 2, **NARROW), 11, [7.0] * 10)
    assert b"spans" not in _body(hand, BUNDLE.only({"claims.store-out"}))
    assert b"spans" in _body(hand, BUNDLE.only({MONTH, SPAN, "claims.store-out"}))
    assert [record.kind for record in hand.records()].count(Kind.REGISTER) == 2


def _body(hand: HandLog, bundle: Bundle) -> bytes:

    return msgspec.msgpack.encode(open_snapshot(folded(hand, bundle).snapshot(0, FACILITY))[0])


@pytest.mark.parametrize(
    "wrong",
    [
        [("T9", [(9, 2.0, 8.0)])], [("T1", [])], [("T1", [(9, 2.0, 8.0), (8, 2.0, 8.0)])], [("T1", [(9, float("nan"), 8.0)])],
        [("T1", [(9, 2.0, 8.0)])] * 2, [("T1", [(i, 2.0, 8.0) for i in range(formerly.MOST + 1)])],
    ],
)  # fmt: skip
def test_limits_of_before_that_no_fold_leaves_are_refused(wrong: list[Any]) -> None:
    hand = dense(register(dense(register(HandLog()), 0, [7.0] * 10), 10, 2, **NARROW), 11, [7.0] * 10)
    body, _ = open_snapshot(folded(hand).snapshot(0, FACILITY))
    assert body.spans
    body.spans = wrong
    with pytest.raises(SnapshotError):
        Engine(BUNDLE).restore(0, FACILITY, sealed(body))
