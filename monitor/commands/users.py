"""`offsite users`: the local accounts of the desk."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated

import typer

from monitor.accounts import users
from monitor.settings import open_store

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Add, reset, disable and list the desk's accounts.")
Name = Annotated[str, typer.Argument(metavar="NAME")]
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


@app.command("list")
def list_users(as_json: AsJson = False) -> None:
    """List the accounts."""
    with open_store() as store, store.reading() as session:
        rows = [
            {"name": u.name, "display": u.display, "role": u.role, "language": u.language,
             "state": "disabled" if u.disabled_ms is not None else "one-time password" if u.must_change else "active"}
            for u in users.every(session)
        ]  # fmt: skip
    if as_json:
        sys.stdout.write(json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
        return
    for row in rows:
        sys.stdout.write(f"{row['name']:20} {row['role']:12} {row['state']:18} {row['display']}\n")


def _show(name: str, password: str, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"name": name, "password": password}) + "\n")
    else:
        sys.stdout.write(f"one-time password of {name}, shown only now: {password}\n")
