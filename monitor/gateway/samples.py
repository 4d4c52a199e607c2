"""Samples of what was refused, into `offsite.rejected.v1`: bounded per key in number and bytes, the rest counted.

Beside the door, never in its way: `offer` only puts into a bounded queue, a task of its own with a producer of its own sends.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from rules.faults import printable
from streams.rejected import RefusedPost, encode_entry, sample_of
from streams.topics import REJECTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.gateway.figures import Figures
    from monitor.gateway.front import Visit
    from monitor.gateway.problems import RefusedError
    from streams.settings import KafkaSettings

log = logging.getLogger(__name__)
PER_CODE = 2
PER_MINUTE = 6
DAY_BYTES = 4 * 1024 * 1024
"""Of one key in a day: a thousand firms that send nothing but rubbish fill 4 GiB a day, not the disks."""
MINUTE_S, DAY_S = 60.0, 86_400.0
QUEUED = 256
REMEMBERED = 10_000
SEND_TIMEOUT_S = 10.0
RETRY_S = 1.0
DETAIL_CHARACTERS = 300


@dataclass(slots=True)
class _Principal:
    """What one key has used up of its minute and its day."""

    minute: float
    day: float
    in_minute: Counter[str] = field(default_factory=Counter)
    in_day: int = 0
    unsampled: Counter[str] = field(default_factory=Counter)

    def may(self, code: str, now: float) -> bool:
        """Say whether one more refusal may be sampled at `now` (s)."""
        if now - self.minute >= MINUTE_S:
            self.minute, self.in_minute = now, Counter()
        if now - self.day >= DAY_S:
            self.day, self.in_day = now, 0
        return self.in_minute[code] < PER_CODE and self.in_minute.total() < PER_MINUTE and self.in_day < DAY_BYTES


@dataclass(frozen=True, slots=True)
class _Sample:
    key_hash: str
    code: str
    key: bytes
    value: bytes
    unsampled: Counter[str]


class Samples:
    """Offers of refusals, and the task that writes those within their bounds."""

    def __init__(self, settings: KafkaSettings, figures: Figures, gateway: str, clock: Callable[[], float]) -> None:
        self._settings, self._figures, self._gateway, self._clock = settings, figures, gateway, clock
        self._topic = settings.topic(REJECTED)
        self._principals: OrderedDict[str, _Principal] = OrderedDict()
        self.queue: asyncio.Queue[_Sample] = asyncio.Queue(QUEUED)

    def offer(self, visit: Visit, refused: RefusedError, now_ms: int) -> None:
        """Sample one refusal, or count it; only what the firm did wrong is sampled, our own outages are not."""
        if visit.entry is None or refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return
        principal = self._principal(visit.key_hash)
        if self.queue.full() or not principal.may(refused.code, self._clock()):
            self._only_count(principal, Counter({refused.code: 1}))
            return
        sample = _Sample(
            key_hash=visit.key_hash,
            code=refused.code,
            key=(visit.facility or visit.entry.facilities[0]).encode(),
            value=encode_entry(self._entry(visit, visit.entry.name, refused, now_ms, principal.unsampled)),
            unsampled=principal.unsampled,
        )
        principal.unsampled = Counter()
        principal.in_minute[refused.code] += 1
        principal.in_day += len(sample.value)
        self.queue.put_nowait(sample)

    async def pump(self) -> None:
        """Write what was offered, for ever; a broker that is away costs samples and nothing else."""
        while True:
            producer = AIOKafkaProducer(
                acks=1, request_timeout_ms=int(SEND_TIMEOUT_S * 1000), **self._settings.for_aiokafka()
            )
            try:
                await producer.start()
                await self._send_all(producer)
            except (KafkaError, OSError) as error:
                log.warning("samples of refusals: %s; asking again", type(error).__name__)
            except Exception:  # a service beside the door: its faults are shown and never close it
                log.exception("samples of refusals: beginning anew")
            finally:
                await producer.stop()
            await asyncio.sleep(RETRY_S)

    async def _send_all(self, producer: AIOKafkaProducer) -> None:
        while True:
            sample = await self.queue.get()
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await producer.send_and_wait(self._topic, value=sample.value, key=sample.key)
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("a sample was not written: %s", type(error).__name__)
                self._figures.samples.labels("failed").inc()
                self._only_count(
                    self._principal(sample.key_hash), sample.unsampled + Counter({sample.code: 1}), again=True
                )
            else:
                self._figures.samples.labels("sent").inc()

    def _only_count(self, principal: _Principal, refusals: Counter[str], *, again: bool = False) -> None:
        principal.unsampled += refusals
        if not again:
            self._figures.samples.labels("unsampled").inc()

    def _principal(self, key_hash: str) -> _Principal:
        now = self._clock()
        principal = self._principals.setdefault(key_hash, _Principal(now, now))
        self._principals.move_to_end(key_hash)
        if len(self._principals) > REMEMBERED:
            self._principals.popitem(last=False)
        return principal

    def _entry(
        self, visit: Visit, name: str, refused: RefusedError, now_ms: int, unsampled: Counter[str]
    ) -> RefusedPost:
        body = visit.body
        return RefusedPost(
            gateway=self._gateway,
            at=now_ms,
            facility=visit.facility or "",
            principal=name,
            endpoint=visit.endpoint,
            status=refused.status.value,
            code=refused.code,
            detail=printable(refused.detail, DETAIL_CHARACTERS),
            counts=refused.counts,
            sample=sample_of(bytes(visit.head)),
            size=None if body is None else len(body),
            sha256=None if body is None else hashlib.sha256(body).hexdigest(),
            unsampled=dict(sorted(unsampled.items())),
        )
