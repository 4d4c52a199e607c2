"""Days that the compiled pass found to be copies of earlier ones: kind `repeat_day` (rules/kinds/repeat_day.py).

A copied day is an occasion of its sensor's case. It is told in the place of the row that left the day behind.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rules.changes import Leaf, RecordRead, Verdict
from rules.layout import REPEAT_DAY
from rules.rare.count import bound
from rules.rare.speak import Now, settle
from rules.rare.store import MAX_CHECKED, MAX_ROWS, Fact, text_of
from rules.records import Kind
from rules.rule import RepeatDayRule

if TYPE_CHECKING:
    from rules.emission import Emitter, Transition
    from rules.plan import Instance, Plan
    from rules.rare.rows import Step


def taken(
    plan: Plan, transitions: list[Transition], odd: dict[int, list[Step]], batch: str, emitter: Emitter
) -> list[Transition]:
    """Take copied days out of what the compiled pass decided, and let them be told with the odd rows; returns the rest.

    Args:
        plan: of the facility.
        transitions: what the pass decided, in its order.
        odd: what rules have to say of rows, by row; copied days are added.
        batch: the id of the batch.
        emitter: of the record.
    """
    rest = []
    for one in transitions:
        if one.of != REPEAT_DAY:
            rest.append(one)
            continue
        instance = plan.by_state[one.inst]
        step = partial(meet, instance, one, batch, emitter)
        odd.setdefault(one.row, []).append((instance.rank, instance.rule.id, step))
    return rest


def meet(instance: Instance, found: Transition, batch: str, emitter: Emitter) -> None:
    """Take a copied day: `start` is its beginning, `end` its lag in days, `value` of `peak` pairs are equal."""
    rule, rare = instance.rule, emitter.state.rare
    assert isinstance(rule, RepeatDayRule)  # noqa: S101 - the instance is of this kind
    subject = text_of({"tag": instance.tag})
    case = rare.case(rule.id, subject, MAX_CHECKED)
    fact = Fact(found.start, found.received, str(found.start), batch, counts=True)
    if case is None or case.knows(fact.digest):
        return
    rare.cases[rule.id].keep(case, [*case.facts, fact])
    bound(rule.id, case, emitter, MAX_ROWS)
    leaf = Leaf(
        expr=f"equal values of {instance.tag}, {24 * found.end} h", left=found.value / found.peak, op=">=",
        right=rule.share, verdict=Verdict.TRUE,
    )  # fmt: skip
    records = [RecordRead(kind=Kind.READINGS, id=batch)]
    settle(rule, subject, case, [leaf], Now(found.at, found.received, records), emitter, timely=True)
