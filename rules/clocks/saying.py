"""What is kept of a report that counts now: the members of its newest revision that clocks ask for, and when it was received."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from rules.clocks import yearly
from rules.clocks.due import asked, keys_of, matches
from rules.deadlineparts import RECEIPT
from rules.layout import NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rules.deadlineparts import Document
    from rules.rule import DeadlineRule

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[Any])
_FEW = 3
"""Members of one that has come once."""
_BITS = 63


class Saying(NamedTuple):
    """One report as it counts now. Instants in ms."""

    revision: int
    first: int
    """Receipt of the first revision that came, whichever it was; NONE: it came before such was kept."""
    at: int
    """Receipt of this one."""
    fields: dict[str, Any]

    def pack(self) -> bytes:
        """Return it for the book and a snapshot."""
        middle = [self.first] if self.first == self.at else [self.first, self.at]
        return _ENCODER.encode([self.revision, *middle, self.fields])

    @property
    def came(self) -> int:
        """Return the first receipt that is known of it."""
        return self.at if self.first == NONE else self.first


def unpack(packed: bytes) -> Saying | None:
    """Return what was packed, None of nothing.

    Raises:
        ValueError: it says something else.
    """
    if not packed:
        return None
    try:
        found = _DECODER.decode(packed)
        revision, first, at, fields = found if len(found) > _FEW else [*found[:2], *found[1:]]
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise ValueError(f"what a report says cannot be read: {error}") from error
    if not (isinstance(fields, dict) and all(type(one) is int for one in (revision, first, at))):
        raise ValueError("what a report says cannot be read")
    return Saying(revision, first, at, fields)


def asked_of(kind: str, rules: Iterable[DeadlineRule]) -> tuple[str, ...]:
    """Return the members of a type of report that clocks ask for."""
    found: set[str] = set()
    for rule in rules:
        found |= {
            *asked(rule),
            rule.judged or "",
            rule.plan or "",
            "anniversary" if rule.yearly == yearly.TRIALS else "",
        }
        for part in (rule.starts, rule.answer, rule.again_until):
            if part is not None and part.report == kind:
                found |= {part.key, *part.where, part.at or ""}
    return tuple(sorted(found - {"", RECEIPT}))


def kept(names: Iterable[str], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that are kept; a number that no clock can mean is not said."""
    return {name: _kept(fields[name]) for name in names if name in fields}


def _kept(value: Any) -> Any:  # noqa: ANN401 - whatever the model of the report holds
    return None if isinstance(value, int) and value.bit_length() > _BITS else value


def keys_named(rule: DeadlineRule, part: Document | None, kind: str, fields: Mapping[str, Any]) -> list[str]:
    """Return the cases that a report is about as this part of the rule, none where it is no such document."""
    if part is None or part.report != kind or not matches(part.where, fields):
        return []
    return yearly.keys_of(rule, fields) if rule.yearly is not None else keys_of(fields.get(part.key))


def keys_ever(rule: DeadlineRule, kind: str, fields: Mapping[str, Any]) -> list[str]:
    """Return the cases that a report may have been about, as any part of the rule."""
    parts = [part for part in (rule.starts, rule.answer, rule.again_until) if part is not None and part.report == kind]
    if rule.yearly is not None:
        return yearly.keys_of(rule, fields) if parts else []
    return list(dict.fromkeys(key for part in parts for key in keys_of(fields.get(part.key))))
