"""Excursions and deviations in the fold: reports that come, plans that change, what is due (ADR 0060)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rules.excursions import figures
from rules.excursions.book import Book, Claim, Deviation
from rules.excursions.compare import named_by
from rules.excursions.judge import all_of, book_of, judge_deviation, judge_excursion
from rules.failing import attempt
from rules.layout import NEVER, NONE
from rules.rare.speak import Now, abandon, of_revisions
from rules.register import UNITS
from rules.rule import CompareRule, FollowUpRule
from rules.wording import begun_anew, unwatched

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from typing import Any

    from rules.changes import RecordRead
    from rules.emission import Emitter
    from rules.plan import Plan
    from rules.records import Report
    from rules.state import FacilityState

BEHIND_MS = 1_000
"""So long behind a revision, or another plan, figures are compared again: nothing of its instant can come any more, however batches are cut."""


def report(
    state: FacilityState, payload: Report, fields: Mapping[str, Any], now: Now, emitter: Emitter
) -> None:  # fmt: skip
    """Take a deviation that a firm reported, another report whose figures are compared, or a newer revision of one."""
    for rule in () if state.plan is None else readers(state.plan, payload.type):
        if isinstance(rule, CompareRule) and rule.figures:
            step = partial(_claim, rule, payload, fields, now, emitter)
        else:
            step = partial(_take, rule, payload, fields, now, emitter)
        attempt(emitter, rule.id, now.received, step)


def readers(plan: Plan, report: str) -> list[FollowUpRule | CompareRule]:
    """Return the rules that read a type of report, by id."""
    return [rule for rule in plan.excursions if rule.report == report]


def _claim(
    rule: CompareRule, payload: Report, fields: Mapping[str, Any], now: Now, emitter: Emitter
) -> None:  # fmt: skip
    """Note what a report states of a time: it is compared by the clock, when `wait` is over; a revision behind that at once."""
    assert rule.time is not None  # noqa: S101 - validated
    book = book_of(emitter.state, rule.id)
    book.forget(now.received)
    said, stated = book.claims.get(payload.id) or Claim(id=payload.id), figures.stated(rule, fields)
    if payload.revision <= said.revision or not (stated or said.revision):
        return
    if said.decided != NONE:
        said.before = said.before or said.revision
    said.revision, said.stated, said.received = payload.revision, stated, now.received
    said.asset = "" if rule.asset is None else str(fields.get(rule.asset, ""))
    said.begin, said.end = figures.time_of(rule.time, fields)
    if not book.keep_claim(said):
        return
    behind = now.received + (rule.wait if said.decided == NONE else BEHIND_MS)
    said.first = max(behind, said.end + rule.wait)
    book.await_until(said, said.first)


def _take(
    rule: FollowUpRule | CompareRule, payload: Report, fields: Mapping[str, Any], now: Now, emitter: Emitter
) -> None:  # fmt: skip
    book = book_of(emitter.state, rule.id)
    book.forget(now.received)
    said = book.deviations.get(payload.id) or Deviation(id=payload.id)
    if payload.revision <= said.revision:
        return
    now = replace(now, records=[*now.records, *of_revisions(payload.id, payload.revision, said.revision)])
    assets = [said.asset, fields["asset"]]
    said.revision, said.asset, said.received = payload.revision, fields["asset"], now.received
    said.begin, said.end = fields["from"], fields["to"]
    said.minutes, said.peak, said.unit = fields["duration_min"], fields["peak"], fields["unit"]
    if not book.keep_deviation(said):
        return
    if isinstance(rule, CompareRule) and said.unit not in UNITS.values():  # of a log that came through another door
        book.counts["deviation_unit"] = book.counts.get("deviation_unit", 0) + 1
    if isinstance(rule, FollowUpRule):  # of all others nothing is other than it was
        facility = emitter.state.planned.facility
        for one in book.at(place for asset in assets for place in named_by(asset, facility)):
            judge_excursion(rule, one, now, emitter)
    elif said.decided == NONE:
        book.await_until(said, now.received + rule.wait)
    else:
        judge_deviation(rule, said, now, emitter, revised=True)


def due_now(state: FacilityState, due: int) -> list[tuple[str, str]]:
    """Return rule and name of what is due at an instant, in their order."""
    return sorted(
        (rule, name)
        for rule, book in state.excursions.items()
        for of in (book.excursions, book.deviations, book.claims)
        for name, case in of.items()
        if case.due == due
    )  # fmt: skip


def is_due(state: FacilityState, rule: str, name: str, due: int) -> bool:
    """Say whether what `due_now` named is still due."""
    book = state.excursions.get(rule)
    found = () if book is None else (book.excursions.get(name), book.deviations.get(name), book.claims.get(name))
    return any(case is not None and case.due == due for case in found)


def next_due(state: FacilityState) -> int:
    """Return the earliest decision by the clock."""
    return min((book.due for book in state.excursions.values()), default=NEVER)


def adopt(state: FacilityState, received: int, why: RecordRead, emitter: Emitter) -> None:
    """Judge all again by a plan that has come into force: another calendar, other assets; and begin to listen."""
    for rule in state.planned.excursions:
        step = partial(_adopt, rule, Now(received, received, [why]), emitter)
        attempt(emitter, rule.id, received, step)


def _adopt(rule: FollowUpRule | CompareRule, now: Now, emitter: Emitter) -> None:
    book = book_of(emitter.state, rule.id)
    if book.since == NONE:
        book.since = now.received
    if isinstance(rule, FollowUpRule):
        for one in list(book.excursions.values()):
            judge_excursion(rule, one, now, emitter)
        return
    for said in list(book.deviations.values()):
        if said.decided != NONE:
            judge_deviation(rule, said, now, emitter)
    for claim in book.claims.values():
        if claim.decided != NONE and claim.due != NEVER:
            book.await_until(claim, min(claim.due, now.received + BEHIND_MS))


def leave(
    state: FacilityState, plan: Plan, received: int, why: RecordRead, emitter: Emitter, closed: Container[str]
) -> None:  # fmt: skip
    """End what rules told that a new plan does not have, and those that begin anew (`closed`)."""
    kept = {rule.id: rule.kind for rule in plan.excursions}
    for rule in () if state.plan is None else state.plan.excursions:
        if kept.get(rule.id) == rule.kind and rule.id not in closed:
            continue
        wording = begun_anew if rule.id in kept else unwatched
        for subject, case in all_of(state.excursions.get(rule.id, Book())):
            attempt(emitter, rule.id, received, partial(abandon, rule, subject, case, received, why, wording, emitter))
        state.excursions.pop(rule.id, None)
