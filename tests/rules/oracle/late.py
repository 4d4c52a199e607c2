"""Compare what was published with what now holds, in the words of docs/engine-semantics.md ("Late rows")."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Said:
    """One published occurrence."""

    start: int
    end: int | None
    colour: int
    top: int
    unknown: bool
    name: tuple
    retracted: bool = False
    by: object = None

    def __getitem__(self, name):
        return getattr(self, name)

    def __setitem__(self, name, value):
        setattr(self, name, value)


class Draft:
    """That parts of a back-fill were decided and not told: where the horizon began before the first, and the newest row of all."""

    def __init__(self, floor, at):
        self.floor, self.at = floor, at
        self.live = set()  # starts that a row in order raised meanwhile

    def hear(self, events):
        self.at = max([self.at, *(event.at for event in events)])
        self.live |= {event.start for event in events if event.kind == "raised"}


def occurrences(events):
    """Return the occurrences of a list of transitions as (start, end, colour, top, unknown, event time of the row that ended it)."""
    found = []
    for event in events:
        if event.kind == "raised":
            found.append([event.start, None, event.colour, event.colour, False, None])
        elif event.kind == "stepped":
            found[-1][2] = event.colour
            found[-1][3] = max(found[-1][3], event.colour)
        elif event.kind in ("unknown", "known"):
            found[-1][4] = event.kind == "unknown"
        else:
            found[-1][1] = event.end
            found[-1][4], found[-1][5] = False, event.at
    return found


def overlaps(said, new):
    """Say whether two occurrences share time."""
    return said.start < (1 << 62 if new[1] is None else new[1]) and new[0] < (1 << 62 if said.end is None else said.end)


def differences(published, now, floor=-1):
    """Yield (start, kind, said or None, new or None) for everything late data changes.

    What had ended by `floor`, the newest row that has left the horizon, stands as it was told: also where a colour between had
    been another one before it left, which is told of an alarm that has ended and not of one that is open.
    """
    left = sorted((said for said in published if not said.retracted), key=lambda said: said.start)
    pairs = {}
    for test in (lambda said, new: said.start == new[0], overlaps):
        for i, new in enumerate(now):
            if i not in pairs:
                hit = next((said for said in left if test(said, new)), None)
                if hit is not None:
                    pairs[i] = hit
                    left.remove(hit)
    found = []
    for i, new in enumerate(now):
        said = pairs.get(i)
        if said is None:
            found.append((new[0], "raised", None, new))
            continue
        closed = new[1] is not None
        if closed and said.end is not None and new[5] <= floor:
            continue
        was_closed = said.end is not None
        moved = said.start != new[0] or (said.top != new[3] if closed else said.colour != new[2])
        if moved or (was_closed and said.end != new[1]):
            found.append((new[0], "amended", said, new))
        if not closed and said.unknown != new[4]:
            found.append((new[0], "unknown" if new[4] else "known", said, new))
        if closed and not was_closed:
            found.append((new[0], "cleared", said, new))
    found.extend((said.start, "retracted", said, None) for said in left)
    return sorted(found, key=lambda item: item[0])
