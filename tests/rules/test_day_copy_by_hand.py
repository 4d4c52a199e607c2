"""Kind `repeat_day` by hand, in minutes: which records are compared, when a day is judged, what a register and a restart do to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.kinds import repeat_day as kind
from rules.pack import default_bundle
from rules.soundness import bundle_faults
from tests.rules import daylogs
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rules.changes import Change
    from rules.pack import Bundle

RULE = "data-integrity.day-copy"
DAY, HOUR = 1_440, 60
JUDGED = 2 * DAY + 2 * HOUR
"""When the second day is judged."""


def hourly(i: int) -> float:
    return round(4 + (i * 7 % 24) / 10, 1)


def days(
    *values: Callable[[int], float | None], every: float = 60, later: Mapping[int, Sequence[dict[str, Any]]] | None = None,
    **measures: Any,
) -> HandLog:  # fmt: skip
    """Return a log of whole days, a batch each, and three hours of the next: `values` of the n-th record.

    `later`: sensors of the register versions that come behind so many days.
    """
    hand = HandLog().register(-1, sensor(interval=f"{round(every * 60)}s", **measures))
    for day, of in enumerate(values, 1):
        rows = [((day - 1) * DAY + i * every, v) for i in range(round(DAY / every)) if (v := of(i)) is not None]
        hand.rows(day * DAY, ("T1", [t for t, _ in rows], [v for _, v in rows]))
        for i, other in enumerate((later or {}).get(day, ())):
            hand.register(day * DAY + 1 + i, other, version=10 * day + i)
    end = len(values) * DAY
    return hand.rows(end + 180, ("T1", [end + 60, end + 120, end + 180], [1, 2, 3]))


def found(hand: HandLog, bundle: Bundle = BUNDLE, until: float | None = None) -> list[Change]:
    return [c for c in hand.changes(bundle=bundle, until=until) if c.rule == RULE]


def told(hand: HandLog, bundle: Bundle = BUNDLE, until: float | None = None) -> list[tuple[Any, ...]]:
    return [(c.change.value, since(c.start), since(c.end), since(c.at)) for c in found(hand, bundle, until)]


RAISED = ("raised", DAY, None, JUDGED)


def test_it_is_told_once_by_the_row_two_hours_behind_the_day_and_never_by_the_clock() -> None:
    hand = days(hourly, hourly)
    assert told(hand, until=90 * DAY) == [RAISED]
    (change,) = found(hand)
    assert since(change.received) == 2 * DAY + 180
    assert (change.late, change.severity.value, change.end) == (False, "red", None)
    hand.lines.pop()
    hand.rows(2 * DAY + 180, ("T1", [2 * DAY + 60, JUDGED - 1 / 60_000], [1, 2]))
    assert told(hand, until=90 * DAY) == []


def test_words_and_evidence() -> None:
    (change,) = found(days(hourly, lambda i: 99.0 if i == 3 else hourly(i)))
    assert change.message.en == "T1: A day repeats the values of an earlier day"
    (leaf,) = change.evidence.leaves
    assert (leaf.expr, leaf.left, leaf.op, leaf.right) == ("equal values of T1, 24 h", 23 / 24, ">=", 0.95)
    assert [(read.kind, read.id) for read in change.evidence.records] == [("readings", "b3"), ("register", "1")]


@pytest.mark.parametrize(
    ("shift", "fires"),
    [(0, True), (30, True), (-30, True), (30 + 3.76, False), (-30 - 3.76, False), (59, False)],
)
def test_two_records_at_most_half_an_interval_apart_are_a_pair(shift: float, fires: bool) -> None:
    """Hourly records, kept to the sixteenth of an interval (3.75 min); both lie in the middle of a slot, or a quarter off it."""
    first, second = (-shift / 2, shift / 2) if abs(shift) > 1 else (0, 0)
    hand = HandLog().register(-1, sensor(interval="1h"))
    for day, by in enumerate((first, second)):
        minutes = [day * DAY + i * 60 + by for i in range(1, 24)]
        hand.rows((day + 1) * DAY, ("T1", minutes, [hourly(i) for i in range(1, 24)]))
    hand.rows(JUDGED, ("T1", [JUDGED], [1]))
    assert bool(told(hand, with_numbers(pairs=23))) is fires


def with_numbers(**members: Any) -> Bundle:
    rule = default_bundle().rule(RULE)
    assert rule is not None
    other = rule.model_copy(update=members)
    return BUNDLE.of([other if one.id == RULE else one for one in BUNDLE.rules], BUNDLE.tables.values())


def test_of_minutes_one_in_thirty_is_compared() -> None:
    """What stands between them may differ: 48 records of a day are looked at, those nearest to the half hours."""

    def copy(i: int) -> float:
        return hourly(i // 30) if i % 30 == 0 else i / 1_000

    hand = days(lambda i: hourly(i // 30) if i % 30 == 0 else 50 + i / 1_000, copy, every=1)
    assert told(hand) == [("raised", DAY, None, JUDGED)]
    hand = days(copy, lambda i: 9.0 if i % 30 == 0 else i / 1_000, every=1)
    assert told(hand) == []


def test_chance_of_exactly_a_half_is_still_allowed() -> None:
    """Six pairs: one value three times and three others once make 12 / 36; four times and two others 18 / 36; five times one 26 / 36."""
    bundle = with_numbers(pairs=6, distinct=2)
    for values, fires in (([1, 1, 1, 2, 3, 4], True), ([1, 1, 1, 1, 2, 3], True), ([1, 1, 1, 1, 1, 2], False)):
        of = dict(zip(range(0, 24, 4), values, strict=True))
        assert bool(told(days(of.get, of.get), bundle)) is fires, values


def test_late_rows_inside_the_horizon_count_whatever_their_order() -> None:
    hand = HandLog().register(-1, sensor(interval="1h"))
    hand.rows(DAY, ("T1", [i * 60 for i in range(24)], [hourly(i) for i in range(24)]))
    order = [i + by for i in range(0, 24, 2) for by in (1, 0)]
    for i in order:
        hand.rows(DAY + 1 + (i | 1) * 60, ("T1", [DAY + i * 60], [hourly(i)]))
    hand.rows(JUDGED, ("T1", [JUDGED], [1]))
    assert told(hand) == [RAISED]


def test_of_two_records_in_a_slot_the_earlier_stands() -> None:
    """Hourly, with a second record of another value twenty minutes behind each, on the second day; or before each."""
    for by, fires in ((20, True), (-20, False)):
        hand = HandLog().register(-1, sensor(interval="1h"))
        both = [(i * 60, hourly(i)) for i in range(24)]
        hand.rows(DAY, ("T1", [t for t, _ in both], [v for _, v in both]))
        rows = sorted([(DAY + t, v) for t, v in both] + [(DAY + t + by, 50.0 + t) for t, _ in both[1:]])
        hand.rows(2 * DAY, ("T1", [t for t, _ in rows], [v for _, v in rows]))
        hand.rows(JUDGED, ("T1", [JUDGED], [1]))
        assert bool(told(hand)) is fires, by


def test_what_stood_nine_days_before_is_forgotten() -> None:
    """The tenth day stands where the first one stood; its records with smaller digests, or none, leave nothing of that one."""
    hand = HandLog().register(-1, sensor(interval="1h"))
    for day in range(10):
        if day in (0, 2, 8, 9):
            values = [hourly(i) if day in (0, 8) else round(70 + i / 10 + day, 1) for i in range(24)]
            minutes = [day * DAY + i * 60 for i in range(24)]
            some = slice(0, 1) if day == 9 else slice(0, 24)
            hand.rows((day + 1) * DAY, ("T1", minutes[some], values[some]))
    hand.rows(10 * DAY + 120, ("T1", [10 * DAY + 120], [1]))
    assert told(hand) == []


def test_the_first_slot_of_a_day_is_kept_whatever_stood_before_midnight() -> None:
    """Every 1,100 s, so that 40 slots are kept; the last record of the first day lies in one that is not, 40 s before midnight."""
    hand = HandLog().register(-1, sensor(interval="1100s"))
    for day in range(2):
        seconds = [*(i * 1_100 for i in range(79)), 86_360]
        minutes = [day * DAY + of / 60 for of in seconds]
        hand.rows((day + 1) * DAY, ("T1", minutes, [hourly(i % 24) for i in range(80)]))
    hand.rows(JUDGED, ("T1", [JUDGED], [1]))
    assert told(hand, with_numbers(pairs=40)) == [RAISED]
    assert told(hand, with_numbers(pairs=41)) == []


def test_a_day_that_was_not_one_is_none_and_a_standing_alarm_hears_of_no_further_day() -> None:
    other = [9.0, 9.1, 9.2, 9.3, 9.4, 9.5]
    hand = days(hourly, hourly, hourly, lambda i: other[i % 6])
    assert told(hand) == [RAISED]
    (case,) = engine_of(hand).state_of(FACILITY).rare.of(RULE).values()
    assert [since(fact.t) for fact in case.facts] == [DAY, 2 * DAY]


def engine_of(hand: HandLog, bundle: Bundle = BUNDLE) -> Engine:
    engine = Engine(bundle)
    for record in hand.records():
        engine.fold(record)
    return engine


@pytest.mark.parametrize(
    ("change", "fires"),
    [({}, True), ({"limits": {"low": 1, "high": 9}}, True), ({"interval": "30m"}, False), ({"resolution": 0.5}, False),
     ({"quantity": "humidity", "unit": "%RH"}, False)],
)  # fmt: skip
def test_a_register_that_changes_what_is_compared_lets_the_days_begin_anew(change: dict[str, Any], fires: bool) -> None:
    hand = days(hourly, hourly, later={2: [sensor(**({"interval": "1h"} | change))]})
    assert bool(told(hand)) is fires


def test_a_tag_that_leaves_and_a_rule_that_leaves() -> None:
    """A tag that returns begins anew; its alarm stands meanwhile. With the rule the alarm ends."""
    hand = days(hourly, hourly).register(3 * DAY, sensor("T2", interval="1h"), version=2)
    assert told(hand) == [RAISED]
    hand.packs(3 * DAY + 1, BUNDLE.only({one.id for one in BUNDLE.rules} - {RULE}))
    assert told(hand)[1:] == [("cleared", DAY, 3 * DAY + 1, 3 * DAY + 1)]
    hand = days(hourly, hourly, later={1: [sensor("T2", interval="1h"), sensor(interval="1h")]})
    assert told(hand) == []


def test_a_rule_that_comes_when_days_were_sent_knows_nothing_of_them() -> None:
    without = BUNDLE.only({one.id for one in BUNDLE.rules} - {RULE})
    hand = HandLog().register(-1, sensor(interval="1h"))
    for day in range(3):
        hand.rows((day + 1) * DAY, ("T1", [day * DAY + i * 60 for i in range(24)], [hourly(i) for i in range(24)]))
        if day == 0:
            hand.packs(DAY + 1, BUNDLE)
    hand.rows(3 * DAY + 180, ("T1", [3 * DAY + 180], [1]))
    assert told(hand, without) == [("raised", 2 * DAY, None, 3 * DAY + 180)]


def test_a_row_of_another_year_leaves_no_day_of_this_one() -> None:
    far = 400 * DAY
    hand = days(hourly)
    hand.rows(far + DAY, ("T1", [far + i * 60 for i in range(24)], [hourly(i) for i in range(24)]))
    hand.rows(far + JUDGED, ("T1", [far + JUDGED], [1]))
    assert told(hand) == []


@pytest.mark.parametrize("big", [1e308, -1e308, 5e-324])
def test_values_at_the_ends_of_float_range(big: float) -> None:
    def of(i: int) -> float:
        return big / (i + 1)

    assert told(days(of, of)) == ([RAISED] if abs(big) > 1 else [])
    assert told(days(of, of, resolution=1e-300)) == ([RAISED] if abs(big) > 1 else [])


def test_digests_of_values_in_a_row_are_different_and_zero_has_one() -> None:
    words = kind.STATE.blank()
    floats = words.view(np.float64)

    def digest(value: float, resolution: float = 0.0) -> int:
        return int(kind.digest(words, floats, 0, value, resolution))

    assert digest(-0.0) == digest(0.0)
    assert digest(5.04, 0.1) == digest(5.0, 0.1) != digest(5.06, 0.1)
    for resolution in (0.0, 0.1, 0.01):
        some = {digest(i * 0.1, resolution) for i in range(-400, 600)}
        assert len(some) > 985, "of a thousand values in a row hardly two have one digest"


def test_state_is_that_of_the_page_and_a_restart_leaves_it() -> None:
    assert kind.STATE.words == 152
    hand = days(hourly, hourly)
    engine, again = engine_of(hand), Engine(BUNDLE)
    snapshot = engine.snapshot(0, FACILITY)
    again.restore(0, FACILITY, snapshot)
    assert again.snapshot(0, FACILITY) == snapshot
    assert b"repeat_day" not in engine_of(hand, BUNDLE.only({"data-integrity.gap"})).snapshot(0, FACILITY)


def test_the_batches_of_a_day_may_be_one_or_many() -> None:
    rows = [(i * 10, round(4 + (i * 7 % 24) / 10, 1)) for i in range(144)]
    outcomes = []
    for size in (1, 7, 1_000):
        hand = HandLog().register(-1, sensor(interval="10m"))
        both = [(day * DAY + t, v) for day in (0, 1) for t, v in rows] + [(JUDGED, 1.0)]
        for i in range(0, len(both), size):
            hand.rows(JUDGED, ("T1", [t for t, _ in both[i : i + size]], [v for _, v in both[i : i + size]]))
        outcomes.append(told(hand))
    assert outcomes == [[RAISED]] * 3


def test_an_explanation_names_the_days_and_agrees() -> None:
    hand = days(hourly, hourly)
    (one,), _ = explain(hand.records(), BUNDLE, RULE, at=ms(JUDGED + 60))
    assert one.agrees
    assert [told.fate for told in one.events] == ["occasion"]
    assert {leaf.name: seen and seen.verdict.value for leaf, seen in one.leaves} == dict.fromkeys(
        ("pairs", "different", "chance", "equal"), "true"
    )
    for lang in ("en", "zh", "both"):
        assert any("day-copy" in line for line in rare_lines(one, lang))
    (quiet,), _ = explain(days(hourly).records(), BUNDLE, RULE, at=ms(JUDGED))
    assert quiet.agrees
    assert quiet.standing_alarm is None


@pytest.mark.parametrize(
    "members", [{"lags": ["23h"]}, {"lags": ["192h"]}, {"lags": []}, {"lags": ["24h"] * 3}, {"share": 1.1}, {"pairs": 49},
                {"chance": 0}],
)  # fmt: skip
def test_numbers_that_mean_nothing_are_refused(members: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"lag|share|pairs|chance"):
        daylogs.rule({**daylogs.RULES[0], **members})


@pytest.mark.parametrize(("members", "pointer"), [({"pairs": 4}, "distinct"), ({"lags": ["24h", "24h"]}, "lags")])
def test_numbers_that_do_not_go_together_are_faults(members: dict[str, Any], pointer: str) -> None:
    rule = daylogs.rule({**daylogs.RULES[0], **members})
    assert f"/rules/0/{pointer}" in [fault.pointer for fault in bundle_faults([rule], [])]
