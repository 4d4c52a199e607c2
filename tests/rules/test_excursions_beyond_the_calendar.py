"""An excursion that is to be reported behind the end of the calendar: unknown, counted, and raised by packs that hold the days."""

from __future__ import annotations

from rules.engine import Engine
from rules.pack import Bundle
from tests.rules.byhand import BUNDLE, FACILITY, ms
from tests.rules.test_excursions_by_hand import DAY, NONE, outside, report, told

SHORT = Bundle.of(
    BUNDLE.rules,
    BUNDLE.tables.values(),
    calendars=[one.model_copy(update={"years": {"2025": one.years["2025"]}}) for one in BUNDLE.calendars.values()],
)


def test_it_is_counted_and_raises_nothing() -> None:
    hand = outside([9.0] * 10)
    engine = Engine(SHORT)
    changes = [change for record in hand.records() for change in engine.fold(record)]
    changes += engine.advance(0, ms(30 * DAY))
    assert told(changes, NONE) == []
    assert engine.counters(0, FACILITY)["excursion_unknown"] > 0
    again = Engine(SHORT)
    again.restore(0, FACILITY, engine.snapshot(0, FACILITY))
    assert again.counters(0, FACILITY)["excursion_unknown"] == engine.counters(0, FACILITY)["excursion_unknown"]


def test_packs_that_hold_the_days_raise_it_late_and_nothing_is_lost() -> None:
    hand = outside([9.0] * 10)
    hand.packs(30 * DAY, BUNDLE)
    found = told(hand.changes(until=40 * DAY, bundle=SHORT), NONE)
    assert found == [("raised", 5, 30 * DAY)]
    in_time = report(outside([9.0] * 10), DAY, 5, 15).packs(30 * DAY, BUNDLE)
    assert told(in_time.changes(until=40 * DAY, bundle=SHORT), NONE) == []


def test_where_the_calendar_reaches_nothing_is_counted() -> None:
    engine = Engine(BUNDLE)
    for record in outside([9.0] * 10).records():
        engine.fold(record)
    assert "excursion_unknown" not in engine.counters(0, FACILITY)
