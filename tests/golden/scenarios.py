"""The logs of the golden files; instants are minutes from 2026-03-01, midnight in Beijing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.rules.byhand import HandLog, sensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

DAY = 1440.0
LIMITS = {"low": 2, "high": 8}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A log, to where time is moved behind it, and what it is to give, in order."""

    name: str
    says: str
    log: HandLog
    until: float


def _room(**more: Any) -> HandLog:
    return HandLog().register(129, sensor(limits=LIMITS, **more)).dense(130)


def _shape(
    log: HandLog, at: float, minutes: Iterable[float], values: Sequence[float], batch: str | None = None
) -> HandLog:
    return log.rows(at, ("T1", list(minutes), list(values)), batch=batch)


def late_inside_the_horizon() -> Scenario:
    """Two warm records raise it; a record between them that comes late and is cold takes it back."""
    log = _room()
    _shape(log, 131, [131], [9.0])
    _shape(log, 133, [133], [9.0])
    for minute in range(134, 138):
        _shape(log, minute, [minute], [5.0])
    _shape(log, 138.5, [132], [5.0])
    return Scenario(
        "late-inside-the-horizon", "a cold record that comes late between two warm ones: it never held", log, 140
    )


def splits_one_in_two() -> Scenario:
    """Warm at both ends, nothing between; then the middle comes late, and is cold: two occurrences."""
    log = _room()
    _shape(log, 132, [131, 132], [9.0, 9.0])
    _shape(log, 137.2, [137], [9.0])
    for minute in range(138, 142):
        _shape(log, minute, [minute], [9.0 if minute == 138 else 5.0])
    _shape(log, 142.5, [133, 134, 135, 136], [5.0, 5.0, 5.0, 5.0])
    return Scenario("splits-one-in-two", "late cold records split an excursion in two", log, 150)


def joins_two() -> Scenario:
    """Two occurrences with a cold middle that was never sent whole: what comes late between them was warm."""
    log = _room()
    _shape(log, 132, [131, 132], [9.0, 9.0])
    _shape(log, 136, [134, 135, 136], [5.0, 5.0, 5.0])
    _shape(log, 140, [139, 140], [9.0, 9.0])
    _shape(log, 144, [141, 142, 143, 144], [5.0, 5.0, 5.0, 5.0])
    _shape(log, 145.5, [133.2, 133.4, 134.5, 135.5, 136.5, 137, 138], [9.0] * 7)
    return Scenario("joins-two", "late warm records join two excursions", log, 150)


def live_first() -> Scenario:
    """A feed that was out of reach for six hours sends live records first, then what it stored: in there it was warm."""
    log = _room()
    minutes = list(range(131, 491))
    for minute in range(491, 496):
        _shape(log, minute, [minute], [5.0])
    stored = [9.0 if 200 <= minute < 230 else 5.0 for minute in minutes]
    _shape(log, 495.5, minutes, stored, batch="stored")
    return Scenario(
        "live-first", "six hours out of reach, live records first, then the stored ones: an excursion inside", log, 500
    )


def a_day_in_one_batch() -> Scenario:
    """A whole day comes in one batch: every decision in it is taken, in event time."""
    log = HandLog().register(0, sensor(limits=LIMITS), delivery="24h")
    values = [9.0 if 600 <= i < 605 or 700 <= i < 702 or i == 800 else 5.0 for i in range(1440)]
    _shape(log, 1440, range(1440), values, batch="day")
    return Scenario(
        "a-day-in-one-batch", "a day in one batch: two excursions, and one record alone that is none", log, 1442
    )


def ten_days_of_gap() -> Scenario:
    """Nine days and 23 hours of silence, then live records, then all that was stored, in two batches."""
    log = HandLog().register(390, sensor(limits=LIMITS, interval="10m"))
    _shape(log, 391, [10.0 * i for i in range(40)], [5.0] * 40)
    back = 390 + 9 * DAY + 23 * 60
    _shape(log, back + 1, [back], [5.0])
    inside = [390 + 10.0 * i for i in range(1, int((back - 390) / 10))]
    warm = set(inside[500:503]) | set(inside[1200:1206])
    half = len(inside) // 2
    for at, part in ((back + 2, inside[:half]), (back + 3, inside[half:])):
        _shape(log, at, part, [9.0 if t in warm else 5.0 for t in part])
    return Scenario(
        "ten-days-of-gap", "almost ten days of silence back-filled in two batches: two excursions", log, back + 5
    )


def older_than_that() -> Scenario:
    """Rows behind the horizon and outside of any gap are evidence that is late; those older than ten days are times that cannot be."""
    log = HandLog().register(0, sensor(limits=LIMITS, interval="10m"), delivery="24h")
    for day in range(12):
        minutes = [day * DAY + 10.0 * i for i in range(144)]
        _shape(log, day * DAY + 1435, minutes, [5.0] * 144)
    _shape(log, 12 * DAY - 4, [11 * DAY + 5.0], [9.0], batch="late")
    _shape(log, 12 * DAY - 3, [5.0], [9.0], batch="ancient")
    return Scenario(
        "older-than-that", "rows behind horizon and gaps: late evidence, and event times that cannot be", log, 12 * DAY
    )


def a_clock_that_jumps() -> Scenario:
    """A sensor's clock jumps an hour ahead for three records, and comes back."""
    log = _room()
    for minute in range(131, 134):
        _shape(log, minute, [minute + 60], [9.0])
    for minute in range(134, 140):
        _shape(log, minute, [minute], [5.0])
    return Scenario("a-clock-that-jumps", "records of an hour ahead are never folded, and alarmed once", log, 142)


def limits_change_while_late() -> Scenario:
    """The limits are narrowed; records from before that come afterwards are decided by those of their time: two above 8 raise it, 6 ends it."""
    log = _room()
    _shape(log, 133, [131, 132, 133], [6.0, 6.0, 6.0])
    log.register(134, sensor(limits={"low": 2, "high": 5.5}), version=2)
    _shape(log, 135, [135], [6.0])
    _shape(log, 135.5, [132.2, 132.4, 133.2, 133.4], [9.0, 9.0, 5.0, 6.0])
    for minute in range(136, 140):
        _shape(log, minute, [minute], [6.0 if minute == 136 else 5.0])
    return Scenario(
        "limits-change-while-late", "what is older than a change of limits is decided by those of before", log, 142
    )


def one_old_reading() -> Scenario:
    """A delay of ten minutes is not met at once by one old record, but by the clock ten minutes behind its receipt."""
    room = {"id": "A1", "kind": "room-store"}
    log = HandLog().register(119, sensor(interval="15m"), areas=[room])
    log.rows(120, ("T1", [0, 15, 30, 45, 60, 75, 90, 105, 120], [20.0] * 9))
    log.rows(135, ("T1", [121], [31.0]))
    log.tick(144.9)
    log.tick(146)
    return Scenario(
        "one-old-reading", "ten minutes are not over because a record of fourteen minutes ago came", log, 150
    )


def month_ends() -> Scenario:
    """A month of which four days are missing, and one day is marked: what is judged behind the last midnight."""
    log = HandLog().register(0, sensor(limits=LIMITS, interval="10m"), delivery="24h")
    for day in range(31):
        if day in {10, 11, 12, 13}:
            continue
        minutes = [day * DAY + 10.0 * i for i in range(144)]
        _shape(log, day * DAY + 1435, minutes, [5.0] * 144)
        if day == 20:
            log.mark(day * DAY + 1436, "maintenance", 17 * DAY, 20 * DAY + 700)
    _shape(log, 31 * DAY + 5, [31 * DAY], [5.0])
    return Scenario(
        "month-ends",
        "less than nine tenths of March were measured, and more than a tenth was marked",
        log,
        32 * DAY + 5,
    )


def a_closed_door() -> Scenario:
    """Two gateway ticks forty minutes apart: the silence meanwhile is nobody's; what lasts behind it is told."""
    log = _room()
    for minute in (130.5, 134.5):
        log.tick(minute)
    log.tick(174.5)
    for minute in (178.5, 182.5):
        log.tick(minute)
    return Scenario(
        "a-closed-door", "forty minutes without a gateway's tick: silence counts from the opening on", log, 185
    )


ALL: tuple[Callable[[], Scenario], ...] = (
    late_inside_the_horizon, splits_one_in_two, joins_two, live_first, a_day_in_one_batch, ten_days_of_gap, older_than_that,
    a_clock_that_jumps, limits_change_while_late, one_old_reading, month_ends, a_closed_door,
)  # fmt: skip
