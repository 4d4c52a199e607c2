"""Rows that amendments name, by hand, in minutes: what is no finding, what is milder, what the evidence says, what is kept (ADR 0089)."""

from __future__ import annotations

from typing import Any

import pytest

from rules.engine import Engine
from rules.explain import explain
from rules.instants import format_instant
from rules.leaves.rowtrace import rows_of
from rules.models import Severity
from rules.rare import named, store
from rules.rare.named import MAX_PAIRS, Named, says
from rules.rule import ConflictRule
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since

RULE, TIMES = "data-integrity.overwritten", "data-integrity.event-time"
ONLY = BUNDLE.only({RULE, TIMES})
DAY = 1440


def log() -> HandLog:
    return HandLog().register(-1, sensor(resolution=0.1)).rows(10, ("T1", [0, 1, 2], [5, 5.1, 5.2]))


def amend(hand: HandLog, at: float, *said: tuple[float, float | None, float | None], **more: Any) -> HandLog:
    readings = [{"tag": "T1", "time": format_instant(ms(t)), "old": old, "new": new} for t, old, new in said]
    made = format_instant(ms(max(at, *(t for t, _, _ in said))))
    fields = {"readings": readings, "author": "u-1", "made_at": made}
    return hand.line(
        at, "report", {"type": "amendment", "id": "AM-1", "revision": 1, "sent": made, "fields": fields, **more}
    )


def told(hand: HandLog, **how: Any) -> list[tuple[Any, ...]]:
    changes = hand.changes(bundle=ONLY, **how)
    return [(c.change.value, c.severity.value, since(c.start), since(c.received)) for c in changes]


def engine_of(hand: HandLog) -> Engine:
    engine = Engine(ONLY)
    for record in hand.records():
        engine.fold(record)
    return engine


RED = ("raised", "red", 1, 20)


@pytest.mark.parametrize(
    ("said", "excused"),
    [
        ((1, 5.1, 9.9), True), ((1, 5.14, 9.94), True), ((1, 5.1, 9.8), False), ((1, 5.0, 9.9), False),
        ((2, 5.1, 9.9), False), ((1, None, 9.9), False), ((1, 5.1, None), False),
    ],
)  # fmt: skip
def test_an_amendment_names_a_row_by_time_old_and_new_value_as_the_sensor_shows_them(
    said: tuple[float, float | None, float | None], excused: bool
) -> None:
    before = amend(log(), 15, said).rows(20, ("T1", [1], [9.9]))
    assert told(before) == ([] if excused else [RED])
    behind = amend(log().rows(20, ("T1", [1], [9.9])), 25, said)
    assert told(behind) == [RED, ("stepped", "orange", 1, 25)] if excused else [RED]


@pytest.mark.parametrize(("late", "milder"), [(0, True), (1 / 60_000, False)])
def test_behind_the_second_value_it_has_ten_days(late: float, milder: bool) -> None:
    hand = amend(log().rows(20, ("T1", [1], [9.9])), 20 + 10 * DAY + late, (1, 5.1, 9.9))
    assert [row[:2] for row in told(hand)] == [("raised", "red"), ("stepped", "orange")][: 1 + milder]


def test_the_evidence_of_the_milder_colour_names_the_amendment() -> None:
    _, stepped = amend(log().rows(20, ("T1", [1], [9.9])), 80, (1, 5.1, 9.9)).changes(bundle=ONLY)
    (leaf,) = stepped.evidence.leaves
    assert (leaf.expr, leaf.left, leaf.op, leaf.right, leaf.unit, leaf.verdict.value) == (
        "time until amendment", 1.0, "beyond", "10d", "h", "false",
    )  # fmt: skip
    assert ("report", "AM-1/1") in [(read.kind, read.id) for read in stepped.evidence.records]
    assert stepped.at == ms(80)


def test_all_that_an_alarm_is_about_has_to_be_named() -> None:
    hand = amend(log().rows(20, ("T1", [1], [9.9])).rows(21, ("T1", [2], [9.9])), 25, (1, 5.1, 9.9))
    assert told(hand) == [RED]
    amend(hand, 26, (2, 5.2, 9.9), id="AM-2")
    assert told(hand) == [RED, ("stepped", "orange", 1, 26)]
    hand.rows(30, ("T1", [0], [9.9]))
    assert told(hand)[2:] == [("amended", "orange", 0, 30), ("stepped", "red", 0, 30)]


def test_what_has_no_effect_as_a_report_names_nothing() -> None:
    """A number that came with other content, a revision without reason, and one of which no reading can have come."""
    hand = amend(amend(log(), 14, (2, 5.2, 9.9)), 15, (1, 5.1, 9.9)).rows(20, ("T1", [1], [9.9]))
    assert told(hand) == [RED]
    assert told(amend(log(), 15, (1, 5.1, 9.9), revision=2).rows(20, ("T1", [1], [9.9]))) == [RED]
    reasoned = amend(log(), 15, (1, 5.1, 9.9), revision=2, reason="why").rows(20, ("T1", [1], [9.9]))
    assert told(reasoned) == []


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_order_of_revisions_changes_nothing(order: tuple[int, int]) -> None:
    hand = log()
    for at, revision in enumerate(order):
        amend(hand, 15 + at, (revision, 5 + revision / 10, 9.9), revision=revision, reason="why")
    assert told(hand.rows(20, ("T1", [1, 2], [9.9, 9.9]))) == []


@pytest.mark.parametrize(("new", "raised"), [(5.04, False), (5.1, True), (None, True)])
def test_a_reading_of_more_than_ten_days_ago_that_was_named_is_not_dated_back(new: float | None, raised: bool) -> None:
    hand = HandLog().register(-1, sensor(resolution=0.1))
    amend(hand, 5, (0, 7.0, new)).rows(11 * DAY, ("T1", [0], [5]))
    assert [row[:2] for row in told(hand)] == ([("raised", "orange")] if raised else [])


def test_a_null_of_more_than_ten_days_ago_is_named_by_null() -> None:
    hand = amend(HandLog().register(-1, sensor()), 5, (0, 7.0, None))
    assert told(hand.rows(11 * DAY, ("T1", [0], [(None, "comms")]))) == []


def test_a_restart_keeps_what_was_named_and_nothing_is_written_where_nothing_is() -> None:
    hand = amend(log(), 15, (1, 5.1, 9.9)).rows(20, ("T1", [1], [9.9])).rows(21, ("T1", [2], [9.9]))
    amend(hand, 25, (2, 5.2, 9.9), id="AM-2")
    records = hand.records()
    for cut in range(1, len(records)):
        engine, other = Engine(ONLY), Engine(ONLY)
        for record in records[:cut]:
            engine.fold(record)
        other.restore(0, FACILITY, engine.snapshot(0, FACILITY))
        rest = [change for record in records[cut:] for change in other.fold(record)]
        assert rest == [change for record in records[cut:] for change in engine.fold(record)], cut
        assert other.snapshot(0, FACILITY) == engine.snapshot(0, FACILITY)
    assert not engine_of(log()).state_of(FACILITY).rare.named.pack()


def test_what_goes_out_unnamed_keeps_the_colour() -> None:
    many = store.MAX_ROWS + 1
    hand = HandLog().register(-1, sensor()).rows(100, ("T1", list(range(many)), [5.0] * many))
    hand.rows(101, ("T1", list(range(many)), [6.0] * many))
    assert [row[0] for row in told(amend(hand, 110, *((t, 5.0, 6.0) for t in range(many))))] == ["raised"]
    fewer = HandLog().register(-1, sensor()).rows(100, ("T1", list(range(many - 1)), [5.0] * (many - 1)))
    fewer.rows(101, ("T1", list(range(many - 1)), [6.0] * (many - 1)))
    assert told(amend(fewer, 110, *((t, 5.0, 6.0) for t in range(many - 1))))[-1][:2] == ("stepped", "orange")


def test_what_is_kept_of_amendments_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "MAX_READINGS", 2)
    hand = amend(log(), 15, (0, 5.0, 9.9), (1, 5.1, 9.9), (2, 5.2, 9.9))
    kept = engine_of(hand).state_of(FACILITY).rare
    assert ([t for _, t in kept.named.readings], kept.counts["amended_dropped"]) == ([ms(1), ms(2)], 1)
    assert told(hand.rows(20, ("T1", [0, 1], [9.9, 9.9]))) == [("raised", "red", 0, 20)]


def test_of_one_instant_the_newest_pairs_are_kept() -> None:
    hand = log()
    for i in range(MAX_PAIRS + 2):
        amend(hand, 15, (1, 5.1, 10.0 + i), id=f"AM-{i}")
    (pairs,) = engine_of(hand).state_of(FACILITY).rare.named.readings.values()
    assert [new for _, new in pairs] == [12.0 + i for i in range(MAX_PAIRS)]
    book = Named.unpack(Named({("T1", 1): pairs}).pack())
    assert book.names("T1", 1, 12.0, None, 5.1)
    assert not says(pairs, 10.0, None, 5.1)


def test_the_leaves_say_that_an_amendment_named_the_row() -> None:
    hand = amend(log(), 15, (1, 5.1, 9.9)).rows(20, ("T1", [1, 2], [9.9, 9.9]))
    shipped = ONLY.rule(RULE)
    assert isinstance(shipped, ConflictRule)
    odd = [one for one in rows_of(shipped, hand.records(), ONLY) if len(one.leaves) > 1]
    assert [([(s.name, s.verdict.value) for s in one.leaves], one.occasion) for one in odd] == [
        ([("again", "true"), ("other", "true"), ("unnamed", "false")], False),
        ([("again", "true"), ("other", "true"), ("unnamed", "true")], True),
    ]
    (said,), _ = explain(hand.records(), ONLY, RULE, at=ms(30))
    assert (said.phase, said.agrees) == ("active", True)


def test_a_rule_without_the_member_has_one_colour_and_a_stronger_one_is_a_fault() -> None:
    rule = ONLY.rule(RULE)
    assert isinstance(rule, ConflictRule)
    assert rule.amended is not None
    plain = rule.model_copy(update={"amended": None})
    hand = amend(log().rows(20, ("T1", [1], [9.9])), 25, (1, 5.1, 9.9))
    assert [c.change.value for c in hand.changes(bundle=ONLY.of([plain], []))] == ["raised"]
    strong = rule.amended.model_copy(update={"severity": Severity.RED})
    found = bundle_faults([rule.model_copy(update={"amended": strong})], [])
    assert [fault.pointer for fault in found] == ["/rules/0/amended/severity"]
