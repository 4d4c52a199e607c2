"""`LotWorkerFold` is `LotFold` with the face that restore and checkpoints ask for: keys for names, positions in snapshots."""

from __future__ import annotations

import json

import pytest

from rules.errors import ContractError
from rules.pack import Bundle, default_bundle
from rules.records import SEMANTICS, Kind, LogRecord, LotKind, Tick
from rules.snapshot import SnapshotError
from streams.codec import lot_key, owner_of
from streams.lotfold import LotWorkerFold
from tests.rules.lotlogs import DAY, RULES, Teller, altered

BUNDLE = Bundle.of([rule for rule in default_bundle().rules if rule.id in RULES], ())
LENIENT = altered("cross-check.expired-moving", stage="retired")


def log():
    """A maker's lot that expires and is sold afterwards; packs in between that do not watch it, and the old ones again."""
    tell = Teller()
    facts = [tell.made("MAKER-1", 0, 10, expiry="2026-03-01")]
    facts += [tell.moved("SHOP-1", (2 + day) * DAY, 1) for day in range(3)]
    rows = [fact_record(0, facts[0]), fact_record(1, facts[1])]
    rows += [packs_record(2, LENIENT), fact_record(3, facts[2]), packs_record(4, BUNDLE), fact_record(5, facts[3])]
    return rows


def fact_record(offset, fact):
    return LogRecord(0, offset, fact.received, LotKind.FACT, lot_key(fact.lot), fact)


def packs_record(offset, bundle):
    return LogRecord(0, offset, 1_800_000_000_000 + offset, Kind.PACKS, "", bundle.to_record())


def told(fold, records):
    return [change.to_json() for record in records for change in fold.fold(record)]


def test_its_lots_are_named_by_keys_and_their_changes_belong_to_them() -> None:
    fold = LotWorkerFold(BUNDLE)
    changes = [change for record in log() for change in fold.fold(record)]
    assert fold.facilities(0) == fold.dirty(0) == [lot_key("L-1")]
    assert {owner_of(change) for change in changes} == {lot_key("L-1")}
    fold.clean(0, lot_key("L-1"))
    assert fold.dirty(0) == []
    assert fold.fold(LogRecord(0, 9, 1, Kind.TICK, "", Tick(by="t", role="worker", now=1))) == []
    assert fold.take_facts(0) == []
    fold.drop(0)
    assert fold.facilities(0) == []


@pytest.mark.parametrize("low", range(7))
@pytest.mark.parametrize("at", range(7))
def test_a_start_from_any_snapshot_and_any_older_position_says_the_same(low: int, at: int) -> None:
    """The partition's marker is of `low`, the lot's snapshot of `at`, which is not older."""
    if at < low:
        return
    records = log()
    straight = LotWorkerFold(BUNDLE)
    expected = told(straight, records)
    before, then = LotWorkerFold(BUNDLE), LotWorkerFold(BUNDLE)
    told(before, records[:low])
    marker = before.partition_state(0)
    kept = told(then, records[:at])
    again = LotWorkerFold(BUNDLE)
    again.know(LENIENT)
    again.restore_partition(0, marker)
    for key in then.facilities(0):
        again.restore(0, key, then.snapshot(0, key))
        assert again.snapshot(0, key).partition(b"\n")[2] == then.snapshot(0, key).partition(b"\n")[2]
    rest = told(again, records[low:])
    assert kept + rest == expected
    assert {k: again.snapshot(0, k) for k in again.facilities(0)} == {
        k: straight.snapshot(0, k) for k in straight.facilities(0)
    }
    assert again.partition_state(0) == straight.partition_state(0)


def test_broken_and_foreign_snapshots_are_refused() -> None:
    fold = LotWorkerFold(BUNDLE)
    told(fold, log())
    key = lot_key("L-1")
    good = fold.snapshot(0, key)
    for bad in (b"", good[:-1], good.replace(b"L-1", b"L-2", 1), b"[1]\n" + good, good.partition(b"\n")[2]):
        with pytest.raises(SnapshotError):
            LotWorkerFold(BUNDLE).restore(0, key, bad)
    with pytest.raises(SnapshotError, match="under the key"):
        LotWorkerFold(BUNDLE).restore(0, lot_key("L-2"), good)


def test_packs_of_another_engine_are_refused_and_a_sibling_knows_all_packs() -> None:
    fold = LotWorkerFold(BUNDLE)
    other = LENIENT.to_record().model_copy(update={"semantics": SEMANTICS + 1})
    with pytest.raises(ContractError, match="semantics"):
        fold.fold(LogRecord(0, 0, 1, Kind.PACKS, "", other))
    with pytest.raises(SnapshotError, match="not known"):
        fold.sibling(LENIENT.sha256)
    fold.know(LENIENT)
    assert fold.sibling(LENIENT.sha256).bundle.sha256 == LENIENT.sha256
    assert fold.alone().sibling(LENIENT.sha256).facilities(0) == []


def test_it_listens_to_nobody() -> None:
    fold = LotWorkerFold(BUNDLE)
    fold.stepping = lambda *_: None
    assert fold.stepping is None


def test_a_snapshot_names_lot_and_position() -> None:
    fold = LotWorkerFold(BUNDLE)
    told(fold, log()[:3])
    assert json.loads(fold.snapshot(0, lot_key("L-1")).partition(b"\n")[0]) == ["L-1", 3]
