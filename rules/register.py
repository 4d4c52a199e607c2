"""The register: who is supervised, and what was licensed (contracts.md §2). Contacts are not part of a logged facility."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from rules import registerdays
from rules.errors import Fault
from rules.instants import Duration
from rules.models import Bilingual, FacilityId, Flag, Identifier, Number, Strict, Tag, Text
from rules.regimes import Regime, regime_faults

ZONE = registerdays.ZONE
Day = registerdays.Day
SinceInstant = registerdays.SinceInstant
MAX_SENSORS = 5_000
MAX_AREAS = 2_000
_EMAIL = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}$"
"""RFC 5322's `atext` and dots before the @, a host name behind it."""


class AreaKind(StrEnum):
    """What an area is."""

    CLEANROOM = "cleanroom"
    COLD_ROOM = "cold-room"
    COOL_STORE = "cool-store"
    ROOM_STORE = "room-store"
    FREEZER_ROOM = "freezer-room"
    REFRIGERATOR = "refrigerator"
    VEHICLE = "vehicle"
    BOX = "box"
    CRYO_TANK = "cryo-tank"
    FREEZER = "freezer"
    CRYO_ROOM = "cryo-room"
    INCUBATOR = "incubator"
    WATER_LOOP = "water-loop"
    NARCOTICS_STORE = "narcotics-store"
    ONLINE_STORE = "online-store"


class Quantity(StrEnum):
    """What a sensor measures."""

    TEMPERATURE = "temperature"
    HUMIDITY = "humidity"
    PRESSURE_DIFFERENCE = "pressure-difference"
    PRESSURE = "pressure"
    PARTICLES_FINE = "particles-0.5"
    PARTICLES_COARSE = "particles-5.0"
    CONDUCTIVITY = "conductivity"
    TOC = "toc"
    OXYGEN = "oxygen"
    LN2_LEVEL = "ln2-level"
    CO2 = "co2"


UNITS: dict[Quantity, str] = {
    Quantity.TEMPERATURE: "Cel",
    Quantity.HUMIDITY: "%RH",
    Quantity.PRESSURE_DIFFERENCE: "Pa",
    Quantity.PRESSURE: "Pa",
    Quantity.PARTICLES_FINE: "/m3",
    Quantity.PARTICLES_COARSE: "/m3",
    Quantity.CONDUCTIVITY: "uS/cm",
    Quantity.TOC: "ug/L",
    Quantity.OXYGEN: "%",
    Quantity.LN2_LEVEL: "%",
    Quantity.CO2: "%",
}
"""The unit (SenML/UCUM) of each quantity."""

ProductClass = Literal["vaccine", "biologic", "cell", "chemical", "narcotic", "device", "cosmetic"]
LicenceKind = Literal[
    "drug-mah",
    "drug-manufacture",
    "drug-wholesale",
    "drug-retail",
    "hospital-preparation",
    "clinical-trial-site",
    "device-registration",
    "device-manufacture",
    "device-distribution",
    "cosmetics-filing",
    "cosmetics-manufacture",
    "online-sale",
    "import-agent",
]


class Span(Strict):
    """A low and a high bound; None is no bound on that side."""

    low: Number | None = None
    high: Number | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Span:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("low must lie below high")
        return self


class Scope(Strict):
    """A supervision field and product line; `all` matches any."""

    field: Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,31}$")]
    line: Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,31}$")]


class Licence(Strict):
    """A licence with its scope and term."""

    number: Text = Field(min_length=1, max_length=64)
    kind: LicenceKind
    scope: list[Annotated[Text, Field(max_length=64)]] = Field(default_factory=list, max_length=100)
    from_: Day = Field(alias="from")
    to: Day | None = None


class Risk(Strict):
    """The risk grade and the last visit."""

    grade: Literal["A", "B", "C", "D"]
    since: Day
    last_visit: Day | None = None


class Product(Strict):
    """A product that the facility makes, keeps or trades."""

    id: Identifier
    name: Bilingual
    class_: ProductClass = Field(alias="class")
    storage: Literal["cold", "cool", "room", "frozen", "cryogenic"]


_QUANTITIES, _AREA_KINDS = frozenset(Quantity), frozenset(AreaKind)  # made once: a restore looks at 100,000 sensors


def area_faults(kind: object, grade: object, standard: object, phase: object) -> list[Fault]:
    """Return what does not go with an area's kind, of plain values too; pointers begin at the area."""
    faults = []
    for name, value in (("grade", grade), ("standard", standard)):
        if kind == AreaKind.CLEANROOM and value is None:
            faults.append(Fault(f"/{name}", "needed", "a cleanroom needs grade and standard"))
        if _is_kind_but(kind, AreaKind.CLEANROOM) and value is not None:
            faults.append(Fault(f"/{name}", "misplaced", "only a cleanroom has grade and standard"))
    if _is_kind_but(kind, AreaKind.CRYO_TANK) and phase is not None:
        faults.append(Fault("/phase", "misplaced", "only a cryo-tank has a phase"))
    return faults


def sensor_faults(quantity: object, unit: object, against: object) -> list[Fault]:
    """Return what does not go with a sensor's quantity, of plain values too; pointers begin at the sensor."""
    if not isinstance(quantity, str) or quantity not in _QUANTITIES:
        return []
    faults = []
    wanted = UNITS[Quantity(quantity)]
    if isinstance(unit, str) and unit != wanted:
        faults.append(Fault("/unit", "wrong_unit", f"{quantity} is measured in {wanted}, not {unit}"))
    if (against is not None) != (quantity == Quantity.PRESSURE_DIFFERENCE):
        detail = "`against` belongs to a pressure-difference and to nothing else"
        faults.append(Fault("/against", "needed" if against is None else "misplaced", detail))
    return faults


def _is_kind_but(kind: object, one: AreaKind) -> bool:
    return isinstance(kind, str) and kind != one and kind in _AREA_KINDS


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise ValueError("; ".join(dict.fromkeys(fault.detail for fault in faults)))


class Area(Strict):
    """A room, store, tank, vehicle or loop."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$")]
    kind: AreaKind
    name: Bilingual | None = None
    grade: Literal["A", "B", "C", "D"] | None = None
    standard: Literal["cn-gmp-2010", "eu-annex1-2022"] | None = None
    floor_m2: Number | None = Field(default=None, gt=0)
    height_m: Number | None = Field(default=None, gt=0)
    rack_height_m: Number | None = Field(default=None, gt=0)
    volume_m3: Number | None = Field(default=None, gt=0)
    stores: list[ProductClass] = Field(default=["vaccine"], max_length=16)
    shipment_type: Literal["I", "II"] | None = None
    phase: Literal["vapour", "liquid"] | None = None
    water: Literal["purified", "wfi"] | None = None
    pharmacopoeia: Literal["chp", "usp", "both"] | None = None
    from_: SinceInstant | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _complete(self) -> Area:
        _refuse(area_faults(self.kind, self.grade, self.standard, self.phase))
        return self


class Cascade(Strict):
    """Two rooms and the pressure (Pa) by which the cleaner must lead."""

    cleaner: str
    dirtier: str
    low: Number = Field(gt=0)


class CalibrationPoint(Strict):
    """One point of a certificate: the reference value and the error found there."""

    at: Number
    error: Number


class Calibration(Strict):
    """The last calibration and when the next is due."""

    done: Day
    due: Day
    points: list[CalibrationPoint] = Field(default_factory=list, max_length=100)


class Sensor(Strict):
    """A measuring point: what it measures, where, how often, within what limits."""

    tag: Tag
    area: str
    against: str | None = None
    quantity: Quantity
    unit: str
    interval: Duration | None = None
    limits: Span | None = None
    range: Span | None = None
    resolution: Number | None = Field(default=None, gt=0)
    error: Number | None = Field(default=None, ge=0)
    serial: Identifier | None = None
    calibration: Calibration | None = None
    pinned: Flag = False
    detection_limit: Number | None = None
    door: Identifier | None = None
    sample_m3: Number | None = Field(default=None, gt=0)
    temperature_tag: Tag | None = None
    compensated: Flag | None = None
    config_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None
    from_: SinceInstant | None = Field(default=None, alias="from")

    @field_validator("interval")
    @classmethod
    def _positive(cls, interval: int | None) -> int | None:
        if interval is not None and interval < 1_000:  # noqa: PLR2004 - one second, in ms
            raise ValueError("an interval is at least 1s")
        return interval

    @model_validator(mode="after")
    def _fits(self) -> Sensor:
        _refuse(sensor_faults(self.quantity, self.unit, self.against))
        return self


class Device(Strict):
    """A device whose events are watched."""

    id: Identifier
    area: str
    serial: Identifier | None = None
    config_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None


class Trial(Strict):
    """A clinical trial and its anniversary."""

    id: Identifier
    anniversary: Day
    ended: Day | None = None


class Facility(Strict):
    """One facility as it stands in the log: everything but its contacts."""

    id: FacilityId
    name: Bilingual
    jurisdiction: Annotated[str, Field(pattern=r"^[0-9]{6}$")]
    scopes: list[Scope] = Field(default_factory=list, max_length=64)
    labels: list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]] = Field(default_factory=list, max_length=64)
    delivery: Duration = 60_000
    licences: list[Licence] = Field(default_factory=list, max_length=100)
    risk: Risk | None = None
    products: list[Product] = Field(default_factory=list, max_length=5_000)
    areas: list[Area] = Field(default_factory=list, max_length=MAX_AREAS)
    cascades: list[Cascade] = Field(default_factory=list, max_length=MAX_AREAS)
    sensors: list[Sensor] = Field(default_factory=list, max_length=MAX_SENSORS)
    devices: list[Device] = Field(default_factory=list, max_length=MAX_SENSORS)
    trials: list[Trial] = Field(default_factory=list, max_length=1_000)
    regimes: Annotated[list[Regime], Field(max_length=1_000)] | None = None
    """Special regimes (rules/regimes.py); none is not written, so that what has none stays as it was."""

    @model_validator(mode="after")
    def _consistent(self) -> Facility:
        faults = cross_faults(self.model_dump(by_alias=True, include=_NAMING))
        if faults:
            raise ValueError("; ".join(f"{fault.pointer[1:]}: {fault.detail}" for fault in faults))
        return self


_KEYS = {"areas": "id", "sensors": "tag", "products": "id", "devices": "id", "trials": "id"}
_DATED = {"areas", "sensors"}
_NAMES = (
    ("sensors", "area"),
    ("sensors", "against"),
    ("cascades", "cleaner"),
    ("cascades", "dirtier"),
    ("devices", "area"),
)
_NAMING = {*_KEYS, "cascades", "regimes"}


def cross_faults(facility: Any) -> list[Fault]:  # noqa: ANN401 - whatever a file holds
    """Return what stands twice and what names an area that is not there; entries that are no entries are passed over.

    Works on plain values, so that a file's other faults do not hide these. Pointers begin at the facility.

    >>> [str(fault) for fault in cross_faults({"sensors": [{"tag": "T", "area": "R"}]})]
    ['/sensors/0/area: unknown_area: area R is not registered']
    """
    if not isinstance(facility, dict):
        return []
    rows: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for part in _NAMING:
        entries = facility.get(part)
        rows[part] = [(i, e) for i, e in enumerate(entries) if isinstance(e, dict)] if isinstance(entries, list) else []
    faults = []
    for part, key in _KEYS.items():
        seen: set[tuple[str, str]] = set()
        for i, entry in rows[part]:
            name = (str(entry.get(key)), str(entry.get("from")) if part in _DATED else "")
            if entry.get(key) is not None and name in seen:
                faults.append(Fault(f"/{part}/{i}/{key}", "stands_twice", f"{name[0]} stands twice"))
            seen.add(name)
    areas = {str(entry.get("id")) for _, entry in rows["areas"]}
    faults += regime_faults(rows["regimes"], areas, {str(entry.get("id")) for _, entry in rows["products"]})
    return faults + [
        Fault(f"/{part}/{i}/{key}", "unknown_area", f"area {entry[key]} is not registered")
        for part, key in _NAMES
        for i, entry in rows[part]
        if entry.get(key) is not None and str(entry[key]) not in areas
    ]


class Contact(Strict):
    """A person at the firm; lives in the SQL store only, never in the log."""

    name: Text = Field(min_length=1, max_length=100)
    role: Text = Field(max_length=100)
    phone: Annotated[str, Field(pattern=r"^[0-9+() -]{3,32}$")] | None = None
    email: Annotated[str, Field(pattern=_EMAIL)] | None = None
    duty: Text | None = None


class FacilityEntry(Facility):
    """A facility as a register file holds it: with its contacts."""

    contacts: list[Contact] = Field(default_factory=list, max_length=100)

    def logged(self) -> Facility:
        """Return the facility without its contacts."""
        return Facility.model_validate(
            self.model_dump(mode="json", by_alias=True, exclude={"contacts"}, exclude_none=True)
        )


class RegisterFile(Strict):
    """A register file: `facilities`."""

    facilities: Annotated[list[FacilityEntry], Field(min_length=1, max_length=20_000)]
