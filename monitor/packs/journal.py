"""What the store keeps of published packs: every bundle by its hash, who published it, and where its records stand.

A `packs` record has no room for who and why, so that stands here, begun before the record is appended: a publisher that dies
in between leaves its name. Bundles that came to the log by other means are noted by the archiver, which reads every record:
so the desk, which may not read the log, has the texts of every rule that raises alarms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite

from monitor.store.tables import PacksBundle, PacksPlace, PacksPublication
from rules.records import PacksRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy.orm import Session

    from streams.packs import Place


@dataclass(frozen=True, slots=True)
class Noted:
    """Where the newest packs record of a partition stands, as far as the store knows, and who published it."""

    partition: int
    offset: int
    received_ms: int
    sha256: str
    actor: str | None
    """None for a record that came by other means."""


def begin(session: Session, record: PacksRecord, actor: str, now_ms: int) -> int:
    """Note that somebody is about to publish; returns the number of the publication."""
    keep(session, record, now_ms)
    row = PacksPublication(sha256=record.sha256, actor=actor, begun_ms=now_ms)
    session.add(row)
    session.flush()
    return row.id


def done(session: Session, publication: int, places: Iterable[Place], now_ms: int) -> None:
    """Note where the broker has put the records; those that the archiver was faster with get their publisher."""
    row = session.get_one(PacksPublication, publication)
    row.done_ms = now_ms
    for place in places:
        _place(session, place.partition, place.offset, place.received, row.sha256)
        session.get_one(PacksPlace, (place.partition, place.offset)).publication = publication
    session.flush()


def keep(session: Session, record: PacksRecord, now_ms: int) -> None:
    """Keep a bundle under its hash; nothing changes if it is there."""
    values = {"sha256": record.sha256, "data": record.model_dump_json(), "noted_ms": now_ms}
    session.execute(_insert(session)(PacksBundle).values(values).on_conflict_do_nothing())


def note(session: Session, partition: int, offset: int, received_ms: int, record: PacksRecord) -> None:
    """Note a record of the log, however it came there; nothing changes if it is known."""
    keep(session, record, received_ms)
    _place(session, partition, offset, received_ms, record.sha256)


def newest(session: Session) -> dict[int, Noted]:
    """Return the newest record of each partition."""
    last = select(PacksPlace.partition, func.max(PacksPlace.offset).label("offset")).group_by(PacksPlace.partition)
    each = last.subquery()
    rows = session.execute(
        select(PacksPlace, PacksPublication.actor)
        .join(each, (PacksPlace.partition == each.c.partition) & (PacksPlace.offset == each.c.offset))
        .outerjoin(PacksPublication, PacksPublication.id == PacksPlace.publication)
    )
    return {row.partition: Noted(row.partition, row.offset, row.received_ms, row.sha256, actor) for row, actor in rows}


def unfinished(session: Session, sha256: str) -> Sequence[PacksPublication]:
    """Return the publications of a bundle whose end nobody noted, newest first."""
    return session.scalars(
        select(PacksPublication)
        .where(PacksPublication.sha256 == sha256, PacksPublication.done_ms.is_(None))
        .order_by(PacksPublication.id.desc())
    ).all()


def bundles(session: Session, known: Collection[str], limit: int) -> list[PacksRecord]:
    """Return the newest `limit` bundles that are not known, oldest first."""
    hashes = session.scalars(
        select(PacksBundle.sha256).order_by(PacksBundle.noted_ms.desc(), PacksBundle.sha256).limit(limit)
    ).all()
    wanted = [sha256 for sha256 in hashes if sha256 not in known]
    if not wanted:
        return []
    rows = session.scalars(select(PacksBundle).where(PacksBundle.sha256.in_(wanted)))
    data = {row.sha256: row.data for row in rows}
    return [PacksRecord.model_validate_json(data[sha256]) for sha256 in reversed(wanted)]


def bundle(session: Session, sha256: str) -> PacksRecord | None:
    """Return a bundle by its hash, None if it is not known."""
    row = session.get(PacksBundle, sha256)
    return None if row is None else PacksRecord.model_validate_json(row.data)


def last_sha256(session: Session) -> str | None:
    """Return the bundle of the record that was received last; None if there is no record."""
    return session.scalars(
        select(PacksPlace.sha256).order_by(PacksPlace.received_ms.desc(), PacksPlace.partition).limit(1)
    ).first()


def _place(session: Session, partition: int, offset: int, received_ms: int, sha256: str) -> None:
    values = {"partition": partition, "offset": offset, "received_ms": received_ms, "sha256": sha256}
    session.execute(_insert(session)(PacksPlace).values(values).on_conflict_do_nothing())


def _insert(session: Session) -> type[postgresql.Insert | sqlite.Insert]:
    return postgresql.Insert if session.get_bind().dialect.name == "postgresql" else sqlite.Insert
