"""Feed the firms' posts through the gateway, as a firm's client does: in order, again with the same id until there is a receipt."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.chaos.firms import Firm, Post

TIMEOUT_S = 20.0
AGAIN = {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}
LONGEST_WAIT_S = 3.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the front door promised."""

    facility: str
    batch: str
    partition: int
    offset: int
    received: str


@dataclass(slots=True)
class Fed:
    """What was posted, and what was answered."""

    posted: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)
    receipts: list[Receipt] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def readings(self) -> int:
        """Readings of all different batches."""
        return sum(len(series["time"]) for body in self.posted.values() for series in body["series"])

    def unanswered(self) -> list[tuple[str, str]]:
        """Return the batches without a receipt."""
        return sorted(set(self.posted) - {(r.facility, r.batch) for r in self.receipts})


class Feeder:
    """One client for all firms; each firm's posts go one after another."""

    def __init__(self, gateway: str, firms: Sequence[Firm], keys: Mapping[str, str], seed: int, began: float) -> None:
        self.fed = Fed()
        self._gateway, self._firms, self._keys, self._began = gateway, firms, keys, began
        self._chance = random.Random(f"feed/{seed}")  # noqa: S311 - repeatable, not secret
        self._stop = asyncio.Event()
        self._large: asyncio.Queue[Firm] = asyncio.Queue()
        self._client: httpx.AsyncClient | None = None

    def stop(self) -> None:
        """Begin nothing new; what was begun is sent until it has its receipt."""
        self._stop.set()

    def large(self, firm: Firm) -> None:
        """Let a firm send its large post soon."""
        self._large.put_nowait(firm)

    async def known(self) -> bool:
        """Whether the front door knows every firm's key; what it is asked to check is not kept."""
        async with httpx.AsyncClient(base_url=self._gateway, timeout=TIMEOUT_S, trust_env=False) as client:
            for key in self._keys.values():
                headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
                try:
                    answer = await client.post("/v1/readings?check=true", content=b"{}", headers=headers)
                except httpx.HTTPError:
                    return False
                if answer.status_code in {HTTPStatus.UNAUTHORIZED, *AGAIN}:
                    return False
        return True

    async def run(self) -> None:
        """Feed until told to stop and every batch has its receipt."""
        limits = httpx.Limits(max_connections=len(self._firms) + 4)
        async with (
            httpx.AsyncClient(
                base_url=self._gateway, timeout=TIMEOUT_S, limits=limits, trust_env=False
            ) as self._client,
            asyncio.TaskGroup() as tasks,
        ):
            for firm in self._firms:
                tasks.create_task(self._feed(firm))
            tasks.create_task(self._feed_large())

    async def _feed(self, firm: Firm) -> None:
        lost: list[tuple[int, dict[str, Any]]] = []  # to be sent once more, after so many posts
        count = 0
        while not self._stop.is_set():
            post = firm.next()
            await self._rest(self._began + post.due_s - time.monotonic())
            if self._stop.is_set():
                return
            await self._deliver(firm, post)
            count += 1
            if post.later:
                lost.append((count + post.later, post.body))
            for at, body in list(lost):
                if at <= count:
                    lost.remove((at, body))
                    await self._until_stored(firm.id, body)

    async def _feed_large(self) -> None:
        while not self._stop.is_set():
            try:
                async with asyncio.timeout(0.3):
                    firm = await self._large.get()
            except TimeoutError:
                continue
            await self._deliver(firm, firm.large())

    async def _deliver(self, firm: Firm, post: Post) -> None:
        for _ in range(1 + post.again):
            await self._until_stored(firm.id, post.body)

    async def _until_stored(self, facility: str, body: dict[str, Any]) -> None:
        key = (facility, body["batch"])
        self.fed.posted[key] = body
        raw = json.dumps(body).encode()
        wait_s = 0.1
        while True:
            self.fed.attempts[key] += 1
            asked = await self._once(facility, body["batch"], raw)
            if asked is None:
                return
            wait_s = min(max(wait_s * 1.6, self._chance.uniform(0, asked)), LONGEST_WAIT_S)
            await asyncio.sleep(wait_s)

    async def _once(self, facility: str, batch: str, raw: bytes) -> float | None:
        """Post once; None if that is the end of it, else how long the front door asks to wait."""
        assert self._client is not None
        impatient = self._chance.random() < 0.02
        try:
            async with asyncio.timeout(self._chance.uniform(0.001, 0.05) if impatient else TIMEOUT_S * 2):
                answer = await self._client.post(
                    "/v1/readings", content=raw, params={"facility": facility},
                    headers={"Authorization": f"Bearer {self._keys[facility]}", "Content-Type": "application/json"},
                )  # fmt: skip
        except (httpx.HTTPError, TimeoutError) as error:
            self.fed.answers[type(error).__name__] += 1
            return 0.5
        self.fed.answers[str(answer.status_code)] += 1
        if answer.status_code == HTTPStatus.ACCEPTED:
            told = answer.json()
            if told["id"] != batch:
                self.fed.wrong.append(f"{facility} {batch}: the receipt is for {told['id']}")
            self.fed.receipts.append(Receipt(facility, batch, told["partition"], told["offset"], told["received"]))
            return None
        if answer.status_code in AGAIN:
            return min(float(answer.headers.get("retry-after", "1")), LONGEST_WAIT_S)
        self.fed.wrong.append(f"{facility} {batch}: answered {answer.status_code} {answer.text[:300]}")
        return None if len(self.fed.wrong) > 100 else 1.0

    async def _rest(self, seconds: float) -> None:
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._stop.wait()
            except TimeoutError:
                return
