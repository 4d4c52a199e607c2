"""More serious cases of a lot than its product lets expect, as slowly and plainly as it can be said: from the set of facts, by exact fractions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from rules.changes import alarm_id

ZONE = timedelta(hours=8)
DAY = 86_400_000


def alarms(facts, rule):
    """Return {lot: [(alarm, facility, start, end)]} of all that holds, by start; the facts are of one product."""
    once = {(fact.facility, fact.n): fact for fact in facts}.values()
    sales = sales_of(once)
    cases = cases_of(once)
    found = {}
    for lot in sorted({lot for *_, lots in cases.values() for lot in lots}):
        told = ruled(rule, lot, once, cases, sales)
        if told:
            found[lot] = sorted(told, key=lambda one: (one[2], one[0]))
    return found


def sales_of(facts):
    """Return (local day, lot, units) of each sale; of copies of an event the earliest day."""
    events = {}
    for fact in facts:
        if fact.told.fact == "sold-of":
            events.setdefault((fact.facility, fact.event), []).append(fact)
    return [
        (min(day(fact.at) for fact in own), own[0].told.of, Fraction(str(own[0].told.quantity)))
        for own in events.values()
    ]


def cases_of(facts):
    """Return {case: (known at, who, received, lots)} by the highest revision of each report; who knew of it first, of several the last by id."""
    reports, heard = {}, {}
    for fact in facts:
        if fact.told.fact == "case-of":
            key = (fact.facility, fact.told.report)
            if key not in reports or fact.told.revision > reports[key].told.revision:
                reports[key] = fact
            if fact.told.named:
                heard.setdefault(key, []).append(fact.received)
    found = {}
    for case in {fact.told.case_id for fact in reports.values()}:
        own = {key: fact for key, fact in reports.items() if fact.told.named and fact.told.case_id == case}
        if own:
            at = min(fact.told.known_at for fact in own.values())
            who = max(fact.facility for fact in own.values() if fact.told.known_at == at)
            lots = {lot for fact in own.values() for lot in fact.told.lots}
            found[case] = (at, who, min(min(heard[key]) for key in own), lots)
    return found


def ruled(rule, lot, facts, cases, sales):
    """Return the alarms of a lot: those that officers closed, in the order of their decisions, and those that last."""
    closings = {}
    for fact in facts:
        if fact.told.fact == "decided":
            closings.setdefault((fact.told.alarm, fact.record.id), []).append(fact.received)
    found, done = [], set()
    for received, _, alarm in sorted((min(times), name, alarm) for (alarm, name), times in closings.items()):
        for named, who, start, what in clusters(rule, lot, cases, sales, done, received, found):
            if named == alarm:
                found.append((named, who, start, max(start, received)))
                done |= what
                break
    last = clusters(rule, lot, cases, sales, done, float("inf"), found)
    return found + [(named, who, start, None) for named, who, start, _ in last]


def clusters(rule, lot, cases, sales, done, received, before):
    own = {case: one for case, one in cases.items() if lot in one[3] and case not in done and one[2] <= received}
    windows = []
    for at in sorted({one[0] for one in own.values()}):
        inside = {case for case, one in own.items() if at - rule.within <= one[0] <= at}
        if len(inside) >= rule.n and is_over(rule, lot, at, len(inside), cases, sales):
            windows.append((at, inside))
    while pair := next(((a, b) for a in windows for b in windows if a is not b and a[1] & b[1]), None):
        windows = [one for one in windows if one is not pair[0] and one is not pair[1]]
        windows.append((min(pair[0][0], pair[1][0]), pair[0][1] | pair[1][1]))
    found = []
    for start, what in windows:
        who = max(one[1] for one in own.values() if one[0] == start)
        use = 1 + sum((start, who) == (other[2], other[1]) for other in before)
        found.append((alarm_id(rule.id, who, {"lot": lot}, start, use), who, start, what))
    return found


def is_over(rule, lot, at, many, cases, sales):
    last = day(at)
    first = last - timedelta(days=rule.over // DAY - 1)
    of_lot = sum(units for when, what, units in sales if what == lot and when <= last)
    of_all = sum(units for when, _, units in sales if first <= when <= last)
    known = sum(first <= day(one[0]) and one[0] <= at for one in cases.values())
    if not of_lot or not of_all:
        return False  # unknown
    return many > Fraction(str(rule.factor)) * (known / Fraction(of_all)) * of_lot


def day(at):
    return (datetime.fromtimestamp(at / 1000, UTC) + ZONE).date()
