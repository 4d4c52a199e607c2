"""Legal clocks by hand: who starts them, who answers them, what revisions, plans, calendars, the register and the front door make of them.

Above 400 lines on purpose: each clock is held to the same few scenes, side by side.
"""

from __future__ import annotations

import pytest

from tests.rules.clockhand import DAY, HOUR, MILLI, YEARS, ClockLog, only, shipped
from tests.rules.deadlinerules import OTHER, SHORT, variants

DEATH, SERIOUS, OTHERS = shipped("adr-death"), shipped("adr-serious"), shipped("adr-other")
INVESTIGATION, VISIT, DSUR, ANNUAL = (
    shipped(name) for name in ("adr-death-investigation", "rectification", "dsur", "annual-report")
)
AGAIN = shipped("recall-progress")
TEST = {one.id: one for one in variants()}
AWAIT, OWN, PLAN = only(TEST["test.await"]), only(TEST["test.own"]), only(TEST["test.visit"])


def notice(log, at, class_=1, **more):
    said = {"recall_id": "R-1", "line": "drug", "class": class_, "lots": [{"lot": "L", "shipped": 1}]}
    return log.report(at, "recall-notice", "N-1", decided_at=at, notified_at=at, **said | more)


def progress(log, at, name, revision=1, kind="recall-progress", **more):
    said = {"recall_id": "R-1", "seq": 1, "as_of": "2026-03-01"}
    totals = [{"lot": "L", "shipped": 1, "returned": 0, "destroyed": 0}]
    return log.report(at, kind, name, revision, totals=totals, **said | more)


# -- documents -------------------------------------------------------------------------------------------------------
def test_the_earliest_start_of_all_documents_counts_and_the_first_receipt():
    log = ClockLog().case(20 * HOUR, 0).case(26 * HOUR, -4 * HOUR, "R-2", outcome="y")
    assert log.story(DEATH) == [], "known at -4 h, received at 20 h"
    log = ClockLog().case(20 * HOUR, 0).case(26 * HOUR, -5 * HOUR, "R-2")
    hours = [round(24 * part[4]) for part in log.story(DEATH)]
    assert [part[1] for part in log.story(DEATH)] == ["raised", "cleared"]
    assert hours == [19, 19], "what comes later says that it had been known before"


def test_a_start_that_comes_to_be_known_later_moves_the_alarm():
    log = ClockLog().case(30 * HOUR, 0).case(31 * HOUR, -2 * HOUR, revision=2, reason="earlier")
    told = [(part[1], round(24 * part[4])) for part in log.story(DEATH)]
    assert told == [("raised", 24), ("cleared", 24), ("amended", 22)]
    log.case(32 * HOUR, 5 * HOUR, revision=3, reason="later")
    assert len(log.story(DEATH)) == 3, "a later one changes nothing"


def test_two_reports_of_one_case_by_different_ids_are_one_clock():
    log = ClockLog().case(DAY, 0).case(3 * DAY, 0, "R-2").case(9 * DAY, 0, "R-3", revision=2, reason="x")
    assert log.story(DEATH, 30 * DAY) == []
    log = ClockLog().case(2 * DAY, 0).case(3 * DAY, 0, "R-2")
    assert [part[:2] for part in log.story(DEATH)] == [(2, "raised"), (2, "cleared")]


def test_the_end_of_a_late_alarm_is_the_receipt_also_where_a_revision_makes_it_late():
    log = (
        ClockLog()
        .case(20 * DAY, 0, seriousness="other")
        .case(25 * DAY, 0, revision=2, reason="it was serious", seriousness="serious")
    )
    assert log.story(SERIOUS) == [
        (25, "raised", "C-1", "orange", 16, None),
        (25, "cleared", "C-1", "orange", 16, 20),
    ]


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_the_highest_revision_says_what_class_it_is_whatever_order_they_come_in(order):
    classes = {1: "serious", 2: "death", 3: "other"}
    log = ClockLog()
    for i, revision in enumerate(order):
        log.case((40 + i) * DAY, 0, revision=revision, reason="x", seriousness=classes[revision])
    ends = [(part[1], part[4]) for part in log.story(OTHERS) if part[1] == "raised"]
    assert ends == [("raised", 31)]


def test_a_number_counts_once_and_other_content_is_a_conflict():
    log = ClockLog().case(DAY, 0).case(2 * DAY, 0).case(3 * DAY, -9 * DAY)
    assert log.story(DEATH, 9 * DAY) == []
    assert log.counts(DEATH) == {"reports": 3, "report_conflict": 2}, "of the second report `sent` alone is other"


def test_the_very_same_report_again_is_repeated():
    log = ClockLog().case(DAY, 0)
    log.lines.append(log.lines[-1].replace('"offset": 1', '"offset": 2'))
    assert log.counts(DEATH) == {"reports": 2, "report_repeated": 1}


@pytest.mark.parametrize("reason", [None, "", "  ", "\t"])
def test_a_revision_that_does_not_say_why_has_no_effect(reason):
    log = ClockLog().case(DAY, 0).case(2 * DAY, -9 * DAY, revision=2, reason=reason)
    assert log.story(DEATH) == []
    assert log.counts(DEATH) == {"reports": 2, "report_unreasoned": 1}
    log.case(3 * DAY, -9 * DAY, revision=2, reason="known before")
    assert [part[1] for part in log.story(DEATH)] == ["raised", "cleared"], "its number was not taken"


def test_a_lone_higher_revision_is_judged_as_a_first_report():
    log = ClockLog().case(3 * DAY, 0, revision=4, reason="of a report that never came")
    assert [part[1] for part in log.story(DEATH)] == ["raised", "cleared"]


def test_an_answer_whose_case_was_never_reported_is_judged_by_what_it_says_itself():
    assert [part[1] for part in ClockLog().found(20 * DAY).story(INVESTIGATION)] == ["raised", "cleared"]
    assert ClockLog().found(15 * DAY).story(INVESTIGATION) == []
    late = ClockLog().found(20 * DAY).case(21 * DAY, 0, seriousness="other")
    assert len(late.story(INVESTIGATION)) == 2, "what was told stays told"
    early = ClockLog().case(DAY, 0, seriousness="other").found(20 * DAY)
    assert early.story(INVESTIGATION) == [], "no death: none is due"


def test_a_reminder_that_is_answered_in_time_ends_where_it_begins():
    log = ClockLog().case(HOUR, 0).found(14 * DAY)
    assert log.story(INVESTIGATION) == [
        (12.8, "raised", "C-1", "blue", 16, None),
        (14, "cleared", "C-1", "blue", 16, 16),
    ]


def test_a_case_that_is_reported_behind_its_time_is_told_at_once():
    log = ClockLog().case(20 * DAY, 0)
    assert log.story(INVESTIGATION) == [(20, "raised", "C-1", "red", 16, None)]
    log = ClockLog().case(13 * DAY, 0)
    assert log.story(INVESTIGATION) == [(13, "raised", "C-1", "blue", 16, None)], (
        "and in its last fifth it is announced"
    )


def test_what_is_no_longer_due_ends_and_comes_back_as_another_alarm():
    log = ClockLog().case(HOUR, 0).case(20 * DAY, 0, revision=2, reason="x", seriousness="other")
    log.case(21 * DAY, 0, revision=3, reason="x")
    changes = log.changes(bundle=INVESTIGATION)
    assert [c.change.value for c in changes] == ["raised", "stepped", "cleared", "raised"]
    assert changes[2].end == changes[2].received
    assert changes[3].alarm != changes[0].alarm
    assert changes[3].start == changes[0].start


def test_colours_step_behind_the_due_instant_and_the_alarm_names_its_documents():
    log = ClockLog().case(HOUR, 0).found(10 * HOUR, 0)
    changes = log.changes(bundle=AWAIT)
    assert [(c.change.value, c.severity.value) for c in changes] == [
        ("raised", "blue"), ("stepped", "orange"), ("stepped", "red"), ("cleared", "red"),
    ]  # fmt: skip
    assert [round((c.received - changes[1].received) / 3_600_000, 6) for c in changes[1:]] == [0, 1, 8]
    read = [(one.kind, one.id) for one in changes[-1].evidence.records]
    assert read == [("report", "R-1/1"), ("report", "I-1/1"), ("register", "1")]
    assert [leaf.verdict for leaf in changes[-1].evidence.leaves] == ["true", "true"]
    assert changes[-1].message.en.startswith("C-1: ")


# -- again and again -------------------------------------------------------------------------------------------------
def test_each_progress_report_starts_the_clock_anew_until_the_final_one():
    log = notice(ClockLog(), 0)
    for i in range(1, 5):
        progress(log, 2 * i * DAY, f"P-{i}")
    progress(log, 9 * DAY, "P-9", kind="recall-final")
    assert log.story(AGAIN, 40 * DAY) == []
    late = progress(notice(ClockLog(), 0), 2 * DAY + MILLI, "P-1")
    assert [part[:2] for part in late.story(AGAIN, 3 * DAY)] == [(2, "raised"), (round(2 + MILLI / DAY, 9), "cleared")]


def test_a_revision_of_a_progress_report_is_no_further_report():
    log = progress(notice(ClockLog(), 0), DAY, "P-1")
    progress(log, 2 * DAY, "P-1", 2, reason="the totals were wrong")
    assert [part[:2] for part in log.story(AGAIN, 4 * DAY)] == [(3, "raised")], "two days behind the first one"


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_first_revision_that_comes_starts_it_anew_whichever_it_is(order):
    log = notice(ClockLog(), 0)
    for i, revision in enumerate(order, 1):
        progress(log, i * DAY, "P-1", revision, reason="x")
    assert [part[:2] for part in log.story(AGAIN, 4 * DAY)] == [(3, "raised")]


def test_progress_before_the_notice_starts_nothing_and_behind_the_end_neither():
    log = notice(progress(ClockLog(), 0, "P-1"), DAY)
    assert [part[:2] for part in log.story(AGAIN, 9 * DAY)] == [(3, "raised")]
    progress(log, 9 * DAY, "P-2", kind="recall-final")
    progress(log, 10 * DAY, "P-3")
    notice(log, 11 * DAY, recall_id="R-1")
    assert [part[1] for part in log.story(AGAIN, 40 * DAY)] == ["raised", "cleared"]


# -- plans -----------------------------------------------------------------------------------------------------------
def test_a_plan_counts_that_is_known_before_the_time_of_the_text_is_over():
    """Two working days behind Sunday 1 March end with Tuesday 3 March."""
    plan = {"plan_date": "2026-03-08"}
    log = ClockLog().visit(HOUR, 1, 0).visit(3 * DAY, 2, 0, **plan)
    assert log.story(PLAN, 7.7 * DAY)[-1] == (3, "cleared", "V-1", "blue", 3, 3), "the reminder of the text's time ends"
    assert [part[:2] for part in log.story(PLAN, 9 * DAY)][2:] == [(7.75, "raised"), (8, "stepped")]
    log = ClockLog().visit(HOUR, 1, 0).visit(3 * DAY + MILLI, 2, 0, **plan)
    assert [part[1] for part in log.story(PLAN, 8 * DAY)] == ["raised", "stepped", "stepped"], (
        "too late, and so is the report"
    )


@pytest.mark.parametrize("day", ["2026-02-20", "2026-02-28", "2026-02-31", "0001-01-01", "9999-12-31", "2100-01-01"])
def test_a_plan_of_a_day_that_cannot_be_is_none(day):
    log = ClockLog().visit(HOUR, 1, 0, plan_date=day)
    assert [part[:2] for part in log.story(PLAN, 4 * DAY)] == [(2.75, "raised"), (3, "stepped")]


def test_a_plan_date_holds_although_no_calendar_reaches_so_far_any_more():
    log = ClockLog().visit(HOUR, 1, 0, plan_date="2026-03-04")
    log.packs(DAY, only(TEST["test.visit"], calendars=[]))
    assert [part[:2] for part in log.story(PLAN, 5 * DAY)] == [(3.75, "raised"), (4, "stepped")]


# -- calendars -------------------------------------------------------------------------------------------------------
def test_unknown_holds_an_alarm_and_never_ends_it():
    log = ClockLog().visit(HOUR, 1, 0)
    log.packs(4.5 * DAY, only(TEST["test.visit"], calendars=[SHORT])).tick(20 * DAY, "worker")
    log.packs(30 * DAY, only(TEST["test.visit"], calendars=[YEARS]))
    told = log.story(PLAN, 31 * DAY)
    assert [part[:2] for part in told] == [
        (2.75, "raised"), (3, "stepped"), (4, "stepped"), (4.5, "unknown"), (30, "known"),
    ]  # fmt: skip
    assert log.counts(PLAN)["clock_unknown"] == 1


def test_the_answer_ends_an_alarm_that_is_unknown():
    log = ClockLog().visit(HOUR, 1, 0).packs(4.5 * DAY, only(TEST["test.visit"], calendars=[]))
    log.report(5 * DAY, "rectification", inspection_id="V-1", handed_over_at=0, actions=["x"])
    log.packs(6 * DAY, only(TEST["test.visit"]))
    assert [part[1] for part in log.story(PLAN)] == ["raised", "stepped", "stepped", "unknown", "cleared"]


def test_what_nobody_could_judge_is_judged_when_the_calendar_comes():
    log = ClockLog().visit(HOUR, 1, 0)
    log.report(5 * DAY, "rectification", inspection_id="V-1", handed_over_at=0, actions=["x"])
    log.packs(6 * DAY, only(TEST["test.visit"]))
    assert log.story(only(TEST["test.visit"], calendars=[SHORT])) == [
        (6, "raised", "V-1", "red", 3, None),
        (6, "cleared", "V-1", "red", 3, 5),
    ]


def test_the_calendar_of_another_place_counts_when_the_firm_moves():
    """There 2 and 3 March are off, and Saturday 7 March is worked."""
    log = ClockLog().visit(HOUR, 1, 0).registered(DAY, 2, jurisdiction="110115")
    both = only(TEST["test.visit"], calendars=[YEARS, OTHER])
    assert [part[:2] for part in log.story(both, 6 * DAY)] == [(4.75, "raised"), (5, "stepped")]


# -- packs -----------------------------------------------------------------------------------------------------------
def test_other_numbers_count_for_what_is_not_answered_and_for_nothing_else():
    shorter = TEST["test.await"].model_copy(
        update={
            "within": [one.model_copy(update={"time": (1, "h")}) for one in TEST["test.await"].within],
            "version": "1.1.0",
        }
    )
    shorter = type(shorter).model_validate(
        shorter.model_dump(mode="json", by_alias=True, exclude_none=True) | {"within": [{"time": "1h"}]}
    )
    log = ClockLog().case(0, 0).case(0, 0, "R-2", case_id="C-2").found(1.5 * HOUR, name="I-2", case_id="C-2")
    log.packs(1.55 * HOUR, only(shorter))
    told = log.story(AWAIT, 1.56 * HOUR)
    assert [part[1:4] for part in told] == [("raised", "C-1", "orange")], "C-2 was in time when it was answered"


def test_a_rule_that_goes_ends_what_stands_and_one_that_begins_anew_knows_nothing_of_before():
    log = ClockLog().case(0, 0).packs(3 * HOUR, only()).packs(4 * HOUR, AWAIT).found(3 * DAY, name="I-9")
    told = [(part[1], round(24 * part[0], 3)) for part in log.story(AWAIT)]
    assert told == [("raised", 1.6), ("stepped", 2), ("cleared", 3), ("raised", 72), ("cleared", 72)]


# -- the front door --------------------------------------------------------------------------------------------------
def test_a_time_that_is_over_inside_of_closed_time_is_over_at_the_opening():
    log = ClockLog().case(0, 0).tick(1.9 * HOUR).tick(6 * HOUR)
    told = [(part[1], round(24 * part[0], 3), round(24 * part[4], 3)) for part in log.story(AWAIT, 7 * HOUR)]
    assert told == [("raised", 1.6, 2), ("amended", 6, 6), ("stepped", 6, 6)]
    log.found(6 * HOUR)
    assert [part[1] for part in log.story(AWAIT, 9 * HOUR)] == ["raised", "cleared"], "at the opening it is in time"


def test_what_the_clock_had_said_inside_of_closed_time_is_taken_back_at_the_opening():
    log = ClockLog().case(0, 0).tick(1.7 * HOUR).tick(4 * HOUR, "worker").tick(6 * HOUR)
    told = [(part[1], part[3], round(24 * part[0], 3), round(24 * part[4], 3)) for part in log.story(AWAIT, 6.5 * HOUR)]
    assert told == [
        ("raised", "blue", 1.6, 2), ("stepped", "orange", 2, 2), ("stepped", "red", 3, 2), ("retracted", "red", 6, 2),
        ("raised", "red", 6, 6),
    ]  # fmt: skip
    log.found(6 * HOUR)
    assert [part[1] for part in log.story(AWAIT, 9 * HOUR)][-1] == "retracted"


def test_what_came_late_inside_of_closed_time_had_not_come_late():
    log = ClockLog().case(0.5 * HOUR, 0).tick(0.9 * HOUR)
    log.case(1.5 * HOUR, 0, "R-2", case_id="C-2").tick(3 * HOUR)
    told = [(part[1], part[2], round(24 * part[4], 3)) for part in log.story(OWN, 5 * HOUR)]
    assert told == [("raised", "C-2", 1), ("cleared", "C-2", 1), ("retracted", "C-2", 1)]


@pytest.mark.parametrize(("begin", "end"), [(2.0, 6.0), (0.1, 2.0), (0.1, 1.9), (2.1, 6)])
def test_closed_time_that_does_not_cover_the_instant_moves_nothing(begin, end):
    log = ClockLog().case(0, 0).tick(begin * HOUR).tick(end * HOUR)
    told = [(part[1], round(24 * part[4], 3)) for part in log.story(AWAIT, 7 * HOUR)]
    assert told[-2:] == [("stepped", 2), ("stepped", 2)]


def test_a_reminder_inside_of_closed_time_is_told_all_the_same():
    log = ClockLog().case(0, 0).tick(1.5 * HOUR).tick(6 * HOUR).tick(6 * HOUR + 10)
    told = [(part[1], part[3], round(24 * part[0], 3), round(24 * part[4], 3)) for part in log.story(AWAIT, 7 * HOUR)]
    assert told == [("raised", "blue", 4.8, 6), ("stepped", "red", 6, 6)]


def test_what_is_known_behind_the_opening_of_a_time_inside_of_it_moves_too():
    log = ClockLog().tick(0.5 * HOUR).tick(3 * HOUR).case(4 * HOUR, 0)
    assert [round(24 * part[4], 3) for part in log.story(OWN)] == [3, 3]


# -- the register ----------------------------------------------------------------------------------------------------
def dsur(log, at, day, name="D-1", trial="T-1"):
    return log.report(at, "dsur", name, trial_id=trial, anniversary=day, susar_count=0)


def yearly(log, at, year, name="A-1"):
    said = {"products": [], "changes": [], "deviations": 0, "recalls": 0, "figures": {}}
    return log.report(at, "annual-report", name, year=year, **said)


def trial(day, **more):
    return {"trials": [{"id": "T-1", "anniversary": day, **more}]}


def cases(log, bundle, until):
    return [part[2] for part in log.story(bundle, until) if part[1] == "stepped" and part[3] == "yellow"]


def test_each_anniversary_is_asked_for_and_29_february_is_clipped():
    log = ClockLog(**trial("2024-02-29"))
    assert cases(log, DSUR, 790 * DAY) == ["T-1+2027-02-28"]
    assert cases(log, DSUR, 1000 * DAY) == ["T-1+2027-02-28", "T-1+2028-02-29"]


def test_a_report_ahead_of_its_anniversary_answers_it_and_the_next_is_asked_for():
    log = dsur(ClockLog(**trial("2024-03-10")), 2 * DAY, "2026-03-10")
    assert cases(log, DSUR, 480 * DAY) == ["T-1+2027-03-10"]


def test_a_report_that_the_register_does_not_ask_for_is_never_late():
    log = dsur(ClockLog(**trial("2024-03-10")), DAY, "2019-03-10")
    dsur(log, 2 * DAY, "2025-12-24", "D-2", trial="T-9")
    dsur(log, 3 * DAY, "2025-03-11", "D-3")
    assert log.story(DSUR, 58 * DAY) == []
    assert yearly(ClockLog(), 200 * DAY, 2024).story(ANNUAL) == [], "it holds no licence"


def test_a_report_that_came_before_its_trial_was_registered_answers_it():
    log = dsur(ClockLog(**trial("2024-03-10")), 20 * DAY, "2026-03-15", trial="T-2")
    both = [{"id": "T-1", "anniversary": "2024-03-10"}, {"id": "T-2", "anniversary": "2025-03-15"}]
    log.registered(30 * DAY, 2, trials=both)
    assert cases(log, DSUR, 90 * DAY) == ["T-1+2026-03-10"]


def test_a_trial_that_ended_or_that_is_corrected_is_asked_for_by_the_register_of_now():
    log = ClockLog(**trial("2024-03-10")).registered(5 * DAY, 2, **trial("2024-03-20"))
    assert cases(log, DSUR, 100 * DAY) == ["T-1+2026-03-20"]
    log = ClockLog(**trial("2024-03-10")).registered(75 * DAY, 2, **trial("2024-03-10", ended="2026-03-09"))
    assert [part[1] for part in log.story(DSUR, 500 * DAY)] == ["raised", "stepped", "cleared"]
    log = ClockLog(**trial("2024-03-10")).registered(75 * DAY, 2, **trial("2024-03-10", ended="2026-03-10"))
    assert [part[1] for part in log.story(DSUR, 500 * DAY)] == ["raised", "stepped"], (
        "it was owed while the trial lasted"
    )


def test_a_trial_that_begins_in_years_is_asked_for_when_it_comes():
    log = ClockLog(**trial("2028-05-01"))
    assert cases(log, DSUR, 900 * DAY) == ["T-1+2028-05-01"]


def licence(begin, end=None, kind="drug-mah"):
    held = {"number": "N-1", "kind": kind, "from": begin}
    return {"licences": [held if end is None else held | {"to": end}]}


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        (licence("2020-01-01"), ["annual-report+2026", "annual-report+2027"]),
        (licence("2026-12-31"), ["annual-report+2026", "annual-report+2027"]),
        (licence("2027-01-01"), ["annual-report+2027"]),
        (licence("2020-01-01", "2027-01-01"), ["annual-report+2026"]),
        (licence("2020-01-01", "2026-12-31"), []),
        (licence("2020-01-01", kind="drug-wholesale"), []),
        (licence("2028-06-01"), []),
    ],
)
def test_who_holds_a_licence_on_1_january_owes_the_report_of_the_year_before(facts, wanted):
    assert cases(ClockLog(**facts), ANNUAL, 1000 * DAY) == wanted


def test_a_licence_that_begins_in_years_is_asked_for_when_it_comes():
    assert cases(ClockLog(**licence("2028-06-01")), ANNUAL, 1200 * DAY) == ["annual-report+2028"]


def test_a_licence_that_is_given_back_before_the_year_ends_owes_nothing_for_it():
    log = ClockLog(**licence("2020-01-01")).registered(100 * DAY, 2, **licence("2020-01-01", "2026-06-30"))
    assert log.story(ANNUAL, 500 * DAY) == []
    log = ClockLog(**licence("2020-01-01")).registered(310 * DAY, 2, **licence("2020-01-01", "2027-01-02"))
    assert cases(log, ANNUAL, 500 * DAY) == ["annual-report+2026"], "on 1 January it was held"


def test_what_was_registered_for_one_rule_is_no_beginning_for_another():
    log = ClockLog(**trial("2024-03-10")).registered(400 * DAY, 2, **trial("2024-03-10") | licence("2020-01-01"))
    assert cases(log, ANNUAL, 430 * DAY) == [], "it holds a licence since 2027, as far as is known"


def test_the_orange_of_an_annual_report_comes_twenty_working_days_behind_the_text_not_behind_the_opening():
    """30 April 2027 ends in closed time; 1 to 4 May are off, and the day of the opening would be day 0 of another count."""
    due = 426 * DAY
    log = ClockLog(**licence("2020-01-01")).tick(due - HOUR).tick(due + 100 * HOUR)
    told = [part[:2] for part in log.story(ANNUAL, 460 * DAY)]
    plain = [part[:2] for part in ClockLog(**licence("2020-01-01")).story(ANNUAL, 460 * DAY)]
    assert told[-1] == plain[-1]
