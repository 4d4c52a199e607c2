"""Kind `mean_kinetic` by hand: published vectors (limits.md §4), months, late rows, the clock."""

from __future__ import annotations

import math

import pytest

from rules.instants import format_instant, parse_instant
from rules.kinds.mean_kinetic import DIGITS, begin_of, mean_of, month_of, rate_of
from rules.pack import Bundle, default_bundle
from tests.rules import sums
from tests.rules.byhand import HandLog, ms, sensor
from tests.rules.oracle import mean_kinetic as oracle

DAY = 1440
YEAR = 365
"""March 2026 to February 2027, days: a log by hand begins with March 2026."""
STORE = [{"id": "A1", "kind": "room-store"}]
VECTORS = [
    ([2, 2, 5, 8, 8, 8, 8], None, 6.2503),
    ([2, 8], None, 5.5364),
    ([20, 25, 30], None, 25.8582),
    ([15] * 12 + [30] * 12, None, 25.2242),
    ([25] * 11 + [40], None, 27.5714),
    ([5] * 23 + [25], None, 7.7564),
    ([2, 5, 8], [2, 1, 4], 6.2503),
    ([21.7], None, 21.7),
    ([-20.0, -20.0], None, -20.0),
]


def watching(above=-99.0, clear_at=-99.5):
    """Return the bundle with one rule of the kind, which by default is raised by whatever the mean is."""
    rule = sums.rule({"id": "test.mean", "kind": "mean_kinetic", "above": above, "clear_at": clear_at})
    return Bundle.of([*default_bundle().rules, rule], default_bundle().tables.values())


def log(times, values, interval="24h", received=None):
    """Return a log with one batch of rows, minutes from the beginning."""
    hand = HandLog().register(0, sensor(interval=interval), areas=STORE)
    return hand.rows(times[-1] + 1 / 60 if received is None else received, ("T1", times, values))


def told(hand, bundle=None, until=None):
    changes = hand.changes(bundle=bundle or watching(25.0, 24.8), until=until)
    return [c for c in changes if c.rule == "test.mean"]


def said(changes):
    return [(c.change.value, c.late, c.start, c.end) for c in changes]


def daily(days, value):
    return [i * DAY for i in range(days)], [value] * days


@pytest.mark.parametrize(("values", "weights", "mean"), VECTORS)
def test_published_vectors(values, weights, mean):
    """Each sample counts by its time; tolerance 0.0001."""
    weights = weights or [1] * len(values)
    total = sum(w * rate_of(v) for v, w in zip(values, weights, strict=True))
    assert mean_of(float(sum(weights)), total) / DIGITS == pytest.approx(mean, abs=0.0001)


@pytest.mark.parametrize(("values", "weights", "mean"), VECTORS)
def test_published_vectors_through_the_engine(values, weights, mean):
    """The samples fill each day of a year, in their shares; the year's mean is that of the samples."""
    weights = weights or [1] * len(values)
    begins = [sum(weights[:i]) * DAY / sum(weights) for i in range(len(values))]
    times = [day * DAY + begin for day in range(YEAR) for begin in begins] + [YEAR * DAY]
    hand = log(times, [*(values * YEAR), values[0]])
    (raised,) = told(hand, watching())
    (leaf,) = raised.evidence.leaves
    assert (raised.start, raised.at) == (ms(YEAR * DAY), ms(YEAR * DAY))
    assert leaf.left == pytest.approx(mean, abs=0.0001)
    assert round(leaf.left, 4) == leaf.left


def test_duplicates_do_not_count_and_time_does():
    """The second reading of a day is posted three times, and lasts a quarter of the day: 2 Cel weigh 3, 8 Cel weigh 1."""
    times = [day * DAY + begin for day in range(YEAR) for begin in (0, 0.75 * DAY, 0.75 * DAY, 0.75 * DAY)]
    (raised,) = told(log([*times, YEAR * DAY], [2, 8, 8, 8] * YEAR + [2]), watching())
    rates = [3 * math.exp(-10_000 / 275.15), math.exp(-10_000 / 281.15)]
    assert raised.evidence.leaves[0].left == pytest.approx(10_000 / -math.log(sum(rates) / 4) - 273.15, abs=0.0001)


def test_the_words_of_a_raise():
    times, values = daily(YEAR + 1, 25.1)
    (raised,) = told(log(times, values))
    assert raised.message.en == "T1: mean kinetic temperature of twelve months 25.1000 °C, above 25 °C"
    assert raised.message.zh == "T1：十二个月平均动力学温度 25.1000 °C，高于 25 °C"
    assert [(used.name, used.value, used.origin) for used in raised.evidence.limits] == [("high", 25.0, "rule")]


# -- Months ----------------------------------------------------------------------------------------------------------------
def test_months_are_those_of_the_jurisdiction():
    """Every month from 1992 to 2100 begins where the calendar of the zone says, leap years too."""
    zone = 8 * 3_600_000
    for year in range(1992, 2100):
        for month in range(1, 13):
            number, begin = year * 12 + month - 1, oracle.begin_of((year, month))
            assert begin_of(number, zone) == begin
            assert (month_of(begin, zone), month_of(begin - 1, zone)) == (number, number - 1)
    assert format_instant(begin_of(2028 * 12 + 2, zone)) == "2028-02-29T16:00:00.000Z"


def test_a_year_with_a_leap_day_ends_behind_it():
    """March 2027 to February 2028: judged at the beginning of March, not a day before."""
    begin = parse_instant("2027-03-01T00:00:00+08:00")
    first = (begin - ms(0)) // 60_000
    for days, raised in ((365, False), (366, True)):
        times = [first + i * DAY for i in range(days + 1)]
        found = told(log(times, [26.0] * len(times)))
        assert bool(found) is raised
        assert [c.start for c in found] == [parse_instant("2028-03-01T00:00:00+08:00")] * raised


def test_a_row_belongs_to_the_month_of_its_instant_to_the_millisecond():
    """The year is judged by the first row at or behind its end."""
    times, values = daily(YEAR, 26.0)
    assert told(log([*times, YEAR * DAY - 1 / 60_000], [*values, 26.0])) == []
    (raised,) = told(log([*times, YEAR * DAY], [*values, 26.0]))
    assert (raised.start, raised.at) == (ms(YEAR * DAY), ms(YEAR * DAY))
    (raised,) = told(log([*times, YEAR * DAY + 5], [*values, 26.0]))
    assert (raised.start, raised.at) == (ms(YEAR * DAY), ms(YEAR * DAY + 5))


def test_the_span_over_a_months_end_is_shared_by_its_days():
    """A row of 40 Cel stands from 12 h before the year's end to 12 h behind it: half a day counts."""
    times, values = daily(YEAR - 1, 20.0)
    half = DAY // 2
    times, values = [*times, (YEAR - 1) * DAY, YEAR * DAY - half, YEAR * DAY + half], [*values, 20.0, 40.0, 20.0]
    (raised,) = told(log(times, values), watching())
    rates = [(YEAR - 0.5) * math.exp(-10_000 / 293.15), 0.5 * math.exp(-10_000 / 313.15)]
    assert raised.evidence.leaves[0].left == pytest.approx(10_000 / -math.log(sum(rates) / YEAR) - 273.15, abs=0.0001)


def test_a_month_without_covered_time_or_too_little_of_the_year_is_unknown():
    times, values = daily(YEAR + 1, 26.0)
    without_june = [(t, v) for t, v in zip(times, values, strict=True) if not 92 * DAY <= t < 123 * DAY]
    assert told(log(*zip(*without_june, strict=True))) == []
    a_day_of_june = [(t, v) for t, v in zip(times, values, strict=True) if not 95 * DAY <= t < 123 * DAY]
    assert [c.change.value for c in told(log(*zip(*a_day_of_june, strict=True)))] == ["raised"]
    # 18 days of each 31 are left: less than three quarters.
    thin = [(t, v) for t, v in zip(times, values, strict=True) if (t // DAY) % 31 < 18 or t == times[-1]]
    assert told(log(*zip(*thin, strict=True))) == []


def test_it_clears_at_the_end_of_a_month_at_24_8_and_not_at_24_9():
    for later, wanted in ((24.8, ["raised", "cleared"]), (24.9, ["raised"])):
        times = [i * DAY for i in range(YEAR + 32)]
        values = [30.0] * 31 + [later] * (YEAR + 1)
        found = told(log(times, values))
        assert [c.change.value for c in found] == wanted
        assert [c.end for c in found[1:]] == [ms((YEAR + 31) * DAY)] * (len(wanted) - 1)


# -- The clock ----------------------------------------------------------------------------------------------------------------
def test_the_clock_judges_a_month_whose_end_no_row_tells_and_calls_the_next_one_unknown():
    times, values = daily(YEAR, 26.0)
    hand = log(times, values)
    due = (YEAR + 2) * DAY + 1  # two intervals and the delivery behind the month's end
    assert told(hand, until=due - 0.001) == []
    (raised,) = told(hand, until=due)
    assert (raised.change.value, raised.start, raised.received) == ("raised", ms(YEAR * DAY), ms(due))
    more = told(hand, until=due + 31 * DAY)
    assert [(c.change.value, c.received) for c in more] == [("raised", ms(due)), ("unknown", ms(due + 31 * DAY))]
    assert len(told(hand, until=due + 800 * DAY)) == 2, "once is enough"


def test_rows_that_come_after_the_clock_has_judged_decide_again():
    """Stored rows of the month's last days are cooler; the first row behind the end judges anew, and clears."""
    times, values = daily(YEAR - 10, 25.04)
    hand = log(times, values)
    due = (YEAR + 2) * DAY + 1
    hand.rows(due + DAY, ("T1", [(YEAR - 10 + i) * DAY for i in range(12)], [8.0] * 12))
    found = told(hand, watching(25.0, 24.9))
    assert said(found) == [
        ("raised", False, ms(YEAR * DAY), None),
        ("cleared", False, ms(YEAR * DAY), ms(YEAR * DAY)),
    ]


# -- Late rows ---------------------------------------------------------------------------------------------------------------
def hourly(last, more=()):
    """Return a log of hourly rows at 25 Cel until `last` hours before the year's end, and further (minutes, value) behind them."""
    times = [i * 60 for i in range(YEAR * 24 - last + 1)]
    values = [25.0] * len(times)
    hand = log(times, values, interval="1h")
    for minute, value in more:
        hand.rows(YEAR * DAY + minute + 60, ("T1", [YEAR * DAY + minute], [value]))
    return hand


def test_a_late_row_over_a_months_end_raises_it():
    """22:00, then 00:30: two hours and a half are unknown. The row of 23:00 comes after, hot."""
    hand = hourly(2, [(30, 25.0)])
    assert told(hand) == []
    hand.rows(YEAR * DAY + 91, ("T1", [YEAR * DAY - 60], [40.0]))
    assert said(told(hand)) == [("raised", True, ms(YEAR * DAY), None)]


def test_a_late_row_over_a_months_end_takes_it_back():
    """22:00 at 40 Cel stands for two hours, until a row of a millisecond later comes that says 25."""
    hand = hourly(3, [(-120, 40.0), (0, 25.0)])
    assert said(told(hand)) == [("raised", False, ms(YEAR * DAY), None)]
    hand.rows(YEAR * DAY + 61, ("T1", [YEAR * DAY - 120 + 1 / 60_000], [25.0]))
    found = told(hand)
    assert said(found)[1:] == [("retracted", False, ms(YEAR * DAY), None)]


def test_what_the_clock_has_ended_is_not_told_again_by_a_late_row_behind_it():
    """No row tells the end of the month that clears it; then come a live row and, an hour behind it, a late one."""
    days = YEAR + 31
    hand = log([i * DAY for i in range(days)], [30.0] * 31 + [24.8] * YEAR)
    later = (days + 14) * DAY
    hand.rows(later, ("T1", [later - 0.1], [24.8])).rows(later + 1, ("T1", [later - 60], [24.9]))
    assert said(told(hand)) == [
        ("raised", False, ms(YEAR * DAY), None),
        ("cleared", False, ms(YEAR * DAY), ms(days * DAY)),
    ]


# -- Never for frozen product --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "applies_to",
    [
        {"sensor.quantity": "temperature"},
        {"sensor.quantity": "temperature", "area.kind": "freezer"},
        {"sensor.quantity": "temperature", "area.kind": ["room-store", "freezer-room"]},
        {"sensor.quantity": "temperature", "area.kind": ["cryo-tank"]},
        {"sensor.quantity": "temperature", "area.kind": []},
        {"sensor.quantity": "humidity", "area.kind": "room-store"},
        {"area.kind": "room-store"},
    ],
)
def test_frozen_product_and_other_quantities_are_refused(applies_to):
    with pytest.raises(ValueError, match="applies_to"):
        sums.rule({"id": "test.mean", "kind": "mean_kinetic", "above": 25, "clear_at": 24.8, "applies_to": applies_to})


def test_numbers_that_mean_nothing_are_refused():
    for more in ({"clear_at": 25.1}, {"above": 1001.0}, {"above": math.nan}):
        with pytest.raises(ValueError, match=r"."):
            sums.rule({"id": "test.mean", "kind": "mean_kinetic", "above": 25, "clear_at": 24.8, **more})


@pytest.mark.parametrize("value", [-273.15, -100.1, 1000.1, 1e308, -1e308])
def test_values_that_no_store_has_do_not_count(value):
    times, values = daily(YEAR + 1, 26.0)
    values[100] = value
    rule = sums.rule({"id": "test.mean", "kind": "mean_kinetic", "above": 25, "clear_at": 24.8})
    (raised,) = told(log(times, values), Bundle.of([rule], []))
    assert raised.evidence.leaves[0].left == 26.0
