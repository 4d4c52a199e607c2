"""Before anything is read or sent Kafka shows that it is ours; until then the desk serves what its store holds and says so."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading

import httpx
import pytest
from sqlalchemy import select

from monitor.accounts import users
from monitor.alarms.operators import open_alarms
from monitor.alarms.projection import apply_batch
from monitor.desk import admission as module
from monitor.desk.admission import LASTS_MS, OLD, Admission
from monitor.desk.standing import REASONS, Standing, Watch
from monitor.serving import bound
from monitor.store.desk_tables import AlarmRow, OperatorAlarm
from monitor.store.schema import upgrade
from monitor.store.session import Store, StoreDownError
from monitor.store.tables import ConsumerOffset
from rules.errors import Fault
from streams import admin
from streams.broker import EmbeddedBroker
from streams.ports import free_port
from streams.settings import KafkaSettings
from streams.topics import ALARMS
from tests.e2e.test_front_to_alarm import environment, running
from tests.monitor.alarms.changes import change, incoming
from tests.monitor.desk.following import until
from tests.monitor.desk.lab import Clock, csrf_of

SETTINGS = KafkaSettings(bootstrap="127.0.0.1:1", partitions=3)


class Kafka:
    """What `streams.admin` says of a Kafka: `faults` in turn, then that all is well."""

    def __init__(self, monkeypatch, *faults, cluster="ours"):
        self.faults, self.cluster, self.checks = list(faults), cluster, 0
        monkeypatch.setattr(module.admin, "ensure_ready", self._ready)
        monkeypatch.setattr(module.admin, "describe", lambda _: {"cluster_id": self.cluster})
        monkeypatch.setattr(module, "RETRY_S", 0.01)

    def _ready(self, _):
        self.checks += 1
        if self.faults:
            raise self.faults.pop(0)


class Lab:
    """An admission with its watch; `follow` notes what it saw and ends everything."""

    def __init__(self, store):
        self.clock, self.stop, self.seen = Clock(), threading.Event(), []
        self.watch = Watch(self.clock)
        self.admission = Admission(SETTINGS, store, self.watch, self.clock)

    def follow(self, _stop):
        self.seen.append((self.admission.passed.is_set(), self.admission.fault))
        self.stop.set()

    def run(self):
        self.admission.guarded(self.follow)(self.stop)


@pytest.fixture
def lab(sqlite_store):
    return Lab(sqlite_store)


OTHER = admin.TopicsError([Fault("cluster", "other_cluster", "is x, not y")])
AWAY = admin.BrokerDownError("no Kafka answers")


def test_a_kafka_that_is_ours_is_followed_at_once(lab, monkeypatch):
    kafka = Kafka(monkeypatch)
    lab.run()
    assert lab.seen == [(True, "")]
    assert kafka.checks == 1


@pytest.mark.parametrize("fault", [OTHER, AWAY, StoreDownError("sqlite", RuntimeError("gone"))], ids=type)
def test_what_is_wrong_is_waited_for_and_then_followed(lab, monkeypatch, fault):
    kafka = Kafka(monkeypatch, fault, fault)
    lab.run()
    assert kafka.checks == 3
    assert lab.seen == [(True, "")]


@pytest.mark.parametrize(
    ("fault", "standing"),
    [(OTHER, Standing.REFUSED), (AWAY, Standing.BROKER_AWAY), (StoreDownError("x", RuntimeError("y")), Standing.STORE_AWAY)],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_is_admitted(lab, monkeypatch, fault, standing):
    Kafka(monkeypatch, fault)
    real = lab.watch.fails

    def fails(found):
        real(found)
        lab.stop.set()

    lab.watch.fails = fails
    lab.run()
    assert lab.seen == []
    assert not lab.admission.passed.is_set()
    assert lab.watch.standing() is standing
    assert lab.admission.reason().startswith(REASONS[standing])
    assert ("other_cluster" in lab.admission.reason() or "is x, not y" in lab.admission.reason()) == (fault is OTHER)


def test_offsets_of_another_cluster_admit_nobody_not_for_a_moment(sqlite_store, monkeypatch):
    """The outbox must not send a single row into the wrong log."""
    with sqlite_store.writing() as session:
        session.add(ConsumerOffset(consumer="desk", topic=ALARMS, partition=0, next_offset=7, cluster="elsewhere"))
    lab = Lab(sqlite_store)
    kafka = Kafka(monkeypatch)
    admitted, real = [], lab.admission.passed.set
    lab.admission.passed.set = lambda: (admitted.append(1), real())
    thread = threading.Thread(target=lab.run, daemon=True)
    thread.start()
    until(lambda: kafka.checks > 5)
    assert admitted == []
    assert "elsewhere" in lab.admission.reason()
    kafka.cluster = "elsewhere"
    thread.join(30)
    assert lab.seen == [(True, "")]


def test_another_cluster_in_the_place_of_ours_ends_the_admission(lab, monkeypatch):
    Kafka(monkeypatch)
    turns = []

    def follow(stop):
        turns.append(lab.admission.passed.is_set())
        if len(turns) == 1:
            raise module.ClusterError("the broker is another")
        stop.set()

    def refused(_):
        assert not lab.admission.passed.is_set()

    lab.watch.fails = refused
    lab.admission.guarded(follow)(lab.stop)
    assert turns == [True, True]


class Told:
    """The loop that tells operators, stepped by hand: each `look` moves the clock."""

    def __init__(self, lab, monkeypatch):
        self.lab, self.steps = lab, []
        monkeypatch.setattr(lab.stop, "wait", self._wait)

    def look(self, ms, standing, then=lambda: None):
        self.steps.append((ms, standing, then))
        return self

    def _wait(self, _):
        if self.steps and len(self.steps[0]) == 1:
            self.steps.pop(0)[0]()
        if not self.steps:
            return True
        ms, standing, then = self.steps.pop(0)
        self.lab.clock.ms += ms
        self.lab.watch.standing = lambda: standing
        self.steps.insert(0, (then,))
        return False

    def run(self):
        self.lab.admission.tell(self.lab.stop)


def operators_of(store):
    with store.reading() as session:
        return [(row.code, row.subject, row.count, row.detail) for row in open_alarms(session)]


def test_operators_hear_of_rows_that_stay_old_and_again_while_it_lasts(lab, sqlite_store, monkeypatch):
    seen = []
    note = lambda: seen.append([row[2] for row in operators_of(sqlite_store)])  # noqa: E731
    told = Told(lab, monkeypatch)
    told.look(0, Standing.BROKER_AWAY, note).look(LASTS_MS - 1, Standing.BROKER_AWAY, note)
    told.look(1, Standing.BROKER_AWAY, note).look(LASTS_MS - 1, Standing.STILL, note).look(1, Standing.STILL, note)
    told.look(5_000, None, note).look(LASTS_MS * 3, Standing.BEHIND, note).look(LASTS_MS, Standing.BEHIND, note)
    told.run()
    assert seen == [[], [], [1], [1], [2], [], [], [1]]
    assert operators_of(sqlite_store) == [(OLD, ALARMS, 1, REASONS[Standing.BEHIND])]


def test_what_an_earlier_run_left_open_is_closed_once_all_is_well(lab, sqlite_store, monkeypatch):
    with sqlite_store.writing() as session:
        module.operators.opened(session, OLD, ALARMS, "before", 1)
    seen = []
    told = Told(lab, monkeypatch)
    told.look(0, Standing.BEHIND, lambda: seen.append(len(operators_of(sqlite_store))))
    told.look(5_000, None, lambda: seen.append(len(operators_of(sqlite_store))))
    told.run()
    assert seen == [1, 0]


def test_a_store_that_is_away_delays_the_alarm_and_does_not_end_the_loop(lab, sqlite_store, monkeypatch):
    real = sqlite_store.writing

    def away():
        raise StoreDownError("sqlite", RuntimeError("gone"))

    told = Told(lab, monkeypatch)
    told.look(0, Standing.STORE_AWAY, lambda: monkeypatch.setattr(sqlite_store, "writing", away))
    told.look(LASTS_MS, Standing.STORE_AWAY, lambda: monkeypatch.setattr(sqlite_store, "writing", real))
    told.look(5_000, Standing.BEHIND)
    told.run()
    assert [row[2] for row in operators_of(sqlite_store)] == [1]
    with sqlite_store.reading() as session:
        assert len(session.scalars(select(OperatorAlarm)).all()) == 1


def test_a_taken_port_is_said_before_anything_else_is_touched(tmp_path):
    held = bound("127.0.0.1", 0)
    port = held.getsockname()[1]
    env = environment(SETTINGS, OFFSITE_STORE_URL=f"sqlite:///{tmp_path}/o.db")
    found = subprocess.run(
        [sys.executable, "-m", "monitor", "desk", "--port", str(port)], env=env, capture_output=True, text=True, check=False
    )  # fmt: skip
    held.close()
    assert found.returncode == 4
    assert str(port) in found.stderr
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "o.db").exists()


@pytest.mark.kafka
def test_a_desk_without_a_broker_serves_and_acknowledges_and_goes_live_when_it_comes(tmp_path):
    url = f"sqlite:///{tmp_path}/o.db"
    store = Store(url)
    upgrade(store)
    raised = change(1)
    with store.writing() as session:
        apply_batch(session, incoming([raised]), 1)
        once = users.add(session, "li.lei", display="李雷", role="supervisor", language="en", now_ms=1)
    assert users.change_password(store, "li.lei", once, "correct horse battery") == []
    settings = KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}", partitions=3)
    env = environment(settings, OFFSITE_STORE_URL=url, OFFSITE_DESK_PORT="0")
    with running("desk", env=env, log=tmp_path / "desk.log") as process:
        base = "http://" + json.loads(process.stdout.readline())["listening"]
        with httpx.Client(base_url=base, trust_env=False, follow_redirects=True, timeout=60) as client:
            assert until(lambda: client.get("/healthz")).status_code == 200
            answer = until(
                lambda: (a := client.get("/readyz")).json()["reasons"] == [REASONS[Standing.BROKER_AWAY]] and a
            )
            assert answer.status_code == 503
            page = client.post("/sign-in", data={"name": "li.lei", "password": "correct horse battery"})
            assert "This page may be old: the broker does not answer." in page.text
            done = client.post(
                f"/alarms/{raised.alarm}/acknowledge", data={"csrf": csrf_of(page.text), "revision": "1"}
            )
            assert done.status_code == 200
            with store.reading() as session:
                assert session.get(AlarmRow, raised.alarm).acknowledged_by == "li.lei"
            port = int(settings.bootstrap.rpartition(":")[2])
            with EmbeddedBroker(tmp_path / "kafka", port=port):
                until(lambda: REASONS[Standing.REFUSED] in "".join(client.get("/readyz").json()["reasons"]))
                assert "missing" in "".join(client.get("/readyz").json()["reasons"])
                admin.create(settings)
                until(lambda: client.get("/readyz").status_code == 200)
                assert "This page may be old" not in client.get("/").text
            until(lambda: client.get("/readyz").status_code == 503)
            assert "This page may be old" in client.get("/").text
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    store.close()
