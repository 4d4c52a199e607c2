"""`offsite outbox`: append what was decided to Kafka. The desk does the same while it runs."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import Annotated

import typer

from monitor.settings import kafka_settings, open_store
from monitor.store.relay import Relay

app = typer.Typer(add_completion=False, help="Append what was decided (register, keys) to Kafka.")


@app.command()
def command(
    once: Annotated[
        bool, typer.Option("--once", help="Send what waits now, then end; exit 1 if rows are left.")
    ] = False,
) -> None:
    """Send the outbox: until it is told to stop, or once."""
    store = open_store()
    relay = Relay(store, kafka_settings(), lambda: int(time.time() * 1000))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        if once:
            sent = 0
            while more := relay.send_once():
                sent += more
            left = relay.waiting()
            sys.stdout.write(f"sent {sent}, waiting {left}\n")
            raise typer.Exit(1 if left else 0)
        while not stop.is_set():
            if not relay.send_once():
                stop.wait(0.5)
    finally:
        relay.close()
        store.close()
