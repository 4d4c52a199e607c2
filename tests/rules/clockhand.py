"""Small logs of reports and visits written by hand: instants are days from 1 March 2026, midnight in Beijing."""

from __future__ import annotations

from typing import Any

from rules.engine import Engine
from rules.fitting import RULE_FAILED
from rules.instants import format_instant
from rules.models import Severity
from rules.pack import Bundle, default_bundle
from tests.rules.byhand import BEGIN, HandLog, ms
from tests.rules.deadlinerules import YEARS, rule

DAY, HOUR = 1440.0, 60.0
"""In minutes, as hand logs count."""
MILLI = 1 / 60_000
EVERYTHING = [
    {"field": field, "line": line}
    for field in ("vigilance", "manufacture", "clinical-trials")
    for line in ("drug", "device", "cosmetics")
]
SHIPPED = Bundle.of(
    [one for one in default_bundle().rules if one.kind == "deadline"], [], calendars=default_bundle().calendars.values()
)
"""The shipped clocks alone."""


def only(*rules: Any, calendars: Any = (YEARS,)) -> Bundle:
    """Return packs of these rules."""
    return Bundle.of(rules, [], calendars=calendars)


def shipped(name: str) -> Bundle:
    """Return packs of one shipped clock."""
    return SHIPPED.only({f"report-clock.{name}"})


class ClockLog(HandLog):
    """A hand log with reports and visits."""

    def __init__(self, **facts: Any) -> None:
        """Begin with a facility of all fields."""
        super().__init__()
        self.registered(0, 1, **facts)

    def registered(self, at: float, version: int, **facts: Any) -> ClockLog:
        """Append another version of the register."""
        self.register(at, version=version, **{"scopes": EVERYTHING} | facts)
        return self

    def report(
        self, at: float, kind: str, name: str = "R-1", revision: int = 1, *, reason: str | None = None, **fields: Any
    ) -> ClockLog:
        """Append a report, received at `at`; a number of a member `..._at` is so many minutes from the beginning."""
        said = {
            key: format_instant(ms(value)) if key.endswith("_at") and isinstance(value, int | float) else value
            for key, value in fields.items()
        }
        data = {"type": kind, "id": name, "revision": revision, "sent": format_instant(ms(at)), "fields": said}
        self.line(at, "report", data if reason is None else data | {"reason": reason})
        return self

    def case(self, at: float, known: Any, name: str = "R-1", revision: int = 1, **more: Any) -> ClockLog:
        """Append the report of a reaction: a death, unless it is said otherwise."""
        said = {
            "case_id": "C-1", "onset": "2026-02-01", "seriousness": "death", "is_new": False, "product": "P-1", "outcome": "x",
            "source_channel": "x",
        }  # fmt: skip
        return self.report(at, "adr-case", name, revision, known_at=known, **said | more)

    def found(self, at: float, known: Any = 0.0, name: str = "I-1", revision: int = 1, **more: Any) -> ClockLog:
        """Append the investigation of a death."""
        said = {"case_id": "C-1", "conclusion": "x", "lots": []}
        return self.report(at, "adr-death-investigation", name, revision, known_at=known, **said | more)

    def visit(self, at: float, version: int = 1, handed: Any = None, *, name: str = "V-1", **more: Any) -> ClockLog:
        """Append a visit."""
        handed_at = format_instant(ms(handed)) if isinstance(handed, int | float) else handed
        said = {
            "visit": name, "version": version, "mode": "on-site", "done_at": format_instant(BEGIN), "full": True,
            "findings": {"critical": 0, "major": 1, "minor": 0}, "handed_over_at": handed_at,
        }  # fmt: skip
        self.line(at, "inspection", said | more)
        return self

    def engine(self, bundle: Bundle) -> Engine:
        """Return the engine that has folded the log."""
        engine = Engine(bundle)
        for record in self.records():
            engine.fold(record)
        return engine

    def story(self, bundle: Bundle, until: float | None = None) -> list[tuple[Any, ...]]:
        """Return (received, change, case, colour, start, end) of all changes, in days where they are whole ones; no rule may fail."""
        changes = self.changes(until=until, bundle=bundle)
        assert RULE_FAILED not in {change.rule for change in changes}
        return [
            (
                days(c.received), c.change.value, c.subject["report"], c.severity.value, days(c.start),
                None if c.end is None else days(c.end),
            )
            for c in changes
        ]  # fmt: skip

    def counts(self, bundle: Bundle) -> dict[str, int]:
        """Return what was counted."""
        counts = self.engine(bundle).state_of(self.facility).clocks.counts
        return {name: number for name, number in counts.items() if number}


def days(instant: int) -> float:
    """Return an instant as days from the beginning, to the millisecond."""
    return round((instant - BEGIN) / 86_400_000, 9)


__all__ = [
    "BEGIN", "DAY", "EVERYTHING", "HOUR", "MILLI", "SHIPPED", "YEARS", "ClockLog", "Severity", "days", "ms", "only", "rule",
    "shipped",
]  # fmt: skip
