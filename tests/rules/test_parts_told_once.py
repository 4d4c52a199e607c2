"""A long back-fill is decided in parts and told once an instant, with its net difference (docs/engine-semantics.md, "Late rows"; ADR 0036)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.failing import MONITOR
from rules.layout import NONE
from rules.pack import default_bundle
from rules.snapshot import SnapshotError, open_snapshot, sealed
from tests.examples import examples
from tests.rules import logs
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, sensor
from tests.rules.failures import failing_at
from tests.rules.logs import Row
from tests.rules.oracle.fold import fold
from tests.rules.restarts import restarted
from tests.rules.splits import row_by_row
from tests.rules.test_backfill_properties import RANDOM, recordings
from tests.rules.test_engine_properties import plain, without_records
from tests.rules.test_open_gaps_by_hand import OUT, SILENT, rows, silent, told

if TYPE_CHECKING:
    from random import Random

PACKS = default_bundle()
AGAIN = {rule.id for rule in PACKS.rules if rule.kind in ("limit", "cumulative", "jump", "frozen", "mean_kinetic")}
QUICK = settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
SECOND = 1_000
WARM = range(100, 130)


# -- by hand, in minutes ------------------------------------------------------------------------------------------------
def pushed(*, more: int = 130, warm: range = WARM) -> HandLog:
    """Six hours are stored; at one instant come some of them, then rows in order that would push them out, then the rest."""
    hand = rows(silent(), SILENT + more, range(10, 200), warm)
    rows(hand, SILENT + more, range(SILENT + 10, SILENT + more))
    return hand


def fold_all(hand: HandLog, engine: Engine | None = None) -> list[list[Any]]:
    engine = engine or Engine(BUNDLE)
    return [told(engine.fold(record)) for record in hand.records()]


def test_what_parts_say_is_told_when_the_instant_is_over() -> None:
    assert fold_all(pushed().tick(SILENT + 131))[-3:] == [
        [],
        [],
        [("raised", 100, None, 199, True), ("cleared", 100, 130, 199, False)],
    ]


def test_what_rows_in_order_say_behind_a_part_is_told_with_it() -> None:
    """The warm rows of the end are in order: they raise what is no late alarm, told behind the late one."""
    hand = silent()
    rows(hand, SILENT + 130, range(10, 200), WARM)
    rows(hand, SILENT + 130, range(SILENT + 10, SILENT + 130), range(SILENT + 125, SILENT + 130))
    *_, last, tick = fold_all(hand.tick(SILENT + 131))
    assert last == []
    assert tick == [
        ("raised", 100, None, SILENT + 126, True),
        ("cleared", 100, 130, SILENT + 126, False),
        ("raised", SILENT + 125, None, SILENT + 126, False),
    ]


def test_an_alarm_that_a_later_part_gives_back_its_content_is_not_spoken_of() -> None:
    """Warm from minute 5 on, through the silence, until the live rows: each part but the last ends it where the live rows begin."""
    span = range(5, SILENT + 100)
    hand = rows(HandLog().register(-1, sensor()), 9, range(10), span)
    rows(hand, SILENT + 9, range(SILENT, SILENT + 10), span)
    before = told(hand.changes())
    rows(hand, SILENT + 10, range(10, SILENT), span)
    assert told(hand.changes()) == before


def test_a_decision_of_an_officer_and_a_register_find_all_told() -> None:
    for end in ("register", "mark"):
        hand = pushed()
        if end == "register":
            hand.register(SILENT + 130, sensor(), sensor("T9"), version=2)
        else:
            hand.mark(SILENT + 130, "stopped", SILENT + 129)
        assert [row[0] for row in fold_all(hand)[-1]][:2] == ["raised", "cleared"]


def test_a_restart_in_the_midst_of_the_instant_tells_the_same() -> None:
    log, whole, cut, drafted = pushed().tick(SILENT + 131).records(), Engine(BUNDLE), Engine(BUNDLE), 0
    for record in log:
        assert cut.fold(record) == whole.fold(record)
        body = cut.snapshot(0, FACILITY)
        assert body == whole.snapshot(0, FACILITY)
        drafted += not isinstance(open_snapshot(body)[0].drafts, msgspec.UnsetType)
        again = Engine(BUNDLE)
        again.restore_partition(0, cut.partition_state(0))
        again.restore(0, FACILITY, body)
        cut = again
    assert drafted == 1


@pytest.mark.parametrize("fault", ["kind", "tag", "twice", "order", "open"])
def test_a_snapshot_with_drafts_that_no_fold_leaves_is_refused(fault: str) -> None:
    engine = Engine(BUNDLE)
    for record in pushed().records():
        engine.fold(record)
    body, _ = open_snapshot(engine.snapshot(0, FACILITY))
    assert not isinstance(body.drafts, msgspec.UnsetType)
    kind, rule, tag, edge, at, live, folded = next(one for one in body.drafts if one[1] == OUT)
    first = folded[0]
    body.drafts = {
        "kind": [("gap", rule, tag, edge, at, live, folded)],
        "tag": [(kind, rule, "T9", edge, at, live, folded)],
        "twice": [(kind, rule, tag, edge, at, live, folded)] * 2,
        "order": [(kind, rule, tag, edge, at, live, [first, first])],
        "open": [(kind, rule, tag, edge, at, live, [(first[0], NONE, *first[2:]), (first[0] + 1, *first[1:])])],
    }[fault]
    with pytest.raises(SnapshotError):
        Engine(BUNDLE).restore(0, FACILITY, sealed(body))


def test_a_rule_that_raises_has_told_nothing_of_its_parts() -> None:
    hand = pushed()
    hand.tick(SILENT + 131)
    engine, found = Engine(BUNDLE), []
    with failing_at(lambda change: change.rule == OUT):
        for record in hand.records():
            found += engine.fold(record)
    assert [c.rule for c in found if c.rule in (OUT, MONITOR.id)] == [MONITOR.id]
    assert engine.state_of(FACILITY).drafts == {}


def test_an_alarm_that_was_taken_back_is_another_one_where_a_part_raises_it_again() -> None:
    """Two warm rows, a cold one between them, and a warm one before that: with the first part's start leaves the horizon what was taken back."""
    hand = silent().rows(SILENT + 10, ("T1", [100, 101, 102, 103, 104], [9.1, 9.2, 5.0, 5.1, 5.2]))
    hand.rows(SILENT + 11, ("T1", [100.5], [5.3]))
    hand.rows(SILENT + 12, ("T1", [100.2], [9.3]))
    rows(hand, SILENT + 12, [minute for minute in range(10, SILENT) if not 100 <= minute <= 104])
    changes = [c for c in hand.changes() if c.rule == OUT]
    assert [row[:2] for row in told(changes)] == [
        ("raised", 100), ("cleared", 100), ("retracted", 100), ("raised", 100), ("cleared", 100),
    ]  # fmt: skip
    first, second = changes[0].alarm, changes[3].alarm
    assert [c.alarm for c in changes] == [first] * 3 + [second] * 2
    assert first != second


# -- for any log ----------------------------------------------------------------------------------------------------------
def alone(changes: list[Any]) -> None:
    """Of an alarm late rows say each thing once an instant, and something new, and raise nothing that they take back; rows in order may step it."""
    by_rows = {"stepped", "unknown", "known"}
    many = Counter((c.alarm, c.received, c.change) for c in changes if c.rule in AGAIN and c.change not in by_rows)
    assert not [one for one, number in many.items() if number > 1]
    stood: dict[str, tuple[Any, ...]] = {}
    for c in changes:
        content = (c.start, c.end, c.severity)
        if c.rule in AGAIN and c.change.value == "amended":
            assert stood[c.alarm] != content, "nothing is other"
        stood[c.alarm] = content
    raised = {(c.alarm, c.received) for c in changes if c.rule in AGAIN and c.change.value == "raised"}
    assert not [c for c in changes if c.change.value == "retracted" and (c.alarm, c.received) in raised]


@st.composite
def mixed(draw: Any) -> Any:
    """Draw (facility, log): what was stored and rows in order come at one instant, in parts, one between the other."""
    entity, drawn, first, last = draw(recordings())
    random: Random = draw(RANDOM)
    interval, ahead = drawn[1].t - drawn[0].t, draw(st.sampled_from([1, 20, 80, 170]))
    newest = drawn[last].t
    live = [
        Row("T0", newest + (i + 1) * interval, random.choice(drawn).v + random.choice([0, 0.1])) for i in range(ahead)
    ]
    stored = list(drawn[first:last])
    if random.random() < 0.5:
        random.shuffle(stored)
    parts, size = [], max(1, len(stored) // random.choice([1, 2, 3]))
    parts += [stored[i : i + size] for i in range(0, len(stored), size)]
    step = max(1, len(live) // random.choice([1, 2, 3]))
    for i, place in zip(range(0, len(live), step), range(0, 99, 2), strict=False):
        parts.insert(random.choice([place, place + 1]), live[i : i + step])
    received = live[-1].t + SECOND
    entries = [(row.t + SECOND, [row]) for row in [*drawn[:first], drawn[last]]]
    log = logs.records(entity, [*entries, *((received, part) for part in parts)])
    return entity, log, received + 2 * SECOND


def run(log: Any, until: int) -> list[Any]:
    engine = Engine(PACKS)
    return [change for record in log for change in engine.fold(record)] + engine.advance(0, until)


@given(mixed())
@QUICK
def test_an_alarm_changes_once_an_instant_however_it_is_cut(drawn: Any) -> None:
    _, log, until = drawn
    changes = run(log, until)
    alone(changes)
    assert without_records(run(row_by_row(log), until)) == without_records(changes)


@given(mixed())
@settings(QUICK, max_examples=examples(12))
def test_the_oracle_says_the_same_of_parts(drawn: Any) -> None:
    entity, log, until = drawn
    assert plain(run(log, until)) == fold(log, PACKS, until)[entity.id][0]


@given(mixed(), st.data())
@settings(QUICK, max_examples=examples(20))
def test_a_restart_between_parts_changes_nothing(drawn: Any, data: Any) -> None:
    entity, log, until = drawn
    restarted(PACKS, entity.id, log, data.draw(st.integers(1, len(log))), until)


@given(logs.logs())
@QUICK
def test_in_any_log_an_alarm_changes_once_an_instant_by_what_is_late(drawn: Any) -> None:
    """What rows in order say of it beside that is no part of it: they may raise and clear it row by row."""
    log = logs.records(*drawn)
    changes = [c for c in run(log, max(r.received for r in log) + 10_800_000) if c.change.value == "amended"]
    many = Counter((c.alarm, c.received) for c in changes if c.rule in AGAIN)
    assert not [one for one, number in many.items() if number > 1]
