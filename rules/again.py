"""Deciding an instance again: what its refold says, compared with what was published (docs/engine-semantics.md, "Late rows")."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from rules import layout
from rules.kinds.table import KINDS, SPANNED
from rules.layout import DIFFERENCE, DURING, JUMP, LIMIT, NONE, SMOOTH
from rules.occurrence import Difference, Folded, differences, prune

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.layout import Words
    from rules.occurrence import Occurrence
    from rules.plan import Instance
    from rules.state import FacilityState

PEAKED = frozenset({LIMIT, DIFFERENCE, JUMP, SMOOTH, DURING})
"""Kinds that keep the value farthest outside; of others the value that decided is told."""


def is_quiet(state: FacilityState, instance: Instance) -> bool:
    """Say whether nothing of an instance is published that late rows could change."""
    edge = state.of_series("gone_t", instance.slot)
    told = state.occurrences.get((instance.kind, *instance.key), ())
    return all(one.retracted or NONE < one.closed <= edge for one in told)


def standing(state: FacilityState, instance: Instance) -> list[Folded]:
    """Return the occurrence that stands where an instance was put back to, or nothing."""
    return stood(instance.kind, state.words, instance.state)


def stood(kind: int, words: Words, x: int) -> list[Folded]:
    """Return the occurrence that stands in a block of a kind at `x`, or nothing."""
    fields = KINDS[kind].state

    def of(name: str) -> int:
        return int(words[x + fields[name].start])

    if of("phase") < layout.ACTIVE:
        return []
    limited = kind in PEAKED
    value = float(words.view(np.float64)[x + fields["peak" if limited else "value"].start])
    return [
        Folded(
            of("start_t"), NONE, of("sev"), of("top" if limited else "sev"), NONE, NONE, bool(of("unknown")), value,
            value if limited else math.nan, of("start_b") if limited else NONE,
        )
    ]  # fmt: skip


def compared(
    state: FacilityState, instance: Instance, folded: list[Folded], tail_t: int,
    stay: list[tuple[Occurrence, Folded]] | None = None, *, booked: bool = True,
) -> list[Difference]:  # fmt: skip
    """Return what turns the published occurrences into those of the refold.

    Args:
        state: of the facility.
        instance: with its state as the refold left it.
        folded: its occurrences, from where it was put back to.
        tail_t: the newest event time before that.
        stay: takes the occurrences that stay, with what was folded of them.
        booked: these take the deciding rows of that.
    """
    if instance.kind in PEAKED and folded and folded[-1].end == NONE:
        folded[-1].peak = state.real_of(instance, "peak")
    key = (instance.kind, *instance.key)
    published = prune(state.occurrences.get(key, []), tail_t, state.starts_of(instance), state.windows_of(instance))
    state.occurrences[key] = published
    open_ones = [o for o in published if not o.retracted and (o.closed == NONE or o.closed > tail_t)]
    if instance.kind in SPANNED:  # what an officer closed is done with, whatever comes late
        open_ones = [o for o in open_ones if o.end == NONE]
    return differences(open_ones, folded, stay, booked=booked)


def take(folded: list[Folded], rows: Iterable[np.void]) -> None:
    """Take transitions of a refold, in their order."""
    for row in rows:
        say(
            folded, int(row["code"]), int(row["sev"]), int(row["start"]), int(row["end"]), int(row["decided"]),
            float(row["value"]), float(row["peak"]), int(row["first"]),
        )  # fmt: skip


def say(
    folded: list[Folded], code: int, sev: int, start: int, end: int, decided: int, value: float, peak: float, first: int
) -> None:
    """Take one transition, by the members of the kernel's output (rules/layout.py, `OUT`)."""
    if code == layout.RAISED:
        folded.append(
            Folded(start, NONE, sev, sev, decided, NONE, unknown=False, value=value, peak=peak, first=first)
        )  # fmt: skip
        return
    last = folded[-1]
    last.peak = peak
    if code == layout.STEPPED:
        last.sev = sev
        last.top = max(last.top, last.sev)
    elif code in (layout.UNKNOWN, layout.KNOWN):
        last.unknown = code == layout.UNKNOWN
    else:
        last.end, last.closed, last.closing = end, decided, value
