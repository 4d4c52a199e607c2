"""A real broker, topics of its own for each test, worker processes that can be killed, and the judgement at the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from rules.errors import BadInputError
from rules.records import LogRecord, Readings, Rejected
from streams import admin
from streams.codec import decode, encode
from streams.worker_settings import WorkerSettings

if TYPE_CHECKING:
    from streams.fold import Fold
from streams.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Worker:
    process: subprocess.Popen[bytes]
    instance: str
    log: Path

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait(10)

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def url(self) -> str | None:
        found = [line for line in self.text().splitlines() if "probes on http" in line]
        return found[-1].rpartition(" ")[2] if found else None

    def probe(self, path: str) -> tuple[int, str]:
        url = self.url()
        if url is None or self.process.poll() is not None:
            return 0, ""
        try:
            with urllib.request.urlopen(f"{url}{path}", timeout=2) as answer:  # noqa: S310 - loopback
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""


@dataclass
class Lab:
    bootstrap: str
    folder: Path
    partitions: int = 4
    settings: dict[str, Any] = field(default_factory=dict)
    name: str = field(default_factory=lambda: uuid4().hex[:8])
    workers: list[Worker] = field(default_factory=list)
    sent: int = 0

    @property
    def base(self) -> WorkerSettings:
        return WorkerSettings(
            kafka=self.kafka, port=0,
            **{"checkpoint_every_s": 1.0, "tick_every_s": 1.0, "session_timeout_s": 6.0, "heartbeat_every_s": 1.0}
            | self.settings,
        )  # fmt: skip

    @property
    def kafka(self) -> KafkaSettings:
        return KafkaSettings(bootstrap=self.bootstrap, partitions=self.partitions, topic_prefix=f"{self.name}.")

    def create_topics(self) -> None:
        admin.create(self.kafka)

    def spawn(
        self, instance: str = "w1", fold: dict[str, Any] | None = None, *, place: str = "", **settings: Any
    ) -> Worker:
        """Start a worker; with a `place` it believes, and says, that it runs on another machine of that name."""
        chosen = self.base.model_copy(update={"instance": instance, **settings})
        log = self.folder / (f"{instance}-{place}.log" if place else f"{instance}.log")
        if place:
            fold = (fold or {}) | {"place": place}
        with log.open("ab") as out:
            process = subprocess.Popen(
                [
                    sys.executable, "-m", "tests.streams.toy_worker", chosen.model_dump_json(),
                    json.dumps(fold or {}),
                ],
                cwd=ROOT, stdout=out, stderr=out,
            )  # fmt: skip
        worker = Worker(process, instance, log)
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.signal(signal.SIGCONT)
                worker.kill()

    def partition_of(self, facility: str) -> int:
        return int(facility.rpartition("-")[2]) % self.partitions

    async def feed(self, producer: AIOKafkaProducer, batches: int, facilities: int = 8, rows: int = 3) -> None:
        """Append batches of readings, facilities in turn, and wait until the broker has them."""
        waiting = []
        for _ in range(batches):
            facility = f"FAC-{self.sent % facilities}"
            time_ms = 1_767_225_600_000 + self.sent * 1000 + np.arange(rows, dtype=np.int64)
            value = np.array([self.sent // facilities % 3, *range(1, rows)], np.float64)
            payload = Readings(
                f"b{self.sent}", ("T1",), np.array([rows], np.int32), time_ms, value, np.zeros(rows, np.uint8)
            )
            waiting.append(await self.append(producer, payload, facility))
            self.sent += 1
        await asyncio.gather(*waiting)

    async def append(self, producer: AIOKafkaProducer, payload: Any, facility: str) -> asyncio.Future[Any]:
        headers, value = encode(payload)
        return await producer.send(
            self.base.log_topic, value, facility.encode(), partition=self.partition_of(facility), headers=headers
        )

    async def read(self, topic: str, *, committed: bool = True) -> list[Any]:
        """Return all records of a topic up to its present end, by (partition, offset)."""
        level = "read_committed" if committed else "read_uncommitted"
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, isolation_level=level, enable_auto_commit=False,
            auto_offset_reset="earliest", max_partition_fetch_bytes=8 << 20,
        )  # fmt: skip
        await consumer.start()
        try:
            places = [TopicPartition(topic, p) for p in range(self.partitions)]
            consumer.assign(places)
            begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
            for place in places:
                consumer.seek(place, begins[place])
            found: list[Any] = []
            waiting = {p for p in places if begins[p] < ends[p]}
            while waiting:
                for records in (await consumer.getmany(*waiting, timeout_ms=500)).values():
                    found.extend(records)
                waiting = {p for p in waiting if await consumer.position(p) < ends[p]}
        finally:
            await consumer.stop()
        return sorted(found, key=lambda r: (r.partition, r.offset))

    async def log(self) -> list[LogRecord | Rejected]:
        return [
            decode(r.partition, r.offset, r.timestamp, r.key, r.headers, r.value)
            for r in await self.read(self.base.log_topic)
        ]

    async def changes(self) -> list[dict[str, Any]]:
        return [json.loads(r.value) | {"_p": r.partition} for r in await self.read(self.base.alarms_topic)]

    async def marks(self) -> dict[int, dict[str, Any]]:
        """Return the newest marker of each partition."""
        rows = await self.read(self.base.state_topic)
        return {r.partition: json.loads(r.value)["marker"] for r in rows if r.key == f"p{r.partition}".encode()}

    async def ends(self) -> dict[int, int]:
        ends: dict[int, int] = {}
        for record in await self.read(self.base.log_topic):
            ends[record.partition] = record.offset + 1
        return ends

    async def until(self, what: str, condition: Any, within_s: float = 30.0, every_s: float = 0.1) -> None:
        """Poll a condition (sync or async) until it holds."""
        deadline = time.monotonic() + within_s
        while True:
            holds = condition()
            if asyncio.iscoroutine(holds):
                holds = await holds
            if holds:
                return
            if time.monotonic() > deadline:
                tails = "\n".join(f"--- {w.instance}\n{w.text()[-3000:]}" for w in self.workers)
                raise AssertionError(f"not within {within_s} s: {what}\n{tails}")
            await asyncio.sleep(every_s)

    async def caught_up(self, within_s: float = 40.0) -> None:
        """Wait until every record of the log as it is now is behind a marker."""
        ends = dict((await self.ends()).items())

        async def behind() -> bool:
            marks = await self.marks()
            return all(p in marks and marks[p]["next"] >= end for p, end in ends.items())

        await self.until(f"checkpoints behind {ends}", behind, within_s, 0.3)

    async def agree(self, new_fold: Callable[[], Fold], within_s: float = 60.0) -> int:
        """Wait until all that the log gives is published, and judge it; returns the repeats.

        Workers may still tick: the log grows while this looks, so it is folded before and after the changes are read.
        """
        least = {stream: len(rows) for stream, rows in offline(await self.log(), new_fold()).items()}
        published: list[dict[str, Any]] = []

        async def complete() -> bool:
            published[:] = await self.changes()
            _, seen = deduplicate(published)
            return all(len(seen.get(stream, [])) >= count for stream, count in least.items())

        await self.until(f"all changes of the log are published: {least}", complete, within_s, 0.3)
        return judge(published, offline(await self.log(), new_fold()), whole=False)


def offline(log: list[LogRecord | Rejected], fold: Fold) -> dict[str, list[dict[str, Any]]]:
    """Fold a dumped log in one go; returns the changes of each stream."""
    streams: dict[str, list[dict[str, Any]]] = {}
    for record in log:
        if isinstance(record, LogRecord):
            with contextlib.suppress(BadInputError):  # packs that do not hold what they promise are rejected
                for change in fold.fold(record):
                    streams.setdefault(change.stream, []).append(change.to_json())
    return streams


def judge(published: list[dict[str, Any]], expected: dict[str, list[dict[str, Any]]], *, whole: bool = True) -> int:
    """Compare what was published with the offline fold; returns how many repeats there were.

    Repeats carry a known seq and the same content; a new seq is always the last one plus one; nothing is lost.
    """
    repeats, seen = deduplicate(published)
    for stream, mine in seen.items():
        rows = expected.get(stream, [])
        assert mine == rows[: len(mine)], f"{stream} differs from the offline fold"
    for stream, rows in expected.items() if whole else ():
        assert len(seen.get(stream, [])) == len(rows), f"{stream}: of {len(rows)} changes some are lost"
    return repeats


def deduplicate(published: list[dict[str, Any]]) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Return repeats and, per stream, the changes by seq, as a consumer that applies last + 1 keeps them."""
    seen: dict[str, list[dict[str, Any]]] = {}
    repeats = 0
    for published_row in published:
        row = {name: value for name, value in published_row.items() if name != "_p"}
        stream, seq = row["stream"], row["seq"]
        known = seen.setdefault(stream, [])
        if seq <= len(known):
            assert row == known[seq - 1], f"{stream} {seq} was published again with other content"
            repeats += 1
        else:
            assert seq == len(known) + 1, f"{stream}: {seq} follows {len(known)}"
            known.append(row)
    return repeats, seen
