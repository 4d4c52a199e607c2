"""`offsite setup`: what a fresh checkout needs once; run by `make setup`."""

from __future__ import annotations

import sys

import typer

from rules import kernels

app = typer.Typer(help="Compile the kernels into the cache.")


@app.command()
def command() -> None:
    """Prepare this machine; running it again costs a second."""
    sys.stderr.write("compiling the kernels ...\n")
    kernels.warm()
