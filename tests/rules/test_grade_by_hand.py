"""Alarms that ask for another grade, by hand, in minutes: what counts as one, what counts no more, who ends it, what lint and explanations say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from rules.changes import alarm_id
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.lint import lint
from rules.pack import SHIPPED
from rules.rare import grade
from rules.rule import GradeRule, is_latched
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since

if TYPE_CHECKING:
    from pathlib import Path

RULE, RED, ORANGE = "risk.step-up", "data-integrity.audit-disabled", "data-integrity.full-rights"
HOUR, DAY = 60, 1440
RISK = {"grade": "B", "since": "2025-01-01"}


def firm(*sensors: dict[str, Any], **facts: Any) -> HandLog:
    return HandLog().register(0, *sensors, **({"risk": RISK} | facts))


def audit(hand: HandLog, at: float, name: str, *, red: bool = False, said: float | None = None) -> HandLog:
    """Append a disabled audit trail (red), or a change by an administrator (orange)."""
    fields = {"system": name} if red else {"actor": name, "role": "administrator", "verb": "change"}
    word = "audit-disabled" if red else "action"
    event = {
        "stream": "audit",
        "type": word,
        "time": ms(at if said is None else said),
        "source": "LIMS",
        "fields": fields,
    }
    return hand.line(at, "events", {"batch": f"e{len(hand.lines)}", "events": [event]})


def decided(hand: HandLog, at: float, code: str, subject: dict[str, str]) -> HandLog:
    said = {"id": f"D-{at}", "version": 1, "subject": subject, "code": code, "officer": "o-1",
            "revision_seen": 1, "reason_sha256": "0" * 64}  # fmt: skip
    return hand.line(at, "decision", said)


def told(hand: HandLog, *, until: float | None = None) -> list[tuple[Any, ...]]:
    found = [c for c in hand.changes(until=until) if c.rule == RULE]
    return [(c.change.value, since(c.start), since(c.received)) for c in found]


def test_two_orange_ones_are_too_few_and_one_that_is_red_is_enough() -> None:
    hand = audit(audit(firm(), 10, "a"), 20, "b")
    assert told(hand) == []
    assert told(audit(hand, 30, "s", red=True)) == [("raised", 30, 30)]


def test_the_same_alarm_counts_once_however_often_it_comes() -> None:
    hand = firm()
    for at in (10, 20, 30, 40):
        audit(hand, at, "a")
    assert told(hand) == []


@pytest.mark.parametrize("ahead", [1 / 60_000, 2, 4.9])
def test_a_red_alarm_of_a_source_whose_clock_runs_ahead_counts(ahead: float) -> None:
    assert told(audit(firm(), 10, "s", red=True, said=10 + ahead)) == [("raised", 10, 10)]


def test_the_window_is_thirty_days_before_the_third_to_the_millisecond() -> None:
    third = 10 + 30 * DAY
    hand = audit(audit(firm(), 10, "a"), 20, "b")
    assert told(audit(hand, third, "c")) == [("raised", third, third)]
    hand = audit(audit(firm(), 10, "a"), 20, "b")
    assert told(audit(hand, third + 1 / 60_000, "c")) == []


def test_it_stands_when_what_was_counted_has_left_the_window() -> None:
    hand = audit(firm(), 10, "s", red=True)
    assert told(audit(hand, 90 * DAY, "a"), until=100 * DAY) == [("raised", 10, 10)]


@pytest.mark.parametrize("code", ["grade-signed", "grade-refused"])
def test_signed_or_refused_it_ends_and_what_was_counted_is_done_with(code: str) -> None:
    hand = audit(audit(firm(), 10, "s", red=True), 15, "a")
    decided(hand, 20, code, {"grade": FACILITY})
    audit(audit(hand, 30, "b"), 40, "c")
    ended = [("raised", 10, 10), ("cleared", 10, 20)]
    assert told(hand) == ended
    assert told(audit(hand, 50, "d")) == [*ended, ("raised", 50, 50)]


def test_counting_begins_anew_also_where_nothing_stood() -> None:
    hand = decided(audit(audit(firm(), 10, "a"), 20, "b"), 30, "grade-refused", {"grade": FACILITY})
    assert told(audit(hand, 40, "c")) == []


@pytest.mark.parametrize("code", ["false-alarm", "equipment-fault", "marked-state", "duplicate"])
def test_what_an_officer_calls_no_breach_counts_no_more(code: str) -> None:
    alarm = alarm_id(ORANGE, FACILITY, {"actor": "a"}, ms(10))
    hand = decided(audit(firm(), 10, "a"), 15, code, {"alarm": alarm})
    audit(audit(hand, 20, "b"), 30, "c")
    assert told(hand) == []
    assert told(audit(hand, 40, "d")) == [("raised", 40, 40)]


def test_a_breach_that_is_closed_counts_on() -> None:
    alarm = alarm_id(ORANGE, FACILITY, {"actor": "a"}, ms(10))
    hand = decided(audit(firm(), 10, "a"), 15, "breach", {"alarm": alarm})
    assert told(audit(audit(hand, 20, "b"), 30, "c")) == [("raised", 30, 30)]


def test_what_is_called_false_takes_back_what_stands_and_what_came_since_may_be_enough() -> None:
    first = alarm_id(RED, FACILITY, {"system": "s"}, ms(10))
    hand = audit(audit(firm(), 10, "s", red=True), 20, "t", red=True)
    decided(hand, 30, "false-alarm", {"alarm": first})
    assert told(hand) == [("raised", 10, 10), ("retracted", 10, 30), ("raised", 30, 30)]


def test_sensors_of_a_room_that_are_outside_at_once_are_one_and_one_after_the_other_two() -> None:
    room = [sensor(f"T{i}", limits={"low": 2, "high": 8}) for i in (1, 2, 3)]
    at_once = firm(*room)
    for i in (1, 2, 3):
        at_once.live(f"T{i}", 10 + i, [5, 9, 9, 9])
    assert [c.rule for c in at_once.changes() if c.severity.value == "orange" and c.change.value == "raised"] != []
    assert told(at_once) == []
    after = firm(*room)
    for i in (1, 2, 3):
        after.live(f"T{i}", 10 * i, [5, 9, 9, 5, 5, 5])
    assert [kind for kind, *_ in told(after)] == ["raised"]


def test_without_a_grade_nothing_is_raised() -> None:
    hand = audit(HandLog().register(0), 10, "s", red=True)
    assert told(hand) == []
    assert told(hand.register(20, version=2, risk=RISK)) == []  # counting begins with the grade
    assert told(audit(hand, 30, "t", red=True)) == [("raised", 30, 30)]


def test_alarms_of_the_packs_that_are_left_out_do_not_count() -> None:
    due = firm(risk={"grade": "D", "since": "2024-01-01", "last_visit": "2024-01-01"})
    found = due.changes(until=DAY)
    assert any(c.rule == "risk.visit-overdue" for c in found)
    assert not any(c.rule == RULE for c in found)


def test_too_many_alarms_the_oldest_go() -> None:
    hand = firm()
    with patch.object(grade, "MAX_FACTS", 2):
        for i, name in enumerate("abcd"):
            audit(hand, 10 + i, name)
        assert told(hand) == [], "of three the first had gone"


def test_the_evidence_names_what_was_counted() -> None:
    hand = audit(audit(audit(firm(), 10, "a"), 20, "b"), 30, "c")
    (raised,) = [c for c in hand.changes() if c.rule == RULE]
    alarms = {c.alarm for c in hand.changes() if c.rule == ORANGE}
    assert {read.id for read in raised.evidence.records if read.kind == "alarm"} == alarms
    assert [(leaf.expr, leaf.left) for leaf in raised.evidence.leaves] == [
        ("red alarms", 0.0), ("orange and red alarms", 3.0), ("risk grade", "B"),
    ]  # fmt: skip
    assert (raised.severity.value, raised.subject, raised.message.en) == ("blue", {}, "Risk grade to be stepped up")
    (one,), _ = explain(hand.records(), BUNDLE, RULE, at=ms(40))
    assert one.agrees
    assert [told.fate for told in one.events] == ["occasion"] * 3
    assert all(rare_lines(one, lang) for lang in ("en", "zh"))


def test_as_it_ships() -> None:
    rule = BUNDLE.rule(RULE)
    assert isinstance(rule, GradeRule)
    assert (rule.stage, rule.red, rule.orange, rule.window) == ("live", 1, 3, 30 * DAY * 60_000)
    assert not is_latched(rule, {})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("without: [risk, register]", "without: [register]", "grade: without: its own pack risk is one of them"),
        ("window: 30d", "window: 1h", ": window: "),
        ("orange: 3", "orange: 0", ": orange: "),
        ("leave_out: [false-alarm, ", "leave_out: [breach, ", ": leave_out/0: "),
        ("applies_to: {}", "applies_to: {sensor.quantity: toc}", "predicate: applies_to/sensor.quantity: "),
    ],
)
def test_lint(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (SHIPPED / "risk" / "step-up.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "risk").mkdir()
    (tmp_path / "risk" / "step-up.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    found = [str(fault) for fault in lint([tmp_path])]
    assert any(said in one for one in found), found
