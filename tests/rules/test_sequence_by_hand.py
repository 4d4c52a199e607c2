"""Numbers of feeds by hand, in minutes: what is missing and for how long, what contradicts time, what a restart explains, what is kept."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from rules.changes import alarm_id
from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.rare import feeds, sequence
from rules.rare.sequence import group_of
from rules.snapshot import open_snapshot
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since

RULE = "data-integrity.sequence"
ONLY = BUNDLE.only({RULE})
WAIT, HOUR = 2880, 60
READINGS, PLC = {"feed": "readings"}, {"feed": "events PLC"}
Told = list[tuple[str, float | None, float | None]]


def log(**facts: Any) -> HandLog:
    return HandLog().register(-1, sensor(), sensor("T2"), **facts)


def post(hand: HandLog, at: float, number: int | None, *minutes: float, tags: tuple[str, ...] = ("T1",)) -> HandLog:
    """Append a batch that is received at `at`, of these minutes or of half a minute before."""
    times = [ms(t) for t in minutes or (at - 0.5,)]
    series = [{"tag": tag, "time": times, "value": [5.0] * len(times)} for tag in tags]
    more = {} if number is None else {"seq": number}
    return hand.line(at, "readings", {"batch": f"b{len(hand.lines)}", "series": series, **more})


def event(
    hand: HandLog, at: float, number: int | None, t: float | None = None, *, kind: str = "door", **more: Any
) -> HandLog:
    """Append an event of the PLC, in a batch of its own."""
    said = {"stream": "device", "type": kind, "time": ms(at if t is None else t), "source": "PLC", **more}
    said |= {} if number is None else {"seq": number}
    return hand.line(at, "events", {"batch": f"e{len(hand.lines)}", "events": [said]})


def heard(hand: HandLog, begin: int, end: int, every: int = 50) -> HandLog:
    """Append events without a number."""
    for at in range(begin, end, every):
        event(hand, at, None, source="OTHER")
    return hand


def told(hand: HandLog, subject: dict[str, str], until: float | None = None) -> Told:
    found = hand.changes(until=until, bundle=ONLY)
    return [(c.change.value, since(c.start), since(c.received)) for c in found if c.subject == subject]


def order(feed: dict[str, str]) -> dict[str, str]:
    return feed | {"case": "order"}


def engine_of(hand: HandLog) -> Engine:
    engine = Engine(ONLY)
    for record in hand.records():
        engine.fold(record)
    return engine


# -- what is missing ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("silence", "more"), [(60, 0), (61, 61), (300, 300)])
def test_a_silence_of_the_whole_facility_above_an_hour_is_no_time_to_wait(silence: int, more: int) -> None:
    hand = heard(post(post(log(), 0, 1), 10, 4), 50, 1000)
    heard(hand, 950 + silence, 4000)
    assert told(hand, READINGS) == [("raised", 10, 10 + WAIT + more)]


def test_each_silence_is_taken_out_of_the_wait() -> None:
    hand = heard(heard(heard(post(post(log(), 0, 1), 10, 4), 50, 101), 200, 301), 500, 6000)
    assert told(hand, READINGS) == [("raised", 10, 10 + WAIT + 100 + 200)]


def test_within_a_silence_nothing_is_overdue() -> None:
    hand = heard(post(post(log(), 0, 1), 10, 4), 50, 2851)
    assert told(hand, READINGS, until=9000) == [("raised", 10, 10 + WAIT)], "2850 is heard, 2890 within an hour of it"
    hand = heard(post(post(log(), 0, 1), 10, 4), 50, 2801)
    assert told(hand, READINGS, until=9000) == []
    assert told(heard(hand, 9000, 9201), READINGS) == [("raised", 10, 9000 + 90)], "what was left of the wait"


def test_the_start_moves_when_the_oldest_of_them_have_come() -> None:
    hand = heard(post(post(post(log(), 0, 1), 10, 4), 20, 6), 50, 3000)
    post(post(post(hand, 3000, 2, 5), 3001, 3, 6), 3002, 5, 15)
    assert told(hand, READINGS) == [
        ("raised", 10, 10 + WAIT), ("amended", 20, 3001), ("cleared", 20, 3002),
    ]  # fmt: skip


def test_what_comes_in_any_order_is_not_missing() -> None:
    hand = log()
    for i, number in enumerate([9, 3, 12, 10, 11, 5, 4, 6, 8, 7]):
        event(hand, 10 + i, number, number)
    heard(hand, 50, 3000)
    assert told(hand, PLC) == []
    assert told(hand, order(PLC)) == []


def test_numbers_of_series_that_nobody_registered_count() -> None:
    hand = heard(post(post(post(log(), 0, 1), 5, 2, tags=("T9",)), 10, 3), 50, 3000)
    assert told(hand, READINGS) == []


def test_an_event_that_comes_again_has_the_number_that_it_had() -> None:
    hand = event(event(log(), 0, 1), 10, 2)
    event(event(hand, 11, 2, 10), 12, 3)
    assert told(heard(hand, 50, 3000), PLC) == []


def test_an_officer_does_not_end_what_may_still_come() -> None:
    hand = heard(post(post(log(), 0, 1), 10, 4), 50, 3000)
    alarm = alarm_id(RULE, FACILITY, READINGS, ms(10))
    close(hand, 3000, alarm)
    assert [one[0] for one in told(hand, READINGS)] == ["raised"]


def close(hand: HandLog, at: float, alarm: str) -> HandLog:
    said = {"id": f"D{at}", "version": 1, "subject": {"alarm": alarm}, "code": "close-latched", "officer": "o-1",
            "revision_seen": 0, "reason_sha256": "0" * 64}  # fmt: skip
    return hand.line(at, "decision", said)


# -- what contradicts time ------------------------------------------------------------------------------------------
def test_a_recorder_that_is_read_out_later_contradicts_nobody_who_is_live() -> None:
    hand = log()
    for at in range(30):
        post(hand, at, 10 + at)
    post(hand, 30, 40, *range(29), tags=("T2",))
    assert told(hand, order(READINGS)) == []


def test_live_first_then_an_outage_in_pieces_from_either_end() -> None:
    for pieces in ([(31, 60), (61, 90)], [(61, 90), (31, 60)]):
        hand = post(log(), 30, 1, *range(31))
        post(hand, 100, 2, *range(91, 101))
        for i, (begin, end) in enumerate(pieces):
            post(hand, 101 + i, 3 + i, *range(begin, end + 1))
        assert told(hand, order(READINGS)) == []
    post(hand, 110, 5, *range(61, 81))
    assert told(hand, order(READINGS)) == [("raised", 110, 110)], "the same time told once more"


@pytest.mark.parametrize(("lo", "odd"), [(2, False), (3, True)])
def test_a_stretch_reaches_over_twice_the_time_between_posts(lo: int, odd: bool) -> None:
    """Posts a minute apart: what lies two minutes apart is one stretch, what lies farther leaves room between."""
    hand = post(post(log(), 1, 1, 0), 2 if odd else 3, 2, 2 if odd else 2.01)
    post(post(hand, 20, 3, 20), 21, 4, 1)
    assert bool(told(hand, order(READINGS))) is odd, lo


@pytest.mark.parametrize("ahead", [4, 40])
def test_a_fast_clock_that_is_put_right_contradicts_nothing(ahead: int) -> None:
    hand = event(event(log(), 10, 1, 10 + ahead), 11, 2, 11 + ahead)
    event(event(hand, 12, 3, 12), 13, 4, 13)
    assert told(hand, order(PLC)) == []
    hand = post(post(log(), 10, 1, 5, 10 + ahead), 11, 2, 11 + ahead)
    post(post(hand, 12, 3, 12), 13, 4, 13)
    assert told(hand, order(READINGS)) == []


def test_an_officers_decision_begins_anew() -> None:
    hand = event(event(log(), 100, 1), 110, 2, 90)
    alarm = alarm_id(RULE, FACILITY, order(PLC), ms(110))
    event(event(close(hand, 120, alarm), 121, 3, 91), 122, 4, 88)
    assert told(hand, order(PLC)) == [("raised", 110, 110), ("cleared", 110, 120), ("raised", 122, 122)]


def test_evidence_names_both_numbers_and_both_times() -> None:
    (raised,) = event(event(log(), 100, 1), 110, 2, 90).changes(bundle=ONLY)
    (leaf,) = raised.evidence.leaves
    assert leaf.expr == "number 2 of events PLC at 2026-02-28T17:30:00.000Z"
    assert (leaf.op, leaf.right) == (">", "1 at 2026-02-28T17:40:00.000Z")
    assert [(r.kind, r.id) for r in raised.evidence.records] == [("events", "e2"), ("register", "1")]
    (missing,) = heard(post(post(log(), 0, 1), 10, 4), 50, 3000).changes(bundle=ONLY)
    (leaf,) = missing.evidence.leaves
    assert (leaf.expr, leaf.left, leaf.right) == ("numbers missing of readings: 2-3", 2.0, "2d")
    assert missing.evidence.records[0].kind == "readings"


# -- restarts -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("at", "explained"), [(97.9, False), (98, True), (152, True), (152.1, False)])
def test_a_restart_lies_between_what_was_told_and_what_left_out(at: float, explained: bool) -> None:
    hand = event(event(log(), 100, 1), 150, 5)
    event(hand, 160, None, at, kind="restart")
    assert told(heard(hand, 170, 3100), PLC) == ([] if explained else [("raised", 150, 150 + WAIT)])


@pytest.mark.parametrize(("more", "explained"), [({}, False), ({"device": "PLC"}, True), ({"device": "UPS"}, False)])
def test_of_another_source_a_restart_explains_the_device_that_it_names(more: dict[str, str], explained: bool) -> None:
    hand = event(event(log(), 100, 1), 150, 5)
    event(hand, 160, None, 120, kind="restart", source="GW", **more)
    assert bool(told(heard(hand, 170, 3100), PLC)) is not explained


def test_any_restart_explains_readings() -> None:
    hand = post(post(log(), 100, 1), 150, 5)
    event(hand, 160, None, 120, kind="restart", source="GW")
    assert told(heard(hand, 170, 3100), READINGS) == []


def test_a_restart_never_excuses_a_clock_that_goes_back() -> None:
    hand = event(event(log(), 100, 1), 110, 2, 90)
    event(hand, 111, None, 89, kind="restart")
    assert told(hand, order(PLC)) == [("raised", 110, 110)]


def test_what_was_missing_before_numbers_began_anew_is_missed_still() -> None:
    hand = event(heard(event(event(log(), 0, 500), 10, 503), 50, 100), 100, None, 100, kind="restart")
    for i in range(1, 60):
        event(hand, 100 + i * 50, i)
    assert told(hand, PLC) == [("raised", 10, 10 + WAIT)]
    event(event(hand, 3100, 501, 4), 3101, 502, 5)
    assert told(hand, PLC)[1:] == [("cleared", 10, 3101)]
    assert told(hand, order(PLC)) == []


def test_a_number_of_the_new_run_is_not_one_that_the_old_run_misses() -> None:
    hand = event(heard(event(event(log(), 0, 5), 10, 8), 50, 100), 100, None, 100, kind="restart")
    for i in range(1, 60):
        event(hand, 100 + i * 50, i)
    assert told(hand, PLC) == [("raised", 10, 10 + WAIT)], "6 and 7 came anew, and 6 and 7 are missing"


def test_stored_events_of_the_run_before_leave_nothing_out() -> None:
    hand = event(event(event(log(), 0, 500), 100, None, 100, kind="restart"), 110, 1)
    event(event(event(hand, 120, 501, 20), 121, 503, 40), 122, 2)
    assert told(heard(hand, 150, 3200), PLC) == []
    assert told(hand, order(PLC)) == []


# -- what is kept ---------------------------------------------------------------------------------------------------
def test_where_nobody_numbers_nothing_is_kept_and_a_snapshot_has_no_member() -> None:
    hand = heard(post(log(), 0, None), 10, 100)
    body, _ = open_snapshot(engine_of(hand).snapshot(0, FACILITY))
    assert "feeds" not in {name for name in body.__struct_fields__ if isinstance(getattr(body, name), list)}
    post(hand, 110, 1)
    body, _ = open_snapshot(engine_of(hand).snapshot(0, FACILITY))
    assert body.feeds == [(RULE, "readings", 1, ms(109.5), -1, -1, [
        (group_of(("T1",)), 1, ms(109.5), ms(109.5), [(ms(109.5), ms(109.5))])], [])]  # fmt: skip


def test_a_number_beyond_what_json_holds_is_none() -> None:
    assert engine_of(event(log(), 0, 1 << 53)).state_of(FACILITY).rare.feeds == {}
    assert len(engine_of(event(log(), 0, (1 << 53) - 1)).state_of(FACILITY).rare.feeds) == 1


def test_a_year_of_posts_is_one_stretch_and_one_front() -> None:
    hand = log()
    for i in range(300):
        post(hand, i, i)
    (feed,) = engine_of(hand).state_of(FACILITY).rare.feeds.values()
    (front,) = feed.fronts.values()
    assert (feed.highest, front.number, front.stretches) == (299, 299, [(ms(-0.5), ms(298.5))])


def test_every_bound_is_counted_by_name() -> None:
    hand = log()
    for i in range(4):
        event(hand, i, 10 * i)  # three spans
        event(hand, i, 1, source=f"S{i}")
        event(hand, i, None, i, kind="restart", source="PLC")
        post(hand, i, i, 100.0 * i - 400, tags=("T1",))
        post(hand, i, 4 + i, tags=("T2",))
    with patch.multiple(feeds, MAX_FRONTS=1, MAX_STRETCHES=2, MAX_RESTARTS=2), patch.multiple(sequence, MAX_GAPS=2):
        counts = engine_of(hand).counters(0, FACILITY)
    names = ("front_dropped", "restart_dropped")
    assert all(counts[name] > 0 for name in names), counts
    with patch.multiple(feeds, MAX_STRETCHES=2), patch.multiple(sequence, MAX_GAPS=2):
        hand = log()
        for i in range(6):
            post(hand, 10 * i, 2 * i)
        counts = engine_of(hand).counters(0, FACILITY)
    assert (counts["stretch_dropped"], counts["gap_dropped"]) == (4, 3)


def test_a_feed_of_which_nothing_is_missing_makes_room_and_no_other() -> None:
    hand = event(event(log(), 0, 1), 1, 3)
    event(event(hand, 2, 1, source="S1"), 3, 1, source="S2")
    with patch.object(sequence, "MAX_FEEDS", 2):
        engine = engine_of(hand)
        assert [name for _, name in engine.state_of(FACILITY).rare.feeds] == ["events PLC", "events S2"]
        assert engine.counters(0, FACILITY)["feed_dropped"] == 1
        event(hand, 4, 5, source="S2")
        event(hand, 5, 1, source="S3")
        assert engine_of(hand).counters(0, FACILITY)["feed_left_out"] == 1


def test_a_rule_that_goes_and_comes_again_counts_from_what_comes_then() -> None:
    hand = post(post(log(), 0, 1), 10, 4)
    hand.packs(20, BUNDLE.only({"data-integrity.gap"})).packs(30, ONLY)
    post(post(hand, 40, 2), 50, 3)
    assert told(heard(hand, 60, 3000), READINGS) == []
    assert engine_of(hand).state_of(FACILITY).rare.feeds[RULE, "readings"].highest == 3


# -- explained ------------------------------------------------------------------------------------------------------
def test_an_explanation_says_what_is_awaited_and_since_when_it_counts() -> None:
    hand = heard(post(post(log(), 0, 1), 10, 4), 50, 100)
    found = {tuple(one.subject): one for one in explain(hand.records(), ONLY, RULE, at=ms(100))[0]}
    one = found[("feed",)]
    assert [(event.fate, event.event["seq"]) for event in one.events] == [("heard", 1), ("awaited", 4)]
    assert (one.phase, one.agrees, since(one.awaited.decided if one.awaited else None)) == ("pending", True, 10 + WAIT)
    verdicts = {leaf.name: None if seen is None else seen.verdict.value for leaf, seen in one.leaves}
    assert verdicts == {"number": "true", "order": "false", "gap": "true", "waited": "false", "restart": "false"}
    assert [(n["name"], n["value"]) for n in one.numbers()] == [("wait", "2d"), ("apart", "2m"), ("silent", "1h")]
    heard(hand, 100, 3000)
    one = explain(hand.records(), ONLY, RULE, at=ms(3000))[0][0]
    assert [event.fate for event in one.events] == ["heard", "occasion"]
    said = "\n".join(rare_lines(one, "zh"))
    assert "已报警：橙色" in said
    assert "须由监管人员" not in said


def test_what_contradicts_time_stands_until_a_decision_and_says_so() -> None:
    hand = event(event(log(), 100, 1), 110, 2, 90)
    (one,) = [e for e in explain(hand.records(), ONLY, RULE, at=ms(200))[0] if "case" in e.subject]
    assert "it stands until an officer's decision" in "\n".join(rare_lines(one, "en"))
    assert [event.fate for event in one.events] == ["heard", "occasion"]
    close(hand, 210, alarm_id(RULE, FACILITY, order(PLC), ms(110)))
    (one,) = [e for e in explain(hand.records(), ONLY, RULE, at=ms(220))[0] if "case" in e.subject]
    assert [event.fate for event in one.events] == ["heard", "done"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"wait": None}, "/wait"), ({"apart": None}, "/apart"), ({"silent": 49 * 3_600_000}, "/silent"),
     ({"back": 60_000}, "/back"), ({"ahead": 60_000}, "/ahead"),
     ({"applies_to": {"area.kind": ["cold-room"]}}, "/applies_to/area.kind"),
     ({"applies_to": {"sensor.quantity": "temperature"}}, "/applies_to/sensor.quantity")],
)  # fmt: skip
def test_a_rule_that_could_mean_nothing_is_refused(change: dict[str, Any], pointer: str) -> None:
    shipped = BUNDLE.rule(RULE)
    assert shipped is not None
    assert bundle_faults([shipped], []) == []
    assert f"/rules/0{pointer}" in [f.pointer for f in bundle_faults([shipped.model_copy(update=change)], [])]


def test_numbers_belong_to_no_other_check() -> None:
    other = BUNDLE.rule("data-integrity.late-evidence")
    assert other is not None
    faults = bundle_faults([other.model_copy(update={"wait": 60_000, "apart": 60_000})], [])
    assert [fault.pointer for fault in faults] == ["/rules/0/wait", "/rules/0/apart"]
