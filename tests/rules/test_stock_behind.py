"""Which places were counted behind a booking without a place: looked up, and each told once an instant (rules/ledger/behind.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.layout import NONE
from rules.ledger import stock
from rules.ledger.behind import Behind
from rules.ledger.entry import text_of
from rules.ledger.stock import COUNT, SOMEWHERE, TAKES, newest_count, unplaced_subject
from rules.rare.store import Case, Cases, Fact
from rules.rare.store import text_of as text_of_subject
from rules.records import Events
from tests.examples import examples
from tests.rules.byhand import FACILITY
from tests.rules.test_ledger_bounds import STOCK, counted, firm, folded, post

if TYPE_CHECKING:
    from collections.abc import Sequence


def name_of(i: int, product: str = "P") -> str:
    return text_of_subject({"place": f"W{i:05d}", "product": product})


def count_at(*times: int) -> list[Fact]:
    return [Fact(t, t, f"{t:x}", "b", text_of(COUNT, quantity="1")) for t in sorted(times)]


def booked_at(t: int) -> Fact:
    return Fact(t, t, f"b{t:x}", "b", text_of(TAKES, quantity="1"))


class Kept:
    """Cases, and of which something was counted behind when."""

    def __init__(self) -> None:
        self.behind, self.cases = Behind(), Cases()

    def keep(self, subject: str, facts: list[Fact]) -> None:
        if subject not in self.cases:
            self.cases[subject] = Case()
            self.behind.add(subject)
        self.cases.keep(self.cases[subject], facts)
        self.behind.touch(subject)

    def drop(self, subject: str) -> None:
        self.cases.pop(subject, None)
        self.behind.drop(subject)

    def since(self, t: int, received: int, product: str = "P") -> list[str]:
        return self.behind.since(product, t, received, self.cases)


@pytest.mark.parametrize(("facts", "newest"), [
    ([], NONE), ([booked_at(5)], NONE), (count_at(3, 7), 7), ([*count_at(3), booked_at(9)], 3),
    ([Fact(4, 4, "", "b", text_of(stock.BASE, quantity="1", since=NONE, counted=2, blind=False)), booked_at(9)], 4),
])  # fmt: skip
def test_the_newest_count_is_the_last_one_or_what_counts_became(facts: list[Fact], newest: int) -> None:
    assert newest_count(facts) == newest


def test_each_place_is_told_once_an_instant_and_none_that_was_counted_before() -> None:
    kept = Kept()
    for i in range(5):
        kept.keep(name_of(i), count_at(10 * i))
    assert kept.since(30, 100) == [name_of(4)]
    assert kept.since(30, 100) == kept.since(35, 100) == []
    assert kept.since(10, 100) == [name_of(2), name_of(3)]
    assert kept.since(9, 100) == [name_of(1)]
    assert kept.since(9, 101) == [name_of(i) for i in range(1, 5)], "another instant"
    kept.behind.forget()
    assert kept.since(30, 101) == [name_of(4)], "one was judged"
    assert kept.since(-1, 101, "Q") == []


def test_a_place_that_went_and_came_again_is_looked_up_anew() -> None:
    kept = Kept()
    for i in range(40):
        kept.keep(name_of(i), count_at(50 + i))
    assert len(kept.since(0, 1)) == 40
    kept.drop(name_of(7))
    kept.drop(name_of(7))
    kept.drop(name_of(99))
    assert name_of(7) not in kept.since(0, 2)
    kept.keep(name_of(7), count_at(1))
    kept.keep(name_of(39), [])
    assert kept.since(0, 3)[0] == name_of(7)
    assert len(kept.since(0, 4)) == 39
    for i in range(40):
        kept.drop(name_of(i))
    kept.keep(unplaced_subject("P"), [Fact(3, 3, "", "b", text_of(SOMEWHERE))])
    assert kept.since(0, 5) == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("keep"), st.integers(0, 40), st.lists(st.integers(0, 20), max_size=3)),
        st.tuples(st.just("drop"), st.integers(0, 40), st.just([])),
        st.tuples(st.just("look"), st.integers(0, 20), st.just([])),
    ),
    max_size=60,
)


@given(STEPS)
@settings(max_examples=examples(100), deadline=None)
def test_it_tells_what_going_through_all_places_tells(steps: list[tuple[str, int, list[int]]]) -> None:
    kept = Kept()
    for i in range(30):
        kept.keep(name_of(i), count_at(i % 20))
    for received, (what, i, times) in enumerate(steps):
        if what == "keep":
            kept.keep(name_of(i), count_at(*times))
        elif what == "drop":
            kept.drop(name_of(i))
        else:
            wanted = sorted(name for name, case in kept.cases.items() if newest_count(case.facts) > i)
            assert sorted(kept.since(i, received)) == wanted


@pytest.mark.parametrize("order", [range(200), range(199, -1, -1)])
def test_a_batch_without_places_looks_at_each_place_once(order: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 200 bookings and 60 places it was 12,000 looks; the counts of all are looked up once."""
    hand = counted(firm(), 10, 100, 60).tick(20)
    post(hand, 31, "trace", "used", [{"product": "P", "quantity": 1}] * 200, about=5)
    engine = folded(hand)
    cases = engine.state_of(FACILITY).rare.of(STOCK)
    assert all(case.due == cases[unplaced_subject("P")].due for case in cases.values())
    looks: list[int] = []
    monkeypatch.setattr(stock, "newest_count", lambda facts: looks.append(len(facts)) or newest_count(facts))
    *before, last = [record for record in hand.records() if isinstance(record.payload, Events)]
    again = folded(counted(firm(), 10, 100, 60).tick(20))
    events = last.payload.events
    assert before
    again.fold(replace(last, payload=last.payload.model_copy(update={"events": [events[i] for i in order]})))
    assert len(looks) == 60
    rows = again.state_of(FACILITY).rare.of(STOCK)
    assert {name: case.due for name, case in rows.items()} == {name: case.due for name, case in cases.items()}
