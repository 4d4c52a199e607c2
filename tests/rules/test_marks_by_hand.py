"""Marks, derived by hand from settled.md ("A mark that arrives before ...", bounds inclusive) and workflow.md §3.1."""

from __future__ import annotations

import pytest

from rules import marks
from rules.changes import ChangeKind
from rules.engine import Engine
from rules.evaluate import fold_one
from rules.pack import Bundle
from tests.rules import marklogs, sums
from tests.rules.byhand import BUNDLE, FACILITY, MINUTE, HandLog, ms, sensor, story

DAY = 24 * 60
THOUSANDTH = 1 / MINUTE


def warm(*values, begin: float = 0):
    """A cold room, a value a minute from `begin` on."""
    return HandLog().register(-1, sensor()).live("T1", begin, list(values))


def counters(log):
    engine = Engine(BUNDLE)
    for record in log.records():
        fold_one(engine, record)
    return engine.counters(0, FACILITY)


RAISED = (6.01667, "raised", "store-out", "T1", "orange", 5, None)


@pytest.mark.parametrize(("late", "told"), [(0, []), (THOUSANDTH, [RAISED])])
def test_a_mark_reaches_rows_that_were_folded_if_it_comes_within_a_day_of_its_beginning(late, told):
    log = warm(5, 5, 5, 5, 5, 9).mark(5.5 + late, "maintenance", 5.5 - DAY, 5.2)
    log.live("T1", 6, [9])
    assert story(log.changes(), "store-out") == told


def test_rows_that_come_behind_a_mark_of_last_week_are_marked_all_the_same():
    log = warm(5, 5, 5, 5, 5).mark(4.5, "stopped", -7 * DAY).live("T1", 5, [9, 9, 9, 9])
    assert story(log.changes(), "store-out") == []


def test_an_alarm_that_stands_is_amended_with_the_mark_in_evidence_and_nothing_is_taken_back():
    log = warm(5, 5, 5, 5, 5, 9, 9).mark(6.5, "maintenance", 5, 30)
    raised, amended = log.changes(until=7)
    assert story([amended]) == [(6.5, "amended", "store-out", "T1", "orange", 5, None)]
    assert (amended.alarm, amended.at, amended.late) == (raised.alarm, ms(5), False)
    proof = amended.evidence
    assert proof.marks == ["M-1/1"]
    assert [(read.kind, read.id) for read in proof.records] == [("mark", "M-1/1"), ("register", "1")]
    assert [(leaf.expr, leaf.left, leaf.op, leaf.right) for leaf in proof.leaves] == [
        ("mark M-1/1", "maintenance", "covers", "T1")
    ]  # fmt: skip
    assert proof.limits == raised.evidence.limits
    assert "declares maintenance from 2026-03-01 00:05" in amended.message.en
    assert "企业申报维护" in amended.message.zh
    assert raised.evidence.marks == []  # it was not known


def test_later_changes_name_the_marks_of_the_occurrence_as_they_stand():
    log = warm(5, 5, 5, 5, 5, 9, 9).mark(6.5, "maintenance", 5, 6).mark(6.6, "fault", -DAY, -30, name="M-0")
    log.mark(6.7, "calibration", 5.5, 6, revision=2).live("T1", 7, [5, 5, 5])
    assert [c.evidence.marks for c in log.changes() if c.change is ChangeKind.CLEARED] == [["M-1/2"]]


def test_late_data_may_still_take_back_what_a_mark_did_not():
    log = warm(5, 5, 5, 5, 5, 9, 9).mark(6.5, "maintenance", 5, 5).rows(7, ("T1", [5.5], [5]))
    assert story(log.changes(), "store-out")[-1] == (7, "retracted", "store-out", "T1", "orange", 5, None)


def test_a_second_mark_does_not_bring_back_what_the_first_took_away():
    log = warm(5, 5, 5, 5, 5, 9).mark(5.5, "maintenance", 5, 5).live("T1", 6, [5, 5, 9, 9])
    log.mark(9.5, "maintenance", 8, 9, name="M-2").live("T1", 10, [5, 5, 5])
    log.rows(12.5, ("T1", [5.5], [9]))  # one record outside, and the one before it is marked
    assert story(log.changes(), "store-out") == [
        (9.01667, "raised", "store-out", "T1", "orange", 8, None),
        (9.5, "amended", "store-out", "T1", "orange", 8, None),
        (12.01667, "cleared", "store-out", "T1", "orange", 8, 10),
    ]


def test_a_revision_that_ends_a_mark_frees_the_rows_behind_its_end():
    log = warm(5, 5).mark(1.5, "maintenance", 2).live("T1", 2, [9, 9, 9, 9]).mark(5.5, "maintenance", 2, 3, revision=2)
    (told,) = log.changes()
    assert story([told]) == [(5.5, "raised", "store-out", "T1", "orange", 4, None)]
    assert (told.at, told.late) == (ms(5), False)
    assert [(read.kind, read.id) for read in told.evidence.records][-2:] == [("mark", "M-1/2"), ("register", "1")]


def test_revisions_count_by_number_in_whatever_order_they_come_and_the_first_of_a_number_stays():
    log = warm(5, 5).mark(1.4, "maintenance", 0, 9, revision=2).mark(1.5, "maintenance", 0, 1)
    log.mark(1.6, "fault", 0, 1, revision=2).mark(1.7, "maintenance", 0, 9, revision=2).live("T1", 2, [9, 9, 9])
    assert story(log.changes(), "store-out") == []
    counts = {name: count for name, count in counters(log).items() if name.startswith("mark")}
    assert counts == {"marks": 4, "mark_superseded": 1, "mark_conflict": 1, "mark_repeated": 1}


def test_a_mark_of_an_area_holds_for_the_sensors_that_are_registered_there_when_rows_come():
    log = HandLog().register(-1, sensor(), sensor("T2", "A2")).mark(-0.5, "stopped", -1, area="A1")
    log.register(-0.2, sensor(), sensor("T2"), version=2)
    log.rows(2, ("T1", [0, 1], [9, 9]), ("T2", [0, 1], [9, 9]))
    assert story(log.changes(), "store-out") == []


def test_a_mark_that_came_before_the_register_holds():
    log = HandLog().mark(-2, "stopped", -2).register(-1, sensor()).live("T1", 0, [9, 9, 9])
    assert story(log.changes(), "store-out") == []


def test_a_mark_of_a_link_that_was_down_says_nothing_of_values():
    log = warm(5, 5).mark(1.5, "comms", 0).live("T1", 2, [9, 9])
    assert [c.evidence.marks for c in log.changes()] == [["M-1/1"]]  # it is evidence all the same


def test_values_that_were_set_are_none_that_do_not_move():
    log = HandLog().register(-1, sensor()).mark(-0.5, "set_value", 0).live("T1", 0, [5.5] * 70)
    assert story(log.changes(), "frozen") == []
    log = HandLog().register(-1, sensor()).mark(-0.5, "maintenance", 0).live("T1", 0, [5.5] * 70)
    assert story(log.changes(), "frozen") == [(60.01667, "raised", "frozen", "T1", "yellow", 0, None)]


@pytest.mark.parametrize(("flag", "told"), [("maintenance", 1), ("set_value", 0)])
def test_two_values_of_one_instant_are_a_conflict_unless_they_were_set(flag, told):
    log = HandLog().register(-1, sensor()).mark(-0.5, flag, 0).rows(1, ("T1", [0], [5])).rows(2, ("T1", [0], [6]))
    assert len(story(log.changes(), "overwritten")) == told


def test_rows_that_were_over_their_limit_by_their_own_word_are_marked_and_freed_too():
    over = (9, "over_limit")
    log = warm(5, 5, over).mark(2.5, "fault", 2, 3).live("T1", 3, [over]).mark(3.5, "fault", 1, 1, revision=2)
    assert story(log.changes(), "store-out") == [(3.5, "raised", "store-out", "T1", "orange", 2, None)]
    log = warm(5, 5, over).mark(2.5, "fault", 2, 3).live("T1", 3, [over, over])
    assert story(log.changes(), "store-out") == []


def test_what_a_device_says_of_a_row_stands_before_what_the_firm_says():
    log = warm(5, 5, (9, "uncertain"), (9, "uncertain")).mark(3.5, "fault", 2, 3)
    log.mark(3.6, "fault", 0, 0, revision=2)
    assert story(log.changes(until=5), "store-out") == []


# -- silences -------------------------------------------------------------------------------------------------------------
def lasting(*marks):
    """The rows of a day and an hour come at once, right behind the register, with a hole of 25 h in them."""
    log = HandLog().register(-1, sensor())
    for begin, to, flag in marks:
        log.mark(-0.5, flag, begin, to)
    return log.rows(0, ("T1", [-26 * 60, -60], [5, 5.1]))


@pytest.mark.parametrize(
    ("marks", "colour"),
    [
        ([], "orange"),
        ([(-2 * 60, -60, "comms")], "yellow"),  # it covers the instant at which a day is over
        ([(-2 * 60 + THOUSANDTH, -60, "comms")], "orange"),
        ([(-3 * 60, -2 * 60, "fault")], "orange"),  # no more behind that, and the row came an hour later
        ([(-3 * 60, -60 - 2 * THOUSANDTH, "fault")], "orange"),
        ([(-3 * 60, -60 - THOUSANDTH, "fault")], "yellow"),  # the first instant without it is that of the row
        ([(-3 * 60, -60, "calibration")], "orange"),
    ],
)
def test_a_silence_that_a_row_ends_has_the_colour_that_no_mark_kept_away(marks, colour):
    told = story(lasting(*marks).changes(), "gap")
    assert [row[1::3] for row in told] == [("raised", colour), ("cleared", colour)]


def test_a_place_waits_for_orange_while_all_of_it_is_marked_and_is_amended_itself():
    log = HandLog().register(-1, sensor(), sensor("T2")).rows(0.5, ("T1", [0], [5]), ("T2", [0], [5]))
    log.mark(60, "stopped", 30, 30 * 60, area="A1")
    told = story(log.changes(until=40 * 60), "gap")
    assert [row for row in told if row[1] not in {"suppressed"} and row[3] == "*"] == [
        (3, "raised", "gap", "*", "blue", 1, None),
        (7, "stepped", "gap", "*", "yellow", 1, None),
        (60, "amended", "gap", "*", "yellow", 1, None),
        (30 * 60 + round(THOUSANDTH, 5), "stepped", "gap", "*", "orange", 1, None),
        (
            30 * 60 + round(THOUSANDTH, 5),
            "released",
            "gap",
            "*",
            "orange",
            1,
            None,
        ),  # it had been under the orange of its only room
    ]


def test_a_place_is_orange_after_a_day_if_one_of_its_series_is_not_marked():
    log = HandLog().register(-1, sensor(), sensor("T2")).rows(0.5, ("T1", [0], [5]), ("T2", [0], [5]))
    log.mark(60, "stopped", 30)
    told = story(log.changes(until=40 * 60), "gap")
    assert [row[:2] for row in told if row[3] == "*"] == [
        (3, "raised"), (7, "stepped"), (61, "suppressed"), (24 * 60 + 1, "stepped"), (24 * 60 + 1, "released"),
    ]  # fmt: skip


def test_a_colour_that_was_taken_stays_when_a_mark_comes_behind_it():
    log = warm(5).mark(25 * 60, "comms", 60).mark(26 * 60, "comms", 60, 25 * 60, revision=2)
    changes = log.changes(until=30 * 60)
    told = [row[1::3] for row in story(changes, "gap") if row[1] != "suppressed"]
    assert told == [("raised", "blue"), ("stepped", "yellow"), ("stepped", "orange")]
    # An hour without a record of a cold room is orange already: that alarm speaks, and says that the mark came.
    assert [row[1::3] for row in story(changes, "interval-storage")][-1] == ("amended", "orange")


def test_rows_and_marks_of_one_instant_in_any_order_leave_the_same_alarm():
    """A mark and the rows that it covers come at one receive time: before them it keeps the alarm away, behind them it does not."""
    rows = ("T1", [0, 1], [9, 9])
    before = HandLog().register(-1, sensor()).mark(2, "fault", 0, 1).rows(2, rows)
    behind = HandLog().register(-1, sensor()).rows(2, rows).mark(2, "fault", 0, 1)
    assert [row[1] for row in story(before.changes(), "store-out")] == []
    assert [row[1] for row in story(behind.changes(), "store-out")] == ["raised", "amended"]


# -- what a fresh pair of eyes found ------------------------------------------------------------------------------------
def quiet(flags, **more):
    """A silence whose orange comes after a day, unless marked with `flags`."""
    step = {"after": "24h", "to": "orange", **({} if flags is None else {"unless_marked": flags})}
    own = sums.rule({**marklogs.QUIET, "severity": {"base": "blue", "steps": [step]}, **more})
    return Bundle.of([*(r for r in BUNDLE.rules if r.kind != "gap"), own], BUNDLE.tables.values())


def test_a_colour_that_was_kept_away_comes_when_the_sensor_leaves_the_marked_area():
    log = warm(5, 5, 5).mark(60, "stopped", 30, area="A1").register(120, sensor("T1", "A2"), version=2)
    told = story(log.changes(until=40 * 60), "gap")
    assert [row[:2] for row in told][-1] == (24 * 60 + 3, "stepped")
    assert told[-1][4] == "orange"


@pytest.mark.parametrize("flags", [None, ["fault"]])
def test_so_it_does_when_other_packs_ask_for_other_marks(flags):
    log = warm(5, 5, 5).mark(60, "stopped", 30).packs(120, quiet(flags, version="1.1.0"))
    told = story(log.changes(until=40 * 60, bundle=quiet(["stopped"])), "quiet")
    assert [row[1::3] for row in told if row[3] == "T1"] == [
        ("raised", "blue"), ("amended", "blue"), ("stepped", "orange"),
    ]  # fmt: skip


def test_and_when_too_many_marks_push_the_one_out_that_kept_it_away(monkeypatch):
    monkeypatch.setattr(marks, "MAX_MARKS", 2)
    log = warm(5, 5, 5).mark(60, "stopped", 30)
    for i in range(3):
        log.mark(70 + i, "stopped", 40, name=f"X{i}", tags=["NOPE"])
    assert story(log.changes(until=40 * 60), "gap")[-1][4] == "orange"


def test_a_mark_of_another_does_not_free_rows_of_a_sensor_that_has_moved():
    log = HandLog().register(-1, sensor(), sensor("T9", "A2")).mark(-0.5, "maintenance", 0, 30, area="A1")
    log.live("T1", 0, [5, 5, 9, 9, 9, 5, 5, 5])
    log.register(20, sensor("T1", "A2"), sensor("T9", "A2"), sensor("T8", "A1"), version=2)
    log.mark(40, "maintenance", 39, 41, name="M-2")
    assert story(log.changes(), "store-out") == []


def test_a_mark_that_is_forgotten_frees_nothing():
    later = 64 * DAY
    log = warm(5, 5).mark(1.5, "maintenance", 2, 30).live("T1", 2, [9, 9, 9, 9])
    log.mark(later, "comms", later, later + 5, name="M-2").mark(later + 1, "maintenance", later, later + 5, name="M-3")
    assert story(log.changes(), "store-out") == []


def test_an_older_revision_that_comes_again_when_its_newest_is_forgotten_is_superseded():
    later = 64 * DAY
    log = warm(5, 5).mark(1.5, "maintenance", 2).mark(3, "maintenance", 2, 30, revision=2)
    log.mark(later, "maintenance", later - 10, later - 5, name="M-2").mark(later + 1, "maintenance", 2)
    log.live("T1", later + 2, [9, 9, 9, 9])
    assert [row[1] for row in story(log.changes(), "store-out")] == ["raised"]
    assert counters(log)["mark_superseded"] == 1


def test_so_it_is_where_the_newest_revision_named_a_time_long_ago_and_the_older_one_another():
    """Found by chance: the older revision is not too old itself."""
    log = warm(5, 5).mark(1.5, "maintenance", 2).mark(3, "maintenance", -70 * DAY, -69 * DAY, revision=2)
    log.mark(4, "maintenance", 3, 4, name="M-2").mark(5, "maintenance", 2)
    log.live("T1", 6, [9, 9, 9, 9])
    assert [row[1] for row in story(log.changes(), "store-out")] == ["raised"]
    counts = counters(log)
    assert (counts["mark_superseded"], counts.get("mark_too_old", 0)) == (1, 0)


def test_rows_behind_the_end_of_what_was_told_are_kept_away_by_the_mark_that_comes_before_the_next_alarm():
    log = warm(5, 5, 9, 9, 5, 5, 5, 9).mark(7.5, "maintenance", 6, 7).live("T1", 8, [9, 5, 5, 5])
    assert [row[1:2] + row[5:] for row in story(log.changes(), "store-out")] == [("raised", 2, None), ("cleared", 2, 4)]


def test_planned_work_says_nothing_of_the_alarms_of_today():
    log = warm(5, 5, 5, 5, 5, 9, 9).mark(6.5, "maintenance", 14 * DAY, 14 * DAY + 60).live("T1", 7, [5, 5, 5])
    changes = [c for c in log.changes() if c.rule == "cold-chain.store-out"]
    assert [c.change.value for c in changes] == ["raised", "cleared"]
    assert [c.evidence.marks for c in changes] == [[], []]


def test_what_is_kept_of_a_series_goes_with_it():
    log = HandLog().register(-1, sensor(), sensor("T2"))
    log.rows(2.5, *((tag, [0, 1, 2], [5, 9, 9]) for tag in ("T1", "T2"))).mark(2.6, "fault", 1, 2, area="A1")
    log.register(3, sensor(), version=2)
    engine = Engine(BUNDLE)
    for record in log.records():
        fold_one(engine, record)
    assert {name for _, _, name in engine.state_of(FACILITY).marks.standing} == {"T1"}
