"""The register in the store: import a file as new versions, export what is in force, show the difference.

One transaction holds the versions, the contacts and the outbox rows: the log's `register` record and the gateway's table
of tags follow from what was committed, and from nothing else. A facility that did not change gets no version.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import delete, func, select

from monitor.register.compare import FactChange, compare
from monitor.store.counters import hold
from monitor.store.outbox import access_entry, add, log_entry
from monitor.store.tables import ContactRow, FacilityVersion
from rules.canonical import canonical_bytes
from rules.errors import BadInputError, Fault
from rules.jsondiff import walk
from rules.records import RegisterRecord
from rules.register import Contact, Facility, FacilityEntry, RegisterFile
from streams.access import FACILITY_PREFIX, MAX_FACTS
from streams.access import FacilityEntry as TagsEntry

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from monitor.store.outbox import Entry

Kind = Literal["new", "changed", "contacts", "same", "absent"]
REPEAT_MS = 25 * 86_400_000
"""Contracts §3: a register record is repeated at least every 30 days, so that the log's retention keeps one."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How one facility of a file differs from the store: `changes` are JSON pointers with old and new value."""

    facility: str
    kind: Kind
    version: int
    """Newest version in the store before; 0 if there is none."""
    changes: tuple[tuple[str, Any, Any], ...] = ()
    facts: tuple[FactChange, ...] = field(default=(), compare=False)
    """The same by names of entries instead of places."""


def document(facility: Facility) -> dict[str, Any]:
    """Return a facility's facts as contracts.md §2 writes them, without contacts."""
    return facility.model_dump(mode="json", by_alias=True, exclude={"contacts"}, exclude_none=True)


def differences(session: Session, register: RegisterFile) -> list[Difference]:
    """Compare a register file with the store, facility by facility in id order; what the file does not name is `absent`."""
    stored, contacts = newest(session), _contacts(session)
    found = []
    for entry in sorted(register.facilities, key=lambda f: f.id):
        row = stored.pop(entry.id, None)
        if row is None:
            found.append(Difference(entry.id, "new", 0))
            continue
        before, after = json.loads(row.data), document(entry)
        changes = tuple(walk(before, after))
        kind: Kind = "changed" if changes else "same"
        if not changes and contacts.get(entry.id, []) != entry.contacts:
            kind = "contacts"
        facts = tuple(compare(before, after)) if changes else ()
        found.append(Difference(entry.id, kind, row.version, changes, facts))
    return found + [Difference(name, "absent", row.version) for name, row in sorted(stored.items())]


def import_register(session: Session, register: RegisterFile, actor: str, now_ms: int) -> list[Difference]:
    """Store what is new or changed, and queue its records; returns what was done. Absent facilities stay as they are."""
    hold(session, "register")  # two imports at once would both call theirs the next version
    found = differences(session, register)
    entries = {entry.id: entry for entry in register.facilities}
    queued: list[Entry] = []
    for difference in found:
        entry = entries.get(difference.facility)
        if entry is None or difference.kind == "same":
            continue
        _set_contacts(session, entry)
        if difference.kind != "contacts":
            queued += _store(session, entry, difference.version + 1, actor, now_ms)
    add(session, queued, now_ms)
    return found


def repeat_due(session: Session, now_ms: int) -> int:
    """Queue again the newest record of every facility that was last queued 25 days ago or earlier; returns how many."""
    queued: list[Entry] = []
    for name, row in newest(session).items():
        if now_ms - row.logged_ms >= REPEAT_MS:
            facility = Facility.model_validate_json(row.data)
            queued.append(log_entry(name, RegisterRecord(version=row.version, facility=facility)))
            row.logged_ms = now_ms
    add(session, queued, now_ms)
    return len(queued)


def export(session: Session) -> dict[str, Any]:
    """Return the whole register, with contacts, in the form that `import` takes."""
    contacts = _contacts(session)
    facilities = []
    for name, row in sorted(newest(session).items()):
        value = json.loads(row.data)
        if contacts.get(name):
            value["contacts"] = [c.model_dump(mode="json", exclude_none=True) for c in contacts[name]]
        facilities.append(value)
    return {"facilities": facilities}


def newest(session: Session, facility: str | None = None) -> dict[str, FacilityVersion]:
    """Return the newest version of each facility, or of one."""
    last = select(FacilityVersion.facility, func.max(FacilityVersion.version).label("version"))
    if facility is not None:
        last = last.where(FacilityVersion.facility == facility)
    each = last.group_by(FacilityVersion.facility).subquery()
    rows = session.scalars(
        select(FacilityVersion).join(
            each, (FacilityVersion.facility == each.c.facility) & (FacilityVersion.version == each.c.version)
        )
    )
    return {row.facility: row for row in rows}


def versions(session: Session, facility: str) -> list[FacilityVersion]:
    """Return every version of a facility, newest first."""
    wanted = select(FacilityVersion).where(FacilityVersion.facility == facility)
    return list(session.scalars(wanted.order_by(FacilityVersion.version.desc())))


def version_of(session: Session, facility: str, version: int | None) -> FacilityVersion:
    """Return one version of a facility; None is the newest.

    Raises:
        BadInputError: there is none, with those that there are.
    """
    rows = versions(session, facility)
    found = next((row for row in rows if version in {None, row.version}), None)
    if found is None:
        there = f"versions 1 to {rows[0].version} are stored" if rows else "the facility is not registered"
        wanted = f"{facility}" if version is None else f"version {version} of {facility}"
        raise BadInputError("register", [Fault("/version", "unknown_version", f"no {wanted}: {there}")])
    return found


def _store(session: Session, entry: FacilityEntry, version: int, actor: str, now_ms: int) -> list[Entry]:
    facility = entry.logged()
    data = canonical_bytes(document(facility))
    session.add(
        FacilityVersion(
            facility=entry.id,
            version=version,
            recorded_ms=now_ms,
            logged_ms=now_ms,
            actor=actor,
            sha256=hashlib.sha256(data).hexdigest(),
            data=data.decode(),
        )
    )
    return [
        log_entry(entry.id, RegisterRecord(version=version, facility=facility)),
        _tags_entry(entry.id, version, data, {sensor.tag: sensor.unit for sensor in entry.sensors}),
    ]


def tags_entry(row: FacilityVersion) -> Entry:
    """Return the access topic's entry of a facility: what a gateway knows of its tags and facts."""
    facility = Facility.model_validate_json(row.data)
    return _tags_entry(
        row.facility, row.version, row.data.encode(), {sensor.tag: sensor.unit for sensor in facility.sensors}
    )


def _tags_entry(facility: str, version: int, data: bytes, tags: dict[str, str]) -> Entry:
    facts = data.decode()
    entry = TagsEntry(
        facility=facility,
        tags=tags,
        version=version,
        facts=facts if len(facts) <= MAX_FACTS and len(data) <= MAX_FACTS else None,
    )
    return access_entry(f"{FACILITY_PREFIX}{facility}", entry.model_dump_json(exclude_none=True).encode())


def _contacts(session: Session) -> dict[str, list[Contact]]:
    found: dict[str, list[Contact]] = {}
    for row in session.scalars(select(ContactRow).order_by(ContactRow.facility, ContactRow.position)):
        contact = Contact(name=row.name, role=row.role, phone=row.phone, email=row.email, duty=row.duty)
        found.setdefault(row.facility, []).append(contact)
    return found


def _set_contacts(session: Session, entry: FacilityEntry) -> None:
    session.execute(delete(ContactRow).where(ContactRow.facility == entry.id))
    session.add_all(
        ContactRow(facility=entry.id, position=i, **contact.model_dump()) for i, contact in enumerate(entry.contacts)
    )
