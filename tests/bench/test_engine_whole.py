"""The bench of the whole pack posts what it says it posts, and its plant is one that rules watch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from bench import engine_whole as bench
from rules.pack import default_bundle
from rules.plan import compile_plan
from rules.rule import LotRule, RareRule
from streams.codec import decode


def rows(made):
    """Return (facility, tag, event time) of every reading, and the sizes of the batches."""
    found, sizes = [], set()
    for record in bench.records(made, 0):
        readings = record.payload
        tags = np.repeat(readings.tags, readings.counts)
        found += [(record.facility, str(tag), int(at)) for tag, at in zip(tags, readings.time, strict=True)]
        sizes.add(readings.time.size)
        assert record.received > readings.time.max()
    return found, sizes


@pytest.mark.parametrize("size", bench.SIZES)
def test_every_series_has_every_minute_once_whatever_a_batch_holds(size):
    made = bench.window(np.random.default_rng(1), 2, size, 10, 6)
    found, sizes = rows(made)
    assert sizes == {size}
    assert set(Counter(found).values()) == {1}
    wanted = {
        (f"F-{n:04d}", tag, bench.BEGIN + bench.MINUTE * m)
        for n in range(2)
        for tag in bench.TAGS
        for m in range(10, 16)
    }
    assert set(found) == wanted


def test_a_facility_posts_in_order_of_time():
    made = bench.window(np.random.default_rng(1), 3, 60, 0, 6)
    for name in {message[0] for message in made}:
        received = [message[3] for message in made if message[0] == name]
        assert received == sorted(received)


def test_nearly_all_of_the_pack_watches_the_plant():
    entity = bench.plant(0)
    plan = compile_plan(entity, default_bundle(), bench.BEGIN)
    assert len(plan.sensors) == len(bench.TAGS) == 100
    watching = {instance.rule.id for instances in plan.by_kind.values() for instance in instances}
    # A plant has no lorries: rules that hold on a trip only watch nothing there.
    rules = [rule for rule in default_bundle().rules if not isinstance(rule, RareRule | LotRule)]
    of_series = [rule.id for rule in rules if getattr(rule, "during", None) is None]
    assert len(watching) >= len(of_series) - 6
    assert all(plan.by_slot)


def test_a_quiet_day_raises_nothing():
    engine = bench.filled(default_bundle(), 1, np.random.default_rng(7))
    made = bench.window(np.random.default_rng(8), 1, 60, bench.FILLED, 6)
    assert [change for record in bench.records(made, 1000) for change in engine.fold(record)] == []
    assert decode(0, 1, made[0][3], made[0][0].encode(), made[0][1], made[0][2]).payload.time.size == 60
