"""Kind `lateness`, of amendments: readings that are corrected too late, and proof of it that does not come (ADR 0064).

Two subjects a report. `{report}`: what it corrects was older than it may be when it was received; latched. `{report, case: proof}`: no proof
was received by a day of the month behind that of its earliest reading; ended by the proof.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rules.calendar import day_of, end_of_day, months_behind
from rules.canonical import canonical_bytes
from rules.changes import ChangeKind, Leaf, Verdict
from rules.clocks.due import hours, opened
from rules.failing import attempt
from rules.instants import LATEST_MS, format_instant
from rules.layout import NEVER, NONE
from rules.rare.count import bound
from rules.rare.lateness import due_of
from rules.rare.match import FUTURE_MS
from rules.rare.speak import Now, close, of_revisions, open_case, settle, tell
from rules.rare.store import MAX_CASES, MAX_ROWS, Fact, subject_of, text_of
from rules.reports.quality import Amendment

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rules.emission import Emitter
    from rules.rare.store import Case, Cases
    from rules.records import Report
    from rules.reports.parts import Fields
    from rules.rule import LatenessRule
    from rules.state import FacilityState

REPORT = "amendment"
PROOF = "proof"
DIGEST = 12
"""Letters by which a corrected reading is known again ..."""
MAX_TEXT = 240_000
"""... and of those of all reports together, 20,000 readings; what the report that was touched longest ago had corrected is forgotten."""
FORGOTTEN = "?"
"""In place of what a report had corrected: nothing that a revision of it corrects is known to be new."""


def report(rules: Sequence[LatenessRule], payload: Report, model: Fields, now: Now, emitter: Emitter) -> None:
    """Fold an amendment whose number is taken, by each rule that asks for it."""
    assert isinstance(model, Amendment)  # noqa: S101 - of that type
    for rule in rules:
        attempt(emitter, rule.id, now.received, partial(_meet, rule, payload, model, now, emitter))
    emitter.state.rare.refresh()


def names_datum(state: FacilityState, model: Amendment, received: int) -> bool:
    """Say whether a reading that an amendment corrects can have come: not behind its receipt, nor behind the newest of a tag that has left."""
    tags = {sensor.tag for sensor in state.planned.facility.sensors}
    return any(one.time <= newest_of(one.tag, tags, state.left, received) for one in model.readings)


def newest_of(tag: str, tags: Collection[str], left: Mapping[str, int], received: int) -> int:
    """Return up to when readings of a tag can have come, ms; NONE: there are none.

    Args:
        tag: of the reading.
        tags: that are registered.
        left: newest event time of those that were in force, and sent, and are so no more; ms.
        received: when that is asked, ms.
    """
    return received + FUTURE_MS if tag in tags else left.get(tag, NONE)


def data_of(model: Amendment) -> list[tuple[int, str]]:
    """Return the readings that an amendment corrects: event time (ms), and what tells one with its new value from others."""
    return [(one.time, digest_of(one.tag, one.time, one.new)) for one in model.readings]


def digest_of(tag: str, time: int, new: float | None) -> str:
    """Return the letters by which a corrected reading is known again."""
    return hashlib.blake2b(canonical_bytes([tag, time, new]), digest_size=DIGEST // 2).hexdigest()


def has_proof(model: Amendment) -> bool:
    """Say whether an amendment comes with its proof."""
    return model.proof is not None or model.proof_at is not None


def proof_due(rule: LatenessRule, earliest: int, closed: Sequence[tuple[int, int]]) -> int:
    """Return up to when proof of what corrects a reading may come, ms: 24:00 local of a day of the month behind the reading's."""
    assert rule.proof_by is not None  # noqa: S101 - asked before
    day = months_behind(day_of(earliest).replace(day=1), 1).replace(day=rule.proof_by)
    return opened(min(end_of_day(day), LATEST_MS), closed)


def _meet(rule: LatenessRule, payload: Report, model: Amendment, now: Now, emitter: Emitter) -> None:
    rare = emitter.state.rare
    subject = text_of({"report": payload.id})
    case = rare.case(rule.id, subject, 2 * MAX_CASES)
    if case is not None:
        known = next((int(fact.digest) for fact in case.facts if not fact.counts), 0)
        if known < payload.revision:
            now = replace(now, records=[*now.records, *of_revisions(payload.id, payload.revision, known)])
        _date(rule, subject, case, payload, model, now, emitter)
    subject = text_of({"report": payload.id, "case": PROOF})
    case = None if rule.proof_by is None else rare.case(rule.id, subject, 2 * MAX_CASES)
    if case is not None:
        before = next(iter(case.facts), None)
        newest = 0 if before is None else int(before.digest)
        given = NONE if before is None else before.received
        if given == NONE and has_proof(model):
            given = now.received
        earliest = min(t for t, _ in data_of(model))
        if before is not None and payload.revision < newest:
            earliest = before.t
        fact = Fact(earliest, given, str(max(newest, payload.revision)), "")
        rare.cases[rule.id].keep(case, [fact])
        _prove(rule, subject, case, now, emitter)


def _date(
    rule: LatenessRule, subject: str, case: Case, payload: Report, model: Amendment, now: Now, emitter: Emitter
) -> None:  # fmt: skip
    """Judge what a revision corrects that none before it did; one with a lower number than another that came corrects nothing."""
    cases = emitter.state.rare.cases[rule.id]
    book = next((fact for fact in case.facts if not fact.counts), Fact(NONE, NONE, "0", ""))
    if payload.revision < int(book.digest):
        return
    known = {book.text[i : i + DIGEST] for i in range(0, len(book.text), DIGEST)}
    data = data_of(model)
    new = {} if book.text == FORGOTTEN else {digest: t for t, digest in data if digest not in known}
    text = FORGOTTEN if book.text == FORGOTTEN else book.text + "".join(sorted(new))
    others = [fact for fact in case.facts if fact.counts]
    cases.keep(case, [*others, Fact(NONE, NONE, str(payload.revision), "", text)])
    _bound(cases, emitter)
    if not new:
        return
    earliest = min(new.values())
    due = due_of(rule, earliest, emitter.state.clocks.closed)
    if now.received > due:
        name = f"{payload.id}/{payload.revision}"
        late = Fact(due, now.received, name, name, counts=True)
        cases.keep(case, sorted([*case.facts, late], key=lambda fact: (fact.t, fact.digest)))
        bound(rule.id, case, emitter, MAX_ROWS)
        settle(rule, subject, case, _leaves(rule, earliest, due, now), now, emitter, timely=True)


def _bound(cases: Cases, emitter: Emitter) -> None:
    """Forget what reports had corrected, those first that were touched longest ago, while it is too much of all."""
    books = [fact for case in cases.values() for fact in case.facts if not fact.counts and len(fact.text) > 1]
    many = sum(len(fact.text) for fact in books)
    for fact in books:
        if many <= MAX_TEXT:
            break
        many -= len(fact.text)
        fact.text = FORGOTTEN
        emitter.state.rare.counts["fact_dropped"] += 1


def _leaves(rule: LatenessRule, earliest: int, due: int, now: Now) -> list[Leaf]:
    taken = round(hours(now.received - earliest), 6)
    return [
        Leaf(expr="time until amendment", left=taken, op="beyond", right=str(rule.within), unit="h", verdict=Verdict.TRUE),
        Leaf(expr="received", left=format_instant(now.received), op=">", right=format_instant(due), verdict=Verdict.TRUE),
    ]  # fmt: skip


# -- proof ----------------------------------------------------------------------------------------------------------
def _prove(rule: LatenessRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """Say whether proof has come, is awaited or is missing, and note when that changes by the clock alone."""
    (fact,) = case.facts
    due = proof_due(rule, fact.t, emitter.state.clocks.closed)
    given, standing, rank = fact.received, case.standing, rule.severity.base.rank
    emitter.state.rare.of(rule.id).busy = False
    until = now.received if given == NONE else given
    leaf = Leaf(
        expr="proof", left=None if given == NONE else format_instant(given), op="after", right=format_instant(due),
        verdict=Verdict.TRUE if until > due else Verdict.FALSE,
    )  # fmt: skip
    case.due = due + 1 if given == NONE and now.received <= due else NEVER
    if standing is None:
        told = given != NONE and case.last is not None and not case.last.retracted
        if until > due and not told:
            open_case(rule, subject, case, due, rank, [leaf], now, emitter)
            if given != NONE:
                close(rule, subject, case, [leaf], now, emitter)
    elif given != NONE or until <= due:
        close(rule, subject, case, [leaf], now, emitter)
    elif standing.start != due:
        standing.start = due
        tell(rule, subject, case, standing, ChangeKind.AMENDED, [leaf], now, emitter)


def fire(rule: LatenessRule, subject: str, case: Case, due: int, emitter: Emitter) -> None:
    """Say that proof is missing: as of the last instant at which it might have come, which has passed."""
    (fact,) = case.facts
    over = proof_due(rule, fact.t, emitter.state.clocks.closed)
    if over >= due:  # other packs give it more time
        case.due = over + 1
        return
    leaf = Leaf(expr=PROOF, op="after", right=format_instant(over), verdict=Verdict.TRUE)
    now = Now(due - 1, due - 1)
    if case.standing is None:
        open_case(rule, subject, case, over, rule.severity.base.rank, [leaf], now, emitter)


def adopt(rule: LatenessRule, now: Now, emitter: Emitter) -> None:
    """Judge anew what awaits its proof, now that a plan is in force whose rule may give another time."""
    for subject, case in sorted(emitter.state.rare.of(rule.id).items()):
        if "case" in subject_of(subject) and case.facts and case.facts[0].received == NONE:
            _prove(rule, subject, case, now, emitter)


def close_door(state: FacilityState, begin: int, now: int) -> None:
    """Note that proof that was due while the front door was closed, from `begin` to `now`, is due at its opening."""
    for rule in () if state.plan is None else state.plan.amendments:
        for case in state.rare.of(rule.id).values():
            if case.due != NEVER and begin < case.due - 1 < now:
                case.due = now + 1
    state.rare.refresh()


def reopen_door(state: FacilityState, begin: int, now: int, emitter: Emitter) -> None:
    """Take back what was said of proof whose time was over inside of closed time: it is said again unless it comes at the opening."""
    for rule in () if state.plan is None else state.plan.amendments:
        for subject, case in sorted(state.rare.of(rule.id).items()):
            last = case.last
            if "case" in subject_of(subject) and last is not None and not last.retracted and begin < last.start < now:
                attempt(emitter, rule.id, now, partial(_take_back, rule, subject, case, now, emitter))
    state.rare.refresh()


def _take_back(rule: LatenessRule, subject: str, case: Case, now: int, emitter: Emitter) -> None:
    last = case.last
    assert last is not None  # noqa: S101 - asked before
    if last.end == NONE:
        last.end = max(now, last.start)
    last.retracted = True
    leaf = Leaf(expr="front door", left="closed", op="until", right=format_instant(now), verdict=Verdict.FALSE)
    tell(rule, subject, case, last, ChangeKind.RETRACTED, [leaf], Now(now, now), emitter)
    _prove(rule, subject, case, Now(now, now), emitter)
