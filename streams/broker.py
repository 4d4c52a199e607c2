"""One launcher with two forms: `external` (somebody runs Kafka) and `embedded` (we run one node, for demo and tests).

The embedded broker is Apache Kafka in KRaft mode on loopback. Its data survive a restart; it dies with its owner.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar, Self

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from rules.errors import PartMissingError
from streams import jars, jvm
from streams.clients import opened
from streams.ports import free_port, port_in_use
from streams.topics import BATCH_OVERHEAD, RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
LOCK_WAIT_S = 5.0
"""A killed broker lets go of its folder a moment after its owner is gone."""
LOCK = "lock"
LAUNCHES = 3
"""So often a broker is begun whose port somebody took between the choice and the start."""
_REASON = re.compile(r"Caused by:|ERROR|[Ee]rror:|Exception:|^Error ")
_LOG4J = """\
rootLogger.level = WARN
rootLogger.appenderRef.file.ref = file
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {folder}/broker.log
appender.file.filePattern = {folder}/broker.log.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %c{{1}} %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
"""


class BrokerStartError(PartMissingError):
    """The embedded broker did not start."""

    code: ClassVar[str] = "broker_start"
    action: ClassVar[str] = "Read broker.log in the folder named; free the port, or choose another with --port."


class _EndedAtStartError(BrokerStartError):
    """The broker's process ended before it answered."""


class BrokerFolderError(PartMissingError):
    """A broker already runs on the folder; two of them destroy each other's log."""

    code: ClassVar[str] = "broker_folder"
    action: ClassVar[str] = "Use the broker that runs, or stop it first, or choose another folder with --data."


class EmbeddedBroker:
    """A single Kafka node in `folder`; use it as a context manager, or call start and stop.

    Start it from a thread that lives as long as the broker shall: Linux ends the child with the thread that began it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        fresh: bool = False,
        heap_mb: int = 512,
        java_options: Sequence[str] = (),
    ) -> None:
        self.folder = folder.resolve()
        self._java_options = java_options
        self._wanted_port = port
        self._heap_mb = heap_mb
        self._fresh = fresh
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._said: dict[str, int] = {}
        self.port = 0

    @property
    def bootstrap(self) -> str:
        """Return where clients connect."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Return the broker's process id."""
        if self._process is None:
            raise BrokerStartError("the broker is not running")
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """Return the exit status of a broker that ended by itself; None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def cluster_id(self) -> str:
        """Return the id that the data folder was formatted with."""
        return str(self._meta()["cluster_id"])

    def start(self) -> Self:
        """Start the broker and wait until it answers.

        Raises:
            BrokerFolderError: another broker runs on the folder.
            BrokerStartError: port in use, or no answer within a minute.
            JarsError: jars or Java are not to be had.
        """
        if self._process is not None and self._process.poll() is None:
            raise BrokerFolderError(f"this broker runs already on {self.folder}")
        self.kill()  # one that ended by itself left its lock with us
        libraries, program = jars.ensure_jars(), jars.java()
        self._lock = self._claim()
        try:
            return self._launch(libraries, program)
        except BaseException:
            self.kill()
            raise

    def _launch(self, libraries: Path, program: str) -> Self:
        if self._fresh:
            self._wipe()
        for left in reversed(range(LAUNCHES)):
            meta = self._choose_ports()
            self._begin(libraries, program, meta)
            try:
                self._await_ready()
            except _EndedAtStartError as error:
                if left and (port_in_use(self.port) or port_in_use(int(str(meta["controller"])))):
                    continue  # the next choice is another one, or says which port is in use
                raise BrokerStartError(str(error)) from None
            return self
        raise AssertionError("unreachable")  # the last launch returns or raises

    def _begin(self, libraries: Path, program: str, meta: dict[str, object]) -> None:
        self._write_configuration(meta)
        base = [
            program,
            *jvm.options(libraries, program),
            f"-Xmx{self._heap_mb}m",
            f"-Xms{self._heap_mb // 2}m",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
        ]
        base += ["-cp", f"{libraries}/*"]
        properties = str(self.folder / "server.properties")
        if not (self.folder / "data" / "meta.properties").exists():
            self._format(
                [
                    *base,
                    "kafka.tools.StorageTool",
                    "format",
                    "--standalone",
                    "-t",
                    str(meta["cluster_id"]),
                    "-c",
                    properties,
                ]
            )
        logs = ("broker.log", "console.log")
        self._said = {
            name: (self.folder / name).stat().st_size if (self.folder / name).exists() else 0 for name in logs
        }
        launcher = [sys.executable, "-m", "streams.launch", str(os.getpid())]
        with (self.folder / "console.log").open("ab") as console:
            self._process = subprocess.Popen(  # noqa: S603 - our own launcher
                [*launcher, *base, *self._java_options, "kafka.Kafka", properties],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
                # The broker itself holds the lock: it stands for as long as anybody can write there.
                pass_fds=() if self._lock is None else (self._lock,),
            )  # fmt: skip

    def stop(self) -> None:
        """Stop the broker: SIGTERM, a bounded wait, then SIGKILL of the same process."""
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        """Kill the broker at once, as a power cut would."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def _claim(self) -> int:
        """Return the lock on the folder, held until the broker is gone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if time.monotonic() > deadline:
                    os.close(lock)
                    raise BrokerFolderError(f"another broker runs on {self.folder}") from error
                time.sleep(0.1)
            else:
                return lock

    def _wipe(self) -> None:
        """Delete what an earlier broker left, if it was one; the lock stays."""
        self._fresh = False  # once: a later start of the same object keeps what this one wrote
        if not (self.folder / "meta.json").exists():
            return
        # What marks the folder as a broker's goes last: a wipe that was cut short is taken up again.
        for entry in sorted(self.folder.iterdir(), key=lambda each: each.name == "meta.json"):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != LOCK:
                entry.unlink()

    def _meta(self) -> dict[str, object]:
        value: dict[str, object] = json.loads((self.folder / "meta.json").read_text(encoding="ascii"))
        return value

    def _choose_ports(self) -> dict[str, object]:
        path = self.folder / "meta.json"
        meta = self._meta() if path.exists() else {"cluster_id": _cluster_id(), "port": 0, "controller": 0}
        if self._wanted_port is not None:
            if port_in_use(self._wanted_port):
                raise BrokerStartError(f"port {self._wanted_port} is in use")
            meta["port"] = self._wanted_port
        for name, other in (("port", "controller"), ("controller", "port")):
            known = meta[name]
            if not isinstance(known, int) or known == 0 or port_in_use(known):
                meta[name] = free_port()
                while meta[name] == meta[other]:  # nobody listens on that yet either
                    meta[name] = free_port()
        _put(path, json.dumps(meta))
        self.port = int(str(meta["port"]))
        return meta

    def _write_configuration(self, meta: dict[str, object]) -> None:
        limit = RECORD_BYTES + BATCH_OVERHEAD
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "listeners": f"BROKER://127.0.0.1:{meta['port']},CONTROLLER://127.0.0.1:{meta['controller']}",
            "advertised.listeners": f"BROKER://127.0.0.1:{meta['port']},CONTROLLER://127.0.0.1:{meta['controller']}",
            "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "BROKER",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{meta['controller']}",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": 0,
            "offsets.topic.num.partitions": 1,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "message.max.bytes": limit,
            "replica.fetch.max.bytes": limit,
            "socket.request.max.bytes": 4 * limit,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "log.cleaner.backoff.ms": 5000,
            # After a kill the controller takes the broker back when the one before it has not been heard of for so long.
            "broker.session.timeout.ms": 4000,
            "broker.heartbeat.interval.ms": 1000,
        }
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        _put(self.folder / "server.properties", text)
        _put(self.folder / "log4j2.properties", _LOG4J.format(folder=self.folder))

    def _format(self, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_TIMEOUT_S, check=False)  # noqa: S603 - Kafka's own tool
        if done.returncode != 0:
            raise BrokerStartError(f"formatting {self.folder} failed: {done.stderr.strip()[-500:]}")

    def _last_words(self) -> str:
        """Return what the broker said last, at this start, of why it ended; nothing if it said nothing."""
        for name, before in self._said.items():
            path = self.folder / name
            said = path.read_bytes()[before:] if path.exists() else b""
            told = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if _REASON.search(line)]
            if told:
                return f" ({told[-1][:300]})"
        return ""

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise _EndedAtStartError(f"the broker ended at its start{self._last_words()}; see {self.folder}")
            if port_in_use(self.port):
                try:
                    client = opened(
                        KafkaAdminClient,
                        bootstrap_servers=[self.bootstrap],
                        request_timeout_ms=5_000,
                        bootstrap_timeout_ms=5_000,
                    )
                    with contextlib.closing(client):
                        answer = client.describe_cluster()
                except (KafkaError, OSError):
                    answer = {}
                if answer.get("brokers") and answer.get("cluster_id") == self.cluster_id:  # not somebody else's
                    return
            time.sleep(0.05)
        self.stop()
        raise BrokerStartError(f"no answer on port {self.port} within {START_TIMEOUT_S:.0f} s; see {self.folder}")


def _put(path: Path, text: str) -> None:
    """Write a file whole or not at all, and only if it differs: on a full disk what stood there stays, and is enough to start.

    Raises:
        BrokerStartError: the disk takes nothing.
    """
    try:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return
        fresh = path.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise BrokerStartError(f"{path.name} cannot be written ({error.strerror})") from error


def _cluster_id() -> str:
    """Return a new id in Kafka's form: 16 random bytes, URL-safe base64 without padding, not starting with a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def keep_classes() -> Path:
    """Start and stop a broker once so that Java keeps Kafka's classes for the next ones; nothing to do if it has them.

    Raises:
        OffsiteError: no jars, no Java, or the broker does not start.
    """
    archive = jvm.archive_of(jars.ensure_jars(), jars.java())
    if not archive.exists():
        with TemporaryDirectory(prefix="offsite-classes-") as folder:
            made = Path(folder) / "kafka.jsa"
            with EmbeddedBroker(Path(folder) / "kafka", java_options=[f"-XX:ArchiveClassesAtExit={made}"]):
                pass
            if made.exists():  # a Java without the feature goes without it
                partial = archive.with_suffix(f".{os.getpid()}")
                shutil.copyfile(made, partial)
                partial.replace(archive)
    return archive
