"""What rules lack in the register, in plain words: every rule is asked of every sensor, area, device and pair of rooms, one after another."""

from __future__ import annotations

import math
from fractions import Fraction

from rules.facts import facts_of, facts_of_area
from rules.predicate import holds
from rules.register import Span
from rules.rule import (
    Among,
    ClockRule,
    CompletenessRule,
    ConflictRule,
    CumulativeRule,
    DifferenceRule,
    FollowUpRule,
    GapRule,
    LastDigitRule,
    LimitRule,
    RegisterCheckRule,
    SeriesRule,
    SteadinessRule,
)

ALWAYS = ("area.grade", "area.standard", "area.phase", "place.kind", "place.grade")


def listing(rule):
    """Whether a rule lists what others lack."""
    return isinstance(rule, RegisterCheckRule) and rule.check == "incomplete"


def in_force(entries, at, name):
    """The newest entry of each name that has begun."""
    found = {}
    for entry in sorted(entries, key=lambda entry: entry.from_ or 0):
        if (entry.from_ or 0) <= at:
            found[getattr(entry, name)] = entry
    return found


def of_sensors(rule):
    """Whether a rule is asked of each sensor."""
    if isinstance(rule, DifferenceRule):
        return rule.pairs != "cascades"
    if isinstance(rule, ClockRule):
        return rule.check in ("event-time", "late-evidence")
    if isinstance(rule, FollowUpRule):
        return rule.trace is not None
    if isinstance(rule, RegisterCheckRule):
        return rule.check in ("calibration-due", "sensor-error")
    return isinstance(rule, (SeriesRule, CompletenessRule, ConflictRule)) or rule.kind == "repeat_day"


def open_facts(rule, facts):
    """The facts that a rule asks for and nobody registered; None where others say that it does not look there."""
    found = []
    for name, value in rule.applies_to.items():
        asks_whether = isinstance(value, Among) and value.registered is not None
        if facts.get(name) is None and name not in ALWAYS and not asks_whether:
            found.append("sensor.interval" if name == "sensor.interval_s" else name)
        elif not holds({name: value}, facts):
            return None
    return found


def lacking(rule, bundle, facility, at, points):
    """(rule, subject, fact) of all that `rule` lists.

    Args:
        rule: that lists.
        bundle: in force.
        facility: as registered.
        at: log time.
        points: (rule, sensor) -> the points of the newest calibration of the register or of events, None without one.
    """
    if not holds(rule.applies_to, facts_of_area(facility, None)):
        return set()
    scopes = {(scope.field, scope.line) for scope in facility.scopes}
    fields = {field for field, _ in scopes}
    sensors = in_force(facility.sensors, at, "tag")
    areas = in_force(facility.areas, at, "id")
    found = set()
    for other in bundle.rules:
        ours = any(
            (s.field == "all" or s.field in fields) and (s.line == "all" or (s.field, s.line) in scopes)
            for s in other.scopes
        )
        if not ours or other.stage not in ("live", "shadow"):
            continue
        if of_sensors(other):
            for tag, sensor in sensors.items():
                facts = facts_of(facility, sensor, at)
                missing = open_facts(other, facts)
                if missing is None:
                    continue
                if not missing:
                    missing = needs(other, bundle, sensor, facts, sensors, points)
                if not set(missing) & set(rule.optional):
                    for fact in missing:
                        where = ("area", sensor.area) if fact.startswith("area.") else ("tag", tag)
                        found.add((other.id, (where,), fact))
        elif isinstance(other, DifferenceRule):
            found |= {(other.id, subject, fact) for subject, fact in of_cascades(other, bundle, facility, at, sensors)}
        else:
            of_areas = {(other.id, (("area", name),), fact) for name, area in areas.items()
                        for fact in open_facts(other, facts_of_area(facility, area)) or []
                        if any(asked.startswith("area.") for asked in other.applies_to)}  # fmt: skip
            found |= of_areas
            found |= {(other.id, (where,), fact) for where, fact in of_register(other, facility, areas, sensors)}
    return {one for one in found if one[2] not in rule.optional}


def needs(rule, bundle, sensor, facts, sensors, points):  # noqa: PLR0911 - one return a kind
    """What a rule that looks at a sensor needs and does not find."""
    if isinstance(rule, (LimitRule, CumulativeRule)):
        return of_limits(rule, bundle, sensor, facts)
    if isinstance(rule, GapRule):
        return ["sensor.interval"] if rule.threshold is None and sensor.interval is None else []
    if isinstance(rule, LastDigitRule):
        return [] if sensor.resolution else ["sensor.resolution"]
    if isinstance(rule, SteadinessRule) and rule.check == "at-limit":
        return [f"sensor.{name}" for name in ("detection_limit", "resolution") if getattr(sensor, name) is None]
    if (isinstance(rule, CompletenessRule) and rule.check == "effective-rate") or isinstance(rule, FollowUpRule):
        return [] if sensor.interval else ["sensor.interval"]
    if isinstance(rule, DifferenceRule) and rule.pairs == "by-temperature":
        table = bundle.tables[rule.limits.from_]
        rows = [row for row in table.rows if row.at is not None and holds(row.where, facts)]
        warm = [tag for tag, other in sensors.items() if other.area == sensor.area and other.quantity == "temperature"]
        first = min(warm, default=sensor.tag)
        return ([] if rows else of_table(table, facts)) + (["area.temperature_sensor"] if first == sensor.tag else [])
    if isinstance(rule, RegisterCheckRule) and rule.check == "sensor-error":
        known = points(rule, sensor)
        if known is None:
            return ["sensor.calibration"]
        judged = [at for at, _ in known if any(band.low <= at <= band.high for band in rule.errors)]
        return [] if judged else ["sensor.calibration.points"]
    return []


def of_table(table, facts):
    """What is missing where no row fits."""
    asked = {name for row in table.rows for name in row.where if facts.get(name) is None and name not in ALWAYS}
    return sorted(asked) or ["table"]


def of_limits(rule, bundle, sensor, facts):
    source, own = rule.limits.from_, sensor.limits
    registered = False
    if source == "range":
        span = sensor.range
        if span is None:
            return ["sensor.range"]
    elif source == "sensor":
        span = own
        if span is None or not [
            side for side in ("low", "high") if getattr(span, side) is not None and rule.limits.side in (None, side)
        ]:
            return ["sensor.limits"]
        if rule.limits.side is not None:
            span = Span(**{rule.limits.side: getattr(span, rule.limits.side)})
    elif isinstance(source, str):
        fitting = [row for row in bundle.tables[source].rows if holds(row.where, facts)]
        if not fitting:
            return of_table(bundle.tables[source], facts)
        span, registered = fitting[0].limit, bool(fitting[0].registered)
    else:
        span = source
    low = -math.inf if span.low is None else span.low
    high = math.inf if span.high is None else span.high
    if registered and own is not None:
        low = own.low if own.low is not None and span.low is not None else low
        high = own.high if own.high is not None and span.high is not None else high
    if rule.limits.narrower and own is not None:
        low = low if own.low is None else max(low, own.low)
        high = high if own.high is None else min(high, own.high)
    if not low < high:
        return ["sensor.limits"]
    if isinstance(rule, LimitRule) and rule.smooth is not None:
        volume = rule.smooth.cubic_metres
        enough = sensor.sample_m3 is not None and Fraction(repr(sensor.sample_m3)) * 128 >= volume
        return [] if enough else ["sensor.sample_m3"]
    return []


def of_cascades(rule, bundle, facility, at, sensors):
    """(subject, fact) of pairs of rooms; of a pair that is measured only what its table lacks."""
    areas = {area.id: area for area in facility.areas}
    registered = [(one.cleaner, one.dirtier) for one in facility.cascades]
    rooms = list(registered)
    for _, sensor in sorted(sensors.items()):
        if sensor.against is None:
            continue
        pair = [sensor.area, sensor.against]
        rank = {name: "ABCD".index(areas[name].grade) if areas[name].grade else 4 for name in pair}
        pair.sort(key=rank.get)  # of equal ones the sensor's own stays first
        if tuple(pair[::-1]) not in rooms:
            rooms.append(tuple(pair))
    for cleaner, dirtier in rooms:
        subject = (("area", cleaner), ("place", dirtier))
        place = {"place.kind": areas[dirtier].kind.value, "place.grade": areas[dirtier].grade or "none"}
        across = [s for s in sensors.values() if {s.area, s.against} == {cleaner, dirtier}]
        apart = [
            [s for s in sensors.values() if s.area == room and s.quantity == "pressure"] for room in (cleaner, dirtier)
        ]
        if not across and not all(apart):
            asked = {name: value for name, value in rule.applies_to.items() if not name.startswith("sensor.")}
            if (cleaner, dirtier) in registered and holds(asked, facts_of_area(facility, areas[cleaner]) | place):
                yield subject, "cascade.sensors"
            continue
        first = min(across or apart[0], key=lambda s: s.tag)
        facts = facts_of(facility, first.model_copy(update={"area": cleaner}), at) | place
        missing = open_facts(rule, facts)
        yield from ((subject, fact) for fact in missing or [])
        if missing != []:
            continue
        source = rule.limits.from_
        if isinstance(source, str):
            fitting = [row for row in bundle.tables[source].rows if holds(row.where, facts)]
            if not fitting:
                yield from ((subject, fact) for fact in of_table(bundle.tables[source], facts))


def of_register(rule, facility, areas, sensors):
    """(member of the subject, fact) of checks of the register that look at areas, sensors and devices."""
    if not isinstance(rule, RegisterCheckRule):
        return
    if rule.check in ("serial-changed", "config-hash"):
        word = {"serial-changed": "serial", "config-hash": "config_hash"}[rule.check]
        known = {area.id: area for area in facility.areas} | areas
        entries = [(("tag", s.tag), s, "sensor") for s in sensors.values()]
        entries += [(("device", d.id), d, "device") for d in facility.devices]
        for where, entry, kind in entries:
            if getattr(entry, word) is None and holds(rule.applies_to, facts_of_area(facility, known[entry.area])):
                yield where, f"{kind}.{word}"
    elif rule.check == "sensor-count":
        for name, area in areas.items():
            need = next((one for one in rule.counts if area.kind in one.kinds), None)
            fits = holds(rule.applies_to, facts_of_area(facility, area))
            if need is not None and need.unit is not None and fits and getattr(area, need.of) is None:
                yield ("area", name), f"area.{need.of}"
