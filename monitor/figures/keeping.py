"""Keep what figures need of each facility as a row, inside the caller's transaction, and read it again where it changed."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from monitor.store.desk_tables import FigureRow
from rules.figures.facts import FacilityFacts
from rules.figures.sampling import counted

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session

    from rules.figures.sampling import Counted

AT_ONCE = 200
"""Bodies that are read with one statement."""


def keep(session: Session, facts: FacilityFacts) -> None:
    """Make the row of a facility that of its newest snapshot; what stays the same is not written again."""
    body = facts.model_dump_json()
    digest = hashlib.blake2b(body.encode(), digest_size=16).hexdigest()
    row = session.get(FigureRow, facts.facility)
    if row is None:
        session.add(FigureRow(facility=facts.facility, digest=digest, body=body))
    elif row.digest != digest:
        row.digest, row.body = digest, body


def forget(session: Session, facilities: Collection[str]) -> None:
    """Forget facilities that have no snapshot any more."""
    session.execute(delete(FigureRow).where(FigureRow.facility.in_(facilities)))


class Shelf:
    """What was read of each facility: asked again, only what changed is. Several threads may ask."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, FacilityFacts]] = {}
        self._counted: tuple[list[FacilityFacts], list[Counted]] = ([], [])

    def all(self, session: Session) -> list[FacilityFacts]:
        """Return what is known of all facilities, by id."""
        found = session.execute(select(FigureRow.facility, FigureRow.digest).order_by(FigureRow.facility)).all()
        with self._lock:
            known = self._known
        wanted = [name for name, digest in found if name not in known or known[name][0] != digest]
        now = {name: known[name] for name, _ in found if name in known}
        for start in range(0, len(wanted), AT_ONCE):
            rows = select(FigureRow).where(FigureRow.facility.in_(wanted[start : start + AT_ONCE]))
            for row in session.scalars(rows):
                now[row.facility] = (row.digest, FacilityFacts.model_validate_json(row.body))
        with self._lock:
            self._known = now
        return [now[name][1] for name, _ in found if name in now]

    def counted(self, all_facts: list[FacilityFacts]) -> list[Counted]:
        """Return every sample once; that takes longer than all the rest, and is not done again for facts that are the same objects."""
        with self._lock:
            known, found = self._counted
        if len(known) != len(all_facts) or any(one is not other for one, other in zip(known, all_facts, strict=True)):
            found = counted(all_facts)
            with self._lock:
                self._counted = (all_facts, found)
        return found
