"""A record that kills its worker, on a real Kafka: three deaths, quarantine, the partition goes on, release."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from kafka import TopicPartition as KafkaPartition

from streams import admin
from streams.history import HistoryLostError
from streams.rejected import QuarantineNotice, read_rejected
from tests.monitor.archive.running import archived, archiving
from tests.streams.lab import ROOT, deduplicate, offline
from tests.streams.test_worker_kills import producer_of
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.store.session import Store
    from rules.records import LogRecord, Rejected
    from tests.streams.lab import Lab, Worker

KILLER, SICK = "b17", "FAC-1"
"""Batch 17 of eight facilities in turn is the third of FAC-1."""


def offsite(lab: Lab, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OFFSITE_KAFKA_BOOTSTRAP": lab.bootstrap, "OFFSITE_KAFKA_PARTITIONS": str(lab.partitions),
           "OFFSITE_KAFKA_TOPIC_PREFIX": lab.kafka.topic_prefix}  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "monitor", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False,
        timeout=180,
    )  # fmt: skip


async def dies(lab: Lab, fold: dict[str, Any], times: int, **settings: Any) -> None:
    """Start a worker so often that it has died so many times of the record."""
    for _ in range(times):
        worker = lab.spawn(fold=fold, **settings)
        assert await asyncio.to_thread(worker.process.wait, 120) in {-signal.SIGSEGV, 70}, worker.text()[-2000:]


async def ended(worker: Worker) -> None:
    worker.signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.process.wait, 20) == 0


async def notices(lab: Lab) -> list[QuarantineNotice]:
    rows = [read_rejected(row.value) for row in await lab.read(lab.base.rejected_topic)]
    return [row for row in rows if isinstance(row, QuarantineNotice)]


async def told(lab: Lab, state: str) -> bool:
    return state in {notice.state for notice in await notices(lab)}


async def complete_but(lab: Lab, missing: str) -> bool:
    """Whether everything is published but of one facility, of which there is no more than the log gives."""
    expected = offline(await lab.log(), ToyFold())
    _, seen = deduplicate(await lab.changes())
    assert seen.get(missing, []) == expected[missing][: len(seen.get(missing, []))]
    return all(len(seen.get(stream, [])) >= len(rows) for stream, rows in expected.items() if stream != missing)


@pytest.mark.slow  # in `make test`: test_quarantine.py
async def test_a_record_that_kills_is_quarantined_after_three_deaths_and_released_by_an_operator(
    lab: Lab, tmp_path: Path
) -> None:
    lab.settings |= {"folder": tmp_path / "crumbs", "release_every_s": 1.0, "tick_every_s": 600.0}
    async with producer_of(lab) as producer:
        await lab.feed(producer, 40)
    deadly = {"die_on": KILLER}
    await dies(lab, deadly, 3)
    living = lab.spawn(fold=deadly)
    await lab.until("everybody else's changes are there", lambda: complete_but(lab, SICK), 120)
    await lab.until("operators are told", lambda: told(lab, "held"), 120)
    async with producer_of(lab) as producer:
        await lab.feed(producer, 40)
    await lab.caught_up(120)
    (notice, *_) = await notices(lab)
    assert (notice.facility, notice.deaths, notice.partition) == (SICK, 3, 1)
    assert "offsite_worker_quarantined 1.0" in living.probe("/metrics")[1]

    (line,) = (await asyncio.to_thread(offsite, lab, "quarantine", "list", "--json")).stdout.splitlines()
    assert {"facility": SICK, "partition": 1, "deaths": 3}.items() <= json.loads(line).items()
    await ended(living)

    lab.spawn("w2")
    done = await asyncio.to_thread(offsite, lab, "quarantine", "release", SICK, "--wait", "110")
    assert done.returncode == 0, done.stderr
    await lab.agree(ToyFold, 120)
    assert (await asyncio.to_thread(offsite, lab, "quarantine", "list", "--json")).stdout == ""
    assert (await asyncio.to_thread(offsite, lab, "quarantine", "release", SICK)).returncode == 4


@pytest.mark.slow
async def test_a_release_that_kills_again_is_refused_after_one_death(lab: Lab, tmp_path: Path) -> None:
    lab.settings |= {"folder": tmp_path / "crumbs", "release_every_s": 1.0}
    async with producer_of(lab) as producer:
        await lab.feed(producer, 40)
    deadly = {"die_on": KILLER}
    await dies(lab, deadly, 3)
    living = lab.spawn(fold=deadly)
    await lab.until("operators are told", lambda: told(lab, "held"), 120)
    asked = await asyncio.to_thread(offsite, lab, "quarantine", "release", SICK, "--wait", "0")
    assert asked.returncode == 0, asked.stderr
    assert await asyncio.to_thread(living.process.wait, 120) == -signal.SIGSEGV, "the release folds the record again"
    still = lab.spawn(fold=deadly)
    await lab.until("the release is refused", lambda: told(lab, "refused"), 120)
    await lab.caught_up(120)
    await ended(still)


def drop(lab: Lab, partition: int, before: int) -> None:
    """Let a partition of the log begin later, as its retention would."""
    with admin.admin_client(lab.kafka) as client:
        client.delete_records({KafkaPartition(lab.base.log_topic, partition): before})


async def archive(lab: Lab, store: Store, folder: Path) -> dict[str, Any]:
    """Run an archiver until all that Kafka holds now is archived, and end it; returns what lets a worker read the archive."""
    with archiving(store, lab.kafka, folder):
        await lab.until("all is archived", lambda: asyncio.to_thread(archived, store, lab.kafka), 120)
    return {"archive": [store.engine.url.render_as_string(hide_password=False), str(folder)]}


async def given(lab: Lab, dropped: list[LogRecord | Rejected]) -> dict[str, list[dict[str, Any]]]:
    """Return what the offline fold gives of the log with what it held before it was dropped, by stream."""
    whole = {(record.partition, record.offset): record for record in [*dropped, *await lab.log()]}
    return offline([whole[place] for place in sorted(whole)], ToyFold())


async def test_a_release_of_what_neither_log_nor_archive_holds_is_refused_and_says_what_is_missing(
    lab: Lab, tmp_path: Path, sqlite_store: Store
) -> None:
    lab.settings |= {"folder": tmp_path / "crumbs", "release_every_s": 1.0, "tick_every_s": 600.0}
    async with producer_of(lab) as producer:
        await lab.feed(producer, 40)
    deadly = {"die_on": KILLER}
    await dies(lab, deadly, 3)
    held = await archive(lab, sqlite_store, tmp_path / "archive")
    until = (await lab.ends())[1]
    living = lab.spawn(fold=held)
    async with producer_of(lab) as producer:
        await lab.feed(producer, 40)
    await lab.caught_up(120)
    whole = await lab.log()
    begin = (await lab.ends())[1]
    await asyncio.to_thread(drop, lab, 1, begin)  # before the archiver, which was down, has seen it
    await archive(lab, sqlite_store, tmp_path / "archive")
    before = [row for row in await lab.changes() if row["stream"] == SICK]

    asked = await asyncio.to_thread(offsite, lab, "quarantine", "release", SICK, "--wait", "110")
    assert (asked.returncode, "did not come off" in asked.stderr) == (4, True), asked.stderr
    (why,) = [notice.detail for notice in await notices(lab) if notice.state == "refused"]
    assert f"the archive lacks {until} to {begin - 1}" in why
    assert HistoryLostError.action in why

    async with producer_of(lab) as producer:
        await lab.feed(producer, 40)
    await lab.caught_up(120)
    expected = await given(lab, whole)
    repeats, seen = deduplicate(await lab.changes())
    assert {name: rows for name, rows in seen.items() if name != SICK} == {
        name: rows for name, rows in expected.items() if name != SICK
    }
    assert [row for row in await lab.changes() if row["stream"] == SICK] == before
    assert seen.get(SICK, []) == expected[SICK][: len(seen.get(SICK, []))]
    assert "offsite_worker_quarantined 1.0" in living.probe("/metrics")[1]
    assert (repeats, living.process.poll()) == (0, None)


@pytest.mark.slow
async def test_an_endless_loop_and_an_exception_are_deaths_like_any_other(lab: Lab, tmp_path: Path) -> None:
    lab.settings |= {"folder": tmp_path / "crumbs", "loop_timeout_s": 3.0}
    async with producer_of(lab) as producer:
        await lab.feed(producer, 40)
    await dies(lab, {"hang_on": KILLER}, 2)
    await dies(lab, {"fail_on": KILLER}, 1)
    lab.spawn()
    await lab.until("everybody else's changes are there", lambda: complete_but(lab, SICK), 120)
    await lab.until("operators are told", lambda: told(lab, "held"), 120)


@pytest.mark.slow
async def test_kills_at_random_quarantine_nobody(lab: Lab, tmp_path: Path) -> None:
    lab.settings["folder"] = tmp_path / "crumbs"
    async with producer_of(lab) as producer:
        await lab.feed(producer, 3_000)
    reached = -1

    async def behind() -> bool:
        return max((mark["next"] for mark in (await lab.marks()).values()), default=-1) > reached

    for _ in range(5):
        worker = lab.spawn()
        await lab.until(f"a marker behind {reached}", behind, 120)
        reached = max(mark["next"] for mark in (await lab.marks()).values())
        worker.kill()
        async with producer_of(lab) as producer:
            await lab.feed(producer, 200)
    lab.spawn()
    await lab.agree(ToyFold, 120)
    assert await notices(lab) == []
