"""`offsite keys`: issue, revoke and list feed keys."""

from __future__ import annotations

import getpass
import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.register.keys import every, issue, revoke
from monitor.settings import open_store
from rules.instants import format_instant

if TYPE_CHECKING:
    from monitor.store.tables import FeedKey

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Issue, revoke and list feed keys.")
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
DAY_MS = 86_400_000


@app.command("issue")
def issue_key(
    facility: Annotated[
        list[str], typer.Option("--facility", help="Facility the key speaks for; several for an integrator.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the feed; the first facility's id if not given.")
    ] = None,
    endpoint: Annotated[list[str] | None, typer.Option("--endpoint", help="What it may use; all if not given.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Only these tags; any if not given.")] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, max=3650, help="Valid for so many days.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it once. Gateways know it as soon as the outbox is sent."""
    now = int(time.time() * 1000)
    with open_store() as store, store.writing() as session:
        made = issue(
            session,
            name=name or facility[0],
            facilities=facility,
            endpoints=endpoint,
            tags=tag,
            expires_ms=None if days is None else now + days * DAY_MS,
            actor=getpass.getuser(),
            now_ms=now,
        )
    if as_json:
        sys.stdout.write(json.dumps({"id": made.id, "name": made.name, "key": made.key}) + "\n")
    else:
        sys.stdout.write(f"key {made.id} of {made.name}, shown only now:\n{made.key}\n")


@app.command("revoke")
def revoke_key(key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, not the key.")]) -> None:
    """Revoke a key; it holds within seconds of the outbox being sent."""
    with open_store() as store, store.writing() as session:
        done = revoke(session, key_id, int(time.time() * 1000))
    sys.stdout.write(f"key {key_id} {'revoked' if done else 'was revoked before'}\n")


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List all keys: id, name, facilities, rights, state. The keys themselves are kept nowhere."""
    now = int(time.time() * 1000)
    with open_store() as store, store.reading() as session:
        rows = [_row(row, now) for row in every(session)]
    if as_json:
        sys.stdout.write(json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
        return
    for row in rows:
        sys.stdout.write(f"{row['id']:8}  {row['state']:8} {row['name']:32} {','.join(row['facilities'])}\n")


def _row(row: FeedKey, now: int) -> dict[str, Any]:
    expired = row.expires_ms is not None and row.expires_ms <= now
    return {
        "id": row.id,
        "state": "revoked" if row.revoked_ms is not None else "expired" if expired else "live",
        "name": row.name,
        "facilities": json.loads(row.facilities),
        "endpoints": json.loads(row.endpoints),
        "tags": None if row.tags is None else json.loads(row.tags),
        "created": format_instant(row.created_ms),
        "created_by": row.created_by,
        "expires": None if row.expires_ms is None else format_instant(row.expires_ms),
        "revoked": None if row.revoked_ms is None else format_instant(row.revoked_ms),
    }
