"""Kind `runs`: a run of an instrument that was started and never reported, nor aborted with a reason; a number that nobody told of.

By instrument and number, by event time. Numbers rise by one. A start with number 0 or 1, far below the highest before it, begins a new
count: the instrument counts anew; any other lower number was told late, or is used again. What closes a run belongs to the newest start of
its number. A number is missing from the first start above it on, until somebody tells of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from rules.changes import Leaf, Verdict
from rules.instants import format_instant
from rules.layout import HORIZON_MS, NEVER
from rules.leaves.model import Seen, verdict
from rules.ledger.entry import Entry, Met, entries_of, text_of
from rules.ledger.judged import Judged, Run
from rules.rare.match import is_meant, text_of_field
from rules.rare.store import subject_of

if TYPE_CHECKING:
    from rules.rare.store import Fact
    from rules.records import Event
    from rules.rule import RunsRule

STARTED, CLOSED, TOLD, BASE = "started", "closed", "told", "base"
LARGEST = 2**53
"""Numbers of runs lie below it."""
FIRST = (0, 1)
"""Numbers with which a count may begin."""
SHOWN = 8
"""Runs and gaps that the evidence names."""
REMEMBERED = 16
"""Open runs, and gaps, that are remembered of what has left."""


def met(rule: RunsRule, event: Event) -> Met | None:
    """Return what an event is to the rule, None of one that it does not mean."""
    if is_meant(event, rule.run) is not Verdict.TRUE:
        return None
    instrument, state, number = (
        text_of_field(event, "instrument"),
        text_of_field(event, "state"),
        event.fields.get("number"),
    )
    what = {"started": STARTED, "reported": CLOSED, "aborted": CLOSED if text_of_field(event, "reason") else TOLD}.get(
        state or ""
    )
    if instrument is None or what is None or not isinstance(number, int) or isinstance(number, bool):
        return Met(None, "")
    return Met({"instrument": instrument} if 0 <= number < LARGEST else None, text_of(what, number=number))


class Started(NamedTuple):
    """A run with what closed it."""

    number: int
    at: int
    due: int
    """The log time (ms) by which it has to be closed, and known to be."""
    entry: Entry
    closed: int | None = None
    """When it was reported or aborted, event time, ms."""
    closing: Entry | None = None
    """Who said so, where that is kept apart."""

    def is_timely(self, wait: int) -> bool:
        """Say whether it was closed in time, as far as event times go."""
        return self.closed is not None and self.closed <= self.at + wait


class Gap(NamedTuple):
    """Numbers below a start, and above all before it, of which nobody told before."""

    low: int
    high: int
    at: int
    """Of that start, event time ..."""
    due: int
    """... and the log time by which they have to be known."""
    entry: Entry
    missing: int


@dataclass(slots=True)
class Story:
    """What the facts of an instrument say."""

    runs: list[Started] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    highest: list[int] = field(default_factory=list)
    """The highest number of the count behind each start of `runs` that is kept as a fact, by event time."""


def story_of(rule: RunsRule, entries: list[Entry], delivery: int) -> Story:
    """Return the runs of an instrument and the gaps between their numbers.

    Args:
        rule: that asks.
        entries: of the instrument, by event time.
        delivery: how long behind it the facility's records may come, ms: what comes later than in time has so long.
    """
    found, base = Story(), entries[0] if entries and entries[0].what == BASE else None
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


def judge(rule: RunsRule, subject: str, facts: list[Fact], now: int, delivery: int) -> Judged:
    """Return which runs of an instrument were left open at `now` (log time, ms), and which numbers are missing."""
    story, named = story_of(rule, entries_of(facts), delivery), subject_of(subject).get("instrument", "")
    open_runs = [one for one in story.runs if one.closed is None and now >= one.due]
    gaps = [one for one in story.gaps if one.missing and now >= one.due]
    waiting = [one.due for one in story.runs if one.closed is None] + [one.due for one in story.gaps if one.missing]
    leaves = tuple(_leaf_of_run(rule, named, one) for one in open_runs) + tuple(
        _leaf_of_gap(named, one) for one in gaps
    )
    rank = rule.severity.base.rank
    runs = [
        Run(one.at, (one.entry,), False, (_leaf_of_run(rule, named, one),), one.at + rule.wait + HORIZON_MS, rank)  # noqa: FBT003
        for one in story.runs
        if one.closed is not None and not one.is_timely(rule.wait)
    ]
    lasting: list[Started | Gap] = [*open_runs, *gaps]
    runs += [
        Run(one.at, (one.entry,), True, _first(leaves, i), one.at + rule.wait + HORIZON_MS, rank)  # noqa: FBT003
        for i, one in sorted(enumerate(lasting), key=lambda pair: (pair[1].at, pair[0]))
    ]
    last = tuple(_leaf_of_run(rule, named, one) for one in story.runs[-1:])
    seen = (
        Seen("closed", verdict(not open_runs), float(len(story.runs) - len(open_runs)), "=", float(len(story.runs))),
        Seen("complete", verdict(not gaps), float(sum(one.missing for one in gaps)), "=", 0.0),
    )
    again = min((due for due in waiting if due > now), default=NEVER)
    return Judged(tuple(runs), leaves[:SHOWN] or last, again=again, seen=seen if facts else ())


def _first(leaves: tuple[Leaf, ...], own: int) -> tuple[Leaf, ...]:
    """Return the leaf of one of several, and others behind it."""
    return (leaves[own], *leaves[:own], *leaves[own + 1 :])[:SHOWN]


def _leaf_of_run(rule: RunsRule, named: str, one: Started) -> Leaf:
    closed = None if one.closed is None else format_instant(one.closed)
    return Leaf(
        expr=f"run {one.number} of {named}", left=closed, op="<=", right=format_instant(one.at + rule.wait),
        verdict=verdict(one.is_timely(rule.wait)),
    )  # fmt: skip


def _leaf_of_gap(named: str, one: Gap) -> Leaf:
    whole = float(one.high - one.low + 1)
    return Leaf(
        expr=f"runs {one.low} to {one.high} of {named}",
        left=whole - one.missing,
        op="=",
        right=whole,
        verdict=Verdict.FALSE,
    )


def shortened(rule: RunsRule, facts: list[Fact], delivery: int) -> list[Fact]:
    """Return facts with one less: a start takes in what closed it; where none can, the oldest go into one that says what is still open.

    So nothing that was told changes. What comes later with an event time up to that one's is too old for it.
    """
    entries = entries_of(facts)
    story = story_of(rule, entries, delivery)
    for one in story.runs:
        if one.closing is not None:
            rest = [entry for entry in entries if entry is not one.closing]
            if one.entry.what == BASE:
                left = [row for row in one.entry.said["open"] if row != [one.number, one.at, one.due]]
                text = text_of(**(dict(one.entry.said) | {"open": left}))
            else:
                text = text_of(STARTED, number=one.number, closed=one.closed)
            return [replace(entry.fact, text=text) if entry is one.entry else entry.fact for entry in rest]
    return [_base(story, entries[:2]), *(entry.fact for entry in entries[2:])]


def _base(story: Story, left: list[Entry]) -> Fact:
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


def order_of(fact: Fact) -> tuple[bool, str]:
    """Return by what facts of one event time are ordered: starts first, by number, so that it does not matter what was told first."""
    (one,) = entries_of([fact])
    return (False, "") if one.what == BASE else (one.what != STARTED, f"{one.said['number']:016d} {fact.digest}")


def is_too_old(facts: list[Fact], t: int) -> bool:
    """Say whether an event time (ms) lies in what was made one fact."""
    return any(entry.what == BASE and t <= entry.at for entry in entries_of(facts[:1]))
