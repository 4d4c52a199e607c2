"""Kind `revision`: what a firm posts so that it has no effect (ADR 0067), by what was posted; latched.

Its number, or the id of its batch, came before with other content, it does not say why it revises, or it corrects what cannot have come.
What such a post says is kept in the log, and nothing else comes of it (settled.md). The same post again is none of its own.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from rules.changes import Leaf, RecordRead, Verdict
from rules.clocks.book import Met
from rules.failing import attempt
from rules.marks import digest_of
from rules.rare.count import bound
from rules.rare.speak import Now, settle
from rules.rare.store import MAX_CASES, MAX_ROWS, Fact, text_of
from rules.records import Kind

if TYPE_CHECKING:
    from rules.clocks.book import Meeting
    from rules.emission import Emitter
    from rules.marks import Declaration
    from rules.records import Mark, Report
    from rules.rule import PostFault, RevisionRule
    from rules.state import FacilityState

MAX_POSTED = 4 * MAX_CASES
"""What a rule keeps apart by what was posted ..."""
MAX_BATCHES = 2 * MAX_CASES
"""... of which a sender that numbers its batches anew leaves half for reports and marks."""
DATUM: Final = "datum"


def report(state: FacilityState, payload: Report, met: Meeting, received: int, emitter: Emitter) -> None:
    """Take notice of a report that has no effect: its number came before with other content, or it does not say why it revises."""
    name = f"{payload.id}/{payload.revision}"
    if met.met is Met.CONFLICT:
        leaf = Leaf(
            expr=f"content of report {name}", left=met.digest.hex(), op="!=", right=met.kept.hex(), verdict=Verdict.TRUE
        )
        _note(state, "number", (Kind.REPORT, payload.id, name), met.digest.hex(), leaf, received, emitter)
    elif met.met is Met.UNREASONED:
        leaf = Leaf(expr=f"reason of report {name}", op="missing", verdict=Verdict.TRUE)
        _note(state, "reason", (Kind.REPORT, payload.id, name), met.digest.hex(), leaf, received, emitter)


def amendment(state: FacilityState, payload: Report, received: int, emitter: Emitter) -> None:
    """Take notice of an amendment whose number is its own, and that names no datum."""
    name = f"{payload.id}/{payload.revision}"
    leaf = Leaf(expr=f"data that report {name} names", left=0.0, op="<", right=1.0, verdict=Verdict.TRUE)
    _note(state, DATUM, (Kind.REPORT, payload.id, name), DATUM, leaf, received, emitter)


def mark(state: FacilityState, payload: Mark, known: Declaration | None, received: int, emitter: Emitter) -> None:
    """Take notice of a mark that has the number of one that came with other content; `known`: what was known of it before."""
    if known is None or payload.revision != known.revision or not state.planned.revisions:
        return
    digest = digest_of(payload)
    if digest != known.digest:
        leaf = Leaf(
            expr=f"content of mark {known.name}", left=digest, op="!=", right=known.digest, verdict=Verdict.TRUE
        )
        _note(state, "number", (Kind.MARK, payload.id, known.name), digest, leaf, received, emitter)


def batch(
    state: FacilityState, kind: Kind, name: str, digest: bytes, kept: bytes, received: int, emitter: Emitter
) -> None:
    """Take notice of a batch whose id came before with other content; digests of its content and of that which is kept."""
    if state.plan is not None:
        leaf = Leaf(expr=f"content of batch {name}", left=digest.hex(), op="!=", right=kept.hex(), verdict=Verdict.TRUE)
        _note(state, "batch", (kind, name, name), digest.hex(), leaf, received, emitter)


def _note(
    state: FacilityState, fault: PostFault, what: tuple[Kind, str, str], digest: str, leaf: Leaf, received: int, emitter: Emitter
) -> None:  # fmt: skip
    """Tell of a post that has no effect, by each rule that asks for it; `what`: kind of record, its id, and how evidence names it."""
    for rule in state.planned.revisions:
        if fault in rule.of:
            now = Now(received, received, [RecordRead(kind=what[0], id=what[2])])
            attempt(emitter, rule.id, received, partial(_tell, rule, fault, what, digest, leaf, now, emitter))


def _tell(
    rule: RevisionRule, fault: PostFault, what: tuple[Kind, str, str], digest: str, leaf: Leaf, now: Now, emitter: Emitter
) -> None:  # fmt: skip
    rare = emitter.state.rare
    kind, of, name = what
    subject = text_of({"report": of})
    case = rare.case(rule.id, subject, MAX_BATCHES if fault == "batch" else MAX_POSTED)
    if case is None:
        return
    fact = Fact(now.received, now.received, known_by(kind, name, fault, digest), name, kind.value, counts=True)
    if case.knows(fact.digest):
        rare.counts["event_duplicate"] += 1
        return
    rare.cases[rule.id].keep(case, [*case.facts, fact])
    bound(rule.id, case, emitter, MAX_ROWS)
    settle(rule, subject, case, [leaf], now, emitter, timely=True)


def known_by(kind: Kind, name: str, fault: PostFault, digest: str) -> str:
    """Return by what a post is known again that had no effect."""
    return f"{kind.value} {name} {fault} {digest}"
