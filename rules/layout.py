"""What the compiled fold keeps of a facility, in blocks of 64-bit words (rules/fields.py), and the codes it speaks in.

Times are int64 milliseconds. `NONE` stands for "no such instant", `NEVER` for "not due".

A facility has three arrays. *State*: for each series its header and, right behind it, a block for each rule instance on it.
*Tails*: for each instance that late rows are decided again by, the same block as it was before the oldest row of the series'
ring. *Rings*: the rows themselves. Parameters are shared: sensors that are alike have one program.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rules.fields import Fields

Words: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.uint8]
Array: TypeAlias = Any
"""A structured array or one row of it: numba knows its fields, numpy's stubs do not."""

NONE = -1
NEVER = 1 << 62
STEPS = 4
"""Steps a severity plan may have (rules.rule.SeverityPlan)."""
HORIZON_MS = 2 * 3_600_000
"""The online horizon: how far behind the newest reading a late one is still folded into place (engine.md).

What lies between two neighbouring rows farther apart than `REACH` intervals counts as that many: an open gap takes nothing of it (ADR 0035).
"""
REACH = 2
OPEN_MS = 10 * 24 * 3_600_000
"""How far behind the newest reading an open gap reaches (engine.md, "Late readings")."""
FUTURE_MS = 5 * 60_000
"""A row stamped later than its receive time plus this is kept, never folded (limits.md §7, own)."""
MIN_ROWS, MAX_ROWS = 64, 1024
"""Bounds of a series' ring, in rows."""
SLACK_ROWS = 32
"""Rows that a ring holds beyond those of its horizon: they leave it together."""

HELD_SLOT, HELD_T, HELD_BQ, HELD_V = range(4)
"""A late row that waits (rules/held.py): its series, event time, batch and quality, value."""
HELD_WORDS = 4
MAX_HELD = 65_536
"""Late rows of a series that wait for one receive time to be over, at most: behind so many they are decided as they stand."""

SERIES = Fields(
    # newest event time folded, receive time of that row; receive time of the last row folded, in order or late, and its batch
    "last_t=none last_m recv batch=none "
    "rows ring_head ring_len "
    # closed front-door time behind the newest row, and where it begins
    "ext shut "
    # newest event time that has left the horizon; the newest row behind which the tails stand
    "gone_t=none tail_t=none tail_m=none "
    "duplicate conflict late stale future"
)
(
    LAST_T, LAST_M, RECV, BATCH, ROWS, RING_HEAD, RING_LEN, EXT, SHUT, GONE_T, TAIL_T, TAIL_M,
    DUPLICATE, CONFLICT, LATE, STALE, FUTURE,
) = SERIES.starts  # fmt: skip

PLACE = Fields("state tail ring program")
"""Where the parts of a series stand in the facility's arrays."""
AT_STATE, AT_TAIL, AT_RING, AT_PROGRAM = PLACE.starts

PROGRAM = Fields(
    "interval delivery ring_cap ring_room range_low:real=-inf range_high:real=inf "
    "sum_hours sum_days sum_zone sum_low:real=-inf sum_high:real=inf sum_past instances changed"
)
"""What watches a series; behind it stand `instances` times the members of CALL. `sum_hours`, `sum_days`: so many summaries are kept of it
(rules/kinds/summary.py), 0: none; `sum_zone`: what the jurisdiction's clock is ahead of UTC, ms; outside `sum_low` to `sum_high` its values are outside;
`sum_past`: where the limits of before stand (rules/formerly.py), 0 without.
`changed`: rows before it are judged by numbers that were in force before (rules/formerly.py), 0 where none are."""
(
    INTERVAL, DELIVERY, RING_CAP, RING_ROOM, RANGE_LOW, RANGE_HIGH, SUM_HOURS, SUM_DAYS, SUM_ZONE, SUM_LOW, SUM_HIGH, SUM_PAST,
    INSTANCES, CHANGED,
) = PROGRAM.starts  # fmt: skip
CALL = Fields("kind params state tail past")
"""One instance of a program: its kind, its parameters, its blocks, counted from the series' own, and its numbers of before, 0 without."""
CALL_KIND, CALL_PARAMS, CALL_STATE, CALL_TAIL, CALL_PAST = CALL.starts
CALLS, CALL_WORDS = PROGRAM.words, CALL.words

ROW_FOLDED, ROW_CONFLICT, ROW_STALE, ROW_LATE = 1, 2, 3, 4
"""What became of a row of a batch, where a rule may ask: folded; not, for another value of its event time was; not, for it is too old;
folded late, which is folded to all that ask."""
ROW_T, ROW_M, ROW_BQ, ROW_V = 0, 1, 2, 3
ROW_WORDS = 4
"""A row of a ring: event time, receive time, batch and quality in one word, value."""
QUALITY_BITS = 4

OUT = np.dtype(
    [
        ("at", "<i8"),
        ("recv", "<i8"),
        ("start", "<i8"),
        ("end", "<i8"),
        ("decided", "<i8"),  # event time of the newest row when it was decided
        ("value", "<f8"),  # what decided
        ("peak", "<f8"),  # the value farthest outside so far
        ("first", "<i8"),  # the batch of the occurrence's first row
        ("row", "<i4"),
        ("inst", "<i4"),  # where the instance's block stands in the facility's state
        ("kind", "u1"),
        ("code", "u1"),
        ("sev", "u1"),
    ]
)
"""One transition of one instance, in the order of decision; Python makes changes of it."""

LIMIT, FROZEN, GAP = 0, 1, 2
CUMULATIVE, MEAN_KINETIC, DIFFERENCE, JUMP = 3, 4, 5, 6
REPEAT_DAY, TOO_PRECISE, SMOOTH, LAST_DIGIT = 7, 8, 9, 10
DURING, EXPOSURE, STEADINESS, ABSENCE = 11, 12, 13, 14
RAISED, STEPPED, UNKNOWN, KNOWN, CLEARED, RETRACTED = 0, 1, 2, 3, 4, 5
NORMAL, PENDING, ACTIVE, CLEARING = 0, 1, 2, 3
IN_RANGE, MARKED, AS_FOLDED = 1, 2, 4
"""Bits of a class of rows: only those inside the measuring range; also those that the firm marked; a mark that came after a row was folded
does not count."""
CLASSES = 8
LANES = 4
"""Classes whose range of values is kept: those that differ by `AS_FOLDED` alone share one."""
MARKED_ROW, MARKED_LATER, SET_ROW = 9, 11, 13
"""Qualities of rows that a mark covers, of those that were `good`; one more of those that were `over_limit` (rules/marks.py): the mark was known when
the row came; it came after the row was folded; it was known, and says that the value was set and not measured."""
