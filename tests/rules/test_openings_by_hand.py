"""Openings that the nearest sensor does not show, by hand, in minutes: what comes late or again, what is not known, and what is kept.

Above 400 lines: one rule, each border from both sides, over the same few openings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from pydantic import TypeAdapter, ValidationError

from rules.changes import alarm_id
from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.instants import format_instant
from rules.packdiff import differences
from rules.rare import store
from rules.rare.openings import told_of, verdicts_of
from rules.rare.store import text_of
from rules.rule import FollowUpRule, Rule, is_latched
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, SECOND, HandLog, ms, sensor, since

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.explainrare import RareExplanation
    from rules.pack import Bundle
    from rules.rare.store import Case

RULE = "data-integrity.no-door-trace"
WHOLESALER = [{"field": "distribution", "line": "drug"}]
ROUND = 20
"""An opening every twenty minutes, at half past the ninth; its rows are sent as the next round begins, half a minute before it is judged."""


def rule() -> FollowUpRule:
    found = BUNDLE.rule(RULE)
    assert isinstance(found, FollowUpRule)
    return found


def register(*sensors: dict[str, Any], hand: HandLog | None = None, at: float = -1, **facts: Any) -> HandLog:
    """Return a log of a wholesaler; T1 hangs beside the door D1, one reading a minute, unless said otherwise."""
    named = sensors or (sensor(door="D1"),)
    return (hand or HandLog()).register(at, *named, **({"scopes": WHOLESALER} | facts))


def door(
    hand: HandLog, at: float, state: Any = "open", *, said: float | None = None, name: str = "D1", batch: str = ""
) -> HandLog:
    """Append an event of a door that happened at `said` and is received at `at`."""
    event = {"stream": "device", "type": "door", "time": ms(at if said is None else said), "source": name}
    body = event | {"fields": {} if state is None else {"state": state}}
    return hand.line(at, "events", {"batch": batch or f"e{len(hand.lines)}", "events": [body]})


def opened(i: int) -> float:
    """Return when the door opens in a round."""
    return ROUND * i + 9.5


def judged(i: int) -> float:
    """Return when that opening is judged."""
    return opened(i) + 11


def turn(hand: HandLog, i: int, values: Sequence[Any] | None = None, *, name: str = "D1") -> HandLog:
    """Append one round: the door is open for two minutes, then the rows of the round; they stay at 5 if no values are given."""
    door(hand, opened(i), name=name)
    door(hand, opened(i) + 2, "closed", name=name)
    minutes = [ROUND * i + k for k in range(ROUND)]
    return hand.rows(ROUND * (i + 1), ("T1", minutes, values or [5.0] * ROUND))


def turns(*shown: int, many: int = 10, hand: HandLog | None = None, first: int = 0) -> HandLog:
    """Return a log of rounds; in those that are shown the sensor rises by 0.2 in the tenth minute."""
    found = hand or register()
    for i in range(first, first + many):
        turn(found, i, [5.2 if k == 12 and i in shown else 5.0 for k in range(ROUND)])
    return found


def told(hand: HandLog, until: float | None = None, bundle: Bundle = BUNDLE) -> list[tuple[Any, ...]]:
    changes = [c for c in hand.changes(until=until, bundle=bundle) if c.rule == RULE]
    return [(c.change.value, c.subject["tag"], since(c.start), since(c.received)) for c in changes]


def books(hand: HandLog, until: float | None = None) -> Engine:
    engine = Engine(BUNDLE)
    for record in hand.records():
        engine.fold(record)
    if until is not None:
        engine.advance(0, ms(until))
    return engine


def case_of(engine: Engine, tag: str = "T1") -> Case:
    return engine.state_of(FACILITY).rare.cases[RULE][text_of({"tag": tag})]


def counted(hand: HandLog, until: float) -> list[tuple[float | None, bool]]:
    """Return the openings of T1 that were counted: when, and whether they are absent."""
    return [(since(fact.t), fact.counts) for fact in verdicts_of(case_of(books(hand, until)).facts)]


RAISED = ("raised", "T1", opened(9), judged(9))


def test_nine_of_the_last_ten_raise_it_and_five_clear_it() -> None:
    assert told(turns(), 300) == [RAISED]
    assert told(turns(0), 300) == [RAISED]
    assert told(turns(0, 5), 300) == []
    assert told(turns(many=9), 300) == [], "of ten, not of nine"
    assert told(turns(0, many=11), 300) == [RAISED], "the eleventh tells nothing new"
    assert told(turns(0, 10, 11, 12, 13, many=14), 400) == [RAISED], "six of ten"
    cleared = ("cleared", "T1", opened(9), judged(14))
    assert told(turns(0, 10, 11, 12, 13, 14, many=15), 400) == [RAISED, cleared]


def test_it_comes_again_as_another_alarm() -> None:
    hand = turns(0, 10, 11, 12, 13, 14, many=25)
    alarms = [c.alarm for c in hand.changes(until=700) if c.rule == RULE]
    assert [one[0] for one in told(hand, 700)] == ["raised", "cleared", "raised"]
    assert len(set(alarms)) == 2


def test_what_is_received_at_the_instant_of_the_judgement_comes_too_late() -> None:
    hand = turns(many=9)
    door(hand, opened(9))
    for at, wanted in ((judged(9), []), (judged(9) - 1 / 60_000, [RAISED])):
        late = HandLog()
        late.lines, late._next = list(hand.lines), hand._next
        assert told(late.rows(at, ("T1", [180 + k for k in range(ROUND)], [5.0] * ROUND)), 300) == wanted


def test_an_opening_that_is_told_late_is_judged_a_delivery_behind_that_by_what_the_horizon_holds() -> None:
    hand = register()
    for i in range(5):
        hand.rows(ROUND * (i + 1), ("T1", [ROUND * i + k for k in range(ROUND)], [5.0] * ROUND))
    assert counted(door(hand, 105, said=opened(0)), 105.99) == []
    assert counted(hand, 106) == [(opened(0), True)]


def test_an_opening_whose_time_has_left_the_horizon_is_not_counted() -> None:
    for minutes, wanted in ((128, [(opened(0), True)]), (130, [])):
        hand = register().rows(minutes, ("T1", list(range(minutes)), [5.0] * minutes))
        assert counted(door(hand, minutes, said=opened(0)), 200) == wanted


def test_rows_that_were_stored_on_the_way_come_in_time_with_the_event_that_they_belong_to() -> None:
    hand = register().rows(1, ("T1", [0, 1], [5.0, 5.0]))
    door(door(hand, 300, said=9.5), 300, "closed", said=11.5)
    rows = list(range(2, 60))
    assert counted(hand.rows(300.5, ("T1", rows, [5.0] * len(rows))), 400) == [(9.5, True)]


def test_judged_once_neither_rows_nor_events_that_come_later_change_it() -> None:
    hand = turns(many=1)
    assert counted(hand, 30) == [(9.5, True)]
    more = hand.rows(30, ("T1", [12.5], [7.0]))
    assert counted(door(more, 31, "closed", said=10), 60) == [(9.5, True)]
    assert counted(door(more, 32, said=9), 60) == [(9, False), (9.5, True)], (
        "the rows that came count for what is told now"
    )


def test_what_is_told_before_the_judgement_counts() -> None:
    hand = door(register(), 9.5)
    rows = ("T1", list(range(ROUND)), [5.0] * ROUND)
    door(hand, 19, "closed", said=9.5 + 59.999 / 60)
    assert counted(hand.rows(20, rows), 60) == []
    hand = door(register(), 9.5)
    door(hand, 19, "closed", said=10.5)
    assert counted(hand.rows(20, rows), 60) == [(9.5, True)], "sixty seconds"


def test_a_door_that_was_open_already_does_not_open_and_a_closing_that_got_lost_costs_one() -> None:
    def found(*events: tuple[float, str]) -> list[tuple[float | None, bool]]:
        hand = register()
        for at, state in events:
            door(hand, at, state)
        for begin, end in ((0, 13), (13, 19), (19, 23)):
            hand.rows(end - 0.1, ("T1", list(range(begin, end)), [5.0] * (end - begin)))
        return counted(hand, 60)

    assert found((2, "open"), (9.5, "open"), (12, "closed"), (12.5, "open")) == [(2, True), (12.5, True)]
    assert found((2, "open"), (8, "closed"), (8, "open")) == [(2, True)], "open and closed at once: closed too soon"
    assert found((2, "open"), (2, "closed"), (8, "open")) == [(8, True)], "no door that was open already"


@pytest.mark.parametrize(
    ("interval", "every", "wanted"),
    [("5m", 5, True), ("301s", 5, None), (None, 1, None), ("60s", 1.5, True), ("60s", 1.501, None), ("2m", 3, True)],
)
def test_absence_needs_a_time_that_is_covered_with_rows(
    interval: str | None, every: float, wanted: bool | None
) -> None:
    hand = door(register(sensor(interval=interval, door="D1")), 30)
    minutes = [30 - 10 * every + every * k for k in range(20) if 30 - 10 * every + every * k <= 40]
    found = counted(hand.rows(40.5, ("T1", minutes, [5.0] * len(minutes))), 60)
    assert found == ([] if wanted is None else [(30, wanted)])


@pytest.mark.parametrize(
    ("minutes", "counts"),
    [
        ([9, 10.5, 12, 13.5, 15, 16.5, 18, 19], True),
        ([8.5, 10, 11, 12, 13, 14, 15, 16, 17, 18, 18.5], True),
        ([8.9, 10.5, 12, 13.5, 15, 16.5, 18, 19], False),
        ([9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 18.4], False),
        ([10, 11, 12, 13, 14, 15, 16, 17, 18, 19], True),
        ([11, 12, 13, 14, 15, 16, 17, 18, 19], False),
    ],
)
def test_the_time_reaches_from_the_row_before_the_opening_to_ten_minutes_behind_it(
    minutes: list[float], counts: bool
) -> None:
    hand = door(register(), 10).rows(20.5, ("T1", minutes, [5.0] * len(minutes)))
    assert counted(hand, 60) == ([(10, True)] if counts else [])


@pytest.mark.parametrize(
    ("values", "absent"),
    [
        ({10: 5.2}, False),
        ({9: 5.2}, True),
        ({20: 5.2}, False),
        ({21: 5.2}, True),
        ({12: 5.1, 13: 4.9}, False),
        ({12: 5.1, 13: 4.91}, True),
    ],
)
def test_a_change_is_the_largest_value_less_the_smallest(values: dict[int, float], absent: bool) -> None:
    hand = door(register(), 10).rows(20.9, ("T1", list(range(22)), [values.get(k, 5.0) for k in range(22)]))
    assert counted(hand, 60) == [(10, absent)]


def test_values_are_compared_as_they_are_written() -> None:
    for shown, absent in ((4.1, False), (4.099999, True)):
        hand = door(register(), 10)
        assert counted(
            hand.rows(20.9, ("T1", list(range(22)), [shown if k == 12 else 3.9 for k in range(22)])), 60
        ) == [(10, absent)]


def test_a_change_that_rows_show_counts_however_much_is_missing() -> None:
    hand = door(register(sensor(door="D1", interval=None)), 10)
    assert counted(hand.rows(20.5, ("T1", [12, 19], [5.0, 5.3])), 60) == [(10, False)]


def test_qualities_and_marks() -> None:
    def found(quality: str, hand: HandLog | None = None, shown: float = 5.0) -> list[tuple[float | None, bool]]:
        rows = [(shown if k == 13 else 5.0, quality if 12 <= k <= 14 else "good") for k in range(ROUND)]
        return counted(turn(hand or register(), 0, rows), 60)

    for quality in ("good", "over_limit", "maintenance", "calibration", "fault", "stopped"):
        assert found(quality) == [(9.5, True)], quality
        assert found(quality, shown=6.0) == [(9.5, False)], quality
    for quality in ("uncertain", "set_value", "comms"):
        assert found(quality, shown=6.0) == [], quality
    assert found("good", register().mark(1, "set_value", 12, 14)) == []
    assert found("good", register().mark(1, "fault", 12, 14)) == [(9.5, True)]


def test_each_sensor_at_a_door_is_judged_by_its_own_rows() -> None:
    two = register(sensor(door="D1"), sensor("T2", door="D1"), sensor("T3", door="D3"), sensor("T4"))
    for i in range(10):
        door(door(two, opened(i)), opened(i) + 2, "closed")
        minutes = [ROUND * i + k for k in range(ROUND)]
        shown = [5.5 if k == 12 else 5.0 for k in range(ROUND)]
        flat = [5.0] * ROUND
        two.rows(
            ROUND * (i + 1), ("T1", minutes, flat), ("T2", minutes, shown), ("T3", minutes, flat), ("T4", minutes, flat)
        )
    assert told(two, 300) == [RAISED]
    assert set(books(two).state_of(FACILITY).rare.cases[RULE]) == {text_of({"tag": "T1"}), text_of({"tag": "T2"})}


def test_another_door_is_another_sensors_place_it_ends_the_alarm_and_begins_anew() -> None:
    hand = register(sensor(door="D2"), hand=turns(), at=210, version=2)
    assert told(hand, 300) == [RAISED, ("cleared", "T1", opened(9), 210)]
    for i in range(11, 21):
        turn(hand, i, name="D2")
    assert told(hand, 600) == [RAISED, ("cleared", "T1", opened(9), 210), ("raised", "T1", opened(20), judged(20))]
    same = register(sensor(door="D1", serial="S-2"), hand=turns(), at=210, version=2)
    assert told(same, 300) == [RAISED], "the same door"


@pytest.mark.parametrize(
    ("sensors", "facts"),
    [
        ([sensor()], {}),
        ([sensor("T2", door="D1")], {}),
        ([sensor(door="D1", quantity="humidity", unit="%RH")], {}),
        ([sensor(door="D1")], {"scopes": [{"field": "manufacture", "line": "drug"}]}),
    ],
)
def test_without_a_door_a_sensor_or_the_scope_it_ends(sensors: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    hand = register(*sensors, hand=turns(), at=210, version=2, **facts)
    assert told(hand, 300) == [RAISED, ("cleared", "T1", opened(9), 210)]
    back = register(hand=hand, at=215, version=3)
    assert told(turns(hand=back, first=11, many=9), 500) == [RAISED, ("cleared", "T1", opened(9), 210)], (
        "what was is forgotten"
    )
    assert told(turns(hand=back, first=20, many=1), 500)[2:] == [("raised", "T1", opened(20), judged(20))]


def test_a_sensor_that_goes_before_its_opening_is_judged_is_not_judged() -> None:
    hand = register(sensor("T2"), hand=turn(register(), 0), at=20.2, version=2)
    assert told(hand, 60) == []
    assert (
        RULE not in books(hand, 60).state_of(FACILITY).rare.cases
        or not books(hand, 60).state_of(FACILITY).rare.cases[RULE]
    )


def test_a_firm_without_door_contacts_keeps_nothing_of_its_doors() -> None:
    plain = turns(hand=register(sensor()))
    engine = books(plain, 300)
    assert RULE not in engine.state_of(FACILITY).rare.cases
    without = Engine(BUNDLE.only({one.id for one in BUNDLE.rules if one.id != RULE}))
    for record in plain.records():
        without.fold(record)
    without.advance(0, ms(300))
    assert without.state_of(FACILITY).rare.pack() == engine.state_of(FACILITY).rare.pack()


def test_events_of_a_door_are_bounded_and_what_is_lost_is_counted() -> None:
    hand = turns(many=1)
    for k in range(store.MAX_DOOR):
        door(hand, 30 + k / 60, "closed" if k % 2 == 0 else "open")
    engine = books(hand)
    assert len(told_of(case_of(engine).facts)) == store.MAX_DOOR
    assert engine.counters(0, FACILITY)["fact_dropped"] == 0, "those were judged"
    door(hand, 40, "open", said=31)
    assert books(hand).counters(0, FACILITY)["fact_dropped"] == 0
    engine = books(door(hand, 40.5, "open", said=8))
    assert engine.counters(0, FACILITY)["event_stale"] == 1, "older than all"
    for k in range(3):
        door(hand, 40.6 + k / 60, "closed")
    assert books(hand).counters(0, FACILITY)["fact_dropped"] == 2, "those were not"
    assert books(door(hand, 40.8, "closed", said=40.6)).counters(0, FACILITY)["event_duplicate"] == 1


def test_all_cases_together_are_bounded_the_oldest_of_the_one_that_is_told_goes() -> None:
    with patch.object(store, "MAX_ALL_FACTS", 4):
        engine = books(turns(many=5), 300)
    case = case_of(engine)
    assert len(case.facts) <= 5
    assert engine.counters(0, FACILITY)["fact_dropped"] > 0
    assert told(turns(), 300) == [RAISED]


def test_no_officer_ends_it() -> None:
    said = {"id": "D-1", "version": 1, "subject": {"alarm": alarm_id(RULE, FACILITY, {"tag": "T1"}, ms(opened(9)))},
            "code": "close-latched", "officer": "o-1", "revision_seen": 1, "reason_sha256": "0" * 64}  # fmt: skip
    assert told(turns().tick(210).line(210, "decision", said), 300) == [RAISED]
    assert not is_latched(rule(), {"tag": "T1"})


def test_packs_with_other_numbers_judge_what_is_kept_anew() -> None:
    def other(**numbers: int) -> Bundle:
        trace = rule().trace
        assert trace is not None
        new = rule().model_copy(update={"trace": trace.model_copy(update=numbers), "version": "1.0.1"})
        return type(BUNDLE).of([*(one for one in BUNDLE.rules if one.id != RULE), new], BUNDLE.tables.values())

    assert told(turns(0, 5).packs(210, other(absent=8)), 300) == [("raised", "T1", opened(9), 210)]
    assert told(turns().packs(210, other(last=11)), 300) == [RAISED]
    hand = turns(0, 3, 6, 7, 8).packs(210, other(last=5, absent=2, clear=1))
    assert told(hand, 300) == [("raised", "T1", opened(9), 210)], "of the newest five"
    hand = turns(0, 10, 11, 12, 13, many=14).packs(300, other(clear=6))
    assert told(hand, 400) == [RAISED, ("cleared", "T1", opened(9), 300)]
    changed = differences(BUNDLE, other(absent=8))
    assert [one for one in changed if RULE in str(one)]
    again = rule().model_copy(update={"migration": "re-evaluate"})
    faults = bundle_faults([again], BUNDLE.tables.values())
    assert "/rules/0/migration" in [fault.pointer for fault in faults]


def test_the_sentences_and_the_evidence() -> None:
    hand = turns(0, 10, 11, 12, 13, 14, many=15)
    raised, cleared = [c for c in hand.changes(until=400) if c.rule == RULE]
    assert raised.message.en == "T1: Openings of the door do not show in the nearest sensor"
    assert cleared.message.en.endswith("; openings show in its values again, or it is no longer that door's sensor")
    assert cleared.message.zh.endswith("；开门后数值已恢复可见变化，或该测点不再对应此门")
    many, newest = raised.evidence.leaves
    assert (many.expr, many.left, many.op, many.right, many.verdict) == (
        "of the last 10 openings without a change of 0.2 within 10m", 9.0, ">=", 9.0, "true",
    )  # fmt: skip
    at = format_instant(ms(opened(9)))
    assert (newest.expr, newest.left, newest.op, newest.right, newest.verdict) == (
        f"change within 10m of the opening at {at}", 0.0, ">=", 0.2, "false",
    )  # fmt: skip
    many, newest = cleared.evidence.leaves
    assert (many.left, many.op, many.right, many.verdict) == (5.0, "<=", 5.0, "false")
    assert (newest.left, newest.verdict) == (0.2, "true")
    assert raised.evidence.recurrence == 9
    batches = [one.id for one in raised.evidence.records if one.kind == "events"]
    assert batches == ["e4", "e28"], "of the first that is absent and of the one that decided"
    assert (raised.severity.value, raised.late, cleared.evidence.recurrence) == ("blue", False, 5)


def test_told_hours_later_the_alarm_is_late() -> None:
    hand = turns(many=9)
    minutes = [180 + k for k in range(ROUND)]
    hand.rows(200, ("T1", minutes, [5.0] * ROUND))
    door(hand, 600, said=opened(9))
    (raised,) = [c for c in hand.changes(until=700) if c.rule == RULE]
    assert (since(raised.start), since(raised.received), raised.late) == (opened(9), 601, True)


def explained(hand: HandLog, at: float) -> tuple[RareExplanation, str]:
    (one,), _ = explain(hand.records(), BUNDLE, RULE, at=ms(at))
    assert one.agrees
    return one, "\n".join(rare_lines(one, "both"))  # type: ignore[arg-type]  # of a rare rule


def test_it_is_explained() -> None:
    hand = turns(1, many=3)
    door(hand, 62)
    door(hand, 62.5, "closed")
    door(hand, 70)
    door(hand, 71)
    door(hand, 71.1, said=70)
    one, text = explained(hand, 72)
    fates = [
        "untraced",
        "heard",
        "traced",
        "heard",
        "untraced",
        "heard",
        "awaited",
        "heard",
        "awaited",
        "awaited",
        "again",
    ]
    assert [event.fate for event in one.events] == fates
    assert "not all judged: awaited until" not in text
    assert "the sensor changes by 0.2 within 10m" in text
    assert "10m 内测点数值变化达到 0.2" in text
    assert "counted: the values do not show it" in text
    assert one.phase == "pending"
    seen = {leaf.name: None if seen is None else seen.verdict.value for leaf, seen in one.leaves}
    assert seen == {
        "first.event": "true",
        "first.state": "true",
        "lasts": "true",
        "trace": "false",
        "absent": "unknown",
    }
    one, text = explained(hand, 90)
    assert [event.fate for event in one.events[-5:]] == ["uncounted", "heard", "uncounted", "uncounted", "again"]
    numbers = {number["name"]: number["value"] for number in one.numbers()}
    assert numbers == {"lasts": "1m", "within": "10m", "change": 0.2, "last": 10, "absent": 9, "clear": 5}


def test_an_alarm_and_what_does_not_watch_are_explained() -> None:
    one, text = explained(turns(), 300)
    assert one.phase == "active"
    assert "it fired: blue since" in text
    assert "officer" not in text
    assert {leaf.name: seen and seen.verdict.value for leaf, seen in one.leaves}["absent"] == "true"
    cleared, text = explained(turns(0, 10, 11, 12, 13, 14, many=15), 400)
    assert cleared.phase == "normal"
    assert "the last alarm ended at" in text
    (one,), _ = explain(turns(hand=register(sensor())).records(), BUNDLE, RULE, at=ms(300))
    assert not one.events  # type: ignore[union-attr]  # of a rare rule


def test_behind_a_saved_state_what_came_before_it_is_named_as_kept() -> None:
    hand = turns()
    records = hand.records()
    whole, engine = books(hand), Engine(BUNDLE)
    for record in records[:20]:
        engine.fold(record)
    second = Engine(BUNDLE)
    second.restore_partition(0, engine.partition_state(0))
    second.restore(0, FACILITY, engine.snapshot(0, FACILITY))
    for record in records[20:]:
        second.fold(record)
    assert second.snapshot(0, FACILITY) == whole.snapshot(0, FACILITY)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"then": rule().first}, "/then"),
        ({"before": True}, "/before"),
        ({"alarm": "cold-chain.store-out"}, "/alarm"),
        ({"silent": 61 * SECOND}, "/silent"),
        ({"allowed": 61 * SECOND}, "/allowed"),
        ({"trace": {"ends": rule().first}}, "/trace/ends"),
        ({"trace": {"lasts": 601 * SECOND}}, "/trace/lasts"),
        ({"trace": {"absent": 11}}, "/trace/absent"),
        ({"trace": {"clear": 9}}, "/trace/clear"),
    ],
)
def test_what_contradicts_itself_is_a_fault(change: dict[str, Any], pointer: str) -> None:
    trace = rule().trace
    assert trace is not None
    if isinstance(change.get("trace"), dict):
        change = {"trace": trace.model_copy(update=change["trace"])}
    spoiled = rule().model_copy(update=change)
    others = [one for one in BUNDLE.rules if one.id != RULE]
    assert f"/rules/0{pointer}" in [f.pointer for f in bundle_faults([spoiled, *others], BUNDLE.tables.values())]


def test_at_their_bounds_the_numbers_are_sound() -> None:
    trace = rule().trace
    assert trace is not None
    edge = trace.model_copy(update={"lasts": 600 * SECOND, "absent": 10, "clear": 9})
    assert bundle_faults([rule().model_copy(update={"trace": edge})], BUNDLE.tables.values()) == []


@pytest.mark.parametrize("name", ["first", "within", "trace"])
def test_a_rule_without_one_of_them_is_refused(name: str) -> None:
    body = rule().model_dump(mode="json", by_alias=True, exclude_none=True)
    del body[name]
    with pytest.raises(ValidationError):
        TypeAdapter(Rule).validate_python(body)
