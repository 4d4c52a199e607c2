"""What an officer's decision does to what a rule finds of a lot: the alarm that it names ends, and what that was of is done with (ADR 0075, 0081).

A decision counts where the alarm that it names is one of those that the facts received up to it make, without what an earlier one is done
with. So what holds stays a function of the set of facts, decisions among them, whatever order they come in.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rules.changes import alarm_id
from rules.layout import NEVER, NONE
from rules.lots.cases import Item
from rules.lots.spell import Closed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rules.lots.book import Book
    from rules.lots.spell import Spell

    SpellsOf = Callable[["Done", int], list[Spell]]


@dataclass(frozen=True, slots=True)
class Done:
    """What decisions are done with."""

    received: int = NONE
    """Of moves: all that were received up to here, ms."""
    names: frozenset[str] = frozenset()
    """Of cases: those of the clusters that were closed."""


def named_by(rule: str, book: Book, lot: str, starts: Iterable[tuple[int, str]]) -> frozenset[str]:
    """Return which of the alarms that a lot can have decisions name: those of some starts (ms) at some facilities.

    The second of one start is looked for where a decision names the first, and so on: none is made without it.
    """
    alarms, found = {alarm for alarm, _ in book.decisions}, set[str]()
    for start, facility in starts if alarms else ():
        for use in range(1, len(book.decisions) + 1):
            alarm = alarm_id(rule, facility, {"lot": lot}, start, use)
            if alarm not in alarms:
                break
            found.add(alarm)
    return frozenset(found)


def closed_and_open(
    rule: str, book: Book, spells_of: SpellsOf, lot: str | None = None, named: frozenset[str] | None = None
) -> list[Spell]:
    """Return the spells that decisions ended, and those that last, by start.

    Args:
        rule: its id.
        book: of the lot.
        spells_of: returns the spells that are made by what was received up to an instant (ms) and is not done with.
        lot: that they are of, where the book is a product's; None: the book's.
        named: alarms of the lot that decisions name, of which one may be theirs; None: any.
    """
    spells: list[Spell] = []
    uses: Counter[tuple[int, str]] = Counter()
    done = Done()
    decided = sorted((received, name, alarm, code) for (alarm, name), (received, code) in book.decisions.items())
    if named is not None:
        decided = [one for one in decided if one[2] in named]
    for received, name, alarm, code in decided:
        for spell in spells_of(done, received):
            use = uses[spell.start, spell.facility] + 1
            if alarm_id(rule, spell.facility, {"lot": book.lot if lot is None else lot}, spell.start, use) != alarm:
                continue
            uses[spell.start, spell.facility] = use
            end = max(received, spell.start)
            spells.append(replace(spell, end=end, use=use, closed=Closed(received, code, ("decision", name))))
            done = Done(received, done.names | {one.name for one in spell.items if isinstance(one, Item)})
            break
    lasting = spells_of(done, NEVER)
    spells += [replace(one, use=uses[one.start, one.facility] + 1) for one in lasting]
    return sorted(spells, key=lambda one: one.start)
