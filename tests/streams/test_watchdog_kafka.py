"""Each way of being alive and useless, on a real process and a real Kafka: it is seen, said, ended, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from kafka.admin import MemberToRemove

from streams import admin, group, jars
from streams.broker import EmbeddedBroker
from tests.streams.lab import Lab, Worker
from tests.streams.test_worker_group import PATIENCE_S, ready, share
from tests.streams.test_worker_kafka import owned_by, wait_for_exit
from tests.streams.test_worker_kills import checkpoint_after, pumping
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
WAITS = "waiting to take the name"


def faults(worker: Worker) -> list[str]:
    """Return what the worker says is wrong, while it is unhealthy."""
    status, body = worker.probe("/healthz")
    return list(json.loads(body)["why"]) if status == 503 else []


async def ends_saying(lab: Lab, worker: Worker, what: str) -> None:
    """See it unhealthy and unready for this reason, then see it end with 70 and say so."""
    await lab.until(f"unhealthy: {what}", lambda: any(what in fault for fault in faults(worker)), PATIENCE_S, 0.05)
    assert worker.probe("/readyz")[0] != 200
    assert await asyncio.to_thread(wait_for_exit, worker, PATIENCE_S) == 70
    assert f"watchdog: {what}" in worker.text() or f"; {what}" in worker.text()


@pytest.mark.parametrize(
    ("broken", "limits", "what"),
    [
        ("loop", {"loop_timeout_s": 8.0}, "the event loop is blocked"),
        ("partition", {"stall_timeout_s": 8.0}, "partition 0 does not move from offset"),
        ("restore", {"recovery_timeout_s": 8.0}, "restoring"),
    ],
    ids=["blocked loop", "stalled partition", "endless restore"],
)
async def test_what_stands_still_is_ended_and_its_successor_goes_on(
    lab: Lab, broken: str, limits: dict[str, Any], what: str
) -> None:
    async with pumping(lab):
        useless = lab.spawn("w1", fold={"broken": broken}, **limits)
        await ends_saying(lab, useless, what)
        reached = max((mark["next"] for mark in (await lab.marks()).values()), default=-1)
        lab.spawn("w1")
        await checkpoint_after(lab, reached, PATIENCE_S)
    await lab.agree(ToyFold, PATIENCE_S)


async def test_a_standby_that_fell_out_of_the_group_is_ended(kafka: EmbeddedBroker, tmp_path: Path) -> None:
    lab = Lab(kafka.bootstrap, tmp_path, partitions=1)
    lab.create_topics()
    try:
        async with pumping(lab):
            owner = lab.spawn("w1")
            await share(lab, [owner])
            lost = lab.spawn("w2", fold={"broken": "group"}, assignment_timeout_s=15.0)
            await ends_saying(lab, lost, "no partition is assigned (the group does not know this worker)")
            assert owned_by(owner) == [0]
        await lab.agree(ToyFold, PATIENCE_S)
    finally:
        lab.close()


async def test_a_group_that_is_emptied_and_deleted_under_its_workers_is_joined_again(lab: Lab) -> None:
    async with pumping(lab):
        workers = [lab.spawn("w1"), lab.spawn("w2")]
        await share(lab, workers)
        reached = await checkpoint_after(lab, -1, PATIENCE_S)
        with admin.admin_client(lab.kafka) as client:
            seats = group.describe(lab.base).seats
            client.remove_group_members(lab.base.group_id, [MemberToRemove(s.member, s.instance) for s in seats])
            client.delete_groups([lab.base.group_id])  # refused if one was quick to come back; then its offsets stay
        await checkpoint_after(lab, reached, PATIENCE_S)
        await share(lab, workers)
        await lab.until("both are ready", lambda: all(ready(worker) for worker in workers), PATIENCE_S)
        assert all(worker.process.poll() is None for worker in workers)
    await lab.agree(ToyFold, PATIENCE_S)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    jars.ensure_jars()
    with EmbeddedBroker(tmp_path / "broker") as value:
        yield value


async def test_a_frozen_broker_makes_a_worker_unready_then_ends_it_and_nothing_is_lost(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    lab = Lab(broker.bootstrap, tmp_path)
    lab.create_topics()
    try:
        async with pumping(lab):
            worker = lab.spawn("w1", stall_timeout_s=20.0)
            await share(lab, [worker])
        await lab.until("ready", lambda: ready(worker), PATIENCE_S)
        await checkpoint_after(lab, 0, PATIENCE_S)  # there is something to lose
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            await lab.until("not ready", lambda: worker.probe("/readyz")[0] == 503, PATIENCE_S)
            assert await asyncio.to_thread(wait_for_exit, worker, PATIENCE_S) == 70
            said = worker.text().count(WAITS)  # both write to one log
            successor = lab.spawn("w1")
            await lab.until("the successor waits", lambda: successor.text().count(WAITS) > said, PATIENCE_S)
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        await lab.until("it took over", lambda: ready(successor), PATIENCE_S)
        await checkpoint_after(lab, max(mark["next"] for mark in (await lab.marks()).values()), PATIENCE_S)
        await lab.agree(ToyFold, PATIENCE_S)
    finally:
        lab.close()
