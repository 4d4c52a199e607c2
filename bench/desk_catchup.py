"""The desk catching up with a backlog of changes while people use its console.

Prints JSON with medians: changes a second, memory, and how long a page and an acknowledgement take meanwhile and afterwards.
`python -m bench.desk_catchup [--quick] [--changes 100000] [--repetitions 5] [--store postgresql://…]`; an empty database is
expected. `--postgres` starts a PostgreSQL of its own, with fsync on, and stops it. Quick is one run of 10,000 changes; the
figure of issue 4 is `--changes 1000000`. Besides the page the API is asked for the queue all the while.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import pwd
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from aiokafka import AIOKafkaProducer
from sqlalchemy import func, select

from bench.figures import cpu_s, end_gently
from monitor.accounts import users
from monitor.store.desk_tables import AlarmRow, StreamRow
from monitor.store.schema import upgrade
from monitor.store.session import Store
from rules.changes import Change, ChangeKind, Evidence, Leaf, LimitUsed, RecordRead, Source, Verdict, alarm_id
from rules.models import Bilingual, Severity
from streams import admin
from streams.broker import EmbeddedBroker
from streams.settings import KafkaSettings
from streams.topics import ALARMS
from tests.stores import Cluster, postgres_bin

if TYPE_CHECKING:
    from collections.abc import Iterator

FACILITIES, PARTITIONS, LIFE, TAGS = 200, 8, 4, 50
KINDS = (ChangeKind.RAISED, ChangeKind.STEPPED, ChangeKind.AMENDED, ChangeKind.CLEARED)
BEGIN_MS = 1_772_323_200_000
EVERY_S = 0.2
PASSWORD = "a bench of three words"  # noqa: S105 - of a database that lives for a minute
IDLE_ROUNDS = 50


def change(number: int) -> Change:
    """Return the n-th change: four in the life of an alarm, facility by facility."""
    name, seq = f"F{number % FACILITIES}", number // FACILITIES + 1
    life, step = divmod(seq - 1, LIFE)
    tag, start = f"CR1.T{life % TAGS}", BEGIN_MS + life * 60_000
    return Change(
        stream=name, seq=seq, facility=name, alarm=alarm_id("cold-chain.store-out", name, {"tag": tag}, start),
        rule="cold-chain.store-out", version="1.0.0", packs="sha256:" + "0" * 64, subject={"tag": tag},
        change=KINDS[step], severity=Severity.ORANGE, stage="live", start=start,
        end=start + 50_000 if step == LIFE - 1 else None, at=start + step, received=start + step + 500,
        message=Bilingual(zh=f"{tag}：9.6 °C，高于上限 8 °C", en=f"{tag}: 9.6 °C, above 8 °C"),
        evidence=Evidence(
            leaves=[Leaf(expr=tag, left=9.6, op=">", right=8.0, unit="Cel", verdict=Verdict.TRUE)],
            limits=[LimitUsed(name="high", value=8.0, unit="Cel", origin="cold-chain.store-out", edition="GSP 2013")],
            records=[RecordRead(kind="readings", id=f"b-{seq + n}") for n in range(4)],
        ),
        source=Source(partition=0, offset=number),
    )  # fmt: skip


async def publish(kafka: KafkaSettings, count: int) -> None:
    """Put the backlog into the topic."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all", linger_ms=20, max_batch_size=512 * 1024)
    await producer.start()
    try:
        for number in range(count):
            made = change(number)
            await producer.send(kafka.topic(ALARMS), made.model_dump_json().encode(), key=made.stream.encode())
    finally:
        await producer.stop()


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return p50, p99 and the worst in ms."""
    rows = sorted(seconds)
    if not rows:
        return {}
    return {
        "p50_ms": round(statistics.median(rows) * 1000, 1),
        "p99_ms": round(rows[min(len(rows) - 1, int(len(rows) * 0.99))] * 1000, 1),
        "worst_ms": round(rows[-1] * 1000, 1),
        "n": len(rows),
    }


def memory_mb(pid: int, name: str) -> float:
    """Return a line of the process's memory: VmRSS, or VmHWM for the highest."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(round(int(line.split()[1]) / 1024, 1) for line in lines if line.startswith(name))


class Person:
    """Somebody at the console."""

    def __init__(self, url: str) -> None:
        """Sign in."""
        self._http = httpx.Client(base_url=url, trust_env=False, timeout=120)
        answer = self._http.post("/v1/session", json={"name": "measure", "password": PASSWORD})
        answer.raise_for_status()
        self._csrf = answer.json()["csrf"]
        self.pages: list[float] = []
        self.queues: list[float] = []
        self.acknowledgements: list[float] = []
        self.refused = 0

    def works(self, seen: tuple[str, int] | None) -> None:
        """Look at the queue, and acknowledge an alarm by its revision if there is one."""
        begun = time.perf_counter()
        answer = self._http.get("/")
        self.pages.append(time.perf_counter() - begun)
        self.refused += answer.status_code != httpx.codes.OK
        begun = time.perf_counter()
        answer = self._http.get("/v1/alarms")
        self.queues.append(time.perf_counter() - begun)
        self.refused += answer.status_code != httpx.codes.OK
        if seen is not None:
            alarm, revision = seen
            begun = time.perf_counter()
            answer = self._http.post(
                f"/v1/alarms/{alarm}/acknowledge", json={"revision": revision}, headers={"X-CSRF-Token": self._csrf}
            )
            self.acknowledgements.append(time.perf_counter() - begun)
            self.refused += answer.status_code != httpx.codes.OK

    def figures(self) -> dict[str, Any]:
        """Return what was measured since the last time, and begin anew."""
        found = {
            "page": percentiles(self.pages),
            "api": percentiles(self.queues),
            "acknowledge": percentiles(self.acknowledgements),
            "refused": self.refused,
        }
        self.pages, self.queues, self.acknowledgements, self.refused = [], [], [], 0
        return found


def run(kafka: KafkaSettings, url: str, count: int, folder: Path) -> dict[str, Any]:
    """Catch up once."""
    store = Store(url)
    upgrade(store)
    with store.writing() as session:
        first = users.add(session, "measure", display="measure", role="supervisor", language="en", now_ms=0)
    if users.change_password(store, "measure", first, PASSWORD):
        raise SystemExit("the password of the bench is refused")
    environment = os.environ | {
        "OFFSITE_STORE_URL": url, "OFFSITE_KAFKA_BOOTSTRAP": kafka.bootstrap, "OFFSITE_DESK_PORT": "0",
        "OFFSITE_KAFKA_PARTITIONS": str(PARTITIONS), "OFFSITE_ARCHIVER_FOLDER": str(folder / "archive"),
    }  # fmt: skip
    with (folder / "desk.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "monitor", "desk"], env=environment, stdout=subprocess.PIPE, stderr=log
        )
        try:
            if child.stdout is None:
                raise SystemExit("no pipe")
            person = Person("http://" + json.loads(child.stdout.readline())["listening"])
            begun, at, cpu = time.perf_counter(), 0, cpu_s(child.pid)
            before = rows(store)
            while (have := rows(store)) < count:
                if child.poll() is not None:
                    raise SystemExit((folder / "desk.log").read_text()[-3_000:])
                person.works(seen(store, at))
                at += 1
                time.sleep(EVERY_S)
            took, used = time.perf_counter() - begun, cpu_s(child.pid) - cpu
            catching = person.figures()
            for number in range(IDLE_ROUNDS):
                person.works(seen(store, at + number))
                time.sleep(EVERY_S / 4)
            return {
                "changes_per_s": round((have - before) / took),
                "seconds": round(took, 1),
                "cpu_us_per_change": round(1e6 * used / max(1, have - before), 1),
                "rss_mb": memory_mb(child.pid, "VmRSS"),
                "highest_mb": memory_mb(child.pid, "VmHWM"),
                "catching_up": catching,
                "afterwards": person.figures(),
            }
        finally:
            child.terminate()
            child.wait(30)
            store.close()


def rows(store: Store) -> int:
    """Return how many changes were applied."""
    with store.reading() as session:
        return int(session.scalar(select(func.sum(StreamRow.last_seq))) or 0)


def seen(store: Store, number: int) -> tuple[str, int] | None:
    """Return an alarm to acknowledge, and the revision to name: another one each time."""
    rows = select(AlarmRow.id, AlarmRow.revision).order_by(AlarmRow.id).offset(number).limit(1)
    with store.reading() as session:
        found = session.execute(rows).first()
    return None if found is None else (found[0], found[1])


def main() -> None:
    """Run it as often as asked, each time into a store of its own."""
    end_gently()
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--changes", type=int)
    parser.add_argument("--repetitions", type=int)
    parser.add_argument("--store", default=None, help="a server's URL without a database: each run makes one")
    parser.add_argument("--postgres", action="store_true", help="a PostgreSQL server of its own")
    options = parser.parse_args()
    options.changes = options.changes or (10_000 if options.quick else 100_000)
    options.repetitions = options.repetitions or (1 if options.quick else 5)
    found = []
    with ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory())
        if options.postgres:
            options.store = stack.enter_context(postgres())
        broker = stack.enter_context(EmbeddedBroker(Path(place) / "kafka"))
        kafka = KafkaSettings(bootstrap=broker.bootstrap, partitions=PARTITIONS)
        admin.create(kafka)
        asyncio.run(publish(kafka, options.changes))
        for number in range(options.repetitions):
            folder = Path(place) / str(number)
            folder.mkdir()
            url = f"sqlite:///{folder}/desk.db" if options.store is None else database(options.store, number)
            found.append(run(kafka, url, options.changes, folder))
    print(json.dumps(
        {
            "changes": options.changes, "repetitions": options.repetitions, "store": "postgresql" if options.store else "sqlite",
            "cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg(),
            "median": {
                "changes_per_s": statistics.median(run["changes_per_s"] for run in found),
                "cpu_us_per_change": statistics.median(run["cpu_us_per_change"] for run in found),
                "rss_mb": statistics.median(run["rss_mb"] for run in found),
                "highest_mb": statistics.median(run["highest_mb"] for run in found),
                "api_p50_ms": statistics.median(run["catching_up"]["api"]["p50_ms"] for run in found),
                "api_p99_ms": statistics.median(run["catching_up"]["api"]["p99_ms"] for run in found),
                "page_p50_ms": statistics.median(run["catching_up"]["page"]["p50_ms"] for run in found),
                "page_p99_ms": statistics.median(run["catching_up"]["page"]["p99_ms"] for run in found),
                "acknowledge_p50_ms": statistics.median(run["catching_up"]["acknowledge"]["p50_ms"] for run in found),
                "page_idle_p50_ms": statistics.median(run["afterwards"]["page"]["p50_ms"] for run in found),
            },
            "runs": found,
        },
        indent=1,
    ))  # fmt: skip


@contextmanager
def postgres() -> Iterator[str]:
    """Start a PostgreSQL on loopback and give its URL without a database; stop it afterwards.

    Raises:
        SystemExit: its programs are not installed.
    """
    programs = postgres_bin()
    if programs is None:
        raise SystemExit("PostgreSQL's server programs are not installed")
    with tempfile.TemporaryDirectory(prefix="offsite-bench-postgres-") as name:
        server = Cluster(Path(name), programs)
        if os.geteuid() == 0:  # the server refuses to run as root
            account = pwd.getpwnam("postgres")
            os.chown(name, account.pw_uid, account.pw_gid)
        server.run(programs / "initdb", "-D", server.folder / "data", "-U", "offsite", "-A", "trust", "-E", "UTF8")
        options = f"-p {server.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        data, log = server.folder / "data", server.folder / "log"
        server.run(
            programs / "pg_ctl", "-D", data, "-o", options, "-w", "-l", log, "start"
        )  # fsync on, unlike the tests'
        try:
            yield server.url
        finally:
            server.stop("immediate")


def database(server: str, number: int) -> str:
    """Make a database for one run."""
    import psycopg  # noqa: PLC0415 - not needed for SQLite

    name = f"bench_{os.getpid()}_{number}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # a name of our own making
    return f"{server}/{name}"


if __name__ == "__main__":
    main()
