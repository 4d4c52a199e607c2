"""Read one record of the topic of changes; what the desk's rows could not hold is no change.

Anything may stand in a topic. A record that is let through here fits every column of both databases, so that no record can
stop the desk, now or at every start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import rfc8785
from pydantic import ValidationError

from rules.canonical import canonical_bytes
from rules.changes import Change
from rules.models import faults_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SEQ = 2**31 - 1
MAX_OFFSET = 2**63 - 1
SHORT = 128
"""Characters of `rule`, `version` and `packs`; PostgreSQL holds to it."""
SHOWN_FAULTS = 3


@dataclass(frozen=True, slots=True)
class Incoming:
    """One record of the topic of changes, as it came."""

    partition: int
    offset: int
    value: bytes | None
    appended_ms: int | None = None
    """When the broker appended it; None where it did not come from there."""


@dataclass(frozen=True, slots=True)
class Read:
    """A record as it was understood: a change and its body, or why it is none."""

    record: Incoming
    change: Change | None
    body: str = ""
    why: str = ""


class ForeignError(ValueError):
    """The record is no change of condition."""


def read(record: Incoming) -> Read:
    """Understand a record. Most of the work of a batch; it needs no database, so no transaction need be open meanwhile."""
    try:
        change, body = read_change(record.value)
    except ForeignError as error:
        return Read(record, None, why=str(error))
    return Read(record, change, body)


def read_change(value: bytes | None) -> tuple[Change, str]:
    """Return the change that a record holds, and its body: canonical JSON without `source`.

    Raises:
        ForeignError: it holds none, or one that no row could hold.
    """
    try:
        change = Change.model_validate_json(value or b"")
    except ValidationError as error:
        raise ForeignError("; ".join(str(fault) for fault in faults_of(error)[:SHOWN_FAULTS])) from error
    faults = list(_faults(change))
    if faults:
        raise ForeignError("; ".join(faults[:SHOWN_FAULTS]))
    try:
        return change, canonical_bytes(change.to_json(source=False)).decode()
    except (rfc8785.CanonicalizationError, ValueError) as error:
        raise ForeignError(f"not canonical JSON: {error}") from error


def _faults(change: Change) -> Iterator[str]:
    if change.seq > MAX_SEQ:
        yield f"/seq: above {MAX_SEQ}"
    for name in ("rule", "version", "packs"):
        text = getattr(change, name)
        if not 1 <= len(text) <= SHORT or not text.isprintable():
            yield f"/{name}: 1 to {SHORT} printable characters"
    if change.by is not None and not (
        change.by.isascii() and change.by.isalnum() and len(change.by) == len(change.alarm)
    ):
        yield "/by: no id of an alarm"
    if change.source is not None and not (
        0 <= change.source.partition <= MAX_SEQ and 0 <= change.source.offset <= MAX_OFFSET
    ):
        yield "/source: no place in a log"
