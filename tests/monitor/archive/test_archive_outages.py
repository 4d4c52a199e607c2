"""Broker, store or disk away: the archiver waits, says so, goes on by itself, and nothing is lost or doubled."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import text

from monitor.alarms.operators import open_alarms
from monitor.archive import archiver as module
from monitor.archive.verify import verify
from monitor.store import session as session_module
from monitor.store.schema import upgrade
from monitor.store.session import Store
from streams import admin
from streams.broker import EmbeddedBroker
from streams.settings import KafkaSettings
from streams.topics import ALARMS, LOG
from tests.coldlog import excursion
from tests.monitor.archive.running import archived, archiving, producing, send, until
from tests.monitor.archive.test_archive_kafka import in_archive, in_kafka
from tests.real_parts import require
from tests.stores import cluster, postgres_bin

PAGE = 4096


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.2)
    monkeypatch.setattr(module, "RETRY_S", 0.1)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "archive"


def whole(store, kafka, folder):
    assert in_archive(store, folder, LOG) == in_kafka(kafka, LOG)
    assert in_archive(store, folder, ALARMS) == in_kafka(kafka, ALARMS)
    report = verify(store, folder)
    assert report.faults == []
    return report.records


def rounds(producer, kafka, count):
    for _ in range(count):
        for partition in range(3):
            send(producer, kafka.topic(LOG), excursion(f"BJ-{partition}", partition=partition).records)


def test_a_broker_that_goes_and_comes_back(store, tmp_path, folder, monkeypatch):
    monkeypatch.setattr("monitor.archive.source.TIMEOUT_MS", 2_000)
    with EmbeddedBroker(tmp_path / "kafka") as broker:
        kafka = KafkaSettings(bootstrap=broker.bootstrap, partitions=3)
        admin.create(kafka)
        with archiving(store, kafka, folder) as worker:
            with producing(kafka) as producer:
                rounds(producer, kafka, 2)
            until("archive of all", lambda: archived(store, kafka))
            broker.stop()
            until("it waits", lambda: worker.waiting is not None)
            assert "Kafka" in worker.waiting
            broker.start()
            assert broker.bootstrap == kafka.bootstrap
            with producing(kafka) as producer:
                rounds(producer, kafka, 2)
            until("archive of all", lambda: archived(store, kafka))
            broker.kill()
            until("it waits", lambda: worker.waiting is not None)
            broker.start()
            with producing(kafka) as producer:
                rounds(producer, kafka, 1)
            until("archive of all", lambda: archived(store, kafka))
            assert worker.failed == []
            assert worker.figures.registry.get_sample_value("offsite_archiver_waits_total", {"reason": "broker"}) >= 2
        assert whole(store, kafka, folder) == 5 * 33


def test_a_sqlite_that_another_writer_holds(kafka_settings, tmp_path, folder, monkeypatch):
    monkeypatch.setattr(session_module, "SQLITE_BUSY_MS", 200)
    store, other = Store(f"sqlite:///{tmp_path}/s.db"), Store(f"sqlite:///{tmp_path}/s.db")
    upgrade(store)
    with archiving(store, kafka_settings, folder) as worker, producing(kafka_settings) as producer:
        rounds(producer, kafka_settings, 1)
        until("archive of all", lambda: archived(store, kafka_settings))
        with other.writing() as session:
            session.execute(text("UPDATE lease SET until_ms = until_ms"))
            rounds(producer, kafka_settings, 1)
            until("it waits", lambda: worker.waiting is not None)
            assert "does not answer" in worker.waiting
        until("archive of all", lambda: archived(store, kafka_settings))
        assert worker.failed == []
        assert worker.figures.registry.get_sample_value("offsite_archiver_waits_total", {"reason": "store"}) >= 1
    assert whole(store, kafka_settings, folder) == 2 * 33
    for one in (store, other):
        one.close()


@pytest.mark.postgres
def test_a_postgresql_that_goes_and_comes_back(kafka_settings, folder):
    programs = postgres_bin()
    require(programs, "PostgreSQL")
    with TemporaryDirectory(prefix="offsite-postgres-") as place, cluster(Path(place), programs) as server:
        server.execute("CREATE DATABASE offsite")
        store = Store(f"{server.url}/offsite")
        upgrade(store)
        with archiving(store, kafka_settings, folder) as worker, producing(kafka_settings) as producer:
            for mode in ("fast", "immediate"):
                rounds(producer, kafka_settings, 1)
                until("archive of all", lambda: archived(store, kafka_settings))
                server.stop(mode)
                rounds(producer, kafka_settings, 1)
                until("it waits", lambda: worker.waiting is not None)
                server.start()
                until("it works", lambda: worker.waiting is None)
            until("archive of all", lambda: archived(store, kafka_settings))
            assert worker.failed == []
        assert whole(store, kafka_settings, folder) == 4 * 33
        store.close()


def test_a_folder_that_cannot_be_written(store, kafka_settings, folder):
    folder.write_bytes(b"a file stands where the folder should be")
    with archiving(store, kafka_settings, folder) as worker, producing(kafka_settings) as producer:
        rounds(producer, kafka_settings, 1)
        until("it waits", lambda: worker.waiting is not None and "starting" not in worker.waiting)
        assert not archived(store, kafka_settings)
        folder.unlink()
        until("archive of all", lambda: archived(store, kafka_settings))
        assert worker.failed == []
        assert worker.figures.registry.get_sample_value("offsite_archiver_waits_total", {"reason": "files"}) >= 1
    assert whole(store, kafka_settings, folder) == 33


def test_a_disk_that_is_full_is_told_to_operators_leaves_no_rubbish_and_goes_on_by_itself(
    store, kafka_settings, folder, monkeypatch
):
    full, tries = threading.Event(), []
    real = os.fsync

    def fsync(descriptor):
        if full.is_set() and os.path.isfile(f"/proc/self/fd/{descriptor}"):  # noqa: PTH113 - a descriptor, not a path
            tries.append(1)
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr("monitor.archive.chunkfile.os.fsync", fsync)
    with archiving(store, kafka_settings, folder) as worker, producing(kafka_settings) as producer:
        rounds(producer, kafka_settings, 1)
        until("archive of all", lambda: archived(store, kafka_settings))
        full.set()
        rounds(producer, kafka_settings, 1)
        until("it has tried more than once", lambda: len(tries) >= 2)
        until("operators are told", lambda: told(store) == ["archive_unwritable"])
        assert not archived(store, kafka_settings)
        assert not list(folder.rglob("*.part-*"))
        full.clear()
        until("archive of all", lambda: archived(store, kafka_settings))
        until("operators are told that it is over", lambda: told(store) == [])
        assert worker.failed == []
    assert whole(store, kafka_settings, folder) == 2 * 33


def told(store):
    with store.reading() as session:
        return [alarm.code for alarm in open_alarms(session)]


def fill(path, leave):
    """Fill the file system of a file until nothing more goes in; then give so many bytes back."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * PAGE):
            pass
    os.truncate(path, path.stat().st_size - leave)


@pytest.mark.slow
def test_a_small_disk_that_runs_full_under_the_archiver_loses_nothing(store, kafka_settings, tmp_path):
    """A real file system of 256 KiB, where the machine lets us mount one."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=False, capture_output=True
    )
    require(mounted.returncode == 0, "the right to mount a small file system")
    try:
        with archiving(store, kafka_settings, small / "archive") as worker, producing(kafka_settings) as producer:
            rounds(producer, kafka_settings, 1)
            until("archive of all", lambda: archived(store, kafka_settings))
            ballast = small / "ballast"
            fill(ballast, leave=2 * PAGE)  # a file of each partition is to come, however many rounds a flush takes
            for _ in range(11):
                rounds(producer, kafka_settings, 1)
            until("it waits for room", lambda: worker.waiting is not None and "space" in worker.waiting)
            assert told(store) == ["archive_unwritable"]
            ballast.unlink()
            until("archive of all", lambda: archived(store, kafka_settings))
            until("operators are told that it is over", lambda: told(store) == [])
        assert whole(store, kafka_settings, small / "archive") == 12 * 33
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_consumer_that_stands_still_in_spite_of_lag_is_replaced(store, kafka_settings, folder, monkeypatch):
    from monitor.archive.source import Source

    made = []
    genuine, first = Source.poll, Source.__init__

    def init(self, *arguments):
        made.append(self)
        first(self, *arguments)

    def poll(self, timeout_s):
        if self is made[0]:
            time.sleep(0.01)
            return {}
        return genuine(self, timeout_s)

    monkeypatch.setattr(Source, "__init__", init)
    monkeypatch.setattr(Source, "poll", poll)
    with producing(kafka_settings) as producer:
        rounds(producer, kafka_settings, 1)
    with archiving(store, kafka_settings, folder, stall_s=1.0) as worker:
        until("archive of all", lambda: archived(store, kafka_settings))
        assert worker.failed == []
    assert len(made) >= 2
    assert whole(store, kafka_settings, folder) == 33
