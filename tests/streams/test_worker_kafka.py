"""A worker on a real Kafka: stops, takeovers, zombies, lost state, bad and oversized records."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from rules.fitting import EVIDENCE_BYTES, RULE_FAILED, fit
from streams import admin
from tests.streams.lab import judge, offline
from tests.streams.test_worker_kills import checkpoint_after, producer_of, pumping
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from rules.changes import Change
    from rules.records import LogRecord
    from tests.streams.lab import Lab, Worker


class CutFold(ToyFold):
    """A toy fold whose changes are cut as the worker cuts them."""

    def fold(self, record: LogRecord) -> list[Change]:
        return [fit(change) for change in super().fold(record)]


async def seeded(lab: Lab, batches: int = 80) -> None:
    async with producer_of(lab) as producer:
        await lab.feed(producer, batches)


def owned_by(worker: Worker) -> list[int]:
    """Return the partitions that a worker says it owns and has restored; none while it does not answer."""
    body = worker.probe("/readyz")[1]
    told = json.loads(body) if body else {"partitions": [], "restored": False}
    return list(told["partitions"]) if told["restored"] else []


def wait_for_exit(worker: Worker, within_s: float = 20) -> int:
    return worker.process.wait(within_s)


async def test_sigterm_ends_in_five_seconds_with_everything_checkpointed(lab: Lab) -> None:
    lab.settings["checkpoint_every_s"] = 600
    await seeded(lab)
    worker = lab.spawn()

    async def all_published() -> bool:
        return len(await lab.changes()) == sum(map(len, offline(await lab.log(), ToyFold()).values()))

    await lab.until("changes are published before any checkpoint", all_published)
    assert await lab.marks() == {}
    begun = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert await asyncio.to_thread(wait_for_exit, worker) == 0
    assert time.monotonic() - begun < 5
    marks, ends = await lab.marks(), await lab.ends()
    folded = sum(mark["next"] for mark in marks.values())
    # A tick may land between the final checkpoint and the dump; readings may not be missing.
    assert folded >= lab.sent
    assert set(marks) == set(ends)

    again = lab.spawn()
    await lab.until("ready", lambda: again.probe("/readyz")[0] == 200)
    assert judge(await lab.changes(), offline(await lab.log(), ToyFold()), whole=False) == 0, "it published again"


@pytest.mark.slow
async def test_two_workers_share_the_log_and_one_takes_over_when_the_other_dies(lab: Lab) -> None:
    async with pumping(lab):
        first = lab.spawn("w1")
        await checkpoint_after(lab, 0)
        second = lab.spawn("w2")

        def shares() -> bool:
            mine, others = owned_by(first), owned_by(second)
            return bool(mine) and bool(others) and sorted(mine + others) == list(range(lab.partitions))

        await lab.until("both own partitions", shares)
        second.kill()
        await lab.until("the first took over", lambda: owned_by(first) == list(range(lab.partitions)))
    await lab.agree(ToyFold)
    assert first.process.poll() is None


@pytest.mark.slow  # in `make test`: test_memory_groups.py
async def test_a_zombie_publishes_nothing_and_ends(lab: Lab) -> None:
    async with pumping(lab):
        zombie = lab.spawn("w1")
        await checkpoint_after(lab, 0)
        zombie.signal(signal.SIGSTOP)
        heir = lab.spawn("w2")
        await lab.until("the heir owns everything", lambda: owned_by(heir) == list(range(lab.partitions)), 40)
        reached = await checkpoint_after(lab, max(mark["next"] for mark in (await lab.marks()).values()))
        zombie.signal(signal.SIGCONT)
        assert await asyncio.to_thread(wait_for_exit, zombie) == 70
        await checkpoint_after(lab, reached)
    await lab.agree(ToyFold)
    nexts = [
        (r.partition, json.loads(r.value)["marker"]["next"])
        for r in await lab.read(lab.base.state_topic)
        if r.key == f"p{r.partition}".encode()
    ]
    for partition in range(lab.partitions):
        mine = [next_offset for p, next_offset in nexts if p == partition]
        assert mine == sorted(mine), "a marker went back"


async def test_deleted_state_rows_stop_the_worker_and_it_says_so(lab: Lab) -> None:
    await seeded(lab)
    worker = lab.spawn()
    await lab.caught_up()
    worker.signal(signal.SIGTERM)
    await asyncio.to_thread(wait_for_exit, worker)
    async with producer_of(lab) as producer:
        for key in {r.key for r in await lab.read(lab.base.state_topic) if r.partition == 0}:
            await producer.send_and_wait(lab.base.state_topic, None, key, partition=0)
    before = len(await lab.changes())
    heir = lab.spawn("w2")
    assert await asyncio.to_thread(wait_for_exit, heir, 30) == 4
    assert "no marker: its state is gone" in heir.text()
    assert "offsite state rebuild" in heir.text()
    assert len(await lab.changes()) == before


@pytest.mark.slow
async def test_a_deleted_consumer_group_changes_nothing(lab: Lab) -> None:
    await seeded(lab)
    worker = lab.spawn()
    await lab.caught_up()
    worker.kill()
    with admin.admin_client(lab.kafka) as client:
        await lab.until("the group is gone", lambda: _delete_group(client, lab.base.group_id), 20, 0.5)
    await seeded(lab)
    lab.spawn("w2")
    await lab.agree(ToyFold)


async def test_poison_is_kept_by_reference_and_never_stops_the_stream(lab: Lab) -> None:
    poison = [
        (b"FAC-0", b"\xff\xfe not a record", [("kind", b"readings"), ("v", b"1")]),
        (None, None, []),
        (b"\xff" * 300, b"{}", [("kind", b"report"), ("v", b"1")]),
        (b"FAC-4", b"[" * 5000, [("kind", b"report"), ("v", b"1")]),
        (b"FAC-0", b"x" * 3_000_000, [("kind", b"nonsense"), ("v", b"1")]),
        (b"", b'{"sha256":"' + b"0" * 64 + b'","semantics":1,"bundle":"AAAA"}', [("kind", b"packs"), ("v", b"1")]),
    ]
    await seeded(lab, 20)
    lab.spawn()
    async with producer_of(lab) as producer:
        producer._max_request_size = 8 << 20
        for key, value, headers in poison:
            await producer.send_and_wait(
                lab.base.log_topic, b"" if key is None else value, key or b"", partition=0, headers=headers
            )
            await lab.feed(producer, 8)
    await lab.agree(ToyFold)
    rejected = [json.loads(r.value) for r in await lab.read(lab.base.rejected_topic)]
    mine = {row["offset"]: row for row in rejected if row["partition"] == 0}
    assert len(mine) == len(poison)
    assert {row["code"] for row in mine.values()} >= {"undecodable", "schema_version", "bad_packs", "bad_key"}
    assert all(len(row["sample"]) <= 6_000 and row["code"] for row in rejected)


async def test_a_fold_that_raises_ends_the_process_and_loses_nothing(lab: Lab) -> None:
    await seeded(lab, 40)
    worker = lab.spawn(fold={"fail_on": "b17"})
    assert await asyncio.to_thread(wait_for_exit, worker) == 70
    assert "the toy fails on b17" in worker.text()
    assert all(mark["next"] <= 17 for mark in (await lab.marks()).values())
    lab.spawn("w1")
    await lab.agree(ToyFold)


@pytest.mark.slow
async def test_oversized_output_is_cut_and_the_sequence_stays_dense(lab: Lab) -> None:
    lab.settings |= {"snapshot_every_s": 1.0}
    fold = {"evidence_rows": 3_000, "filler_bytes": 2_500_000}
    await seeded(lab, 24)
    worker = lab.spawn(fold=fold)

    async def in_parts() -> bool:
        return {b"FAC-0", b"FAC-0#1", b"FAC-0#2"} <= {row.key for row in await lab.read(lab.base.state_topic)}

    await lab.until("a snapshot of 2.5 MB stands in parts", in_parts, 40)
    await lab.caught_up()
    worker.kill()
    await seeded(lab, 24)
    lab.spawn(fold=fold)
    await lab.caught_up()
    changes = await lab.changes()
    assert {row["seq"] for row in changes if row["stream"] == "FAC-0"} >= {1, 2}
    raised = [row for row in changes if row["change"] == "raised"]
    for row in raised:
        assert len(json.dumps(row["evidence"], ensure_ascii=False)) <= EVIDENCE_BYTES + 16_000  # spaces of json.dumps
        assert row["evidence"]["left_out"]["records"] > 0
        assert len(row["evidence"]["records"]) + row["evidence"]["left_out"]["records"] == 3_001
    await lab.agree(lambda: CutFold(**fold))


@pytest.mark.slow
async def test_a_change_above_every_bound_becomes_a_small_one_with_the_same_seq(lab: Lab) -> None:
    fold = {"subject_bytes": 9_000_000, "evidence_rows": 2_000}
    await seeded(lab, 16)
    worker = lab.spawn(fold=fold)
    await lab.caught_up()
    assert worker.process.poll() is None
    rows = await lab.read(lab.base.alarms_topic)
    assert rows
    assert max(len(row.value) for row in rows) < 4_096
    changes = [json.loads(row.value) for row in rows]
    assert {change["rule"] for change in changes} == {RULE_FAILED}
    assert {change["seq"] for change in changes if change["stream"] == "FAC-1"} >= {1, 2}


async def test_health_readiness_and_metrics_are_served_on_loopback(lab: Lab) -> None:
    await seeded(lab)
    worker = lab.spawn()
    await lab.until("ready", lambda: worker.probe("/readyz")[0] == 200)
    await lab.caught_up()
    assert worker.probe("/healthz") == (200, '{"status": "ok", "why": []}\n')
    status, text = worker.probe("/metrics")
    assert status == 200
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(figures["offsite_worker_readings_total"]) == lab.sent * 3
    assert float(figures["offsite_worker_partitions"]) == lab.partitions
    assert float(figures['offsite_worker_rejected_total{code="undecodable"}']) == 0
    assert float(figures["offsite_worker_checkpoint_bytes_total"]) > 0
    assert worker.probe("/other")[0] == 404
    assert "127.0.0.1" in (worker.url() or "")


async def test_ticks_carry_time_into_every_owned_partition(lab: Lab) -> None:
    worker = lab.spawn()

    async def ticked() -> bool:
        log = await lab.log()
        return {r.partition for r in log if getattr(r, "kind", "") == "tick"} == set(range(lab.partitions))

    await lab.until("ticks everywhere", ticked)
    log = await lab.log()
    assert {r.payload.role for r in log} == {"worker"}
    assert {r.payload.by for r in log} == {worker.instance}


@pytest.mark.slow
async def test_a_worker_lives_through_a_session_of_backpressure(lab: Lab) -> None:
    lab.settings |= {"hold_rows": 50}
    await seeded(lab, 4_000)
    lab.spawn()
    await lab.agree(ToyFold)


def _delete_group(client: object, group: str) -> bool:
    from kafka.errors import KafkaError

    try:
        client.delete_groups([group])  # type: ignore[attr-defined]
        listed = {row["group_id"] for row in client.list_groups()}  # type: ignore[attr-defined]
    except KafkaError:
        return False
    return group not in listed
