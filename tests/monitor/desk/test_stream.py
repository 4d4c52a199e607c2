"""`GET /v1/stream` on a real server: resumed by number, ended with the session, bounded per browser."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import httpx
import pytest

from monitor.accounts import users
from monitor.alarms import operators
from monitor.api import stream
from monitor.desk.face import watched
from monitor.desk.standing import Standing, Watch
from monitor.store.session import StoreDownError
from tests.monitor.alarms.changes import change
from tests.monitor.alarms.test_rejections import refused
from tests.monitor.desk.browser.serving import Served
from tests.monitor.desk.html import parse
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

    def __init__(self, client, standing=None, **headers):
        asked = {} if standing is None else {"standing": standing}
        self._context = client.stream("GET", "/v1/stream", params=asked, headers=headers)
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

    def make(standing=None, **headers):
        opened.append(Line(client, standing, **{key.replace("_", "-"): value for key, value in headers.items()}))
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


def test_from_now_on_leaves_out_what_was_committed_before_this_desk_has_read_it(served, line, monkeypatch):
    monkeypatch.setattr(served.desk.hub, "_read", lambda *_: [])  # a desk that lags
    served.apply(change(1, start=START))
    first = line()
    assert served.desk.hub.newest == 0  # still unread
    monkeypatch.undo()
    served.apply(change(2, "stepped", start=START, severity="red"))
    assert first.event()["id"] == "2"


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


def open_fault(served, code="stream-gap", subject="A1"):
    with served.store.writing() as session:
        operators.opened(session, code, subject, "change 3 is missing", NOW)


def mark(client):
    page = parse(client.get("/untold").text)
    return page.one("ul")["data-standing"]


def until_looked(served, client, wanted=None):
    """Wait until the hub has seen what the strips show."""
    for _ in range(5_000):
        face = served.desk.hub.face
        if face is not None and wanted in {None, face.mark}:
            return
        assert client.get("/healthz").status_code == 200
    raise AssertionError("the hub looks at nothing")


def test_what_the_strips_show_comes_when_it_changes_and_has_no_number(served, client, line):
    until_looked(served, client)
    opened = line()
    open_fault(served)
    event = opened.event()
    assert event["event"] == "standing"
    assert "id" not in event  # only the newest counts: there is nothing to resume
    told = json.loads(event["data"])
    assert (told["standing"], told["operators"]) == (None, 1)
    open_fault(served)  # counted once more: the page of operators shows it
    again = json.loads(opened.event()["data"])
    assert again["operators"] == 1
    assert again["mark"] != told["mark"]
    with served.store.writing() as session:
        operators.closed(session, "stream-gap", "A1", NOW)
    assert json.loads(opened.event()["data"])["operators"] == 0


def test_a_desk_that_falls_behind_says_so_at_once_and_when_it_is_back(served, client, line):
    watch = Watch(served.clock)
    watch.turned(fresh_ms=NOW)
    served.desk.watch = watch
    until_looked(served, client)
    opened = line()
    served.apply(change(1, start=START))
    assert opened.event()["event"] == "alarm"
    heard = []
    for fails in (Standing.BROKER_AWAY, None):
        watch.fails(fails) if fails else watch.turned(fresh_ms=NOW)
        heard.append(json.loads(opened.event()["data"])["standing"])
    assert heard == ["broker-away", None]


def test_who_shows_another_mark_hears_at_once_and_who_shows_the_same_hears_nothing(served, client, line):
    open_fault(served)
    stands = mark(client)
    until_looked(served, client, stands)
    old, same = line(standing="new:0.0.0.0"), line(standing=stands)
    assert json.loads(old.event()["data"])["mark"] == stands
    served.apply(change(1, start=START))
    assert [old.event()["event"], same.event()["event"]] == ["alarm", "alarm"]


@pytest.mark.parametrize("given", ["", "a b", "<", "x" * 121])
def test_a_mark_that_is_none_is_refused(client, given):
    answer = client.get("/v1/stream", params={"standing": given})
    assert (answer.status_code, answer.json()["code"]) == (422, "contract")


def test_while_the_store_is_away_the_rest_of_the_strips_still_comes(served, monkeypatch):
    served.desk.watch = watch = Watch(served.clock)
    watch.turned(fresh_ms=NOW)
    open_fault(served)
    look = watched(served.desk)
    before = look()

    def away():
        raise StoreDownError("sqlite", RuntimeError("gone"))

    with monkeypatch.context() as patch:
        patch.setattr(served.store, "reading", away)
        assert watched(served.desk)() is None  # never seen: nothing is claimed
        watch.fails(Standing.STORE_AWAY)
        assert look() == replace(before, standing="store-away")


def test_a_record_that_was_not_taken_in_changes_the_mark(served, client):
    before = mark(client)
    served.desk.rejections.note([refused()])
    assert mark(client) != before
