"""Leaves of a rule of kind `clock`, check `heartbeat`: record by record, from all that the facility sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rules.batches import Batches
from rules.batches import Seen as BatchSeen
from rules.changes import Verdict
from rules.engine import DOOR_CLOSED_MS
from rules.instants import format_duration
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict
from rules.rare.beats import is_heartbeat
from rules.rare.fold import OWN
from rules.rare.match import applies, area_of, digest_of_batch, name_of, time_of
from rules.rare.store import text_of
from rules.records import Events, RegisterRecord, Tick

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rules.records import Event, LogRecord
    from rules.register import Facility
    from rules.rule import ClockRule


def leaves_of(rule: ClockRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    time, back = format_duration(rule.silent), format_duration(rule.back or 0)
    alive = frozenset({Verdict.TRUE, Verdict.UNKNOWN})
    return [
        Leaf("event", both("an event audit heartbeat", "事件 audit heartbeat"), TWO),
        Leaf("current", both(f"it is not older than {time}", f"其时间未超过 {time}"), TWO),
        Leaf("overdue", both(f"none for longer than {time}", f"超过 {time} 没有心跳"), TWO),
        Leaf("alive", both("other records of the facility arrive", "该单位其他数据仍在到达"), alive),
        Leaf("back", both(f"heard again for {back} after a silence of all", f"全部中断恢复后已满 {back}"), TWO),
    ]


@dataclass(slots=True)
class System:
    """What came of one system: the newest heartbeat (event time, ms), and when the facility was heard again behind it."""

    newest: int
    heard_again: int | None = None
    again: set[int] = field(default_factory=set)
    """Times of heartbeats that came."""
    opened: int = -1
    """When our front door was opened again behind the newest, log time."""


@dataclass(frozen=True, slots=True)
class Told:
    """A moment of one system; an event that is no heartbeat of one has none."""

    subject: str | None
    moment: Moment
    event: Event | None = None
    received: int = 0
    batch: str = ""
    fate: str = ""


def told_of(rule: ClockRule, log: Iterable[LogRecord], end: int) -> Iterator[Told]:
    """Return the leaves at each record of the facility, and at `end` (log time, ms)."""
    facility: Facility | None = None
    version, batches = -1, Batches()
    systems: dict[str, System] = {}
    last: int | None = None
    tick: int | None = None
    for record in log:
        payload, now = record.payload, record.received
        if isinstance(payload, Tick) and payload.role == "gateway":
            if tick is not None and now - tick > DOOR_CLOSED_MS:
                for system in systems.values():
                    system.opened = now
            tick = now
        if isinstance(payload, RegisterRecord) and payload.version > version:
            version, facility = payload.version, payload.facility
        if record.kind not in OWN or facility is None:
            continue
        yield from _heard(rule, systems, facility, last, now)
        last = now
        if isinstance(payload, Events):
            new = batches.meet_digest(payload.batch, digest_of_batch(payload), now) is BatchSeen.NEW
            for event in payload.events:
                told = _event(rule, systems, facility, event, now)
                fate = "again" if not new else told.fate
                if new or told.subject is not None:
                    yield Told(told.subject, told.moment, event, now, payload.batch, fate)
    if facility is not None and last is not None:
        for name, system in systems.items():
            silent = end - last > rule.silent
            yield Told(name, Moment("end", end, tuple(_leaves(rule, system, facility, end, heard=not silent))))


def _heard(
    rule: ClockRule, systems: dict[str, System], facility: Facility, last: int | None, now: int
) -> Iterator[Told]:
    hole = last is not None and now - last > rule.silent
    for name, system in systems.items():
        if hole and system.heard_again is None:
            system.heard_again = now
        yield Told(name, Moment("event", now, tuple(_leaves(rule, system, facility, now, heard=not hole))))


def _leaves(rule: ClockRule, system: System, facility: Facility, now: int, *, heard: bool) -> list[Seen]:
    age = now - max(system.newest, system.opened)
    late = age >= rule.silent + facility.delivery
    found = [Seen("overdue", verdict(late), float(age), ">", float(rule.silent), "ms")]
    if not late:
        return found
    found.append(
        Seen("alive", Verdict.TRUE if heard else Verdict.UNKNOWN, None, "heard within", float(rule.silent), "ms")
    )
    if system.heard_again is not None:
        back, since = rule.back or 0, now - system.heard_again
        found.append(Seen("back", verdict(since >= back), float(since), ">=", float(back), "ms"))
    return found


def _event(rule: ClockRule, systems: dict[str, System], facility: Facility, event: Event, now: int) -> Told:
    said = Seen("event", verdict(is_heartbeat(event)), f"{event.stream} {event.type}", "=", "audit heartbeat")
    t, name = time_of(event, now), name_of(event, "system")
    if not is_heartbeat(event) or name is None or not applies(rule, facility, area_of(event, facility), t):
        return Told(None, Moment("event", t, (said,)))
    subject, current = text_of({"system": name}), t + rule.silent + facility.delivery > now
    moment = Moment(
        "event", t, (said, Seen("current", verdict(current), float(now - t), "<=", float(rule.silent), "ms"))
    )
    system = systems.get(subject)
    if system is None and not current:
        return Told(subject, moment, fate="not kept")
    if system is None:
        system = systems[subject] = System(t)
    fate = "again" if t in system.again else "done" if t < system.newest else "heard"
    system.again.add(t)
    if t > system.newest:
        system.newest = t
        if current:
            system.heard_again, system.opened = None, -1
    return Told(subject, moment, fate=fate)
