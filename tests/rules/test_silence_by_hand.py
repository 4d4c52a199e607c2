"""Silences of tags, areas and the whole feed, derived by hand from engine.md ("Time") and settled.md ("Telemetry rules")."""

from __future__ import annotations

from collections import Counter

from tests.rules.byhand import HandLog, place, sensor, story

WAVE = [5.0, 5.1] * 200


def together(log: HandLog, begin: int, end: int, *tags: str) -> HandLog:
    """Append one batch a minute with a row of each tag."""
    for minute in range(begin, end):
        log.rows(minute + 0.1, *[(tag, [minute], [WAVE[minute]]) for tag in tags])
    return log


def test_an_area_that_takes_an_old_start_a_second_time_gets_another_id() -> None:
    log = together(HandLog().register(-1, sensor(), sensor("T2"), sensor("T5", "A3")), 0, 5, "T1", "T2", "T5")
    together(log, 5, 10, "T5")  # A1 is silent from 5 on
    together(log, 10, 20, "T2", "T5").rows(20.05, ("T1", [5], [5.0]))  # an old row: T1 stays silent since 5
    together(log, 20, 160, "T2", "T5").rows(170, ("T5", [170], [5]))
    changes = [c for c in log.changes(until=172) if c.rule == "data-integrity.gap" and c.change == "raised"]
    areas = [c for c in changes if place(c.subject) == "@A1"]
    assert [s[5] for s in story(areas)] == [5, 5]
    assert max(Counter(c.alarm for c in changes).values()) == 1
