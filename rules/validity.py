"""The registered facts in force at one instant: what a rule would use of a facility's newest version (contracts.md §2)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

from rules.facts import area_in_force, in_force
from rules.register import ZONE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.regimes import Regime
    from rules.register import Facility, Licence

Dated = TypeVar("Dated", "Licence", "Regime")


def facts_at(facility: Facility, at_ms: int) -> Facility:
    """Return a facility with what is in force at an instant (ms): one entry of each tag and area, licences and regimes of that day.

    An area none of whose entries has begun stands with its first one, as rules take it. What has no dates stays as it is.
    """
    day = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(ZONE)).date().isoformat()
    areas = [area_in_force(facility, name, at_ms) for name in dict.fromkeys(area.id for area in facility.areas)]
    return facility.model_copy(
        update={
            "sensors": in_force(facility, at_ms),
            "areas": [area for area in areas if area is not None],
            "licences": _valid(facility.licences, day),
            "regimes": None if facility.regimes is None else _valid(facility.regimes, day),
        }
    )


def _valid(entries: Iterable[Dated], day: str) -> list[Dated]:
    """Return what holds on a local day, the first and the last one included; days stand in the order of their texts."""
    return [entry for entry in entries if (entry.from_ or "") <= day and (entry.to is None or day <= entry.to)]
