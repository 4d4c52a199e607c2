"""Kind `register_check`, check `unknown-tag`: readings of tags that the register does not hold (ADR 0052).

Judged by the log's time alone. A case is a tag: since when its readings come, when the newest came, and how many. It is told in the
place of the row that decides, so that it does not matter how rows are batched; it is forgotten by the clock, when the tag is
registered, or where another tag needs its room. A batch whose tags are all registered never comes here. A row counts if it is newer than all
that came of its tag: a batch that is sent again when its id is forgotten says nothing new.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rules.changes import Leaf, RecordRead, Verdict
from rules.failing import attempt
from rules.instants import format_instant
from rules.layout import FUTURE_MS, NONE
from rules.rare import store
from rules.rare.speak import Now, close, open_case
from rules.rare.store import Cases, Fact, subject_of, text_of
from rules.records import Kind

if TYPE_CHECKING:
    from rules.emission import Emitter
    from rules.layout import Words
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
    times: Words
    """Their event times, ms."""

    def newer(self, newest: int, received: int) -> tuple[int, int, int]:
        """Return the place of the first row that is newer than all before it, how many such rows there are, and the newest event time.

        What is stamped ahead of its receipt by more than a clock may be counts as of that.

        >>> Came(4, "X", np.array([5, 7, 6, 9])).newer(5, 9), Came(0, "X", np.array([5])).newer(5, 9)
        ((5, 2, 9), (0, 0, 5))
        """
        first, many = self.row, 0
        for i, t in enumerate(self.times.tolist()):
            at = received if t > received + FUTURE_MS else t
            if at > newest:
                first = first if many else self.row + i
                many, newest = many + 1, at
        return first, many, newest

    def above(self, newest: int, received: int) -> int:
        """Return how many rows are newer than what had come."""
        times = np.where(self.times > received + FUTURE_MS, received, self.times)
        return int((times > newest).sum())


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
        note = partial(_note, state, rule, rank, came, payload.batch, received, emitter, found)
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
            found.append(Came(row, tag, payload.time[row : row + many]))
        row += many
    return found


def _note(
    state: FacilityState, rule: RegisterCheckRule, rank: int, came: list[Came], batch: str, received: int, emitter: Emitter,
    found: dict[int, list[Step]],
) -> None:  # fmt: skip
    """Note what came for one rule, in the order of rows; a tag that came for long enough is told in the place of its first."""
    rare = state.rare
    cases, others = rare.cases.setdefault(rule.id, Cases()), False
    newest = rare.sent.setdefault(rule.id, {})
    full: set[str] | None = None
    """Once there is no room there is none up to the end of the batch: the tags that are kept then."""
    for one in came:
        had = max(newest.get(one.tag, NONE), state.left.get(one.tag, NONE))
        if full is not None and one.tag not in full:
            rare.counts["stray_left_out"] += one.above(had, received)
            continue
        row, many, latest = one.newer(had, received)
        if not many:
            continue
        subject = text_of({"tag": one.tag})
        case = cases.get(subject)
        if case is None:
            if not _has_room(rule, cases, received, rare):
                full = {subject_of(name)["tag"] for name in cases}
                rare.counts["stray_left_out"] += one.above(had, received)
                continue
            case = rare.case(rule.id, subject, store.MAX_STRAYS)
            assert case is not None  # noqa: S101 - there is room
            cases.keep(case, [Fact(received, received, "", batch, str(many))])
            case.due, others = received + forgotten_of(rule), True
            _reach(newest, cases, one.tag, latest)
            continue
        _reach(newest, cases, one.tag, latest)
        cases[subject] = cases.pop(subject)  # the one whose readings came last stands last
        fact = case.facts[0]
        before, last = int(fact.text), fact.received
        fact.received, fact.text = received, str(before + many)
        if case.standing is None and received > fact.t + after_of(rule):
            step = partial(_raise, rule, subject, case, batch, before, last, received, emitter)
            found.setdefault(row, []).append((rank, rule.id, step))
    if others:
        rare.refresh()


def _reach(newest: dict[str, int], cases: Cases, tag: str, t: int) -> None:
    """Note the newest event time (ms) that came of a tag that is kept; of those that are kept no more some stay known."""
    newest.pop(tag, None)
    newest[tag] = t
    if len(newest) > store.KNOWN_STRAYS * store.MAX_STRAYS:
        del newest[next(name for name in newest if text_of({"tag": name}) not in cases)]


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
