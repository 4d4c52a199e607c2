"""A desk on a store of the test's own, without Kafka: changes are applied by hand, people come through HTTP."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path

from fastapi.testclient import TestClient

from monitor.accounts import users
from monitor.alarms.projection import apply_batch
from monitor.alarms.rulebook import Rulebook
from monitor.desk.app import create_desk
from monitor.desk.figures import Figures
from monitor.desk.live import Hub
from monitor.desk.parts import Desk
from monitor.settings import DeskEnvironment
from rules.pack import default_bundle
from tests.monitor.alarms.changes import incoming

NOW = 1_790_000_000_000
PASSWORD = "correct horse battery"
RULEBOOK = Rulebook(default_bundle())
BASE = "http://127.0.0.1"


class Clock:
    """A clock that tests move."""

    def __init__(self):
        self.ms = NOW

    def __call__(self):
        return self.ms


class DeskLab:
    """The desk, its store and its clock."""

    def __init__(self, store, archive, **settings):
        self.store, self.clock, self.reasons = store, Clock(), []
        self.desk = Desk(
            DeskEnvironment(**settings), store, RULEBOOK, Hub(store), Figures(), archive, self.clock,
            lambda: self.reasons, Path("proofs") if archive is None else archive.parent / "proofs",
        )  # fmt: skip
        self.app = create_desk(self.desk)

    def apply(self, *changes):
        with self.store.writing() as session:
            apply_batch(session, incoming(changes), self.clock())
        self.desk.hub.poke()

    def user(self, name="li.lei", role="supervisor", language="zh", *, settled=True):
        with self.store.writing() as session:
            password = users.add(session, name, display="李雷", role=role, language=language, now_ms=self.clock())
        if settled:
            assert users.change_password(self.store, name, password, PASSWORD) == []
            password = PASSWORD
        return password

    @contextmanager
    def client(self):
        with TestClient(self.app, base_url=BASE, follow_redirects=False) as client:
            yield client

    @contextmanager
    def signed_in(self, name="li.lei", **more):
        password = self.user(name, **more)
        with self.client() as client:
            answer = client.post("/v1/session", json={"name": name, "password": password})
            assert answer.status_code == 200, answer.text
            client.csrf = answer.json()["csrf"]
            yield client


def csrf_of(page):
    return re.search(r'name="csrf" value="([^"]+)"', page).group(1)
