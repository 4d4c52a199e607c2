"""Who else reads and writes hours and days that are over: tenures that crash, a refold, `state check`, a backup (ADR 0084)."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings

from monitor.archive.chunkfile import RawRecord
from monitor.backup import kafkaparts
from rules.engine import Engine
from streams import repair
from streams.checkpoint import Origin, StateRows
from streams.lotfold import LotWorkerFold
from streams.refold import Known, Refold
from streams.restore import restore_partition
from streams.topics import STATE
from streams.worker_settings import WorkerSettings
from tests.rules.byhand import FACILITY
from tests.rules.test_claims_by_hand import BUNDLE
from tests.streams.lab import judge, offline
from tests.streams.test_closed_hours import Site, days, whole
from tests.streams.test_tenure import SETTINGS, STEPS, MemoryBroker, published, run_with_crashes

if TYPE_CHECKING:
    from rules.records import LogRecord

LOG = days(7).records()


def stands(broker: MemoryBroker) -> StateRows:
    return broker.state(SETTINGS.state_topic)


@settings(max_examples=8, deadline=None)
@given(plan=STEPS)
def test_tenures_that_crash_anywhere_leave_the_state_of_one_that_never_did(plan: list[tuple[str, int]]) -> None:
    broker = asyncio.run(run_with_crashes(LOG, plan, lambda: Engine(BUNDLE)))
    judge(published(broker), offline(list(LOG), Engine(BUNDLE)))
    assert stands(broker).damaged() == {}
    assert stands(broker).closed(FACILITY)
    assert stands(broker).snapshot(FACILITY) == whole(days(7)).snapshot(0, FACILITY)


def refold(records: list[LogRecord]) -> Refold:
    made = Refold(0, Engine(BUNDLE), Known(), WorkerSettings(placed=False), records[-1].offset + 1)
    made.from_beginning(Origin(offset=0, packs=BUNDLE.sha256))
    made.run(records, told=0)
    made.finish()
    return made


def rows_of(written: list[Any]) -> StateRows:
    rows = StateRows(0)
    for row in written:
        rows.add(row.key, row.value, row.headers)
    return rows


def test_a_refold_writes_them_and_forgets_those_of_before() -> None:
    written = refold(LOG).state([f"{FACILITY}~h1", f"{FACILITY}~h2#1", "GONE-1~d3"])
    assert {row.key for row in written if row.value is None} == {
        f"{FACILITY}~h1".encode(), f"{FACILITY}~h2#1".encode(), b"GONE-1~d3",
    }  # fmt: skip
    rows = rows_of(written)
    assert rows.snapshot(FACILITY) == whole(days(7)).snapshot(0, FACILITY)
    assert len(rows.closed(FACILITY)) > 5


def test_a_refold_goes_on_from_them() -> None:
    made = Refold(0, Engine(BUNDLE), Known(), WorkerSettings(placed=False), LOG[-1].offset + 1)
    begin = asyncio.run(made.from_state(rows_of(refold(LOG[:30]).state([]))))
    assert begin == 30
    made.run(LOG[30:], told=0)
    assert rows_of(made.state([])) == rows_of(refold(LOG).state([]))


def test_a_state_record_holds_all_of_them() -> None:
    """Seeds of an upgrade stand in the log, alone: nothing stands beside them."""
    ((name, seed),) = refold(LOG).seeds()
    assert base64.b64decode(seed.snapshot) == whole(days(7)).snapshot(0, name)


def judged(site: Site) -> repair.Standing:
    return repair._judge(site.rows, site.next, site.next, published=True, begins=0)


def test_state_check_says_whose_are_damaged() -> None:
    site = Site()
    site.fold(LOG)
    assert "anew" not in judged(site).why
    del site.topic[sorted(key for key in site.topic if b"~h" in key)[2]]
    found = judged(site)
    assert found.verdict == "whole", "a worker starts, and folds that facility anew"
    assert f"a worker folds {FACILITY} anew" in found.why
    assert "2026-03-03" in found.why


@dataclass
class Reading:
    """A state topic that is compacted while it is read: at first a record is missing."""

    whole: list[RawRecord]
    lacking: int
    asked: int = 0

    def raws(self, _log: Any, _place: Any) -> list[RawRecord]:
        self.asked += 1
        gone = next(r.key for r in self.whole if r.key is not None and b"~h" in r.key)
        return [r for r in self.whole if r.key != gone] if self.asked <= self.lacking else self.whole


@pytest.mark.parametrize(
    ("lacking", "asked", "is_whole"), [(0, 1, True), (1, 2, True), (99, kafkaparts.ATTEMPTS, False)]
)
def test_a_backup_reads_again_what_was_compacted_under_it(
    monkeypatch: pytest.MonkeyPatch, lacking: int, asked: int, is_whole: bool
) -> None:
    site = Site()
    site.fold(LOG)
    records = [
        RawRecord(i, 0, 1, key, [(name.encode(), value) for name, value in headers], value)
        for i, (key, (value, headers)) in enumerate(site.topic.items())
    ]
    reading = Reading(records, lacking)
    monkeypatch.setattr(kafkaparts, "_raws", reading.raws)
    log: Any = SimpleNamespace(bounds=lambda _: (0, 99))
    found = kafkaparts._latest(log, STATE, (0, 0, 99))
    assert reading.asked == asked
    rows = kafkaparts.state_rows(0, found)
    assert (rows.damaged() == {}) == is_whole
    if is_whole:
        engine = Engine(BUNDLE)
        assert not asyncio.run(restore_partition(engine, rows, None, (0, 1 << 40))).bad
        assert engine.snapshot(0, FACILITY) == site.engine.snapshot(0, FACILITY)


def test_lots_have_nothing_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    fold = LotWorkerFold(BUNDLE)
    monkeypatch.setattr(fold, "snapshot", lambda partition, name: f"{partition} {name}".encode())
    assert fold.apart(3, "LOT-X") == (b"3 LOT-X", ())
