"""Legal clocks of several reports of one case, by hand: a second report, a number that names another case, and what is told of both (ADR 0094)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from rules.clocks import book, saying, store
from rules.clocks.listing import listing
from rules.explainclocks import clocks_of
from tests.rules.clockhand import BEGIN, DAY, HOUR, SHIPPED, ClockLog, days, shipped

if TYPE_CHECKING:
    from rules.changes import Change

MOVED: dict[str, Any] = {"revision": 2, "reason": "the number was a slip of the pen"}


def brief(log: ClockLog, rule: str, until: float = 90 * DAY) -> list[tuple[Any, ...]]:
    """Return (day received, change, case, colour, day of start)."""
    return [one[:5] for one in log.story(shipped(rule), until)]


def last(log: ClockLog, rule: str, until: float = 90 * DAY) -> Change:
    return log.changes(until=until, bundle=shipped(rule))[-1]


def device(log: ClockLog, at: float, name: str, kind: str, channel: str = "online") -> ClockLog:
    fields: dict[str, Any] = {
        "event_id": "D-9",
        "class": kind,
        "known_at": 0,
        "channel": channel,
        "udi": "U-1",
        "lot": "L-1",
    }
    return log.report(at, "device-event", name, **fields)


def reaction(log: ClockLog, at: float, name: str, kind: str) -> ClockLog:
    return log.report(
        at, "cosmetic-reaction", name, case_id="K-1", known_at=0, filing_id="G-1", **dict[str, Any]({"class": kind})
    )


def notice(log: ClockLog, at: float, name: str, kind: int, **more: Any) -> ClockLog:
    fields: dict[str, Any] = {
        "recall_id": "R-9", "line": "drug", "class": kind, "decided_at": 0, "notified_at": at, "lots": [{"lot": "L-1", "shipped": 5}],
    }  # fmt: skip
    return log.report(at, "recall-notice", name, **fields | more)


def totals(log: ClockLog, at: float, kind: str, name: str, recall: str = "R-9", **more: Any) -> ClockLog:
    lots = [{"lot": "L-1", "shipped": 5, "returned": 1, "destroyed": 0}]
    return log.report(at, f"recall-{kind}", name, recall_id=recall, seq=1, as_of="2026-03-01", totals=lots, **more)


# -- another report of the same case --------------------------------------------------------------------------------
@pytest.mark.parametrize("order", [("serious", "death"), ("death", "serious")])
def test_a_death_that_another_report_tells_is_investigated_whichever_came_first(order: tuple[str, str]) -> None:
    log = ClockLog()
    for place, seriousness in enumerate(order, 1):
        log.case(place * HOUR, 0, f"R-{place}", seriousness=seriousness)
    assert brief(log, "adr-death-investigation") == [
        (12.8, "raised", "C-1", "blue", 16), (16, "stepped", "C-1", "red", 16)
    ]  # fmt: skip


def test_a_death_that_becomes_known_behind_the_time_of_its_investigation_is_late_at_once() -> None:
    log = ClockLog().case(HOUR, 0, "R-1", seriousness="serious").case(20 * DAY, 5 * DAY, "R-2")
    assert brief(log, "adr-death-investigation") == [(20, "raised", "C-1", "red", 16)]
    assert brief(log, "adr-death") == [], "the first report of the case was in time"


@pytest.mark.parametrize("order", [("serious", "group"), ("group", "serious")])
def test_a_group_event_that_one_report_tells_wants_a_call_whatever_another_says(order: tuple[str, str]) -> None:
    log = ClockLog()
    for place, kind in enumerate(order, 1):
        device(log, place, f"R-{place}", kind)
    assert brief(log, "device-group")[-1] == (0.5, "stepped", "D-9", "red", 0.5)
    called = device(log, 2 * DAY, "R-3", "group", "phone")
    assert brief(called, "device-group")[-1] == (2, "cleared", "D-9", "red", 0.5)


@pytest.mark.parametrize(
    ("kinds", "due"), [(["ordinary", "serious"], 21), (["serious", "social"], 11), (["social", "serious"], 11)]
)
def test_of_two_classes_that_reports_tell_the_shorter_time_is_owed(kinds: list[str], due: int) -> None:
    log = ClockLog()
    for place, kind in enumerate(kinds, 1):
        reaction(log, place, f"R-{place}", kind)
    assert brief(log, "cosmetic-self-check")[-1] == (due, "stepped", "K-1", "yellow", due)


@pytest.mark.parametrize("kinds", [(3, 1), (1, 3), (1, 1)])
def test_of_a_recall_the_shortest_time_of_its_notices_is_owed(kinds: tuple[int, int]) -> None:
    log = notice(notice(ClockLog(), 60, "N-1", kinds[0]), 120, "N-2", kinds[1])
    assert brief(log, "recall-progress") == [(2, "raised", "R-9", "orange", 2)]


def test_a_class_that_is_withdrawn_owes_no_more_and_what_stands_ends_with_its_receipt() -> None:
    log = notice(notice(ClockLog(), 60, "N-1", 3), 120, "N-2", 1)
    notice(log, 3 * DAY, "N-2", 3, **MOVED)
    assert log.story(shipped("recall-progress"), 9 * DAY) == [
        (2, "raised", "R-9", "orange", 2, None), (3, "cleared", "R-9", "orange", 2, 3), (8, "raised", "R-9", "orange", 8, None),
    ]  # fmt: skip


def test_starts_that_differ_are_named_and_the_earliest_counts() -> None:
    log = ClockLog().case(HOUR, 30, "R-1").case(2 * HOUR, 0, "R-2", seriousness="other")
    change = last(log, "adr-death-investigation", 13 * DAY)
    leaf = change.evidence.leaves[-1]
    assert (leaf.expr, leaf.op, leaf.verdict.value) == ("start told by R-1/1", "after", "true")
    assert (leaf.left, leaf.right) == ("2026-02-28T16:30:00.000Z", "2026-02-28T16:00:00.000Z")
    assert {"R-1/1", "R-2/1"} <= {read.id for read in change.evidence.records}
    same = ClockLog().case(HOUR, 0, "R-1").case(2 * HOUR, 0, "R-2")
    assert len(last(same, "adr-death-investigation", 13 * DAY).evidence.leaves) == 2


def test_a_start_that_is_corrected_counts_as_it_is_corrected() -> None:
    log = ClockLog().case(HOUR, 0).case(2 * HOUR, 4 * DAY, **MOVED)
    assert brief(log, "adr-death-investigation")[-1] == (20, "stepped", "C-1", "red", 20)


# -- a number that names another case -------------------------------------------------------------------------------
@pytest.mark.parametrize("swapped", [False, True])
def test_an_investigation_that_turns_out_to_be_of_another_case_leaves_this_one_open(swapped: bool) -> None:
    log = ClockLog().case(HOUR, 0)
    first: tuple[dict[str, Any], ...] = ({"case_id": "C-1"}, {"case_id": "C-2"} | MOVED)
    for at, more in zip((5, 6), reversed(first) if swapped else first, strict=True):
        log.found(at * DAY, **more)
    story = [one for one in brief(log, "adr-death-investigation") if one[2] == "C-1"]
    assert story == [(12.8, "raised", "C-1", "blue", 16), (16, "stepped", "C-1", "red", 16)]


def test_a_case_that_is_opened_again_behind_its_time_is_late_at_once_and_names_both_numbers() -> None:
    log = ClockLog().case(HOUR, 0).found(5 * DAY).found(20 * DAY, case_id="C-2", **MOVED)
    story = [one for one in brief(log, "adr-death-investigation") if one[2] == "C-1"]
    assert story == [(20, "raised", "C-1", "red", 16)]
    raised = next(
        c
        for c in log.changes(until=20 * DAY, bundle=shipped("adr-death-investigation"))
        if c.subject["report"] == "C-1"
    )
    assert {"R-1/1", "I-1/1", "I-1/2"} <= {read.id for read in raised.evidence.records}


def test_a_case_that_gets_another_name_was_reported_when_it_was_reported_first() -> None:
    log = ClockLog().case(HOUR, 0).case(40 * HOUR, 0, case_id="C-9", **MOVED)
    assert brief(log, "adr-death") == []
    assert {one[2] for one in brief(log, "adr-death-investigation")} == {"C-9"}


def test_what_nothing_starts_any_more_is_cleared_with_the_receipt_of_the_correction() -> None:
    log = ClockLog().case(HOUR, 0).case(20 * DAY, 0, case_id="C-9", **MOVED)
    story = log.story(shipped("adr-death-investigation"), 20 * DAY)
    assert [one for one in story if one[2] == "C-1"][-1] == (20, "cleared", "C-1", "red", 16, 20)
    assert story[-1] == (20, "raised", "C-9", "red", 16, None), "its time is over as well"


def test_an_answer_that_gets_the_right_name_ends_what_stood_with_its_receipt() -> None:
    """It had come in time: what was said is mended, and ends with the report that tells it."""
    log = ClockLog().case(HOUR, 0).found(5 * DAY, case_id="C-2").found(20 * DAY, **MOVED)
    story = [one for one in log.story(shipped("adr-death-investigation"), 30 * DAY) if one[2] == "C-1"]
    assert story[-1] == (20, "cleared", "C-1", "red", 16, 20)


def test_a_second_answer_speaks_where_the_first_is_taken_out() -> None:
    log = ClockLog().case(HOUR, 0).found(5 * DAY).found(18 * DAY, name="I-2").found(20 * DAY, case_id="C-2", **MOVED)
    story = [one for one in log.story(shipped("adr-death-investigation"), 30 * DAY) if one[2] == "C-1"]
    assert story == [(20, "raised", "C-1", "red", 16, None), (20, "cleared", "C-1", "red", 16, 18)]


def test_an_annual_report_of_another_year_leaves_this_year_open() -> None:
    lic = [{"number": "N", "kind": "drug-mah", "from": "2020-01-01"}]
    begin: dict[str, Any] = {"year": 2026, "products": [], "changes": [], "deviations": 0, "recalls": 0, "figures": {}}
    log = ClockLog(licences=lic).report(320 * DAY, "annual-report", "A-1", **begin)
    log.report(330 * DAY, "annual-report", "A-1", **begin | {"year": 2025}, **MOVED)
    found = [one[1:4] for one in log.story(shipped("annual-report"), 460 * DAY)]
    assert found == [
        ("raised", "annual-report+2026", "blue"),
        *[("stepped", "annual-report+2026", to) for to in ("yellow", "orange")],
    ]
    late = ClockLog(licences=lic).report(320 * DAY, "annual-report", "A-1", **begin)
    late.report(440 * DAY, "annual-report", "A-1", **begin | {"year": 2025}, **MOVED)
    story = [one[:4] for one in late.story(shipped("annual-report"), 441 * DAY)]
    assert story[-1] == (440, "raised", "annual-report+2026", "yellow")


def test_a_last_report_of_another_recall_leaves_this_one_running() -> None:
    log = totals(notice(ClockLog(), 60, "N-1", 1), 120, "final", "F-1")
    assert brief(log, "recall-progress") == []
    totals(log, 4 * DAY, "final", "F-1", "R-8", **MOVED)
    assert brief(log, "recall-progress") == [(4, "raised", "R-9", "orange", 2)]


def test_a_progress_report_of_another_recall_begins_nothing_anew() -> None:
    log = totals(notice(ClockLog(), 60, "N-1", 3), 5 * DAY, "progress", "P-1")
    assert brief(log, "recall-progress", 10 * DAY) == []
    totals(log, 9 * DAY, "progress", "P-1", "R-8", **MOVED)
    assert brief(log, "recall-progress", 10 * DAY) == [(9, "raised", "R-9", "orange", 8)]


# -- evidence -------------------------------------------------------------------------------------------------------
def test_what_is_over_is_judged_by_the_first_instant_beyond() -> None:
    log = ClockLog().case(HOUR, 0)
    change = last(log, "adr-death-investigation", 17 * DAY)
    assert change.severity.value == "red"
    assert days(change.at) == days(change.received) == 16
    assert [leaf.verdict.value for leaf in change.evidence.leaves] == ["true", "true"]
    early = log.changes(until=13 * DAY, bundle=shipped("adr-death-investigation"))[-1]
    assert [leaf.verdict.value for leaf in early.evidence.leaves] == ["false", "false"], (
        "a reminder says that it is not over"
    )


def test_an_explanation_says_which_numbers_count_no_more() -> None:
    log = ClockLog().case(HOUR, 0, seriousness="serious").found(5 * DAY).found(20 * DAY, case_id="C-2", **MOVED)
    log.case(21 * DAY, 0, "R-2")
    bundle, engine = shipped("adr-death-investigation"), log.engine(shipped("adr-death-investigation"))
    state = engine.state_of(log.facility)
    found, leaves = clocks_of(bundle.rules[0], list(log.records()), state, bundle, BEGIN + round(21 * DAY * 60_000))
    (one,) = [subject for subject in found if "C-1" in subject]
    assert [told.fate for told in found[one]] == ["awaited", "replaced", "awaited"]
    assert leaves[one]["meant"].verdict.value == "true"
    assert "seriousness = death; seriousness = serious" in str(leaves[one]["meant"].left)
    assert [row.subject["report"] for row in listing(state, bundle)] == ["C-1"]


# -- bounds and snapshots -------------------------------------------------------------------------------------------
def test_of_two_thousand_reports_of_a_case_few_are_kept_and_what_went_still_counts() -> None:
    log = ClockLog().case(HOUR, 0, "R-0", seriousness="serious")
    for i in range(1, 2_001):
        log.case(HOUR + i / 100, 10.0, f"R-{i}", seriousness="other", is_new=bool(i % 2))
    log.case(2 * DAY, 20.0, "R-9999")
    engine = log.engine(shipped("adr-death-investigation"))
    clocks = engine.state_of(log.facility).clocks
    ((subject, clock),) = clocks.of("report-clock.adr-death-investigation").items()
    assert len(clock.reports) == store.MAX_REPORTS
    assert clocks.counts["clock_report_left_out"] == 2_002 - store.MAX_REPORTS
    assert days(clock.start) == 0
    base = clocks.of("report-clock.adr-death-investigation").bases[subject]
    assert len(base.sure) <= 2
    assert brief(log, "adr-death-investigation")[-1][1:4] == ("stepped", "C-1", "red")


def test_what_goes_out_of_the_book_stays_with_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MAX_SAID", 100)
    log = ClockLog().case(HOUR, 0).case(2 * HOUR, 0, "R-2", case_id="C-2").case(3 * HOUR, 0, "R-3", case_id="C-3")
    counts = log.counts(shipped("adr-death-investigation"))
    assert counts["report_dropped"] == 2
    assert {one[2] for one in brief(log, "adr-death-investigation")} == {"C-1", "C-2", "C-3"}


def test_state_of_before_is_read_and_goes_on() -> None:
    """What its clocks were told stays: reports that come behind it are added, and can be taken out again."""
    log = ClockLog().case(HOUR, 0).visit(HOUR, handed=0.0)
    notice(log, HOUR, "N-1", 3)
    totals(log, DAY, "progress", "P-1")
    engine = log.engine(SHIPPED)
    state = engine.state_of(log.facility)
    wanted = {
        (rule, s): (c.start, c.said, c.answered) for rule, of in state.clocks.cases.items() for s, c in of.items()
    }
    state.clocks = store.unpack(state.clocks.pack())
    more = ClockLog()
    more.case(2 * DAY, 0).found(2 * DAY).found(3 * DAY, case_id="C-2", **MOVED).case(3 * DAY, DAY, "R-5")
    totals(more, 3 * DAY, "progress", "P-1", **MOVED)
    for i, record in enumerate(list(more.records())[1:]):
        engine.fold(replace(record, offset=100 + i))
    for (rule, subject), (start, said, answered) in wanted.items():
        clock = engine.state_of(log.facility).clocks.of(rule)[subject]
        assert (clock.start, clock.said, clock.answered) == (start, said, answered), rule


def test_a_snapshot_whose_clocks_are_made_of_reports_that_are_not_there_is_none() -> None:
    state = ClockLog().case(HOUR, 0).case(2 * HOUR, 0, "R-2").found(DAY).engine(SHIPPED).state_of("HAND-0001")
    clocks, sayings = state.clocks.pack(), state.clocks.pack_sayings()
    assert sayings is not None
    said, by, bases = sayings
    again = store.unpack(clocks, sayings)
    assert again.pack() == clocks
    assert again.pack_sayings() == sayings
    for wrong in (
        (said[1:], by, bases), (said, by[1:], bases), (said, [9] * len(by), bases), (said, [[0, 9]] * len(by), bases),
        (said, by, [("report-clock.none", "{}", (0,) * 5 + ([], [], [], []))]),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"not|more"):
            store.unpack(clocks, wrong)  # type: ignore[arg-type]
    for bytes_ in (b"\xc1", b"\x93\x01\x02\x03", b"\x91\x01"):
        with pytest.raises(ValueError, match="read"):
            saying.unpack(bytes_)
