"""Retests and releases of lots, by hand, in minutes: revisions in any order, what is open, who ends it, what lint and explanations say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from rules.changes import alarm_id
from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.instants import format_instant
from rules.lint import lint
from rules.pack import SHIPPED
from rules.rare import store
from rules.rule import ReleaseRule, RetestRule, is_latched
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, since

if TYPE_CHECKING:
    from pathlib import Path

RETEST, RELEASE = "cross-check.retest-no-investigation", "cross-check.released-while-open"
HOUR, DAY = 60, 1440


def maker() -> HandLog:
    return HandLog().register(0)


def event(hand: HandLog, at: float, stream: str, word: str, said: float | None, **fields: Any) -> HandLog:
    body = {"stream": stream, "type": word, "time": ms(at if said is None else said), "source": "LIMS"}
    body["fields"] = {name: one for name, one in fields.items() if one is not None}
    return hand.line(at, "events", {"batch": f"e{len(hand.lines)}", "events": [body]})


def result(hand: HandLog, at: float, verdict: str | None, *, said: float | None = None, **more: Any) -> HandLog:
    body = {"sample_id": f"S-{len(hand.lines)}", "lot": "L-1", "test": "assay", "verdict": verdict} | more
    return event(hand, at, "lab", "result", said, **body)


def released(hand: HandLog, at: float, *, said: float | None = None, **more: Any) -> HandLog:
    return event(hand, at, "trace", "released", said, **({"lot": "L-1", "quantity": 100} | more))


def report(hand: HandLog, at: float, kind: str, name: str, revision: int, fields: dict[str, Any]) -> HandLog:
    told = {key: format_instant(ms(value)) if key.endswith("_at") else value for key, value in fields.items()}
    body = {"type": kind, "id": name, "revision": revision, "sent": format_instant(ms(at)), "fields": told}
    return hand.line(at, "report", body | ({"reason": "read again"} if revision > 1 else {}))


def investigated(
    hand: HandLog, at: float, opened: float, closed: float | None = None, *, name: str = "I-1", revision: int = 1, **more: Any
) -> HandLog:  # fmt: skip
    fields = {"investigation_id": name, "lot": "L-1", "test": "assay", "opened_at": opened} | more
    return report(
        hand, at, "oos-investigation", name, revision, fields | ({} if closed is None else {"closed_at": closed})
    )


def deviated(
    hand: HandLog, at: float, opened: float, closed: float | None = None, *, lots: tuple[str, ...] = ("L-1",), revision: int = 1
) -> HandLog:  # fmt: skip
    fields = {
        "deviation_id": "D-1", "asset": "A1", "from": format_instant(ms(opened - 10)), "to": format_instant(ms(opened - 5)),
        "duration_min": 5, "peak": 9, "unit": "Cel", "lots": list(lots), "opened_at": opened,
    }  # fmt: skip
    return report(hand, at, "deviation", "D-1", revision, fields | ({} if closed is None else {"closed_at": closed}))


def told(hand: HandLog, rule: str, *, until: float | None = None) -> list[tuple[Any, ...]]:
    found = [c for c in (hand.changes_behind() if until is None else hand.changes(until=until)) if c.rule == rule]
    return [(c.change.value, " ".join(c.subject.values()), since(c.start), since(c.received)) for c in found]


def closing(hand: HandLog, at: float, start: float, code: str = "breach", **more: Any) -> HandLog:
    alarm = alarm_id(RELEASE, FACILITY, {"lot": "L-1"}, ms(start))
    said = {"id": f"D-{at}", "version": 1, "subject": {"alarm": alarm}, "code": code, "officer": "o-1",
            "revision_seen": 1, "reason_sha256": "0" * 64} | more  # fmt: skip
    return hand.line(at, "decision", said)


def counts(hand: HandLog) -> dict[str, int]:
    engine = Engine(BUNDLE)
    for record in hand.records():
        engine.fold(record)
    return engine.counters(0, FACILITY)


class TestRetest:
    def test_failing_again_and_passing_again_is_one_retest(self) -> None:
        hand = maker()
        for at, verdict in ((10, "oos"), (20, "oos"), (30, "pass"), (40, "pass")):
            result(hand, at, verdict)
        assert told(hand, RETEST, until=2 * DAY) == [("raised", "assay L-1", 30, 30 + DAY)]
        investigated(hand, 2 * DAY, 15)
        assert told(hand, RETEST)[1:] == [("cleared", "assay L-1", 30, 2 * DAY)], "opened behind the first failure"

    def test_a_second_failure_behind_a_pass_is_another_retest_of_the_same_alarm(self) -> None:
        hand = maker()
        for at, verdict in ((10, "oos"), (20, "pass"), (30, "oos"), (40, "pass")):
            result(hand, at, verdict)
        assert told(hand, RETEST, until=2 * DAY) == [
            ("raised", "assay L-1", 20, 20 + DAY), ("amended", "assay L-1", 20, 40 + DAY),
        ]  # fmt: skip
        investigated(hand, 2 * DAY, 35)
        assert told(hand, RETEST)[2:] == [("cleared", "assay L-1", 20, 2 * DAY)]

    def test_a_passing_result_that_comes_late_moves_the_start(self) -> None:
        hand = result(result(maker(), 10, "oos"), 100, "pass")
        result(hand, 2 * DAY, "pass", said=50)
        assert told(hand, RETEST) == [("raised", "assay L-1", 100, 100 + DAY), ("amended", "assay L-1", 50, 2 * DAY)]

    def test_both_results_days_late_are_decided_as_they_come_and_a_report_before_them_is_in_time(self) -> None:
        hand = result(result(maker(), 5 * DAY, "oos", said=10), 5 * DAY + 1, "pass", said=50)
        found = [c for c in hand.changes_behind() if c.rule == RETEST]
        assert [(c.change.value, c.late) for c in found] == [("raised", True)]
        known = investigated(maker(), 4 * DAY, 20)
        result(result(known, 5 * DAY, "oos", said=10), 5 * DAY + 1, "pass", said=50)
        assert told(known, RETEST, until=9 * DAY) == []
        at_once = investigated(maker(), 5 * DAY, 20)
        result(result(at_once, 5 * DAY, "oos", said=10), 5 * DAY, "pass", said=50)
        assert told(at_once, RETEST, until=9 * DAY) == [], "known at the instant at which both results came"

    def test_the_newest_revision_speaks_in_whatever_order_they_come(self) -> None:
        def log(order: tuple[int, ...]) -> HandLog:
            hand = result(result(maker(), 10, "oos"), 50, "pass")
            for i, revision in enumerate(order):
                opened, test = {1: (20, "assay"), 2: (20, "purity"), 3: (30, "assay")}[revision]
                investigated(hand, 60 + i, opened, revision=revision, test=test)
            return hand

        assert told(log((1,)), RETEST, until=5 * DAY) == []
        for order in ((1, 2), (2, 1)):
            assert told(log(order), RETEST, until=5 * DAY) == [("raised", "assay L-1", 50, 50 + DAY)], order
        for order in ((1, 2, 3), (3, 1, 2), (2, 3, 1)):
            assert told(log(order), RETEST, until=5 * DAY) == [], order

    def test_a_correction_that_only_adds_the_end_keeps_it_known_in_time(self) -> None:
        hand = investigated(result(result(maker(), 10, "oos"), 50, "pass"), 60, 20)
        investigated(hand, 5 * DAY, 20, 4 * DAY, revision=2)
        assert told(hand, RETEST, until=9 * DAY) == []

    def test_what_says_too_little_is_counted(self) -> None:
        hand = result(result(maker(), 10, None), 20, "pass", test=None)
        result(hand, 30, "retested")
        assert told(hand, RETEST, until=5 * DAY) == []
        assert counts(hand)["ledger_unknown"] == 3, "by both rules without a verdict, by one without a test"

    def test_the_evidence_names_the_report_that_came_too_late(self) -> None:
        hand = investigated(result(result(maker(), 10, "oos"), 50, "pass"), 60, 55)
        raised, cleared = (c for c in hand.changes(until=2 * DAY) if c.rule == RETEST)
        assert [(leaf.expr, leaf.left, leaf.right) for leaf in raised.evidence.leaves] == [
            ("investigation of assay of L-1", format_instant(ms(55)), format_instant(ms(50))),
            ("failed assay of L-1", "S-1", format_instant(ms(10))),
        ]
        assert {("events", "e1"), ("events", "e2")} <= {(read.kind, read.id) for read in raised.evidence.records}
        assert ("report", "I-1/1") in [(read.kind, read.id) for read in cleared.evidence.records]
        assert cleared.message.en.endswith("an investigation was reported")


class TestRelease:
    def test_a_deviation_that_comes_later_and_had_been_opened_before_raises_it_late(self) -> None:
        hand = deviated(released(maker(), 100), 3 * DAY, 50)
        (raised,) = [c for c in hand.changes_behind() if c.rule == RELEASE]
        assert (raised.change.value, since(raised.start), raised.late) == ("raised", 100, True)
        assert [(read.kind, read.id) for read in raised.evidence.records if read.kind == "report"] == [
            ("report", "D-1/1")
        ]
        assert raised.evidence.leaves[0].expr == "open of lot L-1"

    def test_a_deviation_that_names_the_lot_no_more_takes_it_back(self) -> None:
        hand = released(deviated(maker(), 60, 50), 100)
        deviated(hand, 200, 50, lots=("L-2",), revision=2)
        assert told(hand, RELEASE) == [("raised", "L-1", 100, 100), ("retracted", "L-1", 100, 200)]

    def test_a_correction_that_names_no_lot_is_not_forgotten_before_the_report_that_it_corrects(self) -> None:
        hand = deviated(maker(), 60, 50, lots=(), revision=2)
        deviated(hand, 70, 50)
        assert told(released(hand, 100), RELEASE) == []

    def test_of_two_releases_the_earlier_is_the_start_and_taking_one_back_leaves_the_other(self) -> None:
        hand = result(maker(), 50, "oos")
        released(released(hand, 200), 210, said=100)
        assert told(hand, RELEASE) == [("raised", "L-1", 200, 200), ("amended", "L-1", 100, 210)]
        investigated(hand, 300, 60, 150)
        assert told(hand, RELEASE)[2:] == [("amended", "L-1", 100, 210), ("amended", "L-1", 200, 300)][2:]

    def test_a_further_release_of_the_lot_amends_what_stands(self) -> None:
        hand = released(released(deviated(maker(), 60, 50), 100), 200)
        assert told(hand, RELEASE) == [("raised", "L-1", 100, 100), ("amended", "L-1", 100, 200)]
        last = [c for c in hand.changes_behind() if c.rule == RELEASE][-1]
        assert last.evidence.leaves[0].right == format_instant(ms(200)), "the new one is the evidence"

    def test_an_investigation_closes_what_lies_before_its_end_and_not_what_fails_behind_it(self) -> None:
        hand = investigated(result(result(maker(), 10, "oos"), 60, "oos"), 70, 20, 50)
        assert told(released(hand, 100), RELEASE) == [("raised", "L-1", 100, 100)]

    def test_an_officer_ends_it_and_the_next_release_is_another(self) -> None:
        hand = released(deviated(maker(), 60, 50), 100)
        closing(hand, 200, 100, "data-fraud")
        assert told(hand, RELEASE) == [("raised", "L-1", 100, 100)], "that needs a second officer"
        closing(hand, 210, 100)
        released(hand, 300)
        assert told(hand, RELEASE) == [
            ("raised", "L-1", 100, 100), ("cleared", "L-1", 100, 210), ("raised", "L-1", 300, 300),
        ]  # fmt: skip

    def test_a_release_that_is_closed_does_not_come_again(self) -> None:
        hand = closing(released(deviated(maker(), 60, 50), 100), 210, 100)
        released(hand, 220, said=100)
        deviated(hand, 230, 40, revision=2)
        assert told(hand, RELEASE)[1:] == [("cleared", "L-1", 100, 210)]

    def test_a_lot_without_a_name_is_counted_and_a_distributor_is_none_of_its(self) -> None:
        assert counts(released(maker(), 10, lot=None))["ledger_unknown"] == 1
        shop = HandLog().register(0, scopes=[{"field": "distribution", "line": "drug"}])
        assert told(released(deviated(shop, 60, 50), 100), RELEASE) == []

    def test_of_too_many_facts_the_oldest_go_but_never_a_release_that_holds(self) -> None:
        hand = released(deviated(maker(), 60, 50), 100)
        for i in range(6):
            result(hand, 110 + i, "oos")
        with patch.object(store, "MAX_FACTS", 3):
            assert told(hand, RELEASE)[0] == ("raised", "L-1", 100, 100)
            assert counts(hand)["fact_dropped"] > 3


def test_explained() -> None:
    hand = released(deviated(result(result(maker(), 10, "oos"), 50, "pass"), 60, 40), 100)
    for rule in (RETEST, RELEASE):
        found, _ = explain(hand.records(), BUNDLE, rule, at=ms(2 * DAY))
        assert all(one.agrees for one in found)
        assert found[0].standing_alarm is not None
        for lang in ("en", "zh"):
            assert "L-1" in "\n".join(rare_lines(found[0], lang))


def test_as_they_ship() -> None:
    retest, release = BUNDLE.rule(RETEST), BUNDLE.rule(RELEASE)
    assert isinstance(retest, RetestRule)
    assert isinstance(release, ReleaseRule)
    assert (retest.stage, release.stage) == ("live", "live")
    assert (is_latched(retest, {}), is_latched(release, {})) == (False, True)


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("retest-no-investigation", "wait: 24h", "wait: 1s", ": wait: "),
        ("retest-no-investigation", "report: oos-investigation", "report: deviation", ": report: "),
        ("retest-no-investigation", "failed: {stream: lab, type: result", "failed: {stream: lab, type: run", "retest: failed: what a laboratory says of a lot are events lab result"),
        ("retest-no-investigation", "where: {verdict: pass}", "where: {verdict: oos}", "retest: passed: what fails and what passes are told apart"),
        ("released-while-open", "released: {stream: trace", "released: {stream: lab", "release: released/stream: a release is an event of trace"),
        ("released-while-open", "while_open: [deviation, oos-investigation]", "while_open: [deviation, deviation]", "release: while_open: a type of report stands here once"),
        ("released-while-open", "applies_to: {}", "applies_to: {sensor.quantity: toc}", "predicate: applies_to/sensor.quantity: it looks at what the facility sends"),
        ("released-while-open", "severity: {base: red}", "severity: {base: red, steps: [{after: 1h, to: red}]}", "a release rule has one colour"),
    ],
)  # fmt: skip
def test_lint(tmp_path: Path, name: str, old: str, new: str, said: str) -> None:
    text = (SHIPPED / "cross-check" / f"{name}.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "cross-check").mkdir()
    (tmp_path / "cross-check" / f"{name}.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    found = [str(fault) for fault in lint([tmp_path])]
    assert any(said in one for one in found), found
