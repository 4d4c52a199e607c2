"""The benches that need a broker, end to end in their small setting: each prints figures that can be true, and leaves nothing behind.

Slow: a start of broker and processes each, half a minute to two minutes; the figures themselves are for `make bench`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real_parts import require
from tests.stores import postgres_bin

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]


def run(folder, name, *arguments):
    """Run a bench, return what it printed; nothing with its mark in the environment may be left afterwards."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "OFFSITE_BENCH_MARK": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", "--quick", *arguments],
        env=env, cwd=ROOT, capture_output=True, text=True, timeout=850, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert left(folder) == []
    assert list(folder.iterdir()) == []
    return json.loads(done.stdout)


def left(folder):
    """Return the command lines of processes that were started by a bench of this folder."""
    mark, found = f"OFFSITE_BENCH_MARK={folder}".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes())
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
    return found


def test_checkpoints_on_against_off(tmp_path):
    told = run(tmp_path, "checkpoints", "--messages", "20000")
    assert told["with"]["readings"]["median"] == told["without"]["readings"]["median"] == 1_200_000
    assert told["with"]["state_bytes_written"]["least"] > 0 == told["without"]["state_bytes_written"]["most"]
    assert told["throughput_with_over_without"]["n"] == 1
    assert told["throughput_with_over_without"]["median"] > 0


def test_six_hours_of_state_and_a_kill(tmp_path):
    told = run(tmp_path, "sixhours")
    written, after = told["written"], told["after_kill"]
    homes, steps = written["transactions"] // 36, 36  # three minutes, a checkpoint every five seconds
    assert written["transactions"] == homes * steps
    assert written["snapshots"] == 3 * told["facilities"]
    assert written["bytes"] > 3 * written["bytes_of_all_snapshots_once"]
    assert after["state_bytes_read"]["least"] >= written["bytes_of_all_snapshots_once"]
    assert 0 < after["first_new_alarm_s"]["least"] <= after["new_alarm_of_every_partition_s"]["least"]
    assert told["live"]["state_bytes_a_log_byte"] > 0
    assert told["live"]["alarms_raised"] > 0


def test_reports_at_the_door_and_in_the_fold(tmp_path):
    told = run(tmp_path, "reports")
    for what in ("reports", "readings"):
        assert told["door"][what]["posts_per_s"]["least"] > 0
        assert told["door"][what]["cpu_us_per_post"]["least"] > 0
    worker = {name: figure["median"] for name, figure in told["worker"].items()}
    assert worker["both_us"] >= max(worker["decode_us"], worker["fold_us"])
    assert told["line"]["worker_reports_per_cpu_s"] > 0


def test_soak(tmp_path):
    told = run(tmp_path, "soak")
    assert told["faults"] == []
    assert told["end"]["receipts"] == 600
    assert told["end"]["changes"] > 0
    assert set(told["figures"]["resident_mb"]) == {"worker", "gateway", "desk", "archiver", "kafka"}
    assert told["figures"]["state_bytes"]["kafka"]["last_quarter"] > 0
    assert told["figures"]["crumb_bytes"]["worker"]["last_quarter"] > 0


def test_backup_restore_and_rebuild(tmp_path):
    told = run(tmp_path, "restore")
    assert told["store"]["alarms"] == 600
    assert told["store"]["backup_bytes"] >= told["store"]["store_bytes"] * 0.5
    assert told["state"]["readings"] == 30_000
    assert told["state"]["archive_bytes"] > 0
    assert set(told["state"]["from"]) == {"log", "archive"}
    for figures in (told["store"]["backup"], told["store"]["restore"], *told["state"]["from"].values()):
        assert figures["wall_s"]["least"] > 0 < figures["cpu_s"]["least"]


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_desk_catch_up(tmp_path, store):
    if store == "postgresql":
        require(postgres_bin(), "PostgreSQL")
    told = run(tmp_path, "desk_catchup", "--changes", "2000", *(["--postgres"] if store == "postgresql" else []))
    assert (told["store"], told["changes"]) == (store, 2_000)
    assert told["median"]["changes_per_s"] > 0
    assert told["median"]["cpu_us_per_change"] > 0
    assert told["runs"][0]["catching_up"]["api"]["n"] > 0
    assert told["runs"][0]["catching_up"]["refused"] == told["runs"][0]["afterwards"]["refused"] == 0
