"""The Alertmanager channel: against a real Alertmanager, and against one that fails."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from sqlalchemy import select

from monitor.alarms.acknowledge import acknowledge
from monitor.alarms.projection import apply_batch
from monitor.desk.figures import Figures
from monitor.notify.alertmanager import BATCH, LASTS_MS, RESEND_MS, Alertmanager
from monitor.store.desk_tables import NoticeRow
from streams.ports import free_port
from tests.monitor.alarms.changes import change, incoming
from tests.monitor.desk.lab import RULEBOOK
from tests.real_parts import require


class Clock:
    def __init__(self):
        self.ms = time.time_ns() // 1_000_000

    def __call__(self):
        return self.ms


class Desk:
    """A store with alarms, and a channel to a URL."""

    def __init__(self, store, url):
        self.store, self.clock = store, Clock()
        self.start = self.clock() - 600_000
        self.figures = Figures()
        self.channel = Alertmanager(
            store, url, rulebook=RULEBOOK, figures=self.figures, clock_ms=self.clock, link="https://desk.example/"
        )

    def apply(self, *changes):
        with self.store.writing() as session:
            apply_batch(session, incoming(changes), self.clock())

    def life(self, seq=1, kind="raised", **more):
        return change(seq, kind, **({"start": self.start} | more))


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory):
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    require(program, "Alertmanager")
    folder = tmp_path_factory.mktemp("alertmanager")
    config = folder / "alertmanager.yml"
    config.write_text("route: {receiver: none, group_wait: 1s}\nreceivers: [{name: none}]\n")
    port = free_port()
    command = [
        program, f"--config.file={config}", f"--storage.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]  # fmt: skip
    with (folder / "log").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                if httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200:
                    break
            except httpx.HTTPError:
                assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def alerts(url, **labels):
    params = {"filter": [f'{name}="{value}"' for name, value in labels.items()]}
    return httpx.get(f"{url}/api/v2/alerts", params=params, trust_env=False).json()


@pytest.mark.alertmanager
def test_an_alarm_is_one_alert_from_raise_to_clear_on_a_real_alertmanager(store, alertmanager):
    desk = Desk(store, alertmanager)
    facility = f"F{store.dialect.upper()}"
    desk.apply(desk.life(stream=facility))
    assert desk.channel.round_once() == 1
    (alert,) = alerts(alertmanager, facility=facility)
    assert alert["labels"] == {
        "alertname": "cold-chain.store-out", "alarm": desk.life(stream=facility).alarm, "facility": facility,
        "subject": '{"tag":"T1"}',
    }  # fmt: skip
    assert alert["annotations"]["severity"] == "orange"
    assert alert["annotations"]["message_en"] == "T1 raised <b>&"
    assert alert["generatorURL"] == f"https://desk.example/alarms/{alert['labels']['alarm']}"
    desk.apply(desk.life(2, "stepped", severity="red", stream=facility))
    assert desk.channel.round_once() == 1
    (alert,) = alerts(alertmanager, facility=facility)
    assert (alert["annotations"]["severity"], alert["status"]["state"]) == ("red", "active")
    desk.apply(desk.life(3, "cleared", severity="red", stream=facility, end=desk.clock() - 1000))
    assert desk.channel.round_once() == 1
    assert alerts(alertmanager, facility=facility) == []
    assert desk.channel.round_once() == 0
    desk.channel.close()


class Fake:
    """An Alertmanager that records what it is told and answers as it is told."""

    def __init__(self):
        fake = self
        self.posts, self.status = [], 200

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fake.posts.append((self.path, json.loads(body)))
                self.send_response(fake.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


@pytest.fixture
def fake():
    with Fake() as made:
        yield made


@pytest.fixture
def desk(sqlite_store, fake):
    made = Desk(sqlite_store, fake.url)
    yield made
    made.channel.close()


def test_an_open_alarm_is_told_again_before_the_other_side_forgets_it(desk, fake):
    desk.apply(desk.life())
    assert desk.channel.round_once() == 1
    assert desk.channel.round_once() == 0
    desk.clock.ms += RESEND_MS - 1
    assert desk.channel.round_once() == 0
    desk.clock.ms += 1
    assert desk.channel.round_once() == 1
    assert LASTS_MS > 2 * RESEND_MS
    first, second = (alerts[0]["endsAt"] for _, alerts in fake.posts)
    assert second > first


def test_what_was_not_taken_is_told_again(desk, fake):
    desk.apply(desk.life())
    fake.status = 500
    assert desk.channel.round_once() == 0
    fake.status = 200
    assert desk.channel.round_once() == 1
    assert desk.figures.notices.labels("alertmanager", "failed")._value.get() == 1


def test_nothing_is_noted_while_nobody_answers(desk, sqlite_store):
    away = Desk(sqlite_store, f"http://127.0.0.1:{free_port()}")
    away.apply(away.life())
    assert away.channel.round_once() == 0
    away.channel.close()
    with sqlite_store.reading() as session:
        assert session.scalars(select(NoticeRow)).all() == []
    assert desk.channel.round_once() == 1


def test_a_covered_alarm_is_not_announced_and_its_end_is_told_if_it_was(desk, fake):
    desk.apply(desk.life(1, tag="T1"), desk.life(2, tag="T2"))
    assert desk.channel.round_once() == 2
    cover = desk.life(1, tag="T1").alarm
    desk.apply(desk.life(3, "suppressed", tag="T2", by=cover), desk.life(4, tag="T3"))
    desk.apply(desk.life(5, "suppressed", tag="T3", by=cover))
    assert desk.channel.round_once() == 1  # the end of T2; T3 was never announced
    ended = fake.posts[-1][1][0]
    assert json.loads(ended["labels"]["subject"]) == {"tag": "T2"}
    assert ended["endsAt"] <= ended["startsAt"] or desk.channel.round_once() == 0
    desk.apply(desk.life(6, "released", tag="T2"))
    assert desk.channel.round_once() == 1


@pytest.mark.parametrize("kind", ["cleared", "retracted"])
def test_an_end_is_told_once_also_after_a_restart(desk, fake, sqlite_store, kind):
    desk.apply(desk.life())
    desk.channel.round_once()
    desk.apply(desk.life(2, kind, end=desk.clock() - 5))
    again = Desk(sqlite_store, fake.url)
    assert again.channel.round_once() == 1
    assert again.channel.round_once() == 0
    again.channel.close()
    assert len(fake.posts) == 2


def test_shadow_alarms_are_told_to_nobody(desk, fake):
    desk.apply(desk.life(stage="shadow"))
    assert desk.channel.round_once() == 0
    assert fake.posts == []


def test_an_acknowledgement_goes_along_with_the_next_telling(desk, fake):
    desk.apply(desk.life())
    desk.channel.round_once()
    with desk.store.writing() as session:
        acknowledge(session, desk.life().alarm, revision=1, actor="u", now_ms=desk.clock())
    desk.clock.ms += RESEND_MS
    desk.channel.round_once()
    assert [alerts[0]["annotations"]["attention"] for _, alerts in fake.posts] == ["unacknowledged", "acknowledged"]


def test_many_alarms_go_in_bounded_posts_worst_first(desk, fake):
    colours = ["blue", "red", "yellow", "orange"]
    desk.apply(*[desk.life(i + 1, tag=f"T{i}", severity=colours[i % 4]) for i in range(BATCH + 20)])
    assert desk.channel.round_once() == BATCH + 20
    assert [len(alerts) for _, alerts in fake.posts] == [BATCH, 20]
    told = [alert["annotations"]["severity"] for _, alerts in fake.posts for alert in alerts]
    assert told == sorted(told, key=["red", "orange", "yellow", "blue"].index)
