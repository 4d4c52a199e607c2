"""Leaves of the check of readings whose tag the register does not hold: batch by batch, from the log alone (rules/rare/strays.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.batches import Batches
from rules.batches import Seen as BatchSeen
from rules.facts import in_force
from rules.instants import format_duration
from rules.layout import FUTURE_MS, NONE
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict
from rules.records import Readings, RegisterRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.records import LogRecord
    from rules.register import Facility
    from rules.rule import RegisterCheckRule


def leaves_of(rule: RegisterCheckRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    after, forgotten = format_duration(rule.after or 0), format_duration(rule.forgotten or 0)
    return [
        Leaf("unregistered", both("the register does not hold the tag", "登记中没有该测点"), TWO),
        Leaf("long", both(f"its readings come for more than {after}", f"其数据上报已超过 {after}"), TWO),
        Leaf("sent", both(f"one was received within {forgotten}", f"{forgotten} 内收到过其数据"), TWO),
    ]


@dataclass(frozen=True, slots=True)
class Came:
    """Rows of one tag in one batch: the event time of the first, the receive time (both ms), how many, and what they were."""

    tag: str
    t: int
    received: int
    batch: str
    many: int
    new: bool
    """The batch had not come before, and of a tag that was not registered one of its rows was newer than all that had come."""
    registered: bool
    leaves: tuple[Seen, ...]


@dataclass(slots=True)
class _Stray:
    first: int
    last: int


class _Trace:
    """What is in force, and which tags that are not have come, as the log is read."""

    def __init__(self, rule: RegisterCheckRule) -> None:
        self.rule = rule
        self.facility: Facility | None = None
        self.version, self.batches = -1, Batches()
        self.strays: dict[str, _Stray] = {}
        self.newest: dict[str, int] = {}
        """Of each tag the newest event time (ms) that came."""

    def held(self, at: int) -> set[str]:
        """Return the tags in force at a log time (ms); what they were before is forgotten."""
        tags = set() if self.facility is None else {sensor.tag for sensor in in_force(self.facility, at)}
        forgotten = self.rule.forgotten or 0
        self.strays = {
            tag: one for tag, one in self.strays.items() if tag not in tags and one.last + forgotten > at
        }  # fmt: skip
        return tags

    def register(self, payload: RegisterRecord, at: int) -> None:
        """Take a version of the register."""
        if payload.version > self.version:
            self.held(at)
            self.version, self.facility = payload.version, payload.facility
            self.held(at)

    def readings(self, payload: Readings, at: int) -> Iterator[Came]:
        """Take a batch; returns what it is of each tag."""
        new = self.batches.meet(payload, at) is BatchSeen.NEW
        if self.facility is None:
            return
        held, row = self.held(at), 0
        for tag, many in zip(payload.tags, payload.counts.tolist(), strict=True):
            begin, row = row, row + many
            if not many:
                continue
            newer = begin
            if new:
                newer = self.reach(tag, payload.time[begin:row].tolist(), at, registered=tag in held) + begin
            fresh = new and newer < row
            seen = [Seen("unregistered", verdict(tag not in held), tag, "not in", "register")]
            if fresh and tag not in held:
                stray = self.strays.setdefault(tag, _Stray(at, at))
                stray.last, age, after = at, at - stray.first, self.rule.after or 0
                seen.append(Seen("long", verdict(age > after), age, ">", after, "ms"))
            first, known = int(payload.time[newer if fresh else begin]), fresh or (new and tag in held)
            yield Came(tag, first, at, payload.batch, many, known, tag in held, tuple(seen))

    def reach(self, tag: str, times: list[int], at: int, *, registered: bool) -> int:
        """Take the rows of a tag in a batch that is new; returns the place of the first that is newer than all that had come of it."""
        found = len(times)
        for i, t in enumerate(times):
            ahead = t > at + FUTURE_MS
            came = NONE if ahead and registered else at if ahead else t
            if came > self.newest.get(tag, NONE):
                self.newest[tag], found = came, min(found, i)
        return found

    def sent(self, last: dict[str, int], at: int) -> Iterator[tuple[str, Seen]]:
        """Return of each tag that came and is not in force at a log time (ms), with its newest receipt, whether it is still sent then."""
        held = self.held(at)
        for tag, received in sorted(last.items()):
            age, forgotten = at - received, self.rule.forgotten or 0
            if tag not in held:
                yield tag, Seen("sent", verdict(age < forgotten), age, "<", forgotten, "ms")


def came_of(
    rule: RegisterCheckRule, log: Sequence[LogRecord], end: int
) -> tuple[list[Came], dict[str, Seen]]:  # fmt: skip
    """Return what each batch of a facility's log said of each tag, and whether tags that were not in force are sent at `end` (log time, ms)."""
    trace, found, last = _Trace(rule), list[Came](), dict[str, int]()
    for record in log:
        if isinstance(record.payload, RegisterRecord):
            trace.register(record.payload, record.received)
        elif isinstance(record.payload, Readings):
            for one in trace.readings(record.payload, record.received):
                found.append(one)
                if one.new and not one.registered:
                    last[one.tag] = one.received
    return found, dict(trace.sent(last, end))


def moments_of(rule: RegisterCheckRule, log: Sequence[LogRecord], end: int) -> Iterator[Moment]:
    """Return what the leaves were at every batch, and at `end` (log time, ms)."""
    found, sent = came_of(rule, log, end)
    yield from (Moment("row", one.t, one.leaves) for one in found)
    yield from (Moment("end", end, (seen,)) for seen in sent.values())
