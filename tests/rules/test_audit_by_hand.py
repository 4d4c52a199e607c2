"""Kind `clock`, check `heartbeat`, by hand, in minutes: what says that a facility is heard, and what is kept of its systems."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.layout import NEVER
from rules.pack import default_bundle
from rules.rare import store
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since

RULE = "data-integrity.audit-silent"
DAY = 1440


def beat(at: float, source: str = "LIMS") -> dict[str, Any]:
    return {"stream": "audit", "type": "heartbeat", "time": ms(at), "source": source}


def log(*beats: float) -> HandLog:
    """Return a log of heartbeats that are received at once, of a facility with one sensor and a delivery of one minute."""
    hand = HandLog().register(-1, sensor())
    for at in beats:
        hand.line(at, "events", {"batch": f"h{at}", "events": [beat(at)]})
    return hand


def told(hand: HandLog, until: float | None = None) -> list[tuple[Any, ...]]:
    return [(c.change.value, since(c.start), since(c.received)) for c in hand.changes(until=until) if c.rule == RULE]


MARK = {"id": "M-1", "revision": 1, "area": "A1", "flag": "fault", "from": ms(60), "reason": "x", "author": "u-1"}
REPORT = {"type": "deviation", "id": "R-1", "revision": 1, "sent": ms(60), "fields": {}}
ANSWER = {"id": "A-1", "version": 1, "case": "C-1", "question": "Q-1", "kind": "explain", "text_sha256": "0" * 64}
DECISION = {"id": "D-1", "version": 1, "subject": {"case": "C-1"}, "code": "breach", "officer": "o-1", "revision_seen": 0,
            "reason_sha256": "0" * 64}  # fmt: skip
INSPECTION = {"visit": "V-1", "version": 1, "mode": "on-site", "done_at": ms(60), "full": True, "findings": {}}


@pytest.mark.parametrize(("kind", "data"), [("mark", MARK), ("report", REPORT), ("answer", ANSWER)])
def test_any_record_of_the_facility_says_that_it_is_heard(kind: str, data: dict[str, Any]) -> None:
    assert told(log(0).line(50, kind, data).line(61, kind, data), 70) == [("raised", 60, 62)]


@pytest.mark.parametrize(("kind", "data"), [("decision", DECISION), ("inspection", INSPECTION)])
def test_what_the_authority_writes_says_nothing_of_the_facility(kind: str, data: dict[str, Any]) -> None:
    assert told(log(0).line(50, kind, data).line(61, kind, data).tick(80), 100) == []


def test_readings_of_a_batch_that_comes_again_and_of_a_tag_that_nobody_knows_do() -> None:
    hand = log(0).rows(50, ("T1", [50], [5.0]), batch="b").rows(61, ("T1", [50], [5.0]), batch="b")
    assert told(hand, 70) == [("raised", 60, 62)]
    hand = log(0).rows(50, ("X", [50], [5.0])).rows(61, ("X", [61], [5.0]))
    assert told(hand, 70) == [("raised", 60, 62)]


def test_one_record_behind_a_silence_of_just_an_hour_tells_and_behind_more_it_waits_for_two_days() -> None:
    assert told(log(0, 10).rows(71, ("T1", [71], [5.0])), DAY) == []
    just = log(0, 10).rows(60, ("T1", [60], [5.0])).rows(120, ("T1", [120], [5.0]))
    assert told(just, 130) == [("raised", 70, 121)]
    more = log(0, 10).rows(60, ("T1", [60], [5.0])).rows(120.001, ("T1", [120], [5.0]))
    assert told(more, 130) == []


def test_later_silences_do_not_prolong_the_two_days() -> None:
    hand = log(0)
    for hour in (3, 10, 20, 30, 40, 50):
        hand.rows(60 * hour, ("T1", [60 * hour], [5.0]))
    hand.rows(60 * 50 + 30, ("T1", [60 * 50 + 30], [5.0])).rows(60 * 51, ("T1", [60 * 51], [5.0]))
    assert told(hand, 60 * 51 + 5) == [("raised", 60, 60 * 51 + 1)]


def test_our_own_door_that_was_closed_for_hours_is_a_silence_of_all() -> None:
    hand = log(0, 55)
    for at in range(0, 60, 10):
        hand.tick(at)
    hand.tick(400).rows(401, ("T1", [401], [5.0])).rows(420, ("T1", [420], [5.0]))
    assert told(hand, 500) == []


def test_our_own_door_that_was_closed_for_less_gives_the_heartbeats_their_time_again() -> None:
    hand = log(0, 5).tick(10).rows(20, ("T1", [20], [5.0])).tick(60).rows(66, ("T1", [66], [5.0]))
    assert told(hand.rows(100, ("T1", [100], [5.0])), 119) == [], "61 minutes behind the opening"
    assert told(hand.rows(121, ("T1", [121], [5.0])), 130) == [("raised", 65, 122)]


def test_what_the_clock_told_while_our_door_was_closed_is_taken_back() -> None:
    hand = log(0).tick(60).rows(60, ("T1", [60], [5.0])).rows(61, ("T1", [61], [5.0])).tick(70, "worker").tick(90)
    assert told(hand, 100) == [("raised", 60, 62), ("retracted", 60, 90)]
    said = [c for c in hand.changes() if c.rule == RULE][-1]
    assert (
        said.message.en
        == "LIMS: The audit trail of a system is silent; our own front door was closed, nothing could arrive"
    )
    hand.rows(100, ("T1", [100], [5.0]))
    assert told(hand.rows(151, ("T1", [151], [5.0])).rows(152, ("T1", [152], [5.0])), 160) == [
        ("raised", 60, 62), ("retracted", 60, 90), ("raised", 60, 152)
    ]  # fmt: skip


def test_the_sentences_and_the_evidence() -> None:
    hand = log(0).rows(50, ("T1", [50], [5.0])).rows(61, ("T1", [61], [5.0])).rows(180, ("T1", [180], [5.0]))
    hand.line(181, "events", {"batch": "back", "events": [beat(181)]})
    found = [c for c in hand.changes() if c.rule == RULE]
    assert [c.change.value for c in found] == ["raised", "unknown", "known", "cleared"]
    assert [c.message.en for c in found] == [
        "LIMS: The audit trail of a system is silent",
        "LIMS: The audit trail of a system is silent; nothing of the facility is heard, the condition is unknown",
        "LIMS: The audit trail of a system is silent; the facility is heard again",
        "LIMS: The audit trail of a system is silent; heartbeats are back",
    ]
    assert [c.message.zh.split("；")[-1] for c in found][1:] == [
        "该单位无任何数据，状态未知",
        "该单位数据已恢复",
        "心跳已恢复",
    ]
    (leaf,) = found[0].evidence.leaves
    assert (leaf.expr, leaf.left, leaf.op, leaf.right) == (
        "time since the newest audit heartbeat", "62m", ">", "1h"
    )  # fmt: skip
    assert (found[-1].start, found[-1].end, found[-1].subject) == (ms(60), ms(181), {"system": "LIMS"})


def test_no_flood_of_names_hides_a_system() -> None:
    hand, engine = log(0), Engine(BUNDLE)
    for n in range(5):
        hand.line(n + 1, "events", {"batch": f"f{n}", "events": [beat(n + 1, f"S{n}")]})
    hand.rows(50, ("T1", [50], [5.0])).rows(61, ("T1", [61], [5.0]))
    with patch.object(store, "MAX_CASES", 3):
        changes = [c for record in hand.records() for c in engine.fold(record)] + engine.advance(0, ms(63))
    assert [c.subject for c in changes if c.rule == RULE] == [{"system": "LIMS"}]
    assert list(engine.state_of(FACILITY).rare.of(RULE)) == [f'{{"system": "{name}"}}' for name in ("LIMS", "S0", "S1")]
    assert engine.counters(0, FACILITY)["event_left_out"] == 3


def test_nothing_is_kept_of_a_facility_without_audit_heartbeats() -> None:
    engine = Engine(BUNDLE.only({RULE}))  # a calibration has its day
    for record in log().rows(50, ("T1", [50], [5.0])).records():
        engine.fold(record)
    rare = engine.state_of(FACILITY).rare
    assert (rare.areas, rare.of(RULE), rare.due) == ({}, {}, NEVER)


def test_an_explanation_names_the_heartbeats_and_what_was_heard() -> None:
    hand = log(0).rows(50, ("T1", [50], [5.0])).rows(61, ("T1", [61], [5.0]))
    (one,) = explain(hand.records(), BUNDLE, RULE, at=ms(70))[0]
    assert [(event.fate, since(event.t)) for event in one.events] == [("heard", 0)]
    verdicts = {leaf.name: None if seen is None else seen.verdict.value for leaf, seen in one.leaves}
    assert verdicts == {"event": "true", "current": "true", "overdue": "true", "alive": "true", "back": None}
    assert [(n["name"], n["value"]) for n in one.numbers()] == [("silent", "1h"), ("back", "2d")]
    assert "it fired: red since" in "\n".join(rare_lines(one, "en"))
    assert "officer's decision" not in "\n".join(rare_lines(one, "en"))


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"back": None}, "/back"), ({"beyond": 60_000}, "/beyond"), ({"ahead": 60_000}, "/ahead"),
     ({"applies_to": {"sensor.quantity": "temperature"}}, "/applies_to/sensor.quantity")],
)  # fmt: skip
def test_a_rule_that_could_mean_nothing_is_refused(change: dict[str, Any], pointer: str) -> None:
    rule = default_bundle().rule(RULE)
    assert rule is not None
    assert bundle_faults([rule], []) == []
    assert f"/rules/0{pointer}" in [f.pointer for f in bundle_faults([rule.model_copy(update=change)], [])]
    other = default_bundle().rule("data-integrity.late-evidence")
    assert other is not None
    assert bundle_faults([other.model_copy(update={"back": 60_000})], []) != []
