"""Rules over lots, for any facts in any order: fold and oracle agree; duplicates, restarts, packs and rules that raise change nothing they should not."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.alarms import fold_alarms
from rules.lots import fold as folding
from rules.lots.fold import LotFold
from rules.lots.judge import spells_of
from rules.pack import Bundle
from tests.examples import examples
from tests.rules import lotlogs
from tests.rules.lotlogs import BEGIN, DAY, altered, bundle
from tests.rules.oracle import lots as oracle

pytestmark = pytest.mark.long

BUNDLE = bundle()
QUICK = settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
OTHERS = (
    altered("vigilance.lot-cluster", n=2, within=DAY),
    altered("cross-check.sold-over-produced", tolerance=0.1),
    altered("vigilance.moved-after-stop", stage="retired"),
    Bundle.of((), ()),
)


def run(facts, lots=None):
    lots = lots or LotFold(BUNDLE)
    return [change for fact in facts for change in lots.fold(0, fact, None)]


def standing(changes):
    """Return what stands, or ended, by rule and lot: retracted alarms never held."""
    found = {}
    for alarm in fold_alarms(changes):
        if alarm.status != "retracted" and alarm.rule != "register.rule-failed":
            told = (alarm.alarm, alarm.facility, alarm.start, alarm.end, alarm.current.value)
            found.setdefault((alarm.rule, alarm.subject["lot"]), []).append(told)
    return {key: sorted(told, key=lambda one: (one[2], one[0])) for key, told in found.items()}


def sound(changes):
    """Check what every consumer relies on: dense numbers a stream, and changes that can follow each other."""
    seqs, open_alarms, received = {}, {}, {}
    for change in changes:
        assert change.seq == seqs.get(change.stream, 0) + 1
        seqs[change.stream] = change.seq
        assert change.received >= received.get(change.stream, 0)
        received[change.stream] = change.received
        assert change.stream == f"lot:{change.subject['lot']}"
        known = change.alarm in open_alarms
        assert known == (change.change.value != "raised"), f"{change.change} of {change.alarm}"
        open_alarms[change.alarm] = change
        assert change.end is None or change.end >= change.start


@given(lotlogs.facts())
@QUICK
def test_what_stands_is_what_the_oracle_finds_behind_every_fact(facts):
    lots, changes = LotFold(BUNDLE), []
    for i, fact in enumerate(facts):
        changes += lots.fold(0, fact, (0, i))
        assert standing(changes) == oracle.alarms(facts[: i + 1], BUNDLE)
    sound(changes)


@given(lotlogs.facts(), st.data())
@QUICK
def test_any_order_and_any_duplicates_end_alike(facts, data):
    again = data.draw(st.lists(st.sampled_from(facts), max_size=5))
    mixed = data.draw(st.permutations([*facts, *again]))
    lots, other = LotFold(BUNDLE), LotFold(BUNDLE)
    changes = run(mixed, lots)
    sound(changes)
    assert standing(changes) == standing(run(facts, other)) == oracle.alarms(facts, BUNDLE)
    assert lots.lots(0) == other.lots(0)
    for lot in lots.lots(0):  # what is known, to the byte
        assert lots.state_of(0, lot).book.pack() == other.state_of(0, lot).book.pack()


@given(lotlogs.facts(), st.data())
@QUICK
def test_a_fact_that_comes_again_changes_no_byte(facts, data):
    lots = LotFold(BUNDLE)
    run(facts, lots)
    for lot in lots.lots(0):
        lots.clean(0, lot)
    before = [lots.snapshot(0, lot) for lot in lots.lots(0)], lots.partition_state(0)
    assert lots.fold(0, data.draw(st.sampled_from(facts)), (9, 9)) == []
    assert before == ([lots.snapshot(0, lot) for lot in lots.lots(0)], lots.partition_state(0))
    assert lots.dirty(0) == []


@given(lotlogs.facts(), st.data())
@QUICK
def test_a_restart_anywhere_changes_nothing(facts, data):
    whole, changes = LotFold(BUNDLE), []
    facts = data.draw(st.permutations(facts) | st.just(facts))
    lots = LotFold(BUNDLE)
    cuts = set(data.draw(st.lists(st.integers(0, len(facts)), max_size=4)))
    for i, fact in enumerate(facts):
        if i in cuts:
            lots = restarted(lots)
        told = lots.fold(0, fact, None)
        assert told == whole.fold(0, fact, None)
        changes += told
    assert [lots.snapshot(0, lot) for lot in lots.lots(0)] == [whole.snapshot(0, lot) for lot in whole.lots(0)]


def restarted(lots, more=()):
    other = LotFold(BUNDLE)
    for one in more:
        other.know(one)
    other.restore_partition(
        0, type(lots.partition_state(0)).model_validate_json(lots.partition_state(0).model_dump_json())
    )
    for lot in lots.lots(0):
        snapshot = lots.snapshot(0, lot)
        other.restore(0, lot, snapshot)
        assert other.snapshot(0, lot) == snapshot
    assert other.dirty(0) == []
    return other


@given(lotlogs.facts(), st.data())
@QUICK
def test_packs_decide_every_lot_again(facts, data):
    lots, changes = LotFold(BUNDLE), []
    packs = data.draw(st.lists(st.tuples(st.integers(0, len(facts)), st.sampled_from([BUNDLE, *OTHERS])), max_size=4))
    at = {}
    for place, one in packs:
        at.setdefault(place, []).append(one)
    for i in range(len(facts) + 1):
        for one in at.get(i, ()):
            same = one.sha256 == lots.partition_state(0).packs
            told = lots.adopt(0, one, BEGIN + 10 * DAY)
            assert not (same and told)
            changes += told
            lots = restarted(lots, OTHERS)
        if i < len(facts):
            changes += lots.fold(0, facts[i], None)
    sound(changes)
    newest = next((one for i in reversed(range(len(facts) + 1)) for one in reversed(at.get(i, []))), BUNDLE)
    wanted = oracle.alarms(facts, newest)
    live = {rule.id for rule in newest.rules if rule.stage in {"live", "shadow"}}
    assert {key: told for key, told in standing(changes).items() if key[0] in live} == wanted
    for alarm in fold_alarms(changes):
        assert alarm.rule in live or alarm.end is not None or alarm.status == "retracted"


@given(lotlogs.facts(), st.sampled_from(lotlogs.RULES), st.integers(0, 20))
@QUICK
def test_a_rule_that_raises_is_put_aside_and_never_stops_the_others(facts, broken, after):
    calls, heard = [0], []

    def some(rule, book):
        if rule.id == broken:
            calls[0] += 1
            if calls[0] > after:
                raise ZeroDivisionError
        return spells_of(rule, book)

    lots = LotFold(BUNDLE, lambda stream, rule, error: heard.append((stream, rule, type(error))))
    with patch.object(folding, "spells_of", some):
        changes = run(facts, lots)
    failed = {stream for stream, rule, _ in heard}
    assert len(heard) == len(failed)
    own = [change for change in changes if change.rule == "register.rule-failed"]
    assert {change.stream for change in own} == failed
    others = {key: told for key, told in standing(changes).items() if key[0] != broken}
    assert others == {key: told for key, told in oracle.alarms(facts, BUNDLE).items() if key[0] != broken}
    last = {change.alarm: change for change in changes if change.rule == broken and change.stream in failed}
    assert all(change.change.value in {"unknown", "retracted"} or change.end is not None for change in last.values())
    changes += lots.adopt(0, OTHERS[1], BEGIN + 20 * DAY)
    sound_without_failed(changes)
    assert standing(changes) == oracle.alarms(facts, OTHERS[1])
    assert all(a.end is not None for a in fold_alarms(changes) if a.rule == "register.rule-failed")


def sound_without_failed(changes):
    seqs = {}
    for change in changes:
        assert change.seq == seqs.get(change.stream, 0) + 1
        seqs[change.stream] = change.seq
    assert all(a.status != "unknown" for a in fold_alarms(changes))
