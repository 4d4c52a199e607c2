"""Leaves of the checks of what devices tell of themselves: event by event, and at the end, from all that came (rules/rare/told.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.instants import format_duration
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict
from rules.rare.points import Points
from rules.rare.told import REPLACEMENT, STRANGER, word_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.leaves.rare import Come
    from rules.rare.told import Word
    from rules.register import Facility
    from rules.rule import RegisterCheckRule


def leaves_of(rule: RegisterCheckRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    known = frozenset({Verdict.TRUE, Verdict.UNKNOWN})
    found = [
        Leaf("event", both("a device tells of itself", "设备上报自身信息"), TWO),
        Leaf("point", both("the point or device is registered", "测点或设备已登记"), known),
        Leaf("differs", both("it is not what is registered", "与登记不符")),
    ]
    if rule.within is None:
        time = format_duration(rule.silent or 0)
        return [*found, Leaf("told", both(f"something is told within {time}", f"{time} 内有上报"), known)]
    within, more = format_duration(rule.within), format_duration(rule.grace or 0)
    return [
        *found,
        Leaf("replaced", both(f"a replacement within {within} before or after", f"前后 {within} 内有更换记录")),
        Leaf("named", both(f"with it, registered within {more} more", f"有更换记录时，另 {more} 内完成登记"), TWO),
    ]


@dataclass(frozen=True, slots=True)
class Told:
    """An event as it came, what it tells (None: it is not meant, or of nothing that is registered), and what was registered then."""

    come: Come
    word: Word | None
    registered: str | None
    moment: Moment

    @property
    def strange(self) -> bool:
        """Say whether it told something else than what was registered."""
        word = self.word
        return word is not None and word.sign == STRANGER and self.registered not in {None, word.text}


def told_of(rule: RegisterCheckRule, events: Sequence[tuple[Come, Facility]]) -> list[Told]:
    """Return what each event told, judged by the register of when it came."""
    found: list[Told] = []
    points: Points | None = None
    for one, facility in events:
        if points is None or points.facility is not facility:
            points = Points(facility)
        word = word_of(rule, one.event)
        seen = [Seen("event", verdict(word is not None), f"{one.event.stream} {one.event.type}", "=", rule.check)]
        point = None if word is None else points.at(rule, word.subject, one.t)
        if word is not None:
            seen.append(
                Seen("point", Verdict.UNKNOWN if point is None else Verdict.TRUE, word.subject, "is", "registered")
            )
        if word is not None and point is not None and word.sign == STRANGER:
            strange = Verdict.UNKNOWN if point.word is None else verdict(word.text != point.word)
            seen.append(Seen("differs", strange, word.text, "!=", point.word))
        meant = None if point is None else word
        found.append(Told(one, meant, None if point is None else point.word, Moment("event", one.t, tuple(seen))))
    return found


def ends_of(
    rule: RegisterCheckRule, told: Sequence[Told], facility: Facility, end: int
) -> Iterator[tuple[str, Moment]]:  # fmt: skip
    """Return what is known at `end` (log time, ms) of each stranger that was told, with its subject, by the register of then."""
    points = Points(facility)
    for one in told:
        word = one.word
        if word is None or not one.strange or not one.come.new:
            continue
        if rule.within is None:
            last = max(o.come.received for o in told if o.word is not None and o.word.subject == word.subject)
            heard = Verdict.TRUE if end - last <= (rule.silent or 0) else Verdict.UNKNOWN
            yield (
                word.subject,
                Moment("end", end, (Seen("told", heard, float(end - last), "<=", float(rule.silent or 0), "ms"),)),
            )
            continue
        declared = any(_declares(rule, other, word, one.come.t) for other in told)
        waiting = end < one.come.t + rule.within + facility.delivery
        replaced = Verdict.TRUE if declared else Verdict.UNKNOWN if waiting else Verdict.FALSE
        seen = [Seen("replaced", replaced, word.text, "within", float(rule.within), "ms")]
        due = one.come.t + rule.within + (rule.grace or 0) + facility.delivery
        point = points.at(rule, word.subject, end)
        if declared and point is not None and (point.word == word.text or end >= due):
            seen.append(Seen("named", verdict(point.word == word.text), word.text, "=", point.word))
        yield word.subject, Moment("end", end, tuple(seen))


def _declares(rule: RegisterCheckRule, other: Told, word: Word, at: int) -> bool:
    """Say whether an event tells the replacement of a stranger that was first told at `at` (event time, ms)."""
    said, come = other.word, other.come
    if said is None or (said.subject, said.sign, said.text) != (word.subject, REPLACEMENT, word.text):
        return False
    return abs(come.t - at) <= (rule.within or 0) and come.received <= come.t + (rule.allowed or 0)
