"""What operators do with the folder of proofs: save it, put it back, delete from it. Root follows no link there: the gateway may lay some."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from typing import TYPE_CHECKING

from monitor.proofs.shelf import (
    FILE_MODE,
    FOLDER_MODE,
    LOCK,
    READ_BYTES,
    SHA256_NAME,
    make_folder,
    sync_folder,
)
from rules.models import is_facility_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from monitor.proofs.shelf import ProofReceipt


def kept_files(folder: Path) -> Iterator[tuple[str, str | None]]:
    """Yield the paths of all kept files below the folder, and the SHA-256 that the name of content says; receipts come last."""
    if not folder.is_dir():
        return
    for home in sorted(path for path in folder.iterdir() if is_facility_id(path.name) and path.is_dir()):
        names = sorted(path.name for path in home.iterdir())
        receipts = [name for name in names if name.endswith(".json") and SHA256_NAME.fullmatch(name[:-5])]
        for name in receipts:
            yield f"{home.name}/{name[:-5]}", name[:-5]
        for name in receipts:
            yield f"{home.name}/{name}", None


def put_back(source: Path, folder: Path, relative: Path) -> None:
    """Copy a file of a backup into the folder, whole or not at all, with the mode that it had here; root gives it to the folder's owner.

    Root writes where the gateway may: so below the folder no link is followed.

    Raises:
        OSError: the disk does not take it, or a link lies in the way.
    """
    make_folder(folder)
    owner = folder.stat()
    root = os.geteuid() == 0
    home = folder / relative.parent
    with contextlib.suppress(FileExistsError):
        home.mkdir(mode=FOLDER_MODE)
        sync_folder(folder)
    place = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchmod(place, FOLDER_MODE)  # whatever the process's umask
        if root:
            os.fchown(place, owner.st_uid, owner.st_gid)
        part = f".{relative.name}.part"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part, dir_fd=place)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with source.open("rb") as saved, os.fdopen(os.open(part, flags, 0o600, dir_fd=place), "wb") as sink:
            shutil.copyfileobj(saved, sink, READ_BYTES)
            sink.flush()
            if root:
                os.fchown(sink.fileno(), owner.st_uid, owner.st_gid)
            os.fchmod(sink.fileno(), FILE_MODE)
            os.fsync(sink.fileno())
        os.replace(part, relative.name, src_dir_fd=place, dst_dir_fd=place)
        os.fsync(place)
    finally:
        os.close(place)


def remove(folder: Path, receipt: ProofReceipt) -> None:
    """Delete a proof, its receipt first: what has none is not there. It follows no link, as `put_back`.

    Raises:
        OSError: the folder cannot be written.
    """
    with _held_place(folder / receipt.facility) as place:
        if place is not None:
            for name in (f"{receipt.sha256}.json", receipt.sha256):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=place)
                os.fsync(place)


def remove_orphan(folder: Path, facility: str, sha256: str) -> None:
    """Delete content that has no receipt any more.

    Raises:
        OSError: the folder cannot be written.
    """
    home = folder / facility
    if not (home / sha256).exists() or (home / f"{sha256}.json").exists():
        return
    with _held_place(home) as place:
        if place is not None and not (home / f"{sha256}.json").exists():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(sha256, dir_fd=place)
            os.fsync(place)


@contextlib.contextmanager
def _held_place(home: Path) -> Iterator[int | None]:
    """Hold a facility's folder against gateways that keep something in it; None: it is not there."""
    try:
        place = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield None
        return
    try:
        with os.fdopen(os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=place), "rb") as file:
            if os.geteuid() == 0:  # a restore leaves none: the gateway must be able to open it
                owner = os.fstat(place)
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            fcntl.flock(file, fcntl.LOCK_EX)
            yield place
    finally:
        os.close(place)
