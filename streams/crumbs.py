"""Where each partition's fold stands, in a file that outlives the process: a record that kills it is known at its first death.

Sixteen bytes in shared memory per record, no call to the system: the kernel keeps them whatever ends the process (a fault, the
OOM killer, `kill -9`, the watchdog). Only the machine's own end loses them, and no record does that. A record that every
facility of its partition sees (a tick, packs) tells of nobody: so the facility that is being stepped in it stands there too.

A file is the mark of its layout, then a slot per partition: eight bytes of the offset and one, or 0; thirty-two of the facility,
filled up with zeros. The layout before had the offsets alone, under another mark and in files of another size: one that an
older release left is read, and an older release that finds this one makes it anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import mmap
import os
import re
import struct
from typing import TYPE_CHECKING

from rules.models import is_facility_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAGIC = b"OFSCRMB2"
BEFORE = b"OFSCRMB1"
"""The mark of files that hold offsets alone."""
_OFFSET = struct.Struct("<q")
_ENTERED = struct.Struct("<qq")
"""An offset and the first word of a facility that is none."""
_FACILITY = struct.Struct("<32s")
_SLOT = struct.Struct("<q32s")
_HEAD, _SIZE, _BEHIND = len(MAGIC), _SLOT.size, len(MAGIC) + _OFFSET.size
_log = logging.getLogger("offsite.worker")


class Crumbs:
    """One slot per partition: the offset that is being folded now, or nothing; and whom a record of all is folded for.

    Args:
        path: of the file; None keeps the slots in memory alone, where deaths leave no trace.
        partitions: of the log; twice as many where each may fold in a thread beside, in a slot of its own behind these.
    """

    def __init__(self, path: Path | None, partitions: int) -> None:
        size = _HEAD + partitions * _SIZE
        self.found: dict[int, int] = {}
        """Partition -> the offset that an earlier process of this name was folding when it died."""
        self.stepped: dict[int, str] = {}
        """Partition -> the facility that it was stepping in that record, where the record belongs to all."""
        self._file, left = (None, b"") if path is None else _opened(path, size)
        self._slots = mmap.mmap(-1 if self._file is None else self._file, size)
        for partition, (offset, facility) in enumerate(_read(left, partitions)):
            if offset > 0:
                self.found[partition] = offset - 1
                if is_facility_id(facility):
                    self.stepped[partition] = facility
        self._slots[:] = MAGIC + bytes(size - _HEAD)

    def enter(self, partition: int, offset: int) -> None:
        """Say that a record is being folded now."""
        _ENTERED.pack_into(self._slots, _HEAD + partition * _SIZE, offset + 1, 0)

    def step(self, partition: int, facility: str) -> None:
        """Say whom the record is being folded for now, where it belongs to all; an empty text for nobody."""
        _FACILITY.pack_into(self._slots, _BEHIND + partition * _SIZE, facility.encode())

    def leave(self, partition: int) -> None:
        """Say that nothing of a partition is being folded: before whatever waits."""
        _OFFSET.pack_into(self._slots, _HEAD + partition * _SIZE, 0)

    def close(self) -> None:
        """Let go of the file."""
        self._slots.close()
        if self._file is not None:
            os.close(self._file)
            self._file = None


def crumbs_path(folder: Path | None, instance: str, *place: str) -> Path | None:
    """Return the file of a worker: its name, and what tells one installation's log from another's."""
    if folder is None:
        return None
    mark = hashlib.sha256("|".join(place).encode()).hexdigest()[:8]
    return folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', instance)}-{mark}.crumbs"


def _read(left: bytes, slots: int) -> Iterator[tuple[int, str]]:
    """Yield what each slot of a file says, in either layout; nothing of a file of another size or kind."""
    if left[:_HEAD] == MAGIC and len(left) == _HEAD + slots * _SIZE:
        for offset, facility in _SLOT.iter_unpack(left[_HEAD:]):
            yield offset, facility.rstrip(b"\0").decode("latin-1")
    elif left[:_HEAD] == BEFORE and len(left) == _HEAD + slots * _OFFSET.size:
        for (offset,) in _OFFSET.iter_unpack(left[_HEAD:]):
            yield offset, ""


def _opened(path: Path, size: int) -> tuple[int | None, bytes]:
    """Open and lock the file; returns what it held. A worker folds without one rather than not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        _log.warning("no file of crumbs at %s (%s): a record that kills this worker cannot be found out", path, error)
        return None, b""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        left = os.pread(file, size + 1, 0)
        if len(left) != size:
            os.ftruncate(file, 0)
            os.ftruncate(file, size)
        # A hole that no room is left for would end the process (SIGBUS) at its first crumb.
        os.posix_fallocate(file, 0, size)
    except BlockingIOError as error:
        os.close(file)
        _log.warning("the file of crumbs %s is not ours (%s): another worker of this name runs", path, error)
        return None, b""
    except OSError as error:
        os.close(file)
        _log.warning("no room for crumbs in %s (%s): a record that kills this worker cannot be found out", path, error)
        return None, b""
    return file, left
