"""Which version of a rule, and which packs, the changes of an alarm name: those that raised it (contracts.md §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.engine import Engine
from tests.rules.bundles import changed
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, sensor

if TYPE_CHECKING:
    from rules.changes import Change

NEWER = changed(version="1.1.0", high=7.0)
NAMES = {BUNDLE.sha256: "old", NEWER.sha256: "new"}
AREAS = [{"id": "A1", "kind": "cold-room"}]


def warm() -> HandLog:
    """An excursion over a change of packs, and another one behind it."""
    log = HandLog().register(-1, sensor(limits={"low": 2, "high": 8}), areas=AREAS)
    log.live("T1", 0, [5, 9, 9, 9]).packs(3.5, NEWER)
    return log.live("T1", 4, [9, 5, 5, 5, 7.4, 7.4, 7.4])


def told(changes: list[Change], rule: str = "cold-chain.store-out") -> list[tuple[str, str, str]]:
    return [(c.change.value, c.version, NAMES[c.packs]) for c in changes if c.rule == rule]


WANTED = [("raised", "1.0.0", "old"), ("cleared", "1.0.0", "old"), ("raised", "1.1.0", "new")]


def test_an_alarm_keeps_the_version_it_was_raised_under_and_the_next_one_has_the_new_one() -> None:
    assert told(warm().changes(until=10)) == WANTED


def test_so_it_does_over_a_restart() -> None:
    log = warm().records()
    for cut in range(1, len(log)):
        first, second = Engine(BUNDLE), Engine(BUNDLE)
        changes = [change for record in log[:cut] for change in first.fold(record)]
        second.know(NEWER)
        second.restore_partition(0, first.partition_state(0))
        second.restore(0, FACILITY, first.snapshot(0, FACILITY))
        changes += [change for record in log[cut:] for change in second.fold(record)]
        assert told(changes) == WANTED, cut


def test_a_group_and_what_it_suppresses_keep_theirs_too() -> None:
    log = HandLog().register(-1, sensor("T1"), sensor("T2"))
    log.rows(0.1, ("T1", [0], [5]), ("T2", [0], [5])).packs(4, NEWER)
    log.rows(5.1, ("T1", [5], [5]), ("T2", [5], [5]))
    changes = log.changes(until=8.5)
    ids = {c.alarm: c.packs for c in changes if c.change.value == "raised"}
    assert {NAMES[packs] for packs in ids.values()} == {"old", "new"}
    assert [c for c in changes if c.packs != ids[c.alarm]] == []
