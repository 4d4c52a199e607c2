"""For which instants the cases of one rule wait, of what they keep facts, and what was heard where: looked up, where there may be thousands of each.

All of it follows from what is kept, and is in no snapshot.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from rules.layout import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.rare.store import Case, Heard

SPARE = 500
"""Instants that are over and that a book of few cases may hold beside the others."""


class Waiting:
    """The instants for which some cases wait."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.soonest = NEVER
        """The earliest instant for which one began to wait since somebody set this back."""
        self._heap: list[tuple[int, int, Case]] = []
        """Instants for which a case waits, or did; the number keeps cases apart."""
        self._number = 0

    def note(self, case: Case, cases: Iterable[Case], count: int) -> None:
        """Take notice of when the clock decides on a case next.

        Args:
            case: one of them.
            cases: all that may wait here.
            count: how many these are.
        """
        if case.due == NEVER:
            return
        self.soonest = min(self.soonest, case.due)
        if len(self._heap) > 2 * count + SPARE:  # most of them are over
            self._heap = [(one.due, i, one) for i, one in enumerate(cases) if one.due != NEVER]
            self._number = count
            heapify(self._heap)
        self._push(case.due, case)

    def _push(self, due: int, case: Case) -> None:
        heappush(self._heap, (due, self._number, case))
        self._number += 1

    def next_due(self) -> int:
        """Return when the clock decides on one of them next."""
        heap = self._heap
        while heap and not heap[0][2].waits_for(heap[0][0]):
            heappop(heap)
        return heap[0][0] if heap else NEVER

    def due_at(self, due: int) -> list[str]:
        """Return the subjects on which the clock decides at an instant that is none before the next."""
        found: dict[str, Case] = {}
        while self.next_due() == due:
            case = heappop(self._heap)[2]
            found[case.subject] = case
        for case in found.values():
            self._push(due, case)
        return list(found)


class Texts:
    """Which cases keep facts with a text."""

    def __init__(self, cases: Iterable[Case]) -> None:
        """Begin with some cases, which know their subjects."""
        self._subjects: dict[str, dict[str, None]] = {}
        for case in cases:
            self.note(case.subject, {fact.text for fact in case.facts}, set())

    def note(self, subject: str, now: set[str], before: set[str]) -> None:
        """Take notice that a case keeps facts with other texts."""
        for text in now - before:
            self._subjects.setdefault(text, {})[subject] = None
        for text in before - now:
            del self._subjects[text][subject]
            if not self._subjects[text]:
                del self._subjects[text]

    def of(self, text: str) -> list[str]:
        """Return the subjects of the cases that keep facts with a text, in order."""
        return sorted(self._subjects.get(text, ()))


class Areas(dict[tuple[str, str], "Heard"]):
    """(rule, area) -> what was heard there; and (rule, area and what a device did there, behind a space) -> when."""

    def __init__(self) -> None:
        super().__init__()
        self._signs = Texts(())

    def __setitem__(self, key: tuple[str, str], heard: Heard) -> None:
        """Put what was heard under its key."""
        super().__setitem__(key, heard)
        self._signs.note(key[1], _place_of(key), set())

    def __delitem__(self, key: tuple[str, str]) -> None:
        """Forget it."""
        super().__delitem__(key)
        self._signs.note(key[1], set(), _place_of(key))

    def signs(self, rule: str, area: str) -> list[str]:
        """Return what devices did in an area, each with the area before it."""
        return self._signs.of(f"{rule} {area}")


def _place_of(key: tuple[str, str]) -> set[str]:
    """Return rule and area of what a device did; nothing of an area alone."""
    area, space, _ = key[1].partition(" ")
    return {f"{key[0]} {area}"} if space else set()
