"""The access rules that docker-compose.yml applies, proven on a real broker with SASL: every process under its own principal."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, TopicAuthorizationFailedError
from sqlalchemy import select

from monitor.store.desk_tables import AlarmRow, DeadlinePartition
from monitor.store.session import Store
from monitor.store.tables import ArchiveChunk
from rules.errors import PartMissingError
from streams import admin, jars
from streams.clients import opened
from streams.settings import KafkaSettings
from streams.topics import ACCESS, ALARMS, HEADS, LOG, REJECTED, STATE
from tests.deploy.broker import ROOT, cluster
from tests.monitor.packs.files import STRICTER, pack
from tests.real_parts import require

pytestmark = pytest.mark.kafka
FACILITY = {
    "id": "BJ-MFR-0007",
    "name": {"zh": "京北生物制品有限公司（模拟）", "en": "Jingbei Biologics (simulated)"},
    "jurisdiction": "110115",
    "scopes": [{"field": "manufacture", "line": "drug"}],
    "areas": [{"id": "CR1", "kind": "cold-room"}],
    "sensors": [{"tag": "CR1.T1", "area": "CR1", "quantity": "temperature", "unit": "Cel", "interval": "60s"}],
}
WAIT_S = 120
ASKED_AT_EVERY_START = {("DESCRIBE", "Cluster:LITERAL:kafka-cluster")}
"""kafka-python's describe_cluster also asks what else it may do; it gets its answer without that part."""


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    try:
        jars.ensure_jars()
    except PartMissingError as error:
        require(None, f"Kafka ({error})")
    with cluster(tmp_path_factory.mktemp("secured")) as found:
        done = found.grant()
        assert done.returncode == 0, done.stderr + found.nodes[0].log()
        made = found.offsite("admin", "topics", "create")
        assert made.returncode == 0, made.stderr
        yield found


@contextmanager
def running(*command, env, log):
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "monitor", *command], stdout=subprocess.PIPE, stderr=out, env=env, cwd=ROOT
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()


def until(condition, *logs):
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            value = condition()
        except httpx.HTTPError:
            value = None
        if value:
            return value
        assert time.monotonic() < deadline, "\n".join(log.read_text()[-1500:] for log in logs)
        time.sleep(0.1)


def address(process):
    return "http://" + json.loads(process.stdout.readline())["listening"]


def test_one_reading_becomes_an_alarm_row_with_each_process_under_its_own_principal(secured, tmp_path):
    register = tmp_path / "register.json"
    register.write_text(json.dumps({"facilities": [FACILITY]}), encoding="utf-8")
    store = {
        "OFFSITE_STORE_URL": f"sqlite:///{tmp_path}/store.db", "OFFSITE_ARCHIVER_FOLDER": str(tmp_path / "archive"),
        "OFFSITE_DESK_PORT": "0", "OFFSITE_ARCHIVER_PORT": "0", "OFFSITE_ARCHIVER_FLUSH_S": "1",
    }  # fmt: skip
    assert secured.offsite("desk", "register", "import", str(register), **store).returncode == 0
    issued = secured.offsite("desk", "keys", "issue", "--facility", FACILITY["id"], "--json", **store)
    assert issued.returncode == 0, issued.stderr
    secured.forget_denials()
    logs = {name: tmp_path / f"{name}.log" for name in ("gateway", "worker", "desk", "archiver")}
    fast = {"OFFSITE_GATEWAY_TICK_S": "1", "OFFSITE_GATEWAY_PORT": "0"}
    quick = {"OFFSITE_WORKER_PORT": "0", "OFFSITE_WORKER_CHECKPOINT_S": "1", "OFFSITE_WORKER_SESSION_TIMEOUT_S": "6",
             "OFFSITE_WORKER_TICK_S": "1"}  # fmt: skip
    with (
        running("desk", env=secured.environment("desk", **store), log=logs["desk"]) as desk,
        running("worker", env=secured.environment("worker", **quick), log=logs["worker"]) as worker,
        running("archiver", env=secured.environment("archiver", **store), log=logs["archiver"]) as archiver,
        running("gateway", env=secured.environment("gateway", **fast), log=logs["gateway"]) as gateway,
        httpx.Client(
            base_url=address(gateway), headers={"Authorization": f"Bearer {json.loads(issued.stdout)['key']}"},
            timeout=20,
        ) as firm,
    ):  # fmt: skip
        desk_url = address(desk)
        begin = (int(time.time() * 1000) // 60_000 - 30) * 60_000
        times = [begin + 60_000 * i for i in range(12)]
        post = {"batch": "b1", "series": [{"tag": "CR1.T1", "time": times, "value": [5.0] * 4 + [9.0] * 8}]}

        # `received` says that the desk's relay wrote key and register, and that the gateway read both, the register in the log:
        # readings that stand before it there would be folded without their sensor.
        until(lambda: firm.get("/v1/register").json().get("received"), *logs.values())
        until(lambda: firm.post("/v1/readings", json=post).status_code == 202, *logs.values())
        refused = firm.post("/v1/readings", json={"batch": "b2", "series": []})
        assert refused.status_code == 422
        until(lambda: 'offsite_gateway_samples_total{outcome="sent"} 1.0' in firm.get("/metrics").text, logs["gateway"])
        until(lambda: firm.get("/v1/feed").json()["series"], logs["gateway"])  # the gateway reads log and alarms

        opened = Store(store["OFFSITE_STORE_URL"])

        def alarms():
            with opened.reading() as session:
                return [row.rule for row in session.scalars(select(AlarmRow))]

        def archived():
            with opened.reading() as session:
                return {row.topic for row in session.scalars(select(ArchiveChunk))}

        def checkpointed():
            with opened.reading() as session:
                return set(session.scalars(select(DeadlinePartition.partition)))

        until(lambda: "cold-chain.store-out" in alarms(), *logs.values())
        until(lambda: len(checkpointed()) == 3, logs["desk"])  # the desk reads the worker's state of each
        until(lambda: archived() >= {LOG, ALARMS}, logs["archiver"])
        until(lambda: httpx.get(f"{desk_url}/readyz").status_code == 200, logs["desk"])
        # What the worker wrote besides: a marker of every partition, in its transactions.
        reader = KafkaConsumer(**secured.settings("admin").for_kafka_python(), isolation_level="read_committed")
        places = [TopicPartition(STATE, p) for p in range(3)]
        until(lambda: all(reader.end_offsets(places).values()), logs["worker"])
        reader.close()
        opened.close()
        assert [process.poll() for process in (desk, worker, archiver, gateway)] == [None] * 4
    # The list is whole: nothing that a process asked for was refused, but what is asked at every start.
    new = secured.denials()
    assert {(operation, resource) for _, operation, resource in new} == ASKED_AT_EVERY_START
    assert {principal for principal, _, _ in new} == {"gateway", "worker", "desk", "archiver"}


@pytest.mark.parametrize(
    ("principal", "topic"),
    [
        ("gateway", ALARMS), ("gateway", STATE), ("gateway", ACCESS), ("gateway", HEADS),
        ("worker", ACCESS), ("worker", HEADS),
        ("desk", ALARMS), ("desk", STATE), ("desk", REJECTED),
        ("archiver", LOG), ("archiver", ALARMS), ("archiver", REJECTED),
        ("publisher", ALARMS), ("publisher", STATE), ("publisher", ACCESS), ("publisher", REJECTED),
    ],
)  # fmt: skip
def test_a_principal_cannot_write_what_is_not_its_own(secured, principal, topic):
    producer = KafkaProducer(**secured.settings(principal).for_kafka_python(), acks="all")
    try:
        # Who may write nothing at all is not even given a producer's number.
        with pytest.raises(KafkaError, match="AuthorizationFailed"):
            producer.send(topic, key=b"BJ-MFR-0007", value=b"{}", partition=0).get(timeout=30)
    finally:
        producer.close(timeout=2)


@pytest.mark.parametrize(
    ("principal", "topic"),
    [("gateway", STATE), ("gateway", REJECTED), ("worker", ACCESS), ("worker", ALARMS), ("desk", LOG), ("desk", ACCESS),
     ("archiver", ACCESS), ("archiver", STATE), ("publisher", ALARMS), ("publisher", ACCESS)],
)  # fmt: skip
def test_a_principal_cannot_read_what_is_not_its_own(secured, principal, topic):
    consumer = KafkaConsumer(**secured.settings(principal).for_kafka_python(), enable_auto_commit=False)
    try:
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek(TopicPartition(topic, 0), 0)
        with pytest.raises(TopicAuthorizationFailedError):
            until(lambda: consumer.poll(timeout_ms=500))
    finally:
        consumer.close()


@pytest.mark.parametrize("principal", ["gateway", "desk", "archiver", "publisher"])
def test_nobody_but_the_worker_can_fence_a_partition(secured, principal):
    producer = KafkaProducer(
        **secured.settings(principal).for_kafka_python(), transactional_id=f"fold-{LOG}-0", max_block_ms=10_000
    )
    try:
        with pytest.raises(KafkaError, match=r"TransactionalIdAuthorizationFailed"):
            producer.init_transactions()
    finally:
        producer.close(timeout=5)


@pytest.mark.parametrize("principal", ["gateway", "worker", "desk", "archiver"])
def test_nobody_but_the_publisher_can_take_part_in_a_publication(secured, principal):
    producer = KafkaProducer(
        **secured.settings(principal).for_kafka_python(), transactional_id="offsite-packs", max_block_ms=10_000
    )
    try:
        with pytest.raises(KafkaError, match=r"TransactionalIdAuthorizationFailed"):
            producer.init_transactions()
    finally:
        producer.close(timeout=5)


@pytest.mark.timeout(900)  # each publication runs the tests of every rule
def test_the_publisher_has_what_its_commands_need_and_no_more(secured, tmp_path):
    folder = pack(tmp_path / "stricter", *STRICTER)
    store = {"OFFSITE_STORE_URL": f"sqlite:///{tmp_path}/store.db"}
    secured.forget_denials()
    done = secured.offsite("publisher", "packs", "publish", str(folder), "--yes", "--actor", "li.lei", **store)
    assert done.returncode == 0, done.stderr
    shown = secured.offsite("publisher", "packs", "show", "--json", **store)
    assert shown.returncode == 0, shown.stderr
    rows = json.loads(shown.stdout)
    assert {row["actor"] for row in rows} == {"li.lei"}
    assert [f"{row['partition']}:{row['offset']} {row['since']}" for row in rows] == done.stdout.splitlines()[-4:-1]
    assert {(operation, resource) for _, operation, resource in secured.denials()} == ASKED_AT_EVERY_START
    for principal in ("desk", "archiver", "gateway"):
        refused = secured.offsite(principal, "packs", "publish", "default", "--yes", **store)
        assert refused.returncode == 4, refused.stdout
        assert "uthorization" in refused.stderr


@pytest.mark.parametrize("principal", ["gateway", "worker", "desk", "archiver", "publisher"])
def test_no_process_makes_topics_or_rules(secured, principal):
    settings = secured.settings(principal)
    with pytest.raises(admin.BrokerDownError, match="Authorization"), admin.admin_client(settings) as client:
        client.create_topics({"other": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=False)
    tried = secured.offsite(principal, "topics", "create")
    assert "nothing to create" in tried.stdout  # it sees all of them: `verify` has what it needs


def test_a_wrong_password_an_unknown_user_and_no_sasl_get_nothing_and_the_broker_says_so(secured, tmp_path):
    wrong = tmp_path / "password"
    wrong.write_text("x" * 43, encoding="ascii")
    good = secured.settings("gateway")
    assert admin.describe(good)["brokers"]
    # The administrator's password holds on the brokers' own listener only, where no process comes.
    admins = {"username": "admin", "password_file": secured.settings("admin").password_file}
    for changed in ({"password_file": wrong}, {"username": "stranger"}, admins):
        secured.forget_denials()
        settings = good.model_copy(update=changed)
        with pytest.raises(KafkaError):
            opened(KafkaConsumer, **settings.for_kafka_python(), bootstrap_timeout_ms=4_000)
        assert "Failed authentication" in secured.console()
    with pytest.raises(KafkaError):
        opened(KafkaConsumer, **KafkaSettings(bootstrap=good.bootstrap).for_kafka_python(), bootstrap_timeout_ms=4_000)


def test_what_is_beyond_the_list_is_taken_away_and_what_is_missing_comes_back(secured, tmp_path):
    text = (ROOT / "deploy" / "kafka" / "acls.yaml").read_text(encoding="utf-8")
    other = tmp_path / "acls.yaml"
    other.write_text(text.replace("[offsite.access.v1, offsite.alarms.v1], may: [read]",
                                  "[offsite.access.v1, offsite.journal-heads.v1], may: [read]"), encoding="utf-8")  # fmt: skip
    assert other.read_text() != text
    first = secured.grant(other)
    assert (first.returncode, first.stdout) == (0, "5 passwords set, 1 rules added, 1 taken away\n"), first.stderr
    again = secured.grant()
    assert (again.returncode, again.stdout) == (0, "5 passwords set, 1 rules added, 1 taken away\n"), again.stderr
    assert secured.grant().stdout == "5 passwords set, 0 rules added, 0 taken away\n"
