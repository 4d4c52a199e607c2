"""A log cut in time goes on exactly as the whole log does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.evaluate import evaluate
from rules.pack import Bundle, default_bundle
from rules.records import Kind, LogRecord, Rejected, Tick
from streams.cut import cut_log
from streams.jsonlines import format_line, read_lines
from tests.coldlog import BEGIN, MINUTE, excursion

if TYPE_CHECKING:
    from collections.abc import Iterable

UNTIL = BEGIN + 400 * MINUTE
LOG = [
    *excursion("BJ-ONE", partition=0).records,
    *excursion("BJ-TWO", partition=2).records,
]


def two_in_one_partition() -> list[LogRecord]:
    north, south = excursion("BJ-NORTH").records, excursion("BJ-SOUTH").records[:7]
    mixed = sorted([*north, *south], key=lambda record: record.received)
    return [replace(record, offset=offset) for offset, record in enumerate(mixed)]


def read_back(records: Iterable[LogRecord | Rejected]) -> list[LogRecord]:
    """Return the records as a user reads them: through the lines of the dump."""
    return list(read_lines([format_line(record) for record in records if isinstance(record, LogRecord)]))


def lines(changes: Iterable[Any]) -> list[dict[str, Any]]:
    return [change.to_json(source=False) for change in changes]


def cut(log: list[LogRecord], since: int | None, until: int | None = None) -> list[LogRecord]:
    return read_back(cut_log(log, default_bundle(), since_ms=since, until_ms=until))


def test_without_bounds_the_log_is_as_it_was() -> None:
    assert cut(LOG, None) == LOG


def test_until_leaves_out_what_was_received_from_then_on() -> None:
    at = LOG[4].received
    assert cut(LOG, None, at) == [record for record in LOG if record.received < at]


@pytest.mark.parametrize("log", [LOG, two_in_one_partition()], ids=["two partitions", "one partition"])
@given(minute=st.integers(-3, 30))
def test_changes_before_and_after_the_cut_are_those_of_the_whole(log: list[LogRecord], minute: int) -> None:
    since = BEGIN + minute * MINUTE
    before = evaluate([record for record in log if record.received < since], default_bundle())
    after = evaluate(cut(log, since), default_bundle(), until_ms=UNTIL)
    whole = evaluate(log, default_bundle(), until_ms=UNTIL)
    joined = sorted([*before, *after], key=lambda change: (change.stream, change.seq))
    assert lines(joined) == lines(whole)


def test_a_cut_begins_with_ticks_and_state_of_every_facility() -> None:
    log = two_in_one_partition()
    since = BEGIN + 16 * MINUTE
    found = cut(log, since)
    tick, *rest = found
    assert tick.kind is Kind.TICK
    assert [(record.kind, record.facility) for record in rest[:2]] == [
        (Kind.STATE, "BJ-NORTH"),
        (Kind.STATE, "BJ-SOUTH"),
    ]
    assert rest[2:] == [record for record in log if record.received >= since]


def test_a_cut_behind_the_end_is_state_alone() -> None:
    found = cut(LOG, UNTIL)
    assert [(record.partition, record.kind) for record in found] == [
        (0, Kind.TICK),
        (0, Kind.STATE),
        (2, Kind.TICK),
        (2, Kind.STATE),
    ]
    assert lines(evaluate(found, default_bundle(), until_ms=UNTIL)) == [
        change.to_json(source=False)
        for change in evaluate(LOG, default_bundle(), until_ms=UNTIL)
        if change.received > LOG[-1].received
    ]


def test_a_cut_before_the_beginning_is_the_whole_log() -> None:
    assert cut(LOG, 0) == LOG


def test_the_packs_in_force_come_along() -> None:
    first = LOG[0]
    packs = replace(first, kind=Kind.PACKS, facility="", payload=default_bundle().to_record())
    log = [packs, *(replace(record, offset=record.offset + 1) for record in LOG if record.partition == 0)]
    found = read_back(cut_log(log, Bundle.of([], []), since_ms=BEGIN + 16 * MINUTE, until_ms=None))
    assert [record.kind for record in found[:3]] == [Kind.PACKS, Kind.TICK, Kind.STATE]
    after = evaluate(found, Bundle.of([], []), until_ms=UNTIL)
    whole = evaluate(log, Bundle.of([], []), until_ms=UNTIL)
    assert lines(after) == lines(whole)[-len(after) :]
    assert after


def test_a_closed_door_across_the_cut_is_still_seen() -> None:
    log = [record for record in LOG if record.partition == 0]
    tick = log[-1].payload
    assert isinstance(tick, Tick)
    # The workers go on ticking while the gateway is away: the newest tick alone would not tell.
    worker = replace(
        log[-1], offset=98, received=BEGIN + 90 * MINUTE, payload=tick.model_copy(update={"role": "worker"})
    )
    log = [*log, worker, replace(log[-1], offset=99, received=BEGIN + 200 * MINUTE)]
    since = BEGIN + 100 * MINUTE
    after = evaluate(cut(log, since), default_bundle(), until_ms=UNTIL)
    whole = evaluate(log, default_bundle(), until_ms=UNTIL)
    assert lines(after) == lines(whole)[-len(after) :]
    assert lines(whole) != lines(
        evaluate(log[:-1], default_bundle(), until_ms=UNTIL)
    )  # the closed door made a difference


def test_a_cut_can_be_cut_again() -> None:
    since, later = BEGIN + 8 * MINUTE, BEGIN + 17 * MINUTE
    twice = cut(cut(LOG, since), later)
    once = cut(LOG, later)
    assert lines(evaluate(twice, default_bundle(), until_ms=UNTIL)) == lines(
        evaluate(once, default_bundle(), until_ms=UNTIL)
    )


def test_what_cannot_be_decoded_is_left_out_before_the_cut_and_passed_on_after_it() -> None:
    def broken(at: LogRecord) -> Rejected:
        return Rejected(at.partition, at.offset, at.received, at.facility, "undecodable", "x", b"")

    log: list[LogRecord | Rejected] = [broken(LOG[0]), *LOG[1:5], broken(LOG[5])]
    found = list(cut_log(log, default_bundle(), since_ms=LOG[3].received, until_ms=None))
    assert [isinstance(record, Rejected) for record in found] == [False] * (len(found) - 1) + [True]
