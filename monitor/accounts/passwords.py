"""Passwords: argon2id hashes, one-time passwords, and what a new password must be (NIST SP 800-63B: length, not classes)."""

from __future__ import annotations

import re
import secrets
import threading
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

MIN_LENGTH = 12
MAX_LENGTH = 200
LEAST_DIFFERENT = 6
SHORTEST_NAME = 4
"""A shorter account name stands in too many good passwords by chance."""
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without characters that are mistaken for each other on paper."""
SLOTS = 4
"""Hashes at work at once: each takes 64 MiB, and anybody may ask for one."""
ROWS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn")
WORDS = ("password", "passw0rd", "offsite", "monitor", "letmein", "welcome", "iloveyou", "administrator", "woaini")
"""What guessers try first, and what this product is called."""
RUN = 4
_HASHER = PasswordHasher()
_NOBODY = (
    f"$argon2id$v=19$m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    f"${secrets.token_urlsafe(_HASHER.salt_len).replace('-', '+').replace('_', '/')}"
    f"${secrets.token_urlsafe(_HASHER.hash_len).replace('-', '+').replace('_', '/')}"
)
"""Of no password: it costs as much to compare as any other, and nothing to make when a process starts."""
_AT_WORK = threading.BoundedSemaphore(SLOTS)


def one_time() -> str:
    """Return a random password of 79 bits, to be shown once and changed at the first sign-in."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(4))


def hashed(password: str) -> str:
    """Return the argon2id hash of a password."""
    with _AT_WORK:
        return _HASHER.hash(_as_typed(password))


def matches(stored: str | None, password: str) -> bool:
    """Say whether a password is the one hashed; for an unknown account it takes as long and says no."""
    with _AT_WORK:
        try:
            _HASHER.verify(stored or _NOBODY, _as_typed(password[: MAX_LENGTH + 1]))
        except (Argon2Error, InvalidHashError):
            return False
    return stored is not None


def weaknesses(password: str, name: str) -> list[str]:
    """Return the codes of what is wrong with a new password: `short`, `long`, `name`, `repeated`, `common`."""
    found = []
    if len(password) < MIN_LENGTH:
        found.append("short")
    if len(password) > MAX_LENGTH:
        found.append("long")
    if len(name) >= SHORTEST_NAME and name.lower() in password.lower():
        found.append("name")
    if len(set(password)) < LEAST_DIFFERENT:
        found.append("repeated")
    elif _left_of(password) < LEAST_DIFFERENT:
        found.append("common")
    return found


def _as_typed(password: str) -> bytes:
    """One password however a keyboard composes its characters; what is no text at all still has bytes of its own."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _left_of(password: str) -> int:
    """How much is left without common words, years and runs of the alphabet or the keyboard."""
    rest = password.lower()
    for word in WORDS:
        rest = rest.replace(word, "")
    for row in ROWS:
        for line in (row, row[::-1]):
            for size in range(len(line), RUN - 1, -1):
                for start in range(len(line) - size + 1):
                    rest = rest.replace(line[start : start + size], "")
    return len(re.sub(r"(?:19|20)\d\d|[\W_]", "", rest))
