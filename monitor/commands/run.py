"""`offsite run`: the processes of an installation on this machine, kept running."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import Annotated

import typer

from monitor.settings import ArchiverEnvironment, DeskEnvironment, GatewayEnvironment, WorkerEnvironment
from monitor.supervise.child import Spec
from monitor.supervise.manager import Manager
from rules.errors import BadInputError, Fault

app = typer.Typer(
    add_completion=False, help="Run gateway, workers, archiver and desk on this machine, and keep them running."
)
MAX_NAME, MAX_PORT = 64, 65_535
WORKERS_ABOVE = 9
LOTS_ABOVE = 8
KINDS = ("gateway", "worker", "lots", "archiver", "desk")


def specs(kinds: list[str], workers: int, logs: Path | None) -> list[Spec]:
    """Return what to run. Of several, worker n is named after the setting with -n, and listens 9 + n above its port.

    Beside the shipped ports (gateway 8710, worker 8711, desk 8712, archiver 8713) that gives 8721, 8722... The worker of lots
    is named after the setting with -lots, and listens 8 above its port.

    Raises:
        BadInputError: an unknown process, a port 0 (the manager asks for readiness at a port that it knows), two processes
            of one port, or a name that is too long with its number.
    """
    faults = [Fault("--only", "unknown", f"{kind}: one of {', '.join(KINDS)}") for kind in kinds if kind not in KINDS]
    gateway, worker, archiver, desk = (
        GatewayEnvironment(),
        WorkerEnvironment(),
        ArchiverEnvironment(),
        DeskEnvironment(),
    )
    places = {
        "gateway": (gateway.host, gateway.port),
        "worker": (worker.host, worker.port),
        "lots": (worker.host, worker.port and worker.port + LOTS_ABOVE),
        "archiver": (archiver.host, archiver.port),
        "desk": (desk.host, desk.port),
    }
    faults += [
        Fault(f"OFFSITE_{kind.upper()}_PORT", "no_port", "0 takes any port; `offsite run` needs a known one")
        for kind in kinds
        if kind in places and places[kind][1] == 0
    ]
    if "worker" in kinds and workers > 1 and len(f"{worker.instance}-{workers}") > MAX_NAME:
        faults.append(Fault("OFFSITE_WORKER_INSTANCE", "too_long", f"with its number more than {MAX_NAME} characters"))
    if faults:
        raise BadInputError("run", faults)
    found: list[Spec] = []
    taken: dict[int, str] = {}
    for kind in dict.fromkeys(kinds):
        host, port = places[kind]
        asked = "127.0.0.1" if host in {"0.0.0.0", "::"} else host
        count = workers if kind == "worker" else 1
        for number in range(1, count + 1):
            name, own_port = (kind, port) if count == 1 else (f"{kind}-{number}", port + WORKERS_ABOVE + number)
            env = dict(os.environ)
            if kind == "lots":
                env |= {"OFFSITE_WORKER_INSTANCE": f"{worker.instance}-lots", "OFFSITE_WORKER_PORT": str(own_port)}
            if count > 1:
                env |= {"OFFSITE_WORKER_INSTANCE": f"{worker.instance}-{number}", "OFFSITE_WORKER_PORT": str(own_port)}
            if own_port in taken or own_port > MAX_PORT:
                other = taken.get(own_port, "nobody: there is no such port")
                faults.append(Fault(f"OFFSITE_{kind.upper()}_PORT", "port_clash", f"{name} at {own_port}: {other}"))
            taken[own_port] = name
            url = f"http://{asked}:{own_port}/readyz"
            command = ("worker", "--lots") if kind == "lots" else (kind,)
            found.append(Spec(name, command, url, env, None if logs is None else logs / f"{name}.log"))
    if faults:
        raise BadInputError("run", faults)
    return found


@app.command()
def command(
    only: Annotated[list[str] | None, typer.Option("--only", help=f"Of {', '.join(KINDS)}; all if not given.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="How many workers.")] = 1,
    logs: Annotated[Path | None, typer.Option("--logs", help="A log file for each here; else all to stderr.")] = None,
) -> None:
    """Run until SIGTERM, then end all within five seconds. One JSON line on stdout per start and end of a process.

    Ends with a process's own code where starting it again cannot help: 2 or 3. One that ends five times within two minutes
    is told as a crash-loop and tried every half minute; the others go on. One that ends with 4 (a part is missing) so often, or
    for two minutes, is told as waiting, and as recovered when it has run for a minute. One that answers no probe for a minute
    is killed.
    """
    if logs is not None:
        logs.mkdir(parents=True, exist_ok=True)
    manager = Manager(specs(list(only or KINDS), workers, logs), tell=_tell, give_up=False)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    code = manager.run(stop)
    if manager.failure is not None:
        sys.stderr.write(f"offsite: {manager.failure}\n")
    raise typer.Exit(code)


def _tell(event: str, name: str, detail: str) -> None:
    sys.stdout.write(json.dumps({"event": event, "process": name, "detail": detail}) + "\n")
    sys.stdout.flush()
