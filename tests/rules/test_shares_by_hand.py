"""Marked time of a month, by hand, in minutes from 2026-03-01 in China: what counts, what does not, and what is kept of it.

March has 744 hours: 8 % of it are 59.52 h, 10 % are 74.4 h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import msgspec
import pytest

from rules.changes import alarm_id
from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.rare import share, store
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since
from tests.rules.test_snapshot import body_of

if TYPE_CHECKING:
    from rules.pack import Bundle

RULE = "data-integrity.mark-share"
HOUR, DAY = 60, 1440
MONTH = 31 * DAY
ONLY = BUNDLE.only({RULE})
FULL = (5.0, "fault")


def log(at: float = -1, *sensors: dict[str, Any], **facts: Any) -> HandLog:
    return HandLog().register(at, *(sensors or (sensor(interval="1h"),)), **facts)


def flagged(hand: HandLog, at: float, hours: list[float], quality: str = "fault", tag: str = "T1") -> HandLog:
    """Append a batch of rows that the device flagged, at these hours."""
    return hand.rows(at, (tag, [HOUR * hour for hour in hours], [(5.0, quality)] * len(hours)))


def told(hand: HandLog, until: float = MONTH, bundle: Bundle = ONLY) -> list[tuple[Any, ...]]:
    changes = [c for c in hand.changes(until=until, bundle=bundle) if c.rule == RULE]
    return [(since(c.received), c.change.value, c.severity.value, since(c.start), since(c.end)) for c in changes]


def engine_of(hand: HandLog, bundle: Bundle = ONLY, until: float | None = None) -> Engine:
    engine = Engine(bundle)
    for record in hand.records():
        engine.fold(record)
    if until is not None:
        engine.advance(0, ms(until))
    return engine


def spans_of(engine: Engine) -> list[tuple[float | None, float | None]]:
    cases = engine.state_of(FACILITY).rare.of(RULE)
    return [(since(fact.t), since(fact.received)) for case in cases.values() for fact in case.facts]


def marked(engine: Engine) -> list[float]:
    """Return the marked minutes that the newest judgement found."""
    return [one.marked / 60_000 for one in engine.state_of(FACILITY).rare.judged[RULE].values()]


def test_a_facility_without_marks_or_flagged_rows_has_no_member_for_it_and_the_same_bytes_but_for_the_packs():
    hand = log().live(
        "T1", 0, [5, 5.1, (5.2, "over_limit"), (5.2, "uncertain"), (1, "comms"), (1, "set_value")], every=HOUR
    )
    hand.mark(7 * HOUR, "comms", 0).tick(3 * DAY)
    engine = engine_of(hand, until=40 * DAY)
    body = body_of(engine.snapshot(0, FACILITY))
    assert "rare" not in body
    assert engine.state_of(FACILITY).rare.due > ms(10_000 * DAY)
    plain = body_of(engine_of(hand, BUNDLE.only({"data-integrity.conflict"})).snapshot(0, FACILITY))
    assert {k: v for k, v in body.items() if k != "packs"} == {k: v for k, v in plain.items() if k != "packs"}


def test_nothing_is_due_any_more_once_the_new_month_was_judged_and_nothing_is_kept():
    hand = flagged(log().mark(5, "fault", 0, 60 * HOUR), 10 * HOUR, [1, 2, 3])
    assert told(hand, 40 * DAY) == [
        (3 * DAY + 1, "raised", "blue", 0, None),
        (32 * DAY + 1, "cleared", "blue", 0, 32 * DAY + 1),
    ]
    rare = engine_of(hand, until=40 * DAY).state_of(FACILITY).rare
    assert rare.checked == {}
    assert spans_of(engine_of(hand, until=40 * DAY)) == []
    before = engine_of(hand, until=32 * DAY).state_of(FACILITY).rare
    assert before.checked == {RULE: ms(32 * DAY + 1)}


def test_a_series_that_never_spoke_is_forgotten_with_its_month():
    hand = flagged(log(), 10 * HOUR, [1, 2, 3])
    assert spans_of(engine_of(hand, until=31 * DAY + 2)) == [(60, 180)]
    engine = engine_of(hand, until=32 * DAY + 1)
    assert engine.state_of(FACILITY).rare.pack() == store.NOTHING


@pytest.mark.parametrize(("gap", "minutes"), [(90, 150), (90 + 1 / 60_000, 120)])
def test_flagged_rows_stand_for_the_time_between_them_up_to_one_and_a_half_intervals(gap, minutes):
    hand = flagged(log(), 5 * HOUR, [1, 1 + gap / HOUR])
    assert marked(engine_of(hand, until=2 * DAY)) == [minutes]


def test_a_row_between_two_spans_makes_them_one_whenever_it_comes():
    hand = flagged(log(), 12 * HOUR, [1, 2, 4, 5])
    assert spans_of(engine_of(hand)) == [(60, 120), (240, 300)]
    flagged(hand, 20 * HOUR, [3])
    engine = engine_of(hand, until=2 * DAY)
    assert spans_of(engine) == [(60, 300)]
    assert marked(engine) == [300]


def test_rows_that_come_one_by_one_and_in_a_batch_are_one_span():
    hand = flagged(flagged(flagged(log(), 1.5 * HOUR, [1]), 2.5 * HOUR, [2]), 5 * HOUR, [3, 4])
    assert spans_of(engine_of(hand)) == [(60, 240)]


def test_an_interval_that_is_registered_later_says_nothing_of_rows_from_before():
    hand = flagged(log(-1, sensor(interval=None)), 0.5 * HOUR, [0.4]).register(
        0.8 * HOUR, sensor(interval="1h"), version=2
    )
    assert spans_of(engine_of(flagged(hand, 1.5 * HOUR, [1]))) == [(0, 0), (60, 60)]


def test_a_row_that_is_stale_or_again_or_under_a_mark_counts_and_a_repeated_batch_does_not_count_twice():
    hand = log().rows(23 * HOUR, ("T1", [22 * HOUR], [5.0]))
    flagged(
        hand, 23 * HOUR + 1, [1, 22]
    )  # two hours of rows are the horizon: the first is stale, the second a duplicate
    counts = engine_of(hand).counters(0, FACILITY)
    assert (counts["stale"], counts["duplicate"]) == (1, 1)
    assert spans_of(engine_of(hand)) == [(60, 60), (22 * HOUR, 22 * HOUR)]
    again = engine_of(flagged(flagged(hand, 23 * HOUR + 2, [1, 22]), 23 * HOUR + 3, [1, 22]), until=2 * DAY)
    assert marked(again) == [120]
    hand.rows(24 * HOUR, ("T1", [23 * HOUR], [FULL]), batch="x").rows(24 * HOUR, ("T1", [20 * HOUR], [FULL]), batch="x")
    assert marked(engine_of(hand, until=2 * DAY)) == [180]


def test_good_rows_under_a_mark_are_no_rows_that_the_device_flagged():
    hand = log().mark(1, "fault", 0, 10 * HOUR).live("T1", HOUR, [5.0] * 4, every=HOUR)
    hand.mark(6 * HOUR, "fault", 0, HOUR, revision=2)
    engine = engine_of(hand, until=2 * DAY)
    assert spans_of(engine) == []
    assert marked(engine) == [60]


@pytest.mark.parametrize(
    ("quality", "counts"),
    [
        ("maintenance", True),
        ("calibration", True),
        ("fault", True),
        ("stopped", False),
        ("set_value", False),
        ("comms", False),
    ],
)
def test_the_flags_of_the_rule_count(quality, counts):
    assert spans_of(engine_of(flagged(log(), 5 * HOUR, [1], quality))) == ([(60, 60)] if counts else [])


@pytest.mark.parametrize(
    ("at", "t", "kept"),
    [(10, 15, True), (10, 15 + 1 / 60_000, False), (DAY + 1, 0, True), (31 * DAY + 0.9, 0, True), (32 * DAY + 0.9, 0, True),
     (32 * DAY + 1, MONTH - 1 / 60_000, False), (32 * DAY + 1, MONTH, True)],
)  # fmt: skip
def test_rows_of_the_future_and_of_months_that_are_judged_no_more_are_not_kept(at, t, kept):
    hand = log(-2 * DAY).rows(at, ("T1", [t], [FULL]))
    assert len(spans_of(engine_of(hand))) == kept


def test_rows_of_unknown_tags_are_nothing():
    assert spans_of(engine_of(flagged(log(), 5 * HOUR, [1], tag="T9"))) == []


def test_what_lies_before_the_registration_does_not_count_and_the_month_is_whole_all_the_same():
    hand = log().register(2 * DAY, sensor(interval="1h"), sensor("T2"), version=2)
    hand.mark(2 * DAY + 1, "fault", 0, tags=["T2"])
    assert marked(engine_of(hand, until=4 * DAY + 1)) == [2 * DAY]
    assert told(hand, 5 * DAY) == []
    assert told(hand, 5 * DAY + 1) == [(5 * DAY + 1, "raised", "blue", 0, None)]  # 72 h, of 744 h


def test_a_sensor_that_moves_has_the_marks_of_an_area_while_it_stands_in_it():
    hand = log(-1, sensor(interval="1h"), sensor("T2", "A2"))
    hand.mark(1, "fault", 0, area="A2").register(DAY, sensor("T1", "A2"), sensor("T2", "A2"), version=2)
    assert marked(engine_of(hand, until=4 * DAY + 1)) == [3 * DAY, 4 * DAY]


def test_another_interval_holds_for_what_comes_from_then_on():
    hand = flagged(log(), 5 * HOUR, [1, 2]).register(6 * HOUR, sensor(interval="10m"), version=2)
    flagged(hand, 7 * HOUR, [3, 3.25, 3.51])  # 15 min are one and a half intervals, 15.6 are more
    engine = engine_of(hand, until=2 * DAY)
    assert spans_of(engine) == [(60, 120), (180, 195), (210.6, 210.6)]
    assert marked(engine) == [60 + 10 + 15 + 10 + 10]


def test_without_a_registered_interval_one_day_with_rows_is_kept_whatever_their_number():
    hand = flagged(log(-1, sensor(interval=None)), 30 * HOUR, [1, 2, 3, 23.9, 24, 29])
    flagged(hand, 31 * HOUR, [5, 30])
    assert spans_of(engine_of(hand)) == [(0, 0), (DAY, DAY)]


def test_a_register_version_has_the_month_judged_by_what_is_known_now():
    hand = log().mark(1, "fault", 0, 60 * HOUR).mark(4 * DAY, "fault", 0, 1, revision=2)
    hand.register(4 * DAY + 5, sensor(interval="1h"), version=2)
    assert told(hand, 4 * DAY + 6) == [
        (3 * DAY + 1, "raised", "blue", 0, None), (4 * DAY + 1, "cleared", "blue", 0, 4 * DAY + 1)
    ]  # fmt: skip
    hand = log().mark(3 * DAY + 2, "fault", 0, 60 * HOUR).register(3 * DAY + 5, sensor(interval="1h"), version=2)
    assert told(hand, 3 * DAY + 6) == [(3 * DAY + 5, "raised", "blue", 0, None)]


def test_a_sensor_that_leaves_ends_its_alarm_and_packs_without_the_rule_end_it_too():
    hand = log().mark(1, "fault", 0, 60 * HOUR, tags=["T1", "T2"]).register(4 * DAY, sensor("T2"), version=2)
    assert told(hand, 4 * DAY + 6)[:2] == [
        (3 * DAY + 1, "raised", "blue", 0, None), (4 * DAY, "cleared", "blue", 0, 4 * DAY)
    ]  # fmt: skip
    hand = (
        log().mark(1, "fault", 0, 60 * HOUR).packs(4 * DAY, BUNDLE.only({"register.sensor-count"})).packs(5 * DAY, ONLY)
    )
    changes = [c for c in hand.changes(until=5 * DAY, bundle=ONLY) if c.rule == RULE]
    assert [(c.change.value, since(c.received)) for c in changes] == [
        ("raised", 3 * DAY + 1), ("cleared", 4 * DAY), ("raised", 5 * DAY)
    ]  # fmt: skip
    assert changes[2].alarm == alarm_id(RULE, FACILITY, {"tag": "T1"}, ms(0), 2)


def test_an_alarm_that_falls_back_below_a_tenth_is_blue_again():
    hand = log().mark(1, "fault", 0, 75 * HOUR).mark(4 * DAY + 5, "fault", 0, 70 * HOUR, revision=2)
    assert [row[:3] for row in told(hand, 6 * DAY)] == [
        (3 * DAY + 1, "raised", "blue"), (4 * DAY + 1, "stepped", "yellow"), (5 * DAY + 1, "stepped", "blue")
    ]  # fmt: skip


def test_an_alarm_whose_month_is_unknown_by_now_ends_with_the_new_month_all_the_same():
    hand = log(-1, sensor(interval=None)).mark(1, "fault", 0, 60 * HOUR)
    hand.rows(31 * DAY + 5, ("T1", [31 * DAY + 5], [FULL]))
    assert [row[1] for row in told(hand, 40 * DAY)] == ["raised", "cleared"]


def test_a_mark_that_comes_on_the_last_day_of_the_month_is_in_its_last_judgement():
    hand = log().mark(30 * DAY + 5, "fault", 0, 60 * HOUR)
    assert told(hand, 40 * DAY) == [
        (31 * DAY + 1, "raised", "blue", 0, None), (32 * DAY + 1, "cleared", "blue", 0, 32 * DAY + 1)
    ]  # fmt: skip


@pytest.mark.parametrize(("t", "change"), [(4 * DAY + 0.2, "cleared"), (4 * DAY - 0.2, "unknown")])
def test_rows_of_the_day_that_begins_with_the_judged_midnight_say_nothing_yet(t, change):
    hand = log(-1, sensor(interval=None)).mark(1, "fault", 0, 60 * HOUR).mark(3 * DAY + 5, "fault", 0, 1, revision=2)
    hand.rows(4 * DAY + 0.5, ("T1", [t], [FULL]))
    assert [row[:2] for row in told(hand, 4 * DAY + 2)] == [(3 * DAY + 1, "raised"), (4 * DAY + 1, change)]


def test_a_batch_of_many_scattered_rows_is_kept_within_the_bound():
    hand = flagged(log(), 200 * HOUR, [2 * hour for hour in range(100)])
    engine = engine_of(hand)
    assert spans_of(engine) == [(120 * hour, 120 * hour) for hour in range(36, 100)]
    assert engine.counters(0, FACILITY)["fact_dropped"] == 36


def test_evidence_names_the_marks_that_count_with_the_share_and_the_bound():
    hand = log().mark(1, "fault", 0, 50 * HOUR).mark(2, "maintenance", 40 * HOUR, 70 * HOUR, name="M-0", area="A1")
    hand.mark(3, "stopped", 0, 9, name="M-2").mark(4, "fault", -9, -8, name="M-3").mark(
        5, "fault", 0, 9, name="M-4", tags=["T2"]
    )
    (change,) = [c for c in hand.changes(until=4 * DAY, bundle=ONLY) if c.rule == RULE]
    assert change.evidence.marks == ["M-1/1", "M-0/1"]
    (leaf,) = change.evidence.leaves
    assert (leaf.expr, leaf.left, leaf.op, leaf.right, leaf.unit) == (
        "marked share of the month from 2026-03-01", 9.4086, ">=", 8.0, "%"
    )  # fmt: skip
    assert change.message.en == "T1: Too much of the month is marked"
    assert (change.at, since(change.received)) == (change.received, 3 * DAY + 1)
    with patch("rules.rare.speak.LISTED", 1):
        (change,) = [c for c in hand.changes(until=4 * DAY, bundle=ONLY) if c.rule == RULE]
    assert (change.evidence.marks, change.evidence.left_out) == (["M-0/1"], {"marks": 1})


def test_messages_say_why_it_ended():
    hand = log(-1, sensor(interval=None)).mark(1, "fault", 0, 60 * HOUR).mark(4 * DAY, "fault", 0, 1, revision=2)
    flagged(hand, 4 * DAY + 0.5, [90])
    said = [c.message for c in hand.changes(until=33 * DAY, bundle=ONLY) if c.rule == RULE]
    assert "no interval is registered" in said[1].en
    assert "未登记采样间隔" in said[1].zh
    assert "known again" in said[2].en
    assert "a new month" in said[3].en
    assert "新的月份" in said[3].zh


def test_the_oldest_span_goes_where_there_are_too_many_and_is_counted():
    hand = flagged(log(), 20 * HOUR, [1, 4, 7, 10])
    with patch.object(share, "MAX_SPANS", 3):
        engine = engine_of(hand)
    assert spans_of(engine) == [(240, 240), (420, 420), (600, 600)]
    assert engine.counters(0, FACILITY)["fact_dropped"] == 1


def test_a_series_is_left_out_where_there_are_too_many_and_is_counted():
    hand = log(-1, sensor(interval="1h"), sensor("T2", interval="1h"))
    flagged(hand.mark(1, "fault", 0, 60 * HOUR), 3 * DAY + 2, [1], tag="T1")
    flagged(hand, 3 * DAY + 3, [1], tag="T2")
    with patch.object(share, "MAX_CHECKED", 1):
        engine = engine_of(hand)
    assert spans_of(engine) == [(60, 60)]  # an alarm stands of the first
    assert engine.counters(0, FACILITY)["event_left_out"] == 1


def test_an_explanation_shows_what_was_found_last_and_when_it_is_judged_again():
    hand = log().mark(1, "fault", 0, 60 * HOUR)
    (one,) = explain(hand.tick(3 * DAY + 5).records(), BUNDLE, RULE, at=ms(3 * DAY + 5))[0]
    assert (one.phase, one.agrees, one.subject) == ("active", True, {"tag": "T1"})
    verdicts = {leaf.name: None if seen is None else seen.verdict.value for leaf, seen in one.leaves}
    assert verdicts == {"mark-share": "false", "notice": "true"}
    said = one.to_json()
    assert said["differs"]["changes"] == "2026-03-04T16:01:00.000Z"
    assert [(n["name"], n["value"]) for n in said["limits"]] == [
        ("flags", "maintenance, calibration, fault"), ("share", 0.1), ("notice", 0.08)
    ]  # fmt: skip
    english, chinese = "\n".join(rare_lines(one, "en")), "\n".join(rare_lines(one, "zh"))
    assert "marked share of the month from 2026-03-01: 8.06452 % >= 8 %" in english.replace("8.0645 ", "8.06452 ")
    assert "judged again at 2026-03-04T16:01:00.000Z" in english
    assert "已报警：蓝色" in chinese
    assert "notice: 当月标记时间达到 8 %" in chinese
    assert "下次判定时间" in chinese


def test_an_explanation_says_why_nothing_was_told():
    (one,) = explain(log().tick(5).records(), BUNDLE, RULE, at=ms(5))[0]
    assert "nothing was marked when it was judged last" in "\n".join(rare_lines(one, "en"))
    assert "最近一次判定时没有标记" in "\n".join(rare_lines(one, "zh"))
    hand = flagged(log(-1, sensor(interval=None)), 5 * HOUR, [1]).tick(DAY + 2)
    (one,) = explain(hand.records(), BUNDLE, RULE, at=ms(DAY + 2))[0]
    assert "rows are flagged, and no interval is registered" in "\n".join(rare_lines(one, "en"))
    (one,) = explain(log().mark(1, "fault", 0, 5).tick(DAY + 2).records(), BUNDLE, RULE, at=ms(DAY + 2))[0]
    assert one.agrees
    assert "=> it did not fire" in "\n".join(rare_lines(one, "en"))


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"flags": ["fault", "fault"]}, "/flags"), ({"share": 0.08}, "/notice/share"), ({"share": 0.05}, "/notice/share"),
     ({"migration": "re-evaluate"}, "/migration")],
)  # fmt: skip
def test_a_rule_that_could_mean_nothing_is_refused(change, pointer):
    shipped = BUNDLE.rule(RULE)
    assert bundle_faults([shipped], []) == []
    assert f"/rules/0{pointer}" in [f.pointer for f in bundle_faults([shipped.model_copy(update=change)], [])]


def test_a_notice_that_is_not_milder_is_refused():
    shipped = BUNDLE.rule(RULE)
    notice = shipped.notice.model_copy(update={"severity": shipped.severity.base})
    faults = bundle_faults([shipped.model_copy(update={"notice": notice})], [])
    assert "/rules/0/notice/severity" in [fault.pointer for fault in faults]


@pytest.mark.parametrize(
    ("day", "days"), [(0, 31), (30, 31), (31, 30), (-1, 28), (-60, 31), (305, 31), (306, 31), (336, 31), (337, 28)]
)
def test_months_are_those_of_china(day, days):
    for minute in (0, 1439.99):
        begin, end = share.month_of(ms(day * DAY + minute))
        assert (end - begin) / 86_400_000 == days
        assert begin <= ms(day * DAY + minute) < end
        assert share.midnight(begin) == begin


def test_nothing_of_a_judgement_is_in_a_snapshot():
    hand = log().mark(1, "fault", 0, 60 * HOUR)
    engine = engine_of(hand, until=3 * DAY + 2)
    data = engine.snapshot(0, FACILITY)
    engine.state_of(FACILITY).rare.judged.clear()
    assert engine.snapshot(0, FACILITY) == data
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(body_of(data)))["rare"][4] == [[RULE, ms(4 * DAY + 1)]]


def test_a_judgement_that_fails_puts_the_rule_aside_and_nothing_else():
    hand = log().mark(1, "fault", 0, 60 * HOUR)
    with patch.object(share, "shares", side_effect=ZeroDivisionError):
        engine = engine_of(hand)
        told_of = engine.advance(0, ms(5 * DAY))
    assert [(change.rule, change.subject) for change in told_of] == [("register.rule-failed", {"system": RULE})]
    assert engine.state_of(FACILITY).rare.checked == {}
    assert engine.advance(0, ms(40 * DAY)) == []
