"""Kind `grade`: so many strong alarms of a facility within a time that its risk grade is to be looked at (ADR 0071).

It hears what other rules tell, behind the step that told it. Alarms of one place that overlap in time are one. It stands until an officer signs
or refuses the step; what had been counted is done with then. What is taken back, suppressed or closed as no breach counts no more.
"""

from __future__ import annotations

import json
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from rules.changes import ChangeKind, Leaf, RecordRead, Verdict
from rules.layout import NEVER, NONE
from rules.leaves.model import Seen, verdict
from rules.models import Severity
from rules.rare.speak import Now, close, open_case, tell
from rules.rare.store import MAX_FACTS, Fact, text_of
from rules.records import Kind
from rules.rule import is_latched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rules.changes import Change
    from rules.emission import Emitter
    from rules.rare.store import Case
    from rules.records import Decision
    from rules.register import Facility
    from rules.rule import GradeRule

WHOLE = text_of({})
SIGNED = frozenset({"grade-signed", "grade-refused"})
"""Codes of a decision that end it (settled.md)."""
NAMED = 16
"""Alarms that the evidence of one change names at most."""


class Heard(NamedTuple):
    """What is kept of an alarm."""

    fact: Fact
    said: Mapping[str, Any]

    @property
    def counts(self) -> bool:
        """Say whether it may be counted: not taken back, not suppressed, not closed as no breach, and not done with."""
        strong = self.said["top"] >= Severity.ORANGE.rank
        return strong and not (self.said["gone"] or self.said["by"] or self.said["done"])

    @property
    def end(self) -> int:
        """Return its end, event time (ms); NEVER while it lasts."""
        return NEVER if self.said["end"] is None else int(self.said["end"])


@lru_cache(maxsize=16_384)
def _said(text: str) -> Mapping[str, Any]:
    """Return what is kept of an alarm; read again and again, since each alarm that comes is counted with all others."""
    return MappingProxyType(json.loads(text))


def heard_of(case: Case) -> list[Heard]:
    """Return the alarms that are kept, by start."""
    return [Heard(fact, _said(fact.text)) for fact in case.facts]


class Count(NamedTuple):
    """What is counted at an instant: groups of alarms, each with its strongest colour."""

    strong: int
    """Groups with an orange or red alarm ..."""
    red: int
    """... and those with a red one."""
    alarms: tuple[str, ...]

    def reaches(self, rule: GradeRule) -> bool:
        """Say whether it is enough."""
        return self.red >= rule.red or self.strong >= rule.orange


def count(rule: GradeRule, heard: Sequence[Heard], at: int) -> Count:
    """Return what is counted at a log time (ms): alarms that began within the window before it, those of one place that overlap as one."""
    since = at - rule.window
    # A source's clock may run ahead: what had been heard had begun.
    inside = [one for one in heard if since <= one.fact.t and min(one.fact.t, one.fact.received) <= at and one.counts]
    groups: list[list[Heard]] = []
    reached: dict[str, int] = {}
    for one in sorted(inside, key=lambda one: (one.said["place"], one.fact.t, one.fact.digest)):
        place = one.said["place"]
        if place and groups and groups[-1][0].said["place"] == place and one.fact.t <= reached[place]:
            groups[-1].append(one)
        else:
            groups.append([one])
        reached[place] = max(one.end, reached.get(place, NONE))
    tops = [max(one.said["top"] for one in group) for group in groups]
    return Count(len(tops), sum(top >= Severity.RED.rank for top in tops), tuple(one.fact.digest for one in inside))


def hear(rule: GradeRule, changes: Sequence[Change], now: int, emitter: Emitter) -> None:
    """Take what a step of another rule told, and judge once.

    Args:
        rule: that counts.
        changes: of one step of one other rule.
        now: the log time of the decision, ms.
        emitter: of the record.
    """
    pack = changes[0].rule.partition(".")[0]
    if pack in rule.without or changes[0].stage != "live":
        return
    touched = [_note(rule, change, emitter) for change in changes]
    if any(touched):
        judge(rule, Now(changes[-1].at, now), emitter)


def _note(rule: GradeRule, change: Change, emitter: Emitter) -> bool:
    """Keep what a change says of its alarm; returns whether that may matter."""
    rare = emitter.state.rare
    case = rare.of(rule.id).get(WHOLE)
    before = None if case is None else next((fact for fact in case.facts if fact.digest == change.alarm), None)
    known = None if before is None else Heard(before, _said(before.text))
    if known is None and (change.severity.rank < Severity.ORANGE.rank or change.change in _ENDED):
        return False
    case = rare.case(rule.id, WHOLE)
    if case is None:
        return False
    blank: dict[str, Any] = {"rule": change.rule, "place": _place_of(change, emitter.state.planned.facility), "top": 0}
    said = {**blank, "by": None, "gone": False, "done": False} if known is None else dict(known.said)
    amended = change.change is ChangeKind.AMENDED
    said["top"] = change.severity.rank if amended else max(said["top"], change.severity.rank)
    said["end"] = change.start if change.end is None and _is_latched(change, emitter) else change.end
    if change.change in {ChangeKind.SUPPRESSED, ChangeKind.RELEASED}:
        said["by"] = change.by if change.change is ChangeKind.SUPPRESSED else None
    said["gone"] = said["gone"] or change.change is ChangeKind.RETRACTED
    fact = Fact(
        change.start, change.received if known is None else known.fact.received, change.alarm, "", json.dumps(said)
    )
    rest = [fact for fact in case.facts if fact.digest != change.alarm]
    _keep(rule, case, [*rest, fact], change.received, emitter)
    return True


_ENDED = frozenset({ChangeKind.CLEARED, ChangeKind.RETRACTED})


def _is_latched(change: Change, emitter: Emitter) -> bool:
    """Say whether an alarm waits for an officer: that it stands is no sign that anything lasts."""
    rule = emitter.bundle.rule(change.rule)
    return rule is not None and is_latched(rule, change.subject)


def _place_of(change: Change, facility: Facility) -> str:
    """Return the area of an alarm, or nothing of one that is about no sensor and no area."""
    if "area" in change.subject:
        return change.subject["area"]
    tag = change.subject.get("tag")
    return next((sensor.area for sensor in facility.sensors if sensor.tag == tag), "")


def _keep(rule: GradeRule, case: Case, facts: list[Fact], now: int, emitter: Emitter) -> None:
    """Keep alarms within their bounds: those that no window reaches any more go, then the oldest."""
    since = (now if case.standing is None else min(now, case.standing.start)) - rule.window
    kept = sorted((fact for fact in facts if fact.t >= since), key=lambda fact: (fact.t, fact.digest))
    emitter.state.rare.counts["fact_dropped"] += max(0, len(kept) - MAX_FACTS)
    emitter.state.rare.cases[rule.id].keep(case, kept[-MAX_FACTS:])


def judge(rule: GradeRule, now: Now, emitter: Emitter) -> None:
    """Say whether what is kept is enough for a step, or, of one that stands, was."""
    state = emitter.state
    case = state.rare.of(rule.id).get(WHOLE)
    if case is None:
        return
    standing, risk = case.standing, state.planned.facility.risk
    found = count(rule, heard_of(case), now.received if standing is None else standing.start)
    counted = set(found.alarms)
    for fact in case.facts:
        fact.counts = fact.digest in counted
    told = Now(
        now.at, now.received, [*now.records, *(RecordRead(kind="alarm", id=name) for name in found.alarms[-NAMED:])]
    )
    leaves = leaves_of(rule, found, None if risk is None else risk.grade)
    if standing is None and risk is not None and found.reaches(rule):
        open_case(rule, WHOLE, case, now.received, rule.severity.base.rank, leaves, told, emitter)
    elif standing is not None and not found.reaches(rule):
        standing.retracted, standing.unknown = True, False
        tell(rule, WHOLE, case, standing, ChangeKind.RETRACTED, leaves, told, emitter)
        judge(rule, now, emitter)  # what came since may be enough by itself
    elif standing is not None and standing.unknown is not (risk is None):
        standing.unknown = risk is None
        tell(
            rule, WHOLE, case, standing, ChangeKind.UNKNOWN if risk is None else ChangeKind.KNOWN, leaves, told, emitter
        )
    state.rare.of(rule.id).busy = False


def decision(rule: GradeRule, payload: Decision, received: int, emitter: Emitter) -> None:
    """Let a decision end what stands, or take an alarm out of what is counted."""
    now = Now(received, received, [RecordRead(kind=Kind.DECISION, id=f"{payload.id}/{payload.version}")])
    case = emitter.state.rare.of(rule.id).get(WHOLE)
    if case is None:
        return
    signs = payload.code in SIGNED and "grade" in payload.subject
    alarm = payload.subject.get("alarm") if payload.code in rule.leave_out else None
    facts = []
    for fact, kept in heard_of(case):
        said = {**kept, "done": kept["done"] or signs, "gone": kept["gone"] or fact.digest == alarm}
        facts.append(Fact(fact.t, fact.received, fact.digest, "", json.dumps(said), counts=fact.counts and not signs))
    emitter.state.rare.cases[rule.id].keep(case, facts)
    if signs and case.standing is not None:
        leaf = Leaf(
            expr="decision", left=payload.code, op="closes", right=payload.subject["grade"], verdict=Verdict.FALSE
        )
        close(rule, WHOLE, case, [leaf], now, emitter, by_officer=True)
    elif alarm is not None:
        judge(rule, now, emitter)


def leaves_of(rule: GradeRule, found: Count, grade: str | None) -> list[Leaf]:
    """Return what evidence says of a count."""
    known = Leaf(expr="risk grade", left=grade, op="is", right="registered", verdict=verdict(grade is not None))
    return [
        Leaf(expr="red alarms", left=float(found.red), op=">=", right=float(rule.red), verdict=verdict(found.red >= rule.red)),
        Leaf(
            expr="orange and red alarms", left=float(found.strong), op=">=", right=float(rule.orange),
            verdict=verdict(found.strong >= rule.orange),
        ),
        known,
    ]  # fmt: skip


def seen_of(rule: GradeRule, case: Case, facility: Facility, at: int) -> tuple[Seen, ...]:
    """Return the leaves with their operands at a log time (ms)."""
    found, risk = count(rule, heard_of(case), at if case.standing is None else case.standing.start), facility.risk
    return (
        Seen(
            "grade",
            Verdict.UNKNOWN if risk is None else Verdict.TRUE,
            None if risk is None else risk.grade,
            "is",
            "registered",
        ),
        Seen("red", verdict(found.red >= rule.red), float(found.red), ">=", float(rule.red)),
        Seen("orange", verdict(found.strong >= rule.orange), float(found.strong), ">=", float(rule.orange)),
    )
