"""A real gateway process on a real Kafka, and clients that speak plain HTTP/1.1 over sockets, well or badly."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams.access import new_key
from streams.codec import decode
from streams.topics import ACCESS, LOG
from tests.e2e.test_front_to_alarm import environment, ready, running, until

MIB = 1024 * 1024


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Running:
    """The process and what it uses."""

    def __init__(self, process, url):
        self.process, self.url = process, url
        self.host, _, port = url.removeprefix("http://").rpartition(":")
        self.port = int(port)

    def rss(self):
        """Bytes in memory of the process, with the one that reads large bodies."""
        return sum(_rss(pid) for pid in [self.process.pid, *_children(self.process.pid)])

    def files(self):
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    async def connect(self):
        return await asyncio.open_connection(self.host, self.port)

    async def figures(self):
        text = (await get(self, "/metrics")).body.decode()
        rows = (line.rpartition(" ") for line in text.splitlines() if line and line[0] != "#")
        return {name: float(value) for name, _, value in rows}


def _rss(pid):
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _children(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


@contextmanager
def gateway_process(settings, tmp_path, **more):
    env = environment(settings, OFFSITE_GATEWAY_PORT="0", OFFSITE_GATEWAY_TICK_S="1", **more)
    with running("gateway", env=env, log=tmp_path / "gateway.log") as process:
        url = "http://" + json.loads(process.stdout.readline())["listening"]
        until(lambda: ready(url), 90)
        yield Running(process, url)


def admit_firms(settings, count, endpoints=("readings", "feed")):
    """Register keys: firm i -> key. Facilities are FIRM-0000 and so on."""
    producer = KafkaProducer(**settings.for_kafka_python(), acks="all")
    keys = {}
    futures = []
    for i in range(count):
        key, key_hash = new_key()
        facility = f"FIRM-{i:04d}"
        entry = {"name": f"feed-{i}", "facilities": [facility], "endpoints": list(endpoints)}
        futures.append(producer.send(settings.topic(ACCESS), key=key_hash.encode(), value=json.dumps(entry).encode()))
        keys[facility] = key
    for future in futures:
        future.get(timeout=30)
    producer.close()
    return keys


def batch(name, at=1_772_294_400_000, value=5.0, rows=3):
    return {"batch": name, "series": [{"tag": "T1", "time": [at + i for i in range(rows)], "value": [value] * rows}]}


def large(name, size=4 * MIB):
    """A valid body of nearly `size` bytes that costs little to read."""
    return json.dumps(batch(name)).encode().ljust(size)


def request(key, body, path="/v1/readings", headers="", length=None):
    head = (
        f"POST {path} HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body) if length is None else length}\r\n{headers}\r\n"
    )
    return head.encode() + body


async def read_answer(reader):
    """Read one answer; None where the connection was closed instead."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Answer(int(status.split()[1]), headers, body)


async def exchange(gateway, raw):
    """Send bytes on a connection of their own; returns the answer, or None where there was none."""
    try:
        reader, writer = await gateway.connect()
    except OSError:
        return None
    sending = asyncio.create_task(_send(writer, raw))
    try:
        return await read_answer(reader)
    finally:
        sending.cancel()
        writer.transport.abort()


async def _send(writer, raw):
    try:
        for begin in range(0, len(raw), 65_536):
            writer.write(raw[begin : begin + 65_536])
            await writer.drain()
    except ConnectionError:
        return  # answered, or refused, before the end


async def post(gateway, key, body, **more):
    return await exchange(gateway, request(key, body if isinstance(body, bytes) else json.dumps(body).encode(), **more))


async def get(gateway, path, key=""):
    return await exchange(gateway, f"GET {path} HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer {key}\r\n\r\n".encode())


def stored(settings):
    """(partition, offset) -> (facility, batch) of all readings in the log."""
    consumer = KafkaConsumer(**settings.for_kafka_python(), enable_auto_commit=False)
    try:
        places = [TopicPartition(settings.topic(LOG), p) for p in range(settings.partitions)]
        consumer.assign(places)
        begin, end = consumer.beginning_offsets(places), consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, begin[place])
        found = {}

        def read():
            for rows in consumer.poll(timeout_ms=500).values():
                for row in rows:
                    record = decode(row.partition, row.offset, row.timestamp, row.key, row.headers, row.value)
                    if record.kind == "readings":
                        found[record.partition, record.offset] = (record.facility, record.payload)
            return all(consumer.position(place) >= end[place] for place in places)

        until(read, 60)
        return found
    finally:
        consumer.close()


def dump(settings):
    done = subprocess.run(
        [sys.executable, "-m", "monitor", "log", "dump"], env=environment(settings), capture_output=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
