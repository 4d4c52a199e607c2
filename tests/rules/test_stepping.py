"""Whoever listens hears for whom a record of all is folded, before it is, and nobody whom it does not concern."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from rules.engine import DOOR_CLOSED_MS, Engine
from rules.pack import default_bundle
from rules.records import Kind, LogRecord, RegisterRecord, Tick
from tests.examples import examples
from tests.rules import logs

if TYPE_CHECKING:
    from typing import Any

BUNDLE = default_bundle().only(
    {rule.id for rule in default_bundle().rules} - {"data-integrity.effective-rate"}
)  # due of all facilities at one instant
OTHER = BUNDLE.only({"data-integrity.gap"})
NAMES = ("FIRM-A", "FIRM-B")


def registered() -> tuple[Engine, list[tuple[int, str]]]:
    """Two facilities whose only sensors are due an hour apart, and what is heard of their engine."""
    engine, heard = Engine(BUNDLE), []
    for offset, name in enumerate(NAMES):
        facts = logs.facility([("T0", "A1", 60 + 3_600 * offset)]).model_copy(update={"id": name})
        register = RegisterRecord(version=1, facility=facts)
        engine.fold(LogRecord(5, offset, logs.BEGIN, Kind.REGISTER, name, register))
    engine.stepping = lambda partition, facility: heard.append((partition, facility))
    return engine, heard


def due(engine: Engine, name: str) -> int:
    return engine.state_of(name).next_due


def tick(offset: int, received: int, role: str = "worker") -> LogRecord:
    return LogRecord(5, offset, received, Kind.TICK, "", Tick(by="t", role=role, now=received))  # type: ignore[arg-type]


def test_a_tick_is_heard_for_whom_something_is_due_and_then_for_nobody() -> None:
    engine, heard = registered()
    first, second = due(engine, "FIRM-A"), due(engine, "FIRM-B")
    assert first < second
    for offset, at, names in (
        (2, first - 1, []),
        (3, first, ["FIRM-A"]),
        (4, max(second, due(engine, "FIRM-A")), None),
    ):
        heard.clear()
        changes = engine.fold(tick(offset, at))
        if names is not None:
            assert heard == [*((5, name) for name in names), (5, "")]
        assert {change.facility for change in changes} <= {name for _, name in heard}
    assert (5, "FIRM-B") in heard


def test_packs_and_a_door_that_was_closed_are_heard_for_everybody() -> None:
    engine, heard = registered()
    engine.fold(LogRecord(5, 2, logs.BEGIN + 1, Kind.PACKS, "", OTHER.to_record()))
    assert heard == [*((5, name) for name in NAMES), (5, "")]
    heard.clear()
    engine.fold(tick(3, logs.BEGIN + 2, "gateway"))
    assert heard == [(5, "")]
    heard.clear()
    engine.fold(tick(4, logs.BEGIN + 3 + DOOR_CLOSED_MS, "gateway"))
    assert heard == [*((5, name) for name in NAMES), (5, "")]


def test_whoever_was_heard_last_is_whose_decision_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, heard = registered()

    def decide(_: Engine, state: Any, __: Any) -> None:
        if state.facility == "FIRM-B":
            raise MemoryError("the end of the process")
        state.next_due = due(engine, "FIRM-B") + 1

    monkeypatch.setattr(Engine, "_decide", decide)
    monkeypatch.setattr("rules.places.refresh_due", lambda _: None)
    with pytest.raises(MemoryError):
        engine.fold(tick(2, due(engine, "FIRM-B")))
    assert heard[-1] == (5, "FIRM-B")


def test_a_record_of_ones_own_is_not_heard_and_neither_is_a_fold_beside() -> None:
    engine, heard = registered()
    engine.fold(LogRecord(5, 2, logs.BEGIN + 1, Kind.READINGS, "FIRM-A", logs.readings([], "b2")))
    assert heard == []
    assert (engine.alone().stepping, engine.sibling(BUNDLE.sha256).stepping) == (None, None)


@given(logs.logs())
@settings(max_examples=examples(40), deadline=None)
def test_listening_changes_nothing_and_every_change_of_a_record_of_all_was_heard(drawn: Any) -> None:
    plain, listened, heard = Engine(BUNDLE), Engine(BUNDLE), set()
    listened.stepping = lambda _, facility: heard.add(facility)
    for record in logs.records(*drawn):
        heard.clear()
        changes = listened.fold(record)
        assert changes == plain.fold(record)
        if record.kind in {Kind.TICK, Kind.PACKS}:
            assert {change.facility for change in changes} <= heard
    for name in plain.facilities(0):
        assert listened.snapshot(0, name) == plain.snapshot(0, name)
