"""The groups of a facility: what is looked up of them, as they are raised, end, are taken back and are forgotten."""

from __future__ import annotations

import numpy as np

from rules.groups import Group, Groups
from rules.layout import GAP, NEVER, NONE
from rules.occurrence import Occurrence
from rules.places import Grouping


def group(place: str = "A1", start: int = 0, *, rule: str = "r", due: int = NEVER, by: str | None = None) -> Group:
    alarm = f"{rule} {place} {start}"
    return Group(rule, place, Occurrence(alarm, start, start, NONE, 1, 1, start, by=by), 0, 60_000, start, due)


def ended(one: Group, at: int, groups: Groups, *, release: int = NEVER) -> None:
    one.occurrence.end, one.due, one.release = at, NEVER, release
    groups.note(one)


def test_of_a_place_the_newest_lasts_or_none_does() -> None:
    groups = Groups()
    first, second, other = group(), group(start=5), group("A2")
    groups.add(first)
    groups.add(other)
    assert groups.standing("r", "A1") is first
    ended(first, 4, groups)
    assert groups.standing("r", "A1") is None
    groups.add(second)
    assert (groups.standing("r", "A1"), groups.of("r", "A1")) == (second, [first, second])
    assert groups.lasting("A1") == [second]
    assert groups.all_lasting(["A1", "A2", "A3"]) == [second, other]
    assert list(groups) == [first, other, second]
    assert len(groups) == 3


def test_whether_any_lasts_is_known_whatever_became_of_it() -> None:
    groups = Groups()
    assert not groups.is_any_lasting
    first, second = group(), group("A2")
    for one in (first, second):
        groups.add(one)
    ended(first, 4, groups)
    assert groups.is_any_lasting
    ended(second, 5, groups)
    assert not groups.is_any_lasting
    first.occurrence.end = NONE  # late rows open it again
    groups.note(first)
    assert groups.is_any_lasting
    mark = groups.mark()
    groups.add(group("A3"))
    groups.drop([first])
    assert groups.is_any_lasting
    groups.put_back(mark)
    groups.drop(list(groups))
    assert not groups.is_any_lasting


def test_the_earliest_of_next_step_and_release_is_due() -> None:
    groups = Groups()
    assert groups.next_due() == NEVER
    first, second = group(due=7), group("A2", due=9)
    groups.add(first)
    groups.add(second)
    assert (groups.next_due(), groups.due_at(7)) == (7, [first])
    first.due, first.release = NEVER, 9
    groups.note(first)
    assert (groups.next_due(), groups.due_at(9)) == (9, [first, second])
    groups.drop([first, second])
    assert groups.next_due() == NEVER


def test_many_groups_have_room_and_rows_are_used_again() -> None:
    groups = Groups()
    many = [group(f"A{i}", due=100 + i) for i in range(100)]
    for one in many:
        groups.add(one)
    assert (groups.next_due(), groups.due_at(100)) == (100, [many[0]])
    groups.drop(many[:99])
    assert (groups.next_due(), len(groups)) == (199, 1)
    late = group("B", due=50)
    groups.add(late)
    assert late.row < 100
    assert groups.due_at(50) == [late]


def test_a_group_is_whole_once_all_that_it_suppressed_is_retracted() -> None:
    groups = Groups()
    one = group()
    groups.add(one)
    groups.cover(one, "a", ("r", "T1"))
    groups.cover(one, "b", ("r", "T2"))
    groups.retracted("a")
    ended(one, 5, groups)
    assert groups.whole("r") == []
    groups.retracted("b")
    groups.retracted("b")
    assert groups.whole("r") == [one]
    assert groups.whole("s") == []
    one.occurrence.retracted = True
    groups.note(one)
    assert groups.whole("r") == []


def test_what_is_suppressed_again_is_not_retracted_any_more() -> None:
    groups = Groups()
    one = group()
    groups.add(one)
    groups.cover(one, "a", ("r", "T1"))
    groups.retracted("a")
    groups.cover(one, "a", ("r", "T1"))
    ended(one, 5, groups)
    assert (groups.whole("r"), one.open) == ([], 1)
    groups.let_go(one)
    groups.retracted("a")
    assert (one.occurrence.children, one.open, groups.tag_of("a"), groups.whole("r")) == ({}, 0, None, [])


def test_who_is_under_an_alarm_and_lasts() -> None:
    groups = Groups()
    feed, areas = group(""), [group("A1", by="x"), group("A2")]
    for one in (feed, *areas):
        groups.add(one)
    for one in areas:
        groups.put_under(one, feed.occurrence.alarm)
    assert groups.under(feed.occurrence.alarm) == areas
    assert groups.under("x") == []
    ended(areas[0], 5, groups)
    assert groups.under(feed.occurrence.alarm) == areas[1:]
    groups.put_under(areas[1], None)
    assert groups.under(feed.occurrence.alarm) == []
    assert groups.by_alarm("r A2 0") is areas[1]


def test_the_same_start_twice_is_known() -> None:
    groups = Groups()
    first, second = group(start=5), group(start=5)
    second.occurrence.alarm += "#2"
    groups.add(first)
    ended(first, 9, groups)
    groups.add(second)
    assert groups.had("r", "A1", 5) == [first, second]
    assert groups.repeated() == [first]
    first.occurrence.children = {"a": False}
    assert groups.repeated() == [], "what it suppressed may still be retracted"
    first.occurrence.children = {}
    groups.drop([first])
    assert (groups.repeated(), groups.had("r", "A1", 5)) == ([], [second])


def test_what_ended_and_whose_start_may_come_again() -> None:
    groups = Groups()
    found = [group(f"A{i}", start=i) for i in range(4)]
    for one in found:
        groups.add(one)
    for one in found[:3]:
        ended(one, 10 + found.index(one), groups, release=20 if one is found[2] else NEVER)
    starts, none = np.array([7, 1]), np.array([NONE, NONE])
    assert groups.without_again(groups.ended_until(9), starts, none) == []
    assert groups.without_again(groups.ended_until(12), starts, none) == [found[0]]
    assert groups.without_again(groups.ended_until(12), starts, none) == [found[0]], "as it was found before"
    assert groups.without_again(groups.ended_until(12), np.array([7, 8]), np.array([NONE, 1])) == [found[0]]
    assert groups.without_again(groups.ended_until(12), np.array([0, 8]), np.array([NONE, 3])) == [found[1]]
    found[2].release = NEVER
    groups.note(found[2])
    assert groups.without_again(groups.ended_until(12), starts, none) == [found[0], found[2]]


def test_a_failed_step_leaves_what_was_there() -> None:
    groups = Groups()
    old, stays = group(start=1), group("A2")
    groups.add(old)
    groups.add(stays)
    ended(old, 5, groups)
    mark = groups.mark()
    groups.drop([old])
    groups.add(group("A3", due=7))
    groups.put_back(mark)
    assert (list(groups), groups.next_due(), groups.standing("r", "A3")) == ([old, stays], NEVER, None)
    mark = groups.mark()
    groups.add(group("A3", due=7))
    groups.put_back(mark)
    assert list(groups) == [old, stays]


def test_a_group_that_is_no_more_there_is_not_noticed() -> None:
    groups = Groups()
    gone, other = group(due=9), group("A2", due=8)
    groups.add(gone)
    groups.replace([other])
    gone.due = 1
    groups.note(gone)
    assert (groups.next_due(), groups.due_at(8)) == (8, [other])


def test_whether_each_place_of_a_plan_is_silent_itself() -> None:
    keys = (("r", "A1"), ("r", ""), ("s", "A1"))
    grouping = Grouping(keys, {key: i for i, key in enumerate(keys)})
    groups = Groups([group()])
    groups.fit(grouping)
    assert groups.own().tolist() == [1, 0, 0]
    feed = group("")
    groups.add(feed)
    groups.add(group("A9"))
    assert groups.own().tolist() == [1, 1, 0]
    ended(feed, 5, groups, release=9)
    assert groups.own().tolist() == [1, 0, 0]
    groups.replace([])
    assert groups.own().tolist() == [0, 0, 0]


def test_whose_a_suppressed_alarm_is_is_looked_up_behind_a_restart() -> None:
    one = group()
    one.occurrence.children = {"a": False, "b": True, "gone": False}
    groups = Groups([Group.unpack(one.pack())])
    told = {
        (GAP, "r", "T1"): [Occurrence("a", 0, 0, NONE, 1, 1, 0), Occurrence("c", 0, 0, NONE, 1, 1, 0)],
        (GAP + 1, "r", "T2"): [Occurrence("b", 0, 0, NONE, 1, 1, 0)],
    }
    groups.know(told, GAP)
    assert [groups.tag_of(alarm) for alarm in ("a", "b", "c", "gone")] == [("r", "T1"), None, None, None]
    assert next(iter(groups)).open == 2
