"""Readings of tags that the register does not hold, by hand, in minutes: what is said, what is kept, what it costs."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.models import Severity
from rules.pack import Bundle
from rules.rare import store, strays
from rules.records import Kind, LogRecord, Readings
from rules.register import Scope
from rules.soundness import bundle_faults
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, sensor, since
from tests.rules.failures import failing_at

RULE = "register.unknown-tag"
ONLY = BUNDLE.only({RULE})
DAY, WEEK = 1440, 7 * 1440


def log() -> HandLog:
    return HandLog().register(-1, sensor())


def post(hand: HandLog, at: float, *tags: str, rows: int = 1, batch: str | None = None) -> HandLog:
    """Append a batch with so many rows of each tag, received at `at`."""
    series = [(tag, [at - 1 + i / 60 for i in range(rows)], [5.0] * rows) for tag in tags]
    return hand.rows(at, *series, batch=batch)


def told(hand: HandLog, *, until: float | None = None, bundle: Bundle = ONLY) -> list[tuple[Any, ...]]:
    found = hand.changes(until=until, bundle=bundle)
    return [(c.subject["tag"], c.change.value, since(c.start), since(c.received)) for c in found if c.rule == RULE]


def engine_of(hand: HandLog, bundle: Bundle = ONLY) -> Engine:
    engine = Engine(bundle)
    for record in hand.records():
        engine.fold(record)
    return engine


def counters(hand: HandLog) -> tuple[int, int]:
    found = engine_of(hand).counters(0, FACILITY)
    return found["stray_left_out"], found["stray_dropped"]


# -- what is said ---------------------------------------------------------------------------------------------------
def test_the_evidence_names_how_many_came_since_when_and_the_batches_of_the_first_and_of_the_last() -> None:
    hand = post(post(post(log(), 0, "X", rows=3), 700, "X", rows=2), DAY + 1, "T1", "X", rows=4, batch="last")
    (raised,) = hand.changes(bundle=ONLY)
    assert (raised.subject, raised.severity, raised.stage) == ({"tag": "X"}, Severity.BLUE, "live")
    assert (raised.at, raised.received, raised.start, raised.late) == (ms(DAY + 1), ms(DAY + 1), ms(0), False)
    proof = raised.evidence.model_dump(mode="json", exclude_none=True)
    assert proof["leaves"] == [
        {
            "expr": "time since the first reading of X, received at 2026-02-28T16:00:00.000Z", "left": 86_460_000.0, "op": ">",
            "right": 86_400_000.0, "unit": "ms", "verdict": "true",
        },
        {
            "expr": "readings of X before, the newest received at 2026-03-01T03:40:00.000Z", "left": 5.0, "op": ">", "right": 0.0,
            "verdict": "true",
        },
    ]  # fmt: skip
    assert proof["records"] == [
        {"kind": "readings", "id": "b1"}, {"kind": "readings", "id": "last"}, {"kind": "register", "id": "1"},
    ]  # fmt: skip
    assert raised.message.en == "X: Readings of a tag that the register does not hold"
    assert raised.message.zh == "X：上报未登记测点的数据"


def test_a_tag_that_is_registered_ends_its_alarm_and_names_the_register() -> None:
    hand = post(post(log(), 0, "X"), DAY + 1, "X", rows=2).register(DAY + 9, sensor(), sensor("X"), version=2)
    _, cleared = hand.changes(bundle=ONLY)
    assert (cleared.change, cleared.end, cleared.at) == ("cleared", ms(DAY + 9), ms(DAY + 9))
    (leaf,) = cleared.evidence.leaves
    assert (leaf.expr, leaf.verdict) == ("X is not registered", "false")
    assert {"kind": "register", "id": "2"} in cleared.evidence.model_dump(mode="json")["records"]
    assert cleared.message.en.endswith("; it is registered, or is not sent any more")
    assert cleared.message.zh.endswith("；已登记，或已不再上报")
    assert told(post(hand, 9 * DAY, "X")) == [("X", "raised", 0, DAY + 1), ("X", "cleared", 0, DAY + 9)]


def test_one_that_is_given_up_is_forgotten_with_how_many_had_come() -> None:
    hand = post(post(log(), 0, "X"), DAY + 1, "X", rows=2)
    _, cleared = hand.changes(bundle=ONLY, until=DAY + 1 + WEEK)
    assert (cleared.received, cleared.at, cleared.end) == (ms(DAY + 1 + WEEK),) * 3
    (leaf,) = cleared.evidence.leaves
    assert leaf.expr == "time since the newest of 3 readings of X"
    assert (leaf.left, leaf.op, leaf.right, leaf.verdict) == (7 * 86_400_000.0, "<", 7 * 86_400_000.0, "false")


def test_it_is_told_between_the_changes_of_its_neighbours_however_rows_are_batched() -> None:
    both = BUNDLE.only({RULE, "data-integrity.physical-range"})
    first = HandLog().register(-1, sensor(range={"low": -40, "high": 60}), sensor("T2", range={"low": -40, "high": 60}))
    whole = post(first, 0, "X").rows(DAY + 1, ("T1", [DAY], [99.0]), ("X", [DAY], [5.0]), ("T2", [DAY], [99.0]))
    found = whole.changes(bundle=both)
    assert [(c.seq, c.subject["tag"]) for c in found] == [(1, "T1"), (2, "X"), (3, "T2")]


def test_it_is_told_before_what_late_rows_of_its_instant_make() -> None:
    """Late rows are decided when their receive time is over (ADR 0066)."""
    both = BUNDLE.only({RULE, "data-integrity.physical-range"})
    hand = HandLog().register(-1, sensor(range={"low": -40, "high": 60}))
    post(hand, 0, "X").rows(DAY, ("T1", [DAY - 10], [5.0]))
    hand.rows(DAY + 1, ("T1", [DAY - 3, DAY - 5, DAY - 2], [5.0, 99.0, 5.0]), ("X", [DAY], [5.0]))
    found = hand.changes(bundle=both)
    assert [(c.seq, c.subject["tag"], c.change.value) for c in found] == [
        (1, "X", "raised"), (2, "T1", "raised"),
    ]  # fmt: skip


def test_a_batch_of_the_log_may_name_a_tag_twice_or_without_rows() -> None:
    """No post can; the log's own bytes could."""

    def batch(name: str, *counts: int, tags: tuple[str, ...] = ()) -> Readings:
        rows = sum(counts)
        columns = (ms(DAY if name == "two" else 0) + np.arange(rows), np.full(rows, 5.0), np.zeros(rows, np.uint8))
        return Readings(name, tags or ("X",) * len(counts), np.array(counts, np.int32), *columns)

    def told_of(*batches: tuple[float, Readings]) -> list[tuple[str, float]]:
        engine, log_ = Engine(ONLY), log().records()
        log_ += [
            LogRecord(0, i, ms(at), Kind.READINGS, FACILITY, payload) for i, (at, payload) in enumerate(batches, 1)
        ]
        return [(c.change.value, c.evidence.leaves[1].left) for record in log_ for c in engine.fold(record)]

    twice = batch("two", 2, 1)
    assert told_of((0, batch("one", 3)), (DAY + 1, twice)) == [("raised", 3.0)]
    assert told_of((0, batch("one", 0, 3)), (DAY + 1, batch("two", 0, 1))) == [("raised", 3.0)]
    assert told_of((0, batch("one", 0, 1, tags=("X", "Y"))), (DAY + 1, batch("two", 1))) == []
    assert told_of((0, batch("one", 1)), (DAY + 1, batch("two", 0, 1, tags=("X", "Y")))) == []


def test_a_batch_that_comes_again_neither_begins_nor_raises_it() -> None:
    hand = post(post(log(), 0, "X", batch="one"), 100, "X", batch="two")
    assert told(post(hand, DAY + 1, "X", batch="two")) == []
    assert told(post(post(hand, DAY + 1, "X", batch="two"), DAY + 2, "X")) == [("X", "raised", 0, DAY + 2)]
    again = post(post(post(log(), 0, "T1", batch="one"), 1, "X", batch="one"), DAY + 1, "X")
    assert told(again) == [], "an id that was taken: what came with it was refused"


def test_without_a_register_nothing_is_kept_and_nothing_said() -> None:
    hand = post(post(HandLog(), 0, "X"), DAY + 1, "X")
    assert hand.changes() == []
    assert engine_of(hand).counters(0, FACILITY)["unknown_tag"] == 2
    hand.register(DAY + 2, sensor())
    assert told(post(hand, DAY + 3, "X"), until=3 * DAY) == [], "the first that counts came behind the register"


def test_rows_of_registered_tags_never_ask_for_it() -> None:
    hand = post(post(log(), 0, "T1"), DAY + 1, "T1")
    with patch.object(strays, "take", side_effect=AssertionError("asked")):
        assert hand.changes(bundle=ONLY) == []
    assert RULE not in engine_of(hand).state_of(FACILITY).rare.cases


# -- where it holds -------------------------------------------------------------------------------------------------
def variant(**members: Any) -> Bundle:
    return Bundle.of([ONLY.rules[0].model_copy(update=members)], [])


def test_it_asks_for_the_facts_of_the_facility_alone() -> None:
    labelled = variant(applies_to={"facility.labels": "vaccine"})
    hand = post(post(log(), 0, "X"), DAY + 1, "X")
    assert told(hand, bundle=labelled) == []
    hand = HandLog().register(-1, sensor(), labels=["vaccine"])
    post(post(hand, 0, "X"), DAY + 1, "X").register(DAY + 2, sensor(), version=2)
    assert told(hand, bundle=labelled) == [("X", "raised", 0, DAY + 1), ("X", "cleared", 0, DAY + 2)]
    for name in ("area.kind", "sensor.quantity", "place.kind"):
        (fault,) = bundle_faults(variant(applies_to={name: "cold-room"}).rules, [], [])
        assert fault.pointer.endswith(f"/applies_to/{name}")


@pytest.mark.parametrize(
    ("members", "pointer"),
    [({"after": None}, "/after"), ({"forgotten": None}, "/forgotten"), ({"within": DAY * 60_000}, "/within")],
)
def test_it_needs_both_times_and_no_other(members: dict[str, Any], pointer: str) -> None:
    (fault,) = bundle_faults(variant(**members).rules, [], [])
    assert fault.pointer.endswith(pointer)
    (fault,) = bundle_faults(
        [BUNDLE.rules[[r.id for r in BUNDLE.rules].index("register.config-hash")].model_copy(update={"after": 60_000})], [], []
    )  # fmt: skip
    assert fault.pointer.endswith("/after")


def test_a_firm_of_another_field_has_none() -> None:
    hand = post(post(log(), 0, "X"), DAY + 1, "X")
    assert told(hand, bundle=variant(scopes=[Scope(field="retail", line="drug")])) == []


# -- packs ----------------------------------------------------------------------------------------------------------
def test_packs_that_carry_go_on_and_what_their_numbers_have_forgotten_ends_with_them() -> None:
    hand = post(post(post(log(), 0, "X", "Y"), DAY + 1, "X"), DAY + 100, "X")
    hand.packs(3 * DAY, variant(forgotten=2 * DAY * 60_000))
    assert told(hand, until=4 * DAY) == [("X", "raised", 0, DAY + 1), ("X", "cleared", 0, 3 * DAY + 100)]
    assert '{"tag": "Y"}' not in engine_of(hand).state_of(FACILITY).rare.of(RULE), "it was silent for three days"
    shorter = post(log(), 0, "X").packs(100, variant(after=90 * 60_000))
    assert told(post(shorter, 101, "X"), until=DAY) == [("X", "raised", 0, 101)]


def test_packs_that_close_end_it_and_it_begins_anew() -> None:
    hand = post(post(log(), 0, "X"), DAY + 1, "X").packs(DAY + 5, variant(forgotten=2 * 86_400_000, migration="close"))
    post(post(hand, DAY + 6, "X"), 2 * DAY + 6, "X")
    assert told(hand) == [("X", "raised", 0, DAY + 1), ("X", "cleared", 0, DAY + 5)]
    post(hand, 2 * DAY + 7, "X")
    assert told(hand)[2:] == [("X", "raised", DAY + 6, 2 * DAY + 7)]
    assert engine_of(hand).state_of(FACILITY).rare.of(RULE)['{"tag": "X"}'].uses == {}, "no start comes again"


# -- bounds ---------------------------------------------------------------------------------------------------------
def test_no_more_tags_are_kept_than_there_is_room_for_and_the_rest_is_counted() -> None:
    names = [f"R{i}" for i in range(5_000)]
    hand = post(post(log(), 0, "X"), 1, *names, rows=2)
    rare = engine_of(hand).state_of(FACILITY).rare
    assert len(rare.of(RULE)) == store.MAX_STRAYS == 256
    assert counters(hand) == (2 * (5_000 - 255), 0)
    post(post(hand, 700, "X"), DAY + 1, *[f"S{i}" for i in range(4_997)], "X", "R0", "R4999")
    assert told(hand) == [("X", "raised", 0, DAY + 1)], "R0 came exactly a day before; of R4999 nothing is known"
    assert counters(hand) == (2 * (5_000 - 255) + 4_997 + 1, 0), "all that are kept came within the day"


def test_the_one_that_was_silent_for_longest_goes_for_another_if_it_was_for_more_than_a_day() -> None:
    with patch.object(store, "MAX_STRAYS", 2):
        hand = post(post(post(log(), 0, "A"), 1, "B"), 2, "A")
        assert counters(post(hand, DAY + 1, "C")) == (1, 0), "B came a day ago, and no longer"
        post(hand, DAY + 1.5, "C", "D")
        assert counters(hand) == (2, 1), "B goes for C, and D finds no room"
        assert list(engine_of(hand).state_of(FACILITY).rare.of(RULE)) == ['{"tag": "A"}', '{"tag": "C"}']
        post(hand, DAY + 2.5, "B")
        assert counters(hand) == (2, 2), "A, which had come again"


def test_one_of_which_an_alarm_stands_never_goes() -> None:
    with patch.object(store, "MAX_STRAYS", 2):
        hand = post(post(post(log(), 0, "A", "B"), DAY + 1, "A"), 4 * DAY, "C", "D")
        assert counters(hand) == (1, 1), "B for C"
        post(post(hand, 5 * DAY + 1, "C"), 6 * DAY + 1, "D")
        assert counters(hand) == (2, 1), "an alarm stands of both"
        assert told(hand, until=WEEK + DAY + 1)[-1] == ("A", "cleared", 0, DAY + 1 + WEEK)
        post(hand, WEEK + DAY + 2, "D")
        assert counters(hand) == (2, 1), "it finds the room that A left"


def test_it_wakes_once_a_week_and_not_for_each_batch() -> None:
    hand = log()
    for minute in range(0, WEEK, 600):
        post(hand, minute, "X")
    engine = engine_of(hand)
    state = engine.state_of(FACILITY)
    assert state.rare.due == ms(WEEK), "a week behind the first: what came since is looked at then"
    engine.advance(0, ms(WEEK + 1))
    assert state.rare.due == ms(16 * 600 + WEEK)


# -- a rule that raises, a start anew, explanations ------------------------------------------------------------------
def test_where_it_raises_it_is_put_aside_and_begins_anew_with_the_next_packs() -> None:
    hand = post(post(log(), 0, "X", "Y"), DAY + 1, "Y", "X")
    with failing_at(lambda change: change.rule == RULE and change.subject == {"tag": "X"}):
        found = hand.changes(bundle=ONLY)
        assert [(c.rule, c.change.value, c.subject) for c in found] == [
            (RULE, "raised", {"tag": "Y"}), ("register.rule-failed", "raised", {"system": RULE}),
            (RULE, "unknown", {"tag": "Y"}),
        ]  # fmt: skip
    post(hand.packs(DAY + 2, ONLY), DAY + 3, "X")
    with failing_at(lambda change: change.received == ms(DAY + 1) and change.subject == {"tag": "X"}):
        assert told(post(hand, 2 * DAY + 4, "X"))[2:] == [
            ("Y", "cleared", 0, DAY + 2), ("X", "raised", DAY + 3, 2 * DAY + 4),
        ]  # fmt: skip


def explained(hand: HandLog, at: float, lang: str = "en", tag: str | None = "X") -> str:
    found, _ = explain(hand.records(), ONLY, RULE, at=ms(at), subject=tag)
    assert all(one.agrees for one in found)
    return "\n".join(rare_lines(found[0], lang))


def test_the_explanation_says_why_it_spoke_or_did_not() -> None:
    hand = post(post(post(log(), 0, "X", batch="one"), 60, "X", batch="one"), DAY + 1, "X", batch="two")
    assert "it did not fire" in explained(hand, 100)
    early = explained(hand, 100)
    assert "true     unregistered: the register does not hold the tag  [X not in register]" in early
    assert "false    long: its readings come for more than 1d  [0ms > 1d]" in early
    assert "true     sent: one was received within 7d  [100m < 7d]" in early
    assert "after = 1d <- rule" in early
    assert "it had come before" in early
    late = explained(hand, DAY + 2)
    assert "it fired: blue since 2026-02-28T16:00:00.000Z" in late
    assert "readings (of the first event time, receive time, batch)" in late
    assert "counts: the condition holds since it" in late
    gone = explained(hand.tick(DAY + 2 + WEEK), DAY + 2 + WEEK, "zh")
    assert "上次报警止于" in gone
    assert "假" in next(line for line in gone.split("\n") if "sent" in line)
    calm = HandLog().register(-1, sensor())
    assert "every tag that came is registered" in explained(post(calm, 1, "T1"), 2, tag=None)
    assert "收到的测点均已登记" in explained(calm, 2, "zh", tag=None)


def test_the_explanation_tells_a_tag_that_was_registered_and_one_without_room() -> None:
    hand = post(post(log(), 0, "X"), 1, "Y").register(5, sensor(), sensor("X"), version=2)
    post(hand, 6, "X")
    said = explained(hand, 7)
    assert "false    unregistered" in said
    assert "not meant by the rule" in said
    with patch.object(store, "MAX_STRAYS", 1):
        assert "not kept" in explained(hand, 7, tag="Y")
