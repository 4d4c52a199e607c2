"""Explanations of rules that hold reports against excursions: what was heard, what was reported, what is due, by the engine's books."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.excursions import figures
from rules.excursions.book import Book
from rules.excursions.compare import answered, is_meant, leaves_of, measure
from rules.explainbeats import Kept
from rules.explainparts import Told
from rules.instants import format_instant
from rules.layout import NEVER, NONE
from rules.leaves.excursions import seen_of
from rules.rare.store import text_of
from rules.rule import CompareRule

if TYPE_CHECKING:
    from rules.excursions.book import Claim, Deviation
    from rules.leaves.model import Seen
    from rules.rule import FollowUpRule
    from rules.state import FacilityState


def excursions_of(
    rule: FollowUpRule | CompareRule, state: FacilityState
) -> tuple[dict[str, list[Told]], dict[str, dict[str, Seen]]]:  # fmt: skip
    """Return the excursions, or the deviations, of each subject with what became of them, and the leaves of the newest."""
    book = state.excursions.get(rule.id, Book())
    found: dict[str, list[Told]] = {}
    leaves: dict[str, dict[str, Seen]] = {}
    for _, subject, seen in seen_of(rule, book, state):
        leaves[subject] = {one.name: one for one in seen}
    if isinstance(rule, CompareRule) and rule.figures:
        for claim in book.claims.values():
            found[text_of({"report": claim.id})] = [_told_of_claim(rule, claim, book, state)]
        return found, leaves
    if isinstance(rule, CompareRule):
        for said in book.deviations.values():
            found.setdefault(text_of({"report": said.id}), []).append(_told_of_deviation(rule, said, book, state))
        return found, leaves
    for one in book.excursions.values():
        until = "-" if one.end == NONE else format_instant(one.end)
        told = Told(one.start, one.start, one.alarm, "not meant", {"stream": "alarm", "type": one.rule, "until": until})
        if one.standing is not None:
            told.fate = "occasion"
        elif is_meant(rule, one) and answered(one, book, state.planned.facility) is not None:
            told.fate = "answered"
        elif one.due != NEVER:
            told.fate, told.decided, told.until = "awaited", one.due, one.due - 1
        elif is_meant(rule, one):
            told.fate = "unknown"
        found.setdefault(one.subject, []).append(told)
    return found, leaves


def _told_of_deviation(rule: CompareRule, said: Deviation, book: Book, state: FacilityState) -> Told:
    assert rule.duration is not None  # noqa: S101 - validated
    event = {"stream": "report", "type": rule.report, "asset": said.asset, "revision": str(said.revision)}
    told = Told(said.begin, said.received, said.id, "awaited" if said.decided == NONE else "done", event)
    told.decided = None if said.due == NEVER else said.due
    verdict = leaves_of(said, measure(said, rule, book, state), rule.duration)[0]
    if said.standing is not None:
        told.fate = "occasion"
    elif told.decided is None and verdict is Verdict.UNKNOWN:
        told.fate = "unmeasured"
    return told


def _told_of_claim(rule: CompareRule, said: Claim, book: Book, state: FacilityState) -> Told:
    event = {"stream": "report", "type": rule.report, "asset": said.asset, "revision": str(said.revision)}
    begin = said.received if said.begin == NONE else said.begin
    told = Told(begin, said.received, said.id, "awaited" if said.decided == NONE else "done", event)
    told.decided = None if said.due == NEVER else said.due
    if said.standing is not None:
        told.fate = "occasion"
    elif (
        said.decided != NONE
        and figures.leaves_of(rule, said, figures.measured(rule, said, book, state))[0] is Verdict.UNKNOWN
    ):
        told.fate = "unmeasured"
    return told


def kept_of(rule: FollowUpRule | CompareRule, subject: str, state: FacilityState) -> Kept:
    """Return whether an alarm of a subject may stand, and whether one has to, by what is kept."""
    book = state.excursions.get(rule.id, Book())
    if isinstance(rule, CompareRule):
        seen = {name: leaves for _, name, leaves in seen_of(rule, book, state)}.get(subject, [])
        wrong = any(one.verdict is Verdict.TRUE for one in seen)
        unknown = any(one.verdict is Verdict.UNKNOWN for one in seen)
        # What came since it was compared is judged by the clock: until then both may be.
        cases = (*book.deviations.items(), *book.claims.items())
        waits = any(text_of({"report": name}) == subject and case.due != NEVER for name, case in cases)
        return Kept(may=wrong or unknown or waits, must=wrong and not waits)
    stands = any(one.subject == subject and one.standing is not None for one in book.excursions.values())
    return Kept(may=stands, must=stands)
