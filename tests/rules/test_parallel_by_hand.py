"""Parallel measurements, by hand, in minutes: what is said and shown, which record is held against it, and when nothing is known."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from pydantic import TypeAdapter, ValidationError

from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.instants import format_instant
from rules.rule import ParallelRule, Rule
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since
from tests.rules.failures import failing_at

RULE = "data-integrity.parallel-misfit"
ONLY = BUNDLE.only({RULE})
ERROR = 0.5


def log(*sensors: dict[str, Any], begin: float = 0, many: int = 10) -> HandLog:
    """Return a log of a sensor of error 0.5 that says 5 each minute."""
    return HandLog().register(-1, *(sensors or [sensor(error=ERROR)])).live("T1", begin, [5.0] * many)


def measure(
    hand: HandLog, at: float, t: float, value: Any = 9.0, *, when: float | None = None, **fields: Any
) -> HandLog:  # fmt: skip
    """Append a parallel measurement of minute `t`, received at `at`; `when`: its event time, `at` without it."""
    measured = format_instant(ms(t))
    said = {"series": "T1", "value": value, "unit": "Cel", "measured_at": measured, "by": "LAB", "reference_error": 0.1}
    time = format_instant(ms(at if when is None else when))
    event = {"stream": "lab", "type": "parallel", "time": time, "source": "LIMS"}
    named = {name: one for name, one in (said | fields).items() if one is not ...}
    return hand.line(at, "events", {"batch": f"e{len(hand.lines)}", "events": [event | {"fields": named}]})


def told(hand: HandLog, until: float = 500) -> list[tuple[Any, ...]]:
    found = hand.changes(until=until, bundle=ONLY)
    return [(since(c.received), c.change.value, c.subject["tag"], since(c.start)) for c in found if c.rule == RULE]


def engine_of(hand: HandLog, until: float = 500) -> Engine:
    engine = Engine(ONLY)
    for record in hand.records():
        engine.fold(record)
    engine.advance(0, ms(until))
    return engine


# -- what is said ---------------------------------------------------------------------------------------------------
def test_the_evidence_holds_the_difference_against_both_errors_and_names_the_event() -> None:
    (raised,) = measure(log(), 11, 5, 5.7).changes(until=30, bundle=ONLY)
    assert (raised.at, raised.received, raised.start, raised.late) == (ms(12), ms(12), ms(5), False)
    (leaf,) = raised.evidence.leaves
    assert leaf.model_dump(mode="json", exclude_none=True) == {
        "expr": "parallel value at 2026-02-28T16:05:00.000Z", "left": 0.7, "op": ">", "right": 0.6, "verdict": "true"
    }  # fmt: skip
    assert [one.kind for one in raised.evidence.records] == ["events", "register"]
    assert (raised.severity.value, raised.message.zh) == ("orange", "T1：比对值与记录不符")


@pytest.mark.parametrize(("value", "wrong"), [(5.6, False), (5.61, True), (4.4, False), (4.39, True), (5, False)])
def test_as_far_off_as_both_errors_together_it_fits(value: float, wrong: bool) -> None:
    assert bool(told(measure(log(), 11, 5, value))) is wrong


def test_decimals_are_taken_as_written() -> None:
    """5.3 less 5 is more than 0.2 and 0.1 in binary."""
    assert told(measure(log(sensor(error=0.2)), 11, 5, 5.3)) == []
    assert told(measure(log(sensor(error=0.2)), 11, 5, 5.300001)) == [(12, "raised", "T1", 5)]


def test_a_second_one_is_the_same_alarm_and_an_earlier_one_its_start() -> None:
    hand = measure(measure(measure(log(), 11, 5), 13, 7), 14, 3)
    assert told(hand) == [(12, "raised", "T1", 5), (15, "amended", "T1", 3)]


def test_one_that_fits_takes_nothing_back() -> None:
    assert told(measure(measure(log(), 11, 5), 13, 6, 5.0)) == [(12, "raised", "T1", 5)]


def test_an_officer_ends_it_and_what_waits_is_still_compared() -> None:
    hand = measure(log(), 11, 5)
    (raised,) = hand.changes(until=13, bundle=ONLY)
    measure(hand, 12.5, 6).line(13, "decision", {
        "id": "D-1", "version": 1, "subject": {"alarm": raised.alarm}, "code": "close-latched", "officer": "o-1",
        "revision_seen": 0, "reason_sha256": "0" * 64,
    })  # fmt: skip
    assert told(hand) == [(12, "raised", "T1", 5), (13, "cleared", "T1", 5), (13.5, "raised", "T1", 6)]


def test_the_same_event_again_is_none_also_behind_its_comparison() -> None:
    hand = measure(measure(log(), 11, 5, 5.0, when=10), 11.5, 5, 5.0, when=10)
    measure(hand, 30, 5, 5.0, when=10)
    assert engine_of(hand).counters(0, FACILITY)["event_duplicate"] == 2
    assert told(hand) == []


# -- when it is compared --------------------------------------------------------------------------------------------
def test_it_waits_for_the_next_record_and_its_delivery() -> None:
    hand = measure(log(many=6), 5.1, 5.4)  # the record of minute 6 may be nearer, or not come
    assert told(hand, until=7.3) == []
    assert told(hand, until=7.4) == [(7.4, "raised", "T1", 5.4)]


def test_records_that_come_late_within_that_time_count() -> None:
    hand = measure(log(many=5), 5.1, 5, 9.0).rows(6.9, ("T1", [5], [9.0]))
    assert told(hand) == []
    hand = measure(log(many=5), 5.1, 5, 9.0).rows(7.1, ("T1", [5], [9.0]))  # what was compared stands
    assert told(hand) == [(7, "raised", "T1", 5)]


def test_of_two_records_as_near_the_earlier_counts() -> None:
    hand = log(many=6).rows(6.1, ("T1", [6], [9.0]))
    assert told(measure(hand, 8, 5.5, 9.0)) == [(9, "raised", "T1", 5.5)]
    assert told(measure(log(many=6).rows(6.1, ("T1", [6], [9.0])), 8, 5.5 + 1 / 60_000, 9.0)) == []


def test_behind_the_horizon_no_record_is_known() -> None:
    hand = log(many=200)
    assert told(measure(hand, 200, 100)) == [(201, "raised", "T1", 100)]
    assert told(measure(log(many=200), 200, 70)) == []
    assert engine_of(measure(log(many=200), 200, 70)).counters(0, FACILITY)["parallel_unknown"] == 1


# -- when nothing is known ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "sensors"),
    [
        ({"reference_error": ...}, []),
        ({"reference_error": -0.1}, []),
        ({"unit": ...}, []),
        ({"unit": "K"}, []),
        ({"value": "9"}, []),
        ({"value": True}, []),
        ({"value": None}, []),
        ({"measured_at": "yesterday"}, []),
        ({"measured_at": ...}, []),
        ({}, [sensor()]),
        ({}, [sensor(interval=None, error=ERROR)]),
    ],
)
def test_without_a_number_an_instant_an_error_or_a_unit_nothing_is_known(
    fields: dict[str, Any], sensors: list[dict[str, Any]]
) -> None:  # fmt: skip
    hand = measure(log(*sensors), 11, 5, **fields)
    assert told(hand) == []
    assert engine_of(hand).counters(0, FACILITY)["parallel_unknown"] == 1


@pytest.mark.parametrize(("t", "counted"), [(16, 0), (16 + 1 / 60_000, 1)])
def test_one_that_lies_more_than_five_minutes_ahead_was_not_measured(t: float, counted: int) -> None:
    hand = measure(log(), 11, t).live("T1", 15, [5.0] * 4)
    assert engine_of(hand).counters(0, FACILITY)["parallel_unknown"] == counted


def test_of_a_series_that_nobody_registered_nothing_is_counted() -> None:
    engine = engine_of(measure(log(), 11, 5, series="T9"))
    assert engine.counters(0, FACILITY)["parallel_unknown"] == 0
    assert not engine.state_of(FACILITY).rare.of(RULE)


def test_a_sensor_that_leaves_before_it_is_compared_is_not_known() -> None:
    hand = measure(log(), 11, 5).register(11.5, sensor("T2"), version=2)
    assert told(hand) == []
    assert engine_of(hand).counters(0, FACILITY)["parallel_unknown"] == 1


@pytest.mark.parametrize(
    ("quality", "wrong"), [("fault", True), ("stopped", True), ("uncertain", False), ("comms", False)]
)
def test_marked_records_count(quality: str, wrong: bool) -> None:
    hand = HandLog().register(-1, sensor(error=ERROR)).live("T1", 0, [(5.0, quality)] * 10)
    assert bool(told(measure(hand, 11, 5))) is wrong


# -- bounds, and a rule that raises ---------------------------------------------------------------------------------
def test_of_more_than_are_kept_the_start_stays_and_what_goes_is_counted() -> None:
    hand = log()
    for i in range(40):
        measure(hand, 11 + 2 * i, 5, 9.0 + i)
    engine = engine_of(hand)
    (case,) = engine.state_of(FACILITY).rare.of(RULE).values()
    assert (len(case.facts), engine.counters(0, FACILITY)["fact_dropped"]) == (32, 8)
    assert told(hand) == [(12, "raised", "T1", 5)]


def test_a_sensor_for_which_there_is_no_room_is_left_out_and_counted() -> None:
    hand = log(sensor(error=ERROR), sensor("T2", error=ERROR)).live("T2", 20, [5.0] * 3)
    measure(measure(hand, 24, 21), 24, 21, series="T2")
    with patch("rules.rare.store.MAX_CHECKED", 1):
        assert engine_of(hand, until=24.5).counters(0, FACILITY)["event_left_out"] == 1


def test_a_rule_that_raises_is_put_aside() -> None:
    with failing_at(lambda change: change.rule == RULE):
        found = measure(log(), 11, 5).changes(until=30, bundle=ONLY)
    assert [(c.rule, c.change.value) for c in found] == [("register.rule-failed", "raised")]


def test_packs_without_the_rule_end_its_alarms_and_what_waits_is_let_go() -> None:
    other = BUNDLE.only({"data-integrity.mark-late"})
    hand = measure(measure(log(), 11, 5), 12.9, 6).packs(13, other).packs(14, ONLY)
    assert told(hand) == [(12, "raised", "T1", 5), (13, "cleared", "T1", 5)]


# -- explanations ---------------------------------------------------------------------------------------------------
def explained(hand: HandLog, at: float) -> list[Any]:
    found, _ = explain(hand.records(), ONLY, RULE, at=ms(at))
    return found


def test_an_explanation_says_of_each_what_became_of_it() -> None:
    hand = measure(measure(measure(log(), 11, 5, 5.0), 13, 6), 15, 200)
    measure(hand, 16, 7, unit="K")
    (one,) = explained(hand, 16.5)
    assert one.agrees
    assert [event.fate for event in one.events] == ["within", "occasion", "unmatched", "awaited"]
    (one,) = explained(measure(hand, 18, 3), 30)
    assert [event.fate for event in one.events] == ["within", "occasion", "unmatched", "unmatched", "occasion"]
    en, zh = "\n".join(rare_lines(one, "en")), "\n".join(rare_lines(one, "zh"))
    assert "it fired: orange since 2026-02-28T16:03:00.000Z; it stands until an officer's decision" in en
    assert "misfit: they differ by more than both errors" in en
    assert "两者之差大于两项误差之和" in zh


def test_an_explanation_of_nothing_says_so() -> None:
    (one,) = explained(log(), 30)
    assert (one.subject, one.agrees) == ({}, True)
    assert "it did not fire; no event came that it means" in "\n".join(rare_lines(one, "en"))


# -- rule files -----------------------------------------------------------------------------------------------------
def rule(**members: Any) -> ParallelRule:
    shipped = ONLY.rule(RULE)
    assert isinstance(shipped, ParallelRule)
    said = shipped.model_dump(mode="json", by_alias=True, exclude_none=True)
    found = TypeAdapter(Rule).validate_python(said | members)
    assert isinstance(found, ParallelRule)
    return found


def test_a_rule_that_makes_no_sense_is_a_fault() -> None:
    steps = rule(severity={"base": "yellow", "steps": [{"after": "2h", "to": "red"}]})
    assert "/severity/steps" in [fault.pointer.removeprefix("/rules/0") for fault in bundle_faults([steps], {})]


def test_members_that_a_model_does_not_know_are_refused() -> None:
    with pytest.raises(ValidationError):
        rule(wait="1h")
