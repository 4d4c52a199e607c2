"""A worker that is alive and useless is seen, says so, and is ended; a slow one is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest

from streams.checkpoint import LogLostError
from streams.watchdog import LOOK_S, Watchdog
from streams.worker_settings import WorkerSettings

SETTINGS = WorkerSettings(
    stall_timeout_s=60, assignment_timeout_s=120, recovery_timeout_s=40, loop_timeout_s=20, ready_lag_records=10
)
BEGIN = 1_000.0


class HaltedError(Exception):
    pass


@dataclass
class Place:
    next: int = 0
    checkpointed: int = 0
    accepts: bool = True
    held: bool = False


@dataclass
class StubCustody:
    wanted: frozenset[int] = frozenset({0})
    wanted_since: float = BEGIN
    restoring_since: float | None = None
    tenures: dict[int, Place] = field(default_factory=dict)

    @property
    def restored(self) -> bool:
        return self.wanted <= self.tenures.keys()


@dataclass
class Scene:
    """A watchdog with its world, and a clock that the test moves."""

    custody: StubCustody = field(default_factory=lambda: StubCustody(tenures={0: Place()}))
    ends: dict[int, int] = field(default_factory=dict)
    died: str | None = None
    now: float = BEGIN
    blocked: bool = False

    def __post_init__(self) -> None:
        self.dog = Watchdog(SETTINGS, self.custody, self.halt, lambda: self.ends, lambda: self.died)  # type: ignore[arg-type]
        self.dog._beat = self.dog._looked = self.now

    def halt(self, reason: str, error: BaseException | None = None) -> NoReturn:
        raise HaltedError(reason) from error

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += LOOK_S
            if not self.blocked:
                self.dog._beat = self.now
            self.dog.look(self.now)


def test_a_worker_with_nothing_to_do_is_healthy_and_ready() -> None:
    scene = Scene()
    scene.pass_time(1_000)
    assert scene.dog.faults == []
    assert scene.dog.ready


def test_a_blocked_event_loop_is_unhealthy_and_then_the_end() -> None:
    scene = Scene(blocked=True)
    scene.pass_time(21)
    assert "the event loop is blocked" in scene.dog.faults[0]
    assert not scene.dog.ready
    with pytest.raises(HaltedError, match="event loop"):
        scene.pass_time(15)


def test_an_empty_assignment_is_the_end_after_two_minutes() -> None:
    scene = Scene(custody=StubCustody(wanted=frozenset()))
    scene.pass_time(119)
    assert scene.dog.faults == []
    assert not scene.dog.ready
    scene.pass_time(3)
    assert "no partition is assigned" in scene.dog.faults[0]
    with pytest.raises(HaltedError):
        scene.pass_time(70)


def test_a_restore_is_bounded() -> None:
    scene = Scene(custody=StubCustody(restoring_since=BEGIN))
    scene.pass_time(39)
    assert scene.dog.faults == []
    assert not scene.dog.ready
    with pytest.raises(HaltedError, match="restoring"):
        scene.pass_time(30)


def test_assigned_and_never_restored_is_the_end() -> None:
    scene = Scene(custody=StubCustody())
    with pytest.raises(HaltedError, match="assigned and not restored"):
        scene.pass_time(70)


def test_a_partition_that_does_not_move_while_records_wait_is_the_end() -> None:
    scene = Scene(ends={0: 5})
    scene.pass_time(61)
    assert "does not move from offset 0 of 5" in scene.dog.faults[0]
    with pytest.raises(HaltedError):
        scene.pass_time(40)


def test_a_partition_that_waits_for_a_second_clock_lives_and_is_not_ready() -> None:
    scene = Scene(ends={0: 5})
    scene.custody.tenures[0].held = True
    scene.pass_time(1_000)
    assert scene.dog.faults == []
    assert not scene.dog.ready
    scene.custody.tenures[0].held = False
    with pytest.raises(HaltedError, match="does not move"):
        scene.pass_time(100)


def test_a_slow_partition_lives() -> None:
    scene = Scene(ends={0: 500})
    for step in range(10):
        place = scene.custody.tenures[0]
        place.next = place.checkpointed = step
        scene.pass_time(50)
    assert scene.dog.faults == []
    assert not scene.dog.ready, "490 records behind is not caught up"


def test_checkpoints_that_do_not_come_are_the_end() -> None:
    scene = Scene()
    for step in range(70):
        scene.custody.tenures[0].next = step + 1
        scene.pass_time(1)
    assert "no checkpoint behind 0" in scene.dog.faults[0]
    with pytest.raises(HaltedError, match="no checkpoint behind 0"):
        scene.pass_time(40)


def test_a_tick_that_does_not_come_back_shows_a_dead_fetch() -> None:
    scene = Scene()
    scene.dog.landed(0, 7, 0)
    with pytest.raises(HaltedError, match="of 8"):
        scene.pass_time(100)


def test_a_log_that_was_cut_stops_the_worker() -> None:
    scene = Scene()
    with pytest.raises(HaltedError) as caught:
        scene.dog.landed(0, 7, 9)
    assert isinstance(caught.value.__cause__, LogLostError)
    scene.dog.landed(0, 9, 9)


def test_what_ended_inside_faust_or_aiokafka_is_the_end_at_once() -> None:
    scene = Scene()
    scene.died = "aiokafka's fetching has ended"
    with pytest.raises(HaltedError, match="fetching has ended"):
        scene.pass_time(1)


def test_a_process_that_was_stopped_is_not_judged_by_the_time_it_slept() -> None:
    scene = Scene(ends={0: 5})
    scene.pass_time(50)
    scene.now += 3_600
    scene.dog.look(scene.now)
    assert scene.dog.faults == []
    scene.pass_time(50)
    assert scene.dog.faults == []


def test_readiness_means_caught_up() -> None:
    scene = Scene(ends={0: 11})
    scene.pass_time(1)
    assert not scene.dog.ready
    assert scene.dog.lag() == 11
    scene.custody.tenures[0].next = 1
    scene.pass_time(1)
    assert scene.dog.ready


def test_a_new_watchdog_says_that_it_is_starting() -> None:
    scene = Scene()
    assert scene.dog.faults == ["starting"]
    assert not scene.dog.ready


def test_the_thread_looks_by_itself_and_stops() -> None:
    scene = Scene()
    dog: Any = Watchdog(SETTINGS, scene.custody, scene.halt, dict, lambda: None)  # type: ignore[arg-type]
    dog.start()
    dog.beat()
    dog.stop()
    dog._thread.join(5)
    assert not dog._thread.is_alive()
