"""A small log with a story, for tests of what reads logs: cold rooms, one reading a minute, gateway ticks between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rules.instants import parse_instant
from rules.records import Kind, LogRecord, Payload, Readings, RegisterRecord, Tick
from rules.register import Facility
from tests.calibrated import CALIBRATION

if TYPE_CHECKING:
    from collections.abc import Sequence

BEGIN = parse_instant("2026-03-01T00:00:00+08:00")
MINUTE = 60_000


def cold_store(facility: str = "BJ-COLD-01", tags: Sequence[str] = ("CR1.T1",)) -> Facility:
    """Return a wholesaler with one refrigerator and a sensor per tag, of which nothing is missing that a rule needs."""
    return Facility.model_validate(
        {
            "id": facility,
            "name": {"zh": "冷库", "en": "Cold store"},
            "jurisdiction": "110115",
            "delivery": "10m",
            "scopes": [{"field": "distribution", "line": "drug"}],
            "areas": [{"id": "CR1", "kind": "refrigerator"}],
            "sensors": [
                {
                    "tag": tag,
                    "area": "CR1",
                    "quantity": "temperature",
                    "unit": "Cel",
                    "interval": "60s",
                    "limits": {"low": 2, "high": 8},
                    "range": {"low": -40, "high": 60},
                    "resolution": 0.001,
                    "serial": f"S-{tag}",
                    "calibration": CALIBRATION | {"points": [{"at": 5, "error": 0.1}]},
                }
                for tag in tags
            ],
        }
    )


class ColdLog:
    """Builds one partition of a log; every method appends a record at the minute given."""

    def __init__(self, partition: int = 3, *, offset: int = 0) -> None:
        self.partition = partition
        self.records: list[LogRecord] = []
        self._next = offset

    def append(self, minute: float, kind: Kind, facility: str, payload: Payload, *, after_ms: int = 2_000) -> None:
        """Append any record; it is received `after_ms` after the minute."""
        received = BEGIN + int(minute * MINUTE) + after_ms
        self.records.append(LogRecord(self.partition, self._next, received, kind, facility, payload))
        self._next += 1

    def register(self, facility: Facility, *, minute: float = -1, version: int = 1) -> ColdLog:
        """Append the register record of a facility."""
        self.append(minute, Kind.REGISTER, facility.id, RegisterRecord(version=version, facility=facility))
        return self

    def tick(self, minute: float, role: str = "gateway") -> ColdLog:
        """Append a tick."""
        now = BEGIN + int(minute * MINUTE)
        self.append(minute, Kind.TICK, "", Tick.model_validate({"by": "gw-1", "role": role, "now": now}))
        return self

    def rows(
        self, minute: int, values: Sequence[float], *, facility: str = "BJ-COLD-01", tag: str = "CR1.T1"
    ) -> ColdLog:
        """Append one batch: a value a minute, the first at `minute`; received after the last."""
        self.append(
            minute + len(values) - 1,
            Kind.READINGS,
            facility,
            Readings(
                batch=f"{tag}-{minute}",
                tags=(tag,),
                counts=np.array([len(values)], np.int32),
                time=np.array([BEGIN + (minute + i) * MINUTE for i in range(len(values))], np.int64),
                value=np.array(values, np.float64),
                quality=np.zeros(len(values), np.uint8),
            ),
        )
        return self


def excursion(facility: str = "BJ-COLD-01", *, partition: int = 3, offset: int = 0, registered: bool = True) -> ColdLog:
    """Return a log in which the room is out of its limits from minute 10 to 14 and falls silent after minute 20."""
    log = ColdLog(partition, offset=offset)
    if registered:
        log.register(cold_store(facility))
    for minute in range(0, 21, 5):
        values = [9.5 if 10 <= m < 15 else 5.0 + m % 2 / 10 for m in range(minute, minute + 5)]
        log.rows(minute, values, facility=facility).tick(minute + 5)
    return log
