"""The front door under load: a real gateway on the embedded Kafka. `python -m bench.gateway_load [--quick]` prints JSON.

Bounded in time and number, loopback only. Clients, gateway and broker share this machine's cores, so posts/s is what is left of
them for the gateway; CPU per post is the gateway process's own (user and system). Half load is half of the posts/s measured in
the same run; posts then start on a timetable, and a late start counts as waiting. `health_ms` is how long a look at /healthz
takes meanwhile: the loop's lag as a stranger sees it. A flood is 1,000 posts of 4 MiB at once while the broker hangs (SIGSTOP).
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from streams import admin
from streams.broker import EmbeddedBroker
from streams.settings import KafkaSettings
from tests.monitor.gateway_real import (
    MIB,
    Running,
    admit_firms,
    batch,
    exchange,
    gateway_process,
    get,
    large,
    post,
    read_answer,
    request,
)

FIRMS = 64
CLIENTS = 32
SHAPES = {"12 series x 5": (12, 5), "60 series x 10": (60, 10)}
RUNS = 5
HALF_POSTS = 600
CONNECTIONS = 1_000
FLOOD = 1_000
BEGIN = 1_772_294_400_000
ACCEPTED, OK = 202, 200
JIFFIES = os.sysconf("SC_CLK_TCK")
SETTINGS = {"OFFSITE_GATEWAY_POSTS_PER_MINUTE": "10000000", "OFFSITE_GATEWAY_BYTES_PER_MINUTE": str(1 << 40)}


def body(series: int, rows: int) -> bytes:
    """Return one post."""
    times = [BEGIN + 60_000 * i for i in range(rows)]
    rest = [{"tag": f"CR1.T{i}", "time": times, "value": [4.8 + 0.1 * i] * rows} for i in range(series)]
    return json.dumps({"batch": "0192f0c2-7a11", "series": rest}).encode()


def cpu_s(gateway: Running) -> float:
    """Return the CPU time that the gateway's process has used."""
    fields = Path(f"/proc/{gateway.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / JIFFIES


async def closed_loop(gateway: Running, keys: list[str], raw: bytes, count: int) -> float:
    """Post `count` times over as many connections as there are clients, each as soon as it has its receipt; returns seconds."""
    left = iter(range(count))

    async def client(key: str) -> None:
        reader, writer = await gateway.connect()
        sent = request(key, raw)
        for _ in left:
            writer.write(sent)
            await taken(reader)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*map(client, keys[:CLIENTS]))
    return time.perf_counter() - began


async def taken(reader: asyncio.StreamReader) -> None:
    """Read one receipt."""
    answer = await read_answer(reader)
    if answer is None or answer.status != ACCEPTED:
        raise RuntimeError(f"no receipt: {answer}")


async def timetable(gateway: Running, keys: list[str], raw: bytes, rate: float) -> dict[str, float]:
    """Post at `rate` on a timetable; returns how long after its time each receipt came, and how long health took."""
    waits: list[float] = []
    looks: list[float] = []
    began = time.perf_counter()
    due = iter(began + i / rate for i in range(HALF_POSTS))

    async def client(key: str) -> None:
        reader, writer = await gateway.connect()
        sent = request(key, raw)
        for at in due:
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            writer.write(sent)
            await taken(reader)
            waits.append(time.perf_counter() - at)
        writer.close()

    async def look() -> None:
        while True:
            at = time.perf_counter()
            await get(gateway, "/healthz")
            looks.append(time.perf_counter() - at)
            await asyncio.sleep(0.02)

    looking = asyncio.create_task(look())
    await asyncio.gather(*map(client, keys[:CLIENTS]))
    looking.cancel()
    return {
        "receipt_p50_ms": 1e3 * statistics.median(waits),
        "receipt_p99_ms": 1e3 * statistics.quantiles(waits, n=100)[98],
        "health_p99_ms": 1e3 * statistics.quantiles(looks, n=100)[98],
    }


def door(gateway: Running, keys: list[str], runs: int, count: int) -> dict[str, Any]:
    """Measure posts of each shape, then half of that rate."""
    found: dict[str, Any] = {}
    for name, (series, rows) in SHAPES.items():
        raw = body(series, rows)
        asyncio.run(closed_loop(gateway, keys, raw, count // 4))  # warm
        measured = []
        for _ in range(runs):
            before = cpu_s(gateway)
            seconds = asyncio.run(closed_loop(gateway, keys, raw, count))
            rate = count / seconds
            cpu = (cpu_s(gateway) - before) / count
            half = asyncio.run(timetable(gateway, keys, raw, rate / 2))
            measured.append(
                {"posts_per_s": rate, "readings_per_s": rate * series * rows, "cpu_us_per_post": 1e6 * cpu} | half
            )
        found[name] = {"bytes_per_post": len(raw)} | medians(measured)
    return found


async def hold(gateway: Running, keys: list[str]) -> dict[str, Any]:
    """Hold a thousand connections that each had one answer, and look at what they cost."""
    before, files = gateway.rss(), gateway.files()
    held = [await gateway.connect() for _ in range(CONNECTIONS)]
    for i, (_, writer) in enumerate(held):
        writer.write(request(keys[i % len(keys)], json.dumps(batch("b")).encode(), path="/v1/readings?check=true"))
    statuses = Counter([answer.status if (answer := await read_answer(reader)) else 0 for reader, _ in held])
    began = time.perf_counter()
    answer = await post(gateway, keys[0], batch("b"))
    took = time.perf_counter() - began
    found = {
        "connections": CONNECTIONS, "checked": statuses[OK], "files": gateway.files() - files,
        "rss_mb_before": before / MIB, "rss_mb": gateway.rss() / MIB,
        "post_ms": 1e3 * took if answer and answer.status == ACCEPTED else None,
    }  # fmt: skip
    for _, writer in held:
        writer.transport.abort()
    return found


async def flood(gateway: Running, keys: list[str], count: int) -> dict[str, Any]:
    """Send large posts all at once; returns the answers and the most memory that was held."""
    raw = [request(key, large("b")) for key in keys]
    before = most = gateway.rss()
    looks: list[float] = []
    over = threading.Event()

    def look() -> None:  # in a thread: the loop of the clients is what is busiest here
        nonlocal most
        while not over.wait(0.05):
            most = max(most, gateway.rss())
            at = time.perf_counter()
            httpx.get(f"{gateway.url}/healthz", timeout=60)
            looks.append(time.perf_counter() - at)

    looking = threading.Thread(target=look)
    looking.start()
    began = time.perf_counter()
    answers = await asyncio.gather(*(exchange(gateway, raw[i % len(raw)]) for i in range(count)))
    seconds = time.perf_counter() - began
    over.set()
    await asyncio.to_thread(looking.join)
    said = Counter("none" if answer is None else f"{answer.status}" for answer in answers)
    return {
        "posts": count, "mib": 4 * count, "answers": dict(sorted(said.items())), "seconds": seconds,
        "rss_mb_before": before / MIB, "rss_mb_most": most / MIB,
        "health_p50_ms": 1e3 * statistics.median(looks), "health_most_ms": 1e3 * max(looks),
    }  # fmt: skip


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def measure(*, quick: bool) -> dict[str, Any]:
    """Run everything and return the figures."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker(Path(folder) / "kafka") as broker:
        settings = KafkaSettings(bootstrap=broker.bootstrap, partitions=8)
        admin.create(settings)
        keys = list(admit_firms(settings, FIRMS).values())
        with gateway_process(settings, Path(folder), **SETTINGS) as gateway:
            found = door(gateway, keys, 1 if quick else RUNS, 400 if quick else 2_000)
            found["connections"] = asyncio.run(hold(gateway, keys))
            os.kill(broker.pid, signal.SIGSTOP)
            try:
                found["flood"] = asyncio.run(flood(gateway, keys, 100 if quick else FLOOD))
            finally:
                os.kill(broker.pid, signal.SIGCONT)
    return found


def rounded(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return figures with no more digits than they are worth."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return float(f"{value:.3g}") if isinstance(value, float) else value


if __name__ == "__main__":
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load_average": os.getloadavg()[0]}
    figures = measure(quick="--quick" in sys.argv)
    sys.stdout.write(
        json.dumps(rounded({"bench": "gateway_load", "machine": machine, "figures": figures}), indent=1) + "\n"
    )
