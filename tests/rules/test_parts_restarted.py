"""Restarts behind each record of an instant whose back-fill comes in parts, with rows in order between them (rules/drafts.py)."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from rules.drafts import Draft
from rules.engine import Engine
from rules.snapshot import open_snapshot
from tests.rules.byhand import BUNDLE, FACILITY
from tests.rules.test_open_gaps_by_hand import SILENT, rows, silent

if TYPE_CHECKING:
    from rules.records import LogRecord

LIVE = 250


def parted(seed: int) -> list[LogRecord]:
    """Return a log: six hours are stored and come in parts at one instant, in any order, with live rows between them; some are too warm."""
    random = Random(seed)  # noqa: S311 - a test
    warm: set[int] = set()
    for _ in range(random.randint(1, 5)):
        begin = random.randint(5, SILENT + LIVE - 10)
        warm |= set(range(begin, begin + random.choice([3, 10, 30, 80])))
    parts = random.choice([2, 3, 4, 5])
    stored, live = cut(range(10, SILENT), parts), cut(range(SILENT, SILENT + LIVE), parts)
    if random.random() < 0.5:
        random.shuffle(stored)
    hand = silent()
    for part in stored:
        rows(hand, SILENT + LIVE, part, warm)
        if live and random.random() < 0.8:
            rows(hand, SILENT + LIVE, live.pop(0), warm)
    for part in live:
        rows(hand, SILENT + LIVE, part, warm)
    return hand.tick(SILENT + LIVE + 1).records()


def cut(minutes: range, parts: int) -> list[list[int]]:
    return [list(minutes[i * len(minutes) // parts : (i + 1) * len(minutes) // parts]) for i in range(parts)]


def from_disk(engine: Engine, body: bytes) -> Engine:
    again = Engine(BUNDLE)
    again.restore_partition(0, engine.partition_state(0))
    again.restore(0, FACILITY, body)
    return again


@pytest.mark.parametrize("seed", range(9, 15))
def test_a_restart_behind_each_record_changes_nothing(seed: int) -> None:
    whole, again, drafted = Engine(BUNDLE), Engine(BUNDLE), 0
    said: dict[str, list[Any]] = {"whole": [], "again": []}
    for record in parted(seed):
        said["whole"] += [change.to_json(source=False) for change in whole.fold(record)]
        said["again"] += [change.to_json(source=False) for change in again.fold(record)]
        body = again.snapshot(0, FACILITY)
        assert body == whole.snapshot(0, FACILITY)
        drafted += not isinstance(open_snapshot(body)[0].drafts, msgspec.UnsetType)
        again = from_disk(again, body)
    assert said["again"] == said["whole"]
    assert "register.rule-failed" not in {change["rule"] for change in said["whole"]}
    if seed == 10:
        assert drafted, "the log in which a restart once lost five alarms"
        assert (
            sum(change["change"] == "raised" for change in said["whole"] if change["rule"] == "cold-chain.store-out")
            == 5
        )


def test_the_members_of_a_draft_are_named() -> None:
    with pytest.raises(TypeError):
        Draft(1, 2, set(), [])  # type: ignore[misc]
