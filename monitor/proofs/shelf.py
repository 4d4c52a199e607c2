"""The folder of proofs: content and receipt by SHA-256 in a folder for each facility, whole or not at all, within a quota.

`FACILITY/SHA256` is the content, `FACILITY/SHA256.json` its receipt, written last: what has no receipt is not there. Nothing is
ever changed; the same content is kept once. Gateways may share the folder: a lock in each facility's folder makes the quota exact.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, ValidationError

from monitor.proofs.content import MediaType
from rules.canonical import canonical_bytes
from rules.errors import OffsiteError
from rules.instants import Instant
from rules.models import PRINTABLE, FacilityId, Strict, is_facility_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

FOLDER_MODE, FILE_MODE = 0o750, 0o440
"""The gateway writes, its group (the desk, backups) reads, others nothing; what is kept is written by nobody again."""
INCOMING = ".incoming"
LOCK = ".lock"
MAX_RECEIPT = 64 * 1024
READ_BYTES = 1024 * 1024
_ABSENT = (FileNotFoundError, NotADirectoryError)
SHA256_NAME = re.compile(r"[0-9a-f]{64}")
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ProofName = Annotated[str, Field(min_length=1, max_length=200), PRINTABLE]


class ProofReceipt(Strict):
    """What is kept of an upload; the first one of a content stays, whoever sends the same again."""

    sha256: Sha256
    """Of the content; in this form it goes into `proof` of a mark or of an amendment."""
    facility: FacilityId
    size: Annotated[int, Field(ge=1, json_schema_extra={"x-unit": "By"})]
    type: MediaType
    name: ProofName | None = None
    """What the sender calls it; shown, never used as the name of a file."""
    received: Instant
    """When it was whole, by the gateway's clock: no receive time of the log."""
    key: str
    """The name of the feed key that sent it."""
    gateway: str


class NoRoomError(OffsiteError):
    """The facility's quota does not hold one more proof."""

    code: ClassVar[str] = "proof_quota"
    action: ClassVar[str] = "Raise OFFSITE_PROOFS_FACILITY_BYTES or _FACILITY_FILES; nothing was kept."


class DiskFullError(OffsiteError):
    """The disk has less free than is to stay free."""

    code: ClassVar[str] = "proof_disk"
    retriable: ClassVar[bool] = True
    action: ClassVar[str] = "Give the folder of OFFSITE_PROOFS_FOLDER more disk; firms are told to send again."


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one facility may keep, and what stays free on the disk."""

    bytes: int
    files: int
    keep_free: int


@dataclass(frozen=True, slots=True)
class Use:
    """What one facility keeps."""

    files: int = 0
    bytes: int = 0


class Incoming:
    """An upload under way: a file outside of every facility's folder, deleted unless it is kept."""

    def __init__(self, path: Path, keep_free: int = 0) -> None:
        self.path, self._keep_free = path, keep_free
        self._sink = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._digest = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Self:
        """Write to it until it is left."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete what was not kept."""
        with contextlib.suppress(OSError):
            self._sink.close()
        self.path.unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        """Append to it.

        Raises:
            DiskFullError: with it less would be free than is to stay free; others write meanwhile, so each piece looks again.
            OSError: the disk does not take it.
        """
        _look_for_disk(self.path.parent, self._keep_free, len(piece))
        self._sink.write(piece)
        self._digest.update(piece)
        self.size += len(piece)

    def finish(self) -> str:
        """Sync it; returns its SHA-256.

        Raises:
            OSError: the disk does not take it.
        """
        self._sink.flush()
        os.fchmod(self._sink.fileno(), FILE_MODE)
        os.fsync(self._sink.fileno())
        self._sink.close()
        return self._digest.hexdigest()


class Shelf:
    """The folder of proofs. Its methods block: the gateway calls them in a thread."""

    def __init__(self, folder: Path, bounds: Bounds) -> None:
        self.folder, self._bounds = folder, bounds

    def clear(self, owner: str) -> None:
        """Make the place for uploads under way of one gateway, and delete what a crash left of its own there."""
        place = self._place(owner)
        make_folder(place)
        for path in place.iterdir():
            path.unlink(missing_ok=True)

    def open(self, owner: str) -> Incoming:
        """Begin an upload at a gateway.

        Raises:
            DiskFullError: too little is free.
            OSError: the folder cannot be written.
        """
        place = self._place(owner)
        make_folder(place)
        _look_for_disk(place, self._bounds.keep_free)
        return Incoming(place / secrets.token_hex(16), self._bounds.keep_free)

    def look_for_room(self, facility: str, size: int, instead: str = "") -> None:
        """Say early that `size` bytes more would be too many; `keep` decides.

        Args:
            facility: whose quota it is.
            size: in bytes, of what comes.
            instead: the name of content that it would replace, which does not count.

        Raises:
            NoRoomError: they would be.
        """
        used = self.use(facility, instead)
        if used.files + 1 > self._bounds.files or used.bytes + size > self._bounds.bytes:
            raise NoRoomError(
                f"{used.files} of {self._bounds.files} files and {used.bytes} of {self._bounds.bytes} bytes are kept"
            )

    def keep(self, incoming: Incoming, receipt: ProofReceipt) -> tuple[ProofReceipt, bool]:
        """Keep a finished upload; returns its receipt and whether it is new.

        Args:
            incoming: finished.
            receipt: of it. Where the same content is kept already, the receipt of then counts.

        Raises:
            NoRoomError: the facility's quota does not hold it.
            OSError: the disk does not take it.
        """
        home = self.folder / receipt.facility
        make_folder(home)
        target = home / receipt.sha256
        with _locked(home):
            known = self.find(receipt.facility, receipt.sha256)
            if known is not None and _digest_of(target) == receipt.sha256:
                return known, False
            if known is None:
                # Content without a receipt (a crash came between the two, or the receipt was damaged) is replaced, never deleted.
                self.look_for_room(receipt.facility, receipt.size, receipt.sha256)
            incoming.path.replace(target)
            sync_folder(home)
            if known is not None:  # the content had been damaged: it is whole again, of the day of its receipt
                return known, False
            _write(home / f"{receipt.sha256}.json", canonical_bytes(receipt.model_dump(mode="json")) + b"\n")
            sync_folder(home)
        return receipt, True

    def facilities(self) -> list[str]:
        """Return who keeps something, by id.

        Raises:
            OSError: the folder may not be read.
        """
        try:
            return sorted(
                entry.name for entry in os.scandir(self.folder) if is_facility_id(entry.name) and entry.is_dir()
            )
        except _ABSENT:
            return []

    def use(self, facility: str, besides: str = "") -> Use:
        """Return what a facility keeps, without the content named `besides`."""
        files = total = 0
        for path in self._contents(facility):
            if path.name == besides:
                continue
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
                files += 1
        return Use(files, total)

    def find(self, facility: str, sha256: str) -> ProofReceipt | None:
        """Return the receipt of a proof of a facility, None where there is none (or it is none by now).

        Raises:
            OSError: it may not be read.
        """
        if not is_facility_id(facility) or SHA256_NAME.fullmatch(sha256) is None:
            return None
        path = self.folder / facility / f"{sha256}.json"
        try:
            with path.open("rb") as source:
                receipt = ProofReceipt.model_validate_json(source.read(MAX_RECEIPT))
        except (*_ABSENT, ValidationError):
            return None
        return receipt if (receipt.facility, receipt.sha256) == (facility, sha256) else None

    def every(self, facility: str) -> list[ProofReceipt]:
        """Return the receipts of a facility, newest first.

        Raises:
            OSError: one may not be read.
        """
        found = [self.find(facility, path.name) for path in self._contents(facility)]
        receipts = [receipt for receipt in found if receipt is not None]
        return sorted(receipts, key=lambda receipt: (-receipt.received, receipt.sha256))

    def content(self, receipt: ProofReceipt) -> Path | None:
        """Return the file of a proof, None where it is not there with its size.

        Raises:
            OSError: it may not be looked at.
        """
        path = self.folder / receipt.facility / receipt.sha256
        try:
            return path if path.stat().st_size == receipt.size else None
        except _ABSENT:
            return None

    def _contents(self, facility: str) -> Iterator[Path]:
        if not is_facility_id(facility):
            return
        with contextlib.suppress(*_ABSENT):
            for entry in os.scandir(self.folder / facility):
                if SHA256_NAME.fullmatch(entry.name) is not None:
                    yield Path(entry.path)

    def _place(self, owner: str) -> Path:
        return self.folder / INCOMING / owner


def _look_for_disk(place: Path, keep_free: int, more: int = 0) -> None:
    if shutil.disk_usage(place).free - more < keep_free:
        raise DiskFullError(f"less than {keep_free} bytes would be free")


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    with os.fdopen(os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o600), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # it ends with the process
        yield


def make_folder(path: Path) -> None:
    """Make a folder and those above it, whose names outlive a crash."""
    if path.is_dir():
        return
    make_folder(path.parent)
    with contextlib.suppress(FileExistsError):
        path.mkdir()
        path.chmod(FOLDER_MODE)  # whatever the process's umask
    sync_folder(path.parent)


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as sink:
        sink.write(data)
        sink.flush()
        os.fchmod(sink.fileno(), FILE_MODE)
        os.fsync(sink.fileno())
    part.replace(path)


def sync_folder(path: Path) -> None:
    """Let a folder's names outlive a crash."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest_of(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as source:
            while block := source.read(READ_BYTES):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()
