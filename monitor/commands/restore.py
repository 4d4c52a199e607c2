"""`offsite restore`: put a backup back."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from monitor.backup.restore import restore_backup
from monitor.settings import ArchiverEnvironment, ProofsEnvironment, StoreEnvironment, kafka_settings, open_store
from monitor.store.session import Store
from rules.instants import format_instant

app = typer.Typer(add_completion=False, help="Put a backup back.")
PARTS = ("store", "archive", "proofs", "kafka")
USUAL = PARTS[:3]


@app.command()
def command(
    source: Annotated[Path, typer.Option("--from", help="The folder of the backup.")],
    only: Annotated[
        list[str] | None, typer.Option("--only", help=f"Of {', '.join(PARTS)}; the first three if not given.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="The places may hold something; an SQLite file is kept beside.")
    ] = False,
) -> None:
    """Check the backup whole, then restore archive, store and proofs into the places that the settings name.

    Stop desk and archiver first. `--only kafka` lays what was not archived yet into a new, empty Kafka, at the offsets it had;
    docs/runbooks says what comes before and after.
    """
    wanted = set(only or USUAL)
    if unknown := wanted - set(PARTS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: one of {', '.join(PARTS)}", param_hint="--only")
    if "kafka" in wanted:
        if len(wanted) > 1:
            raise typer.BadParameter("kafka alone: the store must stand before", param_hint="--only")
        _lay(source)
        return
    environment = StoreEnvironment()
    with Store(environment.url, environment.password_file) as store:
        done = restore_backup(
            source,
            store if "store" in wanted else None,
            ArchiverEnvironment().folder if "archive" in wanted else None,
            proofs=ProofsEnvironment().folder if "proofs" in wanted else None,
            replace=replace,
            tell=_tell,
        )
    manifest = done.manifest
    sys.stdout.write(
        f"restored {', '.join(sorted(wanted))} of backup {manifest.id}, made {format_instant(manifest.made)}\n"
        f"by release {manifest.release} (engine semantics {manifest.semantics}); {done.copied} files of the archive "
        f"and {done.proofs} of proofs written\n"
    )
    if done.kept is not None:
        sys.stdout.write(f"what stood in the store's place is now {done.kept}\n")
    sys.stdout.writelines(f"{path}: was damaged when the backup was made\n" for path in manifest.damaged)
    if "store" in wanted:
        sys.stdout.write(
            "next: `offsite store rebuild` takes from log, archive and access topic what came after the backup;\n"
            "then start archiver and desk. Without the old Kafka: docs/runbooks/lose-the-broker.md\n"
        )


def _lay(source: Path) -> None:
    import asyncio  # noqa: PLC0415 - Kafka's clients, which the others do not need

    from monitor.archive.index import next_offsets  # noqa: PLC0415 - as above
    from monitor.backup.check import check_backup  # noqa: PLC0415 - as above
    from monitor.backup.lay import lay_topics  # noqa: PLC0415 - as above
    from monitor.backup.manifest import BackupError  # noqa: PLC0415 - as above

    checked = check_backup(source)
    bad = [fault for fault in checked.faults if fault.code not in {"damaged", "open_to_others"}]
    if bad or checked.manifest.cluster is None:
        raise BackupError(str(bad[0]) if bad else f"backup {checked.manifest.id} was made without Kafka")
    with open_store() as store, store.reading() as session:
        stands = next_offsets(session)
    laid = asyncio.run(lay_topics(kafka_settings(), source, checked.manifest, checked.files, stands))
    for (topic, partition), (begin, end) in sorted(laid.places.items()):
        sys.stdout.write(f"{topic}/{partition}: begins at {begin}, ends at {end}\n")
    sys.stdout.write(
        f"{laid.records} records laid\nnext: `offsite store rebuild`, then `offsite state rebuild --from {source}`\n"
    )


def _tell(text: str) -> None:
    sys.stderr.write(f"offsite: {text}\n")
