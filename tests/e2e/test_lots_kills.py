"""Kill -9 of the first worker and of that of lots in turn, under load on Kafka: no fact and no change of a lot is lost or told twice."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from kafka import KafkaProducer

from rules.canonical import canonical_bytes
from rules.changes import alarm_id
from rules.records import Decision, Events, RegisterRecord
from streams.codec import encode, home_of
from streams.dump import open_log
from streams.topics import ALARMS, LOG
from tests.e2e.test_front_to_alarm import environment
from tests.rules.lotlogs import facility

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(1_200)]
FIRMS = ("BJ-MFR-0007", "BJ-WHL-0001", "BJ-WHL-0002", "SH-PHA-0009")
EACH = 20
"""Steps of the firms with one lot; then comes another, so that there always is something to say."""
STOPPED = "vigilance.moved-after-stop"
READY_S, QUIET_S = 180, 300
COMMANDS = {
    "worker": ("worker", "--instance", "worker-1"),
    "lots": ("worker", "--lots", "--instance", "lots-1"),
}  # fmt: skip


class Kept:
    """The two workers; whichever dies is started again."""

    def __init__(self, env, folder):
        self.env, self.folder = env, folder
        self.running = {name: self._start(name) for name in COMMANDS}

    def _start(self, name):
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "monitor", *COMMANDS[name]], stdout=log, stderr=log, env=self.env
            )

    def kill(self, name):
        """End one by SIGKILL, which it must not have been before, and start it again."""
        process = self.running[name]
        assert process.poll() is None, (name, process.returncode)
        process.kill()
        process.wait()
        self.running[name] = self._start(name)

    def close(self):
        for process in self.running.values():
            process.kill()
            process.wait()


class Firms(threading.Thread):
    """Firms that tell of lots without a pause: stops, sales behind them, cases; and officers who close what that raises."""

    def __init__(self, settings, seed):
        super().__init__(daemon=True)
        self.settings, self.chance = settings, random.Random(seed)  # noqa: S311 - repeatable, not secret
        self.stopping, self.sent, self.error = threading.Event(), 0, None

    def run(self):
        producer = KafkaProducer(**self.settings.for_kafka_python(), acks="all")
        try:
            step = 0
            while not self.stopping.is_set():
                for firm, payload in self.told(step):
                    headers, value = encode(payload)
                    place = home_of(firm, self.settings.partitions)
                    topic = self.settings.topic(LOG)
                    producer.send(topic, value, key=firm.encode(), headers=headers, partition=place).get(60)
                    self.sent += 1
                step += 1
                time.sleep(self.chance.uniform(0.0, 0.05))
        except BaseException as error:  # noqa: BLE001 - told where the thread is joined
            self.error = error
        finally:
            producer.close()

    def told(self, step):
        firm, lot = FIRMS[step % len(FIRMS)], f"B{step // EACH:04d}"
        at = 1_767_225_600_000 + 60_000 * step

        def post(kind, when=at, **fields):
            event = {"stream": "trace", "type": kind, "time": when, "source": "WMS", "fields": {"lot": lot} | fields}
            return firm, Events.model_validate({"batch": f"{kind}-{step}", "events": [event]})

        if step < len(FIRMS):
            yield firm, RegisterRecord(version=0, facility=facility(firm))
        sold = {"quantity": 3, "from": firm, "to": "a patient"}
        if step % 9 == 0:
            yield post("produced", quantity=10, product="P-1", expiry="2030-12-31")
        if step % EACH == 7:
            yield post("stop-order", basis="order", known_at=at)
            yield post("sold", **sold)
            alarm = alarm_id(STOPPED, firm, {"lot": lot}, at)
            yield firm, Decision(
                id=f"D-{step}", version=1, subject={"alarm": alarm}, lot=lot, code="breach", officer="o-1",
                revision_seen=1, reason_sha256="0" * 64,
            )  # fmt: skip
        yield post("sold", when=at + 1, **sold)


@contextmanager
def feeding(settings, seed):
    firms = Firms(settings, seed)
    firms.start()
    try:
        yield firms
    finally:
        firms.stopping.set()
        firms.join(90)
    assert not firms.is_alive()
    assert firms.error is None, firms.error


def read(settings, topic):
    with open_log(settings, settings.topic(topic)) as reader:
        return [row for place in reader.places for row in reader.raw(place)]


def published(settings):
    """Return the changes of lots as Kafka holds them, by stream and number.

    Behind a death a worker may tell again what it told since its checkpoint, with the same number: then it says the same.
    """
    found = {}
    for row in (json.loads(row.value) for row in read(settings, ALARMS)):
        line = canonical_bytes({name: value for name, value in row.items() if name != "source"})
        if row["stream"].startswith("lot:"):
            assert found.setdefault((row["stream"], row["seq"]), line) == line
    return [line for _, line in sorted(found.items())]


def said_more(settings):
    """Wait until there are changes of lots that were not there before."""
    before, deadline = len(published(settings)), time.monotonic() + READY_S
    while len(published(settings)) <= before:
        assert time.monotonic() < deadline, f"nothing is said behind {before} changes"
        time.sleep(1)


def evaluated(env, folder):
    """Return the changes of lots by `offsite evaluate` of a dump with its facts, None while facts of the log are not there yet."""
    dump = folder / "log.jsonl"
    command = [sys.executable, "-m", "monitor"]
    subprocess.run([*command, "log", "dump", "--lots", "--output", str(dump)], env=env, check=True, capture_output=True)
    done = subprocess.run(
        [*command, "evaluate", "--pack", "default", "--log", str(dump)], env=env, check=False, capture_output=True
    )
    if done.returncode == 4 and b"told by the log, no line" in done.stderr:
        return None
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return [line for line in done.stdout.splitlines() if json.loads(line)["stream"].startswith("lot:")]


@pytest.mark.parametrize(
    ("seed", "kills"), [(1, 4), pytest.param(2, 24, marks=[pytest.mark.slow])], ids=["few", "many"]
)
def test_kills_of_both_workers_lose_no_fact_and_no_change_of_a_lot(kafka_settings, tmp_path, seed, kills):
    env = environment(
        kafka_settings, OFFSITE_WORKER_PORT="0", OFFSITE_WORKER_TICK_S="1", OFFSITE_WORKER_SESSION_TIMEOUT_S="6",
        OFFSITE_WORKER_CHECKPOINT_EVERY_S="1",
    )  # fmt: skip
    chance = random.Random(f"kills/{seed}")  # noqa: S311 - repeatable, not secret
    kept = Kept(env, tmp_path)
    try:
        with feeding(kafka_settings, seed) as firms:
            for number in range(kills):
                # Something must be said anew behind each death: else the next one would hit a worker that only starts.
                said_more(kafka_settings)
                time.sleep(chance.uniform(0.0, 2.0))
                kept.kill(("lots", "worker")[number % 2])
        assert firms.sent > 20 * kills
        wanted = None
        deadline = time.monotonic() + QUIET_S
        while wanted is None or published(kafka_settings) != wanted:
            assert time.monotonic() < deadline, (tmp_path / "lots.log").read_text()[-3000:]
            time.sleep(1)
            wanted = evaluated(env, tmp_path)
        told = [json.loads(line) for line in wanted]
        assert {"raised", "cleared"} <= {row["change"] for row in told}
        assert any("decision" in {one["kind"] for one in row["evidence"]["records"]} for row in told)
        lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
        facts = {(line["facility"], line["data"]["n"]) for line in lines if line["kind"] == "fact"}
        newest = {firm: max(n for name, n in facts if name == firm) for firm in FIRMS}
        assert len(facts) == sum(newest.values())  # dense, from 1
    finally:
        kept.close()
