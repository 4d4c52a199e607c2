"""When places fall silent as a whole, of all places of a facility in one compiled pass (docs/engine-semantics.md, "gap")."""

from __future__ import annotations

import numpy as np

from rules.jit import kernel
from rules.kinds import gap
from rules.layout import BATCH, EXT, NEVER, NONE, RECV, Codes, Words

FREE, AREAS, ALL = 0, 1, 2
"""What of a rule's places cannot fall silent, whatever their own silence is: nothing, its areas, all."""


@kernel
def rises(
    w: Words, series_at: Words, area_of: Words, area_count: int, area: Words, rule: Words, first: Words, block: Words,
    series: Words, own: Codes, over: Codes, delivery: int, floor: int, out: Words,
) -> None:  # fmt: skip
    """Write for each place when it falls silent if nothing more comes, NEVER if it cannot.

    Args:
        w: state words of the facility.
        series_at: where the header of each series stands.
        area_of: the area of each series, by number.
        area_count: how many areas there are; this number stands for the whole facility.
        area: of each place.
        rule: of each place, by number.
        first: where the members of each place begin in the next two; one more at the end.
        block: where the gap block of each member stands ...
        series: ... and the header of its series.
        own: whether the silence of each place lasts.
        over: FREE, AREAS or ALL of each rule.
        delivery: of the facility, ms.
        floor: nothing falls silent before this instant, ms.
        out: one for each place.
    """
    # When the last row of an area came; of series that never sent, when they were registered, where none of the area ever did.
    heard, known = np.full(area_count + 1, NONE), np.full(area_count + 1, NONE)
    for slot in range(series_at.shape[0]):
        s, a = series_at[slot], area_of[slot]
        at = w[s + RECV]
        known[a] = max(known[a], at)
        known[area_count] = max(known[area_count], at)
        if w[s + BATCH] != NONE:
            heard[a] = max(heard[a], at)
            heard[area_count] = max(heard[area_count], at)
    for i in range(out.shape[0]):
        out[i] = NEVER
        a, kept = area[i], over[rule[i]]
        if own[i] != 0 or kept == ALL or (kept == AREAS and a != area_count):
            continue
        newest = heard[a] if heard[a] != NONE else known[a]
        for j in range(first[i], first[i + 1]):
            at = w[series[j] + RECV]
            if at + delivery < newest:
                continue
            due = NONE if w[block[j] + gap.ACTIVE] == 1 else w[block[j] + gap.DUE]
            wait = delivery if at == newest else delivery * 3 // 2
            out[i] = min(out[i], max(due, newest + wait + w[series[j] + EXT]))
        if out[i] != NEVER:
            out[i] = max(out[i], floor)
