"""What a backup says of itself: one small manifest, written last, and a list of files with their hashes.

A folder without a manifest is no backup. The manifest names the list by its hash, the list every other file, so that
nothing in the folder can change unseen. The list is a file of lines: an archive of years has millions of files.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from rules.canonical import canonical_bytes, sha256_hex
from rules.errors import ContractError
from rules.instants import Instant
from rules.models import Strict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MANIFEST = "manifest.json"
MAX_MANIFEST = 64 * 1024 * 1024
FOLDER_MODE, FILE_MODE = 0o700, 0o600
READ_BYTES = 1024 * 1024
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
RelativePath = Annotated[str, Field(min_length=1, max_length=1_000)]


class BackupError(ContractError):
    """The folder is no backup, or not what its manifest says."""

    code: ClassVar[str] = "backup_bad"
    action: ClassVar[str] = "Use another backup; `offsite backup --verify FOLDER` names what is wrong with one."


class File(Strict):
    """One file of the backup."""

    path: RelativePath
    """Below the backup's folder, with forward slashes."""
    size: Count
    sha256: Sha256


class Part(Strict):
    """A stretch of one Kafka partition, in a file of the archive's form (docs/archive.md); offsets are those in Kafka."""

    file: RelativePath
    topic: Annotated[str, Field(max_length=128)]
    """Without the installation's prefix."""
    partition: Count
    first_offset: Count
    last_offset: Count
    records: Count


class Place(Strict):
    """Where a partition of a topic began and ended in Kafka, and what of it is in `parts`: [`since`, `end`)."""

    topic: Annotated[str, Field(max_length=128)]
    partition: Count
    begin: Count
    since: Count
    end: Count


class Manifest(Strict):
    """One backup."""

    format: Literal["offsite-backup"] = "offsite-backup"
    version: Literal[1] = 1
    id: Annotated[str, Field(pattern=r"^[0-9]{8}T[0-9]{9}Z$")]
    made: Instant
    release: Annotated[str, Field(max_length=64)]
    semantics: Count
    """Of the engine of the release that made it."""
    snapshots: Count
    """The format of the snapshots that this release writes."""
    dialect: Literal["sqlite", "postgresql"]
    """What the store was; the copy is always SQLite."""
    revision: Annotated[str, Field(max_length=64)]
    """Of the store's tables."""
    store: RelativePath
    cluster: Annotated[str, Field(max_length=128)] | None
    """Kafka's cluster id; none for a backup made without Kafka."""
    partitions: Count
    topics: Annotated[dict[str, dict[str, Any]], Field(max_length=100)]
    """Topics as they were: partitions and configuration."""
    places: Annotated[list[Place], Field(max_length=100_000)]
    parts: Annotated[list[Part], Field(max_length=1_000_000)]
    damaged: Annotated[list[str], Field(max_length=10_000)]
    """Files of the archive, and proofs, that were missing or damaged when it was made: not in here, but for proofs that a
    backup before had saved whole."""
    files: File
    """The list of all other files."""
    count: Count
    bytes: Count


def safe_path(text: str) -> Path:
    """Return a relative path that stays below its folder.

    Raises:
        BackupError: it does not.
    """
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in text or "\0" in text:
        raise BackupError(f"a path leads out of the backup: {text[:200]!r}")
    return Path(*path.parts)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest so that it is seen whole or not at all; everything it names must be synced by then."""
    body = manifest.model_dump(mode="json")
    write_whole(folder / MANIFEST, canonical_bytes({"manifest": body, "sha256": sha256_hex(body)}) + b"\n")


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a backup.

    Raises:
        BackupError: there is none, or it cannot be read, or its checksum does not fit.
    """
    try:
        with (folder / MANIFEST).open("rb") as source:
            raw = source.read(MAX_MANIFEST + 1)
    except OSError as error:
        raise BackupError(f"{folder} is no backup: {MANIFEST}: {error.strerror or error}") from error
    try:
        document = json.loads(raw) if len(raw) <= MAX_MANIFEST else {}
        if sha256_hex(document["manifest"]) != document["sha256"]:
            raise BackupError(f"{folder}: the manifest's checksum does not fit")
        return Manifest.model_validate(document["manifest"])
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise BackupError(f"{folder}: the manifest cannot be read: {str(error)[:300]}") from error


def write_list(folder: Path, name: str, files: Iterable[File]) -> tuple[File, int, int]:
    """Write the list of files; returns itself as a file, how many it names, and their bytes."""
    count = total = 0
    part = folder / f".{name}.part"
    part.unlink(missing_ok=True)
    with _private(part) as sink:
        for file in files:
            sink.write(canonical_bytes(file.model_dump(mode="json")) + b"\n")
            count += 1
            total += file.size
        _sync(sink)
    part.replace(folder / name)
    size, digest = digest_of(folder / name)
    return File(path=name, size=size, sha256=digest), count, total


def read_list(folder: Path, manifest: Manifest) -> Iterator[File]:
    """Yield the files of a backup; the list itself is checked first.

    Raises:
        BackupError: the list is missing, is not the one of the manifest, or a line of it cannot be read.
    """
    path = folder / safe_path(manifest.files.path)
    if not is_file(folder, manifest.files):
        raise BackupError(f"{folder}: the list of files is missing, or is not the one that the manifest names")
    with path.open("rb") as source:
        for number, line in enumerate(source, 1):
            try:
                yield File.model_validate_json(line)
            except ValidationError as error:
                raise BackupError(f"{path.name}:{number}: {str(error)[:300]}") from error


def is_file(folder: Path, file: File) -> bool:
    """Say whether a file is there and is, byte for byte, what was written."""
    try:
        return digest_of(folder / safe_path(file.path)) == (file.size, file.sha256)
    except OSError:
        return False


def digest_of(path: Path) -> tuple[int, str]:
    """Return size and SHA-256 of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as source:
        while block := source.read(READ_BYTES):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for its owner alone."""
    if not path.is_dir():
        private_folder(path.parent)
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 that is there whole or not at all, also after a crash."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with _private(part) as sink:
        sink.write(data)
        _sync(sink)
    part.replace(path)
    sync_folder(path.parent)


def copy_file(source: Path, target: Path) -> tuple[int, str]:
    """Copy a file with mode 0600, synced; returns size and SHA-256 of what was read."""
    copied = copy_wanted(source, target, None)
    assert copied is not None  # noqa: S101 - whatever is read is wanted
    return copied


def copy_wanted(source: Path, target: Path, sha256: str | None) -> tuple[int, str] | None:
    """Copy a file as `copy_file` does; where what was read is not `sha256`, nothing is written over `target`: None."""
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as bytes_in, _private(part) as sink:
        while block := bytes_in.read(READ_BYTES):
            digest.update(block)
            size += len(block)
            sink.write(block)
        _sync(sink)
    if sha256 not in {None, digest.hexdigest()}:
        part.unlink()
        return None
    part.replace(target)
    return size, digest.hexdigest()


def sync_folder(path: Path) -> None:
    """Make the names in a folder outlive a crash."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _private(path: Path) -> Any:  # noqa: ANN401 - a binary file
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb")


def _sync(sink: Any) -> None:  # noqa: ANN401 - as above
    sink.flush()
    os.fsync(sink.fileno())
