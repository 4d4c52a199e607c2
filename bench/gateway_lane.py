"""How long small posts wait while a hostile 4 MiB body is read: on the loop, in a thread, in a process.

`python -m bench.gateway_lane` prints one JSON line per way; no broker, the door keeps what is appended in memory.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from http import HTTPStatus

from monitor.gateway import taking
from monitor.gateway.bodies import MAX_BODY_BYTES
from monitor.gateway.lane import LARGE_BYTES, Lane
from tests.monitor.gateway_parts import GOOD, client_of, open_gateway

ROUNDS = 5
PAUSE_S = 0.002


class ThreadLane(Lane):
    """The same lane in a thread of this process."""

    def _open_pool(self) -> Executor:
        return ThreadPoolExecutor(1)


def hostile() -> bytes:
    """Return 4 MiB that are no readings, in as many places as fit."""
    piece = b'{"tag":"T","time":[1],"value":["x"]},'
    many = (MAX_BODY_BYTES - 64) // len(piece)
    return b'{"batch":"b","series":[' + piece * (many - 1) + piece[:-1] + b"]}"


async def measure(way: str) -> dict[str, object]:
    app = open_gateway(posts_per_minute=10_000_000)
    gateway = app.state.gateway
    gateway.lane = ThreadLane(1) if way == "thread" else Lane(1)
    taking.LARGE_BYTES = 2 * MAX_BODY_BYTES if way == "loop" else LARGE_BYTES
    body = hostile()
    waits, took = [], []
    headers = {"Content-Type": "application/json"}

    async with client_of(app) as client:

        async def attack() -> None:
            for _ in range(ROUNDS):
                began = time.perf_counter()
                answer = await client.post("/v1/readings", content=body, headers=headers)
                took.append(time.perf_counter() - began)
                assert answer.status_code >= HTTPStatus.BAD_REQUEST
                await asyncio.sleep(0.05)

        await client.post("/v1/readings", content=body, headers=headers)  # starts the process, compiles nothing twice
        attacker = asyncio.create_task(attack())
        while not attacker.done():
            due = time.perf_counter() + PAUSE_S
            await asyncio.sleep(PAUSE_S)
            await client.post("/v1/readings", json=GOOD)
            waits.append(time.perf_counter() - due)  # from when it was to be sent: a loop that stands still counts
        await attacker
    gateway.lane.close()
    waits.sort()
    return {
        "way": way,
        "hostile_s": round(statistics.median(took), 3),
        "small_posts": len(waits),
        "p50_ms": round(1000 * waits[len(waits) // 2], 1),
        "p99_ms": round(1000 * waits[int(len(waits) * 0.99)], 1),
        "max_ms": round(1000 * waits[-1], 1),
    }


if __name__ == "__main__":
    for one in ("loop", "thread", "process"):
        print(json.dumps(asyncio.run(measure(one))))
