"""Kind `clock`, check `offset`, by hand, in minutes: what a heartbeat tells, what is judged, what stays of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rules.engine import Engine
from rules.layout import NEVER
from rules.rare.offset import SLOTS, drift_of, offset_of
from rules.rare.store import Fact
from rules.records import Event
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, since

if TYPE_CHECKING:
    from rules.changes import Change

RULE = "data-integrity.clock-offset"
DAY = 1440


def beat(at: float, off_s: float, source: str = "D1", **fields: Any) -> dict[str, Any]:
    told = ms(at) + round(off_s * 1000)
    return {
        "stream": "device",
        "type": "heartbeat",
        "time": ms(at),
        "source": source,
        "fields": {"device_time": told, **fields},
    }


def log(*offsets: float, every: float = 10) -> HandLog:
    """Return a log of heartbeats that are received at once."""
    hand = HandLog().register(-1)
    for i, off in enumerate(offsets):
        hand.line(i * every, "events", {"batch": f"e{i}", "events": [beat(i * every, off)]})
    return hand


def told(changes: list[Change]) -> list[tuple[Any, ...]]:
    return [(c.change.value, c.severity.value, since(c.start), since(c.received)) for c in changes if c.rule == RULE]


@pytest.mark.parametrize(
    ("device_time", "offset"),
    [
        (ms(1), 60_000), ("2026-03-01T00:02:00+08:00", 120_000), ("2026-02-28T15:59:00Z", -60_000), ("soon", None), (None, None),
        (True, None), (1.5, None), ("2026-03-01T00:02:00", None), ("2199-03-01T00:02:00Z", None),
    ],
)  # fmt: skip
def test_what_a_heartbeat_tells(device_time: Any, offset: int | None) -> None:
    event = Event.model_validate(beat(0, 0) | {"fields": {"device_time": device_time}})
    assert offset_of(event, ms(0)) == offset
    assert offset_of(event.model_copy(update={"type": "restart"}), ms(0)) is None


def test_one_slow_batch_moves_no_median() -> None:
    """A heartbeat that was stored for an hour is an hour off; four of five are not."""
    assert told(log(0, 0, 0, 0, -3600, 0, 0).changes()) == []


def test_three_of_five_raise_it_and_all_five_clear_it() -> None:
    hand = log(0, 0, 121, 121, 121, 0, 0, 0, 0, 61, 0, 0, 0, 0, 59)
    assert told(hand.changes()) == [("raised", "yellow", 40, 40), ("cleared", "yellow", 40, 140)]


def test_slow_and_fast_are_both_off_and_ten_minutes_are_worse() -> None:
    assert told(log(*[-601] * 5).changes()) == [("raised", "orange", 40, 40)]
    assert told(log(*[180] * 5, *[-700] * 3).changes()) == [("raised", "yellow", 40, 40), ("stepped", "orange", 40, 70)]


def test_unknown_after_a_day_without_a_heartbeat_and_only_where_an_alarm_stands() -> None:
    hand = log(*[180] * 5)
    assert told(hand.changes(until=40 + DAY - 0.001)) == [("raised", "yellow", 40, 40)]
    assert [c.message.en for c in hand.changes(until=90 * DAY) if c.rule == RULE][1] == (
        "D1: A device's clock is off; no heartbeat any more, the condition is unknown"
    )
    assert told(hand.changes(until=90 * DAY))[1:] == [("unknown", "yellow", 40, 40 + DAY)]
    assert told(log(*[0] * 5).changes(until=90 * DAY)) == []


def test_a_heartbeat_that_comes_again_is_not_counted_twice() -> None:
    hand = log(0, 0, 180)
    for i in range(5):
        hand.line(30 + i, "events", {"batch": f"again{i}", "events": [beat(20, 180)]})
    assert told(hand.changes()) == []


def test_no_officer_ends_it() -> None:
    hand = log(*[180] * 5)
    (raised,) = [c for c in hand.changes() if c.rule == RULE]
    said = {"id": "D-1", "version": 1, "subject": {"alarm": raised.alarm}, "code": "close-latched", "officer": "o-1",
            "revision_seen": 1, "reason_sha256": "0" * 64}  # fmt: skip
    assert len(told(hand.line(60, "decision", said).changes())) == 1


def test_evidence_names_median_and_drift() -> None:
    (raised,) = [c for c in log(*[180] * 5).changes() if c.rule == RULE]
    assert [(leaf.left, leaf.op, leaf.right, leaf.verdict.value) for leaf in raised.evidence.leaves] == [
        (180_000.0, ">", 120_000.0, "true"), (None, ">", 60_000.0, "unknown"),
    ]  # fmt: skip
    assert raised.subject == {"device": "D1"}


@pytest.mark.parametrize(("a_day", "fast"), [(60_000, False), (60_004, True)])
def test_a_straight_line_drifts_by_its_slope(a_day: int, fast: bool) -> None:
    facts = [Fact(i * 6 * 3_600_000, 0, str(i), "b", str(i * a_day // 4)) for i in range(22)]
    drift = drift_of(facts)
    assert drift is not None
    assert drift.a_day == pytest.approx(a_day)
    assert drift.beyond(60_000) is fast
    assert drift_of(facts[:-1]) is None, "less than three quarters of a week"


def test_a_month_of_heartbeats_stays_bounded() -> None:
    engine = Engine(BUNDLE)
    hand = log(*[i % 3 for i in range(30 * 24)], every=60)
    for record in hand.records():
        engine.fold(record)
    (case,) = engine.state_of(FACILITY).rare.of(RULE).values()
    assert SLOTS <= len(case.facts) <= SLOTS + 5
    assert case.due == NEVER, "where nothing stands nothing is due, and the case may go out"


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"beyond": None}, "/beyond"), ({"clear_below": None}, "/clear_below"), ({"ahead": 300_000}, "/ahead"),
        ({"beats": 4}, "/beats"), ({"clear_below": 120_001}, "/clear_below"),
    ],
)  # fmt: skip
def test_numbers_that_do_not_fit_are_faults(members: dict[str, Any], pointer: str) -> None:
    rule = BUNDLE.rule(RULE)
    assert rule is not None
    assert [f.pointer for f in bundle_faults([rule.model_copy(update=members)], [])] == [f"/rules/0{pointer}"]
    late = BUNDLE.rule("data-integrity.late-evidence")
    assert late is not None
    assert [f.pointer for f in bundle_faults([late.model_copy(update={"drift": 60_000})], [])] == ["/rules/0/drift"]
