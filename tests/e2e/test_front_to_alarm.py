"""One finished line on real parts: a facility posts over HTTP, Kafka carries it, the worker judges, the alarm equals the offline fold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from rules.changes import Change
from rules.records import RegisterRecord
from rules.register import Facility
from streams import admin
from streams.access import new_key
from streams.broker import EmbeddedBroker
from streams.codec import encode
from streams.settings import KafkaSettings
from streams.topics import ACCESS, ALARMS, LOG
from tests.calibrated import CALIBRATION

pytestmark = pytest.mark.kafka
KNOWN = {"calibration": CALIBRATION}
FACILITY = Facility.model_validate(
    {
        "id": "BJ-MFR-0007",
        "name": {"zh": "京北生物制品有限公司（模拟）", "en": "Jingbei Biologics (simulated)"},
        "jurisdiction": "110115",
        "scopes": [{"field": "manufacture", "line": "drug"}],
        "areas": [{"id": "CR1", "kind": "cold-room"}],
        "sensors": [
            {"tag": "CR1.T1", "area": "CR1", "quantity": "temperature", "unit": "Cel", "interval": "60s"} | KNOWN,
            {"tag": "CR1.T2", "area": "CR1", "quantity": "temperature", "unit": "Cel", "interval": "60s"} | KNOWN,
        ],
    }
)


def environment(settings, **more):
    kafka = {
        "OFFSITE_KAFKA_BOOTSTRAP": settings.bootstrap,
        "OFFSITE_KAFKA_PARTITIONS": str(settings.partitions),
        "OFFSITE_KAFKA_TOPIC_PREFIX": settings.topic_prefix,
    }
    return os.environ | kafka | more


@contextmanager
def running(*arguments, env, log):
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "monitor", *arguments], stdout=subprocess.PIPE, stderr=out, env=env
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()


def until(condition, seconds=40):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def admit(settings, key_hash):
    """Register the facility and its key, as the desk's outbox will."""
    producer = KafkaProducer(**settings.for_kafka_python(), acks="all")
    entry = {"name": "feed", "facilities": [FACILITY.id], "endpoints": ["readings"]}
    headers, value = encode(RegisterRecord(version=1, facility=FACILITY))
    futures = [
        producer.send(settings.topic(ACCESS), key=key_hash.encode(), value=json.dumps(entry).encode()),
        producer.send(settings.topic(LOG), key=FACILITY.id.encode(), value=value, headers=headers),
    ]
    for future in futures:
        future.get(timeout=20)
    producer.close()


def revoke(settings, key_hash):
    producer = KafkaProducer(**settings.for_kafka_python(), acks="all")
    producer.send(settings.topic(ACCESS), key=key_hash.encode(), value=None).get(timeout=20)
    producer.close()


def changes_of(settings):
    consumer = KafkaConsumer(**settings.for_kafka_python(), isolation_level="read_committed", enable_auto_commit=False)
    try:
        partitions = [TopicPartition(settings.topic(ALARMS), p) for p in range(settings.partitions)]
        consumer.assign(partitions)
        begin, end = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, begin[partition])
        found = {}
        deadline = time.monotonic() + 5
        while any(consumer.position(p) < end[p] for p in partitions) and time.monotonic() < deadline:
            for rows in consumer.poll(timeout_ms=200).values():
                for row in rows:
                    change = Change.model_validate_json(row.value)
                    found[change.stream, change.seq] = change
        return [found[key] for key in sorted(found)]
    finally:
        consumer.close()


def ready(url):
    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def gateway(settings, tmp_path, **more):
    env = environment(settings, OFFSITE_GATEWAY_PORT="0", OFFSITE_GATEWAY_TICK_S="1", **more)
    with running("gateway", env=env, log=tmp_path / "gateway.log") as process:
        url = "http://" + json.loads(process.stdout.readline())["listening"]
        until(lambda: ready(url))
        yield url, process


def batch(name, minute, values, begin):
    times = [begin + 60_000 * (minute + i) for i in range(len(values))]
    rows = [{"tag": tag, "time": times, "value": values} for tag in ("CR1.T1", "CR1.T2")]
    return {"batch": name, "series": rows}


def test_from_the_front_door_to_an_alarm_that_equals_the_offline_fold(kafka_settings, tmp_path):
    key, key_hash = new_key()
    admit(kafka_settings, key_hash)
    env = environment(
        kafka_settings, OFFSITE_WORKER_PORT="0", OFFSITE_WORKER_CHECKPOINT_S="1", OFFSITE_WORKER_SESSION_TIMEOUT_S="6"
    )
    begin = (int(time.time() * 1000) // 60_000 - 30) * 60_000
    with (
        running("worker", env=env, log=tmp_path / "worker.log"),
        gateway(kafka_settings, tmp_path) as (url, _),
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=20) as firm,
    ):
        receipts = []
        for i, values in enumerate([[5.0] * 10, [9.0] * 5, [5.0] * 16]):
            answer = firm.post("/v1/readings", json=batch(f"b{i}", [0, 10, 15][i], values, begin))
            assert answer.status_code == 202, answer.text
            assert answer.json()["unknown_tags"] == ["CR1.T1", "CR1.T2"]  # no tags entry was written
            receipts.append((answer.json()["partition"], answer.json()["offset"]))
        raised = until(
            lambda: [
                c for c in changes_of(kafka_settings) if c.rule == "cold-chain.store-out" and c.change == "cleared"
            ]
        )
        assert {c.subject["tag"] for c in raised} == {"CR1.T1", "CR1.T2"}
        assert {c.start for c in raised} == {begin + 10 * 60_000}
        assert {c.end for c in raised} == {begin + 15 * 60_000}

        revoke(kafka_settings, key_hash)
        until(lambda: firm.post("/v1/readings?check=true", json=batch("x", 0, [5.0], begin)).status_code == 401, 10)
    dump = subprocess.run(
        [sys.executable, "-m", "monitor", "log", "dump"], env=env, capture_output=True, check=True
    ).stdout
    lines = [json.loads(line) for line in dump.splitlines()]
    assert {(line["partition"], line["offset"]) for line in lines if line["kind"] == "readings"} == set(receipts)
    assert {line["partition"] for line in lines if line["kind"] == "tick" and line["data"]["role"] == "gateway"} == {
        0,
        1,
        2,
    }
    offline = subprocess.run(
        [sys.executable, "-m", "monitor", "evaluate", "--pack", "default", "--log", "-"],
        input=dump,
        capture_output=True,
        check=True,
    ).stdout
    live = changes_of(kafka_settings)
    folded = [Change.model_validate_json(line) for line in offline.splitlines()]
    assert [c.to_json(source=False) for c in live] == [c.to_json(source=False) for c in folded][: len(live)]
    last = max(c.received for c in live)
    assert [c for c in folded[len(live) :] if c.received <= last] == []


def test_a_gateway_killed_after_the_receipt_loses_nothing_and_a_repeat_changes_nothing(kafka_settings, tmp_path):
    key, key_hash = new_key()
    admit(kafka_settings, key_hash)
    begin = (int(time.time() * 1000) // 60_000 - 30) * 60_000
    receipts = []
    for round_ in range(3):
        with gateway(kafka_settings, tmp_path) as (url, process):
            post = batch(f"b{round_ // 2}", 0, [5.0] * 3, begin)
            answer = httpx.post(f"{url}/v1/readings", json=post, headers={"Authorization": f"Bearer {key}"})
            process.send_signal(signal.SIGKILL)
            assert answer.status_code == 202
            receipts.append((answer.json()["partition"], answer.json()["offset"]))
    env = environment(kafka_settings)
    dump = subprocess.run(
        [sys.executable, "-m", "monitor", "log", "dump"], env=env, capture_output=True, check=True
    ).stdout
    kept = [json.loads(line) for line in dump.splitlines()]
    assert [(r["partition"], r["offset"]) for r in kept if r["kind"] == "readings"] == receipts


@pytest.mark.slow  # in `make test`: test_gateway_real.py, a broker killed under load
def test_a_broker_that_goes_away_is_answered_with_503_and_comes_back(tmp_path):
    key, key_hash = new_key()
    broker = EmbeddedBroker(tmp_path / "k").start()
    try:
        settings = KafkaSettings(bootstrap=broker.bootstrap, partitions=1)
        admin.create(settings)
        admit(settings, key_hash)
        begin = (int(time.time() * 1000) // 60_000 - 30) * 60_000
        with gateway(settings, tmp_path, OFFSITE_GATEWAY_SEND_TIMEOUT_S="2") as (url, _):
            firm = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=20)
            assert firm.post("/v1/readings", json=batch("b0", 0, [5.0], begin)).status_code == 202
            broker.kill()
            began = time.monotonic()
            answer = firm.post("/v1/readings", json=batch("b1", 1, [5.0], begin))
            assert (answer.status_code, answer.json()["code"]) == (503, "not_stored")
            assert answer.headers["retry-after"]
            assert time.monotonic() - began < 6
            until(lambda: "appends_fail" in {why["code"] for why in firm.get("/readyz").json()["why"]})
            broker.start()
            until(lambda: firm.post("/v1/readings", json=batch("b1", 1, [5.0], begin)).status_code == 202)
            firm.close()
    finally:
        broker.stop()


def test_a_gateway_started_before_its_broker_answers_503_says_why_and_opens_by_itself(tmp_path):
    from streams.ports import free_port

    key, key_hash = new_key()
    port = free_port()
    settings = KafkaSettings(bootstrap=f"127.0.0.1:{port}", partitions=1)
    env = environment(settings, OFFSITE_GATEWAY_PORT="0", OFFSITE_GATEWAY_TICK_S="1")
    begin = (int(time.time() * 1000) // 60_000 - 30) * 60_000
    with running("gateway", env=env, log=tmp_path / "gateway.log") as process:
        url = "http://" + json.loads(process.stdout.readline())["listening"]
        firm = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=20)
        until(lambda: answers(firm))
        answer = firm.post("/v1/readings", json=batch("b0", 0, [5.0], begin))
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert answer.headers["retry-after"]
        closed = firm.get("/readyz")
        assert closed.status_code == 503
        assert {"broker_down", "keys"} == {why["code"] for why in closed.json()["why"]}
        assert "OFFSITE_KAFKA_BOOTSTRAP" in (tmp_path / "gateway.log").read_text()
        with EmbeddedBroker(tmp_path / "k", port=port):
            until(lambda: "topics_differ" in {why["code"] for why in firm.get("/readyz").json()["why"]}, 90)
            assert firm.post("/v1/readings", json=batch("b0", 0, [5.0], begin)).status_code == 503
            admin.create(settings)
            admit(settings, key_hash)
            until(lambda: firm.post("/v1/readings", json=batch("b0", 0, [5.0], begin)).status_code == 202, 90)
            assert firm.get("/readyz").json() == {"status": "open", "why": []}
        firm.close()


def answers(firm):
    try:
        return firm.get("/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def test_a_gateway_with_other_topics_or_a_port_in_use_says_what_to_do(kafka_settings, tmp_path):
    other = environment(kafka_settings.model_copy(update={"partitions": 7}))
    done = subprocess.run(
        [sys.executable, "-m", "monitor", "gateway"], env=other, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert "offsite topics verify" in done.stderr
    with gateway(kafka_settings, tmp_path) as (url, _):
        port = url.rpartition(":")[2]
        again = subprocess.run(
            [sys.executable, "-m", "monitor", "gateway", "--port", port], env=environment(kafka_settings),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert again.returncode == 4
    assert f"cannot listen on 127.0.0.1:{port}" in again.stderr
