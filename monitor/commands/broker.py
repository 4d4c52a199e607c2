"""`offsite broker`: run the embedded Kafka."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from streams.broker import EmbeddedBroker

app = typer.Typer(help="Run the embedded Kafka on loopback until it is told to stop.")


@app.command()
def command(
    folder: Annotated[Path, typer.Option("--data", help="Where its data live; they survive a restart.")] = Path(
        "var/kafka"
    ),
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="Listen here; a free port if not given.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Wipe the data first.")] = False,
) -> None:
    """Print one JSON line with the bootstrap address when it is ready."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with EmbeddedBroker(folder, port=port, fresh=fresh) as broker:
        ready = {"bootstrap": broker.bootstrap, "cluster_id": broker.cluster_id, "pid": broker.pid}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        stop.wait()
