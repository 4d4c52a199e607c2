"""Uncovered time of a declared state: where records are missing, and where the monitor was told to be off, as one (ADR 0050).

What is off is silent at once: nobody has to wait for a record that cannot come. Silences and off times that overlap or touch are one alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.layout import NEVER, NONE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.absence import Found, Numbers
    from rules.declared import Span
    from rules.occurrence import Folded


@dataclass(slots=True)
class _Part:
    start: int
    last: int
    """Where it ends, or will by what is known."""
    going_on: bool
    sev: int
    late: bool


def join(n: Numbers, found: Found, spans: Sequence[Span], off: Sequence[Span], now: int) -> None:
    """Put the off times inside some spans to the silences that were found.

    Args:
        n: the numbers of the rule.
        found: its silences; changed in place.
        spans: of the declared state, both ends inside, by time.
        off: when a monitor of the area was off, both ends inside, by time; NEVER ends one that is still off.
        now: the instant (receive time, ms); nothing more comes at it.
    """
    parts = [*_of_silences(found, spans), *_of_off(n, found, spans, off, now)]
    joined: list[_Part] = []
    for part in sorted(parts, key=lambda part: (part.start, part.last)):
        if joined and part.start <= joined[-1].last:
            one = joined[-1]
            one.last, one.going_on = max(one.last, part.last), one.going_on or part.going_on
            one.sev, one.late = max(one.sev, part.sev), one.late or part.late
        else:
            joined.append(part)
    for one in joined[:-1]:
        one.going_on = False
    found.silences = [n.told(one.start, NONE if one.going_on else one.last, one.sev) for one in joined]
    found.late = {one.start for one in joined if one.late}
    if joined and joined[-1].going_on:
        found.since = max(begin for begin, _ in spans if begin <= joined[-1].start)


def _of_silences(found: Found, spans: Sequence[Span]) -> Iterator[_Part]:
    for one in found.silences:
        last = one.end
        if last == NONE:
            last = max(end for begin, end in spans if begin <= one.start)
        yield _Part(one.start, last, one.end == NONE, one.sev, one.start in found.late)


def _of_off(n: Numbers, found: Found, spans: Sequence[Span], off: Sequence[Span], now: int) -> Iterator[_Part]:
    """Yield the off times that have begun; one ends when the monitor is on again, or `delivery` behind the state, as silences do."""
    for begin, end in spans:
        for low, high in off:
            first, last = max(begin, low), min(end, high)
            if first >= last:
                continue
            over = high if high <= end else end + n.delivery
            found.due = min([found.due, *(at for at in (first, over) if at > now)])
            if first <= now:
                yield _Part(first, last, over > now, n.base, first + n.delivery < now)


def touched(silences: Sequence[Folded], before: int, behind: int, edge: int) -> bool:
    """Say whether a distance between two rows lies in an alarm that is not over up to `edge`: it is kept as long as this."""
    return any(
        one.start < behind and before < (NEVER if one.end == NONE else one.end)
        for one in silences
        if one.end == NONE or one.end > edge
    )
