"""deploy/systemd against systemd itself and against the code; each check is also seen to fail."""

from __future__ import annotations

import copy
import shutil
import subprocess

import pytest

from tests.deploy import units as checks
from tests.deploy.compose import ROOT
from tests.deploy.units import CHECKS, FOLDER, PROGRAM, load, parse
from tests.real_parts import require

UNITS = load()
EXPOSURE = 2.0
"""`systemd-analyze security` counts to 10; what it finds here is network and the host's name."""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_units_hold(check):
    assert check(UNITS) == []


def test_there_is_one_unit_for_each_process():
    assert set(UNITS) == {"gateway", "worker", "lots", "desk", "archiver"}
    assert (FOLDER / "offsite-worker@.service").exists()


def put(name, section, key, *values):
    return lambda units: units[name][section].__setitem__(key, list(values))


def less(name, section, key):
    return lambda units: units[name][section].pop(key)


BROKEN = {
    "a section with a slip": (checks.sections, lambda units: units["desk"].__setitem__("Srvice", {})),
    "another command": (checks.commands, put("desk", "Service", "ExecStart", f"{PROGRAM} worker")),
    "another program": (checks.commands, put("desk", "Service", "ExecStart", "/usr/bin/offsite desk")),
    "an option that is none": (checks.commands, put("worker", "Service", "ExecStart", f"{PROGRAM} worker --hots=x")),
    "a setting with a slip": (checks.variables, put("gateway", "Service", "Environment", "OFFSITE_GATEWAY_NAM=x")),
    "a prefix with a slip": (checks.variables, put("gateway", "Service", "Environment", "OFFSITE_GATWAY_NAME=x")),
    "a value that is not taken": (checks.variables, put("worker", "Service", "Environment", "OFFSITE_WORKER_PORT=99999")),
    "no common settings": (checks.variables, less("desk", "Service", "EnvironmentFile")),
    "a secret that is not given": (checks.secrets, less("gateway", "Service", "LoadCredential")),
    "a secret too many": (checks.secrets, put("worker", "Service", "LoadCredential",
        "kafka_password:/etc/offsite/secrets/kafka_worker_password", "s:/etc/offsite/secrets/store_password")),
    "another's principal": (checks.secrets, put("worker", "Service", "Environment", "OFFSITE_KAFKA_USERNAME=desk",
        "OFFSITE_KAFKA_PASSWORD_FILE=%d/kafka_password")),
    "workers of one name": (checks.instances, put("worker", "Service", "Environment", "OFFSITE_WORKER_INSTANCE=%H",
        "OFFSITE_WORKER_PORT=872%i", "NUMBA_CACHE_DIR=%C/offsite-worker-%i")),
    "one name on two machines": (checks.instances, put("worker", "Service", "Environment", "OFFSITE_WORKER_INSTANCE=w-%i",
        "OFFSITE_WORKER_PORT=872%i", "NUMBA_CACHE_DIR=%C/offsite-worker-%i")),
    "a port of the desk": (checks.instances, put("worker", "Service", "Environment", "OFFSITE_WORKER_INSTANCE=%H-%i",
        "OFFSITE_WORKER_PORT=871%i", "NUMBA_CACHE_DIR=%C/offsite-worker-%i")),
    "a folder that it may not write": (checks.instances, less("desk", "Service", "CacheDirectory")),
    "a user of its own that keeps nothing": (checks.users, put("archiver", "Service", "DynamicUser", "yes")),
    "root": (checks.users, less("worker", "Service", "DynamicUser")),
    "the archive elsewhere": (checks.users, put("archiver", "Service", "StateDirectory", "archive")),
    "files that can be written": (checks.hardening, put("desk", "Service", "ProtectSystem", "full")),
    "a way around it": (checks.hardening, put("desk", "Service", "ReadWritePaths", "/etc")),
    "privileges": (checks.hardening, less("desk", "Service", "NoNewPrivileges")),
    "memory without end": (checks.hardening, less("desk", "Service", "MemoryMax")),
    "no restart": (checks.ends, put("worker", "Service", "Restart", "no")),
    "usage is tried again": (checks.ends, put("worker", "Service", "RestartPreventExitStatus", "2")),
    "no time to end": (checks.ends, put("worker", "Service", "TimeoutStopSec", "4")),
    "the lane is told too": (checks.ends, put("gateway", "Service", "KillMode", "control-group")),
    "an outage that ends it for good": (checks.ends, put("desk", "Unit", "StartLimitBurst", "5")),
    "a crash loop without end": (checks.ends, put("desk", "Unit", "StartLimitBurst", "100")),
    "a watchdog that nobody tells": (checks.ends, put("worker", "Service", "WatchdogSec", "30")),
    "out of the target": (checks.target, less("desk", "Unit", "PartOf")),
    "not of the target": (checks.target, lambda units: units.__setitem__("printer", units["desk"])),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_found(name):
    check, change = BROKEN[name]
    broken = copy.deepcopy(UNITS)
    change(broken)
    assert check(broken) != []


def test_every_check_has_been_seen_to_fail():
    assert {check for check, _ in BROKEN.values()} == set(CHECKS)


def test_the_settings_of_all_processes_hold_no_slip(monkeypatch):
    given = checks.variables_of_file() | {"OFFSITE_KAFKA_BOOTSTRP": "x"}
    monkeypatch.setattr(checks, "variables_of_file", lambda: given)
    assert len(checks.variables(UNITS)) == len(UNITS)


def test_the_owners_of_archive_and_proofs_are_declared_and_one_reads_both():
    rows = [r for r in (FOLDER / "offsite.sysusers").read_text(encoding="utf-8").splitlines() if not r.startswith("#")]
    assert [row.split()[:3] for row in rows] == [
        ["u", "offsite", "-"], ["u", "offsite-gateway", "-"], ["m", "offsite", "offsite-gateway"],
    ]  # fmt: skip
    assert UNITS["desk"]["Service"]["SupplementaryGroups"] == ["offsite-gateway"]
    assert UNITS["gateway"]["Service"]["StateDirectoryMode"] == ["0750"]


@pytest.mark.parametrize("key", ["OFFSITE_ARCHIVER_FOLDER", "OFFSITE_PROOFS_FOLDER"])
def test_backups_look_where_the_units_keep_their_files(key):
    named = {own[key] for own in map(checks.environment, UNITS.values()) if key in own}
    assert named == {checks.variables_of_file().get(key)}


def test_a_line_is_read_as_systemd_reads_it():
    assert parse("# x\n[A]\nk=1\nk=a=b\n\n; y\n[B]\nl=\n") == {"A": {"k": ["1", "a=b"]}, "B": {"l": [""]}}


@pytest.fixture
def installed(tmp_path):
    """The units with a program that exists, and a worker's number."""
    for path in FOLDER.iterdir():
        if path.suffix in {".service", ".target"}:
            text = path.read_text(encoding="utf-8").replace(PROGRAM, "/bin/true")
            (tmp_path / path.name.replace("@.", "@1.")).write_text(text)
            (tmp_path / path.name).write_text(text)
    return tmp_path


def analyze(folder, *arguments):
    """Ask systemd what it makes of the units."""
    require(shutil.which("systemd-analyze"), "systemd-analyze (Debian: systemd), which need not run,")
    units = sorted(str(path) for path in folder.iterdir() if "@." not in path.name and path.suffix == ".service")
    return subprocess.run(
        ["systemd-analyze", *arguments, *units, *([str(folder / "offsite.target")] if arguments[0] == "verify" else [])],
        env={"SYSTEMD_UNIT_PATH": f"{folder}:", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_systemd_takes_every_line(installed):
    told = analyze(installed, "verify", "--man=no")
    assert (told.returncode, told.stderr) == (0, "")
    desk = installed / "offsite-desk.service"
    desk.write_text(desk.read_text() + "\n[Service]\nRestrtSec=1\n")
    assert "RestrtSec" in analyze(installed, "verify", "--man=no").stderr


def test_systemd_finds_little_exposed(installed):
    told = analyze(installed, "security", "--offline=yes", f"--threshold={EXPOSURE * 10:.0f}", "--no-pager")
    levels = [float(line.split(":")[1].split()[0]) for line in told.stdout.splitlines() if "Overall exposure" in line]
    assert len(levels) == len(UNITS)
    assert max(levels) < EXPOSURE
    assert told.returncode == 0


def test_the_page_says_what_the_files_say():
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    for path in FOLDER.iterdir():
        assert path.name in text, path.name
    assert "systemctl enable --now offsite-worker@2" in text
