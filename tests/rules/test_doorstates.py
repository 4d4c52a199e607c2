"""What is known of the doors of a room (rules/doorstates.py), and what `cleanroom.pressure-low` makes of it, by hand (ADR 0091)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import doorstates
from rules.doorstates import CLOSED, OPEN, UNKNOWN, Doors, PackedDoors, Stretch
from rules.layout import NEVER, NONE
from tests.examples import examples
from tests.rules.oracle import pressuredoors
from tests.rules.oracle.pressuredoors import HOUR, MINUTE, alarms

if TYPE_CHECKING:
    from collections.abc import Sequence

WORDS = {OPEN: "open", CLOSED: "closed", UNKNOWN: "unknown"}
FEW = settings(max_examples=examples(100), deadline=None)
EVENTS = st.lists(st.tuples(st.sampled_from("AAB"), st.integers(0, 60), st.booleans()), max_size=14)
BELIEVED = 9


def book(told: Sequence[tuple[str, int, bool]]) -> Doors:
    doors = Doors()
    for i, (door, at, is_open) in enumerate(told):
        doors.put(door, at, 100 + i, is_open=is_open)
    return doors


def plain(told: Sequence[tuple[str, int, bool]]) -> dict[str, list[tuple[int, str]]]:
    found: dict[str, list[tuple[int, str]]] = {}
    for door, at, is_open in told:
        found.setdefault(door, []).append((at, "open" if is_open else "closed"))
    return found


class TestStates:
    @given(EVENTS)
    @FEW
    def test_each_instant_is_as_its_events_say(self, told: list[tuple[str, int, bool]]) -> None:
        with patch.object(doorstates, "BELIEVED_MS", BELIEVED), patch.object(pressuredoors, "HOUR", BELIEVED):
            doors, said = book(told), plain(told)
            for t in range(75):
                stretch = doors.at(t)
                assert WORDS[stretch.state] == pressuredoors.doors_at(said, t)
                for begin in range(0, t, 5):
                    broke = pressuredoors.broke_between(said, begin, t)
                    assert (stretch.begin > begin) == broke or stretch.state == OPEN

    @given(EVENTS, st.randoms())
    @FEW
    def test_in_whatever_order_they_come(self, told, random) -> None:
        other = [*told, *told[:3]]
        random.shuffle(other)
        assert book(other).stretches() == book(told).stretches()

    def test_an_open_door_is_believed_for_an_hour(self) -> None:
        doors = book([("A", 10, True)])
        assert [doors.at(t).state for t in (9, 10, 10 + HOUR - 1, 10 + HOUR)] == [UNKNOWN, OPEN, OPEN, UNKNOWN]
        doors.put("A", HOUR, 1, is_open=True)
        assert doors.at(HOUR + 20).state == OPEN, "it was told again"

    def test_of_one_instant_closed_wins(self) -> None:
        for order in ((True, False), (False, True)):
            doors = Doors()
            became = [doors.put("A", 5, 1, is_open=is_open) for is_open in order]
            assert doors.at(5) == Stretch(5, 5, CLOSED)
            assert became == ["kept", "known" if order[1] else "kept"]

    def test_a_door_that_is_told_of_first_as_closed_was_open_before(self) -> None:
        assert book([("A", 5, False), ("B", 9, False)]).stretches() == [Stretch(5, 5, CLOSED), Stretch(9, 9, CLOSED)]
        assert book([("A", 5, False), ("A", 9, False)]).stretches() == [Stretch(5, 5, CLOSED)]

    def test_what_came_at_a_log_time_begins_at_its_earliest(self) -> None:
        doors = book([("A", 5, False), ("A", 3, True)])
        assert [doors.first_of(at) for at in (100, 101, 102)] == [5, 3, NEVER]


class TestBounds:
    @given(EVENTS, st.integers(4, 9), st.lists(st.integers(0, 70), max_size=3))
    @FEW
    def test_behind_its_floor_nothing_is_missed(
        self, told: list[tuple[str, int, bool]], most: int, floors: list[int]
    ) -> None:
        """Of a door that is too new for the floor, too: what goes says nothing of instants behind it."""
        with patch.multiple(doorstates, MAX_EVENTS=most, BELIEVED_MS=BELIEVED):
            few, whole = Doors(), Doors()
            for i, (door, at, is_open) in enumerate(told):
                became = few.put(door, at, i, is_open=is_open)
                assert (became == "stale") == (at <= few.floor)
                if became != "stale":
                    whole.put(door, at, i, is_open=is_open)
                few.forget(max([few.next_floor(), *floors[i : i + 1]]))
                assert few.count <= most
                assert not few.is_full
                times = np.arange(few.floor + 1, 80)
                for got, wanted in zip(few.columns(times), whole.columns(times), strict=True):
                    assert got.tolist() == wanted.tolist()
                assert few.at(few.floor) == doorstates.NOTHING_KNOWN or few.floor == NONE

    def test_the_oldest_go_and_what_a_door_was_there_stays(self) -> None:
        with patch.object(doorstates, "MAX_EVENTS", 3):
            doors = book([("A", 1, False), ("A", 2, False), ("A", 3, True), ("A", 9, False), ("B", 6, False)])
            assert (doors.is_full, doors.next_floor()) == (True, 3)
            assert doors.forget(3) == 2
            assert {door: sorted(told) for door, told in doors.by_door.items()} == {"A": [3, 9], "B": [6]}
            assert (doors.at(3), doors.at(4)) == (doorstates.NOTHING_KNOWN, Stretch(4, 3, OPEN))
            assert doors.put("A", 3, 6, is_open=True) == "stale"
            assert (doors.next_floor(), doors.forget(3), doors.forget(2)) == (NONE, 0, 0)

    def test_a_door_too_many_is_left_out_and_so_is_an_event_too_many(self) -> None:
        doors = Doors()
        became = [doors.put(f"D{i}", i, i, is_open=False) for i in range(doorstates.MAX_DOORS + 1)]
        assert became[-2:] == ["kept", "left_out"]
        assert doors.put("D0", 99, 99, is_open=True) == "kept"
        with patch.object(doorstates, "AT_ONCE", doors.count):
            assert doors.put("D0", 100, 99, is_open=False) == "left_out"

    @given(EVENTS, st.integers(-1, 30))
    @FEW
    def test_a_snapshot_holds_it(self, told: list[tuple[str, int, bool]], floor: int) -> None:
        doors = book(told)
        doors.forget(floor)
        packed = doors.pack("R", "B1 C1")
        again = msgspec.msgpack.decode(msgspec.msgpack.encode(packed), type=PackedDoors)
        assert Doors.unpack(again) == doors

    @pytest.mark.parametrize(
        "packed",
        [
            ("R", "P", 5, 6, []),
            ("R", "P", 5, 5, [("B", [(1, True, 1)]), ("A", [(1, True, 1)])]),
            ("R", "P", 5, 5, [("A", [])]),
            ("R", "P", 5, 5, [(f"D{i:02}", [(1, True, 1)]) for i in range(doorstates.MAX_DOORS + 1)]),
            ("R", "P", 5, 5, [("A", [(i, True, 1) for i in range(doorstates.AT_ONCE + 1)])]),
        ],
    )
    def test_what_no_fold_leaves_is_refused(self, packed: PackedDoors) -> None:
        with pytest.raises(ValueError, match="doors that no fold leaves"):
            Doors.unpack(packed)


def rows(text: str, every: int = MINUTE) -> list[tuple[int, float | None]]:
    """Return the rows of `12x3 9 !` (three of 12 Pa, one of 9, one that is not known), from 0 on."""
    found: list[float | None] = []
    for part in text.split():
        value, _, many = part.partition("x")
        found += [None if value == "!" else float(value)] * int(many or 1)
    return [(i * every, value) for i, value in enumerate(found)]


SHUT = [(-HOUR, "closed")]
BY_HAND = [
    ("a minute itself is enough", "12x3 9.9x2 12x3", MINUTE, {"D": SHUT}, [(3, 4, 5)]),
    ("half a minute is not", "12x4 9x2 12x4", MINUTE // 2, {"D": SHUT}, []),
    ("a minute of half minutes is", "12x4 9x3 11x4", MINUTE // 2, {"D": SHUT}, [(2, 3, 3.5)]),
    ("10 Pa itself is enough", "12x3 10x9", MINUTE, {"D": SHUT}, []),
    ("no door is known: three minutes", "12x3 9x4 11x3", MINUTE, {}, [(3, 6, 7)]),
    ("no door is known: two minutes are not enough", "12x3 9x3 11x3", MINUTE, {}, []),
    ("an open door excuses", "12x3 9x9", MINUTE, {"D": [(2 * MINUTE, "open")]}, []),
    ("it excuses for an hour", "12x3 9x67", MINUTE, {"D": [(3 * MINUTE, "open")]}, [(63, 66, None)]),
    ("an hour and no longer", "12x3 9x63", MINUTE, {"D": [(3 * MINUTE, "open")]}, []),
    ("the run begins when it is closed", "9x9", MINUTE, {"D": [(0, "open"), (4 * MINUTE, "closed")]}, [(4, 5, None)]),
    (
        "between two records it was open", "12x3 9x5", MINUTE,
        {"D": [*SHUT, (190_000, "open"), (200_000, "closed")]}, [(4, 5, None)],
    ),
    ("the record at the opening is excused", "12x3 9x2 12", MINUTE, {"D": [*SHUT, (4 * MINUTE, "open")]}, []),
    ("told of for the first time, and closed", "12x3 9x5", MINUTE, {"D": [(4 * MINUTE, "closed")]}, [(4, 5, None)]),
    ("one of two doors is open", "9x9", MINUTE, {"D": SHUT, "E": [(0, "open")]}, []),
    ("an open door does not end an alarm", "9x9", MINUTE, {"D": [*SHUT, (4 * MINUTE, "open")]}, [(0, 1, None)]),
    ("three good records end it, door or not", "9x4 11x3", MINUTE, {"D": [*SHUT, (4 * MINUTE, "open")]}, [(0, 1, 4)]),
    ("behind a hole the run begins anew", "9 ! ! 9 12", MINUTE, {"D": SHUT}, []),
    ("one record that is not known is no hole", "9 ! 9", MINUTE, {"D": SHUT}, [(0, 2, None)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "every", "told", "wanted"), [one[1:] for one in BY_HAND], ids=[one[0] for one in BY_HAND]
)
def test_the_plain_rule_by_hand(text, every, told, wanted) -> None:
    """What the engine has to tell too."""
    found = alarms(rows(text, every), told, interval=every)
    assert found == [tuple(None if t is None else int(t * MINUTE) for t in one) for one in wanted]
