"""When the readings were that an alarm's evidence speaks of: the evidence holds values, and a silence not even that.

The time of the peak is that of the change that was decided by it, else that of the first such reading in the archive. What
was found is kept for as long as the alarm's revision stands, so that an open page reads the archive once for each.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Verdict
from rules.instants import parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.alarms.chart import Chart
    from monitor.store.desk_tables import AlarmRow, ChangeRow
    from rules.changes import Evidence

KEPT = 2_000
SILENCE = "silence of "
"""How the leaf of a silence begins (`rules.wording.evidence`)."""
_DECIDED = {ChangeKind.RAISED.value, ChangeKind.STEPPED.value}


@dataclass(frozen=True, slots=True)
class Moments:
    """Event times in ms; none where there is none, or where it is not known."""

    peak_ms: int | None = None
    """Of the value farthest outside."""
    heard_ms: int | None = None
    """Of the last reading before the silence."""


class MomentBook:
    """Finds the moments of alarms. Thread-safe."""

    def __init__(self) -> None:
        """Begin empty."""
        self._known: OrderedDict[tuple[str, int], Moments] = OrderedDict()
        self._lock = threading.Lock()

    def of(
        self, row: AlarmRow, evidence: Evidence, history: Sequence[ChangeRow], chart: Callable[[], Chart | None]
    ) -> Moments:
        """Return the moments of an alarm; `chart` is asked only for what the history does not tell."""
        key = (row.id, row.revision)
        with self._lock:
            known = self._known.get(key)
        if known is not None:
            return known
        silent = any(leaf.expr.startswith(SILENCE) and leaf.left is None for leaf in evidence.leaves)
        peak_ms = None if evidence.peak is None else _told(evidence.peak, history)
        drawn = chart() if silent or (evidence.peak is not None and peak_ms is None) else None
        if peak_ms is None and evidence.peak is not None and drawn is not None:
            peak_ms = _drawn_peak(evidence.peak, row, drawn)
        found = Moments(peak_ms, _heard(row, drawn) if silent and drawn is not None else None)
        # What the archive does not have yet is asked for again.
        if (peak_ms is not None or evidence.peak is None) and (found.heard_ms is not None or not silent):
            with self._lock:
                self._known[key] = found
                while len(self._known) > KEPT:
                    self._known.popitem(last=False)
        return found


def _told(peak: float, history: Sequence[ChangeRow]) -> int | None:
    """Return when the value was that decided a change, if it is the peak; what late rows moved says nothing of it."""
    for change in history:
        body = json.loads(change.body)
        leaves = body.get("evidence", {}).get("leaves", ())
        decided = body["change"] in _DECIDED and not body.get("late") and len(leaves) == 1
        if decided and leaves[0].get("left") == peak and leaves[0]["verdict"] == Verdict.TRUE.value:
            return parse_instant(body["at"])
    return None


def _drawn_peak(peak: float, row: AlarmRow, chart: Chart) -> int | None:
    end = chart.to_ms if row.end_ms is None else row.end_ms
    times = (
        at
        for series in chart.series
        for at, value in zip(series.time, series.value, strict=True)
        if value == peak and row.start_ms <= at <= end
    )
    return min(times, default=None)


def _heard(row: AlarmRow, chart: Chart) -> int | None:
    """Return the last reading before the silence; it is open as long as the alarm is."""
    before = (at for series in chart.series for at in series.time if at < row.start_ms)
    return max(before, default=None)
