"""What runs, and what figures are made of, out of a facility's snapshot alone: its arrays are passed over, so that it takes a millisecond, most of it to unpack."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from rules.aside import PackedAside
from rules.clocks.listing import running
from rules.clocks.store import PackedClocks, unpack
from rules.figures.book import FigureBook, PackedFigures
from rules.layout import NONE
from rules.migrate import FORMAT, OLDEST
from rules.snapshot import SnapshotError, unpacked

if TYPE_CHECKING:
    from rules.clocks.store import Clock

START, ANSWERED = 2, 3
"""Where a packed clock has them."""


class _Some(msgspec.Struct):
    """The members of `rules.snapshot.Body` that clocks are listed from."""

    format: int
    facility: str
    packs: str
    register: str | None = None
    aside: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    clocks: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    figures: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_SOME = msgspec.msgpack.Decoder(_Some)
_CLOCKS = msgspec.msgpack.Decoder(PackedClocks)
_FIGURES = msgspec.msgpack.Decoder(PackedFigures)
_ASIDE = msgspec.msgpack.Decoder(list[tuple[str, PackedAside]])


@dataclass(frozen=True, slots=True)
class Peek:
    """The clocks of a snapshot and what it keeps for figures, not read yet."""

    facility: str
    packs: str
    register: str | None
    """The facility as registered, JSON; None: it never was."""
    digest: bytes
    """Two that are equal list the same."""
    _clocks: bytes
    _aside: bytes
    _figures: bytes

    def figures(self) -> FigureBook:
        """Return what is kept for figures over all facilities.

        Raises:
            SnapshotError: it cannot be read.
        """
        try:
            return FigureBook.unpack(_FIGURES.decode(self._figures)) if self._figures else FigureBook()
        except (msgspec.MsgspecError, ValueError) as error:
            raise SnapshotError(f"figures of {self.facility} cannot be read: {str(error)[:300]}") from error

    def clocks(self) -> tuple[list[tuple[str, str, Clock]], list[tuple[int, int]]]:
        """Return rule, subject and clock of all that run, by rule, and the times in which the front door was closed.

        Raises:
            SnapshotError: they cannot be read.
        """
        if not self._clocks:
            return [], []
        try:
            *_, packed, closed = _CLOCKS.decode(self._clocks)
            # Of those that were answered there may be thousands: they are not made.
            runs = [one for one in packed if one[START] != NONE and one[ANSWERED] == NONE]
            return list(running(unpack(([], [], [], runs, closed)))), closed
        except (msgspec.MsgspecError, ValueError) as error:
            raise SnapshotError(f"clocks of {self.facility} cannot be read: {str(error)[:300]}") from error

    def muted(self) -> frozenset[str]:
        """Return the rules that are put aside here because they raised: their clocks are not kept.

        Raises:
            SnapshotError: they cannot be read.
        """
        if not self._aside:
            return frozenset()
        try:
            return frozenset(rule for rule, packed in _ASIDE.decode(self._aside) if packed[2])
        except msgspec.MsgspecError as error:
            raise SnapshotError(f"rules put aside at {self.facility} cannot be read: {str(error)[:300]}") from error


def peek(snapshot: bytes) -> Peek:
    """Return the clocks of a snapshot.

    Raises:
        SnapshotError: foreign bytes, a wrong checksum, a bomb, or a format that is not known.
    """
    try:
        some = _SOME.decode(unpacked(snapshot))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise SnapshotError(f"a snapshot cannot be read: {str(error)[:300]}") from error
    if not OLDEST <= some.format <= FORMAT:
        raise SnapshotError(f"snapshot format {some.format} is not known here: {OLDEST} to {FORMAT} are")
    # Formats before this one knew no clocks, and spell what they have otherwise.
    known = some.format == FORMAT
    clocks = bytes(some.clocks) if known and not isinstance(some.clocks, msgspec.UnsetType) else b""
    aside = bytes(some.aside) if known and not isinstance(some.aside, msgspec.UnsetType) else b""
    figures = bytes(some.figures) if known and not isinstance(some.figures, msgspec.UnsetType) else b""
    digest = hashlib.blake2b(digest_size=16)
    for part in (some.packs.encode(), (some.register or "").encode(), clocks, aside, figures):
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return Peek(some.facility, some.packs, some.register, digest.digest(), clocks, aside, figures)
