"""When an area or a feed is silent as a whole: derived by hand from engine.md ("Time"), settled.md and ADR 0002."""

from __future__ import annotations

import pytest

from tests.rules.byhand import HandLog, sensor, story

WAVE = [5.0, 5.1] * 200
PLACES = {"*", "@A1", "@A2", "@A3"}


def together(log: HandLog, begin: int, end: int, *tags: str) -> HandLog:
    """Append one batch a minute with a row of each tag."""
    for minute in range(begin, end):
        log.rows(minute + 0.1, *[(tag, [minute], [WAVE[minute]]) for tag in tags])
    return log


def said(log: HandLog, until: float) -> list[tuple[object, ...]]:
    return [(s[0], s[1], s[3], *s[4:]) for s in story(log.changes(until=until), "gap")]


def places(log: HandLog, until: float) -> list[tuple[object, ...]]:
    return [s for s in said(log, until) if s[2] in PLACES]


def test_a_slow_series_that_is_not_yet_due_keeps_no_feed_from_being_silent() -> None:
    log = HandLog().register(-1, sensor("T1"), sensor("T2", "A2"), sensor("T3", "A3", interval="1h"))
    for minute in range(71):
        more = [("T3", [minute], [5])] if minute % 60 == 0 else []
        log.rows(minute, ("T1", [minute], [WAVE[minute]]), ("T2", [minute], [WAVE[minute]]), *more)
    assert said(log, 73) == [
        (73, "raised", "*", "blue", 71, None),
        (73, "raised", "T1", "blue", 71, None),
        (73, "suppressed", "T1", "blue", 71, None),
        (73, "raised", "T2", "blue", 71, None),
        (73, "suppressed", "T2", "blue", 71, None),
    ]
    assert [s[:4] for s in said(log, 181)[-2:]] == [(181, "raised", "T3", "blue"), (181, "suppressed", "T3", "blue")]


def test_a_dead_sensor_among_live_ones_is_no_silent_place() -> None:
    log = HandLog().register(-1, sensor(), sensor("T2"), sensor("T3", "A2", interval="10s"), sensor("T4", "A2"))
    together(log, 0, 5, "T1", "T2", "T4")
    log.rows(4.2, ("T3", [4], [5]))
    together(log, 5, 30, "T2", "T4")
    assert places(log, 29.5) == []
    assert {s[2] for s in said(log, 29.5) if s[1] == "raised"} == {"T3", "T1"}


def test_a_dead_fast_sensor_is_no_silent_place_though_the_others_only_come_with_the_next_post() -> None:
    log = HandLog().register(-1, sensor("T1", interval="10s"), sensor("T2"))
    log.rows(0, ("T1", [0], [5]), ("T2", [0], [5]))
    for post in range(1, 6):  # every 60 s and up to a second later than that
        log.rows(post * 61 / 60, ("T2", [post], [WAVE[post]]))
    assert [s[1:3] for s in said(log, 5.5) if s[1] == "raised"] == [("raised", "T1")]


def test_a_place_of_which_one_series_died_long_ago_is_silent_since_the_others_stopped() -> None:
    log = together(HandLog().register(-1, sensor(), sensor("T2")), 0, 5, "T1", "T2")
    together(log, 5, 60, "T2")
    assert places(log, 61.9) == []
    assert places(log, 62)[:1] == [(62, "raised", "*", "blue", 60, None)]
    assert (62, "suppressed", "T1", "yellow", 5, None) in said(log, 62)


def test_series_that_post_apart_and_stop_together_are_silent_together() -> None:
    log = HandLog().register(-1, sensor("T1"), sensor("T2"), sensor("T3"))
    for minute in range(5):
        for second, tag in ((0, "T1"), (20, "T2"), (40, "T3")):
            at = minute + second / 60
            log.rows(at, (tag, [at], [WAVE[minute]]))
    assert said(log, 7)[:2] == [(7, "raised", "*", "blue", 5, None), (7, "raised", "T1", "blue", 5, None)]
    assert [s[2] for s in said(log, 8) if s[1] == "suppressed"] == ["T1", "T2", "T3"]


def test_slow_series_that_send_in_turn_begin_to_be_silent_with_the_first_record_missed() -> None:
    log = HandLog().register(-1, sensor("T1", interval="10m"), sensor("T2", interval="10m"))
    log.rows(0, ("T1", [0], [5])).rows(5, ("T2", [5], [5])).rows(10, ("T1", [10], [5]))
    assert places(log, 30.9) == []  # T2 has missed two, but T1 came behind its last
    assert places(log, 31) == [(31, "raised", "*", "blue", 15, None)]
    assert [s[:3] for s in said(log, 31)][:2] == [(26, "raised", "T2"), (31, "raised", "*")]


def test_a_feed_that_stops_after_a_backlog_is_silent_a_delivery_later() -> None:
    log = together(HandLog().register(-1, sensor(), sensor("T2")), 0, 5, "T1", "T2").tick(20)
    log.rows(20.5, ("T1", [5, 6, 7], WAVE[:3]), ("T2", [5, 6, 7], WAVE[:3]))
    assert places(log, 22) == [
        (7, "raised", "*", "blue", 5, None),
        (11, "stepped", "*", "yellow", 5, None),
        (20.5, "cleared", "*", "yellow", 5, 5),
        (21.5, "raised", "*", "yellow", 5, None),
    ]
    assert [s[:3] for s in said(log, 22) if s[1] == "released"] == []


def test_an_area_of_a_silent_feed_goes_on_alone_also_if_one_of_its_series_is_slow() -> None:
    log = HandLog().register(-1, sensor(), sensor("T2", interval="1h"), sensor("T3", "A2"))
    log.rows(0.1, ("T2", [0], [5]))
    together(log, 0, 5, "T1", "T3")
    together(log, 10, 14, "T3")
    assert places(log, 13.5) == [
        (7, "raised", "*", "blue", 5, None),
        (10.1, "cleared", "*", "blue", 5, 10),
        (11.1, "raised", "@A1", "yellow", 5, None),
    ]


def test_a_place_of_one_series_has_no_alarm_of_its_own() -> None:
    log = HandLog().register(-1, sensor()).live("T1", 0, WAVE[:5])
    assert [s[2] for s in said(log, 20)] == ["T1", "T1"]


def test_a_place_with_one_watched_series_and_others_is_silent_when_none_of_them_sends() -> None:
    log = HandLog().register(-1, sensor(), sensor("T2", interval=None))
    together(log, 0, 5, "T1", "T2")
    assert places(log, 7) == [(7, "raised", "*", "blue", 5, None)]


def test_a_sensor_that_is_registered_and_never_sends_keeps_no_feed_from_being_silent() -> None:
    log = together(HandLog().register(-1, sensor(), sensor("T2")), 0, 5, "T1", "T2")
    log.register(6.5, sensor(), sensor("T2"), sensor("T3", "A2", interval=None), version=2)
    assert places(log, 7) == [(7, "raised", "*", "blue", 5, None)]


@pytest.mark.parametrize("every", [None, 0.13, 1.7])
def test_ticks_change_nothing_of_it(every: float | None) -> None:
    def log() -> HandLog:
        made = HandLog().register(-1, sensor(), sensor("T2", "A2", interval="10s"), sensor("T3", "A2", interval="10m"))
        return together(made.rows(0.05, ("T3", [0], [5])), 0, 4, "T1", "T2")

    wanted = said(log(), 60)
    ticked, at = log(), 4.0
    while every and at < 60:
        ticked.tick(at, "worker")
        at += every
    assert said(ticked, 60) == wanted
