"""Post one facility's feed through the front door: in order, one post under way, again with the same id until it is stored."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.simulate.feed import Feed

log = logging.getLogger(__name__)
READINGS, REPORTS = "/v1/readings", "/v1/reports"
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
NEVER = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""Answers that will be the same for the same post."""
DENIED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
"""A key that is not known yet, or no more: an officer can mend that, so the readings are kept."""


@dataclass(slots=True)
class Pusher:
    """Drives a feed over HTTP. `now_ms` is the clock that readings are stamped with, `rest` sleeps unless it is to stop."""

    feed: Feed
    client: httpx.AsyncClient
    key: str
    now_ms: Callable[[], int]
    rest: Callable[[float], Awaitable[None]]
    stopping: Callable[[], bool]
    _wait_s: float = FIRST_WAIT_S

    async def run(self) -> None:
        """Measure and post until it is to stop."""
        while not self.stopping():
            began = self.now_ms()
            self.feed.collect(began)
            wait_s = await self._send_all()
            await self.rest(wait_s or max(0.0, self.feed.every_ms - (self.now_ms() - began)) / 1000)

    async def _send_all(self) -> float:
        """Send what waits; returns the seconds to wait before the same post is sent again, 0 if all went."""
        while not self.stopping() and self.feed.link_up(self.now_ms()):
            post = self.feed.next_post(self.now_ms())
            if post is None:
                return await self._send_reports()
            wait_s = await self._send(READINGS, post.body, self._stored)
            if wait_s:
                return wait_s
            broken = self.feed.broken_post(self.now_ms())
            if broken is not None:
                await self._send_broken(broken)
        return 0.0

    async def _send_reports(self) -> float:
        while not self.stopping() and (report := self.feed.next_report(self.now_ms())) is not None:
            wait_s = await self._send(REPORTS, report, self._submitted)
            if wait_s:
                return wait_s
        return 0.0

    def _stored(self, answer: httpx.Response) -> None:
        if answer.status_code == HTTPStatus.ACCEPTED:
            self.feed.counts.unknown_tags = _unknown_tags(answer)
            self.feed.stored()
        else:
            self.feed.refused()

    def _submitted(self, answer: httpx.Response) -> None:
        self.feed.submitted(taken=answer.status_code == HTTPStatus.ACCEPTED)

    async def _send(self, path: str, body: bytes, answered: Callable[[httpx.Response], None]) -> float:
        """Send a post; returns 0 if that is the end of it (`answered` is told), else the seconds to wait."""
        wait_s = await self._try(path, body, answered)
        if wait_s:
            self.feed.counts.repeats += 1
        else:
            self._wait_s = FIRST_WAIT_S
        return wait_s

    async def _try(self, path: str, body: bytes, answered: Callable[[httpx.Response], None]) -> float:
        try:
            answer = await self._post(path, body)
        except httpx.HTTPError as error:
            log.warning("%s: %s; the post waits", self.feed.facility, type(error).__name__)
            return self._back_off()
        if answer.status_code == HTTPStatus.ACCEPTED:
            answered(answer)
            return 0.0
        if answer.status_code in NEVER:
            log.error("%s: refused for ever: %s", self.feed.facility, answer.text[:500])
            answered(answer)
            return 0.0
        if answer.status_code in DENIED:
            self.feed.counts.denied += 1
        log.warning("%s: answered %d; the post waits", self.feed.facility, answer.status_code)
        return self._back_off(answer.headers.get("retry-after"))

    async def _send_broken(self, body: bytes) -> None:
        try:
            answer = await self._post(READINGS, body)
        except httpx.HTTPError:
            return  # it is made anew after the next post
        if answer.status_code == HTTPStatus.ACCEPTED:
            self.feed.counts.broken_taken += 1
            log.error("%s: the front door took a post that breaks the contract", self.feed.facility)
        elif answer.status_code in NEVER:
            self.feed.counts.broken_refused += 1

    async def _post(self, path: str, body: bytes) -> httpx.Response:
        return await self.client.post(
            path,
            content=body,
            params={"facility": self.feed.facility},
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )

    def _back_off(self, asked: str | None = None) -> float:
        """Return the wait: what the front door asked for, or twice the last one."""
        wait_s = self._wait_s
        self._wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        if asked is not None and asked.isascii() and asked.isdigit():
            return min(max(float(asked), FIRST_WAIT_S), LONGEST_WAIT_S)
        return wait_s


def _unknown_tags(answer: httpx.Response) -> int:
    try:
        value = answer.json()
    except ValueError:
        return 0
    tags = value.get("unknown_tags") if isinstance(value, dict) else None
    return len(tags) if isinstance(tags, list) else 0


async def rest_until(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, or return at once when `stop` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
