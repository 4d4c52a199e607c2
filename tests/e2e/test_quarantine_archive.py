"""A facility is quarantined and the log drops what was kept of it: it is released out of the archive, or not at all.

Long: an installation's processes on the session's Kafka. Both firms of it stand in one partition.
"""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from uuid import uuid4

import pytest
from kafka import TopicPartition

from monitor.alarms.operators import open_alarms
from monitor.archive.chunkfile import ChunkMissingError
from streams import admin
from streams.checkpoint import decode_marker
from streams.dump import open_log
from streams.repair import group_offsets
from streams.settings import KafkaSettings
from streams.topics import LOG, STATE
from tests.e2e.drill import MINUTE, ROOT, UNITS, Installation, homes
from tests.e2e.test_front_to_alarm import until

pytestmark = pytest.mark.timeout(600)
SICK, WELL = homes(1, 2)
WORKER = "offsite-worker@1"
NO_SNAPSHOT = {"OFFSITE_WORKER_SNAPSHOT_S": "600"}
"""All of SICK has to come out of the archive, what was published before too."""
DEADLY = """
import os, signal, sys
from monitor.cli import main
if "worker" in sys.argv:
    from rules.engine import Engine
    fold = Engine.fold
    def dies(self, record):
        if getattr(record.payload, "batch", "") == {batch!r}:
            os.kill(os.getpid(), signal.SIGSEGV)
        return fold(self, record)
    Engine.fold = dies
main()
"""
"""A release whose worker dies of one batch."""


def log_begin(site):
    with open_log(site.kafka, site.kafka.topic(LOG)) as log:
        return log.bounds(0)[0]


def drop_log(site, before):
    """Let the log begin later, as its retention would."""
    place = TopicPartition(site.kafka.topic(LOG), 0)
    with admin.admin_client(site.kafka) as client:
        client.delete_records({place: before})
    until(lambda: log_begin(site) == before)


def standing(site):
    """Return what `offsite quarantine list` says."""
    return [json.loads(line) for line in site.run("offsite quarantine list --json").splitlines()]


def told(site, code):
    """Return what the open operators' alarms of a code say: subject and detail."""
    with site.store.reading() as session:
        return [f"{row.subject}: {row.detail}" for row in open_alarms(session) if row.code == code]


def refused(site, *names):
    """Wait until operators are told that the release did not come off, and of what is missing."""

    def said():
        (detail,) = told(site, "facility-quarantined")
        assert detail.startswith(SICK)
        return "a release did not come off" in detail and all(name in detail for name in names)

    until(said, 60)


def seqs(site, name):
    """Return the seqs of a facility's published changes, in the order they were published."""
    return [seq for (stream, seq), _ in site.published() if stream == name]


def goes_on(site, name, minute):
    """Post an excursion of a facility and see its changes published."""
    before = len(seqs(site, name))
    site.excursion(name, minute)
    until(lambda: len(seqs(site, name)) >= before + 2, 60)


def dies(site):
    assert site.processes.pop(WORKER).wait(120) == -signal.SIGSEGV, site.log(WORKER)[-3000:]


def marker(site):
    """Return the newest marker of the partition."""
    return decode_marker([row.value for row in site.topic(STATE) if row.key == b"p0"][-1], 0)


def ticked(site):
    """Wait until a tick has left the instant of the newest record of a firm: what is decided when that is over is said with it."""

    def left():
        records = [(dict(record.headers).get("kind") == b"tick", record.timestamp) for record in site.topic(LOG)]
        newest = max(at for is_tick, at in records if not is_tick)
        return any(is_tick and at > newest for is_tick, at in records)

    until(left, 60)


def in_order(site, name, known):
    """Assert that a facility's changes were published in the order of their seqs; returns how many there are.

    What a killed worker had published behind its last checkpoint may come again as it was, the first `known` may not.
    """
    seen = {}
    for (stream, seq), body in site.published():
        if stream == name and seq in seen:
            assert seq > known, "a change is published again that a marker tells of"
            assert seen[seq] == body
        elif stream == name:
            assert seq == len(seen) + 1, "a seq is missing"
            seen[seq] = body
    return len(seen)


@contextmanager
def quarantined(kafka, folder):
    """An installation where the end of SICK's first excursion has killed the worker three times, and WELL goes on."""
    settings = KafkaSettings(bootstrap=kafka.bootstrap, partitions=1, topic_prefix=f"q{uuid4().hex[:8]}.")
    admin.create(settings)
    deadly = folder / "deadly.py"
    deadly.write_text(DEADLY.format(batch="b-3"))
    with Installation(folder / "site", settings) as site:
        site.begin -= 40 * MINUTE
        site.release(ROOT, str(deadly))
        for unit in UNITS:
            site.start(unit, wait=False, **NO_SNAPSHOT)
        for unit in UNITS:
            site.await_ready(unit)
        site.register(SICK, WELL)
        site.excursion(SICK, 0, ends=False)
        site.excursion(WELL, 0)
        until(lambda: seqs(site, SICK) and len(seqs(site, WELL)) >= 2, 120)
        known = {name: max(seqs(site, name)) for name in (SICK, WELL)}
        end = site.ends(LOG)[0]  # a tick behind it may say more: that the marker need not know
        until(lambda: marker(site).next >= end, 60)
        site.post(SICK, 7, [5.0, 5.1, 5.0, 5.1])
        dies(site)
        for _ in range(2):
            site.start(WORKER, wait=False, **NO_SNAPSHOT)
            dies(site)
        site.start(WORKER)
        site.excursion(SICK, 12)
        goes_on(site, WELL, 12)
        until(lambda: told(site, "facility-quarantined"), 60)
        yield site, known


def dropped(site):
    """Let the log drop all that is archived and that the worker needs no more; returns where the record stood that killed."""
    site.archived()
    end = site.ends(LOG)[0]
    until(lambda: marker(site).low >= end, 60)
    drop_log(site, end)
    (here,) = standing(site)
    assert (here["facility"], here["deaths"]) == (SICK, 3)
    assert here["begin"] <= here["offset"] < end
    return here["offset"]


@contextmanager
def an_hour_away(site):
    """Take the files of the log's first hour out of the archive; gives their names."""
    folder = site.folder / "lib" / "archive" / LOG / "0"
    files = sorted(folder.rglob("*.zst"), key=lambda path: path.name)
    hour = [path for path in files if path.parent == files[0].parent and path.name[:2] == files[0].name[:2]]
    for path in hour:
        path.rename(site.folder / path.name)
    yield [path.name for path in hour]
    for path in hour:
        (site.folder / path.name).rename(path)


def folded_offline(site):
    """Return what `offsite evaluate` gives over the archive's dump, up to where the worker ended: bodies by (stream, seq)."""
    folded = group_offsets(site.worker_settings)[0]
    site.run("offsite log dump --from-archive --output log.jsonl")
    lines = (site.folder / "log.jsonl").read_text().splitlines(keepends=True)
    assert json.loads(lines[0])["offset"] == 0
    (site.folder / "folded.jsonl").write_text("".join(x for x in lines if json.loads(x)["offset"] < folded))
    given = site.run("offsite evaluate --pack default --log folded.jsonl").splitlines()
    return {(value["stream"], value["seq"]): line for line in given for value in [json.loads(line)]}


def test_what_the_log_has_dropped_of_a_quarantined_facility_is_folded_out_of_the_archive(kafka, tmp_path):
    with quarantined(kafka, tmp_path) as (site, known):
        killer, before = dropped(site), seqs(site, SICK)
        # The record is deadly still, and stands in the archive alone: one more death, not one after the other.
        site.run(f"offsite quarantine release {SICK} --wait 0")
        dies(site)
        site.release(ROOT)  # it is harmless from now on, but nobody has asked again
        site.start(WORKER)
        refused(site, f"the record at offset {killer} ended the worker again")
        site.excursion(SICK, 24)
        goes_on(site, WELL, 24)

        # An hour of the archive is away: nothing is folded around it.
        with an_hour_away(site) as names:
            site.run(f"offsite quarantine release {SICK}", code=4)
            refused(site, ChunkMissingError.action)
            assert any(name in detail for name in names for detail in told(site, "facility-quarantined"))
            assert any(name in detail for name in names for detail in told(site, "archive_damaged"))
            goes_on(site, WELL, 36)
        assert seqs(site, SICK) == before

        site.run(f"offsite quarantine release {SICK}")
        assert standing(site) == []
        until(lambda: not told(site, "facility-quarantined"), 60)
        goes_on(site, SICK, 48)
        assert log_begin(site) > killer

        ticked(site)
        site.stop("offsite-gateway")
        site.settled()
        site.stop(WORKER)
        site.archived()
        published, offline = site.published(), folded_offline(site)
        assert in_order(site, SICK, known[SICK]) >= known[SICK] + 7  # the end of the first excursion, and three more
        assert in_order(site, WELL, known[WELL]) >= known[WELL] + 6
        assert dict(published) == offline
        until(lambda: site.on_desk() == offline, 60)
