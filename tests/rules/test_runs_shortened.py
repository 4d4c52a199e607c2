"""What an instrument's facts say stays the same when they are shortened in one pass, and a batch of 1,000 takes no time (ADR 0079)."""

from __future__ import annotations

from collections import Counter
from random import Random
from time import process_time
from typing import TYPE_CHECKING, cast
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.layout import NEVER
from rules.ledger import runs
from rules.ledger.entry import entries_of, text_of
from rules.pack import default_bundle
from rules.rare.store import Fact
from rules.rare.store import text_of as text_of_subject
from tests.rules.oracle import runsteps
from tests.rules.oracle.discarded import RULE
from tests.rules.test_discarded_runs import QUICK

if TYPE_CHECKING:
    from rules.rule import RunsRule

RULES = cast("RunsRule", default_bundle().rule(RULE))
SUBJECT, MINUTE = text_of_subject({"instrument": "A"}), 60_000


def fact(at: int, what: str, number: int, i: int, received: int | None = None, **more: object) -> Fact:
    return Fact(at, at if received is None else received, f"{i:016x}", "b", text_of(what, number=number, **more))


def drawn(seed: int, *, base: bool = True) -> list[Fact]:
    """Return random facts of an instrument, by event time: with and without a base, counts anew, numbers told twice, late and never."""
    random = Random(seed)  # noqa: S311 - facts, no secret
    size, next_number, at = random.randint(2, 60), random.choice([0, 1, 7, 30]), 1000
    found = []
    if base and random.random() < 0.5:
        rows = [
            [random.randrange(30), random.randrange(1000), random.randrange(9000)] for _ in range(random.randint(0, 6))
        ]
        rows += random.sample(rows, min(len(rows), random.choice([0, 0, 1, 2])))
        gaps = [[low, low + random.randrange(4), 5, 6] for low in range(0, random.choice([1, 9, 40, 90]), 5)]
        highest = random.choice([None, 30, 31, 90])
        ahead = [[low, low + random.randrange(3)] for low in random.sample(range(91, 140, 5), random.randint(0, 2))]
        more = {"ahead": sorted(ahead)} if ahead and random.random() < 0.7 else {}
        more |= {"past": [[low, low + 2, 3, 4] for low in range(0, 9, 4)]} if random.random() < 0.3 else {}
        text = text_of("base", highest=highest, open=rows, missing=gaps if highest is not None else [], **more)
        found.append(Fact(1000, 1000, "base", "b", text, random.random() < 0.3, random.choice([50, NEVER])))
        next_number = 31 if highest is None else highest + random.choice([0, 1, 3, 9])
    for i in range(size):
        at += random.choice([0, 1, 1, 5]) + (at == 1000)
        step = random.random()
        if step < 0.5:
            next_number = random.choice([0, 1]) if step < 0.05 else next_number + random.choice([0, 1, 1, 2, 3, 6])
            closed = {"closed": at + 1} if random.random() < 0.2 else {}
            found.append(fact(at, "started", next_number, i, at + random.choice([0, 9]), **closed))
        else:
            number = max(0, next_number - random.choice([-4, -2, -1, 0, 1, 2, 3, 5, 20]))
            found.append(fact(at, "closed" if step < 0.8 else "told", number, i))
        found[-1].counts, found[-1].due = random.random() < 0.1, random.choice([NEVER, NEVER, at])
    return sorted(found, key=lambda one: (one.t, *runs.order_of(one)))


@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([2, 3, 16]), st.sampled_from([0, MINUTE]))
@QUICK
def test_one_pass_leaves_what_step_by_step_leaves(seed: int, most: int, remembered: int, delivery: int) -> None:
    facts = drawn(seed)
    with patch.object(runs, "REMEMBERED", remembered), patch.object(runsteps, "REMEMBERED", remembered):
        assert runs.shortened(RULES, facts, most, delivery) == runsteps.shortened(RULES, facts, most, delivery)


def said_of(facts: list[Fact]) -> tuple[Counter[tuple[int, int]], Counter[int]]:
    """Return the open runs, and how many numbers are missing since when."""
    story = runs.story_of(RULES, entries_of(facts), MINUTE)
    missing: Counter[int] = Counter()
    for gap in story.gaps:
        missing[gap.at] += gap.missing
    return Counter((one.number, one.at) for one in story.runs if one.closed is None), +missing


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 70))
@QUICK
def test_what_has_left_says_the_same_also_of_what_comes_behind_it(seed: int, most: int, many: int) -> None:
    """As long as there is room to remember it: numbers told before the start above them, and gaps of counts that are over, too."""
    facts = drawn(seed, base=False)
    first, last = facts[:many], facts[many:]
    with patch.object(runs, "REMEMBERED", 1000):
        kept = runs.shortened(RULES, first, most, MINUTE)
        last = [one for one in last if not runs.is_too_old(kept, one.t)]
        assert said_of([*kept, *last]) == said_of([*first, *last])
        again = runs.shortened(RULES, [*kept, *last], most, MINUTE)
        assert said_of(again) == said_of([*first, *last])


def test_a_number_that_was_told_before_a_gap_begins_is_not_missing() -> None:
    """5 starts, 6 to 8 are told of (no start), 9 starts: nothing is missing, also where the first ones have left."""
    told = [fact(2000 + i, "told", 6 + i, 1 + i) for i in range(3)]
    facts = [fact(1000, "started", 5, 0), *told, fact(3000, "started", 9, 9), fact(4000, "started", 12, 10)]
    assert said_of(facts)[1] == {4000: 2}
    for most in range(1, 6):
        kept = runs.shortened(RULES, facts, most, 0)
        assert said_of(kept)[1] == {4000: 2}
        assert entries_of(kept)[0].said.get("ahead") == (None if most in (1, 2) else [[6, 11 - most]])


def test_a_number_of_a_new_count_answers_for_none_of_the_one_before() -> None:
    """6 to 39 are missing when the count begins anew; the numbers of the new one are others, whether or not they have left."""
    old = [fact(1000, "started", 5, 0), fact(2000, "started", 40, 1)]
    facts = [*old, *(fact(3000 + i, "started", i, 2 + i) for i in range(9))]
    assert said_of(facts)[1] == {2000: 34}
    for most in range(1, 11):
        kept = runs.shortened(RULES, facts, most, 0)
        assert said_of(kept)[1] == {2000: 34}
        assert ("past" in entries_of(kept)[0].said) == (most < 10)


def test_of_too_many_numbers_ahead_rather_none_is_missing() -> None:
    facts = [fact(1000, "started", 1, 0), *(fact(2000 + i, "told", 10 + 3 * i + (i > 3), 1 + i) for i in range(6))]
    with patch.object(runs, "REMEMBERED", 3):
        (one,) = entries_of(runs.shortened(RULES, facts, 1, 0))
    assert one.said["ahead"] == [[10, 19], [23, 23], [26, 26]]


@given(st.integers(0, 2**32))
@QUICK
def test_the_story_is_the_one_that_scans_tell(seed: int) -> None:
    entries = entries_of(drawn(seed))
    one, other = runs.story_of(RULES, entries, MINUTE), runsteps.story_of(RULES, entries, MINUTE)
    assert (one.runs, one.gaps) == (other.runs, other.gaps)


def test_random_facts_reach_what_is_asked_of_them() -> None:
    told = {"several rows": 0, "gaps cut": 0, "closed of a base": 0, "too many gaps": 0}
    for seed in range(300):
        facts = drawn(seed)
        story = runs.story_of(RULES, entries_of(facts), MINUTE)
        left = entries_of(runs.shortened(RULES, facts, 3, MINUTE))[0]
        told["several rows"] += left.what == "base" and len(left.said["open"]) > 1
        told["gaps cut"] += any(0 < gap.missing <= gap.high - gap.low for gap in story.gaps)
        told["closed of a base"] += any(one.closing is not None and one.entry.what == "base" for one in story.runs)
        told["too many gaps"] += left.what == "base" and len(left.said["missing"]) == runs.REMEMBERED
    assert min(told.values()) > 5, told


def test_one_report_closes_one_of_two_equal_runs_that_have_left() -> None:
    """A number that is started twice in one instant wants two reports, also when both starts are old."""
    base = Fact(1000, 1000, "base", "b", text_of("base", highest=7, open=[[7, 900, 950], [7, 900, 950]], missing=[]))
    facts = [base, fact(2000, "closed", 7, 1), fact(3000, "started", 8, 2), fact(4000, "started", 9, 3)]
    kept = runs.shortened(RULES, facts, 3, 0)
    assert entries_of(kept)[0].said["open"] == [[7, 900, 950]]
    before, behind = (runs.judge(RULES, SUBJECT, these, 9_000, 0) for these in (facts, kept))
    assert (
        [run.start for run in before.runs if run.is_open] == [run.start for run in behind.runs if run.is_open] == [900]
    )


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("closes", [False, True])
def test_a_thousand_facts_are_shortened_at_once(step: int, *, closes: bool) -> None:
    facts = [fact(1000 + i, "started", step * i, i) for i in range(1000 // (1 + closes))]
    facts += [fact(5000 + i, "closed", step * i, 1000 + i) for i in range(500 * closes)]
    with patch.object(runs, "story_of", wraps=runs.story_of) as story:
        begun = process_time()
        kept = runs.shortened(RULES, facts, 256, MINUTE)
        assert process_time() - begun < 4.0, "it was 6 to 15 s"
    assert (len(kept), story.call_count) == (256, 1)
