"""Make a backup: the store first, then the archive's files that this copy of the store names, the proofs, then Kafka's part.

The archive's files never change and have their hash in their name: what an earlier backup in the same folder copied is not
copied again. A file that the archiver replaced meanwhile is looked up again in a new copy of the store. The manifest comes last;
until then the folder holds the backup before, whole. Then what only that one named is deleted.
"""

from __future__ import annotations

import fcntl
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar

from monitor.archive import index
from monitor.backup.kafkaparts import Saver
from monitor.backup.manifest import (
    FILE_MODE,
    FOLDER_MODE,
    MANIFEST,
    BackupError,
    File,
    Manifest,
    copy_file,
    copy_wanted,
    digest_of,
    private_folder,
    safe_path,
    sync_folder,
    write_list,
    write_manifest,
)
from monitor.backup.storecopy import copy_store
from monitor.proofs.shelf import Bounds, Shelf
from monitor.proofs.upkeep import kept_files
from rules.errors import BadInputError, Fault
from rules.faults import unreadable
from rules.records import SEMANTICS
from rules.snapshot import FORMAT
from streams import admin
from streams.topics import TOPICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from monitor.store.session import Store
    from streams.settings import KafkaSettings

MARK = ".offsite-backup"
"""Says that a folder holds backups, and is locked by the one that is being made."""
ARCHIVE = "archive"
PROOFS = "proofs"
ROUNDS = 5
TOLD_EVERY = 1_000


class FolderError(BadInputError):
    """The folder is not one for backups."""

    code: ClassVar[str] = "backup_folder"
    action: ClassVar[str] = "Name a folder that is empty, new, or holds a backup already; nothing was touched."


class NoProofsError(BackupError):
    """The backup holds proofs, and where they should lie there is none."""

    code: ClassVar[str] = "backup_proofs"
    action: ClassVar[str] = (
        "Mount or name the folder of proofs (OFFSITE_PROOFS_FOLDER); if they are gone: docs/runbooks/lose-the-proofs.md. "
        "Who has deleted them all on purpose names a new folder for the backup. The backup before stands."
    )


@dataclass(slots=True)
class Made:
    """What was done."""

    manifest: Manifest
    copied: int = 0
    """Files of archive and proofs copied now; the others were here."""
    removed: int = 0


@dataclass(slots=True)
class _Archived:
    files: list[File] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    copied: int = 0


def make_backup(
    folder: Path,
    store: Store,
    archive: Path,
    kafka: KafkaSettings | None,
    *,
    proofs: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Made:
    """Make a backup in `folder`, which may hold an earlier one; everybody may go on working meanwhile.

    Args:
        folder: of mode 0700, its files 0600: password and key hashes are in there.
        store: of register, desk and archive's index.
        archive: the archive's folder.
        proofs: the folder of what firms uploaded; None leaves it out. It need not be there where no proof was ever taken.
        kafka: where Kafka is; None leaves out what Kafka alone holds, which the manifest says.
        tell: hears how far it is.

    Raises:
        FolderError: the folder holds something else, or another backup is being made in it.
        StoreDownError, SchemaError, BrokerDownError, TopicsError: a part does not answer, or is not as it should be.
        NoProofsError: this backup holds proofs and `proofs` none: it would lose the only ones.
        BackupError: something cannot be copied whole; the backup before stands.
    """
    now = time.time_ns() // 1_000_000
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 1000)) + f"{now % 1000:03d}Z"
    with _claimed(folder):
        _look_for_proofs(folder, proofs)
        tell("the store")
        store_file, revision, found = _store_and_archive(folder, stamp, store, archive, tell)
        tell("the proofs")
        proven = _copy_proofs(folder, proofs) if proofs is not None else _Archived()
        cluster, topics, saver = None, {}, Saver(folder, f"kafka-{stamp}", "")
        if kafka is not None:
            tell("Kafka's topics")
            shape = admin.describe(kafka)
            cluster, names = str(shape["cluster_id"]), {kafka.topic(topic.name): topic.name for topic in TOPICS}
            topics = {names[name]: value for name, value in shape["topics"].items() if name in names}
            saver = Saver(folder, f"kafka-{stamp}", cluster)
            saver.save(kafka, archived_offsets(folder / store_file.path))
        named = [store_file, *found.files, *proven.files, *saver.files]
        files, count, size = write_list(folder, f"files-{stamp}.jsonl", named)
        manifest = Manifest(
            id=stamp, made=now, release=version("offsite-monitor"), semantics=SEMANTICS, snapshots=FORMAT,
            dialect="sqlite" if store.dialect == "sqlite" else "postgresql", revision=revision, store=store_file.path,
            cluster=cluster, partitions=0 if kafka is None else kafka.partitions, topics=topics, places=saver.places,
            parts=saver.parts, damaged=[*found.damaged, *proven.damaged], files=files, count=count, bytes=size,
        )  # fmt: skip
        write_manifest(folder, manifest)
        removed = _forget(folder, {file.path for file in named} | {files.path})
    return Made(manifest, found.copied + proven.copied, removed)


def archived_offsets(copy: Path) -> dict[tuple[str, int], int]:
    """Return where the archiver stood when the store was copied."""
    with closing(_opened(copy)) as rows:
        found = rows.execute(
            "SELECT topic, partition, next_offset FROM consumer_offset WHERE consumer = ?", (index.CONSUMER,)
        )
        return {(topic, partition): offset for topic, partition, offset in found}


def chunks_of(copy: Path) -> Iterator[File]:
    """Yield the files that a copy's index of the archive names, with their paths in the archive."""
    with closing(_opened(copy)) as rows:
        for path, size, sha256 in rows.execute("SELECT path, size, sha256 FROM archive_chunk ORDER BY path"):
            yield File(path=path, size=size, sha256=sha256)


def _opened(copy: Path) -> sqlite3.Connection:
    """Open a copy so that not a byte of it changes."""
    return sqlite3.connect(f"file:{copy}?mode=ro&immutable=1", uri=True)


def _store_and_archive(
    folder: Path, stamp: str, store: Store, archive: Path, tell: Callable[[str], None]
) -> tuple[File, str, _Archived]:
    name = f"store-{stamp}.db"
    for _ in range(ROUNDS):
        (folder / name).unlink(missing_ok=True)
        revision = copy_store(store, folder / name)
        found = _copy_archive(folder, store, archive, folder / name, tell)
        if found is not None:
            size, digest = digest_of(folder / name)
            return File(path=name, size=size, sha256=digest), revision, found
    raise BackupError("the archive's files are replaced faster than they can be copied")


def _copy_archive(
    folder: Path, store: Store, archive: Path, copy: Path, tell: Callable[[str], None]
) -> _Archived | None:
    """Copy the files that a copy of the store names; None if one was replaced meanwhile."""
    found = _Archived()
    for number, chunk in enumerate(chunks_of(copy), 1):
        relative = safe_path(chunk.path)
        target = folder / ARCHIVE / relative
        if number % TOLD_EVERY == 0:
            tell(f"the archive: {number} files")
        if not target.is_file() or target.stat().st_size != chunk.size:
            private_folder(target.parent)
            try:
                written = copy_file(archive / relative, target)
            except FileNotFoundError:
                with store.reading() as session:
                    if not index.is_indexed(session, chunk.path):
                        return None
                found.damaged.append(chunk.path)
                continue
            sync_folder(target.parent)
            if written != (chunk.size, chunk.sha256):
                target.unlink()
                found.damaged.append(chunk.path)
                continue
            found.copied += 1
        found.files.append(File(path=f"{ARCHIVE}/{chunk.path}", size=chunk.size, sha256=chunk.sha256))
    return found


def _look_for_proofs(folder: Path, proofs: Path | None) -> None:
    """Refuse to take a folder that is not mounted, or another, for one from which all proofs were deleted."""
    saved = next(kept_files(folder / PROOFS), None)
    if saved is not None and (proofs is None or next(kept_files(proofs), None) is None):
        raise NoProofsError(f"{folder} holds proofs, and there is none in {proofs or 'no folder'}")


def _copy_proofs(folder: Path, proofs: Path) -> _Archived:
    """Copy what firms uploaded: content never changes and is copied once, receipts are small and are copied each time.

    What is lost or cut where it lies is named as damaged; a good copy of before stays and is listed.
    """
    _look_for_proofs(folder, proofs)
    found, live, saved = _Archived(), Shelf(proofs, Bounds(0, 0, 0)), Shelf(folder / PROOFS, Bounds(0, 0, 0))
    for path, sha256 in kept_files(proofs):
        relative = safe_path(path)
        target = folder / PROOFS / relative
        private_folder(target.parent)
        size = (proofs / relative).stat().st_size if (proofs / relative).is_file() else -1
        if sha256 is not None and target.is_file() and target.stat().st_size == size:
            found.files.append(File(path=f"{PROOFS}/{path}", size=size, sha256=sha256))
            continue
        named = sha256 or relative.stem
        written = None
        if sha256 is not None or live.find(relative.parent.name, named) is not None:
            with suppress(FileNotFoundError):
                written = copy_wanted(proofs / relative, target, sha256)
        if written is not None:
            sync_folder(target.parent)
            found.copied += 1
        else:
            found.damaged.append(f"{PROOFS}/{path}")
            written = _good_copy(saved, target, sha256)
        if written is not None:
            found.files.append(File(path=f"{PROOFS}/{path}", size=written[0], sha256=written[1]))
    return found


def _good_copy(saved: Shelf, target: Path, sha256: str | None) -> tuple[int, str] | None:
    """Return size and SHA-256 of what an earlier backup saved of a proof or, without `sha256`, of a receipt; None if it is no good."""
    if sha256 is None and saved.find(target.parent.name, target.stem) is None:
        return None
    try:
        written = digest_of(target)
    except FileNotFoundError:
        return None
    return written if sha256 in {None, written[1]} else None


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    mark = folder / MARK
    if folder.exists() and not folder.is_dir():
        raise FolderError("backup", [Fault(str(folder), "not_a_folder", "it is a file")])
    if folder.is_dir() and not mark.exists() and any(folder.iterdir()):
        raise FolderError("backup", [Fault(str(folder), "foreign", f"it holds files and no {MARK}")])
    try:
        private_folder(folder)
        folder.chmod(FOLDER_MODE)
        file = mark.open("a")
    except OSError as error:
        raise FolderError("backup", [Fault(str(folder), "unwritable", unreadable(error))]) from error
    with file:
        mark.chmod(FILE_MODE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FolderError("backup", [Fault(str(folder), "in_use", "a backup is being made in it")]) from error
        yield


def _forget(folder: Path, named: set[str]) -> int:
    """Delete what no manifest names any more, parts of a backup that was interrupted too."""
    kept = named | {MANIFEST, MARK}
    removed = 0
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in kept:
            path.unlink()
            removed += 1
    return removed
