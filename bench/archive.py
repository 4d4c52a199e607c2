"""Figures of the archive without Kafka: flushes, cuts, sizes, charts. Run: python -m bench.archive [folder]."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from monitor.archive import index
from monitor.archive.chunkfile import HOUR_MS, RawRecord
from monitor.archive.lease import Tenancy
from monitor.archive.pending import Pending
from monitor.archive.reader import ArchiveReader
from monitor.archive.source import Ends
from monitor.archive.takeover import begin
from monitor.archive.verify import verify
from monitor.archive.writer import Writer
from monitor.store.schema import upgrade
from monitor.store.session import Store
from rules.records import Readings
from streams.codec import encode, home_of
from streams.topics import LOG

FIRMS, TAGS, EVERY_S, POST_S, HOURS, PARTITIONS = 5, 100, 10, 60, 24, 48
HOUR_0 = 495_000 * HOUR_MS
DRAWN = "BJ-2"


def posts(hour: int) -> list[RawRecord]:
    """One partition's hour: every firm posts every minute, every sensor has a row every ten seconds."""
    chance = np.random.default_rng(hour)
    tags = tuple(f"CR{n // 10}.T{n}" for n in range(TAGS))
    rows = POST_S // EVERY_S
    found = []
    offset = hour * (3600 // POST_S) * FIRMS
    for post in range(3600 // POST_S):
        at = HOUR_0 + hour * HOUR_MS + post * POST_S * 1000
        for firm in range(FIRMS):
            payload = Readings(
                f"b{offset}", tags, np.full(TAGS, rows, np.int32),
                np.tile(np.arange(at - POST_S * 1000, at, EVERY_S * 1000), TAGS),
                np.round(5 + chance.normal(0, 0.5, rows * TAGS), 1), np.zeros(rows * TAGS, np.uint8),
            )  # fmt: skip
            headers, value = encode(payload)
            named = [(name.encode(), content) for name, content in headers]
            found.append(RawRecord(offset, at + firm, 1, b"BJ-%d" % firm, named, value))
            offset += 1
    return found


def charts(store: Store, folder: Path, raw: int) -> None:
    """Time what people wait for: a chart, a dump."""
    for hours in (1, 24):
        reader = ArchiveReader(store, folder / "archive")
        begun = time.perf_counter()
        answer = reader.readings(DRAWN, ["CR1.T11"], HOUR_0 + (24 - hours) * HOUR_MS, HOUR_0 + 24 * HOUR_MS)
        took = time.perf_counter() - begun
        column = answer.tags["CR1.T11"]
        print(
            f"chart of {hours} h of one of {TAGS} sensors: {took * 1000:.0f} ms, {column.rows} rows as {len(column.time)}"
        )
    begun = time.perf_counter()
    count = sum(1 for _ in ArchiveReader(store, folder / "archive").records())
    took = time.perf_counter() - begun
    print(f"reading back and decoding: {count / took:,.0f} records/s, {raw / took / 1e6:.0f} MB/s")


def wide_flush(writer: Writer, parts: dict[int, Pending]) -> None:
    """Time a flush in which every partition has something."""
    like = posts(HOURS)[0]
    for number, part in parts.items():
        part.add(RawRecord(10_000_000 + number, like.timestamp, 1, b"BJ-1", like.headers, like.value), 0.0)
    begun = time.perf_counter()
    writer.flush(list(parts.values()))
    print(f"one flush of {PARTITIONS} partitions: {(time.perf_counter() - begun) * 1000:.0f} ms")


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    store = Store(f"sqlite:///{folder}/bench.db")
    upgrade(store)
    clock = time.time_ns() // 1_000_000
    tenancy = Tenancy("archiver", "bench", 3_600_000, lambda: clock)
    writer = Writer(store, folder / "archive", tenancy, lambda: clock, 0)
    offsets, _ = begin(store, tenancy, "bench", {(LOG, p): Ends(0, 1 << 60) for p in range(PARTITIONS)}, clock)
    parts = {p: Pending("bench", LOG, p, o, o) for (_, p), o in offsets.items()}
    part = parts[home_of(DRAWN, PARTITIONS)]  # its readings elsewhere are not drawn

    records = raw = readings = 0
    adding = flushing = cutting = 0.0
    sizes: list[int] = []
    for hour in range(HOURS):
        found = posts(hour)
        records += len(found)
        readings += sum(1 for _ in found) * TAGS * POST_S // EVERY_S
        for at in range(
            0, len(found), 25
        ):  # a flush every five minutes: what one partition's share of 5 s would be at 60 times the load
            begun = time.perf_counter()
            for record in found[at : at + 25]:
                part.add(record, 0.0)
            raw += part.raw_bytes
            adding += time.perf_counter() - begun
            begun = time.perf_counter()
            sizes += [chunk.size for chunk in writer.flush([part])]
            flushing += time.perf_counter() - begun
    flushes = len(sizes)
    with store.reading() as session:
        units = index.uncut(session, 1 << 62, 1000)
    begun = time.perf_counter()
    for unit in units:
        writer.cut(unit)
    cutting = time.perf_counter() - begun
    writer.clean()
    report = verify(store, folder / "archive")
    print(f"{records} records, {readings} readings, {raw / 1e6:.1f} MB as Kafka holds them")
    print(
        f"taking in: {records / adding:,.0f} records/s, {raw / adding / 1e6:.0f} MB/s, {readings / adding:,.0f} readings/s"
    )
    print(f"flushes of one file: {flushing / flushes * 1000:.1f} ms each; {sum(sizes) / raw:.2f} of the raw size")
    print(f"cut: {cutting / len(units) * 1000:.0f} ms per hour of {raw / HOURS / 1e6:.1f} MB; {report.bytes / raw:.2f} of the raw size,"
          f" {report.bytes / readings:.2f} bytes a reading, {report.files} files")  # fmt: skip
    charts(store, folder, raw)
    wide_flush(writer, parts)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
