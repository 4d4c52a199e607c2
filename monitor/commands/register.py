"""`offsite register`: import, export and compare the register of facilities."""

from __future__ import annotations

import getpass
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from monitor.lines import write_lines
from monitor.packs.shelf import bundle_in_force
from monitor.register.compare import compare
from monitor.register.files import read_register
from monitor.register.store import Difference, differences, export, import_register, version_of, versions
from monitor.settings import open_store
from monitor.words import NAME_CHARACTERS, is_name
from rules.canonical import canonical_bytes
from rules.errors import BadInputError, Fault
from rules.faults import printable
from rules.instants import format_instant
from rules.jsondiff import walk
from rules.yamlfile import yaml_text

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

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
    who = actor or getpass.getuser()
    if not is_name(who, NAME_CHARACTERS):
        raise typer.BadParameter(f"1 to {NAME_CHARACTERS} printable characters", param_hint="--actor")
    with open_store() as store:
        with store.reading() as session:
            bundle = bundle_in_force(session)
        register = read_register(file, bundle)
        with store.writing() as session:
            done = import_register(session, register, who, int(time.time() * 1000))
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
def diff(
    file: Annotated[Path | None, typer.Argument(help="Register file to hold against what is in force.")] = None,
    facility: Annotated[
        str | None, typer.Option("--facility", help="Only this one; without a file, two stored versions of it.")
    ] = None,
    old: Annotated[int | None, typer.Option("--old", min=1, help="The one before --new if not given.")] = None,
    new: Annotated[int | None, typer.Option("--new", min=1, help="The newest version if not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show which facts differ, by path, with old and new value and since when; exit 1 if any does.

    A file against the register in force, or with --facility alone two stored versions of one facility.
    """
    if file is None and facility is None:
        raise typer.BadParameter("say a FILE, or --facility ID for two of its versions")
    if file is not None and (old is not None or new is not None):
        raise typer.BadParameter("--old and --new are of stored versions: no FILE with them")
    if file is not None:
        register = read_register(file)
        with open_store() as store, store.reading() as session:
            found = differences(session, register)
        found = [one for one in found if facility in {None, one.facility}]
        if not found:
            raise BadInputError(
                "register", [Fault("/facilities", "unknown_facility", f"{facility} is neither in the file nor stored")]
            )
    else:
        with open_store() as store, store.reading() as session:
            found = [_versions(session, str(facility), old, new)]
    _show(found, as_json=as_json)
    raise typer.Exit(1 if any(d.kind != "same" for d in found) else 0)


@app.command()
def history(
    facility: Annotated[str, typer.Argument(help="Id of a facility.")],
    as_json: AsJson = False,
) -> None:
    """List the stored versions of a facility, newest first: when, by whom, and how many facts each changed."""
    with open_store() as store, store.reading() as session:
        version_of(session, facility, None)
        rows = versions(session, facility)
    before = [*(json.loads(row.data) for row in rows[1:]), {}]
    told = [
        {"version": row.version, "recorded": format_instant(row.recorded_ms), "actor": row.actor, "sha256": row.sha256,
         "changes": len(compare(earlier, json.loads(row.data)))}
        for row, earlier in zip(rows, before, strict=True)
    ]  # fmt: skip
    if as_json:
        sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")
        return
    for one in told:
        sys.stdout.write(
            f"{one['version']:6} {one['recorded']} {one['changes']:6} {printable(str(one['actor']), 32):32} {one['sha256']}\n"
        )


def _versions(session: Session, facility: str, old: int | None, new: int | None) -> Difference:
    after = version_of(session, facility, new)
    if old is None and after.version == 1:
        return Difference(facility, "new", 1, (), tuple(compare({}, json.loads(after.data))))
    before = version_of(session, facility, after.version - 1 if old is None else old)
    one, other = json.loads(before.data), json.loads(after.data)
    changes = tuple(walk(one, other))
    return Difference(facility, "changed" if changes else "same", before.version, changes, tuple(compare(one, other)))


def _show(found: list[Difference], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"facility": d.facility, "kind": d.kind, "version": d.version,
             "changes": [{"pointer": at, "old": old, "new": new} for at, old, new in d.changes],
             "facts": [fact.model_dump(mode="json", by_alias=True) for fact in d.facts]}
            for d in found
        ]  # fmt: skip
        sys.stdout.write(json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
        return
    for d in found:
        sys.stdout.write(f"{d.facility:32} {d.kind}{f' (version {d.version})' if d.version else ''}\n")
        for fact in d.facts:
            since = f" (from {printable(fact.from_, LINE)})" if fact.from_ is not None else ""
            sign = {"added": "+", "removed": "-", "changed": "~"}[fact.change]
            sys.stdout.write(f"  {sign} {fact.path}{since}: {_short(fact.old)} -> {_short(fact.new)}\n")


def _short(value: object) -> str:
    text = canonical_bytes(value).decode() if value is not None else "none"
    # Names come from outside: a terminal shows them and does not obey them.
    return printable(text, LINE)
