"""Lots that are let go of: a firm that posts serial numbers as lots must not fill the memory of whoever folds them.

Only *quiet* lots go: those of which no change was told, so no stream has a gap. Of a firm no more than `MAX_FIRST` quiet lots are kept that
it named first, and `MAX_QUIET` of all firms of a partition; the oldest go, a tenth at once, and those with a stop or a recall behind all
others. What is left of them is who had told facts of them. What such a firm had of a lot that is named later is unknown from then on.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rules.lots.store import LotState

MAX_FIRST: Final = 20_000
"""Quiet lots of a partition that one facility named first: behind it the oldest of them go out ..."""
MAX_QUIET: Final = 60_000
"""... and of all facilities: 3.7 KiB each come to 220 MiB."""


@dataclass(slots=True)
class Quiet:
    """Who named the quiet lots of a partition first, and who had told facts of those that went out."""

    by_first: Counter[str] = field(default_factory=Counter)
    gone: dict[str, LotState] = field(default_factory=dict)
    """Lots that went out since the last checkpoint, with nothing but who had told facts of them: their snapshots say so."""
    gaps: frozenset[str] = frozenset()
    """Facilities that told facts of lots that went out."""
    dropped: int = 0
    """Lots that went out since the process began."""

    def begins(self, state: LotState, facility: str) -> None:
        """Take a lot that is named for the first time, or again behind its going out."""
        self.gone.pop(state.lot, None)
        state.first = facility
        state.book.gaps = self.gaps
        self.by_first[facility] += 1

    def speaks(self, state: LotState) -> None:
        """Take note that a lot is quiet no more: it is kept for ever."""
        self.by_first[state.first] -= 1

    def restored(self, state: LotState) -> bool:
        """Take a lot as its snapshot says; False: it went out, and is none."""
        more = state.book.gaps - self.gaps
        if more:
            self.gaps |= more
        if state.went:
            return False
        if state.book.gaps == self.gaps:  # one set for all lots of a time
            state.book.gaps = self.gaps
        self.by_first[state.first] += not state.seq
        return True

    def let_go(self, lots: dict[str, LotState], named: LotState) -> None:
        """Let the oldest quiet lots go where a facility, or all of them, have too many.

        Args:
            lots: of the partition; they are altered.
            named: was named just now, and stays.
        """
        facility = named.first
        whole = sum(self.by_first.values()) if len(lots) > MAX_QUIET else 0
        if self.by_first[facility] > MAX_FIRST:
            quiet, most = [one for one in lots.values() if not one.seq and one.first == facility], MAX_FIRST
        elif whole > MAX_QUIET:
            quiet, most = [one for one in lots.values() if not one.seq], MAX_QUIET
        else:
            return
        quiet.remove(named)
        quiet.sort(key=lambda one: (bool(one.book.stops or one.book.notices), one.received, one.lot))
        for state in quiet[: len(quiet) + 1 - most + most // 10]:
            self._drop(lots.pop(state.lot))

    def _drop(self, state: LotState) -> None:
        told = {*state.book.floors, *state.book.seen}
        if not told <= self.gaps:
            self.gaps |= told
        self.by_first[state.first] -= 1
        self.dropped += 1
        gaps = state.book.gaps | told
        self.gone[state.lot] = state.left_over(self.gaps if gaps == self.gaps else gaps)
