"""JSON text from outside: its depth is measured before it is decoded, and what is no Unicode text is refused."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from rules.faults import FaultCode, printable, refusal
from rules.records import MAX_DEPTH

_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_MAX_DIGITS = 309
"""A whole number with more digits is beyond every float; Python would also refuse it above 4,300."""


def too_deep(raw: bytes, limit: int = MAX_DEPTH) -> bool:
    """Say whether JSON text nests deeper than `limit`; linear in time, without decoding it.

    >>> too_deep(b'[[["]]"]]]', 2)
    True
    >>> too_deep(b'["[[[["]', 2)
    False
    """
    if raw.count(b"[") + raw.count(b"{") <= limit:
        return False
    depth = 0
    for bracket in _STRINGS.sub(b"", raw).translate(None, _ALL_BUT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > limit:
            return True
    return False


def read_json(raw: bytes, what: str, *, depth: int = MAX_DEPTH) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of JSON text in UTF-8.

    `NaN`, `Infinity` and numbers beyond every float come back as non-finite floats, so that the caller can say where
    they stand.

    Raises:
        PostRefusedError: not UTF-8, not JSON, deeper than `depth`, a member twice in one object (RFC 7493 §2.3), or a text
            with half a surrogate pair.
    """
    if too_deep(raw, depth):
        raise refusal(what, FaultCode.TOO_DEEP, f"nested deeper than {depth}")
    try:
        value = json.loads(raw.decode("utf-8"), parse_int=_whole, object_pairs_hook=_members)
    except UnicodeDecodeError as error:
        raise refusal(what, FaultCode.MALFORMED, f"not UTF-8 at byte {error.start}") from None
    except ValueError as error:
        raise refusal(what, FaultCode.MALFORMED, printable(f"not JSON: {error}", 300)) from None
    if _SURROGATE.search(raw) and not _is_text(value):
        raise refusal(what, FaultCode.MALFORMED, "a text holds half a surrogate pair")
    return value


def is_finite(value: float) -> bool:
    """Say whether a JSON number is a finite float.

    >>> is_finite(10**400)
    False
    """
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"member {next(name for name in members if names.count(name) > 1)!r:.80} twice in one object")
    return members


def _whole(digits: str) -> float:
    if len(digits) > _MAX_DIGITS + 1:
        return -math.inf if digits.startswith("-") else math.inf
    return int(digits)


def _is_text(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return not any("\ud800" <= c <= "\udfff" for c in value)
    if isinstance(value, list):
        return all(map(_is_text, value))
    if isinstance(value, dict):
        return all(map(_is_text, value)) and all(map(_is_text, value.values()))
    return True
