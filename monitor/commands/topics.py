"""`offsite topics`: create, verify and describe the topics of the one table."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from monitor.settings import kafka_settings
from streams import admin

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Create, verify and describe the topics.")
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.command()
def create() -> None:
    """Create the topics that are missing; say which."""
    made = admin.create(kafka_settings())
    sys.stdout.write("".join(f"created {name}\n" for name in made) or "nothing to create\n")


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Print every deviation from the table; exit 1 if there is any."""
    faults = admin.verify(kafka_settings())
    if as_json:
        sys.stdout.write(json.dumps([{"where": f.pointer, "code": f.code, "detail": f.detail} for f in faults]) + "\n")
    else:
        sys.stdout.write("".join(f"{fault}\n" for fault in faults) or "all topics are as they should be\n")
    raise typer.Exit(1 if faults else 0)


@app.command()
def describe(as_json: AsJson = False) -> None:
    """Print cluster id, brokers and topics as they are."""
    shape = admin.describe(kafka_settings())
    if as_json:
        sys.stdout.write(json.dumps(shape, indent=2) + "\n")
        return
    sys.stdout.write(f"cluster {shape['cluster_id']} at {', '.join(shape['brokers'])}\n")
    for name, topic in sorted(shape["topics"].items()):
        sys.stdout.write(f"{name:28} {topic['partitions']:3} partitions, {topic['configs'].get('cleanup.policy')}\n")
