"""Explanations of what rules lack in the register: the whole list as of now, which the evidence of an alarm may cut."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from rules.explaintext import speaker
from rules.lacks import WORDS
from rules.leaves.lacking import LACKING, seen_of
from rules.rare.incomplete import WHOLE, finding_of, missing
from rules.rule import INCOMPLETE, RegisterCheckRule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.explaintext import Lang
    from rules.leaves.model import Seen
    from rules.pack import Bundle
    from rules.rare.incomplete import Missing
    from rules.rare.register_check import Finding
    from rules.rule import RareRule
    from rules.state import FacilityState

NAMED = 12
"""Subjects that a line names at most; `--json` has them all."""


def lacks_of(rule: RareRule, state: FacilityState, bundle: Bundle) -> list[Missing] | None:
    """Return what rules lack in the register now, by rule, subject and fact; None of a rule that does not list it."""
    if not isinstance(rule, RegisterCheckRule) or rule.check != INCOMPLETE:
        return None
    return missing(rule, state.planned, bundle, state.rare)


def found_of(
    rule: RareRule, lacks: Sequence[Missing]
) -> tuple[dict[str, Finding], dict[str, dict[str, Seen]]]:  # fmt: skip
    """Return what the check finds, and its leaf, by subject."""
    assert isinstance(rule, RegisterCheckRule)  # noqa: S101 - another lists nothing
    one = finding_of(rule, lacks)
    return {WHOLE: one}, {WHOLE: {LACKING: seen_of(one)}}


def lacks_json(lacks: Sequence[Missing] | None) -> dict[str, Any]:
    """Return the list as a member of the JSON value; nothing of rules that have none."""
    if lacks is None:
        return {}
    found = [
        {"rule": one.rule, "subject": dict(one.subject), "fact": one.fact, "registered": one.found or None}
        for one in lacks
    ]
    return {"lacks": found}


def lacks_lines(lacks: Sequence[Missing], lang: Lang) -> list[str]:
    """Return the list as people read it: each rule and fact with the first subjects, and how many more there are."""
    say = speaker(lang)
    found = [f"  {say(f'facts that rules lack ({len(lacks)})', f'规则缺少的登记信息（{len(lacks)} 项）')}:"]
    for (rule, fact), group in groupby(sorted(lacks, key=lambda one: (one.rule, one.fact, one.subject)), _sort_of):
        of = [one.name + (f" ({one.found})" if one.found else "") for one in group]
        more = len(of) - NAMED
        names = ", ".join(of[:NAMED]) + (say(f" and {more} more", f" 等另 {more} 个") if more > 0 else "")
        found.append(f"    {rule}: {fact} ({say(*WORDS[fact])}): {names}")
    return found


def _sort_of(one: Missing) -> tuple[str, str]:
    return one.rule, one.fact
