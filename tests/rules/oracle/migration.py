"""Packs that change rules, in plain words: carried, decided again, or begun anew."""

from __future__ import annotations

from copy import deepcopy

from rules.facts import facts_of
from rules.params import UNREGISTERED_INTERVAL_MS
from rules.predicate import matches
from rules.rule import CumulativeRule, DeadlineRule, FrozenRule, GapRule, JumpRule, LimitRule, MeanKineticRule
from tests.rules.oracle import exceptions, jump, opengaps, rare
from tests.rules.oracle.gap import Silent
from tests.rules.oracle.late import differences, occurrences
from tests.rules.oracle.watches import watch as watch_of

ORDER = [LimitRule, FrozenRule, GapRule, CumulativeRule, MeanKineticRule, None, JumpRule]
"""In this order the alarms of rules that begin anew end."""
SAME = {"version": "1.0.0", "migration": None, "title": None, "tests": [], "exceptions": None}


def what_of(old, new):
    """Return {rule: what becomes of it} of the rules that were changed."""
    before = {rule.id: rule.model_copy(update=SAME) for rule in old.rules}
    return {
        rule.id: rule.migration or "carry"
        for rule in new.rules
        if (rule.id in before or not isinstance(rule, DeadlineRule)) and before[rule.id] != rule.model_copy(update=SAME)
    }


def adopt(facility, bundle, now, until=None):
    """Let packs with the same rules in other versions come into force for a facility, or site exceptions begin and end.

    Args:
        facility: whose clock it is.
        bundle: in force from `now` on.
        now: the clock.
        until: up to when the old numbers decide, where that is not `now` itself.
    """
    facility.now = now
    old, facility.bundle = facility.bundle, bundle
    if facility.silences is None:
        return
    if bundle.rules and all(isinstance(rule, rare.RARE) for rule in bundle.rules):
        facility.rare.packs(bundle, now)
        return
    if any(isinstance(rule, rare.RARE) for rule in bundle.rules):
        raise AssertionError("the oracle takes no change of packs with rules over rare records")
    what = what_of(old, bundle)
    rules = {rule.id: rule for rule in bundle.rules}
    facility.decide_late(facility.waiting(), now)
    for pair in sorted(facility.pairs, key=lambda p: (p.place, p.name)):
        if pair.waits is not None:
            pair.decide(pair.waits, now, facility)
    closed = {name for name, how in what.items() if how == "close"}
    silenced = [w for w in facility.watches if exceptions.muted(facility, rules[w.rule.id], w.tag)]
    close(facility, closed, now, silenced)
    facility.clocks.leave(bundle, facility.registered, now, closed)
    facility.clocks.adopt(now)
    ended = {w.tag for w in silenced}
    ended |= {m.tag for m in facility.silences.tags if m.rule.id in closed}
    again = []
    watches = []
    for watch in facility.watches:
        if watch in silenced:
            continue
        new = renewed(facility, watch, rules[watch.rule.id])
        how = what.get(watch.rule.id, "carry")
        series = facility.series[watch.tag]
        same = (
            new.numbers == watch.numbers
            if not isinstance(new.numbers, jump.Jumps)
            else (new.numbers.limits == watch.numbers.limits)
        )
        if how == "close":
            new.begin = new.cut = len(series.rows)
            ended.add(watch.tag)
        else:
            new.begin, new.cut, new.base = watch.begin, watch.cut, watch.base
            new.events, new.said, new.taken = watch.events, watch.said, watch.taken
        if how != "close" and not same:
            ended.add(watch.tag)
            if how == "re-evaluate" and not watch.excepted and not new.excepted:
                again.append((new, watch))
            else:
                carry(new, watch, series, now, until)
        watches.append(new)
    watches += returned(facility, watches, ended)
    for new, watch in sorted(again, key=lambda pair: (pair[0].place, pair[0].tag)):
        decide_again(facility, new, watch, now)
    facility.watches = watches
    facility.silences.tags = [
        anew(facility, m, rules[m.rule.id], now) if m.rule.id in closed else m for m in facility.silences.tags
    ]
    for tag in ended:
        rows = facility.series[tag].rows
        if rows:
            facility.series[tag].floor = rows[-1][0]
            opengaps.forget(facility.series[tag])
    facility.silences.changed = now


def returned(facility, watches, ended):
    """Return the watches of rules that no exception mutes any more: they begin with what comes."""
    there = {(watch.rule.id, watch.tag) for watch in watches}
    found = []
    for place, rule in enumerate(facility.bundle.rules):
        for sensor in facility.registered.sensors:
            facts = facts_of(facility.registered, sensor)
            if (rule.id, sensor.tag) in there or not matches(rule, facility.registered, facts):
                continue
            interval = sensor.interval or UNREGISTERED_INTERVAL_MS
            span = facility.ranges[sensor.tag]
            new = watch_of(facility, rule, place, sensor, interval, facts, span)
            if new is not None:
                new.begin = new.cut = len(facility.series[sensor.tag].rows)
                ended.add(sensor.tag)
                found.append(new)
    return found


def close(facility, closed, now, silenced=()):
    standing = [
        ((ORDER.index(type(w.rule)), w.tag, w.place), w, said)
        for w in facility.watches
        for said in w.said
        if (w.rule.id in closed or w in silenced) and said.end is None and not said.retracted
    ]
    silences = facility.silences
    silent = [
        ((ORDER.index(GapRule), m.tag, m.place), m, m.open)
        for m in silences.tags
        if m.rule.id in closed and m.open is not None
    ]
    for _, item, said in sorted(standing + silent, key=lambda part: part[0]):
        if isinstance(item, Silent):
            said["end"] = max(now, said["start"])
            silences.say_tag(item, said, "cleared", now, now)
            continue
        said.end, said.unknown = max(now, said.start), False
        facility.say("cleared", item.rule, item.subject, said.name, said.colour, said.start, said.end, now, now)
    for group in sorted(silences.groups, key=lambda g: (g.rule.id, g.where)):
        if group.rule.id not in closed:
            continue
        if group.live:
            group.record["end"] = max(now, group.record["start"])
            silences.say_group(group, "cleared", now, now)
    for group in silences.groups:
        if group.rule.id in closed:
            group.release, group.children = None, []


def renewed(facility, watch, rule):
    """Return the watch with the numbers of the new version."""
    sensor = next(s for s in facility.registered.sensors if s.tag == watch.tag)
    interval = sensor.interval or UNREGISTERED_INTERVAL_MS
    facts = facts_of(facility.registered, sensor)
    return watch_of(facility, rule, watch.place, sensor, interval, facts, facility.ranges[watch.tag])


def numbers(watch):
    return watch.numbers.limits if isinstance(watch.numbers, jump.Jumps) else watch.numbers


def carry(new, watch, series, now, until):
    """Go on from all that was decided until then: at a border also what fell due with the newest row."""
    run = watch.run(series, None, now if until is None else None)
    if until is not None and series.rows:
        run.clock(until)
    assert [e.kind for e in run.events] == [e.kind for e in watch.events]
    run.adopt(numbers(new), now)
    new.base, new.cut, new.events = run, len(series.rows), list(run.events)


def decide_again(facility, new, watch, now):
    """Go on from where the horizon begins, over its rows, with the new numbers; say what is different."""
    series = facility.series[watch.tag]
    edge = len(series.rows)
    if series.rows and series.rows[-1][0] > series.floor:
        edge -= len(series.ring())
    base = watch.run(series, edge, None)
    base.adopt(numbers(new))
    new.base, new.cut = base, edge
    run = new.run(series, None, now)
    for found in differences(new.said, occurrences(run.events)):
        facility.late(new, found, now, now, late=False)
    run = deepcopy(run)
    run.adopt(numbers(new), now)
    new.base, new.cut, new.events = run, len(series.rows), list(run.events)


def anew(facility, silent, rule, now):
    """Return the silence of a series under a rule that begins anew."""
    sensor = next(s for s in facility.registered.sensors if s.tag == silent.tag)
    found = Silent(rule, silent.place, sensor, silent.delivery, silent.since)
    rows = facility.series[silent.tag].rows
    newest = rows[-1][0] if rows else -1
    found.door, found.past, found.marks = silent.door, silent.past, silent.marks
    found.lo, found.fresh, found.floor = max(newest, silent.since), newest <= silent.since, now
    return found
