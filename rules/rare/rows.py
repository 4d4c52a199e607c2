"""Rows that rules of plain Python ask about: kind `conflict`. What such a row is, the compiled pass and its counters say.

A row is asked about in its place: what it makes is told between the changes of its neighbours, however rows are batched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from rules.changes import Leaf, RecordRead, Verdict
from rules.layout import ROW_CONFLICT
from rules.rare.count import bound
from rules.rare.speak import Now, settle
from rules.rare.store import MAX_CHECKED, MAX_ROWS, Fact, text_of
from rules.records import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from rules.emission import Emitter
    from rules.layout import Codes, Floats
    from rules.plan import Plan
    from rules.records import Readings
    from rules.register import Sensor
    from rules.rule import RowRule

Step: TypeAlias = tuple[int, str, "Callable[[], object]"]
"""A rule's place in the order of rules, its id, and what it does."""


@dataclass(frozen=True, slots=True)
class OddRow:
    """A row that a rule asks about: event and receive time (ms), value, batch."""

    sensor: Sensor
    t: int
    received: int
    value: float
    batch: str


def asked(plan: Plan, rows: int) -> Floats:
    """Return room for the values that the rows of a batch come again with; none where no rule asks."""
    return np.empty(rows if plan.odd else 0)


def steps(
    plan: Plan, payload: Readings, index: npt.NDArray[np.int64], folded: Codes, first: Floats, begin: int, stop: int,
    received: int, emitter: Emitter,
) -> dict[int, list[Step]]:  # fmt: skip
    """Return what rules have to say of the rows [begin, stop), by row.

    Args:
        plan: of the facility.
        payload: the batch.
        index: the slot of each row's series, -1 for an unknown tag.
        folded: what became of each row.
        first: of a row that is a conflict, the value that stands; NaN where one of both is no record.
        begin: the first row.
        stop: behind the last.
        received: the receive time, ms.
        emitter: of the record.
    """
    found: dict[int, list[Step]] = {}
    if not plan.odd:
        return found
    for row in (begin + np.flatnonzero(folded[begin:stop] == ROW_CONFLICT)).tolist():
        slot, t, value, stood = int(index[row]), int(payload.time[row]), float(payload.value[row]), float(first[row])
        sensor = plan.sensors[slot]
        for rank, rule in plan.odd.get(slot, ()):
            if differs(value, stood, sensor.resolution) is Verdict.TRUE:
                odd = OddRow(sensor, t, received, value, payload.batch)
                leaf = partial(_second, odd, stood)
                found.setdefault(row, []).append((rank, rule.id, partial(meet, rule, odd, t, leaf, emitter)))
    return found


def meet(rule: RowRule, odd: OddRow, start: int, leaf: Callable[[], Leaf], emitter: Emitter) -> None:
    """Take a row that is an occasion, since `start` (ms)."""
    rare = emitter.state.rare
    subject = text_of({"tag": odd.sensor.tag})
    case = rare.case(rule.id, subject, MAX_CHECKED)
    fact = Fact(start, odd.received, digest_of(odd.t, odd.value), odd.batch, counts=True)
    if case is None or case.knows(fact.digest):
        return
    rare.cases[rule.id].keep(case, sorted([*case.facts, fact], key=lambda one: (one.t, one.digest)))
    bound(rule.id, case, emitter, MAX_ROWS)
    records = [RecordRead(kind=Kind.READINGS, id=odd.batch)]
    settle(rule, subject, case, [leaf()], Now(odd.t, odd.received, records), emitter)


def _second(odd: OddRow, stood: float) -> Leaf:
    sensor = odd.sensor
    return Leaf(
        expr=f"second value of {sensor.tag}",
        left=odd.value,
        op="!=",
        right=stood,
        unit=sensor.unit,
        verdict=Verdict.TRUE,
    )


def differs(value: float, first: float, resolution: float | None) -> Verdict:
    """Say whether two values differ as the sensor shows them; unknown where one is no record.

    >>> differs(5.04, 5.01, 0.1).value, differs(5.06, 5.01, 0.1).value, differs(5.01, 5.0, None).value
    ('false', 'true', 'true')
    """
    if not (math.isfinite(value) and math.isfinite(first)):
        return Verdict.UNKNOWN
    if resolution is not None and math.isfinite(value / resolution) and math.isfinite(first / resolution):
        return Verdict.TRUE if round(value / resolution) != round(first / resolution) else Verdict.FALSE
    return Verdict.TRUE if value != first else Verdict.FALSE


def digest_of(t: int, value: float) -> str:
    """Return what tells a row of a series from others: one that is posted again is the same."""
    return f"{t} {value!r}"
