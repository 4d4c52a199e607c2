"""Explanations of numbers of feeds: what became of each that came, by the engine's books."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rules.explainparts import Told
from rules.layout import NEVER
from rules.leaves.sequence import told_of
from rules.rare.store import Case

if TYPE_CHECKING:
    from rules.leaves.model import Seen
    from rules.leaves.sequence import Told as Number
    from rules.records import LogRecord
    from rules.rule import ClockRule
    from rules.state import FacilityState


def numbers_of(
    rule: ClockRule, log: list[LogRecord], state: FacilityState, at: int
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:
    """Return what became of numbers, and the leaves of the newest, by subject: what is missing of a feed, and its order."""
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    for one in told_of(rule, log, at):
        for subject in one.subjects:
            leaves.setdefault(subject, {}).update((seen.name, seen) for seen in one.moment.leaves)
            if one.item is not None:
                found.setdefault(subject, []).append(_told(one, state.rare.of(rule.id).get(subject, Case())))
    return found, leaves


def _told(one: Number, case: Case) -> Told:
    item = one.item
    assert item is not None  # noqa: S101 - asked before
    stream, _, kind = one.what.partition(" ")
    said: dict[str, Any] = {"stream": stream, **({"type": kind} if kind else {}), "seq": item.number}
    new = Told(item.lo, item.received, item.batch, "again" if one.again else "heard", said)
    for fact in () if one.again else case.facts:
        if fact.digest == one.digest or (fact.due == NEVER and fact.counts and _left_out(one, fact.batch, fact.t)):
            new.fate = "occasion"
        elif fact.due != NEVER and _left_out(one, fact.batch, fact.t):
            new.fate, new.until, new.decided = "awaited", fact.due, fact.due
    if new.fate == "heard" and one.digest in case.seen:
        new.fate = "done"
    return new


def _left_out(one: Number, batch: str, seen: int) -> bool:
    """Say whether numbers before this one were missed when it came."""
    item = one.item
    gaps = [leaf for leaf in one.moment.leaves if leaf.name == "gap"]
    return (
        item is not None
        and bool(gaps)
        and gaps[0].verdict.value == "true"
        and (item.batch, item.received) == (batch, seen)
    )
