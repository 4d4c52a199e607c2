"""Figures of reports and the summaries behind them by hand, in minutes: borders of hours and days, late rows, marks, registers, packs, bounds, lint."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from rules import carry, sums
from rules.engine import Engine
from rules.excursionparts import ClaimedTime
from rules.excursions import book
from rules.excursions.figures import time_of
from rules.excursions.sound import excursion_faults, source_faults
from rules.instants import parse_instant
from rules.kinds import summary
from rules.pack import Bundle, load_bundle
from rules.rule import CompareRule, OpenWhen
from rules.ruletest import run_tests
from rules.snapshot import SnapshotError, open_snapshot, sealed
from tests.rules.byhand import FACILITY, HOUR, MINUTE, HandLog, ms, sensor, since
from tests.rules.claimlogs import MONTH, SPAN, STORE

if TYPE_CHECKING:
    from rules.sums import Period, Summed

FOLDER = Path(__file__).parent / "claims"
BUNDLE = load_bundle([FOLDER])
WRITTEN = yaml.safe_load((FOLDER / "month-figures.yaml").read_text(encoding="utf-8"))
SCOPE = {"scopes": [{"field": "distribution", "line": "drug"}]}
LIMITS = {"limits": {"low": 2, "high": 8}}
DAY = 1440


def register(hand: HandLog, at: float = -1, version: int = 1, **of: Any) -> HandLog:
    return hand.register(at, sensor(**(LIMITS | of)), version=version, **SCOPE)


def dense(hand: HandLog, begin: int, values: list[float], **more: Any) -> HandLog:
    """Rows of T1 a minute apart, received with the newest."""
    return hand.rows(begin + len(values) - 1, ("T1", list(range(begin, begin + len(values))), values), **more)


def folded(hand: HandLog, bundle: Bundle = BUNDLE) -> Engine:
    engine = Engine(bundle)
    for record in hand.records():
        engine.fold(record)
    engine.settle(0)
    return engine


def summed(hand: HandLog, bundle: Bundle = BUNDLE) -> Summed:
    return sums.of(folded(hand, bundle).state_of(FACILITY), 0)


def short(periods: list[Period]) -> list[tuple[Any, ...]]:
    """Return begin (minutes), rows, known and outside (minutes), least and greatest of each."""
    return [(since(p.begin), p.rows, p.known / MINUTE, p.outside / MINUTE, p.low, p.high) for p in periods]


def span_report(hand: HandLog, at: float, begin: float, end: float, revision: int = 1, **fields: Any) -> HandLog:
    said = {
        "deviation_id": "D-1", "asset": "T1", "from": ms(begin), "to": ms(end), "duration_min": 0, "peak": 5.0, "unit": "Cel",
        "lots": [], "opened_at": ms(at),
    } | fields  # fmt: skip
    more = {"reason": "read again"} if revision > 1 else {}
    return hand.line(
        at, "report", {"id": "R-1", "type": "deviation", "revision": revision, "sent": ms(at), "fields": said} | more
    )


def told(hand: HandLog, until: float, rule: str = SPAN, bundle: Bundle = BUNDLE) -> list[tuple[str, float | None]]:
    return [(c.change.value, since(c.received)) for c in hand.changes(until=until, bundle=bundle) if c.rule == rule]


def test_the_rule_files_of_the_tests_pass() -> None:
    assert [one for one in run_tests(BUNDLE) if one.differences] == []


def test_a_value_stands_until_the_next_and_is_cut_at_the_hour() -> None:
    """9 at 59 min stands to the end of its hour; 9 at 60 min for the first minute of the next."""
    hand = dense(register(HandLog()), 0, [5.0] * 59 + [9.0, 9.0, 5.0, 5.0])
    found = summed(hand)
    assert short(found.hours) == [(0, 60, 60, 1, 5, 9), (60, 3, 2, 1, 5, 9)]
    assert short(found.days) == [(0, 63, 62, 2, 5, 9)]


def test_a_span_across_the_border_is_known_on_both_sides() -> None:
    hand = register(HandLog(), interval="300s").rows(70, ("T1", [50, 57, 64], [5.0, 9.0, 5.0]))
    assert short(summed(hand).hours) == [(0, 2, 10, 3, 5, 9), (60, 1, 4, 4, 5, 5)]


def test_days_begin_at_local_midnight() -> None:
    hand = dense(register(HandLog(), -200), -10, [5.0] * 21)
    assert short(summed(hand).days) == [(-DAY, 10, 10, 0, 5, 5), (0, 11, 10, 0, 5, 5)]


@pytest.mark.parametrize(("step", "known"), [(2, 2), (2.001, 0)])
def test_behind_two_intervals_nothing_is_known(step: float, known: float) -> None:
    assert summed(register(HandLog()).rows(5, ("T1", [1, 1 + step], [5.0, 5.0]))).hours[0].known / MINUTE == known


def test_what_is_not_good_is_not_known_and_does_not_part_what_is() -> None:
    hand = register(HandLog()).rows(
        9, ("T1", [0, 1, 2, 3, 5], [5.0, (30.0, "fault"), 5.0, (None, "comms"), (9.0, "uncertain")])
    )
    assert short(summed(hand).hours) == [(0, 2, 2, 0, 5, 5)]


def test_a_mark_takes_rows_of_the_horizon_also_behind_them_and_no_older_ones() -> None:
    hand = dense(register(HandLog()), 0, [5.0] * 400).mark(400, "maintenance", 100, 399)
    before, after = summed(dense(register(HandLog()), 0, [5.0] * 400)), summed(hand)
    assert sum(p.rows for p in before.hours) == 400
    left = sum(p.rows for p in after.hours)
    assert 100 < left < 400, "what had left the horizon stands as it was"
    assert after.hours[0] == before.hours[0]


def test_a_late_row_decides_its_hour_again_while_it_is_in_the_horizon() -> None:
    hand = dense(register(HandLog()), 0, [5.0] * 90)
    assert summed(hand).hours[0].high == 5
    assert summed(hand.rows(90, ("T1", [30.5], [12.0]))).hours[0].high == 12
    stale = dense(register(HandLog()), 0, [5.0] * 400).rows(401, ("T1", [30.5], [12.0]))
    assert summed(stale).hours[0].high == 5


def test_a_gap_that_is_filled_is_known_hours_later() -> None:
    hand = dense(dense(register(HandLog()), 0, [5.0] * 60), 600, [5.0] * 5)
    assert sum(p.known for p in summed(hand).hours) == 63 * MINUTE
    hand.rows(606, ("T1", list(range(60, 600)), [9.0] * 540))
    found = summed(hand)
    assert sum(p.known for p in found.hours) == 604 * MINUTE
    assert found.days[0].outside == 540 * MINUTE


def test_a_late_row_takes_an_alarm_back_or_brings_it() -> None:
    """At 1 h + 24 h the report is right; behind the late row, at the next look a day later, it is not."""
    hand = span_report(dense(dense(register(HandLog()), 0, [5.0] * 45), 62, [5.0] * 5), 70, 0, 60)
    hand.rows(70 + DAY + 5, ("T1", list(range(45, 62)), [5.0] * 5 + [12.0] + [5.0] * 11))
    assert told(hand, 10 * DAY) == [("raised", 70 + 2 * DAY)], (
        "while a quarter of the hour was not known it said nothing"
    )


def test_another_interval_ends_the_horizon_and_loses_nothing() -> None:
    hand = register(dense(register(HandLog()), 0, [5.0] * 300), 301, 2, interval="120s")
    hand.rows(304, ("T1", [302, 304], [5.0, 5.0]))
    found = summed(hand)
    assert sum(p.rows for p in found.hours) == 302
    assert sum(p.known for p in found.hours) == 304 * MINUTE


def test_another_quantity_or_a_sensor_that_left_begins_anew() -> None:
    hand = register(dense(register(HandLog()), 0, [5.0] * 100), 101, 2, tag="T2")
    hand = dense(register(hand, 102, 3), 103, [5.0] * 3)
    assert short(summed(hand).hours) == [(60, 3, 2, 0, 5, 5)]


def with_rule(name: str, **changed: Any) -> Bundle:
    return Bundle.of([rule.model_copy(update=changed) if rule.id == name else rule for rule in BUNDLE.rules], ())


def test_a_rule_that_begins_anew_ends_the_horizon_and_loses_no_row() -> None:
    anew = {"version": "2.0.0", "migration": "close", "when": OpenWhen(consecutive=3)}
    hand = dense(register(HandLog()), 0, [5.0] * 100).packs(100, with_rule(STORE, **anew))
    found = summed(dense(hand, 100, [5.0] * 5))
    assert short(found.days) == [(0, 105, 104, 0, 5, 5)]


def test_a_rule_that_raised_and_comes_back_loses_no_row() -> None:
    state = folded(dense(register(HandLog()), 0, [5.0] * 300)).state_of(FACILITY)
    before = sums.of(state, 0)
    carry.begin_again(state, {STORE}, ms(300))
    assert state.of_series("ring_len", 0) == 0
    assert sums.of(state, 0) == before


def test_values_of_another_quantity_are_no_part_of_it() -> None:
    both = with_rule(MONTH, applies_to={"sensor.quantity": ["temperature", "humidity"]})
    hand = dense(register(HandLog()), 0, [5.0] * 100)
    hand = dense(register(hand, 101, 2, quantity="humidity", unit="%RH"), 102, [50.0] * 3)
    assert short(summed(hand, both).days) == [(0, 3, 2, 2, 50, 50)]


def test_summaries_begin_with_the_rule_and_end_with_it() -> None:
    """What left the horizon before stays unknown; what stands in it is taken as it leaves."""
    without = BUNDLE.only({STORE})
    hand = dense(register(HandLog().packs(-2, without)), 0, [5.0] * 400)
    state = folded(hand, without).state_of(FACILITY)
    assert not sums.is_kept(state.planned, 0)
    hand.packs(400, BUNDLE)
    found = dense(hand, 401, [5.0] * 3)
    rows = [p.rows for p in summed(found, without).hours]
    assert 120 <= sum(rows) <= 124
    hand.packs(410, without)
    engine = folded(hand, without)
    assert not sums.is_kept(engine.state_of(FACILITY).planned, 0)
    assert open_snapshot(engine.snapshot(0, FACILITY))[0].sums is not None


def test_hours_are_kept_only_for_rules_that_ask_for_hours() -> None:
    only = BUNDLE.only({MONTH, STORE})
    found = summed(dense(register(HandLog()), 0, [5.0] * 61), only)
    assert (found.hours, len(found.days)) == ([], 1)


@pytest.mark.parametrize(("unit", "kept", "span"), [("hours", 35 * 24, 24), ("days", 532, 28)])
@pytest.mark.parametrize("more", [0, 1])
def test_the_oldest_go(unit: str, kept: int, span: int, more: int) -> None:
    """A day of hours, or four weeks of days, goes when the next one begins; the log begins behind the first hour, or day, of one."""
    every, zone = 60 if unit == "hours" else DAY, 8 * 60 * MINUTE
    inside = ((ms(0) + zone) // (every * MINUTE)) % span
    many = kept + span - inside + more
    hand = register(HandLog(), interval="1h")
    for begin in range(0, many, 20):
        times = [every * i for i in range(begin, min(begin + 20, many))]
        hand.rows(times[-1], ("T1", times, [5.0] * len(times)))
    engine = folded(hand)
    found = getattr(sums.of(engine.state_of(FACILITY), 0), unit)
    assert [since(p.begin) for p in found] == [every * i for i in range(span - inside if more else 0, many)]
    again = Engine(BUNDLE)
    again.restore(0, FACILITY, engine.snapshot(0, FACILITY))
    assert getattr(sums.of(again.state_of(FACILITY), 0), unit) == found


def test_a_value_that_is_none_of_a_store_has_no_mean() -> None:
    hand = dense(register(HandLog()), 0, [5.0, 1500.0, 5.0])
    assert math.isnan(summed(hand).days[0].total)


@pytest.mark.parametrize(
    ("values", "mean"),
    [([2, 2, 5, 8, 8, 8, 8], 6.2503), ([2, 8], 5.5364), ([20, 25, 30], 25.8582), ([5] * 23 + [25], 7.7564)],
)
def test_the_published_vectors(values: list[float], mean: float) -> None:
    """limits.md §4, in equal spans; the last value closes the last of them."""
    hand = dense(register(HandLog()), 0, [*map(float, values), 0.0])
    one = summed(hand).days[0]
    assert round(10_000 / -math.log(one.total / one.known) - 273.15, 4) == mean


@pytest.mark.parametrize(
    ("fields", "begin", "end"),
    [
        ({"period": 2026}, "2026-01-01", "2027-01-01"), ({"period": "2026"}, "2026-01-01", "2027-01-01"),
        ({"period": "2026-Q4"}, "2026-10-01", "2027-01-01"), ({"period": "2026-12"}, "2026-12-01", "2027-01-01"),
    ],
)  # fmt: skip
def test_periods_are_local(fields: dict[str, Any], begin: str, end: str) -> None:
    wanted = tuple(parse_instant(f"{day}T00:00:00+08:00") for day in (begin, end))
    assert time_of(ClaimedTime(period="period"), fields) == wanted


@pytest.mark.parametrize("fields", [{}, {"from": 5, "to": 5}, {"from": 5}, {"from": "x", "to": 9}])
def test_a_time_that_is_none(fields: dict[str, Any]) -> None:
    assert time_of(ClaimedTime.model_validate({"from": "from", "to": "to"}), fields) == (-1, -1)
    assert time_of(ClaimedTime(period="year"), {"year": 10_000}) == (-1, -1)


def test_a_report_of_no_time_says_nothing_and_is_looked_at_once() -> None:
    hand = span_report(dense(register(HandLog()), 0, [5.0] * 70), 70, 0, 0, peak=30.0)
    assert told(hand, 40 * DAY) == []


def test_it_waits_for_the_end_of_its_time() -> None:
    hand = dense(register(HandLog()), 0, [5.0] * 190)
    span_report(hand, 190, 60, 120, peak=30.0)
    assert told(hand, 40 * DAY) == [("raised", 190 + DAY)]


def test_a_time_that_is_not_over_is_compared_behind_its_end() -> None:
    hand = span_report(dense(register(HandLog()), 0, [5.0] * 90), 90, 60, 180, peak=30.0)
    dense(hand, 90, [5.0] * 100)
    assert told(hand, 40 * DAY) == [("raised", 180 + DAY)]


def test_a_revision_to_a_time_that_is_not_known_is_unknown_and_another_is_known() -> None:
    hand = dense(register(HandLog()), 0, [5.0] * 190)
    span_report(hand, 190, 60, 120, peak=30.0)
    span_report(hand, 2 * DAY, 600, 660, 2, peak=30.0)
    span_report(hand, 3 * DAY, 60, 120, 3, peak=30.0)
    span_report(hand, 4 * DAY, 60, 120, 4)
    second = round(1 / 60, 5)
    assert told(hand, 40 * DAY) == [
        ("raised", 190 + DAY), ("unknown", 2 * DAY + second), ("known", 3 * DAY + second), ("cleared", 4 * DAY + second),
    ]  # fmt: skip


def test_a_revision_that_is_not_newer_changes_nothing() -> None:
    hand = span_report(dense(register(HandLog()), 0, [5.0] * 190), 190, 60, 120, 2, peak=30.0)
    span_report(hand, 191, 60, 120, 1)
    assert told(hand, 3 * DAY) == [("raised", 190 + DAY)]


def test_an_asset_without_series_is_unknown() -> None:
    hand = span_report(dense(register(HandLog()), 0, [5.0] * 190), 190, 60, 120, peak=30.0, asset="CR9")
    assert told(hand, 3 * DAY) == []


def test_claims_are_bounded_and_the_oldest_that_is_done_goes() -> None:
    hand = dense(register(HandLog()), 0, [5.0] * 190)
    for i in range(4):
        said = {"product": "P-1", "period": "2026-03", "figures": {"mkt": 5.0}}
        hand.line(
            200 + i,
            "report",
            {"id": f"R-{i}", "type": "quality-review", "revision": 1, "sent": ms(200), "fields": said},
        )
    with patch.object(book, "MAX_DEVIATIONS", 3):
        engine = folded(hand)
    state = engine.state_of(FACILITY)
    assert list(state.excursions[MONTH].claims) == ["R-0", "R-1", "R-2"]
    assert engine.counters(0, FACILITY)["claim_left_out"] == 1


def test_evidence_names_the_share_and_the_bounds() -> None:
    hand = dense(register(HandLog()), 0, [5.0] * 50 + [9.0] * 20 + [12.0] * 10 + [5.0] * 110)
    span_report(hand, 190, 30, 130, peak=30.0)
    change = next(c for c in hand.changes(until=3 * DAY, bundle=BUNDLE) if c.rule == SPAN)
    assert [(leaf.expr, leaf.left, leaf.right, leaf.verdict.value) for leaf in change.evidence.leaves] == [
        ("known share of the time", 1.0, 0.95, "true"),
        ("stated max (peak)", 30.0, 12.0, "true"),
        ("stated outside (duration_min)", 0.0, "20 to 30", "true"),
    ]
    assert "T1" in change.message.en
    assert "T1" in change.message.zh


def test_a_snapshot_with_summaries_that_no_fold_leaves_is_refused() -> None:
    engine = folded(dense(register(HandLog()), 0, [5.0] * 400))
    body, _ = open_snapshot(engine.snapshot(0, FACILITY))
    assert isinstance(body.sums, list)
    tag, count, data = body.sums[0]
    words = np.frombuffer(data, np.int64)
    swapped = words.copy()
    a, b = summary.HEAD_WORDS, summary.HEAD_WORDS + summary.ENTRY_WORDS
    swapped[a], swapped[b] = words[b], words[a]
    for wrong in (
        [("T9", count, data)], [(tag, count + 9_000, data)], [(tag, count, data[:-8])], [(tag, count, b"")], [(tag, -1, data)],
        [(tag, count, swapped.tobytes())], [(tag, count, data)] * 2,
    ):  # fmt: skip
        body.sums = wrong
        with pytest.raises(SnapshotError):
            Engine(BUNDLE).restore(0, FACILITY, sealed(body))


def test_lint_of_figures() -> None:
    def faults(**changed: Any) -> list[str]:
        return sorted(one.pointer for one in excursion_faults(CompareRule.model_validate(WRITTEN | changed)))

    figure = {"of": "max", "field": "figures.max_temperature", "tolerance": 0.5}
    counted = {"of": "excursions", "field": "figures.excursions", "tolerance": 0}
    assert faults() == []
    assert faults(report="letter") == ["/report"]
    assert faults(time={"period": "when"}) == ["/time/period"]
    assert faults(time={"period": "product"}) == ["/time/period"]
    assert faults(time={"from": "period", "to": "until"}) == ["/time/from", "/time/to"]
    assert faults(asset="figures") == ["/asset"]
    assert faults(figures=[figure, counted, figure]) == ["/figures/2"]
    assert faults(figures=[figure | {"field": "product"}, counted]) == ["/figures/0/field"]
    assert faults(figures=[figure | {"field": "figures"}, counted]) == ["/figures/0/field"]
    assert faults(figures=[figure | {"field": "yield"}, counted]) == ["/figures/0/field"]
    assert faults(applies_to={}) == ["/applies_to"]
    assert faults(applies_to={"sensor.quantity": "humidity"}) == ["/applies_to/sensor.quantity"]
    assert faults(reads=[]) == ["/reads"]
    assert faults(wait="0s") == ["/wait"]
    rule = CompareRule.model_validate(WRITTEN)
    assert source_faults(rule, BUNDLE.rules) == []
    assert [f.pointer for f in source_faults(rule.model_copy(update={"reads": [SPAN]}), BUNDLE.rules)] == [
        "/reads/0",
        "/reads",
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"duration": {"share": 0.1, "intervals": 1}}, {"time": None}, {"excursions": None}, {"figures": []},
        {"time": {"period": "period", "from": "a", "to": "b"}}, {"time": {"from": "a"}}, {"time": {}}, {"known": 0},
    ],
)  # fmt: skip
def test_one_of_both_forms(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CompareRule.model_validate(WRITTEN | changed)


def test_hours_are_whole_hours_of_the_local_clock() -> None:
    assert [p.begin % HOUR for p in summed(dense(register(HandLog()), 0, [5.0] * 70)).hours] == [0, 0]
