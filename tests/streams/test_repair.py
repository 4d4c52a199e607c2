"""Whether workers run: the seat of one that ended is waited for as long as it may stay, and no longer."""

from __future__ import annotations

import logging

import pytest
from kafka.errors import GroupIdNotFoundError

from streams.admin import BrokerDownError
from streams.repair import WorkersRunError, await_no_workers
from tests.streams.seats import MINE, OTHERS, SETTINGS, World, group


class Waits(World):
    """A coordinator, and the seconds that are waited between its answers."""

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def look(self) -> None:
        await_no_workers(SETTINGS, self.ask, lambda: self.now, self.wait)


def test_nobody_is_waited_for_where_nobody_is() -> None:
    world = Waits([group()])
    world.look()
    assert world.asked == 1


def test_a_group_that_never_was_has_no_workers() -> None:
    def unknown(_: object) -> None:
        raise BrokerDownError("no such group") from GroupIdNotFoundError()

    await_no_workers(SETTINGS, unknown)  # type: ignore[arg-type]


def test_the_seats_of_workers_that_ended_are_waited_for_and_it_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    world = Waits([group(MINE, OTHERS)] * 5 + [group(MINE)] * 5 + [group()])
    with caplog.at_level(logging.WARNING):
        world.look()
    assert world.asked == 11
    (line,) = caplog.messages
    assert line == "2 workers are in the group: w1, w2; waiting up to 16 s for the seats of those that ended"


def test_who_has_a_seat_longer_than_the_dead_lives() -> None:
    world = Waits([group(OTHERS)])
    began = world.now
    with pytest.raises(WorkersRunError, match="1 workers are in the group: w2"):
        world.look()
    longest = SETTINGS.session_timeout_s + SETTINGS.heartbeat_every_s
    assert longest < world.now - began < longest + 5


def test_a_coordinator_that_is_away_is_no_empty_group() -> None:
    world = Waits([group(OTHERS), BrokerDownError("connection refused")])
    with pytest.raises(BrokerDownError):
        world.look()
