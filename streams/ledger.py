"""What all partitions of a worker have folded and not yet published, counted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.checkpoint import Row


class Ledger:
    """What all partitions of this process have folded and not yet published; the agent is held when it is full."""

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        self.rows = 0
        self.bytes = 0
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._room = asyncio.Event()
        self._room.set()

    def add(self, row: Row) -> None:
        """Count a row that waits."""
        self.rows += 1
        self.bytes += row.size
        if self.rows >= self._max_rows or self.bytes >= self._max_bytes:
            self._room.clear()

    def settle(self, rows: Iterable[Row]) -> None:
        """Count rows as published (or given up with their partition)."""
        for row in rows:
            self.rows -= 1
            self.bytes -= row.size
        if self.rows <= self._max_rows // 2 and self.bytes <= self._max_bytes // 2:
            self._room.set()

    @property
    def full(self) -> bool:
        """Whether the agent has to wait."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Wait until half of it is published."""
        await self._room.wait()
