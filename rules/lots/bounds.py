"""Lots that are let go of: a firm that posts serial numbers as lots must not fill the memory of whoever folds them.

Only *quiet* lots go: those of which no change was told, so no stream has a gap. Of a firm no more than `MAX_FIRST` quiet lots are kept that
it named first, and `MAX_QUIET` of all firms of a partition; the oldest go, a tenth at once, and those with a stop or a recall, and products,
behind all others. What is left of them is who had told facts of them. What such a firm had of a lot that is named later is unknown from then on.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from rules.lots.store import LotState

MAX_FIRST: Final = 20_000
"""Quiet lots of a partition that one facility named first: behind it the oldest of them go out ..."""
MAX_QUIET: Final = 60_000
"""... and of all facilities: 3.7 KiB each come to 220 MiB."""


@dataclass(slots=True)
class Quiet:
    """Who named the quiet lots of a partition first, and who had told facts of those that went out.

    A lot that goes is known until its state row says so (`written`): should it be named before, all of it is there again. Only what a state
    row says may change a verdict, and only of lots that are named behind it: so a start from any row finds what was found before.
    """

    by_first: Counter[str] = field(default_factory=Counter)
    going: dict[str, LotState] = field(default_factory=dict)
    """Lots that go, with all that is known of them, until a state row says that they went."""
    gaps: dict[str, int] = field(default_factory=dict)
    """Facilities that told facts of lots that went; from which offset on lots that are named may be one of these."""
    dropped: int = 0
    """Lots that went since the process began."""
    _whole: frozenset[str] = frozenset()
    _newest: int = 0

    def begin(self, lot: str, facility: str, offset: int | None) -> LotState:
        """Return a lot that a facility names: one that was about to go, else a new one; None: where it stands is not known."""
        state = self.going.pop(lot, None)
        if state is None:
            state = LotState(lot, first=facility, since=0 if offset is None else offset)
            state.book.gaps = self._at(offset)
        self.by_first[state.first] += 1
        return state

    def _at(self, offset: int | None) -> frozenset[str]:
        """Return whose facts may be missing of a lot that is named at an offset."""
        if offset is None or offset >= self._newest:
            return self._whole
        return frozenset(name for name, since in self.gaps.items() if since <= offset)

    def _miss(self, facilities: frozenset[str], since: int) -> None:
        self.gaps |= {name: min(since, self.gaps.get(name, since)) for name in facilities}
        self._newest = max(self.gaps.values(), default=0)
        self._whole = self._whole if facilities <= self._whole else self._whole | facilities

    def stays(self, lot: str) -> LotState:
        """Return a lot that was about to go and of which something was told now: it is kept for ever."""
        return self.going.pop(lot)

    def speaks(self, state: LotState) -> None:
        """Take note that a lot is quiet no more: it is kept for ever."""
        self.by_first[state.first] -= 1

    def restored(self, state: LotState) -> bool:
        """Take a lot as its snapshot says; False: it went, and is none."""
        if state.book.gaps:
            self._miss(state.book.gaps, state.since)
        if state.went:
            return False
        if state.book.gaps == self._whole:  # one set for all lots of a time
            state.book.gaps = self._whole
        self.by_first[state.first] += not state.seq
        return True

    def let_go(self, lots: dict[str, LotState], named: LotState) -> None:
        """Let the oldest quiet lots go where a facility, or all of them, have too many.

        Args:
            lots: of the partition; they are altered.
            named: was named just now, and stays.
        """
        whole = sum(self.by_first.values()) if len(lots) > MAX_QUIET else 0
        if self.by_first[named.first] > MAX_FIRST:
            quiet, most = [one for one in lots.values() if not one.seq and one.first == named.first], MAX_FIRST
        elif whole > MAX_QUIET:
            quiet, most = [one for one in lots.values() if not one.seq], MAX_QUIET
        else:
            return
        quiet = [one for one in quiet if one is not named]
        quiet.sort(
            key=lambda one: (bool(one.book.stops or one.book.notices or one.book.portions), one.received, one.lot)
        )
        for state in quiet[: len(quiet) + 1 - most + most // 10]:
            self.by_first[state.first] -= 1
            self.going[state.lot] = lots.pop(state.lot)

    def row(self, lot: str, offset: int) -> LotState | None:
        """Return what a state row says of a lot that goes, by the offset that is folded next; None: it does not go."""
        state = self.going.get(lot)
        if state is None:
            return None
        return state.left_over(state.book.gaps | state.book.tellers(), offset)

    def written(self, lot: str, offset: int) -> bool:
        """Say that a state row holds what `row` says: nothing else is known of the lot any more; False: it does not go."""
        row = self.row(lot, offset)
        if row is None:
            return False
        del self.going[lot]
        self.dropped += 1
        self._miss(row.book.gaps, offset)
        return True
