"""What submitted reports cost: at the front door, out of the log, in the fold; against posts of readings in the same run.

`python -m bench.reports` prints JSON (about four minutes). A real gateway on the embedded Kafka for the door: clients, gateway and broker share this
machine's cores, so posts a second is what is left for the gateway, and CPU a report is the gateway process's own (user and system).
Decoding and folding are measured in this process, CPU time, of the same reports: every type that a shipped clock reads, one after another,
over ten facilities. `line` is what one core of each would take in a second: the door's CPU, and decoding with folding.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.clocks import BEGIN, DAY, Log, mixed
from bench.figures import emit, spread
from bench.gateway_load import CLIENTS, FIRMS, SETTINGS, body, cpu_s, taken
from rules.records import Kind, LogRecord
from streams import admin
from streams.broker import EmbeddedBroker
from streams.codec import decode, encode
from streams.settings import KafkaSettings
from tests.monitor.gateway_real import admit_firms, gateway_process, request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.records import Report
    from tests.monitor.gateway_real import Running

ROUNDS: Final = 5
POSTS: Final = 2_000
REPORTS: Final = 10_000
FACILITIES: Final = 10


def posted(number: int) -> bytes:
    """Return the body of a report, as a firm posts it."""
    said = mixed(number).model_dump(mode="json", exclude_none=True)
    sent = BEGIN + 200 * DAY  # behind whatever the examples tell of
    return json.dumps(said | {"id": f"P-{number:08d}", "sent": sent}, ensure_ascii=False).encode()


async def posting(gateway: Running, keys: Sequence[str], path: str, bodies: Sequence[bytes]) -> float:
    """Post bodies over as many connections as there are clients, each as soon as it has its receipt; returns seconds."""
    left = iter(range(len(bodies)))

    async def client(number: int) -> None:
        reader, writer = await gateway.connect()
        for i in left:
            writer.write(request(keys[(number + i) % len(keys)], bodies[i], path=path))
            await taken(reader)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*map(client, range(CLIENTS)))
    return time.perf_counter() - began


def door(rounds: int, count: int) -> dict[str, Any]:
    """Return what reports, and readings, cost at the front door; both in each round, one behind the other."""
    found: dict[str, dict[str, list[float]]] = {
        what: {"posts_per_s": [], "cpu_us_per_post": []} for what in ("reports", "readings")
    }
    sizes: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker(Path(folder) / "kafka") as broker:
        settings = KafkaSettings(bootstrap=broker.bootstrap, partitions=8)
        admin.create(settings)
        keys = list(admit_firms(settings, FIRMS, ("readings", "reports")).values())
        with gateway_process(settings, Path(folder), **SETTINGS) as gateway:
            for turn in range(rounds + 1):
                for what, path in (("reports", "/v1/reports"), ("readings", "/v1/readings")):
                    first = turn * count
                    bodies = [posted(first + i) if what == "reports" else body(12, 5) for i in range(count)]
                    sizes[what] = round(sum(map(len, bodies)) / count)
                    before = cpu_s(gateway)
                    seconds = asyncio.run(posting(gateway, keys, path, bodies))
                    if turn:  # the first is for warmth
                        found[what]["posts_per_s"].append(count / seconds)
                        found[what]["cpu_us_per_post"].append((cpu_s(gateway) - before) / count * 1e6)
    return {
        what: {"bytes_per_post": sizes[what], **{name: spread(values, 0) for name, values in figures.items()}}
        for what, figures in found.items()
    }


def folding(rounds: int, count: int) -> dict[str, Any]:
    """Return CPU a report of decoding and folding, and of both together."""
    reports: list[Report] = [mixed(number) for number in range(count)]
    wire = [encode(report) for report in reports]
    parts: dict[str, list[float]] = {"decode_us": [], "fold_us": [], "both_us": []}
    for _ in range(rounds):
        log = Log([f"F-{number:04d}" for number in range(FACILITIES)])
        begun = time.process_time()
        read = [
            decode(0, i, BEGIN + i, log.names[i % FACILITIES].encode(), headers, value)
            for i, (headers, value) in enumerate(wire)
        ]
        decoded = time.process_time()
        for i, record in enumerate(read):
            assert isinstance(record, LogRecord)
            log.fold(BEGIN + i, Kind.REPORT, log.names[i % FACILITIES], record.payload)
        over = time.process_time()
        parts["decode_us"].append((decoded - begun) / count * 1e6)
        parts["fold_us"].append((over - decoded) / count * 1e6)
        parts["both_us"].append((over - begun) / count * 1e6)
    return {name: spread(values, 1) for name, values in parts.items()}


def main() -> None:
    """Print the figures."""
    quick = "--quick" in sys.argv
    at_door = door(1 if quick else ROUNDS, 200 if quick else POSTS)
    folded = folding(1 if quick else ROUNDS, 200 if quick else REPORTS)
    reports, readings = (at_door[what]["cpu_us_per_post"]["median"] for what in ("reports", "readings"))
    both = folded["both_us"]["median"]
    emit(
        "reports",
        {
            "door": at_door, "worker": folded,
            "line": {
                "door_reports_per_cpu_s": round(1e6 / max(reports, 1)),
                "worker_reports_per_cpu_s": round(1e6 / max(both, 0.1)),
                "report_over_readings_at_the_door": round(reports / max(readings, 1), 2),
                "door_over_worker": round(reports / max(both, 0.1), 2),
            },
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
