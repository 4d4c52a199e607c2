"""Kafka as docker-compose.yml runs it: deploy/kafka/start.sh on free loopback ports, secrets of its own, grant.py as compose's init."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from streams import jars, jvm
from streams.ports import free_port
from streams.settings import KafkaSettings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PARTITIONS = 3
START_S = 120
DENIED = re.compile(r"Principal = User:(\S+) is Denied operation = (\S+) .*? on resource = (\S+) for request")


def make_secrets(folder):
    subprocess.run([DEPLOY / "make-secrets.sh"], env=os.environ | {"OFFSITE_SECRETS": str(folder)}, check=True,
                   capture_output=True)  # fmt: skip


class Node:
    """One node; `start` waits until its client port is open."""

    def __init__(self, folder, secrets, number=1, ports=None, voters=None, replication=1):
        self.folder, self.secrets, self.number, self.voters, self.replication = (
            folder, secrets, number, voters, replication,
        )  # fmt: skip
        self.client, self.inner, self.controller = ports or (free_port(), free_port(), free_port())
        self.process = None

    def environment(self):
        own = {
            "KAFKA_NODE": self.number, "KAFKA_HOST": "127.0.0.1", "KAFKA_BIND": "127.0.0.1",
            "KAFKA_CLIENT_PORT": self.client, "KAFKA_BROKER_PORT": self.inner, "KAFKA_CONTROLLER_PORT": self.controller,
            "KAFKA_REPLICATION": self.replication, "KAFKA_INTERNAL_PARTITIONS": 3, "KAFKA_DATA": self.folder / "data",
            "KAFKA_SECRETS": self.secrets, "KAFKA_LIBS": jars.ensure_jars(), "KAFKA_RUN": self.folder / "run",
            "KAFKA_JAVA": jars.java(), "KAFKA_HEAP_MB": 400,
            # start.sh chooses the collector itself, and Java takes one alone.
            "JDK_JAVA_OPTIONS": " ".join(o for o in jvm.options(jars.ensure_jars(), jars.java()) if not o.endswith("GC")),
        }  # fmt: skip
        if self.voters:
            own["KAFKA_VOTERS"] = self.voters
        return os.environ | {name: str(value) for name, value in own.items()}

    def start(self):
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "console.log").open("ab") as console:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streams.launch", str(os.getpid()), "bash", str(DEPLOY / "kafka" / "start.sh")],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=self.environment(), cwd=ROOT,
                start_new_session=True,
            )  # fmt: skip

    def wait(self):
        deadline = time.monotonic() + START_S
        while True:
            assert self.process.poll() is None, self.log()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.client)) == 0:
                    return self
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def log(self):
        return (self.folder / "console.log").read_text(encoding="utf-8")[-3000:]

    def stop(self, number=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None


class Cluster:
    """One node or three, and how each principal reaches it."""

    def __init__(self, nodes, secrets):
        self.nodes, self.secrets = nodes, secrets
        self._seen = 0

    def environment(self, principal, **more):
        """What docker-compose.yml sets for a process."""
        admin = principal == "admin"
        kafka = {
            "OFFSITE_KAFKA_BOOTSTRAP": ",".join(f"127.0.0.1:{n.inner if admin else n.client}" for n in self.nodes),
            "OFFSITE_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "OFFSITE_KAFKA_SASL_MECHANISM": "PLAIN" if admin else "SCRAM-SHA-512",
            "OFFSITE_KAFKA_USERNAME": principal,
            "OFFSITE_KAFKA_PASSWORD_FILE": str(self.secrets / f"kafka_{principal}_password"),
            "OFFSITE_KAFKA_PARTITIONS": str(PARTITIONS),
            "OFFSITE_KAFKA_REPLICATION": str(self.nodes[0].replication),
        }
        return os.environ | kafka | more

    def settings(self, principal):
        own = self.environment(principal)
        names = ("bootstrap", "security_protocol", "sasl_mechanism", "username", "password_file")
        values = {name: own[f"OFFSITE_KAFKA_{name.upper()}"] for name in names}
        return KafkaSettings.model_validate(
            values | {"partitions": PARTITIONS, "replication": self.nodes[0].replication}
        )

    def forget_denials(self):
        """Count what was refused from now on."""
        self._seen = len(self._text())

    def denials(self):
        """Return (principal, operation, resource) of everything that the brokers refused."""
        return {match.groups() for match in DENIED.finditer(self.console())}

    def console(self):
        """Return what the brokers have written since then."""
        return self._text()[self._seen :]

    def _text(self):
        return "".join((node.folder / "console.log").read_text(encoding="utf-8") for node in self.nodes)

    def grant(self, acls=DEPLOY / "kafka" / "acls.yaml"):
        return subprocess.run(
            [sys.executable, DEPLOY / "kafka" / "grant.py", "--acls", acls, "--secrets", self.secrets],
            env=self.environment("admin"), cwd=ROOT, capture_output=True, text=True, check=False, timeout=280,
        )  # fmt: skip

    def offsite(self, principal, *arguments, **more):
        return subprocess.run(
            [sys.executable, "-m", "monitor", *arguments], env=self.environment(principal, **more), cwd=ROOT,
            capture_output=True, text=True, check=False, timeout=280,
        )  # fmt: skip


@contextmanager
def cluster(folder, size=1):
    """Start `size` nodes as the compose file does, and stop them."""
    secrets = folder / "secrets"
    make_secrets(secrets)
    ports = [(free_port(), free_port(), free_port()) for _ in range(size)]
    voters = ",".join(f"{i + 1}@127.0.0.1:{own[2]}" for i, own in enumerate(ports))
    nodes = [Node(folder / f"node-{i + 1}", secrets, i + 1, own, voters, size) for i, own in enumerate(ports)]
    try:
        for node in nodes:
            node.start()
        for node in nodes:
            node.wait()
        yield Cluster(nodes, secrets)
    finally:
        for node in nodes:
            node.stop()
