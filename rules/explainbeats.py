"""Explanations of rules over heartbeats, and what is kept of a subject against the alarm that stands of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rules.explainparts import Told
from rules.leaves.beats import told_of as told_of_beats
from rules.leaves.offset import beats_of
from rules.leaves.rare import come
from rules.rare.beats import decided_late
from rules.rare.match import digest_of
from rules.rare.offset import judged
from rules.rare.shared import counting_of, reached
from rules.rare.store import Case
from rules.rare.store import text_of as text_of_subject
from rules.rule import HEARD, ClockRule, CountRule

if TYPE_CHECKING:
    from rules.leaves.model import Seen
    from rules.leaves.offset import Beat
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
