"""Faust's own consumer, conductor and commit code over the memory broker: only the two aiokafka clients beneath are replaced.

Two URL schemes: `memory` is stock Faust, for apps of a test's own; `offsite-memory` is the worker's transport
(streams.faust_seams) with the same change.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver

from streams import faust_seams
from streams.client_kinds import ClientKinds
from streams.testing.consumer import MemoryConsumer
from streams.testing.producer import MemoryProducer

if TYPE_CHECKING:
    from collections.abc import Callable

STOCK_SCHEME, SCHEME = "memory", "offsite-memory"
TRANSPORTS.aliases[STOCK_SCHEME] = "streams.testing.transport:StockTransport"
TRANSPORTS.aliases[SCHEME] = "streams.testing.transport:Transport"

MEMORY = ClientKinds(producer=MemoryProducer, consumer=MemoryConsumer, scheme=SCHEME)
"""For `create_app`: the worker as it is, over the broker that its settings name."""


class _InPlace:
    """Takes the place of mode's WorkerThread: the consumer's "thread" is a task of the same loop."""

    def __init__(self, service: Any) -> None:  # noqa: ANN401 - mode ships no types
        self._service = service
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Run the service's own code."""
        self._task = asyncio.create_task(self._service._serve())  # noqa: SLF001 - what the thread would run

    def stop(self) -> None:
        """Do nothing: the service has shut down by then."""


def _in_place(kind: Any, isolation: str | None = None) -> Any:  # noqa: ANN401 - mypy knows no class of Faust
    """Return Faust's consumer thread of a kind without the thread, and with the memory broker's consumer.

    Without an `isolation` it is Faust's own.
    """

    class Thread(kind):  # type: ignore[misc]
        Worker = _InPlace

        async def _gather_remaining_tasks(self) -> None:
            """Cancel nothing: the loop is everybody's, and what is left over dies with its process."""

        def _create_worker_consumer(self, transport: Any) -> Any:  # noqa: ANN401 - Faust's signature
            conf = self.app.conf
            return MemoryConsumer(
                bootstrap_servers=driver.server_list(transport.url, transport.default_port),
                group_id=conf.id,
                group_instance_id=conf.consumer_group_instance_id,
                isolation_level=isolation or ("read_committed" if self.consumer.in_transaction else "read_uncommitted"),
                auto_offset_reset=conf.consumer_auto_offset_reset,
                max_poll_records=conf.broker_max_poll_records,
                session_timeout_ms=int(conf.broker_session_timeout * 1_000),
            )

    return Thread


StockThread = _in_place(driver.AIOKafkaConsumerThread)
WorkerThread = _in_place(faust_seams.ConsumerThread, faust_seams.ISOLATION)


def _new_thread(kind: Any) -> Callable[[Any], Any]:  # noqa: ANN401 - as above
    def make(self: Any) -> Any:  # noqa: ANN401 - as above
        return kind(self, loop=self.loop, thread_loop=self.loop, beacon=self.beacon)

    return make


class StockConsumer(driver.Consumer):  # type: ignore[misc]  # faust ships no types
    """Faust's consumer as it is."""

    _new_consumer_thread = _new_thread(StockThread)

    def verify_event_path(self, now: float, tp: Any) -> None:  # noqa: ANN401 - Faust's signature
        """Look at nothing: it looks into aiokafka's fetcher."""


class Consumer(faust_seams.Consumer):
    """The worker's consumer as it is."""

    _new_consumer_thread = _new_thread(WorkerThread)

    def verify_event_path(self, now: float, tp: Any) -> None:  # noqa: ANN401 - Faust's signature
        """Look at nothing: it looks into aiokafka's fetcher."""


class Producer(driver.Producer):  # type: ignore[misc]  # faust ships no types
    """Faust's producer as it is."""

    def _new_producer(self, transactional_id: str | None = None) -> MemoryProducer:
        return MemoryProducer(
            bootstrap_servers=driver.server_list(self.transport.url, self.transport.default_port),
            transactional_id=transactional_id,
        )

    def supports_headers(self) -> bool:
        """Say that the broker takes headers."""
        return True


class StockTransport(driver.Transport):  # type: ignore[misc]  # faust ships no types
    """Stock Faust over the memory broker."""

    Consumer = StockConsumer
    Producer = Producer


class Transport(faust_seams.Transport):
    """The worker's transport over the memory broker."""

    Consumer = Consumer
    Producer = Producer
