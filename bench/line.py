"""The whole line at a paced load: post at the front door, Kafka, worker, desk. `python -m bench.line [--quick]` prints JSON.

Latency is from the log's receive time of the deciding record (the broker's clock) to the commit of the desk's row (this
machine's clock, the same one), so it holds the worker, its transaction, the desk's fetch and its commit. Resident memory
and CPU time are of each process over the run.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from monitor.demo.stage import Stage
from monitor.register.keys import issue
from monitor.register.store import import_register
from monitor.store.desk_tables import ChangeRow
from rules.register import RegisterFile

FACILITIES = 50
SERIES = 12
ROWS = 5
"""Readings of a series in a message: 12 x 5 = 60 readings."""
RATES = (20, 50, 100)
"""Messages per second; each tenth message raises and clears one alarm."""
LOUD = 10
SPACE_MS = 100
"""Between two rows of a series: at the highest rate a facility's event times then go on as fast as the clock."""
BEHIND_MS = 60_000
"""How far behind now the data are: within two intervals and the feed's delivery."""
SAMPLES = 300
"""Changes in a window: its p99 is then of three at least."""
WINDOWS = 5
JIFFIES = os.sysconf("SC_CLK_TCK")


def facility(number: int) -> dict[str, Any]:
    """Return one firm with a cold room."""
    name = f"BENCH-{number:04d}"
    sensors = [
        {
            "tag": f"CR1.T{i}",
            "area": "CR1",
            "quantity": "temperature",
            "unit": "Cel",
            "interval": "60s",
            "calibration": {"done": "2026-01-05", "due": "2099-12-31"},
        }
        for i in range(SERIES)
    ]
    return {
        "id": name, "name": {"zh": name, "en": name}, "jurisdiction": "110115", "delivery": "10m",
        "scopes": [{"field": "manufacture", "line": "drug"}], "areas": [{"id": "CR1", "kind": "cold-room"}], "sensors": sensors,
    }  # fmt: skip


def body(number: int, begin: int, *, loud: bool) -> dict[str, Any]:
    """Return one post; a loud one raises and clears one alarm within its rows."""
    times = [begin + SPACE_MS * i for i in range(ROWS)]
    quiet = [5.0 + 0.1 * (i % 3) for i in range(ROWS)]
    series = [{"tag": f"CR1.T{i}", "time": times, "value": quiet} for i in range(SERIES)]
    if loud:
        series[0] = {"tag": "CR1.T0", "time": times, "value": [9.0, 9.1, 5.0, 5.1, 5.0]}
    return {"batch": f"b{number}", "series": series}


async def pace(url: str, keys: list[str], begins: list[int], rate: int, seconds: float) -> dict[str, float]:
    """Post at a rate; returns the front door's own latencies in ms.

    `begins` has the newest event time of each facility, which goes on with the clock: nothing is late, and nobody silent.
    """
    waits: list[float] = []
    async with httpx.AsyncClient(base_url=url, trust_env=False, limits=httpx.Limits(max_connections=64)) as client:

        async def post(number: int) -> None:
            who = number % len(keys)
            begins[who] = max(begins[who] + SPACE_MS * ROWS, time.time_ns() // 1_000_000 - BEHIND_MS)
            headers = {"Authorization": f"Bearer {keys[who]}"}
            began = time.perf_counter()
            content = body(time.time_ns(), begins[who], loud=number % LOUD == 0)
            answer = await client.post("/v1/readings", json=content, headers=headers)
            answer.raise_for_status()
            waits.append(1000 * (time.perf_counter() - began))

        started, tasks = time.perf_counter(), []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            tasks.append(asyncio.create_task(post(number)))
        await asyncio.gather(*tasks)
    return quantiles(waits)


def known(url: str, keys: list[str]) -> None:
    """Wait until the gateway knows every key: the outbox is sent by the desk."""
    for key in keys:
        headers = {"Authorization": f"Bearer {key}"}
        while httpx.post(f"{url}/v1/readings?check=true", json={}, headers=headers, trust_env=False).status_code == 401:  # noqa: PLR2004 - HTTP
            time.sleep(0.1)


def quantiles(values: list[float]) -> dict[str, float]:
    """Return p50, p95, p99 and how many."""
    ordered = sorted(values)
    return {f"p{q}": round(ordered[min(len(ordered) - 1, len(ordered) * q // 100)], 1) for q in (50, 95, 99)} | {
        "n": len(ordered)
    }


def latencies(stage: Stage, since_ms: int) -> list[float]:
    """Return receipt to desk row in ms, of changes whose deciding record came after an instant."""
    with stage.store.reading() as session:
        rows = session.execute(
            select(ChangeRow.stored_ms, ChangeRow.received_ms).where(ChangeRow.received_ms >= since_ms)
        )
        return [stored - received for stored, received in rows]


def usage(stage: Stage) -> dict[str, tuple[float, float]]:
    """Return CPU seconds and resident MB of every process."""
    found = {}
    for child in stage.manager.running().values():
        fields = Path(f"/proc/{child.process.pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{child.process.pid}/status").read_text()
        resident = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))
        found[child.name] = ((int(fields[11]) + int(fields[12])) / JIFFIES, resident)
    return found


def measure(*, quick: bool) -> dict[str, Any]:
    """Run the line and return its figures."""
    windows = 1 if quick else WINDOWS
    with tempfile.TemporaryDirectory() as folder, Stage(Path(folder) / "stage", fresh=True, desk_port=0) as stage:
        now = time.time_ns() // 1_000_000
        firms = RegisterFile.model_validate({"facilities": [facility(i) for i in range(FACILITIES)]})
        with stage.store.writing() as session:
            import_register(session, firms, "bench", now)
            keys = [
                issue(session, name=f.id, facilities=[f.id], actor="bench", now_ms=now).key for f in firms.facilities
            ]
        known(stage.gateway, keys)
        begins = [0] * len(keys)
        asyncio.run(pace(stage.gateway, keys, begins, 20, 3))  # warm
        found: dict[str, Any] = {}
        for rate in RATES:
            seconds = 4.0 if quick else SAMPLES * LOUD / 2 / rate
            runs, doors, before = [], [], usage(stage)
            for _ in range(windows):
                since = time.time_ns() // 1_000_000
                doors.append(asyncio.run(pace(stage.gateway, keys, begins, rate, seconds)))
                time.sleep(2)
                runs.append(quantiles(latencies(stage, since)))
            after, sent = usage(stage), windows * rate * seconds
            found[f"{rate} messages/s"] = {
                "receipt_to_desk_row_ms": _medians(runs),
                "post_to_receipt_ms": _medians(doors),
                "cpu_us_per_message": {n: round(1e6 * (after[n][0] - before[n][0]) / sent) for n in after},
                "resident_mb": {n: round(after[n][1]) for n in after},
            }
    return found


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(run[name] for run in runs), 1) for name in runs[0]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"bench": "line", "figures": measure(quick="--quick" in sys.argv)}, indent=1) + "\n")
