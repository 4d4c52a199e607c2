"""Reports held against excursions by hand, in minutes: what is not known raises nothing, peaks that move, what is lost, bounds, lint."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from rules.changes import Change, ChangeKind
from rules.engine import Engine
from rules.excursions import book
from rules.excursions.sound import excursion_faults, source_faults
from rules.pack import Bundle
from rules.rule import CompareRule, FollowUpRule
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since
from tests.rules.failures import failing_at

NONE, WRONG, STORE = "cross-check.excursion-no-deviation", "cross-check.deviation-misstated", "cold-chain.store-out"
DAY = 1440


def outside(values: list[float], **facts: Any) -> HandLog:
    """Rows a minute apart, T1 inside for five minutes, then these, then inside again."""
    hand = HandLog().register(-1, sensor(), **({"delivery": "4d"} | facts))
    series = [5.0] * 5 + values + [5.0] * 10
    return hand.rows(len(series), ("T1", list(range(len(series))), series))


def report(hand: HandLog, at: float, begin: float, end: float, *, revision: int = 1, **fields: Any) -> HandLog:
    said = {
        "deviation_id": "D-1", "asset": "A1", "from": ms(begin), "to": ms(end), "duration_min": end - begin, "peak": 9.0,
        "unit": "Cel", "lots": [], "opened_at": ms(at),
    } | fields  # fmt: skip
    more = {"reason": "read again"} if revision > 1 else {}
    data = {"id": "R-1", "type": "deviation", "revision": revision, "sent": ms(at), "fields": said}
    return hand.line(at, "report", data | more)


def told(changes: list[Change], rule: str) -> list[tuple[str, float | None, float | None]]:
    return [(c.change.value, since(c.start), since(c.received)) for c in changes if c.rule == rule]


def test_a_peak_that_a_late_row_moves_is_the_measured_one() -> None:
    """Start, end and colour stay, so no change tells it; a report that states it is right, one that does not is wrong."""
    hand = outside([9.0] * 10).rows(30, ("T1", [8.5], [12.0]))
    assert told(report(hand, 60, 5, 15, peak=12.0).changes(until=5 * DAY), WRONG) == []
    late = report(outside([9.0] * 10), 60, 5, 15).rows(2 * DAY, ("T1", [8.5], [12.0]))
    assert told(late.changes(until=5 * DAY), WRONG) == [("raised", 60, round(2 * DAY + 1 / 60_000, 5))]


@pytest.mark.parametrize(("unit", "raised"), [("Cel", True), ("K", False)])
def test_an_area_is_compared_by_the_claimed_unit(unit: str, raised: bool) -> None:
    found = told(report(outside([9.0] * 10), 60, 5, 15, unit=unit, duration_min=60).changes(until=5 * DAY), WRONG)
    assert bool(found) is raised
    of_tag = report(outside([9.0] * 10), 60, 5, 15, unit=unit, duration_min=60, asset="T1")
    assert told(of_tag.changes(until=5 * DAY), WRONG) != [], "of a sensor its duration is known"


def test_a_report_that_is_moved_to_another_time_does_not_end_what_stands() -> None:
    hand = report(outside([9.0] * 10), 60, 5, 15, duration_min=60)
    report(hand, 3 * DAY, 0, 1, revision=2)
    found = told(hand.changes(until=5 * DAY), WRONG)
    assert [kind for kind, _, _ in found] == ["raised", "unknown"]


def test_what_began_before_the_rule_listened_wants_no_report() -> None:
    hand = HandLog().packs(-2, BUNDLE.only({STORE})).register(-1, sensor())
    hand.rows(10, ("T1", list(range(11)), [5.0] * 5 + [9.0] * 6)).packs(6 * DAY, BUNDLE.only({STORE, NONE}))
    hand.rows(6 * DAY + 20, ("T1", [11, 12, 13, 14, 15, 16, 17], [5.0] * 7))
    changes = hand.changes(until=20 * DAY, bundle=BUNDLE.only({STORE}))
    assert [c.change.value for c in changes if c.rule == STORE][-1] == "cleared"
    assert told(changes, NONE) == [], "a report of then is not known"


def test_a_source_that_is_put_aside_leaves_no_excursion_open() -> None:
    log = report(outside([9.0] * 10), 60, 5, 15, duration_min=60).records()
    engine = Engine(BUNDLE)
    with failing_at(lambda change: change.rule == STORE and change.change is ChangeKind.CLEARED):
        changes = [change for record in log for change in engine.fold(record)]
    changes += engine.advance(0, ms(5 * DAY))
    assert told(changes, WRONG) == [], "how it went on is not known"
    (one,) = [x for x in engine.state_of(FACILITY).excursions[WRONG].excursions.values() if x.rule == STORE]
    assert one.partly
    assert one.end == ms(25)


def test_what_finds_no_room_is_left_out_and_counted_and_nothing_that_stands_goes() -> None:
    hand = outside([9.0, 9.0, *[5.0] * 8, 9.0, 9.0, *[5.0] * 8, 9.0, 9.0])
    with patch.object(book, "MAX_EXCURSIONS", 2):
        engine = Engine(BUNDLE)
        changes = [change for record in hand.records() for change in engine.fold(record)]
        changes += engine.advance(0, ms(5 * DAY))
    assert sorted(row[:2] for row in told(changes, NONE)) == [("raised", 5), ("raised", 15)]
    kept = engine.state_of(FACILITY).excursions[NONE]
    assert kept.counts["excursion_left_out"] > 0
    assert kept.counts["excursion_dropped"] == 0


def test_the_evidence_names_the_excursion_and_the_revision() -> None:
    hand = report(outside([9.0] * 10), 60, 5, 15, duration_min=60)
    changes = hand.changes(until=5 * DAY)
    (raised,) = [c for c in changes if c.rule == WRONG]
    alarm = next(c.alarm for c in changes if c.rule == STORE)
    read = {(one.kind, one.id) for one in raised.evidence.records}
    assert {("alarm", alarm), ("report", "R-1/1"), ("register", "1")} <= read


def test_lint_of_both_kinds() -> None:
    follow, compare = BUNDLE.rule(NONE), BUNDLE.rule(WRONG)
    assert isinstance(follow, FollowUpRule)
    assert isinstance(compare, CompareRule)
    gap = "data-integrity.gap"
    spoiled = follow.model_copy(update={"alarm": STORE, "within": 60_000, "applies_to": {"area.kind": ["box"]}})
    assert {one.pointer for one in excursion_faults(spoiled)} == {"/alarm", "/within", "/applies_to/area.kind"}
    assert {one.pointer for one in excursion_faults(compare.model_copy(update={"wait": 0, "reads": []}))} == {
        "/wait",
        "/reads",
    }
    assert [f.pointer for f in source_faults(follow.model_copy(update={"reads": [STORE, gap]}), BUNDLE.rules)] == [
        "/reads/1"
    ]
    only = compare.model_copy(update={"reads": [gap]})
    assert [f.pointer for f in source_faults(only, BUNDLE.rules)] == ["/reads"]
    summed = compare.model_copy(update={"reads": [STORE, "cold-chain.warm-cumulative"]})
    assert [f.pointer for f in source_faults(summed, BUNDLE.rules)] == ["/reads/1"]
    assert source_faults(follow, BUNDLE.rules) == source_faults(compare, BUNDLE.rules) == []


def test_what_is_heard_as_the_clock_leaves_an_instant_is_decided_before_what_comes_next() -> None:
    """At 62 the silence of T2 is suppressed; the report is looked at a millisecond later, and again behind the batch of 62.1 that ends both."""
    rules = [rule.model_copy(update={"wait": 5 * 60_000}) if rule.id == WRONG else rule for rule in BUNDLE.rules]
    quick = Bundle.of(rules, BUNDLE.tables.values(), calendars=BUNDLE.calendars.values())
    hand = HandLog().register(-1, sensor(), sensor("T2"))
    for i in range(66):
        late = list(range(31, 63)) if i == 62 else [i] if i < 31 or i > 62 else []
        hand.rows(
            i + 0.1, ("T1", [i], [9.0 if 5 <= i < 60 else 5.0]), *([("T2", late, [5.0] * len(late))] if late else [])
        )
        if i == 20:
            report(hand, 20.5, 5, 15)
    changes = hand.changes(until=66, bundle=quick)
    turns = [
        (c.rule, since(c.received)) for c in changes if c.subject == {"tag": "T2"} and c.change is ChangeKind.SUPPRESSED
    ]
    assert turns == [("data-integrity.gap", 62)]
    assert told(changes, WRONG) == [("raised", 20.5, round(62.1 + 1 / 60_000, 5))]
    assert [c.received for c in changes] == sorted(c.received for c in changes)
