"""Settings that nobody approved, by hand, in minutes: what comes late or again, what the register makes of it, and what is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from pydantic import TypeAdapter, ValidationError

from rules.changes import alarm_id
from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.layout import HORIZON_MS
from rules.packdiff import differences
from rules.rare import store
from rules.rule import FollowUpRule, Rule, is_latched
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, MINUTE, HandLog, ms, sensor, since

if TYPE_CHECKING:
    from rules.explain import Explanation
    from rules.explainrare import RareExplanation

RULE = "data-integrity.limit-widened"
LIMITS = {"low": 2, "high": 8}


def log(**facts: Any) -> HandLog:
    return HandLog().register(-1, sensor(**({"limits": LIMITS} | facts)))


def audit(hand: HandLog, at: float, kind: str, *, said: float | None = None, batch: str = "", **fields: Any) -> HandLog:
    """Append an audit event about T1 (or a named `asset`) that happened at `said` and is received at `at`."""
    event = {"stream": "audit", "type": kind, "time": ms(at if said is None else said), "source": "SCADA"}
    body = event | {"fields": {"asset": "T1"} | fields}
    return hand.line(at, "events", {"batch": batch or f"e{len(hand.lines)}", "events": [body]})


def limits(hand: HandLog, at: float, said: float | None = None, **sides: Any) -> HandLog:
    return audit(hand, at, "limit-changed", said=said, new=sides)


def told(hand: HandLog, until: float | None = None) -> list[tuple[Any, ...]]:
    changes = [c for c in hand.changes(until=until) if c.rule == RULE]
    return [(c.change.value, since(c.start), since(c.received)) for c in changes]


def books(hand: HandLog) -> Engine:
    engine = Engine(BUNDLE)
    for record in hand.records():
        engine.fold(record)
    return engine


def test_the_newest_approved_setting_ends_what_came_before_it_in_whatever_order_they_are_told() -> None:
    hand = limits(limits(limits(log(), 30, high=8), 40, said=10, high=8), 50, said=20, high=9)
    assert told(hand) == [("raised", 20, 50), ("cleared", 20, 50)], "the older of two approved ones takes nothing back"


def test_what_is_set_back_at_the_same_instant_stands() -> None:
    hand = limits(limits(log(), 10, high=9), 11, said=10, high=8)
    assert told(hand) == [("raised", 10, 10)]
    assert told(limits(hand, 12, said=10 + 1 / MINUTE, high=8))[1:] == [("cleared", 10, 12)]


def test_a_wider_change_upon_a_wide_one_changes_nothing_told_and_the_register_has_to_hold_both() -> None:
    hand = limits(limits(log(), 10, high=9), 20, high=10)
    assert told(hand) == [("raised", 10, 10)]
    hand.register(30, sensor(limits={"low": 2, "high": 9}), version=2)
    assert told(hand)[1:] == [("amended", 20, 30)]
    hand.register(40, sensor(limits={"low": 2, "high": 10}), version=3)
    assert told(hand)[2:] == [("cleared", 20, 40)]


def test_a_register_that_gets_narrower_accuses_nothing_that_was_changed_before_it() -> None:
    hand = limits(log(), 10, high=8).register(20, sensor(limits={"low": 2, "high": 7}), version=2)
    limits(hand, 30, said=10, high=8)
    assert told(hand) == [], "told again it is the same event"
    assert told(limits(hand, 40, high=8)) == [("raised", 40, 40)]


def test_a_register_without_limits_says_nothing_of_them_and_still_of_the_alarm() -> None:
    hand = audit(limits(log(), 10, high=9), 20, "alarm-disabled").register(30, sensor(), version=2)
    assert told(hand) == [("raised", 10, 10)], "one of both is still known"
    audit(hand, 40, "alarm-enabled")
    assert told(hand)[1:] == [("unknown", 10, 40)]
    audit(hand, 50, "alarm-disabled")
    assert told(hand)[2:] == [("known", 10, 50)]


def test_a_limit_that_the_register_has_no_more_is_held() -> None:
    hand = limits(log(), 10, high=9).register(20, sensor(limits={"low": 2}), version=2)
    assert told(hand) == [("raised", 10, 10), ("cleared", 10, 20)]


def test_an_asset_that_leaves_the_register_ends_it_and_its_changes_are_not_raised_again() -> None:
    hand = limits(log(), 10, high=9).register(20, sensor("T2"), version=2)
    limits(hand, 25, high=9).register(30, sensor(limits=LIMITS), version=3)
    limits(hand, 40, said=10, high=9)
    assert told(hand) == [("raised", 10, 10), ("cleared", 10, 20)]
    assert books(hand).counters(0, FACILITY)["event_duplicate"] == 1


def test_what_is_about_an_asset_that_is_registered_only_later_is_no_alarm() -> None:
    hand = HandLog().register(-1, sensor(limits=LIMITS, **{"from": "2026-03-01T00:12:00+08:00"}))
    limits(hand, 10, said=13, high=9)
    assert told(hand, 60) == []


def test_packs_without_the_rule_end_it_and_their_return_does_not_raise_what_was_told() -> None:
    without = BUNDLE.only({rule.id for rule in BUNDLE.rules} - {RULE})
    hand = limits(log(), 10, high=9).packs(20, without).packs(30, BUNDLE)
    limits(hand, 40, said=10, high=9)
    assert told(hand) == [("raised", 10, 10), ("cleared", 10, 20)]
    assert told(limits(hand, 50, high=9))[2:] == [("raised", 50, 50)]


def test_the_same_start_again_is_another_alarm() -> None:
    hand = limits(limits(limits(log(), 10, high=9), 20, high=8), 30, said=10, high=9.5)
    raised = [c for c in hand.changes() if c.rule == RULE and c.change == "raised"]
    assert [c.alarm for c in raised] == [alarm_id(RULE, FACILITY, {"asset": "T1"}, ms(10), use) for use in (1, 2)]


def test_no_officer_ends_it() -> None:
    hand = limits(log(), 10, high=9)
    alarm = alarm_id(RULE, FACILITY, {"asset": "T1"}, ms(10))
    said = {"id": "D-1", "version": 1, "subject": {"alarm": alarm}, "code": "close-latched", "officer": "o-1",
            "revision_seen": 1, "reason_sha256": "0" * 64}  # fmt: skip
    assert told(hand.line(20, "decision", said), 60) == [("raised", 10, 10)]
    assert not is_latched(BUNDLE.rule(RULE), {"asset": "T1"})
    assert is_latched(BUNDLE.rule("cold-chain.power-no-alarm"), {"area": "A1"})


def test_late_is_what_is_told_more_than_two_hours_behind_its_time() -> None:
    for delay, late in ((120, False), (120 + 1 / MINUTE, True)):
        (raised,) = [c for c in limits(log(), 10 + delay, said=10, high=9).changes() if c.rule == RULE]
        assert (since(raised.start), raised.late) == (10, late)
    assert HORIZON_MS == 120 * MINUTE


def test_the_sentences_and_the_evidence() -> None:
    hand = audit(log(), 10, "limit-changed", batch="told", new={"low": None}, old={"low": 2})
    hand.register(20, sensor(), version=2).register(30, sensor(limits=LIMITS), version=3)
    limits(limits(hand, 35, said=5, high=9), 40, low=2, high=8)
    found = [c for c in hand.changes() if c.rule == RULE]
    assert [(c.change.value, c.message.en.split("; ")[-1], c.message.zh.split("；")[-1]) for c in found] == [
        ("raised", "T1: Limit widened or alarm switched off without approval", "T1：未经批准放宽限值或关闭报警"),
        ("unknown", "nothing is registered to compare it with, the condition is unknown", "缺少可比对的登记信息，状态未知"),
        ("known", "the registered fact is there again", "登记信息已补齐"),
        ("amended", "its start moved to the earliest change that stands", "开始时间已改为仍有效的最早一次更改"),
        ("cleared", "it was set back, or is registered now", "已恢复，或现已登记"),
    ]  # fmt: skip
    said = [
        (leaf.expr, leaf.left, leaf.op, leaf.right, leaf.verdict.value) for c in found for leaf in c.evidence.leaves
    ]
    assert said == [
        ("low limit of T1", "none", "<", 2, "true"),
        ("low limit of T1", "none", "<", None, "unknown"),
        ("low limit of T1", "none", "<", 2, "true"),
        ("high limit of T1", 9, ">", 8, "true"),
        ("high limit of T1", 9, ">", 8, "false"),
    ]
    assert [(r.kind, r.id) for r in found[0].evidence.records] == [("events", "told"), ("register", "1")]
    (off,) = [c for c in audit(log(), 10, "alarm-disabled").changes() if c.rule == RULE]
    (leaf,) = off.evidence.leaves
    assert (leaf.expr, leaf.left, leaf.op, leaf.right) == ("alarm of T1", "off", "!=", "on")


def said(one: RareExplanation | Explanation) -> dict[str, str | None]:
    """Return the verdicts of an explanation's leaves."""
    return {leaf.name: None if seen is None else seen.verdict.value for leaf, seen in one.leaves}


def test_it_is_explained() -> None:
    hand = limits(limits(log(), 10, high=9), 20, high=8)
    audit(audit(hand, 30, "alarm-disabled"), 31, "alarm-disabled", said=30)
    audit(hand, 32, "limit-changed", asset="A1", new={"high": 20})
    found, _ = explain(hand.records(), BUNDLE, RULE, at=ms(40))
    (one,) = [e for e in found if e.subject == {"asset": "T1"}]
    assert [told.fate for told in one.events] == ["done", "heard", "occasion", "again"]
    assert said(one) == {
        "event": "true", "asset": "true", "wider": "false", "off": "true", "restored": "false", "held": "false",
    }  # fmt: skip
    assert one.agrees
    assert one.facts["area.kind"] == "cold-room"
    text = "\n".join(rare_lines(one, "both"))
    assert "it fired: orange" in text
    assert "the alarm is switched off" in text
    assert "报警被关闭" in text
    assert "officer" not in text
    for at, restored in ((15, "false"), (25, "true")):
        found, _ = explain([r for r in hand.records() if r.received <= ms(at)], BUNDLE, RULE, at=ms(at))
        assert said(found[0])["restored"] == restored
    held, _ = explain(
        limits(log(), 10, high=9).register(20, sensor(limits={"high": 9}), version=2).records(), BUNDLE, RULE, at=ms(20)
    )
    assert said(held[0])["held"] == "true"
    found, _ = explain(hand.records(), BUNDLE, RULE, at=ms(5))
    assert "no event came that it means" in "\n".join(rare_lines(found[0], "en"))


def test_it_is_explained_of_an_area_and_a_device() -> None:
    devices = [{"id": "HORN", "area": "A1"}]
    hand = HandLog().register(-1, sensor(), devices=devices)
    audit(audit(hand, 10, "alarm-disabled", asset="A1"), 11, "alarm-disabled", asset="HORN")
    found, _ = explain(hand.records(), BUNDLE, RULE, at=ms(20))
    assert {e.subject["asset"]: (e.facts["area.kind"], e.standing_alarm is not None) for e in found} == {
        "A1": ("cold-room", True), "HORN": ("cold-room", True),
    }  # fmt: skip


def test_of_many_changes_the_earliest_and_the_newest_are_kept() -> None:
    with patch.object(store, "MAX_CHANGES", 3):
        hand = log()
        for i in range(6):
            limits(hand, 10 + i, high=9 + i)
        engine = books(hand)
        case = engine.state_of(FACILITY).rare.of(RULE)['{"asset": "T1"}']
        assert [since(fact.t) for fact in case.facts] == [10, 14, 15]
        assert engine.counters(0, FACILITY)["fact_dropped"] == 3
        limits(hand, 30, said=11, high=10)
        assert books(hand).counters(0, FACILITY)["event_duplicate"] == 1, "what was dropped is known again"


def test_a_facility_of_which_no_setting_is_told_keeps_nothing_of_it() -> None:
    hand = audit(log(), 10, "action", verb="change")
    audit(hand, 11, "limit-changed", asset="T9", new={"high": 20})
    assert RULE not in books(hand).state_of(FACILITY).rare.cases


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"settings": None}, "/settings"),
        ({"approved_by": None}, "/approved_by"),
        ({"settings": ["alarm", "alarm"]}, "/settings"),
        ({"within": 60_000}, "/within"),
        ({"silent": 60_000}, "/silent"),
        ({"allowed": 60_000}, "/allowed"),
        ({"first": BUNDLE.rule("cold-chain.power-no-alarm").first}, "/first"),
        ({"then": BUNDLE.rule("cold-chain.power-no-alarm").then}, "/then"),
        ({"applies_to": {"sensor.quantity": "temperature"}}, "/applies_to/sensor.quantity"),
        ({"migration": "re-evaluate"}, "/migration"),
    ],
)
def test_what_contradicts_itself_is_a_fault(change: dict[str, Any], pointer: str) -> None:
    shipped = BUNDLE.rule(RULE)
    assert shipped is not None
    assert bundle_faults([shipped], []) == []
    assert f"/rules/0{pointer}" in [f.pointer for f in bundle_faults([shipped.model_copy(update=change)], [])]


@pytest.mark.parametrize("name", ["settings", "approved_by"])
def test_a_rule_that_waits_approves_nothing(name: str) -> None:
    waits = BUNDLE.rule("cold-chain.power-no-alarm")
    shipped = BUNDLE.rule(RULE)
    assert waits is not None
    wrong = waits.model_copy(update={name: getattr(shipped, name)})
    assert [f.pointer for f in bundle_faults([wrong], [])] == [f"/rules/0/{name}"]


@pytest.mark.parametrize("name", ["first", "then", "within"])
def test_a_rule_that_waits_needs_what_it_waits_for(name: str) -> None:
    waits = BUNDLE.rule("cold-chain.power-no-alarm")
    assert isinstance(waits, FollowUpRule)
    said = waits.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={name})
    with pytest.raises(ValidationError) as error:
        TypeAdapter(Rule).validate_python(said)
    assert [(e["type"], e["loc"]) for e in error.value.errors()] == [("missing", ("follow_up", name))]


def test_another_set_of_settings_is_a_change_that_carries() -> None:
    shipped = BUNDLE.rule(RULE)
    assert shipped is not None
    old = BUNDLE.only({RULE})
    new = type(old).of(
        [shipped.model_copy(update={"settings": ["limits"], "version": "1.1.0"})],
        old.tables.values(),
        (),
        old.calendars.values(),
    )
    (found,) = differences(old, new)
    assert found.migrations == ((RULE, "carry"),)
