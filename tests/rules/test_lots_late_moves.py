"""The balance of a firm, gone on with move by move in any order, against sums that are made anew; and what a late move costs."""

from __future__ import annotations

import sys
from bisect import insort
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.changes import Verdict
from rules.layout import NEVER
from rules.lots.fold import LotFold
from rules.lots.rows import Move, order_of, plain
from rules.lots.tally import ORIGINS, Tally, steps_of
from tests.examples import examples
from tests.rules.lotlogs import HOUR, SHIPPED, Teller, altered

FIRM = "SHOP-1"
SUM = "cross-check.sold-over-produced"
PARTS, WHOLE = frozenset({"sold", "shipped"}), frozenset({"produced", "imported", "arrived", "returned"})


@st.composite
def moves(draw):
    """Draw moves at few instants; some were folded together over a time, some are of types that no balance asks for."""
    found = []
    for n in range(1, draw(st.integers(1, 14)) + 1):
        kind = draw(st.sampled_from(["sold", "sold", "shipped", "produced", "arrived", "returned", "destroyed"]))
        first = draw(st.integers(0, 6))
        last = first + draw(st.sampled_from([0, 0, 0, 1, 3]))
        quantity = plain(Fraction(draw(st.sampled_from(["0", "0.1", "0.2", "1", "2", "3"]))))
        count = 1 if first == last else 5
        came = kind == "returned" and draw(st.booleans())
        record = ("events", f"b-{n}")
        found.append(Move(FIRM, kind, first, last, quantity, count, "", came, n, f"{n:016x}", first, record))
    return found


def plainly(rows, terms):
    """Return (begin, end, gave, had, records) of each time in which the balance is off, and the newest sums, by looking at all steps."""
    steps = [step for row in sorted(rows, key=order_of) for step in steps_of(row, terms)]
    off, newest = [], None
    for at in sorted({step[0] for step in steps}):
        gave = sum(q for when, out, q, _ in steps if out and when <= at)
        had = sum(q for when, out, q, _ in steps if not out and when <= at)
        newest = (at, gave, had, tuple(record for when, _, _, record in steps if when == at))
        is_off = gave > had + terms[2]
        if is_off and (not off or off[-1][1] != NEVER):
            off.append((at, NEVER, *newest[1:]))
        elif not is_off and off and off[-1][1] == NEVER:
            off[-1] = (off[-1][0], at, *off[-1][2:])
    return off, newest


def told(tally):
    sums = [(begin, end, of.begun(begin)) for begin, end, _, of in tally.off()]
    return [(begin, end, one.parts, one.whole, one.records) for begin, end, one in sums][::-1]


@given(moves(), st.data(), st.sampled_from(["0", "0.1", "1"]))
@settings(max_examples=examples(300), deadline=None)
def test_a_move_in_any_order_leaves_the_sums_that_are_made_anew(drawn, data, slack):
    terms = (PARTS, WHOLE, plain(Fraction(slack)))
    rows: list[Move] = []
    spans = tuple(sorted((row for row in drawn if row.first != row.last), key=order_of))
    tally = Tally(FIRM, terms, rows, spans=spans)
    step = data.draw(st.integers(1, 3))  # so many are taken before anybody asks
    changed = NEVER
    for i, row in enumerate(data.draw(st.permutations(drawn)), 1):
        insort(rows, row, key=order_of)
        changed = min(changed, tally.take(row))
        if i % step and i < len(drawn):
            continue
        if changed != NEVER:
            tally.turn(changed)
        changed = NEVER
        tally.spans = tuple(one for one in rows if one.first != one.last)
        off, newest = plainly(rows, terms)
        known = any(one.type in WHOLE & ORIGINS for one in rows)
        assert told(tally) == (off if known else [])
        if newest is None:
            assert not tally.ats
            continue
        now = tally.now()
        assert (now.at, now.parts, now.whole, now.records) == newest
        verdict = Verdict.TRUE if newest[1] > newest[2] + terms[2] else Verdict.FALSE
        assert now.verdict is (verdict if known else Verdict.UNKNOWN)


def calls(lots, facts):
    """Return how many functions are called while facts are folded: what they cost, whatever else the machine does."""
    found = [0]

    def count(*_):
        found[0] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        for fact in facts:
            lots.fold(0, fact, None)
    finally:
        sys.setprofile(before)
    return found[0]


@pytest.mark.parametrize("where", [1, 2, 3])
def test_a_late_sale_looks_at_no_other_one_alone(where):
    """However many there are: each was looked at again, and all of them sorted."""
    costs = []
    for many in (100, 400):
        tell, lots = Teller(), LotFold(SHIPPED)
        lots.fold(0, tell.made(FIRM, 0, many + 9), None)
        for i in range(many):
            lots.fold(0, tell.moved(FIRM, (i + 1) * HOUR, 1), None)
        at = where * many // 4 * HOUR
        costs.append(calls(lots, [tell.moved(FIRM, at + 1, 1), tell.moved(FIRM, at + 2, 1)]))
    assert costs[1] < 1.3 * costs[0]


def test_a_late_delivery_ends_what_was_off_and_the_sums_behind_it_are_others():
    tell, lots = Teller(), LotFold(SHIPPED)
    facts = [tell.made(FIRM, 0, 2), *(tell.moved(FIRM, hour * HOUR, 1) for hour in (1, 3, 5, 7))]
    changes = [change for fact in facts for change in lots.fold(0, fact, None)]
    assert [(one.change, one.start - facts[0].at) for one in changes] == [("raised", 5 * HOUR)]
    assert [leaf.left for leaf in changes[0].evidence.leaves] == [3.0]
    late = lots.fold(0, tell.moved(FIRM, 2 * HOUR, 1, kind="arrived", to=FIRM), None)
    assert [(one.change, one.start - facts[0].at) for one in late] == [
        ("raised", 7 * HOUR),
        ("retracted", 5 * HOUR),
    ]
    assert late[0].evidence.leaves[0].right == 3.0


def test_a_copy_with_an_earlier_number_changes_the_record_that_is_named():
    tell, lots = Teller(), LotFold(altered(SUM, tolerance=0.0))
    made, one, two = tell.made(FIRM, 0, 1), tell.moved(FIRM, HOUR, 1), tell.moved(FIRM, 2 * HOUR, 1)
    first = two.model_copy(update={"n": 9, "record": two.record.model_copy(update={"id": "b-9"})})
    told = [change for fact in (made, one, first, two) for change in lots.fold(0, fact, None)]
    assert [(c.change, [r.id for r in c.evidence.records]) for c in told] == [("raised", ["b-9"])]
    other = [tell.moved("HOSP-1", 3 * HOUR, 2, kind="arrived", to="HOSP-1"), tell.moved("HOSP-1", 4 * HOUR, 3)]
    (amended,) = [change for fact in other for change in lots.fold(0, fact, None)]
    assert [record.id for record in amended.evidence.records] == ["b-3", "HOSP-1 b-2"]
