"""Lots that are let go of: which go, what is told of it behind a restart, and that no alarm is wrong because of it."""

from __future__ import annotations

import random

import pytest

from rules.lots import bounds
from rules.lots.fold import LotFold
from rules.records import LogRecord, LotKind
from streams.codec import lot_key
from streams.lotfold import LotWorkerFold
from tests.rules.lotlogs import BEGIN, DAY, HOUR, SHIPPED, Teller, altered

SUM = "cross-check.sold-over-produced"
pytestmark = pytest.mark.usefixtures("few")


@pytest.fixture
def tell():
    return Teller()


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(bounds, "MAX_FIRST", 10)
    monkeypatch.setattr(bounds, "MAX_QUIET", 20)


def sold(tell, firm, lots, at=HOUR):
    return [tell.moved(firm, at, 1, lot=lot) for lot in lots]


def names(letter, many):
    return [f"{letter}-{i:02d}" for i in range(many)]


def run(lots, facts, *, begin=0):
    """Fold facts; a checkpoint writes rows behind each of them."""
    changes = []
    for i, fact in enumerate(facts, begin):
        changes += lots.fold(0, fact, (0, i) if begin else None)
        written(lots)
    return changes


def written(lots):
    rows = {lot: lots.snapshot(0, lot) for lot in lots.dirty(0)}
    for lot in rows:
        lots.clean(0, lot)
    return rows


def test_of_a_firm_that_names_too_many_lots_the_oldest_go(tell):
    lots = LotFold(SHIPPED)
    assert run(lots, sold(tell, "SHOP-1", names("A", 10))) == []
    assert len(lots.lots(0)) == 10
    assert run(lots, sold(tell, "SHOP-1", ["A-10"])) == []
    assert lots.lots(0) == names("A", 11)[2:]  # a tenth goes at once
    assert lots.counters(0)["lots_dropped"] == 2
    run(lots, sold(tell, "SHOP-1", names("B", 500)))
    assert len(lots.lots(0)) <= 10


def test_a_firm_pushes_out_no_lot_of_another_one(tell):
    lots = LotFold(SHIPPED)
    own = names("A", 8)
    run(lots, sold(tell, "HOSP-1", own))
    run(lots, sold(tell, "SHOP-1", names("B", 100)))
    assert set(own) < set(lots.lots(0))
    run(lots, sold(tell, "SHOP-2", names("C", 10)))
    assert len(lots.lots(0)) <= 20
    assert "A-00" not in lots.lots(0)  # all firms together have too many: now it is the oldest


def test_what_was_told_of_is_kept_and_a_lot_that_is_recalled_goes_last(tell):
    lots = LotFold(SHIPPED)
    (raised,) = run(lots, [tell.made("SHOP-1", 0, 1, lot="X-1"), tell.moved("SHOP-1", HOUR, 2, lot="X-1")])
    run(lots, [tell.notice("SHOP-1", 0, 0, lot="X-2")])
    run(lots, sold(tell, "SHOP-1", names("B", 200)))
    assert {"X-1", "X-2"} < set(lots.lots(0))
    (cleared,) = run(lots, [tell.made("SHOP-1", 2 * HOUR, 5, lot="X-1")])
    assert (cleared.alarm, cleared.seq) == (raised.alarm, 2)


def test_what_a_firm_had_of_a_lot_that_went_out_is_unknown_and_another_firm_is_judged(tell):
    lots = LotFold(SHIPPED)
    run(lots, [tell.made("MAKER-1", 0, 100, lot="X-1")])
    run(lots, [tell.moved("MAKER-1", HOUR, 1, lot=lot, kind="shipped") for lot in names("B", 30)])
    assert "X-1" not in lots.lots(0)
    told = [tell.made("MAKER-1", 2 * HOUR, 1, lot="X-1"), tell.moved("MAKER-1", 3 * HOUR, 50, lot="X-1")]
    assert run(lots, told) == []
    own = [
        tell.moved("SHOP-2", HOUR, 1, kind="arrived", to="SHOP-2", lot="X-1"),
        tell.moved("SHOP-2", 2 * HOUR, 2, lot="X-1"),
    ]
    assert [(one.rule, one.facility, one.seq) for one in run(lots, own)] == [(SUM, "SHOP-2", 1)]
    fresh = LotFold(SHIPPED)
    assert [one.facility for one in run(fresh, told)] == ["MAKER-1"]


def test_goods_that_go_back_to_a_firm_of_which_something_went_out_raise_nothing(tell):
    lots = LotFold(SHIPPED)
    run(lots, [tell.made("MAKER-1", 0, 100, lot="X-1")])
    run(lots, sold(tell, "MAKER-1", names("B", 30)))
    stop = tell.stop("SHOP-2", HOUR, known=HOUR, lot="X-1")
    assert run(lots, [stop, tell.moved("SHOP-2", 2 * HOUR, 1, kind="shipped", to="MAKER-1", lot="X-1")]) == []
    assert len(run(lots, [tell.moved("SHOP-2", 2 * HOUR, 1, lot="X-1")])) == 1


@pytest.mark.parametrize("seed", range(8))
def test_a_start_from_rows_of_several_checkpoints_tells_what_was_told(tell, seed):
    """Rows are written of some lots at a time; a start reads the topic from its beginning, and lots skip what their row holds."""
    chance = random.Random(seed)  # noqa: S311 - a walk, no secret
    facts = []
    for i in range(400):
        lot = chance.choice([*names("A", 30), *names("B", 30)])
        firm = chance.choice(["MAKER-1", "SHOP-1"])
        made = chance.random() < 0.3
        facts.append(tell.made(firm, i, 2, lot=lot) if made else tell.moved(firm, i, chance.choice([1, 2]), lot=lot))
    fold, rows, told, went = LotWorkerFold(SHIPPED), {}, {}, 0
    for i, fact in enumerate(facts):
        for change in fold.fold(record_of(i, fact)):
            assert told.setdefault((change.stream, change.seq), change) == change
        if chance.random() < 0.3:
            for key in fold.dirty(0):
                if chance.random() < 0.5:
                    rows[key] = fold.snapshot(0, key)
                    fold.clean(0, key)
        if chance.random() < 0.04:
            went += fold.kept(0)[1]
            fold, seen = LotWorkerFold(SHIPPED), set()
            for key, row in rows.items():
                fold.restore(0, key, row)
            for j, one in enumerate(facts[: i + 1]):
                for change in fold.fold(record_of(j, one)):
                    assert told[change.stream, change.seq] == change
                    seen.add((change.stream, change.seq))
    assert went
    seqs = {}
    for stream, seq in told:
        seqs.setdefault(stream, []).append(seq)
    assert all(sorted(of) == list(range(1, len(of) + 1)) for of in seqs.values())


def record_of(offset, fact):
    return LogRecord(0, offset, fact.received, LotKind.FACT, lot_key(fact.lot), fact)


def test_a_lot_that_is_named_before_its_row_is_written_is_there_again(tell):
    lots = LotFold(SHIPPED)
    for fact in [tell.made("SHOP-1", 0, 100, lot="X-1"), *sold(tell, "SHOP-1", names("A", 10))]:
        lots.fold(0, fact, None)
    assert lots.dirty(0) == sorted([*names("A", 10), "X-1"])  # those that go are among them
    assert not lots.holds(0, "X-1")
    assert lots.fold(0, tell.moved("SHOP-1", HOUR, 60, lot="X-1"), None) == []
    (raised,) = lots.fold(0, tell.moved("SHOP-1", HOUR, 60, lot="X-1"), None)
    assert raised.rule == SUM
    written(lots)
    assert lots.dirty(0) == []
    assert lots.counters(0)["lots_dropped"] == lots.kept(0)[1] > 0


def test_only_lots_that_are_named_behind_the_row_miss_something(tell):
    lots = LotFold(SHIPPED)
    run(lots, sold(tell, "SHOP-1", names("A", 11)), begin=1)
    since = lots._partitions[0].quiet.gaps["SHOP-1"]
    for offset, gaps in ((since - 1, frozenset()), (since, {"SHOP-1"})):
        quiet = bounds.Quiet(gaps={"SHOP-1": since}, _whole=frozenset({"SHOP-1"}), _newest=since)
        assert quiet.begin("X-1", "SHOP-1", offset).book.gaps == gaps


def test_packs_that_speak_of_a_quiet_lot_keep_it(tell):
    lots = LotFold(altered(SUM, tolerance=100.0))
    run(lots, [tell.made("SHOP-1", 0, 1, lot="X-1"), tell.moved("SHOP-1", HOUR, 2, lot="X-1")])
    assert len(lots.adopt(0, SHIPPED, BEGIN + DAY)) == 1
    run(lots, sold(tell, "SHOP-1", names("B", 50)))
    assert lots.holds(0, "X-1")


def about_to_go(tell, bundle):
    """Return a fold in which a lot sold one more than was made, and went out; its row is not written yet."""
    lots = LotFold(bundle)
    balance = [tell.made("SHOP-1", 0, 1, lot="X-1"), tell.moved("SHOP-1", HOUR, 2, lot="X-1")]
    for fact in [*balance, *sold(tell, "SHOP-1", names("A", 10))]:
        assert lots.fold(0, fact, None) == []
    assert not lots.holds(0, "X-1")
    return lots


def test_packs_decide_a_lot_that_is_about_to_go_too_and_keep_it_if_they_speak_of_it(tell):
    lots = about_to_go(tell, altered(SUM, tolerance=100.0))
    (raised,) = lots.adopt(0, SHIPPED, BEGIN + DAY)
    assert (raised.rule, raised.subject, raised.seq) == (SUM, {"lot": "X-1"}, 1)
    assert lots.holds(0, "X-1")
    row = written(lots)["X-1"]
    other = LotFold(SHIPPED)
    other.restore(0, "X-1", row)
    run(lots, sold(tell, "SHOP-1", names("B", 50)))
    for fold in (lots, other):  # a start from the row that was written finds what goes on
        (cleared,) = run(fold, [tell.made("SHOP-1", 2 * HOUR, 5, lot="X-1")])
        assert (cleared.alarm, cleared.seq) == (raised.alarm, 2)
        tell.told["SHOP-1"] -= 1
    assert sum(lots._partitions[0].quiet.by_first.values()) == len(lots.lots(0)) - 1


def test_a_lot_that_is_about_to_go_goes_where_packs_say_nothing_of_it(tell):
    lots = about_to_go(tell, altered(SUM, tolerance=100.0))
    assert lots.adopt(0, altered(SUM, tolerance=50.0), BEGIN + DAY) == []
    assert not lots.holds(0, "X-1")
    assert written(lots)
    assert lots.adopt(0, SHIPPED, BEGIN + 2 * DAY) == []  # nothing is known of it any more
    assert lots.kept(0)[1] > 0


def test_packs_that_a_row_holds_already_do_not_decide_a_lot_that_is_about_to_go_again(tell):
    lots = about_to_go(tell, altered(SUM, tolerance=100.0))
    assert lots.adopt(0, SHIPPED, BEGIN + DAY, but=lambda lot: lot == "X-1") == []
    assert not lots.holds(0, "X-1")


def test_the_worker_keeps_no_name_of_a_lot_that_went_out(tell):
    fold = LotWorkerFold(SHIPPED)
    for i, fact in enumerate(sold(tell, "SHOP-1", names("A", 11))):
        fold.fold(LogRecord(0, i, fact.received, LotKind.FACT, lot_key(fact.lot), fact))
    keys = fold.dirty(0)
    assert len(keys) == 11
    rows = {key: fold.snapshot(0, key) for key in keys}
    for key in keys:
        fold.clean(0, key)
    assert fold.kept(0) == (9, 2)
    assert fold.kept(1) == (0, 0)
    assert len(fold.facilities(0)) == len(fold._names[0]) == 9
    other = LotWorkerFold(SHIPPED)
    for key, row in rows.items():
        other.restore(0, key, row)
    assert other.facilities(0) == fold.facilities(0)
    assert len(other._names[0]) == 9
