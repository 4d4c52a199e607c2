"""Random logs of rooms under pressure with events of their doors, in order, late, of other rooms, and without a state (ADR 0091)."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from rules.records import Event, Events, Kind, LogRecord, RegisterRecord, Tick
from tests.rules import logs as plain_logs
from tests.rules import pairlogs
from tests.rules.pairlogs import rule

GUARDED = rule(
    "test-guarded", limits={"from": {"low": 10}, "narrower": "register"}, when={"consecutive": 2, "on_delay": "180s"},
    doors={"closed": "60s"}, clear={"consecutive": 3, "deadband": 1},
)  # fmt: skip
STEPPED = rule(
    "test-stepped", when={"consecutive": 3, "on_delay": "4m"}, doors={"closed": "90s"}, clear={"consecutive": 2},
    unknown={"max": "60s"}, marked="count",
    severity={"base": "yellow", "steps": [{"after": "3m", "to": "red"}, {"beyond": {"low": 0}, "for": "1m", "to": "orange"}]},
)  # fmt: skip
OTHER = pairlogs.REVERSED
AREAS = ["B1"] * 8 + ["C1", "S"]
STATES = ["open"] * 4 + ["closed"] * 6
MINUTE = 60_000


def event(door, t, state, area="B1", **more):
    """Return an event of a door; without an area it is where its device is registered."""
    fields = {} if state is None else {"state": state}
    where = {} if area is None else {"area": area}
    return Event(stream="device", type="door", time=t, source="PLC-1", device=door, fields=fields, **where, **more)


def _told(random, now):
    found = []
    for _ in range(random.choice([1, 1, 2, 3])):
        t = now - random.choice([0, 0, 0, 1, 10_000, 30_000, MINUTE, 2 * MINUTE, 5 * MINUTE, 20 * MINUTE])
        state = random.choice([*STATES, None]) if random.random() < 0.1 else random.choice(STATES)
        found.append(event(random.choice("DDE"), t, state, random.choice(AREAS)))
    return found


def with_doors(random, entries):
    """Return entries among which events of doors stand: before, behind and at the instants of rows."""
    found = [(plain_logs.BEGIN, [event("D", plain_logs.BEGIN - 1, "closed")])] if random.random() < 0.7 else []
    for received, what in entries:
        if random.random() < 0.35:
            found.append((received, _told(random, received)))
        found.append((received, what))
        if random.random() < 0.35:
            found.append((received + random.choice([0, 0, 500]), _told(random, received)))
    return sorted(found, key=lambda entry: entry[0])


@st.composite
def logs(draw):
    """Draw a log of one facility: (facility, [(received, rows, events or tick role)])."""
    random = Random(draw(st.integers(0, 1 << 32)))  # noqa: S311 - a log, no secret
    entity, entries = pairlogs.log_of(random)
    return entity, with_doors(random, entries)


def records(entity, entries):
    """Return the log records of drawn entries, the register first."""
    log = [LogRecord(0, 0, plain_logs.BEGIN, Kind.REGISTER, entity.id, RegisterRecord(version=1, facility=entity))]
    for received, what in entries:
        offset = len(log)
        if isinstance(what, str):
            log.append(LogRecord(0, offset, received, Kind.TICK, "", Tick(by="t", role=what, now=received)))
        elif isinstance(what[0], Event):
            log.append(LogRecord(0, offset, received, Kind.EVENTS, entity.id, Events(batch=f"e{offset}", events=what)))
        else:
            payload = plain_logs.readings(what, f"b{offset}")
            log.append(LogRecord(0, offset, received, Kind.READINGS, entity.id, payload))
    return log
