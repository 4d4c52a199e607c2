"""`offsite proofs`: delete what firms uploaded once its time is over."""

from __future__ import annotations

import getpass
import json
import sys
import time
from collections import Counter
from typing import Annotated

import typer

from monitor.proofs.pruning import prune as prune_proofs
from monitor.proofs.shelf import Bounds, Shelf
from monitor.settings import ProofsEnvironment, open_store
from monitor.words import NAME_CHARACTERS, is_name

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Delete proofs whose time is over.")


@app.callback()
def proofs() -> None:
    """Delete proofs whose time is over."""


@app.command()
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    actor: Annotated[str | None, typer.Option("--actor", help="Who does it; the account's name if not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Delete proofs older than OFFSITE_PROOFS_KEEP_DAYS that no open alarm names, and note it in the store.

    Run it as who may write the folder: root, or the service `upkeep` of Compose.
    """
    settings = ProofsEnvironment()
    who = actor or getpass.getuser()
    if not is_name(who, NAME_CHARACTERS):
        raise typer.BadParameter(f"1 to {NAME_CHARACTERS} printable characters", param_hint="--actor")
    if settings.keep_days is None:
        sys.stderr.write("offsite: nothing is ever deleted: OFFSITE_PROOFS_KEEP_DAYS is not set\n")
        raise typer.Exit(2)
    shelf = Shelf(settings.folder, Bounds(bytes=0, files=0, keep_free=0))
    with open_store() as store:
        done = prune_proofs(
            store, shelf, keep_days=settings.keep_days, actor=who, now_ms=int(time.time() * 1000), dry_run=dry_run
        )
    counts = Counter(receipt.facility for receipt in done.gone)
    size = sum(receipt.size for receipt in done.gone)
    if as_json:
        told = {
            "deleted": 0 if dry_run else len(done.gone), "due": len(done.gone), "bytes": size, "held": len(done.held),
            "keep_days": settings.keep_days, "facilities": dict(sorted(counts.items())),
        }  # fmt: skip
        sys.stdout.write(json.dumps(told) + "\n")
        return
    sys.stdout.writelines(f"{facility}: {count}\n" for facility, count in sorted(counts.items()))
    verb = "would be deleted" if dry_run else "deleted"
    sys.stdout.write(
        f"{len(done.gone)} proofs ({size} bytes) {verb}, older than {settings.keep_days} days; "
        f"{len(done.held)} stay, for an open alarm names them\n"
    )
