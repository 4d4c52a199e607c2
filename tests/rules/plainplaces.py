"""When places fall silent, and which silences of places are forgotten, one after the other in plain Python: what rules/rises.py and rules/forgetting.py look up."""

from __future__ import annotations

from rules import horizon
from rules.layout import GAP, HORIZON_MS, NEVER, NONE


def rises(state, rule, place):
    """Return when a place falls silent as a whole if nothing more comes, NEVER if it cannot (docs/engine-semantics.md, "gap")."""
    plan, delivery = state.plan, state.plan.facility.delivery
    members = [plan.gaps[i] for i in plan.silent[rule, place].tolist()]
    over = [group for group in state.groups if group.rule == rule and group.place in {"", place}]
    held = any(g.occurrence.active or (g.release != NEVER and g.place != place) for g in over)
    if held or state.is_muted(rule):
        return NEVER
    slots = plan.places[place].tolist()
    heard = [slot for slot in slots if state.of_series("batch", slot) != NONE] or slots
    newest = max(state.of_series("recv", slot) for slot in heard)
    found = []
    for one in members:
        received = state.of_series("recv", one.slot)
        if received + delivery >= newest:
            wait = delivery if received == newest else delivery * 3 // 2
            quiet = newest + wait + state.of_series("ext", one.slot)
            found.append(quiet if state.of(one, "active") else max(quiet, state.of(one, "due")))
    return max(min(found), state.clock, state.floor) if found else NEVER


def asked(plan):
    """Return the places that a plan groups and that have two series, by rule and place."""
    found = set()
    for (rule, place), members in plan.silent.items():
        groups = plan.gaps[int(members[0])].rule.groups
        if ("area" if place else "facility") in groups and plan.places[place].size >= 2:
            found.add((rule, place))
    return found


def kept(state, newest, most):
    """Return the numbers of the groups that stay when another one is raised; at most so many only wait."""
    plan, edge = state.plan, newest - HORIZON_MS
    ahead = {state.of(one, "lo") + state.param(one, "pace") for one in plan.gaps}
    ahead |= {state.of(one, "start_t") for one in plan.gaps if state.of(one, "active")}
    oldest = min(max(state.of_series("last_t", slot), state.registered[tag]) for tag, slot in plan.slots.items())
    watched = {key for key in plan.grouped if not state.is_muted(key[0])}
    open_ones = undecided(state)
    stay, newer = set(), set()
    waiting = away = 0
    for group in sorted(state.groups, key=lambda one: (not one.place, -one.number)):
        told = group.occurrence
        same = (group.rule, group.place, told.first_start)
        held = told.active or group.release != NEVER or told.children
        if not held and same in newer:
            continue
        newer.add(same)
        stays = told.active or group.release != NEVER or told.end > edge or told.first_start in ahead
        if not stays and same[:2] not in watched and told.first_start > oldest:
            stays = away < most
            away += 1
        whole = all(gone or alarm in open_ones for alarm, gone in told.children.items())
        if held and not told.retracted and whole:
            waits = bool(not told.active and told.children)
            if stays or waiting < most:
                open_ones.add(told.alarm)
                stays = stays or waits
            waiting += waits
        if stays:
            stay.add(group.number)
    return stay


def undecided(state):
    """Return the alarms of silent tags that stand, or that late data may still retract."""
    found, plan = set(), state.plan
    for (kind, _, tag), rows in state.occurrences.items():
        if kind == GAP and tag in plan.slots:
            edge = horizon.edge_of(plan.params, plan.where, plan.slots[tag], state.words, state.rings)
            found |= {one.alarm for one in rows if not one.retracted and (one.end == NONE or one.end > edge)}
    return found
