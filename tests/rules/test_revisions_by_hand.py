"""What is posted without effect, by hand, in minutes: what is said and shown, what is known again, and what else it has an effect on."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from pydantic import TypeAdapter, ValidationError

from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.instants import format_instant
from rules.pack import Bundle
from rules.rule import RevisionRule, Rule
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since
from tests.rules.failures import failing_at

RULE = "data-integrity.revision-conflict"
ONLY = BUNDLE.only({RULE})
DAY = 1440


def log() -> HandLog:
    return HandLog().register(-1, sensor())


def review(hand: HandLog, at: float, batches: Any = 3, *, name: str = "R-1", revision: int = 1, **more: Any) -> HandLog:
    """Append a quality review."""
    fields = {"product": "P-1", "period": "2025", "figures": {"batches": batches}}
    said = {"type": "quality-review", "id": name, "revision": revision, "sent": format_instant(ms(0)), "fields": fields}
    return hand.line(at, "report", said | more)


def amend(hand: HandLog, at: float, *readings: tuple[str, float], name: str = "A-1", revision: int = 1) -> HandLog:
    """Append an amendment of readings (tag, minute)."""
    said = [{"tag": tag, "time": format_instant(ms(t)), "old": 9.0, "new": 5.0} for tag, t in readings]
    made = format_instant(ms(max(t for _, t in readings)))
    return hand.line(at, "report", {
        "type": "amendment", "id": name, "revision": revision, "sent": made, "reason": "why",
        "fields": {"readings": said, "author": "u-1", "made_at": made},
    })  # fmt: skip


def batch(hand: HandLog, at: float, value: float, *, name: str = "b1", tag: str = "T1", t: float = 0) -> HandLog:
    """Append a batch of one reading."""
    series = [{"tag": tag, "time": [ms(t)], "value": [value]}]
    return hand.line(at, "readings", {"batch": name, "series": series})


def door(hand: HandLog, at: float, state: str, *, name: str = "e1") -> HandLog:
    """Append a batch of one event."""
    event = {
        "stream": "device",
        "type": "door",
        "time": format_instant(ms(0)),
        "source": "PLC-1",
        "fields": {"state": state},
    }
    return hand.line(at, "events", {"batch": name, "events": [event]})


def told(hand: HandLog, bundle: Bundle = ONLY) -> list[tuple[Any, ...]]:
    found = hand.changes(bundle=bundle)
    return [(since(c.received), c.change.value, c.subject["report"]) for c in found if c.rule == RULE]


def engine_of(hand: HandLog, bundle: Bundle = ONLY) -> Engine:
    engine = Engine(bundle)
    for record in hand.records():
        engine.fold(record)
    return engine


def rule(**members: Any) -> RevisionRule:
    shipped = ONLY.rule(RULE)
    assert isinstance(shipped, RevisionRule)
    said = shipped.model_dump(mode="json", by_alias=True, exclude_none=True)
    found = TypeAdapter(Rule).validate_python(said | members)
    assert isinstance(found, RevisionRule)
    return found


# -- what is said ---------------------------------------------------------------------------------------------------
def test_the_evidence_names_the_post_and_the_digests_of_both_contents() -> None:
    (raised,) = review(review(log(), 1), 2, 4).changes(bundle=ONLY)
    assert (raised.at, raised.received, raised.start, raised.late) == (ms(2), ms(2), ms(2), False)
    assert (raised.severity.value, raised.subject) == ("yellow", {"report": "R-1"})
    (leaf,) = raised.evidence.leaves
    assert (leaf.expr, leaf.op, leaf.verdict.value) == ("content of report R-1/1", "!=", "true")
    assert len(str(leaf.left)) == len(str(leaf.right)) == 16
    assert leaf.left != leaf.right
    assert [(one.kind, one.id) for one in raised.evidence.records] == [("report", "R-1/1"), ("register", "1")]
    assert raised.message.en == "R-1: Posted without effect: number, batch or revision in conflict"
    assert raised.message.zh == "R-1：提交内容未被采用：编号、批次或修订冲突"


@pytest.mark.parametrize(
    ("hand", "words", "kind", "name"),
    [
        (review(review(log(), 1), 2, revision=2), "reason of report R-1/2", "report", "R-1/2"),
        (review(review(log(), 1), 2, revision=2, reason="  "), "reason of report R-1/2", "report", "R-1/2"),
        (log().mark(1, "fault", 0).mark(2, "comms", 0), "content of mark M-1/1", "mark", "M-1/1"),
        (batch(batch(log(), 1, 5), 2, 6), "content of batch b1", "readings", "b1"),
        (door(door(log(), 1, "open"), 2, "closed"), "content of batch e1", "events", "e1"),
        (amend(log(), 2, ("T9", 1)), "data that report A-1/1 names", "report", "A-1/1"),
    ],
)
def test_each_fault_has_its_own_words_and_names_what_was_posted(
    hand: HandLog, words: str, kind: str, name: str
) -> None:  # fmt: skip
    (raised,) = hand.changes(bundle=ONLY)
    assert [leaf.expr for leaf in raised.evidence.leaves] == [words]
    assert next((one.kind, one.id) for one in raised.evidence.records) == (kind, name)
    assert raised.subject == {"report": name.partition("/")[0]}


def test_a_second_fault_is_the_same_alarm_and_one_behind_a_decision_another() -> None:
    hand = review(review(review(log(), 1), 2, 4), 3, 5)
    (raised,) = hand.changes(bundle=ONLY)
    closed = hand.line(4, "decision", {
        "id": "D-1", "version": 1, "subject": {"alarm": raised.alarm}, "code": "close-latched", "officer": "o-1",
        "revision_seen": 0, "reason_sha256": "0" * 64,
    })  # fmt: skip
    assert told(closed) == [(2, "raised", "R-1"), (4, "cleared", "R-1")]
    assert told(review(review(closed, 5, 4), 6, 5)) == told(closed)  # they came before
    found = review(closed, 7, 6).changes(bundle=ONLY)
    assert [(c.change.value, since(c.start)) for c in found] == [("raised", 2), ("cleared", 2), ("raised", 7)]
    assert found[1].evidence.recurrence == 2


def test_a_report_a_mark_and_a_batch_of_one_id_are_one_alarm() -> None:
    hand = batch(
        batch(log().mark(1, "fault", 0, name="X").mark(2, "comms", 0, name="X"), 3, 5, name="X"), 4, 6, name="X"
    )
    assert told(review(review(hand, 5, name="X"), 6, 9, name="X")) == [(2, "raised", "X")]


def test_what_holds_is_what_came_first() -> None:
    hand = batch(batch(log(), 1, 5), 2, 9, t=1).mark(3, "fault", 0).mark(4, "comms", 0)
    state = engine_of(hand).state_of(FACILITY)
    assert (state.conflicting, state.column("last_t").tolist()) == (1, [ms(0)])
    assert state.marks.by_id["M-1"].flag == "fault"


# -- what is none ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "hand",
    [
        review(review(log(), 1), 2),
        review(review(log(), 1), 2, 4, revision=2, reason="counted again"),
        review(review(log(), 1), 2, name="R-2"),
        review(review(log(), 1), 2, "many"),  # its type does not take it: it was not made
        review(log(), 2, revision=2, reason="its first one never came"),
        log().mark(1, "fault", 0).mark(2, "fault", 0),
        log().mark(1, "fault", 0, revision=2).mark(2, "comms", 0),
        log().mark(1, "fault", 0).mark(2, "comms", 0, revision=2),
        batch(batch(log(), 1, 5), 2, 5),
        batch(batch(log(), 1, 5), 2, 6, name="b2"),
        batch(batch(log(), 0, 5), DAY, 6),  # an id is known for a day
        door(door(log(), 1, "open"), 2, "open"),
        door(batch(log(), 1, 5, name="x"), 2, "open", name="x"),  # readings and events count apart
        amend(log(), 2, ("T1", 1)),
        amend(log(), 2, ("T9", 1), ("T1", 7)),
        review(review(HandLog(), 1), 2, 4).register(3, sensor()),  # nobody looked
    ],
)  # fmt: skip
def test_what_has_its_effect_or_came_before_is_not_told(hand: HandLog) -> None:
    assert told(hand) == []


def test_a_batch_id_is_known_up_to_a_day() -> None:
    assert told(batch(batch(log(), 0, 5), DAY - 1 / 60_000, 6)) == [(round(DAY - 1 / 60_000, 5), "raised", "b1")]


def test_so_is_a_mark_that_began_too_long_ago_to_hold() -> None:
    old = -70 * DAY
    assert told(log().mark(1, "fault", old, old + 9).mark(2, "comms", old, old + 9)) == [(2, "raised", "M-1")]


# -- amendments of nothing ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("t", "told_of"), [(7, []), (7 + 1 / 60_000, [(2, "raised", "A-1")])])
def test_a_reading_that_lies_five_minutes_ahead_can_have_come(t: float, told_of: list[Any]) -> None:
    assert told(amend(log(), 2, ("T1", t))) == told_of


@pytest.mark.parametrize(("t", "told_of"), [(3, []), (3 + 1 / 60_000, [(9, "raised", "A-1")])])
def test_of_a_sensor_that_has_left_it_is_one_up_to_its_newest_record(t: float, told_of: list[Any]) -> None:
    hand = batch(log(), 4, 5, t=3).register(5, sensor("T2"), version=2)
    assert told(amend(hand, 9, ("T1", t))) == told_of


def test_of_one_that_left_and_never_sent_none_is() -> None:
    assert told(amend(log().register(5, sensor("T2"), version=2), 9, ("T1", 1))) == [(9, "raised", "A-1")]


def test_it_has_no_effect_on_the_rule_over_late_amendments_but_that_its_number_is_taken() -> None:
    late = BUNDLE.only({RULE, "data-integrity.amendment-late"})
    hand = amend(log(), 60 * DAY, ("T9", 1))
    assert [c.rule for c in hand.changes(bundle=late)] == [RULE]
    hand = amend(hand, 61 * DAY, ("T1", 1))  # the same number, of a reading that came
    assert [(since(c.received), c.rule) for c in hand.changes(bundle=late)] == [(60 * DAY, RULE)]
    found = amend(hand, 62 * DAY, ("T1", 1), revision=2).changes(bundle=late)
    assert {c.rule for c in found if since(c.received) == 62 * DAY} == {"data-integrity.amendment-late"}


# -- bounds, and a rule that raises ---------------------------------------------------------------------------------
def test_batches_leave_room_for_reports_and_marks_and_what_finds_none_is_counted() -> None:
    hand = log()
    for i in range(3):
        batch(batch(hand, 2 * i, 5, name=f"b{i}"), 2 * i + 1, 6, name=f"b{i}")
    for i in range(3):
        review(review(hand, 10 + i, name=f"R-{i}"), 10 + i, 4, name=f"R-{i}")
    with patch.multiple("rules.rare.revisions", MAX_BATCHES=1, MAX_POSTED=3):
        assert told(hand) == [(1, "raised", "b0"), (10, "raised", "R-0"), (11, "raised", "R-1")]
        assert engine_of(hand).counters(0, FACILITY)["event_left_out"] == 3


def test_of_more_posts_than_are_kept_the_start_stays() -> None:
    hand = review(log(), 1, 0)
    for i in range(40):
        review(hand, 2 + i, i + 1)
    engine = engine_of(hand)
    (case,) = engine.state_of(FACILITY).rare.of(RULE).values()
    assert (len(case.facts), engine.counters(0, FACILITY)["fact_dropped"]) == (32, 8)
    assert told(review(hand, 99, 5)) == [(2, "raised", "R-1")]


def test_a_rule_that_raises_is_put_aside_and_the_report_still_counts() -> None:
    hand = review(review(log(), 1), 2, 4)
    with failing_at(lambda change: change.rule == RULE):
        found = hand.changes(bundle=ONLY)
    assert [(c.rule, c.change.value) for c in found] == [("register.rule-failed", "raised")]
    assert engine_of(hand).counters(0, FACILITY)["report_conflict"] == 1


def test_where_no_rule_asks_nothing_is_kept_of_a_report_that_none_reads() -> None:
    other = BUNDLE.only({"data-integrity.mark-late"})
    hand = review(log(), 1)
    assert not engine_of(hand, other).state_of(FACILITY).clocks.book.reports
    assert len(engine_of(hand).state_of(FACILITY).clocks.book.reports) == 1
    late = hand.packs(2, ONLY)
    assert told(review(late, 3, 4), bundle=other) == []  # it had not been there
    assert told(review(late, 4, 5), bundle=other) == [(4, "raised", "R-1")]


def test_packs_without_the_rule_end_its_alarms() -> None:
    hand = review(review(log(), 1), 2, 4).packs(3, BUNDLE.only({"data-integrity.mark-late"}))
    assert told(hand) == [(2, "raised", "R-1"), (3, "cleared", "R-1")]


# -- explanations ---------------------------------------------------------------------------------------------------
def explained(hand: HandLog, at: float) -> list[Any]:
    found, _ = explain(hand.records(), ONLY, RULE, at=ms(at))
    return found


def test_an_explanation_shows_the_posts_of_what_has_a_fault_and_of_nothing_else() -> None:
    hand = batch(review(review(review(log(), 1), 2, 4), 3, revision=2), 4, 5)
    (one,) = explained(hand, 9)
    assert (one.agrees, one.subject) == (True, {"report": "R-1"})
    assert [(event.batch, event.fate) for event in one.events] == [
        ("R-1/1", "folded"), ("R-1/1", "occasion"), ("R-1/2", "occasion"),
    ]  # fmt: skip
    en, zh = "\n".join(rare_lines(one, "en")), "\n".join(rare_lines(one, "zh"))
    assert "it fired: yellow since 2026-02-28T16:02:00.000Z; it stands until an officer's decision" in en
    assert "of = number, reason, batch, datum <- rule, data-integrity.revision-conflict 1.0.0" in en
    assert "posts (their own time, receive time, batch)" in en
    assert "reason: it revises without saying why" in en
    assert "修订未说明原因" in zh


def test_an_explanation_of_nothing_says_so() -> None:
    (one,) = explained(review(log(), 1), 9)
    assert "it did not fire; all that came has its effect" in "\n".join(rare_lines(one, "en"))
    assert (one.subject, one.agrees) == ({}, True)


def test_an_explanation_behind_a_decision_says_that_the_post_is_done_with() -> None:
    hand = amend(log(), 2, ("T9", 1))
    (raised,) = hand.changes(bundle=ONLY)
    hand.line(3, "decision", {
        "id": "D-1", "version": 1, "subject": {"alarm": raised.alarm}, "code": "breach", "officer": "o-1",
        "revision_seen": 0, "reason_sha256": "0" * 64,
    })  # fmt: skip
    (one,) = explained(hand, 9)
    assert ([event.fate for event in one.events], one.agrees) == (["done"], True)


# -- rule files -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"of": ["batch", "batch"]}, "/of"),
        ({"applies_to": {"area.kind": "cold-room"}}, "/applies_to/area.kind"),
        ({"severity": {"base": "yellow", "steps": [{"after": "2h", "to": "red"}]}}, "/severity/steps"),
    ],
)
def test_a_rule_that_makes_no_sense_is_a_fault(members: dict[str, Any], pointer: str) -> None:
    assert pointer in [fault.pointer.removeprefix("/rules/0") for fault in bundle_faults([rule(**members)], {})]


@pytest.mark.parametrize("members", [{"of": []}, {"of": ["visit"]}, {"of": "number"}, {"more": 1}])
def test_members_that_a_model_does_not_know_are_refused(members: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rule(**members)


def test_a_rule_asks_only_for_what_it_names() -> None:
    hand = batch(batch(review(review(log(), 1), 2, 4), 3, 5), 4, 6)
    assert told(hand, bundle=Bundle.of([rule(of=["batch"])], [])) == [(4, "raised", "b1")]
