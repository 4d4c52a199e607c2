"""What changes say: the newest sentence alone tells what is wrong, in both languages, and a silence always has its leaf."""

from __future__ import annotations

import pytest

from rules.changes import ChangeKind, Verdict
from rules.wording import group_message
from tests.rules.byhand import HandLog, place, sensor

WAVE = [5.0, 5.1] * 200


def together(log: HandLog, begin: int, end: int, *tags: str) -> HandLog:
    """Append one batch a minute with a row of each tag."""
    for minute in range(begin, end):
        log.rows(minute + 0.1, *[(tag, [minute], [WAVE[minute]]) for tag in tags])
    return log


def gaps(log: HandLog, until: float | None = None) -> list:
    """The changes of silences."""
    return [change for change in log.changes(until=until) if change.rule == "data-integrity.gap"]


def test_a_silence_that_gets_worse_still_says_what_is_silent() -> None:
    log = together(HandLog().register(-1, sensor(), sensor("T2"), sensor("T3", "A3")), 0, 5, "T1", "T2", "T3")
    together(log, 5, 30, "T2", "T3")
    found = {change.change: change.message for change in gaps(log) if place(change.subject) == "T1"}
    assert found[ChangeKind.RAISED].en == "T1: no record arrives"
    assert found[ChangeKind.STEPPED].en == "T1: no record arrives; colour changed"
    assert found[ChangeKind.STEPPED].zh == "T1：未收到记录；等级变更"


def test_a_place_that_gets_worse_still_says_what_is_silent() -> None:
    assert group_message("", ChangeKind.STEPPED).en == "Whole feed: no record arrives from any sensor; colour changed"
    assert group_message("A1", ChangeKind.STEPPED).zh == "A1：所有测点均未收到记录；等级变更"
    assert group_message("A1", ChangeKind.CLEARED).en == "A1: back to normal"


def test_a_value_that_gets_worse_says_where_it_is() -> None:
    log = HandLog().register(-1, sensor("FILL.P", "F1", quantity="temperature", limits={"low": 2, "high": 8}))
    for minute in range(120):
        log.rows(minute + 0.1, ("FILL.P", [minute], [9.5 + minute % 2 * 0.1]))
    stepped = [change for change in log.changes() if change.change is ChangeKind.STEPPED]
    for change in stepped:
        assert "above" in change.message.en
        assert change.message.en.endswith("; colour changed")
        assert "高于上限" in change.message.zh


@pytest.mark.parametrize("back", [True, False])
def test_every_change_of_a_silence_has_its_leaf_and_it_says_whether_the_silence_lasts(back: bool) -> None:
    log = together(HandLog().register(-1, sensor(), sensor("T2"), sensor("T3", "A3")), 0, 5, "T1", "T2", "T3")
    log.tick(5).tick(10).tick(15)
    if back:
        log.rows(20, ("T1", range(5, 20), WAVE[:15]), ("T2", range(5, 20), WAVE[:15]), ("T3", range(5, 20), WAVE[:15]))
    else:
        together(log, 20, 30, "T1", "T2", "T3")
    changes = gaps(log, until=40)
    kinds = {change.change for change in changes}
    assert {ChangeKind.RAISED, ChangeKind.SUPPRESSED} <= kinds
    assert kinds & {ChangeKind.RETRACTED, ChangeKind.CLEARED}
    lasts = {ChangeKind.RAISED, ChangeKind.STEPPED, ChangeKind.SUPPRESSED, ChangeKind.RELEASED}
    for change in changes:
        assert [leaf.verdict for leaf in change.evidence.leaves] == [
            Verdict.TRUE if change.change in lasts else Verdict.FALSE
        ], change
