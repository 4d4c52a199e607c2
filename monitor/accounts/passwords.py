"""Passwords: argon2id hashes, one-time passwords, and what a new password must be (NIST SP 800-63B: length, not classes)."""

from __future__ import annotations

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

MIN_LENGTH = 12
MAX_LENGTH = 200
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without characters that are mistaken for each other on paper."""
_HASHER = PasswordHasher()
_NOBODY = _HASHER.hash(secrets.token_urlsafe(16))


def one_time() -> str:
    """Return a random password of 79 bits, to be shown once and changed at the first sign-in."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(4))


def hashed(password: str) -> str:
    """Return the argon2id hash of a password."""
    return _HASHER.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Say whether a password is the one hashed; for an unknown account it takes as long and says no."""
    try:
        _HASHER.verify(stored or _NOBODY, password)
    except (Argon2Error, InvalidHashError):
        return False
    return stored is not None


def weaknesses(password: str, name: str) -> list[str]:
    """Return the codes of what is wrong with a new password: `short`, `long`, `name`, `repeated`."""
    found = []
    if len(password) < MIN_LENGTH:
        found.append("short")
    if len(password) > MAX_LENGTH:
        found.append("long")
    if name.lower() in password.lower():
        found.append("name")
    if len(set(password)) < MIN_LENGTH // 2:
        found.append("repeated")
    return found
