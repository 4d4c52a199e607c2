"""Pairs over changes of register and packs, over rules that raise, and in snapshots: derived by hand, in minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

import msgspec
import numpy as np
import pytest

from rules.engine import Engine
from rules.fitting import RULE_FAILED
from rules.pack import Bundle, default_bundle
from rules.rule import PairLimits
from rules.snapshot import SnapshotError, open_snapshot, sealed
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, since
from tests.rules.test_failing import BrokenError, broken
from tests.rules.test_pairs_by_hand import AREAS, pressure, two

if TYPE_CHECKING:
    from rules.changes import Change

LOW, REVERSED = "cleanroom.pressure-low", "cleanroom.pressure-reversed"
CASCADE = {"areas": AREAS, "cascades": [{"cleaner": "B1", "dirtier": "C1", "low": 10}]}
STORE = {"id": "S", "kind": "cold-room"}


def with_rule(**members: object) -> Bundle:
    """Return the shipped bundle with other members of `pressure-reversed`."""
    changed = [rule.model_copy(update=members) if rule.id == REVERSED else rule for rule in BUNDLE.rules]
    return Bundle.of(changed, BUNDLE.tables.values())


WIDER = with_rule(
    version="1.1.0", limits=PairLimits.model_validate({"from": {"low": -10.0}, "inclusive": True}), tests=[]
)


def both(log: HandLog, minutes: range, clean: float, dirty: float = 20.0) -> HandLog:
    """Append a record a minute with a row of each room."""
    for minute in minutes:
        log.rows(minute + 0.5, ("P.B", [minute], [clean]), ("P.C", [minute], [dirty]))
    return log


def told(changes: list[Change], rule: str = REVERSED) -> list[tuple[object, ...]]:
    return [(since(c.received), c.change.value, since(c.start), since(c.end)) for c in changes if c.rule == rule]


def ids(changes: list[Change], rule: str = REVERSED) -> list[str]:
    return [c.alarm for c in changes if c.rule == rule and c.change == "raised"]


# -- register ---------------------------------------------------------------------------------------------------------
def test_another_sensor_of_a_room_goes_on_with_the_alarm_of_the_rooms() -> None:
    """Reversed from minute 3; at 5.7 room C gets a new sensor, which shows that B leads again from minute 6."""
    log = both(both(two(), range(3), 30), range(3, 6), 15)
    log.register(5.7, pressure("P.B", "B1"), pressure("P.C2", "C1"), version=2, **CASCADE)
    for minute in (6, 7, 8):
        log.rows(minute + 0.5, ("P.B", [minute], [30]), ("P.C2", [minute], [20]))
    assert told(log.changes(until=9)) == [(4.5, "raised", 3, None), (8.5, "cleared", 3, 6)]


def test_of_a_sensor_that_was_replaced_nothing_is_held() -> None:
    """C's old sensor stood at 20: with it B at 15 would be reversed at once. The new one has not spoken."""
    log = both(two(), range(3), 30)
    log.register(2.7, pressure("P.B", "B1"), pressure("P.C2", "C1"), version=2, **CASCADE)
    log.rows(3.5, ("P.B", [3], [15])).rows(4.5, ("P.B", [4], [15]))
    assert told(log.changes(until=4.9)) == []
    log = both(two(), range(3), 30)
    log.register(2.7, pressure("P.B", "B1"), pressure("P.C", "C1"), version=2, **CASCADE)
    log.rows(3.5, ("P.B", [3], [15])).rows(4.5, ("P.B", [4], [15]))  # C's value of minute 2 counts for two intervals
    assert told(log.changes(until=4.9)) == [(4.5, "raised", 3, None)]


def test_a_sensor_of_the_difference_takes_over_from_two_pressures() -> None:
    log = both(both(two(), range(3), 30), range(3, 6), 15)
    gauge = {**pressure("DP", "B1"), "quantity": "pressure-difference", "against": "C1"}
    log.register(5.7, pressure("P.B", "B1"), pressure("P.C", "C1"), gauge, version=2, **CASCADE)
    log.live("DP", 6, [12, 12, 12])
    changes = log.changes(until=9)
    assert [row[1:] for row in told(changes)] == [("raised", 3, None), ("cleared", 3, 6)]
    assert {tuple(c.subject.items()) for c in changes if c.rule == REVERSED} == {(("area", "B1"), ("place", "C1"))}


def test_rows_before_a_change_of_what_decides_are_not_decided_again() -> None:
    log = both(two(), range(3), 30)
    log.register(2.7, pressure("P.B", "B1"), pressure("P.C2", "C1"), version=2, **CASCADE)
    log.rows(3.5, ("P.C2", [0, 1, 2, 3], [90, 90, 90, 20]), ("P.B", [3], [30]))
    assert told(log.changes(until=4)) == []


def test_a_register_that_changes_nothing_of_a_pair_leaves_its_horizon_alone() -> None:
    """At minutes 3 and 4 B falls; that C fell with it comes behind a new version of the register."""
    log = both(two(), range(3), 50, 30)
    log.rows(3.5, ("P.B", [3], [20])).rows(4.5, ("P.B", [4], [20]))
    log.register(4.7, pressure("P.B", "B1"), pressure("P.C", "C1"), pressure("P.S", "S"), version=2,
                 areas=[*AREAS, STORE], cascades=CASCADE["cascades"])  # fmt: skip
    log.rows(5.5, ("P.C", [3, 4], [0, 0]))
    assert [row[:2] for row in told(log.changes(until=6))] == [(4.5, "raised"), (5.5, "retracted")]


def test_what_waits_is_decided_before_a_change_at_the_same_instant() -> None:
    log = both(both(two(), range(3), 30), range(3, 4), 15)
    log.rows(4.5, ("P.B", [4], [15]), ("P.C", [4], [20]))
    log.register(4.5, pressure("P.B", "B1"), version=2, areas=AREAS)
    changes = log.changes(until=5)
    assert told(changes) == [(4.5, "raised", 3, None), (4.5, "cleared", 3, 4.5)]
    assert [(r.kind, r.id) for r in changes[-1].evidence.records] == [("register", "2")]
    assert "B1 / C1: no longer watched" in changes[-1].message.en


def test_a_pair_that_returns_decides_nothing_twice() -> None:
    """The cascade is gone from 5.7 to 6.7. What comes late then of the time before is left alone, the alarm's id is new."""
    log = both(both(two(), range(3), 30), range(3, 6), 15)
    log.register(5.7, pressure("P.B", "B1"), pressure("P.C", "C1"), version=2, areas=AREAS)
    log.register(6.7, pressure("P.B", "B1"), pressure("P.C", "C1"), version=3, **CASCADE)
    log.rows(7.1, ("P.B", [2.5], [10]), ("P.C", [2.5, 2.7], [20, 20]))
    both(log, range(7, 9), 15)
    changes = log.changes(until=9)
    assert told(changes) == [
        (4.5, "raised", 3, None), (5.7, "cleared", 3, 5.7), (8.5, "raised", 7, None),
    ]  # fmt: skip
    assert len(set(ids(changes))) == 2


def test_facts_that_come_into_force_make_a_pair() -> None:
    later = {"from": "2026-03-01T00:05:00+08:00"}  # minute 5
    log = HandLog().register(-1, pressure("P.B", "B1"), {**pressure("P.C", "C1"), **later}, **CASCADE)
    for minute in range(9):
        log.rows(minute + 0.5, ("P.B", [minute], [15]), ("P.C", [minute], [20]))
    assert told(log.changes(until=9)) == [(6.5, "raised", 5, None)]


# -- packs ------------------------------------------------------------------------------------------------------------
def test_new_numbers_hold_at_once_and_old_rows_stand_as_they_were_decided() -> None:
    log = both(both(two(), range(3), 30), range(3, 6), 15)
    both(log.packs(5.7, WIDER), range(6, 9), 15)
    changes = log.changes(until=9)
    assert told(changes) == [(4.5, "raised", 3, None), (8.5, "cleared", 3, 6)]
    assert {c.version for c in changes if c.rule == REVERSED} == {"1.0.0"}, (
        "an alarm keeps the version it was raised under"
    )


def test_the_rows_of_both_inputs_are_there_to_decide_again_behind_such_a_change() -> None:
    log = both(two(), range(3), 50, 30)
    log.rows(3.5, ("P.B", [3], [20])).rows(4.5, ("P.B", [4], [20])).packs(4.7, with_rule(version="1.0.1"))
    log.rows(5.5, ("P.C", [3, 4], [25, 25]))  # B is behind C as it was
    assert [row[:2] for row in told(log.changes(until=6))] == [(4.5, "raised")]


def test_packs_that_change_no_number_leave_the_horizon_alone() -> None:
    renamed = with_rule(version="1.0.1")
    log = both(two(), range(3), 50, 30)
    log.rows(3.5, ("P.B", [3], [20])).rows(4.5, ("P.B", [4], [20])).packs(4.7, renamed)
    log.rows(5.5, ("P.C", [3, 4], [0, 0]))
    assert [row[:2] for row in told(log.changes(until=6))] == [(4.5, "raised"), (5.5, "retracted")]


def test_packs_without_the_rule_end_its_alarm_and_bring_it_back_blank() -> None:
    without = BUNDLE.only({rule.id for rule in BUNDLE.rules} - {REVERSED})
    log = both(both(two(), range(3), 30), range(3, 6), 15)
    both(log.packs(5.7, without), range(6, 8), 15)
    both(log.packs(8, BUNDLE), range(8, 10), 15)
    changes = log.changes(until=10)
    assert told(changes) == [(4.5, "raised", 3, None), (5.7, "cleared", 3, 5.7), (9.5, "raised", 8, None)]
    assert told(changes, LOW) == [(6.5, "raised", 3, None)]


@pytest.mark.parametrize("cut", range(1, 12))
def test_so_it_is_over_a_restart(cut: int) -> None:
    log = both(both(two(), range(3), 30), range(3, 6), 15)
    records = both(log.packs(5.7, WIDER), range(6, 9), 15).tick(9.5).records()
    whole = [change for engine in [Engine(BUNDLE)] for record in records for change in engine.fold(record)]
    first, second = Engine(BUNDLE), Engine(BUNDLE)
    changes = [change for record in records[:cut] for change in first.fold(record)]
    second.know(WIDER)
    second.restore_partition(0, first.partition_state(0))
    second.restore(0, FACILITY, first.snapshot(0, FACILITY))
    assert changes + [change for record in records[cut:] for change in second.fold(record)] == whole


# -- a rule that raises -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["raised", "cleared"])
def test_a_rule_that_raises_is_put_aside_and_the_other_of_the_pair_goes_on(kind: str) -> None:
    log = both(both(both(two(), range(3), 30), range(3, 8), 15), range(8, 11), 32).tick(11)
    records = log.records()
    sound = [c for engine in [Engine(BUNDLE)] for r in records for c in engine.fold(r)]
    with broken(REVERSED, kind):  # type: ignore[arg-type]
        changes = [c for engine in [Engine(BUNDLE)] for r in records for c in engine.fold(r)]
    assert [c.subject for c in changes if c.rule == RULE_FAILED] == [{"system": REVERSED}]
    assert [row[1] for row in told(changes)] == ([] if kind == "raised" else ["raised", "unknown"])
    assert told(changes, LOW) == told(sound, LOW) == [(6.5, "raised", 3, None), (10.5, "cleared", 3, 8)]
    if kind == "cleared":
        unknown = next(c for c in changes if c.change == "unknown")
        assert unknown.subject == {"area": "B1", "place": "C1"}
        assert unknown.message.en.startswith("B1 / C1: the rule failed")


def test_it_fails_in_a_late_decision_too_and_begins_anew_with_the_next_packs() -> None:
    log = both(two(), range(3), 50, 30)
    log.rows(3.5, ("P.B", [3], [20])).rows(4.5, ("P.B", [4], [20])).rows(5.5, ("P.C", [3, 4], [0, 0])).tick(5.7)
    later = HandLog(first=log.tick(5.8)._next).packs(6.2, BUNDLE)
    later.rows(6.5, ("P.B", [3.7, 4.5, 6], [5, 5, 15]), ("P.C", [3.7, 4.5, 6], [20, 20, 20])).rows(
        7.5, ("P.B", [7], [15]), ("P.C", [7], [20])
    )
    engine = Engine(BUNDLE)
    with broken(REVERSED, "retracted"):  # type: ignore[arg-type]
        changes = [c for r in log.records() for c in engine.fold(r)]
    assert [row[1] for row in told(changes)] == ["raised", "unknown"]
    more = [c for r in later.tick(8).records() for c in engine.fold(r)]
    assert [(c.rule, c.change.value) for c in more[:2]] == [(REVERSED, "cleared"), (RULE_FAILED, "cleared")]
    assert more[0].alarm == changes[0].alarm
    assert told(more[2:]) == [(6.5, "raised", 4.5, None)], "rows behind what it had read: 4.5 and 6"


def test_a_farewell_that_fails_is_told_of_the_pair() -> None:
    log = both(both(two(), range(3), 30), range(3, 6), 15)
    log.register(5.7, pressure("P.B", "B1"), version=2, areas=AREAS)
    with patch("rules.emission.unwatched", side_effect=BrokenError):
        changes = log.changes()
    assert [row[1] for row in told(changes)] == ["raised", "unknown"]
    assert [c.subject for c in changes if c.rule == RULE_FAILED] == [{"system": REVERSED}]


# -- snapshots --------------------------------------------------------------------------------------------------------
def state_of() -> tuple[Engine, bytes]:
    """Return an engine whose pairs hold rows, some of them waiting, and its snapshot."""
    engine = Engine(BUNDLE)
    for record in both(both(two(), range(3), 30), range(3, 6), 15).records():
        engine.fold(record)
    return engine, engine.snapshot(0, FACILITY)


def test_a_snapshot_holds_the_rows_of_pairs_and_comes_back_byte_for_byte() -> None:
    _, snapshot = state_of()
    body, _ = open_snapshot(snapshot)
    assert body.keys["difference"] == [(LOW, "B1 C1"), (REVERSED, "B1 C1")]
    of, counts = body.arrays["pair_inputs"]
    assert (of, np.frombuffer(counts, np.int64).tolist()) == ("inputs", [6, 6, 6, 6])
    other = Engine(BUNDLE)
    other.restore(0, FACILITY, snapshot)
    assert other.snapshot(0, FACILITY) == snapshot


def test_a_snapshot_from_before_the_kind_is_restored_where_no_pair_is_watched() -> None:
    """Without pairs there is no key, layout or array of them: it is that of the release before, and goes on as it would have."""
    bundle = default_bundle().only({"data-integrity.gap", "data-integrity.frozen"})
    records = both(two(), range(6), 30).records()
    engine = Engine(bundle)
    for record in records[:4]:
        engine.fold(record)
    body, _ = open_snapshot(engine.snapshot(0, FACILITY))
    assert "difference" not in body.keys
    assert not {"difference", "inputs"} & body.layouts.keys()
    assert not [name for name in body.arrays if name.startswith(("difference", "pair"))]
    other = Engine(bundle)
    other.restore(0, FACILITY, sealed(body))
    assert [other.fold(record) for record in records[4:]] == [engine.fold(record) for record in records[4:]]
    assert other.snapshot(0, FACILITY) == engine.snapshot(0, FACILITY)


def rows(body: object, edit: object) -> object:
    """Return the body with other rows of pairs."""
    of, data = body.arrays["pair_rows"]  # type: ignore[attr-defined]
    array = np.frombuffer(data, np.int64).reshape(-1, 4).copy()
    edit(array)  # type: ignore[operator]
    return msgspec.structs.replace(body, arrays={**body.arrays, "pair_rows": (of, array.tobytes())})  # type: ignore[attr-defined, type-var]


def test_rows_of_pairs_that_no_fold_leaves_are_refused() -> None:
    _, snapshot = state_of()
    body, _ = open_snapshot(snapshot)

    def turn(array: np.ndarray) -> None:
        array[[0, 1]] = array[[1, 0]]

    for broken_body in (
        rows(body, turn),
        msgspec.structs.replace(body, arrays={k: v for k, v in body.arrays.items() if k != "pair_rows"}),
        msgspec.structs.replace(body, arrays={k: v for k, v in body.arrays.items() if k != "pair_inputs"}),
        msgspec.structs.replace(
            body, arrays={**body.arrays, "pair_inputs": ("inputs", np.array([6, 6, 6, -6], np.int64).tobytes())}
        ),
        msgspec.structs.replace(
            body, arrays={**body.arrays, "pair_inputs": ("inputs", np.array([6, 6, 6, 7], np.int64).tobytes())}
        ),
    ):
        with pytest.raises(SnapshotError):
            Engine(BUNDLE).restore(0, FACILITY, sealed(broken_body))  # type: ignore[arg-type]
