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
    restoring_moved: float = BEGIN
    tenures: dict[int, Place] = field(default_factory=dict)

    @property
    def restored(self) -> bool:
        return self.wanted <= self.tenures.keys()


@dataclass
class StubStanding:
    confirmed: float | None = None
    why: str = "the group was not asked yet"


@dataclass
class Scene:
    """A watchdog with its world, and a clock that the test moves."""

    custody: StubCustody = field(default_factory=lambda: StubCustody(tenures={0: Place()}))
    ends: dict[int, int] = field(default_factory=lambda: {0: 0})
    standing: StubStanding = field(default_factory=StubStanding)
    known: bool = False
    """Whether the group confirms this worker as a standby at every step."""
    ticking: bool = True
    died: str | None = None
    now: float = BEGIN
    blocked: bool = False

    def __post_init__(self) -> None:
        self.dog = Watchdog(
            SETTINGS, self.custody, self.halt, lambda: self.ends, lambda: self.died, self.standing  # type: ignore[arg-type]
        )  # fmt: skip
        self.dog._beat = self.dog._looked = self.dog._idle_since = self.now

    def halt(self, reason: str, error: BaseException | None = None) -> NoReturn:
        raise HaltedError(reason) from error

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += LOOK_S
            if not self.blocked:
                self.dog._beat = self.now
            if self.known:
                self.standing.confirmed = self.now
            for partition in self.custody.tenures if self.ticking else ():
                self.dog._partition(partition).heard = self.now
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


def test_an_empty_assignment_that_the_group_does_not_confirm_is_the_end_after_two_minutes() -> None:
    scene = Scene(
        custody=StubCustody(wanted=frozenset()), standing=StubStanding(why="the group does not know this worker")
    )
    scene.pass_time(119)
    assert scene.dog.faults == []
    assert scene.dog.behind == ["the group does not know this worker"]
    assert not scene.dog.ready
    scene.pass_time(3)
    assert "no partition is assigned (the group does not know this worker)" in scene.dog.faults[0]
    with pytest.raises(HaltedError, match="does not know"):
        scene.pass_time(70)


def test_a_standby_that_the_group_knows_lives_and_is_ready() -> None:
    scene = Scene(custody=StubCustody(wanted=frozenset()), known=True)
    scene.pass_time(3_000)
    assert scene.dog.faults == []
    assert scene.dog.ready


def test_a_standby_that_the_group_lost_is_not_ready_and_ends() -> None:
    scene = Scene(custody=StubCustody(wanted=frozenset()), known=True)
    scene.pass_time(500)
    scene.known, scene.standing.why = False, "the coordinator does not answer"
    scene.pass_time(21)
    assert scene.dog.behind == ["the coordinator does not answer"]
    assert scene.dog.faults == []
    with pytest.raises(HaltedError, match="no partition is assigned"):
        scene.pass_time(170)


def test_assignments_that_keep_giving_nothing_do_not_begin_the_time_anew() -> None:
    scene = Scene(custody=StubCustody(wanted=frozenset()))

    def throw_each_other_out() -> None:
        for _ in range(200):  # two workers of one name, every second
            scene.custody.wanted_since = scene.now
            scene.pass_time(1)

    with pytest.raises(HaltedError, match="no partition is assigned"):
        throw_each_other_out()


def test_the_time_without_partitions_begins_when_they_are_lost() -> None:
    scene = Scene()
    scene.pass_time(500)
    scene.custody.wanted, scene.custody.tenures = frozenset(), {}
    scene.pass_time(119)
    assert scene.dog.faults == []


def test_a_broker_that_takes_nothing_makes_it_unready_then_unhealthy_then_ends_it() -> None:
    scene = Scene(ticking=False)
    scene.pass_time(10)
    assert scene.dog.ready
    scene.pass_time(10)
    assert scene.dog.behind == ["nothing could be appended to partitions [0]"]
    assert scene.dog.faults == []
    scene.pass_time(42)
    assert "nothing could be appended to partition 0" in scene.dog.faults[0]
    with pytest.raises(HaltedError, match="appended"):
        scene.pass_time(40)


def test_a_partition_whose_end_is_not_known_yet_is_not_caught_up() -> None:
    scene = Scene(ends={})
    scene.pass_time(1)
    assert scene.dog.behind == ["the log's end is not known yet"]
    assert not scene.dog.ready
    scene.ends = {0: 0}
    scene.pass_time(1)
    assert scene.dog.ready
    # Given away and given again: what was known of it is of another time.
    scene.custody.tenures, scene.custody.wanted = {1: Place()}, frozenset({1})
    scene.pass_time(1)
    assert not scene.dog.ready
    assert list(scene.dog._partitions) == [1]


def test_a_restore_is_bounded() -> None:
    scene = Scene(custody=StubCustody(restoring_since=BEGIN))
    scene.pass_time(39)
    assert scene.dog.faults == []
    assert not scene.dog.ready
    with pytest.raises(HaltedError, match="restoring"):
        scene.pass_time(30)


def test_a_restore_that_takes_long_and_goes_on_is_left_to_it() -> None:
    scene = Scene(custody=StubCustody(restoring_since=BEGIN))
    for _ in range(20):
        scene.pass_time(30)
        scene.custody.restoring_moved += 30
        assert scene.dog.faults == []
    with pytest.raises(HaltedError, match="restoring does not go on"):
        scene.pass_time(70)


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
    scene.pass_time(1)
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
    dog: Any = Watchdog(SETTINGS, scene.custody, scene.halt, dict, lambda: None, scene.standing)  # type: ignore[arg-type]
    dog.start()
    dog.beat()
    dog.stop()
    dog._thread.join(5)
    assert not dog._thread.is_alive()
