"""Put a backup back: checked whole first, into empty places unless told otherwise, the archive before the store that names it, then proofs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from monitor.archive.chunkfile import write_files
from monitor.backup.check import check_backup
from monitor.backup.make import ARCHIVE, PROOFS
from monitor.backup.manifest import BackupError, digest_of, safe_path
from monitor.backup.storecopy import NotEmptyError, ensure_vacant, load_copy
from monitor.proofs.upkeep import put_back

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monitor.backup.manifest import File, Manifest
    from monitor.store.session import Store

MAX_CHUNK = 1 << 30
"""A file of the archive is read whole; the archiver cuts at 32 MiB before compression, or one record."""


@dataclass(slots=True)
class Restored:
    """What was done."""

    manifest: Manifest
    copied: int = 0
    proofs: int = 0
    """Files of proofs written; those that were there are not counted."""
    kept: Path | None = None
    """Where the SQLite file went that stood in the store's place."""


def restore_backup(
    folder: Path,
    store: Store | None,
    archive: Path | None,
    *,
    proofs: Path | None = None,
    replace: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Restored:
    """Restore the archive into a folder, and the store. Nothing is touched unless all of the backup is as it was written.

    Args:
        folder: of the backup.
        store: where to; None leaves the store out.
        archive: where to; None leaves the archive out.
        proofs: where to; None leaves out what firms uploaded. What is there already stays: content is named by its hash.
            Made by root, what is written is its folder's owner's and group's.
        replace: the places may hold something: the store is replaced, files of the archive are added.
        tell: hears how far it is.

    Raises:
        BackupError: there is no backup, or anything in it is not as it was written.
        NotEmptyError: a place holds something and `replace` is not said, or an archiver is at work on the store.
        SchemaError: the store's copy is of a newer release than this one.
    """
    tell("checking the backup")
    checked = check_backup(folder)
    bad = [fault for fault in checked.faults if fault.code not in {"damaged", "open_to_others"}]
    if bad:
        raise BackupError(f"{len(bad)} faults, the first: {bad[0]}")
    done = Restored(checked.manifest)
    if store is not None:
        ensure_vacant(store, replace=replace)
    if archive is not None and not replace and archive.is_dir() and any(archive.iterdir()):
        raise NotEmptyError(f"the archive's folder {archive} holds something")
    if archive is not None:
        tell("the archive")
        done.copied = _restore_archive(folder, archive, checked.files)
    if store is not None:
        tell("the store")
        done.kept = load_copy(folder / safe_path(checked.manifest.store), store, replace=replace)
    if proofs is not None:
        tell("the proofs")  # last: a disk of theirs that is full or not writable keeps nothing else back
        done.proofs = _restore_proofs(folder, proofs, checked.files)
    return done


def _restore_archive(folder: Path, archive: Path, files: dict[str, File]) -> int:
    copied = 0
    for path, file in files.items():
        if PurePosixPath(path).parts[0] != ARCHIVE:
            continue
        relative = PurePosixPath(path).relative_to(ARCHIVE).as_posix()
        target = archive / safe_path(relative)
        try:
            there = target.stat().st_size == file.size and digest_of(target)[1] == file.sha256
        except OSError:
            there = False
        if not there:
            write_files(archive, [(relative, _read(folder / safe_path(path)))])
            copied += 1
    return copied


def _restore_proofs(folder: Path, proofs: Path, files: dict[str, File]) -> int:
    """Write content before its receipt, as the gateway does; with the backup's list the order is that of making."""
    copied = 0
    for path, file in files.items():
        if PurePosixPath(path).parts[0] != PROOFS:
            continue
        relative = safe_path(PurePosixPath(path).relative_to(PROOFS).as_posix())
        try:
            there = digest_of(proofs / relative) == (file.size, file.sha256)
        except OSError:
            there = False
        if not there:
            put_back(folder / safe_path(path), proofs, relative)
            copied += 1
    return copied


def _read(path: Path) -> bytes:
    with path.open("rb") as source:
        return source.read(MAX_CHUNK)
