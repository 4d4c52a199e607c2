"""An alarm id is raised once, however often its rule fails and begins anew (contracts.md §4, "alarm"): for any log and any step.

Long: each log is folded with many changes of packs, which compile its rules anew; make check leaves it to make test.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.engine import Engine
from rules.pack import default_bundle
from rules.records import Kind, LogRecord
from tests.examples import examples
from tests.rules import logs as plain_logs
from tests.rules import pairlogs, rarelogs
from tests.rules.failures import by_chance, failing_at, hidden_by_nothing, hold_against_the_book
from tests.rules.test_engine_promises import PACKS, changing, flapping

pytestmark = pytest.mark.long

BUNDLE = default_bundle()
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
HOUR = 3_600_000
TINY = 200


class Log(list):
    """Records that are shown in little room: a warning of Hypothesis about a long one would be an error of its own."""

    def __repr__(self):
        return "\n".join(f"{r.received - plain_logs.BEGIN} {r.kind} {str(r.payload)[:TINY]}" for r in self)


FAILURES = st.builds(by_chance, st.integers(0, 1 << 32), st.sampled_from([1, 2, 3, 5]))


def with_packs(draw, log, bundle):
    """Return a log of which packs come in between, so that what failed is tried again."""
    parts, newest = [], 0
    for record in log:
        newest = max(newest, record.received)
        parts.append(replace(record, received=newest))
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(1, len(parts)))
        received = parts[at - 1].received + draw(st.sampled_from([0, 0, 1, 60_000, 600_000, 7_500_000]))
        received = min([received, *(part.received for part in parts[at : at + 1])])
        parts.insert(at, LogRecord(0, 0, received, Kind.PACKS, "", bundle.to_record()))
    return Log(replace(part, offset=i) for i, part in enumerate(parts))


@st.composite
def series(draw):
    """Draw (facility, log, packs, how long it goes on, packs known) of series, with versions of register and packs."""
    facility, log = draw(st.one_of(changing(), flapping()))
    return facility, with_packs(draw, log, BUNDLE), BUNDLE, 6 * HOUR


@st.composite
def pairs(draw):
    """Draw a log of pairs."""
    entity, entries = draw(pairlogs.logs())
    return entity.id, with_packs(draw, plain_logs.records(entity, entries), pairlogs.BUNDLE), pairlogs.BUNDLE, 6 * HOUR


@st.composite
def rare(draw):
    """Draw a log of rare records, with versions of the register."""
    log = draw(rarelogs.logs(registers_change=True))
    return rarelogs.FACILITY, with_packs(draw, log, rarelogs.bundle()), rarelogs.bundle(), 40 * rarelogs.DAY


def run(log, until, engine):
    changes = [change for record in log for change in engine.fold(record)]
    return changes + engine.advance(0, until)


def book_of(drawn, chosen):
    facility, log, bundle, more = drawn
    with failing_at(chosen):
        changes = run(log, log[-1].received + more, Engine(bundle))
    assert not hidden_by_nothing(changes)
    return hold_against_the_book(changes, facility), changes


@given(series(), FAILURES)
@QUICK
def test_series_and_places_take_no_id_twice(drawn, chosen):
    book_of(drawn, chosen)


@given(pairs(), FAILURES)
@QUICK
def test_pairs_take_no_id_twice(drawn, chosen):
    book_of(drawn, chosen)


@given(rare(), FAILURES)
@QUICK
def test_rare_records_take_no_id_twice(drawn, chosen):
    book_of(drawn, chosen)


def restarted(drawn, chosen, cut):
    """Hold a run that begins from a snapshot against one that never ended: the same changes, and the same state in the end."""
    facility, log, bundle, more = drawn
    until = log[-1].received + more
    whole, first, second = Engine(bundle), Engine(bundle), Engine(bundle)
    for each in PACKS:
        second.know(each)
    with failing_at(chosen):
        wanted = run(log, until, whole)
        changes = [change for record in log[:cut] for change in first.fold(record)]
        snapshot = first.snapshot(0, facility)
        second.restore_partition(0, first.partition_state(0))
        second.restore(0, facility, snapshot)
        assert second.snapshot(0, facility) == snapshot
        assert changes + run(log[cut:], until, second) == wanted
    assert second.snapshot(0, facility) == whole.snapshot(0, facility)


@given(st.one_of(series(), pairs(), rare()), FAILURES, st.data())
@QUICK
def test_a_restart_at_any_record_changes_nothing(drawn, chosen, data):
    restarted(drawn, chosen, data.draw(st.integers(1, len(drawn[1]))))
