"""`offsite store`: check and upgrade the SQL store, and rebuild what log and archive know of it."""

from __future__ import annotations

import sys
import time
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from monitor.settings import ArchiverEnvironment, StoreEnvironment, kafka_settings, open_store
from monitor.store.restored import is_restored
from monitor.store.schema import downgrade, head, revision_of, upgrade
from monitor.store.session import Store

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Check, upgrade and rebuild the SQL store.")
LISTED = 1_000


def _store() -> Store:
    environment = StoreEnvironment()
    return Store(environment.url, environment.password_file)


@app.command()
def check() -> None:
    """Say which revision the store has and which this release needs; exit 1 if they differ, or if it waits for its rebuild."""
    with _store() as store, store.reading() as session:
        found = revision_of(session.connection())
        waits = found == head() and is_restored(session)
    sys.stdout.write(f"store at {found or 'nothing'}, this release needs {head()}\n")
    if waits:
        sys.stdout.write("it came out of a backup and was not rebuilt since: run `offsite store rebuild`\n")
    raise typer.Exit(0 if found == head() and not waits else 1)


@app.command("upgrade")
def upgrade_store() -> None:
    """Bring the store's tables to this release. Back the database up first."""
    with _store() as store:
        upgrade(store)
    sys.stdout.write(f"store at {head()}\n")


@app.command("downgrade")
def downgrade_store(
    to: Annotated[str | None, typer.Option("--to", help="The revision that the older release needs.")] = None,
    to_backup: Annotated[
        Path | None, typer.Option("--to-backup", help="The revision of this backup, made with the older release.")
    ] = None,
) -> None:
    """Take the store's tables back for an older release, with the newer one. What only the newer one knows is dropped."""
    if (to is None) == (to_backup is None):
        raise typer.BadParameter("say either --to REVISION or --to-backup FOLDER")
    if to_backup is not None:
        from monitor.backup.manifest import read_manifest  # noqa: PLC0415 - only with a backup

        to = read_manifest(to_backup).revision
    with _store() as store:
        downgrade(store, to or "")
    sys.stdout.write(f"store at {to}\n")


@app.command()
def rebuild() -> None:
    """Take into the store what log, archive and access topic know: into a restored store, or an empty one. Stop desk and archiver.

    Back come the archive's index, the register's versions, the feed keys, changes and alarms. Not what was in the store alone:
    acknowledgements, notes, accounts, contacts. Exit 1 with each thing that is missing or differs.
    """
    from monitor.backup.rebuild import rebuild_store  # noqa: PLC0415 - archive and Kafka, which the others do not need

    with open_store() as store:
        done = rebuild_store(
            store, ArchiverEnvironment().folder, kafka_settings(), time.time_ns() // 1_000_000,
            tell=_tell,
        )  # fmt: skip
    sys.stdout.writelines(f"{fault}\n" for fault in done.faults[:LISTED])
    sys.stdout.write(
        f"archive: {done.index.files} files, {done.index.records} records, {len(done.index.waste)} left over\n"
        f"register: {done.versions} versions; feed keys: {done.keys} taken in, {done.revoked} revoked,"
        f" {done.queued} entries queued for the access topic\n"
        f"changes: {done.changes} applied; {len(done.faults)} faults\n"
    )
    raise typer.Exit(1 if done.faults else 0)


def _tell(text: str) -> None:
    sys.stderr.write(f"offsite: {text}\n")
