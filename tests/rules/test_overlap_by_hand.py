"""One silence that several rules see, by hand: the highest colour speaks (default-rules.md, "interval-* and gap")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rules.engine import Engine
from rules.pack import Bundle
from rules.soundness import rule_faults
from tests.rules.byhand import BUNDLE, HandLog, ms, sensor, story
from tests.rules.failures import failing_at
from tests.rules.test_trips_by_hand import ROOM, VEHICLE, WHOLESALER, in_time, recorder
from tests.rules.test_trips_by_hand import told as shipped

if TYPE_CHECKING:
    from rules.changes import Change

RULES = ("gap", "interval-storage")
GAP = "data-integrity.gap"


def told(changes: list[Change]) -> list[tuple[Any, ...]]:
    return [row[:5] for row in story(changes, *RULES)]


def silent_from(minute: int, *more: str) -> HandLog:
    """Return a log of T1, silent behind this minute, of whose room `more` go on to send, each minute until the 79th."""
    log = HandLog().register(-1, sensor(), *(sensor(tag) for tag in more))
    for i in range(80):
        tags = [*(["T1"] if i <= minute else []), *more]
        if tags:
            log.rows(i + 0.1, *[(tag, [i], [5 + i % 2 / 10]) for tag in tags])
    return log


def test_the_colour_that_is_highest_speaks_and_the_other_is_suppressed_by_it() -> None:
    changes = silent_from(2, "T2").rows(79.5, ("T1", [79.5], [5])).tick(81).changes()
    assert told(changes) == [
        (5, "raised", "gap", "T1", "blue"),
        (9, "stepped", "gap", "T1", "yellow"),
        (34, "raised", "interval-storage", "T1", "yellow"),  # a tie: the rule that is first in the packs speaks
        (34, "suppressed", "gap", "T1", "yellow"),
        (63, "stepped", "interval-storage", "T1", "orange"),
        (79.5, "cleared", "interval-storage", "T1", "orange"),
        (79.5, "cleared", "gap", "T1", "yellow"),
    ]
    storage, gap = changes[2], next(c for c in changes if c.change == "suppressed")
    assert gap.by == storage.alarm


def test_what_is_suppressed_speaks_again_when_the_other_ends_and_it_still_stands() -> None:
    """Old rows end the silence of storage, of which 31 minutes may pass; by the gap's two minutes the series is overdue."""
    log = silent_from(2, "T2").rows(79.5, ("T1", [60], [5]))
    changes = log.tick(79.6).changes(until=79.7)
    assert told(changes)[-2:] == [
        (79.5, "cleared", "interval-storage", "T1", "orange"), (79.5, "released", "gap", "T1", "yellow"),
    ]  # fmt: skip
    assert changes[-1].by == changes[2].alarm


def test_a_batch_whose_rows_end_both_releases_nothing_in_between() -> None:
    log = silent_from(2, "T2").rows(79.5, ("T1", [60, 79], [5, 5.1]))
    kinds = [row[1] for row in told(log.tick(81).changes()) if row[0] == 79.5]
    assert kinds == ["cleared", "cleared"]
    apart = silent_from(2, "T2").rows(79.5, ("T1", [60], [5])).rows(79.5, ("T1", [79], [5.1]))
    assert [row[1] for row in told(apart.tick(81).changes()) if row[0] == 79.5] == kinds


def test_a_silence_of_more_series_is_not_spoken_for_by_one_of_fewer() -> None:
    """The room has a sensor that storage asks nothing of: its silence is one of three series, storage's of two."""
    door = {"tag": "P1", "area": "A1", "quantity": "pressure", "unit": "Pa", "interval": "60s"}
    log = HandLog().register(-1, sensor(), sensor("T2"), door)
    log.rows(0.1, ("T1", [0], [5]), ("T2", [0], [5]), ("P1", [0], [5]))
    changes = log.changes(until=25 * 60)
    turns = [c for c in changes if c.subject in ({}, {"area": "A1"}) and c.by is not None]
    assert [(row[0], row[1], row[2], row[3]) for row in story(turns)] == [
        (32, "suppressed", "interval-storage", "@A1"),  # both yellow, and the feed is more than its room
        (61, "released", "interval-storage", "@A1"),  # orange; the yellow of the feed is not spoken for by it
        (24 * 60 + 1, "suppressed", "interval-storage", "@A1"),  # both orange
    ]


def test_packs_without_the_group_let_both_speak_again_and_with_it_one() -> None:
    apart = Bundle.of(
        [rule.model_copy(update={"overlap": None}) if hasattr(rule, "overlap") else rule for rule in BUNDLE.rules],
        BUNDLE.tables.values(), BUNDLE.exceptions,
    )  # fmt: skip
    log = silent_from(2, "T2").packs(79.5, apart).tick(79.6).packs(79.7, BUNDLE).tick(79.8)
    assert [row[:3] for row in told(log.changes()) if row[0] > 64] == [
        (79.5, "released", "gap"), (79.7, "suppressed", "gap"),
    ]  # fmt: skip


def test_a_rule_on_trial_speaks_for_no_live_one() -> None:
    trial = Bundle.of(
        [
            rule.model_copy(update={"stage": "shadow"}) if rule.id == "cold-chain.interval-storage" else rule
            for rule in BUNDLE.rules
        ],
        BUNDLE.tables.values(), BUNDLE.exceptions,
    )  # fmt: skip
    changes = silent_from(2, "T2").changes(until=79, bundle=trial)
    assert {c.rule for c in changes} >= {"cold-chain.interval-storage", "data-integrity.gap"}
    assert not [c for c in changes if c.by is not None]


def test_what_the_opening_of_the_front_door_takes_back_speaks_for_nobody_from_then_on() -> None:
    """The feed falls silent inside closed time, by a worker's tick; the opening takes it back, and its room speaks for itself."""
    log = HandLog().register(-1, sensor(), sensor("T2"), sensor("T3", "A2"))
    for i in range(40):
        log.rows(i + 0.1, *[(tag, [i], [5 + i % 2 / 10]) for tag in (("T1", "T2", "T3") if i < 3 else ("T3",))])
    log.tick(40).tick(50, "worker").tick(62)
    turns = story([c for c in log.tick(62.5).changes() if c.by is not None and c.subject == {"area": "A1"}], RULES[1])
    assert [row[:4] for row in turns] == [
        (46, "suppressed", "interval-storage", "@A1"), (62, "released", "interval-storage", "@A1"),
    ]  # fmt: skip


def test_what_waits_for_its_instant_to_be_over_is_in_the_snapshot_and_the_next_tick_says_it() -> None:
    log = silent_from(2, "T2").rows(79.5, ("T1", [60], [5])).tick(79.6).records()
    first, second = Engine(BUNDLE), Engine(BUNDLE)
    for record in log[:-1]:
        changes = first.fold(record)
    assert [c.change for c in changes] == ["cleared"]
    assert first.state_of(log[0].facility).unsettled == {("tag", "T1")}
    second.restore_partition(0, first.partition_state(0))
    second.restore(0, log[0].facility, first.snapshot(0, log[0].facility))
    said = first.fold(log[-1])
    assert [(c.change, c.rule) for c in said] == [("released", "data-integrity.gap")]
    assert second.fold(log[-1]) == said
    assert not first.state_of(log[0].facility).unsettled


def test_where_nothing_waits_nothing_is_kept() -> None:
    log = silent_from(2, "T2").records()
    engine = Engine(BUNDLE)
    for record in log:
        engine.fold(record)
        assert not engine.state_of(log[0].facility).unsettled


def test_only_rules_over_silences_are_of_an_overlap_group() -> None:
    store = BUNDLE.rule("cold-chain.store-out")
    tables = {table.id: table for table in BUNDLE.tables.values()}
    assert not rule_faults(BUNDLE.rule("data-integrity.gap"), tables)
    assert [(f.pointer, f.code) for f in rule_faults(store.model_copy(update={"overlap": "silence"}), tables)] == [
        ("/overlap", "overlap")
    ]


def test_the_silence_of_a_trip_is_not_that_of_the_yard_and_speaks_beside_or_for_it() -> None:
    """A recorder that was off for two days before its lorry left: the gap is orange since the yard, the trip's own alarm is not hidden by it."""
    log = HandLog().register(-1, recorder(interval="60s"), areas=[VEHICLE, ROOM], scopes=WHOLESALER)
    shipped(log, "shipped", 0)
    log.live("T1", 0, [5 + i % 2 / 10 for i in range(60)])
    shipped(log, "arrived", 60)
    shipped(log, "shipped", 2 * 1440, trip="W-2", lot="L2")
    shipped(log, "arrived", 2 * 1440 + 300, trip="W-2", lot="L2")
    changes = in_time(log).changes(bundle=BUNDLE, until=3 * 1440)
    mine = [row[1] for row in story(changes, "interval-transport")]
    assert mine == ["raised", "stepped", "cleared"]
    gap = [row[:2] for row in story(changes, "gap") if row[1] in {"suppressed", "released"}]
    begin = 2 * 1440
    assert gap == [(begin + 16, "suppressed"), (begin + 301, "released")]  # orange both: the trip's own speaks


def test_a_rule_that_fails_where_it_is_to_speak_leaves_another_to_speak() -> None:
    log = HandLog().register(-1, sensor(), sensor("T2")).rows(0.1, ("T1", [0], [5]), ("T2", [0], [5]))
    with failing_at(lambda c: c.rule == "cold-chain.interval-storage" and c.change.value == "released"):
        changes = log.changes(until=300)
    standing = {}
    for change in changes:
        if change.change in {"suppressed", "released"}:
            standing[change.alarm] = change.by if change.change == "suppressed" else None
    whole = next(c.alarm for c in changes if c.rule == "data-integrity.gap" and c.subject == {})
    assert standing.get(whole) is None, "the silence of the feed is spoken for by a rule that is put aside"


def put_aside() -> HandLog:
    """T1 is silent from 2 on, spoken for by storage from 34; at 42 the gap of T3 rises, where a test lets its rule fail."""
    log = HandLog().register(-1, sensor(), sensor("T2"), sensor("T3", "A2"), sensor("T4", "A2"))
    for i in range(80):
        tags = [*(["T1"] if i <= 2 else []), "T2", *(["T3"] if i <= 39 else []), "T4"]
        log.rows(i + 0.1, *[(tag, [i], [5 + i % 2 / 10]) for tag in tags])
    return log


def of_subject(changes: list[Change], *rules: str, **subject: str) -> list[tuple[Any, ...]]:
    return [row[:3] for row in story([c for c in changes if c.subject == subject], *(rules or RULES))]


def test_what_is_left_of_a_rule_that_is_put_aside_speaks_whatever_spoke_for_it() -> None:
    log = put_aside().rows(80.1, ("T1", [80], [5])).tick(81).packs(82, BUNDLE)
    with failing_at(lambda c: c.rule.endswith(".gap") and c.subject == {"tag": "T3"} and c.received < ms(80)):
        changes = log.changes()
    assert of_subject(changes, tag="T1")[2:] == [
        (34, "raised", "interval-storage"), (34, "suppressed", "gap"), (42, "unknown", "gap"), (42, "released", "gap"),
        (63, "stepped", "interval-storage"), (80.1, "cleared", "interval-storage"), (82, "cleared", "gap"),
    ]  # fmt: skip
    storage = next(c.alarm for c in changes if c.rule.endswith("interval-storage"))
    released = next(c for c in changes if c.change == "released")
    assert released.by == storage
    assert released.message.en == "T1: its rule is put aside, so nothing else stands for it"


def test_a_place_that_is_left_stands_for_its_series_and_one_that_has_ended_does_not() -> None:
    """A1 and its series fall silent with each other; at 42 the gap of T5 fails, once before A1 is back and once just behind it."""
    for back, wanted in (
        (43, [(5, "raised"), (5, "suppressed"), (9, "stepped"), (42, "unknown")]),
        (41.5, [(5, "raised"), (5, "suppressed"), (9, "stepped"), (42, "unknown"), (42, "released")]),
    ):
        log = HandLog().register(-1, sensor(), sensor("T2"), sensor("T3", "A2"), sensor("T4", "A2"), sensor("T5", "A3"))
        for i in range(50):
            tags = [*(["T1", "T2"] if i <= 2 else []), "T3", "T4", *(["T5"] if i <= 39 else [])]
            if 41 < back < 42 and i == 42:
                log.rows(back, ("T2", [41], [5]))
            log.rows(i + 0.1, *[(tag, [i], [5 + i % 2 / 10]) for tag in tags])
        with failing_at(lambda c: c.rule.endswith(".gap") and c.subject == {"tag": "T5"}):
            changes = log.changes()
        assert [row[:2] for row in of_subject(changes, "gap", tag="T1")] == wanted, back


def test_what_a_failed_step_would_have_hidden_or_shown_is_as_it_was_told() -> None:
    """The gap of T1 fails where it falls silent: nothing had been told of that. It fails where it speaks again: that is told all the same."""
    log = put_aside().rows(80.1, ("T1", [60], [5])).tick(81)
    for kind, wanted in (
        ("suppressed", [(34, "unknown")]),
        ("released", [(34, "suppressed"), (80.1, "unknown"), (80.1, "released")]),
    ):
        with failing_at(lambda c, kind=kind: (c.rule, c.subject, c.change) == (GAP, {"tag": "T1"}, kind)):  # type: ignore[misc]
            changes = log.changes()
        assert [row[:2] for row in of_subject(changes, "gap", tag="T1")][2:] == wanted
