"""Leaves of rules over parallel measurements (`rules.rare.parallel`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.leaves.model import TWO, Leaf, Seen, both, verdict
from rules.rare.match import text_of_field
from rules.rare.parallel import MEASURED, said_of

if TYPE_CHECKING:
    from rules.leaves.rare import Come
    from rules.rare.parallel import Compared
    from rules.register import Facility


def leaves_of() -> list[Leaf]:
    """Return the leaves of a rule, in the order of its condition."""
    return [
        Leaf("measured", both("a complete parallel measurement of a registered series", "已登记测点的完整比对监测"), TWO),
        Leaf("near", both("a record lies within an interval of it, and all errors are known", "一个采样间隔内有记录，且误差均已知"), TWO),
        Leaf("misfit", both("they differ by more than both errors", "两者之差大于两项误差之和"), TWO),
    ]  # fmt: skip


def first_of(one: Come, facility: Facility) -> Seen | None:
    """Return the leaf of an event alone, None of one that is no parallel measurement."""
    if (one.event.stream, one.event.type) != MEASURED:
        return None
    tag = text_of_field(one.event, "series")
    known = any(sensor.tag == tag for sensor in facility.sensors)
    return Seen(
        "measured", verdict(known and said_of(one.event, one.received) is not None), tag or "", "is", "registered"
    )


def seen_of(one: Compared) -> tuple[Seen, ...]:
    """Return the leaves of a comparison."""
    near = Seen("near", verdict(one.verdict is not Verdict.UNKNOWN), one.record, "is", "known")
    if one.verdict is Verdict.UNKNOWN:
        return (near,)
    return (near, Seen("misfit", one.verdict, one.off, ">", one.allowed))
