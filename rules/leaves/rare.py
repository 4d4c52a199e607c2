"""Leaves of rules over rare records: plainly evaluated beside the engine, event by event, or register by register."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.batches import Batches
from rules.batches import Seen as BatchSeen
from rules.changes import Verdict
from rules.facts import area_in_force
from rules.layout import NEVER
from rules.leaves import (
    approval,
    beats,
    copies,
    excursions,
    followed,
    lacking,
    ledger,
    oddrows,
    offset,
    ofposts,
    openings,
    results,
    sequence,
    shared,
    shares,
    strays,
    told,
)
from rules.leaves.model import TWO, Leaf, Moment, Seen, both, verdict
from rules.leaves.ofposts import PostedRule
from rules.rare.match import (
    applies,
    area_of,
    device_of,
    digest_of,
    digest_of_batch,
    field_is,
    is_meant,
    name_of,
    time_of,
)
from rules.rare.register_check import findings
from rules.rare.store import text_of
from rules.records import Events, RegisterRecord
from rules.rule import (
    HEARD,
    INCOMPLETE,
    SEQUENCE,
    TOLD,
    UNKNOWN_TAG,
    ClockRule,
    CompletenessRule,
    CountRule,
    FollowUpRule,
    GradeRule,
    LatenessRule,
    LedgerRule,
    RegisterCheckRule,
    RepeatDayRule,
    ReportRule,
    RevisionRule,
    RowRule,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rules.rare.register_check import Finding
    from rules.rareparts import EventMatch
    from rules.records import Event, LogRecord
    from rules.register import Facility
    from rules.rule import RareRule


def leaves_of(rule: RareRule) -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    if isinstance(rule, RowRule):
        return _clock_leaves(rule)
    if isinstance(rule, CountRule):
        count = [Leaf("count", both(f"at least {rule.n}", f"至少 {rule.n} 次"), TWO)] if rule.n > 1 else []
        named = both(f"{rule.by} is named", f"有 {rule.by}")
        subject = [Leaf("subject", named, frozenset({Verdict.TRUE, Verdict.UNKNOWN}))] if rule.by != "system" else []
        if rule.occasions is not None:
            return [*_match_leaves("", rule.events), *subject, *shared.leaves_of(rule, rule.occasions)]
        return [*_match_leaves("", rule.events), *subject, *count]
    if isinstance(rule, FollowUpRule | CompletenessRule):
        return _follow_up_leaves(rule) if isinstance(rule, FollowUpRule) else shares.leaves_of(rule)
    if isinstance(rule, PostedRule | LedgerRule | GradeRule):
        return ofposts.leaves_of(rule) if isinstance(rule, PostedRule) else ledger.leaves_of(rule)
    return copies.leaves_of(rule) if isinstance(rule, RepeatDayRule) else _check_leaves(rule)


def _follow_up_leaves(rule: FollowUpRule) -> list[Leaf]:
    if rule.excursions is not None:
        return excursions.leaves_of(rule)
    if rule.before:
        return approval.leaves_of(rule)
    if rule.alarm:
        return followed.leaves_of(rule) if rule.result is None else results.leaves_of(rule, rule.result)
    if rule.trace:
        return [*_match_leaves("first.", rule.begins), *openings.leaves_of(rule, rule.trace)]
    return [
        *_match_leaves("first.", rule.begins),
        Leaf("area", both("the area is known", "区域已知"), frozenset({Verdict.TRUE, Verdict.UNKNOWN})),
        Leaf("followed", both("it is followed in time", "按时出现后续事件")),
    ]


def _check_leaves(rule: RegisterCheckRule) -> list[Leaf]:
    if rule.check in TOLD:
        return told.leaves_of(rule)
    if rule.check in {UNKNOWN_TAG, INCOMPLETE}:
        return strays.leaves_of(rule) if rule.check == UNKNOWN_TAG else lacking.leaves_of()
    three = rule.check != "calibration-due"
    words = {
        "sensor-count": both("fewer sensors than needed", "测点数量不足"),
        "sensor-error": both("a point beyond the largest error", "校准误差超限"),
        "calibration-due": both("a calibration is due, overdue or missing", "校准即将到期、已过期或缺失"),
    }
    found = [Leaf(rule.check, words[rule.check], frozenset(Verdict) if three else TWO)]
    if rule.notice is not None:
        found.append(Leaf("notice", both("soon due", "即将到期"), TWO))
    return found


def _clock_leaves(rule: RowRule) -> list[Leaf]:
    if isinstance(rule, ClockRule) and rule.check == SEQUENCE:
        return sequence.leaves_of(rule)
    if isinstance(rule, ClockRule) and rule.check in HEARD:
        return beats.leaves_of(rule) if rule.check == "heartbeat" else offset.leaves_of(rule)
    return oddrows.leaves_of(rule)


def _match_leaves(prefix: str, match: EventMatch) -> list[Leaf]:
    kind = both(f"an event {match.stream} {match.type}", f"事件 {match.stream} {match.type}")
    fields = [Leaf(f"{prefix}{name}", both(f"{name} as asked", f"{name} 符合条件")) for name in match.where]
    return [Leaf(f"{prefix}event", kind, TWO), *fields]


@dataclass(frozen=True, slots=True)
class Come:
    """An event as it came: what counts as its event time and when it was received (both ms), its batch, and where it belongs."""

    event: Event
    t: int
    received: int
    batch: str
    area: str | None
    new: bool = True
    """Its batch had not come before."""


def come(log: Iterable[LogRecord]) -> list[tuple[Come, Facility]]:
    """Return the events of a facility's log with the register in force when they came; those before any are left out."""
    facility: Facility | None = None
    version, batches, found = -1, Batches(), []
    for record in log:
        payload = record.payload
        if isinstance(payload, RegisterRecord) and payload.version > version:
            version, facility = payload.version, payload.facility
        elif isinstance(payload, Events) and facility is not None:
            seen = batches.meet_digest(payload.batch, digest_of_batch(payload), record.received)
            for event in payload.events:
                area, t = area_of(event, facility), time_of(event, record.received)
                one = Come(event, t, record.received, payload.batch, area, seen is BatchSeen.NEW)
                found.append((one, facility))
    return found


def moments_of(rule: RareRule, log: Sequence[LogRecord], end: int) -> Iterator[Moment]:
    """Return what the leaves were at every record of one facility, and at `end` (log time, ms); rows: `rules.leaves.rowtrace`.

    Of a rule that follows up alarms: `rules.leaves.followed`.
    """
    if isinstance(rule, LatenessRule | RevisionRule | ReportRule):
        yield from ofposts.moments_of(rule, log, end)
        return
    if isinstance(rule, RegisterCheckRule):
        yield from _of_check(rule, log, end)
        return
    if isinstance(rule, ClockRule) and rule.check == "offset":
        yield from (beat.moment for beat in offset.beats_of(rule, come(log)))
        return
    if isinstance(rule, ClockRule) and rule.check == SEQUENCE:
        yield from (told.moment for told in sequence.told_of(rule, log, end))
        return
    if isinstance(rule, ClockRule) and rule.check == "heartbeat":
        yield from (told.moment for told in beats.told_of(rule, log, end))
    if isinstance(rule, FollowUpRule) and rule.before:
        yield from _approved(rule, log, end)
    elif isinstance(rule, CountRule | FollowUpRule):
        for _, moment in told_of(rule, come(log), end):
            yield moment


def told_of(
    rule: CountRule | FollowUpRule, events: list[tuple[Come, Facility]], end: int
) -> Iterator[tuple[str | None, Moment]]:
    """Return the leaves at every event, with the subject (None: it is about none), and at `end` whether A was followed."""
    new = [(one, facility) for one, facility in events if one.new]
    if isinstance(rule, CountRule) and rule.occasions is not None:
        yield from _occasions(rule, [one for one, _ in new], end)
        return
    for i, (one, facility) in enumerate(new):
        if isinstance(rule, CountRule):
            yield subject_of_event(rule, one), _counted(rule, [other for other, _ in new[: i + 1]])
        else:
            yield subject_of_event(rule, one), _begun(rule, one, facility)
    if isinstance(rule, FollowUpRule):
        ours = [(one, facility) for one, facility in new if looks_at(rule, one, facility)]
        met: set[tuple[str, str]] = set()
        for one, facility in ours:
            subject, due = subject_of_event(rule, one), max(one.t + rule.time + facility.delivery, one.received)
            others = [other for other, _ in ours]
            if subject is None or (subject, digest_of(one.event)) in met:
                continue  # what comes again in another batch is no other occasion, also where the future had cut its time
            met.add((subject, digest_of(one.event)))
            if due <= end or answer_of(rule, one, others) is not None:
                yield subject, _followed(rule, one, others, due, end)


def subject_of_event(rule: CountRule | FollowUpRule, one: Come) -> str | None:
    """Return the subject of an event that a rule counts or begins with, None of others."""
    if not _asked("", one.event, rule.events if isinstance(rule, CountRule) else rule.begins)[1]:
        return None
    if isinstance(rule, CountRule):
        name = name_of(one.event, rule.by)
        return None if name is None else text_of({rule.by: name})
    return None if one.area is None else text_of({"area": one.area, "device": device_of(one.event)})


def first_of(rule: FollowUpRule, one: Come) -> list[Seen]:
    """Return the leaves that say whether an event is one that begins what a rule waits behind."""
    return _asked("first.", one.event, rule.begins)[0]


def looks_at(rule: CountRule | FollowUpRule, one: Come, facility: Facility) -> bool:
    """Say whether a rule looks at the place of an event; one that waits for another event needs to know its area."""
    known = one.area is not None and area_in_force(facility, one.area, one.t) is not None
    return (known or isinstance(rule, CountRule)) and applies(rule, facility, one.area, one.t)


def answer_of(rule: FollowUpRule, begun: Come, events: Iterable[Come]) -> Come | None:
    """Return the first B that an A should have had: it had come before A, or comes within the time that is allowed."""
    before = True
    for other in events:
        before = before and other is not begun
        if (
            other.area == begun.area
            and begun.t <= other.t <= begun.t + rule.time
            and (before or other.received <= begun.t + rule.allowed)
            and is_meant(other.event, rule.awaits) is Verdict.TRUE
        ):
            return other
    return None


def _of_check(rule: RegisterCheckRule, log: Sequence[LogRecord], end: int) -> Iterator[Moment]:
    if rule.check == UNKNOWN_TAG:
        yield from strays.moments_of(rule, log, end)
    else:
        yield from _told(rule, log, end) if rule.check in TOLD else _registers(rule, log, end)


def _told(rule: RegisterCheckRule, log: Sequence[LogRecord], end: int) -> Iterator[Moment]:
    found = told.told_of(rule, come(log))
    yield from (one.moment for one in found)
    registers = [record.payload for record in log if isinstance(record.payload, RegisterRecord)]
    newest = max(registers, key=lambda one: one.version)
    yield from (moment for _, moment in told.ends_of(rule, found, newest.facility, end))


def _approved(rule: FollowUpRule, log: Sequence[LogRecord], end: int) -> Iterator[Moment]:
    found = approval.changes_of(rule, come(log))
    yield from (one.moment for one in found)
    registers = [record.payload for record in log if isinstance(record.payload, RegisterRecord)]
    newest = max(registers, key=lambda one: one.version)
    yield from (moment for _, moment in approval.settled_of(rule, found, newest.facility, end))


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


def _counted(rule: CountRule, events: list[Come]) -> Moment:
    one = events[-1]
    seen, meant = _asked("", one.event, rule.events)
    name = name_of(one.event, rule.by)
    if meant:
        seen.append(Seen("subject", Verdict.UNKNOWN if name is None else Verdict.TRUE, name, "is", rule.by))
    if meant and name is not None and rule.n > 1 and rule.occasions is None:
        inside = [
            other.event
            for other in events
            if one.t - rule.within <= other.t <= one.t
            and name_of(other.event, rule.by) == name
            and _asked("", other.event, rule.events)[1]
        ]
        number = len(inside) if rule.distinct is None else len({str(o.fields.get(rule.distinct)) for o in inside})
        seen.append(Seen("count", verdict(number >= rule.n), float(number), ">=", float(rule.n)))
    return Moment("event", one.t, tuple(seen))


def _occasions(rule: CountRule, events: list[Come], end: int) -> Iterator[tuple[str | None, Moment]]:
    """Return the leaves of a rule that counts occasions: the subject and its text, and what the spans of the subject say."""
    logins: dict[str, shared.Login] = {}
    for one in events:
        moment, name = _counted(rule, [one]), subject_of_event(rule, one)
        if name is None:
            yield None, moment
            continue
        login = logins.setdefault(name, shared.Login(rule))
        yield name, Moment(moment.by, moment.at, (*moment.leaves, *login.take(one)))
    for name, login in logins.items():
        yield name, Moment("end", end, tuple(login.calm(end)))


def _begun(rule: FollowUpRule, one: Come, facility: Facility) -> Moment:
    seen, meant = _asked("first.", one.event, rule.begins)
    if meant:
        known = one.area is not None and area_in_force(facility, one.area, one.t) is not None
        seen.append(Seen("area", Verdict.TRUE if known else Verdict.UNKNOWN, one.area, "is", "known"))
    return Moment("event", one.t, tuple(seen))


def _followed(rule: FollowUpRule, begun: Come, events: list[Come], due: int, end: int) -> Moment:
    """Return whether a B followed an A, as all events together say."""
    answered = answer_of(rule, begun, events) is not None
    heard = any(
        other.area == begun.area
        and other.event.stream == "device"
        and other.event.type != rule.begins.type
        and abs(other.t - begun.t) <= rule.silent
        and other.received <= max(due, begun.t + rule.allowed)
        for other in events
    )
    said = Verdict.TRUE if answered else Verdict.FALSE if heard else Verdict.UNKNOWN
    return Moment("end", end, (Seen("followed", said, begun.area, "within", float(rule.time), "ms"),))


def _passed(
    rule: RegisterCheckRule, facility: Facility, begin: int, end: int, registered: dict[str, int]
) -> Iterator[Moment]:
    """Return what the leaves were when dates of the register passed, up to `end`."""
    while (begin := min((one.change for one in findings(rule, facility, begin, registered)), default=NEVER)) <= end:
        yield from _checked(rule, facility, begin, registered)


def _checked(rule: RegisterCheckRule, facility: Facility, at: int, registered: dict[str, int]) -> Iterator[Moment]:
    for one in findings(rule, facility, at, registered):
        yield Moment("register", at, tuple(seen_of(rule, one)))


def seen_of(rule: RegisterCheckRule, one: Finding) -> list[Seen]:
    """Return the leaves of what a check found of one subject, with the operands that it compared."""
    early = rule.notice is not None and one.verdict is Verdict.TRUE and one.rank != rule.severity.base.rank
    said = one.leaf
    found = [Seen(rule.check, Verdict.FALSE if early else one.verdict, said.left, said.op, said.right, said.unit)]
    if rule.notice is not None:
        found.append(Seen("notice", verdict(early), said.left, said.op, said.right, said.unit))
    return found
