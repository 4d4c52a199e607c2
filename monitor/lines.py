"""Write lines to a file or to standard output: a file appears whole or not at all, a closed pipe is no error."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from rules.errors import BadInputError, Fault

if TYPE_CHECKING:
    from collections.abc import Iterable


def write_lines(lines: Iterable[bytes], output: Path | None) -> int:
    """Write the lines and their ends; returns how many. Without `output` they go to standard output.

    Raises:
        BadInputError: the file cannot be written.
    """
    return _to_stdout(lines) if output is None else _to_file(lines, output)


def _to_file(lines: Iterable[bytes], output: Path) -> int:
    count = 0
    try:
        part = NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.", delete=False)  # noqa: SIM115 - it outlives the block: it is renamed
    except OSError as error:
        raise BadInputError("output", [Fault(str(output), "unwritable", error.strerror or str(error))]) from error
    path = Path(part.name)
    try:
        with part:
            for line in lines:
                part.write(line + b"\n")
                count += 1
            part.flush()
            os.fsync(part.fileno())
        path.replace(output)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise BadInputError("output", [Fault(str(output), "unwritable", error.strerror or str(error))]) from error
        raise
    return count


def _to_stdout(lines: Iterable[bytes]) -> int:
    count = 0
    out = sys.stdout.buffer
    try:
        for line in lines:
            out.write(line + b"\n")
            count += 1
        out.flush()
    except BrokenPipeError:  # `| head` has seen enough; Python would complain again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return count
