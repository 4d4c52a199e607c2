"""More than forty faults, a firm each, and the alarms that must come of them, derived by hand from the catalogue.

A row stands every five minutes and comes in the post of its ten minutes, half a minute behind the last row.
Above 400 lines: it is one list of firms, to be read from top to bottom.
"""

from __future__ import annotations

from typing import Any

from rules.changes import alarm_id
from rules.instants import format_instant
from tests.faultlog.plant import CLOSED, MAKER, WHOLESALER, Expected, Firm, Sensor, Span
from tests.rules.byhand import ms

OUT, RANGE, GAP, FROZEN = (
    "cold-chain.store-out",
    "data-integrity.physical-range",
    "data-integrity.gap",
    "data-integrity.frozen",
)
TRANSPORT, UNCOVERED = "cold-chain.interval-transport", "cleanroom.a-monitor-off"
STORAGE, WARM, COLD = "cold-chain.interval-storage", "cold-chain.warm-10h", "cold-chain.freeze-60min"
WARM_SUM, COLD_SUM, AMBIENT = (
    "cold-chain.warm-cumulative",
    "cold-chain.freeze-cumulative",
    "cold-chain.ambient-store-out",
)
VAPOUR, GLASS, NITROGEN = "cell-storage.vapour-high", "cell-storage.glass-transition", "cell-storage.ln2-low"
OXYGEN, OXYGEN_GAP, TOC = "cell-storage.oxygen-low", "cell-storage.oxygen-silent", "water.toc"
STAGE1, STAGE2, CHP = "water.stage1", "water.stage2-missing", "water.chp-conductivity"
LOW, REVERSED = "cleanroom.pressure-low", "cleanroom.pressure-reversed"
DISABLED, RIGHTS, POWER = "data-integrity.audit-disabled", "data-integrity.full-rights", "cold-chain.power-no-alarm"
COUNT, ERROR, DUE = "register.sensor-count", "register.sensor-error", "register.calibration-due"
SILENT = "data-integrity.audit-silent"
UNTOLD, WIDENED = "cold-chain.excursion-no-alarm", "data-integrity.limit-widened"
NUMBERS = "data-integrity.sequence"
SWAPPED, CONFIGURED = "register.serial-changed", "register.config-hash"
STRANGE = "register.unknown-tag"
HEAT, FROST, WARMTH, COOLTH = (f"cold-chain.ship-{name}" for name in ("hot", "freeze", "warm", "cool"))
FINE, SHARED = "data-integrity.too-precise", "data-integrity.shared-account"
OTHER, TIME, LATE, OFFSET = (
    f"data-integrity.{name}" for name in ("overwritten", "event-time", "late-evidence", "clock-offset")
)

VACCINES = {"id": "A1", "kind": "cold-room", "floor_m2": 60, "stores": ["vaccine"]}
OTHERS = VACCINES | {"stores": ["chemical"]}
LOOP = {"id": "A1", "kind": "water-loop"}
D1, D2 = ({"id": name, "kind": "cleanroom", "grade": "D", "standard": "cn-gmp-2010"} for name in ("A1", "A2"))
B1, C1 = ({"id": f"{grade}1", "kind": "cleanroom", "grade": grade, "standard": "cn-gmp-2010"} for grade in "BC")
BOX = {"id": "A1", "kind": "box", "shipment_type": "I"}
TANK = {"id": "A1", "kind": "cryo-tank", "phase": "vapour"}
T1 = Sensor("T1", "A1", 5.0)
WIRED = Sensor("T1", "A1", 5.0, facts={"range": {"low": -40, "high": 60}})
WATER = Sensor("TOC", "A1", 300.0, 20.0, "toc")
WFI = LOOP | {"water": "wfi", "pharmacopoeia": "usp"}
UNCOMPENSATED = {"compensated": False}
CONDUCTS = Sensor("COND", "A1", 0.9, 0.05, "conductivity", UNCOMPENSATED)
WARM_LOOP = Sensor("TW", "A1", 27.0)
VAPOURS = Sensor("T1", "A1", -180.0, 1.0)
AIR = Sensor("O2", "A1", 20.9, 0.05, "oxygen")
COARSE = Sensor("P", "A1", 0.5, 0.5, "particles-5.0", {"sample_m3": 0.1})
DP = Sensor("DP", "B1", 15.0, 0.5, "pressure-difference", {"against": "C1"})


def event(at: float, kind: str, stream: str = "audit", **more: Any) -> dict[str, Any]:
    """Return an event."""
    return {"stream": stream, "type": kind, "time": ms(at), "source": "LIMS", **more}


def posted(at: float, *events: dict[str, Any]) -> tuple[float, str, dict[str, Any]]:
    """Return a post of events, half a minute behind the instant."""
    return at + 0.5, "events", {"batch": f"e{at}", "events": list(events)}


def cold_room(fault: str, *spans: Span, expected: list[Expected], sensor: Sensor = T1, **more: Any) -> Firm:
    """Return a firm with a cold room in which no vaccines are kept."""
    return Firm(fault, [OTHERS], [sensor], list(spans), expected, **more)


def lines_at(facility: str) -> list[tuple[float, str, dict[str, Any]]]:
    """Return the decision that closes the alarm of a switched-off audit trail at a firm."""
    alarm = alarm_id(DISABLED, facility, {"system": "LIMS"}, ms(600))
    said = {
        "id": "D-1",
        "version": 1,
        "subject": {"alarm": alarm},
        "code": "close-latched",
        "officer": "o-1",
        "revision_seen": 1,
    }
    return [posted(600, event(600, "audit-disabled")), (700.5, "decision", said | {"reason_sha256": "0" * 64})]


def calibrated(due: str | None) -> Sensor:
    """Return the sensor of the water loop with a calibration up to a day, or with none."""
    said = None if due is None else {"done": "2025-03-01", "due": due}
    return Sensor("TOC", "A1", 300.0, 20.0, "toc", {"calibration": said})


def known(**facts: Any) -> Sensor:
    """Return the sensor of the water loop with the serial, configuration hash or limits that are registered."""
    return Sensor("TOC", "A1", 300.0, 20.0, "toc", facts)


def tells(at: float, kind: str, **fields: str) -> tuple[float, str, dict[str, Any]]:
    """Return a post of what the sensor of the water loop tells of itself."""
    return posted(at, event(at, kind, "device", fields={"point": "TOC"} | fields))


def sets(at: float, **sides: float) -> tuple[float, str, dict[str, Any]]:
    """Return a post of limits that were set at the sensor of the water loop."""
    return posted(at, event(at, "limit-changed", fields={"asset": "TOC", "new": sides}))


def row(at: float, tag: str, minute: int, value: float) -> tuple[float, str, dict[str, Any]]:
    """Return a post of one row."""
    return at, "readings", {"batch": f"r{at}", "series": [{"tag": tag, "time": [ms(minute)], "value": [value]}]}


def heartbeat(at: float, ahead: float) -> tuple[float, str, dict[str, Any]]:
    """Return a post of a device whose clock is ahead by so many minutes."""
    return posted(at, event(at, "heartbeat", "device", fields={"device_time": format_instant(ms(at + ahead))}))


def audited(begin: int, end: int) -> list[tuple[float, str, dict[str, Any]]]:
    """Return posts of audit heartbeats, half an hour apart, while the front door is open."""
    return [posted(at, event(at, "heartbeat")) for at in range(begin, end, 30) if not CLOSED[0] <= at < CLOSED[1]]


def trip(departs: float, arrives: float) -> list[tuple[float, str, dict[str, Any]]]:
    """Return the posts of a trip of box A1."""
    ends = (("shipped", departs), ("arrived", arrives))
    return [posted(at, event(at, kind, "trace", area="A1", fields={"trip": "W-1", "lot": "B1"})) for kind, at in ends]


def filled(begin: float, end: float) -> list[tuple[float, str, dict[str, Any]]]:
    """Return the posts of a batch that is filled in clean room A1: one when it begins, and one that tells its end."""
    step = {"batch": "L-1", "step": "filling", "from": ms(begin)}
    return [
        posted(at, event(at, "batch-step", "trace", area="A1", fields=step | more))
        for at, more in ((begin, {}), (end, {"to": ms(end)}))
    ]


def switched(at: float, state: str) -> tuple[float, str, dict[str, Any]]:
    """Return the post that says that the monitor of clean room A1 is on or off."""
    return posted(at, event(at, "monitor", "device", area="A1", device="PC-1", fields={"state": state}))


def power(at: float) -> dict[str, Any]:
    """Return a cut of the power of area A1."""
    return event(at, "power", "device", area="A1", device="UPS", fields={"state": "lost"})


def counted(
    at: float, value: float, method: str, unit: str | None = None, **more: Any
) -> tuple[float, str, dict[str, Any]]:
    """Return the post of a laboratory result: of clean room A1 unless it says another place."""
    where = {} if "loop" in more else {"room": "A1"}
    fields = {"test": "viable-count", "method": method, "value": value} | where | more
    return posted(at, event(at, "result", "lab", fields=fields | ({} if unit is None else {"unit": unit})))


def acts(at: float, terminal: str) -> dict[str, Any]:
    """Return an entry under the login of a laboratory."""
    return event(at, "action", fields={"actor": "lab", "role": "analyst", "verb": "create", "terminal": terminal})


def horn(at: float) -> dict[str, Any]:
    """Return the alarm on the spot that follows a cut."""
    return event(at, "alarm", "device", area="A1", fields={"cause": "power", "state": "on"})


TEN_HOURS = [(300 + 100 * n, 360 + 100 * n) for n in range(10)]
HALF_HOURS = [(1_100, 1_125), (1_200, 1_225), (1_300, 1_325)]

STORES = [
    cold_room("warm for twenty minutes", Span("T1", 600, 620, 9.0), expected=[Expected(OUT, "T1", "orange", 600, 620)]),
    cold_room("cold for a quarter", Span("T1", 600, 615, 1.0), expected=[Expected(OUT, "T1", "orange", 600, 615)]),
    cold_room("two records at 8.1", Span("T1", 600, 610, 8.1, 0.0), expected=[Expected(OUT, "T1", "orange", 600, 610)]),
    cold_room("one record out", Span("T1", 600, 605, 15.0), expected=[]),
    cold_room("8.0 is inside", Span("T1", 600, 620, 8.0, 0.0), expected=[]),
    cold_room(
        "7.7 is inside the deadband and clears nothing", Span("T1", 600, 610, 9.0), Span("T1", 610, 640, 7.7, 0.1),
        expected=[Expected(OUT, "T1", "orange", 600, 640)],
    ),
    cold_room(
        "the registered range is narrower", Span("T1", 600, 620, 6.5), sensor=Sensor("T1", "A1", 4.5, facts={"limits": {"low": 3, "high": 6}}),
        expected=[Expected(OUT, "T1", "orange", 600, 620)],
    ),
    Firm(
        "vaccines warm for eleven hours", [VACCINES], [T1], [Span("T1", 300, 960, 9.0)],
        [Expected(OUT, "T1", "orange", 300, 960), Expected(WARM, "T1", "red", 300, 960)],
    ),
    cold_room(
        "ten hours in one day, an hour each", *(Span("T1", *hour, 9.0) for hour in TEN_HOURS),
        expected=[*(Expected(OUT, "T1", "orange", *hour) for hour in TEN_HOURS), Expected(WARM_SUM, "T1", "orange", 1_260, None, "active")],
    ),
    Firm(
        "vaccines frozen for a hundred minutes", [VACCINES], [T1], [Span("T1", 600, 700, -1.0)],
        [Expected(OUT, "T1", "orange", 600, 700), Expected(COLD, "T1", "red", 600, 700)],
    ),
    Firm(
        "vaccines frozen three times", [VACCINES], [T1], [Span("T1", *time, -1.0) for time in HALF_HOURS],
        [*(Expected(OUT, "T1", "orange", *time) for time in HALF_HOURS), Expected(COLD_SUM, "T1", "orange", 1_310, None, "active")],
    ),
    Firm(
        "a cool store at 21 degrees", [{"id": "A1", "kind": "cool-store"}], [Sensor("T1", "A1", 15.0)], [Span("T1", 600, 630, 21.5)],
        [Expected(AMBIENT, "T1", "yellow", 600, 630)], scopes=WHOLESALER,
    ),  # how many sensors it needs is unknown: the register gives no floor
    Firm(
        "a damp store", [{"id": "A1", "kind": "room-store", "floor_m2": 200}],
        [Sensor("H1", "A1", 55.0, 2.0, "humidity"), Sensor("T1", "A1", 20.0), Sensor("T2", "A1", 20.0)], [Span("H1", 600, 630, 80.0)],
        [Expected(AMBIENT, "H1", "yellow", 600, 630)], scopes=WHOLESALER,
    ),
    Firm(
        "a dry store", [{"id": "A1", "kind": "room-store", "floor_m2": 200}],
        [Sensor("H1", "A1", 55.0, 2.0, "humidity"), Sensor("T1", "A1", 20.0), Sensor("T2", "A1", 20.0)], [Span("H1", 600, 630, 30.0)],
        [Expected(AMBIENT, "H1", "yellow", 600, 630)], scopes=WHOLESALER,
    ),
    cold_room(
        "the limits become narrower", Span("T1", 500, 800, 7.0), later=[(702, [Sensor("T1", "A1", 5.0, facts={"limits": {"low": 2, "high": 6}})])],
        expected=[Expected(OUT, "T1", "orange", 705, 800)],
    ),
    cold_room(
        "a sensor is taken out of the register while it is warm", Span("T1", 600, 1_800, 9.0), later=[(702, [])],
        expected=[Expected(OUT, "T1", "orange", 600, 702)],
    ),
]  # fmt: skip

QUALITY = [
    cold_room(
        "a broken wire", Span("T1", 600, 615, 850.0), sensor=WIRED, expected=[Expected(RANGE, "T1", "yellow", 600, 615)]
    ),
    cold_room("warm, but the sensor itself is not sure", Span("T1", 600, 660, 9.0, quality="set_value"), expected=[]),
    cold_room(
        "unknown for half an hour while it is warm",
        Span("T1", 600, 620, 9.0),
        Span("T1", 620, 650, 9.0, quality="fault"),
        Span("T1", 650, 660, 9.0),
        expected=[Expected(OUT, "T1", "orange", 600, 660)],
    ),
    Firm(
        "a value that does not move",
        [LOOP],
        [WATER],
        [Span("TOC", 600, 720, 300.0, 0.0)],
        [Expected(FROZEN, "TOC", "yellow", 600, 720)],
    ),
    Firm("a value that does not move for fifty minutes", [LOOP], [WATER], [Span("TOC", 600, 650, 300.0, 0.0)], []),
]

SILENCE = [
    Firm("one series is silent", [LOOP], [WATER], [Span("TOC", 600, 640, None)], [Expected(GAP, "TOC", "yellow", 600, 640)]),
    Firm("one row is missing", [LOOP], [WATER], [Span("TOC", 605, 610, None)], []),
    cold_room(
        "a store's record is silent for fifty minutes", Span("T1", 600, 650, None),
        expected=[Expected(GAP, "T1", "yellow", 600, 650, suppressed=True), Expected(STORAGE, "T1", "yellow", 600, 650)],
    ),
    Firm(
        "the air of a cryogenic room is not measured", [{"id": "A1", "kind": "cryo-room"}], [AIR], [Span("O2", 600, 640, None)],
        [Expected(OXYGEN_GAP, "O2", "red", 600, 640), Expected(GAP, "O2", "yellow", 600, 640, suppressed=True)],
    ),
    Firm(
        "an area is silent", [D1, D2], [Sensor("T1", "A1", 20.0), Sensor("T2", "A1", 20.0), Sensor("T3", "A2", 20.0)],
        [Span("T1", 600, 650, None), Span("T2", 600, 650, None)],
        [Expected(GAP, "@A1", "yellow", 600, 650), *(Expected(GAP, tag, "yellow", 600, 650, suppressed=True) for tag in ("T1", "T2"))],
    ),
    Firm(
        "the whole feed is silent", [D1, D2], [Sensor("T1", "A1", 20.0), Sensor("T3", "A2", 20.0)],
        [Span("T1", 600, 650, None), Span("T3", 600, 650, None)],
        [Expected(GAP, "*", "yellow", 600, 650), *(Expected(GAP, tag, "yellow", 600, 650, suppressed=True) for tag in ("T1", "T3"))],
    ),
    Firm(
        "a silent series sends later what it had kept", [LOOP], [WATER], [Span("TOC", 600, 650, 300.0, sent=655.5)],
        [Expected(GAP, "TOC", "yellow", 600, 640, "retracted")],  # up to the first row that is not overdue itself
    ),
    cold_room(
        "an excursion comes late", Span("T1", 600, 620, 9.0, sent=690.5),
        expected=[Expected(GAP, "T1", "blue", 600, 620, "retracted"), Expected(OUT, "T1", "orange", 600, 620, late=True)],
    ),
    cold_room(
        "six hours without radio, live data first, and an excursion in what was stored", Span("T1", 600, 700, 5.0, sent=1_000.5),
        Span("T1", 700, 720, 9.0, sent=1_000.5), Span("T1", 720, 960, 5.0, sent=1_000.5),
        expected=[
            Expected(GAP, "T1", "yellow", 600, 960, "retracted", suppressed=True), Expected(STORAGE, "T1", "orange", 600, 960, "retracted"),
            Expected(OUT, "T1", "orange", 700, 720, late=True),
        ],
    ),
    cold_room(
        "a late row between two takes an alarm back", Span("T1", 600, 605, 9.0), Span("T1", 605, 610, 5.0, sent=690.5), Span("T1", 610, 615, 9.0),
        expected=[Expected(OUT, "T1", "orange", 600, 615, "retracted")],
    ),
]  # fmt: skip

ROOMS = [
    Firm("a tank warms up", [TANK], [VAPOURS], [Span("T1", 600, 630, -152.0)], [Expected(VAPOUR, "T1", "yellow", 600, 630)]),
    Firm("a tank warms up more", [TANK], [VAPOURS], [Span("T1", 600, 630, -145.0)], [Expected(VAPOUR, "T1", "orange", 600, 630)]),
    Firm(
        "a tank above the glass transition", [TANK], [VAPOURS], [Span("T1", 600, 620, -120.0)],
        [Expected(VAPOUR, "T1", "orange", 600, 620), Expected(GLASS, "T1", "red", 600, 620)],
    ),
    Firm(
        "little nitrogen is left", [TANK], [Sensor("L1", "A1", 60.0, 2.0, "ln2-level", {"limits": {"low": 30, "high": 100}})],
        [Span("L1", 600, 620, 25.0)], [Expected(NITROGEN, "L1", "red", 600, 620)],
    ),
    Firm("nitrogen in the room", [{"id": "A1", "kind": "cryo-room"}], [AIR], [Span("O2", 600, 605, 18.0)], [Expected(OXYGEN, "O2", "red", 600, 605)]),
    Firm(
        "particles over the open product", [D1 | {"grade": "A"}], [Sensor("P", "A1", 800.0, 100.0, "particles-0.5")],
        [Span("P", 600, 610, 3_700.0)], [Expected("cleanroom.a-fine", "P", "red", 600, 610)],
    ),
    Firm(
        "coarse particles over the open product", [D1 | {"grade": "A"}], [COARSE], [Span("P", 600, 605, 201.5)],
        [Expected("cleanroom.a-coarse", "P", "red", 600, 650)],
    ),
    Firm("a particle counter that fell silent while it was filled", [D1 | {"grade": "A"}], [COARSE], [Span("P", 600, 630, None)],
         [Expected(GAP, "P", "yellow", 600, 630, suppressed=True), Expected(UNCOVERED, "P", "red", 600, 630)], lines=filled(500, 700)),
    Firm("a particle counter that fell silent while nothing was filled", [D1 | {"grade": "A"}], [COARSE], [Span("P", 600, 630, None)],
         [Expected(GAP, "P", "yellow", 600, 630)], lines=filled(640, 700)),
    Firm("a particle counter that was switched off while it was filled, and whose records came all the same", [D1 | {"grade": "A"}], [COARSE], [],
         [Expected(UNCOVERED, "P", "red", 601, 612)], lines=[*filled(500, 700), switched(601, "off"), switched(612, "on")]),
    Firm(
        "particles of single records, fewer than twenty-one in a cubic metre", [D1 | {"grade": "A"}], [COARSE],
        [Span("P", 600, 605, 180.0)], [],
    ),
    Firm(
        "coarse particles in two of three records", [D1 | {"grade": "A"}], [COARSE], [Span("P", 600, 605, 10.0), Span("P", 610, 615, 10.0)],
        [Expected("cleanroom.a-coarse", "P", "yellow", 600, 615)],
    ),
    Firm(
        "coarse particles in grade B", [B1], [Sensor("P", "B1", 500.0, 100.0, "particles-5.0")],
        [Span("P", 600, 620, 3_100.0)], [Expected("cleanroom.b-particles", "P", "orange", 600, 620)],
    ),
    Firm(
        "particles in grade C", [C1], [Sensor("P", "C1", 9e5, 1e5, "particles-0.5")],
        [Span("P", 600, 620, 4e6)], [Expected("cleanroom.c-particles", "P", "yellow", 600, 620)],
    ),
    Firm("pressure too low", [B1, C1], [DP], [Span("DP", 600, 620, 8.0)], [Expected(LOW, "@B1>C1", "orange", 600, 620)]),
    Firm("pressure low for one record", [B1, C1], [DP], [Span("DP", 600, 605, 8.0)], []),
    Firm(
        "pressure reversed", [B1, C1], [DP], [Span("DP", 600, 610, -3.0)],
        [Expected(LOW, "@B1>C1", "orange", 600, 610), Expected(REVERSED, "@B1>C1", "red", 600, 610)],
    ),
    Firm(
        "two pressures come too near", [B1, C1], [Sensor("PB", "B1", 30.0, 0.5, "pressure"), Sensor("PC", "C1", 15.0, 0.5, "pressure")],
        [Span("PB", 600, 620, 21.0)], [Expected(LOW, "@B1>C1", "orange", 600, 620)], facts={"cascades": [{"cleaner": "B1", "dirtier": "C1", "low": 10}]},
    ),
    Firm("ions in water for injection", [WFI], [CONDUCTS, WARM_LOOP], [Span("COND", 600, 615, 1.6)],
         [Expected(STAGE1, "COND", "yellow", 600, 615)]),
    Firm("ions in water for injection, and the laboratory is not asked", [WFI], [CONDUCTS, WARM_LOOP], [Span("COND", 300, 315, 1.6)],
         [Expected(STAGE1, "COND", "yellow", 300, 315), Expected(STAGE2, "COND", "orange", 300, None, "active")]),
    Firm("ions in water for injection, and the laboratory finds it fit", [WFI], [CONDUCTS, WARM_LOOP], [Span("COND", 300, 315, 1.6)],
         [Expected(STAGE1, "COND", "yellow", 300, 315)],
         lines=[posted(900, event(900, "result", "lab", fields={"loop": "A1", "test": "conductivity-stage-2", "value": 1.8, "unit": "uS/cm"}))]),
    Firm("ions in purified water", [WFI | {"water": "purified", "pharmacopoeia": "chp"}],
         [Sensor("COND", "A1", 3.5, 0.2, "conductivity", UNCOMPENSATED), WARM_LOOP], [Span("COND", 600, 615, 5.9)],
         [Expected(CHP, "COND", "orange", 600, 615)]),
    Firm("a loop under both books cools, and its water is the same", [WFI | {"pharmacopoeia": "both"}],
         [Sensor("COND", "A1", 1.15, 0.01, "conductivity", UNCOMPENSATED), WARM_LOOP], [Span("TW", 600, 630, 17.0)],
         [Expected(STAGE1, "COND", "yellow", 600, 630), Expected(CHP, "COND", "orange", 600, 630)]),
    Firm("a meter that compensates shows more", [WFI], [Sensor("COND", "A1", 0.9, 0.05, "conductivity", {"compensated": True}), WARM_LOOP],
         [Span("COND", 600, 615, 1.6)], []),
    Firm("one colony in grade A", [D1 | {"grade": "A"}], [COARSE], [], [Expected("cleanroom.a-growth", "@A1", "red", 600, None, "active")],
         lines=[counted(600, 1, "glove", "CFU/glove")]),
    Firm("six colonies on a settle plate in grade B, and five", [B1, B1 | {"id": "A1"}], [], [],
         [Expected("cleanroom.b-viable", "@A1", "orange", 600, None, "active")],
         lines=[counted(600, 6, "settle", "CFU/4h"), counted(620, 5, "settle", "CFU/4h", room="B1")]),
    Firm("many colonies in the air of grade D, and a result without a unit", [D1, D2], [], [],
         [Expected("cleanroom.cd-viable", "@A1", "yellow", 600, None, "active")],
         lines=[counted(600, 201, "air", "CFU/m3"), counted(620, 900, "air", room="A2")]),
    Firm("colonies in water for injection, and none the day after", [WFI], [], [],
         [Expected("water.microbial", "@A1", "orange", 600, None, "active")],
         lines=[counted(600, 0.11, "membrane filtration", "CFU/mL", loop="A1", test="microbial-count"),
                counted(900, 0, "membrane filtration", "CFU/mL", loop="A1", test="microbial-count")]),
    Firm("endotoxin at the limit, and earlier just below it", [WFI], [], [], [Expected("water.endotoxin", "@A1", "red", 600, None, "active")],
         lines=[counted(500, 0.24, "gel clot", "EU/mL", loop="A1", test="endotoxin"), counted(600, 0.25, "gel clot", "EU/mL", loop="A1", test="endotoxin")]),
    Firm("organic carbon in the water", [LOOP], [WATER], [Span("TOC", 600, 615, 600.0)], [Expected(TOC, "TOC", "orange", 600, 615)]),
]  # fmt: skip

CLEAN = {"id": "A1", "kind": "cold-room", "floor_m2": 60, "stores": ["chemical"]}
PAIR = [T1, Sensor("T2", "A1", 5.0)]
RECORDS = [
    Firm("the audit trail is switched off", [LOOP], [WATER], [], [Expected(DISABLED, "LIMS", "red", 600, None, "active")],
         lines=[posted(600, event(600, "audit-disabled"))]),
    Firm("an administrator deletes data", [LOOP], [WATER], [], [Expected(RIGHTS, "u-1", "orange", 600, None, "active")],
         lines=[posted(600, event(600, "action", fields={"actor": "u-1", "role": "administrator", "verb": "delete"}))]),
    Firm("an analyst changes data", [LOOP], [WATER], [], [],
         lines=[posted(600, event(600, "action", fields={"actor": "u-1", "role": "analyst", "verb": "change"}))]),
    Firm("the audit trail falls silent for two hours", [LOOP], [WATER], [], [Expected(SILENT, "LIMS", "red", 600, 720.5)],
         lines=[*audited(30, 570), *audited(720, 1_800)]),
    Firm("the audit trail falls silent with all the rest", [LOOP], [WATER], [Span("TOC", 400, 600, None)],
         [Expected(GAP, "TOC", "yellow", 400, 600)], lines=[*audited(30, 420), *audited(630, 1_800)]),
    Firm("three people under one login", [LOOP], [WATER], [], [Expected(SHARED, "lab", "yellow", 1_002, None, "active")],
         lines=[posted(at, *(acts(at + 2 * n, f"T-{n}") for n in range(2))) for at in (600, 800, 1_000)]),
    Firm("one login moves from one terminal to another", [LOOP], [WATER], [], [],
         lines=[posted(at + 6, *(acts(at + 6 * n, f"T-{n}") for n in range(2))) for at in (600, 800, 1_000)]),
    Firm("the power fails and nobody is warned", [CLEAN], PAIR, [], [Expected(POWER, "UPS", "orange", 600, None, "active")], scopes=WHOLESALER,
         lines=[posted(600, power(600)), posted(610, event(605, "heartbeat", "device", area="A1", device="UPS"))]),
    Firm("the power fails and the alarm sounds", [CLEAN], PAIR, [], [], scopes=WHOLESALER, lines=[posted(600, power(600), horn(603))]),
    Firm("a store gets warm and nobody is warned", [CLEAN], PAIR, [Span("T1", 600, 620, 9.0)],
         [Expected(OUT, "T1", "orange", 600, 620), Expected(UNTOLD, "T1", "orange", 600, None, "active")], scopes=WHOLESALER,
         lines=[posted(610, event(605, "heartbeat", "device", area="A1", device="HORN"))]),
    Firm("a store gets warm and the alarm sounds", [CLEAN], PAIR, [Span("T1", 600, 620, 9.0)], [Expected(OUT, "T1", "orange", 600, 620)], scopes=WHOLESALER,
         lines=[posted(605, event(605, "alarm", "device", area="A1", device="HORN", fields={"cause": "temperature", "state": "on"}))]),
    Firm("a value that was sent is sent otherwise", [LOOP], [WATER], [], [Expected(OTHER, "TOC", "red", 600, None, "active")],
         lines=[row(620.25, "TOC", 600, 310.0)]),
    Firm("a row of the future", [LOOP], [WATER], [], [Expected(TIME, "TOC", "orange", 610.25, None, "active")],
         lines=[row(610.25, "TOC", 625, 301.0)]),
    Firm("a row comes three hours late", [LOOP], [WATER], [Span("TOC", 300, 305, 300.0, sent=500.25)],
         [Expected(LATE, "TOC", "blue", 300, None, "active", late=True)]),
    Firm("a device's clock is three minutes ahead", [LOOP], [WATER], [], [Expected(OFFSET, "LIMS", "yellow", 640.5, None, "active")],
         lines=[heartbeat(600 + 10 * n, 3) for n in range(5)]),
    Firm("a device's clock is two minutes ahead", [LOOP], [WATER], [], [], lines=[heartbeat(600 + 10 * n, 2) for n in range(5)]),
    Firm("values with more decimals than the sensor has", [LOOP], [Sensor("TOC", "A1", 300.0, 20.0, "toc", {"resolution": 1})],
         [Span("TOC", 600, 660, 300.25, 0.0001)], [Expected(FINE, "TOC", "blue", 600, None, "active")]),
    Firm("too few sensors", [CLEAN | {"floor_m2": 250}], PAIR, [], [Expected(COUNT, "@A1", "yellow", -1, None, "active")], scopes=WHOLESALER),
    Firm(
        "a sensor that shows too little", [CLEAN],
        [PAIR[0], Sensor("T2", "A1", 5.0, facts={"calibration": {"done": "2026-02-01", "due": "2027-02-01", "points": [{"at": 5, "error": -0.8}]}})],
        [], [Expected(ERROR, "T2", "yellow", -28 * 1_440, None, "active")], scopes=WHOLESALER,
    ),
    Firm("a sensor that was never calibrated", [LOOP], [calibrated(None)], [], [Expected(DUE, "TOC", "yellow", -1, None, "active")]),
    Firm("a calibration that ends at midnight, and a new certificate before noon", [LOOP], [calibrated("2026-02-28")], [],
         [Expected(DUE, "TOC", "yellow", 0, 702)], later=[(702, [WATER])]),
    Firm("a calibration that is due in a month", [LOOP], [calibrated("2026-03-31")], [],
         [Expected(DUE, "TOC", "blue", 31 * 1_440, None, "active")]),
    Firm("an instrument that nobody said was exchanged", [LOOP], [known(serial="S-1")], [], [Expected(SWAPPED, "TOC", "orange", 100, None, "active")],
         lines=[tells(90, "serial", serial="S-1"), tells(100, "serial", serial="S-2"), tells(1_000, "serial", serial="S-2")]),
    Firm("an instrument that was exchanged and declared", [LOOP], [known(serial="S-1")], [], [],
         lines=[tells(100, "serial", serial="S-2"), tells(200, "replacement", old="S-1", new="S-2")]),
    Firm("a slope that was set for an hour", [LOOP], [known(config_hash="0a1b2c3d")], [], [Expected(CONFIGURED, "TOC", "orange", 600, 660.5)],
         lines=[tells(590, "config", hash="0a1b2c3d"), tells(600, "config", hash="deadbeef"), tells(660, "config", hash="0a1b2c3d")]),
    Firm("a configuration that is approved before it is told", [LOOP], [known(config_hash="0a1b2c3d")], [], [],
         lines=[tells(590, "config", hash="0a1b2c3d"), tells(610, "config", hash="deadbeef")], later=[(602, [known(config_hash="deadbeef")])]),
    Firm("a limit that was moved for an hour", [LOOP], [known(limits={"high": 500})], [], [Expected(WIDENED, "TOC", "orange", 600, 660.5)],
         lines=[sets(600, high=520), sets(660, high=500)]),
    Firm("an alarm that was switched off", [LOOP], [WATER], [], [Expected(WIDENED, "TOC", "orange", 600, None, "active")],
         lines=[posted(600, event(600, "alarm-disabled", fields={"asset": "TOC"}))]),
    Firm("a limit that is approved before it is moved", [LOOP], [known(limits={"high": 500})], [], [],
         lines=[sets(610, high=520)], later=[(602, [known(limits={"high": 520})])]),
    Firm("a device whose clock was set back by three minutes", [LOOP], [WATER], [], [Expected(NUMBERS, "events LIMS", "orange", 610.5, None, "active")],
         lines=[posted(600, event(600, "door", "device", seq=7)), posted(610, event(597, "door", "device", seq=8))]),
    Firm("a device whose counter began anew, and which said so", [LOOP], [WATER], [], [],
         lines=[posted(600, event(600, "door", "device", seq=700)), posted(605, event(604, "restart", "device")), posted(610, event(610, "door", "device", seq=1))]),
    Firm("a box in the sun for an hour and a half, on its way", [BOX], [T1], [Span("T1", 600, 690, 47.0)],
         [Expected(HEAT, "T1", "red", 600, None, "active")], scopes=WHOLESALER, lines=trip(500, 900)),
    Firm("a box in the sun in the yard", [BOX], [T1], [Span("T1", 600, 690, 47.0)], [], scopes=WHOLESALER, lines=trip(700, 900)),
    Firm("a box in the sun for fifty minutes", [BOX], [T1], [Span("T1", 600, 650, 47.0)], [], scopes=WHOLESALER, lines=trip(500, 900)),
    Firm("a box on unconditioned ice, its departure told when it has arrived", [BOX], [T1], [Span("T1", 600, 690, -2.0)],
         [Expected(FROST, "T1", "red", 600, None, "active", late=True)], scopes=WHOLESALER,
         lines=[(690.5, kind, data | {"batch": f"late-{at}"}) for at, kind, data in trip(500, 685)]),
    Firm("a box that is warm for an hour, again and again, on its way", [BOX], [T1], [Span("T1", at, at + 60, 35.0) for at in range(200, 1_200, 100)],
         [Expected(WARMTH, "T1", "red", 1_160, None, "active")], scopes=WHOLESALER, lines=trip(100, 1_300)),
    Firm("a box of type II whose coolant is used up", [BOX | {"shipment_type": "II"}], [T1], [Span("T1", 100, 1_450, 15.0)],
         [Expected(COOLTH, "T1", "red", 1_300, None, "active")], scopes=WHOLESALER, lines=trip(50, 1_400)),
    Firm("a box whose recorder was off for half an hour, on its way", [BOX], [T1], [Span("T1", 600, 630, None)],
         [Expected(GAP, "T1", "yellow", 600, 630, suppressed=True), Expected(TRANSPORT, "T1", "orange", 600, 630)], scopes=WHOLESALER, lines=trip(500, 900)),
    Firm("a box whose recorder was off, and which arrived meanwhile", [BOX], [T1], [Span("T1", 600, 660, None)],
         [Expected(GAP, "T1", "yellow", 600, 660), Expected(TRANSPORT, "T1", "yellow", 600, 610)], scopes=WHOLESALER, lines=trip(500, 610)),
    Firm("a box in the yard whose recorder was off", [BOX], [T1], [Span("T1", 600, 630, None)],
         [Expected(GAP, "T1", "yellow", 600, 630)], scopes=WHOLESALER, lines=trip(700, 900)),
    Firm("a box without radio on its way, which sends what it stored when it is back", [BOX], [T1], [Span("T1", 600, 650, 5.0, sent=660.5)],
         [Expected(GAP, "T1", "yellow", 600, 650, "retracted", suppressed=True), Expected(TRANSPORT, "T1", "orange", 600, 650, "retracted")],
         scopes=WHOLESALER, lines=trip(500, 900)),
    Firm("a calibration that is due in a month and two days", [LOOP], [calibrated("2026-04-02")], [], []),
    Firm("a sensor that nobody registered", [LOOP], [WATER], [], [Expected(STRANGE, "NEW", "blue", 100.25, None, "active")],
         lines=[row(100.25, "NEW", 95, 5.0), row(1_545.25, "NEW", 1_540, 5.1)]),
    Firm("a sensor that is tried for a day before it is registered", [LOOP], [WATER], [], [],
         lines=[row(55.25, "NEW", 50, 5.0), row(1_495.25, "NEW", 1_490, 5.1)]),
]  # fmt: skip

FIRMS = {f"FAULT-{n:02}": firm for n, firm in enumerate([*STORES, *QUALITY, *SILENCE, *ROOMS, *RECORDS], 1)}
CLOSED_BY_DECISION = "FAULT-190"
FIRMS[CLOSED_BY_DECISION] = Firm(
    "an audit trail that was off, and an officer has looked at it", [LOOP], [WATER], [], [Expected(DISABLED, "LIMS", "red", 600, 700.5)],
    lines=lines_at(CLOSED_BY_DECISION), scopes=MAKER,
)  # fmt: skip
FIRMS["FAULT-191"] = Firm("nothing", [VACCINES, LOOP | {"id": "A2"}], [T1, Sensor("TOC", "A2", 300.0, 20.0, "toc")])
