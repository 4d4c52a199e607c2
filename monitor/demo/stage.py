"""The stage: folders, ports, an embedded Kafka, and the processes of one installation on loopback."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from monitor.accounts import users
from monitor.packs import journal
from monitor.register.files import read_register
from monitor.register.keys import issue, live, revoke
from monitor.register.store import import_register
from monitor.simulate.run import REGISTER
from monitor.simulate.script import STORY_PACKS
from monitor.store.schema import ensure_ready
from monitor.store.session import Store
from monitor.supervise.child import Spec
from monitor.supervise.manager import Manager
from rules.errors import BadInputError, Fault, PartMissingError
from rules.pack import load_bundle
from streams import admin
from streams.broker import EmbeddedBroker
from streams.packs import checked, in_force, publish
from streams.ports import free_port, port_in_use
from streams.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rules.register import Facility

READY_S = 90.0
PARTITIONS = 8
DESK_PORT = 8712
OFFICER = "officer"
MARK = ".offsite-demo"
"""Says that a folder is a demo's, which a new demo may empty."""


@dataclass(frozen=True, slots=True)
class People:
    """Accounts of the demo: the one-time password of the person who watches, and of the simulated officer."""

    supervisor: str
    supervisor_password: str
    officer_password: str


class StageError(PartMissingError):
    """A process of the demo does not become ready; its log, and the end of it, are in the message."""

    action: ClassVar[str] = (
        "Read the log named; `offsite setup` compiles what a first start would wait for. Then run it again."
    )


class FolderError(BadInputError):
    """The folder is not the demo's to empty or to use."""

    code: ClassVar[str] = "demo_folder"
    action: ClassVar[str] = "Name a folder that is empty, new or of an earlier demo with --data; nothing was touched."


class Stage:
    """Everything that runs. A context manager: leaving it ends every process, newest first."""

    def __init__(self, folder: Path, *, fresh: bool, desk_port: int | None = None) -> None:
        """Name the folder; nothing is started yet."""
        self.folder = folder.absolute()
        self._fresh = fresh
        wished = DESK_PORT if desk_port is None else desk_port
        self.desk_port = free_port() if wished == 0 or port_in_use(wished) else wished
        self.gateway_port = free_port()
        self._ports = {
            "worker": free_port(), "lots": free_port(), "gateway": self.gateway_port, "desk": self.desk_port,
            "archiver": free_port(),
        }  # fmt: skip
        self.desk = f"http://127.0.0.1:{self.desk_port}"
        self.gateway = f"http://127.0.0.1:{self.gateway_port}"
        self._store_url = f"sqlite:///{self.folder}/offsite.db"
        self._stop = threading.Event()
        self.env: dict[str, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start the broker and every process, and wait until all are ready.

        Raises:
            FolderError: the folder is not this demo's to use.
            PartMissingError: Kafka's jars or Java are missing, or a process did not become ready.
        """
        with ExitStack() as stack:
            stack.enter_context(claimed(self.folder))
            if self._fresh:
                _empty(self.folder)
            (self.folder / "logs").mkdir(exist_ok=True)
            self.store = Store(self._store_url)
            stack.callback(self.store.close)
            with ThreadPoolExecutor(1, "store") as beside:  # its migrations run while Java starts
                migrated = beside.submit(ensure_ready, self.store)
                self.broker = broker = stack.enter_context(EmbeddedBroker(self.folder / "kafka"))
                self.kafka = KafkaSettings(bootstrap=broker.bootstrap, partitions=PARTITIONS)
                admin.create(self.kafka)
                migrated.result()
            self.env = self._environment()
            self.manager = Manager([self._spec(name) for name in self._ports])
            thread = threading.Thread(target=self.manager.run, args=(self._stop,), name="manager", daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(self._stop.set)
            self._await_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End everything."""
        self._stack.close()

    def people(self) -> People:
        """Make the accounts, or give the person who watches a new one-time password."""
        now = time.time_ns() // 1_000_000
        passwords = {}
        with self.store.writing() as session:
            known = {user.name for user in users.every(session)}
            for name, display in (("demo", "演示 Demo"), (OFFICER, "值班员（模拟） Officer (simulated)")):
                if name in known:
                    passwords[name] = users.reset(session, name)
                else:
                    passwords[name] = users.add(
                        session, name, display=display, role="supervisor", language="zh", now_ms=now
                    )
        return People("demo", passwords["demo"], passwords[OFFICER])

    def packs(self) -> None:
        """Bring the packs of the story into force, as an officer would publish them."""
        record, seen = checked(load_bundle(["default", STORY_PACKS])), in_force(self.kafka)
        if all(one.sha256 == record.sha256 for one in seen):  # the folder of an earlier run
            return
        with self.store.writing() as session:
            publication = journal.begin(session, record, "demo", time.time_ns() // 1_000_000)
        places = publish(self.kafka, record, seen)
        with self.store.writing() as session:
            journal.done(session, publication, places, time.time_ns() // 1_000_000)

    def register(self) -> tuple[list[Facility], dict[str, str]]:
        """Import the demo's register and give every firm a key; returns both. The firms must begin to post at once."""
        entries = read_register(REGISTER)
        now = time.time_ns() // 1_000_000
        keys = {}
        with self.store.writing() as session:
            import_register(session, entries, "demo", now)
            for entry in entries.facilities:
                for old in live(session, entry.id, now):  # of an earlier run: the key itself is nowhere
                    revoke(session, old.id, now)
                keys[entry.id] = issue(session, name=entry.id, facilities=[entry.id], actor="demo", now_ms=now).key
        return [entry.logged() for entry in entries.facilities], keys

    def fallen(self) -> str | None:
        """Return why the processes were given up, if they were."""
        if self.broker.ended is not None:
            return f"Kafka ended with status {self.broker.ended}; see {self.broker.folder.name} in {self.folder}"
        return None if self.manager.failure is None else str(self.manager.failure)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while waiting := self.manager.not_ready():
            if self.manager.failure is not None:
                raise StageError(str(self.manager.failure))
            if time.monotonic() > deadline:
                child = self.manager.running().get(waiting[0])
                tail = "" if child is None else child.tail()
                logs = ", ".join(str(self._log(name)) for name in waiting)
                raise StageError(f"{', '.join(waiting)} not ready within {READY_S:.0f} s; see {logs}\n{tail}".rstrip())
            time.sleep(0.1)

    def _spec(self, name: str) -> Spec:
        url = f"http://127.0.0.1:{self._ports[name]}/readyz"
        command = ("worker", "--lots", "--instance", "lots-1", "--port", str(self._ports[name]))
        return Spec(name, command if name == "lots" else (name,), url, self.env, self._log(name))

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OFFSITE_")}
        return kept | {
            "OFFSITE_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "OFFSITE_KAFKA_PARTITIONS": str(PARTITIONS),
            "OFFSITE_STORE_URL": self._store_url,
            "OFFSITE_ARCHIVER_FOLDER": str(self.folder / "archive"),
            "OFFSITE_ARCHIVER_FLUSH_S": "2",
            "OFFSITE_PROOFS_FOLDER": str(self.folder / "proofs"),
            "OFFSITE_PROOFS_KEEP_FREE_BYTES": "0",
            "OFFSITE_ARCHIVER_PORT": str(self._ports["archiver"]),
            "OFFSITE_WORKER_PORT": str(self._ports["worker"]),
            "OFFSITE_WORKER_FOLDER": str(self.folder / "worker"),
            "OFFSITE_WORKER_SESSION_TIMEOUT_S": "6",
            "OFFSITE_GATEWAY_PORT": str(self.gateway_port),
            "OFFSITE_GATEWAY_TICK_S": "1",
            "OFFSITE_WORKER_TICK_S": "1",
            "OFFSITE_DESK_PORT": str(self.desk_port),
        }


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold the folder for one demo; a lock that ends with the process, so that a kill leaves none behind.

    Raises:
        FolderError: somebody else's files lie in it, or a demo runs in it.
    """
    mark = folder / MARK
    if folder.exists() and not folder.is_dir():
        raise _refused(folder, "not_a_folder", "it is a file")
    if folder.is_dir() and not mark.exists() and any(folder.iterdir()):
        raise _refused(folder, "not_a_demo", f"it holds files and no {MARK}: a new demo would delete them")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = mark.open("a")
    except OSError as error:
        raise _refused(folder, "unwritable", error.strerror or str(error)) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _refused(folder, "in_use", "a demo runs in it") from error
        yield


def _empty(folder: Path) -> None:
    """Delete what an earlier demo left; the mark stays, since the lock is on it."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != MARK:
            entry.unlink()


def _refused(folder: Path, code: str, why: str) -> FolderError:
    return FolderError("demo", [Fault(str(folder), code, why)])
