"""Kind `register_check`, check `incomplete`: what the register does not hold though a rule in force needs it (U3; ADR 0053).

What a rule lacks of a sensor, its area or a pair of rooms was found when the plan was made (`rules.lacks`); what other rules lack is said
here, check by check. One alarm a facility: it stands while anything is lacking. Judged behind all other rules, for it is about them.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from rules import lacks
from rules.changes import Leaf, Verdict
from rules.facts import RegisteredFacts, area_in_force
from rules.pairs import unjudged
from rules.predicate import in_scope
from rules.rare import calibrations
from rules.rare.match import applies
from rules.rare.points import WORDS
from rules.rare.register_check import Finding, findings, is_covered
from rules.rare.speak import LISTED, close, open_case
from rules.rare.store import subject_of, text_of
from rules.register import Quantity
from rules.rule import TOLD, DifferenceRule, RegisterCheckRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rules.emission import Emitter
    from rules.pack import Bundle
    from rules.plan import Plan
    from rules.rare.speak import Now
    from rules.rare.store import Rare

WHOLE = text_of({})
"""The subject: the facility as a whole."""


Subject: TypeAlias = tuple[tuple[str, str], ...]
"""What a fact is about: members and their values, as of an alarm's subject."""


class Missing(NamedTuple):
    """A fact that a rule needs of a subject and the register does not hold; `found` is what it holds instead."""

    rule: str
    subject: Subject
    fact: str
    found: str = ""

    @property
    def name(self) -> str:
        """Return the subject as people read it."""
        return " ".join(value for _, value in self.subject)


def check(rule: RegisterCheckRule, now: Now, emitter: Emitter) -> None:
    """Judge whether anything is lacking, and tell what that changes: of an alarm that stands only its end."""
    state = emitter.state
    case = state.rare.of(rule.id).get(WHOLE)
    if case is not None and case.standing is not None:
        if next(_asked(rule, state.planned, emitter.bundle, state.rare), None) is None:
            close(rule, WHOLE, case, [_condition(0)], now, emitter)
        return
    found = missing(rule, state.planned, emitter.bundle, state.rare)
    case = state.rare.case(rule.id, WHOLE) if found else None
    if case is not None:
        leaves = [_condition(len(found)), *map(_leaf, islice(in_turn(found), LISTED))]
        rank, more = rule.severity.base.rank, max(0, len(found) - LISTED)
        open_case(rule, WHOLE, case, now.received, rank, leaves, now, emitter, more=more)


def missing(rule: RegisterCheckRule, plan: Plan, bundle: Bundle, rare: Rare) -> list[Missing]:
    """Return what is lacking of all that a rule lists, by rule, subject and fact.

    Args:
        rule: the check: it leaves out what a register may lack (`optional`).
        plan: in force.
        bundle: that it was made of.
        rare: what events told.
    """
    return sorted(set(_asked(rule, plan, bundle, rare)))


def in_turn(found: Sequence[Missing]) -> Iterator[Missing]:
    """Return what is lacking so that a list that is cut tells something of each rule: first one subject of each rule and fact, then a second one.

    >>> one, two, three = ((("tag", name),) for name in "123")
    >>> [each.name for each in in_turn([Missing("a", one, "x"), Missing("a", two, "x"), Missing("b", three, "x")])]
    ['1', '3', '2']
    """
    groups: dict[tuple[str, str], list[Missing]] = {}
    for one in found:
        groups.setdefault((one.rule, one.fact), []).append(one)
    ordered = [groups[name] for name in sorted(groups)]
    for i in range(max(map(len, ordered), default=0)):
        yield from (group[i] for group in ordered if i < len(group))


def finding_of(rule: RegisterCheckRule, found: Sequence[Missing]) -> Finding:
    """Return what the check finds, for explanations."""
    leaf = _condition(len(found))
    return Finding(WHOLE, leaf.verdict, leaf, rank=rule.severity.base.rank)


def _condition(number: int) -> Leaf:
    said = Verdict.TRUE if number else Verdict.FALSE
    return Leaf(
        expr="facts that rules need and the register lacks", left=float(number), op=">", right=0.0, verdict=said
    )


def _leaf(one: Missing) -> Leaf:
    return Leaf(
        expr=f"{one.fact} of {one.name}", left=one.found or None, op="needed by", right=one.rule, verdict=Verdict.TRUE
    )  # fmt: skip


def _asked(rule: RegisterCheckRule, plan: Plan, bundle: Bundle, rare: Rare) -> Iterator[Missing]:
    """Yield what is lacking, in any order and now and then twice: whoever asks for one reads no further."""
    if not applies(rule, plan.facility, None, plan.at):
        return
    found = chain(
        _of_sensors(rule, plan),
        _of_pairs(plan, bundle),
        _of_areas(plan),
        _of_points(plan),
        _of_certificates(plan, rare),
    )
    yield from (one for one in found if one.fact not in rule.optional)


def _of_sensors(rule: RegisterCheckRule, plan: Plan) -> Iterator[Missing]:
    """Yield what rules lack of sensors; what they lack of an area is said of that.

    A rule that lacks what a register may lack is chosen not to judge the sensor, whatever else it needs.
    """
    warm = {one.area: one.tag for one in reversed(plan.sensors) if one.quantity is Quantity.TEMPERATURE}
    for slot, found in plan.lacks:
        sensor = plan.sensors[slot]
        of_area, of_tag = (("area", sensor.area),), (("tag", sensor.tag),)
        spared = {lack.rule for lack in found if lack.fact in rule.optional}
        for lack in found:
            measured = lack.fact == lacks.WARM and warm.get(sensor.area, sensor.tag) != sensor.tag
            if lack.rule in spared or measured:
                continue
            subject = of_area if lack.fact.startswith("area.") else of_tag
            yield Missing(lack.rule, subject, lack.fact, lack.found)


def _of_pairs(plan: Plan, bundle: Bundle) -> Iterator[Missing]:
    for subject, lack in plan.pair_lacks:
        yield Missing(lack.rule, subject, lack.fact, lack.found)
    for rule in bundle.rules:
        if (
            isinstance(rule, DifferenceRule)
            and rule.pairs == "cascades"
            and rule.stage in {"live", "shadow"}
            and in_scope(rule, plan.facility)
        ):
            for subject, fact in unjudged(rule, plan.facility, plan.sensors, plan.at):
                yield Missing(rule.id, subject, fact)


def _of_areas(plan: Plan) -> Iterator[Missing]:
    """Yield what rules that look at areas lack: the size that says how many sensors are needed, a fact that they ask for."""
    facts = RegisteredFacts(plan.facility)
    for rule in plan.rare:
        if isinstance(rule, RegisterCheckRule) and rule.check == "sensor-count":
            sizes = {kind: need.of for need in rule.counts for kind in need.kinds}
            for one in findings(rule, plan.facility, plan.at, {}):
                if one.verdict is Verdict.UNKNOWN:
                    name = subject_of(one.subject)["area"]
                    area = area_in_force(plan.facility, name, plan.at)
                    assert area is not None  # noqa: S101 - it was found
                    yield Missing(rule.id, (("area", name),), f"area.{sizes[area.kind]}")
        if lacks.looks_at_sensors(rule) or not any(name.startswith("area.") for name in rule.applies_to):
            continue
        for name in dict.fromkeys(area.id for area in plan.facility.areas):
            asked = area_in_force(plan.facility, name, plan.at)
            if asked is not None and (asked.from_ or 0) <= plan.at:
                for fact in lacks.undecided(rule.applies_to, facts.around(asked)):
                    yield Missing(rule.id, (("area", name),), fact)


def _of_points(plan: Plan) -> Iterator[Missing]:
    """Yield what checks of what devices tell of themselves lack: the serial or hash to compare it with."""
    facility = plan.facility
    for rule in plan.rare:
        if not isinstance(rule, RegisterCheckRule) or rule.check not in TOLD:
            continue
        word, fits = WORDS[rule.check], dict[str, bool]()
        entries = [("tag", one.tag, one) for one in plan.sensors] + [
            ("device", one.id, one) for one in facility.devices
        ]
        for kind, name, entry in entries:
            if getattr(entry, word) is None:
                if entry.area not in fits:
                    fits[entry.area] = applies(rule, facility, entry.area, plan.at)
                if fits[entry.area]:
                    yield Missing(rule.id, ((kind, name),), f"{'sensor' if kind == 'tag' else kind}.{word}")


def _of_certificates(plan: Plan, rare: Rare) -> Iterator[Missing]:
    """Yield what a check of errors lacks: a calibration, of the register or of events, with a point that it judges."""
    facts = RegisteredFacts(plan.facility)
    for rule in plan.rare:
        if not isinstance(rule, RegisterCheckRule) or rule.check != "sensor-error":
            continue
        told = calibrations.told(rare.of(rule.id))
        for sensor in plan.sensors:
            newest = calibrations.later(sensor.calibration, told.get(sensor.tag))
            if newest is not None and is_covered(rule, newest):
                continue
            if lacks.fits(rule, facts, sensor, plan.at):
                fact = "sensor.calibration" if newest is None else "sensor.calibration.points"
                yield Missing(rule.id, (("tag", sensor.tag),), fact)
