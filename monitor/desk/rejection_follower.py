"""Follow the topic of what could not be taken in: operators' alarms, and the list of the last ones."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

from monitor.alarms import rejections
from monitor.desk import offsets
from monitor.desk.follower import ChangeFollower
from streams import topics

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from monitor.alarms.rejections import Rejections
    from monitor.desk.figures import Figures
    from monitor.store.session import Store
    from monitor.store.tables import ConsumerOffset
    from streams.settings import KafkaSettings

log = logging.getLogger(__name__)


class RejectionFollower(ChangeFollower):
    """Books each rejection once: its offsets move in the transaction that counts it."""

    of: ClassVar[str] = topics.REJECTED
    consumer: ClassVar[str] = "desk-rejected"

    def __init__(
        self,
        store: Store,
        kafka: KafkaSettings,
        *,
        clock_ms: Callable[[], int],
        figures: Figures,
        book: Rejections,
    ) -> None:
        """Take what it works on; `book` is told after each commit."""
        super().__init__(store, kafka, clock_ms=clock_ms, figures=figures)
        self._book = book

    def _store_batch(self, polled: dict[Any, list[Any]], cluster: str, stop: threading.Event) -> None:
        del stop  # one transaction
        values = [
            (f"{place.partition} offset {row.offset}", row.value) for place, rows in polled.items() for row in rows
        ]
        moved = {place.partition: rows[-1].offset + 1 for place, rows in polled.items()}
        tails = {place.partition: rows[-1].timestamp for place, rows in polled.items()}
        with self._store.writing() as session:
            offsets.move(session, self._stand, moved, cluster, self.consumer, self.of, tails=tails)
            entries = rejections.read(session, values, self._now())
        self._stand |= moved
        self._book.note(entries)

    def _mended(
        self, session: Session, spans: dict[int, tuple[int, int]], regrown: dict[int, str]
    ) -> dict[int, ConsumerOffset]:
        """Go on where the topic begins: what retention dropped was a sample, or is told again when a worker starts.

        Of a topic that grew again some are booked twice: better than not at all.
        """
        rows = offsets.known(session, lock=True, consumer=self.consumer, topic=self.of)
        for partition, row in rows.items():
            begin, end = spans.get(partition, (0, row.next_offset))
            if partition in regrown or not begin <= row.next_offset <= end:
                log.warning("rejections: partition %d goes on at %d instead of %d", partition, begin, row.next_offset)
                row.next_offset, row.tail_ms = begin, None
        session.flush()
        return rows
