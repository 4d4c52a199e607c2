"""A record that ends its process is known afterwards, whatever ended it; a process that ended at rest leaves no trace."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from streams.crumbs import BEFORE, MAGIC, Crumbs, crumbs_path

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
crumbs.step(3, "FAC-2")
crumbs.enter(47, 1 << 40)
crumbs.step(47, "FAC-0")
crumbs.step(47, "FAC-WITH-A-NAME-AS-LONG-AS-IT-IS")
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
    assert crumbs.stepped == {3: "FAC-2", 47: "FAC-WITH-A-NAME-AS-LONG-AS-IT-IS"}
    crumbs.close()
    again = Crumbs(path, 48)
    assert (again.found, again.stepped) == ({}, {}), "a death is counted once"
    again.close()


def test_what_was_left_before_the_death_is_no_suspect(tmp_path: Path) -> None:
    path = tmp_path / "w1.crumbs"
    subprocess.run([sys.executable, "-c", CHILD, path, "3", "9"], cwd=ROOT, check=False)
    crumbs = Crumbs(path, 48)
    assert crumbs.found == {47: 1 << 40}
    crumbs.close()


def found(path: Path) -> tuple[dict[int, int], dict[int, str]]:
    crumbs = Crumbs(path, 4)
    crumbs.close()
    return crumbs.found, crumbs.stepped


def test_nobody_is_stepped_in_a_record_before_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "w1.crumbs"
    for last, stepped in ((1, "FAC-1"), (2, ""), (3, "")):
        crumbs = Crumbs(path, 4)
        crumbs.enter(1, 7)
        crumbs.step(1, "FAC-1")
        if last >= 2:
            crumbs.step(1, "") if last == 2 else crumbs.enter(1, 7)
        crumbs.close()
        assert found(path) == ({1: 7}, {1: stepped} if stepped else {})


@pytest.mark.parametrize("name", [b"fac-1", b"\xff\xfe", b"F", b"FAC-1\0FAC-2", b"\0FAC-1"])
def test_what_is_no_facility_is_nobody(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / "w1.crumbs"
    path.write_bytes(MAGIC + bytes(40) + struct.pack("<q32s", 8, name) + bytes(80))
    assert found(path) == ({1: 7}, {})


def test_what_an_older_release_left_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w1.crumbs"
    path.write_bytes(BEFORE + struct.pack("<4q", 0, 8, 0, 1))
    assert found(path) == ({1: 7, 3: 0}, {})
    assert found(path) == ({}, {})


@pytest.mark.parametrize("slots", [3, 5, 20])
def test_a_file_of_another_size_says_nothing(tmp_path: Path, slots: int) -> None:
    path = tmp_path / "w1.crumbs"
    for content in (BEFORE + struct.pack("<q", 8) * slots, MAGIC + struct.pack("<q32s", 8, b"FAC-1") * slots):
        path.write_bytes(content)
        assert found(path) == ({}, {})


def test_an_older_release_makes_the_file_anew(tmp_path: Path) -> None:
    """It goes by size and mark: of as many partitions, and of so many that the files are of one size."""
    path = tmp_path / "w1.crumbs"
    crumbs = Crumbs(path, 4)
    crumbs.enter(1, 7)
    crumbs.step(1, "FAC-1")
    crumbs.close()
    held = path.read_bytes()
    assert all(len(held) != len(BEFORE) + 8 * slots for slots in (4, 8))
    assert held[:8] != BEFORE


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
    assert path.stat().st_size == len(MAGIC) + 4 * 40


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
