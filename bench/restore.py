"""What a loss costs: backup and restore of a store with many alarms, the workers' state folded anew from log and archive.

Every round runs the commands as a person would, in a process each: wall time and CPU time are of the whole command, so a
start of Python is in them. Prints JSON with medians. `python -m bench.restore [--quick] [--alarms 100000] [--records 100000]`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kafka import TopicPartition
from sqlalchemy import func, select

from bench.desk_catchup import LIFE
from bench.desk_catchup import change as nth
from bench.engine import SERIES
from bench.figures import emit, end_gently, size_of, spread
from bench.worker import PARTITIONS, append, spawn
from monitor.alarms.incoming import Incoming
from monitor.alarms.projection import apply_batch
from monitor.archive.index import next_offsets
from monitor.store.desk_tables import AlarmRow
from monitor.store.schema import ensure_ready
from monitor.store.session import Store
from streams import admin
from streams.broker import EmbeddedBroker
from streams.dump import open_log
from streams.settings import KafkaSettings
from streams.topics import LOG

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROUNDS = 5
ALARMS, RECORDS = 100_000, 100_000
"""Of 60 readings a record; more records would begin before the feed's 20 minutes."""
QUICK_ALARMS, QUICK_RECORDS = 500, 500
BATCH = 2_000
WITHIN_S = 900.0


@dataclass(slots=True)
class Took:
    """What one command took."""

    wall_s: float
    cpu_s: float


def offsite(environment: Mapping[str, str], *arguments: str) -> Took:
    """Run a command to its end.

    Raises:
        SystemExit: it failed; with the end of what it said.
    """
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "monitor", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(
            f"offsite {' '.join(arguments)}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return Took(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {WITHIN_S:.0f} s: {what}")
        time.sleep(0.1)


def fill(url: str, alarms: int) -> int:
    """Apply the changes of many alarms, four in the life of each, as the desk does; returns the alarms that stand there."""
    with Store(url) as store:
        ensure_ready(store)
        total = alarms * LIFE
        for begin in range(0, total, BATCH):
            made = [Incoming(0, n, nth(n).model_dump_json().encode()) for n in range(begin, min(begin + BATCH, total))]
            with store.writing() as session:
                apply_batch(session, made, time.time_ns() // 1_000_000)
        return count(store)


def count(store: Store) -> int:
    """Return how many alarms a store holds."""
    with store.reading() as session:
        return int(session.scalar(select(func.count()).select_from(AlarmRow)) or 0)


def summary(runs: list[Took], amount: int) -> dict[str, Any]:
    """Return seconds, CPU seconds, and how many things a second of wall time."""
    return {
        "wall_s": spread([run.wall_s for run in runs]),
        "cpu_s": spread([run.cpu_s for run in runs]),
        "per_s": spread([amount / run.wall_s for run in runs], 0),
    }


def backup(folder: Path, alarms: int, rounds: int) -> dict[str, Any]:
    """Back a store up and restore it into an empty place, round by round."""
    folder.mkdir()
    url = f"sqlite:///{folder}/offsite.db"
    stands = fill(url, alarms)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OFFSITE_")}
    (folder / "archive").mkdir(mode=0o700)
    here = kept | {"OFFSITE_STORE_URL": url, "OFFSITE_ARCHIVER_FOLDER": str(folder / "archive")}
    made, restored = [], []
    for number in range(rounds):
        copy, place = folder / f"backup-{number}", folder / f"restored-{number}"
        made.append(offsite(here, "backup", "--to", str(copy), "--without-kafka"))
        place.mkdir()
        there = here | {
            "OFFSITE_STORE_URL": f"sqlite:///{place}/offsite.db",
            "OFFSITE_ARCHIVER_FOLDER": f"{place}/archive",
        }
        restored.append(offsite(there, "restore", "--from", str(copy)))
        with Store(there["OFFSITE_STORE_URL"]) as store:
            if count(store) != stands:
                raise SystemExit(f"{count(store)} alarms restored of {stands}")
        size = size_of(copy)
        shutil.rmtree(place)
        shutil.rmtree(copy)
    return {
        "alarms": stands, "changes": alarms * LIFE, "store_bytes": size_of(folder / "offsite.db"), "backup_bytes": size,
        "backup": summary(made, stands), "restore": summary(restored, stands),
    }  # fmt: skip


def ends(kafka: KafkaSettings) -> dict[int, int]:
    """Return where each partition of the log ends."""
    with open_log(kafka, kafka.topic(LOG)) as log:
        return {partition: end for partition, _, end in log.places}


def archive(environment: Mapping[str, str], folder: Path, kafka: KafkaSettings) -> None:
    """Run the archiver until the log is archived to its end."""
    with (folder / "archiver.log").open("wb") as log, Store(environment["OFFSITE_STORE_URL"]) as store:
        child = subprocess.Popen([sys.executable, "-m", "monitor", "archiver"], env=environment, stdout=log, stderr=log)
        wanted = ends(kafka)

        def archived() -> bool:
            if child.poll() is not None:
                raise SystemExit((folder / "archiver.log").read_text()[-2_000:])
            with store.reading() as session:
                found = next_offsets(session)
            return all(found.get((LOG, partition), 0) >= end for partition, end in wanted.items())

        try:
            until(archived, "the log is archived")
        finally:
            child.terminate()
            child.wait(60)


def fold(kafka: KafkaSettings, folder: Path, readings: int) -> None:
    """Let a worker fold everything once and stop: what is rebuilt is what was there."""
    worker = spawn(kafka, folder)
    try:
        until(lambda: worker.figure("offsite_worker_readings_total") >= readings, "the log is folded")
        until(lambda: worker.figure("offsite_worker_lag_records") == 0, "the log is folded to its end")
    finally:
        worker.end()


def rebuild(folder: Path, records: int, rounds: int) -> dict[str, Any]:
    """Rebuild all partitions from the log, then, once the log has forgotten what is archived, from the archive."""
    folder.mkdir()
    with EmbeddedBroker(folder / "kafka") as broker:
        kafka = KafkaSettings(bootstrap=broker.bootstrap, partitions=PARTITIONS)
        admin.create(kafka)
        readings = asyncio.run(append(kafka, SERIES, records))
        fold(kafka, folder, readings)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OFFSITE_")}
        environment = kept | {
            "OFFSITE_KAFKA_BOOTSTRAP": broker.bootstrap,
            "OFFSITE_KAFKA_PARTITIONS": str(PARTITIONS),
            "OFFSITE_STORE_URL": f"sqlite:///{folder}/offsite.db",
            "OFFSITE_ARCHIVER_FOLDER": f"{folder}/archive",
            "OFFSITE_ARCHIVER_PORT": "0",
            "OFFSITE_ARCHIVER_FLUSH_S": "1",
            "OFFSITE_ARCHIVER_IDLE_FLUSH_S": "2",
        }
        with Store(environment["OFFSITE_STORE_URL"]) as store:
            ensure_ready(store)
        archive(environment, folder, kafka)
        offsite(environment, "state", "rebuild", "--all")  # the worker's seat in the group is waited for here
        # What any command takes that asks broker and group, and folds nothing: it is in the figures below.
        idle = [offsite(environment, "state", "check") for _ in range(rounds)]
        times = {"log": [offsite(environment, "state", "rebuild", "--all") for _ in range(rounds)]}
        stands = ends(kafka)
        with admin.admin_client(kafka) as client:
            client.delete_records({TopicPartition(kafka.topic(LOG), p): end for p, end in stands.items()})
        times["archive"] = [offsite(environment, "state", "rebuild", "--all") for _ in range(rounds)]
        return {
            "partitions": PARTITIONS, "records": sum(stands.values()), "readings": readings,
            "archive_bytes": size_of(folder / "archive"),
            "state_check_s": spread([run.wall_s for run in idle]),
            "from": {source: summary(runs, readings) for source, runs in times.items()},
        }  # fmt: skip


def main() -> None:
    """Measure and print."""
    end_gently()
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--alarms", type=int)
    parser.add_argument("--records", type=int)
    parser.add_argument("--rounds", type=int)
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    alarms = options.alarms or (QUICK_ALARMS if options.quick else ALARMS)
    records = options.records or (QUICK_RECORDS if options.quick else RECORDS)
    with tempfile.TemporaryDirectory() as place:
        stored = backup(Path(place) / "store", alarms, rounds)
        folded = rebuild(Path(place) / "state", records, rounds)
    emit("restore", {"rounds": rounds, "store": stored, "state": folded})


if __name__ == "__main__":
    main()
