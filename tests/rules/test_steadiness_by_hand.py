"""Steadiness by hand: sums that hold for cold rooms and for particle counts, both sides of each border, and what a register begins anew.

Above 400 lines: three checks of one kind, each with both sides of its borders, over the same weeks.
"""

from __future__ import annotations

import math
import statistics
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from rules.engine import Engine
from rules.explain import explain
from rules.explaintext import lines
from rules.instants import format_instant
from rules.kinds import steadiness as kind
from rules.layout import OUT
from rules.pack import Bundle
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.changes import Change

RULE, SMOOTH, NEAR = (f"data-integrity.{name}" for name in ("narrow-wobble", "too-smooth", "at-detection-limit"))
ONLY, SMOOTH_ONLY, NEAR_ONLY = (BUNDLE.only({rule}) for rule in (RULE, SMOOTH, NEAR))
DAY = 24 * 60
"""Minutes; the log begins on a Sunday, at midnight (2026-03-01, UTC+8)."""
A_DAY = 4
WIDE, NARROW = [4.0, 6.0], [4.9, 5.1]


def block() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], int]:
    words = np.concatenate([np.zeros(3, np.int64), kind.STATE.blank()])
    return words, words.view(np.float64), 3


# -- the sums -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "value",
    [0.0, 1.0, -1.0, 5.0625, -273.15, 1e-12, 101_325.0, 3.52e6, -1e15, 1e30, 2.0**-1000, 1.999_999_9],
)
def test_half_of_a_number_stands_for_it_to_half_a_millionth(value: float) -> None:
    half = kind.half_of(value)
    assert 0 <= half < kind.HALF
    assert kind.whole_of(half) == pytest.approx(value, rel=5e-7, abs=0)


def params(check: int = kind.SPREAD, interval: int = 60_000) -> np.ndarray[Any, Any]:
    return kind.PARAMS.block(
        {
            "check": check,
            "interval": interval,
            "zone": 8 * 3_600_000,
            "weeks": 1,
            "days": 7,
            "below": 20_000,
            "above": 40_000,
        }
    )


def folded(
    values: list[float], interval: int = 60_000, *, glide: bool = False
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], int]:
    """Return a block behind some values."""
    words, floats, x = block()
    p, out = params(interval=interval), np.zeros(8, OUT)
    times = np.array([ms(0) + i * interval for i in range(len(values))])
    seen, known = np.array(values), np.full(len(values), 255, np.uint8)
    i = 0
    while i < len(values):
        if glide:
            i = kind.glide(p, p.view(np.float64), 0, words, floats, x, times, seen, known, 2, i, len(values))
        if i < len(values):
            kind.step(p, p.view(np.float64), 0, words, floats, x, 0, times[i], times[i], seen[i], True, out, 0)
            i += 1
    return words, floats, x


SERIES = {
    "a cold room that hardly moves": (5.0, 0.01),
    "a tank": (-170.0, 0.3),
    "particles": (100_000.0, 300.0),
    "a barometer in pascals": (101_325.0, 0.5),
    "oxygen": (20.9, 0.001),
}


@pytest.mark.parametrize(("level", "spread"), SERIES.values(), ids=SERIES.keys())
def test_the_deviation_of_seven_days_is_that_of_their_values(level: float, spread: float) -> None:
    random = Random(1)  # noqa: S311 - values, no secret
    values = [level + random.gauss(0, spread) + spread * (i // 1440) / 7 for i in range(7 * 1440 - 1)]
    words, floats, x = folded(values, glide=True)
    many, mean, found = kind.deviation(words, floats, x, 7)
    assert many == len(values)
    assert mean == pytest.approx(statistics.fmean(values), abs=spread * 1e-5)
    assert found == pytest.approx(statistics.pstdev(values), rel=2e-6)


def test_an_outlier_at_midnight_leaves_the_days_behind_it_as_they_were() -> None:
    """The day's sums count from 1e9, and those of the days before; a week later all are right again."""
    random = Random(2)  # noqa: S311 - values, no secret
    values = [5 + random.gauss(0, 0.1) for _ in range(11 * 1440)]
    values[2 * 1440] = 1e9
    words, floats, x = folded(values, glide=True)
    assert kind.deviation(words, floats, x, 7)[2] == pytest.approx(statistics.pstdev(values[-7 * 1440 :]), rel=2e-6)
    words, floats, x = folded(values[: 5 * 1440], glide=True)
    assert kind.deviation(words, floats, x, 5)[2] == pytest.approx(statistics.pstdev(values[: 5 * 1440]), rel=2e-6)


def test_row_by_row_and_as_a_run_the_block_is_the_same() -> None:
    random = Random(3)  # noqa: S311 - values, no secret
    values = [5 + random.gauss(0, 0.1) for _ in range(9 * 1440)]
    assert folded(values)[0].tobytes() == folded(values, glide=True)[0].tobytes()


def test_more_rows_of_a_day_than_can_be_counted_are_left_out() -> None:
    words, floats, x = block()
    words[x + kind.DAY] = (((ms(0) + 8 * 3_600_000) // kind.DAY_MS) << kind.COUNT_BITS) | (kind.MOST - 1)
    p, out = params(), np.zeros(8, OUT)
    for i in range(3):
        kind.step(p, p.view(np.float64), 0, words, floats, x, 0, ms(i), ms(i), 5.0, True, out, 0)
    times, seen = np.array([ms(3), ms(4)]), np.array([5.0, 5.0])
    assert kind.glide(p, p.view(np.float64), 0, words, floats, x, times, seen, np.full(2, 255, np.uint8), 2, 0, 2) == 0
    assert words[x + kind.DAY] & kind.MOST == kind.MOST
    assert floats[x + kind.SUM] == 5.0, "one of them was taken, from a base of 0"


def test_weeks_are_entered_newest_first_and_the_fourteenth_is_the_last() -> None:
    words, _, x = block()
    assert [kind.entered(words, x, k) for k in range(14)] == [kind.HALF] * 14
    for value in range(1, 20):
        kind.enter(words, x, kind.half_of(float(value)))
    assert [kind.whole_of(kind.entered(words, x, k)) for k in range(14)] == [float(v) for v in range(19, 5, -1)]
    assert kind.median(words, x, 0, 10) == 13.0
    assert kind.median(words, x, 1, 10) == 12.0
    kind.enter(words, x, kind.HALF)
    assert kind.median(words, x, 0, 13) != kind.median(words, x, 0, 13), "NaN: twelve of thirteen are known"
    assert kind.median(words, x, 0, 12) == 13.5


def test_a_block_takes_224_bytes() -> None:
    assert 8 * kind.STATE.words == 224


def test_a_week_begins_on_a_monday() -> None:
    days = [(ms(DAY * day) + 8 * 3_600_000) // kind.DAY_MS for day in range(9)]
    weeks = [kind.week_of(day) - kind.week_of(days[0]) for day in days]
    assert weeks == [0, 1, 1, 1, 1, 1, 1, 1, 2], "the first day is a Sunday"


# -- through the engine ---------------------------------------------------------------------------------------------
def days(*stretches: tuple[int, list[float]]) -> Iterator[tuple[int, float]]:
    """Yield minute and value of four readings a day, over some days of each pattern."""
    day = 0
    for many, pattern in stretches:
        for each in range(day, day + many):
            for k in range(A_DAY):
                yield each * DAY + k * 360, pattern[k % len(pattern)]
        day += many


def log(*stretches: tuple[int, list[float]], hand: HandLog | None = None, begin: int = 0, **more: Any) -> HandLog:
    """Return a log in which each day's readings come together, at its end."""
    hand = hand or HandLog().register(-1, sensor(interval="6h", **more))
    rows = [(begin * DAY + at, value) for at, value in days(*stretches)]
    for i in range(0, len(rows), A_DAY):
        part = rows[i : i + A_DAY]
        hand.rows(part[-1][0] + 1, ("T1", [at for at, _ in part], [value for _, value in part]))
    return hand


def told(hand: HandLog, bundle: Bundle = ONLY) -> list[tuple[str, float, float | None, float | None]]:
    """Return what was told, in days."""
    return [shown(c) for c in hand.changes(bundle=bundle)]


def shown(change: Change) -> tuple[str, float, float | None, float | None]:
    days = [None if t is None else round((t - ms(0)) / kind.DAY_MS, 3) for t in (change.at, change.start, change.end)]
    assert days[0] is not None
    return change.change.value, days[0], days[1], days[2]


BASE = (71, WIDE)
RAISED = ("raised", 78.0, 71.0, None)


def test_ten_weeks_and_seven_narrow_days_raise_it() -> None:
    assert told(log(BASE, (8, NARROW))) == [RAISED]


def test_a_baseline_of_a_millionth_is_none() -> None:
    """What computing leaves of steps that are all alike (0.1 again and again) is no movement."""
    assert told(log((71, [5.0, 5.0 + 1.9e-6]), (20, [5.0]))) == []
    assert told(log((71, [5.0, 5.0 + 2.2e-6]), (8, [5.0]))) == [RAISED]


def test_the_median_bears_wild_weeks() -> None:
    """Four of ten weeks are a thousand times wider: the median is that of the others."""
    wild = [-1000.0, 1000.0]
    assert told(log((43, WIDE), (28, wild), (8, [4.7, 5.3]))) == []
    assert told(log((43, WIDE), (28, wild), (8, NARROW))) == [RAISED]
    assert told(log((36, WIDE), (35, wild), (8, [4.7, 5.3]))) == [RAISED], "with five of ten it lies between"


def test_the_newest_week_is_no_baseline_where_the_window_overlaps_it() -> None:
    """Narrow from a Thursday on: judged on the next Thursday against ten whole weeks before, and not against its own days."""
    assert told(log((74, WIDE), (8, NARROW))) == [("raised", 81.0, 74.0, None)]
    assert told(log((67, WIDE), (8, NARROW))) == [], "nine weeks before the one that it begins in"


def test_while_it_stands_no_week_is_entered_and_the_old_ones_serve_behind_it() -> None:
    hand = log(BASE, (140, NARROW), (7, WIDE), (14, NARROW))
    assert told(hand) == [RAISED, ("cleared", 213.0, 71.0, 206.0), ("raised", 225.0, 218.0, None)]


def test_a_pause_ends_what_is_known_of_the_weeks_before() -> None:
    """Weeks without records are unknown weeks. Six days of 24 records are known: judged on a Sunday, without the newest week."""
    pause = BASE[0] + 28
    hand = log(BASE)
    log((7, WIDE), (8, NARROW), hand=hand, begin=pause)
    assert told(hand) == [], "four without, one behind it, eight of the ten"
    hand = log((92, WIDE))
    log((8, NARROW), hand=hand, begin=92 + 28)
    assert told(hand) == [("raised", 126.0, 119.0, None)], "three without, ten of the thirteen"
    hand = log((92, WIDE))
    log((8, NARROW), hand=hand, begin=92 + 35)
    assert told(hand) == [], "nine of them"


@pytest.mark.parametrize(("narrow", "wanted"), [(6, []), (7, ["raised"])])
def test_seven_whole_days_are_judged(narrow: int, wanted: list[str]) -> None:
    assert [one[0] for one in told(log(BASE, (narrow, NARROW), (1, WIDE)))] == wanted


def test_a_late_row_takes_the_raise_back_and_gives_it_again() -> None:
    """The first row of the day raised it; one from before midnight comes behind it, and the seven days were wide."""
    hand = log(BASE, (7, NARROW))
    hand.rows(78 * DAY + 1, ("T1", [78 * DAY], [5.0])).rows(78 * DAY + 2, ("T1", [78 * DAY - 2], [50.0]))
    assert [one[0] for one in told(hand)] == ["raised", "retracted"]
    hand = log(BASE, (6, NARROW))
    hand.rows(77 * DAY + 361, ("T1", [77 * DAY + 360], [5.0])).rows(78 * DAY + 1, ("T1", [78 * DAY], [5.0]))
    assert told(hand) == [RAISED], "25 of 28 records"


def test_a_late_row_completes_a_week_and_raises_it() -> None:
    hand = log(BASE, (5, NARROW))  # 20 of 28 records
    hand.rows(78 * DAY + 1, ("T1", [78 * DAY], [5.0]))
    assert told(hand) == []
    hand.rows(78 * DAY + 2, ("T1", [78 * DAY - 1], [5.0]))
    assert told(hand) == [("raised", 77.999, 71.0, None)]
    assert [change.late for change in hand.changes(bundle=ONLY)] == [True]


def test_a_clock_that_jumps_ahead_turns_days_once_and_those_behind_it_are_stale() -> None:
    """A row a day ahead is no row yet (more than five minutes); one a month behind changes nothing."""
    hand = log(BASE, (3, NARROW))
    hand.rows(74 * DAY, ("T1", [75 * DAY], [5.0])).rows(74 * DAY + 1, ("T1", [40 * DAY + 1], [900.0]))
    log((5, NARROW), hand=hand, begin=74)
    assert told(hand) == [RAISED]


FACTS: dict[str, dict[str, Any]] = {
    "serial": {"serial": "B-2"},
    "limits": {"limits": {"low": 2, "high": 9}},
    "interval": {"interval": "5h"},
}


@pytest.mark.parametrize("change", FACTS.values(), ids=FACTS.keys())
def test_another_sensor_or_other_limits_begin_anew(change: dict[str, Any]) -> None:
    own: dict[str, Any] = {"serial": "A-1", "limits": {"low": 2, "high": 8}}
    hand = log((60, WIDE), **own)
    hand.register(60 * DAY - 1, sensor(**{"interval": "6h", **own, **change}), version=2)
    log((11, WIDE), (8, NARROW), hand=hand, begin=60)
    assert told(hand) == []
    hand = log((60, WIDE), **own)
    hand.register(60 * DAY - 1, sensor(**{"interval": "6h", **own, "error": 0.5}), version=2)
    log((11, WIDE), (8, NARROW), hand=hand, begin=60)
    assert told(hand) == [RAISED], "of another fact nothing is forgotten"


def test_another_place_begins_anew() -> None:
    areas = [{"id": "A1", "kind": "cold-room"}, {"id": "A2", "kind": "cold-room"}]
    hand = HandLog().register(-1, sensor(interval="6h"), areas=areas)
    log((60, WIDE), hand=hand)
    hand.register(60 * DAY - 1, sensor(area="A2", interval="6h"), areas=areas, version=2)
    log((11, WIDE), (8, NARROW), hand=hand, begin=60)
    assert told(hand) == []


def test_what_stands_stands_against_its_baseline_when_the_sensor_is_replaced() -> None:
    hand = log(BASE, (8, NARROW), serial="A-1")
    hand.register(79 * DAY - 1, sensor(interval="6h", serial="B-2"), version=2)
    log((7, [4.5, 5.5]), (1, WIDE), hand=hand, begin=79)
    assert told(hand) == [RAISED, ("cleared", 85.0, 71.0, 78.0)]
    for day, phase in ((80, "active"), (86, "normal")):
        (one,) = explain(hand.records(), ONLY, RULE, at=ms(day * DAY))[0]
        assert (one.agrees, one.standing.phase) == (True, phase)


def test_a_row_of_the_sensor_before_is_stale_when_another_has_come() -> None:
    """Decided again with it, the series would have the weeks of the sensor before."""
    for serial, wanted in (("B-2", []), ("A-1", [RAISED])):
        hand = log(BASE, serial="A-1")
        hand.register(71 * DAY - 1, sensor(interval="6h", serial=serial), version=2)
        hand.rows(71 * DAY - 0.5, ("T1", [70 * DAY + 1079], [5.0]))
        log((8, NARROW), hand=hand, begin=71)
        assert told(hand) == wanted


def test_a_mark_that_comes_later_changes_nothing() -> None:
    hand = log(BASE, (8, NARROW))
    data = {"id": "M-1", "revision": 1, "tags": ["T1"], "flag": "maintenance", "reason": "works", "author": "u-1"}
    span = {"from": format_instant(ms(78 * DAY)), "to": format_instant(ms(78 * DAY + 1080))}
    hand.line(78 * DAY + 1082, "mark", {**data, **span})
    log((1, WIDE), hand=hand, begin=79)
    assert told(hand) == [RAISED]


def test_other_numbers_of_the_rule_keep_what_was_counted() -> None:
    rule = BUNDLE.rule(RULE)
    assert rule is not None
    looser = Bundle.of([rule.model_copy(update={"version": "1.1.0", "below": 0.5})], [])
    hand = log(BASE, (7, [4.6, 5.4]), (1, WIDE))
    assert told(hand) == []
    assert told(hand, looser) == [RAISED]


def test_a_restart_in_the_middle_of_a_day_changes_nothing() -> None:
    records = log(BASE, (8, NARROW)).records()
    for cut in (len(records) - 1, len(records) - 2, 40):
        first, second = Engine(ONLY), Engine(ONLY)
        for record in records[:cut]:
            first.fold(record)
        second.restore(0, FACILITY, first.snapshot(0, FACILITY))
        wanted = [change for record in records[cut:] for change in first.fold(record)]
        assert [change for record in records[cut:] for change in second.fold(record)] == wanted
        assert first.snapshot(0, FACILITY) == second.snapshot(0, FACILITY)


def test_evidence_and_words_name_the_ratio() -> None:
    raised, cleared = log(BASE, (7, NARROW), (7, [4.5, 5.5]), (1, NARROW)).changes(bundle=ONLY)
    assert [(leaf.left, leaf.op, leaf.right, leaf.verdict.value) for leaf in raised.evidence.leaves] == [
        (0.1, "<", 0.2, "true")
    ]
    assert [(leaf.left, leaf.op, leaf.right) for leaf in cleared.evidence.leaves] == [(0.42594, ">", 0.4)], (
        "five days of 50 and two of 10 %"
    )
    assert raised.message.en == "T1: seven days spread by 10 % of what the weeks before did (standard deviations)"
    assert raised.message.zh == "T1：7 日数值的标准差仅为此前各周中位数的 10 %"
    assert (raised.stage, raised.severity.value) == ("shadow", "yellow")


def test_an_explanation_names_the_numbers_and_the_newest_judgement() -> None:
    (one,) = explain(log(BASE, (8, NARROW)).records(), ONLY, RULE, at=ms(79 * DAY))[0]
    assert one.agrees
    assert {n["name"]: n["value"] for n in one.numbers()} == {"below": 0.2, "clear_above": 0.4, "weeks": 10}
    assert {leaf.name: (seen.verdict.value, seen.left) for leaf, seen in one.leaves if seen} == {
        "reading": ("true", "good"), "covered": ("true", 28), "baseline": ("true", 1.0),
        "narrow": ("true", 0.1), "wide": ("false", 0.1),
    }  # fmt: skip
    assert "标准差与各周中位数之比" in "\n".join(lines(one, "zh"))
    (pinned,) = explain(log((1, WIDE), pinned=True).records(), ONLY, RULE, at=ms(DAY))[0]
    assert not pinned.watched


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"below": 0.4, "clear_above": 0.39}, "/clear_above"), ({"below": 1e-6}, "/below"),
     ({"below": 1e-6, "clear_above": 1e-6}, "/clear_above"), ({"below": None}, "/below"), ({"clear_above": None}, "/clear_above"),
     ({"share": 0.9}, "/share"), ({"before": 0.9}, "/before"), ({"clear_below": 0.9}, "/clear_below")],
)  # fmt: skip
def test_a_rule_that_could_mean_nothing_is_refused(change: dict[str, Any], pointer: str) -> None:
    shipped = BUNDLE.rule(RULE)
    assert shipped is not None
    assert bundle_faults([shipped], []) == []
    assert bundle_faults([shipped.model_copy(update={"below": 0.4})], []) == [], "both alike is no contradiction"
    assert f"/rules/0{pointer}" in [f.pointer for f in bundle_faults([shipped.model_copy(update=change)], [])]


def test_a_ratio_is_rounded_to_a_hundred_thousandth_halves_upward() -> None:
    assert [kind.parts_of(found, 1.0) for found in (0.199_994, 0.199_996, 0.2, math.inf)] == [
        19_999, 20_000, 20_000, 10**15
    ]  # fmt: skip


# -- differences ----------------------------------------------------------------------------------------------------
def test_as_wide_as_ever_but_smooth_is_told_by_one_rule_alone() -> None:
    wave = [4.0 + 0.1 * k for k in range(20)] + [6.0 - 0.1 * k for k in range(20)]
    days = [wave[4 * k % 40 : 4 * k % 40 + 4] for k in range(10)]
    # 27 steps of 0.1 and the one from 6 to 4, their mean -0.025: 0.39 of 2
    hand = log(BASE)
    for k, day in enumerate(days):
        log((1, day), hand=hand, begin=71 + k)
    assert told(hand) == []
    assert told(hand, SMOOTH_ONLY) == [("raised", 78.0, 71.0, None)]
    (raised,) = hand.changes(bundle=SMOOTH_ONLY)
    assert raised.message.en.startswith(
        "T1: from record to record seven days change by 19.5 % of what the weeks before did"
    )
    assert raised.message.zh.startswith("T1：7 日内相邻记录变化的标准差仅为此前各周中位数的 19.5 %")


def test_differences_lie_in_the_day_of_the_later_row_and_not_across_a_hole() -> None:
    """A leap over night makes the day behind it rough, over 18 hours none: the row begins anew."""
    quiet = [5.0, 5.1]
    assert told(log((71, WIDE), (3, quiet), (5, [15.0, 15.1])), SMOOTH_ONLY) == []
    hand = log((71, WIDE), (3, quiet))
    hand.rows(74 * DAY + 361, ("T1", [74 * DAY + 360], [15.0]))  # 12 h behind: two intervals
    log((4, [15.0, 15.1]), hand=hand, begin=75)
    assert told(hand, SMOOTH_ONLY) == []
    hand = log((71, WIDE), (3, quiet))
    hand.rows(74 * DAY + 721, ("T1", [74 * DAY + 720], [15.0]))  # 18 h
    log((4, [15.0, 15.1]), hand=hand, begin=75)
    assert told(hand, SMOOTH_ONLY) == [("raised", 78.0, 71.0, None)]


def test_an_explanation_of_differences_agrees() -> None:
    (one,) = explain(log(BASE, (9, NARROW)).records(), SMOOTH_ONLY, SMOOTH, at=ms(80 * DAY))[0]
    assert one.agrees
    assert {leaf.name: seen.verdict.value for leaf, seen in one.leaves if seen}["narrow"] == "true"
    assert "differences of neighbours" in "\n".join(lines(one, "en"))


# -- at the detection limit -----------------------------------------------------------------------------------------
LIMIT: dict[str, Any] = {"detection_limit": 5.0, "resolution": 0.1}
FAR, AT = [50.0], [5.0, 5.1]


def test_a_day_at_the_limit_raises_it_and_a_day_elsewhere_ends_it() -> None:
    hand = log((71, FAR), (2, AT), (2, FAR), **LIMIT)
    assert told(hand, NEAR_ONLY) == [("raised", 72.0, 71.0, None), ("cleared", 74.0, 71.0, 73.0)]
    raised, cleared = hand.changes(bundle=NEAR_ONLY)
    assert [(leaf.left, leaf.op, leaf.right) for leaf in raised.evidence.leaves] == [(1.0, ">=", 0.95)]
    assert [(leaf.left, leaf.op, leaf.right) for leaf in cleared.evidence.leaves] == [(0.0, "<", 0.8)]
    assert [(used.name, used.value, used.origin) for used in raised.evidence.limits] == [
        ("detection_limit", 5.0, "register"), ("resolution", 0.1, "register")
    ]  # fmt: skip
    assert raised.message.en == (
        "T1: 100 % of a day's values lie within a step of the detection limit of 5 °C, which few did in the weeks before"
    )
    assert raised.message.zh == "T1：一日内 100 % 的数值位于检出限 5 °C 的一个分辨率之内，而此前数周并非如此"
    assert (raised.stage, raised.severity.value) == ("shadow", "yellow")


def test_the_share_of_the_weeks_before_is_their_mean_and_those_of_an_alarm_do_not_count() -> None:
    """Of ten weeks five wholly there: half, and no alarm; four: 40 %. Months of an alarm are no baseline."""
    assert told(log((1, FAR), (35, AT), (35, FAR), (2, AT), **LIMIT), NEAR_ONLY) == []
    hand = log((1, FAR), (28, AT), (42, FAR), (2, AT), **LIMIT)
    assert told(hand, NEAR_ONLY) == [("raised", 72.0, 71.0, None)]
    hand = log((71, FAR), (150, AT), (1, FAR), (2, AT), **LIMIT)
    assert [one[:2] for one in told(hand, NEAR_ONLY)] == [("raised", 72.0), ("cleared", 222.0), ("raised", 223.0)]


@pytest.mark.parametrize("change", [{"detection_limit": 4.9}, {"resolution": 0.05}, {"serial": "B-2"}])
def test_another_detection_limit_or_resolution_begins_anew(change: dict[str, Any]) -> None:
    hand = log((60, FAR), **LIMIT)
    hand.register(60 * DAY - 1, sensor(**{"interval": "6h", **LIMIT, **change}), version=2)
    log((11, FAR), (2, [5.0, 4.95]), hand=hand, begin=60)
    assert told(hand, NEAR_ONLY) == []
    assert told(log((71, FAR), (2, [5.0, 4.95]), **LIMIT), NEAR_ONLY) == [("raised", 72.0, 71.0, None)]


def test_without_a_detection_limit_no_series_has_a_block() -> None:
    for known in ({}, {"detection_limit": 5.0}, {"resolution": 0.1}):
        engine = Engine(NEAR_ONLY)
        for record in log((1, FAR), **known).records():
            engine.fold(record)
        plan = engine.state_of(FACILITY).plan
        assert plan is not None
        assert plan.by_slot == [[]]


def test_an_explanation_of_shares_agrees_and_names_what_the_register_lacks() -> None:
    (one,) = explain(log((71, FAR), (2, AT), **LIMIT).records(), NEAR_ONLY, NEAR, at=ms(73 * DAY))[0]
    assert one.agrees
    assert {n["name"]: n["value"] for n in one.numbers()} == {
        "detection_limit": 5.0, "resolution": 0.1, "share": 0.95, "before": 0.5, "clear_below": 0.8, "weeks": 10
    }  # fmt: skip
    assert {leaf.name: (seen.verdict.value, seen.left) for leaf, seen in one.leaves if seen} == {
        "reading": ("true", "good"), "covered": ("true", 4), "at_limit": ("true", 1.0), "seldom": ("true", 0.0),
        "away": ("false", 1.0),
    }  # fmt: skip
    assert "位于检出限" in "\n".join(lines(one, "zh"))
    (bare,) = explain(log((1, FAR), resolution=0.1).records(), NEAR_ONLY, NEAR, at=ms(DAY))[0]
    assert not bare.watched
    assert {c.name: c.verdict.value for c in bare.line.watch.conditions if bare.line}["detection_limit"] == "unknown"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [({"share": None}, "/share"), ({"before": None}, "/before"), ({"clear_below": None}, "/clear_below"),
     ({"clear_below": 0.96}, "/clear_below"), ({"below": 0.2}, "/below"), ({"clear_above": 0.4}, "/clear_above"),
     ({"before": 1e-6}, "/before")],
)  # fmt: skip
def test_a_rule_of_shares_that_could_mean_nothing_is_refused(change: dict[str, Any], pointer: str) -> None:
    shipped = BUNDLE.rule(NEAR)
    assert shipped is not None
    assert bundle_faults([shipped.model_copy(update={"clear_below": 0.95})], []) == []
    assert f"/rules/0{pointer}" in [f.pointer for f in bundle_faults([shipped.model_copy(update=change)], [])]
