"""What is kept of a rule that was put aside for a facility because it raised (rules/failing.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

import msgspec

from rules.occurrence import Occurrence, Packed

PackedAside: TypeAlias = tuple[
    Packed, Annotated[int, msgspec.Meta(ge=1)], bool, list[tuple[list[tuple[str, str]], Packed]]
]
"""A rule put aside, in a snapshot: the members of `Aside`, in their order."""


@dataclass(slots=True)
class Aside:
    """One rule that failed at one facility: muted until the packs change; then only its last alarm's start is kept."""

    occurrence: Occurrence
    """The operators' alarm `register.rule-failed`."""
    use: int = 1
    """How often that alarm was raised with the same start: it enters the id (contracts.md §4)."""
    muted: bool = True
    left: list[tuple[dict[str, str], Occurrence]] = field(default_factory=list)
    """What the rule had raised and not ended, with its subject: unknown until the rule is tried again."""

    def pack(self) -> PackedAside:
        """Return the members for a snapshot."""
        left = [(list(subject.items()), occurrence.pack()) for subject, occurrence in self.left]
        return (self.occurrence.pack(), self.use, self.muted, left)

    @classmethod
    def unpack(cls, row: PackedAside) -> Aside:
        """Return what packed members say."""
        left = [(dict(subject), Occurrence.unpack(packed)) for subject, packed in row[3]]
        return cls(Occurrence.unpack(row[0]), row[1], row[2], left)
