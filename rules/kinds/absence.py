"""Kind `gap` with `during`, the compiled part: which distances between rows are too long (docs/engine-semantics.md, "gap, during a declared state").

A block holds facts and no outcome: the newest row, the distances longer than `silent` between neighbouring rows of the horizon, and when our front door
was closed. What they mean is judged in plain Python once nothing more can come at an instant (rules/absence.py): there are few vehicles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.fields import Fields
from rules.jit import kernel
from rules.kinds import gap
from rules.layout import NEVER, NONE

if TYPE_CHECKING:
    from rules.layout import Codes, Words

DISTANCES = 32
"""Distances that a block keeps, each with the event times of the rows before and behind it, oldest first; the oldest goes."""
DOORS = 8
"""Spans of closed front door that it keeps, by receive time, oldest first; the two oldest become one."""

PARAMS = Fields(f"{gap.FIELDS} rows=none off")
"""Behind those of a silence: `rows`, the class of those that count (rules/rowclass.py), none: all do; `off`: it is also uncovered where a monitor is off."""
ROWS, OFF = PARAMS["rows"].start, PARAMS["off"].start
STATE = Fields(
    f"lo=none edge=none due=never active lost lost_t=none count distance*{2 * DISTANCES}=none door*{2 * DOORS}=none"
)
"""`lo`: the newest row that counts, or where counting began. `edge`: rows up to it had left the horizon when it was judged last, and lay not behind `lo`.

`active`: one was told behind the newest row, open or ended by an arrival: rows may take it back. `lost` distances went since then, the newest of them ended at `lost_t`."""
LO, EDGE, DUE, ACTIVE, LOST, LOST_T, COUNT, DISTANCE, DOOR = STATE.starts


@kernel
def keep(w: Words, x: int, before: int, behind: int) -> None:
    """Note the newest distance: event times of the rows round it, ms."""
    if w[x + COUNT] == DISTANCES:
        gone = w[x + DISTANCE + 1]
        w[x + LOST] += 1
        w[x + LOST_T] = gone
        w[x + EDGE] = max(w[x + EDGE], gone)
        for i in range(2 * (DISTANCES - 1)):
            w[x + DISTANCE + i] = w[x + DISTANCE + i + 2]
        w[x + COUNT] -= 1
    at = x + DISTANCE + 2 * w[x + COUNT]
    w[at] = before
    w[at + 1] = behind
    w[x + COUNT] += 1


@kernel
def run(
    a: Words, p: int, w: Words, x: int, times: Words, known: Codes, every: int, count: int, longest: int, received: int
) -> None:  # fmt: skip
    """Take the first `count` of some in-order rows (event times; at most `longest` ms apart); they are judged when `received` is over.

    Those that do not count are passed over: `known` holds the classes of each, `every` those of all. They are not judged where they leave no distance
    behind, none is kept, and nothing was told behind the newest row: `due` then lies too early, which does no harm. Where a monitor's off time counts
    they always are: what has left the horizon by then is not told any more.
    """
    silent, which = a[p + gap.SILENT], a[p + ROWS]
    if which >= 0 and (every >> which) & 1 == 0:
        for i in range(count):
            if (known[i] >> which) & 1 == 1:
                if times[i] - w[x + LO] > silent:
                    keep(w, x, w[x + LO], times[i])
                w[x + LO] = max(w[x + LO], times[i])
    elif max(longest, times[0] - w[x + LO]) > silent:
        for i in range(count):
            if times[i] - w[x + LO] > silent:
                keep(w, x, w[x + LO], times[i])
            w[x + LO] = max(w[x + LO], times[i])
    else:
        w[x + LO] = max(w[x + LO], times[count - 1])
    if w[x + COUNT] > 0 or w[x + ACTIVE] == 1 or a[p + OFF] == 1:
        w[x + DUE] = min(w[x + DUE], received)


@kernel
def next_of_quiet(a: Words, p: int, w: Words, x: int, spans: Words, first: int, last: int, now: int) -> int:
    """Return when the clock alone makes it another answer next (ms), NONE where a series has to be judged in full.

    Nothing is told of a series of which no distance is kept, none was lost, nothing stands, and of which no span of the declared state has run out
    in silence by now; then this is what `rules.absence.silences` says of it, with no time of a closed front door behind it.

    Args:
        a: parameters of the facility.
        p: where those of the instance stand.
        w: state words of the facility.
        x: where the block of the instance stands.
        spans: of declared states, begin and end of each, both ends inside, ms.
        first: the first of the instance's own area ...
        last: ... and the one behind its last.
        now: the instant (receive time, ms); nothing more comes at it.
    """
    if w[x + COUNT] > 0 or w[x + ACTIVE] == 1 or w[x + LOST] > 0 or w[x + DOOR + 1] != NONE:
        return NONE
    due = NEVER
    for i in range(first, last):
        begin, end = max(w[x + LO], spans[i, 0]), spans[i, 1]
        if end - begin <= a[p + gap.SILENT]:
            continue
        silent = begin + a[p + gap.SILENT] + a[p + gap.DELIVERY]  # before the state is over
        if silent <= now:
            return NONE
        due = min(due, silent)
        for k in range(a[p + gap.STEP_COUNT]):
            after = a[p + gap.STEP_AFTER + k]
            if end - begin > after and begin + after + a[p + gap.DELIVERY] > now:
                due = min(due, begin + after + a[p + gap.DELIVERY])
    return due
