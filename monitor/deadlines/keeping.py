"""Keep the clocks that snapshots list as rows, inside the caller's transaction: what stays the same is not written again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from monitor.deadlines.snapshots import FORM
from monitor.figures import keeping as figures
from monitor.store.desk_tables import DeadlineFacility, DeadlinePartition, DeadlineRow
from monitor.store.tables import ConsumerOffset
from rules.canonical import canonical_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sqlalchemy.orm import Session

    from monitor.deadlines.snapshots import Listed
    from rules.clocks.listing import Running

CONSUMER = "desk-clocks"
"""The name under which the offsets in the state topic stand."""
FAR_MS = 1 << 62
"""Stands for an instant that is not known: behind all that are."""
AT_ONCE = 500
"""Values of one statement; SQLite takes 32,766."""


def row_id(row: Running) -> str:
    """Return the id of a clock: as that of an alarm, but of facility, rule and case alone."""
    return hashlib.sha256(canonical_bytes([row.facility, row.rule, row.subject])).hexdigest()[:32]


def digests(session: Session) -> dict[str, str]:
    """Return of each facility what its rows were made of."""
    found = session.execute(select(DeadlineFacility.facility, DeadlineFacility.digest))
    return {facility: digest for facility, digest in found}  # noqa: C416 - rows are no pairs to mypy


def prepare(session: Session) -> int:
    """Forget facilities whose rows are of another release's form, and have the topic read from its beginning then; returns how many."""
    mine = f"{FORM}:"
    others = [name for name, digest in digests(session).items() if digest and not digest.startswith(mine)]
    if others:
        forget(session, others)
        session.execute(delete(ConsumerOffset).where(ConsumerOffset.consumer == CONSUMER))
    return len(others)


def keep(session: Session, partition: int, listed: Listed) -> None:
    """Make the rows of a facility those of its newest snapshot; where that cannot be read, the ones before stay and it is said."""
    row = session.get(DeadlineFacility, listed.facility)
    if row is None:
        row = DeadlineFacility(
            facility=listed.facility, partition=partition, digest="", left_out=0, aside="[]", held=False
        )
        session.add(row)
    row.partition, row.digest, row.fault = partition, listed.digest, listed.fault
    if listed.fault is None:
        row.left_out, row.aside = listed.left_out, json.dumps(listed.aside)
        _replace(session, listed.facility, listed.rows)
    if listed.figures is not None:
        figures.keep(session, listed.figures)


def hold(session: Session, facility: str, *, held: bool) -> None:
    """Note whether a facility is quarantined."""
    session.execute(update(DeadlineFacility).where(DeadlineFacility.facility == facility).values(held=held))


def forget(session: Session, facilities: Collection[str]) -> None:
    """Forget facilities that have no snapshot any more."""
    names = sorted(facilities)
    for start in range(0, len(names), AT_ONCE):
        part = names[start : start + AT_ONCE]
        session.execute(delete(DeadlineRow).where(DeadlineRow.facility.in_(part)))
        session.execute(delete(DeadlineFacility).where(DeadlineFacility.facility.in_(part)))
        figures.forget(session, part)


def of_partition(session: Session, partition: int) -> set[str]:
    """Return the facilities that are known in a partition."""
    return set(session.scalars(select(DeadlineFacility.facility).where(DeadlineFacility.partition == partition)))


def as_of(session: Session, clocks: Mapping[int, int]) -> None:
    """Note up to when the rows of partitions hold everything that was received, ms."""
    if not clocks:
        return
    on = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    new = on(DeadlinePartition)
    values = [{"partition": partition, "as_of_ms": clock} for partition, clock in sorted(clocks.items())]
    session.execute(
        new.on_conflict_do_update(index_elements=["partition"], set_={"as_of_ms": new.excluded.as_of_ms}), values
    )


def count(session: Session) -> int:
    """Return how many clocks run."""
    return session.scalar(select(func.count()).select_from(DeadlineRow)) or 0


def _replace(session: Session, facility: str, rows: Iterable[Running]) -> None:
    mine = select(DeadlineRow.id, DeadlineRow.body).where(DeadlineRow.facility == facility)
    there = {name: body for name, body in session.execute(mine)}  # noqa: C416 - rows are no pairs to mypy
    wanted = {row_id(row): row for row in rows}
    gone = sorted(there.keys() - wanted.keys())
    for start in range(0, len(gone), AT_ONCE):
        session.execute(delete(DeadlineRow).where(DeadlineRow.id.in_(gone[start : start + AT_ONCE])))
    new = []
    for name, row in wanted.items():
        body = row.model_dump_json()
        if there.get(name) == body:
            continue
        due = FAR_MS if row.due is None else row.due
        values = {"due_ms": due, "soon_ms": min([due, *(one.since for one in row.colours)]), "body": body}
        if name in there:
            session.execute(update(DeadlineRow).where(DeadlineRow.id == name).values(values))
        else:
            new.append({"id": name, "facility": facility} | values)
    if new:
        session.execute(insert(DeadlineRow), new)
