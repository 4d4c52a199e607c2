"""The kinds that are folded by compiled code, in one table: what their blocks hold, and whether late rows decide them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.kinds import (
    absence,
    cumulative,
    difference,
    during,
    exposure,
    frozen,
    gap,
    jump,
    last_digit,
    limit,
    mean_kinetic,
    repeat_day,
    smooth,
    steadiness,
    too_precise,
)
from rules.layout import (
    ABSENCE,
    CUMULATIVE,
    DIFFERENCE,
    DURING,
    EXPOSURE,
    FROZEN,
    GAP,
    JUMP,
    LAST_DIGIT,
    LIMIT,
    MEAN_KINETIC,
    REPEAT_DAY,
    SMOOTH,
    STEADINESS,
    TOO_PRECISE,
)

if TYPE_CHECKING:
    from rules.fields import Fields


@dataclass(frozen=True, slots=True)
class KindSpec:
    """One kind."""

    name: str
    """How snapshots call it: a code may change, a name may not."""
    params: Fields
    state: Fields
    again: bool
    """Whether it keeps a tail, from which late rows decide it again."""


KINDS: dict[int, KindSpec] = {
    LIMIT: KindSpec("limit", limit.PARAMS, limit.STATE, again=True),
    FROZEN: KindSpec("frozen", frozen.PARAMS, frozen.STATE, again=True),
    GAP: KindSpec("gap", gap.PARAMS, gap.STATE, again=False),
    CUMULATIVE: KindSpec("cumulative", cumulative.PARAMS, cumulative.STATE, again=True),
    MEAN_KINETIC: KindSpec("mean_kinetic", mean_kinetic.PARAMS, mean_kinetic.STATE, again=True),
    DIFFERENCE: KindSpec("difference", difference.PARAMS, difference.STATE, again=True),
    JUMP: KindSpec("jump", jump.PARAMS, jump.STATE, again=True),
    REPEAT_DAY: KindSpec("repeat_day", repeat_day.PARAMS, repeat_day.STATE, again=False),
    TOO_PRECISE: KindSpec("too_precise", too_precise.PARAMS, too_precise.STATE, again=True),
    SMOOTH: KindSpec("smooth", smooth.PARAMS, smooth.STATE, again=True),
    LAST_DIGIT: KindSpec("last_digit", last_digit.PARAMS, last_digit.STATE, again=True),
    DURING: KindSpec("during", during.PARAMS, during.STATE, again=True),
    EXPOSURE: KindSpec("exposure", exposure.PARAMS, exposure.STATE, again=True),
    STEADINESS: KindSpec("steadiness", steadiness.PARAMS, steadiness.STATE, again=True),
    ABSENCE: KindSpec("absence", absence.PARAMS, absence.STATE, again=False),
}
CODES = {spec.name: code for code, spec in KINDS.items()}
NAMES = {code: spec.name for code, spec in KINDS.items()}
SPANNED = (DURING, EXPOSURE)
"""Kinds that hold only during a declared state: their blocks have the field `spans`, and they are latched."""
