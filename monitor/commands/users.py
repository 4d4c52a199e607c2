"""`offsite users`: the local accounts of the desk, and who is responsible for which facility."""

from __future__ import annotations

import getpass
import json
import sys
import time
from typing import Annotated

import typer

from monitor.accounts import assignments, users
from monitor.settings import open_store

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Add, reset, disable and list the desk's accounts, and say who answers for which facility.",
)
Name = Annotated[str, typer.Argument(metavar="NAME")]
Facilities = Annotated[list[str], typer.Argument(metavar="FACILITY...")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.command()
def add(
    name: Name,
    display: Annotated[str | None, typer.Option("--display", help="The name others see.")] = None,
    role: Annotated[str, typer.Option("--role", help="reader, operator, supervisor or lead.")] = "supervisor",
    language: Annotated[str, typer.Option("--language", help="zh or en.")] = "zh",
    as_json: AsJson = False,
) -> None:
    """Add an account and show its one-time password, once."""
    now = int(time.time() * 1000)
    with open_store() as store, store.writing() as session:
        password = users.add(session, name, display=display or name, role=role, language=language, now_ms=now)
    _show(name, password, as_json=as_json)


@app.command()
def reset(name: Name, as_json: AsJson = False) -> None:
    """Give a new one-time password; every session of the account ends, a disabled account is let in again."""
    with open_store() as store, store.writing() as session:
        password = users.reset(session, name)
    _show(name, password, as_json=as_json)


@app.command()
def disable(name: Name) -> None:
    """Let nobody in under this name any more; its sessions end at once."""
    with open_store() as store, store.writing() as session:
        users.disable(session, name, int(time.time() * 1000))
    sys.stdout.write(f"{name} is disabled\n")


@app.command()
def assign(name: Name, facility: Facilities) -> None:
    """Make an account responsible for facilities, beside whoever is: a filter of lists, no right."""
    now = int(time.time() * 1000)
    with open_store() as store, store.writing() as session:
        count = assignments.assign(session, name, facility, getpass.getuser()[:128], now)
    sys.stdout.write(f"{name} answers for {count} facilities more\n")


@app.command()
def unassign(name: Name, facility: Facilities) -> None:
    """Let an account answer for facilities no more."""
    with open_store() as store, store.writing() as session:
        count = assignments.unassign(session, name, facility)
    sys.stdout.write(f"{name} answers for {count} facilities less\n")


@app.command("list")
def list_users(as_json: AsJson = False) -> None:
    """List the accounts, with the facilities that they answer for."""
    with open_store() as store, store.reading() as session:
        mine = assignments.of_accounts(session)
        rows = [
            {"name": u.name, "display": u.display, "role": u.role, "language": u.language,
             "state": "disabled" if u.disabled_ms is not None else "one-time password" if u.must_change else "active",
             "facilities": mine.get(u.name, [])}
            for u in users.every(session)
        ]  # fmt: skip
    if as_json:
        sys.stdout.write(json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
        return
    for row in rows:
        answers = f" ({len(row['facilities'])} facilities)" if row["facilities"] else ""
        sys.stdout.write(f"{row['name']:20} {row['role']:12} {row['state']:18} {row['display']}{answers}\n")


def _show(name: str, password: str, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"name": name, "password": password}) + "\n")
    else:
        sys.stdout.write(f"one-time password of {name}, shown only now: {password}\n")
