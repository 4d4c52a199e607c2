"""A rule that raises is put aside for that facility: it says so, what it had told is unknown, and no other rule notices."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules import emission, silence
from rules.alarms import fold_alarms
from rules.changes import ChangeKind
from rules.engine import Engine
from rules.evaluate import FoldError, evaluate
from rules.fitting import RULE_FAILED
from rules.models import Severity
from rules.pack import default_bundle
from rules.records import Kind, LogRecord, RegisterRecord, Tick
from tests.calibrated import unlisted
from tests.examples import examples
from tests.rules import logs
from tests.rules.failures import hidden_by_nothing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.changes import Change

BUNDLE = unlisted(default_bundle())
STORE, GAP = "cold-chain.store-out", "data-integrity.gap"
BEGIN = logs.BEGIN
MINUTE = 60_000
END = 6 * 3_600_000
QUICK = settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))


class BrokenError(Exception):
    """What a broken rule raises; its text names a place in memory, as many do."""

    def __init__(self) -> None:
        super().__init__(f"broken at {id(self)}")


@contextmanager
def broken(rule: str, *kinds: ChangeKind, error: type[BaseException] = BrokenError) -> Iterator[None]:
    """Let a rule raise where it words a change of these kinds."""
    word, word_group = emission.message, silence.group_message

    def message(instance: Any, kind: ChangeKind, value: float) -> Any:
        if instance.rule.id == rule and kind in kinds:
            raise error
        return word(instance, kind, value)

    def group_message(place: str, kind: ChangeKind) -> Any:
        if rule == GAP and kind in kinds:
            raise error
        return word_group(place, kind)

    with patch.object(emission, "message", message), patch.object(silence, "group_message", group_message):
        yield


def log_of(*values: float, tags: tuple[str, ...] = ("T0",), area: str = "A1") -> list[LogRecord]:
    """A reading a minute, received with its minute, behind the register."""
    entity = logs.facility([(tag, area, 60) for tag in tags])
    entries = [
        (BEGIN + i * MINUTE, [logs.Row(tag, BEGIN + i * MINUTE, value) for tag in tags])
        for i, value in enumerate(values, 1)
    ]
    return logs.records(entity, entries)


def behind(log: list[LogRecord], received: int, kind: Kind, payload: Any, facility: str = "") -> LogRecord:
    return LogRecord(0, log[-1].offset + 1, received, kind, facility, payload)


def run(log: list[LogRecord], engine: Engine | None = None) -> list[Change]:
    engine = engine or Engine(BUNDLE)
    return [change for record in log for change in engine.fold(record)]


def told(changes: list[Change], rule: str) -> list[str]:
    return [change.change.value for change in changes if change.rule == rule]


def failed(changes: list[Change]) -> set[str]:
    return {change.subject["system"] for change in changes if change.rule == RULE_FAILED}


def without(changes: list[Change], rules: set[str]) -> list[dict[str, Any]]:
    """Leave out what failed, and who speaks of one silence that several rules see: a rule that is put aside does not."""
    whose = {change.alarm: change.rule for change in changes}
    return [
        {**c.to_json(), "seq": 0}
        for c in changes
        if c.rule not in {RULE_FAILED, *rules} and (c.by is None or whose[c.by] == c.rule)
    ]


def test_what_a_failed_step_had_emitted_is_taken_back_and_the_failure_is_told_instead() -> None:
    log = log_of(5, 9, 9, 9)
    with broken(STORE, ChangeKind.RAISED):
        changes = run(log)
    assert [(c.seq, c.rule, c.change.value, c.subject) for c in changes] == [
        (1, RULE_FAILED, "raised", {"system": STORE})
    ]
    (failed,) = changes
    assert failed.severity is Severity.ORANGE, "default-rules-2.md §13"
    assert failed.source is not None
    assert failed.source.offset == log[3].offset
    assert failed.evidence.leaves[0].left == "BrokenError", "the text of an error names places in memory"
    assert [read.id for read in failed.evidence.records] == [log[3].payload.batch]  # type: ignore[union-attr]
    assert STORE in failed.message.en
    assert STORE in failed.message.zh


def test_an_alarm_that_a_failed_rule_had_raised_is_unknown_and_never_cleared() -> None:
    log = log_of(5, 9, 9, 9, 5, 5, 5, 5)
    with broken(STORE, ChangeKind.CLEARED):
        changes = run(log)
    assert told(changes, STORE) == ["raised", "unknown"]
    assert changes[-1].end is None
    assert [c.seq for c in changes] == [1, 2, 3]
    states = {alarm.rule: alarm.status for alarm in fold_alarms(changes)}
    assert states == {STORE: "unknown", RULE_FAILED: "active"}


def test_a_rule_put_aside_stays_so_across_a_restart() -> None:
    log = log_of(5, 9, 9, 9, 5, 5, 5, 5, 9, 9, 9)
    with broken(STORE, ChangeKind.CLEARED):
        first, second = Engine(BUNDLE), Engine(BUNDLE)
        whole = run(log)
        changes = run(log[:8], first)
        snapshot = first.snapshot(0, logs.FACILITY)
        second.restore_partition(0, first.partition_state(0))
        second.restore(0, logs.FACILITY, snapshot)
        assert second.snapshot(0, logs.FACILITY) == snapshot
        assert changes + run(log[8:], second) == whole


def test_new_packs_let_it_begin_anew_and_its_old_alarms_end() -> None:
    log = log_of(5, 9, 9, 9, 5, 5, 5, 5)
    now = log[-1].received
    log.append(behind(log, now + 1, Kind.PACKS, BUNDLE.to_record()))
    rows = [logs.Row("T0", now + i * MINUTE, value) for i, value in enumerate((5, 9, 9, 9), 1)]
    for row in rows:
        log.append(behind(log, row.t, Kind.READINGS, logs.readings([row], f"again-{row.t}"), logs.FACILITY))
    engine = Engine(BUNDLE)
    with broken(STORE, ChangeKind.CLEARED):
        changes = run(log[:9], engine)
    ended = run(log[9:10], engine)
    assert [(c.rule, c.change.value) for c in ended] == [(STORE, "cleared"), (RULE_FAILED, "cleared")]
    assert ended[0].alarm == changes[0].alarm
    assert told(run(log[10:], engine), STORE) == ["raised"]


def test_a_rule_that_fails_again_at_the_same_instant_gets_another_alarm() -> None:
    log = log_of(5, 9, 9, 9, 9)
    log.insert(4, LogRecord(0, 4, log[3].received, Kind.PACKS, "", BUNDLE.to_record()))
    again = [LogRecord(0, i, r.received, r.kind, r.facility, r.payload) for i, r in enumerate(log)]
    with broken(STORE, ChangeKind.RAISED):
        changes = run([*again, *log_tail(again)])
    raised = [c.alarm for c in changes if c.rule == RULE_FAILED and c.change == "raised"]
    assert len(raised) == len(set(raised)) >= 2


def log_tail(log: list[LogRecord]) -> list[LogRecord]:
    now = log[-1].received
    rows = [logs.Row("T0", now + i, 9.0) for i in (1, 2)]
    return [
        LogRecord(0, log[-1].offset + i, log[-1].received, Kind.READINGS, logs.FACILITY, logs.readings([row], f"t{i}"))
        for i, row in enumerate(rows, 1)
    ]


@pytest.mark.parametrize("kind", [ChangeKind.RAISED, ChangeKind.SUPPRESSED, ChangeKind.RETRACTED])
def test_a_silence_that_fails_takes_no_other_rule_along(kind: ChangeKind) -> None:
    log = log_of(5, 9, 9, 9, tags=("T0", "T1"))
    now, hour = log[-1].received, 3_600_000
    # Said by a worker's tick while the door was closed, taken back when it opens; then said in earnest.
    for role, at in (("gateway", now + 1), ("worker", now + 2 * hour), ("gateway", now + 5 * hour)):
        log.append(behind(log, at, Kind.TICK, Tick(by="t", role=role, now=0)))  # type: ignore[arg-type]
    sound = run(log)
    with broken(GAP, kind):
        changes = run(log)
    assert GAP in failed(changes)
    assert STORE not in failed(changes)
    assert without(changes, failed(changes)) == without(sound, failed(changes))
    assert [c.seq for c in changes] == list(range(1, len(changes) + 1))
    assert not [a for a in fold_alarms(changes) if a.rule in failed(changes) and a.status == "active"]


def test_a_register_that_no_longer_watches_goes_on_where_the_farewell_fails() -> None:
    log = log_of(5, 9, 9, 9, tags=("T0", "T1"))
    fewer = RegisterRecord(version=2, facility=logs.facility([("T1", "A1", 60)]))
    log.append(behind(log, log[-1].received + 1, Kind.REGISTER, fewer, logs.FACILITY))
    words = "rules.emission.unwatched"
    with patch(words, side_effect=BrokenError):
        changes = run(log)
    assert told(changes, RULE_FAILED) == ["raised"]
    assert told(changes, STORE) == ["raised", "raised", "unknown", "unknown"]


def test_more_rules_on_one_series_than_there_is_room_for_are_no_endless_loop() -> None:
    log = log_of(5, 9, 9, 9)
    engine = Engine(BUNDLE)
    engine._room.out = engine._room.out[:3].copy()
    assert run(log, engine) == run(log)


def test_memory_that_runs_out_says_nothing_of_a_rule() -> None:
    with broken(STORE, ChangeKind.RAISED, error=MemoryError), pytest.raises(MemoryError):
        run(log_of(5, 9, 9, 9))


def test_the_process_hears_what_was_raised_and_the_log_does_not() -> None:
    heard: list[tuple[str, str, Exception]] = []
    engine = Engine(BUNDLE, on_failure=lambda *failure: heard.append(failure))
    with broken(STORE, ChangeKind.RAISED):
        run(log_of(5, 9, 9, 9), engine)
    ((facility, rule, error),) = heard
    assert (facility, rule) == (logs.FACILITY, STORE)
    assert isinstance(error, BrokenError)


failures = st.tuples(
    st.sampled_from([STORE, GAP, "data-integrity.frozen", "cell-storage.vapour-high"]),
    st.sets(st.sampled_from(ChangeKind), min_size=1, max_size=3),
)


@given(logs.logs(), failures)
@QUICK
def test_whatever_fails_the_others_say_the_same_and_the_sequence_is_dense(
    drawn: Any, failure: tuple[str, set[ChangeKind]]
) -> None:
    log = logs.records(*drawn)
    until = max(r.received for r in log) + END
    sound = evaluate(log, BUNDLE, until_ms=until)
    with broken(failure[0], *failure[1]):
        changes = evaluate(log, BUNDLE, until_ms=until)
        assert evaluate(log, BUNDLE, until_ms=until) == changes
    assert without(changes, failed(changes)) == without(sound, failed(changes))
    assert [c.seq for c in changes] == list(range(1, len(changes) + 1))
    assert not [a for a in fold_alarms(changes) if a.rule in failed(changes) and a.status == "active"]
    assert not hidden_by_nothing(changes)


@given(logs.logs(), failures, st.data())
@QUICK
def test_a_restart_anywhere_changes_nothing_where_a_rule_fails(
    drawn: Any, failure: tuple[str, set[ChangeKind]], data: st.DataObject
) -> None:
    log = logs.records(*drawn)
    log.append(behind(log, max(r.received for r in log) + END, Kind.PACKS, BUNDLE.to_record()))
    cut = data.draw(st.integers(1, len(log)))
    with broken(failure[0], *failure[1]):
        whole = run(log)
        first, second = Engine(BUNDLE), Engine(BUNDLE)
        changes = run(log[:cut], first)
        second.restore_partition(0, first.partition_state(0))
        second.restore(0, drawn[0].id, first.snapshot(0, drawn[0].id))
        assert changes + run(log[cut:], second) == whole


def ticking(log: list[LogRecord], distance: int) -> list[LogRecord]:
    """Return the log with a worker's tick every so often between its records, of which the clock never goes back."""
    found: list[LogRecord] = []
    for record in log:
        now = max([record.received, *(one.received for one in found[-1:])])
        at = found[-1].received + distance if found else now
        while at < now:
            found.append(LogRecord(0, len(found), at, Kind.TICK, "", Tick(by="t", role="worker", now=at)))
            at += distance
        found.append(LogRecord(0, len(found), now, record.kind, record.facility, record.payload))
    return found


def unplaced(changes: list[Change]) -> list[dict[str, Any]]:
    """Return all that changes say but where their record stands (contracts.md §4)."""
    return [{name: value for name, value in c.to_json().items() if name != "source"} for c in changes]


def silent_log() -> list[LogRecord]:
    """Two series of which one falls silent: the clock raises that before the row of the other at 6 min is read."""
    log = log_of(5, 5.1, tags=("T0", "T1"))
    rows = [logs.Row("T1", BEGIN + 6 * MINUTE, 5.0)]
    return [*log, behind(log, BEGIN + 6 * MINUTE, Kind.READINGS, logs.readings(rows, "mover"), logs.FACILITY)]


def test_the_evidence_of_what_failed_by_the_clock_names_no_record_that_only_moved_it() -> None:
    log = silent_log()
    with broken(GAP, ChangeKind.RAISED):
        sparse, dense = run(log), run(ticking(log, MINUTE // 2))
    (one,) = [c for c in sparse if c.rule == RULE_FAILED]
    assert (one.received, one.evidence.records) == (BEGIN + 5 * MINUTE, [])
    assert one.source is not None
    assert one.source.offset == log[-1].offset
    assert unplaced(sparse) == unplaced(dense)


@given(logs.logs(doors=False), st.none() | failures, st.integers(10_000, 800_000))
@QUICK
def test_more_ticks_change_nothing_of_what_failures_say_their_evidence_included(
    drawn: Any, failure: tuple[str, set[ChangeKind]] | None, distance: int
) -> None:
    log = ticking([r for r in logs.records(*drawn) if r.kind is not Kind.TICK], 1 << 60)
    until = log[-1].received + END
    with broken(failure[0], *failure[1]) if failure else nullcontext():
        sparse = evaluate(log, BUNDLE, until_ms=until)
        dense = evaluate(ticking(log, distance), BUNDLE, until_ms=until)
    assert unplaced(dense) == unplaced(sparse)


def test_an_error_that_is_no_rules_names_its_record_offline_and_the_others_can_be_evaluated() -> None:
    log = log_of(5, 9, 9, 9)
    log.append(behind(log, log[-1].received + 1, Kind.READINGS, log[1].payload, "OTHER-0001"))

    def unsound(_: Engine, state: Any, *__: Any) -> None:
        if state.facility == "OTHER-0001":
            raise IndexError("no such row")

    with patch.object(Engine, "_readings", unsound):
        with pytest.raises(FoldError, match="partition 0 offset 5, OTHER-0001: IndexError: no such row"):
            evaluate(log, BUNDLE)
        assert {c.stream for c in evaluate(log, BUNDLE, facility=logs.FACILITY)} <= {logs.FACILITY}
