"""From where a quarantined facility is folded on: its snapshot and the log behind it, or the whole of its history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.engine import PartitionState
from rules.snapshot import SnapshotError

if TYPE_CHECKING:
    from rules.records import Rejected
    from streams.checkpoint import Origin, StateRows
    from streams.fold import Fold
    from streams.quarantine import Suspect, Ward
    from streams.restore import Start


def admit(ward: Ward, suspect: Suspect, fold: Fold, rows: StateRows, start: Start) -> Rejected | None:
    """Quarantine the facility of a record that kills, as `Ward.admit` says.

    The log is read from `start.low`, and the snapshot knows which records from there on it holds. A facility without a good
    snapshot is folded from where its partition began.
    """
    published = start.next_offset
    lost = suspect.facility in start.rebuilding
    if lost:
        published = start.rebuilding[suspect.facility]
    elif suspect.facility in start.parts:
        try:
            fold.alone().restore(rows.partition, suspect.facility, rows.snapshot(suspect.facility))
        except SnapshotError:
            lost = True
    if lost and start.origin is not None:
        return ward.admit(suspect, start.origin.offset, _base(start.origin), published, "origin")
    return ward.admit(suspect, start.low, start.state, published, "lost" if lost else "snapshot")


def snapshots_of(ward: Ward, fold: Fold, rows: StateRows, start: Start) -> dict[str, bytes]:
    """Return the snapshots of quarantined facilities; empty bytes, which nothing can be folded on from, for one that is lost.

    One that went bad during the quarantine is not needed where the beginning is known: the facility is folded from there.
    """
    found: dict[str, bytes] = {}
    for facility, standing in list(ward.quarantined.items()):
        if standing.source == "lost":
            found[facility] = b""
        elif standing.source == "snapshot" and facility in start.parts:
            try:
                found[facility] = rows.snapshot(facility)
                fold.alone().restore(rows.partition, facility, found[facility])
            except SnapshotError:
                found[facility] = b""
                if start.origin is not None:
                    del found[facility]
                    ward.rebase(facility, start.origin.offset, _base(start.origin))
    return found


def _base(origin: Origin) -> PartitionState:
    """Return the partition where it was folded first; behind an upgrade it has a clock and a door there."""
    return origin.state or PartitionState(next_offset=origin.offset, packs=origin.packs)
