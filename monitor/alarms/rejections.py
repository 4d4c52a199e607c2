"""What workers and gateways put into `offsite.rejected.v1`, made operators' alarms and a bounded list of the last ones.

Operators' alarms are rows, written with the offset that was read; the list and its counts live in this process.
"""

from __future__ import annotations

import base64
import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.exc import DataError, IntegrityError

from monitor.alarms import operators
from monitor.store.desk_tables import OperatorAlarm
from rules.faults import printable
from rules.instants import format_instant
from streams.rejected import ClockNotice, QuarantineNotice, RefusedPost, UnreadRecord, read_rejected

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session

    from streams.rejected import Entry

REJECTED, FOREIGN = "record-rejected", "foreign-rejection"
QUARANTINED, CLOCK, HELD = "facility-quarantined", "broker-clock", "broker-clock-held"
PASSING = (REJECTED, FOREIGN, CLOCK)
"""Faults that are over when they are told: shown for a day behind the last one."""
SHOWN_MS = 86_400_000
LAST = 50
CODES = 200
SAMPLE_CHARACTERS = 200
RECORDS_FAULT = (DataError, IntegrityError, OverflowError, ValueError, TypeError)
_TRIES = {
    "agreed": "somebody else's clock says the same: this worker's clock is wrong",
    "reached": "the time it said has come: the partition goes on",
    "waited": "nobody else's clock got there: the partition goes on all the same, silences may be false",
    "back": "it went back: decisions by the clock come late until it is where it was",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One rejected record or post as the page shows it."""

    at_ms: int
    by: str
    code: str
    facility: str
    place: str
    detail: str
    sample: str


class Rejections:
    """The last ones, newest first, and counts by writer and code since this process began."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self._last: deque[Seen] = deque(maxlen=LAST)
        self._counts: Counter[tuple[str, str]] = Counter()

    def note(self, entries: Iterable[Entry]) -> None:
        """Take entries in the order read; called from the follower's thread."""
        with self._lock:
            for entry in entries:
                seen = _seen(entry)
                if seen is None:
                    continue
                self._last.appendleft(seen)
                for code, count in _counted(entry).items():
                    key = (seen.by, code)
                    self._counts[key if key in self._counts or len(self._counts) < CODES else (seen.by, "other")] += (
                        count
                    )

    def view(self) -> tuple[list[tuple[str, str, int]], list[Seen]]:
        """Return counts, the largest first, and the last entries."""
        with self._lock:
            counts = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
            return [(by, code, count) for (by, code), count in counts], list(self._last)


def read(session: Session, values: Iterable[tuple[str, bytes | None]], now_ms: int) -> list[Entry]:
    """Read entries, each with its place in the topic, and book what operators must see; returns those that can be read."""
    entries: list[Entry] = []
    for place, value in values:
        try:
            entry = read_rejected(value or b"")
        except ValidationError:
            operators.opened(session, FOREIGN, place.partition(" ")[0], f"{place}: no entry of this topic", now_ms)
            continue
        try:
            with session.begin_nested():
                _seen(entry)
                _book(session, entry, now_ms)
        except (
            RECORDS_FAULT
        ) as error:  # an instant that is none, text that the database does not take: it must stop nothing
            detail = f"{place}: {printable(f'{type(error).__name__}: {error}', 300)}"
            operators.opened(session, FOREIGN, place.partition(" ")[0], detail, now_ms)
            continue
        entries.append(entry)
    return entries


def expire(session: Session, now_ms: int) -> None:
    """Close what was over when it was told and has not come again for a day."""
    old = select(OperatorAlarm).where(
        OperatorAlarm.closed_ms.is_(None), OperatorAlarm.code.in_(PASSING), OperatorAlarm.last_ms < now_ms - SHOWN_MS
    )
    for row in session.scalars(old):
        row.closed_ms = now_ms


def _book(session: Session, entry: Entry, now_ms: int) -> None:
    if isinstance(entry, UnreadRecord):
        seen = _seen(entry)
        detail = f"{seen.place}, {seen.facility or '-'}: {seen.detail}; it begins {seen.sample!r}" if seen else ""
        operators.opened(session, REJECTED, printable(entry.code), detail, now_ms)
    elif isinstance(entry, QuarantineNotice):
        if entry.state == "released":
            operators.closed(session, QUARANTINED, entry.facility, now_ms)
            return
        detail = (
            f"the record at partition {entry.partition} offset {entry.offset}, received "
            f"{format_instant(entry.since_ms)}, ended {entry.deaths} workers; its records from offset {entry.begin} on are "
            "kept and not folded: offsite quarantine release"
        )
        refused = f"; a release did not come off: {printable(entry.detail, 1000)}" if entry.state == "refused" else ""
        operators.opened(session, QUARANTINED, entry.facility, detail + refused, now_ms)
    elif isinstance(entry, ClockNotice):
        subject = f"partition {entry.partition}"
        said = (
            f"offset {entry.offset}: the broker says {format_instant(entry.received_ms)}, "
            f"{entry.worker} {format_instant(entry.own_ms)}"
        )
        if entry.state == "held":
            operators.opened(session, HELD, subject, said, now_ms)
            return
        if entry.state != "back":
            operators.closed(session, HELD, subject, now_ms)
        operators.opened(session, CLOCK, subject, f"{said}; {_TRIES[entry.state]}", now_ms)


def _counted(entry: Entry) -> Counter[str]:
    """Return how many rejections an entry tells of: a gateway's sample stands also for those it only counted."""
    if isinstance(entry, RefusedPost):
        return Counter({printable(code): count for code, count in entry.unsampled.items()}) + Counter({entry.code: 1})
    return Counter({printable(entry.code): 1}) if isinstance(entry, UnreadRecord) else Counter()


def _seen(entry: Entry) -> Seen | None:
    if isinstance(entry, UnreadRecord):
        place = f"{entry.partition}:{entry.offset}"
        at, code, detail = entry.received_ms, entry.code, entry.detail
    elif isinstance(entry, RefusedPost):
        place, at, code, detail = f"{entry.gateway} {entry.endpoint}", entry.at, entry.code, entry.detail
    else:
        return None
    sample = base64.b64decode(entry.sample).decode("utf-8", "backslashreplace")
    return Seen(
        at, entry.by, printable(code), entry.facility, printable(place), printable(detail, 300),
        printable(sample, SAMPLE_CHARACTERS),
    )  # fmt: skip
