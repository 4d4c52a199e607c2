"""Folding a dumped log offline: order, registered facts, state lines, and what is wrong with a log."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from rules.changes import Change, ChangeKind
from rules.engine import Engine
from rules.errors import BadInputError, ContractError
from rules.evaluate import Survey, evaluate, survey
from rules.pack import Bundle, default_bundle
from rules.records import SEMANTICS, Kind, LogRecord, PacksRecord, RegisterRecord, StateRecord
from tests.coldlog import BEGIN, MINUTE, ColdLog, cold_store, excursion

if TYPE_CHECKING:
    from collections.abc import Iterable

RULE = "cold-chain.store-out"


def said(changes: Iterable[Change], rule: str = RULE) -> list[tuple[str, str]]:
    return [(change.facility, change.change.value) for change in changes if change.rule == rule]


def lines(changes: Iterable[Change]) -> list[dict[str, Any]]:
    return [change.to_json(source=False) for change in changes]


def test_an_excursion_is_raised_and_cleared() -> None:
    changes = evaluate(excursion().records, default_bundle())
    assert said(changes) == [("BJ-COLD-01", "raised"), ("BJ-COLD-01", "cleared")]
    raised, cleared = changes
    assert raised.start == BEGIN + 10 * MINUTE
    assert cleared.end == BEGIN + 15 * MINUTE
    assert raised.source is not None
    assert (raised.source.partition, raised.source.offset) == (3, 5)


def test_until_moves_time_past_the_last_record_with_the_door_open() -> None:
    changes = evaluate(excursion().records, default_bundle(), until_ms=BEGIN + 240 * MINUTE)
    silences = [change for change in changes if change.change is ChangeKind.RAISED and change.rule != RULE]
    assert silences
    assert all(change.source is None for change in silences)
    assert evaluate(excursion().records, default_bundle(), until_ms=BEGIN) == evaluate(
        excursion().records, default_bundle()
    )


def test_changes_are_ordered_by_stream_and_seq_whatever_the_order_of_partitions() -> None:
    north, south = excursion("BJ-NORTH", partition=1), excursion("BJ-ANNEX", partition=0)
    mixed = [record for pair in zip(north.records, south.records, strict=True) for record in pair]
    changes = evaluate(mixed, default_bundle())
    assert [(change.stream, change.seq) for change in changes] == [
        ("BJ-ANNEX", 1),
        ("BJ-ANNEX", 2),
        ("BJ-NORTH", 1),
        ("BJ-NORTH", 2),
    ]
    assert lines(changes) == lines(evaluate([*south.records, *north.records], default_bundle()))


def test_one_facility_alone_gives_the_same_changes() -> None:
    log = excursion("BJ-NORTH").records
    second = excursion("BJ-ANNEX", offset=len(log)).records
    mixed = sorted([*log, *second], key=lambda record: record.received)
    together = [replace(record, offset=offset) for offset, record in enumerate(mixed)]
    alone = evaluate(together, default_bundle(), facility="BJ-NORTH")
    assert said(alone) == [("BJ-NORTH", "raised"), ("BJ-NORTH", "cleared")]
    both = evaluate(together, default_bundle())
    assert lines(alone) == lines(change for change in both if change.facility == "BJ-NORTH")


def test_a_facility_that_is_not_in_the_log_has_no_changes() -> None:
    assert evaluate(excursion().records, default_bundle(), facility="BJ-OTHER", until_ms=BEGIN + 99 * MINUTE) == []


@pytest.mark.parametrize("offset", [0, 57])
def test_a_register_file_stands_in_front_of_the_log(offset: int) -> None:
    log = excursion(registered=False, offset=offset).records
    assert evaluate(log, default_bundle()) == []
    changes = evaluate(log, default_bundle(), register=[cold_store()])
    assert said(changes) == [("BJ-COLD-01", "raised"), ("BJ-COLD-01", "cleared")]


def test_the_logs_own_register_record_is_newer_than_the_file() -> None:
    log = excursion().records
    other = cold_store(tags=["OTHER"])
    assert lines(evaluate(log, default_bundle(), register=[other])) == lines(evaluate(log, default_bundle()))


def test_registered_facts_go_to_the_facilitys_partition_or_to_the_lowest() -> None:
    log = [*excursion(partition=5, registered=False).records, *ColdLog(2).tick(0).tick(10).records]
    facts = [cold_store(), cold_store("BJ-SILENT")]
    changes = evaluate(log, default_bundle(), register=facts, until_ms=BEGIN + 300 * MINUTE)
    assert said(changes) == [("BJ-COLD-01", "raised"), ("BJ-COLD-01", "cleared")]
    assert {change.facility for change in changes} == {"BJ-COLD-01", "BJ-SILENT"}


def test_facts_of_other_facilities_are_left_out_with_them() -> None:
    facts = [cold_store(), cold_store("BJ-SILENT")]
    changes = evaluate(
        excursion(registered=False).records,
        default_bundle(),
        register=facts,
        facility="BJ-COLD-01",
        until_ms=BEGIN + 300 * MINUTE,
    )
    assert {change.facility for change in changes} == {"BJ-COLD-01"}


def test_a_survey_lets_the_log_be_folded_as_it_comes() -> None:
    log = excursion(registered=False).records
    found = survey(log)
    assert found == Survey(first={3: (0, log[0].received)}, homes={"BJ-COLD-01": 3})
    changes = evaluate(iter(log), default_bundle(), register=[cold_store()], surveyed=found)
    assert changes == evaluate(log, default_bundle(), register=[cold_store()])


def test_an_empty_log_has_no_changes() -> None:
    assert evaluate([], default_bundle(), register=[cold_store()], until_ms=BEGIN) == []


def packs(bundle: Bundle, at: LogRecord) -> LogRecord:
    return replace(at, kind=Kind.PACKS, facility="", payload=bundle.to_record())


def test_packs_of_the_log_take_over_unless_they_are_to_be_ignored() -> None:
    log = excursion().records
    empty = Bundle.of([], [])
    later = [packs(empty, log[0]), *(replace(record, offset=record.offset + 1) for record in log)]
    assert evaluate(later, default_bundle()) == []
    kept = evaluate(later, default_bundle(), ignore_pack_records=True)
    assert lines(kept) == lines(evaluate(log, default_bundle()))
    assert said(evaluate([packs(default_bundle(), log[0]), *later[1:]], empty)) == said(kept)


@pytest.mark.parametrize("sha256", ["0" * 64, default_bundle().sha256], ids=["any", "of the packs in force"])
def test_a_packs_record_that_is_no_bundle_is_named_with_its_place(sha256: str) -> None:
    log = excursion().records
    record = packs(default_bundle(), log[0])
    assert isinstance(record.payload, PacksRecord)
    broken = replace(record, payload=record.payload.model_copy(update={"bundle": "AAAA", "sha256": sha256}))
    with pytest.raises(BadInputError) as caught:
        evaluate([broken], default_bundle())
    assert caught.value.faults[0].pointer.startswith("partition 3 offset 0")


def test_packs_of_another_engine_are_refused() -> None:
    record = packs(default_bundle(), excursion().records[0])
    assert isinstance(record.payload, PacksRecord)
    foreign = replace(
        record, payload=record.payload.model_copy(update={"semantics": SEMANTICS + 1, "sha256": "0" * 64})
    )
    with pytest.raises(ContractError):
        evaluate([foreign], default_bundle())


def state_line(engine: Engine, record: LogRecord, **changes: Any) -> LogRecord:
    snapshot = engine.snapshot(record.facility)
    state = StateRecord.model_validate(
        {
            "format": 1,
            "semantics": SEMANTICS,
            "packs": engine.bundle.sha256,
            "clock": record.received,
            "seq": 0,
            "snapshot": base64.b64encode(snapshot).decode(),
            "checksum": hashlib.sha256(snapshot).hexdigest(),
            **changes,
        }
    )
    return replace(record, kind=Kind.STATE, payload=state)


@pytest.mark.parametrize("cut", [2, 5, 6, 8, 11])
def test_a_cut_log_that_begins_with_state_goes_on_as_the_whole_log_does(cut: int) -> None:
    log = excursion().records
    until = BEGIN + 300 * MINUTE
    engine = Engine(default_bundle())
    before = [change for record in log[:cut] for change in engine.fold(record)]
    own = [record for record in log[:cut] if record.facility]
    ticks = [record for record in log[:cut] if record.kind is Kind.TICK][-1:]
    after = evaluate([*ticks, state_line(engine, own[-1]), *log[cut:]], default_bundle(), until_ms=until)
    assert lines([*before, *after]) == lines(evaluate(log, default_bundle(), until_ms=until))
    assert after


@pytest.mark.parametrize(
    "changes",
    [
        {"checksum": "0" * 64},
        {"semantics": SEMANTICS + 1},
        {"snapshot": "AAAA", "checksum": hashlib.sha256(b"\0\0\0").hexdigest()},
        {"snapshot": "no base64!"},
    ],
)
def test_a_broken_state_line_is_named_with_its_place(changes: dict[str, Any]) -> None:
    log = excursion().records
    engine = Engine(default_bundle())
    engine.fold(log[0])
    with pytest.raises(BadInputError) as caught:
        evaluate([state_line(engine, log[0], **changes)], default_bundle())
    assert [(fault.pointer, fault.code) for fault in caught.value.faults] == [
        ("partition 3 offset 0", "snapshot_broken")
    ]


def test_state_of_packs_that_are_not_here_is_refused() -> None:
    log = excursion().records
    engine = Engine(default_bundle())
    engine.fold(log[0])
    with pytest.raises(BadInputError, match="log"):
        evaluate([state_line(engine, log[0])], Bundle.of([], []))


def test_a_second_run_gives_the_same_lines() -> None:
    first, second = (evaluate(excursion().records, default_bundle(), until_ms=BEGIN + 300 * MINUTE) for _ in range(2))
    assert lines(first) == lines(second)
    assert first


def test_a_log_that_registers_later_is_judged_from_there() -> None:
    log = ColdLog()
    log.rows(0, [9.5] * 5)
    log.append(5, Kind.REGISTER, "BJ-COLD-01", RegisterRecord(version=1, facility=cold_store()))
    log.rows(6, [9.5] * 3)
    assert [change.start for change in evaluate(log.records, default_bundle()) if change.rule == RULE] == [
        BEGIN + 6 * MINUTE
    ]
