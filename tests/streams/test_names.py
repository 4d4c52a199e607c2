"""A worker's name: who may take it, who must give way, and what is said to whom."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from streams import group as group_module
from streams import names as module
from streams.admin import BrokerDownError
from streams.group import client_id, here
from streams.halt import exit_status
from streams.names import InstanceTakenError, Name, claim, twin
from tests.streams.seats import ELSEWHERE, MINE, OTHERS, SETTINGS, STRANGER, World, group

if TYPE_CHECKING:
    from pathlib import Path

    from streams.group import Group, Seat


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.001)


def take(world: World, stop: threading.Event | None = None) -> Name | None:
    return claim(SETTINGS, stop or threading.Event(), world.ask, lambda: world.now)


@pytest.mark.parametrize(
    "there", [(), (OTHERS,), (MINE, OTHERS)], ids=["new group", "others", "a predecessor of this machine"]
)
def test_a_name_that_is_free_here_is_taken_at_once(there: tuple[Seat, ...]) -> None:
    world = World([group(*there)])
    assert take(world) is not None
    assert world.asked == 1


def test_a_seat_from_elsewhere_is_waited_for_as_long_as_a_dead_worker_keeps_it() -> None:
    world = World([group(ELSEWHERE)] * 20 + [group()])
    assert take(world) is not None
    assert world.asked == 21


def test_a_seat_from_elsewhere_that_stays_is_a_living_twin_and_is_respected() -> None:
    world = World([group(ELSEWHERE)])
    with pytest.raises(InstanceTakenError) as caught:
        take(world)
    assert world.now - 100 > SETTINGS.session_timeout_s + SETTINGS.heartbeat_every_s
    assert "offsite-fold-w1-at-other at /10.0.0.2" in str(caught.value)
    assert "OFFSITE_WORKER_INSTANCE" in caught.value.report()
    assert exit_status(caught.value) == 4, "starting it again does not help"


def test_an_outage_begins_the_wait_anew_since_dead_members_stay_through_it() -> None:
    away = BrokerDownError("away")
    world = World([*[group(ELSEWHERE)] * 25, away, *[group(ELSEWHERE)] * 25, group()])
    assert take(world) is not None


def test_a_claim_ends_when_it_is_told_to() -> None:
    world = World([BrokerDownError("away")])
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    assert take(world, stop) is None


def test_a_name_is_held_by_one_process_of_a_machine_and_freed_with_it() -> None:
    cluster = uuid4().hex
    code = f"from streams.names import Name; n = Name({cluster!r}, 'g', 'w1'); print('held', flush=True); input()"
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
        take(World([answer]))
    assert take(World([replace(answer, seats=())])) is not None


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
        monkeypatch.setattr(group_module, "BOOT_ID", boot)
        assert here() != linux
        assert here() == here()
    monkeypatch.setattr(group_module, "BOOT_ID", tmp_path / "none")
    unknown = here()
    monkeypatch.setattr(group_module, "_ANY_BOOT", b"of another process")
    assert here() != unknown


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
