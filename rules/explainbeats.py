"""Explanations of rules over heartbeats and what devices tell of themselves, and what is kept of a subject against the alarm that stands of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rules.changes import Verdict
from rules.explainparts import Told
from rules.layout import NEVER
from rules.leaves.approval import changes_of, settled_of
from rules.leaves.beats import told_of as told_of_beats
from rules.leaves.followed import judged as judged_alarm
from rules.leaves.followed import seen_of
from rules.leaves.offset import beats_of
from rules.leaves.rare import come
from rules.leaves.results import seen_of as seen_of_results
from rules.leaves.told import ends_of
from rules.leaves.told import told_of as told_of_points
from rules.rare.approval import ALARM
from rules.rare.beats import decided_late
from rules.rare.match import digest_of
from rules.rare.offset import judged
from rules.rare.openings import counted_of
from rules.rare.shared import counting_of, reached
from rules.rare.store import Case
from rules.rare.store import text_of as text_of_subject
from rules.rare.told import STRANGER, is_live
from rules.rule import HEARD, SEQUENCE, TOLD, UNKNOWN_TAG, ClockRule, CountRule, FollowUpRule, RegisterCheckRule

if TYPE_CHECKING:
    from rules.alarms import Alarm
    from rules.leaves.model import Seen
    from rules.leaves.offset import Beat
    from rules.rare.store import Fact
    from rules.rare.told import Word
    from rules.records import LogRecord
    from rules.register import Facility
    from rules.rule import RareRule
    from rules.state import FacilityState


@dataclass(frozen=True, slots=True)
class Kept:
    """Whether an alarm may stand, and whether one has to, by what is kept of a subject."""

    may: bool
    must: bool

    def agrees(self, stands: bool) -> bool:  # noqa: FBT001 - the one operand
        """Say whether an alarm that stands, or none, is what the books say."""
        return self.may if stands else not self.must


def kept_of(rule: RareRule, case: Case, facility: Facility, at: int) -> Kept | None:
    """Return what is kept of a subject says at a log time (ms); None of rules whose events say it themselves."""
    if isinstance(rule, CountRule | FollowUpRule) and not getattr(rule, "before", None):
        return _kept_of_events(rule, case)
    told = isinstance(rule, RegisterCheckRule | ClockRule) and rule.check in {*TOLD, SEQUENCE, UNKNOWN_TAG}
    if told or isinstance(rule, FollowUpRule):
        stands = any(fact.counts for fact in case.facts)
        return Kept(may=stands, must=stands)
    if not isinstance(rule, ClockRule) or rule.check not in HEARD:
        return None
    if rule.check == "heartbeat":
        late = decided_late(rule, case, facility, at)
        return Kept(may=late is not False, must=late is True)
    if not case.facts:
        return Kept(may=False, must=False)
    said = judged(rule, case.facts)
    return Kept(may=not said.calm, must=said.holds)


def _kept_of_events(rule: CountRule | FollowUpRule, case: Case) -> Kept | None:
    if isinstance(rule, CountRule) and rule.occasions is not None:  # it stands on for `calm`
        return Kept(may=True, must=reached(counting_of(rule, rule.occasions, case.facts), rule.occasions) is not None)
    if isinstance(rule, FollowUpRule) and rule.trace is not None:
        absent, whole = counted_of(rule.trace, case.facts)
        return Kept(may=not whole or absent > rule.trace.clear, must=whole and absent >= rule.trace.absent)
    return None


def heartbeats_of(
    rule: ClockRule, log: list[LogRecord], state: FacilityState, at: int
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    """Return what became of heartbeats, and the leaves behind the newest, by subject."""
    if rule.check == "heartbeat":
        return _of_systems(rule, log, at)
    return _of_devices(rule, beats_of(rule, come(log)), state)


def told_by_devices(
    rule: RegisterCheckRule, log: list[LogRecord], state: FacilityState, at: int
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    """Return what became of what devices told of themselves, and the leaves of the newest, by subject."""
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    events = told_of_points(rule, come(log))
    for one in events:
        word, event = one.word, one.come.event
        if word is None:
            continue
        said: dict[str, Any] = {"stream": event.stream, "type": event.type, "source": event.source, "tells": word.text}
        new = Told(one.come.t, one.come.received, one.come.batch, "again" if not one.come.new else "heard", said)
        if one.come.new and word.sign == STRANGER and one.registered is None:
            new.fate = "not kept"
        if one.come.new and one.strange:
            _strange(rule, new, word, state)
        found.setdefault(word.subject, []).append(new)
        leaves.setdefault(word.subject, {}).update((seen.name, seen) for seen in one.moment.leaves)
    for subject, moment in ends_of(rule, events, state.planned.facility, at):
        leaves[subject].update((seen.name, seen) for seen in moment.leaves)
    return found, leaves


def changed_settings(
    rule: FollowUpRule, log: list[LogRecord], state: FacilityState, at: int
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    """Return what became of changes of settings, and the leaves of the newest, by subject."""
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    known: set[str] = set()
    changes = changes_of(rule, come(log))
    for one in changes:
        event, digest = one.come.event, digest_of(one.come.event)
        if one.asset is None:
            continue
        name = text_of_subject({"asset": one.asset})
        said: dict[str, Any] = {"stream": event.stream, "type": event.type, "source": event.source}
        said |= {change.setting: repr(change.value) for change in one.changes if change.setting != ALARM}
        new = Told(one.come.t, one.come.received, one.come.batch, "heard", said)
        kept = {fact.digest for fact in state.rare.of(rule.id).get(name, Case()).facts if fact.counts}
        if not one.come.new or digest in known:
            new.fate = "again"
        elif digest in kept:
            new.fate = "occasion"
        elif one.beyond:
            new.fate = "done"
        elif not one.registered:
            new.fate = "not kept"
        known.add(digest)
        found.setdefault(name, []).append(new)
        leaves.setdefault(name, {}).update((seen.name, seen) for seen in one.moment.leaves)
    for name, moment in settled_of(rule, changes, state.planned.facility, at):
        leaves[name].update((seen.name, seen) for seen in moment.leaves)
    return found, leaves


def followed_alarms(
    rule: FollowUpRule, alarms: list[Alarm], log: list[LogRecord], state: FacilityState, at: int
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    """Return what became of the alarms that a rule follows up, and the leaves of the newest, by subject."""
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    events, facility = come(log), state.planned.facility
    for alarm in alarms:
        name = text_of_subject(alarm.subject)
        case = state.rare.of(rule.id).get(name, Case())
        fact = next((fact for fact in case.facts if fact.digest == alarm.alarm), None)
        if rule.result is None:
            said = judged_alarm(rule, alarm, events, facility, at)
            seen = seen_of(rule, alarm, said)
        else:
            said, seen = Verdict.TRUE, seen_of_results(rule, rule.result, alarm, events, facility, at)
        event: dict[str, Any] = {"stream": "alarm", "type": alarm.rule, "alarm": alarm.alarm, "status": alarm.status}
        told = Told(alarm.start, alarm.start, "-", "not kept", event, alarm.start + rule.time)
        if fact is not None:
            _of_fact(told, fact, answered=said is Verdict.TRUE)
        elif alarm.alarm in case.seen:
            told.fate = "done"
        found.setdefault(name, []).append(told)
        leaves.setdefault(name, {}).update((one.name, one) for one in seen)
    known = {alarm.alarm for alarm in alarms}
    for name, case in state.rare.of(rule.id).items():
        for fact in case.facts:
            if fact.digest not in known:  # it came before the log, with a saved state
                event = {"stream": "alarm", "type": rule.alarm, "alarm": fact.digest}
                told = Told(fact.t, fact.t, "-", "not kept", event, fact.t + rule.time)
                _of_fact(told, fact, answered=True)
                found.setdefault(name, []).insert(0, told)
    return found, leaves


def _of_fact(told: Told, fact: Fact, *, answered: bool) -> None:
    """Say what became of an alarm that is kept, by the engine's books."""
    told.fate = "occasion" if fact.counts else "answered" if answered else "unheard"
    if fact.due != NEVER:
        told.fate, told.decided = "awaited", fact.due


def _strange(rule: RegisterCheckRule, new: Told, word: Word, state: FacilityState) -> None:
    """Say what became of an event that told what is not registered, by the engine's books."""
    facts = state.rare.of(rule.id).get(word.subject, Case()).facts
    span = next((fact for fact in facts if fact.text == STRANGER + word.text), None)
    if span is None:
        new.fate = "not kept"
    elif span.counts and span.t <= new.t:
        new.fate = "occasion"
    elif is_live(span) and span.t <= new.t:
        new.fate, new.until, new.decided = "awaited", span.t + (rule.within or 0), span.due
    else:
        new.fate = "done"


def _of_systems(
    rule: ClockRule, log: list[LogRecord], at: int
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    """Return what became of audit heartbeats, and the leaves at the end, by system."""
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    for one in told_of_beats(rule, log, at):
        if one.subject is None:
            continue
        leaves.setdefault(one.subject, {}).update((seen.name, seen) for seen in one.moment.leaves)
        if one.event is not None:
            said: dict[str, Any] = {"stream": "audit", "type": "heartbeat", "source": one.event.source}
            found.setdefault(one.subject, []).append(Told(one.moment.at, one.received, one.batch, one.fate, said))
    return found, leaves


def _of_devices(
    rule: ClockRule, beats: list[Beat], state: FacilityState
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    """Return what became of heartbeats, and the leaves behind the newest, by subject."""
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    for beat in beats:
        name, one = text_of_subject({"device": beat.device}), beat.come
        kept = any(fact.digest == digest_of(one.event) for fact in state.rare.of(rule.id).get(name, Case()).facts)
        said: dict[str, Any] = {"stream": "device", "type": "heartbeat", "source": one.event.source}
        said["device_time"] = one.event.fields.get("device_time")
        fate = "again" if beat.again else "heard" if kept else "not kept"
        found.setdefault(name, []).append(Told(one.t, one.received, one.batch, fate, said))
        leaves[name] = {seen.name: seen for seen in beat.moment.leaves}
    return found, leaves
