"""The golden files: the logs are those of the scenarios, and `offsite evaluate` gives the changes byte for byte, however it is asked.

Beside the bytes each story stands in short, so that a person sees what is meant: (change, rule, colour, start, end), in minutes.
"""

from __future__ import annotations

from typing import Any

import pytest

from monitor.cli import main
from rules.changes import ChangeKind
from rules.engine import Engine
from rules.instants import format_instant
from rules.pack import load_bundle
from streams.jsonlines import read_lines
from tests.golden.make import HERE, PACK, changes_of, log_of
from tests.golden.scenarios import ALL
from tests.rules.byhand import ms, since

SCENARIOS = {scenario.name: scenario for scenario in (make() for make in ALL)}
STORIES: dict[str, list[tuple[str, str, str, float | None, float | None]]] = {
    "late-inside-the-horizon": [
        ("raised", "store-out", "orange", 131.0, None),
        ("cleared", "store-out", "orange", 131.0, 134.0),
        ("retracted", "store-out", "orange", 131.0, 134.0),
        ("raised", "gap", "blue", 138.0, None),
    ],
    "splits-one-in-two": [
        ("raised", "store-out", "orange", 131.0, None),
        ("raised", "gap", "blue", 133.0, None),
        ("cleared", "gap", "blue", 133.0, 137.0),
        ("cleared", "store-out", "orange", 131.0, 139.0),
        ("amended", "store-out", "orange", 131.0, 133.0),
        ("raised", "store-out", "orange", 137.0, None),
        ("cleared", "store-out", "orange", 137.0, 139.0),
        ("retracted", "gap", "blue", 133.0, 137.0),
        ("raised", "gap", "blue", 142.0, None),
        ("stepped", "gap", "yellow", 142.0, None),
    ],
    "joins-two": [
        ("raised", "store-out", "orange", 131.0, None),
        ("raised", "gap", "blue", 133.0, None),
        ("retracted", "gap", "blue", 133.0, 134.0),
        ("cleared", "store-out", "orange", 131.0, 134.0),
        ("raised", "gap", "blue", 137.0, None),
        ("cleared", "gap", "blue", 137.0, 139.0),
        ("raised", "store-out", "orange", 139.0, None),
        ("raised", "gap", "blue", 141.0, None),
        ("retracted", "gap", "blue", 141.0, 142.0),
        ("cleared", "store-out", "orange", 139.0, 141.0),
        ("amended", "store-out", "orange", 131.0, 141.0),
        ("retracted", "store-out", "orange", 139.0, 141.0),
        ("retracted", "gap", "blue", 137.0, 139.0),
        ("raised", "gap", "blue", 145.0, None),
    ],
    "live-first": [
        ("raised", "gap", "blue", 131.0, None),
        ("stepped", "gap", "yellow", 131.0, None),
        ("cleared", "gap", "yellow", 131.0, 491.0),
        ("raised", "store-out", "orange", 200.0, None),
        ("cleared", "store-out", "orange", 200.0, 230.0),
        ("retracted", "gap", "yellow", 131.0, 491.0),
        ("raised", "gap", "blue", 496.0, None),
    ],
    "a-day-in-one-batch": [
        ("raised", "store-out", "orange", 600.0, None),
        ("cleared", "store-out", "orange", 600.0, 605.0),
        ("raised", "store-out", "orange", 700.0, None),
        ("cleared", "store-out", "orange", 700.0, 702.0),
    ],
    "ten-days-of-gap": [
        ("raised", "gap", "blue", 400.0, None),
        ("stepped", "gap", "yellow", 400.0, None),
        ("stepped", "gap", "orange", 400.0, None),
        ("cleared", "gap", "orange", 400.0, 14730.0),
        ("raised", "store-out", "orange", 5400.0, None),
        ("cleared", "store-out", "orange", 5400.0, 5430.0),
        ("raised", "store-out", "orange", 12400.0, None),
        ("cleared", "store-out", "orange", 12400.0, 12460.0),
        ("retracted", "gap", "orange", 400.0, 14730.0),
    ],
    "older-than-that": [
        ("raised", "late-evidence", "blue", 15845.0, None),
        ("raised", "event-time", "orange", 17277.0, None),
    ],
    "a-clock-that-jumps": [
        ("raised", "event-time", "orange", 131.0, None),
        ("raised", "gap", "blue", 131.0, None),
        ("cleared", "gap", "blue", 131.0, 134.0),
        ("raised", "gap", "blue", 140.0, None),
    ],
    "limits-change-while-late": [
        ("raised", "gap", "blue", 131.0, None),
        ("retracted", "gap", "blue", 131.0, 131.0),
        ("raised", "store-out", "orange", 132.2, None),
        ("cleared", "store-out", "orange", 132.2, 133.0),
        ("raised", "store-out", "orange", 135.0, None),
        ("cleared", "store-out", "orange", 135.0, 137.0),
        ("raised", "gap", "blue", 140.0, None),
    ],
    "one-old-reading": [
        ("raised", "warm-for-ten-minutes", "yellow", 121.0, None),
    ],
    "month-ends": [
        ("raised", "gap", "blue", 14400.0, None),
        ("stepped", "gap", "yellow", 14400.0, None),
        ("stepped", "gap", "orange", 14400.0, None),
        ("cleared", "gap", "orange", 14400.0, 20160.0),
        ("raised", "mark-share", "blue", 0.0, None),
        ("stepped", "mark-share", "yellow", 0.0, None),
        ("raised", "effective-rate", "yellow", 44640.0, None),
    ],
    "a-closed-door": [
        ("raised", "gap", "blue", 131.0, None),
        ("stepped", "gap", "yellow", 131.0, None),
    ],
}


def story(changes: Any) -> list[tuple[str, str, str, float | None, float | None]]:
    return [
        (c.change.value, c.rule.split(".")[1], c.severity.value, since(c.start), since(c.end)) for c in changes
    ]  # fmt: skip


def test_every_scenario_has_its_story_and_its_files():
    assert sorted(SCENARIOS) == sorted(STORIES)
    names = {path.name.split(".")[0] for path in HERE.glob("*.jsonl")}
    assert names == set(SCENARIOS)
    for name in SCENARIOS:
        assert (HERE / f"{name}.log.jsonl").is_file()
        assert (HERE / f"{name}.changes.jsonl").is_file()


@pytest.mark.parametrize("name", STORIES)
def test_the_log_is_that_of_its_scenario(name: str):
    assert (HERE / f"{name}.log.jsonl").read_bytes() == log_of(SCENARIOS[name])


@pytest.mark.parametrize("name", STORIES)
def test_the_story_is_as_it_is_meant(name: str):
    assert story(changes_of(SCENARIOS[name])) == STORIES[name]


@pytest.mark.parametrize("name", STORIES)
def test_evaluate_gives_the_changes_byte_for_byte(name: str, capfdbinary: pytest.CaptureFixture[bytes]):
    arguments = ["evaluate", "--pack", str(PACK), "--log", str(HERE / f"{name}.log.jsonl")]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--until", format_instant(ms(SCENARIOS[name].until))])
    assert ended.value.code in {None, 0}
    assert capfdbinary.readouterr().out == (HERE / f"{name}.changes.jsonl").read_bytes()


@pytest.mark.parametrize("name", STORIES)
def test_a_restart_at_any_record_gives_the_same(name: str):
    scenario, bundle = SCENARIOS[name], load_bundle([PACK])
    records = list(read_lines(scenario.log.lines))
    facility = next(record.facility for record in records if record.facility)
    changes = []
    engine = Engine(bundle)
    for record in records:
        changes += engine.fold(record)
        if facility not in engine.facilities(0):
            continue
        again = Engine(bundle)
        again.restore_partition(0, engine.partition_state(0))
        again.restore(0, facility, engine.snapshot(0, facility))
        engine = again
    changes += engine.advance(0, ms(scenario.until))
    assert story(changes) == STORIES[name]


@pytest.mark.parametrize("name", STORIES)
def test_ticks_between_the_records_change_nothing(name: str):
    if name == "a-closed-door":  # its ticks are what it is about
        assert any('"tick"' in line for line in SCENARIOS[name].log.lines)
        return
    scenario = SCENARIOS[name]
    engine, changes, before = Engine(load_bundle([PACK])), [], None
    for record in read_lines(scenario.log.lines):
        if before is not None:
            for at in range(before + 400_000, record.received, 400_000):
                changes += engine.advance(0, at)
        changes += engine.fold(record)
        before = record.received
    changes += engine.advance(0, ms(scenario.until))
    assert [c.model_dump(exclude={"source"}) for c in changes] == [
        c.model_dump(exclude={"source"}) for c in changes_of(scenario)
    ]


def test_no_story_is_empty_and_each_kind_of_change_by_late_data_is_met():
    met = {row[0] for rows in STORIES.values() for row in rows}
    assert all(STORIES.values())
    assert {ChangeKind.RETRACTED.value, ChangeKind.AMENDED.value, ChangeKind.RAISED.value} <= met
