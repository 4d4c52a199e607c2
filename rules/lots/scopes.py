"""For whom a rule over lots speaks: what facilities were registered for when things happened (ADR 0095).

The fold of lots has no register. The facility's own fold says with each fact what its register names for the fact's time (`Registered`); the
books of a lot keep that by facility (`Standing`) and ask it of the facility that an alarm would be of. Facts that do not say it, of workers
before, count as in scope. While nobody has registered a facility, its facts are kept and raise nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rules.layout import NONE
from rules.lots.rows import At
from rules.predicate import covers
from rules.register import Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from rules.lots.facts import LotFact
    from rules.register import Facility
    from rules.rule import Rule

MAX_FORMER: Final = 64
"""Scopes of before that are kept of a facility; behind it the oldest go, and those behind them count for their time."""
MAX_WAITING: Final = 5_000
"""Lots of which a facility that nobody registered told facts: these hear of the register as it comes; others by a further fact."""
Names: TypeAlias = tuple[str, ...]
"""Scopes as facts write them, `field/line`, sorted."""
PackedRegistered: TypeAlias = tuple[list[tuple[At, list[str]]], list[str]]
"""In a snapshot of a facility: until when scopes of before were in force (ms), and these; lots that wait for a register."""
PackedStanding: TypeAlias = tuple[str, bool, list[tuple[At, list[str]]]]
"""In a snapshot of a lot: facility, whether it told facts while nobody had registered it, and since when (ms) it has which scopes."""


def names_of(facility: Facility) -> Names:
    """Return the scopes of a facility as facts write them."""
    return tuple(sorted({f"{one.field}/{one.line}" for one in facility.scopes}))


@dataclass(slots=True)
class Registered:
    """What the first fold knows of a facility's scopes, now and before; instants in ms of the log."""

    now: Names | None = None
    """None: nobody has registered the facility. Follows from its register."""
    former: list[tuple[int, Names]] = field(default_factory=list)
    """Until when which other scopes were in force, oldest first; the first of all since ever."""
    waiting: dict[str, None] = field(default_factory=dict)
    """Lots of which facts were told while nobody had registered it."""

    def take(self, facility: Facility, received: int) -> list[str]:
        """Take a register that is newer; returns, in their order, the lots to which it is to be told that the facility is registered."""
        names = names_of(facility)
        if self.now is not None and names != self.now:
            until = max([received, *(until for until, _ in self.former[-1:])])
            self.former = [*self.former, (until, self.now)][-MAX_FORMER:]
        waiting, self.now, self.waiting = list(self.waiting), names, {}
        return waiting

    def wait(self, lot: str) -> None:
        """Let a lot of which a fact was told hear of the first register."""
        if self.now is None and len(self.waiting) < MAX_WAITING:
            self.waiting[lot] = None

    def at(self, instant: int) -> dict[str, Any]:
        """Return what a fact says of the facility at an instant (event time, ms); nothing while nobody has registered it."""
        if self.now is None:
            return {}
        since = None
        for until, names in self.former:
            if instant < until:
                return {"scopes": names, "since": since}
            since = until
        return {"scopes": self.now, "since": since}

    def pack(self) -> PackedRegistered | None:
        """Return the members for a snapshot; None where there is nothing but what the register says."""
        if not self.former and not self.waiting:
            return None
        return [(until, list(names)) for until, names in self.former], list(self.waiting)

    @classmethod
    def unpack(cls, packed: PackedRegistered) -> Registered:
        """Return what packed members say; `now` is not among them."""
        former, waiting = packed
        return cls(None, [(until, tuple(names)) for until, names in former], dict.fromkeys(waiting))


@lru_cache(maxsize=4096)
def _inside(wanted: Names, own: Names) -> bool:
    return covers(
        *([Scope(field=name.partition("/")[0], line=name.partition("/")[2]) for name in of] for of in (wanted, own))
    )


@lru_cache(maxsize=4096)
def _ever(names: Names) -> tuple[tuple[int, Names], ...]:
    """Return the one period that most facilities have: one object for all lots."""
    return ((NONE, names),)


@dataclass(slots=True)
class Standing:
    """What is known of the scopes of those who told facts of a lot; a function of the set of facts."""

    periods: dict[str, tuple[tuple[int, Names], ...]] = field(default_factory=dict)
    """Facility -> since when (event time, ms; NONE: ever) it has which scopes, oldest first."""
    outside: set[str] = field(default_factory=set)
    """Facilities that told facts while nobody had registered them."""

    def take(self, fact: LotFact) -> bool:
        """Take what a fact says of who tells it; says whether that was not known."""
        if fact.scoped is None:
            return False
        who, said = fact.facility, fact.scoped.scopes
        if said is None:
            new = who not in self.outside
            self.outside.add(who)
            return new
        since, names = NONE if fact.scoped.since is None else fact.scoped.since, tuple(said)
        before = self.periods.get(who, ())
        known = dict(before)
        known[since] = min(names, known.get(since, names))
        after = tuple(sorted(known.items()))
        self.periods[who] = _ever(after[0][1]) if len(after) == 1 and since == NONE else after
        return after != before

    def is_in(self, wanted: Names, facility: str, at: int) -> bool:
        """Say whether a facility had one of the wanted scopes at an event time (ms)."""
        for since, names in reversed(self.periods.get(facility, ())):
            if since <= at:
                return _inside(wanted, names)
        return facility not in self.outside

    def always(self, wanted: Names, facility: str) -> bool | None:
        """Say whether a facility has one of the wanted scopes whenever it is asked; None: it depends on when."""
        periods = self.periods.get(facility, ())
        found = {_inside(wanted, names) for _, names in periods}
        if not periods or periods[0][0] != NONE:
            found.add(facility not in self.outside)
        return found.pop() if len(found) == 1 else None

    def asker(self, rule: Rule) -> Callable[[str, int], bool]:
        """Return what says of a facility and an event time (ms) whether the rule is for it then."""
        wanted = wanted_of(rule)
        return lambda facility, at: self.is_in(wanted, facility, at)

    def pack(self) -> list[PackedStanding]:
        """Return the members for a snapshot, by facility."""
        return [
            (who, who in self.outside, [(since, list(names)) for since, names in self.periods.get(who, ())])
            for who in sorted(self.outside | self.periods.keys())
        ]

    @classmethod
    def unpack(cls, packed: list[PackedStanding]) -> Standing:
        """Return what packed members say."""
        found = cls()
        for who, outside, rows in packed:
            if outside:
                found.outside.add(who)
            periods = tuple((since, tuple(names)) for since, names in rows)
            if periods:
                found.periods[who] = _ever(periods[0][1]) if len(periods) == 1 and periods[0][0] == NONE else periods
        return found


def wanted_of(rule: Rule) -> Names:
    """Return the scopes of a rule as facts write them."""
    return tuple(sorted({f"{one.field}/{one.line}" for one in rule.scopes}))
