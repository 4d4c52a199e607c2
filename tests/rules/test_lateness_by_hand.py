"""Marks that come too late, by hand, in minutes: what is said and shown, what a closed front door excuses, which rule files are refused."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from pydantic import TypeAdapter, ValidationError

from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.leaves.lateness import told_of
from rules.pack import Bundle
from rules.rule import LatenessRule, Rule
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since
from tests.rules.failures import failing_at

RULE = "data-integrity.mark-late"
ONLY = BUNDLE.only({RULE})
DAY = 1440
MONTHS = 100 * DAY


def log(*sensors: dict[str, Any]) -> HandLog:
    return HandLog().register(-1, *(sensors or [sensor()]))


def told(hand: HandLog, *, until: float | None = None, bundle: Bundle = ONLY) -> list[tuple[Any, ...]]:
    found = hand.changes(until=until, bundle=bundle)
    return [(since(c.received), c.change.value, c.subject["tag"], since(c.start)) for c in found if c.rule == RULE]


def engine_of(hand: HandLog, bundle: Bundle = ONLY) -> Engine:
    engine = Engine(bundle)
    for record in hand.records():
        engine.fold(record)
    return engine


def rule(**members: Any) -> LatenessRule:
    shipped = ONLY.rule(RULE)
    assert isinstance(shipped, LatenessRule)
    said = shipped.model_dump(mode="json", by_alias=True, exclude_none=True)
    found = TypeAdapter(Rule).validate_python(said | members)
    assert isinstance(found, LatenessRule)
    return found


# -- what is said ---------------------------------------------------------------------------------------------------
def test_the_evidence_names_the_mark_when_it_came_and_when_its_time_was_over() -> None:
    hand = log().mark(2 * DAY, "fault", 0, 60)
    (raised,) = hand.changes(bundle=ONLY)
    assert (raised.at, raised.received, raised.start, raised.late) == (ms(2 * DAY), ms(2 * DAY), ms(DAY), False)
    proof = raised.evidence.model_dump(mode="json", exclude_none=True)
    assert proof["leaves"] == [
        {"expr": "time until mark M-1/1", "left": 48.0, "op": "beyond", "right": "24h", "unit": "h", "verdict": "true"},
        {
            "expr": "received", "left": "2026-03-02T16:00:00.000Z", "op": ">", "right": "2026-03-01T16:00:00.000Z",
            "verdict": "true",
        },
    ]  # fmt: skip
    assert proof["records"] == [{"kind": "mark", "id": "M-1/1"}, {"kind": "register", "id": "1"}]
    assert proof["marks"] == ["M-1/1"]
    assert raised.message.en == "T1: A state was marked too late"
    assert raised.message.zh == "T1：异常状态标记过迟"


def test_an_earlier_time_that_was_over_amends_it_and_the_first_mark_is_named_before_the_deciding_one() -> None:
    hand = log().mark(5 * DAY, "fault", 2 * DAY, 3 * DAY, name="A").mark(6 * DAY, "fault", 0, 60, name="B")
    raised, amended = hand.changes(bundle=ONLY)
    assert (amended.alarm, amended.change.value, since(amended.start)) == (raised.alarm, "amended", DAY)
    assert [(one.kind, one.id) for one in amended.evidence.records] == [("mark", "B/1"), ("register", "1")]
    assert (amended.evidence.marks, amended.evidence.recurrence) == (["B/1", "A/1"], 2)
    assert amended.message.en == "T1: A state was marked too late; its start is the earliest time that was over"


def test_what_had_been_marked_before_the_rule_was_in_force_is_not_judged_and_its_revision_is_not_late() -> None:
    shadow = rule(stage="draft")
    hand = log().mark(60, "fault", 0).mark(2 * DAY, "fault", 0, name="OLD")
    hand.packs(3 * DAY, ONLY).mark(4 * DAY, "fault", 0, 3 * DAY, revision=2).mark(5 * DAY, "fault", 0, 60, name="NEW")
    assert told(hand, bundle=Bundle.of([shadow], [])) == [(5 * DAY, "raised", "T1", DAY)]


def test_packs_without_the_rule_end_its_alarms_and_it_begins_anew_with_another_id() -> None:
    other = BUNDLE.only({"register.unknown-tag"})
    hand = log().mark(2 * DAY, "fault", 0, 60).packs(3 * DAY, other).packs(4 * DAY, ONLY)
    hand.mark(5 * DAY, "fault", 0, 60, name="M-2")
    found = hand.changes(bundle=ONLY)
    assert [(since(c.received), c.change.value) for c in found] == [
        (2 * DAY, "raised"), (3 * DAY, "cleared"), (5 * DAY, "raised"),
    ]  # fmt: skip
    assert found[0].alarm != found[2].alarm


def test_a_mark_of_an_area_is_about_the_sensors_that_stood_there() -> None:
    hand = log(sensor("T1", "A1"), sensor("T2", "A2"))
    hand.register(2 * DAY, sensor("T1", "A2"), sensor("T2", "A2"), version=2, areas=[{"id": "A1", "kind": "cold-room"}, {"id": "A2", "kind": "cold-room"}])  # fmt: skip
    hand.mark(3 * DAY, "stopped", 0, DAY, area="A1")
    assert told(hand) == [(3 * DAY, "raised", "T1", DAY)]


def test_a_mark_says_nothing_before_the_facility_is_registered() -> None:
    hand = HandLog().mark(0, "fault", -3 * DAY).register(1, sensor()).mark(2, "fault", -3 * DAY, 0, revision=2)
    assert told(hand) == []


# -- what is forgotten ----------------------------------------------------------------------------------------------
def test_a_mark_that_was_forgotten_and_comes_again_is_not_late() -> None:
    hand = log().mark(60, "fault", 0, 120).mark(MONTHS, "fault", MONTHS - 1, MONTHS, name="M-2")
    hand.mark(MONTHS + 1, "fault", 0, 120)
    assert "M-1" not in engine_of(hand).state_of(FACILITY).marks.by_id
    assert told(hand) == []


def test_a_revision_of_a_mark_that_was_forgotten_is_judged_by_what_it_had_declared() -> None:
    hand = log().mark(60, "fault", 10, 120).mark(MONTHS, "fault", MONTHS - 1, MONTHS, name="M-2")
    later = HandLog.mark(hand, MONTHS + 1, "fault", 10, 120, revision=2)
    assert told(later) == []
    assert told(later.mark(MONTHS + 2, "fault", 9, 120, revision=3)) == [(MONTHS + 2, "raised", "T1", DAY + 9)]


# -- marks that are stretched ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(("came", "late"), [(DAY + 60, False), (DAY + 60.001, True), (40 * DAY, True)])
def test_a_closed_mark_that_is_stretched_declares_what_lies_behind_its_old_end(came: float, late: bool) -> None:
    """Found by fresh eyes: ten minutes marked in time hid ten days that were declared four weeks later."""
    hand = log().mark(30, "stopped", 0, 60).mark(came, "stopped", 0, 10 * DAY, revision=2)
    assert told(hand) == ([(came, "raised", "T1", DAY + 60)] if late else [])


def test_the_evidence_counts_from_the_old_end() -> None:
    (raised,) = log().mark(30, "stopped", 0, 60).mark(2 * DAY, "stopped", 0, DAY, revision=2).changes(bundle=ONLY)
    taken, received = raised.evidence.leaves
    assert (taken.left, taken.expr) == (47.0, "time until mark M-1/2")
    assert received.right == "2026-03-01T17:00:00.000Z"


def test_time_that_was_taken_away_and_is_given_back_is_declared_when_it_is_given_back() -> None:
    hand = (
        log()
        .mark(30, "stopped", 0)
        .mark(50, "stopped", 0, 50, revision=2)
        .mark(5 * DAY, "stopped", 0, 4 * DAY, revision=3)
    )
    assert told(hand) == [(5 * DAY, "raised", "T1", DAY + 50)]


@pytest.mark.parametrize(("begin", "end"), [(0, 60), (0, 30), (10, 60), (10, 20)])
def test_a_revision_within_what_was_declared_is_never_late(begin: float, end: float) -> None:
    assert told(log().mark(30, "stopped", 0, 60).mark(9 * DAY, "stopped", begin, end, revision=2)) == []


def test_the_end_of_an_open_mark_is_no_declaration_and_opening_a_closed_one_is() -> None:
    assert told(log().mark(30, "stopped", 0).mark(9 * DAY, "stopped", 0, 8 * DAY, revision=2)) == []
    hand = log().mark(30, "stopped", 0, 60).mark(9 * DAY, "stopped", 0, revision=2)
    assert told(hand) == [(9 * DAY, "raised", "T1", DAY + 60)]


def test_a_mark_that_is_moved_wholly_behind_itself_is_judged_by_its_own_beginning() -> None:
    hand = log().mark(30, "stopped", 0, 60).mark(9 * DAY, "stopped", 2 * DAY, 3 * DAY, revision=2)
    assert told(hand) == [(9 * DAY, "raised", "T1", 3 * DAY)]


def test_a_stretch_of_a_room_is_about_the_sensors_that_stood_there_behind_the_old_end() -> None:
    rooms = [{"id": "A1", "kind": "cold-room"}, {"id": "A2", "kind": "cold-room"}]
    hand = log(sensor("T1", "A1"), sensor("T2", "A1")).mark(30, "stopped", 0, 60, area="A1")
    hand.register(DAY, sensor("T1", "A1"), sensor("T2", "A2"), version=2, areas=rooms)
    hand.mark(9 * DAY, "stopped", 0, DAY, area="A1", revision=2).mark(
        20 * DAY, "stopped", 0, 3 * DAY, area="A1", revision=3
    )
    assert told(hand) == [
        (9 * DAY, "raised", "T1", DAY + 60), (9 * DAY, "raised", "T2", DAY + 60),
    ]  # fmt: skip


def test_an_explanation_says_which_time_is_new() -> None:
    hand = log().mark(30, "stopped", 0, 60).mark(2 * DAY, "stopped", 0, DAY, revision=2)
    first, second = list(told_of(rule(), hand.records()))
    assert first.verdicts == (True, True, False)
    assert second.verdicts == (True, True, True)
    new = second.leaves[1]
    assert (new.left, new.right) == (
        "2026-02-28T16:00:00.000Z - 2026-03-01T16:00:00.000Z", "2026-02-28T16:00:00.000Z - 2026-02-28T17:00:00.000Z",
    )  # fmt: skip


def test_of_a_mark_one_beginning_is_remembered_however_often_it_is_revised() -> None:
    hand = log().mark(60, "fault", 0, 120, name="A")
    for i in range(70):
        hand.mark(61 + i, "fault", 10, 120, name="B", revision=i + 1)
    hand.mark(MONTHS, "fault", MONTHS - 1, MONTHS, name="C").mark(MONTHS + 1, "fault", 0, 120, name="A")
    assert told(hand) == []


def test_what_a_revision_took_from_a_sensor_is_declared_anew() -> None:
    hand = log(sensor("T1"), sensor("T2")).mark(60, "fault", 0, tags=["T1", "T2"])
    hand.mark(70, "fault", 0, 120, revision=2, tags=["T1"])
    hand.mark(MONTHS, "fault", MONTHS - 1, MONTHS, name="M-2")
    hand.mark(MONTHS + 1, "fault", 0, 120, revision=3, tags=["T1", "T2"])
    assert told(hand) == [(MONTHS + 1, "raised", "T2", DAY)]


def test_a_mark_that_was_too_old_when_its_sensor_was_not_registered_and_comes_again_is_no_news() -> None:
    """Found by chance: the rule kept numbers by sensor, and so knew nothing of it."""
    hand = log(sensor("T2")).mark(60, "fault", -70 * DAY, 0, tags=["T1"]).register(61, sensor("T1"), version=2)
    assert told(hand.mark(4 * DAY, "fault", -70 * DAY, 0, tags=["T1"])) == []
    hand.mark(5 * DAY, "fault", -70 * DAY, 0, tags=["T1"], revision=2)
    assert told(hand) == []
    assert told(hand.mark(6 * DAY, "fault", -71 * DAY, 0, tags=["T1"], revision=3)) == [
        (6 * DAY, "raised", "T1", -70 * DAY)
    ]


def test_an_older_revision_of_a_mark_that_was_forgotten_says_nothing() -> None:
    """Found by chance: its newest revision named another sensor and a time long ago, so that the books had let go of it."""
    hand = log(sensor("T1"), sensor("T2")).mark(60, "comms", 0, 60, tags=["T1"])
    hand.mark(61, "fault", -70 * DAY, -69 * DAY, revision=3, tags=["T2"]).mark(62, "fault", 0, 1, name="M-2")
    hand.mark(3 * DAY, "fault", 0, 60, revision=2, tags=["T1"])
    assert told(hand) == [(61, "raised", "T2", -69 * DAY)]


def test_of_more_marks_than_are_kept_the_start_stays_and_what_goes_is_counted() -> None:
    hand = log()
    for i in range(40):
        hand.mark(9 * DAY + i, "fault", i, i + 1, name=f"M-{i}")
    engine = engine_of(hand)
    (case,) = engine.state_of(FACILITY).rare.of(RULE).values()
    assert len(case.facts) == 32
    assert engine.counters(0, FACILITY)["fact_dropped"] == 8
    assert told(hand) == [(9 * DAY, "raised", "T1", DAY)]
    assert hand.changes(bundle=ONLY)[-1].evidence.marks == ["M-0/1"]


def test_a_sensor_for_which_there_is_no_room_is_left_out_and_counted() -> None:
    hand = log(sensor("T1"), sensor("T2")).mark(2 * DAY, "fault", 0, 60, tags=["T1", "T2"])
    with patch("rules.rare.lateness.MAX_CHECKED", 1):
        engine = engine_of(hand)
        assert told(hand) == [(2 * DAY, "raised", "T1", DAY)]
    assert engine.counters(0, FACILITY)["event_left_out"] == 1


# -- a front door that was closed -----------------------------------------------------------------------------------
def test_a_time_that_was_over_while_the_front_door_was_closed_is_over_at_its_opening() -> None:
    hand = log().tick(DAY - 60).tick(DAY + 60)
    assert told(hand.mark(DAY + 60, "fault", 0)) == []
    assert told(hand.mark(DAY + 61, "fault", 0, name="M-2")) == [(DAY + 61, "raised", "T1", DAY + 60)]


@pytest.mark.parametrize(("first", "second"), [(DAY, DAY + 60), (DAY - 60, DAY)])
def test_a_time_that_was_over_when_the_door_closed_or_opened_was_over(first: float, second: float) -> None:
    hand = log().tick(first).tick(second).mark(DAY + 61, "fault", 0)
    assert told(hand) == [(DAY + 61, "raised", "T1", DAY)]


def test_what_was_said_before_it_was_known_that_the_door_was_closed_is_taken_back() -> None:
    hand = log().tick(DAY - 60).mark(DAY + 1, "fault", 0).tick(DAY + 60)
    raised, retracted = hand.changes(bundle=ONLY)
    assert (retracted.alarm, retracted.change.value, retracted.received) == (raised.alarm, "retracted", ms(DAY + 60))
    assert retracted.message.en.endswith("; our own front door was closed when its time was over")
    assert retracted.evidence.leaves[0].expr == "front door"


def test_what_stays_late_behind_the_opening_begins_then() -> None:
    hand = log().tick(DAY - 60).mark(DAY + 1, "fault", 0, name="A").mark(DAY + 1, "fault", -60, name="B")
    hand.tick(DAY - 30).mark(DAY + 2, "fault", -120, name="C").tick(DAY + 60)
    assert told(hand) == [
        (DAY + 1, "raised", "T1", DAY), (DAY + 1, "amended", "T1", DAY - 60),
        (DAY + 2, "amended", "T1", DAY - 120),
    ]  # fmt: skip


# -- what is put aside, and shown -----------------------------------------------------------------------------------
def test_a_rule_that_raises_is_put_aside_whole() -> None:
    hand = log(sensor("T1"), sensor("T2")).mark(2 * DAY, "fault", 0, 60, tags=["T1", "T2"])
    with failing_at(lambda change: change.subject == {"tag": "T2"}):
        found = hand.changes(bundle=ONLY)
    assert [(c.rule, c.change.value) for c in found] == [("register.rule-failed", "raised")]


def explained(hand: HandLog, at: float) -> list[Any]:
    found, _ = explain(hand.records(), ONLY, RULE, at=ms(at))
    return found


def test_an_explanation_says_of_each_mark_what_became_of_it() -> None:
    hand = log(sensor("T1"), sensor("T2")).mark(60, "fault", 0).mark(2 * DAY, "fault", 0, DAY, revision=2)
    hand.mark(3 * DAY, "comms", 0, 60, name="B").mark(3 * DAY, "stopped", 0, 60, name="C").mark(60, "fault", 0)
    (one,) = explained(hand, 4 * DAY)
    assert one.agrees
    assert [(event.batch, event.fate) for event in one.events] == [
        ("M-1/1", "timely"), ("M-1/2", "revised"), ("B/1", "not meant"), ("C/1", "occasion"), ("M-1/1", "again"),
    ]  # fmt: skip
    en, zh = "\n".join(rare_lines(one, "en")), "\n".join(rare_lines(one, "zh"))
    assert "it fired: yellow since 2026-03-01T16:00:00.000Z; it stands until an officer's decision" in en
    assert "within = 24h <- rule, data-integrity.mark-late 1.0.0" in en
    assert "marks (beginning, receive time, batch)" in en
    assert "declares no time that the revision before it did not" in en
    assert "未增加前一修订之外的时段" in zh


def test_an_explanation_of_nothing_says_so() -> None:
    (one,) = explained(log(), DAY)
    assert "it did not fire; no mark came of a registered sensor" in "\n".join(rare_lines(one, "en"))
    (one,) = explained(log().mark(60, "fault", 0), DAY)
    assert "=> it did not fire" in "\n".join(rare_lines(one, "en"))
    assert [event.fate for event in one.events] == ["timely"]


def test_an_explanation_behind_a_decision_says_that_the_mark_is_done_with() -> None:
    hand = log().mark(2 * DAY, "fault", 0, 60)
    (raised,) = hand.changes(bundle=ONLY)
    hand.line(3 * DAY, "decision", {
        "id": "D-1", "version": 1, "subject": {"alarm": raised.alarm}, "code": "breach", "officer": "o-1",
        "revision_seen": 0, "reason_sha256": "0" * 64,
    })  # fmt: skip
    (one,) = explained(hand, 4 * DAY)
    assert ([event.fate for event in one.events], one.agrees) == (["done"], True)
    assert told(hand.mark(5 * DAY, "fault", 0, 60)) == [(2 * DAY, "raised", "T1", DAY), (3 * DAY, "cleared", "T1", DAY)]


# -- rule files -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"within": "3wd"}, "/within"),
        ({"flags": ["fault", "fault"]}, "/flags"),
        ({"flags": []}, "/flags"),
        ({"proof_by": 10}, "/proof_by"),
        ({"of": "amendment"}, "/flags"),
        ({"of": "amendment", "flags": [], "applies_to": {"area.kind": "cold-room"}}, "/applies_to/area.kind"),
        ({"severity": {"base": "yellow", "steps": [{"after": "2h", "to": "red"}]}}, "/severity/steps"),
    ],
)
def test_a_rule_that_makes_no_sense_is_a_fault(members: dict[str, Any], pointer: str) -> None:
    assert pointer in [fault.pointer.removeprefix("/rules/0") for fault in bundle_faults([rule(**members)], {})]


@pytest.mark.parametrize(
    "members",
    [
        {"proof_by": 29},
        {"proof_by": 0},
        {"flags": ["defrost"]},
        {"within": "24 hours"},
        {"within": "0h"},
        {"of": "visit"},
        {"of": None},
        {"more": 1},
    ],
)
def test_members_that_a_model_does_not_know_are_refused(members: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rule(**members)


def test_days_end_at_midnight_and_months_on_their_day() -> None:
    by_day, by_month = Bundle.of([rule(within="1d")], []), Bundle.of([rule(within="1mo")], [])
    hand = log().mark(2 * DAY, "fault", 60, name="A").mark(2 * DAY + 1 / 60_000, "fault", 60, name="B")
    assert told(hand, bundle=by_day) == [(2 * DAY + round(1 / 60_000, 5), "raised", "T1", 2 * DAY)]
    hand = log().mark(32 * DAY, "fault", 60, name="A").mark(32 * DAY + 1, "fault", 60, name="B")
    assert told(hand, bundle=by_month) == [(32 * DAY + 1, "raised", "T1", 32 * DAY)]
