"""Follow the state topic for the legal clocks that run: what the newest snapshots list are rows, and their instants are enough (ADR 0058)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from kafka.errors import TopicAuthorizationFailedError
from sqlalchemy.exc import IntegrityError

from monitor.alarms import operators
from monitor.deadlines import keeping
from monitor.deadlines.snapshots import Listed, Reader, UnknownPacksError
from monitor.desk import offsets
from monitor.desk.follower import RETRY_S, ChangeFollower
from monitor.desk.offsets import MovedError
from monitor.packs import journal
from streams import topics
from streams.statetail import HeldRow, MarkerRow, RosterRow, SnapshotRow, StateTail, UnreadRow

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from sqlalchemy.orm import Session

    from monitor.desk.figures import Figures
    from monitor.desk.pace import Pace
    from monitor.desk.standing import Standing
    from monitor.store.session import Store
    from monitor.store.tables import ConsumerOffset
    from rules.records import PacksRecord
    from streams.settings import KafkaSettings

log = logging.getLogger(__name__)
EVERY_MS = 5_000
"""Offsets and clocks of partitions alone are written so often; a list that has changed at once."""
AT_ONCE = 25
"""Snapshots that are read, and facilities that are written, between two looks whether somebody waits for an answer."""
MAX_WAITING = 64 * 1024 * 1024
"""Bytes of snapshots that wait for their packs."""
UNREAD = "deadlines-unread"


@dataclass(slots=True)
class _News:
    """What was read and is not written yet."""

    moved: dict[int, int] = field(default_factory=dict)
    tails: dict[int, int] = field(default_factory=dict)
    clocks: dict[int, int] = field(default_factory=dict)
    listed: dict[str, tuple[int, Listed]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    rosters: dict[int, frozenset[str]] = field(default_factory=dict)
    held: dict[str, bool] = field(default_factory=dict)
    packs: dict[str, PacksRecord] = field(default_factory=dict)

    @property
    def is_urgent(self) -> bool:
        """Say whether it is more than offsets and clocks of partitions."""
        return bool(self.listed or self.gone or self.rosters or self.held or self.packs)

    def behind(self, partitions: Iterable[int]) -> _News:
        """Return what is kept back of partitions when all else is written."""
        kept = set(partitions)

        def of(places: dict[int, int]) -> dict[int, int]:
            return {partition: at for partition, at in places.items() if partition in kept}

        return _News(of(self.moved), of(self.tails), of(self.clocks))


class ClockFollower(ChangeFollower):
    """Keeps the clocks of the newest snapshots.

    A snapshot that names packs which stand behind it in the topic waits for them, and the offset of its partition with it. What cannot
    be verified to be the topic that was read (the newest record may be compacted) is read again from its beginning: 60 MB at 1,000
    facilities of 100 series, and nothing is written of what is known.
    """

    of: ClassVar[str] = topics.STATE
    consumer: ClassVar[str] = keeping.CONSUMER

    def __init__(
        self, store: Store, kafka: KafkaSettings, *, clock_ms: Callable[[], int], figures: Figures, pace: Pace | None = None
    ) -> None:  # fmt: skip
        """Take what it works on; rows that another release has left are gone before anybody asks for them."""
        super().__init__(store, kafka, clock_ms=clock_ms, figures=figures, pace=pace)
        with store.writing() as session:
            keeping.prepare(session)
        self._reader = Reader(self._packs)
        self._told = ""
        self._refused: bool | None = None
        """Whether operators are told that it may not read; None: an earlier run may have told them."""
        self._begin({})

    def _begin(self, digests: dict[str, str]) -> None:
        self._tail, self._news, self._written_ms, self._counted = StateTail(), _News(), 0, False
        self._digests = digests
        self._waiting: dict[int, dict[str, bytes]] = {}
        """Partition -> snapshots that wait for their packs."""

    def _packs(self, sha256: str) -> PacksRecord | None:
        with self._store.reading() as session:
            return journal.bundle(session, sha256)

    def _seek(self, consumer: Any, cluster: str, *, look: bool = False) -> None:  # noqa: ANN401 - kafka-python ships no types
        super()._seek(consumer, cluster, look=look)
        with self._store.reading() as session:
            self._begin(keeping.digests(session))

    def _store_batch(self, polled: dict[Any, list[Any]], cluster: str, stop: threading.Event) -> None:
        """Take what was polled; of each facility only the newest snapshot is read."""
        news, newest = self._news, dict[str, tuple[int, SnapshotRow | UnreadRow]]()
        for place, records in polled.items():
            partition = place.partition
            for record in records:
                seen = self._tail.take(partition, record.key, record.value, record.headers)
                if isinstance(seen, SnapshotRow | UnreadRow):
                    newest[seen.facility] = (partition, seen)
                elif isinstance(seen, MarkerRow):
                    news.clocks[partition] = seen.clock
                elif isinstance(seen, RosterRow):
                    news.rosters[partition] = seen.facilities
                elif isinstance(seen, HeldRow):
                    news.held[seen.facility] = seen.held
                elif seen is not None:
                    self._reader.learn(seen)
                    news.packs[seen.sha256] = seen
            news.moved[partition], news.tails[partition] = records[-1].offset + 1, records[-1].timestamp
        for number, (facility, (partition, row)) in enumerate(newest.items()):
            if number % AT_ONCE == 0:
                if stop.is_set():
                    return  # it is read again from where the offsets stand
                self._pace.give_way()
            self._read(partition, facility, row)
        self._read_again()
        if news.is_urgent or self._now() - self._written_ms >= EVERY_MS:
            self._write(cluster)

    def _read(self, partition: int, facility: str, row: SnapshotRow | UnreadRow) -> None:
        self._waiting.get(partition, {}).pop(facility, None)
        self._news.gone.discard(facility)
        if isinstance(row, UnreadRow):
            self._take(partition, Listed(facility, "", fault=f"its snapshot has {row.size} bytes"))
        elif row.snapshot is None:
            self._news.listed.pop(facility, None)
            self._news.gone.add(facility)
            self._digests.pop(facility, None)
        else:
            try:
                self._take(partition, self._reader.read(facility, row.snapshot, self._digests.get(facility, "")))
            except UnknownPacksError as error:
                held = sum(len(one) for snapshots in self._waiting.values() for one in snapshots.values())
                if held + len(row.snapshot) > MAX_WAITING:
                    self._take(partition, Listed(facility, "", fault=f"its packs {error.sha256[:12]} are not known"))
                else:
                    self._waiting.setdefault(partition, {})[facility] = row.snapshot

    def _take(self, partition: int, listed: Listed | None) -> None:
        if listed is not None:
            self._news.listed[listed.facility] = (partition, listed)
            self._digests[listed.facility] = listed.digest

    def _read_again(self) -> None:
        """Read what waited for packs, once some have come."""
        waited = [(p, name, one) for p, snapshots in self._waiting.items() for name, one in snapshots.items()]
        for partition, facility, snapshot in waited if self._news.packs else ():
            self._read(partition, facility, SnapshotRow(facility, snapshot))
        self._waiting = {partition: snapshots for partition, snapshots in self._waiting.items() if snapshots}

    def _write(self, cluster: str) -> None:
        """Write the news: some facilities in each transaction, and what says that they are written in the last one.

        Raises:
            MovedError: another desk has read on.
        """
        news, now, listed = self._news, self._now(), set(self._news.listed)
        if news.is_urgent:
            self._counted = False
        try:
            while len(news.listed) > AT_ONCE:
                self._pace.give_way()
                part = dict(list(news.listed.items())[:AT_ONCE])
                with self._store.writing() as session:
                    offsets.ensure(session, self._stand, self.consumer, self.of)
                    self._keep(session, part)
                for facility in part:
                    del news.listed[facility]
            self._write_rest(news, listed, cluster, now)
        except IntegrityError as error:  # there is no row to wait for before the first offsets stand
            raise MovedError("another desk begins as well") from error
        self._refused, self._told, self._written_ms = False, "", now
        self._news = news.behind(self._kept_back)

    @property
    def _kept_back(self) -> set[int]:
        """Partitions of which something is read again after a restart, so that they show no more than they did."""
        return {*self._waiting, *self._tail.begun}

    def _write_rest(self, news: _News, listed: set[str], cluster: str, now: int) -> None:
        back = self._kept_back
        moved = {partition: offset for partition, offset in news.moved.items() if partition not in back}
        clocks = {partition: clock for partition, clock in news.clocks.items() if partition not in back}
        with self._store.writing() as session:
            offsets.move(session, self._stand, moved, cluster, self.consumer, self.of, tails=news.tails)
            for record in news.packs.values():
                journal.keep(session, record, now)
            self._keep(session, news.listed)
            gone = set(news.gone)
            for partition, names in news.rosters.items():
                gone |= keeping.of_partition(session, partition) - names - listed
            keeping.forget(session, gone)
            for facility, held in news.held.items():
                keeping.hold(session, facility, held=held)
            keeping.as_of(session, clocks)
            if self._refused is not False:
                operators.closed(session, UNREAD, self.of, now)
            if not self._counted:
                self._figures.deadlines.set(keeping.count(session))
        self._counted = True
        self._stand |= moved
        for facility in gone:
            self._digests.pop(facility, None)

    @staticmethod
    def _keep(session: Session, listed: dict[str, tuple[int, Listed]]) -> None:
        for partition, one in listed.values():
            keeping.keep(session, partition, one)

    def _wait(self, standing: Standing, error: Exception, stop: threading.Event) -> None:
        """Say it once, and to operators where Kafka's access rules are those of an older release."""
        text = f"{type(error).__name__}: {error}"
        if text != self._told:
            log.warning("clocks: %s; trying again", text)
        self._told = text
        if isinstance(error, TopicAuthorizationFailedError) and not self._refused:
            detail = f"Kafka does not let the desk read {self.of}: make its access rules those of deploy/kafka/acls.yaml (service `grant`)"
            with self._store.writing() as session:
                operators.opened(session, UNREAD, self.of, detail, self._now())
            self._refused = True
        self.watch.fails(standing)
        stop.wait(RETRY_S)

    def _mended(
        self, session: Session, spans: dict[int, tuple[int, int]], regrown: dict[int, str]
    ) -> dict[int, ConsumerOffset]:
        """Read a partition again from where it begins: what stays the same is not written, and the roster says who is left."""
        rows = offsets.known(session, lock=True, consumer=self.consumer, topic=self.of)
        for partition, row in rows.items():
            begin, end = spans.get(partition, (0, row.next_offset))
            if partition in regrown or not begin <= row.next_offset <= end:
                row.next_offset, row.tail_ms = begin, None
        session.flush()
        return rows
