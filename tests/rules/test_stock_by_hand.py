"""Stock that does not balance, by hand, in minutes: exact sums, what is unknown, what is too old, other packs, what lint and explanations say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from monitor.console.conditions import condition
from rules.engine import Engine
from rules.explain import explain
from rules.explainraretext import rare_lines
from rules.instants import format_instant
from rules.lint import lint
from rules.pack import SHIPPED, Bundle
from rules.rare import store
from rules.rule import StockBalanceRule, is_latched
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms, since

if TYPE_CHECKING:
    from pathlib import Path

RULE = "cross-check.narcotic-balance"
HOSPITAL = [{"field": "medical-use", "line": "drug"}]
HOUR, DAY = 60, 1440


def ward(**facts: Any) -> HandLog:
    return HandLog().register(0, scopes=HOSPITAL, **facts)


def book(
    hand: HandLog, at: float, word: str, quantity: object, *, said: float | None = None, batch: str | None = None, **fields: Any
) -> HandLog:  # fmt: skip
    """Append an event of place NS-1 and product P-40 unless it says otherwise; a field that is None is left out."""
    body = {"place": "NS-1", "product": "P-40", "quantity": quantity} | fields
    event = {"stream": "trace", "type": word, "time": ms(at if said is None else said), "source": "HIS"}
    event["fields"] = {name: one for name, one in body.items() if one is not None}
    return hand.line(at, "events", {"batch": batch or f"e{len(hand.lines)}", "events": [event]})


def counted(hand: HandLog, at: float, quantity: object, **more: Any) -> HandLog:
    return book(hand, at, "stock-count", quantity, **more)


def told(hand: HandLog, *, until: float | None = None, bundle: Bundle = BUNDLE) -> list[tuple[Any, ...]]:
    found = [
        c
        for c in (hand.changes_behind(bundle=bundle) if until is None else hand.changes(until=until, bundle=bundle))
        if c.rule == RULE
    ]
    return [(c.change.value, since(c.start), since(c.at), since(c.received)) for c in found]


def counts(hand: HandLog) -> dict[str, int]:
    engine = Engine(BUNDLE)
    for record in hand.records():
        engine.fold(record)
    return engine.counters(0, FACILITY)


@pytest.mark.parametrize(
    ("quantities", "last", "wanted"),
    [
        ((0.1, 0.2), 0.3, False), ((0.1, 0.2), 0.30000000000000004, True), ((1e308, 1e308), 1e308, True),
        ((10**15, 0.001), 10**15 + 0.125, True), ((3, 4), 7, False), ((3, 4), 7.0, False), ((3, 4), 6.999999, True),
    ],
)  # fmt: skip
def test_sums_are_exact(quantities: tuple[float, float], last: float, *, wanted: bool) -> None:
    hand = counted(ward(), 10, quantities[0])
    counted(book(hand, 20, "arrived", quantities[1], lot="L", **{"from": "W", "to": "NS-1"}), 30, last)
    assert told(hand) == ([("raised", 30, 30, 30)] if wanted else [])


def test_the_evidence_names_what_was_counted_and_what_should_have_been() -> None:
    hand = counted(book(counted(ward(), 10, 10), 20, "used", 2), 30, 7)
    (raised,) = [c for c in hand.changes_behind() if c.rule == RULE]
    assert [(leaf.expr, leaf.left, leaf.op, leaf.right) for leaf in raised.evidence.leaves] == [
        ("stock of P-40 in NS-1", 7.0, "!=", 8.0),
        ("opening of P-40 in NS-1", 10.0, "at", format_instant(ms(10))),
        ("booked in of P-40 in NS-1, 0 times", 0.0, "since", format_instant(ms(10))),
        ("booked out of P-40 in NS-1, 1 times", 2.0, "since", format_instant(ms(10))),
    ]
    assert [(read.kind, read.id) for read in raised.evidence.records] == [
        ("events", "e3"), ("events", "e1"), ("events", "e2"), ("register", "1"),
    ]  # fmt: skip
    assert all(condition(leaf.expr, "zh") != leaf.expr for leaf in raised.evidence.leaves)
    assert raised.message.en == "NS-1 P-40: Narcotic stock does not balance"
    assert raised.subject == {"place": "NS-1", "product": "P-40"}


def test_counts_that_differ_one_after_the_other_are_one_alarm_and_one_between_that_agrees_ends_it() -> None:
    hand = ward()
    for at, quantity in ((10, 10), (20, 9), (30, 8), (40, 8), (50, 7)):
        counted(hand, at, quantity)
    assert told(hand) == [
        ("raised", 20, 20, 20), ("amended", 20, 30, 30), ("cleared", 20, 40, 40), ("raised", 50, 50, 50),
    ]  # fmt: skip


def test_what_comes_at_one_instant_is_judged_once_in_whatever_order_and_batches() -> None:
    """A count that stands before the booking which explains it was raised and cleared in one record."""
    used, count = ("used", 4, 15), ("stock-count", 96, 19)
    for events, batches in (((used, count), 1), ((count, used), 1), ((count, used), 2)):
        hand = counted(ward(), 10, 100)
        lines = [[(word, quantity, said)] for word, quantity, said in events] if batches > 1 else [list(events)]
        for i, line in enumerate(lines):
            body = [
                {
                    "stream": "trace", "type": word, "time": ms(said), "source": "HIS",
                    "fields": {"place": "NS-1", "product": "P-40", "quantity": quantity},
                }
                for word, quantity, said in line
            ]  # fmt: skip
            hand.line(20, "events", {"batch": f"x{i}", "events": body})
        assert told(hand) == []
        (one,), _ = explain(hand.records(), BUNDLE, RULE, at=ms(20))
        assert one.agrees


def test_equal_bookings_of_one_batch_are_two_and_a_batch_that_repeats_them_is_none() -> None:
    hand = counted(ward(), 10, 100)
    event = {"stream": "trace", "type": "used", "time": ms(20), "source": "HIS"}
    event["fields"] = {"place": "NS-1", "product": "P-40", "quantity": 1}
    for batch in ("x1", "x2"):
        hand.line(25, "events", {"batch": batch, "events": [event, event]})
    assert told(counted(hand, 30, 98)) == []
    assert counts(hand)["event_duplicate"] == 2


MOVED = {"lot": "L"}


@pytest.mark.parametrize(
    ("word", "fields", "last"),
    [
        ("arrived", {"place": None, "from": "W", "to": "NS-1"}, 105),
        ("returned", {"place": None, "from": "NS-1", "to": "W"}, 95),
        ("returned", {"from": "WARD", "to": "NS-1"}, 105),
        ("returned", {"from": "NS-1", "to": "W"}, 95),
        ("arrived", {"from": "NS-1", "to": "W"}, 95),
        ("arrived", {"from": "NS-1", "to": "NS-1"}, 105),
        ("returned", {}, 95),
    ],
)  # fmt: skip
def test_where_it_came_to_says_whether_it_adds(word: str, fields: dict[str, Any], last: int) -> None:
    for quantity, wanted in ((last, []), (last + 1, ["raised"])):
        hand = book(counted(ward(), 10, 100), 20, word, 5, **MOVED, **fields)
        assert [one[0] for one in told(counted(hand, 30, quantity))] == wanted


@pytest.mark.parametrize("to", [None, FACILITY, ""])
def test_behind_a_booking_of_which_nobody_says_where_the_next_count_is_compared_with_nothing(to: str | None) -> None:
    hand = counted(counted(ward(), 10, 100), 11, 50, place="NS-2")
    book(hand, 20, "arrived", 5, place=None, to=to)
    counted(counted(hand, 30, 105), 31, 50, place="NS-2")
    assert told(hand) == []
    assert counts(hand)["ledger_unknown"] == 1
    assert told(counted(hand, 40, 104)) == [("raised", 40, 40, 40)]
    with patch.object(store, "MAX_FACTS", 1):
        assert told(hand) == [("raised", 40, 40, 40)]


def test_such_a_booking_ends_no_alarm() -> None:
    hand = counted(counted(ward(), 10, 100), 20, 90)
    book(hand, 30, "arrived", 5, place=None)
    assert told(counted(hand, 40, 80)) == [("raised", 20, 20, 20), ("unknown", 20, 40, 40)]
    for most in (1, store.MAX_FACTS):
        with patch.object(store, "MAX_FACTS", most):
            assert told(counted(hand, 50, 80))[2:] == [("cleared", 20, 50, 50)]
            hand.lines.pop()


def test_a_late_count_moves_the_start_and_a_late_booking_splits_it_off() -> None:
    hand = counted(counted(ward(), 10, 10), 40, 8)
    counted(hand, 50, 9, said=30)
    book(hand, 60, "used", 1, said=29)
    assert told(hand) == [("raised", 40, 40, 40), ("amended", 30, 30, 50), ("amended", 40, 29, 60)]


def test_a_booking_that_comes_later_and_lies_before_the_count_ends_it() -> None:
    hand = counted(counted(ward(), 10, 10), 40, 8)
    book(book(hand, 50, "used", 1, said=39), 60, "used", 1, said=41)
    book(hand, 70, "used", 1, said=12)
    assert told(hand) == [("raised", 40, 40, 40), ("cleared", 40, 12, 70)]


def test_of_one_instant_the_count_comes_first() -> None:
    hand = counted(ward(), 10, 10)
    for at, word in ((40, "used"), (40, "stock-count"), (40, "destroyed")):
        book(hand, at, word, 1 if word != "stock-count" else 10)
    assert told(counted(hand, 50, 8)) == []


@pytest.mark.parametrize("field", ["place", "product", "quantity"])
@pytest.mark.parametrize("value", [None, "", True, [1], {"a": 1}])
def test_what_says_too_little_is_counted_and_nothing_else(field: str, value: object) -> None:
    hand = counted(counted(ward(), 10, 10), 20, 3, **({field: value} if field != "quantity" else {}))
    if field == "quantity":
        hand = counted(counted(ward(), 10, 10), 20, value)
    assert told(hand) == []
    assert counts(hand)["ledger_unknown"] == 1


def test_the_class_is_that_of_the_register_of_when_it_comes() -> None:
    saline = [{"id": "P-40", "name": {"zh": "盐水", "en": "Saline"}, "class": "chemical", "storage": "room"}]
    morphine = [saline[0] | {"class": "narcotic"}]
    assert told(counted(counted(ward(products=saline), 10, 10), 20, 3)) == []
    assert told(counted(counted(ward(products=morphine), 10, 10), 20, 3)) == [("raised", 20, 20, 20)]


def test_another_facility_is_none_of_its() -> None:
    maker = HandLog().register(0, scopes=[{"field": "manufacture", "line": "drug"}])
    assert told(counted(counted(maker, 10, 10), 20, 3)) == []


def test_a_batch_and_an_event_that_come_again_change_nothing() -> None:
    hand = counted(counted(ward(), 10, 10), 20, 3)
    counted(hand, 21, 3, said=20, batch="e2")
    counted(hand, 22, 3, said=20)
    assert told(hand) == [("raised", 20, 20, 20)]
    assert (counts(hand)["event_repeated"], counts(hand)["event_duplicate"]) == (1, 1)


def test_unknown_24_hours_behind_the_newest_count_to_the_millisecond() -> None:
    hand = counted(counted(ward(), 10, 10), 20, 3)
    assert told(hand, until=20 + DAY - 1 / 60_000) == [("raised", 20, 20, 20)]
    assert told(hand, until=20 + DAY) == [("raised", 20, 20, 20), ("unknown", 20, 20 + DAY, 20 + DAY)]
    counted(hand, 3 * DAY, 3)
    assert told(hand) == [
        ("raised", 20, 20, 20), ("unknown", 20, 20 + DAY, 20 + DAY), ("cleared", 20, 3 * DAY, 3 * DAY),
    ]  # fmt: skip


def test_a_count_that_comes_days_late_is_raised_late_and_unknown_at_once() -> None:
    hand = counted(counted(ward(), 3 * DAY, 10, said=10), 3 * DAY, 3, said=20)
    found = [c for c in hand.changes_behind() if c.rule == RULE]
    assert [(c.change.value, c.late) for c in found] == [("raised", True), ("unknown", False)]


def test_few_facts_are_made_one_and_what_is_older_is_too_old() -> None:
    hand = counted(counted(ward(), 10, 10), 20, 9)
    for at in (21, 22, 23, 24):
        book(hand, at, "used", 1)
    with patch.object(store, "MAX_FACTS", 3):
        assert told(hand) == [("raised", 20, 20, 20)]
        late = book(hand, 30, "used", 1, said=15)
        assert told(late) == [("raised", 20, 20, 20)], "its time lies in what was made one"
        assert counts(late)["event_stale"] == 1
        assert counts(late)["fact_dropped"] == 3
        counted(late, 40, 5)
        assert told(late) == [("raised", 20, 20, 20), ("cleared", 20, 40, 40)]


def test_bookings_before_any_count_are_of_no_use_and_go_first() -> None:
    hand = ward()
    for at in (1, 2, 3, 4, 5):
        book(hand, at, "used", 1)
    with patch.object(store, "MAX_FACTS", 2):
        assert told(counted(counted(hand, 10, 5), 20, 5)) == []


def test_other_packs_judge_again_with_their_tolerance() -> None:
    rule = BUNDLE.rule(RULE)
    assert isinstance(rule, StockBalanceRule)
    looser = [
        one.model_copy(update={"tolerance": 2.0, "version": "1.1.0"}) if one is rule else one for one in BUNDLE.rules
    ]
    other = Bundle.of(looser, BUNDLE.tables.values(), calendars=BUNDLE.calendars.values())
    hand = counted(counted(ward(), 10, 10), 20, 8)
    hand.packs(30, other)
    assert told(hand) == [("raised", 20, 20, 20), ("cleared", 20, 30, 30)]
    assert told(counted(hand, 40, 5.9)) == [("raised", 20, 20, 20), ("cleared", 20, 30, 30), ("raised", 40, 40, 40)]


def test_a_register_that_leaves_the_scope_ends_it() -> None:
    hand = counted(counted(ward(), 10, 10), 20, 8).register(30, version=2)
    assert told(hand) == [("raised", 20, 20, 20), ("cleared", 20, 30, 30)]


def test_explained() -> None:
    hand = counted(book(counted(ward(), 10, 10), 15, "used", 1), 20, 8)
    (one,), _ = explain(hand.records(), BUNDLE, RULE, at=ms(30))
    assert one.agrees
    assert [(told.fate, told.event["type"]) for told in one.events] == [
        ("heard", "count"), ("heard", "takes"), ("occasion", "count"),
    ]  # fmt: skip
    for lang in ("en", "zh"):
        text = "\n".join(rare_lines(one, lang))
        assert "NS-1" in text
        assert "quantity" in text
    (none,), _ = explain(ward().records(), BUNDLE, RULE, at=ms(30))
    assert none.agrees
    assert rare_lines(none, "zh")


def test_as_it_ships() -> None:
    rule = BUNDLE.rule(RULE)
    assert isinstance(rule, StockBalanceRule)
    assert (rule.stage, rule.severity.base.value, rule.tolerance) == ("live", "red", 0)
    assert not is_latched(rule, {})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("product_class: narcotic\n", "product_class: narcotics\n", "8:1: unknown_value: product_class: "),
        ("product_class: narcotic\n", "", "missing: product_class: "),
        ("tolerance: 0\n", "tolerance: -1\n", ": tolerance: "),
        ("tolerance: 0\n", "tolerance: .inf\n", ": tolerance: "),
        ("silent: 24h", "silent: 10s", ": silent: "),
        ("applies_to: {}", "applies_to: {area.kind: cold-room}", "predicate: applies_to/area.kind: it looks at what the facility sends"),
        ("adds: [{stream: trace, type: arrived}]", "adds: []", ": adds: "),
        ("adds: [{stream: trace, type: arrived}]", "adds: [{stream: lab, type: run}]", "balance: adds/0/stream: what is booked and counted are events of trace"),
        ("adds: [{stream: trace, type: arrived}]", "adds: [{stream: trace, type: used}]", "balance: takes/0/type: used stands here twice: it counts once"),
        ("counted: {stream: trace, type: stock-count}", "counted: {stream: audit, type: stock-count}", "balance: counted/stream: "),
        ("severity: {base: red}", "severity: {base: red, steps: [{after: 1h, to: red}]}", "a stock_balance rule has one colour"),
    ],
)  # fmt: skip
def test_lint(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (SHIPPED / "cross-check" / "narcotic-balance.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "cross-check").mkdir()
    (tmp_path / "cross-check" / "narcotic-balance.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    found = [str(fault) for fault in lint([tmp_path])]
    assert any(said in one for one in found), found
