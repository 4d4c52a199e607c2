"""Lines go out whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitor.lines import write_lines
from rules.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
