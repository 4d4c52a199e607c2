"""What the pictures of a full queue cost: the archive's thread the first time and again, and the page.

A hundred rows of as many sensors of 20 firms in 8 partitions; two hours of readings every ten seconds, of which the present
hour is not cut by firm yet: a file every ten seconds in each partition. Prints JSON; `python -m bench.sparks`.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from monitor.alarms.projection import apply_batch
from monitor.alarms.queries import Filter, queue
from monitor.alarms.rulebook import Rulebook
from monitor.alarms.sparks import Sparks
from monitor.archive import index
from monitor.archive.chunkfile import HOUR_MS, RawRecord
from monitor.archive.lease import Tenancy
from monitor.archive.pending import Pending
from monitor.archive.source import Ends
from monitor.archive.takeover import begin
from monitor.archive.writer import Writer
from monitor.console.drawing import picture
from monitor.store.schema import upgrade
from monitor.store.session import Store
from rules.pack import default_bundle
from rules.records import Readings
from streams.codec import encode, home_of
from streams.topics import LOG
from tests.monitor.alarms.changes import change, incoming

if TYPE_CHECKING:
    from monitor.store.desk_tables import AlarmRow

FIRMS, TAGS, ROWS, PARTITIONS, EVERY_S, REPETITIONS = 20, 20, 100, 8, 10, 5
NOW = 495_000 * HOUR_MS + HOUR_MS - 60_000


def write(writer: Writer, parts: dict[int, Pending], at: int, offset: int) -> None:
    """One flush of every partition: a post of each firm with a row of each sensor."""
    for firm in range(FIRMS):
        name = f"F{firm}"
        payload = Readings(
            f"b{offset}", tuple(f"T{n}" for n in range(TAGS)), np.full(TAGS, 1, np.int32),
            np.full(TAGS, at, np.int64), np.full(TAGS, 5.0 + (at // 10_000) % 7), np.zeros(TAGS, np.uint8),
        )  # fmt: skip
        headers, value = encode(payload)
        named = [(key.encode(), content) for key, content in headers]
        parts[home_of(name, PARTITIONS)].add(
            RawRecord(offset * FIRMS + firm, at + 500, 1, name.encode(), named, value), 0.0
        )
    writer.flush([part for part in parts.values() if part.next > part.base])


def archive(store: Store, folder: Path) -> tuple[Writer, dict[int, Pending], int]:
    """Two hours of it; returns what writes on."""
    tenancy = Tenancy("archiver", "bench", 86_400_000, lambda: NOW)
    writer = Writer(store, folder, tenancy, lambda: NOW, 0)
    offsets, _ = begin(store, tenancy, "bench", {(LOG, p): Ends(0, 1 << 60) for p in range(PARTITIONS)}, NOW)
    parts = {p: Pending("bench", LOG, p, o, o) for (_, p), o in offsets.items()}
    steps = 2 * HOUR_MS // (EVERY_S * 1000)
    for step in range(steps):
        write(writer, parts, NOW - (steps - step) * EVERY_S * 1000, step)
    with store.reading() as session:
        units = index.uncut(session, NOW // HOUR_MS * HOUR_MS, 1_000)
    for unit in units:
        writer.cut(unit)
    return writer, parts, steps


def rows(store: Store) -> list[AlarmRow]:
    """Raise an alarm of a hundred sensors."""
    made = [
        change(n // FIRMS + 1, stream=f"F{n % FIRMS}", start=NOW - 30 * 60_000 - n).model_copy(
            update={"subject": {"tag": f"T{n // FIRMS}"}, "alarm": f"{n:032x}"}
        )
        for n in range(ROWS)
    ]
    with store.writing() as session:
        apply_batch(session, incoming(made), NOW)
    with store.reading() as session:
        return queue(session, Filter(), Rulebook(default_bundle())).rows


def main() -> None:
    """Measure and print."""
    found: dict[str, list[float]] = {"first_ms": [], "again_ms": [], "page_ms": []}
    with tempfile.TemporaryDirectory() as place:
        store = Store(f"sqlite:///{place}/bench.db")
        upgrade(store)
        writer, parts, step = archive(store, Path(place) / "archive")
        shown = rows(store)
        for _ in range(REPETITIONS):
            sparks = Sparks(store, Path(place) / "archive", lambda: NOW)
            sparks.of(shown)
            begun = time.perf_counter()
            sparks.turn()
            found["first_ms"].append((time.perf_counter() - begun) * 1000)
            write(writer, parts, NOW - 1, step := step + 1)
            begun = time.perf_counter()
            sparks.turn()
            found["again_ms"].append((time.perf_counter() - begun) * 1000)
            begun = time.perf_counter()
            seen = sparks.of(shown)
            drawn = [picture(row, seen.get(row.id), "en") for row in shown]
            found["page_ms"].append((time.perf_counter() - begun) * 1000)
        files = sum(1 for _ in Path(place, "archive").rglob("*.zst"))
        store.close()
    print(json.dumps({
        "rows": len(shown), "drawn": sum(each is not None for each in drawn), "files": files, "cores": os.cpu_count(),
        "median": {name: round(statistics.median(values), 1) for name, values in found.items()},
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
