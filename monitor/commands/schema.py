"""`offsite schema`: print the JSON Schema of a public contract."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter

from monitor.gateway.answers import (
    Checked,
    EventTypes,
    Feed,
    Problem,
    ProofList,
    Receipt,
    RegisterAnswer,
    ReportTypes,
)
from monitor.proofs.shelf import ProofReceipt
from rules.calendar import Calendar
from rules.changes import Change
from rules.eventtypes.posts import EventsPost
from rules.exceptions import ExceptionsFile
from rules.lots.facts import LotFact
from rules.markpost import MarkPost
from rules.posts import ReadingsPost
from rules.records import MODELS
from rules.register import RegisterFile
from rules.reports.posts import ReportPost
from rules.rule import Rule
from rules.tables import Table

app = typer.Typer(
    add_completion=False, help="Print the JSON Schema of a public contract; without a name, list the names."
)

SCHEMAS: dict[str, Any] = {
    "readings": ReadingsPost,
    "report": ReportPost,
    "mark": MarkPost,
    "events": EventsPost,
    "register-file": RegisterFile,
    "rule": Rule,
    "table": Table,
    "calendar": Calendar,
    "exceptions": ExceptionsFile,
    "change": Change,
    "lot-fact": LotFact,
    "receipt": Receipt,
    "checked": Checked,
    "problem": Problem,
    "feed": Feed,
    "register-answer": RegisterAnswer,
    "report-types": ReportTypes,
    "event-types": EventTypes,
    "proof-receipt": ProofReceipt,
    "proof-list": ProofList,
    **{f"log-{kind.value}": model for kind, model in MODELS.items()},
}


def schema_text(name: str) -> str:
    """Return the schema of a contract as it is committed under docs/contracts."""
    schema = TypeAdapter(SCHEMAS[name]).json_schema(by_alias=True)
    return json.dumps({"$id": f"urn:offsite:{name}:v1", **schema}, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


@app.command()
def command(name: Annotated[str | None, typer.Argument(help="A contract's name.")] = None) -> None:
    """Print one schema, or the list of names."""
    if name is None:
        sys.stdout.write("\n".join(SCHEMAS) + "\n")
        return
    if name not in SCHEMAS:
        raise typer.BadParameter(f"no contract {name}; known are {', '.join(SCHEMAS)}")
    sys.stdout.write(schema_text(name))
