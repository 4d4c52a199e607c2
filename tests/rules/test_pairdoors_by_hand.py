"""`cleanroom.pressure-low` with events of doors, by hand, in minutes: what it tells, what it keeps, and what changes of register and packs make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import msgspec
import pytest

from rules import doorstates, paired
from rules.changes import Verdict
from rules.engine import Engine
from rules.explain import Explanation, explain
from rules.explaintext import lines
from rules.layout import NONE
from rules.pack import Bundle
from rules.pairdoors import COUNTERS
from rules.rule import DifferenceRule, DoorWhen
from rules.snapshot import SnapshotError, open_snapshot, sealed
from tests.rules.byhand import BUNDLE, FACILITY, MINUTE, HandLog, ms, since
from tests.rules.test_doorstates import BY_HAND, rows
from tests.rules.test_pairs_by_hand import AREAS, pressure

if TYPE_CHECKING:
    from rules.changes import Change
    from rules.doorstates import Doors

LOW = "cleanroom.pressure-low"
CASCADES = [{"cleaner": "B1", "dirtier": "C1", "low": 10}]


def guarded(how: str | None = None, **members: Any) -> Bundle:
    """Return the packs with other members of the rule."""
    rule = BUNDLE.rule(LOW)
    assert isinstance(rule, DifferenceRule)
    changed = rule.model_copy(update={"version": "9.0.0", "migration": how} | members)
    return Bundle.of([changed if one.id == LOW else one for one in BUNDLE.rules], BUNDLE.tables.values())


BLIND = guarded(doors=None)


def rooms(**facts: Any) -> HandLog:
    """Return a log whose register comes two hours before the first minute."""
    return HandLog().register(
        -120, pressure("P.B", "B1"), pressure("P.C", "C1"), areas=AREAS, cascades=CASCADES, **facts
    )


def door(log: HandLog, at: float, *told: tuple[float, str], area: str | None = "B1", device: str = "D") -> HandLog:
    """Append a batch of events of a door, received at `at`; each is (minute, state)."""
    where = {} if area is None else {"area": area}
    events = [
        {
            "stream": "device",
            "type": "door",
            "time": ms(t),
            "source": "PLC",
            "device": device,
            "fields": {"state": state},
            **where,
        }
        for t, state in told
    ]
    return log.line(at, "events", {"batch": f"e{len(log.lines)}", "events": events})


def lead(log: HandLog, minutes: range, by: float) -> HandLog:
    """Append a record a minute in which the cleaner room leads by some pressure."""
    for minute in minutes:
        log.rows(minute + 0.5, ("P.B", [minute], [20 + by]), ("P.C", [minute], [20]))
    return log


def changes_of(log: HandLog, until: float, bundle: Bundle = BUNDLE) -> list[Change]:
    return [change for change in log.changes(until=until, bundle=bundle) if change.rule == LOW]


def told(log: HandLog, until: float, bundle: Bundle = BUNDLE) -> list[tuple[object, ...]]:
    return [(since(c.received), c.change.value, since(c.start), since(c.end)) for c in changes_of(log, until, bundle)]


def folded(log: HandLog, bundle: Bundle = BUNDLE) -> Engine:
    engine = Engine(bundle)
    for record in log.records():
        engine.fold(record)
    return engine


def book(engine: Engine) -> Doors | None:
    (found,) = engine.state_of(FACILITY).door_books.values() or [None]
    return found


def counted(engine: Engine) -> dict[str, int]:
    counts = engine.counters(0, FACILITY)
    return {name: counts[name] for name in COUNTERS if counts[name]}


@pytest.mark.parametrize(
    ("text", "every", "said", "wanted"), [one[1:] for one in BY_HAND], ids=[one[0] for one in BY_HAND]
)
def test_the_engine_tells_what_the_plain_rule_tells(
    text: str, every: int, said: dict[str, list[tuple[int, str]]], wanted: list[tuple[float, ...]]
) -> None:
    sensor = {
        "tag": "DP",
        "area": "B1",
        "against": "C1",
        "quantity": "pressure-difference",
        "unit": "Pa",
        "interval": f"{every}ms",
    }
    log = HandLog().register(-120, sensor, areas=AREAS)
    events = [(t / MINUTE, device, word) for device, one in said.items() for t, word in one]
    entries: list[tuple[float, str | None, Any]] = [(at, device, word) for at, device, word in events]
    entries += [(t / MINUTE, None, value) for t, value in rows(text, every)]
    for at, device, what in sorted(entries, key=lambda one: one[0]):
        if device is not None:
            door(log, at, (at, what), device=device)
        else:
            log.rows(at, ("DP", [at], [(what, "good") if what is not None else (0.0, "comms")]))
    found = changes_of(log, rows(text, every)[-1][0] / MINUTE + 0.01)
    ends = {change.alarm: since(change.end) for change in found if change.change == "cleared"}
    assert [(since(c.start), since(c.at), ends.get(c.alarm)) for c in found if c.change == "raised"] == wanted


# -- late, and by whom ------------------------------------------------------------------------------------------------
def test_an_opening_that_comes_late_takes_the_alarm_back_and_a_closing_raises_it_late() -> None:
    log = lead(door(rooms(), -1, (-1, "closed")), range(5), 5)
    assert told(log, 6) == [(1.5, "raised", 0, None)]
    door(log, 7, (-0.5, "open"))
    assert told(log, 8) == [(1.5, "raised", 0, None), (7, "retracted", 0, None)]
    door(log, 9, (2.5, "closed"))
    found = changes_of(log, 10)
    assert told(log, 10)[2:] == [(9, "raised", 3, None)]
    assert [(c.late, since(c.at)) for c in found[1:]] == [(False, -0.5), (True, 2.5)]


def test_an_event_behind_the_newest_record_makes_nothing_late() -> None:
    log = door(lead(rooms(), range(3), 5), 2.6, (2.6, "closed"))
    assert told(log, 2.9) == []
    (raised,) = changes_of(lead(log, range(3, 5), 5), 5)
    assert (since(raised.received), since(raised.start), raised.late) == (4.5, 3, False)


def test_events_and_records_of_one_instant_are_read_together() -> None:
    for first in (True, False):
        log = lead(door(rooms(), -1, (-1, "closed")), range(2), 20)
        if first:
            door(log, 4, (2.5, "open"))
        log.rows(4, ("P.B", [2, 3], [25, 25]), ("P.C", [2, 3], [20, 20]))
        if not first:
            door(log, 4, (2.5, "open"))
        assert told(log, 5) == [], "at 3 the door was open"


def test_evidence_names_what_the_doors_were() -> None:
    closed = changes_of(lead(door(rooms(), -1, (-1, "closed")), range(2), 5), 3)[0].evidence.leaves[-1]
    assert (closed.expr, closed.left, closed.op, closed.right, closed.verdict) == (
        "doors of B1", "closed", "=", "closed", Verdict.TRUE,
    )  # fmt: skip
    unknown = changes_of(lead(door(rooms(), -70, (-70, "open")), range(4), 5), 5)[0].evidence.leaves[-1]
    assert (unknown.left, unknown.verdict) == ("not known", Verdict.UNKNOWN)
    (plain,) = changes_of(lead(rooms(), range(4), 5), 5)
    assert [leaf.expr for leaf in plain.evidence.leaves] == ["difference B1 / C1"], "nothing was told of doors"


@pytest.mark.parametrize(
    ("events", "state", "verdict", "delay"),
    [
        ([(-1, "closed")], "closed", "true", "1m"),
        ([(-1, "open")], "open", "false", None),
        ([], "not known", "unknown", "3m"),
    ],
)
def test_explain_names_the_state_of_the_doors_and_the_delay(
    events: list[tuple[float, str]], state: str, verdict: str, delay: str | None
) -> None:
    log = rooms()
    for event in events:
        door(log, -1, event)
    lead(log, range(1), 5)
    (found,), _ = explain(log.tick(0.6).records(), BUNDLE, LOW, at=ms(0.7))
    assert isinstance(found, Explanation)
    said = "\n".join(lines(found, "en"))
    assert f"{verdict:8} doors: the doors of the cleaner room are closed  [{state} = closed]" in said
    assert "on_delay: outside for 1m while the doors are closed, for 3m where they are not known" in said
    assert delay is None or f"on_delay 0ms of {delay}" in said or f">= {delay}" in said


# -- which doors, and what is counted ---------------------------------------------------------------------------------
def test_events_that_are_not_read_are_counted() -> None:
    log = lead(rooms(), range(200), 20)
    door(log, 200, (5, "open"))
    door(log, 201, (200, "ajar"))
    door(log, 202, (200, "open"), area="C1")
    door(log, 203, (203, "closed"), (203, "closed"))
    engine = folded(log.tick(204))
    assert counted(engine) == {"door_events": 3, "door_stale": 1, "door_unreadable": 1}
    found = book(engine)
    assert found is not None
    assert found.by_door["D"].keys() == {ms(203)}


def test_a_device_in_another_area_speaks_for_that_one_from_the_register_on() -> None:
    devices = [{"id": "D", "area": "B1"}]
    log = lead(door(rooms(devices=devices), -1, (-1, "closed"), area=None), range(2), 20)
    log.register(
        2,
        pressure("P.B", "B1"),
        pressure("P.C", "C1"),
        version=2,
        areas=AREAS,
        cascades=CASCADES,
        devices=[{"id": "D", "area": "C1"}],
    )
    lead(door(log, 2.1, (2.1, "open"), area=None), range(3, 5), 5)
    assert told(log, 5) == [(4.5, "raised", 3, None)], "an opening in the other room is no excuse"


def test_without_the_rule_nothing_is_kept() -> None:
    engine = folded(door(rooms(), 0, (0, "open")).tick(1), BLIND)
    assert engine.state_of(FACILITY).door_books == {}
    assert "door_events" not in engine.counters(0, FACILITY)


# -- bounds -----------------------------------------------------------------------------------------------------------
def busy(log: HandLog, minutes: range) -> HandLog:
    """Append a record a minute, and a door that opens and closes between two of them."""
    for minute in minutes:
        lead(
            door(log, minute + 0.3, (minute + 0.1, "open"), (minute + 0.2, "closed")), range(minute + 1, minute + 2), 5
        )
    return log


def test_what_says_nothing_of_the_horizon_goes() -> None:
    engine = folded(busy(rooms(), range(400)).tick(401))
    found = book(engine)
    assert found is not None
    assert 240 <= found.count <= 330, "two hours, and what leaves comes in parts"
    assert counted(engine) == {"door_events": 800}


def test_with_less_room_it_tells_the_same_in_order_and_what_comes_late_is_not_known() -> None:
    log = busy(rooms(), range(20))
    lead(door(log, 21.1, (21.05, "closed")), range(22, 24), 5)
    whole = told(log, 24)
    with patch.object(doorstates, "MAX_EVENTS", 4):
        assert told(log, 24) == whole
        found = book(engine := folded(log.tick(24)))
        assert found is not None
        assert found.count == 4
        assert counted(engine) == {"door_events": 41, "door_dropped": 37}
        door(log, 25, (3.5, "closed"))
        assert counted(folded(log.tick(26))) == {"door_events": 42, "door_dropped": 37, "door_stale": 1}
    assert whole[-1] == (22.5, "raised", 20, None)


def test_doors_alone_fill_no_memory_and_rows_behind_them_are_read_with_what_is_known() -> None:
    """The sensors are silent for hours: their rows are judged, those before what is kept of doors as without any."""
    with patch.object(doorstates, "MAX_EVENTS", 4):
        log = rooms()
        for minute in range(30):
            door(log, minute, (minute, "open"), (minute + 0.5, "closed"))
        minutes = list(range(10, 30))
        log.rows(31, ("P.B", minutes, [25] * 20), ("P.C", minutes, [20] * 20))
        found = book(folded(log.tick(32)))
        assert found is not None
        assert found.count == 4
        assert [row[1:3] for row in told(log, 32)] == [("raised", 10)]
    assert told(log, 32) == [], "with room for all of them each record is one at which a door is open"


def test_a_post_of_a_thousand_events_is_one_decision_and_takes_no_long_time() -> None:
    log = lead(rooms(), range(10), 20)
    door(log, 11, *((5 + i / 1000, "open" if i % 2 else "closed") for i in range(1000)))
    *records, last = log.tick(12).records()
    engine = Engine(BUNDLE)
    for record in records:
        engine.fold(record)
    with patch.object(paired, "refold", wraps=paired.refold) as refold:
        engine.fold(last)
    assert refold.call_count == 1
    found = book(engine)
    assert found is not None
    assert found.count == doorstates.MAX_EVENTS


# -- snapshots --------------------------------------------------------------------------------------------------------
def test_a_snapshot_of_before_goes_on_and_begins_with_the_fallback() -> None:
    log = lead(door(rooms(), -1, (-1, "closed")), range(1), 5)
    engine = folded(log)
    body, _ = open_snapshot(engine.snapshot(0, FACILITY))
    assert [row[:3] for row in body.door_books] == [(LOW, "B1 C1", NONE)]  # type: ignore[union-attr]
    assert body.door_counts == [("door_events", 1)]
    plain, _ = open_snapshot(folded(lead(rooms(), range(1), 5)).snapshot(0, FACILITY))
    assert b"door_" not in msgspec.msgpack.encode(plain)
    other = Engine(BUNDLE)
    other.restore_partition(0, engine.partition_state(0))
    body.door_books = body.door_counts = plain.door_books
    other.restore(0, FACILITY, sealed(body))
    later = lead(HandLog(first=len(log.lines)), range(1, 4), 5).tick(4).records()
    raised = [change for record in later for change in other.fold(record) if change.rule == LOW]
    assert [(since(c.received), since(c.start)) for c in raised] == [(3.5, 0)], "three minutes, as doors are not known"


@pytest.mark.parametrize(
    ("books", "counts", "said"),
    [
        ([("cleanroom.pressure-reversed", "B1 C1", NONE, NONE, [])], [], "does not ask for"),
        ([(LOW, "B1 C1", NONE, NONE, []), (LOW, "B1 C1", NONE, NONE, [])], [], "does not ask for"),
        ([(LOW, "B1 C1", 3, 4, [])], [], "no fold leaves"),
        ([], [("door_opened", 1)], "no count of doors"),
        ([], [("door_events", 0)], "no count of doors"),
    ],
)
def test_a_snapshot_that_no_fold_leaves_is_refused(books: list[Any], counts: list[Any], said: str) -> None:
    engine = folded(lead(rooms(), range(1), 5))
    body, _ = open_snapshot(engine.snapshot(0, FACILITY))
    body.door_books, body.door_counts = books, counts
    with pytest.raises(SnapshotError, match=said):
        Engine(BUNDLE).restore(0, FACILITY, sealed(body))


# -- register and packs -----------------------------------------------------------------------------------------------
def test_a_register_that_changes_the_limit_keeps_what_is_known_of_doors() -> None:
    log = lead(door(rooms(), -1, (-1, "closed")), range(2), 13)
    stricter = [{**CASCADES[0], "low": 14}]
    log.register(1.9, pressure("P.B", "B1"), pressure("P.C", "C1"), version=2, areas=AREAS, cascades=stricter)
    assert told(lead(log, range(2, 4), 13), 4) == [(3.5, "raised", 2, None)]
    door(log, 5, (0.5, "open"))
    assert told(log, 6)[1:] == [(5, "retracted", 2, None)]


def test_packs_that_ask_for_doors_begin_with_what_comes_then_and_those_that_ask_no_more_forget() -> None:
    log = lead(door(rooms(), -1, (-1, "closed")), range(1), 5).packs(0.7, BUNDLE)
    assert told(lead(log, range(1, 4), 5), 4, BLIND) == [(3.5, "raised", 0, None)], "three minutes"
    log = door(lead(rooms(), range(1), 20).packs(0.7, BUNDLE), 0.8, (0.8, "closed"))
    assert told(lead(log, range(1, 3), 5), 3, BLIND) == [(2.5, "raised", 1, None)]
    engine = folded(log.packs(4, BLIND).tick(5), BLIND)
    assert engine.state_of(FACILITY).door_books == {}


def test_packs_with_another_delay_keep_the_doors_and_let_the_horizon_end() -> None:
    log = lead(door(rooms(), -1, (-1, "closed")), range(2), 20).packs(1.7, guarded(doors=DoorWhen(closed="120s")))  # type: ignore[arg-type]
    assert told(lead(log, range(2, 5), 5), 5) == [(4.5, "raised", 2, None)]
    door(log, 6, (1, "open"))
    assert told(log, 7)[1:] == [], "what is not newer than the horizon is not read"


@pytest.mark.parametrize(
    ("closed", "wanted"),
    [("150s", [(1.5, "raised", 0, None), (1.7, "retracted", 0, None)]), ("60s", [(1.5, "raised", 0, None)])],
)
def test_packs_that_re_evaluate_judge_the_horizon_by_their_delay(closed: str, wanted: list[tuple[object, ...]]) -> None:
    log = lead(door(rooms(), -1, (-1, "closed")), range(2), 5)
    log.packs(1.7, guarded("re-evaluate", doors=DoorWhen(closed=closed)))  # type: ignore[arg-type]
    assert told(log, 1.9) == wanted


def test_a_restart_between_an_event_and_its_decision_changes_nothing() -> None:
    log = lead(door(rooms(), -1, (-1, "closed")), range(5), 5)
    log = lead(door(door(log, 5, (0.5, "open")), 5, (1.5, "closed")), range(6, 9), 5).tick(10)
    records = log.records()
    engine = Engine(BUNDLE)
    whole = [change for record in records for change in engine.fold(record)]
    assert [change.change.value for change in whole if change.rule == LOW] == ["raised", "amended"]
    for cut in range(1, len(records)):
        first, second = Engine(BUNDLE), Engine(BUNDLE)
        changes = [change for record in records[:cut] for change in first.fold(record)]
        second.restore_partition(0, first.partition_state(0))
        second.restore(0, FACILITY, first.snapshot(0, FACILITY))
        assert changes + [change for record in records[cut:] for change in second.fold(record)] == whole
