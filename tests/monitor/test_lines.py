"""Lines go out whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from monitor.lines import write_lines
from rules.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITE = "from pathlib import Path; from monitor.lines import write_lines; write_lines([b'one', b'two'], {})"


def stopped(error: BaseException) -> Iterator[bytes]:
    yield b"one"
    raise error


def test_lines_are_written_and_counted(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    assert write_lines([b"one", b"two"], output) == 2
    assert output.read_bytes() == b"one\ntwo\n"


def test_without_a_file_they_go_to_standard_output(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert write_lines([b"one", b"two"], None) == 2
    assert capsysbinary.readouterr().out == b"one\ntwo\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BadInputError("log", []), RuntimeError("x")])
def test_what_stops_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    output = tmp_path / "out.jsonl"
    output.write_bytes(b"before\n")
    with pytest.raises(type(error)):
        write_lines(stopped(error), output)
    assert output.read_bytes() == b"before\n"
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("place", ["missing/out.jsonl", "folder"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInputError) as caught:
        write_lines([b"one"], tmp_path / place)
    assert caught.value.faults[0].pointer == str(tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="output"):
        write_lines(stopped(OSError(28, "No space left on device")), tmp_path / "out.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    assert write_lines([b"one", b"two"], pipe) == 2
    reader.join(20)
    assert read == [b"one\ntwo\n"]
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link, file = tmp_path / "link", tmp_path / "folder" / "out.jsonl"
    link.symlink_to(file)
    for line in (b"one", b"two"):
        assert write_lines([line], link) == 1
        assert file.read_bytes() == line + b"\n"
    assert link.is_symlink()
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("output", ["None", "Path(f'/proc/self/fd/{1}')"])
def test_standard_output_that_takes_no_more_is_a_fault_and_no_traceback_at_exit(output: str) -> None:
    told = "from rules.errors import BadInputError\ntry:\n    {}\nexcept BadInputError as error:\n    print(error.report(), file=sys.stderr)"
    code = "import sys\n" + told.format(WRITE.format(output))
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert "unwritable: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.returncode == 0
