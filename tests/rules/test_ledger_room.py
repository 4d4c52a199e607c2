"""Who is judged is never the one that goes for want of room, and what stands counts where there is too much of it (ADR 0069)."""

from __future__ import annotations

from random import Random
from unittest.mock import patch

import pytest

from rules.engine import Engine
from rules.instants import format_instant
from rules.ledger import room
from rules.rare import store
from tests.rules.byhand import BUNDLE, FACILITY, HandLog, ms
from tests.rules.test_ledger_bounds import BOTH, RELEASE, counters, deviated, firm, folded, post

FAILED = "register.rule-failed"


def closed(hand: HandLog, at: float, lot: str, opened: float) -> HandLog:
    """Append the second revision of a deviation of one lot: it is closed."""
    fields = {
        "deviation_id": f"D-{lot}", "asset": "A1", "from": format_instant(ms(opened)), "to": format_instant(ms(opened)),
        "duration_min": 0, "peak": 9, "unit": "Cel", "lots": [lot], "opened_at": format_instant(ms(opened)),
        "closed_at": format_instant(ms(at)),
    }  # fmt: skip
    body = {"type": "deviation", "id": f"D-{lot}", "revision": 2, "reason": "closed", "sent": format_instant(ms(at))}
    return hand.line(at, "report", body | {"fields": fields})


def standing(lots: int) -> HandLog:
    """Return a log of lots that were released while a deviation was open that is closed by now: each is a red alarm."""
    hand = firm()
    for i in range(lots):
        deviated(hand, 10 + i, [f"L{i}"], name=f"D-L{i}")
        post(hand, 100 + i, "trace", "released", [{"lot": f"L{i}", "quantity": 1}])
    for i in range(lots):
        closed(hand, 200 + i, f"L{i}", 10 + i)
    return hand


def ends(hand: HandLog) -> list[tuple[str, str]]:
    return [(c.rule, c.change.value) for c in hand.changes_behind() if c.rule in {RELEASE, FAILED}]


def test_a_lot_that_closes_where_all_others_stand_is_judged_to_the_end() -> None:
    hand = deviated(standing(3), 300, ["INN"], name="D-INN")
    closed(hand, 310, "INN", 300)
    with patch.object(room, "MAX_ANSWERS", 3):
        assert ends(hand) == [(RELEASE, "raised")] * 3
        assert '{"lot": "INN"}' in folded(hand.tick(320)).state_of(FACILITY).rare.of(RELEASE)
        deviated(hand, 330, ["NEW"], name="D-NEW")
        kept = folded(closed(hand, 340, "NEW", 330).tick(350)).state_of(FACILITY).rare.of(RELEASE)
        assert sorted(kept) == [f'{{"lot": "{lot}"}}' for lot in ("L0", "L1", "L2", "NEW")], "the idle one goes then"


def test_a_register_that_comes_then_judges_who_is_left() -> None:
    hand = standing(3)
    for lot, at in (("M0", 300), ("M1", 301)):
        deviated(hand, at, [lot], name=f"D-{lot}")
    for lot, at in (("M0", 310), ("M1", 310)):
        closed(hand, at, lot, 300)
    hand.register(310, version=2, scopes=BOTH).register(320, version=3, scopes=BOTH)
    with patch.object(room, "MAX_ANSWERS", 3):
        assert ends(hand) == [(RELEASE, "raised")] * 3


@pytest.mark.parametrize(("lots", "left_out"), [(3, 0), (4, 1)])
def test_alarms_that_stand_beyond_their_room_count_as_open(lots: int, left_out: int) -> None:
    """Five stand where there is room for three: two of them take the room of two of the five open ones."""
    hand = deviated(standing(5), 300, [f"N{i}" for i in range(lots)], name="D-N")
    with patch.multiple(room, MAX_ANSWERS=3, MAX_OPEN=5):
        assert ends(hand) == [(RELEASE, "raised")] * 5
        assert counters(hand)["event_left_out"] == left_out


@pytest.mark.parametrize("seed", range(40))
def test_no_bound_puts_the_rule_aside(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a log, no secret
    hand, opened, at = firm(), {}, 10.0
    for i in range(60):
        lot, at = f"L{random.randrange(9)}", at + random.choice([0, 1, 1])
        step = random.random()
        if step < 0.35 and lot not in opened:
            opened[lot] = at
            deviated(hand, at, [lot], name=f"D-{lot}")
        elif step < 0.65 and lot in opened:
            closed(hand, at, lot, opened[lot])
        elif step < 0.95:
            post(hand, at, "trace", "released", [{"lot": lot, "quantity": i}, {"lot": f"R{i}", "quantity": i}])
        else:
            hand.register(at, version=2 + i, scopes=BOTH)
    tight = patch.multiple(room, MAX_ANSWERS=random.choice([1, 2, 3]), MAX_OPEN=20, MAX_ALL=random.choice([6, 12]))
    with tight, patch.multiple(store, MAX_CASES=2, MAX_FACTS=random.choice([2, 4])):
        records = hand.tick(at + 10).records()
        whole, first, second = Engine(BUNDLE), Engine(BUNDLE), Engine(BUNDLE)
        wanted = [whole.fold(record) for record in records]
        assert not [c for changes in wanted for c in changes if c.rule == FAILED]
        cut = random.randrange(1, len(records))
        assert [first.fold(record) for record in records[:cut]] == wanted[:cut]
        second.restore_partition(0, first.partition_state(0))
        second.restore(0, FACILITY, first.snapshot(0, FACILITY))
        assert [second.fold(record) for record in records[cut:]] == wanted[cut:]
