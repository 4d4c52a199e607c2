"""Fill what the desk missed out of the archive: gaps of streams, and offsets that Kafka dropped before they were read.

What is filled goes the way of every record: kept under its identity, applied in order, a repeat vanishes. So healing and
following may run at the same time, and a record that comes by both ways counts once.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from monitor.alarms import operators
from monitor.alarms.projection import GAP, apply_read
from monitor.archive.changes import ArchivedChanges
from monitor.desk.offsets import LOST, lost_span
from monitor.store.desk_tables import ChangeRow, OperatorAlarm, StreamRow
from monitor.store.session import StoreDownError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from monitor.alarms.incoming import Read
    from monitor.store.session import Store

log = logging.getLogger(__name__)
BATCH = 200
WANTED = 100_000
"""So many missing changes of a stream are looked for in one go."""
PATIENCE_MS = 15_000
"""Rows may come late by themselves; the archive has them some seconds later too."""
ROUND_S = 15.0
RETRY_MS = (30_000, 3_600_000)
"""What the archive did not have is looked for again after the first, then ever later up to the second."""


@dataclass(slots=True)
class Healed:
    """What was filled, by stream or by span of offsets, and what could not be."""

    filled: dict[str, int] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)


def heal(
    store: Store,
    archive: ArchivedChanges,
    now_ms: int,
    *,
    leave: Callable[[str], bool] = lambda _: False,
    deep: bool = True,
) -> Healed:
    """Fill every gap that the archive can fill.

    Args:
        store: the desk's.
        archive: what was archived up to now.
        now_ms: the wall clock.
        leave: says which streams and spans are not to be looked for now.
        deep: look for a stream's changes in the whole archive, not only behind the last one that the desk has.
    """
    healed = Healed()
    with store.reading() as session:
        waiting = list(session.scalars(select(StreamRow.stream).where(StreamRow.waiting_for.is_not(None))))
        lost = list(
            session.scalars(
                select(OperatorAlarm.subject).where(OperatorAlarm.code == LOST, OperatorAlarm.closed_ms.is_(None))
            )
        )
    for subject in lost:
        if not leave(subject):
            _note(healed, subject, _heal_span(store, archive, subject, now_ms))
    for stream in waiting:
        if not leave(stream):
            _note(healed, stream, _heal_stream(store, archive, stream, now_ms, deep=deep))
    return healed


def _note(healed: Healed, name: str, done: int | str) -> None:
    if isinstance(done, int):
        healed.filled[name] = done
    else:
        healed.left[name] = done


def _heal_span(store: Store, archive: ArchivedChanges, subject: str, now_ms: int) -> int | str:
    partition, begin, end = lost_span(subject)
    if not archive.covers(partition, begin, end):
        return "the archive does not hold all of these offsets"
    filled, damaged = 0, len(archive.damaged)
    for batch in _batched(archive.between(partition, begin, end)):
        filled += apply_records(store, batch, now_ms)
    if len(archive.damaged) > damaged:
        return "files of the archive are damaged"
    with store.writing() as session:
        operators.closed(session, LOST, subject, now_ms)
    return filled


def _heal_stream(store: Store, archive: ArchivedChanges, stream: str, now_ms: int, *, deep: bool) -> int | str:
    with store.reading() as session:
        row = session.get(StreamRow, stream)
        if row is None or row.waiting_for is None:
            return 0
        here = ChangeRow.stream == stream
        behind = select(func.max(ChangeRow.offset)).where(here, ChangeRow.seq <= row.last_seq)
        offset = session.scalar(behind) or 0
        kept = list(
            session.scalars(
                select(ChangeRow.seq).where(here, ChangeRow.seq > row.last_seq).order_by(ChangeRow.seq).limit(WANTED)
            )
        )
    wanted = set(range(row.waiting_for, min(kept[-1], row.waiting_for + WANTED))) - set(kept) if kept else set()
    found: dict[int, Read] = {}
    for begin in dict.fromkeys((offset, 0) if deep else (offset,)):
        for item in archive.stream(stream, begin):
            if item.change is not None and item.change.stream == stream and item.change.seq in wanted:
                found.setdefault(item.change.seq, item)
                if len(found) == len(wanted):
                    break
        if len(found) == len(wanted):
            break
    filled = sum(apply_records(store, batch, now_ms) for batch in _batched(found[seq] for seq in sorted(found)))
    missing = wanted - set(found)
    return f"the archive has no change {min(missing)} of it" if missing else filled


def apply_records(store: Store, records: Iterable[Read], now_ms: int) -> int:
    """Apply records in one transaction; returns how many changes the rows moved on by."""
    with store.writing() as session:
        return apply_read(session, records, now_ms).applied


def rebuild(store: Store, archive: ArchivedChanges, now_ms: int) -> int:
    """Apply everything that was archived; what the desk knows already vanishes. Returns by how many changes it moved on."""
    return sum(apply_records(store, batch, now_ms) for batch in _batched(archive.all()))


def fill_from_evaluation(store: Store, evaluated: Iterable[Read], now_ms: int, *, newest: bool = False) -> Healed:
    """Fill streams from what `offsite evaluate` says of the log, where no row contradicts it.

    A stream of which the desk has a change with other content is left alone: other packs or another log were evaluated. So are
    changes behind the newest that the desk has: an evaluation that ends early, or within an instant, ends in changes that nobody
    publishes, and the published ones would then contradict them. A gap has a newer change behind it. With `newest` they are
    taken too: of a dump that was made when no worker ran any more.
    """
    healed = Healed()
    for stream, changes in itertools.groupby(
        evaluated, key=lambda item: "" if item.change is None else item.change.stream
    ):
        records = list(changes)
        with store.reading() as session:
            rows = session.execute(select(ChangeRow.seq, ChangeRow.body).where(ChangeRow.stream == stream))
            bodies = {row.seq: row.body for row in rows}
        told = {item.change.seq: item.body for item in records if item.change is not None}
        wrong = next((seq for seq in sorted(told) if bodies.get(seq, told[seq]) != told[seq]), None)
        if not told or wrong is not None:
            why = f"change {wrong} differs from the desk's: another log or other packs were evaluated"
            healed.left[stream or "?"] = why if told else records[0].why
            continue
        missing = [item for item in records if item.change is not None and item.change.seq not in bodies]
        known = max(bodies, default=0)
        older = missing if newest else [item for item in missing if item.change is not None and item.change.seq < known]
        if older:
            healed.filled[stream] = sum(apply_records(store, batch, now_ms) for batch in _batched(older))
        if len(older) < len(missing):
            healed.left[stream] = f"{len(missing) - len(older)} changes behind the newest that the desk has ({known})"
    return healed


def _batched(items: Iterable[Read]) -> Iterable[list[Read]]:
    waiting = iter(items)
    while batch := list(itertools.islice(waiting, BATCH)):
        yield batch


def healing_job(store: Store, folder: Path, clock_ms: Callable[[], int]) -> Callable[[threading.Event], None]:
    """Return the desk's job that fills gaps by itself, once they are older than a moment."""
    due: dict[str, tuple[int, int]] = {}
    """When a name is looked for again, and after how long then."""

    def leave(name: str) -> bool:
        with store.reading() as session:
            alarm = session.get(OperatorAlarm, (GAP, name)) or session.get(OperatorAlarm, (LOST, name))
        young = alarm is not None and clock_ms() - alarm.opened_ms < PATIENCE_MS
        return young or due.get(name, (0, 0))[0] > clock_ms()

    def turn() -> None:
        with store.reading() as session:
            waits = session.scalar(
                select(func.count()).select_from(StreamRow).where(StreamRow.waiting_for.is_not(None))
            )
            lost = session.scalar(
                select(func.count()).select_from(OperatorAlarm)
                .where(OperatorAlarm.code == LOST, OperatorAlarm.closed_ms.is_(None))
            )  # fmt: skip
        if not waits and not lost:
            due.clear()
            return
        healed = heal(store, ArchivedChanges(store, folder), clock_ms(), leave=leave, deep=False)
        for name, count in healed.filled.items():
            due.pop(name, None)
            log.info("changes: %s: filled from the archive, %d applied", name, count)
        for name, why in healed.left.items():
            after = min(max(RETRY_MS[0], due.get(name, (0, 0))[1] * 2), RETRY_MS[1])
            due[name] = (clock_ms() + after, after)
            log.warning("changes: %s: not filled: %s", name, why)

    def job(stop: threading.Event) -> None:
        while not stop.wait(ROUND_S):
            try:
                turn()
            except (StoreDownError, OSError) as error:
                log.warning("healing: %s", error)

    return job
