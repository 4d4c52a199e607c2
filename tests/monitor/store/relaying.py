"""Relays and deciders as processes that can be killed. Run: python -m … relay|decide URL BOOTSTRAP PREFIX [WRITER ROWS]."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from monitor.store import relay as module
from monitor.store.outbox import Entry, add
from monitor.store.relay import Relay
from monitor.store.session import Store, StoreDownError
from streams.settings import KafkaSettings
from streams.topics import LOG

ROOT = Path(__file__).parents[3]


def clock():
    return time.time_ns() // 1_000_000


def started(role, url, settings, *more):
    command = [sys.executable, "-m", __name__, role, url, settings.bootstrap, settings.topic_prefix, *map(str, more)]
    return subprocess.Popen(command, cwd=ROOT)


def decide(store, writer, rows):
    """Decide about two facilities, a decision a transaction; each carries a number that rises with the writer's commits."""
    for number in range(rows):
        entry = Entry(LOG, f"F{number % 2}", f"{writer}:{number}".encode(), (("kind", b"decision"),))
        while True:
            try:
                with store.writing() as session:
                    add(session, [entry], clock())
            except StoreDownError:
                time.sleep(0.1)
            else:
                break


def main():
    role, url, bootstrap, prefix, *more = sys.argv[1:]
    settings = KafkaSettings(bootstrap=bootstrap, partitions=3, topic_prefix=prefix)
    store = Store(url)
    if role == "decide":
        decide(store, more[0], int(more[1]))
        return
    module.CLAIM_MS, module.SEND_TIMEOUT_S, module.ROWS = 4_000, 2.0, 5  # a claim of the dead ends soon
    relay = Relay(store, settings, clock)
    while True:
        try:
            sent = relay.send_once()
        except StoreDownError:
            sent = 0
        if not sent:
            time.sleep(0.05)


if __name__ == "__main__":
    main()
