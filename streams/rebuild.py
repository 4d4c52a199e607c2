"""Facilities whose snapshots are no good, folded anew from their history while the rest of the partition goes on.

A fold of its own, in a thread, reads what stands in log and archive from where the partition was folded first. What the
partition is fed meanwhile and concerns these facilities waits in a bounded tail; where the tail overflows it is given up,
for it stands in the log too. Once history and tail meet, the states go into the partition's fold in one step: from then on
it is as if their snapshots had been good. Their changes keep their `seq`, and those that are known to be published are not
published again.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from rules.errors import BadInputError
from rules.records import Rejected
from rules.snapshot import SnapshotError
from streams.codec import owner_of
from streams.history import HistoryLostError, concerns

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from rules.changes import Change
    from rules.lots.facts import LotFact
    from rules.records import LogRecord
    from streams.checkpoint import Origin
    from streams.fold import Fold
    from streams.history import History
    from streams.restore import Bad

TAIL_RECORDS = 2_000
TAIL_BYTES = 8 * 1024 * 1024
"""What waits in memory; it is folded at a stretch while the partition stands still: less than a second."""
TAKE_CHANGES = 500
"""Changes handed over at once."""


class Rebuild:
    """One attempt after the other to fold some facilities of one partition anew."""

    def __init__(
        self,
        partition: int,
        bad: Sequence[Bad],
        origin: Origin | None,
        history: History,
        at: int,
        passed: Container[int] = (),
        note: Callable[[int], None] = lambda _: None,
        stepping: Callable[[int, str], None] | None = None,
        told: int = 0,
    ) -> None:
        """Take what is to be folded anew.

        Args:
            partition: theirs.
            bad: the facilities.
            origin: where the partition was folded from first.
            history: all of it from there.
            at: the partition is fed from this offset.
            passed: records that the partition passes over, because they killed their worker.
            note: hears the offset of each record before it is folded here, and -1 after it: it may kill.
            stepping: hears of whom a record of all is folded here, as `Fold.stepping` does.
            told: what the partition is fed before this it does not publish again.
        """
        self.partition = partition
        self.published = {entry.facility: entry.published for entry in bad}
        """Facility -> its changes of the records before this are published."""
        self.facilities = frozenset(self.published)
        self._floor = max(told, *self.published.values())
        self._origin, self._history = origin, history
        self._target = at
        """The tail holds what was fed from here on."""
        self._tail: deque[LogRecord] = deque()
        self._tail_bytes = 0
        self._keeps = False
        self._fold: Fold | None = None
        self._reached = 0
        self._stopped = threading.Event()
        self._passed, self._note, self._stepping = passed, note, stepping

    def offer(self, record: LogRecord | Rejected, size: int) -> bool:
        """Take note of a record that the partition is fed; True if it is for a facility that waits."""
        if isinstance(record, Rejected) or not concerns(record, self.facilities):
            return False
        full = len(self._tail) >= TAIL_RECORDS or self._tail_bytes + size > TAIL_BYTES
        if full or not self._keeps:
            self._tail.clear()
            self._tail_bytes = 0
            self._target = record.offset + 1
        else:
            self._tail.append(record)
            self._tail_bytes += size
        return record.facility in self.facilities

    def begin(self, fold: Fold, at: int) -> None:
        """Begin an attempt; the partition stands at `at`.

        Args:
            fold: of the partition; the attempt has one of its own, with the packs that this one knows.
            at: the partition's next offset.

        Raises:
            HistoryLostError: where the partition's history began is not known.
        """
        if self._origin is None:
            raise HistoryLostError(f"partition {self.partition}: the packs it was first folded with are not known")
        try:
            self._fold = fold.sibling(self._origin.packs)
            self._fold.stepping = self._stepping
            if self._origin.state is not None:
                self._fold.restore_partition(self.partition, self._origin.state)
        except SnapshotError as error:
            raise HistoryLostError(f"partition {self.partition}: {error}") from error
        self._reached, self._target, self._keeps = self._origin.offset, at, True
        self._tail.clear()
        self._tail_bytes = 0

    def give_up(self) -> None:
        """End an attempt that failed: nothing waits in memory until the next one."""
        self._note(-1)
        self._keeps, self._fold = False, None
        self._tail.clear()
        self._tail_bytes = 0

    def stop(self) -> None:
        """End the thread soon: the partition is given up."""
        self._stopped.set()
        self._note(-1)

    @property
    def met(self) -> bool:
        """Whether the history is folded up to where the tail begins."""
        return self._reached >= self._target

    def ripe(self, at: int) -> bool:
        """Say whether the partition, standing at `at`, can take the facilities in.

        It reads the log again from `low`: before it is back where it stood, a facility may not have begun yet, and changes of
        records that waited, which nobody has published, would be taken for published.
        """
        return self.met and at >= self._floor

    def read(self, deliver: Callable[[list[Change], list[LotFact]], None]) -> None:
        """Fold history up to where the tail began when this was called; runs in a thread.

        Args:
            deliver: takes changes and facts of lots that are to be published, in order; may block.

        Raises:
            HistoryLostError: a part of it is gone.
            OffsiteError: broker or store do not answer.
        """
        end = self._target
        changes: list[Change] = []
        facts: list[LotFact] = []
        for record in self._history.records(self.partition, self.facilities, self._reached, end):
            if self._stopped.is_set():
                return
            told, said = self._step(record)
            changes += told
            facts += said
            if len(changes) + len(facts) >= TAKE_CHANGES:
                deliver(changes, facts)
                changes, facts = [], []
        if changes or facts:
            deliver(changes, facts)
        self._reached = end

    def graft(self, into: Fold) -> tuple[list[Change], list[LotFact]]:
        """Fold the tail and put the facilities into the partition's fold; returns changes and facts still to be published.

        Raises:
            HistoryLostError: what was read does not lead to where the partition stands.
        """
        assert self._fold is not None  # noqa: S101 - an attempt was begun
        steps = [self._step(record) for record in self._tail]
        changes = [change for told, _ in steps for change in told]
        facts = [fact for _, said in steps for fact in said]
        here, there = into.partition_state(self.partition), self._fold.partition_state(self.partition)
        # Neither has seen every record: each only those that concern it.
        newest = {"next_offset": max(here.next_offset, there.next_offset)}
        here, there = here.model_copy(update=newest), there.model_copy(update=newest)
        missing = sorted(self.facilities - set(self._fold.facilities(self.partition)))
        if here != there or missing:
            raise HistoryLostError(
                f"partition {self.partition}: its history is not whole: clock and packs are {there}, not {here}"
                if here != there
                else f"partition {self.partition}: its history holds nothing of {', '.join(missing)[:200]}"
            )
        into.restore_partition(self.partition, here)
        for facility in sorted(self.facilities):
            into.restore(self.partition, facility, self._fold.snapshot(self.partition, facility))
        return changes, facts

    def _step(self, record: LogRecord | Rejected) -> tuple[list[Change], list[LotFact]]:
        assert self._fold is not None  # noqa: S101 - an attempt was begun
        if isinstance(record, Rejected) or record.offset in self._passed:
            return [], []
        if not self._stopped.is_set():
            self._note(record.offset)
        try:
            changes = self._fold.fold(record)
        except (BadInputError, SnapshotError):
            changes = []  # rejected when the partition folded it
        self._note(-1)
        facts = self._fold.take_facts(self.partition)
        at, published = record.offset, self.published
        return (
            [change for change in changes if at >= published[owner_of(change)]],
            [fact for fact in facts if at >= published[fact.facility]],
        )
