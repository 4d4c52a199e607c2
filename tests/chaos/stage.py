"""The installation under attack: a broker, the processes of the product, and a runner that starts each again at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx

from monitor.register.files import read_register
from monitor.register.keys import issue
from monitor.register.store import import_register
from monitor.store.schema import ensure_ready
from monitor.store.session import Store
from streams import admin
from streams.broker import BrokerStartError, EmbeddedBroker
from streams.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.chaos.firms import Firm
    from tests.chaos.plan import Form

AGAIN_S = 0.2
TERM_S = 60.0
EPHEMERAL = range(20_000, 32_000)
"""Below the ports that the kernel gives to clients: a client that asks for a dead port again and again would sooner or later
be given that very port, and then talk to itself."""
DISK_MB = 1_500
MARK = "OFFSITE_CHAOS"
RESTARTS = frozenset({4, 70})
"""Exit codes by which a process says: start me again (no broker; cannot publish)."""


def quiet_port() -> int:
    """Return a free port that no client will be given."""
    while True:
        port = secrets.choice(EPHEMERAL)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass(slots=True)
class Kept:
    """One process that is started again whenever it ends, until nobody wants it any more."""

    name: str
    kind: str
    port: int
    env: Mapping[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None
    wanted: bool = True
    killed: set[int] = field(default_factory=set)
    """Process ids that were ended on purpose."""
    starts: int = 0
    task: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        return self.process is not None and self.process.returncode is None

    def signal(self, number: int) -> int | None:
        """Send a signal; returns the process id, None if nothing runs."""
        if self.process is None or self.process.returncode is not None:
            return None
        if number in {signal.SIGKILL, signal.SIGTERM}:
            self.killed.add(self.process.pid)
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return self.process.pid

    async def probe(self, path: str, client: httpx.AsyncClient) -> httpx.Response | None:
        """Ask one of its probes."""
        if not self.alive:
            return None
        try:
            return await client.get(f"http://127.0.0.1:{self.port}{path}")
        except httpx.HTTPError:
            return None


class Stage:
    """Everything that runs. Use it as an asynchronous context manager; leaving it ends all of it."""

    def __init__(self, folder: Path, form: Form, tell: Callable[[str], None]) -> None:
        self.folder, self._form, self.tell = folder, form, tell
        self.kept: dict[str, Kept] = {}
        self.unexpected: list[str] = []
        self.stopping_s: list[float] = []
        self.mounted = False
        self.mark = secrets.token_hex(8)
        self._thread = ThreadPoolExecutor(1, "broker")  # the broker dies with the thread that started it
        self._broker_wanted = False
        self._broker_task: asyncio.Task[None] | None = None
        self.broker_starts = 0
        self.gateway_port = quiet_port()
        self.gateway = f"http://127.0.0.1:{self.gateway_port}"

    async def __aenter__(self) -> Self:
        """Start broker, store and processes."""
        try:
            await self._begin()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End everything, processes first."""
        await self.stop_processes(list(self.kept))
        self._broker_wanted = False
        if self._broker_task is not None:
            self._broker_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._broker_task
        if hasattr(self, "broker"):
            await self._in_thread(self.broker.stop)
        self._thread.shutdown()
        if hasattr(self, "store"):
            self.store.close()
        if hasattr(self, "probes"):
            await self.probes.aclose()
        if self.mounted:
            await asyncio.to_thread(subprocess.run, ["umount", "-l", str(self.folder / "kafka")], check=False)
            self.mounted = False

    async def _begin(self) -> None:
        os.environ[MARK] = self.mark
        (self.folder / "logs").mkdir(parents=True)
        if not self._form.short:
            self._mount()
        self.probes = httpx.AsyncClient(timeout=3, trust_env=False)
        self.broker = EmbeddedBroker(self.folder / "kafka", port=quiet_port())
        await self._in_thread(self.broker.start)
        self.kafka = KafkaSettings(bootstrap=self.broker.bootstrap, partitions=self._form.partitions)
        await asyncio.to_thread(admin.create, self.kafka)
        self.env = self._environment()
        self.store = Store(self.env["OFFSITE_STORE_URL"])
        ensure_ready(self.store)
        self._broker_wanted = True
        self._broker_task = asyncio.create_task(self._keep_broker())
        for name in ("gateway", "worker-1", "worker-2", "archiver", "desk"):
            self.add(name)
        await self.ready()

    def register(self, firms: list[Firm], version: int = 1) -> None:
        """Import the register, as one version of each firm."""
        path = self.folder / f"register-{version}-{firms[0].id}.json"
        path.write_text(json.dumps({"facilities": [firm.entry(version) for firm in firms]}), encoding="utf-8")
        with self.store.writing() as session:
            import_register(session, read_register(path), "chaos", time.time_ns() // 1_000_000)

    def keys(self, firms: list[Firm]) -> dict[str, str]:
        """Give every firm a key."""
        now = time.time_ns() // 1_000_000
        with self.store.writing() as session:
            return {
                firm.id: issue(session, name=firm.id, facilities=[firm.id], actor="chaos", now_ms=now).key
                for firm in firms
            }

    def add(self, name: str, **env: str) -> Kept:
        """Begin to keep a process running."""
        kind = name.partition("-")[0]
        port = self.gateway_port if kind == "gateway" else quiet_port()
        own = {f"OFFSITE_{kind.upper()}_PORT": str(port), f"OFFSITE_{kind.upper()}_INSTANCE": name}
        kept = Kept(name, kind, port, self.env | own | env, self.folder / "logs" / f"{name}.log")
        self.kept[name] = kept
        kept.task = asyncio.create_task(self._keep(kept), name=name)
        return kept

    async def stop_processes(self, names: list[str]) -> None:
        """End processes by SIGTERM and keep them ended; what does not end is killed, and counts as wrong."""
        some = [self.kept.pop(name) for name in names if name in self.kept]
        await asyncio.gather(*(self._stop_one(kept) for kept in some))

    async def _stop_one(self, kept: Kept) -> None:
        kept.wanted = False
        began = time.monotonic()
        kept.signal(signal.SIGCONT)
        if kept.signal(signal.SIGTERM) is None:
            if kept.task is not None:
                kept.task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await kept.task
            return
        assert kept.process is not None
        try:
            async with asyncio.timeout(TERM_S):
                code = await kept.process.wait()
        except TimeoutError:
            self.unexpected.append(f"{kept.name} does not end {TERM_S:.0f} s after SIGTERM")
            kept.signal(signal.SIGKILL)
            code = await kept.process.wait()
        self.stopping_s.append(time.monotonic() - began)
        if code not in {0, 4, 70, -signal.SIGKILL, -signal.SIGTERM}:
            self.unexpected.append(f"{kept.name} ended with {code} after SIGTERM")
        if kept.task is not None:
            await kept.task

    async def ready(self, names: list[str] | None = None, within_s: float = 300.0) -> None:
        """Wait until processes, all if none is named, say that they are ready."""
        deadline = time.monotonic() + within_s
        while True:
            waiting = [name for name in names or list(self.kept) if name in self.kept and not await self._ready(name)]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise NotReadyError(f"not ready within {within_s:.0f} s: {', '.join(waiting)}")
            await asyncio.sleep(0.2)

    async def _ready(self, name: str) -> bool:
        answer = await self.kept[name].probe("/readyz", self.probes)
        return answer is not None and answer.status_code == httpx.codes.OK

    async def told(self, name: str, path: str = "/readyz") -> dict[str, Any]:
        """Return what a probe says, empty if nothing."""
        answer = await self.kept[name].probe(path, self.probes)
        return {} if answer is None else dict(answer.json())

    async def kill_broker(self) -> int:
        """Kill the broker; it is started again at once."""
        pid = self.broker.pid
        await self._in_thread(self.broker.kill)
        return pid

    async def outage(self, seconds: float) -> None:
        """Stop the broker and start it again later."""
        self._broker_wanted = False
        try:
            await self._in_thread(self.broker.stop)
            await asyncio.sleep(seconds)
        finally:
            self._broker_wanted = True

    @property
    def broker_up(self) -> bool:
        """Whether the broker's process runs (it may still be starting)."""
        process = self.broker._process
        return process is not None and process.poll() is None

    async def _keep_broker(self) -> None:
        while True:
            if self._broker_wanted and not self.broker_up:
                try:
                    await self._in_thread(self.broker.start)
                    self.broker_starts += 1
                except (BrokerStartError, OSError, subprocess.SubprocessError) as error:
                    self.tell(f"the broker does not start: {str(error)[:200]}")
                    await self._in_thread(self.broker.kill)
                    await asyncio.sleep(1)
            await asyncio.sleep(AGAIN_S)

    async def _keep(self, kept: Kept) -> None:
        while kept.wanted:
            with kept.log.open("ab") as out:
                kept.process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "streams.launch", str(os.getpid()), sys.executable, "-m", "monitor", kept.kind,
                    stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=dict(kept.env),
                )  # fmt: skip
            kept.starts += 1
            process = kept.process
            try:
                code = await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
            if process.pid in kept.killed or not kept.wanted:
                continue
            self.tell(f"{kept.name} (pid {process.pid}) ended by itself with {code}: {tail(kept.log, 2)[-300:]}")
            if code not in RESTARTS:
                self.unexpected.append(f"{kept.name} ended by itself with {code}: {tail(kept.log)}")
            await asyncio.sleep(AGAIN_S)

    def _environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OFFSITE_") or name == MARK}
        return clean | {
            "OFFSITE_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "OFFSITE_KAFKA_PARTITIONS": str(self._form.partitions),
            "OFFSITE_STORE_URL": f"sqlite:///{self.folder}/offsite.db",
            "OFFSITE_ARCHIVER_FOLDER": str(self.folder / "archive"),
            "OFFSITE_ARCHIVER_FLUSH_S": "1",
            "OFFSITE_ARCHIVER_IDLE_FLUSH_S": "2",
            "OFFSITE_ARCHIVER_LEASE_S": "4",
            "OFFSITE_WORKER_SESSION_TIMEOUT_S": "8",
            "OFFSITE_WORKER_CHECKPOINT_S": "2",
            "OFFSITE_WORKER_TICK_S": "1",
            "OFFSITE_GATEWAY_TICK_S": "1",
            "OFFSITE_GATEWAY_SEND_TIMEOUT_S": "5",
            "OFFSITE_GATEWAY_POSTS_PER_MINUTE": "120",
        }

    def _mount(self) -> None:
        """Give the broker a small disk of its own, where the machine allows it."""
        folder = self.folder / "kafka"
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)], capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        self.mounted = done.returncode == 0
        if not self.mounted:
            self.tell(
                f"no small disk for the broker on this machine ({done.stderr.strip()}): it is never full in this run"
            )

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class NotReadyError(AssertionError):
    """Processes do not become ready."""


def tail(log: Path, lines: int = 6) -> str:
    """Return the last lines of a log."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return " | ".join(text.splitlines()[-lines:])[-1500:]


def left_behind(mark: str) -> list[int]:
    """Return the processes of this run that still live, by the mark in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                state = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
                if state != "Z" and wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found
