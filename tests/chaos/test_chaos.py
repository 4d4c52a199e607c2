"""Everything is broken while a known set of readings is fed; afterwards log, published changes, desk and archive agree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streams import jars
from tests.chaos.stage import MARK, left_behind

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[2]


def chaos(*arguments: str, log: Path) -> subprocess.Popen[bytes]:
    jars.ensure_jars()
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.chaos", *arguments, "--data", str(log.parent / "data")],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip


@contextmanager
def hearing_interrupts() -> Iterator[None]:
    """Let what is started here hear SIGINT: a shell ignores it for what it runs in the background, and that is inherited."""
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, kept)


@pytest.mark.timeout(1_200)
def test_a_short_chaos_loses_nothing_and_invents_nothing(tmp_path: Path) -> None:
    log = tmp_path / "chaos.txt"
    code = chaos("--short", "--kills", "6", "--seed", "1", log=log).wait(1_150)
    told = log.read_text()
    assert code == 0, told
    assert "everything agrees" in told
    assert "kills: " in told


@pytest.mark.slow
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_hundred_kills_lose_nothing_and_invent_nothing(tmp_path: Path, seed: int) -> None:
    log = tmp_path / "chaos.txt"
    code = chaos("--kills", "100", "--seed", str(seed), log=log).wait(7_000)
    assert code == 0, log.read_text()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_chaos_leaves_no_process_behind(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARK, "not-yet")
    log = tmp_path / "chaos.txt"
    with hearing_interrupts():
        process = chaos("--short", "--kills", "6", log=log)
    deadline = time.monotonic() + 400
    while "is ready" not in log.read_text() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.2)
    marks = {line.partition("mark ")[2] for line in log.read_text().splitlines() if "mark " in line}
    process.send_signal(number)
    assert process.wait(150) != 0
    (mark,) = marks
    assert left_behind(mark) == []
