"""`offsite register`: import, export and compare the register of facilities."""

from __future__ import annotations

import getpass
import json
import sys
import time
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from monitor.lines import write_lines
from monitor.packs.shelf import bundle_in_force
from monitor.register.files import read_register
from monitor.register.store import Difference, differences, export, import_register
from monitor.settings import open_store
from rules.canonical import canonical_bytes
from rules.errors import BadInputError, Fault
from rules.faults import printable
from rules.yamlfile import yaml_text

LINE = 80
"""Characters of a value that a line of a terminal shows."""

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Import, export and compare the register of facilities."
)
File = Annotated[Path, typer.Argument(help="Register file, YAML or JSON (contracts.md §2).")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


class EmptyRegisterError(BadInputError):
    """Nothing is registered: `import` takes no file without a facility, so none is written."""

    code: ClassVar[str] = "empty_register"
    action: ClassVar[str] = "Compare OFFSITE_STORE_URL with the store that is meant; nothing was written."


@app.command("import")
def import_file(
    file: File,
    actor: Annotated[
        str | None, typer.Option("--actor", help="Who decided it; the account's name if not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Store what is new or changed and queue it for the log; nothing is changed if the file holds any fault."""
    with open_store() as store:
        with store.reading() as session:
            bundle = bundle_in_force(session)
        register = read_register(file, bundle)
        with store.writing() as session:
            done = import_register(session, register, actor or getpass.getuser(), int(time.time() * 1000))
    _show(done, as_json=as_json)
    if not as_json and any(d.kind in {"new", "changed"} for d in done):
        sys.stdout.write("queued for the log; the desk or `offsite outbox --once` sends it\n")


@app.command("export")
def export_register(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write here instead of stdout.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the whole register with contacts, in the form that `import` takes; exit 3 if there is no facility to write."""
    with open_store() as store, store.reading() as session:
        value = export(session)
    if not value["facilities"]:
        raise EmptyRegisterError("register", [Fault("facilities", "empty", "no facility is registered in this store")])
    text = json.dumps(value, ensure_ascii=False, indent=2) if as_json else yaml_text(value)
    write_lines([line.encode() for line in text.rstrip("\n").split("\n")], output)


@app.command()
def diff(file: File, as_json: AsJson = False) -> None:
    """Show how a file differs from the register in force; exit 1 if it does."""
    register = read_register(file)
    with open_store() as store, store.reading() as session:
        found = differences(session, register)
    _show(found, as_json=as_json)
    raise typer.Exit(1 if any(d.kind != "same" for d in found) else 0)


def _show(found: list[Difference], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"facility": d.facility, "kind": d.kind, "version": d.version,
             "changes": [{"pointer": at, "old": old, "new": new} for at, old, new in d.changes]}
            for d in found
        ]  # fmt: skip
        sys.stdout.write(json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
        return
    for d in found:
        sys.stdout.write(f"{d.facility:32} {d.kind}{f' (version {d.version})' if d.version else ''}\n")
        for at, old, new in d.changes:
            sys.stdout.write(f"  {at}: {_short(old)} -> {_short(new)}\n")


def _short(value: object) -> str:
    text = canonical_bytes(value).decode() if value is not None else "none"
    # Names come from outside: a terminal shows them and does not obey them.
    return printable(text, LINE)
