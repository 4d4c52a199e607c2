"""Kind `clock` by hand, in minutes: times that cannot be, and rows that come too late to be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rules.engine import Engine
from rules.instants import parse_instant
from rules.pack import Bundle
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, place, sensor, since

if TYPE_CHECKING:
    from rules.changes import Change

TIMES, LATE = "data-integrity.event-time", "data-integrity.late-evidence"
DAY = 1440
MS = 1 / 60_000


def told(changes: list[Change], rule: str = TIMES) -> list[tuple[Any, ...]]:
    return [
        (c.change.value, place(c.subject), since(c.start), since(c.at), since(c.received), c.late)
        for c in changes
        if c.rule == rule
    ]


def log(**measures: Any) -> HandLog:
    return HandLog().register(-1, sensor(**measures)).rows(3, ("T1", [0, 1, 2], [5, 5, 5]))


@pytest.mark.parametrize(("at", "raised"), [(15, False), (15 + MS, True), (5 * DAY, True)])
def test_more_than_five_minutes_ahead_of_its_receipt(at: float, raised: bool) -> None:
    """It stands since it came; the row itself is folded by no rule."""
    found = told(log().rows(10, ("T1", [at], [99])).changes())
    assert found == ([("raised", "T1", 10, round(at, 5), 10, False)] if raised else [])


@pytest.mark.parametrize(("age", "raised"), [(10 * DAY, False), (10 * DAY + MS, True)])
def test_more_than_ten_days_behind_its_receipt(age: float, raised: bool) -> None:
    """Also rows that are folded in order: a series that begins with old readings."""
    hand = HandLog().register(-1, sensor()).rows(age, ("T1", [0], [5]))
    assert [row[:3] for row in told(hand.changes())] == ([("raised", "T1", round(age, 5))] if raised else [])
    assert told(hand.changes(), LATE) == []


def test_one_batch_raises_it_once_and_a_later_one_does_not_move_its_start() -> None:
    hand = log().rows(10, ("T1", [20, 21, 22], [5, 5, 5])).rows(11, ("T1", [30], [5]))
    assert told(hand.changes()) == [("raised", "T1", 10, 20, 10, False)]


def test_a_null_and_a_marked_row_have_a_time_too() -> None:
    for value in ((None, "comms"), (5, "maintenance"), (5, "uncertain")):
        assert len(told(log().rows(10, ("T1", [20], [value])).changes())) == 1


def test_the_evidence_names_the_distance_and_what_is_allowed() -> None:
    ahead, behind = (
        next(c for c in hand.changes() if c.rule == TIMES).evidence
        for hand in (
            log().rows(10, ("T1", [20], [5])),
            HandLog().register(-1, sensor()).rows(11 * DAY, ("T1", [0], [5])),
        )
    )
    (leaf,) = ahead.leaves
    assert (leaf.expr, leaf.left, leaf.op, leaf.right) == ("time ahead of T1", 600_000.0, ">", 300_000.0)
    (leaf,) = behind.leaves
    assert (leaf.expr, leaf.left, leaf.right) == ("age of T1", 11 * DAY * 60_000.0, 10 * DAY * 60_000.0)
    assert [read.kind for read in behind.records] == ["readings", "register"]


def test_what_is_folded_and_raises_is_told_by_rule_within_its_row() -> None:
    """One row, eleven days old, is the second outside: `store-out` and `event-time`, by id."""
    hand = HandLog().register(-1, sensor()).rows(11 * DAY, ("T1", [0, 1, 2], [9, 9, 9]))
    rules = {"cold-chain.store-out", TIMES}
    assert [c.rule for c in hand.changes() if c.rule in rules] == [TIMES, "cold-chain.store-out"]


def test_tags_that_nobody_registered_have_no_alarm() -> None:
    assert told(log().rows(10, ("NOPE", [99], [5])).changes()) == []


# -- late evidence -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("at", "raised"), [(179, True), (179.5, True), (180 + MS, False)])
def test_two_hours_behind_the_newest_reading_it_is_too_late(at: float, raised: bool) -> None:
    hand = HandLog().register(-1, sensor()).dense(300).rows(301, ("T1", [at], [9]))
    assert [row[:3] for row in told(hand.changes(), LATE)] == ([("raised", "T1", at)] if raised else [])


def test_it_begins_with_the_earliest_row_and_is_said_to_be_late() -> None:
    hand = HandLog().register(-1, sensor()).dense(300).rows(301, ("T1", [100, 90, 110], [5, 5, 5]))
    assert told(hand.changes(), LATE) == [("raised", "T1", 90, 90, 301, True)]


def test_the_rows_of_one_instant_are_told_of_once_and_those_of_a_later_one_widen_it() -> None:
    """In whatever order and in how many batches they come: 8,000 rows from the newest back were 7,879 changes."""
    hand = HandLog().register(-1, sensor()).dense(600)
    for minutes in (range(300, 200, -1), range(200, 150, -1)):
        hand.rows(601, ("T1", list(minutes), [5.0] * len(minutes)))
    hand.rows(602, ("T1", [310, 160, 140, 145], [5.0] * 4)).rows(603, ("T1", [350, 170], [5.0] * 2))
    changes = [c for c in hand.changes() if c.rule == LATE]
    assert told(changes, LATE) == [("raised", "T1", 151, 151, 601, True), ("amended", "T1", 140, 140, 602, False)]
    spans = [[since(parse_instant(str(leaf.left))) for leaf in c.evidence.leaves] for c in changes]
    assert spans == [[151, 300], [140, 310]]
    assert [[read.id for read in c.evidence.records][:1] for c in changes] == [["b3"], ["b4"]]


@pytest.mark.parametrize("what", ["mark", "register", "tick", ""])
def test_it_is_told_before_a_mark_or_a_register_of_its_instant_and_at_the_end_of_a_log(what: str) -> None:
    """And once the clock goes on, else."""
    hand = HandLog().register(-1, sensor()).dense(300)
    hand.rows(301, ("T1", [100, 90], [5.0, 5.0]))
    if what == "mark":
        hand.mark(301, "fault", 301)
    elif what == "register":
        hand.register(301, sensor(), version=2)
    elif what:
        hand.tick(302)
    assert told(hand.changes(), LATE) == [("raised", "T1", 90, 90, 301, True)]
    engine = Engine(BUNDLE)
    told_at = [told(engine.fold(record), LATE) for record in hand.records()]
    assert [bool(found) for found in told_at[-2:]] == [False, bool(what)]


def test_what_waits_to_be_told_is_told_after_a_restart() -> None:
    log = HandLog().register(-1, sensor()).dense(300).rows(301, ("T1", [100, 90], [5.0, 5.0])).tick(302).records()
    engine, other = Engine(BUNDLE), Engine(BUNDLE)
    for record in log[:-1]:
        engine.fold(record)
    other.restore_partition(0, engine.partition_state(0))
    other.restore(0, FACILITY, engine.snapshot(0, FACILITY))
    found = told(other.fold(log[-1]), LATE)
    assert len(found) == 1
    assert found == told(engine.fold(log[-1]), LATE)


def test_behind_ten_days_it_is_only_the_other_rule() -> None:
    hand = HandLog().register(-1, sensor()).dense(11 * DAY)
    hand.rows(11 * DAY + 1, ("T1", [DAY + 1 - MS, DAY + 1], [5, 5]))
    changes = hand.changes()
    assert [row[2] for row in told(changes, LATE)] == [DAY + 1]
    assert [row[3] for row in told(changes)] == [round(DAY + 1 - MS, 5)]


def test_rows_that_a_register_made_too_old_are_late_evidence_too() -> None:
    """Another registered interval ends the horizon of the series (other limits do not): what comes behind its newest row is not judged again."""
    assert (
        told(
            log().register(4, sensor(limits={"low": 2, "high": 7}), version=2).rows(5, ("T1", [1.5], [5])).changes(),
            LATE,
        )
        == []
    )
    hand = log(limits={"low": 2, "high": 8})
    hand.register(4, sensor(interval="30s", limits={"low": 2, "high": 7}), version=2).rows(5, ("T1", [1.5], [5]))
    assert [row[:3] for row in told(hand.changes(), LATE)] == [("raised", "T1", 1.5)]


def test_a_day_that_was_stored_is_one_alarm_with_32_rows_kept() -> None:
    hand = HandLog().register(-1, sensor()).dense(DAY)
    minutes = list(range(1200))
    hand.rows(DAY + 1, ("T1", minutes, [5.0] * 1200)).tick(DAY + 2)
    engine = Engine(BUNDLE)
    changes = [change for record in hand.records() for change in engine.fold(record)]
    assert [row[:3] for row in told(changes, LATE)] == [("raised", "T1", 0)]
    (case,) = engine.state_of(FACILITY).rare.of(LATE).values()
    assert len(case.facts) == 32


@pytest.mark.parametrize(("rule", "members"), [(TIMES, {"ahead": None}), (LATE, {"ahead": 300_000})])
def test_ahead_belongs_to_event_time_alone(rule: str, members: dict[str, Any]) -> None:
    own = BUNDLE.rule(rule)
    assert own is not None
    assert [f.pointer for f in bundle_faults([own.model_copy(update=members)], [])] == ["/rules/0/ahead"]


def test_a_rule_with_its_own_numbers_goes_by_them() -> None:
    own = BUNDLE.rule(TIMES)
    assert own is not None
    strict = own.model_copy(update={"ahead": 60_000, "behind": 2 * 3_600_000})
    packs = Bundle.of([strict], [])
    assert [row[3] for row in told(log().rows(10, ("T1", [11, 11 + MS], [5, 5])).changes(bundle=packs))] == [11.00002]
    assert [row[3] for row in told(log().rows(123.5, ("T1", [3, 4], [5, 5])).changes(bundle=packs))] == [3]
