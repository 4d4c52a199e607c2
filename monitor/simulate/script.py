"""A script of faults: what goes wrong where, at which second of the run, and which alarms that must give.

All times count from the beginning of the run (the instant up to which the prehistory reaches).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, model_validator

from rules.errors import BadInputError, Fault
from rules.faults import unreadable
from rules.instants import Duration, format_instant, parse_duration
from rules.models import Bilingual, FacilityId, Identifier, Severity, Strict, Tag, faults_of
from rules.register import AreaKind, Quantity
from rules.reports.reading import report_faults
from rules.rule import RuleId
from rules.yamlfile import Document, read_yaml

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from rules.register import Area, Facility, Sensor

STORY = Path(__file__).with_name("story.yaml")
"""The demo's script."""
STORY_PACKS = Path(__file__).with_name("packs")
"""Laid over the shipped packs for the story: where a rule waits a day, the demo waits seconds."""
MAX_FAULTS = 200
RELATIVE = re.compile(r"[+-]\d{1,9}(ms|s|m|h|d)")
SOME_DAY = 1_772_294_400_000
"""Reports are checked as if a run had begun then."""
Window = Annotated[tuple[Duration, Duration], Field(description="earliest and latest, from the beginning of the run")]


class Expected(Strict):
    """An alarm that a fault must give; windows hold `at` of the raising and of the ending change."""

    rule: RuleId
    subject: dict[str, str]
    severity: Severity
    """The highest colour of the occurrence."""
    raised: Window
    how: Literal["cleared", "retracted", "stands"] = "cleared"
    """How it ends: a silence without a hole in its data is taken back; what `stands` has not ended when the run does."""
    ended: Window | None = None

    @model_validator(mode="after")
    def _ended(self) -> Expected:
        if (self.ended is None) != (self.how == "stands"):
            raise ValueError("say with `ended` when it ends, or `how: stands`")
        return self


class _Incident(Strict):
    """What every fault has."""

    facility: FacilityId
    at: Duration
    for_: Annotated[Duration, Field(alias="for", gt=0)]
    why: Bilingual
    expect: list[Expected] = Field(default_factory=list, max_length=50)
    quantities: ClassVar[frozenset[Quantity] | None] = None
    """What it can befall; None is anything."""
    kinds: ClassVar[frozenset[AreaKind] | None] = None
    whole_feed: ClassVar[bool] = False

    @property
    def end(self) -> int:
        """Return the ms of the run at which it is over."""
        return self.at + self.for_


class _AtSensors(_Incident):
    """A fault of the sensors of one tag or of one area."""

    tag: Tag | None = None
    area: Identifier | None = None

    @model_validator(mode="after")
    def _one_place(self) -> _AtSensors:
        if (self.tag is None) == (self.area is None):
            raise ValueError("name `tag` or `area`, and not both")
        return self


class Excursion(_AtSensors):
    """The level leaves its rest by `by` (unit of the quantity) and comes back when the fault is over."""

    fault: Literal["excursion"]
    by: float


class CryoWarm(_AtSensors):
    """A vapour tank warms by `by` degrees: lid open, nitrogen low."""

    fault: Literal["cryo-warm"]
    by: float = Field(default=40.0, gt=0)
    quantities = frozenset({Quantity.TEMPERATURE})
    kinds = frozenset({AreaKind.CRYO_TANK})


class OxygenLow(_AtSensors):
    """Nitrogen leaks into the room: oxygen falls by `by` percent."""

    fault: Literal["oxygen-low"]
    by: float = Field(default=3.0, gt=0, le=20)
    quantities = frozenset({Quantity.OXYGEN})


class Particles(_AtSensors):
    """The mean count of particles is `times` the usual one."""

    fault: Literal["particles"]
    times: float = Field(default=12.0, gt=1, le=1000)
    quantities = frozenset({Quantity.PARTICLES_FINE, Quantity.PARTICLES_COARSE})


class Frozen(_AtSensors):
    """The value does not move."""

    fault: Literal["frozen"]


class OutOfRange(_AtSensors):
    """A broken wire: a value beyond the registered measuring range, in good quality."""

    fault: Literal["out-of-range"]


class Silence(_Incident):
    """Nothing is sent: of a tag, an area, or (naming neither) of the whole feed. What was measured is sent afterwards."""

    fault: Literal["silence"]
    tag: Tag | None = None
    area: Identifier | None = None
    backfill: bool = True
    """False: nothing was recorded either."""

    @model_validator(mode="after")
    def _at_most_one_place(self) -> Silence:
        if self.tag is not None and self.area is not None:
            raise ValueError("name `tag` or `area`, not both; neither means the whole feed")
        return self


class BadPost(_Incident):
    """Every post is followed by one that breaks the contract; the front door must refuse it and store nothing."""

    fault: Literal["bad-post"]
    whole_feed = True


Incident = Annotated[
    Excursion | CryoWarm | OxygenLow | Particles | Frozen | OutOfRange | Silence | BadPost, Field(discriminator="fault")
]


class Submitted(Strict):
    """A report that a firm submits at `at`; a text `+36h` or `-3d` in its fields is so far from the beginning of the run."""

    facility: FacilityId
    at: Duration
    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
    id: Identifier
    revision: int = Field(default=1, ge=1, le=100_000)
    reason: str | None = Field(default=None, max_length=2_000)
    fields: dict[Identifier, Any]
    why: Bilingual
    expect: list[Expected] = Field(default_factory=list, max_length=50)

    def post(self, began: int) -> dict[str, Any]:
        """Return it as it is posted in a run that began at an instant (ms)."""
        said = {"type": self.type, "id": self.id, "revision": self.revision, "sent": format_instant(began + self.at)}
        said |= {} if self.reason is None else {"reason": self.reason}
        return said | {"fields": _timed(self.fields, began)}


def _timed(value: Any, began: int) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {name: _timed(inner, began) for name, inner in value.items()}
    if isinstance(value, list):
        return [_timed(inner, began) for inner in value]
    if isinstance(value, str) and RELATIVE.fullmatch(value):
        away = parse_duration(value[1:])
        return format_instant(began + away if value[0] == "+" else began - away)
    return value


class Script(Strict):
    """A simulation script: `schema: simulation/1`."""

    schema_: Literal["simulation/1"] = Field(alias="schema")
    title: Bilingual
    faults: Annotated[list[Incident], Field(max_length=MAX_FAULTS)]
    reports: list[Submitted] = Field(default_factory=list, max_length=MAX_FAULTS)

    @property
    def end(self) -> int:
        """Return the ms of the run after which nothing of the script happens or is expected."""
        ends = [fault.end for fault in self.faults] + [report.at for report in self.reports]
        return max([0, *ends, *((alarm.ended or alarm.raised)[1] for _, alarm in self.expected())])

    def expected(self) -> Iterator[tuple[str, Expected]]:
        """Yield what faults and reports must give, with the facility."""
        for one in (*self.faults, *self.reports):
            yield from ((one.facility, alarm) for alarm in one.expect)

    def only(self, facilities: Container[str]) -> Script:
        """Return what of it befalls some facilities."""
        faults = [fault for fault in self.faults if fault.facility in facilities]
        reports = [report for report in self.reports if report.facility in facilities]
        return self.model_copy(update={"faults": faults, "reports": reports})

    def submitted(self, facility: str) -> list[Submitted]:
        """Return the reports of a facility, by time."""
        return sorted((one for one in self.reports if one.facility == facility), key=lambda one: one.at)

    def of(self, facility: str) -> list[Incident]:
        """Return the faults of a facility, by beginning."""
        return sorted((fault for fault in self.faults if fault.facility == facility), key=lambda fault: fault.at)


def sensors_of(incident: Incident, facility: Facility) -> list[Sensor]:
    """Return the sensors that a fault befalls; all of them where it names no place."""
    tag, area = getattr(incident, "tag", None), getattr(incident, "area", None)
    return [
        sensor
        for sensor in facility.sensors
        if (tag is None or sensor.tag == tag) and (area is None or sensor.area == area) and _befalls(incident, sensor)
    ]


def _befalls(incident: Incident, sensor: Sensor) -> bool:
    return incident.quantities is None or sensor.quantity in incident.quantities


def read_script(path: Path, facilities: list[Facility]) -> Script:
    """Return the script of a file, checked against the facilities that it speaks of.

    Raises:
        BadInputError: unreadable, not a script, or of places that are not registered; with every fault and its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError("script", [Fault(str(path), "unreadable", unreadable(error))]) from error
    document = read_yaml(text, path.name)
    if not isinstance(document, Document):
        raise BadInputError("script", document)
    try:
        script = Script.model_validate(document.value)
    except ValidationError as error:
        raise BadInputError("script", [document.place(fault) for fault in faults_of(error)]) from error
    faults = misplaced(script, facilities)
    if faults:
        raise BadInputError("script", [document.place(fault) for fault in faults])
    return script


def misplaced(script: Script, facilities: list[Facility]) -> list[Fault]:
    """Return what in a script does not fit the register, by JSON pointer."""
    known = {facility.id: facility for facility in facilities}
    found: list[Fault] = []
    for i, report in enumerate(script.reports):
        if report.facility not in known:
            detail = f"{report.facility} is not in the register"
            found.append(Fault(f"/reports/{i}/facility", "unknown_facility", detail))
        found += [
            Fault(f"/reports/{i}{fault.pointer}", fault.code, fault.detail)
            for fault in report_faults(report.post(SOME_DAY)).listed
        ]
    for i, incident in enumerate(script.faults):
        at = f"/faults/{i}"
        facility = known.get(incident.facility)
        if facility is None:
            found.append(Fault(f"{at}/facility", "unknown_facility", f"{incident.facility} is not in the register"))
            continue
        areas = {area.id: area for area in facility.areas}
        sensors = sensors_of(incident, facility)
        if not sensors:
            place = getattr(incident, "tag", None) or getattr(incident, "area", None)
            found.append(
                Fault(at, "no_sensor", f"{place} of {facility.id} has no sensor that {incident.fault} befalls")
            )
        found += [Fault(at, "wrong_place", text) for sensor in sensors if (text := _unfit(incident, sensor, areas))]
    return found


def _unfit(incident: Incident, sensor: Sensor, areas: dict[str, Area]) -> str | None:
    kind = areas[sensor.area].kind
    if incident.kinds is not None and kind not in incident.kinds:
        return f"{sensor.tag} is in a {kind}; {incident.fault} befalls {', '.join(sorted(incident.kinds))}"
    if isinstance(incident, OutOfRange) and (sensor.range is None or sensor.range.high is None):
        return f"{sensor.tag} has no registered range to leave"
    return None
