"""`offsite setup`: what a fresh checkout needs once; run by `make setup`."""

from __future__ import annotations

import sys

import typer

from rules import kernels
from streams import jars

app = typer.Typer(add_completion=False, help="Fetch Kafka's jars and compile the kernels, once per user.")


@app.command()
def command() -> None:
    """Prepare this machine; running it again costs a second."""
    sys.stderr.write("fetching Kafka's jars ...\n")
    jars.ensure_jars()
    jars.java()
    sys.stderr.write("compiling the kernels ...\n")
    kernels.warm()
