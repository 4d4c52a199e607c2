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
            if rule.kind == "lot_balance":
                spells = [(alarm_id(rule.id, who, {"lot": lot}, start), who, start, end) for start, end, who in balance(rule, own, [fact for fact in facts if fact.lot == lot])]  # fmt: skip
            else:
                spells = ruled(rule, lot, [fact for fact in facts if fact.lot == lot], own)
            if spells:
                found[rule.id, lot] = [
                    (*spell, rule.severity.base.value) for spell in sorted(spells, key=lambda one: (one[2], one[0]))
                ]
    return found


def ruled(rule, lot, all_facts, own):
    """Return the alarms of a count: those that officers closed, in the order of their decisions, and those that last."""
    counted = counted_of(rule, all_facts, own)
    closings = {(fact.told.alarm, fact.record.id): [] for fact in all_facts if fact.told.fact == "decided"}
    for fact in all_facts:
        if fact.told.fact == "decided":
            closings[fact.told.alarm, fact.record.id].append(fact.received)
    found, done, until = [], set(), float("-inf")
    for received, _, alarm in sorted((min(times), name, alarm) for (alarm, name), times in closings.items()):
        for named, start, who, what in alarms_of(rule, lot, left(rule, counted, done, until, received), found):
            if named == alarm:
                found.append((named, who, start, max(start, received)))
                done, until = done | what, received
                break
    last = alarms_of(rule, lot, left(rule, counted, done, until, float("inf")), found)
    return found + [(named, who, start, None) for named, start, who, _ in last]


def left(rule, counted, done, until, received):
    """Return what counts and no decision is done with: of cases those that it named, of moves all that had come."""
    counted = [one for one in counted if one[3] <= received]
    return [one for one in counted if (one[2] not in done if rule.counted.fact == "case" else one[3] > until)]


def alarms_of(rule, lot, counted, before):
    """Return id, start, facility and what counts of each alarm that some facts make, by start."""
    windows = []
    if rule.counted.fact == "case":
        for at in {one[0] for one in counted}:
            inside = {one[2] for one in counted if at - rule.within <= one[0] <= at}
            if len(inside) >= rule.n:
                windows.append((at, inside))
    elif counted:
        windows.append((min(one[0] for one in counted), {one[2] for one in counted}))
    while pair := next(((a, b) for a in windows for b in windows if a is not b and a[1] & b[1]), None):
        windows = [one for one in windows if one is not pair[0] and one is not pair[1]]
        windows.append((min(pair[0][0], pair[1][0]), pair[0][1] | pair[1][1]))
    found = []
    for start, what in sorted(windows, key=lambda one: one[0]):
        who = max(one[1] for one in counted if one[0] == start)
        use = 1 + sum((start, who) == (other[2], other[1]) for other in before)
        found.append((alarm_id(rule.id, who, {"lot": lot}, start, use), start, who, what))
    return found


def counted_of(rule, all_facts, own):
    """Return (when, who, what, received) of each thing that counts; of a case all who knew of it first."""
    facts, _ = own
    if rule.counted.fact == "case":
        known = {}
        for fact in facts:
            if (
                fact.told.fact == "case"
                and fact.told.seriousness in rule.counted.seriousness
                and is_for(rule, fact.facility, fact.told.known_at, all_facts)
            ):
                known.setdefault(fact.told.case_id, []).append(fact)
        found = []
        for case, reports in known.items():
            at = min(fact.told.known_at for fact in reports)
            received = min(
                other.received
                for fact in reports
                for other in all_facts
                if other.told.fact == "case" and (other.facility, other.told.report) == (fact.facility, fact.told.report)
                and other.told.named and other.told.seriousness in rule.counted.seriousness
            )  # fmt: skip
            found += [(at, fact.facility, case, received) for fact in reports if fact.told.known_at == at]
        return found
    found = []
    for at, who, event in over(rule, own, all_facts):
        received = min(fact.received for fact in all_facts if (fact.facility, fact.event) == (who, event))
        found.append((at, who, event, received))
    return found


def is_for(rule, facility, at, all_facts):
    """Say whether a rule is for a facility at an instant, by what its facts say of the register."""
    said = [fact.scoped for fact in all_facts if fact.facility == facility and fact.scoped is not None]
    named = {}
    for one in said:
        if one.scopes is not None and (one.since is None or one.since <= at):
            named.setdefault(-1 if one.since is None else one.since, []).append(one.scopes)
    if not named:
        return all(one.scopes is not None for one in said)
    own = min(named[max(named)])
    for wanted in rule.scopes:
        for name in own:
            field, line = name.split("/")
            if (wanted.field == field or "all" in {wanted.field, field}) and (
                wanted.line == line or "all" in {wanted.line, line}
            ):
                return True
    return False


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


def over(rule, own, all_facts):
    """Return (when, who, event) of each move at or behind a stop or the expiry."""
    facts, _ = own
    holders = {fact.facility for fact in facts if fact.told.fact == "made" and fact.told.quantity > 0}
    holders |= {fact.facility for fact in facts if fact.told.fact == "notice"}
    days = [fact.told.expiry for fact in facts if fact.told.fact == "made" and fact.told.expiry is not None]
    found = []
    for fact in facts:
        told = fact.told
        if told.fact != "moved" or told.type not in rule.counted.types or told.quantity == 0:
            continue
        if not is_for(rule, fact.facility, fact.at, all_facts):
            continue
        if rule.counted.back and told.to in holders:
            continue
        if rule.behind.fact == "expiry":
            if days and fact.at >= midnight_behind(min(days)):
                found.append((fact.at, fact.facility, fact.event))
        elif any(fact.at >= known for known in stops(rule, fact.facility, facts)):
            found.append((fact.at, fact.facility, fact.event))
    return found


def stops(rule, facility, facts):
    unsaid = [
        fact for fact in facts if fact.told.fact == "stop" and fact.facility == facility and fact.told.known_at is None
    ]
    notice = 0 if any(fact.told.basis != "order" for fact in unsaid) else rule.behind.notice
    for fact in facts:
        if fact.told.fact == "stop" and fact.facility == facility:
            yield fact.at if fact.told.known_at is None else fact.told.known_at
        elif fact.told.fact == "notice":
            yield fact.told.decided_at if fact.facility == facility else fact.told.notified_at + notice


def balance(rule, own, all_facts):
    facts, _ = own
    instants = sorted({fact.at for fact in facts if fact.told.fact in ("made", "moved")})
    spells, begun = [], None
    for at in instants:
        off = [who for who in sorted({fact.facility for fact in facts}) if is_off(rule, who, at, facts, all_facts)]
        if off and begun is None:
            begun = (at, max(off))
        elif begun is not None and not off:
            spells.append((begun[0], at, begun[1]))
            begun = None
    return [*spells, (begun[0], None, begun[1])] if begun is not None else spells


def is_off(rule, facility, at, facts, all_facts):
    own = [fact for fact in facts if fact.facility == facility and fact.told.fact in ("made", "moved")]
    counted = [fact.at for fact in own if fact.at <= at and (fact.told.type in rule.parts or comes(rule, fact))]
    if not counted or not is_for(rule, facility, max(counted), all_facts):
        return False
    if not any(fact.told.type in rule.whole and fact.told.type != "returned" for fact in own):
        return False
    gave = had = Fraction(0)
    for fact in own:
        told = fact.told
        if fact.at > at:
            continue
        if told.type in rule.parts:
            gave += Fraction(str(told.quantity))
        elif comes(rule, fact):
            had += Fraction(str(told.quantity))
    return gave > had + Fraction(str(rule.tolerance))


def comes(rule, fact):
    """Say whether something came to a facility by a fact of it."""
    told = fact.told
    if told.type != "returned" or told.type not in rule.whole:
        return told.type in rule.whole
    named = told.to is not None and FACILITY.fullmatch(told.to)
    return told.to == fact.facility if named else told.from_ != fact.facility


def midnight_behind(day):
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC) - ZONE + timedelta(days=1)
    return int(begin.timestamp() * 1000)
