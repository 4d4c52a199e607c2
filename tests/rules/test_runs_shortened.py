"""What an instrument's facts say stays the same when they are shortened in one pass, and a batch of 1,000 takes no time (ADR 0079)."""

from __future__ import annotations

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


def drawn(seed: int) -> list[Fact]:
    """Return random facts of an instrument, by event time: with and without a base, counts anew, numbers told twice, late and never."""
    random = Random(seed)  # noqa: S311 - facts, no secret
    size, next_number, at = random.randint(2, 60), random.choice([0, 1, 7, 30]), 1000
    found = []
    if random.random() < 0.5:
        rows = [
            [random.randrange(30), random.randrange(1000), random.randrange(9000)] for _ in range(random.randint(0, 6))
        ]
        rows += random.sample(rows, min(len(rows), random.choice([0, 0, 1, 2])))
        gaps = [[low, low + random.randrange(4), 5, 6] for low in range(0, random.choice([1, 9, 40, 90]), 5)]
        highest = random.choice([None, 30, 31, 90])
        text = text_of("base", highest=highest, open=rows, missing=gaps if highest is not None else [])
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
