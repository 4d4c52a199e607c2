"""What the worker asks of a fold: `rules.engine.Engine` is one, a toy in the tests is another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rules.apart import Record
    from rules.changes import Change
    from rules.engine import PartitionState
    from rules.lots.facts import LotFact
    from rules.pack import Bundle
    from rules.records import LogRecord


class Fold(Protocol):
    """`step(state, record) -> changes` for any number of partitions; synchronous, and a function of the log alone."""

    bundle: Bundle
    """The packs in force before the first `packs` record of a partition."""
    stepping: Callable[[int, str], None] | None
    """Hears partition and facility before the facility is stepped in a record that belongs to all, and an empty text after the
    last one; `alone` and `sibling` do not hand it on."""

    def alone(self) -> Fold:
        """Return an empty fold of the same packs, to fold one facility beside the others."""

    def know(self, bundle: Bundle) -> None:
        """Make packs known, so that snapshots and markers that name them can be restored."""

    def sibling(self, packs: str) -> Fold:
        """Return an empty fold that begins with packs known here.

        Raises:
            SnapshotError: they are not known.
        """

    def fold(self, record: LogRecord) -> list[Change]:
        """Fold one record; changes come in publication order with a dense `seq` per stream."""

    def facilities(self, partition: int) -> list[str]:
        """Return the facilities that a partition holds, sorted."""

    def dirty(self, partition: int) -> list[str]:
        """Return the facilities that changed since `clean` was called for them, sorted."""

    def clean(self, partition: int, facility: str) -> None:
        """Say that a snapshot holds all of the facility."""

    def snapshot(self, partition: int, facility: str) -> bytes:
        """Return the whole state of a facility; restoring it gives the same bytes again."""

    def apart(self, partition: int, facility: str) -> tuple[bytes, Sequence[Record]]:
        """Return the state of a facility without what never changes any more, and that: `rules.apart.joined` gives the whole state."""

    def restore(self, partition: int, facility: str, snapshot: bytes) -> None:
        """Put a facility back as its snapshot says."""

    def not_judged(self, partition: int, facility: str) -> Mapping[str, int]:
        """Return what a facility sent that could not be judged or kept: counters that only rise, by name."""

    def partition_state(self, partition: int) -> PartitionState:
        """Return what the marker of a checkpoint carries for the fold."""

    def restore_partition(self, partition: int, state: PartitionState) -> None:
        """Put a partition back as its marker says."""

    def drop(self, partition: int) -> None:
        """Forget a partition that was revoked."""

    def take_facts(self, partition: int) -> list[LotFact]:
        """Return what the record folded last says of lots, for the fold that crosses facilities, and forget it."""
