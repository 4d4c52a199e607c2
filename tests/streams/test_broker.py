from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams import admin, jars
from streams.broker import BrokerFolderError, BrokerStartError, EmbeddedBroker
from streams.jars import JarsError
from streams.ports import free_port, port_in_use
from streams.settings import KafkaSettings
from streams.topics import TOPICS

pytestmark = pytest.mark.kafka


def alive(pid):
    return Path(f"/proc/{pid}").exists()


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_topics_are_created_once_and_verified(kafka):
    settings = KafkaSettings(bootstrap=kafka.bootstrap, partitions=3, topic_prefix="once.")
    assert {fault.code for fault in admin.verify(settings)} == {"missing"}
    assert len(admin.create(settings)) == len(TOPICS)
    assert admin.create(settings) == []
    assert admin.verify(settings) == []
    admin.ensure_ready(settings)


def test_every_deviation_is_reported_at_once(kafka):
    settings = KafkaSettings(bootstrap=kafka.bootstrap, partitions=2, topic_prefix="twice.")
    admin.create(settings)
    with admin.admin_client(settings) as client:
        client.delete_topics([settings.topic("offsite.access.v1")])
    other = settings.model_copy(update={"partitions": 5, "cluster_id": "another"})
    wait_until(lambda: any(f.code == "missing" for f in admin.verify(other)))
    faults = admin.verify(other)
    assert {"other_cluster", "missing", "partitions"} == {fault.code for fault in faults}
    assert sum(fault.code == "partitions" for fault in faults) == sum(topic.like_log for topic in TOPICS)
    with pytest.raises(admin.TopicsError, match="other_cluster"):
        admin.ensure_ready(other)


def test_a_changed_configuration_is_a_deviation(kafka_settings):
    from kafka.admin import ConfigResource, ConfigResourceType

    name = kafka_settings.topic("offsite.log.v1")
    with admin.admin_client(kafka_settings) as client:
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"message.timestamp.type": "CreateTime"})])
    wait_until(lambda: admin.verify(kafka_settings))
    (fault,) = admin.verify(kafka_settings)
    assert fault.pointer == name
    assert "LogAppendTime" in fault.detail


def test_a_broker_that_is_down_is_said_in_bounded_time():
    began = time.monotonic()
    with pytest.raises(admin.BrokerDownError, match="no Kafka answers"):
        admin.verify(KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}"))
    assert time.monotonic() - began < 30


def test_data_survive_a_stop_and_a_kill_and_fresh_wipes_them(tmp_path):
    broker = EmbeddedBroker(tmp_path / "k").start()
    try:
        settings = KafkaSettings(bootstrap=broker.bootstrap, partitions=1)
        admin.create(settings)
        cluster = broker.cluster_id
        broker.stop()
        assert not port_in_use(broker.port)
        broker.start()
        assert admin.verify(settings) == []
        with pytest.raises(BrokerFolderError):
            broker.start()  # it runs
        assert admin.verify(settings) == []
        os.kill(broker.pid, signal.SIGKILL)
        wait_until(lambda: broker.ended is not None)
        broker.start()  # it ended by itself, and left its lock with its owner
        assert admin.verify(settings) == []
        broker.kill()
        broker.start()
        assert admin.verify(settings) == []
        assert broker.cluster_id == cluster
    finally:
        broker.stop()
    with EmbeddedBroker(tmp_path / "k", fresh=True) as again:
        assert again.cluster_id != cluster
        assert admin.verify(settings.model_copy(update={"bootstrap": again.bootstrap})) != []


def test_two_brokers_never_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("streams.broker.LOCK_WAIT_S", 0.2)
    with EmbeddedBroker(tmp_path / "k") as first:
        before = (tmp_path / "k" / "meta.json").read_bytes()
        for second in (EmbeddedBroker(tmp_path / "k"), EmbeddedBroker(tmp_path / "k", fresh=True)):
            with pytest.raises(BrokerFolderError, match="another broker runs on"):
                second.start()
        assert (tmp_path / "k" / "meta.json").read_bytes() == before
        assert first.ended is None
        assert admin.describe(KafkaSettings(bootstrap=first.bootstrap))["cluster_id"] == first.cluster_id
    with EmbeddedBroker(tmp_path / "k"):
        pass


def test_the_lock_stands_while_the_broker_lives_even_if_its_launcher_lets_go(tmp_path, monkeypatch):
    monkeypatch.setattr("streams.broker.LOCK_WAIT_S", 0.2)
    with EmbeddedBroker(tmp_path / "k") as broker:
        os.close(broker._lock)
        broker._lock = None
        with pytest.raises(BrokerFolderError):
            EmbeddedBroker(tmp_path / "k").start()


def test_the_command_ends_when_its_broker_does(tmp_path):
    command = [sys.executable, "-m", "monitor", "broker", "--data", str(tmp_path / "k")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.kill(json.loads(process.stdout.readline())["pid"], signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 4
    assert b"ended with status -9" in said


def test_create_makes_nothing_on_another_cluster_or_beside_topics_of_another_size(kafka):
    settings = KafkaSettings(bootstrap=kafka.bootstrap, partitions=2, topic_prefix="wrong.")
    with pytest.raises(admin.TopicsError, match="other_cluster"):
        admin.create(settings.model_copy(update={"cluster_id": "another"}))
    assert {fault.code for fault in admin.verify(settings)} == {"missing"}
    admin.create(settings)
    with pytest.raises(admin.TopicsError, match="partitions"):
        admin.create(settings.model_copy(update={"partitions": 5}))


def test_a_port_in_use_is_a_clear_error(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BrokerStartError, match=f"port {port} is in use"):
            EmbeddedBroker(tmp_path / "k", port=port).start()


def taking(ports, monkeypatch):
    """Let somebody else listen on a broker's port just after it was chosen: each entry names one launch's."""
    real, held = EmbeddedBroker._choose_ports, []

    def choose(broker):
        meta = real(broker)
        name = ports.pop(0) if ports else None
        if name is not None:
            held.append(socket.create_server(("127.0.0.1", int(meta[name]))))
        return meta

    monkeypatch.setattr(EmbeddedBroker, "_choose_ports", choose)
    return held


def test_a_port_that_is_taken_between_choice_and_start_is_chosen_again(tmp_path, monkeypatch):
    held = taking(["port", "controller"], monkeypatch)
    try:
        with EmbeddedBroker(tmp_path / "k") as broker:
            assert broker.port not in {each.getsockname()[1] for each in held}
            assert admin.describe(KafkaSettings(bootstrap=broker.bootstrap))["cluster_id"] == broker.cluster_id
    finally:
        for each in held:
            each.close()
    assert len(held) == 2


def test_a_broker_that_ends_at_its_start_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr("streams.broker.LAUNCHES", 1)
    held = taking(["port"], monkeypatch)
    try:
        with pytest.raises(BrokerStartError, match=r"ended at its start .*Address already in use"):
            EmbeddedBroker(tmp_path / "k").start()
    finally:
        held[0].close()
    monkeypatch.setattr("streams.broker.RECORD_BYTES", -1_000_000)  # a configuration that Kafka refuses
    with pytest.raises(BrokerStartError, match=r"ended at its start .*(?!Address).*message\.max\.bytes"):
        EmbeddedBroker(tmp_path / "k").start()


def test_a_full_disk_costs_the_broker_nothing_of_what_it_knows(tmp_path, monkeypatch):
    broker = EmbeddedBroker(tmp_path / "k")
    broker.folder.mkdir()
    broker._write_configuration(broker._choose_ports())
    held = {
        name: (tmp_path / "k" / name).read_text() for name in ("meta.json", "server.properties", "log4j2.properties")
    }

    def full(path, *_, **__):
        path.open("w").close()  # a file can still be made or emptied, not filled
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    broker._write_configuration(broker._choose_ports())  # the same again needs no room
    with pytest.raises(BrokerStartError, match=r"meta\.json cannot be written \(No space"):
        EmbeddedBroker(tmp_path / "k", port=free_port())._choose_ports()
    assert {name: (tmp_path / "k" / name).read_text() for name in held} == held


def test_the_command_leaves_no_orphan_even_when_it_is_killed(tmp_path):
    command = [sys.executable, "-m", "monitor", "broker", "--data", str(tmp_path / "k")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        ready = json.loads(process.stdout.readline())
        assert alive(ready["pid"])
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_until(lambda: not alive(ready["pid"]))


def test_altered_missing_and_foreign_jars_are_named(tmp_path):
    folder = jars.ensure_jars()
    for jar in folder.glob("*.jar"):
        (tmp_path / jar.name).symlink_to(jar)
    first, second = sorted(path.name for path in tmp_path.glob("*.jar"))[:2]
    (tmp_path / first).unlink()
    (tmp_path / second).unlink()
    (tmp_path / second).write_bytes(b"other")
    (tmp_path / "evil.jar").write_bytes(b"foreign")
    assert jars.differences(tmp_path) == [
        f"{first} is missing",
        "evil.jar is not expected",
        f"{second} has another hash",
    ]


def test_an_unreachable_repository_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "mvn").write_text("#!/bin/sh\necho 'cannot resolve' >&2\nexit 1\n")
    (tools / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    with pytest.raises(JarsError, match="Maven failed: cannot resolve"):
        jars.ensure_jars()
    assert not list((tmp_path / "cache" / "offsite" / "kafka").glob("*/checked"))


def test_an_old_java_is_not_taken(tmp_path):
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.1\"' >&2\n")
    old.chmod(0o755)
    assert jars.java_version(str(old)) == 11
    assert jars.java_version(str(tmp_path / "none")) == 0


@pytest.mark.slow
def test_jars_and_java_come_from_pypi_without_maven_and_java(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    real = jars.shutil.which
    monkeypatch.setattr(jars.shutil, "which", lambda name: None if name in {"mvn", "java"} else real(name))
    assert jars.differences(jars.ensure_jars()) == []
    assert jars.java_version(jars.java()) >= 17


def test_the_two_ports_of_a_broker_differ_also_where_the_system_offers_one_twice(tmp_path, monkeypatch):
    real = free_port()
    offers = iter([real, real, real, real + 1])
    monkeypatch.setattr("streams.broker.free_port", lambda: next(offers))
    (tmp_path / "k").mkdir(mode=0o700)
    meta = EmbeddedBroker(tmp_path / "k")._choose_ports()
    assert (meta["port"], meta["controller"]) == (real, real + 1)
