"""Which revisions of which reports have come: each number counts once, whatever order they arrive in (contracts.md §1)."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from rules.canonical import canonical_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.records import Report

MAX_REPORTS = 20_000
"""Reports of a facility whose revisions are remembered; the one that was touched longest ago goes out first."""
MAX_REVISIONS = 32
"""Revisions of one report that are remembered; the lowest goes out, and a number that is not above it counts as one that came before."""
_ENTRY = struct.Struct(">I8s")
"""A revision and the digest of what it says."""
PackedReport: TypeAlias = tuple[str, bytes]
"""`type id` and its entries, by revision: in memory and in a snapshot alike, as there are thousands."""


class Met(Enum):
    """What a report is to those that came before it."""

    TAKEN = "taken"
    """A number of its own: it is folded."""
    REPEATED = "repeated"
    """The same again: it changes nothing."""
    CONFLICT = "conflict"
    """A number that came before with other content: the first stays."""
    UNREASONED = "unreasoned"
    """A revision that does not say why: evidence without effect."""


class Meeting(NamedTuple):
    """What a report is, and whether it is the first of its id that is folded."""

    met: Met
    is_first: bool
    forgot: bool = False
    """Another one went out for it."""
    digest: bytes = b""
    """Of what it says ..."""
    kept: bytes = b""
    """... and of what its number said before; nothing where the number is its own."""


@dataclass(slots=True)
class Book:
    """The reports of one facility that were folded, by type and id; the one that was touched last stands last."""

    reports: dict[str, bytes] = field(default_factory=dict)

    def meet(self, report: Report) -> Met:
        """Say what a report is to those before it, and keep its number if it is to be folded."""
        return self.greet(report).met

    def greet(self, report: Report) -> Meeting:
        """Say as well whether it is the first of its id. What is not folded leaves nothing behind."""
        key = f"{report.type} {report.id}"
        packed = self.reports.get(key, b"")
        known, digest = dict(_ENTRY.iter_unpack(packed)), digest_of(report)
        forgot, kept = False, known.get(report.revision, b"")
        if report.revision in known:
            self._touch(key, packed)
            met = Met.REPEATED if known[report.revision] == digest else Met.CONFLICT
        elif report.revision > 1 and not (report.reason or "").strip():
            met = Met.UNREASONED
        elif len(known) >= MAX_REVISIONS and report.revision < min(known):
            self._touch(key, packed)
            met = Met.REPEATED
        else:
            known[report.revision] = digest
            newest = sorted(known.items())[-MAX_REVISIONS:]
            forgot = self._touch(key, b"".join(_ENTRY.pack(*entry) for entry in newest))
            met = Met.TAKEN
        return Meeting(met, met is Met.TAKEN and not packed, forgot, digest, kept)

    def _touch(self, key: str, packed: bytes) -> bool:
        """Put a report behind all others; says whether another one went out for it."""
        self.reports.pop(key, None)
        self.reports[key] = packed
        too_many = len(self.reports) > MAX_REPORTS
        if too_many:
            del self.reports[next(iter(self.reports))]
        return too_many

    def pack(self) -> list[PackedReport]:
        """Return the members for a snapshot."""
        return list(self.reports.items())

    @classmethod
    def unpack(cls, packed: Iterable[PackedReport]) -> Book:
        """Return the book of its packed members.

        Raises:
            ValueError: entries of another size.
        """
        found = dict(packed)
        if any(len(entries) % _ENTRY.size for entries in found.values()):
            raise ValueError("entries of a report's revisions are cut short")
        return cls(found)


def digest_of(report: Report) -> bytes:
    """Return the digest of all that a report says but its type, id and number.

    A number that RFC 8785 does not take (a whole one of 2^53 and above, through another door) is digested as Python writes it.
    """
    said = [report.sent, report.reason, report.fields]
    try:
        text = canonical_bytes(said)
    except ValueError:
        text = json.dumps(said, sort_keys=True).encode()
    return hashlib.blake2b(text, digest_size=8).digest()
