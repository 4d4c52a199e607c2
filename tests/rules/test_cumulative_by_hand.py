"""Kind `cumulative` by hand, in minutes, from the text of the catalogue and of limits.md §3."""

from __future__ import annotations

import pytest

from rules.changes import Verdict
from rules.lint import lint
from rules.pack import SHIPPED, Bundle, default_bundle
from rules.soundness import bundle_faults
from tests.rules import sums
from tests.rules.byhand import HOUR, HandLog, ms, sensor, story

PAIR = ("freeze-60min", "freeze-cumulative", "warm-10h", "warm-cumulative")
DAY = 1440


def minutes(*pieces):
    """Return values, one a minute, of (value, how many) pieces."""
    return [value for value, count in pieces for _ in range(count)]


def log(values):
    """Return a log with one row a minute, all of them in one batch a second after the last."""
    last = len(values) - 1
    return HandLog().register(0, sensor()).rows(last + 1 / 60, ("T1", range(last + 1), values))


def told(hand, *rules, bundle=None, until=None):
    changes = hand.changes(bundle=bundle or default_bundle(), until=until)
    return [(at, change, rule, start, end) for at, change, rule, _, _, start, end in story(changes, *(rules or PAIR))]


# -- The trap (limits.md §3): several dips under 1 h add up to 3.5 h and never raise a single-event alarm ---------------------
def test_dips_under_an_hour_that_add_up_to_three_and_a_half_hours():
    dips = minutes((4.0, DAY), *[(-1.0, 42), (4.0, 18)] * 5)
    changes = log(dips).changes(bundle=default_bundle())
    assert [(c.rule, c.change.value, c.start) for c in changes if "freeze" in c.rule] == [
        ("cold-chain.freeze-cumulative", "raised", ms(DAY + 42 + 18 + 18))
    ]
    (raised,) = [c for c in changes if "freeze" in c.rule]
    (leaf,) = raised.evidence.leaves
    assert (leaf.left, leaf.op, leaf.right, leaf.unit, leaf.verdict) == (HOUR, ">=", HOUR, "ms", Verdict.TRUE)
    assert raised.message.en == "T1: 1h at or below -0.5 °C in total within 24h, 1h is the limit"
    assert raised.message.zh == "T1：24h 内累计 ≤ -0.5 °C 1h，限值为 1h"


def test_the_dips_of_the_trap_reach_three_and_a_half_hours_and_no_minute_more():
    dips = minutes((4.0, DAY), *[(-1.0, 42), (4.0, 18)] * 5)
    for total, raised in ((210, True), (211, False)):
        rule = {**RISE, "id": "test.trap", "total": f"{total}m", "clear_below": "50m", "limits": LOW}
        assert bool(told(log(dips), "trap", bundle=with_rules(rule))) is raised


LOW = {"from": {"low": -0.5}, "inclusive": True}
RISE = {
    "kind": "cumulative",
    "window": "24h",
    "applies_to": {"sensor.quantity": "temperature", "area.kind": "cold-room"},
}


def with_rules(*entries):
    return Bundle.of(
        [*default_bundle().rules, *(sums.rule(entry) for entry in entries)], default_bundle().tables.values()
    )


# -- WHO exposures (limits.md §3) ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("limit", "hours", "type_"), [(30.0, 10, "I and II"), (10.0, 20, "II")], ids=["30 Cel 10 h", "10 Cel 20 h"]
)
def test_who_cumulative_exposures(limit, hours, type_):
    """Total time at or above the limit; the window here is 48 h, as trips are not read yet."""
    rule = {
        **RISE, "id": "test.who", "limits": {"from": {"high": limit}, "inclusive": True}, "total": f"{hours}h",
        "clear_below": f"{hours}h", "window": "48h",
    }  # fmt: skip
    bundle = with_rules(rule)
    lead = minutes((limit - 5, 40 * 60))
    pieces = [(limit, 150), (limit - 0.1, 7)] * (hours * 60 // 150)
    assert sum(count for value, count in pieces if value == limit) == hours * 60, type_
    whole = minutes(*pieces[:-1])
    expected = 40 * 60 + len(whole)
    assert [c[:4] for c in told(log([*lead, *whole, limit - 5]), "who", bundle=bundle)] == [
        (pytest.approx(expected + 1 / 60), "raised", "who", expected)
    ]
    assert told(log([*lead, *whole[:-1], limit - 5]), "who", bundle=bundle) == [], "a minute less"
    assert told(log([*lead, *[v - 0.1 for v in whole], limit - 5]), "who", bundle=bundle) == [], (
        "a tenth of a degree less"
    )


@pytest.mark.parametrize(
    ("limits", "outside", "inside"),
    [({"high": 45}, 45.0, 44.9), ({"low": -0.5}, -0.5, -0.4)],
    ids=["45 Cel 1 h", "-0.5 Cel 1 h"],
)
def test_who_single_events(limits, outside, inside):
    rule = {
        "kind": "limit", "id": "test.event", "limits": {"from": limits, "inclusive": True}, "when": {"on_delay": "1h"},
        "applies_to": RISE["applies_to"],
    }  # fmt: skip
    bundle = with_rules(rule)
    assert [c[1:4] for c in told(log(minutes((20.0, 5), (outside, 61))), "event", bundle=bundle)] == [
        ("raised", "event", 5)
    ]
    assert told(log(minutes((20.0, 5), (outside, 60), (20.0, 3))), "event", bundle=bundle) == []
    assert told(log(minutes((20.0, 5), (inside, 90))), "event", bundle=bundle) == []
    assert told(log(minutes((20.0, 5), *[(outside, 59), (inside, 1)] * 4)), "event", bundle=bundle) == []


# -- The single event and the sum -------------------------------------------------------------------------------------------
def test_the_minutes_of_a_single_event_are_taken_out_when_it_is_raised():
    """Two hours of short warmings, then one of ten hours: the sum is reached after eight of them, and given up for the red alarm."""
    values = minutes((5.0, DAY), *[(9.0, 30), (5.0, 30)] * 4, (9.0, 601), (5.0, 10))
    begin = DAY + 240
    reached, red = begin + 480, begin + 600
    # The single event speaks first of the row that both hear of.
    assert [(change, rule, start, end) for _, change, rule, start, end in told(log(values))] == [
        ("raised", "warm-cumulative", reached, None),
        ("raised", "warm-10h", begin, None),
        ("cleared", "warm-cumulative", reached, red),
        ("cleared", "warm-10h", begin, red + 1),
    ]


def test_the_single_event_is_decided_first_of_the_reading_that_reaches_both():
    values = minutes((5.0, DAY), (9.0, 601), (5.0, 5))
    assert {rule for _, _, rule, _, _ in told(log(values))} == {"warm-10h"}


def test_nothing_counts_until_the_single_event_has_ended_but_then_it_does():
    """After an event of eleven hours, ten hours more in short warmings."""
    values = minutes((5.0, 300), (9.0, 660), (5.0, 3), *[(9.0, 59), (5.0, 1)] * 11)
    found = told(log(values), "warm-cumulative")
    begin = 300 + 660 + 3
    assert [(change, start) for _, change, _, start, _ in found] == [("raised", begin + 10 * 60 + 10)]


def test_a_gap_that_is_too_long_does_not_count_and_ends_no_alarm():
    """Two intervals are bridged; one more is unknown."""
    rule = {**RISE, "id": "test.bridge", "limits": {"from": {"high": 8}}, "total": "60m", "clear_below": "60m"}
    bundle = with_rules(rule)
    lead = [(i, 5.0) for i in range(DAY)]
    for distance, raised in ((2, True), (3, False)):
        rows = [*lead, *[(DAY + i, 9.0) for i in range(30)]]
        rest = DAY + 29 + distance
        rows += [(rest + i, 9.0) for i in range(31 - distance)] + [(rest + 31 - distance, 5.0)]
        hand = HandLog().register(0, sensor())
        hand.rows(rows[-1][0] + 1, ("T1", [t for t, _ in rows], [v for _, v in rows]))
        assert rows[-1][0] == DAY + 60
        assert bool(told(hand, "bridge", bundle=bundle)) is raised, distance


# -- The window ------------------------------------------------------------------------------------------------------------
def test_the_window_ends_at_the_row_and_begins_with_the_first_half_hour_that_lies_inside_whole():
    """55 minutes beyond the limit; five more reach an hour as long as the first five are in the window."""
    rule = {**RISE, "id": "test.edge", "limits": {"from": {"high": 8}}, "total": "60m", "clear_below": "60m"}
    for second, raised in ((0, True), (1, False)):
        values = minutes((5.0, 25), (9.0, 55), (5.0, DAY - 80 + second), (9.0, 5), (5.0, 2))
        found = told(log(values), "edge", bundle=with_rules(rule))
        # Row at 24 h 5 min: the window begins at 30 min (24 h back lie five minutes past midnight), and 50 + 5 < 60.
        assert found == [], second
        values = minutes((5.0, 30), (9.0, 55), (5.0, DAY - 60 + second), (9.0, 5), (5.0, 2))
        found = told(log(values), "edge", bundle=with_rules(rule))
        # Row at 24 h 30 min (+ second): the window begins at 30 min, or at 60 min one minute later.
        assert bool(found) is raised, second


def test_coverage_below_three_quarters_is_unknown_and_neither_raises_nor_clears():
    values = minutes((9.0, 59), (5.0, 1), (9.0, 59), (5.0, 1)) * 6 + minutes((5.0, 6 * 60 + 1))
    found = told(log(values), "warm-cumulative")
    # Ten hours were reached after 10 h 10 min; of the window 18 h are covered at 18 h.
    assert [(change, start) for _, change, _, start, _ in found] == [("raised", 18 * 60)]


def test_an_alarm_becomes_unknown_by_the_clock_and_says_so_when_data_are_back():
    values = minutes((5.0, DAY), (-1.0, 59), (4.0, 1), (-1.0, 2))
    hand = log(values)
    newest = DAY + 61
    hand.rows(newest + 40, ("T1", [newest + 40], [4.0]))
    found = told(hand, "freeze-cumulative")
    assert [(at, change) for at, change, *_ in found][-2:] == [
        (newest + 1 + 15 + 1, "unknown"),  # interval, unknown.max, delivery
        (newest + 40, "known"),
    ]


# -- Late rows --------------------------------------------------------------------------------------------------------------
def test_late_rows_raise_it_and_take_it_back():
    """Rows of a dip come after newer ones; the hour is reached. Then late rows show that the dip had an end."""
    lead = minutes((4.0, DAY), (-1.0, 30), (4.0, 1))
    hand = log(lead)
    at = DAY + 31
    hand.rows(at + 40, ("T1", [at + 40], [4.0]))
    assert told(hand, "freeze-cumulative") == []
    hand.rows(at + 41, ("T1", [at + i for i in range(30)], [-1.0] * 30))
    hand.rows(at + 42, ("T1", [at + 30], [4.0]))
    changes = [c for c in hand.changes(bundle=default_bundle()) if c.rule == "cold-chain.freeze-cumulative"]
    assert [(c.change.value, c.late, c.start) for c in changes] == [("raised", True, ms(at + 30))]
    again = log(minutes((4.0, DAY), (-1.0, 59), (4.0, 1), (-1.0, 1)))
    again.rows(DAY + 61.1, ("T1", [DAY + 61], [4.0]))
    again.rows(DAY + 62.2, ("T1", [DAY + 0.5], [4.0]))  # inside for half a minute: 59.5 minutes remain
    found = told(again, "freeze-cumulative")
    assert [(change, start) for _, change, _, start, _ in found] == [("raised", DAY + 61), ("retracted", DAY + 61)]


# -- Changes of rules -------------------------------------------------------------------------------------------------------
SUMMED = {**RISE, "id": "test.changing", "limits": {"from": {"high": 8}}, "total": "60m", "clear_below": "50m"}


def test_sums_stay_when_the_numbers_change_and_begin_anew_with_another_window():
    first = with_rules(SUMMED)
    for more, raised in (
        ({"total": "40m", "clear_below": "30m"}, True),
        ({"window": "12h", "total": "40m", "clear_below": "30m"}, False),
    ):
        hand = log(minutes((5.0, DAY), (9.0, 45), (5.0, 15)))
        hand.packs(DAY + 60, with_rules({**SUMMED, **more, "version": "1.1.0"}))
        hand.rows(DAY + 60.5, ("T1", [DAY + 60], [5.0]))
        assert bool(told(hand, "changing", bundle=first)) is raised, more


def test_another_single_event_begins_anew_and_what_stands_stands():
    """A rule that no longer leaves out the single event counts it from the change on."""
    alone = {**SUMMED, "idle_while": "cold-chain.warm-10h", "reads": ["cold-chain.warm-10h"]}
    hand = log(minutes((5.0, DAY), (9.0, 601)))
    hand.packs(DAY + 601, with_rules({**SUMMED, "version": "1.1.0"}))
    for i in range(2):
        hand.rows(DAY + 661 + 60 * i, ("T1", [DAY + 601 + 60 * i + k for k in range(60)], [9.0] * 60))
    found = [(change, start) for _, change, _, start, _ in told(hand, "changing", bundle=with_rules(alone))]
    assert found == [
        ("raised", DAY + 60),  # the hour that came first
        ("cleared", DAY + 60),  # by the single event
        ("raised", DAY + 661),  # the row at 601 is the first that counts again
    ]


# -- What lint and a bundle refuse ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "more",
    [
        {"clear_below": "61m"},
        {"total": "25h"},
        {"window": "1d", "total": "0s"},
        {"window": "1441m"},
        {"idle_while": "cold-chain.warm-10h"},
        {"latched": True},
    ],
)
def test_numbers_that_mean_nothing_are_refused(more):
    with pytest.raises(ValueError, match=r"."):
        sums.rule({**SUMMED, **more})


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"idle_while": "data-integrity.gap", "reads": ["data-integrity.gap"]}, "single"),
        ({"idle_while": "data-integrity.physical-range", "reads": ["data-integrity.physical-range"]}, "single"),
        ({"idle_while": "cold-chain.warm-10h", "reads": ["cold-chain.warm-10h"], "marked": "count"}, "single"),
        ({"severity": {"base": "orange", "steps": [{"after": "1h", "to": "red"}]}}, "step"),
        ({"limits": {"from": "no-such-table"}}, "unknown_table"),
    ],
)
def test_a_bundle_refuses_what_cannot_be_compiled(more, code):
    rules = [*default_bundle().rules, sums.rule({**SUMMED, **more})]
    assert code in {fault.code for fault in bundle_faults(rules, default_bundle().tables.values())}


def test_lint_names_the_single_event_that_fits_not(tmp_path):
    folder = tmp_path / "cold-chain"
    folder.mkdir()
    text = (SHIPPED / "cold-chain" / "warm-cumulative.yaml").read_text("utf-8")
    (folder / "warm-cumulative.yaml").write_text(text.replace("idle_while: cold-chain.warm-10h", "idle_while: data-integrity.gap")
                                                 .replace("reads: [cold-chain.warm-10h]", "reads: [data-integrity.gap]"), "utf-8")  # fmt: skip
    assert {fault.code for fault in lint([SHIPPED / "data-integrity", folder])} & {"single"}


def test_a_facility_without_the_single_event_rule_counts_everything():
    rule = {**SUMMED, "idle_while": "test.absent", "reads": ["test.absent"]}
    values = minutes((5.0, DAY), (9.0, 60), (5.0, 1))
    assert [c[1] for c in told(log(values), "changing", bundle=with_rules(rule))] == ["raised"]
