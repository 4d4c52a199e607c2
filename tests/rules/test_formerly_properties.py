"""Limits that change while data are late: engine and oracle agree; batches, restarts and ticks change nothing; late is as in time."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from rules.engine import Engine
from tests.examples import examples
from tests.rules import formerlylogs
from tests.rules.oracle.fold import fold
from tests.rules.restarts import restarted
from tests.rules.splits import row_by_row
from tests.rules.test_engine_properties import END, plain, run, without_records

BUNDLE = formerlylogs.BUNDLE
QUICK = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LONG = settings(QUICK, max_examples=3000)


def until_of(log):
    return max(record.received for record in log) + END


def agree(drawn):
    got = plain(run(drawn.log, until_of(drawn.log), Engine(BUNDLE)))
    wanted, _ = fold(drawn.log, BUNDLE, until_of(drawn.log))[drawn.entity.id]
    for i, (a, b) in enumerate(zip(got, wanted, strict=False)):
        if a != b:
            note(f"change {i}: engine {a}\noracle {b}")
            break
    assert got == wanted


@given(formerlylogs.changing())
@QUICK
def test_engine_and_oracle_agree_where_limits_change_while_data_are_late(drawn):
    agree(drawn)


@pytest.mark.slow
@pytest.mark.timeout(6_000)
@given(formerlylogs.changing())
@LONG
def test_engine_and_oracle_agree_on_many_logs_where_limits_change(drawn):
    """Slow: 3,000 logs."""
    agree(drawn)


@given(formerlylogs.changing(), st.data())
@QUICK
def test_a_restart_at_any_record_changes_nothing_where_limits_change(drawn, data):
    restarted(BUNDLE, drawn.entity.id, drawn.log, data.draw(st.integers(1, len(drawn.log))), until_of(drawn.log))


@given(formerlylogs.changing())
@QUICK
def test_batches_row_by_row_change_nothing_where_limits_change(drawn):
    once, apart = (run(log, until_of(drawn.log), Engine(BUNDLE)) for log in (drawn.log, row_by_row(drawn.log)))
    assert without_records(once) == without_records(apart)
