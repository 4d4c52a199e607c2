"""A jump of the broker's clock is judged by a second clock; an outage, a backlog and a small difference are no jump."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from rules.records import Tick
from streams.clock_guard import JUMP_MS, ClockGuard
from streams.codec import encode

NOW = 1_767_225_600_000
MINUTE, HOUR = 60_000, 3_600_000


@dataclass
class Raw:
    offset: int
    timestamp: int
    value: bytes = b""
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    partition: int = 0
    key: bytes | None = b"FAC-0"


def tick(offset: int, received: int, now: int, by: str = "gw-1") -> Raw:
    headers, value = encode(Tick(by=by, role="gateway", now=now))
    return Raw(offset, received, value, headers, key=b"")


@dataclass
class Clocks:
    own: int = NOW
    monotonic: float = 100.0

    def __post_init__(self) -> None:
        self.guard = ClockGuard("w1", lambda: self.own, lambda: self.monotonic, 900)


@pytest.mark.parametrize(
    ("last", "received"),
    [
        (NOW - 1_000, NOW),
        (NOW - 5_000, NOW + JUMP_MS),
        (NOW - HOUR, NOW - 1_000),
        (NOW - 20 * MINUTE, NOW + JUMP_MS),
        (0, NOW),
        (NOW + HOUR, NOW + HOUR + 5_000),
        (NOW + HOUR, NOW),
        (NOW - 9 * HOUR, NOW - 2 * HOUR),
    ],
    ids=["next", "a-minute-ahead", "outage", "outage-a-minute-ahead", "first", "steadily-ahead", "back", "backlog"],
)
def test_what_a_second_clock_bears_out_goes_on(last: int, received: int) -> None:
    clocks = Clocks()
    assert clocks.guard.judge(0, last, [Raw(7, received)]) is None
    assert clocks.guard.holds == {}


@pytest.mark.parametrize(("last", "received"), [(NOW, NOW + JUMP_MS + 1), (NOW - HOUR, NOW + HOUR), (0, NOW + HOUR)])
def test_what_no_second_clock_knows_waits(last: int, received: int) -> None:
    clocks = Clocks()
    assert clocks.guard.judge(0, last, [Raw(7, received)]) == "held"
    hold = clocks.guard.holds[0]
    assert (hold.offset, hold.received, hold.own) == (7, received, NOW)


def test_a_tick_of_somebody_else_settles_it_at_once() -> None:
    later = NOW + HOUR
    clocks = Clocks()
    assert clocks.guard.judge(0, NOW, [Raw(7, later), tick(8, later + 5, later)]) == "agreed"
    assert clocks.guard.holds == {}
    assert clocks.guard.judge(0, NOW, [Raw(7, later)]) is None, "it was let pass"
    assert Clocks().guard.judge(0, NOW, [tick(7, later, later)]) == "agreed", "also where it is the first itself"


@pytest.mark.parametrize(
    "other",
    [
        tick(8, NOW + HOUR, NOW),
        tick(8, NOW + HOUR, NOW + HOUR, by="w1"),
        tick(8, NOW + 5, NOW + 5),
        tick(8, NOW + HOUR, NOW + 2 * HOUR),
        Raw(8, NOW + HOUR, b"no tick", [("kind", b"tick"), ("v", b"1")]),
        Raw(8, NOW + HOUR),
    ],
    ids=["disagrees", "own", "of-the-old-time", "says-another", "undecodable", "no-tick"],
)
def test_nothing_else_settles_it(other: Raw) -> None:
    clocks = Clocks()
    assert clocks.guard.judge(0, NOW, [Raw(7, NOW + HOUR), other]) == "held"
    assert clocks.guard.ask(0, [other]) == "held"


def test_what_lies_before_the_jump_says_nothing_of_it() -> None:
    clocks = Clocks()
    clocks.guard.judge(0, NOW, [Raw(7, NOW + HOUR)])
    assert clocks.guard.ask(0, [tick(6, NOW + HOUR, NOW + HOUR)]) == "held"


def test_the_own_clock_gets_there() -> None:
    clocks = Clocks()
    clocks.guard.judge(0, NOW, [Raw(7, NOW + 10 * MINUTE)])
    clocks.own = NOW + 9 * MINUTE - 1
    assert clocks.guard.ask(0, []) == "held"
    clocks.own = NOW + 9 * MINUTE
    assert clocks.guard.ask(0, []) == "reached"
    assert clocks.guard.judge(0, NOW, [Raw(7, NOW + 10 * MINUTE)]) is None


def test_the_wait_is_bounded_and_not_by_the_clock_in_question() -> None:
    clocks = Clocks()
    clocks.guard.judge(0, NOW, [Raw(7, NOW + 400 * 24 * HOUR)])
    clocks.monotonic += 899
    assert clocks.guard.ask(0, []) == "held"
    clocks.monotonic += 1
    assert clocks.guard.ask(0, []) == "waited"
    assert clocks.guard.judge(0, NOW, [Raw(7, NOW + 400 * 24 * HOUR)]) is None
    assert clocks.guard.judge(0, NOW, [Raw(8, NOW + 800 * 24 * HOUR)]) == "held", "another jump is another question"


def test_partitions_are_judged_apart() -> None:
    clocks = Clocks()
    clocks.guard.judge(0, NOW, [Raw(7, NOW + HOUR)])
    assert clocks.guard.judge(1, NOW, [Raw(7, NOW + 1)]) is None
    assert set(clocks.guard.holds) == {0}
    clocks.guard.forget(0)
    clocks.guard.forget(1)
    assert clocks.guard.holds == {}
