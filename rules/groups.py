"""The silences of places that a facility has, as they were raised, with what is asked of them again and again looked up and not searched.

A facility may have thousands of areas, and each decision about one of them asks for its own silence, for what is due next, and for what may be
forgotten. All that is kept here beside the list follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rules.layout import NEVER, NONE
from rules.occurrence import Occurrence

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from rules.layout import Codes, Words
    from rules.places import Grouping
    from rules.snapshot import PackedGroup

Key = tuple[str, str]
"""Rule and place."""
Mark = tuple[list["Group"], int]
_ROOM = 16
"""Groups that there is room for at first."""


@dataclass(slots=True, eq=False)
class Group:
    """A silence of an area (or, with an empty place, of the facility) under one gap rule."""

    rule: str
    place: str
    occurrence: Occurrence
    lo: int
    interval: int
    raised: int
    due: int = NEVER
    """The next step by the clock."""
    release: int = NEVER
    """When, after its end, what is still silent is released."""
    use: int = 0
    """How often its start was taken, with this time; 0 where it is not known. It follows from the alarm's id."""
    number: int = 0
    """By which groups of a facility are ordered as they were raised; in no snapshot, as the next two."""
    row: int = 0
    """Where it stands in the columns of `Groups`."""
    open: int = 0
    """Alarms that it suppressed and that were not retracted since."""

    @property
    def key(self) -> Key:
        """Return its rule and place."""
        return self.rule, self.place

    @property
    def holds(self) -> bool:
        """Say whether it stands, or has ended and is still to release what it suppressed."""
        return self.occurrence.active or self.release != NEVER

    @property
    def held(self) -> bool:
        """Say whether it stands, is still to release something, or hangs on what it suppressed."""
        return self.holds or bool(self.occurrence.children)

    def pack(self) -> PackedGroup:
        """Return the members for a snapshot."""
        times = (self.lo, self.interval, self.raised, self.due, self.release)
        return (self.rule, self.place, self.occurrence.pack(), *times)

    @classmethod
    def unpack(cls, row: PackedGroup) -> Group:
        """Return the group of its packed members."""
        return cls(row[0], row[1], Occurrence.unpack(row[2]), *row[3:])


class Groups:
    """The groups of a facility, oldest first. Whoever changes a group's occurrence or times says so (`note`)."""

    def __init__(self, found: Iterable[Group] = ()) -> None:
        """Begin with some groups."""
        self._children: dict[str, Key] = {}
        """Suppressed alarm of a tag -> its rule and tag."""
        self._grouping: Grouping | None = None
        self._next = 0
        self._build(list(found))

    def _build(self, found: list[Group]) -> None:
        self._listed: list[Group] = []
        self._of: dict[Key, list[Group]] = {}
        self._rules: dict[str, dict[str, None]] = {}
        """Place -> rules that have groups of it."""
        self._by_start: dict[tuple[str, str, int], list[Group]] = {}
        self._twice: set[tuple[str, str, int]] = set()
        """Starts that more than one group has."""
        self._by_alarm: dict[str, Group] = {}
        self._over: dict[str, list[Group]] = {}
        """Alarm -> groups that suppressed it."""
        self._under: dict[str, dict[int, Group]] = {}
        """Alarm -> groups that it suppresses now, by number."""
        self._lasting: set[int] = set()
        """Rows of those that last."""
        self._whole: dict[int, Group] = {}
        """Those of which all that they suppressed was retracted, and they themselves not yet, by number."""
        self._at: list[Group | None] = []
        self._free: list[int] = []
        self._dues, self._ends, self._starts = np.full((3, _ROOM), NEVER)
        self._next_due: int | None = NEVER
        """The earliest of `_dues`, None: it is to be looked for."""
        self._told_by = np.full(_ROOM, NONE)
        """Instance of a series by which the start of each may come again, as it was found last (`again`)."""
        self._own: Codes = np.zeros(0 if self._grouping is None else len(self._grouping.keys), np.uint8)
        for group in found:
            self.add(group)
        self._children = {alarm: key for alarm, key in self._children.items() if alarm in self._over}

    def __iter__(self) -> Iterator[Group]:
        """Go through them in the order in which they were raised."""
        return iter(self._listed)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._listed)

    def fit(self, grouping: Grouping) -> None:
        """Take the places of another plan."""
        self._grouping = grouping
        self._own = np.zeros(len(grouping.keys), np.uint8)
        self._told_by[:] = NONE
        for group in self._listed:
            self.note(group)

    def know(self, occurrences: Mapping[tuple[int, str, str], list[Occurrence]], kind: int) -> None:
        """Look up whose alarms the suppressed ones are; `kind` of the instances of tags. A snapshot does not say it."""
        for (of, rule, tag), rows in occurrences.items():
            if of == kind:
                self._children |= {one.alarm: (rule, tag) for one in rows if one.alarm in self._over}

    # -- what changes ----------------------------------------------------------------------------------------------------
    def add(self, group: Group) -> None:
        """Take a group that is raised."""
        group.number, self._next = self._next, self._next + 1
        if self._free:
            group.row = self._free.pop()
            self._at[group.row] = group
        else:
            group.row = len(self._at)
            self._at.append(group)
            if group.row == self._dues.size:
                self._grow()
        self._listed.append(group)
        self._of.setdefault(group.key, []).append(group)
        self._rules.setdefault(group.place, {})[group.rule] = None
        start = _start(group)
        self._by_start.setdefault(start, []).append(group)
        if len(self._by_start[start]) > 1:
            self._twice.add(start)
        occurrence = group.occurrence
        self._starts[group.row], self._told_by[group.row] = occurrence.first_start, NONE
        self._by_alarm[occurrence.alarm] = group
        for alarm in occurrence.children:
            self._over.setdefault(alarm, []).append(group)
        group.open = sum(not gone for gone in occurrence.children.values())
        if occurrence.children and not group.open and not occurrence.retracted:
            self._whole[group.number] = group
        if occurrence.by is not None:
            self._under.setdefault(occurrence.by, {})[group.number] = group
        self.note(group)

    def _grow(self) -> None:
        blank = np.full(self._dues.size, NEVER)
        self._dues, self._ends, self._starts, self._told_by = (
            np.concatenate([column, blank]) for column in (self._dues, self._ends, self._starts, self._told_by)
        )

    def note(self, group: Group) -> None:
        """Take notice of what became of a group: it ended, was retracted, or something else of it is due. Nothing, of one that is no more among them."""
        if group.row >= len(self._at) or self._at[group.row] is not group:
            return
        occurrence = group.occurrence
        if occurrence.active:
            self._lasting.add(group.row)
        else:
            self._lasting.discard(group.row)
        ended = not occurrence.active and group.release == NEVER
        self._dues[group.row], self._next_due = min(group.due, group.release), None
        self._ends[group.row] = occurrence.end if ended else NEVER
        if occurrence.retracted:
            self._whole.pop(group.number, None)
        number = None if self._grouping is None else self._grouping.number.get(group.key)
        if number is not None:
            self._own[number] = self.standing(*group.key) is not None

    def cover(self, group: Group, alarm: str, of: Key | None = None) -> None:
        """Let a group suppress an alarm; `of` are rule and tag where it is a tag's."""
        children = group.occurrence.children
        known = children.get(alarm)
        if known is None:
            self._over.setdefault(alarm, []).append(group)
        group.open += known is not False
        children[alarm] = False
        self._whole.pop(group.number, None)
        if of is not None:
            self._children[alarm] = of

    def retracted(self, alarm: str) -> None:
        """Take notice that an alarm was retracted, whoever suppressed it."""
        for group in self._over.get(alarm, ()):
            if not group.occurrence.children[alarm]:
                group.occurrence.children[alarm] = True
                group.open -= 1
                if not group.open and not group.occurrence.retracted:
                    self._whole[group.number] = group

    def let_go(self, group: Group) -> None:
        """Let a group know nothing any more of what it suppressed."""
        for alarm in group.occurrence.children:
            self._leave(group, alarm)
        group.occurrence.children, group.open = {}, 0
        self._whole.pop(group.number, None)

    def put_under(self, group: Group, by: str | None) -> None:
        """Let an alarm suppress a group, or (None) let the group speak."""
        before, group.occurrence.by = group.occurrence.by, by
        if before is not None:
            self._unhang(group, before)
        if by is not None:
            self._under.setdefault(by, {})[group.number] = group

    def drop(self, gone: Collection[Group]) -> None:
        """Forget groups."""
        if not gone:
            return
        numbers = {group.number for group in gone}
        self._listed = [group for group in self._listed if group.number not in numbers]
        for group in gone:
            self._forget(group)

    def _forget(self, group: Group) -> None:
        start, alarm, by = _start(group), group.occurrence.alarm, group.occurrence.by
        self._of[group.key].remove(group)
        if not self._of[group.key]:
            del self._of[group.key], self._rules[group.place][group.rule]
        self._by_start[start].remove(group)
        if len(self._by_start[start]) == 1:
            self._twice.discard(start)
        if not self._by_start[start]:
            del self._by_start[start]
        if self._by_alarm.get(alarm) is group:
            del self._by_alarm[alarm]
        for child in group.occurrence.children:
            self._leave(group, child)
        if by is not None:
            self._unhang(group, by)
        self._whole.pop(group.number, None)
        self._lasting.discard(group.row)
        self._at[group.row] = None
        self._free.append(group.row)
        self._dues[group.row] = self._ends[group.row] = NEVER
        self._next_due = None

    def _leave(self, group: Group, alarm: str) -> None:
        self._over[alarm].remove(group)
        if not self._over[alarm]:
            del self._over[alarm]
            self._children.pop(alarm, None)

    def _unhang(self, group: Group, by: str) -> None:
        below = self._under[by]
        del below[group.number]
        if not below:
            del self._under[by]

    def mark(self) -> Mark:
        """Return what `put_back` asks for."""
        return self._listed, len(self._listed)

    def put_back(self, mark: Mark) -> None:
        """Take back which groups were raised and forgotten since a mark, whatever became of the others."""
        listed, count = mark
        self._build(listed[:count])

    def replace(self, groups: list[Group]) -> None:
        """Take other groups, oldest first."""
        self._build(groups)

    # -- what is asked ---------------------------------------------------------------------------------------------------
    def of(self, rule: str, place: str) -> list[Group]:
        """Return the groups of a rule and a place, oldest first."""
        return self._of.get((rule, place), [])

    def standing(self, rule: str, place: str) -> Group | None:
        """Return the silence of a rule and a place that lasts: only the newest can."""
        found = self._of.get((rule, place))
        return found[-1] if found and found[-1].occurrence.active else None

    def lasting(self, place: str) -> list[Group]:
        """Return the silences of a place that last, of all rules."""
        found = (self.standing(rule, place) for rule in self._rules.get(place, ()))
        return [group for group in found if group is not None]

    @property
    def is_any_lasting(self) -> bool:
        """Say whether a silence of any place lasts."""
        return bool(self._lasting)

    def all_lasting(self, places: Iterable[str]) -> list[Group]:
        """Return the silences of some places that last."""
        return [group for place in places for group in self.lasting(place)]

    def had(self, rule: str, place: str, start: int) -> list[Group]:
        """Return the groups that were raised with a start, oldest first."""
        return self._by_start.get((rule, place, start), [])

    def by_alarm(self, alarm: str) -> Group | None:
        """Return the group that an alarm is of."""
        return self._by_alarm.get(alarm)

    def under(self, alarm: str) -> list[Group]:
        """Return the groups that last and are suppressed by an alarm, oldest first."""
        return [group for _, group in sorted(self._under.get(alarm, {}).items()) if group.occurrence.active]

    def tag_of(self, alarm: str) -> Key | None:
        """Return rule and tag of a suppressed alarm, None: it is none of a tag, or nothing is known of it any more."""
        return self._children.get(alarm)

    def whole(self, rule: str) -> list[Group]:
        """Return the groups of a rule that have ended, and of which all that they suppressed was retracted; by place."""
        found = [
            group for _, group in sorted(self._whole.items()) if group.rule == rule and group.occurrence.end != NONE
        ]
        return sorted(found, key=lambda group: group.place)

    def next_due(self) -> int:
        """Return when something of them is due next."""
        if self._next_due is None:
            self._next_due = int(self._dues.min()) if self._listed else NEVER
        return self._next_due

    def due_at(self, due: int) -> list[Group]:
        """Return the groups of which something is due at an instant."""
        rows = np.flatnonzero(self._dues <= due).tolist()
        found = [group for row in rows if (group := self._at[row]) is not None]
        return [group for group in found if due in (group.due, group.release)]

    def ended_until(self, instant: int) -> Words:
        """Return the rows of the groups that ended no later than an instant of event time and have nothing to release."""
        return np.flatnonzero(self._ends <= instant)

    def without_again(self, rows: Words, starts: Words, others: Words) -> list[Group]:
        """Return which of the groups in some rows have a start that is no other's.

        Args:
            rows: of groups.
            starts: that may come again, one of each instance.
            others: the same.
        """
        known, mine = self._told_by[rows], self._starts[rows]
        stay = (known != NONE) & ((starts[known] == mine) | (others[known] == mine))
        rows, mine = rows[~stay], mine[~stay]
        if rows.size:
            every = np.concatenate([starts, others])
            order = np.argsort(every, kind="stable")
            place = np.minimum(np.searchsorted(every[order], mine), every.size - 1)
            found = order[place]
            again = every[found] == mine
            self._told_by[rows[again]] = found[again] % starts.size
            rows = rows[~again]
        return [group for row in rows.tolist() if (group := self._at[row]) is not None]

    def repeated(self) -> list[Group]:
        """Return the groups that nothing holds and of which a newer one took the same start."""
        return [group for start in self._twice for group in self._by_start[start][:-1] if not group.held]

    def own(self) -> Codes:
        """Return of each place of the plan whether its own silence lasts."""
        return self._own


def _start(group: Group) -> tuple[str, str, int]:
    return group.rule, group.place, group.occurrence.first_start


__all__ = ["Group", "Groups"]
