"""Silences of tags, areas and the whole feed, derived by hand from engine.md ("Time") and settled.md ("Telemetry rules")."""

from __future__ import annotations

from collections import Counter

from tests.rules.byhand import HandLog, ms, place, sensor, story

WAVE = [5.0, 5.1] * 200


def together(log: HandLog, begin: int, end: int, *tags: str) -> HandLog:
    """Append one batch a minute with a row of each tag."""
    for minute in range(begin, end):
        log.rows(minute + 0.1, *[(tag, [minute], [WAVE[minute]]) for tag in tags])
    return log


def test_an_area_that_takes_an_old_start_a_second_time_gets_another_id() -> None:
    log = together(HandLog().register(-1, sensor(), sensor("T2"), sensor("T5", "A3")), 0, 5, "T1", "T2", "T5")
    together(log, 5, 10, "T5").rows(9.5, ("T1", [5], [5.0]), ("T2", [5], [5.0]))  # old rows: both stay silent since 5
    together(log, 10, 20, "T5")
    changes = [c for c in log.changes(until=20) if c.rule == "data-integrity.gap" and c.change == "raised"]
    areas = [c for c in changes if place(c.subject) == "@A1"]
    assert [s[5] for s in story(areas)] == [5, 5]
    assert max(Counter(c.alarm for c in changes).values()) == 1


def test_a_batch_sent_again_in_a_silence_changes_nothing() -> None:
    log = together(HandLog().register(-1, sensor(), sensor("T2")), 0, 5, "T1", "T2").tick(10)
    wanted = story(log.changes(until=20))
    log.rows(11, ("T1", [3], [WAVE[3]]), ("T2", [3], [WAVE[3]]), batch="b4")
    assert story(log.changes(until=20)) == wanted
    assert ("raised", "*") in [(s[1], s[3]) for s in wanted]


def test_nothing_is_said_of_a_place_while_its_rows_arrive() -> None:
    log = HandLog().register(-1, sensor(), sensor("T2"))
    for part in range(0, 200, 10):  # a backlog of old rows, ten minutes in a post, a post every 36 s
        minutes = range(part - 300, part - 290)
        log.rows(200 + part * 0.06, ("T1", minutes, WAVE[:10]), ("T2", minutes, WAVE[:10]))
    places = [s for s in story(log.changes(), "gap") if s[3] in {"*", "@A1"}]
    assert places == [
        (2, "raised", "gap", "*", "blue", 0, None),
        (6, "stepped", "gap", "*", "yellow", 0, None),
        (60, "suppressed", "gap", "*", "yellow", 0, None),  # its only room is an hour without a record by then: orange
        (200, "cleared", "gap", "*", "yellow", 0, 0),
    ]
    changes = log.changes()
    let_go = [c for c in changes if c.by is not None and c.received == ms(201)]
    assert [row[1:4] for row in story(let_go)] == [
        ("released", "interval-storage", "T1"), ("released", "interval-storage", "T2"),  # they are behind, each by itself
        ("suppressed", "gap", "T1"), ("suppressed", "gap", "T2"),  # and storage speaks for both: that is said once
    ]  # fmt: skip
    assert [c.by for c in let_go[2:]] == [c.alarm for c in let_go[:2]]


def test_a_sensor_without_an_interval_that_sends_keeps_the_feed_from_being_called_silent() -> None:
    log = HandLog().register(-1, sensor(), sensor("T2"), sensor("T3", "A3", interval=None))
    together(together(log, 0, 5, "T1", "T2", "T3"), 5, 12, "T3")
    assert {s[3] for s in story(log.changes(), "gap") if s[1] == "raised"} == {"@A1", "T1", "T2"}


def test_one_failed_sensor_is_one_alarm_of_its_own() -> None:
    log = HandLog().register(-1, sensor(), sensor("T2", interval="30m"), sensor("T3"))
    log.rows(0.1, ("T2", [0], [5]))
    together(together(log, 0, 5, "T1", "T3"), 5, 12, "T3")
    assert [(s[0], s[1], s[3]) for s in story(log.changes(), "gap")] == [(7, "raised", "T1"), (11, "stepped", "T1")]


def test_under_a_rule_faster_than_the_register_a_silence_starts_when_that_rules_record_was_due() -> None:
    log = HandLog().register(-1, sensor(interval="1h")).rows(0.1, ("T1", [0], [5])).rows(60.1, ("T1", [60], [5.1]))
    changes = log.changes(until=92)
    assert story(changes, "interval-storage") == [
        (32, "raised", "interval-storage", "T1", "yellow", 30, None),  # 30 min, the grace, the delivery
        (60.1, "cleared", "interval-storage", "T1", "yellow", 30, 60),
        (92, "raised", "interval-storage", "T1", "yellow", 90, None),
    ]
    assert all(c.start <= c.at for c in changes)


def test_back_fill_takes_back_a_silence_that_a_rule_faster_than_the_register_found() -> None:
    log = HandLog().register(-1, sensor(interval="1h")).rows(0.1, ("T1", [0], [5])).rows(60.1, ("T1", [60], [5.1]))
    log.rows(60.2, ("T1", [30], [5]))
    assert story(log.changes(), "interval-storage")[-1] == (
        60.2, "retracted", "interval-storage", "T1", "yellow", 30, 60,
    )  # fmt: skip


def test_rows_that_a_batch_itself_pushes_out_of_the_horizon_fill_a_silence_as_those_of_many_batches_do() -> None:
    times = [140, *range(25, 140, 5), 155, 150, 145]  # 155 leaves 40 and what is newer within two hours
    wanted = [(30 + 1, "raised", "T1"), (52, "suppressed", "T1"), (160, "cleared", "T1"), (160, "retracted", "T1")]

    def told(*batches: list[int]) -> list[tuple[object, ...]]:
        log = HandLog().register(-1, sensor(interval="5m")).live("T1", 0, WAVE[:5], every=5)
        for part in batches:
            log.rows(160, ("T1", part, [WAVE[minute // 5] for minute in part]))
        return [s[:2] + s[3:4] for s in story(log.changes(until=161), "gap") if s[1] not in {"stepped"}]

    assert told(times) == wanted
    assert told(*([time] for time in times)) == wanted
    assert told(times[:-2], times[-2:]) == wanted
