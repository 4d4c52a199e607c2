"""Which revisions of which reports have come, and what the newest one says: each number counts once, whatever order they arrive in (contracts.md §1)."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from rules.canonical import canonical_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rules.records import Report

MAX_REPORTS = 20_000
"""Reports of a facility whose revisions are remembered; the one that was touched longest ago goes out first."""
MAX_REVISIONS = 32
"""Revisions of one report that are remembered; the lowest goes out, and a number that is not above it counts as one that came before."""
MAX_SAID = 8_000_000
"""Bytes of what the newest revisions of a facility say; above it the report that was touched longest ago goes out as well."""
_ENTRY = struct.Struct(">I8s")
"""A revision and the digest of what it says."""
_NEW = b"\0"
PackedReport: TypeAlias = tuple[str, bytes]
"""`type id` and its entries, by revision."""


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
    is_newest: bool = False
    """No higher number of it came."""
    gone: tuple[PackedReport, ...] = ()
    """Other reports that went out for it, with what they said."""
    digest: bytes = b""
    """Of what it says ..."""
    kept: bytes = b""
    """... and of what its number said before; nothing where the number is its own."""


@dataclass(slots=True)
class Book:
    """The reports of one facility that were folded, by type and id; the one that was touched last stands last."""

    reports: dict[str, bytes] = field(default_factory=dict)
    """How many entries a report has, the entries, and what its newest revision says (`rules.clocks.saying`): one object, as there are thousands."""
    size: int = 0
    """Bytes of what they say; follows from the rest."""

    def meet(self, report: Report) -> Met:
        """Say what a report is to those before it, and keep its number if it is to be folded."""
        return self.greet(report).met

    def greet(self, report: Report) -> Meeting:
        """Say as well whether it is the first of its id. What is not folded leaves nothing behind."""
        key = name_of(report)
        packed = self.reports.get(key, _NEW)
        entries, said = _split(packed)
        known, digest = dict(_ENTRY.iter_unpack(entries)), digest_of(report)
        kept, is_newest = known.get(report.revision, b""), report.revision > max(known, default=0)
        gone: tuple[PackedReport, ...] = ()
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
            gone = self._touch(key, _joined(b"".join(_ENTRY.pack(*entry) for entry in newest), said))
            met = Met.TAKEN
        return Meeting(met, met is Met.TAKEN and not entries, is_newest, gone, digest, kept)

    def said(self, key: str) -> bytes:
        """Return what the newest revision of a report says, by `type id`; nothing where it is not kept."""
        return _split(self.reports.get(key, _NEW))[1]

    def say(self, key: str, said: bytes) -> tuple[PackedReport, ...]:
        """Keep what the newest revision of a report says that was met; returns the reports that went out for it."""
        entries, before = _split(self.reports[key])
        self.reports[key] = _joined(entries, said)
        self.size += len(said) - len(before)
        return self._make_room()

    def _touch(self, key: str, packed: bytes) -> tuple[PackedReport, ...]:
        """Put a report behind all others; returns those that went out for it."""
        self.reports.pop(key, None)
        self.reports[key] = packed
        return self._make_room()

    def _make_room(self) -> tuple[PackedReport, ...]:
        gone = []
        while len(self.reports) > MAX_REPORTS or (self.size > MAX_SAID and len(self.reports) > 1):
            first = next(iter(self.reports))
            gone.append((first, _split(self.reports.pop(first))[1]))
            self.size -= len(gone[-1][1])
        return tuple(gone)

    def pack(self) -> list[PackedReport]:
        """Return the members for a snapshot: names and entries."""
        return [(key, _split(packed)[0]) for key, packed in self.reports.items()]

    def pack_said(self) -> list[bytes]:
        """Return what they say, in the same order."""
        return [_split(packed)[1] for packed in self.reports.values()]

    @classmethod
    def unpack(cls, packed: Iterable[PackedReport], said: Sequence[bytes] = ()) -> Book:
        """Return the book of its packed members.

        Raises:
            ValueError: entries of another size, or more of them than are kept of a report; what is said of more or fewer reports.
        """
        found = dict(packed)
        if any(len(entries) % _ENTRY.size or len(entries) > 255 * _ENTRY.size for entries in found.values()):
            raise ValueError("entries of a report's revisions are cut short")
        if said and len(said) != len(found):
            raise ValueError("what is said is not of as many reports")
        saying = said or [b""] * len(found)
        joined = {key: _joined(entries, one) for (key, entries), one in zip(found.items(), saying, strict=True)}
        return cls(joined, sum(map(len, saying)))


def name_of(report: Report) -> str:
    """Return by what a report is known: its type and id."""
    return f"{report.type} {report.id}"


def _split(packed: bytes) -> tuple[bytes, bytes]:
    """Return entries, and what is said."""
    end = 1 + packed[0] * _ENTRY.size
    return packed[1:end], packed[end:]


def _joined(entries: bytes, said: bytes) -> bytes:
    return bytes((len(entries) // _ENTRY.size,)) + entries + said


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
