"""The desk is ready when it shows what the fold has said: the broker read to its end, the database at hand."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from monitor.desk import readiness as module
from monitor.desk.readiness import STORE_MS, Readiness
from monitor.desk.standing import OLD_MS, REASONS, Standing, Watch
from monitor.store.session import StoreDownError


class Scene:
    """A follower that is as the test says, and a database that answers or not."""

    def __init__(self, store):
        self.now = 1_000_000
        self.watch = Watch(lambda: self.now)
        self.watch.turned(fresh_ms=self.now)
        self.readiness = Readiness(store, self.watch, lambda: self.now)

    def ask_store(self):
        """Let the database be asked once."""
        stop = SimpleNamespace(turns=iter((False, True)))
        self.readiness.watch_store(SimpleNamespace(is_set=lambda: next(stop.turns), wait=lambda _s: None))


def test_a_desk_that_has_read_everything_is_ready(sqlite_store):
    scene = Scene(sqlite_store)
    assert scene.readiness.reasons() == ["the database does not answer"]
    scene.ask_store()
    assert scene.readiness.reasons() == []


def passes(scene, *, turning):
    """Time passes without news of the topic's end."""
    scene.now += OLD_MS + 1
    scene.readiness._answered_ms = scene.now
    if turning:
        scene.watch.turned()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda s: s.watch.fails(Standing.BROKER_AWAY), Standing.BROKER_AWAY),
        (lambda s: s.watch.fails(Standing.STORE_AWAY), Standing.STORE_AWAY),
        (lambda s: passes(s, turning=True), Standing.BEHIND),
        (lambda s: passes(s, turning=False), Standing.STILL),
    ],
)
def test_what_is_missing_is_said(sqlite_store, change, why):
    scene = Scene(sqlite_store)
    scene.ask_store()
    assert scene.readiness.reasons() == []
    change(scene)
    assert scene.readiness.reasons() == [REASONS[why]]


def test_a_database_that_is_away_or_hangs_is_seen_and_seen_to_come_back(sqlite_store, monkeypatch):
    scene = Scene(sqlite_store)
    scene.ask_store()
    reading = sqlite_store.reading

    def down():
        raise StoreDownError("sqlite:///x", OSError("refused"))

    monkeypatch.setattr(sqlite_store, "reading", down)
    scene.now += STORE_MS
    scene.ask_store()
    assert scene.readiness.reasons() == []
    scene.now += 1  # whether it refused or never answered, the last answer is too old
    assert scene.readiness.reasons() == ["the database does not answer"]
    monkeypatch.setattr(sqlite_store, "reading", reading)
    scene.ask_store()
    assert scene.readiness.reasons() == []


def test_the_thread_that_asks_ends_when_it_is_told(sqlite_store, monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 60.0)
    scene, stop = Scene(sqlite_store), threading.Event()
    thread = threading.Thread(target=scene.readiness.watch_store, args=(stop,))
    thread.start()
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
