"""What holds of a lot, as slowly and plainly as it can be said: from the set of its facts, nothing kept, no order but that of time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from rules.changes import alarm_id

ZONE = timedelta(hours=8)
FACILITY = re.compile(r"[A-Z0-9][A-Z0-9-]{1,31}")


def alarms(facts, bundle):
    """Return {(rule, lot): [(alarm, facility, start, end, severity)]} of all that holds, by start."""
    found = {}
    for lot in sorted({fact.lot for fact in facts}):
        own = whole([fact for fact in facts if fact.lot == lot])
        for rule in bundle.rules:
            if rule.kind not in ("lot_count", "lot_balance") or rule.stage not in ("live", "shadow"):
                continue
            spells = balance(rule, own) if rule.kind == "lot_balance" else count(rule, own)
            told = [
                (alarm_id(rule.id, who, {"lot": lot}, start), who, start, end, rule.severity.base.value)
                for start, end, who in spells
            ]
            if told:
                found[rule.id, lot] = told
    return found


def whole(facts):
    """Return the facts with each (facility, n) once, each event once, and of each report the highest revision alone."""
    once = {(fact.facility, fact.n): fact for fact in facts}
    by_event, rest = {}, []
    for fact in sorted(once.values(), key=lambda fact: fact.n):
        if fact.told.fact in ("made", "moved"):
            by_event.setdefault((fact.facility, fact.event), fact)
        elif fact.told.fact == "stop":
            rest.append(fact)
    reports = {}
    for fact in once.values():
        if fact.told.fact in ("notice", "case"):
            key = (fact.told.fact, fact.facility, fact.told.report)
            if key not in reports or fact.told.revision > reports[key].told.revision:
                reports[key] = fact
    return [*by_event.values(), *rest, *(fact for fact in reports.values() if fact.told.named)], list(reports.values())


def count(rule, own):
    facts, reports = own
    if rule.counted.fact == "case":
        return cluster(rule, facts)
    holders = {fact.facility for fact in facts if fact.told.fact == "made"}
    holders |= {fact.facility for fact in reports if fact.told.fact == "notice"}
    days = [fact.told.expiry for fact in facts if fact.told.fact == "made" and fact.told.expiry is not None]
    over = []
    for fact in facts:
        told = fact.told
        if told.fact != "moved" or told.type not in rule.counted.types or told.quantity == 0:
            continue
        if rule.counted.back and told.to in holders:
            continue
        if rule.behind.fact == "expiry":
            if days and fact.at >= midnight_behind(min(days)):
                over.append((fact.at, fact.facility))
        elif any(fact.at >= known for known in stops(rule, fact.facility, facts)):
            over.append((fact.at, fact.facility))
    return first(over)


def stops(rule, facility, facts):
    for fact in facts:
        if fact.told.fact == "stop" and fact.facility == facility:
            yield fact.at if fact.told.known_at is None else fact.told.known_at
        elif fact.told.fact == "notice":
            yield fact.told.decided_at if fact.facility == facility else fact.told.notified_at + rule.behind.notice


def first(over):
    if not over:
        return []
    start = min(at for at, _ in over)
    return [(start, None, max(who for at, who in over if at == start))]


def cluster(rule, facts):
    known = {}
    for fact in facts:
        if fact.told.fact == "case" and fact.told.seriousness in rule.counted.seriousness:
            known.setdefault(fact.told.case_id, []).append((fact.told.known_at, fact.facility))
    times = {case: min(at for at, _ in told) for case, told in known.items()}
    reached = []
    for case, at in times.items():
        if sum(at - rule.within <= other <= at for other in times.values()) >= rule.n:
            reached += [(at, who) for when, who in known[case] if when == at]
    return first(reached)


def balance(rule, own):
    facts, _ = own
    instants = sorted({fact.at for fact in facts if fact.told.fact in ("made", "moved")})
    spells, begun = [], None
    for at in instants:
        off = [who for who in sorted({fact.facility for fact in facts}) if is_off(rule, who, at, facts)]
        if off and begun is None:
            begun = (at, max(off))
        elif begun is not None and not off:
            spells.append((begun[0], at, begun[1]))
            begun = None
    return [*spells, (begun[0], None, begun[1])] if begun is not None else spells


def is_off(rule, facility, at, facts):
    own = [fact for fact in facts if fact.facility == facility and fact.told.fact in ("made", "moved")]
    if not any(fact.told.type in rule.whole and fact.told.type != "returned" for fact in own):
        return False
    gave = had = Fraction(0)
    for fact in own:
        told = fact.told
        if fact.at > at:
            continue
        if told.type in rule.parts:
            gave += Fraction(str(told.quantity))
        elif told.type == "returned":
            came = told.to == facility or told.from_ != facility
            had += Fraction(str(told.quantity)) if came and "returned" in rule.whole else 0
        elif told.type in rule.whole:
            had += Fraction(str(told.quantity))
    return gave > had + Fraction(str(rule.tolerance))


def midnight_behind(day):
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC) - ZONE + timedelta(days=1)
    return int(begin.timestamp() * 1000)
