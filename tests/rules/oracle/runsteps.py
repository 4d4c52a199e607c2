"""Runs of instruments (ADR 0079) step by step: a story told anew for each fact that leaves, by plain scans. Slow, for small tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rules.layout import NEVER
from rules.ledger.entry import Entry, entries_of, text_of
from rules.ledger.runs import BASE, CLOSED, FIRST, REMEMBERED, STARTED, Gap, Started

if TYPE_CHECKING:
    from rules.rare.store import Fact
    from rules.rule import RunsRule


@dataclass
class Steps:
    """What the facts of an instrument say."""

    runs: list[Started] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    highest: list[int] = field(default_factory=list)
    """The highest number of the count behind each start that is kept as a fact."""


def shortened(rule: RunsRule, facts: list[Fact], most: int, delivery: int) -> list[Fact]:
    """Return at most so many facts, one less with each step."""
    while len(facts) > most:
        facts = one_less(rule, facts, delivery)
    return facts


def story_of(rule: RunsRule, entries: list[Entry], delivery: int) -> Steps:
    """Return the runs of an instrument and the gaps between their numbers.

    Args:
        rule: that asks.
        entries: of the instrument, by event time.
        delivery: how long behind it the facility's records may come, ms: what comes later than in time has so long.
    """
    found, base = Steps(), entries[0] if entries and entries[0].what == BASE else None
    highest: int | None = None
    spans: list[tuple[int, int, int, int, Entry, int]] = []
    count = 0
    told: list[tuple[int, int]] = []
    if base is not None:
        highest = base.said["highest"]
        found.runs = [Started(number, at, due, base) for number, at, due in base.said["open"]]
        spans = [(low, high, at, due, base, 0) for low, high, at, due in base.said["missing"]]
    for one in entries[base is not None :]:
        number = one.said["number"]
        if one.what == STARTED:
            due = max(one.at + rule.wait, one.fact.received + delivery)
            if highest is not None and number in FIRST and highest - number >= rule.anew:
                highest, count = number, count + 1
            elif highest is not None and number > highest + 1:
                spans.append((highest + 1, number - 1, one.at, due, one, count))
            highest = number if highest is None else max(highest, number)
            found.highest.append(highest)
            found.runs.append(Started(number, one.at, due, one, one.said.get("closed")))
            told.append((count, number))
        elif one.what == CLOSED and (i := _open(found.runs, number, one.at)) is not None:
            found.runs[i] = found.runs[i]._replace(closed=one.at, closing=one)
        else:
            told.append((count, number))
    for low, high, at, due, entry, of in spans:
        known = {number for other, number in told if other == of and low <= number <= high}
        found.gaps.append(Gap(low, high, at, due, entry, high - low + 1 - len(known)))
    return found


def _open(runs: list[Started], number: int, at: int) -> int | None:
    """Return which run a fact of an event time (ms) closes: the newest of its number that is open."""
    return next(
        (
            i
            for i in reversed(range(len(runs)))
            if (runs[i].number, runs[i].closed) == (number, None) and runs[i].at <= at
        ),
        None,
    )


def one_less(rule: RunsRule, facts: list[Fact], delivery: int) -> list[Fact]:
    """Return facts with one less: a start takes in what closed it; where none can, the oldest go into one that says what is still open.

    So nothing that was told changes. What comes later with an event time up to that one's is too old for it.
    """
    entries = entries_of(facts)
    story = story_of(rule, entries, delivery)
    for one in story.runs:
        if one.closing is not None:
            rest = [entry for entry in entries if entry is not one.closing]
            if one.entry.what == BASE:
                left = list(one.entry.said["open"])
                left.remove([one.number, one.at, one.due])
                text = text_of(**(dict(one.entry.said) | {"open": left}))
            else:
                text = text_of(STARTED, number=one.number, closed=one.closed)
            return [replace(entry.fact, text=text) if entry is one.entry else entry.fact for entry in rest]
    return [_base(story, entries[:2]), *(entry.fact for entry in entries[2:])]


def _base(story: Steps, left: list[Entry]) -> Fact:
    """Return the oldest entries as one: the highest number that they reached, the open runs and the gaps among them."""
    starts = [one for one in left if one.what == STARTED]
    before = left[0].said["highest"] if left[0].what == BASE else None
    highest = story.highest[len(starts) - 1] if starts else before
    away = {id(one) for one in left}
    runs = [[one.number, one.at, one.due] for one in story.runs if id(one.entry) in away and one.closed is None]
    numbers = sorted({one.said["number"] for one in left if one.what != BASE})
    gaps: list[list[int]] = []
    for one in story.gaps:
        if id(one.entry) not in away or not one.missing:
            continue
        low = one.low
        for number in [*(it for it in numbers if one.low <= it <= one.high), one.high + 1]:
            if low < number:
                gaps.append([low, number - 1, one.at, one.due])
            low = number + 1
    told = min((one.fact.due for one in left), default=NEVER)
    text = text_of(BASE, highest=highest, open=runs[-REMEMBERED:], missing=gaps[-REMEMBERED:])
    holds = any(one.fact.counts for one in left)
    return replace(left[-1].fact, text=text, due=told, counts=holds)
