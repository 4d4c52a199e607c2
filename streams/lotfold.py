"""`rules.lots.LotFold` as the worker's machinery asks for a fold: what it calls a facility is a lot here, by its key (ADR 0073).

So restore, checkpoints, deaths, quarantine and snapshots that are no good are the same code for both folds.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, TypeAdapter, ValidationError

from rules.engine import PartitionState
from rules.errors import ContractError
from rules.lots.facts import LotFact
from rules.lots.fold import LotFold, LotPartition
from rules.pack import Bundle
from rules.records import SEMANTICS, LogRecord, PacksRecord, Tick
from rules.snapshot import SnapshotError
from streams.codec import lot_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rules.apart import Record
    from rules.changes import Change


_HEAD: TypeAdapter[tuple[str, int]] = TypeAdapter(tuple[str, Annotated[int, Field(ge=0)]])


class LotWorkerFold:
    """Folds records of `offsite.lots.v1`: facts, packs, ticks."""

    def __init__(self, bundle: Bundle, on_failure: Callable[[str, str, Exception], None] | None = None) -> None:
        self._on_failure = on_failure
        self._folds = LotFold(bundle, on_failure)
        self._bundles = {bundle.sha256: bundle}
        self._names: dict[int, dict[str, str]] = {}
        """Partition -> key of a lot -> its name."""
        self._next: dict[int, int] = {}
        self._behind: dict[int, dict[str, int]] = {}
        """Partition -> name of a restored lot -> the first record that its snapshot does not hold."""
        self._went: dict[int, dict[str, int]] = {}
        """The same of lots that were let go of: forgotten where the newest of these records is reached."""
        self.bundle = bundle

    @property
    def stepping(self) -> None:
        """Packs decide all lots in one step: a record that kills then is blamed as a whole."""
        return None

    @stepping.setter
    def stepping(self, _: Callable[[int, str], None] | None) -> None:
        """Take no note of it."""

    def alone(self) -> LotWorkerFold:
        """As `Fold.alone`."""
        return self.sibling(self.bundle.sha256)

    def know(self, bundle: Bundle) -> None:
        """As `Fold.know`."""
        self._bundles[bundle.sha256] = bundle
        self._folds.know(bundle)

    def sibling(self, packs: str) -> LotWorkerFold:
        """As `Fold.sibling`."""
        bundle = self._bundles.get(packs)
        if bundle is None:
            raise SnapshotError(f"packs {packs[:12]} are not known here")
        other = LotWorkerFold(bundle, self._on_failure)
        for known in self._bundles.values():
            other.know(known)
        return other

    def fold(self, record: LogRecord) -> list[Change]:
        """As `Fold.fold`.

        Raises:
            ContractError: the packs were made for another engine semantics.
        """
        partition, payload = record.partition, record.payload
        self._next[partition] = max(self._next.get(partition, 0), record.offset + 1)
        behind = self._behind.setdefault(partition, {})
        if isinstance(payload, LotFact):
            if record.offset < behind.get(payload.lot, self._end_of(partition, payload.lot, record.offset)):
                return []
            self._names.setdefault(partition, {})[record.facility] = payload.lot
            return self._folds.fold(partition, payload, (partition, record.offset))
        if isinstance(payload, PacksRecord):
            if payload.semantics != SEMANTICS:
                raise ContractError(
                    f"packs at partition {partition} offset {record.offset} are for engine semantics {payload.semantics}, "
                    f"not {SEMANTICS}"
                )
            bundle = Bundle.from_record(payload)
            self.know(bundle)
            received, offset = record.received, record.offset
            return self._folds.adopt(partition, bundle, received, but=lambda lot: offset < behind.get(lot, 0))
        assert isinstance(payload, Tick)  # noqa: S101 - the codec lets nothing else through
        return []

    def facilities(self, partition: int) -> list[str]:
        """Return the keys of the lots that a partition holds, sorted."""
        return sorted(map(lot_key, self._folds.lots(partition)))

    def dirty(self, partition: int) -> list[str]:
        """Return the keys of the lots that changed since `clean` was called for them, sorted."""
        return sorted(map(lot_key, self._folds.dirty(partition)))

    def clean(self, partition: int, facility: str) -> None:
        """Say that a snapshot holds all of the lot; one that was let go of has no name here any more."""
        name = self._name(partition, facility)
        self._folds.clean(partition, name)
        if not self._folds.holds(partition, name):
            del self._names[partition][facility]
            self._behind.get(partition, {}).pop(name, None)

    def snapshot(self, partition: int, facility: str) -> bytes:
        """Return name and position of the lot in a line, and behind it its whole state.

        The position is that of the partition: where the topic is read again from an older one, the lot skips what lies before.
        """
        name = self._name(partition, facility)
        head = json.dumps([name, self._next.get(partition, 0)])
        return head.encode() + b"\n" + self._folds.snapshot(partition, name)

    def apart(self, partition: int, facility: str) -> tuple[bytes, Sequence[Record]]:
        """Return the whole state of a lot: nothing of it stands apart."""
        return self.snapshot(partition, facility), ()

    def not_judged(self, partition: int, facility: str) -> dict[str, int]:
        """Return nothing: what was let go of is counted by partition (`kept`)."""
        del partition, facility
        return {}

    def restore(self, partition: int, facility: str, snapshot: bytes) -> None:
        """Put a lot back as its snapshot says.

        Raises:
            SnapshotError: it is broken, of an unknown format, of another lot, or of packs that are not here.
        """
        head, found, body = snapshot.partition(b"\n")
        try:
            name, position = _HEAD.validate_json(head)
        except ValidationError as error:
            raise SnapshotError(f"snapshot of {facility} names no lot") from error
        if not found or lot_key(name) != facility:
            raise SnapshotError(f"a snapshot of lot {name!r:.80} stands under the key {facility}")
        self._folds.restore(partition, name, body)
        if not self._folds.holds(partition, name):
            self._went.setdefault(partition, {})[name] = position
            return
        self._names.setdefault(partition, {})[facility] = name
        self._behind.setdefault(partition, {})[name] = position

    def partition_state(self, partition: int) -> PartitionState:
        """As `Fold.partition_state`."""
        state = self._folds.partition_state(partition)
        return PartitionState(next_offset=self._next.get(partition, 0), clock=state.clock, packs=state.packs)

    def restore_partition(self, partition: int, state: PartitionState) -> None:
        """As `Fold.restore_partition`; the state of lots goes on whatever the semantics of the first fold."""
        self._next[partition] = state.next_offset
        self._folds.restore_partition(partition, LotPartition(packs=state.packs, clock=state.clock))

    def kept(self, partition: int) -> tuple[int, int]:
        """Return how many lots a partition holds, and how many were let go of since the process began."""
        return self._folds.kept(partition)

    def drop(self, partition: int) -> None:
        """Forget a partition that was revoked."""
        self._folds.drop(partition)
        for held in (self._names, self._next, self._behind, self._went):
            held.pop(partition, None)

    def take_facts(self, _: int) -> list[LotFact]:
        """Return nothing: lots say nothing of lots."""
        return []

    def _end_of(self, partition: int, lot: str, offset: int) -> int:
        """Return the first record that the row of a lot that went does not hold, 0: it did not go."""
        went = self._went.get(partition)
        if went and offset >= max(went.values()):
            went.clear()
        return 0 if not went else went.get(lot, 0)

    def _name(self, partition: int, key: str) -> str:
        return self._names[partition][key]
