"""What the store keeps of proofs: which records of the log name them, and which were deleted when their time was over.

The archiver notes the first, for it reads every record and the desk may not read the log. Content and receipts are files (shelf.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from monitor.proofs.named import proof_of
from monitor.store.desk_tables import Counter
from monitor.store.tables import ProofDeleted, ProofNamed
from rules.records import Mark, Report

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy.orm import Session

    from monitor.proofs.named import Name
    from monitor.proofs.shelf import ProofReceipt
    from rules.records import LogRecord

UNNOTED: Final = "proofs-unnoted"
"""The counter that stands where an older release has archived records that nobody looked at."""
LOOKED_AT: Final = 5_000
MOST: Final = 500


def note(session: Session, record: LogRecord) -> None:
    """Note which upload a record names. Of a revision that comes again with other content the first stays, as in the fold."""
    payload, sha256 = record.payload, proof_of(record.payload)
    if sha256 is None or not isinstance(payload, Mark | Report):
        return
    values = {
        "facility": record.facility, "kind": payload_kind(payload), "record": payload.id, "revision": payload.revision,
        "sha256": sha256, "received_ms": record.received,
    }  # fmt: skip
    session.execute(_insert(session)(ProofNamed).values(values).on_conflict_do_nothing())


def payload_kind(payload: Mark | Report) -> str:
    """Return how evidence names the kind of a record."""
    return "mark" if isinstance(payload, Mark) else "report"


def all_noted(session: Session) -> bool:
    """Say whether every archived record was looked at: not where an older release archived some and nobody has rebuilt the store."""
    return session.get(Counter, UNNOTED) is None


def mark_noted(session: Session) -> None:
    """Say that every archived record was looked at."""
    session.execute(delete(Counter).where(Counter.name == UNNOTED))


def named(session: Session, facility: str) -> list[ProofNamed]:
    """Return the records of a facility that name a proof, newest first; the newest 5,000."""
    query = select(ProofNamed).where(ProofNamed.facility == facility)
    newest = query.order_by(ProofNamed.received_ms.desc(), ProofNamed.record, ProofNamed.revision.desc())
    return list(session.scalars(newest.limit(LOOKED_AT)))


def named_by(session: Session, facility: str, names: Collection[Name]) -> list[ProofNamed]:
    """Return what some records of a facility name; at most 500 of them are looked up."""
    if not names:
        return []
    key = tuple_(ProofNamed.kind, ProofNamed.record, ProofNamed.revision)
    query = select(ProofNamed).where(ProofNamed.facility == facility, key.in_(sorted(names)[:MOST]))
    return list(session.scalars(query.order_by(ProofNamed.received_ms, ProofNamed.record)))


def newest_naming(session: Session, facility: str) -> dict[str, int]:
    """Return when the newest record was received that names each proof of a facility."""
    query = select(ProofNamed.sha256, func.max(ProofNamed.received_ms)).where(ProofNamed.facility == facility)
    return dict(session.execute(query.group_by(ProofNamed.sha256)).all())


def deleted(session: Session, facility: str) -> set[str]:
    """Return what was deleted of a facility."""
    return set(session.scalars(select(ProofDeleted.sha256).where(ProofDeleted.facility == facility).distinct()))


def note_deleted(
    session: Session, receipts: Iterable[ProofReceipt], *, now_ms: int, actor: str, keep_days: int
) -> None:
    """Note what is about to be deleted; once for each receipt."""
    for receipt in receipts:
        values = {
            "facility": receipt.facility, "sha256": receipt.sha256, "received_ms": receipt.received, "size": receipt.size,
            "deleted_ms": now_ms, "actor": actor, "keep_days": keep_days,
        }  # fmt: skip
        session.execute(_insert(session)(ProofDeleted).values(values).on_conflict_do_nothing())


def _insert(session: Session) -> type[postgresql.Insert | sqlite.Insert]:
    return postgresql.Insert if session.get_bind().dialect.name == "postgresql" else sqlite.Insert
