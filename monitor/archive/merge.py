"""Give the records of many files in the order of their offsets, a few files open at a time.

Files of one hour cover the same offsets (one per facility), and hours do where the broker's clock was set back; so both are
merged. A file is opened when the offsets reach it. One that is gone was replaced meanwhile: the unit is looked up again.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from monitor.archive import index
from monitor.archive.chunkfile import ChunkDamagedError, ChunkMissingError, open_chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from monitor.archive.chunkfile import Chunk, RawRecord
    from monitor.archive.index import Selection, Unit
    from monitor.store.session import Store

    Found = tuple[RawRecord, bytes]
    OnDamage = Callable[[Chunk, ChunkDamagedError], None]

ATTEMPTS = 5
"""How often a unit may be replaced under a reader before the file is taken for lost."""


def merged(sources: Iterable[tuple[int, Callable[[], Iterator[Found]]]]) -> Iterator[Found]:
    """Merge sources by offset. A source is (its first offset or less, what opens it), ordered by that offset."""
    waiting = iter(sources)
    coming = next(waiting, None)
    heap: list[tuple[int, int, Found, Iterator[Found]]] = []
    number = 0
    while coming is not None or heap:
        while coming is not None and (not heap or coming[0] <= heap[0][0]):
            opened = coming[1]()
            coming = next(waiting, None)
            first = next(opened, None)
            if first is not None:
                heapq.heappush(heap, (first[0].offset, number, first, opened))
                number += 1
        if not heap:
            continue
        _, place, found, opened = heap[0]
        yield found
        after = next(opened, None)
        if after is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (after[0].offset, place, after, opened))


class UnitReader:
    """Reads units of the archive."""

    def __init__(self, store: Store, folder: Path, on_damage: OnDamage) -> None:
        """Make a reader; `on_damage` hears of every file that cannot be trusted and may raise, else the file is left out."""
        self._store, self._folder, self._on_damage = store, folder, on_damage

    def records(self, units: Iterable[Unit], selection: Selection) -> Iterator[Found]:
        """Give the records of the selected files of units (ordered by first offset), in the order of offsets."""
        return merged((unit.first_offset, lambda unit=unit: self.unit(unit, selection)) for unit in units)  # type: ignore[misc]  # the default binds the unit

    def unit(self, unit: Unit, selection: Selection) -> Iterator[Found]:
        """Give the records of one unit in the order of offsets."""
        newest, attempts = -1, 0
        while True:
            try:
                for found in self._once(unit, selection, last=attempts >= ATTEMPTS):
                    if found[0].offset > newest:
                        newest = found[0].offset
                        yield found
            except _ReplacedError:
                attempts += 1
            else:
                return

    def _once(self, unit: Unit, selection: Selection, *, last: bool) -> Iterator[Found]:
        with self._store.reading() as session:
            rows = index.chunks(session, unit, selection)
        return merged((row.first_offset, lambda row=row: self._open(row, last=last)) for row in rows)  # type: ignore[misc]  # as above

    def _open(self, chunk: Chunk, *, last: bool) -> Iterator[Found]:
        try:
            yield from open_chunk(self._folder, chunk)
        except ChunkMissingError as error:
            with self._store.reading() as session:
                replaced = not last and not index.is_indexed(session, chunk.path)
            if replaced:
                raise _ReplacedError from error
            self._on_damage(chunk, error)
        except ChunkDamagedError as error:
            self._on_damage(chunk, error)


class _ReplacedError(Exception):
    """The unit's files were replaced while it was read."""
