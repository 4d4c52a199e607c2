"""Lots that are let go of: which go, what is told of it behind a restart, and that no alarm is wrong because of it."""

from __future__ import annotations

import pytest

from rules.lots import bounds
from rules.lots.fold import LotFold, LotPartition
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


def run(lots, facts):
    return [change for fact in facts for change in lots.fold(0, fact, None)]


def restarted(lots):
    """Return a fold as one that is restored from all state rows: those of lots that are held, and of those that went out."""
    other = LotFold(SHIPPED)
    other.restore_partition(0, LotPartition.model_validate_json(lots.partition_state(0).model_dump_json()))
    for lot in sorted({*lots.lots(0), *lots.dirty(0)}):
        snapshot = lots.snapshot(0, lot)
        other.restore(0, lot, snapshot)
    return other


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


def test_a_restart_knows_what_went_out_and_goes_on_alike(tell):
    whole = LotFold(SHIPPED)
    facts = [tell.made("MAKER-1", 0, 100, lot="X-1"), *sold(tell, "MAKER-1", names("B", 30))]
    facts += [tell.made("MAKER-1", DAY, 1, lot="X-1"), *sold(tell, "MAKER-1", ["X-1"] * 3, DAY)]
    facts += sold(tell, "SHOP-1", names("C", 40))
    cut, wanted = LotFold(SHIPPED), []
    for fact in facts:
        wanted += whole.fold(0, fact, None)
        cut = restarted(cut) if fact.n % 7 == 0 else cut
        cut.fold(0, fact, None)
        assert cut.lots(0) == whole.lots(0)
    assert [cut.snapshot(0, lot) for lot in cut.lots(0)] == [whole.snapshot(0, lot) for lot in whole.lots(0)]
    again = restarted(restarted(cut))
    assert again.lots(0) == whole.lots(0)
    assert run(again, [tell.moved("MAKER-1", 2 * DAY, 50, lot="X-1")]) == []


def test_a_lot_that_went_out_is_dirty_until_its_snapshot_is_written(tell):
    lots = LotFold(SHIPPED)
    run(lots, sold(tell, "SHOP-1", names("A", 11)))
    assert lots.dirty(0) == names("A", 11)
    for lot in names("A", 11):
        lots.snapshot(0, lot)
        lots.clean(0, lot)
    assert lots.dirty(0) == []
    assert lots.holds(0, "A-02")
    assert not lots.holds(0, "A-00")
    assert lots.counters(0) == {"lots": 9, "lot_moves": 9, "lot_left_out": 0, "lots_dropped": 2}


def test_packs_that_speak_of_a_quiet_lot_keep_it(tell):
    lots = LotFold(altered(SUM, tolerance=100.0))
    run(lots, [tell.made("SHOP-1", 0, 1, lot="X-1"), tell.moved("SHOP-1", HOUR, 2, lot="X-1")])
    assert len(lots.adopt(0, SHIPPED, BEGIN + DAY)) == 1
    run(lots, sold(tell, "SHOP-1", names("B", 50)))
    assert lots.holds(0, "X-1")


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
