"""After the last act: let everything catch up, then collect what the judgement needs, by the commands of an installation."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from sqlalchemy import func, select

from monitor.alarms.operators import open_alarms
from monitor.archive import index
from monitor.store.desk_tables import AlarmRow, ChangeRow
from monitor.store.tables import FacilityVersion, FeedKey, OutboxLane
from rules.instants import format_instant
from rules.records import Kind
from streams import admin, batches
from streams.clients import opened
from streams.rejected import UnreadRecord, read_rejected
from streams.topics import ALARMS, LOG, REJECTED
from tests.chaos import judge
from tests.chaos.acts import GROUP
from tests.chaos.poison import print_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.acts import Attacker
    from tests.chaos.feeding import Feeder
    from tests.chaos.stage import Stage

WITHIN_S = 400.0
LEFT_OUT = re.compile(r"^partition (\d+) offset (\d+): ")
READER = "worker-1"
FINDINGS = ("stream-gap", "conflicting-change", "changes-lost", "foreign-change")


@dataclass(slots=True)
class Verdict:
    """What was looked at, and what is wrong with it."""

    wrong: dict[str, list[str]]
    repeats: int = 0
    records: int = 0
    changes: int = 0
    alarms: int = 0
    kinds: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.wrong.values())


async def admitted(stage: Stage, feeder: Feeder) -> None:
    """Wait until the desk has sent register and keys, and the front door has read the keys, so that the firms may post."""
    with stage.store.reading() as session:
        count = session.scalar(select(func.count()).select_from(FeedKey)) or 0
    deadline = time.monotonic() + WITHIN_S
    while True:
        with stage.store.reading() as session:
            if not sum(session.scalars(select(OutboxLane.unsent).where(OutboxLane.unsent > 0))):
                break
        assert time.monotonic() < deadline, "the outbox is not sent"
        await asyncio.sleep(0.2)
    # A key that the front door has not read yet is no key: a firm would be told so, and that is an answer, not a loss.
    while not await feeder.known():
        assert time.monotonic() < deadline, "the front door does not know the keys"
        await asyncio.sleep(0.2)
    stage.tell(f"{count} firms are registered and have keys")


async def settle(stage: Stage, feeding: asyncio.Task[None]) -> None:
    """Everything up, every post answered, then the doors shut: the log grows no more, and all that it holds is folded."""
    await stage.ready()
    await _within("every post has its receipt", feeding.done, WITHIN_S)
    await feeding
    # What came in one instant with others is decided once the clock has left it: `offsite evaluate` knows that its log ends,
    # a worker does not, and waits for whatever comes next.
    await _within("a tick stands behind every other record", lambda: judge.ticked(_instants(stage)), WITHIN_S)
    stage.tell(
        "every post has its receipt; the gateway and the workers stop, one worker that hardly ever ticks reads to the end"
    )
    workers = [name for name in stage.kept if name.startswith("worker")]
    await stage.stop_processes(["gateway", *workers])
    stage.add(READER, OFFSITE_WORKER_TICK_S="300")
    await stage.ready([READER])
    await _within("the log is folded to its end", lambda: _folded(stage), WITHIN_S)
    await stage.stop_processes([READER])
    await _within("the desk has every change", lambda: _on_desk(stage), WITHIN_S)
    await _within("the log is archived to its end", lambda: _archived(stage), WITHIN_S)


async def judged(stage: Stage, attacker: Attacker) -> Verdict:
    """Collect and compare."""
    fed = attacker.feeder.fed
    dump_path, archive_path = stage.folder / "log.jsonl", stage.folder / "archive.jsonl"
    told = (await offsite(stage, "log", "dump", "--output", str(dump_path)))[1]
    told_archive = (await offsite(stage, "log", "dump", "--from-archive", "--output", str(archive_path)))[1]
    evaluated = (await offsite(stage, "evaluate", "--pack", "default", "--log", str(dump_path)))[0].splitlines()
    alarms = (await offsite(stage, "evaluate", "--pack", "default", "--log", str(dump_path), "--alarms"))[
        0
    ].splitlines()
    (stage.folder / "evaluated.jsonl").write_bytes(b"".join(line + b"\n" for line in evaluated))
    raw = await asyncio.to_thread(read_topic, stage, LOG)
    published = await asyncio.to_thread(read_topic, stage, ALARMS)
    rejected = await asyncio.to_thread(read_topic, stage, REJECTED)
    dump = [json.loads(line) for line in dump_path.read_bytes().splitlines()]
    poisoned = {(r.partition, r.offset): name for r in raw if (name := attacker.poisons.get(print_of(r.key, r.value)))}
    with stage.store.reading() as session:
        rows = [(r.stream, r.seq, r.body) for r in session.scalars(select(ChangeRow))]
        on_desk = [alarm_line(row) for row in session.scalars(select(AlarmRow))]
        versions = [(r.facility, r.version) for r in session.scalars(select(FacilityVersion))]
        operators = [f"{r.code} {r.subject}: {r.detail}" for r in open_alarms(session) if r.code in FINDINGS]
    published_wrong, repeats = judge.published_equals([(r.partition, r.offset, r.value) for r in published], evaluated)
    verdict = Verdict(
        {
            "receipts equal log contents": judge.receipts_hold(dump, fed.posted, fed.receipts, fed.attempts)
            + [f"{key}: no receipt" for key in fed.unanswered()] + fed.wrong,
            "nothing else stands in the log": judge.others_are_known(
                dump, versions, {"gw-1", *(f"worker-{n}" for n in range(1, 9))}
            ),
            "poison is left out and kept": judge.rejections_hold(poisoned, left_out(told), rejected_places(rejected))
            + [f"LOST poison {name}" for name in sorted(set(attacker.poisons.values()) - set(poisoned.values()))],
            "the published changes equal `offsite evaluate`": published_wrong,
            "the desk's changes equal `offsite evaluate`": judge.desk_equals(rows, evaluated),
            "the desk's alarms equal `offsite evaluate --alarms`": judge.alarms_equal(on_desk, alarms),
            "the dump of the log equals that of the archive": judge.same_lines(
                "dumps", dump_path.read_bytes(), archive_path.read_bytes()
            ) + judge.same_lines("what they leave out", told, told_archive),
            "the archive is whole": await verified(stage),
            "operators see no gap, conflict or loss": operators,
            "no process ended but by its own code for it": list(stage.unexpected),
        },
        repeats, len(raw), len(evaluated), len(alarms),
    )  # fmt: skip
    kinds = sorted({(c["rule"], c["change"]) for c in map(json.loads, evaluated)})
    verdict.kinds = ", ".join(f"{rule.rpartition('.')[2]} {change}" for rule, change in kinds)
    return verdict


def left_out(told: bytes) -> list[tuple[int, int]]:
    """Return the places that a dump names on standard error as left out."""
    found = (LEFT_OUT.match(line) for line in told.decode().splitlines())
    return [(int(match[1]), int(match[2])) for match in found if match]


def rejected_places(records: list[Any]) -> list[tuple[int, int]]:
    """Return the places of the log that the worker kept as rejected."""
    entries = [read_rejected(record.value) for record in records]
    return [(entry.partition, entry.offset) for entry in entries if isinstance(entry, UnreadRecord)]


def alarm_line(row: AlarmRow) -> dict[str, Any]:
    """Return an alarm of the desk in the members of contracts.md §5."""
    return {
        "alarm": row.id, "rule": row.rule, "facility": row.facility, "subject": json.loads(row.subject),
        "severity": row.highest, "stage": row.stage, "start": format_instant(row.start_ms),
        "end": None if row.end_ms is None else format_instant(row.end_ms), "status": row.status,
        "suppressed_by": row.suppressed_by, "late": row.late, "changes": row.changes,
    }  # fmt: skip


async def verified(stage: Stage) -> list[str]:
    """Run `offsite archive verify`."""
    code, out, err = await _run(stage, "archive", "verify")
    return [] if code == 0 else [(out + err).decode()[-2000:]]


async def offsite(stage: Stage, *arguments: str) -> tuple[bytes, bytes]:
    """Run a command; returns its output and what it says on standard error."""
    code, out, err = await _run(stage, *arguments)
    if code != 0:
        raise AssertionError(f"offsite {' '.join(arguments)} ended with {code}: {err.decode()[-3000:]}")
    return out, err


async def _run(stage: Stage, *arguments: str) -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "monitor", *arguments, env=stage.env,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, out, err


def read_topic(stage: Stage, topic: str) -> list[Any]:
    """Return every committed record of a topic, by (partition, offset)."""
    batches.install()
    consumer = opened(
        KafkaConsumer, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="none",
        max_partition_fetch_bytes=9_000_000, **stage.kafka.for_kafka_python(),
    )  # fmt: skip
    try:
        places = [TopicPartition(topic, p) for p in range(stage.kafka.partitions)]
        consumer.assign(places)
        begin, end = consumer.beginning_offsets(places), consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, begin[place])
        found: list[Any] = []
        heard = time.monotonic()
        while any(consumer.position(place) < end[place] for place in places):
            rows = [row for some in consumer.poll(timeout_ms=500).values() for row in some]
            heard = time.monotonic() if rows else heard
            assert time.monotonic() - heard < 60, f"{topic} is not read to its end"
            found += rows
    finally:
        consumer.close()
    return sorted(found, key=lambda row: (row.partition, row.offset))


def _instants(stage: Stage) -> list[tuple[int, int, bool]]:
    """Return the partition of each record of the log, when it was received, and whether it is a tick."""
    tick = Kind.TICK.value.encode()
    return [(row.partition, row.timestamp, dict(row.headers).get("kind") == tick) for row in read_topic(stage, LOG)]


def _folded(stage: Stage) -> bool:
    """Whether the group's offsets, which go with the checkpoints, stand at the end of the log."""
    try:
        with admin.admin_client(stage.kafka) as client:
            at = client.list_group_offsets({GROUP: None})[GROUP]
        offsets = {tp.partition: meta.offset for tp, meta in at.items()}
        consumer = opened(KafkaConsumer, **stage.kafka.for_kafka_python())
        try:
            ends = consumer.end_offsets([TopicPartition(LOG, p) for p in range(stage.kafka.partitions)])
        finally:
            consumer.close()
    except (KafkaError, admin.BrokerDownError):
        return False
    return all(end == 0 or offsets.get(place.partition) == end for place, end in ends.items())


def _on_desk(stage: Stage) -> bool:
    published = {(c["stream"], c["seq"]) for c in (json.loads(r.value) for r in read_topic(stage, ALARMS))}
    with stage.store.reading() as session:
        return published <= {(stream, seq) for stream, seq in session.execute(select(ChangeRow.stream, ChangeRow.seq))}


def _archived(stage: Stage) -> bool:
    with stage.store.reading() as session:
        stored = index.next_offsets(session)
    consumer = opened(KafkaConsumer, **stage.kafka.for_kafka_python())
    try:
        ends = consumer.end_offsets([TopicPartition(LOG, p) for p in range(stage.kafka.partitions)])
    finally:
        consumer.close()
    return all(stored.get((LOG, place.partition), 0) >= end for place, end in ends.items())


async def _within(what: str, condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        await asyncio.sleep(0.3)
