"""The follower of changes while databases, brokers and desks come and go: nothing lost, nothing twice, the pages know."""

from __future__ import annotations

import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from sqlalchemy import text

from monitor.alarms.operators import open_alarms
from monitor.alarms.projection import FOREIGN, GAP
from monitor.desk import follower as module
from monitor.desk.offsets import CUT
from monitor.desk.standing import Standing
from monitor.store import session as session_module
from monitor.store.schema import upgrade
from monitor.store.session import Store
from monitor.store.tables import ConsumerOffset
from streams import admin
from streams.broker import EmbeddedBroker
from streams.settings import KafkaSettings
from streams.topics import ALARMS
from tests.monitor.desk.following import Running, following, lives, publish, reached, until, whole
from tests.real_parts import require
from tests.stores import cluster, postgres_bin

NAMES = ("A1", "B2", "C3", "D4")


@pytest.fixture
def server():
    programs = postgres_bin()
    require(programs, "PostgreSQL")
    with TemporaryDirectory(prefix="offsite-postgres-") as place, cluster(Path(place), programs) as made:
        made.execute("CREATE DATABASE offsite")
        yield made


@pytest.mark.postgres
@pytest.mark.parametrize("away_s", [1, pytest.param(60, marks=pytest.mark.slow)], ids=["a moment", "a minute"])
def test_a_postgresql_that_stops_and_starts_costs_time_only(server, kafka_settings, away_s):
    store = Store(f"{server.url}/offsite")
    upgrade(store)
    with Running(store, kafka_settings) as running:
        publish(kafka_settings, lives(NAMES, 30))
        until(lambda: running.watch.standing() is None and reached(store, NAMES, 30))
        seen = 30
        for mode in ("fast", "immediate"):
            server.stop(mode)
            publish(kafka_settings, lives(NAMES, 30, begin=seen + 1))
            until(lambda: running.watch.standing() is Standing.STORE_AWAY)
            time.sleep(away_s)
            server.start()
            seen += 30
            until(lambda: reached(store, NAMES, seen) and running.watch.standing() is None)  # noqa: B023 - read at once
    whole(store, lives(NAMES, seen))
    store.close()


@pytest.mark.postgres
def test_connections_killed_in_the_middle_of_transactions_lose_and_double_nothing(
    postgres, kafka_settings, monkeypatch
):
    monkeypatch.setattr(module, "BATCH", 10)
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    url = postgres.database("offsite")
    store = Store(url)
    publish(kafka_settings, lives(NAMES, 150))
    killed = 0
    with psycopg.connect(f"{postgres.url}/postgres", autocommit=True) as knife, Running(store, kafka_settings):
        chance = random.Random(7)  # noqa: S311 - no secret
        while not _reached(store, 150):
            time.sleep(chance.uniform(0.0, 0.3))
            killed += knife.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s AND state <> 'idle'",
                (url.rpartition("/")[2],),
            ).fetchone()[0]
    assert killed > 0
    whole(store, lives(NAMES, 150))
    store.close()


def _reached(store, seq):
    try:
        return reached(store, NAMES, seq)
    except session_module.StoreDownError:  # the knife hit the test's own look
        return False


@pytest.mark.parametrize(
    ("busy_ms", "held_s"), [(200, 2), pytest.param(15_000, 60, marks=pytest.mark.slow)], ids=["a moment", "a minute"]
)
def test_a_sqlite_that_another_writer_holds_costs_time_only(kafka_settings, tmp_path, monkeypatch, busy_ms, held_s):
    monkeypatch.setattr(session_module, "SQLITE_BUSY_MS", busy_ms)
    store, other = Store(f"sqlite:///{tmp_path}/s.db"), Store(f"sqlite:///{tmp_path}/s.db")
    upgrade(store)
    publish(kafka_settings, lives(NAMES, 30))
    with Running(store, kafka_settings) as running:
        until(lambda: reached(store, NAMES, 30))
        with other.writing() as session:
            session.execute(text("UPDATE stream SET last_seq = last_seq"))
            publish(kafka_settings, lives(NAMES, 30, begin=31))
            until(lambda: running.watch.standing() is Standing.STORE_AWAY)
            time.sleep(held_s)
            assert reached(store, NAMES, 30)  # readers are served all the while
        until(lambda: reached(store, NAMES, 60) and running.watch.standing() is None)
    whole(store, lives(NAMES, 60))
    for one in (store, other):
        one.close()


def test_a_broker_that_goes_is_noticed_without_any_change_and_comes_back(sqlite_store, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK_MS", 500)
    monkeypatch.setattr(module, "ANSWER_MS", 2_000)
    with EmbeddedBroker(tmp_path / "kafka") as broker:
        settings = KafkaSettings(bootstrap=broker.bootstrap, partitions=3)
        admin.create(settings)
        publish(settings, lives(NAMES, 10))
        with Running(sqlite_store, settings) as running:
            until(lambda: reached(sqlite_store, NAMES, 10) and running.watch.standing() is None)
            broker.kill()
            until(lambda: running.watch.standing() is Standing.BROKER_AWAY)
            broker.start()
            publish(settings, lives(NAMES, 10, begin=11))
            until(lambda: reached(sqlite_store, NAMES, 20) and running.watch.standing() is None)
    whole(sqlite_store, lives(NAMES, 20))


def test_two_desks_on_one_store_apply_every_change_once(store, store_url, kafka_settings, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 20)
    second = Store(store_url)
    publish(kafka_settings, lives(NAMES, 60))
    with Running(store, kafka_settings), Running(second, kafka_settings):
        publish(kafka_settings, lives(NAMES, 60, begin=61))
        until(lambda: reached(store, NAMES, 120))
    whole(store, lives(NAMES, 120))
    with store.reading() as session:
        assert open_alarms(session) == []
    second.close()


@pytest.mark.parametrize("kills", [3, pytest.param(25, marks=pytest.mark.slow)])
def test_a_desk_killed_at_random_points_loses_and_doubles_nothing(store, store_url, kafka_settings, kills):
    chance = random.Random(kills)  # noqa: S311 - no secret
    seen = 0
    for _ in range(kills):
        publish(kafka_settings, lives(NAMES, 60, begin=seen + 1))
        seen += 60
        process = following(store_url, kafka_settings)
        # A kill before the first transaction proves nothing: wait until rows come, then a little more.
        until(lambda before=seen: reached_any(store, before - 60))
        time.sleep(chance.uniform(0, 0.5))
        process.kill()
        process.wait(30)
    with Running(store, kafka_settings):
        until(lambda: reached(store, NAMES, seen))
    whole(store, lives(NAMES, seen))


def reached_any(store, above):
    """Say whether a stream has gone beyond a seq."""
    with store.reading() as session:
        return session.execute(text("SELECT max(last_seq) FROM stream")).scalar_one_or_none() not in {
            None,
            *range(above + 1),
        }


def test_a_topic_that_is_shorter_than_what_was_read_is_read_again_and_told(sqlite_store, kafka_settings):
    publish(kafka_settings, lives(NAMES[:1], 10))
    with Running(sqlite_store, kafka_settings):
        until(lambda: reached(sqlite_store, NAMES[:1], 10))
    with sqlite_store.writing() as session:
        for row in session.query(ConsumerOffset):
            row.next_offset += 1_000
    publish(kafka_settings, lives(NAMES[:1], 5, begin=11))
    with Running(sqlite_store, kafka_settings):
        until(lambda: reached(sqlite_store, NAMES[:1], 15))
    whole(sqlite_store, lives(NAMES[:1], 15))
    with sqlite_store.reading() as session:
        (alarm,) = open_alarms(session)
        assert (alarm.code, alarm.subject.partition("/")[0]) == (CUT, ALARMS)


def made_anew(settings, changes):
    """Give the topic of changes other content, as if its end had been lost and it had grown again."""
    name = settings.topic(ALARMS)
    with admin.admin_client(settings) as client:
        client.delete_topics([name])
    until(lambda: any(fault.code == "missing" for fault in admin.verify(settings)))
    admin.create(settings)
    until(lambda: not admin.verify(settings))
    publish(settings, changes)


def test_a_topic_that_lost_its_end_and_grew_again_is_read_again_and_told(store, kafka_settings):
    """Of ten changes that were read the last four are gone, and ten newer ones stand there and behind."""
    known = lives(NAMES[:1], 20)
    publish(kafka_settings, known[:10])
    with Running(store, kafka_settings):
        until(lambda: reached(store, NAMES[:1], 10))
    made_anew(kafka_settings, [*known[:6], *known[10:]])
    with Running(store, kafka_settings):
        until(lambda: reached(store, NAMES[:1], 20))
    whole(store, known)
    with store.reading() as session:
        (alarm,) = open_alarms(session)
        assert (alarm.code, alarm.subject.partition("/")[0]) == (CUT, ALARMS)
        assert "the record at offset 9, appended at 20" in alarm.detail
        assert "another stands there now" in alarm.detail
    with Running(store, kafka_settings):  # told once
        publish(kafka_settings, lives(NAMES[:1], 5, begin=21))
        until(lambda: reached(store, NAMES[:1], 25))
    with store.reading() as session:
        assert [(alarm.code, alarm.count) for alarm in open_alarms(session)] == [(CUT, 1)]


def test_a_store_of_an_older_release_knows_no_newest_record_and_goes_on(sqlite_store, kafka_settings):
    publish(kafka_settings, lives(NAMES[:1], 10))
    with Running(sqlite_store, kafka_settings):
        until(lambda: reached(sqlite_store, NAMES[:1], 10))
    with sqlite_store.writing() as session:
        (row,) = session.query(ConsumerOffset)
        assert row.tail_ms is not None
        row.tail_ms = None
    publish(kafka_settings, lives(NAMES[:1], 5, begin=11))
    with Running(sqlite_store, kafka_settings):
        until(lambda: reached(sqlite_store, NAMES[:1], 15))
    with sqlite_store.reading() as session:
        assert open_alarms(session) == []


def test_a_record_that_the_database_refuses_is_shown_and_the_rest_of_its_batch_is_kept(
    store, kafka_settings, monkeypatch
):
    real = module.read

    def lets_one_through(record):
        found = real(record)
        if found.change is not None and found.change.seq == 7 and found.change.stream == "A1":
            return module.Read(record, found.change, body="a\x00b" if store.dialect == "postgresql" else None)
        return found

    monkeypatch.setattr(module, "read", lets_one_through)
    publish(kafka_settings, lives(NAMES, 12))
    with Running(store, kafka_settings):
        until(lambda: reached(store, NAMES[1:], 12) and reached(store, NAMES[:1], 6))
        until(lambda: _codes(store) == [FOREIGN, GAP])


def _codes(store):
    with store.reading() as session:
        return sorted(alarm.code for alarm in open_alarms(session))
