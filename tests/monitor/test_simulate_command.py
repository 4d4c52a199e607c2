"""`offsite simulate` as a user calls it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from monitor.cli import main

OFFSITE = [sys.executable, "-m", "monitor", "simulate"]
FIRMS = ["BJ-MFR-0007", "BJ-CEL-0003", "BJ-WHS-0021", "BJ-HOS-0104", "BJ-CTS-0012", "BJ-LAB-0005"]


def call(*arguments):
    return subprocess.run([*OFFSITE, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({name: f"{name}-{'k' * 32}" for name in FIRMS}), encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture
def door():
    """A front door on a free port of loopback that takes everything; `.seen` holds (facility, key, batch)."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.server.seen.append((self.path, self.headers["authorization"], json.loads(body)["batch"]))
            self.send_response(202)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.seen = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_posts_for_the_firms_named_and_prints_its_beginning_and_its_counts(door, keys):
    url = f"http://127.0.0.1:{door.server_port}"
    done = call(
        "--gateway", url, "--keys", str(keys), "--seconds", "1", "--history", "1", *two("BJ-HOS-0104", "BJ-CTS-0012")
    )
    assert done.returncode == 0, done.stderr
    begin, end = map(json.loads, done.stdout.splitlines())
    assert begin["facilities"] == ["BJ-HOS-0104", "BJ-CTS-0012"]
    assert begin["began"] == end["began"]
    assert set(end["facilities"]) == {"BJ-HOS-0104", "BJ-CTS-0012"}
    for name, counts in end["facilities"].items():
        mine = [entry for entry in door.seen if entry[0] == f"/v1/readings?facility={name}"]
        assert counts["posts"] == len(mine) >= 1
        assert {key for _, key, _ in mine} == {f"Bearer {name}-{'k' * 32}"}
    assert "k" * 32 not in done.stdout + done.stderr


def two(*names):
    return [part for name in names for part in ("--facility", name)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_its_counts(door, keys, number):
    url = f"http://127.0.0.1:{door.server_port}"
    process = subprocess.Popen(
        [*OFFSITE, "--gateway", url, "--keys", str(keys)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert json.loads(process.stdout.readline())["facilities"] == FIRMS
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 0, err
    assert set(json.loads(out)["facilities"]) == set(FIRMS)
    assert "Traceback" not in err


def test_a_rehearsal_prints_changes_and_needs_neither_gateway_nor_keys():
    done = call("--rehearse", "--seconds", "120", *two("BJ-WHS-0021"), "--history", "10")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["rule"], line["change"]) for line in lines] == [
        ("cold-chain.store-out", "raised"),
        ("cold-chain.store-out", "cleared"),
    ]
    assert 2 < lines[0]["second"] < lines[1]["second"] < 120


SCRIPT = """\
schema: simulation/1
title: {zh: 门, en: Door}
faults:
  - fault: excursion
    facility: BJ-WHS-0021
    tag: CR1.T1
    at: 5s
    for: 20s
    by: BY
    why: {zh: 门, en: Door}
    expect: [{rule: cold-chain.store-out, subject: {tag: CR1.T1}, severity: orange, raised: [5s, 20s], ended: [20s, 60s]}]
"""


@pytest.mark.parametrize(("by", "code"), [("7", 0), ("0.1", 1)])
def test_a_rehearsal_fails_when_the_script_breaks_its_promise(tmp_path, by, code):
    path = tmp_path / "s.yaml"
    path.write_text(SCRIPT.replace("BY", by), encoding="utf-8")
    done = call("--rehearse", "--script", str(path), "--history", "5")
    assert done.returncode == code, done.stderr
    assert ("missing: cold-chain.store-out" in done.stderr) is bool(code)


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        ([], 2, "--keys"),
        (["--facility", "BJ-NO-1", "--rehearse"], 3, "BJ-NO-1"),
        (["--gateway", "http://gw.example", "--rehearse"], 3, "plain http only on this machine"),
        (["--speed", "0", "--seed", "-1", "--rehearse"], 3, "2 faults"),
        (["--script", "none.yaml", "--rehearse"], 3, "none.yaml"),
        (["--register", "none.yaml", "--rehearse"], 3, "none.yaml"),
        (["--keys", "none.json"], 3, "none.json"),
        (["--history", "121"], 2, "history"),
    ],
)
def test_what_cannot_run_is_said(arguments, code, word, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["simulate", *arguments])
    told = capsys.readouterr()
    assert ended.value.code == code
    assert word in told.err
    assert told.out == ""
    assert "Traceback" not in told.err
