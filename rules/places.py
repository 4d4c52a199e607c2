"""When an area or a whole feed falls silent: what its series sent last, and when more was due (ADR 0002)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rules.layout import NEVER, NONE
from rules.rises import ALL, AREAS, FREE, rises

if TYPE_CHECKING:
    import numpy.typing as npt

    from rules.groups import Key
    from rules.layout import Words
    from rules.plan import Plan
    from rules.state import FacilityState

FEWEST = 2
"""Series that make a place: of one, its own alarm says the same (ADR 0002)."""


def _words() -> Words:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Grouping:
    """The places whose silence a plan groups and that can fall silent, as the compiled pass reads them (rules/rises.py)."""

    keys: tuple[Key, ...] = ()
    """Rule and place of each."""
    number: dict[Key, int] = field(default_factory=dict)
    """Where each stands."""
    rules: tuple[str, ...] = ()
    """Their rules, by number."""
    areas: tuple[str, ...] = ()
    """All areas of the plan, by number; one more stands for the whole facility."""
    area_of: Words = field(default_factory=_words)
    """The area of each series, by number."""
    area: Words = field(default_factory=_words)
    rule: Words = field(default_factory=_words)
    first: Words = field(default_factory=lambda: np.zeros(1, np.int64))
    block: Words = field(default_factory=_words)
    series: Words = field(default_factory=_words)


def grouping_of(plan: Plan) -> Grouping:
    """Return the places of a plan that is made but for them."""
    areas = {area: i for i, area in enumerate(area for area in plan.places if area)}
    keys = [key for key in plan.grouped if plan.places[key[1]].size >= FEWEST]
    rules = {rule: i for i, rule in enumerate(dict.fromkeys(rule for rule, _ in keys))}
    members = [plan.silent[key] for key in keys]
    every = np.concatenate([_words(), *members])
    return Grouping(
        tuple(keys), {key: i for i, key in enumerate(keys)}, tuple(rules), tuple(areas),
        np.array([areas[sensor.area] for sensor in plan.sensors], np.int64),
        np.array([areas.get(place, len(areas)) for _, place in keys], np.int64),
        np.array([rules[rule] for rule, _ in keys], np.int64),
        np.cumsum([0, *(one.size for one in members)]), plan.gap_at[every], plan.series_at[plan.gap_slots[every]],
    )  # fmt: skip


def grouped(plan: Plan) -> dict[Key, None]:
    """Return rule and place of the silences that a plan groups, in its order."""
    first = np.array([members[0] for members in plan.silent.values()], np.int64)
    by = {level: plan.gap_param(level, first).tolist() for level in ("area", "facility")}
    chosen = zip(plan.silent, by["area"], by["facility"], strict=True)
    return {key: None for key, area, facility in chosen if (area if key[1] else facility)}


def refresh_due(state: FacilityState) -> None:
    """Recompute the earliest decision by the clock, silences of places included.

    Those of places without a silent series are never before their series' own, which is looked at together with its places (`rising`).
    """
    state.rises = all_rises(state) if state.refresh_due() and state.plan is not None else None
    if state.rises is not None:
        state.next_due = min(state.next_due, int(state.rises.min(initial=NEVER)))


def all_rises(state: FacilityState) -> Words:
    """Return when each place of `Plan.watch` falls silent as a whole if nothing more comes, NEVER if it cannot."""
    plan, groups = state.planned, state.groups
    grouping = plan.grouping
    out = np.empty(len(grouping.keys), np.int64)
    over = np.array([_over(state, rule) for rule in grouping.rules], np.uint8)
    rises(
        state.words, plan.series_at, grouping.area_of, len(grouping.areas), grouping.area, grouping.rule, grouping.first, grouping.block, grouping.series,
        groups.own(), over, plan.facility.delivery, max(state.clock, state.floor), out,
    )  # fmt: skip
    return out


def _over(state: FacilityState, rule: str) -> int:
    """Return what of a rule's places cannot fall silent.

    All of a rule that is put aside; the areas under a silence of the whole feed that lasts, or that has ended and is still to release them.
    """
    if state.is_muted(rule):
        return ALL
    over = any(group.occurrence.active or group.release != NEVER for group in reversed(state.groups.of(rule, "")))
    return AREAS if over else FREE


def is_held(state: FacilityState, rule: str, place: str) -> bool:
    """Say whether a silence stands over a place, or one of the whole feed that has ended is still to release it, or the rule is put aside."""
    own = state.groups.standing(rule, place) is not None
    return own or _over(state, rule) >= (AREAS if place else ALL)


def rising(state: FacilityState, due: int) -> list[Key]:
    """Return the places that fall silent as a whole by an instant."""
    keys = state.planned.grouping.keys
    return [keys[i] for i in np.flatnonzero(all_rises(state) <= due).tolist()]


def rising_next(state: FacilityState) -> list[Key]:
    """Return the places that fall silent by the instant that is due next, where nothing has changed since that was looked for."""
    keys, rises = state.planned.grouping.keys, all_rises(state) if state.rises is None else state.rises
    return [keys[i] for i in np.flatnonzero(rises <= state.next_due).tolist()]


def _last_row(state: FacilityState, slots: npt.NDArray[np.int64]) -> int:
    """Return when the newest row of these series was received; of those that never sent, when they were registered."""
    received = state.column("recv", slots)
    sent = state.column("batch", slots) != NONE
    return int((received[sent] if sent.any() else received).max())


def begin(state: FacilityState, plan: Plan, rule_id: str, place: str, due: int) -> tuple[int, int]:
    """Return the start of a place's silence, and the instant from which its colours count.

    Of its overdue series count those that stopped with it, and those whose record was due after its last row had come:
    a series that was dead before says nothing of when the others stopped.
    """
    members = plan.silent[rule_id, place]
    own, active, lo = plan.gap_slots[members], state.gap_column("active", members) == 1, state.gap_column("lo", members)
    newest = _last_row(state, plan.places[place])
    starts = np.where(active, state.gap_column("start_t", members), lo + plan.gap_param("pace", members))
    overdue = active | (state.gap_column("due", members) <= due)
    last = state.column("recv", own) + plan.facility.delivery >= newest
    chosen = overdue & (last | (starts > newest))
    return int(starts[chosen].min()), int((lo + state.column("ext", own))[chosen].min())
