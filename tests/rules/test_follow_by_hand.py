"""Excursions that nothing on the spot told, by hand, in minutes: starts that move, alarms that are taken back, what is kept."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from unittest.mock import patch

import pytest
from pydantic import TypeAdapter, ValidationError

from rules.changes import alarm_id
from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.instants import format_instant
from rules.pack import Bundle
from rules.rare import followed, store
from rules.records import SEMANTICS, Kind, LogRecord, StateRecord
from rules.rule import FollowUpRule, Rule
from rules.snapshot import FORMAT
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since

RULE, OUT = "cold-chain.excursion-no-alarm", "cold-chain.store-out"
DAY = 1440
STORE = [{"field": "distribution", "line": "drug"}]


def rule() -> FollowUpRule:
    found = BUNDLE.rule(RULE)
    assert isinstance(found, FollowUpRule)
    return found


def log(*sensors: dict[str, Any], **facts: Any) -> HandLog:
    return HandLog().register(-1, *(sensors or [sensor()]), **({"scopes": STORE} | facts))


def device(
    hand: HandLog, at: float, kind: str = "heartbeat", *, said: float | None = None, area: str = "A1", who: str = "HORN", **fields: Any
) -> HandLog:  # fmt: skip
    event = {"stream": "device", "type": kind, "time": ms(at if said is None else said), "source": "PLC", "device": who}
    return hand.line(
        at, "events", {"batch": f"e{len(hand.lines)}", "events": [event | {"area": area, "fields": fields}]}
    )


def horn(hand: HandLog, at: float, state: str = "on", *, said: float | None = None, who: str = "HORN") -> HandLog:
    return device(hand, at, "alarm", said=said, who=who, cause="temperature", state=state)


def outside(hand: HandLog, begin: int, many: int = 3, *, tag: str = "T1", before: int = 3) -> HandLog:
    """Append rows a minute apart, inside and then outside from `begin` on, each received as it is taken."""
    return hand.live(tag, begin - before, [5.0] * before + [9.0] * many, delay=0)


def told(hand: HandLog, until: float | None = None, name: str = RULE, bundle: Bundle = BUNDLE) -> list[tuple[Any, ...]]:
    changes = [c for c in hand.changes(until=until, bundle=bundle) if c.rule == name]
    return [(c.change.value, since(c.start), since(c.received)) for c in changes]


def test_a_start_that_moves_before_it_is_decided_is_decided_at_its_new_time() -> None:
    hand = outside(device(log(), 1), 10)
    hand.rows(13, ("T1", [10.5], [5.0]))
    assert told(hand, 30, OUT)[:2] == [("raised", 10, 11), ("amended", 11, 13)]
    assert told(hand, 30) == [("raised", 11, 17)]


def test_a_start_that_moves_far_back_before_it_is_decided_is_decided_by_the_clock() -> None:
    hand = device(log(), 1).live("T1", 1, [5.0] * 2, delay=0)
    hand.live("T1", 10, [9.0] * 3, delay=0).rows(12.5, ("T1", [4, 5, 6, 7, 8, 9], [9.0] * 6))
    assert told(hand, 30, OUT)[:2] == [("raised", 10, 11), ("amended", 4, 12.5)]
    assert told(hand, 30) == [("raised", 4, 12.5)]
    (raised,) = [c for c in hand.changes(until=30) if c.rule == RULE]
    assert raised.at == raised.received
    horn(hand, 12.5, said=5)
    assert told(hand, 30) == [], "what comes at the same instant is heard before"


def test_a_start_that_moves_on_is_no_alarm_until_its_own_time_is_over() -> None:
    hand = outside(device(log(), 1), 10, 7)
    hand.rows(16.5, ("T1", [10.5, 11.5, 12.5, 13.5, 14.5], [5.0] * 5))
    assert told(hand, 30, OUT)[:2] == [("raised", 10, 11), ("amended", 15, 16.5)]
    assert told(hand, 30) == [("raised", 10, 16), ("retracted", 10, 16.5), ("raised", 15, 21)]
    ids = [c.alarm for c in hand.changes(until=30) if c.rule == RULE and c.change == "raised"]
    assert ids == [alarm_id(RULE, FACILITY, {"tag": "T1"}, ms(at)) for at in (10, 15)]


def test_a_start_that_moves_into_the_time_of_an_alarm_on_the_spot_takes_it_back() -> None:
    hand = outside(horn(device(log(), 1), 4), 10, 12)
    horn(hand, 22, "off", said=4.9)
    assert told(hand, 22) == [("raised", 10, 22)]
    hand.rows(23, ("T1", [9.5], [9.0]))
    assert told(hand, 60, OUT)[:2] == [("raised", 10, 11), ("amended", 9.5, 23)]
    assert told(hand, 60)[1:] == [("retracted", 10, 23)]


def test_an_excursion_that_is_taken_back_takes_this_one_back_in_the_same_record() -> None:
    hand = outside(device(log(), 1), 10, 2).live("T1", 12, [5.0] * 10, delay=0)
    hand.rows(25, ("T1", [10.5], [5.0]))
    changes = [c for c in hand.changes(until=60) if c.rule in {RULE, OUT}]
    assert [(c.rule, c.change.value, since(c.received)) for c in changes] == [
        (OUT, "raised", 11), (OUT, "cleared", 14), (RULE, "raised", 16), (OUT, "retracted", 25), (RULE, "retracted", 25),
    ]  # fmt: skip
    assert changes[-1].source == changes[-2].source
    assert [r.id for r in changes[-1].evidence.records if r.kind == "register"] == ["1"]
    assert not [
        c for c in outside(device(log(), 1), 10, 2).rows(12, ("T1", [10.5], [5.0])).changes(until=60) if c.rule == RULE
    ]


def test_an_alarm_on_the_spot_that_had_ended_raises_it_when_that_is_told() -> None:
    hand = outside(horn(log(), 1), 10)
    assert told(hand, 60) == []
    assert told(horn(hand, 61, "off", said=3), 90) == [("raised", 10, 61)]
    assert told(horn(hand, 62, said=4), 90)[1:] == [("retracted", 10, 62)]


def test_it_is_late_where_the_excursion_is_and_not_where_that_takes_its_time() -> None:
    slow = rule().model_copy(update={"reads": ["cold-chain.warm-10h"], "alarm": "cold-chain.warm-10h"})
    packs = Bundle.of([*(r for r in BUNDLE.rules if r.id != RULE), slow], BUNDLE.tables.values())
    hand = device(log(), 1).live("T1", 1, [5.0, 5.0] + [9.0] * 620, delay=0)
    (raised,) = [c for c in hand.changes(until=700, bundle=packs) if c.rule == RULE]
    assert (since(raised.start), since(raised.received), raised.late) == (3, 603, False)
    stored = device(log(), 1).live("T1", 1, [5.0, 5.0], delay=0).live("T1", 300, [5.0] * 2, delay=0)
    stored.rows(310, ("T1", [100, 101, 102, 103], [9.0] * 4))
    device(stored, 311, said=105)
    (raised,) = [c for c in stored.changes(until=400) if c.rule == RULE]
    assert (since(raised.start), since(raised.received), raised.late) == (100, 311, True)


def test_a_sensor_that_leaves_or_a_room_that_is_gone_changes_nothing_that_was_told() -> None:
    hand = outside(device(log(sensor(), sensor("T2", "A2")), 1), 10)
    horn(hand, 12, "on", who="BELL", said=2)
    horn(hand, 12, "off", who="BELL", said=3)
    hand.register(20, sensor("T2", "A2"), version=2, scopes=STORE)
    engine = Engine(BUNDLE)
    for record in hand.records():
        engine.fold(record)
    assert told(hand, 60) == [("raised", 10, 16)]
    assert {key for key in engine.state_of(FACILITY).rare.areas if key[0] == RULE} == set(), (
        "nothing is kept of a room that is gone"
    )
    hand = outside(device(log(sensor(), sensor("T2", "A2")), 1), 10)
    horn(hand, 12, said=2).register(20, sensor(), sensor("T2", "A2"), version=2, scopes=STORE)
    assert told(device(hand, 21), 60) == [], "what a room's devices told outlasts a register"
    assert told(horn(hand, 22, "off", said=3), 60) == [("raised", 10, 22)]


def test_it_says_nothing_of_an_excursion_that_was_raised_before_it_came() -> None:
    without = BUNDLE.only({r.id for r in BUNDLE.rules} - {RULE})
    hand = device(log(), 1).packs(2, without)
    outside(hand, 10).packs(14, BUNDLE)
    device(hand, 15)
    hand.rows(16, ("T1", [10.5], [5.0]))
    assert told(hand, 60, OUT)[:2] == [("raised", 10, 11), ("amended", 11, 16)]
    assert told(hand, 60) == []
    hand = outside(device(log(), 1), 10).packs(18, without)
    assert told(hand, 60) == [("raised", 10, 16), ("cleared", 10, 18)]


def test_a_rule_that_fails_does_not_put_aside_the_one_that_it_reads() -> None:
    with patch.object(followed, "begin", side_effect=RuntimeError):
        changes = [
            c for c in outside(device(log(), 1), 10).changes(until=60) if c.rule in {RULE, OUT, "register.rule-failed"}
        ]
    assert [(c.rule, c.change.value, c.subject) for c in changes] == [
        (OUT, "raised", {"tag": "T1"}), ("register.rule-failed", "raised", {"system": RULE}), (OUT, "unknown", {"tag": "T1"}),
    ]  # fmt: skip


def test_an_officer_ends_it_and_a_start_that_moves_then_changes_nothing() -> None:
    hand = outside(device(log(), 1), 10)
    said = {"id": "D-1", "version": 1, "subject": {"alarm": alarm_id(RULE, FACILITY, {"tag": "T1"}, ms(10))},
            "code": "close-latched", "officer": "o-1", "revision_seen": 1, "reason_sha256": "0" * 64}  # fmt: skip
    hand.line(20, "decision", said).rows(21, ("T1", [10.5], [5.0]))
    assert told(hand, 60) == [("raised", 10, 16), ("cleared", 10, 20)]


def test_the_sentences_and_the_evidence() -> None:
    hand = outside(device(log(), 1), 10)
    horn(hand, 20, said=12)
    raised, retracted = [c for c in hand.changes(until=60) if c.rule == RULE]
    assert raised.message.en == "T1: Cold room outside its limits and no alarm on the spot"
    assert raised.message.zh == "T1：冷库超温而现场未报警"
    assert retracted.message.en.endswith("what was missed has come, it never held")
    missed, of = raised.evidence.leaves
    assert (missed.expr, missed.op, missed.right, missed.verdict) == (
        "device alarm at cold-chain.store-out of T1",
        "within",
        "5m",
        "false",
    )
    assert (of.expr, of.left, of.op) == (f"{OUT} of T1", alarm_id(OUT, FACILITY, {"tag": "T1"}, ms(10)), "since")
    assert [r.kind for r in retracted.evidence.records] == ["events", "register"]


def test_it_is_explained() -> None:
    hand = outside(device(log(sensor(), sensor("T2")), 1), 10)
    outside(hand, 40, tag="T2")
    found, _ = explain(hand.records(), BUNDLE, RULE, at=ms(42))
    first, second = found
    assert [(e.subject, [t.fate for t in e.events]) for e in found] == [
        ({"tag": "T1"}, ["occasion"]),
        ({"tag": "T2"}, ["awaited"]),
    ]
    assert first.agrees
    assert second.awaited is not None
    assert second.awaited.decided == ms(46)
    assert [(leaf.name, None if seen is None else seen.verdict.value) for leaf, seen in first.leaves] == [
        ("raised", "true"), ("followed", "false"),
    ]  # fmt: skip
    assert [number["name"] for number in first.numbers()] == ["within_before", "within", "silent", "allowed"]
    text = "\n".join(rare_lines(first, "both"))
    assert "it fired: orange" in text
    assert "cold-chain.store-out raises an alarm" in text
    assert "or still on then" in text
    assert "或当时仍持续" in text
    horn(hand, 43, said=39)
    found, _ = explain(hand.records(), BUNDLE, RULE, at=ms(60))
    assert [[t.fate for t in e.events] for e in found] == [["occasion"], ["answered"]]
    lonely = outside(log(), 10)
    found, _ = explain(lonely.records(), BUNDLE, RULE, at=ms(60))
    assert [t.fate for t in found[0].events] == ["unheard"]


def test_it_is_explained_from_a_saved_state_on() -> None:
    engine = Engine(BUNDLE)
    for record in outside(device(log(), 1), 10).records():
        engine.fold(record)
    changes = engine.advance(0, ms(20))
    assert [c.change.value for c in changes if c.rule == RULE] == ["raised"]
    snapshot = engine.snapshot(0, FACILITY)
    seed = StateRecord(
        format=FORMAT, semantics=SEMANTICS, packs=BUNDLE.sha256, clock=format_instant(ms(20)), seq=engine.state_of(FACILITY).seq,
        snapshot=base64.b64encode(snapshot).decode(), checksum=hashlib.sha256(snapshot).hexdigest(),
    )  # fmt: skip
    found, _ = explain([LogRecord(0, 0, ms(20), Kind.STATE, FACILITY, seed)], BUNDLE, RULE, at=ms(30))
    (one,) = found
    assert [told.fate for told in one.events] == ["occasion"]


def test_alarms_are_kept_within_bounds_and_those_that_nothing_can_move_go() -> None:
    hand = device(log(), 1)
    for i in range(4):
        outside(hand, 10 + 20 * i, 2)
        hand.live("T1", 12 + 20 * i, [5.0] * 6, delay=0)
        horn(hand, 19 + 20 * i, said=10 + 20 * i)
        horn(hand, 19.5 + 20 * i, "off", said=11 + 20 * i)

    def kept(many: int) -> list[float | None]:
        with patch.object(store, "MAX_FACTS", many):
            engine = Engine(BUNDLE)
            for record in hand.records():
                engine.fold(record)
            return [since(fact.t) for fact in engine.state_of(FACILITY).rare.of(RULE)['{"tag": "T1"}'].facts]

    assert kept(256) == [10, 30, 50, 70]
    assert kept(2) == [50, 70]
    outside(hand, 11 * DAY, 2)
    assert kept(256) == [11 * DAY]


def test_a_device_that_is_heard_makes_no_more_of_what_counts() -> None:
    with patch.object(followed, "_is_missed", wraps=followed._is_missed) as asked:
        hand = outside(device(log(), 1), 10)
        for i in range(20):
            device(hand, 20 + i)
        assert told(hand, 60) == [("raised", 10, 16)]
    assert asked.call_count == 1


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"first": rule().then}, "/first"),
        ({"before": True}, "/before"),
        ({"lasts_until": rule().then}, "/lasts_until"),
        ({"settings": ["alarm"]}, "/settings"),
        ({"alarm": None, "first": rule().then}, "/within_before"),
        ({"alarm": None, "first": rule().then}, "/lasts_until"),
        ({"alarm": "data-integrity.gap"}, "/alarm"),
        ({"alarm": "cold-chain.power-no-alarm"}, "/alarm"),
    ],
)
def test_what_contradicts_itself_is_a_fault(change: dict[str, Any], pointer: str) -> None:
    others = [one for one in BUNDLE.rules if one.id != RULE]
    tables = list(BUNDLE.tables.values())
    assert bundle_faults([rule(), *others], tables) == []
    assert bundle_faults([rule()], []) == [], "a rule that is not here raises nothing"
    assert f"/rules/0{pointer}" in [
        f.pointer for f in bundle_faults([rule().model_copy(update=change), *others], tables)
    ]


def test_the_rule_that_it_follows_up_stands_in_reads() -> None:
    said = rule().model_dump(mode="json", by_alias=True, exclude_none=True) | {"reads": []}
    with pytest.raises(ValidationError, match="also named in reads"):
        TypeAdapter(Rule).validate_python(said)
