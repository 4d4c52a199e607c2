"""A setting that is wrong is named by its variable, all of them at once, and no value is echoed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from monitor import settings
from monitor.settings import SettingsError, kafka_settings, worker_settings
from rules.errors import BadInputError

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = [
    settings.KafkaEnvironment, settings.WorkerEnvironment, settings.GatewayEnvironment, settings.StoreEnvironment,
    settings.DeskEnvironment, settings.ArchiverEnvironment,
]  # fmt: skip


@pytest.mark.parametrize(
    ("read", "values", "named"),
    [
        (kafka_settings, {"OFFSITE_KAFKA_PARTITIONS": "abc"}, {"OFFSITE_KAFKA_PARTITIONS"}),
        (
            kafka_settings,
            {"OFFSITE_KAFKA_PARTITIONS": "0", "OFFSITE_KAFKA_REPLICATION": "x"},
            {"OFFSITE_KAFKA_PARTITIONS", "OFFSITE_KAFKA_REPLICATION"},
        ),
        (kafka_settings, {"OFFSITE_KAFKA_SECURITY_PROTOCOL": "none"}, {"OFFSITE_KAFKA_SECURITY_PROTOCOL"}),
        (kafka_settings, {"OFFSITE_KAFKA_TOPIC_PREFIX": "Ü"}, {"OFFSITE_KAFKA_TOPIC_PREFIX"}),
        (worker_settings, {"OFFSITE_WORKER_PORT": "99999"}, {"OFFSITE_WORKER_PORT"}),
        (worker_settings, {"OFFSITE_WORKER_GROUP": "a b"}, {"OFFSITE_WORKER_GROUP"}),
    ],
)
def test_every_wrong_variable_is_named(monkeypatch, read, values, named):
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        read()
    assert {fault.pointer for fault in refused.value.faults} == named
    assert refused.value.exit_code == 3
    assert "docs/settings.md" in refused.value.report()


def test_no_value_is_echoed(monkeypatch):
    monkeypatch.setenv("OFFSITE_KAFKA_PARTITIONS", "hunter2")
    with pytest.raises(SettingsError) as refused:
        kafka_settings()
    assert "hunter2" not in refused.value.report()


def test_a_variable_that_nothing_reads_is_said_with_the_nearest(monkeypatch, capsys):
    from monitor.cli import main

    for name in (
        "OFFSITE_KAFKA_BOOTSTRP",
        "OFFSITE_GATWAY_NAME",
        "OFFSITE_\x1b[2J",
        "offsite_desk_port",
        "OFFSITE_CHAOS",
    ):
        monkeypatch.setenv(name, "1")
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().err
    assert "offsite: nothing reads the variable OFFSITE_KAFKA_BOOTSTRP; is OFFSITE_KAFKA_BOOTSTRAP meant?\n" in told
    assert "offsite: nothing reads the variable OFFSITE_GATWAY_NAME; is OFFSITE_GATEWAY_NAME meant?\n" in told
    assert told.count("\n") == 3
    assert "\x1b" not in told


def test_every_variable_of_the_tree_is_known():
    used = set()
    for pattern in (
        "monitor/**/*.py",
        "streams/**/*.py",
        "deploy/**/*",
        "docker-compose.yml",
        "Makefile",
        "docs/*.md",
        "README.md",
    ):
        for path in ROOT.glob(pattern):
            if path.is_file() and "static" not in path.parts and "__pycache__" not in path.parts:
                used |= set(re.findall(r"OFFSITE_[A-Z][A-Z_]*[A-Z]\b(?!_|\*)", path.read_text(encoding="utf-8")))
    assert len(used) > 50
    assert settings.slips(used) == []


@pytest.mark.parametrize("kind", ENVIRONMENTS, ids=lambda kind: kind.__name__)
def test_the_defaults_of_every_process_hold(kind, monkeypatch):
    import os

    for name in [name for name in os.environ if name.startswith("OFFSITE_")]:
        monkeypatch.delenv(name)
    assert kind().model_dump()


def test_a_command_says_it_without_a_traceback(monkeypatch, capsys):
    from monitor.cli import main

    monkeypatch.setenv("OFFSITE_KAFKA_PARTITIONS", "abc")
    with pytest.raises(SystemExit) as ended:
        main(["topics", "verify"])
    assert ended.value.code == 3
    said = capsys.readouterr().err
    assert said.startswith("offsite: settings: 1 fault\n  OFFSITE_KAFKA_PARTITIONS: ")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("variable", "content", "told"),
    [
        ("OFFSITE_KAFKA_PASSWORD_FILE", None, "cannot be read: No such file or directory"),
        ("OFFSITE_KAFKA_PASSWORD_FILE", b"\xff", "cannot be read: not UTF-8: byte 0 is 0xff"),
        ("OFFSITE_KAFKA_CA_FILE", None, "cannot be read: No such file or directory"),
        ("OFFSITE_KAFKA_CA_FILE", b"none", "holds no certificates"),
        ("OFFSITE_STORE_PASSWORD_FILE", None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_a_setting_names_is_read_at_the_start(monkeypatch, tmp_path, variable, content, told):
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv(variable, str(file))
    with pytest.raises(BadInputError) as caught:
        settings.open_store() if "STORE" in variable else kafka_settings()
    assert [(fault.pointer, fault.detail) for fault in caught.value.faults] == [(variable, f"{file} {told}")]
