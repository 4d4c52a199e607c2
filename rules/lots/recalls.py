"""The notices of a lot that decide something: of each holder its earliest decision, and of two holders the earliest word to the chain."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rules.lots.rows import Evidence, OfReport

Heard: TypeAlias = "tuple[int, str, str, Evidence]"
"""When it was decided or told (ms), the holder, the report, and the record with its revision."""


@dataclass(slots=True)
class Recalls:
    """What the notices that name a lot say; it follows from them, whatever order they came in."""

    decided: dict[str, Heard] = field(default_factory=dict)
    """Holder -> its earliest decision."""
    told: list[Heard] = field(default_factory=list)
    """The earliest word to the chain, and the earliest of another holder: the first is no word of another to who gave it."""

    def take(self, key: tuple[str, str], notice: OfReport) -> None:
        """Take a notice that is new."""
        if not notice.named:
            return
        holder, report = key
        record = ("report", f"{report}/{notice.revision}")
        decided = (notice.decided, holder, report, record)
        self.decided[holder] = min(decided, self.decided.get(holder, decided))
        earliest: dict[str, Heard] = {}
        for one in sorted([*self.told, (notice.at, holder, report, record)]):
            earliest.setdefault(one[1], one)
        self.told = sorted(earliest.values())[:2]

    def of(self, facility: str, notice: int) -> tuple[int, str, Evidence] | None:
        """Return from when a facility knows of a stop by these, whose notice says so, and the record; None: of none.

        Args:
            facility: by its own decision, if it gave notice; by any other holder's word to the chain ...
            notice: ... and so many ms behind that.
        """
        own = self.decided.get(facility)
        other = next((one for one in self.told if one[1] != facility), None)
        known = [] if own is None else [own]
        known += [] if other is None else [(other[0] + notice, *other[1:])]
        if not known:
            return None
        at, holder, _, record = min(known)
        return at, holder, record


def recalls_of(notices: dict[tuple[str, str], OfReport]) -> Recalls:
    """Return what notices say, each named by (holder, report)."""
    recalls = Recalls()
    for key, notice in notices.items():
        recalls.take(key, notice)
    return recalls
