"""Which registered facts a rule lacks: of each kind of rule, why it watches nothing that it looks at (ADR 0053).

A rule that comes to need another fact says so here, or in `rules.rare.incomplete` where the fact is not one of a sensor and its
area; `register.incomplete` then lists it. What a kind can judge without (a smaller part of its condition, a default) it does not lack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rules.facts import FACTS
from rules.predicate import holds, in_scope
from rules.rule import (
    CALIBRATED,
    Among,
    CompletenessRule,
    CumulativeRule,
    DifferenceRule,
    FollowUpRule,
    GapRule,
    LastDigitRule,
    LimitRule,
    RegisterCheckRule,
    RepeatDayRule,
    SeriesRule,
    SteadinessRule,
    looks_at_rows,
)
from rules.scale import BY_TEMPERATURE, scale_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.facts import FactValue, RegisteredFacts
    from rules.pack import Bundle
    from rules.pairs import Pair
    from rules.predicate import Scoped
    from rules.register import Sensor
    from rules.rule import Predicate, Rule
    from rules.tables import Table

TABLE = "table"
"""In the place of a fact: all that a table asks for is registered, and no row of it fits."""
WARM, PRESSURES = "area.temperature_sensor", "cascade.sensors"
"""In the place of a fact: a temperature sensor of an area; what measures the pressure between two rooms."""
_GIVEN = frozenset({"area.grade", "area.standard", "area.phase", "place.kind", "place.grade"})
"""Facts that are there wherever they can be: an area without a grade is one that has none."""
WORDS: dict[str, tuple[str, str]] = {
    "sensor.interval": ("recording interval", "采样间隔"),
    "sensor.limits": ("limits", "限值"),
    "sensor.range": ("measuring range", "量程"),
    "sensor.resolution": ("resolution", "分辨率"),
    "sensor.detection_limit": ("detection limit", "检出限"),
    "sensor.sample_m3": ("volume of a sample", "单次采样体积"),
    "sensor.serial": ("serial number", "出厂编号"),
    "sensor.config_hash": ("hash of the configuration", "配置哈希"),
    "sensor.calibration": ("calibration", "校准"),
    "sensor.calibration.points": ("calibration points that are judged", "可判定的校准点"),
    "sensor.error": ("error", "示值误差"),
    "sensor.door": ("door contact", "门磁"),
    "sensor.temperature_tag": ("temperature tag", "温度测点"),
    "sensor.compensated": ("whether it compensates for temperature", "是否温度补偿"),
    "device.serial": ("serial number", "出厂编号"),
    "device.config_hash": ("hash of the configuration", "配置哈希"),
    "area.floor_m2": ("floor area", "地面面积"),
    "area.height_m": ("height", "高度"),
    "area.rack_height_m": ("height of its racks", "货架高度"),
    "area.volume_m3": ("volume", "容积"),
    "area.shipment_type": ("type of shipment", "运输类型"),
    "area.water": ("kind of water", "水的种类"),
    "area.pharmacopoeia": ("pharmacopoeia", "适用药典"),
    WARM: ("a temperature sensor", "温度测点"),
    PRESSURES: ("sensors of the pressure between the rooms", "两室间的压力或压差测点"),
    TABLE: ("a row of its table that fits", "限值表中适用的行"),
}
"""What a rule may lack, by the name that it has in the register, in English and Chinese; `optional` of a rule names them."""


class Lack(NamedTuple):
    """A fact that a rule lacks of a sensor, its area, a pair or a device; `found` is what is there instead, if anything is."""

    rule: str
    fact: str
    found: str = ""


def looks_at_sensors(rule: Rule) -> bool:
    """Say whether the predicates of a rule are asked of sensors, each with its area; else of areas, rooms or the facility."""
    if isinstance(rule, DifferenceRule):
        return rule.pairs != "cascades"
    return (
        isinstance(rule, SeriesRule | RepeatDayRule | CompletenessRule)
        or looks_at_rows(rule)
        or (isinstance(rule, FollowUpRule) and rule.trace is not None)
        or (isinstance(rule, RegisterCheckRule) and rule.check in CALIBRATED)
    )


def of_predicates(rule: Rule, scoped: Scoped, facts: Mapping[str, FactValue]) -> list[Lack]:
    """Return the facts without which it is not known whether a rule looks at something; none where it does, or does not.

    Args:
        rule: whose predicates do not hold.
        scoped: the facility.
        facts: of what it may look at.
    """
    return [Lack(rule.id, name) for name in undecided(rule.applies_to, facts)] if in_scope(rule, scoped) else []


def undecided(wanted: Mapping[str, Predicate], facts: Mapping[str, FactValue]) -> list[str]:
    """Return the facts of which predicates want a value and none is registered, if all others hold.

    >>> undecided({"sensor.quantity": "conductivity", "area.water": "wfi"}, {"sensor.quantity": "conductivity"})
    ['area.water']
    >>> undecided({"sensor.quantity": "toc", "area.water": "wfi"}, {"sensor.quantity": "conductivity"})
    []
    """
    found = []
    for name, value in wanted.items():
        if is_missing(name, facts) and not (isinstance(value, Among) and value.registered is not None):
            found.append(named(name))
        elif not holds({name: value}, facts):
            return []
    return found


def is_missing(name: str, facts: Mapping[str, FactValue]) -> bool:
    """Say whether a fact that could be registered is not."""
    return facts.get(name) is None and name not in _GIVEN


def named(fact: str) -> str:
    """Return the name that a fact has in the register."""
    return {"sensor.interval_s": "sensor.interval"}.get(fact, fact)


def fits(rule: Rule, registered: RegisteredFacts, sensor: Sensor, at: int) -> bool:
    """Say whether a rule looks at a sensor with the facts in force at an instant (ms)."""
    return not rule.applies_to or holds(rule.applies_to, registered.of(sensor, at))


def of_limits(
    rule: LimitRule | CumulativeRule, sensor: Sensor, facts: Mapping[str, FactValue], bundle: Bundle
) -> list[Lack]:  # fmt: skip
    """Return what a rule lacks that has no limits for a sensor."""
    source = rule.limits.from_
    if source == "range":
        return [Lack(rule.id, "sensor.range")]
    if source == "sensor":
        return [Lack(rule.id, "sensor.limits", "" if sensor.limits is None else f"no {rule.limits.side or 'bound'}")]
    return of_table(rule, bundle.tables.get(str(source)), facts)


def of_table(rule: Rule, table: Table | None, facts: Mapping[str, FactValue]) -> list[Lack]:
    """Return what a rule lacks of which no row of its table fits: the facts that rows ask for, else the row."""
    if table is None:
        return []
    asked = sorted({named(name) for row in table.rows for name in row.where if is_missing(name, facts)})
    return [Lack(rule.id, name) for name in asked] or [Lack(rule.id, TABLE, table.id)]


def of_room(rule: Rule, low: float, high: float) -> Lack:
    """Return what a rule lacks where the registered limits leave it no room."""
    return Lack(rule.id, "sensor.limits", f"nothing is left between low {low:g} and high {high:g}")


def of_pair(rule: DifferenceRule, pair: Pair, bundle: Bundle) -> list[Lack]:
    """Return what a rule lacks that has no limits for a pair; of one by temperature: `of_sensor`."""
    if rule.pairs == BY_TEMPERATURE:
        return []
    source = rule.limits.from_
    table = bundle.tables.get(source) if isinstance(source, str) else None
    if table is not None and table.lookup(pair.facts) is None:
        return of_table(rule, table, pair.facts)
    return [Lack(rule.id, "sensor.limits", "nothing is left between low and high")]


def of_mean(rule: LimitRule, sensor: Sensor) -> Lack:
    """Return what a smoothed rule lacks: what a record samples, or enough of it."""
    sample = sensor.sample_m3
    return Lack(rule.id, "sensor.sample_m3", "" if sample is None else f"{sample:g} is too little")


def of_sensor(rule: Rule, sensor: Sensor, facts: Mapping[str, FactValue], bundle: Bundle) -> list[Lack]:
    """Return what a rule without limits of its own for single series lacks of a sensor that it looks at."""
    if isinstance(rule, DifferenceRule) and rule.pairs == BY_TEMPERATURE:
        rows = scale_of(rule, facts, bundle)
        table = bundle.tables.get(str(rule.limits.from_))
        return [*([] if rows else of_table(rule, table, facts)), Lack(rule.id, WARM)]
    return [Lack(rule.id, f"sensor.{name}") for name in _needed(rule) if getattr(sensor, name) is None]


def _needed(rule: Rule) -> tuple[str, ...]:
    """Return the members of a sensor without which a rule judges none."""
    by_interval = (
        (isinstance(rule, GapRule) and rule.threshold is None)
        or (isinstance(rule, CompletenessRule) and rule.check == "effective-rate")
        or (isinstance(rule, FollowUpRule) and rule.trace is not None)
    )
    if by_interval:
        return ("interval",)
    if isinstance(rule, LastDigitRule):
        return ("resolution",)
    at_limit = isinstance(rule, SteadinessRule) and rule.check == "at-limit"
    return ("detection_limit", "resolution") if at_limit else ()


assert {named(name) for name in FACTS} - set(WORDS) <= {  # noqa: S101 - what can be missing has words
    "facility.jurisdiction", "facility.labels", "facility.licences", "products.class", "products.storage", "area.kind",
    "area.stores", "result.method", "sensor.quantity", "sensor.unit", "sensor.pinned", *_GIVEN,
}  # fmt: skip
