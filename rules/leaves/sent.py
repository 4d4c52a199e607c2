"""Which readings can have come, by a log: what an amendment corrects must be one of them (`rules.rare.amendments.names_datum`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.batches import Batches
from rules.batches import Seen as BatchSeen
from rules.layout import NONE
from rules.rare.amendments import newest_of
from rules.rare.match import FUTURE_MS
from rules.records import Readings, RegisterRecord

if TYPE_CHECKING:
    from rules.records import Payload
    from rules.reports.quality import Amendment


@dataclass(slots=True)
class Sent:
    """Tags that are registered, and the newest event time (ms) of those that are or were."""

    tags: set[str] = field(default_factory=set)
    newest: dict[str, int] = field(default_factory=dict)
    batches: Batches = field(default_factory=Batches)
    registered: bool = False
    """A register has come."""

    def take(self, payload: Payload, received: int) -> None:
        """Take notice of a record of the facility, received at an instant (ms)."""
        if isinstance(payload, RegisterRecord):
            self.registered, self.tags = True, {sensor.tag for sensor in payload.facility.sensors}
        if not isinstance(payload, Readings) or self.batches.meet(payload, received) is not BatchSeen.NEW:
            return
        begin = 0
        for tag, count in zip(payload.tags, payload.counts.tolist(), strict=True):
            times = payload.time[begin : begin + count]
            begin += count
            if tag in self.tags:
                newest = times[times <= received + FUTURE_MS].max(initial=self.newest.get(tag, NONE))
                self.newest[tag] = int(newest)

    def named(self, model: Amendment, received: int) -> int:
        """Return how many of the readings that an amendment corrects can have come when it was received (ms)."""
        return sum(one.time <= newest_of(one.tag, self.tags, self.newest, received) for one in model.readings)
