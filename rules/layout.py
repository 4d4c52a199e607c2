"""The packed arrays of a facility: one structured dtype per kind, shared by kernels, snapshots and tests.

Times are int64 milliseconds. `NONE` stands for "no such instant", `NEVER` for "not due".
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""A structured array or one row of it: numba knows its fields, numpy's stubs do not."""

NONE = -1
NEVER = 1 << 62
STEPS = 4
"""Steps a severity plan may have (rules.rule.SeverityPlan)."""
HORIZON_MS = 2 * 3_600_000
"""The online horizon: how far behind the newest reading a late one is still folded into place (engine.md)."""
FUTURE_MS = 5 * 60_000
"""A row stamped later than its receive time plus this is kept, never folded (limits.md §7, own)."""
MIN_ROWS, MAX_ROWS = 64, 1024
"""Bounds of a series' ring, in rows."""

SERIES = np.dtype(
    [
        ("last_t", "<i8"),  # newest event time folded
        ("last_m", "<i8"),  # receive time of that row
        ("recv", "<i8"),  # receive time of the last row that was folded, in order or late
        ("batch", "<i8"),  # the batch it came with, as `rules.batches` counts them
        ("ext", "<i8"),  # closed front-door time behind the newest row
        ("shut", "<i8"),  # where that time begins
        ("tail_t", "<i8"),  # newest event time that has left the ring
        ("tail_m", "<i8"),
        ("interval", "<i8"),
        ("delivery", "<i8"),
        ("range_low", "<f8"),  # measuring range, where a rule with `excludes` covers the sensor
        ("range_high", "<f8"),
        ("ring_off", "<i4"),
        ("ring_cap", "<i4"),
        ("ring_head", "<i4"),
        ("ring_len", "<i4"),
        ("limit_lo", "<i4"),  # instances of this series: [lo, hi)
        ("limit_hi", "<i4"),
        ("frozen_lo", "<i4"),
        ("frozen_hi", "<i4"),
        ("gap_lo", "<i4"),
        ("gap_hi", "<i4"),
        ("rows", "<i8"),
        ("duplicate", "<i8"),
        ("conflict", "<i8"),
        ("late", "<i8"),
        ("stale", "<i8"),
        ("future", "<i8"),
    ]
)

LIMIT_PARAM = np.dtype(
    [
        ("low", "<f8"),
        ("high", "<f8"),
        ("db", "<f8"),
        ("on_delay", "<i8"),
        ("off_delay", "<i8"),
        ("unknown_ms", "<i8"),
        ("interval", "<i8"),
        ("delivery", "<i8"),
        ("step_after", "<i8", (STEPS,)),
        ("step_low", "<f8", (STEPS,)),
        ("step_high", "<f8", (STEPS,)),
        ("step_for", "<i8", (STEPS,)),
        ("opens", "<i4"),
        ("clears", "<i4"),
        ("step_sev", "u1", (STEPS,)),
        ("steps", "u1"),
        ("sev", "u1"),
        ("inclusive", "u1"),
        ("excludes", "u1"),
        ("marked", "u1"),
    ]
)

LIMIT_STATE = np.dtype(
    [
        ("start_t", "<i8"),
        ("start_m", "<i8"),
        ("known_t", "<i8"),
        ("last_t", "<i8"),
        ("last_m", "<i8"),
        ("end_t", "<i8"),
        ("due", "<i8"),
        ("step_t", "<i8", (STEPS,)),
        ("step_m", "<i8", (STEPS,)),
        ("start_b", "<i8"),  # the batch of the first outside row
        ("value", "<f8"),  # the newest known value
        ("peak", "<f8"),
        ("count", "<i4"),
        ("clear_count", "<i4"),
        ("phase", "u1"),
        ("unknown", "u1"),
        ("sev", "u1"),
        ("top", "u1"),  # highest colour of the occurrence
        ("reached", "u1"),
    ]
)

FROZEN_PARAM = np.dtype(
    [
        ("span", "<i8"),
        ("unknown_ms", "<i8"),
        ("interval", "<i8"),
        ("delivery", "<i8"),
        ("width", "<f8"),  # the largest max - min that counts as frozen over a day; below zero: branch idle
        ("identical", "<i4"),
        ("distinct", "<i4"),
        ("expected", "<i4"),  # known rows that make a day judgeable
        ("sev", "u1"),
    ]
)
HOURS = 24
FROZEN_STATE = np.dtype(
    [
        ("run_t", "<i8"),
        ("run_b", "<i8"),  # the batch of the run's first row
        ("known_t", "<i8"),
        ("last_t", "<i8"),
        ("last_m", "<i8"),
        ("start_t", "<i8"),
        ("move_t", "<i8"),
        ("due", "<i8"),
        ("hour", "<i8"),  # the hour that is being filled, or NONE
        ("value", "<f8"),  # the newest known value
        ("before", "<f8"),  # the known value before it
        ("run", "<i4"),
        ("moves", "<i4"),
        ("phase", "u1"),
        ("unknown", "u1"),
        ("by_span", "u1"),
        ("sev", "u1"),
        ("low", "<f8", (HOURS,)),
        ("high", "<f8", (HOURS,)),
        ("known", "<i4", (HOURS,)),
        ("cur_low", "<f8"),
        ("cur_high", "<f8"),
        ("cur_known", "<i4"),
    ]
)

GAP_PARAM = np.dtype(
    [
        ("silent", "<i8"),
        ("interval", "<i8"),
        ("pace", "<i8"),  # the next row is due so long after the newest
        ("delivery", "<i8"),
        ("step_after", "<i8", (STEPS,)),
        ("step_sev", "u1", (STEPS,)),
        ("steps", "u1"),
        ("sev", "u1"),
        ("area", "u1"),  # grouped by area
        ("facility", "u1"),  # grouped by facility
    ]
)
GAP_STATE = np.dtype(
    [
        ("lo", "<i8"),
        ("start_t", "<i8"),
        ("due", "<i8"),
        ("raised", "<i8"),  # the due instant at which the clock raised it
        ("active", "u1"),
        ("hole", "u1"),
        ("sev", "u1"),
        ("fresh", "u1"),  # no row yet since the registration
    ]
)

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
        ("inst", "<i4"),
        ("kind", "u1"),
        ("code", "u1"),
        ("sev", "u1"),
    ]
)
"""One transition of one instance, in the order of decision; Python makes changes of it."""

LIMIT, FROZEN, GAP = 0, 1, 2
RAISED, STEPPED, UNKNOWN, KNOWN, CLEARED, RETRACTED = 0, 1, 2, 3, 4, 5
NORMAL, PENDING, ACTIVE, CLEARING = 0, 1, 2, 3
