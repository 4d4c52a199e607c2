"""Kind `count`: so many events within a time, by subject. What comes late counts where its event time says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import Leaf, Verdict
from rules.layout import HORIZON_MS
from rules.rare import shared
from rules.rare.match import applies, area_of, digest_of, is_meant, name_of, text_of_field
from rules.rare.speak import Now, settle
from rules.rare.store import Fact, text_of

if TYPE_CHECKING:
    from rules.emission import Emitter
    from rules.rare.store import Case
    from rules.records import Event
    from rules.register import Facility
    from rules.rule import CountRule


def meet(rule: CountRule, event: Event, batch: str, now: Now, facility: Facility, emitter: Emitter) -> None:
    """Fold one event; `now.at` is the event time that counts."""
    if is_meant(event, rule.events) is not Verdict.TRUE:
        return
    name = name_of(event, rule.by)
    text = "" if rule.distinct is None else text_of_field(event, rule.distinct)
    if name is None or text is None or not applies(rule, facility, area_of(event, facility), now.at):
        return
    rare = emitter.state.rare
    subject = text_of({rule.by: name})
    case = rare.case(rule.id, subject)
    if case is None:
        return
    if rule.occasions is not None:
        shared.meet(rule, rule.occasions, subject, case, text, batch, now, emitter)
        return
    cases, digest = rare.cases[rule.id], digest_of(event)
    if case.knows(digest):
        rare.counts["event_duplicate"] += 1
        return
    newest = max([now.at, *(fact.t for fact in case.facts)])
    edge = newest - rule.within - HORIZON_MS
    if rule.n > 1 and now.at <= edge:
        rare.counts["event_stale"] += 1
        case.remember(digest)
        return
    if rule.n > 1:
        gone = [fact for fact in case.facts if not fact.counts and fact.t <= edge]
        for fact in gone:
            case.remember(fact.digest)
        cases.keep(case, [fact for fact in case.facts if fact not in gone])
    new = Fact(now.at, now.received, digest, batch, text)
    cases.keep(case, sorted([*case.facts, new], key=lambda fact: (fact.t, fact.digest)))
    for fact in case.facts:
        fact.counts = fact.counts or ((rule.n == 1 or fact.t > edge) and reached(rule, case, fact.t, edge))
    leaf = Leaf(
        expr=f"events {event.stream} {event.type}", left=float(number(rule, case, newest, edge)), op=">=",
        right=float(rule.n), verdict=Verdict.TRUE if any(f.counts for f in case.facts) else Verdict.FALSE,
    )  # fmt: skip
    bound(rule.id, case, emitter)
    settle(rule, subject, case, [leaf], now, emitter)


def number(rule: CountRule, case: Case, t: int, edge: int) -> int:
    """Return how many events (or different texts) lie within the rule's time up to `t`, both ends included."""
    inside = [fact for fact in case.facts if t - rule.within <= fact.t <= t and (fact.t > edge or rule.n == 1)]
    return len(inside) if rule.distinct is None else len({fact.text for fact in inside})


def reached(rule: CountRule, case: Case, t: int, edge: int) -> bool:
    """Say whether the count is reached at `t`."""
    return number(rule, case, t, edge) >= rule.n


def bound(rule: str, case: Case, emitter: Emitter, most: int | None = None) -> None:
    """Keep a case within its bounds: the oldest goes, but for the first occasion, which is the alarm's start."""
    rare = emitter.state.rare
    cases = rare.cases[rule]
    while cases.is_full(case, most):
        first = next((i for i, fact in enumerate(case.facts) if fact.counts), None)
        at = 1 if first == 0 else 0
        case.remember(case.facts[at].digest)
        cases.keep(case, [*case.facts[:at], *case.facts[at + 1 :]])
        rare.counts["fact_dropped"] += 1
