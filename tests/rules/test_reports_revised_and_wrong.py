"""Reports that are corrected and still wrong, or right: the alarm is amended or ends (settled.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rules.changes import ChangeKind
from rules.engine import Engine
from tests.rules.byhand import FACILITY, HandLog
from tests.rules.claimlogs import SPAN
from tests.rules.test_claims_by_hand import BUNDLE as CLAIMS
from tests.rules.test_claims_by_hand import dense, register, span_report
from tests.rules.test_excursions_by_hand import DAY, WRONG, outside, report

if TYPE_CHECKING:
    from rules.changes import Change


def stated(minutes: list[float], **more: float) -> list[Change]:
    """Return what is told of a deviation over ten minutes of 9 degrees: a revision each day, with these minutes."""
    hand = outside([9.0] * 10)
    for i, said in enumerate(minutes):
        report(hand, 60 + (2 + i if i else 0) * DAY, 5, 15, revision=1 + i, duration_min=said, **more)
    return [change for change in hand.changes(until=20 * DAY) if change.rule == WRONG]


def kinds(changes: list[Change]) -> list[str]:
    return [change.change.value for change in changes]


def claimed(peaks: list[float]) -> HandLog:
    hand = dense(register(HandLog()), 0, [5.0] * 190)
    for i, peak in enumerate(peaks):
        span_report(hand, 190 + (2 + i if i else 0) * DAY, 60, 120, 1 + i, peak=peak)
    return hand


def test_a_revision_that_is_still_wrong_amends_the_alarm() -> None:
    raised, amended, cleared = found = stated([3, 4, 10])
    assert kinds(found) == ["raised", "amended", "cleared"]
    assert amended.alarm == raised.alarm == cleared.alarm
    assert amended.start == raised.start, "it stands since the first one came"
    assert amended.end is None
    leaf = amended.evidence.leaves[0]
    assert (leaf.left, leaf.right) == (4.0, 10.0)
    assert "4 min" in amended.message.en
    assert amended.message.en.endswith("corrected, and still not as measured")
    assert amended.message.zh.endswith("已更正，但仍与实测不符")


@pytest.mark.parametrize(
    ("second", "wanted"), [(8.9, "amended"), (9.0, "cleared"), (11.0, "cleared"), (11.1, "amended")]
)
def test_amended_on_both_sides_of_the_tolerance(second: float, wanted: str) -> None:
    assert kinds(stated([3, second])) == ["raised", wanted]


def test_a_right_report_that_is_corrected_to_a_wrong_one_is_raised_and_not_amended() -> None:
    assert kinds(stated([10, 3])) == ["raised"]
    assert kinds(stated([10, 10])) == []


def test_revisions_before_the_first_comparison_amend_nothing() -> None:
    hand = report(report(outside([9.0] * 10), 60, 5, 15, duration_min=3), 90, 5, 15, revision=2, duration_min=4)
    assert kinds([c for c in hand.changes(until=5 * DAY) if c.rule == WRONG]) == ["raised"]


def test_what_was_unknown_is_known_by_a_revision_and_not_amended_too() -> None:
    hand = report(outside([9.0] * 10), 60, 5, 15, duration_min=3)
    report(hand, 3 * DAY, 0, 1, revision=2)
    report(hand, 4 * DAY, 5, 15, revision=3, duration_min=4)
    assert kinds([c for c in hand.changes(until=5 * DAY) if c.rule == WRONG]) == ["raised", "unknown", "known"]


def test_looks_of_the_clock_and_a_new_register_amend_nothing() -> None:
    hand = report(outside([9.0] * 10), 60, 5, 15, duration_min=3)
    hand.rows(3 * DAY, ("T1", [8.5], [9.5]))
    assert kinds([c for c in hand.changes(until=20 * DAY) if c.rule == WRONG]) == ["raised"]


def test_figures_that_are_corrected_and_still_wrong_amend_the_alarm() -> None:
    changes = [c for c in claimed([30.0, 31.0, 5.0]).changes(until=40 * DAY, bundle=CLAIMS) if c.rule == SPAN]
    assert kinds(changes) == ["raised", "amended", "cleared"]
    assert 31.0 in [leaf.left for leaf in changes[1].evidence.leaves]


def test_a_restart_between_a_revision_and_its_comparison_amends_it_too() -> None:
    log = claimed([30.0, 31.0]).records()
    engine = Engine(CLAIMS)
    found = [change for record in log for change in engine.fold(record)]
    body = engine.snapshot(0, FACILITY)
    assert body is not None
    again = Engine(CLAIMS)
    again.restore(0, FACILITY, body)
    until = log[-1].received + 40 * DAY * 60_000
    left = again.advance(0, until)
    assert [c.change for c in found + left if c.rule == SPAN] == [ChangeKind.RAISED, ChangeKind.AMENDED]
    assert again.snapshot(0, FACILITY) == (engine.advance(0, until), engine.snapshot(0, FACILITY))[1]
