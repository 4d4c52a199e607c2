"""`offsite broker`: run the embedded Kafka."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from rules.errors import PartMissingError
from streams.broker import EmbeddedBroker

LOOK_S = 0.5
app = typer.Typer(add_completion=False, help="Run the embedded Kafka on loopback until it is told to stop.")


class BrokerEndedError(PartMissingError):
    """The embedded broker ended by itself; a launcher that stayed would look alive and be useless."""

    code: ClassVar[str] = "broker_ended"
    action: ClassVar[str] = (
        "Read broker.log and console.log in the folder named; then start it again: its data are kept."
    )


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
        while not stop.wait(LOOK_S):
            if broker.ended is not None:
                raise BrokerEndedError(f"Kafka (process {broker.pid}) ended with status {broker.ended}; see {folder}")
