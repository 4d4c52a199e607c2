"""What devices tell of themselves against the register, by hand, in minutes: what comes late or again, and what is kept of it."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from rules.changes import alarm_id
from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.layout import NEVER
from rules.rare import store
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since

SERIAL, CONFIG = "register.serial-changed", "register.config-hash"
DAY = 1440
DECIDED = DAY + 1
"""A day and the delivery time behind an event."""
OLD, NEW, OTHER = "0a1b2c3d", "deadbeef", "beadfeed"


def log(**facts: Any) -> HandLog:
    return HandLog().register(-1, sensor(**({"serial": "S-1", "config_hash": OLD} | facts)))


def device(
    hand: HandLog, at: float, kind: str, *, said: float | None = None, batch: str = "", **fields: Any
) -> HandLog:
    """Append an event of T1 (or of a `point` that is named) that happened at `said` and is received at `at`."""
    event = {"stream": "device", "type": kind, "time": ms(at if said is None else said), "source": "PLC-1"}
    body = event | {"fields": {"point": "T1"} | fields}
    return hand.line(at, "events", {"batch": batch or f"e{len(hand.lines)}", "events": [body]})


def serial(hand: HandLog, at: float, word: str, **more: Any) -> HandLog:
    return device(hand, at, "serial", serial=word, **more)


def config(hand: HandLog, at: float, word: str, **more: Any) -> HandLog:
    return device(hand, at, "config", hash=word, **more)


def told(hand: HandLog, rule: str, until: float | None = None) -> list[tuple[Any, ...]]:
    changes = [c for c in hand.changes(until=until) if c.rule == rule]
    return [(c.change.value, since(c.start), since(c.received)) for c in changes]


def counters(hand: HandLog) -> dict[str, int]:
    engine = Engine(BUNDLE)
    for record in hand.records():
        engine.fold(record)
    return engine.counters(0, FACILITY)


def test_a_setting_that_was_put_back_before_it_was_told_is_told_and_ended_once() -> None:
    hand = config(log(), 30, OLD)
    for said in (20, 19, 21, 20):
        config(hand, 40, NEW, said=said)
    assert told(hand, CONFIG, 60) == [("raised", 20, 40), ("cleared", 20, 40)]
    assert counters(hand)["event_duplicate"] == 3
    assert told(config(hand, 50, NEW), CONFIG, 60)[2:] == [("raised", 50, 50)]


def test_what_was_registered_and_is_told_late_moves_nothing_back() -> None:
    hand = config(config(config(log(), 30, OLD), 40, OLD, said=10), 50, NEW, said=20)
    assert told(hand, CONFIG, 60) == [("raised", 20, 50), ("cleared", 20, 50)]


def test_late_is_what_is_first_told_more_than_two_hours_behind_its_time() -> None:
    for delay, late in ((120, False), (121, True)):
        (raised,) = [c for c in config(log(), 10 + delay, NEW, said=10).changes() if c.rule == CONFIG]
        assert (since(raised.start), raised.late) == (10, late)
    (raised,) = [c for c in serial(log(), 10, "S-2").changes(until=DECIDED + 10) if c.rule == SERIAL]
    assert (since(raised.received), raised.late) == (10 + DECIDED, False)


def test_an_earlier_event_that_comes_late_moves_the_start() -> None:
    hand = config(config(log(), 30, NEW), 40, NEW, said=20)
    assert told(hand, CONFIG, 60) == [("raised", 30, 30), ("amended", 20, 40)]


def test_an_alarm_goes_on_with_the_next_stranger() -> None:
    hand = config(config(log(), 10, NEW), 20, OTHER)
    hand.register(30, sensor(serial="S-1", config_hash=NEW), version=2)
    assert told(hand, CONFIG, 60) == [("raised", 10, 10), ("amended", 20, 30)]
    hand.register(40, sensor(serial="S-1", config_hash=OTHER), version=3)
    assert told(hand, CONFIG, 60)[2:] == [("cleared", 20, 40)]


def test_a_register_that_changes_accuses_nothing_that_was_told_before_it() -> None:
    hand = config(log(), 10, OLD).register(20, sensor(config_hash=NEW), version=2)
    assert told(hand, CONFIG, 3 * DAY) == []
    assert told(config(hand, 30, OLD), CONFIG, 40) == [("raised", 30, 30)]


def test_a_register_that_names_the_serial_in_time_is_all_that_was_awaited() -> None:
    hand = serial(log(), 10, "S-2").register(DECIDED + 9, sensor(serial="S-2"), version=2)
    assert told(hand, SERIAL, 10 * DAY) == []
    late = serial(log(), 10, "S-2").register(DECIDED + 10, sensor(serial="S-2"), version=2)
    assert told(late, SERIAL, 10 * DAY) == [("raised", 10, DECIDED + 10), ("cleared", 10, DECIDED + 10)]


def test_a_replacement_behind_a_day_of_silence_takes_the_alarm_back_and_the_register_has_its_week() -> None:
    hand = device(serial(log(), 10, "S-2"), 2 * DAY, "replacement", said=20, old="S-1", new="S-2")
    found = told(hand, SERIAL, 9 * DAY)
    assert found == [("raised", 10, 10 + DECIDED), ("retracted", 10, 2 * DAY), ("raised", 10, 10 + DECIDED + 7 * DAY)]
    ids = [c.alarm for c in hand.changes(until=9 * DAY) if c.rule == SERIAL and c.change == "raised"]
    assert ids == [alarm_id(SERIAL, FACILITY, {"tag": "T1"}, ms(10), use) for use in (1, 2)]


def test_without_a_registered_serial_what_was_awaited_waits() -> None:
    hand = serial(log(), 10, "S-2").register(20, sensor(), version=2)
    assert told(hand, SERIAL, 5 * DAY) == []
    hand.register(3 * DAY, sensor(serial="S-1"), version=3)
    assert told(hand, SERIAL, 5 * DAY) == [("raised", 10, 3 * DAY)]
    hand = serial(serial(serial(log(), 10, "S-2"), 12, "S-1"), 15, "S-3").register(20, sensor(), version=2)
    hand.register(3 * DAY, sensor(serial="S-1"), version=3)
    assert told(hand, SERIAL, 5 * DAY) == [("raised", 15, 3 * DAY)], "since the one that stands"


def test_a_hash_that_is_judged_when_the_register_gives_one_again_waits_a_day_for_the_next() -> None:
    bare = sensor(**{"from": "2026-03-01T00:20:00+08:00"})
    hand = HandLog().register(-1, sensor(config_hash=OLD), bare)
    config(hand, 25, NEW, said=10).register(30, sensor(config_hash=OLD), version=2)
    assert told(hand, CONFIG, DAY + 30) == [("raised", 10, 30)]
    assert told(hand, CONFIG, DAY + 31)[1:] == [("unknown", 10, DAY + 30.00002)]


def test_a_sensor_that_leaves_the_register_ends_it_and_what_was_told_is_not_told_again() -> None:
    hand = config(log(), 10, NEW, batch="first").register(20, sensor("T2"), version=2)
    config(hand, 25, NEW).register(30, sensor(config_hash=OLD), version=3)
    config(hand, 40, NEW, said=10)
    assert told(hand, CONFIG, 60) == [("raised", 10, 10), ("cleared", 10, 20)]
    assert counters(hand)["event_stale"] == 1
    again = [c.alarm for c in config(hand, 50, NEW).changes() if c.rule == CONFIG and c.change == "raised"]
    assert len(set(again)) == 2


def test_packs_without_the_rule_end_it_and_their_return_does_not_raise_what_was_told() -> None:
    without = BUNDLE.only({rule.id for rule in BUNDLE.rules} - {CONFIG})
    hand = config(log(), 10, NEW).packs(20, without).packs(30, BUNDLE)
    config(hand, 40, NEW, said=10)
    assert told(hand, CONFIG, 60) == [("raised", 10, 10), ("cleared", 10, 20)]
    assert told(config(hand, 50, NEW), CONFIG, 60)[2:] == [("raised", 50, 50)]


def test_no_officer_ends_it() -> None:
    hand = config(log(), 10, NEW)
    alarm = alarm_id(CONFIG, FACILITY, {"tag": "T1"}, ms(10))
    said = {"id": "D-1", "version": 1, "subject": {"alarm": alarm}, "code": "close-latched", "officer": "o-1",
            "revision_seen": 1, "reason_sha256": "0" * 64}  # fmt: skip
    assert told(hand.line(20, "decision", said), CONFIG, 60) == [("raised", 10, 10)]


def test_the_sentences_and_the_evidence() -> None:
    hand = config(log(), 10, NEW, batch="told").tick(DAY + 20)
    config(hand, 2 * DAY, NEW).register(2 * DAY + 1, sensor(serial="S-1", config_hash=NEW), version=2)
    found = [c for c in hand.changes() if c.rule == CONFIG]
    assert [c.change.value for c in found] == ["raised", "unknown", "known", "cleared"]
    assert [c.message.en.split("; ")[-1] for c in found] == [
        "T1: Configuration of a device is not the registered one",
        "the registered fact, or what the device tells, is missing: the condition is unknown",
        "it is registered and told again",
        "it is what is registered",
    ]
    assert [c.message.zh.split("；")[-1] for c in found] == [
        "T1：设备配置与登记不符", "缺少登记信息或设备上报，状态未知", "登记信息与设备上报已恢复", "已与登记一致",
    ]  # fmt: skip
    (leaf,) = found[0].evidence.leaves
    assert (leaf.expr, leaf.left, leaf.op, leaf.right) == ("config hash of T1", NEW, "!=", OLD)
    assert [(r.kind, r.id) for r in found[0].evidence.records] == [("events", "told"), ("register", "1")]
    hand = device(serial(log(), 10, "S-2"), 2 * DAY, "replacement", said=20, old="S-1", new="S-2")
    raised, retracted = [c for c in hand.changes() if c.rule == SERIAL]
    assert [leaf.verdict.value for leaf in raised.evidence.leaves] == ["true", "false"]
    assert [leaf.verdict.value for leaf in retracted.evidence.leaves] == ["true", "true"]
    assert retracted.message.en.endswith("its replacement had been declared")
    assert retracted.message.zh.endswith("更换已申报，该报警不成立")


def test_a_flood_of_serials_fills_the_room_of_its_case_and_does_not_end_the_alarm() -> None:
    hand, engine = serial(log(), 10, "S-2"), Engine(BUNDLE)
    for n in range(100):
        serial(hand, DECIDED + 11 + n, f"X-{n}")
    changes = [change for record in hand.records() for change in engine.fold(record)] + engine.advance(0, ms(9 * DAY))
    assert [(c.change.value, since(c.start)) for c in changes if c.rule == SERIAL] == [("raised", 10)]
    (case,) = engine.state_of(FACILITY).rare.of(SERIAL).values()
    assert len(case.facts) == store.MAX_TOLD
    assert engine.counters(0, FACILITY)["fact_dropped"] == 101 - store.MAX_TOLD


def test_what_is_done_with_makes_room_for_another_point() -> None:
    hand = log().register(0, sensor(serial="S-1"), sensor("T2", serial="S-1"), version=2)
    serial(serial(hand, 10, "S-2"), 11, "S-2", point="T2")
    hand.register(20, sensor(serial="S-2"), sensor("T2", serial="S-1"), version=3)
    serial(hand, 30, "S-2", point="T2")
    with patch.object(store, "MAX_CHECKED", 1):
        found = told(hand, SERIAL, 2 * DAY)
        assert found == [("raised", 30, 30 + DECIDED)]
        assert counters(hand)["event_left_out"] == 1


def test_nothing_is_kept_of_what_is_not_registered_or_tells_nothing() -> None:
    hand = HandLog().register(-1, sensor())
    serial(config(serial(hand, 1, "S-1"), 2, NEW), 3, "S-1", point="T9")
    device(device(hand, 4, "heartbeat", serial="S-2"), 5, "serial", serial=7)
    other = {
        "stream": "audit",
        "type": "config",
        "time": ms(6),
        "source": "PLC-1",
        "fields": {"point": "T2", "hash": NEW},
    }
    hand.register(6, sensor(), sensor("T2", config_hash=OLD), version=2).line(
        7, "events", {"batch": "a", "events": [other]}
    )
    config(hand, 8, OLD, point="T2").register(9, sensor(), version=3)
    engine = Engine(BUNDLE)
    for record in hand.records():
        engine.fold(record)
    rare = engine.state_of(FACILITY).rare
    assert (rare.of(SERIAL), rare.of(CONFIG)) == ({}, {})
    bare = Engine(BUNDLE.only({rule.id for rule in BUNDLE.rules} - {SERIAL, CONFIG}))
    for record in hand.records():
        bare.fold(record)
    assert rare.pack() == bare.state_of(FACILITY).rare.pack()


def test_an_explanation_names_what_was_told_and_what_is_awaited() -> None:
    hand = serial(serial(log(), 5, "S-1"), 10, "S-2")
    (one,) = explain(hand.records(), BUNDLE, SERIAL, at=ms(60))[0]
    assert [(event.fate, since(event.t)) for event in one.events] == [("heard", 5), ("awaited", 10)]
    assert (one.phase, one.agrees) == ("pending", True)
    verdicts = {leaf.name: None if seen is None else seen.verdict.value for leaf, seen in one.leaves}
    assert verdicts == {"event": "true", "point": "true", "differs": "true", "replaced": "unknown", "named": None}
    assert [(n["name"], n["value"]) for n in one.numbers()] == [("within", "1d"), ("grace", "7d"), ("allowed", "2d")]
    assert "decided at 2026-03-01T16:11:00.000Z" in "\n".join(rare_lines(one, "en"))
    hand.tick(2 * DAY)
    (one,) = explain(hand.records(), BUNDLE, SERIAL, at=ms(2 * DAY))[0]
    assert [event.fate for event in one.events] == ["heard", "occasion"]
    said = "\n".join(rare_lines(one, "zh"))
    assert "已报警：橙色" in said
    assert "replaced: 前后 1d 内有更换记录" in said
    assert due_of(hand) == NEVER


def due_of(hand: HandLog) -> int:
    engine = Engine(BUNDLE)
    for record in hand.records():
        engine.fold(record)
    (case,) = engine.state_of(FACILITY).rare.of(SERIAL).values()
    return case.due


@pytest.mark.parametrize(
    ("rule", "change", "pointer"),
    [(SERIAL, {"within": None}, "/within"), (SERIAL, {"grace": None}, "/grace"), (SERIAL, {"allowed": None}, "/allowed"),
     (SERIAL, {"silent": 60_000}, "/silent"), (CONFIG, {"silent": None}, "/silent"), (CONFIG, {"within": 60_000}, "/within"),
     (CONFIG, {"applies_to": {"sensor.quantity": "temperature"}}, "/applies_to/sensor.quantity")],
)  # fmt: skip
def test_a_rule_that_could_mean_nothing_is_refused(rule: str, change: dict[str, Any], pointer: str) -> None:
    shipped = BUNDLE.rule(rule)
    assert shipped is not None
    assert bundle_faults([shipped], []) == []
    assert f"/rules/0{pointer}" in [f.pointer for f in bundle_faults([shipped.model_copy(update=change)], [])]
