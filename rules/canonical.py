"""Canonical JSON (RFC 8785) and the hashes made of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import rfc8785

EXACT = 2**53
"""Integers below it are numbers of JSON without loss (RFC 8785 takes no others)."""
_PLAIN = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def canonical_bytes(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Return `value` as canonical JSON.

    >>> canonical_bytes({"b": 1.0, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    # The encoder in C writes most values as RFC 8785 wants them, ten times as fast; `_plain` says where it does not.
    try:
        return _PLAIN.encode(_plain(value)).encode()
    except _OddError:
        pass
    encoded: bytes = rfc8785.dumps(value)
    return encoded


def sha256_hex(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return the SHA-256 of the canonical JSON of `value`, in hex."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


class _OddError(Exception):
    """The value holds something that Python's encoder writes otherwise, or that RFC 8785 refuses."""


def _plain(value: Any) -> Any:  # noqa: ANN401, PLR0911 - any JSON value; one way out per kind
    kind = type(value)
    if kind is str:
        if value.isascii() or value.isprintable():  # lone surrogates are not printable
            return value
        raise _OddError
    if value is None or kind is bool:
        return value
    if kind is int:
        if -EXACT < value < EXACT:
            return value
        raise _OddError
    if kind is float:
        if value.is_integer() and -EXACT < value < EXACT:
            return int(value)
        if 1e-4 <= abs(value) < 1e15:  # noqa: PLR2004 - where Python and ECMAScript write a fraction alike
            return value
        raise _OddError
    if kind is dict:
        if not _ascii(value):  # UTF-16 may order otherwise
            raise _OddError
        return {key: _plain(member) for key, member in value.items()}
    if kind is list or kind is tuple:
        return [_plain(member) for member in value]
    raise _OddError


def _ascii(keys: Any) -> bool:  # noqa: ANN401 - the keys of an object
    try:
        return "".join(keys).isascii()
    except TypeError:  # a key that is no text
        return False
