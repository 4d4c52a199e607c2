"""Feed keys: issue, revoke and list. The store keeps the SHA-256 and the rights; gateways learn both by the outbox."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from pydantic import ValidationError
from sqlalchemy import select

from monitor.register.store import newest
from monitor.store.counters import hold
from monitor.store.outbox import access_entry, add
from monitor.store.tables import FeedKey
from rules.errors import BadInputError, Fault
from rules.instants import format_instant
from rules.models import faults_of
from streams.access import Endpoint, KeyEntry, new_key

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MAX_LIVE = 2
"""Two live keys of one name allow rotation (contracts.md §1)."""
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)


@dataclass(frozen=True, slots=True)
class Issued:
    """A key that was just made: `key` is shown once and kept nowhere."""

    id: str
    key: str
    name: str


def issue(
    session: Session,
    *,
    name: str,
    facilities: list[str],
    endpoints: list[str] | None = None,
    tags: list[str] | None = None,
    expires_ms: int | None = None,
    actor: str,
    now_ms: int,
) -> Issued:
    """Make a key and queue its entry for the gateways.

    Raises:
        BadInputError: an unknown facility or endpoint, a bad tag, or two live keys of this name already.
    """
    entry = _entry(name, facilities, endpoints, tags, expires_ms)
    hold(session, "keys")  # two issues at once would both count one live key
    registered = newest(session)
    faults = [
        Fault("/facilities", "unknown_facility", f"{facility} is not registered; import it first")
        for facility in entry.facilities
        if facility not in registered
    ]
    if len(live(session, name, now_ms)) >= MAX_LIVE:
        faults.append(Fault("/name", "too_many_keys", f"{name} has {MAX_LIVE} live keys; revoke one first"))
    if expires_ms is not None and expires_ms <= now_ms:
        faults.append(Fault("/expires", "in_the_past", "the key would never be valid"))
    if faults:
        raise BadInputError("key", faults)
    key, sha256 = new_key()
    made = FeedKey(
        id=secrets.token_hex(4),
        sha256=sha256,
        name=name,
        facilities=json.dumps(entry.facilities),
        endpoints=json.dumps(entry.endpoints),
        tags=None if entry.tags is None else json.dumps(entry.tags),
        created_ms=now_ms,
        created_by=actor,
        expires_ms=expires_ms,
    )
    session.add(made)
    add(session, [access_entry(sha256, entry.model_dump_json(exclude_none=True).encode())], now_ms)
    return Issued(made.id, key, name)


def revoke(session: Session, key_id: str, now_ms: int) -> bool:
    """Revoke a key; false if it was revoked before.

    Raises:
        BadInputError: there is no such key.
    """
    row = session.execute(select(FeedKey).where(FeedKey.id == key_id).with_for_update()).scalar_one_or_none()
    if row is None:
        raise BadInputError(
            "key", [Fault("/id", "unknown_key", f"no key has the id {key_id}; see `offsite keys list`")]
        )
    if row.revoked_ms is not None:
        return False
    row.revoked_ms = now_ms
    add(session, [access_entry(row.sha256, None)], now_ms)
    return True


def live(session: Session, name: str, now_ms: int) -> list[FeedKey]:
    """Return the keys of a name that are neither revoked nor expired."""
    rows = session.scalars(select(FeedKey).where(FeedKey.name == name, FeedKey.revoked_ms.is_(None)))
    return [row for row in rows if row.expires_ms is None or row.expires_ms > now_ms]


def every(session: Session) -> list[FeedKey]:
    """Return all keys, oldest first."""
    return list(session.scalars(select(FeedKey).order_by(FeedKey.created_ms, FeedKey.id)))


def _entry(
    name: str, facilities: list[str], endpoints: list[str] | None, tags: list[str] | None, expires_ms: int | None
) -> KeyEntry:
    value = {
        "name": name,
        "facilities": list(dict.fromkeys(facilities)),
        "endpoints": list(endpoints) if endpoints else list(ENDPOINTS),
        "tags": tags or None,
        "expires": None if expires_ms is None else format_instant(expires_ms),
    }
    try:
        return KeyEntry.model_validate(value)
    except ValidationError as error:
        raise BadInputError("key", faults_of(error)) from error
