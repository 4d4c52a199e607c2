"""A record that ends its process is known afterwards, whatever ended it; a process that ended at rest leaves no trace."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams.crumbs import MAGIC, Crumbs, crumbs_path

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import os, signal, sys
from pathlib import Path
from streams.crumbs import Crumbs
crumbs = Crumbs(Path(sys.argv[1]), 48)
crumbs.enter(0, 0)
crumbs.leave(0)
crumbs.enter(3, 41)
crumbs.enter(3, 42)
crumbs.enter(47, 1 << 40)
crumbs.leave(int(sys.argv[2]))
os.kill(os.getpid(), int(sys.argv[3]))
"""


@pytest.mark.parametrize("number", [9, 11], ids=["killed", "fault"])
def test_what_was_folded_at_the_death_is_found_by_the_next_process(tmp_path: Path, number: int) -> None:
    path = tmp_path / "deep" / "w1.crumbs"
    done = subprocess.run([sys.executable, "-c", CHILD, path, "5", str(number)], cwd=ROOT, check=False)
    assert done.returncode == -number
    crumbs = Crumbs(path, 48)
    assert crumbs.found == {3: 42, 47: 1 << 40}
    crumbs.close()
    again = Crumbs(path, 48)
    assert again.found == {}, "a death is counted once"
    again.close()


def test_what_was_left_before_the_death_is_no_suspect(tmp_path: Path) -> None:
    path = tmp_path / "w1.crumbs"
    subprocess.run([sys.executable, "-c", CHILD, path, "3", "9"], cwd=ROOT, check=False)
    crumbs = Crumbs(path, 48)
    assert crumbs.found == {47: 1 << 40}
    crumbs.close()


def test_a_second_process_of_the_same_name_leaves_the_file_alone(tmp_path: Path) -> None:
    first = Crumbs(tmp_path / "w1.crumbs", 4)
    first.enter(1, 7)
    second = Crumbs(tmp_path / "w1.crumbs", 4)
    second.enter(1, 99)
    assert second.found == {}
    second.close()
    first.close()
    third = Crumbs(tmp_path / "w1.crumbs", 4)
    assert third.found == {1: 7}
    third.close()


@pytest.mark.parametrize("content", [b"", b"something else altogether, and longer than it should be" * 9, MAGIC])
def test_a_foreign_or_short_file_is_made_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w1.crumbs"
    path.write_bytes(content)
    crumbs = Crumbs(path, 4)
    assert crumbs.found == {}
    crumbs.close()
    assert path.stat().st_size == len(MAGIC) + 4 * 8


def test_a_folder_that_cannot_be_made_costs_the_trace_and_not_the_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    crumbs = Crumbs(tmp_path / "file" / "w1.crumbs", 4)
    crumbs.enter(1, 1)
    crumbs.close()
    assert "cannot be found out" in caplog.text


def test_each_worker_of_each_installation_has_a_file_of_its_own(tmp_path: Path) -> None:
    paths = {
        crumbs_path(tmp_path, instance, bootstrap, "log")
        for instance in ("w1", "w2", "../w3")
        for bootstrap in ("a:1", "b:1")
    }
    assert len(paths) == 6
    assert {path.parent for path in paths if path is not None} == {tmp_path}
    assert crumbs_path(None, "w1") is None


FULL = """
import sys
from pathlib import Path
from streams.crumbs import Crumbs
folder = Path(sys.argv[1])
try:
    (folder / "all-there-is").write_bytes(bytes(1 << 20))
except OSError:
    pass
crumbs = Crumbs(folder / "w1.crumbs", 48)
crumbs.enter(1, 7)
print("folding")
"""


def test_a_full_disk_does_not_end_a_worker_that_starts(tmp_path: Path) -> None:
    inside = f"mount -t tmpfs -o size=64k full '{tmp_path}' && exec '{sys.executable}' -c '{FULL}' '{tmp_path}'"
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        # A right that the machine gives or not, no part that could be installed; the next test stands for it everywhere.
        pytest.skip("this machine allows no mount of its own")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", inside], cwd=ROOT, check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "folding\n"), done.stderr


def test_without_room_for_the_file_the_crumbs_stay_in_memory_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(file: int, begin: int, size: int) -> None:
        assert (os.fstat(file).st_size, begin) == (size, 0)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    crumbs = Crumbs(tmp_path / "w1.crumbs", 48)
    crumbs.enter(1, 7)
    crumbs.close()
    assert "no room for crumbs" in caplog.text
    monkeypatch.undo()
    again = Crumbs(tmp_path / "w1.crumbs", 48)
    assert again.found == {}
    again.close()
