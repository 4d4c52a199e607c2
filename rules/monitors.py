"""When the monitors of an area were switched off, as their events tell (`device` / `monitor`, `state: on | off`; catalogue part 2, §12).

A monitor is off from an event that says so to its next one that says on. So events may come in any order, again, or late. What is kept is bounded, and
counted where it goes (ADR 0050). All times are event times in ms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from rules.layout import NEVER, NONE

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SWITCHES = 64
"""Events of the monitors of an area that are kept: first those go that repeat what the one before them said, then the oldest that another one follows."""
STATES = {"on": False, "off": True}
_At: TypeAlias = Annotated[int, msgspec.Meta(ge=NONE, lt=NEVER)]
PackedMonitors: TypeAlias = list[tuple[str, _At, list[tuple[str, list[tuple[_At, bool]]]]]]
"""In a snapshot: area, its floor, and of each device when it was told to be on or off."""


@dataclass(slots=True)
class Switches:
    """What was told of the monitors of one area."""

    floor: int = NONE
    """An event up to it is stale: one that another followed has gone out."""
    by_device: dict[str, dict[int, bool]] = field(default_factory=dict)
    """Device -> event time -> off?"""

    def put(self, device: str, at: int, *, off: bool) -> str:
        """Take what an event tells; of one instant `on` wins. Returns what became of one: kept, stale, or dropped (one of them went for it)."""
        if at <= self.floor:
            return "stale"
        told = self.by_device.setdefault(device, {})
        told[at] = off and told.get(at, True)
        if sum(map(len, self.by_device.values())) <= MAX_SWITCHES:
            return "kept"
        return "dropped" if self._drop() else "kept"

    def _drop(self) -> bool:
        """Let go of one event; says whether anything goes with it that was told."""
        found = list(self._all())
        again = [(t, device) for t, device, repeats, _ in found if repeats]
        if again:
            t, device = min(again)
            del self.by_device[device][t]
            return False
        followed = [(t, device) for t, device, _, followed in found if followed] or [(t, one) for t, one, *_ in found]
        t, device = min(followed)
        del self.by_device[device][t]
        if not self.by_device[device]:
            del self.by_device[device]
        self.floor = max(self.floor, t)
        return True

    def _all(self) -> Iterator[tuple[int, str, bool, bool]]:
        """Yield (event time, device, whether it repeats the one before, whether another follows) of each event."""
        for device, told in self.by_device.items():
            times = sorted(told)
            for i, t in enumerate(times):
                yield t, device, i > 0 and told[t] == told[times[i - 1]], i + 1 < len(times)

    def spans(self) -> list[tuple[int, int]]:
        """Return when one was off, both ends inside, by time; NEVER is the end of one that is still off. Spans that overlap or touch are one.

        >>> Switches(by_device={"M1": {5: True, 9: False}, "M2": {8: True, 12: False, 20: True}}).spans()[:1]
        [(5, 12)]
        """
        single = []
        for told in self.by_device.values():
            since = NONE
            for t, off in sorted(told.items()):
                if off and since == NONE:
                    since = t
                elif not off and since != NONE:
                    single.append((since, t))
                    since = NONE
            if since != NONE:
                single.append((since, NEVER))
        found: list[tuple[int, int]] = []
        for begin, end in sorted(single):
            if found and begin <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], end))
            else:
                found.append((begin, end))
        return found
