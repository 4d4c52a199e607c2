"""Which file of this folder judges a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rules.ledger import annual, filing, nowhere, release, retest, runs, stock, visit
from rules.ledger.entry import GONE, entries_of
from rules.rule import AnnualRule, ChangeRule, ReleaseRule, RetestRule, RunsRule, StockBalanceRule, VisitRule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rules.ledger.entry import Met
    from rules.ledger.judged import Judged
    from rules.ledger.nowhere import Nowhere
    from rules.rare.speak import Now
    from rules.rare.store import Cases, Fact, Rare
    from rules.records import Event, Report
    from rules.register import Facility
    from rules.rule import LedgerRule

NOTHING, ANSWERS, OPEN, MARKED = range(4)
"""What the facts of a subject hold; which goes out for another one follows from it (`rules.ledger.room`). MARKED: of bookings without a
place, until the places of their product are judged by them."""


def said_by_event(rule: LedgerRule, event: Event, now: Now, facility: Facility) -> Met | None:
    """Return what an event says to a rule, None of one that it does not mean; `now.at` is the event time that counts."""
    if isinstance(rule, StockBalanceRule):
        return stock.met(rule, event, facility)
    if isinstance(rule, VisitRule):
        return None
    if isinstance(rule, RunsRule):
        return runs.met(rule, event)
    if isinstance(rule, AnnualRule):
        return annual.met(rule, event, now)
    return _of_filed(rule, event, facility)


def _of_filed(rule: ChangeRule | RetestRule | ReleaseRule, event: Event, facility: Facility) -> Met | None:
    """Return what an event says to a rule that reads reports too."""
    if isinstance(rule, ChangeRule):
        return filing.met(rule, event, facility)
    return retest.met(rule, event) if isinstance(rule, RetestRule) else release.met(rule, event)


def said_by_report(
    rule: LedgerRule, payload: Report, fields: Mapping[str, Any], received: int, facility: Facility
) -> list[tuple[dict[str, str], int, str]]:  # fmt: skip
    """Return what a report of a type that a rule reads says: subject, the instant that it is about (ms), its content as text.

    `received`: log time at which it came, ms.
    """
    if isinstance(rule, ChangeRule):
        return filing.said(payload, fields, facility)
    if isinstance(rule, AnnualRule):
        return annual.said(payload, fields, received)
    return release.said(payload, fields) if isinstance(rule, ReleaseRule) else retest.said(payload, fields)


def judge(rule: LedgerRule, subject: str, facts: list[Fact], now: int, facility: Facility, rare: Rare) -> Judged:
    """Return what the facts of a subject say at `now` (log time, ms), with the register in force and what else is kept of the facility."""
    if isinstance(rule, VisitRule):
        return visit.judge(rule, facts, now, facility)
    if isinstance(rule, StockBalanceRule):
        return stock.judge(rule, subject, facts, now, beside(rule, subject, rare.of(rule.id)).marks)
    if isinstance(rule, RunsRule):
        return runs.judge(rule, subject, facts, now, facility.delivery)
    if isinstance(rule, AnnualRule):
        return annual.judge(rule, subject, facts, now, facility.delivery, annual.spans_of(rule.id, rare))
    return _judge_filed(rule, subject, facts, now)


def _judge_filed(rule: ChangeRule | RetestRule | ReleaseRule, subject: str, facts: list[Fact], now: int) -> Judged:
    """Return what the facts of a subject say to a rule that asks the register nothing."""
    if isinstance(rule, RetestRule):
        return retest.judge(rule, subject, facts, now)
    return filing.judge(rule, subject, facts) if isinstance(rule, ChangeRule) else release.judge(rule, subject, facts)


def order_of(rule: LedgerRule, fact: Fact) -> tuple[int, bool, str]:
    """Return by what facts of a subject are ordered: event time, and what they are."""
    if isinstance(rule, RunsRule):
        return (fact.t, *runs.order_of(fact))
    if isinstance(rule, AnnualRule):
        return (fact.t, *annual.order_of(fact))
    return (fact.t, isinstance(rule, StockBalanceRule) and stock.is_booking(fact), fact.digest)


def is_too_old(rule: LedgerRule, facts: list[Fact], t: int) -> bool:
    """Say whether nothing can be said any more of what has this event time (ms)."""
    if isinstance(rule, RunsRule):
        return runs.is_too_old(facts, t)
    return isinstance(rule, StockBalanceRule) and stock.is_too_old(facts, t)


def is_known(rule: LedgerRule, facts: list[Fact], digest: str) -> bool:
    """Say whether a fact is one of those that were made one."""
    return isinstance(rule, AnnualRule) and annual.is_known(facts, digest)


def is_heavy(rule: LedgerRule) -> bool:
    """Say whether a few facts of a rule may be large: they are looked through however few there are."""
    return isinstance(rule, AnnualRule)


def holds(rule: LedgerRule, facts: Sequence[Fact]) -> int:
    """Return what a subject's facts hold: NOTHING, ANSWERS of facts that may come, or what may still make an alarm (OPEN)."""
    said = {entry.what for entry in entries_of(facts)}
    if isinstance(rule, StockBalanceRule):
        return OPEN if stock.is_counted(facts) else ANSWERS if stock.SOMEWHERE in said else NOTHING
    if isinstance(rule, RetestRule):
        return OPEN if retest.FAILED in said else ANSWERS if said - {retest.PASSED} else NOTHING
    if isinstance(rule, ReleaseRule):
        return OPEN if release.is_open(facts) else ANSWERS if said - {release.RELEASED} else NOTHING
    if isinstance(rule, ChangeRule):
        return OPEN if filing.SET_POINT in said else ANSWERS if said else NOTHING
    if isinstance(rule, AnnualRule):
        return OPEN if said - {GONE} else ANSWERS if said else NOTHING
    return OPEN


def while_waiting(rule: LedgerRule, tier: int) -> int:
    """Return what a subject holds that is still to be judged: it may hold anything, unless there is nothing in it.

    Bookings without a place never make an alarm of their own, so they take no room from what may.
    """
    if tier == NOTHING:
        return NOTHING
    return MARKED if isinstance(rule, StockBalanceRule) and tier != OPEN else OPEN


def beside(rule: LedgerRule, subject: str, cases: Cases) -> Nowhere:
    """Return facts of another subject that speak of this one too: the bookings of a product that name no place."""
    return nowhere.beside(subject, cases) if isinstance(rule, StockBalanceRule) else nowhere.NOBODY


def shortened(
    rule: LedgerRule, facts: list[Fact], most: int, facility: Facility, others: Nowhere
) -> list[Fact]:  # fmt: skip
    """Return facts with at most so many: of what they all said stays what can. `others` speak of the subject too (`beside`).

    Of stock and of runs the oldest become one; of a year half of the room is made free at once. Of all others the oldest go of those that
    hold least, last those because of which an alarm stands.
    """
    if isinstance(rule, StockBalanceRule):
        if any(one.what == stock.SOMEWHERE for one in entries_of(facts[:1])):
            return stock.merged(facts, most)
        while len(facts) > most:
            facts = stock.joined(rule, facts, others.marks)
        return facts
    if isinstance(rule, RunsRule):
        return runs.shortened(rule, facts, most, facility.delivery)
    if isinstance(rule, AnnualRule):
        return annual.shortened(rule, facts, most)
    base = next((f for f in reversed(entries_of(facts)) if f.what == filing.SET_POINT), None)
    weights = []
    for fact in facts:
        older = (
            base is not None and fact is not base.fact and any(e.what == filing.SET_POINT for e in entries_of([fact]))
        )
        weights.append(OPEN + 1 if fact.counts else NOTHING if older else holds(rule, [fact]))
    out = set(sorted(range(len(facts)), key=lambda i: (weights[i], i))[: max(0, len(facts) - most)])
    return [fact for i, fact in enumerate(facts) if i not in out]
