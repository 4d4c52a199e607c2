"""Workers of the product over a broker in memory, readings for them, and the judgement at every commit and at the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rules.records import LogRecord, Readings
from streams.codec import decode, encode
from streams.settings import KafkaSettings
from streams.testing import KILLED, Broker, Commit, MemoryWorker
from streams.testing.clock import running
from streams.worker_settings import WorkerSettings
from tests.streams.lab import deduplicate, judge, offline
from tests.streams.toy import ToyFold

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from rules.records import Rejected
    from streams.fold import Fold
    from streams.testing.log import Entry

POLL_S = 0.05
GOES_AGAIN = {KILLED, 70}
"""What a supervisor starts again: whoever was killed, and whoever may be tried again."""
NewFold = Callable[[], "Fold"]


@dataclass
class Durable:
    """The offline fold of one partition, as far as somebody committed: what must be published by then."""

    fold: Fold
    next: int = 0
    counts: dict[str, int] = field(default_factory=dict)


class Scene:
    """A broker, its topics, and workers that a supervisor starts again. Use it inside `simulate`."""

    def __init__(
        self, seed: int = 0, *, partitions: int = 2, facilities: int = 4, new_fold: NewFold = ToyFold, **settings: Any
    ) -> None:
        self.broker = Broker(seed)
        self.chance = self.broker.chance
        self.new_fold, self.facilities = new_fold, facilities
        self.kafka = KafkaSettings(bootstrap=self.broker.bootstrap, partitions=partitions)
        self.broker.create_topics(self.kafka)
        self.settings = WorkerSettings(
            kafka=self.kafka, **{"placed": False, "checkpoint_every_s": 1.0, "tick_every_s": 1.0} | settings
        )
        self.workers: dict[str, MemoryWorker] = {}
        self.ended: list[tuple[str, int, str]] = []
        """Name, exit status and last words of every process that ended by itself or was killed."""
        self.sent = 0
        self._kept: dict[int, list[Entry]] = {p: [] for p in range(partitions)}
        self._durable = {p: Durable(new_fold()) for p in range(partitions)}
        self.broker.commits.append(self._judge)

    async def add(self, name: str = "w1", *, dies_at: int | None = None, **settings: Any) -> MemoryWorker:
        chosen = self.settings.model_copy(update={"instance": name, **settings})
        worker = self.workers[name] = MemoryWorker(chosen, self.new_fold)
        await worker.start(dies_at)
        return worker

    def feed(self, batches: int, rows: int = 3) -> None:
        """Append readings, facilities in turn; it takes no time."""
        for _ in range(batches):
            number = self.sent % self.facilities
            time_ms = 1_767_225_600_000 + self.sent * 1_000 + np.arange(rows, dtype=np.int64)
            value = np.array([self.sent // self.facilities % 3, *range(1, rows)], np.float64)
            payload = Readings(
                f"b{self.sent}", ("T1",), np.array([rows], np.int32), time_ms, value, np.zeros(rows, np.uint8)
            )
            self.append(payload, f"FAC-{number}")
            self.sent += 1

    def append(self, payload: Any, facility: str) -> int:
        headers, value = encode(payload)
        partition = int(facility.rpartition("-")[2]) % self.kafka.partitions
        return self.put(partition, facility.encode(), value, headers)

    def put(self, partition: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> int:
        return self.broker.append(self.settings.log_topic, partition, [(key, value, tuple(headers), None)])

    async def pump(self, seconds: float, batches: int = 2, every_s: float = 0.05) -> None:
        """Append readings for some virtual seconds; whoever has died meanwhile is started again."""
        until = running().now + seconds
        while running().now < until:
            self.feed(batches)
            await asyncio.sleep(every_s)
            await self.supervise()

    def keep(self) -> None:
        """Copy what the log holds: what retention takes later must still be judged."""
        for partition, kept in self._kept.items():
            known = kept[-1].offset if kept else -1
            entries = self.broker.partition(self.settings.log_topic, partition).entries
            kept.extend(entry for entry in entries if entry.offset > known and not entry.control)

    def cut(self, partition: int, offset: int) -> None:
        """Let retention take the beginning of a partition of the log."""
        self.keep()
        self.broker.partition(self.settings.log_topic, partition).drop_before(offset)

    def log(self) -> list[LogRecord | Rejected]:
        self.keep()
        return [
            decode(partition, e.offset, e.timestamp, e.key, e.headers, e.value)
            for partition, kept in self._kept.items()
            for e in kept
        ]

    def end(self, partition: int) -> int:
        return self.broker.partition(self.settings.log_topic, partition).end

    def rows(self, topic: str) -> list[tuple[int, Entry]]:
        """Return the rows of a topic that who reads committed ones sees."""
        return [(place.number, entry) for place in self.broker.topics[topic] for entry in place.visible()]

    def changes(self) -> list[dict[str, Any]]:
        return [json.loads(e.value or b"") | {"_p": p} for p, e in self.rows(self.settings.alarms_topic)]

    def markers(self, partition: int) -> list[int]:
        """Return `next` of every marker of a partition, oldest first."""
        key = f"p{partition}".encode()
        found = self.broker.partition(self.settings.state_topic, partition).decided()
        return [json.loads(e.value or b"")["marker"]["next"] for e in found if e.key == key]

    def committed(self) -> dict[int, int]:
        return self.broker.committed(self.settings.group_id, self.settings.log_topic)

    def _judge(self, commit: Commit) -> None:
        """See that a committed offset stands for nothing that is not published, and that its marker says the same."""
        for (topic, partition), offset in commit.offsets.items():
            if topic != self.settings.log_topic:
                continue  # of the fold of lots
            durable = self._durable[partition]
            self.keep()
            for entry in self._kept[partition]:
                if durable.next <= entry.offset < offset:
                    record = decode(partition, entry.offset, entry.timestamp, entry.key, entry.headers, entry.value)
                    for change in durable.fold.fold(record) if isinstance(record, LogRecord) else ():
                        durable.counts[change.stream] = change.seq
            durable.next = max(durable.next, offset)
            seen: dict[str, int] = {}
            for entry in self.broker.partition(self.settings.alarms_topic, partition).decided():
                row = json.loads(entry.value or b"")
                seen[row["stream"]] = max(seen.get(row["stream"], 0), row["seq"])
            missing = {stream: count for stream, count in durable.counts.items() if seen.get(stream, 0) < count}
            assert not missing, (
                f"partition {partition} is committed to {offset}, and changes before are not published: {missing}"
            )
            assert self.markers(partition)[-1] == offset, f"partition {partition}: marker and group offset differ"

    async def supervise(self) -> None:
        """Start again whoever has died, as a supervisor does."""
        for name, worker in self.workers.items():
            process = worker.process
            if process.status is not None and process.status in GOES_AGAIN:
                self.ended.append((name, process.status, process.told()))
                assert len(self.ended) < 40, f"it dies again and again\n{self.told()}"
                await worker.bury()
                await worker.start()

    async def until(self, what: str, holds: Callable[[], Any | Awaitable[Any]], within_s: float = 30.0) -> None:
        """Let virtual time pass until something holds; whoever dies is started again."""
        until = running().now + within_s
        while not holds():
            assert running().now < until, f"not within {within_s} s: {what}\n{self.told()}"
            await asyncio.sleep(POLL_S)
            await self.supervise()

    async def killed_within(self, name: str, steps: int) -> None:
        """Let a worker be killed at one of its next steps towards the broker; the supervisor starts it again."""
        process, before = self.workers[name].process, len(self.ended)
        process.dies_at = process.steps + self.chance.randint(1, steps)
        await self.until(f"{name} died", lambda: len(self.ended) > before)

    async def died(self, name: str, within_s: float = 120.0) -> int:
        """Wait until a worker ends; returns its exit status."""
        worker = self.workers[name]
        async with asyncio.timeout(within_s):
            await worker.process.ended.wait()
        await worker.bury()
        status = worker.process.status
        assert status is not None
        return status

    async def caught_up(self) -> None:
        """Wait until every record of the log as it is now is behind a committed offset."""
        ends = {p: self.end(p) for p in range(self.kafka.partitions)}
        await self.until(
            f"offsets behind {ends}", lambda: all(self.committed().get(p, 0) >= end for p, end in ends.items())
        )

    async def agree(self) -> int:
        """Wait until all that the log gives is published, stop the workers, and judge; returns the repeats."""
        least = {stream: len(rows) for stream, rows in offline(self.log(), self.new_fold()).items()}

        def complete() -> bool:
            _, seen = deduplicate(self.changes())
            return all(len(seen.get(stream, [])) >= count for stream, count in least.items())

        await self.until(f"all changes are published: {least}", complete)
        await self.close()
        assert not self.broker.faults, self.broker.faults
        for partition in range(self.kafka.partitions):
            mine = self.markers(partition)
            assert mine == sorted(mine), "a marker went back"
        return judge(self.changes(), offline(self.log(), self.new_fold()), whole=False)

    async def close(self) -> None:
        """End every worker: in order where that is possible."""
        self.broker.come_back()
        for worker in self.workers.values():
            if worker.process.alive:
                worker.process.resume()
                await worker.stop()
            await worker.bury()
        self.broker.close()

    def told(self) -> str:
        lines = [f"{name}: {w.process.status} {w.process.told()} owns {w.owned}" for name, w in self.workers.items()]
        return "\n".join(
            [*lines, f"ended {self.ended}", f"committed {self.committed()}", f"faults {self.broker.faults}"]
        )
