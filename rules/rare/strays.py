"""Kind `register_check`, check `unknown-tag`: readings of tags that the register does not hold (ADR 0052).

Judged by the log's time alone. A case is a tag: since when its readings come, when the newest came, and how many. It is told in the
place of the row that decides, so that it does not matter how rows are batched; it is forgotten by the clock, when the tag is
registered, or where another tag needs its room. A batch whose tags are all registered never comes here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from rules.changes import Leaf, RecordRead, Verdict
from rules.failing import attempt
from rules.instants import format_instant
from rules.rare import store
from rules.rare.speak import Now, close, open_case
from rules.rare.store import Cases, Fact, subject_of, text_of
from rules.records import Kind

if TYPE_CHECKING:
    from rules.emission import Emitter
    from rules.plan import Plan
    from rules.rare.rows import Step
    from rules.rare.store import Case, Rare
    from rules.records import Readings
    from rules.rule import RegisterCheckRule
    from rules.state import FacilityState


class Came(NamedTuple):
    """Rows of a tag that is not registered: the place of the first in its batch, and how many."""

    row: int
    tag: str
    many: int


def take(
    state: FacilityState, plan: Plan, payload: Readings, received: int, emitter: Emitter
) -> dict[int, list[Step]]:  # fmt: skip
    """Take notice of a new batch that has rows of tags not in force; returns what is told of them, by row.

    Args:
        state: of the facility.
        plan: in force.
        payload: the batch.
        received: the receive time, ms.
        emitter: of the record.
    """
    found: dict[int, list[Step]] = {}
    came = _came(payload, plan) if plan.strays else []
    for rank, rule in plan.strays:
        note = partial(_note, state.rare, rule, rank, came, payload.batch, received, emitter, found)
        attempt(emitter, rule.id, received, note)
    return found


def among(odd: dict[int, list[Step]], strange: dict[int, list[Step]], begin: int, stop: int) -> dict[int, list[Step]]:
    """Return what is told of rows that are not as others are, with what is told of the rows [begin, stop) of unregistered tags."""
    if not strange:
        return odd
    return odd | {row: steps for row, steps in strange.items() if begin <= row < stop}


def _came(payload: Readings, plan: Plan) -> list[Came]:
    found, row = [], 0
    for tag, many in zip(payload.tags, payload.counts.tolist(), strict=True):
        if many and tag not in plan.slots:
            found.append(Came(row, tag, many))
        row += many
    return found


def _note(
    rare: Rare, rule: RegisterCheckRule, rank: int, came: list[Came], batch: str, received: int, emitter: Emitter,
    found: dict[int, list[Step]],
) -> None:  # fmt: skip
    """Note what came for one rule, in the order of rows; a tag that came for long enough is told in the place of its first."""
    cases, others = rare.cases.setdefault(rule.id, Cases()), False
    full: set[str] | None = None
    """Once there is no room there is none up to the end of the batch: the tags that are kept then."""
    for one in came:
        if full is not None and one.tag not in full:
            rare.counts["stray_left_out"] += one.many
            continue
        subject = text_of({"tag": one.tag})
        case = cases.get(subject)
        if case is None:
            if not _has_room(rule, cases, received, rare):
                full = {subject_of(name)["tag"] for name in cases}
                rare.counts["stray_left_out"] += one.many
                continue
            case = rare.case(rule.id, subject, store.MAX_STRAYS)
            assert case is not None  # noqa: S101 - there is room
            cases.keep(case, [Fact(received, received, "", batch, str(one.many))])
            case.due, others = received + forgotten_of(rule), True
            continue
        cases[subject] = cases.pop(subject)  # the one whose readings came last stands last
        fact = case.facts[0]
        before, last = int(fact.text), fact.received
        fact.received, fact.text = received, str(before + one.many)
        if case.standing is None and received > fact.t + after_of(rule):
            step = partial(_raise, rule, subject, case, batch, before, last, received, emitter)
            found.setdefault(one.row, []).append((rank, rule.id, step))
    if others:
        rare.refresh()


def _has_room(rule: RegisterCheckRule, cases: Cases, received: int, rare: Rare) -> bool:
    """Say whether a tag may come; one that was not sent for longer than `after`, and of which no alarm stands, goes for it."""
    if len(cases) < store.MAX_STRAYS:
        return True
    idle = next((name for name, case in cases.items() if case.standing is None), None)
    if idle is None or cases[idle].facts[0].received + after_of(rule) >= received:
        return False
    _forget(cases, idle)
    rare.counts["stray_dropped"] += 1
    return True


def after_of(rule: RegisterCheckRule) -> int:
    """Return for how long the readings of a tag come before it is told, ms."""
    assert rule.after is not None  # noqa: S101 - the check needs it
    return rule.after


def forgotten_of(rule: RegisterCheckRule) -> int:
    """Return how long behind its newest reading a tag is forgotten, ms."""
    assert rule.forgotten is not None  # noqa: S101 - the check needs it
    return rule.forgotten


def _raise(
    rule: RegisterCheckRule, subject: str, case: Case, batch: str, before: int, last: int, received: int, emitter: Emitter
) -> None:  # fmt: skip
    """Tell that the readings of a tag come for long enough, behind `before` readings, of which the newest came at `last` (ms)."""
    if case.standing is not None:  # a batch may name a tag twice
        return
    fact = case.facts[0]
    fact.counts = True
    tag = subject_of(subject)["tag"]
    leaves = [
        Leaf(
            expr=f"time since the first reading of {tag}, received at {format_instant(fact.t)}", left=float(received - fact.t),
            op=">", right=float(after_of(rule)), unit="ms", verdict=Verdict.TRUE,
        ),
        Leaf(
            expr=f"readings of {tag} before, the newest received at {format_instant(last)}", left=float(before),
            op=">", right=0.0, verdict=Verdict.TRUE,
        ),
    ]  # fmt: skip
    now = Now(received, received, [RecordRead(kind=Kind.READINGS, id=batch)])
    open_case(rule, subject, case, fact.t, rule.severity.base.rank, leaves, now, emitter)
    case.uses = {}  # the first reading of a later alarm comes behind this one: no start comes again


def fire(rule: RegisterCheckRule, subject: str, case: Case, now: Now, emitter: Emitter) -> None:
    """Forget a tag that is not sent any more; what came since this was due puts it off."""
    case.due = case.facts[0].received + forgotten_of(rule)
    if case.due <= now.received:
        _end(rule, subject, case, _silent(rule, subject, case, now.received), now, emitter)


def adopt(rule: RegisterCheckRule, now: Now, emitter: Emitter) -> None:
    """Forget what is in force in the register now, what the rule's numbers of now have forgotten, and all where it looks at nothing."""
    state = emitter.state
    looks = any(own.id == rule.id for _, own in state.planned.strays)
    for subject, case in sorted(state.rare.of(rule.id).items()):
        tag = subject_of(subject)["tag"]
        case.due = case.facts[0].received + forgotten_of(rule)
        if tag in state.planned.slots or not looks:
            expr = f"{tag} is not registered" if looks else "the rule is for this facility"
            _end(rule, subject, case, Leaf(expr=expr, op="in", right="register", verdict=Verdict.FALSE), now, emitter)
        elif case.due <= now.received:
            _end(rule, subject, case, _silent(rule, subject, case, now.received), now, emitter)


def _silent(rule: RegisterCheckRule, subject: str, case: Case, at: int) -> Leaf:
    fact, tag = case.facts[0], subject_of(subject)["tag"]
    return Leaf(
        expr=f"time since the newest of {fact.text} readings of {tag}", left=float(at - fact.received), op="<",
        right=float(forgotten_of(rule)), unit="ms", verdict=Verdict.FALSE,
    )  # fmt: skip


def _end(rule: RegisterCheckRule, subject: str, case: Case, leaf: Leaf, now: Now, emitter: Emitter) -> None:
    if case.standing is not None:
        close(rule, subject, case, [leaf], now, emitter)
    _forget(emitter.state.rare.cases[rule.id], subject)


def _forget(cases: Cases, subject: str) -> None:
    cases.held -= len(cases.pop(subject).facts)
