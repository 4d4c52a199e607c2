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
    past: int = 0
    """So many of the gaps, the first ones, are of counts that were over when they left."""


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
    ahead: set[int] = set()
    if base is not None:
        highest = base.said["highest"]
        found.runs = [Started(number, at, due, base) for number, at, due in base.said["open"]]
        spans = [(low, high, at, due, base, -1) for low, high, at, due in base.said.get("past", [])]
        found.past, ahead = len(spans), ahead_of(base)
        spans += [(low, high, at, due, base, 0) for low, high, at, due in base.said["missing"]]
    for one in entries[base is not None :]:
        number = one.said["number"]
        if one.what == STARTED:
            due = max(one.at + rule.wait, one.fact.received + delivery)
            if highest is not None and number in FIRST and highest - number >= rule.anew:
                highest, count = number, count + 1
            elif highest is not None and number > highest + 1:
                known = ahead if count == 0 else set()
                spans += [(low, high, one.at, due, one, count) for low, high in pieces(highest + 1, number - 1, known)]
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


def ahead_of(base: Entry | None) -> set[int]:
    """Return the numbers above all starts that somebody told of and that have left."""
    rows = [] if base is None else base.said.get("ahead", [])
    return {number for low, high in rows for number in range(low, high + 1)}


def pieces(low: int, high: int, numbers: set[int]) -> list[list[int]]:
    """Return what is left of a gap without some numbers."""
    found = []
    for number in [*sorted(one for one in numbers if low <= one <= high), high + 1]:
        if low < number:
            found.append([low, number - 1])
        low = number + 1
    return found


def stretches(numbers: set[int]) -> list[list[int]]:
    """Return numbers as stretches; while there are too many, the two that lie closest are one."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    while len(found) > REMEMBERED:
        _, i = min((found[i + 1][0] - found[i][1], i) for i in range(len(found) - 1))
        found[i : i + 2] = [[found[i][0], found[i + 1][1]]]
    return found


def _base(story: Steps, left: list[Entry]) -> Fact:
    """Return the oldest entries as one: the highest number that they reached, the open runs and the gaps among them, numbers ahead."""
    base = left[0] if left[0].what == BASE else None
    starts = [one for one in left if one.what == STARTED]
    before = None if base is None else base.said["highest"]
    highest = story.highest[len(starts) - 1] if starts else before
    away = {id(one) for one in left}
    runs = [[one.number, one.at, one.due] for one in story.runs if id(one.entry) in away and one.closed is None]
    numbers = {one.said["number"] for one in left if one.what != BASE}
    past, gaps = [], []
    # A start that counts anew: what was missing before it stays so.
    first = story.highest[0] if before is None and starts else before
    is_anew = bool(starts) and first is not None and highest is not None and highest < first
    for i, one in enumerate(story.gaps):
        if id(one.entry) not in away or (i >= story.past and not one.missing):
            continue
        if i < story.past or (is_anew and one.entry is base):
            past.append([one.low, one.high, one.at, one.due])
        else:
            gaps += [[low, high, one.at, one.due] for low, high in pieces(one.low, one.high, numbers)]
    over = max(0, len(past) + len(gaps) - REMEMBERED)
    ahead = set() if is_anew else ahead_of(base)
    reached = before
    for one in left if base is None else left[1:]:
        if one.what == STARTED:
            reached = story.highest[starts.index(one)]
            ahead = {number for number in ahead if number > reached}
        elif reached is None or one.said["number"] > reached:
            ahead.add(one.said["number"])
    more = {"past": past[over:], "ahead": stretches(ahead)}
    told = min((one.fact.due for one in left), default=NEVER)
    text = text_of(
        BASE, highest=highest, open=runs[-REMEMBERED:], missing=gaps[max(0, over - len(past)) :],
        **{name: rows for name, rows in more.items() if rows},
    )  # fmt: skip
    holds = any(one.fact.counts for one in left)
    return replace(left[-1].fact, text=text, due=told, counts=holds)
