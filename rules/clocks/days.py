"""Working days of a facility by the packs in force, looked up once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.calendar import calendar_for

if TYPE_CHECKING:
    from rules.calendar import WorkingDays
    from rules.emission import Emitter
    from rules.state import FacilityState


def days_of(state: FacilityState, emitter: Emitter) -> WorkingDays | None:
    """Return the working days of the facility's jurisdiction by the packs in force."""
    clocks, code = state.clocks, state.planned.facility.jurisdiction
    if clocks.days is None or clocks.days[0] != (emitter.bundle.sha256, code):
        clocks.days = ((emitter.bundle.sha256, code), calendar_for(code, emitter.bundle.calendars.values()))
    return clocks.days[1]
