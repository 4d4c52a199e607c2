"""Water that failed in line and the laboratory, by hand, in minutes: what comes too late, what is measured again, and what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from rules.changes import alarm_id
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.rule import FollowUpRule, is_latched
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since

RULE, STAGE1 = "water.stage2-missing", "water.stage1"
HOUR, DAY = 60, 1440
LOOP = {"id": "L1", "kind": "water-loop", "water": "wfi", "pharmacopoeia": "usp"}
CONDUCTS = sensor("C", "L1", quantity="conductivity", unit="uS/cm", compensated=False)
WARM = sensor("W", "L1")


def rule() -> FollowUpRule:
    found = BUNDLE.rule(RULE)
    assert isinstance(found, FollowUpRule)
    return found


def failed(*, at: int = 10, many: int = 3) -> HandLog:
    """Return a log of a loop whose conductivity is too high from `at` on."""
    hand = HandLog().register(-1, CONDUCTS, WARM, areas=[LOOP])
    for i in range(at - 3, at + many):
        hand.rows(i, ("C", [i], [1.0 if i < at else 1.4]), ("W", [i], [25.0]))
    return hand


def result(
    hand: HandLog, at: float, value: object = 1.9, *, stage: int = 2, said: float | None = None, **fields: Any
) -> HandLog:
    event = {"stream": "lab", "type": "result", "time": ms(at if said is None else said), "source": "LIMS"}
    body = {"loop": "L1", "test": f"conductivity-stage-{stage}", "value": value} | fields
    return hand.line(at, "events", {"batch": f"e{len(hand.lines)}", "events": [event | {"fields": body}]})


def told(hand: HandLog, until: float | None = None, name: str = RULE) -> list[tuple[Any, ...]]:
    changes = [c for c in hand.changes(until=until) if c.rule == name]
    return [(c.change.value, since(c.start), since(c.received)) for c in changes]


RAISED = ("raised", 10, DAY + 11)


def test_what_was_measured_in_time_takes_it_back_and_what_was_not_ends_it() -> None:
    assert told(result(failed(), 2 * DAY, said=DAY + 10), 3 * DAY) == [RAISED, ("retracted", 10, 2 * DAY)]
    assert told(result(failed(), 2 * DAY, said=DAY + 10.001), 3 * DAY) == [RAISED, ("cleared", 10, 2 * DAY)]


def test_what_is_measured_at_the_very_instant_counts() -> None:
    second = 1 / 60
    assert told(result(failed(), 13, said=10), 3 * DAY) == []
    assert told(result(failed(), 13, said=10 - second), 3 * DAY) == [RAISED]
    hand = result(failed(), HOUR, 2.2)
    early = result(result(failed(), HOUR, 2.2), 70, stage=3, said=HOUR - second)
    assert told(result(hand, 70, stage=3, said=HOUR), 4 * DAY) == []
    assert told(early, 4 * DAY) == [("raised", 10, DAY + HOUR + 1)]


def test_reported_more_than_two_days_behind_its_time_it_ends_it_too() -> None:
    for at, change in ((3 * DAY + 10, "retracted"), (3 * DAY + 10.001, "cleared")):
        assert told(result(failed(), at, said=HOUR), 4 * DAY) == [RAISED, (change, 10, at)]


def test_a_second_result_that_passes_does_not_undo_the_first_that_failed() -> None:
    hand = result(result(failed(), 2 * HOUR, 2.2), 3 * HOUR)
    missing = ("raised", 10, DAY + 2 * HOUR + 1)
    assert told(hand, 3 * DAY) == [missing]
    assert told(result(hand, 2 * DAY, stage=3), 3 * DAY) == [missing, ("cleared", 10, 2 * DAY)]


def test_a_late_result_that_fails_asks_for_the_next_stage_anew() -> None:
    hand = result(failed(), 2 * DAY, 2.2)
    found = [RAISED, ("cleared", 10, 2 * DAY)]
    assert told(hand, 3 * DAY) == found
    assert told(hand, 4 * DAY) == [*found, ("raised", 10, 3 * DAY + 1)]
    ids = [c.alarm for c in hand.changes(until=4 * DAY) if c.rule == RULE and c.change == "raised"]
    assert ids == [alarm_id(RULE, FACILITY, {"tag": "C"}, ms(10), use) for use in (1, 2)]
    assert told(result(hand, 2 * DAY + HOUR, stage=3), 4 * DAY) == found


def test_a_failing_result_asks_while_its_day_lasts_also_behind_a_passing_one() -> None:
    hand = result(result(failed(), HOUR), DAY, 2.2)
    assert told(hand, 2 * DAY) == []
    assert told(hand, 2 * DAY + 1) == [("raised", 10, 2 * DAY + 1)]
    assert told(result(result(failed(), HOUR), DAY + 11, 2.2), 4 * DAY) == [], "no more when the first day is over"


def test_a_start_that_moves_asks_from_there() -> None:
    hand = result(failed(), 12, said=10.2)
    hand.rows(13, ("C", [10.5], [1.0]), ("W", [10.5], [25.0]))
    assert told(hand, 20, STAGE1) == [("raised", 10, 11), ("amended", 11, 13)]
    assert told(hand, 2 * DAY) == [("raised", 11, DAY + 12)], "the result of before is none"


def test_water_that_had_not_failed_asks_for_nothing() -> None:
    hand = failed(many=2)
    for i in range(12, 20):
        hand.rows(i, ("C", [i], [1.0]), ("W", [i], [25.0]))
    hand.tick(2 * DAY)
    assert told(hand, 2 * DAY) == [RAISED]
    early = failed(many=2).rows(12, ("C", [10.5], [1.0]), ("W", [10.5], [25.0]))
    assert told(early, 20, STAGE1)[-1][0] == "retracted"
    assert told(early, 3 * DAY) == []


def test_values_that_say_nothing_and_units_that_mean_the_same() -> None:
    for more in ({"value": None}, {"value": "1.9"}, {"value": True}, {"unit": "S/m"}, {"unit": 5}):
        assert told(result(failed(), HOUR, **({"value": 2.2} | more)), 4 * DAY) == [], more
    for unit in ("uS/cm", "µS/cm", "μS/cm"):
        assert told(result(failed(), HOUR, 2.2, unit=unit), 4 * DAY) == [("raised", 10, DAY + HOUR + 1)]


def test_no_officer_ends_it() -> None:
    said = {"id": "D-1", "version": 1, "subject": {"alarm": alarm_id(RULE, FACILITY, {"tag": "C"}, ms(10))},
            "code": "close-latched", "officer": "o-1", "revision_seen": 1, "reason_sha256": "0" * 64}  # fmt: skip
    assert told(failed().tick(2 * DAY).line(2 * DAY, "decision", said), 3 * DAY) == [RAISED]
    assert not is_latched(rule(), {})


def test_the_sentences_and_the_evidence() -> None:
    raised, cleared = [c for c in result(failed(), 2 * DAY).changes() if c.rule == RULE]
    assert raised.message.en == "C: Water failed stage 1 and no stage-2 result shows that it is fit"
    assert cleared.message.en.endswith("; the awaited result has come")
    assert cleared.message.zh.endswith("；所等待的结果已到")
    missing, of = raised.evidence.leaves
    assert (missing.expr, missing.op, missing.right, missing.verdict) == (
        "lab result at water.stage1 of C",
        "within",
        "1d",
        "false",
    )
    assert (of.expr, of.left) == ("water.stage1 of C", alarm_id(STAGE1, FACILITY, {"tag": "C"}, ms(10)))
    assert [leaf.verdict for leaf in cleared.evidence.leaves] == ["true"]
    (_, retracted) = [c for c in result(failed(), 2 * DAY, said=HOUR).changes() if c.rule == RULE]
    assert retracted.message.en.endswith("the result was there in time, or nothing asked for it")


def test_it_is_explained() -> None:
    def leaves(hand: HandLog, at: float) -> tuple[list[str], dict[str, str | None], str]:
        (one,), _ = explain(hand.records(), BUNDLE, RULE, at=ms(at))
        assert one.agrees
        seen = {leaf.name: None if seen is None else seen.verdict.value for leaf, seen in one.leaves}
        return [told.fate for told in one.events], seen, "\n".join(rare_lines(one, "both"))

    fates, seen, text = leaves(failed(), HOUR)
    assert (fates, seen) == (["awaited"], {"raised": "true", "followed": "unknown", "passed": None, "otherwise": None})
    assert "a result (test conductivity-stage-2) within 1d" in text
    assert "结果不超过 2.1 uS/cm" in text
    hand = result(failed(), 2 * HOUR, 2.2)
    assert leaves(hand, 3 * HOUR)[:2] == (
        ["awaited"],
        {"raised": "true", "followed": "true", "passed": "false", "otherwise": "unknown"},
    )
    fates, seen, text = leaves(hand, 2 * DAY)
    assert (fates, seen["otherwise"]) == (["occasion"], "false")
    assert "it fired: orange" in text
    assert "officer" not in text
    fates, seen, _ = leaves(result(hand, 2 * DAY, stage=3), 2 * DAY)
    assert (fates, seen["otherwise"]) == (["answered"], "false"), "it came, and too late"
    assert leaves(failed().tick(2 * DAY), DAY + 11)[1]["followed"] == "false"
    for value, passed in ((True, "unknown"), ("1.9", "unknown"), (2.1, "true"), (2.2, "false")):
        assert leaves(result(failed(), HOUR, value), 2 * HOUR)[1]["passed"] == passed
    (one,), _ = explain(hand.records(), BUNDLE, RULE, at=ms(DAY))
    assert [number["name"] for number in one.numbers()] == ["within", "result.within", "allowed"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"within_before": 60_000}, "/within_before"),
        ({"lasts_until": rule().then}, "/lasts_until"),
        ({"silent": 60_000}, "/silent"),
        ({"then": rule().result and rule().result.otherwise}, "/result/otherwise"),
        ({"alarm": None, "first": rule().then}, "/result"),
    ],
)
def test_what_contradicts_itself_is_a_fault(change: dict[str, Any], pointer: str) -> None:
    others = [one for one in BUNDLE.rules if one.id != RULE]
    assert f"/rules/0{pointer}" in [
        f.pointer for f in bundle_faults([rule().model_copy(update=change), *others], BUNDLE.tables.values())
    ]
