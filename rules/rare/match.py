"""Which events a rule means, whom they are about, and where: three values, from the event and the register alone."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING

from rules.changes import Verdict
from rules.facts import area_in_force, area_of_device, facts_of_area
from rules.models import is_identifier
from rules.predicate import holds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rules.rareparts import EventMatch
    from rules.records import Event, Events
    from rules.register import Facility
    from rules.rule import Rule

MAX_SUBJECT = 128
FUTURE_MS = 5 * 60_000
"""An event stamped farther ahead than this counts as of when it was received: a wrong clock must not hide what it tells."""


def is_meant(event: Event, match: EventMatch) -> Verdict:
    """Say whether a rule means an event; unknown where a field that it asks for is missing or holds no text."""
    if (event.stream, event.type) != (match.stream, match.type):
        return Verdict.FALSE
    said = [field_is(event, name, wanted) for name, wanted in match.where.items()]
    if Verdict.FALSE in said:
        return Verdict.FALSE
    return Verdict.UNKNOWN if Verdict.UNKNOWN in said else Verdict.TRUE


def field_is(event: Event, name: str, wanted: str | list[str]) -> Verdict:
    """Say whether a field holds one of the wanted words."""
    text = text_of_field(event, name)
    if text is None:
        return Verdict.UNKNOWN
    return Verdict.TRUE if text in ([wanted] if isinstance(wanted, str) else wanted) else Verdict.FALSE


def text_of_field(event: Event, name: str) -> str | None:
    """Return a field's text, None where it is missing, empty, too long or no text."""
    value = event.fields.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= MAX_SUBJECT else None


def name_of(event: Event, by: str) -> str | None:
    """Return the subject that a count rule keeps apart; an event without `system` is about its source."""
    return text_of_field(event, by) or (event.source if by == "system" else None)


def named_device(event: Event) -> str | None:
    """Return the device that an event names: the envelope's, else that of its fields if it is an id; None: it names none."""
    told = event.fields.get("device") if event.device is None else event.device
    return told if isinstance(told, str) and is_identifier(told) else None


def device_of(event: Event) -> str:
    """Return the device of an event: its source unless it names another (settled.md)."""
    return named_device(event) or event.source


def area_of(event: Event, facility: Facility) -> str | None:
    """Return the area of an event: as it says, else where its device is registered."""
    if event.area is not None:
        return event.area
    return area_of_device(facility, device_of(event))


def applies(rule: Rule, facility: Facility, area: str | None, at_ms: int) -> bool:
    """Say whether a rule's predicates hold for an area (None: the facility alone) with the facts in force at an instant."""
    if not rule.applies_to:
        return True
    entry = None if area is None else area_in_force(facility, area, at_ms)
    return holds(rule.applies_to, facts_of_area(facility, entry))


def digest_of(event: Event, copy: int = 1) -> str:
    """Return the digest of all that an event says: one that is posted again in another batch is the same event.

    Args:
        event: that is told from others.
        copy: which of the equal events of its batch it is, from 1 on (`copies_of`): what stands in one batch twice came twice.
    """
    told = _bytes_of(event.model_dump(mode="json"))
    return hashlib.blake2b(told if copy == 1 else told + b"#%d" % copy, digest_size=8).hexdigest()


def copies_of(events: Sequence[Event]) -> list[int]:
    """Return of each event of a batch which of those it is that are equal to it in all members, from 1 on."""
    alike: dict[tuple[str, str, int, str], list[int]] = {}
    for i, event in enumerate(events):
        alike.setdefault((event.stream, event.type, event.time, event.source), []).append(i)
    copies = [1] * len(events)
    for places in alike.values():
        met: Counter[str] = Counter()
        for i in places if len(places) > 1 else ():
            met[digest := digest_of(events[i])] += 1
            copies[i] = met[digest]
    return copies


def digest_of_batch(payload: Events) -> bytes:
    """Return the digest of a batch of events, without its id."""
    whole = _bytes_of([event.model_dump(mode="json") for event in payload.events])
    return hashlib.blake2b(whole, digest_size=8).digest()


def _bytes_of(value: object) -> bytes:
    """Return JSON of a value, members sorted: RFC 8785 refuses whole numbers beyond 2^53, which a field may hold."""
    return json.dumps(value, sort_keys=True, allow_nan=False).encode()


def time_of(event: Event, received: int) -> int:
    """Return the event time that counts, ms."""
    return event.time if event.time <= received + FUTURE_MS else received
