"""An archiver at work: in a thread of the test, or in a process of its own that can be killed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from kafka import KafkaProducer

from monitor.archive import archiver as module
from monitor.archive import index
from monitor.archive.archiver import Archiver, ArchiverSettings
from streams.codec import encode, key_of
from streams.dump import open_log
from streams.topics import ALARMS, LOG

QUICK = {"flush_s": 0.1, "idle_flush_s": 0.2, "settle_s": 0.0, "grace_s": 1.0, "lease_s": 2.0, "stall_s": 30.0}
AHEAD_MS = 2 * 3_600_000
"""A clock so far ahead takes the running hour for over, so that it is cut again and again."""
ROOT = Path(__file__).parents[3]


def until(what, condition, limit_s=120.0, alive=lambda: True):
    """Wait until a condition holds; the limit is generous, for the machine is shared."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        assert alive(), f"it ended while waiting for {what}"
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"no {what} within {limit_s:.0f} s")


@contextmanager
def archiving(store, kafka, folder, holder="thread", clock_ms=None, **settings):
    """Run an archiver in a thread; whatever it raises is in `failed`."""
    clock = {} if clock_ms is None else {"clock_ms": clock_ms}
    worker = Archiver(store, kafka, ArchiverSettings(folder=folder, **(QUICK | settings)), holder, **clock)
    worker.failed = []
    stop = threading.Event()

    def run():
        try:
            worker.run(stop)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            worker.failed.append(error)

    thread = threading.Thread(target=run, name="archiver")
    thread.start()
    try:
        yield worker
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def archived(store, kafka, topics=(LOG, ALARMS)):
    """Say whether all that Kafka holds now is archived."""
    with store.reading() as session:
        stored = index.next_offsets(session)
    for topic in topics:
        with open_log(kafka, kafka.topic(topic)) as log:
            if any(stored.get((topic, partition), -1) < end for partition, _, end in log.places):
                return False
    return True


@contextmanager
def producing(kafka, **more):
    client = KafkaProducer(max_request_size=9_000_000, **kafka.for_kafka_python(), **more)
    try:
        yield client
    finally:
        client.close(timeout=10)


def send(producer, topic, records, partition=None):
    """Append log records; returns when all are acked."""
    for record in records:
        headers, value = encode(record.payload)
        where = record.partition if partition is None else partition
        producer.send(topic, value=value, key=key_of(record), headers=headers, partition=where)
    producer.flush()


class Process:
    """An archiver in a process of its own, its clock ahead of time."""

    def __init__(self, store_url, kafka, folder, log_file, **settings):
        options = {
            "store": store_url,
            "kafka": kafka.model_dump(mode="json"),
            "folder": str(folder),
            **QUICK,
            **settings,
        }
        self.log_file = log_file
        with log_file.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.monitor.archive.running", json.dumps(options)],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    def alive(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait(30)

    def terminate(self):
        self.process.terminate()
        return self.process.wait(60)


def main():
    import logging
    import signal

    from monitor.store.session import Store
    from streams.settings import KafkaSettings

    options = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    module.LOOK_S = 0.2
    module.RETRY_S = 0.1
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    store = Store(options.pop("store"))
    kafka = KafkaSettings.model_validate(options.pop("kafka"))
    settings = ArchiverSettings(folder=Path(options.pop("folder")), **options)
    Archiver(store, kafka, settings, f"p{time.time_ns()}", lambda: time.time_ns() // 1_000_000 + AHEAD_MS).run(stop)


if __name__ == "__main__":
    main()
