"""What the guards round the fold cost per record, next to the same fold without them: JSON on stdout, medians of seven.

`crumbs`: note each record in shared memory before it is decoded. `ward`: look at each record's key because somebody is
quarantined in the partition. Both against decode and fold of 60 readings of a facility with 100 series, default pack.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from rules import kernels
from rules.engine import Engine, PartitionState
from rules.pack import default_bundle
from rules.records import Readings, RegisterRecord
from rules.register import Facility
from streams.codec import encode
from streams.crumbs import Crumbs
from streams.custody import Custody
from streams.halt import halt
from streams.quarantine import Quarantine
from streams.sensor import Sensor
from streams.tenure import Tenure
from streams.worker_settings import WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS, MESSAGES, SERIES, ROWS = 7, 4_000, 100, 60
BEGIN = 1_767_225_600_000


class Raw:
    """A record as aiokafka fetched it."""

    __slots__ = ("headers", "key", "offset", "partition", "timestamp", "value")

    def __init__(self, offset: int, timestamp: int, payload: Any) -> None:  # noqa: ANN401 - any payload
        self.partition, self.offset, self.timestamp, self.key = 0, offset, timestamp, b"BENCH-0001"
        self.headers, self.value = encode(payload)


class NoCrumbs:
    """Does nothing instead."""

    def enter(self, partition: int, offset: int) -> None:
        """Note nothing."""

    def leave(self, partition: int) -> None:
        """Note nothing."""


def records() -> list[Raw]:
    """Return the register and the messages, quiet values: what is measured is the path, not changes."""
    sensors = [
        {"tag": f"T{i}", "area": "A1", "quantity": "temperature", "unit": "Cel", "interval": "60s", "limits": {"low": 2, "high": 8},
         "calibration": {"done": "2026-01-05", "due": "2099-12-31"}}
        for i in range(SERIES)
    ]  # fmt: skip
    facts = {
        "id": "BENCH-0001", "name": {"zh": "测量", "en": "Bench"}, "jurisdiction": "110000", "delivery": "60s",
        "scopes": [{"field": "distribution", "line": "drug"}], "areas": [{"id": "A1", "kind": "cold-room"}], "sensors": sensors,
    }  # fmt: skip
    found = [Raw(0, BEGIN, RegisterRecord(version=1, facility=Facility.model_validate(facts)))]
    for n in range(MESSAGES):
        at = BEGIN + n * 36_000 + 60_000
        tags = tuple(f"T{(n * ROWS + i) % SERIES}" for i in range(ROWS))
        value = np.asarray(5.0 + 0.1 * ((n + np.arange(ROWS)) % 17), np.float64)
        payload = Readings(
            f"b{n}", tags, np.ones(ROWS, np.int32), np.full(ROWS, at, np.int64), value, np.zeros(ROWS, np.uint8)
        )
        found.append(Raw(n + 1, at, payload))
    return found


def custody_of(crumbs: Any, *, ward: bool) -> Custody:  # noqa: ANN401 - crumbs or none
    """Return custody of one partition that publishes nothing."""
    settings = WorkerSettings(hold_rows=1 << 40, hold_bytes=1 << 50)
    custody = Custody(Engine(default_bundle()), settings, Sensor(), halt)
    custody.crumbs = crumbs
    tenure = Tenure(0, custody.fold, settings, {}, custody._ledger, Sensor(), halt)  # noqa: SLF001 - the worker's own way
    if ward:
        tenure.ward.quarantined["SICK-0001"] = Quarantine(
            facility="SICK-0001", partition=0, begin=0, base=PartitionState(), offset=0, deaths=3, since=0
        )
    tenure.accepts = True
    custody.tenures[0] = tenure
    return custody


async def once(log: Sequence[Any], crumbs: Any, *, ward: bool) -> float:  # noqa: ANN401 - crumbs or none
    """Return microseconds per message."""
    custody = custody_of(crumbs, ward=ward)
    begun = perf_counter()
    for at in range(0, len(log), 500):
        await custody.take(0, log[at : at + 500], 0)
    spent = perf_counter() - begun
    await custody.tenures[0]._producer.stop()  # noqa: SLF001 - it was never started
    return spent / len(log) * 1e6


async def measure() -> dict[str, float]:
    """Return medians, the variants in turn."""
    kernels.warm()
    log = records()
    taken: dict[str, list[float]] = {"bare": [], "crumbs": [], "crumbs_and_ward": []}
    with tempfile.TemporaryDirectory() as folder:
        crumbs = Crumbs(Path(folder) / "bench.crumbs", 48)
        for _ in range(ROUNDS):
            taken["bare"].append(await once(log, NoCrumbs(), ward=False))
            taken["crumbs"].append(await once(log, crumbs, ward=False))
            taken["crumbs_and_ward"].append(await once(log, crumbs, ward=True))
        crumbs.close()
    medians = {f"{name}_us_per_message": round(statistics.median(values), 2) for name, values in taken.items()}
    ratios = {
        f"{name}_ratio": round(statistics.median(a / b for a, b in zip(taken[name], taken["bare"], strict=True)), 4)
        for name in ("crumbs", "crumbs_and_ward")
    }
    return medians | ratios


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"messages": MESSAGES, "rows": ROWS, "rounds": ROUNDS} | asyncio.run(measure())) + "\n")
