"""Kind `count` with occasions, by hand, in minutes: what is told, what is kept and what is lost, and what a rule must say."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.pack import default_bundle
from rules.rare import store
from rules.rareparts import Occasions
from rules.rule import CountRule
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, since

RULE = "data-integrity.shared-account"
DAY = 1440


def act(at: float, terminal: str, actor: str = "lab") -> dict[str, Any]:
    fields = {"actor": actor, "terminal": terminal}
    return {"stream": "audit", "type": "action", "time": ms(at), "source": "LIMS", "fields": fields}


def log(*acts: tuple[float, str], hand: HandLog | None = None) -> HandLog:
    """Return a log of actions of one login, received at once."""
    hand = hand or HandLog().register(-1)
    for i, (at, terminal) in enumerate(acts):
        hand.line(at, "events", {"batch": f"e{i}-{at}", "events": [act(at, terminal)]})
    return hand


PAIRS = [(at + more, f"T{more}") for at in (0, 100, 200) for more in (0, 1)]


def fold(hand: HandLog, engine: Engine) -> None:
    for record in hand.records():
        engine.fold(record)


def told(hand: HandLog, until: float | None = None) -> list[tuple[Any, ...]]:
    return [(c.change.value, since(c.start), since(c.received)) for c in hand.changes(until=until) if c.rule == RULE]


def test_three_pairs_raise_it_and_the_evidence_names_the_terminals() -> None:
    (raised,) = [c for c in log(*PAIRS).changes() if c.rule == RULE]
    assert (raised.start, raised.at, raised.subject, raised.late) == (ms(201), ms(201), {"actor": "lab"}, False)
    many, which = raised.evidence.leaves
    assert (many.expr, many.left, many.op, many.right) == ("occasions of terminal / 7d", 3.0, ">=", 3.0)
    assert (which.expr, which.left, which.right) == ("at once: terminal", "T0, T1", 2.0)
    assert [record.id for record in raised.evidence.records] == ["e5-201", "1"]


def test_thirty_days_after_the_newest_of_them_it_ends_and_what_comes_then_is_new() -> None:
    hand = log(*PAIRS, (9 * DAY, "T0"))
    end = 201 + 30 * DAY
    assert told(hand, 60 * DAY) == [("raised", 201, 201), ("cleared", 201, end)]
    cleared = [c for c in hand.changes(until=60 * DAY) if c.rule == RULE][-1]
    assert cleared.message.en == "lab: One account at several terminals at once; it has not been seen again for long"
    assert cleared.message.zh.endswith("；长时间未再出现")
    (leaf,) = cleared.evidence.leaves
    assert (leaf.expr, leaf.left, leaf.verdict.value) == ("occasions of terminal / 30d", 0.0, "false")
    again = log(*[(40 * DAY + at, terminal) for at, terminal in PAIRS], hand=hand)
    assert told(again, 60 * DAY)[2:] == [("raised", 40 * DAY + 201, 40 * DAY + 201)]


def test_the_newest_instant_is_the_last_that_both_stood_before() -> None:
    """An event of the next day says that time went on: five minutes behind the first of both, that one had left."""
    assert told(log(*PAIRS, (DAY, "T0")), 60 * DAY) == [("raised", 201, 201), ("cleared", 201, 205 + 30 * DAY)]


def test_what_had_come_before_the_end_is_stale_behind_it() -> None:
    hand = log(*PAIRS)
    hand.line(40 * DAY, "events", {"batch": "again", "events": [act(at, terminal) for at, terminal in PAIRS]})
    assert told(hand, 80 * DAY) == [("raised", 201, 201), ("cleared", 201, 201 + 30 * DAY)]
    engine = Engine(BUNDLE)
    fold(hand, engine)
    assert engine.counters(0, FACILITY)["event_stale"] == len(PAIRS)


def test_a_login_at_one_terminal_all_week_is_one_span() -> None:
    engine = Engine(BUNDLE)
    fold(log(*[(4 * n, "T0") for n in range(500)]), engine)
    (case,) = engine.state_of(FACILITY).rare.of(RULE).values()
    assert [(since(fact.t), since(fact.received), fact.text) for fact in case.facts] == [(0, 1996, "T0")]


def test_a_login_at_ever_more_terminals_keeps_what_its_room_holds_and_counts_the_rest() -> None:
    acts = [(10 * n, f"T{n}") for n in range(store.MAX_FACTS + 20)]
    engine = Engine(BUNDLE)
    hand = log(*acts, (acts[0][0], "late"))
    assert told(hand) == []
    fold(hand, engine)
    (case,) = engine.state_of(FACILITY).rare.of(RULE).values()
    assert len(case.facts) == store.MAX_FACTS
    assert store.floor_of(case.facts) == ms(10 * 20)  # the floor takes the room of one
    counters = engine.counters(0, FACILITY)
    assert (counters["fact_dropped"], counters["event_stale"]) == (21, 1), (
        "of what is older than what was lost it says so"
    )


def test_more_logins_than_there_is_room_for_are_counted_and_a_standing_alarm_stays() -> None:
    hand = log(*PAIRS)
    for n in range(6):
        hand.line(300 + n, "events", {"batch": f"u{n}", "events": [act(300 + n, "T0", f"u-{n}")]})
    engine = Engine(BUNDLE)
    with patch.object(store, "MAX_CASES", 3):
        fold(hand, engine)
        found, _ = explain(hand.records(), BUNDLE, RULE, at=ms(400))
    cases = engine.state_of(FACILITY).rare.of(RULE)
    assert list(cases) == ['{"actor": "lab"}', '{"actor": "u-4"}', '{"actor": "u-5"}']
    assert cases['{"actor": "lab"}'].standing is not None
    assert engine.counters(0, FACILITY)["case_dropped"] == 4
    fates = {one.subject["actor"]: {event.fate for event in one.events} for one in found}
    assert fates["u-0"] == {"not kept"}, "of a login that had no room it is said so"
    assert fates["u-5"] == {"counted"}


def test_an_explanation_says_which_events_counted_and_that_nobody_needs_to_close_it() -> None:
    (one,) = explain(log(*PAIRS, (210, "T0")).records(), BUNDLE, RULE, at=ms(300))[0]
    assert [event.fate for event in one.events] == ["counted", "occasion"] * 3 + ["counted"]
    assert {n["name"]: n["value"] for n in one.numbers()} == {
        "n": 2, "within": "5m", "times": 3, "apart": "5m", "over": "7d", "calm": "30d"
    }  # fmt: skip
    english = "\n".join(rare_lines(one, "en"))
    assert "it fired: yellow since" in english
    assert "officer's decision" not in english
    assert "occasions: 3 times in 7d  [3 >= 3]" in english


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"n": 1}, "/distinct"), ({"distinct": None}, "/distinct"), ({"within": 301_000}, "/occasions/apart"),
        ({"occasions": {"times": 3, "apart": "5m", "over": "10m", "calm": "30d"}}, "/occasions/over"),
        ({"occasions": {"times": 3, "apart": "5m", "over": "7d", "calm": "6d"}}, "/occasions/calm"),
    ],
)  # fmt: skip
def test_a_rule_that_could_mean_nothing_is_refused(change: dict[str, Any], pointer: str) -> None:
    rule = default_bundle().rule(RULE)
    assert isinstance(rule, CountRule)
    assert bundle_faults([rule], []) == []
    if "occasions" in change:
        change = {"occasions": Occasions.model_validate(change["occasions"])}
    faults = bundle_faults([rule.model_copy(update=change)], [])
    assert f"/rules/0{pointer}" in [fault.pointer for fault in faults]
