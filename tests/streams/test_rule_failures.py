"""A rule that raises in the worker: what is published is what `evaluate` gives, through crashes, and the log has the traceback."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.changes import ChangeKind
from rules.engine import Engine
from rules.evaluate import evaluate
from rules.fitting import RULE_FAILED
from rules.records import Kind, LogRecord
from streams.app import log_failure
from tests.rules import logs
from tests.rules.test_failing import STORE, broken, failures, log_of
from tests.streams.lab import deduplicate, judge, offline
from tests.streams.test_tenure import BUNDLE, MemoryBroker, published, run_with_crashes, tenure_of

if TYPE_CHECKING:
    import pytest

QUICK = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
PLAN = st.lists(st.tuples(st.sampled_from(["publish", "checkpoint", "crash"]), st.integers(0, 6)), max_size=6)


@given(logs.logs(), failures, PLAN)
@QUICK
def test_what_is_published_where_a_rule_fails_is_what_evaluate_gives(
    drawn: Any, failure: tuple[str, set[ChangeKind]], plan: list[tuple[str, int]]
) -> None:
    log = logs.records(*drawn)
    log = [LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log)]
    log.append(LogRecord(0, len(log), max(r.received for r in log) + 1, Kind.PACKS, "", BUNDLE.to_record()))
    with broken(failure[0], *failure[1]):
        broker = asyncio.run(run_with_crashes(log, plan, lambda: Engine(BUNDLE)))
        judge(published(broker), offline([*log], Engine(BUNDLE)))
        _, seen = deduplicate(published(broker))
        live = [{k: v for k, v in row.items() if k != "source"} for rows in seen.values() for row in rows]
        assert live == [change.to_json(source=False) for change in evaluate(log, BUNDLE)]


async def test_the_worker_logs_and_counts_what_was_raised(caplog: pytest.LogCaptureFixture) -> None:
    broker = MemoryBroker()
    tenure = await tenure_of(broker, Engine(BUNDLE, on_failure=log_failure))
    with broken(STORE, ChangeKind.RAISED), caplog.at_level(logging.ERROR):
        for record in log_of(5, 9, 9, 9, 9):
            tenure.feed(record)
    await tenure.close()
    assert f"rule {STORE} failed at {logs.FACILITY}" in caplog.text
    assert "BrokenError" in caplog.text
    assert tenure._sensor.rule_failures._value.get() == 1
    assert [row["rule"] for row in published(broker)] == [RULE_FAILED]
