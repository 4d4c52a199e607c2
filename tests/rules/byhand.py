"""Small logs written by hand as JSON lines, and what `offsite evaluate` makes of them, in minutes from the beginning."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rules.evaluate import evaluate
from rules.instants import format_instant, parse_instant
from rules.pack import default_bundle
from streams.jsonlines import read_lines
from tests.calibrated import CALIBRATION, unlisted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rules.changes import Change
    from rules.pack import Bundle
    from rules.records import LogRecord

BEGIN = parse_instant("2026-03-01T00:00:00+08:00")
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
FACILITY = "HAND-0001"
BUNDLE = unlisted(default_bundle())
KINDS = {"cold-room": {}, "cleanroom": {"grade": "A", "standard": "cn-gmp-2010"}}


def ms(minutes: float) -> int:
    """Return minutes from the beginning as an instant; thousandths of a second are kept."""
    return BEGIN + round(minutes * MINUTE)


def sensor(tag: str = "T1", area: str = "A1", interval: str | None = "60s", **more: Any) -> dict[str, Any]:
    """Return a temperature sensor of a cold room, calibrated, one reading a minute, unless said otherwise."""
    entry = {"tag": tag, "area": area, "quantity": "temperature", "unit": "Cel", "calibration": CALIBRATION, **more}
    return entry if interval is None else {**entry, "interval": interval}


class HandLog:
    """Builds a log line by line; instants are minutes from the beginning."""

    def __init__(self, facility: str = FACILITY, *, partition: int = 0, first: int = 0) -> None:
        self.facility, self.partition = facility, partition
        self.lines: list[str] = []
        self._next = first

    def line(self, at: float, kind: str, data: dict[str, Any], *, facility: str | None = None) -> HandLog:
        """Append a line of any kind, received at `at`."""
        self.lines.append(
            json.dumps(
                {
                    "partition": self.partition,
                    "offset": self._next,
                    "received": format_instant(ms(at)),
                    "kind": kind,
                    "facility": self.facility if facility is None else facility,
                    "data": data,
                }
            )
        )
        self._next += 1
        return self

    def register(
        self, at: float, *sensors: dict[str, Any], version: int = 1, areas: Sequence[dict[str, Any]] | None = None,
        **facts: Any,
    ) -> HandLog:  # fmt: skip
        """Append the register record: a drug maker with cold rooms for the sensors, delivery one minute."""
        named = sorted({s["area"] for s in sensors}) or ["A1"]
        entity = {
            "id": self.facility,
            "name": {"zh": "测试", "en": "By hand"},
            "jurisdiction": "110000",
            "delivery": "60s",
            "scopes": [{"field": "manufacture", "line": "drug"}],
            "areas": areas or [{"id": area, "kind": "cold-room"} for area in named],
            "sensors": list(sensors),
            **facts,
        }
        return self.line(at, "register", {"version": version, "facility": entity})

    def dense(self, until: float, tag: str = "T1") -> HandLog:
        """Append two hours of rows a minute apart, the newest at `until`, received with it: before them nothing is an open gap."""
        minutes = [until - i for i in range(121)][::-1]
        return self.rows(until, (tag, minutes, [5.0] * len(minutes)))

    def rows(self, at: float, *series: tuple[str, Sequence[float], Sequence[Any]], batch: str | None = None) -> HandLog:
        """Append one batch; a series is (tag, minutes, values); a value may be (value, quality)."""
        posted = []
        for tag, minutes, values in series:
            pairs = [value if isinstance(value, tuple) else (value, "good") for value in values]
            entry: dict[str, Any] = {"tag": tag, "time": [ms(t) for t in minutes], "value": [v for v, _ in pairs]}
            if any(quality != "good" for _, quality in pairs):
                entry["quality"] = [quality for _, quality in pairs]
            posted.append(entry)
        return self.line(at, "readings", {"batch": batch or f"b{self._next}", "series": posted})

    def live(
        self, tag: str, begin: float, values: Sequence[Any], *, every: float = 1, delay: float = 1 / 60
    ) -> HandLog:
        """Append one batch per value, each received `delay` minutes after its event time."""
        for i, value in enumerate(values):
            self.rows(begin + i * every + delay, (tag, [begin + i * every], [value]))
        return self

    def mark(
        self, at: float, flag: str, begin: float, to: float | None = None, *, name: str = "M-1", revision: int = 1, **what: Any
    ) -> HandLog:  # fmt: skip
        """Append a mark from `begin` to `to` (open without it), of T1 unless it names other `tags` or an `area`."""
        named = what if what else {"tags": ["T1"]}
        end = None if to is None else ms(to)
        said = {
            "id": name,
            "revision": revision,
            "flag": flag,
            "from": ms(begin),
            "to": end,
            "reason": "service",
            "author": "u-12",
        }
        return self.line(at, "mark", said | named)

    def tick(self, at: float, role: str = "gateway") -> HandLog:
        """Append a tick."""
        return self.line(at, "tick", {"by": role, "role": role, "now": format_instant(ms(at))}, facility="")

    def packs(self, at: float, bundle: Bundle) -> HandLog:
        """Append a packs record."""
        return self.line(at, "packs", bundle.to_record().model_dump(mode="json"), facility="")

    def records(self) -> list[LogRecord]:
        """Return the records, read as a dump is read."""
        return list(read_lines(self.lines))

    def changes(self, *, until: float | None = None, bundle: Bundle = BUNDLE, **options: Any) -> list[Change]:
        """Return what `offsite evaluate` gives."""
        until_ms = None if until is None else ms(until)
        return evaluate(read_lines(self.lines), bundle, until_ms=until_ms, **options)

    def changes_behind(self, *, bundle: Bundle = BUNDLE) -> list[Change]:
        """Return the changes when the instant of the last record is over: what came at it is decided then."""
        return evaluate(read_lines(self.lines), bundle, until_ms=self.records()[-1].received + 1)


def place(subject: dict[str, str]) -> str:
    """Return a subject as a word: a tag, `@area`, or `*` for the whole facility."""
    return subject.get("tag") or ("@" + subject["area"] if "area" in subject else "*")


def since(instant: int | None) -> float | None:
    """Return an instant as minutes from the beginning, to the millisecond."""
    return None if instant is None else round((instant - BEGIN) / MINUTE, 5)


def story(changes: Iterable[Change], *rules: str) -> list[tuple[Any, ...]]:
    """Return (received, change, rule without its pack, subject, colour, start, end) of these rules, or of all."""
    return [
        (
            since(c.received), c.change.value, c.rule.split(".")[1], place(c.subject), c.severity.value,
            since(c.start), since(c.end),
        )
        for c in changes
        if not rules or c.rule.split(".")[1] in rules
    ]  # fmt: skip
