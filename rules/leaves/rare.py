"""Leaves of rules over rare records: plainly evaluated beside the engine, event by event, or register by register."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.layout import NEVER
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict
from rules.rare.match import area_of, field_is, name_of, time_of
from rules.rare.register_check import findings
from rules.rare.store import subject_of
from rules.records import Events, RegisterRecord
from rules.rule import CountRule, FollowUpRule, RegisterCheckRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.rareparts import EventMatch
    from rules.records import Event, LogRecord
    from rules.register import Facility
    from rules.rule import RareRule


def leaves_of(rule: RareRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    if isinstance(rule, CountRule):
        count = [Leaf("count", both(f"at least {rule.n}", f"至少 {rule.n} 次"), TWO)] if rule.n > 1 else []
        named = both(f"{rule.by} is named", f"有 {rule.by}")
        subject = [Leaf("subject", named, frozenset({Verdict.TRUE, Verdict.UNKNOWN}))] if rule.by != "system" else []
        return [*_match_leaves("", rule.events), *subject, *count]
    if isinstance(rule, FollowUpRule):
        return [
            *_match_leaves("first.", rule.first),
            Leaf("area", both("the area is known", "区域已知"), frozenset({Verdict.TRUE, Verdict.UNKNOWN})),
            Leaf("followed", both("it is followed in time", "按时出现后续事件")),
        ]
    three = rule.check != "calibration-due"
    words = {
        "sensor-count": both("fewer sensors than needed", "测点数量不足"),
        "sensor-error": both("a point beyond the largest error", "校准误差超限"),
        "calibration-due": both("no calibration in force", "校准过期或缺失"),
    }
    found = [Leaf(rule.check, words[rule.check], frozenset(Verdict) if three else TWO)]
    if rule.notice is not None:
        found.append(Leaf("notice", both("soon due", "即将到期"), TWO))
    return found


def _match_leaves(prefix: str, match: EventMatch) -> list[Leaf]:
    kind = both(f"an event {match.stream} {match.type}", f"事件 {match.stream} {match.type}")
    fields = [Leaf(f"{prefix}{name}", both(f"{name} as asked", f"{name} 符合条件")) for name in match.where]
    return [Leaf(f"{prefix}event", kind, TWO), *fields]


def moments_of(rule: RareRule, log: Sequence[LogRecord], end: int) -> Iterator[Moment]:
    """Return what the leaves were at every record of one facility, and at `end` (log time, ms)."""
    if isinstance(rule, RegisterCheckRule):
        yield from _registers(rule, log, end)
        return
    facility: Facility | None = None
    events: list[tuple[Event, int]] = []
    for record in log:
        payload = record.payload
        if isinstance(payload, RegisterRecord):
            facility = payload.facility
        elif isinstance(payload, Events) and facility is not None:
            for event in payload.events:
                events.append((event, time_of(event, record.received)))
                if isinstance(rule, CountRule):
                    yield _counted(rule, events)
                elif isinstance(rule, FollowUpRule):
                    yield _begun(rule, event, facility)
    if facility is not None and isinstance(rule, FollowUpRule):
        yield from _followed(rule, facility, events, end)


def _registers(rule: RegisterCheckRule, log: Sequence[LogRecord], end: int) -> Iterator[Moment]:
    registers = [(record.received, record.payload) for record in log if isinstance(record.payload, RegisterRecord)]
    registered: dict[str, int] = {}
    for i, (begin, payload) in enumerate(registers):
        for sensor in payload.facility.sensors:
            registered.setdefault(sensor.tag, begin)
        yield from _checked(rule, payload.facility, begin, registered)
        stop = registers[i + 1][0] - 1 if i + 1 < len(registers) else end
        yield from _passed(rule, payload.facility, begin, stop, registered)


def _asked(prefix: str, event: Event, match: EventMatch) -> tuple[list[Seen], bool]:
    same = (event.stream, event.type) == (match.stream, match.type)
    seen = [Seen(f"{prefix}event", verdict(same), f"{event.stream} {event.type}", "=", f"{match.stream} {match.type}")]
    if not same:
        return seen, False
    said = [Seen(f"{prefix}{name}", field_is(event, name, wanted), str(event.fields.get(name)), "in", str(wanted))
            for name, wanted in match.where.items()]  # fmt: skip
    return [*seen, *said], all(one.verdict is Verdict.TRUE for one in said)


def _counted(rule: CountRule, events: list[tuple[Event, int]]) -> Moment:
    event, t = events[-1]
    seen, meant = _asked("", event, rule.events)
    name = name_of(event, rule.by)
    if meant:
        seen.append(Seen("subject", Verdict.UNKNOWN if name is None else Verdict.TRUE, name, "is", rule.by))
    if meant and name is not None and rule.n > 1:
        inside = [
            other
            for other, at in events
            if t - rule.within <= at <= t and name_of(other, rule.by) == name and _asked("", other, rule.events)[1]
        ]
        number = len(inside) if rule.distinct is None else len({str(o.fields.get(rule.distinct)) for o in inside})
        seen.append(Seen("count", verdict(number >= rule.n), float(number), ">=", float(rule.n)))
    return Moment("event", t, tuple(seen))


def _begun(rule: FollowUpRule, event: Event, facility: Facility) -> Moment:
    seen, meant = _asked("first.", event, rule.first)
    if meant:
        area = area_of(event, facility)
        seen.append(Seen("area", Verdict.UNKNOWN if area is None else Verdict.TRUE, area, "is", "known"))
    return Moment("event", event.time, tuple(seen))


def _followed(rule: FollowUpRule, facility: Facility, events: list[tuple[Event, int]], end: int) -> Iterator[Moment]:
    """Return for each A whether a B followed it, as all events together say."""
    for event, t in events:
        area = area_of(event, facility)
        if not _asked("", event, rule.first)[1] or area is None:
            continue
        near = [(other, at) for other, at in events if area_of(other, facility) == area]
        answered = any(_asked("", other, rule.then)[1] and t <= at <= t + rule.within for other, at in near)
        heard = any(
            other.stream == "device" and other.type != rule.first.type and abs(at - t) <= rule.silent
            for other, at in near
        )
        said = Verdict.TRUE if answered else Verdict.FALSE if heard else Verdict.UNKNOWN
        yield Moment("end", end, (Seen("followed", said, area, "within", float(rule.within), "ms"),))


def _passed(
    rule: RegisterCheckRule, facility: Facility, begin: int, end: int, registered: dict[str, int]
) -> Iterator[Moment]:
    """Return what the leaves were when dates of the register passed, up to `end`."""
    while (begin := min((one.change for one in findings(rule, facility, begin, registered)), default=NEVER)) <= end:
        yield from _checked(rule, facility, begin, registered)


def _checked(rule: RegisterCheckRule, facility: Facility, at: int, registered: dict[str, int]) -> Iterator[Moment]:
    for one in findings(rule, facility, at, registered):
        early = rule.notice is not None and one.verdict is Verdict.TRUE and one.rank != rule.severity.base.rank
        seen = [Seen(rule.check, Verdict.FALSE if early else one.verdict, str(subject_of(one.subject)), "is", None)]
        if rule.notice is not None:
            seen.append(Seen("notice", verdict(early), str(subject_of(one.subject)), "is", None))
        yield Moment("register", at, tuple(seen))
