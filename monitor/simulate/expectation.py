"""Which alarms a script must give, and whether changes of a log (live or rehearsed) are those and no others."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.changes import Change, ChangeKind
from rules.instants import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.simulate.script import Expected, Script

_ENDS = {ChangeKind.CLEARED, ChangeKind.RETRACTED}


@dataclass(frozen=True, slots=True)
class ExpectedAlarm:
    """One alarm of a script; windows are ms from the beginning of the run, in receive time of the deciding record."""

    rule: str
    facility: str
    subject: dict[str, str]
    severity: str
    raised: tuple[int, int]
    how: str
    """`cleared`, `retracted` or `stands`."""
    ended: tuple[int, int] | None
    """None where it `stands`."""

    def __str__(self) -> str:
        """Return rule, facility and subject."""
        place = " ".join(f"{kind} {name}" for kind, name in self.subject.items()) or "whole feed"
        return f"{self.rule} at {self.facility}, {place}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is wrong with the changes of a run, in words; both empty if nothing is."""

    missing: list[str]
    unexpected: list[str]

    @property
    def holds(self) -> bool:
        """Say whether the run gave what its script says."""
        return not self.missing and not self.unexpected


def expected(script: Script) -> list[ExpectedAlarm]:
    """Return the alarms that the script's faults and reports declare, by the latest instant of their raising."""
    alarms = [_alarm(facility, alarm) for facility, alarm in script.expected()]
    return sorted(alarms, key=lambda alarm: alarm.raised[1])


def compare(script: Script, changes: Iterable[Change], *, began: int, until: int) -> Comparison:
    """Compare the changes of a run (any order) with its script.

    `began` is the beginning of the run, `until` how far it got (both ms since the epoch): what was due to end later is
    not asked for yet. Of alarms that another speaks for (suppressed) none is unexpected; those that spoke first are looked for.
    """
    by_alarm: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        by_alarm[change.alarm].append(change)
    histories = [sorted(history, key=lambda change: change.seq) for history in by_alarm.values()]
    spoken = [history for history in histories if not _is_suppressed(history, at_once=True)]
    missing: list[str] = []
    for alarm in expected(script):
        found = next((h for h in spoken if _is_of(h, alarm, began)), None)
        if found is not None:
            spoken.remove(found)
        if began + (alarm.ended or alarm.raised)[1] <= until:
            missing += _misfit(alarm, found, began)
    unexpected = [
        f"{h[0].rule} at {h[0].facility} {dict(h[0].subject)}, raised {format_duration(h[0].received - began)} into the run"
        if h[0].received >= began
        else f"{h[0].rule} at {h[0].facility} {dict(h[0].subject)}, raised before the run"
        for h in spoken
        if not _is_suppressed(h, at_once=False)
    ]
    return Comparison(missing, unexpected)


def _alarm(facility: str, alarm: Expected) -> ExpectedAlarm:
    return ExpectedAlarm(
        alarm.rule, facility, dict(alarm.subject), alarm.severity.value, alarm.raised, alarm.how, alarm.ended
    )


def _is_suppressed(history: list[Change], *, at_once: bool) -> bool:
    """Say whether another alarm speaks, or spoke, for one: from its first instant on, or ever."""
    begins = [change.received for change in history if change.change is ChangeKind.SUPPRESSED]
    return bool(begins) and (not at_once or begins[0] == history[0].received)


def _is_of(history: list[Change], alarm: ExpectedAlarm, began: int) -> bool:
    first = history[0]
    if (first.rule, first.facility, dict(first.subject)) != (alarm.rule, alarm.facility, alarm.subject):
        return False
    return alarm.raised[0] <= first.received - began <= alarm.raised[1]


def _misfit(alarm: ExpectedAlarm, history: list[Change] | None, began: int) -> list[str]:
    window = f"{format_duration(alarm.raised[0])} to {format_duration(alarm.raised[1])}"
    if history is None:
        return [f"{alarm}: not raised from {window} into the run"]
    faults: list[str] = []
    highest = max((change.severity for change in history), key=lambda severity: severity.rank)
    if highest.value != alarm.severity:
        faults.append(f"{alarm}: {highest.value}, not {alarm.severity}")
    last = next((change for change in reversed(history) if change.change in _ENDS), None)
    if alarm.ended is None:
        faults += [] if last is None else [f"{alarm}: {last.change.value}, and it was to stand"]
    elif last is None or last.change.value != alarm.how:
        faults.append(f"{alarm}: {last.change.value if last else 'still open'}, not {alarm.how}")
    elif not alarm.ended[0] <= last.received - began <= alarm.ended[1]:
        after = format_duration(last.received - began)
        faults.append(f"{alarm}: {alarm.how} after {after}, not within {alarm.ended[0]} to {alarm.ended[1]} ms")
    return faults
