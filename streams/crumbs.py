"""Where each partition's fold stands, in a file that outlives the process: a record that kills it is known at its first death.

Eight bytes in shared memory per record, no call to the system: the kernel keeps them whatever ends the process (a fault, the
OOM killer, `kill -9`, the watchdog). Only the machine's own end loses them, and no record does that.
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

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = b"OFSCRMB1"
_SLOT = struct.Struct("<q")
_log = logging.getLogger("offsite.worker")


class Crumbs:
    """One slot per partition: the offset that is being folded now, or nothing.

    Args:
        path: of the file; None keeps the slots in memory alone, where deaths leave no trace.
        partitions: of the log; twice as many where each may fold in a thread beside, in a slot of its own behind these.
    """

    def __init__(self, path: Path | None, partitions: int) -> None:
        size = len(MAGIC) + partitions * _SLOT.size
        self.found: dict[int, int] = {}
        """Partition -> the offset that an earlier process of this name was folding when it died."""
        self._file = None if path is None else _opened(path, size)
        self._slots = mmap.mmap(-1 if self._file is None else self._file, size)
        if self._slots[: len(MAGIC)] == MAGIC:
            for partition in range(partitions):
                (at,) = _SLOT.unpack_from(self._slots, len(MAGIC) + partition * _SLOT.size)
                if at > 0:
                    self.found[partition] = at - 1
        self._slots[:] = MAGIC + bytes(size - len(MAGIC))

    def enter(self, partition: int, offset: int) -> None:
        """Say that a record is being folded now."""
        _SLOT.pack_into(self._slots, 8 + (partition << 3), offset + 1)

    def leave(self, partition: int) -> None:
        """Say that nothing of a partition is being folded: before whatever waits."""
        _SLOT.pack_into(self._slots, 8 + (partition << 3), 0)

    def close(self) -> None:
        """Let go of the file."""
        self._slots.close()
        if self._file is not None:
            os.close(self._file)


def crumbs_path(folder: Path | None, instance: str, *place: str) -> Path | None:
    """Return the file of a worker: its name, and what tells one installation's log from another's."""
    if folder is None:
        return None
    mark = hashlib.sha256("|".join(place).encode()).hexdigest()[:8]
    return folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', instance)}-{mark}.crumbs"


def _opened(path: Path, size: int) -> int | None:
    """Open and lock the file; a worker folds without one rather than not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        _log.warning("no file of crumbs at %s (%s): a record that kills this worker cannot be found out", path, error)
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file).st_size != size:
            os.ftruncate(file, 0)
            os.ftruncate(file, size)
        # A hole that no room is left for would end the process (SIGBUS) at its first crumb.
        os.posix_fallocate(file, 0, size)
    except BlockingIOError as error:
        os.close(file)
        _log.warning("the file of crumbs %s is not ours (%s): another worker of this name runs", path, error)
        return None
    except OSError as error:
        os.close(file)
        _log.warning("no room for crumbs in %s (%s): a record that kills this worker cannot be found out", path, error)
        return None
    return file
