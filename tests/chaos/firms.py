"""Simulated firms of the chaos: what each posts is a function of the seed, the firm's number and the run's beginning.

Two thirds post as it happens, with an interval of two seconds; the others send hours of one-minute readings quickly, as a
data logger that is read out. Excursions, standing values, bad quality, rows that come late, stretches that are sent back
later or never.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.calibrated import CALIBRATION

STATES = ("fine", "out", "frozen", "bad", "lost", "kept", "late")
LIVE, LOGGER, IMPATIENT = "live", "logger", "impatient"
HOURS_BEHIND = 60
LARGE_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Post:
    """One post: when it is due (s after the beginning) and what it says; `again` counts the sends beyond the first 202."""

    due_s: float
    body: dict[str, Any]
    again: int = 0
    later: int = 0
    """Sent once more after so many further posts, as a firm does that lost its receipt."""


@dataclass(slots=True)
class _Signal:
    tag: str
    low: float
    high: float
    state: str = "fine"
    left: int = 0
    hot: bool = False
    """Outside its limits in a stretch that comes late: so that late rows change what was decided."""
    value: float = 0.0
    kept: list[tuple[int, float]] = field(default_factory=list)
    late: list[tuple[int, float]] = field(default_factory=list)


class Firm:
    """One facility: its register entry, and its posts one after another."""

    def __init__(self, number: int, seed: int, began_ms: int) -> None:
        self.id = f"CH-{number:04d}"
        self.style = IMPATIENT if number == 1 else LOGGER if number % 3 == 0 else LIVE
        self._chance = random.Random(f"firm/{seed}/{number}")  # noqa: S311 - repeatable, not secret
        self._interval_ms = 60_000 if self.style == LOGGER else 2_000
        self._rows = self._chance.randint(2, 6) if self.style == LOGGER else 1
        self._every_s = {LIVE: 2.0, LOGGER: 1.6, IMPATIENT: 0.4}[self.style]
        self._offset_s = self._chance.uniform(0, self._every_s)
        if self.style == IMPATIENT:
            self._interval_ms = 400
        behind = HOURS_BEHIND * 3_600_000 if self.style == LOGGER else 0
        self._origin = (began_ms - behind) // 1000 * 1000
        self._signals = [
            _Signal("CR.T1", 2, 8), _Signal("CR.T2", 2, 8), _Signal("CR.RH", 35, 75), _Signal("FILL.P05", 0, 3_520),
            _Signal("CRYO.O2", 19.5, 25),
        ]  # fmt: skip
        self._number = self._row = self._larges = 0
        self._pending: list[tuple[int, dict[str, Any]]] = []

    def entry(self, version: int = 1) -> dict[str, Any]:
        """Return the register entry; a later version has other limits."""
        interval = max(1_000, self._interval_ms)
        every = f"{interval // 1000}s"
        limits = {"low": 2, "high": 8 - 0.1 * (version - 1)}
        return {
            "id": self.id,
            "name": {"zh": f"混沌{self.id}（模拟）", "en": f"Chaos {self.id} (simulated)"},
            "jurisdiction": "110115",
            "scopes": [{"field": "manufacture", "line": "drug"}, {"field": "distribution", "line": "drug"}],
            "delivery": "120s" if self.style == LOGGER else "6s",
            "areas": [
                {"id": "CR", "kind": "cold-room", "floor_m2": 60, "height_m": 3},
                {"id": "FILL", "kind": "cleanroom", "grade": "A", "standard": "cn-gmp-2010"},
                {"id": "CRYO", "kind": "cryo-room", "floor_m2": 40, "height_m": 3},
            ],
            "sensors": [sensor | {"calibration": CALIBRATION} for sensor in (
                {"tag": "CR.T1", "area": "CR", "quantity": "temperature", "unit": "Cel", "interval": every, "limits": limits,
                 "range": {"low": -40, "high": 60}, "resolution": 0.1},
                {"tag": "CR.T2", "area": "CR", "quantity": "temperature", "unit": "Cel", "interval": every,
                 "limits": {"low": 2, "high": 8}, "range": {"low": -40, "high": 60}, "resolution": 0.1},
                {"tag": "CR.RH", "area": "CR", "quantity": "humidity", "unit": "%RH", "interval": every,
                 "limits": {"low": 35, "high": 75}, "range": {"low": 0, "high": 100}},
                {"tag": "FILL.P05", "area": "FILL", "quantity": "particles-0.5", "unit": "/m3", "interval": every,
                 "range": {"low": 0, "high": 10_000_000}, "sample_m3": 0.0283},
                {"tag": "CRYO.O2", "area": "CRYO", "quantity": "oxygen", "unit": "%", "interval": every,
                 "limits": {"low": 19.5}, "range": {"low": 0, "high": 25}},
            )],
        }  # fmt: skip

    def next(self) -> Post:
        """Return the next post."""
        while True:
            chance, number = self._chance, self._number
            self._number += 1
            due_s = self._offset_s + self._every_s * number
            body = self._back_fill(number) or self._measured(number)
            if body is not None:
                again = 1 if chance.random() < 0.06 else 0
                later = chance.randint(2, 9) if chance.random() < 0.04 else 0
                return Post(due_s, body, again, later)

    def large(self) -> Post:
        """Return a huge and legal post: 50,000 readings, four fifths of them of tags that nobody registered."""
        self._larges += 1
        begin = self._origin - 6 * 3_600_000
        series = [
            {"tag": tag, "time": [begin + 1_000 * i for i in range(LARGE_ROWS)],
             "value": [20.5 + i % 7 for i in range(LARGE_ROWS)]}
            for tag in ("CRYO.O2", "X.1", "X.2", "X.3", "X.4")
        ]  # fmt: skip
        return Post(0, {"batch": f"{self.id}.large{self._larges}", "series": series})

    def _back_fill(self, number: int) -> dict[str, Any] | None:
        """Return what was kept back, once its time has come; what would be measured meanwhile is lost."""
        for place, (at, body) in enumerate(self._pending):
            if at <= number:
                del self._pending[place]
                self._row += self._rows
                return body
        return None

    def _measured(self, number: int) -> dict[str, Any] | None:
        begin = self._row
        self._row += self._rows
        series = [one for signal in self._signals if (one := self._series(signal, begin, number)) is not None]
        if not series:
            return None
        if self._chance.random() < 0.03:
            series.append({"tag": "NEW.TAG", "time": series[0]["time"], "value": [1.5] * len(series[0]["time"])})
        return {"batch": f"{self.id}.{number}", "seq": number, "series": series}

    def _series(self, signal: _Signal, begin: int, number: int) -> dict[str, Any] | None:
        time: list[int] = []
        value: list[float | None] = []
        quality: list[str] = []
        late, signal.late = signal.late, []
        for row in range(begin, begin + self._rows):
            at = self._origin + row * self._interval_ms
            number_value = self._step(signal, number)
            if signal.state in {"lost", "kept"}:
                if signal.state == "kept":
                    signal.kept.append((at, number_value))
            elif signal.state == "late" and self._chance.random() < 0.5:
                signal.late.append((at, number_value))
            else:
                bad = signal.state == "bad"
                time.append(at)
                value.append(None if bad and row % 2 else number_value)
                quality.append(self._chance.choice(("fault", "comms", "uncertain")) if bad else "good")
        for at, number_value in late:
            time.append(at)
            value.append(number_value)
            quality.append("good")
        if not time:
            return None
        found: dict[str, Any] = {"tag": signal.tag, "time": time, "value": value}
        return found if set(quality) == {"good"} else found | {"quality": quality}

    def _step(self, signal: _Signal, number: int) -> float:
        chance = self._chance
        if signal.left <= 0:
            self._turn(signal, number)
        signal.left -= 1
        middle, span = (signal.low + signal.high) / 2, signal.high - signal.low
        if signal.state == "out" or signal.hot:
            return round(signal.high + 0.3 * span + 0.1 * chance.randint(0, 9), 1)
        if signal.state != "frozen":
            signal.value = round(middle + 0.04 * span * chance.randint(-4, 4), 1)
        return signal.value

    def _turn(self, signal: _Signal, number: int) -> None:
        """Choose what happens next to a signal, and for how many rows."""
        chance = self._chance
        if signal.kept:
            rows, signal.kept = signal.kept, []
            body = {
                "batch": f"{self.id}.{number}.{signal.tag}.fill",
                "series": [{"tag": signal.tag, "time": [at for at, _ in rows], "value": [v for _, v in rows]}],
            }
            self._pending.append((number + chance.randint(1, 8), body))
        signal.hot = False
        if signal.state != "fine":
            signal.state, signal.left = "fine", chance.randint(3, 25)
            return
        signal.state = chance.choices(STATES, (4, 5, 3 if self.style == LOGGER else 0, 2, 2, 3, 3))[0]
        signal.hot = signal.state in {"kept", "late"} and chance.random() < 0.6
        longest = 12 if self.style != LOGGER else 40
        signal.left = chance.randint(70, 110) if signal.state == "frozen" else chance.randint(2, longest)


def firms_of(count: int, seed: int, began_ms: int) -> list[Firm]:
    """Return the firms of a run."""
    return [Firm(number, seed, began_ms) for number in range(1, count + 1)]
