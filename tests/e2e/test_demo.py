"""The demo as a user starts it: two minutes of the whole product, its story asserted, its log replayed, nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_front_to_alarm import running, until

pytestmark = pytest.mark.kafka


def left_of(folder):
    """Processes that were started with this folder in their environment or arguments, but for this one."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            texts = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
            state = (place / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:  # it ended meanwhile
            continue
        if str(folder).encode() in texts and int(place.name) != os.getpid() and state != "Z":
            found.append(int(place.name))
    return found


def test_the_story_holds_and_the_log_replays_to_the_same_alarms(kafka, tmp_path):
    folder = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "monitor", "demo", "--check", "--data", str(folder)],
        capture_output=True, text=True, timeout=420, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith(("ok", "FAILED"))]
    assert [line[:2] for line in lines] == ["ok"] * 7
    assert re.search(r"first alarm on the desk after [\d.]+ s: .*above 8 °C", done.stdout)
    assert re.search(r"the replay: [1-9]\d* changes", done.stdout)
    assert until(lambda: not left_of(folder))
    assert kafka.pid  # the session's own broker is another one and still runs


@pytest.mark.slow  # the manager's own tests kill it in `make test`
def test_a_demo_that_is_killed_leaves_no_process_behind(kafka, tmp_path):
    folder = tmp_path / "demo"
    with running("demo", "--data", str(folder), env=dict(os.environ), log=tmp_path / "log") as process:
        for line in process.stdout:
            if line.startswith(b"ready after"):
                break
        assert len(left_of(folder)) >= 6  # itself, the broker, and four processes
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        assert until(lambda: not left_of(folder))
    assert kafka.pid
