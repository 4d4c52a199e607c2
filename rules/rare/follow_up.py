"""Kind `follow_up`: an event A that no event B of its area follows in time; a B that comes late takes the alarm back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import Leaf, Verdict
from rules.facts import area_in_force
from rules.instants import format_duration
from rules.layout import NEVER
from rules.rare.count import bound
from rules.rare.match import applies, area_of, device_of, digest_of, is_meant
from rules.rare.speak import Now, settle
from rules.rare.store import MAX_PARTNERS, Fact, Heard, subject_of, text_of

if TYPE_CHECKING:
    from rules.emission import Emitter
    from rules.rare.store import Case, Cases
    from rules.records import Event
    from rules.register import Facility
    from rules.rule import FollowUpRule


def meet(rule: FollowUpRule, event: Event, batch: str, now: Now, facility: Facility, emitter: Emitter) -> None:
    """Fold one event: it may be an A, a B, or a sign that the area's devices can be heard."""
    area = area_of(event, facility)
    if area is None or area_in_force(facility, area, now.at) is None or not applies(rule, facility, area, now.at):
        return
    rare = emitter.state.rare
    first, then = is_meant(event, rule.begins), is_meant(event, rule.awaits)
    device = (event.stream, event.type) != (rule.begins.stream, rule.begins.type) and event.stream == "device"
    if not device and first is not Verdict.TRUE and then is not Verdict.TRUE:
        return
    heard = rare.heard(rule.id, area)
    if device:
        heard.hear(now.at, rule.silent)
    if then is Verdict.TRUE:
        heard.partners = sorted({*heard.partners, now.at})
        if len(heard.partners) > MAX_PARTNERS:
            del heard.partners[0]
            rare.counts["partner_dropped"] += 1
    if first is Verdict.TRUE:
        _begin(rule, event, area, batch, now, facility, heard, emitter)
    if not device and then is not Verdict.TRUE:
        return
    prefix = text_of({"area": area})[:-1] + ","  # of the texts of all its subjects, which name area and device
    cases = rare.of(rule.id)
    for subject in sorted(key for key in cases if key.startswith(prefix)):
        case = cases[subject]
        met = then is Verdict.TRUE and _answered(rule, cases, case, now)
        came = device and _heard(rule, cases, case, heard, now)
        if met or came:
            _again(rule, subject, case, now, emitter)


def fire(rule: FollowUpRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """Decide what is due: A is missed if its area could be heard, else unknown until it can."""
    heard = emitter.state.rare.areas.get((rule.id, subject_of(subject).get("area", "")), Heard())
    for fact in case.facts:
        if fact.due <= now.received:
            fact.due = NEVER
            fact.counts = heard.was_heard(fact.t, rule.silent)
    _again(rule, subject, case, now, emitter)


def _begin(
    rule: FollowUpRule, event: Event, area: str, batch: str, now: Now, facility: Facility, heard: Heard, emitter: Emitter
) -> None:  # fmt: skip
    rare = emitter.state.rare
    case = rare.case(rule.id, text_of({"area": area, "device": device_of(event)}))
    if case is None:
        return
    digest = digest_of(event)
    if case.knows(digest):
        rare.counts["event_duplicate"] += 1
        return
    if any(now.at <= t <= now.at + rule.time for t in heard.partners):
        case.remember(digest)
        return
    due = max(now.at + rule.time + facility.delivery, now.received)
    new = Fact(now.at, now.received, digest, batch, due=due)
    rare.cases[rule.id].keep(case, sorted([*case.facts, new], key=lambda fact: (fact.t, fact.digest)))
    bound(rule.id, case, emitter)
    _due(case)


def _answered(rule: FollowUpRule, cases: Cases, case: Case, now: Now) -> bool:
    """Drop every A that the B of `now` answers, if it came in the time that is allowed; returns whether there was one."""
    met = [f for f in case.facts if f.t <= now.at <= f.t + rule.time and now.received <= f.t + rule.allowed]
    for fact in met:
        case.remember(fact.digest)
    if met:
        cases.keep(case, [fact for fact in case.facts if fact not in met])
    return bool(met)


def _heard(rule: FollowUpRule, cases: Cases, case: Case, heard: Heard, now: Now) -> bool:
    """Decide every A that was unknown and can be judged now; what stays unknown longer than is allowed is dropped."""
    came = False
    for fact in case.facts:
        if fact.due == NEVER and not fact.counts and now.received <= fact.t + rule.allowed:
            fact.counts = heard.was_heard(fact.t, rule.silent)
            came = came or fact.counts
    gone = [f for f in case.facts if f.due == NEVER and not f.counts and now.received > f.t + rule.allowed]
    for fact in gone:
        case.remember(fact.digest)
    if gone:
        cases.keep(case, [fact for fact in case.facts if fact not in gone])
    return came


def _again(rule: FollowUpRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    emitter.state.rare.of(rule.id).busy = False
    _due(case)
    missed = any(fact.counts for fact in case.facts)
    leaf = Leaf(
        expr=f"{rule.awaits.stream} {rule.awaits.type} after {rule.begins.type}", left=0.0 if missed else None, op="within",
        right=format_duration(rule.time), verdict=Verdict.FALSE if missed else Verdict.TRUE,
    )  # fmt: skip
    settle(rule, subject, case, [leaf], now, emitter)


def _due(case: Case) -> None:
    case.due = min((fact.due for fact in case.facts), default=NEVER)
