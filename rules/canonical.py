"""Canonical JSON (RFC 8785) and the hashes made of it."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785


def canonical_bytes(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Return `value` as canonical JSON.

    >>> canonical_bytes({"b": 1.0, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    encoded: bytes = rfc8785.dumps(value)
    return encoded


def sha256_hex(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return the SHA-256 of the canonical JSON of `value`, in hex."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()
