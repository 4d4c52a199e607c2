"""Calibrations that events tell, by hand, in minutes from 2026-03-01 in China: which of them wins, and what is kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.models import Severity
from rules.pack import Bundle
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since
from tests.rules.failures import failing_at
from tests.rules.test_snapshot import body_of

if TYPE_CHECKING:
    from rules.changes import Change

DUE, ERROR = "register.calibration-due", "register.sensor-error"
ONLY = BUNDLE.only({DUE, ERROR})
DAY = 1440
OLD = {"done": "2026-01-05", "due": "2026-03-30", "points": [{"at": 5, "error": 0.6}]}
"""Due within thirty days, and off by more than half a degree: blue and yellow from the registration on."""


class Firm(HandLog):
    """A distributor, for whom both rules are."""

    def register(self, at: float, *sensors: dict[str, Any], **facts: Any) -> HandLog:
        return super().register(at, *sensors, scopes=[{"field": "distribution", "line": "drug"}], **facts)


def noon(day: str) -> str:
    return f"2026-{day}T12:00:00+08:00"


def fields(done: str = "02-20", **more: Any) -> dict[str, Any]:
    said = {
        "point": "T1",
        "done_at": noon(done),
        "due_at": "2027-02-20T00:00:00+08:00",
        "points": [{"reference": 5, "error": 0.1}],
    }
    return {name: value for name, value in (said | more).items() if value is not ...}


def log(**more: Any) -> HandLog:
    return Firm().register(0, sensor(calibration=OLD, serial="S-1", **more))


def tell(
    hand: HandLog, at: float, *events: dict[str, Any], batch: str | None = None, time: float | None = None
) -> HandLog:  # fmt: skip
    at_event = ms(at if time is None else time)
    said = [
        {"stream": "device", "type": "calibration", "time": at_event, "source": "LAB", "fields": one} for one in events
    ]
    return hand.line(at, "events", {"batch": batch or f"e{at}", "events": said})


def told(hand: HandLog, until: float = 10, bundle: Bundle = ONLY) -> list[tuple[Any, ...]]:
    changes = [c for c in hand.changes(until=until, bundle=bundle) if since(c.received)]  # not the first register's
    return [(since(c.received), c.rule.partition(".")[2], c.change.value) for c in changes]


def engine_of(hand: HandLog) -> Engine:
    engine = Engine(ONLY)
    for record in hand.records():
        engine.fold(record)
    return engine


BOTH = [(1, "calibration-due", "cleared"), (1, "sensor-error", "cleared")]


def test_a_later_calibration_replaces_date_and_points_when_it_comes():
    assert told(tell(log(), 1, fields())) == BOTH
    (change, _) = tell(log(), 1, fields()).changes(until=2, bundle=ONLY)[2:]
    assert [(read.kind, read.id) for read in change.evidence.records] == [("events", "e1"), ("register", "1")]
    assert [leaf.expr for leaf in change.evidence.leaves] == ["calibration of T1 (told by an event)"]


@pytest.mark.parametrize(
    ("done", "wins"),
    [("2026-01-05T23:59:59.999+08:00", False), ("2026-01-05T15:59:59Z", False), ("2026-01-05T16:00:00Z", True),
     ("2026-01-06", True), ("2026-01-05", False), ("2026-03-01T00:06:00+08:00", True), ("2026-03-01T00:06:00.001+08:00", False)],
)  # fmt: skip
def test_the_later_day_wins_and_what_lies_ahead_is_not_done(done, wins):
    assert told(tell(log(), 1, fields(done_at=done))) == (BOTH if wins else [])


def test_a_register_of_the_same_day_wins_it_back_and_one_with_an_earlier_does_not():
    hand = tell(log(), 1, fields())
    assert told(hand.register(2, sensor(calibration=OLD | {"done": "2026-02-19"}), version=2)) == BOTH
    hand.register(3, sensor(calibration=OLD | {"done": "2026-02-20"}), version=3)
    assert told(hand) == [*BOTH, (3, "calibration-due", "raised"), (3, "sensor-error", "raised")]


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ({}, None),
        ({"points": ...}, None),
        ({"points": []}, None),
        ({"due_at": ...}, None),
        ({"done_at": "2026-01-05", "due_at": "2026-12-05"}, "older"),  # of one day the register's stands
        ({"done_at": "2026-01-06"}, None),
        ({"done_at": "2025-12-05"}, "older"),
        ({"point": "T9"}, "unknown"),
        ({"serial": "S-2"}, "unknown"),
        ({"point": ..., "serial": "S-2"}, "unknown"),
        ({"point": ...}, "unknown"),
        ({"point": 5}, "unknown"),
        ({"done_at": ...}, "unreadable"),
        ({"done_at": "soon"}, "unreadable"),
        ({"done_at": "2026-03-01T00:06:00.001+08:00"}, "unreadable"),  # it is not done
        ({"due_at": "soon"}, "unreadable"),  # its points count all the same
        ({"due_at": noon("02-20")}, "unreadable"),
        ({"points": [{"reference": 5}]}, "unreadable"),
        ({"points": [], "due_at": ...}, "unreadable"),
    ],
)
def test_what_of_a_calibration_is_not_taken_is_counted_once(said, counted):
    counts = engine_of(tell(log(), 1, fields(**said))).counters(0, FACILITY)
    found = {name.partition("_")[2]: n for name, n in counts.items() if name.startswith("calibration_") and n}
    assert found == ({} if counted is None else {counted: 1})


def test_it_is_counted_where_the_checks_are_put_aside_and_not_where_none_is_for_the_firm():
    with failing_at(lambda change: change.rule in {DUE, ERROR}):
        aside = engine_of(tell(log(), 1, fields(point="T9")))
    assert all(aside.state_of(FACILITY).is_muted(rule) for rule in (DUE, ERROR))
    assert aside.counters(0, FACILITY)["calibration_unknown"] == 1
    other = Engine(BUNDLE.only({"data-integrity.audit-disabled"}))
    for record in tell(log(), 1, fields(point="T9")).records():
        other.fold(record)
    assert not other.counters(0, FACILITY).get("calibration_unknown")


def test_order_and_repetition_change_nothing():
    late = fields("02-10", due_at="2026-03-20T00:00:00+08:00", points=[{"reference": 5, "error": 0.9}])
    hand = tell(tell(tell(log(), 1, fields()), 2, late), 3, fields(), time=1)
    assert told(hand) == BOTH
    counts = engine_of(hand).counters(0, FACILITY)
    assert (counts["event_stale"], counts["event_duplicate"]) == (2, 2)
    both = tell(log(), 1, late, fields())
    assert told(both)[-2:] == [(1, "calibration-due", "cleared"), (1, "sensor-error", "cleared")]
    again = engine_of(tell(tell(log(), 1, fields()), 2, fields(), batch="x"))
    rare = again.state_of(FACILITY).rare
    assert [[fact.received for fact in case.facts] for name in (DUE, ERROR) for case in rare.of(name).values()] == [
        [ms(1)]
    ] * 2


def test_of_one_instant_the_first_that_came_stays():
    other = fields(due_at="2026-03-20T00:00:00+08:00", points=[{"reference": 5, "error": 0.9}])
    assert told(tell(tell(log(), 1, fields()), 2, other)) == BOTH


@pytest.mark.parametrize(
    "missing", [{"due_at": ...}, {"due_at": "soon"}, {"due_at": noon("02-20")}, {"due_at": 5.5}, {"due_at": None}]
)
def test_without_a_date_behind_it_only_the_points_count(missing):
    assert told(tell(log(), 1, fields(**missing))) == BOTH[1:]


@pytest.mark.parametrize(
    "points",
    [..., [], [{"reference": 5}], [{"reference": 5, "error": "0.1"}], [5], "none", [{"reference": 5, "error": 0.1, "unit": "Cel"}],
     [{"reference": 5, "error": 0.1}] * 101],
)  # fmt: skip
def test_without_points_the_last_certificate_with_some_stays(points):
    assert told(tell(log(), 1, fields(points=points))) == BOTH[:1]


@pytest.mark.parametrize(
    ("named", "meant"),
    [({"point": ..., "serial": "S-1"}, True), ({"serial": "S-1"}, True), ({"serial": "S-2"}, False), ({"point": ..., "serial": "S-2"}, False),
     ({"point": ...}, False), ({"point": "T9", "serial": "S-1"}, False), ({"point": 5}, False), ({"serial": 5}, False), ({"done_at": ...}, False)],
)  # fmt: skip
def test_whom_a_calibration_is_about(named, meant):
    assert told(tell(log(), 1, fields(**named))) == (BOTH if meant else [])


def test_a_serial_of_two_sensors_names_neither_and_a_sensor_without_one_is_named_by_its_tag():
    two = Firm().register(0, sensor(calibration=OLD, serial="S-1"), sensor("T2", calibration=OLD, serial="S-1"))
    assert told(tell(two, 1, fields(point=..., serial="S-1"))) == []
    bare = Firm().register(0, sensor(calibration=OLD))
    assert told(tell(bare, 1, fields(serial="S-7"))) == BOTH
    assert told(tell(Firm().register(0, sensor(calibration=OLD)), 1, fields(point=..., serial="S-7"))) == []


def test_other_events_tell_no_calibration():
    for stream, kind in (("lab", "calibration"), ("device", "replacement")):
        event = {"stream": stream, "type": kind, "time": ms(1), "source": "LAB", "fields": fields()}
        assert told(log().line(1, "events", {"batch": "e", "events": [event]})) == []


def test_a_date_that_an_event_told_is_due_by_the_clock():
    hand = tell(log(), 1, fields(due_at="2026-04-10T09:00:00+08:00"))
    assert told(hand, 60 * DAY) == [
        (1, "calibration-due", "cleared"), (1, "sensor-error", "cleared"),
        (11 * DAY, "calibration-due", "raised"), (41 * DAY, "calibration-due", "stepped"),
    ]  # fmt: skip


def test_a_sensor_without_any_is_calibrated_by_an_event_and_unknown_points_become_known():
    hand = Firm().register(0, sensor(calibration=None))
    assert told(tell(hand, 1, fields(points=[{"reference": 5, "error": 0.6}]))) == [
        (1, "calibration-due", "cleared"),
        (1, "sensor-error", "raised"),
    ]


def test_what_was_told_of_a_sensor_that_leaves_is_forgotten():
    hand = tell(log(), 1, fields()).register(2, sensor("T2"), version=2)
    rare = engine_of(hand).state_of(FACILITY).rare
    assert [len(case.facts) for name in (DUE, ERROR) for case in rare.of(name).values()] == [0, 0]
    hand.register(3, sensor(calibration=OLD), sensor("T2"), version=3)
    assert told(hand)[-2:] == [(3, "calibration-due", "raised"), (3, "sensor-error", "raised")]
    quiet = Firm().register(0, sensor()).line(1, "events", {"batch": "e", "events": [
        {"stream": "device", "type": "calibration", "time": ms(1), "source": "LAB", "fields": fields()}]})  # fmt: skip
    assert engine_of(quiet).state_of(FACILITY).rare.of(DUE)
    assert not engine_of(quiet.register(2, sensor("T2"), version=2)).state_of(FACILITY).rare.of(DUE)


def test_a_facility_that_tells_none_leaves_the_bytes_of_before():
    plain = body_of(engine_of(Firm().register(0, sensor())).snapshot(0, FACILITY))
    assert plain["rare"][2] == []
    kept = body_of(engine_of(tell(log(), 1, fields())).snapshot(0, FACILITY))["rare"][2]
    assert [(rule, len(facts)) for rule, _, facts, *_ in kept] == [(DUE, 1), (ERROR, 1)]


def test_packs_that_drop_the_rule_and_bring_it_back_begin_with_the_register():
    hand = tell(log(), 1, fields()).packs(2, BUNDLE.only({ERROR})).packs(3, ONLY)
    assert told(hand) == [*BOTH, (3, "calibration-due", "raised")]


def test_an_explanation_shows_the_calibration_of_the_event():
    hand = tell(log(), 1, fields(points=[{"reference": 5, "error": 0.7}])).tick(5)
    (one,) = explain(hand.records(), ONLY, DUE, at=ms(5))[0]
    assert (one.agrees, one.standing_alarm) == (True, None)
    assert "calibration of T1 (told by an event): 2027-02-20 is due" in "\n".join(rare_lines(one, "en"))
    (one,) = explain(hand.records(), ONLY, ERROR, at=ms(5))[0]
    assert (one.agrees, one.phase) == (True, "active")
    assert "error of T1 (told by an event): 0.7 > 0.5" in "\n".join(rare_lines(one, "zh"))


def test_the_certificate_of_a_sensor_says_nothing_of_the_one_that_stands_in_its_place():
    """The new one is overdue, and 0.9 degrees off."""
    good = {"done": "2026-01-05", "due": "2027-01-05", "points": [{"at": 5, "error": 0.1}]}
    bad = {"done": "2025-01-05", "due": "2026-01-05", "points": [{"at": 5, "error": 0.9}]}

    def rules_of(serial):
        firm = Firm().register(0, sensor(calibration=good, serial="S-1"))
        tell(firm, 1, fields(serial="S-1"))
        firm.register(2 * DAY, sensor(calibration=bad, serial=serial), version=2)
        return sorted(row[1] for row in told(firm, 5 * DAY) if row[2] == "raised")

    assert len(rules_of("S-2")) == 2
    assert rules_of("S-1") == []


def failing(hand: HandLog, until: float = 10, *, at: float, rule: str = DUE) -> list[tuple[Any, ...]]:
    """Return what is told where a rule fails at the first change that it makes from an instant on, for a tenth of a minute."""

    def chosen(change: Change) -> bool:
        return change.rule == rule and ms(at) <= change.received < ms(at + 0.1)

    with failing_at(chosen):
        return [row for row in told(hand, until) if row[1] in {rule.partition(".")[2], "rule-failed"}]


ASIDE = [(2, "rule-failed", "raised"), (5, "rule-failed", "cleared")]
"""The rule fails when a sensor without a calibration comes, and begins anew with packs."""


def put_aside(hand: HandLog, *more: dict[str, Any]) -> HandLog:
    return hand.register(2, sensor(calibration=OLD, serial="S-1"), sensor("T2", calibration=None), *more, version=2)


def test_what_was_told_is_known_when_a_check_that_failed_begins_anew_and_what_comes_meanwhile_too():
    """Whichever sensor the rule fails for: T1's certificate of before, and that of T2 which comes while nobody judges it, are facts."""
    hand = put_aside(tell(log(), 1, fields()))
    tell(hand, 3, fields(point="T2", done="02-21")).packs(5, ONLY)
    assert failing(hand, at=2) == [(1, "calibration-due", "cleared"), *ASIDE]
    without = put_aside(tell(log(), 1, fields())).packs(5, ONLY)
    assert failing(without, at=2) == [(1, "calibration-due", "cleared"), *ASIDE, (5, "calibration-due", "raised")]


def test_so_it_is_where_the_event_itself_makes_the_check_fail():
    hand = tell(log(), 1, fields()).packs(5, ONLY)
    assert failing(hand, at=1) == [
        (1, "rule-failed", "raised"), (1, "calibration-due", "unknown"), (5, "calibration-due", "cleared"), (5, "rule-failed", "cleared"),
    ]  # fmt: skip


def test_what_was_told_of_a_sensor_that_leaves_or_is_replaced_while_its_check_is_put_aside_is_forgotten():
    old = sensor(calibration=OLD, serial="S-1")
    for meanwhile in ([sensor("T2", calibration=None)], [sensor(calibration=OLD, serial="S-2"), sensor("T2")]):
        hand = put_aside(tell(log(), 1, fields())).register(3, *meanwhile, version=3)
        hand.register(4, old, sensor("T2"), version=4).packs(5, ONLY)
        assert failing(hand, at=2)[-1] == (5, "calibration-due", "raised")


def test_what_a_snapshot_holds_of_a_check_that_is_put_aside_goes_on():
    hand = put_aside(tell(log(), 1, fields()))
    first, second = Engine(ONLY), Engine(ONLY)
    with failing_at(lambda change: change.rule == DUE and change.received == ms(2)):
        for record in hand.records():
            first.fold(record)
    state = first.state_of(FACILITY)
    assert state.is_muted(DUE)
    assert [len(case.facts) for case in state.rare.of(DUE).values()] == [1]
    assert state.rare.of(DUE).held == 1
    second.restore_partition(0, first.partition_state(0))
    second.restore(0, FACILITY, first.snapshot(0, FACILITY))
    more = tell(hand, 3, fields(point="T2", done="02-21")).packs(5, ONLY).records()[-2:]
    assert [first.fold(record) for record in more] == [second.fold(record) for record in more]
    assert second.snapshot(0, FACILITY) == first.snapshot(0, FACILITY)


def test_an_error_in_taking_note_of_what_is_told_meanwhile_stops_nobody(monkeypatch):
    hand = put_aside(log())
    engine, heard = Engine(ONLY), []
    engine._on_failure = lambda *failure: heard.append(failure[1:])
    with failing_at(lambda change: change.rule == DUE and change.received == ms(2)):
        for record in hand.records():
            engine.fold(record)
    monkeypatch.setattr("rules.rare.calibrations.digest_of", lambda _: 1 // 0)
    engine.fold(tell(hand, 3, fields()).records()[-1])
    assert [(rule, type(error).__name__) for rule, error in heard] == [
        (DUE, "BrokenError"), (DUE, "ZeroDivisionError"), (ERROR, "ZeroDivisionError"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "raised"), [("calibration-due", []), ("sensor-error", [(5, "calibration-due", "raised")])]
)
def test_what_was_told_stays_where_packs_close_the_check_and_ask_the_same_again(check, raised):
    shipped = BUNDLE.rule(DUE)
    closing = {"version": "1.1.0", "migration": "close"}
    if check == "calibration-due":
        severity = shipped.severity.model_copy(update={"base": Severity.RED})
        other = shipped.model_copy(update=closing | {"severity": severity})
    else:
        error = BUNDLE.rule(ERROR)
        other = error.model_copy(update=closing | {"id": DUE, "title": shipped.title})
    hand = tell(log(), 1, fields()).packs(5, Bundle.of([other], []))
    due = [row for row in told(hand, bundle=BUNDLE.only({DUE})) if row[0] == 5]
    assert due == raised
