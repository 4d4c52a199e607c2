"""Read everything of a backup again, and name every fault: a backup that was never read is a hope."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.archive.chunkfile import ChunkDamagedError, open_chunk
from monitor.backup.kafkaparts import chunk_of
from monitor.backup.make import ARCHIVE, MARK, chunks_of
from monitor.backup.manifest import MANIFEST, BackupError, digest_of, read_list, read_manifest, safe_path
from monitor.backup.storecopy import check_copy
from rules.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monitor.backup.manifest import File, Manifest

OTHERS = 0o077
TOLD_EVERY = 1_000


@dataclass(slots=True)
class Checked:
    """What was read and what is wrong with it; `files` by path."""

    manifest: Manifest
    files: dict[str, File] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    """Files that the manifest does not name: of a backup that was interrupted; no fault."""


def check_backup(folder: Path, tell: Callable[[int], None] = lambda _: None) -> Checked:
    """Compare every file with its hash, the store's copy with itself and with the archive, Kafka's parts with their offsets.

    Raises:
        BackupError: there is no manifest, or it or the list of files cannot be read.
    """
    checked = Checked(read_manifest(folder))
    faults = checked.faults
    for number, file in enumerate(read_list(folder, checked.manifest), 1):
        checked.files[file.path] = file
        faults += _file_faults(folder, file)
        if number % TOLD_EVERY == 0:
            tell(number)
    manifest = checked.manifest
    if len(checked.files) != manifest.count:
        faults.append(Fault(manifest.files.path, "count", f"{len(checked.files)} files, {manifest.count} were written"))
    if (folder.stat().st_mode & OTHERS) != 0:
        faults.append(Fault(str(folder), "open_to_others", "it holds secrets: chmod 700"))
    bad = {fault.pointer for fault in faults}
    if manifest.store not in checked.files:
        faults.append(Fault(manifest.store, "not_listed", "the list of files does not name the store's copy"))
    elif manifest.store not in bad:
        faults += _store_faults(folder, checked)
    faults += [Fault(path, "damaged", "it was missing or damaged where it lay already") for path in manifest.damaged]
    for part in manifest.parts:
        if part.file not in bad:
            try:
                for _ in open_chunk(folder, chunk_of(manifest, checked.files, part)):
                    pass
            except (ChunkDamagedError, BackupError) as error:
                faults.append(Fault(part.file, error.code, str(error)))
    known = {*checked.files, manifest.files.path, MANIFEST, MARK}
    there = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    checked.extra = sorted(path for path in there if path not in known)
    return checked


def _file_faults(folder: Path, file: File) -> list[Fault]:
    path = folder / safe_path(file.path)
    try:
        found = digest_of(path)
        mode = path.stat().st_mode
    except OSError as error:
        return [Fault(file.path, "missing", error.strerror or str(error))]
    if found[0] != file.size:
        return [Fault(file.path, "size", f"{found[0]} bytes, {file.size} were written")]
    if found[1] != file.sha256:
        return [Fault(file.path, "hash", "its bytes are not those that were written")]
    return [Fault(file.path, "open_to_others", "chmod 600")] if mode & OTHERS else []


def _store_faults(folder: Path, checked: Checked) -> list[Fault]:
    copy = folder / safe_path(checked.manifest.store)
    try:
        check_copy(copy)
    except BackupError as error:
        return [Fault(checked.manifest.store, error.code, str(error))]
    damaged = set(checked.manifest.damaged)
    found = []
    for chunk in chunks_of(copy):
        file = checked.files.get(f"{ARCHIVE}/{chunk.path}")
        if chunk.path not in damaged and (file is None or file.sha256 != chunk.sha256):
            found.append(Fault(chunk.path, "not_saved", "the store's copy names it, the backup does not hold it"))
    return found
