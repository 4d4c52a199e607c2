"""Serious cases of a lot against its product's: fold and oracle agree behind every fact, in any order, over restarts and packs (ADR 0090)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.alarms import fold_alarms
from rules.lots.fold import LotFold
from tests.examples import examples
from tests.rules import ratiologs
from tests.rules.lotlogs import BEGIN, DAY
from tests.rules.oracle import ratio as oracle
from tests.rules.ratiologs import PRODUCT, RATIO, SHIPPED, parsed, ratio

pytestmark = pytest.mark.long

QUICK = settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
EASY = ratio(factor=1.5, within=10 * DAY, over=20 * DAY)


def standing(changes):
    """Return (alarm, facility, start, end) of what stands, or ended, by lot."""
    found = {}
    for alarm in fold_alarms(changes):
        if alarm.status != "retracted":
            told = (alarm.alarm, alarm.facility, alarm.start, alarm.end)
            found.setdefault(alarm.subject["lot"], []).append(told)
    return {lot: sorted(told, key=lambda one: (one[2], one[0])) for lot, told in found.items()}


def sound(changes):
    seqs, known = {}, set()
    for change in changes:
        assert change.stream == "product:P-1"
        assert change.seq == seqs.get(change.stream, 0) + 1
        seqs[change.stream] = change.seq
        assert (change.alarm in known) == (change.change.value != "raised")
        known.add(change.alarm)


@pytest.mark.parametrize("bundle", [SHIPPED, EASY], ids=["shipped", "easy"])
@given(st.data())
@QUICK
def test_behind_every_fact_it_is_what_the_oracle_says(bundle, data):
    facts = data.draw(ratiologs.facts(bundle))
    lots, changes = LotFold(bundle), []
    for i, fact in enumerate(facts):
        changes += lots.fold(0, parsed(fact), (0, i))
        assert standing(changes) == oracle.alarms(facts[: i + 1], bundle.rule(RATIO))
    sound(changes)


@given(ratiologs.facts(EASY), st.data())
@QUICK
def test_any_order_and_any_duplicates_end_alike_to_the_byte(facts, data):
    again = data.draw(st.lists(st.sampled_from(facts), max_size=5))
    lots, other = LotFold(EASY), LotFold(EASY)
    mixed = [change for fact in data.draw(st.permutations([*facts, *again])) for change in lots.fold(0, fact, None)]
    plain = [change for fact in facts for change in other.fold(0, fact, None)]
    sound(mixed)
    assert standing(mixed) == standing(plain) == oracle.alarms(facts, EASY.rule(RATIO))
    assert lots.state_of(0, PRODUCT).book.portions.pack() == other.state_of(0, PRODUCT).book.portions.pack()


@given(ratiologs.facts(EASY), st.data())
@QUICK
def test_a_restart_anywhere_changes_nothing(facts, data):
    cuts = set(data.draw(st.lists(st.integers(0, len(facts)), max_size=4)))
    whole, lots = LotFold(EASY), LotFold(EASY)
    for i, fact in enumerate(facts):
        if i in cuts and lots.lots(0):
            snapshot, state = lots.snapshot(0, PRODUCT), lots.partition_state(0)
            lots = LotFold(EASY)
            lots.restore_partition(0, state)
            lots.restore(0, PRODUCT, snapshot)
            assert lots.snapshot(0, PRODUCT) == snapshot
        assert lots.fold(0, fact, None) == whole.fold(0, fact, None)
    assert lots.snapshot(0, PRODUCT) == whole.snapshot(0, PRODUCT)


@given(ratiologs.facts(EASY), st.integers(0, 25))
@QUICK
def test_packs_decide_a_product_again(facts, place):
    lots = LotFold(SHIPPED)
    changes = [change for fact in facts[:place] for change in lots.fold(0, fact, None)]
    changes += lots.adopt(0, EASY, BEGIN + 50 * DAY)
    changes += [change for fact in facts[place:] for change in lots.fold(0, fact, None)]
    sound(changes)
    assert standing(changes) == oracle.alarms(facts, EASY.rule(RATIO))
