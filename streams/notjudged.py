"""Tells operators what facilities sent that rules could not judge or keep: a counter by reason, and a line in the log naming who.

Looked at as snapshots are written: what a start folds again is not told twice, for the snapshot it goes on from holds the counts.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.fold import Fold
    from streams.sensor import Sensor

_log = logging.getLogger(__name__)


class NotJudged:
    """What is known to be counted of each facility of a partition."""

    def __init__(self, partition: int, sensor: Sensor) -> None:
        """Take whose facilities, and what counts."""
        self._partition, self._sensor = partition, sensor
        self._known: dict[str, Mapping[str, int]] = {}

    def begin(self, fold: Fold) -> None:
        """Take what the snapshots hold as told."""
        for facility in fold.facilities(self._partition):
            self._note(facility, fold.not_judged(self._partition, facility))

    def look(self, fold: Fold, facilities: Iterable[str]) -> None:
        """Count and name what some facilities have more than when they were looked at last."""
        held = set(fold.facilities(self._partition))
        for facility in sorted(held.intersection(facilities)):
            counts, known = fold.not_judged(self._partition, facility), self._known.get(facility, {})
            more = {name: count - known.get(name, 0) for name, count in counts.items() if count > known.get(name, 0)}
            self._note(facility, counts)
            if more:
                self._sensor.not_judged(more)
                told = ", ".join(f"{name} {count}" for name, count in sorted(more.items()))
                _log.warning("partition %d: of %s rules could not judge or keep: %s", self._partition, facility, told)

    def _note(self, facility: str, counts: Mapping[str, int]) -> None:
        if counts:
            self._known[facility] = counts
        else:
            self._known.pop(facility, None)
