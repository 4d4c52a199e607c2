"""`offsite store`: check and upgrade the SQL store."""

from __future__ import annotations

import sys

import typer

from monitor.settings import StoreEnvironment
from monitor.store.schema import head, revision_of, upgrade
from monitor.store.session import Store

app = typer.Typer(no_args_is_help=True, help="Check and upgrade the SQL store.")


def _store() -> Store:
    environment = StoreEnvironment()
    return Store(environment.url, environment.password_file)


@app.command()
def check() -> None:
    """Say which revision the store has and which this release needs; exit 1 if they differ."""
    with _store().reading() as session:
        found = revision_of(session.connection())
    sys.stdout.write(f"store at {found or 'nothing'}, this release needs {head()}\n")
    raise typer.Exit(0 if found == head() else 1)


@app.command("upgrade")
def upgrade_store() -> None:
    """Bring the store's tables to this release. Back the database up first."""
    upgrade(_store())
    sys.stdout.write(f"store at {head()}\n")
