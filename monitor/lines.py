"""Write lines to a file or to standard output: a file appears whole or not at all, a closed pipe is no error.

A device or a pipe (`/dev/null`, `/dev/stdout`) is written to, never replaced.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING

from rules.errors import BadInputError, Fault

if TYPE_CHECKING:
    from collections.abc import Iterable


def write_lines(lines: Iterable[bytes], output: Path | None) -> int:
    """Write the lines and their ends; returns how many. Without `output` they go to standard output.

    Raises:
        BadInputError: the file cannot be written.
    """
    if output is None:
        return _to_stream(lines, sys.stdout.buffer, "standard output")
    if output.exists() and not (output.is_file() or output.is_dir()):
        return _to_device(lines, output)
    return _to_file(lines, output)


def _to_file(lines: Iterable[bytes], output: Path) -> int:
    count = 0
    place = Path(os.path.realpath(output))  # a link stays one: `/dev/stdout` may lead to a file
    try:
        part = NamedTemporaryFile(dir=place.parent, prefix=f".{place.name}.", delete=False)  # noqa: SIM115 - it outlives the block: it is renamed
    except OSError as error:
        raise _unwritable(str(output), error) from error
    path = Path(part.name)
    try:
        with part:
            for line in lines:
                part.write(line + b"\n")
                count += 1
            part.flush()
            os.fsync(part.fileno())
        path.replace(place)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unwritable(str(output), error) from error
        raise
    return count


def _to_device(lines: Iterable[bytes], output: Path) -> int:
    try:
        stream = output.open("wb")
    except OSError as error:
        raise _unwritable(str(output), error) from error
    with stream:
        return _to_stream(lines, stream, str(output))


def _to_stream(lines: Iterable[bytes], out: IO[bytes], name: str) -> int:
    count = 0
    try:
        for line in lines:
            out.write(line + b"\n")
            count += 1
        out.flush()
    except BrokenPipeError:  # `| head` has seen enough
        _say_no_more(out)
    except OSError as error:
        _say_no_more(out)
        raise _unwritable(name, error) from error
    return count


def _say_no_more(out: IO[bytes]) -> None:
    """Let what is still buffered go nowhere: Python would complain again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


def _unwritable(name: str, error: OSError) -> BadInputError:
    return BadInputError("output", [Fault(name, "unwritable", error.strerror or str(error))])
