"""What an officer's decision does to what a rule finds of a lot: the alarm that it names ends, and what had come by then is done with (ADR 0075).

A decision counts where the alarm that it names is what the facts received up to it make, behind those that an earlier one is done
with. So what holds stays a function of the set of facts, decisions among them, whatever order they come in.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from rules.changes import alarm_id
from rules.layout import NEVER, NONE
from rules.lots.spell import Closed

if TYPE_CHECKING:
    from collections.abc import Callable

    from rules.lots.book import Book
    from rules.lots.spell import Spell

    SpellOf = Callable[[int, int], Spell | None]


def closed_and_open(rule: str, book: Book, spell_of: SpellOf) -> list[Spell]:
    """Return the spells that decisions ended, and behind them the one that lasts, if there is one.

    Args:
        rule: its id.
        book: of the lot.
        spell_of: returns the spell that is made by what was received behind one instant, and not behind another (ms).
    """
    spells: list[Spell] = []
    uses: Counter[tuple[int, str]] = Counter()
    done = NONE
    decided = sorted((received, name, alarm, code) for (alarm, name), (received, code) in book.decisions.items())
    for received, name, alarm, code in decided:
        spell = spell_of(done, received)
        if spell is None:
            continue
        use = uses[spell.start, spell.facility] + 1
        if alarm_id(rule, spell.facility, {"lot": book.lot}, spell.start, use) != alarm:
            continue
        uses[spell.start, spell.facility] = use
        end = max(received, spell.start)
        spells.append(replace(spell, end=end, use=use, closed=Closed(received, code, ("decision", name))))
        done = received
    last = spell_of(done, NEVER)
    if last is not None:
        spells.append(replace(last, use=uses[last.start, last.facility] + 1))
    return sorted(spells, key=lambda one: one.start)
