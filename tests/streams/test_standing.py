"""A worker's name and its place in the group: who may take a name, who must give way, and which standby is of use."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NoReturn
from uuid import uuid4

import pytest

from streams import standing as module
from streams.admin import BrokerDownError
from streams.halt import exit_status
from streams.settings import KafkaSettings
from streams.standing import Group, InstanceTakenError, Name, Seat, Standing, claim, client_id, here, twin
from streams.worker_settings import WorkerSettings

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = WorkerSettings(instance="w1", kafka=KafkaSettings(partitions=4), session_timeout_s=10, heartbeat_every_s=3)
MINE = Seat("w1-a", "w1", client_id(SETTINGS), "/10.0.0.1", frozenset())
ELSEWHERE = replace(MINE, member="w1-b", client="offsite-fold-w1-at-other", host="/10.0.0.2")
OTHERS = Seat("w2-a", "w2", "offsite-fold-w2-at-other", "/10.0.0.2", frozenset(range(4)))


class HaltedError(Exception):
    pass


def halt(reason: str, error: BaseException | None = None) -> NoReturn:
    raise HaltedError(reason) from error


def group(*seats: Seat, stable: bool = True) -> Group:
    return Group(uuid4().hex, stable, seats)


@dataclass
class World:
    """What the coordinator says, answer by answer; time passes with each."""

    answers: list[Group | BrokerDownError]
    now: float = 100.0
    step_s: float = 0.5
    asked: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def ask(self, _settings: WorkerSettings) -> Group:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        self.now += self.step_s
        if isinstance(answer, BrokerDownError):
            raise answer
        return answer

    def claim(self) -> Name | None:
        return claim(SETTINGS, self.stop, self.ask, lambda: self.now)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLAIM_LOOK_S", 0.001)


@pytest.mark.parametrize(
    "there", [(), (OTHERS,), (MINE, OTHERS)], ids=["new group", "others", "a predecessor of this machine"]
)
def test_a_name_that_is_free_here_is_taken_at_once(there: tuple[Seat, ...]) -> None:
    world = World([group(*there)])
    assert world.claim() is not None
    assert world.asked == 1


def test_a_seat_from_elsewhere_is_waited_for_as_long_as_a_dead_worker_keeps_it() -> None:
    world = World([group(ELSEWHERE)] * 20 + [group()])
    assert world.claim() is not None
    assert world.asked == 21


def test_a_seat_from_elsewhere_that_stays_is_a_living_twin_and_is_respected() -> None:
    world = World([group(ELSEWHERE)])
    with pytest.raises(InstanceTakenError) as caught:
        world.claim()
    assert world.now - 100 > SETTINGS.session_timeout_s + SETTINGS.heartbeat_every_s
    assert "offsite-fold-w1-at-other at /10.0.0.2" in str(caught.value)
    assert "OFFSITE_WORKER_INSTANCE" in caught.value.report()
    assert exit_status(caught.value) == 4, "starting it again does not help"


def test_an_outage_begins_the_wait_anew_since_dead_members_stay_through_it() -> None:
    away = BrokerDownError("away")
    world = World([*[group(ELSEWHERE)] * 25, away, *[group(ELSEWHERE)] * 25, group()])
    assert world.claim() is not None


def test_a_claim_ends_when_it_is_told_to() -> None:
    world = World([BrokerDownError("away")])
    threading.Timer(0.05, world.stop.set).start()
    assert world.claim() is None


def test_a_name_is_held_by_one_process_of_a_machine_and_freed_with_it() -> None:
    cluster = uuid4().hex
    code = f"from streams.standing import Name; n = Name({cluster!r}, 'g', 'w1'); print('held', flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(InstanceTakenError, match="w1 of group g runs on this machine"):
        Name(cluster, "g", "w1")
    for others in ((cluster, "g", "w2"), (cluster, "h", "w1"), (uuid4().hex, "g", "w1")):
        Name(*others).give_up()
    other.kill()
    other.wait()
    other.stdin.close()
    other.stdout.close()
    mine = Name(cluster, "g", "w1")
    mine.give_up()
    Name(cluster, "g", "w1").give_up()


def test_a_name_given_up_on_the_way_is_free_again() -> None:
    answer = group(ELSEWHERE)
    with pytest.raises(InstanceTakenError):
        World([answer]).claim()
    assert World([replace(answer, seats=())]).claim() is not None


def test_the_client_id_says_where_the_worker_runs() -> None:
    assert here() == here()
    assert client_id(SETTINGS) == f"offsite-fold-w1-at-{here()}"
    assert all(c.isalnum() or c in "._-" for c in client_id(SETTINGS))


def test_the_place_is_the_host_and_its_boot_and_anew_for_each_process_where_no_boot_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    linux = here()
    for number in (b"a", b"b"):
        boot = tmp_path / "boot_id"
        boot.write_bytes(number)
        monkeypatch.setattr(module, "BOOT_ID", boot)
        assert here() != linux
        assert here() == here()
    monkeypatch.setattr(module, "BOOT_ID", tmp_path / "none")
    unknown = here()
    monkeypatch.setattr(module, "_ANY_BOOT", b"of another process")
    assert here() != unknown


STRANGER = replace(MINE, member="w1-b")
"""Kafka keeps client and host of a seat whose member is replaced: only the id is another."""


def thrown_out(*answers: Group | BrokerDownError) -> tuple[InstanceTakenError | None, World]:
    world = World(list(answers))
    return twin(SETTINGS, lambda: {MINE.member}, world.ask, lambda: world.now, lambda _: None), world


def test_who_was_thrown_out_learns_it() -> None:
    told, _ = thrown_out(group(STRANGER))
    assert told is not None
    assert "another process joined group offsite-fold as w1" in str(told)
    assert "OFFSITE_WORKER_INSTANCE" in told.report()
    assert exit_status(told) == 4


def test_a_twin_needs_a_heartbeat_to_take_the_seat_back() -> None:
    assert thrown_out(group(MINE), group(MINE), group(STRANGER))[0] is not None
    told, world = thrown_out(group(MINE))
    assert told is None
    assert world.now - 100 > SETTINGS.heartbeat_every_s


def test_who_was_not_thrown_out_by_a_twin_is_not_told_so() -> None:
    for answers in (
        [group(OTHERS)], [BrokerDownError("away")], [group(STRANGER, stable=False)],
        [group(STRANGER), group(MINE)],  # seen once: its own seat, of which it has not heard yet
    ):  # fmt: skip
        assert thrown_out(*answers)[0] is None


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
