"""Which file of this folder judges a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rules.ledger import filing, release, retest, runs, stock, visit
from rules.rule import ChangeRule, ReleaseRule, RetestRule, RunsRule, StockBalanceRule, VisitRule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.ledger.entry import Met
    from rules.ledger.judged import Judged
    from rules.rare.store import Fact
    from rules.records import Event, Report
    from rules.register import Facility
    from rules.rule import LedgerRule


def said_by_event(rule: LedgerRule, event: Event, facility: Facility) -> Met | None:
    """Return what an event says to a rule, None of one that it does not mean."""
    if isinstance(rule, StockBalanceRule):
        return stock.met(rule, event, facility)
    if isinstance(rule, VisitRule):
        return None
    if isinstance(rule, RunsRule):
        return runs.met(rule, event)
    if isinstance(rule, ChangeRule):
        return filing.met(rule, event, facility)
    return retest.met(rule, event) if isinstance(rule, RetestRule) else release.met(rule, event)


def said_by_report(
    rule: LedgerRule, payload: Report, fields: Mapping[str, Any], facility: Facility
) -> list[tuple[dict[str, str], int, str]]:  # fmt: skip
    """Return what a report of a type that a rule reads says: subject, the instant that it is about (ms), its content as text."""
    if isinstance(rule, ChangeRule):
        return filing.said(payload, fields, facility)
    return release.said(payload, fields) if isinstance(rule, ReleaseRule) else retest.said(payload, fields)


def judge(rule: LedgerRule, subject: str, facts: list[Fact], now: int, facility: Facility) -> Judged:
    """Return what the facts of a subject say at `now` (log time, ms), with the register in force."""
    if isinstance(rule, VisitRule):
        return visit.judge(rule, facts, now, facility)
    if isinstance(rule, StockBalanceRule):
        return stock.judge(rule, subject, facts, now)
    if isinstance(rule, RetestRule):
        return retest.judge(rule, subject, facts, now)
    if isinstance(rule, ChangeRule):
        return filing.judge(rule, subject, facts)
    if isinstance(rule, RunsRule):
        return runs.judge(rule, subject, facts, now, facility.delivery)
    return release.judge(rule, subject, facts)


def order_of(rule: LedgerRule, fact: Fact) -> tuple[int, bool, str]:
    """Return by what facts of a subject are ordered: event time, and what they are."""
    if isinstance(rule, RunsRule):
        return (fact.t, *runs.order_of(fact))
    return (fact.t, isinstance(rule, StockBalanceRule) and stock.is_booking(fact), fact.digest)


def is_too_old(rule: LedgerRule, facts: list[Fact], t: int) -> bool:
    """Say whether nothing can be said any more of what has this event time (ms)."""
    if isinstance(rule, RunsRule):
        return runs.is_too_old(facts, t)
    return isinstance(rule, StockBalanceRule) and stock.is_too_old(facts, t)


def shortened(rule: LedgerRule, facts: list[Fact], facility: Facility) -> list[Fact]:
    """Return facts with one less, the oldest: of what it said stays what can."""
    if isinstance(rule, StockBalanceRule):
        return stock.joined(rule, facts)
    if isinstance(rule, RunsRule):
        return runs.shortened(rule, facts, facility.delivery)
    gone = next((i for i, fact in enumerate(facts) if not fact.counts), 0)
    return [*facts[:gone], *facts[gone + 1 :]]
