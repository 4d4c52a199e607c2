"""The store on both databases: SQLite in a file of the test's own, PostgreSQL as a clone of a template in one cluster a session."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import psycopg

from streams.ports import free_port

_numbers = itertools.count(1)


def postgres_bin():
    """Return the folder of PostgreSQL's programs, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parent.parent.name))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


class Cluster:
    """One PostgreSQL server on loopback, owned by the tests."""

    def __init__(self, folder, programs):
        self.folder, self.programs = folder, programs
        self.port = free_port()
        self.url = f"postgresql://offsite@127.0.0.1:{self.port}"

    def run(self, *command):
        # The server refuses to run as root.
        prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        subprocess.run([*prefix, *map(str, command)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)

    def start(self):
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self.run(
            self.programs / "pg_ctl",
            "-D",
            self.folder / "data",
            "-o",
            options,
            "-w",
            "-l",
            self.folder / "log",
            "start",
        )

    def stop(self, mode="fast"):
        self.run(self.programs / "pg_ctl", "-D", self.folder / "data", "-m", mode, "-w", "stop")

    def execute(self, statement):
        with psycopg.connect(f"{self.url}/postgres", autocommit=True) as connection:
            connection.execute(statement)

    def database(self, template):
        name = f"t{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return f"{self.url}/{name}"


@contextmanager
def cluster(folder, programs):
    server = Cluster(folder, programs)
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
    server.run(programs / "initdb", "-D", folder / "data", "-U", "offsite", "-A", "trust", "-E", "UTF8", "--no-sync")
    server.start()
    try:
        yield server
    finally:
        server.stop("immediate")


def connections(store):
    """Count the connections that the store holds open, used or idle."""
    pool = store.engine.pool
    return pool.checkedin() + pool.checkedout()
