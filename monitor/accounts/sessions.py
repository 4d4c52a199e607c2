"""Sign-ins: a random token in a cookie, its SHA-256 in the store."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from monitor.accounts import passwords
from monitor.accounts.users import NAME, Role
from monitor.store.desk_tables import SessionRow, UserRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from monitor.store.session import Store

LIFE_MS = 12 * 3_600_000
"""A shift: nobody stays signed in longer."""
IDLE_MS = 60 * 60_000
"""Without any request for so long a session is over. An open, visible page asks every 30 s: a wall screen stays on."""
TOUCH_MS = 60_000
"""A session in use is written back this often, not at every request."""
MAX_SESSIONS = 20
"""Of one account at once; the oldest end first."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who makes a request."""

    name: str
    display: str
    role: Role
    language: str
    must_change: bool
    csrf: str
    token_sha256: str


def account_name(typed: str) -> str:
    """Return the account that a typed name means, empty where it can mean none."""
    name = typed.strip().lower()
    return name if NAME.fullmatch(name) else ""


def sign_in(
    store: Store, name: str, password: str, now_ms: int, *, instead_of: str | None = None
) -> tuple[str, Person] | None:
    """Return a new token and who it stands for, or None; unknown, disabled and wrong are told apart by nobody.

    The hash is worked out in no transaction: who guesses holds up no other writer. `instead_of` is the token that the
    browser had; its session ends.
    """
    account = account_name(name)
    with store.reading() as session:
        user = session.get(UserRow, account) if account else None
    usable = user is not None and user.disabled_ms is None
    stored = user.password_hash if user is not None and usable else None
    if not passwords.matches(stored, password):
        return None
    with store.writing() as session:
        user = session.get(UserRow, account, with_for_update=True)
        if user is None or user.disabled_ms is not None or user.password_hash != stored:
            return None  # disabled or reset meanwhile
        if instead_of:
            session.execute(delete(SessionRow).where(SessionRow.token_sha256 == _hash(instead_of)))
        return begin(session, user, now_ms)


def begin(session: Session, user: UserRow, now_ms: int) -> tuple[str, Person]:
    """Begin a session of an account; returns the token, which is kept nowhere."""
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    row = SessionRow(
        token_sha256=_hash(token), user=user.name, csrf=csrf, created_ms=now_ms, last_ms=now_ms,
        expires_ms=now_ms + LIFE_MS,
    )  # fmt: skip
    session.execute(delete(SessionRow).where(SessionRow.expires_ms <= now_ms))
    own = select(SessionRow.token_sha256).where(SessionRow.user == user.name).order_by(SessionRow.created_ms.desc())
    for oldest in session.scalars(own.offset(MAX_SESSIONS - 1)).all():
        session.execute(delete(SessionRow).where(SessionRow.token_sha256 == oldest))
    session.add(row)
    return token, _person(user, row)


def find(session: Session, token: str, now_ms: int) -> tuple[Person, bool] | None:
    """Return who a token stands for, and whether the session should be touched; None if it is over or unknown."""
    row = session.execute(
        select(SessionRow, UserRow)
        .join(UserRow, UserRow.name == SessionRow.user)
        .where(SessionRow.token_sha256 == _hash(token))
    ).one_or_none()
    if row is None:
        return None
    held, user = row
    if now_ms >= held.expires_ms or now_ms - held.last_ms >= IDLE_MS or user.disabled_ms is not None:
        return None
    return _person(user, held), now_ms - held.last_ms >= TOUCH_MS


def touch(session: Session, token_sha256: str, now_ms: int) -> None:
    """Note that a session is in use."""
    row = session.get(SessionRow, token_sha256)
    if row is not None:
        row.last_ms = max(row.last_ms, now_ms)


def sign_out(session: Session, token_sha256: str) -> None:
    """End a session."""
    session.execute(delete(SessionRow).where(SessionRow.token_sha256 == token_sha256))


def _person(user: UserRow, row: SessionRow) -> Person:
    return Person(user.name, user.display, Role(user.role), user.language, user.must_change, row.csrf, row.token_sha256)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
