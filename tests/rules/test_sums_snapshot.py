"""Snapshots that were written before a kind came are restored; those that hold it are judged."""

from __future__ import annotations

import msgspec
import pytest

from rules.engine import Engine
from rules.kinds import cumulative, mean_kinetic
from rules.pack import default_bundle
from rules.snapshot import SnapshotError, open_snapshot, sealed
from tests.rules import logs, sums

KINDS = ("cumulative", "mean_kinetic", "difference")


def test_a_snapshot_without_the_kind_is_restored_where_no_rule_of_it_watches():
    bundle = default_bundle().only({"cold-chain.store-out", "data-integrity.gap", "data-integrity.frozen"})
    entity = logs.facility([("T0", "A1", 60)])
    log = logs.records(
        entity, [(logs.BEGIN + 60_000 * i, [logs.Row("T0", logs.BEGIN + 60_000 * i, 9.0)]) for i in range(9)]
    )
    engine = Engine(bundle)
    for record in log[:5]:
        engine.fold(record)
    body, _ = open_snapshot(engine.snapshot(0, entity.id))
    older = msgspec.structs.replace(
        body,
        keys={kind: found for kind, found in body.keys.items() if kind not in KINDS},
        layouts={name: found for name, found in body.layouts.items() if name not in {*KINDS, "inputs"}},
        arrays={name: found for name, found in body.arrays.items() if not name.startswith(KINDS)},
    )
    assert older.keys.keys() == {"limit", "frozen", "gap"}
    other = Engine(bundle)
    other.restore(0, entity.id, sealed(older))
    assert [other.fold(record) for record in log[5:]] == [engine.fold(record) for record in log[5:]]
    assert other.snapshot(0, entity.id) == engine.snapshot(0, entity.id)


def test_a_snapshot_whose_instances_are_others_is_refused():
    bundle, entity = sums.bundle(), logs.facility([("T0", "A1", 60)])
    engine = Engine(bundle)
    for record in logs.records(entity, []):
        engine.fold(record)
    body, _ = open_snapshot(engine.snapshot(0, entity.id))
    assert len(body.keys["cumulative"]) == 3
    less = msgspec.structs.replace(body, keys={**body.keys, "cumulative": body.keys["cumulative"][1:]})
    with pytest.raises(SnapshotError, match="instances"):
        Engine(bundle).restore(0, entity.id, sealed(less))


def test_bytes_of_state_are_those_that_the_page_names():
    """docs/engine-semantics.md: words of a series and rule; as many stand behind the horizon."""
    assert (cumulative.STATE.words, mean_kinetic.STATE.words) == (85, 36)
