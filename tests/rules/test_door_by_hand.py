"""The regulator's own outage is never the firm's fault (architecture.md, "Time"; settled.md, "Time and clocks")."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from rules.changes import Change
from rules.engine import Engine
from rules.snapshot import open_snapshot
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, story

if TYPE_CHECKING:
    from collections.abc import Iterable

WAVE = [5.0, 5.1] * 200
MILLISECOND = 1 / 60_000


def test_fifteen_minutes_between_gateway_ticks_are_an_open_door() -> None:
    log = HandLog().register(-1, sensor()).tick(0).live("T1", 0, WAVE[:2]).tick(15).tick(15.01)
    assert story(log.changes(), "gap") == [
        (4, "raised", "gap", "T1", "blue", 2, None),
        (8, "stepped", "gap", "T1", "yellow", 2, None),
    ]


def test_a_millisecond_more_is_a_closed_one() -> None:
    log = HandLog().register(-1, sensor()).live("T1", 0, WAVE[:2]).tick(2).tick(17 + MILLISECOND)
    assert story(log.changes()) == []
    assert story(log.changes(until=19.01), "gap") == [(19.00002, "raised", "gap", "T1", "blue", 2, None)]


def test_only_gateway_ticks_say_that_the_door_is_open() -> None:
    log = (
        HandLog().register(-1, sensor()).tick(0).live("T1", 0, WAVE[:2]).tick(10, "worker").tick(14, "worker").tick(16)
    )
    assert [(s[0], s[1]) for s in story(log.changes(), "gap")] == [
        (4, "raised"), (8, "stepped"),  # as the worker's ticks had it, until the gateway's said that it was closed
        (16, "retracted"),
    ]  # fmt: skip


def test_a_firm_that_keeps_nothing_back_has_no_gap_where_the_door_was_closed() -> None:
    log = HandLog().register(-1, sensor()).live("T1", 0, WAVE[:5]).tick(4.5).tick(64.5).live("T1", 65, WAVE[:5])
    assert story(log.changes()) == []


def test_a_silence_longer_than_the_closed_time_is_a_gap_with_the_colour_of_the_rest() -> None:
    log = HandLog().register(-1, sensor()).live("T1", 0, WAVE[:5]).tick(4.5).tick(64.5).tick(66)
    log.live("T1", 66.9, WAVE[:3])
    assert story(log.changes()) == [
        (66.91667, "raised", "gap", "T1", "blue", 5, None),  # 62.9 min less 60 are more than two intervals
        (66.91667, "cleared", "gap", "T1", "blue", 5, 66.9),
    ]


def test_a_hole_before_the_door_closed_is_a_gap_whenever_its_rows_come() -> None:
    log = HandLog().register(-1, sensor()).live("T1", 0, WAVE[:2]).tick(3.9).tick(60)
    log.rows(60.05, ("T1", [3.8, *range(4, 61)], WAVE[:58]))
    assert story(log.changes()) == [
        (60.05, "raised", "gap", "T1", "blue", 2, None),
        (60.05, "cleared", "gap", "T1", "blue", 2, 3.8),
    ]


def test_a_backlog_of_closed_time_posted_in_parts_is_no_silence() -> None:
    log = HandLog().register(-1, sensor(), sensor("T2")).tick(-0.5)
    for minute in range(5):
        log.rows(minute + 0.1, ("T1", [minute], [WAVE[minute]]), ("T2", [minute], [WAVE[minute]]))
    log.tick(4.5).tick(64.5)
    for part in range(5, 65, 10):
        minutes = range(part, part + 10)
        log.rows(64.6 + part / 100, ("T1", minutes, WAVE[:10]), ("T2", minutes, WAVE[:10]))
    assert story(log.changes(until=67.49)) == []
    assert story(log.changes(until=67.5), "gap")[0] == (
        67.5,
        "raised",
        "gap",
        "*",
        "blue",
        65,
        None,
    )  # 64 + 3 + closed 0.5


def test_what_a_silence_inside_closed_time_suppressed_is_released_with_its_retraction() -> None:
    log = HandLog().register(-1, sensor(), sensor("T2", interval="10m")).tick(0)
    log.live("T1", 0, WAVE[:2]).rows(3.2, ("T2", [3], [5.0])).tick(10)
    log.tick(24, "worker").tick(40)  # closed from 10 to 40
    changes = log.changes()
    assert story(changes, "gap") == [
        (4, "raised", "gap", "T1", "blue", 2, None),
        (8, "stepped", "gap", "T1", "yellow", 2, None),
        (24, "raised", "gap", "*", "yellow", 13, None),
        (24, "suppressed", "gap", "T1", "yellow", 2, None),
        (24, "raised", "gap", "T2", "blue", 13, None),
        (24, "suppressed", "gap", "T2", "blue", 13, None),
        (40, "retracted", "gap", "T2", "blue", 13, 40),
        (40, "retracted", "gap", "*", "yellow", 13, 40),
        (40, "released", "gap", "T1", "yellow", 2, None),
    ]
    again = story(log.changes(until=54), "gap")[9:]
    assert again == [
        (54, "raised", "gap", "*", "yellow", 13, None),  # 3 + 20 + 1 + 30 min
        (54, "suppressed", "gap", "T1", "yellow", 2, None),
        (54, "raised", "gap", "T2", "blue", 13, None),
        (54, "suppressed", "gap", "T2", "blue", 13, None),
    ]
    assert len({c.alarm for c in log.changes(until=54) if c.change == "raised" and c.rule == "data-integrity.gap"}) == 5


@pytest.mark.parametrize("tags", [("T1",), ("T1", "T2")])
def test_colours_reached_only_in_closed_time_are_taken_back(tags: tuple[str, ...]) -> None:
    log = (
        HandLog().register(-1, *[sensor(tag, "V1") for tag in tags], areas=[{"id": "V1", "kind": "vehicle"}]).tick(-0.5)
    )
    log.rows(0.1, *[(tag, [0], [5.0]) for tag in tags]).tick(4)
    log.tick(30, "worker").tick(1500, "worker").tick(1600)  # closed from 4 to 1600
    speaker = "*" if len(tags) > 1 else "T1"
    said = [s for s in story(log.changes(until=1610)) if s[3] == speaker]
    assert said == [
        (3, "raised", "gap", speaker, "blue", 1, None),
        (7, "stepped", "gap", speaker, "yellow", 1, None),
        (1441, "stepped", "gap", speaker, "orange", 1, None),
        (1600, "stepped", "gap", speaker, "blue", 1, None),
        (1603, "stepped", "gap", speaker, "yellow", 1, None),  # 0 + 6 + 1 + 1596 min
    ]


def test_what_is_due_inside_closed_time_but_is_no_silence_comes_before_what_the_tick_takes_back() -> None:
    log = HandLog().register(-1, sensor(), sensor("T2")).tick(0)
    log.rows(1.1, ("T1", [0, 1], [9, 9.1]), ("T2", [0, 1], [5, 5.1])).tick(3)
    log.tick(8, "worker").tick(40)  # closed from 3 to 40: the silence at 4 was said and is taken back
    assert story(log.changes()) == [
        (1.1, "raised", "store-out", "T1", "orange", 0, None),
        (4, "raised", "gap", "*", "blue", 2, None),
        (4, "raised", "gap", "T1", "blue", 2, None),
        (4, "suppressed", "gap", "T1", "blue", 2, None),
        (4, "raised", "gap", "T2", "blue", 2, None),
        (4, "suppressed", "gap", "T2", "blue", 2, None),
        (8, "stepped", "gap", "*", "yellow", 2, None),
        (8, "stepped", "gap", "T1", "yellow", 2, None),
        (8, "stepped", "gap", "T2", "yellow", 2, None),
        (18, "unknown", "store-out", "T1", "orange", 0, None),
        (40, "retracted", "gap", "T1", "yellow", 2, 40),
        (40, "retracted", "gap", "T2", "yellow", 2, 40),
        (40, "retracted", "gap", "*", "yellow", 2, 40),
    ]


def test_a_silence_that_new_facts_make_due_inside_closed_time_waits_for_its_end() -> None:
    log = HandLog().register(-1, sensor(), areas=[{"id": "A1", "kind": "vehicle"}]).tick(0).live("T1", 0, WAVE[:2])
    log.tick(2).register(50, sensor(), areas=[{"id": "A1", "kind": "cold-room"}], version=2).tick(60)
    said = story(log.changes(until=95))
    assert [s for s in said if s[2] == "interval-storage"] == [
        (91, "raised", "interval-storage", "T1", "yellow", 2, None)
    ]
    assert [s[0] for s in said] == sorted(s[0] for s in said)


def about_closed_time(has: set[int], *, live_first: bool, size: int = 400) -> HandLog:
    """Silent from minute 5 on; the door is closed from 60 to 120, and at 180 live rows come, and of what was stored the minutes `has`."""
    log = HandLog().register(-1, sensor()).tick(-0.5).live("T1", 0, WAVE[:5])
    for minute in [*range(10, 61, 10), *range(120, 181, 10)]:
        log.tick(minute)
    stored = [minute for minute in range(5, 180) if minute in has]
    parts = [stored[i : i + size] for i in range(0, len(stored), size)]
    live = [("T1", range(180, 190), WAVE[:10])]
    for i, part in enumerate([None, *parts] if live_first else [*parts, None]):
        log.rows(189 + i / 60, *(live if part is None else [("T1", part, [WAVE[m] for m in part])]))
    return log


def kinds(changes: Iterable[Change]) -> list[str]:
    """Return what was told of the series' silence, without colours and who speaks."""
    found = [c for c in changes if c.rule == "data-integrity.gap" and c.subject]
    return [c.change.value for c in found if c.change.value not in {"stepped", "suppressed", "released"}]


def kinds_of_a_silence_about_closed_time(has: set[int], *, live_first: bool, size: int = 400) -> list[str]:
    """Return what is told of it."""
    return kinds(about_closed_time(has, live_first=live_first, size=size).changes())


OPEN = {*range(5, 60), *range(121, 180)}


@pytest.mark.parametrize("live_first", [True, False])
@pytest.mark.parametrize(
    ("lacks", "last"),
    [
        (set(), "retracted"), ({59}, "cleared"), ({121}, "cleared"), ({30}, "retracted"), ({30, 31}, "cleared"), ({150, 151}, "cleared"),
        ({122}, "retracted"), ({58}, "retracted"),
    ],
)  # fmt: skip
def test_closed_time_in_a_step_is_nobody_s_silence_whatever_comes_first(
    lacks: set[int], last: str, *, live_first: bool
) -> None:
    """From 59 to 121 there are two minutes without those in which our door was closed; a gap is more than two."""
    for size in (400, 20):
        assert kinds_of_a_silence_about_closed_time(OPEN - lacks, live_first=live_first, size=size)[-1] == last


@pytest.mark.parametrize("live_first", [True, False])
@pytest.mark.parametrize("more", [{60, 61}, {90}, {119, 120}])
def test_rows_inside_closed_time_leave_no_hole(more: set[int], *, live_first: bool) -> None:
    assert kinds_of_a_silence_about_closed_time(OPEN | more, live_first=live_first)[-1] == "retracted"


def test_closed_times_that_lie_apart_are_each_taken_where_they_were() -> None:
    """The door closed twice, an hour each time; what is lacking is what lies between, or nothing."""
    for hole, last in ((set(), "retracted"), ({150, 151, 152}, "cleared")):
        log = HandLog().register(-1, sensor()).tick(-0.5).live("T1", 0, WAVE[:5])
        for minute in [*range(10, 61, 10), *range(120, 181, 10)]:
            log.tick(minute)
        log.rows(180.5, ("T1", [180], WAVE[:1])).tick(185).tick(245)
        stored = [m for m in [*range(5, 60), *range(121, 180), *range(181, 185)] if m not in hole]
        log.rows(250, ("T1", range(246, 251), WAVE[:5])).rows(250.1, ("T1", stored, [WAVE[m] for m in stored]))
        found = [c for c in log.changes() if c.rule == "data-integrity.gap" and c.subject and c.start == ms(5)]
        assert found[-1].change.value == last


def test_closed_times_are_kept_over_a_restart() -> None:
    """Cut behind every record: what follows is the same, and so are the bytes of the state."""
    log = about_closed_time(OPEN, live_first=True, size=30).tick(200).records()
    whole, cut, changes = Engine(BUNDLE), Engine(BUNDLE), list[Change]()
    kept = 0
    for record in log:
        found = cut.fold(record)
        assert found == whole.fold(record)
        changes += found
        body = cut.snapshot(0, FACILITY)
        assert body == whole.snapshot(0, FACILITY)
        kept += not isinstance(open_snapshot(body)[0].doors, msgspec.UnsetType)
        again = Engine(BUNDLE)
        again.restore_partition(0, cut.partition_state(0))
        again.restore(0, FACILITY, body)
        cut = again
    assert kinds(changes)[-1] == "retracted"
    assert kept > 3
