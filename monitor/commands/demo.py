"""`offsite demo`: the whole product on this machine, with simulated facilities."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Annotated

import typer

from monitor.demo.run import demo

app = typer.Typer(
    add_completion=False, help="Run everything on this machine, with an embedded Kafka and simulated facilities."
)


@app.command()
def command(
    folder: Annotated[Path, typer.Option("--data", help="Where data and logs live.")] = Path("var/demo"),
    keep: Annotated[bool, typer.Option("--keep", help="Go on with the data of the run before.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Two minutes without a person, then assert story and replay.")
    ] = False,
    speed: Annotated[float, typer.Option("--speed", min=1, max=1000, help="Signal time per clock time.")] = 60.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the signals.")] = 1,
) -> None:
    """Run until Ctrl-C; with --check end after two minutes, 0 if everything held, 1 if not."""
    began = float(os.environ.get("OFFSITE_DEMO_BEGAN") or time.time())
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    raise typer.Exit(demo(folder, fresh=not keep, checked=check, speed=speed, seed=seed, began=began, stop=stop))
