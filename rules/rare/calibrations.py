"""Calibrations that events tell, for the checks `calibration-due` and `sensor-error`: the later `done` wins between register and event.

Of each sensor a check keeps one: the one that was done last of those that say what it asks for, from when it comes on (ADR 0048).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from rules.facts import facts_of
from rules.predicate import holds
from rules.rare.match import FUTURE_MS, digest_of, text_of_field
from rules.rare.months import day_of
from rules.rare.store import MAX_CHECKED, Fact, subject_of, text_of
from rules.register import Calibration, CalibrationPoint, SinceInstant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.plan import Plan
    from rules.rare.store import Case, Cases
    from rules.records import Event
    from rules.register import Sensor
    from rules.rule import RegisterCheckRule
    from rules.state import FacilityState

TELLS = ("device", "calibration")
"""Stream and type of the events."""
MAX_POINTS = 100
"""Of a certificate, as in the register."""
_INSTANT: TypeAdapter[int] = TypeAdapter(SinceInstant)
_POINTS: TypeAdapter[list[CalibrationPoint]] = TypeAdapter(list[CalibrationPoint])


def keep(rule: RegisterCheckRule, event: Event, batch: str, received: int, state: FacilityState) -> Case | None:
    """Keep a calibration that an event tells, if it was done later than the one that is kept; returns its case, None: nothing changed.

    Args:
        rule: `calibration-due` or `sensor-error`.
        event: of any kind.
        batch: that it came in.
        received: its receive time, ms.
        state: of the facility.
    """
    if (event.stream, event.type) != TELLS:
        return None
    rare, plan = state.rare, state.planned
    sensor, told = sensor_of(event, plan), said_by(rule, event, received)
    if sensor is None or told is None or not holds(rule.applies_to, facts_of(plan.facility, sensor, plan.at)):
        return None
    done, said = told
    text = json.dumps([*said, text_of_field(event, "serial") or sensor.serial])
    subject, digest = text_of({"tag": sensor.tag}), digest_of(event)
    kept = next(iter(rare.of(rule.id)[subject].facts), None) if subject in rare.of(rule.id) else None
    if kept is not None and kept.t >= done:
        rare.counts["event_duplicate" if kept.digest == digest else "event_stale"] += 1
        return None
    case = rare.case(rule.id, subject, MAX_CHECKED)
    if case is not None:
        rare.cases[rule.id].keep(case, [Fact(done, received, digest, batch, text)])
    return case


def ignored(event: Event, received: int, plan: Plan) -> str | None:
    """Return the counter of an event that tells a calibration of which not all is taken, None: all is, or it tells none.

    Args:
        event: of any kind.
        received: its receive time, ms.
        plan: of the facility.
    """
    if (event.stream, event.type) != TELLS:
        return None
    sensor, done = sensor_of(event, plan), _instant(event.fields.get("done_at"))
    if sensor is None:
        return "calibration_unknown"
    due, points = event.fields.get("due_at"), event.fields.get("points") or None
    if done is None or done > received + FUTURE_MS or (due is None and points is None):
        return "calibration_unreadable"
    end = done + 1 if due is None else _instant(due)
    if end is None or end <= done or not (points is None or _points(points)):
        return "calibration_unreadable"
    registered = sensor.calibration
    return "calibration_older" if registered is not None and str(day_of(done)) <= registered.done else None


def sensor_of(event: Event, plan: Plan) -> Sensor | None:
    """Return the sensor that an event is about: its `point`, else the only one of its `serial`; None where these contradict each other or cannot be read."""
    named = {name: text_of_field(event, name) for name in ("point", "serial") if name in event.fields}
    if not named or None in named.values():
        return None
    serial = named.get("serial")
    if "point" not in named:
        same = [sensor for sensor in plan.sensors if sensor.serial == serial]
        return same[0] if len(same) == 1 else None
    slot = plan.slots.get(named["point"] or "")
    sensor = None if slot is None else plan.sensors[slot]
    contradicted = sensor is not None and serial is not None and sensor.serial not in {None, serial}
    return None if contradicted else sensor


def said_by(rule: RegisterCheckRule, event: Event, received: int) -> tuple[int, list[Any]] | None:
    """Return when a calibration was done (ms), and what a check keeps of it: its day, and when it ends or its points; None where it does not say that."""
    done = _instant(event.fields.get("done_at"))
    if done is None or done > received + FUTURE_MS:
        return None
    day = str(day_of(done))
    if rule.check == "calibration-due":
        due = _instant(event.fields.get("due_at"))
        return None if due is None or due <= done else (done, [day, str(day_of(due))])
    points = _points(event.fields.get("points"))
    return (done, [day, [[point.at, point.error] for point in points]]) if points else None


def _instant(value: Any) -> int | None:  # noqa: ANN401 - a field holds any JSON
    try:
        return _INSTANT.validate_python(value)
    except ValidationError:
        return None


def _points(value: Any) -> list[CalibrationPoint]:  # noqa: ANN401 - a field holds any JSON
    if not isinstance(value, list) or len(value) > MAX_POINTS:
        return []
    try:
        return _POINTS.validate_python(
            [{"at" if name == "reference" else name: number for name, number in point.items()} for point in value]
        )
    except (AttributeError, ValidationError):
        return []


def told(cases: Mapping[str, Case]) -> dict[str, Calibration]:
    """Return tag -> the calibration that events tell, of the cases of a check."""
    return {
        subject_of(subject)["tag"]: _calibration(fact.text)
        for subject, case in cases.items()
        for fact in case.facts
        if fact.digest
    }


def _calibration(text: str) -> Calibration:
    done, said, _ = json.loads(text)
    if isinstance(said, str):
        return Calibration(done=done, due=said)
    return Calibration(done=done, due=done, points=[CalibrationPoint(at=at, error=error) for at, error in said])


def later(registered: Calibration | None, event: Calibration | None) -> Calibration | None:
    """Return the one that was done on the later day; of one day the register's."""
    if registered is None or event is None:
        return event if registered is None else registered
    return event if event.done > registered.done else registered


def fit(rule: RegisterCheckRule, state: FacilityState) -> None:
    """Let go of what was told of sensors that a check does not look at any more, or in whose place another one stands.

    Args:
        rule: `calibration-due` or `sensor-error`; of another check nothing is kept.
        state: of a facility whose register, or a fact of it, has just come into force.
    """
    plan, cases = state.planned, state.rare.of(rule.id)
    told = [(subject, case) for subject, case in cases.items() if case.facts]
    if not told:
        return
    looked_at = {
        text_of({"tag": sensor.tag}): sensor.serial
        for sensor in plan.sensors
        if holds(rule.applies_to, facts_of(plan.facility, sensor, plan.at))
    }
    for subject, case in told:
        if subject not in looked_at or _contradicts(case.facts[0], looked_at[subject]):
            _let_go(cases, subject, case)


def _contradicts(fact: Fact, serial: str | None) -> bool:
    """Say whether a calibration was told of another sensor than the one with a serial; one that is not known contradicts nothing."""
    told = json.loads(fact.text)[2] if fact.digest else None
    return None not in {told, serial} and told != serial


def _let_go(cases: Cases, subject: str, case: Case) -> None:
    cases.keep(case, [])
    if case.last is None and not case.uses:
        del cases[subject]
