"""Kinds `limit` and `cumulative` during a trip by hand, in minutes: what a trip is, what its rows say, what comes late, what an officer ends, and every bound."""

# Above 400 lines on purpose: one box on its way, and each case reads beside the next.

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from rules.declared import LONGEST_MS, MAX_LOTS, MAX_TRIPS, Declared, Place, Trip
from rules.engine import Engine
from rules.explain import Explanation, explain
from rules.explaintext import lines
from rules.kinds import during, exposure
from rules.layout import DURING
from rules.pack import Bundle, default_bundle
from rules.snapshot import open_snapshot
from rules.soundness import bundle_faults
from tests.rules import sums, triplogs
from tests.rules.byhand import FACILITY, HandLog, ms, since

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.changes import Change

HOT, FREEZE = "cold-chain.ship-hot", "cold-chain.ship-freeze"
WARM, COOL = "cold-chain.ship-warm", "cold-chain.ship-cool"
SHIPPED = default_bundle().only({HOT, FREEZE, "data-integrity.physical-range"})
SUMS = default_bundle().only({WARM, COOL, "data-integrity.physical-range"})
BOX = {"id": "B1", "kind": "box", "shipment_type": "I"}
VEHICLE = {"id": "B1", "kind": "vehicle", "shipment_type": "II"}
ROOM = {"id": "R1", "kind": "cold-room"}
WHOLESALER = [{"field": "distribution", "line": "drug"}]


def recorder(tag: str = "T1", area: str = "B1", interval: str = "5m", **more: Any) -> dict[str, Any]:
    return {"tag": tag, "area": area, "quantity": "temperature", "unit": "Cel", "interval": interval, **more}


def begun(area: dict[str, Any] = BOX, **more: Any) -> HandLog:
    return HandLog().register(-1, recorder(**more), areas=[area, ROOM], scopes=WHOLESALER)


def told(
    hand: HandLog, kind: str, at: float, trip: str = "W-1", lot: str = "L1", *, after: float = 0.01, **more: Any
) -> HandLog:
    """Append one event of a trip, received so many minutes after its event time."""
    event = {
        "stream": "trace",
        "type": kind,
        "time": ms(at),
        "source": "WMS",
        "area": "B1",
        "fields": {"trip": trip, "lot": lot},
    }
    return hand.line(at + after, "events", {"batch": f"e{len(hand.lines)}", "events": [event | more]})


def heat(hand: HandLog, begin: float, values: Sequence[Any], tag: str = "T1") -> HandLog:
    return hand.live(tag, begin, values, every=5)


def decided(hand: HandLog, at: float, alarm: str, code: str = "close-latched", **more: Any) -> HandLog:
    said = {"id": f"D{len(hand.lines)}", "version": 1, "subject": {"alarm": alarm}, "code": code, "officer": "o-1"}
    return hand.line(at, "decision", said | {"revision_seen": 1, "reason_sha256": "0" * 64} | more)


def in_time(hand: HandLog) -> HandLog:
    """Put the lines in the order in which they were received."""
    lines = sorted((json.loads(line) for line in hand.lines), key=lambda line: line["received"])
    hand.lines = [json.dumps(line | {"offset": i}) for i, line in enumerate(lines)]
    return hand


def changes(hand: HandLog, bundle: Bundle = SHIPPED, until: float | None = None) -> list[Change]:
    return [c for c in in_time(hand).changes(bundle=bundle, until=until) if c.rule in {HOT, FREEZE, WARM, COOL}]


def story(hand: HandLog, bundle: Bundle = SHIPPED, until: float | None = None) -> list[tuple[Any, ...]]:
    found = changes(hand, bundle, until)
    return [(c.rule.split("-")[-1], c.change.value, since(c.start), since(c.end), since(c.at), c.late) for c in found]


def engine_of(hand: HandLog, bundle: Bundle = SHIPPED) -> Engine:
    engine = Engine(bundle)
    for record in in_time(hand).records():
        engine.fold(record)
    return engine


@pytest.mark.parametrize(
    ("area", "degrees", "minutes", "fires"),
    [
        # WHO electronic shipping indicators, type I and II: 45 °C or more for 1 h; type I alone: -0.5 °C or less for 1 h.
        (BOX, 45.0, 60, "hot"), (BOX, 44.9, 60, ""), (BOX, 45.0, 55, ""), (VEHICLE, 45.0, 60, "hot"),
        (BOX, -0.5, 60, "freeze"), (BOX, -0.4, 60, ""), (BOX, -0.5, 55, ""), (VEHICLE, -30.0, 300, ""),
    ],
)  # fmt: skip
def test_the_published_single_exposures_of_each_type(
    area: dict[str, Any], degrees: float, minutes: int, fires: str
) -> None:
    hand = heat(told(begun(area), "shipped", 0), 5, [4.0, *[degrees] * (minutes // 5 + 1), 4.0])
    assert [(name, what) for name, what, *_ in story(hand)] == ([(fires, "raised")] if fires else [])


def test_exposures_shorter_than_an_hour_never_add_up() -> None:
    """The trap of the published rules: seven dips of 50 minutes raise no single event."""
    dip = [*[-5.0] * 11, 4.0]
    assert story(heat(told(begun(), "shipped", 0), 5, dip * 7)) == []


def test_what_it_says_and_proves_in_both_languages() -> None:
    (raised,) = changes(heat(told(begun(), "shipped", 0), 5, [46.5, *[45.5] * 12]))
    assert raised.message.en == "T1: 45.5 °C on a trip, at or above 45 °C for 1h"
    assert raised.message.zh == "T1：运输途中 45.5 °C，达到或高于 45 °C持续 1h"
    assert (raised.evidence.peak, raised.severity.value, raised.subject) == (46.5, "red", {"tag": "T1"})
    (leaf,) = raised.evidence.leaves
    assert (leaf.left, leaf.op, leaf.right, leaf.verdict.value) == (45.5, ">=", 45.0, "true")
    assert [used.name for used in raised.evidence.limits] == ["high"]


def test_it_stands_for_good_and_never_becomes_unknown() -> None:
    """Latched: neither its end nor the next trip nor a recorder that falls silent changes it."""
    hand = heat(told(begun(), "shipped", 0), 5, [50.0] * 13 + [20.0] * 20)
    told(told(hand, "arrived", 180), "shipped", 200, "W-2", "L2")
    heat(hand, 205, [50.0] * 20)
    assert story(hand, until=30 * 24 * 60) == [("hot", "raised", 5, None, 65, False)]


def test_an_officer_ends_it_and_what_had_come_is_done_with() -> None:
    hand = heat(told(begun(), "shipped", 0), 5, [50.0] * 14)
    (raised,) = changes(hand)
    decided(hand, 71, raised.alarm)
    heat(hand, 75, [50.0] * 13)
    hand.rows(136, ("T1", [32], [50.0]))  # a late row among what is done with
    hand.tick(137)
    closed = ("hot", "cleared", 5, 71, 71, False)
    assert story(hand) == [("hot", "raised", 5, None, 65, False), closed, ("hot", "raised", 75, None, 135, False)]
    said = changes(hand)[1]
    assert (said.message.en, said.message.zh) == (
        "T1: closed by an officer's decision", "T1：已由监管人员决定关闭",
    )  # fmt: skip
    assert [(leaf.expr, leaf.left, leaf.verdict.value) for leaf in said.evidence.leaves] == [
        ("decision", "close-latched", "false")
    ]
    assert said.evidence.records[0].kind == "decision"


@pytest.mark.parametrize(
    ("code", "more", "ends"),
    [
        ("false-alarm", {}, True), ("breach", {}, True), ("grade-signed", {}, False), ("data-fraud", {}, False),
        ("data-fraud", {"second": "o-1"}, False), ("data-fraud", {"second": "o-2"}, True),
    ],
)  # fmt: skip
def test_which_decisions_end_it(code: str, more: dict[str, str], ends: bool) -> None:
    hand = heat(told(begun(), "shipped", 0), 5, [50.0] * 14)
    (raised,) = changes(hand)
    assert (len(changes(decided(hand, 71, raised.alarm, code, **more))) == 2) is ends


def test_a_decision_on_another_alarm_or_on_one_that_has_ended_changes_nothing() -> None:
    hand = heat(told(begun(), "shipped", 0), 5, [50.0] * 14)
    (raised,) = changes(hand)
    assert len(changes(decided(hand, 71, "0" * 32))) == 1
    assert len(changes(decided(decided(hand, 72, raised.alarm), 73, raised.alarm))) == 2


def test_late_rows_that_take_it_back_are_decided_before_the_decision_of_their_instant() -> None:
    hand = heat(told(begun(), "shipped", 0), 5, [50.0] * 14)
    (raised,) = changes(hand)
    hand.rows(72, ("T1", [32], [20.0]))
    decided(hand, 72, raised.alarm)
    assert [what for _, what, *_ in story(hand)] == ["raised", "retracted"]


@pytest.mark.parametrize(("departs", "arrives", "start"), [(5, 200, 5), (10, 70, 10), (10, 69, None), (10.001, 75, 15)])
def test_rows_count_from_the_departure_to_the_arrival_both_inside(
    departs: float, arrives: float, start: float | None
) -> None:
    hand = told(begun(), "shipped", departs)
    told(hand, "arrived", arrives)
    heat(hand, 5, [50.0] * 30)
    told_now = [(what, begin) for _, what, begin, *_ in story(hand)]
    assert told_now == ([] if start is None else [("raised", start)])


def test_the_order_in_which_departure_and_arrival_are_told_does_not_matter() -> None:
    def log(*events: tuple[str, float]) -> list[tuple[Any, ...]]:
        hand = heat(begun(), 0, [50.0] * 20)
        for kind, at in events:
            told(hand, kind, at, after=96 - at)
        return [one[:4] for one in story(hand, until=97)]

    both = log(("shipped", 10), ("arrived", 80))
    assert (
        both
        == log(("arrived", 80), ("shipped", 10))
        == log(("shipped", 20), ("arrived", 40), ("arrived", 80), ("shipped", 10))
    )
    assert both == [("hot", "raised", 10, None)]


def test_an_arrival_alone_is_no_trip_nor_is_one_that_arrives_before_it_departs() -> None:
    hand = heat(told(begun(), "arrived", 100), 5, [50.0] * 20)
    assert story(hand) == []
    assert story(heat(told(told(begun(), "arrived", -50, after=50), "shipped", 0), 5, [50.0] * 20)) == []


def test_a_trip_goes_on_until_every_lot_has_arrived() -> None:
    one = told(told(begun(), "shipped", 0, lot="L1"), "shipped", 0.1, lot="L2")
    told(one, "arrived", 1, lot="L1")
    assert len(story(heat(one, 5, [50.0] * 13))) == 1
    two = told(told(told(begun(), "shipped", 0, lot="L1"), "shipped", 0.1, lot="L2"), "arrived", 1, lot="L1")
    assert story(heat(told(two, "arrived", 2, lot="L2"), 5, [50.0] * 13)) == []


def test_a_trip_without_an_arrival_is_over_after_thirty_days() -> None:
    month = LONGEST_MS // 60_000
    for late, fires in (
        (0, True),
        (1 / 60_000, False),
    ):  # the last row of the hour is the last inside, or a millisecond behind
        hand = told(begun(), "shipped", 0 - late)
        heat(hand, month - 60, [50.0] * 13)
        assert bool(story(hand)) is fires


def test_two_trips_that_overlap_are_one_time_under_way() -> None:
    hand = told(told(begun(), "shipped", 0, "W-1", "L1"), "shipped", 0.1, "W-2", "L2")
    told(told(hand, "arrived", 0.2, "W-1", "L1"), "arrived", 65, "W-2", "L2")
    assert story(heat(hand, 5, [50.0] * 13)) == [("hot", "raised", 5, None, 65, False)]


def test_a_stop_ends_the_count_where_a_row_stands_in_it() -> None:
    """One of half a minute between two rows ends nothing: they hang together."""
    for stop, start in ((33, 35), (28.5, 5)):
        hand = told(told(begun(), "shipped", 0), "arrived", 28)
        told(hand, "shipped", stop, "W-2", "L2")
        assert story(heat(hand, 5, [50.0] * 20)) == [("hot", "raised", start, None, start + 60, False)]


def test_what_had_left_the_horizon_stays_as_it_was_judged() -> None:
    """The departure is told four hours late: of the rows before the horizon nothing is judged again, what it holds is."""
    hot = [50.0] * 13 + [20.0] * 30
    early = heat(begun(), 0, hot)
    told(early, "shipped", 0, after=216)
    assert story(early, until=230) == []
    inside = heat(begun(), 0, [20.0] * 30 + [50.0] * 13)
    told(inside, "shipped", 0, after=211)
    assert story(inside, until=230) == [("hot", "raised", 150, None, 0, True)]


def test_an_alarm_from_before_the_horizon_stands_although_the_trip_turns_out_to_have_been_over() -> None:
    hand = heat(told(begun(), "shipped", 0), 5, [50.0] * 13 + [20.0] * 30)
    told(hand, "arrived", 10, after=210)
    assert story(hand, until=230) == [("hot", "raised", 5, None, 65, False)]


def test_a_silence_keeps_what_came_before_it_in_reach() -> None:
    """A lorry out of radio for six hours: the departure is told when it is back, and judges what it had recorded."""
    hand = heat(begun(), 0, [50.0] * 13)
    heat(hand, 420, [20.0] * 3)
    told(hand, "shipped", 0, after=432)
    assert story(hand, until=440) == [("hot", "raised", 0, None, 0, True)]


def test_an_excursion_that_begins_earlier_by_what_is_told_late_is_amended() -> None:
    hand = told(begun(), "shipped", 10)
    heat(hand, 5, [50.0] * 14)
    told(hand, "shipped", 4, after=68)
    alarm = {c.alarm for c in changes(hand, until=80)}
    assert story(hand, until=80) == [("hot", "raised", 10, None, 70, False), ("hot", "amended", 5, None, 4, False)]
    assert len(alarm) == 1


def test_an_alarm_that_is_taken_back_and_comes_again_has_another_id() -> None:
    hand = heat(told(begun(), "shipped", 0), 5, [50.0] * 14)
    told(hand, "arrived", 20, after=51)
    told(hand, "shipped", 1, lot="L2", after=72)
    found = changes(hand, until=80)
    assert [c.change.value for c in found] == ["raised", "retracted", "raised"]
    assert found[0].alarm == found[1].alarm != found[2].alarm
    assert found[2].late


def test_of_one_instant_all_events_and_rows_are_decided_together() -> None:
    """A departure and an arrival that come in one post raise nothing that the second would take back."""
    hand = heat(begun(), 0, [50.0] * 20)
    told(hand, "shipped", 10, after=90)
    told(hand, "arrived", 40, after=60)
    assert story(hand, until=110) == []


def test_an_event_that_comes_again_changes_nothing_in_any_batch() -> None:
    hand = told(begun(), "shipped", 0)
    again = json.loads(hand.lines[-1])["data"]
    heat(hand, 5, [50.0] * 14)
    hand.line(72, "events", again | {"batch": "other"})
    hand.line(73, "events", again)
    assert len(story(hand, until=80)) == 1
    counts = engine_of(hand).counters(0, FACILITY)
    assert (counts["trip_events"], counts["event_repeated"]) == (2, 1)


def test_an_event_from_the_future_counts_as_of_when_it_came() -> None:
    hand = told(begun(), "shipped", 500, after=-499)
    assert story(heat(hand, 5, [50.0] * 13)) == [("hot", "raised", 5, None, 65, False)]


@pytest.mark.parametrize(
    "more",
    [
        {"stream": "device"}, {"type": "sold"}, {"area": "R1"}, {"area": "ELSEWHERE"}, {"area": None},
        {"fields": {"lot": "L1"}}, {"fields": {"trip": "", "lot": "L1"}}, {"fields": {"trip": 7, "lot": "L1"}},
    ],
)  # fmt: skip
def test_an_event_without_a_trip_of_the_box_tells_nothing(more: dict[str, Any]) -> None:
    hand = told(begun(), "shipped", 0, **more)
    assert story(heat(hand, 5, [50.0] * 20)) == []
    counts = engine_of(hand).counters(0, FACILITY)
    assert counts["trip_events"] == 0
    assert counts["trip_unnamed"] == ("fields" in more)


def test_the_device_of_an_event_tells_the_area_where_the_event_does_not() -> None:
    hand = HandLog().register(
        -1, recorder(), areas=[BOX], scopes=WHOLESALER, devices=[{"id": "LOGGER-1", "area": "B1"}]
    )
    told(hand, "shipped", 0, area=None, device="LOGGER-1")
    assert len(story(heat(hand, 5, [50.0] * 13))) == 1


def test_other_sensors_and_other_areas_are_none_of_it() -> None:
    hand = HandLog().register(
        -1, recorder(), recorder("T2", "B2"), areas=[BOX, BOX | {"id": "B2"}], scopes=WHOLESALER
    )  # fmt: skip
    told(hand, "shipped", 0)
    for minute in range(5, 80, 5):
        hand.rows(minute + 0.1, ("T1", [minute], [20.0]), ("T2", [minute], [50.0]))
    assert story(hand) == []


def test_a_maker_without_the_scope_keeps_nothing_and_its_snapshot_is_what_it_was() -> None:
    def log(*scopes: dict[str, str]) -> HandLog:
        return HandLog().register(-1, recorder(), areas=[BOX], scopes=list(scopes))

    maker = {"field": "manufacture", "line": "drug"}
    quiet, other = engine_of(log(maker)), engine_of(told(log(maker), "shipped", 0))
    body = open_snapshot(other.snapshot(0, FACILITY))[0]
    assert not body.declared
    assert "during" not in body.layouts
    assert "trip_events" not in other.counters(0, FACILITY)
    assert quiet.state_of(FACILITY).declared == other.state_of(FACILITY).declared
    kept = open_snapshot(engine_of(told(log(*WHOLESALER), "shipped", 0)).snapshot(0, FACILITY))[0]
    assert kept.declared
    assert "during" in kept.layouts


def test_where_no_vehicle_is_registered_events_of_lots_leave_no_trace() -> None:
    hand = HandLog().register(-1, recorder(area="R1"), areas=[ROOM], scopes=WHOLESALER)
    before = engine_of(hand).snapshot(0, FACILITY)
    assert before != b""
    told(hand, "shipped", 0, area="R1")
    body = open_snapshot(engine_of(hand).snapshot(0, FACILITY))[0]
    assert not body.declared
    assert not body.rare


def test_a_box_that_leaves_the_register_takes_its_trips_along() -> None:
    hand = heat(told(begun(), "shipped", 0), 5, [50.0] * 13)
    hand.register(70, recorder(area="R1", tag="T9"), version=2, areas=[ROOM], scopes=WHOLESALER)
    assert [(what, end) for _, what, _, end, *_ in story(hand)] == [("raised", None), ("cleared", 70)]
    assert engine_of(hand).state_of(FACILITY).declared.places == {}


def test_a_sensor_that_is_moved_into_another_box_has_the_trips_of_that_one() -> None:
    boxes = [BOX, BOX | {"id": "B2"}]
    hand = HandLog().register(-1, recorder(), areas=boxes, scopes=WHOLESALER)
    told(hand, "shipped", 0, area="B2")
    heat(hand, 5, [50.0] * 5)
    hand.register(28, recorder(area="B2"), version=2, areas=boxes, scopes=WHOLESALER)
    heat(hand, 30, [50.0] * 13)
    hand.rows(91, ("T1", [24], [50.0]))  # what it showed in the first box is not judged by the trips of the second
    assert story(hand, until=92) == [("hot", "raised", 30, None, 90, False)]


def test_packs_that_come_while_a_trip_is_under_way_know_it() -> None:
    """The rule that was there kept the trip for the one that comes; a rule that begins anew knows it too."""
    hand = heat(told(begun(), "shipped", 0), 5, [50.0] * 3)
    hand.packs(18, SHIPPED)
    heat(hand, 20, [-5.0] * 13)
    first = default_bundle().only({HOT})
    assert story(hand, first) == [("freeze", "raised", 20, None, 80, False)]


def test_new_numbers_end_the_horizon_and_carry_what_is_pending() -> None:
    hand = heat(told(begun(), "shipped", 0), 5, [50.0] * 5)
    old = Bundle.of([sums.rule({**triplogs.RULES[0], "id": HOT, "when": {"on_delay": "1h"}, "scopes": WHOLESALER})], [])
    hand.packs(28, Bundle.of([sums.rule({**triplogs.RULES[0], "id": HOT, "scopes": WHOLESALER})], []))
    heat(hand, 30, [50.0])
    assert story(hand, old) == [("hot", "raised", 5, None, 30, False)]


def test_trips_of_a_box_are_bounded_and_what_goes_is_counted() -> None:
    declared = Declared()
    for i in range(MAX_TRIPS + 5):
        declared.meet("B1", f"W-{i}", "shipped", 10 * i, "L")
        declared.meet("B1", f"W-{i}", "arrived", 10 * i + 5, "L")
    assert len(declared.places["B1"].trips) == MAX_TRIPS
    assert (declared.counts["trip_dropped"], declared.spans("B1")[0]) == (5, (50, 55))
    declared.meet("B1", "W-0", "shipped", 0, "L")
    declared.meet("B1", "W-4", "arrived", 45, "L")
    assert (declared.counts["trip_stale"], declared.spans("B1")[0]) == (2, (50, 55))
    assert Declared.unpack(declared.pack()) == declared  # type: ignore[arg-type]


def test_lots_of_a_trip_are_bounded_and_none_beyond_holds_it_open() -> None:
    declared = Declared()
    for i in range(MAX_LOTS + 3):
        declared.meet("B1", "W-1", "shipped", 0, f"L{i}")
    assert declared.counts["trip_lot_dropped"] == 3
    for i in range(MAX_LOTS):
        declared.meet("B1", "W-1", "arrived", 7, f"L{i}")
    assert declared.spans("B1") == [(0, 7)]


def test_a_series_knows_the_newest_spans_and_counts_what_it_leaves_out() -> None:
    hand = begun()
    for i in range(during.SPANS + 2):
        told(hand, "shipped", i, f"W-{i}", after=0.1)
        told(hand, "arrived", i + 0.5, f"W-{i}", after=0.1)
    engine = engine_of(hand)
    state = engine.state_of(FACILITY)
    hot = next(one for one in state.planned.by_kind[DURING] if one.rule.id == HOT)
    block = state.words[hot.state + during.SPAN : hot.state + during.STATE.words]
    assert block[:2].tolist() == [ms(during.SPANS + 1), ms(during.SPANS + 1.5)]
    assert block[-2:].tolist() == [ms(2), ms(2.5)]
    assert engine.counters(0, FACILITY)["trip_span_left_out"] == 2 * 3


def test_spans_that_touch_are_one_and_a_trip_without_a_departure_is_none() -> None:
    place = Place(trips={"a": Trip(0, 5), "b": Trip(5, 7), "c": Trip(-1, 9), "d": Trip(9, 10), "e": Trip(11, 12)})
    assert place.spans() == [(0, 7), (9, 12)]


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"applies_to": {"sensor.quantity": "temperature"}}, "/applies_to/area.kind"),
        (
            {"applies_to": {"sensor.quantity": "temperature", "area.kind": ["box", "cold-room"]}},
            "/applies_to/area.kind",
        ),
        ({"clear": {}}, "/clear/latched"),
        ({"clear": {"latched": True, "deadband": 0.5}}, "/clear"),
        ({"clear": {"latched": True, "consecutive": 2}}, "/clear"),
        ({"clear": {"latched": True, "off_delay": "5m"}}, "/clear"),
        ({"excludes": True}, "/excludes"),
        ({"severity": {"base": "yellow", "steps": [{"after": "2h", "to": "red"}]}}, "/severity/steps"),
        ({"unknown": {"max": "5m"}}, "/unknown"),
        ({"migration": "re-evaluate"}, "/migration"),
        ({"smooth": {"volume": "1 m3"}}, "/smooth"),
    ],
)
def test_what_such_a_rule_cannot_have_is_a_fault(members: dict[str, Any], pointer: str) -> None:
    rule = sums.rule({**triplogs.RULES[0], **members})
    assert pointer in {f.pointer.removeprefix("/rules/0") for f in bundle_faults([rule], []) if f.code == "during"}
    assert bundle_faults([sums.rule(triplogs.RULES[0])], []) == []


def test_a_limit_that_holds_at_all_times_is_not_latched() -> None:
    rule = sums.rule({**triplogs.RULES[4], "clear": {"latched": True}})
    assert [f.pointer for f in bundle_faults([rule], [])] == ["/rules/0/clear/latched"]


def test_a_sum_leaves_out_no_single_events_of_trips() -> None:
    single = sums.rule(triplogs.RULES[0])
    total = sums.rule({**sums.RULES[2], "id": "test.sum", "idle_while": "test.hot", "reads": ["test.hot"]})
    assert [f.code for f in bundle_faults([single, total], [])] == ["single"]


def test_a_block_takes_little_room() -> None:
    """A vehicle's series pays 224 or 216 bytes a rule, and as many behind its horizon; all other series nothing."""
    assert (8 * during.STATE.words, 8 * exposure.STATE.words) == (224, 216)


def explained(hand: HandLog, at: float) -> Explanation:
    (found,), _ = explain(in_time(hand).records(), SHIPPED, HOT, at=ms(at))
    assert isinstance(found, Explanation)
    assert found.agrees
    return found


def leaf_of(found: Explanation, name: str) -> tuple[Any, ...]:
    seen = next(seen for leaf, seen in found.leaves if leaf.name == name)
    return (None,) if seen is None else (seen.verdict.value, seen.left, seen.right)


def test_an_explanation_names_the_trip_and_how_long_it_has_been_hot_in_both_languages() -> None:
    hand = heat(told(begun(), "shipped", 0), 5, [20.0, *[50.0] * 8])
    told(hand, "arrived", 47)
    found = explained(hand, 46)
    assert leaf_of(found, "under_way")[0] == "true"
    assert leaf_of(found, "on_delay") == ("false", 35 * 60_000, 60 * 60_000)
    assert found.standing.phase == "pending"
    english = "\n".join(lines(found, "en"))
    assert "it did not fire (on_delay 35m of 1h)" in english
    assert "under_way: the area was on a trip at that time, as far as it was declared" in english
    chinese = "\n".join(lines(found, "zh"))
    assert "该时刻该区域处于运输途中（据申报）" in chinese
    parked = explained(heat(hand, 50, [50.0]), 51)
    assert leaf_of(parked, "under_way")[0] == "false"
    assert parked.standing.phase == "normal"


def test_an_explanation_of_a_box_without_a_trip_says_that_none_is_known() -> None:
    found = explained(heat(begun(), 5, [50.0] * 3), 16)
    assert leaf_of(found, "under_way") == ("unknown", "2026-02-28T16:15:00.000Z", None)


def test_an_explanation_knows_what_an_officer_closed_and_what_waits() -> None:
    hand = heat(told(begun(), "shipped", 0), 5, [50.0] * 14)
    (raised,) = changes(hand)
    decided(hand, 71, raised.alarm)
    assert not explained(hand, 72).standing.active
    late = heat(begun(), 0, [50.0] * 20)
    told(late, "shipped", 0, after=96)
    assert not explained(late, 96).standing.active  # of this instant more may come
    assert explained(late, 97).standing.active


def half_hourly(hand: HandLog, begin: float, values: Sequence[Any]) -> HandLog:
    return hand.live("T1", begin, values, every=30)


def loaded(area: dict[str, Any] = BOX, **more: Any) -> HandLog:
    return told(begun(area, interval="30m", **more), "shipped", 0)


@pytest.mark.parametrize(
    ("area", "degrees", "halves", "fires"),
    [
        # WHO electronic shipping indicators: 30 °C or more for 10 h in total, types I and II; 10 °C or more for 20 h in total, type II.
        (BOX, 30.0, 20, "warm"), (BOX, 29.9, 40, ""), (BOX, 30.0, 19, ""), (VEHICLE, 30.0, 20, "warm"), (VEHICLE, 10.0, 40, "cool"),
        (VEHICLE, 9.9, 60, ""), (VEHICLE, 10.0, 39, ""), (BOX, 10.0, 60, ""),
    ],
)  # fmt: skip
def test_the_published_cumulative_exposures_of_each_type(
    area: dict[str, Any], degrees: float, halves: int, fires: str
) -> None:
    """In pieces of half an hour with a cold record between: no single event, and all of the sum."""
    hand = half_hourly(loaded(area), 30, [degrees, 4.0] * halves + [4.0])
    first = [name for name, *_ in story(hand, SUMS)][:1]
    assert first == ([fires] if fires else [])


def test_short_dips_add_up_where_single_events_never_speak() -> None:
    """The trap of the published rules, on the warm side: dips of fifty minutes raise no single event and are summed all the same."""
    bundle = default_bundle().only({HOT, WARM, "data-integrity.physical-range"})
    hand = heat(told(begun(), "shipped", 0), 5, [*[46.0] * 10, 20.0] * 13)
    assert [name for name, *_ in story(hand, bundle)] == ["warm"]


def test_a_sum_says_how_much_and_during_what_in_both_languages() -> None:
    (raised,) = changes(half_hourly(loaded(), 30, [31.0] * 21), SUMS)
    assert raised.message.en == "T1: 10h at or above 30 °C in total on a trip, 10h is the limit"
    assert raised.message.zh == "T1：运输途中累计 ≥ 30 °C 10h，限值为 10h"
    (leaf,) = raised.evidence.leaves
    assert (leaf.expr, leaf.left, leaf.right) == ("time of T1 at or above 30 °C on a trip", 36e6, 36e6)
    assert (since(raised.start), since(raised.at)) == (630, 630)


def test_a_sum_is_cut_at_the_departure_and_at_the_arrival() -> None:
    def log(departs: float, arrives: float) -> list[tuple[Any, ...]]:
        hand = told(told(begun(interval="30m"), "shipped", departs), "arrived", arrives)
        return story(half_hourly(hand, 0, [31.0] * 30), SUMS)

    assert [what for _, what, *_ in log(10, 610)] == ["raised"]
    assert log(10.001, 610) == log(10, 609.999) == []


def test_the_next_trip_begins_a_sum_of_its_own_also_without_a_row_between() -> None:
    hand = half_hourly(loaded(), 30, [31.0] * 12)
    told(hand, "arrived", 365)
    told(hand, "shipped", 370, "W-2", "L2")
    half_hourly(hand, 390, [31.0] * 12)
    assert story(hand, SUMS) == []
    half_hourly(hand, 750, [31.0] * 11)
    assert [(what, at) for _, what, _, _, at, _ in story(hand, SUMS)] == [("raised", 990)]


def test_trips_that_hang_together_are_summed_together() -> None:
    hand = half_hourly(loaded(), 30, [31.0] * 12)
    told(hand, "shipped", 360, "W-2", "L2")
    told(hand, "arrived", 365)
    half_hourly(hand, 390, [31.0] * 12)
    assert [(what, at) for _, what, _, _, at, _ in story(hand, SUMS)] == [("raised", 630)]


def test_an_arrival_that_is_told_late_takes_the_sum_back_and_a_late_row_moves_it() -> None:
    hand = half_hourly(loaded(), 30, [31.0] * 22)
    told(hand, "arrived", 600, after=65)
    assert [(what, late) for _, what, _, _, _, late in story(hand, SUMS, until=700)] == [
        ("raised", False),
        ("retracted", False),
    ]
    other = half_hourly(loaded(), 30, [31.0] * 22)
    other.rows(665, ("T1", [610], [20.0]))
    moved = [(what, start) for _, what, start, *_ in story(other, SUMS, until=700)]
    assert moved == [("raised", 630), ("amended", 660)]


def test_an_officer_lets_a_sum_begin_anew() -> None:
    hand = half_hourly(loaded(), 30, [31.0] * 22)
    (raised,) = changes(hand, SUMS)
    decided(hand, 670, raised.alarm)
    half_hourly(hand, 690, [31.0] * 18)
    hand.rows(1_201, ("T1", [1_150], [31.0]))
    assert [what for _, what, *_ in story(hand, SUMS, until=1_202)] == ["raised", "cleared"]
    half_hourly(hand, 1_230, [31.0] * 2)
    assert [(what, at) for _, what, _, _, at, _ in story(hand, SUMS)][2:] == [("raised", 1_260)]


def test_an_explanation_of_a_sum_says_how_much_of_it_there_is() -> None:
    hand = half_hourly(loaded(), 30, [31.0] * 5)
    (found,), _ = explain(in_time(hand).records(), SUMS, WARM, at=ms(151))
    assert isinstance(found, Explanation)
    assert leaf_of(found, "total") == ("false", 7_200_000, 36_000_000)
    assert [(n["name"], n["value"]) for n in found.numbers()] == [("high", 30.0), ("total", "10h")]
    assert "运输途中累计超限达到 10h" in "\n".join(lines(found, "zh"))


def test_another_limit_begins_the_sum_anew_another_total_does_not() -> None:
    def log(**members: Any) -> list[tuple[Any, ...]]:
        entry = {
            **triplogs.RULES[2],
            "id": WARM,
            "scopes": WHOLESALER,
            "limits": {"from": {"high": 30}},
            "total": "10h",
        }
        hand = half_hourly(loaded(), 30, [31.0] * 12)
        hand.packs(361, Bundle.of([sums.rule(entry | members)], []))
        half_hourly(hand, 390, [31.0] * 10)
        return [one[1:3] for one in story(hand, Bundle.of([sums.rule(entry)], []))]

    assert log(total="9h") == [("raised", 570)]
    assert log(limits={"from": {"high": 29}}) == []


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"clear_below": "5m"}, "/clear_below"), ({"window": "48h"}, "/window"), ({"total": "31d"}, "/total"),
        ({"idle_while": "test.hot", "reads": ["test.hot"]}, "/idle_while"), ({"unknown": {"max": "1m"}}, "/unknown"),
        ({"applies_to": {"area.kind": "cold-room"}}, "/applies_to/area.kind"),
    ],
)  # fmt: skip
def test_what_a_sum_of_a_trip_cannot_have_is_a_fault(members: dict[str, Any], pointer: str) -> None:
    rule = sums.rule({**triplogs.RULES[2], **members})
    assert pointer in {f.pointer.removeprefix("/rules/0") for f in bundle_faults([rule], []) if f.code == "during"}
    assert bundle_faults([sums.rule(triplogs.RULES[2])], []) == []


def test_a_sum_over_a_window_still_needs_what_clears_it() -> None:
    with pytest.raises(ValidationError, match="clear_below is given"):
        sums.rule({**sums.RULES[2], "clear_below": "0s"})
