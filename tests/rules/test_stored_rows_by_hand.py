"""A gap within the horizon by hand, in minutes: live data first, and what was stored then is decided as if in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings

from rules import again
from rules.engine import Engine
from tests.examples import examples
from tests.rules import logs
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, sensor, since

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rules.changes import Change

OUT = "cold-chain.store-out"
SILENT = 110
"""Minutes without radio."""
QUICK = settings(
    max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def told(changes: Iterable[Change], rule: str = OUT) -> list[tuple[Any, ...]]:
    return [
        (c.change.value, since(c.start), None if c.end is None else since(c.end), since(c.at), c.late)
        for c in changes
        if c.rule == rule
    ]


def value(minute: float, warm: Sequence[range]) -> float:
    return (9.0 if any(minute in span for span in warm) else 5.0) + minute % 7 / 10  # nothing stands still


def ends(changes: Iterable[Change]) -> dict[float, float | None]:
    """Return start -> end of each alarm, as it was told last."""
    newest = {c.alarm: c for c in changes if c.rule == OUT}
    return {since(c.start): None if c.end is None else since(c.end) for c in newest.values()}


def rows(hand: HandLog, received: float, minutes: Iterable[int], *warm: range) -> HandLog:
    at = list(minutes)
    return hand.rows(received, ("T1", at, [value(minute, warm) for minute in at]))


def silent(until: int = SILENT, *warm: range) -> HandLog:
    """Ten rows, then nothing, then ten live rows from `until` on."""
    hand = rows(HandLog().register(-1, sensor()), 9, range(10), *warm)
    return rows(hand, until + 9, range(until, until + 10), *warm)


WARM = range(40, 70)


EXCURSION = [("raised", 40, None, 41, True), ("cleared", 40, SILENT, 41, False), ("amended", 40, 70, 72, False)]
"""Raised by the row of minute 41, and cleared by what is known to have come next: the live rows. Minute 72 tells when it ended."""


@pytest.mark.parametrize("size", [1, 7, 10, 60, 100])
def test_what_happened_out_of_radio_is_raised_late_and_cleared(size: int) -> None:
    hand = silent()
    for first in range(10, SILENT, size):
        rows(hand, SILENT + 10, range(first, min(first + size, SILENT)), WARM)
    assert told(hand.changes()) == EXCURSION


def test_live_rows_between_the_stored_ones_change_nothing() -> None:
    hand = silent()
    for i, first in enumerate(range(10, SILENT, 10)):
        rows(hand, SILENT + 10 + i, range(first, first + 10), WARM)
        rows(hand, SILENT + 10 + i, [SILENT + 10 + i])
    assert told(hand.changes()) == EXCURSION


def test_an_alarm_that_stood_when_the_radio_went_ends_where_it_ended() -> None:
    """Warm from minute 5 to 20, and again from 80 until long behind the silence: what was one alarm is two."""
    spans = range(5, 20), range(80, 130)
    hand = silent(SILENT, *spans)
    before = told(hand.changes())
    assert before[0] == ("raised", 5, None, 6, False)
    assert {row[1] for row in before} == {5}
    assert all(row[2] is None for row in before)
    rows(hand, SILENT + 10, range(10, SILENT), *spans)
    assert ends(hand.changes()) == {5: 20, 80: None}
    assert ends(rows(hand, 140, range(120, 140), *spans).changes()) == {5: 20, 80: 130}


def test_an_alarm_that_live_rows_cleared_is_cleared_where_it_was() -> None:
    spans = (range(5, 60),)
    hand = silent(SILENT, *spans)
    assert told(hand.changes())[-1] == ("cleared", 5, SILENT, SILENT + 2, False)
    rows(hand, SILENT + 10, range(10, SILENT), *spans)
    assert told(hand.changes())[-1] == ("amended", 5, 60, 62, False)


def test_a_place_that_is_silent_again_counts_from_its_newest_row() -> None:
    hand = silent()
    rows(hand, SILENT + 10, range(10, SILENT), WARM)
    raised = [
        c for c in hand.changes(until=SILENT + 60) if c.rule == "data-integrity.gap" and c.change.value == "raised"
    ]
    assert max(since(c.start) for c in raised) == SILENT + 10


# -- compiled code takes late rows of calm series itself -----------------------------------------------------------------
def folded(log: list[Any], until: int) -> tuple[list[Change], bytes, dict[str, int]]:
    engine = Engine(BUNDLE)
    changes = [change for record in log for change in engine.fold(record)] + engine.advance(0, until)
    return changes, engine.snapshot(0, log[0].facility), engine.counters(0, log[0].facility)


@QUICK
@given(logs.logs())
def test_late_rows_of_a_calm_series_are_decided_as_all_others(drawn: Any) -> None:
    log = logs.records(*drawn)
    until = max(record.received for record in log) + 3 * 3_600_000
    calmly, asked = folded(log, until), []
    with patch.object(again, "is_calm", lambda *_: asked.append(1) or False):
        one_by_one = folded(log, until)
    assert calmly[0] == one_by_one[0]
    assert calmly[2] == one_by_one[2]


def test_what_was_stored_is_taken_by_compiled_code() -> None:
    """In batches of ten rows: Python decides none of the rows again."""
    hand = silent()
    for first in range(10, 70, 10):  # what is left is longer than a silence may be: it is not taken back
        rows(hand, SILENT + 10, range(first, first + 10))
    engine = Engine(BUNDLE)
    with patch.object(Engine, "_again", side_effect=AssertionError("decided in Python")):
        for record in hand.records():
            engine.fold(record)
    counts = engine.counters(0, FACILITY)
    assert (counts["late"], counts["stale"]) == (60, 0)


def test_where_a_stored_row_says_something_python_decides() -> None:
    hand = silent()
    rows(hand, SILENT + 10, range(10, SILENT), WARM)
    engine, seen, plain = Engine(BUNDLE), [], Engine._again
    with patch.object(Engine, "_again", lambda *args: seen.append(1) or plain(*args)):
        found = [change for record in hand.records() for change in engine.fold(record)]
    assert told(found) == EXCURSION
    assert 0 < len(seen) < 200 * len(BUNDLE.rules)


def test_a_published_alarm_that_a_late_row_takes_back_is_taken_back() -> None:
    """Warm at minutes 10 and 11; a row between them, which was not warm, comes later: no two records in a row were."""
    hand = rows(HandLog().register(-1, sensor()), 20, range(20), range(10, 12))
    hand.rows(21, ("T1", [5.5, 10.5, 15.5], [5.1, 5.2, 5.3]))
    assert [row[0] for row in told(hand.changes())] == ["raised", "cleared", "retracted"]


def test_an_alarm_of_the_same_batch_is_taken_back_too() -> None:
    """One batch: a late row of no account, two warm ones, and one between them."""
    hand = rows(HandLog().register(-1, sensor()), 9, range(10))
    hand.rows(13, ("T1", [5.5, 10, 11, 10.5, 12, 13], [5.1, 9.1, 9.2, 5.2, 5.3, 5.4]))
    assert [row[0] for row in told(hand.changes())] == ["raised", "retracted"]


def test_a_silence_within_the_ring_that_is_filled_is_taken_back() -> None:
    """Forty minutes, in batches of ten: that of the third leaves no hole longer than 31 minutes."""
    hand = silent(50)
    for first in range(10, 50, 10):
        rows(hand, 60, range(first, first + 10))
    assert [c.change.value for c in hand.changes() if c.rule == "cold-chain.interval-storage"] == [
        "raised",
        "cleared",
        "retracted",
    ]


def test_what_was_calm_before_the_room_for_transitions_was_full_is_asked_anew() -> None:
    """One batch: a late row finds the series calm; flapping fills the room; two warm rows are told; a late one takes them back."""

    def batches(*parts: list[tuple[float, float]]) -> HandLog:
        hand = HandLog().register(-1, sensor())
        early = [minute for minute in range(10) if minute != 5]
        hand.rows(9, ("T1", early, [5.0 + minute % 3 / 10 for minute in early]))
        for part in parts:
            hand.rows(2_000, ("T1", [t for t, _ in part], [v for _, v in part]))
        return hand

    flapping = [9.0, 9.1, 9.0, 9.1, 5.0, 5.1, 5.0, 5.1] * 70
    values = flapping + [5.0 + i % 3 / 10 for i in range(200)] + [9.0, 9.1]
    whole = [(5.0, 5.1), *((10.0 + i, v) for i, v in enumerate(values))]
    late = (whole[-1][0] - 0.5, 5.0)
    told_of = []
    for hand in (batches([*whole, late]), batches(whole, [late])):
        engine = Engine(BUNDLE)
        engine._room.out, engine._room.scratch = engine._room.out[:200].copy(), engine._room.scratch[:200].copy()
        told_of.append([change for record in hand.records() for change in engine.fold(record)])
    assert told_of[0][-1].change.value == "retracted"
    assert [c.change for c in told_of[0]] == [c.change for c in told_of[1]]
