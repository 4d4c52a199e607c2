"""Amendments that come too late and proof that does not come, by hand, in minutes: what is said, shown, kept, and excused by a closed door."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.instants import format_instant
from rules.pack import Bundle
from rules.rule import LatenessRule
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since

RULE = "data-integrity.amendment-late"
ONLY = BUNDLE.only({RULE})
DAY = 1440
OVER, TENTH = 11 * DAY, 41 * DAY
"""When a reading of the first of March may not be corrected any more, and when proof of it was due."""


def log() -> HandLog:
    return HandLog().register(-1, sensor())


def amend(
    hand: HandLog, at: float, *times: float, name: str = "R-1", revision: int = 1, new: float = 5.0, **more: Any
) -> HandLog:  # fmt: skip
    """Append an amendment of readings of T1 (of the first minute of the first of March, unless it names others)."""
    said = [{"tag": "T1", "time": format_instant(ms(t)), "old": 9.0, "new": new} for t in times or (1,)]
    fields = {"readings": said, "author": "u-1", "made_at": format_instant(ms(max(times or (1,)))), **more}
    return hand.line(at, "report", {
        "type": "amendment", "id": name, "revision": revision, "sent": format_instant(ms(1)), "reason": "why", "fields": fields,
    })  # fmt: skip


def told(hand: HandLog, *, until: float | None = None, bundle: Bundle = ONLY) -> list[tuple[Any, ...]]:
    found = hand.changes(until=until, bundle=bundle)
    return [(since(c.received), c.change.value, c.subject.get("case", "-"), since(c.start)) for c in found]


def engine_of(hand: HandLog) -> Engine:
    engine = Engine(ONLY)
    for record in hand.records():
        engine.fold(record)
    return engine


def rule(**members: Any) -> LatenessRule:
    shipped = ONLY.rule(RULE)
    assert isinstance(shipped, LatenessRule)
    return shipped.model_copy(update=members)


# -- what is said ---------------------------------------------------------------------------------------------------
def test_the_evidence_names_the_report_and_how_long_it_took() -> None:
    (raised,) = amend(log(), 12 * DAY, proof="WO-1").changes(bundle=ONLY)
    assert (raised.at, raised.start, raised.late, raised.subject) == (ms(12 * DAY), ms(OVER), False, {"report": "R-1"})
    proof = raised.evidence.model_dump(mode="json", exclude_none=True)
    assert proof["leaves"][0] == {
        "expr": "time until amendment", "left": 287.983333, "op": "beyond", "right": "10d", "unit": "h", "verdict": "true"
    }  # fmt: skip
    assert proof["records"] == [{"kind": "report", "id": "R-1/1"}, {"kind": "register", "id": "1"}]
    assert "marks" not in proof or proof["marks"] == []
    assert raised.message.zh == "R-1：数据补正过迟或缺少证明"


def test_missing_proof_is_said_as_of_the_due_instant_and_ended_by_the_proof() -> None:
    hand = amend(log(), DAY)
    assert told(hand, until=TENTH) == []
    raised, cleared = amend(hand, 50 * DAY, revision=2, proof="WO-1").changes(bundle=ONLY)
    assert (raised.at, raised.received, raised.start) == (ms(TENTH), ms(TENTH), ms(TENTH))
    assert raised.evidence.leaves[0].model_dump(mode="json", exclude_none=True) == {
        "expr": "proof", "op": "after", "right": "2026-04-10T16:00:00.000Z", "verdict": "true"
    }  # fmt: skip
    assert (cleared.alarm, cleared.end, cleared.received) == (raised.alarm, ms(50 * DAY), ms(50 * DAY))
    read = [("report", "R-1/2"), ("report", "R-1/1"), ("register", "1")]
    assert [(one.kind, one.id) for one in cleared.evidence.records] == read


def test_an_amendment_of_other_readings_moves_the_time_of_its_proof() -> None:
    hand = amend(log(), 40 * DAY, 35 * DAY)
    assert told(amend(hand, 42 * DAY, 1, 35 * DAY, revision=2), until=75 * DAY) == [
        (42 * DAY, "raised", "-", OVER), (42 * DAY, "raised", "proof", TENTH),
    ]  # fmt: skip
    amend(hand, 43 * DAY, 35 * DAY, revision=3)
    assert told(hand, until=75 * DAY)[2:] == [
        (43 * DAY, "cleared", "proof", TENTH),
        (71 * DAY, "raised", "proof", 71 * DAY),
    ]


def test_an_earlier_reading_amends_the_start_of_an_alarm_about_proof() -> None:
    hand = amend(log(), 32 * DAY, 31 * DAY)
    assert told(amend(hand, 80 * DAY, 1, 31 * DAY, revision=2)) == [
        (71 * DAY, "raised", "proof", 71 * DAY), (80 * DAY, "raised", "-", OVER), (80 * DAY, "amended", "proof", TENTH),
    ]  # fmt: skip


def test_the_proof_of_a_lower_number_counts_and_what_it_corrects_does_not() -> None:
    hand = amend(amend(log(), DAY, 10, revision=2), 20 * DAY, 1, proof="WO-1")
    assert told(hand, until=60 * DAY) == []


def test_what_a_report_lacks_makes_it_none() -> None:
    hand = log().line(20 * DAY, "report", {
        "type": "amendment", "id": "R-1", "revision": 1, "sent": format_instant(ms(0)), "fields": {"readings": []},
    })  # fmt: skip
    assert told(hand, until=60 * DAY) == []
    assert engine_of(hand).counters(0, FACILITY)["report_unread"] == 1


# -- packs and the front door ---------------------------------------------------------------------------------------
def test_packs_that_give_other_times_judge_what_awaits_proof() -> None:
    hand = amend(log(), DAY).packs(35 * DAY, Bundle.of([rule(proof_by=2)], []))
    assert told(hand, until=60 * DAY) == [(35 * DAY, "raised", "proof", 33 * DAY)]
    hand = amend(log(), DAY).packs(35 * DAY, Bundle.of([rule(proof_by=20)], []))
    assert told(hand, until=60 * DAY) == [(51 * DAY, "raised", "proof", 51 * DAY)]


def test_packs_without_the_rule_end_both_alarms() -> None:
    hand = amend(log(), 50 * DAY).packs(51 * DAY, BUNDLE.only({"register.unknown-tag"}))
    assert [change for _, change, _, _ in told(hand)] == ["raised", "raised", "cleared", "cleared"]


@pytest.mark.parametrize("proof", [{}, {"proof": "WO-1"}])
def test_a_door_that_was_closed_when_it_was_due_moves_it_to_the_opening(proof: dict[str, str]) -> None:
    hand = amend(log(), DAY).tick(TENTH - 60).tick(TENTH + 60)
    amend(hand, TENTH + 60, revision=2, **proof)
    wanted = [] if proof else [(TENTH + 60, "raised", "proof", TENTH + 60)]
    assert told(hand, until=60 * DAY) == wanted


def test_what_was_said_before_the_door_was_known_to_be_closed_is_taken_back_and_said_again() -> None:
    hand = amend(log(), DAY).tick(TENTH - 60).tick(TENTH + 1, role="worker").tick(TENTH + 60)
    assert told(hand, until=60 * DAY) == [
        (TENTH, "raised", "proof", TENTH), (TENTH + 60, "retracted", "proof", TENTH),
        (TENTH + 60, "raised", "proof", TENTH + 60),
    ]  # fmt: skip


def test_proof_and_correction_that_came_while_it_was_closed_were_in_time() -> None:
    hand = amend(log(), DAY, name="A").tick(TENTH - 60)
    amend(hand, TENTH + 1, name="A", revision=2, proof="WO-1").tick(TENTH + 60)
    assert [(at, what) for at, what, _, _ in told(hand, until=60 * DAY)] == [
        (TENTH, "raised"), (TENTH + 1, "cleared"), (TENTH + 60, "retracted"),
    ]  # fmt: skip
    hand = amend(log().tick(OVER - 60), OVER + 1, proof="WO-1").tick(OVER + 60)
    assert told(hand) == [(OVER + 1, "raised", "-", OVER), (OVER + 60, "retracted", "-", OVER)]


# -- bounds, explanations -------------------------------------------------------------------------------------------
def test_of_a_report_whose_readings_are_forgotten_no_revision_is_late() -> None:
    hand = amend(amend(log(), DAY, 1, 2, name="A", proof="P"), DAY, 3, name="B", proof="P")
    amend(amend(hand, 20 * DAY, 4, name="A", revision=2), 20 * DAY, 4, name="B", revision=2)
    assert [at for at, *_ in told(hand)] == [20 * DAY, 20 * DAY]
    with patch("rules.rare.amendments.MAX_TEXT", 24):
        (raised,) = hand.changes(bundle=ONLY)
        assert raised.subject == {"report": "B"}
        assert engine_of(hand).counters(0, FACILITY)["fact_dropped"] == 1


def explained(hand: HandLog, at: float) -> list[Any]:
    found, _ = explain(hand.records(), ONLY, RULE, at=ms(at))
    assert all(one.agrees for one in found)
    return found


def test_an_explanation_says_what_became_of_each_revision_and_when_proof_is_due() -> None:
    hand = amend(amend(log(), DAY), 20 * DAY, revision=2, new=6.0)
    amend(amend(hand, 21 * DAY, revision=2, new=6.0), 22 * DAY, revision=3, new=6.0)
    late, proof = explained(hand, 30 * DAY)
    assert [(one.batch, one.fate) for one in late.events] == [
        ("R-1/1", "timely"), ("R-1/2", "occasion"), ("R-1/2", "again"), ("R-1/3", "revised"),
    ]  # fmt: skip
    assert (proof.awaited.until, proof.phase) == (ms(TENTH), "pending")
    text = "\n".join(rare_lines(late, "en") + rare_lines(proof, "zh"))
    assert "amendments (earliest reading, receive time, batch)" in text
    assert "proof_by = 10" in text
    assert "次月 10 日前未提交证明" in text
    proof, late = explained(hand, 42 * DAY)
    assert [one.fate for one in proof.events] == ["occasion"]
    late, proof = explained(amend(hand, 43 * DAY, revision=4, new=6.0, proof="P"), 44 * DAY)
    assert ([one.fate for one in proof.events], proof.standing_alarm) == (["answered"], None)
    (nothing,) = explained(log(), DAY)
    assert "it did not fire; no amendment came" in "\n".join(rare_lines(nothing, "en"))
