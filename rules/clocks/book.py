"""Which revisions of which reports have come: each number counts once, whatever order they arrive in (contracts.md §1)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rules.records import Report

MAX_REPORTS = 20_000
"""Reports of a facility whose revisions are remembered; the one that was touched longest ago goes out first."""
MAX_REVISIONS = 32
PackedReport: TypeAlias = tuple[str, str, list[tuple[int, bytes]]]


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


@dataclass(slots=True)
class Book:
    """The reports of one facility, by type and id; the one that was touched last stands last."""

    reports: dict[tuple[str, str], dict[int, bytes]] = field(default_factory=dict)
    """Revision -> digest of what it says."""

    def meet(self, report: Report) -> Met:
        """Say what a report is to those before it, and keep its number."""
        key = (report.type, report.id)
        known = self.reports.pop(key, {})
        self.reports[key] = known
        if len(self.reports) > MAX_REPORTS:
            del self.reports[next(iter(self.reports))]
        digest = digest_of(report)
        if report.revision in known:
            return Met.REPEATED if known[report.revision] == digest else Met.CONFLICT
        if report.revision > 1 and not (report.reason or "").strip():
            return Met.UNREASONED
        known[report.revision] = digest
        if len(known) > MAX_REVISIONS:
            del known[min(known)]
        return Met.TAKEN

    def pack(self) -> list[PackedReport]:
        """Return the members for a snapshot."""
        return [(*key, sorted(known.items())) for key, known in self.reports.items()]

    @classmethod
    def unpack(cls, packed: list[PackedReport]) -> Book:
        """Return the book of its packed members."""
        return cls({(kind, name): dict(known) for kind, name, known in packed})


def digest_of(report: Report) -> bytes:
    """Return the digest of all that a report says but its number."""
    said = report.model_dump(mode="json", exclude={"revision"})
    # RFC 8785 refuses whole numbers beyond 2^53, which a field of a record may hold.
    whole = json.dumps(said, sort_keys=True, allow_nan=False).encode()
    return hashlib.blake2b(whole, digest_size=8).digest()
