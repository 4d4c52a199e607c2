"""`offsite setup`: what a fresh checkout needs once; run by `make setup`."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import typer

from rules import kernels
from rules.errors import OffsiteError
from streams import jars
from streams.broker import keep_classes

app = typer.Typer(add_completion=False, help="Fetch Kafka's jars and compile the kernels, once per user.")


@app.command()
def command() -> None:
    """Prepare this machine; running it again costs a second."""
    sys.stderr.write("fetching Kafka's jars, and compiling the kernels ...\n")
    with ThreadPoolExecutor(1) as beside:
        broker = beside.submit(_broker)
        kernels.warm()
        broker.result()


def _broker() -> None:
    """Fetch the jars and keep Kafka's classes for a quick start.

    Raises:
        PartMissingError: no jars, or no Java.
    """
    jars.ensure_jars()
    jars.java()
    try:
        keep_classes()
    except OffsiteError as error:  # brokers start without it, only slower
        sys.stderr.write(f"Kafka's classes are not kept: {error}\n")
