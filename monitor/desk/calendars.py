"""Tell operators before a calendar of working days ends: what is due beyond it is unknown to every rule that counts them.

The notices of public holidays come once a year, in November for the next one: sixty days leave the time to publish packs that hold it.
"""

from __future__ import annotations

import logging
import re
from datetime import date
from typing import TYPE_CHECKING

from monitor.alarms import operators
from monitor.packs.shelf import bundle_in_force
from monitor.store.session import StoreDownError
from rules.calendar import day_of
from rules.errors import BadInputError
from rules.instants import start_of_day
from rules.register import ZONE

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from monitor.store.session import Store
    from rules.calendar import Calendar
    from rules.pack import Bundle

log = logging.getLogger(__name__)
ENDS = "calendar-ends"
LEAD_MS = 60 * 86_400_000
ROUND_S = 3_600.0
NAMED = 10
_COUNTED = re.compile(r'"\d+wd"')
_LAST_YEAR = 9_998


def counting(bundle: Bundle) -> list[str]:
    """Return the rules in use that count working days, by id; how soon supervisors are to respond is no time of a rule."""
    return [
        rule.id
        for rule in bundle.rules
        if rule.stage in {"live", "shadow"}
        and _COUNTED.search(rule.model_dump_json(exclude={"tests", "rationale", "time_to_respond"}))
    ]


def end_of(calendar: Calendar, now_ms: int) -> int:
    """Return the first instant (ms) from the running year on that a calendar does not hold, local."""
    years = {int(year) for year in calendar.years}
    year = day_of(now_ms).year
    while year in years and year < _LAST_YEAR:
        year += 1
    return start_of_day(date(year, 1, 1), ZONE)


def judge(store: Store, bundle: Bundle, now_ms: int) -> list[str]:
    """Raise or close the alarm of each calendar of the packs in force; returns those that end soon, or have ended.

    Raises:
        StoreDownError: the store does not answer.
    """
    rules, found = counting(bundle), []
    with store.writing() as session:
        for calendar in bundle.calendars.values():
            end = end_of(calendar, now_ms)
            if not rules or now_ms < end - LEAD_MS:
                operators.closed(session, ENDS, calendar.id, now_ms)
                continue
            year = day_of(end).year
            more = f" and {len(rules) - NAMED} more" if len(rules) > NAMED else ""
            detail = (
                f"it does not hold {year}: what falls due then is unknown to {', '.join(rules[:NAMED])}{more};"
                f" publish packs that hold it; 工作日历未包含 {year} 年，请发布新的规则包"
            )
            operators.opened(session, ENDS, calendar.id, detail, now_ms)
            found.append(calendar.id)
    return found


def calendars_job(store: Store, clock_ms: Callable[[], int]) -> Callable[[threading.Event], None]:
    """Return the desk's job that looks once an hour, by the packs that were published last."""

    def job(stop: threading.Event) -> None:
        wait = 0.0
        while not stop.wait(wait):
            wait = ROUND_S
            try:
                with store.reading() as session:
                    bundle = bundle_in_force(session)
                for name in judge(store, bundle, clock_ms()):
                    log.error("calendar %s ends soon, or has ended", name)
            except (StoreDownError, BadInputError) as error:
                log.warning("calendars: %s; looked at again later", error)

    return job
