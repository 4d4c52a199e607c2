"""How the embedded broker's Java is started."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from rules.errors import BadInputError
from streams import broker, jars, jvm
from streams.broker import EmbeddedBroker, keep_classes

if TYPE_CHECKING:
    from pathlib import Path


def test_the_operators_options_are_read_as_a_shell_reads_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(jvm.VARIABLE, "-XX:+UseZGC '-Dwhere=a b'")
    assert jvm.options(tmp_path / "jars", "java") == [jvm.QUIET, "-XX:+UseZGC", "-Dwhere=a b"]
    monkeypatch.delenv(jvm.VARIABLE)
    assert jvm.options(tmp_path / "jars", "java") == [jvm.QUIET]
    monkeypatch.setenv(jvm.VARIABLE, "'-Dopen")
    with pytest.raises(BadInputError) as refused:
        jvm.options(tmp_path / "jars", "java")
    assert [fault.pointer for fault in refused.value.faults] == [jvm.VARIABLE]


def test_another_java_or_other_jars_have_another_archive(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for program in (one, two):
        program.write_text("x")
    (tmp_path / "link").symlink_to(one)
    archive = jvm.archive_of(tmp_path / "4.4.0-abc", str(one))
    assert archive.parent == tmp_path
    assert archive.name.startswith("4.4.0-abc-")
    assert archive != jvm.archive_of(tmp_path / "4.4.0-abc", str(two))
    assert archive != jvm.archive_of(tmp_path / "4.4.0-abd", str(one))
    assert archive == jvm.archive_of(tmp_path / "4.4.0-abc", str(tmp_path / "link"))
    assert jvm.options(tmp_path / "4.4.0-abc", str(one))[-1] != f"-XX:SharedArchiveFile={archive}"
    archive.touch()
    assert jvm.options(tmp_path / "4.4.0-abc", str(one))[-1] == f"-XX:SharedArchiveFile={archive}"


@pytest.mark.kafka
def test_classes_are_kept_once_and_loaded_from_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    libraries, program = jars.ensure_jars(), jars.java()
    archive = tmp_path / "kafka.jsa"
    monkeypatch.setattr(broker.jvm, "archive_of", lambda *_: archive)
    assert keep_classes() == archive
    made = archive.stat()
    assert keep_classes() == archive
    assert archive.stat().st_mtime_ns == made.st_mtime_ns
    assert [path.name for path in tmp_path.iterdir()] == ["kafka.jsa"]
    used = [program, *jvm.options(libraries, program), "-Xlog:class+load", "-cp", f"{libraries}/*", "kafka.Kafka"]
    told = subprocess.run(used, capture_output=True, text=True, check=False).stdout
    assert "kafka.Kafka source: shared objects file (top)" in told


@pytest.mark.kafka
@pytest.mark.parametrize(
    "content", [b"no archive", *(pytest.param(data, marks=pytest.mark.slow) for data in (b"", b"\0" * 100_000))]
)
def test_a_broker_starts_without_an_archive_that_does_not_fit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    archive = tmp_path / "kafka.jsa"
    archive.write_bytes(content)
    monkeypatch.setattr(broker.jvm, "archive_of", lambda *_: archive)
    with EmbeddedBroker(tmp_path / "kafka") as running:
        assert running.cluster_id
