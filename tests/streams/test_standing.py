"""Which worker without partitions is a standby, and which is of no use."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import pytest

from streams import standing as module
from streams.admin import BrokerDownError
from streams.names import InstanceTakenError
from streams.standing import Standing
from tests.streams.seats import MINE, OTHERS, SETTINGS, STRANGER, World, group

if TYPE_CHECKING:
    from streams.group import Group


class HaltedError(Exception):
    pass


def halt(reason: str, error: BaseException | None = None) -> NoReturn:
    raise HaltedError(reason) from error


def standing(*answers: Group | BrokerDownError, idle: bool = True) -> Standing:
    world = World(list(answers))
    return Standing(SETTINGS, lambda: idle, lambda: {MINE.member}, halt, ask=world.ask, clock=lambda: world.now)


def test_a_standby_is_a_member_without_partitions_while_others_hold_them_all() -> None:
    one = standing(group(MINE, OTHERS))
    one.look()
    assert (one.confirmed, one.why) == (100.5, "")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (group(OTHERS), "does not know this worker"),
        (group(STRANGER, OTHERS), "does not know this worker"),
        (group(MINE, OTHERS, stable=False), "rebalancing"),
        (group(replace(MINE, partitions=frozenset({1})), OTHERS), "gave partitions [1], and they did not arrive"),
        (group(MINE, replace(OTHERS, partitions=frozenset({0, 2, 3}))), "nobody was given partitions [1]"),
        (group(MINE), "nobody was given partitions"),
        (BrokerDownError("away"), "does not answer"),
    ],
    ids=["outside", "of a predecessor", "rebalancing", "given and lost", "left over", "alone", "no coordinator"],
)
def test_who_owns_nothing_for_another_reason_is_no_standby(answer: Group | BrokerDownError, why: str) -> None:
    one = standing(answer)
    for _ in range(20):
        one.look()
    assert one.confirmed is None
    assert why in one.why


def test_a_standby_whose_name_a_twin_keeps_taking_ends_and_says_so() -> None:
    there, gone = group(MINE, OTHERS), group(STRANGER, OTHERS)
    one = standing(there, gone, there, there, gone)
    for _ in range(4):
        one.look()
    with pytest.raises(HaltedError, match="took this one's name") as caught:
        one.look()
    assert isinstance(caught.value.__cause__, InstanceTakenError)


def test_strangers_seen_once_in_a_while_are_rejoins_of_its_own() -> None:
    there, gone = group(MINE, OTHERS), group(STRANGER, OTHERS)
    one = standing(*[*[there] * 130, gone] * 3)
    for _ in range(3 * 131):
        one.look()
    assert one.confirmed is not None


def test_an_answer_that_comes_when_partitions_have_come_says_nothing() -> None:
    one = standing(group(MINE, OTHERS), idle=False)
    one.look()
    assert one.confirmed is None


def test_only_who_owns_nothing_asks_and_the_thread_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.001)
    world = World([group(MINE, OTHERS)])
    idle = threading.Event()
    one = Standing(SETTINGS, idle.is_set, lambda: {MINE.member}, halt, ask=world.ask)
    one.start()
    idle.wait(0.05)  # fifty looks
    assert world.asked == 0
    idle.set()
    while one.confirmed is None:
        idle.wait(0.001)
    one.stop()
    one._thread.join(10)
    assert not one._thread.is_alive()
