"""Readings that amendments name: a row of which one says that it holds is no finding (ADR 0089).

Kept whatever becomes of alarms: an amendment is a fact. It names a row where tag and event time are the row's and the new value is the row's
as the sensor shows it; of a conflict the old value has to be the one that stands, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from rules.changes import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.reports.quality import Amendment

MAX_READINGS = 10_000
"""Instants of series that amendments named, of a facility; the one that was named longest ago goes out ..."""
MAX_PAIRS = 8
"""... and so does the oldest pair of values of one of them."""

Pair: TypeAlias = tuple[float | None, float | None]
"""The old and the new value; None: there was, or is, none."""
PackedNamed: TypeAlias = tuple[str, int, list[Pair]]
"""Tag, event time (ms), pairs."""


@dataclass(slots=True)
class Named:
    """What the amendments of a facility name, by tag and event time (ms); what was named last stands last."""

    readings: dict[tuple[str, int], tuple[Pair, ...]] = field(default_factory=dict)

    def note(self, model: Amendment) -> int:
        """Note what an amendment names; returns how many instants went out for it."""
        for key, pairs in pairs_of(model).items():
            known = [pair for pair in self.readings.pop(key, ()) if pair not in pairs]
            self.readings[key] = tuple([*known, *pairs][-MAX_PAIRS:])
        many = max(0, len(self.readings) - MAX_READINGS)
        for key in list(self.readings)[:many]:
            del self.readings[key]
        return many

    def names(self, tag: str, t: int, value: float, resolution: float | None, stood: float | None = None) -> bool:
        """Say whether a row is named (`says`)."""
        return says(self.readings.get((tag, t), ()), value, resolution, stood)

    def pack(self) -> list[PackedNamed]:
        """Return the members for a snapshot, in the order in which they are kept."""
        return [(tag, t, list(pairs)) for (tag, t), pairs in self.readings.items()]

    @classmethod
    def unpack(cls, packed: Iterable[PackedNamed]) -> Named:
        """Return what packed members say."""
        return cls({(tag, t): tuple(pairs) for tag, t, pairs in packed})


def pairs_of(model: Amendment) -> dict[tuple[str, int], list[Pair]]:
    """Return the values that an amendment names, by tag and event time (ms); each pair once."""
    found: dict[tuple[str, int], list[Pair]] = {}
    for one in model.readings:
        pairs, pair = found.setdefault((one.tag, one.time), []), (one.old, one.new)
        if len(pairs) < MAX_PAIRS and pair not in pairs:
            pairs.append(pair)
    return found


def says(pairs: Iterable[Pair], value: float, resolution: float | None, stood: float | None = None) -> bool:
    """Say whether one of the pairs is of a row.

    Args:
        pairs: old and new values of its tag and event time.
        value: of the row; NaN: none.
        resolution: of the sensor.
        stood: the value that the old one has to be; None: any.

    >>> says([(9.5, 5.0)], 5.04, 0.1, 9.5), says([(9.5, 5.0)], 5.0, 0.1, 9.4), says([(9.5, None)], float("nan"), None)
    (True, False, True)
    """
    return any(
        _is(value, new, resolution) and (stood is None or _is(stood, old, resolution)) for old, new in pairs
    )  # fmt: skip


def _is(value: float, said: float | None, resolution: float | None) -> bool:
    if said is None:
        return math.isnan(value)
    return differs(value, said, resolution) is Verdict.FALSE


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
