"""Logs of online sales, trips and readings of several firms: by hand, and drawn so that times touch both ends of the 24 hours."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from rules.pack import Bundle, default_bundle
from rules.records import Event, Events, Kind, LogRecord, Readings, RegisterRecord, Tick
from rules.register import Facility
from tests.rules.tracelogs import BEGIN, DAY, HOUR

RULE = "cross-check.online-no-telemetry"
ONLINE = Bundle.of([rule for rule in default_bundle().rules if rule.id == RULE], ())
DELIVERY = 60_000
AREAS = {"S1": "online-store", "C1": "cold-room", "R1": "room-store", "V1": "vehicle", "B1": "box"}
TAGS = {"S1.T": "S1", "R1.T": "R1", "V1.T": "V1", "B1.T": "B1"}
SENSED = {"SELLER-1": ("S1", "R1", "V1"), "CARRIER-1": ("V1", "B1")}
"""Registered firms, and which of their areas have a sensor; SHOP-1 is registered nowhere."""


def facility(name) -> Facility:
    return Facility.model_validate(
        {
            "id": name, "name": {"zh": name, "en": name}, "jurisdiction": "110000", "scopes": [{"field": "retail", "line": "drug"}],
            "areas": [{"id": area, "kind": kind} for area, kind in AREAS.items()],
            "sensors": [
                {"tag": tag, "area": area, "quantity": "temperature", "unit": "Cel", "interval": "60s"}
                for tag, area in TAGS.items() if area in SENSED[name]
            ],
        }
    )  # fmt: skip


class Log:
    """Appends records of one partition; receive times are ms behind `BEGIN`."""

    def __init__(self, *registered):
        self.records = []
        for name in registered:
            self._add(0, Kind.REGISTER, name, RegisterRecord(version=0, facility=facility(name)))

    def _add(self, received, kind, who, payload):
        self.records.append(LogRecord(0, len(self.records), BEGIN + received, kind, who, payload))

    def event(self, received, who, kind, at, *, area=None, batch=None, lot="L-1", quantity=1, trip="W-7", **fields):
        said = {"lot": lot, "quantity": quantity, "from": who, "to": "a patient", "trip": trip, **fields}
        said = {name: value for name, value in said.items() if value is not None}
        event = Event(stream="trace", type=kind, time=BEGIN + at, source="WMS", area=area, fields=said)
        name = f"e-{len(self.records)}" if batch is None else batch
        self._add(received, Kind.EVENTS, who, Events(batch=name, events=[event]))

    def sold(self, received, who, at, **more):
        self.event(received, who, "sold", at, **({"channel": "online", "cold_chain": True} | more))

    def shipped(self, received, who, at, **more):
        self.event(received, who, "shipped", at, **more)

    def read(self, received, who, *rows):
        """Append readings: tag and event time of each."""
        payload = Readings(
            batch=f"r-{len(self.records)}", tags=tuple(tag for tag, _ in rows), counts=np.ones(len(rows), np.int32),
            time=np.array([BEGIN + at for _, at in rows], np.int64), value=np.full(len(rows), 5.0),
            quality=np.zeros(len(rows), np.uint8),
        )  # fmt: skip
        self._add(received, Kind.READINGS, who, payload)

    def tick(self, received, role="worker"):
        self._add(received, Kind.TICK, "", Tick(by="w-1", role=role, now=BEGIN + received))


_BACK = st.sampled_from([0, 1, HOUR, DAY - 1, DAY, DAY + 1, 2 * DAY])
_STEP = st.sampled_from([0, 1, 1_000, HOUR, 12 * HOUR, DAY - HOUR, DAY, DAY + DELIVERY])


@st.composite
def logs(draw, most=14):
    """Draw a log of sales, shipments and readings that are told at once or late."""
    log, received = Log("SELLER-1", "CARRIER-1"), 3 * DAY
    for _ in range(draw(st.integers(1, most))):
        received += draw(_STEP)
        at, who = received - draw(_BACK), draw(st.sampled_from(["SHOP-1", "SELLER-1", "SELLER-1", "CARRIER-1"]))
        trip, lot = draw(st.sampled_from(["W-7", "W-7", "W-8", None])), draw(st.sampled_from(["L-1", "L-1", "L-2"]))
        area = draw(st.sampled_from([None, "V1", "B1", "S1", "C1", "R1", "none"]))
        cold = draw(st.sampled_from([True, True, True, None, False]))
        more = {
            "area": area,
            "trip": trip,
            "lot": lot,
            "cold_chain": cold,
            "quantity": draw(st.sampled_from([0, 1, 1, 1])),
        }
        what = draw(st.sampled_from(["sold", "sold", "shipped", "read", "read", "shop"]))
        if what == "read":
            tags = draw(st.lists(st.sampled_from([*TAGS, "X.T"]), min_size=1, max_size=3, unique=True))
            times = st.integers(0, 2).map(lambda k, at=at: at - k * HOUR)
            log.read(received, who, *((tag, draw(times)) for tag in tags))
        elif what == "shipped":
            log.shipped(received, who, at, **more)
        else:
            channel = "online" if what == "sold" else draw(st.sampled_from(["shop", None]))
            log.sold(received, who, at, channel=channel, **more)
    log.tick(received + draw(st.sampled_from([0, DAY, 2 * DAY])))
    return log.records
