"""Run the simulated facilities against a gateway until a time is over or somebody says stop."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import httpx
from pydantic import AfterValidator, Field

from monitor.simulate.faults import sources_of
from monitor.simulate.feed import Feed
from monitor.simulate.pusher import Pusher, rest_until
from rules.instants import Duration, format_instant
from rules.models import Strict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from monitor.simulate.feed import Counts
    from monitor.simulate.script import Script
    from rules.register import Facility

log = logging.getLogger(__name__)
REGISTER = Path(__file__).with_name("demo-register.yaml")
"""The register of the five demo firms."""
TIMEOUT_S = 20.0
STOP_S = 4.0
"""A post under way is waited for so long after `stop`."""
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def _front_door(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("the address of a gateway, such as http://127.0.0.1:8710")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("a feed key travels with every post: plain http only on this machine, else https")
    return url.rstrip("/")


class SimulationSettings(Strict):
    """How to run a simulation."""

    gateway: Annotated[str, Field(max_length=500), AfterValidator(_front_door)]
    seed: int = Field(default=1, ge=0, le=2**32 - 1)
    speed: float = Field(default=60.0, gt=0, le=1_000)
    """Signal time per clock time; the script's times and the rules' times are clock time whatever it is."""
    seconds: float | None = Field(default=None, gt=0, le=30 * 86_400)
    """End after so long; None runs until `stop`."""
    history: Duration = 7_200_000
    """Prehistory in ms: what the rules still fold and charts show, in one post per facility."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did: its beginning (ms) and the counts of every facility."""

    began: int
    ended: int
    counts: dict[str, Counts]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "began": format_instant(self.began),
            "ended": format_instant(self.ended),
            "facilities": {name: asdict(counts) for name, counts in self.counts.items()},
        }


def now_ms() -> int:
    """Return this machine's clock."""
    return time.time_ns() // 1_000_000


async def run_simulation(
    settings: SimulationSettings,
    facilities: Sequence[Facility],
    keys: Mapping[str, str],
    script: Script,
    *,
    stop: asyncio.Event,
    begun: Callable[[int], None] = lambda _: None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Outcome:
    """Post for every facility with its key until `stop` is set or `settings.seconds` are over.

    Start it when the gateway is ready and the register has just gone into the log: a registered series that sends nothing
    for two intervals and the delivery time is silent, as it would be at a real firm. `begun` is told the beginning of the
    run (ms), from which the script and its expectations count. What a firm could not send is counted as `unsent`.

    Raises:
        KeyError: a facility without a key.
    """
    began = now_ms()
    begun(began)
    limits = httpx.Limits(max_connections=max(10, len(facilities)))
    async with httpx.AsyncClient(
        base_url=settings.gateway, timeout=TIMEOUT_S, limits=limits, transport=transport, trust_env=False
    ) as client:
        pushers = [_pusher(settings, firm, keys[firm.id], script, client, began, stop) for firm in facilities]
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(pusher.run()) for pusher in pushers]
            watch = tasks.create_task(_end_after(settings.seconds, stop))
            tell = tasks.create_task(_tell(script, facilities, began, stop))
            await stop.wait()
            await asyncio.wait(running, timeout=STOP_S)
            for task in (*running, watch, tell):
                task.cancel()
    return Outcome(began, now_ms(), {pusher.feed.facility: pusher.feed.close() for pusher in pushers})


def _pusher(
    settings: SimulationSettings, facility: Facility, key: str, script: Script,
    client: httpx.AsyncClient, began: int, stop: asyncio.Event,
) -> Pusher:  # fmt: skip
    sources = sources_of(facility, script, began=began, seed=settings.seed, speed=settings.speed)
    feed = Feed(facility, sources, script, began=began, history_ms=settings.history)
    return Pusher(feed, client, key, now_ms, lambda seconds: rest_until(stop, seconds), stop.is_set)


async def _end_after(seconds: float | None, stop: asyncio.Event) -> None:
    if seconds is not None:
        await rest_until(stop, seconds)
        stop.set()


async def _tell(script: Script, facilities: Sequence[Facility], began: int, stop: asyncio.Event) -> None:
    """Say on the log when a fault begins and ends."""
    told = {facility.id for facility in facilities}
    moments = [
        (at, f"{word}: {fault.fault} {fault.facility}: {fault.why.zh} / {fault.why.en}")
        for fault in script.faults
        if fault.facility in told
        for at, word in ((fault.at, "故障开始 fault begins"), (fault.end, "故障结束 fault ends"))
    ]
    for at, text in sorted(moments):
        await rest_until(stop, max(0, began + at - now_ms()) / 1000)
        if stop.is_set():
            return
        log.info(text)
