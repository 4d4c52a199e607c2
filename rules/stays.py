"""Where the sensors of a facility stood: what is said of an area is about a sensor while it stood there (docs/engine-semantics.md, "Marks").

Kept is only what moved. An entry of the register with `from` says so from then on, by event time; one without it from when the register came.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from rules.layout import NEVER, NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rules.register import Facility, Sensor

Stay: TypeAlias = tuple[Annotated[int, msgspec.Meta(ge=NONE, le=NEVER)], str]
"""Since when (event time, ms; NONE: ever), and in which area."""
PackedStays: TypeAlias = tuple[str, list[Stay]]
"""In a snapshot: tag and stays."""

MAX_STAYS = 64
"""Of one sensor; beyond it the oldest is forgotten, as if the sensor had stood in the next one before."""


def moved(
    stays: Mapping[str, list[Stay]], areas: Mapping[str, str], facility: Facility, at: int, kept: int
) -> dict[str, list[Stay]]:
    """Return where the sensors in force stood, of those that moved, now that a register or a fact of it comes into force.

    Args:
        stays: as it was known of sensors that had moved.
        areas: tag -> area of the sensors that were in force until now.
        facility: as it is registered now.
        at: when that comes into force, ms.
        kept: stays that ended longer ago than this (ms) are forgotten.
    """
    found: dict[str, list[Stay]] = {}
    for tag, entries in _entries(facility).items():
        begun = [one for one in entries if (one.from_ or 0) <= at]
        if not begun or (len(entries) == 1 and tag not in stays and areas.get(tag, begun[-1].area) == begun[-1].area):
            continue
        told = stays.get(tag) or [(NONE, areas.get(tag, entries[0].area))]
        dated = [(one.from_, one.area) for one in begun if one.from_ is not None]
        if dated:
            told = [*(stay for stay in told if stay[0] < dated[0][0]), *dated]
        elif told[-1][1] != begun[-1].area:
            told = [*(stay for stay in told if stay[0] < at), (at, begun[-1].area)]
        told = list(_apart(told))
        while len(told) > MAX_STAYS or (len(told) > 1 and told[1][0] < at - kept):
            told = [(NONE, told[1][1]), *told[2:]]
        if len(told) > 1:
            found[tag] = told
    return found


def _entries(facility: Facility) -> dict[str, list[Sensor]]:
    """Return the entries of each tag, by when they come into force."""
    found: dict[str, list[Sensor]] = {}
    for sensor in sorted(facility.sensors, key=lambda sensor: (sensor.tag, sensor.from_ or 0)):
        found.setdefault(sensor.tag, []).append(sensor)
    return found


def _apart(told: Iterable[Stay]) -> Iterator[Stay]:
    last = None
    for since, area in told:
        if area != last:
            yield since, area
        last = area


def while_in(stays: list[Stay], area: str, begin: int, end: int) -> list[tuple[int, int]]:
    """Return the parts of a span in which a sensor stood in an area; event times, both ends inside.

    >>> while_in([(-1, "A"), (50, "B"), (80, "A")], "A", 10, 90)
    [(10, 49), (80, 90)]
    """
    ends = [*(since - 1 for since, _ in stays[1:]), end]
    parts = [
        (max(begin, since), min(end, until)) for (since, where), until in zip(stays, ends, strict=True) if where == area
    ]
    return [(low, high) for low, high in parts if low <= high]


def unpacked(packed: Iterable[PackedStays], tags: Iterable[str]) -> dict[str, list[Stay]]:
    """Return what a snapshot holds.

    Raises:
        ValueError: of a tag that is not in force, or stays that no fold leaves.
    """
    found, known = {}, set(tags)
    for tag, stays in packed:
        times = [since for since, _ in stays]
        if tag not in known or len(stays) < 2 or times[0] != NONE or any(a >= b for a, b in pairwise(times)):  # noqa: PLR2004 - it moved
            raise ValueError(f"stays of {tag} that no fold leaves")
        found[tag] = list(stays)
    return found
