"""The whole line under a modest load for an hour: what grows.

Gateway, worker, archiver and desk on an embedded broker; 20 posts a second of 60 readings, of which every tenth raises and
clears an alarm. Every ten seconds: resident memory, open files and threads of each process, and the bytes of the state topic,
of the crumbs, of the store and its WAL. Growth is from the median of the first quarter (after the warm-up) to that of the last.
At the end the log must hold exactly what has a receipt, and the desk the alarms that `offsite evaluate` makes of the dumped
log. Prints JSON; exit code 1 if something grew more than BOUNDS say, a process was started again, or the end differs.
`python -m bench.soak [--minutes 60] [--rate 20] [--every 10]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy import select

from bench.figures import cpu_s, emit, end_gently, open_files, resident_mb, size_of, slope, status
from bench.line import FACILITIES, LOUD, ROWS, SERIES, body, facility, known
from monitor.demo.stage import Stage
from monitor.register.keys import issue
from monitor.register.store import import_register
from monitor.store.desk_tables import ChangeRow
from rules.register import RegisterFile
from streams.topics import STATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BEHIND_MS = 60_000
SETTLE_S = 120.0
CONNECTIONS = 8
"""At most so many at once: how many are open depends on how busy the machine is, and must stay below what is judged."""
TIMEOUT_S = 60.0
"""Of a post, its wait for a connection included."""
QUARTER = 4
BOUNDS: dict[str, tuple[float, float]] = {
    "resident_mb": (0.15, 32.0),
    "open_files": (0.0, 16.0),
    "threads": (0.0, 4.0),
    "state_bytes": (1.0, 64e6),
    "crumb_bytes": (0.0, 0.0),
    "wal_bytes": (0.0, 64e6),
}
"""What may be added from the first quarter to the last: this share of the first, or so much, whichever is more.

The store, the log and the archive grow with what they keep: told, not judged. The broker's heap is bounded by -Xmx512m: its
resident memory has a bound of its own.
"""
BROKER_MB = 300.0


@dataclass(slots=True)
class Fed:
    """What was posted: (partition, offset) of each receipt -> facility and batch."""

    receipts: dict[tuple[int, int], tuple[str, str]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Series:
    """The samples of one figure."""

    times_s: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


def allowed(figure: str, owner: str, first: float) -> float:
    """Return how much a figure may have grown by the last quarter."""
    share, least = BOUNDS[figure]
    if (figure, owner) == ("resident_mb", "kafka"):
        least = BROKER_MB
    return max(share * first, least)


def growth(figure: str, owner: str, series: Series) -> dict[str, Any]:
    """Return first and last quarter, growth, slope an hour, and whether that is within the bound (None: not judged)."""
    size = max(1, len(series.values) // QUARTER)
    first, last = statistics.median(series.values[:size]), statistics.median(series.values[-size:])
    told = {
        "first_quarter": round(first, 1),
        "last_quarter": round(last, 1),
        "growth": round(last - first, 1),
        "slope_an_hour": round(slope(series.times_s, series.values) * 3_600, 2),
        "most": round(max(series.values), 1),
    }
    if figure not in BOUNDS:
        return told
    return told | {
        "allowed": round(allowed(figure, owner, first), 1),
        "within": last - first <= allowed(figure, owner, first),
    }


class Watch(threading.Thread):
    """Takes a sample every so often, until it is told to end; `died` if it could not."""

    def __init__(self, stage: Stage, every_s: float) -> None:
        """Name what is watched."""
        super().__init__(name="soak-watch")
        self._stage, self._every_s = stage, every_s
        self._ended = threading.Event()
        self.found: dict[tuple[str, str], Series] = {}
        self.died: str | None = None
        self.began = time.monotonic()

    def run(self) -> None:
        """Sample until told to end."""
        try:
            while not self._ended.wait(self._every_s):
                at = time.monotonic() - self.began
                for key, value in self._sample().items():
                    series = self.found.setdefault(key, Series())
                    series.times_s.append(at)
                    series.values.append(value)
        except (OSError, StopIteration) as error:
            self.died = f"{type(error).__name__}: {error}"

    def end(self) -> None:
        """Stop sampling."""
        self._ended.set()
        self.join()

    def _sample(self) -> dict[tuple[str, str], float]:
        found: dict[tuple[str, str], float] = {}
        for name, pid in pids(self._stage).items():
            found["resident_mb", name] = resident_mb(pid)
            found["open_files", name] = open_files(pid)
            found["threads", name] = status(pid, "Threads")
        folder = self._stage.folder
        found["state_bytes", "kafka"] = size_of(*folder.glob(f"kafka/**/{STATE}-*/*.log"))  # its indexes are sparse
        found["crumb_bytes", "worker"] = size_of(folder / "worker")
        found["wal_bytes", "store"] = size_of(*folder.glob("offsite.db-wal"))
        found["store_bytes", "store"] = size_of(folder / "offsite.db")
        found["archive_bytes", "archiver"] = size_of(folder / "archive")
        return found


def pids(stage: Stage) -> dict[str, int]:
    """Return the processes, the broker among them."""
    return {child.name: child.process.pid for child in stage.manager.running().values()} | {"kafka": stage.broker.pid}


def register(stage: Stage) -> list[tuple[str, str]]:
    """Import the firms; returns their ids and keys once the gateway knows them."""
    now = time.time_ns() // 1_000_000
    firms = RegisterFile.model_validate({"facilities": [facility(i) for i in range(FACILITIES)]})
    with stage.store.writing() as session:
        import_register(session, firms, "bench", now)
        found = [
            (f.id, issue(session, name=f.id, facilities=[f.id], actor="bench", now_ms=now).key)
            for f in firms.facilities
        ]
    known(stage.gateway, [key for _, key in found])
    return found


async def feed(url: str, firms: Sequence[tuple[str, str]], rate: float, seconds: float, fed: Fed) -> None:
    """Post at a rate; rows of a facility are apart as its posts are, so that event time goes as fast as the clock."""
    space_ms = round(1_000 * len(firms) / rate / ROWS)
    begins = [0] * len(firms)
    running: set[asyncio.Task[None]] = set()
    limits = httpx.Limits(max_connections=CONNECTIONS)
    async with httpx.AsyncClient(base_url=url, trust_env=False, limits=limits, timeout=TIMEOUT_S) as client:

        async def post(number: int) -> None:
            who = number % len(firms)
            name, key = firms[who]
            begins[who] = max(begins[who] + space_ms * ROWS, time.time_ns() // 1_000_000 - BEHIND_MS)
            # Of a facility's posts every tenth is loud, and each facility has its turn.
            content = body(number, begins[who], loud=(number // len(firms) + who) % LOUD == 0)
            try:
                answer = await client.post("/v1/readings", json=content, headers={"Authorization": f"Bearer {key}"})
                answer.raise_for_status()
            except httpx.HTTPError as error:
                fed.failed.append(f"{content['batch']}: {type(error).__name__}: {error}"[:200])
                return
            told = answer.json()
            fed.receipts[told["partition"], told["offset"]] = (name, content["batch"])

        began = time.perf_counter()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            task = asyncio.create_task(post(number))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)


def offsite(stage: Stage, *arguments: str) -> bytes:
    """Run a command in the installation and return what it prints."""
    command = [sys.executable, "-m", "monitor", *arguments]
    return subprocess.run(command, env=stage.env, capture_output=True, check=True).stdout


def held(dump: Path) -> dict[tuple[int, int], tuple[str, str]]:
    """Return the readings records of a dump as receipts name them."""
    found = {}
    with dump.open("rb") as lines:
        for line in lines:
            record = json.loads(line)
            if record["kind"] == "readings":
                found[record["partition"], record["offset"]] = (record["facility"], record["data"]["batch"])
    return found


def on_desk(stage: Stage) -> dict[tuple[str, int], bytes]:
    """Return the changes that the desk has, without `source`."""
    with stage.store.reading() as session:
        rows = session.execute(select(ChangeRow.stream, ChangeRow.seq, ChangeRow.body))
        return {(stream, seq): body.encode() for stream, seq, body in rows}


def differing(desk: Mapping[tuple[str, int], bytes], evaluated: Sequence[bytes]) -> list[str]:
    """Return where the desk lacks or contradicts a change; the clock goes on behind the dump, so it may have more."""
    wrong = []
    for line in evaluated:
        change = json.loads(line)
        held = desk.get((change["stream"], change["seq"]))
        if held != line:
            wrong.append(f"evaluated {line.decode()[:180]}, on the desk {(held or b'nothing').decode()[:180]}")
    return wrong


def compare(stage: Stage, fed: Fed) -> dict[str, Any]:
    """Compare receipts with the log, and the desk with the log folded anew; waits for what is still under way."""
    dump = stage.folder / "log.jsonl"
    offsite(stage, "log", "dump", "--output", str(dump))
    log = held(dump)
    evaluated = offsite(stage, "evaluate", "--pack", "default", "--log", str(dump)).splitlines()
    deadline = time.monotonic() + SETTLE_S
    while (wrong := differing(on_desk(stage), evaluated)) and time.monotonic() < deadline:
        time.sleep(1)
    return {
        "receipts": len(fed.receipts),
        "posts_failed": len(fed.failed),
        "first_failed": fed.failed[:3],
        "receipts_equal_log": log == fed.receipts,
        "changes": len(evaluated),
        "changes_equal_evaluate": not wrong and len(evaluated) > 0,
        "first_wrong": [line[:400] for line in wrong[:3]],
    }


def measure(minutes: float, rate: float, every_s: float) -> dict[str, Any]:
    """Run the line and return what was found."""
    with tempfile.TemporaryDirectory() as place, Stage(Path(place) / "stage", fresh=True, desk_port=0) as stage:
        firms, fed = register(stage), Fed()
        warm_s = min(120.0, 6 * minutes)  # a tenth at most
        asyncio.run(feed(stage.gateway, firms, rate, warm_s, fed))
        before, cpu = pids(stage), {name: cpu_s(pid) for name, pid in pids(stage).items()}
        watch = Watch(stage, every_s)
        watch.start()
        try:
            asyncio.run(feed(stage.gateway, firms, rate, minutes * 60 - warm_s, fed))
        finally:
            watch.end()
        after = pids(stage)
        seconds = time.monotonic() - watch.began
        found: dict[str, dict[str, Any]] = {}
        for (figure, owner), series in sorted(watch.found.items()):
            found.setdefault(figure, {})[owner] = growth(figure, owner, series)
        return {
            "minutes": minutes,
            "messages_per_s": rate,
            "readings_a_message": SERIES * ROWS,
            "facilities": FACILITIES,
            "warm_up_s": warm_s,
            "samples": max((len(series.values) for series in watch.found.values()), default=0),
            "watch_died": watch.died,
            "same_processes": before == after,
            "cpu_share": {
                name: round((cpu_s(pid) - cpu[name]) / seconds, 3) for name, pid in after.items() if name in cpu
            },
            "figures": found,
            "end": compare(stage, fed),
        }


def faults(found: Mapping[str, Any]) -> list[str]:
    """Return why a soak does not pass."""
    wrong = [
        f"{figure} of {owner} grew by {row['growth']}, {row['allowed']} is allowed"
        for figure, owners in found["figures"].items()
        for owner, row in owners.items()
        if not row.get("within", True)
    ]
    if found["watch_died"] is not None or found["samples"] < QUARTER:
        wrong.append(f"{found['samples']} samples: {found['watch_died'] or 'too few'}")
    if not found["same_processes"]:
        wrong.append("a process was started again")
    if found["end"]["posts_failed"]:
        wrong.append(f"{found['end']['posts_failed']} posts failed")
    ends = ("receipts_equal_log", "changes_equal_evaluate")
    return wrong + [f"not so: {name}" for name in ends if not found["end"][name]]


def main() -> int:
    """Measure, print, and say whether nothing grew."""
    end_gently()
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=20.0, help="posts a second")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two samples")
    parser.add_argument("--quick", action="store_true", help="half a minute, a sample a second")
    options = parser.parse_args()
    if options.quick:
        options.minutes, options.every = 0.5, 1.0
    found = measure(options.minutes, options.rate, options.every)
    wrong = faults(found)
    emit("soak", found | {"bounds": BOUNDS, "broker_mb": BROKER_MB, "faults": wrong})
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
