"""The demo empties its own folder only: `--data` may name anything, a home directory too."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from monitor.demo import stage
from monitor.demo.stage import MARK, FolderError, Stage, claimed

if TYPE_CHECKING:
    from pathlib import Path


class ReachedError(Exception):
    """The stage went past its folder."""


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    def broker(_folder: Path) -> None:
        raise ReachedError

    monkeypatch.setattr(stage, "EmbeddedBroker", broker)


def begin(folder: Path, *, fresh: bool = True) -> None:
    with Stage(folder, fresh=fresh, desk_port=0):
        pass


@pytest.mark.parametrize("fresh", [True, False])
def test_somebody_elses_files_are_not_touched(tmp_path: Path, *, fresh: bool) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(FolderError) as refused:
        begin(tmp_path, fresh=fresh)
    assert [fault.code for fault in refused.value.faults] == ["not_a_demo"]
    assert "--data" in refused.value.report()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_new_and_an_empty_folder_are_taken(tmp_path: Path) -> None:
    for folder in (tmp_path / "new" / "deep", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(ReachedError):
            begin(folder)
        assert (folder / MARK).exists()


def test_the_demos_own_folder_is_emptied_or_kept(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    folder = tmp_path / "demo"
    (folder / "kafka").mkdir(parents=True)
    for path in (folder / MARK, folder / "offsite.db", folder / "kafka" / "data"):
        path.touch()
    (folder / "link").symlink_to(elsewhere)
    with pytest.raises(ReachedError):
        begin(folder, fresh=False)
    assert (folder / "kafka" / "data").exists()
    with pytest.raises(ReachedError):
        begin(folder)
    assert {path.name for path in folder.iterdir() if not path.name.startswith("offsite.db")} == {MARK, "logs"}
    assert (folder / "offsite.db").stat().st_size > 0, "a new one, made while the broker was to start"
    assert (elsewhere / "kept").exists()


def test_a_folder_in_which_a_demo_runs_is_refused_and_free_after_a_kill(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom monitor.demo.stage import claimed\n"
        "with claimed(Path(sys.argv[1])):\n    (Path(sys.argv[1]) / 'offsite.db').touch()\n"
        "    print('held', flush=True)\n    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ}) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"held\n"
            with pytest.raises(FolderError) as refused:
                begin(folder)
            assert [fault.code for fault in refused.value.faults] == ["in_use"]
            assert (folder / "offsite.db").exists()
        finally:
            other.kill()
    with pytest.raises(ReachedError):
        begin(folder)


def test_a_file_and_a_place_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder, code in ((tmp_path / "file", "not_a_folder"), (tmp_path / "file" / "below", "unwritable")):
        with pytest.raises(FolderError) as refused, claimed(folder):
            pass
        assert [fault.code for fault in refused.value.faults] == [code]
