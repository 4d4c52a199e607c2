"""Who uses the console goes before the backlog: slices are small while somebody is there, and wait for answers, but not for ever."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

import pytest

from monitor.desk import pace as module
from monitor.desk.figures import Figures
from monitor.desk.follower import ChangeFollower
from monitor.desk.offsets import MovedError
from monitor.desk.pace import LEAST, MOST, QUIET_S, SLICE_S, Counted, Pace
from monitor.store.tables import ConsumerOffset
from streams.settings import KafkaSettings
from tests.monitor.alarms.changes import change
from tests.monitor.desk.lab import NOW, DeskLab


@pytest.fixture
def hour(monkeypatch):
    """A monotonic clock that the test moves."""
    at = [1_000.0]
    monkeypatch.setattr(module, "monotonic", lambda: at[0])
    return at


def test_while_nobody_is_there_the_most_are_taken(hour):
    pace = Pace()
    assert pace.give_way() == MOST
    pace.entered()
    pace.left()
    assert pace.give_way() < MOST
    hour[0] += QUIET_S
    assert pace.give_way() == MOST


@pytest.mark.usefixtures("hour")
@pytest.mark.parametrize(("seconds", "wanted"), [(0.5, LEAST), (10.0, LEAST), (SLICE_S, 200), (0.0, MOST)])
def test_a_slice_learns_how_many_changes_fit_into_its_time(seconds, wanted):
    pace = Pace()
    pace.entered()
    pace.left()
    for _ in range(20):
        pace.took(200, seconds)
    assert abs(pace.give_way() - wanted) <= 1


@pytest.mark.usefixtures("hour")
def test_one_slow_write_costs_half_and_nothing_taken_teaches_nothing():
    pace = Pace()
    pace.entered()
    pace.left()
    before = pace.give_way()
    pace.took(0, 9.0)
    assert pace.give_way() == before
    pace.took(before, 9.0)
    assert before // 2 <= pace.give_way() <= before // 2 + LEAST // 20


def test_a_slice_waits_for_an_answer_that_is_being_made(monkeypatch):
    monkeypatch.setattr(module, "GIVE_WAY_S", 60.0)
    pace, went = Pace(), threading.Event()
    pace.entered()
    pace.entered()
    follower = threading.Thread(target=lambda: (pace.give_way(), went.set()))
    follower.start()
    pace.left()
    assert not went.wait(0.05)  # one is still being made
    pace.left()
    assert went.wait(30)
    follower.join(30)


def test_an_answer_that_is_never_made_stops_no_backlog(monkeypatch):
    monkeypatch.setattr(module, "GIVE_WAY_S", 0.01)
    pace = Pace()
    pace.entered()
    assert LEAST <= pace.give_way() < MOST


@pytest.mark.parametrize(
    ("path", "counted"),
    [("/", True), ("/v1/alarms", True), ("/queue/rows", True), ("/v1/stream", False), ("/static/desk.css", False), ("/metrics", False), ("/readyz", False)],
)  # fmt: skip
@pytest.mark.parametrize("fails", [False, True])
def test_requests_of_people_count_as_long_as_they_last(path, counted, fails):
    pace, seen = Pace(), []

    async def app(scope, receive, send):
        del scope, receive, send
        seen.append(pace._open)
        if fails:
            raise RuntimeError("a bug")

    async def call():
        await Counted(app, pace=pace)({"type": "http", "path": path}, None, None)

    if fails:
        with pytest.raises(RuntimeError):
            asyncio.run(call())
    else:
        asyncio.run(call())
    assert (seen, pace._open) == ([int(counted)], 0)


def test_the_desk_counts_what_it_serves(sqlite_store, tmp_path):
    lab, seen = DeskLab(sqlite_store, tmp_path / "archive"), []
    entered = lab.desk.pace.entered
    lab.desk.pace.entered = lambda: (seen.append(1), entered())
    with lab.signed_in() as client:
        del seen[:]
        client.get("/")
        client.get("/healthz")
    assert (len(seen), lab.desk.pace._open) == (1, 0)


@dataclass(frozen=True)
class Place:
    partition: int


@dataclass(frozen=True)
class Row:
    offset: int
    value: bytes
    timestamp: int = NOW


class Steady(Pace):
    """Slices of a size; counts them, and does something before one."""

    def __init__(self, size, before=None):
        super().__init__()
        self.size, self.slices, self._before = size, 0, before or (lambda _: None)

    def give_way(self):
        self._before(self.slices)
        self.slices += 1
        return self.size


def polled(count):
    rows = [Row(n, change(n + 1, "raised" if n == 0 else "amended").model_dump_json().encode()) for n in range(count)]
    return {Place(0): rows[: count // 2], Place(1): rows[count // 2 :]}


def follower_of(store, pace):
    return ChangeFollower(store, KafkaSettings(partitions=2), clock_ms=lambda: NOW, figures=Figures(), pace=pace)


def offsets_of(store):
    with store.reading() as session:
        return {row.partition: row.next_offset for row in session.query(ConsumerOffset)}


@pytest.mark.parametrize("size", [1, 7, 10, 500])
def test_what_was_polled_is_stored_whole_in_slices_of_any_size(sqlite_store, size):
    pace = Steady(size)
    follower_of(sqlite_store, pace)._store_batch(polled(20), "c", threading.Event())
    assert pace.slices == -(-20 // size)
    assert offsets_of(sqlite_store) == {0: 10, 1: 20}
    lab = DeskLab(sqlite_store, None)
    with lab.store.reading() as session:
        from monitor.alarms import queries

        assert queries.one(session, change(1).alarm).changes == 20


def test_between_slices_somebody_else_may_write(sqlite_store):
    def writes(number):
        with sqlite_store.writing() as session:
            session.merge(ConsumerOffset(consumer="x", topic="t", partition=number, next_offset=1, cluster="c"))

    follower_of(sqlite_store, Steady(5, writes))._store_batch(polled(20), "c", threading.Event())
    with sqlite_store.reading() as session:
        assert session.query(ConsumerOffset).filter_by(consumer="x").count() == 4


def test_a_stop_leaves_the_rest_unread_with_offsets_that_say_so(sqlite_store):
    stop = threading.Event()
    pace = Steady(5, lambda number: stop.set() if number == 1 else None)
    follower_of(sqlite_store, pace)._store_batch(polled(20), "c", stop)
    assert offsets_of(sqlite_store) == {0: 10}


def test_offsets_that_moved_between_two_slices_end_the_batch(sqlite_store):
    def another_desk(number):
        if number == 1:
            with sqlite_store.writing() as session:
                for row in session.query(ConsumerOffset):
                    row.next_offset += 1

    with pytest.raises(MovedError):
        follower_of(sqlite_store, Steady(5, another_desk))._store_batch(polled(20), "c", threading.Event())
    assert offsets_of(sqlite_store) == {0: 6}
