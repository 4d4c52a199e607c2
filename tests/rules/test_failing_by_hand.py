"""A rule that failed and begins anew takes no alarm id a second time: derived by hand from contracts.md §4, in minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from rules import engine as engine_module
from rules import failing
from rules.changes import alarm_id
from rules.engine import Engine
from rules.fitting import RULE_FAILED
from rules.snapshot import open_snapshot
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, place, sensor, since
from tests.rules.failures import failing_at, hold_against_the_book
from tests.rules.test_ids_kept_by_hand import GAP, WITHOUT_GAP, facts, ids, together, uses, vehicles
from tests.rules.test_pairs_carried import LOW, REVERSED, both, told, two
from tests.rules.test_rare_by_hand import DISABLED, FIRM, event, posted

if TYPE_CHECKING:
    from collections.abc import Callable

    from rules.changes import Change
    from rules.snapshot import Body

STORE, INTERVAL = "cold-chain.store-out", "cold-chain.interval-storage"
ERROR = "register.sensor-error"
WITHOUT_STORE = BUNDLE.only({rule.id for rule in BUNDLE.rules} - {STORE})


def at(rule: str, where: str, kind: str = "raised") -> Callable[[Change], bool]:
    """Choose the changes of a rule on a tag, `@area` or `*`."""
    return lambda change: (change.rule, place(change.subject), change.change) == (rule, where, kind)


def folded(log: HandLog, chosen: Callable[[Change], bool], engine: Engine | None = None) -> list[Change]:
    engine = engine or Engine(BUNDLE)
    with failing_at(chosen):
        return [change for record in log.records() for change in engine.fold(record)]


def run(log: HandLog, chosen: Callable[[Change], bool]) -> tuple[list[Change], Body]:
    """Return the changes, each id held against the book, and what the snapshot then holds."""
    engine = Engine(BUNDLE)
    changes = folded(log, chosen, engine)
    hold_against_the_book(changes, FACILITY)
    return changes, open_snapshot(engine.snapshot(0, FACILITY))[0]


def failures(changes: list[Change], rule: str) -> list[float | None]:
    return [since(c.received) for c in changes if c.change == "raised" and c.subject == {"system": rule}]


# -- silences ---------------------------------------------------------------------------------------------------------
def alone(interval: str = "60s") -> list[dict[str, Any]]:
    """Return a sensor in each of three areas: no area is a place, and the third keeps the feed alive."""
    return [sensor("T1", "A1", interval), sensor("T2", "A2", interval), sensor("T3", "A3")]


def two_silent() -> HandLog:
    """T1 falls silent at 7 and T2 at 9."""
    log = together(HandLog().register(-1, *alone()), 0, 5, "T1", "T2", "T3")
    return together(together(log, 5, 7, "T2", "T3"), 7, 12, "T3")


def test_a_series_that_is_silent_when_its_rule_begins_anew_gets_another_id() -> None:
    log = together(two_silent().packs(12, BUNDLE), 12, 14, "T3")
    log = together(log.packs(14, BUNDLE), 14, 16, "T3")
    changes, _ = run(log, at(GAP, "T2"))
    assert failures(changes, GAP) == [9, 12, 14], "the raise of T2 fails each time"
    assert ids(changes, "T1") == uses({"tag": "T1"}, 5, 3)
    story = [(since(c.received), c.change.value) for c in changes if c.rule == GAP]
    again = [(12, "cleared"), (12, "raised"), (12, "unknown"), (14, "cleared"), (14, "raised"), (14, "unknown")]
    assert story == [(7, "raised"), (9, "unknown"), *again]


def test_what_a_failed_step_took_back_is_no_use_of_its_start() -> None:
    log = together(two_silent().packs(12, BUNDLE), 12, 14, "T3")
    changes, _ = run(log, lambda c: at(GAP, "T2")(c) and c.received < ms(12))
    assert ids(changes, "T2") == uses({"tag": "T2"}, 7, 1)


def silent_area(log: HandLog | None = None) -> HandLog:
    """A1 falls silent at 7, T5 of A5 at 9; A2 goes on."""
    sensors = [*facts(), sensor("T5", "A5"), sensor("T6", "A5")]
    log = together(log or HandLog().register(-1, *sensors), 0, 5, "T1", "T2", "T3", "T4", "T5", "T6")
    return together(together(log, 5, 7, "T3", "T4", "T5", "T6"), 7, 12, "T3", "T4", "T6")


def test_a_silent_area_whose_rule_begins_anew_gets_another_id() -> None:
    log = together(silent_area().packs(12, BUNDLE), 12, 14, "T3", "T4", "T6")
    log = together(log.packs(14, BUNDLE), 14, 16, "T3", "T4", "T6")
    changes, _ = run(log, at(GAP, "T5"))
    assert failures(changes, GAP) == [9, 12, 14]
    assert ids(changes, "@A1") == uses({"area": "A1"}, 5, 3)
    assert ids(changes, "T1") == uses({"tag": "T1"}, 5, 3)


def test_a_silent_feed_whose_rule_begins_anew_gets_another_id() -> None:
    log = together(HandLog().register(-1, *facts()), 0, 5, "T1", "T2", "T3", "T4")
    for minute in (10, 12, 14):
        log.packs(minute, BUNDLE)
    changes, _ = run(log.tick(16, "worker"), at(GAP, "T2"))
    assert ids(changes, "*") == uses({}, 5, 4)
    assert ids(changes, "T1") == uses({"tag": "T1"}, 5, 4)


def test_the_silence_of_a_place_that_failed_to_be_raised_has_not_used_its_start() -> None:
    log = together(silent_area().packs(12, BUNDLE), 12, 14, "T3", "T4", "T6")
    changes, _ = run(log, lambda c: at(GAP, "@A1")(c) and c.received < ms(12))
    assert failures(changes, GAP) == [7]
    assert ids(changes, "@A1") == uses({"area": "A1"}, 5, 1)


def test_a_start_is_remembered_while_a_rule_is_put_aside_whatever_the_intervals_are_then() -> None:
    """A1 is silent since 5, with slow sensors since 6. Beyond the horizon a place of another rule rises: old groups are forgotten."""
    slow = [{**one, "interval": "120s"} if one["area"] == "A1" else one for one in facts()]
    kinds = {"A1": "vehicle", "A2": "cold-room", "A5": "vehicle"}
    areas = [{"id": area, "kind": kind} for area, kind in kinds.items()]
    more = [sensor("T5", "A5"), sensor("T6", "A5")]
    log = HandLog().register(-1, *facts(), *more, areas=areas)
    log = silent_area(log).register(12, *slow, *more, version=2, areas=areas).packs(13, BUNDLE)
    together(log, 13, 150, "T3", "T4", "T6").tick(181, "worker").tick(182, "worker")
    together(log, 183, 185, "T3", "T4", "T6").register(185, *facts(), *more, version=3, areas=areas).packs(185, BUNDLE)
    changes, _ = run(together(log, 185, 187, "T3", "T4", "T6"), lambda c: at(GAP, "T5")(c) and c.received < ms(150))
    assert failures(changes, GAP) == [9, 13]
    assert ids(changes, "@A2", INTERVAL), "old groups were forgotten"
    first, second = uses({"area": "A1"}, 5, 2)
    assert ids(changes, "@A1") == [first, *uses({"area": "A1"}, 6, 1), second]


def test_a_failed_step_forgets_nothing_of_other_rules() -> None:
    """When a place of another rule rises, A1 is forgotten: its rows came again. That raise fails."""
    log = together(vehicles().packs(10, WITHOUT_GAP), 10, 12, "T1", "T2")
    together(log, 10, 150, "T3", "T4").tick(181, "worker").tick(182, "worker")
    for chosen, left in ((at(INTERVAL, "@A2"), ["A1"]), (lambda _: False, [])):
        _, body = run(log, chosen)
        assert [group[1] for group in body.groups if group[0] == GAP] == left


@pytest.mark.parametrize(("most", "use"), [(1, 1), (64, 2)])
def test_starts_ahead_of_the_newest_row_are_bounded_and_the_oldest_is_forgotten(
    most: int, use: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T1 is silent since 5 with an interval of a minute, and since 6 with one of two minutes."""
    monkeypatch.setattr(failing, "MAX_STARTS", most)
    log = two_silent().register(12, *alone("120s"), version=2).packs(13, BUNDLE)
    log = together(log, 12, 20, "T3").register(20, *alone(), version=3).packs(21, BUNDLE)
    changes = folded(log.tick(22, "worker"), at(GAP, "T2"))
    starts = [(since(c.start), c.alarm) for c in changes if at(GAP, "T1")(c)]
    first = alarm_id(GAP, FACILITY, {"tag": "T1"}, ms(5))
    slow = alarm_id(GAP, FACILITY, {"tag": "T1"}, ms(6))
    assert starts == [(5, first), (6, slow), (5, alarm_id(GAP, FACILITY, {"tag": "T1"}, ms(5), use))]


def test_a_rule_that_fails_again_and_again_over_silent_places_leaves_little_behind() -> None:
    log = silent_area()
    for i in range(100):
        now = 12 + i / 60
        log.packs(now, BUNDLE).rows(now + 0.5 / 60, *[(tag, [now], [5.0 + i % 2]) for tag in ("T3", "T4", "T6")])
    changes, body = run(log, at(GAP, "T5"))
    assert ids(changes, "@A1") == uses({"area": "A1"}, 5, 101)
    assert len(ids(changes, "T1")) == 101
    assert [group[1] for group in body.groups if group[0] == GAP] == ["A1", "A1"]
    assert {tag: len(rows) for kind, rule, tag, rows in body.occurrences if rule == GAP} == {"T1": 1, "T2": 1}


def test_a_tag_that_vanishes_while_its_rule_is_put_aside_takes_its_books_along() -> None:
    log = two_silent().register(12, *alone()[1:], version=2)
    _, body = run(log, at(GAP, "T2"))
    assert [tag for _, rule, tag, _ in body.occurrences if rule == GAP] == []
    _, before = run(two_silent(), at(GAP, "T2"))
    assert [tag for _, rule, tag, _ in before.occurrences if rule == GAP] == ["T1"]


def test_a_start_that_rows_have_come_behind_is_not_remembered() -> None:
    """T1 was silent from 5 to 10; it sends until 11 when T2's silence fails."""
    log = together(HandLog().register(-1, *alone()), 0, 5, "T1", "T2", "T3")
    log = together(together(log, 5, 10, "T2", "T3"), 10, 12, "T1", "T3")
    changes, body = run(together(log, 12, 14, "T1", "T3"), at(GAP, "T2"))
    assert (failures(changes, GAP), len(ids(changes, "T1"))) == ([12], 1)
    assert [tag for _, rule, tag, _ in body.occurrences if rule == GAP] == []


def test_nothing_is_said_of_a_silence_that_was_put_aside_when_its_rows_come_late() -> None:
    log = together(two_silent().packs(12, BUNDLE), 12, 13, "T1", "T2", "T3")
    log.rows(13.5, ("T1", range(5, 12), [5.0] * 7)).tick(14)
    changes, _ = run(log, lambda c: at(GAP, "T2")(c) and c.received < ms(12))
    assert [(since(c.received), c.change.value) for c in changes if c.rule == GAP and place(c.subject) == "T1"] == [
        (7, "raised"), (9, "unknown"), (12, "cleared"), (12, "raised"), (12.1, "cleared"), (13.5, "retracted"),
    ]  # fmt: skip
    assert changes[-1].alarm == ids(changes, "T1")[1], "the second one was only late in coming; the first is over"


# -- what begins anew with what comes then ----------------------------------------------------------------------------
def test_rows_that_wait_when_the_packs_come_are_not_decided_by_the_pair_that_begins_anew() -> None:
    """Reversed from 3 to 5; its clearing fails. A late row of 2.5 and the packs come at one instant."""
    log = both(both(both(two(), range(3), 30), range(3, 5), 15), range(5, 9), 30)
    log.rows(9.5, ("P.B", [2.5], [30.0]), ("P.C", [2.5], [20.0])).packs(9.5, BUNDLE).tick(10, "worker")
    changes, _ = run(log, lambda c: c.rule == REVERSED and c.change == "cleared")
    assert failures(changes, REVERSED) == [7.5]
    assert told(changes, REVERSED) == [(4.5, "raised", 3, None), (7.5, "unknown", 3, None), (9.5, "cleared", 3, 9.5)]
    assert told(changes, LOW) == told(folded(log, lambda _: False), LOW)


def open_store() -> HandLog:
    log = HandLog().register(-1, sensor(limits={"low": 2, "high": 8}))
    return log.live("T1", 0, [5.0, 9.0, 9.0, 9.0, 9.0])


def end_of(changes: list[Change]) -> list[tuple[float | None, str, str]]:
    return [(since(c.received), c.rule, c.change.value) for c in changes if c.rule in {STORE, RULE_FAILED}][1:]


FAREWELL = [(RULE_FAILED, "raised"), (STORE, "unknown"), (STORE, "cleared"), (RULE_FAILED, "cleared")]


def test_a_rule_that_fails_when_it_leaves_has_ended_with_it() -> None:
    log = open_store().packs(6, WITHOUT_STORE).packs(7, WITHOUT_STORE).packs(8, BUNDLE)
    changes, _ = run(log, at(STORE, "T1", "cleared"))
    assert end_of(changes) == [(6, *one) for one in FAREWELL]
    assert {c.stage for c in changes if c.rule == STORE} == {"live"}


def test_state_of_an_engine_that_left_such_a_rule_put_aside_goes_on() -> None:
    """It ended with the next packs; where these did not have the rule, the fold stopped there for good."""
    engine, log = Engine(BUNDLE), open_store().packs(6, WITHOUT_STORE)
    with failing_at(at(STORE, "T1", "cleared")), patch.object(engine_module, "resume", lambda *_, **__: set()):
        changes = [change for record in log.records() for change in engine.fold(record)]
    assert end_of(changes) == [(6, *one) for one in FAREWELL[:2]]
    more = [c for c in engine.fold(log.packs(7, WITHOUT_STORE).records()[-1]) if c.rule in {STORE, RULE_FAILED}]
    assert [(c.rule, c.change.value, c.stage) for c in more] == [(*one, "live") for one in FAREWELL[2:]]
    assert more[0].version == changes[0].version


# -- rare records -----------------------------------------------------------------------------------------------------
def sensors(*days: str) -> list[dict[str, Any]]:
    """Return sensors that were found too wrong on these days."""
    found = []
    for i, day in enumerate(days, 1):
        calibration = {"done": day, "due": "2027-02-01", "points": [{"at": 5, "error": 0.6}]}
        found.append(sensor(f"T{i}", calibration=calibration))
    return found


def errors(changes: list[Change], where: str) -> list[tuple[float | None, str, str]]:
    return [
        (since(c.received), c.change.value, c.alarm) for c in changes if c.rule == ERROR and place(c.subject) == where
    ]


def test_alarms_of_a_check_that_were_taken_back_with_their_step_have_not_used_their_starts() -> None:
    """Both are wrong; what T2 says fails until the packs of 3, and takes along what T1 had said."""
    log = HandLog().register(0, *sensors("2026-02-01"), **FIRM)
    log.register(1, *sensors("2026-02-01", "2026-02-02"), version=2, **FIRM)
    log.packs(2, BUNDLE).packs(3, BUNDLE).packs(4, BUNDLE)
    changes, _ = run(log, lambda c: at(ERROR, "T2")(c) and c.received < ms(3))
    assert failures(changes, ERROR) == [1, 2]
    start = next(c.start for c in changes if c.rule == ERROR)
    first, second = (alarm_id(ERROR, FACILITY, {"tag": "T1"}, start, use) for use in (1, 2))
    assert errors(changes, "T1") == [
        (0, "raised", first),
        (1, "unknown", first),
        (2, "cleared", first),
        (3, "raised", second),
    ]
    assert [alarm[:2] for alarm in errors(changes, "T2")] == [(3, "raised")]


def test_an_alarm_of_a_check_that_another_one_failed_to_follow_is_not_lost() -> None:
    """The step that fails at 1 ends the alarm of the 1st and raises that of the 2nd: neither is told."""
    log = HandLog().register(0, *sensors("2026-02-01"), **FIRM).register(1, *sensors("2026-02-02"), version=2, **FIRM)
    changes, _ = run(log.packs(2, BUNDLE), lambda c: at(ERROR, "T1")(c) and ms(0) < c.received < ms(2))
    assert [one[:2] for one in errors(changes, "T1")] == [(0, "raised"), (1, "unknown"), (2, "cleared"), (2, "raised")]
    (first, *_, second) = errors(changes, "T1")
    assert {one[2] for one in errors(changes, "T1")[:3]} == {first[2]} != {second[2]}


def test_an_event_at_the_time_of_one_whose_rule_failed_raises_the_next_use() -> None:
    log = HandLog().register(0, sensor("T1"), sensor("T2"), **FIRM)
    posted(log, 5, event(4, fields={"system": "LIMS"}))
    posted(log, 6, event(5, fields={"system": "SCADA"}))
    posted(log.packs(7, BUNDLE), 8, event(4, fields={"system": "LIMS", "more": "1"}))
    posted(log, 9, event(5, fields={"system": "SCADA", "more": "1"}))
    changes, _ = run(log, lambda c: c.rule == DISABLED and c.received == ms(6))
    assert failures(changes, DISABLED) == [6]
    assert [(since(c.received), c.change.value) for c in changes if c.rule == DISABLED] == [
        (5, "raised"), (6, "unknown"), (7, "cleared"), (8, "raised"), (9, "raised"),
    ]  # fmt: skip
    named = [alarm_id(DISABLED, FACILITY, {"system": "LIMS"}, ms(4), use) for use in (1, 2)]
    assert [c.alarm for c in changes if c.rule == DISABLED and c.change == "raised"] == [
        *named,
        alarm_id(DISABLED, FACILITY, {"system": "SCADA"}, ms(5)),
    ]
