"""What rules could not judge or keep is counted once, names the firm, and is not told again by a start."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prometheus_client import generate_latest

from rules.engine import Engine
from rules.notjudged import ENDS, not_judged
from rules.pack import default_bundle
from rules.records import Kind, LogRecord, RegisterRecord, Report
from rules.register import Facility
from streams.lotfold import LotWorkerFold
from streams.notjudged import NotJudged
from streams.sensor import Sensor
from tests.streams.test_tenure import MemoryBroker, checkpoint, tenure_of, toy_record
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

FIRM, OTHER = "BJ-MFR-0007", "BJ-MFR-0008"
BEGIN = 1_772_294_400_000


class Counting(ToyFold):
    """A toy whose facilities count what they cannot judge."""

    counts: Mapping[str, Mapping[str, int]] = {}

    def not_judged(self, partition: int, facility: str) -> dict[str, int]:
        assert facility in self._part(partition).facilities
        return dict(self.counts.get(facility, {}))


def told(sensor: Sensor) -> dict[str, float]:
    """The counter by what it says."""
    return {
        sample.labels["what"]: sample.value
        for metric in sensor.registry.collect()
        if metric.name == "offsite_worker_not_judged"
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


def record_of(offset: int, facility: str) -> LogRecord:
    return replace(toy_record(offset), facility=facility)


def folding(*facilities: str) -> Counting:
    fold = Counting()
    for offset, facility in enumerate(facilities):
        fold.fold(record_of(offset, facility))
    return fold


def test_what_rises_is_counted_and_the_firm_is_named(caplog: pytest.LogCaptureFixture) -> None:
    sensor, fold = Sensor(), folding(FIRM, OTHER)
    watch = NotJudged(0, sensor)
    watch.begin(fold)
    fold.counts = {FIRM: {"clock_unknown": 2, "report_unread": 1}, OTHER: {"clock_unknown": 1}}
    with caplog.at_level(logging.WARNING, "streams.notjudged"):
        watch.look(fold, [FIRM])
        assert told(sensor) == {"clock_unknown": 2, "report_unread": 1}
        watch.look(fold, [OTHER, FIRM])
    assert told(sensor) == {"clock_unknown": 3, "report_unread": 1}
    assert [record.getMessage() for record in caplog.records] == [
        f"partition 0: of {FIRM} rules could not judge or keep: clock_unknown 2, report_unread 1",
        f"partition 0: of {OTHER} rules could not judge or keep: clock_unknown 1",
    ]


def test_what_stands_in_the_snapshots_of_a_start_was_told_before() -> None:
    sensor, fold = Sensor(), folding(FIRM)
    fold.counts = {FIRM: {"clock_unknown": 2}}
    watch = NotJudged(0, sensor)
    watch.begin(fold)
    watch.look(fold, [FIRM])
    assert told(sensor) == {}
    fold.counts = {FIRM: {"clock_unknown": 3}}
    watch.look(fold, [FIRM])
    assert told(sensor) == {"clock_unknown": 1}


def test_a_firm_that_is_not_folded_is_not_asked_and_one_that_counts_less_begins_anew() -> None:
    """A quarantined one has no state; one that was folded anew from its first record may count less, and says nothing by that."""
    sensor, fold = Sensor(), folding(FIRM)
    watch = NotJudged(0, sensor)
    watch.begin(fold)
    watch.look(fold, [OTHER])
    fold.counts = {FIRM: {"fact_dropped": 5}}
    watch.look(fold, [FIRM])
    fold.counts = {}
    watch.look(fold, [FIRM])
    fold.counts = {FIRM: {"fact_dropped": 1}}
    watch.look(fold, [FIRM])
    assert told(sensor) == {"fact_dropped": 6}


async def test_a_checkpoint_looks_at_those_whose_snapshot_is_due_and_a_start_tells_nothing_again() -> None:
    broker, fold = MemoryBroker(), Counting()
    tenure = await tenure_of(broker, fold)
    for offset in range(3):
        tenure.feed(record_of(offset, FIRM))
    fold.counts = {FIRM: {"document_too_large": 1}}
    await checkpoint(tenure)
    assert told(tenure._sensor) == {}, "its snapshot is not due yet"
    await tenure.close()
    assert told(tenure._sensor) == {"document_too_large": 1}
    line = b'offsite_worker_not_judged_total{what="document_too_large"} 1.0'
    assert line in generate_latest(tenure._sensor.registry)
    after = Counting()
    after.counts = fold.counts
    again = await tenure_of(broker, after)
    again.feed(record_of(3, FIRM))
    await again.close()
    assert told(again._sensor) == {}


def log_of(*payloads: Any) -> list[LogRecord]:
    facility = Facility.model_validate(
        {
            "id": FIRM, "name": {"zh": "某厂", "en": "A firm"}, "jurisdiction": "110000", "scopes": [{"field": "manufacture", "line": "drug"}],
            "areas": [], "sensors": [],
        }
    )  # fmt: skip
    register = LogRecord(0, 0, BEGIN, Kind.REGISTER, FIRM, RegisterRecord(version=1, facility=facility))
    rest = [LogRecord(0, n, BEGIN + n, Kind.REPORT, FIRM, payload) for n, payload in enumerate(payloads, 1)]
    return [register, *rest]


def test_the_engine_says_what_it_could_not_judge_of_a_firm_and_nothing_of_what_is_in_order() -> None:
    odd = Report.model_validate(
        {"type": "adr-case", "id": "R-1", "revision": 1, "sent": BEGIN, "fields": {"case_id": 7}}
    )
    engine = Engine(default_bundle())
    for record in log_of(odd):
        engine.fold(record)
    assert engine.not_judged(0, FIRM) == {"lot_unread": 1, "report_unread": 1}
    assert engine.counters(0, FIRM)["rows"] == 0
    again = Engine(default_bundle())
    again.restore(0, FIRM, engine.snapshot(0, FIRM))
    assert again.not_judged(0, FIRM) == {"lot_unread": 1, "report_unread": 1}, "a start knows it from the snapshot"


def test_every_counter_of_the_engine_is_either_in_order_or_told() -> None:
    """A new one has to be put on one side or the other."""
    in_order = {
        "rows", "duplicate", "conflict", "late", "stale", "future", "unknown_tag", "limits_without_room", "batch_repeated", "batch_conflict",
    }  # fmt: skip
    engine = Engine(default_bundle())
    for record in log_of():
        engine.fold(record)
    names = set(engine.counters(0, FIRM))
    told_names = {name for name in names if name.endswith(ENDS)}
    assert {"report_unread", "clock_unknown", "clock_left_out", "document_too_large", "fact_dropped"} <= told_names
    assert not told_names & in_order
    assert not_judged(dict.fromkeys(names, 1)) == dict.fromkeys(told_names, 1)


def test_lots_say_it_by_partition_and_not_here() -> None:
    assert LotWorkerFold(default_bundle()).not_judged(0, "LOT-1") == {}
