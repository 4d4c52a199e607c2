"""What is kept of a rule that was put aside for a facility because it raised (rules/failing.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rules.occurrence import Occurrence


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

    def pack(self) -> list[Any]:
        """Return the members as a list for a snapshot."""
        left = [[list(subject.items()), occurrence.pack()] for subject, occurrence in self.left]
        return [self.occurrence.pack(), self.use, self.muted, left]

    @classmethod
    def unpack(cls, row: list[Any]) -> Aside:
        """Return what a packed list says."""
        left = [(dict(subject), Occurrence.unpack(packed)) for subject, packed in row[3]]
        return cls(Occurrence.unpack(row[0]), row[1], row[2], left)
