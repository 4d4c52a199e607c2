"""What late rows made of an instance at an instant that is not over yet: decided in parts, and told as one (docs/engine-semantics.md, "Late rows"; ADR 0036).

A long back-fill is decided part by part, before rows of it leave the horizon. Each part says how all occurrences are by then; what is told is
what differs at last from what had been told before the first part: of an alarm one change, and none where nothing changed.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from rules import again, layout
from rules.changes import ChangeKind
from rules.kinds.table import CODES, KINDS, NAMES
from rules.layout import NONE
from rules.occurrence import Colour, Folded, Time, book, prune

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.emission import Transition
    from rules.occurrence import Difference, Occurrence
    from rules.plan import Instance
    from rules.state import FacilityState

PackedFolded: TypeAlias = tuple[Time, Time, Colour, Colour, Time, Time, bool, float, float, Time, float]
PackedDraft: TypeAlias = tuple[str, str, str, Time, Time, list[Time], list[PackedFolded]]
"""In a snapshot: kind, rule and tag of an instance, and the members of `Draft`, in their order."""
_CODES = {
    ChangeKind.RAISED: layout.RAISED,
    ChangeKind.STEPPED: layout.STEPPED,
    ChangeKind.UNKNOWN: layout.UNKNOWN,
    ChangeKind.KNOWN: layout.KNOWN,
    ChangeKind.CLEARED: layout.CLEARED,
}


@dataclass(slots=True, kw_only=True)
class Draft:
    """The occurrences of one instance, as far as they are not told; event times in ms."""

    edge: int
    """The newest event time that had left the horizon when the first part was decided: what was told to have ended by then stands."""
    at: int
    """The event time of the newest row that was decided since."""
    live: set[int] = field(default_factory=set)
    """Starts that a row in order raised."""
    final: list[Folded] = field(default_factory=list)
    """The occurrences that ended behind the edge and by the tail: no further part decides them again. By start ..."""
    folded: list[Folded] = field(default_factory=list)
    """... and those behind them."""
    told: list[Occurrence] = field(default_factory=list)
    """What was told before the first part and not by the edge, once it is compared: its ids are taken."""

    def pack(self, kind: int, rule: str, tag: str) -> PackedDraft:
        """Return the members for a snapshot."""
        rows: list[PackedFolded] = [
            (
                one.start, one.end, one.sev, one.top, one.opened, one.closed, one.unknown, one.value, one.peak, one.first, one.closing,
            )
            for one in [*self.final, *self.folded]
        ]  # fmt: skip
        return NAMES[kind], rule, tag, self.edge, self.at, sorted(self.live), rows

    def take(self, folded: list[Folded], tail: int, at: int) -> None:
        """Take what one more part says.

        Args:
            folded: the occurrences from where the horizon begins, with the one that stands there.
            tail: the newest event time that has left the horizon: what ended by then is final.
            at: the event time of the newest row that was decided.
        """
        self.final += [one for one in self.folded if NONE < one.closed <= tail]
        if folded and folded[0].opened == NONE:  # it stood there: what raised it an earlier part has said
            first = folded[0]
            had = next((one for one in self.folded if one.start == first.start and one.opened != NONE), None)
            if had is not None:
                first.opened, first.value, first.first = had.opened, had.value, had.first
            if self.final and self.final[-1].start == first.start:
                self.final.pop()
        self.folded, self.at = folded, max(self.at, at)

    def hear(self, told: Transition) -> None:
        """Take what a row in order says, or the clock at it: it is told with the rest."""
        if told.kind is ChangeKind.RAISED:
            self.live.add(told.start)
        again.say(
            self.folded, _CODES[told.kind], told.sev, told.start, told.end, told.decided, told.value, told.peak, told.first
        )  # fmt: skip
        self.at = max(self.at, told.at)

    def is_late(self, difference: Difference) -> bool:
        """Say whether a difference is late data's: a row in order may have raised what is new."""
        return difference.new is None or difference.new.start not in self.live


def of(state: FacilityState, instance: Instance) -> Draft | None:
    """Return the draft of an instance, if it has one."""
    return state.drafts.get((instance.kind, *instance.key)) if state.drafts else None


def slots(state: FacilityState) -> set[int]:
    """Return the series of which something is not told yet."""
    return {state.planned.slots[tag] for _, _, tag in state.drafts}


def at_slot(state: FacilityState, slot: int) -> list[tuple[Instance, Draft]]:
    """Return the drafts of the instances of a series."""
    found = ((one, of(state, one)) for one in state.planned.by_slot[slot])
    return [(one, draft) for one, draft in found if draft is not None]


def compared(
    state: FacilityState, instance: Instance, draft: Draft, stay: list[tuple[Occurrence, Folded]], *, over: bool
) -> list[Difference]:  # fmt: skip
    """Return what a draft makes of what was told; nothing of it is booked where its instant is not `over` and there is a difference."""
    every = [*draft.final, *draft.folded]
    found = again.compared(state, instance, every, draft.edge, stay, booked=False)
    draft.told = state.occurrences[instance.kind, *instance.key]
    if over or not found:
        book(stay)
    return found


def forget(state: FacilityState, instance: Instance) -> None:
    """Forget a draft that is told, and what was told of before the horizon with it."""
    key = (instance.kind, *instance.key)
    if state.drafts.pop(key, None) is not None and key in state.occurrences:
        starts, windows = state.starts_of(instance), state.windows_of(instance)
        state.occurrences[key] = prune(state.occurrences[key], state.tail_of(instance), starts, windows)


def pack(state: FacilityState) -> list[PackedDraft]:
    """Return what a snapshot holds, by kind, rule and tag."""
    return sorted((one.pack(*key) for key, one in state.drafts.items()), key=lambda packed: packed[:3])


def load(state: FacilityState, packed: Iterable[PackedDraft]) -> None:
    """Take what a snapshot holds; the plan stands.

    Raises:
        ValueError: of an instance that late rows do not decide again, or occurrences that no fold leaves.
    """
    kinds = ((kind, found) for kind, found in state.planned.by_kind.items() if KINDS[kind].again)
    mine = {(kind, *one.key) for kind, found in kinds for one in found if not one.slots}
    for name, rule, tag, edge, at, live, rows in packed:
        key, folded = (CODES.get(name, NONE), rule, tag), [Folded(*row) for row in rows]
        ended = [one.end != NONE for one in folded]
        ordered = all(a.start < b.start for a, b in itertools.pairwise(folded))
        if key not in mine or key in state.drafts or not ordered or not all(ended[:-1]):
            raise ValueError(f"what is not told of {rule} for {tag} is none that a fold leaves")
        state.drafts[key] = Draft(edge=edge, at=at, live=set(live), folded=folded)
