"""`GET /v1/stream` on a real server: resumed by number, ended with the session, bounded per browser."""

from __future__ import annotations

import json
import threading

import httpx
import pytest

from monitor.accounts import users
from monitor.api import stream
from monitor.store.session import StoreDownError
from tests.monitor.alarms.changes import change
from tests.monitor.desk.browser.serving import Served
from tests.monitor.desk.lab import NOW, PASSWORD

START = NOW - 600_000


@pytest.fixture
def served(sqlite_store, tmp_path):
    lab = Served(sqlite_store, tmp_path / "archive")
    lab.start()
    yield lab
    lab.stop()


@pytest.fixture
def client(served):
    served.user()
    with httpx.Client(base_url=served.url, timeout=60, trust_env=False) as client:
        client.post("/v1/session", json={"name": "li.lei", "password": PASSWORD}).raise_for_status()
        yield client


class Line:
    """One open stream, read event by event."""

    def __init__(self, client, **headers):
        self._context = client.stream("GET", "/v1/stream", headers=headers)
        self.answer = self._context.__enter__()
        self._lines = self.answer.iter_lines()

    def event(self):
        """Return the next event as a dict, None where the stream ends."""
        found = {}
        for line in self._lines:
            if not line and found.keys() - {"retry"}:
                return found
            name, _, value = line.partition(": ")
            if name:
                found[name] = value
        return None

    def close(self):
        self._context.__exit__(None, None, None)


@pytest.fixture
def line(client):
    opened = []

    def make(**headers):
        opened.append(Line(client, **{key.replace("_", "-"): value for key, value in headers.items()}))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_a_step_comes_without_asking_and_an_older_one_by_its_number(served, line):
    served.apply(change(1, start=START))
    first = line()
    assert first.answer.headers["content-type"].startswith("text/event-stream")
    assert first.answer.headers["cache-control"] == "no-store"
    assert "default-src 'self'" in first.answer.headers["content-security-policy"]
    served.apply(change(2, "stepped", start=START, severity="red"))
    event = first.event()
    assert (event["event"], event["id"]) == ("alarm", "2")
    assert json.loads(event["data"])["kind"] == "stepped"
    resumed = line(Last_Event_ID="0")
    assert [resumed.event()["id"] for _ in range(2)] == ["1", "2"]


def test_a_number_that_was_never_given_out_asks_for_a_fresh_load(line):
    ahead = line(Last_Event_ID="999")
    assert ahead.event()["event"] == "reset"
    assert ahead.event() is None


@pytest.mark.parametrize("number", ["-1", "x", "9" * 19, "1.5", "٣"])
def test_a_number_that_is_none_is_refused(client, number):
    answer = client.get("/v1/stream", headers={"Last-Event-ID": number.encode()})
    assert (answer.status_code, answer.json()["code"]) == (422, "contract")


def test_silence_is_said_so_that_a_dead_line_can_be_told(line, monkeypatch):
    monkeypatch.setattr(stream, "KEEPALIVE_S", 0.0)
    monkeypatch.setattr(stream, "CHECK_S", 0.05)
    event = line().event()
    assert (event["event"], event["data"]) == ("still", "{}")
    assert "id" not in event  # nothing to resume from


@pytest.mark.parametrize("busy", [False, True])
def test_a_disabled_account_hears_nothing_more_even_while_steps_keep_coming(served, line, monkeypatch, busy):
    monkeypatch.setattr(stream, "CHECK_S", 0.05)
    opened, done = line(), threading.Event()

    def steps():
        seq = 0
        while not done.wait(0.01):
            seq += 1
            served.apply(change(seq, tag=f"T{seq}", start=START))

    feeding = threading.Thread(target=steps)
    if busy:
        feeding.start()
        assert opened.event()["event"] == "alarm"
    with served.store.writing() as session:
        users.disable(session, "li.lei", NOW)
    heard = 0
    while opened.event() is not None:
        heard += 1
        assert heard < 2_000
    done.set()
    if busy:
        feeding.join(30)


def test_a_store_that_is_away_ends_the_line_instead_of_pretending(line, served, monkeypatch):
    monkeypatch.setattr(stream, "CHECK_S", 0.05)
    opened = line()

    def away():
        raise StoreDownError("sqlite", RuntimeError("gone"))

    monkeypatch.setattr(served.store, "reading", away)
    assert opened.event() is None


def test_one_browser_takes_no_more_than_its_share_of_lines(client, line, monkeypatch):
    monkeypatch.setattr(stream, "MAX_PER_SESSION", 2)
    opened = [line() for _ in range(2)]
    answer = client.get("/v1/stream")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "too_many_clients", "30")
    opened[0].close()
    for _ in range(200):
        again = line()
        if again.answer.status_code == 200:
            break
        again.close()
    assert again.answer.status_code == 200


def test_all_lines_together_are_bounded_and_counted(client, line, monkeypatch):
    monkeypatch.setattr(stream, "MAX_CLIENTS", 1)
    line()
    assert client.get("/v1/stream").status_code == 503
    assert "offsite_desk_live_subscribers 1.0" in client.get("/metrics").text
