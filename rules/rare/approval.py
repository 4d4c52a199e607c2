"""Kind `follow_up` with `before`: settings that were changed although nobody had approved it (ADR 0039), by asset.

A setting of an asset is its lower limit, its upper limit, or whether its alarm is on. A change is judged when it comes, by the
register as it is then, with the facts in force at its event time. One that goes beyond them is an occasion; it is over with
a later change of the same setting that does not, and when the register holds what it set. To be late does not undo it: an alarm is
ended, never taken back, and a change that is over when it comes is raised and ended in one step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rules.changes import ChangeKind, Leaf, Verdict
from rules.layout import HORIZON_MS, NONE
from rules.rare import store
from rules.rare.match import digest_of, text_of_field
from rules.rare.speak import Now, close, open_case, tell
from rules.rare.store import Fact, subject_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.emission import Emitter
    from rules.rare.points import Asset
    from rules.rare.store import Case
    from rules.records import Event
    from rules.rule import FollowUpRule

LOW, HIGH, ALARM = "low", "high", "alarm"
SETTINGS = {"limits": (LOW, HIGH), "alarm": (ALARM,)}
"""What a rule names -> the settings that it looks at."""
OFF, ON = math.inf, 0.0
"""An alarm that is off has the value of a limit that is none."""
MOST = 1e300
"""A limit farther out is this one: whole numbers of an event may be too large for a float."""


@dataclass(frozen=True, slots=True)
class Change:
    """One setting as an event changes it; a limit that was taken away is infinite."""

    setting: str
    value: float

    def beyond(self, asset: Asset) -> Verdict:
        """Say whether it goes beyond what is registered; unknown of a limit where the register has none for the asset."""
        if self.setting == ALARM:
            return Verdict.TRUE if self.value == OFF else Verdict.FALSE
        if asset.limits is None:
            return Verdict.UNKNOWN
        bound = asset.limits.low if self.setting == LOW else asset.limits.high
        wider = bound is not None and (self.value < bound if self.setting == LOW else self.value > bound)
        return Verdict.TRUE if wider else Verdict.FALSE

    @property
    def text(self) -> str:
        """Return it as a fact of a case keeps it."""
        return f"{self.setting}={self.value!r}"


def change_of(fact: Fact) -> Change | None:
    """Return the change that a fact keeps; None of the newest instant at which a setting was as approved (its text is the setting)."""
    setting, kept, value = fact.text.partition("=")
    return Change(setting, float(value)) if kept else None


def told_by(rule: FollowUpRule, event: Event) -> tuple[str, list[Change]] | None:
    """Return the asset that an event names and the changes that it tells, None of an event that the rule does not mean.

    A limit that stands in `old` alone, or is null in `new`, was taken away; one that stands in neither was not changed.
    """
    asset = text_of_field(event, "asset")
    named = [setting for of in rule.settings or () for setting in SETTINGS[of]]
    if event.stream != "audit" or asset is None:
        return None
    if event.type == "limit-changed":
        found = [change for setting in named if setting != ALARM for change in _limits(event, setting)]
    elif event.type in {"alarm-disabled", "alarm-enabled"} and ALARM in named:
        found = [Change(ALARM, OFF if event.type == "alarm-disabled" else ON)]
    else:
        return None
    return (asset, found) if found else None


def _limits(event: Event, setting: str) -> Iterator[Change]:
    old, new = event.fields.get("old"), event.fields.get("new")
    if not isinstance(new, dict):
        return
    before = old.get(setting) if isinstance(old, dict) else None
    value = new.get(setting)
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield Change(setting, float(max(-MOST, min(MOST, value))))
    elif value is None and (setting in new or before is not None):
        yield Change(setting, -math.inf if setting == LOW else math.inf)


def meet(rule: FollowUpRule, event: Event, batch: str, now: Now, emitter: Emitter) -> None:
    """Fold one event; `now.at` is the event time that counts."""
    told = told_by(rule, event)
    asset = None if told is None else emitter.state.planned.points.asset(rule, told[0], now.at)
    if told is None or asset is None:
        return
    judged = [(change, verdict) for change in told[1] if (verdict := change.beyond(asset)) is not Verdict.UNKNOWN]
    if not judged:
        return
    rare, subject, digest = emitter.state.rare, text_of({"asset": told[0]}), digest_of(event)
    case = rare.case(rule.id, subject, store.MAX_CHECKED)
    if case is None:
        return
    if case.knows(digest):
        rare.counts["event_duplicate"] += 1
        return
    fresh = []
    for change, verdict in judged:
        if verdict is Verdict.TRUE:
            fresh.append(Fact(now.at, now.received, digest, batch, change.text, counts=True))
        else:
            _approve(rule, case, change.setting, now.at, emitter)
    if fresh:
        _keep(rule, case, fresh, emitter)
    else:
        case.remember(digest)
    judge(rule, subject, case, now, emitter)


def _approve(rule: FollowUpRule, case: Case, setting: str, t: int, emitter: Emitter) -> None:
    """Note the newest event time at which a setting was changed to what is approved."""
    newest = max(t, approved_at(case, setting))
    rest = [fact for fact in case.facts if fact.text != setting]
    emitter.state.rare.cases[rule.id].keep(case, _sorted([*rest, Fact(newest, newest, setting, "", setting)]))


def approved_at(case: Case, setting: str) -> int:
    """Return the newest event time at which a setting was changed to what is approved, ms; NONE: it never was."""
    return next((fact.t for fact in case.facts if fact.text == setting), NONE)


def _keep(rule: FollowUpRule, case: Case, fresh: list[Fact], emitter: Emitter) -> None:
    """Keep changes within the bounds of a case: never the earliest or the newest one goes, nor what comes now."""
    rare = emitter.state.rare
    cases = rare.cases[rule.id]
    cases.keep(case, _sorted([*case.facts, *fresh]))
    while len(case.facts) > store.MAX_CHANGES or cases.held > store.MAX_ALL_FACTS + 3 * len(cases):
        loose = [fact for fact in case.facts if fact.counts][1:-1]
        loose = [fact for fact in loose if fact not in fresh]
        if not loose:
            break
        cases.keep(case, [fact for fact in case.facts if fact is not loose[0]])
        _remember(case, loose[0].digest)
        rare.counts["fact_dropped"] += 1


def _sorted(facts: list[Fact]) -> list[Fact]:
    return sorted(facts, key=lambda fact: (fact.t, fact.text, fact.digest))


def _remember(case: Case, digest: str) -> None:
    """Note the digest of an event of which nothing is kept any more."""
    if not case.knows(digest):
        case.remember(digest)


def adopt(rule: FollowUpRule, now: Now, emitter: Emitter) -> None:
    """Judge what was changed by the register of now: it may hold it, and accuses nothing that came before."""
    for subject, case in sorted(emitter.state.rare.of(rule.id).items()):
        judge(rule, subject, case, now, emitter)


def judge(rule: FollowUpRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """Tell what is beyond the approved of an asset: behind an event that it is about, and when a register comes into force."""
    points, name = emitter.state.planned.points, subject_of(subject)["asset"]
    asset, standing = points.asset(rule, name, now.received), case.standing
    counting = [fact for fact in case.facts if fact.counts]
    over = [f for f in counting if asset is None or _is_over(case, f, asset, points.asset(rule, name, f.t))]
    holding = [fact for fact in counting if fact not in over]
    since = next(iter(holding or counting), None)
    if since is not None and (asset is not None or standing is not None):
        leaves = [_leaf(name, since, asset, Verdict.TRUE if holding else Verdict.FALSE)]
        _tell(rule, subject, case, since, leaves, now, emitter, unknown=_unknown(holding, asset), stands=bool(holding))
    if over:
        emitter.state.rare.cases[rule.id].keep(case, [fact for fact in case.facts if fact not in over])
        for fact in over:
            _remember(case, fact.digest)


def _is_over(case: Case, fact: Fact, asset: Asset, then: Asset | None) -> bool:
    """Say whether a change is over: changed again to what is approved, or held by the register, now or for its event time."""
    change = change_of(fact)
    assert change is not None  # noqa: S101 - it counts
    held = Verdict.FALSE in {change.beyond(asset), Verdict.TRUE if then is None else change.beyond(then)}
    return held or approved_at(case, change.setting) > fact.t


def _unknown(holding: list[Fact], asset: Asset | None) -> bool:
    """Say whether nothing of what stands can be compared with the register any more."""
    changes = [change_of(fact) for fact in holding]
    return all(one is None or asset is None or one.beyond(asset) is Verdict.UNKNOWN for one in changes)


def _tell(
    rule: FollowUpRule, subject: str, case: Case, since: Fact, leaves: list[Leaf], now: Now, emitter: Emitter,
    *, unknown: bool, stands: bool,
) -> None:  # fmt: skip
    """Tell what an asset's changes make of its alarm; `since`: the earliest that stands, else the earliest of those that are over."""
    standing = case.standing
    if standing is None:
        late = since.t + HORIZON_MS < since.received
        standing = open_case(rule, subject, case, since.t, rule.severity.base.rank, leaves, now, emitter, late=late)
    elif stands:
        if standing.unknown and not unknown:
            standing.unknown = False
            tell(rule, subject, case, standing, ChangeKind.KNOWN, leaves, now, emitter)
        if since.t != standing.start:
            standing.start = since.t
            tell(rule, subject, case, standing, ChangeKind.AMENDED, leaves, now, emitter)
    if not stands:
        close(rule, subject, case, leaves, now, emitter)
    elif unknown and not standing.unknown:
        standing.unknown = True
        tell(rule, subject, case, standing, ChangeKind.UNKNOWN, leaves, now, emitter)


def _leaf(name: str, fact: Fact, asset: Asset | None, verdict: Verdict) -> Leaf:
    change = change_of(fact)
    assert change is not None  # noqa: S101 - it counts
    if change.setting == ALARM:
        return Leaf(expr=f"alarm of {name}", left="off", op="!=", right="on", verdict=verdict)
    limits = None if asset is None else asset.limits
    bound = None if limits is None else limits.low if change.setting == LOW else limits.high
    value = change.value if math.isfinite(change.value) else "none"
    op = "<" if change.setting == LOW else ">"
    return Leaf(
        expr=f"{change.setting} limit of {name}", left=value, op=op, right=bound,
        verdict=Verdict.UNKNOWN if verdict is Verdict.TRUE and bound is None else verdict,
    )  # fmt: skip
