"""What is looked up of all places at once is what each of them by itself would be; and what is forgotten is what a plain look at all groups forgets."""

from __future__ import annotations

from contextlib import nullcontext
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules import forgetting, places
from rules.engine import Engine
from rules.layout import NEVER
from tests.examples import examples
from tests.rules import manylogs, plainplaces
from tests.rules.failures import by_chance, failing_at

BUNDLE = manylogs.bundle()
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=600)


def breaking(seed):
    """Let rules raise here and there, or none."""
    return failing_at(by_chance(seed, 60)) if seed else nullcontext()


def folded(log):
    """Return the engine that folded a log, with the hours behind it."""
    engine = Engine(BUNDLE)
    for record in log:
        engine.fold(record)
    engine.advance(0, max(record.received for record in log) + 3 * 3_600_000)
    return engine


@given(manylogs.changing_logs(), st.integers(0, 2))
@QUICK
def test_every_place_falls_silent_when_it_would_by_itself(drawn, seed):
    look = places.all_rises

    def compared(state):
        found = look(state)
        keys = state.plan.grouping.keys
        assert set(keys) == plainplaces.asked(state.plan)
        plain = [plainplaces.rises(state, *key) for key in keys]
        assert found.tolist() == plain
        assert all(at == NEVER for key, at in zip(keys, plain, strict=True) if places.is_held(state, *key))
        return found

    with breaking(seed), patch.object(places, "all_rises", compared):
        folded(drawn.log)


def hours(random):
    """Return a log of some hours, so that what is behind the horizon can be forgotten: outages far from each other."""
    entity = manylogs.facility(random, random.randrange(2, 7))
    entries, begin = [], 0
    for _ in range(random.choice([2, 3, 4])):
        part = manylogs.minutes(random, entity, random.randrange(6, 25))
        late = max(received for received, _ in part) - manylogs.BEGIN
        entries += [(received + begin, moved(what, begin)) for received, what in part]
        begin += late + random.choice([10, 119, 125, 300]) * manylogs.MINUTE
    if random.random() < 0.5:
        entries = manylogs.changing(random, entity, entries, BUNDLE)
    return manylogs.Drawn(entity, manylogs.records(entity, entries))


def moved(what, by):
    """Return rows later by so many ms; anything else as it is."""
    if not isinstance(what, list):
        return what
    return [manylogs.Row(row.tag, row.t + by, row.v, row.q) for row in what]


@st.composite
def long_logs(draw):
    """Draw a log of some hours."""
    return hours(Random(draw(st.integers(0, 1 << 32))))  # noqa: S311 - a log, no secret


def forgets_alike(drawn, seed, most):
    """Compare each forgetting with a plain one; returns how many groups went, and how many stayed."""
    drop, counts = forgetting.drop_old, [0, 0]

    def compared(state, plan, newest):
        wanted = plainplaces.kept(state, newest, most)
        before = len(state.groups)
        drop(state, plan, newest)
        assert {group.number for group in state.groups} == wanted
        counts[0] += before - len(wanted)
        counts[1] += len(wanted)

    with (
        breaking(seed),
        patch.object(forgetting, "WAITING", most),
        patch.object(forgetting, "drop_old", compared),
    ):
        folded(drawn.log)
    return counts


@given(long_logs(), st.integers(0, 2), st.sampled_from([0, 1, 2, 3, 256]))
@QUICK
def test_what_is_forgotten_is_what_a_plain_look_at_all_groups_forgets(drawn, seed, most):
    forgets_alike(drawn, seed, most)


@pytest.mark.slow
@pytest.mark.timeout(3_000)
@given(long_logs(), st.integers(0, 2), st.sampled_from([0, 1, 2, 3, 256]))
@LONG
def test_what_is_forgotten_is_what_a_plain_look_forgets_on_many_logs(drawn, seed, most):
    """Slow: 600 logs of up to a day."""
    forgets_alike(drawn, seed, most)


def test_in_such_logs_groups_are_forgotten_and_groups_stay() -> None:
    gone = stayed = 0
    for seed in range(30):
        counts = forgets_alike(hours(Random(seed)), 0, 2)  # noqa: S311 - a log, no secret
        gone, stayed = gone + counts[0], stayed + counts[1]
        if gone > 20 and stayed > 20:
            break
    assert gone > 20
    assert stayed > 20
