"""The book of marks: revisions, spans, bounds, and what of it a snapshot keeps; the model of a mark."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rules import marks
from rules.kinds.table import CODES, NAMES
from rules.layout import LIMIT, NEVER
from rules.marks import KEPT_MS, TIMELY_MS, Marks
from rules.records import Mark
from tests.rules.marklogs import mark

AT = 1_772_294_400_000


def met(*said, at=AT):
    book = Marks()
    for one in said:
        book.meet(one, at)
    return book


def test_a_series_has_its_own_marks_and_those_of_its_area_by_beginning():
    book = met(
        mark("C", begin=30),
        mark("A", begin=10, tags=["T1"]),
        mark("B", begin=20, area="A2"),
        mark("D", begin=10, tags=["T2"]),
        at=100,
    )
    assert [one.id for one in book.of("T1", "A1")] == ["A", "C"]
    assert [one.id for one in book.of("T2", "A2")] == ["D", "B"]
    assert book.of("T3", "A3") == []


def test_a_revision_stands_for_the_one_before_it_also_where_it_names_other_series():
    book = met(mark("A", begin=10, tags=["T1"]), at=100)
    assert [one.id for one in book.of("T1", "A1")] == ["A"]
    before, now = book.meet(mark("A", 2, begin=10, tags=["T2"]), 100)
    assert (before.tags, now.tags, now.name) == (("T1",), ("T2",), "A/2")
    assert (book.of("T1", "A1"), [one.id for one in book.of("T2", "A1")]) == ([], ["A"])


@pytest.mark.parametrize(("begin", "timely"), [(AT - TIMELY_MS, True), (AT - TIMELY_MS - 1, False), (AT + 5, True)])
def test_a_mark_is_timely_a_day_after_its_beginning(begin, timely):
    assert met(mark("A", begin=begin)).by_id["A"].is_timely is timely


def test_both_bounds_are_inside_and_an_open_one_has_no_end():
    book = met(mark("A", begin=10, to=20), mark("B", begin=10), at=100)
    one, still = book.by_id.values()
    spans = ((0, 9), (0, 10), (20, 30), (21, 30))
    assert [book.overlaps(one, "T1", "A1", *span) for span in spans] == [False, True, True, False]
    assert (still.end, book.overlaps(still, "T1", "A1", NEVER - 1, NEVER)) == (NEVER, True)
    assert not book.overlaps(still, "T1", "A2", NEVER - 1, NEVER)


def test_the_first_free_instant_lies_behind_all_marks_that_hang_together():
    book = met(
        mark("A", begin=10, to=20, flag="comms"), mark("B", begin=21, to=30, flag="comms"),
        mark("C", begin=25, to=40, flag="fault"), mark("D", begin=42, flag="comms"), at=100,
    )  # fmt: skip
    free = [book.free_from("T1", "A1", t, ["comms", "fault"]) for t in (9, 10, 20, 40, 41, 42)]
    assert free == [9, 41, 41, 41, 41, NEVER]
    assert book.free_from("T1", "A1", 10, ["fault"]) == 10
    assert book.free_from("T1", "A1", 10, []) == 10
    assert book.free_from("T1", "A2", 10, ["comms"]) == 10


def test_a_mark_is_forgotten_two_months_behind_its_end_and_an_open_one_never():
    then = AT - KEPT_MS
    book = met(
        mark("A", begin=then - 5, to=then), mark("B", begin=then - 5, to=then - 1), mark("C", begin=then - 5), at=then
    )
    book.meet(mark("D", begin=AT), AT)
    assert sorted(book.by_id) == ["A", "C", "D"]
    book.meet(mark("E", begin=AT), AT + 1)
    assert sorted(book.by_id) == ["C", "D", "E"]
    assert "mark_dropped" not in book.counts  # nothing can ask for it any more


def test_one_that_begins_before_what_is_kept_is_too_old_unless_it_revises_one_that_is_known():
    book = met(mark("A", begin=AT - KEPT_MS, to=AT), mark("B", begin=AT - KEPT_MS - 1, to=AT))
    assert (sorted(book.by_id), book.counts["mark_too_old"]) == (["A"], 1)
    assert book.meet(mark("A", 2, begin=AT - KEPT_MS - 9), AT) is not None


def test_the_number_of_one_that_is_too_old_is_known_until_a_newer_one_holds():
    book = met(mark("A", 2, begin=AT - KEPT_MS - 1))
    assert (book.by_id, [one.name for one in book.past.values()]) == ({}, ["A/2"])
    assert book.meet(mark("A", 2, begin=AT - KEPT_MS - 1), AT) is None
    assert book.meet(mark("A", 2, begin=AT), AT) is None
    assert book.meet(mark("A", 1, begin=AT), AT) is None
    assert book.counts == {"marks": 4, "mark_too_old": 1, "mark_repeated": 1, "mark_conflict": 1, "mark_superseded": 1}
    assert book.meet(mark("A", 3, begin=AT - KEPT_MS - 2), AT) is None
    assert book.known("A").name == "A/3"
    assert book.meet(mark("A", 4, begin=AT), AT)[0] is None  # none held before
    assert (book.known("A").name, book.past) == ("A/4", {})


def test_the_number_of_one_that_is_forgotten_or_pushed_out_is_known(monkeypatch):
    monkeypatch.setattr(marks, "MAX_MARKS", 2)
    book = met(mark("A", 2, begin=AT, to=AT + 1), mark("B", begin=AT, to=AT + 2), mark("C", begin=AT))
    assert [one.name for one in book.past.values()] == ["A/2"]
    assert book.meet(mark("A", 1, begin=AT), AT) is None
    book.meet(mark("D", begin=AT + KEPT_MS), AT + KEPT_MS + 3)
    assert [one.name for one in book.past.values()] == ["A/2", "B/1"]
    assert sorted(book.by_id) == ["C", "D"]


def test_of_more_numbers_and_tags_than_are_kept_the_first_goes(monkeypatch):
    old = AT - KEPT_MS - 1
    monkeypatch.setattr(marks, "MAX_PAST", 2)
    book = met(*(mark(name, begin=old) for name in "ABC"), mark("B", 2, begin=old), mark("D", begin=old))
    assert (list(book.past), book.counts["mark_number_dropped"]) == (["B", "D"], 2)
    monkeypatch.setattr(marks, "MAX_PAST_COVERED", 4)
    tags = ["T1", "T2", "T3"]
    book = met(mark("A", begin=old, tags=tags), mark("B", begin=old), mark("A", 2, begin=old, tags=["T1"]))
    assert list(book.past) == ["B", "A"]
    for name in "CD":
        book.meet(mark(name, begin=old, tags=tags), AT)
    assert (list(book.past), book.counts["mark_number_dropped"]) == (["D"], 3)
    book.meet(mark("E", begin=old, tags=[*tags, "T4", "T5"]), AT)  # one is always kept
    assert list(book.past) == ["E"]


def test_spans_of_a_series_are_made_once_and_anew_when_a_mark_comes():
    book = met(
        mark("A", begin=10, to=20), mark("B", begin=21, to=25, tags=["T1"]), mark("C", begin=27, flag="fault"), at=100
    )
    assert book.spans("T1", "A1", ["maintenance"]) == ([10], [25])
    assert book.spans("T2", "A1", ["maintenance"]) == ([10], [20])
    assert book.spans("T2", "A1", ["maintenance"]) is book.spans("T3", "A1", {"maintenance"})  # of the area alone
    assert book.spans("T1", "A2", ["maintenance", "fault"]) == ([21], [25])
    assert book.spans("T1", "A1", ["fault", "maintenance"]) == ([10, 27], [25, NEVER])
    book.meet(mark("A", 2, begin=12, to=20), 100)
    assert book.spans("T1", "A1", ["maintenance"]) == ([12], [25])


def test_beyond_the_bound_the_one_that_ended_first_goes_and_is_counted(monkeypatch):
    monkeypatch.setattr(marks, "MAX_MARKS", 3)
    book = met(
        mark("A", begin=AT, to=AT + 9),
        mark("B", begin=AT, to=AT + 5),
        mark("C", begin=AT),
        mark("D", begin=AT, to=AT + 1),
    )
    assert sorted(book.by_id) == ["A", "C", "D"]  # never the one that came
    assert book.counts == {"marks": 4, "mark_dropped": 1}
    assert [one.id for one in book.of("T1", "A1")] == ["A", "C", "D"]


def test_so_it_is_with_the_tags_that_all_of_them_name(monkeypatch):
    monkeypatch.setattr(marks, "MAX_COVERED", 4)
    tags = ["T1", "T2", "T3"]
    book = met(mark("A", begin=AT, to=AT + 1, tags=tags), mark("B", begin=AT, to=AT + 2, tags=tags))
    assert (sorted(book.by_id), book.counts["mark_dropped"]) == (["B"], 1)


def test_a_snapshot_keeps_all_of_it():
    tags = ["T2", "T1"]
    book = met(mark("B", begin=AT, to=AT + 9), mark("A", 3, begin=AT, tags=tags, flag="fault"), mark("A", begin=AT))
    book.standing = {(LIMIT, "test.rule", "T1"): {(0, 7), (0, 3)}}
    book.meet(mark("C", begin=AT - KEPT_MS - 1), AT)
    again = Marks.unpack(book.pack(NAMES), CODES, [one.pack() for one in book.past.values()])
    assert (again.by_id, again.counts, again.standing) == (book.by_id, book.counts, book.standing)
    assert (sorted(again.by_id), [*again.past], again.past) == (["A", "B"], ["C"], book.past)
    assert again.pack(NAMES) == book.pack(NAMES)
    assert not again.are_nothing
    assert Marks().are_nothing


def test_a_digest_knows_the_same_content_again_whatever_order_its_tags_have():
    book = met(mark("A", begin=AT, tags=["T1", "T2"]))
    assert book.meet(mark("A", begin=AT, tags=["T1", "T2"]), AT) is None
    assert book.meet(mark("A", begin=AT, tags=["T1", "T2"], author="u-2"), AT) is None
    assert book.counts == {"marks": 3, "mark_repeated": 1, "mark_conflict": 1}


SAID = {"id": "M-1", "revision": 1, "flag": "fault", "from": AT, "to": None, "reason": "x", "author": "u-1"}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "either tags or an area"),
        ({"tags": ["T1"], "area": "A1"}, "either tags or an area"),
        ({"tags": []}, "at least 1 item"),
        ({"area": "A1", "to": AT - 1}, "does not end before it begins"),
        ({"area": "A1", "flag": "holiday"}, "Input should be"),
        ({"area": "A1", "more": 1}, "Extra inputs"),
    ],
)
def test_a_mark_that_says_nothing_sound_is_refused(given, fault):
    with pytest.raises(ValidationError, match=fault):
        Mark.model_validate(SAID | given)


def test_a_mark_of_one_instant_is_sound():
    assert Mark.model_validate(SAID | {"area": "A1", "to": AT}).to == AT
