"""Keep the desk's rulebook level with the packs that the store has noted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from monitor.alarms.rulebook import MAX_BUNDLES
from monitor.packs import journal
from monitor.store.session import StoreDownError
from rules.errors import BadInputError
from rules.pack import Bundle, default_bundle

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from monitor.alarms.rulebook import Rulebook
    from monitor.store.session import Store

log = logging.getLogger(__name__)
LOOK_S = 2.0


class Shelf:
    """Looks for bundles that the rulebook does not have yet."""

    def __init__(self, rulebook: Rulebook, store: Store) -> None:
        """Take the book to fill and the store to look in."""
        self._rulebook, self._store = rulebook, store
        self._unreadable: set[str] = set()
        self._current: str | None = None

    def look(self) -> int:
        """Take in what is new; returns how many bundles. One that this release cannot read is left out and told once."""
        with self._store.reading() as session:
            records = journal.bundles(session, self._rulebook.known | self._unreadable, MAX_BUNDLES - 1)
            current = journal.last_sha256(session)
            here = {*self._rulebook.known, *self._unreadable, *(record.sha256 for record in records)}
            old = None if current is None or current in here else journal.bundle(session, current)
        records += [] if old is None else [old]  # one of long ago was published again
        found = []
        for record in records:
            try:
                found.append(Bundle.from_record(record))
            except BadInputError as error:
                self._unreadable.add(record.sha256)
                log.warning("packs %s cannot be read by this release: %s", record.sha256[:12], error.report())
        if found or current != self._current:
            self._current = current
            self._rulebook.learn(found, current)
        return len(found)


def packs_job(shelf: Shelf) -> Callable[[threading.Event], None]:
    """Return the job that keeps looking."""

    def job(stop: threading.Event) -> None:
        while not stop.wait(LOOK_S):
            try:
                shelf.look()
            except StoreDownError as error:
                log.warning("packs: %s", error)

    return job


def bundle_in_force(session: Session) -> Bundle:
    """Return the bundle that was last published, as far as the store knows; the shipped packs if there is none."""
    sha256 = journal.last_sha256(session)
    record = None if sha256 is None else journal.bundle(session, sha256)
    return default_bundle() if record is None else Bundle.from_record(record)
