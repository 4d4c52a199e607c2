"""Explanations of rules over heartbeats and what devices tell of themselves, and what is kept of a subject against the alarm that stands of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rules.explainparts import Told
from rules.leaves.beats import told_of as told_of_beats
from rules.leaves.offset import beats_of
from rules.leaves.rare import come
from rules.leaves.told import ends_of
from rules.leaves.told import told_of as told_of_points
from rules.rare.beats import decided_late
from rules.rare.match import digest_of
from rules.rare.offset import judged
from rules.rare.shared import counting_of, reached
from rules.rare.store import Case
from rules.rare.store import text_of as text_of_subject
from rules.rare.told import STRANGER, is_live
from rules.rule import HEARD, SEQUENCE, TOLD, ClockRule, CountRule, RegisterCheckRule

if TYPE_CHECKING:
    from rules.leaves.model import Seen
    from rules.leaves.offset import Beat
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
    if isinstance(rule, CountRule) and rule.occasions is not None:  # it stands on for `calm`
        return Kept(may=True, must=reached(counting_of(rule, rule.occasions, case.facts), rule.occasions) is not None)
    if isinstance(rule, RegisterCheckRule | ClockRule) and rule.check in {*TOLD, SEQUENCE}:
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
