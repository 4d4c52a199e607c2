"""Sign-ins: a random token in a cookie, its SHA-256 in the store, and a brake on guessing."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from monitor.accounts.passwords import MAX_LENGTH, matches
from monitor.accounts.users import Role
from monitor.store.desk_tables import SessionRow, UserRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

LIFE_MS = 12 * 3_600_000
IDLE_MS = 60 * 60_000
TOUCH_MS = 60_000
"""A session in use is written back this often, not at every request."""
FREE_TRIES = 5
FIRST_WAIT_MS = 15_000
LONGEST_WAIT_MS = 15 * 60_000
MAX_REMEMBERED = 10_000


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


class Brake:
    """Slows down guessing by account and by address; bounded, in memory: a restart forgets, the argon2 cost stays."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._failures: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def wait_ms(self, keys: tuple[str, ...], now_ms: int) -> int:
        """Return how long these keys must wait before the next try."""
        return max(self._until(key) - now_ms for key in keys)

    def failed(self, keys: tuple[str, ...], now_ms: int) -> None:
        """Count a failure of each key."""
        for key in keys:
            count, _ = self._failures.pop(key, (0, 0))
            self._failures[key] = (count + 1, now_ms)
        while len(self._failures) > MAX_REMEMBERED:
            self._failures.popitem(last=False)

    def passed(self, key: str) -> None:
        """Forget the failures of an account that signed in; its address stays remembered."""
        self._failures.pop(key, None)

    def _until(self, key: str) -> int:
        count, last = self._failures.get(key, (0, 0))
        if count < FREE_TRIES:
            return 0
        return last + min(FIRST_WAIT_MS << min(count - FREE_TRIES, 10), LONGEST_WAIT_MS)


def sign_in(session: Session, name: str, password: str, now_ms: int) -> tuple[str, Person] | None:
    """Return a new token and who it stands for, or None; unknown, disabled and wrong are told apart by nobody."""
    user = session.get(UserRow, name) if len(name) <= 32 else None  # noqa: PLR2004 - the longest name
    usable = user is not None and user.disabled_ms is None
    if not matches(user.password_hash if user is not None and usable else None, password[:MAX_LENGTH]) or user is None:
        return None
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    row = SessionRow(
        token_sha256=_hash(token), user=name, csrf=csrf, created_ms=now_ms, last_ms=now_ms, expires_ms=now_ms + LIFE_MS
    )
    session.add(row)
    session.execute(delete(SessionRow).where(SessionRow.expires_ms <= now_ms))
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
        row.last_ms = now_ms


def sign_out(session: Session, token_sha256: str) -> None:
    """End a session."""
    session.execute(delete(SessionRow).where(SessionRow.token_sha256 == token_sha256))


def _person(user: UserRow, row: SessionRow) -> Person:
    return Person(user.name, user.display, Role(user.role), user.language, user.must_change, row.csrf, row.token_sha256)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
