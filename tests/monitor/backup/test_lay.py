"""Topics laid again at their old offsets on a real Kafka: the same records, receive times and ends, and nothing over anything."""

from __future__ import annotations

import asyncio
import itertools
import os

import pytest
from aiokafka import AIOKafkaProducer

from monitor.archive.chunkfile import raw_of
from monitor.backup.kafkaparts import Saver
from monitor.backup.lay import OtherClusterError, lay_topics
from monitor.backup.manifest import File, Manifest
from monitor.backup.storecopy import NotEmptyError
from streams import admin
from streams.batches import install
from streams.dump import open_log
from streams.topics import ALARMS, LOG

P = 1
_numbers = itertools.count(1)


@pytest.fixture
def fresh(kafka, kafka_settings):
    """An empty set of topics on the same cluster: what a new Kafka of that id would be."""
    made = kafka_settings.model_copy(update={"topic_prefix": f"l{next(_numbers)}-{os.getpid()}."})
    admin.create(made)
    assert kafka.pid
    return made


async def story(kafka):
    """Records of both topics, with every kind of hole: aborted ones, markers, one alone and several."""
    log, alarms = kafka.topic(LOG), kafka.topic(ALARMS)
    plain = AIOKafkaProducer(**kafka.for_aiokafka())
    fenced = AIOKafkaProducer(**kafka.for_aiokafka(), transactional_id=f"story-{log}")
    await plain.start()
    await fenced.start()
    try:
        for n in range(5):
            await plain.send_and_wait(log, f"log {n}".encode(), b"K", partition=P, headers=[("kind", b"x"), ("v", b"")])
        for n, ends in enumerate(["commit", "commit", "abort", "commit", "abort"]):
            await fenced.begin_transaction()
            for i in range(n + 1):
                await (await fenced.send(alarms, f"change {n}.{i}".encode(), b"A", partition=P))
            await (fenced.commit_transaction() if ends == "commit" else fenced.abort_transaction())
        await plain.send_and_wait(alarms, None, b"B", partition=P)
        await fenced.begin_transaction()
        await (await fenced.send(alarms, b"last", b"A", partition=P))
        await fenced.commit_transaction()
    finally:
        await plain.stop()
        await fenced.stop()


def read(kafka, topic, begin=0):
    install()
    with open_log(kafka, kafka.topic(topic)) as log:
        bounds = log.bounds(P)
        return bounds, [raw_of(r) for r in log.raw((P, max(begin, bounds[0]), bounds[1]))]


def saved(kafka, folder, archived):
    cluster = str(admin.describe(kafka)["cluster_id"])
    saver = Saver(folder, "kafka-1", cluster)
    saver.save(kafka, {(topic, P): offset for topic, offset in archived.items()})
    files = {file.path: file for file in saver.files}
    manifest = Manifest(
        id="20260101T000000000Z", made="2026-01-01T00:00:00Z", release="1", semantics=1, snapshots=3, dialect="sqlite",
        revision="1", store="s", cluster=cluster, partitions=kafka.partitions, topics={}, places=saver.places,
        parts=saver.parts, damaged=[], files=File(path="f", size=0, sha256="0" * 64), count=0, bytes=0,
    )  # fmt: skip
    return manifest, files


SHORT = (0, 3, 15, 99)
"""Borders that `make test` tries: nothing, within the first, behind the last, more than there is."""


@pytest.mark.parametrize(
    "archived",
    [pytest.param(n, marks=() if n in SHORT else pytest.mark.slow) for n in (0, 1, 2, 3, 4, 6, 9, 14, 15, 20, 99)],
)
def test_what_was_not_archived_stands_where_it_stood(kafka_settings, fresh, tmp_path, archived):
    asyncio.run(story(kafka_settings))
    (_, end), changes = read(kafka_settings, ALARMS)
    stands = {ALARMS: min(archived, end), LOG: min(archived, 5)}
    manifest, files = saved(kafka_settings, tmp_path, stands)
    laid = asyncio.run(lay_topics(fresh, tmp_path, manifest, files, {(t, P): o for t, o in stands.items()}))
    for topic in (ALARMS, LOG):
        (_, old_end), before = read(kafka_settings, topic)
        bounds, after = read(fresh, topic)
        assert bounds == laid.places[topic, P] == (stands[topic], old_end)
        wanted = [r for r in before if r.offset >= stands[topic]]
        assert [(r.offset, r.timestamp, r.key, r.headers, r.value) for r in after] == [
            (r.offset, r.timestamp, r.key, r.headers, r.value) for r in wanted
        ]
    assert changes
    assert admin.verify(fresh) == []


def test_an_archive_that_is_newer_than_the_backup_is_where_it_begins(kafka_settings, fresh, tmp_path):
    asyncio.run(story(kafka_settings))
    manifest, files = saved(kafka_settings, tmp_path, {})
    asyncio.run(lay_topics(fresh, tmp_path, manifest, files, {(LOG, P): 50, (ALARMS, P): 3}))
    assert read(fresh, LOG) == ((50, 50), [])
    assert read(fresh, ALARMS)[0][0] == 3


def test_nothing_is_laid_over_anything_or_into_another_cluster(kafka_settings, fresh, tmp_path):
    asyncio.run(story(kafka_settings))
    manifest, files = saved(kafka_settings, tmp_path, {})
    with pytest.raises(NotEmptyError):
        asyncio.run(lay_topics(kafka_settings, tmp_path, manifest, files, {}))
    other = manifest.model_copy(update={"cluster": "another"})
    with pytest.raises(OtherClusterError):
        asyncio.run(lay_topics(fresh, tmp_path, other, files, {}))
    assert read(fresh, LOG) == ((0, 0), [])
    assert admin.verify(fresh) == []
