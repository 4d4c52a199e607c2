"""Stock Faust over the memory broker: its own acks, gaps and commits, with the committed offsets to be seen.

Why the worker keeps its own offsets is shown here, too: what Faust commits by itself is not what was done.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import faust
import pytest
from yarl import URL

from streams.testing import STOCK_SCHEME, Broker, MemoryConsumer, Process, simulate
from streams.testing.clock import running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TOPIC, GROUP = "orders", "till"


def app_of(broker: Broker, **settings: Any) -> Any:
    return faust.App(
        GROUP, id_format="{id}", broker=[URL(f"{STOCK_SCHEME}://{broker.bootstrap}")], store="memory://",
        topic_allow_declare=False, topic_disable_leader=True, web_enabled=False, worker_redirect_stdouts=False,
        autodiscover=False, consumer_auto_offset_reset="earliest", broker_commit_interval=0.5, **settings,
    )  # fmt: skip


class Till:
    """A stock app with one agent; `handle` gets each value."""

    def __init__(self, handle: Callable[[bytes], Awaitable[None]], count: int = 10, concurrency: int = 1) -> None:
        self.broker = Broker(1)
        self.broker.create_topic(TOPIC, 1)
        self.put(count)
        self.handle, self.concurrency = handle, concurrency
        self.process = Process("till")
        self.app: Any = None

    def put(self, count: int) -> None:
        for _ in range(count):
            number = self.broker.partition(TOPIC, 0).end
            self.broker.append(TOPIC, 0, [(b"k", str(number).encode(), (), None)])

    async def begin(self) -> None:
        app = self.app = app_of(self.broker)

        @app.agent(
            app.topic(TOPIC, value_type=bytes, key_type=bytes, value_serializer="raw"), concurrency=self.concurrency
        )
        async def agent(stream: Any) -> None:
            async for value in stream:
                await self.handle(value)

        asyncio.create_task(app.start())  # noqa: RUF006 - the process holds it

    def committed(self) -> int | None:
        return self.broker.committed(GROUP, TOPIC).get(0)

    async def until(self, what: str, holds: Callable[[], object], within_s: float = 30.0) -> None:
        end = running().now + within_s
        while not holds():
            assert running().now < end, what
            await asyncio.sleep(0.05)


def test_what_is_acknowledged_is_committed_and_nothing_before_it() -> None:
    seen: list[bytes] = []
    gate = {4}

    async def scene() -> None:
        free = asyncio.Event()

        async def handle(value: bytes) -> None:
            if int(value) in gate:
                await free.wait()
            seen.append(value)

        till = Till(handle)
        await till.process.start(till.begin())
        await till.until("four are done", lambda: len(seen) == 4)
        await asyncio.sleep(3)
        assert till.committed() == 4
        free.set()
        await till.until("all are committed", lambda: till.committed() == 10)
        assert [int(value) for value in seen] == list(range(10))

    simulate(scene())


def test_a_hole_in_the_log_is_no_gap_for_ever() -> None:
    async def scene() -> None:
        seen: list[bytes] = []

        async def handle(value: bytes) -> None:
            seen.append(value)

        till = Till(handle, 5)
        till.broker.partition(TOPIC, 0).end += 3
        till.put(2)
        await till.process.start(till.begin())
        await till.until("it commits behind the hole", lambda: till.committed() == 10)
        assert len(seen) == 7

    simulate(scene())


def test_an_exception_that_leaves_an_agent_is_acknowledged_and_lost() -> None:
    """The reason for `streams.agents`: nothing may escape."""

    async def scene() -> None:
        seen: list[int] = []

        async def handle(value: bytes) -> None:
            if int(value) == 3:
                raise ValueError(value)
            seen.append(int(value))

        till = Till(handle)
        await till.process.start(till.begin())
        await till.until("all are committed", lambda: till.committed() == 10)
        assert 3 not in seen
        assert seen == [0, 1, 2, 4, 5, 6, 7, 8, 9]

    simulate(scene())


def test_a_kill_gives_again_what_was_not_committed() -> None:
    async def scene() -> None:
        seen: list[int] = []

        async def handle(value: bytes) -> None:
            seen.append(int(value))

        till = Till(handle)
        await till.process.start(till.begin())
        await till.until("all are done", lambda: len(seen) == 10)
        before, killed = till.committed() or 0, running().now
        till.process.end(-9, "killed")
        await till.process.buried()
        till.process = Process("till")
        await till.process.start(till.begin())
        await till.until("all are committed", lambda: till.committed() == 10, 120)
        assert running().now - killed > 55, "the dead one's seat is kept for Faust's session of 60 s"
        assert seen == [*range(10), *range(before, 10)]

    simulate(scene())


def test_the_app_has_no_thread_and_only_the_memory_clients() -> None:
    import threading

    async def scene() -> None:
        async def handle(_: bytes) -> None:
            await asyncio.sleep(0)

        before = set(threading.enumerate())
        till = Till(handle)
        await till.process.start(till.begin())
        await till.until("committed", lambda: till.committed() == 10)
        assert set(threading.enumerate()) == before
        assert type(till.app.consumer._thread._consumer) is MemoryConsumer
        assert till.app.topics is not None

    simulate(scene())


async def test_outside_of_a_simulation_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="simulate"):
        _ = Broker().now_ms
