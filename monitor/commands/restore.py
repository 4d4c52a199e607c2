"""`offsite restore`: put a backup back."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from monitor.backup.restore import restore_backup
from monitor.settings import ArchiverEnvironment, StoreEnvironment
from monitor.store.session import Store
from rules.instants import format_instant

app = typer.Typer(help="Put a backup back.")
PARTS = ("store", "archive")


@app.command()
def command(
    source: Annotated[Path, typer.Option("--from", help="The folder of the backup.")],
    only: Annotated[list[str] | None, typer.Option("--only", help=f"Of {', '.join(PARTS)}; both if not given.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="The places may hold something; an SQLite file is kept beside.")
    ] = False,
) -> None:
    """Check the backup whole, then restore archive and store into the places that the settings name.

    Stop desk and archiver first. Kafka is not touched; docs/runbooks says what comes next.
    """
    wanted = set(only or PARTS)
    if unknown := wanted - set(PARTS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: one of {', '.join(PARTS)}", param_hint="--only")
    environment = StoreEnvironment()
    with closing(Store(environment.url, environment.password_file)) as store:
        done = restore_backup(
            source,
            store if "store" in wanted else None,
            ArchiverEnvironment().folder if "archive" in wanted else None,
            replace=replace,
            tell=_tell,
        )
    manifest = done.manifest
    sys.stdout.write(
        f"restored {' and '.join(sorted(wanted))} of backup {manifest.id}, made {format_instant(manifest.made)}\n"
        f"by release {manifest.release} (engine semantics {manifest.semantics}); {done.copied} files of the archive written\n"
    )
    if done.kept is not None:
        sys.stdout.write(f"what stood in the store's place is now {done.kept}\n")
    sys.stdout.writelines(f"{path}: was damaged when the backup was made\n" for path in manifest.damaged)
    if "store" in wanted:
        sys.stdout.write(
            "next: `offsite store rebuild` takes from log, archive and access topic what came after the backup;\n"
            "then start archiver and desk. Without the old Kafka: docs/runbooks/lose-the-broker.md\n"
        )


def _tell(text: str) -> None:
    sys.stderr.write(f"offsite: {text}\n")
