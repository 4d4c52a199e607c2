"""Kind `follow_up` of an alarm: A is that another rule raises one of a series, B an event of its area (ADR 0039).

The rule hears what the other one tells within the same record, behind the step that told it. An alarm that is raised is awaited
like an event; where its start moves it is judged anew, and where it is taken back nothing was missed. B may come before A, and may
last: an alarm on the spot that is on counts until its device says that it is off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Leaf, Verdict
from rules.facts import area_in_force
from rules.instants import format_duration, format_instant
from rules.layout import NEVER
from rules.rare import store
from rules.rare.count import bound
from rules.rare.match import applies, area_of, device_of, is_meant
from rules.rare.speak import Now, settle
from rules.rare.store import Fact, Heard, subject_of, text_of
from rules.records import Kind

if TYPE_CHECKING:
    from rules.changes import Change
    from rules.emission import Emitter
    from rules.rare.store import Case, Rare
    from rules.records import Event
    from rules.register import Facility
    from rules.rule import FollowUpRule

KEPT_MS = 10 * 86_400_000
"""An alarm of a series may move or be taken back for so long (the horizon's bound): it is kept, whatever became of it."""
ON, OFF = "+", "-"


def hear(rule: FollowUpRule, change: Change, emitter: Emitter) -> None:
    """Take what the other rule told of one of its alarms; colours, ends and what is unknown of it change nothing here."""
    read = [record for record in change.evidence.records if record.kind != Kind.REGISTER]
    now = Now(change.at, change.received, read)
    subject = text_of(change.subject)
    if change.change is ChangeKind.RAISED:
        begin(rule, change, subject, emitter)
        return
    case = emitter.state.rare.of(rule.id).get(subject)
    fact = None if case is None else next((one for one in case.facts if one.digest == change.alarm), None)
    if case is None or fact is None:
        return
    cases = emitter.state.rare.cases[rule.id]
    if change.change is ChangeKind.RETRACTED:
        cases.keep(case, [one for one in case.facts if one is not fact])
    elif change.change is ChangeKind.AMENDED and fact.t != change.start:
        _move(rule, fact, change, emitter)
        cases.keep(case, _sorted(case.facts))
    else:
        return
    _again(rule, subject, case, now, emitter)


def begin(rule: FollowUpRule, change: Change, subject: str, emitter: Emitter) -> None:
    """Begin to wait for what should follow an alarm that is raised."""
    plan, rare = emitter.state.planned, emitter.state.rare
    area = plan.points.area_of(change.subject, change.start)
    if area is None or not applies(rule, plan.facility, area, change.start):
        return
    case = rare.case(rule.id, subject, store.MAX_CHECKED)
    if case is None:
        return
    came = change.received if change.late else change.start
    due = max(change.start + rule.time + plan.facility.delivery, change.received)
    new = Fact(change.start, came, change.alarm, "", area, due=due)
    kept = [f for f in case.facts if f.counts or f.due != NEVER or not _is_settled(rule, f, change.received)]
    rare.cases[rule.id].keep(case, _sorted([*kept, new]))
    bound(rule.id, case, emitter)
    _due(case)


def _is_settled(rule: FollowUpRule, fact: Fact, received: int) -> bool:
    """Say whether nothing can move an alarm any more, and no event that comes now can be its B."""
    return received > fact.t + max(rule.allowed, KEPT_MS)


def _move(rule: FollowUpRule, fact: Fact, change: Change, emitter: Emitter) -> None:
    """Let an alarm have another start: it is judged at once if its time is over and it had been, else when that is so."""
    due = change.start + rule.time + emitter.state.planned.facility.delivery
    fact.t = change.start
    if fact.due == NEVER and due <= change.received:
        fact.counts = _is_missed(rule, fact, emitter.state.rare)
    else:
        fact.counts, fact.due = False, max(due, change.received)


def meet(rule: FollowUpRule, event: Event, now: Now, facility: Facility, emitter: Emitter) -> None:
    """Fold one event: it may be a B, the end of one, or a sign that the area's devices can be heard."""
    area = area_of(event, facility)
    if area is None or area_in_force(facility, area, now.at) is None:
        return
    rare, device = emitter.state.rare, event.stream == "device"
    on = is_meant(event, rule.awaits) is Verdict.TRUE
    off = rule.lasts_until is not None and is_meant(event, rule.lasts_until) is Verdict.TRUE
    if device:
        rare.heard(rule.id, area).hear(now.at, rule.silent)
    if on or off:
        note(rule, area, (ON if on else OFF) + device_of(event), now.at, rare)
    if not (device or on or off):
        return
    for subject, case in rare.of(rule.id).with_text(area):
        moved = False
        for fact in case.facts:
            asked = on or not fact.counts  # only a B makes undone what was missed
            if asked and fact.text == area and fact.due == NEVER and now.received <= fact.t + rule.allowed:
                was, fact.counts = fact.counts, _is_missed(rule, fact, rare)
                moved = moved or fact.counts != was
        if moved:
            _again(rule, subject, case, now, emitter)


def fire(rule: FollowUpRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """Decide what is due."""
    for fact in case.facts:
        if fact.due <= now.received:
            fact.due, fact.counts = NEVER, _is_missed(rule, fact, emitter.state.rare)
    _again(rule, subject, case, now, emitter)


def note(rule: FollowUpRule, area: str, sign: str, t: int, rare: Rare) -> None:
    """Keep when a device of an area began or ended a B, within the bounds of an area."""
    key = (rule.id, f"{area} {sign}")
    own = rare.areas.signs(rule.id, area)
    if key not in rare.areas and len(own) >= store.MAX_RUNS:
        oldest = min(own, key=lambda one: (rare.areas[rule.id, one].partners[-1], one))
        del rare.areas[rule.id, oldest]
        rare.counts["partner_dropped"] += 1
    times = rare.heard(*key)
    times.partners = sorted({*times.partners, t})
    if len(times.partners) > store.MAX_PARTNERS:
        del times.partners[0]
        rare.counts["partner_dropped"] += 1


def area_in(key: str) -> str:
    """Return the area in the second part of a key of `Rare.areas`: an area, or one with what a device did there."""
    return key.split(" ", 1)[0]


def lasted(begins: list[int], ends: list[int], low: int, high: int) -> bool:
    """Say whether something that began at any of `begins` lasted at an instant of [low, high]; it ends with the next of `ends`.

    >>> lasted([10], [], 50, 60), lasted([10], [49], 50, 60), lasted([10], [50], 50, 60), lasted([61], [], 50, 60)
    (True, False, True, False)
    """
    return any(t <= high and min((end for end in ends if end >= t), default=high) >= low for t in begins)


def _is_missed(rule: FollowUpRule, fact: Fact, rare: Rare) -> bool:
    """Say whether no B was there for an alarm although the area's devices could be heard."""
    low, high = fact.t - (rule.within_before or 0), fact.t + rule.time
    for key in rare.areas.signs(rule.id, fact.text):
        area, on, device = key.partition(f" {ON}")
        if not on:
            continue
        times = rare.areas[rule.id, key].partners
        ends = rare.areas.get((rule.id, f"{area} {OFF}{device}"), Heard()).partners
        if lasted(times, times if rule.lasts_until is None else ends, low, high):
            return False
    return rare.areas.get((rule.id, fact.text), Heard()).was_heard(fact.t, rule.silent)


def _again(rule: FollowUpRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    emitter.state.rare.of(rule.id).busy = False
    _due(case)
    missed = next((fact for fact in case.facts if fact.counts), None)
    name = " ".join(subject_of(subject).values())
    leaves = [
        Leaf(
            expr=f"{rule.awaits.stream} {rule.awaits.type} at {rule.alarm} of {name}", left=0.0 if missed else None, op="within",
            right=format_duration(rule.time), verdict=Verdict.FALSE if missed else Verdict.TRUE,
        )
    ]  # fmt: skip
    if missed is not None:
        since = format_instant(missed.t)
        leaves.append(
            Leaf(expr=f"{rule.alarm} of {name}", left=missed.digest, op="since", right=since, verdict=Verdict.TRUE)
        )
    settle(rule, subject, case, leaves, now, emitter)


def _sorted(facts: list[Fact]) -> list[Fact]:
    return sorted(facts, key=lambda fact: (fact.t, fact.digest))


def _due(case: Case) -> None:
    case.due = min((fact.due for fact in case.facts), default=NEVER)
