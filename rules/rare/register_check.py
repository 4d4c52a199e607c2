"""Kind `register_check`: what the register says of itself, judged when it changes and when a date in it passes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Leaf, Verdict
from rules.facts import RegisteredFacts, area_in_force, in_force
from rules.instants import start_of_day
from rules.lacks import fits
from rules.layout import NEVER
from rules.predicate import holds
from rules.rare import calibrations
from rules.rare.speak import Now, close, open_case, tell
from rules.rare.store import MAX_CHECKED, text_of
from rules.register import ZONE, Quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rules.emission import Emitter
    from rules.rare.store import Case
    from rules.rareparts import SensorCount
    from rules.records import Event
    from rules.register import Area, Calibration, Facility, Sensor
    from rules.rule import RegisterCheckRule, Rule


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check says of one subject at an instant (ms)."""

    subject: str
    verdict: Verdict
    """True: what the rule warns of holds."""
    leaf: Leaf
    start: int | None = None
    """Since when it holds, where it does; None: since it was first seen."""
    rank: int = 0
    """Of its colour."""
    change: int = NEVER
    """When the answer changes by the clock alone."""


def check(rule: RegisterCheckRule, now: Now, emitter: Emitter) -> None:
    """Judge the register as it stands, and tell what changed, subject by subject."""
    state = emitter.state
    rare, plan = state.rare, state.planned
    calibrations.fit(rule, state)
    found = findings(rule, plan.facility, now.received, state.registered, calibrations.told(rare.of(rule.id)))
    settle_findings(rule, found, now, emitter)
    change = min((one.change for one in found), default=NEVER)
    rare.checked.pop(rule.id, None)
    if change != NEVER:
        rare.checked[rule.id] = change


def meet(rule: RegisterCheckRule, event: Event, batch: str, now: Now, emitter: Emitter) -> None:
    """Fold one event: a calibration that was done later than all that are known is judged when it comes."""
    state, at = emitter.state, now.received
    case = calibrations.keep(rule, event, batch, at, state)
    sensor = None if case is None else calibrations.sensor_of(event, state.planned)
    if case is None or sensor is None:
        return
    subject = text_of({"tag": sensor.tag})
    told = calibrations.told({subject: case})[sensor.tag]
    one = _of_sensor(rule, sensor, at, state.registered.get(sensor.tag, at), told)
    settle_finding(rule, subject, case, one, Now(at, at, now.records), emitter)
    if one.change != NEVER:
        state.rare.checked[rule.id] = min(one.change, state.rare.checked.get(rule.id, NEVER))


def settle_findings(rule: Rule, findings: Iterable[Finding], now: Now, emitter: Emitter) -> None:
    """Tell what findings change in the alarms of a rule, subject by subject; an alarm without a finding ends."""
    rare = emitter.state.rare
    found = {one.subject: one for one in findings}
    standing = {subject for subject, case in rare.of(rule.id).items() if case.standing is not None}
    for subject in sorted(standing | {s for s, one in found.items() if one.verdict is Verdict.TRUE}):
        case = rare.case(rule.id, subject, MAX_CHECKED)
        if case is not None:
            settle_finding(rule, subject, case, found.get(subject), now, emitter)


def settle_finding(rule: Rule, subject: str, case: Case, one: Finding | None, now: Now, emitter: Emitter) -> None:
    """Tell what a finding changes in the alarm of one subject; None: the rule looks at it no more."""
    alarm, leaves = case.standing, [] if one is None else [one.leaf]
    unknown = one is not None and one.verdict is Verdict.UNKNOWN
    if unknown and alarm is not None and one is not None and one.start in {None, alarm.start}:
        if not alarm.unknown:
            alarm.unknown = True
            tell(rule, subject, case, alarm, ChangeKind.UNKNOWN, leaves, now, emitter)
        return
    if alarm is not None and alarm.unknown and not unknown:
        alarm.unknown = False
        tell(rule, subject, case, alarm, ChangeKind.KNOWN, leaves, now, emitter)
    holding = one if one is not None and one.verdict is Verdict.TRUE else None
    if alarm is not None and (holding is None or holding.start not in {None, alarm.start}):
        close(rule, subject, case, leaves, now, emitter)
        alarm = None
    if holding is None:
        return
    if alarm is None:
        start = now.received if holding.start is None else holding.start
        open_case(rule, subject, case, start, holding.rank, leaves, now, emitter)
    elif alarm.sev != holding.rank:
        alarm.sev, alarm.top = holding.rank, max(alarm.top, holding.rank)
        tell(rule, subject, case, alarm, ChangeKind.STEPPED, leaves, now, emitter)


def findings(
    rule: RegisterCheckRule, facility: Facility, at: int, registered: Mapping[str, int],
    told: Mapping[str, Calibration] = MappingProxyType({}),
) -> list[Finding]:  # fmt: skip
    """Return what a rule says of every subject it looks at, with the facts in force at `at` (ms).

    Args:
        rule: the rule.
        facility: as registered.
        at: log time, ms.
        registered: when each tag came into force.
        told: tag -> the newest calibration that an event told.
    """
    if rule.check == "sensor-count":
        return list(_counts(rule, facility, at))
    found, facts = [], RegisteredFacts(facility)
    for sensor in in_force(facility, at):
        if not fits(rule, facts, sensor, at):
            continue
        found.append(_of_sensor(rule, sensor, at, registered.get(sensor.tag, at), told.get(sensor.tag)))
    return found


def _of_sensor(
    rule: RegisterCheckRule, sensor: Sensor, at: int, since: int, told: Calibration | None
) -> Finding:  # fmt: skip
    calibration = calibrations.later(sensor.calibration, told)
    name = sensor.tag if calibration is None or calibration is not told else f"{sensor.tag} (told by an event)"
    if rule.check == "sensor-error":
        return _errors(rule, sensor, name, calibration)
    return _calibrated(rule, sensor, name, calibration, at, since)


def _calibrated(
    rule: RegisterCheckRule, sensor: Sensor, name: str, calibration: Calibration | None, at: int, since: int
) -> Finding:  # fmt: skip
    subject, base = text_of({"tag": sensor.tag}), rule.severity.base.rank
    if calibration is None:
        leaf = Leaf(expr=f"calibration of {name}", left=None, op="on file", verdict=Verdict.TRUE)
        return Finding(subject, Verdict.TRUE, leaf, since, base)
    due = end_of(calibration.due)
    notice = due if rule.notice is None else due - rule.notice.before
    late = at >= notice
    leaf = Leaf(
        expr=f"calibration of {name}", left=calibration.due, op="is due", right=None,
        verdict=Verdict.TRUE if late else Verdict.FALSE,
    )  # fmt: skip
    if not late:
        return Finding(subject, Verdict.FALSE, leaf, change=notice)
    if at >= due or rule.notice is None:
        return Finding(subject, Verdict.TRUE, leaf, due, base)
    return Finding(subject, Verdict.TRUE, leaf, due, rule.notice.severity.rank, due)


def end_of(day: str) -> int:
    """Return the instant at which a local day ends (24:00).

    >>> end_of("2026-03-01")
    1772380800000
    """
    return start_of_day(date.fromisoformat(day) + timedelta(days=1), ZONE)


def _errors(rule: RegisterCheckRule, sensor: Sensor, name: str, calibration: Calibration | None) -> Finding:
    subject = text_of({"tag": sensor.tag})
    judged = [] if calibration is None else list(_beyond(rule, calibration))
    if calibration is None or not judged:
        leaf = Leaf(expr=f"error of {name}", left=None, op=">", unit=sensor.unit, verdict=Verdict.UNKNOWN)
        return Finding(subject, Verdict.UNKNOWN, leaf)
    over, error, most = max(judged)
    verdict = Verdict.TRUE if over > 0 else Verdict.FALSE
    leaf = Leaf(expr=f"error of {name}", left=error, op=">", right=most, unit=sensor.unit, verdict=verdict)
    return Finding(
        subject, verdict, leaf, start_of_day(date.fromisoformat(calibration.done), ZONE), rule.severity.base.rank
    )


def _beyond(rule: RegisterCheckRule, calibration: Calibration) -> Iterator[tuple[float, float, float]]:
    """Return for each point of a certificate that a band covers how far it is beyond, its error, and what it may be."""
    for point in calibration.points:
        most = min((band.error for band in rule.errors if band.low <= point.at <= band.high), default=math.inf)
        if math.isfinite(most):
            yield abs(point.error) - most, abs(point.error), most


def is_covered(rule: RegisterCheckRule, calibration: Calibration) -> bool:
    """Say whether a band of a check of errors holds a point of a calibration: else nothing is known of it."""
    return any(band.low <= point.at <= band.high for point in calibration.points for band in rule.errors)


def _counts(rule: RegisterCheckRule, facility: Facility, at: int) -> Iterator[Finding]:
    facts, there = RegisteredFacts(facility), dict[str, int]()
    for sensor in in_force(facility, at):
        there[sensor.area] = there.get(sensor.area, 0) + (sensor.quantity is Quantity.TEMPERATURE)
    for name in dict.fromkeys(area.id for area in facility.areas):
        area = area_in_force(facility, name, at)
        need = None if area is None else next((one for one in rule.counts if area.kind in one.kinds), None)
        if area is None or need is None or (area.from_ or 0) > at or not holds(rule.applies_to, facts.around(area)):
            continue
        wanted, have = required(need, area), there.get(name, 0)
        verdict = Verdict.UNKNOWN if wanted is None else Verdict.TRUE if have < wanted else Verdict.FALSE
        leaf = Leaf(
            expr=f"temperature sensors in {name}", left=float(have), op="<", right=None if wanted is None else float(wanted),
            verdict=verdict,
        )  # fmt: skip
        yield Finding(text_of({"area": name}), verdict, leaf, area.from_, rule.severity.base.rank)


def required(need: SensorCount, area: Area) -> int | None:
    """Return how many sensors an area needs, None where its size is not registered (limits.md §2.2)."""
    if need.unit is None:
        return need.least
    size = area.floor_m2 if need.of == "floor_m2" else area.volume_m3
    if size is None:
        return None
    height = area.rack_height_m
    racks = [
        rack
        for rack in need.racks
        if height is not None and (height >= rack.height_m if rack.inclusive else height > rack.height_m)
    ]
    if racks:
        return max(need.least, max(racks, key=lambda rack: rack.height_m).per_unit * math.ceil(size / need.unit))
    return need.least + math.ceil(max(0.0, size - need.unit) / need.unit)
