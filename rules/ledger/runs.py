"""Kind `runs`: a run of an instrument that was started and never reported, nor aborted with a reason; a number that nobody told of.

By instrument and number, by event time. Numbers rise by one. A start with number 0 or 1, far below the highest before it, begins a new
count: the instrument counts anew; any other lower number was told late, or is used again. What closes a run belongs to the newest start of
its number. A number is missing from the first start above it on, until somebody tells of it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from rules.changes import Leaf, Verdict
from rules.instants import format_instant
from rules.layout import HORIZON_MS, NEVER
from rules.leaves.model import Seen, verdict
from rules.ledger.entry import Entry, Met, entries_of, text_of
from rules.ledger.judged import Judged, Run
from rules.rare.match import is_meant, text_of_field
from rules.rare.store import subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rules.rare.store import Fact
    from rules.records import Event
    from rules.rule import RunsRule

STARTED, CLOSED, TOLD, BASE = "started", "closed", "told", "base"
OVER = -1
"""The count of gaps of a count that was over when they left: nobody can tell of their numbers any more."""
LARGEST = 2**53
"""Numbers of runs lie below it."""
FIRST = (0, 1)
"""Numbers with which a count may begin."""
SHOWN = 8
"""Runs and gaps that the evidence names."""
REMEMBERED = 16
"""Open runs, gaps, and stretches of numbers told of ahead of all starts, that are remembered of what has left."""


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


class _Numbers:
    """Numbers of which somebody tells, some of them more than once."""

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._times = Counter(numbers)
        self._sorted = sorted(self._times)

    def among(self, low: int, high: int) -> int:
        """Return of how many numbers from `low` to `high` somebody tells."""
        return bisect_right(self._sorted, high) - bisect_left(self._sorted, low)

    def drop(self, number: int) -> None:
        """Let one who tells of a number go."""
        self._times[number] -= 1
        if not self._times[number]:
            del self._sorted[bisect_left(self._sorted, number)]


def _is_anew(rule: RunsRule, highest: int | None, number: int) -> bool:
    """Say whether a start with a number begins a new count behind the highest of the one before."""
    return highest is not None and number in FIRST and highest - number >= rule.anew


def _due(rule: RunsRule, one: Entry, delivery: int) -> int:
    """Return the log time (ms) by which a start has to be closed, and known to be."""
    return max(one.at + rule.wait, one.fact.received + delivery)


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
    told: list[list[int]] = [[]]  # of each count
    ahead: list[list[int]] = []
    opened: dict[int, list[int]] = {}  # number -> which runs of it are open
    if base is not None:
        highest = base.said["highest"]
        found.runs = [Started(number, at, due, base) for number, at, due in base.said["open"]]
        spans = [(low, high, at, due, base, OVER) for low, high, at, due in base.said.get("past", ())]
        spans += [(low, high, at, due, base, 0) for low, high, at, due in base.said["missing"]]
        ahead = base.said.get("ahead", [])
        for place, one in enumerate(found.runs):
            opened.setdefault(one.number, []).append(place)
    for entry in entries[base is not None :]:
        number = entry.said["number"]
        if entry.what == STARTED:
            due = _due(rule, entry, delivery)
            if _is_anew(rule, highest, number):
                highest = number
                told.append([])
            elif highest is not None and number > highest + 1:
                of, known_before = len(told) - 1, ahead if len(told) == 1 else []
                pieces = _but([highest + 1, number - 1], known_before)
                spans += [(low, high, entry.at, due, entry, of) for low, high in pieces]
            highest = number if highest is None else max(highest, number)
            found.runs.append(Started(number, entry.at, due, entry, entry.said.get("closed")))
            if found.runs[-1].closed is None:
                opened.setdefault(number, []).append(len(found.runs) - 1)
            told[-1].append(number)
        elif entry.what == CLOSED and (i := _open(found.runs, opened.get(number, []), entry.at)) is not None:
            found.runs[i] = found.runs[i]._replace(closed=entry.at, closing=entry)
            opened[number].remove(i)
        else:
            told[-1].append(number)
    known = [_Numbers(numbers) for numbers in told]
    for low, high, at, due, entry, of in spans:
        told_of = 0 if of == OVER else known[of].among(low, high)
        found.gaps.append(Gap(low, high, at, due, entry, high - low + 1 - told_of))
    return found


def _open(runs: list[Started], opened: list[int], at: int) -> int | None:
    """Return which run a fact of an event time (ms) closes: the newest one of those of its number that are open."""
    return next((i for i in reversed(opened) if runs[i].at <= at), None)


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


def shortened(rule: RunsRule, facts: list[Fact], most: int, delivery: int) -> list[Fact]:
    """Return at most so many facts: starts take in what closed them, the first ones first; then the oldest become one that says what is open.

    So nothing that was told changes. What comes later with an event time up to that one's is too old for it.
    """
    entries = entries_of(facts)
    closed = [one for one in story_of(rule, entries, delivery).runs if one.closing is not None]
    closed = closed[: max(0, len(entries) - most)]
    texts: dict[int, str] = {}
    for one in closed:
        if one.entry.what != BASE:
            texts[id(one.entry)] = text_of(STARTED, number=one.number, closed=one.closed)
    if rows := [[one.number, one.at, one.due] for one in closed if one.entry.what == BASE]:
        said = dict(entries[0].said) | {"open": list(entries[0].said["open"])}
        for row in rows:
            said["open"].remove(row)  # one of those that are equal
        texts[id(entries[0])] = text_of(**said)
    away = {id(one.closing) for one in closed}
    kept = [
        replace(entry.fact, text=texts[id(entry)]) if id(entry) in texts else entry.fact
        for entry in entries
        if id(entry) not in away
    ]
    return kept if len(kept) <= most else _joined(rule, entries_of(kept), len(kept) - most + 1, delivery)


def _joined(rule: RunsRule, entries: list[Entry], many: int, delivery: int) -> list[Fact]:
    """Return facts with so many of the oldest as one, none of which closes a run that is kept.

    It says the highest number that they reached, the open runs and the gaps among them, those of counts that are over apart, and the
    numbers above the highest that somebody told of. As if one of them joined it after the other: from each on, a gap of which all numbers
    are told of then by what has not joined yet is none any more.
    """
    base, left = entries[0] if entries[0].what == BASE else None, entries[:many]
    said: Mapping[str, Any] = {} if base is None else base.said
    highest: int | None = said.get("highest")
    runs, gaps, past, ahead = (list(said.get(name, ())) for name in ("open", "missing", "past", "ahead"))
    first = int(base is not None)
    later = _of_count(rule, entries, first, highest)
    for i, one in enumerate(left[first:], first):
        number = one.said["number"]
        if one.what == STARTED:
            due = _due(rule, one, delivery)
            if is_anew := _is_anew(rule, highest, number):
                past, gaps, ahead = [*past, *gaps], [], []
                later = _of_count(rule, entries, i, number)
            elif highest is not None and number > highest + 1:
                gaps += [[*piece, one.at, due] for piece in _but([highest + 1, number - 1], ahead)]
            highest = number if is_anew or highest is None else max(highest, number)
            ahead = [[max(low, highest + 1), high] for low, high in ahead if high > highest]
            if one.said.get("closed") is None:
                runs.append([number, one.at, due])
        elif highest is None or number > highest:
            ahead = _with(ahead, number)
        gaps = [
            piece for gap in gaps if later.among(gap[0], gap[1]) <= gap[1] - gap[0] for piece in _without(gap, number)
        ]
        over = max(0, len(past) + len(gaps) - REMEMBERED)
        past, gaps = past[over:], gaps[max(0, over - len(past)) :]
        later.drop(number)
    told = min((one.fact.due for one in left), default=NEVER)
    more = {name: rows for name, rows in (("past", past), ("ahead", ahead)) if rows}
    text = text_of(BASE, highest=highest, open=runs[-REMEMBERED:], missing=gaps, **more)
    holds = any(one.fact.counts for one in left)
    return [
        replace(left[-1].fact, text=text, due=told, counts=holds),
        *(entry.fact for entry in entries[many:]),
    ]


def _of_count(rule: RunsRule, entries: list[Entry], first: int, highest: int | None) -> _Numbers:
    """Return the numbers of the entries from one on until another count begins."""
    numbers = []
    for i, one in enumerate(entries[first:]):
        number = one.said["number"]
        if one.what == STARTED:
            if i and _is_anew(rule, highest, number):
                break
            highest = number if highest is None else max(highest, number)
        numbers.append(number)
    return _Numbers(numbers)


def _without(gap: list[int], number: int) -> list[list[int]]:
    """Return what is left of a gap when somebody tells of a number.

    >>> _without([3, 9, 0, 0], 4), _without([3, 3, 0, 0], 3)
    ([[3, 3, 0, 0], [5, 9, 0, 0]], [])
    """
    low, high, *rest = gap
    if not low <= number <= high:
        return [gap]
    return [[begin, end, *rest] for begin, end in ((low, number - 1), (number + 1, high)) if begin <= end]


def _but(gap: list[int], known: list[list[int]]) -> list[list[int]]:
    """Return what is left of a gap when somebody told of stretches of numbers before, lowest first.

    >>> _but([3, 9], [[1, 3], [5, 6], [9, 12]]), _but([3, 4], [[2, 5]])
    ([[4, 4], [7, 8]], [])
    """
    low, end = gap
    found = []
    for begin, last in known:
        if low < begin <= end:
            found.append([low, begin - 1])
        low = max(low, last + 1) if begin <= end else low
    return [*found, [low, end]] if low <= end else found


def _with(known: list[list[int]], number: int) -> list[list[int]]:
    """Return stretches of numbers with one more; of too many the closest are taken as one: rather none is missing.

    >>> _with([[3, 4], [6, 9]], 5), _with([[3, 4]], 3), _with([[3, 4]], 9)
    ([[3, 9]], [[3, 4]], [[3, 4], [9, 9]])
    """
    found: list[list[int]] = []
    for low, high in sorted([*known, [number, number]]):
        if found and low <= found[-1][1] + 1:
            found[-1] = [found[-1][0], max(high, found[-1][1])]
        else:
            found.append([low, high])
    if len(found) > REMEMBERED:
        i = min(range(1, len(found)), key=lambda i: (found[i][0] - found[i - 1][1], i))
        found[i - 1 : i + 1] = [[found[i - 1][0], found[i][1]]]
    return found


def order_of(fact: Fact) -> tuple[bool, str]:
    """Return by what facts of one event time are ordered: starts first, by number, so that it does not matter what was told first."""
    (one,) = entries_of([fact])
    return (False, "") if one.what == BASE else (one.what != STARTED, f"{one.said['number']:016d} {fact.digest}")


def is_too_old(facts: list[Fact], t: int) -> bool:
    """Say whether an event time (ms) lies in what was made one fact."""
    return any(entry.what == BASE and t <= entry.at for entry in entries_of(facts[:1]))
