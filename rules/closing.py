"""An officer's decision ends a latched alarm of a series (rules/kinds/during.py), as it ends those of rare rules (rules/rare/fold.py)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rules import late
from rules.changes import ChangeKind, Evidence, Leaf, RecordRead, Verdict
from rules.decisions import closes
from rules.failing import attempt
from rules.instants import format_instant
from rules.kinds import during, exposure
from rules.layout import DURING
from rules.records import Kind
from rules.underway import instances_of
from rules.wording import closed_by_officer

if TYPE_CHECKING:
    from rules import kernels
    from rules.emission import Emitter
    from rules.occurrence import Occurrence
    from rules.plan import Instance
    from rules.records import Decision
    from rules.state import FacilityState


def decision(
    state: FacilityState, payload: Decision, received: int, emitter: Emitter, room: kernels.Room
) -> None:  # fmt: skip
    """Let a decision end the alarm that it names, where it is one of a series.

    The rows that had come are done with: what comes later is judged by itself, and raises another alarm. Late rows of this instant are decided
    before a decision that closes something, whatever it names, for they may take the alarm back.
    """
    alarm = closes(payload)
    if alarm is None or state.plan is None:
        return
    late.decide(state, late.waiting(state), emitter, room)
    for instance in instances_of(state.plan):
        standing = emitter.active(instance.kind, instance)
        if standing is None or standing.alarm != alarm:
            continue
        step = partial(_close, state, instance, standing, payload, received, emitter)
        attempt(emitter, instance.rule.id, received, step)
        return


def _close(
    state: FacilityState, instance: Instance, standing: Occurrence, payload: Decision, received: int, emitter: Emitter
) -> None:
    newest = state.newest_of(instance)
    for words, floats, x in (
        (state.words, state.floats, instance.state),
        (state.tails, state.tail_floats, instance.tail),
    ):
        if instance.kind == DURING:
            during.close(words, floats, x, newest)
        else:
            exposure.close(words, x, newest)
    standing.end, standing.closed, standing.unknown = max(received, standing.start), newest, False
    leaf = Leaf(expr="decision", left=payload.code, op="closes", right=format_instant(received), verdict=Verdict.FALSE)
    read = [
        RecordRead(kind=Kind.DECISION, id=f"{payload.id}/{payload.version}"),
        RecordRead(kind=Kind.REGISTER, id=str(state.version)),
    ]
    proof = Evidence(leaves=[leaf], limits=list(instance.limits), records=read)
    text = closed_by_officer(instance)
    emitter.emit(instance.rule, instance.subject, standing, ChangeKind.CLEARED, received, received, text, proof)
