"""The Dockerfile and the scripts of the image and of its neighbours, run here as the containers run them."""

from __future__ import annotations

import fnmatch
import http.server
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager

import psycopg
import pytest

from monitor.store.schema import ensure_ready
from monitor.store.session import Store
from tests.deploy.compose import ROOT, load
from tests.real_parts import require
from tests.stores import Cluster, postgres_bin

DEPLOY = ROOT / "deploy"
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def instructions(text):
    joined = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def ignored(path):
    """Say whether .dockerignore keeps a path out of the build; later lines win."""
    out = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        keep, pattern = line.startswith("!"), line.lstrip("!").removeprefix("**/")
        anywhere = "**/" in line
        parents = [path, *(str(parent) for parent in path_parents(path))]
        if any(fnmatch.fnmatch(part.rsplit("/", 1)[-1] if anywhere else part, pattern) for part in parents):
            out = not keep
    return out


def path_parents(path):
    parts = path.split("/")
    return ["/".join(parts[:i]) for i in range(1, len(parts))]


def faults(text):
    rows, found = instructions(text), []
    bases = [value for word, value in rows if word == "FROM"]
    for base in bases:
        if not re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+( AS \w+)?", base):
            found.append(f"{base} is not one pinned Python 3.11")
    if len({base.split()[0] for base in bases}) != 1 or len(bases) < 2:
        found.append("not two stages of one base")
    last = max(i for i, row in enumerate(rows) if row[0] == "FROM")
    users = [value for word, value in rows[last:] if word == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]):
        found.append("ends as root")
    for word, value in rows:
        if word in {"ADD", "HEALTHCHECK", "EXPOSE", "VOLUME", "MAINTAINER"}:
            found.append(f"{word} is not for here")
        if word == "WORKDIR" and not value.startswith("/"):
            found.append(f"WORKDIR {value}")
        if word in {"CMD", "ENTRYPOINT"} and not value.startswith("["):
            found.append(f"{word} by a shell")
        if word == "COPY" and "--from" not in value:
            *sources, _ = value.split()
            for source in sources:
                if not (ROOT / source).exists() or ignored(source):
                    found.append(f"{source} is not there to copy")
            if "." in sources:
                found.append("copies everything")
        if word == "RUN":
            if re.search(r"\b(curl|wget|sudo|chmod 777|apt-get|apk)\b", value):
                found.append(f"RUN {value[:40]}")
            for step in value.split("&&"):
                if (
                    re.search(r"pip (install|sync)", step)
                    and "--require-hashes" not in step
                    and "--no-deps" not in step
                ):
                    found.append(f"without hashes: {step.strip()[:60]}")
        if re.search(r"PASSWORD|SECRET|TOKEN", value):
            found.append(f"a secret in {word}")
    return found


def test_the_dockerfile_holds():
    assert faults(TEXT) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("python:3.11.13-slim-bookworm AS", "python:latest AS"), ("python:3.11.13-slim-bookworm\n", "python:3.12.1-slim\n"),
        ("USER 10001:10001", ""), ("USER 10001:10001", "USER root"), ("USER 10001:10001", "USER 10001:10001\nUSER 0:0"),
        ("COPY rules rules", "COPY ruls ruls"), ("COPY rules rules", "COPY . ."), ("COPY rules rules", "ADD rules rules"),
        ("COPY rules rules", "COPY deploy/kafka deploy/kafka"), ("--require-hashes requirements/base.txt", "requirements/base.txt"),
        ('CMD ["--help"]', "CMD --help"), ("WORKDIR /build", "WORKDIR build"), ("PIP_NO_CACHE_DIR=1", "STORE_PASSWORD=x"),
        ("RUN groupadd", "RUN curl x | sh && groupadd"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_dockerfile_is_found(old, new):
    assert old in TEXT
    assert faults(TEXT.replace(old, new)) != []


def test_nothing_private_reaches_the_build():
    for path in ("deploy/secrets/tls_key", ".git/config", "var/offsite.db", ".venv/bin/python", "rules/__pycache__/x.pyc",
                 "tests/conftest.py", "deploy/kafka/acls.yaml"):  # fmt: skip
        assert ignored(path), path
    for path in ("rules/engine.py", "monitor/console/templates/base.html", "requirements/base.txt", "deploy/entry.sh"):
        assert not ignored(path), path


def test_compose_builds_this_image_and_runs_it_as_its_user():
    services = [service for service in load()["services"].values() if "build" in service]
    users = {value for word, value in instructions(TEXT) if word == "USER"}
    assert {service["user"] for service in services} == users
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert {service["image"] for service in services} == {f"offsite-monitor:{version}"}
    # The volume of the archive takes its owner from the folder of the image.
    assert "install -d -o offsite -g offsite -m 0750 /var/lib/offsite/archive" in TEXT


@contextmanager
def answering(status):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/healthz"
        server.shutdown()
        thread.join()


def probe(url):
    # A proxy in the environment must not be asked.
    env = os.environ | {"http_proxy": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, DEPLOY / "probe.py", url], env=env, capture_output=True, check=False
    ).returncode


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (204, 1), (404, 1), (503, 1)])
def test_the_probe_says_what_the_process_says(status, expected):
    with answering(status) as url:
        assert probe(url) == expected


def test_the_probe_of_a_process_that_does_not_answer_fails():
    with socket.socket() as held:  # bound and not listening
        held.bind(("127.0.0.1", 0))
        assert probe(f"http://127.0.0.1:{held.getsockname()[1]}/healthz") == 1


def test_the_image_begins_a_command_with_kernels_where_they_can_be_read(tmp_path):
    kernels, bin_, memory = tmp_path / "kernels", tmp_path / "bin", tmp_path / "tmp"
    for folder in (kernels, bin_, memory):
        folder.mkdir()
    (kernels / "one.nbi").write_bytes(b"1")
    fake = bin_ / "offsite"
    fake.write_text('#!/bin/sh\necho "$NUMBA_CACHE_DIR|$OFFSITE_WORKER_INSTANCE|$*"\nexit 7\n')
    fake.chmod(0o755)
    env = {"PATH": f"{bin_}:/usr/bin:/bin", "TMPDIR": str(memory), "OFFSITE_KERNELS": str(kernels)}

    def begin(**more):
        return subprocess.run(["sh", DEPLOY / "entry.sh", "worker", "a b"], env=env | more, capture_output=True, text=True,
                              check=False)  # fmt: skip

    first, second = begin(), begin(OFFSITE_WORKER_INSTANCE="w1")
    assert (first.returncode, second.returncode) == (7, 7)
    assert first.stdout == f"{memory}/kernels|{os.uname().nodename}|worker a b\n"
    assert second.stdout == f"{memory}/kernels|w1|worker a b\n"
    assert (memory / "kernels" / "one.nbi").read_bytes() == b"1"


def secrets(folder, *arguments):
    return subprocess.run([DEPLOY / "make-secrets.sh", *arguments], env=os.environ | {"OFFSITE_SECRETS": str(folder)},
                          capture_output=True, text=True, check=False)  # fmt: skip


def test_secrets_are_random_kept_and_behind_their_owners_folder(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    assert secrets(one, "monitor.example").returncode == secrets(two).returncode == 0
    first = {path.name: path.read_bytes() for path in one.iterdir()}
    second = {path.name: path.read_bytes() for path in two.iterdir()}
    assert not set(first.values()) & set(second.values())
    assert len(set(first.values())) == len(first)
    passwords = {name: value for name, value in first.items() if name.endswith("_password")}
    assert all(re.fullmatch(rb"[A-Za-z0-9_-]{43}", value) for value in passwords.values())
    assert re.fullmatch(rb"[A-Za-z0-9_][A-Za-z0-9_-]{21}", first["kafka_cluster_id"])
    assert stat.S_IMODE(one.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in one.iterdir()} == {0o444}
    assert secrets(one, "other.example").returncode == 0
    assert {path.name: path.read_bytes() for path in one.iterdir()} == first
    shown = subprocess.run(["openssl", "x509", "-in", one / "tls_certificate", "-noout", "-ext", "subjectAltName"],
                           capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert "DNS:monitor.example" in shown


def test_half_a_certificate_and_a_strange_name_are_refused(tmp_path):
    folder = tmp_path / "secrets"
    assert secrets(folder, "a/b").returncode == 2
    assert secrets(folder).returncode == 0
    key = (folder / "tls_key").read_bytes()
    (folder / "tls_certificate").unlink()
    done = secrets(folder)
    assert done.returncode == 3
    assert "only one is in" in done.stderr
    assert (folder / "tls_key").read_bytes() == key


@pytest.mark.parametrize(
    "content", [None, "short", 'with"quote-with"quote-with"quote', "with newline-\nwith newline-with"]
)
def test_a_broker_does_not_start_on_a_password_that_is_missing_or_means_something_else(tmp_path, content):
    folder = tmp_path / "secrets"
    assert secrets(folder).returncode == 0
    path = folder / "kafka_broker_password"
    path.unlink()
    if content is not None:
        path.write_text(content)
    env = os.environ | {"KAFKA_SECRETS": str(folder), "KAFKA_RUN": str(tmp_path / "run"), "KAFKA_JAVA": "/bin/false"}
    done = subprocess.run(["bash", DEPLOY / "kafka" / "start.sh"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "kafka_broker_password" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.fixture
def own_postgres(tmp_path):
    programs = postgres_bin()
    require(programs, "PostgreSQL")
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.geteuid() and str(parent) != "/":
            parent.chmod(parent.stat().st_mode | 0o011)
    folder = tmp_path / "pg"
    folder.mkdir()
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    word = tmp_path / "superuser"
    word.write_text("superuser-password-of-a-test")
    word.chmod(0o644)
    server = Cluster(folder, programs)
    server.run(programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={word}",
               "-E", "UTF8", "--no-sync")  # fmt: skip
    server.start()
    yield server
    server.stop("immediate")


@pytest.mark.postgres
def test_the_database_has_a_role_of_its_own_that_owns_its_tables_and_is_no_superuser(own_postgres, tmp_path):
    folder = tmp_path / "secrets"
    assert secrets(folder).returncode == 0
    env = {
        "PATH": f"{own_postgres.programs}:/usr/bin:/bin", "PGHOST": "127.0.0.1", "PGPORT": str(own_postgres.port),
        "PGPASSWORD": "superuser-password-of-a-test", "STORE_PASSWORD_FILE": str(folder / "store_password"),
    }  # fmt: skip
    done = subprocess.run([DEPLOY / "postgres" / "10-offsite.sh"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    url = f"postgresql://offsite@127.0.0.1:{own_postgres.port}/offsite"
    store = Store(url, folder / "store_password")
    ensure_ready(store)  # makes its tables
    store.close()
    password = (folder / "store_password").read_text()
    with psycopg.connect(url, password=password) as connection:
        row = connection.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        )
        assert row.fetchone() == (False, False, False)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, password="x" * 43)
