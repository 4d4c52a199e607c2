"""The batches of a facility that came last: their ids, for evidence, and what was in them.

A batch id that comes again changes nothing (contracts.md §1); with other content it is folded without effect and counted
(settled.md). Bounded in number and in time: what is older is recognised by its rows, as far as the horizon reaches. Rows that
were refused because they lay ahead stand in no horizon, and lie ahead no more days later: the ids of batches that had some are kept
without end of time, so that they stay refused.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec
import numpy as np

from rules.layout import FUTURE_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from rules.records import Readings

KEPT = 1_024
KEPT_MS = 24 * 3_600_000
KEPT_REFUSED = 1_024
"""Batches with a row from the future that are known for ever: the newest ones."""
DIGEST_BYTES = 8
_I4, _I8, _F8 = np.dtype("<i4"), np.dtype("<i8"), np.dtype("<f8")
PackedBatches: TypeAlias = tuple[Annotated[int, msgspec.Meta(ge=0)], list[str], bytes, bytes]
"""In a snapshot: the number of the next batch, ids, digests, distances of receive times."""


class Seen(Enum):
    """What a batch is to those before it."""

    NEW = "new"
    REPEATED = "repeated"
    CONFLICT = "conflict"


@dataclass(slots=True)
class Batches:
    """The newest batches, numbered in the order in which they came first."""

    next: int = 0
    """The number of the next new batch."""
    _rows: deque[tuple[str, bytes, int]] = field(default_factory=deque)
    """Id, digest and receive time (ms) of the newest ones."""
    _digests: dict[str, bytes] = field(default_factory=dict)
    _refused: dict[str, bytes] = field(default_factory=dict)
    """Ids and digests of batches with a row from the future, oldest first."""

    def meet(self, payload: Readings, received: int) -> Seen:
        """Take notice of a batch; one that is new gets the number `next - 1`.

        Its id is kept for ever if a row is stamped more than five minutes ahead of `received` (ms): that row is refused.
        """
        digest = digest_of(payload)
        seen = self.meet_digest(payload.batch, digest, received)
        if seen is Seen.NEW and payload.time.size and payload.time.max() > received + FUTURE_MS:
            while len(self._refused) >= KEPT_REFUSED:
                del self._refused[next(iter(self._refused))]
            self._refused[payload.batch] = digest
        return seen

    def meet_digest(self, batch: str, digest: bytes, received: int) -> Seen:
        """Take notice of a batch by its id and the digest of what it holds."""
        while self._rows and (len(self._rows) >= KEPT or self._rows[0][2] <= received - KEPT_MS):
            del self._digests[self._rows.popleft()[0]]
        known = self._digests.get(batch, self._refused.get(batch))
        if known is not None:
            return Seen.REPEATED if known == digest else Seen.CONFLICT
        self._rows.append((batch, digest, received))
        self._digests[batch] = digest
        self.next += 1
        return Seen.NEW

    def digest_of(self, batch: str) -> bytes:
        """Return the digest of what a batch held that is kept; nothing where it is not."""
        return self._digests.get(batch, self._refused.get(batch, b""))

    def name(self, number: int, now: int) -> str | None:
        """Return the id of a numbered batch, None if it is not kept any more at an instant of the clock (ms).

        Whether another batch came meanwhile, and made room, does not matter.
        """
        place = number - (self.next - len(self._rows))
        if not 0 <= place < len(self._rows) or self._rows[place][2] <= now - KEPT_MS:
            return None
        return self._rows[place][0]

    def pack(self) -> PackedBatches:
        """Return the members for a snapshot: receive times as distances, which take little room."""
        ids = [row[0] for row in self._rows]
        times = np.diff(np.array([row[2] for row in self._rows], "<i8"), prepend=0).astype("<i8")
        return (self.next, ids, b"".join(row[1] for row in self._rows), times.tobytes())

    def pack_refused(self) -> list[tuple[str, bytes]]:
        """Return what a snapshot keeps beside them: ids and digests of batches with a row from the future."""
        return list(self._refused.items())

    @classmethod
    def unpack(cls, packed: PackedBatches, refused: Iterable[tuple[str, bytes]] = ()) -> Batches:
        """Return the batches of their packed members."""
        number, ids, digests, times = packed
        received = np.cumsum(np.frombuffer(times, "<i8")).tolist()
        parts = [digests[i * DIGEST_BYTES : (i + 1) * DIGEST_BYTES] for i in range(len(ids))]
        rows = deque(zip(ids, parts, received, strict=True))
        return cls(number, rows, dict(zip(ids, parts, strict=True)), dict(refused))


def _bytes(column: npt.NDArray[Any], as_dtype: np.dtype[Any]) -> bytes:
    """Return the bytes of a column, little end first."""
    return column.tobytes() if column.dtype == as_dtype else column.astype(as_dtype).tobytes()


def digest_of(payload: Readings) -> bytes:
    """Return the digest of what a batch holds: one for equal content, however it was spelled."""
    value, quality = payload.value, payload.quality.tobytes()
    if quality.count(0) != len(quality):  # only then can a value be missing
        value = np.where(np.isnan(value), np.nan, value)
    parts = (
        "\n".join(payload.tags).encode(),
        _bytes(payload.counts, _I4),
        _bytes(payload.time, _I8),
        _bytes(value, _F8),
        quality,
    )
    return hashlib.blake2b(b"\0".join(parts), digest_size=DIGEST_BYTES).digest()
