"""`offsite backup`: a consistent copy of what cannot be computed again, and the check of one."""

from __future__ import annotations

import json
import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from monitor.backup.check import check_backup
from monitor.backup.make import make_backup
from monitor.settings import ArchiverEnvironment, ProofsEnvironment, kafka_settings, open_store
from rules.instants import format_instant

app = typer.Typer(add_completion=False, help="Back up store, archive and what Kafka alone holds; verify a backup.")
LISTED = 1_000


@app.command()
def command(
    to: Annotated[Path | None, typer.Option("--to", help="Make a backup here; only what is new is copied.")] = None,
    verify: Annotated[Path | None, typer.Option("--verify", help="Read everything of the backup here again.")] = None,
    without_kafka: Annotated[
        bool, typer.Option("--without-kafka", help="Leave out what Kafka alone holds, for when it is down.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Make a backup, or verify one; exit 1 with every fault. The folder holds hashes of passwords and keys: mode 0700.

    Everybody may go on working while it is made.
    """
    if (to is None) == (verify is None):
        raise typer.BadParameter("say either --to FOLDER or --verify FOLDER")
    if to is not None:
        proofs = ProofsEnvironment().folder
        if not proofs.is_dir():
            # Nobody may have uploaded anything yet, or the folder is another: said also where nobody sits before it.
            sys.stderr.write(f"offsite: no proofs are saved: {proofs} is not there (OFFSITE_PROOFS_FOLDER)\n")
        with open_store() as store:
            made = make_backup(
                to,
                store,
                ArchiverEnvironment().folder,
                None if without_kafka else kafka_settings(),
                proofs=proofs,
                tell=_tell,
            )
        manifest, faults = (
            made.manifest,
            [f"{path}: damaged where it lies: {_kept(to / path)}" for path in made.manifest.damaged],
        )
        extra: list[str] = []
    else:
        assert verify is not None  # noqa: S101 - one of the two is said
        checked = check_backup(verify, lambda number: _tell(f"{number} files"))
        manifest, faults, extra = checked.manifest, [str(fault) for fault in checked.faults], checked.extra
    if as_json:
        told = {
            "id": manifest.id, "made": format_instant(manifest.made), "release": manifest.release,
            "semantics": manifest.semantics, "revision": manifest.revision, "cluster": manifest.cluster,
            "files": manifest.count, "bytes": manifest.bytes, "faults": faults,
        }  # fmt: skip
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.writelines(f"{fault}\n" for fault in faults[:LISTED])
        sys.stdout.writelines(f"{path}: not named by the manifest\n" for path in extra[:LISTED])
        kafka = "without Kafka" if manifest.cluster is None else f"cluster {manifest.cluster}"
        sys.stdout.write(
            f"backup {manifest.id}: {manifest.count} files, {manifest.bytes} bytes, {kafka}, {len(faults)} faults\n"
        )
    raise typer.Exit(1 if faults else 0)


def _kept(saved: Path) -> str:
    return "the copy of before is kept" if saved.is_file() else "not saved"


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"offsite: {text}\n")
