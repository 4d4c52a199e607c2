"""Delete proofs whose time is over, never one that an open alarm names: `offsite proofs prune` (ADR 0088).

What is deleted is noted in the store first, file after file then goes: a death between the two is made good by the next run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

from sqlalchemy import or_, select

from monitor.proofs import journal
from monitor.proofs.named import names_in
from monitor.proofs.upkeep import remove, remove_orphan
from monitor.store.desk_tables import AlarmRow, ChangeRow
from monitor.store.restored import ensure_rebuilt
from monitor.store.tables import ProofNamed
from rules.changes import Evidence
from rules.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session

    from monitor.proofs.shelf import ProofReceipt, Shelf
    from monitor.store.session import Store

DAY_MS: Final = 86_400_000
LOTS: Final = ("lot:", "product:")
_NAMING: Final = frozenset({"marks", "records"})


class NotNotedError(ContractError):
    """An older release has archived records, and nobody has noted which proofs they name."""

    code: ClassVar[str] = "proofs_not_noted"
    action: ClassVar[str] = "Stop desk and archiver, and run `offsite store rebuild` once; nothing was deleted."


@dataclass(slots=True)
class Pruned:
    """What was deleted, or would be, and what stays although its time is over."""

    gone: list[ProofReceipt] = field(default_factory=list)
    held: list[ProofReceipt] = field(default_factory=list)
    """An open alarm names them, or may."""


def prune(store: Store, shelf: Shelf, *, keep_days: int, actor: str, now_ms: int, dry_run: bool = False) -> Pruned:
    """Delete every proof that was received, and last named by a record, more than `keep_days` days ago.

    Args:
        store: which knows the records that name proofs, and the alarms.
        shelf: the folder.
        keep_days: days of 24 h.
        actor: who does it.
        now_ms: the clock.
        dry_run: only say what would go.

    Raises:
        NotNotedError, NotRebuiltError: the store does not know every record that names a proof.
        OSError: the folder cannot be read or written; what was noted goes with the next run.
    """
    before = now_ms - keep_days * DAY_MS
    done = Pruned()
    with store.reading() as session:
        ensure_rebuilt(session)
        if not journal.all_noted(session):
            raise NotNotedError("which proofs the archived records name is not known")
        old = {home: _old(session, shelf, home, before) for home in shelf.facilities()}
        held = _held(session, {home for home, receipts in old.items() if receipts})
    for home, receipts in old.items():
        for receipt in receipts:
            kept = held is None or receipt.sha256 in held.get(home, ()) or _ALL in held.get(home, ())
            (done.held if kept else done.gone).append(receipt)
    if not dry_run:
        with store.writing() as session:
            journal.note_deleted(session, done.gone, now_ms=now_ms, actor=actor, keep_days=keep_days)
        _delete(store, shelf, done.gone)
    return done


_ALL: Final = "*"


def _old(session: Session, shelf: Shelf, facility: str, before: int) -> list[ProofReceipt]:
    named = journal.newest_naming(session, facility)
    return [
        receipt
        for receipt in shelf.every(facility)
        if receipt.received < before and named.get(receipt.sha256, receipt.received) < before
    ]


def _held(session: Session, facilities: set[str]) -> dict[str, set[str]] | None:
    """Return what open alarms name, by facility; None: it may be anything.

    Each change of an alarm has evidence of its own, and all of them count. Where evidence was cut, everything of its facility stays;
    of a lot, whose evidence names records of others too, everything of all. All revisions of a record that is named are.
    """
    if not facilities:
        return {}
    held: dict[str, set[str]] = {}
    records: dict[str, set[tuple[str, str]]] = {}
    bodies = (
        select(AlarmRow.facility, AlarmRow.stream, ChangeRow.body)
        .join(ChangeRow, ChangeRow.alarm == AlarmRow.id)
        .where(AlarmRow.end_ms.is_(None), AlarmRow.status != "retracted")
        .where(or_(AlarmRow.facility.in_(facilities), *map(AlarmRow.stream.startswith, LOTS)))
    )
    for facility, stream, body in session.execute(bodies):
        evidence = Evidence.model_validate(json.loads(body).get("evidence", {}))
        if evidence.left_out.keys() & _NAMING:
            if stream.startswith(LOTS):
                return None
            held.setdefault(facility, set()).add(_ALL)
        for home, names in names_in(evidence, facility).items():
            records.setdefault(home, set()).update((kind, record) for kind, record, _ in names)
    for home in records.keys() & facilities:
        rows = session.execute(
            select(ProofNamed.kind, ProofNamed.record, ProofNamed.sha256).where(ProofNamed.facility == home)
        )
        held.setdefault(home, set()).update(sha256 for kind, record, sha256 in rows if (kind, record) in records[home])
    return held


def _delete(store: Store, shelf: Shelf, receipts: Iterable[ProofReceipt]) -> None:
    for receipt in receipts:
        remove(shelf.folder, receipt)
    for home in shelf.facilities():  # what a death of an earlier run left: content whose receipt is gone
        with store.reading() as session:
            gone = journal.deleted(session, home)
        for sha256 in sorted(gone):
            remove_orphan(shelf.folder, home, sha256)
